"""The recursion on words behind road (d): each step takes one batch second moment S out of a product of traces.

A state is a product of traces, tr(A S B S) tr(C S) ..., kept as its words of letters. For Gaussian x ~ N(0, Sigma) integration
by parts (Stein) removes one S: with S_ab taken out of the product,

    (1)   E S_ab F = Sigma_ab E F + u E sum over every other S_de in F, replaced by Sigma_ad S_be + Sigma_ae S_bd.

In words, taking the last S of tr(L_1 S ... S L_n S) out, and M' the transpose of M:

    (2)   closing   tr(L_1 S ... S L_n Sigma)
    (3)   cutting   u tr(V Sigma) tr(U S) + u tr(U Sigma V' S)         U = L_1 S ... L_i,  V = L_{i+1} S ... L_n,  i < n
    (4)   joining   u tr(P Sigma Q S) + u tr(P Sigma Q' S)             P = L_1 S ... L_n,  tr(Q S) another factor,
                                                                       Q beginning at any of its letters

Each term has one S less, so order k (the number of S) takes (2k-1)!! of them. Equal states are merged, all of one order at a
time, which is why only two levels are ever kept: words are the same up to rotation, and up to reversal with transposed letters.
The last two S have a closed form, in which no letter is joined:

    (5)   E tr(A S B S)   = tr(A Sigma B Sigma) + u ( tr(A Sigma) tr(B Sigma) + tr(A Sigma B' Sigma) )
    (6)   E tr(A S) tr(B S) = tr(A Sigma) tr(B Sigma) + u ( tr(A Sigma B Sigma) + tr(A Sigma B' Sigma) )

A letter is one character, and a word a string of them, so that Python compares, rotates, mirrors and looks up words in C. What a
letter stands for is its alphabet's to know: ``letters`` has texts, and answers valid for every width; ``integers`` has integer
matrices, whose last levels ``ending`` takes at once. What a state is multiplied by is a weight's to know. Nothing here knows the
width of S. The equations are those of proofs/wishart-words.md.

Source: the identity is the Wishart identity of L. R. Haff, "An identity for the Wishart distribution with
applications", J. Multivariate Analysis 9 (1979); all invariant moments: G. Letac and H. Massam, "All invariant moments of
the Wishart distribution", Scandinavian J. Statistics 31 (2004); moments of all orders as sums over pairings: P. Graczyk,
G. Letac and H. Massam, "The hyperoctahedral group, symmetric group representations and the moments of the real Wishart
distribution", J. Theoretical Probability 18 (2005), and C. E. I. Redelmeier, "Genus expansion for real Wishart
matrices", arXiv:0910.5541. The form used here is derived above.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from typing import Generic, Protocol, TypeAlias, TypeVar

from linvar.progress import Progress, say_nothing

#: a product of traces: words, each a string of letters, in canonical form
State: TypeAlias = tuple[str, ...]
#: what a closed trace is to an alphabet
C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)
#: what states are multiplied by
V = TypeVar("V")
#: power of u and closed traces -> how often
Factor: TypeAlias = dict[tuple[int, tuple[C, ...]], int]

#: parts of a level that are reported
PARTS = 100


class Alphabet(Protocol[C_co]):
    """Letters, each a character."""

    @property
    def mirror(self) -> Mapping[int, int]:
        """The transpose of each letter, for ``str.translate``."""
        ...

    def join(self, a: str, b: str) -> str:
        """The letter a Sigma b."""
        ...

    def trace(self, word: str) -> C_co:
        """tr(a Sigma b Sigma ...) of the letters of a word; none is made."""
        ...

    def keep(self, letters: set[str]) -> None:
        """No other letters are asked for again."""
        ...


class Weights(Protocol[V, C]):
    """What states are multiplied by: sums of products of closed traces and powers of u."""

    def add(self, total: V | None, weight: V, factor: Factor[C]) -> V:
        """total + weight times factor; ``total`` may be changed."""
        ...

    def raised(self, weight: V) -> bool:
        """Whether any power of u times it is kept."""
        ...


class Recursion(Generic[C]):
    """Steps on words over an alphabet."""

    def __init__(self, alphabet: Alphabet[C]) -> None:
        self.alphabet = alphabet
        self._canonical: dict[str, str] = {}

    def expectation(
        self, starts: Mapping[State, V], weights: Weights[V, C], report: Progress = say_nothing
    ) -> V | None:
        """The sum of E of the states, times their weights; None where there are none.

        Args:
            starts: canonical states, of any orders.
            weights: how they are added.
            report: progress, about: the levels, all taken to be as long.
        """
        return next(level for order, level in self.levels(starts, weights, report) if order == 0).get(())

    def levels(
        self, starts: Mapping[State, V], weights: Weights[V, C], report: Progress = say_nothing
    ) -> Iterator[tuple[int, dict[State, V]]]:
        """Every order from the highest to 0, and its states; they leave it when the next level is asked for.

        Args:
            starts, weights, report: as for ``expectation``; weights of starts may be changed.
        """
        levels: dict[int, dict[State, V]] = defaultdict(dict)
        for state, weight in starts.items():
            levels[sum(map(len, state))][state] = weight
        highest = max(levels, default=0)
        for order in range(highest, 0, -1):
            level = levels.pop(order, {})
            yield order, level
            size = len(level)
            while level:
                if (size - len(level)) % max(1, size // PARTS) == 0:
                    report((highest - order) * PARTS + (size - len(level)) * PARTS // size, highest * PARTS)
                state, weight = level.popitem()
                for rest, factor in self.step(state, order, weights.raised(weight)).items():
                    below = levels[sum(map(len, rest))]
                    total = weights.add(below.get(rest), weight, factor)
                    if total:
                        below[rest] = total
                    else:  # nothing of it is kept
                        below.pop(rest, None)
            self._canonical.clear()
            self.alphabet.keep(
                {letter for level in levels.values() for state in level for word in state for letter in word}
            )
        report(highest * PARTS, highest * PARTS)
        yield 0, levels[0]

    def step(self, state: State, order: int, raised: bool = True) -> dict[State, Factor[C]]:
        """The states that follow one of this order, and what each is multiplied by.

        Args:
            raised: with those that a power of u multiplies.
        """
        if order == 1 or not raised:  # (2) for every S that is left
            return {(): {(0, tuple(map(self.alphabet.trace, state))): 1}}
        found: dict[State, Factor[C]] = {}
        for power, closed, words in self._of_two(state) if order == 2 else self.terms(state):
            rest = self.canonical(words)
            factor = found.setdefault(rest, {})
            key = power, closed
            factor[key] = factor.get(key, 0) + 1
        return found

    def _of_two(self, state: State) -> list[tuple[int, tuple[C, ...], tuple[str, ...]]]:
        """(5) and (6)."""
        alphabet = self.alphabet
        a, b = list("".join(state))
        apart = alphabet.trace(a), alphabet.trace(b)
        together, turned = (alphabet.trace(a + b),), (alphabet.trace(a + b.translate(alphabet.mirror)),)
        low, high = (together, apart) if len(state) == 1 else (apart, together)
        return [(0, low, ()), (1, high, ()), (1, turned, ())]

    def _closing(self, state: State) -> tuple[tuple[C, ...], tuple[str, ...]]:
        """(2) for the last S of the first word: L_n Sigma L_1 is one letter; a trace without S is closed."""
        word, others = state[0], state[1:]
        if len(word) == 1:
            return (self.alphabet.trace(word),), others
        return (), (self.alphabet.join(word[-1], word[0]) + word[1:-1], *others)

    def terms(self, state: State) -> list[tuple[int, tuple[C, ...], tuple[str, ...]]]:
        """(2), (3) and (4) for the last S of the first word."""
        join, mirror = self.alphabet.join, self.alphabet.mirror
        word, others = state[0], state[1:]
        last, size = word[-1], len(word)
        terms = [(0, *self._closing(state))]
        # (3): V Sigma closes if V is one letter; V' has its letters transposed, the last one first
        backwards = word[::-1].translate(mirror)
        for i in range(1, size):
            left = word[:i]
            if i == size - 1:
                terms.append((1, (self.alphabet.trace(last),), (left, *others)))
            else:
                terms.append((1, (), (join(last, word[i]) + word[i + 1 : -1], left, *others)))
            reverse = backwards[: size - i]
            terms.append((1, (), (left[:-1] + join(left[-1], reverse[0]) + reverse[1:], *others)))
        # (4): Q and Q' beginning at any letter
        for j, other in enumerate(others):
            rest = others[:j] + others[j + 1 :]
            for cycle in (other, other[::-1].translate(mirror)):
                for i in range(len(cycle)):
                    terms.append((1, (), (word[:-1] + join(last, cycle[i]) + cycle[i + 1 :] + cycle[:i], *rest)))
        return terms

    def canonical(self, words: Iterable[str]) -> State:
        """Canonical words, the shortest first: the recursion then finishes a word before it opens another."""
        known = self._canonical
        found = [known.get(word) or self._word(word) for word in words]
        found.sort(key=_by_length)
        return tuple(found)

    def _word(self, word: str) -> str:
        """The smallest of the words equal to this one by rotation, or by reversal with transposition."""
        found = self._canonical[word] = canonical_word(word, self.alphabet.mirror)
        return found


def _by_length(word: str) -> tuple[int, str]:
    return len(word), word


def canonical_word(word: str, mirror: Mapping[int, int]) -> str:
    """The smallest of its rotations, and of those of the reversed word with transposed letters; "" is itself.

    >>> canonical_word("ba", {97: 97, 98: 98})
    'ab'
    """
    back = word[::-1].translate(mirror)
    first = min(word + back, default="")
    rotations = []
    for cycle in (word, back):
        i = cycle.find(first)
        while i >= 0:
            rotations.append(cycle[i:] + cycle[:i])
            i = cycle.find(first, i + 1)
    return min(rotations)


def count_pairings(order: int) -> int:
    """(2k-1)!!, the terms of the recursion at order k with all letters distinct."""
    return prod(range(1, 2 * order, 2))
