"""The quadratic forms of proofs/few-inputs.md: matrices of polynomials in u, and v of the label noise, and their minors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import Any

import sympy
from flint import fmpz_mpoly, fmpz_mpoly_ctx, fmpz_poly

RING = fmpz_mpoly_ctx.get(("u", "v"))
U, NOISE = RING.gens()
ONE = RING.constant(1)

Row = list[fmpz_mpoly]
#: an entry of a matrix for two monomials, before the derivative by u
Entry = Callable[[Any, Any], fmpz_mpoly]


def moments(order: int, noise: fmpz_mpoly = 0 * ONE) -> Row:
    """(2): E S^k of the batch mean S of x^2, k = 0 to the order; (5): of x (x - noise / e)."""
    found = [ONE, ONE]
    for k in range(1, order):
        found.append((1 + 2 * k * U) * found[k] + k * U * noise * (1 + (k - 1) * U) * found[k - 1])
    return found


def slopes(monomials: Sequence[Any], entry: Entry) -> list[Row]:
    """The derivative by u of a quadratic form in the coefficients of these monomials."""
    return [[entry(a, b).derivative("u") for b in monomials] for a in monomials]


def of_one_batch(degree: int, noise: fmpz_mpoly = 0 * ONE) -> list[Row]:
    """(3): of (1 + 2u) E F^2 - (E F)^2, F a polynomial in S."""
    m = moments(2 * degree, noise)
    return slopes(range(degree + 1), lambda i, j: (1 + 2 * U) * m[i + j] - m[i] * m[j])


def weighted(degree: int, noise: fmpz_mpoly) -> list[Row]:
    """(6): of u E C^2."""
    m = moments(2 * degree, noise)
    return slopes(range(degree + 1), lambda i, j: U * m[i + j])


def of_two_batches(degree: int, growth: int) -> list[Row]:
    """(4): of (1 + 2u) E F^2 - (E F)^2, F of degree + growth j in S_0 beside S_1^j, j up to the degree."""
    places = [(i, j) for j in range(degree + 1) for i in range(degree + growth * j + 1)]
    m = moments(2 * max(map(max, places)))

    def entry(a: tuple[int, int], b: tuple[int, int]) -> fmpz_mpoly:
        return (1 + 2 * U) * m[a[0] + b[0]] * m[a[1] + b[1]] - m[a[0]] * m[a[1]] * m[b[0]] * m[b[1]]

    return slopes(places, entry)


def of_inputs(degree: int, inputs: int) -> list[list[Row]]:
    """(9): of Phi and Psi on s^i |t|^2j times a harmonic polynomial of each degree in t."""
    n, m, found = inputs - 1, moments(2 * degree), []
    for order in range(degree + 1 if n > 1 else 2):

        def mean(i: int, j: int, order: int = order) -> fmpz_mpoly:
            return m[i + j + order] * U ** (j + order) * prod(n + 2 * order + 2 * k for k in range(j))

        def square(a: tuple[int, int], b: tuple[int, int]) -> fmpz_mpoly:
            return mean(a[0] + b[0], a[1] + b[1])

        def phi(a: tuple[int, int], b: tuple[int, int], order: int = order) -> fmpz_mpoly:
            return (1 + 2 * U) * square(a, b) - (mean(*a) * mean(*b) if order == 0 else 0)

        places = [(i, j) for j, i in product(range(degree + 1), repeat=2) if i + 2 * j + order <= degree]
        found += [slopes(places, phi), slopes(places, lambda a, b: U * square(a, b))]
    return found


def minors(matrix: list[Row]) -> Row:
    """The leading ones of a symmetric matrix, by elimination without fractions; they are not zero."""
    rows, last = [list(row) for row in matrix], ONE
    for k, row in enumerate(rows):
        for i in range(k + 1, len(rows)):
            for j in range(i, len(rows)):
                quotient, rest = divmod(rows[i][j] * row[k] - rows[k][i] * row[j], last)
                assert rest.is_zero()
                rows[i][j] = quotient
        last = row[k]
    return [row[k] for k, row in enumerate(rows)]


def is_positive(minor: fmpz_mpoly) -> bool:
    """For all u > 0 and v >= 0 if coefficients say so: none is negative, and one without v is there."""
    terms = minor.to_dict()
    return all(value > 0 for value in terms.values()) and any(powers[1] == 0 for powers in terms)


def in_u(minor: fmpz_mpoly) -> list[int]:
    """Coefficients from the constant one on, where v does not occur."""
    coefficients = [0] * (minor.degrees()[0] + 1)
    for (k, _), value in minor.to_dict().items():
        coefficients[k] = int(value)
    return coefficients


def has_no_zero(minor: fmpz_mpoly) -> bool:
    """Positive for u > 0 by Sturm: the last coefficient is, and there is no zero."""
    highest_first = in_u(minor)[::-1]
    while highest_first[-1] == 0:
        highest_first.pop()
    return highest_first[0] > 0 and sympy.Poly(highest_first, sympy.Symbol("u")).count_roots(0, None) == 0


def is_positive_up_to(size: int, minor: fmpz_mpoly) -> bool:
    """For u >= 1/size: no coefficient in x of the minor at 1/size + x is negative."""
    coefficients = in_u(minor)
    scaled = fmpz_poly([value * size ** (len(coefficients) - 1 - k) for k, value in enumerate(coefficients)])
    return all(value > 0 for value in scaled(fmpz_poly([1, 1])).coeffs())
