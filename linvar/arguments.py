"""Checks of arguments that both halves take; nothing heavy is imported here."""

from __future__ import annotations

import operator
from typing import Any

from linvar.errors import InputTypeError


def is_flag(value: object) -> bool:
    """Whether a value is True or False, of Python or of NumPy."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    return isinstance(value, bool) or (kind == "b" and getattr(value, "shape", None) == ())


def check_flags(**values: object) -> None:
    """True or False, and nothing that merely counts as one of them.

    >>> check_flags(nesterov=True, per_layer="yes")
    Traceback (most recent call last):
    linvar.errors.InputTypeError: per_layer='yes' is of type str: write True or False
    """
    for name, value in values.items():
        if not is_flag(value):
            raise InputTypeError(name, value, "write True or False")


def check_integer(value: Any, name: str, cure: str = "give an integer") -> int:
    """An int, or an integer of NumPy; no truth value, no float.

    >>> check_integer(2.0, "depth")
    Traceback (most recent call last):
    linvar.errors.InputTypeError: depth=2.0 is of type float: give an integer
    """
    if is_flag(value):
        raise InputTypeError(name, value, cure, fault="is a truth value")
    try:
        return operator.index(value)
    except TypeError:
        raise InputTypeError(name, value, cure) from None
