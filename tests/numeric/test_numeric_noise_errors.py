"""The errors of the noise scale: that its intervals hold the truth as often as they say, and what is said where they may not."""

import math
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import t as student

from linvar.numeric import noise_scale, two_batch_noise_scale
from linvar.numeric.gradients.jackknife import without_each

EQUAL = [16] * 16
UNEQUAL = [4, 8, 8, 12, 12, 16, 16, 16, 16, 16, 16, 20, 20, 24, 24, 28]
REPEATS = 2000
#: 3.5 standard errors of a share of 2,000 whose expectation is 0.95: 1 in 2,000 is outside.
BAND = 3.5 * math.sqrt(0.95 * 0.05 / REPEATS)


def loss(w, x):
    """Its gradient is x."""
    return jnp.sum(w * x)


def found_in(x, counts, ddof=1):
    """The jackknives of many data sets (repeats, examples, width), from sums in NumPy."""
    edges = np.cumsum([0, *counts])
    parts = [x[:, a:b] for a, b in zip(edges, edges[1:])]
    means = np.stack([part.mean(axis=1) for part in parts], axis=1)
    scatter = np.stack([part.var(axis=1).sum(axis=1) * part.shape[1] for part in parts], axis=1)
    mean = x.mean(axis=1, keepdims=True)
    apart, along = ((means - mean) ** 2).sum(axis=2), ((means - mean) * mean).sum(axis=2)
    plain = (mean**2).sum(axis=(1, 2))
    counts = np.asarray(counts, float)
    return [without_each(counts, *each, plain=p, ddof=ddof) for *each, p in zip(scatter, apart, along, plain)]


def normal(key, n, signal, width=2):
    """Data sets with tr Cov = width, and ||E g||^2 = signal width / n."""
    mean = np.zeros(width)
    mean[0] = math.sqrt(signal * width / n)
    return mean + np.asarray(jax.random.normal(key, (REPEATS, n, width)), "float64")


def share(ends, truth):
    """Of intervals that hold the truth."""
    return np.mean([low <= truth <= high for low, high in ends])


@pytest.mark.parametrize(
    ("counts", "ddof", "signal"),
    [(EQUAL, 1, 40), (UNEQUAL, 1, 8), (EQUAL, 0, 8)],
    ids=["equal", "unequal", "population"],
)
def test_intervals_hold_the_truth_as_often_as_they_say(key, counts, ddof, signal):
    """2,000 normal data sets of 256: a share of 0.95 within 3.5 standard errors, which rejects 1.5 times the truth."""
    found = found_in(normal(key, 256, signal), counts, ddof)
    square = 2 * signal / 256 + (1 - ddof) * 2 / 256  # of other 256 examples, ||mean||^2 with its bias
    trace = [one.trace_interval(0.95) for one, _ in found]
    for ends, truth in [
        ([one.noise_scale_interval(0.95) for one, _ in found], 2 / square),
        (trace, 2.0),
        ([one.squared_mean_interval(0.95) for one, _ in found], square),
        ([between.noise_scale_interval(0.95) for _, between in found], 256 / signal),
    ]:
        assert abs(share(ends, truth) - 0.95) < BAND, truth
    assert abs(share(trace, 3.0) - 0.95) > BAND


def test_at_another_level_they_do_too_and_normal_data_are_rarely_suspected(key):
    found = [one for one, _ in found_in(normal(key, 256, 40), EQUAL)]
    ends = [one.noise_scale_interval(0.8) for one in found]
    assert abs(share(ends, 256 / 40) - 0.8) < 3.5 * math.sqrt(0.8 * 0.2 / REPEATS)
    assert np.mean([one.carried_by_few for one in found]) < 0.02  # 0.001 for normal scatter of blocks; theirs is skewed


def test_of_eight_blocks_t_holds_and_the_normal_quantile_does_not(key):
    """The same test rejects estimate -+ 1.96 standard errors."""
    found = [one for one, _ in found_in(normal(key, 256, 40), [32] * 8)]
    assert abs(share([one.noise_scale_interval(0.95) for one in found], 256 / 40) - 0.95) < BAND
    old = [(value - 1.96 * error, value + 1.96 * error) for value, error in (one.noise_scale for one in found)]
    assert share(old, 256 / 40) < 0.95 - BAND


def test_where_the_mean_is_not_resolved_the_upper_end_is_infinite_and_the_lower_honest(key):
    found = [one for one, _ in found_in(normal(key, 256, 1), EQUAL)]
    ends = np.asarray([one.noise_scale_interval(0.95) for one in found])
    infinite = np.asarray([one.noise_scale[0] == math.inf for one in found])
    assert 0.2 < infinite.mean() < 0.8 and np.all(ends[infinite, 1] == math.inf)
    assert np.all(np.isfinite(ends[:, 0])) and np.all(ends[:, 0] > 1)
    assert np.mean(ends[:, 0] <= 256) > 0.95 and not np.mean(ends[:, 0] <= 256 / 40) > 0.95
    without = [one for one, _ in found_in(normal(key, 256, 0), EQUAL)]  # no mean at all: the truth is infinite
    assert np.mean([one.noise_scale_interval(0.95)[1] == math.inf for one in without]) > 0.95
    assert min(one.squared_mean_interval(0.95)[0] for one in without) == 0


def test_the_interval_is_the_one_written_out():
    rng = np.random.default_rng(1)
    x = 1 + rng.normal(size=(300, 3))
    edges = [0, 40, 80, 90, 150, 160, 200, 230, 250, 300]
    parts = [x[a:b] for a, b in zip(edges, edges[1:])]

    def root(rows):
        return math.sqrt((rows.mean(axis=0) ** 2).sum() / rows.var(axis=0, ddof=1).sum())

    h = np.asarray([300 / len(part) for part in parts])
    without = np.asarray([root(np.concatenate(parts[:j] + parts[j + 1 :])) for j in range(9)])
    pseudo = h * root(x) - (h - 1) * without
    centre = 9 * root(x) - ((1 - 1 / h) * without).sum()
    error = math.sqrt(((pseudo - centre) ** 2 / (h - 1)).mean())
    with jax.enable_x64(True):
        found = noise_scale(loss, jnp.ones(3), iter(parts))
    for level in (0.5, 0.95):
        reach = student.ppf((1 + level) / 2, 8) * error
        expected = [1 / ((root(x) + side * reach) ** 2 + error**2 - 1 / 300) for side in (1, -1)]  # both positive
        np.testing.assert_allclose(found.interval(level), expected, rtol=1e-9)
    assert found.interval() == found.interval(0.95, of="noise_scale")
    low, high = found.interval()
    assert low < found.noise_scale < high and high - found.noise_scale > found.noise_scale - low
    assert f"95 % from {low:.3g} to {high:.3g};" in repr(found)
    for of, value in (("trace", found.trace), ("squared_mean", found.squared_mean), ("two_batch", found.two_batch)):
        low, high = found.interval(of=of)
        assert low < value < high
    counts, means = np.diff(edges), np.stack([part.mean(axis=0) for part in parts])
    norms = counts @ (means**2).sum(axis=1) / 300
    expected = two_batch_noise_scale(norms, (x.mean(axis=0) ** 2).sum(), 300 / 9, 300)[0]
    np.testing.assert_allclose(found.two_batch, expected, rtol=1e-9)


def test_few_examples_that_carry_the_trace_are_named_once():
    x = np.random.default_rng(0).normal(1.0, 1.0, size=(2000, 3)).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = noise_scale(loss, jnp.ones(3), x)
    assert found.caution == "" and "few" not in repr(found)
    assert 600 < found.effective_examples < 2000 + 1e-6  # chi square with 3 degrees: 2000 / (1 + 2/3)
    for rows, message in (
        ([5, 900, 1400], "few examples carry the trace, as if"),
        ([700], "one block of 16 stands out|as if"),
    ):
        heavy = x.copy()
        heavy[rows] *= 300 if len(rows) > 1 else 15
        with pytest.warns(RuntimeWarning, match=message) as seen:
            found = noise_scale(loss, jnp.ones(3), heavy)
        assert len(seen) == 1 and "squared_norms=True" in str(seen[0].message) and seen[0].filename == __file__
        assert found.caution == "few examples carry the trace" and repr(found).endswith("few examples carry the trace)")
    assert found.interval()[1] - found.noise_scale > 0


def test_large_examples_that_no_block_shows_are_named_by_their_norms():
    x = np.random.default_rng(0).normal(1.0, 1.0, size=(1600, 3)).astype("float32")
    x[::100] = x[0] * 300  # one in each of 16 blocks
    with pytest.warns(
        RuntimeWarning, match=r"few examples carry the trace, as if 16 of 1,600 did: .*squared_norms=True"
    ):
        found = noise_scale(loss, jnp.ones(3), x)
    gradients = np.asarray(jax.vmap(jax.grad(loss), (None, 0))(jnp.ones(3), x), "float64")
    q = np.sum((gradients - gradients.mean(axis=0)) ** 2, axis=1)
    kish = q.sum() ** 2 / np.sum(q**2)
    assert 15 < kish <= found.effective_examples < 17 and not found.jackknife.carried_by_few
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        penalised = noise_scale(lambda w, e: loss(w, e) + jnp.sum(w**2), jnp.ones(3), x)
    assert penalised.effective_by_norms == np.inf and penalised.trace == pytest.approx(found.trace, rel=1e-4)


@pytest.mark.parametrize("batches", [1, 7])
def test_norms_bound_how_many_examples_carry_the_trace(batches):
    x = np.random.default_rng(1).standard_t(3, size=(700, 2)) + 0.5
    x[3] = 0
    with jax.enable_x64(True):
        found = noise_scale(lambda w, e: w @ e, np.ones(2), iter(np.split(x, batches)))
    m, r = np.linalg.norm(x.mean(axis=0)), np.linalg.norm(x, axis=1)
    q = np.sum((x - x.mean(axis=0)) ** 2, axis=1)
    expected = q.sum() ** 2 / np.sum((r[r > 0] - m) ** 4)
    assert found.effective_by_norms == pytest.approx(expected, rel=1e-6) and expected > q.sum() ** 2 / np.sum(q**2)


@pytest.mark.parametrize(
    ("data", "options", "blocks", "cure"),
    [
        (np.ones((1, 400, 3)), {}, 1, "a single block has no standard error; give smaller batches"),
        (np.ones((3, 40, 3)), {}, 3, "those of 3 blocks only.* at least 8 batches"),
        (None, {"blocks": 4}, 4, "those of 4 blocks only.* blocks=16"),
        (None, {}, 5, "or more examples"),
    ],
    ids=["one batch", "few batches", "few blocks", "few examples"],
)
def test_few_blocks_are_named(data, options, blocks, cure):
    rng = np.random.default_rng(3)
    given = (
        rng.normal(1, 1, (blocks if not options else 400, 3))
        if data is None
        else iter(data + rng.normal(size=data.shape))
    )
    with pytest.warns(RuntimeWarning, match=cure) as seen:
        found = noise_scale(loss, jnp.ones(3), given, **options)
    assert len(seen) == 1 and found.blocks == blocks and f"{blocks} block" in repr(found)
    assert (
        np.isnan(found.interval()).all()
        == np.isnan(found.two_batch)
        == np.isnan(found.effective_examples)
        == (blocks == 1)
    )
    if blocks > 1:
        low, high = found.interval()
        assert low < found.noise_scale < high


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("sizes", [[1, 1], [50, 1], [50]], ids=str)
def test_where_only_one_example_is_left_out_of_a_block_there_is_no_error(sizes, ddof):
    rng = np.random.default_rng(4)
    with pytest.warns(RuntimeWarning, match="no standard error; give smaller batches"):
        found = noise_scale(loss, jnp.ones(3), iter([rng.normal(1, 1, (rows, 3)) for rows in sizes]), ddof=ddof)
    ends = [found.interval(of=of) for of in ("noise_scale", "trace", "squared_mean", "two_batch")]
    errors = [found.standard_error, found.trace_standard_error, found.squared_mean_standard_error]
    assert np.isnan([*np.ravel(ends), *errors, found.effective_examples]).all() and "95 %" not in repr(found)
    assert math.isfinite(found.trace) and found.trace > 0


def test_gradients_that_are_all_the_same_have_no_noise():
    found = noise_scale(loss, jnp.ones(3), np.ones((64, 3)))
    assert found.interval() == (0, 0) == found.interval(of="trace") and found.caution == ""
    np.testing.assert_allclose(found.interval(of="squared_mean"), (3, 3), rtol=1e-12)


def test_the_trace_of_one_block_alone_has_no_upper_end():
    """All others are the same: without that block there is no spread."""
    x = np.ones((160, 2))
    x[:10, 0] = np.arange(10)
    with pytest.warns(RuntimeWarning, match="as if 1 of 160"):
        found = noise_scale(loss, jnp.ones(2), x)
    assert found.interval(of="trace") == (0, math.inf) == found.interval()


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, float("nan"), 95.0])
def test_a_bad_level_is_named(level):
    found = noise_scale(loss, jnp.ones(2), np.random.default_rng(0).normal(size=(32, 2)))
    with pytest.raises(ValueError, match="level="):
        found.interval(level)
    with pytest.raises(ValueError, match="of='loss' is unknown"):
        found.interval(of="loss")
