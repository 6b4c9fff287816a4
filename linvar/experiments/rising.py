"""The ten-layer network whose variance RISES with the batch size between b = 39 and 61, by simulation beside the exact curve.

The rise is 0.95 %. All widths are 1, so a batch acts through its second moment alone, a chi square, which is drawn directly:
a run costs the same at every b, and enough of them are affordable for a standard error of the difference below 0.2 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from linvar.experiments.findings import Budget, Point, z_score
from linvar.experiments.pictures import mark_batch_sizes, set_title
from linvar.experiments.runner import JSON, Cell, Conclusion, Experiment, Request, Study
from linvar.experiments.sentences import Cells, Lines

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from linvar.problem import Problem
    from linvar.symbolic.result.polynomial import BatchPolynomial

WEIGHTS = ["-31/50", "-31/50", "-31/50", "-89/50", "77/50", "217/100", "-77/50", "49/25", "-59/50", "59/50"]
TEACHER, LEARNING_RATE = "-19/100", "57/2000"
LOW, HIGH = 39, 61


def problem() -> Problem:
    """Ten layers of one weight each, one step."""
    from linvar.laws.gaussian import Gaussian
    from linvar.problem import Problem

    return Problem([[[w]] for w in WEIGHTS], Gaussian([[TEACHER]]), LEARNING_RATE, 1)


def build(request: Request) -> Study:
    """A cell a batch size, from 39 on: below, the exact variance lives on batches too rare to be drawn (1,760 at b = 25)."""
    runs = request.pick(2000, 1_000_000, 4_000_000)
    batch_sizes: tuple[int, ...] = request.pick(
        (39, 61), (39, 44, 50, 61, 80, 120, 200), (39, 42, 45, 48, 51, 55, 61, 67, 75, 85, 100, 150, 200)
    )
    parts = request.pick(1, 2, 8)

    def cell(batch_size: int) -> Cell:
        import jax

        from linvar.numeric.laws.sampling import key_of
        from linvar.numeric.simulation.trajectories import simulate

        found = []
        for part in range(parts):  # in parts, so that memory does not grow with the runs
            key = jax.random.fold_in(key_of(request.seed), part)
            simulated = simulate(key, problem(), batch_sizes=[batch_size], runs=runs // parts, batches="second_moments")
            found.append(simulated[batch_size].variance)
        value = sum(e.value for e in found) / parts
        return {"variance": [value, sum(e.standard_error**2 for e in found) ** 0.5 / parts]}

    settings: dict[str, JSON] = {"weights": WEIGHTS, "teacher": TEACHER, "learning_rate": LEARNING_RATE, "step": 1, "runs": runs,
                "batch_sizes": list(batch_sizes), "batches": "second_moments", "dtype": "float64", "parts": parts}  # fmt: skip
    return Study(settings, {f"b-{b}": partial(cell, b) for b in batch_sizes}, partial(conclude, batch_sizes, runs))


def conclude(batch_sizes: Sequence[int], runs: int, cells: Cells) -> Conclusion:
    """The difference between b = 39 and 61, estimated and exact; estimates that are missing (null) are said to be so."""
    import linvar as lv

    exact = lv.gradient_variance(problem())
    points = {b: cells[f"b-{b}"]["variance"] for b in batch_sizes if None not in cells[f"b-{b}"]["variance"]}
    budget = Budget(2, runs)  # does it rise; does it agree
    truth = float(exact(HIGH) / exact(LOW) - 1)
    turning = ", ".join(f"{point.kind} at b = {float(point.low):.2f}" for point in exact.turning_points())
    found = [_rise(points, runs, truth, budget), _agreement(points, exact, budget)]
    summary = [
        f"Ten layers of one weight, learning rate {LEARNING_RATE} at every b, one step: {runs:,} runs at each of "
        f"b = {', '.join(map(str, batch_sizes))}.",
        *found[0][0],
        f"Exactly, degree {exact.degree}: {turning}; certified by isolating the real roots of its derivative.",
        *found[1][0],
        str(budget),
    ]
    results: dict[str, JSON] = {"exact_rise": truth, **found[0][1], **found[1][1]}
    return Conclusion(results, summary, partial(_draw, batch_sizes, points, exact))


def _rise(points: Mapping[int, Point], runs: int, truth: float, budget: Budget) -> Lines:
    """Is the variance at b = 61 above that at 39?"""
    exactly = f"exactly by {100 * truth:.4f} %"
    if not {LOW, HIGH} <= set(points) or points[LOW][0] <= 0:
        line = f"Variance from b = {LOW} to {HIGH}: not measured; {exactly}."
        return [line], {"rise": None, "z": None, "verdict": "not measured"}
    low, high = points[LOW], points[HIGH]
    rise = (high[0] - low[0]) / low[0]
    error = (high[1] ** 2 + (high[0] / low[0] * low[1]) ** 2) ** 0.5 / low[0]
    z = z_score((rise, error), (0.0, 0.0))
    bound = budget.limit(1)
    verdict = "RISES" if z > bound else "falls" if z < -bound else "UNRESOLVED whether it rises"
    lines = [
        f"Variance from b = {LOW} to {HIGH}: {verdict}: by {100 * rise:.2f} % +- {100 * error:.2f} % (z = {z:.1f}; a verdict "
        f"takes |z| > {bound:.1f}); {exactly}.",
        f"A standard error of 0.2 % takes {runs * (error / 0.002) ** 2:,.0f} runs at each b when a batch is drawn by its second "
        f"moment.",
    ]
    return lines, {"rise": [rise, error], "z": z, "verdict": verdict}


def _agreement(points: Mapping[int, Point], exact: BatchPolynomial, budget: Budget) -> Lines:
    """The estimates beside the exact curve."""
    scores = {b: z_score(point, (float(exact(b)), 0.0)) for b, point in points.items()}
    if not scores:
        return ["Estimates and exact curve: no finite estimate to compare."], {"agree": None, "scores": {}}
    worst = max(scores, key=lambda b: abs(scores[b]))
    bound = budget.limit(len(scores))
    agree = abs(scores[worst]) <= bound
    line = (
        f"Estimates {'agree' if agree else 'DISAGREE'} with the exact curve at {len(scores)} batch sizes: largest |z| = "
        f"{abs(scores[worst]):.1f} (b = {worst}; a disagreement is |z| > {bound:.1f})."
    )
    return [line], {"agree": agree, "scores": {str(b): z for b, z in scores.items()}}


def _draw(batch_sizes: Sequence[int], points: Mapping[int, Point], exact: BatchPolynomial, figure: Figure) -> None:
    """The exact curve and the estimates."""
    axes = figure.subplots()
    grid = range(min(batch_sizes), max(batch_sizes) + 1)
    axes.plot(grid, [float(exact(b)) for b in grid], lw=1, label="exact, whole b joined")
    bars = [2 * error for _, error in points.values()]
    heights = [value for value, _ in points.values()]
    axes.errorbar(list(points), heights, bars, fmt="o", ms=3, capsize=2, label="runs; bars: two standard errors")
    axes.axvspan(LOW, HIGH, alpha=0.15, label=f"b = {LOW} to {HIGH}, where the exact variance rises")
    axes.set(xscale="log", xlabel="batch size b (examples)", ylabel="gradient variance tr Cov(G)")
    set_title(figure, f"Ten layers of one weight: the variance rises from b = {LOW} to {HIGH}")
    mark_batch_sizes(axes, batch_sizes)
    axes.legend()


EXPERIMENT = Experiment("rising", build)
