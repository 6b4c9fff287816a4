"""Triangular matrices along every axis of a lattice simplex { x >= 0, |x| <= D }, on residues modulo a prime.

A change of basis of polynomials in several variables (values, forward differences, monomials) is a triangular matrix along
one axis after the other. The lines of a simplex along an axis have all lengths from 1 to D + 1, so a rectangle of
them would be mostly padding: lines are sorted by length and cut into a few blocks of rows, each with the lines that
reach it, and the matrix is applied block by block. All axes look alike, which lets one program sweep over them.

Equations (2) and (7) are those of proofs/lattice.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from linvar.symbolic.roads.lattice.modular import Number, join_halves, matmul_halves
from linvar.symbolic.roads.lattice.size import stair_counts

#: places in arrays, and points of a lattice
Indices: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Stairs:
    """Lines of lengths from 1 to ``rows``, longest first, in blocks of rows.

    Attributes:
        rows: D + 1.
        height: rows of a block.
        counts: how many lines reach into each block.
    """

    rows: int
    height: int
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """Places in all blocks."""
        return self.height * sum(self.counts)

    def multiply(self, matrix: jax.Array, values: jax.Array, lower: bool, prime: Number) -> jax.Array:
        """A triangular matrix, (rows, rows), applied to every line of values, (total, columns)."""
        # (7) along one axis, in blocks of h rows: (M f)_I = sum_J M_IJ f_J over the J <= I (lower) or J >= I (upper). Lines
        # are sorted by length, so the first ``width`` are those that reach into both blocks; the others end before one of them
        missing = self.height * len(self.counts) - self.rows
        columns = values.shape[1]
        padded = jnp.pad(matrix, ((0, missing), (0, missing)))
        starts = np.cumsum([0, *self.counts]) * self.height
        blocks = [
            values[starts[j] : starts[j + 1]].reshape(self.height, count, columns)
            for j, count in enumerate(self.counts)
        ]
        results = []
        for i, count in enumerate(self.counts):  # I
            parts = []
            for j in range(i + 1) if lower else range(i, len(blocks)):  # J
                width = min(count, self.counts[j])
                square = padded[i * self.height : (i + 1) * self.height, j * self.height : (j + 1) * self.height]
                part = matmul_halves(square, blocks[j][:, :width].reshape(self.height, -1))
                parts.append(jnp.pad(part, ((0, 0), (0, (count - width) * columns))))
            results.append(join_halves(sum(parts[1:], parts[0]), prime).reshape(-1, columns))
        return jnp.concatenate(results)


@dataclass(frozen=True, eq=False)
class Sweep:
    """The way through the axes: where each place of an axis comes from, and where the nodes are in the end.

    Attributes:
        gathers: shape (axes, total): a place of the axis before (a node, for the first); ``total`` where there is none.
        slots: shape (N,): the place of each node on the last axis.
    """

    gathers: Indices
    slots: Indices


@dataclass(frozen=True, eq=False)
class Simplex:
    """The lattice points x >= 0 with |x| <= degree.

    Attributes:
        nodes: shape (N, m).
        stairs: the lines of any axis.
        axes: lines along x_1, ..., x_m.
        graded: lines along x_2, ..., x_m at constant |x|, where x_1 makes up for it: for the homogeneous polynomials of all
            degrees |x| <= D in (x_1 = 1, x_2, ..., x_m).
    """

    nodes: Indices
    stairs: Stairs
    axes: Sweep
    graded: Sweep


@lru_cache(maxsize=16)
def simplex(dimension: int, degree: int) -> Simplex:
    """The lattice simplex of this dimension and degree."""
    nodes = simplex_nodes(dimension, degree)  # the x of (2)
    height, counts = stair_counts(dimension, degree)
    stairs = Stairs(degree + 1, height, counts)
    # a homogeneous polynomial of degree n = |x| at (1, y): its lines are those of y at constant n, as long as n - |others| + 1
    totals = np.concatenate([nodes.sum(axis=1, keepdims=True), nodes[:, 1:]], axis=1)
    return Simplex(nodes, stairs, _sweep(nodes, range(dimension), stairs), _sweep(totals, range(1, dimension), stairs))


def simplex_nodes(dimension: int, degree: int) -> Indices:
    """Its points in lexicographic order, shape (N, dimension)."""
    nodes = np.zeros((1, 0), np.int64)
    for _ in range(dimension):
        room = degree - nodes.sum(axis=1)  # x_i = 0, ..., D - x_1 - ... - x_{i-1}
        repeated = np.repeat(nodes, room + 1, axis=0)
        starts = np.repeat(np.cumsum(room + 1) - room - 1, room + 1)
        nodes = np.concatenate([repeated, (np.arange(len(repeated)) - starts)[:, None]], axis=1)
    return nodes


def _lines(points: Indices, axis: int) -> Indices:
    """The line of each point along an axis; the longest lines come first."""
    others = np.delete(points, axis, axis=1)
    _, line, lengths = np.unique(others, axis=0, return_inverse=True, return_counts=True)
    rank = np.empty_like(lengths)
    rank[np.argsort(-lengths, kind="stable")] = np.arange(len(lengths))
    return rank[line.reshape(-1)]


def _sweep(points: Indices, axes: Sequence[int], stairs: Stairs) -> Sweep:
    """The gathers through these axes of points whose lines have the lengths of the stairs."""
    before = np.arange(len(points))
    starts = np.cumsum([0, *stairs.counts]) * stairs.height
    gathers = np.full((len(axes), stairs.total), stairs.total)
    for gather, axis in zip(gathers, axes):
        # the point at height x on line r stands in block x div h, row x mod h, column r: blocks one after the other, each row
        # by row, with as many columns as lines reach into it
        block, row = np.divmod(points[:, axis], stairs.height)
        places = starts[block] + row * np.array(stairs.counts)[block] + _lines(points, axis)
        gather[places] = before
        before = places
    return Sweep(gathers, before)


def sweep(
    values: jax.Array,
    way: Mapping[str, jax.Array | NDArray[Any]],
    stairs: Stairs,
    matrix: jax.Array,
    lower: bool,
    prime: Number,
) -> jax.Array:
    """A triangular matrix along each axis.

    Args:
        values: at the nodes, shape (N, columns).
        way: the arrays of a ``Sweep``.
        matrix: shape (D + 1, D + 1), lower or upper triangular.
    """
    if not len(way["gathers"]):
        return values

    def axis(before: jax.Array, gather: jax.Array) -> tuple[jax.Array, None]:
        there = (gather < stairs.total)[:, None]
        lines = jnp.where(there, before[jnp.minimum(gather, stairs.total - 1)], 0.0)
        return stairs.multiply(matrix, lines, lower, prime), None

    # (7): the product over the axes, one after the other
    start = jnp.pad(values, ((0, stairs.total - len(values)), (0, 0)))
    result, _ = lax.scan(axis, start, jnp.asarray(way["gathers"]))
    return result[way["slots"]]
