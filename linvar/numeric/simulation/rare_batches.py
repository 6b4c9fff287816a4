"""How much of a mean comes from batches too rare to be drawn: the same SGD on extreme batches, reweighted exactly.

After a few steps E ||G_t||^2 may live on batches of probability 1e-12, and a plain sample of any size that fits a
machine then looks light-tailed and is wrong by orders of magnitude: nothing in the sample betrays it. So a second
sample is drawn in which, at each step and with a fixed probability, one example of the batch (or every example) is
drawn from an exaggerated law: standard normals stretched by c, or rows in proportion to a power of their length. With p
the law of a batch and M p that mixture, E f = E_mixture[f / M], and 1 / M is at most the reciprocal of the probability
of "nothing exaggerated": an unbiased estimate with bounded weights (importance sampling with a defensive mixture,
Hesterberg 1995, Technometrics 37, 185-194).

Which batches, and M: the law's twin (``numeric/laws``) and ``numeric/laws/mixture.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Float64, Key, UInt

from linvar.errors import InputError
from linvar.numeric.arguments import check_at_least, check_batch_sizes, check_key, check_numeric_problem
from linvar.numeric.floats import to_floats
from linvar.numeric.laws.law import RareBatch, RareSampler
from linvar.numeric.laws.mixture import MOST_LEVELS
from linvar.numeric.laws.twins import numeric_law
from linvar.numeric.models.model import NumericModel
from linvar.numeric.models.registry import numeric_model
from linvar.numeric.schemes.scheme import numeric_scheme
from linvar.numeric.simulation.update import update_from_problem
from linvar.problem import Problem

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
        InputTypeError, InputError: as :func:`linvar.numeric.simulate`; or the law has no way to draw rare batches.

    >>> from linvar import Gaussian, Problem
    >>> sample = rare_batches(jax.random.key(0), Problem([[[2]]], Gaussian([[-1]])), batch_size=1, runs=4000)
    >>> bool(abs(np.mean(sample.weights * sample.second_moment_terms) - 27) < 3)
    True
    """
    found = find_rare_batches(key, problem, batch_size=batch_size, runs=runs)
    if found is None:
        cure = "give its numeric twin a rare_sampler; linvar.verify goes without, and answers UNRESOLVED"
        raise InputError("law", problem.law, cure, fault="has no sampler for rare batches")
    return found


def find_rare_batches(key: Key[Array, ""], problem: Problem, *, batch_size: int, runs: int) -> RareBatches | None:
    """As :func:`rare_batches`; None where the law has no way to draw them."""
    check_key(key)
    check_numeric_problem(problem)
    (batch_size,) = check_batch_sizes([batch_size], problem.largest_batch_size)
    runs = check_at_least(runs, "runs", 1, "give the number of runs, >= 1")
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        source = _source(problem)
        if source is None:
            return None
        model = numeric_model(problem)
        params = model.leaves(problem)
        rates = jnp.asarray(to_floats(problem.learning_rates, "learning_rate", "float64"))
        update = update_from_problem(problem)
        one_run = 200 + 8 * 7 * sum(leaf.size for leaf in params) + 24 * (problem.dataset_size or 0)
        one_run += 8 * batch_size * (2 * model.activations + 2 * MOST_LEVELS)
        chunk = _chunk(one_run, runs)
        parts = []
        for start in range(0, runs, chunk):
            indices = jnp.arange(start, start + chunk, dtype=jnp.uint32)
            part: _Terms = _run_chunk(model, update, batch_size, key, indices, params, source, rates)
            parts.append([np.asarray(column)[: runs - start] for column in part])
    log_weights, norms, losses = map(np.concatenate, zip(*parts))
    return RareBatches(np.exp(log_weights), norms, losses)


def _chunk(one_run: int, runs: int) -> int:
    """How many runs at a time, of so many bytes each."""
    chunks = -(-runs // max(1, _CHUNK_BYTES // one_run))
    return -(-runs // chunks)


def _source(problem: Problem) -> RareSampler | None:
    """The law with its exaggerations, if it has any, up to what the degree of ||G_t||^2 in the examples asks for."""
    degree = max(1, 2 * problem.degree_in_example * problem.growth ** min(problem.step, 20))
    plain = max(0.5, problem.step / (problem.step + 1))
    return numeric_law(problem.law).rare_sampler(numeric_scheme(problem.sampling), degree, plain)


class _State(NamedTuple):
    """Of a run on its way: parameters and the optimizer's memory; the last gradient and loss; -log M of all batches."""

    params: Any
    memory: Any
    gradient: Any
    value: jax.Array
    log_weight: jax.Array


class _Terms(NamedTuple):
    """Of each run: -log M, ||G||^2 and the loss of the last batch."""

    log_weights: jax.Array
    norms: jax.Array
    losses: jax.Array


@partial(jax.jit, static_argnums=(0, 1, 2))
def _run_chunk(
    model: NumericModel,
    update: optax.GradientTransformation,
    batch_size: int,
    key: Key[Array, ""],
    indices: UInt[Array, " runs"],
    params: Any,
    source: RareSampler,
    rates: Float[Array, " steps"],
) -> _Terms:
    """The runs ``indices``."""

    def batch_value(params: Any, batch: RareBatch) -> jax.Array:
        """Mean loss of the batch."""
        return model.batch_loss(params, batch.inputs, batch.targets)

    def one_run(index: jax.Array) -> _Terms:
        """One SGD run on exaggerated batches."""
        run_key = jax.random.fold_in(jax.random.fold_in(key, batch_size), index)

        def advance(state: _State, now: tuple[jax.Array, jax.Array]) -> tuple[_State, None]:
            """Measure the gradient on a fresh batch, then update all layers at once."""
            number, rate = now
            batch = source.draw(jax.random.fold_in(run_key, number), batch_size)
            value, gradient = jax.value_and_grad(batch_value)(state.params, batch)
            directions, memory = update.update(gradient, state.memory, state.params)
            updated = jax.tree.map(lambda weight, direction: weight - rate * direction, state.params, directions)
            return _State(updated, memory, gradient, value, state.log_weight - batch.log_ratio), None

        numbers = jnp.arange(len(rates) + 1, dtype=jnp.uint32)
        zero = jnp.zeros((), rates.dtype)
        start = _State(params, update.init(params), params, zero, zero)
        end, _ = jax.lax.scan(advance, start, (numbers, jnp.append(rates, 0)))
        norm = sum((jnp.sum(leaf**2) for leaf in jax.tree.leaves(end.gradient)), zero)
        return _Terms(end.log_weight, norm, end.value)

    terms: _Terms = jax.vmap(one_run)(indices)
    return terms
