"""One step by random vectors: no matrix of P x P numbers, no gradient of one example.

Vectors y, one a probe, are each driven by

    q = sum_i sqrt(p_i) sigma_i (g_i - G),      sigma_i independent random signs,      Cov(q) = sum_i p_i (g_i - G)(g_i - G)^T

for examples of probability p_i: a gradient of signed losses. Cov(y) is then exactly C, and E ||H y||^2 = tr(H C H).

The mean shift m is carried once a block of s probes: what drives it takes one vector of covariance C a block and step,
z = sum +-y / sqrt(s) with new signs. H m + D^3 L[z, z] / 2 is half the second derivative of the gradient along the curve
w + e z + e^2 m, one nested jvp. All is linear in the squares of the probes, so that each block's m has the right mean, and
the blocks, which are independent, say how far off their average is.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from linvar.numeric.delta_method.linearized import (
    Leaves,
    Moving,
    OfLoss,
    Program,
    Rates,
    Seen,
    Step,
    Tree,
    Weighted,
    differentiated,
    folded,
    inner,
    losses_of,
    mean_and_slope,
    mean_gradient,
    moved_leaves,
    shares_of,
    squared_norm,
    summed,
)
from linvar.numeric.gradients.callables import TakenLoss


class Vectors(NamedTuple):
    """y of each probe, and m of each block of probes: leaf by leaf, probes or blocks first."""

    probes: Moving
    shifts: Moving


@partial(jax.jit, static_argnums=1, donate_argnums=(4,))
def probe_step(
    loss: TakenLoss, program: Program, params: Tree, velocity: Leaves | None, carried: Vectors, data: Any, weights: Any,
    test: Weighted | None, rates: Rates, key: jax.Array,
) -> Step:  # fmt: skip
    """One step with random vectors; see the module.

    Args:
        loss: of one example.
        program: static.
        params: w.
        velocity: momentum of the floating-point leaves; None without.
        carried: the vectors.
        data: examples first.
        weights: probabilities, or None where they are equal.
        test: other examples and their probabilities, or None.
        rates: of the update.
        key: of this step; probe j draws its signs from fold_in(key, j), the blocks theirs from fold_in(key, probes).
    """
    own, rebuilt = differentiated(params)
    dtype = jnp.result_type(*own)
    shares = shares_of(data, weights, dtype)
    size = len(shares)
    parts = folded(data, size, program.chunk_size)
    mean = mean_gradient(loss, program, params, data, weights, parts, shares)

    def losses(part: Any, leaves: Leaves) -> jax.Array:
        return losses_of(loss, rebuilt(leaves), part)

    def curved(part: Any, share: jax.Array, leaves: Leaves, direction: Leaves) -> list[jax.Array]:
        """H times a direction: the derivative of the gradient along it."""

        def gradient(leaves: Leaves) -> list[jax.Array]:
            slopes: list[jax.Array] = jax.grad(lambda x: jnp.vdot(share, losses(part, x)))(leaves)
            return slopes

        along: list[jax.Array] = jax.jvp(gradient, (leaves,), (direction,))[1]
        return along

    def one(probe: tuple[jax.Array, Leaves, Leaves | None]) -> tuple[Moving, tuple[jax.Array, ...]]:
        """y' = y - a (H y + q); ||H y||^2, y . H y and ||y||^2."""
        number, position, momenta = probe
        signs = jax.random.rademacher(jax.random.fold_in(key, number), (size,), dtype)
        signed = jnp.sqrt(shares) * signs
        signed = signed - shares * jnp.sum(signed)  # sum_i signed_i g_i = sum_i sqrt(p_i) sigma_i (g_i - G) = q

        def terms(part: Any, share: jax.Array, sign: jax.Array) -> tuple[list[jax.Array], list[jax.Array]]:
            """H y, and q, a gradient of signed losses."""
            values, pull = jax.vjp(partial(losses, part), own)
            return curved(part, share, own, position), pull(sign.astype(values.dtype))[0]

        along, noise = summed(terms, parts, shares, signed)
        driven = [h + q for h, q in zip(along, noise)]
        after = moved_leaves(position, momenta, driven, rates, program.nesterov)
        return after, (squared_norm(along), inner(position, along), squared_norm(position))

    def drive(block: tuple[Leaves, Leaves]) -> list[jax.Array]:
        """H m + D^3 L[z, z] / 2: proofs/first-order.md, (5)."""
        direction, shift = block

        def term(part: Any, share: jax.Array) -> list[jax.Array]:
            twice: list[jax.Array] = jax.jvp(
                partial(curved, part, share), (own, direction), (direction, [2 * x for x in shift])
            )[1]
            return twice

        return [x / 2 for x in summed(term, parts, shares)]

    positions, shifts = carried.probes[0], carried.shifts[0]
    count, blocks = len(positions[0]), len(shifts[0])
    probes, (squares, spreads, distances) = jax.lax.map(
        one, (jnp.arange(count), *carried.probes), batch_size=program.together
    )
    mixed = _mixed(jax.random.fold_in(key, count), positions, blocks)
    drives = jax.lax.map(drive, (mixed, shifts), batch_size=max(1, program.together // 2))
    against = jax.vmap(partial(inner, mean.gradient))

    def of_test(examples: Any, shares: jax.Array) -> OfLoss:
        """The same of other examples."""
        rows = folded(examples, len(shares), min(program.chunk_size, len(shares)))

        def spread(position: Leaves) -> jax.Array:
            return inner(position, summed(lambda part, share: curved(part, share, own, position), rows, shares))

        value, slope = mean_and_slope(losses, own, rows, shares)
        return OfLoss(
            value, jax.vmap(partial(inner, slope))(shifts), jax.lax.map(spread, positions, batch_size=program.together)
        )

    seen = Seen(
        train=OfLoss(mean.loss, against(shifts), spreads),
        test=None if test is None else of_test(test[0], shares_of(*test, dtype)),
        gradient_norm=jnp.sqrt(squared_norm(mean.gradient)),
        per_example=mean.trace,
        propagated=squares,
        distance=distances,
        drift=against(drives),
        weights=None,
    )
    after, velocity = moved_leaves(own, velocity, mean.gradient, rates, program.nesterov)
    moved = moved_leaves(shifts, carried.shifts[1], drives, rates, program.nesterov)
    return Step(rebuilt(after), velocity, Vectors(probes, moved), seen)


def block_numbers(probes: int, blocks: int) -> jax.Array:
    """Of each probe its block: neighbours, in blocks of sizes that differ by one at most."""
    return jnp.arange(probes) * blocks // probes


def _mixed(key: jax.Array, positions: Leaves, blocks: int) -> list[jax.Array]:
    """z of each block: sum +-y / sqrt(s), of the covariance that each y has."""
    probes, dtype = len(positions[0]), jnp.result_type(*positions)
    member = block_numbers(probes, blocks) == jnp.arange(blocks)[:, None]
    signs = jax.random.rademacher(key, (probes,), dtype)
    factors = jnp.where(member, signs, 0) / jnp.sqrt(jnp.sum(member, axis=1, keepdims=True)).astype(dtype)
    return [jnp.tensordot(factors.astype(x.dtype), x, 1, precision="highest") for x in positions]
