"""Polynomials about a moving point: f(w + delta, xi) as a polynomial in delta and xi, up to a total order.

The polynomials f_i are expanded once; at a point w only their Taylor coefficients are evaluated,

    f(w + delta, xi) = sum_e c_e (w + delta)^e xi^c,      coefficient of delta^a xi^c: sum_e c_e binom(e, a) w^{e-a}.

The point is w = N / q with one denominator q (1 where none is carried), and delta = d / q too. With the c_e over a common
denominator k and D the degree in w, k q^D f is a polynomial in N, q, d, xi with coefficients that need no division.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb
from operator import mul
from typing import Any, Generic

from linvar.flint import fmpq, fmpz
from linvar.symbolic.algebra.ring import Element, Exponents, Ring
from linvar.symbolic.algebra.scalars import S, Scalars

#: a product of variables: their indices, in ascending order
Monomial = tuple[int, ...]


@dataclass(frozen=True)
class Point(Generic[S]):
    """w = entries / denominator."""

    entries: list[S]
    denominator: fmpz


@dataclass(frozen=True)
class Local(Generic[S]):
    """Polynomials f_i about a point, all over one denominator.

    Attributes:
        values: f_i at the point itself, with xi = 0.
        monomials: the products of the variables (d_1, ..., d_n, xi_1, ..., xi_m) that occur, by ascending degree >= 1.
        rows: for each monomial its coefficient in every f_i, one row after the other.
    """

    values: list[S]
    monomials: tuple[Monomial, ...]
    rows: list[S]
    denominator: fmpz


class Taylor(Generic[S]):
    """The Taylor coefficients of polynomials, up to a total order in delta and xi.

    Args:
        polynomials: elements of ``ring``.
        ring: its first ``moving`` variables are w, the further ones xi.
        order: higher total degrees in delta and xi are dropped.
        at_rest: delta = 0: the polynomials in xi alone.
    """

    def __init__(
        self,
        polynomials: Sequence[Element],
        ring: Ring,
        moving: int,
        order: int,
        scalars: Scalars[S, Any],
        at_rest: bool = False,
    ) -> None:
        self._scalars, self._count = scalars, len(polynomials)
        coefficients: list[Element] = []
        terms: list[tuple[int, Exponents, Monomial]] = []
        for i, polynomial in enumerate(polynomials):
            for exponents, coefficient in _by_variables(polynomial, ring):
                fluctuation = _monomial(exponents[moving:], 0 if at_rest else moving)
                if len(fluctuation) <= order:
                    coefficients.append(coefficient)
                    terms.append((i, exponents[:moving], fluctuation))
        lifted, self._denominator = scalars.lift(coefficients)
        self._degree = max((sum(exponents) for _, exponents, _ in terms), default=0)
        self._products: list[tuple[int, int]] = []
        self._places: dict[Monomial, int] = {(): 0}
        self._plan: dict[tuple[int, Monomial], list[tuple[S, int, int]]] = defaultdict(list)
        for (i, exponents, fluctuation), number in zip(terms, lifted):
            power = self._degree - sum(exponents)
            present = tuple((j, e) for j, e in enumerate(exponents) if e)
            for taken, rest, ways in _splits(present, 0 if at_rest else order - len(fluctuation)):
                self._plan[i, taken + fluctuation].append((number * ways, self._place(rest), power))

    def _place(self, monomial: Monomial) -> int:
        """Where a product of the entries of the point is computed; its own factors come before it."""
        if monomial not in self._places:
            parent = self._place(monomial[:-1])
            self._products.append((parent, monomial[-1]))
            self._places[monomial] = len(self._products)
        return self._places[monomial]

    @cached_property
    def _monomials(self) -> tuple[Monomial, ...]:
        """The monomials of degree >= 1 that occur."""
        found = {monomial for _, monomial in self._plan if monomial}
        return tuple(sorted(found, key=lambda monomial: (len(monomial), monomial)))

    def at(self, point: Point[S]) -> Local[S]:
        """The Taylor coefficients at a point."""
        zero, one, q = self._scalars.zero, self._scalars.one, point.denominator
        products = [one]
        for parent, variable in self._products:
            products.append(products[parent] * point.entries[variable])
        powers = [one]
        for _ in range(self._degree):
            powers.append(powers[-1] * q)
        plain = q == 1
        scaled: dict[tuple[int, int], S] = {}

        def product(place: int, power: int) -> S:
            if plain or not power:
                return products[place]
            if (place, power) not in scaled:
                scaled[place, power] = products[place] * powers[power]
            return scaled[place, power]

        def coefficient(i: int, monomial: Monomial) -> S:
            parts = self._plan.get((i, monomial), ())
            return sum(map(mul, (c for c, _, _ in parts), (product(place, power) for _, place, power in parts)), zero)

        return Local(
            values=[coefficient(i, ()) for i in range(self._count)],
            monomials=self._monomials,
            rows=[coefficient(i, monomial) for monomial in self._monomials for i in range(self._count)],
            denominator=self._denominator * q**self._degree,
        )


def _by_variables(polynomial: Element, ring: Ring) -> Iterator[tuple[Exponents, Element]]:
    """Exponents of the variables, each with its coefficient in the ring of the symbols."""
    grouped: dict[Exponents, dict[Exponents, fmpq]] = defaultdict(dict)
    for key, coefficient in polynomial.terms():
        exponents = tuple(map(int, key))
        grouped[exponents[: ring.variables]][exponents[ring.variables :]] = coefficient
    for exponents, terms in grouped.items():
        yield exponents, ring.scalars.from_terms(terms)


def _monomial(exponents: Sequence[int], offset: int) -> Monomial:
    """The indices of the variables, each as often as its exponent says."""
    return tuple(j + offset for j, e in enumerate(exponents) for _ in range(e))


def _splits(exponents: tuple[tuple[int, int], ...], most: int) -> Iterator[tuple[Monomial, Monomial, int]]:
    """All a <= e with |a| <= most: the monomials of a and e - a, and binom(e, a)."""
    if not exponents:
        yield (), (), 1
        return
    (j, e), *others = exponents
    for first in range(min(e, most) + 1):
        for taken, rest, ways in _splits(tuple(others), most - first):
            yield (j,) * first + taken, (j,) * (e - first) + rest, ways * comb(e, first)
