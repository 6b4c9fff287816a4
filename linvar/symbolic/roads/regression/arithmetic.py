"""What the recursion of an affine gradient is computed in: long integers where all is numbers, a ring where symbols are.

In numbers its moments are polynomials in c, of degree s after s steps, over one denominator. Each polynomial of integers is kept
as ONE integer, its value at c = 2^bits, where 2^(bits-1) is more than any of its coefficients can be: a product of matrices of
such integers with matrices of short ones is the product of all coefficients at once, c itself is a shift, and at the end the
coefficients are the digits to the base 2^bits, taken between -2^(bits-1) and 2^(bits-1) (Kronecker's substitution). It is three
times as quick as matrices of the coefficients (``fmpz_mat``), and needs no interpolation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from math import lcm, prod
from typing import Generic

from linvar import matrices
from linvar.exact import Exact, Rational
from linvar.flint import fmpq, fmpq_mat, fmpq_poly, fmpz, fmpz_mat, fmpz_poly
from linvar.matrices import Rows
from linvar.rings import RingLike, T
from linvar.symbolic.algebra.ring import Element, Exponents, Ring, to_fmpq
from linvar.symbolic.models.polynomial.affine import AffineGradient, Place
from linvar.symbolic.roads.regression.forms import Used, by_entries, expectation


@dataclass(frozen=True)
class Over(Generic[T]):
    """A matrix over a denominator, which is 1 where symbols are."""

    rows: Rows[T]
    below: int


@dataclass(frozen=True)
class Moments(Generic[T]):
    """Of a state of n entries.

    Attributes:
        mean: a column, with a 1 at the end.
        covariance: its entries i <= j times ``below``.
    """

    mean: Over[T]
    covariance: dict[Place, T]
    below: int


@dataclass(frozen=True)
class Move(Generic[T]):
    """A step of the state: s' = S s + r + g noise.

    Attributes:
        matrix: (S, r), shape (n, n + 1).
        gains: the factor with which the noise of its weight enters each entry of the state, at the end of a row.
    """

    matrix: Over[T]
    gains: Over[T]

    @cached_property
    def linear(self) -> Rows[T]:
        """S times the denominator."""
        return [row[:-1] for row in self.matrix.rows]

    def scales(self, noise: Over[T]) -> tuple[int, int]:
        """Factors that bring S C S^T and g N g^T over one denominator."""
        pulled, pushed = self.matrix.below**2, self.gains.below**2 * noise.below
        whole = lcm(pulled, pushed)
        return whole // pulled, whole // pushed


class Arithmetic(ABC, Generic[T]):
    """Polynomials in c as elements of a kind T.

    Args:
        answers: the ring of the answers.
        factor: c in it.
    """

    def __init__(self, answers: Ring, factor: Element) -> None:
        self.answers, self.factor = answers, factor

    @abstractmethod
    def column(self, entries: Sequence[Exact | int]) -> Over[T]:
        """Entries of a problem."""

    @abstractmethod
    def coefficients(self, polynomials: Sequence[Element], places: int) -> Over[T]:
        """Of 1, at the end, and of so many variables in polynomials of degree 1 in them; what is left are the symbols."""

    @abstractmethod
    def noise(self, affine: AffineGradient) -> Over[T]:
        """K, from the second moments of w~ (pairs c <= d) to the covariance of the gradient of one example (a <= b)."""

    @abstractmethod
    def product(self, a: Rows[T], b: Rows[T]) -> Rows[T]:
        """Of matrices, the first of them free of c."""

    @abstractmethod
    def times_factor(self, value: T) -> T:
        """c times it."""

    @abstractmethod
    def integrated(self, moments: Moments[T]) -> Callable[[Element], Element]:
        """What gives E of a form of degree <= 2 in the state, in the ring of the answers."""

    def reserve(self, moves: Sequence[Move[T]], noise: Over[T], means: Sequence[Over[T]]) -> None:
        """Before c is used: what coefficients these steps can make."""


class InSymbols(Arithmetic[Element]):
    """Elements of the ring of the answers, c among them."""

    def column(self, entries: Sequence[Exact | int]) -> Over[Element]:
        return Over([[self.answers.lift(entry)] for entry in entries], 1)

    def coefficients(self, polynomials: Sequence[Element], places: int) -> Over[Element]:
        rows = [[self.answers.zero] * (places + 1) for _ in polynomials]
        for row, polynomial in zip(rows, polynomials):
            for place, inside in _by_place(polynomial, places).items():
                row[place] = self.answers.from_terms({(0, *key): c for key, c in inside.items()})
        return Over(rows, 1)

    def noise(self, affine: AffineGradient) -> Over[Element]:
        return Over(noise_table(affine, self.answers), 1)

    def product(self, a: Rows[Element], b: Rows[Element]) -> Rows[Element]:
        return matrices.product(a, b)

    def times_factor(self, value: Element) -> Element:
        return self.factor * value

    def integrated(self, moments: Moments[Element]) -> Callable[[Element], Element]:
        means = [row[0] for row in moments.mean.rows[:-1]]
        return lambda form: expectation(form, len(means), self.answers, means, lambda i, j: moments.covariance[i, j])


class Rationals:
    """python-flint's rationals, as a ring."""

    @staticmethod
    def lift(value: Exact | int) -> fmpq:
        """A number, which is no expression."""
        return to_fmpq(Rational(value))


class Packed(Arithmetic[fmpz]):
    """Integers (see the module docstring); ``bits`` is known once ``reserve`` was asked."""

    bits: int

    def column(self, entries: Sequence[Exact | int]) -> Over[fmpz]:
        return _cleared([[Rationals.lift(entry)] for entry in entries])

    def coefficients(self, polynomials: Sequence[Element], places: int) -> Over[fmpz]:
        rows = [[fmpq(0)] * (places + 1) for _ in polynomials]
        for row, polynomial in zip(rows, polynomials):
            for place, inside in _by_place(polynomial, places).items():
                row[place] = inside[()]
        return _cleared(rows)

    def noise(self, affine: AffineGradient) -> Over[fmpz]:
        return _cleared(noise_table(affine, Rationals))

    def product(self, a: Rows[fmpz], b: Rows[fmpz]) -> Rows[fmpz]:
        found: list[list[fmpz]] = (fmpz_mat(a) * fmpz_mat(b)).tolist()
        return found

    def times_factor(self, value: fmpz) -> fmpz:
        return value << self.bits

    def reserve(self, moves: Sequence[Move[fmpz]], noise: Over[fmpz], means: Sequence[Over[fmpz]]) -> None:
        """``bits``, from a bound for the sum of the sizes of the coefficients of any entry, by row sums of the matrices."""
        bound = most = 0
        ratio, noisy = 1, _row_sum(noise.rows)
        for move, mean in zip(moves, means):
            kept, added = move.scales(noise)
            gain, largest = _row_sum(move.gains.rows), _row_sum(mean.rows)
            bound = kept * _row_sum(move.linear) ** 2 * bound + added * gain**2 * noisy * (bound + ratio * largest**2)
            ratio, most = ratio * kept, max(most, bound)
        self.bits = -(-(most.bit_length() + 1) // 64) * 64

    def digits(self, value: fmpz) -> list[int]:
        """The coefficients of 1, c, c^2, ...: each plus 2^(bits-1) is a digit."""
        number, size, half = int(value), self.bits // 8, 1 << (self.bits - 1)
        count = number.bit_length() // self.bits + 2
        shift = half * (((1 << (self.bits * count)) - 1) // ((1 << self.bits) - 1))
        data = (number + shift).to_bytes(size * count, "little")
        return [int.from_bytes(data[k * size :][:size], "little") - half for k in range(count)]

    def integrated(self, moments: Moments[fmpz]) -> Callable[[Element], Element]:
        count, below = len(moments.mean.rows) - 1, moments.mean.below
        means = [row[0] for row in moments.mean.rows[:-1]]
        known: dict[Used, fmpz_poly] = {}

        def expected(form: Element) -> Element:
            """The sum over its terms, one fraction at the end."""
            constant, varying, scale = fmpq(0), fmpz_poly([]), _denominator(form)
            for used, terms in by_entries(form, count).items():
                coefficient = terms[()]
                constant += coefficient * fmpq(prod((means[i] for i in used), start=fmpz(1)), below ** len(used))
                if len(used) == 2:
                    if used not in known:
                        known[used] = fmpz_poly(self.digits(moments.covariance[used[0], used[1]]))
                    varying += known[used] * (coefficient * scale).p
            found = (fmpq_poly(varying) / (scale * moments.below) + constant)(self._factor)
            return self.answers.from_terms({(k,): c for k, c in enumerate(found.coeffs())})

        return expected

    @cached_property
    def _factor(self) -> fmpq_poly:
        """c, of degree 1 in u."""
        terms = dict(self.factor.terms())
        return fmpq_poly([terms.get((0,), fmpq(0)), terms.get((1,), fmpq(0))])


def noise_table(affine: AffineGradient, ring: RingLike[T]) -> list[list[T]]:
    """K over a ring: rows are the pairs a <= b of weights, columns the pairs c <= d of entries of w~ = (w, 1)."""
    known, zero = affine.covariance(ring), ring.lift(0)

    def entry(a: int, c: int, b: int, d: int) -> T:
        return known.get(_ordered(a, c), {}).get(_ordered(b, d), zero)

    return [
        [entry(a, c, b, d) + entry(a, d, b, c) if c != d else entry(a, c, b, c) for c, d in pairs_of(affine.size + 1)]
        for a, b in pairs_of(affine.size)
    ]


def pairs_of(size: int) -> list[Place]:
    """Index pairs i <= j."""
    return list(combinations_with_replacement(range(size), 2))


def _ordered(a: int, c: int) -> Place:
    return (a, c) if a <= c else (c, a)


def _by_place(polynomial: Element, places: int) -> dict[int, dict[Exponents, fmpq]]:
    """The terms of a polynomial of degree 1, by its variable; those of degree 0 at the end."""
    found: dict[int, dict[Exponents, fmpq]] = {}
    for key, coefficient in polynomial.terms():
        used = key[:places]
        place = used.index(1) if any(used) else places
        found.setdefault(place, {})[tuple(map(int, key[places:]))] = coefficient
    return found


def _cleared(rows: Iterable[Sequence[fmpq]]) -> Over[fmpz]:
    """Rationals as integers over their common denominator."""
    whole, below = fmpq_mat(list(map(list, rows))).numer_denom()
    return Over(whole.tolist(), int(below))


def _denominator(form: Element) -> fmpz:
    """The common denominator of all coefficients."""
    return fmpz(lcm(1, *{int(c.q) for c in form.coeffs()}))


def _row_sum(rows: Rows[fmpz]) -> int:
    """The largest sum of the sizes in a row."""
    return max((sum(abs(int(entry)) for entry in row) for row in rows), default=0)
