"""What the gradient functions are given as examples: arrays of any library, one batch, many; or refused with the cure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from linvar.errors import InputTypeError, cut
from linvar.numeric.arguments import check_examples

_STACK = "a list of examples is stacked by jax.tree.map(lambda *rows: np.stack(rows), *batch)"


def is_numbers(leaf: object) -> bool:
    """Numbers to JAX, and no function, type or word."""
    if isinstance(leaf, jax.Array):
        return True
    if callable(leaf) or isinstance(leaf, (str, bytes, np.dtype)):
        return False
    try:
        return jnp.result_type(leaf) is not None
    except (TypeError, ValueError):
        return False


def as_array(leaf: object, name: str) -> object:
    """A leaf as it is, or an array of another library through NumPy.

    Raises:
        InputTypeError: a table, an array on another device, an array of anything but numbers.
    """
    if isinstance(leaf, (jax.Array, bool, int, float, complex)) or hasattr(leaf, "__jax_array__"):
        return leaf
    kind = type(leaf)
    if hasattr(leaf, "to_numpy"):
        raise InputTypeError(name, leaf, "give its numbers, .to_numpy()", fault=f"is a {kind.__name__}")
    if isinstance(leaf, jax.ShapeDtypeStruct):
        raise InputTypeError(name, leaf, "give arrays", fault="is a shape without numbers")
    if isinstance(leaf, np.ma.MaskedArray):
        raise InputTypeError(name, leaf, "give .filled(...), or the rows that are whole", fault="has masked entries")
    found = leaf
    if not isinstance(found, (np.ndarray, np.generic)):
        if not (hasattr(leaf, "shape") and hasattr(leaf, "dtype")):
            return leaf
        if not hasattr(leaf, "__array__"):
            raise InputTypeError(name, leaf, "give an array of NumPy, .toarray() of a sparse one")
        try:
            found = np.asarray(leaf)
        except Exception as error:  # noqa: BLE001  whatever the other library raises
            cure = "give it as an array of NumPy, .detach().cpu().numpy() of a tensor of torch"
            raise InputTypeError(name, leaf, cure, fault=f"gives no array ({cut(str(error), 80)})") from error
    if isinstance(found, np.ndarray) and not found.dtype.isnative:
        found = found.astype(found.dtype.newbyteorder("="))
    if not is_numbers(found):
        cure = "give an array of numbers, of 64 bits at most"
        raise InputTypeError(name, leaf, cure, fault=f"is no array of numbers ({cut(str(found.dtype), 30)})")
    return found


def as_arrays(tree: PyTree, name: str) -> PyTree:
    """The tree with the arrays of other libraries as NumPy's."""

    def taken(path: Sequence[object], leaf: object) -> object:
        return leaf if isinstance(leaf, jax.Array) else as_array(leaf, f"{name}{jax.tree_util.keystr(tuple(path))}")

    return jax.tree_util.tree_map_with_path(taken, tree)


def _as_batch(batch: PyTree, name: str) -> PyTree:
    """The same, with mappings that JAX does not know as dictionaries."""
    return as_arrays(jax.tree.map(lambda x: dict(x) if isinstance(x, Mapping) else x, batch), name)


def one_batch(batch: PyTree) -> tuple[PyTree, int]:
    """A batch of arrays, and how many examples it has."""
    if _is_source(batch):
        raise InputTypeError(
            "batch", batch, "give ONE batch, next(iter(batch)); noise_scale takes all of them", fault="gives batches"
        )
    taken = _as_batch(batch, "batch")
    return taken, check_examples(taken, "batch", _cure(taken, "batch", "give every leaf one row per example"))


def one_of_many(batch: PyTree, name: str) -> PyTree:
    """A batch that an iterator gave."""
    taken = _as_batch(batch, name)
    check_examples(taken, name, _cure(taken, name, "give batches, in which every leaf has one row per example"))
    return taken


def _is_source(data: object) -> bool:
    """An iterator of batches, or what gives one: a loader, and no array, table, word or tree."""
    if isinstance(data, Iterator):
        return True
    if not jax.tree_util.all_leaves([data]) or isinstance(data, (str, bytes, Mapping)):
        return False
    return hasattr(data, "__iter__") and not hasattr(data, "shape") and not hasattr(data, "to_numpy")


def source_of(data: PyTree) -> Iterator[PyTree] | None:
    """An iterator over batches; None if ``data`` are arrays.

    Raises:
        InputTypeError: a function, or a set of single examples.
    """
    if _is_source(data):
        batches: Iterator[PyTree] = iter(data)
        return batches
    if jax.tree_util.all_leaves([data]) and not hasattr(data, "shape"):
        if callable(data):
            raise InputTypeError("data", data, "call it, and give what it returns", fault="is a function")
        if hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (str, bytes, Mapping)):
            raise InputTypeError(
                "data", data, "give a loader, which makes batches of it", fault="gives single examples"
            )
    return None


def rows_of(data: PyTree) -> tuple[PyTree, int]:
    """Data with the examples first, and how many there are; what can be cut into arrays of NumPy stays where it is."""

    def taken(path: Sequence[object], leaf: object) -> object:
        dtype = getattr(leaf, "dtype", None)
        arrays = isinstance(dtype, np.dtype) and dtype.isnative and hasattr(leaf, "__array__")
        cut_out = hasattr(leaf, "__getitem__") and not isinstance(leaf, np.ma.MaskedArray)
        where = f"data{jax.tree_util.keystr(tuple(path))}"
        return leaf if arrays and cut_out and not hasattr(leaf, "to_numpy") else as_array(leaf, where)

    data = jax.tree_util.tree_map_with_path(taken, dict(data) if isinstance(data, Mapping) else data)
    cure = "give arrays with a row per example, or an iterator of batches: iter(data) of a list of them"
    return data, check_examples(data, "data", _cure(data, "data", cure))


def _cure(tree: PyTree, name: str, otherwise: str) -> str:
    """What to do where the leading axes differ: lists of numbers and of examples are seen from their shapes."""
    for path, node in jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_list_of_numbers):
        if _is_list_of_numbers(node):
            where = f"{name}{jax.tree_util.keystr(path)}"
            return f"{where} is a list: give an array, np.asarray of it, with rows of equal length"
    if not isinstance(tree, (list, tuple)):
        return otherwise
    kinds = {(jax.tree.structure(one), tuple(map(_shape, jax.tree.leaves(one)))) for one in tree}
    lengths = {_shape(leaf)[:1] for leaf in jax.tree.leaves(tree)}
    alike = len(tree) > 1 and len(kinds) == 1 and len(lengths) > 1
    return f"{otherwise}; {_STACK}" if alike else otherwise


def _is_list_of_numbers(node: object) -> bool:
    """Of Python's, in lists: to JAX each is a leaf."""
    leaves = jax.tree.leaves(node) if isinstance(node, (list, tuple)) else []
    return bool(leaves) and all(isinstance(leaf, (bool, int, float, complex)) for leaf in leaves)


def _shape(leaf: object) -> tuple[int, ...]:
    return tuple(getattr(leaf, "shape", ()))
