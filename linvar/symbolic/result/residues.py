"""The polynomial of degree below n that has given values at b = 1, ..., n: what batches without replacement determine.

Two polynomials in u = 1/b agree at u = 1, 1/2, ..., 1/n if and only if their difference is a multiple of

    M_n(u) = (u - 1)(u - 1/2)...(u - 1/n),

so of each class there is one of degree below n, the remainder by M_n (``proofs/polynomial-in-one-over-b.md``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import factorial, lcm

from linvar.flint import fmpq, fmpz
from linvar.symbolic.algebra.ring import Element, Exponents, Ring


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
    columns: dict[Exponents, dict[int, fmpq]] = {}
    for k, element in enumerate(elements):
        for key, coefficient in element.terms():
            columns.setdefault(tuple(map(int, key)), {})[k] = coefficient
    rows: list[dict[Exponents, fmpq]] = [{} for _ in range(n)]
    for key, column in columns.items():
        remainder = column if max(column) < n else _interpolated(column, n)
        for k, coefficient in remainder.items():
            rows[k][key] = coefficient
    return [ring.from_terms(row) for row in rows]


def _interpolated(column: Mapping[int, fmpq], n: int) -> dict[int, fmpq]:
    """The remainder of sum_k c_k u^k, by its values: long division takes hours where the degree is far above n.

    With d the degree, e = d - n + 1, C a denominator of all c_k and l = lcm(1, ..., n), the values at b = 1, ..., n of
    b^(n-1) p(1/b) C l^e = (l/b)^e sum_k C c_k b^(d-k) are integers, those of a polynomial in b of degree below n. Newton's
    forward differences give its coefficients, that of b^(n-1-k) for u^k.
    """
    degree, common = max(column), lcm(*range(1, n + 1))
    excess, denominator = degree - n + 1, lcm(*(int(c.q) for c in column.values()))
    integers = [(k, column[k].p * (denominator // column[k].q)) for k in sorted(column)]
    differences = []
    for b in map(fmpz, range(1, n + 1)):
        total, last = fmpz(0), 0
        for k, c in integers:  # Horner's rule in b; the last k is the degree
            total, last = total * b ** (k - last) + c, k
        differences.append(total * (common // b) ** excess)
    for order in range(1, n):
        for place in range(n - 1, order - 1, -1):
            differences[place] -= differences[place - 1]
    # sum_j Delta^j (b-1)...(b-j)/j! times (n-1)!, ascending in b
    result, scale = [differences[-1]], fmpz(1)
    for j in range(n - 2, -1, -1):
        scale *= j + 1
        result = [a - (j + 1) * c for a, c in zip([fmpz(0), *result], [*result, fmpz(0)])]
        result[0] += differences[j] * scale
    whole = denominator * fmpz(common) ** excess * factorial(n - 1)
    return {k: fmpq(c, whole) for k, c in enumerate(reversed(result))}
