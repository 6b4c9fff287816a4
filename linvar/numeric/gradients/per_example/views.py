"""Values that are entries of one leaf, in another order, times a constant: their gradients are those of the leaf, moved.

Which entries, is what NumPy says of the same slices of an array of bytes that nobody writes to: two values of which NumPy
says that they share no memory have no entry of the leaf in common, and what they add to a trace adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.extend import core

from linvar.numeric.gradients.per_example.evaluation import Atom, is_floating, is_variable, shape_of, size_of, variables
from linvar.numeric.gradients.per_example.flattening import Level, Levels, level
from linvar.numeric.gradients.per_example.jaxprs import (
    operation,
    permutation_of,
    reversed_axes_of,
    unread,
)
from linvar.numeric.gradients.per_example.meshes import zeros_as
from linvar.numeric.gradients.per_example.operations import RESHAPED
from linvar.numeric.gradients.per_example.readers import pieces_of, slice_of

#: steps of the search for a common entry of two values, after which they are taken to have one
MOST_WORK = 10_000


@dataclass(frozen=True, eq=False)
class View:
    """A value that is some entries of a leaf, each once.

    Attributes:
        leaf: which.
        places: the same entries of an array of bytes as large as the leaf.
        moves: the equations that take it from the leaf, and which of their outputs it is.
        sign: 1, or -1 where it is the entries with the other sign.
        by: the constants that it is multiplied by.
        over: those that it is divided by.
    """

    leaf: int
    places: np.ndarray
    moves: tuple[tuple[core.JaxprEqn, int], ...] = ()
    sign: int = 1
    by: tuple[Atom, ...] = ()
    over: tuple[Atom, ...] = ()

    @property
    def plain(self) -> bool:
        """Is it the entries themselves?"""
        return self.sign == 1 and not self.by and not self.over

    def back(self, gradient: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """The leaf, of this shape, with these numbers in the places of the entries, and zeros."""

        def taken(leaf: jax.Array) -> jax.Array:
            for equation, number in self.moves:
                leaf = _places(equation, leaf)[number]
            return leaf

        (found,) = jax.vjp(taken, zeros_as(gradient, shape, gradient.dtype))[1](gradient)
        placed: jax.Array = found
        return placed

    def overlaps(self, other: View) -> bool:
        """May they have an entry in common?"""
        try:
            return bool(np.shares_memory(self.places, other.places, max_work=MOST_WORK))  # type: ignore[arg-type] # any int
        except np.exceptions.TooHardError:
            return True


#: Arrays that are moved: of places, or of numbers.
Moved: TypeAlias = Any  # np.ndarray or jax.Array, whose methods are the same here
#: The views among a program's values.
Views: TypeAlias = Mapping[core.Var, View]


def views_of(jaxpr: core.ClosedJaxpr, levels: Levels, count: int) -> Views:
    """All of them; the first ``count`` inputs are the leaves."""
    found = {v: View(i, np.empty(shape_of(v), np.bool_)) for i, v in enumerate(jaxpr.jaxpr.invars[:count])}
    for equation in jaxpr.jaxpr.eqns:
        if any(v in found for v in variables(equation.invars)) and all(map(is_floating, equation.outvars)):
            found.update(_after(equation, found, levels))
    return found


def _after(equation: core.JaxprEqn, found: Views, levels: Levels) -> dict[core.Var, View]:
    """Those among the outputs of an equation."""
    name = operation(equation)
    if name in ("mul", "div") and len(equation.invars) == 2:
        return _scaled(equation, found, levels)
    first = equation.invars[0]
    if not is_variable(first) or first not in found:
        return {}
    view = found[first]
    if name == "neg":
        return {equation.outvars[0]: replace(view, sign=-view.sign)}
    pieces = _places(equation, view.places)
    apart = [p for p in pieces if p.size == 0 or np.may_share_memory(p, view.places)]  # not if it had to be copied
    if len(apart) < len(pieces):
        return {}
    outputs = zip(equation.outvars, apart)
    return {v: replace(view, places=p, moves=(*view.moves, (equation, i))) for i, (v, p) in enumerate(outputs)}


def _scaled(equation: core.JaxprEqn, found: Views, levels: Levels) -> dict[core.Var, View]:
    """A view times, or over, one number that is neither of the parameters nor of the example."""
    left, right = equation.invars
    (out,) = equation.outvars
    if is_variable(left) and left in found and _number(right, levels):
        view = found[left]
        times = operation(equation) == "mul"
        return {out: replace(view, by=(*view.by, right)) if times else replace(view, over=(*view.over, right))}
    if operation(equation) == "mul" and is_variable(right) and right in found and _number(left, levels):
        return {out: replace(found[right], by=(*found[right].by, left))}
    return {}


def _number(atom: Atom, levels: Levels) -> bool:
    """One constant."""
    return size_of(atom) == 1 and level(levels, atom) == Level.CONSTANT


#: Operations that move entries, on the places of the entries.
_MOVES: Mapping[str, Callable[[core.JaxprEqn, Moved], list[Moved]]] = {
    "transpose": lambda equation, places: [places.transpose(permutation_of(equation))],
    "rev": lambda equation, places: [places[_turned(reversed_axes_of(equation), places.ndim)]],
    "slice": lambda equation, places: [places[slice_of(equation)]],
    "split": lambda equation, places: [places[piece] for piece in pieces_of(equation)],
}


def _turned(axes: Sequence[int], count: int) -> tuple[slice, ...]:
    return tuple(slice(None, None, -1 if axis in axes else 1) for axis in range(count))


def _places(equation: core.JaxprEqn, places: Moved) -> list[Moved]:
    """The places of the entries of every output; none if this is not an operation that moves entries."""
    name, out = operation(equation), equation.outvars[0]
    if name in RESHAPED or (name == "broadcast_in_dim" and size_of(out) == places.size):
        return [places.reshape(shape_of(out))]
    if name not in _MOVES or unread(equation):
        return []
    return _MOVES[name](equation, places)
