"""Linear regression on a table, batches without replacement: the exact curves beside the runs.

What the exact curves would take is predicted beforehand; those that would take too long are left out, and the summary says so.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from linvar.datasets import diabetes_table, read_table, rounded_table
from linvar.errors import InputError, Words, shown
from linvar.experiments.curves import Curves, study
from linvar.experiments.runner import Cell, Conclusion, Experiment, Request, Study
from linvar.experiments.stability import regression_stability
from linvar.laws.dataset import Dataset
from linvar.problem import Problem
from linvar.symbolic.limits import default_memory_limit, format_seconds
from linvar.symbolic.regression_moments import RegressionMoments
from linvar.symbolic.roads.regression.size import predict
from linvar.tables.reading import Table

if TYPE_CHECKING:
    import jax

    from linvar.experiments.training import Task
    from linvar.symbolic.result.polynomial import BatchPolynomial

DECIMALS = 4
#: Fewer rows are too few for training and testing.
FEWEST_ROWS = 5


def build_diabetes(request: Request) -> Study:
    """The diabetes data."""
    return _study(diabetes_table(), request)


def build_regression(request: Request) -> Study:
    """A table of the user's own."""
    options = request.options
    path = options.get("table")
    if path is None:
        raise InputError("table", Words("is missing"), "give the path of a table, one example a row")
    table = read_table(path, options.get("target"), delimiter=options.get("delimiter"), header=options.get("header"))
    return _study(table, request)


def _study(table: Table, request: Request) -> Study:
    """The curves of the runs beside the exact ones."""
    if len(table.targets) < FEWEST_ROWS:
        fault = f"has {len(table.targets)} rows: too few to train and to test"
        raise InputError(f"table {shown(table.name)}", Words(fault), f"give at least {FEWEST_ROWS}")
    law = rounded_table(table, DECIMALS, standardise=True).dataset
    train, test = _split(law, request.seed)
    n = train.size
    batch_sizes = [b for b in request.pick((2, 16), (1, 4, 16, 64, 256), (1, 2, 4, 8, 16, 32, 64, 128, 256)) if b < n]
    steps = request.pick((0, 1), (0, 1, 4, 16), (0, 1, 4, 16, 64))
    rate = request.fraction("learning_rate", "1/20")
    problem = Problem([[[0] * law.input_width]], train, rate, 0, "without_replacement")
    patience = request.pick(60, 60, 1_800)
    left_out = _too_long(problem, steps, patience)
    curves = Curves(
        title=f"Linear regression on {table.name}, {n} training rows, without replacement",
        task=partial(_task, train, test, float(rate)), batch_sizes=batch_sizes, steps=steps,
        runs=request.pick(64, 4096, 16_384), dtype="float64", lanes=256, constant=True,
        exact=partial(_exact, problem, frozenset(left_out)),
        stability=lambda: regression_stability([[float(entry) for entry in row] for row in train.inputs], float(rate)),
        settings={"table": table.name, "sha256": table.checksum, "rows": n, "test_rows": test.size, "inputs": list(table.columns),
                  "target": table.target, "read": [table.description, *table.remarks], "decimals": DECIMALS,
                  "learning_rate": str(rate), "sampling": "without_replacement", "not_derived": sorted(left_out)},
    )  # fmt: skip
    lines = [f"Table: {table.description}.", *(f"Table: {remark}." for remark in table.remarks)]
    lines.append(
        f"All columns, the target too, have mean 0 and variance 1 over all rows, training and test, rounded to {DECIMALS} "
        f"decimals: losses and coefficients are in these units."
    )
    runs = study(curves, request)
    return replace(runs, conclude=partial(_conclude, runs.conclude, [*lines, *_said(left_out, patience)]))


def _split(law: Dataset, seed: int) -> tuple[Dataset, Dataset]:
    """Training and test rows, four to one, shuffled by the seed."""
    import numpy as np

    shuffled = np.random.default_rng(seed).permutation(law.size).tolist()
    cut = law.size * 4 // 5
    train, test = (
        Dataset([law.inputs[i] for i in rows], [law.targets[i] for i in rows])
        for rows in (shuffled[:cut], shuffled[cut:])
    )
    return train, test


def _too_long(problem: Problem, steps: Sequence[int], patience: float) -> dict[int, str]:
    """t -> why the exact curves are left out there."""
    reasons = {}
    for t in steps:
        predicted = predict(problem.replace(step=t))
        if predicted.bytes > default_memory_limit():
            reasons[t] = "more than half of the machine's memory"
        elif predicted.seconds > patience:
            reasons[t] = f"about {format_seconds(predicted.seconds)}"
    return reasons


def _said(left_out: Mapping[int, str], patience: float) -> list[str]:
    """One line about the exact curves that are missing."""
    if not left_out:
        return []
    where = ", ".join(f"t = {t} ({reason})" for t, reason in left_out.items())
    return [
        f"Exact curves are left out where one would take more than {format_seconds(patience)} or does not fit: {where}."
    ]


def _exact(problem: Problem, left_out: Container[int], t: int) -> dict[str, BatchPolynomial]:
    """The exact curves at t; none where they are left out."""
    if t in left_out:
        return {}
    exact = RegressionMoments(problem.replace(step=t))
    return {"variance": exact.gradient_variance(), "train_loss": exact.expected_loss()}


def _conclude(
    conclude: Callable[[dict[str, Cell]], Conclusion], lines: list[str], cells: dict[str, Cell]
) -> Conclusion:
    """What was read, then what the curves say."""
    conclusion = conclude(cells)
    return replace(conclusion, summary=[*lines, *conclusion.summary])


def _task(train: Dataset, test: Dataset, rate: float) -> Task:
    """The same numbers in float64."""
    import jax.numpy as jnp

    from linvar.experiments.training import Task, make_optimizer, subsets_of

    def floats(law: Dataset) -> tuple[jax.Array, jax.Array]:
        inputs = [[float(entry) for entry in row] for row in law.inputs]
        return jnp.asarray(inputs), jnp.asarray([float(row[0]) for row in law.targets])

    data, held = floats(train), floats(test)

    def loss(weights: jax.Array, example: tuple[jax.Array, jax.Array]) -> jax.Array:
        return 0.5 * (example[0] @ weights - example[1]) ** 2

    weights = jnp.zeros(data[0].shape[1])
    return Task(loss, weights, subsets_of(data), data, held, make_optimizer("sgd", rate))


REGRESSION = Experiment("regression", build_regression, ("table", "target", "header", "delimiter", "learning_rate"))
DIABETES = Experiment("diabetes", build_diabetes, ("learning_rate",))
