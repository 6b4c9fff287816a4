"""The loss as one flat jaxpr, in which parameters meet examples at the top level or as inputs of a scan.

Two rewritings, both exact: calls (``jit``, ``checkpoint``) are inlined, and what a scan's body computes from parameters
alone is computed before the scan, for every iteration at once where it differs between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import jax
from jax.extend import core

from linvar.numeric.gradients.per_example.evaluation import bind, evaluate, is_literal, read, variables
from linvar.numeric.gradients.per_example.jaxprs import Scan, call_of, if_read, scan_of


class Level(IntEnum):
    """What a value depends on."""

    CONSTANT = 0
    PARAMETER = 1  # parameters, and no example
    EXAMPLE = 2


def flatten(jaxpr: core.ClosedJaxpr, levels: Sequence[Level]) -> core.ClosedJaxpr:
    """The same function with calls inlined and parameter-only work moved out of scans.

    Args:
        jaxpr: any closed jaxpr.
        levels: what each of its inputs depends on.
    """

    def function(*args: Any) -> list[Any]:
        return _rewrite(jaxpr, args, levels)[0]

    arguments = [
        jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype, weak_type=v.aval.weak_type) for v in jaxpr.jaxpr.invars
    ]
    return jax.make_jaxpr(function)(*arguments)


def levels_of(jaxpr: core.ClosedJaxpr, inputs: Sequence[Level]) -> dict[Any, Level]:
    """What every variable depends on; an equation's outputs depend on all that its inputs do."""
    found = dict.fromkeys(jaxpr.jaxpr.constvars, Level.CONSTANT) | dict(zip(jaxpr.jaxpr.invars, inputs))
    for equation in jaxpr.jaxpr.eqns:
        found.update(dict.fromkeys(equation.outvars, equation_level(found, equation)))
    return found


def level(found: dict[Any, Level], value: Any) -> Level:
    """The level of a variable or a literal."""
    return Level.CONSTANT if is_literal(value) else found[value]


def equation_level(found: dict[Any, Level], equation: Any) -> Level:
    """The highest level among an equation's inputs."""
    return max((level(found, v) for v in equation.invars), default=Level.CONSTANT)


def body_levels(loop: Scan, inputs: Sequence[Level]) -> list[Level]:
    """Levels of the inputs of a scan's body: what is carried depends on the example."""
    return [*inputs[loop.constants], *[Level.EXAMPLE] * len(inputs[loop.carry]), *inputs[loop.sequences]]


def _rewrite(jaxpr: core.ClosedJaxpr, args: Sequence[Any], levels: Sequence[Level]) -> tuple[list[Any], list[Level]]:
    """Evaluate under a trace, rewriting as it goes; the outputs and their levels."""
    values = dict(zip(jaxpr.jaxpr.constvars, jaxpr.consts)) | dict(zip(jaxpr.jaxpr.invars, args))
    found = dict.fromkeys(jaxpr.jaxpr.constvars, Level.CONSTANT) | dict(zip(jaxpr.jaxpr.invars, levels))
    for equation in jaxpr.jaxpr.eqns:
        inputs = [read(values, v) for v in equation.invars]
        depends = [level(found, v) for v in equation.invars]
        highest = max(depends, default=Level.CONSTANT)
        outputs_depend = [highest] * len(equation.outvars)
        called, loop = if_read(call_of, equation), if_read(scan_of, equation)
        if called is not None:
            outputs, outputs_depend = _rewrite(called, inputs, depends)
        elif loop is not None and highest == Level.EXAMPLE and Level.PARAMETER in depends:
            outputs = _hoist(loop, inputs, depends)
        else:
            outputs = bind(jaxpr.jaxpr, equation, inputs)
        values.update(zip(equation.outvars, outputs))
        found.update(zip(equation.outvars, outputs_depend))
    return [read(values, v) for v in jaxpr.jaxpr.outvars], [level(found, v) for v in jaxpr.jaxpr.outvars]


def _hoist(loop: Scan, inputs: Sequence[Any], depends: Sequence[Level]) -> list[Any]:
    """A scan whose body only uses parameters' values computed before it."""
    constants, carry, sequences = loop.constants, loop.carry, loop.sequences
    inner = body_levels(loop, depends)
    flat = flatten(loop.body, inner)
    body, invars = flat.jaxpr, flat.jaxpr.invars
    found = levels_of(flat, inner)
    varying = set(invars[sequences])  # differ between iterations
    for step in body.eqns:
        if any(v in varying for v in variables(step.invars)):
            varying.update(step.outvars)

    def before(step: Any, changes: bool) -> bool:
        return equation_level(found, step) < Level.EXAMPLE and any(v in varying for v in step.outvars) == changes

    made = {v for step in body.eqns for v in step.outvars if found[v] == Level.PARAMETER}
    users = [step.invars for step in body.eqns if equation_level(found, step) == Level.EXAMPLE]
    needed = [v for v in dict.fromkeys(variables([v for atoms in (*users, body.outvars) for v in atoms])) if v in made]
    fixed = dict(zip(body.constvars, flat.consts)) | dict(zip(invars[constants], inputs[constants]))
    evaluate(body, fixed, lambda step: before(step, changes=False))
    moving = [v for v in needed if v in varying]

    def one_iteration(*slices: Any) -> list[Any]:
        values = fixed | dict(zip(invars[sequences], slices))
        evaluate(body, values, lambda step: before(step, changes=True))
        return [values[v] for v in moving]

    below = [v for v in invars[sequences] if found[v] < Level.EXAMPLE]
    rows = [x for v, x in zip(invars[sequences], inputs[sequences]) if found[v] < Level.EXAMPLE]

    def hoisted(*slices: Any) -> list[Any]:
        given = dict(zip(below, slices))
        return one_iteration(*[given.get(v) for v in invars[sequences]])

    moved = jax.vmap(hoisted)(*rows) if moving else []

    def step_function(carried: Any, slices: Any) -> tuple[list[Any], list[Any]]:
        own, extra = slices
        values = (
            fixed | dict(zip(invars[carry], carried)) | dict(zip(invars[sequences], own)) | dict(zip(moving, extra))
        )
        evaluate(body, values, lambda step: equation_level(found, step) != Level.PARAMETER)
        outputs = [read(values, v) for v in body.outvars]
        return outputs[: len(carried)], outputs[len(carried) :]

    last, stacked = loop.run(step_function, list(inputs[carry]), (list(inputs[sequences]), moved))
    return [*last, *stacked]
