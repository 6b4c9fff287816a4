"""Where a polynomial in 1/b falls and where it rises as b grows, decided exactly, never by floats.

With u = 1/b the zeros of the slope p'(u) between 1/n (or 0) and 1 are isolated in exact arithmetic (``real_roots``);
between two of them one exact sign settles the trend. An integer step b -> b+1 that meets no isolating interval falls
or rises with the trend around it; the few that do are settled by comparing p(1/b) and p(1/(b+1)) exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from flint import fmpq, fmpq_poly, fmpz

from linvar.exact import Rational
from linvar.symbolic.real_roots import isolate
from linvar.symbolic.ring import to_rational


@dataclass(frozen=True)
class TurningPoint:
    """A real batch size at which the trend turns, known to lie in [low, high] and alone there.

    Attributes:
        low, high: exact; equal if the turning point is that number.
        kind: "minimum" (falling before, rising after) or "maximum".
    """

    low: Rational
    high: Rational
    kind: str

    def __float__(self) -> float:
        return float((self.low + self.high) / 2)

    def __repr__(self) -> str:
        return f"TurningPoint({self.kind} at b = {float(self):.6g})"


class Trend(NamedTuple):
    """The value falls (sign -1), rises (+1) or stays (0) for all real b from ``low`` to ``high`` (None: without end)."""

    low: Rational
    high: Rational | None
    sign: int


class Monotonicity:
    """The trends of p(1/b) for b from 1 to ``last`` (None: without end)."""

    def __init__(self, coefficients: list[fmpq], last: int | None) -> None:
        self.polynomial = fmpq_poly(coefficients)
        self.slope = self.polynomial.derivative()
        self.last = last

    @cached_property
    def zeros(self) -> list[tuple[fmpq, fmpq]]:
        """Isolating intervals, in b, of the distinct zeros of the slope strictly between 1 and the last b; ascending."""
        low = fmpq(0) if self.last is None else fmpq(1, self.last)
        if not self.slope or low == 1:
            return []
        return [(1 / high, 1 / low) for low, high in reversed(isolate(self.slope, low, fmpq(1), _narrow))]

    @cached_property
    def trends(self) -> list[tuple[fmpq, fmpq | None, int]]:
        """(from, to, sign) in b: the pieces between the isolating intervals, each with one trend."""
        ends = [fmpq(1), *(end for zero in self.zeros for end in zero)]
        pieces = list(zip(ends[::2], [*ends[1::2], None if self.last is None else fmpq(self.last)]))
        return [(low, high, self._sign(low, high)) for low, high in pieces]

    def _sign(self, low: fmpq, high: fmpq | None) -> int:
        """Sign of the change of p(1/b) with b on a piece: minus that of p'(u), which has no zero inside."""
        left, right = (fmpq(0) if high is None else 1 / high), 1 / low
        if not self.slope or left == right:
            return 0
        value = self.slope((left + right) / 2)
        return int(value < 0) - int(value > 0)

    @property
    def turning_points(self) -> tuple[TurningPoint, ...]:
        """Zeros of the slope at which its sign changes."""
        signs = [sign for *_, sign in self.trends]
        return tuple(
            TurningPoint(to_rational(low), to_rational(high), "minimum" if before < 0 else "maximum")
            for (low, high), before, after in zip(self.zeros, signs, signs[1:])
            if before != after
        )

    @property
    def sign_table(self) -> tuple[Trend, ...]:
        """The trends with exact Rational ends."""
        return tuple(
            Trend(to_rational(low), None if high is None else to_rational(high), sign)
            for low, high, sign in self.trends
        )

    def falls(self, b: int) -> bool:
        """p(1/b) > p(1/(b+1)), exactly."""
        return bool(self.polynomial(fmpq(1, b)) > self.polynomial(fmpq(1, b + 1)))

    def last_step_not_falling(self, first: int, last: int | None) -> int | None:
        """The largest b with first <= b < last and p(1/b) <= p(1/(b+1)); 0 if there is none, None if no largest."""
        if last is None:
            if self.trends[-1][2] >= 0:
                return None
            last = max(first, _floor(self.trends[-1][0])) + 2  # beyond, every step falls
        top = last - 1
        for low, high in reversed(self.zeros):
            # steps wholly beyond this zero share a trend: the one at the top stands for all of them
            beyond = max(first, _floor(high) + 1)
            if top >= beyond and not self.falls(top):
                return top
            top = min(top, beyond - 1)
            while top >= max(first, _floor(low) - 1):
                if not self.falls(top):
                    return top
                top -= 1
        return top if top >= first and not self.falls(top) else 0


def decreasing_from(trends: Monotonicity) -> int | None:
    """The smallest b_0 >= 1 with p(1/b) > p(1/(b+1)) for every integer b >= b_0 (b_0 <= b < last); None if none."""
    worst = trends.last_step_not_falling(1, trends.last)
    if worst is None or (trends.last is not None and worst + 1 >= trends.last):
        return None
    return worst + 1


def _narrow(low: fmpq, high: fmpq) -> bool:
    """Is an interval of u = 1/b shorter than 1/1000 in b, so that it meets at most two steps b -> b+1?"""
    return low > 0 and (1 / low - 1 / high) * 1000 < 1


def _floor(value: fmpq) -> int:
    """Floor of a positive rational."""
    return int(fmpz(value.p) // fmpz(value.q))
