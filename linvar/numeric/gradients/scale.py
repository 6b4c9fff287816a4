"""What ``noise_scale`` returns, and how it comes from blocks of batches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.errors import InputError, warn
from linvar.numeric.arguments import check_batch_sizes, check_choice, check_number
from linvar.numeric.gradients.blocks import Block, fewest_alike, mean_of, products
from linvar.numeric.gradients.jackknife import FEWEST_BLOCKS, FEWEST_EXAMPLES, Jackknife, without_each
from linvar.numeric.gradients.leaves import TOTAL, leaf_names, shapes
from linvar.numeric.gradients.per_example.arithmetic import sum_of_squares
from linvar.numeric.gradients.processes import gather, gather_ragged
from linvar.schemes.scheme import scheme_of


@dataclass(frozen=True, eq=False)
class NoiseScale(Tabular):
    """The noise of the gradient against its mean, over a data set, at fixed parameters.

    The standard errors are those of n examples drawn from a law. With ddof=0, where the data are the whole population, its
    numbers are exact; their errors, and the intervals, then say where the same numbers of n OTHER examples would lie.

    Attributes:
        noise_scale: trace / squared_mean; infinite where squared_mean is not positive. Also the critical batch size.
        standard_error: of ``noise_scale``, by the jackknife over blocks of examples; NaN with a single block, or one of all
            examples but one; infinite where the mean is not resolved without some block. The truth lies further above than
            below: see :meth:`interval`.
        trace: tr Cov(g_i), divisor n - ddof.
        trace_standard_error: likewise.
        squared_mean: ||E g||^2, without bias for ddof=1: ||mean||^2 - trace / n.
        squared_mean_standard_error: likewise.
        two_batch: the noise scale from the squared norms of the blocks' mean gradients and of the whole mean alone, that of a
            sample whatever ddof: a check, as uncertain as that of ``blocks`` examples; infinite where the squared mean that it
            finds is not positive, NaN with a single block.
        trace_per_leaf, squared_mean_per_leaf: of each leaf, pytrees like the parameters.
        mean: the mean gradient, a pytree like the parameters.
        loss: mean loss.
        examples: n, without those left out.
        dropped: examples left out by nan="drop".
        ddof: 1: the data are a sample; 0: the data are the whole population.
        blocks: how many blocks of examples there were, fewer than asked for if there were fewer batches.
        jackknife: trace and squared mean without each block.
        two_batch_jackknife: the same with the trace between blocks.
        jackknife_per_leaf: ``jackknife`` of each leaf alone.
        effective_by_norms: how many equal examples at most would leave the trace as uncertain, by the norms of the gradients;
            infinite where these are not at hand (the loss has terms of parameters alone, as weight decay).
    """

    noise_scale: float
    standard_error: float
    trace: float
    trace_standard_error: float
    squared_mean: float
    squared_mean_standard_error: float
    two_batch: float
    trace_per_leaf: PyTree
    squared_mean_per_leaf: PyTree
    mean: PyTree
    loss: float
    examples: int
    dropped: int
    ddof: int
    blocks: int
    jackknife: Jackknife
    two_batch_jackknife: Jackknife
    jackknife_per_leaf: PyTree
    effective_by_norms: float

    @property
    def critical_batch_size(self) -> float:
        """The batch size at which noise and signal of the batch gradient are equal: the noise scale itself.

        Much smaller batches waste steps, much larger ones examples (McCandlish et al. 2018, the "simple" noise scale).
        """
        return self.noise_scale

    def interval(self, level: float = 0.95, of: str = "noise_scale") -> tuple[float, float]:
        """Where the truth lies in a share ``level`` of data sets: (low, high), not symmetric about the estimate.

        Student's t with blocks - 1 degrees of freedom for r = ||mean|| / sqrt(trace), of which the noise scale is
        1 / (E r^2 - ddof/n), with E r^2 = (E r)^2 + Var r: the long side is the upper one, and ``high`` is infinite where the
        mean gradient is not resolved from the noise; ``low`` never is, if there is any spread. Likewise for ||mean||, and for
        trace^(-1/2). Of the intervals that were measured (1.96 standard errors, t, t for the logarithm, Fieller 1954) it
        holds the truth most nearly as often as said, resolved or not: ``benchmarks/README.md``. For normal gradients that is
        within 0.02 of ``level`` = 0.95; with heavy tails it is less often, 0.85 to 0.94 for Student's t with 3 degrees and 0.65
        to 0.88 for Pareto's law of index 3, and the truth is then above.

        Args:
            level: share of data sets whose interval holds the truth, 0 < level < 1.
            of: "noise_scale", "trace", "squared_mean" (never below 0, where its estimate may be) or "two_batch".

        Returns:
            (low, high); NaN where the standard errors are.

        Raises:
            InputError: a level outside (0, 1), or another ``of``.

        After Tukey (1958), the jackknife; on a scale that makes its error symmetric, Miller (1974).
        """
        check_choice(of, "of", (*_QUANTITIES, "two_batch"))
        level = _checked_level(level)
        if of == "two_batch":
            return self.two_batch_jackknife.noise_scale_interval(level)
        return _QUANTITIES[of](self.jackknife, level)

    @property
    def noise_scale_per_leaf(self) -> PyTree:
        """The noise scale of each leaf alone, a pytree like the parameters; infinite where its squared mean is not positive."""
        return jax.tree.map(lambda own: own.noise_scale[0], self.jackknife_per_leaf)

    @property
    def standard_error_per_leaf(self) -> PyTree:
        """Of ``noise_scale_per_leaf``, as ``standard_error`` is of ``noise_scale``."""
        return jax.tree.map(lambda own: own.noise_scale[1], self.jackknife_per_leaf)

    def interval_per_leaf(self, level: float = 0.95, of: str = "noise_scale") -> PyTree:
        """``interval`` of each leaf alone: a pytree like the parameters, of arrays (low, high).

        Args:
            level: share of data sets whose interval holds the truth, each leaf by itself, 0 < level < 1.
            of: "noise_scale", "trace" or "squared_mean".

        Raises:
            InputError: a level outside (0, 1), or another ``of``.
        """
        check_choice(of, "of", tuple(_QUANTITIES))
        level, interval = _checked_level(level), _QUANTITIES[of]
        return jax.tree.map(lambda own: np.asarray(interval(own, level)), self.jackknife_per_leaf)

    @property
    def effective_examples(self) -> float:
        """How many equal examples would leave the trace as uncertain as it is: from its standard error, NaN with one block.

        Fewer where the norms of the gradients say so: large examples spread evenly over the blocks leave no error between them.
        """
        found = self.jackknife.effective_examples
        return self.effective_by_norms if self.effective_by_norms < found else found

    @property
    def caution(self) -> str:
        """Why the errors may be too small: few blocks, or few examples that carry the trace; "" if neither.

        Few: fewer than 20 equal examples would leave the trace as uncertain, or one block's scatter is an outlier (Grubbs'
        test at 0.001). What the data do not show is not noticed: rare large examples, none of which is among them.
        """
        if self.blocks < FEWEST_BLOCKS:
            return f"{self.blocks} block{'s' * (self.blocks > 1)}"
        few = self.jackknife.carried_by_few or self.effective_examples < FEWEST_EXAMPLES
        return "few examples carry the trace" if few else ""

    @overload
    def variance(self, batch_sizes: int | np.integer, sampling: str = "iid") -> float: ...

    @overload
    def variance(
        self, batch_sizes: Sequence[int | float] | np.ndarray | jax.Array, sampling: str = "iid"
    ) -> np.ndarray: ...

    def variance(
        self, batch_sizes: int | np.integer | Sequence[int | float] | np.ndarray | jax.Array, sampling: str = "iid"
    ) -> float | np.ndarray:
        """The variance tr Cov(G) of the gradient of a batch of b examples, at these parameters, for every b.

        iid: trace / b. Without replacement from these n examples: (n - b) / (b (n - 1)) times the trace of divisor n.

        Args:
            batch_sizes: b, or an array of them.
            sampling: "iid" or "without_replacement".

        Raises:
            InputError: an unknown sampling, or a batch size below 1 or, without replacement, above n.
        """
        n = scheme_of(sampling).largest_batch(self.examples)
        check_batch_sizes(np.atleast_1d(batch_sizes).ravel(), n)
        b = np.asarray(batch_sizes, "float64")
        variance: float | np.ndarray = self.trace / b
        if n is not None:
            variance = self.trace * (n - self.ddof) / n * (n - b) / (b * max(n - 1, 1))
        return variance

    def to_table(self) -> Table:
        """A leaf a row: trace, squared mean, noise scale with its standard error and its 95 % interval; then all together."""
        rows = [*jax.tree.leaves(self.jackknife_per_leaf), self.jackknife]
        names = [*leaf_names(self.jackknife_per_leaf), TOTAL]
        columns: dict[str, Iterable[object]] = {
            "leaf": names,
            "shape": shapes(self.mean),
            "trace": [own.trace[0] for own in rows],
            "squared mean": [own.squared_mean[0] for own in rows],
            "noise scale": [own.noise_scale[0] for own in rows],
            "standard error": [own.noise_scale[1] for own in rows],
            "95 % from": [own.noise_scale_interval(0.95)[0] for own in rows],
            "to": [own.noise_scale_interval(0.95)[1] for own in rows],
        }
        dropped = f", {self.dropped:,} dropped" if self.dropped else ""
        title = f"Gradient noise of {self.examples:,} examples{dropped}, ddof={self.ddof}, mean loss {self.loss:.6g}"
        notes = [f"the errors may be too small: {self.caution}"] if self.caution else []
        return Table(columns, zip(*columns.values()), title, notes)

    def __repr__(self) -> str:
        error = f" +- {self.standard_error:.2g}" if math.isfinite(self.standard_error) else ""
        low, high = self.interval()
        within = "" if math.isnan(low) else f", 95 % from {low:.3g} to {high:.3g}"
        dropped = f", {self.dropped:,} dropped" if self.dropped else ""
        caution = f", {self.caution}" if self.caution else ""
        return (
            f"NoiseScale({self.noise_scale:.4g}{error}{within}; trace={self.trace:.4g}, "
            f"squared_mean={self.squared_mean:.4g}, {self.examples:,} examples{dropped}{caution})"
        )


#: What has an interval: (jackknife, level) -> (low, high).
_QUANTITIES: dict[str, Callable[[Jackknife, float], tuple[float, float]]] = {
    "noise_scale": Jackknife.noise_scale_interval,
    "trace": Jackknife.trace_interval,
    "squared_mean": Jackknife.squared_mean_interval,
}


def _checked_level(level: float) -> float:
    """Of the user: inside (0, 1)."""
    if not 0 < check_number(level, "level") < 1:
        raise InputError("level", level, "give the share of intervals that hold the truth, 0 < level < 1")
    return float(level)


def warn_of(found: NoiseScale) -> None:
    """Once, where the errors may be too small."""
    if not found.caution:
        return
    if math.isnan(found.trace_standard_error):
        where = "a single block has" if found.blocks == 1 else "blocks of which one holds all but one example have"
        fault, cure = f"{where} no standard error", "give smaller batches, or more examples"
    elif found.blocks < FEWEST_BLOCKS:
        fault = f"the errors are those of {found.blocks} blocks only, and the intervals wide"
        cure = f"give at least {FEWEST_BLOCKS} batches and blocks=16, or more examples"
    else:
        few = found.effective_examples
        shares = (
            f"as if {few:.0f} of {found.examples:,} did"
            if few < FEWEST_EXAMPLES
            else f"one block of {found.blocks} stands out"
        )
        fault = (
            f"few examples carry the trace, {shares}: the truth may be larger than standard errors and intervals say"
        )
        cure = "give more examples, and look at the largest, gradient_moments(..., squared_norms=True).squared_norms"
    warn(f"{fault}; {cure}")


def summarize(found: Sequence[Block], structure: jax.tree_util.PyTreeDef, ddof: int, together: bool) -> NoiseScale:
    """Everything from the blocks, of all processes if there are several."""
    gathered = gather if together else lambda x: np.asarray(x)[None]
    local = [block.count for block in found]
    mean = mean_of([block.mean for block in found], local)
    loss = found[0].loss + float(np.average([block.loss - found[0].loss for block in found], weights=local))
    if together:
        shares = gathered(float(sum(local)))
        shares = shares / shares.sum()
        mean = [jnp.tensordot(jnp.asarray(shares, m.dtype), jnp.asarray(gathered(m)), 1) for m in mean]
        loss = float(shares @ gathered(loss))
    apart_and_along = [jax.device_get(products(mean, block.mean)) for block in found]
    rows = [
        [block.count, block.given, *block.powers, *block.scatter, *apart, *along]
        for block, (apart, along) in zip(found, apart_and_along)
    ]
    table = np.concatenate(list(gather_ragged(rows) if together else [np.asarray(rows, "float64")]))
    leaves = len(mean)
    counts, given = table[:, 0], table[:, 1]
    powers = table[:, 2:7].sum(axis=0)
    scatter, apart, along = (table[:, 7 + i * leaves : 7 + (i + 1) * leaves] for i in range(3))
    plain = np.asarray(jax.device_get([sum_of_squares(m) for m in mean]), "float64")
    n = counts.sum()
    traces = (scatter.sum(axis=0) + counts @ apart) / (n - ddof)
    sums = (x.sum(axis=1) for x in (scatter, apart, along))
    within, between = without_each(counts, *sums, plain=float(plain.sum()), ddof=ddof)
    of_leaf = [
        without_each(counts, scatter[:, k], apart[:, k], along[:, k], plain=float(plain[k]), ddof=ddof)[0]
        for k in range(leaves)
    ]
    scale, scale_error = within.noise_scale
    trace, trace_error = within.trace
    square, square_error = within.squared_mean
    return NoiseScale(
        noise_scale=scale,
        standard_error=scale_error,
        trace=trace,
        trace_standard_error=trace_error,
        squared_mean=square,
        squared_mean_standard_error=square_error,
        two_batch=between.noise_scale[0] if len(counts) > 1 else math.nan,
        trace_per_leaf=jax.tree.unflatten(structure, list(traces)),
        squared_mean_per_leaf=jax.tree.unflatten(structure, list(plain - (ddof / n) * traces)),
        mean=jax.tree.unflatten(structure, mean),
        loss=float(loss),
        examples=int(n),
        dropped=int(given.sum() - n),
        ddof=ddof,
        blocks=len(counts),
        jackknife=within,
        two_batch_jackknife=between,
        jackknife_per_leaf=jax.tree.unflatten(structure, of_leaf),
        effective_by_norms=fewest_alike(powers, float(traces.sum()) * (n - ddof), float(plain.sum())),
    )
