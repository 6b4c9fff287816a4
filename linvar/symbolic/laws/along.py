"""What the moments of some features of one example are computed from, modulo primes: arrays of exact numbers, and the way.

The lattice road (``roads/lattice/directions.py``) knows the two ways by their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from linvar.exact import Exact, Matrix

#: exact numbers in lists of any depth: an array
Nested: TypeAlias = "Fraction | Exact | Sequence[Nested]"


@dataclass(frozen=True)
class Along:
    """Arrays of exact numbers by name, and the name of the way to moments from them.

    Attributes:
        way: "points" or "normal".
        arrays: what that way takes; its shapes are static for a program, its numbers are not.
    """

    way: str
    arrays: Mapping[str, Nested]


def at_points(values: Sequence[Sequence[Fraction]], weights: Sequence[Fraction]) -> Along:
    """Values of the features at some points, shape (features, points), and weights of these, which add up to 1; some negative."""
    return Along("points", {"values": values, "weights": weights})


def of_normal(mean: Sequence[Fraction], covariance: Sequence[Sequence[Fraction]], forms: Sequence[Matrix]) -> Along:
    """Quadratic features z^T Theta_j z of a normal z."""
    return Along("normal", {"mean": mean, "covariance": covariance, "forms": forms})
