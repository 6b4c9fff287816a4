"""gather and scatter: entries at places that known integers name."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from linvar.tracing.movement import outside
from linvar.tracing.values import Entries, NoNumber, constant, filled, integers, refuse

#: the outputs of one equation
Rule = Callable[[Any, Sequence[Entries]], list[Entries]]

Places = tuple[int, ...]


class _Windows:
    """Windows of one shape in an array, one for each index; their places are ordered among the axes of another array.

    Args:
        shape: of the array.
        indices: known integers, the last axis an index.
        targets: the axis of the array that each entry of an index is of.
        batch, index_batch: axes of the array and of the indices that go together.
        sizes: of the window along all axes of the array.
        window_axes: axes of the other array that run through a window; the others run through the indices.
        mode: what is done outside.
    """

    def __init__(
        self, shape: Places, indices: Entries, targets: Places, batch: Places, index_batch: Places, sizes: Places,
        window_axes: Places, dropped: Places, mode: Any,
    ) -> None:  # fmt: skip
        self.shape, self.indices, self.targets = shape, integers(indices), targets
        self.batch, self.index_batch, self.sizes = batch, index_batch, sizes
        self.window_axes, self.mode = window_axes, mode.name
        self.free = [axis for axis in range(len(shape)) if axis not in dropped and axis not in batch]

    def place(self, other: Places) -> Places | None:
        """The place in the array of a place in the other one; None outside, where that is allowed."""
        at = tuple(p for axis, p in enumerate(other) if axis not in self.window_axes)
        start = [0] * len(self.shape)
        for axis, value in zip(self.targets, self.indices[at]):
            start[axis] = int(value)
        for axis, index_axis in zip(self.batch, self.index_batch):
            start[axis] = at[index_axis]
        last = [length - size for length, size in zip(self.shape, self.sizes)]
        if self.mode == "CLIP":
            start = [min(max(place, 0), most) for place, most in zip(start, last)]
        for place, most in zip(start, last):
            if not 0 <= place <= most:
                if self.mode != "FILL_OR_DROP":
                    outside(place, most + 1)
                return None
        for axis, window_axis in zip(self.free, self.window_axes):
            start[axis] += other[window_axis]
        return tuple(start)


def _gather(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    (array, indices), params = inputs, equation.params
    numbers, shape = params["dimension_numbers"], equation.outvars[0].aval.shape
    windows = _Windows(
        array.shape, indices, numbers.start_index_map, numbers.operand_batching_dims,
        numbers.start_indices_batching_dims, params["slice_sizes"], numbers.offset_dims, numbers.collapsed_slice_dims,
        params["mode"],
    )  # fmt: skip
    filler = _filler(params["fill_value"], equation.outvars[0].aval.dtype)
    places = map(windows.place, np.ndindex(*shape))
    return [filled((filler if place is None else array[place] for place in places), shape)]


def _filler(value: Any, dtype: Any) -> Any:
    """What stands for entries outside."""
    if value is None or value != value:
        return NoNumber("takes an entry outside an array (gather)", "use indices inside the array, the first is 0")
    return constant(np.asarray(value), dtype)[()]


def _scatter(combine: Callable[[Any, Any], Any] | None) -> Rule:
    """What stands in the array, combined with each update, or replaced; updates outside are left out, as JAX does."""

    def rule(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
        array, indices, updates = inputs
        numbers = equation.params["dimension_numbers"]
        found, written = array.copy(), set[Places]()
        for update, place in zip(updates.flat, _targets(array, indices, updates, numbers, equation.params["mode"])):
            if place is None:
                continue
            if combine is None and place in written:
                refuse("writes twice in one place (scatter), in no order", "add with .at[...].add")
            written.add(place)
            found[place] = update if combine is None else combine(found[place], update)
        return [found]

    return rule


def _targets(array: Entries, indices: Entries, updates: Entries, numbers: Any, mode: Any) -> Iterator[Places | None]:
    """Where each update goes."""
    dropped, batch = numbers.inserted_window_dims, numbers.operand_batching_dims
    run = iter(numbers.update_window_dims)
    sizes = tuple(1 if axis in dropped or axis in batch else updates.shape[next(run)] for axis in range(array.ndim))
    windows = _Windows(
        array.shape, indices, numbers.scatter_dims_to_operand_dims, batch, numbers.scatter_indices_batching_dims, sizes,
        numbers.update_window_dims, dropped, mode,
    )  # fmt: skip
    return map(windows.place, np.ndindex(*updates.shape))


RULES: dict[str, Rule] = {
    "gather": _gather,
    "scatter": _scatter(None),
    "scatter-add": _scatter(operator.add),
    "scatter_add": _scatter(operator.add),
    "scatter-sub": _scatter(operator.sub),
    "scatter_sub": _scatter(operator.sub),
    "scatter-mul": _scatter(operator.mul),
    "scatter_mul": _scatter(operator.mul),
}
