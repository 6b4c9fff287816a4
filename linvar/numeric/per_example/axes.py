"""Where the examples' axis goes in one operation, and what it means for it to be kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from linvar.numeric.per_example.jaxprs import CALLS


class CoupledExamplesError(ValueError):
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
#: output position p depends on the operands' position p alone
_NAMES = """
    abs acos acosh add add_any and asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp clz conj
    convert_element_type copy copy_p cos cosh digamma div eq erf erf_inv erfc exp exp2 expm1 floor ge gt igamma
    igammac imag integer_pow is_finite le lgamma log log1p logistic lt max min mul name ne neg nextafter not
    or polygamma population_count pow real reduce_precision regularized_incomplete_beta rem
    round rsqrt select_n sharding_constraint shift_left shift_right_arithmetic shift_right_logical sign sin sinh
    sqrt square stop_gradient sub tan tanh xor
"""
ELEMENTWISE = frozenset(_NAMES.split())
#: axes are named, all other axes are kept apart
ALONG = {
    "cumsum": "axis",
    "cumprod": "axis",
    "cummax": "axis",
    "cummin": "axis",
    "cumlogsumexp": "axis",
    "sort": "dimension",
}
REDUCTIONS = {
    "reduce_sum",
    "reduce_max",
    "reduce_min",
    "reduce_prod",
    "reduce_and",
    "reduce_or",
    "reduce_xor",
    "argmax",
    "argmin",
}


def shape_of(v: Any) -> tuple[int, ...]:
    return tuple(v.aval.shape)


def refusal(equation: Any, why: str) -> CoupledExamplesError:
    """The operation, where it stands, and what to do."""
    name = equation.params.get("name", "") if equation.primitive.name in CALLS else ""
    shapes = ", ".join(str(shape_of(v)) for v in equation.invars)
    what = f"{equation.primitive.name}{f' ({name})' if name else ''} of shapes {shapes}"
    return CoupledExamplesError(
        f"loss couples the examples of a batch, so that it has no per-example gradient: {what} {why.rstrip(',')}. "
        f"Give the loss of ONE example, loss(params, example), or freeze what is computed over the batch"
    )


def elementwise(equation: Any, states: Sequence[State]) -> list[State]:
    """All operands that have the examples have them on one axis, the others do not tell positions apart."""
    (axis, *more) = {s.axis for s in states if s.axis is not None}
    if more:
        raise refusal(equation, f"combines examples along axes {axis} and {more[0]}")
    for v, s in zip(equation.invars, states):
        if s.free and shape_of(v) != () and axis not in s.even and shape_of(v)[axis] != 1:
            raise refusal(equation, "combines the examples with values that differ between their positions (a random draw "
                                    "for the whole batch, or weights by position),")  # fmt: skip
    return [State(axis=axis) for _ in equation.outvars]


def product(equation: Any, states: Sequence[State]) -> State:
    """The examples' axis as a free or a batch axis."""
    (contracted, batch) = equation.params["dimension_numbers"]
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


def concatenated(equation: Any, states: Sequence[State]) -> list[State]:
    """Along another axis."""
    (axis, *more) = {s.axis for s in states if s.axis is not None}
    uneven = [s for s in states if s.free and axis not in s.even]
    if more or uneven or equation.params["dimension"] == axis:
        raise refusal(equation, "joins examples with other examples or with values that differ between positions")
    return [State(axis=axis)]


def gathered(equation: Any, states: Sequence[State]) -> State:
    """A table of parameters looked up by examples, or each example looked up by itself."""
    numbers = equation.params["dimension_numbers"]
    table, indices = states[0], states[1]
    rank = len(shape_of(equation.outvars[0]))
    places = [a for a in range(rank) if a not in numbers.offset_dims]  # output axes of the indices' axes, in order
    if table.free and indices.axis is not None and indices.axis != len(shape_of(equation.invars[1])) - 1:
        batching = list(numbers.start_indices_batching_dims)
        if indices.axis not in batching:
            return State(axis=places[indices.axis])
        if numbers.operand_batching_dims[batching.index(indices.axis)] in table.even:
            return State(axis=places[indices.axis])
    if table.axis is not None and table.axis in numbers.operand_batching_dims:
        own = numbers.start_indices_batching_dims[numbers.operand_batching_dims.index(table.axis)]
        if indices.axis == own or (indices.free and own in indices.even):
            return State(axis=places[own])
    if table.axis is None:
        raise refusal(equation, "looks up parameters by what differs between positions")
    whole = equation.params["slice_sizes"][table.axis] == shape_of(equation.invars[0])[table.axis]
    if whole and indices.free and table.axis not in (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims):
        gone = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
        kept = [a for a in range(len(shape_of(equation.invars[0]))) if a not in gone]
        return State(axis=numbers.offset_dims[kept.index(table.axis)])
    raise refusal(equation, "looks up one example by another")


def one_operand(equation: Any, axis: int) -> State | None:
    """The examples' axis after an operation on one array; None if it does not keep them apart."""
    name, params, shape = equation.primitive.name, equation.params, shape_of(equation.invars[0])
    if name in REDUCTIONS:
        axes = [int(a) for a in params["axes"]]
        if axis in axes:
            if name != "reduce_sum":
                raise refusal(equation, "looks at all examples together")
            return REDUCED
        return State(axis=axis - sum(a < axis for a in axes))
    if name == "broadcast_in_dim":
        return State(axis=params["broadcast_dimensions"][axis])
    if name == "transpose":
        return State(axis=params["permutation"].index(axis))
    if name == "squeeze":
        gone = params["dimensions"]
        return None if axis in gone else State(axis=axis - sum(a < axis for a in gone))
    if name == "reshape":
        return _reshaped(shape, shape_of(equation.outvars[0]), axis)
    if name in ALONG:
        return None if params[ALONG[name]] == axis else State(axis=axis)
    if name == "rev":
        return None if axis in params["dimensions"] else State(axis=axis)
    if name == "pad":
        return State(axis=axis) if tuple(params["padding_config"][axis]) == (0, 0, 0) else None
    if name in ("slice", "dynamic_slice", "split", "top_k"):
        out = shape_of(equation.outvars[0])
        along = name == "top_k" and axis == params.get("axis", len(shape) - 1)
        return State(axis=axis) if out[axis] == shape[axis] and not along else None
    if name.startswith("reduce_window") or name.startswith("cumred") or name.startswith("select_and_"):
        window, strides = params["window_dimensions"], params["window_strides"]
        if "base_dilation" in params and params["base_dilation"][axis] != 1:
            return None
        return (
            State(axis=axis)
            if window[axis] == strides[axis] == 1 and tuple(params["padding"][axis]) == (0, 0)
            else None
        )
    return None


def _reshaped(old: tuple[int, ...], new: tuple[int, ...], axis: int) -> State | None:
    """The same axis, if as many numbers stand before it."""
    before = math.prod(old[:axis])
    for place, size in enumerate(new):
        if size == old[axis] and math.prod(new[:place]) == before:
            return State(axis=place)
    return None
