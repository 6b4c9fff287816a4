"""Mean and covariance trace of the per-example gradients of ANY JAX loss over a batch.

The per-example gradients of one chunk at a time are formed by ``vmap(grad(loss))``, centred on the chunk's own
mean, and merged with what came before (Chan, Golub and LeVeque, 1983): sums of squared DEVIATIONS are added,
never a mean of squares minus the square of a mean, which cancels in floating point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp


@partial(
    jax.tree_util.register_dataclass, data_fields=["mean", "trace_per_leaf", "trace"], meta_fields=["examples", "ddof"]
)
@dataclass(frozen=True)
class GradientMoments:
    """Moments of the per-example gradients g_i of one batch, at fixed parameters.

    Attributes:
        mean: (1/n) sum g_i, a pytree like the parameters: the gradient of the MEAN loss.
        trace_per_leaf: for each leaf, sum_i ||g_i - mean||^2 / (n - ddof), a scalar: a trace, not elementwise.
        trace: the same over all leaves together, tr Cov(g_i).
        examples: n.
        ddof: 1 (unbiased for the law the examples came from) or 0 (the batch is the whole population).
    """

    mean: Any
    trace_per_leaf: Any
    trace: Any
    examples: int
    ddof: int


def gradient_moments(
    loss: Callable[[Any, Any], Any],
    params: Any,
    batch: Any,
    *,
    ddof: int = 1,
    byte_budget: int = 2**28,
    chunk_size: int | None = None,
) -> GradientMoments:
    """Mean of the per-example gradients and trace of their covariance.

    trace = sum_i ||g_i - mean||^2 / (n - ddof), with g_i the gradient of ``loss(params, example_i)``.
    With ddof=1 it is unbiased for tr Cov(g) when the examples are drawn iid; the variance of the gradient of a
    batch of b iid examples is then trace / b. Both hold given ``params``.

    Args:
        loss: the loss of ONE example, ``loss(params, example)``, a scalar.
        params: any pytree of floating-point arrays (an ``nnx.State``, a dictionary, ...).
        batch: a pytree whose leaves have a common leading axis, the n examples.
        ddof: the divisor is n - ddof; 1 or 0.
        byte_budget: memory for the per-example gradients of a chunk (three copies are counted).
        chunk_size: examples differentiated at a time; from ``byte_budget`` if None. Changes rounding only.

    Returns:
        A :class:`GradientMoments`.

    Raises:
        ValueError: ddof is neither 0 nor 1, too few examples, leading axes that differ, or a chunk size below 1.

    >>> moments = gradient_moments(lambda w, x: w * x, jnp.asarray(1.0), jnp.asarray([1.0, 2.0, 6.0]))
    >>> float(moments.mean), float(moments.trace)
    (3.0, 7.0)
    """
    if ddof not in (0, 1):
        raise ValueError(f"ddof={ddof!r}: give 1 (divisor n - 1) or 0 (divisor n)")
    lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(batch)}
    if len(lengths) != 1 or () in lengths:
        raise ValueError(f"batch has leaves with leading axes {sorted(lengths)}: give every leaf one row per example")
    ((examples,),) = lengths
    if examples <= ddof:
        raise ValueError(f"batch has {examples} examples: give at least {ddof + 1} for ddof={ddof}")
    if chunk_size is None:
        per_example = 3 * sum(leaf.size * leaf.dtype.itemsize for leaf in map(jnp.asarray, jax.tree.leaves(params)))
        chunk_size = max(1, byte_budget // max(1, per_example))
    if chunk_size < 1:
        raise ValueError(f"chunk_size={chunk_size}: give the number of examples differentiated at a time, >= 1")

    mean: Any = None
    scatter: Any = None
    for start in range(0, examples, chunk_size):
        chunk = jax.tree.map(lambda leaf, start=start: leaf[start : start + chunk_size], batch)
        chunk_mean, chunk_scatter = _chunk_moments(loss, params, chunk)
        if mean is None:
            mean, scatter = chunk_mean, chunk_scatter
            continue
        size = min(chunk_size, examples - start)
        share = size / (start + size)
        delta = jax.tree.map(jnp.subtract, chunk_mean, mean)
        mean = jax.tree.map(lambda old, d, share=share: old + share * d, mean, delta)
        scatter = jax.tree.map(
            lambda old, new, d, weight=start * share: old + new + weight * _squared_norm(d),
            scatter,
            chunk_scatter,
            delta,
        )
    traces = jax.tree.map(lambda value: value / (examples - ddof), scatter)
    return GradientMoments(mean, traces, sum(jax.tree.leaves(traces)), examples, ddof)


def noise_scale(moments: GradientMoments) -> Any:
    """The gradient noise scale tr Cov(g_i) / ||E g||^2: the batch size at which noise and signal are equal.

    For ddof=0 the batch is the population and ||E g||^2 is ||mean||^2. For ddof=1 it is the unbiased
    ||mean||^2 - trace / n; the ratio of the two unbiased estimates is consistent, not unbiased. Infinite where
    the estimate of ||E g||^2 is not positive: the mean is then not resolved from the noise.

    After McCandlish, Kaplan, Amodei et al. (2018), "An Empirical Model of Large-Batch Training".

    >>> batch = jnp.asarray([1.0, 2.0, 6.0])
    >>> float(noise_scale(gradient_moments(lambda w, x: w * x, jnp.asarray(1.0), batch, ddof=0)))
    0.5185185...
    """
    squared_mean = sum(_squared_norm(leaf) for leaf in jax.tree.leaves(moments.mean))
    if moments.ddof:
        squared_mean = squared_mean - moments.trace / moments.examples
    return jnp.where(squared_mean > 0, moments.trace / jnp.where(squared_mean > 0, squared_mean, 1), jnp.inf)


@partial(jax.jit, static_argnums=0)
def _chunk_moments(loss: Callable[[Any, Any], Any], params: Any, chunk: Any) -> tuple[Any, Any]:
    """Mean gradient of a chunk, and for each leaf the sum of squared deviations from it."""
    gradients = jax.vmap(jax.grad(loss), in_axes=(None, 0))(params, chunk)
    mean = jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), gradients)
    return mean, jax.tree.map(lambda leaf, center: _squared_norm(leaf - center), gradients, mean)


def _squared_norm(array: Any) -> Any:
    """Sum of squares of all entries."""
    return jnp.sum(jnp.square(array))
