"""What is measured beside the trace, against per-example gradients by vmap(grad) in float64."""

import inspect
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from linvar.errors import InputError, InputTypeError
from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.per_example.strategies.outer import FAR, _entrywise_if_apart
from linvar.numeric.gradients.recorder import record_noise, recorded_noise

RNG = np.random.default_rng(8)
N, C = 14, 4.0
SHAPES = {"outer": (4, 3), "table": (5, 3), "rows": (2, 6), "decayed": (3,)}
PARAMS = {name: RNG.normal(size=shape) for name, shape in SHAPES.items()}
BATCH = (RNG.normal(size=(N, 4)), np.sign(RNG.normal(size=N)), RNG.integers(0, 5, (N, 2)))
EVERYTHING = dict(squared_norms=True, second_moment=True, variance=True, along="mean", clip_norm=C)


@pytest.fixture(autouse=True)
def doubles():
    with jax.enable_x64(True):
        yield


def loss(p, e):
    """A leaf of each strategy: outer; lookup; two rows; and one with a penalty, through a function of it."""
    hidden = jnp.tanh(e[0] @ p["outer"] + jnp.sum(p["table"][e[2]], axis=0))
    pairs = jnp.stack([hidden[:-1], hidden[1:]]) @ p["rows"]
    return (
        jnp.logaddexp(0.0, -e[1] * (hidden @ p["decayed"])) + 0.1 * jnp.sum(pairs**2) + 0.1 * jnp.sum(p["decayed"] ** 2)
    )


def flat(tree, lead=1):
    """(..., all entries of all leaves)."""
    leaves = [np.asarray(x, "float64") for x in jax.tree.leaves(tree)]
    return np.concatenate([x.reshape(*x.shape[: lead - 1], -1) for x in leaves], axis=-1)


@pytest.fixture(scope="module")
def gradients():
    """(N, entries), the other road."""
    with jax.enable_x64(True):
        return flat(jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(PARAMS, BATCH), lead=2)


@pytest.fixture(scope="module")
def moments():
    """Of both divisors, each computed once it is asked for."""

    @cache
    def found(ddof):
        with jax.enable_x64(True):
            chunk = None if ddof else 5
            return gradient_moments(loss, PARAMS, BATCH, ddof=ddof, chunk_size=chunk, explain=True, **EVERYTHING)

    return found


@pytest.mark.parametrize("ddof", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_every_measure_is_that_of_the_gradients(ddof, gradients, moments):
    found, g = moments(ddof), gradients
    mean, norms, same = g.mean(0), np.linalg.norm(g, axis=1), partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-14)
    assert {route.form for route in found.explanation.leaves} == {"outer", "lookup", "materialised"}
    variance = g.var(0, ddof=ddof)
    same(flat(found.variance), variance)
    same(found.trace, variance.sum())
    for leaf, trace in zip(jax.tree.leaves(found.variance), jax.tree.leaves(found.trace_per_leaf)):
        same(leaf.sum(), trace)
    same(flat(found.gradient_snr), np.where(mean == 0, 0, mean**2 / np.where(variance > 0, variance, 1)))
    squared = mean @ mean
    same(found.norm_test_radius, np.sqrt(variance.sum() / N / squared))
    same(found.norm_test_batch_size(0.5), variance.sum() / 0.25 / squared)
    same(found.gradient_diversity, (g**2).sum() / (g.sum(0) ** 2).sum())
    same(found.cabs_batch_size(0.3, lowest_loss=0.1), 0.3 * variance.sum() / (float(found.loss) - 0.1))
    same(found.empirical_fisher_trace, np.trace(g.T @ g) / N)
    same(flat(found.empirical_fisher_diagonal), np.diag(g.T @ g) / N)
    products = g @ mean
    same(found.along.products, products)
    same(found.along.mean, squared)
    same(found.along.norm, np.sqrt(squared))
    same(found.cosines, products / norms / np.sqrt(squared))
    same(found.inner_product_radius, np.sqrt(products.var(ddof=ddof) / N) / squared)
    across = g - np.outer(products / squared, mean)
    same(found.orthogonality_radius, np.sqrt((across**2).sum() / (N - ddof) / N / squared))
    same(found.norm_test_radius**2, found.inner_product_radius**2 + found.orthogonality_radius**2)
    weights = np.minimum(1, C / norms)
    assert 0 < (weights < 1).sum() < N
    same(found.clipping_weights(C), weights)
    same(flat(found.clipped_mean), (weights[:, None] * g).mean(0))
    assert not np.allclose(flat(found.clipped_mean), mean, rtol=1e-3) and not found.cancelled


def test_a_preconditioner_scales_every_gradient(gradients, moments):
    scale = jax.tree.map(lambda x: 1 / (np.abs(x) + 0.1), PARAMS) | {"rows": 2.0}
    whole = flat(jax.tree.map(lambda d, x: np.broadcast_to(d, x.shape), scale, PARAMS))
    found, g = moments(1).preconditioned(scale), gradients * whole
    np.testing.assert_allclose(found.trace, g.var(0, ddof=1).sum(), rtol=1e-10)
    signal = (g.mean(0) ** 2).sum() - found.trace / N
    np.testing.assert_allclose(found.noise_scale, found.trace / signal if signal > 0 else np.inf, rtol=1e-9)
    np.testing.assert_allclose(flat(found.mean), g.mean(0), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(flat(found.second_moment), (g**2).mean(0), rtol=1e-9, atol=1e-14)
    assert found.squared_norms is None and found.along is None and found.clipped_mean is None
    state = record_noise().init(PARAMS)
    _, state = record_noise().update(found.mean, state, PARAMS, moments=found)
    np.testing.assert_allclose(recorded_noise(state).variance, found.trace, rtol=1e-12)


def test_under_jit_with_padding_and_any_direction(gradients):
    """Rows of padding hold NaN; the direction, the norm and the mask are traced."""
    live = np.arange(N + 3) % 6 != 5
    live[np.flatnonzero(live)[N:]] = False
    padded = [np.full((N + 3, *x.shape[1:]), -9 if x.dtype.kind == "i" else np.nan, x.dtype) for x in BATCH]
    count = live.sum()
    for whole, x in zip(padded, BATCH):
        whole[live] = x[:count]
    direction = jax.tree.map(lambda x: np.cos(x), PARAMS)

    @jax.jit
    def measured(batch, mask, along, clip_norm):
        options = dict(squared_norms=True, variance=True, chunk_size=4)
        found = gradient_moments(loss, PARAMS, batch, mask=mask, along=along, clip_norm=clip_norm, **options)
        return found, found.cosines, found.inner_product_radius, found.cabs_batch_size(clip_norm)

    found, cosines, radius, size = measured(tuple(padded), live, direction, C)
    g, v, same = gradients[:count], flat(direction), partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-14)
    same(found.along.products[live], g @ v)
    same(found.along.variance, (g @ v).var(ddof=1))
    same(radius, np.sqrt((g @ v).var(ddof=1) / count) / abs((g @ v).mean()))
    same(cosines[live], g @ v / np.linalg.norm(g, axis=1) / np.linalg.norm(v))
    same(flat(found.clipped_mean), (np.minimum(1, C / np.linalg.norm(g, axis=1))[:, None] * g).mean(0))
    same(flat(found.variance), g.var(0, ddof=1))
    same(size, C * g.var(0, ddof=1).sum() / found.loss)
    assert not np.any(found.along.products[~live]) and not np.any(cosines[~live])


def test_the_smallest_cases():
    small = EVERYTHING | {"clip_norm": 0.4}
    one = gradient_moments(lambda w, x: w * x, 1.0, np.asarray([3.0]), ddof=0, **small)
    assert float(one.variance) == float(one.trace) == float(one.norm_test_radius) == 0 and one.gradient_snr == np.inf
    assert float(one.gradient_diversity) == float(one.cosines[0]) == 1 and float(one.empirical_fisher_trace) == 9
    assert float(one.inner_product_radius) == float(one.orthogonality_radius) == 0
    assert float(one.clipping_weights(6.0)[0]) == 1 and float(one.clipped_mean) == pytest.approx(0.4, rel=1e-15)
    zero = gradient_moments(lambda w, x: w * x, 1.0, np.zeros(3), **small)
    assert float(zero.gradient_snr) == float(zero.empirical_fisher_trace) == float(zero.clipped_mean) == 0
    assert zero.cosines.tolist() == [0, 0, 0] and zero.clipping_weights(C).tolist() == [1, 1, 1]
    infinite = (zero.norm_test_radius, zero.gradient_diversity, zero.inner_product_radius, zero.cabs_batch_size(1.0))
    assert all(np.isinf(x) for x in infinite)
    opposite = gradient_moments(lambda w, x: w * x, 1.0, np.asarray([-2.0, 2.0]), variance=True)
    assert float(opposite.gradient_snr) == 0 and opposite.norm_test_batch_size() == np.inf
    assert float(opposite.empirical_fisher_trace) == 4


@pytest.mark.parametrize("spread", [1e-2, 1e-4])
def test_the_variance_of_an_entry_is_centred(spread):
    """In float32, where the mean dominates by 1 / spread^2: a mean of squares less the square of the mean has no digit left."""
    x, y = (np.asarray(1 + spread * RNG.normal(size=(600, k)), "float32") for k in (5, 3))
    keys = np.where(RNG.random(600) < 0.9, 2, 4)
    params = {"w": jnp.zeros((5, 3), "float32"), "t": jnp.zeros((6, 3), "float32")}

    def plain(p, e):
        return jnp.sum((e[0] @ p["w"]) * e[1]) + p["t"][e[2]] @ e[1]

    found = gradient_moments(plain, params, (x, y, keys), second_moment=True, variance=True, explain=True)
    x, y = x.astype("float64"), y.astype("float64")
    exact = {"w": x[:, :, None] * y[:, None], "t": np.eye(6)[keys][:, :, None] * y[:, None]}
    assert [route.form for route in found.explanation.leaves] == ["lookup", "outer"] and not found.cancelled
    for name, g in exact.items():
        np.testing.assert_allclose(found.variance[name], g.var(0, ddof=1), rtol=2e-3, atol=1e-12)
        np.testing.assert_allclose(found.trace_per_leaf[name], g.var(0, ddof=1).sum(), rtol=1e-3)
    naive = np.asarray(found.second_moment["w"] - found.mean["w"] ** 2)
    assert spread > 1e-3 or not np.allclose(naive, exact["w"].var(0), rtol=0.1)


@pytest.mark.parametrize("mean", [0.5, 1.5, 1000.0])
def test_deviations_keep_their_digits_by_two_products_and_by_three(mean):
    """In float32; two products where every entry's mean^2 is at most FAR times its variance: else they would lose theirs."""
    h, delta = (jnp.asarray(m + RNG.normal(size=(512, k)), "float32") for m, k in ((0.1, 5), (mean, 3)))
    h = (
        h.at[:, 0].set(0).at[:, 1].set(3 + h[:, 1] / 100)
    )  # entries that are zero, and others that hardly vary but by delta
    live, count = jnp.ones(512, "float32").at[7].set(0), jnp.float32(511)
    h, delta = h * live[:, None], delta * live[:, None]
    g = np.delete(np.asarray(h, "float64")[:, :, None] * np.asarray(delta, "float64")[:, None], 7, axis=0)
    average, deviations = _entrywise_if_apart(h, delta, live, count)
    np.testing.assert_allclose(average, g.mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(deviations, 511 * g.var(0), rtol=2e-5)
    two = (h**2).T @ delta**2 - 511 * (h.T @ delta / 511) ** 2
    far = np.any(g.mean(0) ** 2 > FAR * g.var(0))
    assert far == (mean > 10) != np.allclose(two, 511 * g.var(0), rtol=2e-5)


def test_a_backward_pass_of_the_users_has_projections_too():
    """No forward mode there; what falls back on autodiff, and a loss of a batch."""

    @jax.custom_vjp
    def square(x):
        return x**2

    square.defvjp(lambda x: (x**2, x), lambda x, slope: (2 * x * slope,))
    x, w = BATCH[0], PARAMS["outer"][:, 0]
    own = lambda w, x: square(jnp.sum(jnp.sin(w * x)))  # noqa: E731
    found = gradient_moments(own, w, x, along="mean", clip_norm=C)
    g = jax.vmap(jax.grad(own), (None, 0))(w, x)
    np.testing.assert_allclose(found.along.products, g @ g.mean(0), rtol=1e-10)
    of_batch = lambda w, x: jnp.mean(jnp.sum(jnp.sin(w * x), axis=1) ** 2)  # noqa: E731
    batched = gradient_moments(of_batch, w, x, batched=True, along=np.asarray(g[0]), clip_norm=C)
    np.testing.assert_allclose(batched.along.products, g @ g[0], rtol=1e-10)
    np.testing.assert_allclose(batched.clipped_mean, found.clipped_mean, rtol=1e-10)


def test_what_was_not_asked_for_is_named():
    measured = partial(gradient_moments, lambda w, x: w * x, 1.0, np.asarray([1.0, 2.0, 6.0]))
    plain = measured()
    for measure, cure in (
        (lambda: plain.gradient_snr, "gradient_moments(..., variance=True)"),
        (lambda: plain.preconditioned(1.0), "variance=True"),
        (lambda: plain.empirical_fisher_diagonal, "second_moment=True"),
        (lambda: plain.clipping_weights(1.0), "squared_norms=True"),
        (lambda: plain.cosines, "squared_norms=True"),
        (lambda: plain.inner_product_radius, 'along="mean"'),
        (lambda: plain.orthogonality_radius, 'along="mean"'),
        (lambda: plain.norm_test_batch_size(0), "theta=0: give the relative error allowed, > 0"),
        (lambda: measured(along=np.nan), "along is not finite: give a pytree like the mean gradient"),
        (lambda: plain.cabs_batch_size(-1.0), "learning_rate=-1.0: give that of SGD, > 0"),
        (lambda: plain.cabs_batch_size(float("nan")), "learning_rate=nan is not finite"),
    ):
        with pytest.raises(InputError) as caught:
            measure()
        assert cure in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"variance": 1}, InputTypeError, "variance=1 is of type int: write True or False"),
        ({"along": "max"}, InputError, "along='max': write \"mean\", or give a pytree like the mean"),
        ({"along": {"outer": 1.0}}, InputError, "along has other leaves than params"),
        ({"along": PARAMS | {"rows": np.ones(3)}}, InputError, r"along has a leaf of shape \(3,\) for one of \(2, 6\)"),
        ({"clip_norm": 0.0}, InputError, "clip_norm=0.0: give the largest norm that stays, > 0"),
        ({"clip_norm": 1.0, "leaves": lambda p: {k: k == "rows" for k in p}}, InputError, "clip_norm is given with leaves="),
    ],
)  # fmt: skip
def test_bad_measures_are_named(options, error, message):
    with pytest.raises(error, match=message):
        inspect.unwrap(gradient_moments)(loss, PARAMS, BATCH, **options)  # without the checked annotations of the tests


def test_a_preconditioner_that_does_not_fit_is_named(moments):
    for wrong, message in (
        ({"outer": 1.0}, "precondition does not fit the mean gradient"),
        (PARAMS | {"rows": np.ones((3, 6))}, "precondition does not fit the mean gradient"),
        (PARAMS | {"rows": np.nan}, "precondition is not finite"),
    ):
        with pytest.raises(InputError, match=message):
            moments(1).preconditioned(wrong)
