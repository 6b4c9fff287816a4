"""What a value in a loss of a batch is, and where in an axis the examples are.

The examples need not have an axis of their own: after ``x.reshape(B * T, D)`` position p of the first axis belongs to example
p // T, after a swap of both before it to example p mod B. An axis of ``outer`` x n x ``inner`` entries, row-major, says both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

#: A value that neither parameters nor examples enter, for both numbers of examples.
Known: TypeAlias = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, order=True)
class Place:
    """Where the examples are: position p of the axis belongs to example (p // inner) mod n, for p < outer n inner."""

    axis: int
    outer: int = 1
    inner: int = 1

    def at(self, axis: int) -> Place:
        """The same in another axis."""
        return replace(self, axis=axis)

    def count(self, shape: Sequence[int]) -> int:
        """How many examples an array of this shape has there; 0 if its axis is not such a one."""
        if self.axis >= len(shape):
            return 0
        count, rest = divmod(shape[self.axis], self.outer * self.inner)
        return 0 if rest else count

    def positions(self, shape: Sequence[int]) -> np.ndarray:
        """(outer, n, inner) positions of the axis."""
        return np.arange(shape[self.axis]).reshape(self.outer, -1, self.inner)


@dataclass(frozen=True)
class State:
    """What a value is; free of the examples, unless something else is said.

    Attributes:
        place: it has one row (or block of rows) an example, there.
        reduced: a sum over the examples of one term each, and of what is free of them.
        one: of the one example that a loop over them has come to.
        carried: what such a loop has summed up so far: the number of the sum.
        moving: free, but another value for every example that the loop comes to.
        even: places along which a free value is known to be constant (a whole axis: Place(axis)).
        power: it grows with the number of examples like n^power, beside what the examples do; None: in a way not known.
        penalty: of a sum over the examples: how what is free in it (a penalty on the parameters) grows; infinite if that is
            not known, None if there is nothing.
        own: columns (entries of the last axis) that hold the number of the row's own example.
        known: the value, if neither parameters nor examples enter; for a moving scalar those of all iterations.
    """

    place: Place | None = None
    reduced: bool = False
    one: bool = False
    carried: int | None = None
    moving: bool = False
    even: frozenset[Place] = frozenset()
    power: float | None = 0.0
    penalty: float | None = None
    own: frozenset[int] = frozenset()
    known: Known | None = field(default=None, compare=False)

    @property
    def free(self) -> bool:
        """Does no example enter?"""
        return self.place is None and not (self.reduced or self.one) and self.carried is None

    @property
    def sized(self) -> bool:
        """May it change with the number of examples?"""
        return self.power != 0.0

    @property
    def vanishes(self) -> bool:
        """Is it known to be zero?"""
        return self.known is not None and not self.known[0].any() and not self.known[1].any()

    @property
    def offset(self) -> float | None:
        """What it brings into a sum that is free of the examples: how that grows, None if nothing that a gradient notices."""
        if self.free:
            return None if self.known is not None else math.inf if self.power is None else self.power
        return self.penalty

    def is_even(self, place: Place) -> bool:
        """Is a free value constant along the examples of this place?"""
        return place in self.even or Place(place.axis) in self.even


FREE, REDUCED = State(), State(reduced=True)


def summed(states: Sequence[State]) -> State | None:
    """Sums over the examples and values free of them added up, or side by side; None if a sum is added to a mean."""
    powers = {s.power for s in states if s.reduced}
    known = [p for p in powers if p is not None]
    offsets = {s.offset for s in states} - {None}
    penalties = [p for p in offsets if p is not None]
    if known and max(known) - min(known) > 0.1:
        return None
    if penalties and max(penalties) - min(penalties) > 0.1:  # infinities: not known
        return State(reduced=True, power=None, penalty=math.inf) if math.inf in penalties else None
    return State(reduced=True, power=None if None in powers else known[0], penalty=penalties[0] if penalties else None)


def reshaped(old: Sequence[int], new: Sequence[int], place: Place) -> Place | None:
    """Where the examples are after a reshape: as many numbers before and behind them. None: not within one axis."""
    count = place.count(old)
    before = math.prod(old[: place.axis]) * place.outer
    behind = place.inner * math.prod(old[place.axis + 1 :])
    for axis, size in enumerate(new):
        outer, rest = divmod(before, math.prod(new[:axis]))
        if rest or not count or not outer or size % (outer * count):
            continue
        inner = size // (outer * count)
        if inner * math.prod(new[axis + 1 :]) == behind:
            return Place(axis, outer, inner)
    return None


def relocated(old: Sequence[int], place: Place, sources: np.ndarray) -> Place | None:
    """Where the examples are if position p of the axis is taken from position ``sources[p]``.

    None unless every example keeps its turn and gives the same entries of its own.
    """
    count = place.count(old)
    if not len(sources) or not count or sources.min() < 0 or sources.max() >= old[place.axis]:
        return None
    owner = sources // place.inner % count
    changes = np.flatnonzero(owner != owner[0])
    inner = int(changes[0]) if len(changes) else len(sources)
    outer, rest = divmod(len(sources), count * inner)
    if rest or not outer:
        return None
    if not np.array_equal(owner, np.tile(np.repeat(np.arange(count), inner), outer)):
        return None
    entry = (sources - owner * place.inner).reshape(outer, count, inner)
    return (
        Place(place.axis, outer, inner) if np.array_equal(entry, np.broadcast_to(entry[:, :1], entry.shape)) else None
    )


def counts_along(values: np.ndarray, place: Place) -> bool:
    """Is every entry the number of its own position in the axis of the place?"""
    shape = values.shape
    if place.axis >= len(shape) or values.dtype.kind not in "iu":
        return False
    positions = np.arange(shape[place.axis]).reshape([-1 if a == place.axis else 1 for a in range(len(shape))])
    return bool(np.array_equal(values, np.broadcast_to(positions, shape)))


def even_along(values: np.ndarray, place: Place) -> bool:
    """Is it the same for every example?"""
    if not place.count(values.shape):
        return False
    blocks = np.moveaxis(values, place.axis, 0).reshape(
        place.outer, -1, place.inner, *np.delete(values.shape, place.axis)
    )
    return bool(np.array_equal(blocks, np.broadcast_to(blocks[:, :1], blocks.shape)))


def inside(old: Sequence[int], new: Sequence[int], axis: int) -> list[int]:
    """Axes after a reshape that lie within one axis before it."""
    behind = math.prod(old[axis + 1 :])
    found = []
    for place, size in enumerate(new):
        stride = math.prod(new[place + 1 :])
        if behind and stride and stride % behind == 0 and (behind * old[axis]) % (stride * size or 1) == 0:
            found.append(place)
    return found
