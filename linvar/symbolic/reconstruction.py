"""From residues modulo many primes to exact fractions.

Chinese remaindering gives integers modulo M, the product of the primes. The common denominator of all numbers of one answer
is collected from random integer combinations of them, each by rational reconstruction (the largest quotient of Euclid's
algorithm on M and the residue): one alone loses a factor 2 half of the time, all of them once in 2^32. The numerators are then
residues of least size. What comes out is believed only if it agrees, number by number, with residues modulo one
further prime that took no part: a wrong answer passes with a probability of about 1/p for each wrong number, 2^-26 at most.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from math import gcd, prod

from flint import fmpz

from linvar.exact import Rational

_COMBINATIONS = 32
#: A quotient of Euclid's algorithm with more bits than this is no accident.
_GAP_BITS = 64


def primes_below(limit: int, denominators: Sequence[int] = ()) -> Iterator[int]:
    """Primes in descending order that divide none of the denominators."""
    product = prod(denominators)
    for candidate in range(limit - 1, 2, -1):
        if product % candidate and fmpz(candidate).is_prime():
            yield candidate


def reconstruct(residues: Mapping[int, Sequence[int]]) -> list[Rational] | None:
    """The fractions with these residues, prime by prime; None if the primes do not (yet) determine them.

    Args:
        residues: prime -> the residue of every number; the last prime is the check, the others determine.
    """
    *primes, check = residues
    if not primes:
        return None
    values, modulus = _chinese_remainder([residues[p] for p in primes], primes)
    denominator, draws = 1, random.Random(modulus)
    for _ in range(_COMBINATIONS):
        combined = sum(draws.randrange(2**16) * value for value in values) * denominator % modulus
        denominator *= _denominator(combined, modulus)
        if denominator > modulus:
            return None
    if gcd(denominator, modulus * check) != 1:
        return None
    numerators = [value * denominator % modulus for value in values]
    numerators = [value - modulus if 2 * value > modulus else value for value in numerators]
    if any((n - r * denominator) % check for n, r in zip(numerators, residues[check])):
        return None
    return [Rational(numerator, denominator) for numerator in numerators]


def _chinese_remainder(rows: Sequence[Sequence[int]], primes: Sequence[int]) -> tuple[list[int], int]:
    """The integers modulo the product of the primes, and that product."""
    modulus = prod(primes)
    units = []
    for p in primes:
        rest = modulus // p
        units.append(rest * pow(rest, -1, p))
    return [sum(int(r) * unit for r, unit in zip(column, units)) % modulus for column in zip(*rows)], modulus


def _denominator(residue: int, modulus: int) -> int:
    """The denominator d of the fraction n/d = residue with the largest gap between |n| d and the modulus."""
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
    return best
