"""First-order gradient variance: what is refused, and how it is named."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest

import linvar as lv
from linvar.numeric import first_order
from linvar.numeric.laws.normal_rule import normal_rule


def square(w: Any, x: Any) -> Any:
    return 0.5 * jnp.sum((w - x) ** 2)


DATA = jnp.asarray([1.0, 2.0])


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"loss": 3}, TypeError, "loss"),
        ({"loss": lambda w, x: jnp.stack([w, x])}, ValueError, "loss returns .* for one example"),
        ({"steps": -1}, ValueError, "steps=-1 is negative"),
        ({"steps": 1.0}, TypeError, "steps"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate='fast' is of type str"),
        ({"learning_rate": math.nan}, ValueError, "learning_rate=nan is not finite"),
        ({"learning_rate": [0.1]}, ValueError, r"learning_rate has shape \(1,\), but steps=2"),
        ({"learning_rate": [0.1, math.inf]}, ValueError, r"learning_rate\[1\]=inf is not finite"),
        ({"nesterov": True}, ValueError, "nesterov=True needs momentum="),
        ({"learning_rate": "0.1"}, TypeError, "learning_rate='0.1' is of type str"),
        ({"learning_rate": ["0.1", 0.1]}, TypeError, r"learning_rate\[0\]='0.1' is of type str"),
        ({"learning_rate": optax.sgd(0.1)}, TypeError, "learning_rate is an optimizer: give its learning rate"),
        ({"weights": ["0.5", "0.5"]}, TypeError, r"weights=\['0.5', '0.5'\] is no array of numbers"),
        ({"params": jnp.asarray(1)}, TypeError, "params has leaves of type int32 only: there is nothing"),
        ({"params": jnp.zeros(0)}, ValueError, "params has no floating-point numbers"),
        (
            {"loss": lambda w, x: jnp.mean(x, axis=1)},
            ValueError,
            r"loss fails for one example .*give the loss of ONE example",
        ),
        (
            {"loss": lambda w, x: w * x[0], "data": DATA[:, None], "test_data": DATA},
            ValueError,
            "test_data does not fit: the loss",
        ),
        ({"params": {"a": 1j}}, TypeError, r"params\['a'\] is complex"),
        ({"data": (DATA, jnp.ones(3))}, ValueError, r"data has leaves with leading axes \[\(2,\), \(3,\)\]"),
        ({"data": jnp.zeros((0, 1))}, ValueError, r"data has leaves with leading axes \[\(0,\)\]"),
        ({"data": jax.random.normal}, TypeError, "is a function: give a large sample"),
        ({"data": lv.Dataset([[1]], [[1]]), "weights": [1.0]}, ValueError, "a law has its own; leave weights out"),
        ({"data": lv.Gaussian(lv.symbolic_matrix("T", 1, 1))}, ValueError, "contains the symbols"),
        ({"weights": [1.0]}, ValueError, r"weights has shape \(1,\), but data has 2 examples"),
        ({"weights": [1.5, -0.5]}, ValueError, "weights are no probabilities: smallest -0.5"),
        ({"weights": [1.0, 1.0]}, ValueError, "weights are no probabilities: .* sum 2"),
        ({"method": "exact"}, ValueError, "method='exact' is unknown"),
        ({"method": "probes"}, ValueError, "key is None: method 'probes'"),
        ({"method": "probes", "key": 0}, TypeError, "key=0 is not a typed key"),
        ({"method": "probes", "probes": 1}, ValueError, "probes=1: a standard error"),
        ({"method": "full", "params": jnp.ones(10_000)}, ValueError, "needs about 2,400,000,000 bytes"),
        ({"chunk_size": 0}, ValueError, "chunk_size=0"),
        (
            {"data": jnp.asarray([1.0, math.nan])},
            FloatingPointError,
            "after 0 of the steps .*: look at params and data",
        ),
        ({"learning_rate": 1e30}, FloatingPointError, "after 1 of the steps .* is not finite"),
    ],
)
def test_refusals_name_the_argument(changes: dict[str, Any], error: Any, message: str) -> None:
    arguments: dict[str, Any] = {"loss": square, "params": 3.0, "data": DATA, "learning_rate": 0.1, "steps": 2}
    with pytest.raises(error, match=message):
        first_order(**(arguments | changes))


ROWS = jnp.asarray([[0.2, -1.0], [1.0, 0.5], [0.3, 2.0]])


def test_what_is_no_parameter_of_an_equinox_module_is_held_fixed() -> None:
    """An activation function, a number of layers; the path is that of the arrays alone."""
    eqx = pytest.importorskip("equinox")
    layer = eqx.nn.MLP(2, "scalar", 2, 1, activation=jnp.tanh, key=jax.random.key(0))
    arrays, rest = eqx.partition(layer, eqx.is_inexact_array)
    whole = first_order(lambda m, x: (m(x) - 1) ** 2, layer, ROWS, 0.1, 2)
    alone = first_order(lambda p, x: (eqx.combine(p, rest)(x) - 1) ** 2, arrays, ROWS, 0.1, 2)
    assert whole.weight_covariance is not None and whole.weight_covariance.shape == (3, 9, 9)
    assert (whole.loss.coefficient == alone.loss.coefficient).all() and whole.loss.coefficient[2] != 0


def test_what_is_no_parameter_of_a_flax_module_is_held_fixed() -> None:
    """A running mean."""
    nnx = pytest.importorskip("flax.nnx")

    class Scaled(nnx.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self.w, self.seen = nnx.Param(jnp.asarray([1.0, 2.0])), nnx.BatchStat(jnp.asarray(2.0))

    found = first_order(lambda m, x: (m.w[...] @ x / m.seen[...] - 1) ** 2, Scaled(), ROWS, 0.1, 2)
    plain = first_order(lambda w, x: (w @ x / 2 - 1) ** 2, jnp.asarray([1.0, 2.0]), ROWS, 0.1, 2)
    assert found.loss.coefficient == pytest.approx(plain.loss.coefficient, rel=1e-5)


def linear(weight: Any, example: Any) -> Any:
    return 0.5 * jnp.sum((weight @ example[0] - example[1]) ** 2)


def test_a_gaussian_law_needs_a_quadratic_loss() -> None:
    """Also where the degree is hidden at the start: tanh at weights 0, and a ReLU, quadratic almost everywhere."""
    law = lv.Gaussian([[1, 2]])
    for activation, start in ((jnp.tanh, 0.0), (jax.nn.relu, 1.0)):

        def loss(weight: Any, example: Any, activation: Any = activation) -> Any:
            return 0.5 * jnp.sum((activation(weight @ example[0]) - example[1]) ** 2)

        with pytest.raises(ValueError, match="not a polynomial of degree 2 in the example"):
            first_order(loss, jnp.full((1, 2), start), law, 0.1, 1)
    assert first_order(linear, jnp.ones((1, 2)), law, 0.1, 1).variance.coefficient[0] > 0
    with pytest.raises(ValueError, match="beyond 255 give a large sample"):
        normal_rule(256)


def test_negative_rates_climb() -> None:
    up = first_order(square, 3.0, DATA, -0.1, 1)
    assert up.loss.limit[1] > up.loss.limit[0]


def test_under_jit_it_says_what_to_do() -> None:
    with pytest.raises(TypeError, match="params is traced: .* call it outside jax.jit"):
        jax.jit(lambda w: first_order(square, w, DATA, 0.1, 1).variance.coefficient)(1.0)
