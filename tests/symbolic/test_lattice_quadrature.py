"""The lattice and the expansion against Gauss quadrature of Bartlett's factor, at whole and at real batch sizes.

Between integers too: both sides are analytic in b > d_0 - 1, so that the polynomial in 1/b holds there.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import gauss_quadrature
import numpy as np
import oracles
import pytest
from gauss_quadrature import bartlett_quadrature

import linvar as lv
from linvar.symbolic.sgd.road import Road

TWO_LAYERS = lv.Problem([[[1, 0], [1, 1]], [[1, 1], [0, 1]]], lv.Gaussian([[1, 0], [0, 2]]), "1/10", 1)
CORRELATED = TWO_LAYERS.replace(law=lv.Gaussian([[1, 0], [0, 2]], [[2, 1], [1, 1]]))
THREE_LAYERS = TWO_LAYERS.replace(weights=[[[1, 0], [1, 1]], [[1, 1], [0, 1]], [[1, 0], [1, 1]]])
NAMES = ("second_moment", "squared_mean", "variance", "expected_loss")
# nodes of relative error 1e-16 to the power 50 at most, in sums that do not cancel: 2e-14 is the worst seen
TOLERANCE = Fraction(1, 10**11)
BATCH_SIZES = (1, "3/2", 2, 3, 16)


def value(coefficients: Sequence[Any], batch_size: Any) -> Fraction:
    """sum_k coefficients[k] / b^k for a b that may be a fraction."""
    return sum((Fraction(str(c)) / Fraction(batch_size) ** k for k, c in enumerate(coefficients)), Fraction(0))


def fits(found: float, coefficients: Sequence[Any], batch_size: Any) -> bool:
    """Whether a float is the value of the polynomial, up to rounding."""
    exact = value(coefficients, batch_size)
    return abs(Fraction(found) - exact) <= TOLERANCE * abs(exact)


def exact_moments(problem: lv.Problem, road: Road) -> dict[str, lv.BatchPolynomial]:
    """The polynomials, by one road of linvar."""
    exact = lv.derive(problem, road)
    return {
        "second_moment": exact.second_moment,
        "squared_mean": exact.squared_mean,
        "variance": exact.variance,
        "expected_loss": exact.loss,
    }


def check(polynomials: dict[str, lv.BatchPolynomial], found: dict[Any, oracles.Moments]) -> None:
    """Every polynomial fits at every batch size; with any one coefficient times 1.5 it does not."""
    for name, polynomial in polynomials.items():
        coefficients = [Fraction(str(c)) for c in polynomial.coefficients]
        for b, moments in found.items():
            assert fits(getattr(moments, name), coefficients, b), (name, b)
        for k in range(len(coefficients)):
            wrong = [c * Fraction(3, 2) if j == k else c for j, c in enumerate(coefficients)]
            refused = not all(fits(getattr(moments, name), wrong, b) for b, moments in found.items())
            assert refused == bool(coefficients[k]), (name, k)


@pytest.mark.parametrize(
    ("problem", "road", "degree"),
    [
        (TWO_LAYERS.replace(step=0), lv.Expansion(), 1),
        (TWO_LAYERS, lv.Expansion(), 6),
        (CORRELATED, lv.Lattice(), 6),
        # whole polynomials at step 2 against enumeration: test_roads_agree.py
        pytest.param(
            TWO_LAYERS.replace(step=2, learning_rate=["1/10", "1/7"]), lv.Expansion(), 23, marks=pytest.mark.slow
        ),
        (THREE_LAYERS, lv.Expansion(), 10),
    ],
)
def test_the_polynomials_equal_the_quadrature(problem: lv.Problem, road: Road, degree: int) -> None:
    polynomials = exact_moments(problem, road)
    assert polynomials["variance"].degree == degree
    check(polynomials, {b: bartlett_quadrature(problem, b) for b in BATCH_SIZES})


def test_every_layer_equals_the_quadrature() -> None:
    layers = lv.derive(THREE_LAYERS).per_leaf.variance
    for b in BATCH_SIZES:
        found = bartlett_quadrature(THREE_LAYERS, b).variances
        assert all(fits(one, layer.coefficients, b) for one, layer in zip(found, layers, strict=True))
        assert not fits(found[0], layers[1].coefficients, b)


@pytest.mark.slow
def test_three_layers_after_two_steps_by_the_lattice() -> None:
    """Degree 59 from 6,699,836 nodes, out of reach of the expansion; values from 1e72 (b = 1) to 1 (b = 32)."""
    problem = THREE_LAYERS.replace(step=2)
    polynomials = exact_moments(problem, lv.Lattice())
    assert {name: p.degree for name, p in polynomials.items()} == dict(zip(NAMES, (59, 56, 59, 34)))
    check(polynomials, {b: bartlett_quadrature(problem, b) for b in (1, "3/2", 2, 5, 32)})


# the quadrature itself


@pytest.mark.parametrize("batch_size", [1, 2])
def test_bartletts_factor_equals_whole_batches(batch_size: int) -> None:
    """Every example of a batch drawn by itself; rounding only, in sums of up to 2e5 terms."""
    found, whole = bartlett_quadrature(CORRELATED, batch_size), oracles.gauss_quadrature(CORRELATED, batch_size)
    for name in NAMES:
        assert getattr(found, name) == pytest.approx(getattr(whole, name), rel=1e-11)
        assert getattr(found, name) != pytest.approx(1.5 * getattr(whole, name), rel=1e-11)


@pytest.mark.parametrize("batch_size", [Fraction(1), Fraction(3, 2), Fraction(2), Fraction(7)])
def test_the_grid_has_the_moments_of_a_batch(batch_size: Fraction) -> None:
    """E S = I; E S_22^k = (1 + 2u)(1 + 4u)... to the degree asked for, and not beyond; E S_12^2 = u, E det S = 1 - u."""
    factor, weights = gauss_quadrature.bartlett_grid(6, 2, batch_size)
    s, u = np.einsum("ikn,jkn->ijn", factor, factor), 1 / float(batch_size)
    for k in range(7):
        exact = np.prod([1 + 2 * i * u for i in range(k)])
        assert s[1, 1] ** k @ weights == pytest.approx(exact, rel=1e-13)
    assert [s[0, 1] @ weights, s[0, 1] ** 2 @ weights] == pytest.approx([0, u], abs=1e-13)
    assert (s[0, 0] * s[1, 1] - s[0, 1] ** 2) @ weights == pytest.approx(1 - u, abs=1e-13)
    assert s[1, 1] ** 14 @ weights != pytest.approx(np.prod([1 + 2 * i * u for i in range(14)]), rel=1e-3)


def test_the_rule_of_26_nodes_carries_50_moments() -> None:
    """E r^k = n (n + 2) ... (n + 2k - 2) for r ~ chi^2_n: up to 1e79 at n = 1, from weights down to 1e-39."""
    nodes, weights = gauss_quadrature.chi_square_rule(Fraction(1), 26)
    for k in (1, 25, 50):
        assert nodes**k @ weights == pytest.approx(float(np.prod([1.0 + 2 * i for i in range(k)])), rel=1e-13)


def test_what_the_quadrature_refuses() -> None:
    with pytest.raises(ValueError, match="batch_size=1/2 is no integer"):
        bartlett_quadrature(TWO_LAYERS, "1/2")
    with pytest.raises(ValueError, match="more than 10 nodes"):
        bartlett_quadrature(TWO_LAYERS, 2, max_nodes=10)
    with pytest.raises(ValueError, match="without noise"):
        bartlett_quadrature(TWO_LAYERS.replace(law=lv.Gaussian([[1, 0]], noise_variance=1), weights=[[[1, 0]]]), 2)
