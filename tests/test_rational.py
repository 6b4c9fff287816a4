"""Rational: one kind in arithmetic, decimals rounded once, and no float taken for a number."""

from __future__ import annotations

import copy
import math
import operator
import pickle
import statistics
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from flint import fmpq
from hypothesis import given
from hypothesis import strategies as st

from linvar.digits import formatted
from linvar.errors import InputError, InputTypeError
from linvar.exact import Rational

HALF, LONG = Rational(1, 2), Rational(10**5_000 + 1, 3)
OPERATIONS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.mod]
numbers = st.fractions(max_denominator=10**6)


@pytest.mark.parametrize("operation", OPERATIONS)
@given(numbers, numbers, st.integers())
def test_arithmetic_keeps_the_kind(operation: Callable[..., Any], p: Fraction, q: Fraction, k: int) -> None:
    for left, right in (
        (Rational(p), Rational(q)),
        (Rational(p), q),
        (p, Rational(q)),
        (Rational(p), k),
        (k, Rational(q)),
    ):
        if right == 0 and operation in (operator.truediv, operator.mod):
            continue
        found = operation(left, right)
        assert type(found) is Rational and found == operation(Fraction(left), Fraction(right))
        assert math.gcd(found.numerator, found.denominator) == 1 <= found.denominator
        assert type(found.numerator) is int


@given(numbers, st.integers(-8, 8), st.integers(0, 5))
def test_powers_and_the_functions_of_one_number(p: Fraction, k: int, digits: int) -> None:
    x = Rational(p)
    y, q = x or Rational(1), p or Fraction(1)
    for found, expected in (
        (-x, -p), (+x, p), (abs(x), abs(p)), (round(x, digits), round(p, digits)), (sum([x, x, x]), 3 * p),
        (x.limit_denominator(9), p.limit_denominator(9)), (copy.copy(x), p), (copy.deepcopy(x), p), (x.real, p),
        (pickle.loads(pickle.dumps(x)), p), (math.prod([x, x]), p * p), (statistics.mean([x, x]), p),
        (divmod(x, 7)[1], p % 7), (divmod(7, y)[1], 7 % q), (x**2, p**2), (x ** Fraction(3), p**3), (y**k, q**k),
        (2 ** Rational(k), Fraction(2) ** k),
    ):  # fmt: skip
        assert found == expected and hash(found) == hash(expected)
        assert type(found) is Rational
    assert [type(f(x)) for f in (round, math.floor, math.ceil, math.trunc)] == [int] * 4 and type(x // 2) is int
    assert x // 2 == p // 2 and divmod(x, 2) == divmod(p, 2)


def test_numbers_of_others() -> None:
    for other in (np.int64(3), np.int8(-3), np.uint16(7)):
        for operation in OPERATIONS:
            for pair in ((HALF, other), (other, HALF)):
                assert operation(*pair) == operation(*(Fraction(int(v.numerator), int(v.denominator)) for v in pair))
                assert type(operation(*pair)) is Rational
    assert Rational(np.int64(3), np.int32(6)) == HALF and type(Rational(np.int64(3)).numerator) is int
    assert HALF ** np.int64(80) == Fraction(1, 2**80) and Rational(3) ** np.int64(50) == 3**50
    assert Rational(1, 2**62) < np.int64(3) and not Rational(1, 2**62) >= np.int64(3)
    assert (
        Rational(sympy.Rational(1, 3)) == Rational(fmpq(1, 3)) == Rational("1/3") == Rational("2", 6) == Fraction(1, 3)
    )
    x = sympy.Symbol("x")
    for found in (HALF * x, x * HALF, HALF + sympy.Rational(1, 3), HALF ** sympy.Rational(1, 2), HALF**x, x**HALF):
        assert isinstance(found, sympy.Expr)
    assert (
        sympy.Rational(1, 2) == HALF
        and sympy.Rational(1, 2) == HALF
        and sympy.Rational(2, 3) > HALF
        and sympy.pi > HALF
    )
    array = np.array([HALF, Rational(1, 3)], dtype=object)
    assert all(type(entry) is Rational for entry in (array + 1) * array) and type(array.sum()) is Rational
    assert array.astype(float).tolist() == [0.5, 1 / 3]


def test_integers_of_numpy_and_truth_values_in_operators() -> None:
    for kind in (np.int8, np.uint8, np.int64):
        assert round(Rational(1, 3), kind(2)) == Rational(33, 100) and round(LONG, kind(0)) == round(LONG)
        assert Rational(700, 3) // kind(100) == 2 and kind(100) // Rational(1, 3) == 300
        assert type(kind(100) // Rational(1, 3)) is int and Rational(700, 3) + kind(100) == Rational(1000, 3)
    assert True ** Rational(2) == 1 and Rational(1, 2) + True == Rational(3, 2)
    with pytest.raises(TypeError, match="integer"):
        round(HALF, "2")


def test_with_a_float_it_is_a_float_and_compares_exactly() -> None:
    for found in (HALF + 0.25, 0.25 * HALF, HALF - np.float64(1), HALF**0.5, 2.0**HALF, HALF % 0.3):
        assert isinstance(found, float)
    assert isinstance(HALF + 1j, complex) and HALF == 0.5 and Rational(1, 10) != 0.1 and Rational(1, 10) < 0.1 <= 1


def test_two_exact_numbers_make_no_float() -> None:
    for base in (Rational(2), 2, Fraction(2)):
        with pytest.raises(
            InputError, match=r"exponent=1/2 is no integer.*: give an integer, or make it a float first"
        ):
            base**HALF
    with pytest.raises(InputError, match="exponent=Fraction"):
        HALF ** Fraction(1, 2)


@pytest.mark.parametrize("value", [0, Rational(0), Fraction(0), np.int8(0), False])
def test_division_by_zero(value: Any) -> None:
    """Of any length: a Fraction's message cannot be written for LONG."""
    for operation in (operator.truediv, operator.mod, divmod, operator.floordiv):
        for number in (HALF, LONG):
            with pytest.raises(InputError, match="^divisor=0: give a nonzero divisor") as caught:
                operation(number, value)
            assert isinstance(caught.value, ZeroDivisionError)
        with pytest.raises(InputError, match="^divisor=0: give a nonzero divisor"):
            operation(7, Rational(0))
    for call in (
        lambda: 1 / Rational(int(value)),
        lambda: Rational(1, int(value)),
        lambda: Rational(int(value)) ** -1,
        lambda: LONG / value,
    ):
        with pytest.raises(ZeroDivisionError, match="give a nonzero"):
            call()
    with pytest.raises(ZeroDivisionError):
        Rational("1/0")


@pytest.mark.parametrize("value", [0.1, Decimal("0.1"), np.float32(0.5), 1j, float("nan")])
def test_floats_are_refused_with_the_cure_by_rational_itself(value: Any) -> None:
    for call in (lambda: Rational(value), lambda: Rational(1, value)):
        with pytest.raises(InputTypeError, match=r"(numer|denomin)ator=.*not an exact number: .*linvar.rationalize"):
            call()


@pytest.mark.parametrize(
    "value", ["0.1", "1e3", "", "1_000", "0x1", None, [], sympy.Symbol("x"), True, np.timedelta64(3, "s")]
)
def test_what_else_is_no_number(value: Any) -> None:
    with pytest.raises(InputError, match="numerator="):
        Rational(value)


def test_the_named_doors_from_floats_stay_open() -> None:
    assert type(Rational.from_float(0.5)) is type(Rational.from_decimal(Decimal("0.5"))) is Rational
    assert Rational.from_float(0.1) == Fraction(0.1) and Rational.from_decimal(Decimal("0.1")) == Fraction(1, 10)


# format


SPECIFICATIONS = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "<", ">", "^", "=", "*<", "_=", "0^"]), st.sampled_from(["", "+", "-", " "]),
        st.sampled_from(["", "z"]), st.just(""), st.sampled_from(["", "5", "12", "30"]), st.sampled_from(["", ","]),
        st.sampled_from(["", ".0", ".1", ".4", ".10"]), st.sampled_from(list("eEfFgG%")),
    ),
)  # fmt: skip


@given(
    st.integers(-(10**15), 10**15) | st.integers(-100, 100),
    st.integers(0, 12),
    SPECIFICATIONS,
    st.sampled_from(["", "0"]),
)
def test_decimals_are_written_as_those_of_a_float(whole: int, shift: int, specification: str, zero: str) -> None:
    """Of numbers that are floats, so that nothing is rounded twice (a float times 100 is); halves to even."""
    value = Rational(whole, 2**shift)
    if float(value) == value and "%" not in specification:
        if zero and specification[:1] in ("1", "3", "5"):
            specification = zero + specification
        assert f"{value:{specification}}" == f"{float(value):{specification}}"


@given(numbers, st.integers(0, 30))
def test_decimals_are_the_nearest(p: Fraction, digits: int) -> None:
    assert Fraction(f"{Rational(p):.{digits}f}") == Fraction(round(p * 10**digits), 10**digits)
    text = f"{Rational(p):.{digits}e}"
    assert abs(Fraction(text) - p) <= abs(p) * Fraction(1, 2 * 10**digits)


@pytest.mark.parametrize(
    ("value", "specification", "text"),
    [
        (HALF, ".0f", "0"), (Rational(3, 2), ".0f", "2"), (Rational(5, 2), ".0f", "2"), (Rational(-1, 1000), ".2f", "-0.00"),
        (Rational(-1, 1000), "z.2f", "0.00"), (Rational(2, 3), ".1%", "66.7%"), (Rational(999_999_9, 10), ".3g", "1e+06"),
        (Rational(1, 3), ">10", "       1/3"), (Rational(1, 3), "*^9", "***1/3***"),
        (Rational(-1234567, 89), ",", "-1,234,567/89"),
        (Rational(1, 3), "+", "+1/3"), (Rational(3), "5", "    3"), (Rational(1, 3), "<6", "1/3   "), (Rational(3), "#", "3/1"),
        (Rational(1234567), "015,.2f", "0,001,234,567.00"), (Rational(10) ** 400, ".2e", "1.00e+400"), (Rational(0), "g", "0"),
        (1 / Rational(10) ** 400, "G", "1E-400"), (Rational(1234567, 100), "_.1f", "12_345.7"), (Rational(1, 8), "#.3g", "0.125"),
        (Rational(1), "#.0f", "1."), (Rational(0), ".2e", "0.00e+00"), (Rational(99999, 10000), ".2e", "1.00e+01"),
    ],
)  # fmt: skip
def test_format(value: Rational, specification: str, text: str) -> None:
    assert f"{value:{specification}}" == text == formatted(Fraction(value), specification)


def test_format_of_numbers_longer_than_cpython_prints() -> None:
    assert f"{LONG:.3f}".startswith("33333") and len(f"{LONG:.3f}") == 5_004 and f"{LONG:.3e}" == "3.333e+4999"
    assert f"{LONG}" == str(LONG) and len(f"{LONG:>6000}") == 6_000 and f"{Rational(10**5000):,}".count(",") == 1_666


@pytest.mark.parametrize("specification", ["d", ".4", "s", ".f", "5.2x", "z", "<05"])
def test_formats_that_are_none(specification: str) -> None:
    with pytest.raises(ValueError, match="is no format of a fraction: give one of Python's"):
        format(HALF, specification)


@pytest.mark.skipif(
    not hasattr(Fraction, "__format__") or Fraction.__format__ is object.__format__, reason="Python 3.11"
)
@given(numbers, SPECIFICATIONS)
def test_format_is_that_of_a_newer_fraction(p: Fraction, specification: str) -> None:
    assert format(Rational(p), specification) == format(p, specification)
