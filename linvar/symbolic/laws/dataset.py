"""The exact twin of ``Dataset``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

from linvar.exact import Exact, Matrix, Rational
from linvar.laws.dataset import Dataset
from linvar.symbolic.laws.law import ExactLaw, Nested, common_denominator

#: numbers of a data set that its digits are taken from, about
_LOOKED_AT = 10_000


@dataclass(frozen=True)
class ExactDataset:
    """z = (x, y), one of n rows; see ``ExactLaw`` for the members."""

    law: Dataset

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

    @property
    def white(self) -> bool:
        """Not looked into."""
        return False

    @property
    def flippable_map(self) -> None:
        """The rows are what they are."""
        return None

    def along(self, forms: Sequence[Matrix], central: bool) -> dict[str, Nested]:
        """The values z_i^T Theta_j z_i, shape (forms, n), and 1/n."""
        rows = [x + y for x, y in zip(self.law.inputs, self.law.targets)]
        supports = [
            [(i, j, entry) for i, row in enumerate(form) for j, entry in enumerate(row) if entry != 0] for form in forms
        ]
        values = [
            [sum((entry * row[i] * row[j] for i, j, entry in support), Rational(0)) for row in rows]
            for support in supports
        ]
        if central:
            means = [sum(column) / self.law.size for column in values]
            values = [[value - mean for value in column] for column, mean in zip(values, means)]
        return {"values": values, "inverse_size": Rational(1, self.law.size)}


_: type[ExactLaw] = ExactDataset
