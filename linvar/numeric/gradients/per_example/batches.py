"""Sums of a batch from those of its parts: chunks of one device's examples, and the shards of many devices.

Means and scatters of two parts are merged with the update of Chan, Golub and LeVeque (1983), which adds sums of squared
deviations and the squared distance of the two means; a mean of squares is never formed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.forms import sum_of_squares
from linvar.numeric.gradients.per_example.sums import BatchSums


def merge(first: BatchSums, second: BatchSums) -> BatchSums:
    """The sums of both parts; per-example values are not kept."""
    count = first.count + second.count
    share = second.count / jnp.maximum(count, 1)
    apart = [b - a for a, b in zip(first.mean, second.mean)]
    mean = [a + share * d for a, d in zip(first.mean, apart)]
    scatter = [a + b + first.count * share * sum_of_squares(d) for a, b, d in zip(first.scatter, second.scatter, apart)]
    squares = None
    if first.squares is not None and second.squares is not None:
        squares = [a + share * (b - a) for a, b in zip(first.squares, second.squares)]
    return BatchSums(count, None, None, mean, scatter, None, squares)


def merge_over(axes: tuple[str, ...], sums: BatchSums) -> BatchSums:
    """The sums of all shards of a mesh, the same on each; per-example values stay with their shard."""
    count = jax.lax.psum(sums.count, axes)
    share = sums.count / jnp.maximum(count, 1)
    mean = [jax.lax.psum(share * m, axes) for m in sums.mean]
    # the mean of means is rounded like any mean; the distances from it are small where the shards agree
    apart = [sum_of_squares(own - all_) for own, all_ in zip(sums.mean, mean)]
    scatter = [jax.lax.psum(s + sums.count * a, axes) for s, a in zip(sums.scatter, apart)]
    squares = None if sums.squares is None else [jax.lax.psum(share * q, axes) for q in sums.squares]
    return BatchSums(count, sums.losses, sums.live, mean, scatter, sums.norms, squares)


def in_chunks(make: Callable[[Sequence[Any], Any], BatchSums], examples: Sequence[Any], chunk: int) -> BatchSums:
    """The sums of all examples, ``chunk`` at a time.

    Args:
        make: (arrays of some examples, which of them count) -> their sums.
        examples: arrays, examples first.
        chunk: examples at a time; the last chunk is filled up with copies that do not count.
    """
    (size,) = {x.shape[0] for x in examples}
    if chunk >= size:
        return make(examples, jnp.ones(size, bool))
    chunks = -(-size // chunk)
    chunk = -(-size // chunks)  # of equal size, so that hardly any copy is needed
    rows = jnp.minimum(jnp.arange(chunks * chunk), size - 1)
    live = (jnp.arange(chunks * chunk) < size).reshape(chunks, chunk)
    folded = [
        (x if chunks * chunk == size else x[rows]).reshape(chunks, chunk, *x.shape[1:]) for x in examples
    ]  # fmt: skip
    first = make([x[0] for x in folded], live[0])

    def step(total: BatchSums, part: Any) -> tuple[BatchSums, tuple[Any, Any, Any]]:
        own = make(*part)
        return merge(total, own), (own.losses, own.live, own.norms)

    start = merge(_empty(first), first)
    total, kept = jax.lax.scan(step, start, ([x[1:] for x in folded], live[1:]))
    own = (first.losses, first.live, first.norms)
    losses, alive, norms = jax.tree.map(lambda a, b: jnp.concatenate([a, b.reshape(-1)])[:size], own, kept)
    return BatchSums(total.count, losses, alive, total.mean, total.scatter, norms, total.squares)


def _empty(like: BatchSums) -> BatchSums:
    """The sums of no example."""
    return jax.tree.map(jnp.zeros_like, like)
