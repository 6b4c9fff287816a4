"""What a sample says about an exact value, and when it may not say it: the statistics behind ``verify``.

A comparison looks at d = estimate - exact. Its threshold is not z * (standard error) alone:

- z is the two-sided normal quantile at the false-alarm rate of ONE comparison, so that all of them together keep
  the stated rate (Sidak's inequality).
- Right-skewed terms make the t-statistic left-skewed. Below, the threshold grows by s * g * (2 z^2 + 1) / 6 with
  g = skewness / sqrt(runs) (the first term of the Cornish-Fisher expansion; Johnson 1978, J. Amer. Statist. Assoc.
  73, 536-544); above it grows likewise when g < 0.
- An event of probability p <= log(1/rate) / runs may not have occurred. Terms that are never negative can lose at
  most p * estimate by it. They can gain without limit: that is the hidden mass, E[term; term beyond all the plain
  runs], measured on rare batches (``linvar.numeric.simulation.rare_batches``) and widening the threshold below.
- A squared mean has a chi-square part, at most 2 log(1/rate) * variance / runs beyond the normal one (Laurent and
  Massart 2000, Ann. Statist. 28, 1302-1338, lemma 1).
- Floating-point rounding.

A sample is "resolved" when its standard error can be trusted: no single run carries more than ``LARGEST_SHARE`` of
the sum of squares, its two halves agree on the spread within ``HALVES``, and the hidden mass (plus three of its
standard errors) is below half of the threshold, or small beside the estimate (``SMALL_MASS``). A law that has no sampler
for rare batches leaves the hidden mass unknown: without bound, and never resolved. None of this looks at the exact value.
Then

    REJECT        d above the threshold; or below it, and the sample is resolved
    AGREE         d within the threshold, the sample is resolved, and it would have seen a deviation of one half
    UNRESOLVED    otherwise: the runs cannot tell
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from linvar.numeric.simulation.rare_batches import RareBatches
    from linvar.numeric.simulation.trajectories import TrajectoryMoments

AGREE, REJECT, UNRESOLVED = "AGREE", "REJECT", "UNRESOLVED"
#: Largest share of the sum of squared deviations that one run may carry.
LARGEST_SHARE = 0.25
#: Largest ratio of the spreads of the two halves of the runs.
HALVES = 2.0
#: An agreement must be able to see a relative deviation of this size.
COARSEST_RESOLUTION = 0.5
#: Hidden mass up to this part of the estimate is taken as measured: it widens the threshold and leaves no doubt.
SMALL_MASS = 0.02
_ROUNDING = 1e-11


@dataclass(frozen=True)
class Levels:
    """Rates and quantiles for a number of comparisons."""

    false_alarm_rate: float
    comparisons: int

    @property
    def rate(self) -> float:
        """False-alarm rate of one comparison: 1 - (1 - rate)^(1 / comparisons)."""
        return -math.expm1(math.log1p(-self.false_alarm_rate) / self.comparisons)

    @property
    def z(self) -> float:
        """Two-sided normal quantile.

        >>> round(Levels(0.05, 1).z, 2)
        1.96
        """
        return NormalDist().inv_cdf(1 - self.rate / 2)


@dataclass(frozen=True)
class Evidence:
    """What the sample of one comparison is worth; the exact value plays no part in it.

    Attributes:
        below, above: thresholds on exact - estimate and on estimate - exact.
        hidden: bound on the mass beyond all plain runs.
        largest_share: of one run in the sum of squared deviations.
        halves: ratio (>= 1) of the spreads of the two halves.
        rounding: floating-point error of the estimate.
        reasons: why the sample is not resolved; empty if it is.
    """

    below: float
    above: float
    hidden: float
    largest_share: float
    halves: float
    rounding: float
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Hidden:
    """Mass beyond all plain runs: E[f; hidden] + 3 standard errors, for f = 1, ||G||, ||G||^2 and the loss.

    Not ``known``, it has no bound.
    """

    one: float
    norm: float
    squared_norm: float
    loss: float
    known: bool = True

    @classmethod
    def unknown(cls) -> Hidden:
        """Of a law that has no sampler for rare batches."""
        return cls(math.inf, math.inf, math.inf, math.inf, known=False)

    @classmethod
    def measure(cls, moments: TrajectoryMoments, rare: RareBatches) -> Hidden:
        """From plain runs (``TrajectoryMoments``) and reweighted ones (``RareBatches``)."""
        squares, losses = rare.second_moment_terms, rare.loss_terms
        with np.errstate(all="ignore"):
            margin = 1 + 1e-9  # equal up to rounding is not beyond
            beyond = ~(squares <= margin * np.max(moments.second_moment_terms.sum(axis=1)))
            beyond_loss = ~(losses <= margin * np.max(moments.loss_terms))
            return cls(
                _upper_mean(rare.weights * beyond),
                _upper_mean(np.where(beyond, rare.weights * np.sqrt(squares), 0.0)),
                _upper_mean(np.where(beyond, rare.weights * squares, 0.0)),
                _upper_mean(np.where(beyond_loss, rare.weights * losses, 0.0)),
            )


def weigh(
    quantity: str,
    moments: TrajectoryMoments,
    hidden: Hidden,
    levels: Levels,
    *,
    rounding_floor: float,
    exhaustive: bool,
) -> Evidence:
    """The evidence of one batch size for one quantity.

    Args:
        quantity: "variance", "second_moment", "squared_mean" or "loss".
        moments: the plain runs.
        hidden: the hidden mass at this batch size.
        levels: the rates.
        rounding_floor: absolute floating-point error of a quantity that is zero.
        exhaustive: every batch is the whole data set, nothing can stay unseen.
    """
    estimate = getattr(moments, quantity)
    runs, z = estimate.runs, levels.z
    variance = max(moments.variance.value, 0.0)
    norm = math.sqrt(max(moments.second_moment.value, 0.0))
    if moments.nonfinite_runs or not (math.isfinite(estimate.value) and math.isfinite(estimate.standard_error)):
        return Evidence(math.inf, math.inf, math.inf, 1.0, math.inf, 0.0, ("runs left the range of float64",))
    if quantity == "squared_mean":
        # the mean gradient moves by at most E[||G||; hidden]
        mass = 2 * norm * hidden.norm + hidden.norm**2
        terms = moments.variance_terms.sum(axis=1)
        weights = np.abs(terms)
        size = moments.second_moment.value
    else:
        terms = moments.loss_terms if quantity == "loss" else getattr(moments, f"{quantity}_terms").sum(axis=1)
        mass = hidden.loss if quantity == "loss" else hidden.squared_norm
        if quantity == "variance":
            mass += 2 * norm * hidden.norm + norm**2 * hidden.one
        weights = (terms - terms.mean()) ** 2
        size = max(abs(estimate.value), 0.0 if quantity == "loss" else moments.second_moment.value)
    mass = mass if hidden.known else math.inf  # not 0 times infinity
    floor = _ROUNDING * size + rounding_floor
    spread = estimate.standard_error
    quiet = spread * z <= floor
    chance = math.log(1 / levels.rate) / runs
    lost = 0.0 if exhaustive else chance * abs(estimate.value)
    share = 0.0 if quiet else float(weights.max() / weights.sum())
    halves = 1.0 if quiet else _halves(weights)
    g = 0.0 if quiet else _skewness(terms) / math.sqrt(runs)
    base = z * spread + floor
    tilt = spread * g * (2 * z * z + 1) / 6
    if quantity == "squared_mean":
        second_order = 2 * chance * variance
        below = above = base + abs(tilt) + mass + second_order + lost
    else:
        below, above = base + max(tilt, 0.0) + mass, base + max(-tilt, 0.0) + lost
    reasons = []
    if share > LARGEST_SHARE:
        reasons.append(f"one run carries {share:.0%} of the spread")
    if halves > HALVES:
        reasons.append(f"the halves of the runs differ {halves:.1f} times in spread")
    allowed = max(base / 2, SMALL_MASS * abs(estimate.value))
    if not hidden.known:
        reasons.append("the law has no sampler for rare batches")
    elif not mass <= allowed + (second_order if quantity == "squared_mean" else 0.0):
        many = f"{mass / abs(estimate.value):.2g} times the estimate" if estimate.value else f"{mass:.2g}"
        reasons.append(f"batches too rare for {runs:,} runs may hold {many}")
    return Evidence(below, above, mass, share, halves, floor, tuple(reasons))


def judge(quantity: str, difference: float, exact: float, evidence: Evidence) -> str:
    """AGREE, REJECT or UNRESOLVED for difference = estimate - exact (see the module docstring)."""
    resolved = not evidence.reasons
    if not math.isfinite(evidence.above) or math.isnan(difference):
        return UNRESOLVED
    if difference > evidence.above:
        return REJECT if resolved or quantity != "squared_mean" else UNRESOLVED
    if difference < -evidence.below:
        return REJECT if resolved else UNRESOLVED
    # a squared mean near zero beside a large variance is known no better than the variance allows
    fine = quantity == "squared_mean" or exact == 0 or evidence.below <= COARSEST_RESOLUTION * abs(exact)
    return AGREE if resolved and fine else UNRESOLVED


def _upper_mean(values: np.ndarray) -> float:
    """Mean plus three standard errors; infinite if a value is not finite."""
    if not np.all(np.isfinite(values)):
        return math.inf
    return float(values.mean() + 3 * values.std() / math.sqrt(len(values)))


def _halves(weights: np.ndarray) -> float:
    """Ratio of the root mean squares of the first and the second half."""
    middle = len(weights) // 2
    first, second = float(weights[:middle].mean()), float(weights[middle:].mean())
    low, high = min(first, second), max(first, second)
    return math.sqrt(high / low) if low > 0 else (1.0 if high == 0 else math.inf)


def _skewness(terms: np.ndarray) -> float:
    """Third central moment over the cube of the standard deviation."""
    centered = terms - terms.mean()
    scale = float(np.sqrt(np.mean(centered**2)))
    return 0.0 if scale == 0 else float(np.mean((centered / scale) ** 3))
