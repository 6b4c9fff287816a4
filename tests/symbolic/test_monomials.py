"""Monomials counted beforehand beside those of real expansions: exact where it says so, near where it does not."""

from __future__ import annotations

import time
from typing import Any

import pytest
import sympy
from tiers import slow_but

import linvar as lv
from linvar.symbolic.models.linear.counting import (
    ENDLESS,
    Letters,
    count_monomials,
    gradient_products,
    weight_products,
)
from linvar.symbolic.models.registry import exact_model
from linvar.symbolic.roads.expansion.integrator import Expanded, ExpandedAt
from linvar.symbolic.roads.large_batch import size as large_batch_size
from linvar.symbolic.sgd.steps import Steps

W, ALPHA, MU = sympy.symbols("w alpha mu")
weights = lv.symbolic_weights


def teacher(rows: int, columns: int) -> lv.Gaussian:
    """A symbolic one."""
    return lv.Gaussian(lv.symbolic_matrix("t", rows, columns))


def expanded(problem: lv.Problem) -> int:
    """Monomials of the largest form really expanded."""
    road = ExpandedAt(Expanded(Steps(problem)), problem.step)
    here = exact_model(problem).at(road.expanded.state(problem.step).weights, road.expanded.ring)
    return len(sum(here.second_moments(), road.expanded.ring.zero))


def counted(problem: lv.Problem) -> int:
    """Those counted."""
    steps = list(Steps(problem))
    starts = gradient_products(problem, 2)
    return count_monomials(problem, [s.count() for s in steps], [s.central for s in steps], starts)


NUMBER = lv.Gaussian([[3]])
EXACT: dict[str, lv.Problem] = {
    "1-1-1, t = 2, all": lv.Problem(weights([1, 1, 1]), teacher(1, 1), ALPHA, 2),
    "1-1-1, t = 2, weights": lv.Problem(weights([1, 1, 1]), NUMBER, "1/10", 2),
    "1-1-1, t = 2, weights and momentum": lv.Problem(weights([1, 1, 1]), NUMBER, "1/10", 2, momentum="1/7"),
    "1-1-1, t = 2, weights and decay": lv.Problem(weights([1, 1, 1]), NUMBER, "1/10", 2, weight_decay="1/7"),
    "1-1-1, t = 3, rate": lv.Problem([[["2"]], [["3"]]], lv.Gaussian([[5]]), ALPHA, 3),
    "1-1-1, t = 2, teacher": lv.Problem([[["2"]], [["3"]]], teacher(1, 1), "1/10", 2),
    "1-1-1, t = 2, one weight": lv.Problem([[[W]], [[2]]], NUMBER, "1/10", 2),
    "1-1-1-1, t = 1, all": lv.Problem(weights([1, 1, 1, 1]), teacher(1, 1), ALPHA, 1),
    "1-1-1-1, t = 1, weights": lv.Problem(weights([1, 1, 1, 1]), NUMBER, "1/10", 1),
}
NEAR: dict[str, lv.Problem] = {
    "2-2-1, t = 1, weights": lv.Problem(weights([2, 2, 1]), lv.Gaussian([[-1, 1]]), "1/10", 1),
    "2-2-1, t = 1, all": lv.Problem(weights([2, 2, 1]), teacher(1, 2), ALPHA, 1),
    "2-2-1, t = 1, noise": lv.Problem(weights([2, 2, 1]), lv.Gaussian([[-1, 1]], noise_variance=1), "1/10", 1),
    "2-2-1, t = 1, data": lv.Problem(
        weights([2, 2, 1]), lv.Dataset([[1, 2], [3, -1], [2, 5], [0, 1], [4, 4]], [1, 4, 2, 0, 3]), "1/10", 1
    ),
    "1-3-1, t = 1, weights": lv.Problem(weights([1, 3, 1]), NUMBER, "1/10", 1),
    "3-1-1, t = 1, all": lv.Problem(weights([3, 1, 1]), teacher(1, 3), ALPHA, 1),
    "2-1-2, t = 1, weights": lv.Problem(weights([2, 1, 2]), lv.Gaussian([[1, 2], [3, 4]]), "1/10", 1),
    "1-2-1-1, t = 1, weights": lv.Problem(weights([1, 2, 1, 1]), NUMBER, "1/10", 1),
    "1-2-1, t = 2, weights": lv.Problem(weights([1, 2, 1]), NUMBER, "1/10", 2),
    "2-2-1, t = 1, first layer": lv.Problem([weights([2, 2, 1])[0], [[1, 2]]], lv.Gaussian([[-1, 1]]), "1/10", 1),
    "2-2-1, t = 1, one weight": lv.Problem([[[W, 2], [3, 1]], [[1, 2]]], lv.Gaussian([[-1, 1]]), "1/10", 1),
    "2-1-1, t = 1, covariance": lv.Problem(
        [[[1, 2]], [[3]]], lv.Gaussian([[1, 2]], covariance=[[W, 0], [0, 1]]), ALPHA, 1
    ),
    "1-1-1, t = 2, momentum": lv.Problem([[["2"]], [["3"]]], lv.Gaussian([[5]]), "1/10", 2, momentum=MU),
    "1-1-1, t = 3, one weight": lv.Problem([[[W]], [[2]]], NUMBER, "1/10", 3),
}


@pytest.mark.parametrize("name", EXACT)
def test_the_count_in_symbols_is_exact_for_all_widths_1(name: str) -> None:
    assert counted(EXACT[name]) == expanded(EXACT[name])


#: seconds to expand; terms of their coefficients are counted below
LONG = {name for name in NEAR if "data" in name} | {"1-2-1, t = 2, weights", "1-1-1, t = 3, one weight"}


@pytest.mark.parametrize("name", slow_but(NEAR, *(name for name in NEAR if name not in LONG)))
def test_the_count_in_symbols_is_near(name: str) -> None:
    """Within a factor 3; it was 18 to 34 times too large."""
    assert 1 / 3 < counted(NEAR[name]) / expanded(NEAR[name]) < 3


@pytest.mark.parametrize("name", sorted({*EXACT, *NEAR} - {"1-1-1, t = 2, momentum"}))  # which has a handful of terms
def test_terms_of_a_coefficient_are_near(name: str) -> None:
    problem: lv.Problem = (EXACT | NEAR)[name]
    terms = max(map(len, lv.large_batch(problem, order=1).variance._elements))
    assert 1 / 3 < large_batch_size.predict(Steps(problem), 1).terms / terms < 3


def test_sign_flips_are_those_of_units_that_no_number_ties() -> None:
    """Each is a symmetry of the answer: a sign that can be changed in the problem."""
    flips: list[tuple[Any, Any, int]] = [
        (weights([2, 2, 1]), teacher(1, 2), 2),  # either input, either hidden unit; the layers' own are not counted
        (weights([2, 2, 1]), lv.Gaussian([[-1, 1]]), 1),
        (weights([2, 2, 1]), lv.Gaussian([[-1, 0]]), 2),
        (weights([3, 1, 1]), teacher(1, 3), 2),
        (weights([1, 3, 1]), NUMBER, 2),
        (weights([1, 1, 1]), NUMBER, 0),
        ([[[W, 2], [3, 1]], [[1, 2]]], lv.Gaussian([[-1, 1]]), 0),
        ([[[W, W], [3, 1]], weights([2, 2, 1])[1]], lv.Gaussian([[-1, 1]]), 0),
        (weights([2, 2, 1]), lv.Dataset([[1, 2], [3, 4]], [1, 2]), 1),
    ]
    for matrices, law, expected in flips:
        assert Letters.of(lv.Problem(matrices, law, "1/10", 1)).flips == expected
    # a flip of a hidden unit, and of an input, leaves the variance as it is
    first, second = weights([2, 2, 1])
    w00, w01, w10, v0 = first[0, 0], first[0, 1], first[1, 0], second[0, 0]
    problem = lv.Problem([first, second], teacher(1, 2), "1/10", 0)
    variance, t0 = lv.gradient_variance(problem), problem.law.teacher[0][0]
    assert variance.subs({w00: -w00, w01: -w01, v0: -v0}) == variance
    assert variance.subs({w00: -w00, w10: -w10, t0: -t0}) == variance
    assert variance.subs({w00: -w00}) != variance


def test_products_of_weights_are_all_of_them() -> None:
    problem = lv.Problem(weights([2, 3, 1]), lv.Gaussian([[1, 1]]), "1/10", 1)
    assert sum(many for _, many in weight_products(problem, 2)) == 9 * 10 // 2
    assert {degrees for (degrees, _), _ in weight_products(problem, 2)} == {(2, 0), (1, 1), (0, 2)}


@pytest.mark.parametrize("step", [1, 2, 3, 6, 40, 10**9])
@pytest.mark.parametrize("widths", [(1, 1, 1), (2, 2, 2), (1,) * 11, (30, 20, 5), (3, 3, 3, 3, 3)])
def test_counting_is_quick_however_large(widths: tuple[int, ...], step: int) -> None:
    """Some hundredths of a second; one by one it would take years."""
    problem = lv.Problem(weights(widths), teacher(widths[-1], widths[0]), ALPHA, step)
    start = time.process_time()
    plan, first = lv.plan(problem), lv.plan(problem, lv.LargeBatch(1))
    assert time.process_time() - start < 20, "counted one by one"
    if step > 6:
        assert plan["expansion"].bytes >= 10**24 and plan.choice is None
        assert first["large_batch"].obstacle is not None and ENDLESS == 10**18
