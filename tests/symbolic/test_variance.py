"""The exact answers: reference values, smallest cases, enumeration of every batch, exact quadrature, symbols."""

from __future__ import annotations

import json
from dataclasses import fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import oracles
import pytest
import strategies
import sympy
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar.symbolic.roads.expansion.integrator import ExpandedAt
from linvar.symbolic.sgd.questions import Question

CASES = json.loads((Path(__file__).parents[1] / "reference" / "variance.json").read_text(encoding="utf-8"))["cases"]
TWO_LAYERS = {"weights": [[[1, 0], [1, 1]], [[1, 1], [0, 1]]], "law": lv.Gaussian([[1, 0], [0, 2]])}
DATA = lv.Dataset([[1, 0], [0, 1], [1, 1], [2, -1]], [[1], [0], ["1/2"], [-1]])


def fractions(texts: list[str]) -> tuple[Fraction, ...]:
    """As the references are written."""
    return tuple(map(Fraction, texts))


def exact_moments(problem: lv.Problem) -> dict[str, Any]:
    """Everything the exact half says of a problem, named as ``oracles.Moments`` names it."""
    exact = lv.derive(problem)
    return {
        "second_moments": exact.per_leaf.second_moment,
        "squared_means": exact.per_leaf.squared_mean,
        "variances": exact.per_leaf.variance,
        "second_moment": exact.second_moment,
        "squared_mean": exact.squared_mean,
        "variance": exact.variance,
        "expected_loss": exact.loss,
    }


def value_at(polynomials: Any, batch_size: int) -> Any:
    """One value, or a tuple of them."""
    if isinstance(polynomials, tuple):
        return tuple(polynomial(batch_size) for polynomial in polynomials)
    return polynomials(batch_size)


def differences(problem: lv.Problem, moments: oracles.Moments, batch_size: int) -> list[str]:
    """The names under which the exact half and the oracle disagree; [] is agreement."""
    names = [field.name for field in fields(moments)] + ["variances", "second_moment", "squared_mean", "variance"]
    exact = exact_moments(problem)
    assert sorted(names) == sorted(exact)
    return [name for name in names if value_at(exact[name], batch_size) != getattr(moments, name)]


def batch_sizes(problem: lv.Problem, most_batches: int) -> list[int]:
    """b = 1, ..., 3, while every sequence of t + 1 batches can be listed."""
    law = problem.law
    sizes = []
    for b in (1, 2, 3):
        if problem.sampling == "without_replacement" and b > law.size:
            break
        if len(oracles.all_batches(range(law.size), b, problem.sampling)) ** (problem.step + 1) <= most_batches:
            sizes.append(b)
    return sizes


# the references


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_references(case: dict[str, Any]) -> None:
    problem = lv.Problem(case["weights"], lv.Gaussian(case["teacher"]), case["alpha"], case["t"])
    assert problem.widths == tuple(case["widths"])
    variance = lv.gradient_variance(problem)
    assert variance.coefficients == fractions(case["coefficients_in_u"])
    assert variance.degree == case["degree"]
    assert variance.degree_bound == problem.degree_bound == case["degree_bound"]
    assert lv.second_moment(problem).coefficients == fractions(case["second_moment_in_u"])
    assert lv.squared_mean(problem).coefficients == fractions(case["squared_mean_in_u"])


def test_there_are_ten_references_and_a_wrong_one_is_noticed() -> None:
    assert len(CASES) == 10
    case = next(case for case in CASES if case["id"] == "L2_222_t1")
    problem = lv.Problem(case["weights"], lv.Gaussian(case["teacher"]), case["alpha"], case["t"])
    for k in range(1, 7):
        wrong = list(fractions(case["coefficients_in_u"]))
        wrong[k] *= Fraction(3, 2)
        assert lv.gradient_variance(problem) != lv.BatchPolynomial(wrong)


# the smallest cases


def test_step_0_of_one_weight_by_hand() -> None:
    """r = (2 - (-1)) x^2: E r^2 = 27, E r = 9; the factor 1/b stands before the variance of one example."""
    problem = lv.Problem([[[2]]], lv.Gaussian([[-1]]))
    assert lv.gradient_variance(problem).coefficients == (0, 27 - 9)
    assert lv.second_moment(problem).coefficients == (9, 18)
    assert lv.squared_mean(problem).coefficients == (9,)
    assert lv.expected_loss(problem).coefficients == (Fraction(9, 2),)


def test_step_1_of_one_weight_by_hand() -> None:
    """e_1 = e (1 - a S): E e_1 and E e_1^2 from E S = 1, E S^2 = 1 + 2u; then var = (1 + 2u) E e_1^2 - (E e_1)^2."""
    a, e = Fraction(1, 10), Fraction(3)
    problem = lv.Problem([[[2]]], lv.Gaussian([[-1]]), a, step=1)
    constant, slope = e**2 * (1 - a) ** 2, 2 * a**2 * e**2  # E e_1^2 = constant + slope u
    assert lv.gradient_variance(problem).coefficients == (0, 2 * constant + slope, 2 * slope)
    assert lv.expected_loss(problem).coefficients == (constant / 2, slope / 2)


@pytest.mark.parametrize("sampling", ["iid", "without_replacement"])
def test_step_0_is_the_finite_population_formula(sampling: str) -> None:
    """c (mean |g|^2 - |mean g|^2) with c = 1/b or (n-b)/(b(n-1)), from the gradients of the rows."""
    problem = lv.Problem([[[1, 2]], [[-1]]], DATA, sampling=sampling)
    rows = [oracles.example_gradient(problem.weights, example) for example in zip(DATA.inputs, DATA.targets)]
    mean = oracles.combine([(Fraction(1, 4), row) for row in rows])
    of_one = sum(sum(map(oracles.squared_norm, row)) for row in rows) / 4 - sum(map(oracles.squared_norm, mean))
    variance = lv.gradient_variance(problem)
    for b in range(1, 5):
        factor = Fraction(4 - b, b * 3) if sampling == "without_replacement" else Fraction(1, b)
        assert variance(b) == factor * of_one


@pytest.mark.parametrize("step", [0, 1, 2])
def test_the_whole_data_set_is_no_noise(step: int) -> None:
    """b = n without replacement: full-batch gradient descent, so the variance is 0 after any number of steps."""
    problem = lv.Problem([[[1, 2]], [[-1]]], DATA, "1/10", step, sampling="without_replacement")
    assert lv.gradient_variance(problem)(4) == 0
    assert lv.gradient_variance(problem)(3) > 0


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_perfect_fit_never_moves(step: int) -> None:
    zero = lv.BatchPolynomial([0])
    for weights, teacher in (([[[2, 1]], [[3]]], [[6, 3]]), ([[[1, 2], [0, 1]]], [[1, 2], [0, 1]])):
        problem = lv.Problem(weights, lv.Gaussian(teacher), "1/10", step)
        assert all(value == zero for value in (lv.gradient_variance(problem), lv.second_moment(problem)))
        assert lv.expected_loss(problem) == zero
        assert lv.gradient_variance(problem).degree == 0
        assert lv.gradient_variance(problem).decreasing_from() is None


def test_a_perfect_fit_with_noise_has_noise_only() -> None:
    """L = 1, t = 0: r = -e x, E ||r||^2 = sigma^2 tr Sigma d_1, and the mean is zero."""
    problem = lv.Problem([[[2, 1]]], lv.Gaussian([[2, 1]], [[2, 1], [1, 3]], noise_variance="1/3"))
    assert lv.gradient_variance(problem).coefficients == (0, Fraction(5, 3))
    assert lv.squared_mean(problem).coefficients == (0,)


def test_all_weights_zero_of_two_layers_stay_zero_and_of_one_layer_do_not() -> None:
    law = lv.Gaussian([[1, 0], [0, 1]])
    zero = [[0, 0], [0, 0]]
    assert lv.gradient_variance(lv.Problem([zero, zero], law, "1/10", 2)).coefficients == (0,)
    assert lv.gradient_variance(lv.Problem([zero], law, "1/10", 2)).degree == 3


def test_zero_teacher() -> None:
    """L = 2, widths 1, w = (1, 1): both layers have r = x^2, E r^2 = 3, so the variance is 2 (3 - 1) / b."""
    problem = lv.Problem([[[1]], [[1]]], lv.Gaussian([[0]]))
    assert lv.gradient_variance(problem).coefficients == (0, 4)


def test_learning_rate_zero_is_step_0() -> None:
    problem = lv.Problem(**TWO_LAYERS, learning_rate=0, step=2)
    assert lv.gradient_variance(problem) == lv.gradient_variance(problem.replace(step=0))


def test_iid_batches_have_no_constant_term_and_keep_the_degree_bound() -> None:
    for step, bound in enumerate((1, 6, 23)):
        variance = lv.gradient_variance(lv.Problem(**TWO_LAYERS, learning_rate="1/10", step=step))
        assert variance.coefficients[0] == 0
        assert variance.degree == bound == variance.degree_bound


# against the oracles


@strategies.examples(50)
@given(strategies.problems("dataset", "iid"))
def test_iid_batches_of_a_data_set_equal_enumeration(problem: lv.Problem) -> None:
    for b in batch_sizes(problem, 1_000):
        assert differences(problem, oracles.enumerate_batches(problem, b), b) == []


@strategies.examples(50)
@given(strategies.problems("dataset", "without_replacement"))
def test_batches_without_replacement_equal_enumeration(problem: lv.Problem) -> None:
    for b in batch_sizes(problem, 1_000):
        assert differences(problem, oracles.enumerate_batches(problem, b), b) == []


@strategies.examples(40)
@given(strategies.problems("gaussian"))
def test_gaussian_laws_equal_quadrature(problem: lv.Problem) -> None:
    """b = 1 always; b = 2 where it is small: a few hundred pairs of nodes."""
    nodes = len(oracles.gaussian_examples(problem.law, 4))
    for b in (1, 2) if problem.step == 0 and nodes <= 50 else (1,):
        assert differences(problem, oracles.exact_quadrature(problem, b), b) == []


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_mean_covariance_and_noise_together_equal_quadrature(batch_size: int) -> None:
    law = lv.Gaussian([["1/2"]], [[2]], mean=[-1], noise_variance="1/3")
    problem = lv.Problem([[[1]], [["-3/2"]]], law, "1/5", step=1)
    if batch_size == 3:
        problem = problem.replace(step=0, learning_rate=0)
    assert differences(problem, oracles.exact_quadrature(problem, batch_size), batch_size) == []


def test_the_comparison_notices_every_wrong_quantity() -> None:
    problem = lv.Problem([[[1, 2]], [[-1]]], DATA, "1/10", 1)
    right = oracles.enumerate_batches(problem, 2)
    assert differences(problem, right, 2) == []
    wrong = oracles.Moments(
        tuple(value * Fraction(3, 2) for value in right.second_moments), right.squared_means, right.expected_loss
    )
    assert differences(problem, wrong, 2) == ["second_moments", "variances", "second_moment", "variance"]
    wrong = oracles.Moments(right.second_moments, right.squared_means, right.expected_loss * 2)
    assert differences(problem, wrong, 2) == ["expected_loss"]


@given(strategies.problems("gaussian"), st.data())
def test_laws_of_properties(problem: lv.Problem, data: st.DataObject) -> None:
    """The parts add up; iid has no constant term; degrees keep their bounds."""
    exact = exact_moments(problem)
    assert exact["second_moment"] - exact["squared_mean"] == exact["variance"]
    for name in ("second_moment", "squared_mean", "variance"):
        parts = exact[{"variance": "variances"}.get(name, f"{name}s")]
        assert sum(parts[1:], parts[0]) == exact[name]
    assert exact["variance"].coefficients[0] == 0
    for polynomial in (exact["variance"], exact["second_moment"], exact["squared_mean"], exact["expected_loss"]):
        assert polynomial.degree <= polynomial.degree_bound
    assert exact["variance"](data.draw(st.integers(1, 1000))) >= 0


# steps, schedules, layers


@pytest.mark.parametrize("weights", [[[[1, 2]]], [[[1, 2]], [[-1]]]])
def test_several_steps_are_the_single_ones(weights: Any) -> None:
    problem = lv.Problem(weights, DATA, ["1/10", "1/5", "1/7"], step=3)
    together = lv.derive_steps(problem, range(3))
    assert len(together) == 3
    for step, exact in enumerate(together):
        alone = lv.Problem(weights, DATA, ["1/10", "1/5", "1/7"][:step], step)
        assert exact.problem == alone and exact_moments(alone) == {
            **exact_moments(alone),
            "variances": exact.per_leaf.variance,
            "variance": exact.variance,
            "expected_loss": exact.loss,
        }
        assert exact.variance == lv.gradient_variance(alone) and exact.weights == lv.expected_weights(alone)


def test_steps_in_any_order_and_twice() -> None:
    problem = lv.Problem(**TWO_LAYERS, learning_rate="1/10")
    later, first, again = lv.derive_steps(problem, (1, 0, 1))
    assert [len(one.per_leaf.variance) for one in (later, first)] == [2, 2]
    assert first.per_leaf.variance == lv.derive(problem).per_leaf.variance
    assert later.variance == again.variance != first.variance and lv.derive_steps(problem, []) == ()


def test_a_schedule_is_used_in_its_order() -> None:
    problem = lv.Problem([[[1]], [[2]]], lv.Dataset([[1], [2]], [[1], [-1]]), ["1/10", "1/3"], 2)
    turned = problem.replace(learning_rate=["1/3", "1/10"])
    assert lv.gradient_variance(problem) != lv.gradient_variance(turned)
    for one in (problem, turned):
        assert differences(one, oracles.enumerate_batches(one, 2), 2) == []


def test_steps_beyond_the_schedule_and_below_zero_are_refused() -> None:
    problem = lv.Problem([[[1]]], lv.Gaussian([[2]]), ["1/10"], 1)
    with pytest.raises(ValueError, match="steps contains 2, but learning_rate is a schedule of 1 entries"):
        lv.derive_steps(problem, [2])
    with pytest.raises(ValueError, match="step=-1"):
        lv.derive_steps(problem, [-1])


def test_an_iid_variance_that_does_not_vanish_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = lv.Problem([[[1]], [[2]]], lv.Gaussian([[3]]), "1/10", 1)
    right = ExpandedAt.expectations

    def wrong(self: Any, question: Question, report: Any) -> Any:
        return [value + question.degree(4) for value in right(self, question, report)]

    monkeypatch.setattr(ExpandedAt, "expectations", wrong)
    exact = lv.derive(problem)
    for ask in (lambda: exact.variance, lambda: exact.per_leaf.variance):
        with pytest.raises(ArithmeticError, match="does not vanish as the batch size grows"):
            ask()


def test_a_derivation_too_large_is_refused_before_it_starts() -> None:
    problem = lv.Problem(**TWO_LAYERS, learning_rate="1/10", step=3)
    with pytest.raises(lv.DerivationTooLargeError, match=r"1,091,057,230 monomials, .* [GT]B.*fewer steps .step=3."):
        lv.gradient_variance(problem)
    with pytest.raises(lv.DerivationTooLargeError, match="memory_limit="):
        lv.gradient_variance(problem.replace(step=1), memory_limit=1000)


# symmetries of the problem


@given(strategies.problems("gaussian"))
def test_rotating_hidden_units_changes_nothing(problem: lv.Problem) -> None:
    """W_1 -> O W_1, W_2 -> W_2 O^T with a signed permutation O: the layer gradients rotate along."""
    if problem.depth == 1:
        return
    first, second = problem.weights[:2]
    rotated_first = [[-entry for entry in row] for row in reversed(first)]
    rotated_second = [[-entry for entry in reversed(row)] for row in second]
    rotated = problem.replace(weights=[rotated_first, rotated_second, *problem.weights[2:]])
    assert lv.derive(rotated).per_leaf.variance == lv.derive(problem).per_leaf.variance


@given(strategies.problems("gaussian"), st.fractions(min_value=1, max_value=3, max_denominator=3))
def test_scaling_inputs_and_targets(problem: lv.Problem, scale: Fraction) -> None:
    """(x, y) -> c (x, y) with learning rate a -> a / c^2 leaves the path alone; gradients grow by c^2, variance by c^4."""
    law = problem.law
    scaled = problem.replace(
        law=lv.Gaussian(
            law.teacher,
            [[scale**2 * entry for entry in row] for row in law.covariance],
            [scale * entry for entry in law.mean],
            scale**2 * law.noise_variance,
        ),
        learning_rate=[rate / scale**2 for rate in problem.learning_rates],
        weight_decay=problem.weight_decay * scale**2,
    )
    assert lv.gradient_variance(scaled) == lv.gradient_variance(problem) * scale**4


def test_repeating_every_row_changes_nothing_for_iid_batches() -> None:
    problem = lv.Problem([[[1, 2]], [[-1]]], DATA, "1/10", 1)
    doubled = problem.replace(law=lv.Dataset(DATA.inputs * 2, DATA.targets * 2))
    assert lv.gradient_variance(problem).coefficients == lv.gradient_variance(doubled).coefficients
    drawn_once = [one.replace(sampling="without_replacement") for one in (problem, doubled)]
    assert lv.gradient_variance(drawn_once[0])(2) != lv.gradient_variance(drawn_once[1])(2)


# symbols


def test_symbols_then_numbers_are_numbers_from_the_start() -> None:
    case = next(case for case in CASES if case["id"] == "L2_222_t1")
    alpha = sympy.Symbol("alpha")
    open_rate = lv.Problem(case["weights"], lv.Gaussian(case["teacher"]), alpha, 1)
    variance = lv.gradient_variance(open_rate)
    assert variance.subs({alpha: "1/10"}).coefficients == fractions(case["coefficients_in_u"])
    assert variance.subs({"alpha": 0}) == lv.gradient_variance(open_rate.replace(step=0, learning_rate=0))


@strategies.examples(10)
@given(st.lists(strategies.rationals(), min_size=4, max_size=4))
def test_everything_symbolic_in_one_dimension(values: list[Fraction]) -> None:
    symbols = sympy.symbols("w1 w2 T alpha")
    w1, w2, teacher, rate = values
    variance = lv.gradient_variance(
        lv.Problem(lv.symbolic_weights([1, 1, 1]), lv.Gaussian(lv.symbolic_matrix("T", 1, 1)), symbols[3], 1)
    )
    numbers = lv.gradient_variance(lv.Problem([[[w1]], [[w2]]], lv.Gaussian([[teacher]]), rate, 1))
    assert variance.subs(dict(zip(symbols, values))) == numbers


def test_step_0_formula_in_symbols() -> None:
    """var_0 = 2 e^2 (w1^2 + w2^2) / b with e = w1 w2 - T, for widths 1 and unit variance."""
    w1, w2, t = sympy.symbols("w1 w2 T")
    variance = lv.gradient_variance(lv.Problem([[[w1]], [[w2]]], lv.Gaussian([[t]])))
    assert variance.degree == 1
    assert sympy.expand(variance.coefficients[1] - 2 * (w1 * w2 - t) ** 2 * (w1**2 + w2**2)) == 0


def test_symbols_in_the_law() -> None:
    """L = 1, t = 0: (w - T)^2 (E x^4 - (E x^2)^2) + sigma^2 E x^2 for one example, x ~ N(m, s)."""
    w, t, m, s, noise = sympy.symbols("w T m s sigma2")
    law = lv.Gaussian([[t]], [[s]], mean=[m], noise_variance=noise)
    variance = lv.gradient_variance(lv.Problem([[[w]]], law))
    of_one = (w - t) ** 2 * (4 * m**2 * s + 2 * s**2) + noise * (m**2 + s)
    assert sympy.expand(variance.coefficients[1] - of_one) == 0


@pytest.mark.parametrize("sampling", ["iid", "without_replacement"])
def test_symbolic_weights_on_a_data_set(sampling: str) -> None:
    w, v, alpha = sympy.symbols("w v alpha")
    data = lv.Dataset([[1], [-2], ["1/2"]], [[1], [0], [3]])
    variance = lv.gradient_variance(lv.Problem([[[w]], [[v]]], data, alpha, 1, sampling))
    numbers = lv.Problem([[[2]], [["-1/3"]]], data, "1/7", 1, sampling)
    assert variance.subs({w: 2, v: "-1/3", alpha: "1/7"}) == lv.gradient_variance(numbers)
    assert differences(numbers, oracles.enumerate_batches(numbers, 2), 2) == []
