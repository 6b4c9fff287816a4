"""Finitely many examples, each with a probability of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from linvar.laws.finite import Finite
from linvar.numeric.floats import to_floats
from linvar.numeric.laws.law import NumericLaw
from linvar.numeric.laws.rows import NumericRows


@dataclass(frozen=True)
class NumericFinite(NumericRows):
    """The numeric twin of a ``linvar.Finite``: rows drawn by their probabilities."""

    law: Finite

    @cached_property
    def shares(self) -> np.ndarray | None:
        """The probabilities."""
        return to_floats(self.law.probabilities, "probabilities", "float64")


_: type[NumericLaw] = NumericFinite
