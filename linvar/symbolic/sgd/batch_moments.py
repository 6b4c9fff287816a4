"""Moments of a batch mean as polynomials in u = 1/b, for every law and both samplings.

The batch second moment is S_z = (1/b) sum z z^T. For linear functionals v_j = <Theta_j, S_z> and
Theta = sum_j theta_j Theta_j the generating function M(theta) = E exp(sum_j theta_j v_j) is

    iid                  exp( sum_k u^{k-1} kappa_k(Theta) / k! )
    without replacement  sum_{j<=n} [(b)_j / (n)_j] e_j( exp(u q_i(Theta)) - 1 ),  (b)_j = b (b-1) ... (b-j+1)

The second is an exponential too, once w^j stands for (b)_j / (n)_j (an umbral variable): log prod_i (1 + w x_i)
= sum_k u^k c_k(w) Q_k(Theta) / k!, with power sums Q_k = sum_i q_i^k, and c_k from Stirling numbers. So one
routine exponentiates both, degree by degree in theta: n M_n = sum_k k K_k M_{n-k}.
Source: mathematics of polykays and k-statistics; cumulants of a mean, e.g. McCullagh, Tensor Methods in
Statistics (1987), chapters 2 and 4.
"""

from __future__ import annotations

from collections import defaultdict
from math import factorial, prod
from typing import Any

from flint import fmpq

from linvar.exact import Matrix, Rational
from linvar.laws.dataset import Dataset
from linvar.laws.law import Law
from linvar.symbolic.algebra.ring import Element, Exponents, Ring

Moments = dict[Exponents, Element]


def answer_ring(symbols: tuple[Any, ...]) -> Ring:
    """The ring of the answers: one variable, u = 1/b, and the symbols."""
    return Ring(1, symbols)


def sampling_factor(ring: Ring, sampling: str, dataset_size: int | None) -> Element:
    """c with Cov(batch mean) = c Cov(one example): u if iid, (n-b)/(b(n-1)) = (n u - 1)/(n - 1) without replacement.

    Here the covariance of one example has divisor n. A single example (n = 1) never varies: c = 0.
    """
    (u,) = ring.gens
    if sampling == "iid":
        return u
    assert dataset_size is not None
    if dataset_size == 1:
        return ring.zero
    return (u * dataset_size - 1) * fmpq(1, dataset_size - 1)


def batch_moments(law: Law, forms: list[Matrix], order: int, sampling: str, ring: Ring) -> Moments:
    """E prod_j <forms[j], S_z>^{a_j} for every exponent vector a of total degree <= order.

    Args:
        law: the law of one example.
        forms: symmetric matrices Theta_j, one a functional.
        order: highest total degree.
        sampling: "iid" or "without_replacement".
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
    size = len(forms)
    if not size or not order:
        return {(0,) * size: ring.one}
    work = Ring(size + 1, ring.symbols)
    extra = work.gens[size]
    logs: list[Element]
    if sampling == "iid":
        cumulants = law.cumulants(forms, order, work)
        if central:
            cumulants[0] = work.zero
        logs = [value * (extra ** (k - 1)) * fmpq(1, factorial(k)) for k, value in enumerate(cumulants, 1)]
    else:
        assert isinstance(law, Dataset)
        sums = law.power_sums(forms, order, work, central)
        logs = [value * _umbral_weight(k, extra) * fmpq(1, factorial(k)) for k, value in enumerate(sums, 1)]
    dataset_size = law.size if isinstance(law, Dataset) else 0
    parts = _exponentiate(logs, work)
    result: Moments = {}
    (u,) = ring.gens
    zeros = (0,) * size
    result[zeros] = ring.one
    for degree, part in enumerate(parts[1:], 1):
        powers = _umbral_values(degree, dataset_size, ring) if sampling != "iid" else [u**k for k in range(degree)]
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


def _umbral_weight(k: int, w: Element) -> Element:
    """c_k(w) = sum_{j<=k} (-1)^{j-1} (j-1)! S(k, j) w^j, S the Stirling numbers of the second kind."""
    row = [1]  # S(0, 0)
    for n in range(1, k + 1):
        row = [0] + [row[j - 1] + (j * row[j] if j < n else 0) for j in range(1, n + 1)]
    return sum((w**j * ((-1) ** (j - 1) * factorial(j - 1) * row[j]) for j in range(1, k + 1)), w * 0)


def _umbral_values(degree: int, dataset_size: int, ring: Ring) -> list[Element]:
    """u^degree (b)_j / (n)_j for j = 0..degree: u^{degree-j} prod_{i<j} (1 - i u) / (n - i), and 0 for j > n."""
    (u,) = ring.gens
    values = []
    for j in range(degree + 1):
        if j > dataset_size:
            values.append(ring.zero)
            continue
        value = u ** (degree - j)
        for i in range(j):
            value = value * (1 - u * i) * fmpq(1, dataset_size - i)
        values.append(value)
    return values


def unit_form(size: int, row: int, column: int) -> Matrix:
    """The symmetric Theta with <Theta, S> = S[row][column]."""
    entries = [[Rational(0)] * size for _ in range(size)]
    half = Rational(1, 2) if row != column else Rational(1)
    entries[row][column] = half
    entries[column][row] = half
    return tuple(map(tuple, entries))
