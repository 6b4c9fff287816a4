"""Batches that are random subsets of a data set: b of the n examples, each subset with the same probability.

The generating function is a sum over subsets, in elementary symmetric functions e_j of the n numbers exp(u q_i) - 1:

    M(theta) = sum_{j<=n} [(b)_j / (n)_j] e_j( exp(u q_i(theta)) - 1 ),    (b)_j = b (b-1) ... (b-j+1).

Let w^j stand for (b)_j / (n)_j (an umbral variable): then it is prod_i (1 + w (exp(u q_i) - 1)), an exponential, with

    log M = sum_k u^k c_k(w) Q_k(theta) / k!,    Q_k = sum_i q_i^k,
    c_k(w) = sum_{j<=k} (-1)^{j-1} (j-1)! S(k, j) w^j,    S the Stirling numbers of the second kind,

c_k the cumulants of a Bernoulli variable: c_1 = w, c_{k+1} = w (1 - w) c_k'. So A_k = Q_k and g_k = c_k / (k-1)!.
Source: the mathematics of polykays and k-statistics; McCullagh, Tensor Methods in Statistics (1987), chapter 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial
from typing import TYPE_CHECKING

from linvar.flint import fmpq, fmpz
from linvar.laws.polynomial import Polynomial
from linvar.symbolic.algebra.ring import Element, Ring
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.schemes.scheme import ExactScheme, Statistics, T

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class WithoutReplacement:
    """Every batch a random subset of the data; see ``ExactScheme`` for its members."""

    #: the mean over the data, and (n)_j
    dataset_powers = 2

    def covariance_factor(self, ring: Ring, dataset_size: int | None) -> Element:
        """c = (n-b)/(b(n-1)) = (n u - 1)/(n - 1); a single example (n = 1) never varies: c = 0."""
        (u,) = ring.gens
        n = _given(dataset_size)
        return ring.zero if n == 1 else (u * n - 1) * fmpq(1, n - 1)

    def in_covariance_factor(self, elements: Sequence[Element], ring: Ring, dataset_size: int | None) -> list[Element]:
        """u = (1 + (n-1) c)/n."""
        n = _given(dataset_size)
        slope, result = fmpq(n - 1, n), [ring.zero]
        for element in reversed(elements):  # Horner's rule in c: result * (1/n + slope c) + element
            shifted = [ring.zero, *(part * slope for part in result)]
            result = [part * fmpq(1, n) + after for part, after in zip([*result, ring.zero], shifted)]
            result[0] = result[0] + element
        return result

    def logarithms(
        self, law: ExactLaw, features: Sequence[Polynomial], order: int, ring: Ring, central: bool
    ) -> list[Element]:
        """c_k(w) Q_k / k!, power sums of values less their mean if ``central``."""
        w = ring.gens[len(features)]
        sums = law.power_sums(features, order, ring, central)
        return [value * _bernoulli_cumulant(k, w) * fmpq(1, factorial(k)) for k, value in enumerate(sums, 1)]

    def values(self, degree: int, ring: Ring, dataset_size: int | None) -> list[Element]:
        """u^degree (b)_j / (n)_j = u^{degree-j} prod_{i<j} (1 - i u) / (n - i), and 0 for j > n."""
        (u,), n = ring.gens, _given(dataset_size)
        found, product = [], ring.one
        for j in range(degree + 1):
            found.append(u ** (degree - j) * product)
            product = product * (1 - u * j) * fmpq(1, n - j) if j < n else ring.zero
        return found

    def statistics(self, law: Statistics[T]) -> T:
        """Q_k."""
        return law.power_sums()

    def growth(self, points: np.ndarray, inverses: np.ndarray, primes: np.ndarray) -> np.ndarray:
        """g_k = c_k / (k-1)!, from c_{k+1} = w (1 - w) c_k' in the powers of w."""
        import numpy as np

        size = inverses.shape[1]
        found = np.zeros((len(points), size, points.shape[1]), np.int64)
        cumulant = np.zeros((len(points), size + 1), np.int64)
        inverse_factorial = np.ones((len(points), 1), np.int64)
        powers = np.arange(size + 1)
        cumulant[:, 1] = 1
        for k in range(1, size):
            if k > 1:
                step = cumulant * powers % primes  # w c'
                cumulant = step.copy()
                cumulant[:, 1:] = (cumulant[:, 1:] - step[:, :-1]) % primes  # w c' - w^2 c'
                inverse_factorial = inverse_factorial * inverses[:, k - 1 : k] % primes
            value = np.zeros_like(points)
            for power in reversed(range(k + 1)):
                value = (value * points + cumulant[:, power : power + 1]) % primes
            found[:, k] = value * inverse_factorial % primes
        return found

    def umbral_scale(self, size: int, dataset_size: int | None, primes: Sequence[int]) -> np.ndarray | None:
        """j! / (n)_j, and 0 for j > n: (b)_j / (n)_j is that times C(b, j)."""
        import numpy as np

        n, moduli = _given(dataset_size), np.array(primes, np.int64)
        found = np.ones((len(primes), size), np.int64)
        for j in range(1, size):
            left = n - j + 1
            factors = [j * pow(left, -1, q) % q if left > 0 else 0 for q in primes]
            found[:, j] = found[:, j - 1] * np.array(factors, np.int64) % moduli
        return found


def _given(dataset_size: int | None) -> int:
    """n: a problem whose batches are subsets has a data set."""
    assert dataset_size is not None
    return dataset_size


def _bernoulli_cumulant(k: int, w: Element) -> Element:
    """c_k(w)."""
    stirling = [int(fmpz.stirling_s2(k, j)) for j in range(k + 1)]
    return sum((w**j * ((-1) ** (j - 1) * factorial(j - 1) * stirling[j]) for j in range(1, k + 1)), w * 0)


_: type[ExactScheme] = WithoutReplacement
