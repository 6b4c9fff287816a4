"""Letters that are integer matrices, equal ones once, and weights that are polynomials in u: the recursion on numbers."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from random import Random

from linvar.flint import fmpz, fmpz_mat, fmpz_poly
from linvar.symbolic.words.letters import Characters
from linvar.symbolic.words.recursion import Factor

_ZERO, _ONE = fmpz(0), fmpz(1)


class Matrices:
    """The alphabet of integer matrices, each followed by Sigma: M Sigma is kept for the letter M, and a Sigma b is a product.

    Two M with the same M Sigma are one letter, as M S is then the same.

    Args:
        sigma: Sigma.

    Attributes:
        width: of the matrices.
        matrices: M Sigma of every letter.
    """

    def __init__(self, sigma: fmpz_mat) -> None:
        self.mirror: dict[int, int] = {}
        self.matrices: dict[str, fmpz_mat] = {}
        self.width = sigma.nrows()
        self._sigma, self._places = sigma, range(self.width)
        draw = Random(0)
        vector = [draw.getrandbits(30) for _ in self._places]
        self._row, self._column = fmpz_mat([vector[::-1]]), fmpz_mat([[entry] for entry in vector])
        self._known: dict[fmpz, str] = {}
        self._characters = Characters()
        self._joined: dict[str, str] = {}
        self._traces: dict[str, fmpz] = {}

    def letter(self, matrix: fmpz_mat) -> str:
        """The letter of a matrix."""
        return self._pair(matrix * self._sigma, matrix.transpose() * self._sigma)

    def join(self, a: str, b: str) -> str:
        """The letter a Sigma b."""
        found = self._joined.get(a + b)
        if found is None:
            matrices, mirror = self.matrices, self.mirror
            back = matrices[chr(mirror[ord(b)])] * matrices[chr(mirror[ord(a)])]
            found = self._joined[a + b] = self._pair(matrices[a] * matrices[b], back)
        return found

    def trace(self, word: str) -> fmpz:
        """tr(a Sigma b Sigma ...) of the letters of a word; those of one letter are kept."""
        found = self._traces.get(word)
        if found is None:
            first, *others = map(self.matrices.__getitem__, word)
            found = self.sum_diagonal(prod(others, start=first))
            if not others:
                self._traces[word] = found
        return found

    def sum_diagonal(self, matrix: fmpz_mat) -> fmpz:
        """The trace of a matrix."""
        return sum([matrix[i, i] for i in self._places], _ZERO)

    def keep(self, letters: Iterable[str]) -> None:
        """The matrices of all others are freed, and their characters used again."""
        used = {*letters}
        used |= {chr(self.mirror[ord(letter)]) for letter in used}
        for letter in [letter for letter in self.matrices if letter not in used]:
            del self.matrices[letter], self.mirror[ord(letter)]
            self._traces.pop(letter, None)
            self._characters.free(letter)
        self._known = {key: letter for key, letter in self._known.items() if letter in used}
        self._joined.clear()

    def _pair(self, matrix: fmpz_mat, back: fmpz_mat) -> str:
        """The letter of M Sigma, numbered together with its transpose, that of M^T Sigma."""
        found, key = self._find(matrix)
        if found is None:
            found = other = self._new(key, matrix)
            if back != matrix:
                other = self._new(self._find(back)[1], back)
            self.mirror[ord(found)], self.mirror[ord(other)] = ord(other), ord(found)
        return found

    def _find(self, matrix: fmpz_mat) -> tuple[str | None, fmpz]:
        """The letter of a matrix, None if there is none, and where it belongs: at r M c, or behind what is there."""
        key = (self._row * matrix * self._column)[0, 0]
        while (found := self._known.get(key)) is not None and self.matrices[found] != matrix:
            key += 1
        return found, key

    def _new(self, key: fmpz, matrix: fmpz_mat) -> str:
        found = self._known[key] = self._characters.take()
        self.matrices[found] = matrix
        return found


class Polynomials:
    """Weights that are polynomials in u."""

    def add(self, total: fmpz_poly | None, weight: fmpz_poly, factor: Factor[fmpz]) -> fmpz_poly:
        """total + weight times factor."""
        coefficients = [_ZERO] * (1 + max(power for power, _ in factor))
        for (power, closed), times in factor.items():
            coefficients[power] += prod(closed, start=_ONE) * times
        product = weight * fmpz_poly(coefficients)
        return product if total is None else total + product

    def raised(self, weight: fmpz_poly) -> bool:
        """All powers are kept."""
        return True
