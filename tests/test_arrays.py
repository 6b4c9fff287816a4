"""Arrays, tables and other sequences where a list is meant: taken in their order, or refused by name for the true reason."""

from __future__ import annotations

from collections import Counter, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import sympy

import linvar as lv
from linvar.errors import InputError, InputTypeError, NotFiniteError
from linvar.exact import exact_matrix, exact_vector, ordered
from linvar.symbolic.result.truncated import LargeBatchExpansion

LAW = lv.Gaussian([[1, 0, 0]])


class TensorLike:
    """A tensor of another library: ``tolist`` and nothing else."""

    def __init__(self, entries: Any) -> None:
        self.entries = entries

    def tolist(self) -> Any:
        return self.entries


class SeriesLike:
    """A column of a table of another library: ``to_list``, ``dtype`` without a kind."""

    def __init__(self, entries: list[Any]) -> None:
        self.entries, self.dtype = entries, "Float64"

    def to_list(self) -> list[Any]:
        return self.entries


class TableLike:
    """A table of another library: asked for its columns by name."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self._columns, self.columns = columns, list(columns)

    def __getitem__(self, name: str) -> SeriesLike:
        return SeriesLike(self._columns[name])

    def to_numpy(self) -> Any:
        raise AssertionError("columns of different kinds would be mixed")


class Sparse:
    def toarray(self) -> Any:
        return np.eye(2)


# what has no order

UNORDERED = [{3, 1, 2}, frozenset([1, 2]), {1: 2}, {1: 2}.keys(), {1: 2}.values(), {1: 2}.items(), Counter([1]), b"12",
             bytearray(b"12"), memoryview(b"12"), sympy.FiniteSet(1, 2)]  # fmt: skip


@pytest.mark.parametrize("value", UNORDERED, ids=lambda value: type(value).__name__)
def test_what_has_no_order_is_refused(value: Any) -> None:
    for name, call in {
        "weights": lambda: lv.Problem(value, LAW),
        r"weights\[0\]": lambda: lv.Problem([value], LAW),
        r"weights\[0\]\[0\]": lambda: lv.Problem([[value]], LAW),
        "teacher": lambda: lv.Gaussian(value),
        "covariance": lambda: lv.Gaussian([[1, 2]], covariance=value),
        "mean": lambda: lv.Gaussian([[1, 2]], mean=value),
        "inputs": lambda: lv.Dataset(value, [1, 2]),
        "targets": lambda: lv.Dataset([[1], [2]], value),
        "coefficients": lambda: lv.BatchPolynomial(value),
        "coefficients ": lambda: LargeBatchExpansion(value),
        "widths": lambda: lv.symbolic_weights(value),
        "array": lambda: lv.rationalize(value),
        "inputs ": lambda: lv.Problem.from_arrays([[[1]]], inputs=value, targets=[1]),
        "weights ": lambda: lv.Problem.from_arrays(value, law=LAW),
        "learning_rate": lambda: lv.Problem([[[1, 0, 0]]], LAW, value, step=2),
    }.items():
        with pytest.raises(InputTypeError, match=f"^{name.strip()}"):
            call()


def test_text_is_no_list() -> None:
    for call in (lambda: lv.Problem("12", LAW), lambda: lv.Problem(["12"], LAW), lambda: lv.Gaussian("12"),
                 lambda: lv.Dataset("12", [1, 2]), lambda: lv.BatchPolynomial("12"), lambda: lv.symbolic_weights("12"),
                 ):  # fmt: skip
        with pytest.raises(InputTypeError, match="='12' is of type str: give a list"):
            call()


@pytest.mark.parametrize(
    "value",
    [range(3), iter([0, 1, 2]), (i for i in range(3)), deque([0, 1, 2]), np.arange(3), jnp.arange(3), pd.Series([0, 1, 2]),
     pd.Index([0, 1, 2]), TensorLike([0, 1, 2]), SeriesLike([0, 1, 2]), sympy.Tuple(0, 1, 2)],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_ordered_things_are_taken_in_their_order(value: Any) -> None:
    assert exact_vector(value, "v") == (0, 1, 2)


def test_duplicates_and_order_reach_the_problem() -> None:
    problem = lv.Problem((([w, 1, w] for w in (2,)) for _ in range(1)), LAW)
    assert problem.weights == (((2, 1, 2),),)
    assert list(ordered(range(3), "x")) == [0, 1, 2]
    with pytest.raises(InputTypeError, match=r"x=\{.*\} is of type set, which has no order: give a list"):
        ordered({1, 2}, "x")


# arrays


@pytest.mark.parametrize(
    "targets",
    [
        range(3), (i for i in range(3)), [np.int64(0), np.int64(1), np.int64(2)], np.arange(3), np.arange(3).reshape(3, 1),
        jnp.arange(3), pd.Series([0, 1, 2]), pd.Series([0, 1, 2], dtype="Int64"), pd.DataFrame({"y": [0, 1, 2]}),
        [np.array(0), jnp.array(1), 2], np.array([Fraction(0), Fraction(1), Fraction(2)], dtype=object), [[0], [1], [2]],
        np.array(["0", "1", "2"]), TableLike({"y": [0, 1, 2]}), pd.DataFrame({"y": ["0", "1", "2"]}),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_targets_of_every_kind(targets: Any) -> None:
    assert lv.Dataset([[1], [1], [1]], targets).targets == ((0,), (1,), (2,))


FRAME = pd.DataFrame({"age": [30, 41], "bmi": [22.5, 30.25], "smoker": [True, False]})


def test_tables_and_arrays_into_from_arrays() -> None:
    expected = ((30, Fraction(45, 2), 1), (41, Fraction(121, 4), 0))
    array = FRAME.to_numpy(dtype=float)
    other = TableLike({name: FRAME[name].tolist() for name in FRAME})
    for inputs in (FRAME, array, jnp.asarray(array), array.tolist(), FRAME.convert_dtypes(), other):
        problem = lv.Problem.from_arrays(
            [np.zeros((1, 3))], inputs=inputs, targets=pd.Series([0.5, 1.0]), learning_rate=np.float32(0.25)
        )
        assert problem.law == lv.Dataset(expected, ["1/2", 1]) and problem.learning_rate == Fraction(1, 4)
    same = pd.concat([FRAME["age"], FRAME["age"]], axis=1)  # two columns of one name
    assert lv.Dataset(same, [0, 1]).inputs == ((30, 30), (41, 41))
    large = pd.DataFrame({"id": [2**53 + 1, 2**53 + 3], "half": [Fraction(1, 2)] * 2})  # beyond float64
    assert lv.Dataset(large, [0, 1]).inputs == ((2**53 + 1, Fraction(1, 2)), (2**53 + 3, Fraction(1, 2)))


def test_truth_values_in_arrays_count_as_0_and_1_and_alone_are_refused() -> None:
    flags = np.array([[True, False]])
    assert exact_matrix(flags, "W") == exact_matrix(jnp.asarray(flags), "W") == ((1, 0),)
    assert lv.rationalize(flags) == [[1, 0]] and lv.rationalize(pd.Series([True, False])) == [1, 0]
    for value in (True, np.True_, [True], np.array([True, 2], dtype=object)):
        with pytest.raises(InputTypeError, match="is a truth value"):
            lv.rationalize(value)


def test_decimals_fractions_and_single_floats_round_exactly() -> None:
    assert lv.rationalize(np.array([Decimal("0.12345"), Fraction(1, 3)], dtype=object), 4) == [
        Fraction(1234, 10**4),
        Fraction(3333, 10**4),
    ]
    assert lv.rationalize(np.float32(0.1), 20) == Fraction(round(Fraction(float(np.float32(0.1))) * 10**20), 10**20)
    assert lv.rationalize(np.longdouble(1) / 3, 25) == Fraction(
        round(Fraction(*(np.longdouble(1) / 3).as_integer_ratio()) * 10**25), 10**25
    )
    assert lv.rationalize(range(3)) == [0, 1, 2] and lv.rationalize(np.array(0.5)) == Fraction(1, 2)
    for decimals in (-1, 10**9, True, 1.5):
        with pytest.raises(InputError, match="decimals="):
            lv.rationalize(0.5, decimals)


BAD_TABLES = [
    ({"sex": ["f", "m"]}, r"inputs has a column that is not of numbers: 'sex' \(text, 'f'\)"),
    ({"x": [1, 2], "when": pd.to_datetime(["2020-01-01", "2020-01-02"])}, r"'when' \(dates\)"),
    ({"when": pd.to_timedelta([1, 2])}, r"'when' \(durations\)"),
    ({"kind": pd.Categorical(["a", "b"])}, r"'kind' \(categories\)"),
    ({"kind": pd.Categorical([1, 2])}, r"'kind' \(categories\)"),
    ({"z": [1j, 2j]}, r"'z' \(complex numbers\)"),
    ({"o": [object(), None]}, r"'o' \(object\)"),
    (
        {"a": ["1,5", "2"], "b": ["50%", "1"]},
        r"has 2 columns that are not of numbers: 'a' \(text, '1,5'\), 'b' \(text, '50%'\)",
    ),
    ({"age": [30.0, None]}, r"inputs has missing values in a column: 'age' \(1, the first in row 1\).*dropna"),
    ({"age": pd.array([None, 2], dtype="Int64")}, r"missing values in a column: 'age' \(1, the first in row 0\)"),
    ({"x" * 10**6: ["f", "m"]}, "is not of numbers"),
]


@pytest.mark.parametrize(("columns", "message"), BAD_TABLES, ids=lambda value: None)
def test_columns_that_are_no_numbers_are_named(columns: dict[str, Any], message: str) -> None:
    frame = pd.DataFrame(columns)
    for call in (
        lambda: lv.Dataset(frame, [1, 2]),
        lambda: lv.Problem.from_arrays([np.zeros((1, 1))], inputs=frame, targets=[1, 2]),
    ):
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert len(str(caught.value)) < 350


def test_an_entry_is_named_as_the_user_typed_it() -> None:
    inputs = np.ones((8, 2))
    inputs[3, 0] = np.inf
    targets = np.ones(8)
    with pytest.raises(NotFiniteError, match=r"^inputs\[3\]\[0\]=inf is not finite"):
        lv.Problem.from_arrays([[[1, 1]]], inputs=inputs, targets=targets)
    targets[5] = np.nan
    with pytest.raises(NotFiniteError, match=r"^targets\[5\]=nan is not finite"):
        lv.Problem.from_arrays([[[1, 1]]], inputs=np.ones((8, 2)), targets=targets)
    with pytest.raises(NotFiniteError, match=r"^weights\[0\]\[0\]\[1\]=nan"):
        lv.Problem.from_arrays([np.array([[1, np.nan]])], teacher=[[1.0, 1.0]])
    with pytest.raises(NotFiniteError, match=r"^learning_rate=-inf"):
        lv.Problem.from_arrays([[[1]]], teacher=[[1.0]], learning_rate=-np.inf)
    with pytest.raises(NotFiniteError, match="^array=NaN|^array=Decimal"):
        lv.rationalize(Decimal("nan"))
    with pytest.raises(InputTypeError, match=r"^targets\[1\]=None"):
        lv.Dataset([[1], [2]], [1, None])
    with pytest.raises(InputTypeError, match=r"^inputs\[0\]\[0\]='a' is text"):
        lv.Problem.from_arrays([[[1]]], inputs=[["a"]], targets=[1])
    with pytest.raises(InputTypeError, match=r"^teacher\[0\]\[0\]=1j is a complex number"):
        lv.Problem.from_arrays([[[1]]], teacher=np.array([[1j]]))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ma.masked_array([[1, 2], [3, 4]], mask=[[False, False], [True, True]]),
         r"inputs has 2 masked entries, the first inputs\[1\]\[0\]"),
        (np.array([["2020-01-01"]] * 2, dtype="datetime64[D]"), r"inputs holds dates \(datetime64\[D\]\)"),
        (np.array([[1]] * 2, dtype="timedelta64[s]"), "inputs holds durations"),
        (np.array(3), "inputs=.* is of type ndarray"),
        (3, "inputs=3 is of type int"),
        (Sparse(), r"inputs is sparse: give inputs.toarray\(\)"),
        (np.array([["a"], ["b"]]), r"inputs\[0\]\[0\]='a'"),
        (np.zeros((1000, 1000)) + 0.5, r"inputs\[0\]\[0\]=0.5 is of type float"),
    ],
)  # fmt: skip
def test_arrays_that_are_refused(value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        lv.Dataset(value, [1, 2])
    assert len(str(caught.value)) < 300


def test_masks_without_a_masked_entry_are_taken() -> None:
    assert lv.Dataset(np.ma.masked_array([[1], [2]]), [1, 2]).inputs == ((1,), (2,))
    with pytest.raises(InputError, match=r"inputs\[0\]\[0\] is masked"):
        lv.Dataset([[np.ma.masked]], [1])


def test_a_traced_array_is_refused_in_own_words() -> None:
    import jax

    with pytest.raises(InputTypeError, match=r"inputs is of type .*, whose entries are not known"):
        jax.jit(lambda x: lv.Dataset(x, [1]).size)(jnp.ones((1, 1)))
