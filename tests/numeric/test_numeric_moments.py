"""Per-example gradient moments of any JAX loss, against NumPy on gradients written out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from linvar.numeric.moments import gradient_moments, noise_scale

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(23, 4)), RNG.normal(size=23)
PARAMS = {"slope": RNG.normal(size=4), "offset": np.array(0.3)}


def curved_loss(params, example):
    """Not linear, several leaves: log cosh of the error."""
    x, y = example
    return jnp.log(jnp.cosh(x @ params["slope"] + params["offset"] - y))


def by_hand(ddof):
    """Mean gradients and traces, by NumPy."""
    outer = np.tanh(X @ PARAMS["slope"] + PARAMS["offset"] - Y)
    gradients = {"slope": outer[:, None] * X, "offset": outer}
    means = {name: value.mean(axis=0) for name, value in gradients.items()}
    return means, {name: value.var(axis=0, ddof=ddof).sum() for name, value in gradients.items()}


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("chunk_size", [None, 1, 5, 22, 23, 100])
def test_any_loss_any_pytree_any_chunk(ddof, chunk_size):
    with jax.enable_x64(True):
        params = jax.tree.map(jnp.asarray, PARAMS)
        batch = (jnp.asarray(X), jnp.asarray(Y))
        moments = gradient_moments(curved_loss, params, batch, ddof=ddof, chunk_size=chunk_size)
        means, traces = by_hand(ddof)
        for name in PARAMS:  # float64, 23 terms
            np.testing.assert_allclose(moments.mean[name], means[name], rtol=1e-12, atol=1e-14)
            np.testing.assert_allclose(moments.trace_per_leaf[name], traces[name], rtol=1e-12)
            other_divisor = by_hand(1 - ddof)[1][name]
            assert abs(moments.trace_per_leaf[name] / other_divisor - 1) > 0.04
        np.testing.assert_allclose(moments.trace, sum(traces.values()), rtol=1e-12)


def test_a_byte_budget_means_small_chunks_and_the_same_answer():
    batch = (jnp.asarray(X, "float32"), jnp.asarray(Y, "float32"))
    params = jax.tree.map(lambda p: jnp.asarray(p, "float32"), PARAMS)
    whole, small = (gradient_moments(curved_loss, params, batch, byte_budget=budget) for budget in (2**28, 1))
    np.testing.assert_allclose(small.trace, whole.trace, rtol=1e-5)  # float32
    assert not np.allclose(1.5 * small.trace, whole.trace, rtol=1e-5)


@pytest.mark.parametrize("chunk_size", [100, 1000])
def test_float32_does_not_cancel_when_the_mean_is_large(chunk_size):
    values = (3000.0 + np.random.default_rng(0).normal(size=1000)).astype("float32")
    moments = gradient_moments(lambda w, x: w * x, jnp.float32(1), jnp.asarray(values), chunk_size=chunk_size)
    truth = values.astype("float64").var(ddof=1)
    assert abs(float(moments.trace) / truth - 1) < 1e-3  # deviations of 1 are held to 2**-12 at 3000
    naive = np.mean(values**2, dtype="float32") - np.mean(values, dtype="float32") ** 2
    assert abs(naive / truth - 1) > 0.1  # what this test is there to catch


def test_noise_scale_both_conventions():
    batch = jnp.asarray([1.0, 2.0, 6.0])
    population, sample = (gradient_moments(lambda w, x: w * x, jnp.float32(1), batch, ddof=ddof) for ddof in (0, 1))
    assert float(noise_scale(population)) == pytest.approx((14 / 3) / 9, rel=1e-6)
    assert float(noise_scale(sample)) == pytest.approx(7 / (9 - 7 / 3), rel=1e-6)


def test_noise_scale_is_infinite_where_the_mean_is_not_resolved():
    moments = gradient_moments(lambda w, x: w * x, jnp.float32(1), jnp.asarray([-1.0, 1.0]))
    assert float(noise_scale(moments)) == np.inf


def test_it_runs_inside_jit():
    batch = jnp.asarray([1.0, 2.0, 6.0])
    compiled = jax.jit(lambda w: gradient_moments(lambda w, x: w * x, w, batch, chunk_size=2))
    assert float(compiled(jnp.float32(1)).trace) == pytest.approx(7, rel=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"ddof": 2}, "ddof=2"), ({"chunk_size": 0}, "chunk_size=0"), ({"batch": jnp.ones(1)}, "1 examples"),
     ({"batch": (jnp.ones(2), jnp.ones(3))}, "leading axes"), ({"batch": jnp.ones(())}, "leading axes")],
)  # fmt: skip
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        gradient_moments(**{"loss": lambda w, x: w * x, "params": jnp.float32(1), "batch": jnp.ones(3), **options})
