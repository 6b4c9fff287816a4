"""proofs/two-layers-rise.md, executed: an error that is skew leaves one example without the highest power of the rate."""

from __future__ import annotations

import sympy
from sympy import Matrix, expand, eye, symbols

import linvar as lv

a, c, u = symbols("a c u")
J = Matrix([[0, 1], [-1, 0]])


def problem(rate: object, teacher: list[list[object]], **more: object) -> lv.Problem:
    """Identity weights, unless others are given."""
    weights = more.pop("weights", [[[1, 0], [0, 1]]] * 2)
    return lv.Problem(weights, lv.Gaussian(teacher), rate, 1)


def test_a_skew_error_leaves_a_determinant() -> None:
    """(1), (2): a step from identity weights; the last term is zero for S = x x^T, and for no other error."""
    s, (x, y) = Matrix([symbols("s11 s12"), symbols("s12 s22")]), symbols("x y")
    error = c * J
    moved = eye(2) - a * error * s
    assert (error * s - error * s * eye(2).T).is_zero_matrix  # both layers have the gradient E S
    after = moved * moved - (eye(2) - error)
    claimed = error - 2 * a * error * s - (a * c) ** 2 * s.det() * eye(2)
    assert (after - claimed).applyfunc(expand).is_zero_matrix
    one = Matrix([[x * x, x * y], [x * y, y * y]])
    assert expand(one.det()) == 0 == expand((one * J * one).norm() ** 2)
    other = symbols("e1:5")
    assert [expand(entry) for entry in one * Matrix(2, 2, other) * one] != [0] * 4


def test_one_example_lacks_the_highest_power_of_the_rate() -> None:
    """(3), (4) for symbols c and the rate: by linvar's derivation."""
    variance = lv.gradient_variance(problem(a, [[1, -c], [c, 1]]))
    whole = sympy.Poly(expand(sum(value * u**k for k, value in enumerate(variance.coefficients))), a)
    highest = 4 * c**6 * u * (1 - u) * (1 + 2 * u) * (84 * u**3 + 145 * u**2 + 77 * u + 14)
    assert whole.degree() == 6 and expand(whole.LC() - highest) == 0
    rise = sympy.Poly(expand(variance(2) - variance(1)), a)
    claimed = 397 * c**4 * a**6 - 18284 * c**2 * a**4 + 1992 * c**2 * a**3 - (78 * c**2 + 312) * a**2 + 48 * a - 12
    assert expand(rise.as_expr() - c**2 * claimed / 2) == 0
    at_1 = rise.subs(c, 1)
    assert at_1.subs(a, 7) > 0 > at_1.subs(a, 6) and sympy.Poly(at_1, a).count_roots(7, None) == 0


def test_more_inputs_hidden_units_and_outputs_rise_too() -> None:
    """Three inputs, another polynomial; a hidden unit and an output of weights zero, the same one."""
    narrow = lv.gradient_variance(problem(10, [[1, -1], [1, 1]]))
    assert (narrow(1), narrow(2)) == (103709532, 211766266) and narrow.decreasing_from() == 2
    wider = [[[1, 0], [0, 1], [0, 0]], [[1, 0, 0], [0, 1, 0], [0, 0, 0]]]
    assert lv.gradient_variance(problem(10, [[1, -1], [1, 1], [0, 0]], weights=wider)) == narrow
    inputs = [[[1, 0, 0], [0, 1, 0]], [[1, 0], [0, 1]]]
    three = lv.gradient_variance(problem(10, [[1, -1, 0], [1, 1, 0]], weights=inputs))
    assert three != narrow and three(1) < three(2) and three.decreasing_from() == 2
    symmetric = lv.gradient_variance(problem(10, [[1, 1], [1, 1]]))
    assert symmetric(1) > symmetric(2)


def test_two_examples_that_are_on_no_line_rise_at_large_rates() -> None:
    """A data set with the same teacher: at b = 1 the variance has degree 4 in the rate, at b = 2 degree 6; on a line it falls."""
    apart, in_line = (lv.Dataset([[1, 0], [1, y]], [[1, 1], [1 - y, 1 + y]]) for y in (1, 0))
    for rows, degrees in ((apart, (4, 6)), (lv.Dataset([[1, 1], [2, 2]], [[0, 2], [0, 4]]), (4, 4))):
        variance = lv.gradient_variance(lv.Problem([[[1, 0], [0, 1]]] * 2, rows, a, 1))
        assert tuple(sympy.Poly(expand(variance(b)), a).degree() for b in (1, 2)) == degrees
    large = lv.gradient_variance(lv.Problem([[[1, 0], [0, 1]]] * 2, apart, 100, 1))
    assert large(1) < large(2)
    assert lv.gradient_variance(lv.Problem([[[1, 0], [0, 1]]] * 2, in_line, 100, 1)) == 0, "one example twice"
