"""The certificate of a rise: a problem in small rationals, its exact polynomial, and where that rises."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

from linvar.exact import Rational
from linvar.problem import Problem
from linvar.symbolic.answers import gradient_variance
from linvar.symbolic.plan import choose
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.symbolic.sgd.steps import Steps

#: Seconds that a certificate may take beyond the end of the time.
GRACE = 5.0


@dataclass(frozen=True)
class Certificate:
    """A rise that is proved.

    Attributes:
        problem: what rises, in small rationals.
        variance: its exact polynomial.
        rise: integers (low, high): the exact variance rises at every step from b = low to b = high = b_0.
        relative_rise: variance(high) / variance(low) - 1, exact; None where it rises from 0.
    """

    problem: Problem
    variance: BatchPolynomial
    rise: tuple[int, int]
    relative_rise: Rational | None


def certify(problems: Iterable[Problem], allows: Callable[[Problem], bool]) -> Certificate | None:
    """The first of some problems that rises, derived and decided exactly. None if none does, or one is not allowed.

    Args:
        problems: a point, rounded to ever more digits.
        allows: whether a problem's derivation may begin.
    """
    for problem in problems:
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
    start = variance(low)
    return Certificate(problem, variance, (low, high), Rational(variance(high) / start - 1) if start else None)


def seconds_of(problem: Problem) -> float:
    """How long the derivation of a problem is predicted to take.

    Raises:
        DerivationTooLargeError: it would not fit.
    """
    return choose(Steps(problem))[1].seconds


def significant(value: float, digits: int) -> Rational:
    """A float rounded to so many significant decimal digits, exact from then on."""
    return Rational(Fraction(f"{value:.{digits - 1}e}")) if value else Rational(0)
