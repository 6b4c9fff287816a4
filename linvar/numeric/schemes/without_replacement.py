"""Batches that are random subsets of a data set."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key

from linvar.errors import InputError


@dataclass(frozen=True)
class WithoutReplacement:
    """A batch is a uniformly random subset of b of the n rows; batches of different steps are independent."""

    @property
    def independent(self) -> bool:
        """No: a batch has no row twice."""
        return False

    def factor(self, batch_sizes: np.ndarray, dataset_size: int | None) -> np.ndarray:
        """(n-b) / (b (n-1)), 0 at b = n (proofs/sampling-factor.md)."""
        n = self._size(dataset_size)
        return (n - batch_sizes) / (batch_sizes * max(1.0, n - 1.0))

    def trace_share(self, batch_size: int, dataset_size: int | None) -> float:
        """(1 - b/n) / (b-1): with S^2 of divisor n - 1, Cov of the mean is (1 - b/n) S^2 / b, the trace within (b-1)/b S^2."""
        return (1 - batch_size / self._size(dataset_size)) / (batch_size - 1)

    @staticmethod
    def _size(dataset_size: int | None) -> int:
        if dataset_size is None:
            raise InputError("sampling", "without_replacement", "write sampling='iid'", fault="needs a data set")
        return dataset_size

    def rows(self, key: Key[Array, ""], size: int, batch_size: int) -> Int[Array, " batch"]:
        """A random subset."""
        return random_subset(key, size, batch_size)

    def extreme_draws(self, batch_size: int) -> int:
        """One: the others are a subset of the rest."""
        return 1

    def extreme_rows(
        self,
        key: Key[Array, ""],
        size: int,
        batch_size: int,
        chosen: Bool[Array, " batch"],
        plain: Int[Array, " 1"],
        tilted: Int[Array, " 1"],
    ) -> Int[Array, " batch"]:
        """One row, plain or exaggerated, and a uniform subset of the others."""
        first = jnp.where(jnp.any(chosen), tilted, plain)
        others = random_subset(key, size - 1, batch_size - 1)
        return jnp.concatenate([first, others + (others >= first)])

    def bytes_per_batch(self, size: int) -> int:
        """A mask of the data set."""
        return 9 * size


def random_subset(key: Key[Array, ""], size: int, count: int) -> Int[Array, " count"]:
    """A uniformly random subset of ``count`` of the numbers 0..size-1, every subset equally likely.

    Floyd's algorithm (Bentley and Floyd, 1987): for j = size-count .. size-1 draw t uniformly from 0..j and
    add t, or j if t is already in. It needs ``count`` draws whatever the size; past one half, the numbers left
    out are drawn instead. At ``count = size`` nothing is random and the numbers come in order.

    Args:
        key: a typed key.
        size: n, how many numbers to choose from.
        count: how many to choose, 0 <= count <= size.

    Returns:
        The chosen numbers, distinct; their order carries no meaning.

    >>> random_subset(jax.random.key(0), 4, 4)
    Array([0, 1, 2, 3], dtype=int32)
    """
    drawn = min(count, size - count)
    last = jnp.arange(size - drawn, size, dtype=jnp.int32)
    proposals = jax.random.randint(key, (drawn,), jnp.int32(0), last + 1, jnp.int32)

    def add(chosen: jax.Array, proposal: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """Put one more number into the mask of chosen ones."""
        candidate, fallback = proposal
        number = jnp.where(chosen[candidate], fallback, candidate)
        return chosen.at[number].set(True), number

    chosen, numbers = jax.lax.scan(add, jnp.zeros(size, bool), (proposals, last))
    if drawn == count:
        return numbers
    return jnp.nonzero(~chosen, size=count)[0].astype(jnp.int32)
