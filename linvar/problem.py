"""Problem: the statement of one problem, exact numbers only. Both halves read it; it computes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from operator import index
from typing import TYPE_CHECKING, Any

from linvar.arguments import check_flags, check_integer
from linvar.arrays import is_one_number
from linvar.atomic import write_atomically
from linvar.constructors import Constructors
from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.errors import InputError, InputTypeError, Words, cut, shown
from linvar.exact import Exact, Matrix, Vector, exact, exact_vector, free_symbols
from linvar.file_symbols import names_of
from linvar.keywords import OF_PROBLEM, door, unknown_keyword
from linvar.laws.gaussian import Gaussian  # noqa: F401  of the examples
from linvar.laws.law import Law, show
from linvar.models.checks import check_degree, check_hash, chosen
from linvar.models.model import Model
from linvar.models.shown import shown_law, shown_weights
from linvar.plain_data import Plain, ProblemFileError, plain, to_json, to_toml
from linvar.schemes.scheme import SCHEMES, Scheme, scheme_of
from linvar.text_files import checked_path

if TYPE_CHECKING:
    import os

    import sympy
    from jaxtyping import PyTree

#: arguments that choose the model
_OF_MODEL = {"loss", "bias"}
#: characters of a part in the ``repr``
_LONGEST = 60


@dataclass(frozen=True, init=False)
class Problem(Constructors, Tabular):
    """A network, a law of its examples and a number of SGD steps, all exact.

    The network is linear, P = W_L ... W_1, unless ``model`` says otherwise, and the loss of one example
    1/2 ||P x - y||^2; the batch loss is the MEAN over b examples; SGD updates all layers at once,
    W_l <- W_l - learning_rate * (batch gradient), a fresh batch each step, batches of different steps independent
    (reshuffling through an epoch is not covered). The gradient is measured after ``step`` updates, on one more fresh
    batch, conditioned on these initial ``weights`` only.

    Args:
        weights: W_1 first; W_l has shape (d_l, d_{l-1}). Entries: int, Fraction, "p/q", SymPy numbers, or
            SymPy expressions polynomial in their symbols (Symbols, or entries ``M[0, 1]`` of a MatrixSymbol), which
            are kept expanded, so that problems are equal where they are mathematically. Never floats. A matrix is a
            list of rows, an array, or a SymPy matrix.
        law: the law of one example: ``Gaussian``, ``Dataset``, ``Finite``, ``Independent``, ``ScaleMixture``, or one of your own
            (``linvar.testing.OpenLaw``).
        learning_rate: one number for every step, or a sequence with one for each of the ``step`` updates.
        step: t >= 0, the number of updates made before the gradient is measured.
        sampling: "iid" (batches drawn with replacement), or "without_replacement" (a Dataset: each batch is a
            uniformly random subset of b of the n examples).
        momentum: of every step, in the conventions of optax: M' = G + momentum M with M = 0 at the start, and
            W' = W - learning_rate * M'. 0 is plain SGD.
        nesterov: W' = W - learning_rate * (G + momentum M') in its place.
        weight_decay: adds weight_decay * W to each batch gradient, before the momentum.
        bias: whether every layer has one, x -> W_l x + c_l. ``weights`` are then pairs (W_l, c_l), W_1 first, c_l a list of d_l
            numbers, and what is answered of weights and leaves is in such pairs.
        loss: in place of the linear network, any loss of ONE example that is a polynomial in the weights,
            ``loss(params, example)`` -> a scalar, written with jax.numpy, Flax or Equinox: + - * @, integer powers, sums,
            reshapes, gathers, convolutions, scans of fixed length. ``weights`` are then any pytree of exact numbers:
            dictionaries, tuples and nodes that JAX knows are structure, a list is an array. The example is (x, y), of shapes
            (d_0,) and (d_L,), or a row of ``Dataset(rows)``. L2 terms inside the loss count in the measured gradient;
            ``weight_decay`` moves the weights only. Arguments of the loss are bound with
            ``functools.partial(loss, power=3)``; ``linvar.families`` has known losses.
        model: in place of both, a model of your own (``linvar.testing``).

    Raises:
        TypeError: a float or something that is no number; a law of the wrong type.
        ValueError: shapes that do not chain, a schedule of the wrong length, step < 0, an unknown sampling.

    >>> import linvar as lv
    >>> Problem(weights=[[[1, 2]], [[3]]], law=Gaussian(teacher=[[1, 0]]), learning_rate="1/10", step=1)
    Problem([[[1, 2]], [[3]]], Gaussian(teacher=[[1, 0]]), learning_rate="1/10", step=1)
    >>> lv.derive(Problem([([[1, 2]], [1]), ([[3]], [-1])], Gaussian([[1, 0]]), bias=True)).per_leaf.variance[1]
    (512 u    (u = 1/b, degree 1), 40 u    (u = 1/b, degree 1))

    Next: ``linvar.gradient_variance``, ``linvar.derive`` for everything, ``linvar.verify``; from floats, modules of Flax and
    SymPy: ``linvar.Problem.from_arrays``, ``linvar.Problem.from_module``, ``linvar.Problem.from_expression``.
    """

    leaves: tuple[Matrix, ...]
    law: Law
    learning_rate: Exact | Vector
    step: int
    sampling: str
    momentum: Exact
    nesterov: bool
    weight_decay: Exact
    model: Model

    @door
    def __init__(
        self,
        weights: Any,
        law: Law,
        learning_rate: Any = 0,
        step: int = 0,
        sampling: str = "iid",
        *,
        momentum: Any = 0,
        nesterov: bool = False,
        weight_decay: Any = 0,
        bias: bool = False,
        loss: Callable[..., Any] | None = None,
        model: Model | None = None,
    ) -> None:
        network, matrices = chosen(loss, model, bias).fitted(weights)
        if not isinstance(law, Law):
            raise InputTypeError("law", law, "give a law, like linvar.Gaussian(...) or linvar.Dataset(...)")
        law = law.fitted(network.ends(matrices))
        check_hash("model", network)
        check_hash("law", law)
        network.check_law(matrices, law)
        check_degree(network, matrices, law)
        step = check_integer(step, "step", "give the number of updates, an int >= 0")
        if step < 0:
            cure = "give the number of updates before the gradient is measured, >= 0"
            raise InputError("step", step, cure, fault="is negative")
        if scheme_of(sampling).within_dataset and law.size is None:
            fault = f"needs a finite data set, and law is of type {type(law).__name__}"
            raise InputError("sampling", sampling, "use law=linvar.Dataset(inputs, targets) or sampling='iid'", fault)
        check_flags(nesterov=nesterov)
        velocity = exact(momentum, "momentum")
        if nesterov and velocity == 0:
            fault = "needs momentum=, a number other than 0"
            raise InputError("nesterov", nesterov, "give one, or leave nesterov out", fault)
        values = {
            "leaves": matrices, "law": law, "learning_rate": _learning_rate(learning_rate, step), "step": step,
            "sampling": sampling, "momentum": velocity, "nesterov": bool(nesterov),
            "weight_decay": exact(weight_decay, "weight_decay"), "model": network,
        }  # fmt: skip
        for name, value in values.items():
            object.__setattr__(self, name, value)
        network.check_symbols(matrices, self.symbols)  # two symbols of one name are refused here, not in a derivation

    def __repr__(self) -> str:
        parts = [shown_weights(self.model, self.leaves), shown_law(self.law)]
        parts.append(f"learning_rate={cut(show(self.learning_rate), _LONGEST)}")
        parts.append(f"step={shown(self.step)}")
        parts += [f"sampling={self.sampling!r}"] * (self.sampling != "iid")
        parts += [f"{name}={cut(show(value), _LONGEST)}" for name, value in self._rule.items()]
        return f"Problem({', '.join([*parts, *filter(None, [self.model.argument_text()])])})"

    @property
    def _rule(self) -> dict[str, Exact | bool]:
        """What makes the update more than plain SGD."""
        values = {"momentum": self.momentum, "nesterov": self.nesterov, "weight_decay": self.weight_decay}
        return {name: value for name, value in values.items() if value}

    def to_table(self) -> Table:
        """The statement, a line for each part: what a notebook shows.

        >>> Problem([[[1, 0], [1, 1]], [[1, 2]]], Gaussian([[1, 0]]), "1/10", step=1, momentum="1/2").to_table()
        Problem
        part           value
        -------------------------------------------
        network        widths 2-2-1
        weights        [[[1, 0], [1, 1]], [[1, 2]]]
        law            Gaussian(teacher=[[1, 0]])
        sampling       iid
        learning_rate  1/10
        step           1
        momentum       1/2
        degree         6 in 1/b, at most
        """
        rows: list[tuple[str, object]] = [
            ("network", cut(self.model.describe(self.leaves), _LONGEST)),
            ("weights", shown_weights(self.model, self.leaves)),
            ("law", shown_law(self.law)),
            ("sampling", self.sampling),
            ("learning_rate", cut(show(self.learning_rate).strip('"'), _LONGEST)),
            ("step", shown(self.step)),
            *((name, cut(str(value), _LONGEST)) for name, value in self._rule.items()),
        ]
        if self.symbols:
            rows.append(("symbols", cut(", ".join(map(str, self.symbols)))))
        rows.append(("degree", f"{shown(self.degree_bound)} in 1/b, at most"))
        return Table(["part", "value"], rows, title="Problem")

    @cached_property
    def weights(self) -> PyTree:
        """The initial weights, exact, in the structure they were given in; arrays of a loss are lists of lists."""
        return self.model.tree([entry for matrix in self.leaves for row in matrix for entry in row], self.leaves)

    @property
    def plain(self) -> bool:
        """Whether the update is plain SGD: no momentum, no weight decay."""
        return self.momentum == 0 and self.weight_decay == 0

    @cached_property
    def degree(self) -> int:
        """The degree of the loss of one example in the weights: 2 L for a linear network."""
        return index(self.model.degree(self.leaves, self.law))

    @property
    def degree_in_example(self) -> int:
        """The degree of that loss in the coordinates of an example: 2 for a linear network."""
        return self.model.degree_in_example(self.leaves, self.law)

    @property
    def growth(self) -> int:
        """The degree of the weights after a step in those before it: p - 1, p the ``degree``, and at least 1."""
        return max(1, self.degree - 1)

    @property
    def is_linear_regression(self) -> bool:
        """Whether the network is one linear layer."""
        return self.model.is_linear_regression(self.leaves)

    @property
    def depth(self) -> int:
        """L, the number of layers."""
        return len(self.widths) - 1

    @property
    def widths(self) -> tuple[int, ...]:
        """(d_0, ..., d_L)."""
        return self.model.widths(self.leaves)

    @property
    def learning_rates(self) -> Vector:
        """One learning rate for each of the ``step`` updates."""
        return self.learning_rate if isinstance(self.learning_rate, tuple) else (self.learning_rate,) * self.step

    @property
    def distinct_learning_rates(self) -> Vector:
        """The schedule, or the one learning rate of every step, as given."""
        return self.learning_rate if isinstance(self.learning_rate, tuple) else (self.learning_rate,)

    @cached_property
    def symbols(self) -> tuple[sympy.Expr, ...]:
        """The SymPy symbols that occur anywhere, sorted by name; empty for a numeric problem."""
        entries = [entry for matrix in self.leaves for row in matrix for entry in row]
        further = (*self.distinct_learning_rates, self.momentum, self.weight_decay)
        return free_symbols([*entries, *further, *self.law.symbols, *self.model.symbols])

    @property
    def scheme(self) -> Scheme:
        """How a batch is drawn, of the name ``sampling``."""
        return SCHEMES[self.sampling]

    @property
    def dataset_size(self) -> int | None:
        """n, where an example is one of n with equal probabilities (a Dataset); otherwise None."""
        return self.law.size

    @property
    def largest_batch_size(self) -> int | None:
        """n without replacement; None where a batch may have any size."""
        return self.scheme.largest_batch(self.dataset_size)

    @property
    def degree_bound(self) -> int:
        """sum_{j=0..t} max(2 (p-1)^j - 1, 0), p the ``degree``; 0 for p = 0; at most n - 1 without replacement.

        No quantity has a higher degree in 1/b.
        """
        power = self.degree - 1
        bound: int = sum(max(2 * power**j - 1, 0) for j in range(self.step + 1)) if power >= 0 else 0
        return bound if self.largest_batch_size is None else min(bound, self.largest_batch_size - 1)

    def replace(self, **changes: Any) -> Problem:
        """A copy with some arguments changed: ``problem.replace(step=2)``.

        A schedule of learning rates does not shrink or grow by itself: give a new one together with ``step``.
        """
        kept = {name: getattr(self, name) for name in OF_PROBLEM if name not in _OF_MODEL}
        if not changes.keys() <= {*OF_PROBLEM}:
            raise unknown_keyword("replace", changes, OF_PROBLEM)
        if changes.keys() & _OF_MODEL:
            del kept["model"]
        return Problem(**{**kept, **changes})

    def at_step(self, step: int) -> Problem:
        """The problem measured after ``step`` updates; a schedule of learning rates is cut to its first entries.

        Raises:
            InputError: the schedule has not so many.
        """
        rate, step = self.learning_rate, check_integer(step, "step", "give the number of updates, an int >= 0")
        if isinstance(rate, tuple):
            if step > len(rate):
                fault = Words(f"contains {shown(step)}, but learning_rate is a schedule of {len(rate)} entries")
                raise InputError("steps", fault, "give one for each update")
            rate = rate[: max(step, 0)]
        return self if step == self.step else self.replace(step=step, learning_rate=rate)

    def to_dict(self) -> dict[str, Plain]:
        """The content of a problem file: plain dictionaries, lists, integers, strings "p/q" and expressions in symbols.

        Optional parts of the law, momentum and weight decay are left out where they have their default value.

        Raises:
            ProblemFileError: a symbol has a name that a problem file cannot hold.

        >>> Problem([[["1/2"]]], Gaussian(teacher=[[1]])).to_dict()["weights"]
        [[['1/2']]]
        """
        names: dict[str, Plain] = {"symbols": names_of(self.symbols)} if self.symbols else {}
        model = self.model.to_dict()
        return {**names, **model, **self.numbers_to_dict() | {"weights": self.model.weights_to_plain(self.leaves)}}

    def numbers_to_dict(self) -> dict[str, Plain]:
        """All but the model; weights as leaves, each a matrix. As ``to_dict``, for a key that no name of a loss enters."""
        further: dict[str, Plain] = {"momentum": plain(self.momentum)} if self.momentum else {}
        further |= {"nesterov": True} if self.nesterov else {}
        further |= {"weight_decay": plain(self.weight_decay)} if self.weight_decay else {}
        return {
            "weights": plain(self.leaves),
            "law": self.law.to_dict(),
            "learning_rate": plain(self.learning_rate),
            "step": self.step,
            "sampling": self.sampling,
            **further,
        }

    def to_json(self) -> str:
        """The text of a JSON problem file, one row of a matrix a line.

        Raises:
            ProblemFileError: a symbol has a name that a problem file cannot hold.

        >>> print(Problem([[[1, "1/2"]]], Gaussian(teacher=[[1, 0]])).to_json())
        {
          "weights": [
            [
              [1, "1/2"]
            ]
          ],
          "law": {
            "kind": "gaussian",
            "teacher": [
              [1, 0]
            ]
          },
          "learning_rate": 0,
          "step": 0,
          "sampling": "iid"
        }
        """
        return to_json(self.to_dict())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a problem file: TOML if its name ends in ``.toml``, JSON otherwise; all or nothing.

        ``linvar.load_problem`` gives an equal problem back; symbols come back without assumptions.

        Raises:
            ProblemFileError: a symbol has a name that a problem file cannot hold.
            OSError: the file cannot be written; an old file stays as it was.

        >>> Problem([[[1]]], Gaussian(teacher=[[1]])).save("no/such/folder/problem.json")
        ... # doctest: +ELLIPSIS
        Traceback (most recent call last):
        FileNotFoundError: cannot write 'no/such/folder/problem.json': there is no directory ...
        """
        data = self.to_dict()
        toml = checked_path(path, "problem file", ProblemFileError).lower().endswith(".toml")
        write_atomically(path, to_toml(data) if toml else to_json(data) + "\n")


def _learning_rate(value: Any, step: int) -> Exact | Vector:
    """One exact number, or a tuple of one for each update."""
    if is_one_number(value):
        return exact(value, "learning_rate")
    schedule = exact_vector(value, "learning_rate", "give one number, or a list with one for each update")
    if len(schedule) != step:
        fault = Words(f"has {len(schedule)} entries, but step={shown(step)}")
        raise InputError("learning_rate", fault, f"give one number, or one for each of the {shown(step)} updates")
    return schedule
