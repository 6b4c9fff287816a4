"""The matrices that a formula is evaluated with: exact, or shapes that only count the work; in floating point: ``floats``.

One evaluation serves all three, so that what is predicted is what is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol, Self, TypeVar

from linvar.exact import Matrix
from linvar.flint import fmpq, fmpz, fmpz_mat
from linvar.symbolic.laws.law import common_denominator


class Kind(Protocol):
    """A matrix, or (in floating point) a stack of them."""

    @property
    def rows(self) -> int: ...

    @property
    def columns(self) -> int: ...

    @property
    def T(self) -> Self: ...

    def __matmul__(self, other: Self, /) -> Self: ...

    def __add__(self, other: Self, /) -> Self: ...

    def scaled(self, factor: Any, /) -> Self:
        """Times a number."""
        ...

    def inner(self, other: Self, /) -> Any:
        """The sum of the products of entries."""
        ...

    def trace(self) -> Any:
        """Of a square matrix."""
        ...


M = TypeVar("M", bound=Kind)


@dataclass(frozen=True)
class Ratio:
    """A fraction that is not reduced: of long numbers the common divisor takes longer than all else."""

    numerator: fmpz
    denominator: fmpz

    def __add__(self, other: Ratio | int) -> Ratio:
        if isinstance(other, int):
            return Ratio(self.numerator + self.denominator * other, self.denominator)
        if self.denominator == other.denominator:
            return Ratio(self.numerator + other.numerator, self.denominator)
        common = self.denominator.lcm(other.denominator)
        ours, theirs = common // self.denominator, common // other.denominator
        return Ratio(self.numerator * ours + other.numerator * theirs, common)

    __radd__ = __add__

    def __mul__(self, other: Ratio | int) -> Ratio:
        if isinstance(other, int):
            return Ratio(self.numerator * other, self.denominator)
        return Ratio(self.numerator * other.numerator, self.denominator * other.denominator)

    @property
    def reduced(self) -> fmpq:
        """In lowest terms."""
        return fmpq(self.numerator, self.denominator)


@dataclass(frozen=True)
class Exact:
    """A matrix of integers over one denominator."""

    numerator: fmpz_mat
    denominator: fmpz

    @classmethod
    def of(cls, matrix: Matrix) -> Exact:
        """A matrix of exact numbers."""
        scale = common_denominator(entry for row in matrix for entry in row)
        entries = [fmpz(int(entry * scale)) for row in matrix for entry in row]
        return cls(fmpz_mat(len(matrix), len(matrix[0]), entries), fmpz(scale))

    @classmethod
    def identity(cls, width: int) -> Exact:
        """The identity."""
        return cls(fmpz_mat(width, width, [int(i == j) for i in range(width) for j in range(width)]), fmpz(1))

    @property
    def rows(self) -> int:
        return self.numerator.nrows()

    @property
    def columns(self) -> int:
        return self.numerator.ncols()

    @property
    def T(self) -> Exact:
        return Exact(self.numerator.transpose(), self.denominator)

    def __matmul__(self, other: Exact) -> Exact:
        return Exact(self.numerator * other.numerator, self.denominator * other.denominator)

    def __add__(self, other: Exact) -> Exact:
        if self.denominator == other.denominator:
            return Exact(self.numerator + other.numerator, self.denominator)
        common = self.denominator.lcm(other.denominator)
        ours, theirs = common // self.denominator, common // other.denominator
        return Exact(self.numerator * ours + other.numerator * theirs, common)

    def scaled(self, factor: fmpq | int) -> Exact:
        """Times a number."""
        number = fmpq(factor)
        return Exact(self.numerator * number.p, self.denominator * number.q)

    def inner(self, other: Exact) -> Ratio:
        """In FLINT."""
        ours, theirs = self.numerator.entries(), other.numerator.entries()
        found = fmpz_mat(1, len(ours), ours) * fmpz_mat(len(theirs), 1, theirs)
        return Ratio(found[0, 0], self.denominator * other.denominator)

    def trace(self) -> Ratio:
        """Its diagonal, summed."""
        diagonal = [self.numerator[i, i] for i in range(self.rows)]
        return Ratio(sum(diagonal, fmpz(0)), self.denominator)


@dataclass
class Tally:
    """What was multiplied, in how many operations, and the entries of what they gave."""

    products: int = 0
    operations: int = 0
    entries: int = 0

    def count(self, products: int, entries: int) -> None:
        """One operation."""
        self.products += products
        self.operations += 1
        self.entries += entries


@dataclass(frozen=True)
class Shape:
    """A matrix of which only the shape is known; its products are counted."""

    tally: Tally = field(repr=False)
    rows: int
    columns: int

    def _another(self, rows: int, columns: int, inner: int) -> Shape:
        self.tally.count(rows * columns * inner, rows * columns)
        return Shape(self.tally, rows, columns)

    @property
    def T(self) -> Shape:
        return Shape(self.tally, self.columns, self.rows)

    def __matmul__(self, other: Shape) -> Shape:
        return self._another(self.rows, other.columns, self.columns)

    def __add__(self, other: Shape) -> Shape:
        return self._another(self.rows, self.columns, 1)

    def scaled(self, factor: object) -> Shape:
        """A pass over its entries."""
        return self._another(self.rows, self.columns, 1)

    def inner(self, other: Shape) -> int:
        """Counted; no number."""
        self.tally.count(self.rows * self.columns, 1)
        return 0

    def trace(self) -> int:
        """No number."""
        return 0
