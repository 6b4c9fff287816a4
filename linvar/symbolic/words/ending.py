"""The end of the recursion on numbers: the last three S, in a form that is linear in the letter joined last.

Most states are those of the last orders, and a letter M = a Sigma b made there is met once or twice. So none is made: a product
of traces is linear in each of its letters, and with M left open

    (7)   E tr(M S x S y S), E tr(M S x S) tr(y S), ... = tr(M Sigma R_0) + u tr(M Sigma R_1) + u^2 tr(M Sigma R_2),

R_j a sum of products of x, y, their transposes, Sigma and traces of such. All that is left open over the same x and y is added
up, once for each power of u, before (7) is taken. R_j are the recursion's own answers, found once for each shape of a state.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TypeAlias, TypeVar

from linvar.flint import fmpz, fmpz_mat, fmpz_poly
from linvar.progress import Progress
from linvar.symbolic.words.integers import Matrices
from linvar.symbolic.words.letters import Terms, Texts
from linvar.symbolic.words.recursion import Recursion, State

_ZERO = fmpz(0)
#: the S that are left open over: a state of one more begins the end
LAST = 3
#: between two letters that are not joined
_GLUE = "~"
#: what stands for M, and its transpose; before all letters, so that a canonical word begins with it
_OPEN, _TURNED = "(", ")"
#: the letters x, y, ... of a form, and their transposes
_PLAIN, _MIRRORED = "xy", "XY"
_TRANSPOSES = dict(zip(_OPEN + _TURNED + _PLAIN + _MIRRORED, _TURNED + _OPEN + _MIRRORED + _PLAIN))

#: the letters that follow M, then the other words
Around: TypeAlias = tuple[str, ...]
#: power of u, what follows M, closed traces, how often
Form: TypeAlias = list[tuple[int, str, tuple[str, ...], int]]


class _Unjoined:
    """An alphabet that leaves two letters as they are."""

    def __init__(self, letters: Matrices) -> None:
        self.mirror, self.trace = letters.mirror, letters.trace

    def join(self, a: str, b: str) -> str:
        """The two, with no S between."""
        return a + _GLUE + b

    def keep(self, letters: set[str]) -> None:
        """There is nothing to forget."""


class Ending:
    """What the states of order LAST + 1 come to."""

    def __init__(self, letters: Matrices) -> None:
        self.letters = letters
        self._one = fmpz_mat([[int(i == j) for j in range(letters.width)] for i in range(letters.width)])
        self._recursion = Recursion(_Unjoined(letters))
        self._forms: dict[tuple[int, ...], Form] = {}

    def expectation(self, level: dict[State, fmpz_poly], report: Progress, done: int, total: int) -> fmpz_poly:
        """The sum of E of the states, times their weights, which are taken out; ``done`` of ``total`` is reported before it."""
        half = (total - done) // 2
        opened: dict[Around, dict[int, fmpz_mat]] = defaultdict(dict)
        for state, weight in _emptied(level, report, done, half, total):
            self._open(state, weight, opened)
        found: dict[int, fmpz_mat] = {}
        for around, sums in _emptied(opened, report, done + half, half, total):
            for power, rest in self._rests(around).items():
                for raised, matrix in sums.items():
                    _add(found, power + raised, matrix * rest)
        report(total, total)
        traces = {power: self.letters.sum_diagonal(matrix) for power, matrix in found.items()}
        return fmpz_poly([traces.get(power, _ZERO) for power in range(max(traces, default=0) + 1)])

    def _open(self, state: State, weight: fmpz_poly, opened: dict[Around, dict[int, fmpz_mat]]) -> None:
        """Add a step's terms, times a weight, to what is open."""
        matrices, mirror = self.letters.matrices, self.letters.mirror
        weights = [(power, c) for power, c in enumerate(weight.coeffs()) if c]
        for power, closed, words in self._recursion.terms(state):
            if closed:  # any letter may be left open: the first
                word, *others = words
                pair, rest = word[0], word[1:]
            else:
                place = next(i for i, word in enumerate(words) if _GLUE in word)
                word, others = words[place], [*words[:place], *words[place + 1 :]]
                i = word.index(_GLUE)
                pair, rest = word[i - 1] + word[i + 1], word[i + 2 :] + word[: i - 1]
            back = rest[::-1].translate(mirror)
            if back < rest:  # the same trace, read backwards
                pair, rest = pair[::-1].translate(mirror), back
            first = matrices[pair[0]]
            matrix = first * closed[0] if closed else first * matrices[pair[1]]
            sums = opened[rest, *self._recursion.canonical(others)]
            for raised, c in weights:
                _add(sums, power + raised, matrix * c)

    def _rests(self, around: Around) -> dict[int, fmpz_mat]:
        """R_0, R_1, ... of (7), each followed by Sigma."""
        names = "".join(around)
        letter = dict(zip(_PLAIN + _MIRRORED, [*names, *names.translate(self.letters.mirror)]))
        products = {"": self._one, **{name: self.letters.matrices[one] for name, one in letter.items()}}
        traces: dict[str, fmpz] = {name: self.letters.trace(one) for name, one in letter.items()}
        found: dict[int, fmpz_mat] = {}
        for power, rest, closed, times in self._form(tuple(map(len, around))):
            for text in (rest, *closed):
                if text not in products:
                    products[text] = products[text[0]] * products[text[1]]
            factor = fmpz(times)
            for text in closed:
                if text not in traces:
                    traces[text] = self.letters.sum_diagonal(products[text])
                factor *= traces[text]
            _add(found, power, products[rest] * factor)
        return found

    def _form(self, shape: tuple[int, ...]) -> Form:
        """(7) for the numbers of letters in the words around M."""
        if shape not in self._forms:
            texts, terms = Texts(_TRANSPOSES), Terms[None]()
            recursion, names = Recursion(texts), iter(_PLAIN)
            words = [_OPEN * (i == 0) + "".join(next(names) for _ in range(count)) for i, count in enumerate(shape)]
            start = recursion.canonical("".join(map(texts.letter, word)) for word in words)
            found = recursion.expectation({start: {terms.number(0, (), None): 1}}, terms) or {}
            self._forms[shape] = form = []
            for number, times in found.items():
                power, traces, _ = terms.monomials[number]
                (rest, *closed) = sorted(texts.words[trace] for trace in traces)
                form.append((power, rest.removeprefix(_OPEN), tuple(closed), times))
        return self._forms[shape]


def _add(sums: dict[int, fmpz_mat], power: int, matrix: fmpz_mat) -> None:
    """Add a matrix to the one of a power."""
    have = sums.get(power)
    sums[power] = matrix if have is None else have + matrix


T = TypeVar("T")
W = TypeVar("W")


def _emptied(items: dict[T, W], report: Progress, done: int, parts: int, total: int) -> Iterator[tuple[T, W]]:
    """What is in a dictionary, which it leaves; ``parts`` of ``total`` are reported after those done."""
    size = len(items)
    every = max(1, size // max(1, parts))
    for k in range(size):
        if k % every == 0:
            report(done + k * parts // size, total)
        yield items.popitem()
