"""The leaves of parameters in words: their names, and numbers that may be traced, batched or no numbers at all."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from functools import lru_cache, partial

import jax
import numpy as np
from jaxtyping import PyTree

from linvar.display.cell import Cell, cell_of

#: of the row of a table that has all leaves together
TOTAL = "total"
_ENTRY = re.compile(r"\[?\.?'?([^'\]]*)'?\]?")


def path_names(path: tuple[object, ...]) -> tuple[str, ...]:
    """The keys to a leaf, whatever holds them: an nnx module and its State have other containers for the same leaves."""
    names = tuple(_ENTRY.sub(r"\1", jax.tree_util.keystr((key,))) for key in path)
    return names[:-1] if names[-1:] == ("value",) else names


def leaf_names(tree: PyTree) -> tuple[str, ...]:
    """A name for each leaf, all different: "layers.0.kernel"; of parameters that are one array "params".

    >>> leaf_names({"w": {"a": 1, "b": 2}, "c": [3]}), leaf_names(1), leaf_names({"a.b": 1, "a": {"b": 2}})
    (('c.0', 'w.a', 'w.b'), ('params',), ("['a']['b']", "['a.b']"))
    """
    return _leaf_names(jax.tree.structure(tree))


@lru_cache(maxsize=64)
def _leaf_names(structure: jax.tree_util.PyTreeDef) -> tuple[str, ...]:
    """Of a structure."""
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(structure.unflatten(range(structure.num_leaves)))]
    names = [".".join(path_names(path)) or "params" for path in paths]
    return tuple(names if len(set(names)) == len(names) else map(jax.tree_util.keystr, paths))


def shapes(tree: PyTree) -> list[Cell]:
    """The shape of each leaf, and last the number of entries in all."""
    found = [np.shape(leaf) for leaf in jax.tree.leaves(tree)]
    return [*(Cell(str(shape), shape) for shape in found), Cell(f"{sum(map(math.prod, found)):,} entries")]


def of_leaves(tree: PyTree, like: PyTree) -> PyTree:
    """A tree without the leaves for which another has None."""
    return jax.tree.map(lambda own, x: None if own is None else x, like, tree, is_leaf=lambda x: x is None)


def cell(value: Callable[[], object]) -> Cell:
    """One number, and what is none (batched, traced, abstract, deleted) by its type: a table never fails."""
    return cell_of(_found(value))


def cells(
    value: Callable[..., object], leaves: Iterable[tuple[object, ...]], total: Callable[[], object]
) -> list[Cell]:
    """A number of each leaf, by a function of what there is of it, and last that of all leaves."""
    return [*(cell(partial(value, *own)) for own in leaves), cell(total)]


def number(value: Callable[[], object], form: str) -> str:
    """One number in words, and what is none by its type: a ``repr`` never fails."""
    found = _found(value)
    return found if isinstance(found, str) else f"{found:{form}}"


def _found(value: Callable[[], object]) -> float | str:
    """The number, or its type."""
    try:
        found = value()
    except Exception:  # noqa: BLE001  made of something that is no array
        return "?"
    try:
        return float(found)  # type: ignore[arg-type]  # or not
    except Exception:  # noqa: BLE001
        shape, dtype = (getattr(found, name, "?") for name in ("shape", "dtype"))
        return f"{dtype}{list(shape)}" if isinstance(shape, tuple) else "?"
