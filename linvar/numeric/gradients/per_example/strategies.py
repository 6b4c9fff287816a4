"""From h and delta to moments, one function a strategy; sums of squares never lose what they add to.

Every strategy gives the same four things about the gradients g_i of a group's leaves: their mean over the examples, the sum
of squared deviations from it ("scatter", one number a leaf), and on request every ||g_i||^2 and the mean of
g_i^2 entry by entry. ``materialised`` and ``direct`` subtract a reference gradient before anything is squared; ``lookup``
adds up squares; ``outer`` and ``gram`` subtract n ||mean||^2 from the sum of norms, unless ``outer`` is asked for a
reference (``centred``). Sums are in at least float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.arithmetic import (
    at_least_float32,
    contract,
    squares,
    squares_each,
    sum_in_stages,
    sum_of_squares,
)
from linvar.numeric.gradients.per_example.entries import Entry

#: entries of V up to which the mean's distance from the reference is summed, not subtracted
SMALL = 2**12

#: Arrays in lists and tuples, examples first.
Arrays = TypeVar("Arrays")


@dataclass(frozen=True)
class Wanted:
    """What is asked for beyond mean and scatter."""

    norms: bool = False
    squares: bool = False
    centred: bool = False


@dataclass(frozen=True)
class Sums:
    """Of one group: lists with one item a leaf (one a value V, before the pull back to the leaves).

    Attributes:
        mean: of the gradients.
        scatter: sum of squared deviations from the mean.
        norms: (n,) squared norm of every example's gradient; empty if not asked for.
        squares: mean of the squares, entry by entry; empty if not asked for.
    """

    mean: list[jax.Array]
    scatter: list[jax.Array]
    norms: list[jax.Array]
    squares: list[jax.Array]


class _OneGroup(NamedTuple):
    """Of the products that share one block of V."""

    mean: jax.Array
    scatter: jax.Array
    norms: jax.Array
    squares: list[jax.Array]


def outer(entry: Entry, h: jax.Array, delta: jax.Array, live: jax.Array, count: jax.Array, wanted: Wanted) -> Sums:
    """One row: g_i = h_i delta_i^T in every group.

    Centred: with a reference r (a live example), c_i = h_i . h_r / ||h_i||^2 and a_i = h_r - c_i h_i, orthogonal to h_i,

        g_i - g_r = h_i (delta_i - c_i delta_r)^T - a_i delta_r^T,
        ||g_i - g_r||^2 = ||h_i||^2 ||delta_i - c_i delta_r||^2 + ||a_i||^2 ||delta_r||^2: nothing cancels.

    The mean's distance from g_r is the mean of these differences; where V is large, the difference of the rounded mean and
    g_r, whose roundings average out over the entries (a relative 1e-5 of the trace at a trace of 1e-8 ||mean||^2).
    """
    h, delta = entry.inputs(h)[:, :, 0], entry.cotangents(delta)[:, :, 0] * live[:, None, None].astype(delta.dtype)

    def of_group(h: jax.Array, delta: jax.Array) -> _OneGroup:
        hh, dd = squares(h, -1), squares(delta, -1)  # (n,)
        if wanted.centred:
            index = jnp.argmax(live)
            h_r, d_r = at_least_float32(h[index]), at_least_float32(delta[index])
            c = jnp.where(hh > 0, at_least_float32(h @ h_r.astype(h.dtype)) / jnp.where(hh > 0, hh, 1), 0) * live
            e = at_least_float32(delta) - c[:, None] * d_r
            a = (h_r - c[:, None] * at_least_float32(h)) * live[:, None]
            apart = sum_in_stages(hh * squares(e, -1) + squares(a, -1) * squares(d_r, -1))
            if entry.contracted * entry.free > SMALL:
                mean = contract("nc,nf->cf", h, delta) / count
                shift = mean - h_r[:, None] * d_r
            else:
                shift = contract("nc,nf->cf", h, e) / count - jnp.sum(a, 0)[:, None] / count * d_r
                mean = h_r[:, None] * d_r + shift
            scatter = apart - count * sum_of_squares(shift)
        else:
            mean = contract("nc,nf->cf", h, delta) / count
            scatter = sum_in_stages(hh * dd) - count * sum_of_squares(mean)
        wide = []
        if wanted.squares:
            wide.append(contract("nc,nf->cf", at_least_float32(h) ** 2, at_least_float32(delta) ** 2) / count)
        return _OneGroup(mean, scatter, hh * dd, wide)

    if h.shape[1] == 1:  # no axis to move
        found = jax.tree.map(lambda x: x[None], of_group(h[:, 0], delta[:, 0]))
    else:
        found = jax.vmap(of_group, in_axes=1)(h, delta)
    squared = [entry.weight(x) for x in found.squares]
    return Sums([entry.weight(found.mean)], [jnp.sum(found.scatter)], [jnp.sum(found.norms, axis=0)], squared)


def gram(
    entries: Sequence[Entry], h: Sequence[jax.Array], delta: Sequence[jax.Array], live: jax.Array, count: jax.Array
) -> Sums:
    """Few rows: ||g_i||^2 = sum over pairs of rows (h . h') (delta . delta')."""
    rows = jnp.concatenate([entry.inputs(x) for entry, x in zip(entries, h)], axis=2)
    back = jnp.concatenate([entry.cotangents(x) for entry, x in zip(entries, delta)], axis=2)
    back = back * live[:, None, None, None].astype(back.dtype)
    pairs = contract("ngtc,ngsc->ngts", rows, rows) * contract("ngtf,ngsf->ngts", back, back)
    norms = jnp.sum(pairs, axis=(1, 2, 3))
    mean = contract("ngtc,ngtf->gcf", rows, back) / count
    return Sums([entries[0].weight(mean)], [sum_in_stages(norms) - count * sum_of_squares(mean)], [norms], [])


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
    """Per-example gradients of ``chunk`` examples at a time, less a reference r: the mean of the first chunk.

    Args:
        make: (arrays of some examples) -> their gradients, one array a leaf, examples first.
        arrays: a pytree with the examples first.
        live: (n,) 1 for an example that counts, 0 for one that does not.
        count: sum of ``live``.
        chunk: examples at a time; the last chunk may be smaller.
        wanted: what else to return.
    """
    (examples,) = live.shape
    chunk = min(chunk, examples)
    head: tuple[Arrays, jax.Array] = jax.tree.map(lambda x: x[:chunk], (arrays, live))
    weight = head[1]
    start = [
        jnp.sum(jnp.where(_like(weight, g), at_least_float32(g), 0), axis=0) / jnp.maximum(jnp.sum(weight), 1)
        for g in make(head[0])
    ]

    def of_chunk(part: tuple[Arrays, jax.Array]) -> tuple[_Apart, list[jax.Array]]:
        inputs, weights = part
        gradients = [at_least_float32(g) for g in make(inputs)]
        mask = [_like(weights, g) for g in gradients]
        apart = [jnp.where(m, g - r, 0) for g, r, m in zip(gradients, start, mask)]
        sums = [jnp.sum(a, axis=0) for a in apart]
        scatter = [jnp.sum(squares_each(a)) for a in apart]
        norms = [jnp.where(weights > 0, squares_each(g), 0) for g in gradients] if wanted.norms else []
        squared = [jnp.sum(jnp.where(m, g, 0) ** 2, axis=0) for g, m in zip(gradients, mask)] if wanted.squares else []
        return _Apart(sums, scatter, squared), norms

    whole = examples // chunk
    folded = jax.tree.map(lambda x: x[: whole * chunk].reshape(whole, chunk, *x.shape[1:]), (arrays, live))
    if whole == 1:
        total, norms = of_chunk(jax.tree.map(lambda x: x[0], folded))
    else:

        def add_chunk(total: _Apart, part: tuple[Arrays, jax.Array]) -> tuple[_Apart, list[jax.Array]]:
            own, own_norms = of_chunk(part)
            return jax.tree.map(jnp.add, total, own), own_norms

        squared = [jnp.zeros_like(g) for g in start] if wanted.squares else []
        zeros = _Apart([jnp.zeros_like(g) for g in start], [jnp.zeros((), g.dtype) for g in start], squared)
        total, norms = jax.lax.scan(add_chunk, zeros, folded)
        norms = [x.reshape(-1) for x in norms]
    if whole * chunk < examples:
        rest, rest_norms = of_chunk(jax.tree.map(lambda x: x[whole * chunk :], (arrays, live)))
        total = jax.tree.map(jnp.add, total, rest)
        norms = [jnp.concatenate(pair) for pair in zip(norms, rest_norms)]
    shift = [s / count for s in total.sums]
    mean = [r + s for r, s in zip(start, shift)]
    scatter = [apart - count * sum_of_squares(s) for apart, s in zip(total.scatter, shift)]
    return Sums(mean, scatter, norms, [q / count for q in total.squares])


def _like(weights: jax.Array, x: jax.Array) -> jax.Array:
    """Which examples count, with the axes of ``x``."""
    return weights.reshape(-1, *[1] * (x.ndim - 1)) > 0
