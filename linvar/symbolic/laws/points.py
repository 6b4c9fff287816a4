"""Moments of features at finitely many points with weights: rows of a data set, atoms, or nodes that stand for another law.

Integers throughout: a feature is a column of integers over one denominator, a moment a sum of products of columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from math import lcm, prod
from operator import mul

from linvar.exact import Rational
from linvar.laws.polynomial import Places, Polynomial
from linvar.rings import RingLike, T
from linvar.symbolic.algebra.ring import Exponents
from linvar.symbolic.laws.along import Along, at_points
from linvar.symbolic.laws.halves import paired
from linvar.symbolic.laws.law import graded


@dataclass(frozen=True)
class Points:
    """E f = sum_i w_i f(z_i).

    Attributes:
        scale: the denominator of all coordinates.
        rows: the z_i times it, n rows.
        total: the denominator of all weights.
        weights: the w_i times it; None where all of them are 1.
    """

    scale: int
    rows: Sequence[Sequence[int]]
    total: int
    weights: Sequence[int] | None = None

    @classmethod
    def of(cls, points: Sequence[Sequence[Fraction]], weights: Sequence[Fraction]) -> Points:
        """Points and weights of numbers."""
        scale = lcm(1, *{entry.denominator for entry in chain.from_iterable(points)})
        rows = [[entry.numerator * (scale // entry.denominator) for entry in row] for row in points]
        total = lcm(1, *{weight.denominator for weight in weights})
        return cls(scale, rows, total, [weight.numerator * (total // weight.denominator) for weight in weights])

    def moments(self, features: Sequence[Polynomial], order: int, ring: RingLike[T]) -> dict[Exponents, T]:
        """E prod_j f_j^{a_j} for 1 <= |a| <= order."""
        columns, scales = self._columns(features)
        # products of up to half the order; those of full order are dot products of two of them
        start = [1] * len(self.rows)
        halves: dict[Places, list[int]] = {(): start}
        for _, key in graded(len(features), (order + 1) // 2):
            halves[key] = list(map(mul, halves[key[:-1]], columns[key[-1]]))
        first = halves
        if self.weights is not None:
            weights = self.weights
            first = {key: list(map(mul, weights, halves[key])) for key in halves if len(key) <= order // 2}
        found = {}
        for exponents, total in paired(first, halves, len(features), order):
            below = self.total * prod(scale**power for scale, power in zip(scales, exponents) if power)
            found[exponents] = ring.lift(Rational(total, below))
        return found

    def along(self, features: Sequence[Polynomial]) -> Along:
        """Values of the features, shape (features, points), and weights."""
        columns, scales = self._columns(features)
        values = [[Fraction(value, scale) for value in column] for column, scale in zip(columns, scales)]
        weights = [Fraction(1, self.total)] * len(self.rows)
        if self.weights is not None:
            weights = [Fraction(weight, self.total) for weight in self.weights]
        return at_points(values, weights)

    def _columns(self, features: Sequence[Polynomial]) -> tuple[list[list[int]], list[int]]:
        """The values of each feature as integers, and their denominator."""
        columns, scales = [], []
        for feature in features:
            degree = feature.degree
            denominator = lcm(1, *(coefficient.denominator for _, coefficient in feature.terms))
            terms = [
                (int(coefficient * denominator) * self.scale ** (degree - len(places)), places)
                for places, coefficient in feature.terms
            ]
            columns.append([sum(c * prod(row[place] for place in places) for c, places in terms) for row in self.rows])
            scales.append(denominator * self.scale**degree)
        return columns, scales
