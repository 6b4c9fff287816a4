"""Linear regression: the closed recursion against expansion, enumeration, quadrature and hand values."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any

import oracles
import pytest
import strategies
import sympy
from flint import fmpq
from hypothesis import given
from hypothesis import strategies as st
from roads import WholeExpansion, asked

import linvar as lv
from linvar.errors import InputError
from linvar.symbolic.algebra.ring import coefficients_of, to_exact
from linvar.symbolic.plan import choose
from linvar.symbolic.roads.regression.recursion import Recursion, RegressionAt
from linvar.symbolic.sgd.batch_moments import answer_ring
from linvar.symbolic.sgd.last_step import LastStep
from linvar.symbolic.sgd.steps import Steps

DATA = lv.Dataset([[1, 0], [0, 1], [1, -1]], [[1, 0], [0, 2], [-1, 1]])
#: more rows than the degree after ten steps, so that without replacement nothing is reduced
MANY = lv.Dataset([[k % 4 - 1, k % 5 - 2] for k in range(13)], [[k % 3, 1 - k % 7] for k in range(13)])
Z = sympy.Symbol("z")
SAMPLINGS = ["iid", "without_replacement"]


def one_layer(kind: str, sampling: str = "iid") -> st.SearchStrategy[lv.Problem]:
    """Random problems with one layer."""
    return strategies.problems(kind, sampling).filter(lambda problem: problem.depth == 1)


def paths(problem: lv.Problem, batch_size: int) -> list[tuple[Fraction, list[Fraction], list[Fraction]]]:
    """Probability, last weights and last gradient, row by row, of every sequence of batches."""
    examples = list(zip(oracles.fractions(problem.law.inputs), oracles.fractions(problem.law.targets)))
    batches = oracles.all_batches(examples, batch_size, problem.sampling)
    result = []
    for sequence in product(batches, repeat=problem.step + 1):
        weights, chance = tuple(map(oracles.fractions, problem.weights)), Fraction(1)
        for (batch, probability), rate in zip(sequence, (*problem.learning_rates, None)):
            gradient = oracles.batch_gradient(weights, batch, {})
            chance *= probability
            if rate is not None:
                weights = oracles.combine([(Fraction(1), weights), (-Fraction(rate), gradient)])
        flat = [[entry for row in matrix[0] for entry in row] for matrix in (weights, gradient)]
        result.append((chance, *flat))
    return result


def covariance(values: list[tuple[Fraction, list[Fraction]]]) -> list[list[Fraction]]:
    """Exact covariance of weighted vectors."""
    size = len(values[0][1])
    mean = [sum(p * v[i] for p, v in values) for i in range(size)]
    return [[sum(p * (v[i] - mean[i]) * (v[j] - mean[j]) for p, v in values) for j in range(size)] for i in range(size)]


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("batch_size", [1, 2])
def test_every_quantity_equals_enumeration_of_all_paths(sampling: str, batch_size: int) -> None:
    problem = lv.Problem([[[1, 2], [0, "-1/2"]]], DATA, ["1/3", "1/5"], 2, sampling)
    moments = lv.RegressionMoments(problem)
    found = paths(problem, batch_size)
    at_weights, at_gradient = covariance([(p, w) for p, w, _ in found]), covariance([(p, g) for p, _, g in found])
    assert [[e(batch_size) for e in row] for row in moments.weight_covariance()] == at_weights
    assert [[e(batch_size) for e in row] for row in moments.gradient_covariance()] == at_gradient
    matrix = [[1, 2, 0, -1], [0, "1/2", 1, 1], [3, 0, 0, 1], [1, 1, 1, 1]]
    for polynomial, cov in (
        (moments.weight_variance(matrix), at_weights),
        (moments.gradient_variance(matrix), at_gradient),
    ):
        rows = oracles.fractions(matrix)
        expected = sum(row[i] * cov[i][j] * row[j] for row in rows for i in range(4) for j in range(4))
        assert polynomial(batch_size) == expected != Fraction(3, 2) * expected
    assert moments.weight_variance()(batch_size) == sum(at_weights[i][i] for i in range(4))
    assert moments.gradient_variance() == lv.gradient_variance(problem)
    assert moments.gradient_second_moment() == lv.second_moment(problem)
    assert moments.expected_loss() == lv.expected_loss(problem)
    star = [entry for row in moments.minimiser() for entry in row]
    distance = sum(p * sum((a - b) ** 2 for a, b in zip(w, star)) for p, w, _ in found)
    assert moments.squared_distance()(batch_size) == distance
    target = [[1, 1], [0, 3]]
    other = sum(p * sum((a - b) ** 2 for a, b in zip(w, [1, 1, 0, 3])) for p, w, _ in found)
    assert moments.squared_distance(target)(batch_size) == other
    assert [e for row in moments.mean_weights for e in row] == [sum(p * w[i] for p, w, _ in found) for i in range(4)]
    assert [e for row in moments.mean_gradient for e in row] == [sum(p * g[i] for p, _, g in found) for i in range(4)]


def test_the_minimiser_has_gradient_zero() -> None:
    for law in (DATA, lv.Gaussian([[1, 2]], [[2, 1], [1, 3]], mean=[1, 0], noise_variance=1)):
        weights = [[0, 0]] * law.target_width
        star = lv.RegressionMoments(lv.Problem([weights], law)).minimiser()
        at_star = lv.RegressionMoments(lv.Problem([star], law))
        assert not any(entry for row in at_star.mean_gradient for entry in row)


@strategies.examples(40)
@given(one_layer("gaussian"))
def test_gaussian_laws_equal_the_expansion(problem: lv.Problem) -> None:
    assert_equals_expansion(problem)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@strategies.examples(40)
@given(data=st.data())
def test_data_sets_equal_the_expansion(sampling: str, data: st.DataObject) -> None:
    assert_equals_expansion(data.draw(one_layer("dataset", sampling)))


@dataclass(frozen=True)
class OfTheState:
    """Forms in the weights and in the momenta of one layer."""

    name: str = "forms in the state"

    def degree(self, loss: int) -> int:
        assert loss == 2
        return 2

    def forms(self, last: LastStep) -> list[Any]:
        means = [entry for row in last.means()[0] for entry in row]
        matrices = (*last.state.weights, *last.state.momenta)
        entries = [entry for matrix in matrices for row in matrix for entry in row]
        return [
            *last.spreads(),
            last.doubled_loss(),
            *means,
            *(a * a for a in means),
            *(a * entries[-1] for a in entries),
        ]

    def key(self) -> str:
        return self.name


def assert_equals_expansion(problem: lv.Problem) -> None:
    """Both roads integrate the same forms in the weights."""
    ours, theirs = (asked(problem, OfTheState(), road) for road in (lv.Regression(), WholeExpansion()))
    if problem.largest_batch_size == 1:  # polynomials that mean something at b = 1 only
        ours, theirs = ([polynomial(fmpq(1)) for polynomial in values] for values in (ours, theirs))
    assert ours == theirs


def test_linear_regression_takes_the_closed_road_and_deeper_networks_do_not() -> None:
    flat, deep = (lv.Problem([[[1]]] * depth, lv.Gaussian([[1]])) for depth in (1, 2))
    for problem, road in ((flat, lv.Regression()), (deep, lv.Expansion())):
        chosen, plan = choose(Steps(problem))
        assert chosen == road == lv.derive(problem).road and plan.road == road.name
    for problem, road, reason in (
        (flat, lv.Expansion(), "one layer"),
        (flat, lv.Lattice(), "one layer"),
        (deep, lv.Regression(), "it is for one layer"),
    ):
        with pytest.raises(InputError, match=f"road={type(road).__name__}.* does not apply: {reason}.*: leave it out"):
            choose(Steps(problem), road)


def test_everything_symbolic_equals_the_expansion() -> None:
    w, t, a, m, s, noise = sympy.symbols("w T alpha m s sigma2")
    problem = lv.Problem([[[w]]], lv.Gaussian([[t]], [[s]], mean=[m], noise_variance=noise), a, 1)
    assert_equals_expansion(problem)


def test_one_weight_by_hand() -> None:
    """x ~ N(0, 1), no noise: E e_t^2 = e^2 (1 - 2a + a^2 (1 + 2u))^t."""
    a = Fraction(1, 10)
    u = lv.BatchPolynomial([0, 1])
    for step in (0, 1, 5, 12):
        moments = lv.RegressionMoments(lv.Problem([[[2]]], lv.Gaussian([[-1]]), a, step))
        square = 9 * (1 - 2 * a + a**2 * (1 + 2 * u)) ** step
        assert moments.squared_distance() == square
        assert moments.weight_variance() == square - 9 * (1 - a) ** (2 * step)
        assert moments.expected_loss() == square / 2
        assert moments.gradient_second_moment() == square * (1 + 2 * u)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("law", [DATA, MANY])
def test_factor_coefficients_are_those_of_the_factor(sampling: str, law: lv.Dataset) -> None:
    variance = lv.gradient_variance(lv.Problem([[[1, 2], [0, 1]]], law, "1/9", 3, sampling))
    coefficients, n = variance.factor_coefficients, law.size
    assert len(coefficients) == (3 if sampling == "without_replacement" and n == 3 else 5) and coefficients[0] == 0
    assert all(value > 0 for value in coefficients[1:])
    for b in (1, 2, 3):
        factor = Fraction(n - b, b * (n - 1)) if sampling == "without_replacement" else Fraction(1, b)
        assert sum(value * factor**k for k, value in enumerate(coefficients)) == variance(b)


def test_factor_coefficients_of_one_example_and_of_deep_networks() -> None:
    one = lv.Dataset([[2]], [[1]])
    variance = lv.expected_loss(lv.Problem([[[3]]], one, "1/10", 2, "without_replacement"))
    assert variance.factor_coefficients == (variance(1),)
    deep = lv.gradient_variance(
        lv.Problem([[[1, 2]], [[1]]], lv.Dataset(DATA.inputs, [1, 0, 2]), "1/3", 1, SAMPLINGS[1])
    )
    for b in (1, 2, 3):
        factor = Fraction(3 - b, b * 2)
        assert sum(value * factor**k for k, value in enumerate(deep.factor_coefficients)) == deep(b)


RULES: list[dict[str, Any]] = [
    {},
    {"momentum": "1/2"},
    {"momentum": "-3/4", "nesterov": True, "weight_decay": "1/5"},
    {"weight_decay": "2/3"},
]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_variance_of_any_image_falls_with_the_batch_size(sampling: str, rule: dict[str, Any]) -> None:
    """Non-negative coefficients in the factor, which falls with b: exact, for ten steps and a random matrix."""
    rates = [f"{(-1) ** s}/{s + 2}" for s in range(10)] if rule else "1/3"
    matrix = [[1, -2, 0, 3], [0, 1, "-7/3", 1]]
    for law in (DATA, MANY):
        moments = lv.RegressionMoments(lv.Problem([[[1, 2], [0, 1]]], law, rates, 10, sampling, **rule))
        for polynomial, degree in ((moments.gradient_variance(matrix), 11), (moments.weight_variance(matrix), 10)):
            reduced = sampling == "without_replacement" and law is DATA
            assert polynomial.degree == (2 if reduced else degree)
            assert reduced or all(value >= 0 for value in polynomial.factor_coefficients)
            assert polynomial.decreasing_from() == 1


def test_few_rows_keep_the_fall_and_may_lose_the_signs() -> None:
    """Three rows: the recursion gives non-negative coefficients, those of degree 2 with the same values need not be."""
    law = lv.Dataset([[3], [0], [0]], [2, 0, 3])
    found = []
    for step in (0, 1, 2, 3, 4):
        iid, drawn = (lv.Problem([[[1]]], law, "5/8", step, sampling) for sampling in SAMPLINGS)
        variance = lv.RegressionMoments(drawn).gradient_variance()
        # the recursion knows the sampling by c alone: the iid coefficients are those in c, not reduced
        coefficients = lv.RegressionMoments(iid).gradient_variance().coefficients
        assert all(value >= 0 for value in coefficients) and len(coefficients) == step + 2
        for b in (1, 2, 3):
            factor = Fraction(3 - b, 2 * b)
            assert variance(b) == sum(value * factor**k for k, value in enumerate(coefficients))
        assert variance.decreasing_from() == 1 and variance.is_decreasing(1, 3)
        found.append(any(value < 0 for value in variance.factor_coefficients))
    assert found[:2] == [False, False] and any(found)


def test_it_may_rise_where_the_rate_depends_on_the_batch_size() -> None:
    """Rate b/40: E e^2 -> (1 - 2a + a^2 (1 + 2u)) E e^2 + a^2 q u by hand; .0548 at b = 32, .1242 at b = 64."""

    def value(b: int, rate: Fraction) -> Fraction:
        u, noise, square, mean = Fraction(1, b), Fraction(1), Fraction(1), Fraction(1)
        for _ in range(3):
            square = (1 - 2 * rate + rate**2 * (1 + 2 * u)) * square + rate**2 * noise * u
            mean = (1 - rate) * mean
        law = lv.Gaussian([[0]], noise_variance=noise)
        found = lv.gradient_variance(lv.Problem([[[1]]], law, rate, 3))(b)
        assert found == (1 + 2 * u) * square + noise * u - mean**2
        return found

    at_32, at_64 = value(32, Fraction(32, 40)), value(64, Fraction(64, 40))
    assert at_32 == Fraction(6852, 125000) < at_64 and round(float(at_64), 4) == 0.1242
    for rate in (Fraction(32, 40), Fraction(64, 40)):  # with one rate for both it falls
        assert value(32, rate) > value(64, rate)


def test_the_answer_ring_is_the_one_of_the_other_road() -> None:
    """A road's answers are polynomials in u = 1/b, whatever its variables are."""
    problem = lv.Problem([[[1, 0]]], lv.Gaussian([[0, 0]]))
    road = RegressionAt(Recursion(Steps(problem), [0]), 0)
    w1, w2 = road.ring.gens
    assert road.answers.context == answer_ring(()).context
    value = road.expectation(w1 * w1 + 3 * w1 * w2 + 2 * w1 + 5)
    assert [to_exact(part, ()) for part in coefficients_of(value, road.answers)] == [8]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: lv.RegressionMoments(3), TypeError, "problem=3 is of type int"),
        (
            lambda m: lv.RegressionMoments(lv.Problem([[[1]], [[1]]], lv.Gaussian([[1]]))),
            ValueError,
            "is of widths 1-1-1",
        ),
        (lambda m: m.weight_variance([[1]]), ValueError, "matrix has 1 columns: it acts on the 4 entries"),
        (lambda m: m.weight_variance([[0.5] * 4]), TypeError, r"matrix\[0\]\[0\]=0.5 is of type float"),
        (lambda m: m.squared_distance([[1, 2]]), ValueError, r"target has shape \(1, 2\)"),
        (
            lambda m: m.squared_distance([[1, 2], [Z, 1]]),
            InputError,
            "target has the symbol 'z', and the problem has not",
        ),
        (lambda m: m.weight_variance([[1, Z, 0, 0]]), InputError, "matrix has the symbol 'z', and the problem has not"),
    ],
)
def test_bad_arguments(call: Any, error: type[Exception], message: str) -> None:
    moments = lv.RegressionMoments(lv.Problem([[[1, 2], [0, 1]]], DATA))
    with pytest.raises(error, match=message):
        call(moments)


def test_no_unique_minimiser_is_refused_with_the_cure() -> None:
    flat = lv.Dataset([[1, 1], [2, 2]], [1, 3])
    moments = lv.RegressionMoments(lv.Problem([[[0, 0]]], flat, "1/10", 1))
    with pytest.raises(ValueError, match="singular.*give target="):
        moments.squared_distance()
    assert moments.squared_distance([[0, 0]])(1) > 0
    symbol = sympy.Symbol("s")
    with pytest.raises(ValueError, match="symbols: give target="):
        lv.RegressionMoments(lv.Problem([[[0]]], lv.Gaussian([[1]], [[symbol]]))).squared_distance()


def test_too_many_steps_are_refused() -> None:
    with pytest.raises(lv.DerivationTooLargeError, match="fewer steps"):
        lv.RegressionMoments(lv.Problem([[[1]]], lv.Gaussian([[2]]), "1/10", 10**9))
