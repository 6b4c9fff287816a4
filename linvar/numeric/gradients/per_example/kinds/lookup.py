"""Lookups: windows of a table V at places that the example says.

Windows have one shape. The axes of V are of three kinds:

    batch   every position of one goes with a position of the indices (``vmap`` over tables): groups
    keyed   a window covers a part of one: a position on all of them together, in row-major order, is a key
    free    a window covers all of one

so that V is (groups, keys, free), a matrix product with one-hot rows h of which only the keys are kept: a lookup of one
window is as many rows as the window has positions on the keyed axes. ``theta[i]``, ``Q[s, a]``, ``table[:, t]`` and
``dynamic_slice`` are lookups with other keyed axes.

Windows outside the table are those of JAX's own derivative: moved inside (mode "clip", ``dynamic_slice``) or left out (the
other modes). Indices are of the user's type, which may not be able to count the table (uint8 into 384 rows) or to be counted
in int32 (uint32). What is narrower than a key is widened first, what is wider is clamped first, so that neither overflows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core
from jax.typing import ArrayLike

from linvar.numeric.gradients.per_example.arithmetic import at_least_float32
from linvar.numeric.gradients.per_example.entries import Entry, Layout, Rows, Strategy
from linvar.numeric.gradients.per_example.evaluation import shape_of
from linvar.numeric.gradients.per_example.flattening import Level
from linvar.numeric.gradients.per_example.jaxprs import gather_of, if_read, slice_shape_of

#: what int32 counts
MOST = int(np.iinfo(np.int32).max)


def countable(number: int) -> bool:
    """Is there a type of integers that counts so far?"""
    return number <= MOST or jax.dtypes.canonicalize_dtype(np.int64) == np.int64


def counting(number: int) -> np.dtype:
    """That type."""
    return np.dtype(np.int32 if number <= MOST else np.int64)


@dataclass(frozen=True)
class Windows:
    """Where windows of a table are.

    Attributes:
        table: its shape.
        window: the shape of one.
        started: axes of the table whose first position the indices say, in their order.
        batch: axes of the table that go with axes of the indices, and those.
        offsets: for every axis of the table, the output's axis that runs through a window; None if there is none.
        places: the output's axes that run through the indices, in the indices' order.
        clips: a window outside is moved inside; otherwise it is left out.
    """

    table: tuple[int, ...]
    window: tuple[int, ...]
    started: tuple[int, ...]
    batch: tuple[tuple[int, ...], tuple[int, ...]]
    offsets: tuple[int | None, ...]
    places: tuple[int, ...]
    clips: bool

    @property
    def keyed(self) -> tuple[int, ...]:
        """Axes of which a window covers a part."""
        return tuple(a for a, (w, s) in enumerate(zip(self.window, self.table)) if w < s and a not in self.batch[0])

    @property
    def free(self) -> tuple[int, ...]:
        """Axes that a window covers."""
        return tuple(a for a, (w, s) in enumerate(zip(self.window, self.table)) if w == s and a not in self.batch[0])

    @property
    def strides(self) -> dict[int, int]:
        """Of every keyed axis: how far apart the keys of neighbours are."""
        lengths = [self.table[a] for a in self.keyed]
        return {a: math.prod(lengths[i + 1 :]) for i, a in enumerate(self.keyed)}

    @property
    def keys(self) -> int:
        """How many there are."""
        return self.length(self.keyed)

    @property
    def rows(self) -> int:
        """Keys of one window."""
        return math.prod(self.window[a] for a in self.keyed)

    def length(self, axes: Sequence[int]) -> int:
        """Of some axes of the table together."""
        return math.prod(self.table[a] for a in axes)

    def within(self) -> np.ndarray:
        """Keys of the window at the table's beginning."""
        keys = np.zeros((), np.int64)
        for axis, stride in self.strides.items():
            keys = keys[..., None] + stride * np.arange(self.window[axis])
        return keys.reshape(-1)

    def countable(self) -> bool:
        """Is there a type for the keys?"""
        return countable(self.keys * self.length(self.batch[0]))


class Lookup(Entry):
    """Windows of a table V by index: ``gather``."""

    kind = "lookup"

    @staticmethod
    def accepts(equation: core.JaxprEqn, position: int, levels: Sequence[Level]) -> bool:
        """Does this take parts of V, at indices of the example?"""
        windows = _gathered(equation)
        return windows is not None and position == 0 and levels[1] == Level.EXAMPLE and _accepted(windows)

    @property
    def _windows(self) -> Windows:
        windows = _gathered(self.equation)
        assert windows is not None
        return windows

    @property
    def _indices(self) -> int:
        """Windows of one iteration in one group."""
        shape = shape_of(self.equation.invars[1])[:-1]
        return math.prod(shape) // self._groups

    @property
    def _rows(self) -> int:
        return self._indices * self._windows.rows

    @property
    def _groups(self) -> int:
        return self._windows.length(self._windows.batch[0])

    @property
    def contracted(self) -> int:
        return self._windows.keys

    @property
    def free(self) -> int:
        return self._windows.length(self._windows.free)

    @property
    def layout(self) -> Layout:
        return self._windows.batch[0], self._windows.keyed

    @property
    def distinct(self) -> bool:
        """Has an example one window in every group, so that its keys differ?"""
        return self.rows == self._windows.rows

    def takes_like(self, other: Lookup) -> bool:
        """Do the same indices mean the same keys?"""
        mine, others = self._windows, other._windows
        return (mine.started, mine.window, mine.clips) == (others.started, others.window, others.clips)

    @property
    def blocks(self) -> tuple[int, ...]:
        """(before, *after) where V is (before, keys, *after) as it stands; (1, *free) if its axes have to be turned first."""
        windows = self._windows
        first, last = windows.keyed[0], windows.keyed[-1]
        apart = windows.length([a for a in windows.free if first < a < last])
        before = windows.length([a for a in windows.free if a < first]) if self.groups == apart == 1 else 1
        return before, *(windows.table[a] for a in windows.free if before == 1 or a > first)

    def starts(self, kept: jax.Array) -> jax.Array:
        """First positions of windows: (examples, groups, windows, started axes)."""
        groups, local = self._windows.batch[1], range(kept.ndim - 1 - len(self.loops))
        return self._arrange(kept, groups, [a for a in local[:-1] if a not in groups], local[-1:])

    def keys(self, starts: jax.Array) -> jax.Array:
        """Of windows that start there: (examples, groups, rows), -1 where nothing is taken."""
        windows = self._windows
        keys = _first_keys(starts, windows)
        if windows.rows == 1:
            return keys
        rows = keys[..., None] + jnp.asarray(windows.within(), keys.dtype)
        rows = jnp.where(keys[..., None] < 0, keys[..., None], rows)
        return rows.reshape(*keys.shape[:-1], -1)

    def inputs(self, kept: jax.Array) -> jax.Array:
        """Keys: (examples, groups, rows), -1 where nothing is taken."""
        return self.keys(self.starts(kept))

    def cotangents(self, delta: jax.Array) -> jax.Array:
        """delta: the output's axes that run through indices and keyed axes are rows."""
        windows = self._windows
        groups = [windows.places[a] for a in windows.batch[1]]
        keyed, free = ([windows.offsets[a] for a in axes] for axes in (windows.keyed, windows.free))
        rows = [a for a in windows.places if a not in groups] + [a for a in keyed if a is not None]
        return self._arrange(delta, groups, rows, [a for a in free if a is not None])

    def weight(self, product: jax.Array) -> jax.Array:
        """The axes of V in their own order."""
        windows = self._windows
        order = [*windows.batch[0], *windows.keyed, *windows.free]
        shaped = product.reshape(*product.shape[:-3], *self.mapped, *(windows.table[a] for a in order))
        outer = range(shaped.ndim - len(order))
        return jnp.transpose(shaped, [*outer, *(len(outer) + order.index(a) for a in range(len(order)))])

    def filled(self, table: jax.Array) -> jax.Array:
        """V, from a table (before, groups x keys, *after): see ``blocks``."""
        before, *_ = self.blocks
        if before > 1:
            return table.reshape(*self.mapped, *self._windows.table)
        return self.weight(table.reshape(self.groups, self.contracted, self.free))

    @property
    def lookups(self) -> tuple[Lookup, ...]:
        return (self,)

    def strategy(self, rows: int, centred: bool) -> Strategy:
        """Rows by themselves, if an example looks up fewer of them than there are."""
        return "lookup" if rows < self.contracted else "materialised"

    def product(self, rows: Rows) -> jax.Array:
        """Tables in which what an example looked up is filled in."""
        keys, values = rows
        n, groups, places = keys.shape
        filled = self._tables(keys.reshape(n * groups, places), values.reshape(n * groups, places, self.free))
        return self.weight(filled.reshape(n, groups, self.contracted, self.free))

    def total(self, rows: Rows) -> jax.Array:
        """The table filled in by all examples."""
        keys, values = (jnp.moveaxis(x, 1, 0) for x in rows)
        filled = self._tables(keys.reshape(self.groups, -1), values.reshape(self.groups, -1, self.free))
        return self.weight(filled)

    def _tables(self, keys: jax.Array, values: jax.Array) -> jax.Array:
        """Tables (tables, keys, free), filled in by keys (tables, rows), where -1 is none, and values (tables, rows, free)."""
        tables, length = len(keys), self.contracted
        if not countable(tables * length):
            return jnp.concatenate([self._tables(keys[i : i + 1], values[i : i + 1]) for i in range(tables)])
        wide = counting(tables * length)
        own = jnp.where(keys < 0, tables * length, keys.astype(wide) + length * jnp.arange(tables, dtype=wide)[:, None])
        empty = jnp.zeros((1, tables * length, self.free), jnp.promote_types(values.dtype, jnp.float32))
        filled = add_rows(empty, own.reshape(-1), at_least_float32(values).reshape(-1, 1, self.free))
        return filled.reshape(tables, length, self.free)


class Slice(Lookup):
    """One window of a table V: ``dynamic_slice``."""

    @staticmethod
    def accepts(equation: core.JaxprEqn, position: int, levels: Sequence[Level]) -> bool:
        """Does this take a part of V, at a place that the example says?"""
        windows = _sliced(equation)
        return windows is not None and position == 0 and Level.EXAMPLE in levels[1:] and _accepted(windows)

    @property
    def _windows(self) -> Windows:
        windows = _sliced(self.equation)
        assert windows is not None
        return windows

    @property
    def _indices(self) -> int:
        return 1

    def kept(self, inputs: Sequence[ArrayLike]) -> ArrayLike:
        """The window's first position, on the keyed axes."""
        return jnp.stack([jnp.asarray(inputs[1 + a]) for a in self._windows.started], axis=-1)


def keys_of(entries: Sequence[Lookup], kept: Sequence[jax.Array]) -> jax.Array:
    """Keys of lookups in one table, alike: (examples, groups, rows of all); at once if they take windows in the same way."""
    starts = [entry.starts(x) for entry, x in zip(entries, kept)]
    first = entries[0]
    if all(entry.takes_like(first) and x.dtype == starts[0].dtype for entry, x in zip(entries, starts)):
        return first.keys(jnp.concatenate(starts, axis=2))
    return jnp.concatenate([entry.keys(x) for entry, x in zip(entries, starts)], axis=2)


def _accepted(windows: Windows) -> bool:
    """Is it a part that is taken, and can the keys be counted?"""
    return bool(windows.keyed) and windows.countable()


def _gathered(equation: core.JaxprEqn) -> Windows | None:
    """The windows of a gather; None if it is something else."""
    gather = if_read(gather_of, equation)
    if gather is None:
        return None
    table, output = shape_of(equation.invars[0]), range(len(shape_of(equation.outvars[0])))
    through = iter(gather.offset_axes)
    gone = (*gather.collapsed, *gather.table_batch)
    offsets = tuple(None if a in gone else next(through) for a in range(len(table)))
    places = tuple(a for a in output if a not in gather.offset_axes)
    batch = (gather.table_batch, gather.index_batch)
    return Windows(table, gather.slice_shape, gather.indexed, batch, offsets, places, gather.clips)


def _sliced(equation: core.JaxprEqn) -> Windows | None:
    """The one window of a slice at a computed place, without its starts on free axes, which are 0; None if it is something
    else."""
    shape = if_read(slice_shape_of, equation)
    if shape is None:
        return None
    table = shape_of(equation.invars[0])
    started = tuple(a for a, (w, s) in enumerate(zip(shape, table)) if w < s)
    return Windows(table, shape, started, ((), ()), tuple(range(len(table))), (), True)


def windows_of(equation: core.JaxprEqn) -> Windows | None:
    """The windows that an equation takes of a table; None if it is something else."""
    return _gathered(equation) or _sliced(equation)


def first_places(starts: jax.Array, windows: Windows) -> tuple[list[jax.Array], jax.Array]:
    """First positions of windows, from (..., started): on every started axis, moved inside; and which had to be."""
    wide = counting(windows.keys)
    if jnp.can_cast(starts.dtype, wide, "safe"):
        starts = starts.astype(wide)
    places, outside = [], jnp.zeros(starts.shape[:-1], bool)
    for i, axis in enumerate(windows.started):
        start, zero = starts[..., i], starts.dtype.type(0)
        inside = lax.clamp(zero, start, starts.dtype.type(windows.table[axis] - windows.window[axis]))
        places.append(inside.astype(wide))
        outside = outside | (inside != start)
    return places, outside


def _first_keys(starts: jax.Array, windows: Windows) -> jax.Array:
    """Keys of the first positions of windows: -1 where nothing is taken."""
    wide, strides = counting(windows.keys), windows.strides
    keys = jnp.zeros(starts.shape[:-1], wide)
    places, outside = first_places(starts, windows)
    for axis, place in zip(windows.started, places):
        keys = keys + place * wide.type(strides.get(axis, 0))
    return keys if windows.clips else jnp.where(outside, wide.type(-1), keys)


def add_rows(table: jax.Array, keys: jax.Array, rows: jax.Array) -> jax.Array:
    """A table (before, keys, *after) with rows (..., before, *after) added at keys (...): a key outside adds nothing."""
    numbers = lax.ScatterDimensionNumbers(tuple(range(keys.ndim, rows.ndim)), (1,), (1,))
    return lax.scatter_add(table, keys[..., None], rows, numbers, mode=lax.GatherScatterMode.FILL_OR_DROP)


def rows_of(table: jax.Array, keys: jax.Array) -> jax.Array:
    """Rows (..., before, *after) of a table (before, keys, *after); of any row where a key is outside."""
    numbers = lax.GatherDimensionNumbers(tuple(range(keys.ndim, keys.ndim + table.ndim - 1)), (1,), (1,))
    shape = table.shape[0], 1, *table.shape[2:]
    return lax.gather(table, keys[..., None], numbers, shape, mode=lax.GatherScatterMode.CLIP)
