"""Exact numbers: what is accepted stays exact, what is not is refused with the cure."""

from __future__ import annotations

import pickle
from decimal import Decimal
from fractions import Fraction
from typing import Any, get_overloads

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import linvar.exact as module
from linvar.errors import InputTypeError
from linvar.exact import (
    MAX_DIGITS,
    Rational,
    exact,
    exact_matrix,
    exact_vector,
    free_symbols,
    integer_to_str,
    leading_digits,
    parse_rational,
    rationalize,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, "3"),
        (Fraction(6, 4), "3/2"),
        ("-10/4", "-5/2"),
        ("+7", "7"),
        (sympy.Rational(1, 3), "1/3"),
        (sympy.Integer(4), "4"),
        (sympy.sqrt(4), "2"),
        (np.int64(5), "5"),
        (sympy.Symbol("a") - sympy.Symbol("a") + 2, "2"),
    ],
)
def test_accepted_numbers(value: object, expected: str) -> None:
    result = exact(value, "x")
    assert isinstance(result, Rational)
    assert str(result) == repr(result) == expected


def test_flint_numbers_are_accepted() -> None:
    from flint import fmpq, fmpz

    assert exact(fmpq(1, 3), "x") == Fraction(1, 3)
    assert exact(fmpz(3), "x") == 3


@pytest.mark.parametrize("value", [0.5, float("nan"), float("inf"), np.float64(0.5), 1j, sympy.Float(0.5), True])
def test_floats_and_truth_values_are_refused_with_the_cure(value: object) -> None:
    with pytest.raises(TypeError, match=r"learning_rate.*(rationalize|number 0 or 1)"):
        exact(value, "learning_rate")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0.5",
        "1e3",
        "1e999999999",
        "9**9**9**9",
        "__import__('os').system('true')",
        "1/2/3",
        "1 / 2",
        "--1",
        "nan",
        "١",
    ],
)
def test_strings_that_are_no_fractions_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r'weights\[0\]=.*"p/q"'):
        parse_rational(text, "weights[0]")


def test_zero_denominator_and_too_many_digits() -> None:
    with pytest.raises(ValueError, match="denominator 0"):
        parse_rational("1/0", "x")
    with pytest.raises(ValueError, match="digits"):
        parse_rational("1" * (MAX_DIGITS + 1), "x")


@pytest.mark.parametrize(
    "expression", ["sqrt(2)", "pi", "1/a", "exp(a)", "a**b", "sqrt(2)*a", "oo", "nan", "zoo", "a/0"]
)
def test_expressions_that_are_not_polynomial_are_refused(expression: str) -> None:
    value = sympy.sympify(expression)
    with pytest.raises((ValueError, TypeError), match="teacher"):
        exact(value, "teacher")


def test_polynomial_expressions_are_kept() -> None:
    a, b = sympy.symbols("a b")
    assert exact(a**2 / 3 - b, "x") == a**2 / 3 - b
    assert free_symbols([a * b, Rational(1), b]) == (a, b)
    with pytest.raises(ValueError, match="both named 'a'"):
        free_symbols([a, sympy.Symbol("a", positive=True)])


def test_ten_thousand_digits_print_parse_and_pickle() -> None:
    number = Rational(10**10_000 + 7, 3)
    text = str(number)
    assert len(text) == 10_001 + 2
    assert parse_rational(text, "x") == number
    assert pickle.loads(pickle.dumps(number)) == number
    assert isinstance(pickle.loads(pickle.dumps(number)), Rational)
    with pytest.raises(ValueError, match="limit"):
        str(int(number.numerator))  # CPython itself refuses: the setting was not touched


def test_ten_thousand_digits_are_formatted() -> None:
    value = Rational(10**10_000, 3)
    assert f"{value}" == format(value) == str(value)


@given(st.integers())
def test_integer_to_str(value: int) -> None:
    assert integer_to_str(value) == str(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "empty"),
        ([[]], "empty"),
        ([[1, 2], [3]], r"W\[1\] has 1 entries"),
        ("12", "list"),
        (3, "list"),
        ({1: 2}, "list"),
        ([1, 2], "list"),
    ],
)
def test_bad_matrices(value: object, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        exact_matrix(value, "W")


def test_matrices_from_arrays_and_sympy() -> None:
    assert exact_matrix(np.eye(2, dtype=int), "W") == ((1, 0), (0, 1))
    assert exact_matrix(sympy.Matrix([[1, sympy.Rational(1, 2)]]), "W") == ((1, Fraction(1, 2)),)


def test_rationalize() -> None:
    assert rationalize(np.array([[0.12345, 2.0]]), decimals=3) == [[Fraction(123, 1000), 2]]
    assert rationalize(0.5) == Fraction(1, 2)
    assert rationalize([0.5, 1.5, -2.5], decimals=0) == [0, 2, -2]  # halves to even
    for bad, error in (
        (float("nan"), ValueError),
        ([1.0, float("inf")], ValueError),
        ("0.5", TypeError),
        (None, TypeError),
    ):
        with pytest.raises(error, match="array"):
            rationalize(bad)
    with pytest.raises(ValueError, match="decimals=-1"):
        rationalize(0.5, decimals=-1)


@pytest.mark.parametrize(
    ("place", "given", "returned", "expected"),
    [
        (0, 0.5, "Rational", Rational(1, 2)),
        (0, Fraction(1, 2), "Rational", Rational(1, 2)),
        (1, [0.5, -2], "list[Rational]", [Rational(1, 2), Rational(-2)]),
        (2, ((0.5, 1.0, 2.0), (0.0, 3.0, 4.0)), "list[list[Rational]]", [[Rational(1, 2), 1, 2], [0, 3, 4]]),
        (3, np.ones((1, 2, 1)), "Rationals", [[[1], [1]]]),
        (3, np.float32(0.5), "Rationals", Rational(1, 2)),
    ],
)
def test_rationalize_says_to_a_type_checker_what_it_returns(
    place: int, given: object, returned: str, expected: object
) -> None:
    overload = get_overloads(rationalize)[place]
    assert overload.__annotations__["return"] == returned
    found = rationalize(given)
    assert found == expected and type(found) is type(expected)


@given(st.floats(-1e6, 1e6), st.integers(0, 8))
def test_rationalize_moves_an_entry_by_at_most_half_a_unit(value: float, decimals: int) -> None:
    assert abs(rationalize(value, decimals) - Fraction(value)) <= Fraction(1, 2 * 10**decimals)


@given(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.fractions(), st.integers()), st.integers(0, 30))
def test_rationalize_is_the_nearest_multiple_halves_to_even(value: float | Fraction, decimals: int) -> None:
    expected = Fraction(round(Fraction(value) * 10**decimals), 10**decimals)
    assert rationalize(value, decimals) == rationalize([value, value], decimals)[1] == expected
    halves = Fraction(2 * int(value) + 1, 2 * 10**decimals)
    assert rationalize([halves], decimals) == [Fraction(round(halves * 10**decimals), 10**decimals)]


@given(
    st.lists(st.tuples(st.integers(-3, 3) | st.integers(), st.integers(1, 4)), min_size=1, max_size=12), st.randoms()
)
def test_entries_of_every_kind_are_read_as_if_each_stood_alone(pairs: list[tuple[int, int]], random: Any) -> None:
    """Numbers are made once for a whole matrix, whatever they are written as."""
    kinds: list[Any] = [Fraction, Rational, sympy.Rational, lambda p, q: f"{p}/{q}", lambda p, q: p]
    rows = [[random.choice(kinds)(p, q) for p, q in pairs] for _ in range(4)]
    rows += [[Fraction(p, q) for p, q in pairs], [p for p, _ in pairs], [str(p) for p, _ in pairs]]
    found = exact_matrix(rows, "x")
    assert found == tuple(tuple(exact(entry, "x") for entry in row) for row in rows)
    assert found == tuple(exact_vector(row, "x") for row in rows)
    assert all(type(entry) is Rational and type(entry.numerator) is int for row in found for entry in row)


def test_more_different_numbers_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_KNOWN", 5)
    rows = [[k % 7, Fraction(k, 3), f"{k}/5"] for k in range(40)]
    assert exact_matrix(rows, "x") == tuple((k % 7, Fraction(k, 3), Fraction(k, 5)) for k in range(40))
    assert rationalize([[k / 8 for k in range(40)]] * 2, 3) == [[Fraction(k, 8) for k in range(40)]] * 2


@pytest.mark.parametrize("kind", [float, bool, np.float64, np.bool_, complex, Decimal])
def test_what_equals_a_number_read_before_is_refused_all_the_same(kind: Any) -> None:
    for rows in (
        [[1, 1], [1, kind(1)]],
        [[1, kind(1)]],
        [[1, 1], [kind(1), kind(1)]],
        [["1", 1], [Fraction(1), kind(1)]],
    ):
        with pytest.raises(InputTypeError, match=rf"^W\[{len(rows) - 1}\]\[[01]\]="):
            exact_matrix(rows, "W")
        with pytest.raises(InputTypeError, match=r"^v\[[01]\]="):
            exact_vector(rows[-1], "v")


@given(st.fractions().filter(bool))
def test_leading_digits_bound_the_value_from_below(value):
    mantissa, exponent = leading_digits(value)
    shown = abs(Fraction(mantissa)) * Fraction(10) ** exponent
    assert shown <= abs(value) < shown * (1 + Fraction(1, 10**5)) and (value < 0) == mantissa.startswith("-")
    assert not exponent or (len(mantissa.lstrip("-")) == 7 and (exponent >= 6 or exponent <= -5))


def test_leading_digits_of_numbers_beyond_floats():
    assert leading_digits(Fraction(10) ** 5000) == ("1.00000", 5000)
    assert leading_digits(-(Fraction(2) ** -20_000)) == ("-2.51238", -6021)


@pytest.mark.parametrize(
    "number", [np.int64(10**15), np.int32(214749), np.uint8(1), np.int8(-128), np.uint64(2**64 - 1)]
)
def test_integers_of_numpy_are_rounded_without_overflow(number):
    for decimals in (0, 4, 20):
        (found,) = rationalize([number], decimals)
        assert found == Fraction(int(number)) and type(found.numerator) is int and repr(found) == str(int(number))


def test_a_duration_is_no_number():
    for value in (np.timedelta64(3), np.timedelta64(3, "s"), np.timedelta64("NaT")):
        for take in (lambda v: rationalize([v]), lambda v: exact(v, "x")):
            with pytest.raises(TypeError, match="is a duration, not a number"):
                take(value)
