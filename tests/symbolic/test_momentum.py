"""Momentum, Nesterov and weight decay; the variance of the update; mean and covariance of the weights."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import optax
import oracles
import pytest
import strategies
import sympy
from hypothesis import given

import linvar as lv
from linvar.symbolic.quantities import SecondMoment, SquaredMean, Variance

DATA = lv.Dataset([[1, 2], [0, 1], [-1, 1]], [1, 0, "1/2"])
NARROW = lv.Dataset([[1], [-2], [1]], [1, "1/2", 0])
RULES: list[dict[str, Any]] = [
    {"momentum": "1/2"},
    {"momentum": "1/2", "nesterov": True},
    {"weight_decay": "1/3"},
    {"momentum": "-1/3", "nesterov": True, "weight_decay": "1/4"},
]


def rows(network: Any) -> list[Any]:
    """The entries of all matrices, in order."""
    return [entry for matrix in network for row in matrix for entry in row]


@pytest.mark.parametrize("rule", RULES)
def test_the_oracle_follows_optax(rule: dict[str, Any]) -> None:
    """Three steps on given gradients: weights as optax makes them."""
    problem = lv.Problem([[[1, 2]], [[-1]]], DATA, "1/10", 3, **rule)
    mu, decay = float(problem.momentum), float(problem.weight_decay)
    made = optax.chain(optax.add_decayed_weights(decay), optax.sgd(0.1, momentum=mu or None, nesterov=problem.nesterov))
    weights = tuple(map(oracles.fractions, problem.weights))
    momenta = oracles.combine([(Fraction(0), weights)])
    with jax.enable_x64(True):
        theirs = jnp.asarray([float(entry) for entry in rows(weights)])
        state = made.init(theirs)
        for step in range(3):
            gradient = oracles.combine([(Fraction(step + 1, 7), weights)])
            flat = jnp.asarray([float(entry) for entry in rows(gradient)])
            updates, state = made.update(flat, state, theirs)
            theirs = optax.apply_updates(theirs, updates)
            weights, momenta = oracles.optax_step(problem, weights, momenta, gradient, Fraction(1, 10))
            assert max(abs(float(a) - float(b)) for a, b in zip(rows(weights), theirs)) < 1e-14


@pytest.mark.parametrize("of", ["gradient", "update"])
@pytest.mark.parametrize("sampling", ["iid", "without_replacement"])
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    ("weights", "step", "batch_size"),
    [([[[1, 2]]], 2, 2), ([[["1/2"]], [[-1]]], 2, 2), ([[[1, 0]], [[2]], [[1]]], 1, 2)],
)
def test_every_rule_equals_enumeration(
    weights: Any, step: int, batch_size: int, rule: dict[str, Any], sampling: str, of: str
) -> None:
    law = DATA if len(weights[0][0]) == 2 else NARROW
    problem = lv.Problem(weights, law, "1/5", step, sampling, **rule)
    truth = oracles.enumerate_batches(problem, batch_size, of)
    exact = lv.derive(problem)
    for quantity, kind, expected in (
        (lv.gradient_variance, Variance, truth.variances),
        (lv.second_moment, SecondMoment, truth.second_moments),
        (lv.squared_mean, SquaredMean, truth.squared_means),
    ):
        found = exact.all(kind(of, per_leaf=True))
        assert tuple(polynomial(batch_size) for polynomial in found) == expected
        assert quantity(problem, of=of) == exact.one(kind(of)) == sum(found[1:], found[0])
    assert lv.expected_loss(problem)(batch_size) == truth.expected_loss
    plain = problem.replace(momentum=0, nesterov=False, weight_decay=0)
    if of == "gradient":  # a momentum at rest does not show after one step
        assert step == 1 or oracles.enumerate_batches(plain, batch_size).variances != truth.variances
    else:
        assert lv.gradient_variance(problem)(batch_size) != truth.variance


def test_the_update_of_plain_sgd_is_the_gradient_times_the_rate() -> None:
    problem = lv.Problem([[[1, 2]], [[-1]]], DATA, "1/5", 1)
    assert lv.gradient_variance(problem, of="update") == lv.gradient_variance(problem) / 25
    schedule = problem.replace(learning_rate=["1/5"])
    with pytest.raises(ValueError, match="of='update' with a schedule of 1 learning rates"):
        lv.gradient_variance(schedule, of="update")
    with pytest.raises(ValueError, match="of='weights' is unknown: write 'gradient' or 'update'"):
        lv.gradient_variance(problem, of="weights")


@given(strategies.problems("dataset"))
def test_weights_equal_enumeration(problem: lv.Problem) -> None:
    """Mean and covariance of the weights, at b = 1, summed over every sequence of rows."""
    examples = list(zip(oracles.fractions(problem.law.inputs), oracles.fractions(problem.law.targets)))
    start = tuple(map(oracles.fractions, problem.weights))
    state = {(start, oracles.combine([(Fraction(0), start)])): Fraction(1)}
    for rate in problem.learning_rates:
        after: dict[Any, Fraction] = {}
        for (weights, momenta), chance in state.items():
            for batch, probability in oracles.all_batches(examples, 1, "iid"):
                gradient = oracles.batch_gradient(weights, batch, {})
                moved = oracles.optax_step(problem, weights, momenta, gradient, Fraction(rate))
                after[moved] = after.get(moved, Fraction(0)) + chance * probability
        state = after
    flat = [(chance, rows(weights)) for (weights, _), chance in state.items()]
    count = len(flat[0][1])
    mean = [sum(p * w[i] for p, w in flat) for i in range(count)]
    assert [entry(1) for entry in rows(lv.expected_weights(problem))] == mean
    if count > 4:
        return
    covariance = lv.weight_covariance(problem)
    for i in range(count):
        for j in range(count):
            expected = sum(p * w[i] * w[j] for p, w in flat) - mean[i] * mean[j]
            assert covariance[i][j](1) == expected and covariance[i][j] == covariance[j][i]


def test_symbols_may_be_momentum_and_decay() -> None:
    mu, decay = sympy.symbols("mu lambda")
    for weights in ([[[1]], [[2]]], [[[2]]]):
        symbolic = lv.Problem(weights, lv.Gaussian([[1]]), "1/10", 2, momentum=mu, nesterov=True, weight_decay=decay)
        variance = lv.gradient_variance(symbolic)
        for values in ({mu: "1/2", decay: "1/3"}, {mu: "1/4", decay: 0}):
            numbers = symbolic.replace(momentum=values[mu], weight_decay=values[decay])
            assert variance.subs(values) == lv.gradient_variance(numbers)


def test_degrees_keep_their_bounds() -> None:
    problem = lv.Problem([[[1]], [[2]]], lv.Gaussian([[1]]), "1/10", 2, momentum="1/2", weight_decay="1/5")
    for polynomial in (lv.gradient_variance(problem), lv.squared_mean(problem), lv.expected_loss(problem)):
        assert 0 < polynomial.degree <= polynomial.degree_bound
    for matrix in lv.expected_weights(problem):
        assert matrix[0][0].degree == matrix[0][0].degree_bound == 2
    assert lv.gradient_variance(problem).degree == 23


def test_a_perfect_fit_with_decay_moves() -> None:
    fitted = lv.Problem([[[1]], [[2]]], lv.Gaussian([[2]]), "1/10", 2)
    assert not lv.gradient_variance(fitted)
    decayed = fitted.replace(weight_decay="1/2")
    assert decayed.replace(step=1) and lv.gradient_variance(decayed.replace(step=1)).degree == 1
    assert lv.gradient_variance(decayed).degree == 6
    assert oracles.exact_quadrature(decayed, 1).variance == lv.gradient_variance(decayed)(1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"momentum": 0.5}, TypeError, "momentum=0.5"),
        ({"weight_decay": "x"}, ValueError, "weight_decay='x'"),
        ({"nesterov": 1, "momentum": "1/2"}, TypeError, "nesterov=1 is of type int: write True or False"),
        ({"nesterov": True}, ValueError, "nesterov=True needs momentum="),
    ],
)
def test_what_is_wrong_is_named(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        lv.Problem([[[1]]], lv.Gaussian([[1]]), **arguments)
