"""The same coefficient from independent directions of the noise, each carried through the steps: for many of these.

The lists grow more than tenfold a step. Directions do not: r (r + 1) / 2 + r d of them a step, r <= d_L, of the noise Q Z J^T are
carried through the linearised steps, at a cost that grows as t^2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from linvar.symbolic.pairs.kinds import M
from linvar.symbolic.pairs.path import At, Setting


def moved(at: At[M], weights: Sequence[M]) -> list[M]:
    """The change of the mean gradient of each layer with the weights, to first order: (1) of ``lists``, in matrices."""
    depth = len(weights)
    below: list[M | None] = [None] * depth
    above: list[M | None] = [None] * depth
    for l in range(1, depth):
        base, so_far = at.below[l - 1], below[l - 1]
        first = weights[l - 1] if base is None else weights[l - 1] @ base
        below[l] = first if so_far is None else first + at.weights[l - 1] @ so_far
    for l in range(depth - 2, -1, -1):
        base, so_far = at.above[l + 1], above[l + 1]
        first = weights[l + 1] if base is None else base @ weights[l + 1]
        above[l] = first if so_far is None else first + so_far @ at.weights[l + 1]
    base, so_far = at.below[-1], below[-1]
    error = weights[-1] if base is None else weights[-1] @ base
    error = error if so_far is None else error + at.weights[-1] @ so_far
    mean = error if at.setting.covariance is None else error @ at.setting.covariance
    return [_of_layer(at, l, mean, above[l], below[l]) for l in range(depth)]


def _of_layer(at: At[M], layer: int, mean: M, above: M | None, below: M | None) -> M:
    """A^T dR B^T + dA^T R B^T + A^T R dB^T."""
    found, left, right = at.through(mean, layer), at.above[layer], at.below[layer]
    if above is not None:
        part = above.T @ at.mean
        found = found + (part if right is None else part @ right.T)
    if below is not None:
        found = found + (at.mean if left is None else left.T @ at.mean) @ below.T
    return found


def by_tangents(setting: Setting[M], directions: Callable[[At[M]], Iterable[M]]) -> Any:
    """The coefficient of u in the variance of the gradient after the steps."""
    path = setting.path()
    total = sum(path[-1].noise)
    for first, rate in enumerate(setting.rates):
        for noise in directions(path[first]):
            weights = [path[first].through(noise, l).scaled(-rate) for l in range(len(setting.weights))]
            for at, later in zip(path[first + 1 :], setting.rates[first + 1 :]):
                weights = [w + g.scaled(-later) for w, g in zip(weights, moved(at, weights))]
            total = total + sum(gradient.inner(gradient) for gradient in moved(path[-1], weights))
    return total
