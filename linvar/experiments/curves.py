"""The study shared by most experiments: one point, many runs at several batch sizes, the curves of what is measured.

Cells are the exact curves, step by step, and the batch sizes. The conclusion says, with evidence: at which learning rate, does
the variance fall with b at every t, which powers of 1/b do the estimates support, does a smaller b reach a lower loss after the
same number of steps and of examples, what is the noise scale along the way, and how far apart are the gradients of two batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import jax

from linvar.experiments import sentences
from linvar.experiments.findings import FALSE_ALARM_RATE, Budget
from linvar.experiments.pictures import draw_curves
from linvar.experiments.runner import JSON, Cell, Conclusion, Request, Study
from linvar.experiments.sentences import Cells, Estimates, Exact
from linvar.experiments.stability import Stability
from linvar.experiments.training import Task, describe_rate, run_many
from linvar.numeric.laws.sampling import key_of
from linvar.symbolic.result.polynomial import BatchPolynomial


@dataclass(frozen=True, eq=False)
class Curves:
    """What is to be measured.

    Attributes:
        title: of the picture; a user's text in it is shown as it is.
        task: makes what is trained; called by the first cell that runs, so that a finished experiment does not make it at all.
        batch_sizes: b, increasing, at least one.
        steps: t, increasing.
        runs: for each b.
        dtype: "float32" or "float64".
        settings: what the task depends on; its "learning_rate", "optimizer" and "schedule" are said in the summary.
        exact: t -> quantity -> its polynomial, where exact curves exist ("variance", "second_moment", "train_loss").
        lanes: runs at a time.
        constant: batches without replacement from a data set, whose variance has a constant term in 1/b.
        stability: whether SGD is mean-square stable at b = 1, where that can be known.
        population: train and test loss are one, the population's.
    """

    title: str
    task: Callable[[], Task]
    batch_sizes: Sequence[int]
    steps: Sequence[int]
    runs: int
    dtype: str
    settings: Mapping[str, JSON]
    exact: Callable[[int], Mapping[str, BatchPolynomial]] | None = None
    lanes: int = 16
    constant: bool = False
    stability: Callable[[], Stability] | None = None
    population: bool = False


def study(curves: Curves, request: Request) -> Study:
    """Cells, settings and conclusion of these curves; what may be refused as too large comes before the runs."""

    task = cache(lambda: curves.task())  # the same objects for all batch sizes: one compilation

    def runs(batch_size: int) -> Cell:
        key = key_of(request.seed)
        with jax.enable_x64(curves.dtype == "float64"):
            return run_many(task(), batch_size, curves.steps, curves.runs, key, curves.lanes)

    def derived(make: Callable[[int], Mapping[str, BatchPolynomial]], t: int) -> Cell:
        return {name: polynomial.to_dict() for name, polynomial in make(t).items()}

    settings: dict[str, JSON] = {
        **curves.settings, "batch_sizes": list(curves.batch_sizes), "steps": list(curves.steps), "runs": curves.runs,
        "dtype": curves.dtype,
    }  # fmt: skip
    cells: dict[str, Callable[[], Cell]] = {}
    if curves.stability is not None:
        make = curves.stability
        cells["stability"] = lambda: {"low": (found := make()).low, "high": found.high}
    if curves.exact is not None:
        cells |= {f"exact-t-{t}": partial(derived, curves.exact, t) for t in curves.steps}
    cells |= {f"b-{b}": partial(runs, b) for b in curves.batch_sizes}
    return Study(settings, cells, partial(conclude, curves))


def conclude(curves: Curves, cells: Cells, rate: float = FALSE_ALARM_RATE) -> Conclusion:
    """Sentences, numbers and a picture from the cells.

    Args:
        curves: what was measured.
        cells: their results by name, as ``study`` names them.
        rate: that a verdict of the summary, or more than one, is a false alarm.
    """
    words = (
        {"train_loss": "Population loss"}
        if curves.population
        else {"train_loss": "Train loss", "test_loss": "Test loss"}
    )
    estimates = Estimates(curves.batch_sizes, curves.steps, words, cells)
    exact: Exact = {
        t: {name: BatchPolynomial.from_dict(data) for name, data in cells[f"exact-t-{t}"].items()}
        for t in (curves.steps if curves.exact is not None else ())
    }
    # variance, powers, agreement with what is exact; each loss after the same steps, and after the same examples
    budget = Budget(2 + any(exact.values()) + 2 * len(words), curves.runs, rate)
    stability = Stability(**cells["stability"]) if curves.stability is not None else None
    parts = [
        sentences.divergence(estimates),
        sentences.growth(exact, curves.steps[-1], next(iter(estimates.losses.values())))
        if stability is None
        else ([str(stability)], {"stability": stability.to_dict()}),
        sentences.variance(estimates, budget),
        sentences.powers_of(estimates, exact, curves.constant, budget),
        sentences.agreement(estimates, exact, budget),
        sentences.losses(estimates, budget),
        sentences.noise(estimates),
    ]
    rate_line = _rate(curves.settings, curves.steps[-1])
    summary = [
        f"{curves.title}: {curves.runs:,} runs from one point at each b = {sentences.join(curves.batch_sizes)}.",
        rate_line,
    ]
    summary += [line for lines, _ in parts for line in lines]
    summary.append(str(budget))
    results = {name: value for _, found in parts for name, value in found.items()}
    return Conclusion(results, summary, partial(draw_curves, (curves.title, rate_line), estimates, exact))


def _rate(settings: Mapping[str, JSON], steps: int) -> str:
    """The optimizer, its learning rate, and that it is the same at every b."""
    given = settings["learning_rate"]
    rate = describe_rate(
        f"{given:g}" if isinstance(given, float) else given, str(settings.get("schedule", "constant")), steps
    )
    return f"Learning rate of {settings.get('optimizer', 'sgd')}: {rate}; the same at every b, not scaled with it."
