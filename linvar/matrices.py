"""Matrices as lists of rows, over anything with + and *; zero entries are skipped, which is what makes sparse ones cheap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Matrix = Sequence[Sequence[Any]]


def product(a: Matrix, b: Matrix) -> list[list[Any]]:
    """Matrix product; zero entries are skipped."""
    zero = a[0][0] * 0
    columns = [[(k, entry) for k, entry in enumerate(column) if entry != 0] for column in zip(*b)]
    return [[sum((row[k] * entry for k, entry in column if row[k] != 0), zero) for column in columns] for row in a]


def transpose(a: Matrix) -> list[list[Any]]:
    """Transpose."""
    return [list(column) for column in zip(*a)]


def subtract(a: Matrix, b: Matrix) -> list[list[Any]]:
    """Entrywise difference."""
    return [[x - y for x, y in zip(first, second)] for first, second in zip(a, b)]


def add_scaled(a: Matrix, b: Matrix, factor: Any) -> list[list[Any]]:
    """a + factor b; zero entries of b are skipped."""
    return [[x + factor * y if y != 0 else x for x, y in zip(first, second)] for first, second in zip(a, b)]


def squared_norm(a: Matrix) -> Any:
    """Sum of the squared entries (Frobenius norm, squared)."""
    return sum((x * x for row in a for x in row if x != 0), a[0][0] * 0)


def trace(a: Matrix) -> Any:
    """Trace."""
    return sum((a[i][i] for i in range(1, len(a))), a[0][0])


def trace_product(a: Matrix, b: Matrix) -> Any:
    """tr(a b)."""
    zero = a[0][0] * 0
    return sum((a[i][j] * b[j][i] for i in range(len(a)) for j in range(len(b)) if a[i][j] != 0 and b[j][i] != 0), zero)
