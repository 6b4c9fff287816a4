"""Whether a road gives the expectations of every question that is asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, isnan
from typing import Any

from linvar.laws.dataset import Dataset
from linvar.laws.gaussian import Gaussian
from linvar.problem import Problem
from linvar.progress import say_nothing
from linvar.symbolic.algebra.ring import Element
from linvar.symbolic.quantities import Asked
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.symbolic.roads.expansion.integrator import Expanded, ExpandedAt
from linvar.symbolic.sgd.batch_moments import answer_ring
from linvar.symbolic.sgd.questions import DoubledLoss, Entries, Means, Norms, Products, Question
from linvar.symbolic.sgd.road import Road
from linvar.symbolic.sgd.steps import Steps
from linvar.testing.checking import check

_ROWS = Dataset([[1, "1/2"], [0, -1], [2, 1], [1, 1]], [1, "-1/2", 0, 2])
_PAIRS = Dataset([[1, "1/2"], [0, -1], [2, 1]], [[1, 0], ["-1/2", 1], [0, 2]])
_PAIR_OF_ROWS = Dataset([[1, "1/2"], [-1, 2]], [1, "1/3"])
_NORMAL = Gaussian([["1/2", 1]], [[2, 1], [1, 1]], ["1/3", 0], "1/2")
_CENTRED = Gaussian([["1/2", 1]], [[2, 1], [1, 1]], noise_variance="1/2")
_ONE, _TWO = [[["1/2", -1]]], [[[1, "1/2"]], [["-1/3"]]]


def _curve(params: Any, example: Any) -> Any:
    """1/2 (w_0 x_0 + w_1 x_0 x_1 + c - y)^2 + (w_0^2 + w_1 c)/10: of degree 2 in the weights, and no layer."""
    (x, y), w, c = example, params["w"], params["c"]
    residual = w[0] * x[0] + w[1] * x[0] * x[1] + c - y[0]
    return residual * residual / 2 + (w[0] * w[0] + w[1] * c) / 10


_BENT = {"w": ["1/2", -1], "c": "1/3"}

#: problems that a road is taken on: one layer and two, data and normal inputs, both samplings, momentum and decay; a loss whose
#: gradient is affine in the weights, without being one layer
PROBLEMS = (
    Problem(_ONE, _ROWS, "1/5", 2),
    Problem(_ONE, _NORMAL, "1/5", 2, momentum="1/2"),
    Problem(_TWO, _ROWS, "1/3", 0),
    Problem(_TWO, _ROWS, "1/3", 1, "without_replacement"),
    Problem(_TWO, _NORMAL, "1/4", 1),
    Problem(_TWO, _CENTRED, "1/4", 1),
    Problem([[["1/2", -1], [1, "1/3"]], [[1, 2]], [["1/2"], [-1]]], Gaussian([[1, 0], ["1/3", 2]]), "1/4", 0),
    Problem(_TWO, _ROWS, "1/4", 1, momentum="1/2", nesterov=True, weight_decay="1/7"),
    Problem([[["1/2"]], [[2]]], Gaussian([["1/3"]]), ["1/4", "1/5"], 2),
    Problem(_ONE, _ROWS, ["1/5", "1/7"], 2, momentum="1/3", nesterov=True),
    Problem([[["1/2", -1], [1, "1/3"]]], _PAIRS, "1/5", 1, "without_replacement", momentum="1/2"),
    Problem([[[1, "1/2"]], [["-1/3"], [2]]], _PAIRS, "1/3", 1, weight_decay="1/5"),
    Problem(_TWO, _PAIR_OF_ROWS, "1/3", 2, "without_replacement", momentum="1/2"),
    Problem(_TWO, _PAIR_OF_ROWS, "1/3", 2, weight_decay="1/5"),
    Problem([[["1/2"]], [[1]], [["-1/3"]]], Gaussian([["1/3"]]), "1/4", 1, momentum="1/2"),
    Problem(_BENT, _PAIR_OF_ROWS, "1/5", 2, momentum="1/2", nesterov=True, weight_decay="1/7", loss=_curve),
    Problem(_BENT, _ROWS, ["1/5", "1/7"], 2, "without_replacement", loss=_curve),
    Problem(_BENT, _NORMAL, "1/9", 1, weight_decay="1/5", loss=_curve),
)
QUESTIONS: tuple[Question, ...] = (
    Norms(), Norms(per_leaf=True), Means(), DoubledLoss(), Entries(), Products(), Norms("update"), Means("update"),
)  # fmt: skip


def check_road(road: Road, problems: Sequence[Problem] = PROBLEMS) -> int:
    """Take a road on problems, and compare what it says with the expansion, form by form: the conformance suite of roads.

    Every question is asked of every problem that the road does not call closed (``RoadPlan.obstacle``); a sweep over several
    steps gives what each of them gives alone.

    Args:
        road: a frozen object with ``name``, ``cost`` and ``integrators``.
        problems: those it is taken on.

    Returns:
        The number of forms compared.

    Raises:
        AssertionError: it says what does not fit; also where the road is open to none of the problems.

    >>> import linvar as lv
    >>> check_road(lv.Regression()) > 20
    True
    """
    check(isinstance(road, Road), "a road has name, cost and integrators")
    check(hash(road) == hash(road) and road == road, "a road has no hash")
    check(road.name == road.name.lower() and road.name != "", f"a road's name is in lower case, not {road.name!r}")
    compared = 0
    for problem in problems:
        steps = Steps(problem)
        plan = road.cost(steps)
        check(plan.road == road.name, f"the plan is for {plan.road!r}, not {road.name!r}")
        if plan.obstacle is not None:
            continue
        plan = road.cost(steps, thorough=True)
        check(
            not isnan(plan.seconds) and plan.seconds >= 0, f"{road!r} predicts {plan.seconds} seconds for {problem!r}"
        )
        check(isfinite(plan.bytes) and plan.bytes > 0, f"{road!r} predicts {plan.bytes} bytes for {problem!r}")
        compared += compare(road, problem)
    check(compared > 0, f"{road!r} is open to none of the problems")
    _check_sweep(road, problems)
    return compared


def compare(road: Road, problem: Problem, questions: Sequence[Question] = QUESTIONS) -> int:
    """Every form of some questions, on a road and by the expansion.

    Returns:
        The number of forms.

    Raises:
        AssertionError: two differ.
    """
    steps = Steps(problem)
    (integrator,) = road.integrators(steps, [problem.step])
    expansion = ExpandedAt(Expanded(steps), problem.step)
    count = 0
    schedule = isinstance(problem.learning_rate, tuple)  # which has no rate for the update that is measured
    for question in questions:
        if schedule and question in (Norms("update"), Means("update")):
            continue
        found, wanted = integrator.expectations(question, say_nothing), expansion.expectations(question)
        check(len(found) == len(wanted), f"{road!r} answers {len(found)} forms of {question.key()}, not {len(wanted)}")
        for place, (one, two) in enumerate(zip(_polynomials(found, problem), _polynomials(wanted, problem))):
            words = f"form {place} of {question.key()} of {problem!r}"
            check(one == two, f"{road!r} gives {one} for {words}, and the expansion {two}")
            count += 1
    return count


def _polynomials(elements: Sequence[Element], problem: Problem) -> tuple[BatchPolynomial, ...]:
    """As answers: without replacement those of the same values at b = 1..n are equal."""
    ring = answer_ring(problem.symbols)
    return Asked(problem, ring, lambda question: [], lambda of: []).polynomials(elements, problem.degree_bound)


def _check_sweep(road: Road, problems: Sequence[Problem]) -> None:
    """Several steps together, of the first problem of a constant rate that is open."""
    for problem in problems:
        last = problem.step
        if last < 1 or isinstance(problem.learning_rate, tuple) or road.cost(Steps(problem)).obstacle is not None:
            continue
        together = road.integrators(Steps(problem), [last - 1, last])
        check(len(together) == 2, f"{road!r} gives {len(together)} integrators for two steps")
        for t, integrator in zip((last - 1, last), together):
            alone = problem.at_step(t)
            if road.cost(Steps(alone)).obstacle is None:
                (one,) = road.integrators(Steps(alone), [t])
                found, wanted = (at.expectations(Norms(), say_nothing) for at in (integrator, one))
                check(
                    _polynomials(found, alone) == _polynomials(wanted, alone),
                    f"{road!r} gives {found} at step {t} of a sweep, and {wanted} alone",
                )
        return
