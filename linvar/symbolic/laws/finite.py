"""The exact twin of ``Finite``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import lcm

from linvar.laws.finite import Finite
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.laws.points import Points
from linvar.symbolic.laws.rows import ExactRows


@dataclass(frozen=True)
class ExactFinite(ExactRows):
    """z = (x, y), one of some rows with their probabilities; see ``ExactLaw`` for the members."""

    law: Finite

    @cached_property
    def atoms(self) -> Points:
        """The rows and their probabilities."""
        scale, rows = self.law.integers
        chances = self.law.probabilities
        total = lcm(*{chance.denominator for chance in chances})
        return Points(scale, rows, total, [chance.numerator * (total // chance.denominator) for chance in chances])


_: type[ExactLaw] = ExactFinite
