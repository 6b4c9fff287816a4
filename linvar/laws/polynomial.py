"""Polynomials in the coordinates z of an example: the features a batch enters through, and maps from coordinates to examples.

Sparse, exact, immutable: an example has many coordinates, and a feature is made of few of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from numbers import Rational as AnyRational
from operator import index
from typing import Any

from linvar.errors import InputTypeError
from linvar.exact import Matrix, Rational, exact
from linvar.rings import RingLike, T

#: the coordinates of a monomial, in order: z_0 z_0 z_3 is (0, 0, 3)
Places = tuple[int, ...]

_MOST_POWER = 1_000


@dataclass(frozen=True)
class Polynomial:
    """A polynomial in z_0, z_1, ... with rational coefficients, made by + - *, powers and division by a number.

    Attributes:
        terms: (coordinates, coefficient) of each monomial, none of them zero, in order.

    >>> x, y = coordinates(2)
    >>> (x - y) ** 2 / 2
    1/2*z0**2 - z0*z1 + 1/2*z1**2
    """

    terms: tuple[tuple[Places, Rational], ...] = ()

    @classmethod
    def of(cls, terms: Mapping[Places, Fraction | int]) -> Polynomial:
        """The polynomial with these coefficients; the coordinates of a monomial in order."""
        return cls(tuple((key, Rational(terms[key])) for key in sorted(terms, key=_order) if terms[key] != 0))

    @classmethod
    def constant(cls, value: Any) -> Polynomial:
        """A number.

        Raises:
            InputTypeError: a float, or no number.
        """
        return value if isinstance(value, Polynomial) else cls.of({(): _number(value)})

    @classmethod
    def quadratic(cls, form: Matrix) -> Polynomial:
        """z^T Theta z of a symmetric matrix of numbers."""
        size = range(len(form))
        entries = {(a, c): form[a][c] for a in size for c in range(a, len(form)) if form[a][c] != 0}
        return cls.of({key: Rational(value) * (1 + (key[0] != key[1])) for key, value in entries.items()})

    @cached_property
    def degree(self) -> int:
        """The highest degree of a monomial; 0 for the zero polynomial."""
        return max((len(places) for places, _ in self.terms), default=0)

    @property
    def is_quadratic_form(self) -> bool:
        """Whether every monomial has degree 2."""
        return all(len(places) == 2 for places, _ in self.terms)

    def form(self, size: int) -> Matrix:
        """The symmetric Theta of a quadratic form, shape (size, size)."""
        entries = [[Rational(0)] * size for _ in range(size)]
        for (a, c), value in self.terms:
            entries[a][c] = entries[c][a] = value if a == c else Rational(value / 2)
        return tuple(map(tuple, entries))

    def at(self, point: Sequence[T], ring: RingLike[T]) -> T:
        """The value at a point whose coordinates are elements of a ring."""
        total = ring.lift(0)
        for places, coefficient in self.terms:
            value = ring.lift(coefficient)
            for place in places:
                value = value * point[place]
            total = total + value
        return total

    def at_numbers(self, point: Sequence[Fraction]) -> Fraction:
        """The value at a point of numbers."""
        total = Fraction(0)
        for places, coefficient in self.terms:
            value: Fraction = coefficient
            for place in places:
                value = value * point[place]
            total += value
        return total

    def __add__(self, other: Any) -> Polynomial:
        second = Polynomial.constant(other)
        found: dict[Places, Fraction] = dict(self.terms)
        for key, value in second.terms:
            found[key] = found.get(key, 0) + value
        return Polynomial.of(found)

    __radd__ = __add__

    def __neg__(self) -> Polynomial:
        return Polynomial(tuple((key, Rational(-value)) for key, value in self.terms))

    def __sub__(self, other: Any) -> Polynomial:
        return self + -Polynomial.constant(other)

    def __rsub__(self, other: Any) -> Polynomial:
        return Polynomial.constant(other) - self

    def __mul__(self, other: Any) -> Polynomial:
        second = Polynomial.constant(other)
        found: dict[Places, Fraction] = defaultdict(Fraction)
        for key, value in self.terms:
            for further, factor in second.terms:
                found[tuple(sorted(key + further))] += value * factor
        return Polynomial.of(found)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Polynomial:
        if isinstance(other, Polynomial):
            raise InputTypeError("example", other, "divide by numbers only", fault="is no number to divide by")
        return self * (1 / _number(other))

    def __pow__(self, power: Any) -> Polynomial:
        try:
            count = index(power)
        except TypeError:
            count = -1
        if not 0 <= count <= _MOST_POWER:
            raise InputTypeError("example", power, f"give an integer from 0 to {_MOST_POWER}", fault="is no such power")
        found = Polynomial.constant(1)
        for _ in range(count):
            found = found * self
        return found

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        text = ""
        for places, coefficient in reversed(self.terms):
            names = [f"z{p}**{places.count(p)}" if places.count(p) > 1 else f"z{p}" for p in sorted({*places})]
            size = abs(coefficient)
            factors = "*".join(([] if size == 1 and names else [str(size)]) + names)
            text += f" {'-' if coefficient < 0 else '+'} {factors}" if text else ("-" * (coefficient < 0) + factors)
        return text or "0"


def coordinates(count: int) -> tuple[Polynomial, ...]:
    """z_0, ..., z_{count-1}."""
    return tuple(Polynomial((((place,), Rational(1)),)) for place in range(count))


def power_of(places: Iterable[int]) -> dict[int, int]:
    """The exponents of the coordinates of a monomial.

    >>> power_of((0, 0, 3))
    {0: 2, 3: 1}
    """
    found: dict[int, int] = {}
    for place in places:
        found[place] = found.get(place, 0) + 1
    return found


def _order(places: Places) -> tuple[int, tuple[int, ...]]:
    """By degree; within a degree the first coordinates last."""
    return len(places), tuple(-place for place in places)


def _number(value: Any) -> Rational:
    """An exact number without symbols."""
    if isinstance(value, (int, AnyRational)) and not isinstance(value, bool):
        return Rational(value)
    found = exact(value, "example")
    if not isinstance(found, Rational):
        raise InputTypeError("example", value, "give numbers", fault="contains symbols")
    return found
