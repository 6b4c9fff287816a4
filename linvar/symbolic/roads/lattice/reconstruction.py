"""From residues modulo many primes to exact fractions.

Chinese remaindering gives integers modulo M, the product of the primes. The common denominator of all numbers of one answer
is collected from random integer combinations of them, each by rational reconstruction (the largest quotient of Euclid's
algorithm on M and the residue): one alone loses a factor 2 half of the time, all of them once in 2^32. The numerators are then
residues of least size. What comes out is believed only if it agrees, number by number, with the residues modulo three
further primes that took no part.

How sure that is: no bound on the size of the answer is used, so this is a probability, not a proof. A wrong fraction agrees
with the right one modulo a prime p only if p divides the numerator of their difference, which for a prime that took no part
happens as for a random number: with probability 1/p < 2^-25, for three primes 2^-75. A derivation tries fewer than 2^10
candidates (one for each 1/32 more primes), so it returns a wrong fraction with probability below 2^-65.

Equations (3) and (8) to (11) are those of proofs/lattice.md.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from math import gcd, prod

from linvar.exact import Rational
from linvar.flint import fmpz

_COMBINATIONS = 32
#: Primes that take no part in an answer and must confirm it.
CHECKS = 3
#: Primes are above this, so that an accident has the probability said above.
LEAST_PRIME = 2**25
#: A quotient of Euclid's algorithm with more bits than this is no accident; one with fewer than the second may be.
_GAP_BITS = 64
_LEAST_GAP_BITS = 20


def primes_below(limit: int, denominators: Sequence[int] = ()) -> Iterator[int]:
    """Primes in descending order, down to ``LEAST_PRIME``, that divide none of the denominators."""
    product = prod(denominators)
    for candidate in range(limit - 1, LEAST_PRIME, -1):
        if product % candidate and is_prime_in_use(candidate, limit):
            yield candidate


def is_prime_in_use(candidate: int, limit: int) -> bool:
    """Whether this is one of the primes below a limit that residues are computed for."""
    return LEAST_PRIME < candidate < limit and bool(fmpz(candidate).is_prime())


def reconstruct(residues: Mapping[int, Sequence[int]]) -> list[Rational] | None:
    """The fractions with these residues, prime by prime; None if the primes do not (yet) determine them.

    Args:
        residues: prime -> the residue of every number; the last ``CHECKS`` primes confirm, the others determine.
    """
    primes, checks = list(residues)[:-CHECKS], list(residues)[-CHECKS:]
    if not primes:
        return None
    remainder = _ChineseRemainder(primes)
    modulus = remainder.modulus
    draws = random.Random(modulus)
    factors = [draws.randrange(2**16) for _ in residues[primes[0]]]
    first = [sum(factor * r for factor, r in zip(factors, residues[p])) % p for p in primes]
    denominator, gap = _denominator(remainder(first), modulus)
    if gap < _LEAST_GAP_BITS:  # the numbers are not determined yet; all of them at once would only say so at more cost
        return None
    # (9)  one denominator of all numbers: each combination multiplies it by what is still missing
    values = [remainder(column) for column in zip(*(residues[p] for p in primes))]
    for _ in range(_COMBINATIONS):
        combined = sum(draws.randrange(2**16) * value for value in values) * denominator % modulus
        denominator *= _denominator(combined, modulus)[0]
        if denominator > modulus:
            return None
    if gcd(denominator, modulus * prod(checks)) != 1:
        return None
    # (10)  numerators: the residues of least size
    numerators = [value * denominator % modulus for value in values]
    numerators = [value - modulus if 2 * value > modulus else value for value in numerators]
    # (3)  primes that took no part must agree
    if any((n - r * denominator) % p for p in checks for n, r in zip(numerators, residues[p])):
        return None
    return [Rational(numerator, denominator) for numerator in numerators]


class _ChineseRemainder:
    """residues modulo each prime -> the integer modulo their product."""

    def __init__(self, primes: Sequence[int]) -> None:
        self.modulus = prod(primes)
        self._units = []
        for p in primes:
            rest = self.modulus // p
            # (8)  1 modulo p and 0 modulo the other primes
            self._units.append(rest * pow(rest, -1, p))

    def __call__(self, residues: Sequence[int]) -> int:
        return sum(int(r) * unit for r, unit in zip(residues, self._units)) % self.modulus


def _denominator(residue: int, modulus: int) -> tuple[int, int]:
    """The denominator d of the fraction n/d = residue with the largest gap between |n| d and the modulus; the gap in bits."""
    if not residue:
        return 1, modulus.bit_length()
    # (11)  every line of Euclid's algorithm has now = new residue mod M: a fraction now / new, for which the next quotient is
    # about M / (|now| |new|), the gap
    before, now = modulus, residue
    old, new = 0, 1
    best, widest = 1, -1
    while now:
        quotient, rest = divmod(before, now)
        if quotient > widest:
            best, widest = abs(new), quotient
            if quotient.bit_length() > _GAP_BITS:
                break
        before, now = now, rest
        old, new = new, old - quotient * new
    return best, widest.bit_length()
