"""Networks whose layers are multiples of the identity, after one step: (5) and (6) of proofs/multiples-of-the-identity.md.

In any ring: fractions, or polynomials in the width, u = 1/b and tau.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeAlias

#: E tr S^p tr S^q ...
Moments: TypeAlias = Callable[..., Any]
#: a polynomial in S, by its coefficients
Powers: TypeAlias = list[Any]


def trace_moments(width: Any, u: Any) -> Moments:
    """(6): expectations of products of traces of powers of S, which is of this width."""

    @cache
    def ordered(powers: tuple[int, ...]) -> Any:
        if not powers:
            return width**0
        n, *rest = powers
        found = expected(n - 1, *rest) * (1 + u * (n - 1))
        for j in range(1, n):
            found = found + u * expected(j, n - 1 - j, *rest)
        for place, q in enumerate(rest):
            found = found + 2 * q * u * expected(n - 1 + q, *rest[:place], *rest[place + 1 :])
        return found

    def expected(*powers: int) -> Any:
        """tr S^0 is the width."""
        return width ** powers.count(0) * ordered(tuple(sorted(filter(None, powers), reverse=True)))

    return expected


def times(left: Powers, right: Powers) -> Powers:
    """The product."""
    found = [0 * left[0]] * (len(left) + len(right) - 1)
    for i, a in enumerate(left):
        for j, c in enumerate(right):
            found[i + j] = found[i + j] + a * c
    return found


def variance(steps: Sequence[Any], tau: Any, width: Any, u: Any, scales: Sequence[Any]) -> Any:
    """(5): of x_l, tau, k, u and the factors (P^2 / w_l)^2, all of one ring."""
    expected, one = trace_moments(width, u), width**0

    def product(of: Sequence[Any]) -> Powers:
        found = [one]
        for step in of:
            found = times(found, [one, -step])
        return found

    def trace(of: Powers) -> Any:
        """E tr f(S)."""
        return sum((value * expected(i) for i, value in enumerate(of)), 0 * one)

    error = product(steps)
    error[0] = error[0] - tau
    total = 0 * one
    for place, scale in enumerate(scales):
        above, below = times(error, product(steps[place + 1 :])), product(steps[:place])
        whole, above_squared, below_squared = times(above, below), times(above, above), times(below, below)
        apart = [a * c * expected(i, j) for i, a in enumerate(above_squared) for j, c in enumerate(below_squared)]
        inner = (1 + u) * trace(times(whole, whole)) + u * sum(apart, 0 * one)
        total = total + scale * (inner - trace(whole) ** 2 / width)
    return total
