"""Further readers in the manner of ``jaxprs.py``, of operations that move or solve, and nothing else."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import jax
from jax.extend import core

from linvar.numeric.gradients.per_example.jaxprs import Unread, _closed, _integers, _ints, _parameter, _reads, operation
from linvar.numeric.gradients.per_example.operations import ADDING, DILATED, SCATTERS, WINDOWS


@dataclass(frozen=True)
class Solve:
    """A program of a linear system: to apply or to solve it, as it is or transposed; of its constants and one side."""

    program: core.ClosedJaxpr
    constants: slice


@_reads("custom_linear_solve")
def solves_of(equation: core.JaxprEqn) -> tuple[Solve, ...]:
    """The programs of a linear system."""
    lengths, jaxprs = _parameter(equation, "const_lengths"), _parameter(equation, "jaxprs")
    found, start = [], 0
    for length, jaxpr in zip(lengths, jaxprs):
        if jaxpr is not None:
            found.append(Solve(_closed(jaxpr), slice(start, start + length)))
        start += length
    return tuple(found)


def solve_of(equation: core.JaxprEqn) -> Solve | None:
    """The program that solves a linear system as it is; None if it is something else."""
    try:
        lengths, jaxprs = _parameter(equation, "const_lengths"), _parameter(equation, "jaxprs")
        start = int(lengths.matvec) + int(lengths.vecmat)
        return Solve(_closed(jaxprs.solve), slice(start, start + int(lengths.solve)))
    except (Unread, AttributeError):
        return None


@dataclass(frozen=True)
class Scatter:
    """Updates written into an array, or added to it, at indices, in the terms of XLA."""

    window_axes: tuple[int, ...]
    inserted: tuple[int, ...]
    indexed: tuple[int, ...]
    operand_batch: tuple[int, ...]
    index_batch: tuple[int, ...]
    adds: bool


@_reads(*SCATTERS)
def scatter_of(equation: core.JaxprEqn) -> Scatter:
    """A scatter."""
    numbers = _parameter(equation, "dimension_numbers")
    return Scatter(
        _ints(numbers.update_window_dims), _ints(numbers.inserted_window_dims),
        _ints(numbers.scatter_dims_to_operand_dims), _ints(numbers.operand_batching_dims),
        _ints(numbers.scatter_indices_batching_dims), operation(equation) in ADDING,
    )  # fmt: skip


def default_branch(equation: core.JaxprEqn) -> int | None:
    """Of a choice between devices of which none is compiled for here, the branch for all others; None if something else."""
    try:
        platforms = _parameter(equation, "branches_platforms")
    except Unread:
        return None
    named = [name for group in platforms or () for name in group or ()]
    return platforms.index(None) if platforms and None in platforms and set(named) <= {"mosaic"} else None


def fills_nan(equation: core.JaxprEqn) -> bool | None:
    """Does a lookup give NaN for what is outside? (Otherwise it is moved inside, or nobody says.) None if something else."""
    try:
        value, mode = _parameter(equation, "fill_value"), _parameter(equation, "mode")
    except Unread:
        return None
    if value is not None and value == value:
        return None
    return bool(mode == jax.lax.GatherScatterMode.FILL_OR_DROP)


@_reads("slice")
def slice_of(equation: core.JaxprEqn) -> tuple[slice, ...]:
    """A slice at a fixed place."""
    starts, limits = _integers(equation, "start_indices"), _integers(equation, "limit_indices")
    strides = _parameter(equation, "strides") or (1,) * len(starts)
    return tuple(slice(*bounds) for bounds in zip(starts, limits, map(int, strides)))


@_reads("split")
def split_of(equation: core.JaxprEqn) -> tuple[int, tuple[int, ...]]:
    """The axis that is cut, and the lengths of its parts."""
    return int(_parameter(equation, "axis")), _integers(equation, "sizes")


def pieces_of(equation: core.JaxprEqn) -> list[tuple[slice, ...]]:
    """The parts of a split, each as a slice."""
    axis, sizes = split_of(equation)
    ends = list(itertools.accumulate(sizes))
    return [(slice(None),) * axis + (slice(end - size, end),) for size, end in zip(sizes, ends)]


@_reads("tile")
def repetitions_of(equation: core.JaxprEqn) -> tuple[int, ...]:
    """How often an array is repeated along each axis."""
    return _integers(equation, "reps")


@_reads("stack")
def stacked_axis_of(equation: core.JaxprEqn) -> int:
    """The new axis along which arrays are stacked."""
    return int(_parameter(equation, "axis"))


@_reads("triangular_solve")
def from_left(equation: core.JaxprEqn) -> bool:
    """Is the matrix on the left, so that columns are solved for?"""
    return bool(_parameter(equation, "left_side"))


@_reads("fft")
def fourier_axes_of(equation: core.JaxprEqn) -> int:
    """How many last axes are transformed."""
    return len(_parameter(equation, "fft_lengths"))


@dataclass(frozen=True)
class Window:
    """A window that moves over an array, axis by axis."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    base_dilation: tuple[int, ...]

    def keeps(self, axis: int) -> bool:
        """Does it leave the places of an axis apart?"""
        return self.shape[axis] == self.strides[axis] == self.base_dilation[axis] == 1 and self.padding[axis] == (0, 0)


@_reads(*sorted(WINDOWS))
def window_of(equation: core.JaxprEqn) -> Window:
    """A pooling, or its derivative (which dilates nothing)."""
    shape = _integers(equation, "window_dimensions")
    padding = tuple((int(low), int(high)) for low, high in _parameter(equation, "padding"))
    dilation = _integers(equation, "base_dilation") if operation(equation) in DILATED else (1,) * len(shape)
    return Window(shape, _integers(equation, "window_strides"), padding, dilation)
