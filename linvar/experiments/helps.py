"""Does a smaller batch lower the loss after the same number of steps? To first order in 1/b, and by runs, along training.

An MLP on images of digits and a linear network that starts far below its teacher; in the full size a convolutional network and a
transformer encoder on sentences, too. ``first_order`` gives the coefficient of 1/b in the expected train and test loss at every
step: negative where a smaller batch helps. Runs at a few b say where that holds, and where the batch is too small for first
order; of the linear network the exact coefficient of 1/b^2 says how much is missing there. The networks bend smoothly (tanh,
GELU): what first order says of a kink is formal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from linvar.experiments.helps_conclusion import LOSSES, Measured, conclude
from linvar.experiments.runner import JSON, Cell, Experiment, Request, Study

if TYPE_CHECKING:
    from linvar.experiments.training import Task
    from linvar.problem import Problem

#: far below the teacher: there noise helps (proofs/smaller-batches.md)
_FAR: dict[str, Any] = {
    "weights": [[["1", "0"], ["1/2", "1"]], [["1", "1/2"], ["0", "1"]]],
    "law": {"kind": "gaussian", "teacher": [["19", "4"], ["3", "17"]]},
    "learning_rate": "1/200",
}


@dataclass(frozen=True, eq=False)
class Network:
    """What is trained, and how it is measured.

    Attributes:
        measured: what the conclusion has to know.
        task: makes what is trained.
        data: of the first order, from the task: the examples, or a law.
        sampling: of the batches.
        dtype: "float32" or "float64".
        lanes: runs at a time.
        settings: what the task depends on.
        second: t -> the exact coefficient of 1/b^2 in the expected train loss, where it is known.
    """

    measured: Measured
    task: Callable[[], Task]
    data: Callable[[Task], Any]
    sampling: str
    dtype: str
    lanes: int
    settings: dict[str, JSON]
    second: Callable[[int], float] | None = None


def build(request: Request) -> Study:
    """For each network a cell of the path to first order, and one for each batch size."""
    probes = request.pick(4, 32, 32)
    networks = {"mlp": _digits("mlp", "An MLP (tanh)", request), "linear": _linear(request)}
    if request.size == "full":  # the third derivatives of these compile for a minute
        networks["convolution"] = _digits("convolution", "A convolutional network (tanh)", request)
        networks["text"] = _text(request)
    cells: dict[str, Callable[[], Cell]] = {}
    settings: dict[str, JSON] = {"probes": probes}
    for name, network in networks.items():
        own, task = network.measured, cache(network.task)  # the same objects for all batch sizes: one compilation
        cells[f"{name}-path"] = partial(_path, network, task, probes, request.seed)
        cells |= {f"{name}-b-{b}": partial(_runs, network, task, b, request.seed) for b in own.batch_sizes}
        settings[name] = {
            **network.settings, "learning_rate": own.learning_rate, "batch_sizes": list(own.batch_sizes),
            "steps": list(own.steps), "runs": own.runs, "dtype": network.dtype, "sampling": network.sampling,
        }  # fmt: skip
    return Study(settings, cells, partial(conclude, {name: network.measured for name, network in networks.items()}))


def _digits(kind: str, title: str, request: Request) -> Network:
    """A network on scikit-learn's digits; batches are subsets of the training images."""
    from linvar.experiments.digits import load_images, make_task

    pixels, labels = load_images("digits")
    small, rate = kind == "mlp", 0.1
    measured = Measured(
        f"{title} on digits", rate, request.pick((4, 16), (4, 16, 64), (4, 16, 64)),
        request.pick((1,), (1, 4, 16, 32), (1, 4, 16, 64) if small else (1, 4, 8)),
        request.pick(8, 512, 2048 if small else 128), LOSSES,
    )  # fmt: skip
    task = partial(
        make_task, kind, pixels, labels, "sgd", "constant", rate, measured.steps[-1], request.seed, activation="tanh"
    )
    digest = hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()
    settings: dict[str, JSON] = {"network": kind, "activation": "tanh", "images": "digits", "sha256": digest}
    return Network(measured, task, _train, "without_replacement", "float32", 64 if small else 8, settings)


def _text(request: Request) -> Network:
    """The transformer encoder of the experiment on sentences."""
    from linvar.experiments.text import make_task, sentences

    count, width, rate = 500, 16, 0.03
    texts, subjects = sentences(count, request.seed)
    measured = Measured(
        f"A transformer encoder of width {width} on sentences", rate, (4, 16, 64), (1, 4, 8), 128, LOSSES
    )
    task = partial(make_task, texts, subjects, width, "sgd", "constant", rate, measured.steps[-1], request.seed)
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    settings: dict[str, JSON] = {"text": "generated", "sentences": count, "width": width, "sha256": digest}
    return Network(measured, task, _train, "without_replacement", "float32", 8, settings)


def _linear(request: Request) -> Network:
    """Two linear layers and Gaussian inputs, fresh ones at every step."""
    from linvar.experiments.teacher_student import make_task

    problem = far_problem()
    measured = Measured(
        "Two linear layers, widths 2-2-2, far below their teacher, Gaussian inputs", "1/200",
        request.pick((4, 16), (4, 16, 64), (4, 8, 16, 32, 64)), request.pick((1,), (1, 2, 4, 8, 16), (1, 2, 4, 8, 16, 32)),
        request.pick(64, 50_000, 100_000), {"train_loss": "population loss"},
    )  # fmt: skip
    task, law = partial(make_task, problem), problem.law
    return Network(
        measured, task, lambda _: law, "iid", "float64", 1024, {**_FAR}, partial(second_coefficient, problem)
    )


def second_coefficient(problem: Problem, step: int) -> float:
    """Of 1/b^2 in the exact expected loss after so many steps.

    >>> second_coefficient(far_problem(), 1)
    0.07190948919204712
    """
    from linvar.symbolic.truncation import large_batch

    return float(large_batch(problem.at_step(step), order=2, digits=30, progress=False).loss.coefficients[2])


def far_problem() -> Problem:
    """The statement of the linear network."""
    from linvar.problem_file import problem_from_dict

    return problem_from_dict(_FAR)


def _train(task: Task) -> Any:
    return task.train


def _path(network: Network, task: Callable[[], Task], probes: int, seed: int) -> Cell:
    """Both losses along the path at b = infinity, the coefficients of 1/b, and what they say."""
    import jax

    from linvar.numeric.delta_method.coefficients import first_order
    from linvar.numeric.laws.sampling import key_of

    own = network.measured
    with jax.enable_x64(network.dtype == "float64"):
        made = task()  # in this precision
        test = made.test if "test_loss" in own.losses else None
        path = first_order(
            made.loss, made.params, network.data(made), float(Fraction(own.learning_rate)), own.steps[-1], test_data=test,
            probes=probes, key=key_of(seed), progress=False,
        )  # fmt: skip
    found: dict[str, JSON] = {
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(made.params)),
        "factors": {str(b): path.loss.factor(b, network.sampling) for b in own.batch_sizes},
    }
    helps = [path.smaller_batches_help(t) for t in range(own.steps[-1] + 1)]
    sizes = own.batch_sizes[0], own.batch_sizes[-1]
    enough = own.steps[-1] * sizes[0] >= sizes[1]
    equal = path.at_equal_examples(*sizes, sampling=network.sampling) if enough else None
    for name, loss, verdicts, against in (
        ("train_loss", path.loss, [one.train for one in helps], None if equal is None else equal.train),
        ("test_loss", path.test_loss, [one.test for one in helps], None if equal is None else equal.test),
    ):
        if loss is not None and name in own.losses:
            found[name] = {
                "limit": loss.limit.tolist(),
                "coefficient": loss.coefficient.tolist(),
                "standard_error": loss.standard_error.tolist(),
                "answers": [verdict.answer for verdict in verdicts if verdict is not None],
                "equal_examples": None if against is None or equal is None else [equal.examples, against.answer],
                "second": None if network.second is None else {str(t): network.second(t) for t in own.steps},
            }
    return found


def _runs(network: Network, task: Callable[[], Task], batch_size: int, seed: int) -> Cell:
    """The losses of runs from the same start: [value, standard error] at each step."""
    import jax

    from linvar.experiments.training import run_many
    from linvar.numeric.laws.sampling import key_of

    own = network.measured
    with jax.enable_x64(network.dtype == "float64"):
        found = run_many(task(), batch_size, own.steps, own.runs, key_of(seed), network.lanes)
    return {t: {name: values[name] for name in own.losses} for t, values in found.items()}


EXPERIMENT = Experiment("helps", build)
