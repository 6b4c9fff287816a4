"""Digits of the numbers in a problem, as far as the cost of a derivation depends on them."""

from __future__ import annotations

from linvar.exact import Rational
from linvar.laws.dataset import Dataset
from linvar.problem import Problem

#: numbers of a data set that its digits are taken from, about
_LOOKED_AT = 10_000


def some_numbers(law: Dataset) -> list[Rational]:
    """Numbers of the first rows of a data set, inputs and targets."""
    rows = max(1, _LOOKED_AT // (law.input_width + law.target_width))
    return [number for row in (*law.inputs[:rows], *law.targets[:rows]) for number in row]  # type: ignore[misc]


def entries_of(problem: Problem) -> tuple[list[object], list[object]]:
    """Entries of the weights, and of the map to the target."""
    return (
        [entry for matrix in problem.weights for row in matrix for entry in row],
        [entry for row in problem.law.target_map for entry in row],
    )


def bits_of(entry: object) -> int:
    """Bits of numerator and denominator; 2 for an expression."""
    if isinstance(entry, Rational):
        return entry.numerator.bit_length() + entry.denominator.bit_length()
    return 2
