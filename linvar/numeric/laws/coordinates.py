"""Laws of one number in floating point: each a place and a scale of a number of a standard law.

A standard number s is made of one v, uniform on (-1, 1), so that one call of the generator serves all coordinates. Exaggerated
to a strength c^2 > 1, s has a law that favours numbers far out, with the log of its density over the plain one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from functools import singledispatch

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from linvar.laws.coordinates import Coordinate, Normal, Rademacher, Uniform
from linvar.numeric.floats import to_floats

Numbers = Float[Array, "..."]


class Standard(ABC):
    """A standard law of one number: part of the program, static for ``jax.jit``; equal where equal in kind."""

    @property
    def can_be_exaggerated(self) -> bool:
        """Whether an exaggerated law differs from the plain one."""
        return True

    @abstractmethod
    def of(self, uniform: Numbers) -> Numbers:
        """s of v."""

    def exaggerated(self, uniform: Numbers, strength: Numbers) -> Numbers:
        """The exaggerated s of v; here the plain one."""
        return self.of(uniform)

    def log_ratio(self, numbers: Numbers, strength: Numbers) -> Numbers:
        """log of the exaggerated density over the plain one at s; here 0."""
        return jnp.zeros(jnp.broadcast_shapes(numbers.shape, strength.shape), numbers.dtype)

    @abstractmethod
    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Gauss nodes and their probabilities: all moments up to order 5."""


@dataclass(frozen=True)
class StandardNormal(Standard):
    """Mean 0, variance 1; exaggerated: stretched by c."""

    def of(self, uniform: Numbers) -> Numbers:
        """The quantile: sqrt(2) erf^-1(v)."""
        return math.sqrt(2) * jax.scipy.special.erfinv(uniform)

    def exaggerated(self, uniform: Numbers, strength: Numbers) -> Numbers:
        """c s."""
        return jnp.sqrt(strength) * self.of(uniform)

    def log_ratio(self, numbers: Numbers, strength: Numbers) -> Numbers:
        """(1 - c^-2) s^2 / 2 - log c."""
        return (1 - 1 / strength) * numbers**2 / 2 - jnp.log(strength) / 2

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """0 and +-3^(1/2)."""
        return math.sqrt(3) * np.asarray([-1.0, 0.0, 1.0]), np.asarray([1.0, 4.0, 1.0]) / 6


@dataclass(frozen=True)
class StandardUniform(Standard):
    """Uniform on (-1, 1); exaggerated: tilted towards the ends, with density (c^2 + 1) |s|^(c^2) / 2."""

    def of(self, uniform: Numbers) -> Numbers:
        """v."""
        return uniform

    def exaggerated(self, uniform: Numbers, strength: Numbers) -> Numbers:
        """The quantile: sign(v) |v|^(1 / (c^2 + 1))."""
        return jnp.sign(uniform) * jnp.abs(uniform) ** (1 / (strength + 1))

    def log_ratio(self, numbers: Numbers, strength: Numbers) -> Numbers:
        """log(c^2 + 1) + c^2 log |s|."""
        return jnp.log1p(strength) + strength * jnp.log(jnp.abs(numbers))

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """0 and +-(3/5)^(1/2), of Gauss and Legendre."""
        return math.sqrt(3 / 5) * np.asarray([-1.0, 0.0, 1.0]), np.asarray([5.0, 8.0, 5.0]) / 18


@dataclass(frozen=True)
class Sign(Standard):
    """-1 or 1, which cannot be exaggerated."""

    @property
    def can_be_exaggerated(self) -> bool:
        """No."""
        return False

    def of(self, uniform: Numbers) -> Numbers:
        """The sign of v."""
        return jnp.where(uniform < 0, -jnp.ones_like(uniform), jnp.ones_like(uniform))

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """Both."""
        return np.asarray([-1.0, 1.0]), np.full(2, 0.5)


@dataclass(frozen=True)
class Still(Standard):
    """0: a coordinate that does not vary."""

    @property
    def can_be_exaggerated(self) -> bool:
        """No."""
        return False

    def of(self, uniform: Numbers) -> Numbers:
        """0."""
        return jnp.zeros_like(uniform)

    def nodes(self) -> tuple[np.ndarray, np.ndarray]:
        """0."""
        return np.zeros(1), np.ones(1)


@dataclass(frozen=True)
class NumericCoordinate:
    """The number location + scale s."""

    standard: Standard
    location: float
    scale: float


@singledispatch
def find_numeric_coordinate(coordinate: Coordinate) -> NumericCoordinate | None:
    """The numeric twin of the law of a number; None where nothing draws it.

    >>> find_numeric_coordinate(Uniform(0, 3))
    NumericCoordinate(standard=StandardUniform(), location=1.5, scale=1.5)
    """
    return None


@find_numeric_coordinate.register
def _normal(coordinate: Normal) -> NumericCoordinate | None:
    """mean + variance^(1/2) s."""
    standard = StandardNormal() if coordinate.variance else Still()
    return NumericCoordinate(
        standard, _float(coordinate.mean, "mean"), math.sqrt(_float(coordinate.variance, "variance"))
    )


@find_numeric_coordinate.register
def _uniform(coordinate: Uniform) -> NumericCoordinate | None:
    """The middle + half the length s."""
    low, high = coordinate.low, coordinate.high
    return NumericCoordinate(StandardUniform(), _float((low + high) / 2, "low"), _float((high - low) / 2, "high"))


@find_numeric_coordinate.register
def _rademacher(coordinate: Rademacher) -> NumericCoordinate | None:
    """s."""
    return NumericCoordinate(Sign(), 0.0, 1.0)


def _float(number: Fraction, name: str) -> float:
    """Rounded once."""
    return float(to_floats(number, name, "float64"))
