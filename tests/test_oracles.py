"""The oracles: against hand values, against each other, and able to reject."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import oracles
import pytest

import linvar as lv

TINY = lv.Dataset([[1], [2]], [[0], [1]])
TWO_LAYERS = lv.Problem(
    [[[1, "1/2"]], [[-1]]],
    lv.Gaussian([[1, 0]], [[2, 1], [1, 1]], mean=[0, "1/2"], noise_variance="1/4"),
    "1/10",
)


def test_the_gradient_of_one_example_by_hand() -> None:
    """W_1 = (1, 2), W_2 = (3), x = (1, 1), y = 4: the error is 9 - 4 = 5."""
    gradient = oracles.example_gradient((((1, 2),), ((3,),)), ((Fraction(1), Fraction(1)), (Fraction(4),)))
    assert gradient == (((15, 15),), ((15,),))


def test_enumeration_of_one_step_by_hand() -> None:
    """w = 1: gradients 1 and 2 (errors 1 and 1, inputs 1 and 2); the variance of one draw is 1/4."""
    problem = lv.Problem([[[1]]], TINY)
    assert oracles.enumerate_batches(problem, 1).variance == Fraction(1, 4)
    assert oracles.enumerate_batches(problem, 2).variance == Fraction(1, 8)
    without = problem.replace(sampling="without_replacement")
    assert oracles.enumerate_batches(without, 1).variance == Fraction(1, 4)
    assert oracles.enumerate_batches(without, 2).variance == 0
    assert oracles.enumerate_batches(problem, 1).expected_loss == Fraction(1, 2)


def test_enumeration_of_two_steps_by_hand() -> None:
    """After w = 1 - 1/2 g with g = 1 or 2: w = 1/2 or 0; errors (1/2, 0) or (0, -1); gradients (1/2, 0) or (0, -2)."""
    moments = oracles.enumerate_batches(lv.Problem([[[1]]], TINY, "1/2", 1), 1)
    assert moments.second_moment == Fraction(1, 4) * (Fraction(1, 4) + 0 + 0 + 4)
    assert moments.squared_mean == (Fraction(1, 4) * (Fraction(1, 2) - 2)) ** 2
    assert moments.expected_loss == Fraction(1, 4) * (Fraction(1, 8) + 0 + 0 + Fraction(1, 2))


@pytest.mark.parametrize("sampling", ["iid", "without_replacement"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_batches_have_probabilities_that_add_up(sampling: str, size: int) -> None:
    batches = oracles.all_batches([((Fraction(i),), (Fraction(0),)) for i in range(3)], size, sampling)
    assert sum(probability for _, probability in batches) == 1
    assert all(len(batch) == size for batch, _ in batches)


@pytest.mark.parametrize("degree", [2, 4, 12])
def test_the_exact_rule_has_the_moments_of_a_normal(degree: int) -> None:
    variance = Fraction(3, 2)
    rule = oracles.normal_rule(variance, degree)
    moments = [sum(weight * node**k for node, weight in rule) for k in range(degree + 1)]
    known = [Fraction(1), Fraction(0)]
    for k in range(2, degree + 1):
        known.append((k - 1) * variance * known[k - 2])
    assert moments == known
    assert sum(weight * node ** (degree + 2) for node, weight in rule) != (degree + 1) * variance * known[degree]


def test_ldl_of_a_singular_covariance() -> None:
    sigma = oracles.fractions([[1, 2, 0], [2, 4, 0], [0, 0, 3]])
    lower, variances = oracles.ldl(sigma)
    assert variances == [1, 0, 3]
    again = tuple(
        tuple(sum(lower[i][k] * variances[k] * lower[j][k] for k in range(3)) for j in range(3)) for i in range(3)
    )
    assert again == sigma


@pytest.mark.parametrize("batch_size", [1, 2])
def test_the_two_quadratures_agree(batch_size: int) -> None:
    """Rounding only: sums of up to 1e6 terms in float64."""
    exact, gauss = oracles.exact_quadrature(TWO_LAYERS, batch_size), oracles.gauss_quadrature(TWO_LAYERS, batch_size)
    for name in ("second_moment", "squared_mean", "variance", "expected_loss"):
        assert getattr(gauss, name) == pytest.approx(float(getattr(exact, name)), rel=1e-10)
    assert gauss.variance != pytest.approx(1.5 * float(exact.variance), rel=1e-10)


def test_gauss_quadrature_decides_a_case_that_simulation_cannot() -> None:
    """Three layers of width 1 at b = 1 after two steps: the mean lives on inputs too rare to be drawn."""
    problem = lv.Problem([[[1]], [[1]], [[-1]]], lv.Gaussian([[1]]), "1/20", 2)
    gauss = oracles.gauss_quadrature(problem, 1)
    # rounding of the nodes, to the power 50: far above the 1e-16 of one operation
    assert gauss.variance == pytest.approx(float(lv.gradient_variance(problem)(1)), rel=1e-9)
    assert oracles.simulate_numpy(problem, 1).variance.value < 0.01 * gauss.variance


def test_quadrature_refuses_a_grid_too_large() -> None:
    with pytest.raises(ValueError, match="more than 10 nodes"):
        oracles.gauss_quadrature(TWO_LAYERS, 2, max_nodes=10)


@pytest.mark.parametrize("sampling", ["iid", "without_replacement"])
def test_simulation_agrees_with_enumeration(sampling: str) -> None:
    """100,000 runs, five standard errors, fixed seed; one and a half times the truth is rejected."""
    data = lv.Dataset([[1, 0], [0, 1], [1, -1]], [[1], [0], [-1]])
    problem = lv.Problem([[[1, 2]], [[-1]]], data, "1/10", 1, sampling)
    exact, simulated = oracles.enumerate_batches(problem, 2), oracles.simulate_numpy(problem, 2)
    for name in ("second_moment", "squared_mean", "variance", "expected_loss"):
        truth = getattr(exact, name)
        assert not getattr(simulated, name).rejects(truth), name
        assert getattr(simulated, name).rejects(Fraction(3, 2) * truth), name
    assert simulated.variance.rejects(float("nan"))


def test_simulation_agrees_with_quadrature() -> None:
    exact, simulated = oracles.exact_quadrature(TWO_LAYERS, 2), oracles.simulate_numpy(TWO_LAYERS, 2)
    for name in ("second_moment", "squared_mean", "variance", "expected_loss"):
        assert not getattr(simulated, name).rejects(getattr(exact, name)), name
        assert getattr(simulated, name).rejects(1.5 * float(getattr(exact, name))), name


def test_draws_without_replacement_never_repeat_a_row() -> None:
    problem = lv.Problem([[[1]]], lv.Dataset([[1], [2], [3]], [[0], [0], [0]]), sampling="without_replacement")
    x, _ = oracles.draw(problem, np.random.default_rng(0), 200, 3)
    assert (np.sort(x[..., 0], axis=1) == [1, 2, 3]).all()
