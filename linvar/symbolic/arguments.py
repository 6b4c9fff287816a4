"""What the entry points of the exact half are given, checked in one place and refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from linvar.errors import InputTypeError


def sequence(value: Any, name: str, cure: str) -> list[Any]:
    """The items of what has an order: a list, a tuple, a range, an iterator, an array; never a set or a text.

    Args:
        value: what was given.
        name: its name as the user typed it.
        cure: what to give in its place.

    Raises:
        InputTypeError: it has no order of its own, or its items are characters or bytes.

    >>> sequence(range(3), "steps", "give a list")
    [0, 1, 2]
    >>> sequence({"A", "B"}, "words[0]", "give a list of letters")
    Traceback (most recent call last):
    linvar.errors.InputTypeError: words[0]=... is of type set: give a list of letters
    """
    if getattr(value, "ndim", 0) > 0 and hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (str, bytes, bytearray, memoryview)) or not isinstance(value, (Sequence, Iterator)):
        raise InputTypeError(name, value, cure)
    return list(value)


def check_flag(value: object, name: str) -> None:
    """True or False, and nothing that merely counts as one of them.

    >>> check_flag("yes", "per_layer")
    Traceback (most recent call last):
    linvar.errors.InputTypeError: per_layer='yes' is of type str: write True or False
    """
    if not isinstance(value, bool):
        raise InputTypeError(name, value, "write True or False")
