"""Variance and noise scale recorded while an optax optimizer trains, raw and smoothed, per leaf."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from linvar.errors import InputError, Words
from linvar.numeric.arguments import check_number
from linvar.numeric.gradients.result import GradientMoments, over_leaves, ratio


class NoiseRecord(NamedTuple):
    """What the recorder keeps in the optimizer's state: pytrees of one number a leaf, and their averages.

    Averages are exponential, of numerator and denominator each (McCandlish et al. 2018, appendix A.1), without the bias
    towards zero of the first steps.

    Attributes:
        count: steps recorded.
        weight: sum of the weights of the averages, 1 - decay^count.
        trace, squared_mean: of the last step, per leaf: tr Cov(g_i) and ||E g||^2 (without bias, may be negative).
        trace_average, squared_mean_average: sums of decay^age times these.
    """

    count: jax.Array  # type: ignore[assignment]  # not that of a tuple
    weight: jax.Array
    trace: PyTree
    squared_mean: PyTree
    trace_average: PyTree
    squared_mean_average: PyTree

    @property
    def variance(self) -> jax.Array:
        """tr Cov(g_i) of the last step over all leaves; the variance of a gradient of b iid examples is this / b."""
        return over_leaves(jax.tree.leaves(self.trace))

    @property
    def noise_scale(self) -> jax.Array:
        """Of the last step, over all leaves."""
        return ratio(self.variance, over_leaves(jax.tree.leaves(self.squared_mean)))

    @property
    def noise_scale_per_leaf(self) -> PyTree:
        """Of the last step."""
        return jax.tree.map(ratio, self.trace, self.squared_mean)

    @property
    def smoothed_variance(self) -> jax.Array:
        """Average trace over all leaves."""
        return over_leaves(jax.tree.leaves(self.trace_average)) * self._unbiased

    @property
    def smoothed_variance_per_leaf(self) -> PyTree:
        """Average trace of each leaf."""
        return jax.tree.map(lambda x: x * self._unbiased, self.trace_average)

    @property
    def smoothed_noise_scale(self) -> jax.Array:
        """Average trace / average squared mean, over all leaves."""
        return ratio(
            over_leaves(jax.tree.leaves(self.trace_average)), over_leaves(jax.tree.leaves(self.squared_mean_average))
        )

    @property
    def smoothed_noise_scale_per_leaf(self) -> PyTree:
        """The same of each leaf."""
        return jax.tree.map(ratio, self.trace_average, self.squared_mean_average)

    @property
    def _unbiased(self) -> jax.Array:
        """One over the sum of the weights."""
        return 1 / jnp.maximum(self.weight, 1e-30)


def record_noise(decay: float = 0.95) -> optax.GradientTransformationExtraArgs:
    """An optax transformation that records the noise of the gradient and passes the gradient on unchanged.

    In a training step, take gradient and noise from one call, and give both to the optimizer:

        optimizer = optax.chain(record_noise(), optax.adam(1e-3))
        moments = gradient_moments(loss, params, batch)
        updates, state = optimizer.update(moments.mean, state, params, moments=moments)
        recorded_noise(state).smoothed_noise_scale

    Args:
        decay: weight of the past in the smoothed values, in [0, 1); 0 smooths nothing.

    Raises:
        InputError: ``decay`` out of range; an update without ``moments``.
    """
    if not 0 <= check_number(decay, "decay") < 1:
        raise InputError("decay", decay, "give the weight of the past, 0 <= decay < 1")

    def init(params: PyTree) -> NoiseRecord:
        zeros = jax.tree.map(lambda _: jnp.zeros((), jnp.float32), params)
        return NoiseRecord(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.float32), zeros, zeros, zeros, zeros)

    def update(
        updates: PyTree,
        state: NoiseRecord,
        params: PyTree = None,
        *,
        moments: GradientMoments | None = None,
        **rest: object,
    ) -> tuple[PyTree, NoiseRecord]:
        del params, rest
        if moments is None:
            raise InputError(
                "moments",
                Words("is missing: update is called without moments"),
                "give moments=gradient_moments(loss, params, batch)",
            )
        trace, squared_mean = (
            jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)
            for tree in (moments.trace_per_leaf, moments.squared_mean_per_leaf)
        )

        def average(old: PyTree, new: PyTree) -> PyTree:
            return jax.tree.map(lambda a, b: decay * a + (1 - decay) * b, old, new)

        record = NoiseRecord(
            state.count + 1, decay * state.weight + (1 - decay), trace, squared_mean, average(state.trace_average, trace),
            average(state.squared_mean_average, squared_mean),
        )  # fmt: skip
        return updates, record

    return optax.GradientTransformationExtraArgs(init, update)


def recorded_noise(state: PyTree) -> NoiseRecord:
    """The record inside an optimizer's state, however deep it is chained.

    Raises:
        InputError: there is none, or more than one.
    """
    found = [
        x for x in jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, NoiseRecord)) if isinstance(x, NoiseRecord)
    ]
    if len(found) != 1:
        raise InputError("state", Words(f"holds {len(found)} noise records"), "put record_noise() into the chain once")
    return found[0]
