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

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import PyTreeDef
from jaxtyping import PyTree

from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.numeric.gradients.fixed import Frame, apart
from linvar.numeric.gradients.inputs import as_arrays, is_numbers


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


def part(params: PyTree) -> tuple[PyTree, list[object], Rest | None]:
    """The parameters with None where something is held fixed, the arrays among that, and the rest of it.

    Raises:
        InputTypeError: nothing to differentiate; an array that JAX does not take; complex numbers.
    """
    _check_not_variables(params)
    leaves, structure = jax.tree.flatten(params)
    if not all(isinstance(x, jax.Array) for x in leaves):
        leaves = jax.tree.leaves(as_arrays(params, "params"))
    numbers, by_library = list(map(is_numbers, leaves)), _held_by_libraries(params, leaves)
    held = [library or not number for number, library in zip(numbers, by_library)]
    for i, (leaf, library) in enumerate(zip(leaves, by_library)):
        if held[i] and not (library or _is_plain(leaf)):
            cure = "give arrays: a class that holds some is registered by jax.tree_util.register_dataclass"
            fault = f"is a {type(leaf).__name__}, in which JAX sees no arrays"
            raise InputTypeError(_name(params, i), leaf, cure, fault=fault)
    dtypes = [None if other else jnp.result_type(x) for x, other in zip(leaves, held)]
    for i, dtype in enumerate(dtypes):
        if dtype is not None and jnp.issubdtype(dtype, jnp.complexfloating):
            raise InputTypeError(_name(params, i), Words("is complex"), "give real and imaginary part as two leaves")
    if not any(dtype is not None and jnp.issubdtype(dtype, jnp.floating) for dtype in dtypes):
        kinds = sorted({str(jnp.result_type(x)) if number else type(x).__name__ for x, number in zip(leaves, numbers)})
        has = f"has leaves of type {cut(', '.join(kinds), 60)} only" if leaves else "has no leaves"
        raise InputTypeError(
            "params",
            Words(f"{has}: there is nothing to differentiate"),
            "give floating-point arrays, as jax.tree.map(jnp.asarray, ...) of floats, and not the static part of a partition",
        )
    if not any(held):
        return jax.tree.unflatten(structure, leaves), [], None
    arrays, frame = apart([x for x, other in zip(leaves, held) if other])
    tree = jax.tree.unflatten(structure, [None if other else x for x, other in zip(leaves, held)])
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
