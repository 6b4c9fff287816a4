"""Does a loss of a whole batch couple its examples? Read off its jaxpr, by following the examples' axis.

Every value is of one kind: FREE of the examples; PER_EXAMPLE, with one axis along which position i depends on example i
alone; or REDUCED, a sum over that axis. A batch loss has per-example gradients if it is REDUCED, if nothing but linear
operations with free values happen after the sum, and if nothing tells positions apart before it. What is not known to
respect this is refused, by name: a wrong refusal costs a rewrite of the loss, a wrong answer costs more.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import replace

import jax
import numpy as np
from jax.extend import core

from linvar.errors import Words, cut
from linvar.numeric.gradients.per_example.axes import (
    FREE,
    REDUCED,
    CoupledExamplesError,
    State,
    concatenated,
    convolved,
    elementwise,
    gathered,
    one_operand,
    product,
    refusal,
)
from linvar.numeric.gradients.per_example.evaluation import Atom, is_inexact, shape_of
from linvar.numeric.gradients.per_example.flattening import LossOfLists
from linvar.numeric.gradients.per_example.jaxprs import (
    Unread,
    branches_of,
    broadcast_axes_of,
    call_of,
    counted_axis_of,
    differs,
    dot_of,
    has_own_jvp,
    has_own_vjp,
    if_read,
    operation,
    primal_of,
    programs,
    scan_of,
)
from linvar.numeric.gradients.per_example.operations import CALLS, ELEMENTWISE, LINEAR, MAKERS, SUMS
from linvar.numeric.gradients.per_example.twins import grown, same_constant, tangent_of

_ONE = "give the loss of ONE example, loss(params, example)"
_RETURN = "with batched=True return the mean or the sum over the batch"
#: functions with a derivative of their own whose derivative is being followed
_followed: ContextVar[frozenset[str]] = ContextVar("followed", default=frozenset())


def check_uncoupled(loss: LossOfLists, leaves: Sequence[jax.Array], batch: Sequence[jax.Array]) -> None:
    """Refuse a loss of a batch that is not a sum or a mean of losses of its examples.

    Args:
        loss: of lists of leaves and of arrays with the examples first.
        leaves: of the parameters.
        batch: arrays, examples first.

    Raises:
        CoupledExamplesError: with the operation that couples the examples.
    """
    size = max(2, batch[0].shape[0])  # an axis of one example looks like any other axis of one
    here, more = (_trace(loss, leaves, batch, count) for count in (size, size + 1))
    states = [FREE] * len(leaves) + [State(axis=0)] * len(batch)
    for mine, twin in ((here, more), (more, here)):
        (result,) = _enter(mine, states, twin)
        if not result.reduced:
            kind = "depends on no example" if result.free else "is not summed over the examples"
            raise CoupledExamplesError("loss", Words(kind), f"{_RETURN}, a scalar")


def _trace(loss: LossOfLists, leaves: Sequence[jax.Array], batch: Sequence[jax.Array], count: int) -> core.ClosedJaxpr:
    """The jaxpr for a batch of ``count``."""
    shapes = [jax.ShapeDtypeStruct((count, *x.shape[1:]), x.dtype) for x in batch]
    try:
        traced = jax.make_jaxpr(lambda a, b: loss(a, b))(list(leaves), shapes)
    except (TypeError, ValueError) as error:
        given = batch[0].shape[0]
        if count == given:
            raise
        reason = cut((str(error).splitlines() or [type(error).__name__])[0])
        raise CoupledExamplesError(
            "loss",
            Words(
                f"does not take a batch of {count} examples instead of {given}, so that its examples cannot be told apart "
                f"({reason})"
            ),
            _ONE,
        ) from error
    if len(traced.out_avals) != 1 or traced.out_avals[0].shape != ():
        raise CoupledExamplesError("loss", Words("is not a scalar"), _RETURN)
    return traced


def _enter(closed: core.ClosedJaxpr, inputs: Sequence[State], twin: core.ClosedJaxpr) -> list[State]:
    """A jaxpr with its captured constants, which must be the same for every number of examples to be just constants."""
    constants = [State(sized=not same_constant(*both)) for both in zip(closed.consts, twin.consts)]
    return _follow(closed.jaxpr, inputs, twin.jaxpr, constants)


def _follow(jaxpr: core.Jaxpr, inputs: Sequence[State], twin: core.Jaxpr, constants: Sequence[State]) -> list[State]:
    """States of the outputs; ``twin`` is the same program for another number of examples."""
    found: dict[core.Var, State] = dict(zip(jaxpr.invars, inputs))
    found.update(zip(jaxpr.constvars, constants))
    if [operation(e) for e in jaxpr.eqns] != [operation(e) for e in twin.eqns]:
        raise CoupledExamplesError("loss", Words("is another program for another number of examples"), _ONE)

    def state(mine: Atom, theirs: Atom) -> State:
        if isinstance(mine, core.Literal) or isinstance(theirs, core.Literal):
            values = [getattr(v, "val", None) for v in (mine, theirs)]
            return State(sized=bool(np.any(values[0] != values[1]) and values[0] == values[0]))
        return found[mine]

    for equation, other in zip(jaxpr.eqns, twin.eqns):
        states = [state(*both) for both in zip(equation.invars, other.invars)]
        try:
            outputs = _outputs(equation, states, other)
        except Unread as error:
            raise refusal(equation, f"cannot be followed ({error})") from error
        found.update(zip(equation.outvars, outputs))
    return [state(*both) for both in zip(jaxpr.outvars, twin.outvars)]


def _outputs(equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[State]:
    """States of the outputs of one equation."""
    if all(s.free for s in states):
        return _free(equation, states, other)
    if any(s.reduced for s in states):
        return _after_the_sum(equation, states, other)
    if any(s.sized for s in states) or differs(equation, other):
        raise refusal(equation, "uses a number that depends on the number of examples")
    outputs = _of_examples(equation, states, other)
    _check_growth(equation, states, other, outputs)
    return outputs


def _free(equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[State]:
    """Along which axes the outputs are constant: where an input's such axis goes, followed as if it were the examples'."""
    if operation(equation) in CALLS:
        return _enter(call_of(equation), states, call_of(other))
    even = [{a for a, size in enumerate(shape_of(v)) if size == 1} for v in equation.outvars]
    placed, counted = if_read(broadcast_axes_of, equation), if_read(counted_axis_of, equation)
    if placed is not None or counted is not None:
        even[0] |= set(range(len(shape_of(equation.outvars[0])))) - {counted, *(placed or ())}
    for place, state in enumerate(states):
        for axis in state.even:
            if shape_of(equation.invars[place])[axis] == 1:
                continue
            try:
                moved = _of_examples(equation, [*states[:place], State(axis=axis), *states[place + 1 :]], other)
            except (CoupledExamplesError, Unread):
                continue
            for found, now in zip(even, moved):
                found |= {now.axis} if now.axis is not None else now.even
    name = operation(equation)
    if has_own_vjp(equation):
        raise refusal(equation, "has a backward pass of its own (custom_vjp), which is not followed")
    # what is summed over as many entries as there are examples, cut out by their number, or counted, changes with it
    lengths = [len(grown(a, b)) for a, b in zip(equation.invars, other.invars)]
    inside = sum(lengths) if name == "dot_general" else max(lengths, default=0)
    outside = max((len(grown(a, b)) for a, b in zip(equation.outvars, other.outvars)), default=0)
    sized = any(s.sized for s in states) or inside > outside or differs(equation, other)
    sized = sized or (outside > inside and name not in MAKERS)
    sized = sized or programs(equation) != programs(other)
    return [State(even=frozenset(found), sized=sized) for found in even]


def _after_the_sum(equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[State]:
    """Linear in what is summed: still a sum of one term an example."""
    name = operation(equation)
    if any(s.axis is not None for s in states):
        raise refusal(equation, "brings a sum over the batch together with single examples")
    reduced = [s.reduced for s in states]
    if name in CALLS:
        return _enter(call_of(equation), states, call_of(other))
    fine = name in LINEAR or name in SUMS
    fine = fine or (name == "mul" and sum(reduced) == 1) or (name == "div" and reduced == [True, False])
    fine = fine or (name == "dot_general" and sum(reduced) == 1)
    if not fine or not all(map(is_inexact, equation.outvars)):
        raise refusal(equation, "is not linear in a sum over the batch")
    return [REDUCED for _ in equation.outvars]


def _own_derivative(equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[State]:
    """A function with a derivative of its own: neither what it computes nor that derivative may couple the examples."""
    if has_own_vjp(equation):
        raise refusal(equation, "has a backward pass of its own (custom_vjp), which is not followed")
    primal = _enter(primal_of(equation), states, primal_of(other))
    program = str(primal_of(equation))
    if program in _followed.get():  # a derivative that calls the function itself
        return primal
    token = _followed.set(_followed.get() | {program})
    try:
        tangent = _derivative(equation, states, other)
    finally:
        _followed.reset(token)
    if any(a.axis != b.axis or b.reduced or b.sized for a, b in zip(primal, tangent) if not b.free or b.sized):
        raise refusal(equation, "has a derivative of its own (custom_jvp) that couples them")
    return primal


def _derivative(equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[State]:
    """States of the tangents of a function with a derivative of its own."""
    moving = [place for place, v in enumerate(equation.invars) if is_inexact(v)]
    inputs = [*states, *(states[place] for place in moving)]
    return _enter(tangent_of(equation, moving), inputs, tangent_of(other, moving))


def _check_growth(
    equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn, outputs: Sequence[State]
) -> None:
    """No axis but the examples' own may change with their number."""
    pairs = zip(equation.outvars, other.outvars, outputs)
    wrong = any(set(grown(mine, theirs)) - {state.axis} for mine, theirs, state in pairs if state.axis is not None)
    name = operation(equation)
    if name not in ELEMENTWISE and name not in ("concatenate", "sort", "scan", "cond") and name not in CALLS:
        for place, (mine, theirs, state) in enumerate(zip(equation.invars, other.invars, states)):
            batch = dot_of(equation).batch[place] if name == "dot_general" else ()
            wrong = wrong or bool(state.free and set(grown(mine, theirs)) - set(batch))
    if wrong:
        raise refusal(equation, "has another axis that is as long as there are examples")


def _of_examples(equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[State]:
    """Where the examples' axis goes."""
    name = operation(equation)
    if name in CALLS:
        return _enter(call_of(equation), states, call_of(other))
    if has_own_jvp(equation) or has_own_vjp(equation):
        return _own_derivative(equation, states, other)
    if name in ELEMENTWISE:
        return elementwise(equation, states)
    if name == "dot_general":
        return [product(equation, states)]
    if name == "conv_general_dilated":
        return [convolved(equation, states)]
    if name == "concatenate":
        return concatenated(equation, states)
    if name == "gather":
        return [gathered(equation, states)]
    if name == "scan":
        return _scanned(equation, states, other)
    if name == "cond":
        return _branches(equation, states, other)
    axis = states[0].axis
    alone = all(s.free and (shape_of(v) == () or axis in s.even) for s, v in zip(states[1:], equation.invars[1:]))
    if axis is not None and (alone or (name == "sort" and len({s.axis for s in states}) == 1)):
        moved = one_operand(equation, axis)
        if moved is not None:
            return [moved] * len(equation.outvars)
    raise refusal(equation, "is not known to keep the examples apart")


def _scanned(equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[State]:
    """A loop over another axis; what is carried is followed until it does not change."""
    loop, twin = scan_of(equation), scan_of(other)
    if any(s.axis == 0 for s in states[loop.sequences]):
        raise refusal(equation, "loops over the examples")
    if loop.length != twin.length:
        raise refusal(equation, "loops as often as there are examples")
    slices = [
        State(axis=s.axis - 1) if s.axis is not None else State(even=frozenset(a - 1 for a in s.even if a))
        for s in states[loop.sequences]
    ]
    carried = list(states[loop.carry])
    for _ in range(len(carried) + 2):
        outputs = _enter(loop.body, [*states[loop.constants], *carried, *slices], twin.body)
        joined = [_join(equation, old, new) for old, new in zip(carried, outputs)]
        if joined == carried:
            stacked = outputs[len(carried) :]
            return [
                *carried,
                *(State(axis=s.axis + 1) if s.axis is not None else replace(s, even=frozenset()) for s in stacked),
            ]
        carried = joined
    raise refusal(equation, "carries something that does not settle")


def _join(equation: core.JaxprEqn, old: State, new: State) -> State:
    """What is carried, before and after an iteration."""
    if old.reduced or new.reduced:
        raise refusal(equation, "sums over the examples inside a loop")
    if old.axis is not None and new.axis is not None and old.axis != new.axis:
        raise refusal(equation, "moves the examples' axis inside a loop")
    if old.free and new.free:
        return State(even=old.even & new.even, sized=old.sized or new.sized)
    if old.sized or new.sized:
        raise refusal(equation, "uses a number that depends on the number of examples")
    axis = old.axis if old.axis is not None else new.axis
    other = new if old.axis is not None else old
    if other.free and axis not in other.even:
        raise refusal(equation, "carries values that differ between the examples' positions")
    return State(axis=axis)


def _branches(equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[State]:
    """A choice that no example makes."""
    if not states[0].free:
        raise refusal(equation, "chooses for the whole batch by what the examples are")
    both = zip(branches_of(equation), branches_of(other))
    results = [_enter(mine, states[1:], theirs) for mine, theirs in both]
    if any(s.reduced for result in results for s in result):
        raise refusal(equation, "sums over the examples inside a branch")
    return [_merge_all(equation, same) for same in zip(*results)]


def _merge_all(equation: core.JaxprEqn, states: Sequence[State]) -> State:
    first, *rest = states
    for s in rest:
        first = _join(equation, first, s)
    return first
