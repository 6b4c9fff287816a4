"""How the gradient of every leaf will be computed, decided from the jaxpr before anything runs.

Leaves that share a value V form a group (usually one leaf). A group is computed in one form:

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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from linvar.errors import InputError, InputTypeError, Words
from linvar.numeric.gradients.per_example.entries import KINDS, Entry, Loop
from linvar.numeric.gradients.per_example.evaluation import is_literal, size_of
from linvar.numeric.gradients.per_example.flattening import Level, body_levels, flatten, level, levels_of
from linvar.numeric.gradients.per_example.jaxprs import (
    REARRANGED,
    SUMS,
    broadcast_axes_of,
    if_read,
    keeps_terms,
    operation,
    scan_of,
    unread,
)

#: a row of a per-example matrix written and read costs about as much as this many multiplications on it
MATERIALISE_COST = 30
#: forms that subtract n ||mean||^2 from a sum of squares, unless centred
CANCELLING = ("outer", "gram")


@dataclass(frozen=True)
class Group:
    """Leaves computed together, and how."""

    leaves: tuple[int, ...]
    values: tuple[Any, ...]  # variables V
    form: str
    why: str


@dataclass(frozen=True)
class Plan:
    """The flat jaxpr of the loss of one example, where parameters enter it, and the form of every group."""

    jaxpr: core.ClosedJaxpr
    levels: dict[Any, Level]
    leaf_count: int
    entries: tuple[Entry, ...]
    direct: tuple[Any, ...]  # values with a tap of their own
    direct_at: frozenset[tuple[int, int]]  # (equation, position) where that tap is added
    constants: tuple[tuple[int, int], ...]  # (equation, position) of terms that no example changes
    groups: tuple[Group, ...]
    activation_bytes: int  # of all values of one example
    centred: bool

    @property
    def parameters(self) -> list[Any]:
        """The leaves' variables."""
        return list(self.jaxpr.jaxpr.invars[: self.leaf_count])

    def constant_value(self, index: int) -> Any:
        """The variable of a constant term."""
        equation, position = self.constants[index]
        return self.jaxpr.jaxpr.eqns[equation].invars[position]


def make_plan(
    loss: Callable[..., Any],
    leaves: Sequence[Any],
    example: Sequence[Any],
    *,
    exact_norms: bool = False,
    centred: bool = False,
) -> Plan:
    """Read the jaxpr of ``loss(leaves, example)`` and decide.

    Args:
        loss: of flat lists of leaves and of the example's arrays.
        leaves: arrays or shapes.
        example: the same of ONE example.
        exact_norms: the squared norm or the elementwise second moment of every example is wanted, penalties included.
        centred: no form that subtracts two large numbers.
    """
    count = len(leaves)
    traced = jax.make_jaxpr(lambda *args: loss(list(args[:count]), list(args[count:])))(*leaves, *example)
    inputs = [Level.PARAMETER if _differentiable(x) else Level.CONSTANT for x in leaves] + [Level.EXAMPLE] * len(
        example
    )
    jaxpr = flatten(traced, inputs)
    levels = levels_of(jaxpr, inputs)
    if len(jaxpr.jaxpr.outvars) != 1:
        count = len(jaxpr.jaxpr.outvars)
        raise InputError(
            "loss", Words(f"gives {count} arrays for one example"), "return one scalar, and nothing beside it"
        )
    (output,) = jaxpr.jaxpr.outvars
    if output.aval.shape != ():
        raise InputError(
            "loss", Words(f"gives an array of shape {output.aval.shape} for one example"), "return a scalar"
        )
    if not jnp.issubdtype(output.aval.dtype, jnp.floating):
        raise InputTypeError(
            "loss", Words(f"gives {output.aval.dtype} for one example"), "return a floating-point scalar"
        )
    if level(levels, output) < Level.EXAMPLE:
        raise InputError(
            "loss", Words("does not depend on the example"), "its arguments are loss(params, example), in that order"
        )
    leaves_of = _leaves_of(jaxpr, levels, count)
    entries: list[Entry] = []
    direct_at: list[tuple[int, int]] = []
    reasons: dict[Any, list[str]] = {}
    constants = [] if exact_norms else _constant_terms(jaxpr, levels, leaves_of)
    for index, equation in enumerate(jaxpr.jaxpr.eqns):
        depends = [level(levels, v) for v in equation.invars]
        if max(depends, default=Level.CONSTANT) < Level.EXAMPLE:
            continue
        for position, value in enumerate(equation.invars):
            if depends[position] != Level.PARAMETER or not leaves_of[value] or (index, position) in constants:
                continue
            found = _entries_at(value, (index,), (), position, equation, depends)
            if isinstance(found, str):
                direct_at.append((index, position))
                reasons.setdefault(value, []).append(found)
            else:
                entries.extend(found)
    size = sum(
        size_of(v) * v.aval.dtype.itemsize
        for equation in jaxpr.jaxpr.eqns for v in equation.outvars if level(levels, v) == Level.EXAMPLE
    )  # fmt: skip
    groups = _groups(
        jaxpr,
        leaves_of,
        entries,
        reasons,
        [jaxpr.jaxpr.eqns[e].invars[p] for e, p in constants],
        size,
        count,
        centred,
    )
    large = {v for group in groups if group.form == "fallback" for v in group.values}
    kept = [v for v in reasons if v not in large]
    sites = frozenset((e, p) for e, p in direct_at if jaxpr.jaxpr.eqns[e].invars[p] in kept)
    own = tuple(entry for entry in entries if entry.value not in large)
    return Plan(jaxpr, levels, count, own, tuple(kept), sites, tuple(constants), tuple(groups), size, centred)


def _differentiable(leaf: Any) -> bool:
    return bool(jnp.issubdtype(jnp.asarray(leaf).dtype if not hasattr(leaf, "dtype") else leaf.dtype, jnp.inexact))


def _leaves_of(jaxpr: core.ClosedJaxpr, levels: dict[Any, Level], count: int) -> dict[Any, frozenset[int]]:
    """For every value of parameters alone, the leaves it is differentiable in."""
    found: dict[Any, frozenset[int]] = {}
    for i, v in enumerate(jaxpr.jaxpr.invars[:count]):
        found[v] = frozenset({i}) if levels[v] == Level.PARAMETER else frozenset()
    for equation in jaxpr.jaxpr.eqns:
        stops = operation(equation) == "stop_gradient"
        union = frozenset().union(*(found.get(v, frozenset()) for v in equation.invars if not is_literal(v)))
        for v in equation.outvars:
            if levels[v] == Level.PARAMETER:
                found[v] = union if not stops and jnp.issubdtype(v.aval.dtype, jnp.inexact) else frozenset()
    return found


def _entries_at(
    value: Any, path: tuple[int, ...], loops: tuple[Loop, ...], position: int, equation: Any, depends: Sequence[Level]
) -> list[Entry] | str:
    """The entries through which V acts in an equation; if autodiff must take it as it is, what is not known ("": all is)."""
    mixed = any(  # a real parameter and a complex example: autodiff knows how to take the real part
        jnp.issubdtype(v.aval.dtype, jnp.complexfloating) != jnp.issubdtype(value.aval.dtype, jnp.complexfloating)
        for v in equation.outvars
    )
    for kind in KINDS:
        if not mixed and kind.accepts(equation, position, depends):
            return [kind(value, path, position, loops, equation)]
    scan = if_read(scan_of, equation)
    if scan is None:
        return unread(equation)
    if scan.carry.start <= position < scan.carry.stop:
        return ""
    body = scan.body
    inside = levels_of(body, body_levels(scan, depends))
    mine = body.jaxpr.invars[position]
    loop = Loop(scan.length, position >= scan.sequences.start)
    found: list[Entry] = []
    for index, step in enumerate(body.jaxpr.eqns):
        for place, v in enumerate(step.invars):
            if v is not mine:
                continue
            deeper = _entries_at(
                value, (*path, index), (*loops, loop), place, step, [level(inside, x) for x in step.invars]
            )
            if isinstance(deeper, str):
                return deeper
            found.extend(deeper)
    return "" if any(v is mine for v in body.jaxpr.outvars) else found


def _constant_terms(
    jaxpr: core.ClosedJaxpr, levels: dict[Any, Level], leaves_of: dict[Any, frozenset[int]]
) -> list[tuple[int, int]]:
    """Terms of the loss in parameters alone: added in its last lines, where every derivative is a constant."""
    users: dict[Any, list[int]] = {}
    for index, equation in enumerate(jaxpr.jaxpr.eqns):
        for v in equation.invars:
            if not is_literal(v):
                users.setdefault(v, []).append(index)
    tail: set[int] = set()
    terms = []
    output = jaxpr.jaxpr.outvars[0]
    for index in reversed(range(len(jaxpr.jaxpr.eqns))):
        equation = jaxpr.jaxpr.eqns[index]
        depends = [level(levels, v) for v in equation.invars]
        (out, *more) = equation.outvars or [None]
        used = users.get(out, [])
        if more or not (used or out is output) or not all(user in tail for user in used):
            continue
        if max(depends, default=Level.CONSTANT) != Level.EXAMPLE:
            continue
        if not keeps_terms(equation, [d == Level.CONSTANT for d in depends]):
            continue
        tail.add(index)
        terms += [
            (index, place) for place, v in enumerate(equation.invars)
            if depends[place] == Level.PARAMETER and leaves_of[v] and operation(equation) in SUMS
        ]  # fmt: skip
    return terms


def _groups(
    jaxpr: core.ClosedJaxpr, leaves_of: dict[Any, frozenset[int]], entries: list[Entry],
    reasons: dict[Any, list[str]], constants: list[Any], activation_bytes: int, count: int, centred: bool,
) -> list[Group]:  # fmt: skip
    """Connect leaves that share a value, and choose the form of each connected set."""
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
    constant_leaves = frozenset().union(*(leaves_of[v] for v in constants))
    result = []
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
        form, why = _form(
            own,
            taken,
            mine,
            len(leaves) == 1 and all(v in aliases for v in mine),
            activation_bytes,
            centred,
        )
        result.append(Group(leaves, mine, form, why))
    return result


def _form(
    entries: list[Entry],
    direct: dict[Any, list[str]],
    values: tuple[Any, ...],
    alias: bool,
    activation_bytes: int,
    centred: bool,
) -> tuple[str, str]:
    """The form of a group, and the reason in words."""
    names = ", ".join(dict.fromkeys(_describe(entry) for entry in entries))
    unknown = ", ".join(dict.fromkeys(why for v in direct for why in direct[v] if why))
    fallen = f"falls back on autodiff: {unknown}" if unknown else ""
    size = sum(size_of(v) * v.aval.dtype.itemsize for v in direct)
    if size > max(activation_bytes, 2**16):
        words = f"{size:,} bytes an example where nothing is known of the operation"
        return "fallback", f"{words}; {fallen}" if fallen else words
    if not entries:
        return "direct", fallen or "elementwise or small"
    first = entries[0]
    same = len(values) == 1 and not direct and all(_kind(entry) == _kind(first) for entry in entries)
    if not (alias and same):
        return "materialised", "; ".join(
            filter(None, (names, "several values of it" if alias else "through a function of it", fallen))
        )
    rows = sum(entry.rows for entry in entries)
    if first.kind == "lookup":
        return "lookup", names
    if rows == 1:
        return "outer", names
    if (
        not centred
        and rows * rows * (first.contracted + first.free) < MATERIALISE_COST * first.contracted * first.free
        and first.kind == "matrix product"
    ):
        return "gram", f"{names}, {rows} rows"
    return "materialised", f"{names}, {rows} rows"


def _kind(entry: Entry) -> Any:
    """Entries that agree in this have products that add up row by row."""
    mapped = tuple(loop.length for loop in entry.loops if loop.mapped)
    return entry.kind, entry.layout, mapped, entry.groups, entry.contracted, entry.free


def _describe(entry: Entry) -> str:
    scans = "".join(f", {'stacked' if loop.mapped else 'repeated'} {loop.length} times" for loop in entry.loops)
    return entry.kind + scans


def _aliases(jaxpr: core.ClosedJaxpr, count: int) -> set[Any]:
    """Values that are one leaf with its entries rearranged."""
    found = set(jaxpr.jaxpr.invars[:count])
    for equation in jaxpr.jaxpr.eqns:
        moves = operation(equation) in REARRANGED or (
            if_read(broadcast_axes_of, equation) is not None
            and size_of(equation.outvars[0]) == size_of(equation.invars[0])
        )
        moves = moves and all(jnp.issubdtype(v.aval.dtype, jnp.floating) for v in equation.outvars)
        if moves and any(v in found for v in equation.invars if not is_literal(v)):
            found.update(equation.outvars)
    return found
