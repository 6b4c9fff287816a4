"""Road (d): the expectation of a product of traces of words in the batch second moment S and fixed matrices.

Two ways lead to E tr(A S B S) tr(C S), and the one with the smaller predicted size is taken:

    recursion   (2k-1)!! steps at most, k the number of S, whatever the width p (``word_recursion``)
    expansion   in the m = p (p+1)/2 entries of S, each of the C(m+k-1, k) monomials replaced by its moment
                (``batch_moments``): far fewer where S is small, at 3 x 3 and order 7 792 in place of 135,135

With symbols the recursion stays dimension-free (``trace_moment``), and its traces are evaluated at the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice
from math import comb, prod
from typing import Any

from flint import fmpq

from linvar.errors import DerivationTooLargeError, InputError, InputTypeError, Words, cut, shown
from linvar.exact import Exact, Matrix, Rational, exact_matrix, free_symbols, shape
from linvar.laws import Gaussian, identity
from linvar.symbolic.batch_moments import answer_ring, batch_moments, unit_form
from linvar.symbolic.polynomial import BatchPolynomial
from linvar.symbolic.ring import Element, Ring, coefficients_of, sum_elements, to_rational
from linvar.symbolic.size import default_memory_limit, format_bytes
from linvar.symbolic.word_recursion import (
    LARGEST_TERMS,
    TRANSPOSED,
    State,
    checked_words,
    count_pairings,
    moment_of_numbers,
    show_count,
    show_words,
    trace_moment,
)

__all__ = ["trace_moment", "wishart_moment"]

#: Memory at the peak, measured for orders 6 to 9: a term of either road, and the integer matrices of the recursion.
_BYTES_PER_TERM = 1000
_BYTES_PER_SQUARED_WIDTH = 10


def wishart_moment(
    words: Sequence[Sequence[str]], matrices: Mapping[str, Any], covariance: Any = None
) -> BatchPolynomial:
    """Expectation of a product of traces of words in fixed matrices and the second moment of a Gaussian batch.

    For ``words = [["A", "B"], ["C"]]``:  E[ tr(A S B S) tr(C S) ],  S = (1/b) sum_{i=1..b} x_i x_i^T.

    Convention: x_i ~ N(0, covariance), independent; S is the MEAN of the b outer products, uncentred (b S is
    Wishart with b degrees of freedom); an S follows every letter. The result is a polynomial in u = 1/b of degree
    at most k - 1, where the order k is the number of letters. Exact: no floats anywhere, valid for every b >= 1
    (b below the width, where S is singular, included).

    Args:
        words: one word a trace, each a sequence of letters.
        matrices: letter -> square matrix, all of one width p >= 1 (p = 1 included). Entries: int, Fraction, "p/q",
            SymPy numbers, or SymPy expressions polynomial in their symbols. Letters that no word uses are checked
            but do not matter.
        covariance: Sigma, shape (p, p), symmetric positive semi-definite; the identity if None. With symbols in
            it, positive semi-definiteness is the caller's to assure.

    Returns:
        A ``BatchPolynomial`` with ``sampling="iid"``; SymPy expressions as coefficients where symbols occur.

    Raises:
        InputTypeError: an entry is a float or not a number; ``words`` or ``matrices`` is of the wrong kind: a set of letters
            has no order.
        InputError: no words, an empty word, a letter without a matrix, matrices that are not square or not of
            one width, a covariance of another shape, not symmetric or not positive semi-definite.
        DerivationTooLargeError: the moment would take too long or too much memory; said before it starts.

    >>> wishart_moment([["A", "A"]], {"A": [[1, 0], [0, 1]]}).coefficients
    (2, 6)
    >>> wishart_moment([["A"], ["B"]], {"A": [["1/2"]], "B": [[4]]}, covariance=[[3]]).coefficients
    (18, 36)

    Source: Haff (1979), Letac and Massam (2004), Graczyk, Letac and Massam (2005); citations in ``word_recursion``.
    """
    state = checked_words(words)
    letters = _checked_matrices(state, matrices)
    width = len(next(iter(letters.values())))
    sigma = _checked_covariance(covariance, width)
    used = {letter: letters[letter] for word in state for letter in word}
    symbols = free_symbols(entry for matrix in (*used.values(), sigma) for row in matrix for entry in row)
    by_entries = _choose_road(state, used, sigma, symbols)
    order = sum(map(len, state))
    coefficients: list[Exact] | list[Element]
    ring = None
    if by_entries:
        coefficients, ring = _expand_entries(state, used, sigma, symbols)
    elif symbols:
        coefficients, ring = _evaluate_traces(state, used, sigma, symbols)
    else:
        coefficients = moment_of_numbers(state, used, sigma)
    return BatchPolynomial(coefficients, sampling="iid", degree_bound=order - 1, ring=ring)


def _choose_road(state: State, matrices: Mapping[str, Matrix], sigma: Matrix, symbols: tuple[Any, ...]) -> bool:
    """Whether to expand in the entries of S, by predicted sizes; refuses what is too large for both roads."""
    order, width = sum(map(len, state)), len(sigma)
    monomials = comb(width * (width + 1) // 2 + order, order)
    by_entries = 4 * monomials < count_pairings(order)
    terms = monomials if by_entries else count_pairings(order)
    per_term = _BYTES_PER_TERM + (0 if by_entries else _BYTES_PER_SQUARED_WIDTH * width**2)
    if symbols:
        terms *= _symbol_monomials(state, matrices, sigma, symbols)
    if terms > LARGEST_TERMS or terms * per_term > default_memory_limit():
        cures = [("", "numbers in place of some of the symbols")] * bool(symbols)
        cures += [("", "fewer letters")] * (order > 1) + [("", "matrices of smaller width")] * (width > 1)
        raise DerivationTooLargeError(
            f"words={show_words(state)} is of order {order}, on matrices of width {width}: about {show_count(terms)} "
            f"terms, {format_bytes(terms * per_term)} (the smaller of (2*{order}-1)!! pairings and the monomials in "
            f"the entries of S), more than the limit of {LARGEST_TERMS:,} terms or "
            f"{format_bytes(default_memory_limit())}",
            cures,
        )
    return by_entries


def _symbol_monomials(state: State, matrices: Mapping[str, Matrix], sigma: Matrix, symbols: tuple[Any, ...]) -> int:
    """A bound on the monomials in the symbols: by all symbols together, or matrix by matrix."""
    import sympy

    letters = [letter for word in state for letter in word]
    apart, degree = 1, 0
    for matrix, count in [*((matrices[name], letters.count(name)) for name in matrices), (sigma, len(letters))]:
        entries = [entry for row in matrix for entry in row if not isinstance(entry, Rational)]
        inside = free_symbols(entries)
        highest = max((sympy.Poly(entry, *inside).total_degree() for entry in entries), default=0) * count
        apart *= comb(len(inside) + highest, highest)
        degree += highest
    return min(apart, comb(len(symbols) + degree, degree))


def _evaluate_traces(
    state: State, matrices: Mapping[str, Matrix], sigma: Matrix, symbols: tuple[Any, ...]
) -> tuple[list[Element], Ring]:
    """The dimension-free answer, its traces evaluated in the ring of the symbols; products are shared by prefix."""
    ring = Ring(0, symbols)
    names = {letter: f"{i}" for i, letter in enumerate(matrices)}
    symmetric = [names[letter] for letter, matrix in matrices.items() if matrix == tuple(zip(*matrix))]
    answer = trace_moment([[names[letter] for letter in word] for word in state], symmetric)
    center = [[ring.lift(entry) for entry in row] for row in sigma]
    followed = {}
    for letter, matrix in matrices.items():
        lifted = [[ring.lift(entry) for entry in row] for row in matrix]
        followed[names[letter]] = _multiply(lifted, center, ring)
        followed[names[letter] + TRANSPOSED] = _multiply([list(column) for column in zip(*lifted)], center, ring)
    products: dict[tuple[str, ...], list[list[Element]]] = {(name,): matrix for name, matrix in followed.items()}
    traces: dict[tuple[str, ...], Element] = {}

    def product(word: tuple[str, ...]) -> list[list[Element]]:
        """M_1 Sigma M_2 Sigma ... of a word."""
        if word not in products:
            products[word] = _multiply(product(word[:-1]), followed[word[-1]], ring)
        return products[word]

    def trace(word: tuple[str, ...]) -> Element:
        """tr(M_1 Sigma M_2 Sigma ...), without the whole last product."""
        if word not in traces:
            left = product(word[:-1]) if len(word) > 1 else None
            right = followed[word[-1]]
            width = range(len(right))
            traces[word] = sum_elements(
                ring,
                (right[i][i] for i in width)
                if left is None
                else (left[i][j] * right[j][i] for i in width for j in width),
            )
        return traces[word]

    coefficients = []
    for power in range(max(answer) + 1):
        products_of_traces = answer.get(power, {}).items()
        terms = (prod(map(trace, words), start=ring.one) * count for words, count in products_of_traces)
        coefficients.append(sum_elements(ring, terms))
    return coefficients, ring


def _expand_entries(
    state: State, matrices: Mapping[str, Matrix], sigma: Matrix, symbols: tuple[Any, ...]
) -> tuple[list[Exact] | list[Element], Ring | None]:
    """The product of traces expanded in the entries of S, each monomial replaced by its moment."""
    width, order = len(sigma), sum(map(len, state))
    positions = [(i, j) for i in range(width) for j in range(i, width)]
    ring, answers = Ring(len(positions), symbols), answer_ring(symbols)
    law = Gaussian(teacher=[[0] * width], covariance=sigma)
    moments = batch_moments(law, [unit_form(width, i, j) for i, j in positions], order, "iid", answers)
    variable = dict(zip(positions, ring.gens))
    batch = [[variable[min(i, j), max(i, j)] for j in range(width)] for i in range(width)]
    followed = {
        letter: _multiply([[ring.lift(entry) for entry in row] for row in matrix], batch, ring)
        for letter, matrix in matrices.items()
    }
    total = ring.one
    for word in state:
        matrix = followed[word[0]]
        for letter in word[1:]:
            matrix = _multiply(matrix, followed[letter], ring)
        total = total * sum_elements(ring, (matrix[i][i] for i in range(width)))
    grouped: dict[tuple[int, ...], dict[tuple[int, ...], fmpq]] = defaultdict(dict)
    for exponents, coefficient in total.terms():
        grouped[exponents[: len(positions)]][0, *exponents[len(positions) :]] = coefficient
    expected = sum_elements(
        answers, (moments[key] * answers.from_terms(terms) for key, terms in grouped.items() if key in moments)
    )
    coefficients = coefficients_of(expected, answers)
    if symbols:
        return coefficients, answers.scalars
    return [to_rational(element.coefficient(0)) if element else Rational(0) for element in coefficients], None


def _multiply(a: list[list[Element]], b: list[list[Element]], ring: Ring) -> list[list[Element]]:
    """Matrix product over a ring."""
    columns = list(zip(*b))
    return [[sum((x * y for x, y in zip(row, column) if x and y), ring.zero) for column in columns] for row in a]


def _checked_matrices(state: State, matrices: Any) -> dict[str, Matrix]:
    """Exact square matrices of one width, one for every letter."""
    if not isinstance(matrices, Mapping):
        raise InputTypeError(
            "matrices",
            Words(f"is of type {type(matrices).__name__}"),
            'give a dictionary, as {"A": [[1, 0], [0, 1]]}',
        )
    missing = sorted({letter for word in state for letter in word} - set(matrices))
    if missing:
        known = cut(", ".join(shown(name, 20) for name in islice(matrices, 20)) or "none", 80)
        fault = f"has no {shown(missing[0], 40)}, a letter of words={show_words(state)} (letters given: {known})"
        raise InputError("matrices", Words(fault), "add it")
    checked: dict[str, Matrix] = {}
    for name, value in matrices.items():
        place = f"matrices[{shown(name, 40)}]"
        matrix = exact_matrix(value, place)
        rows, columns = shape(matrix)
        if rows != columns:
            raise InputError(place, Words(f"has shape {(rows, columns)}"), "give a square matrix, as wide as S")
        for other, first in checked.items():
            if len(first) != rows:
                fault = Words(f"has shape {(rows, rows)} and matrices[{shown(other, 40)}] has {shape(first)}")
                raise InputError(place, fault, "give all one width")
            break
        checked[name] = matrix
    return checked


def _checked_covariance(covariance: Any, width: int) -> Matrix:
    """Sigma, the identity if None; symmetry and positive semi-definiteness are checked by the law."""
    if covariance is None:
        return identity(width)
    sigma = exact_matrix(covariance, "covariance")
    if shape(sigma) != (width, width):
        fault = Words(f"has shape {shape(sigma)}, but matrices are of width {width}")
        raise InputError("covariance", fault, f"give a ({width}, {width}) matrix")
    return Gaussian(teacher=[[0] * width], covariance=sigma).covariance
