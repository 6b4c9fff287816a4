"""Words expanded in the entries of S: few monomials where S is small, each of them replaced by its moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import lcm
from typing import Any

from linvar.exact import Exact, Matrix, Rational, exact_matrix
from linvar.flint import fmpq
from linvar.laws.gaussian import Gaussian
from linvar.laws.polynomial import coordinates
from linvar.matrices import product, trace, trace_product, transpose
from linvar.progress import Progress
from linvar.symbolic.algebra.ring import Element, Ring, coefficients_of, sum_elements, to_rational
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.sgd.batch_moments import answer_ring, batch_moments
from linvar.symbolic.words.statement import Traces


def expand_entries(
    state: Traces,
    matrices: Mapping[str, Matrix],
    sigma: Matrix,
    symbols: tuple[Any, ...],
    report: Progress = lambda done, total: None,
) -> tuple[list[Exact] | list[Element], Ring | None]:
    """The product of traces expanded in the entries of S, each monomial replaced by its moment."""
    order = sum(map(len, state))
    if not symbols:
        matrices, sigma = _in_independent_coordinates(matrices, sigma)
        if not sigma:
            return [Rational(0)], None
    width, steps, done = len(sigma), order + 2, 1
    report(0, steps)
    positions = [(i, j) for i in range(width) for j in range(i, width)]
    ring, answers = Ring(len(positions), symbols), answer_ring(symbols)
    law, z = exact_law(Gaussian(teacher=[[0] * width], covariance=sigma)), coordinates(width)
    moments = batch_moments(law, [z[i] * z[j] for i, j in positions], order, "iid", answers)
    variable = dict(zip(positions, ring.gens))
    batch = [[variable[min(i, j), max(i, j)] for j in range(width)] for i in range(width)]
    followed = {
        letter: product([[ring.lift(entry) for entry in row] for row in matrix], batch)
        for letter, matrix in matrices.items()
    }
    total = ring.one
    report(done, steps)
    for word in state:
        matrix = None
        for letter in word[:-1]:
            matrix = followed[letter] if matrix is None else product(matrix, followed[letter])
            done += 1
            report(done, steps)
        last = followed[word[-1]]
        total = total * (trace(last) if matrix is None else trace_product(matrix, last))
        done += 1
        report(done, steps)
    grouped: dict[tuple[int, ...], dict[tuple[int, ...], fmpq]] = defaultdict(dict)
    for k in range(len(total)):  # one by one: all at once they take more memory than the polynomial
        exponents = total.monomial(k)
        if (key := exponents[: len(positions)]) in moments:
            grouped[key][0, *exponents[len(positions) :]] = total.coefficient(k)
    expected = sum_elements(answers, (moments[key] * answers.from_terms(terms) for key, terms in grouped.items()))
    report(steps, steps)
    coefficients = coefficients_of(expected, answers)
    if symbols:
        return coefficients, answers.scalars
    return [to_rational(element.coefficient(0)) if element else Rational(0) for element in coefficients], None


def _in_independent_coordinates(matrices: Mapping[str, Matrix], sigma: Matrix) -> tuple[dict[str, Matrix], Matrix]:
    """F^T M F and a diagonal D without zeros, where x = F y and y ~ N(0, D): tr(M S ...) is tr(F^T M F S_y ...).

    Elimination, Sigma = F D F^T with F of full rank: independent coordinates have fewer moments that are not zero.
    """
    rest: Sequence[Sequence[Exact]] = sigma
    columns, variances = [], []
    for k in range(len(sigma)):
        if pivot := rest[k][k]:
            column = [row[k] / pivot for row in rest]
            rest = [[a - c * b for a, b in zip(row, rest[k])] for row, c in zip(rest, column)]
            scale = lcm(*(entry.denominator for entry in column))  # y in such units that F is of integers
            columns.append([entry * scale for entry in column])
            variances.append(pivot / scale**2)

    def turned(matrix: Matrix) -> Matrix:
        half = product(columns, transpose(matrix))  # (M F)^T
        return exact_matrix(product(columns, transpose(half)), "matrix")

    center = [[d if i == j else 0 for j in range(len(variances))] for i, d in enumerate(variances)]
    if not columns:
        return {}, ()
    return {letter: turned(matrix) for letter, matrix in matrices.items()}, exact_matrix(center, "covariance")
