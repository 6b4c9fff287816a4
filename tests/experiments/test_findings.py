"""Sentences from estimates: right on clear cases, unresolved where they must be, false alarms as stated."""

import numpy as np
import pytest

from linvar.experiments.findings import FALSE_ALARM_RATE, chi_squared_tail, falls, limit, lower, powers

SIZES = (1, 2, 4, 8, 16, 32)


def curve(function, error, rng=None):
    """Points of a curve, with noise if there is a generator."""
    noise = (lambda: rng.normal()) if rng is not None else (lambda: 0.0)
    return {b: (function(b) + noise() * error * function(b), error * function(b)) for b in SIZES}


def test_a_fall_a_rise_and_a_doubt():
    assert falls(curve(lambda b: 1 / b, 0.01), 5).verdict == "falls"
    rising = falls(curve(lambda b: b, 0.01), 5)
    assert rising.verdict == "rises" and len(rising.rises) == 5 and rising.smallest_z < -10
    flat = falls(curve(lambda b: 1 + 1 / b, 0.2), 5)
    assert flat.verdict == "unresolved" and flat.unresolved


def test_false_alarms_are_as_rare_as_stated():
    """A flat curve, 20,000 times: about 5 (0.0005: one side of a two-sided 0.001) call it a rise; 15 would be too many."""
    rng = np.random.default_rng(0)
    alarms = sum(falls(curve(lambda b: 1.0, 0.1, rng), 5).verdict == "rises" for _ in range(20_000))
    assert alarms <= 20_000 * FALSE_ALARM_RATE and limit(5) > 3.7
    naive = sum(min(p[0] for p in curve(lambda b: 1.0, 0.1, rng).values()) < 0.8 for _ in range(200))
    assert naive > 10  # two standard errors are passed often


@pytest.mark.parametrize(
    ("constant", "coefficients"), [(False, (0, 3, 5)), (False, (0, 2)), (True, (-0.5, 4)), (True, (1, 2, 6))]
)
def test_the_degree_and_the_coefficients_are_found(constant, coefficients):
    """40 repeats with 1 % noise: the degree is right in most (p >= 0.01), never too low; coefficients within 5 s.e."""
    rng = np.random.default_rng(1)
    truth = lambda b: sum(c / b**k for k, c in enumerate(coefficients))  # noqa: E731
    right = 0
    for _ in range(40):
        points = {b: (truth(b) + 0.01 * abs(truth(b)) * rng.normal(), 0.01 * abs(truth(b))) for b in SIZES}
        fit = powers(points, constant=constant)
        assert fit.degree is None or fit.degree >= len(coefficients) - 1
        if fit.degree == len(coefficients) - 1:
            right += 1
            expected = coefficients[fit.lowest :]
            for (value, error), c in zip(fit.coefficients, expected):
                assert abs(value - c) < 5 * error
    assert right >= 35
    assert f"degree {fit.degree} fits" in str(fit) or fit.degree is None


def test_no_polynomial_fits_a_jump():
    points = {b: ((1.0 if b < 8 else 5.0), 1e-4) for b in SIZES}
    fit = powers(points, constant=False)
    assert fit.degree is None and len(fit.tried) == 5 and "no polynomial" in str(fit)


@pytest.mark.parametrize(
    ("value", "freedom", "tail"), [(6.634897, 1, 0.01), (9.21034, 2, 0.01), (18.307, 10, 0.05), (0.0, 3, 1.0)]
)
def test_chi_squared_tails_of_the_tables(value, freedom, tail):
    assert abs(chi_squared_tail(value, freedom) - tail) < 1e-5


def test_which_loss_is_lower():
    assert lower({1: (1.0, 0.01), 8: (2.0, 0.01)}, 1).startswith("lower at the smaller b (1 +- 0.01 at b = 1")
    assert lower({1: (2.0, 0.01), 8: (1.0, 0.01)}, 1).startswith("lower at the larger b")
    assert lower({1: (1.0, 0.1), 8: (1.1, 0.1)}, 1).startswith("unresolved")
