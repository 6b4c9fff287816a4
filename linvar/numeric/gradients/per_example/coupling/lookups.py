"""Reading and writing at indices: an example at its own place, or whatever the examples say at the same place of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jax.extend import core

from linvar.numeric.gradients.per_example.coupling.axes import refusal
from linvar.numeric.gradients.per_example.coupling.places import (
    REDUCED,
    Place,
    State,
    counts_along,
    even_along,
    relocated,
)
from linvar.numeric.gradients.per_example.evaluation import shape_of
from linvar.numeric.gradients.per_example.jaxprs import gather_of, operation
from linvar.numeric.gradients.per_example.readers import scatter_of


def _own_columns(index: State, columns: int, place: Place) -> frozenset[int] | None:
    """Columns of indices that hold the number of the row's own position; None if another tells positions apart."""
    if index.place is not None:
        return index.own if index.place == place else None
    if index.known is None:
        return frozenset() if index.is_even(place) else None
    entries = [index.known[0][..., column] for column in range(columns)]
    own = frozenset(c for c, values in enumerate(entries) if counts_along(values, place))
    others = (values for c, values in enumerate(entries) if c not in own)
    return own if all(even_along(values, place) for values in others) else None


def _row_places(index: State, shape: Sequence[int], like: Place) -> list[Place]:
    """Where, in the indices, the examples may be."""
    if index.place is not None:
        return [index.place]
    return [like.at(axis) for axis in range(len(shape) - 1)]


def gathered(equation: core.JaxprEqn, states: Sequence[State]) -> State:
    """A table of parameters looked up by examples, or each example looked up by itself."""
    gather = gather_of(equation)
    table, index = states[0], states[1]
    shape, index_shape = shape_of(equation.invars[0]), shape_of(equation.invars[1])
    rank, columns = len(shape_of(equation.outvars[0])), index_shape[-1]
    rows = [a for a in range(rank) if a not in gather.offset_axes]  # output axes of the indices' axes, in order
    if table.own:
        raise refusal(equation, "computes with the examples' positions")
    if table.place is None:
        place = index.place
        if place is None or index.own or place.axis == len(index_shape) - 1:
            raise refusal(equation, "looks up parameters by what differs between positions")
        if place.axis in gather.index_batch:
            mate = place.at(gather.table_batch[gather.index_batch.index(place.axis)])
            if not table.is_even(mate):
                raise refusal(equation, "looks up parameters by what differs between positions")
        return State(place.at(rows[place.axis]))
    place = table.place
    if place.axis in gather.table_batch:
        own = place.at(gather.index_batch[gather.table_batch.index(place.axis)])
        if _own_columns(index, columns, own) == frozenset():
            return State(place.at(rows[own.axis]))
    elif place.axis in gather.indexed and gather.slice_shape[place.axis] == 1:
        column = gather.indexed.index(place.axis)
        for mine in _row_places(index, index_shape, place):
            same = mine.at(0) == place.at(0) and index_shape[mine.axis] == shape[place.axis]
            if (
                same
                and mine.axis not in gather.index_batch
                and _own_columns(index, columns, mine) == frozenset((column,))
            ):
                return State(place.at(rows[mine.axis]))
        if index.known is not None and columns == 1 and len(index_shape) == 2:
            found = relocated(shape, place, index.known[0][:, 0].astype(int))
            if found is not None:
                return State(found.at(rows[0]))
    gone = (*gather.collapsed, *gather.table_batch)
    whole = gather.slice_shape[place.axis] == shape[place.axis]
    if whole and index.free and place.axis not in gone:
        kept = [a for a in range(len(shape)) if a not in gone]
        return State(place.at(gather.offset_axes[kept.index(place.axis)]))
    raise refusal(equation, "looks up one example by another")


def scattered(equation: core.JaxprEqn, states: Sequence[State]) -> State:
    """Every example written into rows of its own; or added to the same array, which is a sum over the examples."""
    scatter = scatter_of(equation)
    operand, index, updates = states
    shape, index_shape, update_shape = (shape_of(v) for v in equation.invars)
    columns = index_shape[-1]
    rows = [a for a in range(len(update_shape)) if a not in scatter.window_axes]  # axes of the indices', in the updates
    windows = [a for a in range(len(shape)) if a not in scatter.inserted and a not in scatter.operand_batch]
    if updates.own or operand.own:
        raise refusal(equation, "computes with the examples' positions")

    def fits(place: Place, update: Place) -> bool:
        """Do operand and updates have the examples there, or nothing that differs between them?"""
        pairs = ((operand, place), (updates, update))
        return all(s.place == p or (s.free and s.is_even(p)) for s, p in pairs)

    met = [s.place for s in states if s.place is not None]
    for axis in range(len(shape)):
        place = met[0].at(axis)
        if axis in scatter.operand_batch:
            mine = place.at(scatter.index_batch[scatter.operand_batch.index(axis)])
            if _own_columns(index, columns, mine) == frozenset() and fits(place, place.at(rows[mine.axis])):
                return State(place)
        elif axis in scatter.inserted and axis in scatter.indexed:
            column = scatter.indexed.index(axis)
            for mine in _row_places(index, index_shape, place):
                if (
                    mine.at(0) != place.at(0)
                    or index_shape[mine.axis] != shape[axis]
                    or mine.axis in scatter.index_batch
                ):
                    continue
                if _own_columns(index, columns, mine) == frozenset((column,)) and fits(
                    place, place.at(rows[mine.axis])
                ):
                    return State(place)
            if _sent_home(index, updates, shape, axis, rows) and (
                operand.place == Place(axis) or operand.is_even(Place(axis))
            ):
                return State(Place(axis))
        elif axis in windows:
            update = place.at(scatter.window_axes[windows.index(axis)])
            if index.free and update_shape[update.axis] == shape[axis] and fits(place, update):
                return State(place)
    if scatter.adds and operand.free and not index.own:
        for row in _row_places(index, index_shape, met[0]):
            if row.axis >= len(rows) or row.axis in scatter.index_batch:
                continue
            update = row.at(rows[row.axis])
            if _own_columns(index, columns, row) != frozenset():
                continue
            if updates.place == update or (updates.free and updates.is_even(update)):
                return replace(REDUCED, penalty=operand.offset)
    raise refusal(equation, "writes one example into another's place")


def _sent_home(index: State, updates: State, shape: Sequence[int], axis: int, rows: Sequence[int]) -> bool:
    """Do known indices send every block of rows to the example that it is of, as the tokens of each to a sum of its own?"""
    if index.known is None or updates.place is None or len(rows) != 1 or updates.place.axis != rows[0]:
        return False
    targets = index.known[0]
    if targets.ndim != 2 or targets.shape[1] != 1:
        return False
    return relocated(shape, Place(axis), targets[:, 0].astype(int)) == updates.place.at(axis)


def sliced(equation: core.JaxprEqn, states: Sequence[State]) -> State:
    """A slice at a computed place, or one written there: along other axes, and at the same place for all."""
    writes = operation(equation) == "dynamic_update_slice"
    arrays, starts = (states[:2], states[2:]) if writes else (states[:1], states[1:])
    places = {s.place for s in arrays if s.place is not None}
    if len(places) == 1 and all(s.free and not s.moving for s in starts) and not any(s.own for s in arrays):
        (place,) = places
        full = shape_of(equation.invars[0])[place.axis]
        part = shape_of(equation.invars[1] if writes else equation.outvars[0])[place.axis]
        if full == part and all(s.place is not None or s.is_even(place) for s in arrays):
            return State(place)
    raise refusal(equation, "reads or writes examples at a computed place")


def own_slice(equation: core.JaxprEqn, states: Sequence[State], count: int) -> bool:
    """Does a loop over the examples here take the one it has come to?"""
    table, place = states[0], states[0].place
    if (
        place != Place(place.axis if place else 0)
        or table.own
        or operation(equation) not in ("dynamic_slice", "gather")
    ):
        return False
    assert place is not None
    shape = shape_of(equation.invars[0])
    if operation(equation) == "dynamic_slice":
        start, others = states[1 + place.axis], [s for a, s in enumerate(states[1:]) if a != place.axis]
        length = shape_of(equation.outvars[0])[place.axis]
        turn = start.known[0] if start.moving and start.known is not None else np.empty(0)
        free = all(s.one or (s.free and not s.moving) for s in others)
        return free and length == 1 and shape[place.axis] == count and np.array_equal(turn, np.arange(count))
    return False
