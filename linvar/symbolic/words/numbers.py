"""Words of matrices of numbers: the recursion level by level on integer matrices, and the end of it in one go."""

from __future__ import annotations

from collections.abc import Mapping
from math import lcm, prod

from linvar.exact import Exact, Matrix, Rational
from linvar.flint import fmpz_mat, fmpz_poly
from linvar.progress import Progress, say_nothing
from linvar.symbolic.words.ending import LAST, Ending
from linvar.symbolic.words.integers import Matrices, Polynomials
from linvar.symbolic.words.recursion import PARTS, Recursion
from linvar.symbolic.words.statement import Traces


def expected_traces(
    words: Traces, matrices: Mapping[str, Matrix], sigma: Matrix, report: Progress = say_nothing
) -> list[Exact]:
    """E of a product of traces of words, x ~ N(0, Sigma): the coefficients of 1, u, u^2, ..., exact.

    Matrices and Sigma are taken times their common denominators; the product of these divides the answer.
    """
    scales = {name: _denominator(matrix) for name, matrix in matrices.items()}
    sigma_scale, order = _denominator(sigma), sum(map(len, words))
    letters = Matrices(_integer_matrix(sigma, sigma_scale))
    letter = {name: letters.letter(_integer_matrix(matrix, scales[name])) for name, matrix in matrices.items()}
    scale = sigma_scale**order * prod(scales[name] for word in words for name in word)
    recursion = Recursion(letters)
    start = recursion.canonical("".join(map(letter.__getitem__, word)) for word in words)
    total = fmpz_poly([])
    for left, level in recursion.levels({start: fmpz_poly([1])}, Polynomials(), report):
        if left == LAST + 1:
            total = Ending(letters).expectation(level, report, (order - left) * PARTS, order * PARTS)
            break
        total = level.get((), total)
    return [Rational(int(coefficient), scale) for coefficient in total.coeffs()] or [Rational(0)]


def _denominator(matrix: Matrix) -> int:
    """The common denominator of its entries."""
    return lcm(*(entry.denominator for row in matrix for entry in row))


def _integer_matrix(matrix: Matrix, scale: int) -> fmpz_mat:
    """A rational matrix times a common denominator."""
    return fmpz_mat([[int(entry * scale) for entry in row] for row in matrix])
