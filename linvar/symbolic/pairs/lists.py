"""How the noise of one step stands in the gradient some steps later: lists of X Z Y, in words of letters, for every width.

About the path of SGD at infinite batch size a batch of step 0 brings the fluctuation Z = S - E S of the second moment of
z = (x, noise). To first order it moves the weights by sums of X Z Y. With the ends

    Q = [E_0, -I]  (the residual of an example is Q z),      J = [I, 0]  (its input is J z)

step 0 begins with dW_l = -a_0 A_l^T Q Z J^T B_l^T, and every later step, with E its error and Sigma = E x x^T, adds -a times

    (1)   dG_l = sum_k  A_l^T A_k dW_k B_k Sigma B_l^T                                               (E varies)
               + sum_{k>l} (M^T dW_k^T) A_k^T E Sigma B_l^T,        M = W_{k-1} ... W_{l+1}          (A_l varies)
               + sum_{k<l} A_l^T E Sigma B_k^T (dW_k^T M^T),        M = W_{l-1} ... W_{k+1}          (B_l varies)

A transpose turns X Z Y into Y^T Z X^T, so that X and Y^T are rows of an end: words times Q or J, or times a sum of such. Terms
of equal Y are joined: their X are added. These lists are the formula; ``pairs`` evaluates it.
Source: derived here; related work is named in ``first_order_formula``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import NamedTuple, TypeAlias

from linvar.errors import DerivationTooLargeError

#: the bare ends, as places of rows
ERROR, INPUT = -1, -2
#: lists of so many pairs are neither derived nor read
MOST_PAIRS = 400_000
#: nor are those of more steps, of any depth
MOST_STEPS = 12
#: terms times layers of lists that the next are made of
_MOST_MADE = 2_500


class Letter(NamedTuple):
    """W_l of a step, R = E Sigma of a step, or Sigma; transposed if ``flipped``."""

    kind: str
    layer: int = 0
    step: int = 0
    flipped: bool = False


Word: TypeAlias = tuple[Letter, ...]
#: the steps whose learning rates are multiplied
Rates: TypeAlias = tuple[int, ...]


class Row(NamedTuple):
    """A word times an end: ``ERROR``, ``INPUT`` or the place of a sum of rows."""

    word: Word
    end: int


#: a sum of rows, each with learning rates and an integer
Sum: TypeAlias = tuple[tuple[Row, Rates, int], ...]
_Sums: TypeAlias = dict[tuple[Row, Rates], int]
_Layer: TypeAlias = dict[Row, _Sums]


class Term(NamedTuple):
    """X Z Y: X a sum of rows, Y^T a row."""

    left: Sum
    right: Row


@dataclass(frozen=True)
class Lists:
    """dG_l after some steps, for each layer, and the sums that rows end in."""

    layers: tuple[tuple[Term, ...], ...]
    sums: tuple[Sum, ...]

    @property
    def pairs(self) -> int:
        """What the squared norm sums over."""
        return sum(len(terms) ** 2 for terms in self.layers)


class _Network:
    """Products of the layers of a step, as words."""

    def __init__(self, depth: int, step: int) -> None:
        self.depth, self.step = depth, step

    def between(self, low: int, high: int) -> Word:
        """W_{high-1} ... W_low, layers counted from 0."""
        return tuple(Letter("W", l, self.step) for l in range(high - 1, low - 1, -1))

    def above(self, layer: int) -> Word:
        """A_l."""
        return self.between(layer + 1, self.depth)

    def below(self, layer: int) -> Word:
        """B_l."""
        return self.between(0, layer)

    @property
    def mean(self) -> Word:
        """E Sigma, the end-to-end gradient at infinite batch size."""
        return (Letter("R", 0, self.step),)


_SIGMA: Word = (Letter("S"),)


def flipped(word: Word) -> Word:
    """The transpose; Sigma is its own."""
    return tuple(a if a.kind == "S" else a._replace(flipped=not a.flipped) for a in reversed(word))


class _Builder:
    """Carries the lists through the steps; sums that rows end in are kept once."""

    def __init__(self, depth: int, white: bool) -> None:
        self.depth, self.sigma = depth, () if white else _SIGMA
        self.sums: list[Sum] = []
        self._places: dict[Sum, int] = {}

    def start(self) -> list[_Layer]:
        """-a_0 A_l^T Q Z J^T B_l^T."""
        at, first = _Network(self.depth, 0), list[_Layer]()
        for l in range(self.depth):
            first.append({Row(at.below(l), INPUT): {(Row(flipped(at.above(l)), ERROR), (0,)): -1}})
        return first

    def gradient(self, weights: list[_Layer], step: int) -> list[_Layer]:
        """(1)."""
        at, found = _Network(self.depth, step), [_Layer() for _ in range(self.depth)]
        for k, terms in enumerate(weights):
            for right, left in terms.items():
                single, rates, factor = self._single(left)
                for l, layer in enumerate(found):
                    below, above = at.below(l), flipped(at.above(l))
                    turned = _times(below + self.sigma + flipped(at.below(k)), right)
                    _add(layer, turned, ((_times(above + at.above(k), row), r, c) for (row, r), c in left.items()))
                    if k > l:
                        turned = _times(below + flipped(at.mean) + at.above(k), single)
                        row = _times(flipped(at.between(l + 1, k)), right)
                    if k < l:
                        turned = _times(at.between(k + 1, l), single)
                        row = _times(above + at.mean + flipped(at.below(k)), right)
                    if k != l:
                        _add(layer, turned, [(row, rates, factor)])
        return found

    def advance(self, weights: list[_Layer], step: int) -> list[_Layer]:
        """dW - a dG."""
        moved = [{right: dict(left) for right, left in terms.items()} for terms in weights]
        for layer, terms in zip(moved, self.gradient(weights, step)):
            for right, left in terms.items():
                _add(layer, right, ((row, (*rates, step), -c) for (row, rates), c in left.items()))
        return moved

    def _single(self, left: _Sums) -> tuple[Row, Rates, int]:
        """A sum as one row, and the learning rates and the integer that it is multiplied by."""
        if len(left) == 1:
            (((row, rates), factor),) = left.items()
            return row, rates, factor
        common = tuple(sorted(set.intersection(*(set(rates) for _, rates in left))))
        terms = sorted((row, tuple(s for s in rates if s not in common), c) for (row, rates), c in left.items())
        factor = gcd(*(c for _, _, c in terms)) * (1 if terms[0][2] > 0 else -1)
        kept: Sum = tuple((row, rates, c // factor) for row, rates, c in terms)
        if kept not in self._places:
            self._places[kept] = len(self.sums)
            self.sums.append(kept)
        return Row((), self._places[kept]), common, factor


def _times(word: Word, row: Row) -> Row:
    return Row(word + row.word, row.end)


def _add(layer: _Layer, right: Row, terms: Iterable[tuple[Row, Rates, int]]) -> None:
    """Terms of equal Y are joined."""
    left = layer.setdefault(right, {})
    for row, rates, factor in terms:
        left[row, rates] = left.get((row, rates), 0) + factor
        if not left[row, rates]:
            del left[row, rates]
    if not left:
        del layer[right]


@lru_cache(maxsize=64)
def lists(depth: int, later: int, white: bool = False) -> Lists | None:
    """dG after ``later`` >= 1 steps, from the noise of the first of them; None if there are more pairs than ``MOST_PAIRS``.

    Where Sigma is the identity (``white``) more terms are joined.
    """
    if depth**2 > _MOST_MADE:
        return None
    builder = _Builder(depth, white)
    weights = builder.start()
    for step in range(1, later):
        if _too_many(weights):
            return None
        weights = builder.advance(weights, step)
    if _too_many(weights):
        return None
    found = builder.gradient(weights, later)
    layers = tuple(
        tuple(Term(tuple((row, r, c) for (row, r), c in left.items()), right) for right, left in terms.items())
        for terms in found
    )
    made = Lists(layers, tuple(builder.sums))
    return made if made.pairs <= MOST_PAIRS else None


def _too_many(weights: list[_Layer]) -> bool:
    """Whether the next lists are too long, seen without making them."""
    return len(weights) * sum(map(len, weights)) > _MOST_MADE


def all_lists(depth: int, step: int, white: bool = False) -> tuple[Lists, ...] | None:
    """Those of the noise of each of ``step`` steps: after 1, ..., ``step`` steps; None if they are too long.

    The noise of step s meets the steps that follow as that of step 0 does, with every letter s steps later.
    """
    found, pairs = list[Lists](), 0
    if step > MOST_STEPS:
        return None
    for later in range(1, step + 1):
        kept = lists(depth, later, white)
        pairs += kept.pairs if kept else 0
        if kept is None or pairs > MOST_PAIRS:
            return None
        found.append(kept)
    return tuple(found)


def count(found: Sequence[Lists]) -> int:
    """Pairs in all lists."""
    return sum(one.pairs for one in found)


def checked_lists(depth: int, step: int, white: bool = False) -> tuple[Lists, ...]:
    """The same.

    Raises:
        DerivationTooLargeError: there are more than ``MOST_PAIRS`` pairs, or more than ``MOST_STEPS`` steps.
    """
    found = all_lists(depth, step, white)
    if found is None:
        limits = f"{MOST_PAIRS:,} pairs, of at most {MOST_STEPS} steps"
        statement = f"the lists of depth={depth}, step={step} have more than the limit of {limits}"
        raise DerivationTooLargeError(statement, [("step", "fewer steps"), ("depth", "fewer layers")])
    return found
