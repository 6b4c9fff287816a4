"""How much of a mean comes from batches too rare to be drawn: the same SGD on extreme batches, reweighted exactly.

After a few steps E ||G_t||^2 may live on batches of probability 1e-12, and a plain sample of any size that fits a
machine then looks light-tailed and is wrong by orders of magnitude: nothing in the sample betrays it. So a second
sample is drawn in which, at each step and with a fixed probability, one example of the batch (or every example) is
drawn from an exaggerated law: standard normals stretched by c, or rows of a data set in proportion to a power of
their length. With p the law of a batch and M p that mixture, E f = E_mixture[f / M], and 1 / M is at most the
reciprocal of the probability of "nothing exaggerated": an unbiased estimate with bounded weights (importance
sampling with a defensive mixture, Hesterberg 1995, Technometrics 37, 185-194).

For one example let rho_k be exaggerated over plain density. Then M is a mean over k of: mean_j rho_k(z_j) (one
example; the same formula holds for random subsets) and prod_j rho_k(z_j) (every example; batches drawn iid only).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float64, Key, UInt

from linvar.numeric.arguments import check_at_least, check_batch_sizes, check_key, check_numeric_problem
from linvar.numeric.laws.sampling import GaussianSampler, random_subset, sampler_from_problem
from linvar.numeric.models.linear import batch_loss, network_from_problem, to_floats
from linvar.numeric.simulation.update import update_from_problem
from linvar.problem import Problem

_MOST_LEVELS = 12
_CHUNK_BYTES = 2**26


@dataclass(frozen=True, eq=False)
class RareBatches:
    """Reweighted runs: the mean of ``weights * f`` over them is an unbiased estimate of E f.

    Attributes:
        weights: (runs,): 1 / M, the likelihood ratios; their expectation is 1.
        second_moment_terms: (runs,): ||G_t||^2, summed over layers.
        loss_terms: (runs,): mean loss of the batch G_t is measured on.
    """

    weights: Float64[np.ndarray, " runs"]
    second_moment_terms: Float64[np.ndarray, " runs"]
    loss_terms: Float64[np.ndarray, " runs"]


def rare_batches(key: Key[Array, ""], problem: Problem, *, batch_size: int, runs: int) -> RareBatches:
    """Runs of SGD with exaggerated batches and their likelihood ratios (float64).

    Args:
        key: a typed key.
        problem: a problem without symbols.
        batch_size: b.
        runs: number of independent runs.

    Returns:
        The terms of each run, with weights of mean 1.

    Raises:
        InputTypeError, InputError: as :func:`linvar.numeric.simulate`.

    >>> from linvar import Gaussian, Problem
    >>> sample = rare_batches(jax.random.key(0), Problem([[[2]]], Gaussian([[-1]])), batch_size=1, runs=4000)
    >>> bool(abs(np.mean(sample.weights * sample.second_moment_terms) - 27) < 3)
    True
    """
    check_key(key)
    check_numeric_problem(problem)
    (batch_size,) = check_batch_sizes([batch_size], problem.largest_batch_size)
    runs = check_at_least(runs, "runs", 1, "give the number of runs, >= 1")
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        source = _source(problem)
        graph, params = nnx.split(network_from_problem(problem))
        rates = jnp.asarray(to_floats(problem.learning_rates, "learning_rate", "float64"))
        update = update_from_problem(problem)
        chunk = _chunk(problem, batch_size, runs)
        parts = []
        for start in range(0, runs, chunk):
            indices = jnp.arange(start, start + chunk, dtype=jnp.uint32)
            part = _run_chunk(graph, update, batch_size, key, indices, params, source, rates)
            parts.append([np.asarray(column)[: runs - start] for column in part])
    log_weights, norms, losses = map(np.concatenate, zip(*parts))
    return RareBatches(np.exp(log_weights), norms, losses)


def _chunk(problem: Problem, batch_size: int, runs: int) -> int:
    """How many runs at a time."""
    size = 200 + 8 * (7 * sum(a * b for a, b in zip(problem.widths, problem.widths[1:])))
    size += 8 * batch_size * (4 * sum(problem.widths) + 2 * _MOST_LEVELS) + 24 * (problem.dataset_size or 0)
    chunks = -(-runs // max(1, _CHUNK_BYTES // size))
    return -(-runs // chunks)


@partial(jax.tree_util.register_dataclass, data_fields=["sampler", "stretch"], meta_fields=["plain_probability"])
@dataclass(frozen=True)
class _Gaussian:
    """Standard normals, stretched by each of ``stretch``."""

    sampler: GaussianSampler
    stretch: Any
    plain_probability: float

    def draw(self, key: Key[Array, ""], batch_size: int) -> tuple[Any, Any, Any]:
        """Inputs, targets and log M of one batch."""
        law = self.sampler
        inputs, outputs = law.factor.shape[0], law.teacher.shape[0] if law.noisy else 0
        normal_key, choice_key = jax.random.split(key)
        normal = jax.random.normal(normal_key, (batch_size, inputs + outputs), law.factor.dtype)
        choices = jax.random.uniform(choice_key, (3,), law.factor.dtype)
        level, chosen = _choose(choices, len(self.stretch), self.plain_probability, batch_size, True)
        normal = jnp.where(chosen[:, None], self.stretch[level] * normal, normal)
        x = law.mean + normal[:, :inputs] @ law.factor.T
        y = x @ law.teacher.T
        if law.noisy:
            y = y + law.noise_scale * normal[:, inputs:]
        squares = jnp.sum(normal**2, axis=1)[None, :] / 2
        ratios = (1 - self.stretch[:, None] ** -2) * squares - (inputs + outputs) * jnp.log(self.stretch)[:, None]
        return x, y, _log_mixture(ratios, self.plain_probability, True)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["inputs", "targets", "log_ratios", "cumulative"],
    meta_fields=["plain_probability", "replacement"],
)
@dataclass(frozen=True)
class _Dataset:
    """Rows, in proportion to powers of their length.

    ``log_ratios`` is log(n q_k(i)) and ``cumulative`` sum_{j <= i} q_k(j), both of shape (levels, n).
    """

    inputs: Any
    targets: Any
    log_ratios: Any
    cumulative: Any
    plain_probability: float
    replacement: bool

    def draw(self, key: Key[Array, ""], batch_size: int) -> tuple[Any, Any, Any]:
        """Inputs, targets and log M of one batch."""
        levels, size = self.log_ratios.shape
        subset_key, uniform_key = jax.random.split(key)
        drawn = batch_size if self.replacement else 1
        uniforms = jax.random.uniform(uniform_key, (3 + drawn,), self.inputs.dtype)
        level, chosen = _choose(uniforms[:3], levels, self.plain_probability, batch_size, self.replacement)
        plain = (uniforms[3:] * size).astype(jnp.int32)
        tilted = jnp.minimum(jnp.searchsorted(self.cumulative[level], uniforms[3:]), size - 1).astype(jnp.int32)
        if self.replacement:
            rows = jnp.where(chosen, tilted, plain)
        else:  # one row, plain or exaggerated, and a uniform subset of the others
            first = jnp.where(jnp.any(chosen), tilted, plain)
            others = random_subset(subset_key, size - 1, batch_size - 1)
            rows = jnp.concatenate([first, others + (others >= first)])
        return (
            self.inputs[rows],
            self.targets[rows],
            _log_mixture(self.log_ratios[:, rows], self.plain_probability, self.replacement),
        )


def _choose(uniforms: Any, levels: int, plain: float, batch_size: int, every: bool) -> tuple[Any, Any]:
    """A level, and which examples are exaggerated: none, one, or (where ``every``) all of them."""
    coin = uniforms[0]
    level = (uniforms[1] * levels).astype(jnp.int32)
    one = jnp.arange(batch_size) == (uniforms[2] * batch_size).astype(jnp.int32)
    everyone = jnp.logical_and(every, coin > (1 + plain) / 2)
    return level, jnp.where(coin < plain, False, jnp.where(everyone, True, one))


def _log_mixture(ratios: Float[Array, "levels batch"], plain: float, every: bool) -> Any:
    """log M from log rho_k(z_j)."""
    levels, batch_size = ratios.shape
    one = jax.nn.logsumexp(ratios, axis=1) - math.log(batch_size)
    kinds = jnp.logaddexp(one, jnp.sum(ratios, axis=1)) - math.log(2) if every else one
    exaggerated = jax.nn.logsumexp(kinds) - math.log(levels)
    return jnp.logaddexp(math.log(plain), math.log1p(-plain) + exaggerated)


def _source(problem: Problem) -> _Gaussian | _Dataset:
    """The law with its ladder of exaggerations, up to what the degree of ||G_t||^2 asks for."""
    degree = 4 * (2 * problem.depth - 1) ** min(problem.step, 20)
    plain = max(0.5, problem.step / (problem.step + 1))
    sampler = sampler_from_problem(problem)
    if isinstance(sampler, GaussianSampler):
        width = sampler.factor.shape[0] + (sampler.teacher.shape[0] if sampler.noisy else 0)
        # |z|^degree times the normal density peaks at |z|^2 = degree: a stretch of sqrt(degree / width)
        levels = min(_MOST_LEVELS, max(3, math.ceil(math.log2(max(degree / width, 1))) + 1))
        return _Gaussian(sampler, jnp.sqrt(2.0 ** jnp.arange(1, levels + 1)), plain)
    lengths = jnp.sum(sampler.inputs**2, axis=1) + jnp.sum(sampler.targets**2, axis=1)
    powers = 2.0 ** jnp.arange(min(_MOST_LEVELS, max(2, math.ceil(math.log2(degree)))))
    scores = powers[:, None] * jnp.log(jnp.maximum(lengths, 1e-300))[None, :]
    # one percent of plain rows keeps every ratio positive
    tilted = jax.nn.log_softmax(scores, axis=1) + math.log(len(lengths))
    log_ratios = jnp.logaddexp(tilted + math.log(0.99), math.log(0.01))
    return _Dataset(
        sampler.inputs,
        sampler.targets,
        log_ratios,
        jnp.cumsum(jnp.exp(log_ratios), axis=1) / len(lengths),
        plain,
        problem.sampling == "iid",
    )


@partial(jax.jit, static_argnums=(0, 1, 2))
def _run_chunk(
    graph: Any,
    update: Any,
    batch_size: int,
    key: Key[Array, ""],
    indices: UInt[Array, " runs"],
    params: Any,
    source: Any,
    rates: Float[Array, " steps"],
) -> tuple[Any, Any, Any]:
    """log weight, ||G||^2 and loss of each run."""

    def batch_value(params: Any, inputs: Any, targets: Any) -> Any:
        """Mean loss of the batch."""
        return batch_loss(nnx.merge(graph, params), inputs, targets)

    def one_run(index: Any) -> Any:
        """One SGD run on exaggerated batches."""
        run_key = jax.random.fold_in(jax.random.fold_in(key, batch_size), index)

        def advance(state: Any, now: Any) -> tuple[Any, None]:
            """Measure the gradient on a fresh batch, then update all layers at once."""
            (params, memory, _, _, log_weight), (step, rate) = state, now
            inputs, targets, log_ratio = source.draw(jax.random.fold_in(run_key, step), batch_size)
            value, gradient = jax.value_and_grad(batch_value)(params, inputs, targets)
            directions, memory = update.update(gradient, memory, params)
            updated = jax.tree.map(lambda weight, direction: weight - rate * direction, params, directions)
            return (updated, memory, gradient, value, log_weight - log_ratio), None

        steps = jnp.arange(len(rates) + 1, dtype=jnp.uint32)
        zero = jnp.zeros((), rates.dtype)
        start = params, update.init(params), params, zero, zero
        (*_, gradient, value, log_weight), _ = jax.lax.scan(advance, start, (steps, jnp.append(rates, 0)))
        return log_weight, sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)), value

    return jax.vmap(one_run)(indices)
