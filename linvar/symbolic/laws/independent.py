"""The exact twin of ``Independent``: a table of points with signed weights has the moments that are asked for.

Coordinates of the exact half: z = (x, y), polynomials in the independent coordinates e of the law. A moment of order k of
features of degree d is that of a polynomial of degree D = k d p in e, p the degree of the map: C(D + m, m) integer points with
rational weights, some of them negative, have all moments up to D (``nodes``), and a feature is evaluated at them as at rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import comb, prod

from linvar.errors import InputError
from linvar.exact import Exact, Matrix, Rational
from linvar.laws.independent import Independent
from linvar.laws.law import identity
from linvar.laws.polynomial import Polynomial
from linvar.rings import RingLike, T
from linvar.symbolic.algebra.ring import Exponents, Ring
from linvar.symbolic.laws.along import Along
from linvar.symbolic.laws.coordinates import is_sign, known_order, moments_of
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.laws.nodes import product_nodes
from linvar.symbolic.laws.orthogonal import composite, moments_of_products, seconds
from linvar.symbolic.laws.points import Points

#: seconds of a point of a table, and of a term of the map at it (2 cores, CPython 3.11)
_SECONDS_POINT, _SECONDS_TERM = 1e-4, 2e-6


@dataclass(frozen=True)
class ExactIndependent(ExactLaw):
    """z = (x, y), polynomials in independent coordinates; see ``ExactLaw`` for the members."""

    law: Independent
    _tables: dict[int, Points] = field(default_factory=dict, compare=False, repr=False)

    @property
    def input_map(self) -> Matrix:
        """X with x = X z, shape (d_0, d_0 + d_L)."""
        return identity(self.law.input_width + self.law.target_width)[: self.law.input_width]

    @property
    def target_map(self) -> Matrix:
        """Y with y = Y z, shape (d_L, d_0 + d_L)."""
        return identity(self.law.input_width + self.law.target_width)[self.law.input_width :]

    @property
    def _example(self) -> tuple[Polynomial, ...]:
        """z in the independent coordinates."""
        return (*self.law.inputs, *self.law.targets)

    @property
    def _degree(self) -> int:
        """p, the degree of the map."""
        return max(1, *(polynomial.degree for polynomial in self._example))

    def _degree_in(self, place: int) -> int:
        """The highest power of a coordinate in the map."""
        return max(places.count(place) for polynomial in self._example for places, _ in (*polynomial.terms, ((), 0)))

    @property
    def highest_moment(self) -> int | None:
        """Where a coordinate is known by some of its moments only."""
        known = [
            int(known_order(coordinate)) // degree
            for place, coordinate in enumerate(self.law.coordinates)
            if (degree := self._degree_in(place)) and known_order(coordinate) < 10**9
        ]
        return min(known) if known else None

    def moments(self, features: Sequence[Polynomial], order: int, ring: RingLike[T]) -> dict[Exponents, T]:
        """In orthogonal polynomials of the coordinates; where they have none, weighted sums over a table of points."""
        self._check(features, order)
        own = Ring(len(self.law.coordinates))
        composed = composite(features, [polynomial.at(own.gens, own) for polynomial in self._example], own)
        known = [  # zero has the degree -1
            moments_of(coordinate, order * max((0, *(int(f.degrees()[place]) for f in composed))))
            for place, coordinate in enumerate(self.law.coordinates)
        ]
        found = moments_of_products(composed, order, known)
        if found is None:
            return self._table(features, order).moments(features, order, ring)
        return {key: ring.lift(value) for key, value in found.items()}

    def along(self, features: Sequence[Polynomial], order: int, central: bool) -> Along:
        """The values at such points, and their weights."""
        chosen = self.centred(features) if central else features
        return self._table(chosen, order).along(chosen)

    def points(self, features: int, order: int) -> int:
        """Points for features of degree 2."""
        return self._count(2 * order)

    def _signs(self, in_example: int) -> list[int]:
        """Coordinates that are signs, where all their values are fewer points than those of their moments."""
        signs, degree = [p for p, one in enumerate(self.law.coordinates) if is_sign(one)], in_example * self._degree
        return signs if 2 ** len(signs) <= comb(degree + len(signs), degree) else []

    def _count(self, in_example: int) -> int:
        """Points of a table for polynomials of this degree in the example."""
        signs, degree = self._signs(in_example), in_example * self._degree
        others = [p for p in range(len(self.law.coordinates)) if p not in signs]
        found: int = min(comb(degree + len(others), len(others)), self._grid(others, in_example)) << len(signs)
        return found

    def _grid(self, places: Sequence[int], in_example: int) -> int:
        """Points of a grid with the degree of each coordinate by itself."""
        return prod(in_example * self._degree_in(place) + 1 for place in places)

    def degree_of(self, features: Sequence[Polynomial]) -> int:
        """In the independent coordinates."""
        degrees = [polynomial.degree for polynomial in self._example]
        return max((sum(degrees[place] for place in places) for f in features for places, _ in f.terms), default=0)

    def moment_seconds(self, features: int, order: int, degree: int) -> float:
        """In orthogonal polynomials; a sign has two of them."""
        signs: int = len(self._signs(order * degree))
        others = len(self.law.coordinates) - signs
        return seconds(others, features, order, degree) * float(2**signs)

    def preparation(self, order: int) -> float:
        """Every point is taken through the map; those of the simplex have weights of their own to be found."""
        terms = sum(len(polynomial.terms) * (1 + polynomial.degree) for polynomial in self._example)
        return self._count(2 * order) * (_SECONDS_POINT + _SECONDS_TERM * terms)

    def numbers(self) -> list[Exact]:
        """The coefficients of the map."""
        return [coefficient for polynomial in self._example for _, coefficient in polynomial.terms] or [Rational(1)]

    def _check(self, features: Sequence[Polynomial], order: int) -> int:
        """The degree in the example of products of features.

        Raises:
            InputError: the coordinates have no such moments.
        """
        in_example = order * max((feature.degree for feature in features), default=0)
        highest = self.highest_moment
        if highest is not None and in_example > highest:
            raise InputError(
                "law",
                self.law,
                "give more moments of its coordinates, or ask for fewer steps",
                fault=f"has moments up to degree {highest} in (x, y), and those of degree {in_example} are needed",
            )
        return in_example

    def _table(self, features: Sequence[Polynomial], order: int) -> Points:
        """Points that have the moments of some features; kept by the degree."""
        in_example = self._check(features, order)
        if in_example not in self._tables:
            self._tables[in_example] = self._points(in_example)
        return self._tables[in_example]

    def _points(self, in_example: int) -> Points:
        """Points in the coordinates for polynomials of this degree in the example, taken to z."""
        coordinates, degree = self.law.coordinates, in_example * self._degree
        signs = self._signs(in_example)
        others = [place for place in range(len(coordinates)) if place not in signs]
        if self._grid(others, in_example) <= comb(degree + len(others), len(others)):
            degrees = [in_example * self._degree_in(place) for place in others]
            axes = [product_nodes([moments_of(coordinates[p], d)], d) for p, d in zip(others, degrees)]
            nodes = [
                (tuple(node[0] for node, _ in chosen), Fraction(prod(weight for _, weight in chosen)))
                for chosen in product(*axes)
            ]
        else:
            nodes = product_nodes([moments_of(coordinates[place], degree) for place in others], degree)
        points, weights = [], []
        for node, weight in nodes:
            for sign in product((-1, 1), repeat=len(signs)):
                at = {**dict(zip(others, node)), **dict(zip(signs, sign))}
                e = [Fraction(at[place]) for place in range(len(coordinates))]
                points.append([polynomial.at_numbers(e) for polynomial in self._example])
                weights.append(Fraction(weight) / 2 ** len(signs))
        return Points.of(points, weights)


_: type[ExactLaw] = ExactIndependent
