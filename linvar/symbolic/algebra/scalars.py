"""The numbers a large-batch expansion computes with: integers, enclosures, or polynomials in the user's symbols.

Each kind lifts exact coefficients, multiplies matrices (in C where python-flint has them) and divides at the end. Integers
carry a denominator that is known beforehand, so that no greatest common divisor is computed before the answer; enclosures
are python-flint ``arb`` balls, each of which contains the exact number whatever is done with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from math import lcm
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from linvar.flint import arb, arb_mat, ctx, fmpq, fmpz, fmpz_mat
from linvar.rings import RingElement
from linvar.symbolic.algebra.ring import Element, Ring

#: what is computed with: fmpz, arb or an element of the ring of the symbols
S = TypeVar("S", bound="RingElement[Any]")
#: a coefficient of an answer: fmpq, arb or an element of the ring of the symbols
A_co = TypeVar("A_co", bound="RingElement[Any]", covariant=True)
#: any of the latter
Coefficient: TypeAlias = fmpq | arb | Element


class Scalars(Protocol[S, A_co]):
    """A kind of numbers."""

    @property
    def zero(self) -> S: ...

    @property
    def one(self) -> S: ...

    @property
    def bits(self) -> int:
        """The working precision; 0 where nothing is rounded."""
        ...

    def working(self) -> AbstractContextManager[None]:
        """The context every computation runs in."""
        ...

    def lift(self, values: Sequence[Element]) -> tuple[list[S], fmpz]:
        """Exact coefficients as numerators over one denominator (1 where no denominator is carried)."""
        ...

    def product(self, left: list[S], inner: int, right: list[S]) -> list[S]:
        """The product of two matrices given row by row; ``inner`` columns on the left, rows on the right."""
        ...

    def divide(self, value: S, denominator: fmpz) -> A_co:
        """The number itself, for the answer."""
        ...


def rational(element: Element) -> fmpq:
    """A constant of the ring as python-flint's rational."""
    return element.leading_coefficient() if element else fmpq(0)


class Integers:
    """Rationals, as integers over denominators that the caller carries along."""

    zero, one, bits = fmpz(0), fmpz(1), 0

    def working(self) -> AbstractContextManager[None]:
        """Nothing to set."""
        return nullcontext()

    def lift(self, values: Sequence[Element]) -> tuple[list[fmpz], fmpz]:
        """Integers over the least common denominator."""
        numbers = [rational(value) for value in values]
        denominator = fmpz(lcm(1, *(int(number.q) for number in numbers)))
        return [number.p * (denominator // number.q) for number in numbers], denominator

    def product(self, left: list[fmpz], inner: int, right: list[fmpz]) -> list[fmpz]:
        """In FLINT."""
        return (fmpz_mat(len(left) // inner, inner, left) * fmpz_mat(inner, len(right) // inner, right)).entries()

    def divide(self, value: fmpz, denominator: fmpz) -> fmpq:
        """A fraction in lowest terms."""
        return fmpq(value, denominator)


class Balls:
    """Enclosures of a number of bits: every operation rounds outwards."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.zero, self.one = arb(0), arb(1)

    def working(self) -> AbstractContextManager[None]:
        """FLINT's working precision, set and put back."""
        return ctx.workprec(self.bits)

    def lift(self, values: Sequence[Element]) -> tuple[list[arb], fmpz]:
        """Each rational, enclosed."""
        return [arb(rational(value)) for value in values], fmpz(1)

    def product(self, left: list[arb], inner: int, right: list[arb]) -> list[arb]:
        """In FLINT."""
        return (arb_mat(len(left) // inner, inner, left) * arb_mat(inner, len(right) // inner, right)).entries()

    def divide(self, value: arb, denominator: fmpz) -> arb:
        """A quotient, enclosed."""
        return value if denominator == 1 else value / arb(denominator)


class Symbolic:
    """Polynomials in the user's symbols, over the rationals."""

    def __init__(self, ring: Ring) -> None:
        self.zero, self.one, self.bits = ring.zero, ring.one, 0

    def working(self) -> AbstractContextManager[None]:
        """Nothing to set."""
        return nullcontext()

    def lift(self, values: Sequence[Element]) -> tuple[list[Element], fmpz]:
        """They are what they are."""
        return list(values), fmpz(1)

    def product(self, left: list[Element], inner: int, right: list[Element]) -> list[Element]:
        """Entry by entry; zeros are skipped."""
        columns = [right[j :: len(right) // inner] for j in range(len(right) // inner)]
        rows = [left[i : i + inner] for i in range(0, len(left), inner)]
        return [sum((a * b for a, b in zip(row, column) if a and b), self.zero) for row in rows for column in columns]

    def divide(self, value: Element, denominator: fmpz) -> Element:
        """A quotient by a number."""
        return value if denominator == 1 else value * fmpq(1, denominator)


if TYPE_CHECKING:
    _integers: Scalars[fmpz, fmpq] = Integers()
    _balls: type[Scalars[arb, arb]] = Balls
    _symbolic: type[Scalars[Element, Element]] = Symbolic
