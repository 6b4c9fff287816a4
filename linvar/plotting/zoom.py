"""An inset for a rise that is too small to be seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from linvar.plotting.curve import Curve, Turn, to_float
from linvar.plotting.given import Labelled
from linvar.plotting.room import Box

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: a change of this part of the height of the axes is seen
_SEEN = 0.03
#: so many b of an inset, at most, and the factor that it goes beyond a rise, at most
_POINTS, _AROUND = 160, 3.0
#: up to so many b of an inset are marked, not joined
_MARKED = 40


class Hidden(NamedTuple):
    """A change between two batch sizes, one of them at least a turn, that a picture does not show."""

    low: int
    high: int
    relative: float


def hidden_rise(
    ax: Axes, curve: Curve, turns: Sequence[Turn], sizes: Sequence[int], logarithmic: bool
) -> Hidden | None:
    """The largest rise with b that is hidden; None where every turn is seen."""
    places = [sizes[0], *(turn.batch_size for turn in turns), sizes[-1]]
    kinds = ["", *(turn.kind for turn in turns), ""]
    found = []
    for before, after, left, right in zip(kinds, kinds[1:], places, places[1:]):
        if "minimum" not in (before,) and "maximum" not in (after,):
            continue  # it falls from left to right
        low, high = to_float(curve.at(left)), to_float(curve.at(right))
        if not (math.isfinite(low) and math.isfinite(high)) or (logarithmic and low <= 0):
            continue
        to_axes = ax.transData - ax.transAxes
        part = to_axes.transform((right, high))[1] - to_axes.transform((left, low))[1]
        if part < _SEEN and high > low:
            found.append(Hidden(left, right, high / low - 1 if low > 0 else 0.0))
    return max(found, key=lambda rise: rise.relative, default=None)


def draw_zoom(ax: Axes, curve: Curve, given: Labelled, rise: Hidden, box: Box, several: bool) -> None:
    """The curve around a rise, on linear axes, heights in percent of that where the rise begins."""
    from matplotlib.ticker import MaxNLocator

    sizes = _around(curve, rise)
    values = [to_float(curve.at(b)) for b in sizes]
    room = (box.left + 0.1, box.low + 0.08, box.width - 0.13, box.height - 0.17)
    inset = ax.inset_axes(room, zorder=5)
    marked = len(sizes) <= _MARKED
    look: dict[str, Any] = {"ls": "none", "marker": "o", "ms": 2} if marked else {"lw": 1.2}
    inset.plot(sizes, values, color=given.style.colour, **look)
    for turn in curve.turns:
        if sizes[0] <= turn.batch_size <= sizes[-1]:
            marker: dict[str, Any] = {"marker": "v" if turn.kind == "minimum" else "^", "mfc": "white", "ms": 5}
            inset.plot(turn.batch_size, to_float(curve.at(turn.batch_size)), mec=given.style.colour, **marker)
    start = to_float(curve.at(rise.low))
    inset.set_xticks(sorted({rise.low, rise.high}))
    inset.tick_params(labelsize="x-small", length=2, pad=1.5)
    inset.yaxis.set_major_locator(MaxNLocator(3))
    name = f"{given.label}: " if several and given.label else ""
    if start > 0:
        _percent(inset, start)
        name += f"rises by {100 * rise.relative:.2g} %"
    inset.set_title(name or "zoom", fontsize="x-small", pad=2)
    ax.indicate_inset_zoom(inset, edgecolor="0.4", lw=0.6)


def _percent(inset: Axes, start: float) -> None:
    """Round percentages of the height where a rise begins."""
    from matplotlib.ticker import MaxNLocator

    low, high = (100 * (end / start - 1) for end in inset.get_ylim())
    ticks = [tick for tick in MaxNLocator(3).tick_values(low, high) if low <= tick <= high]
    inset.set_yticks(
        [start * (1 + tick / 100) for tick in ticks], [f"{tick:+g} %" if tick else "0 %" for tick in ticks]
    )


def _around(curve: Curve, rise: Hidden) -> list[int]:
    """The b of the inset: the rise, and on both sides as far as the curve stays within a rise of it."""
    low, high = to_float(curve.at(rise.low)), to_float(curve.at(rise.high))
    step = max(1, round((rise.high - rise.low) * 2 / _POINTS))
    left, right = rise.low, rise.high
    last = min(curve.sizes[-1], round(rise.high * _AROUND))
    while left - step >= max(1, rise.low / _AROUND) and to_float(curve.at(left - step)) < high + (high - low):
        left -= step
    while right + step <= last and to_float(curve.at(right + step)) > low - (high - low):
        right += step
    return sorted({*range(left, right + 1, step), rise.low, rise.high, right})
