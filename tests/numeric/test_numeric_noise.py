"""The noise scale over a data set: against NumPy, against the laws the data come from, and in memory."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from linvar.numeric import noise_scale, two_batch_noise_scale
from linvar.schemes.scheme import SCHEMES, Scheme

RNG = np.random.default_rng(6)


def loss(w, x):
    """Its gradient is x."""
    return jnp.sum(w * x)


def sample(n, seed=0, ratio=9.0, width=3):
    """Gradients with tr Cov = ratio and ||E g||^2 = 1."""
    rng = np.random.default_rng(seed)
    return np.full(width, 1 / np.sqrt(width)) + np.sqrt(ratio / width) * rng.normal(size=(n, width))


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("rows", [None, 7, 100, 1000])
def test_every_way_of_giving_the_data_agrees_with_numpy(ddof, rows):
    x = sample(1000)
    with jax.enable_x64(True):
        data = x if rows is None else iter([x[i : i + rows] for i in range(0, len(x), rows)])
        found = noise_scale(loss, jnp.ones(3), data, ddof=ddof, blocks=10)
    trace = x.var(axis=0, ddof=ddof).sum()
    square = (x.mean(axis=0) ** 2).sum() - ddof * trace / len(x)
    assert found.examples == 1000 and found.blocks == (10 if rows in (None, 7, 100) else 1)
    np.testing.assert_allclose(
        [found.trace, found.squared_mean, found.noise_scale], [trace, square, trace / square], rtol=1e-12
    )
    np.testing.assert_allclose(found.loss, x.sum(axis=1).mean(), rtol=1e-12)
    assert np.isnan(found.standard_error) == (rows == 1000)


def test_the_jackknife_is_the_one_written_out():
    x = sample(300, ratio=2.0)
    edges = [0, 40, 80, 150, 160, 300]
    parts = [x[a:b] for a, b in zip(edges, edges[1:])]

    def statistics(rows):
        trace = rows.var(axis=0, ddof=1).sum()
        square = (rows.mean(axis=0) ** 2).sum() - trace / len(rows)
        return np.asarray([trace / square, trace, square])

    whole = statistics(x)
    h = np.asarray([300 / len(part) for part in parts])[:, None]
    without = np.stack([statistics(np.concatenate(parts[:j] + parts[j + 1 :])) for j in range(5)])
    centre = 5 * whole - ((1 - 1 / h) * without).sum(axis=0)
    errors = np.sqrt((((h * whole - (h - 1) * without - centre) ** 2) / (h - 1)).mean(axis=0))
    with jax.enable_x64(True):
        found = noise_scale(loss, jnp.ones(3), iter(parts))
    got = [found.standard_error, found.trace_standard_error, found.squared_mean_standard_error]
    np.testing.assert_allclose(got, errors, rtol=1e-9)


@pytest.mark.slow
def test_standard_errors_cover_the_truth():
    """300 data sets of 640 examples: z has a standard deviation near 1 (16 groups: 1.07), and its mean is near 0."""
    z = []
    for seed in range(300):
        found = noise_scale(loss, jnp.ones(3), sample(640, seed, ratio=3.0).astype("float32"), blocks=16)
        z.append([(found.trace - 3) / found.trace_standard_error, (found.squared_mean - 1) / found.squared_mean_standard_error,
                  (found.noise_scale - 3) / found.standard_error])  # fmt: skip
    spread = np.std(z, axis=0)
    assert np.all((spread > 0.9) & (spread < 1.35)), spread  # 1.07 +- 0.05, more for the ratio
    assert np.all(np.abs(np.mean(np.asarray(z)[:, :2], axis=0)) < 0.3)  # +- 0.06
    assert not np.all((2 * spread > 0.9) & (2 * spread < 1.35))


def test_the_two_batch_estimator_has_no_bias():
    """4,000 pairs of batches: means within four standard errors, which reject a trace off by 1.5."""
    small, large, ratio = 4, 32, 5.0
    x = sample(4000 * large, 3, ratio).reshape(4000, large, 3)
    small_norm = (x.reshape(4000, -1, small, 3).mean(axis=2) ** 2).sum(axis=-1).mean(axis=1)
    _, trace, square = two_batch_noise_scale(small_norm, (x.mean(axis=1) ** 2).sum(axis=-1), small, large)
    for values, truth in ((trace, ratio), (square, 1.0)):
        error = values.std() / np.sqrt(len(values))
        assert abs(values.mean() - truth) < 4 * error and 4 * error < 0.25 * truth
    found = noise_scale(loss, jnp.ones(3), sample(20_000, 5, ratio).astype("float32"))
    assert abs(found.two_batch / ratio - 1) < 0.6  # 16 blocks: a chi square with 45 degrees of freedom, 21 %
    with pytest.raises(ValueError, match="large batch must have more"):
        two_batch_noise_scale(1.0, 1.0, 4, 4)


def test_the_variance_at_every_batch_size_by_enumeration():
    import itertools

    x = sample(6)
    with jax.enable_x64(True):
        found = noise_scale(loss, jnp.ones(3), x, ddof=0)
        as_sample = noise_scale(loss, jnp.ones(3), x, ddof=1)
    for b in (1, 2, 5, 6):
        subsets = np.stack([x[list(rows)].mean(axis=0) for rows in itertools.combinations(range(6), b)])
        np.testing.assert_allclose(found.variance(b, "without_replacement"), subsets.var(axis=0).sum(), atol=1e-12)
        np.testing.assert_allclose(as_sample.variance(b, "without_replacement"), subsets.var(axis=0).sum(), atol=1e-12)
    pairs = np.stack([x[list(rows)].mean(axis=0) for rows in itertools.product(range(6), repeat=2)])
    np.testing.assert_allclose(found.variance([2, 4])[0], pairs.var(axis=0).sum(), rtol=1e-12)
    assert found.critical_batch_size == found.noise_scale
    with pytest.raises(ValueError, match="batch_sizes contains 7"):
        found.variance(7, "without_replacement")
    with pytest.raises(ValueError, match="sampling='x'"):
        found.variance(1, "x")


def test_the_scheme_says_which_batches_there_are(monkeypatch):
    """A scheme that nobody here knows by name: its batches are subsets of the data, so n bounds them."""
    monkeypatch.setitem(SCHEMES, "in_pairs", Scheme("in_pairs", "pairs", within_dataset=True))
    found = noise_scale(loss, jnp.ones(3), sample(6).astype("float32"))
    for b in (2, 6):
        assert found.variance(b, "in_pairs") == found.variance(b, "without_replacement") != found.variance(b)
    with pytest.raises(ValueError, match="batch_sizes contains 8"):
        found.variance(8, "in_pairs")


@pytest.mark.parametrize("n", [16, 100])
def test_whole_batches_without_a_finite_example_are_dropped_too(n):
    x = sample(n).astype("float32")
    x[: n // 8] = np.nan
    found = noise_scale(loss, jnp.ones(3), x, nan="drop")
    assert (found.examples, found.dropped) == (n - n // 8, n // 8)
    np.testing.assert_allclose(found.trace, x[n // 8 :].var(axis=0, ddof=1).sum(), rtol=1e-4)
    with pytest.raises(ValueError, match="0 examples"):
        noise_scale(loss, jnp.ones(3), np.full((20, 3), np.nan), nan="drop")


def test_dropped_examples_random_losses_and_progress():
    x = sample(100).astype("float32")
    x[3], x[55] = np.nan, np.inf
    seen = []
    found = noise_scale(loss, jnp.ones(3), x, nan="drop", progress=lambda done, total: seen.append((done, total)))
    assert (found.examples, found.dropped) == (98, 2) and "2 dropped" in repr(found)
    assert seen[-1] == (100, 100) and len(seen) == 15  # 7 rows at a time
    with pytest.raises(FloatingPointError, match="1 of 7 examples"):
        noise_scale(loss, jnp.ones(3), x)

    def noisy(w, x, *, key):
        return jnp.sum(w * (x + jax.random.normal(key, (3,))))

    clean = sample(20_000).astype("float32")
    found = noise_scale(noisy, jnp.ones(3), clean, key=jax.random.key(0), progress=True)
    assert abs(found.trace - 12) < 5 * found.trace_standard_error and found.trace_standard_error < 0.4


@pytest.mark.parametrize(
    ("options", "message"),
    [({"ddof": 2}, "ddof=2"), ({"blocks": 1}, "blocks=1"), ({"data": iter([])}, "0 examples"),
     ({"data": (np.ones(3), np.ones(4))}, "leading axes"), ({"data": np.ones((1, 3))}, "1 examples")],
)  # fmt: skip
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        noise_scale(**{"loss": loss, "params": jnp.ones(3), "data": np.ones((4, 3)), **options})


MEMORY = """
import resource, sys, numpy as np, jax.numpy as jnp
from linvar.numeric import noise_scale
def batches(n):
    rng = np.random.default_rng(0)
    for _ in range(n // 4096):
        yield rng.normal(size=(4096, 256)).astype("float32")
loss = lambda w, x: jnp.sum(jnp.tanh(x @ w) ** 2)
w = np.ones((256, 16), "float32") / 16
noise_scale(loss, w, batches(4 * 4096))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert noise_scale(loss, w, batches(int(sys.argv[1]))).examples == int(sys.argv[1])
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def test_memory_does_not_grow_with_the_data():
    """A warm process streams 8 MB, then 270 MB: what it holds grows by less than a tenth of that."""
    run = [sys.executable, "-c", MEMORY]
    small, large = (
        float(subprocess.run([*run, str(n)], capture_output=True, text=True, check=True).stdout)
        for n in (8192, 64 * 4096)
    )
    assert large < small + 27, (small, large)
