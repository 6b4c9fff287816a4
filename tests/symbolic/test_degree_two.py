"""Losses of degree 2 at most in the weights: the recursion of an affine gradient against every other way to the same numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import pytest
import strategies
import sympy
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar.errors import DerivationTooLargeError, InputError
from linvar.flint import fmpz
from linvar.progress import say_nothing
from linvar.symbolic.models.polynomial.affine import AffineGradient
from linvar.symbolic.models.registry import exact_model
from linvar.symbolic.plan import choose
from linvar.symbolic.roads.regression import closed
from linvar.symbolic.roads.regression.arithmetic import Packed
from linvar.symbolic.sgd.batch_moments import answer_ring
from linvar.symbolic.sgd.questions import Products
from linvar.symbolic.sgd.steps import Steps
from linvar.testing import OpenModel
from linvar.testing.roads import check_road, compare

Loss = Callable[..., Any]


@dataclass(frozen=True)
class Given(OpenModel):
    """A loss of the leaves, x and y."""

    of: Loss

    def degree(self, weights: Any) -> int:
        return 2

    def loss(self, weights: Any, x: Any, y: Any) -> Any:
        return self.of(*weights, x, y)


def problem_of(loss: Loss, weights: Any, law: Any, rate: Any = "1/5", step: int = 0, **more: Any) -> lv.Problem:
    """A problem of a loss."""
    return lv.Problem(weights, law, rate, step, model=Given(loss), **more)


def squares(residual: Any) -> Any:
    return (residual * residual).sum() / 2


def quadratic(w: Any, x: Any, y: Any) -> Any:
    """(1, x_0, x_1, x_0 x_1) as features."""
    return squares(w[:, 0] + w[:, 1] * x[0] + w[:, 2] * x[1] + w[:, 3] * x[0] * x[1] - y)


def layers(w: Any, x: Any, y: Any) -> Any:
    return squares(w @ x - y)


ROWS = lv.Dataset([[1, "1/2"], [0, -1], [2, 1]], [1, "-1/2", 3])
TWO = lv.Dataset([[1, "1/2"], [0, -1], [2, 1]], [[1, 0], ["-1/2", 1], [0, 2]])
NORMAL = lv.Gaussian([["1/2", 1]], [[2, 1], [1, 1]], ["1/3", 0], "1/2")
CHANCES = lv.Finite([[1, 0], [1, 1], [-1, 2]], [[1], [0], ["1/2"]], ["1/2", "1/3", "1/6"])
CURVED = lv.Independent([lv.Uniform(-1, 1), lv.Rademacher()], lambda z: ((z[0], z[1]), z[0] ** 2 - z[1] / 2))
ALPHA, OMEGA, MU = sympy.symbols("alpha omega mu")
Q = [[["1/2", -1, "1/3", 2]]]

#: loss, weights, law, what more; each at t = 0, 1, 2
CASES: dict[str, tuple[Loss, Any, Any, dict[str, Any]]] = {
    "quadratic features": (quadratic, Q, ROWS, {}),
    "quadratic features, without replacement": (quadratic, Q, ROWS, {"sampling": "without_replacement"}),
    "quadratic features, normal": (lambda w, x, y: squares(w[0, 0] * x[0] * x[1] + w[0, 1] - y), [[[1, "1/2"]]], NORMAL, {}),
    "quadratic features, chances": (quadratic, Q, CHANCES, {"momentum": "1/2"}),
    "quadratic features, independent": (quadratic, Q, CURVED, {"weight_decay": "1/3"}),
    "a bias": (lambda w, c, x, y: squares(w @ x + c[0] - y), [[[1, "-1/2"]], [["1/3"]]], NORMAL, {}),
    "two outputs, a bias each": (
        lambda w, c, x, y: squares(w @ x + c[0] - y), [[[1, "-1/2"], [0, 1]], [["1/3", 2]]], TWO, {}
    ),
    "two outputs, without replacement": (layers, [[[1, "-1/2"], [0, 1]]], TWO, {"sampling": "without_replacement"}),
    "L2": (lambda w, x, y: layers(w, x, y) + (w * w).sum() / 10 + w[0, 0] * w[0, 1] / 7, [[[1, "1/2"]]], ROWS, {}),
    "weighed examples": (lambda w, x, y: squares(w @ x - y) * x[0] + x[1] ** 3, [[[1, "1/2"]]], ROWS, {}),
    "indefinite": (lambda w, x, y: w[0, 0] * w[0, 1] * x[0] - w[0, 0] ** 2 * x[1], [[[1, "1/2"]]], ROWS, {}),
    "degree 1": (lambda w, x, y: (w @ x).sum() + y[0], [[[1, "1/2"]]], ROWS, {"momentum": "1/3", "nesterov": True}),
    "degree 0": (lambda w, x, y: x[0] ** 2 - 2 * y[0], [[[1, "1/2"]]], ROWS, {"weight_decay": "1/4"}),
    "a weight that nothing moves": (lambda w, x, y: squares(w[0, 0] * x[0] - y), [[[1, 5]]], ROWS, {}),
    "nothing varies": (lambda w, x, y: (w * w).sum() - w[0, 0] + x[0], [[[1, "1/2"]]], ROWS, {}),
    "momentum, decay": (quadratic, Q, ROWS, {"momentum": "1/2", "nesterov": True, "weight_decay": "1/7"}),
    "a schedule": (quadratic, Q, ROWS, {"rate": ("1/5", "1/7")}),
    "a rate of zero": (quadratic, Q, ROWS, {"rate": ("0", "1/7"), "momentum": "1/2"}),
    "one row": (quadratic, Q, lv.Dataset([[1, 2]], [1]), {"sampling": "without_replacement"}),
    "a symbol for a weight": (quadratic, [[[OMEGA, -1, "1/3", 2]]], ROWS, {}),
    "a symbol for the rate": (lambda w, x, y: squares(w[0, 0] * x[0] * x[1] - y), [[[1]]], ROWS, {"rate": ALPHA}),
    "symbols in the rule": (layers, [[[1, "1/2"]]], ROWS, {"momentum": MU, "weight_decay": ALPHA}),
    "symbols in the law": (
        lambda w, c, x, y: squares(w @ x + c[0] - y), [[[1]], [["1/3"]]],
        lv.Gaussian([[OMEGA]], [[ALPHA]], [MU], 1), {"rate": "1/4"},
    ),
}  # fmt: skip


def of_case(name: str, step: int) -> lv.Problem:
    """A problem of the list."""
    loss, weights, law, more = CASES[name]
    rate = more.get("rate", "1/5")
    rate = list(rate[:step]) if isinstance(rate, tuple) else rate
    return problem_of(loss, weights, law, rate, step, **{key: value for key, value in more.items() if key != "rate"})


@pytest.mark.parametrize("step", [0, 1, 2])
@pytest.mark.parametrize("name", CASES)
def test_it_equals_the_expansion(name: str, step: int) -> None:
    """Every form of every question: norms in all and leaf by leaf, means, loss, weights, their products, updates."""
    if name == "symbols in the law" and step == 2:
        step = 1  # 300,000 terms in the expansion
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
        exact.variance, exact.second_moment, exact.squared_mean, exact.loss, exact.weights, exact.weight_covariance,
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


# long integers


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_digits_of_a_packed_polynomial(count: int) -> None:
    arithmetic = Packed(answer_ring(()), answer_ring(()).gens[0])
    arithmetic.bits = 64
    most = 2**63 - 1
    for values in product((-most, -1, 0, 1, most), repeat=min(count, 3)):
        wanted = [*values, *[most] * (count - 3)]
        packed = sum(value * 2 ** (64 * k) for k, value in enumerate(wanted))
        found = arithmetic.digits(fmpz(packed))
        assert found[: len(wanted)] == wanted[: len(found)] and not any(wanted[len(found) :] + found[len(wanted) :])


@pytest.mark.parametrize("name", ["quadratic features", "momentum, decay", "indefinite", "two outputs, a bias each"])
def test_digits_are_long_enough_and_not_much_longer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand bits more give the same answer; half of them another."""
    problem, reserve = of_case(name, 0).replace(step=30), Packed.reserve

    def with_bits(change: Callable[[int], int]) -> Any:
        def changed(self: Packed, *arguments: Any) -> None:
            reserve(self, *arguments)
            self.bits = change(self.bits)

        monkeypatch.setattr(Packed, "reserve", changed)
        (integrator,) = lv.Regression().integrators(Steps(problem), [30])
        return integrator.expectations(Products(), say_nothing)

    right = with_bits(lambda bits: bits)
    assert with_bits(lambda bits: bits + 1024) == right
    assert with_bits(lambda bits: bits // 128 * 64) != right


# plans


def test_what_closes_is_planned_and_taken() -> None:
    problem = of_case("quadratic features", 0).replace(step=50)
    plan = lv.plan(problem)
    assert plan.choice is not None and plan.choice.road == "regression"
    assert plan["regression"].size == "510 coefficients", "ten pairs of four weights, 51 coefficients each"
    assert choose(Steps(problem))[0] == lv.Regression() == lv.derive(problem).road
    for road in ("expansion", "lattice"):
        assert lv.plan(problem.replace(step=1))[road].obstacle != "one layer has a road of its own"
    deep = problem_of(lambda w, x, y: squares(w[0, 0] ** 2 * x[0] - y), [[[1]]], ROWS)
    assert "it is for losses of degree 2 at most in the weights" in str(lv.plan(cubic()))
    assert exact_model(cubic()).closure.obstacle is not None and deep.degree == 2
    with pytest.raises(InputError, match="does not apply: it is for losses of degree 2 at most"):
        lv.derive(cubic(), lv.Regression())
    with pytest.raises(InputError, match="does not apply: it is for losses of degree 2 at most"):
        lv.Regression().integrators(Steps(cubic()), [1])
    with pytest.raises(InputError, match="does not apply: it is for one layer"):
        lv.derive(lv.Problem([[[1]], [[1]]], lv.Gaussian([[1]])), lv.Regression())


@dataclass(frozen=True)
class Cubic(OpenModel):
    def degree(self, weights: Any) -> int:
        return 3

    def loss(self, weights: Any, x: Any, y: Any) -> Any:
        (w,) = weights
        return w[0, 0] ** 3 * x[0]


def cubic() -> lv.Problem:
    return lv.Problem([[[1]]], ROWS, "1/5", 1, model=Cubic())


def test_the_degree_is_that_of_the_loss_and_not_what_is_said_of_it() -> None:
    @dataclass(frozen=True)
    class Loose(Cubic):
        def loss(self, weights: Any, x: Any, y: Any) -> Any:
            return squares(weights[0] @ x - y)

    problem = lv.Problem([[[1, "1/2"]]], ROWS, "1/5", 3, model=Loose())
    assert problem.degree == 3 and lv.derive(problem).road == lv.Regression()
    assert lv.gradient_variance(problem) == lv.gradient_variance(problem.replace(model=None))


@pytest.mark.parametrize("step", [10**5, 10**18, 10**5000], ids=["many", "more", "endless"])
def test_too_many_steps_are_refused_at_once(step: int) -> None:
    start = time.perf_counter()
    with pytest.raises(DerivationTooLargeError, match="regression: "):
        lv.gradient_variance(of_case("quadratic features", 0).replace(step=step))
    assert time.perf_counter() - start < 20


def test_many_weights_are_refused_at_once() -> None:
    """A table of 26 million entries."""
    law = lv.Dataset([[i % 7 for i in range(100)], [i % 5 for i in range(100)]], [1, 2])
    start = time.perf_counter()
    found = lv.plan(problem_of(layers, [[[1] * 100]], law, "1/9", 3), lv.Regression())["regression"]
    assert not found.is_open or found.seconds > 100
    assert found.bytes > 10**9 and time.perf_counter() - start < 30


@pytest.mark.parametrize("name", ["quadratic features", "momentum, decay", "two outputs, a bias each", "a bias", "L2"])
def test_sizes_are_not_below_what_comes(name: str) -> None:
    """The coefficients, and their bits within a factor of two and a half."""
    problem = of_case(name, 0).replace(step=40)
    steps = Steps(problem)
    (integrator,) = lv.Regression().integrators(steps, [40])
    moments = integrator.recursion.moments[40]
    work = closed.work(steps.model.closure, steps)
    digits = [integrator.recursion.arithmetic.digits(value) for value in moments.covariance.values()]
    assert sum(len(one) - 1 for one in digits) <= work.monomials + len(digits)
    bits = max(value.bit_length() for one in digits for value in one)
    predicted = work.bytes["bytes_word"] / integrator.recursion.size**2 / 40 * 64
    assert bits <= integrator.recursion.arithmetic.bits <= bits * 1.6 + 64
    assert bits / 2.5 <= predicted <= 2.5 * bits


def test_moments_that_do_not_exist_are_refused() -> None:
    """Student's t with five degrees of freedom has moments up to degree 4: enough for x, not for x^2 as a feature."""
    law = lv.ScaleMixture(lv.Gaussian([[1, 0]]), degrees_of_freedom=5)
    linear = problem_of(layers, [[[2, 1]]], law, "1/9", 3)
    assert lv.gradient_variance(linear) == lv.gradient_variance(linear.replace(model=None))
    with pytest.raises(InputError, match="law"):
        lv.gradient_variance(problem_of(quadratic, Q, law, "1/9", 3))
