"""Moments of a batch mean: the generating function against enumeration of every batch, and closed forms."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linvar.exact import Rational
from linvar.laws.dataset import Dataset
from linvar.laws.gaussian import Gaussian
from linvar.laws.polynomial import coordinates
from linvar.symbolic.algebra.ring import Ring, coefficients_of, to_exact
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.sgd.batch_moments import answer_ring, batch_moments, sampling_factor

ROWS = [(1, 2, -1), (0, 1, 3), (2, -1, 1), (1, 1, 1)]
DATASET = exact_law(Dataset([row[:2] for row in ROWS], [row[2:] for row in ROWS]))
Z = coordinates(3)
FEATURES = [Z[0] * Z[0], Z[0] * Z[2]]


def coefficients(element, ring: Ring) -> list[Fraction]:
    """Coefficients of a polynomial in u alone."""
    return [to_exact(part, ()) for part in coefficients_of(element, ring)]


def at(element, ring: Ring, batch_size: int) -> Fraction:
    """Its value at u = 1/b."""
    return sum((c * Fraction(1, batch_size) ** k for k, c in enumerate(coefficients(element, ring))), Fraction(0))


def batches(size: int, batch_size: int, sampling: str):
    """Every batch, all equally likely."""
    if sampling == "iid":
        return list(product(range(size), repeat=batch_size))
    return list(combinations(range(size), batch_size))


@pytest.mark.parametrize("sampling", ["iid", "without_replacement"])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 4])
def test_dataset_moments_equal_enumeration_of_every_batch(sampling: str, batch_size: int) -> None:
    ring = answer_ring(())
    moments = batch_moments(DATASET, FEATURES, 5, sampling, ring)
    values = [(row[0] * row[0], row[0] * row[2]) for row in ROWS]
    every = batches(len(ROWS), batch_size, sampling)
    assert len(moments) == comb(5 + 2, 2)
    for exponents, moment in moments.items():
        expected = Fraction(0)
        for batch in every:
            means = [Fraction(sum(values[i][j] for i in batch), batch_size) for j in range(2)]
            expected += means[0] ** exponents[0] * means[1] ** exponents[1]
        assert at(moment, ring, batch_size) == expected / len(every), exponents


def test_more_steps_of_sampling_than_examples() -> None:
    """Order 6 from n = 2: terms with more distinct examples than there are do not exist."""
    ring = answer_ring(())
    law = Dataset([[1], [3]], [[0], [0]])
    moments = batch_moments(exact_law(law), [Z[0] * Z[0]], 6, "without_replacement", ring)
    for k in range(7):
        assert at(moments[(k,)], ring, 2) == 5**k
        assert at(moments[(k,)], ring, 1) == Fraction(1 + 9**k, 2)


def test_standard_normal_moments_are_those_of_chi_squared() -> None:
    """E S^k = prod_{i<k} (1 + 2 i u) in one dimension (chi^2_b / b)."""
    ring = answer_ring(())
    moments = batch_moments(exact_law(Gaussian([[1]])), [Z[0] * Z[0]], 7, "iid", ring)
    (u,) = ring.gens
    expected = ring.one
    for k in range(8):
        assert moments[(k,)] == expected
        expected = expected * (1 + 2 * k * u)


def test_gaussian_with_mean_and_noise_at_batch_size_one() -> None:
    """b = 1: moments of x^2 and x e for x ~ N(1/2, 2), e ~ N(0, 3), from moments of normals."""
    law = Gaussian([[1]], covariance=[[2]], mean=["1/2"], noise_variance=3)
    ring = answer_ring(())
    moments = batch_moments(exact_law(law), [Z[0] * Z[0], Z[0] * Z[1]], 4, "iid", ring)
    normal = [Fraction(1), Fraction(1, 2)]
    for k in range(2, 9):
        normal.append(Fraction(1, 2) * normal[-1] + 2 * (k - 1) * normal[-2])
    noise = [1, 0, 3, 0, 27]
    for (i, j), moment in moments.items():
        assert at(moment, ring, 1) == normal[2 * i + j] * noise[j], (i, j)


def test_constant_input_never_varies() -> None:
    """A bias: mean 1, covariance 0."""
    law = Gaussian([[1, 0]], covariance=[[1, 0], [0, 0]], mean=[0, 1])
    ring = answer_ring(())
    moments = batch_moments(exact_law(law), [Z[1] * Z[1], Z[0] * Z[1]], 4, "iid", ring)
    (u,) = ring.gens
    assert moments[(3, 0)] == ring.one
    assert moments[(1, 2)] == u
    assert moments[(0, 4)] == 3 * u**2


@given(st.integers(2, 6), st.integers(1, 4))
def test_degree_is_below_the_order(size: int, order: int) -> None:
    law = Dataset([[i] for i in range(1, size + 1)], [[i % 3] for i in range(size)])
    for sampling in ("iid", "without_replacement"):
        ring = answer_ring(())
        for exponents, moment in batch_moments(
            exact_law(law), [Z[0] * Z[0], Z[0] * Z[1]], order, sampling, ring
        ).items():
            assert len(coefficients(moment, ring)) <= max(1, sum(exponents))


def test_sampling_factor() -> None:
    ring = answer_ring(())
    (u,) = ring.gens
    assert sampling_factor(ring, "iid", None) == u
    without = sampling_factor(ring, "without_replacement", 5)
    assert [at(without, ring, b) for b in range(1, 6)] == [Fraction(5 - b, b * 4) for b in range(1, 6)]
    assert sampling_factor(ring, "without_replacement", 1) == ring.zero


def test_weighted_second_moments_are_fourth_moments() -> None:
    """E q z z^T of both laws, against sums over the rows, E x^4 = 3 and E (2 + x)^4 = 16 + 24 + 3."""
    ring = Ring(0)
    form = [[1, 2, 0], [2, -1, 1], [0, 1, 3]]
    lifted = [[ring.lift(Rational(entry)) for entry in row] for row in form]
    expected = [[Fraction(0)] * 3 for _ in range(3)]
    for z in ROWS:
        value = sum(form[i][j] * z[i] * z[j] for i in range(3) for j in range(3))
        for i, j in product(range(3), repeat=2):
            expected[i][j] += Fraction(value * z[i] * z[j], len(ROWS))
    assert [[to_exact(e, ()) for e in row] for row in DATASET.weighted_second_moment(lifted, ring)] == expected
    one = [[ring.one]]
    assert to_exact(exact_law(Gaussian([[1]])).weighted_second_moment(one, ring)[0][0], ()) == 3
    assert to_exact(exact_law(Gaussian([[1]], mean=[2])).weighted_second_moment(one, ring)[0][0], ()) == 16 + 6 * 4 + 3
