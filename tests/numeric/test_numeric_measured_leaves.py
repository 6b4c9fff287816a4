"""Some leaves only; the noise scale preconditioned, and weighted with the curvature: against explicit matrices in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from linvar.errors import InputError, InputTypeError, NotFiniteError
from linvar.numeric.gradients.hessian import hessian_noise_scale
from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.noise import noise_scale
from linvar.numeric.gradients.recorder import record_noise, recorded_noise

RNG = np.random.default_rng(4)
N = 24
PARAMS = {"w": RNG.normal(size=(4, 3)), "norm": {"scale": 1 + RNG.normal(size=3) / 3, "shift": RNG.normal(size=3)}}
BATCH = (RNG.normal(size=(N, 4)), np.sign(RNG.normal(size=N)))
NORM = {"w": False, "norm": True}


@pytest.fixture(autouse=True)
def doubles():
    with jax.enable_x64(True):
        yield


def loss(p, e):
    hidden = jnp.tanh(e[0] @ p["w"])
    return jnp.logaddexp(0.0, -e[1] * jnp.sum((hidden - jnp.mean(hidden)) * p["norm"]["scale"] + p["norm"]["shift"]))


def by_path(params):
    """The same leaves, as a function of the parameters."""
    return jax.tree_util.tree_map_with_path(lambda path, _: "norm" in jax.tree_util.keystr(path), params)


@pytest.fixture(scope="module")
def explicit():
    """Per-example gradients (N, entries), entries of the norm first, and the Hessian of the mean loss."""
    with jax.enable_x64(True):
        point, back = ravel_pytree(PARAMS)
        losses = jax.jit(lambda x: jax.vmap(loss, (None, 0))(back(x), BATCH))
        return np.asarray(jax.jacobian(losses)(point)), np.asarray(jax.hessian(lambda x: jnp.mean(losses(x)))(point))


@pytest.mark.parametrize("leaves", [NORM, by_path, {"w": np.False_, "norm": {"scale": True, "shift": True}}])
def test_some_leaves_are_measured_and_the_mean_is_of_all(leaves, explicit):
    g = explicit[0]
    own = g[:, :6]  # "norm" comes before "w"
    options = dict(squared_norms=True, variance=True, along="mean", explain=True)
    found = gradient_moments(loss, PARAMS, BATCH, leaves=leaves, **options)
    same = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14)  # noqa: E731
    same(ravel_pytree(found.mean)[0], g.mean(0))
    same(ravel_pytree(found.variance)[0], own.var(0, ddof=1))
    same(found.trace, own.var(0, ddof=1).sum())
    same(found.squared_mean, (own.mean(0) ** 2).sum() - own.var(0, ddof=1).sum() / N)
    same(found.squared_norms, (own**2).sum(1))
    same(found.along.products, own @ own.mean(0))
    same(found.norm_test_radius, np.sqrt(own.var(0, ddof=1).sum() / N / (own.mean(0) ** 2).sum()))
    same(ravel_pytree(found.gradient_snr)[0], own.mean(0) ** 2 / own.var(0, ddof=1))
    same(found.preconditioned(jax.tree.map(lambda x: 2.0, PARAMS)).trace, 4 * found.trace)
    assert found.trace_per_leaf["w"] is found.variance["w"] is found.cancelled_per_leaf["w"] is None
    assert (
        found.to_table().columns[0] == "leaf" and len(found.to_table().rows) == 3 and len(found.explanation.leaves) == 2
    )


def test_a_recorder_of_some_leaves_trains_all():
    """optax.masked says which the recorder sees, as it does for any transformation."""
    optimizer = optax.chain(optax.masked(record_noise(accumulate=2), by_path), optax.sgd(0.1))

    @jax.jit
    def step(params, state):
        moments = gradient_moments(loss, params, BATCH, leaves=by_path)
        updates, state = optimizer.update(moments.mean, state, params, moments=moments)
        return updates, state, moments.trace, jax.grad(lambda p: jnp.mean(jax.vmap(loss, (None, 0))(p, BATCH)))(params)

    state = optimizer.init(PARAMS)
    for _ in range(2):
        updates, state, trace, plain = step(PARAMS, state)
    np.testing.assert_allclose(ravel_pytree(updates)[0], -0.1 * ravel_pytree(plain)[0], rtol=1e-10, atol=1e-15)
    assert recorded_noise(state).variance == pytest.approx(float(trace) * 2 * (N - 1) / (2 * N - 1), rel=1e-10)


def test_the_noise_scale_of_some_leaves_and_with_a_preconditioner(explicit):
    g = explicit[0]
    some = noise_scale(loss, PARAMS, BATCH, leaves=by_path, blocks=8)
    assert some.trace == pytest.approx(g[:, :6].var(0, ddof=1).sum(), rel=1e-10)
    assert some.mean["w"] is None and set(some.trace_per_leaf["norm"]) == {"scale", "shift"}
    scale = jax.tree.map(np.abs, PARAMS)
    scaled = g * np.abs(ravel_pytree(PARAMS)[0])
    found = noise_scale(loss, PARAMS, BATCH, precondition=scale, blocks=8)
    assert found.trace == pytest.approx(scaled.var(0, ddof=1).sum(), rel=1e-10)
    assert found.squared_mean == pytest.approx((scaled.mean(0) ** 2).sum() - found.trace / N, rel=1e-9)
    both = noise_scale(loss, PARAMS, BATCH, precondition=scale, leaves=NORM, blocks=8)
    assert both.trace == pytest.approx(scaled[:, :6].var(0, ddof=1).sum(), rel=1e-10)


def test_the_noise_scale_with_curvature_is_that_of_the_matrices(explicit):
    g, hessian = explicit
    found = {}
    for ddof, options in ((0, {"chunk_size": 7}), (1, {})):
        sigma, mean = np.cov(g.T, ddof=ddof), g.mean(0)
        trace = np.trace(hessian @ sigma)
        below = mean @ hessian @ mean - ddof * trace / N
        own = found[ddof] = hessian_noise_scale(
            loss, PARAMS, BATCH, jax.random.key(3), probes=400, ddof=ddof, **options
        )
        error = float(own.trace_standard_error)
        assert abs(own.trace - trace) < 4 * error < 0.5 * abs(trace) and not abs(1.5 * trace - own.trace) < 4 * error
        assert own.curvature == pytest.approx(mean @ hessian @ mean - ddof * float(own.trace) / N, rel=1e-10)
        if below > 0 and own.curvature > 0:
            assert abs(own.noise_scale - trace / below) < 4 * own.standard_error
    assert float(found[1].trace) == pytest.approx(float(found[0].trace) * N / (N - 1), rel=1e-10)  # the same probes


def test_curvature_weighs_the_noise_as_by_hand():
    """g_i = h (w - x_i) and H = diag(h); the simple noise scale is another number."""
    h, x = np.asarray([1.0, 4.0]), RNG.normal(size=(50, 2)) * np.asarray([3.0, 1.0]) + 1
    weighted = lambda w, x: jnp.sum(h * (w - x) ** 2) / 2  # noqa: E731
    found = hessian_noise_scale(weighted, np.zeros(2), x, jax.random.key(1), probes=2000)
    variance, mean = x.var(0, ddof=1), x.mean(0)
    scale, simple = (h**k @ variance / (h**k @ mean**2 - h**k @ variance / 50) for k in (3, 2))
    assert abs(found.noise_scale - scale) < 4 * found.standard_error < abs(found.noise_scale - simple)
    assert gradient_moments(weighted, np.zeros(2), x).noise_scale == pytest.approx(simple, rel=1e-10)


def test_one_parameter_needs_no_luck():
    """H = 2 a number: every probe is v^2 H; and examples that agree have no noise."""
    x = np.asarray([1.0, 2.0, 6.0])
    square = lambda w, x: (w - x) ** 2  # noqa: E731
    found = hessian_noise_scale(square, 0.0, x, jax.random.key(0), probes=4000)
    assert float(found.trace) == pytest.approx(2 * (2 * x).var(ddof=1), abs=4 * float(found.trace_standard_error))
    assert float(found.curvature) == pytest.approx(2 * (2 * x.mean()) ** 2 - float(found.trace) / 3, rel=1e-12)
    alike = hessian_noise_scale(square, 0.0, np.full(3, 2.0), jax.random.key(0), probes=2)
    assert 0 <= float(alike.trace) < 1e-28 and float(alike.standard_error) < 1e-28 and alike.examples == 3
    one = hessian_noise_scale(square, 0.0, np.full(1, 2.0), jax.random.key(0), probes=2, ddof=0)
    assert float(one.trace) == 0 and float(one.curvature) == 32
    flat = hessian_noise_scale(lambda w, x: w * x, 0.0, x, jax.random.key(0), probes=2)
    assert float(flat.noise_scale) == float(flat.standard_error) == np.inf and "inf" in repr(flat)


@pytest.mark.slow
def test_padding_batches_and_jit_leave_the_curvature_as_it_is():
    """Rows of padding are NaN; the same signs for the rows that count."""
    of_batch = lambda w, x: jnp.mean(jnp.sum((x * w - 1) ** 4, axis=1))  # noqa: E731
    x = np.vstack([RNG.normal(size=(6, 2)), np.full((3, 2), np.nan)])
    live, key, w = np.arange(9) < 6, jax.random.key(5), np.asarray([0.3, -0.2])
    options = dict(batched=True, probes=8)
    plain = hessian_noise_scale(of_batch, w, x[:6], key, **options)
    padded = jax.jit(lambda x, mask: hessian_noise_scale(of_batch, w, x, key, mask=mask, **options))(x, live)
    assert float(padded.curvature + padded.trace / 6) == pytest.approx(
        float(plain.curvature + plain.trace / 6), rel=1e-12
    )
    assert np.isfinite(padded.trace) and padded.examples == 6 and repr(padded).startswith("HessianNoiseScale(")
    traced = jax.jit(lambda x, mask: hessian_noise_scale(of_batch, w, x, key, mask=mask, **options))(x, 2.0 * live)
    assert np.isnan(traced.trace) and np.isnan(traced.noise_scale)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"leaves": {"w": 1, "norm": True}}, InputTypeError, "leaves holds 1"),
        ({"leaves": {"w": True}}, InputError, "leaves is no prefix of params"),
        ({"leaves": False}, InputError, "leaves chooses no floating-point leaf of params"),
        ({"leaves": lambda p: None}, InputError, "leaves is no prefix of params"),
    ],
)
def test_leaves_that_cannot_be_chosen_are_named(options, error, message):
    for function in (gradient_moments, noise_scale):
        with pytest.raises(error, match=message):
            function(loss, PARAMS, BATCH, **options)


def test_leaves_without_a_gradient_are_not_enough():
    params = {"w": jnp.ones(2), "n": jnp.asarray([1, 2])}
    for function in (gradient_moments, noise_scale):
        with pytest.raises(InputError, match="leaves chooses no floating-point leaf of params"):
            function(lambda p, x: jnp.sum(p["w"] * x * p["n"]), params, np.ones((3, 2)), leaves={"w": False, "n": True})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"probes": 1}, InputError, "probes=1: a standard error over probes needs at least 2"),
        ({"ddof": 2}, InputError, "ddof=2: give 1"),
        ({"batch": np.ones(1)}, InputError, "batch has 1 examples: give at least 2 for ddof=1"),
        ({"mask": [True, False, False]}, InputError, "mask has 1 rows that count: give at least 2"),
        ({"batch": np.asarray([1.0, np.nan, 2.0])}, NotFiniteError, "batch has gradients or second derivatives that are not"),
    ],
)  # fmt: skip
def test_bad_arguments_of_the_curvature_are_named(options, error, message):
    with pytest.raises(error, match=message):
        hessian_noise_scale(
            **{"loss": lambda w, x: w * x**2, "params": 1.0, "batch": np.ones(3), "key": jax.random.key(0)} | options
        )
