"""Matrix products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.extend import core

from linvar.numeric.gradients.per_example.entries import Entry, Layout, Strategy, by_pairs
from linvar.numeric.gradients.per_example.evaluation import shape_of
from linvar.numeric.gradients.per_example.factors import EXAMPLES, Factor, Term, fresh_axes
from linvar.numeric.gradients.per_example.flattening import Level
from linvar.numeric.gradients.per_example.jaxprs import dot_of, if_read


@dataclass(frozen=True)
class _Side:
    """One side of a matrix product: its shape, and which of its axes are summed over, batch axes, or neither."""

    shape: tuple[int, ...]
    contracted: tuple[int, ...]
    batch: tuple[int, ...]
    free: tuple[int, ...]

    def length(self, axes: tuple[int, ...]) -> int:
        """Of some axes together."""
        return math.prod(self.shape[a] for a in axes)


class Dense(Entry):
    """A matrix product with V on either side, batched or not: ``dot_general``."""

    kind = "matrix product"

    @staticmethod
    def accepts(equation: core.JaxprEqn, position: int, levels: Sequence[Level]) -> bool:
        """Is this V times a value of the example?"""
        return if_read(dot_of, equation) is not None and levels[1 - position] == Level.EXAMPLE

    def _side(self, position: int) -> _Side:
        """h (the example's position) or V."""
        product, shape = dot_of(self.equation), shape_of(self.equation.invars[position])
        contracted, batch = product.contracted[position], product.batch[position]
        return _Side(shape, contracted, batch, tuple(a for a in range(len(shape)) if a not in (*contracted, *batch)))

    @property
    def _h(self) -> _Side:
        return self._side(self.example_position)

    @property
    def _v(self) -> _Side:
        return self._side(self.position)

    @property
    def _rows(self) -> int:
        return self._h.length(self._h.free)

    @property
    def _groups(self) -> int:
        return self._v.length(self._v.batch)

    @property
    def contracted(self) -> int:
        return self._v.length(self._v.contracted)

    @property
    def free(self) -> int:
        return self._v.length(self._v.free)

    @property
    def layout(self) -> Layout:
        return self._v.contracted, self._v.batch, self._v.free

    def inputs(self, kept: jax.Array) -> jax.Array:
        """h, its free axes as rows."""
        return self._arrange(kept, self._h.batch, self._h.free, self._h.contracted)

    def cotangents(self, delta: jax.Array) -> jax.Array:
        """delta: batch axes, then those of h and V in the order of the product."""
        batch = range(len(self._h.batch))
        rows, free = len(self._h.free), len(self._v.free)
        first, second = (rows, free) if self.position == 1 else (free, rows)
        one = [len(batch) + i for i in range(first)]
        two = [len(batch) + first + i for i in range(second)]
        return self._arrange(delta, batch, *((one, two) if self.position == 1 else (two, one)))

    def weight(self, product: jax.Array) -> jax.Array:
        """The axes of V in their own order."""
        v = self._v
        order = [*v.batch, *v.contracted, *v.free]
        lead = product.ndim - 3
        shaped = product.reshape(*product.shape[:-3], *self.mapped, *(v.shape[a] for a in order))
        outer = lead + len(self.mapped)
        return jnp.transpose(shaped, [*range(outer), *(outer + order.index(a) for a in range(len(v.shape)))])

    def strategy(self, rows: int, centred: bool) -> Strategy:
        """Pairs of rows, or matrices."""
        return by_pairs(self, rows, centred)

    def term(self, h: jax.Array, delta: jax.Array) -> Term:
        """h and delta, their axes those of V; one row is no axis."""
        v, outer = self._v, len(self.mapped)
        shape = (*self.mapped, *v.shape)
        axes = fresh_axes(len(shape))
        groups = [*range(outer), *(outer + a for a in v.batch)]
        rows = fresh_axes(1) if self.rows > 1 else ()

        def factor(array: jax.Array, own: tuple[int, ...]) -> Factor:
            places = [*groups, *(outer + a for a in own)]
            lengths = [shape[a] for a in places]
            array = array.reshape(
                array.shape[0], *lengths[: len(groups)], *[self.rows] * len(rows), *lengths[len(groups) :]
            )
            return Factor(array, (EXAMPLES, *(axes[a] for a in groups), *rows, *(axes[outer + a] for a in own)))

        factors = factor(self.inputs(h), v.contracted), factor(self.cotangents(delta), v.free)
        return Term(factors, axes, shape)
