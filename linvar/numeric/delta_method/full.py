"""One step with the whole covariance C, a matrix of P x P numbers (2P x 2P with momentum), and the mean shift m."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from linvar.numeric.delta_method.linearized import (
    Leaves,
    OfLoss,
    Program,
    Rates,
    Seen,
    Step,
    Tree,
    Weighted,
    Weights,
    differentiated,
    folded,
    losses_of,
    mean_and_slope,
    moved,
    moved_leaves,
    shares_of,
    summed,
)
from linvar.numeric.gradients.callables import TakenLoss


class Moments(NamedTuple):
    """C and m of (y, its momentum)."""

    covariance: jax.Array
    mean: jax.Array


@partial(jax.jit, static_argnums=1, donate_argnums=(4,))
def full_step(
    loss: TakenLoss, program: Program, params: Tree, velocity: Leaves | None, carried: Moments, data: Any, weights: Any,
    test: Weighted | None, rates: Rates,
) -> Step:  # fmt: skip
    """One step: arguments and results otherwise as in ``probe_step``."""
    own, rebuilt = differentiated(params)
    flat, unflat = ravel_pytree(own)
    count, dtype = flat.shape[0], flat.dtype
    shares = shares_of(data, weights, dtype)
    parts = folded(data, len(shares), program.chunk_size)
    covariance, mean = carried.covariance[:count, :count], carried.mean[:count]
    units = jnp.eye(count, dtype=dtype)

    def losses(part: Any, x: jax.Array) -> jax.Array:
        return losses_of(loss, rebuilt(unflat(x)), part)

    def along(part: Any, share: jax.Array, direction: jax.Array, x: jax.Array) -> jax.Array:
        """The derivative of the gradient: the Hessian at x times a direction."""
        result: jax.Array = jax.jvp(jax.grad(lambda x: jnp.vdot(share, losses(part, x))), (x,), (direction,))[1]
        return result

    def scatter(part: Any, share: jax.Array) -> jax.Array:
        """sum_i p_i (g_i - G)(g_i - G)^T."""
        gradient = jax.grad(lambda x, example: loss(rebuilt(unflat(x)), example))
        centred: jax.Array = jax.vmap(gradient, (None, 0))(flat, part) - slope
        return (share[:, None] * centred).T @ centred

    def curvature(pair: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        """H e and D^3 L[e, C e] of a unit vector e."""
        unit, column = pair

        def term(part: Any, share: jax.Array) -> tuple[jax.Array, jax.Array]:
            result: tuple[jax.Array, jax.Array] = jax.jvp(partial(along, part, share, unit), (flat,), (column,))
            return result

        return summed(term, parts, shares)

    value, slope = mean_and_slope(losses, flat, parts, shares)
    hessian, thirds = jax.lax.map(curvature, (units, covariance), batch_size=program.together)
    noise = summed(scatter, parts, shares)  # Sigma
    drive = hessian @ mean + jnp.sum(thirds, axis=0) / 2  # H m + D^3 L[C] / 2

    def of_test(examples: Any, shares: jax.Array) -> OfLoss:
        """The same of other examples."""
        rows = folded(examples, len(shares), min(program.chunk_size, len(shares)))

        def spread(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
            unit, column = pair
            return jnp.vdot(column, summed(lambda part, share: along(part, share, unit, flat), rows, shares))

        value, slope = mean_and_slope(losses, flat, rows, shares)
        spreads = jax.lax.map(spread, (units, covariance), batch_size=program.together)
        return OfLoss(value, jnp.vdot(slope, mean)[None], jnp.sum(spreads)[None])

    def joined(pair: tuple[jax.Array, jax.Array | None]) -> list[jax.Array]:
        return [part for part in pair if part is not None]

    def updated(columns: jax.Array, driven: jax.Array) -> jax.Array:
        """(y, momentum) in every column after an update by these gradients."""
        position, momenta = (columns[:count], columns[count:]) if program.momentum else (columns, None)
        return jnp.concatenate(joined(moved(position, momenta, driven, rates, program.nesterov)))

    def linear(columns: jax.Array) -> jax.Array:
        """The linear part of the update: (1 - a H) y without momentum."""
        return updated(columns, hessian @ columns[:count])

    # what a fluctuation q of the gradient does to (y, momentum): entry by entry the same numbers, -a and 1
    zero = jnp.zeros((), dtype)
    driven = jnp.stack(joined(moved(zero, zero if program.momentum else None, zero + 1, rates, program.nesterov)))
    curved = hessian @ covariance
    seen = Seen(
        train=OfLoss(value, jnp.vdot(slope, mean)[None], jnp.sum(hessian * covariance)[None]),
        test=None if test is None else of_test(test[0], shares_of(*test, dtype)),
        gradient_norm=jnp.linalg.norm(slope),
        per_example=jnp.trace(noise),
        propagated=jnp.sum(curved * hessian)[None],  # tr(H C H)
        distance=jnp.trace(covariance)[None],
        drift=jnp.vdot(slope, drive)[None],
        weights=Weights(mean, covariance),
    )
    # proofs/first-order.md, (1) and (5): C' = (1 - a H) C (1 - a H)^T + a^2 Sigma, m' = m - a (H m + D^3 L[C] / 2)
    after_noise = linear(linear(carried.covariance).T) + jnp.kron(jnp.outer(driven, driven), noise)
    after, velocity = moved_leaves(own, velocity, unflat(slope), rates, program.nesterov)
    return Step(rebuilt(after), velocity, Moments(after_noise, updated(carried.mean, drive)), seen)
