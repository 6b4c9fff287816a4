"""Laws of finitely many examples: an example is one of some rows."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from linvar.laws.rows import Rows
from linvar.numeric.floats import to_floats
from linvar.numeric.laws.law import AtWeights, Batch, FiniteRule, NumericLaw, Sampler
from linvar.numeric.laws.mixture import MOST_LEVELS, Choice, Mixture
from linvar.numeric.schemes.scheme import NumericScheme
from linvar.numeric.schemes.without_replacement import numbers_below


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
        return RowSampler(tuple(map(jnp.asarray, self._arrays(dtype))), self._cumulative(dtype), scheme)

    def rare_sampler(self, scheme: NumericScheme, degree: int, plain_probability: float) -> TiltedRows:
        """Rows in proportion to the powers 1, 2, 4, ... of their squared length, times their probability."""
        inputs, targets = self._arrays("float64")
        lengths = np.sum(inputs**2, axis=1) + np.sum(targets**2, axis=1)
        size, shares = len(lengths), self.shares
        relative = np.log(np.ones(size) if shares is None else size * shares)  # log(n p_i)
        powers = 2.0 ** np.arange(min(MOST_LEVELS, max(2, math.ceil(math.log2(degree)))))
        scores = powers[:, None] * np.log(np.maximum(lengths, 1e-300))[None, :] + relative
        totals = np.logaddexp.reduce(scores, axis=1, keepdims=True)
        tilted = scores - totals - relative + math.log(size)  # log(q_k(i) / p_i)
        # one percent of plain rows keeps every ratio positive
        log_ratios = np.logaddexp(tilted + math.log(0.99), math.log(0.01))
        sums = np.cumsum(np.exp(log_ratios + relative), axis=1) / size
        return TiltedRows(
            self.sampler(scheme, "float64"), jnp.asarray(log_ratios), jnp.asarray(sums), plain_probability
        )

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


@partial(jax.tree_util.register_dataclass, data_fields=["data", "cumulative"], meta_fields=["scheme"])
@dataclass(frozen=True)
class RowSampler(Sampler):
    """Rows of data: independent ones of the probabilities whose sums are ``cumulative``, up to the rounding of uniform numbers.

    Without ``cumulative`` each row is as likely as the others, and the scheme draws a batch.

    Attributes:
        data: arrays with the examples first: inputs and targets; or any pytree of them, of which then the rows are.
        cumulative: (n,), or None.
        scheme: how a batch is drawn.
    """

    data: PyTree
    cumulative: jax.Array | None
    scheme: NumericScheme

    @property
    def size(self) -> int:
        """n."""
        return int(jax.tree.leaves(self.data)[0].shape[0])

    @property
    def counts(self) -> bool:
        """Of a subset: how many rows stay out."""
        return not self.scheme.independent

    def of(self, numbers: Int[Array, " rows"]) -> PyTree:
        """The rows of these numbers."""
        return jax.tree.map(lambda part: part[numbers], self.data)

    def begin(self, key: Key[Array, ""], row_key: Key[Array, ""], batch_size: Float[Array, ""]) -> tuple[Any, Any]:
        """The key of the rows, and what the scheme keeps."""
        return row_key, self.scheme.begin(row_key, self.size, batch_size)

    def more(self, state: tuple[Any, Any], number: Int[Array, ""], rows: int) -> tuple[tuple[Any, Any], PyTree]:
        """The next rows."""
        key, kept = state
        own_key = jax.random.fold_in(key, number)
        if self.cumulative is None:
            own = numbers_below(own_key, jnp.full(rows, self.size, jnp.int32))
        else:
            own = row_numbers(jax.random.uniform(own_key, (rows,), self.cumulative.dtype), self.cumulative)
        kept, found = self.scheme.more(kept, number, own)
        return (key, kept), self.of(found)

    def bytes_at_once(self, rows: int) -> int:
        """The rows drawn, their numbers, and what the scheme needs."""
        own = 16 + 2 * sum(int(part.nbytes) for part in jax.tree.leaves(self.data)) // self.size
        return rows * own + self.scheme.bytes_per_batch(self.size)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["plain", "log_ratios", "tilted"],
    meta_fields=["plain_probability"],
)
@dataclass(frozen=True)
class TiltedRows(Mixture):
    """Rows, some in proportion to powers of their length.

    ``log_ratios`` is log rho_k(i) = log(q_k(i) / p_i) and ``tilted`` sum_{j <= i} q_k(j), both of shape (levels, n).
    """

    plain: RowSampler
    log_ratios: jax.Array
    tilted: jax.Array
    plain_probability: float

    @property
    def levels(self) -> int:
        """As many as there are powers."""
        return len(self.log_ratios)

    @property
    def independent(self) -> bool:
        """As the scheme says."""
        return self.plain.scheme.independent

    def begin_rows(
        self, key: Key[Array, ""], uniform: Float[Array, ""], batch_size: Float[Array, ""], choice: Choice
    ) -> tuple[Any, Any]:
        """The key, and what the scheme keeps; a subset begins with a row of its own, exaggerated or not."""
        (first,) = self._rows(uniform[None], choice.level, (choice.first >= 0)[None])
        return key, self.plain.scheme.begin(key, self.log_ratios.shape[1], batch_size, first)

    def more_rows(
        self, state: tuple[Any, Any], number: Int[Array, ""], level: Int[Array, ""], chosen: Bool[Array, " rows"]
    ) -> tuple[tuple[Any, Any], Batch, Float[Array, "levels rows"]]:
        """The next rows."""
        key, kept = state
        uniforms = jax.random.uniform(jax.random.fold_in(key, number), chosen.shape, self.log_ratios.dtype)
        kept, found = self.plain.scheme.more(kept, number, self._rows(uniforms, level, chosen))
        return (key, kept), self.plain.of(found), self.log_ratios[:, found]

    def _rows(self, uniforms: Float[Array, " k"], level: Int[Array, ""], chosen: Bool[Array, " k"]) -> Int[Array, " k"]:
        """Independent rows, those chosen exaggerated."""
        size, cumulative = self.log_ratios.shape[1], self.plain.cumulative
        plain = (uniforms * size).astype(jnp.int32) if cumulative is None else row_numbers(uniforms, cumulative)
        return jnp.where(chosen, row_numbers(uniforms, self.tilted[level]), plain)

    def bytes_at_once(self, rows: int) -> int:
        """Those of plain rows, and the ratios."""
        return self.plain.bytes_at_once(rows) + 24 * rows * self.levels


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
