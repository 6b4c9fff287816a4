"""Report: exact values beside estimates, what each comparison could have seen, and a verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from linvar.display.cell import Cell, Style, cell_of
from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.exact import Exact, Rational
from linvar.plain_data import Plain
from linvar.problem import Problem
from linvar.verification.evidence import AGREE, REJECT, UNRESOLVED, Evidence, Levels

if TYPE_CHECKING:
    from linvar.symbolic.result.polynomial import BatchPolynomial

_COLUMNS = ("quantity", "b", "exact", "estimate", "std. err.", "z", "resol.", "verdict")
_STYLES = {AGREE: Style.GOOD, REJECT: Style.BAD, UNRESOLVED: Style.DOUBT}


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        quantity: "variance", "second_moment", "squared_mean" or "loss".
        batch_size: b.
        exact: the exact value, a Rational.
        estimate, standard_error: from ``runs`` independent runs.
        z: (estimate - exact) / standard_error, rounding included; NaN without a finite estimate.
        resolution: the smallest relative excess of a wrong exact value that would have been rejected, threshold /
            |exact|; infinite if exact is 0 or the sample is not resolved.
        verdict: "AGREE", "REJECT" or "UNRESOLVED".
        evidence: what the sample is worth.
    """

    quantity: str
    batch_size: int
    exact: Rational
    estimate: float
    standard_error: float
    runs: int
    z: float
    resolution: float
    verdict: str
    evidence: Evidence

    def to_dict(self) -> dict[str, Plain]:
        """JSON-able; numbers that are not finite become None."""
        return {
            "quantity": self.quantity,
            "batch_size": self.batch_size,
            "exact": str(self.exact),
            "exact_float": _finite(to_float(self.exact)),
            "estimate": _finite(self.estimate),
            "standard_error": _finite(self.standard_error),
            "runs": self.runs,
            "z": _finite(self.z),
            "resolution": _finite(self.resolution),
            "verdict": self.verdict,
            "hidden_mass": _finite(self.evidence.hidden),
            "largest_share": _finite(self.evidence.largest_share),
            "halves": _finite(self.evidence.halves),
            "reasons": list(self.evidence.reasons),
        }


@dataclass(frozen=True, eq=False)
class Report(Tabular):
    """What ``verify`` returns; ``print`` shows its table, and so do a notebook and a Rich console.

    Attributes:
        problem: the problem.
        polynomials: quantity -> the BatchPolynomial that was checked.
        rows: one :class:`Row` for each quantity and batch size.
        levels: the false-alarm rate over all rows, and the threshold it implies.

    >>> import linvar as lv
    >>> problem = lv.Problem([[[1, 2]], [[3], [1]]], lv.Gaussian(0))
    >>> report = lv.verify(problem, runs=1_000, batch_sizes=[2], quantities=["loss"], progress=False)
    >>> report.ok, [row.quantity for row in report.rows]
    (True, ['loss'])
    """

    problem: Problem
    polynomials: dict[str, BatchPolynomial]
    rows: tuple[Row, ...]
    levels: Levels

    @property
    def verdict(self) -> str:
        """REJECT if any row is rejected, else UNRESOLVED if any is unresolved, else AGREE."""
        verdicts = {row.verdict for row in self.rows}
        return REJECT if REJECT in verdicts else UNRESOLVED if UNRESOLVED in verdicts else AGREE

    @property
    def ok(self) -> bool:
        """Whether the verdict is AGREE."""
        return self.verdict == AGREE

    @property
    def variance(self) -> BatchPolynomial:
        """The variance polynomial: the one checked, or derived now if the variance was not among the quantities."""
        if "variance" not in self.polynomials:
            from linvar.symbolic.answers import gradient_variance

            self.polynomials["variance"] = gradient_variance(self.problem)
        return self.polynomials["variance"]

    @property
    def resolution(self) -> float:
        """The median over rows that have one; NaN without any."""
        values = sorted(row.resolution for row in self.rows if math.isfinite(row.resolution))
        return values[len(values) // 2] if values else math.nan

    def to_dict(self) -> dict[str, Plain]:
        """JSON-able: verdict, rates, rows (no problem and no polynomials)."""
        return {
            "verdict": self.verdict,
            "false_alarm_rate": self.levels.false_alarm_rate,
            "comparisons": self.levels.comparisons,
            "z_threshold": self.levels.z,
            "resolution": _finite(self.resolution),
            "sampling": self.problem.sampling,
            "rows": [row.to_dict() for row in self.rows],
        }

    def __repr__(self) -> str:
        return f"Report({self.verdict}, {len(self.rows)} comparisons, {self.problem!r})"

    def to_table(self) -> Table:
        """A row a comparison; below, the verdict, the rates and why something is not resolved."""
        return Table(_COLUMNS, map(_cells, self.rows), repr(self.problem), self._summary(), [_STYLES[self.verdict]])

    def __str__(self) -> str:
        return str(self.to_table())

    def _summary(self) -> list[str]:
        """The verdict, the rates and the reasons, a line each."""
        counts = [f"{sum(row.verdict == name for row in self.rows)} {name}" for name in (AGREE, REJECT, UNRESOLVED)]
        lines = [f"{self.verdict}: {', '.join(counts)}"]
        lines.append(
            f"False-alarm rate {self.levels.false_alarm_rate:g} over all {self.levels.comparisons} comparisons "
            f"(|z| > {self.levels.z:.2f} for one, widened for skewness and rare batches)"
        )
        if not math.isnan(self.resolution):
            lines.append(
                f"Resolution: an exact value too large by more than {self.resolution:.2g} of itself (median row; see "
                f"the column) would be rejected; a smaller error may not be seen"
            )
        reasons: dict[int, dict[str, None]] = {}
        for row in self.rows:
            for reason in row.evidence.reasons:
                reasons.setdefault(row.batch_size, {}).setdefault(reason)
        for batch_size, texts in reasons.items():
            lines.append(f"b = {batch_size} is not resolved: {'; '.join(list(texts)[:2])}")
        lines += self._cures()
        if not reasons and self.verdict == UNRESOLVED:
            lines.append("UNRESOLVED rows would not have seen a deviation of one half: give more runs")
        return lines

    def _cures(self) -> list[str]:
        """What resolves those that are not: more runs, unless what they have not seen is larger than what they have."""
        open_rows = [row for row in self.rows if row.evidence.reasons and math.isfinite(row.evidence.hidden)]
        if not open_rows:
            return []
        runs = max(row.runs for row in open_rows)
        beyond = any(row.evidence.hidden > abs(row.estimate) for row in open_rows)
        larger = "; where rare batches hold more than the estimate, a larger batch or fewer steps" if beyond else ""
        return [f"To resolve that give more runs, {4 * runs:,} in place of {runs:,}{larger}"]


def to_float(value: Exact | Fraction) -> float:
    """An exact number as a float, infinite beyond their range."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _cells(row: Row) -> list[Cell]:
    """A row of the table."""
    if not 1e-4 <= row.resolution < 10:
        resolution = f"{row.resolution:.0e}"
    else:
        resolution = f"{row.resolution:.2%}" if row.resolution < 0.1 else f"{row.resolution:.0%}"
    return [
        Cell(row.quantity),
        Cell(str(row.batch_size), row.batch_size, numeric=True),
        Cell(f"{to_float(row.exact):.5g}", row.exact, numeric=True),
        Cell(f"{row.estimate:.5g}", row.estimate, numeric=True),
        Cell(f"{row.standard_error:.1e}", row.standard_error, numeric=True),
        Cell(f"{row.z:.2f}" if abs(row.z) < 1e3 else f"{row.z:.0e}", row.z, numeric=True),
        Cell(resolution, row.resolution, numeric=True) if math.isfinite(row.resolution) else cell_of(None),
        Cell(row.verdict, style=_STYLES[row.verdict]),
    ]
