"""Pytrees of exact numbers: weights of any structure, examples of any structure.

A dictionary, a tuple or any node that JAX knows is structure; a list (of lists ...) of numbers, an array, a table, a SymPy matrix
or one number is a leaf. So ``{"w": [1, "1/2"]}`` has one leaf, of shape (2,), and ``(1, "1/2")`` has two, of shape ().
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

from linvar.arrays import as_lists, is_one_number, ordered
from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.exact import Vector, exact
from linvar.plain_data import Plain, ProblemFileError, plain, read_exact, read_list, refuse

if TYPE_CHECKING:
    from jax.tree_util import PyTreeDef
    from jaxtyping import PyTree

T = TypeVar("T")
Shape = tuple[int, ...]

_ARRAY = "a list is an array: its parts have one shape; leaves of several shapes stand in a dictionary or a tuple"
#: nodes inside nodes that a file may have
_DEEPEST = 64
#: how a tuple is written where there are only lists and dictionaries
_TUPLE = "tuple"


@dataclass(frozen=True)
class Structure:
    """A pytree without its numbers.

    Attributes:
        treedef: of ``jax.tree``.
        shapes: of each leaf.
        names: of each leaf, as in ``layers.0.kernel``.
        whole: whether each leaf holds integers, which may index.
    """

    treedef: PyTreeDef
    shapes: tuple[Shape, ...]
    names: tuple[str, ...] = field(compare=False)
    whole: tuple[bool, ...]

    @classmethod
    def of(cls, tree: Any, name: str) -> tuple[Structure, tuple[Vector, ...]]:
        """The structure of a pytree of exact numbers, and the entries of each leaf, row by row.

        Raises:
            InputTypeError: an entry is a float or no number.
            InputError: there is no leaf, one is empty, or a list is no array; it names the leaf.

        >>> Structure.of({"u": [1, "1/2"], "c": 3}, "weights")
        (c, u 2, ((3,), (1, 1/2)))
        """
        import jax

        try:
            paths, treedef = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda node: isinstance(node, list))
        except (TypeError, ValueError) as error:
            cure = "give dictionaries whose keys can be sorted, tuples and arrays"
            raise InputTypeError(name, tree, cure, fault="is no pytree of JAX") from error
        names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths]
        arrays = [_array(leaf, name + jax.tree_util.keystr(path)) for path, leaf in paths]
        if not arrays:
            raise InputError(name, Words("has no leaf"), "give at least one number")
        shapes, entries = zip(*arrays)
        return cls(treedef, shapes, tuple(names), (False,) * len(shapes)), entries

    @classmethod
    def pair(cls, inputs: int, targets: int) -> Structure:
        """(x, y), of shapes (inputs,) and (targets,)."""
        import jax

        return cls(jax.tree.structure((0, 0)), ((inputs,), (targets,)), ("x", "y"), (False, False))

    def __repr__(self) -> str:
        return ", ".join(
            f"{name} {shape_text(shape)}".strip() or "a number" for name, shape in zip(self.names, self.shapes)
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of entries of each leaf."""
        return tuple(map(prod, self.shapes))

    def cut(self, entries: Sequence[T]) -> list[Sequence[T]]:
        """All entries, leaf by leaf."""
        places = [0]
        for size in self.sizes:
            places.append(places[-1] + size)
        return [entries[first:last] for first, last in zip(places, places[1:])]

    def unflatten(self, leaves: Sequence[Any]) -> PyTree:
        """The pytree with these leaves."""
        return self.treedef.unflatten(leaves)

    def nested(self, entries: Sequence[T]) -> PyTree:
        """The pytree whose leaves are lists (of lists ...) of these entries, one by one; of numbers it may be given back."""
        return self.unflatten([_nest(part, shape) for part, shape in zip(self.cut(entries), self.shapes)])


def shape_text(shape: Shape) -> str:
    """A shape as in 2x3; nothing for one number."""
    return "x".join(map(str, shape))


def _array(value: Any, name: str) -> tuple[Shape, Vector]:
    """An array of any number of axes: its shape, and its entries row by row."""
    value = as_lists(value, name)
    if is_one_number(value):
        return (), (exact(value, name),)
    items = ordered(value, name, "give a number, a list of numbers, or an array")
    parts = [_array(item, f"{name}[{place}]") for place, item in enumerate(items)]
    if not parts:
        raise InputError(name, Words("is empty"), "give at least one number")
    for place, (shape, _) in enumerate(parts):
        if shape != parts[0][0]:
            fault = Words(f"has shape {shape}, and {name}[0] has {parts[0][0]}")
            raise InputError(f"{name}[{place}]", fault, _ARRAY)
    return (len(parts), *parts[0][0]), tuple(chain.from_iterable(entries for _, entries in parts))


def _nest(entries: Sequence[T], shape: Shape) -> T | list[Any]:
    """Entries in the shape of an array, as lists."""
    if not shape:
        return entries[0]
    step = prod(shape[1:])
    return [_nest(entries[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]


@dataclass(frozen=True)
class _Leaf:
    """A leaf that is written already."""

    content: Plain


def to_plain(structure: Structure, entries: Sequence[Any], name: str) -> Plain:
    """A pytree in dictionaries and lists: a tuple as {"tuple": [...]}, a leaf as lists of numbers.

    Raises:
        ProblemFileError: it has nodes of other kinds, or keys that are no text.
    """
    leaves = [_Leaf(_listed(_nest(part, shape))) for part, shape in zip(structure.cut(entries), structure.shapes)]
    return _written(structure.unflatten(leaves), name)


def _listed(value: Any) -> Plain:
    """Numbers in lists, written."""
    return [_listed(part) for part in value] if isinstance(value, list) else plain(value)


def _written(node: Any, name: str) -> Plain:
    """A node and what is below it."""
    if isinstance(node, _Leaf):
        return node.content
    if type(node) is tuple:
        return {_TUPLE: [_written(part, f"{name}[{place}]") for place, part in enumerate(node)]}
    if type(node) is dict and all(isinstance(key, str) for key in node) and set(node) != {_TUPLE}:
        return {key: _written(part, f"{name}.{key}") for key, part in node.items()}
    cure = "use dictionaries with text as keys, tuples and arrays, or keep the problem with pickle"
    raise ProblemFileError(name, Words(f"has a node of type {type(node).__name__}"), cure)


def from_plain(value: Plain, name: str, depth: int = 0) -> PyTree:
    """What ``to_plain`` wrote, from data that are not trusted: dictionaries, tuples, and lists of exact numbers.

    Raises:
        ProblemFileError: something is no number; it names the place.
    """
    _check_depth(name, depth)
    if isinstance(value, Mapping):
        if set(value) == {_TUPLE}:
            parts = enumerate(read_list(value[_TUPLE], name))
            return tuple(from_plain(part, f"{name}[{place}]", depth + 1) for place, part in parts)
        if not value:
            refuse(name, value, "give at least one entry", "is empty")
        return {str(key): from_plain(part, f"{name}.{cut(str(key))}", depth + 1) for key, part in value.items()}
    return _numbers(value, name, depth)


def _numbers(value: Plain, name: str, depth: int) -> Any:
    """Lists of numbers in lists."""
    _check_depth(name, depth)
    if isinstance(value, list):
        return [_numbers(part, f"{name}[{place}]", depth + 1) for place, part in enumerate(read_list(value, name))]
    return read_exact(value, name)


def _check_depth(name: str, depth: int) -> None:
    """A file that nests on and on is refused before Python fails."""
    if depth > _DEEPEST:
        raise ProblemFileError(
            cut(name), Words("nests too deeply"), f"use {_DEEPEST} levels of dictionaries and lists at most"
        )


def entries_of(leaves: Sequence[Sequence[Sequence[T]]]) -> Iterator[T]:
    """All entries of matrices, row by row."""
    return (entry for matrix in leaves for row in matrix for entry in row)


def check_same(expected: Structure, found: Structure, name: str) -> None:
    """Two pytrees of one structure.

    Raises:
        InputTypeError: they are not; it says both.
    """
    if expected != found:
        fault = Words(f"has the leaves {cut(repr(found))}, where {cut(repr(expected))} stood")
        raise InputTypeError(name, fault, "give every example the same structure and shapes")
