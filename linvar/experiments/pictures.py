"""Pictures of a study: estimates with bars of two standard errors, exact values at whole b, one colour a step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from linvar.errors import cut
from linvar.experiments.sentences import Estimates, Exact
from linvar.plotting.curve import WHOLE, to_float
from linvar.plotting.style import ordered

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

#: Values of one sign that span a larger factor are drawn on a logarithmic axis.
SPAN = 30.0
LABELS = {"variance": "gradient variance tr Cov(G)"}


def spans_decades(values: Iterable[float]) -> bool:
    """Are they all > 0, and far apart?

    >>> spans_decades([1.0, 100.0]), spans_decades([1.0, 2.0]), spans_decades([0.0, 100.0]), spans_decades([])
    (True, False, False, False)
    """
    found = list(values)
    return bool(found) and min(found) > 0 and max(found) > SPAN * min(found)


def set_title(figure: Figure, *lines: str) -> None:
    """A title with text of the user's in it: as it is written, without markup, a long line on two."""
    from textwrap import fill

    text = "\n".join(fill(cut(line, 220), 120) for line in lines)
    text = "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)
    figure.suptitle(text, fontsize=10, parse_math=False)


def mark_batch_sizes(axes: Axes, batch_sizes: Sequence[int]) -> None:
    """Batch sizes as plain numbers on the axis, at most seven of them."""
    shown = list(batch_sizes)[:: -(-len(batch_sizes) // 7)]
    axes.set_xticks(shown, [str(b) for b in shown])
    axes.xaxis.minorticks_off()


def draw_curves(title: Sequence[str], estimates: Estimates, exact: Exact, figure: Figure) -> None:
    """Variance and losses against b, a panel each; the title's lines above."""
    names = ("variance", *estimates.losses)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for axes, name in zip(panels, names):
        _panel(axes, name, estimates, exact)
    panels[0].legend(fontsize=7)
    figure.legend(handles=_styles(estimates, exact), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    set_title(figure, *title)


def _panel(axes: Axes, name: str, estimates: Estimates, exact: Exact) -> None:
    """One quantity: dots, and a line or marks for the exact values, dots joined by a dotted line where there are none."""
    colours = [style.colour for style in ordered(len(estimates.steps))]
    curves = {t: estimates.curve(t, name) for t in estimates.steps}
    values = [point[0] for points in curves.values() for point in points.values()]
    logarithmic = any(v > 0 for v in values) if name == "variance" else spans_decades(values)
    hidden: set[int] = set()
    for (t, points), colour in zip(curves.items(), colours):
        hidden |= {b for b, p in points.items() if logarithmic and p[0] <= 0}
        drawn = [b for b in sorted(points) if b not in hidden]
        heights, errors = [points[b][0] for b in drawn], [2 * points[b][1] for b in drawn]
        axes.errorbar(drawn, heights, errors, fmt="o", ms=3, capsize=2, lw=1, color=colour, label=f"t = {t}")
        polynomial = exact.get(t, {}).get(name)
        if polynomial is None:
            axes.plot(drawn, heights, color=colour, lw=0.7, ls=":")
            continue
        grid = _whole(estimates.batch_sizes)
        style = {"ls": "none", "marker": "x", "ms": 3.5, "mew": 0.7} if _few(estimates) else {"lw": 1}
        curve = [(b, value) for b in grid if math.isfinite(value := to_float(polynomial(b)))]
        axes.plot([b for b, _ in curve], [value for _, value in curve], color=colour, zorder=1, **style)
    notes = [] if values else ["no finite estimate"]
    if hidden:
        notes.append(f"estimates <= 0 at b = {', '.join(map(str, sorted(hidden)))} are not shown")
    axes.text(0.02, 0.02, "\n".join(notes), transform=axes.transAxes, fontsize=7)
    label = LABELS.get(name) or f"{estimates.losses[name].lower()} (mean over examples)"
    axes.set(xscale="log", yscale="log" if logarithmic else "linear", xlabel="batch size b (examples)", ylabel=label)
    mark_batch_sizes(axes, estimates.batch_sizes)


def _few(estimates: Estimates) -> bool:
    """Are the whole b so few that a line would show values between them?"""
    return estimates.batch_sizes[-1] <= WHOLE


def _whole(batch_sizes: Sequence[int]) -> list[int]:
    """Whole b, evenly spread on the logarithmic axis; all of them where they are few."""
    import numpy as np

    if batch_sizes[-1] <= WHOLE:
        return list(range(batch_sizes[0], batch_sizes[-1] + 1))
    return sorted({round(b) for b in np.geomspace(batch_sizes[0], batch_sizes[-1], 60)} | set(batch_sizes))


def _styles(estimates: Estimates, exact: Exact) -> list[Line2D]:
    """What dots, bars and lines are."""
    from matplotlib.lines import Line2D

    names = ("variance", *estimates.losses)
    known = [name in exact.get(t, {}) for t in estimates.steps for name in names]
    dots = Line2D([], [], color="k", marker="o", ms=3, ls="none", label="runs; bars: two standard errors")
    marks = Line2D([], [], color="k", marker="x", ms=3.5, mew=0.7, ls="none", label="exact, at every whole b")
    line = Line2D([], [], color="k", lw=1, label="exact, whole b joined")
    dotted = Line2D([], [], color="k", lw=0.7, ls=":", label="runs joined, to guide the eye (no exact curve)")
    found = [dots]
    if any(known):
        found.append(marks if _few(estimates) else line)
    if not all(known):
        found.append(dotted)
    return found
