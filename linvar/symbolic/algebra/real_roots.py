"""Real roots of an integer polynomial, isolated exactly: Descartes' rule of signs and bisection, no floating point.

The number of sign changes among the coefficients of (x+1)^n p(1/(x+1)) bounds the number of roots of p in (0, 1) and
has its parity; 0 and 1 are exact counts. Halving (0, 1) until every count is 0 or 1 terminates for squarefree p
(Vincent's theorem; Collins & Akritas 1976, Proc. SYMSAC, 272-275). Everything is integer arithmetic in python-flint.
"""

from __future__ import annotations

from collections.abc import Callable

from linvar.flint import fmpq, fmpq_poly, fmpz, fmpz_poly

Interval = tuple[fmpq, fmpq]

_X_PLUS_1 = fmpz_poly([1, 1])


def isolate(polynomial: fmpq_poly, low: fmpq, high: fmpq, narrow: Callable[[fmpq, fmpq], bool]) -> list[Interval]:
    """One closed interval around each distinct root strictly between ``low`` and ``high``, ascending.

    Args:
        polynomial: not zero; multiple roots are counted once.
        low, high: low < high.
        narrow: bisect until it is true of every interval (its end points are passed); it must be true of short ones.

    Returns:
        Intervals with nothing but end points in common, each with exactly one root; a single point if that is the root.
    """
    moved = polynomial(fmpq_poly([low, high - low])).numer()  # low + (high - low) x, x in (0, 1)
    squarefree = moved // moved.gcd(moved.derivative())
    derivative = squarefree.derivative()

    def sign_after(x: fmpq) -> int:
        """Sign of the squarefree part just right of x: at a simple root that of the derivative."""
        value = squarefree(x)
        return _sign(value if value != 0 else derivative(x))

    result = []
    for left, right in _unit_roots(squarefree):
        before = sign_after(left)
        while not (left == right or narrow(low + (high - low) * left, low + (high - low) * right)):
            middle = (left + right) / 2
            value = squarefree(middle)
            if value == 0:
                left = right = middle
            elif _sign(value) == before:
                left = middle
            else:
                right = middle
        result.append((low + (high - low) * left, low + (high - low) * right))
    return sorted(result)


def _unit_roots(polynomial: fmpz_poly) -> list[Interval]:
    """Open dyadic intervals, or points, with one root each, for all roots of a squarefree polynomial in (0, 1)."""
    degree, found = polynomial.degree(), []
    pending = [(polynomial, fmpz(0), 0)]  # p(x) stands for the original at (start + x) / 2^level
    while pending:
        p, start, level = pending.pop()
        changes = _sign_changes(_reversed(p, degree)(_X_PLUS_1))
        if changes == 1:
            scale = fmpz(2) ** level
            found.append((fmpq(start, scale), fmpq(start + 1, scale)))
        elif changes:
            padded = _padded(p, degree)
            left = fmpz_poly([c * fmpz(2) ** (degree - i) for i, c in enumerate(padded)])  # 2^n p(x / 2)
            right = left(_X_PLUS_1)
            if right[0] == 0:
                middle = fmpq(2 * start + 1, fmpz(2) ** (level + 1))
                found.append((middle, middle))
            pending += [(left, 2 * start, level + 1), (right, 2 * start + 1, level + 1)]
    return found


def _padded(p: fmpz_poly, degree: int) -> list[fmpz]:
    """Coefficients of 1, x, ..., x^degree."""
    coefficients = p.coeffs()
    return coefficients + [fmpz(0)] * (degree + 1 - len(coefficients))


def _reversed(p: fmpz_poly, degree: int) -> fmpz_poly:
    """x^degree p(1/x)."""
    return fmpz_poly(_padded(p, degree)[::-1])


def _sign_changes(p: fmpz_poly) -> int:
    """Changes of sign from one nonzero coefficient to the next."""
    signs = [c > 0 for c in p.coeffs() if c != 0]
    return sum(a != b for a, b in zip(signs, signs[1:]))


def _sign(value: fmpq) -> int:
    return (value > 0) - (value < 0)
