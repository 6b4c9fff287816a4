"""Running a jaxpr equation by equation: its values, and what its variables are."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias, TypeGuard, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core
from jax.typing import ArrayLike

from linvar.numeric.gradients.per_example.jaxprs import has_own_jvp, has_own_vjp
from linvar.numeric.gradients.per_example.meshes import zeros_of

#: What an equation reads: a variable, or a number written into the program.
Atom: TypeAlias = core.Var | core.Literal
#: The values of a program's variables while it runs.
Values: TypeAlias = dict[core.Var, ArrayLike]


def aval_of(atom: Atom) -> jax.core.ShapedArray:
    """Shape and type of a variable or a literal, all of which are arrays here: JAX declares only the base class."""
    return cast(jax.core.ShapedArray, atom.aval)


def shape_of(atom: Atom) -> tuple[int, ...]:
    """Of a variable or a literal."""
    return tuple(aval_of(atom).shape)


def size_of(atom: Atom) -> int:
    """Numbers in a variable or a literal."""
    return math.prod(shape_of(atom))


def bytes_of(atom: Atom) -> int:
    """Memory of a variable or a literal."""
    return size_of(atom) * int(aval_of(atom).dtype.itemsize)


def is_floating(atom: Atom) -> bool:
    """Are these real numbers?"""
    return bool(jnp.issubdtype(aval_of(atom).dtype, jnp.floating))


def is_complex(atom: Atom) -> bool:
    """Are these complex numbers?"""
    return bool(jnp.issubdtype(aval_of(atom).dtype, jnp.complexfloating))


def is_inexact(atom: Atom) -> bool:
    """Are these real or complex numbers, in which one can differentiate?"""
    return bool(jnp.issubdtype(aval_of(atom).dtype, jnp.inexact))


def zeros_like(atom: Atom, *leading: int) -> jax.Array:
    """Zeros of this shape and type, after leading axes."""
    return zeros_of(aval_of(atom), (*leading, *shape_of(atom)))


def is_variable(atom: Atom) -> TypeGuard[core.Var]:
    """Is this not a number written into the program?"""
    return not isinstance(atom, core.Literal)


def variables(atoms: Sequence[Atom]) -> Iterator[core.Var]:
    """The variables among variables and literals."""
    return (atom for atom in atoms if is_variable(atom))


def read(values: Values, atom: Atom) -> ArrayLike:
    """The value of a variable or a literal."""
    return atom.val if isinstance(atom, core.Literal) else values[atom]


def outputs_of(program: core.Jaxpr, values: Values) -> list[ArrayLike]:
    """What a program returns, a number written into it in its own type."""
    outputs: list[Atom] = program.outvars
    typed = (read(values, v) if is_variable(v) else jnp.asarray(read(values, v), aval_of(v).dtype) for v in outputs)
    return list(typed)


def _dropped(variable: core.Var) -> bool:
    """Is this output used nowhere? (Its class has no public name in every version of JAX.)"""
    return type(variable).__name__ == "DropVar"


def bind(jaxpr: core.Jaxpr, equation: core.JaxprEqn, arguments: Sequence[ArrayLike]) -> dict[core.Var, jax.Array]:
    """The outputs of one equation, whatever its primitive, on these inputs; those used nowhere are left out."""
    inputs = list(dict.fromkeys(variables(equation.invars)))
    outputs = [v for v in equation.outvars if not _dropped(v)]
    one = jaxpr.replace(constvars=[], invars=inputs, outvars=outputs, eqns=[equation], effects=equation.effects)
    if has_own_jvp(equation) or has_own_vjp(equation):
        arguments = [_concrete(a) for a in arguments]
    by_variable = {v: a for v, a in zip(equation.invars, arguments) if is_variable(v)}
    results = core.jaxpr_as_fun(core.ClosedJaxpr(one, ()))(*(by_variable[v] for v in inputs))
    return dict(zip(outputs, results))


def _concrete(value: ArrayLike) -> ArrayLike:
    """A constant as the derivative that a user wrote expects it: JAX keeps those of a program as NumPy's, which a traced index
    cannot enter; as an array of JAX, not traced, it takes both that and Python's ``float``."""
    if isinstance(value, jax.Array):
        return value
    with jax.ensure_compile_time_eval():
        return jnp.asarray(value)


def evaluate(jaxpr: core.Jaxpr, values: Values, chosen: Callable[[core.JaxprEqn], bool]) -> None:
    """Run the chosen equations in order, reading and writing ``values``."""
    for equation in jaxpr.eqns:
        if chosen(equation):
            values.update(bind(jaxpr, equation, [read(values, v) for v in equation.invars]))


def constant_of(program: core.ClosedJaxpr, atom: Atom) -> np.ndarray | None:
    """A value that depends on no input of a program, computed while it is traced; None if it does."""
    needed, chosen = set(variables([atom])), []
    for equation in reversed(program.jaxpr.eqns):
        if not needed.isdisjoint(equation.outvars):
            needed.update(variables(equation.invars))
            chosen.append(equation)
    constants = dict(zip(program.jaxpr.constvars, program.consts))
    if not needed.isdisjoint(program.jaxpr.invars) or any(
        isinstance(constants.get(v), jax.core.Tracer) for v in needed
    ):
        return None

    def function() -> ArrayLike:
        values: Values = dict(constants)
        for equation in reversed(chosen):
            values.update(bind(program.jaxpr, equation, [read(values, v) for v in equation.invars]))
        return read(values, atom)

    return computed(function)


def computed(function: Callable[..., ArrayLike], *arrays: np.ndarray) -> np.ndarray:
    """What a function gives, now, also while something else is traced: compiled at once, as no operation by itself is."""
    return np.asarray(jax.jit(function).lower(*arrays).compile()(*arrays))
