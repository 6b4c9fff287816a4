"""Errors a user can mend: name, value and cure in one short line, whatever the value."""

from __future__ import annotations

import pickle
import sys
from fractions import Fraction

import numpy as np
import pytest

from linvar.errors import LONGEST, InputError, InputTypeError, LinvarError, NotFiniteError, Words, shown


class Hostile:
    """A value whose own repr fails."""

    def __repr__(self):
        raise RuntimeError("no repr")


VALUES = [
    10**5000, -(10**5000), [10**5000] * 1_000, Fraction(10**5000, 3), "x" * 10**6, [[1.5] * 1_000] * 1_000, Hostile(),
    {str(i): i for i in range(10**5)}, np.zeros((2_000, 1_000)), "two\nlines\tand a \0 byte", range(10**9), b"x" * 10**6,
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_message_is_one_short_line_whatever_the_value(value):
    for error in (InputError("name", value, "give another"), InputTypeError("name", value, "give another")):
        text = str(error)
        assert text.startswith("name=") and text.endswith(": give another")
        assert len(text) <= LONGEST + 60 and "\n" not in text


def test_what_is_caught():
    error = InputTypeError("step", 1.5, "give an int")
    assert isinstance(error, (TypeError, ValueError)) and isinstance(error, LinvarError)
    assert isinstance(error, TypeError) and isinstance(error, ValueError)
    assert not isinstance(InputError("step", -1, "give an int"), TypeError)
    assert isinstance(NotFiniteError("data", Words("has a NaN"), "drop it"), FloatingPointError)


def test_the_parts_of_a_message():
    error = InputError("step", -3, "give the number of updates, >= 0", fault="is negative")
    assert (error.argument, error.value, error.cure, error.fault) == (
        "step", -3, "give the number of updates, >= 0", "is negative",
    )  # fmt: skip
    assert str(error) == "step=-3 is negative: give the number of updates, >= 0"
    assert str(InputError("--seed", -1, "give an integer >= 0", fault="is out of range")) == (
        "--seed -1 is out of range: give an integer >= 0"
    )
    assert (
        str(InputError("teacher", Words("has shape (2, 3)"), "give (3, 2)")) == "teacher has shape (2, 3): give (3, 2)"
    )
    assert str(InputTypeError("step", 1.5, "give an int")) == "step=1.5 is of type float: give an int"


def test_errors_travel_between_processes():
    for error in (InputError("a", [1], "b", fault="c"), InputTypeError("a", 1, "b"), InputError("a", Words("is"), "b")):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error) and str(copy) == str(error) and copy.argument == "a"


def test_an_array_is_named_by_its_shape():
    assert shown(np.zeros((2_000, 1_000))) == "<ndarray of shape (2000, 1000)>"
    assert shown(np.float64(1.5)) in ("np.float64(1.5)", "1.5")


def test_no_setting_of_the_interpreter_is_touched():
    before = sys.get_int_max_str_digits()
    shown(10**5000)
    assert sys.get_int_max_str_digits() == before
