"""proofs/linear-regression.md for gradients H_i w - k_i, H_i any matrix: symbols, then every batch, in fractions."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import oracles
import pytest
from flint import fmpq_mpoly_ctx

import linvar as lv
from linvar.laws.semidefinite import independent_columns, negative_row

#: of numbers or polynomials
Array = np.ndarray
#: H_i and k_i of every example
Examples = list[tuple[Array, Array]]


def filled(rows: list[list[Any]]) -> Array:
    """An array of objects; NumPy would take polynomials apart."""
    found = np.empty((len(rows), len(rows[0])), dtype=object)
    for i, row in enumerate(rows):
        found[i, :] = row
    return found


def exact(rows: list[list[Any]]) -> Array:
    """An array of fractions."""
    return filled([[Fraction(entry) for entry in row] for row in rows])


def average(of: list[Array]) -> Array:
    return sum(of[1:], of[0]) * Fraction(1, len(of))


def spread(examples: Examples, covariance: Array) -> Array:
    """E (H_i - H) C (H_i - H)^T: what the covariance of the weights adds to the noise."""
    mean = average([h for h, _ in examples])
    return average([(h - mean) @ covariance @ (h - mean).T for h, _ in examples])


def noise(examples: Examples, at: Array) -> Array:
    """Cov_i(H_i m - k_i)."""
    values = [h @ at - k for h, k in examples]
    mean = average(values)
    return average([(g - mean) @ (g - mean).T for g in values])


def test_covariance_of_a_step_of_any_affine_gradients() -> None:
    """(1), (2) with V of (3), (4): two examples of general H_i, k_i, a random state, all batches of two, in symbols."""
    ring = fmpq_mpoly_ctx.get([f"x{i}" for i in range(18)])
    x = iter(ring.gens())

    def entries(rows: int, columns: int) -> Array:
        return filled([[next(x) for _ in range(columns)] for _ in range(rows)])

    first, second = ((entries(2, 2), entries(2, 1)) for _ in range(2))
    a, chance = entries(1, 1), entries(1, 1)  # NumPy would take a polynomial for a sequence
    states = [(chance, entries(2, 1)), (1 - chance, entries(2, 1))]

    def covariance(values: list[tuple[Array, Array]]) -> Array:
        mean = sum(p * v for p, v in values)
        return sum(p * (v @ v.T) for p, v in values) - mean @ mean.T

    after, gradients = [], []
    for (p, w), one, other in product(states, (first, second), (first, second)):
        g = (one[0] @ w - one[1] + other[0] @ w - other[1]) / 2
        after.append((p / 4, w - a * g))
        gradients.append((p / 4, g))
    c, m = covariance(states), sum(p * w for p, w in states)
    mean_h, apart = (first[0] + second[0]) / 2, (first[0] - second[0]) / 2
    half = (
        first[0] @ m - first[1] - second[0] @ m + second[1]
    ) / 2  # of two: E (g - mean)^2 is that of half of g_1 - g_2
    v = apart @ c @ apart.T + half @ half.T
    step = filled([[ring.constant(int(i == j)) for j in range(2)] for i in range(2)]) - a * mean_h
    assert (covariance(gradients) == mean_h @ c @ mean_h.T + v / 2).all()
    assert (covariance(after) == step @ c @ step.T + a**2 * v / 2).all()
    assert (covariance(after) != step @ c @ step + a**2 * v / 2).any(), "H_i is not symmetric"


# numbers


def augmented(examples: Examples, rule: dict[str, Any], rate: Fraction) -> Examples:
    """The step of weights and momenta, (w, v) -> S_i (w, v) + r_i, as the pairs (S_i, -r_i)."""
    mu, decay = (Fraction(rule.get(key, 0)) for key in ("momentum", "weight_decay"))
    eye = exact([[int(i == j) for j in range(2)] for i in range(2)])
    found = []
    for h, k in examples:
        d = h + decay * eye  # the direction is d w - k, its momentum v' = d w - k + mu v
        if rule.get("nesterov"):
            w_row, shift = [eye - rate * (1 + mu) * d, -rate * mu * mu * eye], -rate * (1 + mu) * k
        else:
            w_row, shift = [eye - rate * d, -rate * mu * eye], -rate * k
        found.append((np.block([w_row, [d, mu * eye]]), np.block([[shift], [k]])))
    return found


def coefficients(examples: Examples, rule: dict[str, Any], rates: list[Fraction], start: Array) -> list[list[Array]]:
    """Coefficients in c of Cov(g_t), t = 0, 1, ..., by (5) and (6)."""
    state, covariances = (
        np.block([[start], [0 * start]]),
        [np.block([[start], [start]]) @ np.zeros((1, 4), dtype=object)],
    )
    mean_h, found = average([h for h, _ in examples]), []
    for rate in [*rates, None]:
        weights = [m[:2, :2] for m in covariances]
        terms = [mean_h @ m @ mean_h.T for m in weights] + [0 * weights[0]]
        for k, m in enumerate(weights):
            terms[k + 1] = terms[k + 1] + spread(examples, m)
        terms[1] = terms[1] + noise(examples, state[:2])
        found.append(terms)
        if rate is not None:
            steps = augmented(examples, rule, rate)
            mean = average([s for s, _ in steps])
            moved = [mean @ m @ mean.T for m in covariances] + [0 * covariances[0]]
            for k, m in enumerate(covariances):
                moved[k + 1] = moved[k + 1] + spread(steps, m)
            moved[1] = moved[1] + noise(steps, state)
            state = mean @ state - average([r for _, r in steps])
            covariances = moved
    return found


def enumerated(
    examples: Examples, rule: dict[str, Any], rates: list[Fraction], start: Array, b: int, sampling: str
) -> Array:
    """Cov(g_t) over every sequence of batches; weights and momenta as optax moves them."""
    mu, decay = (Fraction(rule.get(key, 0)) for key in ("momentum", "weight_decay"))
    batches = oracles.all_batches([*range(len(examples))], b, sampling)
    states = {((*start[:, 0],), (Fraction(0), Fraction(0))): Fraction(1)}

    def gradient(w: Array, rows: Any) -> Array:
        return average([examples[i][0] @ w - examples[i][1] for i in rows])

    for rate in rates:
        after: dict[Any, Fraction] = defaultdict(Fraction)
        for (flat, momenta), p in states.items():
            w, v = (exact([[entry] for entry in part]) for part in (flat, momenta))
            for rows, chance in batches:
                direction = gradient(w, rows) + decay * w
                trace = direction + mu * v
                moved = w - rate * (direction + mu * trace if rule.get("nesterov") else trace)
                after[(*moved[:, 0],), (*trace[:, 0],)] += p * chance
        states = after
    ends = [
        (p * chance, gradient(exact([[entry] for entry in flat]), rows))
        for (flat, _), p in states.items()
        for rows, chance in batches
    ]
    mean = sum(p * g for p, g in ends)
    return sum(p * (g @ g.T) for p, g in ends) - mean @ mean.T


def of_features(phi: Any, after: Any, reward: Any) -> tuple[Array, Array]:
    """TD(0): phi (phi - after/2)^T w - reward phi, which is no gradient of anything."""
    x, y = exact([phi]).T, exact([after]).T
    return x @ (x - Fraction(1, 2) * y).T, Fraction(reward) * x


EXAMPLES: dict[str, Examples] = {
    "any": [
        (exact([[1, -2], ["1/2", 0]]), exact([[1], [2]])),
        (exact([[0, 1], [-1, 3]]), exact([[-1], ["1/3"]])),
        (exact([[2, "1/4"], [0, -1]]), exact([[0], [1]])),
    ],
    "temporal differences": [of_features([1, 0], [0, 1], 1), of_features([1, 1], [1, 0], "-1/2"), of_features([0, 2], [1, 1], 2)],
    "a game": [  # x descends, y ascends: x^2/2 + p x y - y^2/4 + q x
        (exact([[1, p], [-p, "1/2"]]), exact([[-q], [0]])) for p, q in ((1, 1), (-2, 3), (4, 0))
    ],
    "noisy quadratic": [(exact([[2, 1], [1, 1]]), exact([[p], [q]])) for p, q in ((1, 0), (-2, 1), ("1/2", 3))],
}  # fmt: skip
RULES: list[dict[str, Any]] = [{}, {"momentum": "1/2", "weight_decay": "1/5"}, {"momentum": "-1/3", "nesterov": True}]
START = exact([["1/2"], [-1]])


@pytest.mark.parametrize("name", EXAMPLES)
@pytest.mark.parametrize("rule", RULES)
def test_affine_gradients_fall_with_the_batch_size(name: str, rule: dict[str, Any]) -> None:
    """Coefficients in c are positive semi-definite matrices, at every t; at t <= 1 they are those of every batch."""
    examples, rates = EXAMPLES[name], [Fraction(1, 3), Fraction(1, 5), Fraction(-1, 4), Fraction(1, 2)]
    found = coefficients(examples, rule, rates, START)
    for terms in found:
        assert not terms[0].any()
        for m in terms:
            rows = [[Fraction(entry) for entry in row] for row in m]
            assert negative_row(rows, partial(independent_columns, rows)) is None
    for t, b, sampling in (
        (0, 2, "iid"),
        (1, 1, "iid"),
        (1, 2, "iid"),
        (1, 2, "without_replacement"),
        (2, 2, "without_replacement"),
    ):
        c = Fraction(1, b) if sampling == "iid" else Fraction(3 - b, 2 * b)
        covariance = sum(c**k * m for k, m in enumerate(found[t]))
        truth = enumerated(examples, rule, rates[:t], START, b, sampling)
        assert (covariance == truth).all() and (2 * covariance != truth).any()
    if name == "noisy quadratic":
        assert not any(m.any() for terms in found for m in terms[2:]), "where H_i does not vary: a constant times c"


@pytest.mark.parametrize("rule", RULES)
def test_the_noisy_quadratic_model_of_two_weights_is_what_linvar_derives(rule: dict[str, Any]) -> None:
    """As a loss of degree 2: w^T H w / 2 - k . w, k the example."""
    examples, rates = EXAMPLES["noisy quadratic"], [Fraction(1, 3), Fraction(1, 5), Fraction(-1, 4)]

    def loss(params: Any, example: Any) -> Any:
        (w,), (x, _) = params, example
        return (2 * w[0] ** 2 + 2 * w[0] * w[1] + w[1] ** 2) / 2 - (x * w).sum()

    law = lv.Dataset([[*k[:, 0]] for _, k in examples], [0, 0, 0])
    problem = lv.Problem(([*START[:, 0]],), law, rates, 3, loss=loss, **rule)
    truth = [np.trace(m) for m in coefficients(examples, rule, rates, START)[3]]
    assert lv.gradient_variance(problem) == lv.BatchPolynomial([Fraction(value) for value in truth])
