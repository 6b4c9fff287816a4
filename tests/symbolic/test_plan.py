"""The plan: which road is taken, what it is said to cost, what is refused."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import sympy
from tiers import slow_but

import linvar as lv
from linvar.errors import InputError, InputTypeError, LinvarError
from linvar.symbolic.limits import format_bytes, format_seconds
from linvar.symbolic.plan import _cures, choose
from linvar.symbolic.sgd.road import RoadPlan
from linvar.symbolic.sgd.steps import Steps

SMALL = lv.Problem([[[1, 2], [0, 1]], [[1, -1]]], lv.Gaussian([[1, 0]]), "1/10", 1)
LARGE = SMALL.replace(step=4)
ONES = {n: [[int(i == j) + 1 for j in range(n)] for i in range(n)] for n in (1, 2, 5, 20)}


def test_the_plan_shows_every_road_and_the_one_taken() -> None:
    plan = lv.plan(SMALL)
    assert plan.choice is not None and plan.choice.road == "expansion"
    assert plan["regression"].obstacle == "it is for one layer" and not plan["regression"].size
    assert repr(plan).splitlines()[0] == f"Plan for {SMALL!r}:"
    rows = {line.split()[0]: line for line in repr(plan).splitlines()[3:]}
    assert rows["expansion"].split()[1:4:2] == ["28", f"{plan.choice.seconds:.1g}"] and rows["expansion"].endswith(
        "  taken"
    )
    assert rows["regression"].split(maxsplit=4)[1:] == ["-", "-", "-", "it is for one layer"]
    assert [line.endswith("  taken") for line in rows.values()].count(True) == 1 and rows["lattice"].endswith("  fits")
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
        choose(Steps(SMALL), lv.Expansion(), 1)


def test_the_first_coefficients_have_a_plan_of_their_own() -> None:
    plan = lv.plan(LARGE.replace(step=20), lv.LargeBatch(2, digits=30))
    assert plan.choice is plan["large_batch"] and len(plan.roads) == 1 and 0 < plan.choice.seconds < 60
    assert repr(plan).splitlines()[3].startswith("large_batch  up to u^2, ")
    exact = lv.plan(LARGE.replace(step=20), lv.LargeBatch(2))
    assert exact.choice is None and "more than the limit of 10,000,000 digits" in repr(exact)
    costs = [lv.plan(SMALL.replace(step=3), lv.LargeBatch(k))["large_batch"] for k in range(5)]
    assert all(a.seconds < b.seconds and a.bytes <= b.bytes for a, b in zip(costs, costs[1:]))
    for order, fault in ((-1, "out of range"), (101, "out of range"), (True, "a truth value"), (1.0, "of type float")):
        with pytest.raises(InputError, match=f"order={order} is {fault}"):
            lv.plan(SMALL, lv.LargeBatch(order))  # type: ignore[arg-type]
        with pytest.raises(InputError, match=f"order={order} is {fault}"):
            lv.large_batch(SMALL, order)  # type: ignore[arg-type]
    with pytest.raises(
        InputTypeError, match=r"road=LargeBatch\(order=1, .* the first coefficients only are linvar.large"
    ):
        lv.gradient_variance(SMALL, lv.LargeBatch(1))  # type: ignore[arg-type]


def test_a_road_is_taken_or_refused() -> None:
    assert lv.gradient_variance(SMALL, lv.Expansion()) == lv.gradient_variance(SMALL)
    for wrong in ("fast", lv.Expansion, 3):
        with pytest.raises(
            InputTypeError, match=r"road=.* is of type .*: give one of linvar.Regression\(\), linvar.Ex"
        ):
            lv.gradient_variance(SMALL, wrong)  # type: ignore[arg-type]
        with pytest.raises(InputTypeError, match=r"road=.* or linvar.LargeBatch\(order\)"):
            lv.plan(SMALL, wrong)  # type: ignore[arg-type]
    (alone,) = lv.plan(SMALL, lv.Lattice()).roads
    assert alone == lv.plan(SMALL)["lattice"]
    for quantity in (lv.second_moment, lv.squared_mean, lv.expected_loss, lv.expected_weights, lv.weight_covariance):
        with pytest.raises(ValueError, match=r"road=Regression\(\) does not apply: it is for one layer"):
            quantity(SMALL, lv.Regression())


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
    lines = repr(lv.plan(problem, None if order is None else lv.LargeBatch(order))).splitlines()[1:]
    assert all(len(line) < 250 for line in lines) and words.removesuffix(", about") in "".join(lines)
    if order is not None:
        with pytest.raises(lv.DerivationTooLargeError, match=words):
            lv.large_batch(problem, order, memory_limit=10**9)
        return
    for road in (None,) if problem.depth == 1 else (None, lv.Lattice()):
        with pytest.raises(lv.DerivationTooLargeError, match=words):
            lv.gradient_variance(problem, road, memory_limit=10**9)


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
    with pytest.raises(InputError, match="road=Lattice.* does not apply: one layer has a road of its own"):
        lv.gradient_variance(problem.replace(step=1), lv.Lattice())


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


WIDE = [
    "300-1", "300-5-2", "300-5-2, dense", "10-2-1, 100,000 rows", "300-2-1, 2,000 rows", "300-2-1, 5 rows",
    "10-2-1, 100,000 rows and a constant column",
]  # fmt: skip


@pytest.mark.parametrize("name", slow_but(WIDE, "300-1", "300-5-2, dense", "300-2-1, 5 rows", WIDE[-1]))
def test_a_plan_of_a_wide_law_does_not_run_its_steps(name: str) -> None:
    """A tenth of a second each (benchmarks/construction.py), whatever t; it was 15 s, or minutes, where each moment was made."""
    weights, law = wide(name)
    start = time.process_time()
    for step, momentum, order in ((0, 0, None), (1, 0, 1), (2, "1/2", None), (5, 0, 1), (10**100, 0, None)):
        road = None if order is None else lv.LargeBatch(order)
        assert lv.plan(lv.Problem(weights, law, "1/100", step, momentum=momentum), road).roads
    assert time.process_time() - start < 15


def test_an_order_beyond_the_degree_bound_costs_no_more() -> None:
    """Beyond it all coefficients are zero, and none is computed."""
    problem = SMALL.replace(step=1)
    bound = problem.degree_bound
    beyond, at = (lv.plan(problem, lv.LargeBatch(order))["large_batch"] for order in (40, bound))
    assert beyond.seconds == at.seconds
    known = lv.gradient_variance(problem)
    assert lv.large_batch(problem, 40).variance.coefficients == (*known.coefficients, *[0] * (40 - known.degree))


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
        ({"of": ["gradient"]}, InputTypeError, r"of=\['gradient'\] is of type list"),
        ({"of": "loss"}, InputError, "of='loss' is unknown: write 'gradient' or 'update'"),
        ({"progress": 3}, InputTypeError, "progress=3 is of type int"),
        ({"method": "lattice"}, InputTypeError, r"method='lattice' is no argument .* give road=linvar.Lattice\(\)"),
        ({"checkpoint": "c"}, InputTypeError, r"checkpoint='c' is no argument .* give road=linvar.Lattice\(checkpoint"),
        ({"order": 1}, InputTypeError, r"order=1 is no argument .* use linvar.large_batch\(problem, order, digits\)"),
        ({"digits": 9}, InputTypeError, r"digits=9 is no argument .* use linvar.large_batch\(problem, order, digits\)"),
        ({"steps": [1]}, InputTypeError, r"steps=\[1\] is no argument .* use linvar.derive_steps\(problem, steps\)"),
        (
            {"per_layer": True},
            InputTypeError,
            r"per_layer=True is no argument .* use linvar.derive\(problem\).per_leaf",
        ),
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


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        (
            3,
            InputTypeError,
            r"steps=3 is of type int: .* range\(4\), or one as linvar.derive\(problem.replace\(step=3\)\)",
        ),
        (
            {0, 1},
            InputTypeError,
            r"steps=\{0, 1\} is of type set, which has no order: .* in their order, like range\(4\)$",
        ),
        ("01", InputTypeError, "steps='01' is of type str"),
        ({0: 1}, InputTypeError, "steps={0: 1} is of type dict"),
        (["1"], InputTypeError, "step.*'1' is of type str"),
        ([1, -1], InputError, "step=-1 is negative"),
    ],
)
def test_steps_that_are_none_are_refused(steps: Any, error: type[Exception], message: str) -> None:
    for problem in (SMALL, SMALL.replace(learning_rate=["1/10"])):
        with pytest.raises(error, match=message):
            lv.derive_steps(problem, steps)


@pytest.mark.parametrize(
    ("digits", "error", "message"),
    [
        ("9", InputTypeError, "digits='9' is of type str"),
        (10**5000, InputError, "digits=<an integer of about 5001 digits> is out of range"),
        (0, InputError, "digits=0 is out of range"),
    ],
    ids=["text", "thousands of digits", "none"],
)
def test_digits_that_are_none_are_refused(digits: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        lv.large_batch(SMALL, 1, digits)


def test_every_order_that_is_one_is_taken() -> None:
    wanted = [one.variance for one in lv.derive_steps(SMALL, [0, 1])]
    for steps in ((0, 1), range(2), iter([0, 1]), np.arange(2)):
        assert [one.variance for one in lv.derive_steps(SMALL, steps)] == wanted
    assert lv.plan(SMALL, memory_limit=float("inf")).choice == lv.plan(SMALL, memory_limit=np.int64(10**9)).choice


def refusal(problem: lv.Problem, road: Any = None, **how: Any) -> str:
    """What a derivation that does not fit is told."""
    with pytest.raises(lv.DerivationTooLargeError) as caught:
        if isinstance(road, lv.LargeBatch):
            lv.large_batch(problem, road.order, road.digits, **how)
        else:
            lv.derive(problem, road, **how)
    assert isinstance(caught.value, LinvarError) and isinstance(caught.value, RuntimeError)
    return str(caught.value).rpartition(": use ")[2]


def test_a_refusal_offers_only_what_applies() -> None:
    """Fewer steps where there are at least two, another order where there is a lower one, widths that are not all 1."""
    byte, two, one = {"memory_limit": 1}, SMALL.replace(step=2), lv.Problem([[[1]]], lv.Gaussian([[2]]), "1/10", 1)
    more = "a larger memory_limit= (in bytes)"
    first = "linvar.large_batch(problem, order=2) for the first coefficients"
    assert refusal(two, **byte) == f"{first}, fewer steps (step=2), smaller widths or {more}"
    assert refusal(SMALL, **byte) == f"{first}, smaller widths or {more}"
    assert refusal(SMALL.replace(step=0), **byte) == f"smaller widths or {more}"
    assert refusal(one, **byte) == more
    assert refusal(lv.Problem([[[1, 2]]], lv.Gaussian([[2, 1]])), **byte) == f"fewer inputs or outputs or {more}"
    assert refusal(one.replace(weights=[[[1]]] * 3), **byte).endswith(f"first coefficients, fewer layers or {more}")
    assert refusal(SMALL, lv.LargeBatch(1), **byte) == f"digits=30 for certified enclosures, smaller widths or {more}"
    assert "a smaller order (order=2)" in refusal(SMALL, lv.LargeBatch(2), **byte)
    assert "memory" not in refusal(SMALL.replace(step=10**6)) and "order=" in refusal(SMALL.replace(step=10**6))


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("road", [None, lv.LargeBatch(1), lv.LargeBatch(1, digits=5), lv.Lattice()])
def test_a_step_of_thousands_of_digits_is_refused_in_a_line(depth: int, road: Any) -> None:
    problem = lv.Problem([[[1]]] * depth, lv.Gaussian([[2]]), "1/10", 10**5000)
    if depth == 1 and road == lv.Lattice():
        with pytest.raises(InputError, match="does not apply: one layer has a road of its own"):
            refusal(problem, road)
        return
    assert "fewer steps (step=<an integer of about 5001 digits>)" in refusal(problem, road)


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
    *_, widths, road = _cures(found, 10**9, [])
    assert widths == ("", "smaller widths") and road == ("road", "road=linvar.Expansion(), if that may take so long")
    beyond = replace(slow, bytes=10**13, obstacle=f"more than the limit of {format_bytes(10**9)}")
    assert _cures(replace(found, roads=(beyond,)), 10**9, [])[-1] == ("", "a machine with more memory")
