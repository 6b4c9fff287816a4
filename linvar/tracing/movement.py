"""Primitives that only move entries: NumPy moves them, or JAX moves their places."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from linvar.tracing.values import Entries, constant, filled, integers, known, places, refuse

#: the outputs of one equation
Rule = Callable[[Any, Sequence[Entries]], list[Entries]]


def stacked(arrays: Sequence[Entries], shape: tuple[int, ...]) -> Entries:
    """Arrays of this shape along a new first axis."""
    return filled((entry for array in arrays for entry in array.flat), (len(arrays), *shape))


def by_jax(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    """A primitive on known integers and truth values, run by JAX in 64 bits."""
    import jax

    with jax.enable_x64(True):
        arrays = [integers(array, atom.aval.dtype) for array, atom in zip(inputs, equation.invars)]
        found = equation.primitive.bind(*map(jax.numpy.asarray, arrays), **equation.params)
        outputs = found if equation.primitive.multiple_results else [found]
        return [constant(np.asarray(output)) for output in outputs]


def _moved(chosen: Callable[[int], Sequence[int]]) -> Rule:
    """A primitive that moves the entries of the inputs at these places, by the known integers of the others."""

    def rule(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
        import jax

        taken = chosen(len(inputs))
        pool, positions = places([inputs[k] for k in taken])
        by_place = dict(zip(taken, positions))
        for k, array in enumerate(inputs):
            if k not in by_place and not known(array):
                refuse("takes an entry at a place that is no constant", "index with integers of the data or constants")
        with jax.enable_x64(True):
            arrays = [
                by_place[k] if k in by_place else integers(array, equation.invars[k].aval.dtype)
                for k, array in enumerate(inputs)
            ]
            found = np.asarray(equation.primitive.bind(*map(jax.numpy.asarray, arrays), **equation.params))
        if found.size and (found.min() < 0 or found.max() >= len(pool)):
            refuse("takes an entry outside an array", "use indices inside its bounds")
        return [filled((pool[place] for place in found.flat), found.shape)]

    return rule


def _scattered(combine: str) -> Rule:
    """scatter_add, scatter_sub, scatter_mul: where each update goes is asked of JAX, one after another."""

    def rule(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
        import jax
        import jax.numpy as jnp

        operand, index, updates = inputs
        if not known(index):
            refuse("takes an entry at a place that is no constant", "index with integers of the data or constants")
        found = operand.copy()
        flat = found.reshape(-1)
        with jax.enable_x64(True):
            where = jnp.asarray(integers(index, equation.invars[1].aval.dtype))
            numbers = equation.params["dimension_numbers"]
            units = jnp.eye(updates.size, dtype=jnp.int64).reshape(updates.size, *updates.shape)

            def hit(unit: Any) -> Any:
                zeros = jnp.zeros(operand.shape, dtype=jnp.int64)
                return jax.lax.scatter_add(zeros, where, unit, numbers, mode=equation.params["mode"])

            hits = np.asarray(jax.vmap(hit)(units)).reshape(updates.size, -1)
        for update, place in zip(*np.nonzero(hits)):
            new = updates.reshape(-1)[update]
            flat[place] = {"add": flat[place] + new, "sub": flat[place] - new, "mul": flat[place] * new}[combine]
        return [flat.reshape(operand.shape)]

    return rule


def _reshape(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    if equation.params.get("dimensions") is not None:
        refuse("reshapes with its axes in another order", "transpose first")
    return [inputs[0].reshape(equation.params["new_sizes"])]


def _transpose(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return [inputs[0].transpose(equation.params["permutation"])]


def _squeeze(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return [inputs[0].reshape(equation.outvars[0].aval.shape)]


def _slice(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    params = equation.params
    steps = params["strides"] or (1,) * inputs[0].ndim
    return [inputs[0][tuple(map(slice, params["start_indices"], params["limit_indices"], steps))]]


def _reverse(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return [np.flip(inputs[0], equation.params["dimensions"])]


def _broadcast(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    shape, axes = equation.params["shape"], equation.params["broadcast_dimensions"]
    placed = [1] * len(shape)
    for axis, size in zip(axes, inputs[0].shape):
        placed[axis] = size
    return [np.broadcast_to(inputs[0].reshape(placed), shape)]


def _concatenate(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return [np.concatenate(inputs, axis=equation.params["dimension"])]


def _split(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    ends = np.cumsum(equation.params["sizes"])[:-1]
    return list(np.split(inputs[0], ends, axis=equation.params["axis"]))


def _copy(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return [inputs[0]]


RULES: dict[str, Rule] = {
    "reshape": _reshape,
    "transpose": _transpose,
    "squeeze": _squeeze,
    "expand_dims": _squeeze,
    "slice": _slice,
    "rev": _reverse,
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "split": _split,
    "copy": _copy,
    "copy_p": _copy,
    "pad": _moved(lambda count: (0, 1)),
    "gather": _moved(lambda count: (0,)),
    "dynamic_slice": _moved(lambda count: (0,)),
    "dynamic_update_slice": _moved(lambda count: (0, 1)),
    "scatter": _moved(lambda count: (0, 2)),
    "scatter-add": _scattered("add"),
    "scatter_add": _scattered("add"),
    "scatter_sub": _scattered("sub"),
    "scatter-mul": _scattered("mul"),
    "scatter_mul": _scattered("mul"),
}
