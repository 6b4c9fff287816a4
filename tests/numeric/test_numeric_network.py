"""The Flax network: applied, differentiated, made from a problem."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from linvar.exact import Rational
from linvar.laws.gaussian import Gaussian
from linvar.numeric.models.network import LinearNetwork, batch_loss, loss, network_from_problem
from linvar.problem import Problem


def test_the_layers_are_applied_in_order_however_many():
    rng = np.random.default_rng(0)
    weights = [rng.normal(size=(3, 3)) for _ in range(12)]
    x = rng.normal(size=3)
    expected = x
    for weight in weights:
        expected = weight @ expected
    with jax.enable_x64(True):
        network = LinearNetwork([jnp.asarray(weight) for weight in weights])
        # dtype float64, condition of the product below 1e4
        np.testing.assert_allclose(network(jnp.asarray(x)), expected, rtol=1e-10)
        for mine, given in zip(network.weights, weights):
            np.testing.assert_array_equal(mine, given)
        rebuilt = nnx.merge(*nnx.split(network))
        for mine, given in zip(rebuilt.weights, weights):
            np.testing.assert_array_equal(mine, given)


def test_the_loss_of_one_example_has_the_factor_one_half():
    network = LinearNetwork([jnp.asarray([[1.0, 0.0], [0.0, 1.0]])])
    assert loss(network, (jnp.asarray([3.0, 0.0]), jnp.asarray([0.0, 4.0]))) == 12.5


def test_the_loss_of_a_batch_is_the_mean():
    network = LinearNetwork([jnp.asarray([[2.0]])])
    inputs, targets = jnp.asarray([[1.0], [2.0], [0.0]]), jnp.asarray([[0.0], [1.0], [5.0]])
    assert float(batch_loss(network, inputs, targets)) == pytest.approx((2 + 4.5 + 12.5) / 3, rel=1e-6)  # float32


def test_float64_and_float32_without_any_global_flag():
    before = jnp.zeros(1).dtype
    problem = Problem(weights=[[["1/3"]]], law=Gaussian([[1]]))
    assert network_from_problem(problem).weights[0].dtype == "float64"
    assert float(network_from_problem(problem).weights[0][0, 0]) == 1 / 3
    assert network_from_problem(problem, "float32").weights[0].dtype == "float32"
    assert jnp.zeros(1).dtype == before


def test_numbers_of_any_length_are_rounded_once():
    problem = Problem(weights=[[[Rational(10**5000 + 1, 3 * 10**5000)]]], law=Gaussian([[1]]))
    assert float(network_from_problem(problem).weights[0][0, 0]) == 1 / 3


@pytest.mark.parametrize(("entry", "dtype"), [(10**400, "float64"), (10**39, "float32")])
def test_numbers_beyond_the_dtype_are_refused(entry, dtype):
    problem = Problem(weights=[[[1]], [[entry]]], law=Gaussian([[1]]))
    with pytest.raises(ValueError, match=rf"weights\[1\] .*{dtype}"):
        network_from_problem(problem, dtype)


def test_symbols_are_refused_by_name():
    sympy = pytest.importorskip("sympy")
    problem = Problem(weights=[[[sympy.Symbol("omega")]]], law=Gaussian([[1]]))
    with pytest.raises(ValueError, match="symbols omega: .*substitute"):
        network_from_problem(problem)
