"""What is looked at once the moments are numbers: that they are finite, that they are those of the loss, that digits are left."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from linvar.errors import NotFiniteError, Words, warn
from linvar.numeric.gradients.per_example.coupling.check import CoupledExamplesError
from linvar.numeric.gradients.per_example.explanation import Explanation, Route
from linvar.numeric.gradients.result import GradientMoments

#: Of ||mean||^2, what an uncentred strategy loses times 20: measured with the mean of up to 4,096 equal or random examples and
#: matrices up to 512 x 512, it loses up to 9 roundings, so that what is not flagged is right to 5 %, and nearly always to 2 %.
ROUNDINGS = 200
#: Where products are summed over an axis of the leaf: a further rounding for so many terms (28 at 784, 125 at 5,000), times 20.
ROUNDINGS_PER_TERM = 0.5


class NoFiniteExamplesError(NotFiniteError):
    """Too few examples of a batch are finite."""


def check_finite(moments: GradientMoments, nan: str, dropping: Callable[[], GradientMoments]) -> None:
    """Never a silent NaN."""
    # a gradient that is not finite leaves neither its trace nor its norm finite; sums of squares may overflow alone
    further = (moments.squared_norms, moments.second_moment, moments.variance, moments.along, moments.clipped_mean)
    partly = len(jax.tree.leaves(moments.trace_per_leaf)) < len(jax.tree.leaves(moments.mean))
    asked = jax.tree.leaves((further, moments.mean if partly else ()))
    if all(math.isfinite(x) for x in (float(moments.trace), float(moments.squared_mean), float(moments.loss))) and all(
        bool(jnp.all(jnp.isfinite(x))) for x in asked
    ):
        return
    left = int(moments.examples if nan == "drop" else dropping().examples)
    if nan == "drop":
        if left <= moments.ddof:
            raise NoFiniteExamplesError(
                "batch",
                Words(f"has {left} examples with a finite loss and gradient"),
                f"nothing can be estimated from fewer than {moments.ddof + 1}, look at params and batch",
            )
        raise NotFiniteError("batch", Words("has finite examples whose moments overflow"), _overflow_cure(moments))
    given = int(moments.examples)
    if left == given:
        raise NotFiniteError("batch", Words("is finite, but its moments overflow"), _overflow_cure(moments))
    raise NotFiniteError(
        "batch",
        Words(f"is not finite: {given - left:,} of {given:,} examples have a loss or a gradient that is not finite"),
        "nan='drop' leaves them out",
    )


def _overflow_cure(moments: GradientMoments) -> str:
    """Double precision helps where it is not there yet."""
    return "scale the loss" if moments.trace.dtype == jnp.float64 else "scale the loss, or use jax.enable_x64(True)"


def check_whole(whole: tuple[jax.Array, jax.Array] | None, given: int) -> None:
    """The loss of the batch is the mean or the sum of the losses of batches of one.

    Args:
        whole: the loss of the whole batch, and the mean of those of its examples, rows of padding made to examples.
        given: rows of the batch.
    """
    if whole is None:
        return
    value, mean = map(float, whole)
    if not any(math.isclose(value, expected, rel_tol=1e-2, abs_tol=1e-6) for expected in (mean, given * mean)):
        raise CoupledExamplesError(
            "loss",
            Words(
                f"is {value:.6g} for the batch, but for batches of one it is {mean:.6g} on average and {given * mean:.6g} in "
                f"sum: it depends on how many examples there are"
            ),
            "give the loss of ONE example, loss(params, example)",
        )


def cancelled(
    explanation: Explanation,
    traces: Sequence[jax.Array],
    squares: Sequence[jax.Array],
    shapes: Sequence[tuple[int, ...]],
    examples: jax.Array,
    sizes: Sequence[jax.Array],
) -> list[jax.Array]:
    """For each leaf, whether the sum of squares and n ||mean||^2 are too close for their difference.

    Args:
        explanation: how the leaves were computed.
        traces: of each leaf.
        squares: ||mean||^2 of each leaf.
        shapes: of each leaf.
        sizes: of each leaf, of terms that cancel already in the norms of the gradients, summed over the examples.
        examples: how many; of one the trace is zero, whatever rounding says.
    """

    def of_leaf(
        route: Route, trace: jax.Array, square: jax.Array, shape: tuple[int, ...], size: jax.Array
    ) -> jax.Array:
        if not route.cancels:
            return jnp.zeros_like(trace, bool)
        terms = 0 if route.form == "outer" else max(shape, default=1)
        lost = (ROUNDINGS + ROUNDINGS_PER_TERM * terms) * float(np.finfo(trace.dtype).eps)
        return (examples > 1) & (trace < lost * jnp.maximum(square, size / jnp.maximum(examples, 1)))

    return [of_leaf(*leaf) for leaf in zip(explanation.leaves, traces, squares, shapes, sizes)]


def check_rounding(moments: GradientMoments) -> None:
    """Warn of leaves whose trace is lost in rounding."""
    if moments.explanation is None or not moments.cancelled:
        return
    flags = jax.device_get(jax.tree.leaves(moments.cancelled_per_leaf))
    worst = [route.path for route, lost in zip(moments.explanation.leaves, flags) if lost]
    warn(
        f"the mean gradient dominates: the trace of {', '.join(worst[:3])}{', ...' if len(worst) > 3 else ''} may be off by "
        f"over 2 %; give centred=True"
    )
