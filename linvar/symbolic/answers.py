"""One quantity of a problem: one-line doors to ``linvar.derive``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linvar.keywords import door
from linvar.problem import Problem
from linvar.progress import Progress
from linvar.symbolic.derivation import derive
from linvar.symbolic.plan import check_problem
from linvar.symbolic.quantities import SecondMoment, SquaredMean, Variance, check_measured
from linvar.symbolic.result.matrix import PolynomialMatrix
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.symbolic.sgd.road import Road

if TYPE_CHECKING:
    from jaxtyping import PyTree


@door
def gradient_variance(
    problem: Problem,
    road: Road | None = None,
    *,
    of: str = "gradient",
    progress: bool | Progress | None = None,
    memory_limit: float | None = None,
) -> BatchPolynomial:
    """Exact variance of the stochastic gradient after t steps, as a polynomial in 1/b.

    var_t = sum_l ( E ||G_{t,l}||_F^2 - ||E G_{t,l}||_F^2 ), where G is the batch gradient (the MEAN of b
    per-example gradients of 1/2 ||P x - y||^2): a scalar, the trace of the covariance of all entries, conditioned
    on the INITIAL weights only. Exact: a polynomial identity in 1/b, for every b >= 1; without replacement its values at
    b = 1, ..., n are exact, and only these have a meaning: the polynomial is the one of degree below n that has them.
    Iid sampling: the constant term is zero. Without replacement: a root at b = n.

    Args:
        problem: the statement of the problem; numeric, or with SymPy symbols.
        road: as in ``linvar.derive``.
        of: "gradient", the gradient of the loss, whatever the momentum and weight decay of the steps before; or "update",
            the change W_{t+1} - W_t that the next step makes of it (learning rate, momentum and decay included).
        progress, memory_limit: as in ``linvar.derive``.

    Returns:
        A ``BatchPolynomial``. Of each layer: ``linvar.derive(problem).per_leaf.variance``; at several steps:
        ``linvar.derive_steps``; the first coefficients only: ``linvar.large_batch``.

    Raises:
        InputError, InputTypeError: ``of`` is unknown, or "update" with a schedule of learning rates (which has none for that
            update); others as in ``linvar.derive``.
        DerivationTooLargeError: the predicted size is beyond the limit; raised before anything is computed.

    >>> import linvar as lv
    >>> problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]]), learning_rate="1/10", step=1)
    >>> variance = lv.gradient_variance(problem.replace(step=0))
    >>> variance, variance(64)
    (23 u    (u = 1/b, degree 1), 23/64)
    >>> lv.gradient_variance(problem).degree
    6

    Source of the question: Qian & Klabjan, arXiv:2004.13146 (2020).

    Next: ``linvar.derive`` for everything else of one derivation, ``linvar.verify`` checks it, ``linvar.plot_variance`` draws it,
    ``linvar.plan`` says what it costs.
    """
    return _measured(problem, road, progress, memory_limit, Variance(of))


@door
def second_moment(
    problem: Problem,
    road: Road | None = None,
    *,
    of: str = "gradient",
    progress: bool | Progress | None = None,
    memory_limit: float | None = None,
) -> BatchPolynomial:
    """Exact second moment E ||G_t||_F^2 of the stochastic gradient, as a polynomial in 1/b.

    Summed over layers and entries, given the initial weights only; arguments, result and errors as in
    ``gradient_variance``, which is ``second_moment(problem) - squared_mean(problem)``.

    >>> import linvar as lv
    >>> problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]]), learning_rate="1/10", step=0)
    >>> lv.second_moment(problem)
    9 + 23 u    (u = 1/b, degree 1)

    Next: ``linvar.squared_mean`` and ``linvar.gradient_variance``, its two parts.
    """
    return _measured(problem, road, progress, memory_limit, SecondMoment(of))


@door
def squared_mean(
    problem: Problem,
    road: Road | None = None,
    *,
    of: str = "gradient",
    progress: bool | Progress | None = None,
    memory_limit: float | None = None,
) -> BatchPolynomial:
    """Exact squared norm ||E G_t||_F^2 of the mean gradient, as a polynomial in 1/b.

    Summed over layers and entries, given the initial weights only; arguments, result and errors as in
    ``gradient_variance``.

    >>> import linvar as lv
    >>> problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]]), learning_rate="1/10", step=1)
    >>> lv.squared_mean(problem)
    1122071/500000 + 75373/50000 u - 14837/500000 u^2 - 7687/62500 u^3 + 333/25000 u^4    (u = 1/b, degree 4)

    Next: ``linvar.gradient_variance``, what is left of ``linvar.second_moment``.
    """
    return _measured(problem, road, progress, memory_limit, SquaredMean(of))


def _measured(
    problem: Problem,
    road: Road | None,
    progress: bool | Progress | None,
    memory_limit: float | None,
    quantity: Variance | SecondMoment | SquaredMean,
) -> BatchPolynomial:
    """A quantity of the gradient or of the update."""
    check_problem(problem)
    check_measured(quantity.of, problem)
    return derive(problem, road, progress=progress, memory_limit=memory_limit).one(quantity)


@door
def expected_loss(
    problem: Problem,
    road: Road | None = None,
    *,
    progress: bool | Progress | None = None,
    memory_limit: float | None = None,
) -> BatchPolynomial:
    """Exact expected population loss E[ 1/2 E||P_t x - y||^2 ] after t steps, as a polynomial in 1/b.

    The inner expectation is over a new example (for a data set: the mean over its n rows), the outer one over the
    batches of the t updates. Factor 1/2, summed over output coordinates. Arguments, result and errors as in
    ``gradient_variance``.

    >>> import linvar as lv
    >>> problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]]), learning_rate="1/10", step=1)
    >>> lv.expected_loss(problem)
    3389/10000 + 2139/5000 u - 2041/10000 u^2 + 259/5000 u^3    (u = 1/b, degree 3)

    Next: ``linvar.derive_steps`` for the loss at several steps at once, ``linvar.compare_batch_sizes`` for the batch size with
    the lowest one.
    """
    return derive(problem, road, progress=progress, memory_limit=memory_limit).loss


@door
def expected_weights(
    problem: Problem,
    road: Road | None = None,
    *,
    progress: bool | Progress | None = None,
    memory_limit: float | None = None,
) -> PyTree:
    """Exact mean E W_t of the weights after t steps, entry by entry: polynomials in 1/b.

    Given the initial weights. Free of b for linear regression (L = 1). Arguments and errors as in ``gradient_variance``.

    Returns:
        A ``BatchPolynomial`` for each entry, in the structure of the weights: of linear networks ``[l][row][column]``, W_1 first;
        of a loss the pytree that it was given.

    >>> import linvar as lv
    >>> problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]]), learning_rate="1/10", step=2)
    >>> lv.expected_weights(problem.replace(learning_rate="1/2"))[1]
    ((5/8 - 9/8 u + 15/4 u^2    (u = 1/b, degree 2), 1/4 - 7/4 u + 15/4 u^2    (u = 1/b, degree 2)),)

    Next: ``linvar.weight_covariance``, how far the weights stray from it.
    """
    return derive(problem, road, progress=progress, memory_limit=memory_limit).weights


@door
def weight_covariance(
    problem: Problem,
    road: Road | None = None,
    *,
    progress: bool | Progress | None = None,
    memory_limit: float | None = None,
) -> PolynomialMatrix:
    """Exact covariance of the weights after t steps, Cov(w_t) = E w w^T - E w E w^T: polynomials in 1/b.

    Given the initial weights; w has the entries of W_1, ..., W_L, each matrix row by row: P of them. Arguments and errors as in
    ``gradient_variance``.

    Returns:
        A (P, P) matrix of ``BatchPolynomial``, a tuple of its rows that a notebook shows as a matrix; its trace is the variance
        of the weights.

    >>> import linvar as lv
    >>> problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]]), learning_rate="1/10", step=1)
    >>> covariance = lv.weight_covariance(problem)
    >>> len(covariance), sum(covariance[i][i] for i in range(6))
    (6, 23/100 u    (u = 1/b, degree 1))

    Next: ``linvar.expected_weights``, their mean.
    """
    return derive(problem, road, progress=progress, memory_limit=memory_limit).weight_covariance
