"""Estimate: z-scores and how it prints."""

import math
from fractions import Fraction

import pytest

from linvar.numeric.estimates import Estimate


def test_z_is_the_distance_in_standard_errors():
    assert Estimate(11.0, 0.5, 10).z(10) == 2.0
    assert Estimate(9.0, 0.5, 10).z(Fraction(10)) == -2.0


def test_z_of_something_that_does_not_vary():
    assert Estimate(0.0, 0.0, 10).z(0) == 0.0
    assert Estimate(1.0, 0.0, 10).z(2) == -math.inf
    assert math.isnan(Estimate(math.nan, math.nan, 10).z(2))


def test_z_allows_for_rounding_when_told():
    assert abs(Estimate(1.0 + 2**-52, 0.0, 10).z(1, rounding=1e-15)) < 1
    assert abs(Estimate(1.5, 0.0, 10).z(1, rounding=1e-15)) > 1e10


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(36.0213, 0.3142, 4096), "36.02 +- 0.31 (4,096 runs)"),
        (Estimate(12345.6, 78.0, 2), "12,346 +- 78 (2 runs)"),
        (Estimate(0.0, 0.0, 10), "0 +- 0 (10 runs)"),
        (Estimate(math.nan, math.nan, 10), "nan +- nan (10 runs)"),
        (Estimate(1.5e-20, 2e-22, 10), "1.5e-20 +- 2e-22 (10 runs)"),
    ],
)
def test_it_prints_as_many_digits_as_it_knows(estimate, text):
    assert repr(estimate) == text
