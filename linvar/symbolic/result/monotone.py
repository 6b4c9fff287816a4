"""Where a polynomial in 1/b falls and where it rises as b grows, decided exactly, never by floats.

With u = 1/b the zeros of the slope p'(u) between 1/n (or 0) and 1 are isolated in exact arithmetic (``real_roots``);
between two of them one exact sign settles the trend. An integer step b -> b+1 that meets no isolating interval falls
or rises with the trend around it; the few that do are settled by comparing p(1/b) and p(1/(b+1)) exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from linvar.errors import InputError, InputTypeError, Words, shown
from linvar.exact import Rational, exact
from linvar.flint import fmpq, fmpq_poly, fmpz
from linvar.keywords import door
from linvar.schemes.scheme import Scheme
from linvar.symbolic.algebra.real_roots import isolate
from linvar.symbolic.algebra.ring import to_fmpq, to_rational


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
        return f"TurningPoint({self.kind} at b = {(self.low + self.high) / 2:.6g})"


class Trend(NamedTuple):
    """The value falls (sign -1), rises (+1) or stays (0) for all real b from ``low`` to ``high`` (None: without end)."""

    low: Rational
    high: Rational | None
    sign: int

    def __repr__(self) -> str:
        high = None if self.high is None else shown(self.high)
        return f"Trend(low={shown(self.low)}, high={high}, sign={self.sign})"


class Monotonicity:
    """The trends of p(1/b) for b from 1 to ``last`` (None: without end)."""

    def __init__(self, coefficients: list[fmpq], last: int | None) -> None:
        self.polynomial = fmpq_poly(coefficients)
        self.slope = self.polynomial.derivative()
        self.last = last

    @cached_property
    def zeros(self) -> list[tuple[fmpq, fmpq]]:
        """Isolating intervals, in b, of the distinct zeros of the slope strictly between 1 and the last b; ascending."""
        return _zeros(self.slope, self.last)

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

    def at(self, b: int) -> fmpq:
        """p(1/b), exactly."""
        return self.polynomial(fmpq(1, b))

    def falls(self, b: int) -> bool:
        """p(1/b) > p(1/(b+1)), exactly."""
        return bool(self.at(b) > self.at(b + 1))

    def last_step_not_falling(self, first: int, last: int | None) -> int | None:
        """The largest b with first <= b < last and p(1/b) <= p(1/(b+1)); 0 if there is none, None if no largest."""
        if last is None:
            if self.trends[-1][2] >= 0:
                return None
            last = max(first, _floor(self.trends[-1][0])) + 2  # beyond, every step falls
        # steps wholly beyond a zero of the slope share a trend
        return _largest(lambda b: not self.falls(b), self.zeros, first, last - 1)

    def lowest(self) -> int | None:
        """The smallest b <= last at which no other integer has a lower value; None if they fall towards a lower limit."""
        near = {1, self.last or 1} | {_floor(end) + beyond for zero in self.zeros for end in zero for beyond in (0, 1)}
        value, b = min((self.at(b), b) for b in near if self.last is None or b <= self.last)
        return None if self.last is None and self.polynomial(fmpq(0)) < value else b

    def last_above(self, value: fmpq) -> int | None:
        """The largest b <= last with p(1/b) > value; 0 if there is none, None if there is no largest."""
        excess = self.polynomial - value
        if not excess:
            return 0

        def above(b: int) -> bool:
            return bool(excess(fmpq(1, b)) > 0)

        if self.last is None:
            if next(c for c in excess.coeffs() if c != 0) > 0:  # the sign of the excess where b is large
                return None
        elif self.last == 1 or above(self.last):
            return self.last * above(self.last)
        zeros = _zeros(excess, self.last)
        # beyond all zeros the excess has one sign; at the last b itself, looked at above, it may be zero
        return _largest(
            above, zeros, 1, _floor(zeros[-1][1]) + 1 if zeros and self.last is None else (self.last or 2) - 1
        )


class Trends:
    """Where the value of a BatchPolynomial falls and rises: a base class of it."""

    scheme: Scheme
    dataset_size: int | None

    @property
    def largest_batch_size(self) -> int | None:
        """n without replacement; None where a batch may have any size."""
        return self.scheme.largest_batch(self.dataset_size)

    @property
    def _numbers(self) -> list[fmpq]:
        """Coefficients as rationals; refused when symbols occur."""
        raise NotImplementedError

    def _check_batch_size(self, batch_size: Any) -> int:
        """b as an int, in range."""
        raise NotImplementedError

    def decreasing_from(self) -> int | None:
        """b_0: the smallest batch size from which the value is strictly decreasing over the integers. Exact.

        The smallest b_0 >= 1 with p(1/b) > p(1/(b+1)) for every b >= b_0; without replacement over b = b_0..n,
        with b_0 < n (at least one step down), whatever p does beyond n. Decided by certified isolation of the
        real roots of the derivative and comparison of exact values, never by floats.

        Returns:
            b_0, or None if there is none: the zero polynomial, a constant, or one that ends up increasing in b
            (a variance is never of that kind unless it is identically zero).

        Raises:
            ValueError: symbols occur; substitute numbers first.

        >>> from linvar import BatchPolynomial
        >>> BatchPolynomial([0, 1]).decreasing_from()
        1
        >>> BatchPolynomial([0, 1, -2]).decreasing_from()  # 1/b - 2/b^2: -1, 0, 1/9, 1/8, 3/25, 1/9, ...
        4
        """
        return decreasing_from(self._monotonicity)

    @cached_property
    def _monotonicity(self) -> Monotonicity:
        """Trends over b >= 1, without replacement over b = 1..n."""
        return Monotonicity(self._numbers, self.largest_batch_size)

    def half(self) -> int:
        """The smallest batch size from which on the value is at most half of that at b = 1. Exact.

        The smallest b_0 with p(1/b) <= p(1)/2 for every b >= b_0 (without replacement for b = b_0..n), whatever the value
        does before: ``batch_size_for(p(1) / 2)``.

        Raises:
            InputError: there is none, the limit is named; or symbols occur, substitute numbers first.

        >>> from linvar import BatchPolynomial
        >>> BatchPolynomial([0, 18]).half(), BatchPolynomial([0, 18, -17]).half()  # 18/b - 17/b^2: 1, 19/4, ... 35/36
        (2, 36)
        """
        value = to_rational(self._monotonicity.at(1) / 2)
        found = batch_size_for(self._monotonicity, value)
        if found is None:
            words = Words(f"{shown(value)}, {_not_undercut(self._monotonicity, value)}")
            raise InputError("half the value at b = 1,", words, "give a larger one to batch_size_for")
        return found

    def lowest_at(self) -> int | None:
        """The batch size at which the value is lowest, of all integers b >= 1 (without replacement b = 1..n). Exact.

        By certified isolation of the real roots of the slope and comparison of exact values; the smallest one where several
        have the same value, as of a constant.

        Returns:
            b, or None if there is none: the values come down to their limit as b grows, which no batch size reaches.

        Raises:
            ValueError: symbols occur; substitute numbers first.

        >>> from linvar import BatchPolynomial
        >>> BatchPolynomial([1, -7, 20]).lowest_at()  # 1 - 7/b + 20/b^2: 14, 5/2, 8/9, 1/2, 2/5, 7/18, 20/49, ...
        6
        >>> BatchPolynomial([1, 2]).lowest_at(), BatchPolynomial([1, -2]).lowest_at()
        (None, 1)
        """
        return self._monotonicity.lowest()

    @door
    def batch_size_for(self, value: Any) -> int:
        """The smallest batch size from which on the polynomial is at most ``value``. Exact.

        The smallest b_0 with p(1/b) <= value for every b >= b_0 (without replacement for b = b_0..n), by certified isolation
        of the real roots of p - value and comparison of exact values: p may rise and fall before.

        Args:
            value: an int, a Fraction or text "p/q". A float is refused, as one rounding may change the answer: say which number
                is meant by ``linvar.rationalize(value)``.

        Raises:
            InputTypeError: the value is a float, no number, or has symbols.
            InputError: there is no such batch size, the limit is named; or symbols occur, substitute numbers first.

        >>> from linvar import BatchPolynomial
        >>> v = BatchPolynomial([0, 18, -17])  # 18/b - 17/b^2 is 1 at b = 1 and at b = 17, and larger between
        >>> v.batch_size_for(1), v.batch_size_for("1/100")
        (17, 1800)
        """
        number = exact(value, "value")
        if not isinstance(number, Rational):
            raise InputTypeError("value", value, "give a number", fault="has symbols")
        found = batch_size_for(self._monotonicity, number)
        if found is None:
            raise InputError("value", number, "give a larger one", fault=_not_undercut(self._monotonicity, number))
        return found

    @door
    def is_decreasing(self, from_: int = 1, to: int | None = None) -> bool:
        """Whether the value falls at every integer step from b = ``from_`` to b = ``to``. Exact.

        Args:
            from_, to: batch sizes, from_ < to; without ``to`` all that have a meaning (without end, or up to n).

        Raises:
            TypeError, ValueError: no integers, out of range, or from_ >= to; or symbols occur.

        >>> from linvar import BatchPolynomial
        >>> p = BatchPolynomial([0, 1, -2])
        >>> p.is_decreasing(), p.is_decreasing(4), p.is_decreasing(1, 4)
        (False, True, False)
        """
        trends = self._monotonicity
        first, last = self._check_batch_size(from_), trends.last if to is None else self._check_batch_size(to)
        if last is not None and first >= last:
            raise InputError("from_", first, "give from_ < to, at least one step", fault=f"and to={shown(last)}")
        return trends.last_step_not_falling(first, last) == 0

    def turning_points(self) -> tuple[TurningPoint, ...]:
        """The real batch sizes at which the value turns from falling to rising or back. Exact.

        Every turning point strictly between b = 1 and the end (n without replacement), in ascending order, each in
        an isolating interval [low, high] shorter than 1/1000. Zeros of the slope without a change of sign are none.
        Without replacement the values at b = 1..n alone have a meaning: between them it is the polynomial of degree below n
        that turns, perhaps where no step between whole b shows it.

        Raises:
            ValueError: symbols occur; substitute numbers first.

        >>> from linvar import BatchPolynomial
        >>> BatchPolynomial([0, 1, -2]).turning_points()
        (TurningPoint(maximum at b = 4),)
        """
        return self._monotonicity.turning_points

    def sign_table(self) -> tuple[Trend, ...]:
        """Where the value falls (-1), rises (+1) or stays (0) with b: (low, high, sign) over real b. Exact.

        Between two rows lies the isolating interval of one zero of the slope; ``high`` is None where there is no end.

        Raises:
            ValueError: symbols occur; substitute numbers first.

        >>> from linvar import BatchPolynomial
        >>> BatchPolynomial([0, 1, -2]).sign_table()
        (Trend(low=1, high=4, sign=1), Trend(low=4, high=None, sign=-1))
        """
        return self._monotonicity.sign_table


def batch_size_for(trends: Monotonicity, value: Rational) -> int | None:
    """The smallest b_0 >= 1 with p(1/b) <= value for every integer b >= b_0 (b_0 <= b <= last); None if none."""
    worst = trends.last_above(to_fmpq(value))
    return None if worst is None or worst == trends.last else worst + 1


def _not_undercut(trends: Monotonicity, value: Rational) -> str:
    """Why there is none."""
    if trends.last is not None:
        return f"is below the value at b = n = {trends.last}, {shown(to_rational(trends.at(trends.last)))}"
    limit = to_rational(trends.polynomial(fmpq(0)))
    words = f"limit of the values as b grows, {shown(limit)}"
    return f"is the {words}, and they stay above it" if limit == value else f"is below the {words}"


def decreasing_from(trends: Monotonicity) -> int | None:
    """The smallest b_0 >= 1 with p(1/b) > p(1/(b+1)) for every integer b >= b_0 (b_0 <= b < last); None if none."""
    worst = trends.last_step_not_falling(1, trends.last)
    if worst is None or (trends.last is not None and worst + 1 >= trends.last):
        return None
    return worst + 1


def _zeros(polynomial: fmpq_poly, last: int | None) -> list[tuple[fmpq, fmpq]]:
    """Isolating intervals, in b, of the distinct zeros of p(1/b) strictly between 1 and ``last``; ascending."""
    low = fmpq(0) if last is None else fmpq(1, last)
    if not polynomial or low == 1:
        return []
    return [(1 / high, 1 / low) for low, high in reversed(isolate(polynomial, low, fmpq(1), _narrow))]


def _largest(holds: Callable[[int], bool], zeros: list[tuple[fmpq, fmpq]], first: int, top: int) -> int:
    """The largest b from ``first`` to ``top`` at which it holds, 0 if at none; it holds at all b between two zeros or at none.

    What is said of b may be about the step from b to b + 1: a step that meets an isolating interval is looked at by itself.
    """
    for low, high in reversed(zeros):
        beyond = max(first, _floor(high) + 1)
        if top >= beyond and holds(top):
            return top
        top = min(top, beyond - 1)
        while top >= max(first, _floor(low) - 1):
            if holds(top):
                return top
            top -= 1
    return top if top >= first and holds(top) else 0


def _narrow(low: fmpq, high: fmpq) -> bool:
    """Is an interval of u = 1/b shorter than 1/1000 in b, so that it meets at most two steps b -> b+1?"""
    return low > 0 and (1 / low - 1 / high) * 1000 < 1


def _floor(value: fmpq) -> int:
    """Floor of a positive rational."""
    return int(fmpz(value.p) // fmpz(value.q))
