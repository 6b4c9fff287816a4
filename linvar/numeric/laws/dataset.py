"""A finite data set: an example is one of its rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from linvar.laws.dataset import Dataset
from linvar.numeric.laws.law import NumericLaw
from linvar.numeric.laws.rows import NumericRows


@dataclass(frozen=True)
class NumericDataset(NumericRows):
    """The numeric twin of a ``linvar.Dataset``: rows of equal probability."""

    law: Dataset

    @property
    def shares(self) -> np.ndarray | None:
        """1/n each."""
        return None


_: type[NumericLaw] = NumericDataset
