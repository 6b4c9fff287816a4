"""What the moment of a product of traces of words will need, known before it starts, by either way (``words``).

    recursion   states, products of traces that it meets, and letters, matrices that it multiplies out. Both are counted level by
                level with names in place of matrices, for as long as that is quick; each level beyond is taken to merge as many
                states, and to make as many letters of one, as the last one counted. Two levels are kept at a time, and the last
                that is (``ending``) is the largest.
    expansion   with m = r (r+1)/2 entries of S, r the rank of its covariance: C(m+k-1, k) monomials of order k in the answer,
                and p^2 C(m+n-2, n-1) in the matrix of all but the last letter of the longest word, of n letters

Seconds and bytes are fitted to measurements (``benchmarks/word_sizes.py``) of numbers; with symbols both are bounds, and loose:
each of (2k-1)!! pairings, or each of the monomials, times the monomials in the symbols.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import comb, inf
from typing import Any

from linvar.exact import Matrix, Rational, free_symbols
from linvar.laws.law import identity
from linvar.symbolic.limits import bounded, format_bytes, format_seconds
from linvar.symbolic.words.ending import LAST
from linvar.symbolic.words.letters import MOST_CHARACTERS, Texts
from linvar.symbolic.words.recursion import Factor, Recursion, count_pairings
from linvar.symbolic.words.statement import Traces, show_count
from linvar.symbolic.words.traces import LARGEST_TERMS

#: Terms that are counted one by one, for words of eight letters; longer ones take longer.
_COUNTED_TERMS = 5_000
#: Fitted: bytes of a state, of a letter, of an entry, of one that is no single word; seconds of a term, of a state where the end
#: begins, of a product of matrices, of an entry of it and of a product of entries, and of those that are no single words.
_PER_STATE, _PER_LETTER, _PER_ENTRY, _PER_BIG_ENTRY = 500, 200, 16, 100
_SECONDS_PER_TERM = 8e-6
_SECONDS_PER_STATE = 5.5e-5
_SECONDS_PER_PRODUCT, _SECONDS_PER_ENTRY, _SECONDS_PER_CUBE = 4e-7, 3e-8, 1e-9
_SECONDS_PER_BIG_ENTRY, _SECONDS_PER_BIG_CUBE = 1.5e-7, 2e-8
#: products of matrices that a term takes, and a state where the end begins
_PRODUCTS_OF_TERM, _PRODUCTS_OF_STATE = 3, 19
#: Fitted: bytes of a monomial, of a moment that is not zero, of a monomial of a matrix for each word of its exponents, copies
#: of a coefficient that is no single word; seconds of a product, of a monomial, of a moment.
_PER_MONOMIAL = 150
_PER_MOMENT = 4_500
_PER_WORD = 40
_COPIES = 5
_SECONDS_PER_PRODUCT = 6.5e-8
_SECONDS_PER_MONOMIAL = 3e-6
_SECONDS_PER_MOMENT = 4e-5
#: With symbols: bytes and seconds of a term, and of each entry of a matrix.
_PER_SYMBOLIC_TERM = 1_000
_SECONDS_PER_SYMBOLIC_TERM = 1e-5


@dataclass(frozen=True)
class WordSize:
    """What one way needs.

    Attributes:
        way: "recursion" or "expansion".
        terms: what it works through: states, or monomials.
        seconds: on one core.
        bytes: at the peak.
    """

    way: str
    terms: int
    seconds: float
    bytes: int

    @property
    def cost(self) -> str:
        """In words."""
        return f"{self.way}: about {show_count(self.terms)} terms, {format_seconds(self.seconds)}, {format_bytes(self.bytes)}"


def recursion_size(
    state: Traces, matrices: Mapping[str, Matrix], sigma: Matrix, symbols: tuple[Any, ...] = ()
) -> WordSize:
    """The recursion on words."""
    order, width = sum(map(len, state)), len(sigma)
    if symbols:
        pairings = count_pairings(order)
        terms = pairings * _symbol_monomials(state, matrices, sigma, symbols)
        size = _symbolic("recursion", terms, _PER_SYMBOLIC_TERM + 10 * width**2)
        return size if pairings <= LARGEST_TERMS else replace(size, seconds=inf)  # more than expected_words takes
    *levels, last = recursion_levels(state, matrices, sigma)
    letters = max(level.letters for level in (*levels, last))
    if letters > MOST_CHARACTERS:
        return WordSize("recursion", last.states, inf, last.states * _PER_STATE)
    stepped = bounded(sum(level.terms for level in levels))
    products = _PRODUCTS_OF_TERM * stepped + _PRODUCTS_OF_STATE * bounded(last.states)
    # letters at the end are products of most of the matrices; from 80 bits on more and more entries are no single words
    bits = 6 * order // 10 * _bits(matrices.values(), sigma)
    big = min(1.0, max(0.0, (bits - 80) / 120))
    small_product = _SECONDS_PER_PRODUCT + _SECONDS_PER_ENTRY * width**2 + _SECONDS_PER_CUBE * width**3
    big_product = (_SECONDS_PER_BIG_ENTRY * width**2 + _SECONDS_PER_BIG_CUBE * width**3) * (1 + bits / 500)
    seconds = 0.001 + stepped * _SECONDS_PER_TERM + bounded(last.states) * _SECONDS_PER_STATE
    seconds += products * (small_product + big * big_product)
    entry = _PER_ENTRY + int(big * (_PER_BIG_ENTRY + bits // 8))
    total = 2**18 + last.states * _PER_STATE + letters * _PER_LETTER + (last.states + letters) * width**2 * entry
    return WordSize("recursion", sum(level.states for level in (*levels, last)), seconds, total)


def expansion_size(
    state: Traces, matrices: Mapping[str, Matrix], sigma: Matrix, rank: int, symbols: tuple[Any, ...] = ()
) -> WordSize:
    """The expansion in the entries of S, with a covariance of this rank."""
    order = sum(map(len, state))
    entries = rank * (rank + 1) // 2
    monomials = comb(entries + order, order)  # of all orders: with symbols every moment takes part
    if symbols:
        return _symbolic(
            "expansion", monomials * _symbol_monomials(state, matrices, sigma, symbols), _PER_SYMBOLIC_TERM
        )

    def count(degree: int) -> int:
        """Monomials of one degree."""
        return comb(max(0, entries + degree - 1), degree)

    longest = max(map(len, state))
    inside = rank**2 * count(longest - 1) if longest > 1 else 0
    products, degree = 0, 0
    for length in map(len, state):
        products += sum(rank**4 * count(n - 2) for n in range(2, length)) + rank**3 * count(length - 1) * (length > 1)
        products += count(degree) * count(length)
        degree += length
    bits = order * _bits(matrices.values(), sigma)
    words = 1 + entries // 8  # eight exponents in each, and the coefficient
    big = _COPIES * (24 + bits // 8) if bits > 62 else 0
    moments = count(order) >> max(0, rank - 1)  # coordinates are independent: those of odd powers of one are zero
    total = inside * (_PER_WORD * words + big) + count(order) * (_PER_MONOMIAL + big) + moments * _PER_MOMENT + 2**20
    seconds = 0.001 + bounded(products) * _SECONDS_PER_PRODUCT * (1 + big / 400)
    seconds += bounded(count(order)) * _SECONDS_PER_MONOMIAL + bounded(moments) * _SECONDS_PER_MOMENT
    return WordSize("expansion", count(order), seconds, total)


def _symbolic(way: str, terms: int, per_term: int) -> WordSize:
    return WordSize(way, terms, bounded(terms) * _SECONDS_PER_SYMBOLIC_TERM, terms * per_term)


def _bits(matrices: Any, sigma: Matrix) -> int:
    """Bits that a letter and the covariance after it add to the entries of a product."""

    def of(matrix: Matrix) -> int:
        entries: Any = [entry for row in matrix for entry in row]
        numerators = max(entry.numerator.bit_length() for entry in entries)
        return int(numerators + max(entry.denominator.bit_length() - 1 for entry in entries))

    inner = 0 if sigma == identity(len(sigma)) else of(sigma) + len(sigma).bit_length() - 1
    return max(map(of, matrices)) + inner + len(sigma).bit_length() - 1


@dataclass(frozen=True)
class Level:
    """What the recursion meets at one order: states, and letters with their transposes."""

    order: int
    states: int
    letters: int

    @property
    def terms(self) -> int:
        """Of a step from every state, unmerged."""
        return self.states * (2 * self.order - 1)

    def following(self, before: Level) -> Level:
        """The next level, if as much is merged as since the one before."""
        states = self.terms * self.states // before.terms
        letters = self.letters * self.letters // before.letters
        return Level(self.order - 1, states, min(letters, 2 * self.order * states))


class _Met:
    """Weights that say nothing but that a state was met."""

    def add(self, total: bool | None, weight: bool, factor: Factor[int]) -> bool:
        return True

    def raised(self, weight: bool) -> bool:
        return True


def recursion_levels(state: Traces, matrices: Mapping[str, Matrix], sigma: Matrix) -> list[Level]:
    """The levels down to the one where the end begins, with names in place of matrices; the first at least are counted."""
    texts, names = _named(matrices, sigma)
    recursion = Recursion(texts)
    start = recursion.canonical("".join(texts.letter(names[letter]) for letter in word) for word in state)
    levels: list[Level] = []
    spent, longer = 0, max(1, sum(map(len, state)) ** 2 // 64)
    for order, met in recursion.levels({start: True}, _Met()):
        used = {letter for one in met for word in one for letter in word}
        levels.append(Level(order, len(met), len(used | {chr(texts.mirror[ord(letter)]) for letter in used})))
        spent += levels[-1].terms * longer
        if order <= LAST + 1 or (len(levels) > 1 and spent > _COUNTED_TERMS):
            break
    while levels[-1].order > LAST + 1:
        levels.append(levels[-1].following(levels[-2]))
    return levels


def _named(matrices: Mapping[str, Matrix], sigma: Matrix) -> tuple[Texts, dict[str, str]]:
    """An alphabet with a character for each matrix, equal ones once, and the text of every letter.

    An identity has the empty text where Sigma = 1: it multiplies nothing.
    """
    texts: dict[Matrix, str] = {sigma: ""} if sigma == identity(len(sigma)) else {}
    transposes: dict[str, str] = {}
    for matrix in matrices.values():
        if matrix not in texts:
            mirror = tuple(zip(*matrix))
            for one in (matrix, mirror):
                texts.setdefault(one, chr(len(texts)))
            transposes |= {texts[matrix]: texts[mirror], texts[mirror]: texts[matrix]}
    return Texts(transposes), {name: texts[matrix] for name, matrix in matrices.items()}


def _symbol_monomials(state: Traces, matrices: Mapping[str, Matrix], sigma: Matrix, symbols: tuple[Any, ...]) -> int:
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
