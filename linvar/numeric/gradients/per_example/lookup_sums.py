"""Moments of the gradient of a table that is looked up: only what an example looked up is touched.

Example i looks up rows r of a table of K rows, one at least twice or not, and g_i[r] is the sum of its cotangents there. With
c_r the number of examples that look up row r and m the mean of the n gradients,

    sum_i ||g_i - m||^2 = sum_i sum_{r looked up by i} (||g_i[r] - m[r]||^2 + (n - c_r) / c_r ||m[r]||^2):

a sum of squares, over the lookups alone. The only passes over the table are those that fill it with zeros: its mean (as the
plain gradient does), and one integer a row for the counts.

Cotangents of rows that an example looks up more than once are added in the place of one of them, which owns the row:

    few rows of an example    by comparing all pairs of its keys
    many, on a CPU            every example in turn writes the places of its keys into a list over the table's rows, and reads
                              there who owns each: nothing has to be cleared for the next
    many, elsewhere           by sorting every example's keys
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from linvar.numeric.gradients.per_example.arithmetic import at_least_float32, squares, sum_in_stages
from linvar.numeric.gradients.per_example.kinds.lookup import Lookup, add_rows, rows_of
from linvar.numeric.gradients.per_example.strategies import Sums, Wanted

#: rows of an example up to which all pairs of them are compared
PAIRS = 8


class _Rows(NamedTuple):
    """Rows that examples looked up: keys (n, rows), negative where nothing counts, and cotangents (n, rows, free)."""

    keys: jax.Array
    values: jax.Array


class _Table(NamedTuple):
    """Of one table (keys, free)."""

    mean: jax.Array
    scatter: jax.Array
    norms: jax.Array
    squares: list[jax.Array]


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
    keys = jnp.concatenate([entry.inputs(x) for entry, x in zip(entries, h)], axis=2)  # (n, groups, rows)
    values = jnp.concatenate([at_least_float32(entry.cotangents(x)) for entry, x in zip(entries, delta)], axis=2)
    keys = jnp.where(live[:, None, None] > 0, keys, -1)
    values = jnp.where(keys[..., None] < 0, 0, values)
    first = entries[0]
    distinct = len(entries) == 1 and first.distinct

    def of_table(keys: jax.Array, values: jax.Array) -> _Table:
        own = _Rows(keys, values) if distinct else _added(_Rows(keys, values), first.contracted)
        return _of_table(own, first.contracted, count, wanted)

    if keys.shape[1] == 1:  # no axis to move
        found = jax.tree.map(lambda x: x[None], of_table(keys[:, 0], values[:, 0]))
    else:
        found = jax.vmap(of_table, in_axes=1)(keys, values)
    squared = [first.weight(x) for x in found.squares]
    return Sums([first.weight(found.mean)], [jnp.sum(found.scatter)], [jnp.sum(found.norms, axis=0)], squared)


def _of_table(rows: _Rows, length: int, count: jax.Array, wanted: Wanted) -> _Table:
    """Of rows of which every example has each at most once."""
    real = rows.keys >= 0
    keys, values = jnp.where(real, rows.keys, length), rows.values
    empty = jnp.zeros((length, values.shape[-1]), values.dtype)
    mean = add_rows(empty, keys, values / count)
    examples = add_rows(jnp.zeros((length, 1), jnp.int32), keys, jnp.ones((*keys.shape, 1), jnp.int32))
    here, looked = rows_of(mean, keys), rows_of(examples, keys)[..., 0].astype(count.dtype)
    norms = squares(values, -1)
    apart = squares(values - here, -1) + (count - looked) / jnp.maximum(looked, 1) * squares(here, -1)
    scatter = sum_in_stages(jnp.sum(jnp.where(real, apart, 0), axis=1))
    squared = [add_rows(empty, keys, values**2 / count)] if wanted.squares else []
    return _Table(mean, scatter, jnp.sum(norms, axis=1), squared)


def _added(rows: _Rows, length: int) -> _Rows:
    """Every example's cotangents of one row added in one place; other places of that row get the key -1, and zeros."""
    n, t, free = rows.values.shape
    place = jnp.arange(t, dtype=jnp.int32)
    if t <= PAIRS:
        same = rows.keys[:, :, None] == rows.keys[:, None, :]
        owns = ~jnp.any(same & (place < place[:, None]), axis=2)  # no place before it has its key
        into = (same & owns[:, :, None]).astype(rows.values.dtype)
        values = jnp.einsum("nts,nsf->ntf", into, rows.values, precision=lax.Precision.HIGHEST)
        return _Rows(jnp.where(owns, rows.keys, -1), values)
    keys = jnp.where(rows.keys < 0, length, rows.keys)
    owner = _owners_in_turn(keys, length) if jax.default_backend() == "cpu" else _owners_by_sorting(keys)
    owner = jnp.where(rows.keys < 0, place, owner)
    flat = owner + t * jnp.arange(n, dtype=_counting(n * t))[:, None]
    values = add_rows(jnp.zeros((n * t, free), rows.values.dtype), flat, rows.values).reshape(n, t, free)
    return _Rows(jnp.where(owner == place, rows.keys, -1), values)


def _owners_in_turn(keys: jax.Array, length: int) -> jax.Array:
    """For every place (n, t) the one place among those of its key that owns it, by a list that every example writes."""
    place = jnp.arange(keys.shape[1], dtype=jnp.int32)[:, None]
    numbers = lax.ScatterDimensionNumbers((1,), (0,), (0,))

    def write(owners: jax.Array, own: jax.Array) -> tuple[jax.Array, jax.Array]:
        owners = lax.scatter(owners, own[:, None], place, numbers, mode=lax.GatherScatterMode.FILL_OR_DROP)
        return owners, rows_of(owners, own)[:, 0]

    return lax.scan(write, jnp.zeros((length, 1), jnp.int32), keys)[1]


def _owners_by_sorting(keys: jax.Array) -> jax.Array:
    """For every place (n, t) the first place of its key."""
    place = lax.broadcasted_iota(jnp.int32, keys.shape, 1)
    ordered, places = lax.sort((keys, place), dimension=1, num_keys=1, is_stable=True)
    starts = jnp.concatenate([jnp.ones_like(ordered[:, :1], bool), ordered[:, 1:] != ordered[:, :-1]], axis=1)
    first = lax.cummax(jnp.where(starts, place, 0), axis=1)  # where in the order this key begins
    owners = jnp.take_along_axis(places, first, axis=1)
    return lax.sort((places, owners), dimension=1, num_keys=1)[1]


def _counting(number: int) -> jnp.dtype:
    """The type that counts so far."""
    return jnp.dtype(jnp.int32) if number <= jnp.iinfo(jnp.int32).max else jax.dtypes.canonicalize_dtype(jnp.int64)
