"""Road (d): the expectation of a product of traces of words in the batch second moment S and fixed matrices.

Two ways lead to E tr(A S B S) tr(C S), and the one that is predicted to be quicker is taken (``word_size``):

    recursion   (2k-1)!! steps at most, k the number of S, whatever the width p, and few where letters repeat
                (``word_recursion``)
    expansion   in the m = p (p+1)/2 entries of S, each of the C(m+k-1, k) monomials replaced by its moment
                (``batch_moments``): few where S is small, at 3 x 3 and order 7 792

With symbols the recursion stays dimension-free (``trace_moment``), and its traces are evaluated at the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice
from math import lcm, prod
from operator import mul
from typing import Any

from flint import fmpq

from linvar.errors import DerivationTooLargeError, InputError, InputTypeError, Words, cut, shown
from linvar.exact import Exact, Matrix, Rational, exact_matrix, free_symbols, shape
from linvar.laws.gaussian import Gaussian
from linvar.laws.law import identity
from linvar.progress import Report, reporting
from linvar.symbolic.algebra.ring import Element, Ring, coefficients_of, sum_elements, to_rational
from linvar.symbolic.limits import MOST_SECONDS, checked_limit, default_memory_limit, format_bytes
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.symbolic.sgd.batch_moments import answer_ring, batch_moments, unit_form
from linvar.symbolic.words.recursion import (
    TRANSPOSED,
    State,
    checked_words,
    moment_of_numbers,
    show_words,
    trace_moment,
)
from linvar.symbolic.words.size import WordSize, expansion_size, recursion_size

__all__ = ["trace_moment", "wishart_moment"]

#: A way that takes fewer seconds is not compared with the other.
_QUICK = 0.05


def wishart_moment(
    words: Sequence[Sequence[str]],
    matrices: Mapping[str, Any],
    covariance: Any = None,
    *,
    memory_limit: float | None = None,
    progress: bool | Report | None = None,
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
        memory_limit: bytes the moment may take, >= 1; half of the machine's memory if None.
        progress: None says what a moment of more than about ten seconds will cost and shows a bar, if standard error is a
            terminal (or a notebook with ipywidgets); True always shows one, False never; a function is called with
            (done, total).

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
    sigma, rank = _checked_covariance(covariance, width)
    used = {letter: letters[letter] for word in state for letter in word}
    symbols = free_symbols(entry for matrix in (*used.values(), sigma) for row in matrix for entry in row)
    size = _choose(state, used, sigma, rank, symbols, checked_limit(memory_limit))
    coefficients: list[Exact] | list[Element]
    ring = None
    with reporting(progress, "Wishart moment", f"Wishart moment: {size.cost}", size.seconds) as report:
        if size.way == "expansion":
            coefficients, ring = _expand_entries(state, used, sigma, symbols, report)
        elif symbols:
            coefficients, ring = _evaluate_traces(state, used, sigma, symbols, report)
        else:
            coefficients = moment_of_numbers(state, used, sigma, report)
    return BatchPolynomial(coefficients, sampling="iid", degree_bound=sum(map(len, state)) - 1, ring=ring)


def _choose(
    state: State, matrices: Mapping[str, Matrix], sigma: Matrix, rank: int, symbols: tuple[Any, ...], limit: int
) -> WordSize:
    """The quicker of the ways that fit, by predicted sizes; refuses what is too large for both."""
    expansion = expansion_size(state, matrices, sigma, rank, symbols)
    if expansion.seconds < _QUICK and expansion.bytes <= limit:
        return expansion
    recursion = recursion_size(state, matrices, sigma, symbols)
    sizes = [size for size in (recursion, expansion) if size.seconds <= MOST_SECONDS]
    if fitting := [size for size in sizes if size.bytes <= limit]:
        return min(fitting, key=lambda size: size.seconds)
    order, width, needed = sum(map(len, state)), len(sigma), min((size.bytes for size in sizes), default=None)
    obstacle = "too long" if needed is None else f"more than the limit of {format_bytes(limit)}"
    cures = [
        (bool(symbols), "", "numbers in place of some of the symbols"),
        (order > 1, "", "fewer letters"),
        (width > 1, "", "matrices of smaller width"),
        (
            needed is not None and needed <= 2 * default_memory_limit(),
            "memory_limit",
            "a larger memory_limit= (in bytes)",
        ),
        (needed is not None and 2 * default_memory_limit() < needed < 2**44, "", "a machine with more memory"),
    ]
    raise DerivationTooLargeError(
        f"words={show_words(state)} is of order {order}, on matrices of width {width}: {recursion.cost}; {expansion.cost}: "
        f"{obstacle}",
        [(argument, words) for applies, argument, words in cures if applies],
    )


def _evaluate_traces(
    state: State,
    matrices: Mapping[str, Matrix],
    sigma: Matrix,
    symbols: tuple[Any, ...],
    report: Report = lambda done, total: None,
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
    report(0, max(answer) + 1)
    for power in range(max(answer) + 1):
        products_of_traces = answer.get(power, {}).items()
        terms = (prod(map(trace, words), start=ring.one) * count for words, count in products_of_traces)
        coefficients.append(sum_elements(ring, terms))
        report(power + 1, max(answer) + 1)
    return coefficients, ring


def _expand_entries(
    state: State,
    matrices: Mapping[str, Matrix],
    sigma: Matrix,
    symbols: tuple[Any, ...],
    report: Report = lambda done, total: None,
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
    law = Gaussian(teacher=[[0] * width], covariance=sigma)
    moments = batch_moments(law, [unit_form(width, i, j) for i, j in positions], order, "iid", answers)
    variable = dict(zip(positions, ring.gens))
    batch = [[variable[min(i, j), max(i, j)] for j in range(width)] for i in range(width)]
    followed = {
        letter: _multiply([[ring.lift(entry) for entry in row] for row in matrix], batch, ring)
        for letter, matrix in matrices.items()
    }
    total = ring.one
    report(done, steps)
    for word in state:
        matrix = None
        for letter in word[:-1]:
            matrix = followed[letter] if matrix is None else _multiply(matrix, followed[letter], ring)
            done += 1
            report(done, steps)
        total = total * _trace_of_product(matrix, followed[word[-1]], ring)
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
    rest: Any = sigma
    columns, variances = [], []
    for k in range(len(sigma)):
        if pivot := rest[k][k]:
            column = [row[k] / pivot for row in rest]
            rest = [[a - c * b for a, b in zip(row, rest[k])] for row, c in zip(rest, column)]
            scale = lcm(*(entry.denominator for entry in column))  # y in such units that F is of integers
            columns.append([entry * scale for entry in column])
            variances.append(pivot / scale**2)

    def turned(matrix: Any) -> Matrix:
        half = [[sum(map(mul, row, column)) for row in matrix] for column in columns]  # (M F)^T
        return exact_matrix([[sum(map(mul, left, right)) for right in half] for left in columns], "matrix")

    center = [[d if i == j else 0 for j in range(len(variances))] for i, d in enumerate(variances)]
    if not columns:
        return {}, ()
    return {letter: turned(matrix) for letter, matrix in matrices.items()}, exact_matrix(center, "covariance")


def _trace_of_product(a: list[list[Element]] | None, b: list[list[Element]], ring: Ring) -> Element:
    """tr(a b), tr(b) without an a."""
    width = range(len(b))
    if a is None:
        return sum_elements(ring, (b[i][i] for i in width))
    return sum_elements(ring, (a[i][j] * b[j][i] for i in width for j in width))


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


def _checked_covariance(covariance: Any, width: int) -> tuple[Matrix, int]:
    """Sigma, the identity if None, and its rank, the width with symbols; the law checks that it is positive semi-definite."""
    if covariance is None:
        return identity(width), width
    sigma = exact_matrix(covariance, "covariance")
    if shape(sigma) != (width, width):
        fault = Words(f"has shape {shape(sigma)}, but matrices are of width {width}")
        raise InputError("covariance", fault, f"give a ({width}, {width}) matrix")
    law = Gaussian(teacher=[[0] * width], covariance=sigma)
    return law.covariance, width if law._independent is None else len(law._independent)
