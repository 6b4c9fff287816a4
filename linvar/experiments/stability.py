"""Is SGD on a linear regression mean-square stable at b = 1? Decided from both sides, for the data at hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

_ROUNDS = 1000
_ROUNDING = 1e-9
_ENOUGH = 20


@dataclass(frozen=True)
class Stability:
    """A bracket of the factor by which a step multiplies the second moment of w_t - w*, at b = 1.

    Attributes:
        low: the spectral radius is at least this.
        high: and at most this.
    """

    low: float
    high: float

    @property
    def verdict(self) -> str:
        """``stable``, ``unstable``, or ``undecided`` where rounding could turn the side."""
        return "stable" if self.high < 1 - _ROUNDING else "unstable" if self.low > 1 + _ROUNDING else "undecided"

    def __str__(self) -> str:
        words, bound = {
            "stable": ("Mean-square stable", f"at most 1 - {1 - self.high:.2g}"),
            "unstable": ("NOT mean-square stable", f"at least {self.low:.4g}"),
            "undecided": ("Undecided whether mean-square stable", f"{self.low:.10g} to {self.high:.10g}"),
        }[self.verdict]
        return f"{words} at b = 1: the recursion of the second moment of w_t - w* has spectral radius {bound}."

    def to_dict(self) -> dict[str, str | float]:
        """JSON."""
        return {"verdict": self.verdict, "low": self.low, "high": self.high}


def regression_stability(inputs: ArrayLike, learning_rate: float) -> Stability:
    """The spectral radius of M -> mean_i (I - a x_i x_i^T) M (I - a x_i x_i^T), on the span of the rows.

    M is the second moment of w_t - w* and a the learning rate; SGD with one example a step multiplies M so, plus a term from
    the noise of the targets, and so M stays bounded if and only if the radius is below 1 (what no row touches never moves).
    The map T keeps M positive semidefinite and is self-adjoint, so that for every M > 0

        <M, T M> / <M, M>  <=  radius  <=  the largest eigenvalue of M^-1 T M.

    M = I + T I + T^2 I + ... closes the bracket: it converges exactly where the radius is below 1.

    Args:
        inputs: (n, d), the rows x_i as they are trained on.
        learning_rate: a, the same at every step.

    >>> regression_stability([[1.0], [2.0]], 0.1).verdict  # 1 - 2 a 2.5 + a^2 8.5 = 0.585
    'stable'
    >>> regression_stability([[1.0], [2.0]], 0.6).verdict  # 1.06, though the mean converges: a 2.5 < 2
    'unstable'
    """
    rows = np.asarray(inputs, "float64")
    _, singular, directions = np.linalg.svd(rows, full_matrices=False)
    rows = rows @ directions[singular > 1e-10 * max(singular[0], 1e-300)].T
    n, d = rows.shape
    if d == 0:  # all inputs zero: nothing moves
        return Stability(0.0, 0.0)
    second = rows.T @ rows / n

    def mapped(m: np.ndarray) -> np.ndarray:
        forms = np.einsum("ni,ni->n", rows @ m, rows)  # x_i^T M x_i
        crossed = second @ m
        image: np.ndarray = m - learning_rate * (crossed + crossed.T) + learning_rate**2 * (rows.T * forms) @ rows / n
        return image

    low, high = 0.0, np.inf
    start = np.eye(d)
    m = start
    for done in range(1, _ROUNDS + 1):
        image = mapped(m)
        low = max(low, float(np.sum(m * image) / np.sum(m * m)))
        root = np.linalg.inv(np.linalg.cholesky(m))
        high = min(high, float(np.linalg.eigvalsh(root @ image @ root.T)[-1]))
        if (high < 1 or low > 1) and (done >= _ENOUGH or high - low < 1e-3 * high):
            break
        scale = max(1.0, float(np.trace(image)) * 1e-8)  # keeps M well conditioned where it grows
        m = image / scale + start
    return Stability(low, high)
