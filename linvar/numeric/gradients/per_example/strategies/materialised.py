"""Per-example gradients, some examples at a time, less a reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.arithmetic import at_least_float32, squares_each, sum_of_squares
from linvar.numeric.gradients.per_example.strategies.quantities import Sums, Wanted

#: Arrays in lists and tuples, examples first.
Arrays = TypeVar("Arrays")


class _Apart(NamedTuple):
    """Sums over some examples, one item a leaf: of g - r, of its squared norm, of g^2 entry by entry (or nothing)."""

    sums: list[jax.Array]
    scatter: list[jax.Array]
    squares: list[jax.Array]


def materialised(
    make: Callable[[Arrays], list[jax.Array]],
    arrays: Arrays,
    live: jax.Array,
    count: jax.Array,
    chunk: int,
    wanted: Wanted,
) -> Sums:
    """Per-example gradients of ``chunk`` examples at a time, less a reference r, the gradient of an example that counts.

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
        gradients = [at_least_float32(g) for g in make(arrays)]
        start = [_one_of(g, live) for g in gradients]
        total, norms = _of_some(gradients, live, start, wanted)
    else:
        start = [at_least_float32(g)[0] for g in make(jax.tree.map(lambda x: _one_of(x, live)[None], arrays))]

        def add_chunk(total: _Apart, part: tuple[Arrays, jax.Array]) -> tuple[_Apart, list[jax.Array]]:
            inputs, weights = part
            own, own_norms = _of_some([at_least_float32(g) for g in make(inputs)], weights, start, wanted)
            return jax.tree.map(jnp.add, total, own), own_norms

        folded = jax.tree.map(lambda x: _folded(x, chunks, chunk), arrays)
        counted = _folded(live, chunks, chunk) * _folded(jnp.ones(examples, bool), chunks, chunk, fill=False)
        squared = [jnp.zeros_like(g) for g in start] if wanted.squares else []
        zeros = _Apart([jnp.zeros_like(g) for g in start], [jnp.zeros((), g.dtype) for g in start], squared)
        total, norms = jax.lax.scan(add_chunk, zeros, (folded, counted))
        norms = [x.reshape(-1)[:examples] for x in norms]
    shift = [s / count for s in total.sums]
    mean = [r + s for r, s in zip(start, shift)]
    scatter = [apart - count * sum_of_squares(s) for apart, s in zip(total.scatter, shift)]
    return Sums(mean, scatter, norms, [q / count for q in total.squares])


def _of_some(
    gradients: list[jax.Array], live: jax.Array, start: list[jax.Array], wanted: Wanted
) -> tuple[_Apart, list[jax.Array]]:
    """Some examples' gradients summed, and their norms."""
    mask = [_like(live, g) for g in gradients]
    apart = [jnp.where(m, g - r, 0) for g, r, m in zip(gradients, start, mask)]
    sums = [jnp.sum(a, axis=0) for a in apart]
    scatter = [jnp.sum(squares_each(a)) for a in apart]
    norms = [jnp.where(live > 0, squares_each(g), 0) for g in gradients] if wanted.norms else []
    squared = [jnp.sum(jnp.where(m, g, 0) ** 2, axis=0) for g, m in zip(gradients, mask)] if wanted.squares else []
    return _Apart(sums, scatter, squared), norms


def _one_of(x: jax.Array, live: jax.Array) -> jax.Array:
    """Of the first example that counts."""
    return jnp.take(x, jnp.argmax(live > 0), axis=0)


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
