"""Batches that are random subsets of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

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

    def begin(
        self, key: Key[Array, ""], size: int, batch_size: Float[Array, ""], first: Int[Array, ""] | None = None
    ) -> Subset:
        """Nothing chosen; with a first row, the others are a subset of the rest."""
        return Subset(key, jnp.zeros(size, bool), jnp.int32(size) - batch_size.astype(jnp.int32), first)

    def more(
        self, state: Subset, number: Int[Array, ""], own: Int[Array, " rows"]
    ) -> tuple[Subset, Int[Array, " rows"]]:
        """Floyd's algorithm, some numbers at a time."""
        first = state.first
        places = number + jnp.arange(len(own), dtype=jnp.int32)
        last = state.left + places - (first is not None)
        key = jax.random.fold_in(state.key, number)
        proposals = numbers_below(key, jnp.maximum(last, 0) + 1)

        def add(chosen: Array, drawn: tuple[Array, Array, Array]) -> tuple[Array, Array]:
            """One more row: the first, or one of the others."""
            place, proposal, last = drawn
            if first is None:
                return add_member(chosen, proposal, last)
            chosen, other = add_member(chosen, proposal, last, place > 0)
            return chosen, jnp.where(place > 0, other + (other >= first), first)

        chosen, found = jax.lax.scan(add, state.chosen, (places, proposals, last))
        return state._replace(chosen=chosen), found

    def bytes_per_batch(self, size: int) -> int:
        """A mask of the data set."""
        return 9 * size


class Subset(NamedTuple):
    """A random subset on its way.

    Attributes:
        key: of the numbers still to be drawn.
        chosen: (n,): which are in; with a first row, which of the others, in order.
        left: n - b, how many stay out.
        first: the row it begins with, if any.
    """

    key: Key[Array, ""]
    chosen: Bool[Array, " n"]
    left: Int[Array, ""]
    first: Int[Array, ""] | None


def numbers_below(key: Key[Array, ""], limits: Int[Array, " k"]) -> Int[Array, " k"]:
    """Independent uniform numbers 0..limit-1, up to 2^-53: a third of the work of ``randint``. float32 is too coarse for that."""
    if jnp.result_type(float) == jnp.float64:
        return (jax.random.uniform(key, limits.shape) * limits).astype(jnp.int32)
    return jax.random.randint(key, limits.shape, jnp.int32(0), limits, jnp.int32)


def add_member(
    chosen: Bool[Array, " n"], proposal: Int[Array, ""], last: Int[Array, ""], wanted: Bool[Array, ""] | bool = True
) -> tuple[Bool[Array, " n"], Int[Array, ""]]:
    """Put one of 0..last into a set that has none above last - 1: the proposal, or last where it is in already.

    Where it is not ``wanted`` the set stays.
    """
    number = jnp.where(chosen[proposal], last, proposal)
    return chosen.at[number].set(wanted | chosen[number]), number
