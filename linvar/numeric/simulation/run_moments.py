"""Moments of a gradient over independent runs, from a few numbers a run, with standard errors.

With C = Cov(G), D = ||G - E G||^2 and R runs (Hoeffding's exact variance of a U-statistic):

    variance        Var(D) / R + 2 tr(C^2) / (R (R - 1))
    squared mean    4 m^T C m / R + 2 tr(C^2) / (R (R - 1))
    second moment   Var(||G||^2) / R

tr(C^2) is estimated without bias from disjoint quadruples of runs, E [(G_1 - G_2) . (G_3 - G_4) / 2]^2; so the
second-order term keeps a squared mean of zero from having a standard error of zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from linvar.numeric.estimates import Estimate


@dataclass(frozen=True)
class RunTerms:
    """What is kept of the runs: a few numbers a run and layer, a sum over layers where a total is wanted.

    Attributes:
        norms: (runs, layers): ||G_r||^2.
        deviations: (runs, layers): ||G_r - mean||^2 R / (R - 1).
        projections: (runs, layers): mean . (G_r - mean).
        quadruples: (runs // 4, layers): (G_1 - G_2) . (G_3 - G_4) / 2 over disjoint quadruples of runs.
        squared_means: (layers,): ||mean||^2.
        finite: are all runs finite? If not, every estimate is NaN.
    """

    norms: np.ndarray
    deviations: np.ndarray
    projections: np.ndarray
    quadruples: np.ndarray
    squared_means: np.ndarray
    finite: bool

    @np.errstate(all="ignore")  # squares beyond float64: their standard errors are infinite
    def estimates(self, columns: Sequence[int] | None = None) -> tuple[Estimate, Estimate, Estimate]:
        """Variance, second moment and squared mean of some layers together; of all if None."""
        runs, depth = self.norms.shape
        chosen = list(range(depth)) if columns is None else list(columns)
        if not self.finite:
            nothing = Estimate(math.nan, math.nan, runs)
            return nothing, nothing, nothing
        deviations = self.deviations[:, chosen].sum(axis=1)
        variance_value = float(np.mean(deviations))
        products = self.quadruples[:, chosen].sum(axis=1)
        # tr(C^2) <= (tr C)^2 stands in when there is no quadruple
        square_trace = float(np.mean(products**2)) if len(products) else variance_value**2
        second_order = 2 * square_trace / (runs * (runs - 1))
        variance = average(deviations, second_order)
        second_moment = average(self.norms[:, chosen].sum(axis=1))
        along = float(np.sum(self.projections[:, chosen].sum(axis=1) ** 2)) / (runs - 1)
        if math.isfinite(along):  # the estimated mean has noise of its own
            along = max(along - square_trace / runs, 0.0)
        value = float(self.squared_means[chosen].sum()) - variance_value / runs
        return variance, second_moment, Estimate(value, math.sqrt(4 * along / runs + second_order), runs)


@np.errstate(all="ignore")
def average(values: np.ndarray, extra: float = 0.0) -> Estimate:
    """Mean over runs; ``extra`` is added to the squared standard error.

    >>> average(np.asarray([1.0, 2.0, 3.0, 2.0]))
    2.00 +- 0.41 (4 runs)
    """
    runs = len(values)
    # centred on the first term: equal terms have exactly zero spread
    value = float(values[0] + np.mean(values - values[0]))
    spread = np.sum((values - value) ** 2) / (runs - 1)
    return Estimate(value, float(np.sqrt(spread / runs + extra)), runs)


def terms_of_rows(layers: Sequence[np.ndarray]) -> RunTerms:
    """The terms of gradients that are all in memory.

    Args:
        layers: for each layer (runs, entries), at least 2 runs.

    >>> rows = np.asarray([[1.0, 0.0], [3.0, 0.0], [1.0, 2.0], [3.0, 2.0]])
    >>> variance, _, squared_mean = terms_of_rows([rows]).estimates()
    >>> round(variance.value, 4), round(squared_mean.value, 4)  # of the rows, divisor 3; 5 less a quarter of that
    (2.6667, 4.3333)
    """
    wide = [np.asarray(rows, "float64") for rows in layers]
    runs = len(wide[0])
    with np.errstate(all="ignore"):
        means = [rows[0] + np.mean(rows - rows[0], axis=0) for rows in wide]
        centred = [rows - mean for rows, mean in zip(wide, means)]
        norms = np.stack([dot(rows, rows) for rows in wide], axis=1)
        return RunTerms(
            norms=norms,
            deviations=np.stack([dot(rows, rows) for rows in centred], axis=1) * (runs / (runs - 1)),
            projections=np.stack([dot(rows, mean) for rows, mean in zip(centred, means)], axis=1),
            quadruples=np.stack([quadruple_products(rows[: runs // 4 * 4]) for rows in centred], axis=1),
            squared_means=np.asarray([dot(mean, mean) for mean in means]),
            finite=bool(np.isfinite(norms).all()),
        )


def dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Inner products along the last axis; of two vectors an array without axes."""
    return np.asarray(np.einsum("...i,...i->...", first, second))


def quadruple_products(rows: np.ndarray) -> np.ndarray:
    """(g_1 - g_2) . (g_3 - g_4) / 2 for each four rows in order."""
    differences = rows[0::2] - rows[1::2]
    return dot(differences[0::2], differences[1::2]) / 2
