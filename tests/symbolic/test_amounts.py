"""What the roads say they will work through, counted by hand where no matrix is square; and what came of it."""

from __future__ import annotations

from fractions import Fraction
from math import comb, prod

import pytest

import linvar as lv
from linvar.symbolic import cost
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.roads.large_batch import size as large_batch_size
from linvar.symbolic.roads.lattice import size as lattice_size
from linvar.symbolic.roads.regression.size import regression_work
from linvar.symbolic.sgd.steps import Steps

OBLONG = lv.Problem([[[1, 2], [0, 1], [3, -1]], [[1, -1, 2]]], lv.Gaussian([[1, 0]]), "1/10", 1)
TURNED = lv.Problem([[[1, "1/2", -1]], [[2], ["-1/3"]]], lv.Gaussian([[1, 0, 2], [0, 1, 1]]), "1/10", 1)
ROWS = lv.Dataset([[1, 2, 0], [0, 1, 1], [-1, 1, 2], [3, 0, 1]], [[1, 0], [2, 1], [0, 1], [1, 1]])
LAYER = lv.Problem([[[1, 2, -1], [0, 1, 1]]], ROWS, "1/10", 3)


def test_the_work_of_linear_regression() -> None:
    """3 inputs, 2 outputs, 4 rows, 3 steps: d_1 (d_1 + 1)/2 pairs of outputs, matrices of d_0 + d_1 rows, degree t."""
    work, size, pairs = regression_work(LAYER), 5, 3
    assert exact_law(LAYER.law).width == size
    assert work.monomials == work.bytes["bytes_coefficient"] == pairs * size**2 * (3 + 1)
    assert work.bytes["bytes_fourth_moment"] == comb(size + 3, 4)
    assert work.bytes["bytes_value"] == comb(size + 1, 2) * 4
    assert work.seconds["seconds_step"] == 3 and work.seconds["seconds_last_product"] == comb(size + 1, 2) ** 2
    assert work.seconds["seconds_data_product"] == size**4 * 3 * pairs
    assert work.seconds["seconds_data_power"] == 3 * work.seconds["seconds_data_product"]
    momentum = regression_work(LAYER.replace(momentum="1/2"))
    assert momentum.seconds["seconds_data_product"] == 2 * work.seconds["seconds_data_product"]


def test_the_work_of_linear_regression_with_a_gaussian_law() -> None:
    problem = LAYER.replace(law=lv.Gaussian([[1, 0, 1], [0, 1, 1]]), weights=[[[1, 2, -1], [0, 1, 1]]])
    work, size = regression_work(problem), exact_law(problem.law).width
    assert work.seconds["seconds_gaussian_product"] == 2 * size**3 * 3 * 3
    assert "seconds_data_product" not in work.seconds and work.seconds["seconds_last_product"] == 0


def test_a_total_is_a_sum_of_products() -> None:
    rates = cost.costs().regression
    amounts = {"seconds_call": 1, "seconds_step": 7, "seconds_data_power": 10}
    assert cost.total(rates, amounts) == pytest.approx(
        rates.seconds_call + 7 * rates.seconds_step + 10 * rates.seconds_data_power, rel=1e-15
    )


@pytest.mark.parametrize(("problem", "variables"), [(OBLONG, (2,)), (TURNED, (4,)), (OBLONG.replace(step=2), (2, 3))])
def test_the_nodes_of_a_lattice(problem: lv.Problem, variables: tuple[int, ...]) -> None:
    """C(D_s + m_s, m_s) at each step. At step 0 W_2^T R and R W_1^T decide, R of shape (d_2, d_0): both are in R where it is a
    row; where d_1 = 1 they have one number in common. Later it is all of S."""
    degrees = lattice_size.step_degrees(problem, 6)
    assert degrees == ([6] if problem.step == 1 else [18, 6])
    nodes = prod(comb(degree + count, count) for count, degree in zip(variables, degrees, strict=True))
    assert lattice_size.predict(Steps(problem), 6).nodes == nodes


@pytest.mark.parametrize(
    "problem", [OBLONG, TURNED, OBLONG.replace(learning_rate="3/17"), OBLONG.replace(law=lv.Gaussian([["5/7", 1]]))]
)
def test_the_primes_of_a_lattice_hold_the_answer(problem: lv.Problem) -> None:
    """As many bits as numerator and denominator of the answer have, and not four times as many; the checks come on top."""
    primes = lattice_size.predict(Steps(problem), 6).primes - 2 - lattice_size.CHECKS
    coefficients = lv.second_moment(problem).coefficients
    bits = max(abs(c.numerator).bit_length() + c.denominator.bit_length() for c in coefficients)
    assert bits <= 26 * (primes + 1) and 26 * primes <= 4 * bits


@pytest.mark.parametrize(
    "problem", [OBLONG.replace(step=4), TURNED.replace(step=4, weights=[[[1, 2, -1]], [[2], ["-1/3"]]])]
)
def test_the_digits_of_the_first_coefficients(problem: lv.Problem) -> None:
    """A bound, and no more than three times what comes out: weights that shrink have shorter numerators than those that grow."""
    coefficient = Fraction(str(lv.large_batch(problem, 1).variance.coefficients[1]))
    found, predicted = len(str(coefficient.numerator)), large_batch_size.predict(Steps(problem), 1).digits
    assert found <= predicted <= 3 * found


@pytest.mark.parametrize(
    ("order", "step", "layers", "bound"),
    [
        (0, 1, 2, 0),
        (1, 0, 2, 1),
        (9, 0, 2, 1),
        (9, 1, 2, 6),
        (5, 1, 2, 5),
        (90, 2, 2, 23),
        (90, 1, 3, 10),
        (9, 1, 1, 2),
    ],
)
def test_no_order_beyond_the_degree_bound(order: int, step: int, layers: int, bound: int) -> None:
    """sum_j 2 (2L-1)^j - 1: 1, 6, 23 for two layers, or the order where it is less."""
    problem = lv.Problem([[[1]]] * layers, lv.Gaussian([[2]]), "1/10", step)
    assert large_batch_size.clamped(problem, order) == bound == min(order, problem.degree_bound)
