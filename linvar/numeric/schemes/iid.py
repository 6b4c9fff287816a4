"""Batches of independent examples."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key


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

    def rows(self, key: Key[Array, ""], size: int, batch_size: int) -> Int[Array, " batch"]:
        """``batch_size`` independent numbers."""
        return jax.random.randint(key, (batch_size,), 0, size, jnp.int32)

    def extreme_draws(self, batch_size: int) -> int:
        """All."""
        return batch_size

    def extreme_rows(
        self,
        key: Key[Array, ""],
        size: int,
        batch_size: int,
        chosen: Bool[Array, " batch"],
        plain: Int[Array, " batch"],
        tilted: Int[Array, " batch"],
    ) -> Int[Array, " batch"]:
        """Each example for itself."""
        return jnp.where(chosen, tilted, plain)

    def bytes_per_batch(self, size: int) -> int:
        """None."""
        return 0
