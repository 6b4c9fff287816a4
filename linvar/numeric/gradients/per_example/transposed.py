"""The transpose of a function of parameters, done to factors (``factors.py``) instead of to gradients.

Values V of a loss that are functions of its leaves, V = f(leaves), give the gradients J^T dV of the leaves. The program of
J^T, as JAX transposes it, is read equation by equation: what it computes from the leaves alone is computed; what it does to
dV is done to the terms of dV, as far as those operations are known here. What is not raises ``NotFactoredError``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.extend import core

from linvar.numeric.gradients.per_example.composite import WHOLE, Part, Seen, joined
from linvar.numeric.gradients.per_example.evaluation import Atom, Values, bind, is_floating, is_variable, read, shape_of
from linvar.numeric.gradients.per_example.factors import MOST_TERMS, Factor, NotFactoredError, fresh_axes
from linvar.numeric.gradients.per_example.flattening import Level, level, levels_of
from linvar.numeric.gradients.per_example.jaxprs import (
    broadcast_axes_of,
    dot_of,
    operation,
    padding_of,
    permutation_of,
    reduced_axes_of,
    unread,
)
from linvar.numeric.gradients.per_example.operations import RESHAPED, SUMS
from linvar.numeric.gradients.per_example.readers import pieces_of, slice_of

#: A value that is linear in dV: a sum of terms.
Terms: TypeAlias = tuple[Seen, ...]


@dataclass(frozen=True)
class _Repeated:
    """An array without example, as what it repeats along new axes: a vector that scales columns stays a vector."""

    array: jax.Array
    places: tuple[int, ...]


class _Reading:
    """The values of one program so far: those of parameters alone, and the terms of the others."""

    def __init__(self, program: core.Jaxpr, values: Values, terms: dict[core.Var, Terms]) -> None:
        self.program, self.values, self.terms = program, values, terms
        self.repeated: dict[core.Var, _Repeated] = {}

    def of(self, atom: Atom) -> Terms | None:
        """The terms of a value, or None where it is an array."""
        return self.terms.get(atom) if is_variable(atom) else None

    def array(self, atom: Atom) -> jax.Array:
        """A value of parameters alone."""
        return jnp.asarray(read(self.values, atom))

    def factor(self, atom: Atom) -> _Repeated:
        """The same, without what only repeats it."""
        if is_variable(atom) and atom in self.repeated:
            return self.repeated[atom]
        array = self.array(atom)
        return _Repeated(array, tuple(range(array.ndim)))


def transposed(
    program: core.ClosedJaxpr, levels: Sequence[Level], leaves: Sequence[jax.Array], cotangents: Sequence[Terms]
) -> list[Terms | jax.Array]:
    """The terms of every leaf's gradients.

    Args:
        program: (leaves, cotangents) -> cotangents of the leaves, flat (``flattening.flatten``).
        levels: of its inputs: ``PARAMETER`` for leaves, ``EXAMPLE`` for cotangents.
        leaves: arrays.
        cotangents: the terms of every dV.

    Raises:
        NotFactoredError: an operation that is not done to factors.
    """
    flat: core.Jaxpr = program.jaxpr
    found = levels_of(program, levels)
    values: Values = dict(zip(flat.constvars, program.consts)) | dict(zip(flat.invars, leaves))
    reading = _Reading(flat, values, dict(zip(flat.invars[len(leaves) :], cotangents)))
    for equation in flat.eqns:
        if max((level(found, v) for v in equation.invars), default=Level.CONSTANT) < Level.EXAMPLE:
            _shared(reading, equation)
        else:
            reading.terms.update(zip(equation.outvars, _linear(reading, equation), strict=True))
    outputs = []
    for v in flat.outvars:
        terms = reading.of(v)
        outputs.append(reading.array(v) if terms is None else terms)
    return outputs


def _shared(reading: _Reading, equation: core.JaxprEqn) -> None:
    """What no example changes."""
    reading.values.update(bind(reading.program, equation, [read(reading.values, v) for v in equation.invars]))
    if operation(equation) == "broadcast_in_dim" and not unread(equation):
        (source, *_), (out,) = equation.invars, equation.outvars
        before, axes = reading.factor(source), broadcast_axes_of(equation)
        reading.repeated[out] = _Repeated(before.array, tuple(axes[place] for place in before.places))


def _linear(reading: _Reading, equation: core.JaxprEqn) -> list[Terms]:
    """The outputs of one equation of what is linear in dV."""
    name = operation(equation)
    if not all(map(is_floating, equation.outvars)):
        raise NotFactoredError("gradients are complex")
    if name in SUMS:
        return [_sum(reading, equation)]
    if name == "split" and not unread(equation):
        terms = reading.of(equation.invars[0]) or ()
        return [tuple(term.cut(piece) for term in terms) for piece in pieces_of(equation)]
    if name not in _RULES or unread(equation):
        raise NotFactoredError(f"{name} is not done to factors")
    return [_RULES[name](reading, equation)]


def _sum(reading: _Reading, equation: core.JaxprEqn) -> Terms:
    """Terms of both sides; an array in place of one is zero, as everything here is linear."""
    parts = [reading.of(v) or () for v in equation.invars]
    if sum(map(len, parts)) > MOST_TERMS:
        raise NotFactoredError("a sum of many terms")
    signs = [1.0, -1.0 if operation(equation) == "sub" else 1.0]
    return tuple(_scaled(term, jnp.asarray(sign)) for part, sign in zip(parts, signs) for term in part)


def _scaled(term: Seen, number: jax.Array) -> Seen:
    return term.times(number, ())


def _product(reading: _Reading, equation: core.JaxprEqn) -> Terms:
    """Times an array."""
    left, right = equation.invars
    terms, other = (reading.of(left), right) if reading.of(left) is not None else (reading.of(right), left)
    factor = reading.factor(other)
    return tuple(term.times(factor.array, factor.places) for term in terms or ())


def _quotient(reading: _Reading, equation: core.JaxprEqn) -> Terms:
    """Over an array."""
    left, right = equation.invars
    factor = reading.factor(right)
    return tuple(term.times(1 / factor.array, factor.places) for term in reading.of(left) or ())


def _chosen(reading: _Reading, equation: core.JaxprEqn) -> Terms:
    """Where a condition of parameters alone holds; the other cases are zero, as everything here is linear."""
    which, *cases = equation.invars
    condition = reading.factor(which)
    return tuple(
        term.masked(condition.array == case, condition.places)
        for case, v in enumerate(cases)
        for term in reading.of(v) or ()
    )


def _matrix(reading: _Reading, equation: core.JaxprEqn) -> Terms:
    """Times a matrix of parameters: its own axes are new, the contracted ones are summed over."""
    dot = dot_of(equation)
    side = 0 if reading.of(equation.invars[0]) is not None else 1
    matrix = reading.array(equation.invars[1 - side])
    result = []
    for seen in reading.of(equation.invars[side]) or ():
        contracted, batch = dot.contracted[side], dot.batch[side]
        other = dict(zip(dot.contracted[1 - side], contracted)) | dict(zip(dot.batch[1 - side], batch))
        free = [a for a in range(matrix.ndim) if a not in other]
        array, places = seen.split(jnp.transpose(matrix, [*other, *free]), list(other.values()))
        new = fresh_axes(len(free))
        factor = Factor(array, (*(seen.term.axes[i] for i in places), *new))
        mine = [a for a in range(len(seen.runs)) if a not in contracted and a not in batch]
        own = [[seen.part(place) for place in some] for some in (batch, mine, contracted)]
        made = [Part((a,), (matrix.shape[i],), WHOLE) for a, i in zip(new, free)]
        whole = [*own[0], *(own[1] + made if side == 0 else made + own[1]), *own[2]]
        product = joined((*seen.term.factors, factor), whole)
        result.append(product.summed(range(len(whole) - len(contracted), len(whole))))
    return tuple(result)


def _moving(move: Callable[[Seen, core.JaxprEqn], Seen]) -> Callable[[_Reading, core.JaxprEqn], Terms]:
    """An operation of one operand, which is done to every term."""

    def rule(reading: _Reading, equation: core.JaxprEqn) -> Terms:
        return tuple(move(term, equation) for term in reading.of(equation.invars[0]) or ())

    return rule


def _out(equation: core.JaxprEqn) -> tuple[int, ...]:
    return shape_of(equation.outvars[0])


_RULES: Mapping[str, Callable[[_Reading, core.JaxprEqn], Terms]] = {
    "mul": _product,
    "div": _quotient,
    "select_n": _chosen,
    "dot_general": _matrix,
    "neg": _moving(lambda term, _: _scaled(term, jnp.asarray(-1.0))),
    "reduce_sum": _moving(lambda term, equation: term.summed(reduced_axes_of(equation))),
    "transpose": _moving(lambda term, equation: term.moved(permutation_of(equation))),
    "slice": _moving(lambda term, equation: term.cut(slice_of(equation))),
    "pad": _moving(lambda term, equation: term.padded(padding_of(equation))),
    "broadcast_in_dim": _moving(lambda term, equation: term.repeated(_out(equation), broadcast_axes_of(equation))),
    **{name: _moving(lambda term, equation: term.reshaped(_out(equation))) for name in RESHAPED},
}
