"""The batch size from which on a polynomial is small enough: against brute force, also where it rises on the way, and up to n."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar import BatchPolynomial
from linvar.errors import InputError, InputTypeError

small = st.fractions(min_value=-9, max_value=9, max_denominator=6)


def brute_force(values: list[Any], target: Any) -> int | None:
    """The first b from which on no value of the list is above; None if the last one is."""
    above = [b for b, value in enumerate(values, 1) if value > target]
    found = max(above, default=0) + 1
    return None if found > len(values) else found


def answer(p: BatchPolynomial, target: Any) -> int | None:
    """None where it is refused."""
    try:
        return p.batch_size_for(target)
    except InputError:
        return None


@given(st.lists(small, min_size=1, max_size=6), small)
def test_against_brute_force(coefficients: list[Fraction], target: Fraction) -> None:
    """Cauchy: the excess has no zero at 1/b < |c| / (|c| + max |c_k|), c its first coefficient that is not 0."""
    p = BatchPolynomial(coefficients)
    for value in (target, p(1), p(2), p(1) / 2):
        excess = [c for c in (p - value).coefficients if c]
        bound = 3 + int(max(map(abs, excess)) / abs(excess[0])) if excess else 2
        if bound <= 4000:
            assert answer(p, value) == brute_force(p(range(1, bound + 1)), value)


@given(st.integers(1, 12), st.data())
def test_without_replacement_against_brute_force(n: int, data: st.DataObject) -> None:
    coefficients = data.draw(st.lists(small, min_size=1, max_size=7))
    p = BatchPolynomial(coefficients, sampling="without_replacement", dataset_size=n)
    values = p(list(range(1, n + 1)))
    for target in (data.draw(small), *values, values[0] / 2, values[-1] - 1):
        assert answer(p, target) == brute_force(values, target)
    half = brute_force(values, values[0] / 2)
    if half is not None:
        assert p.half() == half


@given(st.lists(st.integers(2, 40), min_size=1, max_size=5, unique=True), st.integers(1, 3), st.sampled_from([1, -1]))
def test_zeros_at_whole_batch_sizes(zeros: list[int], multiplicity: int, sign: int) -> None:
    """p = +-prod (1 - z u)^m meets 0 exactly there."""
    u = lv.u
    p = BatchPolynomial([0]) + sign * sympy.prod([(1 - z * u) ** multiplicity for z in zeros])
    assert answer(p, 0) == brute_force(p(range(1, 42)), 0)
    n = max(zeros)
    finite = BatchPolynomial(p.coefficients, sampling="without_replacement", dataset_size=n)
    assert answer(finite, 0) == brute_force(finite(list(range(1, n + 1))), 0)


def test_the_smallest_cases() -> None:
    zero, one, falling = BatchPolynomial([0]), BatchPolynomial([1]), BatchPolynomial([0, 18])
    assert zero.half() == zero.batch_size_for(0) == one.batch_size_for(1) == falling.batch_size_for(18) == 1
    assert (falling.half(), falling.batch_size_for("9/10"), falling.batch_size_for(Fraction(18, 7))) == (2, 20, 7)
    assert falling.batch_size_for(sympy.Rational(18, 10**20)) == 10**20
    alone = BatchPolynomial([5], sampling="without_replacement", dataset_size=1)
    assert alone.batch_size_for(5) == 1
    full = BatchPolynomial([-1, 4], sampling="without_replacement", dataset_size=4)
    assert full.batch_size_for(0) == 4 and full.half() == 2 and BatchPolynomial([-1, 4]).batch_size_for(0) == 4


def test_a_variance_that_rises_on_the_way() -> None:
    """(1/b)(1 - 30/b + 230/b^2) falls to 0.0014 at b = 15, rises to 0.0099 at b = 44, and falls for good."""
    p = BatchPolynomial([0, 1, -30, 230])
    values = p(range(1, 1000))
    for target in ("1/110", "1/150", "1/300", "1/600"):
        assert (
            p.batch_size_for(target)
            == brute_force(values, Fraction(target))
            > next(b for b, value in enumerate(values, 1) if value <= Fraction(target))
        )


@pytest.mark.parametrize(
    ("coefficients", "value", "message"),
    [
        ([3, 1], 2, r"value=2 is below the limit of the values as b grows, 3: give a larger one"),
        ([3, 1], 3, r"value=3 is the limit of the values as b grows, 3, and they stay above it: give a larger one"),
        ([0, 1], "-1/2", r"value=-1/2 is below the limit"),
        ([0, 1], 0.01, r"value=0.01 is of type float, .*linvar.rationalize\(value, decimals=4\)"),
        ([0, 1], "0.01", r'value=.0.01. is not an exact number: write an integer or a string "p/q"'),
        ([0, 1], sympy.Symbol("w"), r"value=w has symbols: give a number"),
        ([0, 1], None, r"value=None is of type NoneType"),
        ([0, sympy.Symbol("w")], 1, r"contains the symbols w: substitute numbers first"),
    ],
)
def test_no_such_batch_size(coefficients: Any, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        BatchPolynomial(coefficients).batch_size_for(value)


def test_no_half_and_no_value_up_to_n() -> None:
    with pytest.raises(InputError, match="half the value at b = 1, 2, is below the limit of .* 3: give a larger one"):
        BatchPolynomial([3, 1]).half()
    with pytest.raises(InputError, match="contains the symbols w"):
        BatchPolynomial([0, sympy.Symbol("w")]).half()
    p = BatchPolynomial([1, 4], sampling="without_replacement", dataset_size=4)
    with pytest.raises(InputError, match="value=1 is below the value at b = n = 4, 2: give a larger one"):
        p.batch_size_for(1)
    with pytest.raises(InputTypeError):
        p.batch_size_for(True)


def test_a_derived_variance() -> None:
    """Four examples without replacement; the answer is checked by the values themselves."""
    data = lv.Dataset([[1], [2], [-1], [3]], [1, 0, 2, 1])
    v = lv.gradient_variance(lv.Problem([[["1/2"]]], data, "1/10", 1, sampling="without_replacement"))
    values = v([1, 2, 3, 4])
    assert v.half() == brute_force(values, values[0] / 2) and v.batch_size_for(values[2]) == brute_force(
        values, values[2]
    )
