"""The exact twin of ``ScaleMixture``: moments of the Gaussian law, polynomials in s^2, and E s^{2n} in place of its powers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import comb, prod

from linvar.errors import InputError
from linvar.exact import Exact, Matrix, Rational, Vector
from linvar.laws.gaussian import Gaussian
from linvar.laws.polynomial import Places, Polynomial
from linvar.laws.scale_mixture import ScaleMixture
from linvar.rings import PolynomialRingLike, RingLike, T
from linvar.symbolic.algebra.ring import Exponents
from linvar.symbolic.laws.gaussian import ExactGaussian
from linvar.symbolic.laws.law import ExactLaw, exponential
from linvar.symbolic.laws.monomials import moments_by_monomials
from linvar.symbolic.laws.nodes import product_nodes


@dataclass(frozen=True)
class ExactScaleMixture(ExactLaw):
    """z = (x, noise), normal at a random scale; see ``ExactLaw`` for the members."""

    law: ScaleMixture

    @cached_property
    def _normal(self) -> ExactGaussian:
        """The law at scale 1."""
        return ExactGaussian(self.law.law)

    @property
    def input_map(self) -> Matrix:
        """X with x = X z."""
        return self._normal.input_map

    @property
    def target_map(self) -> Matrix:
        """Y with y = Y z."""
        return self._normal.target_map

    @property
    def highest_moment(self) -> int | None:
        """Below the degrees of freedom of a t law; None of finitely many scales."""
        return None if self.law.degrees_of_freedom is None else self.law.degrees_of_freedom - 1

    def scale_moment(self, power: int) -> Fraction:
        """E s^{2n}: of a t law prod_{j=1..n} nu / (nu - 2 j), else sum_i p_i s_i^{2n}.

        Raises:
            InputError: it does not exist.
        """
        nu = self.law.degrees_of_freedom
        if nu is None:
            pairs = zip(self.law.scales, self.law.probabilities)
            return sum((chance * scale ** (2 * power) for scale, chance in pairs), Fraction(0))
        if 2 * power >= nu:
            raise InputError(
                "law",
                self.law,
                "give more degrees of freedom, or ask for fewer steps",
                fault=f"has no moments of degree {2 * power}, only those below {nu}",
            )
        return Fraction(nu**power, prod(nu - 2 * j for j in range(1, power + 1)))

    def moments(self, features: Sequence[Polynomial], order: int, ring: RingLike[T]) -> dict[Exponents, T]:
        """By Isserlis' theorem at a scale s: E z_i m = mu_i E m + s^2 sum over factors z_j of m of Sigma_ij E m / z_j."""
        mu, sigma = self._normal.mean_and_covariance(ring)
        known: dict[Places, list[T]] = {(): [ring.lift(1)]}

        def in_scale(places: Places) -> list[T]:
            """The coefficients of 1, s^2, s^4, ..."""
            if places not in known:
                first, rest = places[0], places[1:]
                found = [ring.lift(0)] * (len(places) // 2 + 1)
                for n, value in enumerate(in_scale(rest)):
                    found[n] = found[n] + mu[first] * value
                for k, other in enumerate(rest):
                    for n, value in enumerate(in_scale(rest[:k] + rest[k + 1 :])):
                        found[n + 1] = found[n + 1] + sigma[first][other] * value
                known[places] = found
            return known[places]

        def moment(places: Places) -> T:
            parts = enumerate(in_scale(places))
            return sum(
                (part * ring.lift(Rational(self.scale_moment(n))) for n, part in parts if part != 0), ring.lift(0)
            )

        return moments_by_monomials(features, order, ring, moment)

    def powers(self, features: Sequence[Polynomial], order: int, ring: PolynomialRingLike[T]) -> list[T]:
        """Of quadratic forms: those of the Gaussian law, times E s^{2k} where it has no mean.

        Otherwise they are polynomials in s^2, and integer points with signed weights stand for it.
        """
        if not all(feature.is_quadratic_form for feature in features):
            return super().powers(features, order, ring)
        if not any(self.law.law.mean):
            parts = exponential(self._normal.cumulants(features, order, ring), ring)
            return [part * ring.lift(Rational(self.scale_moment(k))) for k, part in enumerate(parts, 1)]
        squares = [self.scale_moment(n) for n in range(order + 1)]
        # of s^2 - 1, so that no node is at s = 0, where the noise would have no coordinate
        less = [
            sum((comb(n, k) * (-1) ** (n - k) * squares[k] for k in range(n + 1)), Fraction(0))
            for n in range(order + 1)
        ]
        total = [ring.lift(0)] * order
        for (node,), weight in product_nodes([less], order):
            normal = ExactGaussian(_scaled(self.law.law, node + 1))
            parts = exponential(normal.cumulants(features, order, ring), ring)
            total = [known + part * ring.lift(Rational(weight)) for known, part in zip(total, parts)]
        return total

    # where z can be: where the Gaussian law can

    @property
    def fills_space(self) -> bool:
        """As of the Gaussian law."""
        return self._normal.fills_space

    def support(self, degree: int) -> Iterator[Vector]:
        """Points of the Gaussian law."""
        return self._normal.support(degree)

    def scattered(self, count: int) -> Iterator[Vector]:
        """Points of the Gaussian law."""
        return self._normal.scattered(count)

    def numbers(self) -> list[Exact]:
        """The teacher's."""
        return self._normal.numbers()


def _scaled(law: Gaussian, square: int) -> Gaussian:
    """Covariances times s^2."""
    covariance = [[entry * square for entry in row] for row in law.covariance]
    return Gaussian(law.teacher, covariance, law.mean, law.noise_variance * square)


_: type[ExactLaw] = ExactScaleMixture
