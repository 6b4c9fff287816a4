"""Integer points with rational weights, some negative, that have given moments: exact algebra needs no positive ones.

For any functional E on polynomials of degree <= D in m variables, with C(D + m, m) integer points x >= 0, |x| <= D,

    E F = sum_x F(x) omega_x,    omega_x = sum_{a >= x} prod_i (-1)^{a_i - x_i} C(a_i, x_i) E prod_i C(v_i, a_i),

by Newton's forward differences (``proofs/lattice.md``), E prod C(v_i, a_i) from the moments by Stirling numbers, axis by axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from math import comb, factorial

from linvar.flint import fmpz
from linvar.symbolic.algebra.ring import Exponents


def integer_nodes(
    moments: Mapping[Exponents, Fraction], variables: int, degree: int
) -> tuple[list[Exponents], list[Fraction]]:
    """The points and their weights, those that are not zero.

    Args:
        moments: E prod_i v_i^{e_i} for 1 <= |e| <= degree, those that are not zero.
        variables: m.
        degree: D.

    >>> integer_nodes({(1,): Fraction(1, 2), (2,): Fraction(1, 2)}, 1, 2)  # a fair coin
    ([(0,), (1,)], [Fraction(1, 2), Fraction(1, 2)])
    """
    start = (0,) * variables
    values: dict[Exponents, Fraction] = {start: Fraction(1)} | {key: value for key, value in moments.items() if value}
    for axis in range(variables):
        values = _along(values, axis, degree, _binomial_coefficients(degree), upward=True)
    for axis in range(variables):
        values = _along(values, axis, degree, _differences(degree), upward=False)
    points = sorted(values)
    return points, [values[point] for point in points]


def _along(
    values: dict[Exponents, Fraction], axis: int, degree: int, table: list[list[Fraction]], upward: bool
) -> dict[Exponents, Fraction]:
    """sum_e table[e][a] values[.., e, ..] for every a with a >= e (``upward``) or a <= e, within the simplex."""
    found: dict[Exponents, Fraction] = {}
    for key, value in values.items():
        e = key[axis]
        room = degree - sum(key) + e
        for a in range(e, room + 1) if upward else range(e + 1):
            if factor := table[e][a]:
                place = (*key[:axis], a, *key[axis + 1 :])
                found[place] = found.get(place, Fraction(0)) + value * factor
    return {key: value for key, value in found.items() if value}


@lru_cache(maxsize=16)
def _binomial_coefficients(degree: int) -> list[list[Fraction]]:
    """C(v, a) = sum_e [e][a] v^e: Stirling numbers of the first kind over a!."""
    size = range(degree + 1)
    return [[Fraction(int(fmpz.stirling_s1(a, e)), factorial(a)) for a in size] for e in size]


@lru_cache(maxsize=16)
def _differences(degree: int) -> list[list[Fraction]]:
    """(-1)^{a-x} C(a, x) at [a][x]."""
    size = range(degree + 1)
    return [[Fraction((-1) ** (a - x) * comb(a, x)) for x in size] for a in size]


def product_nodes(univariate: Sequence[Sequence[Fraction]], degree: int) -> list[tuple[Exponents, Fraction]]:
    """The same for independent v_i, given E v_i^k for k = 0..degree: E prod C(v_i, a_i) is a product.

    >>> product_nodes([[Fraction(1), Fraction(0), Fraction(1)]], 2)  # a sign
    [((0,), Fraction(3, 2)), ((1,), Fraction(-1, 1)), ((2,), Fraction(1, 2))]
    """
    table = _binomial_coefficients(degree)
    values: dict[Exponents, Fraction] = {(): Fraction(1)}
    for moments in univariate:
        binomials = [sum((table[e][a] * moments[e] for e in range(a + 1)), Fraction(0)) for a in range(degree + 1)]
        values = {
            (*key, a): value * binomials[a]
            for key, value in values.items()
            for a in range(degree - sum(key) + 1)
            if binomials[a]
        }
    for axis in range(len(univariate)):
        values = _along(values, axis, degree, _differences(degree), upward=False)
    return sorted(values.items())
