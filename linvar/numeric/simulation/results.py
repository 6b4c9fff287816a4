"""What ``simulate`` returns: moments of the batch gradient over runs, at each batch size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.numeric.estimates import Estimate


@dataclass(frozen=True, eq=False)
class TrajectoryMoments(Tabular):
    """Moments of the batch gradient G_t over independent SGD runs, at one batch size, given the INITIAL weights.

    Every estimate is unbiased (float rounding aside) and comes with a standard error (see the module docstring).
    If any run left the floating-point range, every estimate is NaN and ``nonfinite_runs`` counts those runs.

    Attributes:
        batch_size: b.
        step: t, the number of updates made before the gradient is measured.
        runs: R, the number of independent runs.
        nonfinite_runs: runs whose gradient, its squared norm or the loss is NaN or infinite.
        variance: tr Cov(G_t) = E||G_t||^2 - ||E G_t||^2 over all layers; divisor R - 1.
        second_moment: E||G_t||^2.
        squared_mean: ||E G_t||^2, estimated as ||mean||^2 - variance / R; may come out negative.
        loss: E of the population loss at the weights W_t, from the batch G_t is measured on.
        conditional_variance: E tr Cov(G_t | W_t), the noise of the last batch alone, from the per-example gradients of that
            batch; the variance less the variance of E[G_t | W_t]. None where the batch has one example, or none of its own.
        variance_per_layer, second_moment_per_layer, squared_mean_per_layer: the same, W_1 first.
        second_moment_terms: (runs, layers): ||G_r||^2; ``second_moment_per_layer`` is their mean over runs.
        variance_terms: (runs, layers): ||G_r - mean||^2 R / (R - 1); ``variance_per_layer`` is their mean.
        loss_terms: (runs,): the loss of each run's last batch at W_t; ``loss`` is their mean.
    """

    batch_size: int
    step: int
    runs: int
    nonfinite_runs: int
    variance: Estimate
    second_moment: Estimate
    squared_mean: Estimate
    loss: Estimate
    conditional_variance: Estimate | None
    variance_per_layer: tuple[Estimate, ...]
    second_moment_per_layer: tuple[Estimate, ...]
    squared_mean_per_layer: tuple[Estimate, ...]
    second_moment_terms: Float64[np.ndarray, "runs layers"]
    variance_terms: Float64[np.ndarray, "runs layers"]
    loss_terms: Float64[np.ndarray, " runs"]

    def to_table(self) -> Table:
        """A quantity a row, over all layers and of each, with its standard error."""
        quantities = {
            "variance": (self.variance, self.variance_per_layer),
            "second moment": (self.second_moment, self.second_moment_per_layer),
            "squared mean": (self.squared_mean, self.squared_mean_per_layer),
            "loss": (self.loss, ()),
        }
        if self.conditional_variance is not None:
            quantities["variance given the weights"] = (self.conditional_variance, ())
        rows = [
            (name + where, own.value, own.standard_error)
            for name, (total, layers) in quantities.items()
            for where, own in [("", total), *((f", leaf {k}", one) for k, one in enumerate(layers, 1))]
        ]
        return Table(["quantity", "estimate", "standard error"], rows, self._title(), _lost({self.batch_size: self}))

    def _title(self) -> str:
        return f"Gradient of b = {self.batch_size:,} examples at step {self.step:,}, over {self.runs:,} runs"

    def __repr__(self) -> str:
        return (
            f"TrajectoryMoments(batch_size={self.batch_size}, step={self.step}, variance={self.variance}, "
            f"second_moment={self.second_moment}, squared_mean={self.squared_mean}, loss={self.loss})"
        )


class Simulation(dict[int, TrajectoryMoments], Tabular):
    """Batch size -> moments of the gradient over runs: a dictionary that is shown as a table."""

    def to_table(self) -> Table:
        """A batch size a row, each estimate with its standard error."""
        names = ("variance", "second_moment", "squared_mean", "loss")
        columns = [
            "b",
            *(column for name in names for column in (name.replace("_", " "), f"{name.replace('_', ' ')} s.e.")),
        ]
        rows = []
        for size, own in self.items():
            found: list[Estimate] = [getattr(own, name) for name in names]
            rows.append([size, *(x for one in found for x in (one.value, one.standard_error))])
        return Table(columns, rows, f"Gradient {self._extent()}; s.e.: standard error", _lost(self))

    def _extent(self) -> str:
        """Of all batch sizes: they have one step and number of runs."""
        first = next(iter(self.values()), None)
        return "of no batch size" if first is None else f"at step {first.step:,}, over {first.runs:,} runs"

    def __repr__(self) -> str:
        return f"Simulation({self._extent()}, b = {', '.join(map(str, self))})"


def _lost(moments: Mapping[int, TrajectoryMoments]) -> list[str]:
    """What left the floating-point range."""
    return [
        f"b = {size:,}: {own.nonfinite_runs:,} runs are not finite, and nothing is estimated"
        for size, own in moments.items()
        if own.nonfinite_runs
    ]
