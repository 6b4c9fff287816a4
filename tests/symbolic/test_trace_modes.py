"""Formulas in traces of aligned weights: equal to those of the matrices, in any bases; and the limit of large widths."""

from __future__ import annotations

from fractions import Fraction
from math import comb, factorial
from typing import Any

import numpy as np
import pytest
import sympy

import linvar as lv
from linvar import matrices
from linvar.symbolic.traces.formula import trace_formula

s, c, n, q, alpha, v, z, d = sympy.symbols("s c n q alpha v z d")

FORMULAS = [
    {}, {"quantity": "second_moment"}, {"quantity": "loss"}, {"quantity": "squared_mean", "order": 3}, {"step": 0},
    {"depth": 1}, {"depth": 3, "step": 0}, {"depth": 3, "order": 1, "quantity": "loss"},
]  # fmt: skip


def diagonal(entries: Any, rows: int, columns: int) -> list[list[Any]]:
    """A matrix with these on its diagonal."""
    return [[entries[i] if i == j and i < len(entries) else 0 for j in range(columns)] for i in range(rows)]


def reflection(size: int, shift: int) -> list[list[Fraction]]:
    """A rational orthogonal matrix without zeros: 1 - 2 x x^T/|x|^2, x = (1, 2, ...) + shift."""
    x = [Fraction(i + 1 + shift) for i in range(size)]
    return [[(i == j) - 2 * a * b / sum(y * y for y in x) for j, b in enumerate(x)] for i, a in enumerate(x)]


def turned(weights: list[Any], teacher: Any, sigma: Any) -> tuple[list[Any], Any, Any]:
    """The same in other orthogonal bases of the inputs, of every layer and of the outputs."""
    product, transpose = matrices.product, matrices.transpose
    bases = [reflection(len(weights[0][0]), 0), *(reflection(len(weight), l + 1) for l, weight in enumerate(weights))]
    layers = [product(product(bases[l + 1], weight), transpose(bases[l])) for l, weight in enumerate(weights)]
    target = product(product(bases[-1], teacher), transpose(bases[0]))
    return layers, target, product(product(bases[0], sigma), transpose(bases[0]))


def problem(
    options: dict[str, Any], weights: Any, teacher: Any, sigma: Any, noise: Any = 0, rate: Any = alpha
) -> lv.Problem:
    law = lv.Gaussian(teacher, covariance=sigma, noise_variance=noise)
    return lv.Problem(weights, law, rate, options.get("step", 1))


def polynomial(value: Any) -> lv.BatchPolynomial:
    """An expression in u, a polynomial or an expansion, as a polynomial."""
    if isinstance(value, lv.LargeBatchExpansion):
        return lv.BatchPolynomial(value.coefficients)
    return lv.BatchPolynomial([0]) + value


def at(value: Any, numbers: dict[Any, Any]) -> lv.BatchPolynomial:
    """The same with numbers in place of symbols."""
    found = polynomial(value)
    return found.subs({symbol: number for symbol, number in numbers.items() if symbol in found.symbols})


@pytest.mark.parametrize("options", FORMULAS, ids=str)
def test_isotropic_is_the_formula_at_every_width(options: dict[str, Any]) -> None:
    """n = 1, 2, 3, W_1 with more inputs too, in bases that are turned: equal to the matrices' value."""
    formula = trace_formula(**options)
    found, wide = formula.isotropic(), formula.isotropic(inputs=d)
    assert found.free_symbols <= {s, c, n, alpha, lv.u} and found != 0
    for size, inputs, scale, target in [(1, 1, "1/2", 3), (2, 2, "-2/3", "1/5"), (3, 3, "3/2", -1), (2, 3, 1, "1/2")]:
        value, aim = Fraction(scale), Fraction(target)
        layers = [diagonal([value] * size, size, inputs)] + [diagonal([value] * size, size, size)] * (formula.depth - 1)
        matrix = turned(layers, diagonal([aim] * size, size, inputs), diagonal([1] * inputs, inputs, inputs))
        exact = polynomial(formula(problem(options, *matrix)))
        numbers = {s: value, c: aim, n: size}
        assert at(wide, {**numbers, d: inputs}) == exact != at(wide, {**numbers, d: inputs + 1})
        assert inputs != size or at(found, numbers) == exact
        assert polynomial(formula.isotropic(scale, target, size, inputs=inputs)) == exact


def test_isotropic_with_scales_covariance_and_noise() -> None:
    formula = trace_formula(covariance="general", weight_decay=True)
    t, kept = sympy.symbols("t kept")
    found = formula.isotropic([s, t], covariance=z, noise_variance=v)
    law = lv.Gaussian([[3, 0], [0, 3]], covariance=[[4, 0], [0, 4]], noise_variance="1/3")
    exact = formula(lv.Problem([diagonal([2, 2], 2, 2), diagonal([-1, -1], 2, 2)], law, "1/10", 1, weight_decay="1/2"))
    numbers = {s: 2, t: -1, c: 3, z: 4, v: "1/3", n: 2, alpha: "1/10", kept: "19/20"}
    assert at(found, numbers) == exact != at(found, {**numbers, v: 1})
    several = trace_formula(layer_rates=True, order=1)
    a, b = sympy.symbols("alpha_1 alpha_2")
    assert at(several.isotropic(), {a: alpha, b: alpha}) == polynomial(trace_formula(order=1).isotropic())


def test_layers_add_up_where_everything_is_aligned() -> None:
    formula = trace_formula()
    first, second = (polynomial(one.isotropic()) for one in formula.per_leaf)
    assert first + second == polynomial(formula.isotropic()) and first != second
    assert sympy.expand(sum(one.proportional_limit() for one in formula.per_leaf) - formula.proportional_limit()) == 0


def test_the_first_coefficient_is_in_proportion_to_n_times_n_plus_1() -> None:
    first = sympy.expand(trace_formula(order=1).isotropic()).coeff(lv.u, 1)
    assert sympy.rem(first, n * (n + 1), n) == 0
    assert sympy.expand(first.subs(alpha, 0) - 2 * n * (n + 1) * s**2 * (s**2 - c) ** 2) == 0


# aligned

CASES: list[Any] = [
    # singular values of the layers, teacher, widths, eigenvalues of Sigma or one of them, noise
    ([["1/2", 3], ["-2/3", 1]], [1, 2], (2, 2, 2), 1, 0),
    ([["1/2", 3], [2]], [5], (3, 2, 1), 1, 0),
    ([[2], [1]], [1, 4], (2, 1, 3), 1, 0),
    ([[2, 3], [1, 1]], [1, 4], (4, 3, 2), [1, "1/2", 3, 5], "1/3"),
    ([["1/2"], [3]], [2], (2, 2, 3), [2, "1/7"], 2),
    ([[1, 2], [3]], ["1/2"], (2, 3, 1), 4, "1/5"),
    ([["1/2", 1, -1], [0, 2, 1]], [0, 1, 3], (3, 3, 3), [1, 2, 3], 0),
]


@pytest.mark.parametrize(("values", "teacher", "widths", "sigma", "noise"), CASES)
@pytest.mark.parametrize("quantity", ["variance", "loss"])
def test_aligned_is_the_formula_of_diagonal_matrices(
    values: Any, teacher: Any, widths: tuple[int, ...], sigma: Any, noise: Any, quantity: str
) -> None:
    """By ==, and of the same matrices in other bases."""
    general = sigma != 1 or noise != 0
    options = {"quantity": quantity, "covariance": "general" if general else "identity"}
    formula, inputs = trace_formula(**options), widths[0]
    layers = [diagonal(list(map(Fraction, row)), *shape) for row, shape in zip(values, zip(widths[1:], widths))]
    target = diagonal(list(map(Fraction, teacher)), widths[-1], inputs)
    eigenvalues = [Fraction(one) for one in sigma] if isinstance(sigma, list) else [Fraction(sigma)] * inputs
    matrix = layers, target, diagonal(eigenvalues, inputs, inputs)
    found = formula.aligned(values, teacher, inputs=inputs, outputs=widths[-1], covariance=sigma, noise_variance=noise)
    assert found == formula(problem(options, *matrix, noise)) and found != 0
    assert found == formula(problem(options, *turned(*matrix), noise))
    question = {"variance": lv.gradient_variance, "loss": lv.expected_loss}[quantity]
    assert found.subs({alpha: "1/10"}) == question(problem(options, *matrix, noise, "1/10"))


@pytest.mark.parametrize("depth", [1, 3])
def test_aligned_layers_of_other_depths_up_to_an_order(depth: int) -> None:
    formula = trace_formula(depth=depth, order=1, quantity="loss", covariance="general")
    values = [[2, "1/3"], ["1/2", 1], [1, -1]][:depth]
    weights = [diagonal(list(map(Fraction, row)), 2, 2) for row in values]
    exact = formula(problem({}, weights, [[1, 0], [0, 2]], [[3, 0], [0, 1]], "1/2"))
    assert formula.aligned(values, [1, 2], covariance=[3, 1], noise_variance="1/2") == exact


def test_symbols_are_modes_and_widths() -> None:
    """Equal to the problem's value when numbers take their places; widths may be symbols."""
    t, e = sympy.symbols("t e")
    formula = trace_formula(covariance="general", order=2)
    found = formula.aligned([[s, t], [t, 1]], [c, e], inputs=d, outputs=n, covariance=z, noise_variance=v)
    assert set(found.symbols) == {s, t, c, e, d, n, z, v, alpha}
    numbers = {s: 2, t: 3, c: 1, e: -1, d: 4, n: 3, z: 2, v: 5}
    exact = formula.aligned([[2, 3], [3, 1]], [1, -1], inputs=4, outputs=3, covariance=2, noise_variance=5)
    assert at(found, numbers) == polynomial(exact)
    weights = [diagonal([2, 3], 2, 4), diagonal([3, 1], 3, 2)]
    assert exact == formula(problem({}, weights, diagonal([1, -1], 3, 4), diagonal([2] * 4, 4, 4), 5))


def test_a_mode_of_multiplicity_is_as_many_modes() -> None:
    formula = trace_formula()
    many = formula.aligned([["1/2"] * 50, [2] * 50], [3] * 50)
    assert many == polynomial(formula.isotropic(["1/2", 2], 3, 50))
    table = formula.table([np.eye(50) / 2, 2 * np.eye(50)], 3 * np.eye(50))
    np.testing.assert_allclose(table(0.1, [1, 8]), [float(many.subs({alpha: "1/10"})(b)) for b in (1, 8)], rtol=1e-12)


# the proportional limit


@pytest.mark.parametrize(
    "options", [{}, {"quantity": "second_moment"}, {"quantity": "squared_mean"}, {"quantity": "loss"}], ids=str
)
@pytest.mark.parametrize("aspect", [1, 2])
def test_the_limit_is_the_leading_coefficient_of_matrices(options: dict[str, Any], aspect: int) -> None:
    """Values of the problem at n = 1, 2, ...: the coefficient of (1/b)^k is a polynomial in n of degree <= k + 1, and its leading
    coefficient by differences is that of q^k."""
    formula, rate = trace_formula(**options), Fraction(1, 10)
    scale, target = Fraction(3, 2), Fraction(-1, 3)
    most = formula.degree + 3
    values = []
    for size in range(1, most + 1):
        layers = [diagonal([scale] * size, size, aspect * size), diagonal([scale] * size, size, size)]
        one = diagonal([1] * aspect * size, aspect * size, aspect * size)
        matrix = layers, diagonal([target] * size, size, aspect * size), one
        values.append([*formula(problem(options, *matrix, rate=rate)).coefficients, *[Fraction(0)] * most])
    limit = formula.proportional_limit(scale, target, aspect=aspect).subs(alpha, sympy.Rational(rate))
    numbers = {s: sympy.Rational(scale), c: sympy.Rational(target), alpha: sympy.Rational(rate)}
    assert sympy.expand(formula.proportional_limit(aspect=aspect).subs(numbers) - limit) == 0
    found = sympy.Poly(limit, q)
    assert found.degree() == formula.degree
    for k in range(formula.degree + 1):
        row = [value[k] for value in values]
        top, beyond = (sum((-1) ** (m - i) * comb(m, i) * row[i] for i in range(m + 1)) for m in (k + 1, k + 2))
        assert beyond == 0 and found.coeff_monomial(q**k) == sympy.Rational(top / factorial(k + 1))


def test_the_limit_is_approached() -> None:
    """f/n at n/b = q, with covariance and label noise, from n = 10^3 and 10^6: the distance falls like 1/n."""
    formula = trace_formula(covariance="general")
    arguments = {"covariance": 2, "noise_variance": "1/3"}
    limit = formula.proportional_limit("1/2", 2, **arguments).subs({q: 3, alpha: sympy.Rational(1, 10)})
    away = []
    for width in (10**3, 10**6):
        value = formula.isotropic("1/2", 2, width, **arguments)
        away.append(value.subs({lv.u: sympy.Rational(3, width), alpha: sympy.Rational(1, 10)}) / width - limit)
    assert limit > 0 and abs(away[1] / away[0] * 1000 - 1) < sympy.Rational(1, 10)


# what is refused


def test_arguments_that_do_not_fit_are_refused() -> None:
    formula, general = trace_formula(), trace_formula(covariance="general")
    for call, message in [
        (lambda: formula.aligned([[1]], [1]), r"singular_values=\[\[1\]\] is no such list: give a list with an entry for each"),
        (lambda: formula.aligned([[1], []], [1]), r"singular_values\[1\] is empty"),
        (lambda: formula.aligned([[1], [0.5]], [1]), r"singular_values\[1\]\[0\]=0.5 is of type float"),
        (lambda: formula.aligned([[1], [1]], 1), "teacher"),
        (lambda: formula.aligned([[1, 1], [1]], [1], inputs=1), r"inputs=1 is no such width: give an integer >= 2, or a symbol"),
        (lambda: formula.aligned([[1], [1]], [1], outputs="5/2"), r"outputs=5/2 is no such width"),
        (lambda: formula.aligned([[1], [1]], [1], covariance=2), 'covariance is given to a formula.*covariance="general"'),
        (lambda: formula.aligned([[1], [1]], [1], noise_variance=v), "noise_variance is given to a formula for the identity"),
        (lambda: general.aligned([[1], [1]], [1], covariance=[1, 2], inputs=3), "covariance has 2 eigenvalues for inputs=3"),
        (lambda: formula.isotropic([1]), r"scales=\[1\] is no such list"),
        (lambda: formula.isotropic(0.5), "scales=0.5 is of type float"),
        (lambda: formula.isotropic(width="1/2"), "width=1/2 is no such width: give an integer >= 1"),
        (lambda: formula.isotropic(width=3, inputs=2), "inputs=2 is no such width: give an integer >= 3"),
        (lambda: formula.isotropic(lv.u), "u is a symbol of an argument: rename it"),
        (lambda: formula.isotropic(covariance=2), "covariance is given to a formula for the identity"),
        (lambda: formula.proportional_limit(n), "n is a symbol of an argument: rename it"),
        (lambda: formula.proportional_limit(teacher=q), "q is a symbol of an argument: rename it"),
        (lambda: formula.proportional_limit(aspect="1/2"), "aspect=1/2 is too small: give d_0/n, >= 1"),
    ]:  # fmt: skip
        with pytest.raises(lv.InputError, match=message):
            call()
