"""From estimates with standard errors to sentences: does a curve fall, which powers of 1/b does it have, which loss is lower?

Every sentence is one of "yes", "no" or "unresolved", at a stated false-alarm rate over all comparisons behind it (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

FALSE_ALARM_RATE = 0.001
Point = Sequence[float]  # value, standard error


@dataclass(frozen=True)
class Monotone:
    """Does a curve fall from each b to the next?

    Attributes:
        verdict: "falls", "rises" (somewhere, significantly) or "unresolved".
        rises: pairs (b, next b, z) that rise significantly.
        unresolved: pairs where neither is significant.
        smallest_z: of value(b) - value(next b) over its standard error.
        comparisons: pairs compared, over all the curves of one question.
    """

    verdict: str
    rises: list[tuple[int, int, float]]
    unresolved: list[tuple[int, int]]
    smallest_z: float
    comparisons: int

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "verdict": self.verdict,
            "rises": self.rises,
            "unresolved": self.unresolved,
            "smallest_z": self.smallest_z,
        }


def limit(comparisons: int) -> float:
    """|z| that one of so many comparisons passes by chance with probability FALSE_ALARM_RATE at most.

    >>> round(limit(1), 2), round(limit(10), 2)
    (3.29, 3.89)
    """
    return NormalDist().inv_cdf(1 - FALSE_ALARM_RATE / (2 * max(1, comparisons)))


def z_score(first: Point, second: Point) -> float:
    """(first - second) over its standard error, for independent estimates."""
    spread = math.hypot(first[1], second[1])
    difference = first[0] - second[0]
    return difference / spread if spread > 0 else (0.0 if difference == 0 else math.copysign(math.inf, difference))


def falls(curve: Mapping[int, Point], comparisons: int) -> Monotone:
    """Compare each b with the next.

    >>> falls({1: (8.0, 0.1), 2: (4.0, 0.1), 4: (3.9, 0.1)}, 2).unresolved
    [(2, 4)]
    """
    sizes = sorted(curve)
    bound = limit(comparisons)
    scores = [(a, b, z_score(curve[a], curve[b])) for a, b in zip(sizes, sizes[1:])]
    rises = [(a, b, z) for a, b, z in scores if z < -bound]
    open_ = [(a, b) for a, b, z in scores if abs(z) <= bound]
    verdict = "rises" if rises else "unresolved" if open_ else "falls"
    return Monotone(verdict, rises, open_, min((z for *_, z in scores), default=math.nan), comparisons)


@dataclass(frozen=True)
class Powers:
    """Which powers of 1/b estimates need.

    Attributes:
        degree: the smallest K such that c_0 (if ``constant``) + c_1/b + ... + c_K/b^K fits (p >= 0.01); None if none does.
        coefficients: [value, standard error] from the lowest power on.
        lowest: the lowest power, 0 or 1.
        p_value: of the fit, chi squared.
        tried: degrees that do not fit, with their p-values.
    """

    degree: int | None
    coefficients: list[list[float]]
    lowest: int
    p_value: float
    tried: list[tuple[int, float]]

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {
            "degree": self.degree,
            "coefficients": self.coefficients,
            "lowest": self.lowest,
            "p_value": self.p_value,
        }

    def __str__(self) -> str:
        if self.degree is None:
            return "no polynomial in 1/b with fewer coefficients than batch sizes fits"
        terms = " + ".join(
            f"({value:.4g} +- {error:.2g})/b^{k + self.lowest}" for k, (value, error) in enumerate(self.coefficients)
        )
        rejected = f"; lower degrees do not (p = {', '.join(f'{p:.1g}' for _, p in self.tried)})" if self.tried else ""
        return f"degree {self.degree} fits (p = {self.p_value:.2g}): {terms}{rejected}"


def powers(curve: Mapping[int, Point], *, constant: bool) -> Powers:
    """Weighted least squares in 1/b, the lowest degree that fits.

    Args:
        curve: b -> (value, standard error), errors > 0.
        constant: is there a term that does not fall with b (sampling without replacement)?

    >>> curve = {b: (3 / b + 5 / b**2, 0.01 / b) for b in (1, 2, 4, 8, 16)}
    >>> powers(curve, constant=False).degree
    2
    """
    lowest = 0 if constant else 1
    points = {b: p for b, p in curve.items() if p[1] > 0 and math.isfinite(p[0])}
    sizes = np.asarray(sorted(points), "float64")
    values, errors = (np.asarray([points[int(b)][i] for b in sizes]) for i in (0, 1))
    tried: list[tuple[int, float]] = []
    for degree in range(1, len(sizes) + lowest - 1):
        exponents = np.arange(lowest, degree + 1)
        # columns scaled to 1 at the smallest b, so that the equations are well conditioned
        design = (sizes[0] / sizes)[:, None] ** exponents / errors[:, None]
        solution, *_ = np.linalg.lstsq(design, values / errors, rcond=None)
        squares = float(np.sum((values / errors - design @ solution) ** 2))
        p_value = chi_squared_tail(squares, len(sizes) - len(exponents))
        if p_value >= 0.01:
            covariance = np.linalg.inv(design.T @ design)
            scale = sizes[0] ** exponents
            coefficients = [
                [float(v), float(e)] for v, e in zip(solution * scale, np.sqrt(np.diag(covariance)) * scale)
            ]
            return Powers(degree, coefficients, lowest, p_value, tried)
        tried.append((degree, p_value))
    return Powers(None, [], lowest, tried[-1][1] if tried else math.nan, tried)


def chi_squared_tail(value: float, freedom: int) -> float:
    """P(chi squared of so many degrees of freedom > value).

    >>> round(chi_squared_tail(3.841, 1), 3), round(chi_squared_tail(5.991, 2), 3)
    (0.05, 0.05)
    """
    import jax
    from jax.scipy.special import gammaincc

    with jax.enable_x64(True):
        return float(gammaincc(freedom / 2, value / 2))


def lower(curves: Mapping[int, Point], comparisons: int) -> str:
    """In words: which batch size has the lowest value, and by how much it is decided against the largest."""
    sizes = sorted(curves)
    best = min(sizes, key=lambda b: curves[b][0])
    first, last = sizes[0], sizes[-1]
    z = z_score(curves[last], curves[first])
    small, large = (f"{curves[b][0]:.4g} +- {curves[b][1]:.2g} at b = {b}" for b in (first, last))
    bound = limit(comparisons)
    verdict = "lower at the smaller b" if z > bound else "lower at the larger b" if z < -bound else "unresolved"
    return f"{verdict} ({small}, {large}, z = {z:.1f}; lowest at b = {best})"
