"""Moments of the micro-batches of one step pooled into those of all their examples."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import PyTree

from linvar.numeric.gradients.blocks import moved
from linvar.numeric.gradients.per_example.arithmetic import sum_of_squares


class Noise(NamedTuple):
    """Of one batch, a number a leaf each.

    Attributes:
        trace: tr Cov(g_i).
        squared_mean: ||E g||^2.
        cancelled: one boolean: a trace is lost in rounding.
    """

    trace: PyTree
    squared_mean: PyTree
    cancelled: jax.Array

    @property
    def finite(self) -> jax.Array:
        """Whether all of it is."""
        numbers = jax.tree.leaves((self.trace, self.squared_mean))
        return jnp.all(jnp.stack([jnp.isfinite(x) for x in numbers])) if numbers else jnp.asarray(True)


class Pool(NamedTuple):
    """Running mean and scatter of the micro-batches of a step so far.

    Attributes:
        batches: how many.
        examples: in all of them, a float.
        mean: mean gradient, a pytree like the parameters.
        scatter: sum_i ||g_i - mean||^2, of each leaf.
        cancelled: in one of them a trace was lost in rounding.
    """

    batches: jax.Array
    examples: jax.Array
    mean: PyTree
    scatter: PyTree
    cancelled: jax.Array

    @staticmethod
    def empty(params: PyTree) -> Pool:
        """No micro-batch yet."""
        return Pool(
            jnp.zeros((), jnp.int32),
            jnp.zeros((), widest(params)),
            jax.tree.map(_zeros, params),
            jax.tree.map(lambda x: jnp.zeros((), wide(x)), params),
            jnp.zeros((), bool),
        )

    def with_batch(self, examples: jax.Array, mean: PyTree, noise: Noise, ddof: int) -> Pool:
        """One micro-batch more, exactly: n = n_a + n_b, S = S_a + S_b + (n_a n_b / n) ||m_b - m_a||^2.

        After Chan, Golub and LeVeque (1979), "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances".
        """
        total = self.examples + examples
        share = examples / jnp.maximum(total, 1)
        leaves, structure = jax.tree.flatten(self.mean)
        means, apart = moved(leaves, [x.astype(y.dtype) for x, y in zip(jax.tree.leaves(mean), leaves)], share)
        scatter = jax.tree.map(
            lambda s, t, d: s + (examples - ddof) * t + self.examples * share * d,
            self.scatter,
            noise.trace,
            jax.tree.unflatten(structure, apart),
        )
        mean = jax.tree.unflatten(structure, means)
        return Pool(self.batches + 1, total, mean, scatter, self.cancelled | noise.cancelled)

    def noise(self, ddof: int) -> Noise:
        """Of all examples together."""
        trace = jax.tree.map(lambda s: s / jnp.maximum(self.examples - ddof, 1), self.scatter)
        squared = jax.tree.map(
            lambda m, t: sum_of_squares(m) - ddof / jnp.maximum(self.examples, 1) * t, self.mean, trace
        )
        return Noise(trace, squared, self.cancelled)


def wide(x: ArrayLike) -> jnp.dtype:
    """The type in which a leaf's moments are kept: its own, but at least float32."""
    dtype = jnp.result_type(x)
    return jnp.promote_types(dtype, jnp.float32) if jnp.issubdtype(dtype, jnp.floating) else jnp.dtype("float32")


def widest(params: PyTree) -> jnp.dtype:
    """The type of numbers about all leaves."""
    return jnp.result_type(jnp.float32, *map(wide, jax.tree.leaves(params)))


def _zeros(x: ArrayLike) -> jax.Array:
    """Like one leaf, where it lies."""
    if jnp.issubdtype(jnp.result_type(x), jnp.floating):
        return jnp.zeros_like(x, wide(x))
    return jnp.zeros(jnp.shape(x), wide(x))


def chosen(condition: jax.Array, new: PyTree, old: PyTree) -> PyTree:
    """One tree or the other, in the types and structure of the latter and in buffers of its own."""
    return jax.tree.map(lambda a, b: jnp.where(condition, jnp.asarray(a).astype(b.dtype), b), new, old)
