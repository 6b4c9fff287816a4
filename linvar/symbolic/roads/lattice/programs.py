"""Compiled functions that problems of one pattern share.

Two problems whose numbers differ, but not in which of them are zeros and small integers, run the same program: traced, its text
is the same. So ``jax.jit`` compiles a program once a text, with the text as its static argument; weights and rows are arguments,
never part of it. What was traced is kept by a key, so that an equal problem is not traced again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, TypeVar

import jax
import jax.extend

T = TypeVar("T")

#: traced functions, and what else is kept by a problem and a question
KEPT = 128


@dataclass(frozen=True)
class Program:
    """A traced function of arrays, known by its text.

    Attributes:
        text: the jaxpr, which has no constants.
        room: what it is for; programs of different rooms are not shared.
        jaxpr: the same, to be run.
    """

    text: str
    room: Hashable
    jaxpr: jax.extend.core.ClosedJaxpr = field(compare=False, repr=False)


@dataclass
class _Made:
    """How a value is made, under a key that says all that it depends on: equal to any other, for a cache asked by the key.

    It is forgotten after the call, so that the cache keeps no arrays alive.
    """

    make: Callable[[], Any] | None

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Made)


def once(key: Hashable, make: Callable[[], T]) -> T:
    """What ``make`` gives, made once for equal keys (the last ones of these)."""
    how = _Made(make)
    try:
        value: T = _kept(key, how)
    finally:
        how.make = None
    return value


@lru_cache(maxsize=KEPT)
def _kept(key: Hashable, how: _Made) -> Any:
    assert how.make is not None
    return how.make()


def called(key: tuple[Any, ...], function: Callable[..., jax.Array], arguments: Sequence[Any]) -> jax.Array:
    """The value of a function of pytrees of arrays, compiled.

    Args:
        key: all that the program depends on beside the shapes of its arguments; its first entry is the program's room.
        function: what is traced for a new key.
        arguments: the arrays.
    """
    leaves, structure = jax.tree.flatten(tuple(arguments))
    shapes = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)

    def trace() -> Program:
        closed = jax.make_jaxpr(function)(*jax.tree.unflatten(structure, shapes))
        assert not closed.consts
        return Program(str(closed.jaxpr), key[0], closed)

    value: jax.Array = _run(once((key, structure, shapes), trace), *leaves)
    return value


@partial(jax.jit, static_argnums=0)
def _run(program: Program, *leaves: jax.Array) -> jax.Array:
    """What the program gives: compiled once for all that have this text."""
    values: list[jax.Array] = jax.extend.core.jaxpr_as_fun(program.jaxpr)(*leaves)
    (value,) = values
    return value
