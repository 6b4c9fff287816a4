"""The sentences of a study of curves: each part of a summary, with no point, with one, and with many.

Each function returns lines and results (JSON). What was not measured is said to be so; a verdict has a comparison behind it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from linvar.experiments.findings import TOO_FEW, Budget, Powers, falls, lower, powers, z_score
from linvar.experiments.runner import JSON
from linvar.plotting.curve import to_float

if TYPE_CHECKING:
    from linvar.symbolic.result.polynomial import BatchPolynomial

#: the parts of a run as they are read back from JSON: what they hold is known to who wrote them
Cells: TypeAlias = Mapping[str, Mapping[str, Any]]
#: lines of a summary, and the numbers behind them
Lines: TypeAlias = tuple[list[str], Mapping[str, JSON]]
#: t -> quantity -> its polynomial
Exact: TypeAlias = "Mapping[int, Mapping[str, BatchPolynomial]]"


@dataclass(frozen=True, eq=False)
class Estimates:
    """What the runs of every b measured.

    Attributes:
        batch_sizes: b, increasing.
        steps: t, increasing.
        losses: name of each loss in the cells -> in words.
        cells: "b-4" -> {"t": {quantity: [value, standard error]}}, None where a run left the floating-point range.
    """

    batch_sizes: Sequence[int]
    steps: Sequence[int]
    losses: Mapping[str, str]
    cells: Cells

    def curve(self, t: int, name: str) -> dict[int, list[float]]:
        """b -> (value, standard error), where the runs stayed finite."""
        found = {b: self.cells[f"b-{b}"][str(t)].get(name) for b in self.batch_sizes}
        return {b: point for b, point in found.items() if point is not None and None not in point}

    def lost(self) -> dict[int, list[int]]:
        """b -> the steps at which its runs had left the floating-point range."""
        names = ("variance", *self.losses)
        whole = {t: set.intersection(*(set(self.curve(t, name)) for name in names)) for t in self.steps}
        return self._steps_of({t: {b for b in self.batch_sizes if b not in whole[t]} for t in self.steps})

    def grown(self) -> dict[int, list[int]]:
        """b -> the steps at which the mean train loss was more than ten times that at the start.

        Rare runs carry such a mean: it is far from normal, its standard error is too small, and no verdict rests on it.
        """
        name = next(iter(self.losses))
        start = self.curve(self.steps[0], name)
        curves = {t: self.curve(t, name) for t in self.steps}
        return self._steps_of({
            t: {b for b, (value, _) in curve.items() if value > 10 * start.get(b, (0.0,))[0] > 0} for t, curve in curves.items()
        })  # fmt: skip

    def sound(self, t: int, name: str) -> dict[int, list[float]]:
        """The points of a curve on which a verdict may rest."""
        grown = self.grown()
        return {b: point for b, point in self.curve(t, name).items() if t not in grown.get(b, ())}

    def _steps_of(self, affected: Mapping[int, set[int]]) -> dict[int, list[int]]:
        found = {b: [t for t in self.steps if b in affected[t]] for b in self.batch_sizes}
        return {b: steps for b, steps in found.items() if steps}


def join(values: Iterable[object]) -> str:
    """1, 2, 4."""
    return ", ".join(map(str, values))


def divergence(estimates: Estimates) -> Lines:
    """Which runs left the floating-point range or grew tenfold, and what to do."""
    lost, grown, last = estimates.lost(), estimates.grown(), estimates.steps[-1]
    words = next(iter(estimates.losses.values()))
    lines = []
    if lost:
        lines.append(f"Runs left the floating-point range: {_places(lost)}. Nothing is said of these.")
    if grown:
        lines.append(
            f"{words} more than ten times that at t = {estimates.steps[0]}: {_places(grown)}. No verdict counts these: rare runs "
            f"carry such means."
        )
    if all(last in lost.get(b, ()) for b in estimates.batch_sizes):
        lines.append(f"All runs diverged by t = {last}: the learning rate is too large; give a smaller one.")
    elif all(last in (*lost.get(b, ()), *grown.get(b, ())) for b in estimates.batch_sizes):
        lines.append(f"So it is at every b by t = {last}: the learning rate is too large; give a smaller one.")
    elif lost or grown:
        lines.append("The learning rate is too large for these; give a smaller one.")
    return lines, {
        name: {str(b): steps for b, steps in found.items()} for name, found in (("lost", lost), ("grown", grown))
    }


def _places(found: Mapping[int, Sequence[int]]) -> str:
    """b = 4, 8 at t = 2, 4; b = 16 at t = 4."""
    together: dict[tuple[int, ...], list[int]] = {}
    for b, steps in found.items():
        together.setdefault(tuple(steps), []).append(b)
    return "; ".join(f"b = {join(batch_sizes)} at t = {join(steps)}" for steps, batch_sizes in together.items())


def growth(exact: Exact, last: int, words: str) -> Lines:
    """The exact expected loss at b = 1 from step to step, where it is known at two steps."""
    values = {t: found["train_loss"](1) for t, found in exact.items() if "train_loss" in found}
    if len(values) < 2:
        return [], {}
    steps = sorted(values)
    pairs = list(zip(steps, steps[1:]))
    grows = [values[t] > values[s] for s, t in pairs]
    shrinks = [values[t] < values[s] for s, t in pairs]
    word = "grows" if all(grows) else "shrinks" if all(shrinks) else "neither grows nor shrinks throughout"
    numbers = join(f"{to_float(values[t]):.4g}" for t in steps)
    rest = "; later steps were not derived" if steps[-1] < last else ""
    line = f"At b = 1 the exact expected {words.lower()} {word}: {numbers} at t = {join(steps)}{rest}."
    return [line], {"loss_at_one": {str(t): to_float(values[t]) for t in steps}}


def variance(estimates: Estimates, budget: Budget) -> Lines:
    """Does it fall at every t?"""
    comparisons = (len(estimates.batch_sizes) - 1) * len(estimates.steps)
    found = {t: falls(estimates.sound(t, "variance"), comparisons, budget) for t in estimates.steps}
    tested = {t: result for t, result in found.items() if result.verdict != TOO_FEW}
    rest = [t for t in found if t not in tested]
    made = sum(len(estimates.sound(t, "variance")) - 1 for t in tested)
    planned = f", the limit for the {comparisons} planned" if made < comparisons else ""
    rate = f"{made} comparisons of neighbouring b, |z| > {budget.limit(comparisons):.1f}{planned}"
    results: dict[str, JSON] = {"variance_falls": {str(t): result.to_dict() for t, result in found.items()}}
    if not tested:
        return [f"Variance: {TOO_FEW} whether it falls with b."], results
    verdicts = {result.verdict for result in tested.values()}
    if "rises" in verdicts:
        where = [f"t = {t}, b = {a} to {b} (z = {z:.1f})" for t, result in tested.items() for a, b, z in result.rises]
        line = f"Variance: RISES with b at {_some(where)} ({rate})"
    elif "unresolved" in verdicts:
        where = [f"t = {t}, b = {a} to {b}" for t, result in tested.items() for a, b in result.unresolved]
        line = f"Variance: no rise found, but UNRESOLVED at {_some(where)} ({rate})"
    else:
        smallest = min(result.smallest_z for result in tested.values() if result.smallest_z is not None)
        line = f"Variance: falls with b at t = {join(tested)} (smallest z = {smallest:.1f}; {rate})"
    return [line + (f"; at t = {join(rest)} {TOO_FEW}." if rest else ".")], results


def _some(places: list[str]) -> str:
    """At most four places, and how many more."""
    return "; ".join(places[:4]) + (f" and {len(places) - 4} more" if len(places) > 4 else "")


def powers_of(estimates: Estimates, exact: Exact, constant: bool, budget: Budget) -> Lines:
    """Which powers of 1/b? The exact coefficients first; then what the runs say of them."""
    level = budget.share / len(estimates.steps)
    fits = {t: powers(estimates.sound(t, "variance"), constant=constant, runs=budget.runs) for t in estimates.steps}
    lines, few = [], []
    for t, fit in fits.items():
        parts = [str(fit)]
        polynomial = exact.get(t, {}).get("variance")
        if polynomial is not None:
            first = join(f"{to_float(c):.4g}" for c in polynomial.coefficients[fit.lowest : fit.lowest + 3])
            start = "the constant" if fit.lowest == 0 else "1/b"
            parts = [f"exactly degree {polynomial.degree}, coefficients from {start} on {first}", f"runs: {fit}"]
        if fit.degree is not None:
            parts += [_missed(fit, polynomial)] if polynomial is not None else _next_degree(fit.degree, fit.higher)
        if fit.tried:
            parts.append(fit.rejected(level))
        if parts != [TOO_FEW]:
            lines.append(f"Powers of 1/b at t = {t}: {'; '.join(parts)}.")
        else:
            few.append(t)
    if few:
        lines.append(f"Powers of 1/b at t = {join(few)}: {TOO_FEW}.")
    if any(fit.degree is not None for fit in fits.values()):
        lines.append(
            f"In these fits +- is one standard error of the runs alone: it leaves out what the powers above the degree fitted "
            f"would move. A degree is called rejected at p < {level:.1g}."
        )
    return lines, {"powers": {str(t): fit.to_dict() for t, fit in fits.items()}}


def _missed(fit: Powers, polynomial: BatchPolynomial) -> str:
    """How far the fit is from the exact coefficients, in its own standard errors."""
    truth = [*map(to_float, polynomial.coefficients), *[0.0] * len(fit.coefficients)]
    scores = [z_score(point, (truth[fit.lowest + k], 0.0)) for k, point in enumerate(fit.coefficients)]
    return f"misses the exact ones by {join(f'{z:.1f}' for z in scores)} standard errors"


def _next_degree(degree: int, higher: Sequence[float]) -> list[str]:
    """The same coefficients with one power more."""
    return [f"with degree {degree + 1} they are {join(f'{v:.4g}' for v in higher)}"] if higher else []


def agreement(estimates: Estimates, exact: Exact, budget: Budget) -> Lines:
    """The estimates beside the exact curves; runs without scatter (t = 0) to rounding."""
    comparisons = len(estimates.batch_sizes) * sum(map(len, exact.values()))
    if not comparisons:
        return [], {}
    scores = []
    for t, found in exact.items():
        for name, polynomial in found.items():
            for b, point in estimates.sound(t, name).items():
                value = to_float(polynomial(b))
                if math.isfinite(value):
                    scores.append((z_score(point, (value, 1e-9 * abs(value))), name, t, b))
    if not scores:
        line = "Estimates and exact curves: no estimate to compare."
        return [line], {"exact": {"comparisons": 0, "largest_z": None, "agree": None}}
    bound = budget.limit(comparisons)
    z, name, t, b = max(scores, key=lambda score: abs(score[0]))
    agree = abs(z) <= bound
    line = (
        f"Estimates {'agree with' if agree else 'DISAGREE with'} the exact curves: {len(scores)} comparisons, largest |z| = "
        f"{abs(z):.1f} ({name.replace('_', ' ')}, t = {t}, b = {b}; a disagreement is |z| > {bound:.1f})."
    )
    return [line], {"exact": {"comparisons": len(scores), "largest_z": z, "agree": agree}}


def losses(estimates: Estimates, budget: Budget) -> Lines:
    """After the same number of steps, and of examples."""
    last, count = estimates.steps[-1], len(estimates.batch_sizes)
    after = {name: lower(estimates.sound(last, name), count, budget) for name in estimates.losses}
    lines = [f"{estimates.losses[name]} after {_steps(last)}: {text}." for name, text in after.items()]
    total, pairs = _same_examples(estimates)
    if pairs:
        counts = join(f"{_steps(t)} at b = {b}" for b, t in pairs.items())
        lines.append(f"The same {total:,} examples are {counts}{_left_out(estimates, total, pairs)}.")
    else:
        lines.append("The same number of examples: no two batch sizes were measured after it.")
    for name in estimates.losses if pairs else ():
        points = {b: estimates.sound(t, name)[b] for b, t in pairs.items()}
        after[f"{name}_same_examples"] = text = lower(points, count, budget)
        lines.append(f"{estimates.losses[name]} after the same {total:,} examples: {text}.")
    name = list(estimates.losses)[-1]
    first, end = (estimates.curve(t, name) for t in (estimates.steps[0], last))
    moved = [f"b = {b}: {first[b][0]:.4g} to {end[b][0]:.4g}" for b in sorted(set(first) & set(end))]
    text = join(moved) if moved else "no batch size is finite at both"
    lines.append(f"{estimates.losses[name]} from t = {estimates.steps[0]} to t = {last}: {text}.")
    return lines, {"losses": after}


def _steps(t: int) -> str:
    return "1 step" if t == 1 else f"{t} steps"


def _same_examples(estimates: Estimates) -> tuple[int, dict[int, int]]:
    """The number b t that most batch sizes share, the largest of those, and b -> t; with fewer than two, none."""
    totals: dict[int, dict[int, int]] = {}
    for t in estimates.steps:
        finite = set.intersection(*(set(estimates.sound(t, name)) for name in estimates.losses))
        for b in sorted(finite) if t else ():
            totals.setdefault(b * t, {})[b] = t
    total, pairs = max(totals.items(), key=lambda x: (len(x[1]), x[0]), default=(0, {}))
    return (total, dict(sorted(pairs.items()))) if len(pairs) > 1 else (0, {})


def _left_out(estimates: Estimates, total: int, pairs: Mapping[int, int]) -> str:
    """The batch sizes without a measurement after so many examples, and why."""
    rest = [b for b in estimates.batch_sizes if b not in pairs]
    diverged = [b for b in rest if total % b == 0 and total // b in estimates.steps]
    other = [b for b in rest if b not in diverged]
    text = f"; left out: b = {join(other)}, not measured at t = {total:,} / b" if other else ""
    return text + (f"; left out: b = {join(diverged)}, whose runs diverged" if diverged else "")


def noise(estimates: Estimates) -> Lines:
    """Noise scale of one example's gradient along the way, and the disparity of two batches."""
    largest, last = estimates.batch_sizes[-1], estimates.steps[-1]
    scale: dict[str, list[float] | None] = {}
    for t in estimates.steps:
        trace, mean = (estimates.curve(t, name).get(largest) for name in ("trace", "squared_mean"))
        scale[str(t)] = None
        if trace and mean and mean[0] > 3 * mean[1] and mean[0] > 0:
            ratio = trace[0] / mean[0]
            # to first order, at most: the two errors may go together
            relative = mean[1] / mean[0] + (trace[1] / trace[0] if trace[0] else 0.0)
            scale[str(t)] = [ratio, ratio * relative]
    if any(scale.values()):
        shown = join(f"t = {t}: {f'{v[0]:.3g} +- {v[1]:.1g}' if v else 'unresolved'}" for t, v in scale.items())
    else:
        shown = "too few finite runs or examples in a batch to tell"
    lines = [f"Noise scale tr Cov(g_i) / ||E g||^2 (runs at b = {largest}): {shown}."]
    disparity = {str(b): [2 * value, 2 * error] for b, (value, error) in estimates.curve(last, "variance").items()}
    text = join(f"b = {b}: {value:.3g} +- {error:.1g}" for b, (value, error) in disparity.items())
    lines.append(
        f"Gradient disparity E||G - G'||^2 of two independent runs at t = {last} (2 var): {text or 'no finite run'}."
    )
    return lines, {"noise_scale": scale, "disparity": disparity}
