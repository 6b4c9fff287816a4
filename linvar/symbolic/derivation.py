"""Exact derivations: one road through a problem, everything that is asked of it kept.

``derive`` chooses the road and says what does not fit before anything is computed; the functions of ``answers`` are
its one-line doors. Which road is taken, and what it will cost, is decided in ``plan``; what is asked of W_t is said in
``quantities``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from linvar.arguments import check_integer
from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.errors import cut, shown
from linvar.exact import ordered
from linvar.keywords import door
from linvar.problem import Problem
from linvar.progress import Progress, reporting
from linvar.symbolic.algebra.ring import Element
from linvar.symbolic.plan import check_problem, choose
from linvar.symbolic.quantities import (
    Asked,
    Loss,
    Polynomials,
    Quantity,
    SecondMoment,
    SquaredMean,
    Variance,
    WeightCovariance,
    Weights,
    symmetric,
)
from linvar.symbolic.result.matrix import PolynomialMatrix
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.symbolic.sgd.questions import Means, Question
from linvar.symbolic.sgd.road import Integrator, Road, RoadPlan, squared_means
from linvar.symbolic.sgd.steps import Steps
from linvar.symbolic.views import table_of_quantities, table_of_steps

if TYPE_CHECKING:
    from jaxtyping import PyTree

#: predictions are made for these
_PREDICTED = (Variance(), SecondMoment())


class Derivation(Tabular):
    """What is exact about a problem at step t, found on one road, each quantity when it is first asked for, and kept.

    G is the batch gradient, the MEAN of b per-example gradients of 1/2 ||P x - y||^2; expectations are given the INITIAL weights
    only. Exact: polynomial identities in 1/b, for every b >= 1 (without replacement for b = 1, ..., n).

    Attributes:
        problem: what was derived.
        road: the road taken, with its options.
        plan: what was predicted of it (``RoadPlan``).

    >>> import linvar as lv
    >>> exact = lv.derive(lv.Problem([[[1, 0]], [[2]]], lv.Gaussian([[3, 1]]), "1/10", 1))
    >>> exact.loss
    1417/5000 + 3353/5000 u + 529/2500 u^2 + 7/250 u^3    (u = 1/b, degree 3)
    >>> exact.second_moment - exact.squared_mean == exact.variance
    True
    """

    def __init__(
        self, steps: Steps, road: Road, plan: RoadPlan, integrator: Integrator, progress: bool | Progress | None
    ) -> None:
        self.problem, self.road, self.plan = steps.problem, road, plan
        self._steps = steps
        self._integrator, self._progress = integrator, progress
        self._answers: dict[Question, list[Element]] = {}
        self._squared: dict[str, list[Element]] = {}
        self._found: dict[Quantity, Polynomials] = {}

    def __repr__(self) -> str:
        return f"Derivation({self.problem!r}, road={self.road!r})"

    def __reduce__(self) -> tuple[object, ...]:  # what was found goes along, the road's own work does not
        return _restored, (self.problem, self.road, self.plan, self._found)

    def to_table(self) -> Table:
        """What was found so far, a row a quantity: its first terms, its degree, the number of its terms. Nothing is derived.

        >>> import linvar as lv
        >>> exact = lv.derive(lv.Problem([[[1, 0]], [[2]]], lv.Gaussian([[3, 1]])))
        >>> len(exact.to_table().rows), exact.variance.degree, len(exact.to_table().rows)
        (0, 1, 1)
        """
        return table_of_quantities(self.problem, self.plan, self._found)

    @property
    def variance(self) -> BatchPolynomial:
        """sum_l ( E ||G_l||_F^2 - ||E G_l||_F^2 ), the trace of the covariance of all entries (``gradient_variance``)."""
        return self.one(Variance())

    @property
    def update_variance(self) -> BatchPolynomial:
        """The same of W_{t+1} - W_t, the change that the next step makes: learning rate, momentum and decay included.

        Raises:
            InputError: the learning rate is a schedule, which has none for that update.
        """
        return self.one(Variance("update"))

    @property
    def second_moment(self) -> BatchPolynomial:
        """E ||G||_F^2, summed over layers and entries."""
        return self.one(SecondMoment())

    @property
    def squared_mean(self) -> BatchPolynomial:
        """||E G||_F^2, summed over layers and entries."""
        return self.one(SquaredMean())

    @property
    def loss(self) -> BatchPolynomial:
        """E[ 1/2 E||P_t x - y||^2 ], the inner expectation over a new example (``expected_loss``)."""
        return self.one(Loss())

    @property
    def weights(self) -> PyTree:
        """E W_t, in the structure of the weights: [l][row][column] of a linear network."""
        return self.problem.model.tree(self.all(Weights()), self.problem.leaves)

    @property
    def weight_covariance(self) -> PolynomialMatrix:
        """Cov(w_t), (P, P), a tuple of its rows: w the entries of W_1, ..., W_L, each matrix row by row."""
        count = sum(len(matrix) * len(matrix[0]) for matrix in self.problem.leaves)
        return PolynomialMatrix(symmetric(self.all(WeightCovariance()), count))

    @property
    def per_leaf(self) -> PerLeaf:
        """Variance, second moment and squared mean of each leaf of the weights."""
        return PerLeaf(self)

    def one(self, quantity: Quantity) -> BatchPolynomial:
        """A quantity that is one polynomial."""
        (found,) = self.all(quantity)
        return found

    def all(self, quantity: Quantity) -> Polynomials:
        """The polynomials of a quantity."""
        if quantity not in self._found:
            remark = "" if quantity in _PREDICTED else " (predicted for the variance)"
            with reporting(self._progress, self.plan.road, self.plan.cost + remark, self.plan.seconds) as report:
                asked = Asked(
                    self.problem,
                    self._integrator.answers,
                    lambda question: self._answer(question, report),
                    lambda of: self._squares(of, report),
                )
                self._found[quantity] = quantity.of_problem(asked)
        return self._found[quantity]

    def _answer(self, question: Question, report: Progress) -> list[Element]:
        """The road's answer, asked for once."""
        if question not in self._answers:
            self._steps.check_moments(question.degree(self.problem.degree))
            self._answers[question] = self._integrator.expectations(question, report)
        return self._answers[question]

    def _squares(self, of: str, report: Progress) -> list[Element]:
        """The squared means of the leaves, asked for once."""
        if of not in self._squared:
            self._steps.check_moments(Means(of).degree(self.problem.degree))
            sizes = [len(matrix) * len(matrix[0]) for matrix in self.problem.leaves]
            self._squared[of] = squared_means(self._integrator, of, sizes, report)
        return self._squared[of]


def _restored(problem: Problem, road: Road, plan: RoadPlan, found: dict[Quantity, Polynomials]) -> Derivation:
    """Undo ``__reduce__``: what was not found yet is derived when it is asked for."""
    steps = Steps(problem)
    (integrator,) = road.integrators(steps, [problem.step])
    derivation = Derivation(steps, road, plan, integrator, None)
    derivation._found = dict(found)
    return derivation


class Derivations(tuple[Derivation, ...], Tabular):
    """A tuple of derivations of one problem at several steps, shown as a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        steps = ", ".join(str(one.problem.step) for one in self)
        last = max(self, key=lambda one: one.problem.step, default=None)
        return "Derivations()" if last is None else f"Derivations(t = {cut(steps)}; {last!r})"

    def to_table(self) -> Table:
        """A row a step, with the variance where it was found. Nothing is derived."""
        return table_of_steps((one.problem, one.plan, one._found.get(Variance())) for one in self)


@dataclass(frozen=True)
class PerLeaf:
    """Each leaf of the weights by itself, in their structure: a tuple, W_1 first, of a linear network.

    They add up to those of the derivation.
    """

    derivation: Derivation

    def _tree(self, quantity: Quantity) -> PyTree:
        return self.derivation.problem.model.tree_of_leaves(self.derivation.all(quantity))

    @property
    def variance(self) -> PyTree:
        """E ||G_l||^2 - ||E G_l||^2 of each leaf l."""
        return self._tree(Variance(per_leaf=True))

    @property
    def update_variance(self) -> PyTree:
        """The same of W_{t+1} - W_t."""
        return self._tree(Variance("update", per_leaf=True))

    @property
    def second_moment(self) -> PyTree:
        """E ||G_l||^2 of each leaf l."""
        return self._tree(SecondMoment(per_leaf=True))

    @property
    def squared_mean(self) -> PyTree:
        """||E G_l||^2 of each leaf l."""
        return self._tree(SquaredMean(per_leaf=True))


@door
def derive(
    problem: Problem,
    road: Road | None = None,
    *,
    progress: bool | Progress | None = None,
    memory_limit: float | None = None,
) -> Derivation:
    """All that is exact about a problem at its step, on one road; what is asked for is computed then, and kept.

    Args:
        problem: the statement of the problem; numeric, or with SymPy symbols.
        road: ``Regression()``, ``Expansion()``, ``Traces()``, ``Lattice(...)`` or an object of your own
            (``linvar.symbolic.sgd.road.Road``); the one of the lowest predicted cost (``linvar.plan``) if None. The lattice
            returns fractions that three primes confirm, wrong with probability below 2^-65
            (``linvar.symbolic.roads.lattice.reconstruction``).
        progress: None says what a derivation of more than about ten seconds will cost and shows a bar, if standard error is a
            terminal (or a notebook with ipywidgets); True always shows one, False never; a function is called with
            (done, total) by the lattice and by formulas in traces, which count.
        memory_limit: bytes the derivation may take, >= 1; half of the machine's memory if None.

    Returns:
        A ``Derivation``.

    Raises:
        InputTypeError: an argument of the wrong type.
        InputError: the road does not apply to the problem, or its checkpoint is damaged or foreign; an argument out of range.
        DerivationTooLargeError: the predicted size is beyond the limit; raised before anything is computed.

    >>> import linvar as lv
    >>> problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]]), learning_rate="1/10", step=0)
    >>> exact = lv.derive(problem)
    >>> exact.variance, exact.per_leaf.variance, exact.plan.road
    (23 u    (u = 1/b, degree 1), (12 u    (u = 1/b, degree 1), 11 u    (u = 1/b, degree 1)), 'expansion')

    Next: ``linvar.derive_steps`` for several steps, ``linvar.verify`` for a check by simulation, ``linvar.large_batch`` where it
    is too large.
    """
    (found,) = derived([problem], road, progress, memory_limit)
    return found


@door
def derive_steps(
    problem: Problem,
    steps: Iterable[int],
    road: Road | None = None,
    *,
    progress: bool | Progress | None = None,
    memory_limit: float | None = None,
) -> Derivations:
    """The derivations at several t, in one sweep: steps that they share are made once.

    Args:
        problem: as in ``derive``; its own ``step`` does not matter. A schedule of learning rates is cut to the first t entries.
        steps: t for each, a list, tuple or range.
        road, progress, memory_limit: as in ``derive``.

    Returns:
        A tuple: one ``Derivation`` for each of ``steps``, in their order.

    Raises:
        InputError, InputTypeError, DerivationTooLargeError: as in ``derive``, for any of the steps, before any is computed.

    >>> import linvar as lv
    >>> problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]]), learning_rate="1/10", step=1)
    >>> [one.variance.degree for one in lv.derive_steps(problem, range(3))]
    [1, 6, 23]

    Next: ``linvar.plot_variance`` draws each, ``linvar.large_batch`` goes on where these grow too large.
    """
    check_problem(problem)
    cure = "give several in their order, like range(4)"
    cure += f", or one as linvar.derive(problem.replace(step={shown(steps)}))" if isinstance(steps, int) else ""
    at = [check_integer(t, f"steps[{place}]") for place, t in enumerate(ordered(steps, "steps", cure))]
    return derived([problem.at_step(t) for t in at], road, progress, memory_limit)


def derived(
    problems: Sequence[Problem],
    road: Road | None,
    progress: bool | Progress | None,
    memory_limit: float | None,
    among: Sequence[Road] = (),
) -> Derivations:
    """One problem at several steps: every size is checked first, then those of one road are given to it together."""
    for one in problems:
        check_problem(one)
    longest = Steps(max(problems, key=lambda one: one.step)) if problems else None
    if longest is None:
        return Derivations()
    chosen = [choose(longest.until(one.step), road, memory_limit, among) for one in problems]
    integrators: dict[tuple[Road, int], Integrator] = {}
    for taken in {taken: None for taken, _ in chosen}:
        at = sorted({one.step for one, (other, _) in zip(problems, chosen) if other == taken})
        integrators |= {
            (taken, t): found for t, found in zip(at, taken.integrators(longest.until(at[-1]), at), strict=True)
        }
    return Derivations(
        Derivation(longest.until(one.step), taken, plan, integrators[taken, one.step], progress)
        for one, (taken, plan) in zip(problems, chosen)
    )
