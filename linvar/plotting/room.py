"""Room for what explains a picture: legend, notes and inset go where no data is; where there is none it is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

#: distances, as parts of the axes
_MARGIN = 0.02
_PLACES = 15


class Wanted(NamedTuple):
    """Width and height in parts of the axes, and at which end of the vertical axis room is made if there is none."""

    width: float
    height: float
    above: bool


class Box(NamedTuple):
    """A rectangle in parts of the axes."""

    left: float
    low: float
    width: float
    height: float

    def meets(self, other: Box) -> bool:
        """Do they overlap?"""
        return (
            self.left < other.left + other.width
            and other.left < self.left + self.width
            and self.low < other.low + other.height
            and other.low < self.low + self.height
        )


def wanted(ax: Axes, artist: Artist, above: bool) -> Wanted:
    """What an artist needs."""
    found, whole = artist.get_window_extent(), ax.get_window_extent()
    return Wanted(found.width / whole.width + _MARGIN, found.height / whole.height + _MARGIN, above)


def arrange(ax: Axes, all_wanted: Sequence[Wanted]) -> list[Box]:
    """A place for each, near a corner, that meets neither data nor another; the axis is made longer for those that have none."""
    limits = ax.get_ylim()
    fitting = [Wanted(min(one.width, 1 - 2 * _MARGIN), min(one.height, 0.65), one.above) for one in all_wanted]
    crowded: set[int] = set()
    while True:
        boxes = {k: Box(0, 0, 0, 0) for k in range(len(fitting))}
        ends = {True: _MARGIN, False: _MARGIN}
        for k in sorted(crowded):
            width, height, above = fitting[k]
            low = 1 - ends[above] - height if above else ends[above]
            boxes[k] = Box(1 - _MARGIN - width if above else _MARGIN, low, width, height)
            ends[above] += height + _MARGIN
        _lengthen(
            ax,
            limits,
            *(ends[above] if any(fitting[k].above is above for k in crowded) else 0.0 for above in (True, False)),
        )
        taken, points, failed = [boxes[k] for k in sorted(crowded)], _points(ax), None
        for k, one in enumerate(fitting):
            if k not in crowded:
                box = _free(one, points, taken)
                if box is None:
                    failed = k
                    break
                boxes[k] = box
                taken.append(box)
        if failed is None:
            return [boxes[k] for k in range(len(fitting))]
        crowded.add(failed)


def _free(one: Wanted, points: np.ndarray, taken: Sequence[Box]) -> Box | None:
    """The free place nearest to a corner, the right upper one first."""
    import numpy as np

    x, y = points
    free = []
    for left in np.linspace(_MARGIN, 1 - _MARGIN - one.width, _PLACES):
        for low in np.linspace(_MARGIN, 1 - _MARGIN - one.height, _PLACES):
            box = Box(float(left), float(low), one.width, one.height)
            across = (x > left - _MARGIN) & (x < left + one.width + _MARGIN)
            if not (across & (y > low - _MARGIN) & (y < low + one.height + _MARGIN)).any():
                free.append(box)
    return min((box for box in free if not any(map(box.meets, taken))), key=_from_corner, default=None)


def _from_corner(box: Box) -> tuple[float, float]:
    """Distance of a box from the nearest corner; the right upper one first."""
    across = min(box.left, 1 - box.left - box.width)
    up = min(box.low, 1 - box.low - box.height)
    return round(across + up, 6), -box.left - box.low


def _points(ax: Axes) -> np.ndarray:
    """All that is drawn, in parts of the axes, (2, count); lines densely."""
    import numpy as np
    from matplotlib.collections import LineCollection

    to_axes = ax.transData - ax.transAxes
    lines = [line for line in ax.lines if line.get_transform() == ax.transData]
    drawn = [(np.asarray(line.get_xydata(), float), line.get_linestyle() != "None") for line in lines]
    bars = [one for one in ax.collections if isinstance(one, LineCollection)]
    drawn += [(np.asarray(segment, float), True) for bar in bars for segment in bar.get_segments()]
    found = [np.empty((0, 2))]
    with np.errstate(divide="ignore", invalid="ignore"):
        for points, joined in drawn:
            if len(points):
                at = to_axes.transform(points)
                found.append(_dense(at) if joined else at)
    whole = np.concatenate(found).T
    return np.asarray(whole[:, np.isfinite(whole).all(axis=0)])


def _dense(points: np.ndarray) -> np.ndarray:
    """With further points between successive ones."""
    import numpy as np

    between = np.linspace(0, 1, 12)[:, None, None]
    return (points[:-1] + between * (points[1:] - points[:-1])).reshape(-1, 2) if len(points) > 1 else points


def _lengthen(ax: Axes, limits: tuple[float, float], above: float, below: float) -> None:
    """Parts of the vertical axis free of what these limits show, where floats go as far."""
    import numpy as np

    if not above and not below:
        return
    transform = ax.yaxis.get_transform()
    low, high = map(float, transform.transform(limits))
    unit = (high - low) / max(0.2, 1 - above - below)
    with np.errstate(over="ignore", under="ignore"):
        ends = transform.inverted().transform(np.array([low - below * unit, high + above * unit]))
    if np.isfinite(ends).all() and (ax.get_yscale() != "log" or ends[0] > 0):
        ax.set_ylim(*map(float, ends))
