"""A tree of parameters parted into what is differentiated and what is held fixed.

Held fixed are activation functions and words in it and, as in ``equinox.filter_grad`` and ``flax.nnx.grad``, what these
libraries do not count among the parameters of their modules. No library is imported here that the user has not loaded: its
classes are looked up in ``sys.modules``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import FunctionType
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import PyTreeDef
from jaxtyping import PyTree

from linvar.errors import InputError, InputTypeError, Words, cut, shown
from linvar.numeric.gradients.fixed import Frame, apart
from linvar.numeric.gradients.inputs import as_arrays, is_numbers
from linvar.numeric.gradients.leaves import of_leaves

#: Which leaves are measured, as optax's masks: booleans in a tree that is a prefix of the parameters, or a function of these
#: that gives one.
Leaves: TypeAlias = PyTree | Callable[[PyTree], PyTree]


@dataclass(frozen=True)
class Rest:
    """What is held fixed in a tree of parameters."""

    structure: PyTreeDef
    own: tuple[bool, ...]  # which leaves are differentiated
    frame: Frame  # of the list of the others

    def joined(self, params: PyTree, held: Iterable[object]) -> PyTree:
        """The whole tree, of parameters and of the arrays that are held fixed."""
        given, others = iter(jax.tree.leaves(params)), iter(self.frame.joined(held))
        return jax.tree.unflatten(self.structure, [next(given) if mine else next(others) for mine in self.own])


def chosen(params: PyTree, leaves: Leaves) -> list[bool]:
    """For each leaf of the parameters, whether it is measured.

    Raises:
        InputTypeError: no booleans.
        InputError: no prefix of the parameters, or none is chosen.
    """
    cure = "give booleans in a tree like params or a prefix of it, or a function of params that returns one, as for optax.masked"
    function = callable(leaves) and jax.tree_util.all_leaves([leaves])
    mask = leaves(params) if function else leaves
    flags: list[bool] = []

    def taken(flag: object, below: PyTree) -> None:
        if not isinstance(flag, (bool, np.bool_)):
            raise InputTypeError("leaves", Words(f"holds {shown(flag, 40)}"), cure)
        flags.extend([bool(flag)] * len(jax.tree.leaves(below)))

    try:
        jax.tree.map(taken, mask, params)
    except InputError:
        raise
    except (TypeError, ValueError) as error:
        raise InputError("leaves", Words("is no prefix of params"), cure) from error
    if not any(flags):
        raise none_chosen()
    return flags


def none_chosen() -> InputError:
    """Of what the user chose nothing has a gradient."""
    return InputError(
        "leaves", Words("chooses no floating-point leaf of params"), "give True for those that are measured"
    )


def part(params: PyTree, leaves: Leaves | None = None) -> tuple[PyTree, list[object], Rest | None]:
    """The parameters with None where something is held fixed, the arrays among that, and the rest of it.

    Args:
        params: of the user.
        leaves: those that are not held fixed; None: all.

    Raises:
        InputTypeError: nothing to differentiate; an array that JAX does not take; complex numbers.
        InputError: ``leaves`` chooses none.
    """
    own = None if leaves is None else chosen(params, leaves)
    _check_not_variables(params)
    given, structure = jax.tree.flatten(params)
    if not all(isinstance(x, jax.Array) for x in given):
        given = jax.tree.leaves(as_arrays(params, "params"))
    numbers, by_library = list(map(is_numbers, given)), _held_by_libraries(params, given)
    held = [library or not number for number, library in zip(numbers, by_library)]
    for i, (leaf, library) in enumerate(zip(given, by_library)):
        if held[i] and not (library or _is_plain(leaf)):
            cure = "give arrays: a class that holds some is registered by jax.tree_util.register_dataclass"
            fault = f"is a {type(leaf).__name__}, in which JAX sees no arrays"
            raise InputTypeError(_name(params, i), leaf, cure, fault=fault)
    if own is not None:
        held = [other or not mine for other, mine in zip(held, own)]
    dtypes = [None if other else jnp.result_type(x) for x, other in zip(given, held)]
    for i, dtype in enumerate(dtypes):
        if dtype is not None and jnp.issubdtype(dtype, jnp.complexfloating):
            raise InputTypeError(_name(params, i), Words("is complex"), "give real and imaginary part as two leaves")
    if not any(dtype is not None and jnp.issubdtype(dtype, jnp.floating) for dtype in dtypes):
        if own is not None:
            raise none_chosen()
        kinds = sorted({str(jnp.result_type(x)) if number else type(x).__name__ for x, number in zip(given, numbers)})
        has = f"has leaves of type {cut(', '.join(kinds), 60)} only" if given else "has no leaves"
        raise InputTypeError(
            "params",
            Words(f"{has}: there is nothing to differentiate"),
            "give floating-point arrays, as jax.tree.map(jnp.asarray, ...) of floats, and not the static part of a partition",
        )
    if not any(held):
        return jax.tree.unflatten(structure, given), [], None
    arrays, frame = apart([x for x, other in zip(given, held) if other])
    tree = jax.tree.unflatten(structure, [None if other else x for x, other in zip(given, held)])
    return tree, arrays, Rest(structure, tuple(not other for other in held), frame)


def _is_plain(leaf: object) -> bool:
    """A function, a type or a word: nothing that could hold arrays of its own which would silently be left out."""
    if isinstance(leaf, (str, bytes, type, np.dtype, slice, range, FunctionType, Enum)):
        return True
    return callable(leaf) and type(leaf).__module__.partition(".")[0] in (
        "builtins",
        "functools",
        "jax",
        "jaxlib",
        "numpy",
    )


def _name(params: PyTree, leaf: int) -> str:
    """Of a leaf, as a user writes it."""
    path, _ = jax.tree_util.tree_leaves_with_path(params)[leaf]
    return f"params{jax.tree_util.keystr(path)}"


def _held_by_libraries(params: PyTree, leaves: Sequence[object]) -> list[bool]:
    """Leaves of modules that are no parameters: to Equinox all but floating-point arrays, to Flax other variables than Param."""
    held = [False] * len(leaves)
    module = _loaded("equinox", "Module")
    if module is not None:
        pairs = zip(leaves, _under(params, lambda x: isinstance(x, module)))
        held = [inside and not _is_inexact_array(leaf) for leaf, inside in pairs]
    variable, parameter = _loaded("flax.nnx", "Variable"), _loaded("flax.nnx", "Param")
    if variable is not None and parameter is not None:
        variables = _under(params, lambda x: isinstance(x, variable))
        parameters = _under(params, lambda x: isinstance(x, parameter))
        if any(parameters):
            held = [old or (a and not b) for old, a, b in zip(held, variables, parameters)]
    return held


def _loaded(module: str, name: str) -> type | None:
    """A class of a library that the user has loaded."""
    found = getattr(sys.modules.get(module), name, None)
    return found if isinstance(found, type) else None


def _under(tree: PyTree, chosen: Callable[[object], bool]) -> list[bool]:
    """For each leaf, whether it is in a chosen node."""
    nodes = jax.tree.leaves(tree, is_leaf=chosen)
    return [chosen(node) for node in nodes for _ in jax.tree.leaves(node)]


def _is_inexact_array(leaf: object) -> bool:
    return isinstance(leaf, (jax.Array, np.ndarray, np.generic)) and jnp.issubdtype(leaf.dtype, jnp.inexact)


def _check_not_variables(params: PyTree) -> None:
    """The variables of a Flax linen module: running means are no parameters."""
    if not isinstance(params, Mapping) or "params" not in params or len(params) < 2:
        return
    others = [name for name, tree in params.items() if name != "params" and jax.tree.leaves(tree)]
    if "batch_stats" in others:
        raise InputError(
            "params",
            Words(f"is a dictionary of variables: {cut(', '.join(map(repr, others)), 60)} beside 'params'"),
            "give variables['params'], with the loss lambda params, example: loss({**variables, 'params': params}, example)",
        )


def check_depends(strategies: Iterable[str]) -> None:
    """Some leaf of the parameters has a part in the loss.

    Raises:
        InputError: none has.
    """
    if all(strategy == "none" for strategy in strategies):
        raise InputError(
            "loss",
            Words("does not depend on any floating-point leaf of params: every gradient is zero"),
            "its arguments are loss(params, example), in that order, and it must use the params it is given",
        )


def direction_of(along: PyTree, params: PyTree) -> list[jax.Array]:
    """An array for each leaf that is differentiated, of a pytree like these; what else it has is left out.

    Raises:
        InputError: other leaves, or another shape; an entry that is not finite.
    """
    cure = 'give a pytree like the mean gradient, or write "mean"'
    try:
        own = jax.tree.leaves(jax.tree.map(lambda x, v: v, params, of_leaves(along, params)))
    except (TypeError, ValueError) as error:
        raise InputError("along", Words("has other leaves than params"), cure) from error
    found = [jnp.asarray(v) for v in jax.tree.leaves(as_arrays(own, "along"))]
    shapes = [(v.shape, jnp.shape(x)) for v, x in zip(found, jax.tree.leaves(params)) if v.shape != jnp.shape(x)]
    if shapes:
        raise InputError("along", Words(f"has a leaf of shape {shapes[0][0]} for one of {shapes[0][1]}"), cure)
    if not all(isinstance(v, jax.core.Tracer) or bool(jnp.all(jnp.isfinite(v))) for v in found):
        raise InputError("along", Words("is not finite"), cure)
    return found
