"""Moments of the gradient that many independent SGD runs end with (``runs.py``), from the same initial weights.

What is averaged over runs is centred: a first pass finds the mean gradient m (relative to the first run's, so that
runs that do not vary have exactly zero variance), a second one ||G_r - m||^2 and m . (G_r - m). Between the two the
gradients are kept when they fit the budget; otherwise the same keys make the same runs again. Sums over runs are done
on the host in float64, whatever the dtype of the runs.

Standard errors are those of ``run_moments.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from linvar.arguments import check_integer
from linvar.errors import InputError
from linvar.keywords import door
from linvar.numeric.arguments import (
    check_at_least,
    check_batch_sizes,
    check_choice,
    check_key,
    check_numeric_problem,
)
from linvar.numeric.estimates import Estimate
from linvar.numeric.laws.sampling import sampler_from_problem
from linvar.numeric.schemes.scheme import numeric_scheme
from linvar.numeric.simulation.results import Simulation, TrajectoryMoments
from linvar.numeric.simulation.run_moments import RunTerms, average, dot, quadruple_products
from linvar.numeric.simulation.runs import CPU_CHUNK_BYTES, Runs
from linvar.problem import Problem
from linvar.progress import Progress, reporting


@door
def simulate(
    key: Key[Array, ""],
    problem: Problem,
    *,
    batch_sizes: Sequence[int],
    runs: int,
    dtype: str = "float64",
    step: int | None = None,
    batches: str = "examples",
    byte_budget: int = 2**28,
    progress: bool | Progress | None = None,
) -> Simulation:
    """Simulate SGD on a problem and estimate the moments of its batch gradient, conditioned on the initial weights.

    Runs at different batch sizes are independent, and so are the batches of different steps. The result is a
    function of (key, problem, batch size, runs, dtype); ``byte_budget`` and the other batch sizes change at most
    the rounding.

    Args:
        key: a typed key, ``jax.random.key(seed)``.
        problem: a problem without symbols; its law, sampling, learning rates and step are used.
        batch_sizes: the values of b, integers >= 1, and <= n without replacement.
        runs: number of independent runs for each b, >= 2.
        dtype: "float64" (for checks) or "float32", of the runs; no global flag is touched.
        step: t, instead of ``problem.step``.
        batches: "examples" draws the examples of every batch. "second_moments", for a Gaussian law, draws what the gradient
            sees of them, (1/b) sum of (1, x, y) (1, x, y)^T, at a cost that does not grow with b (Bartlett's decomposition).
        byte_budget: bytes a chunk of runs may take, and the gradients kept between the two passes may take. What
            grows with ``runs`` beside it is a few floats a run and layer.
        progress: None (a bar or, without a terminal, a line every few seconds, if the work is long), True, False, or a function
            (done, total), in runs over all batch sizes and passes.

    Returns:
        A dictionary, shown as a table: batch size -> :class:`TrajectoryMoments`.

    Raises:
        InputTypeError: ``key`` is not a typed key, or an argument has the wrong type.
        InputError: a batch size or ``runs`` out of range, symbols in the problem, an unknown dtype, a law that
            cannot be drawn, or a single run that does not fit ``byte_budget``.

    >>> import linvar as lv
    >>> problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]]), learning_rate="1/10", step=1)
    >>> moments = lv.simulate(jax.random.key(0), problem, batch_sizes=[4, 16], runs=4000)
    >>> abs(moments[4].variance.z(lv.gradient_variance(problem)(4))) < 4
    True

    Next: ``linvar.verify`` puts the estimates beside what is derived.
    """
    check_key(key)
    check_numeric_problem(problem)
    second_moments = check_choice(batches, "batches", ("examples", "second_moments")) == "second_moments"
    if step is not None:
        problem = problem.replace(step=step)
    check_choice(dtype, "dtype", ("float64", "float32"))
    sizes = check_batch_sizes(batch_sizes, problem.largest_batch_size)
    runs = check_at_least(runs, "runs", 2, "a variance over runs needs at least 2")
    byte_budget = check_integer(byte_budget, "byte_budget")

    keep = runs * sum(len(matrix) * len(matrix[0]) for matrix in problem.leaves) * 8 <= byte_budget
    total, done = runs * len(sizes) * (1 if keep else 2), 0
    results = Simulation()
    with jax.enable_x64(dtype == "float64"), jax.default_matmul_precision("highest"):
        prepared = _Chunks(problem, dtype, byte_budget, second_moments)
        with reporting(progress, "simulation") as report:

            def count(finished: int) -> None:
                """Count finished runs."""
                nonlocal done
                done += finished
                report(done, total)

            for size in sizes:
                chunks = partial(prepared.chunks, key, size, runs, count)
                results[size] = _moments(chunks, size, runs, problem, keep, prepared.trace_share(size))
    return results


class _Chunk(NamedTuple):
    """Some of the runs: the index of the first; their gradients (runs, entries) of each layer, losses and traces (runs,)."""

    first: int
    layers: list[np.ndarray]
    losses: np.ndarray
    traces: np.ndarray

    @property
    def here(self) -> slice:
        """Their places among all runs."""
        return slice(self.first, self.first + len(self.losses))


class _Chunks:
    """The runs of a problem, so many at a time as fit the budget."""

    def __init__(self, problem: Problem, dtype: str, byte_budget: int, second_moments: bool) -> None:
        self.sampler = sampler_from_problem(problem, dtype, second_moments=second_moments)
        self.runs = Runs(problem, dtype, self.sampler)
        self.byte_budget = byte_budget
        self.problem = problem

    def chunks(
        self, key: Key[Array, ""], batch_size: int, runs: int, report: Callable[[int], None]
    ) -> Iterator[_Chunk]:
        """All runs, in order."""
        size = self._chunk_size(runs)
        for start in range(0, runs, size):  # past the end too: one compilation
            ends = self.runs.ends(key, batch_size, range(start, start + size))
            count = min(size, runs - start)
            losses, traces = (np.asarray(values, "float64")[:count] for values in (ends.losses, ends.traces))
            layers = [np.asarray(layer, "float64")[:count].reshape(count, -1) for layer in ends.gradients]
            yield _Chunk(start, layers, losses, traces)
            report(count)

    def trace_share(self, batch_size: int) -> float | None:
        """tr Cov of a batch's mean gradient, over the trace of divisor b of its per-example gradients; None for one example."""
        if batch_size == 1 or not self.sampler.gives_examples:
            return None
        return numeric_scheme(self.problem.sampling).trace_share(batch_size, self.problem.dataset_size)

    def _chunk_size(self, runs: int) -> int:
        """How many runs fit the budget."""
        one_run = self.runs.bytes_per_run
        if one_run > self.byte_budget:
            cure = f"one run needs about {one_run} bytes; raise byte_budget to that"
            raise InputError("byte_budget", self.byte_budget, cure)
        target = min(self.byte_budget, CPU_CHUNK_BYTES) if jax.default_backend() == "cpu" else self.byte_budget
        chunks = -(-runs // max(1, target // one_run))
        return -(-runs // chunks)


class _FirstPass(NamedTuple):
    """The mean gradient m, layer by layer, and of each run ||G_r||^2 (runs, layers), its loss and its trace."""

    mean: list[np.ndarray]
    norms: np.ndarray
    losses: np.ndarray
    traces: np.ndarray

    @property
    def finite(self) -> np.ndarray:
        """Which runs are."""
        return np.asarray(np.isfinite(self.losses) & np.isfinite(self.norms).all(axis=1))


def _first_pass(chunks: Iterable[_Chunk], runs: int, depth: int) -> _FirstPass:
    """Sums over runs, relative to the first one."""
    norms, losses, traces = np.empty((runs, depth)), np.empty(runs), np.empty(runs)
    pilot: list[np.ndarray] = []
    sums: list[np.ndarray] = []
    for chunk in chunks:
        pilot = pilot or [layer[0].copy() for layer in chunk.layers]
        shifted = [np.sum(layer - center, axis=0) for layer, center in zip(chunk.layers, pilot)]
        sums = [old + new for old, new in zip(sums, shifted)] if sums else shifted
        norms[chunk.here] = np.stack([dot(layer, layer) for layer in chunk.layers], axis=1)
        losses[chunk.here], traces[chunk.here] = chunk.losses, chunk.traces
    return _FirstPass([center + total / runs for center, total in zip(pilot, sums)], norms, losses, traces)


def _second_pass(chunks: Iterable[_Chunk], first: _FirstPass) -> RunTerms:
    """||G_r - m||^2, m . (G_r - m), and the products of each four runs in order, which may lie in two chunks."""
    runs, depth = first.norms.shape
    deviations, projections = np.empty((runs, depth)), np.empty((runs, depth))
    quadruples, held = [], [np.empty((0, center.size)) for center in first.mean]
    for chunk in chunks:
        centered = [layer - center for layer, center in zip(chunk.layers, first.mean)]
        deviations[chunk.here] = np.stack([dot(layer, layer) for layer in centered], axis=1)
        projections[chunk.here] = np.stack([dot(layer, m) for layer, m in zip(centered, first.mean)], axis=1)
        held = [np.concatenate([rest, layer]) for rest, layer in zip(held, centered)]
        whole = len(held[0]) // 4 * 4
        quadruples.append(np.stack([quadruple_products(layer[:whole]) for layer in held], axis=1))
        held = [layer[whole:] for layer in held]
    return RunTerms(
        norms=first.norms,
        deviations=deviations * (runs / (runs - 1)),
        projections=projections,
        quadruples=np.concatenate(quadruples),
        squared_means=np.array([dot(center, center) for center in first.mean]),
        finite=bool(first.finite.all()),
    )


def _moments(
    chunks: Callable[[], Iterator[_Chunk]],
    batch_size: int,
    runs: int,
    problem: Problem,
    keep: bool,
    share: float | None,
) -> TrajectoryMoments:
    """Two passes over the runs: mean, then deviations from it."""
    with np.errstate(all="ignore"):  # runs that overflow are counted below, not warned about
        kept = list(chunks()) if keep else None
        first = _first_pass(chunks() if kept is None else kept, runs, len(problem.leaves))
        terms = _second_pass(chunks() if kept is None else kept, first)

    def scalar(values: np.ndarray) -> Estimate:
        return average(values) if terms.finite else Estimate(math.nan, math.nan, runs)

    per_layer = [terms.estimates([layer]) for layer in range(len(problem.leaves))]
    variance, second_moment, squared_mean = terms.estimates()
    return TrajectoryMoments(
        batch_size=batch_size,
        step=problem.step,
        runs=runs,
        nonfinite_runs=int(np.sum(~first.finite)),
        variance=variance,
        second_moment=second_moment,
        squared_mean=squared_mean,
        loss=scalar(first.losses),
        conditional_variance=None if share is None else scalar(first.traces * share),
        variance_per_layer=tuple(layer[0] for layer in per_layer),
        second_moment_per_layer=tuple(layer[1] for layer in per_layer),
        squared_mean_per_layer=tuple(layer[2] for layer in per_layer),
        second_moment_terms=first.norms,
        variance_terms=terms.deviations,
        loss_terms=first.losses,
    )
