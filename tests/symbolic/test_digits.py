"""``digits=``: enclosures are computed again until they hold what was asked for."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from flint import arb, ctx, fmpq

import linvar as lv
from linvar.symbolic.roads.large_batch import truncation
from linvar.symbolic.roads.large_batch.path import Path

DIGITS = 12
#: bits of 12 digits, and a guard
WANTED = 43


def nearly_fitted(power: int, step: int) -> lv.Problem:
    """Two layers, widths 2-3-1, whose product misses the teacher by 10^-power in one entry: that many digits cancel."""
    weights = [[["1/3", 2], [1, "-1/7"], ["2/5", 1]], [[1, "1/3", "1/7"]]]
    product = [Fraction(1, 3) + Fraction(1, 3) + Fraction(2, 35), 2 - Fraction(1, 21) + Fraction(1, 7)]
    return lv.Problem(weights, lv.Gaussian([[product[0] + Fraction(1, 10**power), product[1]]]), "1/10", step)


@pytest.fixture
def bits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bits of every path that is run."""
    found: list[int] = []

    def path(polynomials: Any, order: int, scalars: Any) -> Path[Any]:
        found.append(scalars.bits)
        return Path(polynomials, order, scalars)

    monkeypatch.setattr(truncation, "Path", path)
    return found


@pytest.mark.parametrize("step", [0, 1, 3])
@pytest.mark.parametrize(("power", "rounds"), [(2, 1), (10, 2), (20, 2), (60, 4)])
def test_bits_are_raised_until_the_digits_hold(power: int, rounds: int, step: int, bits: list[int]) -> None:
    problem = nearly_fitted(power, step)
    enclosed = lv.large_batch(problem, 2, DIGITS).variance
    assert len(bits) == rounds and bits == sorted(set(bits))
    exact = lv.large_batch(problem, 2).variance
    assert exact.coefficients[1] > 0
    for value, (low, high) in zip(exact.coefficients, enclosed.intervals, strict=True):
        assert low <= value <= high and high - low <= 2 * abs(value) / Fraction(10) ** DIGITS
        wrong = value * (1 + Fraction(1, 10 ** (DIGITS - 2)))
        assert not value or not low <= wrong <= high


def test_a_few_missing_bits_are_added_and_no_more(bits: list[int]) -> None:
    """Ten digits cancel, twice: less than 107 bits are missing, so they are not doubled."""
    assert lv.large_batch(nearly_fitted(10, 0), 2, DIGITS).variance.order == 2
    assert bits[0] < bits[1] < bits[0] + 40
    bits.clear()
    assert lv.large_batch(nearly_fitted(20, 0), 2, DIGITS).variance.order == 2
    assert bits[1] == 2 * bits[0]


def test_the_first_guess_alone_would_not_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the loop the digits are not there."""
    monkeypatch.setattr(truncation, "_bits_that_do", lambda series, digits, bits, step: bits)
    exact = lv.large_batch(nearly_fitted(20, 1), 1).variance.coefficients[1]
    low, high = lv.large_batch(nearly_fitted(20, 1), 1, DIGITS).variance.intervals[1]
    assert low <= exact <= high and high - low > 2 * exact / Fraction(10) ** DIGITS


def test_what_is_asked_next_starts_where_the_last_answer_held(bits: list[int]) -> None:
    answers = lv.large_batch(nearly_fitted(20, 1), 1, DIGITS)
    assert answers.variance.order == 1
    rounds = list(bits)
    assert len(answers.per_leaf.variance) == 2
    assert answers.second_moment.order == 1 and bits == rounds


def test_the_search_ends_at_a_value_too_small_to_be_told_from_zero(bits: list[int]) -> None:
    """400 digits cancel: enclosed in a tiny interval about zero, which has the value in it."""
    problem = nearly_fitted(200, 1)
    exact = lv.large_batch(problem, 1).variance.coefficients[1]
    bits.clear()
    low, high = lv.large_batch(problem, 1, DIGITS).variance.intervals[1]
    assert low < 0 < exact < high and high - low < Fraction(1, 2 ** (4 * WANTED))
    assert 16 * WANTED < bits[-1] < 2 * 16 * (WANTED + 2) and len(bits) == 4


def enclosure(value: Fraction, good: int) -> arb:
    """A number with so many good bits."""
    with ctx.workprec(4000):
        middle = arb(fmpq(value.numerator, value.denominator))
        return arb(middle, abs(middle) / arb(2) ** good)


def test_what_is_missing_is_what_the_worst_value_lacks() -> None:
    """Bits are those used if every coefficient has its digits; else what the worst lacks is added, with a guard."""
    third, bits = Fraction(1, 3), 200

    def wanted(*values: arb) -> int:
        return truncation._bits_that_do([[values[0]], [*values[1:]]], DIGITS, bits, 2)

    assert wanted(arb(0), enclosure(third, WANTED + 2)) == bits
    short = [wanted(enclosure(third, good), enclosure(third, 90)) for good in (WANTED - 20, WANTED - 10)]
    assert short[0] - short[1] == 10 and bits + 20 < short[0] < bits + 60
    assert wanted(enclosure(third, 90), enclosure(third, WANTED - 10), enclosure(third, WANTED - 20)) == short[0]
    assert wanted(arb(0, 1)) == wanted(arb("nan")) == wanted(arb(0, arb("inf"))) == 2 * bits
    assert truncation._bits_that_do([[arb(0, 1)]], DIGITS, 10**6, 2) == 10**6, "for ever is long enough"


@pytest.mark.parametrize("digits", [1, 2, 3, 10, 100, 1000])
def test_bits_of_digits(digits: int) -> None:
    assert 10**digits <= 2 ** truncation._bits_of(digits) <= 100 * 10**digits
