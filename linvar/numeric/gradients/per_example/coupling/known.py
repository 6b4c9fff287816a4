"""Numbers that a program makes of nothing: positions, counts and masks by shape, worked out with NumPy while it is read.

Only what indices and denominators are made of; a random draw is not among them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from jax.extend import core

from linvar.numeric.gradients.per_example.coupling.places import Known
from linvar.numeric.gradients.per_example.evaluation import Atom, aval_of, shape_of
from linvar.numeric.gradients.per_example.jaxprs import (
    broadcast_axes_of,
    counted_axis_of,
    joined_axis_of,
    operation,
    permutation_of,
    reduced_axes_of,
)
from linvar.numeric.gradients.per_example.readers import slice_of, stacked_axis_of

#: No larger arrays are worked out.
LARGEST = 2**18


def _divided(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Integers towards zero."""
    if np.issubdtype(np.result_type(a, b), np.integer):
        return np.asarray(np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)))
    return np.asarray(a / b)


#: entry by entry
_BY_ENTRY: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": _divided, "neg": np.negative, "sign": np.sign,
    "abs": np.abs, "max": np.maximum, "min": np.minimum, "rem": np.fmod, "sqrt": np.sqrt, "square": np.square,
    "rsqrt": lambda x: 1 / np.sqrt(x), "log": np.log, "exp": np.exp, "pow": np.power, "floor": np.floor, "ceil": np.ceil,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
    "and": np.bitwise_and, "or": np.bitwise_or, "not": np.invert, "clamp": lambda low, x, high: np.clip(x, low, high),
    "select_n": lambda which, *cases: np.choose(np.asarray(which, int), cases),
    "convert_element_type": lambda x: x, "copy": lambda x: x, "copy_p": lambda x: x, "stop_gradient": lambda x: x,
}  # fmt: skip


def worked_out(equation: core.JaxprEqn, inputs: Sequence[np.ndarray]) -> np.ndarray | None:
    """The value of an equation of numbers; None if this is not for here."""
    if len(equation.outvars) != 1 or not _small(equation.outvars[0]):
        return None
    (out,) = equation.outvars
    name, shape, dtype = operation(equation), shape_of(out), aval_of(out).dtype
    found: np.ndarray
    with np.errstate(all="ignore"):
        if name in _BY_ENTRY:
            found = np.asarray(_BY_ENTRY[name](*inputs))
        elif name == "iota":
            along = counted_axis_of(equation)
            positions = np.arange(shape[along]).reshape([-1 if a == along else 1 for a in range(len(shape))])
            found = np.broadcast_to(positions, shape)
        elif name == "broadcast_in_dim":
            axes = broadcast_axes_of(equation)
            kept = [inputs[0].shape[axes.index(a)] if a in axes else 1 for a in range(len(shape))]
            found = np.broadcast_to(inputs[0].reshape(kept), shape)
        elif name in ("reshape", "squeeze", "expand_dims"):
            found = inputs[0].reshape(shape)
        elif name == "transpose":
            found = inputs[0].transpose(permutation_of(equation))
        elif name == "concatenate":
            found = np.concatenate(inputs, joined_axis_of(equation))
        elif name == "stack":
            found = np.stack(inputs, stacked_axis_of(equation))
        elif name == "slice":
            found = inputs[0][slice_of(equation)]
        elif name == "reduce_sum":
            found = np.asarray(inputs[0].sum(reduced_axes_of(equation)))
        else:
            return None
    return np.asarray(found).astype(dtype)


def number(value: object) -> np.ndarray | None:
    """A captured or written number or array; None if it is not at hand (traced outside, a key) or large."""
    dtype = getattr(value, "dtype", np.dtype("float64"))
    if not isinstance(dtype, np.dtype) or type(value).__name__.endswith("Tracer"):
        return None
    if math.prod(getattr(value, "shape", ())) > LARGEST:
        return None
    try:
        array = np.asarray(value)
    except Exception:  # noqa: BLE001  a tracer of any kind
        return None
    return array if array.dtype.kind in "biuf" else None


def power_of(known: Known | None, counts: tuple[int, int]) -> float | None:
    """p of a number that grows like n^p between two numbers of examples; None if not one number, or not known.

    0 for the same number; p is additive in products, which is all that is asked of it.
    """
    if known is None or not all(x.size for x in known):
        return None
    mine, theirs = (x.astype("float64") for x in known)
    if mine.shape == theirs.shape and np.array_equal(mine, theirs):
        return 0.0
    a, b = mine.flat[0], theirs.flat[0]
    if not (np.all(mine == a) and np.all(theirs == b)):
        return None
    if a == b:
        return 0.0
    if not (a / b > 0 if b else False):
        return None
    return round(math.log(a / b) / math.log(counts[0] / counts[1]), 2)


def _small(atom: Atom) -> bool:
    return math.prod(shape_of(atom)) <= LARGEST and isinstance(aval_of(atom).dtype, np.dtype)
