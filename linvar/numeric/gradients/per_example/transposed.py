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
import numpy as np
from jax.extend import core

from linvar.numeric.gradients.per_example.composite import WHOLE, Part, Seen, added, joined
from linvar.numeric.gradients.per_example.evaluation import (
    Atom,
    Values,
    aval_of,
    bind,
    constant_of,
    is_floating,
    is_variable,
    read,
    shape_of,
)
from linvar.numeric.gradients.per_example.factors import MOST_TERMS, Factor, NotFactoredError, fresh_axes
from linvar.numeric.gradients.per_example.flattening import Level, flatten, level, levels_of
from linvar.numeric.gradients.per_example.jaxprs import (
    axis_along_of,
    broadcast_axes_of,
    dot_of,
    gather_of,
    joined_axis_of,
    operation,
    padding_of,
    permutation_of,
    reduced_axes_of,
    reversed_axes_of,
    unread,
)
from linvar.numeric.gradients.per_example.operations import RESHAPED, SUMS
from linvar.numeric.gradients.per_example.placing import picked, placed
from linvar.numeric.gradients.per_example.readers import (
    fills_nan,
    from_left,
    pieces_of,
    scatter_of,
    slice_of,
    solve_of,
)

#: A value that is linear in dV: a sum of terms.
Terms: TypeAlias = tuple[Seen, ...]


@dataclass(frozen=True)
class _Repeated:
    """An array without example, as what it repeats along new axes: a vector that scales columns stays a vector."""

    array: jax.Array
    places: tuple[int, ...]


class _Reading:
    """The values of one program so far: those of parameters alone, and the terms of the others."""

    def __init__(self, program: core.ClosedJaxpr, values: Values, terms: dict[core.Var, Terms]) -> None:
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
    reading = _Reading(program, values, dict(zip(flat.invars[len(leaves) :], cotangents)))
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
    reading.values.update(bind(reading.program.jaxpr, equation, [read(reading.values, v) for v in equation.invars]))
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
    if name == "custom_linear_solve":
        return _solved(reading, equation)
    if name not in _RULES or unread(equation):
        raise NotFactoredError(f"{name} is not done to factors")
    return [_RULES[name](reading, equation)]


def _sum(reading: _Reading, equation: core.JaxprEqn) -> Terms:
    """Terms of both sides; an array in place of one is zero, as everything here is linear."""
    parts = [reading.of(v) or () for v in equation.invars]
    signs = [1.0, -1.0 if operation(equation) == "sub" else 1.0]
    return _few([_scaled(term, jnp.asarray(sign)) for part, sign in zip(parts, signs) for term in part])


def _few(terms: Sequence[Seen]) -> Terms:
    """A sum of terms, unless they are many."""
    found = added(terms)
    if len(found) > MOST_TERMS:
        raise NotFactoredError("a sum of many terms")
    return found


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


def _solved(reading: _Reading, equation: core.JaxprEqn) -> list[Terms]:
    """The solution of a linear system of parameters: the program that solves it, done to the right side."""
    solve, count = solve_of(equation), len(equation.outvars)
    if solve is None:
        raise NotFactoredError("a linear system is not done to factors")
    constants, sides = equation.invars[solve.constants], equation.invars[len(equation.invars) - count :]
    levels = [Level.PARAMETER] * len(constants) + [Level.EXAMPLE] * count
    terms = [reading.of(v) or () for v in sides]
    found = transposed(flatten(solve.program, levels), levels, [reading.array(v) for v in constants], terms)
    return [own if isinstance(own, tuple) else () for own in found]


def _triangular(reading: _Reading, equation: core.JaxprEqn) -> Terms:
    """Times the inverse of a triangular matrix."""
    matrix = reading.array(equation.invars[0])
    if matrix.ndim > 2 or reading.of(equation.invars[1]) is None:
        raise NotFactoredError("systems of many matrices are not done to factors")
    eye = jnp.eye(len(matrix), dtype=matrix.dtype)
    inverse = bind(reading.program.jaxpr, equation, [matrix, eye])[equation.outvars[0]]
    left = from_left(equation)
    return tuple(
        term.through(0 if left else 1, inverse.T if left else inverse) for term in reading.of(equation.invars[1]) or ()
    )


def _along(reading: _Reading, equation: core.JaxprEqn) -> Terms:
    """A sum along one axis: a matrix, whose rows are what it does to single ones."""
    axis, shape = axis_along_of(equation), [1] * len(_out(equation))
    shape[axis] = length = _out(equation)[axis]
    eye = jnp.eye(length, dtype=aval_of(equation.invars[0]).dtype)

    def of_row(row: jax.Array) -> jax.Array:
        return bind(reading.program.jaxpr, equation, [row.reshape(shape)])[equation.outvars[0]].reshape(length)

    matrix = jax.vmap(of_row)(eye)
    return tuple(term.through(axis, matrix) for term in reading.of(equation.invars[0]) or ())


def _joined(reading: _Reading, equation: core.JaxprEqn) -> Terms:
    """One after another: each between zeros."""
    axis, length, start = joined_axis_of(equation), 0, 0
    length = _out(equation)[axis]
    result: list[Seen] = []
    for v in equation.invars:
        stop = start + shape_of(v)[axis]
        config = [(0, 0, 0)] * len(_out(equation))
        config[axis] = (start, length - stop, 0)
        result += [term.padded(config) for term in reading.of(v) or ()]
        start = stop
    return _few(result)


def _picked(reading: _Reading, equation: core.JaxprEqn) -> Terms:
    """Entries along some axes."""
    gather, index = gather_of(equation), reading.array(equation.invars[1])
    shape, gone = shape_of(equation.invars[0]), gather.collapsed
    whole = all(gather.slice_shape[a] == shape[a] for a in range(len(shape)) if a not in gone)
    if gather.table_batch or not whole or not gone or not set(gone) <= set(gather.indexed):
        raise NotFactoredError("windows are not taken of factors")
    columns = [index[..., gather.indexed.index(a)] for a in gone]
    if not (gather.clips or fills_nan(equation) is False):
        known = constant_of(reading.program, equation.invars[1])
        if known is None or not all(
            np.all((known[..., gather.indexed.index(a)] >= 0) & (known[..., gather.indexed.index(a)] < shape[a]))
            for a in gone
        ):
            raise NotFactoredError("it takes entries that may be outside")
    at = [jnp.clip(column, 0, shape[a] - 1) for column, a in zip(columns, gone)]
    first, out = columns[0].ndim, range(len(_out(equation)))
    places = [a for a in out if a not in gather.offset_axes]
    order = [places.index(a) if a in places else first + gather.offset_axes.index(a) for a in out]
    return tuple(picked(term, gone, at).moved(order) for term in reading.of(equation.invars[0]) or ())


def _put(reading: _Reading, equation: core.JaxprEqn) -> Terms:
    """Entries added at places that are known."""
    scatter, (operand, at, updates) = scatter_of(equation), equation.invars
    index, shape = constant_of(reading.program, at), _out(equation)
    axes = range(len(shape_of(updates)))
    kept = [a for a in range(len(shape)) if a not in scatter.inserted]
    whole = [shape_of(updates)[a] for a in scatter.window_axes] == [shape[a] for a in kept]
    if index is None or scatter.operand_batch or not whole or set(scatter.inserted) != set(scatter.indexed):
        raise NotFactoredError("it adds at places that are not known")
    if operation(equation) != "scatter-add":
        raise NotFactoredError(f"{operation(equation)} is not done to factors")
    places, lengths = [a for a in axes if a not in scatter.window_axes], [shape[a] for a in scatter.indexed]
    order = [
        scatter.indexed.index(a) if a in scatter.indexed else len(lengths) + kept.index(a) for a in range(len(shape))
    ]
    terms = [placed(term, places, index, lengths).moved(order) for term in reading.of(updates) or ()]
    return _few([*(reading.of(operand) or ()), *terms])


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
    "triangular_solve": _triangular,
    "cumsum": _along,
    "concatenate": _joined,
    "gather": _picked,
    "scatter-add": _put,
    "rev": _moving(lambda term, equation: term.reversed(reversed_axes_of(equation))),
    "neg": _moving(lambda term, _: _scaled(term, jnp.asarray(-1.0))),
    "reduce_sum": _moving(lambda term, equation: term.summed(reduced_axes_of(equation))),
    "transpose": _moving(lambda term, equation: term.moved(permutation_of(equation))),
    "slice": _moving(lambda term, equation: term.cut(slice_of(equation))),
    "pad": _moving(lambda term, equation: term.padded(padding_of(equation))),
    "broadcast_in_dim": _moving(lambda term, equation: term.repeated(_out(equation), broadcast_axes_of(equation))),
    **{name: _moving(lambda term, equation: term.reshaped(_out(equation))) for name in RESHAPED},
}
