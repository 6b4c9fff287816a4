"""Results in LaTeX for a paper and as tables: what is written reads back; nothing unasked is long."""

from __future__ import annotations

import re
import warnings
from fractions import Fraction
from functools import cache
from typing import Any

import pytest
import sympy
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st
from katex_faults import katex_faults

import linvar as lv
from linvar import BatchPolynomial, LargeBatchExpansion
from linvar.errors import InputError
from linvar.exact import Rational

W, T, A = sympy.symbols("w1_11 T alpha")
M = sympy.MatrixSymbol("M", 2, 2)
U = lv.u
SYMBOLIC = BatchPolynomial([0, (W - T) ** 2 * A, (W - T) / 3, M[0, 1] ** 2])
entries = st.sampled_from(
    [0, 1, -1, "1/3", "-7/2", W, -T, W - T, (W - T) ** 2, W**2 * A / 2, W * T + 1, M[0, 1], A * (W + 1)]
)
polynomials = st.lists(entries, min_size=1, max_size=4).map(BatchPolynomial)
NAMES = {r"w^{(1)}_{1,1}": "W", "T": "T", r"\alpha": "A", "{M}_{0,1}": "M"}
VALUES = {"W": W, "T": T, "A": A, "M": M[0, 1], "U": U}


def read(text: str) -> sympy.Expr:
    """What LaTeX of a result says, as an expression in u."""
    text = re.sub(r"\\frac\{1\}\{b(?:\^\{(\d+)\})?\}", lambda m: f"(U**{m[1] or 1})", text)
    text = re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"(Rational(\1,\2))", text)
    for name, letter in NAMES.items():
        text = text.replace("{" + name + "}", letter).replace(name, letter)
    text = text.replace(r"\left(", "(").replace(r"\right)", ")").replace(r"\cdot 10", "* Rational(10)")
    text = re.sub(r"\^\{(-?\d+)\}", r"**\1", text)
    text = re.sub(r"(?<=[\w)]) +(?=[\w(])", "*", text)
    text = re.sub(r"(\d+\.\d+)", r"Rational('\1')", text)
    return eval(text, {"Rational": sympy.Rational, **VALUES})  # noqa: S307


@given(polynomials)
def test_factored_and_whole_latex_read_back_as_the_polynomial(p: BatchPolynomial) -> None:
    assert all(p == read(text) for text in (p.latex(), p.latex(factor=True)))


def test_a_term_less_is_read_otherwise() -> None:
    text = SYMBOLIC.latex(factor=True)
    for wrong in (text.replace("3 ", "2 ", 1), SYMBOLIC.latex().replace("2 ", "3 ", 1)):
        assert read(wrong) != SYMBOLIC


@pytest.mark.parametrize(
    ("coefficients", "factored"),
    [
        ([0], "0"), ([-1], "-1"), ([0, 18, "1/2"], r"\frac{1}{2} \frac{1}{b} \left(36 + \frac{1}{b}\right)"),
        ([0, -1, "1/2"], r"-\frac{1}{2} \frac{1}{b} \left(2 - \frac{1}{b}\right)"), ([T, 1], r"T + \frac{1}{b}"),
        ([0, 2 * T * (T + A)], r"2 T \left(T + \alpha\right) \frac{1}{b}"), ([-T, -1], r"-\left(T + \frac{1}{b}\right)"),
        ([T + A, T + A], r"\left(T + \alpha\right) \left(1 + \frac{1}{b}\right)"), ([0, 0, -T], r"-T \frac{1}{b^{2}}"),
        ([1, 0, (T + 1) ** 2], r"1 + \left(T + 1\right)^{2} \frac{1}{b^{2}}"), ([W**2], r"{w^{(1)}_{1,1}}^{2}"),
    ],
)  # fmt: skip
def test_factored_latex(coefficients: Any, factored: str) -> None:
    assert BatchPolynomial(coefficients).latex(factor=True) == factored


@given(st.lists(st.fractions(max_denominator=10**4), min_size=1, max_size=4), st.integers(1, 12))
def test_decimals_are_rounded_to_the_nearest(coefficients: list[Fraction], digits: int) -> None:
    p = BatchPolynomial(coefficients)
    q = BatchPolynomial([0]) + read(p.latex(digits=digits))
    for k in range(p.degree + 1):
        exact, near = p.coefficient(k), q.coefficient(k)
        assert isinstance(exact, Rational) and abs(near - exact) <= abs(exact) / 2 * Fraction(1, 10 ** (digits - 1))


def test_decimals() -> None:
    p = BatchPolynomial(["1/3", -18, 10**9 + 1, Fraction(1, 10**9), "1/8"])
    assert p.latex(digits=2) == (
        r"0.33 - 18 \frac{1}{b} + 1 \cdot 10^{9} \frac{1}{b^{2}} + 1 \cdot 10^{-9} \frac{1}{b^{3}} + 0.12 \frac{1}{b^{4}}"
    )
    assert BatchPolynomial([0, T / 3 + A, 1]).latex(digits=3) == (
        r"\left(0.333 T + \alpha\right) \frac{1}{b} + \frac{1}{b^{2}}"
    )
    assert BatchPolynomial([0, T / 3, T / 6]).latex(digits=3, factor=True) == (
        r"0.167 T \frac{1}{b} \left(2 + \frac{1}{b}\right)"
    )
    for digits in (0, -1, 1001, 2.0, "3", True):
        with pytest.raises(InputError, match="digits=.*give the number of significant digits"):
            p.latex(digits=digits)  # type: ignore[arg-type]


def test_enclosures_are_a_value_and_an_error() -> None:
    with ctx.workprec(80):
        balls = [
            *(arb(0), arb("0.81", "4.9e-13"), arb(18), arb("-2.5"), arb(1200), arb("-1e40", "1e20")),
            *(arb(0, "0.5"), arb("0.5"), arb(1)),
        ]
    text = LargeBatchExpansion(balls, digits=12).latex()
    assert text.startswith(r"\left(0.810000000000 \pm 4.91 \cdot 10^{-13}\right) \frac{1}{b} + 18")
    for part in (
        r"+ 18 \frac",
        r"- 2.5 \frac",
        r"+ 1200 \frac",
        r"\left(-1.00000000000 \cdot 10^{40} \pm",
        r"\left(0 \pm 0.5",
        r"+ 0.5 \frac{1}{b^{7}} + \frac{1}{b^{8}} +",
    ):
        assert part in text, part


@cache
def results() -> list[Any]:
    """Of every kind, also huge: thousands of terms, 10,000 digits, long names."""
    long = [sympy.Symbol(f"x{i}" * 2000) for i in range(6)]
    digits, small = 10**10_000 + 7, sympy.symbols("p0:8")
    with ctx.workprec(40_000):
        third = arb(1) / 3
        balls = [third * 10 ** (k % 7) for k in range(500)]
    return [
        BatchPolynomial([0]), BatchPolynomial([0, 18, "1/2"]), SYMBOLIC, BatchPolynomial([Fraction(digits, 3)] * 300),
        BatchPolynomial([sum(small)]) ** 5, BatchPolynomial([sum(long), long[0] ** 3]), BatchPolynomial([digits * W, T / digits]),
        BatchPolynomial([sum(s * Fraction(7**k, 3**k) for k, s in enumerate(small * 4, 60))] * 40),
        BatchPolynomial([Fraction(digits, 3)] * 90, sampling="without_replacement", dataset_size=2),
        BatchPolynomial([sympy.Symbol("%$#&_{}\\^~" * 30), sympy.Symbol("learning_rate") ** 2 * sympy.Symbol("theta_hat")]),
        LargeBatchExpansion([0, 18, "1/2"]), LargeBatchExpansion([digits] * 120), LargeBatchExpansion(balls, digits=9_000),
        LargeBatchExpansion([sum(long)] * 3), LargeBatchExpansion([sum(small) ** 3 + k for k in range(30)]),
        LargeBatchExpansion([arb(0, "1e-9"), arb("1e300", 1), arb("-2.5e-300")], digits=12),
    ]  # fmt: skip


@pytest.mark.parametrize("place", range(16))
def test_nothing_is_shown_unasked_in_more_than_10_kb(place: int) -> None:
    one = results()[place]
    table = one.to_table()
    for shown in (repr(one), str(one), one._repr_latex_(), str(table)):
        assert len(shown) < 10_000 and shown
    assert repr(one).count("(") == repr(one).count(")")
    assert len(results()) == 16


def test_turning_points_and_trends_of_numbers_beyond_floats_are_shown_short() -> None:
    p = BatchPolynomial([0, 1, -(10**600)])
    (point,) = p.turning_points()
    assert repr(point) == "TurningPoint(maximum at b = 2e+600)" and len(repr(p.sign_table())) < 600
    assert repr(BatchPolynomial([0, 1, -2]).sign_table()[0]) == "Trend(low=1, high=4, sign=1)"


def test_katex_renders_every_result() -> None:
    """The factored ones and the tables' formulas too."""
    small = [one for place, one in enumerate(results()) if place in (0, 1, 2, 9, 10, 15)]
    texts = [one.latex() for one in small] + [one._repr_latex_().strip("$") for one in results()]
    texts += [one.latex(factor=True) for one in small if isinstance(one, BatchPolynomial)]
    texts += [cell.latex for one in small for row in one.to_table().rows for cell in row if cell.latex]
    texts.append(r"\left( x")
    faults = katex_faults(texts)
    assert len(texts) > 30 and len(faults) == 1 and faults[0].endswith(r"\left( x"), faults


def test_more_than_a_million_characters_are_warned_of_before_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    long = Fraction(10**400 + 1, 3**900)
    for one, size in ((BatchPolynomial([long] * 1300), 1_000_000), (LargeBatchExpansion([long] * 1300), 1_000_000)):
        with pytest.warns(RuntimeWarning, match=r"about 1 million characters: .*digits=6") as caught:
            assert len(one.latex()) > size
        assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (
            len(BatchPolynomial([long] * 1300).latex(digits=6)) < 100_000
            and len(BatchPolynomial([long] * 600).latex()) > 450_000
        )
        monkeypatch.setattr(
            "linvar.symbolic.result.latex.join", lambda pieces: pytest.fail("written before it was warned of")
        )
        with pytest.raises(RuntimeWarning):
            BatchPolynomial([long] * 1300).latex()


# tables


def test_the_table_of_a_polynomial() -> None:
    table = BatchPolynomial([0, "18", "-1/3", 10**60]).to_table()
    assert table.columns == ("power of 1/b", "coefficient", "decimal") and len(table.rows) == 4
    assert [[cell.value for cell in row] for row in table.rows] == [
        [0, 0, 0.0], [1, 18, 18.0], [2, Fraction(-1, 3), -1 / 3], [3, 10**60, 1e60],
    ]  # fmt: skip
    assert table.numeric == (True, True, True) and type(table.rows[2][1].value) is Rational
    assert (
        r"2 & $-\frac{1}{3}$ & $-0.333333$ \\" in table.to_latex()
        and r"1.00000\ldots \cdot 10^{60}" in table.to_latex()
    )
    assert BatchPolynomial([10**400]).to_table().rows[0][2].value == 10**400
    finite = BatchPolynomial([-1, 4], sampling="without_replacement", dataset_size=4).to_table()
    assert finite.notes == ("b <= 4, without replacement",)


def test_the_table_of_a_symbolic_polynomial() -> None:
    table = SYMBOLIC.to_table()
    assert [row[1].value for row in table.rows] == list(SYMBOLIC.coefficients)
    assert [row[2].value for row in table.rows] == [0, 3, 2, 1]
    assert table.rows[3][1].latex == "{M}_{0,1}^{2}" and "M[0, 1]^2" in str(table)
    giant = (BatchPolynomial([sum(sympy.symbols("x0:5"))]) ** 6).to_table()
    assert "(210 terms)" in str(giant) and giant.rows[0][1].latex == r"\text{(210 terms)}"


def test_the_table_of_an_expansion() -> None:
    exact = LargeBatchExpansion([0, 18, "1/2"]).to_table()
    assert [row[1].value for row in exact.rows] == [0, 18, Fraction(1, 2)] and exact.notes == ("+ O(1/b^3)",)
    with ctx.workprec(80):
        balls = [arb("0.81", "4.9e-13"), arb(2)]
    enclosed = LargeBatchExpansion(balls, digits=12).to_table()
    assert enclosed.columns == ("power of 1/b", "coefficient") and enclosed.rows[0][1].value is balls[0]
    assert enclosed.rows[0][1].text == "[0.810000000000 +/- 4.91e-13]"
    assert (
        enclosed.rows[0][1].latex == r"\left(0.810000000000 \pm 4.91 \cdot 10^{-13}\right)"
        and enclosed.rows[1][1].latex == "2"
    )
    pandas = pytest.importorskip("pandas")
    assert list(exact.to_pandas()["coefficient"]) == [0, 18, Fraction(1, 2)] and isinstance(
        exact.to_pandas(), pandas.DataFrame
    )


def test_a_notebook_shows_the_formula_not_the_table() -> None:
    for one in (SYMBOLIC, LargeBatchExpansion([0, 1])):
        assert not hasattr(one, "_repr_html_") and not hasattr(one, "__rich__") and one._repr_latex_().startswith("$")


@pytest.mark.parametrize("options", [{}, {"factor": True}, {"digits": 3}, {"factor": True, "digits": 2}], ids=str)
def test_an_expansion_is_written_as_its_polynomial_is(options: dict[str, Any]) -> None:
    x, y = sympy.symbols("x y")
    for coefficients in ([0, 18, "1/7"], [0, (x - y) ** 2, (x - y) / 3], [0, -2, -4]):
        text, rest = LargeBatchExpansion(coefficients).latex(**options), r" + O\left(\frac{1}{b^{3}}\right)"
        assert text == BatchPolynomial(coefficients).latex(**options) + rest
    assert LargeBatchExpansion([0, 0]).latex(**options) == r"O\left(\frac{1}{b^{2}}\right)"


def test_an_enclosure_is_written_with_fewer_digits_and_not_factored() -> None:
    with ctx.workprec(80):
        enclosed = LargeBatchExpansion([arb(0), arb("0.8123456", "4.9e-13")], digits=12)
    assert enclosed.latex(digits=20) == enclosed.latex() and r"0.8123 \pm" in enclosed.latex(digits=4)
    with pytest.raises(InputError, match=r"factor=True is for exact coefficients.*leave it out"):
        enclosed.latex(factor=True)
    with pytest.raises(InputError, match=r"digits=0: give the number of significant digits"):
        enclosed.latex(digits=0)
