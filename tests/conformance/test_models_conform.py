"""Models go through the conformance suite; losses that are polynomial in the weights equal published values and enumeration."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import oracles
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.symbolic.models.polynomial.model import PolynomialModel
from linvar.testing import check_model

REFERENCE = json.loads((Path(__file__).parent.parent / "reference" / "polynomial_losses.json").read_text("utf-8"))
CASES = {case["name"]: case for case in REFERENCE["cases"]}


def squares(residual: Any) -> Any:
    return (residual * residual).sum() / 2


LOSSES = {
    "diagonal": lambda u, v, x, y: squares((u * u - v * v) @ x - y),
    "diagonal with decay": lambda u, v, x, y: squares((u * u - v * v) @ x - y) + ((u * u).sum() + (v * v).sum()) / 10,
    "products": lambda u, v, x, y: squares((u * v) @ x - y),
    "biases": lambda w1, c1, w2, c2, x, y: squares(w2 @ (w1 @ x + c1[0]) + c2[0] - y),
    "quadratic": lambda w, a, x, y: squares(a @ (w @ x) ** 2 - y),
    "low rank": lambda a, b, x, y: squares(x + b @ (a @ x) - y),
    "quartic": lambda w, x, y: ((w @ x - y) ** 4).sum() / 4,
    "convolutions": lambda k, m, x, y: squares(m @ (k[0, :1] * x[:2] + k[0, 1:] * x[1:]) - y),
    "phase": lambda w, x, y: squares((w @ x) ** 2 - y),
    "autoencoder": lambda w, x, y: squares(w.T @ (w @ x) - x),
    "residual": lambda a, b, x, y: squares((x + a @ x) + b @ (x + a @ x) - y),
    "linear": lambda w, x, y: squares(w @ x - y),
}  # fmt: skip
#: the words of the reference, in their order
NAMED = {
    "diagonal network with L2": "diagonal with decay", "diagonal network": "diagonal", "biases": "biases",
    "quadratic": "quadratic", "LoRA": "low rank", "quartic": "quartic", "two linear convolutions": "convolutions",
    "rise: phase": "phase", "rise: two scalar": "products", "tied autoencoder": "autoencoder",
}  # fmt: skip
NORMALS = [lv.Normal(), lv.Normal()]
LAWS = {
    "x ~ N(0, I_2), y = x_1 - x_2/2 + N(0, 1/4)": lv.Gaussian([[1, "-1/2"]], noise_variance="1/4"),
    "x ~ N(0, I_2)": lv.Gaussian([[0, 0]]),
    "x ~ N(0, I_2), y = x_1^2 - x_2^2/2": lv.Independent(NORMALS, lambda z: (z, z[0] ** 2 - z[1] ** 2 / 2)),
    "x uniform on {-1, 1}^2, y = x_1^2 - x_2^2/2": lv.Independent(
        [lv.Rademacher()] * 2, lambda z: (z, z[0] ** 2 - z[1] ** 2 / 2)
    ),
    "x ~ N(0, I_2), y = x_1 - x_2/2": lv.Gaussian([[1, "-1/2"]]),
}


def loss_of(function: Any) -> Any:
    """A loss as linvar takes it, of a function of the leaves, x and y."""
    return lambda params, example: function(*params, *example)


def problem_of(case: dict[str, Any]) -> lv.Problem:
    """A problem of the reference."""
    family = next(value for key, value in NAMED.items() if case["name"].startswith(key))
    weights = [leaf if isinstance(leaf[0], list) else [leaf] for leaf in case["weights"].values()]
    if "rows" in case["law"]:
        rows = case["law"]["rows"]
        law: Any = lv.Dataset([x for x, _ in rows], [y if isinstance(y, list) else [y] for _, y in rows])
    else:
        law = LAWS[case["law"]["kind"]]
    return lv.Problem(
        tuple(weights), law, case["learning_rate"], case["step"], case["sampling"], loss=loss_of(LOSSES[family])
    )


@pytest.mark.parametrize("name", CASES)
def test_published_values_of_polynomial_losses(name: str) -> None:
    case = CASES[name]
    found = lv.gradient_variance(problem_of(case))
    if "coefficients_of_u" in case:
        assert [*found.coefficients] == [*map(Fraction, case["coefficients_of_u"])]
    for b, value in case.get("values", {}).items():
        assert found(int(b)) == Fraction(value)
    assert found != 0


@pytest.mark.parametrize("name", ["diagonal network, d=2, t=1", "biases, t=1", "tied autoencoder 2-1-2, Gaussian, t=1"])
def test_the_lattice_and_large_batches_say_the_same(name: str) -> None:
    problem = problem_of(CASES[name])
    found = lv.gradient_variance(problem)
    assert lv.gradient_variance(problem, lv.Lattice()) == found
    assert lv.large_batch(problem, 3).variance.agrees_with(found)


# enumeration: the loss itself on fractions, differentiated by dual numbers


@dataclass(frozen=True)
class Dual:
    """value + slope epsilon, epsilon^2 = 0."""

    value: Fraction
    slope: Fraction = Fraction(0)

    def __add__(self, other: Any) -> Dual:
        other = other if isinstance(other, Dual) else Dual(Fraction(other))
        return Dual(self.value + other.value, self.slope + other.slope)

    __radd__ = __add__

    def __mul__(self, other: Any) -> Dual:
        other = other if isinstance(other, Dual) else Dual(Fraction(other))
        return Dual(self.value * other.value, self.value * other.slope + self.slope * other.value)

    __rmul__ = __mul__

    def __neg__(self) -> Dual:
        return self * -1

    def __sub__(self, other: Any) -> Dual:
        return self + -1 * other

    def __rsub__(self, other: Any) -> Dual:
        return -self + other

    def __truediv__(self, other: int) -> Dual:
        return self * Fraction(1, other)

    def __pow__(self, power: int) -> Dual:
        found = Dual(Fraction(1))
        for _ in range(power):
            found = found * self
        return found


def objects(rows: Any) -> np.ndarray:
    """An array of anything."""
    found = np.empty(np.shape(np.array([[0 for _ in row] for row in rows])), dtype=object)
    for i, row in enumerate(rows):
        for j, entry in enumerate(row):
            found[i, j] = entry
    return found


def gradient(problem: lv.Problem, weights: Any, row: int) -> list[Fraction]:
    """Of one example, entry by entry."""
    flat = [entry for matrix in weights for line in matrix for entry in line]
    x, y = (objects([part[row]])[0] for part in (problem.law.inputs, problem.law.targets))
    found = []
    for place in range(len(flat)):
        entries = iter(Dual(Fraction(e), Fraction(int(i == place))) for i, e in enumerate(flat))
        leaves = [objects([[next(entries) for _ in line] for line in matrix]) for matrix in weights]
        value = problem.model.function(leaves, (x, y))
        found.append(np.asarray(value, dtype=object).reshape(-1)[0].slope)
    return found


def enumerated(problem: lv.Problem, b: int) -> Fraction:
    """The variance over every sequence of t + 1 batches."""
    n, rate = problem.law.size, Fraction(problem.learning_rate)
    states = {tuple(Fraction(e) for matrix in problem.leaves for row in matrix for e in row): Fraction(1)}
    batches = oracles.all_batches(list(range(n)), b, problem.sampling)
    shapes = [(len(matrix), len(matrix[0])) for matrix in problem.leaves]

    def step(flat: Any) -> list[tuple[Fraction, list[Fraction]]]:
        entries = iter(flat)
        weights = [[[next(entries) for _ in range(columns)] for _ in range(rows)] for rows, columns in shapes]
        known = [gradient(problem, weights, row) for row in range(n)]
        return [(chance, [sum(known[i][p] for i in rows) / b for p in range(len(flat))]) for rows, chance in batches]

    for _ in range(problem.step):
        after: dict[Any, Fraction] = {}
        for flat, probability in states.items():
            for chance, g in step(flat):
                moved = tuple(w - rate * e for w, e in zip(flat, g))
                after[moved] = after.get(moved, Fraction(0)) + probability * chance
        states = after
    ends = [(probability * chance, g) for flat, probability in states.items() for chance, g in step(flat)]
    mean = [sum(p * g[i] for p, g in ends) for i in range(len(ends[0][1]))]
    return sum(p * sum(e * e for e in g) for p, g in ends) - sum(m * m for m in mean)


START = {
    "diagonal": [[["1/2", 1]], [[1, "-1/3"]]], "products": [[["1/2", 1]], [[1, "-1/3"]]],
    "biases": [[["1/2", 1]], [[1]], [["-1/3"]], [["1/5"]]], "quadratic": [[["1/2", 1]], [["-1/2"]]],
    "low rank": [[["1/2", 1]], [[0], ["1/3"]]], "quartic": [[["1/2", 1]]], "phase": [[["1/2", 1]]],
    "autoencoder": [[["1/2", 1]]], "residual": [[["1/2", 0], [1, "-1/3"]], [[0, "1/4"], ["1/2", -1]]],
    "diagonal with decay": [[["1/2", 1]], [[1, "-1/3"]]],
}  # fmt: skip


@pytest.mark.parametrize("name", START)
@pytest.mark.parametrize("step", [0, 1])
def test_families_equal_the_enumeration_of_every_batch(name: str, step: int) -> None:
    wide = name in ("low rank", "residual")
    rows = lv.Dataset([[1, 2], [-1, 1]], [[1, 0], [2, 1]] if wide else [[1], [2]])
    problem = lv.Problem(tuple(START[name]), rows, "1/10", step, loss=loss_of(LOSSES[name]))
    found = lv.gradient_variance(problem)
    for b in (1, 2):
        assert found(b) == enumerated(problem, b)
        assert found(b) * Fraction(3, 2) != enumerated(problem, b)


# the linear network as a loss


def rows_of(matrix: Any) -> list[list[Any]]:
    """A matrix as lists, which are one leaf."""
    return [list(row) for row in matrix]


def layers(*leaves: Any) -> Any:
    """W_L ... W_1 x, of leaves, x and y."""
    *weights, x, y = leaves
    for weight in weights:
        x = weight @ x
    return squares(x - y)


@strategies.examples(100)
@given(st.sampled_from(["dataset", "gaussian"]).flatmap(strategies.problems))
def test_a_linear_network_written_as_a_loss_gives_the_same_fractions(problem: lv.Problem) -> None:
    written = problem.replace(weights=tuple(map(rows_of, problem.weights)), loss=loss_of(layers))
    ours, theirs = lv.derive(written, lv.Expansion()), lv.derive(problem)
    assert ours.variance == theirs.variance
    assert (ours.loss, ours.per_leaf.second_moment) == (theirs.loss, theirs.per_leaf.second_moment)
    assert [rows_of(matrix) for matrix in theirs.weights] == [*ours.weights]


# the suite


@pytest.mark.parametrize(
    "problem",
    [
        lv.Problem(
            tuple(START["diagonal"]),
            lv.Dataset([[1, 2], [0, 1], [1, -1]], [1, 2, 0]),
            "1/10",
            1,
            loss=loss_of(LOSSES["diagonal"]),
        ),
        pytest.param(
            lv.Problem(tuple(START["quadratic"]), lv.Gaussian([[1, 0]]), "1/100", 1, loss=loss_of(LOSSES["quadratic"])),
            marks=pytest.mark.slow,
        ),
        lv.Problem([[["1/2", 1]], [[2]]], lv.Dataset([[1, 2], [0, 1], [1, -1]], [1, 2, 0]), "1/10", 1),
        lv.Problem([[["1/2", 1]]], lv.Dataset([[1, 2], [0, 1], [1, -1]], [1, 2, 0]), "1/10", 1),
    ],
    ids=["diagonal", "quadratic", "two layers", "one layer"],
)
def test_models_conform(problem: lv.Problem, key: Any) -> None:
    check_model(problem, key=key)


@pytest.mark.parametrize("part", ["directions", "population"])
def test_a_coefficient_times_three_halves_is_rejected(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what varies, and of the mean loss, in the exact half alone."""
    from dataclasses import replace

    right = PolynomialModel.split.func  # type: ignore[attr-defined]  # a cached property

    def wrong(self: Any) -> Any:
        split = right(self)
        if part == "population":
            return replace(split, population=split.population * 3 / 2)
        return replace(split, directions=(split.directions[0] * 3 / 2, *split.directions[1:]))

    monkeypatch.setattr(PolynomialModel, "split", property(wrong))
    with pytest.raises(AssertionError, match="by JAX, and exactly"):
        check_model(
            lv.Problem(
                tuple(START["diagonal"]),
                lv.Dataset([[1, 2], [0, 1]], [1, 2]),
                "1/10",
                1,
                loss=loss_of(LOSSES["diagonal"]),
            )
        )


def test_what_knows_linear_networks_only_says_so() -> None:
    problem = lv.Problem(
        ([["1/2", 1]],), lv.Dataset([[1, 2], [0, 1]], [1, 2]), "1/10", 1, loss=loss_of(LOSSES["linear"])
    )
    assert 'learning_rate="1/10", step=1, loss=' in repr(problem) and problem.degree == 2
    for ask in (lv.RegressionMoments, lv.regression_curve):
        with pytest.raises(InputError, match="problem is of loss .*: linear regression is one linear layer"):
            ask(problem, *([[1, 2]] if ask is lv.regression_curve else []))
    with pytest.raises(InputError, match="loss is .*lambda.*, which has no name in a module: write it with def"):
        problem.to_dict()
    with pytest.raises(InputTypeError, match="model='linear' is of type str"):
        lv.Problem([[[1]]], lv.Dataset([[1]], [1]), model="linear")  # type: ignore[arg-type]
    assert lv.derive(problem).road == lv.Regression(), "its moments close, and whether it is one layer is not asked"
    assert lv.gradient_variance(problem) == lv.gradient_variance(problem.replace(weights=[[["1/2", 1]]], loss=None))


def test_every_family_has_a_start_or_a_reference() -> None:
    assert {*START} | {*NAMED.values()} | {"linear"} == {*LOSSES}
    assert len([*product(START, (0, 1))]) >= 20


# losses of every degree


@strategies.examples(75)
@pytest.mark.parametrize("sampling", ["iid", "without_replacement"])
@given(st.data())
def test_random_losses_equal_the_enumeration_of_every_batch(sampling: str, data: st.DataObject) -> None:
    """Of degree 1 to 6 in one to four weights, constants and linear ones too, t = 0 and 1, and t = 2 of degree 1 and 2."""
    weights, degree = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 6))
    coefficients = st.tuples(st.integers(-2, 2), st.integers(0, 2), st.integers(0, 1))
    shapes = st.lists(st.integers(0, weights - 1), max_size=degree)
    terms = data.draw(st.lists(st.tuples(coefficients, shapes), min_size=1, max_size=4))

    def loss(params: Any, x: Any, y: Any) -> Any:
        total = 0 * params[0, 0]
        for (factor, power, with_target), places in terms:
            part = factor * x[0] ** power + with_target * y[0]
            for place in places:
                part = part * params[0, place]
            total = total + part
        return total

    step = data.draw(st.integers(0, 2 if degree <= 2 else 1))
    start = data.draw(strategies.matrices(1, weights))
    rows = lv.Dataset([[1], ["-1/2"]], [["1/3"], [2]])
    problem = lv.Problem((start,), rows, "1/3", step, sampling, loss=loss_of(loss))
    exact = lv.derive(problem)
    for b in (1, 2):
        assert exact.variance(b) == enumerated(problem, b)
    assert exact.variance.degree <= problem.degree_bound
    assert all(weight(1) is not None for row in exact.weights[0] for weight in row) and exact.weight_covariance


def test_a_loss_of_degree_one_is_a_random_walk() -> None:
    """l = w x: W_t = W_0 - a sum of the means of x, so Cov W_t = t a^2 Var(x) / b, and the variance Var(x) / b."""
    walk = loss_of(lambda w, x, y: (w @ x).sum())
    law = lv.Independent([lv.Uniform(-1, 1)], lambda z: (z, 0 * z[0]))
    for step in (0, 1, 3):
        exact = lv.derive(lv.Problem(([["1/2"]],), law, "1/5", step, loss=walk))
        assert exact.variance.coefficients == (0, Fraction(1, 3)) and exact.problem.degree_bound == 1
        assert exact.weight_covariance[0][0](2) == step * Fraction(1, 25) * Fraction(1, 3) / 2
        assert exact.loss == 0 and exact.weights[0][0][0] == Fraction(1, 2)
    one = lv.Problem(([["1/2"]],), law, "1/5", 1, loss=walk)
    assert lv.derive(one, lv.Lattice()).weight_covariance == lv.derive(one).weight_covariance
    assert lv.large_batch(one, 1).variance.agrees_with(lv.gradient_variance(one))


def test_a_loss_without_weights_does_not_vary() -> None:
    none = loss_of(lambda w, x, y: (x * x).sum() - 2 * y[0])
    problem = lv.Problem(([[1, 2]],), lv.Dataset([[1, 2], [0, 3]], [1, 2]), "1/5", 2, loss=none)
    exact = lv.derive(problem)
    assert exact.variance == 0 and problem.degree_bound == 0 and exact.loss == Fraction(5 + 9, 2) - 3


@pytest.mark.parametrize("rule", [{"momentum": "1/2"}, {"weight_decay": "1/2"}, {"momentum": "1/3", "nesterov": True}])
@pytest.mark.parametrize("step", [1, 2])
def test_updates_of_a_loss_of_degree_one(rule: dict[str, Any], step: int) -> None:
    """Momenta and decayed weights stand in the update, also where the gradient does not depend on the weights."""
    loss = loss_of(lambda w, x, y: w[0, 0] * x[0])
    problem = lv.Problem(([[1]],), lv.Dataset([[1], [-1]], [0, 0]), 1, step, loss=loss, **rule)
    exact = lv.derive(problem)
    assert lv.large_batch(problem, 3).update_variance.agrees_with(exact.update_variance)
    if (rule, step) == ({"momentum": "1/2"}, 1):
        assert exact.update_variance.coefficients == (0, Fraction(5, 4))


def test_high_powers_are_multiplied_by_halves() -> None:
    loss = loss_of(lambda w, x, y: w[0, 0] ** 900 * x[0])
    problem = lv.Problem(([[1]],), lv.Dataset([[1], [3]], [0, 0]), loss=loss)
    assert lv.gradient_variance(problem).coefficients == (0, 900**2)
