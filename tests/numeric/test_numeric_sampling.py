"""Batches: every subset equally likely, Gaussian moments right, singular covariances without stray noise."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import slow_but

from linvar.laws.dataset import Dataset
from linvar.laws.gaussian import Gaussian
from linvar.numeric.laws.sampling import sampler_from_problem
from linvar.numeric.schemes.scheme import numeric_scheme
from linvar.problem import Problem

DRAWS = 20_000


def in_pieces(key, size, count, first=None):
    """As simulations draw a subset: a row, then two at a time, then what is left."""
    scheme, found = numeric_scheme("without_replacement"), []
    state = scheme.begin(key, size, jnp.asarray(float(count)), first)
    for rows in [1, *[2] * ((count - 1) // 2), *[1] * ((count - 1) % 2)]:
        state, numbers = scheme.more(state, jnp.int32(sum(map(len, found))), jnp.zeros(rows, jnp.int32))
        found.append(numbers)
    return jnp.concatenate(found)


def in_pieces_of_float64(key, size, count):
    """As simulations in float64 do."""
    return in_pieces(key, size, count)


def drawn_rows(draw, *arguments):
    """DRAWS draws with a fixed key."""
    with jax.enable_x64(draw is in_pieces_of_float64):
        return np.asarray(
            jax.jit(jax.vmap(lambda key: draw(key, *arguments)))(jax.random.split(jax.random.key(7), DRAWS))
        )


SUBSETS = [(1, 1), (5, 1), (5, 2), (5, 3), (5, 4), (6, 3), (5, 5)]


@pytest.mark.parametrize("draw", [in_pieces, in_pieces_of_float64])
@pytest.mark.parametrize("sizes", slow_but(SUBSETS, (1, 1), (5, 2), (6, 3), (5, 5)), ids=str)
def test_every_subset_is_equally_likely(draw, sizes):
    size, count = sizes
    assert_equally_likely(drawn_rows(draw, size, count), combinations(range(size), count))


@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_a_subset_that_begins_with_a_row_is_completed_by_any_others(count):
    rows = drawn_rows(in_pieces, 5, count, jnp.int32(3))
    assert (rows[:, 0] == 3).all()
    assert_equally_likely(rows[:, 1:], combinations([0, 1, 2, 4], count - 1))


def test_all_rows_come_in_order():
    assert (drawn_rows(in_pieces, 6, 6) == np.arange(6)).all()


def assert_equally_likely(rows, subsets):
    """The rows are subsets, each as often as the others."""
    possible = list(subsets)
    found, numbers = np.unique(np.sort(rows, axis=1), axis=0, return_counts=True)
    counts = {tuple(map(int, row)): int(n) for row, n in zip(found, numbers)}
    assert set(counts) <= set(possible)
    cells = len(possible)
    expected = DRAWS / cells
    chi_square = sum((counts.get(cell, 0) - expected) ** 2 / expected for cell in possible)
    # chi-square with cells - 1 degrees of freedom: mean + 5 standard deviations
    assert chi_square <= (cells - 1) + 5 * np.sqrt(2 * (cells - 1))
    # the same budget rejects one cell taken 1.5 times as often as it should be
    if cells > 1:
        assert 0.25 * expected > (cells - 1) + 5 * np.sqrt(2 * (cells - 1))


def test_the_rows_of_a_large_subset_are_distinct():
    scheme = numeric_scheme("without_replacement")
    for count in (1, 222, 442):
        state = scheme.begin(jax.random.key(count), 442, jnp.asarray(float(count)))
        rows = np.asarray(scheme.more(state, jnp.int32(0), jnp.zeros(count, jnp.int32))[1])
        assert len(set(rows.tolist())) == count and rows.min() >= 0 and rows.max() < 442


def sample(law, count=100_000, sampling="iid"):
    """One large batch, as NumPy float64."""
    problem = Problem([[[0] * law.input_width] * law.target_width], law, sampling=sampling)
    with jax.enable_x64(True):
        sampler = sampler_from_problem(problem)
        inputs, targets = jax.jit(lambda key: sampler.draw(key, count))(jax.random.key(3))
        return np.asarray(inputs), np.asarray(targets)


def test_gaussian_mean_covariance_and_noise():
    covariance = np.array([[4.0, 2.0, 0.0], [2.0, 3.0, 1.0], [0.0, 1.0, 1.0]])
    law = Gaussian([[1, -1, 2]], [[4, 2, 0], [2, 3, 1], [0, 1, 1]], [1, 0, -2], "1/4")
    x, y = sample(law)
    noise = y - x @ np.array([[1.0], [-1.0], [2.0]])
    scale = 1 / np.sqrt(len(x))
    assert np.all(np.abs(x.mean(axis=0) - [1, 0, -2]) < 5 * scale * np.sqrt(np.diag(covariance)))
    spread = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2)  # sd of a product of normals
    assert np.all(np.abs(np.cov(x.T) - covariance) < 5 * scale * spread)
    assert not np.all(np.abs(1.5 * np.cov(x.T) - covariance) < 5 * scale * spread)
    assert abs(noise.var() - 0.25) < 5 * scale * 0.25 * np.sqrt(2)
    assert np.all(np.abs((noise * (x - [1, 0, -2])).mean(axis=0)) < 5 * scale * 0.5 * np.sqrt(np.diag(covariance)))


def test_singular_covariance_leaves_a_bias_exactly_constant():
    x, y = sample(Gaussian([[1, 1]], [[0, 0], [0, 2]], [1, 0]), count=1000)
    assert np.all(x[:, 0] == 1) and x[:, 1].std() > 1
    x, _ = sample(Gaussian([[1, 1, 1]], [[1, 1, 2], [1, 1, 2], [2, 2, 5]]), count=1000)
    assert np.all(x[:, 0] == x[:, 1]) and np.linalg.matrix_rank(np.cov(x.T)) == 2


def test_noise_free_targets_are_the_teacher():
    x, y = sample(Gaussian([[2, 0], [1, 1]]), count=100)
    np.testing.assert_allclose(y, x @ np.array([[2.0, 1.0], [0.0, 1.0]]), rtol=1e-14)


def test_rows_keep_their_targets():
    law = Dataset([[1], [2], [3]], [10, 20, 30])
    for sampling in ("iid", "without_replacement"):
        x, y = sample(law, 3, sampling)
        np.testing.assert_array_equal(10 * x, y)
