"""Random batches of the law of a problem, drawn with typed keys.

A sampler is a pytree: arrays of the law inside, what changes the program (sampling, noise or not) as metadata.
Only the statement of the law is read here, none of its formulas.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from linvar.laws.dataset import Dataset
from linvar.laws.gaussian import Gaussian
from linvar.numeric.models.linear import to_floats
from linvar.problem import Problem

Batch: TypeAlias = tuple[Float[Array, "batch input"], Float[Array, "batch output"]]


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["teacher", "mean", "factor", "noise_scale"],
    meta_fields=["noisy", "second_moments"],
)
@dataclass(frozen=True)
class GaussianSampler:
    """x = mean + factor z, y = teacher x + noise_scale e, with z and e standard normal.

    With ``second_moments``, a batch is not its b examples but at most d + 1 others (d entries of z and e) with the same
    matrix (1/b) sum of (1, z, e) (1, z, e)^T in law: all that a quadratic loss sees of a batch, at a cost that does not grow
    with b. For d standard normals the mean is N(0, I/b), and, independent of it, the scatter is a Wishart matrix of b - 1
    degrees of freedom, L L^T with normals below the diagonal of L and roots of chi squares on it (Bartlett, 1933).
    """

    teacher: Any
    mean: Any
    factor: Any
    noise_scale: Any
    noisy: bool
    second_moments: bool = False

    @property
    def _normals(self) -> int:
        """Entries of z and e."""
        return self.factor.shape[0] + (self.teacher.shape[0] if self.noisy else 0)

    def rows(self, batch_size: int) -> int:
        """How many examples ``draw`` gives for a batch."""
        return min(batch_size, self._normals + 1) if self.second_moments else batch_size

    def draw(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """A batch of independent examples, or one with its second moments."""
        inputs = self.factor.shape[0]
        if self.second_moments:
            ones, normal = self._bartlett(key, batch_size)
        else:
            # one call for inputs and noise: the generator is most of the compilation time
            ones, normal = 1, jax.random.normal(key, (batch_size, self._normals), self.factor.dtype)
        x = ones * self.mean + normal[:, :inputs] @ self.factor.T
        y = x @ self.teacher.T
        return x, y + self.noise_scale * normal[:, inputs:] if self.noisy else y

    def _bartlett(self, key: Key[Array, ""], batch_size: int) -> tuple[Any, Any]:
        """Rows (1, z, e) whose mean product is that of a batch: one for its mean, one a column of L."""
        width, dtype = self._normals, self.factor.dtype
        rows = self.rows(batch_size)
        normal_key, diagonal_key = jax.random.split(key)
        normal = jax.random.normal(normal_key, (rows, width), dtype)  # the mean's row, then columns of L
        columns = jnp.arange(rows - 1)
        freedom = jnp.asarray(batch_size - 1.0, dtype) - columns.astype(dtype)  # floats: b may exceed 32 bits
        diagonal = jnp.sqrt(jax.random.chisquare(diagonal_key, freedom, dtype=dtype))
        below = jnp.arange(width)[None, :] > columns[:, None]
        factor = jnp.where(below, normal[1:], 0).at[columns, columns].set(diagonal)
        scale = jnp.sqrt(jnp.asarray(rows / batch_size, dtype))  # the mean over rows stands for that over the batch
        ones = jnp.zeros((rows, 1), dtype).at[0].set(jnp.sqrt(jnp.asarray(rows, dtype)))
        return ones, scale * jnp.concatenate([normal[:1], factor])

    def bytes_per_batch(self, batch_size: int) -> int:
        """Working memory of one batch, roughly: the normals, their bits, inputs and targets."""
        return self.rows(batch_size) * self.factor.dtype.itemsize * (4 * len(self.mean) + 4 * len(self.teacher))


@partial(jax.tree_util.register_dataclass, data_fields=["inputs", "targets"], meta_fields=["replacement"])
@dataclass(frozen=True)
class DatasetSampler:
    """Rows of a data set, each batch drawn with or without replacement."""

    inputs: Any
    targets: Any
    replacement: bool

    def rows(self, batch_size: int) -> int:
        """How many examples ``draw`` gives for a batch."""
        return batch_size

    def draw(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """A batch: ``batch_size`` independent rows, or a uniformly random subset of ``batch_size`` rows."""
        size = self.inputs.shape[0]
        if self.replacement:
            rows = jax.random.randint(key, (batch_size,), 0, size, jnp.int32)
        else:
            rows = random_subset(key, size, batch_size)
        return self.inputs[rows], self.targets[rows]

    def bytes_per_batch(self, batch_size: int) -> int:
        """Working memory of one batch, roughly: the rows drawn, their numbers, and a mask of the data set."""
        width = self.inputs.shape[1] + self.targets.shape[1]
        mask = 0 if self.replacement else 9 * len(self.inputs)
        return batch_size * (2 * self.inputs.dtype.itemsize * width + 16) + mask


def key_of(seed: int) -> Any:
    """The typed key of a seed; all its 64 bits count, also where JAX computes in 32.

    >>> bool(key_of(2**32) == key_of(0))
    False
    """
    with jax.enable_x64(True):
        return jax.random.key(seed)


def random_subset(key: Key[Array, ""], size: int, count: int) -> Int[Array, " count"]:
    """A uniformly random subset of ``count`` of the numbers 0..size-1, every subset equally likely.

    Floyd's algorithm (Bentley and Floyd, 1987): for j = size-count .. size-1 draw t uniformly from 0..j and
    add t, or j if t is already in. It needs ``count`` draws whatever the size; past one half, the numbers left
    out are drawn instead. At ``count = size`` nothing is random and the numbers come in order.

    Args:
        key: a typed key.
        size: n, how many numbers to choose from.
        count: how many to choose, 0 <= count <= size.

    Returns:
        The chosen numbers, distinct; their order carries no meaning.

    >>> random_subset(jax.random.key(0), 4, 4)
    Array([0, 1, 2, 3], dtype=int32)
    """
    drawn = min(count, size - count)
    last = jnp.arange(size - drawn, size, dtype=jnp.int32)
    proposals = jax.random.randint(key, (drawn,), jnp.int32(0), last + 1, jnp.int32)

    def add(chosen: Any, proposal: Any) -> tuple[Any, Any]:
        """Put one more number into the mask of chosen ones."""
        candidate, fallback = proposal
        number = jnp.where(chosen[candidate], fallback, candidate)
        return chosen.at[number].set(True), number

    chosen, numbers = jax.lax.scan(add, jnp.zeros(size, bool), (proposals, last))
    if drawn == count:
        return numbers
    return jnp.nonzero(~chosen, size=count)[0].astype(jnp.int32)


def sampler_from_problem(
    problem: Problem, dtype: str = "float64", *, second_moments: bool = False
) -> GaussianSampler | DatasetSampler:
    """The sampler of a problem's law and sampling, its numbers rounded to ``dtype``.

    Args:
        problem: a problem without symbols.
        dtype: "float64" or "float32"; float64 arrays are made inside ``jax.enable_x64(True)`` only.
        second_moments: draw batches' second moments, not their examples; for a Gaussian law.
    """
    law = problem.law
    if isinstance(law, Dataset):
        inputs, targets = to_floats(law.inputs, "inputs", dtype), to_floats(law.targets, "targets", dtype)
        return DatasetSampler(jnp.asarray(inputs), jnp.asarray(targets), problem.sampling == "iid")
    return GaussianSampler(
        teacher=jnp.asarray(to_floats(law.teacher, "teacher", dtype)),
        mean=jnp.asarray(to_floats(law.mean, "mean", dtype)),
        factor=jnp.asarray(square_root(law, dtype)),
        noise_scale=jnp.asarray(np.sqrt(to_floats(law.noise_variance, "noise_variance", dtype))),
        noisy=law.noise_variance != 0,
        second_moments=second_moments,
    )


def square_root(law: Gaussian, dtype: str) -> np.ndarray:
    """F with F F^T = covariance: elimination L D L^T in exact numbers, then one square root a column.

    Exact, so that a direction without variance (a bias) has exactly none; singular covariances are welcome.
    """
    width = law.input_width
    rest: list[list[Any]] = [[Fraction(entry) for entry in row] for row in law.covariance]
    factor = np.zeros((width, width))
    for k in range(width):
        pivot = rest[k][k]
        if pivot == 0:
            continue
        column = [(i, rest[i][k] / pivot) for i in range(k, width) if rest[i][k] != 0]
        root = np.sqrt(to_floats(pivot, "covariance", "float64"))
        for i, ratio in column:
            factor[i, k] = float(ratio) * root
        for i, ratio in column:
            for j, other in column:
                rest[i][j] -= ratio * other * pivot
    return factor.astype(dtype)
