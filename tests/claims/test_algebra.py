"""The algebraic steps of proofs/, executed for general symbols; each also shown to notice a wrong step."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import pytest
import sympy
from sympy import Matrix, Rational, Symbol, expand, simplify, symbols

import linvar as lv

b, n, u = symbols("b n u", positive=True)


def matrix(name: str, rows: int, columns: int) -> Matrix:
    """Distinct symbols."""
    return Matrix(lv.symbolic_matrix(name, rows, columns))


def trace_square(m: Matrix) -> sympy.Expr:
    """Squared Frobenius norm."""
    return sum((entry**2 for entry in m), sympy.Integer(0))


# sampling-factor.md


def test_sampling_factor_algebra() -> None:
    """(3): b variances and b(b-1) covariances -1/(n-1), over b^2; (4): with divisor n-1 it is (1/b)(1 - b/n)."""
    factor = (b - b * (b - 1) / (n - 1)) / b**2
    assert simplify(factor - (n - b) / (b * (n - 1))) == 0
    assert simplify(factor * (n - 1) / n - (1 - b / n) / b) == 0
    assert simplify(factor.subs(n, 10**6) - 1 / b).subs(b, 7) != 0
    assert sympy.limit(factor, n, sympy.oo) == 1 / b


def test_sampling_factor_sum_of_products() -> None:
    """(2): centred rows, sum_{i != j} s_i s_j = - sum_i s_i^2, for five symbolic rows."""
    rows = symbols("s1:5")
    rows = (*rows, -sum(rows))
    cross = sum(a * c for i, a in enumerate(rows) for j, c in enumerate(rows) if i != j)
    assert expand(cross + sum(a**2 for a in rows)) == 0


# linear-images.md


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_layer_gradients_are_linear_images(layer: int) -> None:
    """(2): d/dW_l 1/2 ||W_3 W_2 W_1 x - y||^2 = A_l^T (P x - y) x^T B_l^T for symbolic 2-2-2-2."""
    weights = [matrix(f"w{l}", 2, 2) for l in range(3)]
    x, y = matrix("x", 2, 1), matrix("y", 2, 1)
    residual = weights[2] * weights[1] * weights[0] * x - y
    loss = trace_square(residual) / 2
    above, below = sympy.eye(2), sympy.eye(2)
    for l in range(2, layer, -1):
        above = above * weights[l]
    for l in range(layer):
        below = weights[l] * below
    image = above.T * residual * x.T * below.T
    gradient = Matrix(2, 2, lambda i, j: sympy.diff(loss, weights[layer][i, j]))
    assert (gradient - image).applyfunc(expand) == sympy.zeros(2)
    assert (gradient - image.T).applyfunc(expand) != sympy.zeros(2)


# polynomial-in-one-over-b.md


def test_falling_factorials_over_powers_are_polynomials_of_degree_k_minus_1() -> None:
    """(2): b^-k b(b-1)...(b-j+1) = u^(k-j) prod_{i<j} (1 - i u), degree exactly k - 1, for all j <= k <= 9."""
    for k in range(1, 10):
        for j in range(1, k + 1):
            left = sympy.ff(b, j) / b**k
            right = u ** (k - j) * sympy.prod([1 - i * u for i in range(j)])
            assert simplify(sympy.expand_func(left).subs(b, 1 / u) - right) == 0
            assert sympy.Poly(expand(right), u).degree() == k - 1


def test_few_rows_fix_one_polynomial_of_degree_below_n() -> None:
    """(3) and (4): multiples of M_n are what vanishes at b = 1..n; the remainder by it is what linvar returns."""
    for n in range(1, 8):
        points = [Rational(1, k) for k in range(1, n + 1)]
        vanishing = sympy.Poly(sympy.prod(u - point for point in points), u)
        assert all(vanishing.eval(point) == 0 for point in points)
        # no polynomial of degree below n but zero vanishes at n points
        assert sympy.Matrix([[point**k for k in range(n)] for point in points]).det() != 0
    data = lv.Dataset([[1], [-2]], [[1], [0]])
    problem = lv.Problem([[[1]], [[2]]], data, "1/10", 1, "without_replacement")
    variance, m_2 = lv.gradient_variance(problem), (lv.u - 1) * (lv.u - Rational(1, 2))
    assert variance.degree == 1 == variance.degree_bound and variance([1, 2]) != [0, 0]
    added = sympy.Poly(variance.as_expr() + m_2 * (3 + lv.u), lv.u)
    assert sympy.rem(added, sympy.Poly(m_2, lv.u)) == variance.poly
    unreduced = lv.BatchPolynomial(added.all_coeffs()[::-1], sampling="without_replacement", dataset_size=2)
    assert added.degree() == 3 and unreduced == variance


def test_degree_bound_is_the_sum_over_steps() -> None:
    """degree.md (3), for general L at t <= 4: sum_s (2 (2L-1)^(t-s) - 1) is what Problem.degree_bound says."""
    depth = Symbol("L", integer=True, positive=True)
    for t in range(5):
        bound = sum(2 * (2 * depth - 1) ** (t - s) - 1 for s in range(t + 1))
        for value in (1, 2, 3, 4):
            problem = lv.Problem([[[1]]] * value, lv.Gaussian([[2]]), "1/10", t)
            assert problem.degree_bound == bound.subs(depth, value)


@pytest.mark.parametrize("rule", ["plain", "momentum", "nesterov"])
def test_degree_grows_by_2l_minus_1_a_step(rule: str) -> None:
    """degree.md (1): one step multiplies the degree in earlier batches by 2L - 1, for symbolic weights of width 1."""
    ring, s0, s1, a, t, mu, decay, *start = sympy.ring("s0 s1 a T mu d w1 w2 w3", sympy.QQ)
    for depth in (1, 2, 3):
        weights, momenta = start[:depth], [ring.zero] * depth
        for s in (s0, s1):
            full = prod(weights, start=ring.one)
            gradients = [(full - t) * s * prod(weights[:k] + weights[k + 1 :], start=ring.one) for k in range(depth)]
            if rule != "plain":
                gradients = [g + decay * w for g, w in zip(gradients, weights)]
                momenta = [g + mu * m for g, m in zip(gradients, momenta)]
            directions = gradients if rule == "plain" else momenta
            if rule == "nesterov":
                directions = [g + mu * m for g, m in zip(gradients, momenta)]
            weights = [w - a * direction for w, direction in zip(weights, directions)]
        for state in (weights[0], *momenta[: rule != "plain"]):
            assert state.degree(s0) == 2 * depth - 1
            assert state.degree(s1) == 1


# linear-regression.md


def test_noise_of_a_covariance_is_positive_semidefinite() -> None:
    """(4): E[x x^T C x x^T] - H C H = E[(x x^T - H) C (x x^T - H)], three symbolic rows, d = 2, symmetric C."""
    rows = [matrix(f"x{i}", 2, 1) for i in range(3)]
    c11, c12, c22 = symbols("c11 c12 c22")
    c = Matrix([[c11, c12], [c12, c22]])
    squares = [x * x.T for x in rows]
    hessian = sum(squares, sympy.zeros(2)) / 3
    left = sum((s * c * s for s in squares), sympy.zeros(2)) / 3 - hessian * c * hessian
    right = sum(((s - hessian) * c * (s - hessian) for s in squares), sympy.zeros(2)) / 3
    assert (left - right).applyfunc(expand) == sympy.zeros(2)
    assert (left - 2 * right).applyfunc(expand) != sympy.zeros(2)


def test_spread_of_any_affine_step_is_positive_semidefinite() -> None:
    """(6): E[S_i C S_i^T] - S C S^T = E[(S_i - S) C (S_i - S)^T] for three general matrices, not symmetric."""
    c11, c12, c22 = symbols("c11 c12 c22")
    c = Matrix([[c11, c12], [c12, c22]])
    steps = [matrix(f"s{i}", 2, 2) for i in range(3)]
    mean = sum(steps, sympy.zeros(2)) / 3
    left = sum((s * c * s.T for s in steps), sympy.zeros(2)) / 3 - mean * c * mean.T
    right = sum(((s - mean) * c * (s - mean).T for s in steps), sympy.zeros(2)) / 3
    assert (left - right).applyfunc(expand) == sympy.zeros(2)
    assert (left - sum(((s - mean) * c * (s - mean) for s in steps), sympy.zeros(2)) / 3).applyfunc(expand)[0] != 0


def test_covariance_recursion_of_a_step() -> None:
    """(2)-(3): the covariance after a step over all two-example batches of two symbolic rows equals the recursion."""
    x, y, a, w1, w2, p = symbols("x1 x2"), symbols("y1 y2"), *symbols("a w1 w2 p")
    states = [(p, w1), (1 - p, w2)]  # a random weight before the step

    def moments(values: list[tuple[sympy.Expr, sympy.Expr]]) -> tuple[sympy.Expr, sympy.Expr]:
        mean = sum(q * v for q, v in values)
        return mean, expand(sum(q * v**2 for q, v in values) - mean**2)

    mean, covariance = moments(states)
    after = [
        (q / 4, w - a * sum((w * x[i] - y[i]) * x[i] for i in batch) / 2)
        for q, w in states
        for batch in product(range(2), repeat=2)
    ]
    hessian = (x[0] ** 2 + x[1] ** 2) / 2
    gradients = [(mean * xi - yi) * xi for xi, yi in zip(x, y)]
    average = sum(gradients) / 2
    noise = sum(xi**4 * covariance for xi in x) / 2 - hessian**2 * covariance
    noise += sum(g**2 for g in gradients) / 2 - average**2
    c = Rational(1, 2)  # iid, b = 2
    expected = (1 - a * hessian) ** 2 * covariance + a**2 * c * noise
    assert expand(moments(after)[1] - expected) == 0
    assert expand(moments(after)[1] - expected - a**2 * c * noise) != 0


def test_factor_coefficients_of_general_regression_are_sums_of_squares_at_t_1() -> None:
    """(5) at t = 1, one weight, two symbolic rows: coefficients of c, c^2 of the gradient variance are >= 0 forms."""
    x1, x2, y1, y2, a, w, c = symbols("x1 x2 y1 y2 a w c", real=True)
    rows = [(x1, y1), (x2, y2)]
    hessian = (x1**2 + x2**2) / 2

    def spread(weight: sympy.Expr) -> sympy.Expr:
        values = [(weight * x - y) * x for x, y in rows]
        return expand(sum(v**2 for v in values) / 2 - (sum(values) / 2) ** 2)

    noise = (x1**4 + x2**4) / 2 - hessian**2  # = ((x1^2 - x2^2) / 2)^2
    assert expand(noise - ((x1**2 - x2**2) / 2) ** 2) == 0
    covariance = a**2 * c * spread(w)
    moved = w - a * sum((w * x - y) * x for x, y in rows) / 2
    variance = sympy.Poly(expand(hessian**2 * covariance + c * (noise * covariance + spread(moved))), c)
    half = [((wt * x1 - y1) * x1 - (wt * x2 - y2) * x2) / 2 for wt in (w, moved)]
    assert expand(spread(w) - half[0] ** 2) == 0
    coefficients = variance.all_coeffs()[::-1]
    assert expand(coefficients[1] - hessian**2 * a**2 * half[0] ** 2 - half[1] ** 2) == 0
    assert expand(coefficients[2] - noise * a**2 * half[0] ** 2) == 0 and coefficients[0] == 0


# last-step.md


@pytest.mark.parametrize("widths", [(1, 1), (2, 1), (2, 2, 1), (1, 2, 2), (1, 1, 1, 1), (2, 1, 2, 1)])
def test_step_0_closed_form_for_standard_normal_inputs(widths: tuple[int, ...]) -> None:
    """(4): var_0 = u sum_l ( ||A^T E B^T||^2 + ||A^T E||^2 ||B||^2 ), all weights and the teacher symbolic."""
    weights = [Matrix(w) for w in lv.symbolic_weights(widths)]
    teacher = matrix("T", widths[-1], widths[0])
    full = sympy.eye(widths[0])
    for w in weights:
        full = w * full
    error, expected = full - teacher, sympy.Integer(0)
    for l in range(len(weights)):
        above, below = sympy.eye(widths[-1]), sympy.eye(widths[0])
        for k in range(len(weights) - 1, l, -1):
            above = above * weights[k]
        for k in range(l):
            below = weights[k] * below
        expected += trace_square(above.T * error * below.T) + trace_square(above.T * error) * trace_square(below)
    variance = lv.gradient_variance(lv.Problem(weights, lv.Gaussian(teacher)))
    assert variance.degree == 1 and variance.coefficients[0] == 0
    assert expand(variance.coefficients[1] - expected) == 0
    assert expand(variance.coefficients[1] - Rational(3, 2) * expected) != 0


def test_conditional_variance_of_a_mean() -> None:
    """(2): E||G||^2 = ||gbar||^2 + c (E||g||^2 - ||gbar||^2) for iid batches of two from three symbolic gradients."""
    values = symbols("g1:4")
    mean, square = sum(values) / 3, sum(v**2 for v in values) / 3
    average = sum(((p + q) / 2) ** 2 for p, q in product(values, repeat=2)) / 9
    assert expand(average - mean**2 - (square - mean**2) / 2) == 0


# eventually-decreasing.md


def test_the_first_coefficient_decides_near_zero() -> None:
    """(1): p = beta_k u^k + ...: p'(u) / u^(k-1) -> k beta_k as u -> 0, for general coefficients."""
    for k in (1, 2, 5):
        coefficients = symbols(f"beta{k}:{k + 5}")
        p = sum(c * u ** (k + i) for i, c in enumerate(coefficients))
        assert sympy.limit(expand(sympy.diff(p, u) / u ** (k - 1)), u, 0) == k * coefficients[0]


# first-order.md


@pytest.mark.parametrize("rates", [("a",), ("a", 3)])
def test_the_first_coefficient_is_the_delta_method(rates: tuple[str | int, ...]) -> None:
    """(1): x ~ N(0, 1) and 1-1-1: a gradient of one example is x^2 grad L, of covariance 2 grad L grad L^T."""
    start, teacher = (Matrix(symbols("w1 w2")), Symbol("T")) if len(rates) == 1 else (Matrix([1, Rational(1, 2)]), 2)
    steps = [sympy.sympify(rate) for rate in rates]
    weights = Matrix(symbols("v1 v2"))
    loss = (weights[1] * weights[0] - teacher) ** 2 / 2
    gradient = Matrix([sympy.diff(loss, w) for w in weights])
    hessian = gradient.jacobian(weights)
    point, covariance = start, sympy.zeros(2, 2)
    for rate in steps:
        here = dict(zip(weights, point))
        g, h = gradient.subs(here), hessian.subs(here)
        move = sympy.eye(2) - rate * h
        covariance = move * covariance * move.T + rate**2 * 2 * g * g.T
        point, covariance = (point - rate * g).expand(), covariance.expand()
    here = dict(zip(weights, point))
    g, h = gradient.subs(here), hessian.subs(here)
    expected = 2 * trace_square(g) + (h * covariance * h).trace()
    network = [[[start[0]]], [[start[1]]]]
    problem = lv.Problem(network, lv.Gaussian([[teacher]]), list(steps), len(steps))
    exact = lv.gradient_variance(problem).coefficients[1]
    assert expand(exact - expected) == 0
    assert expand(exact - 2 * trace_square(g)) != 0 != expand(expected)


@pytest.mark.parametrize(("power", "order"), [(Rational(31, 10), Rational(31, 20)), (Rational(4), Rational(2))])
def test_the_remainder_needs_more_than_three_derivatives(power: sympy.Rational, order: sympy.Rational) -> None:
    """(2): w^2/2 - x w + |w|^p at t = 1, integrated over w_1 = mean of x ~ N(0, u); beta_1 = 2, remainder u^(p/2)."""
    w = Symbol("w", positive=True)
    density = sympy.exp(-(w**2) / (2 * u)) / sympy.sqrt(2 * sympy.pi * u)
    gradient = w + power * w ** (power - 1)  # odd in w: its square is even, its mean zero
    of_mean = 2 * sum(sympy.integrate(term * density, (w, 0, sympy.oo)) for term in expand(gradient**2).args)
    remainder = simplify(of_mean + u - 2 * u)

    def absolute(p: sympy.Rational) -> sympy.Expr:
        return 2 ** (p / 2) * sympy.gamma((p + 1) / 2) / sympy.sqrt(sympy.pi)  # E|x|^p

    claimed = 2 * power * absolute(power) * u ** (power / 2)
    claimed += power**2 * absolute(2 * power - 2) * u ** (power - 1)
    for b in (1, 100, 10**6):
        assert abs(sympy.N((remainder - claimed).subs(u, Rational(1, b)), 30)) < 1e-20
    tiny = Rational(1, 10**40)
    assert abs(sympy.N((remainder / u**order).subs(u, tiny) / (2 * power * absolute(power)), 20) - 1) < 1e-6
    # a remainder O(u^2) would leave this bounded: it is 10^18 for p = 3.1
    assert (sympy.N((remainder / u**2).subs(u, tiny), 20) > 10**17) == (order < 2)


def delta_method(loss: sympy.Expr, weights: Matrix, start: Matrix, steps: Any, noise: Any) -> Any:
    """(1) and (5): w, C and m at the end, ``noise(here)`` the covariance of one example's gradient."""
    gradient = Matrix([sympy.diff(loss, w) for w in weights])
    hessian, size = gradient.jacobian(weights), len(weights)
    point, covariance, mean = start, sympy.zeros(size, size), sympy.zeros(size, 1)
    for rate in steps:
        here = dict(zip(weights, point))
        bent = Matrix([(sympy.hessian(g, weights).subs(here) * covariance).trace() for g in gradient])
        move = sympy.eye(size) - rate * hessian.subs(here)
        mean = (move * mean - rate / 2 * bent).expand()
        covariance = (move * covariance * move.T + rate**2 * noise(here)).expand()
        point = (point - rate * gradient.subs(here)).expand()
    return point, covariance, mean


@pytest.mark.parametrize("rates", [("a",), ("a", 3)])
def test_the_first_effect_on_means_and_losses(rates: tuple[str | int, ...]) -> None:
    """(5), (6), (7): x ~ N(0, 1) and 1-1-1, as above; at t = 2 the shift is not zero."""
    start, teacher = (Matrix(symbols("w1 w2")), Symbol("T")) if len(rates) == 1 else (Matrix([1, Rational(1, 2)]), 2)
    steps, weights = [sympy.sympify(rate) for rate in rates], Matrix(symbols("v1 v2"))
    loss = (weights[1] * weights[0] - teacher) ** 2 / 2
    slope = Matrix([sympy.diff(loss, w) for w in weights])
    point, covariance, mean = delta_method(
        loss, weights, start, steps, lambda here: 2 * slope.subs(here) * slope.subs(here).T
    )
    here = dict(zip(weights, point))
    g, h = slope.subs(here), slope.jacobian(weights).subs(here)
    bent = Matrix([(sympy.hessian(own, weights).subs(here) * covariance).trace() for own in slope])
    of_loss, of_mean = g.dot(mean) + (h * covariance).trace() / 2, 2 * g.dot(h * mean + bent / 2)
    network = [[[start[0]]], [[start[1]]]]
    exact = lv.derive(lv.Problem(network, lv.Gaussian([[teacher]]), list(steps), len(steps)))
    assert expand(exact.loss.coefficients[1] - of_loss) == 0 != expand(of_loss)
    assert expand(exact.squared_mean.coefficients[1] - of_mean) == 0 != expand(of_mean)
    means = [own.coefficients[1] if own.degree > 0 else 0 for matrix in exact.weights for row in matrix for own in row]
    assert all(expand(own - expected) == 0 for own, expected in zip(means, mean))
    assert expand(exact.loss.coefficients[1] - g.dot(mean)) != 0
    assert (len(rates) == 1) == (mean == sympy.zeros(2, 1))


def test_means_and_losses_of_one_weight_with_general_derivatives() -> None:
    """(5), (6) at t = 2 from w_0 = 0: one example's gradient is g(w) + e (1 + p w), e of cumulants k2, k3, ..., g a cubic."""
    w, a, p = symbols("w a p")
    slopes, values, cumulants = symbols("g0:4"), symbols("f0:4"), symbols("k2:10")
    gradient = sum(own * w**k for k, own in enumerate(slopes))
    target = sum(own * w**k for k, own in enumerate(values))
    first, second = symbols("n0 n1")  # the means of e over the two batches
    after = w
    for noise in (first, second):
        after = expand((w - a * (gradient + noise * (1 + p * w))).subs(w, 0 if noise is first else after))

    moments = [sympy.Integer(1), sympy.Integer(0)]  # of a mean over b: its cumulants are k_j u^(j-1)
    for k in range(2, 10):
        terms = (
            sympy.binomial(k - 1, j - 1) * cumulants[j - 2] * u ** (j - 1) * moments[k - j] for j in range(2, k + 1)
        )
        moments.append(expand(sum(terms)))

    def linear_part(polynomial: sympy.Expr) -> sympy.Expr:
        """The coefficient of u in the expectation."""
        terms = sympy.Poly(polynomial, first, second).terms()
        return sum(own * expand(moments[i] * moments[j]).coeff(u, 1) for (i, j), own in terms)

    loss = sympy.integrate(gradient, w)
    point, covariance, mean = delta_method(
        loss, Matrix([w]), Matrix([0]), [a, a], lambda here: Matrix([[cumulants[0] * (1 + p * here[w]) ** 2]])
    )
    assert expand(linear_part(after) - mean[0]) == 0 != expand(mean[0])
    here = {w: point[0]}
    effect = sympy.diff(target, w).subs(here) * mean[0] + sympy.diff(target, w, 2).subs(here) * covariance[0, 0] / 2
    numbers = dict(zip((*slopes, a, p), (Rational(1, 3), 2, Rational(-3, 2), 1, Rational(1, 5), Rational(1, 2))))
    found = linear_part(expand(target.subs(w, after.subs(numbers))))  # F and the cumulants general, the path in numbers
    assert expand(found - effect.subs(numbers)) == 0 != expand(found)


def test_means_need_more_than_a_lipschitz_third_derivative() -> None:
    """(8): the gradient w + |w|^3 - x, w_1 ~ N(0, u): E w_2 = -E|w_1|^3 is of order u^(3/2), and m_2 = 0."""
    w = Symbol("w", positive=True)
    density = sympy.exp(-(w**2) / (2 * u)) / sympy.sqrt(2 * sympy.pi * u)
    mean = -2 * sympy.integrate(w**3 * density, (w, 0, sympy.oo))
    assert simplify(mean + 2 * sympy.sqrt(2 / sympy.pi) * u ** Rational(3, 2)) == 0
    assert sympy.limit(mean / u, u, 0) == 0 and sympy.limit(mean / u**2, u, 0) == -sympy.oo


# constant-term.md


@pytest.mark.parametrize("depth", [1, 2])
def test_no_constant_term_and_a_root_at_n_for_symbolic_weights(depth: int) -> None:
    """Iid: coefficient 0 of u^0. Without replacement: the value at b = n is 0. One step, weights, rate, decay symbolic."""
    weights, rate, decay = lv.symbolic_weights([1] * (depth + 1)), Symbol("alpha"), Symbol("d")
    data = lv.Dataset([[1], [-2], [3]], [[1], [0], [2]])
    iid = lv.gradient_variance(lv.Problem(weights, data, rate, 1, weight_decay=decay))
    assert iid.coefficients[0] == 0 != iid.coefficients[1]
    without = lv.gradient_variance(lv.Problem(weights, data, rate, 1, "without_replacement", weight_decay=decay))
    assert expand(without(3)) == 0 and expand(without(2)) != 0 and without.coefficients[0] != 0


# flat.md


@pytest.mark.parametrize("rule", [{}, {"momentum": Symbol("mu")}, {"momentum": Symbol("mu"), "nesterov": True}])
def test_identically_zero_for_symbolic_perfect_fits_and_zero_weights(rule: dict[str, Any]) -> None:
    w1, w2, rate, decay = symbols("w1 w2 alpha d")
    noisy = lv.Gaussian([[w1]], noise_variance=Symbol("q"))
    fit = lv.Problem([[[w1]], [[w2]]], lv.Gaussian([[w1 * w2]]), rate, **rule)
    zero = lv.Problem([[[0]], [[0]]], noisy, rate, weight_decay=decay, **rule)
    product = zero.replace(weights=[[[w1]], [[0]], [[0]]])  # above or below each layer
    flat = [one.replace(step=step) for one in (fit, zero, product) for step in (0, 1, 2)]
    flat += [fit.replace(weight_decay=decay), fit.replace(weight_decay=decay, learning_rate=0, step=2)]
    for problem in flat:
        assert lv.gradient_variance(problem) == 0 == lv.gradient_variance(problem, of="update")
    assert lv.gradient_variance(fit.replace(step=1, weight_decay=decay)) != 0
    assert lv.gradient_variance(fit.replace(step=1, law=lv.Gaussian([[w1]]))) != 0
    assert lv.gradient_variance(fit.replace(step=1, law=lv.Gaussian([[w1 * w2]], noise_variance=1))) != 0
    assert lv.gradient_variance(product.replace(weights=[[[w1]], [[0]], [[w2]]])) != 0


def test_weight_decay_moves_a_perfect_fit() -> None:
    """W_1 = I, W_2 = T = diag(1, 2), rate 1/10, decay 1/100: last-step.md (4) at W_l (1 - 1/1000)."""
    eye, two = [[1, 0], [0, 1]], [[1, 0], [0, 2]]
    fit = lv.Problem([eye, two], lv.Gaussian(two), "1/10", 1, weight_decay="1/100")
    shrunk = 1 - Rational(1, 1000)
    w1, w2 = shrunk * Matrix(eye), shrunk * Matrix(two)
    error = w2 * w1 - Matrix(two)
    expected = trace_square(w2.T * error) + trace_square(w2.T * error) * 2  # below W_1: the identity, of norm^2 2
    expected += trace_square(error * w1.T) + trace_square(error) * trace_square(w1)
    assert expected == Rational(131604428802033, 5 * 10**17)
    for road in (lv.Expansion(), lv.Lattice()):
        assert lv.gradient_variance(fit, road).coefficients == (0, expected)
    assert lv.large_batch(fit, order=2).variance.coefficients == (0, expected, 0)
    assert lv.gradient_variance(fit.replace(step=0)) == 0 == lv.gradient_variance(fit.replace(learning_rate=0))
    assert lv.gradient_variance(fit.replace(weight_decay=0)) == 0


# not-always-decreasing.md


def test_hidden_units_of_weight_zero_never_move() -> None:
    """(2): 1-1-1 and 1-2-1 with a unit of weights 0 have the same variance, all else symbolic."""
    w1, w2, t, rate = symbols("w1 w2 T alpha")
    narrow = lv.Problem([[[w1]], [[w2]]], lv.Gaussian([[t]]), rate, 1)
    wide = lv.Problem([[[w1], [0]], [[w2, 0]]], lv.Gaussian([[t]]), rate, 1)
    assert lv.gradient_variance(narrow) == lv.gradient_variance(wide)
    other = lv.Problem([[[w1], [0]], [[w2, 1]]], lv.Gaussian([[t]]), rate, 1)
    assert lv.gradient_variance(narrow) != lv.gradient_variance(other)


def test_scalar_layers_without_targets_move_by_factors() -> None:
    """(3) for symbolic weights; (4): 8/5 is no square; (5): the mean square is 1 at b = m, and below it one later."""
    w1, w2, h, m = symbols("w1 w2 h m")
    loss = h * (w1 * w2) ** 2 / 2
    moved = (w1 - sympy.diff(loss, w1)) * (w2 - sympy.diff(loss, w2))
    assert expand(moved - w1 * w2 * (1 - h * w1**2) * (1 - h * w2**2)) == 0
    assert expand(moved - w1 * w2 * (1 - h * w1**2) ** 2) != 0
    assert expand(moved.subs({w1: 1, w2: 2}) - 2 * (1 - h) * (1 - 4 * h)) == 0
    assert expand(sympy.diff(loss, w1) - h * (w1 * w2) * w2) == 0
    assert sympy.sqrt(Rational(8, 5)).is_rational is False
    h_with = ((b - 1) / 4 + (1 + 3 * m) / 4) / b
    assert simplify(h_with.subs(b, m) - 1) == 0 == simplify(h_with.subs(b, m + 1) - (4 * m + 1) / (4 * m + 4))


# deeper.md


@pytest.mark.parametrize(("widths", "step"), [((1, 1), 1), ((1, 1, 1), 1), ((2, 2), 1), ((1, 2, 2), 1), ((1, 1), 2)])
def test_a_layer_on_top_that_hardly_moves(widths: tuple[int, ...], step: int) -> None:
    """(1): with m I on top, teacher m W* and rate a, terms m^i a^j have i - 2j <= 4; those with 4 are the variance without it."""
    m, rate = symbols("m a")
    weights = [matrix(f"w{l}", height, width) for l, (width, height) in enumerate(zip(widths, widths[1:]))]
    teacher = matrix("T", widths[-1], widths[0])
    if (widths, step) != ((1, 1), 1):  # all symbols take minutes
        values = iter([2, -3, 5, Rational(1, 2), 7, -1, 3, 4, 9, -4, 6, 8])
        *weights, teacher = (one.applyfunc(lambda _: next(values)) for one in (*weights, teacher))
    short = lv.Problem([one.tolist() for one in weights], lv.Gaussian(teacher.tolist()), rate, step)
    top = (m * sympy.eye(widths[-1])).tolist()
    tall = lv.Problem([*(one.tolist() for one in weights), top], lv.Gaussian((m * teacher).tolist()), rate, step)
    before, after = lv.gradient_variance(short), lv.gradient_variance(tall)
    for k in range(1, after.degree + 1):
        terms = sympy.Poly(after.coefficient(k), m, rate).terms()
        assert all(i - 2 * j <= 4 for (i, j), _ in terms)
        leading = sum(coefficient * rate**j for (i, j), coefficient in terms if i - 2 * j == 4)
        assert expand(leading - before.coefficient(k)) == 0
    assert any(i - 2 * j < 4 for (i, j), _ in terms)


# features-of-a-batch.md


def test_fluctuations_of_pivots_carry_all_others() -> None:
    """Three rows of two general coordinates: of the six products and coordinates two vary on their own, at every row."""
    rows = Matrix(lv.symbolic_matrix("z", 3, 2))
    functionals = [lambda x, y: x * x, lambda x, y: x * y, lambda x, y: y * y, lambda x, y: x, lambda x, y: y]
    values = Matrix(3, 5, lambda i, f: functionals[f](*rows[i, :]))
    echelon, pivots = Matrix.hstack(Matrix([1, 1, 1]), values).rref(simplify=True)
    assert pivots == (0, 1, 2)
    means = values.T * Matrix([1, 1, 1]) / 3
    for f, row in product(range(5), range(3)):
        carried = sum(echelon[i, f + 1] * (values[row, v] - means[v]) for i, v in ((1, 0), (2, 1)))
        assert simplify(values[row, f] - means[f] - carried) == 0
    wrong = values[0, 2] - means[2] - echelon[1, 3] * (values[0, 0] - means[0])
    assert simplify(wrong) != 0
