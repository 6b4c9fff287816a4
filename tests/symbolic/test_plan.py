"""The plan: which road is taken, what it is said to cost, what is refused."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sympy

import linvar as lv
from linvar.errors import InputError, InputTypeError, LinvarError
from linvar.symbolic.limits import format_bytes, format_seconds
from linvar.symbolic.plan import RoadPlan, _cures, choose

SMALL = lv.Problem([[[1, 2], [0, 1]], [[1, -1]]], lv.Gaussian([[1, 0]]), "1/10", 1)
LARGE = SMALL.replace(step=4)
ONES = {n: [[int(i == j) + 1 for j in range(n)] for i in range(n)] for n in (1, 2, 5, 20)}


def test_the_plan_shows_every_road_and_the_one_taken() -> None:
    plan = lv.plan(SMALL)
    assert plan.choice is not None and plan.choice.road == "expansion"
    assert plan["regression"].obstacle == "it is for one layer" and not plan["regression"].size
    assert "-> expansion: 28 monomials, about 0.0" in repr(plan) and "   regression: it is for one layer" in repr(plan)
    assert lv.plan(lv.Problem([[[1]]], lv.Gaussian([[1]]), "1/2", 3)).choice.road == "regression"
    with pytest.raises(TypeError, match="problem=3 is of type int"):
        lv.plan(3)  # type: ignore[arg-type]


def test_what_does_not_fit_has_no_choice_and_the_error_quotes_the_plan() -> None:
    plan = lv.plan(LARGE)
    assert plan["expansion"].obstacle is not None and "more than the limit of" in plan["expansion"].obstacle
    start = time.perf_counter()
    with pytest.raises(
        lv.DerivationTooLargeError, match=r"expansion: .* monomials, about .*limit.*fewer steps \(step=4\)"
    ):
        lv.gradient_variance(LARGE)
    assert time.perf_counter() - start < 5
    assert lv.plan(SMALL, memory_limit=1).choice is None
    with pytest.raises(lv.DerivationTooLargeError, match="limit of 1 bytes"):
        choose(SMALL, "expansion", 1)


def test_the_first_coefficients_have_a_plan_of_their_own() -> None:
    plan = lv.plan(LARGE.replace(step=20), order=2, digits=30)
    assert plan.choice is plan["large_batch"] and len(plan.roads) == 1 and 0 < plan.choice.seconds < 60
    assert repr(plan).splitlines()[1].startswith("-> large_batch: up to u^2, ")
    exact = lv.plan(LARGE.replace(step=20), order=2)
    assert exact.choice is None and "more than the limit of 10,000,000 digits" in repr(exact)
    costs = [lv.plan(SMALL.replace(step=3), order=k)["large_batch"] for k in range(5)]
    assert all(a.seconds < b.seconds and a.bytes <= b.bytes for a, b in zip(costs, costs[1:]))
    for order, fault in ((-1, "out of range"), (101, "out of range"), (True, "of type bool"), (1.0, "of type float")):
        with pytest.raises(InputError, match=f"order={order} is {fault}"):
            lv.plan(SMALL, order=order)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="digits=3 goes with order=K"):
        lv.plan(SMALL, digits=3)
    with pytest.raises(ValueError, match="method='lattice' with order=1"):
        choose(SMALL, "lattice", order=1)


def test_a_method_is_taken_or_refused_by_name() -> None:
    assert lv.gradient_variance(SMALL, method="expansion") == lv.gradient_variance(SMALL)
    with pytest.raises(ValueError, match="method='fast' is unknown: write one of 'auto', 'regression'"):
        lv.gradient_variance(SMALL, method="fast")
    for quantity in (lv.second_moment, lv.squared_mean, lv.expected_loss, lv.expected_weights, lv.weight_covariance):
        with pytest.raises(ValueError, match="method='regression' does not apply: it is for one layer"):
            quantity(SMALL, method="regression")


def test_larger_problems_cost_more() -> None:
    costs = [lv.plan(SMALL.replace(step=t))["expansion"] for t in range(4)]
    assert all(a.seconds < b.seconds and a.bytes < b.bytes for a, b in zip(costs, costs[1:]))
    symbolic = lv.plan(SMALL.replace(weights=lv.symbolic_weights([2, 2, 1]), learning_rate=sympy.Symbol("a")))[
        "expansion"
    ]
    assert symbolic.bytes > costs[1].bytes and symbolic.seconds > costs[1].seconds
    rows = lv.Dataset([[i, i * i] for i in range(40)], [[i] for i in range(40)])
    data = [lv.plan(lv.Problem([[[1, 1]]], rows, "1/10", t))["regression"].seconds for t in (1, 5, 50)]
    assert data == sorted(data) and data[0] < data[-1]


@pytest.mark.parametrize(
    ("problem", "order"),
    [
        (lv.Problem([ONES[5]] * 2, lv.Gaussian(ONES[5]), "1/3", 12), None),
        (lv.Problem([ONES[2]] * 30, lv.Gaussian(ONES[2]), "1/3", 12), None),
        (lv.Problem([ONES[2]] * 2, lv.Gaussian(ONES[2]), "1/3", 10**6), None),
        (lv.Problem([ONES[1]], lv.Gaussian(ONES[1]), "1/3", 10**6), None),
        (lv.Problem([ONES[20]] * 2, lv.Gaussian(ONES[20]), "1/3", 3), 100),
        (lv.Problem([ONES[2]] * 30, lv.Gaussian(ONES[2]), "1/3", 3), 100),
    ],
)
def test_what_is_far_too_large_is_said_in_a_line_and_refused(problem: lv.Problem, order: int | None) -> None:
    words = "1,000,001 coefficients, about" if problem.depth == 1 else "over a million years"
    lines = repr(lv.plan(problem, order=order)).splitlines()[1:]
    assert all(len(line) < 250 for line in lines) and words in "".join(lines)
    for method in ("auto",) if order is not None or problem.depth == 1 else ("auto", "lattice"):
        with pytest.raises(lv.DerivationTooLargeError, match=words):
            lv.gradient_variance(problem, method=method, order=order, memory_limit=10**9)


def test_examples_and_inputs_have_their_cost() -> None:
    def planned(examples: int, inputs: int) -> lv.Plan:
        rows = [[(i * (j + 2) + j * j) % 13 for j in range(inputs)] for i in range(examples)]
        return lv.plan(lv.Problem([[[1] * inputs, [2] * inputs], [[1, 3]]], lv.Dataset(rows, [1] * examples), "1/9", 1))

    few, many, wide = planned(20, 2)["lattice"], planned(2_000, 2)["lattice"], planned(20, 7)["lattice"]
    assert few.seconds < many.seconds and few.bytes < many.bytes
    assert few.seconds + 1 < wide.seconds and few.bytes < wide.bytes  # a larger program to compile
    inputs = 48
    start = time.perf_counter()
    lv.plan(lv.Problem([[[1] * inputs] * 2, [[1, 3]]], lv.Gaussian([[0] * inputs]), "1/9", 1))
    assert time.perf_counter() - start < 30, "forms of all entries of S were made, each a matrix"


def test_one_layer_has_one_road() -> None:
    """Nothing else is counted, whatever the step; by name it is refused."""
    problem = lv.Problem([[[1, 2]]], lv.Gaussian([[2, 1]]), "1/10", 10**6)
    found = lv.plan(problem)
    assert [road.road for road in found.roads if road.size] == ["regression"]
    assert found["lattice"].obstacle == found["expansion"].obstacle == "one layer has a road of its own"
    with pytest.raises(InputError, match="method='lattice' does not apply: one layer has a road of its own"):
        lv.gradient_variance(problem.replace(step=1), method="lattice")


def test_what_is_not_needed_is_not_predicted() -> None:
    """The lattice's prediction sums over all examples; where the expansion is quick nobody compares them."""
    law = lv.Dataset([[i % 17, 1, i % 5] for i in range(60_000)], [i % 3 for i in range(60_000)])
    found = lv.plan(lv.Problem([[[1, 2, 1]], [[1]]], law, "1/10", 1))
    assert found.choice is found["expansion"] and "not compared" in str(found["lattice"])


def test_steps_of_hundreds_of_inputs_are_not_counted_to_the_end() -> None:
    """64 variables are too many for every road to the whole polynomial."""
    draws = random.Random(0)
    wide = [[draws.randint(-3, 3) for _ in range(300)] for _ in range(2)]
    problem = lv.Problem([wide, [[1, 2]]], lv.Gaussian([[1] * 300]), "1/10", 2)
    found = lv.plan(problem)
    assert found.choice is None and "far over" in found["expansion"].size
    assert found["lattice"].size == "10^15 nodes and more" and found["lattice"].bytes == 10**24


def wide(name: str) -> tuple[list[Any], Any]:
    """Weights, and a law of 300 inputs, of many rows, of few, or with a constant column."""
    draws = np.random.default_rng(3)

    def matrix(rows: int, columns: int) -> Any:
        return draws.integers(-9, 10, (rows, columns))

    if "rows" not in name:
        half = matrix(300, 300)
        covariance = half @ half.T if "dense" in name else None
        weights = [matrix(1, 300)] if "300-1" in name else [matrix(5, 300), matrix(2, 5)]
        return weights, lv.Gaussian(matrix(len(weights[-1]), 300), covariance=covariance)
    inputs, rows = (300, 2_000 if "2,000" in name else 5) if "300" in name else (10, 100_000)
    x = matrix(rows, inputs)
    if "constant" in name:
        x[:, 4] = 1
    return [matrix(2, inputs), matrix(1, 2)], lv.Dataset(x, matrix(rows, 1))


@pytest.mark.parametrize(
    "name",
    [
        "300-1",
        "300-5-2",
        "300-5-2, dense",
        "10-2-1, 100,000 rows",
        "300-2-1, 2,000 rows",
        "300-2-1, 5 rows",
        "10-2-1, 100,000 rows and a constant column",
    ],
)
def test_a_plan_of_a_wide_law_does_not_run_its_steps(name: str) -> None:
    """A tenth of a second each (benchmarks/construction.py), whatever t; it was 15 s, or minutes, where each moment was made."""
    weights, law = wide(name)
    start = time.process_time()
    for step, momentum, order in ((0, 0, None), (1, 0, 1), (2, "1/2", None), (5, 0, 1), (10**100, 0, None)):
        assert lv.plan(lv.Problem(weights, law, "1/100", step, momentum=momentum), order=order).roads
    assert time.process_time() - start < 15


def test_an_order_beyond_the_degree_bound_costs_no_more() -> None:
    """Beyond it all coefficients are zero, and none is computed."""
    problem = SMALL.replace(step=1)
    bound = problem.degree_bound
    assert lv.plan(problem, order=40)["large_batch"].seconds == lv.plan(problem, order=bound)["large_batch"].seconds
    known = lv.gradient_variance(problem)
    assert lv.gradient_variance(problem, order=40).coefficients == (*known.coefficients, *[0] * (40 - known.degree))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"memory_limit": 0}, ValueError, "memory_limit=0 is no number of bytes"),
        ({"memory_limit": "5"}, ValueError, "memory_limit='5' is no number of bytes"),
        ({"memory_limit": float("nan")}, ValueError, "memory_limit=nan is no number of bytes"),
        ({"memory_limit": 0.5}, InputError, "memory_limit=0.5 is no number of bytes: give one that is at least 1$"),
        ({"memory_limit": "1GB"}, InputTypeError, "memory_limit='1GB' is no number of bytes"),
        ({"memory_limit": True}, InputTypeError, "memory_limit=True is no number of bytes"),
        ({"memory_limit": -3}, InputError, "memory_limit=-3 is no number of bytes"),
        ({"memory_limit": -(10**5000)}, InputError, "memory_limit=<an integer of about 5001 digits> is no number"),
        ({"steps": 3}, InputTypeError, r"steps=3 is of type int: .* range\(4\), or one as problem.replace\(step=3\)"),
        (
            {"steps": {0, 1}},
            InputTypeError,
            r"steps=\{0, 1\} is of type set, which has no order: give several in their order, like range\(4\)$",
        ),
        ({"steps": "01"}, InputTypeError, "steps='01' is of type str"),
        ({"steps": {0: 1}}, InputTypeError, "steps={0: 1} is of type dict"),
        ({"per_layer": "yes"}, InputTypeError, "per_layer='yes' is of type str: write True or False"),
        ({"per_layer": 1}, InputTypeError, "per_layer=1 is of type int"),
        ({"of": ["gradient"]}, InputTypeError, r"of=\['gradient'\] is of type list"),
        ({"method": 3}, InputTypeError, "method=3 is of type int: write one of 'auto'"),
        ({"method": "x" * 10**6}, InputError, "method='xxx.*is unknown: write one of 'auto'"),
        ({"digits": "9", "order": 1}, InputTypeError, "digits='9' is of type str"),
        ({"digits": 10**5000, "order": 1}, InputError, "digits=<an integer of about 5001 digits> is out of range"),
        ({"steps": ["1"]}, TypeError, "step='1' is of type str"),
        ({"checkpoint": "c", "method": "expansion"}, ValueError, "checkpoint='c' with method='expansion'"),
        ({"checkpoint": "c", "order": 1}, ValueError, "checkpoint='c' with order=1"),
    ],
)
def test_a_wrong_argument_is_named(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    for problem in (SMALL, SMALL.replace(learning_rate=["1/10"])):
        with pytest.raises(error, match=message):
            lv.gradient_variance(problem, **arguments)
    with pytest.raises(TypeError, match="problem=None is of type NoneType"):
        lv.gradient_variance(None)  # type: ignore[arg-type]
    for error in (KeyError, InputError):
        with pytest.raises(
            error, match="road='nonsense' is unknown: the roads of this plan are 'regression', 'expansion'"
        ):
            lv.plan(SMALL)["nonsense"]


def test_every_order_that_is_one_is_taken() -> None:
    wanted = lv.gradient_variance(SMALL, steps=[0, 1])
    for steps in ((0, 1), range(2), iter([0, 1]), np.arange(2)):
        assert lv.gradient_variance(SMALL, steps=steps) == wanted
    assert lv.plan(SMALL, memory_limit=float("inf")).choice == lv.plan(SMALL, memory_limit=np.int64(10**9)).choice


@pytest.mark.parametrize("quantity", [lv.gradient_variance, lv.second_moment, lv.squared_mean])
def test_per_layer_is_true_or_false(quantity: Any) -> None:
    with pytest.raises(InputTypeError, match="per_layer=0 is of type int"):
        quantity(SMALL, per_layer=0)


def refusal(problem: lv.Problem, **how: Any) -> str:
    """What a derivation that does not fit is told."""
    with pytest.raises(lv.DerivationTooLargeError) as caught:
        lv.gradient_variance(problem, **how)
    assert isinstance(caught.value, LinvarError) and isinstance(caught.value, RuntimeError)
    return str(caught.value).rpartition(": use ")[2]


def test_a_refusal_offers_only_what_applies() -> None:
    """Fewer steps where there are at least two, another order where there is a lower one, widths that are not all 1."""
    byte, two, one = {"memory_limit": 1}, SMALL.replace(step=2), lv.Problem([[[1]]], lv.Gaussian([[2]]), "1/10", 1)
    more = "a larger memory_limit= (in bytes)"
    assert refusal(two, **byte) == f"order= for the first coefficients, fewer steps (step=2), smaller widths or {more}"
    assert refusal(SMALL, **byte) == f"order= for the first coefficients, smaller widths or {more}"
    assert refusal(SMALL.replace(step=0), **byte) == f"smaller widths or {more}"
    assert refusal(one, **byte) == more
    assert refusal(lv.Problem([[[1, 2]]], lv.Gaussian([[2, 1]])), **byte) == f"fewer inputs or outputs or {more}"
    assert refusal(one.replace(weights=[[[1]]] * 3), **byte).endswith(f"first coefficients, fewer layers or {more}")
    assert refusal(SMALL, order=1, **byte) == f"digits=30 for certified enclosures, smaller widths or {more}"
    assert "a smaller order (order=2)" in refusal(SMALL, order=2, **byte)
    assert "memory" not in refusal(SMALL.replace(step=10**6)) and "order=" in refusal(SMALL.replace(step=10**6))


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("how", [{}, {"order": 1}, {"order": 1, "digits": 5}, {"method": "lattice"}])
def test_a_step_of_thousands_of_digits_is_refused_in_a_line(depth: int, how: dict[str, Any]) -> None:
    problem = lv.Problem([[[1]]] * depth, lv.Gaussian([[2]]), "1/10", 10**5000)
    if depth == 1 and how == {"method": "lattice"}:
        with pytest.raises(InputError, match="does not apply: one layer has a road of its own"):
            refusal(problem, **how)
        return
    assert "fewer steps (step=<an integer of about 5001 digits>)" in refusal(problem, **how)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.004, "0.004 seconds"), (0.7, "1 second"), (45, "45 seconds"), (600, "10 minutes"), (7200, "2 hours"),
     (86400 * 10, "10 days"), (86400 * 365 * 50, "50 years"), (float("inf"), "over a million years")],
)  # fmt: skip
def test_seconds_in_words(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_a_road_that_takes_too_long_may_be_asked_for() -> None:
    """Nothing but time stands in its way: the cure is its name, not more memory."""
    problem = SMALL.replace(step=3, sampling="iid")
    slow = RoadPlan("expansion", "many monomials", seconds=10_000.0, bytes=100)
    found = lv.Plan(problem, (RoadPlan("regression", obstacle="it is for one layer"), slow))
    *_, widths, road = _cures(found, None, None, 10**9)
    assert widths == ("", "smaller widths") and road == ("method", "method='expansion', if that may take so long")
    beyond = replace(slow, bytes=10**13, obstacle=f"more than the limit of {format_bytes(10**9)}")
    assert _cures(replace(found, roads=(beyond,)), None, None, 10**9)[-1] == ("", "a machine with more memory")
