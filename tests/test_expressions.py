"""SymPy expressions at the gate of exact numbers: against Fraction arithmetic, and what is refused for its true reason."""

from __future__ import annotations

import pickle
import time
from fractions import Fraction
from math import comb, floor
from typing import Any

import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.exact import Rational, exact, free_symbols
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.result.polynomial import BatchPolynomial, load_polynomial

X, Y = sympy.symbols("x y")
M = sympy.MatrixSymbol("M", 2, 2)
W = sympy.IndexedBase("w")

# a number, or a polynomial in x and y, beside the same thing in plain Python: {exponents: Fraction}
Pair = tuple[Any, dict[tuple[int, int], Fraction]]


def number(value: Fraction) -> dict[tuple[int, int], Fraction]:
    return {(0, 0): value} if value else {}


def add(a: dict[tuple[int, int], Fraction], b: dict[tuple[int, int], Fraction]) -> dict[tuple[int, int], Fraction]:
    total = {key: a.get(key, Fraction(0)) + b.get(key, Fraction(0)) for key in a | b}
    return {key: value for key, value in total.items() if value}


def multiply(a: dict[tuple[int, int], Fraction], b: dict[tuple[int, int], Fraction]) -> dict[tuple[int, int], Fraction]:
    result: dict[tuple[int, int], Fraction] = {}
    for (i, j), c in a.items():
        for (k, l), d in b.items():
            result = add(result, {(i + k, j + l): c * d})
    return result


def power(a: dict[tuple[int, int], Fraction], exponent: int) -> dict[tuple[int, int], Fraction]:
    if exponent < 0:
        return number(1 / a[0, 0] ** -exponent)
    result = number(Fraction(1))
    for _ in range(exponent):
        result = multiply(result, a)
    return result


fractions = st.one_of(
    st.fractions(min_value=-9, max_value=9, max_denominator=9),
    st.builds(Fraction, st.integers(-(10**25), 10**25), st.integers(1, 10**25)),
)
numbers = fractions.map(lambda value: (sympy.Rational(value.numerator, value.denominator), number(value)))


@st.composite
def combined(draw: st.DrawFn, children: st.SearchStrategy[Pair], functions: bool) -> Pair:
    """A sum, product, power or function of smaller ones, not evaluated by SymPy."""
    (a, p), (b, q) = draw(children), draw(children)
    kind = draw(
        st.sampled_from(["add", "mul", "pow", *(["max", "min", "abs", "floor", "binomial"] if functions else [])])
    )
    if kind == "add":
        return sympy.Add(a, b, evaluate=False), add(p, q)
    if kind == "mul":
        return sympy.Mul(a, b, evaluate=False), multiply(p, q)
    if kind == "pow":
        inverse = bool(p) and set(p) == {(0, 0)}
        exponent = draw(st.integers(-3 if inverse else 0, 3))
        return sympy.Pow(a, sympy.Add(exponent - 1, 1, evaluate=False), evaluate=False), power(p, exponent)
    first, second = (value.get((0, 0), Fraction(0)) for value in (p, q))
    if kind in ("max", "min"):
        function, chosen = (sympy.Max, max) if kind == "max" else (sympy.Min, min)
        return function(a, b, evaluate=False), number(chosen(first, second))
    if kind == "abs":
        return sympy.Abs(a, evaluate=False), number(abs(first))
    if kind == "floor":
        return sympy.floor(a, evaluate=False), number(Fraction(floor(first)))
    n, k = draw(st.integers(0, 40)), draw(st.integers(0, 40))
    return sympy.binomial(sympy.Integer(n), sympy.Integer(k), evaluate=False), number(Fraction(comb(n, k)))


constants = st.recursive(numbers, lambda children: combined(children, True), max_leaves=8)
polynomials = st.recursive(
    st.one_of(numbers, st.sampled_from([(X, {(1, 0): Fraction(1)}), (Y, {(0, 1): Fraction(1)})])),
    lambda children: combined(children, False),
    max_leaves=8,
)


@given(constants)
def test_unevaluated_numbers_are_those_of_fractions(pair: Pair) -> None:
    expression, expected = pair
    result = exact(expression, "w")
    assert isinstance(result, Rational) and result == expected.get((0, 0), 0)


@given(polynomials)
def test_unevaluated_polynomials_are_those_of_fractions(pair: Pair) -> None:
    expression, expected = pair
    result = exact(expression, "w")
    terms = sympy.Poly(sympy.sympify(str(result)) if isinstance(result, Rational) else result, X, Y).terms()
    assert {key: Fraction(int(c.p), int(c.q)) for key, c in terms if c} == expected
    again = exact(sympy.Add(expression, 0, evaluate=False), "w")
    assert again == result and hash(again) == hash(result), "one polynomial has one form"


def test_sums_that_fifteen_digits_do_not_tell_apart() -> None:
    weight = sympy.parse_expr("1 + 1/10**20", evaluate=False)
    assert exact(weight, "w") == 1 + Fraction(1, 10**20)
    assert lv.gradient_variance(lv.Problem([[[weight]]], lv.Gaussian([[1]]))) == BatchPolynomial(
        [0, Fraction(2, 10**40)]
    )
    value = sympy.Add(sympy.Rational(12345678901234567, 98765432109876543), sympy.Rational(1, 3), evaluate=False)
    assert exact(value, "w") == Fraction(12345678901234567, 98765432109876543) + Fraction(1, 3)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (sympy.Pow(4, sympy.Rational(1, 2), evaluate=False), 2),
        (sympy.Pow(sympy.Rational(8, 27), sympy.Rational(-2, 3), evaluate=False), Fraction(9, 4)),
        (sympy.Pow(1, 10**30, evaluate=False), 1),
        (sympy.Pow(-1, 10**30 + 1, evaluate=False), -1),
        (sympy.Pow(X - X, 0, evaluate=False), 1),
        (sympy.Pow(sympy.Add(X, -X, 2, evaluate=False), -1, evaluate=False), Fraction(1, 2)),
        (sympy.sin(0, evaluate=False), 0),
        (sympy.exp(0, evaluate=False), 1),
        (sympy.factorial(30, evaluate=False), 265252859812191058636308480000000),
        (sympy.Mod(7, 3, evaluate=False), 1),
        (sympy.UnevaluatedExpr(sympy.Rational(1, 3)), Fraction(1, 3)),
        ((X + 1) ** 2 - X**2 - 2 * X - 1, 0),
    ],
)
def test_numbers_in_other_forms(expression: Any, expected: Any) -> None:
    result = exact(expression, "w")
    assert isinstance(result, Rational) and result == expected


DEEP = X
for _ in range(3000):
    DEEP = sympy.Add(sympy.Mul(DEEP, 1, evaluate=False), 1, evaluate=False)
SHARED = sympy.Add(3, 5, evaluate=False)
for _ in range(40):
    SHARED = sympy.Mul(SHARED, SHARED, evaluate=False)  # 8^(2^40), in forty nodes


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        (sympy.sqrt(2), r"w=sqrt\(2\) is irrational"),
        (X * sympy.pi, "has the part pi, which is irrational"),
        (sympy.EulerGamma, "is not known to be a rational number"),
        (sympy.sin(1), r"sin\(1\) is not known to be a rational number"),
        (sympy.Pow(-8, sympy.Rational(1, 3)), "which is not real"),
        (sympy.I, "is not real"),
        (sympy.oo, "is no finite number"),
        (sympy.nan, "is no finite number"),
        (sympy.Pow(0, -1, evaluate=False), "is a division by 0"),
        (sympy.Pow(X - X, -1, evaluate=False), "is no finite number|is a division by 0"),
        (1 / X, "is not a polynomial: it divides by symbols"),
        (sympy.sqrt(X), "is not a polynomial: it is a root"),
        (2**X, "is not a polynomial: its exponent has symbols"),
        (sympy.Max(X, 1), "is not a polynomial"),
        (sympy.Function("f")(X), r"f\(x\) is an unknown function"),
        (X + sympy.Symbol("A", commutative=False), "has the part A, which does not commute"),
        (M[0, X], "is at no place given in integers"),
        (sympy.Sum(1 / X, (X, 1, 3)), r"is not known to be .*\.doit\(\)"),
        (sympy.Lambda(X, X), "is not known to be"),
        (sympy.Derivative(X**2, X), r"is not known to be a polynomial .*\.doit\(\)"),
        (sympy.Pow(2, 10**9, evaluate=False), "is a number of about 301,030,000 digits"),
        (sympy.Pow(sympy.Rational(2, 3), -(10**9), evaluate=False), "is a number of about .* digits"),
        (sympy.factorial(10**9, evaluate=False), "is evaluated at arguments up to 20,000 only"),
        (sympy.bell(10**5, evaluate=False), "is evaluated at arguments up to 1,000 only"),
        ((X + Y) ** (10**6), "is too long to be expanded"),
        (X ** (10**30), "has a degree above"),
        (DEEP, "nested too deeply"),
        (SHARED, "digits, more than the 100,000 that are taken"),
    ],
)
def test_what_cannot_be_shown_exact_is_refused_for_its_true_reason(expression: Any, reason: str) -> None:
    start = time.perf_counter()
    with pytest.raises(InputError, match=reason) as caught:
        exact(expression, "w")
    assert time.perf_counter() - start < 10, "the size is looked at before the work"
    message = str(caught.value)
    assert message.startswith("w") and len(message) < 400 and not isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    "value",
    [0.5 * X, sympy.sin(0.5 * X), sympy.Eq(X, 1), sympy.true, sympy.FiniteSet(1), sympy.Tuple(1, 2), M, sympy.Matrix([[1]]),
     sympy.ImmutableMatrix([[1]])],
)  # fmt: skip
def test_what_is_no_number_is_refused_by_type(value: Any) -> None:
    with pytest.raises(InputTypeError, match="weights="):
        exact(value, "weights")


# symbols that are entries of a matrix


def test_entries_of_matrix_symbols_are_symbols_throughout(tmp_path: Any) -> None:
    T = sympy.MatrixSymbol("T", 1, 2)
    weights = [sympy.Matrix(M), sympy.ImmutableMatrix([[M[0, 0], 1]])]
    problem = lv.Problem(weights, lv.Gaussian(sympy.Matrix(T)), learning_rate=W[0])
    assert problem.symbols == (M[0, 0], M[0, 1], M[1, 0], M[1, 1], T[0, 0], T[0, 1], W[0])
    assert lv.Problem([M, [[M[0, 0], 1]]], lv.Gaussian(T), learning_rate=W[0]) == problem
    assert pickle.loads(pickle.dumps(problem)) == problem and hash(problem.replace(step=0)) == hash(problem)
    variance = lv.gradient_variance(problem)
    plain = {symbol: sympy.Symbol(f"s{i}") for i, symbol in enumerate(problem.symbols)}
    with_plain = lv.gradient_variance(
        lv.Problem(
            [matrix.subs(plain) for matrix in weights], lv.Gaussian(sympy.Matrix(T).subs(plain)), W[0].subs(plain)
        )
    )
    assert variance.subs({s: plain[s] for s in variance.symbols}) == with_plain
    numbers = {symbol: i + 1 for i, symbol in enumerate(variance.symbols)}
    value = variance.subs(numbers)(3)
    assert value == variance.subs({str(symbol): i for symbol, i in numbers.items()})(3)
    assert sympy.expand(variance(3)).subs(numbers) == sympy.Rational(value.numerator, value.denominator)
    floats = {str(symbol): float(i) for symbol, i in numbers.items()}
    assert float(variance.to_jax()(3, **floats)) == pytest.approx(float(value), rel=1e-5)  # float32
    variance.save(tmp_path / "v.json")
    copies = (pickle.loads(pickle.dumps(variance)), load_polynomial(tmp_path / "v.json"))
    for copy in copies:
        assert copy == variance and hash(copy) == hash(variance) and copy.symbols == variance.symbols
    assert "M[0, 0]" in repr(BatchPolynomial([M[0, 0] ** 2])) and variance.poly.gen == lv.u
    assert variance - variance.as_expr() == 0


def test_products_of_matrix_symbols_as_weights() -> None:
    product = lv.Problem([M * M], lv.Gaussian([[1, 0], [0, 1]])).weights[0]
    assert product == lv.Problem([(M * M).as_explicit()], lv.Gaussian([[1, 0], [0, 1]])).weights[0]
    n = sympy.Symbol("n")
    with pytest.raises(InputTypeError, match=r"weights\[0\] is of type MatrixSymbol, whose entries are not known"):
        lv.Problem([sympy.MatrixSymbol("M", n, n)], lv.Gaussian([[1]]))
    assert free_symbols([M[0, 1] * X]) == (M[0, 1], X)
    with pytest.raises(InputError, match="two different symbols are both named 'M"):
        free_symbols([M[0, 1], sympy.Symbol("M[0, 1]")])


# expressions are compared as polynomials


def test_a_covariance_is_symmetric_as_polynomials() -> None:
    r = sympy.Symbol("r")
    law = lv.Gaussian([[1, 0]], covariance=[[2, r * (r + 1)], [r + r**2, 2]])
    assert law == lv.Gaussian([[1, 0]], covariance=[[2, r**2 + r], [r * (1 + r), 2]])
    with pytest.raises(InputError, match="covariance is not symmetric"):
        lv.Gaussian([[1, 0]], covariance=[[2, r], [r + 1, 2]])


def test_zeros_and_defaults_in_another_form_are_those() -> None:
    r = sympy.Symbol("r")
    zero = sympy.Add((r + 1) ** 2, -(r**2), -2 * r, -1, evaluate=False)
    one = sympy.Add(zero, 1, evaluate=False)
    plain = lv.Problem([[[2, 1]]], lv.Gaussian([[1, 0]]), "1/10", 1)
    law = lv.Gaussian([[one, zero]], covariance=[[one, zero], [zero, one]], mean=[zero, zero], noise_variance=zero)
    problem = lv.Problem([[[2, 1]]], law, "1/10", 1, momentum=zero, weight_decay=zero)
    assert problem == plain and hash(problem) == hash(plain) and repr(problem) == repr(plain) and problem.plain
    assert exact_law(law).width == 2, "no coordinate for a noise that is zero"
    with pytest.raises(InputError, match="nesterov=True needs momentum="):
        plain.replace(momentum=zero, nesterov=True)
    with pytest.raises(InputError, match="noise_variance=-1 is negative"):
        lv.Gaussian([[1]], noise_variance=sympy.Add(zero, -1, evaluate=False))


# == never raises


class Awkward:
    """Something whose own comparison, text and conversion fail."""

    numerator = property(lambda self: 1 / 0)

    def __repr__(self) -> str:
        raise RuntimeError


def test_equality_never_raises() -> None:
    f = sympy.Function("f")
    others = [f(X), f, M, M[0, 1], sympy.true, sympy.Eq(X, 1), sympy.Symbol("A", commutative=False), sympy.oo, sympy.nan,
              sympy.sqrt(2), 0.5, float("nan"), None, "1", b"1", {1: 2}, {1}, [1], Awkward(), lv.Gaussian([[1]]), SHARED,
              sympy.Pow(0, -1, evaluate=False), sympy.Matrix([[1]])]  # fmt: skip
    expansion = lv.LargeBatchExpansion([X])
    for other in others:
        for ours in (BatchPolynomial([X, 1]), BatchPolynomial([1]), expansion, lv.Problem([[[X]]], lv.Gaussian([[1]]))):
            assert (ours == other, other == ours, ours != other) == (False, False, True)
    assert expansion != lv.LargeBatchExpansion([sympy.Symbol("x", positive=True)])


@pytest.mark.parametrize(
    "other",
    [sympy.Function("f")(X), M, sympy.true, sympy.Symbol("A", commutative=False), sympy.Eq(X, 1), sympy.sqrt(2), 0.5],
)
def test_foreign_operands_are_refused_in_own_words(other: Any) -> None:
    p = BatchPolynomial([X, 1])
    operations = [lambda: p + other, lambda: p - other, lambda: p * other, lambda: p.subs({X: other})]
    if other is not sympy.true:  # SymPy refuses to add to it
        operations.append(lambda: other + p)
    for operation in operations:
        with pytest.raises(InputError, match="operand|x="):
            operation()
    for word, call in {
        "weights": lambda: lv.Problem([[[other]]], lv.Gaussian([[1]])),
        "mean": lambda: lv.Gaussian([[1]], mean=[other]),
        "learning_rate": lambda: lv.Problem([[[1]]], lv.Gaussian([[1]]), other),
    }.items():
        with pytest.raises(InputError, match=word):
            call()
