"""The entry points: choose the road, integrate, return the polynomial.

Linear regression (L = 1) takes the closed recursion of ``regression``, deeper networks are expanded (``expansion``). A
road is built from a problem and offers ``weights`` (W_t over its ring), ``ring``, ``answers`` (the ring of polynomials
in u = 1/b) and ``expectation`` (of a form in those weights); what is asked of W_t is said once, in ``last_step``, for
every road. A further road is a file beside them and a line in ``choose_road``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

from flint import fmpq

from linvar.problem import Problem
from linvar.symbolic.batch_moments import sampling_factor
from linvar.symbolic.expansion import Expansion
from linvar.symbolic.last_step import LastStep
from linvar.symbolic.network import squared_norm
from linvar.symbolic.polynomial import BatchPolynomial
from linvar.symbolic.regression import Regression
from linvar.symbolic.ring import Element, coefficients_of
from linvar.symbolic.size import check_fits


def gradient_variance(
    problem: Problem, *, per_layer: bool = False, steps: Iterable[int] | None = None, memory_limit: int | None = None
) -> Any:
    """Exact variance of the stochastic gradient after t steps, as a polynomial in 1/b.

    var_t = sum_l ( E ||G_{t,l}||_F^2 - ||E G_{t,l}||_F^2 ), where G is the batch gradient (the MEAN of b
    per-example gradients of 1/2 ||P x - y||^2): a scalar, the trace of the covariance of all entries, conditioned
    on the INITIAL weights only. Exact: a polynomial identity in 1/b, for every b >= 1 (1 <= b <= n without
    replacement). Iid sampling: the constant term is zero. Without replacement: a root at b = n when t = 0.

    Args:
        problem: the statement of the problem; numeric, or with SymPy symbols.
        per_layer: a tuple with the variance of each layer, W_1 first, in place of their sum.
        steps: several t at once, each in place of ``problem.step``: a tuple with one result each. A schedule of
            learning rates is cut to the first t entries.
        memory_limit: bytes the derivation may take; half of the machine's memory if None.

    Returns:
        A ``BatchPolynomial`` (a tuple of them with ``per_layer`` or ``steps``, a tuple of tuples with both).

    Raises:
        DerivationTooLargeError: the predicted size is beyond the limit; raised before anything is computed.

    >>> from linvar import Gaussian, Problem
    >>> problem = Problem([[[2]]], Gaussian(teacher=[[-1]]))
    >>> gradient_variance(problem).coefficients
    (0, 18)

    The problem is that of Qian & Klabjan, arXiv:2004.13146 (2020).
    """
    return _each(problem, steps, memory_limit, lambda parts: parts.variance(per_layer))


def second_moment(
    problem: Problem, *, per_layer: bool = False, steps: Iterable[int] | None = None, memory_limit: int | None = None
) -> Any:
    """Exact second moment E ||G_t||_F^2 of the stochastic gradient, as a polynomial in 1/b.

    Summed over layers and entries, given the initial weights only; arguments, result and errors as in
    ``gradient_variance``, which is ``second_moment(problem) - squared_mean(problem)``.

    >>> from linvar import Gaussian, Problem
    >>> second_moment(Problem([[[2]]], Gaussian(teacher=[[-1]]))).coefficients
    (9, 18)
    """
    return _each(problem, steps, memory_limit, lambda parts: parts.second_moment(per_layer))


def squared_mean(
    problem: Problem, *, per_layer: bool = False, steps: Iterable[int] | None = None, memory_limit: int | None = None
) -> Any:
    """Exact squared norm ||E G_t||_F^2 of the mean gradient, as a polynomial in 1/b.

    Summed over layers and entries, given the initial weights only; arguments, result and errors as in
    ``gradient_variance``.

    >>> from linvar import Gaussian, Problem
    >>> squared_mean(Problem([[[2]]], Gaussian(teacher=[[-1]]))).coefficients
    (9,)
    """
    return _each(problem, steps, memory_limit, lambda parts: parts.squared_mean(per_layer))


def expected_loss(problem: Problem, *, steps: Iterable[int] | None = None, memory_limit: int | None = None) -> Any:
    """Exact expected population loss E[ 1/2 E||P_t x - y||^2 ] after t steps, as a polynomial in 1/b.

    The inner expectation is over a new example (for a data set: the mean over its n rows), the outer one over the
    batches of the t updates. Factor 1/2, summed over output coordinates. Arguments, result and errors as in
    ``gradient_variance``.

    >>> from linvar import Gaussian, Problem
    >>> expected_loss(Problem([[[2]]], Gaussian(teacher=[[-1]]), learning_rate="1/10", step=1)).coefficients
    (729/200, 9/100)
    """
    return _each(problem, steps, memory_limit, lambda parts: parts.loss())


def _each(
    problem: Problem, steps: Iterable[int] | None, memory_limit: int | None, quantity: Callable[[_Parts], Any]
) -> Any:
    """The quantity at ``problem.step``, or a tuple of it at each of ``steps``; every size is checked first."""
    problems = [problem] if steps is None else [_at_step(problem, step) for step in steps]
    for one in problems:
        check_fits(one, memory_limit)
    results = tuple(quantity(_Parts(one)) for one in problems)
    return results[0] if steps is None else results


def _at_step(problem: Problem, step: int) -> Problem:
    """The problem measured after ``step`` updates; a schedule is cut to its first entries."""
    rate = problem.learning_rate
    if isinstance(rate, tuple):
        if isinstance(step, int) and step > len(rate):
            raise ValueError(
                f"steps contains {step}, but learning_rate is a schedule of {len(rate)} entries: give one for each update"
            )
        rate = rate[: max(step, 0)]
    return problem.replace(step=step, learning_rate=rate)


def choose_road(problem: Problem) -> Expansion | Regression:
    """The road that reaches this problem."""
    return Regression(problem) if problem.depth == 1 else Expansion(problem)


class _Parts:
    """The two moments of each layer and the loss, integrated when first asked for."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.road = choose_road(problem)

    @cached_property
    def _last(self) -> LastStep:
        return LastStep(self.road.weights, self.problem.law, self.road.ring)

    def second_moment(self, per_layer: bool) -> Any:
        """E ||G_l||^2 = (1 - c) E ||gbar_l||^2 + c E ||g_l||^2."""
        means = [squared_norm(gradient) for gradient in self._last.mean_gradients()]
        examples = self._last.example_second_moments()
        if not per_layer:
            means, examples = [sum(means[1:], means[0])], [sum(examples[1:], examples[0])]
        factor = sampling_factor(self.road.answers, self.problem.sampling, self.problem.dataset_size)
        results = []
        for mean, example in zip(means, examples):
            expected = self.road.expectation(mean)
            results.append(expected + factor * (self.road.expectation(example) - expected))
        return self._wrap(results, self.problem.degree_bound, per_layer)

    def squared_mean(self, per_layer: bool) -> Any:
        """||E G_l||^2, entry by entry."""
        expectation, zero = self.road.expectation, self.road.answers.zero
        results = [
            sum((expectation(entry) ** 2 for row in gradient for entry in row), zero)
            for gradient in self._last.mean_gradients()
        ]
        odd = 2 * self.problem.depth - 1
        bound = 2 * sum(odd**j - 1 for j in range(1, self.problem.step + 1))
        return self._wrap(results if per_layer else [sum(results, zero)], bound, per_layer)

    def variance(self, per_layer: bool) -> Any:
        """The difference of the two."""
        second, squared = self.second_moment(per_layer), self.squared_mean(per_layer)
        return tuple(a - b for a, b in zip(second, squared)) if per_layer else second - squared

    def loss(self) -> BatchPolynomial:
        """Half of E ||P x - y||^2 at W_t."""
        odd, depth, step = 2 * self.problem.depth - 1, self.problem.depth, self.problem.step
        bound = sum(2 * depth * odd**j - 1 for j in range(step))
        loss: BatchPolynomial = self._wrap(
            [self.road.expectation(self._last.doubled_loss()) * fmpq(1, 2)], bound, False
        )
        return loss

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
