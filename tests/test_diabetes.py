"""The diabetes data: rounding, and exact answers against autodiff-free float64 roads and simulation."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

import jax
import numpy as np
import oracles
import pytest
from sklearn.datasets import load_diabetes
from tiers import slow_but

import linvar as lv
from linvar.datasets import rounded_diabetes

SAMPLINGS = ["iid", "without_replacement"]
LAYERS = [[[1 if j in (i, i + 5) else 0 for j in range(10)] for i in range(2)], [[1, "1/2"]]]


@cache
def regression(sampling: str, step: int) -> lv.Problem:
    """Linear regression from zero."""
    return lv.Problem([[[0] * 10]], rounded_diabetes().dataset, "1/20", step, sampling)


@cache
def two_layers(sampling: str) -> lv.Problem:
    """10-2-1 after one step."""
    return lv.Problem(LAYERS, rounded_diabetes().dataset, "1/20", 1, sampling)


def test_rounding_is_reported_and_true() -> None:
    data = rounded_diabetes(decimals=4)
    inputs, targets = load_diabetes(return_X_y=True)
    inputs, targets = inputs * np.sqrt(442), (targets - targets.mean()) / targets.std()
    moved = np.abs(oracles.floats(data.dataset.inputs) - inputs).max()
    moved = max(moved, np.abs(oracles.floats(data.dataset.targets)[:, 0] - targets).max())
    assert data.decimals == 4
    assert data.largest_rounding_error == pytest.approx(moved, rel=1e-6)  # differences of 5e-5 of numbers near 1
    assert data.largest_rounding_error <= 0.5e-4
    assert all((10**4 * entry).denominator == 1 for row in data.dataset.inputs for entry in row)
    assert rounded_diabetes(decimals=1).largest_rounding_error > 0.04


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("widths", ["10-1", "10-2-1"])
def test_step_0_equals_the_gradients_of_all_rows(sampling: str, widths: str) -> None:
    """c (mean ||g||^2 - ||mean g||^2) with float64 gradients of all 442 rows; 1e-12: sums of 442 terms."""
    problem = regression(sampling, 0) if widths == "10-1" else two_layers(sampling).replace(step=0)
    x, y = oracles.floats(problem.law.inputs), oracles.floats(problem.law.targets)
    weights = [oracles.floats(matrix) for matrix in problem.weights]
    gradients = oracles.batch_gradients(weights, x[:, None], y[:, None])
    of_one = sum((g**2).sum() / 442 - (g.mean(0) ** 2).sum() for g in gradients)
    variance = lv.gradient_variance(problem)
    for b in (1, 7, 442):
        factor = (442 - b) / (b * 441) if sampling == "without_replacement" else 1 / b
        assert float(variance(b)) == pytest.approx(factor * of_one, rel=1e-12, abs=1e-15)
    assert float(variance(1)) != pytest.approx(1.5 * of_one, rel=1e-12)


def linear_recursion(problem: lv.Problem, batch_size: int) -> float:
    """E ||G_t||^2 of linear regression in float64: the second moment of (w, 1) closes on itself."""
    x, y = oracles.floats(problem.law.inputs), oracles.floats(problem.law.targets)
    n, d = x.shape
    maps = np.zeros((n, d + 1, d + 1))  # the gradient of a row is linear in (w, 1)
    maps[:, :d, :d] = x[:, :, None] * x[:, None, :]
    maps[:, :d, d] = -x * y
    mean = maps.mean(0)
    scale = (n - batch_size) / (batch_size * (n - 1)) if problem.sampling == "without_replacement" else 1 / batch_size
    start = np.append(oracles.floats(problem.weights[0])[0], 1.0)
    moment = np.outer(start, start)

    def noise(moment: np.ndarray) -> np.ndarray:
        return scale * (np.einsum("iab,bc,idc->ad", maps, moment, maps) / n - mean @ moment @ mean.T)

    for rate in map(float, problem.learning_rates):
        move = np.eye(d + 1) - rate * mean
        moment = move @ moment @ move.T + rate**2 * noise(moment)
    return float(np.trace(noise(moment) + mean @ moment @ mean.T))


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_linear_regression_equals_the_closed_recursion(sampling: str) -> None:
    """t = 0, 1, 2; 1e-10: three products of 11 x 11 matrices in float64."""
    for step, exact in enumerate(lv.derive_steps(regression(sampling, 0), range(3))):
        polynomial = exact.second_moment
        assert polynomial.degree == step + 1
        for b in (1, 4, 16, 442):
            value = linear_recursion(regression(sampling, step), b)
            assert float(polynomial(b)) == pytest.approx(value, rel=1e-10)
            assert float(polynomial(b)) != pytest.approx(1.5 * value, rel=1e-10)


@pytest.mark.parametrize("sampling", slow_but(SAMPLINGS, "without_replacement"))
def test_two_layers_agree_with_a_numpy_simulation(sampling: str) -> None:
    """20,000 runs at b = 16, five standard errors, fixed seed; one and a half times the truth is rejected."""
    problem = two_layers(sampling)
    variance = lv.gradient_variance(problem)
    assert variance.degree == 6 and variance.degree_bound == 6
    simulated = oracles.simulate_numpy(problem, 16, runs=20_000).variance
    assert not simulated.rejects(variance(16))
    assert simulated.rejects(Fraction(3, 2) * variance(16))


def verified(problem: lv.Problem, **options: Any) -> lv.Report:
    """A report at the default budget."""
    return lv.verify(problem, key=jax.random.key(0), batch_sizes=(4, 16), **options)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("step", [0, 1, 2])
def test_linear_regression_verifies(sampling: str, step: int) -> None:
    report = verified(regression(sampling, step))
    assert report.verdict == "AGREE"
    wrong = {"variance": report.variance * Fraction(3, 2)}
    assert verified(regression(sampling, step), quantities=["variance"], polynomials=wrong).verdict == "REJECT"


@pytest.mark.slow
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_two_layers_verify(sampling: str) -> None:
    report = verified(two_layers(sampling))
    assert report.verdict == "AGREE"
    wrong = {"variance": report.variance * Fraction(3, 2)}
    assert verified(two_layers(sampling), quantities=["variance"], polynomials=wrong).verdict == "REJECT"
