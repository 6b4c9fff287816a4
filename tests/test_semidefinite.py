"""Covariances: rank and definiteness against the signs of characteristic polynomials, at the edge, and of many inputs."""

from __future__ import annotations

import random
import time
from fractions import Fraction
from math import lcm

import pytest
from flint import fmpz_mat
from hypothesis import given
from hypothesis import strategies as st
from strategies import examples

from linvar.errors import InputError
from linvar.laws.gaussian import Gaussian
from linvar.laws.semidefinite import independent_columns
from linvar.symbolic.laws.gaussian import ExactGaussian


def is_semidefinite(matrix):
    """All roots of det(x - A) are real, and none negative if and only if its coefficients alternate in sign."""
    scale = lcm(*(Fraction(entry).denominator for row in matrix for entry in row))
    coefficients = fmpz_mat([[int(entry * scale) for entry in row] for row in matrix]).charpoly().coeffs()
    return all((-1) ** (len(matrix) - k) * c >= 0 for k, c in enumerate(coefficients))


def is_accepted(matrix):
    try:
        Gaussian([[1] * len(matrix)], covariance=matrix)
    except InputError as error:
        assert "is not positive semi-definite (found at row " in str(error)
        return False
    return True


def independent(matrix):
    """Columns that are no combination of those before, by elimination of fractions."""
    rows, found = [list(map(Fraction, row)) for row in matrix], []
    for j in range(len(matrix)):
        pivot = next((row for row in rows if row[j]), None)
        if pivot is None:
            continue
        found.append(j)
        rows.remove(pivot)
        rows = [[a - row[j] / pivot[j] * b for a, b in zip(row, pivot)] for row in rows]
    return tuple(found)


def gram(factor):
    return [[sum((a * b for a, b in zip(x, y)), Fraction(0)) for y in factor] for x in factor]


def hilbert(width):
    return [[Fraction(1, i + j + 1) for j in range(width)] for i in range(width)]


@st.composite
def symmetric_matrices(draw):
    """Of width 1 to 12, most of them near the edge: F F^T of any rank, with an entry of the diagonal moved or not."""
    width = draw(st.integers(1, 12))
    random = draw(st.randoms(use_true_random=False))
    if draw(st.booleans()):
        rank = draw(st.integers(0, width))
        matrix = gram(
            [[Fraction(random.randint(-2, 2), random.randint(1, 3)) for _ in range(rank)] for _ in range(width)]
        )
    else:
        lower = [[Fraction(random.randint(-2, 2), random.randint(1, 3)) for _ in range(width)] for _ in range(width)]
        matrix = [
            [lower[max(i, j)][min(i, j)] + (i == j) * random.randint(0, 6) for j in range(width)] for i in range(width)
        ]
    if draw(st.booleans()):
        place = random.randrange(width)
        matrix[place][place] += random.choice([-1, 1]) * Fraction(1, 10 ** random.choice([0, 3, 40]))
    return matrix


@examples(200)
@given(symmetric_matrices())
def test_accepted_if_and_only_if_the_characteristic_polynomial_alternates(matrix):
    assert is_accepted(matrix) == is_semidefinite(matrix)
    assert independent_columns(matrix) == independent(matrix)


def test_the_tests_above_have_both_kinds():
    assert not is_semidefinite([[1, 2], [2, 1]]) and is_semidefinite([[4, 2], [2, 1]])
    assert independent([[1, 2, 0], [2, 4, 0], [0, 0, 3]]) == (0, 2)


@pytest.mark.parametrize("width", [8, 9, 30])
def test_the_edge_of_an_ill_conditioned_matrix(width):
    """Less 1 / (A^-1)_ww in its last entry it is singular; less a little more it is indefinite, and found in the last row."""
    matrix = hilbert(width)
    minors = [fmpz_mat([[int(e * lcm(*range(1, 2 * width))) for e in row[:k]] for row in matrix[:k]]).det()
              for k in (width - 1, width)]  # fmt: skip
    edge = Fraction(int(minors[1]), int(minors[0]) * lcm(*range(1, 2 * width)))
    assert is_accepted(matrix) and independent_columns(matrix) == tuple(range(width))
    matrix[-1][-1] -= edge
    assert is_accepted(matrix) and independent_columns(matrix) == tuple(range(width - 1))
    matrix[-1][-1] -= edge / 10**100
    with pytest.raises(InputError, match=rf"\(found at row {width - 1}\)$|\(found at row {width - 1}\):"):
        Gaussian([[1] * width], covariance=matrix)


@pytest.mark.parametrize("width", [3, 20])
def test_a_minor_that_is_zero_before_the_last_row(width):
    """The rows before the last are singular, the whole is not: no precision separates the pivot from zero."""
    matrix = [
        [Fraction(3 * (i == j) + 2) if max(i, j) < width - 2 else Fraction(0) for j in range(width)]
        for i in range(width)
    ]
    matrix[width - 2] = list(matrix[0])
    for i in range(width):
        matrix[i][width - 2] = matrix[width - 2][i]
    matrix[width - 2][width - 2] = matrix[0][0]
    matrix[-1][-1] = Fraction(7)
    assert is_accepted(matrix)
    matrix[-1][-2] = matrix[-2][-1] = Fraction(1)
    assert not is_semidefinite(matrix) and not is_accepted(matrix)


def test_a_negative_and_an_empty_diagonal_are_found_at_their_rows():
    for entries, row in (([1, 1, -2], 2), ([0, 1, 1], 0)):
        matrix = [[Fraction(entries[i]) if i == j else Fraction(1) for j in range(3)] for i in range(3)]
        with pytest.raises(InputError, match=rf"found at row {row}\)"):
            Gaussian([[1] * 3], covariance=matrix)
    assert is_accepted([[0, 0], [0, 0]]) and is_accepted([[0, 0], [0, 3]])


@pytest.mark.parametrize("kind", ["common denominator", "a denominator an entry", "rank 100"])
def test_300_inputs_with_a_dense_covariance(kind):
    """A second here; eliminating fractions takes minutes, and integers over 45,000 denominators would not end."""
    width, draw = 300, random.Random(0)
    if kind == "a denominator an entry":
        lower = [
            [Fraction(draw.randint(-999, 999), 1000 * draw.randint(1, 999)) for _ in range(width)] for _ in range(width)
        ]
        matrix = [[lower[max(i, j)][min(i, j)] + (i == j) * width for j in range(width)] for i in range(width)]
    else:
        rank = 100 if kind == "rank 100" else width
        factor = fmpz_mat([[draw.randint(-999, 999) for _ in range(rank)] for _ in range(width)])
        matrix = [[Fraction(int(entry), 10**6) for entry in row] for row in (factor * factor.transpose()).tolist()]
    start = time.process_time()
    law = Gaussian([[1] * width], covariance=matrix)
    assert len(ExactGaussian(law)._directions) == (100 if kind == "rank 100" else width)
    assert time.process_time() - start < 5
    matrix[-1][-1] -= Fraction(10**6)
    with pytest.raises(InputError, match="not positive semi-definite"):
        Gaussian([[1] * width], covariance=matrix)
