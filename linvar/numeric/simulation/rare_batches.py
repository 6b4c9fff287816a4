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

import jax
import numpy as np
from jaxtyping import Array, Float64, Key

from linvar.errors import InputError
from linvar.numeric.arguments import check_at_least, check_batch_sizes, check_key, check_numeric_problem
from linvar.numeric.laws.law import RareSampler
from linvar.numeric.laws.twins import numeric_law
from linvar.numeric.schemes.scheme import numeric_scheme
from linvar.numeric.simulation.run_moments import dot
from linvar.numeric.simulation.runs import CPU_CHUNK_BYTES, Runs
from linvar.problem import Problem


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
        compiled = Runs(problem, "float64", source)
        chunks = -(-runs // max(1, CPU_CHUNK_BYTES // compiled.bytes_per_run))
        size = -(-runs // chunks)
        parts = []
        for start in range(0, runs, size):  # past the end too: one compilation
            ends = compiled.ends(key, batch_size, range(start, start + size))
            layers = [np.asarray(layer).reshape(size, -1) for layer in ends.gradients]
            with np.errstate(all="ignore"):  # runs that overflow are seen in the moments
                norms = np.sum([dot(layer, layer) for layer in layers], axis=0)
            parts.append([np.asarray(column)[: runs - start] for column in (ends.log_ratios, norms, ends.losses)])
    log_ratios, norms, losses = map(np.concatenate, zip(*parts))
    return RareBatches(np.exp(-log_ratios), norms, losses)


def _source(problem: Problem) -> RareSampler | None:
    """The law with its exaggerations, if it has any, up to what the degree of ||G_t||^2 in the examples asks for."""
    degree = max(1, 2 * problem.degree_in_example * problem.growth ** min(problem.step, 20))
    plain = max(0.5, problem.step / (problem.step + 1))
    return numeric_law(problem.law).rare_sampler(numeric_scheme(problem.sampling), degree, plain)
