"""Moments of the independent coordinates of ``Independent``."""

from __future__ import annotations

from fractions import Fraction
from functools import singledispatch
from math import inf

from linvar.errors import InputTypeError
from linvar.laws.coordinates import Coordinate, Moments, Normal, Rademacher, Uniform


@singledispatch
def moments_of(coordinate: Coordinate, order: int) -> list[Fraction]:
    """E z^k for k = 0..order; as far as they are known (``known_order``).

    >>> moments_of(Uniform(0, 1), 3)
    [1, 1/2, 1/3, 1/4]
    """
    raise InputTypeError("coordinates", coordinate, "register its moments with moments_of", fault="has no moments here")


@moments_of.register
def _(coordinate: Normal, order: int) -> list[Fraction]:
    """E z^k = mean E z^{k-1} + (k-1) variance E z^{k-2}."""
    found = [Fraction(1), Fraction(coordinate.mean)]
    for k in range(2, order + 1):
        found.append(coordinate.mean * found[-1] + coordinate.variance * (k - 1) * found[-2])
    return found[: order + 1]


@moments_of.register
def _(coordinate: Uniform, order: int) -> list[Fraction]:
    """E z^k = (high^{k+1} - low^{k+1}) / ((k+1) (high - low))."""
    low, high = coordinate.low, coordinate.high
    return [Fraction(high ** (k + 1) - low ** (k + 1)) / ((k + 1) * (high - low)) for k in range(order + 1)]


@moments_of.register
def _(coordinate: Rademacher, order: int) -> list[Fraction]:
    """1, 0, 1, 0, ..."""
    return [Fraction(1 - k % 2) for k in range(order + 1)]


@moments_of.register
def _(coordinate: Moments, order: int) -> list[Fraction]:
    """As given; zeros stand for those that are not, where no monomial has them."""
    given = [Fraction(1), *map(Fraction, coordinate.moments)][: order + 1]
    return given + [Fraction(0)] * (order + 1 - len(given))


@singledispatch
def known_order(coordinate: Coordinate) -> float:
    """The highest moment that is known; infinite where all are."""
    return inf


@known_order.register
def _(coordinate: Moments) -> float:
    """As many as are given."""
    return len(coordinate.moments)


@singledispatch
def is_sign(coordinate: Coordinate) -> bool:
    """Whether it is -1 or 1, equally likely: two points have all of its moments."""
    return False


@is_sign.register
def _(coordinate: Rademacher) -> bool:
    """Yes."""
    return True
