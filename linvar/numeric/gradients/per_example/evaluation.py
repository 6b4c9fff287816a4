"""Running a jaxpr equation by equation: its values, and what its variables are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jax.extend import core


def shape_of(v: Any) -> tuple[int, ...]:
    """Of a variable or a literal."""
    return tuple(v.aval.shape)


def size_of(v: Any) -> int:
    """Numbers in a variable or a literal."""
    return math.prod(v.aval.shape)


def is_literal(atom: Any) -> bool:
    """Is this a number written into the program?"""
    return isinstance(atom, core.Literal)


def variables(values: Sequence[Any]) -> Iterator[Any]:
    """The variables among variables and literals."""
    return (value for value in values if not is_literal(value))


def read(values: dict[Any, Any], atom: Any) -> Any:
    """The value of a variable or a literal."""
    return atom.val if is_literal(atom) else values[atom]


def _dropped(variable: Any) -> bool:
    """Is this output used nowhere? (Its class has no public name in every version of JAX.)"""
    return type(variable).__name__ == "DropVar"


def bind(jaxpr: core.Jaxpr, equation: Any, arguments: Sequence[Any]) -> list[Any]:
    """The outputs of one equation, whatever its primitive, on these inputs."""
    inputs = list(dict.fromkeys(variables(equation.invars)))
    outputs = [v for v in equation.outvars if not _dropped(v)]
    one = jaxpr.replace(constvars=[], invars=inputs, outvars=outputs, eqns=[equation], effects=equation.effects)
    by_variable = {v: a for v, a in zip(equation.invars, arguments) if not is_literal(v)}
    results = iter(core.jaxpr_as_fun(core.ClosedJaxpr(one, ()))(*(by_variable[v] for v in inputs)))
    return [None if _dropped(v) else next(results) for v in equation.outvars]


def evaluate(jaxpr: core.Jaxpr, values: dict[Any, Any], chosen: Callable[[Any], bool]) -> None:
    """Run the chosen equations in order, reading and writing ``values``."""
    for equation in jaxpr.eqns:
        if chosen(equation):
            values.update(zip(equation.outvars, bind(jaxpr, equation, [read(values, v) for v in equation.invars])))
