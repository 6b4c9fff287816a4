"""Words of matrices of numbers: the recursion with integer matrices as letters, equal ones once, and values polynomial in u."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import lcm, prod

from linvar.exact import Exact, Matrix, Rational
from linvar.flint import fmpz, fmpz_mat, fmpz_poly
from linvar.laws.law import identity
from linvar.progress import Progress
from linvar.symbolic.words.recursion import State, canonical_state, remove_one
from linvar.symbolic.words.statement import Traces

_ZERO, _ONE = fmpz(0), fmpz(1)


def expected_traces(
    words: Traces, matrices: Mapping[str, Matrix], sigma: Matrix, report: Progress = lambda done, total: None
) -> list[Exact]:
    """E of a product of traces of words, x ~ N(0, Sigma): the coefficients of 1, u, u^2, ..., exact.

    Matrices and Sigma are taken times their common denominators; the product of these divides the answer.
    """
    scales = {name: _denominator(matrix) for name, matrix in matrices.items()}
    sigma_scale = _denominator(sigma)
    width = len(sigma)
    letters = Letters(width, None if sigma == identity(width) else _integer_matrix(sigma, sigma_scale))
    numbers = {name: letters.number(_integer_matrix(matrix, scales[name])) for name, matrix in matrices.items()}
    order = sum(map(len, words))
    scale = sigma_scale**order * prod(scales[letter] for word in words for letter in word)
    total = _Expectation(letters, order, report).of([[numbers[letter] for letter in word] for word in words])
    return [Rational(int(coefficient), scale) for coefficient in total.coeffs()] or [Rational(0)]


class Letters:
    """Integer matrices by number, equal ones once; the transpose of each is numbered with it.

    Attributes:
        traces: tr(a Sigma) of each letter a.
        transposes: the number of its transpose.
    """

    def __init__(self, width: int, sigma: fmpz_mat | None) -> None:
        self._places = range(width)
        self._sigma = sigma  # None for the identity
        self._known: dict[tuple[fmpz, ...], int] = {}
        self._plain: list[fmpz_mat] = []
        self._followed: list[fmpz_mat] = []  # letter times Sigma
        self._joined: dict[tuple[int, int], int] = {}
        self.traces: list[fmpz] = []
        self.transposes: list[int] = []

    def number(self, matrix: fmpz_mat) -> int:
        """The number of a matrix."""
        key = tuple(matrix.entries())
        if key not in self._known:
            mirror = matrix.transpose()
            mirror_key = tuple(mirror.entries())
            first = len(self._plain)
            self._known[key] = first
            self._known[mirror_key] = second = first + (mirror_key != key)
            for letter, other in ((matrix, second), (mirror, first))[: second - first + 1]:
                product = letter if self._sigma is None else letter * self._sigma
                self._plain.append(letter)
                self._followed.append(product)
                self.traces.append(sum([product[i, i] for i in self._places], _ZERO))
                self.transposes.append(other)
        return self._known[key]

    def join(self, a: int, b: int) -> int:
        """The number of a Sigma b."""
        key = a, b
        found = self._joined.get(key)
        if found is None:
            found = self._joined[key] = self.number(self._followed[a] * self._plain[b])
        return found

    def trace_of_two(self, a: int, b: int) -> fmpz:
        """tr(a Sigma b Sigma)."""
        product = self._followed[a] * self._followed[b]
        return sum([product[i, i] for i in self._places], _ZERO)


class _Expectation:
    """The recursion; equal states are met once.

    What is reported are the terms of the first two steps, 2k-1 times 2k-3 of them.
    """

    def __init__(self, letters: Letters, order: int, report: Progress) -> None:
        self.letters, self.order, self.report = letters, order, report
        self.steps = max(1, (2 * order - 1) * (2 * order - 3))
        self._done = 0
        self._values: dict[State[int], fmpz_poly] = {}

    def of(self, words: Sequence[Sequence[int]]) -> fmpz_poly:
        """E of the product of traces, as a polynomial in u."""
        self.report(0, self.steps)
        total = self._value(words, self.order)
        self.report(self.steps, self.steps)
        return total

    def _value(self, words: Sequence[Sequence[int]], left: int) -> fmpz_poly:
        """The same of a product with ``left`` factors S in it."""
        if left == 1:
            return fmpz_poly([self.letters.traces[words[0][0]]])
        if left == 2:
            return self._of_two(words)
        current = canonical_state(words, self.letters.transposes.__getitem__)
        found = self._values.get(current)
        if found is None:
            found = self._values[current] = self._step(current, left)
        return found

    def _of_two(self, words: Sequence[Sequence[int]]) -> fmpz_poly:
        """(5) and (6) of proofs/wishart-words.md: the last two S in closed form."""
        letters = self.letters
        a, b = words[0] if len(words) == 1 else (words[0][0], words[1][0])
        mirror = letters.transposes[b]
        apart, together = letters.traces[a] * letters.traces[b], letters.trace_of_two(a, b)
        turned = together if mirror == b else letters.trace_of_two(a, mirror)
        return fmpz_poly([together, apart + turned] if len(words) == 1 else [apart, together + turned])

    def _step(self, current: State[int], left: int) -> fmpz_poly:
        """The sum over the terms of a step."""
        letters, total, counted = self.letters, fmpz_poly([]), left >= self.order - 1
        traces, terms = letters.traces, remove_one(current, letters.join, letters.transposes.__getitem__)
        for place, (power, closed, rest) in enumerate(terms, 1):
            weight = traces[closed[0]] if closed else _ONE
            if weight:
                total += self._value(rest, left - 1) * fmpz_poly([_ZERO] * power + [weight])
            if counted:
                self._count(place, left)
        return total

    def _count(self, place: int, left: int) -> None:
        """Report a term of one of the first two steps."""
        if left == self.order:
            self._done = place * (2 * self.order - 3)
        self.report(self._done + place * (left < self.order), self.steps)


def _denominator(matrix: Matrix) -> int:
    """The common denominator of its entries."""
    return lcm(*(entry.denominator for row in matrix for entry in row))


def _integer_matrix(matrix: Matrix, scale: int) -> fmpz_mat:
    """A rational matrix times a common denominator."""
    return fmpz_mat([[int(entry * scale) for entry in row] for row in matrix])
