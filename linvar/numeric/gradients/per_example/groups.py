"""Which leaves are computed together, and how.

Leaves that share a value V form a group (usually one leaf); where the values of one leaf are different entries of it, each
is a group of its own. A group is computed by one strategy:

    none          the loss does not depend on it, or it is not differentiable
    constant      the loss depends on it, but not together with the example (a penalty): only the mean
    outer         one row: ||g_i||^2 = ||h_i||^2 ||delta_i||^2, no per-example matrix
    lookup        rows of a table: the rows an example looked up, added where it did so twice
    gram          few rows: ||g_i||^2 = sum over pairs of rows of (h . h') (delta . delta')
    factored      through a function of the leaf, whose transpose is done to h and delta, and pairs of what comes out
    direct        V enters elementwise or is small: autodiff gives its per-example gradient in the same pass
    materialised  per-example gradients of a chunk of examples at a time, made from h and delta
    fallback      anything else, where V is large: chunks of vmap(grad), a pass of its own
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from jax.extend import core

from linvar.numeric.gradients.per_example.entries import Entry, Strategy, alike
from linvar.numeric.gradients.per_example.evaluation import bytes_of, size_of
from linvar.numeric.gradients.per_example.paying import FactoredNorms
from linvar.numeric.gradients.per_example.views import View, Views

#: strategies that subtract n ||mean||^2 from a sum of squares, unless centred
CANCELLING: tuple[Strategy, ...] = ("outer", "gram", "factored")

#: For every value of parameters alone, the leaves it is differentiable in.
LeavesOf: TypeAlias = Mapping[core.Var, frozenset[int]]
#: For every value that is taken as it is, what is not known of the operations it enters ("": all is).
Reasons: TypeAlias = Mapping[core.Var, list[str]]


@dataclass(frozen=True)
class Group:
    """Leaves computed together, and how."""

    leaves: tuple[int, ...]
    values: tuple[core.Var, ...]  # variables V
    strategy: Strategy
    why: str
    view: View | None = None  # of the one value, if it is some entries of the one leaf
    norms: FactoredNorms | None = None  # of the gradients of the leaves, where they are "factored"


@dataclass(frozen=True)
class Meeting:
    """All that meets the examples.

    Attributes:
        leaves_of: the leaves that every value is differentiable in.
        entries: where values meet the examples in a way that can be used.
        reasons: values that are taken as they are.
        penalties: values that no example changes.
        views: values that are some entries of a leaf.
        activation_bytes: of all values of one example.
        centred: no strategy that subtracts two large numbers.
        factored: norms by terms of J^T dV, where they cost less than matrices (asked of few groups, since the answer is traced).
    """

    leaves_of: LeavesOf
    entries: Sequence[Entry]
    reasons: Reasons
    penalties: Sequence[core.Var]
    views: Views
    activation_bytes: int
    centred: bool
    factored: Callable[[Sequence[int], Sequence[core.Var]], FactoredNorms | None]


def groups_of(meeting: Meeting, count: int) -> list[Group]:
    """Connect leaves that share a value, part those whose values share nothing, and choose a strategy for each."""
    every = dict.fromkeys([*(entry.value for entry in meeting.entries), *meeting.reasons])
    values = [v for v in every if size_of(v)]  # what has no entries has no gradient
    constant: frozenset[int] = frozenset().union(*(meeting.leaves_of[v] for v in meeting.penalties))
    result: list[Group] = []
    for leaves in _connected([meeting.leaves_of[v] for v in values], count):
        mine = tuple(v for v in values if meeting.leaves_of[v] & set(leaves))
        if not mine:
            why = "a term without the example" if constant & set(leaves) else "the loss does not depend on it"
            result.append(Group(leaves, (), "constant" if constant & set(leaves) else "none", why))
        else:
            parts = [_decided(meeting, leaves, part) for part in _parted(meeting.views, mine)]
            fallen = [part for part in parts if part.strategy == "fallback"]  # differentiates by the whole leaf
            result += [replace(fallen[0], values=mine, view=None)] if fallen else parts
    return result


def _connected(sets: Sequence[frozenset[int]], count: int) -> list[tuple[int, ...]]:
    """The finest partition of the leaves that cuts none of these sets."""
    parent = list(range(count))

    def root(leaf: int) -> int:
        while parent[leaf] != leaf:
            leaf = parent[leaf]
        return leaf

    for leaves in sets:
        first, *others = sorted(leaves)
        for other in others:
            parent[root(other)] = root(first)
    whole = (tuple(leaf for leaf in range(count) if root(leaf) == leader) for leader in range(count))
    return [leaves for leaves in whole if leaves]


def _parted(views: Views, values: tuple[core.Var, ...]) -> list[tuple[core.Var, ...]]:
    """The values of one group of leaves, apart where they are views that have no entry in common."""
    if not all(v in views for v in values):
        return [values]
    parts: list[tuple[core.Var, ...]] = []
    for v in values:
        near = [part for part in parts if any(views[v].overlaps(views[w]) for w in part)]
        parts = [part for part in parts if part not in near] + [(*(w for part in near for w in part), v)]
    return parts


def _decided(meeting: Meeting, leaves: tuple[int, ...], values: tuple[core.Var, ...]) -> Group:
    """A group with its strategy, and the reason in words."""
    entries = [entry for entry in meeting.entries if entry.value in values]
    direct = {v: why for v, why in meeting.reasons.items() if v in values}
    view = meeting.views.get(values[0]) if len(values) == 1 else None

    def by(strategy: Strategy, *why: str) -> Group:
        return Group(leaves, values, strategy, "; ".join(filter(None, why)), view)

    names = ", ".join(dict.fromkeys(_describe(entry) for entry in entries))
    unknown = ", ".join(dict.fromkeys(why for v in direct for why in direct[v] if why))
    fallen = f"falls back on autodiff: {unknown}" if unknown else ""
    taken = sum(map(bytes_of, direct))
    if taken > max(meeting.activation_bytes, 2**16):
        return by("fallback", f"{taken:,} bytes an example where nothing is known of the operation", fallen)
    if not entries:
        return by("direct", fallen or "elementwise or small")
    first = entries[0]
    same = not direct and all(alike(entry) == alike(first) for entry in entries)
    if view is not None and same:
        rows = sum(entry.rows for entry in entries)
        scaled = "" if view.plain else "times a constant"
        return by(first.strategy(rows, meeting.centred), names if rows == 1 else f"{names}, {rows} rows", scaled)
    how = "through a function of it" if view is None else "several values of it"
    norms = None if meeting.centred else meeting.factored(leaves, values)
    return replace(by("materialised" if norms is None else "factored", names, how, fallen), norms=norms)


def _describe(entry: Entry) -> str:
    scans = "".join(f", {'stacked' if loop.mapped else 'repeated'} {loop.length} times" for loop in entry.loops)
    return entry.kind + scans
