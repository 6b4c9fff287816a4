"""Linear regression in floating point: against the exact half, enumeration, simulation; interpolation; refusals."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import oracles
import pytest
import strategies
from hypothesis import given

import linvar as lv
from linvar.numeric.interpolation import chebyshev_interpolant, chebyshev_nodes
from linvar.numeric.regression import regression_curve
from linvar.numeric.simulation.trajectories import simulate

DATA = lv.Dataset([[1, 0], [0, 1], [1, -1], [2, 1], ["1/2", "1/3"]], [[1, 0], [0, 2], [-1, 1], [0, 0], [1, 1]])
SAMPLINGS = ["iid", "without_replacement"]
NAMES = ("gradient_variance", "second_moment", "squared_mean", "expected_loss", "weight_variance")


def exact(problem: lv.Problem) -> dict[str, Any]:
    """The exact half's answers under the names of the curve."""
    moments = lv.RegressionMoments(problem)
    return {
        "gradient_variance": lv.gradient_variance(problem),
        "second_moment": lv.second_moment(problem),
        "squared_mean": lv.squared_mean(problem),
        "expected_loss": lv.expected_loss(problem),
        "weight_variance": moments.weight_variance(),
    }


def assert_close(curve: Any, problem: lv.Problem, tolerance: float = 1e-11) -> None:
    """Relative 1e-11 of the largest moment: some t d products in float64."""
    answers = exact(problem)
    for i, b in enumerate(curve.batch_sizes):
        scale = float(answers["second_moment"](int(b)))
        for name in NAMES:
            value = float(answers[name](int(b)))
            allowed = tolerance * max(value, scale, 1e-300)
            assert abs(getattr(curve, name)[i] - value) <= allowed, (name, b)
            if value > 1e-9 * scale > 0:
                assert abs(getattr(curve, name)[i] - 1.5 * value) > allowed


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_data_set_with_two_outputs_equals_the_exact_half(sampling: str) -> None:
    problem = lv.Problem([[[1, 2], [0, "-1/2"]]], DATA, ["1/3", "1/5", "1/7"], 3, sampling)
    assert_close(regression_curve(problem, range(1, 6)), problem)


@strategies.examples(40)
@given(strategies.problems("gaussian").filter(lambda problem: problem.depth == 1 and problem.plain))
def test_gaussian_laws_equal_the_exact_half(problem: lv.Problem) -> None:
    assert_close(regression_curve(problem, [1, 3, 50]), problem)


def test_ten_steps_with_mean_covariance_and_noise() -> None:
    law = lv.Gaussian([[1, 0], [0, 2]], [[2, "1/2"], ["1/2", 1]], mean=[1, "-1/3"], noise_variance="1/4")
    problem = lv.Problem([[[0, 1], [1, 1]]], law, "1/10", 10)
    assert_close(regression_curve(problem, [1, 2, 16]), problem)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_equals_enumeration_of_every_batch(sampling: str) -> None:
    problem = lv.Problem([[[1, 2]]], lv.Dataset([[1, 0], [0, 1], [1, -1]], [1, 0, 2]), "1/3", 2, sampling)
    for b in (1, 2):
        moments, curve = oracles.enumerate_batches(problem, b), regression_curve(problem, [b])
        assert curve.gradient_variance[0] == pytest.approx(float(moments.variance), rel=1e-13)
        assert curve.expected_loss[0] == pytest.approx(float(moments.expected_loss), rel=1e-13)
        assert curve.gradient_variance[0] != pytest.approx(1.5 * float(moments.variance), rel=1e-13)


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_agrees_with_simulation(sampling: str) -> None:
    """20,000 runs at b = 3, five standard errors, fixed key; 1.5 times the value is rejected."""
    problem = lv.Problem([[[1, 2], [0, "-1/2"]]], DATA, "1/10", 4, sampling)
    curve, run = regression_curve(problem, [3]), simulate(jax.random.key(3), problem, batch_sizes=[3], runs=20_000)[3]
    for estimate, value in ((run.variance, curve.gradient_variance[0]), (run.loss, curve.expected_loss[0])):
        assert abs(estimate.value - value) < 5 * estimate.standard_error
        assert abs(estimate.value - 1.5 * value) > 5 * estimate.standard_error


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_covariances_images_and_distances_equal_the_exact_half(sampling: str) -> None:
    """Full matrices for one output; sums over rows for two. 1e-12: a few steps in float64."""
    one = lv.Problem([[[1, 2]]], lv.Dataset(DATA.inputs, [1, 0, 2, -1, 1]), "1/3", 3, sampling)
    moments, curve = lv.RegressionMoments(one), regression_curve(one, [1, 2], covariances=True)
    matrix = [[1, 2], [0, -3]]
    for k, b in enumerate((1, 2)):
        for ours, theirs in (
            (curve.weight_covariance[k], moments.weight_covariance()),
            (curve.gradient_covariance[k], moments.gradient_covariance()),
        ):
            exact_entries = np.array([[float(entry(b)) for entry in row] for row in theirs])
            assert ours == pytest.approx(exact_entries, rel=1e-12)
            assert ours != pytest.approx(1.5 * exact_entries, rel=1e-12)
        assert curve.variance_of(matrix)[k] == pytest.approx(float(moments.gradient_variance(matrix)(b)), rel=1e-12)
        assert curve.variance_of(matrix, "weights")[k] == pytest.approx(
            float(moments.weight_variance(matrix)(b)), rel=1e-12
        )
    two = lv.Problem([[[1, 2], [0, "-1/2"]]], DATA, "1/3", 3, sampling)
    moments, curve = lv.RegressionMoments(two), regression_curve(two, [1, 2], covariances=True)
    for k, b in enumerate((1, 2)):
        full = np.array([[float(entry(b)) for entry in row] for row in moments.gradient_covariance()])
        assert curve.gradient_covariance[k] == pytest.approx(full[:2, :2] + full[2:, 2:], rel=1e-12)
        assert curve.squared_distance[k] == pytest.approx(float(moments.squared_distance()(b)), rel=1e-12)
    assert curve.mean_weights == pytest.approx(oracles.floats(moments.mean_weights), rel=1e-12)


def test_the_distance_for_a_gaussian_law() -> None:
    law = lv.Gaussian([[1, 0], [0, 2]], [[2, "1/2"], ["1/2", 1]], mean=[1, "-1/3"], noise_variance="1/4")
    problem = lv.Problem([[[0, 1], [1, 1]]], law, "1/10", 4)
    exact_distance = float(lv.RegressionMoments(problem).squared_distance()(3))
    assert regression_curve(problem, [3]).squared_distance[0] == pytest.approx(exact_distance, rel=1e-12)


def test_covariances_must_be_asked_for() -> None:
    problem = lv.Problem([[[1, 2], [0, 1]]], DATA)
    with pytest.raises(ValueError, match="were not kept"):
        regression_curve(problem, [1]).variance_of(np.eye(2))
    with pytest.raises(ValueError, match="covariances=True with batch_sizes=None"):
        regression_curve(problem, covariances=True)
    curve = regression_curve(problem, [1], covariances=True)
    with pytest.raises(ValueError, match=r"matrix has shape \(1, 3\): give one with 2 columns"):
        curve.variance_of([[1, 2, 3]])
    with pytest.raises(ValueError, match="of='loss' is unknown"):
        curve.variance_of(np.eye(2), "loss")


def arrays(n: int = 300, d: int = 4, seed: int = 0) -> dict[str, Any]:
    """A data set of floats."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d)) * np.linspace(0.5, 1.5, d)
    return {"inputs": x, "targets": x @ np.ones(d) + rng.normal(size=n), "weights": np.zeros(d)}


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("learning_rate", [0.02, 0.2])
def test_interpolation_meets_the_values_computed_directly(sampling: str, learning_rate: float) -> None:
    """Every b at once against each b directly: within the error it measured (and rounding, 1e-12)."""
    options = {**arrays(), "learning_rate": learning_rate, "step": 60, "sampling": sampling}
    every = regression_curve(**options)
    assert 0 < every.relative_error <= 1e-8
    assert list(every.batch_sizes) == list(range(1, 301))
    direct = regression_curve(batch_sizes=range(1, 301), **options)
    assert direct.relative_error == 0
    for name in NAMES:
        ours, theirs = getattr(every, name), getattr(direct, name)
        assert np.all(np.abs(ours - theirs) <= (10 * every.relative_error + 1e-12) * np.abs(theirs)), name


def test_a_learning_rate_that_explodes_is_interpolated_in_pieces() -> None:
    """Values of 30 magnitudes between b = 1 and b = n: one interpolant would not do."""
    options = {**arrays(n=100), "learning_rate": 0.5, "step": 40}
    every, direct = regression_curve(**options), regression_curve(batch_sizes=range(1, 101), **options)
    ratio = every.gradient_variance / direct.gradient_variance
    assert direct.gradient_variance[0] > 1e30 * direct.gradient_variance[-1]
    assert np.max(np.abs(ratio - 1)) <= 10 * every.relative_error + 1e-12
    assert every.relative_error <= 1e-8


def test_without_replacement_the_last_batch_has_no_noise() -> None:
    options = {**arrays(n=50), "learning_rate": 0.1, "step": 5, "sampling": "without_replacement"}
    for curve in (regression_curve(**options), regression_curve(batch_sizes=[50], **options)):
        assert curve.gradient_variance[-1] == curve.weight_variance[-1] == 0
        assert curve.second_moment[-1] == curve.squared_mean[-1]
    one = {"inputs": [[2.0]], "targets": [1.0], "weights": [0.0], "learning_rate": 0.1, "step": 2}
    assert regression_curve(sampling="without_replacement", **one).gradient_variance == [0.0]


def test_interpolation_reproduces_polynomials() -> None:
    nodes = chebyshev_nodes(6, 0.25, 2.0)
    points = np.concatenate([np.linspace(0.25, 2, 7), nodes[:2]])
    quintic, sextic = (chebyshev_interpolant(nodes, f(nodes)[:, None]) for f in (lambda x: x**5 - x, lambda x: x**6))
    assert np.allclose(quintic(points)[:, 0], points**5 - points, rtol=1e-13)
    assert not np.allclose(sextic(points)[:, 0], points**6, rtol=1e-6)


def test_interpolation_is_deterministic() -> None:
    """To the bit, whatever the state of NumPy's global generator."""
    nodes = chebyshev_nodes(16, 0.01, 1.0)
    points = np.linspace(0.01, 1, 1000)
    found = []
    for seed in (0, 1):
        np.random.seed(seed)
        state = np.random.get_state()[1].copy()
        found.append(chebyshev_interpolant(nodes, np.exp(nodes)[:, None])(points))
        assert np.array_equal(np.random.get_state()[1], state)  # and nothing is drawn from it
    assert np.array_equal(*found) and np.allclose(found[0][:, 0], np.exp(points), rtol=1e-12)


def test_jax_settings_stay() -> None:
    before = jax.config.jax_enable_x64
    assert regression_curve(lv.Problem([[[2]]], lv.Gaussian([[-1]])), [1]).gradient_variance.dtype == np.float64
    assert jax.config.jax_enable_x64 == before


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"inputs": None}, TypeError, "inputs is missing"),
        ({"inputs": [[np.nan]]}, ValueError, "inputs has entries that are not finite"),
        ({"weights": np.zeros(3)}, ValueError, r"weights \(3,\): give \(n, d_0\)"),
        ({"targets": np.zeros(7)}, ValueError, r"targets \(7,\)"),
        ({"step": -1}, ValueError, "step=-1 is negative"),
        ({"learning_rate": [0.1]}, ValueError, r"learning_rate has shape \(1,\), but step=2"),
        ({"learning_rate": np.inf}, ValueError, "learning_rate has entries that are not finite"),
        ({"sampling": "all"}, ValueError, "sampling='all' is unknown"),
        ({"batch_sizes": [0]}, ValueError, "batch_sizes contains 0"),
        ({"batch_sizes": [301], "sampling": "without_replacement"}, ValueError, "300 examples"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        regression_curve(**{**arrays(), "learning_rate": 0.1, "step": 2, **changes})


def test_bad_problems() -> None:
    with pytest.raises(ValueError, match="momentum=1/2, weight_decay=0: the curve is for plain SGD"):
        regression_curve(lv.Problem([[[1]]], lv.Gaussian([[1]]), momentum="1/2"), [1])
    with pytest.raises(ValueError, match="is of widths 1-1-1"):
        regression_curve(lv.Problem([[[1]], [[1]]], lv.Gaussian([[1]])), [1])
    with pytest.raises(ValueError, match="needs max_batch_size="):
        regression_curve(lv.Problem([[[1]]], lv.Gaussian([[1]])))
    assert len(regression_curve(lv.Problem([[[1]]], lv.Gaussian([[1]])), max_batch_size=9).batch_sizes) == 9
    import sympy

    with pytest.raises(ValueError, match="symbols a"):
        regression_curve(lv.Problem([[[sympy.Symbol("a")]]], lv.Gaussian([[1]])), [1])
