"""Moments of the fluctuations of SGD about its path at infinite batch size, up to a power of u = 1/b.

Let delta be the deviation of the state from that path, xi the deviation of a step's batch moments from their means. The k-th
joint cumulant of xi is u^{k-1} kappa_k,

    (1)   log E exp(theta . xi) = sum_{k>=2} u^{k-1} kappa_k(theta) / k!,

so a moment of order d of xi has powers u^{ceil(d/2)} to u^{d-1}, and delta, a polynomial in the xi of all steps without constant
term, is no larger: the coefficient of u^k in E delta^a is zero for |a| > 2k. The moments up to u^K, |a| <= 2K, therefore close on
themselves: with delta' = p(delta, xi), and xi independent of delta,

    (2)   E delta'^a = sum over the monomials of p^a, of degree <= 2K, of their coefficients times E delta^b xi^c,
    (3)   [u^k] E delta^b xi^c = sum_{j<=k} [u^j] E delta^b  [u^{k-j}] E xi^c.

The functional L: q -> E q(delta, xi) is known by its values at monomials. Multiplication by a polynomial p makes another one,

    (4)   (p L)(q) = L(p q) = sum over the monomials r of p of their coefficients times L(r q),

of as many arguments less as p has orders; taking p_i L, p_j p_i L, ... one after the other and evaluating at 1 gives every moment
of delta' without expanding a single product.
Source: derived here; closing moments by their order is the system-size expansion of van Kampen (1961), carried exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb, factorial, prod
from operator import mul
from typing import Any, Generic

from linvar.flint import fmpq, fmpz
from linvar.laws.polynomial import Polynomial
from linvar.symbolic.algebra.ring import Element, Ring
from linvar.symbolic.algebra.scalars import S, Scalars
from linvar.symbolic.algebra.taylor import Local, Monomial
from linvar.symbolic.laws.law import ExactLaw


@dataclass(frozen=True)
class Moments(Generic[S]):
    """E delta^a: ``values[k][j]`` / denominator is the coefficient of u^k, for monomial j of degree at most 2k."""

    variables: int
    values: list[list[S]]
    denominator: fmpz


@dataclass(frozen=True)
class BatchMoments(Generic[S]):
    """E xi^c of a batch: ``values[k][c]`` / denominator is the coefficient of u^k; zeros are left out."""

    variables: int
    values: list[dict[Monomial, S]]
    denominator: fmpz


def at_rest(order: int, scalars: Scalars[S, Any]) -> Moments[S]:
    """delta = 0, no variables."""
    return Moments(0, [[scalars.one]] + [[scalars.zero] for _ in range(order)], fmpz(1))


def batch_moments(
    law: ExactLaw, features: Sequence[Polynomial], order: int, symbols: Sequence[object]
) -> list[dict[Monomial, Element]]:
    """Central moments of the batch means of the features, iid: for k = 0..order the coefficients of u^k, those that are not zero.

    (1), exponentiated degree by degree as in ``batch_moments``.
    """
    ring = Ring(len(features), symbols)
    result: list[dict[Monomial, Element]] = [{} for _ in range(order + 1)]
    result[0][()] = ring.scalars.one
    if not features or not order:
        return result
    cumulants = law.cumulants(features, order + 1, ring)
    parts: dict[tuple[int, int], Element] = {(0, 0): ring.one}  # degree n in theta, power of u
    for n in range(2, 2 * order + 1):
        for power in range((n + 1) // 2, min(n - 1, order) + 1):
            # M_n = [degree n in theta] of E exp(theta . xi):  n M_n = sum_k k u^{k-1} kappa_k / k! M_{n-k}
            total = ring.zero
            for k in range(2, min(n, order + 1) + 1):
                if (n - k, power - k + 1) in parts:
                    total = total + cumulants[k - 1] * parts[n - k, power - k + 1] * fmpq(1, factorial(k - 1) * n)
            parts[n, power] = total
            grouped: dict[Monomial, dict[tuple[int, ...], fmpq]] = {}
            for key, c in total.terms():
                exponents = tuple(map(int, key[: ring.variables]))
                monomial = tuple(j for j, e in enumerate(exponents) for _ in range(e))
                scale = prod(map(factorial, exponents))  # E xi^c = c! times the coefficient of theta^c
                grouped.setdefault(monomial, {})[tuple(map(int, key[ring.variables :]))] = c * scale
            result[power].update({monomial: ring.scalars.from_terms(terms) for monomial, terms in grouped.items()})
    return result


class Tables:
    """Lists of monomials by ascending degree, and where each of them is; made once."""

    def __init__(self) -> None:
        self._monomials: dict[tuple[int, int], list[Monomial]] = {}
        self._places: dict[tuple[int, int], dict[Monomial, int]] = {}

    def monomials(self, variables: int, degree: int) -> list[Monomial]:
        """The monomials of degree 0, ..., degree."""
        key = variables, degree
        if key not in self._monomials:
            self._monomials[key] = [
                monomial for d in range(degree + 1) for monomial in combinations_with_replacement(range(variables), d)
            ]
        return self._monomials[key]

    def places(self, variables: int, degree: int) -> dict[Monomial, int]:
        """Where each of them is; also in the lists for lower degrees."""
        key = variables, degree
        if key not in self._places:
            self._places[key] = {monomial: place for place, monomial in enumerate(self.monomials(*key))}
        return self._places[key]


def _exactly(variables: int, degree: int) -> int:
    """Monomials of this very degree."""
    return comb(variables + degree - 1, degree) if degree else 1


class Products(Generic[S]):
    """Multiplies functionals on polynomials in these variables by polynomials with these monomials.

    Functionals are lists of their values at the monomials of degree <= ``degree``, in the order of ``Tables``.
    """

    def __init__(
        self, variables: int, degree: int, support: Sequence[Monomial], scalars: Scalars[S, Any], tables: Tables
    ) -> None:
        self.variables = variables
        self.degree = degree
        self.support = [monomial for monomial in support if len(monomial) <= degree]
        self.scalars, self.tables = scalars, tables
        # monomials of the polynomials up to each degree
        self.width = [sum(len(monomial) <= d for monomial in self.support) for d in range(degree + 1)]
        self._tables: dict[tuple[int, int], list[int]] = {}

    def _table(self, d: int, width: int) -> list[int]:
        """The places of q r for the monomials q of degree d, and the first r of the support, row by row."""
        if (d, width) not in self._tables:
            places = self.tables.places(self.variables, self.degree)
            self._tables[d, width] = [
                places[tuple(sorted(q + r))]
                for q in combinations_with_replacement(range(self.variables), d)
                for r in self.support[:width]
            ]
        return self._tables[d, width]

    def columns(self, rows: list[S], polynomials: int) -> Columns[S]:
        """The coefficients of the polynomials, one row for each monomial of the support."""
        return Columns(self, rows, polynomials)


class Columns(Generic[S]):
    """Polynomials that functionals are multiplied by."""

    def __init__(self, products: Products[S], rows: list[S], count: int) -> None:
        self.products = products
        self.count = count
        self._rows = rows
        self._matrices: dict[tuple[int, int], list[S]] = {}

    def _matrix(self, first: int, width: int) -> list[S]:
        """The first rows, without the columns before ``first``."""
        if (first, width) not in self._matrices:
            rows, n = self._rows, self.count
            self._matrices[first, width] = [rows[r * n + i] for r in range(width) for i in range(first, n)]
        return self._matrices[first, width]

    def times(self, functionals: Sequence[list[S]], degree: int, first: int = 0) -> list[list[list[S]]]:
        """p_i L for every functional L, known up to ``degree``, and i >= first: values up to ``degree`` - 1."""
        scalars, size = self.products.scalars, self.count - first
        result: list[list[list[S]]] = [[[] for _ in range(size)] for _ in functionals]
        for d in range(degree):
            # (4) for all q of degree d at once: row q of the left matrix has L(q r), column i of the right one the coefficients
            # of r in p_i, for the monomials r that keep q r within the degree
            width, rows = self.products.width[degree - d], _exactly(self.products.variables, d)
            if not width or not rows:
                entries = [scalars.zero] * (rows * size * len(functionals))
            else:
                table = self.products._table(d, width)
                left = [values[place] for values in functionals for place in table]
                entries = scalars.product(left, width, self._matrix(first, width))
            block = rows * size
            for f, found in enumerate(result):
                for i in range(size):
                    found[i].extend(entries[f * block + i : (f + 1) * block : size])
        return result

    def moments(self, functional: list[S], degree: int) -> list[S]:
        """L(p^a) for every monomial a of degree <= degree in the polynomials."""
        values = [functional[0]]
        # (4) once more for every factor: p_i (p^a L), the factors in ascending order, so that each monomial is met once; its
        # value at 1 is the first
        level: dict[Monomial, list[S]] = {(): functional}
        for taken in range(degree):
            following: dict[Monomial, list[S]] = {}
            for first in range(self.count):
                keys = [key for key in level if (key[-1] if key else 0) == first]
                if not keys:
                    continue
                found = self.times([level[key] for key in keys], degree - taken, first)
                for key, products in zip(keys, found):
                    following.update({(*key, first + i): product for i, product in enumerate(products)})
            level = {key: following[key] for key in combinations_with_replacement(range(self.count), taken + 1)}
            values.extend(product[0] for product in level.values())
        return values


class Steps(Generic[S]):
    """Carries moments through steps; tables are made once."""

    def __init__(self, order: int, scalars: Scalars[S, Any]) -> None:
        self.order, self.scalars = order, scalars
        self.tables = Tables()
        self._products: dict[tuple[int, tuple[Monomial, ...]], Products[S]] = {}

    def products(self, variables: int, support: tuple[Monomial, ...]) -> Products[S]:
        """The tables for polynomials with these monomials."""
        if (variables, support) not in self._products:
            self._products[variables, support] = Products(variables, 2 * self.order, support, self.scalars, self.tables)
        return self._products[variables, support]

    def advance(self, moments: Moments[S], batch: BatchMoments[S], local: Local[S]) -> Moments[S]:
        """The moments of delta' = p(delta, xi), p the polynomials ``local``."""
        variables = moments.variables + batch.variables
        columns = self.products(variables, local.monomials).columns(local.rows, len(local.values))
        values = [[moments.values[0][0] * batch.values[0][()]]]
        for k in range(1, self.order + 1):
            # (2), one power of u at a time: p does not depend on u
            values.append(columns.moments(self._joint(moments, batch, k), 2 * k))
        return Moments(len(local.values), values, moments.denominator * batch.denominator)

    def _joint(self, moments: Moments[S], batch: BatchMoments[S], k: int) -> list[S]:
        """Coefficient of u^k of E delta^a xi^c, for all monomials of degree <= 2k."""
        n = moments.variables
        places, zero = self.tables.places(n, 2 * self.order), self.scalars.zero
        result = []
        for monomial in self.tables.monomials(n + batch.variables, 2 * k):
            taken = sum(j < n for j in monomial)
            place, rest = places[monomial[:taken]], tuple(j - n for j in monomial[taken:])
            total = zero  # (3)
            for power in range((taken + 1) // 2, k + 1):
                other = batch.values[k - power].get(rest)
                if other is not None:
                    total = total + moments.values[power][place] * other
            result.append(total)
        return result

    def means(self, moments: Moments[S], local: Local[S], order: int) -> list[list[S]]:
        """E of each polynomial's deviation p_i: the coefficients of u^0, ..., u^order, the first of them zero."""
        places, size, zero = self.tables.places(moments.variables, 2 * self.order), len(local.values), self.scalars.zero
        found = [places[monomial] for monomial in local.monomials]
        result = [[zero] for _ in range(size)]
        for k in range(1, order + 1):
            width = sum(len(monomial) <= 2 * k for monomial in local.monomials)
            chosen = [moments.values[k][place] for place in found[:width]]
            # E p_i = sum_r p_i[r] E delta^r: row r of ``rows`` has the coefficients of r in all p_i
            for i, series in enumerate(result):
                series.append(sum(map(mul, local.rows[i : width * size : size], chosen), zero))
        return result

    def squares(self, moments: Moments[S], local: Local[S]) -> list[list[S]]:
        """E of each squared deviation p_i^2: the coefficients of u^0, ..., u^K, the first of them zero."""
        size, zero = len(local.values), self.scalars.zero
        places = self.tables.places(moments.variables, 2 * self.order)
        columns = self.products(moments.variables, local.monomials).columns(local.rows, size)
        result = [[zero] for _ in range(size)]
        for k in range(1, self.order + 1):
            (products,) = columns.times([moments.values[k]], 2 * k)
            # E p_i^2 = (p_i L)(p_i) = sum_r p_i[r] (p_i L)(r)
            known = [(r, places[monomial]) for r, monomial in enumerate(local.monomials) if len(monomial) < 2 * k]
            for i, series in enumerate(result):
                series.append(sum((local.rows[r * size + i] * products[i][place] for r, place in known), zero))
        return result
