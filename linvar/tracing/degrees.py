"""The degree of a loss, by running it on degrees: a sum has the larger one, a product the sum.

It is that of the polynomial unless leading terms cancel, and never smaller; so is the number of terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import comb
from typing import Any

from linvar.tracing.values import CURE, Entries, is_known, refuse

#: a loss of a higher degree is refused
_MOST_DEGREE = 1_000
#: terms beyond counting
ENDLESS = 10**18

_NUMBERS = "an example of linvar.Dataset or linvar.Finite may do so: its numbers are known"


@dataclass(frozen=True)
class Degrees:
    """What is known of a polynomial in weights and example: -1 and -1 are those of 0.

    Attributes:
        weights: its degree in the weights.
        example: its degree in the coordinates of an example.
        terms: as many as it has, or more.
    """

    weights: int
    example: int
    terms: int = field(default=1, compare=False, repr=False)

    def __add__(self, other: Any) -> Any:
        if is_known(other):
            return Degrees(max(self.weights, 0), max(self.example, 0), self.terms + 1) if other != 0 else self
        if not isinstance(other, Degrees):
            return NotImplemented
        terms = min(self.terms + other.terms, ENDLESS)
        return Degrees(max(self.weights, other.weights), max(self.example, other.example), terms)

    __radd__ = __sub__ = __rsub__ = __add__

    def __neg__(self) -> Degrees:
        return self

    def __mul__(self, other: Any) -> Any:
        if is_known(other):
            return self if other != 0 else _ZERO
        if not isinstance(other, Degrees):
            return NotImplemented
        if _ZERO in (self, other):
            return _ZERO
        both = comb(self.terms + 1, 2) if self is other else self.terms * other.terms
        return _limited(self.weights + other.weights, self.example + other.example, both)

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Degrees:
        if self == _ZERO and exponent:
            return self
        degrees = max(self.weights, 0) * exponent, max(self.example, 0) * exponent
        return _limited(*degrees, comb(self.terms + exponent - 1, exponent) if self.terms < 10**6 else ENDLESS)


_ZERO = Degrees(-1, -1, 0)


def subject(inputs: Sequence[Entries]) -> str:
    """What a primitive was applied to, in words."""
    entries = [entry for array in inputs for entry in array.flat if isinstance(entry, Degrees)]
    return "the example" if entries and all(entry.weights <= 0 for entry in entries) else "the weights"


def cure_for(inputs: Sequence[Entries]) -> str:
    """What to do where a primitive asks for numbers."""
    return _NUMBERS if subject(inputs) == "the example" else CURE


def _limited(weights: int, example: int, terms: int) -> Degrees:
    """Degrees that are not absurd."""
    if max(weights, example) > _MOST_DEGREE:
        refuse(f"has the degree {max(weights, example)}", f"give a loss of degree {_MOST_DEGREE} at most")
    return Degrees(weights, example, min(terms, ENDLESS))
