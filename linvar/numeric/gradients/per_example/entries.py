"""Entries: the equations through which a parameter's value V acts on an example in a way that can be used.

Each kind brings the inputs h and the cotangents delta of one or many iterations to one shape, in which the gradient of
one example with respect to V is, group by group, a sum over rows of outer products:

    h: (examples, groups, rows, contracted)    delta: (examples, groups, rows, free)
    dV = sum over rows of h[row] delta[row]^T: (groups, contracted, free)

A matrix product and a convolution (whose rows are its output positions, h the patch under each) do so directly; a
lookup is a matrix product with one-hot rows, of which only the indices are kept. Iterations of a scan are rows where V
is the same in all of them, groups where every iteration has a V of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.flattening import Level
from linvar.numeric.gradients.per_example.jaxprs import Conv, convolution_of, dot_of, gather_of, if_read, slice_sizes_of


@dataclass(frozen=True)
class Loop:
    """A scan around an entry: its length, and whether V is a slice of its own in every iteration."""

    length: int
    mapped: bool


@dataclass(frozen=True)
class Entry:
    """One equation at which V meets the example (see the module docstring)."""

    value: Any  # the variable V at the top level
    path: tuple[int, ...]  # the equation: indices from the top level through the bodies of scans
    position: int  # V's place among the equation's inputs
    loops: tuple[Loop, ...]
    equation: Any

    kind = "entry"

    @property
    def example_position(self) -> int:
        """The place of the example's value among the equation's inputs."""
        return 1 - self.position

    @property
    def tap_shape(self) -> tuple[int, ...]:
        """Shape of the cotangents of one example."""
        return tuple(loop.length for loop in self.loops) + tuple(self.equation.outvars[0].aval.shape)

    @property
    def rows(self) -> int:
        """Rows of one example in one group."""
        return math.prod(loop.length for loop in self.loops if not loop.mapped) * self._rows

    @property
    def groups(self) -> int:
        """Groups: products that share no entry of V."""
        return math.prod(loop.length for loop in self.loops if loop.mapped) * self._groups

    def _mapped(self) -> tuple[int, ...]:
        return tuple(loop.length for loop in self.loops if loop.mapped)

    def _axes(self) -> tuple[list[int], list[int], int]:
        """Axes (after the examples' own) of mapped loops, of the other loops, and the first local axis."""
        mapped = [1 + i for i, loop in enumerate(self.loops) if loop.mapped]
        fixed = [1 + i for i, loop in enumerate(self.loops) if not loop.mapped]
        return mapped, fixed, 1 + len(self.loops)

    def _arrange(self, array: Any, groups: Sequence[int], rows: Sequence[int], rest: Sequence[int]) -> Any:
        """(examples, loops, local axes) -> (examples, groups, rows, rest)."""
        mapped, fixed, first = self._axes()
        order = [mapped + [first + a for a in groups], fixed + [first + a for a in rows], [first + a for a in rest]]
        sizes = [math.prod(array.shape[a] for a in axes) for axes in order]
        return jnp.transpose(array, [0, *itertools.chain(*order)]).reshape(array.shape[0], *sizes)

    # what a kind must know

    @staticmethod
    def accepts(equation: Any, position: int, levels: Sequence[Level]) -> bool:
        """Does V, at this place among the inputs of an equation, act on the example in this way?"""
        raise NotImplementedError

    @property
    def _rows(self) -> int:
        """Rows of one iteration."""
        raise NotImplementedError

    @property
    def _groups(self) -> int:
        """Groups of one iteration."""
        raise NotImplementedError

    @property
    def contracted(self) -> int:
        """Length of h[row]."""
        raise NotImplementedError

    @property
    def free(self) -> int:
        """Length of delta[row]."""
        raise NotImplementedError

    @property
    def layout(self) -> Any:
        """Which axes of V are which: products of entries add up row by row only if they agree in this."""
        raise NotImplementedError

    def inputs(self, kept: Any) -> Any:
        """h of some examples, from the equation's own input."""
        raise NotImplementedError

    def cotangents(self, delta: Any) -> Any:
        """delta of some examples, from the equation's output."""
        raise NotImplementedError

    def weight(self, product: Any) -> Any:
        """(..., groups, contracted, free) -> (..., *shape of V)."""
        raise NotImplementedError


class Dense(Entry):
    """A matrix product with V on either side, batched or not: ``dot_general``."""

    kind = "matrix product"

    @staticmethod
    def accepts(equation: Any, position: int, levels: Sequence[Level]) -> bool:
        """Is this V times a value of the example?"""
        return if_read(dot_of, equation) is not None and levels[1 - position] == Level.EXAMPLE

    def _dimensions(self) -> tuple[Any, Any, Any, Any]:
        """Contracted and batch axes of h, the same of V."""
        product = dot_of(self.equation)
        mine, other = self.position, 1 - self.position
        return product.contracted[other], product.batch[other], product.contracted[mine], product.batch[mine]

    def _shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        invars = self.equation.invars
        return tuple(invars[1 - self.position].aval.shape), tuple(invars[self.position].aval.shape)

    def _free(self) -> tuple[list[int], list[int]]:
        """Axes of h and of V that are neither contracted nor batch."""
        hc, hb, vc, vb = self._dimensions()
        h, v = self._shapes()
        return [a for a in range(len(h)) if a not in (*hc, *hb)], [a for a in range(len(v)) if a not in (*vc, *vb)]

    @property
    def _rows(self) -> int:
        h, _ = self._shapes()
        return math.prod(h[a] for a in self._free()[0])

    @property
    def _groups(self) -> int:
        _, v = self._shapes()
        return math.prod(v[a] for a in self._dimensions()[3])

    @property
    def contracted(self) -> int:
        _, v = self._shapes()
        return math.prod(v[a] for a in self._dimensions()[2])

    @property
    def free(self) -> int:
        _, v = self._shapes()
        return math.prod(v[a] for a in self._free()[1])

    @property
    def layout(self) -> Any:
        _, _, contracted, batch = self._dimensions()
        return tuple(contracted), tuple(batch), tuple(self._free()[1])

    def inputs(self, kept: Any) -> Any:
        """h, its free axes as rows."""
        contracted, batch, *_ = self._dimensions()
        return self._arrange(kept, batch, self._free()[0], contracted)

    def cotangents(self, delta: Any) -> Any:
        """delta: batch axes, then those of h and V in the order of the product."""
        batch = list(range(len(self._dimensions()[1])))
        rows, free = self._free()
        first, second = (len(rows), len(free)) if self.position == 1 else (len(free), len(rows))
        one = [len(batch) + i for i in range(first)]
        two = [len(batch) + first + i for i in range(second)]
        return self._arrange(delta, batch, *((one, two) if self.position == 1 else (two, one)))

    def weight(self, product: Any) -> Any:
        """The axes of V in their own order."""
        _, _, contracted, batch = self._dimensions()
        _, v = self._shapes()
        order = [*batch, *contracted, *self._free()[1]]
        lead = product.ndim - 3
        shaped = product.reshape(*product.shape[:-3], *self._mapped(), *(v[a] for a in order))
        outer = lead + len(self._mapped())
        return jnp.transpose(shaped, [*range(outer), *(outer + order.index(a) for a in range(len(v)))])


class Convolution(Entry):
    """A convolution with kernel V: rows are output positions, contracted is the patch under one."""

    kind = "convolution"

    @staticmethod
    def accepts(equation: Any, position: int, levels: Sequence[Level]) -> bool:
        """Is V the kernel of a convolution over the example?"""
        convolution = if_read(convolution_of, equation)
        return (
            convolution is not None and position == 1 and levels[0] == Level.EXAMPLE and convolution.batch_groups == 1
        )

    @property
    def _convolution(self) -> Conv:
        return convolution_of(self.equation)

    @property
    def _kernel(self) -> tuple[tuple[int, ...], int, int]:
        """Spatial shape of the kernel, its inputs in a group, its outputs."""
        shape, spec = self.equation.invars[1].aval.shape, self._convolution.kernel
        return tuple(shape[a] for a in spec[2:]), shape[spec[1]], shape[spec[0]]

    @property
    def _groups(self) -> int:
        return self._convolution.feature_groups

    @property
    def _rows(self) -> int:
        shape, spec = self.equation.outvars[0].aval.shape, self._convolution.output
        return math.prod(shape) // shape[spec[1]]

    @property
    def contracted(self) -> int:
        spatial, inputs, _ = self._kernel
        return math.prod(spatial) * inputs

    @property
    def free(self) -> int:
        return self._kernel[2] // self._groups

    @property
    def layout(self) -> Any:
        return self._convolution.kernel, self._groups

    def inputs(self, kept: Any) -> Any:
        """Patches, one a kernel offset and a position: strided slices of the padded input."""
        convolution, (spatial, inputs, _) = self._convolution, self._kernel
        spec = convolution.input
        first = 1 + len(self.loops)
        array = jnp.transpose(kept, [*range(first), *(first + a for a in spec)])  # (..., batch, features, *spatial)
        padding = [(0, 0, 0)] * (first + 2)
        padding += [(low, high, d - 1) for (low, high), d in zip(convolution.padding, convolution.input_dilation)]
        array = jax.lax.pad(array, jnp.zeros((), array.dtype), padding)
        out, out_spec = self.equation.outvars[0].aval.shape, convolution.output
        sizes = [out[a] for a in out_spec[2:]]
        strides = convolution.strides
        slices = []
        for offset in itertools.product(*(range(k) for k in spatial)):
            start = [o * d for o, d in zip(offset, convolution.kernel_dilation)]
            limit = [s + (size - 1) * stride + 1 for s, size, stride in zip(start, sizes, strides)]
            index = tuple(slice(s, e, stride) for s, e, stride in zip(start, limit, strides))
            slices.append(array[(..., *index)])
        patches = jnp.stack(slices, axis=-1)  # (..., batch, features, *positions, offsets)
        split = patches.reshape(*patches.shape[: first + 1], self._groups, inputs, *patches.shape[first + 2 :])
        positions = [3 + i for i in range(len(sizes))]
        return self._arrange(split, [1], [0, *positions], [2, 3 + len(sizes)])

    def cotangents(self, delta: Any) -> Any:
        """delta with its output features split into the groups."""
        spec = self._convolution.output
        first = 1 + len(self.loops)
        array = jnp.transpose(delta, [*range(first), *(first + a for a in spec)])
        split = array.reshape(*array.shape[: first + 1], self._groups, self.free, *array.shape[first + 2 :])
        return self._arrange(split, [1], [0, *(3 + i for i in range(len(spec) - 2))], [2])

    def weight(self, product: Any) -> Any:
        """(groups, inputs x offsets, outputs of a group) -> the kernel."""
        spatial, inputs, outputs = self._kernel
        spec = self._convolution.kernel
        lead = product.ndim - 3
        outer = lead + len(self._mapped())
        shaped = product.reshape(*product.shape[:-3], *self._mapped(), self._groups, inputs, *spatial, self.free)
        last = outer + 2 + len(spatial)
        canonical = [outer, last, outer + 1, *range(outer + 2, last)]  # groups, outputs, inputs, spatial
        shaped = jnp.transpose(shaped, [*range(outer), *canonical])
        shaped = shaped.reshape(*shaped.shape[:outer], outputs, inputs, *spatial)
        order = [spec.index(a) for a in range(len(spec))]
        return jnp.transpose(shaped, [*range(outer), *(outer + a for a in order)])


class Lookup(Entry):
    """Rows of a table V by index (an embedding): ``gather`` along the first axis."""

    kind = "lookup"

    @staticmethod
    def accepts(equation: Any, position: int, levels: Sequence[Level]) -> bool:
        """Does this take whole rows of V, one an index of the example?"""
        gather = if_read(gather_of, equation)
        if gather is None or position != 0 or levels[1] != Level.EXAMPLE:
            return False
        table, indices = equation.invars[0].aval.shape, equation.invars[1].aval.shape
        out = len(equation.outvars[0].aval.shape)
        return (
            gather.indexed == gather.collapsed == (0,)
            and gather.sizes == (1, *table[1:])
            and not gather.table_batch
            and indices[-1:] == (1,)
            and gather.offset_axes == tuple(range(out - len(table) + 1, out))
        )

    @property
    def _table(self) -> tuple[int, ...]:
        return tuple(self.equation.invars[0].aval.shape)

    @property
    def _rows(self) -> int:
        return math.prod(self.equation.invars[1].aval.shape)

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
    def layout(self) -> Any:
        return ()

    def inputs(self, kept: Any) -> Any:
        """The indices: (examples, groups, rows)."""
        return self._arrange(kept, [], range(kept.ndim - 1 - len(self.loops)), [])[..., 0]

    def in_range(self, indices: Any) -> tuple[Any, Any]:
        """Indices clamped to the table, and which of them give no gradient because they were outside."""
        clipped = jnp.clip(indices, 0, self._table[0] - 1)
        outside = clipped != indices
        return clipped, jnp.zeros_like(outside) if self._clamps else outside

    def cotangents(self, delta: Any) -> Any:
        """delta: one row an index."""
        local = delta.ndim - 1 - len(self.loops)
        many = local - len(self._table) + 1
        return self._arrange(delta, [], range(many), range(many, local))

    def weight(self, product: Any) -> Any:
        """The table."""
        return product.reshape(*product.shape[:-3], *self._mapped(), *self._table)


class RowSlice(Lookup):
    """One row of a table V: ``dynamic_slice`` along the first axis."""

    @staticmethod
    def accepts(equation: Any, position: int, levels: Sequence[Level]) -> bool:
        """Does this take one whole row of V, at an index of the example?"""
        sizes = if_read(slice_sizes_of, equation)
        if sizes is None or position != 0 or levels[1] != Level.EXAMPLE:
            return False
        table = equation.invars[0].aval.shape
        return len(table) > 1 and sizes == (1, *table[1:])

    @property
    def _rows(self) -> int:
        return 1

    @property
    def _clamps(self) -> bool:
        return True

    def inputs(self, kept: Any) -> Any:
        """The index: (examples, groups, rows)."""
        return self._arrange(kept, [], [], [])[..., 0]


KINDS: tuple[type[Entry], ...] = (Dense, Convolution, Lookup, RowSlice)
