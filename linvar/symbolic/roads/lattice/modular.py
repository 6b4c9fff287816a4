"""Arithmetic modulo a prime on JAX arrays of float64: exact, because every integer that occurs stays below 2^53.

A residue is kept near 0, |r| <= p/2, with p < 2^26, so a product of two is below 2^50 and up to eight of them are summed
before x - p round(x / p) brings the sum back. Each ``Residue`` carries a bound on its size, known while the
computation is traced: it is reduced only where the next result could pass 2^53. The prime is an argument of the traced
function, so that one compilation serves every prime; the residues of the exact constants come in a table.

Equations (4) to (6) are those of proofs/lattice.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import add, mul
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from numpy.typing import NDArray

from linvar.exact import Exact, Rational

#: a prime as the traced functions take it, and a number modulo it that may be a plain one
Number: TypeAlias = jax.Array | float
#: numbers and a bound on their size
Part: TypeAlias = tuple[Number, int]

#: Primes are below this; what is left between it and 2^26 lets eight products be summed.
PRIME_LIMIT = 2**26 - 2**21
#: A bound on a reduced residue: p/2, and a little for the rounding of x / p.
REDUCED = PRIME_LIMIT // 2 + 8
#: Integers up to this size are exact, with room for the multiple of p that a reduction subtracts.
LIMIT = 2**53 - 2**27
_HALF = 2**13


def reduce(x: Number, prime: Number) -> jax.Array:
    """x modulo p, in [-p/2, p/2] (up to the rounding of x / p), for an integer |x| <= LIMIT."""
    # (4)  x - p round(x / p): the quotient is off by one at most, and every number in it is an integer below 2^53
    return x - prime * lax.round(x * (1.0 / prime), lax.RoundingMethod.TO_NEAREST_EVEN)


def multiply(a: Number, b: Number, prime: Number) -> jax.Array:
    """The product of reduced residues, reduced."""
    return reduce(a * b, prime)


def matmul(a: jax.Array, b: jax.Array, prime: Number) -> jax.Array:
    """The matrix product of reduced residues, reduced: (p, n) by (n, q), n <= 2^14."""
    return join_halves(matmul_halves(a, b), prime)


def matmul_halves(a: jax.Array, b: jax.Array) -> jax.Array:
    """The products of the two halves of a, of 13 bits, with b, above each other: exact sums of up to 2^14 products.

    Products of as many terms in all may be added before ``join_halves``.
    """
    # (5)  a = 2^13 high + low, |high| and |low| <= 2^12: a product of a half with b is at most 2^12 2^25 = 2^37 in size, and
    # 2^14 of them add up to 2^51 at most, in whatever order the device adds them
    high = lax.round(a * (1.0 / _HALF), lax.RoundingMethod.TO_NEAREST_EVEN)
    return jnp.matmul(jnp.concatenate([high, a - high * _HALF], axis=0), b, precision=lax.Precision.HIGHEST)


def join_halves(both: jax.Array, prime: Number) -> jax.Array:
    """The reduced product of which ``matmul_halves`` are the halves."""
    rows = both.shape[0] // 2
    # (5)  a b = 2^13 (high b) + low b: the first summand is below 2^13 2^25 = 2^38 once high b is reduced
    return reduce(reduce(both[:rows], prime) * _HALF + reduce(both[rows:], prime), prime)


class Modulus:
    """The integers modulo a traced prime, as a ring for the formulas of SGD.

    Args:
        prime: p, a scalar.
        table: the residues of ``constants``, in their order; None while these are being collected.
        constants: filled with every exact number that is needed as a residue: number -> place in the table.
    """

    def __init__(
        self, prime: Number, table: jax.Array | None = None, constants: dict[Rational, int] | None = None
    ) -> None:
        self.prime = prime
        self.table = table
        self.constants: dict[Rational, int] = {} if constants is None else constants

    def lift(self, value: Exact | int) -> Residue:
        """An exact number as a residue; it stays exact until it meets an array."""
        return Residue(self, exact=Rational(value))

    def residue(self, array: Number, bound: int = REDUCED) -> Residue:
        """An array of integers of at most this size."""
        return Residue(self, array, bound)

    def constant(self, value: Rational) -> Part:
        """The residue of an exact number, and its bound."""
        if value.denominator == 1 and abs(value.numerator) <= 1024:
            return float(value.numerator), abs(value.numerator)
        place = self.constants.setdefault(value, len(self.constants))
        if self.table is None:
            return self.prime * 0, REDUCED
        return lax.index_in_dim(self.table, place, keepdims=False), REDUCED


class Residue:
    """An array of integers modulo p, or an exact constant; behaves as a number in + - * and comparisons with 0."""

    __slots__ = ("ring", "array", "bound", "exact")

    def __init__(self, ring: Modulus, array: Number = 0.0, bound: int = 0, exact: Rational | None = None) -> None:
        self.ring = ring
        self.array = array
        self.bound = bound
        self.exact = exact

    def reduced(self) -> Residue:
        """The same residue, at most p/2 in size; kept, so that it is not computed twice."""
        if self.exact is None and self.bound > REDUCED:
            self.array = reduce(self.array, self.ring.prime)
            self.bound = REDUCED
        return self

    def values(self) -> jax.Array:
        """Reduced, as an array (a scalar for a constant)."""
        return jnp.asarray(self.reduced().array if self.exact is None else self.ring.constant(self.exact)[0])

    def part(self) -> Part:
        """The numbers and a bound on their size."""
        return (self.array, self.bound) if self.exact is None else self.ring.constant(self.exact)

    def _other(self, other: Any) -> Residue:
        return other if isinstance(other, Residue) else self.ring.lift(other)

    def __add__(self, other: Any) -> Residue:
        term = self._other(other)
        if self.exact is not None and term.exact is not None:
            return Residue(self.ring, exact=Rational(self.exact + term.exact))
        if self.exact == 0:
            return term
        if term.exact == 0:
            return self
        a, b = _within(self, term, add)
        return Residue(self.ring, a[0] + b[0], a[1] + b[1])

    __radd__ = __add__

    def __neg__(self) -> Residue:
        if self.exact is not None:
            return Residue(self.ring, exact=Rational(-self.exact))
        return Residue(self.ring, -self.array, self.bound)

    def __sub__(self, other: Any) -> Residue:
        term = self._other(other)
        if self.exact is not None or term.exact is not None:
            return self + (-term)
        a, b = _within(self, term, add)
        return Residue(self.ring, a[0] - b[0], a[1] + b[1])

    def __rsub__(self, other: Any) -> Residue:
        return self._other(other) - self

    def __mul__(self, other: Any) -> Residue:
        factor = self._other(other)
        if self.exact is not None and factor.exact is not None:
            return Residue(self.ring, exact=Rational(self.exact * factor.exact))
        for one, second in ((self, factor), (factor, self)):
            if one.exact == 0:
                return one
            if one.exact == 1:
                return second
            if one.exact == -1:
                return -second
        a, b = _within(self, factor, mul)
        return Residue(self.ring, a[0] * b[0], a[1] * b[1])

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        """Whether this is surely the constant ``other``; an array never is."""
        value = other.exact if isinstance(other, Residue) else other
        return self.exact is not None and self.exact == value

    def __bool__(self) -> bool:
        return self.exact != 0

    __hash__ = None  # type: ignore[assignment]


def _within(a: Residue, b: Residue, size: Callable[[int, int], int]) -> tuple[Part, Part]:
    """Numbers and bounds of both, reduced where their result could be too large: the larger one first."""
    first, second = a.part(), b.part()
    # (6)  a sum of integers up to A and B is one up to A + B, a product one up to A B: exact as long as that is <= LIMIT
    if size(first[1], second[1]) > LIMIT:
        if first[1] >= second[1]:
            first = a.reduced().part()
        else:
            second = b.reduced().part()
        if a is b:
            second = first
    if size(first[1], second[1]) > LIMIT:
        first, second = a.reduced().part(), b.reduced().part()
    return first, second


def residues_of(values: Sequence[Rational], primes: Sequence[int]) -> NDArray[np.float64]:
    """The residues of exact numbers modulo each prime, shape (primes, values), near 0, as float64."""
    result = np.empty((len(primes), len(values)))
    for row, p in zip(result, primes):
        inverses = {d: pow(d, -1, p) for d in {value.denominator for value in values}}
        row[:] = [_symmetric(value.numerator * inverses[value.denominator], p) for value in values]
    return result


def _symmetric(value: int, p: int) -> int:
    """value modulo p, of least size."""
    value %= p
    return value - p if value > p // 2 else value
