"""Sums of a batch from those of its parts: chunks of one device's examples, and the shards of many devices.

Means and scatters of two parts are merged with the update of Chan, Golub and LeVeque (1983), which adds sums of squared
deviations and the squared distance of the two means; a mean of squares is never formed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.arithmetic import sum_of_squares
from linvar.numeric.gradients.per_example.meshes import vary, varying
from linvar.numeric.gradients.per_example.totals import BatchSums, PerExample, Totals


def merge(first: Totals, second: Totals) -> Totals:
    """The sums of both parts."""
    count = first.examples + second.examples
    share = second.examples / jnp.maximum(count, 1)
    apart = [b - a for a, b in zip(first.mean, second.mean)]
    mean = [a + share * d for a, d in zip(first.mean, apart)]
    scatter = [
        a + b + first.examples * share * sum_of_squares(d) for a, b, d in zip(first.scatter, second.scatter, apart)
    ]
    squares = [a + share * (b - a) for a, b in zip(first.squares, second.squares)]
    deviations = [
        a + b + first.examples * share * jnp.square(d) for a, b, d in zip(first.deviations, second.deviations, apart)
    ]
    sizes = [a + b for a, b in zip(first.sizes, second.sizes)]
    return Totals(count, mean, scatter, squares, deviations, sizes)


def merge_over(axes: tuple[str, ...], own: Totals) -> Totals:
    """The sums of all shards of a mesh, the same on each."""
    count = jax.lax.psum(own.examples, axes)
    share = own.examples / jnp.maximum(count, 1)
    mean = [jax.lax.psum(share * m, axes) for m in own.mean]
    # the mean of means is rounded like any mean; the distances from it are small where the shards agree
    apart = [sum_of_squares(mine - all_) for mine, all_ in zip(own.mean, mean)]
    scatter = [jax.lax.psum(s + own.examples * a, axes) for s, a in zip(own.scatter, apart)]
    squares, sizes = [jax.lax.psum(share * q, axes) for q in own.squares], jax.lax.psum(own.sizes, axes)
    each = [d + own.examples * jnp.square(a - b) for d, a, b in zip(own.deviations, own.mean, mean)]
    return Totals(count, mean, scatter, squares, [jax.lax.psum(d, axes) for d in each], sizes)


def in_chunks(
    make: Callable[[Sequence[jax.Array], jax.Array], BatchSums],
    examples: Sequence[jax.Array],
    chunk: int,
    mask: jax.Array | None = None,
) -> BatchSums:
    """The sums of all examples, ``chunk`` at a time.

    Args:
        make: (arrays of some examples, which of them count) -> their sums.
        examples: arrays, examples first.
        chunk: examples at a time; the last chunk is filled up with copies that do not count.
        mask: (n,) booleans, the examples that count; None: all.
    """
    (count,) = {x.shape[0] for x in examples}
    axes = varying(examples)
    counts = vary(jnp.ones(count, bool), axes) if mask is None else mask
    if chunk >= count:
        return make(examples, counts)
    chunks = -(-count // chunk)
    chunk = -(-count // chunks)  # of equal length, so that hardly any copy is needed
    rows = jnp.minimum(jnp.arange(chunks * chunk), count - 1)
    live = vary(jnp.arange(chunks * chunk) < count, axes) & counts[rows]
    live = live.reshape(chunks, chunk)
    folded = [(x if chunks * chunk == count else x[rows]).reshape(chunks, chunk, *x.shape[1:]) for x in examples]
    first = make([x[0] for x in folded], live[0])

    def add_chunk(total: Totals, part: tuple[list[jax.Array], jax.Array]) -> tuple[Totals, PerExample]:
        own = make(*part)
        return merge(total, own.totals), own.each

    start = merge(_empty(first.totals), first.totals)
    total, others = jax.lax.scan(add_chunk, start, ([x[1:] for x in folded], live[1:]))
    every = jax.tree.map(lambda a, b: jnp.concatenate([a, b.reshape(-1)])[:count], first.each, others)
    return BatchSums(total, every)


def without_padding(examples: Sequence[jax.Array], mask: jax.Array) -> list[jax.Array]:
    """Copies of the first example that counts in the rows that do not: whatever they held, nothing of it is computed with."""
    rows = jnp.arange(mask.shape[0])
    first = rows == jnp.argmax(mask)

    def filled(x: jax.Array) -> jax.Array:
        if jnp.issubdtype(x.dtype, jax.dtypes.extended):  # keys
            return x
        shape = (-1, *[1] * (x.ndim - 1))
        alone = jnp.where(first.reshape(shape), x, jnp.zeros((), x.dtype))
        row = jnp.any(alone, axis=0) if x.dtype == bool else jnp.sum(alone, axis=0, dtype=x.dtype)
        return jnp.where(mask.reshape(shape), x, row)

    return [filled(x) for x in examples]


def _empty(like: Totals) -> Totals:
    """The sums of no example."""
    zeros: Totals = jax.tree.map(jnp.zeros_like, like)
    return zeros
