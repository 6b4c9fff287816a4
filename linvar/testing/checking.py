"""How a conformance suite says what does not fit."""

from __future__ import annotations


def check(holds: bool, fault: str) -> None:
    """Raise AssertionError unless it holds, with Python's optimisations too.

    >>> check(1 + 1 == 3, "1 + 1 is 2")
    Traceback (most recent call last):
    AssertionError: 1 + 1 is 2
    """
    if not holds:
        raise AssertionError(fault)
