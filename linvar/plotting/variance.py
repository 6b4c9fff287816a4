"""Pictures of a variance against the batch size. They take ``ax=``, return the Axes and never call show."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.keywords import door

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from linvar.exact import Exact
    from linvar.symbolic.result.polynomial import BatchPolynomial
    from linvar.verification.report import Report, Row

#: The curve of an iid polynomial goes to this batch size, or to the largest estimate.
_LARGEST_BATCH = 1024
_POINTS = 60
#: Up to this b exact values are marked at whole b, and not joined: there is nothing between them.
WHOLE = 64


@door
def plot_variance(
    polynomial_or_report: BatchPolynomial | Report, ax: Axes | None = None, batch_sizes: Iterable[int] | None = None
) -> Axes:
    """Log-log picture of the gradient variance against the batch size b, with the estimates of a report.

    Exact values at whole b, turned into floats to be drawn: marked and not joined where the largest b is at most 64
    (a small data set), else joined. Estimates are drawn with bars of two standard errors; those that verify left
    UNRESOLVED are hollow. An axis of values that are not all >= 0, or all
    zero, is linear; a zero or an estimate <= 0 among positive values cannot be shown on a logarithmic axis: it is
    left out, and a note in the picture says so.

    Args:
        polynomial_or_report: a ``BatchPolynomial`` without symbols, or a ``Report`` of ``verify``.
        ax: the Axes to draw into. If None, a new pyplot figure is made, as notebooks expect: close it with
            ``matplotlib.pyplot.close(axes.figure)``.
        batch_sizes: the integers b of the curve; if None, from 1 to n for a data set drawn without replacement,
            otherwise to 1024 or the largest b of the report.

    Returns:
        The Axes.

    Raises:
        InputTypeError: the first argument is neither a polynomial nor a report, or a b is no integer.
        InputError: the polynomial contains symbols, or a b is out of range.

    >>> from matplotlib.figure import Figure
    >>> from linvar.symbolic.result.polynomial import BatchPolynomial
    >>> axes = plot_variance(BatchPolynomial([0, 18]), ax=Figure().subplots())
    >>> axes.get_xlabel(), axes.get_yscale()
    ('batch size b (examples)', 'log')
    """
    from linvar.symbolic.result.polynomial import BatchPolynomial

    report = None
    if isinstance(polynomial_or_report, BatchPolynomial):
        polynomial = polynomial_or_report
    elif isinstance(getattr(polynomial_or_report, "variance", None), BatchPolynomial):
        report, polynomial = polynomial_or_report, polynomial_or_report.variance
    else:
        raise InputTypeError(
            "polynomial_or_report",
            Words(f"is of type {type(polynomial_or_report).__name__}"),
            "give what linvar.gradient_variance(problem) or linvar.verify(problem) returns",
        )
    if polynomial.symbols:
        names = cut(", ".join(map(str, polynomial.symbols)))
        raise InputError(
            "polynomial_or_report", Words(f"has the symbols {names}"), "substitute numbers first, subs({...})"
        )
    rows = [row for row in report.rows if row.quantity == "variance"] if report is not None else []
    sizes = _default_sizes(polynomial, rows) if batch_sizes is None else _sorted(batch_sizes)
    values = [to_float(value) for value in polynomial(sizes)]
    if ax is None:
        from matplotlib import pyplot

        ax = pyplot.subplots(layout="constrained")[1]
    notes = []
    logarithmic = all(value >= 0 for value in values) and any(0 < value < math.inf for value in values)
    curve = [(b, value) for b, value in zip(sizes, values) if math.isfinite(value) and (value > 0 or not logarithmic)]
    if not any(values):
        notes.append("identically zero" if not polynomial else "zero at every b shown")
    elif logarithmic and 0.0 in values:
        notes.append(f"zero at b = {', '.join(str(b) for b, value in zip(sizes, values) if value == 0)}: not shown")
    if any(math.isinf(value) for value in values):
        notes.append("values beyond the range of floats are not shown")
    joined = len(curve) > 1 and sizes[-1] > WHOLE
    style, label = ("-", "exact, whole b joined") if joined else ("o", "exact, at whole b")
    ax.plot([b for b, _ in curve], [value for _, value in curve], style, ms=4, color="C0", label=label, zorder=2)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log" if logarithmic else "linear")
    notes += _draw_estimates(ax, rows, logarithmic)
    ax.xaxis.set_major_formatter(lambda value, _position: f"{value:g}")
    ax.set_xlabel("batch size b (examples)")
    ax.set_ylabel("gradient variance tr Cov(G)")
    ax.set_title(_title(polynomial))
    ax.grid(True, alpha=0.3)
    ax.legend(fontsize="small")
    if notes:
        ax.text(0.02, 0.02, "\n".join(notes), transform=ax.transAxes, fontsize="small", va="bottom")
    return ax


def _draw_estimates(ax: Axes, rows: list[Row], logarithmic: bool) -> list[str]:
    """Estimates with two standard errors; returns a note on those that cannot be shown."""
    shown: list[tuple[int, float, float, str]] = []
    left_out: list[tuple[int, float, float, str]] = []
    for row in rows:
        estimate, error = float(row.estimate), float(row.standard_error)
        visible = math.isfinite(estimate) and (estimate > 0 or not logarithmic)
        (shown if visible else left_out).append((row.batch_size, estimate, error, row.verdict))
    for resolved in (True, False):
        group = [entry for entry in shown if (entry[3] != "UNRESOLVED") == resolved]
        if group:
            ax.errorbar(
                [entry[0] for entry in group],
                [entry[1] for entry in group],
                yerr=[2 * entry[2] if math.isfinite(entry[2]) else 0.0 for entry in group],
                fmt="o",
                color="C1",
                capsize=3,
                markerfacecolor="C1" if resolved else "none",
                label=f"{'estimate' if resolved else 'UNRESOLVED'}, 2 standard errors",
                zorder=3,
            )
    if not left_out:
        return []
    return [f"estimates at b = {', '.join(str(entry[0]) for entry in left_out)} are not positive numbers: not shown"]


def _sorted(batch_sizes: Any) -> list[int]:
    """Each b once; the polynomial checks their range."""
    try:
        sizes = sorted(set(batch_sizes), key=operator.index)
    except TypeError:
        raise InputTypeError(
            "batch_sizes", batch_sizes, "give a list of integers >= 1", fault="has no integers"
        ) from None
    if not sizes:
        raise InputError("batch_sizes", Words("is empty"), "give at least one integer >= 1")
    return sizes


def _default_sizes(polynomial: BatchPolynomial, rows: list[Row]) -> list[int]:
    """Integers spread evenly on a logarithmic axis, with those of the estimates."""
    largest = max([_LARGEST_BATCH, *(row.batch_size for row in rows)])
    if polynomial.largest_batch_size is not None:
        largest = polynomial.largest_batch_size
    spread = {round(largest ** (k / (_POINTS - 1))) for k in range(_POINTS)}
    return sorted(spread | {1, max(1, largest - 1), largest} | {row.batch_size for row in rows})


def to_float(value: Exact) -> float:
    """An exact number as a float, infinite where it is beyond their range."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _title(polynomial: BatchPolynomial) -> str:
    """The sampling, in words."""
    size = "" if polynomial.dataset_size is None else f", n = {polynomial.dataset_size}"
    return f"{polynomial.scheme.words}{size}"
