"""Polynomials in the weights at weights of any ring: products of weights that several of them have are made once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic

from linvar.flint import fmpq
from linvar.matrices import Rows
from linvar.rings import RingLike, T
from linvar.symbolic.algebra.ring import Element, Exponents, to_rational


class Values(Generic[T]):
    """A point of a ring, and the monomials that were asked for there.

    Args:
        weights: leaf by leaf.
        symbols: those that occur, elements of the ring; they follow the weights in a polynomial.
        ring: where all of these live.
    """

    def __init__(self, weights: Sequence[Rows[T]], symbols: Sequence[T], ring: RingLike[T]) -> None:
        self.ring = ring
        self._point = [*(entry for matrix in weights for row in matrix for entry in row), *symbols]
        self._powers: dict[tuple[int, int], T] = {}
        self._monomials: dict[Exponents, T] = {}
        self._constants: dict[fmpq, T] = {}

    def of(self, polynomials: Iterable[Element]) -> list[T]:
        """Their values."""
        found = []
        for polynomial in polynomials:
            total = self.ring.lift(0)
            for key, coefficient in polynomial.terms():
                total = total + self._monomial(key) * self._constant(coefficient)
            found.append(total)
        return found

    def _constant(self, number: fmpq) -> T:
        """A number in the ring."""
        if number not in self._constants:
            self._constants[number] = self.ring.lift(to_rational(number))
        return self._constants[number]

    def _monomial(self, key: Exponents) -> T:
        """A product of powers: that of all but the last, times it."""
        if key not in self._monomials:
            last = max((place for place, exponent in enumerate(key) if exponent), default=None)
            if last is None:
                return self._constant(fmpq(1))
            power = self._power(last, int(key[last]))
            others = (*key[:last], *(0,) * (len(key) - last))
            self._monomials[key] = self._monomial(others) * power if any(others) else power
        return self._monomials[key]

    def _power(self, place: int, exponent: int) -> T:
        """By halves: an exponent may be in the thousands."""
        if exponent == 1:
            return self._point[place]
        if (place, exponent) not in self._powers:
            half = exponent // 2
            self._powers[place, exponent] = self._power(place, half) * self._power(place, exponent - half)
        return self._powers[place, exponent]
