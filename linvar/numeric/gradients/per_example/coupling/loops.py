"""Loops and branches of a loss of a batch: over time, with the examples in another axis, or over the examples themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from jax.extend import core

from linvar.numeric.gradients.per_example.coupling.axes import refusal
from linvar.numeric.gradients.per_example.coupling.places import Known, Place, State, summed
from linvar.numeric.gradients.per_example.evaluation import Atom, shape_of, variables
from linvar.numeric.gradients.per_example.jaxprs import Scan, branches_of, operation, scan_of
from linvar.numeric.gradients.per_example.operations import ADDING

#: Follows a program and its twin.
Enter: TypeAlias = Callable[[core.ClosedJaxpr, Sequence[State], core.ClosedJaxpr], list[State]]


def scanned(
    enter: Enter, counts: tuple[int, int], equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn
) -> list[State]:
    """A loop over another axis, or over the examples; what is carried is followed until it does not change."""
    loop, twin = scan_of(equation), scan_of(other)
    if any(s.own for s in states):
        raise refusal(equation, "computes with the examples' positions")
    rows = states[loop.sequences]
    if loop.length != twin.length:
        if (loop.length, twin.length) != counts or any(s.place not in (None, Place(0)) for s in rows):
            raise refusal(equation, "loops as often as there are examples")
        return _over_examples(enter, counts, equation, states, loop, twin)
    if any(s.place is not None and s.place.axis == 0 for s in rows):
        raise refusal(equation, "loops over the examples, but not one by one")
    slices = [_row(s) for s in rows]
    carried = list(states[loop.carry])
    for _ in range(2 * len(carried) + 3):
        now = [replace(s, known=None) for s in carried]
        outputs = enter(loop.body, [*states[loop.constants], *now, *slices], twin.body)
        together = [_join(equation, old, new, starts=True) for old, new in zip(carried, outputs)]
        if together == carried:
            return [*now, *(_stacked(s) for s in outputs[len(carried) :])]
        carried = together
    raise refusal(equation, "carries something that does not settle")


def _row(s: State) -> State:
    """One row of what a loop over another axis reads."""
    place = None if s.place is None else s.place.at(s.place.axis - 1)
    even = frozenset(p.at(p.axis - 1) for p in s.even if p.axis)
    return State(place, reduced=s.reduced, even=even, power=s.power, penalty=s.penalty)


def _stacked(s: State) -> State:
    """Rows put together again."""
    place = None if s.place is None else s.place.at(s.place.axis + 1)
    even = frozenset(p.at(p.axis + 1) for p in s.even)
    return State(place, reduced=s.reduced, even=even, power=s.power, penalty=s.penalty)


def _join(equation: core.JaxprEqn, old: State, new: State, *, starts: bool = False) -> State:
    """What is carried, before and after an iteration; or chosen by a branch."""
    if any(s.own or s.one or s.moving or s.carried is not None for s in (old, new)):
        raise refusal(equation, "computes with the examples' positions")
    if old.reduced or new.reduced:  # a sum of one term an example, and of what is free
        if any(s.place is not None for s in (old, new)):
            raise refusal(equation, "brings a sum over the batch together with single examples")
        # at first what enters the sum beside the examples is that of its start alone, not that of the body added to nothing
        both = summed((old, new))
        if starts and old.free:
            both = State(reduced=True, power=new.power, penalty=old.offset)
        if both is None:
            raise refusal(equation, "adds a sum over the batch and a mean, or a penalty that is not in proportion,")
        return both
    if old.place is not None and new.place is not None and old.place != new.place:
        raise refusal(equation, "moves the examples' axis inside a loop")
    power = old.power if old.power == new.power else None
    if old.free and new.free:
        return State(even=old.even & new.even, power=power)
    if power != 0.0:
        raise refusal(equation, "uses a number that depends on the number of examples")
    place = old.place or new.place
    assert place is not None
    other = new if old.place is not None else old
    if other.free and not other.is_even(place):
        raise refusal(equation, "carries values that differ between the examples' positions")
    return State(place)


def chosen(
    enter: Enter, counts: tuple[int, int], equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn
) -> list[State]:
    """A choice that no example makes."""
    del counts
    if not states[0].free:
        raise refusal(equation, "chooses for the whole batch by what the examples are")
    if states[0].sized:
        raise refusal(equation, "uses a number that depends on the number of examples")
    both = zip(branches_of(equation), branches_of(other))
    if any(s.own for s in states):
        raise refusal(equation, "computes with the examples' positions")
    first, *rest = [enter(mine, states[1:], theirs) for mine, theirs in both]
    found = [replace(s, known=None) for s in first]
    for outputs in rest:
        found = [_join(equation, a, b) for a, b in zip(found, outputs)]
    return found


#: Programs inside, which are followed.
LOOPS = {"scan": scanned, "cond": chosen}


def _over_examples(
    enter: Enter, counts: tuple[int, int], equation: core.JaxprEqn, states: Sequence[State], loop: Scan, twin: Scan
) -> list[State]:
    """One example after another: what is carried is only added to, what is stacked is of one example.

    c_{i+1} = c_i + f(params, x_i)    =>    c_n = c_0 + sum_i f(params, x_i)
    """
    body: core.Jaxpr = loop.body.jaxpr
    before = states[loop.carry]
    rows = [_turn(s, v) for s, v in zip(states[loop.sequences], equation.invars[loop.sequences])]
    changed = {i for i, v in enumerate(body.invars[loop.carry]) if body.outvars[i] is not v and not before[i].free}
    if any(before[number].place is not None for number in changed):
        raise refusal(equation, "loops as often as there are examples")
    entered = _entered(body, loop, rows, states[loop.constants], changed)
    counters = [_counts_up(s, counts) for s in before]

    def follow(known: Sequence[Known | None]) -> list[State]:
        carried = []
        for number, (s, inner) in enumerate(zip(before, body.invars[loop.carry])):
            if number in entered:
                carried.append(State(carried=number, power=None))
            elif body.outvars[number] is inner:
                carried.append(replace(s, known=None))
            else:
                carried.append(State(moving=True, power=s.power, known=known[number]))
        return enter(loop.body, [*states[loop.constants], *carried, *rows], twin.body)

    outputs = follow(counters)
    right = [
        known if known is not None and now.known is not None and np.array_equal(now.known[0], known[0] + 1) else None
        for known, now in zip(counters, outputs)
    ]
    if any(a is not b for a, b in zip(counters, right)):
        outputs = follow(right)
    found: list[State] = []
    for number, (s, now) in enumerate(zip(before, outputs)):
        if number not in entered:
            found.append(replace(s, known=None) if not now.moving else State(power=None))
        elif now.carried != number or s.place is not None or s.sized:
            raise refusal(equation, "carries something from one example to the next that is not a sum over them")
        else:
            found.append(State(reduced=True, power=now.power or 0.0, penalty=s.offset))
    for now in outputs[len(before) :]:
        if now.carried is not None or now.reduced or now.place is not None:
            raise refusal(equation, "gives out what it has carried from one example to the next")
        found.append(
            State(Place(0), power=now.power)
            if now.one
            else State(even=frozenset() if now.moving else frozenset({Place(0)}))
        )
    return found


def _turn(s: State, row: Atom) -> State:
    """What a loop over the examples reads in one iteration."""
    if s.place is not None:
        return State(one=True, power=s.power)
    if s.free and s.is_even(Place(0)):
        return State(power=s.power)
    return State(reduced=s.reduced, moving=s.free, power=s.power, known=s.known if len(shape_of(row)) == 1 else None)


def _counts_up(s: State, counts: tuple[int, int]) -> Known | None:
    """If it starts from zero: the numbers of the iterations, on trial."""
    if s.known is None or s.known[0].shape or s.known[0].dtype.kind not in "iu" or s.known[0] != 0:
        return None
    return np.arange(counts[0]), np.arange(counts[1])


def _entered(
    body: core.Jaxpr, loop: Scan, rows: Sequence[State], constants: Sequence[State], changed: set[int]
) -> set[int]:
    """Which carried values the examples enter, beside those that they have entered before and that do not stay the same."""
    read = [v for v, s in zip(body.invars[loop.sequences], rows) if s.one]
    read += [v for v, s in zip(body.invars[loop.constants], constants) if not s.free]
    inputs = body.invars[loop.carry]
    found = set(changed)
    while True:
        reached = {*read, *(inputs[number] for number in found)}
        for equation in body.eqns:
            if any(v in reached for v in variables(equation.invars)):
                reached.update(equation.outvars)
        more = {number for number, v in enumerate(body.outvars[: len(inputs)]) if v in reached}
        if more <= found:
            return found
        found |= more


def added(equation: core.JaxprEqn, states: Sequence[State]) -> State:
    """To what a loop over the examples has summed up, something of the one example is added, and nothing else is done."""
    name = operation(equation)
    sums = [position for position, s in enumerate(states) if s.carried is not None]
    others = [s for s in states if s.carried is None]
    fine = name in ("add", "add_any") or (name in ("sub", *ADDING, "convert_element_type", "copy") and sums == [0])
    total = states[sums[0]]
    powers = {s.power for s in (total, *others) if s.one or s.power is not None}
    if len(sums) != 1 or not fine or any(s.moving or (s.free and s.sized) for s in others) or len(powers) > 1:
        raise refusal(equation, "is not just added to what a loop carries from one example to the next")
    return replace(total, power=powers.pop() if powers else None)
