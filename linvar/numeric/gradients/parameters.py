"""A tree of parameters parted into what is differentiated and what is held fixed.

Held fixed are activation functions and words in it and, as in ``equinox.filter_grad`` and ``flax.nnx.grad``, what these
libraries do not count among the parameters of their modules. No library is imported here that the user has not loaded: its
classes are looked up in ``sys.modules``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
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
from linvar.numeric.gradients.inputs import as_array, is_numbers


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
    pairs, structure = jax.tree_util.tree_flatten_with_path(params)
    names = [f"params{jax.tree_util.keystr(path)}" for path, _ in pairs]
    leaves = [as_array(leaf, name) for (_, leaf), name in zip(pairs, names)]
    by_library = _held_by_libraries(params)
    for leaf, name, library in zip(leaves, names, by_library):
        if not (library or is_numbers(leaf) or _is_plain(leaf)):
            cure = "give arrays: a class that holds some is registered by jax.tree_util.register_dataclass"
            raise InputTypeError(name, leaf, cure, fault=f"is a {type(leaf).__name__}, in which JAX sees no arrays")
    held = [not is_numbers(x) or library for x, library in zip(leaves, by_library)]
    own = [x for x, other in zip(leaves, held) if not other]
    for leaf, name, other in zip(leaves, names, held):
        if not other and jnp.issubdtype(jnp.result_type(leaf), jnp.complexfloating):
            raise InputTypeError(name, Words("is complex"), "give real and imaginary part as two leaves")
    if not any(jnp.issubdtype(jnp.result_type(x), jnp.floating) for x in own):
        kinds = sorted({str(jnp.result_type(x)) if is_numbers(x) else type(x).__name__ for x in leaves})
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
    if isinstance(leaf, (str, bytes, type, FunctionType, Enum)):
        return True
    return type(leaf).__module__.partition(".")[0] in ("builtins", "functools", "jax", "jaxlib", "numpy")


def _held_by_libraries(params: PyTree) -> list[bool]:
    """Leaves of modules that are no parameters: to Equinox all but floating-point arrays, to Flax other variables than Param."""
    count = len(jax.tree.leaves(params))
    held = [False] * count
    module = _loaded("equinox", "Module")
    if module is not None:
        pairs = zip(jax.tree.leaves(params), _under(params, lambda x: isinstance(x, module)))
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
