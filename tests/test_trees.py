"""Pytrees of exact numbers: structures, their leaves, and files."""

from __future__ import annotations

import collections
import dataclasses
import pickle
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
import sympy
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.exact import Rational
from linvar.plain_data import ProblemFileError, parse_json, to_json
from linvar.trees import Structure, check_same, from_plain, to_plain


class Pair(NamedTuple):
    first: Any
    second: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    kernel: Any
    bias: Any


@jax.tree_util.register_pytree_node_class
class Node:
    def __init__(self, inside: Any, name: str) -> None:
        self.inside, self.name = inside, name

    def tree_flatten(self) -> tuple[tuple[Any], str]:
        return (self.inside,), self.name

    @classmethod
    def tree_unflatten(cls, name: str, inside: tuple[Any]) -> Node:
        return cls(*inside, name)


GRAPH, STATE = nnx.split(nnx.Linear(2, 1, rngs=nnx.Rngs(0)))

#: a pytree, its shapes and names
TREES: dict[str, tuple[Any, tuple[tuple[int, ...], ...], tuple[str, ...]]] = {
    "a number": (3, ((),), ("",)),
    "text": ("1/2", ((),), ("",)),
    "a list": ([1, 2], ((2,),), ("",)),
    "lists": ([[1, 2, 3], [4, 5, 6]], ((2, 3),), ("",)),
    "a tuple": (([1, 2], 3), ((2,), ()), ("0", "1")),
    "tuples in a list": ([(1, 2), (3, 4)], ((2, 2),), ("",)),
    "a dictionary": ({"b": [1], "a": "1/2"}, ((), (1,)), ("a", "b")),
    "dictionaries": ({"a": ({"x": 1}, [[1]]), "b": [[[1], [2]]]}, ((), (1, 1), (1, 2, 1)), ("a.0.x", "a.1", "b")),
    "keys that are integers": ({2: 1, 1: [3]}, ((1,), ()), ("1", "2")),
    "keys with dots": ({"a.b": 1, "": 2}, ((), ()), ("", "a.b")),
    "None": ({"kernel": [1], "bias": None}, ((1,),), ("kernel",)),
    "a named tuple": (Pair([1, 2], 3), ((2,), ()), ("first", "second")),
    "a dataclass": (Layer([[1]], [2]), ((1, 1), (1,)), ("kernel", "bias")),
    "a node": (Node([1, 2], "n"), ((2,),), ("0",)),
    "in another order": (collections.OrderedDict(b=[1], a=[2, 3]), ((1,), (2,)), ("b", "a")),
    "a state of Flax": (
        jax.tree.map(lambda leaf: lv.rationalize(np.asarray(leaf), 2), STATE), ((1,), (2, 1)), ("bias.value", "kernel.value"),
    ),
    "arrays": ({"a": np.arange(6).reshape(2, 3), "b": np.array(3)}, ((2, 3), ()), ("a", "b")),
    "a matrix of SymPy": ({"a": sympy.Matrix([[1, 2]])}, ((1, 2),), ("a",)),
    "symbols": ({"a": [sympy.Symbol("s"), Fraction(1, 2)]}, ((2,),), ("a",)),
    "truth values in an array": ({"a": np.array([True, False])}, ((2,),), ("a",)),
}  # fmt: skip


@pytest.mark.parametrize("name", TREES)
def test_a_tree_is_taken_apart_and_put_together(name: str) -> None:
    tree, shapes, names = TREES[name]
    structure, leaves = Structure.of(tree, "weights")
    assert (structure.shapes, structure.whole) == (shapes, (False,) * len(shapes))
    assert all(found.endswith(expected) for found, expected in zip(structure.names, names, strict=True))
    entries = [entry for leaf in leaves for entry in leaf]
    assert structure.sizes == tuple(map(len, leaves)) and [*map(tuple, structure.cut(entries))] == [*leaves]
    again, same = Structure.of(structure.nested(entries), "weights")
    assert (again, hash(again), same) == (structure, hash(structure), leaves)
    assert pickle.loads(pickle.dumps(structure)) == structure


@pytest.mark.parametrize(
    ("tree", "error", "message"),
    [
        (None, InputError, "weights has no leaf: give at least one number"),
        ({}, InputError, "weights has no leaf"),
        ((), InputError, "weights has no leaf"),
        ([], InputError, "weights is empty: give at least one number"),
        ({"a": [[], []]}, InputError, r"weights\['a'\]\[0\] is empty"),
        ({"a": np.zeros((0, 2), int)}, InputError, r"weights\['a'\] is empty"),
        (
            {"a": [[1], [1, 2]]},
            InputError,
            r"weights\['a'\]\[1\] has shape \(2,\), and weights\['a'\]\[0\] has \(1,\): a list is",
        ),
        ([1, [2]], InputError, r"weights\[1\] has shape \(1,\), and weights\[0\] has \(\): a list is an array"),
        ({"a": [0.5]}, InputTypeError, r"weights\['a'\]\[0\]=0.5 is of type float, not an exact number: .*rationalize"),
        ({"a": np.array([0.5])}, InputTypeError, r"weights\['a'\]\[0\]=0.5 is of type float"),
        (STATE, InputTypeError, "weights.*bias.*=0.0 is of type float"),
        ({"a": True}, InputTypeError, r"weights\['a'\]=True is a truth value: write the number 0 or 1"),
        ({"a": 1, 2: 3}, InputTypeError, "is no pytree of JAX: give dictionaries whose keys can be sorted"),
        ({"a": {1, 2}}, InputTypeError, r"weights\['a'\]=\{1, 2\} is of type set, which has no order"),
        ([{"a": 1}], InputTypeError, r"weights\[0\]=\{'a': 1\} is of type dict, which has no order"),
        ("x", InputError, "weights='x' is not an exact number"),
        (object(), InputTypeError, "is of type object"),
    ],
)
def test_what_is_no_tree_of_exact_numbers(tree: Any, error: type[InputError], message: str) -> None:
    with pytest.raises(error, match=message):
        Structure.of(tree, "weights")


def test_structures_are_the_same_or_not() -> None:
    def of(tree: Any) -> Structure:
        return Structure.of(tree, "tree")[0]

    assert of({"a": [1, 2]}) == of({"a": ["1/2", 5]}) != of({"a": [1]})
    assert of((1, 2)) != of([1, 2]) and of({"a": 1}) != of({"b": 1}) and of(Pair(1, 2)) != of((1, 2))
    with pytest.raises(
        InputTypeError, match=r"rows\[1\] has the leaves b, where a 2 stood: give every example the same"
    ):
        check_same(of({"a": [1, 2]}), of({"b": 1}), "rows[1]")
    assert repr(of(3)) == "a number" and repr(of({"a": [[1, 2]], "b": 0})) == "a 1x2, b"


# files

FRACTIONS = st.fractions(max_denominator=99).map(lambda f: Rational(f.numerator, f.denominator))


def arrays(depth: int) -> Any:
    """Lists of lists of one shape."""
    return st.integers(1, 3).flatmap(
        lambda n: st.lists(FRACTIONS if depth == 1 else arrays(depth - 1), min_size=n, max_size=n)
    )


LEAVES = (
    FRACTIONS
    | arrays(1)
    | st.integers(1, 2).flatmap(lambda n: st.lists(st.lists(FRACTIONS, min_size=n, max_size=n), min_size=1))
)
NODES = st.recursive(
    LEAVES, lambda below: st.dictionaries(st.text(max_size=5).filter(lambda k: k != "tuple"), below, min_size=1, max_size=3)
    | st.lists(below, min_size=1, max_size=3).map(tuple), max_leaves=6,
)  # fmt: skip


@given(NODES)
def test_a_tree_in_a_file_comes_back(tree: Any) -> None:
    structure, leaves = Structure.of(tree, "weights")
    written = to_json(to_plain(structure, [entry for leaf in leaves for entry in leaf], "weights"))
    again, same = Structure.of(from_plain(parse_json(written), "weights"), "weights")
    assert (again, same) == (structure, leaves)


@pytest.mark.parametrize(
    "tree", [Pair(1, 2), Layer([1], [2]), Node([1], "n"), {1: 2}, {"tuple": 1}, {"a": {"tuple": [1]}}]
)
def test_what_a_file_does_not_hold(tree: Any) -> None:
    structure, leaves = Structure.of(tree, "weights")
    with pytest.raises(
        ProblemFileError, match="weights.* has a node of type .*: use dictionaries with text as keys, tuples"
    ):
        to_plain(structure, [entry for leaf in leaves for entry in leaf], "weights")


def nested(kind: str, depth: int) -> Any:
    """A number in so many lists, dictionaries or tuples."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if kind == "list" else {"a": value} if kind == "dict" else {"tuple": [value]}
    return value


@pytest.mark.parametrize("kind", ["list", "dict", "tuple"])
def test_files_nest_so_deep_and_no_deeper(kind: str) -> None:
    assert Structure.of(from_plain(nested(kind, 60), "weights"), "weights")[1] == ((1,),)
    for depth in (70, 5_000):
        with pytest.raises(ProblemFileError, match="weights.* nests too deeply: use 64 levels") as caught:
            from_plain(nested(kind, depth), "weights")
        assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "weights={...} is empty: give at least one entry"),
        ([], "weights=.* is empty"),
        ({"w": []}, "weights.w=.* is empty"),
        ({"w": 0.5}, "weights.w=0.5 is not an exact number"),
        ({"w": True}, "weights.w=true is not accepted"),
        ({"w": None}, "weights.w=null is not an exact number"),
        ({"w": "x"}, "weights.w='x' is not an exact number"),
        ({"w": [{"a": 1}]}, r"weights.w\[0\]={...} is not an exact number"),
        ({"tuple": 3}, "weights=3 is not accepted: write a list"),
        ({"tuple": []}, "weights=.* is empty"),
        ({"x" * 10_000: 0.5}, "weights.xxx.*=0.5 is not an exact number"),
    ],
)
def test_files_that_state_no_tree(value: Any, message: str) -> None:
    with pytest.raises(ProblemFileError, match=message) as caught:
        from_plain(value, "weights")
    assert len(str(caught.value)) < 400
