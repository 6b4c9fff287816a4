"""Moments of features by expanding their products in the coordinates: for laws whose moments of monomials have a formula."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from linvar.laws.polynomial import Places, Polynomial
from linvar.rings import RingLike, T
from linvar.symbolic.algebra.ring import Exponents
from linvar.symbolic.laws.law import graded


def moments_by_monomials(
    features: Sequence[Polynomial], order: int, ring: RingLike[T], moment: Callable[[Places], T]
) -> dict[Exponents, T]:
    """E prod_j f_j^{a_j} for 1 <= |a| <= order, from E of the monomials of z, whose coordinates are given in order."""
    products: dict[Places, Polynomial] = {(): Polynomial.constant(1)}
    known: dict[Places, T] = {}
    found = {}
    for exponents, key in graded(len(features), order):
        products[key] = products[key[:-1]] * features[key[-1]]
        total = ring.lift(0)
        for places, coefficient in products[key].terms:
            if places not in known:
                known[places] = moment(places)
            if known[places] != 0:
                total = total + known[places] * ring.lift(coefficient)
        if total != 0:
            found[exponents] = total
    return found
