"""The recursion on words behind road (d): each step takes one batch second moment S out of a product of traces.

A state is a product of traces, tr(A S B S) tr(C S) ..., kept as its words of letters ((A, B), (C,)). For Gaussian
x ~ N(0, Sigma) integration by parts (Stein) removes one S: with S_ab taken out of the product,

    (1)   E S_ab F = Sigma_ab E F + u E sum over every other S_de in F, replaced by Sigma_ad S_be + Sigma_ae S_bd.

In words, taking the last S of tr(L_1 S ... S L_n S) out, and M' the transpose of M:

    (2)   closing   tr(L_1 S ... S L_n Sigma)
    (3)   cutting   u tr(V Sigma) tr(U S) + u tr(U Sigma V' S)         U = L_1 S ... L_i,  V = L_{i+1} S ... L_n,  i < n
    (4)   joining   u tr(P Sigma Q S) + u tr(P Sigma Q' S)             P = L_1 S ... L_n,  tr(Q S) another factor,
                                                                       Q beginning at any of its letters

Each term has one S less, so order k (the number of S) takes (2k-1)!! of them, and fewer once equal states are
merged: words are the same up to rotation, and up to reversal with transposed letters. Nothing here knows the width
of S, or what a letter is: ``traces`` has names for letters, and an answer in u = 1/b and traces of words, valid for every width;
``numbers`` has integer matrices. The equations are those of proofs/wishart-words.md.

Source: the identity is the Wishart identity of L. R. Haff, "An identity for the Wishart distribution with
applications", J. Multivariate Analysis 9 (1979); all invariant moments: G. Letac and H. Massam, "All invariant moments of
the Wishart distribution", Scandinavian J. Statistics 31 (2004); moments of all orders as sums over pairings: P. Graczyk,
G. Letac and H. Massam, "The hyperoctahedral group, symmetric group representations and the moments of the real Wishart
distribution", J. Theoretical Probability 18 (2005), and C. E. I. Redelmeier, "Genus expansion for real Wishart
matrices", arXiv:0910.5541. The form used here is derived above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import prod
from typing import Any, Protocol, TypeAlias, TypeVar


class Letter(Protocol):
    """The number of a matrix, or its name (of a product with Sigma between: the names in their order)."""

    def __lt__(self, other: Any, /) -> bool: ...


L = TypeVar("L", bound=Letter)
#: the letters L_1, ..., L_n of tr(L_1 S ... L_n S)
Word: TypeAlias = tuple[L, ...]
#: a product of traces
State: TypeAlias = tuple[Word[L], ...]
#: power of u, the letter of a closed trace tr(L Sigma) if any, words left
Term: TypeAlias = tuple[int, list[L], list[list[L]]]


def remove_one(
    state: Sequence[Sequence[L]], join: Callable[[L, L], L], transpose: Callable[[L], L]
) -> Iterator[Term[L]]:
    """One step of the recursion on the last S of the first word; ``join(a, b)`` is the letter a Sigma b."""
    word, others = list(state[0]), [list(other) for other in state[1:]]
    last = word[-1]
    # (2): L_n Sigma L_1 is one letter; a trace without S is closed
    if len(word) == 1:
        yield 0, [last], others
    else:
        yield 0, [], [[join(last, word[0]), *word[1:-1]], *others]
    # (3): V Sigma closes if V is one letter; V' has its letters transposed, the last one first
    backwards = [transpose(letter) for letter in reversed(word)]
    for i in range(1, len(word)):
        left = word[:i]
        if i == len(word) - 1:
            yield 1, [last], [left, *others]
        else:
            yield 1, [], [[join(last, word[i]), *word[i + 1 : -1]], left, *others]
        reverse = backwards[: len(word) - i]
        yield 1, [], [[*left[:-1], join(left[-1], reverse[0]), *reverse[1:]], *others]
    # (4): Q and Q' beginning at any letter
    for j, other in enumerate(others):
        rest = others[:j] + others[j + 1 :]
        mirrored = [transpose(letter) for letter in reversed(other)]
        for cycle in (other, mirrored):
            for i in range(len(cycle)):
                yield 1, [], [[*word[:-1], join(last, cycle[i]), *cycle[i + 1 :], *cycle[:i]], *rest]


def _canonical_word(word: Sequence[L], transpose: Callable[[L], L]) -> Word[L]:
    """The smallest of the words equal to this one by rotation, or by reversal with transposition."""
    if len(word) == 1:
        return (min(word[0], transpose(word[0])),)
    candidates = []
    for cycle in (tuple(word), tuple(transpose(letter) for letter in reversed(word))):
        smallest = min(cycle)
        candidates += [cycle[i:] + cycle[:i] for i, letter in enumerate(cycle) if letter == smallest]
    return min(candidates)


def canonical_state(words: Iterable[Sequence[L]], transpose: Callable[[L], L]) -> State[L]:
    """Canonical words, the shortest first: the recursion then finishes a word before it opens another."""
    return tuple(sorted((_canonical_word(word, transpose) for word in words), key=lambda word: (len(word), word)))


def count_pairings(order: int) -> int:
    """(2k-1)!!, the terms of the recursion at order k with all letters distinct."""
    return prod(range(1, 2 * order, 2))
