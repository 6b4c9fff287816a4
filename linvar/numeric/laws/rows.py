"""Laws of finitely many examples: an example is one of some rows."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from linvar.laws.rows import Rows
from linvar.numeric.floats import to_floats
from linvar.numeric.laws.law import AtWeights, Batch, FiniteRule, NumericLaw, RareBatch
from linvar.numeric.laws.mixture import MOST_LEVELS, choose, log_mixture
from linvar.numeric.schemes.scheme import NumericScheme


class NumericRows(NumericLaw):
    """The numeric twin of a law that is kept as rows."""

    law: Rows

    @property
    def statement(self) -> object:
        """The rows."""
        return self.law

    @property
    @abstractmethod
    def shares(self) -> np.ndarray | None:
        """The probabilities of the rows, (n,) in float64; None where all are 1/n."""

    def sampler(self, scheme: NumericScheme, dtype: str) -> RowSampler:
        """Rows, drawn as the scheme says."""
        inputs, targets = self._arrays(dtype)
        return RowSampler(jnp.asarray(inputs), jnp.asarray(targets), self._cumulative(dtype), scheme)

    def rare_sampler(self, scheme: NumericScheme, degree: int, plain_probability: float) -> TiltedRows:
        """Rows in proportion to the powers 1, 2, 4, ... of their squared length, times their probability."""
        inputs, targets = map(jnp.asarray, self._arrays("float64"))
        lengths = jnp.sum(inputs**2, axis=1) + jnp.sum(targets**2, axis=1)
        size, shares = len(lengths), self.shares
        relative = jnp.log(jnp.asarray(np.ones(size) if shares is None else size * shares))  # log(n p_i)
        powers = 2.0 ** jnp.arange(min(MOST_LEVELS, max(2, math.ceil(math.log2(degree)))))
        scores = powers[:, None] * jnp.log(jnp.maximum(lengths, 1e-300))[None, :] + relative
        tilted = jax.nn.log_softmax(scores, axis=1) - relative + math.log(size)  # log(q_k(i) / p_i)
        # one percent of plain rows keeps every ratio positive
        log_ratios = jnp.logaddexp(tilted + math.log(0.99), math.log(0.01))
        sums = jnp.cumsum(jnp.exp(log_ratios + relative), axis=1) / size
        cumulative = self._cumulative("float64")
        return TiltedRows(inputs, targets, log_ratios, sums, cumulative, plain_probability, scheme)

    def expectations(self) -> RowMeans:
        """Means over rows."""
        inputs, targets = map(jnp.asarray, self._arrays("float64"))
        return RowMeans(inputs, targets, None if self.shares is None else jnp.asarray(self.shares))

    def finite_rule(self, dtype: np.dtype) -> FiniteRule:
        """The rows."""
        return FiniteRule(*self._arrays(str(dtype)), weights=self.shares)

    def squared_lengths(self) -> tuple[float, float]:
        """Of the longest input and of the longest target, at least 1."""
        longest = (float(np.max(np.sum(part**2, axis=1), initial=1.0)) for part in self._arrays("float64"))
        inputs, targets = longest
        return inputs, targets

    def _arrays(self, dtype: str) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, d_0) and targets (n, d_L)."""
        return to_floats(self.law.inputs, "inputs", dtype), to_floats(self.law.targets, "targets", dtype)

    def _cumulative(self, dtype: str) -> jax.Array | None:
        """sum_{j <= i} p_j, added up in float64."""
        return None if self.shares is None else jnp.asarray(np.cumsum(self.shares).astype(dtype))


@partial(jax.tree_util.register_dataclass, data_fields=["inputs", "targets", "cumulative"], meta_fields=["scheme"])
@dataclass(frozen=True)
class RowSampler:
    """Rows: independent ones of the probabilities whose sums are ``cumulative``, up to the rounding of uniform numbers in dtype.

    Without ``cumulative`` each row is as likely as the others, and the scheme draws a batch.
    """

    inputs: jax.Array
    targets: jax.Array
    cumulative: jax.Array | None
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
        if self.cumulative is None:
            rows = self.scheme.rows(key, len(self.inputs), batch_size)
        else:
            rows = row_numbers(jax.random.uniform(key, (batch_size,), self.inputs.dtype), self.cumulative)
        return self.inputs[rows], self.targets[rows]

    def bytes_per_batch(self, batch_size: int) -> int:
        """The rows drawn, their numbers, and what the scheme needs."""
        width = self.inputs.shape[1] + self.targets.shape[1]
        own = batch_size * (2 * self.inputs.dtype.itemsize * width + 16)
        return own + self.scheme.bytes_per_batch(len(self.inputs))


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["inputs", "targets", "log_ratios", "tilted", "cumulative"],
    meta_fields=["plain_probability", "scheme"],
)
@dataclass(frozen=True)
class TiltedRows:
    """Rows, some in proportion to powers of their length.

    ``log_ratios`` is log rho_k(i) = log(q_k(i) / p_i) and ``tilted`` sum_{j <= i} q_k(j), both of shape (levels, n);
    ``cumulative``, sum_{j <= i} p_j, is None for p_i = 1/n.
    """

    inputs: jax.Array
    targets: jax.Array
    log_ratios: jax.Array
    tilted: jax.Array
    cumulative: jax.Array | None
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
        if self.cumulative is not None:
            plain = row_numbers(uniforms[3:], self.cumulative)
        tilted = row_numbers(uniforms[3:], self.tilted[level])
        rows = self.scheme.extreme_rows(subset_key, size, batch_size, chosen, plain, tilted)
        ratio = log_mixture(self.log_ratios[:, rows], self.plain_probability, independent)
        return RareBatch(self.inputs[rows], self.targets[rows], ratio)


@partial(jax.tree_util.register_dataclass, data_fields=["inputs", "targets", "shares"], meta_fields=[])
@dataclass(frozen=True)
class RowMeans:
    """Expectations over the rows of inputs (n, d) and targets (n, o), with probabilities ``shares``; 1/n where they are None."""

    inputs: jax.Array
    targets: jax.Array
    shares: jax.Array | None = None

    @property
    def examples(self) -> int | None:
        """n of a data set; rows of other probabilities are none."""
        return len(self.inputs) if self.shares is None else None

    @property
    def terms(self) -> int:
        """n."""
        return len(self.inputs)

    def hessian(self) -> Float[Array, "d d"]:
        """H = sum p_i x_i x_i^T."""
        return self._product(self.inputs, self.inputs)

    def at(self, weights: Float[Array, "o d"]) -> AtWeights:
        """With r_i = W x_i - y_i: ||r_i||^2 of the rows, sum p_i r_i x_i^T and the mean of ||r_i||^2 / 2."""
        residual = self.inputs @ weights.T - self.targets
        squares = jnp.sum(residual**2, axis=1)
        mean = squares.mean() if self.shares is None else self.shares @ squares
        return AtWeights(squares, self._product(residual, self.inputs), mean / 2)

    def weighted(self, covariance: Float[Array, "d d"], squares: Float[Array, " n"]) -> Float[Array, "d d"]:
        """sum p_i (x_i^T C x_i + ||r_i||^2) x_i x_i^T."""
        scale = jnp.sum((self.inputs @ covariance) * self.inputs, axis=1) + squares
        return self._product(self.inputs * scale[:, None], self.inputs)

    def _product(self, left: Float[Array, "n a"], right: Float[Array, "n d"]) -> Float[Array, "a d"]:
        """sum p_i left_i right_i^T."""
        if self.shares is None:
            return left.T @ right / len(right)
        return (left * self.shares[:, None]).T @ right


def row_numbers(uniforms: Float[Array, " k"], cumulative: Float[Array, " n"]) -> Int[Array, " k"]:
    """The first row whose cumulative probability reaches each of the uniform numbers."""
    found = jnp.searchsorted(cumulative, uniforms)
    return jnp.minimum(found, len(cumulative) - 1).astype(jnp.int32)
