"""Primitives that only move entries: NumPy moves them, or their places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from linvar.tracing.values import Entries, filled, integers, refuse

#: the outputs of one equation
Rule = Callable[[Any, Sequence[Entries]], list[Entries]]


def stacked(arrays: Sequence[Entries], shape: tuple[int, ...]) -> Entries:
    """Arrays of this shape along a new first axis."""
    return filled((entry for array in arrays for entry in array.flat), (len(arrays), *shape))


def _reshape(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    if equation.params.get("dimensions") is not None:
        refuse("reshapes with its axes in another order", "transpose first")
    return [inputs[0].reshape(equation.params["new_sizes"])]


def _transpose(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return [inputs[0].transpose(equation.params["permutation"])]


def _squeeze(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return [inputs[0].reshape(equation.outvars[0].aval.shape)]


def _slice(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    params = equation.params
    steps = params["strides"] or (1,) * inputs[0].ndim
    return [inputs[0][tuple(map(slice, params["start_indices"], params["limit_indices"], steps))]]


def _reverse(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return [np.flip(inputs[0], equation.params["dimensions"])]


def _broadcast(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    shape, axes = equation.params["shape"], equation.params["broadcast_dimensions"]
    placed = [1] * len(shape)
    for axis, size in zip(axes, inputs[0].shape):
        placed[axis] = size
    return [np.broadcast_to(inputs[0].reshape(placed), shape)]


def _concatenate(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return [np.concatenate(inputs, axis=equation.params["dimension"])]


def _split(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    ends = np.cumsum(equation.params["sizes"])[:-1]
    return list(np.split(inputs[0], ends, axis=equation.params["axis"]))


def _stack(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return [np.stack(inputs, axis=equation.params["axis"])]


def _unstack(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    parts = np.moveaxis(inputs[0], equation.params["axis"], 0)
    return [parts[k : k + 1].reshape(parts.shape[1:]) for k in range(len(parts))]


def _platform(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    """Which of several ways to compute the same thing: that of CPUs, or of any platform."""
    ways = equation.params["platforms"]
    return [filled([next(k for k, names in enumerate(ways) if names is None or "cpu" in names)], ())]


def _tile(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return [np.tile(inputs[0], equation.params["reps"])]


def _same(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return list(inputs)


def _nothing(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    """What prints only."""
    return []


def _pad(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    """Before, after and between the entries of each axis; negative widths cut."""
    array, filler = inputs
    shape = equation.outvars[0].aval.shape
    found = filled([filler[()]] * prod(shape), shape)
    places = [
        low + np.arange(size) * (between + 1)
        for size, (low, _, between) in zip(array.shape, equation.params["padding_config"])
    ]
    inside = [np.flatnonzero((place >= 0) & (place < size)) for place, size in zip(places, shape)]
    found[np.ix_(*(place[kept] for place, kept in zip(places, inside)))] = array[np.ix_(*inside)]
    return [found]


def _starts(indices: Sequence[Entries], array: Entries, sizes: Sequence[int]) -> tuple[slice, ...]:
    """The slices of these sizes; one that is not inside is refused, where JAX would move it."""
    starts = [int(integers(index)[()]) for index in indices]
    for start, size, length in zip(starts, sizes, array.shape):
        if not 0 <= start <= length - size:
            outside(start, length - size + 1)
    return tuple(slice(start, start + size) for start, size in zip(starts, sizes))


def outside(place: int, length: int) -> None:
    """An index that JAX would change to one inside, or take nan for."""
    refuse(f"takes entry {place} of {length}", "use indices inside the array, the first is 0")


def _dynamic_slice(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    array, *indices = inputs
    return [array[_starts(indices, array, equation.params["slice_sizes"])]]


def _dynamic_update(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    array, update, *indices = inputs
    found = array.copy()
    found[_starts(indices, array, update.shape)] = update
    return [found]


RULES: dict[str, Rule] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "squeeze": _squeeze,
    "expand_dims": _squeeze,
    "slice": _slice,
    "rev": _reverse,
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "split": _split,
    "tile": _tile,
    "stack": _stack,
    "unstack": _unstack,
    "platform_index": _platform,
    "pad": _pad,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update,
    "copy": _same,
    "copy_p": _same,
    "name": _same,
    "device_put": _same,
    "optimization_barrier": _same,
    "sharding_constraint": _same,
    "debug_print": _nothing,
    "debug_callback": _nothing,
}
