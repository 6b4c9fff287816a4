"""Published closed forms, reproduced exactly by linvar (proofs/closed-forms.md has the statements and sources)."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

import linvar as lv
from linvar.numeric.regression import regression_curve

U = lv.BatchPolynomial([0, 1])


def scalar(moments: lv.RegressionMoments) -> lv.BatchPolynomial:
    """E (w_t - w*)^2 of one weight."""
    return moments.squared_distance()


# finite-population sampling (Cochran 1977, theorem 2.2)


@pytest.mark.parametrize("size", [2, 3, 5])
def test_finite_population_variance_with_both_divisors(size: int) -> None:
    """(1/b)(n-b)/(n-1) s_n^2 = (1/b)(1 - b/n) s_{n-1}^2, and both equal the average over all subsets."""
    values = [Fraction(i * i + 1, i + 1) for i in range(size)]
    mean = sum(values) / size
    divisor_n = sum((v - mean) ** 2 for v in values) / size
    divisor_n_1 = divisor_n * size / (size - 1)
    # one weight 0 and inputs 1: the gradient of a row is minus its target
    data = lv.Dataset([[1]] * size, values)
    variance = lv.gradient_variance(lv.Problem([[[0]]], data, sampling="without_replacement"))
    for b in range(1, size + 1):
        batches = [sum(batch) / b for batch in combinations(values, b)]
        average = sum((value - mean) ** 2 for value in batches) / len(batches)
        assert variance(b) == average
        assert average == Fraction(size - b, b * (size - 1)) * divisor_n
        assert average == Fraction(1, b) * (1 - Fraction(b, size)) * divisor_n_1


# Bordelon & Pehlevan 2022: L_t = lambda^T A^t v^2 with A = (I - a Lambda)^2 + (a^2/m)(Lambda^2 + lambda lambda^T)


@pytest.mark.parametrize("step", [0, 1, 2, 7])
@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_learning_curve_of_gaussian_features(step: int, batch_size: int) -> None:
    """The expected loss (with our factor 1/2) of features with a diagonal covariance, exactly."""
    eigenvalues, errors, a = [Fraction(2), Fraction(1, 2), Fraction(1, 3)], [1, -2, Fraction(3, 2)], Fraction(1, 7)
    m = Fraction(batch_size)
    squares = [Fraction(e) ** 2 for e in errors]
    for _ in range(step):
        loss = sum(l * s for l, s in zip(eigenvalues, squares))
        squares = [(1 - a * l) ** 2 * s + a**2 / m * (l**2 * s + l * loss) for l, s in zip(eigenvalues, squares)]
    covariance = [[eigenvalues[i] if i == j else 0 for j in range(3)] for i in range(3)]
    problem = lv.Problem([[errors]], lv.Gaussian([[0, 0, 0]], covariance), a, step)
    expected = sum(l * s for l, s in zip(eigenvalues, squares)) / 2
    assert lv.expected_loss(problem)(batch_size) == expected != Fraction(3, 2) * expected


# Ziyin et al. 2022: the stationary covariance with label noise


def test_stationary_variance_of_one_weight_with_label_noise() -> None:
    """x ~ N(0, s), noise variance q: var(w) -> (a q / b) / (2 - a s (1 + 2/b)); the distance falls geometrically."""
    s, q, a = Fraction(3, 2), Fraction(1, 4), Fraction(1, 5)
    law = lv.Gaussian([[1]], [[s]], noise_variance=q)
    for b in (1, 4):
        limit = a * q / b / (2 - a * s * (1 + Fraction(2, b)))
        contraction = 1 - 2 * a * s + a**2 * s**2 * (1 + Fraction(2, b))
        for step in (0, 1, 5, 30):
            distance = scalar(lv.RegressionMoments(lv.Problem([[[3]]], law, a, step)))(b)
            assert distance - limit == contraction**step * (4 - limit)
        assert 0 < contraction < 1  # hence the limit


def test_stationary_covariance_of_isotropic_features_with_label_noise() -> None:
    """x ~ N(0, s I_d): each weight's variance -> (a q / b) / (2 - a s - a s (d+1)/b), here at t = 400 in JAX, d = 3."""
    s, q, a, d, b = 0.5, 0.25, 0.2, 3, 2
    law = lv.Gaussian([[1, 0, 2]], [["1/2" if i == j else 0 for j in range(d)] for i in range(d)], noise_variance="1/4")
    curve = regression_curve(lv.Problem([[[0] * d]], law, "1/5", 400), [b])
    limit = d * (a * q / b) / (2 - a * s - a * s * (d + 1) / b)
    assert curve.weight_variance[0] == pytest.approx(limit, rel=1e-12)
    assert curve.weight_variance[0] != pytest.approx(1.5 * limit, rel=1e-3)


# Mulayoff & Michaeli 2024: the mean-square stability threshold


def moment_map(x: np.ndarray, rate: float, batch_size: int, sampling: str) -> np.ndarray:
    """The map Cov(w) -> Cov(w') of interpolating regression as a d^2 x d^2 matrix, column by column from the recursion."""
    n, d = x.shape
    columns = []
    for index in range(d * d):
        unit = np.zeros(d * d)
        unit[index] = 1
        c = unit.reshape(d, d)
        c = (c + c.T) / 2
        hessian = x.T @ x / n
        factor = (n - batch_size) / (batch_size * (n - 1)) if sampling == "without_replacement" else 1 / batch_size
        noise = np.einsum("ni,nj,nk,jk,nl->il", x, x, x, c, x) / n - hessian @ c @ hessian
        move = np.eye(d) - rate * hessian
        columns.append((move @ c @ move + rate**2 * factor * noise).ravel())
    return np.array(columns).T


@pytest.mark.parametrize("sampling", ["iid", "without_replacement"])
def test_the_mean_square_stability_threshold(sampling: str) -> None:
    """eta* = 2 / lambda_max(C^+ D), C = (H (+) H)/2, D = (1-p) H (x) H + p mean H_i (x) H_i, p our factor c.

    The spectral radius of our moment map is below 1 below eta*, 1 at eta*, above 1 above; and so do the exact moments.
    """
    x = np.array([[1.0, 0.0], [1.0, 1.0], [0.5, -1.0], [2.0, 1.0], [0.0, 1.5]])
    n, b = len(x), 2
    hessian, eye = x.T @ x / n, np.eye(2)
    p = (n - b) / (b * (n - 1)) if sampling == "without_replacement" else 1 / b
    mean_products = sum(np.kron(np.outer(r, r), np.outer(r, r)) for r in x) / n
    c = (np.kron(hessian, eye) + np.kron(eye, hessian)) / 2
    d = (1 - p) * np.kron(hessian, hessian) + p * mean_products
    threshold = 2 / np.max(np.linalg.eigvals(np.linalg.pinv(c) @ d).real)
    radii = [
        np.max(np.abs(np.linalg.eigvals(moment_map(x, scale * threshold, b, sampling)))) for scale in (0.98, 1.0, 1.02)
    ]
    assert radii[0] < 1 < radii[2]
    assert radii[1] == pytest.approx(1, abs=1e-12)
    # targets 0: w* = 0 interpolates; the weight variance dies or explodes
    options = {"inputs": x, "targets": np.zeros(n), "weights": [1.0, 1.0], "sampling": sampling, "step": 1500}
    first, last = (
        regression_curve(None, [b], learning_rate=scale * threshold, **options).weight_variance[0]
        for scale in (0.98, 1.02)
    )
    assert first < 1e-3 < 1e3 < last


# Zhang et al. 2019: the noisy quadratic model


@pytest.mark.parametrize("curvature_root", [1, 2, Fraction(1, 2)])
def test_the_noisy_quadratic_model(curvature_root: Fraction | int) -> None:
    """A constant input r and label noise: curvature h = r^2, gradient noise h q, exactly the model's risk.

    E theta_t^2 = (1 - a h)^{2t} (theta_0^2 - v) + v with v = a h q / (b h (2 - a h)).
    """
    h, q, a = Fraction(curvature_root) ** 2, Fraction(3, 4), Fraction(1, 5)
    law = lv.Gaussian([[1]], [[0]], mean=[curvature_root], noise_variance=q)
    for step in (0, 1, 4, 20):
        moments = lv.RegressionMoments(lv.Problem([[[3]]], law, a, step))
        stationary = a * h * q / (h * (2 - a * h)) * U
        assert moments.squared_distance([[1]]) == (1 - a * h) ** (2 * step) * (4 - stationary) + stationary
        assert moments.expected_loss() == h * moments.squared_distance([[1]]) / 2 + q / 2


# McCandlish et al. 2018: the gradient noise scale


def test_the_noise_scale_is_the_first_order_truth() -> None:
    """t = 0: E||G||^2 = ||g||^2 (1 + B/b) with B = tr Cov(g_i) / ||g||^2, exactly. Given only w_0 it has an error at t = 1."""
    weights, law = [[[1, 0], [1, 1]], [[1, 1], [0, 1]]], lv.Gaussian([[1, 0], [0, 2]])
    start = lv.Problem(weights, law, "1/10", 0)
    scale = lv.gradient_variance(start).coefficients[1] / lv.squared_mean(start).coefficients[0]
    assert lv.second_moment(start) == lv.squared_mean(start) * (1 + scale * U)
    later = start.replace(step=1)
    second = lv.second_moment(later)
    first = lv.BatchPolynomial(second.coefficients[:2])  # ||g||^2 (1 + B/b), B its first-order truth
    error = second - first
    assert error.coefficients[:2] == (0, 0) and error.degree == 6
    relative = [float(error(b) / second(b)) for b in (1, 4, 16, 64)]
    assert relative[0] > 0.2 and all(a > b for a, b in zip(relative, relative[1:]))
    assert [error(b) * b**2 for b in (10**6, 10**9)] == pytest.approx([float(error.coefficients[2])] * 2, rel=1e-5)
