"""A function that acts on every row of a table by itself, and is then looked up, acts on the rows that are looked up.

    f(T)[i] = f(T[i])    where row i of f(T) depends on row i of T alone

so that the loss looks up T itself: an example's gradient touches the rows it looked up, and no table is formed of it. What acts
row by row is read off the equations that lead from the leaves to the table: those that act entry by entry, sums over other axes,
products with matrices on other axes. "Row" stands for any windows that a lookup takes (``kinds/lookup.py``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core
from jax.typing import ArrayLike

from linvar.numeric.gradients.per_example.by_rows import Back, Part, traced
from linvar.numeric.gradients.per_example.evaluation import (
    Atom,
    Values,
    aval_of,
    bind,
    is_floating,
    is_variable,
    outputs_of,
    read,
    shape_of,
    variables,
)
from linvar.numeric.gradients.per_example.flattening import Level, Levels, equation_level, level, levels_of
from linvar.numeric.gradients.per_example.jaxprs import (
    operation,
)
from linvar.numeric.gradients.per_example.kinds.lookup import Windows, first_places, windows_of
from linvar.numeric.gradients.per_example.meshes import Types, shape_like
from linvar.numeric.gradients.per_example.readers import fills_nan
from linvar.numeric.gradients.per_example.views import views_of


@dataclass(frozen=True)
class _Sunk:
    """A lookup of a function of the leaves: what is looked up instead, and the equations that act on it."""

    table: Part
    windows: Windows
    back: Back

    @property
    def keyed(self) -> tuple[int, ...]:
        """Axes of the table along which it is looked up; along others only in the end."""
        return tuple(a for a, _ in self.table[1])

    @property
    def reads(self) -> list[Atom]:
        """The values of parameters that it needs."""
        return [*(v for v, _ in self.back.taken), *self.back.beside]


def sunk(jaxpr: core.ClosedJaxpr, inputs: Sequence[Level], count: int) -> core.ClosedJaxpr:
    """The same flat program, with such functions after the lookups.

    Args:
        jaxpr: flat (``flattening.flatten``).
        inputs: what each of its inputs depends on; the first ``count`` are the leaves.
        count: of leaves.
    """
    program: core.Jaxpr = jaxpr.jaxpr
    found = levels_of(jaxpr, inputs)
    looked = [e for e in program.eqns if _looks_up(e, found) and windows_of(e) is not None]
    if not looked or Types.declared(program).mesh is not None:
        return jaxpr
    plans = _plans(jaxpr, found, looked, count)
    if not plans:
        return jaxpr
    needed, chosen = set(variables(program.outvars)), set()
    for equation in reversed(program.eqns):
        if needed.isdisjoint(equation.outvars):
            continue
        chosen.add(id(equation))
        plan = plans.get(id(equation))
        needed.update(variables(equation.invars if plan is None else [*equation.invars[1:], *plan.reads]))

    def function(*arguments: jax.Array) -> list[ArrayLike]:
        values: Values = dict(zip(program.constvars, jaxpr.consts)) | dict(zip(program.invars, arguments))
        for equation in program.eqns:
            if id(equation) not in chosen:
                continue
            plan = plans.get(id(equation))
            if plan is None:
                values.update(bind(program, equation, [read(values, v) for v in equation.invars]))
            else:
                values[equation.outvars[0]] = _looked_up(program, plan, equation, values)
        return outputs_of(program, values)

    return jax.make_jaxpr(function)(*(shape_like(aval_of(v)) for v in program.invars))


def _looks_up(equation: core.JaxprEqn, found: Levels) -> bool:
    """Does it take, of a function of the leaves, what the example says?"""
    if not equation.invars:
        return False
    table, *places = equation.invars
    return (
        is_variable(table)
        and is_floating(table)
        and level(found, table) == Level.PARAMETER
        and any(level(found, v) == Level.EXAMPLE for v in places)
    )


def _plans(jaxpr: core.ClosedJaxpr, found: Levels, looked: Sequence[core.JaxprEqn], count: int) -> Mapping[int, _Sunk]:
    """By the equation's identity: of tables that are only looked up, so that nothing else needs the whole of them."""
    program: core.Jaxpr = jaxpr.jaxpr
    views = views_of(jaxpr, found, count)
    makers = {v: e for e in program.eqns if equation_level(found, e) == Level.PARAMETER for v in e.outvars}
    leaves: dict[core.Var, frozenset[int]] = {v: frozenset({i}) for i, v in enumerate(program.invars[:count])}
    for equation in program.eqns:
        union: frozenset[int] = frozenset().union(*(leaves.get(v, frozenset()) for v in variables(equation.invars)))
        leaves.update(dict.fromkeys(equation.outvars, union))

    def of(atoms: Sequence[core.Var]) -> frozenset[int]:
        return frozenset().union(*(leaves.get(v, frozenset()) for v in atoms))

    plans: dict[int, _Sunk] = {}
    for table in dict.fromkeys(v for e in looked for v in variables(e.invars[:1]) if v in makers and v not in views):
        own: dict[int, _Sunk] = {}
        for equation in program.eqns:
            if table not in equation.invars or equation_level(found, equation) < Level.EXAMPLE:
                continue
            plan = _planned(makers, equation, table)
            if plan is None:
                break
            taken = [v for v, _ in plan.back.taken]
            if not all(v in views or found[v] == Level.CONSTANT for v in taken) or of(taken) & of(plan.back.beside):
                break
            own[id(equation)] = plan
        else:
            plans.update(own)
    return plans


def _planned(makers: Mapping[core.Var, core.JaxprEqn], equation: core.JaxprEqn, table: core.Var) -> _Sunk | None:
    """Along all axes along which it is looked up, or those along which all that is taken can be taken in one way."""
    windows = windows_of(equation)
    if windows is None or table in equation.invars[1:] or windows.batch[0] or not windows.countable():
        return None
    several = operation(equation) == "gather"
    if several and fills_nan(equation) is None:
        return None
    keyed, count = windows.keyed, math.prod(shape_of(equation.invars[1])[:-1]) if several else 1
    while count * math.prod(windows.window[a] for a in keyed) < windows.length(keyed):
        start = (table, tuple((a, a) for a in keyed))
        back = traced(makers, [start])
        keys: dict[core.Var, list[set[int]]] = {}
        for v, rows in back.taken:
            keys.setdefault(v, []).append({key for _, key in rows})
        common = [a for a in keyed if all(a in own for every in keys.values() for own in every if len(every) > 1)]
        if len(common) == len(keyed):
            return _Sunk(start, windows, back)
        keyed = tuple(common)
    return None


def _looked_up(program: core.Jaxpr, plan: _Sunk, equation: core.JaxprEqn, values: Values) -> jax.Array:
    """What the lookup gives, from windows of what is taken instead."""
    windows = plan.windows
    lengths = {a: windows.window[a] for a in plan.keyed}
    several = operation(equation) == "gather"
    if several:
        starts = jnp.asarray(read(values, equation.invars[1]))
    else:
        starts = jnp.stack([jnp.asarray(read(values, equation.invars[1 + a])) for a in windows.started], axis=-1)
    first, outside = first_places(starts, windows)

    def one(places: list[jax.Array]) -> jax.Array:
        """A window of the table."""
        start = dict(zip(windows.started, places))  # of all keyed axes
        found: dict[Part, ArrayLike] = {}
        for v, rows in plan.back.taken:
            along = dict(rows)
            shape = tuple(lengths[along[a]] if a in along else length for a, length in enumerate(shape_of(v)))
            found[v, rows] = _placed(jnp.asarray(read(values, v)), {a: start[key] for a, key in rows}, shape)
        plan.back.run(program, found, values, lengths)
        result = jnp.asarray(found[plan.table])
        left = {a: place for a, place in start.items() if a not in plan.keyed}
        return _placed(result, left, windows.window) if result.shape != windows.window else result

    if not several:
        return one(first)
    count = starts.ndim - 1
    flat = jax.vmap(one)([x.reshape(-1) for x in first])
    result = flat.reshape(*starts.shape[:-1], *flat.shape[1:])
    fill = fills_nan(equation)
    if not windows.clips:  # NaN, or moved inside without a derivative, as the lookup and its transpose do
        kept = outside.reshape(*outside.shape, *[1] * (result.ndim - count))
        result = jnp.where(kept, jnp.asarray(jnp.nan, result.dtype) if fill else lax.stop_gradient(result), result)
    gone = [count + a for a, to in enumerate(windows.offsets) if to is None]
    result = jnp.squeeze(result, gone)
    rest = [to for to in windows.offsets if to is not None]
    order = [windows.places.index(a) if a in windows.places else count + rest.index(a) for a in range(result.ndim)]
    return jnp.transpose(result, order)


def _placed(array: jax.Array, starts: Mapping[int, jax.Array], shape: tuple[int, ...]) -> jax.Array:
    """A window that starts there, and at the beginning of other axes."""
    zero = jnp.zeros_like(next(iter(starts.values())))
    return lax.dynamic_slice(array, [starts.get(a, zero) for a in range(array.ndim)], shape)
