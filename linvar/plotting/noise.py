"""Pictures of the noise of gradients: along a training run, leaf by leaf, to first order. Each kind of result has its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import TYPE_CHECKING, TypeAlias

import jax
import numpy as np

from linvar.arguments import check_flags, check_integer
from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.keywords import door
from linvar.numeric.delta_method.result import FirstOrder
from linvar.numeric.gradients.history import NoiseHistory
from linvar.numeric.gradients.jackknife import Jackknife
from linvar.numeric.gradients.leaves import leaf_names
from linvar.numeric.gradients.scale import NoiseScale
from linvar.plotting.style import FAINT, axes_or_new, check_axes, faint_grid, unordered

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    _Draw: TypeAlias = Callable[[Axes], None]

#: leaves with a name of their own: of more, those with the largest share of the trace
_NAMED, _ROWS = 6, 40
_LABEL = r"noise scale  tr Cov(g) / $\|$E g$\|^2$  (examples)"


@dataclass(frozen=True)
class _How:
    """What the caller asked for; None where it did not."""

    per_leaf: bool | None
    label: str | None
    decay: float | None
    window: int | None
    batch_size: int | None

    def refuse(self, why: str, *names: str) -> None:
        """Options that such a picture has no use for."""
        for name in names:
            if getattr(self, name) is not None:
                raise InputError(name, getattr(self, name), "leave it out", fault=why)


@door
def plot_noise(
    noise: NoiseHistory | NoiseScale | FirstOrder | Sequence[NoiseHistory] | Mapping[str, NoiseHistory],
    ax: Axes | None = None,
    *,
    per_leaf: bool | None = None,
    label: str | None = None,
    decay: float | None = None,
    window: int | None = None,
    batch_size: int | None = None,
) -> Axes:
    """The noise of a gradient: of a training run against its steps, of a data set leaf by leaf, or to first order along SGD.

    - A ``NoiseHistory``, or several: the noise scale of single steps as faint points, and of averaged traces and squared means
      as a line, the recorder's own averages where there are any. Its last value is the critical batch size, marked; the
      batch size used is a dotted line. What has no positive squared mean is not shown, and counted in a note.
    - A ``NoiseScale``: each leaf and all together, with 95 % intervals, an arrow where one has no upper end.
    - A first-order result: the coefficient of 1/b at every step, with its two parts, and two standard errors of probes.

    Args:
        noise: what to draw; a list or a dictionary of histories draws each, with its place or key as label.
        ax: the Axes to draw into. If None, a new pyplot figure is made, as notebooks expect: close it with
            ``matplotlib.pyplot.close(axes.figure)``.
        per_leaf: a line for each leaf (the named ones are those with the largest share of the trace); of a ``NoiseScale`` False
            leaves the leaves out. If None, only a ``NoiseScale`` shows leaves.
        label: of the line, in the legend.
        decay, window: as in ``NoiseHistory.smoothed``, in place of the recorder's averages.
        batch_size: the batch size used, in place of what the history knows.

    Returns:
        The Axes.

    Raises:
        InputTypeError: ``noise`` is nothing of the kind.
        InputError: an empty history, an option that such a picture has no use for.

    After McCandlish, Kaplan, Amodei et al. (2018), "An Empirical Model of Large-Batch Training".

    >>> from matplotlib.figure import Figure
    >>> from linvar.numeric import gradient_moments
    >>> history = NoiseHistory()
    >>> for step, x in enumerate(np.random.default_rng(0).normal(1, 3, (4, 500, 2)).astype("float32")):
    ...     history.append(step, gradient_moments(lambda w, x: w @ x, np.ones(2, "float32"), x))
    >>> axes = plot_noise(history, ax=Figure().subplots())
    >>> axes.get_xlabel(), axes.get_yscale()
    ('step', 'log')
    """
    if per_leaf is not None:
        check_flags(per_leaf=per_leaf)
    if batch_size is not None and check_integer(batch_size, "batch_size") < 1:
        raise InputError("batch_size", batch_size, "give the number of examples of a step, >= 1")
    check_axes(ax)
    draw = _picture(noise, _How(per_leaf, label, decay, window, batch_size))
    ax = axes_or_new(ax)
    draw(ax)
    faint_grid(ax)
    entries = len(ax.get_legend_handles_labels()[0])
    if entries:
        ax.legend(fontsize="small" if entries <= _NAMED else "x-small", ncols=1 if entries <= _NAMED else 2)
    return ax


@singledispatch
def _picture(noise: object, how: _How) -> _Draw:
    """What draws it, once everything is checked. A kind of result registers here."""
    raise InputTypeError(
        "noise",
        Words(f"is of type {type(noise).__name__}"),
        "give a NoiseHistory, several in a list or a dictionary, or what noise_scale or first_order returns",
    )


# along a training run


@dataclass(frozen=True)
class _Line:
    """A smoothed noise scale against steps, and the single steps it comes from."""

    name: str | None
    steps: np.ndarray
    smooth: np.ndarray
    single: np.ndarray | None


def _line(history: NoiseHistory, name: str | None, how: _How, single: bool) -> _Line:
    """Of all leaves of a history."""
    own = how.decay is None and how.window is None and not np.isnan(history.averaged.trace).all()
    smooth = history.averaged if own else history.smoothed(decay=how.decay, window=how.window)
    return _Line(name, history.steps, smooth.noise_scale, history.noise_scale if single else None)


def _checked(history: object, name: str) -> NoiseHistory:
    """Of the user."""
    if not isinstance(history, NoiseHistory):
        raise InputTypeError(name, Words(f"is of type {type(history).__name__}"), "give a NoiseHistory")
    if not len(history):
        raise InputError(name, Words("is empty"), "append to it first")
    return history


@_picture.register(NoiseHistory)
def _(noise: NoiseHistory, how: _How) -> _Draw:
    history = _checked(noise, "noise")
    lines = [_line(history, how.label or ("all leaves" if how.per_leaf else "averaged"), how, True)]
    others: list[_Line] = []
    if how.per_leaf:
        shares = np.nansum([own.trace for own in history.per_leaf.values()], axis=1)
        order = [list(history.per_leaf)[k] for k in np.argsort(-shares, kind="stable")]
        leaves = {name: _line(history.per_leaf[name], name, how, False) for name in order}
        lines += [leaves[name] for name in order[:_NAMED]]
        others = [leaves[name] for name in order[_NAMED:]]
    sizes = history.batch_size if how.batch_size is None else np.full(len(history), float(how.batch_size))
    return lambda ax: _draw_lines(ax, lines, others, [(history.steps, sizes)])


@_picture.register(Mapping)
def _(noise: Mapping, how: _How) -> _Draw:  # type: ignore[type-arg]  # of singledispatch
    how.refuse("is for one history", "label", "per_leaf")
    histories = {str(name): _checked(own, f"noise[{name!r}]") for name, own in noise.items()}
    if not histories:
        raise InputError("noise", Words("is empty"), "give a history at least")
    lines = [_line(own, name, how, True) for name, own in histories.items()]
    given = how.batch_size
    used = [
        (own.steps, own.batch_size if given is None else np.full(len(own), float(given))) for own in histories.values()
    ]
    return lambda ax: _draw_lines(ax, lines, [], used)


@_picture.register(Sequence)
def _(noise: Sequence, how: _How) -> _Draw:  # type: ignore[type-arg]
    return _picture({str(k): _checked(own, f"noise[{k}]") for k, own in enumerate(noise)}, how)


def _draw_lines(
    ax: Axes, lines: Sequence[_Line], others: Sequence[_Line], used: Sequence[tuple[np.ndarray, np.ndarray]]
) -> None:
    """Lines, their points, their last values, and the batch sizes used."""
    for k, line in enumerate(others):
        ax.plot(
            line.steps, _drawable(line.smooth), color=FAINT, lw=0.8, label="_" if k else f"{len(others)} other leaves"
        )
    with_leaves = len(lines) > sum(line.single is not None for line in lines)
    for k, line in enumerate(lines):
        own = unordered(k)
        thick = 2.5 if with_leaves and line.single is not None else 1.6
        ax.plot(line.steps, _drawable(line.smooth), ls=own.dash, color=own.colour, lw=thick, label=line.name)
    _draw_sizes(ax, used)
    low, high = _range([line.smooth for line in [*lines, *others]] + [sizes for _, sizes in used], room=4)
    high *= 8 if with_leaves else 1  # for the legend
    marked = [(line, unordered(k).colour) for k, line in enumerate(lines) if line.single is not None]
    beyond = sum([_draw_points(ax, line, colour, low, high) for line, colour in marked])
    for k, (line, colour) in enumerate(marked):
        _draw_last(ax, line, colour, "_" if k else "last: the critical batch size")
    _set_log(ax, "y", low, high)
    ax.set_xlabel("step")
    ax.set_ylabel(_LABEL)
    if beyond:
        steps = f"{beyond:,} single step{'s' if beyond > 1 else ''}"
        ax.set_title(f"triangles: {steps} beyond the axis, or infinite", fontsize="small", loc="left")


def _draw_points(ax: Axes, line: _Line, colour: str, low: float, high: float) -> int:
    """Single steps; those beyond the axis as triangles at its end, which are counted."""
    assert line.single is not None
    known = ~np.isnan(line.single)
    above, below = known & (line.single > high), known & (line.single < low)
    inside = known & ~above & ~below
    for which, marker, at in ((inside, ".", line.single), (above, "^", high / 1.04), (below, "v", low * 1.04)):
        numbers = np.where(which, at, np.nan)
        ax.plot(line.steps, numbers, marker, color=colour, ms=5, mew=0, alpha=0.4, zorder=1.5, label="_")
    return int(above.sum() + below.sum())


def _draw_last(ax: Axes, line: _Line, colour: str, label: str) -> None:
    """The last value that there is, with its number."""
    found = np.flatnonzero(~np.isnan(_drawable(line.smooth)))
    if len(found):
        at = (line.steps[found[-1]], line.smooth[found[-1]])
        ax.plot(*at, "o", color=colour, ms=6, label=label)
        ax.annotate(
            _words(at[1]),
            at,
            xytext=(6, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            annotation_clip=False,
        )


def _draw_sizes(ax: Axes, used: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
    """The batch sizes used, in the colours of their lines where there are several; one that several have has one name."""
    named: set[float] = set()
    for k, (steps, sizes) in enumerate(used):
        known = sizes[~np.isnan(sizes)]
        if not len(known):
            continue
        label = "batch size used"
        if (known == known[0]).all():
            label = "_" if known[0] in named else f"batch size {_words(float(known[0]))}"
            named.add(known[0])
        colour = FAINT if len(used) == 1 else unordered(k).colour
        ax.plot(steps, sizes, ":", color=colour, lw=1.2, drawstyle="steps-post", label=label)


def _range(numbers: Sequence[np.ndarray], room: float) -> tuple[float, float]:
    """Ends of a logarithmic axis that shows all of these, and so many times more on either side."""
    drawn = np.concatenate([_drawable(x) for x in numbers])
    drawn = drawn[~np.isnan(drawn)]
    return (float(drawn.min()) / room, float(drawn.max()) * room) if len(drawn) else (0.1, 10.0)


def _set_log(ax: Axes, name: str, low: float, high: float) -> None:
    """A logarithmic axis between these ends, numbers written out."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis = ax.yaxis if name == "y" else ax.xaxis
    (ax.set_yscale if name == "y" else ax.set_xscale)("log")
    (ax.set_ylim if name == "y" else ax.set_xlim)(low, high)
    if high < 200 * low:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _position: _words(value)))
    axis.set_minor_formatter(NullFormatter())


def _words(value: float) -> str:
    """Three digits, or a whole number."""
    return f"{value:,.0f}" if 1e3 <= value < 1e7 else f"{value:.3g}"


def _drawable(numbers: np.ndarray) -> np.ndarray:
    """NaN in place of what a logarithmic axis cannot show."""
    return np.where(np.isfinite(numbers) & (numbers > 0), numbers, np.nan)


# of a data set


@_picture.register(NoiseScale)
def _(noise: NoiseScale, how: _How) -> _Draw:
    how.refuse("is for histories", "decay", "window")
    of_leaf: list[Jackknife] = jax.tree.leaves(noise.jackknife_per_leaf)
    named = sorted(zip(leaf_names(noise.jackknife_per_leaf), of_leaf), key=lambda own: -own[1].trace[0])
    shown = named[:_ROWS] if how.per_leaf is not False else []
    rows = [*shown, (how.label or "all leaves", noise.jackknife)]
    left_out = len(named) - len(shown) if how.per_leaf is not False else 0

    intervals = [(own.noise_scale[0], *own.noise_scale_interval(0.95)) for _, own in reversed(rows)]
    low, high = _range([np.ravel(intervals), np.ravel(how.batch_size or np.nan)], room=2)

    def draw(ax: Axes) -> None:
        for place, (value, *ends) in enumerate(intervals):
            _draw_interval(ax, place, value, ends, high, unordered(int(place > 0)).colour)
        ax.set_yticks(range(len(rows)), [cut(name, 40) for name, _ in reversed(rows)], fontsize="small")
        ax.set_ylim(-0.6, len(rows) - 0.4)
        if shown:
            ax.axhline(0.5, color=FAINT, lw=0.8)
        if how.batch_size is not None:
            ax.axvline(how.batch_size, color=FAINT, ls=":", lw=1.2, label=f"batch size {how.batch_size:,}")
        _set_log(ax, "x", low, high)
        ax.set_xlabel(_LABEL)
        notes = [f"{noise.examples:,} examples, 95 % intervals", noise.caution and f"too small: {noise.caution}"]
        notes.append(f"{left_out} leaves of less trace left out" if left_out else "")
        ax.set_title("; ".join(filter(None, notes)), fontsize="small", loc="left")

    return draw


def _draw_interval(ax: Axes, place: int, value: float, ends: Sequence[float], high: float, colour: str) -> None:
    """A value with its interval; an arrow to the end of the axis where it has no upper end; in numbers beside."""
    start, stop = ends
    known = np.isfinite(value) and value > 0
    if known:
        ax.plot(value, place, "o", color=colour, ms=6, zorder=3)
    if known or 0 < start < np.inf:
        words = _words(value) if known else f"> {_words(start)}"
        ax.text(1.02, place, words, transform=ax.get_yaxis_transform(), color=colour, va="center", fontsize="small")
    if start > 0 and np.isfinite(stop):
        ax.plot([start, stop], [place, place], color=colour, lw=3, alpha=0.5, solid_capstyle="butt")
    elif start > 0 and stop == np.inf:
        arrow = {"arrowstyle": "->", "color": colour, "lw": 2, "alpha": 0.6, "shrinkA": 0}
        ax.annotate("", (high, place), (start, place), arrowprops=arrow)


# to first order


@_picture.register(FirstOrder)
def _(noise: FirstOrder, how: _How) -> _Draw:
    how.refuse("is for noise scales", "decay", "window", "per_leaf", "batch_size")

    def draw(ax: Axes) -> None:
        steps = np.arange(len(noise.variance.coefficient))
        parts = {
            how.label or "coefficient of 1/b": noise.variance.coefficient,
            "last batch, tr Cov(g)": noise.per_example,
            "batches before": noise.propagated,
        }
        marker = {"marker": "o", "ms": 4} if len(steps) <= 30 else {}
        positive = bool((noise.variance.coefficient > 0).all())
        for k, (name, numbers) in enumerate(parts.items()):
            drawn = _drawable(numbers) if positive else numbers
            own = unordered(k)
            ax.plot(steps, drawn, ls=own.dash, color=own.colour, lw=1.6, label=name, **marker)  # type: ignore[arg-type]
        if noise.probes:
            reach = 2 * noise.variance.standard_error
            low = np.maximum(noise.variance.coefficient - reach, noise.per_example if positive else -np.inf)
            ax.fill_between(
                steps,
                low,
                noise.variance.coefficient + reach,
                color=unordered(0).colour,
                alpha=0.15,
                lw=0,
                label="2 standard errors",
            )
        ax.set_yscale("log" if positive else "linear")
        ax.set_xlabel("step t")
        ax.set_ylabel("coefficient of 1/b in tr Cov(G)")

    return draw
