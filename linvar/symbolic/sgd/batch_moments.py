"""Moments of a batch mean as polynomials in u = 1/b, for every law and scheme.

The batch second moment is S_z = (1/b) sum z z^T. For linear functionals v_j = <Theta_j, S_z> and Theta = sum_j theta_j Theta_j
the generating function M(theta) = E exp(sum_j theta_j v_j) is an exponential under every scheme
(``linvar.symbolic.schemes``). So one routine exponentiates all of them, degree by degree in theta: n M_n = sum_k k K_k M_{n-k}.
"""

from __future__ import annotations

from collections import defaultdict
from math import factorial, prod
from typing import TYPE_CHECKING

from linvar.exact import Matrix, Rational
from linvar.flint import fmpq
from linvar.laws.law import Law
from linvar.symbolic.algebra.ring import Element, Exponents, Ring
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


def batch_moments(law: Law, forms: list[Matrix], order: int, sampling: str, ring: Ring) -> Moments:
    """E prod_j <forms[j], S_z>^{a_j} for every exponent vector a of total degree <= order.

    Args:
        law: the law of one example.
        forms: symmetric matrices Theta_j, one a functional.
        order: highest total degree.
        sampling: the name of the scheme.
        ring: the ring of the answers (``answer_ring``).

    Returns:
        Exponent vector -> polynomial in u, of degree at most |a| - 1. Exact.
    """
    return _moments(law, forms, order, sampling, ring, central=False)


def central_moments(law: Law, forms: list[Matrix], order: int, sampling: str, ring: Ring) -> Moments:
    """E prod_j <forms[j], S_z - E S_z>^{a_j}; arguments and result as in ``batch_moments``, zeros left out.

    The first cumulant is gone; without replacement the power sums are those of values less their mean. Iid, a moment of order k
    has powers of u from ceil(k/2) on.
    """
    return _moments(law, forms, order, sampling, ring, central=True)


def _moments(law: Law, forms: list[Matrix], order: int, sampling: str, ring: Ring, central: bool) -> Moments:
    """Moments about zero or about the mean."""
    size, scheme = len(forms), exact_scheme(sampling)
    if not size or not order:
        return {(0,) * size: ring.one}
    work = Ring(size + 1, ring.symbols)
    parts = _exponentiate(scheme.logarithms(law, forms, order, work, central), work)
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


def unit_form(size: int, row: int, column: int) -> Matrix:
    """The symmetric Theta with <Theta, S> = S[row][column]."""
    entries = [[Rational(0)] * size for _ in range(size)]
    half = Rational(1, 2) if row != column else Rational(1)
    entries[row][column] = half
    entries[column][row] = half
    return tuple(map(tuple, entries))
