"""Letters that are texts: products of named matrices, and sums of products of their traces, valid for every width."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping
from typing import Generic, TypeAlias, TypeVar

from linvar.errors import DerivationTooLargeError
from linvar.symbolic.words.recursion import Factor, canonical_word

#: a product of closed traces: their numbers, sorted
Traces: TypeAlias = tuple[int, ...]

#: what a caller multiplies a monomial by
K = TypeVar("K")

#: the first character that stands for a letter: those before it are the texts' own
_FIRST = 256
#: those that are left
MOST_CHARACTERS = sys.maxunicode + 1 - _FIRST
#: letters that are kept before those not in use are forgotten
_MANY = 300_000
#: products of closed traces whose effect on monomials is remembered
_MOVED = 1_000


class Characters:
    """Characters that stand for letters; those given back are taken again."""

    def __init__(self) -> None:
        self._freed: list[str] = []
        self._next = _FIRST

    def take(self) -> str:
        """One that stands for nothing.

        Raises:
            DerivationTooLargeError: there is none.
        """
        if self._freed:
            return self._freed.pop()
        if self._next > sys.maxunicode:
            more = f"the recursion has more than {MOST_CHARACTERS:,} different products of letters at once"
            raise DerivationTooLargeError(more, [("", "fewer letters")])
        self._next += 1
        return chr(self._next - 1)

    def free(self, letter: str) -> None:
        """Give one back."""
        self._freed.append(letter)


class Texts:
    """The alphabet of texts: a letter is a product of matrices, each of one character; Sigma = 1 between letters.

    Args:
        transposes: each character of a text -> that of its transpose.

    Attributes:
        words: closed traces by number, each in canonical form.
    """

    def __init__(self, transposes: Mapping[str, str]) -> None:
        self.transposes = {ord(a): ord(b) for a, b in transposes.items()}
        self.mirror: dict[int, int] = {}
        self.words: list[str] = []
        self._letters: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._characters = Characters()
        self._joined: dict[str, str] = {}
        self._numbers: dict[str, int] = {}  # of texts, canonical or not
        self._closed: dict[str, int] = {}

    def letter(self, text: str) -> str:
        """The letter of a text, numbered together with its transpose."""
        found = self._letters.get(text)
        if found is None:
            back = self.reversed(text)
            for one in (text, back) if back != text else (text,):
                self._letters[one] = new = self._characters.take()
                self._texts[new] = one
            found, other = self._letters[text], self._letters[back]
            self.mirror[ord(found)], self.mirror[ord(other)] = ord(other), ord(found)
        return found

    def reversed(self, text: str) -> str:
        """The transpose of a product."""
        return text[::-1].translate(self.transposes)

    def join(self, a: str, b: str) -> str:
        """The product."""
        found = self._joined.get(a + b)
        if found is None:
            found = self._joined[a + b] = self.letter(self._texts[a] + self._texts[b])
        return found

    def trace(self, word: str) -> int:
        """The number of the trace of the product of its letters."""
        found = self._closed.get(word)
        if found is None:
            found = self._closed[word] = self.number("".join(map(self._texts.__getitem__, word)))
        return found

    def number(self, text: str) -> int:
        """The number of the trace of a text."""
        found = self._numbers.get(text)
        if found is None:
            word = canonical_word(text, self.transposes)
            found = self._numbers.get(word)
            if found is None:
                found = self._numbers[word] = len(self.words)
                self.words.append(word)
            self._numbers[text] = found
        return found

    def keep(self, letters: set[str]) -> None:
        """Where they are many, those not in use are forgotten, and their characters used again."""
        if len(self._texts) < _MANY:
            return
        used = letters | {chr(self.mirror[ord(letter)]) for letter in letters}
        forgotten = [letter for letter in self._texts if letter not in used]
        for letter in forgotten:
            del self._letters[self._texts.pop(letter)], self.mirror[ord(letter)]
            self._characters.free(letter)
        self._joined.clear()
        self._closed.clear()


class Terms(Generic[K]):
    """Weights that are sums of monomials, u^p times a product of closed traces times a factor of the caller's, each by a number.

    Args:
        most: the highest power of u that is kept; all if None.

    Attributes:
        monomials: power of u, product of traces and factor, by number.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = most
        self.monomials: list[tuple[int, Traces, K]] = []
        self._numbers: dict[tuple[int, Traces, K], int] = {}
        self._moved: dict[tuple[int, Traces], _Moved[K]] = {}

    def number(self, power: int, traces: Traces, factor: K) -> int:
        """The number of a monomial; -1 beyond the highest power."""
        if self.most is not None and power > self.most:
            return -1
        key = power, traces, factor
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self.monomials)
            self.monomials.append(key)
        return found

    def add(self, total: dict[int, int] | None, weight: dict[int, int], factor: Factor[int]) -> dict[int, int]:
        """total + weight times factor."""
        result = defaultdict(int) if total is None else total
        for key, count in factor.items():
            moved = self._moved.get(key)
            if moved is None:
                if len(self._moved) > _MOVED:
                    self._moved.clear()
                moved = self._moved[key] = _Moved(self, *key)
            for monomial, coefficient in weight.items():
                result[moved[monomial]] += coefficient * count
        result.pop(-1, None)
        return result

    def raised(self, weight: dict[int, int]) -> bool:
        """Whether the highest power is above that of one of its terms."""
        return self.most is None or any(self.monomials[key][0] < self.most for key in weight)


class _Moved(dict[int, int], Generic[K]):
    """Monomials times a power of u and closed traces."""

    def __init__(self, terms: Terms[K], power: int, closed: Traces) -> None:
        super().__init__()
        self._terms, self._power, self._closed = terms, power, closed

    def __missing__(self, monomial: int) -> int:
        power, traces, factor = self._terms.monomials[monomial]
        found = self._terms.number(power + self._power, tuple(sorted(traces + self._closed)), factor)
        self[monomial] = found
        return found
