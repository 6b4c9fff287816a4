"""Probabilities of finitely many things."""

from __future__ import annotations

from typing import Any

from linvar.errors import InputError, Words, shown
from linvar.exact import Rational, exact_vector


def positive_numbers(values: Any, name: str, cure: str) -> tuple[Rational, ...]:
    """A list of positive exact numbers.

    Raises:
        InputTypeError: an entry is a float or no number.
        InputError: an entry is not positive, or has symbols.
    """
    found = []
    for place, value in enumerate(exact_vector(values, name, cure)):
        if not isinstance(value, Rational):
            raise InputError(f"{name}[{place}]", value, "give numbers", fault="has symbols")
        if value <= 0:
            raise InputError(f"{name}[{place}]", value, "give positive numbers", fault="is not positive")
        found.append(value)
    return tuple(found)


def checked_probabilities(values: Any, count: int, of: str) -> tuple[Rational, ...]:
    """One positive number for each of ``count`` entries of the argument ``of``; of sum 1.

    Raises:
        InputTypeError: an entry is a float or no number.
        InputError: another number of them, one that is not positive, another sum.
    """
    cure = f"give a list, one number for each entry of {of}"
    found = positive_numbers(values, "probabilities", cure)
    if not found:
        raise InputError("probabilities", Words("is empty"), "give at least one")
    if len(found) != count:
        fault = Words(f"has {len(found)} entries and {of} has {count}")
        raise InputError("probabilities", fault, "give one for each")
    total = Rational(sum(found))
    if total != 1:
        fault = Words(f"add up to {shown(total)}, not to 1")
        raise InputError("probabilities", fault, f"divide them by {shown(total)}")
    return found
