"""Matrices as lists of rows, over anything with + - and *; zero entries are skipped, which is what makes sparse ones cheap.

The one such algebra: the laws, the model, the update and all roads multiply with it, over numbers, polynomials and residues.
The result has the type of the entries' products: those of ``Rational`` are ``Rational``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from linvar.rings import RingElement, T

#: a matrix over some ring, as it is kept: rows of elements T
Rows: TypeAlias = Sequence[Sequence[T]]
#: the same as an argument: rows of what T are made of by + - *
_Entries: TypeAlias = Sequence[Sequence[RingElement[T]]]


def product(a: _Entries[T], b: _Entries[T]) -> list[list[T]]:
    """Matrix product, shapes (p, q) and (q, r); zero entries are skipped.

    >>> product([[1, 2, 0]], [[3], [4], [5]])
    [[11]]
    """
    zero = a[0][0] * 0
    columns = [[(k, entry) for k, entry in enumerate(column) if entry != 0] for column in zip(*b)]
    return [[sum((row[k] * entry for k, entry in column if row[k] != 0), zero) for column in columns] for row in a]


def transpose(a: Rows[T]) -> list[list[T]]:
    """Transpose."""
    return [list(column) for column in zip(*a)]


def gram(a: _Entries[T]) -> list[list[T]]:
    """a^T a."""
    return product(transpose(a), a)


def subtract(a: _Entries[T], b: _Entries[T]) -> list[list[T]]:
    """Entrywise difference."""
    return [[x - y for x, y in zip(first, second)] for first, second in zip(a, b)]


def scaled(a: _Entries[T], factor: RingElement[T]) -> list[list[T]]:
    """factor a."""
    return [[factor * x for x in row] for row in a]


def add_scaled(a: Rows[T], b: Rows[T], factor: T) -> list[list[T]]:
    """a + factor b; zero entries of b are skipped."""
    return [[x + factor * y if y != 0 else x for x, y in zip(first, second)] for first, second in zip(a, b)]


def squared_norm(a: _Entries[T]) -> T:
    """Sum of the squared entries (Frobenius norm, squared)."""
    return sum((x * x for row in a for x in row if x != 0), a[0][0] * 0)


def trace(a: Rows[T]) -> T:
    """Trace."""
    return sum((a[i][i] for i in range(1, len(a))), a[0][0])


def trace_product(a: _Entries[T], b: _Entries[T]) -> T:
    """tr(a b), shapes (p, q) and (q, p).

    >>> trace_product([[1, 2, 3]], [[4], [5], [6]])
    32
    """
    zero = a[0][0] * 0
    return sum((a[i][j] * b[j][i] for i in range(len(a)) for j in range(len(b)) if a[i][j] != 0 and b[j][i] != 0), zero)


def trace_of_symmetric(a: _Entries[T], b: _Entries[T]) -> T:
    """tr(a b) of symmetric matrices; entries beside the diagonal are multiplied once.

    >>> trace_of_symmetric([[1, 2], [2, 3]], [[4, 5], [5, 6]])
    42
    """
    size = len(a)
    pairs = [(i, j) for i in range(size) for j in range(i, size) if a[i][j] != 0 and b[i][j] != 0]
    return sum((a[i][j] * b[i][j] * (1 + (i != j)) for i, j in pairs), a[0][0] * 0)


def is_zero(a: Sequence[Sequence[object]]) -> bool:
    """Whether all its entries are."""
    return not any(entry != 0 for row in a for entry in row)
