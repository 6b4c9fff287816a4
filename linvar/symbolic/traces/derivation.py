"""The recursion on the words of a network: expectations over the step's batch, as sums of products of traces.

    second moment   by (3) of ``network``, every word a product of traces
    squared mean    < G > is a sum of OPEN words v, without S, times monomials m: an open word is the trace of itself and a marker,
                    which no letter meets; then tr < G > X < G >^T = sum_ij m_i m_j tr(v_i X v_j^T)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations_with_replacement
from typing import TypeAlias

from linvar.progress import Progress, say_nothing
from linvar.symbolic.traces.network import MOMENT, Network, Powers, State, Words, product
from linvar.symbolic.words.letters import Terms, Texts, Traces
from linvar.symbolic.words.recursion import Recursion

#: a product of traces: its words, sorted
Product: TypeAlias = tuple[str, ...]
#: power of u and monomial in the rates -> product of traces -> coefficient
Formula: TypeAlias = dict[tuple[int, Powers], dict[Product, int]]
#: power of u, closed traces and monomial in the rates -> coefficient
_Sum: TypeAlias = dict[tuple[int, Traces, Powers], int]

#: what an open word is closed with, and its transpose; before all letters, so that a canonical word begins with it
_MARKER, _TURNED = "(", ")"


@dataclass(frozen=True)
class Derivation:
    """Expectations over the step before the one that is measured.

    Attributes:
        network: letters and options.
        step: t, 0 or 1.
        most: the highest power of u; all if None.
    """

    network: Network
    step: int
    most: int | None = None
    report: Progress = say_nothing

    @cached_property
    def _texts(self) -> Texts:
        return Texts({**self.network.transposes, _MARKER: _TURNED, _TURNED: _MARKER})

    @cached_property
    def _state(self) -> State:
        return self.network.step() if self.step else self.network.start()

    def second_moment(self, layers: Iterable[int]) -> Formula:
        """sum_l E ||G_l||^2."""
        starts: _Starts = defaultdict(int)
        for inner, outer in map(self._state.spread, layers):
            for (powers, word), c in product([inner, outer]).items():
                for power in (0, 1):
                    starts[power, powers, (word,)] += c
            for (powers, word), c in inner.items():
                for (others, other), d in outer.items():
                    starts[1, _sum(powers, others), (word, other)] += c * d
        return self._named(self._expectation(starts))

    def doubled_loss(self) -> Formula:
        """< tr E' E'^T >."""
        error = self._state.error
        starts: _Starts = {(0, powers, (word,)): c for (powers, word), c in product([error, self.network.transposed(error)]).items()}
        return self._named(self._expectation(starts))

    def squared_mean(self, layers: Iterable[int]) -> Formula:
        """sum_l ||E G_l||^2."""
        total: _Sum = defaultdict(int)
        for gradient, between in map(self._state.gradient, layers):
            ((_, middle),) = between
            opened = self.opened(gradient)
            for (v, first), (w, second) in combinations_with_replacement(opened.items(), 2):
                trace = self._texts.number(v + middle + self._texts.reversed(w))
                times = 1 if v == w else 2
                for (p, closed, powers), c in first.items():
                    for (q, others, further), d in second.items():
                        if self.most is None or p + q <= self.most:
                            key = p + q, tuple(sorted((*closed, *others, trace))), _sum(powers, further)
                            total[key] += times * c * d
        return self._named(total)

    def opened(self, words: Words) -> Mapping[str, _Sum]:
        """The expectation of a polynomial in open words: words without S, and what each is multiplied by."""
        starts: _Starts = {(0, powers, (word + _MARKER,)): c for (powers, word), c in words.items()}
        found: dict[str, _Sum] = {}
        for (power, traces, powers), c in self._expectation(starts).items():
            (marked,) = (number for number in traces if self._texts.words[number].startswith(_MARKER))
            closed = tuple(number for number in traces if number != marked)
            found.setdefault(self._texts.words[marked].removeprefix(_MARKER), {})[power, closed, powers] = c
        return found

    def _expectation(self, starts: _Starts) -> _Sum:
        """Of a sum of products of traces of words with S in them."""
        texts, terms = self._texts, Terms[Powers](self.most)
        recursion = Recursion(texts)
        states: dict[tuple[str, ...], dict[int, int]] = {}
        for (power, powers, words), c in starts.items():
            closed = tuple(sorted(texts.number(word) for word in words if MOMENT not in word))
            monomial = terms.number(power, closed, powers)
            if monomial >= 0:
                state = recursion.canonical(self._letters(word) for word in words if MOMENT in word)
                weight = states.setdefault(state, defaultdict(int))
                weight[monomial] += c
        found = recursion.expectation(states, terms, self.report) or {}
        return {terms.monomials[monomial]: c for monomial, c in found.items() if c}

    def _letters(self, word: str) -> str:
        """A cyclic word with S in it as a word of letters, each what stands between two S."""
        first = word.index(MOMENT) + 1
        return "".join(map(self._texts.letter, (word[first:] + word[: first - 1]).split(MOMENT)))

    def _named(self, found: _Sum) -> Formula:
        """With words in place of their numbers, in the order of powers and words."""
        formula: Formula = {}
        named = ((power, powers, tuple(sorted(map(self._texts.words.__getitem__, traces)))) for power, traces, powers in found)
        for (power, powers, words), c in sorted(zip(named, found.values())):
            if c:
                formula.setdefault((power, powers), {})[words] = c
        return formula


#: power of u, monomial in the rates and words (cyclic, with S in them or not) -> coefficient
_Starts: TypeAlias = dict[tuple[int, Powers, tuple[str, ...]], int]


def _sum(left: Powers, right: Powers) -> Powers:
    return tuple(map(sum, zip(left, right)))


def difference(left: Formula, right: Formula) -> Formula:
    """left - right, without zeros, in order."""
    found: Formula = {}
    for key in sorted({*left, *right}):
        first, second = left.get(key, {}), right.get(key, {})
        terms = {words: first.get(words, 0) - second.get(words, 0) for words in sorted({*first, *second})}
        if terms := {words: c for words, c in terms.items() if c}:
            found[key] = terms
    return found


def size(formula: Formula) -> tuple[int, int]:
    """Terms, and different traces."""
    return sum(map(len, formula.values())), len(set(chain.from_iterable(chain.from_iterable(formula.values()))))
