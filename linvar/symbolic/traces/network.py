"""A linear network and one step of SGD in words: products of letters with the batch second moment S between.

The letters are whitened, x = Sigma^{1/2} g with g ~ N(0, 1), and S the second moment of the g of a batch:

    W_1 Sigma^{1/2}, W_2, ..., W_L,    E = (W_L ... W_1 - W*) Sigma^{1/2},    Z = Sigma

(no square root is ever taken: ``route``). With A_l = W_L ... W_{l+1} and B_l = W_{l-1} ... W_1 Sigma^{1/2} (Sigma^{1/2} itself
for the first layer) the batch gradient of layer l is A_l^T E S B_l^T, and a step with the rate a_l, keeping r_l of the weights
(r_l = 1 - a_l weight_decay), is

    (1)   W_l' = r_l W_l - a_l A_l^T E S B_l^T,    of the first layer, times Sigma^{1/2}:  r_1 W_1 - a_1 A_1^T E S Z,
    (2)   E' = E + (W_L' ... W_1' - W_L ... W_1).

On the batch measured, with M_l = E'^T A_l' A_l'^T E' and Q_l = B_l'^T B_l' (Z for the first layer), both d_0 x d_0,

    (3)   E ||G_l||^2 = < (1 + u) tr Q_l M_l + u tr Q_l tr M_l >,    E G_l = < A_l'^T E' B_l'^T >,    loss = < tr E' E'^T > / 2,

< > over the S of the step. A polynomial is a sum of words times monomials in the rates a_l and what is kept r_l.
Source: derived here; (3) is the second moment of a Wishart matrix.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TypeAlias

#: exponents of the rates, then of what is kept, if anything decays
Powers: TypeAlias = tuple[int, ...]
#: words (products of letters, in which S is a letter too) times monomials, and their coefficients
Words: TypeAlias = dict[tuple[Powers, str], int]

#: a letter is one character, its transpose the same one in lower case; layers are named from A on
ERROR, COVARIANCE, MOMENT = "E", "Z", "S"
_LAYERS = "ABCDFGHIJKLMNOPQ"
#: of layers, with a name each
MOST_LAYERS = len(_LAYERS)
_SYMMETRIC = {COVARIANCE, MOMENT}


@dataclass(frozen=True)
class Network:
    """The words of a network of some depth.

    Attributes:
        depth: L, the number of layers.
        white: Sigma is the identity, and no letter.
        layer_rates: every layer has a learning rate of its own.
        weight_decay: the weights decay.
    """

    depth: int
    white: bool = True
    layer_rates: bool = False
    weight_decay: bool = False

    @property
    def layers(self) -> str:
        """Their letters, the first layer's first."""
        return _LAYERS[: self.depth]

    @cached_property
    def transposes(self) -> dict[str, str]:
        """Of every letter."""
        pairs = {letter: letter.lower() for letter in (ERROR, *self.layers)}
        fixed = {letter: letter for letter in _SYMMETRIC}
        return {**pairs, **{low: high for high, low in pairs.items()}, **fixed}

    def transposed(self, words: Words) -> Words:
        """Each word read backwards, its letters transposed."""
        table = str.maketrans(self.transposes)
        return {(powers, word[::-1].translate(table)): c for (powers, word), c in words.items()}

    def one(self, word: str = "") -> Words:
        """A word."""
        return {(self.powers(), word): 1}

    @property
    def sigma(self) -> Words:
        """Z, or 1."""
        return self.one("" if self.white else COVARIANCE)

    def powers(self, *, rate: int | None = None, kept: int | None = None) -> Powers:
        """The exponents of a rate, or of what a layer keeps; of 1 if neither."""
        rates = self.depth if self.layer_rates else 1
        found = [0] * (rates * (2 if self.weight_decay else 1))
        if rate is not None:
            found[rate if self.layer_rates else 0] = 1
        if kept is not None and self.weight_decay:
            found[rates + (kept if self.layer_rates else 0)] = 1
        return tuple(found)

    def start(self) -> State:
        """The weights before any step."""
        return State(self, tuple(self.one(letter) for letter in self.layers), self.one(ERROR))

    def step(self) -> State:
        """The weights after one, by (1) and (2)."""
        layers, table = self.layers, str.maketrans(self.transposes)
        moved = []
        for l, letter in enumerate(layers):
            above = layers[l + 1 :].translate(table)  # A_l^T = W_{l+1}^T ... W_L^T
            below = (
                layers[:l].translate(table) if l else ("" if self.white else COVARIANCE)
            )  # B_l^T = W_1^T ... W_{l-1}^T
            push = above + ERROR + MOMENT + below
            moved.append({(self.powers(kept=l), letter): 1, (self.powers(rate=l), push): -1})
        error = defaultdict(int, product(reversed(moved)))
        error[self.powers(), layers[::-1]] -= 1
        error[self.powers(), ERROR] += 1
        return State(self, tuple(moved), {key: c for key, c in error.items() if c})


@dataclass(frozen=True)
class State:
    """Weights and error as polynomials in words; see (3)."""

    network: Network
    weights: tuple[Words, ...]
    error: Words

    def back(self, l: int) -> Words:
        """A_l^T E, the error at the outputs of layer l."""
        return product([*map(self.network.transposed, self.weights[l + 1 :]), self.error])

    def gradient(self, l: int) -> Words:
        """A_l^T E B_l^T, without the Sigma^{1/2} of the first layer."""
        return product([self.back(l), *map(self.network.transposed, self.weights[:l])])

    def spread(self, l: int) -> tuple[Words, Words]:
        """Q_l and M_l."""
        network, back = self.network, self.back(l)
        below = list(reversed(self.weights[:l]))
        inner = product([*map(network.transposed, reversed(below)), *below]) if l else network.sigma
        return inner, product([network.transposed(back), back])


def product(factors: Iterable[Words]) -> Words:
    """The product of polynomials in words."""

    def times(left: Words, right: Words) -> Words:
        found: Words = defaultdict(int)
        for (powers, word), c in left.items():
            for (others, other), d in right.items():
                found[tuple(map(sum, zip(powers, others))), word + other] += c * d
        return dict(found)

    *_, last = accumulate(factors, times)
    return last
