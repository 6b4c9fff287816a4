"""Passes over the examples beside the one of the moments: a weighted gradient, and derivatives along one direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.batches import in_chunks
from linvar.numeric.gradients.per_example.flattening import LossOfLists
from linvar.numeric.gradients.per_example.meshes import Types
from linvar.numeric.gradients.per_example.totals import BatchSums, PerExample, Totals
from linvar.numeric.gradients.spread import Spread, on_every_device

#: Floating-point leaves of the parameters -> the losses of some examples.
_Losses = Callable[[list[jax.Array]], jax.Array]


@dataclass(frozen=True)
class Examples:
    """The examples of one batch, and their loss.

    Attributes:
        loss: of flat lists.
        leaves: of the parameters.
        arrays: examples first; rows that do not count hold copies of one that does.
        live: (n,) booleans, which count.
        spread: over which axes of a mesh they are spread.
        chunk: how many at a time.
    """

    loss: LossOfLists
    leaves: Sequence[jax.Array]
    arrays: Sequence[jax.Array]
    live: jax.Array
    spread: Spread | None
    chunk: int

    def weighted_mean(self, weights: jax.Array) -> list[jax.Array]:
        """(1/n) sum_i w_i g_i for each leaf, from one gradient, that of (1/n) sum_i w_i loss_i.

        Args:
            weights: (n,).
        """

        def sums_of(types: Types, leaves: Sequence[jax.Array], arrays: Sequence[jax.Array]) -> BatchSums:
            loss, *examples, weights, live = types.opened(self.loss), *arrays

            def make(part: Sequence[jax.Array], live: jax.Array) -> BatchSums:
                *own, weights = part
                counted = jnp.where(live, weights, 0)
                count = jnp.sum(live.astype(weights.dtype))
                floating, losses = _losses(loss, leaves, own)
                slopes = jax.grad(lambda x: jnp.vdot(counted, losses(x).astype(counted.dtype)))(floating)
                mean = [x / jnp.maximum(count, 1).astype(x.dtype) for x in _wide(leaves, slopes)]
                return BatchSums(Totals(count, mean, [], [], [], []), PerExample(counted, live, [], []))

            return in_chunks(make, [*examples, weights], self.chunk, live)

        given = [*self.arrays, weights, self.live]
        return on_every_device(sums_of, self.spread, self.leaves, given).totals.mean

    def slopes(self, direction: Sequence[jax.Array], order: int = 1) -> jax.Array:
        """(n,) derivatives of the losses along one direction v: g_i . v, or v . H_i v for order 2; no gradient is formed.

        Args:
            direction: v, an array a leaf.
            order: 1 or 2.
        """
        count = len(self.leaves)

        def sums_of(types: Types, both: Sequence[jax.Array], arrays: Sequence[jax.Array]) -> BatchSums:
            leaves, along, *examples, live = both[:count], both[count:], *arrays
            loss = replace(types, specs=types.specs[:count] + types.specs[2 * count :]).opened(self.loss)

            def make(part: Sequence[jax.Array], live: jax.Array) -> BatchSums:
                floating, function = _losses(loss, leaves, part)
                wanted = [v.astype(x.dtype) for v, x in zip(along, leaves) if jnp.issubdtype(x.dtype, jnp.floating)]
                for _ in range(order):
                    function = partial(_along, function, wanted)
                found = function(floating)
                found = jnp.where(live, found, 0).astype(jnp.promote_types(found.dtype, jnp.float32))
                totals = Totals(jnp.sum(live.astype(found.dtype)), [], [], [], [], [])
                return BatchSums(totals, PerExample(found, live, [], [found]))

            return in_chunks(make, examples, self.chunk, live)

        given = [*self.arrays, self.live]
        (found,) = on_every_device(sums_of, self.spread, [*self.leaves, *direction], given).each.products
        return found


def _along(function: _Losses, direction: list[jax.Array], point: list[jax.Array]) -> jax.Array:
    """The derivative of a function along a direction, from its transpose: as cheap as forward mode, and losses with a backward
    pass of their own (``custom_vjp``) have it too."""
    values, pull = jax.vjp(function, point)
    _, transposed = jax.vjp(lambda weights: pull(weights)[0], jnp.zeros_like(values))
    (found,) = transposed(direction)
    derivative: jax.Array = found
    return derivative


def _losses(
    loss: LossOfLists, leaves: Sequence[jax.Array], examples: Sequence[jax.Array]
) -> tuple[list[jax.Array], _Losses]:
    """The floating-point leaves, and the losses of some examples as a function of them."""
    places = [i for i, x in enumerate(leaves) if jnp.issubdtype(x.dtype, jnp.floating)]

    def of_examples(floating: list[jax.Array]) -> jax.Array:
        whole = list(leaves)
        for place, x in zip(places, floating):
            whole[place] = x
        return jax.vmap(lambda example: jnp.asarray(loss(whole, example)))(list(examples))

    return [leaves[i] for i in places], of_examples


def _wide(leaves: Sequence[jax.Array], floating: Sequence[jax.Array]) -> list[jax.Array]:
    """For every leaf its slope in at least float32, zeros where it is not floating-point."""
    slopes = iter(floating)
    found = []
    for x in leaves:
        if jnp.issubdtype(x.dtype, jnp.floating):
            found.append(next(slopes).astype(jnp.promote_types(x.dtype, jnp.float32)))
        else:
            found.append(jnp.zeros(x.shape, jnp.float32))
    return found
