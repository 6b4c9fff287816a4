"""Which leaves are computed together, and how.

Leaves that share a value V form a group (usually one leaf). A group is computed by one strategy:

    outer         one row: ||g_i||^2 = ||h_i||^2 ||delta_i||^2, no per-example matrix
    gram          few rows: ||g_i||^2 = sum over pairs of rows of (h . h') (delta . delta')
    lookup        rows of a table: the rows an example looked up, added where it did so twice
    materialised  per-example gradients of a chunk of examples at a time, made from h and delta
    direct        V enters elementwise or is small: autodiff gives its per-example gradient in the same pass
    fallback      anything else, where V is large: chunks of vmap(grad), a pass of its own
    constant      the loss depends on it, but not together with the example (a penalty): only the mean
    none          the loss does not depend on it, or it is not differentiable
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from jax.extend import core

from linvar.numeric.gradients.per_example.entries import Entry, Layout
from linvar.numeric.gradients.per_example.evaluation import bytes_of, is_floating, size_of, variables
from linvar.numeric.gradients.per_example.jaxprs import broadcast_axes_of, if_read, operation
from linvar.numeric.gradients.per_example.operations import REARRANGED

#: How the gradients of a group are computed.
Strategy: TypeAlias = Literal["outer", "gram", "lookup", "materialised", "direct", "fallback", "constant", "none"]
#: a row of a per-example matrix written and read costs about as much as this many multiplications on it
MATERIALISE_COST = 30
#: strategies that subtract n ||mean||^2 from a sum of squares, unless centred
CANCELLING: tuple[Strategy, ...] = ("outer", "gram")

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


def groups_of(
    jaxpr: core.ClosedJaxpr,
    leaves_of: LeavesOf,
    entries: Sequence[Entry],
    reasons: Reasons,
    penalties: Sequence[core.Var],
    activation_bytes: int,
    count: int,
    centred: bool,
) -> list[Group]:
    """Connect leaves that share a value, and choose the strategy of each connected set."""
    values = list(dict.fromkeys([*(entry.value for entry in entries), *reasons]))
    parent = list(range(count))

    def root(leaf: int) -> int:
        while parent[leaf] != leaf:
            leaf = parent[leaf]
        return leaf

    for v in values:
        first, *others = sorted(leaves_of[v])
        for other in others:
            parent[root(other)] = root(first)
    aliases = _aliases(jaxpr, count)
    constant_leaves: frozenset[int] = frozenset().union(*(leaves_of[v] for v in penalties))
    result: list[Group] = []
    for leader in range(count):
        leaves = tuple(leaf for leaf in range(count) if root(leaf) == leader)
        if not leaves:
            continue
        mine = tuple(v for v in values if leaves_of[v] & set(leaves))
        if not mine:
            why = "a term without the example" if constant_leaves & set(leaves) else "the loss does not depend on it"
            result.append(Group(leaves, (), "constant" if constant_leaves & set(leaves) else "none", why))
            continue
        own = [entry for entry in entries if entry.value in mine]
        taken = {v: why for v, why in reasons.items() if v in mine}
        alias = len(leaves) == 1 and all(v in aliases for v in mine)
        result.append(_decided(leaves, mine, own, taken, alias, activation_bytes, centred))
    return result


def _decided(
    leaves: tuple[int, ...],
    values: tuple[core.Var, ...],
    entries: list[Entry],
    direct: Reasons,
    alias: bool,
    activation_bytes: int,
    centred: bool,
) -> Group:
    """A group with its strategy, and the reason in words."""

    def by(strategy: Strategy, why: str) -> Group:
        return Group(leaves, values, strategy, why)

    names = ", ".join(dict.fromkeys(_describe(entry) for entry in entries))
    unknown = ", ".join(dict.fromkeys(why for v in direct for why in direct[v] if why))
    fallen = f"falls back on autodiff: {unknown}" if unknown else ""
    taken = sum(map(bytes_of, direct))
    if taken > max(activation_bytes, 2**16):
        words = f"{taken:,} bytes an example where nothing is known of the operation"
        return by("fallback", f"{words}; {fallen}" if fallen else words)
    if not entries:
        return by("direct", fallen or "elementwise or small")
    first = entries[0]
    same = len(values) == 1 and not direct and all(_alike(entry) == _alike(first) for entry in entries)
    if not (alias and same):
        how = "several values of it" if alias else "through a function of it"
        return by("materialised", "; ".join(filter(None, (names, how, fallen))))
    rows = sum(entry.rows for entry in entries)
    if first.kind == "lookup":
        return by("lookup", names)
    if rows == 1:
        return by("outer", names)
    if (
        not centred
        and rows * rows * (first.contracted + first.free) < MATERIALISE_COST * first.contracted * first.free
        and first.kind == "matrix product"
    ):
        return by("gram", f"{names}, {rows} rows")
    return by("materialised", f"{names}, {rows} rows")


@dataclass(frozen=True)
class _Alike:
    """Entries that agree in this have products that add up row by row."""

    kind: str
    layout: Layout
    mapped: tuple[int, ...]
    groups: int
    contracted: int
    free: int


def _alike(entry: Entry) -> _Alike:
    return _Alike(entry.kind, entry.layout, entry.mapped, entry.groups, entry.contracted, entry.free)


def _describe(entry: Entry) -> str:
    scans = "".join(f", {'stacked' if loop.mapped else 'repeated'} {loop.length} times" for loop in entry.loops)
    return entry.kind + scans


def _aliases(jaxpr: core.ClosedJaxpr, count: int) -> set[core.Var]:
    """Values that are one leaf with its entries rearranged."""
    found = set(jaxpr.jaxpr.invars[:count])
    for equation in jaxpr.jaxpr.eqns:
        moves = operation(equation) in REARRANGED or (
            if_read(broadcast_axes_of, equation) is not None
            and size_of(equation.outvars[0]) == size_of(equation.invars[0])
        )
        if moves and all(map(is_floating, equation.outvars)) and any(v in found for v in variables(equation.invars)):
            found.update(equation.outvars)
    return found
