"""Problem(bias=True): the same answers as the loss written by hand, ==, on every law, road and rule; and what it refuses."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pytest
import sympy

import linvar as lv
from linvar.errors import InputError
from linvar.laws.law import Law, ReadTable
from linvar.plain_data import Plain, ProblemFileError
from linvar.problem_file import problem_from_dict
from linvar.symbolic.laws.dataset import ExactDataset
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.models.linear.biased import BiasedModel
from linvar.symbolic.models.polynomial.model import PolynomialModel
from linvar.symbolic.models.registry import exact_model
from linvar.symbolic.sgd.steps import Steps
from linvar.testing import check_model

ONE = [([["1/2", 1], [1, "-1/3"]], [1, "1/5"])]
TWO = [([["1/2", 1]], [2]), ([[1], ["1/2"]], ["-1/3", 2])]
THREE = [([["1/2", 1]], [2]), ([["1/3"]], [1]), ([[1], ["1/2"]], ["-1/3", 2])]
ROWS = ([[1, 2], [0, 1], [1, -1]], [[1, 0], [2, 1], [0, 0]])
LAWS: dict[str, Law] = {
    "white": lv.Gaussian([[1, 0], ["1/3", 2]]),
    "noisy": lv.Gaussian([[1, 0], ["1/3", 2]], [[2, 1], [1, 1]], [1, "1/2"], "1/4"),
    "rows": lv.Dataset(*ROWS),
    "weighted": lv.Finite(*ROWS, ["1/2", "1/3", "1/6"]),
    "coordinates": lv.Independent([lv.Uniform(), lv.Normal(1)], lambda z: (z, [z[0] * z[1], z[1]])),
    "contaminated": lv.ScaleMixture(lv.Gaussian([[1, 0], [0, 1]]), scales=[1, 2], probabilities=["1/2", "1/2"]),
    "heavy": lv.ScaleMixture(lv.Gaussian([[1, 0], [0, 1]], mean=[1, 0]), degrees_of_freedom=23),
}


def by_hand(params: Any, example: Any) -> Any:
    """1/2 ||W_L (... (W_1 x + c_1) ...) + c_L - y||^2."""
    x, y = example
    for weight, bias in params:
        x = weight @ x + bias
    return ((x - y) ** 2).sum() / 2


def nested(value: Any) -> Any:
    """Tuples of rows as lists, which are leaves."""
    return [nested(part) for part in value] if isinstance(value, (tuple, list)) else value


def check(problem: lv.Problem) -> None:
    """Everything that is derived, against the loss written by hand."""
    weights = tuple((nested(w), nested(c)) for w, c in problem.weights)
    written = problem.replace(weights=weights, loss=by_hand)
    ours, theirs = lv.derive(problem), lv.derive(written)
    assert ours.variance == theirs.variance and ours.second_moment == theirs.second_moment
    assert ours.loss == theirs.loss and ours.squared_mean == theirs.squared_mean
    assert ours.per_leaf.variance == theirs.per_leaf.variance
    assert [(nested(w), nested(c)) for w, c in ours.weights] == [*theirs.weights]
    assert ours.weight_covariance == theirs.weight_covariance
    assert problem.degree == written.degree == 2 * problem.depth and ours.variance != 0


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize(("weights", "step"), [(ONE, 0), (ONE, 2), (TWO, 0), (TWO, 1), (THREE, 0)])
def test_the_same_as_the_loss_by_hand(name: str, weights: Any, step: int) -> None:
    problem = lv.Problem(weights, LAWS[name], "1/10", step, bias=True)
    assert isinstance(exact_model(problem), PolynomialModel if len(weights) == 1 else BiasedModel)
    check(problem)


@pytest.mark.parametrize(
    "rule",
    [
        {"momentum": "1/2"},
        {"momentum": "1/2", "nesterov": True, "weight_decay": "1/3"},
        {"sampling": "without_replacement"},
    ],
)
def test_other_rules_and_sampling(rule: dict[str, Any]) -> None:
    check(lv.Problem(TWO, LAWS["rows"], "1/10", 1, bias=True, **rule))


def test_one_layer_takes_many_steps() -> None:
    problem = lv.Problem(ONE, LAWS["rows"], "1/10", 9, bias=True)
    exact = lv.derive(problem)
    extended = [[*row, 1] for row in ROWS[0]]
    joined = lv.Problem([[["1/2", 1, 1], [1, "-1/3", "1/5"]]], lv.Dataset(extended, ROWS[1]), "1/10", 9)
    assert exact.road == lv.Regression() and exact.variance == lv.gradient_variance(joined)
    assert not problem.is_linear_regression


def test_zero_biases_and_their_gradient() -> None:
    """At step 0 the gradient of the weights is that of the network without biases."""
    plain = [[["1/2", 1]], [[1], ["1/2"]]]
    without = lv.derive(lv.Problem(plain, LAWS["rows"]))
    zero = lv.derive(lv.Problem([(plain[0], [0]), (plain[1], [0, 0])], LAWS["rows"], bias=True))
    assert tuple(w for w, _ in zero.per_leaf.variance) == without.per_leaf.variance
    assert zero.loss == without.loss and zero.variance != without.variance


def test_symbols_stay() -> None:
    sigma = lv.symbolic_matrix("s", 2, 2, symmetric=True)
    symbolic = list(zip(lv.symbolic_weights([2, 1, 1]), ([sympy.Symbol("p")], [sympy.Symbol("q")])))
    law = lv.Gaussian([[1, 0]], sigma)
    found = lv.gradient_variance(lv.Problem(symbolic, law, bias=True))
    numbers = [([[1, 2]], [3]), ([["1/2"]], [-1])]
    put = dict(
        zip([*symbolic[0][0], *symbolic[0][1], *symbolic[1][0], *symbolic[1][1]], [1, 2, 3, lv.Rational(1, 2), -1])
    )
    put |= {sigma[0, 0]: 2, sigma[0, 1]: 1, sigma[1, 1]: 3}
    expected = lv.gradient_variance(lv.Problem(numbers, lv.Gaussian([[1, 0]], [[2, 1], [1, 3]]), bias=True))
    assert found.subs(put) == expected != 0


def test_large_batches() -> None:
    problem = lv.Problem(TWO, LAWS["noisy"], "1/10", 1, bias=True)
    assert lv.large_batch(problem, 2).variance.agrees_with(lv.gradient_variance(problem))


@dataclass(frozen=True)
class Own(Law):
    """Rows of a user's own kind, which says nothing about a constant."""

    data: lv.Dataset
    input_width, target_width = 2, 2

    @classmethod
    def from_dict(cls, data: Mapping[str, Plain], table: ReadTable) -> Law:
        raise NotImplementedError


def test_a_law_of_ones_own() -> None:
    exact_law.register(Own, lambda law: ExactDataset(law.data))
    own = Own(LAWS["rows"])  # type: ignore[arg-type]
    problem = lv.Problem(TWO, own, "1/10", 1, bias=True)
    assert isinstance(exact_model(problem), PolynomialModel)
    assert lv.gradient_variance(problem) == lv.gradient_variance(problem.replace(law=LAWS["rows"]))


def test_wide_networks_take_the_fast_structure() -> None:
    weights = [([[1] * 10, [2] * 10, [0, 1] * 5], [1, 2, 3]), ([[1, 2, 3]], [1])]
    problem = lv.Problem(weights, lv.datasets.diabetes(1), bias=True)
    zeros = lv.gradient_variance(problem.replace(weights=[(weights[0][0], [0] * 3), (weights[1][0], [0])]))
    assert lv.gradient_variance(problem) != zeros
    assert lv.Lattice().cost(Steps(problem)).obstacle is None, "nothing varies before step 0"


def test_biased_networks_conform(key: Any) -> None:
    check_model(lv.Problem(TWO, LAWS["rows"], "1/10", 1, bias=True), key=key)


def test_verify_agrees() -> None:
    problem = lv.Problem(TWO, LAWS["noisy"], "1/50", 1, bias=True)
    report = lv.verify(problem, key=jax.random.key(0), runs=2_000, batch_sizes=[2], progress=False)
    assert report.ok and {row.verdict for row in report.rows} == {"AGREE"}
    names = {row.quantity for row in report.rows}
    wrong = {name: poly * lv.Rational(3, 2) for name, poly in report.polynomials.items()}
    assert names and "REJECT" in {
        row.verdict
        for row in lv.verify(
            problem, key=jax.random.key(0), runs=2_000, batch_sizes=[2], progress=False, polynomials=wrong
        ).rows
    }


def test_the_statement() -> None:
    problem = lv.Problem(TWO, LAWS["noisy"], "1/10", 1, bias=True)
    assert (problem.depth, problem.widths) == (2, (2, 1, 2)) and repr(problem).endswith("step=1, bias=True)")
    assert repr(problem).startswith('Problem([([["1/2", 1]], [2]), ([[1], ["1/2"]], ["-1/3", 2])], Gaussian(')
    half, third = lv.Rational(1, 2), lv.Rational(-1, 3)
    assert problem.weights == ((((half, 1),), (2,)), (((1,), (half,)), (third, 2)))
    assert problem == lv.Problem(problem.weights, LAWS["noisy"], "1/10", 1, bias=True)
    assert pickle.loads(pickle.dumps(problem)) == problem == problem_from_dict(problem.to_dict())
    assert problem.to_dict()["bias"] is True and problem.to_dict()["weights"][1] == [[[1], ["1/2"]], ["-1/3", 2]]
    assert problem.replace(step=2).step == 2 and problem.replace(step=2).model == problem.model
    without = problem.replace(bias=False, weights=[w for w, _ in problem.weights])
    assert without == lv.Problem([w for w, _ in problem.weights], LAWS["noisy"], "1/10", 1)
    assert without.replace(bias=True, weights=problem.weights) == problem
    floats = lv.Problem.from_arrays([([[0.5, 1.0]], [2.0])], teacher=[[1.0, 0.0]], bias=True)
    assert floats.weights == ((((half, 1),), (2,)),)
    assert lv.Problem(TWO, lv.Gaussian(0), bias=True).law.teacher == ((0, 0), (0, 0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lv.Problem([[[1, 2]]], lv.Gaussian([[1, 0]]), bias=True), r"^weights\[0\].* is no pair: with bias=True give"),
        (lambda: lv.Problem([([[1, 2]], [1])], lv.Gaussian([[1, 0]])), r"^weights\[0\]=.* is a pair of a matrix and a bias: "),
        (lambda: lv.Problem(TWO, lv.Gaussian([[1, 0]])), r"^weights\[0\]=.* is a pair of .*: give bias=True with pairs"),
        (lambda: lv.Problem([(np.ones((2, 2), int), np.ones(2, int))], lv.Gaussian([[1, 0]])), r"^weights\[0\]=.* is a pair"),
        (lambda: lv.Problem([[[1, 2], 3]], lv.Gaussian([[1, 0]])), r"^weights\[0\]\[1\]=3 is of type int"),
        (lambda: lv.Problem([[[1, 2], [3]]], lv.Gaussian([[1, 0]]), bias=True), r"^weights\[0\]\[0\].* is no matrix: with"),
        (lambda: lv.Problem([([[1, 2]], [1, 2])], lv.Gaussian([[1, 0]]), bias=True),
         r"^weights\[0\]\[1\] has 2 entries, but weights\[0\]\[0\] has shape \(1, 2\): give one bias for each of the 1 rows"),
        (lambda: lv.Problem([([[1, 2]], [1]), ([[1, 2]], [1])], lv.Gaussian([[1, 0]]), bias=True),
         r"^weights\[1\]\[0\] has shape \(1, 2\), but weights\[0\]\[0\] has shape \(1, 2\)"),
        (lambda: lv.Problem([], lv.Gaussian([[1, 0]]), bias=True), "^weights is empty: with bias=True give a list of pairs"),
        (lambda: lv.Problem(TWO, lv.Gaussian([[1]]), bias=True), "teacher has shape .* network maps 2 inputs to 2 outputs"),
        (lambda: lv.Problem(TWO, LAWS["rows"], bias=1), "^bias=1 is of type int: write True or False"),
        (lambda: lv.Problem(TWO, LAWS["rows"], bias=True, loss=by_hand), "^bias=True stands beside loss=: leave one of"),
        (lambda: lv.Problem([([[0.5]], [1])], lv.Gaussian([[1]]), bias=True), r"^weights\[0\]\[0\]\[0\]\[0\]=0.5"),
        (lambda: lv.RegressionMoments(lv.Problem(ONE, LAWS["rows"], bias=True)), "is of widths 2-2 with biases"),
        (lambda: lv.trace_formula(2, 0)(lv.Problem(TWO, LAWS["white"], bias=True)), "is no linear network"),
    ],
)  # fmt: skip
def test_what_does_not_fit_says_so(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([[[[1, 2]], [1], [2]]], r"weights\[0\]=.* with a bias write \[W_l, c_l\]"),
        ([[[[1, 2]]]], r"weights\[0\]"),
        ([[[[1, 2]], 1]], r"weights\[0\]\[1\]"),
    ],
)
def test_files_with_biases_are_checked(weights: Any, message: str) -> None:
    law = {"kind": "gaussian", "teacher": [[1, 0]]}
    with pytest.raises(ProblemFileError, match=message):
        problem_from_dict({"weights": weights, "law": law, "bias": True})
    with pytest.raises(ProblemFileError, match="bias"):
        problem_from_dict({"weights": [[[1, 2]]], "law": law, "bias": 1})
