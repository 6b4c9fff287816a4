"""Convolutions."""

from __future__ import annotations

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
        """Patches, one a kernel offset and a position: strided slices of the padded input, one axis of space after another."""
        convolution, kernel = self._convolution, self._kernel
        first = 1 + len(self.loops)
        array = self._features_last(kept, convolution.input)
        padding = [(low, high, d - 1) for (low, high), d in zip(convolution.padding, convolution.input_dilation)]
        array = jax.lax.pad(array, jnp.zeros((), array.dtype), [(0, 0, 0)] * (first + 1) + padding + [(0, 0, 0)])
        for axis, (length, positions) in enumerate(zip(kernel.space, self._positions), first + 1):
            stride, dilation = convolution.strides[axis - first - 1], convolution.kernel_dilation[axis - first - 1]
            starts = [offset * dilation for offset in range(length)]
            pieces = [
                jax.lax.slice_in_dim(array, start, start + (positions - 1) * stride + 1, stride, axis)
                for start in starts
            ]
            array = jnp.stack(pieces, axis=-2)  # (..., batch, *positions, *space, *offsets, features)
        patches = array.reshape(*array.shape[: first + 1 + len(kernel.space)], -1, self._groups, kernel.inputs)
        places = 1 + len(kernel.space)
        return self._arrange(patches, [places + 1], range(places), [places, places + 2])

    def cotangents(self, delta: jax.Array) -> jax.Array:
        """delta with its output features split into the groups."""
        array = self._features_last(delta, self._convolution.output)
        split = array.reshape(*array.shape[:-1], self._groups, self.free)
        places = 1 + len(self._positions)
        return self._arrange(split, [places], range(places), [places + 1])

    def weight(self, product: jax.Array) -> jax.Array:
        """(groups, offsets x inputs, outputs of a group) -> the kernel."""
        kernel, spec = self._kernel, self._convolution.kernel
        outer, space = product.ndim - 3 + len(self.mapped), len(kernel.space)
        shaped = product.reshape(
            *product.shape[:-3], *self.mapped, self._groups, *kernel.space, kernel.inputs, self.free
        )
        inputs, outputs = outer + 1 + space, outer + 2 + space
        canonical = [outer, outputs, inputs, *range(outer + 1, inputs)]  # groups, outputs, inputs, space
        shaped = jnp.transpose(shaped, [*range(outer), *canonical])
        shaped = shaped.reshape(*shaped.shape[:outer], kernel.outputs, kernel.inputs, *kernel.space)
        order = [spec.index(a) for a in range(len(spec))]
        return jnp.transpose(shaped, [*range(outer), *(outer + a for a in order)])

    @property
    def _positions(self) -> list[int]:
        """Lengths of the output in space."""
        out = shape_of(self.equation.outvars[0])
        return [out[a] for a in self._convolution.output[2:]]

    def _features_last(self, array: jax.Array, spec: tuple[int, ...]) -> jax.Array:
        """(..., batch, features, *space) in the order of ``spec`` -> (..., batch, *space, features)."""
        first = 1 + len(self.loops)
        return jnp.transpose(array, [*range(first), *(first + a for a in (spec[0], *spec[2:], spec[1]))])
