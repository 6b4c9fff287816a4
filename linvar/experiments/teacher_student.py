"""Networks that learn from Gaussian inputs; exact beside the runs.

Linear ones of two and three layers and a linear teacher; a diagonal network u * u - v * v, whose teacher is sparse and whose
labels are noisy (HaoChen et al., arXiv:2006.08680); a tied linear autoencoder of inputs that vary more in one direction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from linvar.experiments.curves import Curves, study
from linvar.experiments.runner import JSON, Experiment, Request, Study

if TYPE_CHECKING:
    from linvar.experiments.training import Task
    from linvar.problem import Problem
    from linvar.symbolic.result.polynomial import BatchPolynomial

#: the arguments of a Problem as a file has them
Statement = Mapping[str, Any]

_TWO: Statement = {
    "weights": [[["1", "0"], ["1/2", "1"]], [["1", "1/2"], ["0", "1"]]],
    "law": {"kind": "gaussian", "teacher": [["1", "0"], ["0", "2"]]},
}
_THREE: Statement = {
    "weights": [[["1"], ["1/2"]], [["1", "0"], ["1/2", "1"]], [["1", "1/2"]]],
    "law": {"kind": "gaussian", "teacher": [["2"]]},
}
_DIAGONAL: Statement = {
    "loss": "diagonal",
    "weights": {"u": ["1/2", "1/2"], "v": ["1/2", "1/2"]},
    "law": {"kind": "gaussian", "teacher": [["1", "0"]], "noise_variance": "1/4"},
}
_AUTOENCODER: Statement = {
    "loss": "autoencoder",
    "weights": {"W": [["1/2", "1/4"]]},
    "law": {"kind": "gaussian", "teacher": [["0", "0"]], "covariance": [["1", "0"], ["0", "1/2"]]},
}


def build(title: str, statement: Statement, largest_step: int, request: Request) -> Study:
    """Exact curves up to the largest t whose derivation takes less than a minute; the runs go further."""
    from linvar.problem_file import problem_from_dict

    rate = request.fraction("learning_rate", "1/20")
    problem = problem_from_dict({**statement, "learning_rate": str(rate)})
    settings: dict[str, JSON] = {**statement, "learning_rate": str(rate), "sampling": "iid"}
    curves = Curves(
        title=title, task=partial(make_task, problem),
        batch_sizes=request.pick((4, 16), (4, 8, 16, 32, 64, 128), (4, 8, 16, 32, 64, 128, 256)),
        steps=request.pick((0, 1), (0, 1, 2, 4, 8), (0, 1, 2, 4, 8, 16, 32)), runs=request.pick(64, 20_000, 100_000),
        dtype="float64", exact=partial(_exact, problem, largest_step), lanes=1024, population=True, settings=settings,
    )  # fmt: skip
    return study(curves, request)


def _exact(problem: Problem, largest_step: int, t: int) -> dict[str, BatchPolynomial]:
    """Polynomials in 1/b, where they are within reach."""
    import linvar as lv

    if t > largest_step:
        return {}
    now = lv.derive(problem.replace(step=t))
    return {"variance": now.variance, "second_moment": now.second_moment, "train_loss": now.loss}


def make_task(problem: Problem) -> Task:
    """Runs on fresh Gaussian batches; train and test loss are the population's, of a loss that is quadratic in the example."""
    import jax.numpy as jnp

    from linvar.experiments.training import Task, make_optimizer
    from linvar.numeric.floats import to_floats
    from linvar.numeric.laws.sampling import sampler_from_problem
    from linvar.numeric.models.registry import numeric_model

    sampler: Any = sampler_from_problem(problem)
    by_moments = sampler_from_problem(problem, second_moments=True)
    # rows with the second moments of the law: the mean over them of a quadratic form is that of the law
    population = sampler.examples(1, jnp.sqrt(float(sampler.normals)) * jnp.eye(sampler.normals))
    rate = float(to_floats(problem.learning_rate, "learning_rate", "float64"))
    model = numeric_model(problem)
    optimizer = make_optimizer("sgd", rate)
    return Task(
        model.loss, list(model.leaves(problem)), sampler, population, population, optimizer, by_moments, block=1
    )


def _experiment(name: str, title: str, statement: Statement, largest_step: int) -> Experiment:
    make: Callable[[Request], Study] = partial(build, title, statement, largest_step)
    return Experiment(name, make, ("learning_rate",))


TWO_LAYERS = _experiment("two-layers", "2 linear layers, widths 2-2-2, Gaussian inputs", _TWO, 2)
THREE_LAYERS = _experiment("three-layers", "3 linear layers, widths 1-2-2-1, Gaussian inputs", _THREE, 1)
DIAGONAL = _experiment("diagonal", "diagonal network u * u - v * v, sparse teacher, noisy labels", _DIAGONAL, 2)
AUTOENCODER = _experiment("autoencoder", "tied linear autoencoder 2-1-2, Gaussian inputs", _AUTOENCODER, 2)
