"""Batches of independent examples: M(theta) = exp( sum_k u^{k-1} kappa_k(theta) / k! ), kappa_k the cumulants of one example.

So w = b, g_k = w and A_k = kappa_k / (k-1)!: the cumulants of a mean of b are those of one over b^{k-1}.
Source: e.g. McCullagh, Tensor Methods in Statistics (1987), chapter 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial
from typing import TYPE_CHECKING

from linvar.flint import fmpq
from linvar.laws.polynomial import Polynomial
from linvar.symbolic.algebra.ring import Element, Ring
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.schemes.scheme import ExactScheme, Statistics, T

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Iid:
    """Every batch of b independent examples, of any law; see ``ExactScheme`` for its members."""

    #: the mean over a data set is 1/n, once for each factor
    dataset_powers = 1

    def covariance_factor(self, ring: Ring, dataset_size: int | None) -> Element:
        """c = u."""
        (u,) = ring.gens
        return u

    def in_covariance_factor(self, elements: Sequence[Element], ring: Ring, dataset_size: int | None) -> list[Element]:
        """The coefficients themselves."""
        return list(elements)

    def logarithms(
        self, law: ExactLaw, features: Sequence[Polynomial], order: int, ring: Ring, central: bool
    ) -> list[Element]:
        """kappa_k w / k!; the first cumulant is the mean, and gone with it."""
        w = ring.gens[len(features)]
        cumulants = law.cumulants(features, order, ring)
        if central:
            cumulants[0] = ring.zero
        return [value * w * fmpq(1, factorial(k)) for k, value in enumerate(cumulants, 1)]

    def values(self, degree: int, ring: Ring, dataset_size: int | None) -> list[Element]:
        """u^degree b^j = u^{degree - j}."""
        (u,) = ring.gens
        return [u ** (degree - j) for j in range(degree + 1)]

    def statistics(self, law: Statistics[T]) -> T:
        """kappa_k / (k-1)!."""
        return law.cumulants()

    def growth(self, points: np.ndarray, inverses: np.ndarray, primes: np.ndarray) -> np.ndarray:
        """g_k = w for k >= 1."""
        import numpy as np

        found = np.zeros((len(points), inverses.shape[1], points.shape[1]), np.int64)
        found[:, 1:] = points[:, None]
        return found

    def umbral_scale(self, size: int, dataset_size: int | None, primes: Sequence[int]) -> np.ndarray | None:
        """None: w is b."""
        return None


_: type[ExactScheme] = Iid
