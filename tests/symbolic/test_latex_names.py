"""LaTeX of results with symbols of any name: fixed strings, and braces that close."""

from __future__ import annotations

import re

import pytest
import sympy
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar.symbolic.result.latex_names import latex_names
from linvar.symbolic.result.polynomial import BatchPolynomial

M = sympy.MatrixSymbol("M", 2, 2)


@pytest.mark.parametrize(
    ("name", "first", "square"),
    [
        ("w1_11", r"w^{(1)}_{1,1}", r"{w^{(1)}_{1,1}}^{2}"),
        ("w1_1_11", r"w^{(1)}_{1,11}", r"{w^{(1)}_{1,11}}^{2}"),
        ("T_1_11", r"T_{1,11}", r"T_{1,11}^{2}"),
        ("T_11_1", r"T_{11,1}", r"T_{11,1}^{2}"),
        ("T_12", r"T_{12}", r"T_{12}^{2}"),
        ("w2", r"w_{2}", r"w_{2}^{2}"),
        ("my_w1_12", r"{\mathrm{my}_{w}}^{(1)}_{1,2}", r"{{\mathrm{my}_{w}}^{(1)}_{1,2}}^{2}"),
        ("learning_rate", r"\mathrm{learning}_{\mathrm{rate}}", r"\mathrm{learning}_{\mathrm{rate}}^{2}"),
        ("theta_hat", r"\theta_{\mathrm{hat}}", r"\theta_{\mathrm{hat}}^{2}"),
        ("w_t_1", r"w_{t,1}", r"w_{t,1}^{2}"),
        ("delta_ij", r"\delta_{ij}", r"\delta_{ij}^{2}"),
        ("lr", r"\mathrm{lr}", r"\mathrm{lr}^{2}"),
        ("alpha1_12", r"\alpha^{(1)}_{1,2}", r"{\alpha^{(1)}_{1,2}}^{2}"),
        (r"\mathit{ab}_{cde}", r"\mathit{ab}_{cde}", r"\mathit{ab}_{cde}^{2}"),
        ("alpha", r"\alpha", r"\alpha^{2}"),
        ("sigma2", r"\sigma_{2}", r"\sigma_{2}^{2}"),
        ("w_1", r"w_{1}", r"w_{1}^{2}"),
        ("x'", r"x'", r"{x'}^{2}"),
        ("W^{(1)}", r"W^{(1)}", r"{W^{(1)}}^{2}"),
        ("x^2", r"x^{2}", r"{x^{2}}^{2}"),
        ("50%", r"\mathrm{50\%}", r"\mathrm{50\%}^{2}"),
        ("a$b", r"\mathrm{a\$b}", r"\mathrm{a\$b}^{2}"),
        ("c#&", r"\mathrm{c\#\&}", r"\mathrm{c\#\&}^{2}"),
        ("{a", r"\mathrm{\{a}", r"\mathrm{\{a}^{2}"),
        ("a}", r"\mathrm{a\}}", r"\mathrm{a\}}^{2}"),
        ("~", r"\mathrm{{\sim}}", r"\mathrm{{\sim}}^{2}"),
        ("a\\b", r"\mathrm{a\backslash b}", r"\mathrm{a\backslash b}^{2}"),
        ("x^y^{z}", r"\mathrm{x{\wedge}y{\wedge}\{z\}}", r"\mathrm{x{\wedge}y{\wedge}\{z\}}^{2}"),
        (r"\hat{w}", r"\hat{w}", r"\hat{w}^{2}"),
        (r"\nothing", r"\mathrm{\backslash nothing}", r"\mathrm{\backslash nothing}^{2}"),
    ],
)
def test_latex_of_a_symbol_and_its_square(name: str, first: str, square: str) -> None:
    x = sympy.Symbol(name)
    assert BatchPolynomial([x, x**2]).latex() == rf"{first} + {square} \frac{{1}}{{b}}"
    assert (
        lv.LargeBatchExpansion([x, x**2]).latex()
        == rf"{first} + {square} \frac{{1}}{{b}} + O\left(\frac{{1}}{{b^{{2}}}}\right)"
    )


def test_symbols_that_sympy_writes_alike_are_told_apart() -> None:
    assert latex_names(sympy.symbols("x1 x_1")) == [r"\mathrm{x1}", r"\mathrm{x\_1}"]
    assert latex_names([sympy.Symbol("alpha"), sympy.Symbol(r"\alpha")]) == [
        r"\mathrm{alpha}",
        r"\mathrm{\backslash alpha}",
    ]
    assert latex_names([M[0, 1]]) == ["{M}_{0,1}"]
    entries = [entry for matrix in lv.symbolic_weights([12, 12, 1]) for entry in matrix]
    assert len(set(latex_names(entries))) == len(entries) == 156


def test_a_symbol_called_b_is_not_the_batch_size() -> None:
    b, w = sympy.symbols("b w")
    p = BatchPolynomial([b, b * w, 1])
    assert p.latex() == r"b + b w \frac{1}{b_{\mathrm{batch}}} + \frac{1}{b_{\mathrm{batch}}^{2}}"
    assert repr(p) == "b + b*w u + u^2    (u = 1/(batch size), degree 2)"
    expansion = lv.LargeBatchExpansion([b, 1])
    assert expansion.latex() == r"b + \frac{1}{b_{\mathrm{batch}}} + O\left(\frac{1}{b_{\mathrm{batch}}^{2}}\right)"
    assert repr(expansion) == "b + u + O(u^2)    (u = 1/(batch size))"
    both = BatchPolynomial([0, b * sympy.Symbol(r"b_{\mathrm{batch}}")])
    assert both.latex() == r"b b_{\mathrm{batch}} \frac{1}{b_{\mathrm{batch}}'}"
    assert BatchPolynomial([0, w]).latex() == r"w \frac{1}{b}"


def test_enclosures_write_powers_of_ten_out() -> None:
    with ctx.workprec(80):
        balls = [arb("0.81", "4.87e-13"), arb("1.5e50", "1e30"), arb(0, "1e-9"), arb("2.5", "0.01")]
    text = lv.LargeBatchExpansion(balls, digits=12).latex()
    assert r"\left(0.810000000000 \pm 4.88 \cdot 10^{-13}\right) + " in text
    assert r"\cdot 10^{50} \pm 1 \cdot 10^{34}\right)" in text
    assert r"\left(0 \pm 1.01 \cdot 10^{-9}\right)" in text and not re.search(r"\de[+-]?\d", text)


def closes(text: str) -> bool:
    """Whether every brace of LaTeX closes; escaped ones do not count."""
    depth = 0
    for token in re.findall(r"\\.|.", text, re.DOTALL):
        depth += (token == "{") - (token == "}")
        if depth < 0:
            return False
    return depth == 0


@given(st.text(alphabet="ab1_^{}\\%$#&~' xw(δ", min_size=1, max_size=8))
def test_any_name_gives_latex_that_closes_and_has_no_special_character(name: str) -> None:
    text = BatchPolynomial([sympy.Symbol(name) ** 2, sympy.Symbol(name)]).latex()
    assert closes(text) and not re.search(r"(?<!\\)[%$#&~]", text)
    commands = set(re.findall(r"\\([A-Za-z]+)", text))
    assert commands <= {"mathrm", "backslash", "wedge", "sim", "frac", "delta", "left", "right"} | set("ab")
    assert "^^" not in text and "__" not in text


def test_the_check_of_braces_can_fail() -> None:
    assert closes(r"\{a{b}\}") and not closes("{a") and not closes("a}{") and not closes(r"{\}")
