"""The exact twin of ``Dataset``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log2

from linvar.exact import Exact, Matrix, Rational, Vector
from linvar.laws.dataset import Dataset
from linvar.laws.law import identity
from linvar.laws.polynomial import Polynomial
from linvar.rings import RingLike, T
from linvar.symbolic.algebra.ring import Exponents
from linvar.symbolic.laws.law import ExactLaw, Nested, common_denominator
from linvar.symbolic.laws.points import Points

#: numbers of a data set that its digits are taken from, about
_LOOKED_AT = 10_000


@dataclass(frozen=True)
class ExactDataset(ExactLaw):
    """z = (x, y), one of n rows; see ``ExactLaw`` for the members."""

    law: Dataset

    @property
    def size(self) -> int:
        """n."""
        return self.law.size

    @property
    def input_map(self) -> Matrix:
        """X with x = X z, shape (d_0, d_0 + d_L)."""
        return identity(self.law.input_width + self.law.target_width)[: self.law.input_width]

    @property
    def target_map(self) -> Matrix:
        """Y with y = Y z, shape (d_L, d_0 + d_L)."""
        return identity(self.law.input_width + self.law.target_width)[self.law.input_width :]

    @cached_property
    def _points(self) -> Points:
        scale, rows = self.law.integers
        return Points(scale, rows, self.law.size)

    def moments(self, features: Sequence[Polynomial], order: int, ring: RingLike[T]) -> dict[Exponents, T]:
        """Means over the rows."""
        return self._points.moments(features, order, ring)

    def second_moment(self, ring: RingLike[T]) -> list[list[T]]:
        """E z z^T = (1/n) sum_i z_i z_i^T."""
        scale, rows = self.law.integers
        columns = list(zip(*rows))
        return [
            [ring.lift(Rational(sum(a * b for a, b in zip(first, second)), scale**2 * self.size)) for second in columns]
            for first in columns
        ]

    def support(self, degree: int) -> Iterator[Vector]:
        """The rows."""
        return (x + y for x, y in zip(self.law.inputs, self.law.targets))

    def scattered(self, count: int) -> Iterator[Vector]:
        """Rows at equal distances, at most so many."""
        return (self.law.inputs[i] + self.law.targets[i] for i in range(0, self.size, -(-self.size // count)))

    def numbers(self) -> list[Exact]:
        """Those of the first rows, inputs and targets."""
        rows = max(1, _LOOKED_AT // (self.law.input_width + self.law.target_width))
        return [number for row in (*self.law.inputs[:rows], *self.law.targets[:rows]) for number in row]

    def factors(self) -> tuple[list[Exact], int]:
        """Products of two entries of a row."""
        return self.numbers(), 2

    def denominator_bits(self) -> float:
        """Twice those of the rows, and n."""
        return 2 * log2(common_denominator(self.numbers())) + log2(self.law.size)

    def along(self, features: Sequence[Polynomial], order: int, central: bool) -> dict[str, Nested]:
        """The values at the rows, and 1/n of each."""
        return self._points.along(self.centred(features) if central else features)

    def points(self, features: int, order: int) -> int:
        """n."""
        return self.size
