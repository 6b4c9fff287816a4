"""The study shared by most experiments: one point, many runs at several batch sizes, the curves of what is measured.

Cells are batch sizes. The conclusion says, with evidence: does the variance fall with b at every t, which powers of 1/b do the
estimates support, does a smaller b reach a lower train loss after the same number of steps and of examples, how does the test
loss move, what is the noise scale along the way, and how far apart are the gradients of two batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax

from linvar.experiments.findings import FALSE_ALARM_RATE, falls, limit, lower, powers, z_score
from linvar.experiments.runner import Conclusion, Request, Study
from linvar.experiments.training import Task, run_many

Cells = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Curves:
    """What is to be measured.

    Attributes:
        title: of the picture.
        task: makes what is trained; called once a cell, so that a finished experiment does not make it at all.
        batch_sizes: b, increasing.
        steps: t, increasing.
        runs: for each b.
        dtype: "float32" or "float64".
        settings: JSON: what the task depends on.
        exact: t -> {quantity: BatchPolynomial} where exact curves exist ("variance", "second_moment", "train_loss").
        lanes: runs at a time.
        constant: batches without replacement from a data set, whose variance has a constant term in 1/b.
    """

    title: str
    task: Callable[[], Task]
    batch_sizes: Sequence[int]
    steps: Sequence[int]
    runs: int
    dtype: str
    settings: dict[str, Any]
    exact: Callable[[int], dict[str, Any]] | None = None
    lanes: int = 16
    constant: bool = False


def study(curves: Curves, request: Request) -> Study:
    """Cells, settings and conclusion of these curves."""

    def cell(batch_size: int) -> dict[str, Any]:
        with jax.enable_x64(curves.dtype == "float64"):
            key = jax.random.key(request.seed)
            return run_many(curves.task(), batch_size, curves.steps, curves.runs, key, curves.lanes)

    settings = {
        **curves.settings, "batch_sizes": list(curves.batch_sizes), "steps": list(curves.steps), "runs": curves.runs,
        "dtype": curves.dtype,
    }  # fmt: skip
    return Study(settings, {f"b-{b}": partial(cell, b) for b in curves.batch_sizes}, partial(conclude, curves))


def conclude(curves: Curves, cells: Cells) -> Conclusion:
    """Sentences, numbers and a picture from the estimates."""
    estimates = {b: cells[f"b-{b}"] for b in curves.batch_sizes}

    def curve(t: int, name: str) -> dict[int, list[float]]:
        found = {b: estimates[b][str(t)].get(name) for b in curves.batch_sizes}
        return {b: point for b, point in found.items() if point is not None and None not in point}

    exact = {t: curves.exact(t) for t in curves.steps} if curves.exact else {}
    lost = [(b, t) for b in curves.batch_sizes for t in curves.steps if b not in curve(t, "variance")]
    parts = [
        _variance(curves, curve), _powers(curves, curve, exact), _agreement(curves, curve, exact), _losses(curves, curve),
        _noise(curves, curve),
    ]  # fmt: skip
    summary = [f"{curves.title}: {curves.runs:,} runs from one point at each of {len(curves.batch_sizes)} batch sizes."]
    if lost:
        summary.append(
            f"Runs left the floating-point range at {len(lost)} of (b, t): {lost[:4]}; nothing is said of them."
        )
    summary += [line for lines, _ in parts for line in lines]
    results = {name: value for _, found in parts for name, value in found.items()}
    return Conclusion(results, summary, partial(_draw, curves, curve, exact))


Lines = tuple[list[str], dict[str, Any]]
Reader = Callable[[int, str], dict[int, list[float]]]


def _variance(curves: Curves, curve: Reader) -> Lines:
    """Does it fall at every t?"""
    comparisons = (len(curves.batch_sizes) - 1) * len(curves.steps)
    found = {t: falls(curve(t, "variance"), comparisons) for t in curves.steps}
    verdicts = {result.verdict for result in found.values()}
    smallest = min(result.smallest_z for result in found.values())
    bound = f"|z| > {limit(comparisons):.1f}"
    rate = f"{comparisons} comparisons of neighbouring b, false-alarm rate {FALSE_ALARM_RATE} over all, {bound}"
    if "rises" in verdicts:
        where = [f"t = {t}, b = {a} to {b} (z = {z:.1f})" for t, result in found.items() for a, b, z in result.rises]
        lines = [f"Variance: RISES with b at {'; '.join(where[:4])} ({rate})."]
    elif "unresolved" in verdicts:
        where = [f"t = {t}, b = {a} to {b}" for t, result in found.items() for a, b in result.unresolved]
        lines = [f"Variance: no rise found, but UNRESOLVED at {'; '.join(where[:4])} ({rate})."]
    else:
        lines = [f"Variance: falls with b at every t in {list(curves.steps)} (smallest z = {smallest:.1f}; {rate})."]
    return lines, {"variance_falls": {str(t): result.to_dict() for t, result in found.items()}}


def _powers(curves: Curves, curve: Reader, exact: Mapping[int, Any]) -> Lines:
    """Which powers of 1/b?"""
    lines, results = [], {}
    for t in curves.steps:
        fit = powers(curve(t, "variance"), constant=curves.constant)
        results[str(t)] = fit.to_dict()
        text = f"Powers of 1/b at t = {t}: {fit}"
        polynomial = exact.get(t, {}).get("variance")
        if polynomial is not None:
            shown = polynomial.coefficients[fit.lowest : fit.lowest + 3]
            text += (
                f"; exact degree {polynomial.degree}, first coefficients {', '.join(f'{float(c):.4g}' for c in shown)}"
            )
        lines.append(text + ".")
    return lines, {"powers": results}


def _agreement(curves: Curves, curve: Reader, exact: Mapping[int, Any]) -> Lines:
    """The estimates beside the exact curves."""
    scores = [
        (z_score(point, (float(polynomial(b)), 0.0)), name, t, b)
        for t, found in exact.items()
        for name, polynomial in found.items()
        for b, point in curve(t, name).items()
        if point[1] > 0
    ]
    if not scores:
        return [], {}
    z, name, t, b = max(scores, key=lambda score: abs(score[0]))
    verdict = "agree with" if abs(z) <= limit(len(scores)) else "DISAGREE with"
    where = f"{len(scores)} comparisons, largest |z| = {abs(z):.1f} ({name}, t = {t}, b = {b})"
    line = f"Estimates {verdict} the exact curves: {where}."
    return [line], {"exact": {"comparisons": len(scores), "largest_z": z, "agree": abs(z) <= limit(len(scores))}}


def _losses(curves: Curves, curve: Reader) -> Lines:
    """After the same number of steps, and of examples."""
    last = curves.steps[-1]
    after = {name: lower(curve(last, name), 4) for name in ("train_loss", "test_loss")}
    lines = [f"{_words(name)} after {last} steps: {text}." for name, text in after.items()]
    # the same number of examples: b t is the same
    totals: dict[int, list[tuple[int, int]]] = {}
    for b in curves.batch_sizes:
        for t in curves.steps:
            if t and b in curve(t, "train_loss"):
                totals.setdefault(b * t, []).append((b, t))
    total, pairs = max(
        ((n, p) for n, p in totals.items() if len(p) > 1), key=lambda x: (len(x[1]), x[0]), default=(0, [])
    )
    for name in ("train_loss", "test_loss") if pairs else ():
        points = {b: curve(t, name)[b] for b, t in pairs}
        after[f"{name}_same_examples"] = lower(points, 4)
        lines.append(f"{_words(name)} after the same {total:,} examples: {after[f'{name}_same_examples']}.")
    first = {b: point[0] for b, point in curve(curves.steps[0], "test_loss").items()}
    end = {b: point[0] for b, point in curve(last, "test_loss").items()}
    moved = ", ".join(f"b = {b}: {first[b]:.4g} to {end[b]:.4g}" for b in sorted(set(first) & set(end)))
    lines.append(f"Test loss from t = {curves.steps[0]} to t = {last}: {moved}.")
    return lines, {"losses": after}


def _noise(curves: Curves, curve: Reader) -> Lines:
    """Noise scale of one example's gradient along the way, and the disparity of two batches."""
    largest = curves.batch_sizes[-1]
    scale = {}
    for t in curves.steps:
        trace, mean = curve(t, "trace").get(largest), curve(t, "squared_mean").get(largest)
        scale[str(t)] = trace[0] / mean[0] if trace and mean and mean[0] > 0 else None
    shown = ", ".join(f"t = {t}: {'unresolved' if v is None else f'{v:.3g}'}" for t, v in scale.items())
    lines = [f"Noise scale tr Cov(g_i) / ||E g||^2 (runs at b = {largest}): {shown}."]
    last = curves.steps[-1]
    disparity = {str(b): 2 * point[0] for b, point in curve(last, "variance").items()}
    text = ", ".join(f"b = {b}: {v:.3g}" for b, v in disparity.items())
    lines.append(f"Gradient disparity E||G - G'||^2 of two independent runs at t = {last} (2 var): {text}.")
    return lines, {"noise_scale": scale, "disparity": disparity}


def mark_batch_sizes(axes: Any, batch_sizes: Sequence[int]) -> None:
    """Batch sizes as plain numbers on the axis, at most seven of them."""
    shown = list(batch_sizes)[:: -(-len(batch_sizes) // 7)]
    axes.set_xticks(shown, [str(b) for b in shown])
    axes.xaxis.minorticks_off()


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _draw(curves: Curves, curve: Reader, exact: Mapping[int, Any], figure: Any) -> None:
    """Variance, train loss and test loss against b, one colour a step."""
    import numpy as np
    from matplotlib import colormaps

    left, middle, right = figure.subplots(1, 3)
    colours = colormaps["viridis"](np.linspace(0, 0.85, len(curves.steps)))
    limit_ = curves.batch_sizes[-1]
    grid = sorted({round(b) for b in np.geomspace(curves.batch_sizes[0], limit_, 60)})
    for axes, name in ((left, "variance"), (middle, "train_loss"), (right, "test_loss")):
        for t, colour in zip(curves.steps, colours):
            points = curve(t, name)
            if name == "variance":
                points = {b: p for b, p in points.items() if p[0] > 0}
            sizes = sorted(points)
            errors = [2 * points[b][1] for b in sizes]
            axes.errorbar(sizes, [points[b][0] for b in sizes], errors, fmt="o", ms=3, color=colour, label=f"t = {t}")
            polynomial = exact.get(t, {}).get(name)
            if polynomial is not None:
                axes.plot(grid, [float(polynomial(b)) for b in grid], color=colour, lw=1)
            else:
                axes.plot(sizes, [points[b][0] for b in sizes], color=colour, lw=0.5, ls=":")
        axes.set(
            xscale="log", yscale="log" if name == "variance" else "linear", xlabel="batch size b", title=_words(name)
        )
        mark_batch_sizes(axes, curves.batch_sizes)
    left.legend(fontsize=7)
    figure.suptitle(curves.title + (" (lines: exact)" if exact else ""), fontsize=10)
