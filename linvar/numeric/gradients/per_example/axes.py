"""Where the examples' axis goes in one operation, and what it means for it to be kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jax.extend import core

from linvar.errors import InputError, Words, cut
from linvar.numeric.gradients.per_example.evaluation import shape_of
from linvar.numeric.gradients.per_example.jaxprs import (
    axis_along_of,
    broadcast_axes_of,
    call_name,
    convolution_of,
    dot_of,
    gather_of,
    joined_axis_of,
    operation,
    padding_of,
    permutation_of,
    reduced_axes_of,
    reversed_axes_of,
    squeezed_axes_of,
    top_axis_of,
    window_of,
)
from linvar.numeric.gradients.per_example.operations import ALONG, REDUCTIONS, WINDOWS


class CoupledExamplesError(InputError):
    """The loss of a batch has no per-example gradients."""


@dataclass(frozen=True)
class State:
    """What a value is.

    Attributes:
        axis: of the examples, or None.
        reduced: a sum over the examples.
        even: axes along which a free value is known to be constant.
        sized: a free value that may change with the number of examples.
    """

    axis: int | None = None
    reduced: bool = False
    even: frozenset[int] = frozenset()
    sized: bool = False

    @property
    def free(self) -> bool:
        """Does no example enter?"""
        return self.axis is None and not self.reduced


FREE, REDUCED = State(), State(reduced=True)


def refusal(equation: core.JaxprEqn, why: str) -> CoupledExamplesError:
    """The operation, where it stands, and what to do."""
    name = call_name(equation)
    shapes = cut(", ".join(str(shape_of(v)) for v in equation.invars))
    what = f"{operation(equation)}{f' ({name})' if name else ''} of shapes {shapes}"
    return CoupledExamplesError(
        "loss",
        Words(f"couples the examples of a batch, so that it has no per-example gradient: {what} {why.rstrip(',')}"),
        "give the loss of ONE example, loss(params, example), or freeze what is computed over the batch",
    )


def elementwise(equation: core.JaxprEqn, states: Sequence[State]) -> list[State]:
    """All operands that have the examples have them on one axis, the others do not tell positions apart."""
    (axis, *more) = {s.axis for s in states if s.axis is not None}
    if more:
        raise refusal(equation, f"combines examples along axes {axis} and {more[0]}")
    for v, s in zip(equation.invars, states):
        if s.free and shape_of(v) != () and axis not in s.even and shape_of(v)[axis : axis + 1] != (1,):
            raise refusal(equation, "combines the examples with values that differ between their positions (a random draw "
                                    "for the whole batch, or weights by position),")  # fmt: skip
    return [State(axis=axis) for _ in equation.outvars]


def product(equation: core.JaxprEqn, states: Sequence[State]) -> State:
    """The examples' axis as a free or a batch axis."""
    dot = dot_of(equation)
    contracted, batch = dot.contracted, dot.batch
    for side in (0, 1):
        if states[side].axis is not None and states[side].axis in contracted[side]:
            raise refusal(equation, "sums over the examples times something else")
    sides = [side for side in (0, 1) if states[side].axis is not None]
    if len(sides) == 2:
        places = [batch[side].index(states[side].axis) if states[side].axis in batch[side] else None for side in sides]
        if places[0] is None or places[0] != places[1]:
            raise refusal(equation, "multiplies every example with every other")
        return State(axis=places[0])
    (side,) = sides
    axis = states[side].axis
    assert axis is not None
    if axis in batch[side]:
        place = batch[side].index(axis)
        if batch[1 - side][place] not in states[1 - side].even:
            raise refusal(equation, "combines the examples with values that differ between their positions,")
        return State(axis=place)
    shapes = [shape_of(v) for v in equation.invars]
    rest = [[a for a in range(len(shapes[i])) if a not in contracted[i] and a not in batch[i]] for i in (0, 1)]
    return State(axis=len(batch[0]) + (len(rest[0]) if side == 1 else 0) + rest[side].index(axis))


def concatenated(equation: core.JaxprEqn, states: Sequence[State]) -> list[State]:
    """Along another axis."""
    (axis, *more) = {s.axis for s in states if s.axis is not None}
    uneven = [s for s in states if s.free and axis not in s.even]
    if more or uneven or joined_axis_of(equation) == axis:
        raise refusal(equation, "joins examples with other examples or with values that differ between positions")
    return [State(axis=axis)]


def convolved(equation: core.JaxprEqn, states: Sequence[State]) -> State:
    """The examples as the batch of the input, with a kernel that is free of them."""
    convolution = convolution_of(equation)
    if states[0].axis == convolution.input[0] and states[1].free and convolution.batch_groups == 1:
        return State(axis=convolution.output[0])
    raise refusal(equation, "convolves along the examples or with a kernel made of them")


def gathered(equation: core.JaxprEqn, states: Sequence[State]) -> State:
    """A table of parameters looked up by examples, or each example looked up by itself."""
    gather = gather_of(equation)
    table, indices = states[0], states[1]
    rank = len(shape_of(equation.outvars[0]))
    places = [a for a in range(rank) if a not in gather.offset_axes]  # output axes of the indices' axes, in order
    if table.free and indices.axis is not None and indices.axis != len(shape_of(equation.invars[1])) - 1:
        if indices.axis not in gather.index_batch:
            return State(axis=places[indices.axis])
        if gather.table_batch[gather.index_batch.index(indices.axis)] in table.even:
            return State(axis=places[indices.axis])
    if table.axis is not None and table.axis in gather.table_batch:
        own = gather.index_batch[gather.table_batch.index(table.axis)]
        if indices.axis == own or (indices.free and own in indices.even):
            return State(axis=places[own])
    if table.axis is None:
        raise refusal(equation, "looks up parameters by what differs between positions")
    gone = (*gather.collapsed, *gather.table_batch)
    whole = gather.slice_shape[table.axis] == shape_of(equation.invars[0])[table.axis]
    if whole and indices.free and table.axis not in gone:
        kept = [a for a in range(len(shape_of(equation.invars[0]))) if a not in gone]
        return State(axis=gather.offset_axes[kept.index(table.axis)])
    raise refusal(equation, "looks up one example by another")


def one_operand(equation: core.JaxprEqn, axis: int) -> State | None:
    """The examples' axis after an operation on one array; None if it does not keep them apart."""
    name, shape = operation(equation), shape_of(equation.invars[0])
    kept: bool | None = None  # is the axis, at its place, left alone?
    if name in REDUCTIONS:
        axes = reduced_axes_of(equation)
        if axis in axes:
            if name != "reduce_sum":
                raise refusal(equation, "looks at all examples together")
            return REDUCED
        return State(axis=axis - sum(a < axis for a in axes))
    if name == "broadcast_in_dim":
        return State(axis=broadcast_axes_of(equation)[axis])
    if name == "transpose":
        return State(axis=permutation_of(equation).index(axis))
    if name == "squeeze":
        gone = squeezed_axes_of(equation)
        return None if axis in gone else State(axis=axis - sum(a < axis for a in gone))
    if name == "reshape":
        return _reshaped(shape, shape_of(equation.outvars[0]), axis)
    if name in ALONG:
        kept = axis_along_of(equation) != axis
    elif name == "rev":
        kept = axis not in reversed_axes_of(equation)
    elif name == "pad":
        kept = padding_of(equation)[axis] == (0, 0, 0)
    elif name in ("slice", "dynamic_slice", "split"):
        kept = shape_of(equation.outvars[0])[axis] == shape[axis]
    elif name == "top_k":
        kept = top_axis_of(equation) != axis
    elif name in WINDOWS:
        kept = window_of(equation).keeps(axis)
    return State(axis=axis) if kept else None


def _reshaped(old: tuple[int, ...], new: tuple[int, ...], axis: int) -> State | None:
    """The same axis, if as many numbers stand before it."""
    before = math.prod(old[:axis])
    for place, size in enumerate(new):
        if size == old[axis] and math.prod(new[:place]) == before:
            return State(axis=place)
    return None
