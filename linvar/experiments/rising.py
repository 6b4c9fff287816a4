"""The ten-layer network whose variance RISES with the batch size between b = 39 and 61, by simulation beside the exact curve.

The rise is 0.95 %. All widths are 1, so a batch acts through its second moment alone, a chi square, which is drawn directly:
a run costs the same at every b, and enough of them are affordable for a standard error of the difference below 0.2 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from linvar.experiments.curves import mark_batch_sizes
from linvar.experiments.findings import FALSE_ALARM_RATE, limit
from linvar.experiments.runner import Conclusion, Experiment, Request, Study

WEIGHTS = ["-31/50", "-31/50", "-31/50", "-89/50", "77/50", "217/100", "-77/50", "49/25", "-59/50", "59/50"]
TEACHER, LEARNING_RATE = "-19/100", "57/2000"
LOW, HIGH = 39, 61


def problem() -> Any:
    """Ten layers of one weight each, one step."""
    from linvar.laws import Gaussian
    from linvar.problem import Problem

    return Problem([[[w]] for w in WEIGHTS], Gaussian([[TEACHER]]), LEARNING_RATE, 1)


def build(request: Request) -> Study:
    """A cell a batch size, from 39 on: below, the exact variance lives on batches too rare to be drawn (1,760 at b = 25)."""
    runs = request.pick(2000, 1_000_000, 4_000_000)
    sizes = request.pick(
        (39, 61), (39, 44, 50, 61, 80, 120, 200), (39, 42, 45, 48, 51, 55, 61, 67, 75, 85, 100, 150, 200)
    )
    parts = request.pick(1, 2, 8)

    def cell(batch_size: int) -> dict[str, Any]:
        import jax

        from linvar.numeric.trajectories import simulate

        found = []
        for part in range(parts):  # in parts, so that memory does not grow with the runs
            key = jax.random.fold_in(jax.random.key(request.seed), part)
            moments = simulate(key, problem(), batch_sizes=[batch_size], runs=runs // parts, batches="second_moments")
            found.append(moments[batch_size].variance)
        value = sum(e.value for e in found) / parts
        return {"variance": [value, sum(e.standard_error**2 for e in found) ** 0.5 / parts]}

    settings = {"weights": WEIGHTS, "teacher": TEACHER, "learning_rate": LEARNING_RATE, "step": 1, "runs": runs,
                "batch_sizes": list(sizes), "batches": "second_moments", "dtype": "float64", "parts": parts}  # fmt: skip
    return Study(settings, {f"b-{b}": partial(cell, b) for b in sizes}, partial(conclude, sizes, runs))


def conclude(sizes: tuple[int, ...], runs: int, cells: Mapping[str, Any]) -> Conclusion:
    """The difference between b = 39 and 61, estimated and exact."""
    import linvar as lv

    exact = lv.gradient_variance(problem())
    points = {b: cells[f"b-{b}"]["variance"] for b in sizes}
    low, high = points[LOW], points[HIGH]
    rise = (high[0] - low[0]) / low[0]
    error = (high[1] ** 2 + (high[0] / low[0] * low[1]) ** 2) ** 0.5 / low[0]
    truth = float(exact(HIGH) / exact(LOW) - 1)
    z = rise / error
    bound = limit(1)
    verdict = "RISES" if z > bound else "falls" if z < -bound else "UNRESOLVED whether it rises"
    scores = {b: (p[0] - float(exact(b))) / p[1] for b, p in points.items()}
    worst = max(scores, key=lambda b: abs(scores[b]))
    agree = abs(scores[worst]) <= limit(len(scores))
    turning = ", ".join(f"{point.kind} at b = {float(point.low):.2f}" for point in exact.turning_points())
    needed = runs * (error / 0.002) ** 2
    summary = [
        f"Variance from b = {LOW} to {HIGH}: {verdict}: by {100 * rise:.2f} % +- {100 * error:.2f} % (z = {z:.1f}, "
        f"false-alarm rate {FALSE_ALARM_RATE}), {runs:,} runs at each b; exactly by {100 * truth:.4f} %.",
        f"Exactly, degree {exact.degree}: {turning}; certified by isolating the real roots of its derivative.",
        f"Estimates {'agree' if agree else 'DISAGREE'} with the exact curve at {len(scores)} batch sizes: largest |z| = "
        f"{abs(scores[worst]):.1f} (b = {worst}).",
        f"A standard error of 0.2 % takes {needed:,.0f} runs at each b when a batch is drawn by its second moment.",
    ]
    results = {"rise": [rise, error], "exact_rise": truth, "z": z, "verdict": verdict, "agree": agree, "scores": scores}

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        grid = range(min(sizes), max(sizes) + 1)
        axes.plot(grid, [float(exact(b)) for b in grid], lw=1, label="exact")
        axes.errorbar(
            sizes, [points[b][0] for b in sizes], [2 * points[b][1] for b in sizes], fmt="o", ms=3, label="runs, 2 s.e."
        )
        axes.axvspan(LOW, HIGH, alpha=0.15)
        axes.set(
            xscale="log",
            xlabel="batch size b",
            ylabel="variance",
            title="Ten layers of one weight: the variance rises from 39 to 61",
        )
        mark_batch_sizes(axes, sizes)
        axes.legend()

    return Conclusion(results, summary, draw)


EXPERIMENT = Experiment("rising", build)
