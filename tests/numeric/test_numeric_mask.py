"""Rows of padding count nowhere, whatever they hold."""

import json
import os
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from linvar.errors import InputError, InputTypeError, NotFiniteError
from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.noise import noise_scale
from linvar.numeric.gradients.per_example.coupling.check import CoupledExamplesError

RNG = np.random.default_rng(3)
ROWS, LIVE = 9, np.asarray([1, 1, 0, 1, 0, 1, 1, 0, 0], bool)
W = RNG.normal(size=(3, 2))
CLEAN = RNG.normal(size=(ROWS, 3)), RNG.integers(0, 2, ROWS)
FULL = np.where(LIVE[:, None], CLEAN[0], np.nan), np.where(LIVE, CLEAN[1], -7)  # padding that would poison everything


@pytest.fixture(autouse=True)
def doubles():
    with jax.enable_x64(True):
        yield


def loss(p, e):
    return -jax.nn.log_softmax(e[0] @ p)[e[1]] + jnp.sum((e[0] @ p) ** 2) / jnp.linalg.norm(e[0]) + 0.1 * jnp.sum(p**2)


def of_batch(p, b):
    return jnp.mean(jax.vmap(lambda e: loss(p, e))(b))


def noisy(p, e, *, key):
    return loss(p, e) * jax.random.normal(key)


def elementwise(p, e):
    """Falls back: p enters in no product."""
    return jnp.sum(jnp.tanh(e[0] * jnp.sin(p[:, 0])) * e[0])


def assert_same(found, expected):
    for name in ("mean", "trace", "squared_mean", "loss", "second_moment"):
        a, b = getattr(found, name), getattr(expected, name)
        if a is not None and b is not None:
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    assert int(found.examples) == int(expected.examples) == LIVE.sum()


ALL = dict(squared_norms=True, second_moment=True)


@pytest.mark.parametrize(
    ("function", "options"),
    [
        pytest.param(loss, {}, marks=pytest.mark.slow),
        (loss, dict(chunk_size=2, **ALL)),
        (loss, dict(centred=True, ddof=0)),
        (loss, dict(nan="drop")),
        (elementwise, dict(chunk_size=4, **ALL)),
        pytest.param(of_batch, dict(batched=True), marks=pytest.mark.slow),
        (lambda p, b: jnp.sum(jax.vmap(lambda e: elementwise(p, e))(b)), dict(batched=True, chunk_size=3)),
    ],
)
def test_padding_counts_nowhere(function, options):
    found = gradient_moments(function, W, FULL, mask=LIVE, **options)
    assert_same(found, gradient_moments(function, W, jax.tree.map(lambda x: x[LIVE], CLEAN), **options))
    if found.squared_norms is not None:
        gradients = jax.jit(jax.vmap(jax.grad(function), (None, 0)))(W, CLEAN)
        norms = np.where(LIVE, np.sum(np.square(gradients), axis=(1, 2)), 0)
        np.testing.assert_allclose(found.squared_norms, norms, rtol=1e-10)


def test_an_example_keeps_the_key_of_its_row():
    key = jax.random.key(5)
    gradient = jax.jit(jax.vmap(jax.grad(lambda p, e, k: noisy(p, e, key=k)), (None, 0, 0)))
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(ROWS))
    own = np.asarray(gradient(W, CLEAN, keys))[LIVE]
    found = gradient_moments(noisy, W, FULL, mask=LIVE, key=key, chunk_size=4)
    np.testing.assert_allclose(found.trace, own.var(0, ddof=1).sum(), rtol=1e-10)


@pytest.mark.parametrize("kind", [bool, "int32", "float32"])
def test_under_jit_the_mask_may_be_traced(kind):
    compiled = jax.jit(lambda b, m: gradient_moments(loss, W, b, mask=m))
    assert_same(compiled(FULL, LIVE.astype(kind)), gradient_moments(loss, W, jax.tree.map(lambda x: x[LIVE], CLEAN)))


def test_a_traced_mask_of_other_numbers_gives_no_number():
    found = jax.jit(lambda m: gradient_moments(loss, W, CLEAN, mask=m))(LIVE * 0.5)
    assert np.isnan(found.trace) and np.isnan(found.loss) and np.isnan(found.mean).all()


def test_a_masked_example_that_is_not_finite_is_still_found():
    x = FULL[0].copy()
    x[0] = np.inf
    with pytest.raises(NotFiniteError, match="1 of 5 examples"):
        gradient_moments(loss, W, (x, FULL[1]), mask=LIVE)
    assert gradient_moments(loss, W, (x, FULL[1]), mask=LIVE, nan="drop").examples == 4


def test_a_batch_loss_that_divides_by_the_live_rows_is_refused_and_the_cure_is_the_mask():
    x, live = jnp.asarray(CLEAN[0]), jnp.asarray(LIVE, float)
    with pytest.raises(CoupledExamplesError, match="mask="):
        gradient_moments(
            lambda p, b: jnp.sum(b[1] * jnp.sum((b[0] @ p) ** 2, 1)) / jnp.sum(b[1]), W, (x, live), batched=True
        )
    found = gradient_moments(lambda p, b: jnp.mean(jnp.sum((b @ p) ** 2, 1)), W, x, batched=True, mask=LIVE)
    assert int(found.examples) == LIVE.sum()


def test_with_a_mask_the_loss_of_the_whole_batch_is_compared_all_the_same():
    with pytest.raises(CoupledExamplesError, match="for batches of one it is"):
        gradient_moments(
            lambda p, b: jnp.mean((b @ p) ** 2) * (1 if len(b) > 1 else 3), W, CLEAN[0], batched=True, mask=LIVE
        )


@pytest.mark.parametrize(
    ("mask", "kind", "said"),
    [
        (LIVE[:4], InputError, r"mask has shape \(4,\), the batch has 9 rows"),
        (LIVE[:, None], InputError, "one boolean a row"),
        (True, InputError, r"has shape \(\)"),
        (LIVE * 0.5, InputError, "numbers other than 0 and 1.*weight"),
        (LIVE * 2, InputError, "numbers other than 0 and 1"),
        (np.where(LIVE, 1.0, np.nan), InputError, "numbers other than 0 and 1"),
        (np.asarray(["yes"] * ROWS), InputTypeError, "dtype"),
        (LIVE.astype(complex), InputTypeError, "dtype complex"),
        (np.arange(ROWS) == 3, InputError, "1 rows that count.*at least 2"),
        (np.zeros(ROWS, bool), InputError, "0 rows that count"),
    ],
)
def test_a_mask_that_is_none_is_refused(mask, kind, said):
    with pytest.raises(kind, match=said):
        gradient_moments(loss, W, CLEAN, mask=mask)


def padded(rows, length):
    """Batches of one length, the last one filled up."""
    for start in range(0, len(rows), length):
        x = rows[start : start + length]
        fill = np.full((length - len(x), *rows.shape[1:]), np.nan)
        yield {"x": np.concatenate([x, fill]), "mask": np.arange(length) < len(x)}


def test_the_noise_scale_of_padded_batches_is_that_of_the_examples():
    rows = RNG.normal(1.0, 2.0, size=(41, 3))
    square = lambda p, e: jnp.sum((e @ p) ** 2)  # noqa: E731
    expected = noise_scale(square, W, iter([rows[i : i + 8] for i in range(0, 41, 8)]), progress=False)
    found = noise_scale(lambda p, e: square(p, e["x"]), W, padded(rows, 8), mask=lambda b: b["mask"], progress=False)
    assert (found.examples, found.dropped, found.blocks) == (41, 0, expected.blocks)
    np.testing.assert_allclose(
        [found.trace, found.noise_scale, found.standard_error],
        [expected.trace, expected.noise_scale, expected.standard_error],
        rtol=1e-9,
    )
    holes = np.arange(41) % 4 != 1
    beside = noise_scale(square, W, np.where(holes[:, None], rows, np.inf), mask=holes, progress=False)
    plain = gradient_moments(square, W, rows[holes])
    assert beside.examples == holes.sum()
    np.testing.assert_allclose(beside.trace, plain.trace, rtol=1e-9)
    with pytest.raises(InputTypeError, match="give a function of a batch"):
        noise_scale(square, W, iter([rows]), mask=holes, progress=False)


SPREAD = """
import json
import jax, numpy as np, jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec as P
from linvar.numeric import gradient_moments
mesh = jax.make_mesh((4,), ("a",), axis_types=(jax.sharding.AxisType.Auto,))
live = np.arange(16) < 6  # the last devices hold padding alone
x = np.where(live[:, None], np.random.default_rng(0).normal(size=(16, 3)), np.nan)
w = np.random.default_rng(1).normal(size=(3, 2))
loss = lambda p, e: jnp.sum(jnp.tanh(e @ p) ** 2) / jnp.linalg.norm(e)
many = gradient_moments(loss, w, jax.device_put(x, NamedSharding(mesh, P("a"))), mask=live, squared_norms=True)
one = gradient_moments(loss, w, x[live])
assert many.squared_norms.sharding.spec == P(("a",)) or many.squared_norms.sharding.spec == P("a")
print(json.dumps([float(many.trace), float(one.trace), float(many.loss), float(one.loss), many.examples, one.examples]))
"""


def test_on_many_devices_the_mask_follows_the_batch():
    environment = dict(os.environ, XLA_FLAGS="--xla_force_host_platform_device_count=4", JAX_PLATFORMS="cpu")
    done = subprocess.run(
        [sys.executable, "-c", SPREAD], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    np.testing.assert_allclose(found[0::2], found[1::2], rtol=1e-5)


@pytest.mark.parametrize(
    ("mask", "said"),
    [(lambda batch: None, "returns None for a batch"), (lambda batch: batch["rows"], "fails for a batch")],
)
def test_a_function_of_a_batch_that_gives_no_mask_is_refused(mask, said):
    with pytest.raises(InputError, match=said):
        noise_scale(loss, W, iter([CLEAN]), mask=mask, progress=False)


def test_one_live_row_gives_no_trace_and_no_false_warning():
    found = jax.jit(lambda mask: gradient_moments(loss, W, CLEAN, mask=mask))(np.arange(ROWS) == 2)
    assert np.isnan(found.trace) and np.isfinite(found.loss) and not found.cancelled
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gradient_moments(loss, W, tuple(x[:1] for x in CLEAN), ddof=0).trace == 0
