"""A polynomial among SymPy expressions: equality, one coefficient, factors, series; whole derivations by hand."""

from __future__ import annotations

import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import strategies
import sympy
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.exact import Rational
from linvar.symbolic.result.polynomial import BatchPolynomial

W, T = sympy.symbols("w T")
M = sympy.MatrixSymbol("M", 2, 2)
SYMBOLIC = BatchPolynomial([W, 2 * W**2 - 2 * T**2, W - T, "1/3"])
small = st.fractions(min_value=-9, max_value=9, max_denominator=6)
numeric = st.lists(small, min_size=1, max_size=6).map(BatchPolynomial)
entries = st.sampled_from([0, 1, -2, "1/3", W, T, W - T, W**2 / 2, W * T + 1, M[0, 1], M[1, 0] - W])
symbolic = st.lists(entries, min_size=1, max_size=4).map(BatchPolynomial)
polynomials = numeric | symbolic
#: an expression that is the same and written otherwise
REWRITTEN: list[Callable[[sympy.Expr], sympy.Expr]] = [
    lambda e: e, sympy.expand, sympy.factor, sympy.together, lambda e: e.subs(lv.u, 1 / lv.b),
    lambda e: sympy.together(e.subs(lv.u, 1 / lv.b)), lambda e: sympy.Add(e, lv.u, sympy.Mul(-1, lv.u), evaluate=False),
]  # fmt: skip


def equal(left: Any, right: Any) -> bool:
    """By == and by !=, from both sides."""
    said = [
        operator.eq(left, right),
        operator.eq(right, left),
        not operator.ne(left, right),
        not operator.ne(right, left),
    ]
    assert all(type(one) is bool for one in said) and len(set(said)) == 1
    return bool(said[0])


@strategies.examples(200)
@given(st.sampled_from(REWRITTEN), polynomials, st.sampled_from([1, lv.u, W, lv.u**3 * W]))
def test_equality_with_an_expression_from_both_sides(rewritten: Any, p: BatchPolynomial, change: Any) -> None:
    expression = rewritten(p.as_expr())
    assert equal(p, expression)
    assert not equal(p, expression + change)


@given(polynomials, polynomials)
def test_operators_with_an_expression_on_either_side_give_a_polynomial(p: BatchPolynomial, q: BatchPolynomial) -> None:
    for operation in (operator.add, operator.sub, operator.mul):
        for expression in (q.as_expr(), q.as_expr(lv.b)):
            for found, expected in (
                (operation(p, expression), operation(p, q)), (operation(expression, p), operation(q, p)),
            ):  # fmt: skip
                assert isinstance(found, BatchPolynomial) and found == expected


@pytest.mark.parametrize(
    "expression",
    [
        lv.b, 18 / lv.u, 1 / (lv.b + 1), sympy.sqrt(lv.u), sympy.exp(lv.u), 2**lv.b, 0.5 * lv.u, sympy.pi, sympy.oo, sympy.nan,
        sympy.I * lv.u, lv.u ** (10**7), (W + T + 1) ** 10**6, sympy.Function("f")(lv.u), sympy.Symbol("A", commutative=False),
        sympy.Piecewise((lv.u, lv.u > 0), (0, True)), sympy.Integral(lv.u, (lv.u, 0, W)), sympy.Derivative(lv.u**2, lv.u),
        sympy.Symbol("w", positive=True), lv.u + sympy.Symbol("u", positive=True), sympy.zoo, sympy.Sum(W, (W, 1, T)), M[T, 0],
    ],
)  # fmt: skip
def test_what_is_no_polynomial_is_unequal_without_an_exception(expression: Any) -> None:
    for p in (SYMBOLIC, BatchPolynomial([0, 1]), BatchPolynomial([W])):
        assert not equal(p, expression)


def test_what_is_no_expression_is_unequal_too() -> None:
    for other in (M, sympy.true, sympy.Matrix([[W]]), sympy.Eq(W, T), "w", None, 0.5, [W], sympy.Tuple(W)):
        assert BatchPolynomial([W]) != other and other != BatchPolynomial([W])


@pytest.mark.parametrize("other", [None, "5", [1]])
def test_an_operator_that_fails_is_named_as_it_was_typed(other: Any) -> None:
    p = BatchPolynomial([0, 1])
    for operation, sign in ((operator.add, "[+]"), (operator.sub, "-"), (operator.truediv, "/")):
        with pytest.raises(TypeError, match=rf"for {sign}: 'BatchPolynomial'"):
            operation(p, other)
    with pytest.raises(TypeError, match="for -: .* and 'BatchPolynomial'"):
        operator.sub(other, p)


def test_a_symbol_of_ones_own_called_u_makes_an_expression_in_u_unequal() -> None:
    """``u`` would have two meanings; 1/b has one."""
    own = BatchPolynomial([lv.u, 1])
    assert own != lv.u + 1 / lv.b and own == BatchPolynomial([lv.u]) + 1 / lv.b
    assert BatchPolynomial([0, 1]) == lv.u == BatchPolynomial([0, 1])


def test_without_replacement_an_expression_is_equal_where_its_values_are() -> None:
    p = BatchPolynomial([0, 1], sampling="without_replacement", dataset_size=2)
    same = lv.u + 5 * (lv.u - 1) * (lv.u - sympy.Rational(1, 2))
    assert p == same and same == p and p != lv.u**2 and BatchPolynomial([0, 1]) != same


def test_no_hash_can_agree_and_an_expression_finds_no_polynomial() -> None:
    p = BatchPolynomial([0, 18, "1/2"])
    forms = [p.as_expr(), p.as_expr(lv.b), p.factor()]
    assert all(p == form for form in forms) and len(set(forms)) == 3  # equal to p, and to one another by value only
    assert hash(p) == hash(BatchPolynomial(["0", 18, Fraction(1, 2)])) and hash(BatchPolynomial(["1/2"])) == hash(
        Fraction(1, 2)
    )


# one coefficient


def test_coefficient() -> None:
    assert [SYMBOLIC.coefficient(k) for k in range(6)] == [*SYMBOLIC.coefficients, 0, 0]
    assert type(SYMBOLIC.coefficient(9)) is type(SYMBOLIC.coefficient(3)) is Rational
    assert SYMBOLIC.coefficient(np.int64(2)) == W - T and BatchPolynomial([0]).coefficient(0) == 0
    assert "coefficients" not in BatchPolynomial([W, 1]).__dict__


@pytest.mark.parametrize("k", [-1, 1.0, "1", None, True, sympy.Symbol("k"), sympy.Rational(1, 2)])
def test_coefficients_that_are_none(k: Any) -> None:
    for call, name in ((SYMBOLIC.coefficient, "k"), (SYMBOLIC.series, "order")):
        with pytest.raises(InputError, match=f"{name}=.*an integer >= 0") as caught:
            call(k)
        assert isinstance(caught.value, InputTypeError) == (k != -1)


# factors


@given(polynomials, polynomials)
def test_factors_multiply_to_the_polynomial_and_are_irreducible(p: BatchPolynomial, q: BatchPolynomial) -> None:
    product = p * q
    for variable in (lv.u, lv.b):
        found = product.factor(variable)
        assert isinstance(found, sympy.Expr) and product == found
        others = {W, T, *product.symbols, variable} - {lv.u, lv.b} | {variable}
        assert found.free_symbols <= {symbol for other in others for symbol in other.free_symbols}
        for factor in sympy.Mul.make_args(found):
            base = factor.as_base_exp()[0]
            assert base.is_Number or len(sympy.factor_list(base)[1]) == 1 and sympy.factor_list(base)[1][0][1] == 1


def test_factors_of_the_smallest() -> None:
    u, b = lv.u, lv.b
    assert [BatchPolynomial([c]).factor() for c in (0, 1, "-1/2")] == [0, 1, sympy.Rational(-1, 2)]
    assert BatchPolynomial([0, 18, "1/2"]).factor() == u * (u + 36) / 2
    assert (
        str(BatchPolynomial([18, "1/2"]).factor()) == "(u + 36)/2"
        and str(BatchPolynomial([18, 18]).factor(b)) == "18*(b + 1)/b"
    )
    assert (
        BatchPolynomial([W**2 - 1, 0]).factor() == (W - 1) * (W + 1) and BatchPolynomial([0, 0, 1]).factor(b) == b**-2
    )
    assert BatchPolynomial([M[0, 1] ** 2, 2 * M[0, 1], 1]).factor() == (u + M[0, 1]) ** 2
    with pytest.raises(InputError, match="variable=u is also a symbol of the polynomial: give linvar.b"):
        BatchPolynomial([u, 1]).factor()
    assert str(BatchPolynomial([u, 1]).factor(b)) == "(b*u + 1)/b"


# series


@given(polynomials, st.integers(0, 7))
def test_series_are_those_of_sympy(p: BatchPolynomial, order: int) -> None:
    whole, found = p.as_expr(), p.series(order)
    left_out = order <= p.degree
    assert (found.getO() is not None) == left_out
    below = sum((whole.coeff(lv.u, k) * lv.u**k for k in range(order)), sympy.Integer(0))
    assert sympy.expand(found.removeO() - (below if left_out else whole)) == 0
    in_b = p.series(order, lv.b)
    assert sympy.expand(in_b.removeO().subs(lv.b, 1 / lv.u) - found.removeO()) == 0
    assert (in_b.getO() is not None) == left_out
    if left_out and order and not p.symbols:
        assert found == whole.series(lv.u, 0, order) or whole.series(lv.u, 0, order).getO() is None
        assert in_b.getO() == sympy.O(lv.b**-order, (lv.b, sympy.oo))


# the whole chain


def test_a_derivation_by_hand_of_two_inputs() -> None:
    """1-2, t = 0, x ~ N(0, diag(s1, s2)): g = e x with e = (w - T)x; E e^2 |x|^2 - |E e x|^2 by Isserlis, over b."""
    w, target, (s1, s2) = lv.symbolic_weights([2, 1])[0], lv.symbolic_matrix("T", 1, 2), sympy.symbols("s1 s2")
    v = lv.gradient_variance(lv.Problem([w], lv.Gaussian(target, covariance=[[s1, 0], [0, s2]])))
    e1, e2 = w - target
    square = s1 * e1**2 + s2 * e2**2  # E e^2
    size = 2 * s1**2 * e1**2 + 2 * s2**2 * e2**2 + (s1 + s2) * square  # E e^2 |x|^2
    assert v == (size - s1**2 * e1**2 - s2**2 * e2**2) / lv.b
    assert v != size / lv.b and v != (size - s1**2 * e1**2) * lv.u
    assert (
        v.coefficient(1) == sympy.expand(size - s1**2 * e1**2 - s2**2 * e2**2)
        and v.coefficient(0) == v.coefficient(2) == 0
    )
    # white noise, one example after another: all factors at a glance
    one = v.subs({"s1": 1, "s2": 1})
    assert one == 3 * (e1**2 + e2**2) / lv.b
    assert str(one.subs({"T_12": 0, "w1_12": 0}).factor()) == "3*u*(T_11 - w1_11)**2"


def test_a_step_of_two_layers_by_hand() -> None:
    """1-1-1, target 0, x ~ N(0, 1), r the rate: G_l = c_l S, S the mean of x^2; Var = (2/b)(c_1^2 + c_2^2) at step 0."""
    w1, w2, r = sympy.symbols("w1 w2 r")
    problem = lv.Problem([[[w1]], [[w2]]], lv.Gaussian([[0]]), r, 1)
    at_start = lv.gradient_variance(lv.Problem([[[w1]], [[w2]]], lv.Gaussian([[0]])))
    assert (w1 * w2) ** 2 * (w1**2 + w2**2) * 2 / lv.b == at_start
    assert at_start.factor() == 2 * lv.u * w1**2 * w2**2 * (w1**2 + w2**2)
    # after a step: weights w_i - r w_1 w_2^2 S (or w_1^2 w_2 S), moments E S^k = prod_{i<k} (1 + 2 i/b)
    S = sympy.Symbol("S")
    a, c = w1 - r * w1 * w2**2 * S, w2 - r * w1**2 * w2 * S

    def mean(expression: Any) -> Any:
        moments = [sympy.prod([1 + 2 * i / lv.b for i in range(k)]) for k in range(9)]
        return sum(value * moments[k] for (k,), value in sympy.Poly(expression, S).terms())

    gradients = (a * c**2, a**2 * c)
    hand = (1 + 2 / lv.b) * mean(sum(g**2 for g in gradients)) - sum(mean(g) ** 2 for g in gradients)
    v = lv.gradient_variance(problem)
    assert v == hand and hand == v and v != hand + r * lv.u
    assert v.series(2).removeO() == v.coefficient(1) * lv.u and v.subs({"r": 0}) == at_start
