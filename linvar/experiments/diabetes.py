"""Linear regression on a table, batches without replacement: exact variance for every t and b beside the runs."""

from __future__ import annotations

from typing import Any

from linvar.exact import Rational, rationalize
from linvar.experiments.curves import Curves, study
from linvar.experiments.runner import Experiment, Request, Study

DECIMALS = 4


def build(request: Request) -> Study:
    """The diabetes data, or a user's table."""
    from linvar.experiments.tables import Table, diabetes_table, read_table

    path = request.option("table", None)
    table: Table = diabetes_table() if path is None else read_table(path, request.option("target", None))
    train, test = table.split(request.seed)
    n = len(train[1])
    sizes = [b for b in request.pick((2, 16), (1, 4, 16, 64, 256), (1, 2, 4, 8, 16, 32, 64, 128, 256)) if b < n]
    steps = request.pick((0, 1), (0, 1, 4, 16), (0, 1, 4, 16, 64))
    rate = request.fraction("learning_rate", "1/20")
    curves = Curves(
        title=f"Linear regression on {table.name}, {n} training rows, without replacement",
        task=lambda: _task(train, test, float(rate)), batch_sizes=sizes, steps=steps,
        runs=request.pick(64, 4096, 16_384), dtype="float64", lanes=256, constant=True, exact=_Exact(train, rate),
        settings={"table": table.name, "sha256": table.checksum, "rows": n, "test_rows": len(test[1]), "inputs": table.columns,
                  "target": table.target, "decimals": DECIMALS, "learning_rate": str(rate), "sampling": "without_replacement"},
    )  # fmt: skip
    return study(curves, request)


class _Exact:
    """t -> exact polynomials, derived when asked for."""

    def __init__(self, train: Any, rate: Rational) -> None:
        from linvar.laws import Dataset
        from linvar.problem import Problem

        x, y = (rationalize(a, DECIMALS) for a in train)
        self.problem = Problem([[[0] * len(x[0])]], Dataset(x, y), rate, 0, "without_replacement")

    def __call__(self, t: int) -> dict[str, Any]:
        from linvar.symbolic.regression_moments import RegressionMoments

        moments = RegressionMoments(self.problem.replace(step=t))
        return {"variance": moments.gradient_variance(), "train_loss": moments.expected_loss()}


def _task(train: Any, test: Any, rate: float) -> Any:
    import jax.numpy as jnp
    import numpy as np

    from linvar.experiments.training import Task, make_optimizer, rows_of

    data, held = ((jnp.asarray(np.round(x, DECIMALS)), jnp.asarray(np.round(y, DECIMALS))) for x, y in (train, test))

    def loss(weights: Any, example: Any) -> Any:
        return 0.5 * (example[0] @ weights - example[1]) ** 2

    weights = jnp.zeros(data[0].shape[1])
    return Task(loss, weights, rows_of(data, replacement=False), data, held, make_optimizer("sgd", rate))


EXPERIMENT = Experiment("diabetes", build, ("table", "target", "learning_rate"))
