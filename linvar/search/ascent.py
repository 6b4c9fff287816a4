"""Gradient ascent, in JAX, on the largest slope d log var / d log b over a grid of batch sizes.

Work is done in calls of about a second, so that a search can look at the clock between two of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from linvar.problem import Problem

#: Steps of an ascent.
ASCENT_STEPS = 150
#: Sharpness of the soft maximum of slopes in the ascent.
_SHARPNESS = 60.0
#: Numbers worked on at a time: they stay in a processor's cache.
_BLOCK = 2**15
#: Numbers of a call; a step of an ascent counts as several evaluations.
CALL, STEP_COST = 2**25, 6


class Landscape(ABC):
    """log var of many problems, each a point of p numbers, over a grid of batch sizes: arrays, and what is static for jit.

    Attributes:
        batch_sizes: shape (k,), ascending.
    """

    batch_sizes: jax.Array

    @abstractmethod
    def log_variance(self, point: Float[Array, " p"]) -> Float[Array, " k"]:
        """log var, up to a constant."""

    @property
    @abstractmethod
    def cost(self) -> int:
        """Numbers that are worked on for ``log_variance`` of a point."""

    @abstractmethod
    def draw(self, key: Key[Array, ""], count: int) -> Float[Array, "s p"]:
        """Random points."""

    @abstractmethod
    def roundings(self, point: np.ndarray) -> Iterator[Problem]:
        """The problems of a point, its numbers rounded to ever more digits."""

    def slopes(self, point: Float[Array, " p"]) -> Float[Array, " k_1"]:
        """d log var / d log b between neighbours of the grid: positive exactly where the variance rises."""
        return jnp.diff(self.log_variance(point)) / jnp.diff(jnp.log(self.batch_sizes))

    def largest_slope(self, point: Float[Array, " p"]) -> Float[Array, ""]:
        """The largest, minus infinity where it is no number."""
        return _largest(self.slopes(point))

    def loss(self, point: Float[Array, " p"]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Minus a soft maximum of the slopes, and the largest."""
        slopes = self.slopes(point)
        return -jax.nn.logsumexp(_SHARPNESS * slopes) / _SHARPNESS, _largest(slopes)

    @property
    def block(self) -> int:
        """Points worked on at a time."""
        return max(1, _BLOCK * len(self.batch_sizes) // self.cost)

    @property
    def points_a_call(self) -> int:
        """Points that are screened in a call: whole blocks, since a remainder would be compiled as well."""
        return max(1, CALL // (self.cost * self.block)) * self.block

    @property
    def ascent(self) -> tuple[int, int]:
        """Points that ascend together, and steps of a call."""
        points = max(1, min(24, CALL // (10 * STEP_COST * self.cost)))
        return points, max(1, min(ASCENT_STEPS, CALL // (points * STEP_COST * self.cost)))


def _largest(slopes: Float[Array, " k_1"]) -> Float[Array, ""]:
    return jnp.nan_to_num(jnp.max(slopes), nan=-jnp.inf)


@jax.jit
def screen(landscape: Landscape, points: Float[Array, "s p"]) -> Float[Array, " s"]:
    """The largest slope of each point."""
    slopes: jax.Array = jax.lax.map(landscape.largest_slope, points, batch_size=landscape.block)
    return slopes


class Climb(NamedTuple):
    """Points on their way up.

    Attributes:
        points: where they are, shape (r, p).
        memory: of the optimizer.
        best, slopes: of each the best place on its way, and its largest slope there; shapes (r, p) and (r,).
    """

    points: jax.Array
    memory: optax.OptState
    best: jax.Array
    slopes: jax.Array


def start_climb(points: Float[Array, "r p"]) -> Climb:
    """At the start."""
    return Climb(points, _optimizer().init(points), points, jnp.full(len(points), -jnp.inf))


@partial(jax.jit, static_argnums=2)
def climb(landscape: Landscape, state: Climb, steps: int) -> Climb:
    """Some steps of Adam with a cosine decay, each point for itself."""
    optimizer = _optimizer()
    ascend = jax.vmap(jax.value_and_grad(landscape.loss, has_aux=True))

    def advance(state: Climb, _: None) -> tuple[Climb, None]:
        (_, slopes), gradients = ascend(state.points)
        best = jnp.where((slopes > state.slopes)[:, None], state.points, state.best)
        updates, memory = optimizer.update(jnp.nan_to_num(gradients), state.memory, state.points)
        points = optax.apply_updates(state.points, updates)
        return Climb(points, memory, best, jnp.maximum(slopes, state.slopes)), None

    return jax.lax.scan(advance, state, None, length=steps)[0]


def _optimizer() -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(0.05, ASCENT_STEPS))
