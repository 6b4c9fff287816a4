"""Words for matrices of every width: traces of words in the letters and Sigma, and their values over a ring with symbols."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import prod
from typing import Any

from linvar.errors import DerivationTooLargeError, InputError, InputTypeError, Words, shown
from linvar.exact import Matrix
from linvar.matrices import product, trace, trace_product, transpose
from linvar.progress import Progress
from linvar.symbolic.algebra.ring import Element, Ring, sum_elements
from linvar.symbolic.words.letters import Terms, Texts
from linvar.symbolic.words.recursion import Recursion, count_pairings
from linvar.symbolic.words.statement import Traces, checked_words, show_count, show_words

#: Terms a moment may take before it is refused: minutes of work.
LARGEST_TERMS = 10_000_000

#: A letter whose name ends so is the transpose of the letter before it.
TRANSPOSED = "^T"

#: L_1 Sigma ... L_n: the names of its letters
Name = tuple[str, ...]

#: the first of the characters that stand for names inside texts; there are two for each of at most eight letters
_FIRST = ord("A")


def expected_words(words: Sequence[Sequence[str]], symmetric: Collection[str] = ()) -> dict[int, dict[Traces, int]]:
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

    >>> expected_words([["A"], ["B"]])
    {0: {(('A',), ('B',)): 1}, 1: {(('A', 'B'),): 1, (('A', 'B^T'),): 1}}
    >>> expected_words([["A", "A"]], symmetric="A")
    {0: {(('A', 'A'),): 1}, 1: {(('A',), ('A',)): 1, (('A', 'A'),): 1}}

    Source: Haff (1979) and Graczyk, Letac and Massam (2005), see ``recursion``.
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
    names, texts = _named({letter for word in state for letter in word}, frozenset(symmetric))
    character = {name: chr(_FIRST + i) for i, name in enumerate(names)}
    recursion, sums = Recursion(texts), Terms[None]()
    start = recursion.canonical("".join(texts.letter(character[letter]) for letter in word) for word in state)
    found = recursion.expectation({start: {sums.number(0, (), None): 1}}, sums) or {}
    products = [tuple(sorted(texts.words[trace] for trace in traces)) for _, traces, _ in sums.monomials]
    result: dict[int, dict[Traces, int]] = {}
    for number in sorted(found, key=lambda number: (sums.monomials[number][0], products[number])):
        named = tuple(tuple(names[ord(one) - _FIRST] for one in word) for word in products[number])
        result.setdefault(sums.monomials[number][0], {})[named] = found[number]
    return result


def _named(letters: Collection[str], symmetric: Collection[str]) -> tuple[list[str], Texts]:
    """Letters and their transposes, sorted, and the alphabet in which each is a character, in this order."""
    transposes = {letter: letter if letter in symmetric else letter + TRANSPOSED for letter in letters}
    names = sorted({*letters, *transposes.values()})
    character = {name: chr(_FIRST + i) for i, name in enumerate(names)}
    pairs = {(character[letter], character[mirror]) for letter, mirror in transposes.items()}
    return names, Texts({**dict(pairs), **{mirror: letter for letter, mirror in pairs}})


def evaluate_traces(
    state: Traces,
    matrices: Mapping[str, Matrix],
    sigma: Matrix,
    symbols: tuple[Any, ...],
    report: Progress = lambda done, total: None,
) -> tuple[list[Element], Ring]:
    """The answer for every width, its traces evaluated in the ring of the symbols: coefficients of 1, u, u^2, ..."""
    ring = Ring(0, symbols)
    names = {letter: f"{i}" for i, letter in enumerate(matrices)}
    symmetric = [names[letter] for letter, matrix in matrices.items() if matrix == tuple(zip(*matrix))]
    answer = expected_words([[names[letter] for letter in word] for word in state], symmetric)
    center = [[ring.lift(entry) for entry in row] for row in sigma]
    followed = {}
    for letter, matrix in matrices.items():
        lifted = [[ring.lift(entry) for entry in row] for row in matrix]
        followed[names[letter]] = product(lifted, center)
        followed[names[letter] + TRANSPOSED] = product(transpose(lifted), center)
    value = _Values(followed).of
    coefficients = []
    report(0, max(answer) + 1)
    for power in range(max(answer) + 1):
        products = answer.get(power, {}).items()
        terms = (prod(map(value, words), start=ring.one) * count for words, count in products)
        coefficients.append(sum_elements(ring, terms))
        report(power + 1, max(answer) + 1)
    return coefficients, ring


class _Values:
    """tr(M_1 Sigma M_2 Sigma ...) of words; products are shared by prefix.

    Args:
        followed: M Sigma of each letter.
    """

    def __init__(self, followed: Mapping[str, list[list[Element]]]) -> None:
        self._followed = followed
        self._products: dict[Name, list[list[Element]]] = {(name,): matrix for name, matrix in followed.items()}
        self._traces: dict[Name, Element] = {(name,): trace(matrix) for name, matrix in followed.items()}

    def _product(self, word: Name) -> list[list[Element]]:
        """M_1 Sigma M_2 Sigma ..."""
        if word not in self._products:
            self._products[word] = product(self._product(word[:-1]), self._followed[word[-1]])
        return self._products[word]

    def of(self, word: Name) -> Element:
        """Its trace, without the whole last product."""
        if word not in self._traces:
            self._traces[word] = trace_product(self._product(word[:-1]), self._followed[word[-1]])
        return self._traces[word]
