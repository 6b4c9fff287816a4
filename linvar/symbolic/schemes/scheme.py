"""What the exact half asks of the way a batch is drawn: a scheme's moments of batch means, in u = 1/b.

For batch means v_j of features f_j of an example, with q = sum_j theta_j f_j, the generating function

    M(theta) = E exp( sum_j theta_j v_j ) = exp( sum_k L_k ),    L_k = u^k g_k(w) A_k(theta) / k,

is an exponential under every scheme: A_k is a statistic of the law, of degree k in theta, and w stands for the batch size, or
is an umbral variable whose powers stand for something else. The part M_k of degree k in theta is u^k times a polynomial in w.
``linvar.symbolic.sgd.batch_moments`` exponentiates over the rationals, the lattice modulo primes, with the same scheme.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from linvar.laws.polynomial import Polynomial
from linvar.symbolic.algebra.ring import Element, Ring
from linvar.symbolic.laws.law import ExactLaw

if TYPE_CHECKING:
    import numpy as np

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Statistics(Protocol[T_co]):
    """A law along some directions theta, for the degrees k = 0, ..., D: what a scheme may take its A_k from."""

    def cumulants(self) -> T_co:
        """kappa_k / (k-1)!, the cumulants of one example's q; 0 for k = 0."""
        ...

    def power_sums(self) -> T_co:
        """sum_i q_i^k over the examples of a data set; 0 for k = 0."""
        ...


class ExactScheme(Protocol):
    """How a batch is drawn (see the module docstring)."""

    @property
    def dataset_powers(self) -> int:
        """How many powers of n each factor of a moment brings into a denominator, where the law is n examples."""
        ...

    def covariance_factor(self, ring: Ring, dataset_size: int | None) -> Element:
        """c with Cov(batch mean) = c Cov(one example), the covariance of one example with divisor n."""
        ...

    def in_covariance_factor(self, elements: Sequence[Element], ring: Ring, dataset_size: int | None) -> list[Element]:
        """Coefficients of 1, c, c^2, ... of the polynomial whose coefficients of 1, u, u^2, ... are given."""
        ...

    def logarithms(
        self, law: ExactLaw, features: Sequence[Polynomial], order: int, ring: Ring, central: bool
    ) -> list[Element]:
        """u^{-k} L_k for k = 1..order; the ring has a variable for each feature, and w as the last one.

        With ``central`` the features are taken less their means.
        """
        ...

    def values(self, degree: int, ring: Ring, dataset_size: int | None) -> list[Element]:
        """What u^degree w^j stands for, j = 0..degree: polynomials in u, the variable of the ring."""
        ...

    # the same modulo primes, on arrays whose first axis is the primes

    def statistics(self, law: Statistics[T]) -> T:
        """A_k for k = 0..D."""
        ...

    def growth(self, points: np.ndarray, inverses: np.ndarray, primes: np.ndarray) -> np.ndarray:
        """g_k(w) at the points, k = 0..D, residues; shape (primes, D + 1, points).

        Args:
            points: values of w, shape (primes, points).
            inverses: of 0 (put as 1), 1, ..., D, shape (primes, D + 1).
            primes: shape (primes, 1).
        """
        ...

    def umbral_scale(self, size: int, dataset_size: int | None, primes: Sequence[int]) -> np.ndarray | None:
        """The numbers a_j with w^j = a_j C(b, j) for j < size, shape (primes, size); None where w is b itself."""
        ...
