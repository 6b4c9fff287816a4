"""Digits of the numbers in a problem, as far as the cost of a derivation depends on them."""

from __future__ import annotations

from linvar.exact import Exact, Rational
from linvar.problem import Problem
from linvar.symbolic.laws.registry import exact_law


def entries_of(problem: Problem) -> tuple[list[Exact], list[Exact]]:
    """Entries of the weights, and of the map to the target."""
    return (
        [entry for matrix in problem.leaves for row in matrix for entry in row],
        [entry for row in exact_law(problem.law).target_map for entry in row],
    )


def bits_of(entry: Exact) -> int:
    """Bits of numerator and denominator; 2 for an expression."""
    if isinstance(entry, Rational):
        return entry.numerator.bit_length() + entry.denominator.bit_length()
    return 2
