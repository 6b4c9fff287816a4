"""What the moment of a product of traces of words will need, known before it starts, by either way (``words``).

    recursion   states, products of traces that it meets, and letters, matrices that it multiplies out. Both are counted step by
                step with names in place of matrices, for as long as that is quick; each step beyond is taken to merge as many
                states, and to make as many letters of one, as the last one counted.
    expansion   with m = r (r+1)/2 entries of S, r the rank of its covariance: C(m+k-1, k) monomials of order k in the answer,
                and p^2 C(m+n-2, n-1) in the matrix of all but the last letter of the longest word, of n letters

Seconds and bytes are fitted to measurements (``benchmarks/word_sizes.py``) of numbers; with symbols both are bounds, and loose:
each of (2k-1)!! pairings, or each of the monomials, times the monomials in the symbols.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import comb, inf
from typing import Any

from linvar.exact import Matrix, Rational, free_symbols
from linvar.laws.law import identity
from linvar.symbolic.limits import bounded, format_bytes, format_seconds
from linvar.symbolic.words.recursion import canonical_state, count_pairings, remove_one
from linvar.symbolic.words.statement import Traces, show_count
from linvar.symbolic.words.traces import LARGEST_TERMS, TRANSPOSED, Name, transposed

#: Terms that are counted one by one, for words of eight letters; longer ones take longer.
_COUNTED_TERMS = 30_000
#: Fitted: bytes of a state, of a letter and of its entries; seconds of a term, of its matrix product, of a letter, of an entry.
_PER_STATE = 600
_PER_LETTER = 200
_PER_ENTRY = 40
_SECONDS_PER_TERM = 5e-6
_SECONDS_PER_CUBE = 4e-9
_SECONDS_PER_LETTER = 2e-6
_SECONDS_PER_ENTRY = 2.5e-7
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
    states, letters = _count_states(*_named(state, matrices, sigma))
    terms = sum(count * (2 * (order - taken) - 1) for taken, count in enumerate(states))
    copies = 2 if sigma == identity(width) else 3
    # letters at the end are products of most of the matrices
    bits = 6 * sum(map(len, state)) // 10 * _bits(matrices.values(), sigma)
    total = sum(states) * _PER_STATE + letters * (_PER_LETTER + width**2 * (_PER_ENTRY + copies * bits * 3 // 16))
    seconds = bounded(terms) * (_SECONDS_PER_TERM + _SECONDS_PER_CUBE * width**3)
    seconds += bounded(letters) * (_SECONDS_PER_LETTER + _SECONDS_PER_ENTRY * width**2)
    return WordSize("recursion", sum(states), 0.001 + seconds * (1 + bits / 200), total)


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


def _named(state: Traces, matrices: Mapping[str, Matrix], sigma: Matrix) -> tuple[list[list[Name]], set[str]]:
    """The words with letters as names, and the letters that are symmetric.

    Equal matrices have one name, and an identity the empty one where Sigma = 1: it multiplies nothing.
    """
    names: dict[Matrix, Name] = {sigma: ()} if sigma == identity(len(sigma)) else {}
    symmetric = set()
    for i, matrix in enumerate(matrices.values()):
        if matrix not in names:
            names[matrix] = (str(i),)
            mirror = tuple(zip(*matrix))
            if mirror == matrix:
                symmetric.add(str(i))
            else:
                names[mirror] = (str(i) + TRANSPOSED,)
    return [[names[matrices[letter]] for letter in word] for word in state], symmetric


def _count_states(state: Sequence[Sequence[Name]], symmetric: set[str]) -> tuple[list[int], int]:
    """States at each step of the recursion, but for the last two, which have closed forms; letters of all steps."""
    numbers: dict[Name, int] = {}
    names: list[Name] = []
    transposes: list[int] = []

    def number(name: Name) -> int:
        if name not in numbers:
            mirror, first = transposed(name, symmetric), len(names)
            second = first + (mirror != name)
            numbers[name], numbers[mirror] = first, second
            names.extend((name, mirror)[: second - first + 1])
            transposes.extend((second, first)[: second - first + 1])
        return numbers[name]

    def join(a: int, b: int) -> int:
        return number(names[a] + names[b])

    order, transpose = sum(map(len, state)), transposes.__getitem__
    level = {canonical_state([[number(name) for name in word] for word in state], transpose)}
    states, letters, spent = [], [len(names)], 0
    for left in range(order, 2, -1):
        states.append(len(level))
        spent += len(level) * (2 * left - 1) * max(1, order**2 // 64)
        if spent > _COUNTED_TERMS:
            return _extrapolated(states, letters, order)
        rests = (rest for current in level for _, _, rest in remove_one(current, join, transpose))
        level = {canonical_state(rest, transpose) for rest in rests}
        letters.append(len(names))
    return states, letters[-1]


def _extrapolated(states: list[int], letters: list[int], order: int) -> tuple[list[int], int]:
    """The steps that are left, as if each were like the last one counted; as if nothing merged, if none was."""
    if len(states) == 1:
        paths = count_pairings(order)
        return [paths // count_pairings(left) for left in range(order, 2, -1)], paths // 3
    before, now = states[-2:]
    possible = before * (2 * (order - len(states)) + 3)
    growing = letters[-1]
    for left in range(order - len(states), 1, -1):
        growing = growing * letters[-1] // letters[-2]
        if left > 2:
            states.append(states[-1] * (2 * left + 1) * now // possible)
    return states, growing


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
