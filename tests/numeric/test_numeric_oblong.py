"""The numeric half where no matrix is square: a transposed matrix, or rows taken for columns, has another shape."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

import linvar as lv
from linvar.numeric.delta_method.coefficients import first_order
from linvar.numeric.regression import regression_curve
from linvar.numeric.simulation.trajectories import simulate

DATA = lv.Dataset([[1, 2], ["1/2", -1], [0, 1], [-1, "1/3"]], [[1, "1/3", 0], [-1, 2, 1], ["1/2", 0, -2], [0, 1, 1]])
TURNED = lv.Dataset(DATA.targets, DATA.inputs)
PROBLEMS = {
    "2-3": lv.Problem([[[1, "1/2"], [-1, 2], ["1/3", 1]]], DATA, "1/5", 2),
    "3-2": lv.Problem([[[1, "1/2", 0], [-1, 2, "1/3"]]], TURNED, "1/5", 2),
    "3-4-2": lv.Problem(
        [[[1, 0, "1/2"], [0, 1, 1], ["1/3", -1, 0], [1, 1, 0]], [[1, 0, "1/2", -1], [0, 1, 1, "1/3"]]],
        TURNED,
        "1/50",
        1,
    ),
}


def loss(weights: list[jax.Array], example: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Half the squared error of a linear network, for one example."""
    value, target = example
    for matrix in weights:
        value = matrix @ value
    return 0.5 * jnp.sum((value - target) ** 2)


@pytest.mark.parametrize("name", ["3-2", "3-4-2"])
def test_runs_on_all_of_the_data_are_gradient_descent(name: str) -> None:
    """b = n without replacement: every run is the same; 1e-10 relative, some hundred products in float64."""
    problem = PROBLEMS[name].replace(sampling="without_replacement")
    found = simulate(jax.random.key(0), problem, batch_sizes=[4], runs=3)[4]
    layers = [float(one(4)) for one in lv.derive(problem).per_leaf.second_moment]
    for estimate, value in zip(found.second_moment_per_layer, layers, strict=True):
        assert estimate.value == pytest.approx(value, rel=1e-10) != pytest.approx(1.5 * value, rel=1e-10)
    assert found.loss.value == pytest.approx(float(lv.expected_loss(problem)(4)), rel=1e-10)
    assert len(set(layers)) == problem.depth


@pytest.mark.parametrize("sampling", ["iid", "without_replacement"])
@pytest.mark.parametrize("name", ["2-3", "3-2"])
def test_curves_of_linear_regression_equal_the_exact_half(name: str, sampling: str) -> None:
    """1e-12 relative: a few steps in float64. The covariance is summed over the outputs, d_0 x d_0."""
    problem = PROBLEMS[name].replace(sampling=sampling)
    curve, moments = regression_curve(problem, [1, 3], covariances=True), lv.RegressionMoments(problem)
    assert curve.mean_weights == pytest.approx(oracles.floats(moments.mean_weights), rel=1e-12)
    outputs, inputs = curve.mean_weights.shape
    for k, b in enumerate((1, 3)):
        full = np.array([[float(entry(b)) for entry in row] for row in moments.gradient_covariance()])
        summed = sum(full[i * inputs : (i + 1) * inputs, i * inputs : (i + 1) * inputs] for i in range(outputs))
        assert curve.gradient_covariance[k] == pytest.approx(summed, rel=1e-11, abs=1e-13)
        assert curve.gradient_covariance[k] != pytest.approx(1.5 * summed, rel=1e-11, abs=1e-13)
        for ours, exact in (
            (curve.gradient_variance, lv.gradient_variance(problem)),
            (curve.expected_loss, lv.expected_loss(problem)),
            (curve.squared_distance, moments.squared_distance()),
        ):
            assert ours[k] == pytest.approx(float(exact(b)), rel=1e-12)


@pytest.mark.parametrize("name", ["3-4-2"])
def test_the_first_coefficient_equals_the_exact_one(name: str) -> None:
    """1e-10 relative: one step of sums over four rows in float64."""
    problem = PROBLEMS[name]
    exact = float(lv.gradient_variance(problem).coefficients[1])
    with jax.enable_x64(True):
        weights = [jnp.asarray(oracles.floats(matrix)) for matrix in problem.weights]
        path = first_order(loss, weights, problem.law, float(problem.learning_rates[0]), 1)
    assert path.variance.coefficient[1] == pytest.approx(exact, rel=1e-10) != pytest.approx(1.5 * exact, rel=1e-10)
