"""The recursion on words behind road (d): each step takes one batch second moment S out of a product of traces.

A state is a product of traces, tr(A S B S) tr(C S) ..., kept as its words of letters ((A, B), (C,)). For Gaussian
x ~ N(0, Sigma) integration by parts (Stein) removes one S: with S_ab taken out of the product,

    E S_ab F = Sigma_ab E F + u E sum over every other S_de in F, replaced by Sigma_ad S_be + Sigma_ae S_bd.

In words, taking the last S of tr(L_1 S ... S L_n S) out, and M' the transpose of M:

    closing      tr(L_1 S ... S L_n Sigma)
    cutting      u tr(V Sigma) tr(U S) + u tr(U Sigma V' S)          U = L_1 S ... L_i,  V = L_{i+1} S ... L_n,  i < n
    joining      u tr(P Sigma Q S) + u tr(P Sigma Q' S)              P = L_1 S ... L_n,  tr(Q S) another factor,
                                                                     Q beginning at any of its letters

Each term has one S less, so order k (the number of S) takes (2k-1)!! of them, and fewer once equal states are
merged: words are the same up to rotation, and up to reversal with transposed letters. Nothing here knows the width
of S. ``trace_moment`` returns the answer as a polynomial in u = 1/b and traces of words, valid for every width;
``moment_of_numbers`` runs the same steps on integer matrices.

Source: the identity is the Wishart identity of L. R. Haff, "An identity for the Wishart distribution with
applications", J. Multivariate Analysis 9 (1979); all invariant moments: G. Letac and H. Massam, "All invariant moments of
the Wishart distribution", Scandinavian J. Statistics 31 (2004); moments of all orders as sums over pairings: P. Graczyk,
G. Letac and H. Massam, "The hyperoctahedral group, symmetric group representations and the moments of the real Wishart
distribution", J. Theoretical Probability 18 (2005), and C. E. I. Redelmeier, "Genus expansion for real Wishart
matrices", arXiv:0910.5541. The form used here is derived above.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from math import lcm, prod
from typing import Any

from flint import fmpz, fmpz_mat, fmpz_poly

from linvar.errors import DerivationTooLargeError, InputError, InputTypeError, Words, cut, shown
from linvar.exact import Exact, Matrix, Rational, ordered
from linvar.laws.law import identity
from linvar.progress import Report

Word = tuple[Any, ...]  # letters L_1, ..., L_n of tr(L_1 S ... L_n S)
State = tuple[Word, ...]
Term = tuple[int, list[Any], list[list[Any]]]  # power of u, the letter of a closed trace tr(L Sigma) if any, words left
Traces = tuple[tuple[str, ...], ...]  # a product of traces of words in letters and Sigma

#: Terms a moment may take before it is refused: minutes of work.
LARGEST_TERMS = 10_000_000

#: Highest order, the number of letters, whatever the width.
LARGEST_ORDER = 200

#: A letter whose name ends so is the transpose of the letter before it.
TRANSPOSED = "^T"


def trace_moment(words: Sequence[Sequence[str]], symmetric: Collection[str] = ()) -> dict[int, dict[Traces, int]]:
    """Expectation of a product of traces for matrices of EVERY width: traces of words in the letters and Sigma.

    E prod_words tr(L_1 S L_2 S ...) = sum_k u^k sum_T c_{k,T} prod_{(M_1, M_2, ...) in T} tr(M_1 Sigma M_2 Sigma ...)

    Convention: S = (1/b) sum x x^T, x ~ N(0, Sigma) independent, u = 1/b; an S follows every letter of ``words``,
    and a Sigma every letter of the answer. ``"A^T"`` is the transpose of ``"A"``. Exact, and canonical: two traces
    equal by rotation, or by reversal with transposition, are written in the same way (the smallest), and factors
    are sorted, so that results compare with ==.

    Args:
        words: one word a trace, each a sequence of letters.
        symmetric: letters whose matrices are symmetric: their own transposes, which leaves fewer terms.

    Returns:
        Power of u -> product of traces -> integer coefficient. The coefficients are positive and sum to (2k-1)!!, k
        the number of letters.

    Raises:
        InputTypeError: a letter is not a string, ``words`` or a word has no order (a set, a text), or ``symmetric`` is no
            collection.
        InputError: no words, an empty word, or a letter that ends in ``^T``.
        DerivationTooLargeError: (2k-1)!! terms are too many; said before it starts.

    >>> trace_moment([["A"], ["B"]])
    {0: {(('A',), ('B',)): 1}, 1: {(('A', 'B'),): 1, (('A', 'B^T'),): 1}}
    >>> trace_moment([["A", "A"]], symmetric="A")
    {0: {(('A', 'A'),): 1}, 1: {(('A',), ('A',)): 1, (('A', 'A'),): 1}}

    Source: Haff (1979) and Graczyk, Letac and Massam (2005), see the head of this module.
    """
    state = checked_words(words)
    for letter in sorted({letter for word in state for letter in word if letter.endswith(TRANSPOSED)}):
        fault = Words(f"has the letter {shown(letter)}")
        raise InputError("words", fault, "such names are the answer's transposes, rename it")
    if not isinstance(symmetric, Collection) or not all(isinstance(letter, str) for letter in symmetric):
        raise InputTypeError("symmetric", symmetric, "give the letters whose matrices are symmetric, as strings")
    order = sum(map(len, state))
    terms = count_pairings(order)
    if terms > LARGEST_TERMS:
        raise DerivationTooLargeError(
            f"words={show_words(state)} is of order {order}: up to (2*{order}-1)!! = {show_count(terms)} "
            f"products of traces, more than the limit of {LARGEST_TERMS:,}",
            [("", "fewer letters"), ("", "wishart_moment on matrices of small width")],
        )
    fixed = frozenset(symmetric)

    def transpose(letter: tuple[str, ...]) -> tuple[str, ...]:
        return transposed(letter, fixed)

    join = tuple.__add__
    start = tuple(tuple((letter,) for letter in word) for word in state)
    current: dict[tuple[int, Traces, State], int] = {(0, (), canonical_state(start, transpose)): 1}
    closings: dict[tuple[str, ...], tuple[str, ...]] = {}
    steps: dict[State, list[tuple[int, list[tuple[str, ...]], State]]] = {}
    for _ in range(order):
        following: dict[tuple[int, Traces, State], int] = defaultdict(int)
        for (power, traces, words_left), count in current.items():
            if words_left not in steps:
                steps[words_left] = [
                    (
                        raised,
                        [_closed(letter, closings, transpose) for letter in closed],
                        canonical_state(rest, transpose),
                    )
                    for raised, closed, rest in remove_one(words_left, join, transpose)
                ]
            for raised, closed, rest in steps[words_left]:
                following[power + raised, tuple(sorted((*traces, *closed))) if closed else traces, rest] += count
        current = following
        steps.clear()
    result: dict[int, dict[Traces, int]] = {}
    for (power, traces, _), count in sorted(current.items()):
        result.setdefault(power, {})[traces] = count
    return result


def remove_one(state: State, join: Callable[[Any, Any], Any], transpose: Callable[[Any], Any]) -> Iterator[Term]:
    """One step of the recursion on the last S of the first word; ``join(a, b)`` is the letter a Sigma b."""
    word, others = list(state[0]), [list(other) for other in state[1:]]
    last = word[-1]
    if len(word) == 1:
        yield 0, [last], others
    else:
        yield 0, [], [[join(last, word[0]), *word[1:-1]], *others]
    backwards = [transpose(letter) for letter in reversed(word)]
    for i in range(1, len(word)):
        left = word[:i]
        if i == len(word) - 1:
            yield 1, [last], [left, *others]
        else:
            yield 1, [], [[join(last, word[i]), *word[i + 1 : -1]], left, *others]
        reverse = backwards[: len(word) - i]
        yield 1, [], [[*left[:-1], join(left[-1], reverse[0]), *reverse[1:]], *others]
    for j, other in enumerate(others):
        rest = others[:j] + others[j + 1 :]
        mirrored = [transpose(letter) for letter in reversed(other)]
        for cycle in (other, mirrored):
            for i in range(len(cycle)):
                yield 1, [], [[*word[:-1], join(last, cycle[i]), *cycle[i + 1 :], *cycle[:i]], *rest]


def transposed(letter: tuple[str, ...], symmetric: Collection[str]) -> tuple[str, ...]:
    """The transpose of L_1 Sigma ... L_n: reversed, each letter transposed."""
    return tuple(
        name if name in symmetric else name.removesuffix(TRANSPOSED) if name.endswith(TRANSPOSED) else name + TRANSPOSED
        for name in reversed(letter)
    )


def _canonical_word(word: Sequence[Any], transpose: Callable[[Any], Any]) -> Word:
    """The smallest of the words equal to this one by rotation, or by reversal with transposition."""
    if len(word) == 1:
        return (min(word[0], transpose(word[0])),)
    candidates = []
    for cycle in (tuple(word), tuple(transpose(letter) for letter in reversed(word))):
        smallest = min(cycle)
        candidates += [cycle[i:] + cycle[:i] for i, letter in enumerate(cycle) if letter == smallest]
    return min(candidates)


def canonical_state(words: Iterable[Sequence[Any]], transpose: Callable[[Any], Any]) -> State:
    """Canonical words, the shortest first: the recursion then finishes a word before it opens another."""
    return tuple(sorted((_canonical_word(word, transpose) for word in words), key=lambda word: (len(word), word)))


def _closed(
    letter: tuple[str, ...], known: dict[tuple[str, ...], tuple[str, ...]], transpose: Callable[[Any], Any]
) -> tuple[str, ...]:
    """The canonical name of the trace of a letter times Sigma."""
    if letter not in known:
        cycles = (letter, transpose(letter))
        known[letter] = min(cycle[i:] + cycle[:i] for cycle in cycles for i in range(len(cycle)))
    return known[letter]


def moment_of_numbers(
    state: State, matrices: Mapping[str, Matrix], sigma: Matrix, report: Report = lambda done, total: None
) -> list[Exact]:
    """The recursion with letters that are integer matrices, equal ones merged, and values that are polynomials in u.

    What is reported are the terms of the first two steps, 2k-1 times 2k-3 of them.
    """
    scales = {name: lcm(*(entry.denominator for row in matrix for entry in row)) for name, matrix in matrices.items()}
    sigma_scale = lcm(*(entry.denominator for row in sigma for entry in row))  # type: ignore[union-attr]
    sigma_matrix = None if sigma == identity(len(sigma)) else _integer_matrix(sigma, sigma_scale)
    known: dict[tuple[Any, ...], int] = {}
    plain: list[fmpz_mat] = []  # letter i, letter i times Sigma, its trace, the number of its transpose
    followed: list[fmpz_mat] = []
    traces: list[Any] = []
    transposes: list[int] = []
    products: dict[tuple[int, int], int] = {}
    indices, zero, one = range(len(sigma)), fmpz(0), fmpz(1)
    order, done = sum(map(len, state)), [0]
    steps = max(1, (2 * order - 1) * (2 * order - 3))
    report(0, steps)

    def number(matrix: fmpz_mat) -> int:
        """The number of a matrix; its transpose is numbered with it."""
        key = tuple(matrix.entries())
        if key not in known:
            mirror = matrix.transpose()
            mirror_key = tuple(mirror.entries())
            first = len(plain)
            known[key] = first
            known[mirror_key] = second = first + (mirror_key != key)
            for letter, other in ((matrix, second), (mirror, first))[: second - first + 1]:
                product = letter if sigma_matrix is None else letter * sigma_matrix
                plain.append(letter)
                followed.append(product)
                traces.append(sum((product[i, i] for i in indices), zero))
                transposes.append(other)
        return known[key]

    def join(a: int, b: int) -> int:
        """The number of a Sigma b."""
        if (a, b) not in products:
            products[a, b] = number(followed[a] * plain[b])
        return products[a, b]

    transpose = transposes.__getitem__
    values: dict[State, fmpz_poly] = {}

    def trace_of_two(a: int, b: int) -> Any:
        """tr(a Sigma b Sigma)."""
        product = followed[a] * followed[b]
        return sum((product[i, i] for i in indices), zero)

    def value(words: Sequence[Sequence[int]], left: int) -> fmpz_poly:
        """E of the product of traces, ``left`` factors S in it, as a polynomial in u; the last two in closed form."""
        if left == 1:
            return fmpz_poly([traces[words[0][0]]])
        if left == 2:
            a, b = words[0] if len(words) == 1 else (words[0][0], words[1][0])
            apart, together = traces[a] * traces[b], trace_of_two(a, b)
            turned = together if transposes[b] == b else trace_of_two(a, transposes[b])
            return fmpz_poly([together, apart + turned] if len(words) == 1 else [apart, together + turned])
        current = canonical_state(words, transpose)
        if current not in values:
            total = fmpz_poly([])
            for place, (power, closed, rest) in enumerate(remove_one(current, join, transpose), 1):
                weight = traces[closed[0]] if closed else one
                if weight:
                    total += value(rest, left - 1) * fmpz_poly([zero] * power + [weight])
                if left == order:
                    done[0] = place * (2 * order - 3)
                if left >= order - 1:
                    report(done[0] + place * (left < order), steps)
            values[current] = total
        return values[current]

    numbers = {name: number(_integer_matrix(matrix, scales[name])) for name, matrix in matrices.items()}
    scale = sigma_scale**order * prod(scales[letter] for word in state for letter in word)
    total = value([[numbers[letter] for letter in word] for word in state], order)
    report(steps, steps)
    return [Rational(int(coefficient), scale) for coefficient in total.coeffs()] or [Rational(0)]


def _integer_matrix(matrix: Matrix, scale: int) -> fmpz_mat:
    """A rational matrix times a common denominator."""
    return fmpz_mat([[int(entry * scale) for entry in row] for row in matrix])


def count_pairings(order: int) -> int:
    """(2k-1)!!, the terms of the recursion at order k with all letters distinct."""
    return prod(range(1, 2 * order, 2))


def checked_words(words: Any) -> State:
    """Words as tuples of strings; at least one word, none of them empty."""
    state = []
    for i, word in enumerate(ordered(words, "words", 'give a list of words, as [["A", "B"], ["C"]]')):
        example = list(word[:5]) if isinstance(word, str) and word else ["A", "B"]
        letters = tuple(ordered(word, f"words[{i}]", f"give a list of letters, as {example}"))
        for j, letter in enumerate(letters):
            if not isinstance(letter, str):
                raise InputTypeError(f"words[{i}][{j}]", letter, "give a letter, which is a string")
        if not letters:
            raise InputError(
                f"words[{i}]", Words("is empty"), "give at least one letter, for instance ['A'] for tr(A S)"
            )
        state.append(letters)
    if not state:
        raise InputError("words", Words("is empty"), 'give at least one word, for instance [["A"]] for tr(A S)')
    order = sum(map(len, state))
    if order > LARGEST_ORDER:
        raise DerivationTooLargeError(
            f"words={show_words(tuple(state))} is of order {order} (all letters together), more than the limit of "
            f"{LARGEST_ORDER}",
            [("", "fewer letters")],
        )
    return tuple(state)


def show_count(count: int) -> str:
    """A count with its digits in groups, or its power of ten when long."""
    return f"{count:,}" if count < 10**15 else f"10^{len(str(count)) - 1}"


def show_words(state: State) -> str:
    """Words as the user typed them, cut when long."""
    return cut(str([list(word) for word in state]), 60)
