"""Losses of degree 2 at most in the weights: the recursion of an affine gradient against every other way to the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import pytest
import strategies
from degree_two import (
    ALPHA,
    CASES,
    CHANCES,
    CURVED,
    NORMAL,
    ROWS,
    TWO,
    layers,
    of_case,
    problem_of,
    squares,
)
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar.symbolic.models.polynomial.affine import AffineGradient
from linvar.symbolic.quantities import Weights
from linvar.testing.roads import check_road, compare


@pytest.mark.parametrize("step", [0, 1, 2])
@pytest.mark.parametrize("name", CASES)
def test_it_equals_the_expansion(name: str, step: int) -> None:
    """Every form of every question: norms in all and leaf by leaf, means, loss, weights, their products, updates."""
    assert compare(lv.Regression(), of_case(name, step)) >= 10


def test_the_suite_of_roads_takes_it_on_such_losses() -> None:
    assert check_road(lv.Regression()) > 60


@pytest.mark.parametrize("part", ["covariance", "mean"])
def test_three_halves_of_what_it_is_made_of_are_noticed(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """K or H times 1.5."""
    problem = of_case("quadratic features", 1)
    right, theirs = getattr(AffineGradient, part), lv.gradient_variance(problem, lv.Expansion())

    def wrong(self: AffineGradient, ring: Any) -> Any:
        found = right(self, ring)
        if part == "mean":
            return {place: value * 3 / 2 for place, value in found.items()}
        return {place: {other: value * 3 / 2 for other, value in row.items()} for place, row in found.items()}

    assert lv.gradient_variance(problem, lv.Regression()) == theirs
    monkeypatch.setattr(AffineGradient, part, wrong)
    assert lv.gradient_variance(problem, lv.Regression()) != theirs


# one layer, written as a loss


def everything(exact: lv.Derivation) -> list[Any]:
    """All that a derivation says."""
    layer = exact.per_leaf
    return [
        exact.variance, exact.second_moment, exact.squared_mean, exact.loss, exact.all(Weights()), exact.weight_covariance,
        layer.variance, layer.second_moment, layer.squared_mean,
        *((exact.update_variance, layer.update_variance) if not isinstance(exact.problem.learning_rate, tuple) else ()),
    ]  # fmt: skip


@pytest.mark.parametrize("law", [ROWS, TWO, NORMAL, CHANCES, CURVED], ids=lambda law: type(law).__name__)
@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"momentum": "1/2", "nesterov": True, "weight_decay": "1/7"},
        {"rate": ["1/5", "1/7", "0", "-1/9", "1/3"], "momentum": "-1/3"},
        {"rate": ALPHA},
    ],
    ids=["plain", "momentum", "schedule", "symbol"],
)
def test_one_layer_as_a_loss_is_linear_regression_after_five_steps(law: Any, rule: dict[str, Any]) -> None:
    rule = dict(rule)
    weights, rate = [[["1/2", -1], [1, "1/3"]][: law.target_width]], rule.pop("rate", "1/5")
    for sampling in ("iid", "without_replacement") if law.size is not None else ("iid",):
        step = 2 if rate is ALPHA else 5
        ours = problem_of(layers, weights, law, rate, step, sampling=sampling, **rule)
        theirs = ours.replace(model=None)
        assert everything(lv.derive(ours)) == everything(lv.derive(theirs))
        assert lv.derive(ours).road == lv.derive(theirs).road == lv.Regression()


def test_a_sweep_is_what_each_step_is_alone() -> None:
    problem = of_case("momentum, decay", 0)
    for t, exact in enumerate(lv.derive_steps(problem, range(6))):
        alone = lv.derive(problem.replace(step=t))
        assert (exact.variance, exact.weights, exact.loss) == (alone.variance, alone.weights, alone.loss)
        assert exact.variance.degree == min(t + 1, exact.problem.degree_bound)


# fractions: the second moment of (w, v, 1) moved by the matrix of each example


Matrix = list[list[Fraction]]


def times(a: Matrix, b: Matrix) -> Matrix:
    return [[sum((x * y for x, y in zip(row, column)), Fraction(0)) for column in zip(*b)] for row in a]


def plus(a: Matrix, b: Matrix, factor: Fraction = Fraction(1)) -> Matrix:
    return [[x + factor * y for x, y in zip(first, second)] for first, second in zip(a, b)]


def turned(a: Matrix) -> Matrix:
    return [list(column) for column in zip(*a)]


def by_fractions(
    hessians: Sequence[Matrix], start: Sequence[Any], rates: Sequence[Any], factor: Fraction, rule: dict[str, Any]
) -> tuple[Fraction, list[Fraction], Matrix]:
    """The variance, E w and Cov w after these steps, given h (P rows of P + 1) of every row, and c at one batch size."""
    count = len(start)
    momentum, decay = (Fraction(rule.get(name, 0)) for name in ("momentum", "weight_decay"))

    def step(h: Matrix, rate: Fraction) -> Matrix:
        """(w, v, 1) -> (w', v', 1)."""
        unit = [[Fraction(int(i == j)) for j in range(2 * count + 1)] for i in range(2 * count + 1)]
        decayed = [[*h[a][:count], *[Fraction(0)] * count, h[a][count]] for a in range(count)]
        decayed = [[e + decay * (i == a) for i, e in enumerate(row)] for a, row in enumerate(decayed)]
        moved = [[e + momentum * u for e, u in zip(decayed[a], unit[count + a])] for a in range(count)]
        towards = plus(decayed, moved, momentum) if rule.get("nesterov") else moved
        return [*plus(unit[:count], towards, -rate), *moved, unit[-1]]

    def mean_of(parts: Sequence[Matrix]) -> Matrix:
        total = parts[0]
        for part in parts[1:]:
            total = plus(total, part)
        return [[e / len(parts) for e in row] for row in total]

    def second(maps: Sequence[Matrix], moment: Matrix) -> Matrix:
        """E of (a mean of a batch) M (the same)^T."""
        mean = mean_of(maps)
        apart = mean_of(
            [times(times(plus(m, mean, Fraction(-1)), moment), turned(plus(m, mean, Fraction(-1)))) for m in maps]
        )
        return plus(times(times(mean, moment), turned(mean)), apart, factor)

    state = [[Fraction(e)] for e in (*start, *[0] * count, 1)]
    moment = times(state, turned(state))
    for rate in map(Fraction, rates):
        maps = [step(h, rate) for h in hessians]
        state, moment = times(mean_of(maps), state), second(maps, moment)
    gradients = [[[*row[:count], *[Fraction(0)] * count, row[count]] for row in h] for h in hessians]
    mean = times(mean_of(gradients), state)
    spread = second(gradients, moment)
    variance = sum((spread[a][a] - mean[a][0] ** 2 for a in range(count)), Fraction(0))
    covariance = [[moment[a][b] - state[a][0] * state[b][0] for b in range(count)] for a in range(count)]
    return variance, [state[a][0] for a in range(count)], covariance


def at_batch_size(problem: lv.Problem, hessians: Sequence[Matrix], b: int, rule: dict[str, Any]) -> None:
    """All of it at a batch size."""
    n = len(hessians)
    factor = Fraction(1, b) if problem.sampling == "iid" else Fraction(n - b, b * (n - 1))
    start = [e for matrix in problem.weights for row in matrix for e in row]
    variance, mean, covariance = by_fractions(hessians, start, problem.learning_rates, factor, rule)
    exact = lv.derive(problem, lv.Regression())
    assert exact.variance(b) == variance
    assert [value(b) for matrix in exact.weights for row in matrix for value in row] == mean
    assert [[value(b) for value in row] for row in exact.weight_covariance] == covariance


RULES: list[dict[str, Any]] = [
    {},
    {"momentum": Fraction(1, 2)},
    {"momentum": Fraction(1, 2), "nesterov": True, "weight_decay": Fraction(1, 7)},
]


def of_features(row: Sequence[Any], target: Any) -> Matrix:
    """h of 1/2 (w . f - y)^2: (f f^T, -y f)."""
    f = [Fraction(e) for e in row]
    return [[*(a * b for b in f), -Fraction(target) * a] for a in f]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("sampling", ["iid", "without_replacement"])
def test_thirty_steps_of_quadratic_features_in_fractions(sampling: str, rule: dict[str, Any]) -> None:
    rows = [(Fraction(1), Fraction(1)), (Fraction(-1), Fraction(0)), (Fraction(2), Fraction(3))]
    law = lv.Dataset([[x] for x, _ in rows], [y for _, y in rows])
    problem = problem_of(
        lambda w, x, y: squares(w[:, 0] + w[:, 1] * x[0] + w[:, 2] * x[0] ** 2 - y), [[["1/2", -1, 2]]], law, "1/8", 30,
        sampling=sampling, **rule,
    )  # fmt: skip
    at_batch_size(problem, [of_features([1, x, x * x], y) for x, y in rows], 2, rule)


@strategies.examples(40)
@given(st.data())
def test_random_losses_of_degree_two_in_fractions(data: st.DataObject) -> None:
    """Any quadratic form in the weights, its coefficients polynomials in x and y: not a square of anything."""
    weights, step = data.draw(st.integers(1, 3)), data.draw(st.integers(0, 6))
    factors = st.tuples(st.integers(-3, 3), st.integers(0, 2), st.integers(0, 1))
    places = st.lists(st.integers(0, weights - 1), max_size=2)
    terms = data.draw(st.lists(st.tuples(factors, places), min_size=1, max_size=5))

    def loss(w: Any, x: Any, y: Any) -> Any:
        total = 0 * w[0, 0]
        for (factor, power, with_target), of in terms:
            part = factor * x[0] ** power * y[0] ** with_target
            for place in of:
                part = part * w[0, place]
            total = total + part
        return total

    rows = [(Fraction(1), Fraction(1, 3)), (Fraction(-1, 2), Fraction(2)), (Fraction(2), Fraction(0))]
    hessians = []
    for x, y in rows:
        h = [[Fraction(0)] * (weights + 1) for _ in range(weights)]
        for (factor, power, with_target), of in terms:
            value = factor * x**power * y**with_target
            for k, place in enumerate(of):
                others = [*of[:k], *of[k + 1 :]]
                h[place][others[0] if others else weights] += value
        hessians.append(h)
    rule = data.draw(st.sampled_from(RULES))
    sampling = data.draw(st.sampled_from(["iid", "without_replacement"]))
    start = data.draw(strategies.matrices(1, weights))
    law = lv.Dataset([[x] for x, _ in rows], [y for _, y in rows])
    problem = problem_of(loss, [start], law, "1/3", step, sampling=sampling, **rule)
    at_batch_size(problem, hessians, data.draw(st.integers(1, 3)), rule)


# every batch


@pytest.mark.parametrize("sampling", ["iid", "without_replacement"])
@pytest.mark.parametrize("b", [1, 2])
def test_all_batches_of_three_rows(sampling: str, b: int) -> None:
    """1/2 (w x^2 - y)^2 + w^2/4 with Nesterov's momentum, t = 2: the gradient of a row is (w x^2 - y) x^2 + w/2."""
    rows, rate, mu = [(1, 2), (2, -1), (-1, 3)], Fraction(1, 9), Fraction(1, 2)
    law = lv.Dataset([[x] for x, _ in rows], [y for _, y in rows])
    problem = problem_of(
        lambda w, x, y: squares(w[0] * x[0] ** 2 - y) + w[0, 0] ** 2 / 4, [[[2]]], law, rate, 2, sampling=sampling,
        momentum=mu, nesterov=True,
    )  # fmt: skip
    batches = list(combinations(rows, b) if sampling == "without_replacement" else product(rows, repeat=b))

    def gradient(w: Fraction, batch: Any) -> Fraction:
        return sum(((w * x**2 - y) * x**2 + w / 2 for x, y in batch), Fraction(0)) / b

    ends = []
    for first, second, last in product(batches, repeat=3):
        w, v = Fraction(2), Fraction(0)
        for batch in (first, second):
            g = gradient(w, batch)
            v = g + mu * v
            w -= rate * (g + mu * v)
        ends.append((w, gradient(w, last)))
    mean = [sum(part) / len(ends) for part in zip(*ends)]
    squared = [sum(e**2 for e in part) / len(ends) for part in zip(*ends)]
    exact = lv.derive(problem, lv.Regression())
    assert exact.variance(b) == squared[1] - mean[1] ** 2 != Fraction(3, 2) * exact.variance(b)
    assert exact.second_moment(b) == squared[1] and exact.weights[0][0][0](b) == mean[0]
    assert exact.weight_covariance[0][0](b) == squared[0] - mean[0] ** 2


@pytest.mark.parametrize("name", ["quadratic features", "two outputs, a bias each", "indefinite", "weighed examples"])
@pytest.mark.parametrize("rule", [*RULES, {"rate": ["1/5", "-1/7", "1/3", "1/6", "1/4"]}])
def test_the_variance_falls_with_the_batch_size(name: str, rule: dict[str, Any]) -> None:
    """The theorem of linear regression: coefficients in c are not negative, convex loss or not."""
    loss, weights, law, _ = CASES[name]
    rule = dict(rule)
    exact = lv.derive(problem_of(loss, weights, law, rule.pop("rate", "1/3"), 5, **rule))
    for polynomial in (exact.variance, *(row[a] for a, row in enumerate(exact.weight_covariance))):
        assert all(value >= 0 for value in polynomial.coefficients) and polynomial.coefficients[0] == 0
        assert polynomial.decreasing_from() in (1, None)
    assert exact.variance.degree == 6
