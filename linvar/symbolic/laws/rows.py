"""What the exact twins of laws of finitely many examples have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from math import log2

from linvar.exact import Exact, Matrix, Vector
from linvar.laws.law import identity
from linvar.laws.polynomial import Polynomial
from linvar.laws.rows import Rows
from linvar.rings import RingLike, T
from linvar.symbolic.algebra.ring import Exponents
from linvar.symbolic.laws.along import Along
from linvar.symbolic.laws.law import ExactLaw, common_denominator
from linvar.symbolic.laws.points import Points

#: numbers of the rows that digits are taken from, about
_LOOKED_AT = 10_000


class ExactRows(ExactLaw):
    """z = (x, y), one of finitely many rows; see ``ExactLaw`` for the members."""

    law: Rows

    @property
    @abstractmethod
    def atoms(self) -> Points:
        """The rows and their probabilities."""

    @property
    def input_map(self) -> Matrix:
        """X with x = X z, shape (d_0, d_0 + d_L)."""
        return identity(self.law.input_width + self.law.target_width)[: self.law.input_width]

    @property
    def target_map(self) -> Matrix:
        """Y with y = Y z, shape (d_L, d_0 + d_L)."""
        return identity(self.law.input_width + self.law.target_width)[self.law.input_width :]

    def moments(self, features: Sequence[Polynomial], order: int, ring: RingLike[T]) -> dict[Exponents, T]:
        """Means over the rows."""
        return self.atoms.moments(features, order, ring)

    def support(self, degree: int) -> Iterator[Vector]:
        """The rows."""
        return (x + y for x, y in zip(self.law.inputs, self.law.targets))

    def scattered(self, count: int) -> Iterator[Vector]:
        """Rows at equal distances, at most so many."""
        rows = len(self.law.inputs)
        return (self.law.inputs[i] + self.law.targets[i] for i in range(0, rows, -(-rows // count)))

    def numbers(self) -> list[Exact]:
        """Those of the first rows, inputs and targets."""
        rows = max(1, _LOOKED_AT // (self.law.input_width + self.law.target_width))
        return [number for row in (*self.law.inputs[:rows], *self.law.targets[:rows]) for number in row]

    def factors(self) -> tuple[list[Exact], int]:
        """Products of two entries of a row."""
        return self.numbers(), 2

    def denominator_bits(self) -> float:
        """Twice those of the rows, and those of the probabilities."""
        return 2 * log2(common_denominator(self.numbers())) + log2(self.atoms.total)

    def summed(self, order: int) -> int:
        """The number of rows."""
        return len(self.law.inputs)

    def along(self, features: Sequence[Polynomial], order: int, central: bool) -> Along:
        """The values at the rows, and their probabilities."""
        return self.atoms.along(self.centred(features) if central else features)

    def points(self, features: int, order: int) -> int:
        """The number of rows."""
        return len(self.law.inputs)
