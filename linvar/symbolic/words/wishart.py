"""Road (d): the expectation of a product of traces of words in the batch second moment S and fixed matrices.

Two ways lead to E tr(A S B S) tr(C S), and the one that is predicted to be quicker is taken (``size``):

    recursion   (2k-1)!! steps at most, k the number of S, whatever the width p, and few where letters repeat
                (``recursion``, ``numbers``)
    expansion   in the m = p (p+1)/2 entries of S, each of the C(m+k-1, k) monomials replaced by its moment
                (``expansion``): few where S is small, at 3 x 3 and order 7 792

With symbols the recursion stays dimension-free (``traces``), and its traces are evaluated at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from linvar.errors import Argument, DerivationTooLargeError, Said
from linvar.exact import Exact, Matrix, free_symbols
from linvar.keywords import door
from linvar.progress import Progress, reporting
from linvar.symbolic.algebra.ring import Element
from linvar.symbolic.limits import MOST_SECONDS, checked_limit, default_memory_limit, format_bytes
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.symbolic.words.expansion import expand_entries
from linvar.symbolic.words.numbers import expected_traces
from linvar.symbolic.words.size import WordSize, expansion_size, recursion_size
from linvar.symbolic.words.statement import Traces, checked_covariance, checked_matrices, checked_words, show_words
from linvar.symbolic.words.traces import evaluate_traces

#: A way that takes fewer seconds is not compared with the other.
_QUICK = 0.05


@door
def wishart_moment(
    words: Sequence[Sequence[str]],
    matrices: Mapping[str, Any],
    covariance: Any = None,
    *,
    memory_limit: float | None = None,
    progress: bool | Progress | None = None,
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

    Source: Haff (1979), Letac and Massam (2004), Graczyk, Letac and Massam (2005); citations in ``recursion``.
    """
    state = checked_words(words)
    letters = checked_matrices(state, matrices)
    width = len(next(iter(letters.values())))
    sigma, rank = checked_covariance(covariance, width)
    used = {letter: letters[letter] for word in state for letter in word}
    symbols = free_symbols(entry for matrix in (*used.values(), sigma) for row in matrix for entry in row)
    size = _choose(state, used, sigma, rank, symbols, checked_limit(memory_limit))
    coefficients: list[Exact] | list[Element]
    ring = None
    with reporting(progress, "Wishart moment", f"Wishart moment: {size.cost}", size.seconds) as report:
        if size.way == "expansion":
            coefficients, ring = expand_entries(state, used, sigma, symbols, report)
        elif symbols:
            coefficients, ring = evaluate_traces(state, used, sigma, symbols, report)
        else:
            coefficients = expected_traces(state, used, sigma, report)
    return BatchPolynomial(coefficients, sampling="iid", degree_bound=sum(map(len, state)) - 1, ring=ring)


def _choose(
    state: Traces, matrices: Mapping[str, Matrix], sigma: Matrix, rank: int, symbols: tuple[Any, ...], limit: int
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
            Said("a larger {} (in bytes)", Argument("memory_limit")),
        ),
        (needed is not None and 2 * default_memory_limit() < needed < 2**44, "", "a machine with more memory"),
    ]
    raise DerivationTooLargeError(
        f"words={show_words(state)} is of order {order}, on matrices of width {width}: {recursion.cost}; {expansion.cost}: "
        f"{obstacle}",
        [(argument, words) for applies, argument, words in cures if applies],
    )
