"""Gaussian inputs and a linear teacher: x = mean + F z, y = teacher x + sigma e, with z and e standard normal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from linvar.errors import InputError, cut
from linvar.laws.gaussian import Gaussian
from linvar.numeric.floats import to_floats
from linvar.numeric.laws.law import AtWeights, Batch, FiniteRule, IndependentSampler, NumericLaw, Sampler
from linvar.numeric.laws.mixture import MOST_LEVELS, Mixture
from linvar.numeric.laws.normal_rule import normal_rule
from linvar.numeric.schemes.scheme import NumericScheme

#: Lines on which a loss is checked to be quadratic.
_LINES = 16


@dataclass(frozen=True)
class NumericGaussian(NumericLaw):
    """The numeric twin of a ``linvar.Gaussian``: its examples are independent under every scheme it knows."""

    law: Gaussian

    @property
    def statement(self) -> object:
        """The Gaussian law."""
        return self.law

    def sampler(self, scheme: NumericScheme, dtype: str) -> GaussianSampler:
        """Independent examples."""
        return gaussian_sampler(self.law, dtype)

    def second_moment_sampler(self, dtype: str) -> SecondMomentSampler:
        """By Bartlett's decomposition."""
        return SecondMomentSampler(gaussian_sampler(self.law, dtype))

    def rare_sampler(self, scheme: NumericScheme, degree: int, plain_probability: float) -> StretchedNormals:
        """|z|^degree times the normal density peaks at |z|^2 = degree: stretches up to sqrt(degree / width)."""
        plain = gaussian_sampler(self.law, "float64")
        levels = min(MOST_LEVELS, max(3, math.ceil(math.log2(max(degree / plain.normals, 1))) + 1))
        stretch = np.sqrt(2.0 ** np.arange(1, levels + 1))
        return StretchedNormals(plain, jnp.asarray(stretch), jnp.asarray(np.log(stretch)), plain_probability)

    def expectations(self) -> GaussianMeans:
        """By Isserlis' theorem."""
        law = self.law
        return GaussianMeans(
            teacher=jnp.asarray(to_floats(law.teacher, "teacher", "float64")),
            covariance=jnp.asarray(to_floats(law.covariance, "covariance", "float64")),
            mean=jnp.asarray(to_floats(law.mean, "mean", "float64")),
            noise=jnp.asarray(to_floats(law.noise_variance, "noise_variance", "float64")),
        )

    def finite_rule(self, dtype: np.dtype) -> FiniteRule:
        """The rule of ``normal_rule.py`` for the normals that matter, exact for a loss of degree 2 in the example."""
        if self.law.symbols:
            names = cut(", ".join(map(str, self.law.symbols)))
            raise InputError("data", self.law, "put numbers in", fault=f"contains the symbols {names}")
        width = self._reduced_factor.shape[1]
        points, weights = normal_rule(width)
        start, shift = np.random.default_rng(0).normal(size=(2, _LINES, 1, width))
        along = (start + np.arange(4)[:, None] * shift).reshape(4 * _LINES, width)
        inputs, targets = self._examples(points)
        return FiniteRule(inputs.astype(dtype), targets.astype(dtype), weights, self._examples(along))

    def squared_lengths(self) -> tuple[float, float]:
        """E ||x||^2 = tr Sigma + ||mean||^2, and ||teacher||^2 times it."""
        covariance = to_floats(self.law.covariance, "covariance", "float64")
        mean = to_floats(self.law.mean, "mean", "float64")
        inputs = float(np.trace(covariance) + np.sum(mean**2))
        return inputs, float(np.sum(to_floats(self.law.teacher, "teacher", "float64") ** 2)) * inputs

    @cached_property
    def _reduced_factor(self) -> np.ndarray:
        """F with (x, noise) = (mean, 0) + F e, e independent standard normals, and no zero column."""
        inputs = square_root(self.law, "float64")
        inputs = inputs[:, np.any(inputs != 0, axis=0)]
        noise = np.sqrt(to_floats(self.law.noise_variance, "noise_variance", "float64"))
        outputs = noise * np.eye(self.law.target_width if noise else 0)
        factor = np.zeros((self.law.input_width + len(outputs), inputs.shape[1] + len(outputs)))
        factor[: self.law.input_width, : inputs.shape[1]] = inputs
        factor[self.law.input_width :, inputs.shape[1] :] = outputs
        return factor

    def _examples(self, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and targets of rows of independent standard normals."""
        z, width = normals @ self._reduced_factor.T, self.law.input_width
        x = to_floats(self.law.mean, "mean", "float64") + z[:, :width]
        y = x @ to_floats(self.law.teacher, "teacher", "float64").T
        return x, y + z[:, width:] if z.shape[1] > width else y


@partial(
    jax.tree_util.register_dataclass, data_fields=["teacher", "mean", "factor", "noise_scale"], meta_fields=["noisy"]
)
@dataclass(frozen=True)
class GaussianSampler(IndependentSampler):
    """x = mean + factor z, y = teacher x + noise_scale e, with z and e standard normal."""

    teacher: jax.Array
    mean: jax.Array
    factor: jax.Array
    noise_scale: jax.Array
    noisy: bool

    @property
    def normals(self) -> int:
        """Entries of (z, e)."""
        return self.factor.shape[0] + (self.teacher.shape[0] if self.noisy else 0)

    def examples_of(self, key: Key[Array, ""], rows: int) -> Batch:
        """Independent examples."""
        # one call for inputs and noise: the generator is most of the compilation time
        return self.examples(1, jax.random.normal(key, (rows, self.normals), self.factor.dtype))

    def examples(self, ones: Float[Array, "rows 1"] | int, normals: Float[Array, "rows normals"]) -> Batch:
        """x = ones mean + F z and y = teacher x + sigma e of rows (ones, z, e)."""
        inputs = self.factor.shape[0]
        x = ones * self.mean + normals[:, :inputs] @ self.factor.T
        y = x @ self.teacher.T
        return x, y + self.noise_scale * normals[:, inputs:] if self.noisy else y

    def bytes_at_once(self, rows: int) -> int:
        """The normals, their bits, inputs and targets."""
        return rows * self.factor.dtype.itemsize * (4 * len(self.mean) + 4 * len(self.teacher))


@partial(jax.tree_util.register_dataclass, data_fields=["law"], meta_fields=[])
@dataclass(frozen=True)
class SecondMomentSampler(Sampler):
    """At most d + 1 rows in place of the b examples of a batch, d entries of (z, e), with in law the same matrix

        (1/b) sum of (1, z, e) (1, z, e)^T:

    all that a quadratic loss sees of a batch, at a cost that does not grow with b. The mean of d standard normals is N(0, I/b),
    and, independent of it, their scatter is a Wishart matrix of b - 1 degrees of freedom, L L^T with normals below the diagonal
    of L and roots of chi squares on it (Bartlett, 1933).
    """

    law: GaussianSampler

    @property
    def gives_examples(self) -> bool:
        """No."""
        return False

    def rows(self, batch_size: int) -> int:
        """One for the mean, one a column of L."""
        return min(batch_size, self.law.normals + 1)

    def begin(self, key: Key[Array, ""], row_key: Key[Array, ""], batch_size: Float[Array, ""]) -> tuple[Array, Array]:
        """Rows (1, z, e) whose mean product is that of a batch: one for its mean, one a column of L.

        The first ``rows(b)`` of them; there are d + 1, and more than b are not looked at.
        """
        width, dtype = self.law.normals, self.law.factor.dtype
        normal = jax.random.normal(row_key, (width + 1, width), dtype)  # the mean's row, then columns of L
        columns = jnp.arange(width)
        freedom = jnp.maximum(batch_size - 1 - columns.astype(dtype), 1)  # floats: b may exceed 32 bits
        diagonal = jnp.sqrt(jax.random.chisquare(key, freedom, dtype=dtype))
        below = jnp.arange(width)[None, :] > columns[:, None]
        factor = jnp.where(below, normal[1:], 0).at[columns, columns].set(diagonal)
        used = jnp.minimum(batch_size, width + 1)
        scale = jnp.sqrt(used / batch_size)  # the mean over rows stands for that over the batch
        ones = jnp.zeros((width + 1, 1), dtype).at[0].set(jnp.sqrt(used))
        return ones, scale * jnp.concatenate([normal[:1], factor])

    def more(self, state: tuple[Array, Array], number: Int[Array, ""], rows: int) -> tuple[tuple[Array, Array], Batch]:
        """Some of them, as inputs and targets."""
        numbers = number + jnp.arange(rows, dtype=jnp.int32)
        ones, normals = (jnp.take(part, numbers, axis=0, mode="clip") for part in state)
        return state, self.law.examples(ones, normals)

    def bytes_at_once(self, rows: int) -> int:
        """As of all rows."""
        return self.law.bytes_at_once(self.law.normals + 1)


@partial(
    jax.tree_util.register_dataclass, data_fields=["law", "stretch", "log_stretch"], meta_fields=["plain_probability"]
)
@dataclass(frozen=True)
class StretchedNormals(Mixture):
    """Standard normals, some stretched by one of ``stretch``, (levels,), of these logarithms."""

    law: GaussianSampler
    stretch: jax.Array
    log_stretch: jax.Array
    plain_probability: float

    @property
    def levels(self) -> int:
        """As many as there are stretches."""
        return len(self.stretch)

    def more_rows(
        self, state: Any, number: Int[Array, ""], level: Int[Array, ""], chosen: Bool[Array, " rows"]
    ) -> tuple[Any, Batch, Float[Array, "levels rows"]]:
        """With z stretched by c, log rho_c(z) = (1 - c^-2) ||z||^2 / 2 - d log c."""
        width, dtype = self.law.normals, self.law.factor.dtype
        normal = jax.random.normal(jax.random.fold_in(state, number), (len(chosen), width), dtype)
        normal = jnp.where(chosen[:, None], self.stretch[level], 1) * normal
        squares = jnp.sum(normal**2, axis=1)[None, :] / 2
        ratios = (1 - self.stretch[:, None] ** -2) * squares - width * self.log_stretch[:, None]
        return state, self.law.examples(1, normal), ratios

    def bytes_at_once(self, rows: int) -> int:
        """Those of plain examples, and the ratios."""
        return self.law.bytes_at_once(rows) + 24 * rows * self.levels


@partial(jax.tree_util.register_dataclass, data_fields=["teacher", "covariance", "mean", "noise"], meta_fields=[])
@dataclass(frozen=True)
class GaussianMeans:
    """Expectations over x ~ N(mean, covariance), y = teacher x + noise; ``noise`` is its variance in each output."""

    teacher: jax.Array
    covariance: jax.Array
    mean: jax.Array
    noise: jax.Array

    @property
    def examples(self) -> int | None:
        """No data set."""
        return None

    @property
    def terms(self) -> int:
        """One: by a formula."""
        return 1

    def hessian(self) -> Float[Array, "d d"]:
        """H = Sigma + mean mean^T."""
        return self.covariance + jnp.outer(self.mean, self.mean)

    def at(self, weights: Float[Array, "o d"]) -> AtWeights:
        """With D = W - teacher, r = D x - noise: the form D^T D, the gradient D H and (tr(D H D^T) + o sigma^2) / 2."""
        away = weights - self.teacher
        gradient = away @ self.hessian()
        loss = (jnp.sum(gradient * away) + len(self.teacher) * self.noise) / 2
        return AtWeights(away.T @ away, gradient, loss)

    def weighted(self, covariance: Float[Array, "d d"], squares: Float[Array, "d d"]) -> Float[Array, "d d"]:
        """With F = C + D^T D: E[(x^T F x) x x^T] = 2 H F H + tr(H F) H - 2 (mean^T F mean) mean mean^T, and o sigma^2 H.

        By Isserlis' theorem; the noise is independent of x.
        """
        form, hessian = covariance + squares, self.hessian()
        noise = len(self.teacher) * self.noise
        result = 2 * hessian @ form @ hessian + (jnp.sum(hessian * form) + noise) * hessian
        return result - 2 * (self.mean @ form @ self.mean) * jnp.outer(self.mean, self.mean)


def gaussian_sampler(law: Gaussian, dtype: str) -> GaussianSampler:
    """Independent examples of a Gaussian law."""
    return GaussianSampler(
        teacher=jnp.asarray(to_floats(law.teacher, "teacher", dtype)),
        mean=jnp.asarray(to_floats(law.mean, "mean", dtype)),
        factor=jnp.asarray(square_root(law, dtype)),
        noise_scale=jnp.asarray(np.sqrt(to_floats(law.noise_variance, "noise_variance", dtype))),
        noisy=law.noise_variance != 0,
    )


def square_root(law: Gaussian, dtype: str) -> np.ndarray:
    """F with F F^T = covariance: elimination L D L^T in exact numbers, then one square root a column.

    Exact, so that a direction without variance (a bias) has exactly none; singular covariances are welcome.
    """
    width = law.input_width
    rest = [[Fraction(entry) for entry in row] for row in law.covariance]
    factor = np.zeros((width, width))
    for k in range(width):
        pivot = rest[k][k]
        if pivot == 0:
            continue
        column = [(i, rest[i][k] / pivot) for i in range(k, width) if rest[i][k] != 0]
        root = np.sqrt(to_floats(pivot, "covariance", "float64"))
        for i, ratio in column:
            factor[i, k] = float(ratio) * root
        for i, ratio in column:  # what is left of Sigma without column k: Sigma - l d l^T
            for j, other in column:
                rest[i][j] -= ratio * other * pivot
    return factor.astype(dtype)


_: type[NumericLaw] = NumericGaussian
