"""The statement of a problem: every bad argument is refused, naming it, its value and the cure."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from rich.console import Console

import linvar as lv
from linvar.errors import InputError
from linvar.exact import Rational
from linvar.laws.dataset import Dataset
from linvar.laws.gaussian import Gaussian
from linvar.laws.law import Law
from linvar.problem import Problem

GOOD: dict[str, Any] = {
    "weights": [[[1, 0], [1, 1]], [[1, 1]]],
    "law": Gaussian([[1, 2]]),
    "learning_rate": "1/10",
    "step": 2,
    "sampling": "iid",
}
DATA = Dataset([[1, 2], [0, 1], [1, 1]], [1, 0, "1/2"])


def test_a_good_problem() -> None:
    problem = Problem(**GOOD)
    assert problem.widths == (2, 2, 1)
    assert problem.depth == 2
    assert problem.learning_rates == (Fraction(1, 10),) * 2
    assert problem.degree_bound == 1 + 5 + 17
    assert problem.symbols == ()
    assert problem.dataset_size is None
    assert Problem(GOOD["weights"], DATA).dataset_size == 3
    assert isinstance(problem.law, Law) and isinstance(DATA, Law)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": []}, "weights is empty"),
        ({"weights": [[[1, 0]], [[1, 1]]]}, r"weights\[1\] has shape \(1, 2\), but weights\[0\] has shape \(1, 2\)"),
        ({"weights": [[[1.5, 0]]]}, r"weights\[0\]\[0\]\[0\]=1.5 is of type float.*rationalize"),
        ({"weights": [[[1, 0, 3]]]}, r"teacher has shape \(1, 2\), but the network maps 3 inputs to 1 outputs"),
        ({"weights": 3}, "weights=3 is of type int"),
        ({"law": "gaussian"}, "law='gaussian' is of type str.*linvar.Gaussian"),
        ({"law": Gaussian([[1], [2]])}, r"teacher has shape \(2, 1\).*teacher of shape \(1, 2\)"),
        ({"law": Dataset([[1]], [[1]])}, "data set has 1 inputs"),
        ({"step": -1}, "step=-1 is negative"),
        ({"step": 1.0}, "step=1.0 is of type float"),
        ({"step": True}, "step=True is a truth value"),
        ({"learning_rate": ["1/10"]}, "learning_rate has 1 entries, but step=2"),
        ({"learning_rate": 0.1}, "learning_rate=0.1 is of type float.*rationalize"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"learning_rate": 1 / sympy.Symbol("a")}, "learning_rate=1/a is not a polynomial"),
        ({"sampling": "with"}, "sampling='with' is unknown.*'without_replacement'"),
        ({"sampling": "without_replacement"}, "needs a finite data set"),
    ],
)
def test_bad_arguments(change: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Problem(**{**GOOD, **change})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"teacher": []}, "teacher is empty"),
        ({"teacher": [[1, 2]], "covariance": [[1]]}, r"covariance has shape \(1, 1\)"),
        ({"teacher": [[1, 2]], "covariance": [[1, 2], [0, 1]]}, r"not symmetric: entry \[1\]\[0\] is 0"),
        ({"teacher": [[1, 2]], "covariance": [[1, 2], [2, 1]]}, "not positive semi-definite"),
        ({"teacher": [[1, 2]], "covariance": [[0, 1], [1, 1]]}, "not positive semi-definite"),
        ({"teacher": [[1, 2]], "covariance": [[-1, 0], [0, 1]]}, "not positive semi-definite"),
        ({"teacher": [[1, 2]], "mean": [1]}, "mean has length 1"),
        ({"teacher": [[1, 2]], "noise_variance": "-1/2"}, "noise_variance=-1/2 is negative"),
        ({"teacher": [[1, float("inf")]]}, r"teacher\[0\]\[1\]=inf"),
    ],
)
def test_bad_gaussians(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Gaussian(**arguments)


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        ([], [], "inputs is empty"),
        ([[1]], [[1], [2]], "inputs has 1 rows and targets has 2"),
        ([[1], [2, 3]], [1, 2], r"inputs\[1\] has 2 entries"),
        ([[0.5]], [1], r"inputs\[0\]\[0\]=0.5 is of type float.*rationalize"),
        ([[sympy.Symbol("a")]], [1], "contain symbols"),
    ],
)
def test_bad_datasets(inputs: Any, targets: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Dataset(inputs, targets)


def test_semidefinite_and_symbolic_covariances_are_accepted() -> None:
    assert Gaussian([[1, 2]], covariance=[[1, 1], [1, 1]]).covariance == ((1, 1), (1, 1))
    s = sympy.Symbol("s")
    assert Gaussian([[1]], covariance=[[s]]).symbols == (s,)


def test_equal_data_sets_are_one_and_their_hash_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    data = Dataset([[1, "1/2"], ["2/4", 3]], [1, "2/6"])
    same = Dataset(np.array([[Fraction(1), Fraction(1, 2)], [Fraction(1, 2), 3]], dtype=object), [[1], ["1/3"]])
    assert data == same and hash(data) == hash(same) and {data: 1}[same] == 1
    assert data != Dataset([[1, "1/2"], ["2/4", 3]], [1, "1/2"])
    assert hash(pickle.loads(pickle.dumps(data))) == hash(data)

    def fail(number: Rational) -> int:
        raise AssertionError("hashed again")

    monkeypatch.setattr(Rational, "__hash__", fail)
    assert hash(data) == hash(same)


def test_rows_over_a_common_denominator() -> None:
    data = Dataset([[1, "-1/4"], ["1/6", 0]], [[3, "2/10"], [0, "7/2"]])
    assert data.integers == (60, [[60, -15, 180, 12], [10, 0, 0, 210]])


MEASURED = """
import tracemalloc
import numpy as np
import linvar as lv
rng = np.random.default_rng(0)
x, y = {entries}
tracemalloc.start()
data = lv.Dataset(x, y)
assert data.size == 100_000 and data.input_width == 10 and len(data.integers[1]) == 100_000
print(tracemalloc.get_traced_memory()[1] / 1e6)
"""
INTEGERS = "rng.integers(-500, 500, (100_000, 10)), rng.integers(-500, 500, 100_000)"


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param(INTEGERS, id="array"),
        pytest.param(f"[value.tolist() for value in ({INTEGERS})]", id="lists", marks=pytest.mark.slow),
        pytest.param(
            "[lv.rationalize(value, 4) for value in (rng.normal(size=(100_000, 10)), rng.normal(size=100_000))]",
            id="rationalized",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_hundred_thousand_rows_take_less_than_200_megabytes(entries: str) -> None:
    """70 MB here, the rows over their common denominator among them; seconds stand in benchmarks/construction.py."""
    code = MEASURED.format(entries=entries)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert float(done.stdout) < 200


def test_replace_equality_hash_and_pickle() -> None:
    problem = Problem(**GOOD)
    assert problem.replace(step=2) == problem
    assert hash(problem.replace(step=2)) == hash(problem)
    assert problem.replace(step=3) != problem
    assert pickle.loads(pickle.dumps(problem)) == problem
    with pytest.raises(TypeError, match="rate=1 is no argument of replace: did you mean learning_rate?"):
        problem.replace(rate=1)
    scheduled = problem.replace(learning_rate=["1/10", "1/20"])
    assert scheduled.learning_rates == (Fraction(1, 10), Fraction(1, 20))
    with pytest.raises(ValueError, match="2 entries, but step=3"):
        scheduled.replace(step=3)


def test_two_symbols_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="both named 'a'"):
        Problem([[[sympy.Symbol("a")]]], Gaussian([[sympy.Symbol("a", positive=True)]]))


def test_from_arrays() -> None:
    problem = Problem.from_arrays(
        [np.array([[0.25, 1.0]])], inputs=np.eye(2), targets=np.array([0.5, 1.0]), learning_rate=0.1, step=1
    )
    assert problem.weights == (((Fraction(1, 4), 1),),)
    assert problem.learning_rate == Fraction(1, 10)
    assert problem.dataset_size == 2
    with pytest.raises(ValueError, match="exactly one of"):
        Problem.from_arrays([[[0.5]]])
    with pytest.raises(ValueError, match="exactly one of"):
        Problem.from_arrays([[[0.5]]], teacher=[[1.0]], inputs=[[1.0]], targets=[1.0])


def test_messages_shorten_every_value() -> None:
    """CPython prints no integer of more than 4,300 digits, and a message no megabyte."""
    long, text = 10**5000, "x" * 10**6
    for change in (
        {"step": -long}, {"step": text}, {"step": np.zeros(1000)}, {"law": [text] * 1000}, {"law": np.zeros((1000, 1000))},
        {"sampling": text}, {"sampling": [text]}, {"sampling": np.zeros(1000)}, {"nesterov": text}, {"nesterov": np.zeros(9)},
        {"weights": text}, {"weights": {text: long}}, {"weights": [[[text]]]}, {"weights": [[text]]},
        {"weights": [np.zeros((1000, 1000))]},
        {"learning_rate": text}, {"learning_rate": range(1000)}, {"learning_rate": long * sympy.sqrt(2)}, {"momentum": text},
        {"weight_decay": [text]}, {"learning_rate": [1], "step": long}, {"nesterov": True}, {text: 1}, {"rate": long},
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            Problem(**GOOD).replace(**change)
        assert len(str(caught.value)) < 400 and "set_int_max" not in str(caught.value)
    for law in (
        lambda: Gaussian([[1]], noise_variance=-long), lambda: Gaussian([[1]], covariance=[[-long]]),
        lambda: Gaussian([[1]], [[1, 2]]), lambda: Gaussian([[1, 2]], covariance=[[1, long], [-long, 1]]),
        lambda: Gaussian([[1] * 500], covariance=np.full((500, 500), -1)),
        lambda: Dataset([[sympy.Symbol(text)]], [1]), lambda: Problem.from_arrays([[[1]]], teacher=[[1.0]], decimals=-long),
        lambda: Problem.from_arrays(text, teacher=[[1.0]]),
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            law()
        assert len(str(caught.value)) < 400 and "set_int_max" not in str(caught.value)


def test_repr_is_short() -> None:
    assert len(repr(Problem(**GOOD))) < 120
    assert repr(Problem(**GOOD)) == (
        'Problem([[[1, 0], [1, 1]], [[1, 1]]], Gaussian(teacher=[[1, 2]]), learning_rate="1/10", step=2)'
    )


def test_repr_has_the_weights_while_they_are_few() -> None:
    a = sympy.Symbol("a")
    one = lv.Problem([[["1/2", a]]], DATA, a, 1, "without_replacement", momentum="1/2", weight_decay=a)
    assert repr(one) == (
        'Problem([[["1/2", a]]], Dataset(3 examples, 2 inputs, 1 target), learning_rate=a, step=1, '
        "sampling='without_replacement', momentum=\"1/2\", weight_decay=a)"
    )
    loss = lv.Problem({"u": ["1/2", 1], "v": [1, 3]}, DATA, loss=lv.families.diagonal)
    assert repr(loss).startswith("Problem({'u': [\"1/2\", 1], 'v': [1, 3]}, Data") and "loss=diagonal" in repr(loss)
    tuples = lv.Problem(([1], [[1, 2]], 3), DATA, loss=lambda params, example: params[2] * example[0][0])
    assert repr(tuples).startswith("Problem(([1], [[1, 2]], 3), Dataset(")


@pytest.mark.parametrize("width", [1, 5, 20])
@pytest.mark.parametrize("depth", [1, 3, 40])
@pytest.mark.parametrize(
    "entry", [1, "1/12345678901234567890", 10**5000, sympy.Symbol("a_long_symbol_1") + 1], ids=["1", "p/q", "long", "a"]
)
def test_repr_and_table_stay_short_of_large_problems(width: int, depth: int, entry: Any) -> None:
    law = Gaussian([[entry] * width] * width, noise_variance=1)
    problem = lv.Problem([[[entry] * width] * width] * depth, law, ["1/10"] * 50, 50, momentum="1/3")
    assert len(repr(problem)) < 350 and "\n" not in repr(problem)
    assert max(map(len, str(problem.to_table()).splitlines())) < 150
    if width == 20:
        assert ("<20x20>" if depth < 10 else "<40 leaves>") in repr(problem)


def test_a_problem_is_a_table_in_a_notebook() -> None:
    table = lv.Problem(**GOOD, momentum="1/2").to_table()
    found = dict(zip(*[[row[k].text for row in table.rows] for k in (0, 1)]))
    assert found == {
        "network": "widths 2-2-1", "weights": "[[[1, 0], [1, 1]], [[1, 1]]]", "law": "Gaussian(teacher=[[1, 2]])",
        "sampling": "iid", "learning_rate": "1/10", "step": "2", "momentum": "1/2", "degree": "23 in 1/b, at most",
    }  # fmt: skip
    symbolic = lv.Problem(lv.symbolic_weights([2, 1]), Gaussian(0))
    assert "w1_11, w1_12" in str(symbolic.to_table()) and "<table>" in symbolic._repr_html_()
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(symbolic)
    assert "symbols" in console.export_text()
