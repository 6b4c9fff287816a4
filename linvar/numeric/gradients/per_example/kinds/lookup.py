"""Lookups: entries of a table by index."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.extend import core

from linvar.numeric.gradients.per_example.arithmetic import at_least_float32
from linvar.numeric.gradients.per_example.entries import Entry, Layout, Strategy
from linvar.numeric.gradients.per_example.evaluation import shape_of, size_of
from linvar.numeric.gradients.per_example.flattening import Level
from linvar.numeric.gradients.per_example.jaxprs import gather_of, if_read, slice_shape_of


class Lookup(Entry):
    """Rows of a table V by index (an embedding): ``gather`` along the first axis."""

    kind = "lookup"

    @staticmethod
    def accepts(equation: core.JaxprEqn, position: int, levels: Sequence[Level]) -> bool:
        """Does this take whole rows of V, one an index of the example?"""
        gather = if_read(gather_of, equation)
        if gather is None or position != 0 or levels[1] != Level.EXAMPLE:
            return False
        table, indices = shape_of(equation.invars[0]), shape_of(equation.invars[1])
        out = len(shape_of(equation.outvars[0]))
        return (
            gather.indexed == gather.collapsed == (0,)
            and gather.slice_shape == (1, *table[1:])
            and not gather.table_batch
            and indices[-1:] == (1,)
            and gather.offset_axes == tuple(range(out - len(table) + 1, out))
        )

    @property
    def _table(self) -> tuple[int, ...]:
        return shape_of(self.equation.invars[0])

    @property
    def _rows(self) -> int:
        return size_of(self.equation.invars[1])

    @property
    def _groups(self) -> int:
        return 1

    @property
    def contracted(self) -> int:
        return self._table[0]

    @property
    def free(self) -> int:
        return math.prod(self._table[1:])

    @property
    def _clamps(self) -> bool:
        """Does an index outside the table mean its last row?"""
        return gather_of(self.equation).clips

    @property
    def layout(self) -> Layout:
        return ()

    def inputs(self, kept: jax.Array) -> jax.Array:
        """The indices: (examples, groups, rows)."""
        return self._arrange(kept, [], range(kept.ndim - 1 - len(self.loops)), [])[..., 0]

    def in_range(self, indices: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Indices clamped to the table, and which of them give no gradient because they were outside."""
        clipped = jnp.clip(indices, 0, self._table[0] - 1)
        outside = clipped != indices
        return clipped, jnp.zeros_like(outside) if self._clamps else outside

    def cotangents(self, delta: jax.Array) -> jax.Array:
        """delta: one row an index."""
        local = delta.ndim - 1 - len(self.loops)
        many = local - len(self._table) + 1
        return self._arrange(delta, [], range(many), range(many, local))

    def weight(self, product: jax.Array) -> jax.Array:
        """The table."""
        return product.reshape(*product.shape[:-3], *self.mapped, *self._table)

    def strategy(self, rows: int, centred: bool) -> Strategy:
        """Rows by themselves."""
        return "lookup"

    def product(self, h: jax.Array, delta: jax.Array) -> jax.Array:
        """Tables in which the rows that an example looked up are filled in."""
        indices, outside = self.in_range(self.inputs(h))
        rows = jnp.where(outside[..., None], 0, at_least_float32(self.cotangents(delta)))
        empty = jnp.zeros((self.contracted, self.free), rows.dtype)

        def place(i: jax.Array, r: jax.Array) -> jax.Array:
            return empty.at[i].add(r)

        return self.weight(jax.vmap(jax.vmap(place))(indices, rows))


class RowSlice(Lookup):
    """One row of a table V: ``dynamic_slice`` along the first axis."""

    @staticmethod
    def accepts(equation: core.JaxprEqn, position: int, levels: Sequence[Level]) -> bool:
        """Does this take one whole row of V, at an index of the example?"""
        taken = if_read(slice_shape_of, equation)
        if taken is None or position != 0 or levels[1] != Level.EXAMPLE:
            return False
        table = shape_of(equation.invars[0])
        return len(table) > 1 and taken == (1, *table[1:])

    @property
    def _rows(self) -> int:
        return 1

    @property
    def _clamps(self) -> bool:
        return True

    def inputs(self, kept: jax.Array) -> jax.Array:
        """The index: (examples, groups, rows)."""
        return self._arrange(kept, [], [], [])[..., 0]
