"""The degree of a loss, by running it on degrees: a sum has the larger one, a product the sum.

It is that of the polynomial unless leading terms cancel, and never smaller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from linvar.flint import fmpq
from linvar.tracing.values import Entries, is_known, refuse

#: a loss of a higher degree is refused
_MOST_DEGREE = 1_000


@dataclass(frozen=True)
class Degrees:
    """What is known of a polynomial in weights and example.

    Attributes:
        weights: its degree in the weights.
        example: its degree in the coordinates of an example.
    """

    weights: int
    example: int

    def __add__(self, other: Any) -> Degrees:
        if is_known(other):
            return self
        return Degrees(max(self.weights, other.weights), max(self.example, other.example))

    __radd__ = __sub__ = __rsub__ = __add__

    def __neg__(self) -> Degrees:
        return self

    def __mul__(self, other: Any) -> Any:
        if is_known(other):
            return self if other != 0 else fmpq(0)
        return _limited(self.weights + other.weights, self.example + other.example)

    __rmul__ = __mul__

    def __pow__(self, exponent: int) -> Any:
        return _limited(self.weights * exponent, self.example * exponent) if exponent else fmpq(1)


def subject(inputs: Sequence[Entries]) -> str:
    """What a primitive was applied to, in words."""
    entries = [entry for array in inputs for entry in array.flat if isinstance(entry, Degrees)]
    return "the weights" if any(entry.weights for entry in entries) or not entries else "the example"


def _limited(weights: int, example: int) -> Degrees:
    """Degrees that are not absurd."""
    if max(weights, example) > _MOST_DEGREE:
        refuse(f"has the degree {max(weights, example)}", f"give a loss of degree {_MOST_DEGREE} at most")
    return Degrees(weights, example)
