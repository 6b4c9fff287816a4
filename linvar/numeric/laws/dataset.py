"""A finite data set: an example is one of its rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from linvar.errors import InputError
from linvar.laws.dataset import Dataset
from linvar.numeric.laws.law import AtWeights, Batch, FiniteRule, RareBatch
from linvar.numeric.laws.mixture import MOST_LEVELS, choose, log_mixture
from linvar.numeric.models.linear import to_floats
from linvar.numeric.schemes.scheme import NumericScheme


@dataclass(frozen=True)
class NumericDataset:
    """The numeric twin of a ``linvar.Dataset``."""

    law: Dataset

    def sampler(self, scheme: NumericScheme, dtype: str) -> RowSampler:
        """Rows, drawn as the scheme says."""
        inputs, targets = self._arrays(dtype)
        return RowSampler(jnp.asarray(inputs), jnp.asarray(targets), scheme)

    def second_moment_sampler(self, dtype: str) -> RowSampler:
        """There is none."""
        fault = "is for a Gaussian law, and this one is a data set"
        raise InputError("batches", "second_moments", "write batches='examples'", fault=fault)

    def rare_sampler(self, scheme: NumericScheme, degree: int, plain_probability: float) -> TiltedRows:
        """Rows in proportion to the powers 1, 2, 4, ... of their squared length."""
        inputs, targets = map(jnp.asarray, self._arrays("float64"))
        lengths = jnp.sum(inputs**2, axis=1) + jnp.sum(targets**2, axis=1)
        powers = 2.0 ** jnp.arange(min(MOST_LEVELS, max(2, math.ceil(math.log2(degree)))))
        scores = powers[:, None] * jnp.log(jnp.maximum(lengths, 1e-300))[None, :]
        tilted = jax.nn.log_softmax(scores, axis=1) + math.log(len(lengths))  # log(n q_k(i))
        # one percent of plain rows keeps every ratio positive
        log_ratios = jnp.logaddexp(tilted + math.log(0.99), math.log(0.01))
        cumulative = jnp.cumsum(jnp.exp(log_ratios), axis=1) / len(lengths)
        return TiltedRows(inputs, targets, log_ratios, cumulative, plain_probability, scheme)

    def expectations(self) -> RowMeans:
        """Means over rows."""
        inputs, targets = self._arrays("float64")
        return RowMeans(jnp.asarray(inputs), jnp.asarray(targets))

    def finite_rule(self, dtype: np.dtype) -> FiniteRule:
        """The rows."""
        return FiniteRule(*self._arrays(str(dtype)))

    def squared_lengths(self) -> tuple[float, float]:
        """Of the longest input and of the longest target, at least 1."""
        longest = (float(np.max(np.sum(part**2, axis=1), initial=1.0)) for part in self._arrays("float64"))
        inputs, targets = longest
        return inputs, targets

    def _arrays(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, d_0) and targets (n, d_L)."""
        return to_floats(self.law.inputs, "inputs", dtype), to_floats(self.law.targets, "targets", dtype)


@partial(jax.tree_util.register_dataclass, data_fields=["inputs", "targets"], meta_fields=["scheme"])
@dataclass(frozen=True)
class RowSampler:
    """Rows of a data set."""

    inputs: jax.Array
    targets: jax.Array
    scheme: NumericScheme

    @property
    def gives_examples(self) -> bool:
        """Yes."""
        return True

    def rows(self, batch_size: int) -> int:
        """The batch size."""
        return batch_size

    def draw(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """A batch of rows."""
        rows = self.scheme.rows(key, len(self.inputs), batch_size)
        return self.inputs[rows], self.targets[rows]

    def bytes_per_batch(self, batch_size: int) -> int:
        """The rows drawn, their numbers, and what the scheme needs."""
        width = self.inputs.shape[1] + self.targets.shape[1]
        own = batch_size * (2 * self.inputs.dtype.itemsize * width + 16)
        return own + self.scheme.bytes_per_batch(len(self.inputs))


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["inputs", "targets", "log_ratios", "cumulative"],
    meta_fields=["plain_probability", "scheme"],
)
@dataclass(frozen=True)
class TiltedRows:
    """Rows, some in proportion to powers of their length.

    ``log_ratios`` is log rho_k(i) = log(n q_k(i)) and ``cumulative`` sum_{j <= i} q_k(j), both of shape (levels, n).
    """

    inputs: jax.Array
    targets: jax.Array
    log_ratios: jax.Array
    cumulative: jax.Array
    plain_probability: float
    scheme: NumericScheme

    def draw(self, key: Key[Array, ""], batch_size: int) -> RareBatch:
        """One batch; see ``mixture.py``."""
        (levels, size), independent = self.log_ratios.shape, self.scheme.independent
        subset_key, uniform_key = jax.random.split(key)
        drawn = self.scheme.extreme_draws(batch_size)
        uniforms = jax.random.uniform(uniform_key, (3 + drawn,), self.inputs.dtype)
        level, chosen = choose(uniforms[:3], levels, self.plain_probability, batch_size, independent)
        plain = (uniforms[3:] * size).astype(jnp.int32)
        tilted = jnp.minimum(jnp.searchsorted(self.cumulative[level], uniforms[3:]), size - 1).astype(jnp.int32)
        rows = self.scheme.extreme_rows(subset_key, size, batch_size, chosen, plain, tilted)
        ratio = log_mixture(self.log_ratios[:, rows], self.plain_probability, independent)
        return RareBatch(self.inputs[rows], self.targets[rows], ratio)


@partial(jax.tree_util.register_dataclass, data_fields=["inputs", "targets"], meta_fields=[])
@dataclass(frozen=True)
class RowMeans:
    """Expectations over the rows of inputs (n, d) and targets (n, o)."""

    inputs: jax.Array
    targets: jax.Array

    @property
    def examples(self) -> int | None:
        """n."""
        return len(self.inputs)

    def hessian(self) -> Float[Array, "d d"]:
        """H = (1/n) X^T X."""
        return self.inputs.T @ self.inputs / len(self.inputs)

    def at(self, weights: Float[Array, "o d"]) -> AtWeights:
        """With r_i = W x_i - y_i: ||r_i||^2 of the rows, (1/n) sum r_i x_i^T and the mean of ||r_i||^2 / 2."""
        residual = self.inputs @ weights.T - self.targets
        squares = jnp.sum(residual**2, axis=1)
        return AtWeights(squares, residual.T @ self.inputs / len(self.inputs), squares.mean() / 2)

    def weighted(self, covariance: Float[Array, "d d"], squares: Float[Array, " n"]) -> Float[Array, "d d"]:
        """(1/n) sum (x_i^T C x_i + ||r_i||^2) x_i x_i^T."""
        scale = jnp.sum((self.inputs @ covariance) * self.inputs, axis=1) + squares
        return (self.inputs * scale[:, None]).T @ self.inputs / len(self.inputs)
