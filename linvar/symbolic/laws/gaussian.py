"""The exact twin of ``Gaussian``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

from linvar.exact import Exact, Matrix, Rational
from linvar.laws.gaussian import Gaussian
from linvar.laws.law import identity
from linvar.symbolic.algebra.ring import Numbers
from linvar.symbolic.laws.law import ExactLaw, Nested, common_denominator


@dataclass(frozen=True)
class ExactGaussian:
    """z = (x, noise), normal; see ``ExactLaw`` for the members."""

    law: Gaussian

    def numbers(self) -> list[Exact]:
        """The teacher's."""
        return [entry for row in self.law.teacher for entry in row]

    def factors(self) -> tuple[list[Exact], int]:
        """Those of E z z^T = Sigma_z + mu mu^T: with a mean, products of two."""
        covariance = [entry for row in self.law.covariance for entry in row]
        return [*self.law.mean, self.law.noise_variance, *covariance], 2 if any(self.law.mean) else 1

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

    def along(self, forms: Sequence[Matrix], central: bool) -> dict[str, Nested]:
        """Mean, covariance and the forms: the lattice leaves the first cumulant out where it is central."""
        moment = self.law.second_moment(Numbers)
        mean = [*self.law.mean, *[Rational(0)] * (len(moment) - self.law.input_width)]
        covariance = [[entry - a * b for entry, b in zip(row, mean)] for row, a in zip(moment, mean)]
        return {"mean": mean, "covariance": covariance, "forms": list(forms)}


_: type[ExactLaw] = ExactGaussian
