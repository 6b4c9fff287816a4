"""Batches of independent examples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Array, Float, Int, Key


@dataclass(frozen=True)
class Iid:
    """Every example of a batch is drawn for itself, with replacement from a data set."""

    @property
    def independent(self) -> bool:
        """Yes."""
        return True

    def factor(self, batch_sizes: np.ndarray, dataset_size: int | None) -> np.ndarray:
        """1/b."""
        return 1.0 / batch_sizes

    def trace_share(self, batch_size: int, dataset_size: int | None) -> float:
        """1/(b-1): the trace within a batch is (b-1)/b of that of the law in expectation, Cov of the mean 1/b."""
        return 1 / (batch_size - 1)

    def begin(
        self, key: Key[Array, ""], size: int, batch_size: Float[Array, ""], first: Int[Array, ""] | None = None
    ) -> Any:
        """Nothing."""
        return ()

    def more(self, state: Any, number: Int[Array, ""], own: Int[Array, " rows"]) -> tuple[Any, Int[Array, " rows"]]:
        """Each for itself."""
        return state, own

    def bytes_per_batch(self, size: int) -> int:
        """None."""
        return 0
