"""Convolutions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.extend import core

from linvar.numeric.gradients.per_example.entries import Entry, Layout
from linvar.numeric.gradients.per_example.evaluation import shape_of
from linvar.numeric.gradients.per_example.flattening import Level
from linvar.numeric.gradients.per_example.jaxprs import Conv, convolution_of, if_read


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
