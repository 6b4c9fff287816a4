"""One pass: the inputs h of every entry, and the cotangents delta at its output, of all examples.

Zeros are added to the output of every entry, and to every value taken as it is; the loss is differentiated with respect
to these zeros alone, so that no weight gradient is formed here. Each example's cotangents are those of ITS loss: nothing
is divided by the number of examples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.typing import ArrayLike

from linvar.numeric.gradients.per_example.analysis import Analysis
from linvar.numeric.gradients.per_example.entries import Entry
from linvar.numeric.gradients.per_example.evaluation import Values, aval_of, bind, evaluate, read, zeros_like
from linvar.numeric.gradients.per_example.flattening import Level, equation_level
from linvar.numeric.gradients.per_example.jaxprs import if_read, scan_of
from linvar.numeric.gradients.per_example.meshes import Types, zeros_of

#: Taps of one example or of all: one an entry, one a value taken as it is.
Taps: TypeAlias = tuple[list[jax.Array], list[jax.Array]]


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
        outputs = [aval_of(entry.equation.outvars[0]) for entry in analysis.entries]
        entries = [zeros_of(aval, (count, *entry.tap_shape)) for aval, entry in zip(outputs, analysis.entries)]
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


def values_of(analysis: Analysis, leaves: Sequence[jax.Array], wanted: Sequence[core.Var]) -> list[jax.Array]:
    """Values of parameters alone, as a function of the leaves."""
    program: core.Jaxpr = analysis.jaxpr.jaxpr
    types = Types.declared(program)
    with types.explicit():
        values: Values = dict(zip(program.constvars, analysis.jaxpr.consts))
        values.update(zip(analysis.parameters, types.entering(leaves)))
        evaluate(program, values, lambda equation: equation_level(analysis.levels, equation) < Level.EXAMPLE)
        found = [jnp.asarray(values[v]) for v in wanted]
    return types.leaving(found)


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
    kept: dict[int, ArrayLike] = {}
    for index, equation in enumerate(program.eqns):
        inputs = [read(values, v) for v in equation.invars]
        for position in range(len(inputs)):
            if (index, position) in changed:
                inputs[position] = changed[index, position] + inputs[position]
        here = [one for one in tapped if one.entry.path[0] == index]
        values.update(_apply(program, equation, inputs, here, 1, kept))
    return jnp.asarray(read(values, program.outvars[0])), [jnp.asarray(kept[i]) for i in range(len(entries))]


def _apply(
    jaxpr: core.Jaxpr,
    equation: core.JaxprEqn,
    inputs: list[ArrayLike],
    here: list[_Tapped],
    nesting: int,
    kept: dict[int, ArrayLike],
) -> Mapping[core.Var, ArrayLike]:
    """One equation, with the taps that belong to it or to the body it repeats; what entries read goes to ``kept``."""
    if not here:
        return bind(jaxpr, equation, inputs)
    loop = if_read(scan_of, equation)
    if loop is None:
        outputs = bind(jaxpr, equation, inputs)
        (output,) = equation.outvars
        for one in here:
            kept[one.number] = inputs[one.entry.example_position]
            if output in outputs:  # not if nothing reads it
                outputs[output] = outputs[output] + one.tap
        return outputs
    body: core.Jaxpr = loop.body.jaxpr

    def iteration(
        carried: list[ArrayLike], slices: tuple[list[ArrayLike], dict[int, jax.Array]]
    ) -> tuple[list[ArrayLike], tuple[list[ArrayLike], dict[int, ArrayLike]]]:
        own, taps = slices
        values: Values = dict(zip(body.constvars, loop.body.consts))
        values.update(zip(body.invars, [*inputs[loop.constants], *carried, *own]))
        inside: dict[int, ArrayLike] = {}
        for index, inner in enumerate(body.eqns):
            deeper = [replace(one, tap=taps[one.number]) for one in here if one.entry.path[nesting] == index]
            arguments = [read(values, v) for v in inner.invars]
            values.update(_apply(body, inner, arguments, deeper, nesting + 1, inside))
        outputs = [read(values, v) for v in body.outvars]
        return outputs[: len(carried)], (outputs[len(carried) :], inside)

    taps = {one.number: one.tap for one in here}
    last, (stacked, inside) = loop.run(iteration, inputs[loop.carry], (inputs[loop.sequences], taps))
    kept.update(inside)
    return dict(zip(equation.outvars, [*last, *stacked]))
