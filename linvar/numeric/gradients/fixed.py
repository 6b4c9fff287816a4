"""What a program is compiled for: a tree without its arrays, and keys by which two such trees are told apart."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import jax
import numpy as np
from jax.tree_util import PyTreeDef
from jaxtyping import PyTree

#: Integers of at most this many bytes in a NumPy array that a loss is given may index or be shapes: they stay numbers.
SMALL = 2**16


@dataclass(frozen=True, eq=False)
class Fixed:
    """Values for which a program is compiled; equal if their keys are."""

    values: tuple[object, ...]
    keys: tuple[Hashable, ...]

    def __eq__(self, other: object) -> bool:
        try:
            return isinstance(other, Fixed) and bool(self.keys == other.keys)
        except Exception:  # noqa: BLE001  values that cannot be compared are not known to be equal
            return False

    def __hash__(self) -> int:
        return hash(self.keys)


@dataclass(frozen=True)
class Same:
    """A key that equals only that of the same object, which it keeps alive."""

    value: object = field(compare=False)
    place: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.value is other.value

    def __hash__(self) -> int:
        return hash(self.place)


def same(value: object) -> Same:
    """A key by identity."""
    return Same(value, id(value))


def key_of(value: object) -> Hashable:
    """Equal only for values that give the same program: 1, 1.0 and True are three, and so are 0.0 and -0.0."""
    if isinstance(value, (float, complex)):
        return type(value), repr(value)
    if isinstance(value, (np.ndarray, np.generic)) and value.dtype != object and value.nbytes <= SMALL:
        return type(value), str(value.dtype), value.shape, value.tobytes()
    try:
        hash(value)
    except TypeError:
        return same(value)
    return type(value), value


@dataclass(frozen=True)
class Frame:
    """A tree without its arrays."""

    structure: PyTreeDef
    traced: tuple[bool, ...]  # which leaves are arrays, given anew in every call
    fixed: Fixed  # the others

    def joined(self, arrays: Iterable[object]) -> PyTree:
        """The tree with these arrays."""
        given, others = iter(arrays), iter(self.fixed.values)
        return jax.tree.unflatten(self.structure, [next(given) if new else next(others) for new in self.traced])


def apart(tree: PyTree) -> tuple[list[object], Frame]:
    """The arrays of a tree, and the rest of it: Python's numbers, functions, words, and small arrays of integers in NumPy."""
    leaves, structure = jax.tree.flatten(tree)
    traced = tuple(map(_is_traced, leaves))
    rest = [x for x, new in zip(leaves, traced) if not new]
    fixed = Fixed(tuple(rest), tuple(map(key_of, rest)))
    return [x for x, new in zip(leaves, traced) if new], Frame(structure, traced, fixed)


def _is_traced(leaf: object) -> bool:
    if isinstance(leaf, np.ndarray):
        return bool(np.issubdtype(leaf.dtype, np.inexact) or (leaf.nbytes > SMALL and leaf.dtype != object))
    return isinstance(leaf, jax.Array)
