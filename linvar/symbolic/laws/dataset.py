"""The exact twin of ``Dataset``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from linvar.exact import Rational
from linvar.laws.dataset import Dataset
from linvar.rings import RingLike, T
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.laws.points import Points
from linvar.symbolic.laws.rows import ExactRows


@dataclass(frozen=True)
class ExactDataset(ExactRows):
    """z = (x, y), one of n rows, each with probability 1/n; see ``ExactLaw`` for the members."""

    law: Dataset

    @property
    def size(self) -> int:
        """n."""
        return self.law.size

    @cached_property
    def atoms(self) -> Points:
        """The rows, all of weight 1/n."""
        scale, rows = self.law.integers
        return Points(scale, rows, self.law.size)

    def second_moment(self, ring: RingLike[T]) -> list[list[T]]:
        """E z z^T = (1/n) sum_i z_i z_i^T."""
        scale, rows = self.law.integers
        columns = list(zip(*rows))
        return [
            [ring.lift(Rational(sum(a * b for a, b in zip(first, second)), scale**2 * self.size)) for second in columns]
            for first in columns
        ]


_: type[ExactLaw] = ExactDataset
