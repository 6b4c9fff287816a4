"""Two- and three-layer linear networks that learn a linear teacher from Gaussian inputs; exact beside the runs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from linvar.experiments.curves import Curves, study
from linvar.experiments.runner import Experiment, Request, Study

if TYPE_CHECKING:
    import jax

    from linvar.experiments.training import Task
    from linvar.problem import Problem
    from linvar.symbolic.result.polynomial import BatchPolynomial

TWO = ([[["1", "0"], ["1/2", "1"]], [["1", "1/2"], ["0", "1"]]], [["1", "0"], ["0", "2"]])
THREE = ([[["1"], ["1/2"]], [["1", "0"], ["1/2", "1"]], [["1", "1/2"]]], [["2"]])


def build(weights: list[list[list[str]]], teacher: list[list[str]], largest_step: int, request: Request) -> Study:
    """Exact curves up to the largest t whose derivation takes less than a minute; the runs go further."""
    from linvar.laws.gaussian import Gaussian
    from linvar.problem import Problem

    rate = request.fraction("learning_rate", "1/20")
    problem = Problem(weights, Gaussian(teacher), rate, 0)
    curves = Curves(
        title=f"{problem.depth} linear layers, widths {'-'.join(map(str, problem.widths))}, Gaussian inputs",
        task=partial(_task, problem), batch_sizes=request.pick((4, 16), (4, 8, 16, 32, 64, 128), (4, 8, 16, 32, 64, 128, 256)),
        steps=request.pick((0, 1), (0, 1, 2, 4, 8), (0, 1, 2, 4, 8, 16, 32)), runs=request.pick(64, 20_000, 100_000),
        dtype="float64", exact=partial(_exact, problem, largest_step), lanes=1024, population=True,
        settings={"weights": weights, "teacher": teacher, "learning_rate": str(rate), "sampling": "iid"},
    )  # fmt: skip
    return study(curves, request)


def _exact(problem: Problem, largest_step: int, t: int) -> dict[str, BatchPolynomial]:
    """Polynomials in 1/b, where they are within reach."""
    import linvar as lv

    if t > largest_step:
        return {}
    now = problem.replace(step=t)
    return {
        "variance": lv.gradient_variance(now),
        "second_moment": lv.second_moment(now),
        "train_loss": lv.expected_loss(now),
    }


def _task(problem: Problem) -> Task:
    """Runs on fresh Gaussian batches; train and test loss are the population's."""
    import jax.numpy as jnp

    from linvar.experiments.training import Task, make_optimizer
    from linvar.numeric.floats import to_floats
    from linvar.numeric.laws.sampling import sampler_from_problem

    sampler: Any = sampler_from_problem(problem)
    by_moments = sampler_from_problem(problem, second_moments=True)
    width = problem.widths[0]
    # rows with the second moments of the law: the mean loss over them is the population loss
    rows = jnp.sqrt(float(width)) * sampler.factor.T
    population = (rows, rows @ sampler.teacher.T)
    weights = [jnp.asarray(to_floats(matrix, "weights", "float64")) for matrix in problem.leaves]
    rate = float(to_floats(problem.learning_rate, "learning_rate", "float64"))

    def loss(params: list[jax.Array], example: tuple[jax.Array, jax.Array]) -> jax.Array:
        x, y = example
        for weight in params:
            x = weight @ x
        return 0.5 * jnp.sum((x - y) ** 2)

    return Task(loss, weights, sampler.draw, population, population, make_optimizer("sgd", rate), by_moments.draw)


TWO_LAYERS = Experiment("two-layers", partial(build, *TWO, 2), ("learning_rate",))
THREE_LAYERS = Experiment("three-layers", partial(build, *THREE, 1), ("learning_rate",))
