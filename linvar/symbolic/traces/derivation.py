"""The recursion on the words of a network: expectations over the step's batch, as sums of products of traces.

second moment   by (3) of ``network``, every word a product of traces
squared mean    < G > is a sum of OPEN words v, without S, times monomials m: an open word is the trace of itself and a marker,
                which no letter meets; then tr < G > X < G >^T = sum_ij m_i m_j tr(v_i X v_j^T)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import combinations_with_replacement
from typing import TypeAlias

from linvar.progress import Progress, say_nothing
from linvar.symbolic.traces.network import COVARIANCE, MOMENT, Network, Powers, product
from linvar.symbolic.words.letters import Terms, Texts, Traces
from linvar.symbolic.words.recursion import Recursion

#: a product of traces: its words, sorted
Product: TypeAlias = tuple[str, ...]
#: power of u and monomial in the rates -> product of traces -> coefficient
Formula: TypeAlias = Mapping[tuple[int, Powers], Mapping[Product, int]]
#: power of u, closed traces and monomial in the rates -> coefficient
_Sum: TypeAlias = dict[tuple[int, Traces, Powers], int]

#: what an open word is closed with, and its transpose; before all letters, so that a canonical word begins with it
_MARKER, _TURNED = "(", ")"


class Derivation:
    """Expectations over the step before the one that is measured; what several quantities share is kept.

    Args:
        network: letters and options.
        step: t, 0 or 1.
        most: the highest power of u; all if None.

    Attributes:
        report: progress of what is asked for.
    """

    def __init__(self, network: Network, step: int, most: int | None = None) -> None:
        self.network, self.most = network, most
        self.report: Progress = say_nothing
        self._state = network.step() if step else network.start()
        self._texts = Texts({**network.transposes, _MARKER: _TURNED, _TURNED: _MARKER})
        self._known: dict[tuple[int, ...], tuple[Formula, Formula]] = {}

    def norms(self, layers: tuple[int, ...]) -> Formula:
        """sum_l E ||gbar_l||^2 = < tr Q_l M_l >, gbar the mean gradient given the weights."""
        return self._moments(layers)[0]

    def spreads(self, layers: tuple[int, ...]) -> Formula:
        """sum_l E tr Cov(g_l) = < tr Q_l M_l + tr Q_l tr M_l >, g one example's gradient; up to u^{most - 1}."""
        norms, crossed = self._moments(layers)
        return combined([(1, 0, norms), (1, -1, crossed)], None if self.most is None else self.most - 1)

    def second_moment(self, layers: tuple[int, ...]) -> Formula:
        """sum_l E ||G_l||^2, (3)."""
        norms, crossed = self._moments(layers)
        return combined([(1, 0, norms), (1, 1, norms), (1, 0, crossed)], self.most)

    def variance(self, layers: tuple[int, ...]) -> Formula:
        """sum_l E ||G_l||^2 - ||E G_l||^2; nothing without 1/b."""
        if self.most == 0:
            return {}
        return combined([(1, 0, self.second_moment(layers)), (-1, 0, self.squared_mean(layers))])

    def _moments(self, layers: tuple[int, ...]) -> tuple[Formula, Formula]:
        """sum_l < tr Q_l M_l >, and u sum_l < tr Q_l tr M_l >: together, since the words that follow are the same."""
        if layers not in self._known:
            starts: _Starts = defaultdict(int)
            for inner, outer in map(self._state.spread, layers):
                for (powers, word), c in product([inner, outer]).items():
                    starts[0, (*powers, 0), (word,)] += c
                for (powers, word), c in inner.items():
                    for (others, other), d in outer.items():
                        starts[1, (*_sum(powers, others), 1), (word, other)] += c * d
            parts: tuple[_Sum, _Sum] = {}, {}
            for (power, traces, tagged), c in self._expectation(starts).items():
                parts[tagged[-1]][power, traces, tagged[:-1]] = c
            self._known[layers] = self._named(parts[0]), self._named(parts[1])
        return self._known[layers]

    def doubled_loss(self, layers: tuple[int, ...] = ()) -> Formula:
        """< tr E' E'^T >, of no layer."""
        error = self._state.error
        starts: _Starts = {
            (0, powers, (word,)): c for (powers, word), c in product([error, self.network.transposed(error)]).items()
        }
        return self._named(self._expectation(starts))

    def squared_mean(self, layers: tuple[int, ...]) -> Formula:
        """sum_l ||E G_l||^2."""
        total: _Sum = defaultdict(int)
        for l in layers:
            between = "" if self.network.white or l else COVARIANCE
            opened = self._opened(l)
            for (v, first), (w, second) in combinations_with_replacement(opened.items(), 2):
                trace = self._texts.number(v + between + self._texts.reversed(w))
                times = 1 if v == w else 2
                for (p, closed, powers), c in first.items():
                    for (q, others, further), d in second.items():
                        if self.most is None or p + q <= self.most:
                            key = p + q, tuple(sorted((*closed, *others, trace))), _sum(powers, further)
                            total[key] += times * c * d
        return self._named(total)

    def opened(self, l: int) -> dict[str, dict[tuple[int, Product, Powers], int]]:
        """E G_l without the Sigma^{1/2} of the first layer: open words, and the monomials that each is multiplied by."""
        words = self._texts.words
        return {
            word: {
                (power, tuple(sorted(map(words.__getitem__, traces))), powers): c
                for (power, traces, powers), c in terms.items()
            }
            for word, terms in sorted(self._opened(l).items())
        }

    def _opened(self, l: int) -> Mapping[str, _Sum]:
        """The same with numbers of traces: the expectation of open words with S, each closed with the marker."""
        gradient = self._state.gradient(l)
        starts: _Starts = {(0, powers, (word + _MARKER,)): c for (powers, word), c in gradient.items()}
        found: dict[str, _Sum] = {}
        for (power, traces, powers), c in self._expectation(starts).items():
            (marked,) = (number for number in traces if self._texts.words[number].startswith(_MARKER))
            closed = tuple(number for number in traces if number != marked)
            found.setdefault(self._texts.words[marked].removeprefix(_MARKER), {})[power, closed, powers] = c
        return found

    def _expectation(self, starts: _Starts) -> _Sum:
        """Of a sum of products of traces of words with S in them."""
        texts, terms = self._texts, Terms[Powers](self.most)
        recursion: Recursion[int] = Recursion(texts)
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
        formula: dict[tuple[int, Powers], dict[Product, int]] = {}
        named = (
            (power, powers, tuple(sorted(map(self._texts.words.__getitem__, traces))))
            for power, traces, powers in found
        )
        for (power, powers, words), c in sorted(zip(named, found.values())):
            if c:
                formula.setdefault((power, powers), {})[words] = c
        return formula


#: power of u, monomial in the rates and words (cyclic, with S in them or not) -> coefficient
_Starts: TypeAlias = dict[tuple[int, Powers, tuple[str, ...]], int]


def _sum(left: Powers, right: Powers) -> Powers:
    return tuple(map(sum, zip(left, right)))


def combined(parts: Iterable[tuple[int, int, Formula]], most: int | None = None) -> Formula:
    """The sum of formulas, each times an integer and a power of u; in order, without zeros and what is beyond u^most."""
    found: dict[tuple[int, Powers], dict[Product, int]] = {}
    for factor, shift, formula in parts:
        for (power, powers), terms in formula.items():
            if most is None or power + shift <= most:
                total = found.setdefault((power + shift, powers), {})
                for words, c in terms.items():
                    total[words] = total.get(words, 0) + factor * c
    kept = {key: {words: c for words, c in sorted(terms.items()) if c} for key, terms in sorted(found.items())}
    return {key: terms for key, terms in kept.items() if terms}
