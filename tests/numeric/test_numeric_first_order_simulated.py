"""First order against simulated runs of a tanh network and a convolutional one, where it holds and where it fails.

The table of docs/first-order.md. A run is compared with the path at b = infinity and with its own linearised deviation, whose
effect on a loss has mean zero exactly: so the error of b (E F(w_t(b)) - F(w_t)) does not grow with b.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from linvar.numeric import first_order

#: Examples, updates, independent runs of each batch size.
N, STEPS, RUNS = 24, 6, 4_000


def mlp_loss(params: Any, example: Any) -> Any:
    """Cross entropy of a tanh network."""
    x, y = example
    return -jax.nn.log_softmax(params["c"] @ jnp.tanh(params["a"] @ x + params["b"]))[y]


def cnn_loss(params: Any, example: Any) -> Any:
    """Cross entropy of a convolution with tanh."""
    x, y = example
    hidden = jax.lax.conv_general_dilated(x[None, None], params["k"], (2, 2), "VALID")[0]
    return -jax.nn.log_softmax(params["c"] @ jnp.tanh(hidden + params["b"][:, None, None]).ravel())[y]


def network_problem(loss: Any) -> tuple[Any, Any, Any]:
    """Parameters, data, test data: float64."""
    rng = np.random.default_rng(0)
    if loss is mlp_loss:
        shape, classes = (6,), 3
        params = {"a": rng.normal(size=(4, 6)) / 2, "b": np.zeros(4), "c": rng.normal(size=(3, 4)) / 2}
    else:
        shape, classes = (6, 6), 2
        params = {"k": rng.normal(size=(3, 1, 3, 3)) / 3, "b": np.zeros(3), "c": rng.normal(size=(2, 12)) / 3}
    data, test = ((rng.normal(size=(n, *shape)), rng.integers(0, classes, size=n)) for n in (N, 12))
    own: tuple[Any, Any, Any] = jax.tree.map(jnp.asarray, (params, data, test))
    return own


def added(tree: Any, other: Any, scale: float = 1.0) -> Any:
    return jax.tree.map(lambda a, b: a + scale * b, tree, other)


def simulated(loss: Any, rate: float, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
    """b (E F(w_t(b)) - F(w_t)) of the train and the test loss, and standard errors; batches as counts of the examples."""
    params, data, test = network_problem(loss)
    every = np.full(N, 1 / N)
    counts = np.random.default_rng(batch_size).multinomial(batch_size, every, size=(RUNS, STEPS)) / batch_size

    def mean_loss(params: Any, shares: Any) -> Any:
        return jnp.vdot(shares, jax.vmap(loss, (None, 0))(params, data))

    gradient = jax.grad(mean_loss)

    def update(state: Any, shares: Any) -> Any:
        own, path, linear = state
        noise = added(gradient(path, shares), gradient(path, every), -1)
        along = jax.jvp(lambda w: gradient(w, every), (path,), (linear,))[1]
        after = added(own, gradient(own, shares), -rate), added(path, gradient(path, every), -rate)
        return (*after, added(linear, added(along, noise), -rate)), None

    def run(shares: Any) -> Any:
        start = params, params, jax.tree.map(jnp.zeros_like, params)
        own, path, linear = jax.lax.scan(update, start, shares)[0]
        effects = []
        for of in (lambda w: mean_loss(w, every), lambda w: jnp.mean(jax.vmap(loss, (None, 0))(w, test))):
            value, deviation = jax.jvp(of, (path,), (linear,))
            effects.append(of(own) - value - deviation)
        return jnp.stack(effects)

    found = np.asarray(jax.jit(lambda c: jax.lax.map(run, c, batch_size=250))(jnp.asarray(counts))) * batch_size
    return found.mean(axis=0), found.std(axis=0, ddof=1) / RUNS**0.5


@pytest.mark.parametrize(
    ("loss", "rate", "batch_sizes"),
    [
        (mlp_loss, 1.0, (16,)),
        pytest.param(mlp_loss, 0.3, (16, 64, 256), marks=pytest.mark.slow),
        pytest.param(mlp_loss, 1.0, (64, 256), marks=pytest.mark.slow),
        pytest.param(cnn_loss, 0.3, (16, 64, 256), marks=pytest.mark.slow),
    ],
)
def test_networks_agree_with_simulation(loss: Any, rate: float, batch_sizes: tuple[int, ...]) -> None:
    """Train and test loss within five standard errors, 1.2 times the coefficient is not, nor is one of its two parts."""
    with jax.enable_x64(True):
        params, data, test = network_problem(loss)
        path = first_order(loss, params, data, rate, STEPS, test_data=test)
        for b in batch_sizes:
            for own, value, error in zip((path.loss, path.test_loss), *simulated(loss, rate, b)):
                assert own is not None
                coefficient = own.coefficient[STEPS]
                assert abs(value - coefficient) < 5 * error
                assert abs(value - 1.2 * coefficient) > (5 * error if own is path.loss else 0)
                assert abs(own.shift[STEPS]) < 5 * error or abs(value - own.spread[STEPS]) > 5 * error


@pytest.mark.slow
def test_at_a_rate_too_large_first_order_has_the_wrong_sign() -> None:
    """The convolutional network at rate 2.5: "yes" to first order, and at b = 16 a smaller batch does harm."""
    with jax.enable_x64(True):
        params, data, test = network_problem(cnn_loss)
        path = first_order(cnn_loss, params, data, 2.5, STEPS, test_data=test)
        value, error = (own[0] for own in simulated(cnn_loss, 2.5, 16))
    assert path.smaller_batches_help().train.answer == "yes" and value > 5 * error
    assert (
        abs(path.loss.coefficient[STEPS]) / 16 > path.loss.limit[STEPS]
    )  # what is predicted is beyond the loss itself
