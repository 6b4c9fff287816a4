"""What linvar makes goes to another process and back, and through ``copy``: the same answers, and what was not asked for yet."""

from __future__ import annotations

import copy
import math
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import linvar as lv

TWO_LAYERS = lv.Problem([[[1, 2], [0, 1]], [[1, "1/2"]]], lv.Gaussian([[1, 2]]), learning_rate="1/10", step=1)
ONE_LAYER = lv.Problem([[[1, 2]]], lv.Gaussian([["1/3", 1]], noise_variance=1), learning_rate="1/10", step=2)
WAYS = pytest.mark.parametrize("again", [lambda made: pickle.loads(pickle.dumps(made)), copy.copy, copy.deepcopy])


@WAYS
@pytest.mark.parametrize("road", [lv.Expansion(), lv.Lattice()])
def test_a_derivation_is_pickled_with_what_it_found(again: Any, road: Any) -> None:
    exact = lv.derive(TWO_LAYERS, road)
    variance = exact.variance
    found = again(exact)
    assert (repr(found), found.plan) == (repr(exact), exact.plan)
    assert len(found.to_table().rows) == 1 and found.to_table().to_text() == exact.to_table().to_text()
    assert found.variance == variance
    assert found.loss == lv.expected_loss(TWO_LAYERS)  # not found before
    assert again(found.per_leaf).variance == exact.per_leaf.variance


@WAYS
def test_derivations_of_several_steps_are_pickled(again: Any) -> None:
    exact = lv.derive_steps(TWO_LAYERS, [2, 0, 1])
    found = again(exact)
    assert type(found) is type(exact) and repr(found) == repr(exact)
    assert [one.variance for one in found] == [lv.gradient_variance(TWO_LAYERS.replace(step=t)) for t in (2, 0, 1)]
    assert again(lv.derive_steps(TWO_LAYERS, ())) == ()


@WAYS
@pytest.mark.parametrize(("order", "digits"), [(1, None), (2, None), (2, 20)])
def test_large_batches_are_pickled_with_what_they_found(again: Any, order: int, digits: int | None) -> None:
    expansions = lv.large_batch(TWO_LAYERS, order, digits)
    variance = expansions.variance
    found = again(expansions)
    assert (repr(found), found.plan) == (repr(expansions), expansions.plan)
    assert found.to_table().to_text() == expansions.to_table().to_text()
    assert repr(found.variance) == repr(variance) and found.variance.agrees_with(lv.gradient_variance(TWO_LAYERS))
    assert found.loss.agrees_with(lv.expected_loss(TWO_LAYERS))  # not found before
    assert repr(again(found.per_leaf).variance) == repr(expansions.per_leaf.variance)


@WAYS
def test_regression_moments_are_pickled(again: Any) -> None:
    moments = lv.RegressionMoments(ONE_LAYER)
    found = again(moments)
    assert (found.gradient_variance(), found.mean_weights) == (lv.gradient_variance(ONE_LAYER), moments.mean_weights)


@WAYS
def test_a_polynomial_in_jax_is_pickled(again: Any) -> None:
    (w,) = lv.symbolic_matrix("w", 1, 1)
    polynomial = lv.BatchPolynomial([0, w**2, 3], sampling="without_replacement", dataset_size=9)
    function = again(polynomial.to_jax())
    assert repr(function) == "JaxFunction(degree 2 in 1/b; w)"
    assert float(function(2, w=2)) == 2.75
    with pytest.raises(lv.InputError, match="^batch_size=10 is more"):
        function(10, w=2)


@WAYS
def test_a_plan_equals_its_pickle(again: Any) -> None:
    """A road that is out of the question has no seconds, a NaN: equal to another, and to nothing else."""
    plan = lv.plan(TWO_LAYERS)
    found = again(plan)
    assert math.isnan(plan["regression"].seconds) and math.isnan(found["regression"].seconds)
    assert found == plan and hash(found) == hash(plan) and found != lv.plan(ONE_LAYER)
    assert {found["regression"]: 1} == {plan["regression"]: 1}
    for change in ({"seconds": 1.0}, {"bytes": 1}, {"obstacle": "another"}, {"waits": True}, {"size": "x"}):
        assert replace(plan["regression"], **change) != plan["regression"]
    assert plan["regression"] != plan["regression"].road


def test_integers_of_numpy_are_kept_as_ints() -> None:
    road = lv.Lattice(block_bytes=np.int32(2**20))
    assert repr(road) == repr(lv.Lattice(block_bytes=2**20)) and type(road.block_bytes) is int
    assert lv.trace_formula(2, 0).coefficient(np.int8(1)) == lv.trace_formula(2, 0).coefficient(1)
