"""Where parameters enter a loss, and how the gradient of every leaf will be computed: read off its jaxpr before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from linvar.errors import InputError, InputTypeError, Words
from linvar.numeric.gradients.per_example.entries import Entry, Loop
from linvar.numeric.gradients.per_example.evaluation import (
    Atom,
    aval_of,
    bytes_of,
    is_complex,
    is_floating,
    is_inexact,
    is_variable,
    shape_of,
    variables,
)
from linvar.numeric.gradients.per_example.flattening import (
    Level,
    Levels,
    LossOfLists,
    body_levels,
    flatten,
    level,
    levels_of,
)
from linvar.numeric.gradients.per_example.groups import Group, LeavesOf, Meeting, Reasons, groups_of
from linvar.numeric.gradients.per_example.jaxprs import (
    branches_of,
    has_own_vjp,
    if_read,
    keeps_terms,
    operation,
    scan_of,
    unread,
)
from linvar.numeric.gradients.per_example.kinds import KINDS
from linvar.numeric.gradients.per_example.kinds.backward import entries_of
from linvar.numeric.gradients.per_example.meshes import Types
from linvar.numeric.gradients.per_example.operations import SUMS
from linvar.numeric.gradients.per_example.paying import FactoredNorms, factored_norms
from linvar.numeric.gradients.per_example.pull import Parameters
from linvar.numeric.gradients.per_example.sinking import sunk
from linvar.numeric.gradients.per_example.views import views_of

#: An input of an equation: the equation's index, and the position among its inputs.
Place: TypeAlias = tuple[int, int]


@dataclass(frozen=True)
class Analysis:
    """The flat jaxpr of the loss of one example, where parameters enter it, and the strategy of every group."""

    parameters: Parameters
    entries: tuple[Entry, ...]
    direct: tuple[core.Var, ...]  # values with a tap of their own
    direct_at: frozenset[Place]  # where that tap is added
    constants: tuple[Place, ...]  # terms that no example changes
    groups: tuple[Group, ...]
    activation_bytes: int  # of all values of one example
    centred: bool

    @property
    def jaxpr(self) -> core.ClosedJaxpr:
        """The program."""
        return self.parameters.jaxpr

    def fallen(self, why: str) -> Analysis:
        """The same, with nothing read off the program: every leaf that it depends on by autodiff of the loss itself."""
        groups = [
            Group((leaf,), (), "none" if group.strategy == "none" else "fallback", why)
            for group in self.groups
            for leaf in group.leaves
        ]
        once = {group.leaves: group for group in groups}
        return replace(self, entries=(), direct=(), direct_at=frozenset(), constants=(), groups=tuple(once.values()))

    def value_at(self, place: Place) -> core.Var:
        """The variable that an equation reads there."""
        return value_at(self.jaxpr, place)

    def constant_value(self, index: int) -> core.Var:
        """The variable of a constant term."""
        return self.value_at(self.constants[index])


def value_at(jaxpr: core.ClosedJaxpr, place: Place) -> core.Var:
    """The variable that an equation reads there."""
    equation, position = place
    (value,) = variables([jaxpr.jaxpr.eqns[equation].invars[position]])
    return value


def analyse(
    loss: LossOfLists,
    leaves: Sequence[jax.Array | np.ndarray | jax.ShapeDtypeStruct],
    example: Sequence[jax.ShapeDtypeStruct],
    *,
    examples: int = 1,
    exact_norms: bool = False,
    centred: bool = False,
) -> Analysis:
    """Read the jaxpr of ``loss(leaves, example)`` and decide.

    Args:
        loss: of flat lists of leaves and of the example's arrays.
        leaves: arrays or shapes.
        example: shapes of ONE example.
        examples: how many there will be.
        exact_norms: the squared norm or the elementwise second moment of every example is wanted, penalties included.
        centred: no strategy that subtracts two large numbers.
    """
    count = len(leaves)
    traced = jax.make_jaxpr(lambda *args: loss(list(args[:count]), list(args[count:])))(*leaves, *example)
    moving = [Level.PARAMETER if jnp.issubdtype(x.dtype, jnp.inexact) else Level.CONSTANT for x in leaves]
    inputs = moving + [Level.EXAMPLE] * len(example)
    jaxpr = sunk(flatten(traced, inputs), inputs, count)
    levels = levels_of(jaxpr, inputs)
    _check_output(jaxpr, levels)
    leaves_of = _leaves_of(jaxpr, levels, count)
    constants = [] if exact_norms else _constant_terms(jaxpr, levels, leaves_of)
    met = _meetings(jaxpr, levels, leaves_of, constants)
    activations = sum(
        bytes_of(v)
        for equation in jaxpr.jaxpr.eqns for v in equation.outvars if level(levels, v) == Level.EXAMPLE
    )  # fmt: skip
    parameters = Parameters(jaxpr, levels, count)

    def factored(own: Sequence[int], values: Sequence[core.Var]) -> FactoredNorms | None:
        if Types.declared(jaxpr.jaxpr).mesh is not None:  # factors have no types that say how they are spread
            return None
        return factored_norms(parameters, own, values, met.entries, list(met.reasons), examples)

    meeting = Meeting(
        leaves_of, met.entries, met.reasons, [value_at(jaxpr, place) for place in constants],
        views_of(jaxpr, levels, count), activations, centred, factored,
    )  # fmt: skip
    groups = groups_of(meeting, count)
    large = {v for group in groups if group.strategy == "fallback" for v in group.values}
    kept = [v for v in met.reasons if v not in large]
    places = frozenset(place for place in met.direct_at if value_at(jaxpr, place) in kept)
    own = tuple(entry for entry in met.entries if entry.value not in large)
    return Analysis(parameters, own, tuple(kept), places, tuple(constants), tuple(groups), activations, centred)


def _check_output(jaxpr: core.ClosedJaxpr, levels: Levels) -> None:
    """One real number, in which the example has a part."""
    outputs: list[Atom] = jaxpr.jaxpr.outvars
    if len(outputs) != 1:
        raise InputError(
            "loss", Words(f"gives {len(outputs)} arrays for one example"), "return one scalar, and nothing beside it"
        )
    (output,) = outputs
    if shape_of(output) != ():
        raise InputError(
            "loss", Words(f"gives an array of shape {shape_of(output)} for one example"), "return a scalar"
        )
    if not is_floating(output):
        raise InputTypeError(
            "loss", Words(f"gives {aval_of(output).dtype} for one example"), "return a floating-point scalar"
        )
    if level(levels, output) < Level.EXAMPLE:
        raise InputError(
            "loss", Words("does not depend on the example"), "its arguments are loss(params, example), in that order"
        )


def _leaves_of(jaxpr: core.ClosedJaxpr, levels: Levels, count: int) -> LeavesOf:
    """For every value of parameters alone, the leaves it is differentiable in."""
    found: dict[core.Var, frozenset[int]] = {}
    for i, v in enumerate(jaxpr.jaxpr.invars[:count]):
        found[v] = frozenset({i}) if levels[v] == Level.PARAMETER else frozenset()
    for equation in jaxpr.jaxpr.eqns:
        stops = operation(equation) == "stop_gradient"
        union: frozenset[int] = frozenset().union(*(found.get(v, frozenset()) for v in variables(equation.invars)))
        for v in equation.outvars:
            if levels[v] == Level.PARAMETER:
                found[v] = union if not stops and is_inexact(v) else frozenset()
    return found


@dataclass(frozen=True)
class _Meetings:
    """Where values of parameters alone meet the example: in entries, or as they are, and why."""

    entries: list[Entry]
    direct_at: list[Place]
    reasons: Reasons


def _meetings(jaxpr: core.ClosedJaxpr, levels: Levels, leaves_of: LeavesOf, constants: Sequence[Place]) -> _Meetings:
    """Every equation whose inputs are both."""
    entries: list[Entry] = []
    direct_at: list[Place] = []
    reasons: dict[core.Var, list[str]] = {}
    moving = _differentiated(jaxpr)
    for index, equation in enumerate(jaxpr.jaxpr.eqns):
        depends = [level(levels, v) for v in equation.invars]
        if max(depends, default=Level.CONSTANT) < Level.EXAMPLE or moving.isdisjoint(equation.outvars):
            continue
        for position, value in enumerate(equation.invars):
            if not is_variable(value) or depends[position] != Level.PARAMETER or not leaves_of[value]:
                continue
            if (index, position) in constants:
                continue
            found = _entries_at(value, (index,), (), position, equation, depends)
            if isinstance(found, str):
                direct_at.append((index, position))
                reasons.setdefault(value, []).append(found)
            else:
                entries.extend(found)
    return _Meetings(entries, direct_at, reasons)


def _differentiated(jaxpr: core.ClosedJaxpr) -> set[core.Var]:
    """Values on a way to the loss that no ``stop_gradient`` cuts: of the others every derivative is zero."""
    found = set(variables(jaxpr.jaxpr.outvars))
    for equation in reversed(jaxpr.jaxpr.eqns):
        if operation(equation) != "stop_gradient" and not found.isdisjoint(equation.outvars):
            found.update(v for v in variables(equation.invars) if is_inexact(v))
    return found


def _entries_at(
    value: core.Var,
    path: tuple[int, ...],
    loops: tuple[Loop, ...],
    position: int,
    equation: core.JaxprEqn,
    depends: Sequence[Level],
) -> list[Entry] | str:
    """The entries through which V acts in an equation; if autodiff must take it as it is, what is not known ("": all is)."""
    # a real parameter and a complex example: autodiff knows how to take the real part
    mixed = any(is_complex(v) != is_complex(value) for v in equation.outvars)
    for kind in KINDS:
        if not mixed and kind.accepts(equation, position, depends):
            return [kind(value, path, position, loops, equation)]
    if has_own_vjp(equation):
        return entries_of(value, path, position, loops, equation)
    scan, branches = if_read(scan_of, equation), if_read(branches_of, equation)
    if branches is not None and position > 0:
        every: list[Entry] = []
        for number, branch in enumerate(branches):
            some = _entries_inside(value, branch, depends[1:], position - 1, (*path, number), loops)
            if isinstance(some, str):
                return some
            every.extend(some)
        return every
    if scan is None:
        return unread(equation)
    if scan.carry.start <= position < scan.carry.stop:
        return ""
    loop = Loop(scan.length, position >= scan.sequences.start)
    return _entries_inside(value, scan.body, body_levels(scan, depends), position, path, (*loops, loop))


def _entries_inside(
    value: core.Var,
    body: core.ClosedJaxpr,
    depends: Sequence[Level],
    position: int,
    path: tuple[int, ...],
    loops: tuple[Loop, ...],
) -> list[Entry] | str:
    """The same of V as an input of a program inside an equation."""
    inside = levels_of(body, depends)
    mine = body.jaxpr.invars[position]
    found: list[Entry] = []
    for index, inner in enumerate(body.jaxpr.eqns):
        for place, v in enumerate(inner.invars):
            if v is not mine:
                continue
            deeper = _entries_at(value, (*path, index), loops, place, inner, [level(inside, x) for x in inner.invars])
            if isinstance(deeper, str):
                return deeper
            found.extend(deeper)
    return "" if any(v is mine for v in body.jaxpr.outvars) else found


def _constant_terms(jaxpr: core.ClosedJaxpr, levels: Levels, leaves_of: LeavesOf) -> list[Place]:
    """Terms of the loss in parameters alone: added in its last lines, where every derivative is a constant."""
    users: dict[core.Var, list[int]] = {}
    for index, equation in enumerate(jaxpr.jaxpr.eqns):
        for v in variables(equation.invars):
            users.setdefault(v, []).append(index)
    tail: set[int] = set()
    terms: list[Place] = []
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
            if is_variable(v) and depends[place] == Level.PARAMETER and leaves_of[v] and operation(equation) in SUMS
        ]  # fmt: skip
    return terms
