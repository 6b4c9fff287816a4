"""No matrix is square: widths 2-3-1, 2-1-3, 2-3, 3-2. One transposed, or with rows taken for columns, has another shape."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import oracles
import pytest

import linvar as lv
from linvar.symbolic.quantities import SecondMoment, SquaredMean

WEIGHTS: dict[str, list[list[list[Any]]]] = {
    "2-3-1": [[[1, "1/2"], [-1, 2], ["1/3", 1]], [[1, "-1/2", 2]]],
    "2-1-3": [[[1, "-1/2"]], [[1], [2], ["-1/3"]]],
    "2-3": [[[1, "1/2"], [-1, 2], ["1/3", 1]]],
    "3-2": [[[1, "1/2", 0], [-1, 2, "1/3"]]],
}
INPUTS = [[1, 2, -1], ["1/2", -1, 1], [0, 1, "1/3"]]
TARGETS = [[1, "1/3", 0], [-1, 2, 1], ["1/2", 0, -2]]
SAMPLINGS = ["iid", "without_replacement"]


def data(name: str, sampling: str = "iid", **rule: Any) -> lv.Problem:
    """Three rows, one step."""
    inputs, outputs = int(name[0]), int(name[-1])
    law = lv.Dataset([row[:inputs] for row in INPUTS], [row[:outputs] for row in TARGETS])
    return lv.Problem(WEIGHTS[name], law, "1/5", 1, sampling=sampling, **rule)


def gaussian(name: str, step: int, **rule: Any) -> lv.Problem:
    """A mean, a full covariance and label noise."""
    inputs, outputs = int(name[0]), int(name[-1])
    covariance = [[2, "1/2", 0], ["1/2", 1, "-1/3"], [0, "-1/3", 3]]
    law = lv.Gaussian(
        teacher=[row[:inputs] for row in TARGETS[:outputs]],
        covariance=[row[:inputs] for row in covariance[:inputs]],
        mean=[1, "-1/2", 2][:inputs],
        noise_variance="1/4",
    )
    return lv.Problem(WEIGHTS[name], law, "1/5", step, **rule)


def of_problem(problem: lv.Problem, b: int, of: str = "gradient") -> tuple[Any, ...]:
    """Values at b as ``oracles.Moments`` has them: layer by layer, and the loss."""
    exact = lv.derive(problem)
    return (
        tuple(one(b) for one in exact.all(SecondMoment(of, per_leaf=True))),
        tuple(one(b) for one in exact.all(SquaredMean(of, per_leaf=True))),
        exact.loss(b),
    )


@pytest.mark.parametrize("of", ["gradient", "update"])
@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("name", WEIGHTS)
def test_data_sets_equal_enumeration(name: str, sampling: str, of: str) -> None:
    problem = data(name, sampling, momentum="1/2", nesterov=True, weight_decay="1/3")
    for b in (1, 2):
        moments = oracles.enumerate_batches(problem, b, of)
        found = of_problem(problem, b, of)
        assert found == (moments.second_moments, moments.squared_means, moments.expected_loss)
    assert len(set(found[0])) == problem.depth, "layers that could be taken for each other"


@pytest.mark.parametrize("name", WEIGHTS)
def test_gaussian_laws_equal_quadrature(name: str) -> None:
    problem = gaussian(name, 0)
    moments = oracles.exact_quadrature(problem, 1)
    assert of_problem(problem, 1) == (moments.second_moments, moments.squared_means, moments.expected_loss)


@pytest.mark.parametrize("name", WEIGHTS)
def test_two_roads_agree_after_a_step_of_a_gaussian_law(name: str) -> None:
    """The first coefficients on a road of their own, layer by layer; a layer is not taken for another."""
    problem = gaussian(name, 1, momentum="1/2", weight_decay="1/3")
    whole = lv.derive(problem).per_leaf.variance
    found = lv.large_batch(problem, 2).per_leaf.variance
    assert all(ours.agrees_with(theirs) for ours, theirs in zip(found, whole, strict=True))
    assert problem.depth == 1 or not found[0].agrees_with(whole[1])


def weights_after_a_step(problem: lv.Problem) -> list[tuple[Fraction, oracles.Network]]:
    """Every row as a batch of one, and the weights it leads to."""
    start = tuple(map(oracles.fractions, problem.weights))
    rest = oracles.combine([(Fraction(0), start)])
    rows = list(zip(oracles.fractions(problem.law.inputs), oracles.fractions(problem.law.targets)))
    (rate,) = problem.learning_rates
    return [
        (
            Fraction(1, len(rows)),
            oracles.optax_step(problem, start, rest, oracles.example_gradient(start, row), rate)[0],
        )
        for row in rows
    ]


def flat(network: Sequence[Any]) -> list[Any]:
    """All entries: layer by layer, row by row."""
    return [entry for matrix in network for row in matrix for entry in row]


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_keep_their_shape_and_their_order(name: str) -> None:
    """E W_t has the shape of W_0; Cov(W_t) counts its entries layer by layer, row by row; one road says what another does."""
    problem = data(name, weight_decay="1/3")
    runs = weights_after_a_step(problem)
    mean = flat(oracles.combine(runs))
    expected, covariance = lv.expected_weights(problem), lv.weight_covariance(problem)
    assert [(len(m), len(m[0])) for m in expected] == [(len(m), len(m[0])) for m in problem.weights]
    assert [entry(1) for entry in flat(expected)] == mean and len(set(mean)) == len(mean)
    for i, row in enumerate(covariance):
        for j, entry in enumerate(row):
            assert entry(1) == sum(p * flat(w)[i] * flat(w)[j] for p, w in runs) - mean[i] * mean[j]
    first = lv.large_batch(problem, 2)
    assert all(ours.agrees_with(theirs) for ours, theirs in zip(flat(first.weights), flat(expected), strict=True))
    for ours, theirs in zip(first.weight_covariance, covariance, strict=True):
        assert all(one.agrees_with(other) for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("name", ["2-3", "3-2"])
def test_everything_that_regression_says(name: str, sampling: str) -> None:
    """Mean and covariance of weights and gradient, of an image that is not square, and the distance from a target."""
    problem = data(name, sampling)
    moments, runs = lv.RegressionMoments(problem), weights_after_a_step(problem)
    mean = flat(oracles.combine(runs))
    assert flat([moments.mean_weights]) == mean
    covariance = [[entry(1) for entry in row] for row in moments.weight_covariance()]
    assert covariance == [
        [sum(p * flat(w)[i] * flat(w)[j] for p, w in runs) - mean[i] * mean[j] for j in range(6)] for i in range(6)
    ]
    image = [[1, 0, 2, "-1/2", 0, 1], [0, 1, 1, 0, 3, 0]]
    of_image = sum(
        a * b * covariance[i][j]
        for row in oracles.fractions(image)
        for i, a in enumerate(row)
        for j, b in enumerate(row)
    )
    assert moments.weight_variance(image)(1) == of_image != moments.weight_variance([row[::-1] for row in image])(1)
    target = [[1, 0, "1/2"], [2, -1, 0]] if name == "3-2" else [[1, 0], ["1/2", 2], [-1, 0]]
    away = [p * sum((a - b) ** 2 for a, b in zip(flat(w), flat([oracles.fractions(target)]))) for p, w in runs]
    assert moments.squared_distance(target)(1) == sum(away)
    with pytest.raises(ValueError, match=r"target has shape \(\d, \d\): give the weights W\*, shape \(\d, \d\)"):
        moments.squared_distance([list(column) for column in zip(*target)])


@pytest.mark.parametrize("name", ["2-3", "3-2"])
def test_the_minimiser_solves_the_normal_equations(name: str) -> None:
    """W* E x x^T = E y x^T, row by row of the data."""
    problem = data(name)
    rows = list(zip(oracles.fractions(problem.law.inputs), oracles.fractions(problem.law.targets)))
    best = lv.RegressionMoments(problem).minimiser()
    assert (len(best), len(best[0])) == (len(problem.weights[0]), len(problem.weights[0][0]))
    gradient = oracles.combine([(Fraction(1, 3), oracles.example_gradient((best,), row)) for row in rows])
    assert set(flat(gradient)) == {0}


def test_a_transposed_problem_is_refused() -> None:
    """Where the shapes were square it would pass for another problem."""
    problem = data("2-3-1")
    turned = [[list(column) for column in zip(*matrix)] for matrix in problem.weights]
    with pytest.raises(ValueError, match="weights"):
        lv.Problem(turned, problem.law)
