"""A value minus the mean of itself alone: batch norm of ONE example, whose gradients vanish without an error.

    y = x - mean(x over an axis of one entry) = 0,    so that d loss / d x = 0 through y, and y / sqrt(0 + epsilon) = 0

It is read off the jaxpr, where no model means it: the mean must be a sum over axes of length one only. The same
normalisation over an axis that has entries (layers, groups, pixels) is not zero, and is left alone, but for that of one image as
batch norm does it: over a first axis of ONE entry and longer ones, of every channel by itself. It is another loss than that of
training, in which an image is normalised by all images of the batch.
"""

from __future__ import annotations

from jax.extend import core

from linvar.errors import warn
from linvar.numeric.gradients.per_example.evaluation import Atom, is_floating, is_variable, shape_of, size_of
from linvar.numeric.gradients.per_example.flattening import Level, Levels, level
from linvar.numeric.gradients.per_example.jaxprs import operation, reduced_axes_of

#: Operations that keep all entries in their order where they keep their number.
_ARRANGE = frozenset(("broadcast_in_dim", "reshape", "squeeze", "convert_element_type", "copy"))


def vanishes(jaxpr: core.ClosedJaxpr, levels: Levels) -> bool:
    """Is a value of the example subtracted from the mean of itself alone, at the top level of a flat jaxpr?"""
    roots: dict[
        core.Var, tuple[core.Var, bool]
    ] = {}  # the value that this one is, and whether by a sum of single entries

    def root(atom: Atom) -> tuple[core.Var, bool] | None:
        return roots.get(atom, (atom, False)) if is_variable(atom) else None

    for equation in jaxpr.jaxpr.eqns:
        name, first = operation(equation), root(equation.invars[0]) if equation.invars else None
        if first is None or not is_floating(equation.outvars[0]) or not size_of(equation.outvars[0]):
            continue
        if name == "sub":
            second = root(equation.invars[1])
            alike = second is not None and first[0] is second[0] and first[1] != second[1]
            if alike and level(levels, first[0]) == Level.EXAMPLE and size_of(equation.outvars[0]) == size_of(first[0]):
                return True
        same_size = is_floating(equation.invars[0]) and size_of(equation.outvars[0]) == size_of(equation.invars[0])
        if name in _ARRANGE and same_size:
            roots[equation.outvars[0]] = first
        elif name == "reduce_sum" and all(shape_of(equation.invars[0])[a] == 1 for a in reduced_axes_of(equation)):
            roots[equation.outvars[0]] = (first[0], True)
        elif name in ("div", "mul") and _is_one(equation.invars[1]):
            roots[equation.outvars[0]] = first
    return False


def over_pixels(jaxpr: core.ClosedJaxpr, levels: Levels) -> bool:
    """Is a value of the example subtracted from its mean over a first axis of one entry and longer ones, channel by channel?"""
    same: dict[core.Var, core.Var] = {}  # the value that this one is
    means: dict[core.Var, core.Var] = {}  # the value whose mean, or sum, this one is
    for equation in jaxpr.jaxpr.eqns:
        name = operation(equation)
        if not equation.invars or not is_variable(equation.invars[0]) or not is_floating(equation.invars[0]):
            continue
        first, (out, *_) = equation.invars[0], equation.outvars
        root = same.get(first, first)
        if name == "sub" and is_variable(equation.invars[1]):
            if means.get(equation.invars[1]) is root and level(levels, root) == Level.EXAMPLE:
                return True
        elif name == "reduce_sum" and _of_channels(shape_of(first), reduced_axes_of(equation)):
            means[out] = root
        elif name in _ARRANGE or (name in ("div", "mul") and level(levels, equation.invars[1]) == Level.CONSTANT):
            if first in means:
                means[out] = means[first]
            elif name in _ARRANGE and size_of(out) == size_of(first):
                same[out] = root
    return False


def _of_channels(shape: tuple[int, ...], axes: tuple[int, ...]) -> bool:
    """Is a first axis of one entry summed over, and a longer one, and is a longer one left?"""
    left = [n for a, n in enumerate(shape) if a not in axes]
    return 0 in axes and shape[0] == 1 and max(shape[a] for a in axes) > 1 and max(left, default=1) > 1


def _is_one(atom: Atom) -> bool:
    """The number 1, as the count by which a mean divides."""
    return isinstance(atom, core.Literal) and shape_of(atom) == () and bool(atom.val == 1)


def warn_of_vanishing(jaxpr: core.ClosedJaxpr, levels: Levels) -> None:
    """Say so, once for every program that is compiled."""
    if vanishes(jaxpr, levels):
        warn(
            "loss subtracts a value from the mean of itself alone, which is zero, as batch norm over ONE example does: gradients "
            "vanish; use the running averages (model.eval(), use_running_average=True)"
        )
    elif over_pixels(jaxpr, levels):
        warn(
            "loss normalises ONE example by the mean over its own pixels, as batch norm over one image does: in training the "
            "mean is that of all images; use the running averages (model.eval(), use_running_average=True)"
        )
