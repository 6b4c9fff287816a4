"""The polynomial of degree below n that has given values at b = 1, ..., n: what batches without replacement determine.

Two polynomials in u = 1/b agree at u = 1, 1/2, ..., 1/n if and only if their difference is a multiple of

    M_n(u) = (u - 1)(u - 1/2)...(u - 1/n),

so of each class there is one of degree below n, the remainder by M_n (``proofs/polynomial-in-one-over-b.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from flint import fmpq, fmpq_poly

from linvar.symbolic.ring import Element, Exponents, Ring


def reduced(elements: Sequence[Element], ring: Ring, n: int) -> list[Element]:
    """Coefficients of the remainder by M_n, n of them.

    M_n has rational coefficients, so that each monomial in the symbols is divided by itself.

    Args:
        elements: coefficients of 1, u, u^2, ..., elements of the ring.
        ring: a ring without variables.
        n: number of examples, >= 1.

    >>> ring = Ring(0)
    >>> [str(element) for element in reduced([ring.zero, ring.zero, ring.one], ring, 2)]  # u^2 = 3/2 u - 1/2 + M_2
    ['-1/2', '3/2']
    """
    divisor = _vanishing(n)
    columns: dict[Exponents, dict[int, fmpq]] = {}
    for k, element in enumerate(elements):
        for key, coefficient in element.terms():
            columns.setdefault(tuple(map(int, key)), {})[k] = coefficient
    rows: list[dict[Exponents, fmpq]] = [{} for _ in range(n)]
    for key, column in columns.items():
        dense = fmpq_poly([column.get(k, fmpq(0)) for k in range(max(column) + 1)])
        for row, coefficient in zip(rows, (dense % divisor).coeffs()):
            row[key] = coefficient
    return [ring.from_terms(row) for row in rows]


@lru_cache(maxsize=64)
def _vanishing(n: int) -> fmpq_poly:
    """M_n."""
    product = fmpq_poly([1])
    for b in range(1, n + 1):
        product *= fmpq_poly([fmpq(-1, b), 1])
    return product
