"""The loss as one flat jaxpr, in which parameters meet examples at the top level or as inputs of a scan.

Two rewritings, both exact: calls (``jit``, ``checkpoint``) are inlined, and what a scan's body computes from parameters
alone is computed before the scan, for every iteration at once where it differs between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Any

import jax
from jax.extend import core


class Level(IntEnum):
    """What a value depends on."""

    CONSTANT = 0
    PARAMETER = 1  # parameters, and no example
    EXAMPLE = 2


#: operations that are another jaxpr applied, and the name of that parameter
CALLS = {
    "jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr", "remat2": "jaxpr",
    "remat": "jaxpr", "checkpoint": "jaxpr",
}  # fmt: skip


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
    return Level.CONSTANT if isinstance(value, core.Literal) else found[value]


def equation_level(found: dict[Any, Level], equation: Any) -> Level:
    """The highest level among an equation's inputs."""
    return max((level(found, v) for v in equation.invars), default=Level.CONSTANT)


def variables(values: Sequence[Any]) -> Iterator[Any]:
    """The variables among variables and literals."""
    return (value for value in values if not isinstance(value, core.Literal))


def read(values: dict[Any, Any], atom: Any) -> Any:
    """The value of a variable or a literal."""
    return atom.val if isinstance(atom, core.Literal) else values[atom]


def _dropped(variable: Any) -> bool:
    """Is this output used nowhere? (Its class has no public name in every version of JAX.)"""
    return type(variable).__name__ == "DropVar"


def bind(jaxpr: core.Jaxpr, equation: Any, arguments: Sequence[Any]) -> list[Any]:
    """The outputs of one equation, whatever its primitive, on these inputs."""
    inputs = list(dict.fromkeys(variables(equation.invars)))
    outputs = [v for v in equation.outvars if not _dropped(v)]
    one = jaxpr.replace(constvars=[], invars=inputs, outvars=outputs, eqns=[equation], effects=equation.effects)
    by_variable = {v: a for v, a in zip(equation.invars, arguments) if not isinstance(v, core.Literal)}
    results = iter(core.jaxpr_as_fun(core.ClosedJaxpr(one, ()))(*(by_variable[v] for v in inputs)))
    return [None if _dropped(v) else next(results) for v in equation.outvars]


def evaluate(jaxpr: core.Jaxpr, values: dict[Any, Any], chosen: Callable[[Any], bool]) -> None:
    """Run the chosen equations in order, reading and writing ``values``."""
    for equation in jaxpr.eqns:
        if chosen(equation):
            values.update(zip(equation.outvars, bind(jaxpr, equation, [read(values, v) for v in equation.invars])))


def scan_parts(equation: Any) -> tuple[slice, slice, slice]:
    """Where a scan's constants, carry and sequences are among its inputs."""
    constants, carry = equation.params["num_consts"], equation.params["num_carry"]
    return slice(0, constants), slice(constants, constants + carry), slice(constants + carry, None)


def body_levels(equation: Any, inputs: Sequence[Level]) -> list[Level]:
    """Levels of the inputs of a scan's body: what is carried depends on the example."""
    constants, carry, sequences = scan_parts(equation)
    return [*inputs[constants], *[Level.EXAMPLE] * len(inputs[carry]), *inputs[sequences]]


def _rewrite(jaxpr: core.ClosedJaxpr, args: Sequence[Any], levels: Sequence[Level]) -> tuple[list[Any], list[Level]]:
    """Evaluate under a trace, rewriting as it goes; the outputs and their levels."""
    values = dict(zip(jaxpr.jaxpr.constvars, jaxpr.consts)) | dict(zip(jaxpr.jaxpr.invars, args))
    found = dict.fromkeys(jaxpr.jaxpr.constvars, Level.CONSTANT) | dict(zip(jaxpr.jaxpr.invars, levels))
    for equation in jaxpr.jaxpr.eqns:
        inputs = [read(values, v) for v in equation.invars]
        depends = [level(found, v) for v in equation.invars]
        highest = max(depends, default=Level.CONSTANT)
        outputs_depend = [highest] * len(equation.outvars)
        name = equation.primitive.name
        if name in CALLS:
            inner = equation.params[CALLS[name]]
            inner = inner if isinstance(inner, core.ClosedJaxpr) else core.ClosedJaxpr(inner, ())
            outputs, outputs_depend = _rewrite(inner, inputs, depends)
        elif name == "scan" and highest == Level.EXAMPLE and Level.PARAMETER in depends:
            outputs = _hoist(equation, inputs, depends)
        else:
            outputs = bind(jaxpr.jaxpr, equation, inputs)
        values.update(zip(equation.outvars, outputs))
        found.update(zip(equation.outvars, outputs_depend))
    return [read(values, v) for v in jaxpr.jaxpr.outvars], [level(found, v) for v in jaxpr.jaxpr.outvars]


def _hoist(equation: Any, inputs: Sequence[Any], depends: Sequence[Level]) -> list[Any]:
    """A scan whose body only uses parameters' values computed before it."""
    constants, carry, sequences = scan_parts(equation)
    inner = body_levels(equation, depends)
    flat = flatten(equation.params["jaxpr"], inner)
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

    options = {name: equation.params[name] for name in ("length", "reverse", "unroll")}
    last, stacked = jax.lax.scan(step_function, list(inputs[carry]), (list(inputs[sequences]), moved), **options)
    return [*last, *stacked]
