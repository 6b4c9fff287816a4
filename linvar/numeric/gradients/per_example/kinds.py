"""The kinds of entries: matrix products, convolutions, lookups."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.extend import core

from linvar.numeric.gradients.per_example.arithmetic import at_least_float32
from linvar.numeric.gradients.per_example.entries import Entry, Layout
from linvar.numeric.gradients.per_example.evaluation import shape_of, size_of
from linvar.numeric.gradients.per_example.flattening import Level
from linvar.numeric.gradients.per_example.jaxprs import Conv, convolution_of, dot_of, gather_of, if_read, slice_shape_of


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


@dataclass(frozen=True)
class _Kernel:
    """A kernel's shape in space, its inputs in a group, its outputs."""

    space: tuple[int, ...]
    inputs: int
    outputs: int


class Convolution(Entry):
    """A convolution with kernel V: rows are output positions, contracted is the patch under one."""

    kind = "convolution"

    @staticmethod
    def accepts(equation: core.JaxprEqn, position: int, levels: Sequence[Level]) -> bool:
        """Is V the kernel of a convolution over the example?"""
        convolution = if_read(convolution_of, equation)
        return (
            convolution is not None and position == 1 and levels[0] == Level.EXAMPLE and convolution.batch_groups == 1
        )

    @property
    def _convolution(self) -> Conv:
        return convolution_of(self.equation)

    @property
    def _kernel(self) -> _Kernel:
        shape, spec = shape_of(self.equation.invars[1]), self._convolution.kernel
        return _Kernel(tuple(shape[a] for a in spec[2:]), shape[spec[1]], shape[spec[0]])

    @property
    def _groups(self) -> int:
        return self._convolution.feature_groups

    @property
    def _rows(self) -> int:
        shape, spec = shape_of(self.equation.outvars[0]), self._convolution.output
        return math.prod(shape) // shape[spec[1]]

    @property
    def contracted(self) -> int:
        return math.prod(self._kernel.space) * self._kernel.inputs

    @property
    def free(self) -> int:
        return self._kernel.outputs // self._groups

    @property
    def copied(self) -> int:
        """The patches."""
        return self.groups * self.rows * self.contracted

    @property
    def layout(self) -> Layout:
        return self._convolution.kernel, (self._groups,)

    def inputs(self, kept: jax.Array) -> jax.Array:
        """Patches, one a kernel offset and a position: strided slices of the padded input."""
        convolution, kernel = self._convolution, self._kernel
        spec = convolution.input
        first = 1 + len(self.loops)
        array = jnp.transpose(kept, [*range(first), *(first + a for a in spec)])  # (..., batch, features, *spatial)
        padding = [(0, 0, 0)] * (first + 2)
        padding += [(low, high, d - 1) for (low, high), d in zip(convolution.padding, convolution.input_dilation)]
        array = jax.lax.pad(array, jnp.zeros((), array.dtype), padding)
        out, out_spec = shape_of(self.equation.outvars[0]), convolution.output
        positions = [out[a] for a in out_spec[2:]]
        strides = convolution.strides
        slices = []
        for offset in itertools.product(*(range(k) for k in kernel.space)):
            start = [o * d for o, d in zip(offset, convolution.kernel_dilation)]
            limit = [s + (length - 1) * stride + 1 for s, length, stride in zip(start, positions, strides)]
            index = tuple(slice(s, e, stride) for s, e, stride in zip(start, limit, strides))
            slices.append(array[(..., *index)])
        patches = jnp.stack(slices, axis=-1)  # (..., batch, features, *positions, offsets)
        split = patches.reshape(*patches.shape[: first + 1], self._groups, kernel.inputs, *patches.shape[first + 2 :])
        places = [3 + i for i in range(len(positions))]
        return self._arrange(split, [1], [0, *places], [2, 3 + len(positions)])

    def cotangents(self, delta: jax.Array) -> jax.Array:
        """delta with its output features split into the groups."""
        spec = self._convolution.output
        first = 1 + len(self.loops)
        array = jnp.transpose(delta, [*range(first), *(first + a for a in spec)])
        split = array.reshape(*array.shape[: first + 1], self._groups, self.free, *array.shape[first + 2 :])
        return self._arrange(split, [1], [0, *(3 + i for i in range(len(spec) - 2))], [2])

    def weight(self, product: jax.Array) -> jax.Array:
        """(groups, inputs x offsets, outputs of a group) -> the kernel."""
        kernel, spec = self._kernel, self._convolution.kernel
        lead = product.ndim - 3
        outer = lead + len(self.mapped)
        shaped = product.reshape(
            *product.shape[:-3], *self.mapped, self._groups, kernel.inputs, *kernel.space, self.free
        )
        last = outer + 2 + len(kernel.space)
        canonical = [outer, last, outer + 1, *range(outer + 2, last)]  # groups, outputs, inputs, spatial
        shaped = jnp.transpose(shaped, [*range(outer), *canonical])
        shaped = shaped.reshape(*shaped.shape[:outer], kernel.outputs, kernel.inputs, *kernel.space)
        order = [spec.index(a) for a in range(len(spec))]
        return jnp.transpose(shaped, [*range(outer), *(outer + a for a in order)])


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


KINDS: tuple[type[Entry], ...] = (Dense, Convolution, Lookup, RowSlice)
