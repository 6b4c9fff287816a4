"""Matrices in double precision, and independent directions of the noise of a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from linvar.symbolic.pairs.path import At

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float

#: what is smaller, beside the largest eigenvalue, is rounding
_TINY = 1e-13


@dataclass(frozen=True)
class Floats:
    """A matrix in double precision, or a stack of them."""

    array: Float[np.ndarray, "*stack rows columns"]

    @property
    def rows(self) -> int:
        return int(self.array.shape[-2])

    @property
    def columns(self) -> int:
        return int(self.array.shape[-1])

    @property
    def T(self) -> Floats:
        return Floats(np.swapaxes(self.array, -1, -2))

    def __matmul__(self, other: Floats) -> Floats:
        return Floats(np.matmul(self.array, other.array))

    def __add__(self, other: Floats) -> Floats:
        return Floats(self.array + other.array)

    def scaled(self, factor: float) -> Floats:
        """Times a number."""
        return Floats(self.array * factor)

    def inner(self, other: Floats) -> float:
        """Of a stack: summed over it."""
        return float(np.vdot(self.array, other.array))

    def trace(self) -> float:
        """Its diagonal, summed."""
        return float(np.trace(self.array))


def directions(at: At[Floats], together: int) -> Iterator[tuple[Floats, None]]:
    """Independent directions of the end-to-end noise Q Z J^T, stacked.

    With E Sigma E^T + v I = L D L^T, of rank r, and K = R^T L D^-1 the noise is L (A K^T + B): A symmetric, A_ij of variance
    D_i D_j (1 + [i = j]); B independent of it, B_ij of covariance D_i (Sigma - K D K^T), which is C C^T.
    So there are r (r + 1) / 2 + r rank(C) of them, and r is the number of outputs at most.
    """
    variances, left = _factor(at.spread.array)
    tilted = at.mean.array.T @ left / variances
    covariance = at.setting.covariance
    sigma = np.eye(len(tilted)) if covariance is None else covariance.array
    rest, across = _factor(sigma - (tilted * variances) @ tilted.T)
    left, right = left * np.sqrt(variances), tilted * np.sqrt(variances)
    across = across * np.sqrt(rest)
    count = len(variances)
    within = [(i, j) for i in range(count) for j in range(i, count)]
    for i, j in _chunks(within, together):
        first = np.einsum("an,bn->nab", left[:, i], right[:, j])
        second = np.einsum("an,bn->nab", left[:, j], right[:, i])
        # A_ii has the variance 2 D_i^2, and is met twice in the sum
        yield Floats((first + second) / np.where(i == j, np.sqrt(2), 1)[:, None, None]), None
    for i, j in _chunks([(i, j) for i in range(count) for j in range(across.shape[1])], together):
        yield Floats(np.einsum("an,bn->nab", left[:, i], across[:, j])), None


def _factor(matrix: Float[np.ndarray, "n n"]) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, "n r"]]:
    """Eigenvalues that are not zero, and their vectors, of a positive semi-definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    kept = values > _TINY * max(values[-1], 0)
    return values[kept], vectors[:, kept]


def _chunks(places: list[tuple[int, int]], size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Index pairs, so many at a time."""
    for start in range(0, len(places), size):
        yield tuple(np.array(places[start : start + size]).T)  # type: ignore[misc]  # two rows
