"""Checks of arguments that both halves take; nothing heavy is imported here."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from linvar.errors import InputTypeError

P = ParamSpec("P")
R = TypeVar("R")

#: keyword arguments of linvar 0.1.0 that are gone, and what to write in their place
OLD_WORDS = {
    "per_layer": "use linvar.derive(problem).per_leaf",
    "steps": "use linvar.derive_steps(problem, steps)",
    "order": "use linvar.large_batch(problem, order, digits); in a plan road=linvar.LargeBatch(order, digits)",
    "digits": "use linvar.large_batch(problem, order, digits); in a plan road=linvar.LargeBatch(order, digits)",
    "method": "give road=linvar.Lattice() (Expansion(), Regression())",
    "checkpoint": "give road=linvar.Lattice(checkpoint=...)",
}


def refuses_old_words(*words: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: these keyword arguments, which the function once took, are refused with what to write in their place.

    The signature stays the function's own, for ``help``, editors and type checkers; a keyword that it never took is Python's own
    ``TypeError``.

    Args:
        words: keys of ``OLD_WORDS``; none that the function takes.

    Raises:
        InputTypeError: by the decorated function, when one of the words is given.

    >>> @refuses_old_words("steps")
    ... def loss(problem, road=None):
    ...     return 1
    >>> loss("a problem", steps=range(3))
    Traceback (most recent call last):
    linvar.errors.InputTypeError: steps=range(0, 3) is no argument of loss any more: use linvar.derive_steps(problem, steps)
    """
    cures = {word: OLD_WORDS[word] for word in words}

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            for word, cure in cures.items():
                if word in kwargs:
                    raise InputTypeError(word, kwargs[word], cure, f"is no argument of {function.__name__} any more")
            return function(*args, **kwargs)

        return checked

    return decorate


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


def check_integer(value: Any, name: str) -> int:
    """An int, or an integer of NumPy; no truth value, no float.

    >>> check_integer(2.0, "depth")
    Traceback (most recent call last):
    linvar.errors.InputTypeError: depth=2.0 is of type float: give an integer
    """
    if is_flag(value):
        raise InputTypeError(name, value, "give an integer", fault="is a truth value")
    try:
        return operator.index(value)
    except TypeError:
        raise InputTypeError(name, value, "give an integer") from None
