"""Values every entry of which is one entry of a leaf times a constant, in whatever way they are put together.

V[p] = s(p) leaf[k(p)], as in circulant, Toeplitz, banded, triangular and symmetric matrices made of a vector: the leaf's gradient
is g[k] = sum over p with k(p) = k of s(p) dV[p]. The matrix of such a map, which depends on no parameter, is computed while the
loss is traced, and k and s are read off it. Three patterns are known, of which g is a sum of products where dV is:

    every entry of the leaf at one place at most    ||g|| = ||s dV||
    k(i, j) = k(j, i), else the same                ||g|| = ||s dV + (s dV)^T, without the upper triangle||
    k(i, j) = fold(a(i) + b(j) modulo m)            a convolution (``placing.py``)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from linvar.numeric.gradients.per_example.composite import Seen
from linvar.numeric.gradients.per_example.evaluation import aval_of, computed, is_floating, shape_of, size_of
from linvar.numeric.gradients.per_example.flattening import Level, equation_level, levels_of
from linvar.numeric.gradients.per_example.meshes import Types
from linvar.numeric.gradients.per_example.placing import added_places, placed
from linvar.numeric.gradients.per_example.pull import Parameters

#: numbers of the matrix of a map that is looked at
MOST_NUMBERS = 2**22


@dataclass(frozen=True)
class Pattern:
    """Where a leaf's entries are in a value, and times what: arrays of its shape; places are -1 where there is none."""

    places: np.ndarray
    scale: np.ndarray
    length: int

    @property
    def once(self) -> bool:
        """Is every entry at one place at most?"""
        inside = self.places[self.places >= 0]
        return len(np.unique(inside)) == len(inside)

    @property
    def twice(self) -> bool:
        """Is every entry at two places, mirrored at the diagonal, or once on it?"""
        square = self.places.ndim == 2 and self.places.shape[0] == self.places.shape[1]
        return square and np.array_equal(self.places, self.places.T) and self.lower.once

    @property
    def lower(self) -> Pattern:
        """The lower triangle."""
        return Pattern(np.where(np.tri(*self.places.shape) > 0, self.places, -1), self.scale, self.length)

    @property
    def known(self) -> bool:
        """Is it one of the patterns?"""
        return self.once or self.twice or (self.places.ndim == 2 and added_places(self.places) is not None)

    def terms(self, cotangents: Sequence[Seen]) -> list[Seen]:
        """Terms with the norms of the leaf's gradients, from those of the value's."""
        ones = self.places >= 0 if not (self.once or self.twice) else True  # what is nowhere is not put anywhere
        axes = range(self.scale.ndim)
        scaled = [x if np.all(self.scale == ones) else x.times(jnp.asarray(self.scale), axes) for x in cotangents]
        if self.once:
            return scaled
        if self.twice:
            lower = jnp.asarray(np.tri(len(self.scale)), self.scale.dtype)
            below = jnp.asarray(np.tri(len(self.scale), k=-1), self.scale.dtype)
            return [
                *(seen.times(lower, (0, 1)) for seen in scaled),
                *(seen.moved((1, 0)).times(below, (0, 1)) for seen in scaled),
            ]
        return [placed(seen, axes, self.places[..., None], [self.length]) for seen in scaled]


def pattern_of(parameters: Parameters, own: Sequence[int], values: Sequence[core.Var]) -> Pattern | None:
    """How one value is made of a smaller leaf, if it is in a known way."""
    key = (tuple(own), tuple(values))
    if key not in parameters.patterns:
        parameters.patterns[key] = _pattern_of(parameters, own, values)
    return cast("Pattern | None", parameters.patterns[key])


def _pattern_of(parameters: Parameters, own: Sequence[int], values: Sequence[core.Var]) -> Pattern | None:
    if len(own) != 1 or len(values) != 1:
        return None
    (leaf,), (value,) = (parameters.variables[i] for i in own), values
    length = size_of(leaf)
    if not (is_floating(leaf) and is_floating(value)) or not (
        0 < length < size_of(value) and length * size_of(value) <= MOST_NUMBERS
    ):
        return None
    if Types.declared(parameters.jaxpr.jaxpr).mesh is not None or not _is_constant(parameters, own, values):
        return None
    leaves = [jax.ShapeDtypeStruct(shape_of(v), aval_of(v).dtype) for v in parameters.variables]

    def image(row: jax.Array) -> jax.Array:
        def function(x: jax.Array) -> jax.Array:
            merged = [jnp.zeros(s.shape, s.dtype) for s in leaves]
            merged[own[0]] = x
            return parameters.values(merged, values)[0]

        row = row.reshape(shape_of(leaf))
        column: jax.Array = jax.jvp(function, (jnp.zeros_like(row),), (row,))[1]
        return column

    if any(isinstance(x, jax.core.Tracer) for x in parameters.jaxpr.consts):
        return None
    matrix = _image_of_all(parameters, image, np.eye(length, dtype=aval_of(leaf).dtype))
    if np.any(np.count_nonzero(matrix, axis=0) > 1):
        return None
    places = np.where(np.any(matrix != 0, axis=0), np.argmax(matrix != 0, axis=0), -1)
    found = Pattern(places, np.sum(matrix, axis=0), length)
    return found if found.known else None


def _image_of_all(parameters: Parameters, image: Callable[[jax.Array], jax.Array], rows: np.ndarray) -> np.ndarray:
    """The images of some rows: of several leaves that are put together in one way computed once."""
    program = jax.make_jaxpr(jax.vmap(image))(rows)
    key = str(program.jaxpr), *((str(x.dtype), x.shape, x.tobytes()) for x in map(np.asarray, program.consts))
    if key not in parameters.images:
        parameters.images[key] = computed(lambda x: core.jaxpr_as_fun(program)(x)[0], rows)
    return parameters.images[key]


def _is_constant(parameters: Parameters, own: Sequence[int], values: Sequence[core.Var]) -> bool:
    """Does the transpose read no parameter?"""
    program, levels = parameters.pull_program(own, values)
    found = levels_of(program, levels)
    return not any(
        Level.PARAMETER in [found.get(v, Level.CONSTANT) for v in equation.invars if not isinstance(v, core.Literal)]
        for equation in program.jaxpr.eqns
        if equation_level(found, equation) == Level.EXAMPLE
    )
