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

from linvar.laws import Dataset, Gaussian
from linvar.numeric.network import to_floats
from linvar.problem import Problem

Batch: TypeAlias = tuple[Float[Array, "batch input"], Float[Array, "batch output"]]


@partial(
    jax.tree_util.register_dataclass, data_fields=["teacher", "mean", "factor", "noise_scale"], meta_fields=["noisy"]
)
@dataclass(frozen=True)
class GaussianSampler:
    """x = mean + factor z, y = teacher x + noise_scale e, with z and e standard normal."""

    teacher: Any
    mean: Any
    factor: Any
    noise_scale: Any
    noisy: bool

    def draw(self, key: Key[Array, ""], batch_size: int) -> Batch:
        """A batch of independent examples."""
        inputs, outputs = self.factor.shape[0], self.teacher.shape[0] if self.noisy else 0
        # one call for inputs and noise: the generator is most of the compilation time
        normal = jax.random.normal(key, (batch_size, inputs + outputs), self.factor.dtype)
        x = self.mean + normal[:, :inputs] @ self.factor.T
        y = x @ self.teacher.T
        return x, y + self.noise_scale * normal[:, inputs:] if self.noisy else y

    def bytes_per_batch(self, batch_size: int) -> int:
        """Working memory of one batch, roughly: the normals, their bits, inputs and targets."""
        return batch_size * self.factor.dtype.itemsize * (4 * len(self.mean) + 4 * len(self.teacher))


@partial(jax.tree_util.register_dataclass, data_fields=["inputs", "targets"], meta_fields=["replacement"])
@dataclass(frozen=True)
class DatasetSampler:
    """Rows of a data set, each batch drawn with or without replacement."""

    inputs: Any
    targets: Any
    replacement: bool

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


def sampler_from_problem(problem: Problem, dtype: str = "float64") -> GaussianSampler | DatasetSampler:
    """The sampler of a problem's law and sampling, its numbers rounded to ``dtype``.

    Args:
        problem: a problem without symbols.
        dtype: "float64" or "float32"; float64 arrays are made inside ``jax.enable_x64(True)`` only.
    """
    law = problem.law
    if isinstance(law, Dataset):
        inputs, targets = to_floats(law.inputs, "inputs", dtype), to_floats(law.targets, "targets", dtype)
        return DatasetSampler(jnp.asarray(inputs), jnp.asarray(targets), problem.sampling == "iid")
    return GaussianSampler(
        teacher=jnp.asarray(to_floats(law.teacher, "teacher", dtype)),
        mean=jnp.asarray(to_floats(law.mean, "mean", dtype)),
        factor=jnp.asarray(_square_root(law, dtype)),
        noise_scale=jnp.asarray(np.sqrt(to_floats(law.noise_variance, "noise_variance", dtype))),
        noisy=law.noise_variance != 0,
    )


def _square_root(law: Gaussian, dtype: str) -> np.ndarray:
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
