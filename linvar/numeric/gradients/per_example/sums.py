"""All leaves of one batch: the pass, every group by its strategy, and the pull back from values V to leaves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.typing import ArrayLike

from linvar.numeric.gradients.per_example import strategies
from linvar.numeric.gradients.per_example.analysis import Analysis
from linvar.numeric.gradients.per_example.arithmetic import at_least_float32, with_sums
from linvar.numeric.gradients.per_example.composite import Seen, norms_of
from linvar.numeric.gradients.per_example.entries import Entry, Rows, alike, rows_of
from linvar.numeric.gradients.per_example.evaluation import aval_of, is_variable, read, variables
from linvar.numeric.gradients.per_example.flattening import LossOfLists
from linvar.numeric.gradients.per_example.groups import Group
from linvar.numeric.gradients.per_example.pull import touched
from linvar.numeric.gradients.per_example.strategies import Sums, Wanted
from linvar.numeric.gradients.per_example.taps import Pass, run_pass
from linvar.numeric.gradients.per_example.totals import BatchSums, PerExample, Totals
from linvar.numeric.gradients.per_example.views import View

#: h, delta and gradients of values taken as they are, of one group.
_Arrays: TypeAlias = tuple[list[jax.Array], list[jax.Array], list[jax.Array]]
#: bytes of one example's gradient from which a CPU makes them one by one
ONE_AT_A_TIME = 2**16


def batch_sums(
    analysis: Analysis,
    loss: LossOfLists,
    leaves: Sequence[jax.Array],
    examples: Sequence[jax.Array],
    live: jax.Array,
    wanted: Wanted,
    *,
    drop: bool = False,
    chunk_bytes: int,
) -> BatchSums:
    """Mean, scatter and what else is wanted of every leaf's per-example gradients.

    Args:
        analysis: of this loss.
        loss: of flat lists, for what falls back.
        leaves: of the parameters.
        examples: arrays, examples first.
        live: (n,) booleans: examples that count (padding does not).
        wanted: beyond mean and scatter.
        drop: also leave out examples with a loss or a gradient that is not finite.
        chunk_bytes: memory for the per-example gradients of one chunk.
    """
    found = run_pass(analysis, leaves, examples)
    if drop:
        live = live & _finite(found)
        found = _without(found, live)
    weights = live.astype(jnp.promote_types(found.losses.dtype, jnp.float32))
    count = jnp.sum(weights)
    batch = _Batch(analysis, loss, leaves, examples, found, weights, jnp.maximum(count, 1), wanted, chunk_bytes)
    sums = _merged(list(zip(analysis.groups, _of_groups(batch))), len(leaves))
    mean = sums.mean
    if analysis.constants:
        wide = [c / found.losses.shape[0] for c in found.constants]
        penalties = [analysis.constant_value(i) for i in range(len(wide))]
        pulled = analysis.parameters.pull(leaves, penalties)(wide)
        fallen = (group.leaves for group in analysis.groups if group.strategy == "fallback")
        whole = {leaf for own in fallen for leaf in own}  # have their penalty already
        mean = [m if p is None or leaf in whole else m + p for leaf, (m, p) in enumerate(zip(mean, pulled))]
    return BatchSums(
        Totals(count, mean, sums.scatter, sums.squares, sums.deviations, sums.sizes),
        PerExample(jnp.where(live, found.losses, 0), live, sums.norms if wanted.norms else [], []),
    )


def _merged(parts: Sequence[tuple[Group, Sums]], count: int) -> Sums:
    """One item a leaf: what its parts, which have no entry in common, add up to; ``sizes`` summed over the examples."""
    found: list[list[tuple[Sums, int]]] = [[] for _ in range(count)]
    for group, sums in parts:
        for place, leaf in enumerate(group.leaves):
            found[leaf].append((sums, place))

    def some(of: Callable[[Sums], list[jax.Array]]) -> list[jax.Array | None]:
        parts = [[of(sums)[place] for sums, place in own if of(sums)] for own in found]
        return [_added(own) if own else None for own in parts]

    def each(of: Callable[[Sums], list[jax.Array]]) -> list[jax.Array]:
        return [_added([of(sums)[place] for sums, place in own]) for own in found if all(of(sums) for sums, _ in own)]

    scatter = each(lambda s: s.scatter)
    starts = [*scatter, *map(jnp.zeros_like, scatter)]
    both = with_sums(starts, [*some(lambda s: s.apart), *some(lambda s: s.sizes)])  # all of them at once
    scatter, sizes = both[:count], both[count:]
    squares, deviations = each(lambda s: s.squares), each(lambda s: s.deviations)
    return Sums(each(lambda s: s.mean), scatter, each(lambda s: s.norms), squares, deviations, sizes)


@dataclass(frozen=True)
class _Batch:
    """What all groups of one batch need."""

    analysis: Analysis
    loss: LossOfLists
    leaves: Sequence[jax.Array]
    examples: Sequence[jax.Array]
    found: Pass
    live: jax.Array
    count: jax.Array
    wanted: Wanted
    chunk_bytes: int


def _of_groups(batch: _Batch) -> list[Sums]:
    """All groups, in their order. Matrices that are made of one example at a time are made in one loop."""
    groups = batch.analysis.groups
    looped = [i for i, group in enumerate(groups) if _is_made(batch, group) and _chunk(batch, group) == 1]
    each = {i: _of_group(batch, group) for i, group in enumerate(groups) if i not in looped}
    each.update(zip(looped, _made_together(batch, [groups[i] for i in looped], 1)))
    return [each[i] for i in range(len(groups))]


def _of_group(batch: _Batch, group: Group) -> Sums:
    """One group by its strategy, one item a leaf."""
    leaves = [batch.leaves[i] for i in group.leaves]
    if group.strategy in ("none", "constant"):
        return _nothing(leaves, batch.live, batch.wanted)
    if group.strategy == "fallback":
        return _by_autodiff(batch, group)
    if _is_made(batch, group):
        (sums,) = _made_together(batch, [group], _chunk(batch, group))
        return sums
    view = _view(group)
    return _of_function(batch, group) if view is None else _seen(batch, view, _of_value(batch, group))


def _view(group: Group) -> View | None:
    """The view that the one value of a group is, where it is used."""
    return None if group.strategy == "factored" else group.view


def _seen(batch: _Batch, view: View, sums: Sums) -> Sums:
    """A leaf, from the sums of one value, which is some entries of it times a constant."""
    shape, by = batch.leaves[view.leaf].shape, None if view.plain else _scale(batch, view)

    def times(x: jax.Array, power: int) -> jax.Array:
        return (
            at_least_float32(x) if by is None else at_least_float32(x) * by.astype(at_least_float32(x).dtype) ** power
        )

    return Sums(
        [view.back(times(x, 1), shape) for x in sums.mean],
        [times(x, 2) for x in sums.scatter],
        [times(x, 2) for x in sums.norms],
        [view.back(times(x, 2), shape) for x in sums.squares] if batch.wanted.squares else [],
        [view.back(times(x, 2), shape) for x in sums.deviations] if batch.wanted.deviations else [],
        [times(x, 2) for x in sums.sizes],
        [times(x, 2) for x in sums.apart],
    )


@dataclass(frozen=True)
class _Met:
    """The entries of some values, with what the pass left of each; and the gradients of values taken as they are."""

    entries: list[Entry]
    h: list[jax.Array]
    delta: list[jax.Array]
    direct: dict[core.Var, jax.Array]

    def counted(self, live: jax.Array) -> list[jax.Array]:
        """delta, zero for examples that do not count."""
        return [d * live.reshape(-1, *[1] * (d.ndim - 1)).astype(d.dtype) for d in self.delta]


def _met(batch: _Batch, values: Sequence[core.Var]) -> _Met:
    """Of some values."""
    analysis, found = batch.analysis, batch.found
    own = [i for i, entry in enumerate(analysis.entries) if entry.value in values]
    direct = {v: found.direct[analysis.direct.index(v)] for v in values if v in analysis.direct}
    entries, delta = [analysis.entries[i] for i in own], [found.cotangents[i] for i in own]
    h = [_as_wide(found.inputs[i], d) for i, d in zip(own, delta)]
    return _Met(entries, h, delta, direct)


def _as_wide(h: jax.Array, delta: jax.Array) -> jax.Array:
    """h in a type at least as wide as delta's: a product of both types is computed in the wider one; indices stay."""
    return h.astype(jnp.promote_types(h.dtype, delta.dtype)) if jnp.issubdtype(h.dtype, jnp.floating) else h


def _of_value(batch: _Batch, group: Group) -> Sums:
    """The one value of a group, by its strategy."""
    live, count, wanted, own = batch.live, batch.count, batch.wanted, _met(batch, group.values)
    if group.strategy == "outer":
        return strategies.outer(own.entries[0], own.h[0], own.delta[0], live, count, wanted)
    if group.strategy == "lookup":
        lookups = [one for entry in own.entries for one in entry.lookups]
        return strategies.lookup(lookups, own.h, own.delta, live, count, wanted)
    first, rows = own.entries[0], rows_of(own.entries, own.h, own.counted(live))
    return strategies.factored([norms_of([Seen.of(first.pairs(rows))])], [first.total(rows) / count], live, count)


def _pulled(batch: _Batch, group: Group) -> Callable[[list[jax.Array]], list[jax.Array]]:
    """From gradients of the values of a group to those of its leaves."""
    pull = batch.analysis.parameters.pull(batch.leaves, group.values)

    def pulled(gradients: list[jax.Array]) -> list[jax.Array]:
        found = pull(gradients)
        return [touched(found[leaf]) for leaf in group.leaves]

    return pulled


def _of_function(batch: _Batch, group: Group) -> Sums:
    """Leaves of which the values of a group are functions, by terms."""
    live, count, own = batch.live, batch.count, _met(batch, group.values)
    delta = own.counted(live)
    direct = {v: jnp.where(live.reshape(-1, *[1] * (d.ndim - 1)) > 0, d, 0) for v, d in own.direct.items()}
    means = []
    for v in group.values:
        parts = [first.total(rows) for first, rows in _alike_rows(v, own.entries, own.h, delta)]
        parts += [jnp.sum(at_least_float32(direct[v]), axis=0)] if v in direct else []
        means.append(_added(parts) / count)
    assert group.norms is not None
    norms = group.norms(batch.leaves, own.h, delta, list(direct.values()))
    pulled = batch.analysis.parameters.pulled(batch.leaves, group.leaves, group.values, means)
    return strategies.factored(norms, pulled, live, count)


def _is_made(batch: _Batch, group: Group) -> bool:
    """Are gradients of single examples made, from h and delta?"""
    entrywise = batch.wanted.squares or batch.wanted.deviations
    by = ("materialised", "direct", "gram", "factored") if entrywise else ("materialised", "direct")
    return group.strategy in by


def _made_together(batch: _Batch, groups: Sequence[Group], chunk: int) -> list[Sums]:
    """Groups whose gradients are made of so many examples at a time, from h and delta."""
    if not groups:
        return []
    own = [_met(batch, group.values) for group in groups]
    leaves_of = [_pulled(batch, group) if _view(group) is None else None for group in groups]

    def made(parts: Sequence[_Arrays]) -> list[jax.Array]:
        found: list[jax.Array] = []
        for group, met, pulled, part in zip(groups, own, leaves_of, parts):
            gradients = _made(group, met, part)
            found += gradients if pulled is None else jax.vmap(pulled)(gradients)
        return found

    arrays = [(met.h, met.delta, list(met.direct.values())) for met in own]
    sums = strategies.materialised(made, arrays, batch.live, batch.count, chunk, batch.wanted)
    result, first = [], 0
    for group in groups:
        mine, view = sums.some(slice(first, first + len(group.leaves))), _view(group)
        first += len(group.leaves)
        result.append(mine if view is None else _seen(batch, view, mine))
    return result


def _made(group: Group, own: _Met, part: _Arrays) -> list[jax.Array]:
    """Per-example gradients of the values of a group, of some examples."""
    keys, (inputs, cotangents, taken) = list(own.direct), part
    gradients = []
    for v in group.values:
        terms = [first.product(rows) for first, rows in _alike_rows(v, own.entries, inputs, cotangents)]
        terms += [at_least_float32(taken[keys.index(v)])] if v in own.direct else []
        gradients.append(_added(terms))
    return gradients


def _alike_rows(
    value: core.Var, entries: Sequence[Entry], h: Sequence[jax.Array], delta: Sequence[jax.Array]
) -> list[tuple[Entry, Rows]]:
    """The entries of one value: one of every sort, and the rows of all of its sort."""
    mine = [i for i, entry in enumerate(entries) if entry.value is value]
    sorts = dict.fromkeys(alike(entries[i]) for i in mine)
    found = []
    for sort in sorts:
        own = [i for i in mine if alike(entries[i]) == sort]
        found.append(
            (entries[own[0]], rows_of([entries[i] for i in own], [h[i] for i in own], [delta[i] for i in own]))
        )
    return found


def _by_autodiff(batch: _Batch, group: Group) -> Sums:
    """Nothing is known of some operation: the loss is differentiated example by example."""

    def gradients(part: list[jax.Array]) -> list[jax.Array]:
        def of_mine(own: Sequence[jax.Array], example: Sequence[jax.Array]) -> ArrayLike:
            merged = list(batch.leaves)
            for i, x in zip(group.leaves, own):
                merged[i] = x
            return batch.loss(merged, example)

        mine = [batch.leaves[i] for i in group.leaves]
        found: list[jax.Array] = jax.vmap(jax.grad(of_mine), in_axes=(None, 0))(mine, part)
        return found

    arrays = list(batch.examples)
    return strategies.materialised(gradients, arrays, batch.live, batch.count, _chunk(batch, group), batch.wanted)


def _added(arrays: list[jax.Array]) -> jax.Array:
    """The sum of one or more."""
    return sum(arrays[1:], arrays[0])


def _scale(batch: _Batch, view: View) -> jax.Array:
    """What a view's entries are multiplied by."""
    by, over = (
        [at_least_float32(jnp.asarray(read({}, atom))) for atom in atoms if not is_variable(atom)]
        + [at_least_float32(x) for x in batch.analysis.parameters.values(batch.leaves, list(variables(atoms)))]
        for atoms in (view.by, view.over)
    )
    return jnp.reshape(view.sign * math.prod(by) / math.prod(over), ())


def _chunk(batch: _Batch, group: Group) -> int:
    """Examples whose gradients are made at a time: as many as fit, patches of convolutions included.

    On a CPU, matrices of some size are made one at a time: a plain matrix product, and it stays in the cache (measured on
    two cores: 1.7 times faster than 8 at a time for 64 rows, 128 x 512; for convolutions up to 4 times).
    """
    leaves = [aval_of(v) for v in group.values] if group.view else [batch.leaves[i] for i in group.leaves]
    needed = sum(x.size * max(4, int(x.dtype.itemsize)) for x in leaves)
    needed += sum(4 * entry.copied for entry in batch.analysis.entries if entry.value in group.values)
    if jax.default_backend() == "cpu" and needed >= ONE_AT_A_TIME and group.strategy != "fallback":
        return 1
    return max(1, batch.chunk_bytes // max(1, needed))


def _nothing(leaves: Sequence[jax.Array], live: jax.Array, wanted: Wanted) -> Sums:
    """Leaves without a gradient: zeros like them."""
    number = jnp.zeros((), live.dtype)
    zeros = [jnp.zeros(x.shape, live.dtype) for x in leaves]
    norms = [jnp.zeros_like(live) for _ in leaves] if wanted.norms else []
    squares, deviations = (zeros if asked else [] for asked in (wanted.squares, wanted.deviations))
    return Sums(zeros, [number for _ in leaves], norms, squares, deviations)


def _finite(found: Pass) -> jax.Array:
    """Examples whose loss and cotangents are all finite."""
    arrays = [found.losses, *found.cotangents, *found.direct, *found.inputs]
    floating = [x for x in arrays if jnp.issubdtype(x.dtype, jnp.inexact)]
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x.reshape(x.shape[0], -1)), axis=1) for x in floating]), axis=0)


def _without(found: Pass, live: jax.Array) -> Pass:
    """Zeros in place of what is not live."""

    def keep(x: jax.Array) -> jax.Array:
        return jnp.where(live.reshape(-1, *[1] * (x.ndim - 1)), x, jnp.zeros((), x.dtype))

    inputs, cotangents, direct = ([keep(x) for x in xs] for xs in (found.inputs, found.cotangents, found.direct))
    return Pass(keep(found.losses), inputs, cotangents, direct, found.constants)
