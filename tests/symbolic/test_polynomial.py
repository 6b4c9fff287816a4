"""BatchPolynomial: arithmetic, values, display, storage, and b_0 against brute force."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.exact import Rational
from linvar.symbolic.result.polynomial import BatchPolynomial, load_polynomial

A, B = sympy.symbols("a b")
SYMBOLIC = BatchPolynomial([A, A * B - 1, "1/2"])
HUGE = BatchPolynomial([0, Fraction(10**10_000 + 1, 3), -(7**9_000)])
small = st.fractions(min_value=-20, max_value=20, max_denominator=12)
polynomials = st.lists(small, min_size=1, max_size=6).map(BatchPolynomial)


def test_coefficients_degree_and_bound() -> None:
    p = BatchPolynomial([0, "18", Fraction(1, 2), 0], degree_bound=5)
    assert p.coefficients == (0, 18, Fraction(1, 2))
    assert [str(c) for c in p.coefficients] == ["0", "18", "1/2"]
    assert (p.degree, p.degree_bound, BatchPolynomial([1, 2]).degree_bound) == (2, 5, 1)
    zero = BatchPolynomial([0, 0])
    assert (zero.degree, zero.coefficients, bool(zero), zero == 0) == (0, (0,), False, True)
    assert SYMBOLIC.coefficients == (A, sympy.expand(A * B - 1), Fraction(1, 2))
    assert SYMBOLIC.symbols == (A, B)


def test_values() -> None:
    p = BatchPolynomial([1, 18, "1/2"])
    assert p(4) == 1 + Fraction(18, 4) + Fraction(1, 32)
    assert p([1, 2]) == p(range(1, 3)) == p(np.array([1, 2])) == [Fraction(39, 2), Fraction(81, 8)]
    assert p(np.int64(4)) == p(4)
    assert sympy.expand(SYMBOLIC(2) - (A + (A * B - 1) / 2 + sympy.Rational(1, 8))) == 0


@pytest.mark.parametrize(
    ("value", "error"),
    [(0, ValueError), (-3, ValueError), (1.5, TypeError), (True, TypeError), ("2", TypeError), (None, TypeError)],
)
def test_bad_batch_sizes(value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match="batch_size="):
        BatchPolynomial([1, 2])(value)


def test_without_replacement_knows_its_data_set() -> None:
    p = BatchPolynomial([-1, 5], sampling="without_replacement", dataset_size=5)
    assert p(5) == 0
    with pytest.raises(ValueError, match="batch_size=6 is more than the 5 examples of the data set"):
        p(6)
    with pytest.raises(ValueError, match="do not mix"):
        p + BatchPolynomial([1])
    assert p != BatchPolynomial([-1, 5])
    assert p + p == 2 * p
    with pytest.raises(ValueError, match="dataset_size"):
        BatchPolynomial([1], sampling="without_replacement")


@given(polynomials, polynomials, st.integers(1, 50))
def test_arithmetic_is_that_of_values(p: BatchPolynomial, q: BatchPolynomial, b: int) -> None:
    assert (p + q)(b) == p(b) + q(b)
    assert (p - q)(b) == p(b) - q(b)
    assert (p * q)(b) == p(b) * q(b)
    assert (3 - p)(b) == 3 - p(b)
    assert (p**2)(b) == p(b) ** 2
    assert (p / 3)(b) == p(b) / 3
    assert (p == q) == (p.coefficients == q.coefficients)
    assert hash(p + q) == hash(q + p)
    assert p - p == 0


def test_symbols_combine() -> None:
    p, q = BatchPolynomial([A]), BatchPolynomial([0, B])
    total = p + q * 2
    assert total.symbols == (A, B)
    assert total.coefficients == (A, 2 * B)
    assert total - 2 * q == p
    assert hash(total - 2 * q) == hash(p)
    assert BatchPolynomial([A - A + 2]) == 2


def test_operands_that_are_not_exact_are_refused() -> None:
    with pytest.raises(TypeError):
        BatchPolynomial([1]) + 0.5
    with pytest.raises(ZeroDivisionError):
        BatchPolynomial([1]) / 0
    with pytest.raises(ValueError, match="exponent=-1"):
        BatchPolynomial([1]) ** -1
    assert BatchPolynomial([1]) != "x"


def test_poly_and_subs() -> None:
    p = BatchPolynomial([0, 18, "1/2"])
    u = p.poly.gen
    assert p.poly == sympy.Poly(18 * u + u**2 / 2, u)
    assert BatchPolynomial([sympy.Symbol("u")]).poly.gen.name == "u_"
    assert SYMBOLIC.subs({A: 2, "b": "1/2"}) == BatchPolynomial([2, 0, "1/2"])
    assert SYMBOLIC.subs({A: B}).coefficients == (B, B**2 - 1, Fraction(1, 2))
    with pytest.raises(ValueError, match="subs got 'c': the symbols of this polynomial are a, b"):
        SYMBOLIC.subs({"c": 1})
    with pytest.raises(TypeError, match="a=0.5 is of type float"):
        SYMBOLIC.subs({"a": 0.5})


def test_to_jax_agrees_with_exact_values() -> None:
    p = BatchPolynomial(["1/3", -18, "1/2"])
    b = np.array([1, 2, 32])
    with jax.enable_x64(True):
        np.testing.assert_allclose(p.to_jax()(b), [float(v) for v in p(b)], rtol=1e-14)  # a few ulp of float64
        values = SYMBOLIC.to_jax()(b, a=0.25, b=-3.0)
        exact = SYMBOLIC.subs({"a": "1/4", "b": -3})
        np.testing.assert_allclose(values, [float(v) for v in exact(b)], rtol=1e-14)
        wrong = BatchPolynomial(["1/3", -27, "1/2"])
        assert not np.allclose(p.to_jax()(b), [float(v) for v in wrong(b)], rtol=1e-14)
        slope = jax.grad(lambda a: SYMBOLIC.to_jax()(2, a=a, b=-3.0))(0.25)
        np.testing.assert_allclose(slope, 1 - 3 / 2, rtol=1e-14)
    np.testing.assert_allclose(p.to_jax()(b), [float(v) for v in p(b)], rtol=2e-6)  # a few ulp of float32
    with pytest.raises(OverflowError, match="enable_x64"):
        BatchPolynomial([10**60]).to_jax()(1)
    with pytest.raises(TypeError, match="the symbols are a, b, and b does not match: give the symbols as keywords"):
        SYMBOLIC.to_jax()(1, a=1.0)


def test_ten_thousand_digits_print_and_travel(tmp_path: Path) -> None:
    assert len(repr(HUGE)) < 300
    assert len(HUGE._repr_latex_()) < 300
    assert len(HUGE.latex()) > 17_000
    assert len(str(HUGE.coefficients[1])) == 10_001 + 2
    HUGE.save(tmp_path / "huge.json")
    assert load_polynomial(tmp_path / "huge.json") == HUGE
    assert pickle.loads(pickle.dumps(HUGE)) == HUGE
    assert HUGE(3) == Fraction(10**10_000 + 1, 9) - Fraction(7**9_000, 9)


@pytest.mark.parametrize(
    "p",
    [
        BatchPolynomial([0]),
        BatchPolynomial([0, 18, "1/2"], degree_bound=7),
        SYMBOLIC,
        BatchPolynomial([-1, 5], sampling="without_replacement", dataset_size=5),
    ],
)
def test_copies_are_equal(p: BatchPolynomial, tmp_path: Path) -> None:
    p.save(tmp_path / "p.json")
    for other in (
        pickle.loads(pickle.dumps(p)),
        copy.deepcopy(p),
        load_polynomial(tmp_path / "p.json"),
        BatchPolynomial.from_dict(p.to_dict()),
    ):
        assert other == p and hash(other) == hash(p)
        assert (other.degree_bound, other.sampling, other.dataset_size) == (p.degree_bound, p.sampling, p.dataset_size)


@pytest.mark.parametrize(
    "change",
    [
        {"coefficients": ["0", "9**9**9"]}, {"coefficients": [0.5]}, {"coefficients": []}, {"coefficients": "12"},
        {"symbols": ["a", "a"]}, {"symbols": ["a"]}, {"sampling": "with"}, {"dataset_size": -1}, {"dataset_size": True},
        {"format": "other"}, {"extra": 1}, {"degree_bound": None},
    ],
)  # fmt: skip
def test_damaged_files_are_refused(change: dict, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(json.dumps({**BatchPolynomial([0, 18]).to_dict(), **change}))
    with pytest.raises(ValueError, match="p.json"):
        load_polynomial(path)


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A pipe without a writer is refused, not waited for."""
    pipe = tmp_path / "p.json"
    os.mkfifo(pipe)
    for path, fault in (
        (pipe, "is a pipe, a socket or a device"),
        (tmp_path, "is a directory"),
        ("a\0b", "has a null byte in its name"),
        (tmp_path / "none", "does not exist"),
    ):
        with pytest.raises(InputError, match=f"polynomial file '.*' {fault}") as caught:
            load_polynomial(path)
        assert isinstance(caught.value, OSError)
    with pytest.raises(FileNotFoundError):
        load_polynomial(tmp_path / "none")
    with pytest.raises(InputTypeError, match="polynomial file=3 is of type int"):
        load_polynomial(3)
    (tmp_path / "long.json").write_text('{"format": ' + "1" * 5000 + "}")
    with pytest.raises(
        InputError, match=r"long.json' is not a saved BatchPolynomial: it has an integer of more than 4,300 digits"
    ):
        load_polynomial(tmp_path / "long.json")


def test_messages_shorten_every_value() -> None:
    """CPython prints no integer of more than 4,300 digits."""
    long = 10**5000
    p = BatchPolynomial([0, 1], sampling="without_replacement", dataset_size=4)
    for call in (
        lambda: p(long), lambda: p(-long), lambda: p.is_decreasing(-long), lambda: p**-long, lambda: p.subs({"x" * 10**6: 1}),
        lambda: BatchPolynomial([1], dataset_size=-long), lambda: BatchPolynomial([1], sampling="x" * 10**6),
        lambda: BatchPolynomial([1], degree_bound=-long), lambda: p.subs(["x" * 10**6] * 1000),
        lambda: BatchPolynomial(dict.fromkeys(range(10**5))), lambda: p / (A * long),
        lambda: BatchPolynomial([A * long, 1]).decreasing_from(), lambda: p + 0.5 * A * long,
        lambda: lv.LargeBatchExpansion([A])(long),
        lambda: p.as_expr(long), lambda: p.to_jax()(2, **{"x" * 10**6: 1}), lambda: BatchPolynomial(["1" * 10**6]),
        lambda: BatchPolynomial.from_dict({**SYMBOLIC.to_dict(), "symbols": ["x" * 10**6] * 2}),
        lambda: BatchPolynomial.from_dict({"x" * 10**6: 1}),
    ):  # fmt: skip
        with pytest.raises(InputError) as caught:
            call()
        assert len(str(caught.value)) < 400 and "limit" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "[" * 100_000, "null"])
def test_files_that_are_no_polynomial(text: str, tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="p.json"):
        load_polynomial(path)


def test_symbolic_giants_are_described_not_printed() -> None:
    symbols = sympy.symbols("x0:5")
    giant = BatchPolynomial([sum(symbols), 0]) ** 6
    assert "210 terms in 5 symbols" in repr(giant)
    assert "coefficients" not in giant.__dict__, "the repr converted every term to SymPy"
    assert "210 terms" in giant._repr_latex_()


def test_symbolic_giants_hash_compare_and_travel(tmp_path: Path) -> None:
    """13,299 terms: nothing of this makes a SymPy expression."""
    giant = BatchPolynomial([1, *([sum(sympy.symbols("x0:5"), sympy.Integer(1))] * 2)]) ** 8
    moved = giant + BatchPolynomial([sympy.Symbol("z")]) - sympy.Symbol("z")
    assert moved.symbols != giant.symbols and moved == giant and hash(moved) == hash(giant)
    assert giant + 1 != giant and 2 * giant != giant and giant - giant == 0
    copied = pickle.loads(pickle.dumps(giant))
    giant.save(tmp_path / "giant.json")
    assert copied == giant == load_polynomial(tmp_path / "giant.json") and hash(copied) == hash(giant)
    assert "coefficients" not in giant.__dict__


def test_equality_is_false_not_an_error_for_foreign_things() -> None:
    half = BatchPolynomial(["1/2"])
    assert half == Fraction(1, 2) and hash(half) == hash(Fraction(1, 2)) and hash(BatchPolynomial([0])) == hash(0)
    assert half != "1/2" and half != 0.5 and half != [Fraction(1, 2)]
    assert BatchPolynomial([A]) != BatchPolynomial([sympy.Symbol("a", positive=True)])
    assert BatchPolynomial([A]) == A != BatchPolynomial([A]) + 1 and BatchPolynomial([A]) != sympy.sqrt(A)
    assert len({half, BatchPolynomial([Fraction(2, 4)], degree_bound=3), Fraction(1, 2)}) == 1


def test_bad_arguments_name_themselves() -> None:
    for arguments, error, message in (
        ({"coefficients": "12"}, TypeError, "coefficients='12'"),
        ({"coefficients": 3}, TypeError, "coefficients=3"),
        ({"coefficients": [0, 0.5]}, TypeError, r"coefficients\[1\]=0.5"),
        ({"coefficients": [0, 1, 2], "degree_bound": 1}, ValueError, "degree_bound=1"),
        ({"coefficients": [1], "dataset_size": 2.5}, ValueError, "dataset_size=2.5"),
        ({"coefficients": [1], "dataset_size": 0}, ValueError, "dataset_size=0"),
        ({"coefficients": [1], "sampling": "with"}, ValueError, "sampling='with'"),
    ):
        with pytest.raises(error, match=message):
            BatchPolynomial(**arguments)
    with pytest.raises(TypeError, match="subs got 3"):
        SYMBOLIC.subs(3)
    with pytest.raises(TypeError, match="divisor=a contains symbols"):
        SYMBOLIC / A
    with pytest.raises(ValueError, match="batch_size=<an integer of about 5001 digits> is too small"):
        SYMBOLIC(-(10**5000))


def test_results_longer_than_a_problem_file_may_be_are_read_back(tmp_path: Path) -> None:
    p = BatchPolynomial([0, Fraction(1, 10**120_000)])
    p.save(tmp_path / "p.json")
    assert load_polynomial(tmp_path / "p.json") == p


def test_symbolic_files_with_damaged_terms_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    for row in (
        [[[1, 0], "1"], [[1, 0], "2"]],
        [[[1], "1"]],
        [[[1, -1], "1"]],
        [[[1, True], "1"]],
        [[[1, 0], 1]],
        "1",
        [3],
    ):
        path.write_text(json.dumps({**SYMBOLIC.to_dict(), "coefficients": [row]}))
        with pytest.raises(ValueError, match=r"p.json' is not a saved BatchPolynomial: coefficients\[0\]"):
            load_polynomial(path)
    path.write_text(json.dumps({**SYMBOLIC.to_dict(), "degree_bound": 1}))
    with pytest.raises(ValueError, match="degree_bound=1"):
        load_polynomial(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="p.json"):
        load_polynomial(path)


def test_jax_functions_at_the_edges() -> None:
    assert float(BatchPolynomial([0]).to_jax()(3)) == 0
    assert float(BatchPolynomial([sympy.Symbol("batch_size")]).to_jax()(2, batch_size=3.0)) == 3
    with pytest.raises(OverflowError, match="1/b\\^1 is about 1e"):
        BatchPolynomial([0, 10**5000]).to_jax()
    with pytest.raises(OverflowError, match="enable_x64"):
        BatchPolynomial([Fraction(1, 10**60)]).to_jax()(1)
    with pytest.raises(ValueError, match="a has shape"):
        SYMBOLIC.to_jax()(1, a=np.ones(2), b=1.0)
    long = BatchPolynomial([Fraction(10**5000 + 1, 3 * 10**5000)])
    assert float(long.to_jax()(1)) == pytest.approx(1 / 3, rel=1e-6)  # float32
    cube = BatchPolynomial([A**3 + A + 1]).to_jax()
    assert float(jax.grad(lambda a: cube(1, a=a))(0.0)) == 1


REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "variance.json").read_text())["cases"]


@pytest.mark.parametrize("case", REFERENCE, ids=lambda case: case["id"])
def test_reference_polynomials(case: dict, tmp_path: Path) -> None:
    """Coefficients, degree, the two parts, storage."""
    p = BatchPolynomial(case["coefficients_in_u"], degree_bound=case["degree_bound"])
    assert (p.degree, p.degree_bound) == (case["degree"], case["degree_bound"])
    assert [str(c) for c in p.coefficients] == case["coefficients_in_u"][: p.degree + 1]
    assert BatchPolynomial(case["second_moment_in_u"]) - BatchPolynomial(case["squared_mean_in_u"]) == p
    p.save(tmp_path / "p.json")
    assert load_polynomial(tmp_path / "p.json") == p


def test_display_of_small_ones() -> None:
    assert repr(BatchPolynomial([1, -1, 0, "3/2"])) == "1 - u + 3/2 u^3    (u = 1/b, degree 3)"
    assert BatchPolynomial([0, -1, "3/2"]).latex() == r"-\frac{1}{b} + \frac{3}{2} \frac{1}{b^{2}}"
    assert repr(SYMBOLIC) == "a + (a*b - 1) u + 1/2 u^2    (u = 1/(batch size), degree 2)"
    assert SYMBOLIC.latex() == (
        r"a + \left(a b - 1\right) \frac{1}{b_{\mathrm{batch}}} + \frac{1}{2} \frac{1}{b_{\mathrm{batch}}^{2}}"
    )
    assert repr(BatchPolynomial([0, sympy.Symbol("u") ** 2])) == "u^2 u_    (u_ = 1/b, degree 1)"
    long = BatchPolynomial([A * 10**5000 - B, -(10**5000) * A])
    assert len(repr(long)) < 200 and len(long._repr_latex_()) < 200 and len(long.latex()) > 10_000
    assert repr(BatchPolynomial(range(9))) == "u + 2 u^2 + 3 u^3 + 4 u^4 + ... + 8 u^8    (u = 1/b, degree 8)"
    assert repr(BatchPolynomial([0])) == "0    (u = 1/b, degree 0)"


def test_rational_survives_in_a_fresh_process() -> None:
    """Printing 10,000 digits needs no interpreter setting."""
    code = "from linvar.symbolic.result.polynomial import BatchPolynomial as P; print(len(str(P([10**9999]).coefficients[0])))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "10000\n"
    assert isinstance(HUGE.coefficients[1], Rational)


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint16])
def test_integers_of_numpy_make_a_polynomial_and_its_latex(kind):
    p = BatchPolynomial([0, "1/7", 3], sampling="without_replacement", dataset_size=kind(9), degree_bound=kind(5))
    assert p == BatchPolynomial([0, "1/7", 3], sampling="without_replacement", dataset_size=9)
    assert (type(p.dataset_size), type(p.degree_bound)) == (int, int)
    assert p.latex(digits=kind(3)) == p.latex(digits=3)
    assert BatchPolynomial.from_dict(json.loads(json.dumps(p.to_dict()))) == p


@pytest.mark.parametrize("word", ["dataset_size", "degree_bound"])
@pytest.mark.parametrize("value", [True, 2.0, "2", np.float64(2)])
def test_what_is_no_integer_makes_no_polynomial(word, value):
    with pytest.raises(InputTypeError, match=f"^{word}="):
        BatchPolynomial([0, 1], **{word: value})


def test_latex_is_factored_by_a_truth_value_alone():
    with pytest.raises(InputTypeError, match="^factor='no' is of type str: write True or False"):
        BatchPolynomial([0, 1]).latex(factor="no")
