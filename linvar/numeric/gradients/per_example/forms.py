"""From h and delta to moments, one function a form; sums of squares never lose what they add to.

Every form gives the same four things about the gradients g_i of a group's leaves: their sum over the examples, the sum
of squared deviations from their mean ("scatter", one number a leaf), and on request every ||g_i||^2 and the sum of
g_i^2 entry by entry. ``materialised`` and ``direct`` subtract a reference gradient before anything is squared; ``lookup``
adds up squares; ``outer`` and ``gram`` subtract n ||mean||^2 from the sum of norms, unless ``outer`` is asked for a
reference (``centred``). Sums are in at least float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.entries import Entry, Lookup

#: entries of V up to which the mean's distance from the reference is summed, not subtracted
SMALL = 2**12


@dataclass(frozen=True)
class Wanted:
    """What is asked for beyond mean and scatter."""

    norms: bool = False
    squares: bool = False
    centred: bool = False


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Sums:
    """Of one group: lists with one item a leaf (``total``: one a value V, before the pull back to the leaves).

    Attributes:
        mean: of the gradients.
        scatter: sum of squared deviations from the mean.
        norms: (n,) squared norm of every example's gradient, or None.
        squares: mean of the squares, entry by entry, or None.
    """

    mean: list[Any]
    scatter: list[Any]
    norms: list[Any] | None
    squares: list[Any] | None


def at_least_float32(x: Any) -> Any:
    """Half precision is widened before it is summed."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def outer(entry: Entry, h: Any, delta: Any, live: Any, count: Any, wanted: Wanted) -> Sums:
    """One row: g_i = h_i delta_i^T in every group.

    Centred: with a reference r (a live example), c_i = h_i . h_r / ||h_i||^2 and a_i = h_r - c_i h_i, orthogonal to h_i,

        g_i - g_r = h_i (delta_i - c_i delta_r)^T - a_i delta_r^T,
        ||g_i - g_r||^2 = ||h_i||^2 ||delta_i - c_i delta_r||^2 + ||a_i||^2 ||delta_r||^2: nothing cancels.

    The mean's distance from g_r is the mean of these differences; where V is large, the difference of the rounded mean and
    g_r, whose roundings average out over the entries (a relative 1e-5 of the trace at a trace of 1e-8 ||mean||^2).
    """
    h, delta = entry.inputs(h)[:, :, 0], entry.cotangents(delta)[:, :, 0] * live[:, None, None].astype(delta.dtype)

    def of_group(h: Any, delta: Any) -> tuple[Any, Any, Any, Any]:
        hh, dd = _squares(h, -1), _squares(delta, -1)  # (n,)
        if wanted.centred:
            index = jnp.argmax(live)
            h_r, d_r = at_least_float32(h[index]), at_least_float32(delta[index])
            c = jnp.where(hh > 0, at_least_float32(h @ h_r.astype(h.dtype)) / jnp.where(hh > 0, hh, 1), 0) * live
            e = at_least_float32(delta) - c[:, None] * d_r
            a = (h_r - c[:, None] * at_least_float32(h)) * live[:, None]
            apart = _sum(hh * _squares(e, -1) + _squares(a, -1) * _squares(d_r, -1))
            if entry.contracted * entry.free > SMALL:
                mean = _contract("nc,nf->cf", h, delta) / count
                shift = mean - h_r[:, None] * d_r
            else:
                shift = _contract("nc,nf->cf", h, e) / count - jnp.sum(a, 0)[:, None] / count * d_r
                mean = h_r[:, None] * d_r + shift
            scatter = apart - count * sum_of_squares(shift)
        else:
            mean = _contract("nc,nf->cf", h, delta) / count
            scatter = _sum(hh * dd) - count * sum_of_squares(mean)
        wide = _contract("nc,nf->cf", at_least_float32(h) ** 2, at_least_float32(delta) ** 2) if wanted.squares else 0
        return mean, scatter, hh * dd, wide / count

    if h.shape[1] == 1:  # no axis to move
        mean, scatter, norms, squares = (x[None] for x in of_group(h[:, 0], delta[:, 0]))
    else:
        mean, scatter, norms, squares = jax.vmap(of_group, in_axes=1)(h, delta)
    squared = [entry.weight(squares)] if wanted.squares else None
    return Sums([entry.weight(mean)], [jnp.sum(scatter)], [jnp.sum(norms, axis=0)], squared)


def gram(entries: Sequence[Entry], h: Sequence[Any], delta: Sequence[Any], live: Any, count: Any) -> Sums:
    """Few rows: ||g_i||^2 = sum over pairs of rows (h . h') (delta . delta')."""
    rows = jnp.concatenate([entry.inputs(x) for entry, x in zip(entries, h)], axis=2)
    back = jnp.concatenate([entry.cotangents(x) for entry, x in zip(entries, delta)], axis=2)
    back = back * live[:, None, None, None].astype(back.dtype)
    pairs = _contract("ngtc,ngsc->ngts", rows, rows) * _contract("ngtf,ngsf->ngts", back, back)
    norms = jnp.sum(pairs, axis=(1, 2, 3))
    mean = _contract("ngtc,ngtf->gcf", rows, back) / count
    return Sums([entries[0].weight(mean)], [_sum(norms) - count * sum_of_squares(mean)], [norms], None)


def lookup(entries: Sequence[Lookup], h: Sequence[Any], delta: Sequence[Any], live: Any, count: Any) -> Sums:
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
    groups, size, rows = keys.shape[1], entry.contracted, keys.shape[2]
    if rows > 1:
        order = jnp.argsort(keys, axis=2)
        keys, values = jnp.take_along_axis(keys, order, 2), jnp.take_along_axis(values, order[..., None], 2)
        first = jnp.concatenate([jnp.ones_like(keys[..., :1], bool), keys[..., 1:] != keys[..., :-1]], axis=2)
        segment = jnp.cumsum(first, axis=2) - 1

        def add(v: Any, s: Any) -> Any:
            return jax.ops.segment_sum(v, s, rows, indices_are_sorted=True)

        def keep(k: Any, s: Any) -> Any:
            return jax.ops.segment_max(k, s, rows, indices_are_sorted=True)

        values = jax.vmap(jax.vmap(add))(values, segment)
        keys = jax.vmap(jax.vmap(keep))(keys, segment)  # rows beyond the last segment get the lowest integer: not live
    real = keys >= 0
    values = jnp.where(real[..., None], values, 0)
    flat = jnp.where(real, keys + size * jnp.arange(groups)[:, None], groups * size)
    table = jnp.zeros((groups * size, values.shape[-1]), values.dtype).at[flat].add(values, mode="drop")
    counts = jnp.zeros(groups * size, jnp.int32).at[flat].add(1, mode="drop")
    mean = table / count
    here = mean.at[flat].get(mode="fill", fill_value=0)
    apart = jnp.sum(_squares(jnp.where(real[..., None], values - here, 0), -1))
    scatter = apart + jnp.sum((count - counts) * _squares(mean, -1))
    norms = jnp.sum(_squares(values, -1), axis=(1, 2))
    squares = jnp.zeros_like(table).at[flat].add(values**2, mode="drop") / count

    def shaped(x: Any) -> Any:
        return entry.weight(x.reshape(groups, size, -1))

    return Sums([shaped(mean)], [scatter], [norms], [shaped(squares)])


def materialised(
    make: Callable[[Any], list[Any]], arrays: Any, live: Any, count: Any, chunk: int, wanted: Wanted
) -> Sums:
    """Per-example gradients of ``chunk`` examples at a time, less a reference: the mean of the first chunk.

    Args:
        make: (arrays of some examples) -> their gradients, one array a leaf, examples first.
        arrays: a pytree with the examples first.
        live: (n,) 1 for an example that counts, 0 for one that does not.
        count: sum of ``live``.
        chunk: examples at a time; the last chunk may be smaller.
        wanted: what else to return.
    """
    (size,) = live.shape
    chunk = min(chunk, size)
    head = jax.tree.map(lambda x: x[:chunk], (arrays, live))
    weight = head[1]
    start = [
        jnp.sum(jnp.where(_like(weight, g), at_least_float32(g), 0), axis=0) / jnp.maximum(jnp.sum(weight), 1)
        for g in make(head[0])
    ]

    def of_chunk(part: Any) -> tuple[list[Any], list[Any], list[Any], list[Any]]:
        inputs, weights = part
        gradients = [at_least_float32(g) for g in make(inputs)]
        mask = [_like(weights, g) for g in gradients]
        apart = [jnp.where(m, g - r, 0) for g, r, m in zip(gradients, start, mask)]
        sums = [jnp.sum(a, axis=0) for a in apart]
        scatter = [jnp.sum(_squares_each(a)) for a in apart]
        norms = [jnp.where(weights > 0, _squares_each(g), 0) for g in gradients] if wanted.norms else []
        squares = [jnp.sum(jnp.where(m, g, 0) ** 2, axis=0) for g, m in zip(gradients, mask)] if wanted.squares else []
        return sums, scatter, norms, squares

    whole = size // chunk
    folded = jax.tree.map(lambda x: x[: whole * chunk].reshape(whole, chunk, *x.shape[1:]), (arrays, live))
    if whole == 1:
        sums, scatter, norms, squares = of_chunk(jax.tree.map(lambda x: x[0], folded))
    else:

        def step(total: Any, part: Any) -> tuple[Any, Any]:
            own_sums, own_scatter, own_norms, own_squares = of_chunk(part)
            return jax.tree.map(jnp.add, total, (own_sums, own_scatter, own_squares)), own_norms

        squares = [jnp.zeros_like(g) for g in start] if wanted.squares else []
        zeros = ([jnp.zeros_like(g) for g in start], [jnp.zeros((), g.dtype) for g in start], squares)
        (sums, scatter, squares), norms = jax.lax.scan(step, zeros, folded)
        norms = [x.reshape(-1) for x in norms]
    if whole * chunk < size:
        rest = of_chunk(jax.tree.map(lambda x: x[whole * chunk :], (arrays, live)))
        sums, scatter, squares = jax.tree.map(jnp.add, (sums, scatter, squares), (rest[0], rest[1], rest[3]))
        norms = [jnp.concatenate(pair) for pair in zip(norms, rest[2])]
    shift = [s / count for s in sums]
    mean = [r + s for r, s in zip(start, shift)]
    scatter = [total - count * sum_of_squares(s) for total, s in zip(scatter, shift)]
    return Sums(
        mean, scatter, norms if wanted.norms else None, [q / count for q in squares] if wanted.squares else None
    )


def product(entry: Entry, h: Any, delta: Any) -> Any:
    """Per-example gradients of V through one entry: (examples, *shape of V)."""
    if isinstance(entry, Lookup):
        indices, outside = entry.in_range(entry.inputs(h))
        rows = jnp.where(outside[..., None], 0, at_least_float32(entry.cotangents(delta)))
        empty = jnp.zeros((entry.contracted, entry.free), rows.dtype)

        def place(i: Any, r: Any) -> Any:
            return empty.at[i].add(r)

        return entry.weight(jax.vmap(jax.vmap(place))(indices, rows))
    return entry.weight(_contract("ngtc,ngtf->ngcf", entry.inputs(h), entry.cotangents(delta)))


def _like(weights: Any, x: Any) -> Any:
    """Which examples count, with the axes of ``x``."""
    return weights.reshape(-1, *[1] * (x.ndim - 1)) > 0


def _contract(formula: str, a: Any, b: Any) -> Any:
    """A product whose sums are in at least float32."""
    wide = jnp.promote_types(jnp.promote_types(a.dtype, b.dtype), jnp.float32)
    return jnp.einsum(formula, a, b, preferred_element_type=wide)


def _squares(x: Any, axis: int) -> Any:
    """Sum of squares along one axis."""
    return jnp.sum(jnp.square(at_least_float32(x)), axis=axis)


def _squares_each(x: Any) -> Any:
    """Squared norm of every item, axis by axis, so that no running sum grows long."""
    total = jnp.square(x)
    while total.ndim > 1:
        total = jnp.sum(total, axis=-1)
    return total


def sum_of_squares(x: Any) -> Any:
    """Squared norm, axis by axis."""
    return jnp.sum(_squares_each(at_least_float32(x)[None]))


def _sum(x: Any) -> Any:
    """Sum of many numbers in two stages, so that no running sum grows long."""
    (size,) = x.shape
    rows = math.isqrt(size)
    whole = size // rows * rows
    return jnp.sum(jnp.sum(x[:whole].reshape(rows, -1), axis=1)) + jnp.sum(x[whole:])
