"""One row: the norm of an outer product is the product of the norms, and no per-example matrix is formed."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.arithmetic import (
    at_least_float32,
    contract,
    squares,
    sum_all,
    sum_in_stages,
    sum_of_squares,
)
from linvar.numeric.gradients.per_example.entries import Entry
from linvar.numeric.gradients.per_example.strategies.quantities import Sums, Wanted

#: entries of V up to which the mean's distance from the reference is summed, not subtracted
SMALL = 2**12
#: mean^2 / variance of an entry up to which its deviations are the difference of two sums
FAR = 8


class _OneGroup(NamedTuple):
    """Of the products that share one block of V."""

    mean: jax.Array
    scatter: jax.Array
    norms: jax.Array
    squares: list[jax.Array]
    deviations: list[jax.Array]


def outer(entry: Entry, h: jax.Array, delta: jax.Array, live: jax.Array, count: jax.Array, wanted: Wanted) -> Sums:
    """One row: g_i = h_i delta_i^T in every group.

    Centred: with a reference r (a live example), c_i = h_i . h_r / ||h_i||^2 and a_i = h_r - c_i h_i, orthogonal to h_i,

        g_i - g_r = h_i (delta_i - c_i delta_r)^T - a_i delta_r^T,
        ||g_i - g_r||^2 = ||h_i||^2 ||delta_i - c_i delta_r||^2 + ||a_i||^2 ||delta_r||^2: nothing cancels.

    The mean's distance from g_r is the mean of these differences; where V is large, the difference of the rounded mean and
    g_r, whose roundings average out over the entries (a relative 1e-5 of the trace at a trace of 1e-8 ||mean||^2).

    Entry by entry: see ``_entrywise_if_apart`` and ``_entrywise``, whose sum is the scatter then.
    """
    h, delta = entry.inputs(h)[:, :, 0], entry.cotangents(delta)[:, :, 0] * live[:, None, None].astype(delta.dtype)
    entrywise = (
        _entrywise_if_apart if h.shape[1] == 1 else _entrywise
    )  # several groups, under vmap, would take both branches

    def of_group(h: jax.Array, delta: jax.Array) -> _OneGroup:
        hh, dd = squares(h, -1), squares(delta, -1)  # (n,)
        each = []
        if wanted.deviations:
            mean, deviations = entrywise(at_least_float32(h), at_least_float32(delta), live, count)
            scatter, each = sum_all(deviations), [deviations]
        elif wanted.centred:
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
            scatter = sum_all(hh[:, None] * jnp.square(at_least_float32(delta))) - count * sum_of_squares(mean)
        wide = []
        if wanted.squares:
            wide.append(contract("nc,nf->cf", at_least_float32(h) ** 2, at_least_float32(delta) ** 2) / count)
        return _OneGroup(mean, scatter, hh * dd, wide, each)

    if h.shape[1] == 1:  # no axis to move
        found = jax.tree.map(lambda x: x[None], of_group(h[:, 0], delta[:, 0]))
    else:
        found = jax.vmap(of_group, in_axes=1)(h, delta)
    squared, deviations = ([entry.weight(x) for x in xs] for xs in (found.squares, found.deviations))
    norms = [jnp.sum(found.norms, axis=0)]
    return Sums([entry.weight(found.mean)], [jnp.sum(found.scatter)], norms, squared, deviations)


def _entrywise_if_apart(
    h: jax.Array, delta: jax.Array, live: jax.Array, count: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The same as ``_entrywise``, by two products in place of three where no entry's mean is far beyond its spread.

    sum (h_i delta_i - mean)^2 = sum h_i^2 delta_i^2 - n mean^2 multiplies the rounding by 1 + mean^2 / variance: where that is
    beyond ``FAR`` in any entry, all is made again, centred.
    """
    mean = contract("nc,nf->cf", h, delta) / count
    apart = contract("nc,nf->cf", h**2, delta**2) - count * mean**2
    far = jnp.any(count * mean**2 > FAR * apart)
    found: tuple[jax.Array, jax.Array] = jax.lax.cond(
        far, lambda: _entrywise(h, delta, live, count), lambda: (mean, jnp.maximum(apart, 0))
    )
    return found


def _entrywise(h: jax.Array, delta: jax.Array, live: jax.Array, count: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean of h_i delta_i^T, and the sum of squared deviations from it entry by entry.

    With the means h and d of the factors, a_i = h_i - h, e_i = delta_i - d (both sum to zero over the examples),

        h_i delta_i^T - h d^T = h_i e_i^T + a_i d^T,    mean = h d^T + shift,    shift = (1/n) sum a_i e_i^T,
        sum (h_i e_i + a_i d)^2 = sum h_i^2 e_i^2 + 2 d sum h_i a_i e_i + d^2 sum a_i^2:

    what is subtracted, n shift^2, is no larger than the spread of the factors, whatever their means.
    """
    h_mean, d_mean = (jnp.sum(x * live[:, None].astype(x.dtype), axis=0) / count for x in (h, delta))
    a, e = ((x - m) * live[:, None].astype(x.dtype) for x, m in ((h, h_mean), (delta, d_mean)))
    shift = contract("nc,nf->cf", a, e) / count
    apart = contract("nc,nf->cf", h**2, e**2) + 2 * d_mean * contract("nc,nf->cf", h * a, e)
    apart = apart + d_mean**2 * jnp.sum(a**2, axis=0)[:, None] - count * shift**2
    return h_mean[:, None] * d_mean + shift, jnp.maximum(apart, 0)
