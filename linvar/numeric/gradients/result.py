"""What ``gradient_moments`` returns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from linvar.display.cell import Cell, cell_of
from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.errors import cut
from linvar.numeric.gradients.leaves import TOTAL, cells, leaf_names, number, shapes
from linvar.numeric.gradients.per_example.explanation import Explanation


@partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "mean",
        "trace_per_leaf",
        "trace",
        "squared_mean_per_leaf",
        "squared_mean",
        "cancelled_per_leaf",
        "cancelled",
        "examples",
        "loss",
        "squared_norms",
        "second_moment",
    ],
    meta_fields=["ddof", "explanation"],
)
@dataclass(frozen=True)
class GradientMoments(Tabular):
    """Moments of the per-example gradients g_i of one batch, at fixed parameters.

    Attributes:
        mean: (1/n) sum g_i, a pytree like the parameters, at least float32: the gradient of the MEAN loss.
        trace_per_leaf: for each leaf, sum_i ||g_i - mean||^2 / (n - ddof), a scalar: a trace, not elementwise.
        trace: the same over all leaves together, tr Cov(g_i).
        squared_mean_per_leaf: for each leaf, ||E g||^2: ||mean||^2 for ddof=0; for ddof=1 the estimate without bias,
            ||mean||^2 - trace / n, which may be negative.
        squared_mean: the same over all leaves together.
        cancelled_per_leaf: for each leaf, a boolean: the mean dominates, and rounding may have changed the trace by over 2 %,
            even its sign; ``centred=True`` keeps the digits. Also under ``jit``: ``jax.lax.cond(moments.cancelled, ...)``.
        cancelled: any of them.
        examples: n, without the examples left out by ``nan="drop"``; traced under ``jit``.
        loss: mean loss of the examples.
        squared_norms: (examples given,) ||g_i||^2 over all leaves, 0 for an example left out; None if not asked for, or not free.
        second_moment: (1/n) sum g_i^2 ENTRY BY ENTRY, a pytree like the parameters; None if not asked for.
        ddof: 1 (unbiased for the law the examples came from) or 0 (the batch is the whole population).
        explanation: how each leaf was computed; None if not asked for.
    """

    mean: PyTree
    trace_per_leaf: PyTree
    trace: jax.Array
    squared_mean_per_leaf: PyTree
    squared_mean: jax.Array
    cancelled_per_leaf: PyTree
    cancelled: jax.Array
    examples: int | jax.Array
    loss: jax.Array
    squared_norms: jax.Array | None
    second_moment: PyTree
    ddof: int
    explanation: Explanation | None

    @property
    def noise_scale(self) -> jax.Array:
        """tr Cov(g_i) / ||E g||^2: the batch size at which noise and signal are equal.

        The ratio of two unbiased estimates for ddof=1: consistent, not unbiased. Infinite where the estimate of
        ||E g||^2 is not positive: the mean is then not resolved from the noise. NaN where one of the two is NaN.

        After McCandlish, Kaplan, Amodei et al. (2018), "An Empirical Model of Large-Batch Training".
        """
        return ratio(self.trace, self.squared_mean)

    @property
    def noise_scale_per_leaf(self) -> PyTree:
        """The same of each leaf alone."""
        return jax.tree.map(ratio, self.trace_per_leaf, self.squared_mean_per_leaf)

    def to_table(self) -> Table:
        """A leaf a row: trace, squared mean, noise scale, and how it was computed if that was asked for; then all together."""
        trees = (self.trace_per_leaf, self.squared_mean_per_leaf, self.cancelled_per_leaf)
        traces, squares, lost = map(jax.tree.leaves, trees)
        columns: dict[str, list[Cell]] = {
            "leaf": [*map(cell_of, leaf_names(self.trace_per_leaf)), cell_of(TOTAL)],
            "shape": shapes(self.mean),
            "trace": cells(lambda x: x, zip(traces), lambda: self.trace),
            "squared mean": cells(lambda x: x, zip(squares), lambda: self.squared_mean),
            "noise scale": cells(ratio, zip(traces, squares), lambda: self.noise_scale),
        }
        if self.explanation is not None:
            columns["computed"] = [*(cell_of(route.strategy) for route in self.explanation.leaves), cell_of("")]
        doubtful = [name for name, flag in zip(leaf_names(self.trace_per_leaf), lost) if _is_true(flag)]
        cure = "gradient_moments(..., centred=True) keeps digits"
        notes = [f"may be lost in rounding: {cut(', '.join(doubtful))}; {cure}"] if doubtful else []
        about = f"ddof={self.ddof}, mean loss {number(lambda: self.loss, '.6g')}"
        title = f"Gradients of {number(lambda: self.examples, ',.0f')} examples, {about}"
        return Table(columns, zip(*columns.values()), title, notes)

    def __repr__(self) -> str:
        if isinstance(self.trace, jax.core.Tracer):
            return f"GradientMoments(traced, {len(jax.tree.leaves(self.mean))} leaves, ddof={self.ddof})"
        lost = ", cancelled" if _is_true(self.cancelled) else ""
        text = (
            f"GradientMoments({number(lambda: self.examples, ',.0f')} examples, trace={number(lambda: self.trace, '.6g')}, "
            f"squared_mean={number(lambda: self.squared_mean, '.4g')}, noise_scale={number(lambda: self.noise_scale, '.4g')}"
            f"{lost}, ddof={self.ddof})"
        )
        return text if self.explanation is None else f"{text}\n{self.explanation}"


def _is_true(flag: object) -> bool:
    """Whether a boolean is known, and true."""
    return number(lambda: flag, ".0f") == "1"


def ratio(trace: jax.Array, squared_mean: jax.Array) -> jax.Array:
    """trace / squared_mean, infinite where the latter is not positive; NaN where one of them is."""
    positive = squared_mean > 0
    known = jnp.where(positive, trace / jnp.where(positive, squared_mean, 1), jnp.inf)
    return jnp.where(jnp.isnan(trace) | jnp.isnan(squared_mean), jnp.nan, known)


def over_leaves(numbers: Iterable[jax.Array]) -> jax.Array:
    """The sum of one number a leaf; 0 without leaves."""
    return jnp.asarray(sum(numbers))


def any_leaf(flags: Iterable[jax.Array]) -> jax.Array:
    """Whether one of some booleans, one a leaf, is true; False without leaves."""
    return reduce(jnp.logical_or, flags, jnp.asarray(False))
