"""The jackknife over blocks of examples: errors and intervals of a trace, of a squared mean, and of their ratio.

Estimates are left as they are; their errors come from what they would be without each block. The intervals are those of
Student's t on the scale of r = ||mean|| / sqrt(trace): its error is near symmetric where that of the noise scale,
1 / (r^2 - 1/n), is not. Measured against others in ``benchmarks/README.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

#: A function of the number of examples, of the trace and of ||mean||^2, all arrays of one length.
Statistic: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

#: With fewer blocks the errors are hardly known: t quantiles make up for it, and are wide: 2.4 for 8, 4.3 for 3.
FEWEST_BLOCKS = 8
#: Of laws of whose data sets half have fewer, intervals hold the truth less often than said by 0.04 and more (measured).
FEWEST_EXAMPLES = 20
#: How often one block of normal scatter is taken for an outlier; with 0.01 it is 6 of 100 for blocks of 16 numbers, with this 2.
FALSE_ALARMS = 0.001


@dataclass(frozen=True, eq=False)
class Jackknife:
    """A trace and a squared mean of all examples, and of those outside each block.

    Attributes:
        counts: (1 + blocks,) how many examples: n, then n - n_k.
        traces: (1 + blocks,) tr Cov(g_i) of them.
        norms: (1 + blocks,) ||mean||^2 of them, with its bias trace / count.
        ddof: 1: ||E g||^2 is norms - traces / counts; 0: norms.
    """

    counts: np.ndarray
    traces: np.ndarray
    norms: np.ndarray
    ddof: int

    @property
    def blocks(self) -> int:
        """How many there are."""
        return len(self.counts) - 1

    @cached_property
    def noise_scale(self) -> tuple[float, float]:
        """trace / ||E g||^2, infinite where that is not positive, and its standard error."""
        return self.estimate(lambda n, trace, norm: _ratio(trace, norm - self.ddof * trace / n))

    @cached_property
    def trace(self) -> tuple[float, float]:
        """With its standard error."""
        return self.estimate(lambda n, trace, norm: trace)

    @cached_property
    def squared_mean(self) -> tuple[float, float]:
        """||E g||^2, which may be negative for ddof=1, and its standard error."""
        return self.estimate(lambda n, trace, norm: norm - self.ddof * trace / n)

    def estimate(self, statistic: Statistic) -> tuple[float, float]:
        """Its value, and its standard error: NaN with one block, infinite where it does not exist without some block."""
        value, terms = self._terms(statistic)
        error = float(np.sqrt(np.mean(terms**2))) if self.blocks > 1 else math.nan
        return value, math.inf if self.blocks > 1 and math.isnan(error) else error

    def noise_scale_interval(self, level: float) -> tuple[float, float]:
        """Of 1 / (E r^2 - ddof/n), r = ||mean|| / sqrt(trace); infinite above where the mean is not resolved."""
        low, high = self._squares(lambda n, trace, norm: np.sqrt(norm / trace), level, self.ddof / self.counts[0])
        return _inverse(high), _inverse(low)

    def squared_mean_interval(self, level: float) -> tuple[float, float]:
        """Of E r^2 - ddof trace / n, r = ||mean||; never below 0."""
        return self._squares(lambda n, trace, norm: np.sqrt(norm), level, self.ddof * self.traces[0] / self.counts[0])

    def trace_interval(self, level: float) -> tuple[float, float]:
        """Of r^(-2), r = trace^(-1/2)."""
        value, _, reach = self._reach(lambda n, trace, norm: 1 / np.sqrt(trace), level)
        if math.isnan(reach):
            return math.nan, math.nan
        return _inverse((value + reach) ** 2), _inverse(max(0.0, value - reach) ** 2)

    @property
    def effective_examples(self) -> float:
        """How many equal examples would leave the trace as uncertain: n / (1 + n (error / trace)^2), at most n.

        For squared deviations q_i near (sum q)^2 / sum q^2, the effective sample size of Kish (1965), within a factor of 2
        for 16 blocks.
        """
        value, error = self.trace
        n = float(self.counts[0])
        return n / (1 + n * (error / value) ** 2) if value > 0 else n

    @property
    def carried_by_few(self) -> bool:
        """Whether few examples carry the trace: its error, made of few numbers, is then too small more often than said."""
        return self.effective_examples < FEWEST_EXAMPLES or self.has_outlier

    @property
    def has_outlier(self) -> bool:
        """Whether one block adds more to the trace than a normal law allows, by Grubbs' test (1950)."""
        k = self.blocks
        if k < 3:
            return False
        from scipy.special import stdtrit

        _, terms = self._terms(lambda n, trace, norm: trace)
        t = float(stdtrit(k - 2, 1 - FALSE_ALARMS / k))
        largest = (k - 1) / k * t**2 / (k - 2 + t**2)  # part of the sum of squares
        return bool(max(0.0, terms.max()) ** 2 > largest * np.sum(terms**2) > 0)

    def _terms(self, statistic: Statistic) -> tuple[float, np.ndarray]:
        """The value, and for each block its deviation, of which the mean square is the squared error.

        With h_k = n / n_k and the pseudo-values p_k = h_k f - (h_k - 1) f_k these are (p_k - centre) / sqrt(h_k - 1), where
        centre = blocks f - sum (1 - 1/h_k) f_k (Busing, Meijer and van der Leeden 1999).
        """
        with np.errstate(all="ignore"):
            found = np.asarray(statistic(self.counts, self.traces, self.norms), "float64")
            value, without = found[0], found[1:]
            h = self.counts[0] / (self.counts[0] - self.counts[1:])
            centre = self.blocks * value - np.sum((1 - 1 / h) * without)
            return float(value), (h * value - (h - 1) * without - centre) / np.sqrt(h - 1)

    def _squares(self, root: Statistic, level: float, bias: float) -> tuple[float, float]:
        """Of E r^2 - bias >= 0 by t for E r: E r^2 = (E r)^2 + Var r, the variance that of the jackknife.

        Where the estimate r^2 + error^2 - bias is negative, the upper end is as far from 0.
        """
        value, error, reach = self._reach(root, level)
        if math.isnan(reach):
            return math.nan, math.nan
        if not math.isfinite(value) or not math.isfinite(reach):
            return (value, value) if reach == 0 else (0.0, math.inf)
        excess = error**2 - float(bias)
        low = max(0.0, (value - reach) ** 2 + excess) if value > reach else 0.0
        return low, max(0.0, value**2 + excess) + 2 * value * reach + reach**2

    def _reach(self, root: Statistic, level: float) -> tuple[float, float, float]:
        """Its value, its error, and t times that: NaN with one block, infinite where nothing is known."""
        value, error = self.estimate(root)
        if value == math.inf and self.blocks > 1 and not self.traces.any():  # no spread at all
            return value, 0.0, 0.0
        if math.isnan(value) and self.blocks > 1:
            return 0.0, math.inf, math.inf
        from scipy.special import stdtrit

        return value, error, float(stdtrit(self.blocks - 1, (1 + level) / 2)) * error if self.blocks > 1 else math.nan


def without_each(
    counts: np.ndarray, scatter: np.ndarray, apart: np.ndarray, along: np.ndarray, *, plain: float, ddof: int
) -> tuple[Jackknife, Jackknife]:
    """The jackknife with the trace of examples, and that with the trace between the means of blocks.

    Args:
        counts: (blocks,) n_k.
        scatter: (blocks,) sum ||g_i - mean_k||^2 within block k.
        apart, along: (blocks,) ||mean_k - mean||^2 and mean . (mean_k - mean).
        plain: ||mean||^2.
        ddof: of the trace of examples; that between blocks has divisor blocks - 1, and no bias for iid examples.
    """
    n, blocks = counts.sum(), len(counts)
    rest, all_of = n - counts, np.zeros(1)
    with np.errstate(all="ignore"):  # of a single block nothing is left
        # without block k the mean moves by n_k / (n - n_k) (mean - mean_k), and as much of the scatter goes with it
        share = counts / rest
        norms = plain + np.concatenate([all_of, share**2 * apart - 2 * share * along])
        gone = np.concatenate([all_of, n * share * apart])
        between = counts @ apart - gone
        within = between + scatter.sum() - np.concatenate([all_of, scatter])
        left = np.concatenate([[n], rest])
        traces = within / (left - ddof)
        traces_between = between / (blocks - 1 - np.minimum(np.arange(blocks + 1), 1))
    kept = 1 + blocks * bool(blocks > 1 and np.all(rest > 1))  # of one example there is no trace
    kept_between = kept if blocks > 2 else 1
    return (
        Jackknife(left[:kept], traces[:kept], norms[:kept], ddof),
        Jackknife(left[:kept_between], traces_between[:kept_between], norms[:kept_between], 1),
    )


def _ratio(trace: np.ndarray, square: np.ndarray) -> np.ndarray:
    """trace / square, infinite where the latter is not positive."""
    return np.where(square > 0, trace / np.where(square > 0, square, 1), math.inf)


def _inverse(x: float) -> float:
    """1 / x, and 1 / 0 = infinity."""
    return 1 / x if x != 0 else math.inf
