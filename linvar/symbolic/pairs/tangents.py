"""The same coefficient from independent directions of the noise, each carried through the steps: for many of these.

The lists grow more than tenfold a step. Directions of the noise N = Q Z J^T of a step do not, d_L d_0 of them at most; they are
carried through the linearised steps one after the other, at a cost that grows as t^2. In floating point they are independent
(``floats.directions``). Exactly, without a square root, every unit matrix is carried with its image under the covariance,

    E N_ij N_kl = u [ (E Sigma E^T + v I)_ik Sigma_jl + R_il R_kj ],      A -> (E Sigma E^T + v I) A Sigma + R A^T R.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from linvar.symbolic.pairs.kinds import M
from linvar.symbolic.pairs.path import At, Setting

#: of the noise N of a step: matrices (A, B) with E N N = u sum A B, entry by entry; None for B = A
Directions: TypeAlias = Callable[[At[M]], Iterable[tuple[M, M | None]]]


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


def by_tangents(setting: Setting[M], directions: Directions[M]) -> list[Any]:
    """The coefficient of u in the variance of each layer's gradient after the steps."""
    path = setting.path()
    totals = path[-1].noise
    for first in range(len(setting.rates)):
        for noise, other in directions(path[first]):
            ours = _carried(path, first, noise)
            theirs = ours if other is None else _carried(path, first, other)
            totals = [total + a.inner(b) for total, a, b in zip(totals, ours, theirs)]
    return totals


def _carried(path: Sequence[At[M]], first: int, noise: M) -> list[M]:
    """The change of each layer's gradient at the end of the path, from a change of the end-to-end gradient of step ``first``."""
    at, setting = path[first], path[first].setting
    weights = [at.through(noise, l).scaled(-setting.rates[first]) for l in range(len(at.weights))]
    for later, rate in zip(path[first + 1 :], setting.rates[first + 1 :]):
        weights = [w + g.scaled(-rate) for w, g in zip(weights, moved(later, weights))]
    return moved(path[-1], weights)
