"""Where the examples go in one operation, and what it means for them to be kept apart."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np
from jax.extend import core
from jaxtyping import PyTree

from linvar.errors import InputError, Words, cut
from linvar.numeric.gradients.per_example.coupling.places import (
    REDUCED,
    Place,
    State,
    counts_along,
    relocated,
    reshaped,
)
from linvar.numeric.gradients.per_example.evaluation import aval_of, shape_of
from linvar.numeric.gradients.per_example.jaxprs import (
    axis_along_of,
    broadcast_axes_of,
    call_name,
    convolution_of,
    dot_of,
    joined_axis_of,
    operation,
    padding_of,
    permutation_of,
    reduced_axes_of,
    reversed_axes_of,
    squeezed_axes_of,
    top_axis_of,
)
from linvar.numeric.gradients.per_example.operations import ALONG, MATRICES, REDUCTIONS, WINDOWS
from linvar.numeric.gradients.per_example.readers import (
    fourier_axes_of,
    from_left,
    repetitions_of,
    slice_of,
    split_of,
    stacked_axis_of,
    window_of,
)

#: The loss of one example made of that of a batch, as a user writes it.
OF_ONE = """
    of_one = lambda params, example: {loss}(params, {one})  # the loss of a batch of one
    linvar.gradient_moments(of_one, params, {batch})"""


class CoupledExamplesError(InputError):
    """The loss of a batch has no per-example gradients.

    The first line of its message stands alone; two lines of code follow, the loss of one example.

    Args:
        argument, value, cure, fault: as of :class:`linvar.InputError`.
        loss: the name of the function.
        one: an example as a batch of one, in code.
        batch: the batch, in code.
    """

    def __init__(
        self,
        argument: str,
        value: object,
        cure: str,
        fault: str = "",
        loss: str = "batch_loss",
        one: str = "jax.tree.map(lambda x: x[None], example)",
        batch: str = "batch",
    ) -> None:
        super().__init__(argument, value, cure, fault)
        self.loss, self.one, self.batch = loss, one, batch
        self.args = (argument, value, cure, fault, loss, one, batch)

    def fitted(self, loss: object, batch: PyTree) -> CoupledExamplesError:
        """The same, said of this loss and this batch."""
        name = getattr(loss, "__name__", "")
        one = "example[None]" if jax.tree_util.all_leaves([batch]) else self.one
        return CoupledExamplesError(
            self.argument,
            self.value,
            self.cure,
            self.fault,
            name if name.isidentifier() else self.loss,
            one,
            self.batch,
        )

    def __str__(self) -> str:
        code = OF_ONE.format(loss=self.loss, one=self.one, batch=self.batch)
        return f"{super().__str__()}; the loss of one example here:{code}"


def refusal(equation: core.JaxprEqn, why: str) -> CoupledExamplesError:
    """The operation, where it stands, and what to do."""
    name = call_name(equation)
    shapes = cut(", ".join(str(shape_of(v)) for v in equation.invars))
    what = f"{operation(equation)}{f' ({name})' if name else ''} of shapes {shapes}"
    return CoupledExamplesError(
        "loss",
        Words(f"couples the examples of a batch, so that it has no per-example gradient: {what} {why.rstrip(',')}"),
        "freeze what is computed over the batch, give mask= for rows of padding, or give the loss of ONE example",
    )


def the_place(equation: core.JaxprEqn, states: Sequence[State]) -> Place:
    """Where all operands that have the examples have them."""
    places = {s.place for s in states if s.place is not None}
    first, *more = sorted(places)
    if more:
        raise refusal(equation, f"combines examples along axes {first.axis} and {more[0].axis}, or in another order")
    if any(s.own for s in states):
        raise refusal(equation, "computes with the examples' positions")
    return first


def elementwise(equation: core.JaxprEqn, states: Sequence[State]) -> list[State]:
    """All operands that have the examples have them in one place, the others do not tell positions apart."""
    if len(states) == 1 and states[0].own:  # an integer that can count the examples
        dtype = aval_of(equation.outvars[0]).dtype
        if dtype.kind in "iu" and dtype.itemsize >= 4:
            return [State(states[0].place, own=states[0].own)]
    place = the_place(equation, states)
    for v, s in zip(equation.invars, states):
        if s.free and shape_of(v) != () and not s.is_even(place) and shape_of(v)[place.axis : place.axis + 1] != (1,):
            raise refusal(equation, "combines the examples with values that differ between their positions (a random draw "
                                    "for the whole batch, or weights by position),")  # fmt: skip
    return [State(place) for _ in equation.outvars]


def product(equation: core.JaxprEqn, states: Sequence[State]) -> State:
    """The examples in a free or a batch axis; or summed, each with itself or with the same."""
    dot = dot_of(equation)
    contracted, batch = dot.contracted, dot.batch
    if any(s.own for s in states):
        raise refusal(equation, "computes with the examples' positions")
    places = [s.place for s in states]
    for side in (0, 1):
        place = places[side]
        if place is None or place.axis not in contracted[side]:
            continue
        same = place.at(contracted[1 - side][contracted[side].index(place.axis)])
        mate = states[1 - side]
        if mate.place == same or (mate.free and mate.is_even(same)):
            return REDUCED
        raise refusal(equation, "sums over the examples times something else")
    left, right = places
    if left is not None and right is not None:
        both = [batch[side].index(p.axis) if p.axis in batch[side] else None for side, p in ((0, left), (1, right))]
        if both[0] is None or both[0] != both[1] or left.at(0) != right.at(0):
            raise refusal(equation, "multiplies every example with every other")
        return State(left.at(both[0]))
    side, place = (0, left) if left is not None else (1, right)
    assert place is not None
    if place.axis in batch[side]:
        number = batch[side].index(place.axis)
        if not states[1 - side].is_even(place.at(batch[1 - side][number])):
            raise refusal(equation, "combines the examples with values that differ between their positions,")
        return State(place.at(number))
    shapes = [shape_of(v) for v in equation.invars]
    rest = [[a for a in range(len(shapes[i])) if a not in contracted[i] and a not in batch[i]] for i in (0, 1)]
    return State(place.at(len(batch[0]) + (len(rest[0]) if side == 1 else 0) + rest[side].index(place.axis)))


def joined(equation: core.JaxprEqn, states: Sequence[State]) -> State:
    """Side by side along another axis (or a new one); or whole batches one behind the other."""
    new = operation(equation) == "stack"
    along = stacked_axis_of(equation) if new else joined_axis_of(equation)
    shapes = [shape_of(v) for v in equation.invars]
    rank = len(shapes[0])
    if not new and all(s.place is not None and s.place.axis == along and not s.own for s in states):
        places = [s.place for s in states if s.place is not None]
        if len({(p.inner, p.count(shape)) for p, shape in zip(places, shapes)}) == 1:
            return State(Place(along, sum(p.outer for p in places), places[0].inner))
    places_met = sorted({s.place for s in states if s.place is not None})
    why = "joins examples with other examples or with values that differ between positions"
    if len(places_met) != 1:
        raise refusal(equation, why)
    (place,) = places_met
    if not new and along == place.axis:
        raise refusal(equation, why)
    last = along == (rank if new else rank - 1)
    own: set[int] = set()
    start = 0
    for s, shape in zip(states, shapes):
        width = 1 if new else shape[along]
        if s.own:  # columns of its own stay columns only along the last axis
            if not last or new:
                raise refusal(equation, why)
            own |= {start + column for column in s.own}
        elif s.free and not s.is_even(place):
            if not last or s.known is None or not counts_along(s.known[0], place):
                raise refusal(equation, why)
            own |= set(range(start, start + width))
        start += width
    return State(place.at(place.axis + (1 if new and along <= place.axis else 0)), own=frozenset(own))


def convolved(equation: core.JaxprEqn, states: Sequence[State]) -> State:
    """The examples as the batch of the input, with a kernel that is free of them."""
    convolution, place = convolution_of(equation), states[0].place
    if place is not None and place.axis == convolution.input[0] and states[1].free and convolution.batch_groups == 1:
        return State(place.at(convolution.output[0]))
    raise refusal(equation, "convolves along the examples or with a kernel made of them")


def moved(equation: core.JaxprEqn, place: Place) -> list[State] | None:
    """The examples after an operation that all operands take along the same axes; None if it does not keep them apart."""
    name, shape, out = operation(equation), shape_of(equation.invars[0]), shape_of(equation.outvars[0])
    axis = place.axis
    found: Place | None = None
    if name in REDUCTIONS:
        axes = reduced_axes_of(equation)
        if axis in axes:
            if name != "reduce_sum":
                raise refusal(equation, "looks at all examples together")
            return [REDUCED]
        found = place.at(axis - sum(a < axis for a in axes))
    elif name == "broadcast_in_dim":
        found = place.at(broadcast_axes_of(equation)[axis])
    elif name == "transpose":
        found = place.at(permutation_of(equation).index(axis))
    elif name == "squeeze":
        gone = squeezed_axes_of(equation)
        found = None if axis in gone else place.at(axis - sum(a < axis for a in gone))
    elif name in ("reshape", "expand_dims"):
        found = reshaped(shape, out, place)
    elif name == "tile":
        found = Place(axis, place.outer * repetitions_of(equation)[axis], place.inner)
    elif name == "slice":
        bounds = slice_of(equation)[axis]
        found = place if out[axis] == shape[axis] else relocated(shape, place, np.arange(shape[axis])[bounds])
    elif name == "split":
        return _split(equation, place)
    elif _leaves_alone(equation, axis):
        found = place
    return None if found is None else [State(found)] * len(equation.outvars)


def sides(equation: core.JaxprEqn, states: Sequence[State]) -> State | None:
    """The examples as right-hand sides of one triangular system, which is free of them; None if they are not."""
    if operation(equation) != "triangular_solve" or not states[0].free or states[1].own:
        return None
    place = states[1].place
    if place is None:
        return None
    rank = len(shape_of(equation.invars[1]))
    return State(place) if place.axis == rank - (1 if from_left(equation) else 2) else None


def _split(equation: core.JaxprEqn, place: Place) -> list[State] | None:
    """Along another axis, or into whole batches."""
    along, sizes = split_of(equation)
    if along != place.axis:
        return [State(place) for _ in sizes]
    shape, stops = shape_of(equation.invars[0]), np.cumsum(sizes)
    parts = [relocated(shape, place, np.arange(stop - size, stop)) for size, stop in zip(sizes, stops)]
    return None if None in parts else [State(part) for part in parts]


def _leaves_alone(equation: core.JaxprEqn, axis: int) -> bool:
    """Is the axis, at its place, untouched?"""
    name, shape = operation(equation), shape_of(equation.invars[0])
    if name in ALONG:
        return axis_along_of(equation) != axis
    if name == "rev":
        return axis not in reversed_axes_of(equation)
    if name == "pad":
        return padding_of(equation)[axis] == (0, 0, 0)
    if name == "top_k":
        return top_axis_of(equation) != axis
    if name == "fft":
        return axis < len(shape) - fourier_axes_of(equation)
    if name == "optimization_barrier":
        return True
    if name in MATRICES:
        core_axes = 1 if name == "lu_pivots_to_permutation" else 2
        return axis < max(len(shape_of(v)) for v in equation.invars) - core_axes
    return name in WINDOWS and window_of(equation).keeps(axis)
