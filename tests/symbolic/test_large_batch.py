"""The first coefficients in 1/b: equal to those of the whole polynomial, or enclosing them; refused where meaningless."""

from __future__ import annotations

import json
import pickle
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import strategies
import sympy
from flint import arb
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar.errors import DerivationTooLargeError, InputError, InputTypeError
from linvar.laws.polynomial import coordinates
from linvar.problem import Problem
from linvar.symbolic.algebra.scalars import Balls
from linvar.symbolic.laws.gaussian import ExactGaussian
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.quantities import SecondMoment, SquaredMean, Variance
from linvar.symbolic.result.truncated import LargeBatchExpansion
from linvar.symbolic.roads.large_batch import size as large_batch_size
from linvar.symbolic.roads.large_batch.fluctuations import batch_moments
from linvar.symbolic.roads.large_batch.path import Path as Trajectory
from linvar.symbolic.sgd.steps import Steps

CASES = {
    case["id"]: case
    for case in json.loads((Path(__file__).parent.parent / "reference/variance.json").read_text())["cases"]
}
TWO_LAYERS = Problem([[[1, 0], [1, 1]], [[1, 1], [0, 1]]], lv.Gaussian([[1, 0], [0, 2]]), "1/10", 1)
DATA = lv.Dataset([[1, 2], [0, 1], [-1, 1]], [1, 0, "1/2"])


def agree(problem: Problem, order: int, digits: int | None, of: str = "gradient") -> None:
    """Every quantity has the first coefficients of the whole polynomial."""
    found, exact = lv.large_batch(problem, order, digits), lv.derive(problem)
    for name, whole in (("variance", Variance), ("second_moment", SecondMoment), ("squared_mean", SquaredMean)):
        ours = found.measured(name, of)
        assert ours.order == order
        assert ours.agrees_with(exact.one(whole(of)))
        layers = exact.all(whole(of, per_leaf=True))
        assert all(one.agrees_with(other) for one, other in zip(found.leaves(name, of), layers, strict=True))
    if of == "gradient":
        assert found.variance == found.measured("variance")
        assert found.second_moment == found.measured("second_moment")
        assert found.squared_mean == found.measured("squared_mean")
        assert found.loss.agrees_with(exact.loss)
    else:
        assert found.update_variance == found.measured("variance", "update")
        assert found.per_leaf.update_variance == found.leaves("variance", "update")


def reference(case: dict[str, Any]) -> Problem:
    """The problem of a case."""
    return Problem(case["weights"], lv.Gaussian(case["teacher"]), case["alpha"], case["t"])


# exact


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_reference_values(name: str, order: int) -> None:
    case = CASES[name]
    found = lv.large_batch(reference(case), order)
    for expansion, key in (
        (found.variance, "coefficients_in_u"),
        (found.second_moment, "second_moment_in_u"),
        (found.squared_mean, "squared_mean_in_u"),
    ):
        wanted = [Fraction(value) for value in case[key]][: order + 1]
        assert list(expansion.coefficients) == wanted + [0] * (order + 1 - len(wanted))


@strategies.examples(40)
@given(strategies.problems("dataset"), st.integers(1, 3))
def test_data_sets_have_the_coefficients_of_the_whole_polynomial(problem: Problem, order: int) -> None:
    agree(problem, order, None)


@strategies.examples(40)
@given(strategies.problems("gaussian"), st.integers(1, 3))
def test_gaussian_laws_have_the_coefficients_of_the_whole_polynomial(problem: Problem, order: int) -> None:
    agree(problem, order, None)


@pytest.mark.parametrize(
    "rule",
    [{"momentum": "1/2"}, {"momentum": "-1/3", "nesterov": True, "weight_decay": "1/4"}, {"weight_decay": "1/3"}],
)
@pytest.mark.parametrize("digits", [None, 12])
def test_rules_weights_and_updates(rule: dict[str, Any], digits: int | None) -> None:
    data = lv.Dataset([[1], ["1/2"], [-1]], [1, 0, "1/2"])
    problem = Problem([[[1]], [["-1/2"]]], data, "1/5", 2, **rule)
    agree(problem, 2, digits)
    agree(problem, 2, digits, "update")
    found, exact = lv.large_batch(problem, 2, digits), lv.derive(problem)
    for ours, whole in (
        (sum(found.weights, ()), sum(exact.weights, ())),
        (found.weight_covariance, exact.weight_covariance),
    ):
        for row, other in zip(ours, whole, strict=True):
            assert all(one.agrees_with(two) for one, two in zip(row, other, strict=True))


def test_a_schedule_and_many_steps_of_linear_regression() -> None:
    problem = Problem([[[1, 2]]], DATA, ["1/5", "1/7", "1/9", "1/5", 0, "1/3"], 6)
    for order in (1, 3):
        agree(problem, order, None)
    agree(Problem([[[1, 2]]], DATA, "1/5", 40), 2, None)


def test_three_steps_of_two_layers() -> None:
    problem = Problem([[["3/2"]], [["-1/2"]]], lv.Gaussian([[2]]), ["1/10", "1/5", "1/7"], 3)
    whole = lv.gradient_variance(problem)
    for order, digits in ((1, None), (4, None), (4, 30)):
        assert lv.large_batch(problem, order, digits).variance.agrees_with(whole)


def test_symbolic_weights() -> None:
    alpha = sympy.Symbol("alpha")
    problem = Problem(lv.symbolic_weights([1, 1, 1]), lv.Gaussian(lv.symbolic_matrix("T", 1, 1)), alpha, 1)
    agree(problem, 1, None)
    agree(problem, 3, None)
    problem = Problem(lv.symbolic_weights([2, 1, 1]), lv.Gaussian(lv.symbolic_matrix("T", 1, 2)), alpha, 1)
    assert lv.large_batch(problem, 2).variance.agrees_with(lv.gradient_variance(problem))
    assert lv.large_batch(problem, 1).variance.symbols == problem.symbols
    law = lv.Gaussian([[1]], covariance=[[sympy.Symbol("s")]], noise_variance=sympy.Symbol("v"))
    agree(Problem([[[2]], [[3]]], law, "1/10", 1), 3, None)


def test_two_steps_of_a_symbolic_network_agree_with_numbers() -> None:
    problem = Problem(lv.symbolic_weights([1, 1, 1]), lv.Gaussian([["1/2"]]), "1/10", 2)
    first = lv.large_batch(problem, 2).variance.coefficients
    values = dict(zip(problem.symbols, (sympy.Rational(3, 2), sympy.Rational(-1, 2))))
    numeric = lv.large_batch(
        Problem([[[values[problem.weights[0][0][0]]]], [[values[problem.weights[1][0][0]]]]], problem.law, "1/10", 2), 2
    )
    assert [sympy.sympify(c).subs(values) for c in first] == [
        sympy.Rational(c.numerator, c.denominator) for c in numeric.variance.coefficients
    ]


def test_beyond_the_degree_the_coefficients_are_zero() -> None:
    problem = Problem([[[2]], [["1/3"]]], lv.Gaussian([[1]]), "1/10", 1)
    for digits in (None, 10):
        expansion = lv.large_batch(problem, 9, digits).variance
        assert expansion.coefficients[6] != 0
        assert all(value == 0 for value in expansion.coefficients[7:])
        assert expansion.agrees_with(lv.gradient_variance(problem))


def test_no_step_and_no_noise() -> None:
    at_start = TWO_LAYERS.replace(step=0)
    assert lv.large_batch(at_start, 2).variance.coefficients == (0, 36, 0)
    assert lv.large_batch(at_start, 0).variance.coefficients == (0,)
    fitted = Problem([[[1, 0], [0, 1]], [[1, 0], [0, 2]]], lv.Gaussian([[1, 0], [0, 2]]), "1/10", 3)
    zero = Problem([[[0]], [[0]]], lv.Gaussian([[1]]), "1/10", 5)
    for problem in (fitted, zero):
        for digits in (None, 20):
            assert lv.large_batch(problem, 2, digits).variance.coefficients == (0, 0, 0)


def test_a_wrong_cumulant_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:

    right = ExactGaussian.cumulants
    monkeypatch.setattr(
        ExactGaussian, "cumulants", lambda *a: [c * (1 + (k == 2)) for k, c in enumerate(right(*a))], raising=True
    )
    wrong = lv.large_batch(TWO_LAYERS, 2).variance
    monkeypatch.undo()
    truth = lv.large_batch(TWO_LAYERS, 2).variance
    assert wrong.coefficients[:2] == truth.coefficients[:2]
    assert wrong != truth


def test_central_moments_of_a_batch() -> None:
    """x ~ N(0, 1): S - 1 has the moments 2u, 8u^2, 12u^2 + 48u^3."""
    found = batch_moments(exact_law(lv.Gaussian([[1]])), [coordinates(1)[0] ** 2], 3, ())
    values = [{len(key): value.leading_coefficient() for key, value in part.items()} for part in found]
    assert values == [{0: 1}, {2: 2}, {3: 8, 4: 12}, {4: 48, 5: 160, 6: 120}]


# enclosed


@strategies.examples(30)
@given(st.sampled_from(["dataset", "gaussian"]).flatmap(strategies.problems), st.integers(1, 2), st.integers(1, 40))
def test_enclosures_contain_the_exact_values_and_are_narrow(problem: Problem, order: int, digits: int) -> None:
    agree(problem, order, digits)
    exact, enclosed = (lv.large_batch(problem, order, d).variance for d in (None, digits))
    for value, (low, high) in zip(exact.coefficients, enclosed.intervals):
        assert low <= value <= high
        if value:
            assert high - low <= 2 * abs(value) / Fraction(10) ** digits
        else:
            assert high - low < Fraction(1, 10**digits)


@pytest.mark.parametrize("order, step", [(1, 9), (2, 7)])
def test_enclosures_of_many_steps(order: int, step: int) -> None:
    problem = TWO_LAYERS.replace(step=step)
    exact, enclosed = lv.large_batch(problem, order).variance, lv.large_batch(problem, order, 50).variance
    for value, (low, high) in zip(exact.coefficients, enclosed.intervals):
        assert low <= value <= high
        assert high - low <= 2 * abs(value) / Fraction(10) ** 50
        wrong = value + Fraction(value, 10**45)
        assert not value or not low <= wrong <= high


def test_too_small_a_radius_is_seen() -> None:
    """At every precision the exact values are enclosed; in enclosures with a 500th of the radius they are not."""
    road = lv.large_batch(TWO_LAYERS, 2)
    truth = road.variance.coefficients
    missed = 0
    for bits in range(16, 80):
        path = Trajectory(road._polynomials, 2, Balls(bits))
        with path.scalars.working():
            (found,) = path.variances("gradient", False)
        intervals = LargeBatchExpansion(found, digits=1).intervals  # arb.contains would round the fraction
        for value, (low, high) in zip(truth, intervals):
            assert low <= value <= high
            missed += abs(value - (low + high) / 2) > (high - low) / 2 / 500
    assert missed > 10


def test_a_zero_by_coincidence_is_enclosed() -> None:
    """E x = E x^3 = 0 on this data: the loss is not smaller for it, and nothing runs for ever."""
    data = lv.Dataset([["1/3"], ["-1/3"]], [["1/3"], ["-1/3"]])
    problem = Problem([[[1]], [["1/3"]]], data, "1/7", 2)
    for digits in (5, 30):
        found = lv.large_batch(problem, 3, digits).variance
        assert found.agrees_with(lv.gradient_variance(problem))
    unmoved = Problem([[["1/3"]]], lv.Dataset([["1/7"]], [["1/3"]]), "1/7", 2)  # one example: no variance at all
    found = lv.large_batch(unmoved, 1, 10).variance
    assert found.agrees_with(lv.gradient_variance(unmoved))
    assert all(high - low < Fraction(1, 10**40) for low, high in found.intervals)


def test_a_hundred_steps() -> None:
    expansion = lv.large_batch(TWO_LAYERS.replace(step=100), 1, 30).variance
    twice = lv.large_batch(TWO_LAYERS.replace(step=100), 1, 60).variance
    (low, high), (inner_low, inner_high) = expansion.intervals[1], twice.intervals[1]
    assert low <= inner_low <= inner_high <= high
    assert repr(expansion).startswith("[1.40020378318308442918293887427e-19 +/- ")


def test_a_path_that_diverges() -> None:
    """Doubly exponential growth: the balls hold it, fractions do not."""
    expansion = lv.large_batch(TWO_LAYERS.replace(step=20, learning_rate=3), 1, 10).variance
    assert repr(expansion).startswith("[3.143131872e+6717896181 +/- ")
    with pytest.raises(OverflowError, match="use coefficients"):
        expansion.intervals  # noqa: B018


# refusals


def test_without_replacement_is_refused() -> None:
    problem = Problem([[[1, 2]]], DATA, "1/5", 1, "without_replacement")
    with pytest.raises(
        ValueError, match=r"order=2 with sampling='without_replacement'.*sampling='iid', or linvar.derive"
    ):
        lv.large_batch(problem, 2)


def test_two_orders_if_none_is_given() -> None:
    assert lv.LargeBatch() == lv.LargeBatch(order=2)
    asked = lv.large_batch(TWO_LAYERS, order=2).variance.coefficients
    assert lv.large_batch(TWO_LAYERS).variance.coefficients == asked and len(asked) == 3 and asked[2] != 0
    assert repr(lv.large_batch(TWO_LAYERS, digits=8).variance) == repr(lv.large_batch(TWO_LAYERS, 2, 8).variance)


@pytest.mark.parametrize("order, digits", [(-1, None), (True, None), (1.0, None), (1, 0), (1, 2.5), (1, True)])
def test_orders_and_digits(order: Any, digits: Any) -> None:
    with pytest.raises(ValueError, match=r"order=|digits="):
        lv.large_batch(TWO_LAYERS, order, digits)
    with pytest.raises(ValueError, match=r"order=|digits="):
        lv.plan(TWO_LAYERS, lv.LargeBatch(order, digits))


def test_digits_of_symbols_are_refused() -> None:
    problem = Problem(lv.symbolic_weights([1, 1]), lv.Gaussian([[1]]))
    with pytest.raises(ValueError, match=r"digits=9 with the symbols .*leave digits= out"):
        lv.large_batch(problem, 1, 9)


@pytest.mark.parametrize("step", [14, 1000, 10**9])
def test_too_many_digits_are_refused_at_once_with_the_cure(step: int) -> None:
    start = time.perf_counter()
    with pytest.raises(DerivationTooLargeError, match=r"large_batch: up to u\^1, .* digits each.*digits=30"):
        lv.large_batch(TWO_LAYERS.replace(step=step), order=1)
    assert time.perf_counter() - start < 5, "refused only after work had begun"


def test_too_large_an_order_and_too_many_symbols_are_refused() -> None:
    with pytest.raises(DerivationTooLargeError, match=r"smaller order \(order=12\)"):
        lv.large_batch(TWO_LAYERS.replace(step=3), order=12, digits=30)
    with pytest.raises(DerivationTooLargeError, match=r"terms in the symbols.*numbers in place of"):
        lv.large_batch(Problem(lv.symbolic_weights([2, 2, 2]), lv.Gaussian([[1, 0], [0, 1]]), "1/10", 4), order=1)
    with pytest.raises(DerivationTooLargeError, match=r"limit of 1 bytes"):
        lv.large_batch(TWO_LAYERS, order=1, memory_limit=1)


@pytest.mark.parametrize("step", [4, 6, 8])
def test_the_predicted_digits(step: int) -> None:
    problem = TWO_LAYERS.replace(step=step)
    found = len(str(lv.large_batch(problem, 1).variance.coefficients[1]).split("/")[0])
    predicted = large_batch_size.predict(Steps(problem), 1).digits
    assert found <= predicted <= 1.25 * found
    assert large_batch_size.predict(Steps(problem), 1, 30).digits < 80


# the type


def test_an_expansion_is_no_polynomial() -> None:
    expansion, whole = lv.large_batch(TWO_LAYERS, 2).variance, lv.gradient_variance(TWO_LAYERS)
    assert not isinstance(expansion, lv.BatchPolynomial)
    assert expansion != whole and whole != expansion
    with pytest.raises(TypeError, match=r"only the coefficients up to u\^2.*b=32.*linvar.derive"):
        expansion(32)
    with pytest.raises(TypeError):
        expansion + whole
    with pytest.raises(TypeError):
        whole - expansion
    assert not expansion.agrees_with(whole * 2)
    assert repr(expansion) == "2384003/125000 u + 1622813/125000 u^2 + O(u^3)    (u = 1/b)"
    assert expansion.latex().endswith(r"O\left(\frac{1}{b^{3}}\right)")
    assert expansion._repr_latex_().startswith(r"$\displaystyle \frac{2384003}{125000} \frac{1}{b} + ")


def test_arithmetic_equality_and_pickles() -> None:
    road = lv.large_batch(TWO_LAYERS, 2)
    assert road.second_moment - road.squared_mean == road.variance
    first, second = road.per_leaf.variance
    assert first + second == road.variance and hash(first + second) == hash(road.variance)
    assert (first - second) + second == first != second and -first != first
    assert pickle.loads(pickle.dumps(first)) == first
    assert lv.large_batch(TWO_LAYERS, 1).variance != road.variance
    with pytest.raises(ValueError, match="they do not mix"):
        lv.large_batch(TWO_LAYERS, 1).variance + first
    enclosed = lv.large_batch(TWO_LAYERS, 2, 25)
    with pytest.raises(ValueError, match="they do not mix"):
        enclosed.variance + first
    assert (enclosed.second_moment - enclosed.squared_mean).agrees_with(lv.gradient_variance(TWO_LAYERS))
    assert not enclosed.variance.exact and isinstance(enclosed.variance.coefficients[1], arb)
    copy = pickle.loads(pickle.dumps(enclosed.variance))
    assert copy.intervals == enclosed.variance.intervals and copy.digits == 25
    assert r"\pm" in copy.latex()
    x = sympy.Symbol("x")
    symbolic = LargeBatchExpansion([x, 2 * x])
    assert pickle.loads(pickle.dumps(symbolic)) == symbolic == symbolic + LargeBatchExpansion([0, 0])
    with pytest.raises(ValueError, match="no intervals"):
        symbolic.intervals  # noqa: B018
    with pytest.raises(ValueError, match="empty"):
        LargeBatchExpansion([])
    with pytest.raises(TypeError, match="digits=3"):
        LargeBatchExpansion([1], digits=3)


def test_the_precision_of_flint_is_left_as_it_was() -> None:
    import flint

    before = flint.ctx.prec
    assert lv.large_batch(TWO_LAYERS, 2, 200).variance.order == 2
    assert flint.ctx.prec == before


# what is asked


def test_all_quantities_are_found_on_one_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The path is run when the first is asked for, and each quantity is made once; in enclosures it may be run anew, longer."""
    made = []
    run, losses = Trajectory._run, Trajectory.losses
    monkeypatch.setattr(Trajectory, "_run", lambda self: made.append("path") or run(self))
    monkeypatch.setattr(Trajectory, "losses", lambda self: made.append("loss") or losses(self))
    found = lv.large_batch(TWO_LAYERS, 2)
    assert made == []
    assert found.loss is found.loss and found.variance is found.measured("variance") and found.weights
    assert found.weight_covariance and found.update_variance and found.per_leaf.squared_mean
    assert made == ["path", "loss"]
    assert found.problem is TWO_LAYERS and found.road == lv.LargeBatch(2)
    assert found.plan == lv.plan(TWO_LAYERS, lv.LargeBatch(2)).choice


def test_layers_add_up() -> None:
    for problem in (TWO_LAYERS, TWO_LAYERS.replace(momentum="1/2", nesterov=True)):
        found = lv.large_batch(problem, 2)
        layers = found.per_leaf
        assert sum(layers.variance[1:], layers.variance[0]) == found.variance
        assert sum(layers.second_moment[1:], layers.second_moment[0]) == found.second_moment
        assert sum(layers.squared_mean[1:], layers.squared_mean[0]) == found.squared_mean
        assert sum(layers.update_variance[1:], layers.update_variance[0]) == found.update_variance
        assert found.update_variance != found.variance and layers.variance[0] != layers.variance[1]
    gain = Fraction(1, 10) * Fraction(
        3, 2
    )  # given the state, the update varies by rate (1 + momentum) times the gradient
    still = lv.large_batch(TWO_LAYERS.replace(momentum="1/2", nesterov=True, step=0), 1)
    assert still.update_variance.coefficients == (0, gain**2 * still.variance.coefficients[1])


def test_the_update_after_a_schedule_has_no_variance() -> None:
    found = lv.large_batch(TWO_LAYERS.replace(learning_rate=["1/10"]), 1)
    for ask in (lambda: found.update_variance, lambda: found.per_leaf.update_variance):
        with pytest.raises(
            InputError, match=r"of='update' with a schedule of 1 learning rates.*: give one learning_rate"
        ):
            ask()
    with pytest.raises(InputError, match="of='updates' is unknown: write 'gradient' or 'update'"):
        found.measured("variance", "updates")
    assert found.variance.order == 1


@pytest.mark.parametrize(
    ("quantity", "words"),
    [
        *(
            (quantity, ("per_layer", "steps", "order", "digits", "method", "checkpoint"))
            for quantity in (lv.gradient_variance, lv.second_moment, lv.squared_mean)
        ),
        (lv.expected_loss, ("steps", "order", "digits", "method", "checkpoint")),
        (lv.expected_weights, ("order", "digits", "method", "checkpoint")),
        (lv.weight_covariance, ("order", "digits", "method", "checkpoint")),
        (lv.plan, ("order", "digits")),
    ],
)
def test_words_that_went_are_refused_with_those_that_came(quantity: Any, words: tuple[str, ...]) -> None:
    cures = {
        "per_layer": r"use linvar.derive\(problem\).per_leaf",
        "steps": r"use linvar.derive_steps\(problem, steps\)",
        "order": r"use linvar.large_batch\(problem, order, digits\)",
        "digits": r"use linvar.large_batch\(problem, order, digits\)",
        "method": r"give road=linvar.Lattice\(\)",
        "checkpoint": r"give road=linvar.Lattice\(checkpoint=...\)",
    }
    for word in words:
        said = f"^{word}=1 is no argument of {quantity.__name__}: {cures[word]}"
        with pytest.raises(InputTypeError, match=said):
            quantity(TWO_LAYERS, **{word: 1})


def test_it_is_no_road_to_the_polynomial() -> None:
    for ask in (lv.derive, lv.gradient_variance, lv.expected_loss):
        with pytest.raises(
            InputTypeError, match=r"road=LargeBatch\(.*first coefficients only are linvar.large_batch's"
        ):
            ask(TWO_LAYERS, lv.LargeBatch(1))
