"""The entry points: choose the road, integrate, return the polynomial.

Which road is taken, and what it will cost, is decided in ``plan``. What is asked of W_t is said once, as forms in the state
(``last_step``), for every road (``road``): a further one is a file beside them, its cost in ``plan``, and a line in
``_build_road``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import combinations_with_replacement
from typing import Any

from flint import fmpq

from linvar.arguments import check_flags
from linvar.errors import InputError, InputTypeError, Words, shown
from linvar.exact import ordered
from linvar.problem import Problem
from linvar.progress import Report, reporting
from linvar.symbolic.algebra.ring import Element, coefficients_of
from linvar.symbolic.plan import check_problem, choose
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.symbolic.roads.expansion.road import Expansion
from linvar.symbolic.roads.large_batch.road import LargeBatch
from linvar.symbolic.roads.regression.road import Regression
from linvar.symbolic.sgd.batch_moments import sampling_factor
from linvar.symbolic.sgd.last_step import OF, LastStep
from linvar.symbolic.sgd.road import Road
from linvar.symbolic.sgd.update import State
from linvar.text_files import checked_path

Polynomials = tuple[tuple[BatchPolynomial, ...], ...]


def gradient_variance(
    problem: Problem,
    *,
    of: str = "gradient",
    per_layer: bool = False,
    steps: Iterable[int] | None = None,
    order: int | None = None,
    digits: int | None = None,
    method: str = "auto",
    memory_limit: float | None = None,
    progress: bool | Report | None = None,
    checkpoint: str | None = None,
) -> Any:
    """Exact variance of the stochastic gradient after t steps, as a polynomial in 1/b.

    var_t = sum_l ( E ||G_{t,l}||_F^2 - ||E G_{t,l}||_F^2 ), where G is the batch gradient (the MEAN of b
    per-example gradients of 1/2 ||P x - y||^2): a scalar, the trace of the covariance of all entries, conditioned
    on the INITIAL weights only. Exact: a polynomial identity in 1/b, for every b >= 1; without replacement its values at
    b = 1, ..., n are exact, and only these have a meaning: the polynomial is the one of degree below n that has them.
    Iid sampling: the constant term is zero. Without replacement: a root at b = n. The lattice returns fractions that three
    primes confirm, wrong with probability below 2^-65 (``linvar.symbolic.roads.lattice.reconstruction``).

    Args:
        problem: the statement of the problem; numeric, or with SymPy symbols.
        of: "gradient", the gradient of the loss, whatever the momentum and weight decay of the steps before; or "update",
            the change W_{t+1} - W_t that the next step makes of it (learning rate, momentum and decay included).
        per_layer: a tuple with the variance of each layer, W_1 first, in place of their sum.
        steps: several t at once, a list, tuple or range, each in place of ``problem.step``: a tuple with one result each. A
            schedule of learning rates is cut to the first t entries.
        order: K, for the coefficients of 1, ..., (1/b)^K only, which any number of steps allows: a ``LargeBatchExpansion``
            (iid sampling).
        digits: with ``order``: enclosures with this many certified digits in place of exact fractions, whose digits grow
            (2L-1)-fold with every step.
        method: "auto" takes the road of the lowest predicted cost (``linvar.plan``); or its name: "regression", "expansion",
            "lattice".
        memory_limit: bytes the derivation may take, >= 1; half of the machine's memory if None.
        progress: None says what a derivation of more than about ten seconds will cost and shows a bar, if standard error is a
            terminal (or a notebook with ipywidgets); True always shows one, False never; a function is called with
            (done, total) by the lattice road, which alone counts.
        checkpoint: a file that keeps what is finished; an interrupted derivation goes on from it. Only the lattice keeps one:
            refused where another road is taken.

    Returns:
        A ``BatchPolynomial`` (a tuple of them with ``per_layer`` or ``steps``, a tuple of tuples with both).

    Raises:
        InputError: ``of`` is unknown, or "update" with a schedule of learning rates (which has none for that update); another
            argument out of range, or a checkpoint that is damaged, foreign, or of no use.
        InputTypeError: an argument of the wrong type.
        DerivationTooLargeError: the predicted size is beyond the limit; raised before anything is computed.

    >>> from linvar import Gaussian, Problem
    >>> problem = Problem([[[2]]], Gaussian(teacher=[[-1]]))
    >>> gradient_variance(problem).coefficients
    (0, 18)

    The problem is that of Qian & Klabjan, arXiv:2004.13146 (2020).
    """
    check_flags(per_layer=per_layer)
    how = How(order, digits, method, memory_limit, progress, checkpoint)
    return _each(problem, steps, how, lambda parts: parts.variance(per_layer), of)


def second_moment(
    problem: Problem,
    *,
    of: str = "gradient",
    per_layer: bool = False,
    steps: Iterable[int] | None = None,
    order: int | None = None,
    digits: int | None = None,
    method: str = "auto",
    memory_limit: float | None = None,
    progress: bool | Report | None = None,
    checkpoint: str | None = None,
) -> Any:
    """Exact second moment E ||G_t||_F^2 of the stochastic gradient, as a polynomial in 1/b.

    Summed over layers and entries, given the initial weights only; arguments, result and errors as in
    ``gradient_variance``, which is ``second_moment(problem) - squared_mean(problem)``.

    >>> from linvar import Gaussian, Problem
    >>> second_moment(Problem([[[2]]], Gaussian(teacher=[[-1]]))).coefficients
    (9, 18)
    """
    check_flags(per_layer=per_layer)
    how = How(order, digits, method, memory_limit, progress, checkpoint)
    return _each(problem, steps, how, lambda parts: parts.second_moment(per_layer), of)


def squared_mean(
    problem: Problem,
    *,
    of: str = "gradient",
    per_layer: bool = False,
    steps: Iterable[int] | None = None,
    order: int | None = None,
    digits: int | None = None,
    method: str = "auto",
    memory_limit: float | None = None,
    progress: bool | Report | None = None,
    checkpoint: str | None = None,
) -> Any:
    """Exact squared norm ||E G_t||_F^2 of the mean gradient, as a polynomial in 1/b.

    Summed over layers and entries, given the initial weights only; arguments, result and errors as in
    ``gradient_variance``.

    >>> from linvar import Gaussian, Problem
    >>> squared_mean(Problem([[[2]]], Gaussian(teacher=[[-1]]))).coefficients
    (9,)
    """
    check_flags(per_layer=per_layer)
    how = How(order, digits, method, memory_limit, progress, checkpoint, predicted=False)
    return _each(problem, steps, how, lambda parts: parts.squared_mean(per_layer), of)


def expected_loss(
    problem: Problem,
    *,
    steps: Iterable[int] | None = None,
    order: int | None = None,
    digits: int | None = None,
    method: str = "auto",
    memory_limit: float | None = None,
    progress: bool | Report | None = None,
    checkpoint: str | None = None,
) -> Any:
    """Exact expected population loss E[ 1/2 E||P_t x - y||^2 ] after t steps, as a polynomial in 1/b.

    The inner expectation is over a new example (for a data set: the mean over its n rows), the outer one over the
    batches of the t updates. Factor 1/2, summed over output coordinates. Arguments, result and errors as in
    ``gradient_variance``.

    >>> from linvar import Gaussian, Problem
    >>> expected_loss(Problem([[[2]]], Gaussian(teacher=[[-1]]), learning_rate="1/10", step=1)).coefficients
    (729/200, 9/100)
    """
    how = How(order, digits, method, memory_limit, progress, checkpoint, predicted=False)
    return _each(problem, steps, how, lambda parts: parts.loss())


def expected_weights(
    problem: Problem,
    *,
    order: int | None = None,
    digits: int | None = None,
    method: str = "auto",
    memory_limit: float | None = None,
    progress: bool | Report | None = None,
    checkpoint: str | None = None,
) -> tuple[Polynomials, ...]:
    """Exact mean E W_t of the weights after t steps, entry by entry: polynomials in 1/b.

    Given the initial weights. Free of b for linear regression (L = 1). Arguments as in ``gradient_variance``.

    Returns:
        A matrix of ``BatchPolynomial`` for each layer, W_1 first, in the shape of the weights: ``[l][row][column]``.

    Raises:
        DerivationTooLargeError: as in ``gradient_variance``.

    >>> from linvar import Gaussian, Problem
    >>> expected_weights(Problem([[[1]], [[1]]], Gaussian([[0]]), learning_rate="1/2", step=2))[0]
    ((7/16 - 3/8 u + 1/2 u^2    (u = 1/b, degree 2),),)
    """
    how = How(order, digits, method, memory_limit, progress, checkpoint, predicted=False)
    entries = iter(_each(problem, None, how, lambda parts: parts.weights()))
    return tuple(tuple(tuple(next(entries) for _ in row) for row in matrix) for matrix in problem.weights)


def weight_covariance(
    problem: Problem,
    *,
    order: int | None = None,
    digits: int | None = None,
    method: str = "auto",
    memory_limit: float | None = None,
    progress: bool | Report | None = None,
    checkpoint: str | None = None,
) -> Polynomials:
    """Exact covariance of the weights after t steps, Cov(w_t) = E w w^T - E w E w^T: polynomials in 1/b.

    Given the initial weights; w has the entries of W_1, ..., W_L, each matrix row by row: P of them. Arguments as in
    ``gradient_variance``.

    Returns:
        A (P, P) matrix of ``BatchPolynomial``; its trace is the variance of the weights.

    Raises:
        DerivationTooLargeError: as in ``gradient_variance``.

    >>> from linvar import Gaussian, Problem
    >>> weight_covariance(Problem([[[2]]], Gaussian([[-1]]), learning_rate="1/10", step=1))
    ((9/50 u    (u = 1/b, degree 1),),)
    """
    how = How(order, digits, method, memory_limit, progress, checkpoint, predicted=False)
    pairs = _each(problem, None, how, lambda parts: parts.covariances())
    count = sum(len(matrix) * len(matrix[0]) for matrix in problem.weights)
    return tuple(tuple(pairs[min(i, j), max(i, j)] for j in range(count)) for i in range(count))


@dataclass(frozen=True)
class How:
    """The ways of a derivation, as the entry points take them; ``predicted`` if plans are for this very quantity."""

    order: int | None
    digits: int | None
    method: str
    memory_limit: float | None
    progress: bool | Report | None = None
    checkpoint: str | None = None
    predicted: bool = True


def _each(
    problem: Problem,
    steps: Iterable[int] | None,
    how: How,
    quantity: Callable[[_Parts | LargeBatch], Any],
    of: str = "gradient",
) -> Any:
    """The quantity at ``problem.step``, or a tuple of it at each of ``steps``; every size is checked first."""
    check_problem(problem)
    if not isinstance(of, str):
        raise InputTypeError("of", of, "write 'gradient' or 'update'")
    if of not in OF:
        raise InputError("of", of, "write 'gradient' or 'update'", fault="is unknown")
    _check_checkpoint(how, steps is not None)
    problems = [problem]
    if steps is not None:
        cure = "give several in their order, like range(4)"
        cure += f", or one as problem.replace(step={shown(steps)})" if isinstance(steps, int) else ""
        problems = [_at_step(problem, step) for step in ordered(steps, "steps", cure)]
    for one in problems:
        if of == "update" and isinstance(one.learning_rate, tuple):
            fault = f"with a schedule of {one.step} learning rates, none of which is for the update measured"
            raise InputError("of", of, "give one learning_rate", fault=fault)
    plans = [choose(one, how.method, how.memory_limit, how.order, how.digits) for one in problems]
    if how.checkpoint is not None and plans[0].road != "lattice":
        fault = f"has no use here ({plans[0].cost}): only the lattice keeps what is finished"
        raise InputError("checkpoint", how.checkpoint, "leave it out, or use method='lattice'", fault=fault)
    results = []
    for one, plan in zip(problems, plans):
        cost = plan.cost if steps is None else f"step={one.step}, {plan.cost}"
        remark = "" if how.predicted else " (predicted for the variance)"
        with reporting(how.progress, plan.road, cost + remark, plan.seconds) as report:
            parts = (
                _Parts(one, plan.road, replace(how, progress=report), of)
                if how.order is None
                else LargeBatch(one, how.order, how.digits, of)
            )
            results.append(quantity(parts))
    return results[0] if steps is None else tuple(results)


def _check_checkpoint(how: How, several: bool) -> None:
    """Refuse a checkpoint that no road would keep, or that is no path."""
    if how.checkpoint is None:
        return
    name = checked_path(how.checkpoint, "checkpoint")
    if several:
        raise InputError(
            "checkpoint", name, "ask for one step", fault="with several steps, where a file holds one problem"
        )
    if how.order is not None or how.method not in ("auto", "lattice"):
        asked = f"order={shown(how.order)}" if how.order is not None else f"method={shown(how.method)}"
        fault = f"with {asked}, where only the lattice keeps what is finished"
        raise InputError("checkpoint", name, "leave it out, or use method='lattice'", fault=fault)


def _at_step(problem: Problem, step: int) -> Problem:
    """The problem measured after ``step`` updates; a schedule is cut to its first entries."""
    rate = problem.learning_rate
    if isinstance(rate, tuple) and isinstance(step, int):
        if step > len(rate):
            fault = Words(f"contains {shown(step)}, but learning_rate is a schedule of {len(rate)} entries")
            raise InputError("steps", fault, "give one for each update")
        rate = rate[: max(step, 0)]
    return problem.replace(step=step, learning_rate=rate)


def _build_road(problem: Problem, road: str, how: How) -> Road:
    """A road by its name."""
    if road == "lattice":  # the only road that loads JAX
        from linvar.symbolic.roads.lattice.road import Lattice

        return Lattice(problem, checkpoint=how.checkpoint, progress=how.progress)
    return Regression(problem) if road == "regression" else Expansion(problem)


class _Parts:
    """What is asked of a problem, integrated by its road."""

    def __init__(self, problem: Problem, road: str, how: How, of: str = "gradient") -> None:
        self.problem = problem
        self.of = of
        self.road = _build_road(problem, road, how)
        self._lasts: dict[int, LastStep] = {}

    def _last(self, state: State, ring: Any) -> LastStep:
        """The last step over a road's ring; a road that keeps its state computes it once."""
        if id(state) not in self._lasts:
            self._lasts[id(state)] = LastStep(state, self.problem, ring, self.of)
        return self._lasts[id(state)]

    def second_moment(self, per_layer: bool) -> Any:
        """E ||G_l||^2 = E ||gbar_l||^2 + c E (spread of one example's g_l)."""

        def forms(state: State, ring: Any) -> list[Any]:
            last = self._last(state, ring)
            means, spreads = last.norms(), last.spreads()
            return [*means, *spreads] if per_layer else [sum(means[1:], means[0]), sum(spreads[1:], spreads[0])]

        values = self.road.expectations(forms, 4 * self.problem.depth - 2)
        factor = sampling_factor(self.road.answers, self.problem.sampling, self.problem.dataset_size)
        half = len(values) // 2
        results = [mean + factor * spread for mean, spread in zip(values[:half], values[half:])]
        return self._wrap(results, self.problem.degree_bound, per_layer)

    def squared_mean(self, per_layer: bool) -> Any:
        """||E G_l||^2, entry by entry."""

        def forms(state: State, ring: Any) -> list[Any]:
            return [entry for matrix in self._last(state, ring).means() for row in matrix for entry in row]

        entries = iter(self.road.expectations(forms, 2 * self.problem.depth - 1))
        zero = self.road.answers.zero
        results = [sum((next(entries) ** 2 for row in matrix for _ in row), zero) for matrix in self.problem.weights]
        bound = 2 * self._bound(2 * self.problem.depth - 1)
        return self._wrap(results if per_layer else [sum(results, zero)], bound, per_layer)

    def variance(self, per_layer: bool) -> Any:
        """The difference of the two."""
        second, squared = self.second_moment(per_layer), self.squared_mean(per_layer)
        found = tuple(a - b for a, b in zip(second, squared)) if per_layer else (second - squared,)
        if self.problem.sampling == "iid" and any(one._elements[0] for one in found):
            raise ArithmeticError(
                f"the variance of {self.problem!r} does not vanish as the batch size grows: a fault of the machine, or a bug "
                f"(please report it)"
            )
        return found if per_layer else found[0]

    def loss(self) -> BatchPolynomial:
        """Half of E ||P x - y||^2 at W_t."""
        (doubled,) = self.road.expectations(
            lambda state, ring: [self._last(state, ring).doubled_loss()], 2 * self.problem.depth
        )
        loss: BatchPolynomial = self._wrap([doubled * fmpq(1, 2)], self._bound(2 * self.problem.depth), False)
        return loss

    def weights(self) -> list[BatchPolynomial]:
        """E of every entry of W_t."""
        means = self.road.expectations(lambda state, ring: _entries(state), 1)
        return list(self._wrap(means, self._bound(1), True))

    def covariances(self) -> dict[tuple[int, int], BatchPolynomial]:
        """Cov of the entries i <= j of W_t."""
        count = sum(len(matrix) * len(matrix[0]) for matrix in self.problem.weights)
        pairs = list(combinations_with_replacement(range(count), 2))

        def forms(state: State, ring: Any) -> list[Any]:
            entries = _entries(state)
            return [entries[i] * entries[j] for i, j in pairs]

        means = self.road.expectations(lambda state, ring: _entries(state), 1)
        products = self.road.expectations(forms, 2)
        values = [value - means[i] * means[j] for value, (i, j) in zip(products, pairs)]
        return dict(zip(pairs, self._wrap(values, self._bound(2), True)))

    def _bound(self, degree: int) -> int:
        """Degree in 1/b of the expectation of a form of this degree in the state."""
        odd = 2 * self.problem.depth - 1
        return sum(degree * odd**j - 1 for j in range(self.problem.step))

    def _wrap(self, results: list[Element], degree_bound: int, per_layer: bool) -> Any:
        """Elements of the ring of answers as BatchPolynomials."""
        problem, ring = self.problem, self.road.answers
        polynomials = tuple(
            BatchPolynomial(
                coefficients_of(result, ring),
                ring=ring.scalars,
                sampling=problem.sampling,
                dataset_size=problem.dataset_size,
                degree_bound=degree_bound,
            )
            for result in results
        )
        return polynomials if per_layer else polynomials[0]


def _entries(state: State) -> list[Any]:
    """The entries of the weights, layer by layer, row by row."""
    return [entry for matrix in state.weights for row in matrix for entry in row]
