"""Per-example gradients, some examples at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.arithmetic import at_least_float32, squares_each, sum_of_squares
from linvar.numeric.gradients.per_example.meshes import zeros_as
from linvar.numeric.gradients.per_example.strategies.quantities import Sums, Wanted

#: Arrays in lists and tuples, examples first.
Arrays = TypeVar("Arrays")


class _Seen(NamedTuple):
    """Of some examples, one item a leaf.

    Attributes:
        mean: of the gradients.
        scatter: sum of squared deviations from it.
        squares: sum of the squares entry by entry, or nothing.
        deviations: sum of squared deviations from the mean entry by entry, or nothing.
        examples: how many counted.
    """

    mean: list[jax.Array]
    scatter: list[jax.Array]
    squares: list[jax.Array]
    deviations: list[jax.Array]
    examples: jax.Array


def materialised(
    make: Callable[[Arrays], list[jax.Array]],
    arrays: Arrays,
    live: jax.Array,
    count: jax.Array,
    chunk: int,
    wanted: Wanted,
) -> Sums:
    """Per-example gradients of ``chunk`` examples at a time; sums of squared deviations merged as in ``batches.py``.

    Args:
        make: (arrays of some examples) -> their gradients, one array a leaf, examples first.
        arrays: a pytree with the examples first.
        live: (n,) 1 for an example that counts, 0 for one that does not.
        count: sum of ``live``.
        chunk: examples at a time; the last chunk is filled up with copies that do not count.
        wanted: what else to return.
    """
    (examples,) = live.shape
    chunks = -(-examples // chunk)
    chunk = -(-examples // chunks)
    if chunks == 1:
        return _at_once([at_least_float32(g) for g in make(arrays)], live, count, wanted)
    folded = jax.tree.map(lambda x: _folded(x, chunks, chunk), arrays)
    counted = _folded(live, chunks, chunk) * _folded(jnp.ones_like(live), chunks, chunk, fill=False)
    shapes = jax.eval_shape(make, jax.tree.map(lambda x: x[0], folded))
    start = [zeros_as(g, g.shape[1:], jnp.promote_types(g.dtype, jnp.float32)) for g in shapes]

    def add_chunk(total: _Seen, part: tuple[Arrays, jax.Array]) -> tuple[_Seen, list[jax.Array]]:
        inputs, weights = part
        return _added(total, [at_least_float32(g) for g in make(inputs)], weights, wanted)

    total, norms = jax.lax.scan(add_chunk, _empty(start, live, wanted), (folded, counted))
    norms = [x.reshape(-1)[:examples] for x in norms]
    return Sums(total.mean, total.scatter, norms, [q / count for q in total.squares], total.deviations)


def _at_once(gradients: list[jax.Array], live: jax.Array, count: jax.Array, wanted: Wanted) -> Sums:
    """All examples: the reference is their mean."""
    own = [jnp.where(_like(live, g), g, 0) for g in gradients]
    if len(live) == 1:  # is its own mean
        return Sums(
            [g[0] for g in own], [jnp.zeros((), g.dtype) for g in own],
            [squares_each(g) for g in own] if wanted.norms else [], [g[0] ** 2 for g in own] if wanted.squares else [],
            [jnp.zeros_like(g[0]) for g in own] if wanted.deviations else [],
        )  # fmt: skip
    mean = [jnp.sum(g, axis=0) / count for g in own]
    apart = [jnp.where(_like(live, g), g - m, 0) for g, m in zip(gradients, mean)]
    norms = [squares_each(g) for g in own] if wanted.norms else []
    squared = [jnp.sum(g**2, axis=0) / count for g in own] if wanted.squares else []
    deviations = [jnp.sum(a**2, axis=0) for a in apart] if wanted.deviations else []
    return Sums(mean, [jnp.sum(squares_each(a)) for a in apart], norms, squared, deviations)


def _empty(like: list[jax.Array], live: jax.Array, wanted: Wanted) -> _Seen:
    """Of no example."""
    zeros = [jnp.zeros_like(x) for x in like]
    numbers, squares, deviations = [jnp.zeros_like(x, shape=()) for x in like], wanted.squares, wanted.deviations
    return _Seen(zeros, numbers, zeros if squares else [], zeros if deviations else [], live[0] * 0)


def _added(total: _Seen, gradients: list[jax.Array], live: jax.Array, wanted: Wanted) -> tuple[_Seen, list[jax.Array]]:
    """Some more examples, and their norms."""
    here = jnp.sum(live)
    own = _at_once(gradients, live, jnp.maximum(here, 1), wanted)
    share = here / jnp.maximum(total.examples + here, 1)
    apart = [a - b for a, b in zip(own.mean, total.mean)]
    mean = [b + share.astype(b.dtype) * d for b, d in zip(total.mean, apart)]
    between = [(total.examples * share).astype(d.dtype) * sum_of_squares(d) for d in apart]
    scatter = [a + b + c for a, b, c in zip(total.scatter, own.scatter, between)]
    squared = [a + here.astype(a.dtype) * b for a, b in zip(total.squares, own.squares)]
    weight = total.examples * share
    deviations = [a + b + weight.astype(d.dtype) * d**2 for a, b, d in zip(total.deviations, own.deviations, apart)]
    return _Seen(mean, scatter, squared, deviations, total.examples + here), own.norms


def _folded(x: jax.Array, chunks: int, chunk: int, fill: bool = True) -> jax.Array:
    """(chunks, chunk, ...), filled up with copies of the first example, or with False."""
    missing = chunks * chunk - x.shape[0]
    if missing:
        more = jnp.broadcast_to(x[:1], (missing, *x.shape[1:]))
        x = jnp.concatenate([x, more if fill else jnp.zeros_like(more)])
    return x.reshape(chunks, chunk, *x.shape[1:])


def _like(weights: jax.Array, x: jax.Array) -> jax.Array:
    """Which examples count, with the axes of ``x``."""
    return weights.reshape(-1, *[1] * (x.ndim - 1)) > 0
