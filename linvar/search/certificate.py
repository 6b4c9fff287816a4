"""The certificate of a rise: the problem of a point, rounded, its exact polynomial, and where that rises."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from linvar.exact import Rational
from linvar.laws.gaussian import Gaussian
from linvar.problem import Problem
from linvar.symbolic.answers import gradient_variance
from linvar.symbolic.plan import choose
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.symbolic.sgd.steps import Steps

#: Significant digits to which a point is rounded, in this order.
_DIGITS = (2, 3, 4, 5, 6)
#: Seconds that a certificate may take beyond the end of the time.
GRACE = 5.0


@dataclass(frozen=True)
class Certificate:
    """A rise that is proved.

    Attributes:
        problem: widths 1, with small rational entries.
        variance: its exact polynomial.
        rise: integers (low, high): the exact variance rises at every step from b = low to b = high = b_0.
        relative_rise: variance(high) / variance(low) - 1, exact.
    """

    problem: Problem
    variance: BatchPolynomial
    rise: tuple[int, int]
    relative_rise: Rational


def certify(point: np.ndarray, depth: int, step: int, allows: Callable[[Problem], bool]) -> Certificate | None:
    """Round to as few digits as keep a rise; derive and decide exactly. None if no rounding does, or one is not allowed.

    Args:
        point: as in ``objective.py``.
        depth, step: L and t.
        allows: whether a problem's derivation may begin.
    """
    for digits in _DIGITS:
        problem = rounded(point, depth, step, digits)
        if not allows(problem):
            return None
        if (certificate := _decided(problem, gradient_variance(problem))) is not None:
            return certificate
    return None


def _decided(problem: Problem, variance: BatchPolynomial) -> Certificate | None:
    """The last rise before b_0, where there is one."""
    high = variance.decreasing_from()
    if high is None or high == 1:
        return None
    low = high - 1
    if not variance(low) < variance(high):
        return None
    while low > 1 and variance(low - 1) < variance(low):
        low -= 1
    return Certificate(problem, variance, (low, high), Rational(variance(high) / variance(low) - 1))


def seconds_of(problem: Problem) -> float:
    """How long the derivation of a problem is predicted to take.

    Raises:
        DerivationTooLargeError: it would not fit.
    """
    return choose(Steps(problem))[1].seconds


def rounded(point: np.ndarray, depth: int, step: int, digits: int) -> Problem:
    """The problem of a point: weights of geometric mean 1, every number rounded to this many significant digits."""
    x, gap = np.exp(point[:depth]), float(np.exp(point[depth]))  # x_k and 1 - tau
    scale = float(np.exp(np.mean(np.log(x))))
    weights = [_significant(math.sqrt(scale / value), digits) for value in x]  # w_k^2 in proportion to 1 / x_k
    product = float(math.prod(weights))
    teacher = _significant((1 - gap) * product, digits)  # T = tau P
    rate = _significant(scale / (product * (product - float(teacher))), digits)  # x_k w_k^2 = alpha P (P - T)
    noise = Rational(0)
    if len(point) > depth + 1:
        noise = _significant((math.exp(float(point[depth + 1])) * product) ** 2, digits)
    return Problem([[[weight]] for weight in weights], Gaussian([[teacher]], noise_variance=noise), rate, step)


def _significant(value: float, digits: int) -> Rational:
    """A float rounded to so many significant decimal digits, exact from then on."""
    return Rational(f"{value:.{digits - 1}e}") if value else Rational(0)
