"""Symmetric matrices of numbers: which columns are independent, and whether the pivots of elimination are positive; exactly.

A symmetric matrix is positive semi-definite if and only if its rows and columns ``independent_columns``, an invertible matrix,
are positive definite: if elimination finds positive pivots only. Balls (FLINT's intervals) enclose the pivots, at a precision
that doubles until every sign is certain. Fractions of many denominators stay short in them; integers over their common
denominator, which a characteristic polynomial takes, would not.

FLINT is imported where it is used: a law of few inputs is stated without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linvar.flint import arb

Rows = Sequence[Sequence[Fraction]]

#: A rank modulo a prime is no more than in truth.
_PRIME = 2**61 - 1
#: Up to this width fractions are eliminated as they are.
_NARROW = 8
#: Precision of the first attempt to enclose the pivots, in bits.
_BITS = 64


def independent_columns(matrix: Rows) -> tuple[int, ...]:
    """The columns of a symmetric matrix that do not depend on those to their left: a basis of their span.

    >>> independent_columns([[Fraction(1), Fraction(2)], [Fraction(2), Fraction(4)]])
    (0,)
    """
    alone = [k for k, row in enumerate(matrix) if row[k] and _is_alone(row, k)]
    others = [k for k, row in enumerate(matrix) if not _is_alone(row, k)]
    found = _basis([[matrix[i][j] for j in others] for i in others]) if others else ()
    return tuple(sorted((*alone, *(others[k] for k in found))))


def negative_row(matrix: Rows, independent: Callable[[], Sequence[int]]) -> int | None:
    """None for a positive semi-definite symmetric matrix, otherwise the row at which elimination shows that it is not.

    Args:
        matrix: the symmetric matrix.
        independent: gives its ``independent_columns``; called for a wide one.

    >>> negative_row([[Fraction(1), Fraction(2)], [Fraction(2), Fraction(1)]], tuple)
    1
    """
    for k, row in enumerate(matrix):
        if row[k] < 0 or (row[k] == 0 and any(row)):
            return k
    if all(_is_alone(row, k) for k, row in enumerate(matrix)):
        return None
    if len(matrix) <= _NARROW:
        return _negative_row_of_few(matrix)
    basis = independent()
    found = _first_pivot_not_positive([[matrix[i][j] for j in basis] for i in basis])
    return None if found is None else basis[found]


def _negative_row_of_few(matrix: Rows) -> int | None:
    """The row at which elimination finds a negative pivot, or zero before an entry that is not."""
    rest = [list(row) for row in matrix]
    for k, row in enumerate(rest):
        if row[k] < 0 or (row[k] == 0 and any(row[k:])):
            return k
        for other in rest[k + 1 :]:
            if other[k]:
                factor = other[k] / row[k]
                other[k:] = [a - factor * b for a, b in zip(other[k:], row[k:])]
    return None


def _first_pivot_not_positive(matrix: Rows) -> int | None:
    """k, if the leading principal minor of order k + 1 of an invertible symmetric matrix is the first <= 0."""
    from linvar.flint import arb, ctx, fmpq

    numbers = [[fmpq(entry.numerator, entry.denominator) for entry in row] for row in matrix]
    bits = _BITS
    while True:
        with ctx.workprec(bits):
            k, pivot = _eliminate([[arb(entry) for entry in row] for row in numbers])
        if k is None or pivot < 0:
            return k
        if _is_singular([row[: k + 1] for row in matrix[: k + 1]]):
            return k
        bits *= 2


def _is_alone(row: Sequence[Fraction], k: int) -> bool:
    """Whether the entries of the k-th row beside the diagonal are zero."""
    return not any(row[:k]) and not any(row[k + 1 :])


def _eliminate(matrix: list[list[arb]]) -> tuple[int | None, arb]:
    """The place of the first pivot that is not certainly positive, and that pivot; None and the last one, if all are.

    By halving the matrix: A, then D - B^T A^-1 B.
    """
    from linvar.flint import arb, arb_mat

    if len(matrix) == 1:
        pivot = matrix[0][0]
        return None if pivot > 0 else 0, pivot
    half = len(matrix) // 2
    upper = [row[:half] for row in matrix[:half]]
    k, pivot = _eliminate(upper)
    if k is not None:
        return k, pivot
    side, lower = [row[half:] for row in matrix[:half]], [row[half:] for row in matrix[half:]]
    try:
        solved = arb_mat(upper).solve(arb_mat(side))
    except ZeroDivisionError:  # invertible, but not at this precision
        return half, arb("nan")
    rest = arb_mat(lower) - arb_mat(side).transpose() * solved
    k, pivot = _eliminate(rest.tolist())
    return (k if k is None else half + k), pivot


def _basis(matrix: Rows) -> tuple[int, ...]:
    """As ``independent_columns``, for any square matrix."""
    from linvar.flint import fmpz_mat

    if _is_invertible_modulo_a_prime(matrix):
        return tuple(range(len(matrix)))
    reduced, _, rank = fmpz_mat(_integer_rows(matrix)).rref()
    return tuple(next(j for j in range(len(matrix)) if reduced[i, j]) for i in range(rank))


def _is_singular(matrix: Rows) -> bool:
    """Whether the determinant is zero."""
    from linvar.flint import fmpz_mat

    return not _is_invertible_modulo_a_prime(matrix) and fmpz_mat(_integer_rows(matrix)).det() == 0


def _is_invertible_modulo_a_prime(matrix: Rows) -> bool:
    """If so, then in truth; it is not although it is in truth only where the prime divides the determinant or a denominator."""
    from linvar.flint import nmod_mat

    inverses = {q: pow(q, -1, _PRIME) for row in matrix for q in {entry.denominator for entry in row} if q % _PRIME}
    try:
        residues = [[entry.numerator * inverses[entry.denominator] % _PRIME for entry in row] for row in matrix]
    except KeyError:
        return False
    return int(nmod_mat(residues, _PRIME).rank()) == len(matrix)


def _integer_rows(matrix: Rows) -> list[list[int]]:
    """Each row times its common denominator, which leaves the dependencies of columns what they are."""
    scales = [lcm(*(entry.denominator for entry in row)) for row in matrix]
    return [[entry.numerator * (scale // entry.denominator) for entry in row] for row, scale in zip(matrix, scales)]
