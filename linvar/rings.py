"""What the formulas of linvar ask of numbers and rings: the laws, the models and both halves compute over any of these.

An exact formula (a second moment, a batch gradient, a squared norm) is written once, over a ring that is handed to it: rational
numbers, polynomials of python-flint, residues modulo a prime. These protocols say what such a ring and its elements must offer;
they know no particular one, and loading them loads nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from linvar.exact import Exact

T_co = TypeVar("T_co", covariant=True)


class RingElement(Protocol[T_co]):
    """Anything with + - *, and == against an integer; what these give are elements T."""

    def __add__(self, other: Any, /) -> T_co: ...

    def __sub__(self, other: Any, /) -> T_co: ...

    def __mul__(self, other: Any, /) -> T_co: ...

    def __neg__(self, /) -> T_co: ...

    def __eq__(self, other: object, /) -> bool: ...


#: an element of the ring that a formula computes in
T = TypeVar("T", bound="RingElement[Any]")


class RingLike(Protocol[T_co]):
    """A ring with elements T, as far as the model and the update ask: it lifts exact numbers.

    >>> from linvar.symbolic.algebra.ring import Numbers, Ring
    >>> Numbers.lift(2) + 1, Ring(1).lift(2) + 1
    (3, 3)
    """

    def lift(self, value: Exact | int, /) -> T_co:
        """An exact number as an element."""
        ...


class PolynomialRingLike(RingLike[T_co], Protocol[T_co]):
    """A ring of polynomials with elements T, as a law asks for it: in variables, with a way in for whole polynomials."""

    @property
    def gens(self) -> Sequence[T_co]:
        """The variables."""
        ...

    def from_terms(self, terms: Mapping[tuple[int, ...], Any], /) -> T_co:
        """The polynomial with these coefficients; keys are exponents of the first variables (missing ones are 0)."""
        ...
