"""A polynomial known at few places, at many: Chebyshev nodes, in as many pieces as the error that is measured asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.interpolate import BarycentricInterpolator

#: Chebyshev nodes of one interpolant.
_NODES = 16
#: Points between the nodes at which an interpolation is checked.
_CHECKS = 5


class Interpolation(NamedTuple):
    """Values at the points asked for, and the largest relative error measured; 0 where every value was computed directly."""

    values: np.ndarray
    error: float


def interpolated(
    function: Callable[[np.ndarray], np.ndarray], points: np.ndarray, degree: int, tolerance: float
) -> Interpolation:
    """Functions f(c) = c q(c), q polynomials of some degree, at every point: by interpolation where that needs fewer nodes.

    Where one interpolant does not do (values of many magnitudes) the range is cut in two at its geometric mean, again and again.

    Args:
        function: from c, shape (k,), to the functions' values, shape (k, q).
        points: where to compute, >= 0.
        degree: of q, at most.
        tolerance: every interpolant meets values computed directly between its nodes within this, relative.

    >>> double = interpolated(lambda c: np.stack([c + c**2, c**3], axis=1), np.linspace(0, 1, 50), 2, 1e-9)
    >>> double.values[[7, 49]].round(6).tolist(), 0 < double.error < 1e-12
    ([[0.163265, 0.002915], [2.0, 1.0]], True)
    """
    nodes = min(_NODES, degree + 1)  # so many determine the polynomial
    positive = points[points > 0]
    if len(points) <= nodes + _CHECKS or len(positive) < 2:
        return Interpolation(function(points), 0.0)
    low, high = float(points.min()), float(points.max())
    at = chebyshev_nodes(nodes, low, high)
    # coefficients of q that are not negative: q grows with c, so a relative error is largest at the smallest c
    between = np.concatenate([[positive.min()], chebyshev_nodes(_CHECKS - 1, low, high)])
    places = np.concatenate([at, between])
    quotients = function(places) / places[:, None]
    interpolant = chebyshev_interpolant(at, quotients[:nodes])
    known, guess = quotients[nodes:], interpolant(between)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = float(np.max(np.where(known == guess, 0.0, np.abs(guess - known) / np.abs(known))))
    if error <= tolerance:
        return Interpolation(interpolant(points) * points[:, None], error)
    lower = points < (positive.min() * high) ** 0.5
    parts = {half: interpolated(function, points[lower == half], degree, tolerance) for half in (True, False)}
    values = np.empty((len(points), quotients.shape[1]))
    for half, part in parts.items():
        values[lower == half] = part.values
    return Interpolation(values, max(part.error for part in parts.values()))


def chebyshev_nodes(count: int, low: float, high: float) -> np.ndarray:
    """Zeros of the Chebyshev polynomial of this degree on [low, high], descending: cos((2 k + 1) pi / (2 count)), moved."""
    angles = (2 * np.arange(count) + 1) * np.pi / (2 * count)
    return np.asarray(low + (high - low) * np.cos(angles / 2) ** 2)


def chebyshev_interpolant(nodes: np.ndarray, values: np.ndarray) -> BarycentricInterpolator:
    """The polynomials through values (nodes, q) at Chebyshev zeros: a function of points, with values (points, q).

    The weights of the barycentric formula are (-1)^k sin((2 k + 1) pi / (2 count)) up to a factor (Berrut & Trefethen, 2004);
    given them, SciPy draws no random order of the nodes.
    """
    count = len(nodes)
    weights = (-1.0) ** np.arange(count) * np.sin((2 * np.arange(count) + 1) * np.pi / (2 * count))
    return BarycentricInterpolator(nodes, values, wi=weights)
