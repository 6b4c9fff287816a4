"""Words by the names of their letters, as they are shown: of two layers in five letters, of others in the layers' own.

two layers   E, P = W_2 W_1 Sigma^{1/2}, K = (W_1 Sigma^{1/2})^T W_1 Sigma^{1/2}, H = W_2 W_2^T, Z = Sigma
any other    E, W_1 Sigma^{1/2}, W_2, ..., W_L, Z = Sigma
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from linvar.symbolic.traces.derivation import Product
from linvar.symbolic.traces.network import Network

#: the names of a word's letters, in their order
Name = tuple[str, ...]

TRANSPOSED = "^T"
#: two letters of a two-layer network, and the one that their product is
_PAIRS = {"BA": "P", "ab": f"P{TRANSPOSED}", "aA": "K", "Bb": "H"}


@dataclass(frozen=True)
class Names:
    """The names of a network's letters."""

    network: Network

    @property
    def letters(self) -> dict[str, str]:
        """The name of each letter -> what it stands for."""
        depth = self.network.depth
        root = "" if self.network.white else " Sigma^{1/2}"
        whole = "".join(f"W_{l} " for l in range(depth, 0, -1)).strip() or "W_1"
        error = f"({whole} - W*)" if depth > 1 else "(W_1 - W*)"
        found = {"E": f"{error}{root}"}
        if depth == 2:
            gram = "W_1^T W_1" if self.network.white else "Sigma^{1/2} W_1^T W_1 Sigma^{1/2}"
            found |= {"P": f"{whole}{root}", "K": gram, "H": "W_2 W_2^T"}
        else:
            found |= {f"W{l}": f"W_{l}{root if l == 1 else ''}" for l in range(1, depth + 1)}
        return found if self.network.white else {**found, "Z": "Sigma"}

    def word(self, word: str) -> Name:
        """The name of a cyclic word: of all that are equal to it the first."""
        return _named(self.network, word)

    def product(self, words: Product) -> tuple[Name, ...]:
        """The names of a product of traces, the shortest word first."""
        return tuple(sorted(map(self.word, words), key=lambda name: (len(name), name)))


@cache
def _named(network: Network, word: str) -> Name:
    """See ``Names.word``."""
    if network.depth == 2:
        table = str.maketrans(network.transposes)
        cycles = [_paired(one) for one in (word, word[::-1].translate(table))]
    else:
        places = {letter: f"W{l}" for l, letter in enumerate(network.layers, 1)}
        named = tuple(places.get(letter.upper(), letter.upper()) + TRANSPOSED * letter.islower() for letter in word)
        cycles = [named, transposed(named)]
    return min((cycle[i:] + cycle[:i] for cycle in cycles for i in range(len(cycle))), default=())


def _paired(word: str) -> Name:
    """A cyclic word of two layers: letters that meet between the layers are one."""
    found: list[str] = []
    start = next((i for i, letter in enumerate(word) if letter not in "Ab"), 0)  # not the second of a pair
    letters = iter(word[start:] + word[:start])
    for letter in letters:
        if letter in "aB":
            found.append(_PAIRS[letter + next(letters)])
        else:
            found.append(letter.upper() + TRANSPOSED * letter.islower())
    return tuple(found)


def transposed(name: Name) -> Name:
    """Of layers and the error: read backwards, each letter transposed."""
    return tuple(
        letter
        if letter == "Z"
        else letter.removesuffix(TRANSPOSED)
        if letter.endswith(TRANSPOSED)
        else letter + TRANSPOSED
        for letter in reversed(name)
    )


def names_in(products: Iterable[Sequence[Name]]) -> tuple[Name, ...]:
    """The different words of products, the shortest first."""
    return tuple(sorted({name for product in products for name in product}, key=lambda name: (len(name), name)))
