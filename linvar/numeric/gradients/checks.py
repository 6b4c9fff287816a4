"""What is looked at once the moments are numbers: that they are finite, that they are those of the loss, that digits are left."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from linvar.errors import NotFiniteError, Words
from linvar.numeric.gradients.per_example.coupling import CoupledExamplesError
from linvar.numeric.gradients.result import GradientMoments

#: Uncentred strategies lose this many roundings of ||mean||^2: with fewer left of the trace, the default is off by over 2 %.
ROUNDINGS = 100


class NoFiniteExamplesError(NotFiniteError):
    """Too few examples of a batch are finite."""


def check_finite(moments: GradientMoments, nan: str, dropping: Callable[[], GradientMoments]) -> None:
    """Never a silent NaN."""
    # a gradient that is not finite leaves neither its trace nor its norm finite
    if all(math.isfinite(x) for x in (float(moments.trace), float(moments.squared_mean), float(moments.loss))):
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


def check_rounding(moments: GradientMoments) -> None:
    """Warn where the sum of squares and n ||mean||^2 are too close for a difference."""
    if moments.explanation is None:
        return
    worst = []
    traces, squares = (jax.tree.leaves(tree) for tree in (moments.trace_per_leaf, moments.squared_mean_per_leaf))
    for route, trace, square in zip(moments.explanation.leaves, map(np.asarray, traces), map(np.asarray, squares)):
        if route.cancels and trace < ROUNDINGS * np.finfo(trace.dtype).eps * square:
            worst.append(route.path)
    if worst:
        warnings.warn(
            f"the mean gradient dominates: the trace of {', '.join(worst[:3])}{', ...' if len(worst) > 3 else ''} may be off by "
            f"over 2 %; give centred=True",
            RuntimeWarning,
            stacklevel=3,
        )
