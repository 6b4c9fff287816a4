"""TraceFormula: a polynomial in 1/b whose coefficients are sums of products of traces, valid for every width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from linvar.arguments import check_integer
from linvar.errors import InputError, InputTypeError, Words
from linvar.exact import Rational
from linvar.keywords import door
from linvar.problem import Problem
from linvar.progress import Progress, reporting
from linvar.symbolic.algebra.ring import Element, Ring
from linvar.symbolic.limits import format_seconds
from linvar.symbolic.models.registry import exact_model
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.symbolic.result.truncated import LargeBatchExpansion
from linvar.symbolic.traces.cost import check_size, predicted_seconds
from linvar.symbolic.traces.derivation import Formula
from linvar.symbolic.traces.display import Reading
from linvar.symbolic.traces.exact import summed, traces
from linvar.symbolic.traces.modes import Diagonalized
from linvar.symbolic.traces.names import Name, Names, names_in
from linvar.symbolic.traces.network import Powers
from linvar.symbolic.traces.route import Route, words_of
from linvar.symbolic.traces.statement import Statement, checked, derived

if TYPE_CHECKING:
    from linvar.symbolic.traces.arrays import Array, Program
    from linvar.symbolic.traces.table import FormulaTable, JaxFormula

#: of one learning rate its power; of several parameters those of each (``TraceFormula.parameters``)
Power = int | Powers


class TraceFormula(Reading, Diagonalized):
    """A quantity of the gradient's noise as a formula in traces (``linvar.trace_formula``); what follows is of all its terms.

    f(b) = scale sum_k b^{-k} sum_j alpha^j sum_T c_{k,j,T} prod_{w in T} tr(w),      c_{k,j,T} integers.

    Two formulas are equal where all they were asked for is, and so all their terms.

    >>> import linvar as lv
    >>> formula = lv.trace_formula(depth=2, step=0)
    >>> problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]]))
    >>> formula(problem) == lv.gradient_variance(problem)
    True
    """

    def __init__(self, statement: Statement) -> None:
        self._statement = statement

    # what it is

    @property
    def depth(self) -> int:
        """L, the number of layers."""
        return self._statement.depth

    @property
    def step(self) -> int:
        """t, the updates before the gradient is measured."""
        return self._statement.step

    @property
    def quantity(self) -> str:
        """ "variance", "second_moment", "squared_mean" or "loss"."""
        return self._statement.quantity

    @property
    def order(self) -> int | None:
        """The highest power of 1/b it has; None for all of them."""
        return self._statement.order

    @property
    def covariance(self) -> str:
        """ "identity", or "general"."""
        return self._statement.covariance

    @property
    def layers(self) -> tuple[int, ...]:
        """The layers summed over, from 1 on."""
        return tuple(l + 1 for l in self._statement.layers)

    @property
    def parameters(self) -> tuple[str, ...]:
        """What a power is of: the learning rate, or those of the layers; with weight decay also what is kept of the weights."""
        several = self._statement.layer_rates
        rates = tuple(f"alpha_{l}" for l in range(1, self.depth + 1)) if several else ("alpha",)
        kept = tuple(name.replace("alpha", "kept") for name in rates)
        return rates + kept if self._statement.weight_decay else rates

    @property
    def letters(self) -> dict[str, str]:
        """The names of the letters of ``coefficient``, and what each stands for; ``"E^T"`` is the transpose of ``"E"``."""
        return Names(self._statement.network).letters

    @property
    def scale(self) -> Rational:
        """What the integers are multiplied by: 1/2 for the loss, and 1."""
        return Rational(1, 2) if self.quantity == "loss" else Rational(1)

    def __eq__(self, other: object) -> bool:
        return self._statement == other._statement if isinstance(other, TraceFormula) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._statement)

    def __reduce__(self) -> tuple[type[TraceFormula], tuple[Statement]]:
        return TraceFormula, (self._statement,)

    def __repr__(self) -> str:
        return f"<{self._statement}: {self.count():,} terms in {len(self.traces):,} traces>"

    # its terms

    @cached_property
    def terms(self) -> Formula:
        """Power of u and powers of the parameters -> product of words -> integer, words in the letters of ``network``."""
        return derived(self._statement)

    def coefficient(self, k: int) -> dict[Power, dict[tuple[Name, ...], int]]:
        """The coefficient of (1/b)^k: power of the learning rate -> product of traces -> integer.

        A product is a tuple of words and a word a tuple of names of letters (``letters``), the trace of whose product it stands
        for: ``(("E", "E^T"), ("K",))`` is tr(E E^T) tr(K). The empty word is the trace of the identity, d_0. Of words equal by
        rotation, or by reversal with transposition, it is the first; everything is in a fixed order. Of several parameters a
        power is a tuple (``parameters``). For the loss multiply by ``scale``, 1/2.

        >>> import linvar as lv
        >>> lv.trace_formula(depth=2, step=0).coefficient(1)[0][("E", "E^T", "H"),]
        1
        """
        if (k := check_integer(k, "k")) < 0:
            raise InputError("k", k, "give a power of 1/b, an integer >= 0", fault="is negative")
        if self.order is not None and k > self.order:
            raise InputError(
                "k", k, f"derive it with order={k}", fault=f"is beyond this formula, which ends with u^{self.order}"
            )
        names = Names(self._statement.network)
        found: dict[Power, dict[tuple[Name, ...], int]] = {}
        for (power, powers), terms in self.terms.items():
            if power == k:
                one = powers[0] if len(powers) == 1 else powers
                found[one] = dict(sorted(((names.product(words), c) for words, c in terms.items()), key=_by_length))
        return found

    @property
    def degree(self) -> int:
        """The highest power of 1/b in it."""
        return max((power for power, _ in self.terms), default=0)

    def count(self) -> int:
        """The number of terms: different products of traces, power by power."""
        return sum(map(len, self.terms.values()))

    @property
    def traces(self) -> tuple[Name, ...]:
        """The different words, the shortest first."""
        names = Names(self._statement.network)
        return names_in([names.word(word)] for word in self._words)

    @property
    def per_leaf(self) -> tuple[TraceFormula, ...]:
        """The formula of each layer by itself, W_1 first; they add up to this one.

        Raises:
            InputError: the loss is of no layer.
        """
        if self.quantity == "loss":
            raise InputError("per_leaf", Words("of the loss"), "ask for another quantity", fault="has no meaning")
        return tuple(TraceFormula(replace(self._statement, layers=(l,))) for l in self._statement.layers)

    # its values

    def __call__(self, problem: Problem) -> BatchPolynomial | LargeBatchExpansion:
        """Its exact value for a problem, any widths: the polynomial in 1/b, or with ``order`` its first coefficients.

        Numbers, or SymPy symbols anywhere in weights, law and learning rate.

        Raises:
            InputTypeError, InputError: the problem is not one of this formula's: another depth, step, law or update.

        >>> import linvar as lv
        >>> problem = lv.Problem([[[1, 0]], [[2]]], lv.Gaussian([[3, 1]]), "1/10", 1)
        >>> lv.trace_formula()(problem) == lv.gradient_variance(problem)
        True
        """
        ring = Ring(0, self._checked(problem).symbols)
        values = self.coefficients(problem, ring)
        if self.order is not None:
            return LargeBatchExpansion([*values, *[ring.zero] * (self.order + 1 - len(values))], ring=ring)
        return BatchPolynomial(values, ring=ring, degree_bound=problem.degree_bound)

    def coefficients(self, problem: Problem, ring: Ring) -> list[Element]:
        """The coefficients of 1, 1/b, ... for a problem of this formula, in a ring with its symbols."""
        model = exact_model(problem)
        law, weights = model.law.wishart, model.layers
        assert law is not None and weights is not None  # checked
        found = traces(self.route(problem.widths), weights, law, ring)
        rates = [ring.lift(rate) for rate in problem.learning_rates[: self.step]] or [ring.zero]
        parameters = rates + [ring.one - rate * ring.lift(problem.weight_decay) for rate in rates] * (
            len(self.parameters) > 1
        )
        return summed(self.terms, found, parameters, self.scale, ring)

    def table(
        self, weights: Sequence[Array], teacher: Array, covariance: Array | None = None, noise_variance: float = 0.0
    ) -> FormulaTable:
        """Its coefficients in float64 for one network of any width: entry [k, j] multiplies (1/b)^k alpha^j.

        One evaluation for all batch sizes and learning rates; the products are of matrices no larger than the layers (never d_0 x
        d_0), so that a network of widths 784-256-10 takes about 20 milliseconds.

        Args:
            weights: W_1, ..., W_L, floats, shapes (d_l, d_{l-1}).
            teacher: W*, shape (d_L, d_0).
            covariance: Sigma, shape (d_0, d_0); the identity if None. Only for ``covariance="general"``.
            noise_variance: v >= 0, of each coordinate of the target; only for ``covariance="general"``.

        Returns:
            A ``FormulaTable``: ``values`` and ``condition``, arrays.

        Raises:
            InputTypeError, InputError: a shape that does not fit, or an argument that this formula is not for.
        """
        from linvar.symbolic.traces.table import formula_table

        return formula_table(self, weights, teacher, covariance, noise_variance)

    def to_jax(self) -> JaxFormula:
        """A JAX function of (weights, teacher, learning_rate, batch_size, covariance, noise_variance), jitted.

        Differentiable in all of them, and to be used under ``jax.vmap`` and ``jax.jit``; in the floating point of its arguments.

        >>> import jax.numpy as jnp, linvar as lv
        >>> f = lv.trace_formula(step=0).to_jax()
        >>> float(f([jnp.ones((3, 2)), jnp.ones((1, 3))], jnp.zeros((1, 2)), learning_rate=0.0, batch_size=4))
        94.5
        """
        from linvar.symbolic.traces.table import JaxFormula

        return JaxFormula(self)

    def route(self, widths: tuple[int, ...]) -> Route:
        """How its traces are evaluated at some widths."""
        return Route(self._statement.network, widths, self._words)

    @cached_property
    def _words(self) -> tuple[str, ...]:
        return words_of([words for terms in self.terms.values() for words in terms])

    def program(self, widths: tuple[int, ...]) -> Program:
        """The same as arrays of indices, kept."""
        from linvar.symbolic.traces.arrays import Program

        if widths not in self._programs:
            self._programs[widths] = Program(self.terms, self.route(widths))
        return self._programs[widths]

    @cached_property
    def _programs(self) -> dict[tuple[int, ...], Program]:
        return {}

    def _checked(self, problem: object) -> Problem:
        """A problem that the formula is about."""
        if not isinstance(problem, Problem):
            raise InputTypeError("problem", problem, "give a linvar.Problem")
        obstacle = self.obstacle(problem)
        if obstacle is not None:
            fault, cure = obstacle
            raise InputError("problem", Words(fault), cure)
        return problem

    def obstacle(self, problem: Problem) -> tuple[str, str] | None:
        """Why the formula does not apply to a problem, and what to do; None where it does."""
        model, statement = exact_model(problem), self._statement
        law = model.law.wishart
        if model.layers is None or problem.depth != self.depth:
            here = "is no linear network" if model.layers is None else f"has depth {problem.depth}"
            return (
                f"{here}, and the formula is of {self.depth} linear layers",
                "ask for linvar.trace_formula of that depth",
            )
        if problem.step != self.step:
            return f"has step={problem.step}, and the formula t = {self.step}", "use the formula of that step"
        if law is None or not problem.scheme.unbounded or problem.scheme.within_dataset:
            return (
                "is not of iid zero-mean normal inputs",
                "give law=linvar.Gaussian(teacher), without a mean, sampling='iid'",
            )
        if problem.momentum != 0:
            return "has momentum", "leave it out, or use linvar.derive"
        if problem.weight_decay != 0 and self.step and not statement.weight_decay:
            return "has weight_decay", "use linvar.trace_formula(..., weight_decay=True)"
        if statement.layer_rates:
            return "has one learning rate for all layers", "use table() or to_jax(), or the formula without layer_rates"
        if self.covariance == "identity" and not law.white:
            return "has a covariance or label noise", 'use linvar.trace_formula(..., covariance="general")'
        return None


def _by_length(item: tuple[tuple[Name, ...], int]) -> tuple[int, list[tuple[int, Name]]]:
    product, _ = item
    return len(product), [(len(name), name) for name in product]


@door
def trace_formula(
    depth: int = 2,
    step: int = 1,
    quantity: str = "variance",
    order: int | None = None,
    covariance: str = "identity",
    *,
    layer_rates: bool = False,
    weight_decay: bool = False,
    progress: bool | Progress | None = None,
) -> TraceFormula:
    """The gradient's variance of a linear network of EVERY width, as a formula in traces of products of its weights.

    For zero-mean normal inputs x ~ N(0, Sigma), targets y = W* x + noise, noise ~ N(0, v 1), and iid batches of b examples, after
    t steps of SGD: conventions as in ``linvar.gradient_variance``. With the letters E = (W_L ... W_1 - W*) Sigma^{1/2} and
    (two layers) P = W_2 W_1 Sigma^{1/2}, K = Sigma^{1/2} W_1^T W_1 Sigma^{1/2}, H = W_2 W_2^T, Z = Sigma, at t = 0

        var_0 = (1/b) ( tr E^T H E Z + tr E K E^T + tr Z tr E^T H E + tr K tr E E^T ).

    Label noise is an independent part of E, E -> [E, -v^{1/2} 1]: tr E E^T stands for tr(E E^T) + v d_L, and so does every E E^T
    within a word. The loss is half of its terms, tr E E^T/2 with d_L v/2 in it.

    Exact; derived by Stein's recursion on words (``linvar.symbolic.words``), in no more than some seconds for what is
    practical: two layers at t = 1 have 2,606 terms in 121 traces (8,515 in 1,177 for any covariance and label noise).

    Args:
        depth: L >= 1.
        step: t, 0 or 1.
        quantity: "variance", "second_moment", "squared_mean" (summed over layers), or "loss".
        order: the highest power of 1/b; all of them if None, which three layers at t = 1 do not allow (2 million terms).
        covariance: "identity" (no label noise either), or "general".
        layer_rates: a learning rate for each layer: powers are then of each (``TraceFormula.parameters``).
        weight_decay: W_l' = (1 - alpha weight_decay) W_l - alpha G_l: powers are then of alpha and of the factor kept.
        progress: as in ``linvar.derive``.

    Returns:
        A ``TraceFormula``.

    Raises:
        InputTypeError, InputError: an argument that is none of these.
        DerivationTooLargeError: it would take too long; said before it starts.

    >>> import linvar as lv
    >>> lv.trace_formula(depth=2, step=1)
    <variance of 2 layers at t = 1, identity covariance: 2,606 terms in 121 traces>

    Source: derived here; moments of Wishart matrices: Graczyk, Letac and Massam (2005), Redelmeier (arXiv:0910.5541), see
    ``linvar.symbolic.words.recursion``. Related expansions of SGD's noise: Ziyin et al. (arXiv:2102.05375), Gross et al.
    (arXiv:2311.14120).
    """
    statement = checked(depth, step, quantity, order, covariance, layer_rates, weight_decay)
    check_size(statement)
    seconds = predicted_seconds(statement)
    with reporting(
        progress, "trace formula", f"trace formula: {statement}, about {format_seconds(seconds)}", seconds
    ) as report:
        derived(statement, report)
    return TraceFormula(statement)
