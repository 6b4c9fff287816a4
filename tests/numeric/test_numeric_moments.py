"""Per-example gradient moments of any JAX loss, against NumPy on gradients written out by hand."""

import inspect
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from linvar.errors import NotFiniteError
from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.per_example.arithmetic import contract
from linvar.numeric.gradients.result import ratio

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
    assert float(population.noise_scale) == pytest.approx((14 / 3) / 9, rel=1e-6)
    assert float(sample.noise_scale) == pytest.approx(7 / (9 - 7 / 3), rel=1e-6)


def test_noise_scale_is_infinite_where_the_mean_is_not_resolved():
    moments = gradient_moments(lambda w, x: w * x, jnp.float32(1), jnp.asarray([-1.0, 1.0]))
    assert float(moments.noise_scale) == np.inf


def test_it_runs_inside_jit():
    batch = jnp.asarray([1.0, 2.0, 6.0])
    compiled = jax.jit(lambda w: gradient_moments(lambda w, x: w * x, w, batch, chunk_size=2))
    assert float(compiled(jnp.float32(1)).trace) == pytest.approx(7, rel=1e-6)


def linear(params, example):
    """Squared error of a matrix with a bias."""
    return jnp.sum((example[0] @ params["w"] + params["b"] - example[1]) ** 2) / 2


def dominated(ratio, examples=2000):
    """Parameters and examples whose gradients have tr Cov / ||mean||^2 near ``ratio``, in float32."""
    rng = np.random.default_rng(3)
    spread = np.sqrt(ratio / 2)
    x, y = 1 + spread * rng.normal(size=(examples, 20)), 5 + 5 * spread * rng.normal(size=(examples, 7))
    return {"w": jnp.zeros((20, 7)), "b": jnp.zeros(7)}, (jnp.asarray(x, "float32"), jnp.asarray(y, "float32"))


def exact_trace(params, batch, leaf="w"):
    """In float64, from the same numbers."""
    x, y = (np.asarray(a, "float64") for a in batch)
    return (x[:, :, None] * -y[:, None]).var(axis=0, ddof=1).sum()


@pytest.mark.parametrize("options", [{}, {"chunk_size": 150}])
def test_centred_is_within_a_thousandth_where_the_mean_dominates_by_1e8(options):
    params, batch = dominated(1e-8)
    exact = exact_trace(params, batch)
    moments = gradient_moments(linear, params, batch, centred=True, **options)
    assert 0.3e-8 < float(moments.trace_per_leaf["w"] / jnp.sum(moments.mean["w"] ** 2)) < 3e-8
    assert abs(float(moments.trace_per_leaf["w"]) / exact - 1) < 1e-3
    assert not abs(1.5 * float(moments.trace_per_leaf["w"]) / exact - 1) < 1e-3


@pytest.mark.parametrize("ratio", [1e-2, 1e-3, 1e-4, 3e-5])
def test_the_default_is_within_two_percent_where_it_does_not_warn(ratio):
    params, batch = dominated(ratio)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moments = gradient_moments(linear, params, batch)
    assert abs(float(moments.trace_per_leaf["w"]) / exact_trace(params, batch) - 1) < 0.02


@pytest.mark.parametrize("ratio", [1e-6, 1e-8])
def test_the_default_warns_where_it_may_be_off_by_more(ratio):
    params, batch = dominated(ratio)
    with pytest.warns(RuntimeWarning, match=r"trace of \['w'\] may be off by over 2 %; give centred=True") as seen:
        gradient_moments(linear, params, batch)
    assert seen[0].filename == __file__


@pytest.mark.parametrize(
    ("rows", "shape", "examples"), [(1, (5, 1), 4096), (1, (3, 2), 1500), (2, (40, 30), 16), (1, (30, 20), 64)]
)
def test_what_is_not_flagged_under_jit_is_right(rows, shape, examples):
    """Equal examples but for a spread of 1e-1 to 1e-5, the worst for running sums; every trace off by over 5 % is flagged."""
    rng = np.random.default_rng(7)

    @jax.jit
    def found(*batch):
        moments = gradient_moments(lambda p, e: jnp.sum((e[0] @ p) * e[1]), jnp.zeros(shape), batch)
        return moments.trace, moments.cancelled, moments.cancelled_per_leaf

    flags = []
    for spread in (1e-1, 1e-2, 3e-3, 1e-3, 1e-4, 1e-5):
        h, t = (
            np.asarray(x + spread * rng.normal(size=(examples, rows, n)), "float32") for x, n in zip((1.7, 0.9), shape)
        )
        trace, flag, of_leaf = found(h, t)
        assert flag == of_leaf and flag.dtype == bool
        h, t = h.astype("float64"), t.astype("float64")
        exact = np.einsum("nrc,nrf->ncf", h, t).var(axis=0, ddof=1).sum()
        flags.append(bool(flag))
        assert flag or abs(trace / exact - 1) < 0.05, spread
    assert flags[:2] == [False, False] and flags[-3:] == [True] * 3  # at 1e-2 rounding takes less than 1 %


def test_a_traced_caller_may_take_the_centred_trace_where_digits_are_lost():
    @jax.jit
    def trace(params, batch):
        moments = gradient_moments(linear, params, batch)
        centred = lambda: gradient_moments(linear, params, batch, centred=True).trace  # noqa: E731
        return jax.lax.cond(moments.cancelled, centred, lambda: moments.trace), moments.cancelled_per_leaf

    for spread, lost in ((1e-2, False), (1e-8, True)):
        params, batch = dominated(spread, examples=50)
        found, flags = trace(params, batch)
        whole = exact_trace(params, batch) + np.var(np.asarray(batch[1], "float64"), axis=0, ddof=1).sum()
        np.testing.assert_allclose(found, whole, rtol=1e-3)
        assert bool(flags["w"]) == lost and not flags["b"]  # the offset's trace subtracts nothing
    assert not gradient_moments(linear, params, batch, centred=True).cancelled


def test_long_sums_of_small_results_are_taken_in_stages():
    for formula, a, b in (
        ("nc,nf->cf", (1300, 3), (1300, 2)),
        ("nc,nf->cf", (512, 9), (512, 1)),
        ("ngtc,ngtf->gcf", (600, 2, 3, 4), (600, 2, 3, 5)),
        ("ngtc,ngsc->ngts", (600, 1, 2, 5), (600, 1, 3, 5)),
        ("nc,nf->cf", (70_000, 1), (70_000, 2)),
    ):
        x, y = (np.asarray(1 + RNG.normal(size=shape) / 9, "float32") for shape in (a, b))
        exact = np.einsum(formula, x.astype("float64"), y.astype("float64"))
        found = contract(formula, jnp.asarray(x), jnp.asarray(y))
        np.testing.assert_allclose(found, exact, rtol=2e-6)


def test_what_is_no_number_stays_none():
    nan, one = jnp.float32(np.nan), jnp.float32(1)
    assert all(np.isnan(ratio(*pair)) for pair in ((nan, one), (one, nan), (nan, nan), (nan, -one), (nan, 0 * one)))
    assert [float(ratio(one, x)) for x in (0 * one, -one, 2 * one)] == [np.inf, np.inf, 0.5]
    bad = np.asarray([[1, 2], [np.nan, 1]], "float32")
    found = jax.jit(lambda x: gradient_moments(lambda w, x: jnp.sum(w * x) ** 2, jnp.ones(2), x))(bad)
    assert np.isnan(found.noise_scale) and np.isnan(found.noise_scale_per_leaf) and not found.cancelled
    assert repr(found).startswith("GradientMoments(2 examples, trace=nan, squared_mean=nan, noise_scale=nan")


def test_a_convolution_and_a_table_do_not_cancel_either():
    def loss(p, e):
        out = jax.lax.conv_general_dilated(e[0][None], p["k"], (1,), "VALID", dimension_numbers=("NHC", "HIO", "NHC"))
        return jnp.sum(out * e[1]) + jnp.sum(p["t"][e[2]] * e[1][0])

    rng = np.random.default_rng(4)
    x, y = 1 + 1e-4 * rng.normal(size=(500, 8, 3)), 1 + 1e-4 * rng.normal(size=(500, 6, 4))
    params = {"k": jnp.zeros((3, 3, 4)), "t": jnp.zeros((3, 4))}
    batch = (jnp.asarray(x, "float32"), jnp.asarray(y, "float32"), jnp.ones((500, 2), jnp.int32))
    found = gradient_moments(loss, params, batch, centred=True, explain=True)
    assert [route.form for route in found.explanation.leaves] == ["materialised", "lookup"]
    x, y = (np.asarray(a, "float64") for a in batch[:2])
    patches = np.stack([x[:, i : i + 6] for i in range(3)], axis=1)  # (n, kernel, positions, inputs)
    exact = np.einsum("nkpi,npo->nkio", patches, y).var(axis=0, ddof=1).sum()
    np.testing.assert_allclose(found.trace_per_leaf["k"], exact, rtol=1e-3)
    np.testing.assert_allclose(found.trace_per_leaf["t"], (2 * y[:, 0]).var(axis=0, ddof=1).sum(), rtol=1e-3)


def test_a_random_loss_gets_a_stated_key_for_every_example():
    key = jax.random.key(8)

    def dropout(params, example, *, key):
        kept = jax.random.bernoulli(key, 0.5, example[0].shape)
        return linear(params, (example[0] * kept, example[1]))

    params = {"w": jnp.asarray(RNG.normal(size=(4, 2)), "float32"), "b": jnp.zeros(2)}
    batch = (jnp.asarray(X, "float32"), jnp.asarray(RNG.normal(size=(23, 2)), "float32"))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(23))
    gradients = jax.jit(jax.vmap(lambda e, k: jax.grad(dropout)(params, e, key=k)))(batch, keys)
    for chunk_size in (None, 4):
        found = gradient_moments(dropout, params, batch, key=key, chunk_size=chunk_size, explain=True)
        assert found.explanation.leaves[1].form == "outer"
        for name in params:
            np.testing.assert_allclose(
                found.trace_per_leaf[name], np.var(gradients[name], axis=0, ddof=1).sum(), rtol=1e-5
            )
    other = gradient_moments(dropout, params, batch, key=jax.random.key(9))
    assert not np.allclose(other.trace, found.trace, rtol=1e-3)


def test_examples_that_are_not_finite_are_refused_or_dropped_and_counted():
    params = {"w": jnp.asarray(RNG.normal(size=(4, 2)), "float32"), "b": jnp.zeros(2)}
    x, y = X.astype("float32"), RNG.normal(size=(23, 2)).astype("float32")
    x[0, 1], y[7, 0] = np.nan, np.inf
    with pytest.raises(FloatingPointError, match="2 of 23 examples .* nan='drop' leaves them out"):
        gradient_moments(linear, params, (x, y))
    good = np.delete(np.arange(23), [0, 7])
    kept = gradient_moments(linear, params, (x[good], y[good]), squared_norms=True)
    for chunk_size in (None, 5):
        found = gradient_moments(linear, params, (x, y), nan="drop", squared_norms=True, chunk_size=chunk_size)
        assert found.examples == 21
        np.testing.assert_allclose(found.trace, kept.trace, rtol=1e-5)
        np.testing.assert_allclose(found.loss, kept.loss, rtol=1e-6)
        np.testing.assert_allclose(np.asarray(found.squared_norms)[good], kept.squared_norms, rtol=1e-5)
        assert not np.any(np.asarray(found.squared_norms)[[0, 7]])
    with pytest.raises(FloatingPointError, match="0 examples with a finite loss"):
        gradient_moments(linear, params, (np.full_like(x, np.nan), y), nan="drop")
    inside = jax.jit(lambda x: gradient_moments(linear, params, (x, y)).trace)
    assert np.isnan(inside(x))


def test_an_overflow_is_not_called_a_bad_example():
    with pytest.raises(FloatingPointError, match="overflow"):
        gradient_moments(lambda w, x: w * x, jnp.float32(1), jnp.asarray([1e30, -1e30], "float32"))


def test_norms_are_free_unless_a_term_is_of_parameters_alone():
    plain = lambda p, e: curved_loss(p, e)  # noqa: E731
    free, asked = (gradient_moments(plain, PARAMS, (X, Y), squared_norms=how) for how in ("free", True))
    np.testing.assert_array_equal(free.squared_norms, asked.squared_norms)
    penalised = lambda p, e: curved_loss(p, e) + sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(p))  # noqa: E731
    assert gradient_moments(penalised, PARAMS, (X, Y), squared_norms="free").squared_norms is None
    assert gradient_moments(penalised, PARAMS, (X, Y), squared_norms=True).squared_norms.shape == (23,)


def test_squares_that_alone_overflow_are_no_silent_infinity():
    x = np.full((7, 3), 0.9e19, "float32")  # ||mean||^2 = 2.4e38 fits float32, seven of its entries' squares do not
    found = gradient_moments(lambda w, x: jnp.sum(w * x), jnp.ones(3), x, squared_norms=True)
    assert np.isfinite(found.squared_norms).all()
    with pytest.raises(NotFiniteError, match="batch is finite, but its moments overflow: scale the loss"):
        gradient_moments(lambda w, x: jnp.sum(w * x), jnp.ones(3), x, second_moment=True)
    x = np.full((2, 3), 1e19, "float32") * np.array([[0.91], [1.08]], "float32")  # the norm of one example does not
    assert np.isfinite(gradient_moments(lambda w, x: jnp.sum(w * x), jnp.ones(3), x).trace)
    with pytest.raises(NotFiniteError, match="its moments overflow"):
        gradient_moments(lambda w, x: jnp.sum(w * x), jnp.ones(3), x, squared_norms=True)


def test_a_batched_loss_gives_what_the_loss_of_one_example_gives():
    params = {"w": jnp.asarray(RNG.normal(size=(4, 2)), "float32"), "b": jnp.zeros(2)}
    batch = (jnp.asarray(X, "float32"), jnp.asarray(RNG.normal(size=(23, 2)), "float32"))
    one = gradient_moments(linear, params, batch)
    for reduce in (jnp.mean, jnp.sum):
        whole = lambda p, b, reduce=reduce: reduce(jnp.sum((b[0] @ p["w"] + p["b"] - b[1]) ** 2, axis=1)) / 2  # noqa: E731
        found = gradient_moments(whole, params, batch, batched=True)
        np.testing.assert_allclose(found.trace, one.trace, rtol=1e-5)
        np.testing.assert_allclose(found.mean["w"], one.mean["w"], rtol=1e-4, atol=1e-6)


def test_the_result_prints_and_explains():
    found = gradient_moments(curved_loss, PARAMS, (X, Y), explain=True)
    assert repr(found).startswith("GradientMoments(23 examples, trace=") and "['slope']" in repr(found)
    assert "direct" in repr(found.explanation) and gradient_moments(curved_loss, PARAMS, (X, Y)).explanation is None
    seen = []
    jax.jit(lambda p: seen.append(repr(gradient_moments(curved_loss, p, (X, Y)))))(PARAMS)
    assert "traced" in seen[0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ddof": 2}, ValueError, "ddof=2"),
        ({"chunk_size": 0}, ValueError, "chunk_size=0"),
        ({"batch": jnp.ones(1)}, ValueError, "1 examples"),
        ({"batch": (jnp.ones(2), jnp.ones(3))}, ValueError, "leading axes"),
        ({"batch": jnp.ones(())}, ValueError, "leading axes"),
        ({"nan": "ignore"}, ValueError, "nan='ignore' is unknown: write 'raise' or 'drop'"),
        ({"loss": lambda w, x: jnp.stack([w, x])}, ValueError, "shape \\(2,\\) for one example: return a scalar"),
        ({"loss": lambda w, x: w * 2}, ValueError, "does not depend on the example"),
        ({"loss": lambda w, x: jnp.int32(x)}, TypeError, "floating-point scalar"),
        ({"params": jnp.complex64(1)}, TypeError, "complex"),
        ({"key": 0}, TypeError, "typed key"),
        ({"key": jax.random.key(0), "batched": True}, ValueError, "batched=True"),
    ],
)
def test_bad_arguments_are_named(options, error, message):
    plain = inspect.unwrap(gradient_moments)  # without the checked annotations of the tests
    with pytest.raises(error, match=message):
        plain(**{"loss": lambda w, x: w * x, "params": jnp.float32(1), "batch": jnp.ones(3), **options})
