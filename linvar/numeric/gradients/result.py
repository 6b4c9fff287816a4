"""What ``gradient_moments`` returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial, reduce

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

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
class GradientMoments:
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
        squared_norms: (examples given,) ||g_i||^2 over all leaves, 0 for an example left out; None if not asked for.
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

    def __repr__(self) -> str:
        if isinstance(self.trace, jax.core.Tracer):
            return f"GradientMoments(traced, {len(jax.tree.leaves(self.mean))} leaves, ddof={self.ddof})"
        text = (
            f"GradientMoments({number(lambda: self.examples, ',.0f')} examples, trace={number(lambda: self.trace, '.6g')}, "
            f"noise_scale={number(lambda: self.noise_scale, '.4g')}, ddof={self.ddof})"
        )
        return text if self.explanation is None else f"{text}\n{self.explanation}"


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


def number(value: Callable[[], object], form: str) -> str:
    """One number in words, and what is none (batched, traced, abstract, deleted) by its type: a ``repr`` never fails."""
    try:
        found = value()
    except Exception:  # noqa: BLE001  made of something that is no array
        return "?"
    try:
        return f"{float(found):{form}}"  # type: ignore[arg-type]  # or not
    except Exception:  # noqa: BLE001
        shape, dtype = (getattr(found, name, "?") for name in ("shape", "dtype"))
        return f"{dtype}{list(shape)}" if isinstance(shape, tuple) else "?"
