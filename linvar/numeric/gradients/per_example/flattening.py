"""The loss as one flat jaxpr, in which parameters meet examples at the top level or as inputs of a scan.

Three rewritings, all exact: calls (``jit``, ``checkpoint``) are inlined; what a scan's body computes from parameters alone
is computed before the scan, for every iteration at once where it differs between them; and so is what a branch of a
``cond`` computes from parameters alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.typing import ArrayLike

from linvar.numeric.gradients.per_example.evaluation import (
    Atom,
    Values,
    aval_of,
    bind,
    evaluate,
    is_variable,
    outputs_of,
    read,
    variables,
)
from linvar.numeric.gradients.per_example.jaxprs import Scan, branches_of, call_of, if_read, scan_of
from linvar.numeric.gradients.per_example.meshes import shape_like
from linvar.numeric.gradients.per_example.readers import default_branch


class Level(IntEnum):
    """What a value depends on."""

    CONSTANT = 0
    PARAMETER = 1  # parameters, and no example
    EXAMPLE = 2


#: What every variable depends on.
Levels: TypeAlias = dict[core.Var, Level]
#: A loss of flat lists: of the parameters' leaves and of the arrays of one example, or of a batch.
LossOfLists: TypeAlias = Callable[[Sequence[jax.Array], Sequence[jax.Array]], ArrayLike]


def flatten(jaxpr: core.ClosedJaxpr, levels: Sequence[Level]) -> core.ClosedJaxpr:
    """The same function with calls inlined and parameter-only work moved out of scans.

    Args:
        jaxpr: any closed jaxpr.
        levels: what each of its inputs depends on.
    """

    def function(*args: jax.Array) -> list[ArrayLike]:
        return _rewrite(jaxpr, args, levels)[0]

    return jax.make_jaxpr(function)(*(shape_like(aval_of(v)) for v in jaxpr.jaxpr.invars))


def levels_of(jaxpr: core.ClosedJaxpr, inputs: Sequence[Level]) -> Levels:
    """What every variable depends on; an equation's outputs depend on all that its inputs do."""
    found = dict.fromkeys(jaxpr.jaxpr.constvars, Level.CONSTANT) | dict(zip(jaxpr.jaxpr.invars, inputs))
    for equation in jaxpr.jaxpr.eqns:
        found.update(dict.fromkeys(equation.outvars, equation_level(found, equation)))
    return found


def level(found: Levels, atom: Atom) -> Level:
    """The level of a variable or a literal."""
    return found[atom] if is_variable(atom) else Level.CONSTANT


def equation_level(found: Levels, equation: core.JaxprEqn) -> Level:
    """The highest level among an equation's inputs."""
    return max((level(found, v) for v in equation.invars), default=Level.CONSTANT)


def body_levels(loop: Scan, inputs: Sequence[Level]) -> list[Level]:
    """Levels of the inputs of a scan's body: what is carried depends on the example."""
    return [*inputs[loop.constants], *[Level.EXAMPLE] * len(inputs[loop.carry]), *inputs[loop.sequences]]


def _rewrite(
    jaxpr: core.ClosedJaxpr, args: Sequence[ArrayLike], levels: Sequence[Level]
) -> tuple[list[ArrayLike], list[Level]]:
    """Evaluate under a trace, rewriting as it goes; the outputs and their levels."""
    program: core.Jaxpr = jaxpr.jaxpr
    values: Values = dict(zip(program.constvars, jaxpr.consts)) | dict(zip(program.invars, args))
    found: Levels = dict.fromkeys(program.constvars, Level.CONSTANT) | dict(zip(program.invars, levels))
    for equation in program.eqns:
        inputs = [read(values, v) for v in equation.invars]
        depends = [level(found, v) for v in equation.invars]
        highest = max(depends, default=Level.CONSTANT)
        outputs_depend = [highest] * len(equation.outvars)
        called, loop = if_read(call_of, equation), if_read(scan_of, equation)
        branches = if_read(branches_of, equation)
        meets = highest == Level.EXAMPLE and Level.PARAMETER in depends
        if branches is not None and (one := default_branch(equation)) is not None:
            outputs, outputs_depend = _rewrite(branches[one], inputs[1:], depends[1:])
            values.update(zip(equation.outvars, outputs))
        elif called is not None:
            outputs, outputs_depend = _rewrite(called, inputs, depends)
            values.update(zip(equation.outvars, outputs))
        elif loop is not None and meets:
            values.update(zip(equation.outvars, _hoist(loop, inputs, depends)))
        elif branches is not None and meets:
            index = jnp.asarray(inputs[0], jnp.int32)
            chosen = [_hoist_branch(branch, inputs[1:], depends[1:]) for branch in branches]
            moving = [x for x, depend in zip(inputs[1:], depends[1:]) if depend == Level.EXAMPLE]
            values.update(zip(equation.outvars, jax.lax.switch(index, chosen, moving)))
        else:
            values.update(bind(program, equation, inputs))
        found.update(zip(equation.outvars, outputs_depend))
    return [read(values, v) for v in program.outvars], [level(found, v) for v in program.outvars]


def _hoist_branch(
    branch: core.ClosedJaxpr, inputs: Sequence[ArrayLike], depends: Sequence[Level]
) -> Callable[[Sequence[ArrayLike]], list[ArrayLike]]:
    """A branch that only uses parameters' values computed before it: a function of the inputs that the example enters."""
    flat = flatten(branch, depends)
    body: core.Jaxpr = flat.jaxpr
    found = levels_of(flat, depends)
    moving = [v for v in body.invars if found[v] == Level.EXAMPLE]
    known: Values = dict(zip(body.constvars, flat.consts))
    known.update((v, x) for v, x in zip(body.invars, inputs) if found[v] < Level.EXAMPLE)
    evaluate(body, known, lambda equation: equation_level(found, equation) < Level.EXAMPLE)

    def function(operands: Sequence[ArrayLike]) -> list[ArrayLike]:
        values: Values = known | dict(zip(moving, operands))
        evaluate(body, values, lambda equation: equation_level(found, equation) == Level.EXAMPLE)
        return outputs_of(body, values)

    return function


def _hoist(loop: Scan, inputs: Sequence[ArrayLike], depends: Sequence[Level]) -> list[ArrayLike]:
    """A scan whose body only uses parameters' values computed before it."""
    constants, carry, sequences = loop.constants, loop.carry, loop.sequences
    inner = body_levels(loop, depends)
    flat = flatten(loop.body, inner)
    body: core.Jaxpr = flat.jaxpr
    invars = body.invars
    found = levels_of(flat, inner)
    varying = set(invars[sequences])  # differ between iterations
    for equation in body.eqns:
        if any(v in varying for v in variables(equation.invars)):
            varying.update(equation.outvars)

    def before(equation: core.JaxprEqn, changes: bool) -> bool:
        below = equation_level(found, equation) < Level.EXAMPLE
        return below and any(v in varying for v in equation.outvars) == changes

    made = {v for equation in body.eqns for v in equation.outvars if found[v] == Level.PARAMETER}
    users = [equation.invars for equation in body.eqns if equation_level(found, equation) == Level.EXAMPLE]
    needed = [v for v in dict.fromkeys(variables([v for atoms in (*users, body.outvars) for v in atoms])) if v in made]
    fixed: Values = dict(zip(body.constvars, flat.consts)) | dict(zip(invars[constants], inputs[constants]))
    evaluate(body, fixed, lambda equation: before(equation, changes=False))
    moving = [v for v in needed if v in varying]
    below = [v for v in invars[sequences] if found[v] < Level.EXAMPLE]
    rows = [x for v, x in zip(invars[sequences], inputs[sequences]) if found[v] < Level.EXAMPLE]

    def hoisted(*slices: ArrayLike) -> list[ArrayLike]:
        values = fixed | dict(zip(below, slices))
        evaluate(body, values, lambda equation: before(equation, changes=True))
        return [values[v] for v in moving]

    moved: list[ArrayLike] = jax.vmap(hoisted)(*rows) if moving else []

    def iteration(
        carried: list[ArrayLike], slices: tuple[list[ArrayLike], list[ArrayLike]]
    ) -> tuple[list[ArrayLike], list[ArrayLike]]:
        own, extra = slices
        values = (
            fixed | dict(zip(invars[carry], carried)) | dict(zip(invars[sequences], own)) | dict(zip(moving, extra))
        )
        evaluate(body, values, lambda equation: equation_level(found, equation) != Level.PARAMETER)
        outputs = [read(values, v) for v in body.outvars]
        return outputs[: len(carried)], outputs[len(carried) :]

    last, stacked = loop.run(iteration, list(inputs[carry]), (list(inputs[sequences]), moved))
    return [*last, *stacked]
