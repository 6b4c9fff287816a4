"""How pictures look: colours that the colour blind tell apart, dashes and markers that a black-and-white print keeps, axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from linvar.errors import InputTypeError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Dash: TypeAlias = "str | tuple[int, tuple[int, ...]]"

#: blue, vermillion, green, purple, orange, sky blue, black (Okabe and Ito): results that have no order
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
#: as many as no period of the colours, so that a pair of both comes back after 35 only
DASHES: tuple[Dash, ...] = ("-", (0, (5, 2)), (0, (1, 1)), (0, (6, 2, 1, 2)), (0, (9, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
#: what explains and is no result: grids, legends of a kind of mark
FAINT = "#666666"
#: inches: readable when it is set in the column of a paper
COLUMN = (5.0, 3.6)


@dataclass(frozen=True)
class Style:
    """One result's colour, dashes and marker."""

    colour: str
    dash: Dash
    marker: str


def unordered(number: int) -> Style:
    """The style of the result of this number, 0, 1, ..., among results that have no order.

    >>> unordered(0).colour, unordered(0) == unordered(7), unordered(1).marker
    ('#0072B2', False, 's')
    """
    return Style(COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)], MARKERS[number % len(MARKERS)])


def ordered(count: int) -> Sequence[Style]:
    """Styles of results in an order, like steps: from dark to light, in a print without colours too.

    >>> [style.colour for style in ordered(3)]
    ['#440154', '#277e8e', '#9bd93c']
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    places = [0.85 * k / max(1, count - 1) for k in range(count)]
    colours = [to_hex(colormaps["viridis"](place)) for place in places]
    return [Style(colour, "-", MARKERS[k % len(MARKERS)]) for k, colour in enumerate(colours)]


def check_axes(ax: object) -> None:
    """Axes of matplotlib, or None."""
    if ax is None:
        return
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise InputTypeError("ax", ax, "give one Axes to draw into, like matplotlib.figure.Figure().subplots()")


def axes_or_new(ax: Axes | None) -> Axes:
    """The Axes given, or those of a new pyplot figure, as notebooks expect."""
    if ax is not None:
        return ax
    from matplotlib import pyplot

    new: Axes = pyplot.subplots(figsize=COLUMN, layout="constrained")[1]
    return new


def batch_size_axis(ax: Axes) -> None:
    """Logarithmic, whole numbers at powers of two, from a million on as powers."""
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_formatter(lambda value, _position: size_text(value))
    ax.set_xlabel("batch size b (examples)")


def size_text(value: float) -> str:
    """A tick of a batch size.

    >>> size_text(1024.0), size_text(2.0**20), size_text(0.5)
    ('1024', '$2^{20}$', '')
    """
    if value < 1:
        return ""
    power = round(value).bit_length() - 1
    return f"{value:g}" if value < 10**6 else f"$2^{{{power}}}$" if value == 2**power else ""


def faint_grid(ax: Axes) -> None:
    """Lines behind everything."""
    ax.grid(True, alpha=0.3, lw=0.6)
    ax.set_axisbelow(True)
