"""proofs/not-always-decreasing.md, data sets of other losses: two points where nothing moves, and something between them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import isqrt
from typing import Any

import pytest
import sympy
from sympy import Matrix, Rational, expand, simplify, symbols

import linvar as lv

c, s, k, kappa, m = symbols("c s k kappa m", positive=True)
#: any direction of rational coordinates
V = Matrix([1 - m**2, 2 * m]) / (1 + m**2)


def squares(residual: Matrix) -> sympy.Expr:
    return sum((entry**2 for entry in residual), sympy.Integer(0)) / 2


#: the loss of the example s v at weights w, and its h
LOSSES: dict[str, tuple[Callable[[Matrix], sympy.Expr], sympy.Expr]] = {
    "power": (lambda w: squares(Matrix([w[0] ** 2 * s - s])), s**2),
    "autoencoder": (lambda w: squares(w * (w.T * s * V) - s * V), s**2),
    "phase_retrieval": (lambda w: squares(Matrix([(w.T * s * V)[0] ** 2 - s**2])), s**4),
}


@pytest.mark.parametrize("name", LOSSES)
def test_three_losses_are_one_cubic_on_a_line(name: str) -> None:
    """(6): the gradient at c v is 2 h (c^3 - c) v, for symbolic c and s and any v (u * u: of one weight)."""
    loss, h = LOSSES[name]
    weights = Matrix(symbols("w:1") if name == "power" else symbols("w:2"))
    direction = Matrix([1]) if name == "power" else V
    here = dict(zip(weights, c * direction))
    for place, weight in enumerate(weights):
        slope = sympy.diff(loss(weights), weight).subs(here)
        assert simplify(slope - 2 * h * (c**3 - c) * direction[place]) == 0
        assert simplify(slope - h * (c**3 - c) * direction[place]) != 0


def test_the_start_lands_at_zero_and_one_and_both_examples_between() -> None:
    """(7) for symbolic k: 1 by the first example, 0 by the second, 1/2 by both, which moves with kappa."""
    start, rate = k / (k - 1), (k - 1) ** 2 / (2 * k * (2 * k - 1))  # h = 1 and k

    def moved(h: sympy.Expr) -> sympy.Expr:
        return simplify(start - 2 * rate * h * (start**3 - start))

    assert (moved(1), moved(k), moved((1 + k) / 2)) == (1, 0, Rational(1, 2))
    of_both = (k - 1) ** 2 * (k + 1) / (2 * k * (2 * k - 1))
    assert simplify(2 * rate * (1 + k) / 2 - of_both) == 0
    assert [of_both.subs(k, 4), of_both.subs(k, 16)] == [Rational(45, 56), Rational(3825, 992)]


def is_square(value: Rational) -> bool:
    """Of a rational."""
    return all(isqrt(part) ** 2 == part for part in (value.p, value.q))


def test_a_rational_weight_never_stops() -> None:
    """(8): where a step leads to 0, 1 or -1, and that no rational is there for k = 4 and 16; it is for kappa = 1/3."""
    after = c - kappa * (c**3 - c)
    assert expand(after - c * (1 + kappa - kappa * c**2)) == 0
    assert expand(after - 1 - (c - 1) * (1 - kappa * (c**2 + c))) == 0
    assert expand(after + 1 - (c + 1) * (1 - kappa * (c**2 - c))) == 0
    for sign in (1, -1):
        assert sympy.discriminant(kappa * (c**2 + sign * c) - 1, c) == kappa**2 + 4 * kappa
    for value in (Rational(45, 56), Rational(3825, 992)):
        assert not is_square(1 + 1 / value) and not is_square(1 + 4 / value)
    assert is_square(1 + 1 / Rational(1, 3)) and after.subs({kappa: Rational(1, 3), c: 2}) == 0


def two_examples(name: str, step: int) -> lv.Problem:
    """Examples v and 2 v, as in the certificates."""
    ratio = 16 if name == "phase_retrieval" else 4
    start, rate = Fraction(ratio, ratio - 1), Fraction((ratio - 1) ** 2, 2 * ratio * (2 * ratio - 1))
    if name == "power":
        return lv.Problem({"u": [start]}, lv.Dataset([[1], [2]], [1, 2]), rate, step, loss=lv.families.power)
    v = (Fraction(3, 5), Fraction(4, 5))
    rows = [[*v], [2 * x for x in v]]
    weights: Any = {"w": [start * x for x in v]}
    if name == "phase_retrieval":
        return lv.Problem(weights, lv.Dataset(rows, [1, 4]), rate, step, loss=lv.families.phase_retrieval)
    return lv.Problem({"W": [weights["w"]]}, lv.Dataset(rows), rate, step, loss=lv.families.autoencoder)


@pytest.mark.parametrize("name", LOSSES)
def test_one_weight_rises_from_zero_at_every_step(name: str) -> None:
    """Zero at b = 1, at least half of the second moment at b = 2; not so at another rate."""
    for step in (1, 2, 3):
        exact = lv.derive(two_examples(name, step))
        assert exact.variance(1) == 0 == exact.second_moment(1)
        assert exact.variance(2) >= exact.second_moment(2) / 2 > 0
    other = lv.gradient_variance(exact.problem.replace(step=1, learning_rate="1/10"))
    assert other(1) > 0 < other(2)


def test_one_layer_has_no_such_points() -> None:
    """Where every example of a regression has no gradient is a flat: with two points, all of their line."""
    x, y = Matrix(lv.symbolic_matrix("x", 2, 2)), symbols("y1 y2")
    left, right, part = Matrix(symbols("l1 l2")), Matrix(symbols("r1 r2")), symbols("lambda")
    between = part * left + (1 - part) * right
    for row, target in zip(range(2), y):
        residuals = [(x[row, :] * w)[0] - target for w in (left, right, between)]
        assert expand(residuals[2] - part * residuals[0] - (1 - part) * residuals[1]) == 0
