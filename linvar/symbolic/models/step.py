"""What a step of SGD needs of its batch: features of an example, and the batch gradient from their means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from linvar.exact import Rational
from linvar.laws.polynomial import Polynomial
from linvar.matrices import Rows
from linvar.rings import RingLike, T

#: So many variables are out of reach of every road to the whole polynomial: they are not counted further.
MOST_VARIABLES = 64

Coordinates = tuple[tuple[int, Rational], ...]


class Step(Protocol):
    """The batch of one step."""

    @property
    def features(self) -> Sequence[Polynomial]:
        """f_j, polynomials in the coordinates of an example: its variables are their means over the batch, or less E f_j."""
        ...

    @property
    def central(self) -> bool:
        """Whether the means are taken off: where constants are mixed with what varies."""
        ...

    def count(self, most: int = MOST_VARIABLES) -> int:
        """The number of variables; ``most`` or more of them may be counted as ``most``."""
        ...

    @property
    def bound(self) -> int:
        """There are no more variables than this."""
        ...

    @property
    def moves(self) -> bool:
        """Whether it may change the weights by more than their decay."""
        ...

    def gradients(self, weights: Sequence[Rows[T]], variables: Sequence[T], ring: RingLike[T]) -> list[Rows[T]]:
        """The batch gradients of all leaves in these variables, over any ring."""
        ...
