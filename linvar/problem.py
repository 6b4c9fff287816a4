"""Problem: the statement of one problem, exact numbers only. Both halves read it; it computes nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from linvar.exact import Exact, Matrix, Vector, exact, exact_matrix, exact_vector, free_symbols, rationalize, shape
from linvar.laws import Dataset, Gaussian, show

SAMPLINGS = ("iid", "without_replacement")


@dataclass(frozen=True, init=False)
class Problem:
    """A linear network, a law of its examples and a number of SGD steps, all exact.

    The network is P = W_L ... W_1, the loss of one example 1/2 ||P x - y||^2, the batch loss the MEAN over b
    examples; SGD updates all layers at once, W_l <- W_l - learning_rate * (batch gradient), a fresh batch each
    step, batches of different steps independent (reshuffling through an epoch is not covered). The gradient is
    measured after ``step`` updates, on one more fresh batch, conditioned on these initial ``weights`` only.

    Args:
        weights: W_1 first; W_l has shape (d_l, d_{l-1}). Entries: int, Fraction, "p/q", SymPy numbers, or
            SymPy expressions polynomial in their symbols. Never floats.
        law: ``Gaussian`` or ``Dataset``: the law of one example.
        learning_rate: one number for every step, or a sequence with one for each of the ``step`` updates.
        step: t >= 0, the number of updates made before the gradient is measured.
        sampling: "iid" (batches drawn with replacement), or "without_replacement" (a Dataset: each batch is a
            uniformly random subset of b of the n examples).
        momentum: of every step, in the conventions of optax: M' = G + momentum M with M = 0 at the start, and
            W' = W - learning_rate * M'. 0 is plain SGD.
        nesterov: W' = W - learning_rate * (G + momentum M') in its place.
        weight_decay: adds weight_decay * W to each batch gradient, before the momentum.

    Raises:
        TypeError: a float or something that is no number; a law of the wrong type.
        ValueError: shapes that do not chain, a schedule of the wrong length, step < 0, an unknown sampling.

    >>> Problem(weights=[[[1, 2]], [[3]]], law=Gaussian(teacher=[[1, 0]]), learning_rate="1/10", step=1)
    Problem(widths 2-1-1, Gaussian(teacher=[[1, 0]]), learning_rate=1/10, step=1, sampling='iid')
    """

    weights: tuple[Matrix, ...]
    law: Gaussian | Dataset
    learning_rate: Exact | Vector
    step: int
    sampling: str
    momentum: Exact
    nesterov: bool
    weight_decay: Exact

    def __init__(
        self,
        weights: Any,
        law: Gaussian | Dataset,
        learning_rate: Any = 0,
        step: int = 0,
        sampling: str = "iid",
        *,
        momentum: Any = 0,
        nesterov: bool = False,
        weight_decay: Any = 0,
    ) -> None:
        matrices = _layers(weights)
        if not isinstance(law, (Gaussian, Dataset)):
            raise TypeError(
                f"law={law!r} is of type {type(law).__name__}: give linvar.Gaussian(...) or linvar.Dataset(...)"
            )
        _check_ends(matrices, law)
        if isinstance(step, bool) or not isinstance(step, int):
            raise TypeError(f"step={step!r} is of type {type(step).__name__}: give the number of updates, an int >= 0")
        if step < 0:
            raise ValueError(
                f"step={step} is negative: give the number of updates before the gradient is measured, >= 0"
            )
        if sampling not in SAMPLINGS:
            raise ValueError(f"sampling={sampling!r} is unknown: write one of {', '.join(map(repr, SAMPLINGS))}")
        if sampling == "without_replacement" and not isinstance(law, Dataset):
            raise ValueError(
                f"sampling='without_replacement' needs a finite data set, and law is of type {type(law).__name__}: "
                f"use law=linvar.Dataset(inputs, targets) or sampling='iid'"
            )
        if not isinstance(nesterov, bool):
            raise TypeError(f"nesterov={nesterov!r} is of type {type(nesterov).__name__}: write True or False")
        velocity = exact(momentum, "momentum")
        if nesterov and velocity == 0:
            raise ValueError("nesterov=True needs momentum=, a number other than 0: give one, or leave nesterov out")
        values = {
            "weights": matrices, "law": law, "learning_rate": _learning_rate(learning_rate, step), "step": step,
            "sampling": sampling, "momentum": velocity, "nesterov": nesterov,
            "weight_decay": exact(weight_decay, "weight_decay"),
        }  # fmt: skip
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self.symbols  # noqa: B018  two symbols of one name are refused here, not in a derivation

    def __repr__(self) -> str:
        widths = "-".join(map(str, self.widths))
        rate = show(self.learning_rate).strip('"')
        further = "".join(
            f", {name}={show(value)}"
            for name, value in (
                ("momentum", self.momentum),
                ("nesterov", self.nesterov),
                ("weight_decay", self.weight_decay),
            )
            if value
        )
        start = f"Problem(widths {widths}, {self.law!r}, learning_rate={rate}, step={self.step}"
        return f"{start}, sampling={self.sampling!r}{further})"

    @property
    def plain(self) -> bool:
        """Whether the update is plain SGD: no momentum, no weight decay."""
        return self.momentum == 0 and self.weight_decay == 0

    @property
    def depth(self) -> int:
        """L, the number of layers."""
        return len(self.weights)

    @property
    def widths(self) -> tuple[int, ...]:
        """(d_0, ..., d_L)."""
        return (len(self.weights[0][0]), *(len(matrix) for matrix in self.weights))

    @property
    def learning_rates(self) -> Vector:
        """One learning rate for each of the ``step`` updates."""
        return self.learning_rate if isinstance(self.learning_rate, tuple) else (self.learning_rate,) * self.step

    @property
    def distinct_learning_rates(self) -> Vector:
        """The schedule, or the one learning rate of every step, as given."""
        return self.learning_rate if isinstance(self.learning_rate, tuple) else (self.learning_rate,)

    @property
    def symbols(self) -> tuple[Any, ...]:
        """The SymPy symbols that occur anywhere, sorted by name; empty for a numeric problem."""
        entries = [entry for matrix in self.weights for row in matrix for entry in row]
        further = (*self.distinct_learning_rates, self.momentum, self.weight_decay)
        return free_symbols([*entries, *further, *self.law.symbols])

    @property
    def dataset_size(self) -> int | None:
        """n for a Dataset, None for a Gaussian law."""
        return self.law.size if isinstance(self.law, Dataset) else None

    @property
    def largest_batch_size(self) -> int | None:
        """n without replacement; None where a batch may have any size."""
        return self.dataset_size if self.sampling == "without_replacement" else None

    @property
    def degree_bound(self) -> int:
        """sum_{j=0..t} (2 (2L-1)^j - 1): no quantity of this problem has a higher degree in 1/b."""
        return sum(2 * (2 * self.depth - 1) ** j - 1 for j in range(self.step + 1))

    def replace(self, **changes: Any) -> Problem:
        """A copy with some arguments changed: ``problem.replace(step=2)``.

        A schedule of learning rates does not shrink or grow by itself: give a new one together with ``step``.
        """
        unknown = sorted(set(changes) - {field.name for field in dataclasses.fields(self)})
        if unknown:
            names = ", ".join(field.name for field in dataclasses.fields(self))
            raise TypeError(
                f"replace() got {unknown[0]}={changes[unknown[0]]!r}: the arguments of a Problem are {names}"
            )
        return dataclasses.replace(self, **changes)

    @classmethod
    def from_arrays(
        cls,
        weights: Any,
        law: Gaussian | Dataset | None = None,
        learning_rate: Any = 0,
        step: int = 0,
        sampling: str = "iid",
        *,
        inputs: Any = None,
        targets: Any = None,
        teacher: Any = None,
        decimals: int = 4,
        momentum: Any = 0,
        nesterov: bool = False,
        weight_decay: Any = 0,
    ) -> Problem:
        """A Problem from floating-point arrays, every float rounded to ``decimals`` digits (``linvar.rationalize``).

        Give exactly one of ``law`` (taken as it is), ``inputs`` with ``targets`` (a Dataset), or ``teacher``
        (a Gaussian law with identity covariance). Rounding moves each entry by at most 10**-decimals / 2; the
        result is exact for the rounded problem.

        >>> Problem.from_arrays([[[0.5, 1.25]]], teacher=[[1.0, 0.0]]).weights
        (((1/2, 5/4),),)
        """
        given = [name for name, value in (("law", law), ("inputs", inputs), ("teacher", teacher)) if value is not None]
        if len(given) != 1 or (inputs is None) != (targets is None):
            raise ValueError(
                f"from_arrays got {' and '.join(given) or 'no law'}: give exactly one of law=, inputs= with targets=, or teacher="
            )
        if inputs is not None:
            law = Dataset(rationalize(inputs, decimals), rationalize(targets, decimals))
        elif teacher is not None:
            law = Gaussian(rationalize(teacher, decimals))
        assert law is not None
        rate, velocity, decay = (
            value if isinstance(value, str) else rationalize(value, decimals)
            for value in (learning_rate, momentum, weight_decay)
        )
        matrices = [rationalize(matrix, decimals) for matrix in weights]
        return cls(matrices, law, rate, step, sampling, momentum=velocity, nesterov=nesterov, weight_decay=decay)

    def save(self, path: Any) -> None:
        """Write the problem as a JSON problem file (atomically: the old file stays if writing fails)."""
        from linvar.problem_file import save_problem

        save_problem(self, path)


def _layers(weights: Any) -> tuple[Matrix, ...]:
    """The weight matrices, exact, with widths that chain."""
    if hasattr(weights, "tolist") and not isinstance(weights, (list, tuple)):
        weights = weights.tolist()
    if isinstance(weights, (str, bytes, dict)) or not isinstance(weights, (Sequence, Iterable)):
        raise TypeError(f"weights={weights!r} is of type {type(weights).__name__}: give a list of matrices, W_1 first")
    matrices = tuple(exact_matrix(matrix, f"weights[{l}]") for l, matrix in enumerate(weights))
    if not matrices:
        raise ValueError("weights is empty: give at least one matrix, W_1 first")
    for l in range(1, len(matrices)):
        if shape(matrices[l])[1] != shape(matrices[l - 1])[0]:
            raise ValueError(
                f"weights[{l}] has shape {shape(matrices[l])}, but weights[{l - 1}] has shape {shape(matrices[l - 1])}: "
                f"the columns of a layer must equal the rows of the layer before it ({shape(matrices[l - 1])[0]})"
            )
    return matrices


def _check_ends(weights: tuple[Matrix, ...], law: Gaussian | Dataset) -> None:
    """The first and last width must be those of the law."""
    inputs, outputs = shape(weights[0])[1], shape(weights[-1])[0]
    if (outputs, inputs) == (law.target_width, law.input_width):
        return
    if isinstance(law, Gaussian):
        raise ValueError(
            f"teacher has shape {shape(law.teacher)}, but the network maps {inputs} inputs to {outputs} outputs: "
            f"give a teacher of shape ({outputs}, {inputs})"
        )
    raise ValueError(
        f"the data set has {law.input_width} inputs and {law.target_width} targets, but the network maps {inputs} "
        f"inputs to {outputs} outputs: change inputs, targets or weights"
    )


def _learning_rate(value: Any, step: int) -> Exact | Vector:
    """One exact number, or a tuple of one for each update."""
    if hasattr(value, "tolist") and not isinstance(value, (list, tuple)):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        return exact(value, "learning_rate")
    schedule = exact_vector(value, "learning_rate")
    if len(schedule) != step:
        raise ValueError(
            f"learning_rate has {len(schedule)} entries, but step={step}: give one number, or one for each of the {step} updates"
        )
    return schedule
