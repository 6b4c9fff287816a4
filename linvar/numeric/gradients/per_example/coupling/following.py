"""One program of a whole batch followed equation by equation: where the examples are in every value, or who couples them.

Every value is FREE of the examples; or has a PLACE where position i depends on example i alone; or is REDUCED, a sum over the
examples of one term each. In a loop over the examples it may be of the ONE the loop has come to, or the sum CARRIED so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jax.extend import core

from linvar.errors import Words
from linvar.numeric.gradients.per_example.coupling.axes import (
    CoupledExamplesError,
    convolved,
    elementwise,
    joined,
    moved,
    product,
    refusal,
    sides,
    the_place,
)
from linvar.numeric.gradients.per_example.coupling.known import number, power_of, worked_out
from linvar.numeric.gradients.per_example.coupling.lookups import gathered, own_slice, scattered, sliced
from linvar.numeric.gradients.per_example.coupling.loops import LOOPS, added
from linvar.numeric.gradients.per_example.coupling.places import Known, Place, State, inside, summed
from linvar.numeric.gradients.per_example.coupling.twins import grown, same_constant, tangent_of
from linvar.numeric.gradients.per_example.evaluation import Atom, is_inexact, shape_of
from linvar.numeric.gradients.per_example.jaxprs import (
    Unread,
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
)
from linvar.numeric.gradients.per_example.operations import (
    CALLS,
    ELEMENTWISE,
    HOMOGENEOUS,
    LINEAR,
    MAKERS,
    MATRICES,
    MOVES,
    OWN_DERIVATIVE,
    SCATTERS,
    SUMS,
)
from linvar.numeric.gradients.per_example.readers import slice_of, solves_of

_ONE = "give the loss of ONE example, loss(params, example)"
_ANOTHER = Words("is another program for another number of examples")
_SIZED = "uses a number that depends on the number of examples"
#: operations that may join values with and without the examples along an axis as long as there are examples
_LONG = ELEMENTWISE | CALLS | MATRICES | frozenset(
    ("concatenate", "stack", "sort", "scan", "cond", "gather", "custom_linear_solve", *OWN_DERIVATIVE, *SCATTERS)
)  # fmt: skip
#: operations that may meet indices with columns that hold the examples' positions
_KEEPS_COLUMNS = CALLS | {"concatenate", "gather", "convert_element_type", "copy", *SCATTERS}


class Follower:
    """A program for ``counts[0]`` examples, beside the same for ``counts[1]``."""

    def __init__(self, counts: tuple[int, int]) -> None:
        self.counts = counts
        self._followed: list[str] = []  # functions with a derivative of their own that is being followed

    def enter(self, closed: core.ClosedJaxpr, inputs: Sequence[State], twin: core.ClosedJaxpr) -> list[State]:
        """A jaxpr with its captured constants, which must be the same for every number of examples to be just constants."""
        constants = [
            State(power=0.0 if same_constant(*both) else self._power_of(self._known(*both)), known=self._known(*both))
            for both in zip(closed.consts, twin.consts)
        ]
        return self._follow(closed.jaxpr, inputs, twin.jaxpr, constants)

    def _follow(
        self, jaxpr: core.Jaxpr, inputs: Sequence[State], twin: core.Jaxpr, constants: Sequence[State]
    ) -> list[State]:
        """States of the outputs; ``twin`` is the same program for another number of examples."""
        found: dict[core.Var, State] = dict(zip(jaxpr.invars, inputs))
        found.update(zip(jaxpr.constvars, constants))
        if [operation(e) for e in jaxpr.eqns] != [operation(e) for e in twin.eqns]:
            raise CoupledExamplesError("loss", _ANOTHER, _ONE)

        def state(mine: Atom, theirs: Atom) -> State:
            if isinstance(mine, core.Literal) or isinstance(theirs, core.Literal):
                a, b = (getattr(v, "val", None) for v in (mine, theirs))
                known = self._known(a, b)
                same = bool(np.all(a == b) or a != a)
                return State(power=0.0 if same else self._power_of(known), known=known)
            return found[mine]

        for equation, other in zip(jaxpr.eqns, twin.eqns):
            states = [state(*both) for both in zip(equation.invars, other.invars)]
            try:
                outputs = self._outputs(equation, states, other)
            except Unread as error:
                raise refusal(equation, f"cannot be followed ({error})") from error
            found.update(zip(equation.outvars, outputs))
        return [state(*both) for both in zip(jaxpr.outvars, twin.outvars)]

    def _known(self, mine: object, theirs: object) -> Known | None:
        a, b = number(mine), number(theirs)
        return None if a is None or b is None else (a, b)

    def _power_of(self, known: Known | None) -> float | None:
        """Of a number that is not the same for both numbers of examples."""
        return power_of(known, self.counts) or None

    def _outputs(self, equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[State]:
        """States of the outputs of one equation."""
        if any(s.one or s.moving or s.carried is not None for s in states):
            return self._in_a_loop(equation, states, other)
        if all(s.free for s in states):
            return self._free(equation, states, other)
        if any(s.reduced for s in states):
            return self._after_the_sum(equation, states, other)
        name = operation(equation)
        if any(s.own for s in states) and name not in _KEEPS_COLUMNS:
            raise refusal(equation, "computes with the examples' positions")
        recursive = name in CALLS or name in LOOPS or name == "custom_linear_solve"
        power = 0.0 if recursive else self._power(equation, states)
        if not recursive and (power is None or (name not in ("slice", "tile") and differs(equation, other))):
            raise refusal(equation, _SIZED)
        outputs = self._of_examples(equation, states, other)
        self._check_growth(equation, states, other, outputs)
        return [replace(s, power=power) for s in outputs] if power else outputs

    def _power(self, equation: core.JaxprEqn, states: Sequence[State]) -> float | None:
        """How the result grows with the number of examples, if its operands do: exactly, or refused."""
        name, powers = operation(equation), [s.power for s in states]
        if all(p == 0.0 for p in powers):
            return 0.0
        if None in powers:
            return None
        numbers = [p for p in powers if p is not None]
        if name in ("mul", "dot_general", "conv_general_dilated"):
            return round(sum(numbers), 2)
        if name == "div":
            return round(numbers[0] - numbers[1], 2)
        if (name in HOMOGENEOUS or name in MOVES) and all(map(is_inexact, equation.outvars)):
            first = name in ("gather", "dynamic_slice")  # the others are indices
            data = [i for i in range(len(states)) if not (i if first else i == 0 and name == "select_n")]
            rest = [p for i in data if not states[i].vanishes and (p := states[i].power) is not None]
            exact = all(s.power == 0.0 for i, s in enumerate(states) if i not in data)
            if exact and rest and max(rest) - min(rest) < 0.1:
                return rest[0]
        raise refusal(equation, _SIZED)

    def _free(self, equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[State]:
        """Along which places the outputs are constant: where an input's go, followed as if they were the examples'."""
        name = operation(equation)
        if name in CALLS:
            return self.enter(call_of(equation), states, call_of(other))
        decided = _decided(equation, states)
        if decided is not None:
            return [decided]
        if has_own_vjp(equation):
            raise refusal(equation, "has a backward pass of its own (custom_vjp), which is not followed")
        known = self._worked_out(equation, states, other)
        evens = self._evens(equation, states, other)
        # what is summed over as many entries as there are examples, cut out by their number, or counted, changes with it
        lengths = [len(grown(a, b)) for a, b in zip(equation.invars, other.invars)]
        within = sum(lengths) if name == "dot_general" else max(lengths, default=0)
        outside = max((len(grown(a, b)) for a, b in zip(equation.outvars, other.outvars)), default=0)
        changes = within > outside or differs(equation, other) or programs(equation) != programs(other)
        changes = changes or (outside > within and name not in MAKERS)
        power: float | None = 0.0
        if changes or any(s.sized for s in states):
            power = self._power_of(known) if known is not None or changes else self._proportional(equation, states)
        return [State(even=frozenset(even), power=power, known=known) for even in evens]

    def _proportional(self, equation: core.JaxprEqn, states: Sequence[State]) -> float | None:
        """How a product of parameters and numbers of examples grows."""
        try:
            return self._power(equation, states)
        except CoupledExamplesError:
            return None

    def _worked_out(self, equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> Known | None:
        """The value, for both numbers of examples."""
        values = [s.known for s in states if s.known is not None]
        if len(values) < len(states):
            return None
        mine, theirs = (worked_out(e, [value[i] for value in values]) for i, e in ((0, equation), (1, other)))
        return None if mine is None or theirs is None else (mine, theirs)

    def _evens(self, equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[set[Place]]:
        """Places along which every output is constant."""
        name = operation(equation)
        evens = [{Place(a) for a, size in enumerate(shape_of(v)) if size == 1} for v in equation.outvars]
        placed, counted = if_read(broadcast_axes_of, equation), if_read(counted_axis_of, equation)
        out = shape_of(equation.outvars[0])
        if placed is not None or counted is not None:
            given = {a for axis, a in enumerate(placed or ()) if shape_of(equation.invars[0])[axis] > 1}
            evens[0] |= {Place(a) for a in range(len(out)) if a != counted and a not in given}
        shapes = [shape_of(v) for v in equation.invars]
        if name == "tile":  # the repeats of an axis are the same
            evens[0] |= {Place(a, 1, max(size, 1)) for a, size in enumerate(shapes[0])}
        for position, state in enumerate(states):
            for place in state.even:
                if shapes[position][place.axis] == 1:
                    continue
                if place == Place(place.axis) and name == "tile":
                    evens[0].add(place)
                if place == Place(place.axis) and name == "reshape":
                    evens[0] |= {Place(a) for a in inside(shapes[0], out, place.axis)}
                try:
                    after = self._of_examples(
                        equation, [*states[:position], State(place), *states[position + 1 :]], other
                    )
                except (CoupledExamplesError, Unread):
                    continue
                for found, now in zip(evens, after):
                    found |= {now.place} if now.place is not None else now.even
        return evens

    def _in_a_loop(self, equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[State]:
        """In a loop over the examples: whatever is of one example; sums that are only added to."""
        name = operation(equation)
        whole = any(s.place is not None or s.reduced for s in states)
        one, sized = any(s.one for s in states), any(s.sized for s in states)
        if name in CALLS and (whole or sized or not one or any(s.carried is not None for s in states)):
            return self.enter(call_of(equation), states, call_of(other))
        if whole:
            if states[0].place is not None and own_slice(equation, states, self.counts[0]):
                return [State(one=True, power=states[0].power)]
            raise refusal(equation, "brings one example of a loop together with the whole batch")
        if any(s.carried is not None for s in states):
            return [added(equation, states)]
        changes = differs(equation, other) or programs(equation) != programs(other)
        if one:
            if any(s.moving for s in states):
                raise refusal(equation, "combines the examples with values that differ between their positions,")
            power = self._power(equation, states)
            if changes or power is None:
                raise refusal(equation, _SIZED)
            return [State(one=True, power=power) for _ in equation.outvars]
        decided = _decided(equation, states)
        if decided is not None:
            return [decided]
        scalars = name in ELEMENTWISE and not any(map(shape_of, (*equation.invars, *equation.outvars)))
        known = self._worked_out(equation, states, other) if scalars else None
        return [State(moving=True, power=None if changes or sized else 0.0, known=known) for _ in equation.outvars]

    def _after_the_sum(self, equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[State]:
        """Linear in what is summed: still a sum of one term an example."""
        name = operation(equation)
        if name in CALLS:
            return self.enter(call_of(equation), states, call_of(other))
        if name in LOOPS:
            return LOOPS[name](self.enter, self.counts, equation, states, other)
        if any(s.place is not None for s in states):
            raise refusal(equation, "brings a sum over the batch together with single examples")
        reduced = [s.reduced for s in states]
        scales = (name in ("mul", "dot_general") and sum(reduced) == 1) or (name == "div" and reduced == [True, False])
        fine = scales or name in LINEAR or name in SUMS or (name == "select_n" and not reduced[0])
        fine = fine or (name in ("gather", "dynamic_slice") and reduced[0] and sum(reduced) == 1)
        if not fine or not all(map(is_inexact, equation.outvars)):
            raise refusal(equation, "is not linear in a sum over the batch")
        if scales:
            return [self._scaled(equation, states)]
        chooses = name in ("gather", "dynamic_slice", "select_n")
        if differs(equation, other) or (chooses and any(s.sized for s in states if s.free)):
            raise refusal(equation, _SIZED)
        added_up = summed(states[1:] if name == "select_n" else states[:1] if chooses else states)
        if added_up is None:
            raise refusal(equation, "adds a sum over the batch and a mean, or a penalty that is not in proportion,")
        return [added_up for _ in equation.outvars]

    def _scaled(self, equation: core.JaxprEqn, states: Sequence[State]) -> State:
        """A sum over the batch, and what is added to it, times something, or divided by it."""
        (penalty,) = (s.penalty for s in states if s.reduced)
        powers = [s.power for s in states]
        if None in powers:
            return State(reduced=True, power=None, penalty=None if penalty is None else math.inf)
        power = self._power(equation, states) or 0.0
        (own,) = (s.power for s in states if s.reduced)
        return State(reduced=True, power=power, penalty=None if penalty is None else penalty + power - (own or 0.0))

    def _own_derivative(self, equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[State]:
        """A function with a derivative of its own: neither what it computes nor that derivative may couple the examples."""
        if has_own_vjp(equation):
            raise refusal(equation, "has a backward pass of its own (custom_vjp), which is not followed")
        primal = self.enter(primal_of(equation), states, primal_of(other))
        program = str(primal_of(equation))
        if program in self._followed:  # a derivative that calls the function itself
            return primal
        self._followed.append(program)
        try:
            moving = [place for place, v in enumerate(equation.invars) if is_inexact(v)]
            inputs = [*states, *(states[place] for place in moving)]
            tangent = self.enter(tangent_of(equation, moving), inputs, tangent_of(other, moving))
        finally:
            self._followed.pop()
        if any(a.place != b.place or b.reduced or b.sized for a, b in zip(primal, tangent) if not b.free or b.sized):
            raise refusal(equation, "has a derivative of its own (custom_jvp) that couples them")
        return primal

    def _solved(self, equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[State]:
        """A linear system an example: its solution, its transpose and its derivatives keep them apart."""
        count = max(solve.constants.stop for solve in solves_of(equation))
        sides = states[count:]
        place = the_place(equation, states)
        for mine, theirs in zip(solves_of(equation), solves_of(other)):
            found = self.enter(mine.program, [*states[mine.constants], *sides], theirs.program)
            if any(s.place != place for s in found):
                raise refusal(equation, "is not known to keep the examples apart")
        return [State(place) for _ in equation.outvars]

    def _check_growth(
        self, equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn, outputs: Sequence[State]
    ) -> None:
        """No axis but that of the examples may change with their number, and that in proportion."""
        name = operation(equation)
        wrong = False
        for mine, theirs, state in zip(equation.outvars, other.outvars, outputs):
            longer, place = set(grown(mine, theirs)), state.place
            if place is not None:
                wrong = wrong or bool(longer - {place.axis})
                wrong = wrong or (place.count(shape_of(mine)), place.count(shape_of(theirs))) != self.counts
            wrong = wrong or (state.reduced and bool(longer))
        if name not in _LONG:
            for side, (given, twin, state) in enumerate(zip(equation.invars, other.invars, states)):
                dot = if_read(dot_of, equation)
                fine = (*dot.batch[side], *dot.contracted[side]) if dot is not None else ()
                wrong = wrong or bool(state.free and set(grown(given, twin)) - set(fine))
        if wrong:
            raise refusal(equation, "has another axis that is as long as there are examples")

    def _of_examples(self, equation: core.JaxprEqn, states: Sequence[State], other: core.JaxprEqn) -> list[State]:
        """Where the examples go."""
        name = operation(equation)
        if name in CALLS:
            return self.enter(call_of(equation), states, call_of(other))
        if name in LOOPS:
            return LOOPS[name](self.enter, self.counts, equation, states, other)
        if has_own_jvp(equation) or has_own_vjp(equation):
            return self._own_derivative(equation, states, other)
        if name == "custom_linear_solve":
            return self._solved(equation, states, other)
        if name in ELEMENTWISE:
            return elementwise(equation, states)
        one = _ONE_OUTPUT.get(name)
        if one is not None:
            return [one(equation, states)]
        columns = sides(equation, states)
        if columns is not None:
            return [columns]
        place = the_place(equation, states)
        alone = all(
            s.place is not None or shape_of(v) == () or s.is_even(place) for s, v in zip(states, equation.invars)
        )
        found = moved(equation, place) if alone else None
        if found is None or (name == "slice" and not _same_slice(equation, other, place, found)):
            raise refusal(equation, "is not known to keep the examples apart")
        return found


#: by name, one output
_ONE_OUTPUT: dict[str, Callable[[core.JaxprEqn, Sequence[State]], State]] = {
    "dot_general": product,
    "conv_general_dilated": convolved,
    "concatenate": joined,
    "stack": joined,
    "gather": gathered,
    "dynamic_slice": sliced,
    "dynamic_update_slice": sliced,
    **dict.fromkeys(SCATTERS, scattered),
}


def _same_slice(equation: core.JaxprEqn, other: core.JaxprEqn, place: Place, found: Sequence[State]) -> bool:
    """For another number of examples: the same along other axes, and the same entries of every example."""
    pairs = zip(slice_of(equation), slice_of(other))
    same = all(a == b for axis, (a, b) in enumerate(pairs) if axis != place.axis)
    return same and moved(other, place) == list(found)


def _decided(equation: core.JaxprEqn, states: Sequence[State]) -> State | None:
    """The case that a known condition selects: indices that are not negative are not counted from the end."""
    if operation(equation) != "select_n" or states[0].known is None or states[0].sized:
        return None
    cases = {int(which) for known in states[0].known for which in np.unique(known)}
    if len(cases) != 1:
        return None
    return states[1 + cases.pop()]
