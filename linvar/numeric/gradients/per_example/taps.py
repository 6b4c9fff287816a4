"""One pass: the inputs h of every entry, and the cotangents delta at its output, of all examples.

Zeros are added to the output of every entry, and to every value taken as it is; the loss is differentiated with respect
to these zeros alone, so that no weight gradient is formed here. Each example's cotangents are those of ITS loss: nothing
is divided by the number of examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.evaluation import bind, evaluate, read
from linvar.numeric.gradients.per_example.flattening import Level, equation_level
from linvar.numeric.gradients.per_example.jaxprs import if_read, scan_of
from linvar.numeric.gradients.per_example.plan import Plan


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

    losses: Any
    inputs: list[Any]
    cotangents: list[Any]
    direct: list[Any]
    constants: list[Any]


def run_pass(plan: Plan, leaves: Sequence[Any], examples: Sequence[Any]) -> Pass:
    """Forward and backward, once.

    Args:
        plan: of this loss.
        leaves: of the parameters.
        examples: the batch's arrays, examples first.
    """
    (count,) = {x.shape[0] for x in examples}
    own = (
        [jnp.zeros((count, *entry.tap_shape), entry.equation.outvars[0].aval.dtype) for entry in plan.entries],
        [jnp.zeros((count, *v.aval.shape), v.aval.dtype) for v in plan.direct],
    )
    shared = [jnp.zeros(v.aval.shape, v.aval.dtype) for v in map(plan.constant_value, range(len(plan.constants)))]

    def tapped(taps: Any, common: Any) -> tuple[Any, Any]:
        def one(tap: Any, example: Any) -> Any:
            entries, direct = tap
            return _evaluate(plan, leaves, example, entries, direct, common)

        return jax.vmap(one)(taps, list(examples))

    losses, backward, kept = jax.vjp(tapped, own, shared, has_aux=True)
    (cotangents, direct), constants = backward(jnp.ones_like(losses))
    return Pass(losses, kept, cotangents, direct, constants)


def values_of(plan: Plan, leaves: Sequence[Any], wanted: Sequence[Any]) -> list[Any]:
    """Values of parameters alone, as a function of the leaves."""
    jaxpr = plan.jaxpr.jaxpr
    values = dict(zip(jaxpr.constvars, plan.jaxpr.consts)) | dict(zip(plan.parameters, leaves))
    evaluate(jaxpr, values, lambda equation: equation_level(plan.levels, equation) < Level.EXAMPLE)
    return [values[v] for v in wanted]


def _evaluate(
    plan: Plan, leaves: Sequence[Any], example: Sequence[Any], taps: Any, direct: Any, constants: Any
) -> tuple[Any, list[Any]]:
    """The loss of one example with the taps added, and the inputs of the entries."""
    jaxpr = plan.jaxpr.jaxpr
    values = dict(zip(jaxpr.constvars, plan.jaxpr.consts)) | dict(zip(jaxpr.invars, [*leaves, *example]))
    changed = {place: constants[i] for i, place in enumerate(plan.constants)}
    for place in plan.direct_at:
        changed[place] = direct[plan.direct.index(jaxpr.eqns[place[0]].invars[place[1]])]
    kept: dict[int, Any] = {}
    for index, equation in enumerate(jaxpr.eqns):
        inputs = [read(values, v) for v in equation.invars]
        for position in range(len(inputs)):
            if (index, position) in changed:
                inputs[position] = inputs[position] + changed[index, position]
        here = [(i, entry, tap) for i, (entry, tap) in enumerate(zip(plan.entries, taps)) if entry.path[0] == index]
        values.update(zip(equation.outvars, _apply(jaxpr, equation, inputs, here, 1, kept)))
    return read(values, jaxpr.outvars[0]), [kept[i] for i in range(len(plan.entries))]


def _apply(
    jaxpr: Any, equation: Any, inputs: list[Any], here: list[Any], depth: int, kept: dict[int, Any]
) -> list[Any]:
    """One equation, with the taps that belong to it or to the body it repeats."""
    if not here:
        return bind(jaxpr, equation, inputs)
    loop = if_read(scan_of, equation)
    if loop is None:
        outputs = bind(jaxpr, equation, inputs)
        for i, entry, tap in here:
            kept[i] = inputs[entry.example_position]
            outputs[0] = outputs[0] + tap
        return outputs
    body = loop.body

    def iteration(carried: Any, slices: Any) -> tuple[list[Any], tuple[list[Any], dict[int, Any]]]:
        own, taps = slices
        values = dict(zip(body.jaxpr.constvars, body.consts))
        values.update(zip(body.jaxpr.invars, [*inputs[loop.constants], *carried, *own]))
        inside: dict[int, Any] = {}
        for index, step in enumerate(body.jaxpr.eqns):
            deeper = [(i, entry, taps[i]) for i, entry, _ in here if entry.path[depth] == index]
            arguments = [read(values, v) for v in step.invars]
            values.update(zip(step.outvars, _apply(body.jaxpr, step, arguments, deeper, depth + 1, inside)))
        outputs = [read(values, v) for v in body.jaxpr.outvars]
        return outputs[: len(carried)], (outputs[len(carried) :], inside)

    taps = {i: tap for i, _, tap in here}
    last, (stacked, inside) = loop.run(iteration, inputs[loop.carry], (inputs[loop.sequences], taps))
    kept.update(inside)
    return [*last, *stacked]
