"""Moments of polynomials in independent numbers, in a basis of orthogonal polynomials.

Monic orthogonal polynomials P_0, P_1, ... of one number, whose moments are given, come with the norms h_k = E P_k^2 from the
elimination of the matrix of its moments; with x^n = sum_k t_nk P_k

    t_nk h_k = m_{n+k} - sum_{l<k} t_nl t_kl h_l,    t_kk = 1,

and where the e_i are independent their products P_{k_1}(e_1) P_{k_2}(e_2) ... are orthogonal: E f g = sum_k h_k f_k g_k. So a
moment of degree D takes as many products as a polynomial of degree D/2 has monomials, C(D/2 + w, w) in w numbers; points with
the same moments are C(D + w, w) (``nodes``). No h_k has to be positive; where one is zero, P_k has to vanish (a sign has P_0 and
P_1 alone).
Source: Gautschi, Orthogonal Polynomials (2004), chapter 1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb, lcm, prod

from linvar.exact import Rational
from linvar.flint import fmpq, fmpz, fmpz_mat
from linvar.laws.polynomial import Places, Polynomial
from linvar.symbolic.algebra.ring import Element, Exponents, Ring, to_fmpq
from linvar.symbolic.laws.halves import paired
from linvar.symbolic.laws.law import graded
from linvar.symbolic.limits import bounded

#: seconds of a coefficient of a product of features, and of one in a moment (2 cores, CPython 3.11)
_SECONDS_COEFFICIENT, _SECONDS_PRODUCT = 2.5e-6, 1.2e-7

#: monomial, or place in a basis -> the coefficient of each of several polynomials
_Rows = dict[Exponents, list[fmpz]]


@dataclass(frozen=True)
class Basis:
    """The orthogonal polynomials of one number, each P_k times a number of its own that makes the t_nk integers.

    Attributes:
        table: the t_nk, a row for each n; columns of what vanishes are left out.
        norms: the h_k that belong to these.
    """

    table: list[list[fmpz]]
    norms: list[fmpq]

    @classmethod
    def of(cls, moments: Sequence[Fraction], highest: int, half: int) -> Basis | None:
        """For powers up to ``highest`` and k up to ``half``; None where a zero norm does not mean that P_k vanishes.

        >>> [[int(t) for t in row] for row in Basis.of([Fraction(n) for n in (1, 0, 1, 0, 3)], 2, 2).table]  # normal
        [[1, 0, 0], [0, 1, 0], [1, 0, 1]]
        """
        known = [to_fmpq(moment) for moment in moments]
        rows: list[list[fmpq]] = [[] for _ in range(highest + 1)]
        norms: list[fmpq] = []
        for k in range(min(half, highest) + 1):
            scaled = [norm * t for norm, t in zip(norms, rows[k])]
            found = [known[n + k] - sum(map(fmpq.__mul__, row, scaled), fmpq(0)) for n, row in enumerate(rows)]
            if found[k]:
                for row, value in zip(rows, found):
                    row.append(value / found[k])
            elif any(found[k:]):
                return None
            else:
                for row in rows:
                    row.append(fmpq(0))
            norms.append(found[k])
        kept = [k for k, norm in enumerate(norms) if norm]
        scales = [lcm(1, *(int(row[k].q) for row in rows)) for k in kept]
        table = [[(row[k] * scale).p for k, scale in zip(kept, scales)] for row in rows]
        return cls(table, [norms[k] / scale**2 for k, scale in zip(kept, scales)])


def moments_of_products(
    features: Sequence[Element], order: int, moments: Sequence[Sequence[Fraction]]
) -> dict[Exponents, Rational] | None:
    """E prod_j f_j^{a_j} for 1 <= |a| <= order, those not zero.

    Args:
        features: polynomials in independent numbers.
        order: the highest degree of a product.
        moments: of each number, 1, E e, E e^2, ..., up to ``order`` times its highest power in a feature.

    Returns:
        The moments; None where ``Basis`` has none.
    """
    if not features:
        return {}
    few, many = order // 2, (order + 1) // 2
    degrees = [max((int(f.degrees()[i]) for f in features if f), default=0) for i in range(len(moments))]
    bases = [Basis.of(known, many * degree, few * degree) for known, degree in zip(moments, degrees)]
    if any(basis is None for basis in bases):
        return None
    axes = [basis for basis in bases if basis is not None]
    scales = [lcm(1, *(int(c.q) for c in f.coeffs())) for f in features]
    products = _products([f * scale for f, scale in zip(features, scales)], many)
    keys = list(products)
    rows: _Rows = {}
    for place, product in enumerate(products.values()):
        for key, c in product.terms():
            rows.setdefault(key, [fmpz(0)] * len(keys))[place] = c.p
    highest = few * max((int(f.total_degree()) for f in features if f), default=0)
    for axis, basis in enumerate(axes):
        rows = _along(rows, axis, basis.table, highest)
    weights = [prod((axes[i].norms[k] for i, k in enumerate(key)), start=fmpq(1)) for key in rows]
    below = lcm(1, *(int(weight.q) for weight in weights))
    whole = [int((weight * below).p) for weight in weights]
    columns = dict(zip(keys, zip(*([int(value) for value in row] for row in rows.values()))))
    first = {
        key: [weight * value for weight, value in zip(whole, column)]
        for key, column in columns.items()
        if len(key) <= few
    }
    found = {}
    for exponents, value in paired(first, columns, len(features), order):
        denominator = below * prod(scale**power for scale, power in zip(scales, exponents) if power)
        found[exponents] = Rational(value, denominator)
    return found


def seconds(numbers: int, features: int, order: int, degree: int) -> float:
    """What the moments of so many features of this degree in so many numbers take, where all monomials occur."""
    size = comb(order * degree // 2 + numbers, numbers)
    halves, moments = (comb(k + features, features) for k in ((order + 1) // 2, order))
    return bounded(size * halves) * _SECONDS_COEFFICIENT + bounded(size * moments) * _SECONDS_PRODUCT


def composite(features: Sequence[Polynomial], point: Sequence[Element], ring: Ring) -> list[Element]:
    """Polynomials at a point of a ring; products of coordinates are made once."""
    known: dict[Places, Element] = {(): ring.one}

    def product(places: Places) -> Element:
        if places not in known:
            known[places] = product(places[:-1]) * point[places[-1]]
        return known[places]

    return [sum((product(places) * to_fmpq(c) for places, c in f.terms), ring.zero) for f in features]


def _products(features: Sequence[Element], order: int) -> dict[Places, Element]:
    """Products of up to so many features, and 1."""
    found: dict[Places, Element] = {(): features[0] * 0 + 1}
    for _, key in graded(len(features), order):
        found[key] = found[key[:-1]] * features[key[-1]]
    return found


def _along(rows: _Rows, axis: int, table: list[list[fmpz]], highest: int) -> _Rows:
    """sum_n t_nk of the rows that differ in this axis alone, for each k; no degree k of the result is above ``highest``."""
    lines: dict[Exponents, list[int]] = defaultdict(list)
    for key in rows:
        lines[key[:axis] + key[axis + 1 :]].append(key[axis])
    found: _Rows = {}
    for others, powers in lines.items():
        before, after = others[:axis], others[axis:]
        ks = [k for k in range(min(len(table[0]), highest - sum(before) + 1)) if any(table[n][k] for n in powers)]
        if not ks:
            continue
        factors = fmpz_mat([[table[n][k] for n in powers] for k in ks])
        values = factors * fmpz_mat([rows[(*before, n, *after)] for n in powers])
        for k, row in zip(ks, values.tolist()):
            found[(*before, k, *after)] = row
    return found
