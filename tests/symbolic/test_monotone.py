"""Trends of polynomials in 1/b: against brute force over integers, known roots, SymPy's root counting."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import sympy
from flint import fmpq, fmpq_poly
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar import BatchPolynomial
from linvar.symbolic.algebra.real_roots import isolate

CASES = json.loads((Path(__file__).parents[1] / "reference" / "variance.json").read_text(encoding="utf-8"))["cases"]
#: Widths 1, t = 1: the variance rises from b = 39 to b = 61.
DEPTH_10 = ["-31/50", "-31/50", "-31/50", "-89/50", "77/50", "217/100", "-77/50", "49/25", "-59/50", "59/50"]
U = sympy.Symbol("u")
small = st.fractions(min_value=-9, max_value=9, max_denominator=6)


def brute_force(p: BatchPolynomial, last: int) -> int | None:
    """b_0 by comparing every pair of neighbours up to ``last``."""
    values = p(range(1, last + 1))
    b_0 = None
    for b in range(last - 1, 0, -1):
        if values[b - 1] <= values[b]:
            break
        b_0 = b
    return b_0


def with_slope_zeros(roots: dict[Any, int], **options: Any) -> BatchPolynomial:
    """p with p'(u) = prod (u - 1/b)^m: the slope is zero at these b, m times."""
    slope = sympy.prod([(U - 1 / sympy.sympify(b)) ** m for b, m in roots.items()])
    return BatchPolynomial(sympy.Poly(sympy.integrate(sympy.expand(slope), U), U).all_coeffs()[::-1], **options)


# roots


def sympy_roots(polynomial: fmpq_poly, low: fmpq, high: fmpq) -> int:
    """Distinct real roots strictly between, by SymPy."""
    poly = sympy.Poly([sympy.Rational(int(c.p), int(c.q)) for c in polynomial.coeffs()][::-1], U)
    left, right = sympy.Rational(int(low.p), int(low.q)), sympy.Rational(int(high.p), int(high.q))
    return poly.count_roots(left, right) - sum(poly.eval(end) == 0 for end in (left, right))


@given(st.lists(st.integers(-9, 9), min_size=2, max_size=9).filter(any), small, small)
def test_isolated_roots_are_as_many_as_sympy_counts(coefficients: list[int], low: Fraction, high: Fraction) -> None:
    if low >= high:
        return
    a, b = fmpq(low.numerator, low.denominator), fmpq(high.numerator, high.denominator)
    polynomial = fmpq_poly(coefficients)
    found = isolate(polynomial, a, b, lambda left, right: right - left < fmpq(1, 1000))
    assert len(found) == sympy_roots(polynomial, a, b)
    assert found == sorted(found)
    for left, right in found:
        assert a <= left <= right <= b and right - left < fmpq(1, 1000)
        if left == right:
            assert polynomial(left) == 0
        else:
            assert sympy_roots(polynomial, left, right) == 1
    assert all(one[1] <= other[0] for one, other in zip(found, found[1:]))


def test_roots_10_to_the_minus_40_apart_and_on_dyadic_points() -> None:
    tiny = fmpq(1, 10**40)
    roots = [fmpq(1, 4), fmpq(1, 3), fmpq(1, 3) + tiny, fmpq(1, 2), fmpq(1, 2) + tiny]
    polynomial = fmpq_poly([1])
    for root in roots:
        polynomial *= fmpq_poly([-root, 1]) ** 2
    found = isolate(polynomial, fmpq(0), fmpq(1), lambda left, right: True)
    assert len(found) == 5
    assert all(left <= root <= right for root, (left, right) in zip(roots, found))


def test_roots_at_the_ends_are_outside() -> None:
    polynomial = fmpq_poly([0, 1]) * fmpq_poly([-1, 1]) * fmpq_poly([-1, 2])
    ((left, right),) = isolate(polynomial, fmpq(0), fmpq(1), lambda left, right: right - left < fmpq(1, 8))
    assert left == right == fmpq(1, 2)
    assert isolate(fmpq_poly([3]), fmpq(0), fmpq(1), lambda left, right: True) == []


# b_0


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_references(case: dict[str, Any]) -> None:
    p = BatchPolynomial(case["coefficients_in_u"])
    b_0 = p.decreasing_from()
    assert b_0 is None if not p else b_0 is not None and b_0 < 50 and b_0 == brute_force(p, 60)


@given(st.lists(small, min_size=1, max_size=6))
def test_decreasing_from_is_brute_force(coefficients: list[Fraction]) -> None:
    # turning points may lie far out: beyond b = 400 only the two steps beside b_0, or the last direction, are compared
    p = BatchPolynomial([0, *coefficients])
    b_0 = p.decreasing_from()
    if b_0 is None:
        far = p([10**9, 10**9 + 1])
        assert far[0] <= far[1]
    elif b_0 < 400:
        assert b_0 == brute_force(p, 400)
    else:
        assert p(b_0 - 1) <= p(b_0) and p(b_0) > p(b_0 + 1)


@given(st.lists(small, min_size=1, max_size=5), st.integers(1, 12))
def test_decreasing_from_without_replacement_is_brute_force(coefficients: list[Fraction], n: int) -> None:
    p = BatchPolynomial(coefficients, sampling="without_replacement", dataset_size=n)
    assert p.decreasing_from() == brute_force(p, n)


@given(st.lists(small, min_size=1, max_size=6), st.integers(1, 40), st.integers(1, 40))
def test_is_decreasing_is_brute_force(coefficients: list[Fraction], first: int, steps: int) -> None:
    p = BatchPolynomial([0, *coefficients])
    values = p(range(first, first + steps + 1))
    assert p.is_decreasing(first, first + steps) == all(a > b for a, b in zip(values, values[1:]))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.lists(st.integers(1, 2), min_size=3, max_size=3))
def test_slope_zeros_at_integers_and_multiple_ones(points: list[int], multiplicities: list[int]) -> None:
    for sign in (1, -1):
        p = sign * with_slope_zeros(dict(zip(points, multiplicities)))
        assert p.decreasing_from() == brute_force(p, 60)


# turning points, sign tables


def test_turning_points_of_known_zeros() -> None:
    """Simple zeros turn, double ones do not, triple ones do; those outside (1, infinity) do not count."""
    root = sympy.sqrt(50)  # irrational
    p = with_slope_zeros({root: 1, -root: 1, 3: 2, 12: 3, 1: 1, sympy.Rational(1, 2): 1, -4: 1})
    points = p.turning_points()
    assert {point.kind for point in points} == {"minimum", "maximum"} and len(points) == 2
    assert points[0].low ** 2 < 50 < points[0].high ** 2
    assert points[1].low <= 12 <= points[1].high
    assert all(point.high - point.low < Fraction(1, 1000) for point in points)
    assert float(points[0]) == pytest.approx(50**0.5, abs=1e-3)
    table = p.sign_table()
    assert len(table) == 4  # around 3, sqrt(50) and 12
    assert [row.sign for row in table] in ([1, 1, -1, 1], [-1, -1, 1, -1])
    assert table[0].low == 1 and table[-1].high is None


def test_the_sign_table_says_what_the_values_do() -> None:
    p = with_slope_zeros({sympy.Rational(7, 2): 1, sympy.Rational(21, 2): 1, 30: 2})
    for low, high, sign in p.sign_table():
        inside = [b for b in range(1, 60) if b >= low and (high is None or b <= high)]
        for a, b in zip(inside, inside[1:]):
            assert (p(b) > p(a)) - (p(b) < p(a)) == sign
    turned = -p
    assert [row.sign for row in turned.sign_table()] == [-row.sign for row in p.sign_table()]
    assert [one.kind != other.kind for one, other in zip(p.turning_points(), turned.turning_points())] == [True] * 2


def test_without_replacement_the_domain_ends_at_n() -> None:
    zeros = {3: 1, 20: 1}
    iid, short = with_slope_zeros(zeros), with_slope_zeros(zeros, sampling="without_replacement", dataset_size=10)
    exact = with_slope_zeros(zeros, sampling="without_replacement", dataset_size=20)
    assert [len(p.turning_points()) for p in (iid, short, exact)] == [2, 1, 1]
    assert short.sign_table()[-1].high == 10
    one = BatchPolynomial([1, 2], sampling="without_replacement", dataset_size=1)
    assert one.turning_points() == () and one.sign_table() == ((1, 1, 0),)


def test_constants() -> None:
    for p in (BatchPolynomial([0]), BatchPolynomial([3])):
        assert p.decreasing_from() is None
        assert p.turning_points() == () and p.sign_table() == ((1, None, 0),)
        assert not p.is_decreasing() and not p.is_decreasing(3, 5)
    assert BatchPolynomial([0, -1]).decreasing_from() is None


def test_bad_arguments() -> None:
    p = BatchPolynomial([0, 1])
    with pytest.raises(ValueError, match="from_=4 and to=4: give from_ < to"):
        p.is_decreasing(4, 4)
    with pytest.raises(ValueError, match="batch_size=0"):
        p.is_decreasing(0)
    with pytest.raises(TypeError, match="batch_size=1.5"):
        p.is_decreasing(1, 1.5)
    symbolic = BatchPolynomial([0, sympy.Symbol("a")])
    for call in (symbolic.decreasing_from, symbolic.turning_points, symbolic.sign_table, symbolic.is_decreasing):
        with pytest.raises(ValueError, match="subs"):
            call()


def test_ten_layers_of_width_1_rise_from_39_to_61() -> None:
    weights = [[[entry]] for entry in DEPTH_10]
    variance = lv.gradient_variance(lv.Problem(weights, lv.Gaussian([["-19/100"]]), "57/2000", 1))
    assert variance.degree == 38
    assert variance.decreasing_from() == 61
    falls = [a > b for a, b in zip(variance(range(1, 101)), variance(range(2, 102)))]
    assert [b for b, down in enumerate(falls, 1) if not down] == list(range(39, 61))
    assert variance.is_decreasing(1, 39) and variance.is_decreasing(61) and not variance.is_decreasing(1, 40)
    low, high = variance.turning_points()
    assert 38 < low.low < low.high < 39 and low.kind == "minimum"
    assert 60 < high.low < high.high < 61 and high.kind == "maximum"
    assert [row.sign for row in variance.sign_table()] == [-1, 1, -1]
    assert Fraction(94, 10_000) < variance(61) / variance(39) - 1 < Fraction(96, 10_000)
