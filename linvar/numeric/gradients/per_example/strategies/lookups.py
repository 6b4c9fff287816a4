"""Moments of the gradient of a table that is looked up: only what an example looked up is touched.

g_i[r] is the sum of example i's cotangents where it looked up row r. With c_r the number of examples that look up row r and m
the mean of the n gradients,

    sum_i ||g_i - m||^2 = sum_i ||g_i - s||^2 - n ||m - s||^2    of any table s,
    n ||m[r]||^2 <= c_r / n sum_i ||g_i[r]||^2                   of any row r,

so that at most half is lost to the difference where s is the mean in the rows that more than half of the examples look up, and
zero in the others. Which rows these are:

    one place an example   the median of all keys, if any (``_about_medians``)
    several                that the difference with s = 0 keeps half says that none matters; otherwise

        sum_i ||g_i - m||^2 = sum_i sum_{r looked up by i} (||g_i[r] - m[r]||^2 + (n - c_r) / c_r ||m[r]||^2),

                           a sum of squares over the lookups (``_apart``)

Cotangents of a row that an example looks up more than once are added in one of their places, which owns the row. Which:

    few places             the first, by comparing all pairs
    many, on a CPU         every example in turn writes its places into a list over the table's rows, and reads there who owns
                           each: nothing has to be cleared for the next example
    many, elsewhere        the first, by sorting every example's keys
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from linvar.numeric.gradients.per_example.arithmetic import at_least_float32, sum_all, sum_in_stages, sum_of_squares
from linvar.numeric.gradients.per_example.kinds.lookup import (
    Lookup,
    add_rows,
    countable,
    counting,
    keys_of,
    rows_of,
)
from linvar.numeric.gradients.per_example.meshes import zeros_as
from linvar.numeric.gradients.per_example.strategies.quantities import Sums, Wanted

#: places of an example up to which all pairs of them are compared, and up to which their values are added so
PAIRS, FEW = 32, 4
#: a sum of squares may cost so much more than a difference of two, which needs a branch besides
BRANCH = 1.25
#: what it costs to sort a key, and to read a number in its row, beside reading a number of a table in order (on two cores)
SORTED, GATHERED = 64, 4
#: numbers that a CPU keeps in its cache while it compares them with a table (measured on two cores)
BLOCK = 2**15


class _Rows(NamedTuple):
    """Rows that examples looked up, t places an example: keys (n t,), a key outside the table for a place that counts for
    nothing, and values (n t, before, *after)."""

    keys: jax.Array
    values: jax.Array


class _Table(NamedTuple):
    """Of one table (before, keys, *after), or of many."""

    mean: jax.Array
    scatter: jax.Array
    apart: list[jax.Array]
    norms: jax.Array
    squares: list[jax.Array]
    deviations: list[jax.Array]


def lookup(
    entries: Sequence[Lookup],
    h: Sequence[jax.Array],
    delta: Sequence[jax.Array],
    live: jax.Array,
    count: jax.Array,
    wanted: Wanted,
) -> Sums:
    """Rows of a table: deviations of the rows an example looked up, and the mean of those it did not.

    Args:
        entries: lookups in one table, alike.
        h: of every entry, its indices.
        delta: of every entry.
        live: (n,) 1 for an example that counts, 0 for one that does not.
        count: sum of ``live``.
        wanted: what else to return; norms come at no cost.
    """
    first = entries[0]
    keys = keys_of(entries, h)  # (n, groups, rows)
    values = jnp.concatenate([at_least_float32(entry.cotangents(x)) for entry, x in zip(entries, delta)], axis=2)
    keys = jnp.where(live[:, None, None] > 0, keys, -1)
    distinct, length = len(entries) == 1 and first.distinct, first.contracted

    def of_tables(keys: jax.Array, values: jax.Array) -> _Table:
        """Groups are further rows of one table."""
        n, groups, _ = keys.shape
        total = groups * length
        own = keys.astype(counting(total)) + length * jnp.arange(groups, dtype=counting(total))[:, None]
        own = jnp.where(keys < 0, total, own)
        rows = _Rows(own.reshape(-1), values.reshape(own.size, *first.blocks))
        once = distinct and first.rows == 1
        return _of_table(rows if distinct else _added(rows, total, n), total, n, count, once, wanted)

    if countable(first.groups * length):
        found = of_tables(keys, values)
    else:
        each = jax.vmap(of_tables, in_axes=1)(keys[:, :, None], values[:, :, None])
        scatter, apart, norms = (jax.tree.map(lambda x: jnp.sum(x, axis=0), x) for x in each[1:4])
        found = _Table(each.mean, scatter, apart, norms, each.squares, each.deviations)
    squared, deviations = ([first.filled(x) for x in xs] for xs in (found.squares, found.deviations))
    return Sums([first.filled(found.mean)], [found.scatter], [found.norms], squared, deviations, apart=found.apart)


def _of_table(rows: _Rows, length: int, n: int, count: jax.Array, once: bool, wanted: Wanted) -> _Table:
    """Moments of a table of this many rows, each of which an example has in one place at most.

    Args:
        rows: of n examples.
        length: of the table.
        n: examples, live or not.
        count: live examples.
        once: no two places of an example can be one row, whatever the example.
        wanted: what else to return.
    """
    keys, values = rows
    before, *after = values.shape[1:]
    empty = jnp.zeros((before, length, *after), values.dtype)
    # divided where there are fewer numbers
    mean = add_rows(empty, keys, values / count) if values.size < empty.size else add_rows(empty, keys, values) / count
    norms = _of_examples(rows, values, length, n)
    apart: Sequence[jax.Array] = ()
    if _counts_pay(mean, rows):
        scatter = _apart(rows, mean, n, count)
    elif once:
        scatter, *apart = _about_medians(rows, mean, n, count)
    else:
        total, taken = sum_in_stages(norms), count * _squared_norm(mean, keys)
        scatter = lax.cond(taken <= total / 2, lambda: total - taken, lambda: _apart(rows, mean, n, count))
    squared = [add_rows(empty, keys, values**2 / count)] if wanted.squares else []
    deviations = [_entrywise(rows, mean, count)] if wanted.deviations else []
    return _Table(mean, scatter, list(apart), norms, squared, deviations)


def _counts_pay(mean: jax.Array, rows: _Rows) -> bool:
    """Does it cost no more to count who looks up each row, and to read the mean there, than the norm of the mean?"""
    length, looked = mean.shape[1], rows.keys.size
    ordered = min(mean.size, looked * (SORTED + GATHERED * (mean.size // length)))
    return length + GATHERED * rows.values.size <= BRANCH * ordered


def _counts(rows: _Rows, length: int) -> jax.Array:
    """Examples that look up every row: (1, length, 1)."""
    ones = jnp.ones((rows.keys.size, 1, 1), jnp.int32)
    return add_rows(jnp.zeros((1, length, 1), jnp.int32), rows.keys, ones)


def _entrywise(rows: _Rows, mean: jax.Array, count: jax.Array) -> jax.Array:
    """The sum of squared deviations entry by entry: sum over the c_r lookups of (g_i[r] - m[r])^2, + (n - c_r) m[r]^2."""
    counts = _counts(rows, mean.shape[1]).astype(count.dtype).reshape(1, -1, *[1] * (mean.ndim - 2))
    apart = jnp.square(rows.values - rows_of(mean, rows.keys))
    return add_rows((count - counts) * jnp.square(mean), rows.keys, apart)


def _about_medians(rows: _Rows, mean: jax.Array, n: int, count: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The sum of squared deviations but for (n,) numbers to add: about the mean in one row for each place, zero elsewhere.

    sum_i ||g_i - m||^2 = sum_i ||g_i - s||^2 - n ||m - s||^2 of any s. A row that more than half of the examples look up in
    some place is the median of their keys there; the others cannot make the second sum more than half of the first.
    """
    length, keys = mean.shape[1], rows.keys.reshape(n, -1)
    ordered, real = jnp.sort(keys, axis=0), keys < length
    middle = lax.broadcasted_iota(jnp.int32, keys.shape, 0) == jnp.sum(real, axis=0, dtype=jnp.int32) // 2
    chosen = jnp.sum(jnp.where(middle, ordered, 0), axis=0)  # one a place
    start = _where(chosen < length, rows_of(mean, chosen))
    here = (keys == chosen) & real
    shifted = rows.values.reshape(n, *start.shape) - _where(here, start)
    others = count - jnp.sum(here, axis=0)
    rest = jnp.sum(others * _squared(start)) - count * _squared_norm_without(mean, ordered, chosen)
    return rest, _of_examples(rows, shifted.reshape(rows.values.shape), length, n)


def _of_examples(rows: _Rows, values: jax.Array, length: int, n: int) -> jax.Array:
    """The squared norm of every example's values that are in the table."""
    return jnp.sum(jnp.where(rows.keys < length, _squared(values), 0).reshape(n, -1), axis=1)


def _squared_norm(table: jax.Array, keys: jax.Array) -> jax.Array:
    """Of a table that is zero in all rows but these."""
    if _in_order(table, keys):
        return sum_of_squares(table)
    return _squared_norm_without(table, jnp.sort(keys)[:, None], jnp.full(1, -1, keys.dtype))


def _squared_norm_without(table: jax.Array, ordered: jax.Array, but: jax.Array) -> jax.Array:
    """The same of a part of a table for each place, without one row in each.

    Args:
        table: (before, places x keys, *after).
        ordered: (n, places) keys, in order for each place.
        but: (places,) keys.
    """
    length = table.shape[1]
    if _in_order(table, ordered):
        row = lax.iota(but.dtype, length).reshape(len(but), -1)
        own = _squared(jnp.moveaxis(table, 1, 0)).reshape(row.shape)
        return sum_all(jnp.where(row == but[:, None], 0, own))
    again = jnp.concatenate([jnp.zeros_like(ordered[:1], bool), ordered[1:] == ordered[:-1]])
    taken = (ordered < length) & (ordered != but) & ~again
    return sum_all(jnp.where(taken, _squared(rows_of(table, ordered.reshape(-1))).reshape(ordered.shape), 0))


def _in_order(table: jax.Array, keys: jax.Array) -> bool:
    """Does it cost less to read the whole table than the rows of these keys, sorted?"""
    return keys.size * (SORTED + GATHERED * (table.size // table.shape[1])) > table.size


def _apart(rows: _Rows, mean: jax.Array, n: int, count: jax.Array) -> jax.Array:
    """The sum of squared deviations, as a sum of squares over the lookups."""
    keys, values = rows
    length = mean.shape[1]
    counts = _counts(rows, length)

    def of_places(own: _Rows) -> jax.Array:
        """(n - c_r) / c_r ||m[r]||^2 + ||g_i[r] - m[r]||^2."""
        here, looked = rows_of(mean, own.keys), rows_of(counts, own.keys)[:, 0, 0].astype(count.dtype)
        apart = _squared(own.values - here) + (count - looked) / jnp.maximum(looked, 1) * _squared(here)
        return jnp.where(own.keys < length, apart, 0)

    blocks = _blocks(n, values.size)
    if blocks == 1:
        each = of_places(rows)
    else:
        each = lax.map(of_places, _Rows(keys.reshape(blocks, -1), values.reshape(blocks, -1, *values.shape[1:])))
    return sum_in_stages(jnp.sum(each.reshape(n, -1), axis=1))


def _blocks(n: int, size: int) -> int:
    """Into how many blocks of examples to cut so many numbers: on a CPU, such that a block stays in its cache."""
    if jax.default_backend() != "cpu":
        return 1
    return next((b for b in range(1, n) if n % b == 0 and size <= b * BLOCK), max(n, 1))


def _squared(rows: jax.Array) -> jax.Array:
    """Squared norms of rows (places, before, *after)."""
    return jnp.sum(jnp.square(rows), axis=tuple(range(1, rows.ndim)))


def _where(which: jax.Array, rows: jax.Array) -> jax.Array:
    """Some of some rows, zeros for the others."""
    return jnp.where(which.reshape(*which.shape, *[1] * (rows.ndim - 1)), rows, 0)


def _added(rows: _Rows, length: int, n: int) -> _Rows:
    """Every example's values of one row added in the place that owns it; the other places count for nothing."""
    keys, total = rows.keys.reshape(n, -1), rows.keys.size
    t = keys.shape[1]
    place = jnp.arange(t, dtype=jnp.int32)
    if t <= PAIRS:
        same = keys[:, :, None] == keys[:, None, :]
        owner = jnp.min(jnp.where(same, place, t), axis=2)
    elif jax.default_backend() == "cpu":
        owner = _owners_in_turn(keys, length)
    else:
        owner = _owners_by_sorting(keys)
    if t <= FEW:
        values = rows.values.reshape(n, 1, t, *rows.values.shape[1:])
        mine = (owner[:, None, :] == place[:, None]).reshape(n, t, t, *[1] * (rows.values.ndim - 1))
        added = jnp.sum(jnp.where(mine, values, 0), axis=2)
        return _Rows(jnp.where(owner == place, keys, length).reshape(-1), added.reshape(rows.values.shape))
    alone = ((owner == place) | (keys == length)).reshape(-1)
    owner = (owner + t * jnp.arange(n, dtype=counting(total))[:, None]).reshape(-1)
    moved = add_rows(rows.values[None], jnp.where(alone, total, owner), rows.values[:, None])
    return _Rows(jnp.where(alone, rows.keys, length), moved[0])


def _owners_in_turn(keys: jax.Array, length: int) -> jax.Array:
    """For every place (n, t) the one place among those of its key that owns it, by a list that every example writes."""
    place = jnp.arange(keys.shape[1], dtype=jnp.int32)[:, None]
    numbers = lax.ScatterDimensionNumbers((1,), (0,), (0,))

    def write(owners: jax.Array, own: jax.Array) -> tuple[jax.Array, jax.Array]:
        owners = lax.scatter(owners, own[:, None], place, numbers, mode=lax.GatherScatterMode.FILL_OR_DROP)
        return owners, owners.at[own, 0].get(mode="clip")

    return lax.scan(write, zeros_as(keys, (length, 1), jnp.int32), keys)[1]


def _owners_by_sorting(keys: jax.Array) -> jax.Array:
    """For every place (n, t) the first place of its key."""
    place = lax.broadcasted_iota(jnp.int32, keys.shape, 1)
    ordered, places = lax.sort((keys, place), dimension=1, num_keys=1, is_stable=True)
    starts = jnp.concatenate([jnp.ones_like(ordered[:, :1], bool), ordered[:, 1:] != ordered[:, :-1]], axis=1)
    begins = lax.cummax(jnp.where(starts, place, 0), axis=1)  # where in the order this key begins
    owners = jnp.take_along_axis(places, begins, axis=1)
    return lax.sort((places, owners), dimension=1, num_keys=1)[1]
