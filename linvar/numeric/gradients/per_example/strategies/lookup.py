"""Rows of a table: the rows an example looked up, added where it did so twice."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.arithmetic import at_least_float32, squares
from linvar.numeric.gradients.per_example.kinds.lookup import Lookup
from linvar.numeric.gradients.per_example.strategies.quantities import Sums


def lookup(
    entries: Sequence[Lookup], h: Sequence[jax.Array], delta: Sequence[jax.Array], live: jax.Array, count: jax.Array
) -> Sums:
    """Rows of a table: deviations of the rows an example looked up, and the mean of those it did not.

    sum_i ||g_i - m||^2 = sum_i sum_{r looked up by i} ||g_i[r] - m[r]||^2 + sum_r (n - count_r) ||m[r]||^2
    """
    entry, found = entries[0], []
    for e, x, d in zip(entries, h, delta):
        indices, outside = e.in_range(e.inputs(x))
        cotangents = at_least_float32(e.cotangents(d))
        dead = outside | (live == 0)[:, None, None]
        found.append((jnp.where(dead, -1, indices), jnp.where(dead[..., None], 0, cotangents)))
    keys, values = (jnp.concatenate(parts, axis=2) for parts in zip(*found))  # (n, g, t), (n, g, t, f)
    groups, length, rows = keys.shape[1], entry.contracted, keys.shape[2]
    if rows > 1:
        order = jnp.argsort(keys, axis=2)
        keys, values = jnp.take_along_axis(keys, order, 2), jnp.take_along_axis(values, order[..., None], 2)
        first = jnp.concatenate([jnp.ones_like(keys[..., :1], bool), keys[..., 1:] != keys[..., :-1]], axis=2)
        segment = jnp.cumsum(first, axis=2) - 1

        def add(v: jax.Array, s: jax.Array) -> jax.Array:
            return jax.ops.segment_sum(v, s, rows, indices_are_sorted=True)

        def keep(k: jax.Array, s: jax.Array) -> jax.Array:
            return jax.ops.segment_max(k, s, rows, indices_are_sorted=True)

        values = jax.vmap(jax.vmap(add))(values, segment)
        keys = jax.vmap(jax.vmap(keep))(keys, segment)  # rows beyond the last segment get the lowest integer: not live
    real = keys >= 0
    values = jnp.where(real[..., None], values, 0)
    flat = jnp.where(real, keys + length * jnp.arange(groups)[:, None], groups * length)
    table = jnp.zeros((groups * length, values.shape[-1]), values.dtype).at[flat].add(values, mode="drop")
    counts = jnp.zeros(groups * length, jnp.int32).at[flat].add(1, mode="drop")
    mean = table / count
    here = mean.at[flat].get(mode="fill", fill_value=0)
    apart = jnp.sum(squares(jnp.where(real[..., None], values - here, 0), -1))
    scatter = apart + jnp.sum((count - counts) * squares(mean, -1))
    norms = jnp.sum(squares(values, -1), axis=(1, 2))
    squared = jnp.zeros_like(table).at[flat].add(values**2, mode="drop") / count

    def shaped(x: jax.Array) -> jax.Array:
        return entry.weight(x.reshape(groups, length, -1))

    return Sums([shaped(mean)], [scatter], [norms], [shaped(squared)])
