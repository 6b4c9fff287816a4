"""Runs of batches that are drawn some rows at a time: the same law for blocks, the last one not full, and single rows."""

import jax
import jax.numpy as jnp
import pytest
from tiers import slow_but

import linvar as lv
from linvar.errors import InputError
from linvar.numeric.laws.rows import RowSampler
from linvar.numeric.schemes.scheme import numeric_scheme
from linvar.numeric.simulation import runs
from linvar.numeric.simulation.batches import Size
from linvar.numeric.simulation.trajectories import simulate

ROWS = lv.Dataset([[1, 2], [0, 1], [-1, 1], [2, "1/2"], [1, 1]], [3, 2, -1, "9/2", 0])
LAWS = {
    "gaussian": (lv.Gaussian([[1, -2]], noise_variance="1/4"), "iid"),
    "rows": (ROWS, "iid"),
    "subsets": (ROWS, "without_replacement"),
    "student": (lv.ScaleMixture(lv.Gaussian([[1, -2]]), degrees_of_freedom=100), "iid"),
}


@pytest.mark.parametrize("name", slow_but(LAWS, "gaussian", "subsets"))
def test_blocks_and_single_rows_have_the_same_law(name, monkeypatch):
    """Three rows: a block of two, and one of which half is no row. Exact values, and tr Cov within: 5 standard errors."""
    law, sampling = LAWS[name]
    problem = lv.Problem([[[1, 0], ["1/2", 1]], [[1, "-1/2"]]], law, "1/20", 1, sampling=sampling)
    exact = lv.derive(problem)
    single = simulate(jax.random.key(1), problem, batch_sizes=[3], runs=20_000)[3]
    monkeypatch.setattr(runs, "_LARGE", 0)
    monkeypatch.setattr(runs, "_ROWS", 2)
    blocks = simulate(jax.random.key(2), problem, batch_sizes=[3], runs=20_000)[3]
    for moments in (single, blocks):
        for found, polynomial in [(moments.variance, exact.variance), (moments.loss, exact.loss)]:
            assert abs(found.z(polynomial(3))) < 5 < abs(found.z(1.3 * float(polynomial(3))))
    one, other = single.conditional_variance, blocks.conditional_variance
    spread = (one.standard_error**2 + other.standard_error**2) ** 0.5
    assert abs(one.value - other.value) < 5 * spread < 0.3 * one.value
    report = lv.verify(problem, runs=20_000, batch_sizes=[3])
    assert report.verdict == "AGREE"


def test_a_batch_of_many_rows_costs_no_memory():
    problem = lv.Problem([[["1/2"]], [[1]]], lv.Gaussian([[1]]), "1/10", 1)
    moments = simulate(jax.random.key(0), problem, batch_sizes=[20_000], runs=8, byte_budget=20_000)
    assert moments[20_000].nonfinite_runs == 0


def test_a_subset_is_of_the_size_asked_for_or_refused():
    """2^24 + 1 is no float32: a subset would have one row less."""
    subsets, rows = (
        RowSampler(jnp.zeros((3, 1)), None, numeric_scheme(name)) for name in ("without_replacement", "iid")
    )
    for odd in (2**24 + 1, 2**25 + 2, 2**30 - 1):
        with pytest.raises(
            InputError, match=f"batch_sizes contains {odd:,}: without .* float32 has no such .* float64"
        ):
            Size.of(subsets, odd, "float32")
        assert Size.of(rows, odd, "float32").rows == odd
        with jax.enable_x64(True):
            assert int(Size.of(subsets, odd, "float64").batch_size) == odd
    assert int(Size.of(subsets, 2**24, "float32").batch_size) == 2**24


def test_batch_sizes_that_differ_by_a_power_of_two_have_keys_of_their_own(monkeypatch):
    seen = []

    def keys(key, *_):
        seen.append(tuple(jax.random.key_data(key).tolist()))
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "_keys", keys)
    problem = lv.Problem([[[1, 2]]], lv.Gaussian([[1, 0]]), "1/10", 1)
    for batch_size in (4, 2**31 + 4, 2**32 + 4, 2**33 + 4, 2**62 + 4):
        with pytest.raises(KeyboardInterrupt):
            simulate(jax.random.key(0), problem, batch_sizes=[batch_size], runs=2, batches="second_moments")
    assert len(set(seen)) == 5


@pytest.mark.parametrize("batch_size", [2**30 + 1, 2**31, 2**40])
def test_more_rows_than_are_counted_are_refused(batch_size):
    problem = lv.Problem([[[1, 2]]], lv.Gaussian([[1, 0]]), "1/10", 1)
    fault = f"batch_sizes contains {batch_size:,}: examples are drawn up to 1,073,741,824; beyond, .*second_moments"
    with pytest.raises(InputError, match=fault):
        lv.simulate(jax.random.key(0), problem, batch_sizes=[batch_size], runs=2)
    with pytest.raises(InputError, match=fault):
        lv.verify(problem, batch_sizes=[batch_size], runs=8)
