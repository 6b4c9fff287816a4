"""From which batch size is a polynomial in 1/b strictly decreasing in b? Decided exactly, never by floats.

p(1/b) > p(1/(b+1)) for all integers b >= b_0. Between two neighbouring turning points of p on (0, 1] the sign of
p' settles it; only integer steps b -> b+1 whose interval [1/(b+1), 1/b] contains a real root of p' need a
comparison of exact values. Roots are isolated by python-flint with certified enclosures.
"""

from __future__ import annotations

from typing import Any

from flint import arb, ctx, fmpq, fmpq_poly, fmpz, fmpz_poly

Interval = tuple[fmpq, fmpq]


def decreasing_from(coefficients: list[fmpq], dataset_size: int | None) -> int | None:
    """The smallest b_0 >= 1 with p(1/b) > p(1/(b+1)) for every integer b >= b_0.

    With ``dataset_size`` n only b = 1..n count, and b_0 < n. None if there is no such b_0: constants (zero among
    them), and polynomials that increase in b from some point on.
    """
    polynomial = fmpq_poly(coefficients)
    derivative = polynomial.derivative()
    if not derivative:
        return None

    def falls(b: int) -> bool:
        return bool(polynomial(fmpq(1, b)) > polynomial(fmpq(1, b + 1)))

    last = None if dataset_size is None else dataset_size - 1
    if last == 0:
        return None
    # the steps b -> b+1 whose interval [1/(b+1), 1/b] may contain a turning point, and one step between any two
    doubtful: set[int] = {1}
    for low, high in positive_roots(derivative):
        if low > 1:
            continue
        first = max(1, _floor(1 / high) - 1)
        doubtful.update(range(first, _floor(1 / low) + 2))
    if last is not None:
        doubtful = {b for b in doubtful if b <= last} | {last}
    # beyond the last doubtful step the sign of p' near 0 decides; between doubtful steps p is monotone
    for b in sorted(doubtful, reverse=True):
        top = b == max(doubtful)
        if top and last is None and not falls(b + 1):
            return None
        if not falls(b):
            return b + 1 if last is None or b < last else None
        below = b - 1
        if below >= 1 and below not in doubtful and not falls(below):
            return b
    return 1


def positive_roots(polynomial: fmpq_poly) -> list[Interval]:
    """Enclosures 0 < low <= high of the distinct positive real roots, so narrow that each meets few steps b -> b+1."""
    numerator = polynomial.numer()
    squarefree = numerator // numerator.gcd(numerator.derivative())
    while squarefree.degree() > 0 and squarefree[0] == 0:
        squarefree = fmpz_poly(squarefree.coeffs()[1:])
    if squarefree.degree() < 1:
        return []
    saved = ctx.prec
    try:
        ctx.prec = 128
        while True:
            # certified: a real root comes with imaginary part exactly zero, and no root is 0
            roots: Any = squarefree.complex_roots()
            real = [root.real for root, _ in roots if root.imag == 0]
            found = [_enclosure(root) for root in real if not root < 0]
            if all(_narrow(low, high) for low, high in found):
                return found
            ctx.prec *= 2
    finally:
        ctx.prec = saved


def _enclosure(ball: arb) -> Interval:
    """Exact rational end points of a ball."""
    low, high = ball.lower(), ball.upper()
    return _exact(low), _exact(high)


def _exact(point: arb) -> fmpq:
    """The dyadic number of an exact ball."""
    mantissa, exponent = point.man_exp()
    return fmpq(mantissa) * fmpq(2) ** int(exponent)


def _narrow(low: fmpq, high: fmpq) -> bool:
    """Is the enclosure positive and so narrow that it meets at most two steps b -> b+1?"""
    return low > 0 and (high - low) * 4 * (1 + 1 / low) * (1 + 1 / low) < 1


def _floor(value: fmpq) -> int:
    """Floor of a positive rational."""
    return int(fmpz(value.p) // fmpz(value.q))
