"""The exact twin of ``Gaussian``."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import combinations_with_replacement
from math import factorial, log2
from typing import TYPE_CHECKING

from linvar.exact import Exact, Matrix, Rational, Vector, free_symbols
from linvar.laws.coordinates import Normal
from linvar.laws.gaussian import Gaussian
from linvar.laws.law import identity
from linvar.laws.polynomial import Places, Polynomial
from linvar.matrices import Rows, product, trace, trace_product
from linvar.rings import PolynomialRingLike, RingLike, T
from linvar.symbolic.algebra.ring import Exponents, Numbers, Ring, to_fmpq
from linvar.symbolic.laws.along import Along, of_normal
from linvar.symbolic.laws.coordinates import moments_of
from linvar.symbolic.laws.law import ExactLaw, common_denominator
from linvar.symbolic.laws.monomials import moments_by_monomials
from linvar.symbolic.laws.orthogonal import composite, moments_of_products, seconds
from linvar.symbolic.laws.wishart import Wishart

if TYPE_CHECKING:
    import sympy

#: directions of a scattered point
_TOGETHER = 5


@dataclass(frozen=True)
class ExactGaussian(ExactLaw):
    """z = (x, noise), normal, without the noise where it has variance 0; see ``ExactLaw`` for the members."""

    law: Gaussian

    @property
    def symbols(self) -> tuple[sympy.Expr, ...]:
        """Those of its parts."""
        return self.law.symbols

    @property
    def _noise_width(self) -> int:
        return 0 if self.law.noise_variance == 0 else self.law.target_width

    @property
    def input_map(self) -> Matrix:
        """X with x = X z, shape (d_0, m)."""
        zeros = (Rational(0),) * self._noise_width
        return tuple(row + zeros for row in identity(self.law.input_width))

    @property
    def target_map(self) -> Matrix:
        """Y with y = Y z, shape (d_L, m)."""
        noise = identity(self.law.target_width) if self._noise_width else ((),) * self.law.target_width
        return tuple(row + tail for row, tail in zip(self.law.teacher, noise))

    @property
    def wishart(self) -> Wishart | None:
        """Where its mean is zero."""
        law = self.law
        return None if any(law.mean) else Wishart(law.teacher, law.covariance, law.noise_variance)

    def mean_and_covariance(self, ring: RingLike[T]) -> tuple[list[T], list[list[T]]]:
        """Mean and covariance of z in the ring."""
        d, m = self.law.input_width, self.law.input_width + self._noise_width
        mu = [ring.lift(self.law.mean[i]) if i < d else ring.lift(Rational(0)) for i in range(m)]
        sigma = [[ring.lift(Rational(0))] * m for _ in range(m)]
        for i in range(m):
            for j in range(m):
                if i < d and j < d:
                    sigma[i][j] = ring.lift(self.law.covariance[i][j])
                elif i == j:
                    sigma[i][j] = ring.lift(self.law.noise_variance)
        return mu, sigma

    @cached_property
    def _directions(self) -> Matrix:
        """Vectors that span the directions in which z varies: the coordinates, or columns of its covariance."""
        width, size = self.law.input_width, self.law.input_width + self._noise_width
        basis = self.law.independent
        if basis is None:
            columns = [column for column in zip(*self.law.covariance) if any(entry != 0 for entry in column)]
        else:
            columns = [(identity(width) if len(basis) == width else self.law.covariance)[i] for i in basis]
        zeros = (Rational(0),) * self._noise_width
        return (*(column + zeros for column in columns), *identity(size)[width:])

    @property
    def fills_space(self) -> bool:
        """Whether no polynomial in z vanishes almost surely; a covariance with symbols is not looked into."""
        return self.law.independent is not None and len(self.law.independent) == self.law.input_width

    def support(self, degree: int) -> Iterator[Vector]:
        """mu + sum_i h_i d_i for integers h >= 0 of sum at most ``degree``; those of the first few directions come first.

        A polynomial of this degree in h that vanishes at these vanishes. Where z may be anywhere, mu is replaced by zero.
        """
        size = self.law.input_width + self._noise_width
        mean = (*self.law.mean, *(Rational(0),) * self._noise_width)
        start = (Rational(0),) * size if self.fills_space else mean
        yield start
        for last in range(len(self._directions)):
            for count in range(1, degree + 1):
                for others in range(degree - count + 1):
                    for steps in combinations_with_replacement(range(last), others):
                        point = start
                        for i in (*steps, *(last,) * count):
                            point = tuple(a + b if b != 0 else a for a, b in zip(point, self._directions[i]))
                        yield tuple(Rational(entry) if isinstance(entry, Fraction) else entry for entry in point)

    def scattered(self, count: int) -> Iterator[Vector]:
        """mu and a few of the directions, other ones each time; anywhere where z fills its space."""
        size, many = self.law.input_width + self._noise_width, len(self._directions)
        mean = (*self.law.mean, *(Rational(0),) * self._noise_width)
        draws = random.Random(size)
        for _ in range(count if self.fills_space else 0):
            yield tuple(Rational(draws.randint(-99, 99)) for _ in range(size))
        for _ in range(0 if self.fills_space else count):
            chosen = [self._directions[draws.randrange(many)] for _ in range(_TOGETHER if many else 0)]
            if not free_symbols(entry for row in (mean, *chosen) for entry in row):
                yield tuple(Rational(sum(entries)) for entries in zip(mean, *chosen))

    def second_moment(self, ring: RingLike[T]) -> list[list[T]]:
        """E z z^T = Sigma_z + mu mu^T, shape (m, m)."""
        mu, sigma = self.mean_and_covariance(ring)
        return [[entry + a * b for entry, b in zip(row, mu)] for row, a in zip(sigma, mu)]

    def weighted_second_moment(self, form: Rows[T], ring: RingLike[T]) -> list[list[T]]:
        """E q(Theta) z z^T = 2 A Theta A + tr(A Theta) A - 2 q(mu) mu mu^T with A = E z z^T, for symmetric Theta.

        Isserlis: E z_a z_b z_c z_d sums A A over three pairings, which counts mu mu mu mu three times, not once.
        """
        mu, _ = self.mean_and_covariance(ring)
        moment = self.second_moment(ring)
        trace, twice = trace_product(moment, form), product(product(moment, form), moment)
        at_mean = 2 * sum((a * form[i][j] * b for i, a in enumerate(mu) for j, b in enumerate(mu)), mu[0] * 0)
        return [
            [2 * entry + trace * other - at_mean * (a * b) for entry, other, b in zip(row, others, mu)]
            for row, others, a in zip(twice, moment, mu)
        ]

    def moments(self, features: Sequence[Polynomial], order: int, ring: RingLike[T]) -> dict[Exponents, T]:
        """In orthogonal polynomials of independent e, z = mu + L e and Sigma_z = L diag(d) L^T; with symbols by monomials."""
        if self.symbols:
            return self._moments_by_isserlis(features, order, ring)
        variances, columns = self._independent
        own = Ring(len(variances))
        mu, _ = self.mean_and_covariance(Numbers)
        point = [
            sum((e * to_fmpq(column[i]) for e, column in zip(own.gens, columns) if column[i]), own.lift(mean))
            for i, mean in enumerate(mu)
        ]
        composed = composite(features, point, own)
        highest = order * max((0, *(int(degree) for f in composed for degree in f.degrees())))
        found = moments_of_products(composed, order, [moments_of(Normal(0, d), highest) for d in variances])
        assert found is not None  # a normal number has all of its orthogonal polynomials
        return {key: ring.lift(value) for key, value in found.items()}

    @cached_property
    def _independent(self) -> tuple[list[Fraction], list[list[Fraction]]]:
        """The d that are not zero, and their columns of L, by elimination."""
        _, rest = self.mean_and_covariance(Numbers)
        variances, columns = [], []
        for i in range(len(rest)):
            if pivot := rest[i][i]:
                column = [row[i] / pivot for row in rest]
                variances.append(pivot)
                columns.append(column)
                rest = [[value - x * pivot * y for value, y in zip(row, column)] for row, x in zip(rest, column)]
        return variances, columns

    def _moments_by_isserlis(self, features: Sequence[Polynomial], order: int, ring: RingLike[T]) -> dict[Exponents, T]:
        """E z_i m = mu_i E m + sum over factors z_j of a monomial m of Sigma_ij E m / z_j."""
        mu, sigma = self.mean_and_covariance(ring)
        known: dict[Places, T] = {(): ring.lift(1)}

        def moment(places: Places) -> T:
            if places not in known:
                first, rest = places[0], places[1:]
                total = mu[first] * moment(rest) if mu[first] != 0 else ring.lift(0)
                for k, other in enumerate(rest):
                    if sigma[first][other] != 0:
                        total = total + sigma[first][other] * moment(rest[:k] + rest[k + 1 :])
                known[places] = total
            return known[places]

        return moments_by_monomials(features, order, ring, moment)

    def means(self, features: Sequence[Polynomial], ring: RingLike[T]) -> list[T]:
        """Of quadratic forms tr(Theta E z z^T)."""
        if not all(feature.is_quadratic_form for feature in features):
            return super().means(features, ring)
        moment, zero = self.second_moment(ring), ring.lift(0)
        return [sum((moment[a][c] * ring.lift(v) for (a, c), v in feature.terms), zero) for feature in features]

    def cumulants(self, features: Sequence[Polynomial], order: int, ring: PolynomialRingLike[T]) -> list[T]:
        """kappa_k(Theta) = 2^{k-1} (k-1)! [ tr((Sigma_z Theta)^k) + k mu^T Theta (Sigma_z Theta)^{k-1} mu ], k = 1..order.

        Here the features are of degree 2 at most and Theta = sum_j theta_j Theta_j, with theta_j = ring.gens[j]: quadratic forms
        in z, or in (z, 1) where some are not homogeneous. Other features: the logarithm of their moments.
        """
        if any(feature.degree > 2 for feature in features):
            return super().cumulants(features, order, ring)
        mu, sigma = self._with_constant(features, ring)
        theta = [[ring.lift(0)] * len(mu) for _ in mu]
        for generator, feature in zip(ring.gens, features):
            for (a, c), value in _form(feature, len(mu)).items():
                entry = theta[a][c] + generator * ring.lift(value if a == c else Rational(value / 2))
                theta[a][c] = theta[c][a] = entry
        step, centered = product(sigma, theta), any(mu)
        outer = [[a * b for b in mu] for a in mu]
        power, result = None, []
        for k in range(1, order + 1):
            value = trace(step) if power is None else trace_product(power, step)
            if centered:
                tail = theta if power is None else product(theta, power)
                value = value + k * trace_product(tail, outer)
            result.append(value * (2 ** (k - 1) * factorial(k - 1)))
            if k < order:
                power = step if power is None else product(power, step)
        return result

    def _with_constant(self, features: Sequence[Polynomial], ring: RingLike[T]) -> tuple[list[T], list[list[T]]]:
        """Mean and covariance of z, or of (z, 1) where features are not homogeneous."""
        mu, sigma = self.mean_and_covariance(ring)
        if all(feature.is_quadratic_form for feature in features):
            return mu, sigma
        zero = ring.lift(Rational(0))
        return [*mu, ring.lift(Rational(1))], [*([*row, zero] for row in sigma), [zero] * (len(mu) + 1)]

    def numbers(self) -> list[Exact]:
        """The teacher's."""
        return [entry for row in self.law.teacher for entry in row]

    def factors(self) -> tuple[list[Exact], int]:
        """Those of E z z^T = Sigma_z + mu mu^T: with a mean, products of two."""
        covariance = [entry for row in self.law.covariance for entry in row]
        return [*self.law.mean, self.law.noise_variance, *covariance], 2 if any(self.law.mean) else 1

    @property
    def by_fourth_moments(self) -> bool:
        """A formula in matrices."""
        return False

    def denominator_bits(self) -> float:
        """Of all its numbers."""
        return log2(common_denominator([*self.numbers(), *self.factors()[0]]))

    @property
    def white(self) -> bool:
        """Standard normal inputs."""
        return not any(self.law.mean) and self.law.covariance == identity(self.law.input_width)

    @property
    def flippable_map(self) -> Matrix:
        """The teacher."""
        return self.law.teacher

    def moment_seconds(self, features: int, order: int, degree: int) -> float:
        """None of degree 2; others in orthogonal polynomials."""
        return seconds(self.width, features, order, degree) if degree > 2 else 0.0

    def along(self, features: Sequence[Polynomial], order: int, central: bool) -> Along:
        """Mean, covariance and quadratic forms: the lattice leaves the first cumulant out where it is central."""
        if any(feature.degree > 2 for feature in features):
            return super().along(features, order, central)
        mean, covariance = self._with_constant(features, Numbers)
        forms = [Polynomial.of(_form(feature, len(mean))).form(len(mean)) for feature in features]
        return of_normal(mean, covariance, forms)

    def points(self, features: int, order: int) -> int:
        """None."""
        return 0


def _form(feature: Polynomial, size: int) -> dict[Places, Rational]:
    """A polynomial of degree 2 made homogeneous by a last coordinate."""
    return {(*places, *(size - 1,) * (2 - len(places))): value for places, value in feature.terms}
