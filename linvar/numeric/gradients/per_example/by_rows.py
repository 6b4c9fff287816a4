"""What acts row by row: windows of a value, from the same windows of the values that it is made of.

A value is followed back through the equations that make it, with the axes along which windows of it are wanted. An equation that
acts entry by entry, sums over other axes, multiplies other axes by matrices makes a window of its output from those of its
operands, and so does a function with a derivative of its own if its derivative does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend import core
from jax.typing import ArrayLike

from linvar.numeric.gradients.per_example.evaluation import (
    Values,
    aval_of,
    bind,
    is_floating,
    is_variable,
    read,
    shape_of,
    variables,
)
from linvar.numeric.gradients.per_example.flattening import Level, flatten
from linvar.numeric.gradients.per_example.jaxprs import (
    axis_along_of,
    broadcast_axes_of,
    dot_of,
    has_own_jvp,
    joined_axis_of,
    operation,
    padding_of,
    permutation_of,
    primal_of,
    reduced_axes_of,
    reversed_axes_of,
    unread,
)
from linvar.numeric.gradients.per_example.meshes import shape_like
from linvar.numeric.gradients.per_example.operations import ELEMENTWISE, PLAIN
from linvar.numeric.gradients.per_example.readers import slice_of

#: Axes of a value along which it is looked up: for each, the axis of the table that it is.
Rows: TypeAlias = tuple[tuple[int, int], ...]
#: A value, and how it is looked up.
Part: TypeAlias = tuple[core.Var, Rows]


class NotByRowsError(LookupError):
    """A row of what an equation gives depends on more than that row."""


@dataclass(frozen=True)
class Step:
    """An equation, which windows of its output are made, and of its operands."""

    equation: core.JaxprEqn
    rows: Rows
    own: tuple[Rows, ...]
    deep: bool


@dataclass(frozen=True)
class Back:
    """What makes windows of some values: windows of others, which are taken, and equations that act on them, in order."""

    taken: tuple[Part, ...]
    steps: tuple[Step, ...]

    @property
    def beside(self) -> list[core.Var]:
        """What the equations read that is no window."""
        return [
            v for step in self.steps for v, own in zip(step.equation.invars, step.own) if is_variable(v) and not own
        ]

    def run(
        self, program: core.Jaxpr, found: dict[Part, ArrayLike], values: Values, lengths: Mapping[int, int]
    ) -> None:
        """Every window, from those that are taken."""
        for step in self.steps:
            pairs = zip(step.equation.invars, step.own)
            inputs = [found[v, own] if is_variable(v) and (v, own) in found else read(values, v) for v, own in pairs]
            found[step.equation.outvars[0], step.rows] = _acted(program, step, inputs, lengths)


def traced(makers: Mapping[core.Var, core.JaxprEqn], wanted: Sequence[Part], whole: bool = False) -> Back:
    """Back from some windows to those of values that are not made row by row; ``whole``: to values that are no rows as well."""
    taken: list[Part] = []
    steps: list[Step] = []
    seen: set[Part] = set()

    def visit(part: Part) -> None:
        if part in seen:
            return
        seen.add(part)
        value, rows = part
        equation = makers.get(value)
        try:
            if equation is None or len(equation.outvars) > 1:
                raise NotByRowsError
            own = _rows_of(equation, rows, not whole) if rows else ((),) * len(equation.invars)
        except NotByRowsError:
            taken.append(part)
            return
        for v, mine in zip(equation.invars, own):
            if is_variable(v) and (mine or whole):
                visit((v, mine))
        steps.append(Step(equation, rows, own, not whole))

    for part in wanted:
        visit(part)
    return Back(tuple(taken), tuple(steps))


# what acts row by row


def _rows_of(equation: core.JaxprEqn, rows: Rows, deep: bool = True) -> tuple[Rows, ...]:
    """Of which windows of its operands an equation makes these windows of its output, the same ones for every position in them.

    Raises:
        NotByRowsError: of others too.
    """
    name, out = operation(equation), shape_of(equation.outvars[0])
    along = dict(rows)
    if has_own_jvp(equation):
        return _Own.of(equation, rows, deep).own
    if name in _KNOWN and not unread(equation):
        return tuple(tuple(sorted(own.items())) for own in _KNOWN[name](equation, along))
    shapes = [shape_of(v) for v in equation.invars]
    if name in ELEMENTWISE and name != "sharding_constraint" and all(len(x) in (0, len(out)) for x in shapes):
        # an axis of length one goes with any
        return tuple(tuple((a, key) for a, key in rows if shape and shape[a] == out[a]) for shape in shapes)
    raise NotByRowsError(name)


def _reduced(equation: core.JaxprEqn, along: dict[int, int]) -> list[dict[int, int]]:
    gone = reduced_axes_of(equation)
    left = [a for a in range(len(shape_of(equation.invars[0]))) if a not in gone]
    return [{left[a]: key for a, key in along.items()}]


def _broadcast(equation: core.JaxprEqn, along: dict[int, int]) -> list[dict[int, int]]:
    source, out = shape_of(equation.invars[0]), shape_of(equation.outvars[0])
    own = {p: along[a] for p, a in enumerate(broadcast_axes_of(equation)) if a in along and source[p] == out[a]}
    return [own, *({} for _ in equation.invars[1:])]


def _reshaped(equation: core.JaxprEqn, along: dict[int, int]) -> list[dict[int, int]]:
    """An axis stays one if as many numbers stand before it as did."""
    source, out = shape_of(equation.invars[0]), shape_of(equation.outvars[0])
    before = {math.prod(source[:a]): a for a in range(len(source)) if source[a] > 1}
    own = {before.get(math.prod(out[:a]), -1): key for a, key in along.items()}
    if any(p < 0 or source[p] != out[a] for p, a in zip(own, along)) or len(own) < len(along):
        raise NotByRowsError("reshape")
    return [own]


def _matrix(equation: core.JaxprEqn, along: dict[int, int]) -> list[dict[int, int]]:
    """Axes of the output: of both sides, of the left, of the right."""
    dot = dot_of(equation)
    own: list[dict[int, int]] = []
    first = len(dot.batch[0])
    for side in range(2):
        contracted, batch = dot.contracted[side], dot.batch[side]
        free = [a for a in range(len(shape_of(equation.invars[side]))) if a not in (*contracted, *batch)]
        places = dict(enumerate(batch)) | {first + i: a for i, a in enumerate(free)}
        own.append({places[a]: key for a, key in along.items() if a in places})
        first += len(free)
    return own


def _apart(axis: int, equation: core.JaxprEqn, along: dict[int, int]) -> list[dict[int, int]]:
    """One axis is no row."""
    if axis in along:
        raise NotByRowsError(operation(equation))
    return [along if shape_of(v) else {} for v in equation.invars]


def _cut(equation: core.JaxprEqn, along: dict[int, int]) -> list[dict[int, int]]:
    source, pieces = shape_of(equation.invars[0]), slice_of(equation)
    if any(pieces[a] != slice(0, source[a], 1) for a in along):
        raise NotByRowsError("slice")
    return [along]


def _padded(equation: core.JaxprEqn, along: dict[int, int]) -> list[dict[int, int]]:
    config = padding_of(equation)
    if any(config[a] != (0, 0, 0) for a in along):
        raise NotByRowsError("pad")
    return [along, {}]


def _of_matrices(equation: core.JaxprEqn, along: dict[int, int]) -> list[dict[int, int]]:
    if any(a >= len(shape_of(v)) - 2 for v in equation.invars for a in along):
        raise NotByRowsError(operation(equation))
    return [along for _ in equation.invars]


def _turned(equation: core.JaxprEqn, along: dict[int, int]) -> list[dict[int, int]]:
    if any(a in along for a in reversed_axes_of(equation)):
        raise NotByRowsError("rev")
    return [along]


_KNOWN: Mapping[str, Callable[[core.JaxprEqn, dict[int, int]], list[dict[int, int]]]] = {
    **dict.fromkeys(("reduce_sum", "reduce_max", "reduce_min", "reduce_prod"), _reduced),
    "broadcast_in_dim": _broadcast,
    "transpose": lambda equation, along: [{permutation_of(equation)[a]: key for a, key in along.items()}],
    **dict.fromkeys((*PLAIN, "squeeze"), _reshaped),
    "dot_general": _matrix,
    "concatenate": lambda equation, along: _apart(joined_axis_of(equation), equation, along),
    **{
        name: lambda equation, along: _apart(axis_along_of(equation), equation, along)
        for name in ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")
    },
    "slice": _cut,
    "pad": _padded,
    "rev": _turned,
    "cholesky": _of_matrices,
    "triangular_solve": _of_matrices,
}


class _Own(NamedTuple):
    """A function with a derivative of its own, row by row."""

    program: core.ClosedJaxpr
    value: Back
    own: tuple[Rows, ...]
    tangents: core.ClosedJaxpr | None
    derivative: Back | None

    @classmethod
    def of(cls, equation: core.JaxprEqn, rows: Rows, deep: bool) -> _Own:
        """If its derivative is by rows too (inside of which only values are asked for).

        Raises:
            NotByRowsError: it is not.
        """
        if len(equation.outvars) > 1 or not all(map(is_floating, equation.invars)):
            raise NotByRowsError(operation(equation))
        levels = [Level.EXAMPLE] * len(equation.invars)
        program = flatten(primal_of(equation), levels)
        value = _through(program, rows)
        own = _entering(program, value, program.jaxpr.invars)
        if not deep:
            return cls(program, value, own, None, None)

        def function(*inputs: jax.Array) -> jax.Array:
            return bind(primal_of(equation).jaxpr, equation, inputs)[equation.outvars[0]]

        like = [shape_like(aval_of(v)) for v in equation.invars]
        traced = jax.make_jaxpr(lambda *x: jax.jvp(function, x[: len(like)], x[len(like) :])[1])(*like, *like)
        tangents = flatten(traced, levels * 2)
        derivative = _through(tangents, rows)
        if any(x not in ((), y) for x, y in zip(_entering(tangents, derivative, tangents.jaxpr.invars), own * 2)):
            raise NotByRowsError(operation(equation))
        return cls(program, value, own, tangents, derivative)

    def run(self, rows: Rows, lengths: Mapping[int, int]) -> Callable[..., jax.Array]:
        """The function of windows."""

        def by(program: core.ClosedJaxpr, back: Back, inputs: Sequence[ArrayLike]) -> jax.Array:
            body: core.Jaxpr = program.jaxpr
            values: Values = dict(zip(body.constvars, program.consts)) | dict(zip(body.invars, inputs))
            found: dict[Part, ArrayLike] = {part: values[part[0]] for part in back.taken}
            back.run(body, found, values, lengths)
            (out,) = variables(body.outvars)
            return jnp.asarray(found[out, rows])

        def value(*inputs: jax.Array) -> jax.Array:
            return by(self.program, self.value, inputs)

        if self.tangents is None or self.derivative is None:
            return value
        tangents, derivative = self.tangents, self.derivative
        function = jax.custom_jvp(value)
        function.defjvp(lambda x, t: (value(*x), by(tangents, derivative, [*x, *t])))
        return function


def _through(program: core.ClosedJaxpr, rows: Rows) -> Back:
    """Windows of a program's one output."""
    (out,) = program.jaxpr.outvars
    if not is_variable(out):
        raise NotByRowsError("a number")
    return traced({v: e for e in program.jaxpr.eqns for v in e.outvars}, [(out, rows)], whole=True)


def _entering(program: core.ClosedJaxpr, back: Back, inputs: Sequence[core.Var]) -> tuple[Rows, ...]:
    """Of each input the windows that are taken of it; nothing else may be."""
    taken = dict(back.taken)
    if len(taken) < len(back.taken) or not set(taken) <= set(inputs):
        raise NotByRowsError("a function with a derivative of its own")
    return tuple(taken.get(v, ()) for v in inputs)


def _acted(program: core.Jaxpr, step: Step, inputs: list[ArrayLike], lengths: Mapping[int, int]) -> ArrayLike:
    """An equation on windows, whose lengths stand in for those of the rows in what it says of shapes."""
    equation, along = step.equation, dict(step.rows)
    name, shape = operation(equation), list(shape_of(equation.outvars[0]))
    for axis, key in step.rows:
        shape[axis] = lengths[key]
    if has_own_jvp(equation):
        return _Own.of(equation, step.rows, step.deep).run(step.rows, lengths)(*map(jnp.asarray, inputs))
    if name == "broadcast_in_dim":
        return lax.broadcast_in_dim(jnp.asarray(inputs[0]), shape, broadcast_axes_of(equation))
    if name in PLAIN:
        return jnp.reshape(inputs[0], shape)
    if name == "slice":
        pieces = (slice(None) if a in along else piece for a, piece in enumerate(slice_of(equation)))
        return jnp.asarray(inputs[0])[tuple(pieces)]
    return bind(program, equation, inputs)[equation.outvars[0]]
