"""Curves on an Axes: values, estimates, turns, limits, and what explains them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from linvar.plotting.curve import WHOLE, Curve, Quantity, Turn, to_float
from linvar.plotting.given import Labelled, labelled, sizes_of
from linvar.plotting.room import Wanted, arrange, wanted
from linvar.plotting.style import COLOURS, FAINT, axes_or_new, batch_size_axis, check_axes, faint_grid
from linvar.plotting.zoom import Hidden, draw_zoom, hidden_rise

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

#: marks that are the same for all curves
_KINDS = {"turn", "start", "limit"}
_TURNS = {"minimum": "v", "maximum": "^"}
#: of so many curves the legend has two columns
_TALL = 6
#: up to so many points of a line are marked
_FEW = 16
#: what is larger is left out: an axis of floats has no room above it
LARGEST = 1e150
#: an inset, where there is room, and where there is less
_ZOOM, _SMALL_ZOOM = Wanted(0.58, 0.5, False), Wanted(0.44, 0.4, False)
#: inches: smaller axes have smaller letters
_SMALL_AXES = 2.1


@dataclass(frozen=True)
class Drawn:
    """A curve at the batch sizes that are drawn."""

    given: Labelled
    sizes: Sequence[int]
    values: Sequence[float]

    @property
    def curve(self) -> Curve:
        """What is drawn."""
        return self.given.curve

    @cached_property
    def joined(self) -> bool:
        """Are there so many b that a line says it better?"""
        return len(self.sizes) > 1 and self.sizes[-1] > WHOLE

    def shown(self, logarithmic: bool) -> list[tuple[int, float]]:
        """The points that an axis can show."""
        pairs = zip(self.sizes, self.values)
        return [(b, value) for b, value in pairs if abs(value) < LARGEST and (value > 0 or not logarithmic)]

    def turns(self) -> list[Turn]:
        """Those in sight."""
        return [turn for turn in self.curve.turns if self.sizes[0] <= turn.batch_size <= self.sizes[-1]]


def draw(what: Any, quantity: Quantity, ax: Axes | None, batch_sizes: Iterable[int] | None, label: Any) -> Axes:
    """The picture of ``plot_variance`` and its like."""
    check_axes(ax)
    before = 0 if ax is None else sum(line.get_gid() == "curve" for line in ax.lines)
    given = labelled(what, quantity, label, before)
    sizes = None if batch_sizes is None else sizes_of(batch_sizes)
    drawn = [_evaluated(one, one.curve.sizes if sizes is None else sizes) for one in given]
    ax = axes_or_new(ax)
    logarithmic = _logarithmic([value for one in drawn for value in one.values], quantity)
    if before:
        logarithmic = logarithmic and ax.get_yscale() == "log"
    batch_size_axis(ax)
    ax.set_yscale("log" if logarithmic else "linear")
    several = len(drawn) > 1 or bool(before)
    notes: list[str] = []
    for one in drawn:
        _draw_curve(ax, one, logarithmic, several)
        said = [*_unseen(one, logarithmic), *_draw_estimates(ax, one, logarithmic, several)]
        notes += [f"{one.given.label}: {note}" if several and one.given.label else note for note in said]
    for one in drawn:
        _draw_turns(ax, one, logarithmic, several)
        if quantity.limit:
            _draw_limit(ax, one, logarithmic, several)
    ax.set_ylabel(quantity.axis)
    ax.set_title(_title([one.curve for one in drawn]), fontsize="medium")
    faint_grid(ax)
    _explain(ax, drawn, logarithmic, notes)
    return ax


def _evaluated(given: Labelled, sizes: Sequence[int]) -> Drawn:
    """Floats of the exact values."""
    return Drawn(given, sizes, [to_float(given.curve.at(b)) for b in sizes])


def _logarithmic(values: Sequence[float], quantity: Quantity) -> bool:
    """Does a logarithmic axis show them?"""
    positive = [value for value in values if 0 < value < LARGEST]
    if not positive or any(value < 0 for value in values):
        return False
    return quantity.decades <= 1 or (len(positive) == len(values) and max(positive) > quantity.decades * min(positive))


def _draw_curve(ax: Axes, one: Drawn, logarithmic: bool, several: bool) -> None:
    """Marks at whole b, or a line with a mark here and there; the last known term of an expansion shaded."""
    points, style = one.shown(logarithmic), one.given.style
    said = f"{one.curve.said}, {'whole b joined' if one.joined else 'at whole b'}"
    label = one.given.full_label if one.given.label else said
    b, heights = [b for b, _ in points], [value for _, value in points]
    look: dict[str, Any] = {"ls": "none", "marker": style.marker, "ms": 4}
    if one.joined:
        look = {"ls": "--" if one.curve.last_term else style.dash, "lw": 1.5}
        if several or len(b) <= _FEW:
            look |= {"marker": style.marker, "ms": 4, "markevery": 1 if len(b) <= _FEW else len(b) // 6}
    (line,) = ax.plot(b, heights, color=style.colour, label=label, zorder=2, **look)
    line.set_gid("curve")
    if one.curve.last_term is not None:
        others = [value - to_float(one.curve.last_term(size)) for size, value in points]
        ax.fill_between(b, others, heights, color=style.colour, alpha=0.2, lw=0, label="its last term")


def _unseen(one: Drawn, logarithmic: bool) -> list[str]:
    """Notes on values that cannot be shown."""
    notes = []
    if not any(one.values):
        notes.append("identically zero" if one.curve.zero else "zero at every b shown")
    elif logarithmic and 0.0 in one.values:
        zeros = [str(b) for b, value in zip(one.sizes, one.values) if value == 0]
        which = ", ".join(zeros) if len(zeros) <= 4 else f"{', '.join(zeros[:3])}, ..., {zeros[-1]}"
        notes.append(f"zero at b = {which}: not shown")
    if any(abs(value) >= LARGEST for value in one.values):
        notes.append(f"values beyond {LARGEST:.0e} are not shown")
    return notes


def _draw_estimates(ax: Axes, one: Drawn, logarithmic: bool, several: bool) -> list[str]:
    """Estimates with two standard errors; returns a note on those that cannot be shown."""
    colour, marker = (one.given.style.colour, one.given.style.marker) if several else (COLOURS[1], "o")
    left_out = []
    for resolved in (True, False):
        group = []
        for row in one.curve.rows:
            estimate, error = float(row.estimate), float(row.standard_error)
            if (row.verdict != "UNRESOLVED") == resolved:
                if abs(estimate) < LARGEST and (estimate > 0 or not logarithmic):
                    group.append((row.batch_size, estimate, 2 * error if math.isfinite(error) else 0.0))
                else:
                    left_out.append(row.batch_size)
        if group:
            b, heights, bars = zip(*group)
            ax.errorbar(
                b,
                heights,
                yerr=bars,
                fmt=marker,
                ms=5,
                color=colour,
                capsize=3,
                markerfacecolor=colour if resolved else "none",
                label=f"{'estimate' if resolved else 'UNRESOLVED'}, 2 standard errors",
                zorder=3,
            )
    if not left_out:
        return []
    return [f"estimates at b = {', '.join(map(str, sorted(left_out)))} are not positive numbers: not shown"]


def _draw_turns(ax: Axes, one: Drawn, logarithmic: bool, several: bool) -> None:
    """Minima, maxima, and a thin line at b_0."""
    colour = one.given.style.colour
    for turn in one.turns():
        height = to_float(one.curve.at(turn.batch_size))
        if abs(height) < LARGEST and (height > 0 or not logarithmic):
            label = f"local {turn.kind}" if several else f"local {turn.kind}, b = {turn.batch_size}"
            marker: dict[str, Any] = {"marker": _TURNS[turn.kind], "mec": colour, "mfc": "white", "ms": 7}
            (mark,) = ax.plot(turn.batch_size, height, ls="none", label=label, zorder=4, **marker)
            mark.set_gid("turn")
    start = one.curve.decreasing_from
    if start is not None and max(1, one.sizes[0]) < start <= one.sizes[-1]:
        label = "$b_0$, from which on it falls" if several else f"$b_0$ = {start}: it falls from there on"
        ax.axvline(start, color=colour, lw=0.8, ls=":", zorder=1, label=label, gid="start")


def _draw_limit(ax: Axes, one: Drawn, logarithmic: bool, several: bool) -> None:
    """A line at the value of b = infinity."""
    limit = one.curve.limit
    if limit is not None and abs(limit) < LARGEST and (limit > 0 or not logarithmic):
        ends = [one.sizes[0], one.sizes[-1]]
        colour, label = (
            one.given.style.colour,
            "limit, b = infinity" if several else f"limit, b = infinity: {limit:.4g}",
        )
        (line,) = ax.plot(ends, [limit, limit], color=colour, lw=0.9, ls=(0, (4, 3)), zorder=1, label=label)
        line.set_gid("limit")


def _title(curves: Sequence[Curve]) -> str:
    """What all have in common: sampling and step."""
    words = list(dict.fromkeys(curve.words for curve in curves if curve.words))
    steps = {curve.step for curve in curves}
    step = f", t = {steps.pop()}" if len(steps) == 1 and None not in steps else ""
    return " and\n".join(words) + step if 0 < len(words) <= 2 else ""


def _explain(ax: Axes, drawn: Sequence[Drawn], logarithmic: bool, notes: Sequence[str]) -> None:
    """Legend, notes and inset, where no data is."""
    hidden: list[tuple[Hidden, Drawn]] = []
    for one in drawn:
        rise = hidden_rise(ax, one.curve, one.turns(), one.sizes, logarithmic)
        if rise is not None:
            hidden.append((rise, one))
    entries = _entries(ax)
    columns = 1 + (len(entries) > _TALL)
    inches = ax.get_window_extent().height / ax.figure.dpi
    size = "small" if inches > _SMALL_AXES else "x-small"
    look: dict[str, Any] = {"fontsize": size, "ncols": columns, "borderaxespad": 0.0, "framealpha": 0.9}
    if ax.figure.get_layout_engine() is not None:
        ax.figure.figure.draw_without_rendering()  # where the axes will be
    legend = ax.legend(entries.values(), entries.keys(), loc=(0.0, 0.0), **look)
    needs = [wanted(ax, legend, True)]
    text = ax.text(0.02, 0.02, "\n".join(notes), transform=ax.transAxes, fontsize=size, va="bottom")
    needs += [wanted(ax, text, False)] if notes else []
    limits = ax.get_ylim()
    boxes = arrange(ax, [*needs, _ZOOM] if hidden else needs)
    if hidden and ax.get_ylim() != limits:
        ax.set_ylim(limits)
        boxes = arrange(ax, [*needs, _SMALL_ZOOM])
    ax.legend(entries.values(), entries.keys(), loc=boxes[0][:2], **look)
    if notes:
        text.set_position(boxes[1][:2])
    else:
        text.remove()
    if hidden:
        rise, one = max(hidden, key=lambda pair: pair[0].relative)
        draw_zoom(ax, one.curve, one.given, rise, boxes[-1], len(drawn) > 1)


def _entries(ax: Axes) -> dict[str, Any]:
    """Label -> what it is of, each label once; with several curves, kinds of marks are in grey, and last."""
    handles, labels = ax.get_legend_handles_labels()
    curves = sum(line.get_gid() == "curve" for line in ax.lines)
    found: dict[str, Any] = {}
    kinds: dict[str, Any] = {}
    for handle, label in zip(handles, labels):
        if curves > 1 and getattr(handle, "get_gid", str)() in _KINDS:
            kinds.setdefault(label, _grey(handle))
        else:
            found.setdefault(label, handle)
    return found | kinds


def _grey(line: Any) -> Line2D:
    """A copy that stands for those of all curves."""
    from matplotlib.lines import Line2D

    grey = Line2D([], [], color=FAINT, ls=line.get_linestyle(), lw=line.get_linewidth(), marker=line.get_marker())
    grey.set(markersize=line.get_markersize(), markeredgecolor=FAINT, markerfacecolor="white")
    return grey
