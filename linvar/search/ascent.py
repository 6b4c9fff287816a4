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
from jaxtyping import Array, Float, Key

from linvar.problem import Problem

#: Steps of an ascent.
ASCENT_STEPS = 80
#: Sharpness of the soft maximum of slopes in the ascent.
_SHARPNESS = 100.0
#: The estimate of the inverse second derivatives at the start, the longest step there and ever; what counts as convex, and as 0.
_FIRST_INVERSE, _FIRST_RADIUS, _LONGEST, _CONVEX, _TINY = 0.3, 0.2, 0.5, 1e-12, 1e-300
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
        points: where they are, the best place on the way, shape (r, p).
        values, gradients: of the loss there, shapes (r,) and (r, p).
        inverses: of each an estimate of the inverse of the loss's second derivatives, shape (r, p, p).
        radii: the longest step that is tried next, shape (r,).
        slopes: the largest slope at each point, shape (r,).
    """

    points: jax.Array
    values: jax.Array
    gradients: jax.Array
    inverses: jax.Array
    radii: jax.Array
    slopes: jax.Array


@jax.jit
def start_climb(landscape: Landscape, points: Float[Array, "r p"]) -> Climb:
    """At the start."""
    values, slopes, gradients = _losses(landscape, points)
    count, size = points.shape
    inverses = jnp.broadcast_to(_FIRST_INVERSE * jnp.eye(size), (count, size, size))
    return Climb(points, values, gradients, inverses, jnp.full(count, _FIRST_RADIUS), slopes)


@partial(jax.jit, static_argnums=2)
def climb(landscape: Landscape, state: Climb, steps: int) -> Climb:
    """Some steps of the quasi-Newton method BFGS, each point for itself.

    A step is at most a radius long. Where it leads down, the point stays and the radius shrinks; both ends of it teach the
    estimate all the same. So a step costs one gradient and the points stay together: a line search would wait for the slowest.
    """

    def advance(state: Climb, _: None) -> tuple[Climb, None]:
        return _advance(landscape, state), None

    return jax.lax.scan(advance, state, None, length=steps)[0]


def _advance(landscape: Landscape, state: Climb) -> Climb:
    """One step of each point."""
    newton = -jnp.einsum("rij,rj->ri", state.inverses, state.gradients)
    uphill = jnp.sum(newton * state.gradients, axis=1) >= 0  # by rounding
    newton = jnp.where(uphill[:, None], -state.gradients, newton)
    lengths = jnp.linalg.norm(newton, axis=1)
    moves = newton * jnp.minimum(1.0, state.radii / jnp.maximum(lengths, _TINY))[:, None]
    lengths = jnp.minimum(lengths, state.radii)

    points = state.points + moves
    values, slopes, gradients = _losses(landscape, points)
    better = values < state.values
    inverses = jax.vmap(_learnt)(state.inverses, moves, gradients - state.gradients)
    return Climb(
        jnp.where(better[:, None], points, state.points),
        jnp.where(better, values, state.values),
        jnp.where(better[:, None], gradients, state.gradients),
        jnp.where(jnp.isfinite(values)[:, None, None], inverses, state.inverses),
        jnp.where(better, jnp.minimum(2 * state.radii, _LONGEST), lengths / 3),
        jnp.where(better, slopes, state.slopes),
    )


def _learnt(inverse: Float[Array, "p p"], move: Float[Array, " p"], change: Float[Array, " p"]) -> Float[Array, "p p"]:
    """The estimate after a move changed the gradient: (I - r s y^T) H (I - r y s^T) + r s s^T, r = 1 / (s . y), if s . y > 0."""
    along = move @ change
    convex = along > _CONVEX * (move @ move)
    rate = jnp.where(convex, 1 / jnp.where(convex, along, 1.0), 0.0)
    left = jnp.eye(len(move)) - rate * jnp.outer(move, change)
    return left @ inverse @ left.T + rate * jnp.outer(move, move)


def _losses(
    landscape: Landscape, points: Float[Array, "r p"]
) -> tuple[Float[Array, " r"], Float[Array, " r"], Float[Array, "r p"]]:
    """The loss of each point, infinite where it is no number, its largest slope, and the gradient of the loss."""
    (values, slopes), gradients = jax.vmap(jax.value_and_grad(landscape.loss, has_aux=True))(points)
    return jnp.where(jnp.isfinite(values), values, jnp.inf), slopes, jnp.nan_to_num(gradients)
