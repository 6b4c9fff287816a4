"""The recorder in an optax chain: what it records, what it leaves out, and the ways in which people wrap, donate and save it."""

import inspect
import pickle
import warnings
from functools import partial

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from optax.transforms import partition

from linvar.errors import InputError, InputTypeError
from linvar.numeric import gradient_moments, record_noise, recorded_noise

RNG = np.random.default_rng(11)
X = RNG.normal(size=(12, 3)).astype("float32") * np.repeat([1, 2, 3], 4)[:, None].astype("float32")
PARAMS = {"w": jnp.asarray(RNG.normal(size=(3, 2)), "float32"), "b": jnp.ones(2)}


def loss(p, x):
    """Two leaves, one of them by outer products."""
    return jnp.sum((x @ p["w"] + p["b"]) ** 2) / 2


MOMENTS = gradient_moments(loss, PARAMS, X)


def after(optimizer, *moments, params=PARAMS):
    """The state after an update with each of these."""
    state = optimizer.init(params)
    for own in moments:
        _, state = optimizer.update(own.mean, state, params, moments=own)
    return state


def numbers(record):
    """All that a record says, as NumPy arrays."""
    return jax.device_get(jax.tree.leaves(record))


def sample(n, seed=0, ratio=9.0, width=3):
    """Gradients with tr Cov = ratio and ||E g||^2 = 1."""
    rng = np.random.default_rng(seed)
    return np.full(width, 1 / np.sqrt(width)) + np.sqrt(ratio / width) * rng.normal(size=(n, width))


def test_the_recorder_forgets_slowly_without_bias():
    state = after(record_noise(decay=0.9999999), MOMENTS)
    np.testing.assert_allclose(state.smoothed_variance, MOMENTS.trace, rtol=1e-5)
    np.testing.assert_allclose(state.smoothed_variance_per_leaf["b"], MOMENTS.trace_per_leaf["b"], rtol=1e-5)


def test_the_recorder_in_a_training_loop():
    params = {"w": jnp.zeros(3), "b": jnp.zeros(())}
    x = jnp.asarray(sample(256, 1), "float32")
    batches = [x[i : i + 32] for i in range(0, 256, 32)]

    def squared(p, e):
        return (e[:2] @ p["w"][:2] + p["b"] - e[2]) ** 2

    optimizer = optax.chain(record_noise(decay=0.5), optax.sgd(0.1))
    plain = optax.sgd(0.1)
    state, plain_state, other = optimizer.init(params), plain.init(params), params

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state, batch):
        moments = gradient_moments(squared, params, batch)
        updates, state = optimizer.update(moments.mean, state, params, moments=moments)
        return optax.apply_updates(params, updates), state, moments

    traces, squares = [], []
    params = jax.tree.map(jnp.copy, params)
    for batch in batches:
        gradient = jax.grad(lambda p, b: jnp.mean(jax.vmap(lambda e: squared(p, e))(b)))(other, batch)
        updates, plain_state = plain.update(gradient, plain_state)
        other = optax.apply_updates(other, updates)
        params, state, moments = step(params, state, batch)
        traces.append(float(moments.trace))
        squares.append(float(moments.squared_mean))
    np.testing.assert_allclose(params["w"], other["w"], rtol=1e-4, atol=1e-6)  # the gradient passed through unchanged
    record = recorded_noise(state)
    weights = 0.5 ** np.arange(7, -1, -1)
    assert int(record.count) == 8
    np.testing.assert_allclose(record.variance, traces[-1], rtol=1e-5)
    np.testing.assert_allclose(record.noise_scale, moments.noise_scale, rtol=1e-5)
    np.testing.assert_allclose(record.smoothed_variance, weights @ traces / weights.sum(), rtol=1e-5)
    np.testing.assert_allclose(record.smoothed_noise_scale, (weights @ traces) / (weights @ squares), rtol=1e-4)
    np.testing.assert_allclose(
        sum(jax.tree.leaves(record.smoothed_variance_per_leaf)), record.smoothed_variance, rtol=1e-5
    )
    assert set(record.noise_scale_per_leaf) == set(record.smoothed_noise_scale_per_leaf) == {"w", "b"}


def buffers(tree):
    """Where the arrays of a tree lie."""
    return [x.unsafe_buffer_pointer() for x in jax.tree.leaves(tree) if x.size]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_no_two_fields_share_a_buffer_nor_any_with_the_moments(accumulate):
    recorder = record_noise(decay=0.0, accumulate=accumulate)
    own = jax.tree.map(jnp.asarray, MOMENTS)
    for state in (recorder.init(PARAMS), jax.jit(recorder.init)(PARAMS), after(recorder, *[own] * accumulate)):
        assert len(set(buffers(state))) == len(buffers(state))
        assert not set(buffers(state)) & set(buffers((own, PARAMS)))


def test_a_step_that_is_not_finite_is_counted_and_changes_nothing_else():
    optimizer = optax.chain(record_noise(decay=0.9), optax.sgd(0.1))

    @jax.jit
    def update(state, x):
        moments = gradient_moments(loss, PARAMS, x)
        return optimizer.update(moments.mean, state, PARAMS, moments=moments)

    _, first = update(optimizer.init(PARAMS), X)
    bad = X.copy()
    bad[3, 1] = np.inf
    updates, second = update(first, bad)
    assert not np.isfinite(updates["w"]).any()  # passed on
    before, then = recorded_noise(first), recorded_noise(second)
    assert (int(before.skipped), int(then.skipped), int(then.count)) == (0, 1, 1) and then.skipped.dtype == jnp.int32
    assert numbers(then._replace(skipped=before.skipped)) == numbers(before)
    _, third = update(second, X)
    assert recorded_noise(third).smoothed_noise_scale == pytest.approx(float(MOMENTS.noise_scale), rel=1e-5)
    assert int(recorded_noise(third).count) == 2 and "1 skipped" in repr(recorded_noise(third))


def test_before_the_first_step_nothing_is_known():
    record = record_noise().init(PARAMS)
    for value in (record.variance, record.noise_scale, record.smoothed_variance, record.smoothed_noise_scale):
        assert np.isnan(value)
    assert all(np.isnan(jax.tree.leaves((record.noise_scale_per_leaf, record.smoothed_noise_scale_per_leaf))))


def test_steps_whose_traces_are_lost_in_rounding_are_counted():
    x = (1 + 1e-5 * RNG.normal(size=(12, 3))).astype("float32")
    moments = jax.jit(partial(gradient_moments, loss))(PARAMS, x)
    assert bool(moments.cancelled_per_leaf["w"]) and not MOMENTS.cancelled
    record = after(record_noise(), MOMENTS, moments, moments)
    assert (int(record.count), int(record.cancelled)) == (3, 2) and "2 cancelled" in repr(record)
    pooled = after(record_noise(accumulate=3), MOMENTS, moments, MOMENTS)
    assert (int(pooled.count), int(pooled.cancelled)) == (1, 1)


@pytest.mark.parametrize("ddof", [0, 1])
def test_pooled_micro_batches_are_one_batch(ddof):
    parts = [X[:2], X[2:9], X[9:]]
    with jax.enable_x64(True):
        params = jax.tree.map(lambda x: jnp.asarray(x, "float64"), PARAMS)
        whole, *moments = (gradient_moments(loss, params, x.astype("float64"), ddof=ddof) for x in (X, *parts))
        optimizer = optax.chain(record_noise(0.5, accumulate=3), optax.MultiSteps(optax.sgd(0.1), 3))
        update = jax.jit(lambda state, own: optimizer.update(own.mean, state, params, moments=own)[1])
        state = optimizer.init(params)
        for turn in range(2):
            for own in moments:
                assert int(recorded_noise(state).count) == turn
                state = update(state, own)
            record = recorded_noise(state)
            assert int(record.count) == turn + 1
            np.testing.assert_allclose(record.variance, whole.trace, rtol=1e-12)
            np.testing.assert_allclose(record.noise_scale, whole.noise_scale, rtol=1e-12)
            np.testing.assert_allclose(record.smoothed_variance, whole.trace, rtol=1e-12)
            for name in PARAMS:
                np.testing.assert_allclose(record.trace[name], whole.trace_per_leaf[name], rtol=1e-12)
                np.testing.assert_allclose(record.squared_mean[name], whole.squared_mean_per_leaf[name], rtol=1e-12)
        within = np.average([own.trace for own in moments], weights=[len(x) for x in parts])
        assert abs(within / whole.trace - 1) > 0.02  # without the scatter between micro-batches it is wrong


def test_a_micro_batch_that_is_not_finite_never_happened():
    good, other = gradient_moments(loss, PARAMS, X[:6]), gradient_moments(loss, PARAMS, X[6:])
    bad = jax.jit(partial(gradient_moments, loss))(PARAMS, X * np.asarray([1, np.nan, 1], "float32"))
    optimizer = optax.chain(
        record_noise(accumulate=2),
        optax.MultiSteps(optax.sgd(0.1), 2, should_skip_update_fn=optax.skip_not_finite),
    )
    state = after(optimizer, good, bad, other)
    record = recorded_noise(state)
    assert (int(record.count), int(record.skipped), int(state[1].gradient_step)) == (1, 1, 1)
    np.testing.assert_allclose(record.variance, MOMENTS.trace, rtol=1e-5)
    huge = good.mean | {"w": good.mean["w"] + 1e30}  # each finite; together they overflow
    overflown = after(record_noise(accumulate=2), good, replaced(good, mean=huge), good, other)
    assert (int(overflown.count), int(overflown.skipped)) == (1, 1)
    np.testing.assert_allclose(overflown.variance, MOMENTS.trace, rtol=1e-5)


def replaced(moments, change=lambda x: x, **fields):
    """Other moments, of whatever types."""
    made = object.__new__(type(moments))
    for name in moments.__dataclass_fields__:
        object.__setattr__(made, name, fields.get(name, jax.tree.map(change, getattr(moments, name))))
    return made


def test_a_record_inside_multisteps_warns_and_outside_does_not():
    wrong = optax.MultiSteps(optax.chain(record_noise(), optax.sgd(0.1)), 2)
    with pytest.warns(
        RuntimeWarning, match=r"inside optax.MultiSteps.*optax.chain\(record_noise\(accumulate=k\), opt"
    ) as seen:
        recorded_noise(after(wrong, MOMENTS, MOMENTS))
    assert seen[0].filename == __file__
    right = optax.chain(record_noise(accumulate=2), optax.MultiSteps(optax.sgd(0.1), 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert int(recorded_noise(after(right, MOMENTS, MOMENTS)).count) == 1
    with pytest.raises(InputError, match="a wrapper that does not pass them on goes after record_noise"):
        after(optax.chain(optax.MultiSteps(optax.chain(record_noise(), optax.sgd(0.1)), 2)), MOMENTS)


WHOLE, ONLY_W = {"w", "b"}, {"w"}


@pytest.mark.parametrize(
    ("optimizer", "leaves"),
    [
        (optax.chain(optax.chain(optax.clip(1e6), record_noise()), optax.sgd(0.1)), WHOLE),
        (optax.chain(record_noise(), optax.inject_hyperparams(optax.sgd)(learning_rate=0.1)), WHOLE),
        (optax.inject_hyperparams(lambda rate: optax.chain(record_noise(), optax.sgd(rate)))(rate=0.1), WHOLE),
        (optax.apply_if_finite(optax.chain(record_noise(), optax.sgd(0.1)), 3), WHOLE),
        (optax.named_chain(("noise", record_noise()), ("sgd", optax.sgd(0.1))), WHOLE),
        (optax.masked(optax.chain(record_noise(), optax.sgd(0.1)), {"w": True, "b": False}), ONLY_W),
        (optax.masked(optax.chain(record_noise(accumulate=1), optax.sgd(0.1)), lambda p: {"w": True, "b": False}), ONLY_W),
        (partition({"a": optax.chain(record_noise(), optax.sgd(0.1)), "z": optax.set_to_zero()}, {"w": "a", "b": "z"}),
         ONLY_W),
        (optax.chain(record_noise(), partition({"a": optax.sgd(0.1), "z": optax.set_to_zero()}, {"w": "a", "b": "z"})),
         WHOLE),
    ],
    ids=["chain of chains", "inject", "injected", "apply_if_finite", "named_chain", "masked", "callable", "partition", "outside"],
)  # fmt: skip
def test_wrappers_of_optax(optimizer, leaves):
    record = recorded_noise(after(optimizer, MOMENTS))
    expected = sum(MOMENTS.trace_per_leaf[name] for name in leaves)
    np.testing.assert_allclose(record.variance, expected, rtol=1e-6)
    assert len(jax.tree.leaves(record.noise_scale_per_leaf)) == len(leaves)
    assert repr(record).startswith("NoiseRecord(noise_scale=") and repr(record).endswith(", 1 steps)")


def test_masked_micro_batches_and_lookahead():
    parts = [gradient_moments(loss, PARAMS, x) for x in (X[:5], X[5:])]
    masked = optax.masked(record_noise(accumulate=2), {"w": True, "b": False})
    np.testing.assert_allclose(recorded_noise(after(masked, *parts)).variance, MOMENTS.trace_per_leaf["w"], rtol=1e-5)
    ahead = optax.chain(record_noise(), optax.lookahead(optax.sgd(0.1), 5, 0.5))
    state = after(ahead, MOMENTS, params=optax.LookaheadParams.init_synced(PARAMS))
    np.testing.assert_allclose(recorded_noise(state).variance, MOMENTS.trace, rtol=1e-6)


def test_an_optimizer_of_flax():
    net = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(net, optax.chain(record_noise(), optax.sgd(0.0)), wrt=nnx.Param)
    graph, params = nnx.split(net)
    moments = gradient_moments(lambda p, x: jnp.sum(nnx.merge(graph, p)(x) ** 2), params, X)
    optimizer.update(net, moments.mean, moments=moments)
    record = recorded_noise(optimizer.opt_state)
    np.testing.assert_allclose(record.variance, moments.trace, rtol=1e-6)
    assert len(jax.tree.leaves(record.noise_scale_per_leaf)) == 2 and "1 steps" in repr(record)
    whole = gradient_moments(lambda net, x: jnp.sum(net(x) ** 2), net, X)  # the same leaves in the module itself
    optimizer.update(net, whole.mean, moments=whole)
    record = recorded_noise(optimizer.opt_state)
    for mine, theirs in zip(jax.tree.leaves(record.trace), jax.tree.leaves(moments.trace_per_leaf), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)
    assert "2 steps" in repr(record)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_scan_over_the_steps_of_an_ensemble_in_half_precision(dtype, accumulate):
    """The state keeps its types and structure; what is half precision is recorded in float32."""
    recorder = record_noise(0.5, accumulate=accumulate)
    members = {"w": jnp.asarray(RNG.normal(size=(2, 3, 2)), dtype), "steps": jnp.zeros(2, jnp.int32), "none": None}

    def run(p):
        def step(state, x):
            moments = gradient_moments(lambda p, x: jnp.sum(x @ p["w"]) ** 2, p, x)
            return recorder.update(moments.mean, state, p, moments=moments)[::-1]

        return jax.lax.scan(step, recorder.init(p), jnp.asarray(X[:8].reshape(2, 4, 3), dtype))[0]

    record = jax.vmap(run)(members)
    assert record.trace["w"].dtype == jnp.float32 and record.count.tolist() == [2 // accumulate] * 2
    first = run(jax.tree.map(lambda x: x[0], members))
    np.testing.assert_allclose(record.smoothed_variance[0], first.smoothed_variance, rtol=1e-2)  # of half precision
    assert np.all(np.isfinite(record.smoothed_noise_scale)) and "float32[2]" in repr(record) and len(repr(record)) < 200


def test_float64_is_recorded_as_it_is():
    with jax.enable_x64(True):
        moments = gradient_moments(lambda w, x: w * x, np.float64(1), np.asarray([1e25, 2e25, 4e25]))
        record = after(record_noise(np.float64(0.9)), moments, params=np.float64(1))
        assert record.variance.dtype == jnp.float64 and record.variance == moments.trace > 1e40
        assert [x.dtype for x in jax.tree.leaves(record)] == [
            x.dtype for x in jax.tree.leaves(record_noise().init(np.float64(1)))
        ]


def test_states_are_saved_restored_and_made_without_arrays():
    for recorder in (record_noise(), record_noise(accumulate=2), optax.masked(record_noise(), {"w": True, "b": False})):
        state = after(recorder, MOMENTS)
        empty = recorder.init(PARAMS)
        restored = flax.serialization.from_bytes(empty, flax.serialization.to_bytes(state))
        assert jax.tree.structure(restored) == jax.tree.structure(state) == jax.tree.structure(empty)
        assert all(map(np.array_equal, numbers(restored), numbers(state)))
        assert all(map(np.array_equal, numbers(pickle.loads(pickle.dumps(state))), numbers(state)))
        shapes = jax.eval_shape(recorder.init, PARAMS)
        assert jax.tree.map(lambda x: (x.shape, x.dtype), shapes) == jax.tree.map(lambda x: (x.shape, x.dtype), empty)
        assert len(repr(shapes)) < 300


def test_what_is_printed_is_short_and_never_fails():
    assert f"trace={float(MOMENTS.trace):.6g}, " in repr(after(record_noise(), MOMENTS))
    assert repr(record_noise().init(PARAMS)).startswith("NoiseRecord(noise_scale=nan, smoothed nan, trace=nan")
    seen = []
    batched = jax.vmap(lambda p: gradient_moments(loss, p, X))(jax.tree.map(lambda x: jnp.stack([x, x]), PARAMS))
    jax.jit(lambda x: seen.append(repr(after(record_noise(), gradient_moments(loss, PARAMS, x)))))(X)
    shape = lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x))  # noqa: E731
    shapes = replaced(MOMENTS, shape)
    odd = [replaced(MOMENTS, change) for change in (lambda x: None, lambda x: "text", np.asarray)]
    odd += [jax.tree.map(change, after(record_noise(), MOMENTS)) for change in (lambda x: None, shape, np.asarray)]
    for text in (*seen, *map(repr, (batched, shapes, *odd))):
        assert text.startswith(("GradientMoments(", "NoiseRecord(")) and len(text) < 200 and "\n" not in text
    assert "trace=float32[2]" in repr(batched) and "trace=float32[]" in repr(shapes)


def test_the_recorder_says_what_it_needs():
    recorder = record_noise()
    state = recorder.init(PARAMS)
    with pytest.raises(InputError, match="update is called without moments"):
        recorder.update(PARAMS, state)
    with pytest.raises(InputTypeError, match=r"moments=.*: give moments=gradient_moments\(loss, params, batch\)"):
        inspect.unwrap(recorder.update)(PARAMS, state, moments=MOMENTS.trace)
    for other in ({"w": PARAMS["w"]}, PARAMS["w"], [PARAMS["w"], PARAMS["b"]]):
        with pytest.raises(
            InputError, match="moments has other leaves than the parameters that the optimizer was init"
        ):
            recorder.update(PARAMS, recorder.init(other), moments=MOMENTS)
    for leaf in (jnp.tanh, "relu"):
        with pytest.raises(
            InputTypeError, match=r"params\['f'\]=.* is no array: give its arrays alone: equinox\.filter"
        ):
            optax.chain(recorder, optax.sgd(0.1)).init({**PARAMS, "f": leaf})
    with pytest.raises(InputError, match="holds 0 noise records"):
        recorded_noise(optax.sgd(0.1).init(jnp.ones(2)))
    with pytest.raises(InputError, match="holds 2 noise records"):
        recorded_noise(optax.chain(recorder, recorder).init(PARAMS))
    with pytest.raises(InputTypeError, match="decay is traced.*static_args"):
        jax.jit(inspect.unwrap(record_noise))(0.9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decay": 1.0}, "decay=1.0: give the weight of the past"),
        ({"decay": -0.1}, "decay=-0.1"),
        ({"decay": float("nan")}, "decay=nan is not finite"),
        ({"decay": False}, "decay=False is a truth value"),
        ({"accumulate": 0}, "accumulate=0: give the number of micro-batches of a step, >= 1"),
        ({"accumulate": 2.0}, "accumulate=2.0 is of type float"),
        ({"accumulate": True}, "accumulate=True is a truth value"),
    ],
)
def test_options_of_the_recorder_are_refused_with_their_cure(options, message):
    with pytest.raises(InputError, match=message):
        inspect.unwrap(record_noise)(**options)  # without the checked annotations of the tests
