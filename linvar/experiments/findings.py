"""From estimates with standard errors to sentences: does a curve fall, which powers of 1/b does it have, which loss is lower?

Every sentence is one of "yes", "no", "unresolved" or "too few to tell", at a stated false-alarm rate over ALL the verdicts of a
summary: its questions share the rate evenly, and within a question its comparisons do (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from linvar.experiments.runner import JSON

FALSE_ALARM_RATE = 0.001
TOO_FEW = "too few batch sizes to tell"
#: Fewest batch sizes through which powers of 1/b are fitted.
FEWEST = 3
#: A degree is tried further if its fit is worse than this; to call it rejected takes the budget of the summary.
FITS = 0.01
Point = Sequence[float]  # value, standard error


@dataclass(frozen=True)
class Budget:
    """The false-alarm rate of a summary, shared by its questions.

    Attributes:
        questions: that end in a verdict, each of which has an equal share.
        runs: behind each standard error, for Student's t; None for the normal law.
        rate: that one verdict or more of the summary is a false alarm.
    """

    questions: int = 1
    runs: int | None = None
    rate: float = FALSE_ALARM_RATE

    @property
    def share(self) -> float:
        """The rate of one question."""
        return self.rate / self.questions

    def limit(self, comparisons: int) -> float:
        """|z| that one of so many comparisons of one question passes by chance with probability ``share`` at most.

        The quantile of Student's t with nu = R - 1 degrees of freedom (the difference of two means has as many or more), by
        Wallace's t^2 = nu (exp(z^2 ((8 nu + 3) / (8 nu + 1))^2 / nu) - 1): passed as rarely as stated, within 1 % from 64
        runs on and more rarely below.

        >>> round(Budget().limit(1), 2), round(Budget().limit(10), 2), round(Budget(runs=64).limit(1), 2)
        (3.29, 3.89, 3.45)
        """
        z = NormalDist().inv_cdf(1 - self.share / (2 * max(1, comparisons)))
        if self.runs is None:
            return z
        freedom = self.runs - 1
        return math.sqrt(freedom * math.expm1((z * (8 * freedom + 3) / (8 * freedom + 1)) ** 2 / freedom))

    def __str__(self) -> str:
        law = "normal law" if self.runs is None else f"Student's t, {self.runs - 1:,} degrees of freedom"
        return (
            f"Verdicts: false-alarm rate {self.rate:g} over all of this summary, shared evenly by its {self.questions} "
            f"questions and by the comparisons of each (Bonferroni; {law}, means over runs taken as normal)."
        )


@dataclass(frozen=True)
class Monotone:
    """Does a curve fall from each b to the next?

    Attributes:
        verdict: "falls", "rises" (somewhere, significantly), "unresolved", or that there are fewer than two points.
        rises: pairs (b, next b, z) that rise significantly.
        unresolved: pairs where neither is significant.
        smallest_z: of value(b) - value(next b) over its standard error; None without a pair.
        comparisons: pairs compared, over all the curves of one question.
    """

    verdict: str
    rises: list[tuple[int, int, float]]
    unresolved: list[tuple[int, int]]
    smallest_z: float | None
    comparisons: int

    def to_dict(self) -> dict[str, JSON]:
        """JSON."""
        return {
            "verdict": self.verdict,
            "rises": self.rises,
            "unresolved": self.unresolved,
            "smallest_z": self.smallest_z,
        }


def z_score(first: Point, second: Point) -> float:
    """(first - second) over its standard error, for independent estimates."""
    spread = math.hypot(first[1], second[1])
    difference = first[0] - second[0]
    return difference / spread if spread > 0 else (0.0 if difference == 0 else math.copysign(math.inf, difference))


def falls(curve: Mapping[int, Point], comparisons: int, budget: Budget | None = None) -> Monotone:
    """Compare each b with the next.

    >>> falls({1: (8.0, 0.1), 2: (4.0, 0.1), 4: (3.9, 0.1)}, 2).unresolved
    [(2, 4)]
    >>> falls({}, 4).verdict
    'too few batch sizes to tell'
    """
    batch_sizes = sorted(curve)
    bound = (budget or Budget()).limit(comparisons)
    scores = [(a, b, z_score(curve[a], curve[b])) for a, b in zip(batch_sizes, batch_sizes[1:])]
    if not scores:
        return Monotone(TOO_FEW, [], [], None, comparisons)
    rises = [(a, b, z) for a, b, z in scores if z < -bound]
    open_ = [(a, b) for a, b, z in scores if abs(z) <= bound]
    verdict = "rises" if rises else "unresolved" if open_ else "falls"
    return Monotone(verdict, rises, open_, min(z for *_, z in scores), comparisons)


@dataclass(frozen=True)
class Powers:
    """Which powers of 1/b estimates need.

    Attributes:
        degree: the smallest K such that c_0 (if ``constant``) + c_1/b + ... + c_K/b^K fits (p >= 0.01); None if none does.
        coefficients: [value, standard error] from the lowest power on; the error is that of the runs, and leaves out what
            the powers above K would move.
        lowest: the lowest power, 0 or 1.
        p_value: of the fit; None where none was tried.
        tried: degrees that do not fit, with their p-values.
        higher: the same coefficients in the fit of degree K + 1: how far the powers above K may move them; empty where there
            are too few batch sizes for it.
    """

    degree: int | None
    coefficients: list[list[float]]
    lowest: int
    p_value: float | None
    tried: list[tuple[int, float]]
    higher: list[float] = field(default_factory=list)

    def to_dict(self) -> dict[str, JSON]:
        """JSON."""
        return {
            "degree": self.degree,
            "coefficients": self.coefficients,
            "lowest": self.lowest,
            "p_value": self.p_value,
            "tried": self.tried,
            "higher": self.higher,
        }

    def __str__(self) -> str:
        if self.degree is None:
            if not self.tried:
                return TOO_FEW
            return f"no polynomial in 1/b with fewer coefficients than batch sizes fits (degree {self.tried[-1][0]} at most)"
        terms = " + ".join(
            f"({value:.4g} +- {error:.2g}){_power(k + self.lowest)}"
            for k, (value, error) in enumerate(self.coefficients)
        )
        return f"degree {self.degree} fits (p = {self.p_value:.2g}): {terms}"

    def rejected(self, level: float) -> str:
        """In words: which of the degrees that were tried before are rejected at this rate."""
        groups = (
            ("rejected", [(k, p) for k, p in self.tried if p < level]),
            ("with p < 0.01 but not rejected", [(k, p) for k, p in self.tried if p >= level]),
        )
        return "; ".join(
            f"degree {', '.join(str(k) for k, _ in group)} {word} (p = {', '.join(f'{p:.1g}' for _, p in group)})"
            for word, group in groups
            if group
        )


def _power(k: int) -> str:
    return "" if k == 0 else "/b" if k == 1 else f"/b^{k}"


def powers(curve: Mapping[int, Point], *, constant: bool, runs: int | None = None) -> Powers:
    """Weighted least squares in 1/b, the lowest degree that fits.

    Args:
        curve: b -> (value, standard error), errors > 0; with fewer than three of them nothing is fitted.
        constant: is there a term that does not fall with b (sampling without replacement)?
        runs: behind each standard error; None if the errors are known exactly.

    >>> curve = {b: (3 / b + 5 / b**2, 0.01 / b) for b in (1, 2, 4, 8, 16)}
    >>> powers(curve, constant=False).degree
    2
    >>> str(powers({1: (8.0, 0.1), 2: (4.0, 0.1)}, constant=False))
    'too few batch sizes to tell'
    """
    lowest = 0 if constant else 1
    points = {b: p for b, p in curve.items() if p[1] > 0 and math.isfinite(p[0])}
    tried: list[tuple[int, float]] = []
    if len(points) < FEWEST:
        return Powers(None, [], lowest, None, tried)
    for degree in range(1, len(points) + lowest - 1):
        coefficients, squares = _fit(points, range(lowest, degree + 1))
        p_value = scatter_tail(squares, len(points) - len(coefficients), runs)
        if p_value >= FITS:
            higher = [v for v, _ in _fit(points, range(lowest, degree + 2))[0][:-1]]
            return Powers(degree, coefficients, lowest, p_value, tried, higher)
        tried.append((degree, p_value))
    return Powers(None, [], lowest, tried[-1][1], tried)


def _fit(points: Mapping[int, Point], exponents: range) -> tuple[list[list[float]], float]:
    """[coefficient, standard error] of these powers of 1/b, and the sum of the squared residuals over their errors."""
    batch_sizes = np.asarray(sorted(points), "float64")
    values, errors = (np.asarray([points[int(b)][i] for b in batch_sizes]) for i in (0, 1))
    # columns scaled to 1 at the smallest b, so that the equations are well conditioned
    powers_of_b = np.asarray(exponents)
    design = (batch_sizes[0] / batch_sizes)[:, None] ** powers_of_b / errors[:, None]
    solution, *_ = np.linalg.lstsq(design, values / errors, rcond=None)
    squares = float(np.sum((values / errors - design @ solution) ** 2))
    inverse = np.linalg.pinv(design)  # coefficients = inverse (values / errors), whose terms have variance 1
    scale = batch_sizes[0] ** powers_of_b
    spread = np.sqrt(np.sum(inverse**2, axis=1))
    return [[float(v), float(e)] for v, e in zip(solution * scale, spread * scale)], squares


def scatter_tail(squares: float, freedom: int, runs: int | None = None) -> float:
    """P(sum of squared residuals over their standard errors > ``squares``), each error estimated from so many runs.

    With nu = runs - 1, (nu + freedom/2 - 1) log(1 + squares/nu) is chi squared to order 1/nu^2 (Bartlett), for one residual
    the square of Student's t; errors known exactly (None) make ``squares`` itself chi squared.

    >>> round(scatter_tail(3.841, 1), 3), round(scatter_tail(2.086**2, 1, runs=21), 3)
    (0.05, 0.05)
    """
    if runs is not None:
        squares = (runs - 2 + freedom / 2) * math.log1p(squares / (runs - 1))
    return chi_squared_tail(squares, freedom)


def chi_squared_tail(value: float, freedom: int) -> float:
    """P(chi squared of so many degrees of freedom > value).

    By Q(a + 1, y) = Q(a, y) + y^a e^-y / Gamma(a + 1) from Q(1/2, y) = erfc(sqrt y) or Q(1, y) = e^-y, y = value/2: no term
    is negative.

    >>> round(chi_squared_tail(3.841, 1), 3), round(chi_squared_tail(5.991, 2), 3)
    (0.05, 0.05)
    """
    y = value / 2
    if y == 0:
        return 1.0
    total = math.erfc(math.sqrt(y)) if freedom % 2 else math.exp(-y)
    for twice in range(1 if freedom % 2 else 2, freedom, 2):
        total += math.exp(twice / 2 * math.log(y) - y - math.lgamma(twice / 2 + 1))
    return total


def lower(curve: Mapping[int, Point], count: int, budget: Budget | None = None) -> str:
    """In words: is the value lower at the smallest b or at the largest, and at which b is it the lowest of all?

    Args:
        curve: b -> (value, standard error).
        count: batch sizes by design: one comparison of the ends, and one a batch size of the lowest with every other.
        budget: of the summary.

    >>> lower({1: (1.0, 0.01), 4: (2.0, 0.01), 8: (2.1, 0.01)}, 3)
    'lower at the smaller b (1 +- 0.01 at b = 1, 2.1 +- 0.01 at b = 8, z = 77.8); lowest at b = 1 (next b = 4, z = 70.7)'
    """
    batch_sizes = sorted(curve)
    if len(batch_sizes) < 2:
        return TOO_FEW + "".join(f" ({curve[b][0]:.4g} +- {curve[b][1]:.2g} at b = {b})" for b in batch_sizes)
    bound = (budget or Budget()).limit(1 + count)
    first, last = batch_sizes[0], batch_sizes[-1]
    z = z_score(curve[last], curve[first])
    small, large = (f"{curve[b][0]:.4g} +- {curve[b][1]:.2g} at b = {b}" for b in (first, last))
    verdict = "lower at the smaller b" if z > bound else "lower at the larger b" if z < -bound else "unresolved"
    text = f"{verdict} ({small}, {large}, z = {z:.1f})"
    if len(batch_sizes) == 2:
        return text
    best = min(batch_sizes, key=lambda b: curve[b][0])
    # the true lowest is called higher than another only if ITS comparison passes by chance: one event for each other b
    score, rival = min((z_score(curve[b], curve[best]), b) for b in batch_sizes if b != best)
    if score > bound:
        return f"{text}; lowest at b = {best} (next b = {rival}, z = {score:.1f})"
    return f"{text}; which b is lowest is not resolved (b = {best} against b = {rival}: z = {score:.1f} of {bound:.1f})"
