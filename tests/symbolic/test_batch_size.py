"""Derivations by hand: SymPy expressions in b and u against polynomials in 1/b."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from typing import Any

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.symbolic.result.polynomial import BatchPolynomial

P = BatchPolynomial([0, 18, "1/2"])
B, U = sympy.symbols("b u")


def test_the_letters_are_symbols_without_assumptions_and_load_sympy_on_use() -> None:
    assert (lv.b, lv.u) == (B, U)
    code = "import linvar as lv, sys; assert 'sympy' not in sys.modules; lv.u; print('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "True\n"


@pytest.mark.parametrize(
    "hand",
    [
        18 / lv.b + 1 / (2 * lv.b**2),
        18 * lv.u + lv.u**2 / 2,
        18 * lv.u + 1 / (2 * lv.b**2),
        (36 * lv.b + 1) / (2 * lv.b**2),
        sympy.together(18 / lv.b + 1 / (2 * lv.b**2)),
        lv.b * lv.u * (18 * lv.b**2 + lv.b / 2) / lv.b**3,
        18 / sympy.Symbol("b", positive=True, integer=True)
        + 1 / (2 * sympy.Symbol("b", positive=True, integer=True) ** 2),
        sympy.Mul(18, sympy.Pow(2 * lv.b, -1, evaluate=False), 2, evaluate=False) + lv.u**2 / 2,
    ],
)
def test_a_derivation_by_hand_compares(hand: Any) -> None:
    assert P - hand == 0 and hand - P == 0 and not (P - hand)
    assert hand == P and hand + 1 != P
    assert P - hand - lv.u != 0 and P - hand * 2 != 0
    assert hash(P - hand) == hash(0)


@given(st.lists(st.fractions(max_denominator=20), min_size=1, max_size=6))
def test_expressions_are_their_own_inverse(coefficients: list[Fraction]) -> None:
    p = BatchPolynomial(coefficients)
    for variable, inverse in ((lv.u, lv.u), (lv.b, 1 / lv.b)):
        expression = p.as_expr(variable)
        by_hand = sum(sympy.Rational(c.numerator, c.denominator) * inverse**k for k, c in enumerate(coefficients))
        assert sympy.expand(expression - by_hand) == 0
        assert BatchPolynomial([0]) + expression == p
    assert p.as_expr() == p.as_expr(lv.u)


def test_arithmetic_with_the_letters() -> None:
    assert P * lv.u == lv.u * P == P / lv.b == BatchPolynomial([0, 0, 18, "1/2"])
    assert P + lv.u == BatchPolynomial([0, 19, "1/2"]) and 1 / lv.b - P == BatchPolynomial([0, -17, "-1/2"])
    assert P / (2 * lv.b**2) == BatchPolynomial([0, 0, 0, 9, "1/4"])
    assert (P * (lv.b * lv.u)).degree == 2


def test_a_variance_of_several_symbols_by_hand() -> None:
    """1-1, t = 0: g = (w - T) x^2 with x ~ N(0, s): Var g = 2 s^2 (w - T)^2; and one step of it against the derivation."""
    w, T, s, r = sympy.symbols("w T s r")
    law = lv.Gaussian([[T]], covariance=[[s]])
    assert lv.gradient_variance(lv.Problem([[[w]]], law)) - 2 * s**2 * (w - T) ** 2 / lv.b == 0
    # (w_1 - T)^2 has the mean (w - T)^2 (1 - 2 r s + r^2 E S^2), and E S^2 = s^2 (1 + 2/b)
    moved = (w - T) ** 2 * (1 - 2 * r * s + r**2 * s**2 * (1 + 2 * lv.u))
    mean_square = ((w - T) * (1 - r * s) * s) ** 2
    hand = s**2 * (1 + 2 / lv.b) * moved - mean_square
    derived = lv.gradient_variance(lv.Problem([[[w]]], law, r, 1))
    assert derived - hand == 0 and sympy.expand(derived.as_expr() - hand.subs(lv.b, 1 / lv.u)) == 0
    assert derived - hand - s * lv.u != 0


def test_without_replacement_by_hand() -> None:
    """g_i = x_i (w x_i - y_i): the mean of b of n has the variance (n-b)/(b (n-1)) times that of one."""
    w = sympy.Symbol("w")
    data = lv.Dataset([[1], [2], [3]], [1, 0, 1])
    gradients = [x * (w * x - y) for x, y in ((1, 1), (2, 0), (3, 1))]
    mean = sum(gradients) / 3
    spread = sum((g - mean) ** 2 for g in gradients) / 3
    hand = (3 - lv.b) / (lv.b * 2) * spread
    v = lv.gradient_variance(lv.Problem([[[w]]], data, sampling="without_replacement"))
    assert v - hand == 0 and (v - hand).sampling == "without_replacement" and v - spread / lv.b != 0


@pytest.mark.parametrize(
    ("hand", "message"),
    [
        (lv.b, r"operand=b grows with b, the batch size: as b\^1"),
        (18 / lv.u, "grows with b"),
        (1 / (lv.b + 1), r"is not a polynomial in 1/b: simplify it first"),
        ((lv.b**2 - 1) / (lv.b**2 * (lv.b - 1)), "simplify it first"),
        (sympy.sqrt(lv.u), "is not a polynomial: it is a root"),
        (2**lv.b, "its exponent has symbols"),
        (lv.u ** (10**7), "too high a degree"),
        (0.5 * lv.u, "contains a float"),
        (lv.u + sympy.Symbol("u", positive=True), "both named 'u'"),
    ],
)
def test_expressions_that_are_no_polynomial_in_1_over_b(hand: Any, message: str) -> None:
    for operation in (lambda: P - hand, lambda: P * hand, lambda: hand + P):
        with pytest.raises(InputError, match=message):
            operation()


def test_a_symbol_of_ones_own_called_u_or_b_is_not_taken_for_the_batch_size() -> None:
    own = BatchPolynomial([U, 1])
    assert repr(own) == "u + u_    (u_ = 1/b, degree 1)" and own.subs({U: 2}) == BatchPolynomial([2, 1])
    for operand, cure in ((U, "write the batch size as 1/b"), (3 * U + 1, r"BatchPolynomial\(\[u\]\)")):
        with pytest.raises(
            InputError, match=f"has u, which is the batch size here and a symbol of the polynomial too: .*{cure}"
        ):
            own - operand
    assert own - 1 / lv.b == BatchPolynomial([U]) and own - BatchPolynomial([U]) - 1 / lv.b == 0
    assert own.as_expr(lv.b) == U + 1 / B
    with pytest.raises(InputError, match="variable=u is also a symbol of the polynomial: give linvar.b"):
        own.as_expr()
    weight = BatchPolynomial([0, B])
    with pytest.raises(InputError, match="write the batch size as u for 1/b"):
        weight - 1 / lv.b
    assert weight - BatchPolynomial([B]) * lv.u == 0
    with pytest.raises(InputError, match="variable=x does not stand for the batch size"):
        P.as_expr(sympy.Symbol("x"))


def test_numbers_of_sympy_equal_constants() -> None:
    assert sympy.Rational(1, 2) == BatchPolynomial(["1/2"]) == Fraction(1, 2)
    assert BatchPolynomial([1]) == sympy.Add(sympy.Rational(1, 2), sympy.Rational(1, 2), evaluate=False)
    assert BatchPolynomial([1]) != sympy.Rational(1, 2) and sympy.Integer(1) != BatchPolynomial([1, 1])


def test_divisions_that_are_refused() -> None:
    with pytest.raises(InputTypeError, match="divisor=.* is a polynomial in 1/b: divide by a nonzero exact number"):
        P / P
    with pytest.raises(ZeroDivisionError, match="divisor=0: give a nonzero divisor"):
        P / 0
    with pytest.raises(InputError, match="grows with b"):
        P / lv.u


def test_symbols_of_matrices_in_files_are_checked(tmp_path: Any) -> None:
    M, w = sympy.MatrixSymbol("M", 2, 3), sympy.IndexedBase("w")
    data = BatchPolynomial([M[1, 2] * w[0, 4, 1], sympy.Symbol("a")]).to_dict()
    assert BatchPolynomial.from_dict(json.loads(json.dumps(data))).symbols == (M[1, 2], sympy.Symbol("a"), w[0, 4, 1])
    for symbol in (
        {"matrix": "M", "shape": [2, 2], "entry": [1, 2]}, {"matrix": "M", "shape": [2, 3], "entry": [1]}, {"matrix": 3},
        {"matrix": "M", "shape": [2, "n"], "entry": [1, 2]}, {"indexed": "w", "entry": [-1]}, {"indexed": "w", "entry": []},
        {"indexed": "w", "entry": 3}, {"other": "w", "entry": [1]}, "a", 3, None, {},
        {"matrix": "M", "shape": 3, "entry": [0, 0]},
    ):  # fmt: skip
        with pytest.raises(InputError, match="symbols"):
            BatchPolynomial.from_dict({**data, "symbols": [symbol, "a", data["symbols"][2]]})
