"""Running sums of some batches of gradients, for means and standard errors over a data set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from linvar.numeric.gradients.per_example.arithmetic import sum_of_squares
from linvar.numeric.gradients.result import GradientMoments


@dataclass
class Block:
    """Running sums of some batches; counts and scatters on the host in double precision.

    Attributes:
        scatter: one number a leaf.
        powers: sums over the examples of ||g_i||^k, k = 0..4, of gradients that are not zero; NaN where norms are not at hand.
    """

    count: int
    given: int
    loss: float
    mean: list[jax.Array]
    scatter: np.ndarray
    powers: np.ndarray

    @staticmethod
    def of(moments: GradientMoments, given: int) -> Block:
        """One batch."""
        count = int(moments.examples)
        scatter = count * np.asarray(jax.device_get(jax.tree.leaves(moments.trace_per_leaf)), "float64")
        return Block(count, given, float(moments.loss), jax.tree.leaves(moments.mean), scatter, _powers(moments))

    def add(self, moments: GradientMoments, given: int) -> None:
        """One more batch."""
        own = Block.of(moments, given)
        total = self.count + own.count
        share = own.count / total
        self.mean, apart = moved(self.mean, own.mean, share)
        self.scatter = self.scatter + own.scatter + self.count * share * np.asarray(jax.device_get(apart), "float64")
        self.loss += share * (own.loss - self.loss)
        self.powers = self.powers + own.powers
        self.count, self.given = total, self.given + given


def _powers(moments: GradientMoments) -> np.ndarray:
    """Of the norms of one batch. Norms of several processes' global arrays are nobody's to look at."""
    squares = moments.squared_norms
    if squares is None or not squares.is_fully_addressable:
        return np.full(5, np.nan)
    norms = np.sqrt(np.asarray(squares, "float64"))
    return np.asarray((norms[norms > 0, None] ** np.arange(5)).sum(axis=0))


def fewest_alike(powers: np.ndarray, scatter: float, squared_mean: float) -> float:
    """How many equal examples at most would leave the trace as uncertain as its examples do, by their norms.

    (sum q)^2 / sum q^2 of Kish (1965) with q_i = ||g_i - mean||^2 >= (||g_i|| - ||mean||)^2 in the denominator; infinite where
    norms are not known, or no different from that of the mean.

    Args:
        powers: sums of ||g_i||^k.
        scatter: sum of q.
        squared_mean: ||mean||^2.
    """
    terms = powers[::-1] * np.array([1, -4, 6, -4, 1]) * np.sqrt(squared_mean) ** np.arange(5)
    fourth = float(terms.sum())
    return scatter**2 / fourth if fourth > 1e-12 * float(np.abs(terms).sum()) else math.inf


@jax.jit
def moved(mean: list[jax.Array], other: list[jax.Array], share: ArrayLike) -> tuple[list[jax.Array], list[jax.Array]]:
    """A mean moved towards another by a share of their distance, and its square."""
    apart = [b - a for a, b in zip(mean, other)]
    return [a + (share * d).astype(a.dtype) for a, d in zip(mean, apart)], [sum_of_squares(d) for d in apart]


def mean_of(means: Sequence[list[jax.Array]], counts: Sequence[int]) -> list[jax.Array]:
    """The mean of all from those of blocks; a running one, so that equal means stay equal."""
    mean, total = means[0], 0
    for own, count in zip(means, counts):
        total += count
        mean, _ = moved(mean, own, count / total)
    return mean


@jax.jit
def products(mean: list[jax.Array], own: list[jax.Array]) -> tuple[list[jax.Array], list[jax.Array]]:
    """For each leaf ||own - mean||^2 and mean . (own - mean)."""
    apart = [b - a for a, b in zip(mean, own)]
    return [sum_of_squares(d) for d in apart], [jnp.sum(a * d) for a, d in zip(mean, apart)]
