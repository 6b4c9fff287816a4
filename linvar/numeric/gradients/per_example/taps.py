"""One pass: the inputs h of every entry, and the cotangents delta at its output, of all examples.

Zeros are added to the output of every entry, and to every value taken as it is; the loss is differentiated with respect
to these zeros alone, so that no weight gradient is formed here. Each example's cotangents are those of ITS loss: nothing
is divided by the number of examples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.typing import ArrayLike

from linvar.numeric.gradients.per_example.analysis import Analysis
from linvar.numeric.gradients.per_example.entries import Entry
from linvar.numeric.gradients.per_example.evaluation import (
    Values,
    bind,
    outputs_of,
    read,
    zeros_like,
)
from linvar.numeric.gradients.per_example.flattening import Level, body_levels, level, levels_of
from linvar.numeric.gradients.per_example.jaxprs import Scan, branches_of, has_own_backward, if_read, scan_of
from linvar.numeric.gradients.per_example.meshes import Types, zeros_as, zeros_of

#: Taps of one example or of all: one an entry, one a value taken as it is.
Taps: TypeAlias = tuple[list[jax.Array], list[jax.Array]]
#: What entries read, by their numbers.
Kept: TypeAlias = dict[int, ArrayLike]


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["losses", "inputs", "cotangents", "direct", "constants"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Pass:
    """What one pass leaves: arrays with the examples first.

    Attributes:
        losses: (n,).
        inputs: h of every entry, as the equation met it.
        cotangents: delta of every entry.
        direct: d loss_i / d V of every value taken as it is.
        constants: SUM over the examples of the derivative by every constant term (no example axis).
    """

    losses: jax.Array
    inputs: list[jax.Array]
    cotangents: list[jax.Array]
    direct: list[jax.Array]
    constants: list[jax.Array]


@dataclass(frozen=True)
class _Tapped:
    """An entry in a program or in a body that it repeats: its number, and the tap at its output."""

    number: int
    entry: Entry
    tap: jax.Array


def run_pass(analysis: Analysis, leaves: Sequence[jax.Array], examples: Sequence[jax.Array]) -> Pass:
    """Forward and backward, once.

    Args:
        analysis: of this loss.
        leaves: of the parameters.
        examples: the batch's arrays, examples first.
    """
    (count,) = {x.shape[0] for x in examples}
    types = Types.declared(analysis.jaxpr.jaxpr)
    with types.explicit():
        leaves = types.entering(leaves)
        examples = types.entering(examples, len(leaves), lead=1)
        entries = [zeros_of(entry.like, (count, *entry.tap_shape), entry.local_tap.dtype) for entry in analysis.entries]
        own: Taps = (entries, [zeros_like(v, count) for v in analysis.direct])
        shared = [zeros_like(analysis.constant_value(i)) for i in range(len(analysis.constants))]

        def tapped(taps: Taps, common: list[jax.Array]) -> tuple[jax.Array, list[jax.Array]]:
            def one(tap: Taps, example: list[jax.Array]) -> tuple[jax.Array, list[jax.Array]]:
                return _evaluate(analysis, leaves, example, tap, common)

            return jax.vmap(one)(taps, list(examples))

        losses, backward, kept = jax.vjp(tapped, own, shared, has_aux=True)
        (cotangents, direct), constants = backward(jnp.ones_like(losses))
    kept, cotangents, direct, constants = map(types.leaving, (kept, cotangents, direct, constants))
    return Pass(types.leaving([losses])[0], kept, cotangents, direct, constants)


def outlives(analysis: Analysis, leaves: Sequence[jax.Array], examples: Sequence[jax.Array]) -> bool:
    """Does a backward pass of the user's read values of the trace that the program was read off, which has ended?

    It would as a constant of the pass that the program itself does not have.
    """
    if not has_own_backward(analysis.jaxpr.jaxpr):
        return False
    found = jax.make_jaxpr(partial(run_pass, analysis))(leaves, examples).consts
    given = {id(x) for x in (*analysis.jaxpr.consts, *leaves, *examples)}
    return any(isinstance(x, jax.core.Tracer) and id(x) not in given for x in found)


def _evaluate(
    analysis: Analysis,
    leaves: Sequence[jax.Array],
    example: Sequence[jax.Array],
    taps: Taps,
    constants: Sequence[jax.Array],
) -> tuple[jax.Array, list[jax.Array]]:
    """The loss of one example with the taps added, and the inputs of the entries."""
    program: core.Jaxpr = analysis.jaxpr.jaxpr
    values: Values = dict(zip(program.constvars, analysis.jaxpr.consts))
    values.update(zip(program.invars, [*leaves, *example]))
    entries, direct = taps
    changed = {place: constants[i] for i, place in enumerate(analysis.constants)}
    for place in analysis.direct_at:
        changed[place] = direct[analysis.direct.index(analysis.value_at(place))]
    tapped = [_Tapped(i, entry, tap) for i, (entry, tap) in enumerate(zip(analysis.entries, entries))]
    kept: Kept = {}
    for index, equation in enumerate(program.eqns):
        inputs = [read(values, v) for v in equation.invars]
        depends = [level(analysis.parameters.levels, v) for v in equation.invars]
        for position in range(len(inputs)):
            if (index, position) in changed:
                inputs[position] = changed[index, position] + inputs[position]
                depends[position] = Level.EXAMPLE
        here = [one for one in tapped if one.entry.path[0] == index]
        values.update(_apply(program, equation, inputs, depends, here, 1, kept))
    return jnp.asarray(read(values, program.outvars[0])), [jnp.asarray(kept[i]) for i in range(len(entries))]


def _apply(
    jaxpr: core.Jaxpr,
    equation: core.JaxprEqn,
    inputs: list[ArrayLike],
    depends: list[Level],
    here: list[_Tapped],
    nesting: int,
    kept: Kept,
) -> Mapping[core.Var, ArrayLike]:
    """One equation, with the taps that belong to it or to programs inside it; what entries read goes to ``kept``."""
    if not here:
        return bind(jaxpr, equation, inputs)
    loop, branches = if_read(scan_of, equation), if_read(branches_of, equation)
    if loop is not None:
        results, inside = _repeated(loop, inputs, depends, here, nesting)
    elif branches is not None:
        results, inside = _chosen(branches, inputs, depends, here, nesting)
    else:
        entries, taps = [one.entry for one in here], [one.tap for one in here]
        outputs, read_by = entries[0].run(jaxpr, equation, inputs, entries, taps)
        kept.update(zip((one.number for one in here), read_by))
        return outputs
    kept.update(inside)
    return dict(zip(equation.outvars, results))


def _inside(
    body: core.ClosedJaxpr, inputs: Sequence[ArrayLike], depends: Sequence[Level], here: list[_Tapped], nesting: int
) -> tuple[list[ArrayLike], Kept]:
    """The outputs of a program inside an equation, and what its entries read."""
    program: core.Jaxpr = body.jaxpr
    found = levels_of(body, depends)
    values: Values = dict(zip(program.constvars, body.consts)) | dict(zip(program.invars, inputs))
    kept: Kept = {}
    for index, inner in enumerate(program.eqns):
        deeper = [one for one in here if one.entry.path[nesting] == index]
        arguments, levels = [read(values, v) for v in inner.invars], [level(found, v) for v in inner.invars]
        values.update(_apply(program, inner, arguments, levels, deeper, nesting + 1, kept))
    return outputs_of(program, values), kept


def _with_taps(here: list[_Tapped], taps: Mapping[int, jax.Array]) -> list[_Tapped]:
    return [replace(one, tap=taps[one.number]) for one in here]


def _repeated(
    loop: Scan, inputs: list[ArrayLike], depends: list[Level], here: list[_Tapped], nesting: int
) -> tuple[list[ArrayLike], Kept]:
    """A scan: its taps are read row by row, what its entries read is stacked."""

    def iteration(
        carried: list[ArrayLike], slices: tuple[list[ArrayLike], dict[int, jax.Array]]
    ) -> tuple[list[ArrayLike], tuple[list[ArrayLike], Kept]]:
        own, taps = slices
        arguments = [*inputs[loop.constants], *carried, *own]
        outputs, kept = _inside(loop.body, arguments, body_levels(loop, depends), _with_taps(here, taps), nesting)
        return outputs[: len(carried)], (outputs[len(carried) :], kept)

    taps = {one.number: one.tap for one in here}
    last, (stacked, kept) = loop.run(iteration, inputs[loop.carry], (inputs[loop.sequences], taps))
    return [*last, *stacked], kept


def _chosen(
    branches: Sequence[core.ClosedJaxpr],
    inputs: list[ArrayLike],
    depends: list[Level],
    here: list[_Tapped],
    nesting: int,
) -> tuple[list[ArrayLike], Kept]:
    """One of several programs: where it is not taken, its entries read zeros and get no cotangents.

    Where the example chooses, all are run and one is selected, as ``vmap`` does it: operands that are not selected pass
    on no gradient, so that what is not finite in a branch that is not taken stays there. Parameters, which JAX copies for
    every example to do so, stay as they are: nothing is differentiated by them here.
    """
    index, operands = jnp.asarray(inputs[0], jnp.int32), inputs[1:]
    taps = {one.number: one.tap for one in here}

    def run(number: int, operands: list[ArrayLike], taps: dict[int, jax.Array]) -> tuple[list[ArrayLike], Kept]:
        mine = [one for one in here if one.entry.path[nesting] == number]
        return _inside(branches[number], operands, depends[1:], _with_taps(mine, taps), nesting + 1)

    shapes: dict[int, jax.ShapeDtypeStruct] = {}
    for number in range(len(branches)):
        shapes.update(jax.eval_shape(partial(run, number), operands, taps)[1])

    def whole(number: int) -> Callable[[list[ArrayLike], dict[int, jax.Array]], tuple[list[ArrayLike], Kept]]:
        def branch(operands: list[ArrayLike], taps: dict[int, jax.Array]) -> tuple[list[ArrayLike], Kept]:
            outputs, kept = run(number, operands, taps)
            return outputs, {i: jnp.asarray(kept.get(i, zeros_as(s, s.shape, s.dtype))) for i, s in shapes.items()}

        return branch

    if depends[0] < Level.EXAMPLE:
        results: tuple[list[ArrayLike], Kept] = jax.lax.switch(
            index, list(map(whole, range(len(branches)))), operands, taps
        )
        return results
    found = []
    for number in range(len(branches)):
        taken = index == number
        own = [_if_taken(taken, x) if d == Level.EXAMPLE else x for x, d in zip(operands, depends[1:])]
        found.append(whole(number)(own, {i: jnp.asarray(_if_taken(taken, tap)) for i, tap in taps.items()}))
    selected: tuple[list[ArrayLike], Kept] = jax.tree.map(lambda *cases: jax.lax.select_n(index, *cases), *found)
    return selected


def _if_taken(taken: jax.Array, x: ArrayLike) -> ArrayLike:
    """The same value, that passes on a gradient only where its branch is taken."""
    if not jnp.issubdtype(jnp.result_type(x), jnp.inexact):
        return x
    return jnp.where(taken, x, jax.lax.stop_gradient(x))
