"""Normal examples at a random scale s: x = mean + s F z, y = teacher x + s sigma e, with z and e standard normal.

Everything happens in w = s (z, e), whose law is spherical; no covariance is inverted. With m entries its density is, up to
constants,

    (1 + ||w||^2 / nu)^(-(nu + m) / 2)                  Student's t, s^2 = nu / chi^2_nu
    sum_i p_i s_i^-m exp(-||w||^2 / (2 s_i^2))          scales s_i of probabilities p_i
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from linvar.laws.scale_mixture import ScaleMixture
from linvar.numeric.floats import to_floats
from linvar.numeric.laws.gaussian import GaussianSampler, gaussian_sampler
from linvar.numeric.laws.law import Batch, IndependentSampler, NumericLaw
from linvar.numeric.laws.mixture import MOST_LEVELS, Mixture
from linvar.numeric.laws.rows import row_numbers
from linvar.numeric.schemes.scheme import NumericScheme


class Scale(ABC):
    """The law of s, a pytree; exaggerated it may favour large ones."""

    @abstractmethod
    def draw(self, key: Key[Array, ""], rows: int, dtype: str) -> Float[Array, " rows"]:
        """Independent scales."""

    @abstractmethod
    def exaggerated(self, key: Key[Array, ""], rows: int, dtype: str) -> Float[Array, " rows"]:
        """Independent scales of the exaggerated law."""

    @abstractmethod
    def log_ratio(
        self, squares: Float[Array, " rows"], width: int, stretch: Float[Array, " levels"]
    ) -> Float[Array, "levels rows"]:
        """log of the density of w = c s' (z, e), s' exaggerated, over that of s (z, e), at ||w||^2 = squares, m = width."""

    @abstractmethod
    def reach(self, degree: int, width: int) -> float:
        """c^2 that a mean of ||w||^degree asks for: r^2 / m where r^(degree + m - 1) times the density at ||w|| = r peaks."""


@partial(jax.tree_util.register_dataclass, data_fields=["freedom"], meta_fields=[])
@dataclass(frozen=True)
class StudentScale(Scale):
    """s^2 = nu / chi^2_nu; no exaggeration but the stretch."""

    freedom: float | jax.Array

    def draw(self, key: Key[Array, ""], rows: int, dtype: str) -> Float[Array, " rows"]:
        """(nu / chi^2_nu)^(1/2)."""
        freedom = jnp.asarray(self.freedom, dtype)
        return jnp.sqrt(freedom / jax.random.chisquare(key, freedom, (rows,), dtype))

    def exaggerated(self, key: Key[Array, ""], rows: int, dtype: str) -> Float[Array, " rows"]:
        """As they are."""
        return self.draw(key, rows, dtype)

    def log_ratio(
        self, squares: Float[Array, " rows"], width: int, stretch: Float[Array, " levels"]
    ) -> Float[Array, "levels rows"]:
        """(nu + m)/2 (log(1 + r^2/nu) - log(1 + r^2/(c^2 nu))) - m log c."""
        c = stretch[:, None]
        near, far = jnp.log1p(squares / self.freedom), jnp.log1p(squares / (c**2 * self.freedom))
        return (self.freedom + width) / 2 * (near - far) - width * jnp.log(c)

    def reach(self, degree: int, width: int) -> float:
        """r^2 = nu (degree + m - 1) / (nu - degree + 1); as far as it goes where the mean does not exist."""
        freedom = float(self.freedom)
        return freedom * (degree + width - 1) / (freedom - degree + 1) / width if degree < freedom else math.inf


@partial(jax.tree_util.register_dataclass, data_fields=["values", "probabilities", "cumulative"], meta_fields=[])
@dataclass(frozen=True)
class FiniteScale(Scale):
    """One of some values; exaggerated, each as likely as the others."""

    values: jax.Array
    probabilities: jax.Array
    cumulative: jax.Array

    def draw(self, key: Key[Array, ""], rows: int, dtype: str) -> Float[Array, " rows"]:
        """By their probabilities."""
        return self.values[row_numbers(jax.random.uniform(key, (rows,), dtype), self.cumulative)]

    def exaggerated(self, key: Key[Array, ""], rows: int, dtype: str) -> Float[Array, " rows"]:
        """Equally likely."""
        return self.values[jax.random.randint(key, (rows,), 0, len(self.values), jnp.int32)]

    def log_ratio(
        self, squares: Float[Array, " rows"], width: int, stretch: Float[Array, " levels"]
    ) -> Float[Array, "levels rows"]:
        """Of two mixtures of normal densities."""

        def log_density(square: jax.Array, log_shares: jax.Array) -> jax.Array:
            """log sum_i p_i s_i^-m exp(-r^2 / (2 s_i^2))."""
            terms = log_shares - width * jnp.log(self.values) - square[..., None] / (2 * self.values**2)
            return jax.nn.logsumexp(terms, axis=-1)

        equally = jnp.full_like(self.values, -math.log(len(self.values)))
        c = stretch[:, None]
        far = log_density(squares / c**2, equally) - width * jnp.log(c)
        return far - log_density(squares, jnp.log(self.probabilities))

    def reach(self, degree: int, width: int) -> float:
        """r^2 = degree, as at scale 1: large scales are drawn as often as others."""
        return degree / width


@dataclass(frozen=True)
class NumericScaleMixture(NumericLaw):
    """The numeric twin of a ``linvar.ScaleMixture``."""

    law: ScaleMixture

    @property
    def statement(self) -> object:
        """The law."""
        return self.law

    def sampler(self, scheme: NumericScheme, dtype: str) -> ScaledSampler:
        """Independent examples."""
        return ScaledSampler(gaussian_sampler(self.law.law, dtype), self._scale(dtype))

    def rare_sampler(self, scheme: NumericScheme, degree: int, plain_probability: float) -> StretchedScales:
        """Stretches up to where ||w||^degree has its mean."""
        plain = self.sampler(scheme, "float64")
        reach = min(plain.scale.reach(degree, plain.law.normals), 2.0**MOST_LEVELS)
        levels = min(MOST_LEVELS, max(3, math.ceil(math.log2(max(reach, 1))) + 1))
        return StretchedScales(plain, jnp.asarray(np.sqrt(2.0 ** np.arange(1, levels + 1))), plain_probability)

    def _scale(self, dtype: str) -> Scale:
        """The law of s."""
        if self.law.degrees_of_freedom is not None:
            return StudentScale(float(to_floats(self.law.degrees_of_freedom, "degrees_of_freedom", dtype)))
        shares = to_floats(self.law.probabilities, "probabilities", "float64")
        values = to_floats(self.law.scales, "scales", dtype)
        parts = (values, shares.astype(dtype), np.cumsum(shares).astype(dtype))
        return FiniteScale(*map(jnp.asarray, parts))


@partial(jax.tree_util.register_dataclass, data_fields=["law", "scale"], meta_fields=[])
@dataclass(frozen=True)
class ScaledSampler(IndependentSampler):
    """x = mean + F w, y = teacher x + sigma w', of w = s (z, e)."""

    law: GaussianSampler
    scale: Scale

    def examples_of(self, key: Key[Array, ""], rows: int) -> Batch:
        """Independent examples."""
        normal_key, scale_key = jax.random.split(key)
        dtype = str(self.law.factor.dtype)
        normal = jax.random.normal(normal_key, (rows, self.law.normals), dtype)
        return self.law.examples(1, self.scale.draw(scale_key, rows, dtype)[:, None] * normal)

    def bytes_at_once(self, rows: int) -> int:
        """Those of the normal examples, and of the scales."""
        return self.law.bytes_at_once(rows) + 8 * rows * self.law.factor.dtype.itemsize


@partial(jax.tree_util.register_dataclass, data_fields=["law", "stretch"], meta_fields=["plain_probability"])
@dataclass(frozen=True)
class StretchedScales(Mixture):
    """w = s (z, e), some with s exaggerated and stretched by one of ``stretch``, (levels,)."""

    law: ScaledSampler
    stretch: jax.Array
    plain_probability: float

    @property
    def levels(self) -> int:
        """As many as there are stretches."""
        return len(self.stretch)

    def more_rows(
        self, state: Any, number: Int[Array, ""], level: Int[Array, ""], chosen: Bool[Array, " rows"]
    ) -> tuple[Any, Batch, Float[Array, "levels rows"]]:
        """Scales near and far."""
        base, scale, rows = self.law.law, self.law.scale, len(chosen)
        normal_key, scale_key, far_key = jax.random.split(jax.random.fold_in(state, number), 3)
        near = scale.draw(scale_key, rows, "float64")
        far = self.stretch[level] * scale.exaggerated(far_key, rows, "float64")
        normal = jax.random.normal(normal_key, (rows, base.normals), "float64")
        w = jnp.where(chosen, far, near)[:, None] * normal
        return state, base.examples(1, w), scale.log_ratio(jnp.sum(w**2, axis=1), base.normals, self.stretch)

    def bytes_at_once(self, rows: int) -> int:
        """Those of plain examples, and the ratios."""
        return self.law.bytes_at_once(rows) + 24 * rows * self.levels


_: type[NumericLaw] = NumericScaleMixture
