"""How the traces of many words are evaluated: products of few matrices, shared by prefix, none of them d_0 x d_0.

Whitened letters meet at the width d_0 of the inputs as X Z^k Y with X of W_1, E and Y of their transposes, so that

    (1)   X Sigma^{1/2} Sigma^k Sigma^{1/2} Y^T = X Sigma^{k+1} Y^T   (+ v, the noise variance, between E and E^T, k = 0)

is one matrix, a FACTOR: no square root is taken, label noise needs no letter, and whatever the width of the inputs, products are
of the other widths. (Noise adds to the error an independent part of covariance v, E -> [E, -1], which only meets itself.) A word
that is only Z^k has the trace of Sigma^k, and the empty one, which only white networks have, that of the identity.

A cyclic word is read from where it is narrowest, and products of its first factors are shared by all words that begin so.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

from linvar.symbolic.traces.network import COVARIANCE, ERROR, Network

#: factors, each the letters of (1), or one letter
Factors = tuple[str, ...]


@dataclass(frozen=True)
class Node:
    """The product of a prefix: the node before it times a factor, or a factor."""

    before: int | None
    factor: str
    depth: int


@dataclass(frozen=True)
class Route:
    """The traces of some words at some widths.

    Attributes:
        network: letters.
        widths: (d_0, ..., d_L).
        words: cyclic words, each once.
    """

    network: Network
    widths: tuple[int, ...]
    words: tuple[str, ...]

    @cached_property
    def spaces(self) -> dict[str, tuple[int, int]]:
        """Layer of the rows and of the columns of every letter."""
        depth = self.network.depth
        spaces = {letter: (l + 1, l) for l, letter in enumerate(self.network.layers)}
        spaces[ERROR] = (depth, 0)
        lower = {letter.lower(): (columns, rows) for letter, (rows, columns) in spaces.items()}
        return {**spaces, **lower, COVARIANCE: (0, 0)}

    @cached_property
    def powers(self) -> dict[str, int]:
        """k of the words that are Z^k."""
        return {word: len(word) for word in self.words if not set(word) - {COVARIANCE}}

    @cached_property
    def _read(self) -> dict[str, Factors]:
        """The factors of the other words."""
        return {word: self._narrowest(word) for word in self.words if word not in self.powers}

    @cached_property
    def factors(self) -> tuple[str, ...]:
        """All that occur."""
        return tuple(sorted({factor for factors in self._read.values() for factor in factors}))

    @cached_property
    def _tree(self) -> tuple[list[Node], dict[str, tuple[int, str]], dict[str, str]]:
        nodes: list[Node] = []
        places: dict[Factors, int] = {}
        ends: dict[str, tuple[int, str]] = {}
        alone: dict[str, str] = {}
        for depth in range(1, max(map(len, self._read.values()), default=0) + 1):
            for factors in self._read.values():
                if len(factors) > depth and factors[:depth] not in places:
                    places[factors[:depth]] = len(nodes)
                    nodes.append(Node(places.get(factors[: depth - 1]), factors[depth - 1], depth))
        for word, factors in self._read.items():
            if len(factors) == 1:
                alone[word] = factors[0]
            else:
                ends[word] = places[factors[:-1]], factors[-1]
        return nodes, ends, alone

    @property
    def nodes(self) -> Sequence[Node]:
        """The products, each after the one before it."""
        return self._tree[0]

    @property
    def ends(self) -> dict[str, tuple[int, str]]:
        """Word -> node and factor of whose product it is the trace."""
        return self._tree[1]

    @property
    def alone(self) -> dict[str, str]:
        """Word -> the factor whose trace it is."""
        return self._tree[2]

    def _narrowest(self, word: str) -> Factors:
        """The factors of a cyclic word, from one of its narrowest places, in the order that comes first."""
        table = str.maketrans(self.network.transposes)
        readings = [self._factors(word), self._factors(word[::-1].translate(table))]
        width = {factor: self.widths[self.spaces[factor[0]][0]] for reading in readings for factor in reading}
        least = min(width.values())
        return min(
            reading[i:] + reading[:i] for reading in readings for i in range(len(reading)) if width[reading[i]] == least
        )

    def _factors(self, word: str) -> Factors:
        """Its letters, those that meet at the inputs together."""
        first = next(i for i, letter in enumerate(word) if self.spaces[letter][0] != 0)
        found: list[str] = []
        opened = False
        for letter in word[first:] + word[:first]:
            if opened:
                found[-1] += letter
            else:
                found.append(letter)
            opened = self.spaces[letter][1] == 0
        return tuple(found)


def words_of(products: Collection[tuple[str, ...]]) -> tuple[str, ...]:
    """The different words of some products, in order."""
    return tuple(sorted({word for words in products for word in words}))
