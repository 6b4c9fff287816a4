"""Moments of a batch mean as polynomials in u = 1/b, for every law and scheme.

For batch means v_j = (1/b) sum_i f_j(z_i) of features of an example, polynomials in its coordinates, the generating function
M(theta) = E exp(sum_j theta_j v_j) is an exponential under every scheme (``linvar.symbolic.schemes``). So one routine
exponentiates all of them, degree by degree in theta: n M_n = sum_k k K_k M_{n-k}.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import factorial, prod
from typing import TYPE_CHECKING

from linvar.flint import fmpq
from linvar.laws.polynomial import Polynomial
from linvar.symbolic.algebra.ring import Element, Exponents, Ring
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.schemes.registry import exact_scheme

if TYPE_CHECKING:
    import sympy

Moments = dict[Exponents, Element]


def answer_ring(symbols: tuple[sympy.Expr, ...]) -> Ring:
    """The ring of the answers: one variable, u = 1/b, and the symbols."""
    return Ring(1, symbols)


def sampling_factor(ring: Ring, sampling: str, dataset_size: int | None) -> Element:
    """c with Cov(batch mean) = c Cov(one example): u if iid, (n-b)/(b(n-1)) = (n u - 1)/(n - 1) without replacement.

    Here the covariance of one example has divisor n. A single example (n = 1) never varies: c = 0.
    """
    return exact_scheme(sampling).covariance_factor(ring, dataset_size)


def sampling_factor_at(ring: Ring, sampling: str, dataset_size: int | None, batch_size: int) -> Element:
    """Its value at one b, a number."""
    terms = sampling_factor(ring, sampling, dataset_size).terms()
    value = sum((coefficient / fmpq(batch_size) ** int(key[0]) for key, coefficient in terms), fmpq(0))
    return ring.one * value


def batch_moments(law: ExactLaw, features: Sequence[Polynomial], order: int, sampling: str, ring: Ring) -> Moments:
    """E prod_j v_j^{a_j}, v_j the batch mean of features[j], for every exponent vector a of total degree <= order.

    Args:
        law: the exact twin of the law of one example.
        features: polynomials f_j in the coordinates of an example.
        order: highest total degree.
        sampling: the name of the scheme.
        ring: the ring of the answers (``answer_ring``).

    Returns:
        Exponent vector -> polynomial in u, of degree at most |a| - 1. Exact.
    """
    return _moments(law, features, order, sampling, ring, central=False)


def central_moments(law: ExactLaw, features: Sequence[Polynomial], order: int, sampling: str, ring: Ring) -> Moments:
    """E prod_j (v_j - E v_j)^{a_j}; arguments and result as in ``batch_moments``, zeros left out.

    The first cumulant is gone; without replacement the power sums are those of values less their mean. Iid, a moment of order k
    has powers of u from ceil(k/2) on.
    """
    return _moments(law, features, order, sampling, ring, central=True)


def _moments(
    law: ExactLaw, features: Sequence[Polynomial], order: int, sampling: str, ring: Ring, central: bool
) -> Moments:
    """Moments about zero or about the mean."""
    size, scheme = len(features), exact_scheme(sampling)
    if not size or not order:
        return {(0,) * size: ring.one}
    work = Ring(size + 1, ring.symbols)
    parts = _exponentiate(scheme.logarithms(law, features, order, work, central), work)
    result: Moments = {(0,) * size: ring.one}
    for degree, part in enumerate(parts[1:], 1):
        powers = scheme.values(degree, ring, law.size)
        grouped: dict[Exponents, dict[int, dict[Exponents, fmpq]]] = defaultdict(lambda: defaultdict(dict))
        for exponents, coefficient in part.terms():
            grouped[tuple(map(int, exponents[:size]))][int(exponents[size])][(0, *exponents[size + 1 :])] = coefficient
        for exponents, by_power in grouped.items():
            scale = prod(map(factorial, exponents))
            total = ring.zero
            for power, terms in by_power.items():
                value = powers[power]
                if value:
                    total = total + value * (ring.from_terms(terms) if ring.symbols else terms[(0,)])
            if total:
                result[exponents] = total * scale
    return result


def _exponentiate(logs: list[Element], ring: Ring) -> list[Element]:
    """Homogeneous parts M_0, M_1, ... of exp(sum_k logs_k): n M_n = sum_k k logs_k M_{n-k}."""
    parts = [ring.one]
    for n in range(1, len(logs) + 1):
        total = ring.zero
        for k in range(1, n + 1):
            if logs[k - 1]:
                total = total + (logs[k - 1] * k) * parts[n - k]
        parts.append(total * fmpq(1, n))
    return parts
