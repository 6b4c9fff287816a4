"""beta_1 as a sum over pairs: equal to the moments about the path, in every kind of matrices; refused where it does not hold."""

from __future__ import annotations

import json
import pickle
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import strategies
import sympy
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar.errors import DerivationTooLargeError, InputError, InputTypeError, NotFiniteError
from linvar.symbolic.algebra.ring import to_rational
from linvar.symbolic.pairs import sums, work
from linvar.symbolic.pairs.floats import Floats, directions
from linvar.symbolic.pairs.given import checked
from linvar.symbolic.pairs.lists import MOST_STEPS, Lists, all_lists
from linvar.symbolic.pairs.statement import coefficients, setting_of, wishart_of
from linvar.symbolic.pairs.tangents import by_tangents
from linvar.symbolic.sgd.steps import Steps

CASES = json.loads((Path(__file__).parent.parent / "reference/traces_first_order.json").read_text())[
    "first_order_cases"
]
#: widths and steps at which the moments about the path take a few hundredths of a second
SHAPES = [
    ((1, 1), 3), ((3, 2), 2), ((1, 2), 3), ((1, 1, 1), 3), ((2, 1, 1), 2), ((2, 3, 1), 1), ((1, 2, 3), 1), ((3, 1, 2), 2),
    ((2, 3, 2), 0), ((1, 1, 1, 1), 2), ((2, 1, 2, 1), 1), ((1, 3, 1, 2), 1), ((1, 1, 1, 1, 1), 1), ((1, 2, 1, 1, 1), 1),
    ((2, 1, 3, 1, 2), 0),
]  # fmt: skip


@st.composite
def problems(draw: st.DrawFn) -> lv.Problem:
    """A network with normal inputs of mean zero, any covariance and noise, and a schedule."""
    widths, most = draw(st.sampled_from(SHAPES))
    weights = [draw(strategies.matrices(above, below)) for below, above in zip(widths, widths[1:])]
    drawn = draw(strategies.gaussian_laws(widths[0], widths[-1]))
    law = lv.Gaussian(drawn.teacher, drawn.covariance, noise_variance=drawn.noise_variance)
    step = draw(st.integers(0, most))
    rates = draw(st.lists(strategies.rationals(), min_size=step, max_size=step))
    return lv.Problem(weights, law, draw(st.sampled_from([rates, Fraction(1, 3)])), step)


def random_problem(widths: tuple[int, ...], step: int, seed: int = 0, **law: Any) -> lv.Problem:
    """Small fractions."""
    draws = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> list[list[Fraction]]:
        return [[Fraction(int(draws.integers(-4, 5)), 4) for _ in range(columns)] for _ in range(rows)]

    weights = [matrix(above, below) for below, above in zip(widths, widths[1:])]
    factor = matrix(widths[0], widths[0])
    covariance = [[sum(a * b for a, b in zip(row, other)) for other in factor] for row in factor]
    known = {"covariance": covariance, "noise_variance": Fraction(1, 3)} | law
    rates = [Fraction(1, 8 + s) for s in range(step)]
    return lv.Problem(weights, lv.Gaussian(matrix(widths[-1], widths[0]), **known), rates, step)


def about_the_path(problem: lv.Problem) -> tuple[Fraction, list[Fraction]]:
    """The coefficient of 1/b by the other way, which knows no pairs: of the whole gradient, and of each layer."""
    found = lv.large_batch(problem, 1)
    layers = [a - b for a, b in zip(found.per_leaf.second_moment, found.per_leaf.squared_mean)]
    return (found.second_moment - found.squared_mean).coefficients[1], [one.coefficients[1] for one in layers]


def of_problem(problem: lv.Problem) -> lv.FirstOrderFormula:
    return lv.first_order_formula(problem.depth, problem.step)


def floats(problem: lv.Problem) -> dict[str, Any]:
    """The arguments of ``value``."""
    law = problem.law
    return {
        "weights": [np.array(w, dtype=float) for w in problem.leaves],
        "teacher": np.array(law.teacher, dtype=float),
        "learning_rate": [float(rate) for rate in problem.learning_rates],
        "covariance": np.array(law.covariance, dtype=float),
        "noise_variance": float(law.noise_variance),
    }


def tangents(formula: lv.FirstOrderFormula, together: int = 7, **given: Any) -> float:
    """The value by directions of the noise."""
    setting = checked(formula.depth, formula.step, **{"covariance": None, "noise_variance": 0} | given)
    return sum(by_tangents(setting, lambda at: directions(at, together)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['widths']}, t = {case['step']}")
def test_first_order_reference_values(case: dict[str, Any]) -> None:
    problem = lv.Problem(case["weights"], lv.Gaussian(case["teacher"]), case["learning_rate"], case["step"])
    wanted = Fraction(case["beta_1"])
    found = of_problem(problem)(problem)
    assert found == wanted and type(found) is lv.Rational
    assert lv.large_batch(problem, 1).variance.coefficients == (0, wanted)
    assert found != wanted * Fraction(3, 2) and wanted != 0


@strategies.examples(40)
@given(problems())
def test_pairs_equal_the_moments_about_the_path(problem: lv.Problem) -> None:
    whole, layers = about_the_path(problem)
    assert of_problem(problem)(problem) == whole
    model = Steps(problem).model
    law = wishart_of(model)
    assert law is not None
    for listed in (True, False):
        assert list(map(to_rational, coefficients(model, law, listed))) == layers


@pytest.mark.parametrize(
    ("depth", "counts"),
    [
        (1, [(0, 0), (1, 1), (5, 2), (14, 3)]),
        (2, [(0, 0), (18, 18), (283, 218), (3_404, 2_266), (40_681, 23_074)]),
        (3, [(0, 0), (75, 75), (2_657, 2_372)]),
        (4, [(0, 0), (196, 196)]),
    ],
)
def test_how_many_pairs_there_are(depth: int, counts: list[tuple[int, int]]) -> None:
    """Of any covariance, and of the identity, where more terms are joined."""
    found = [lv.first_order_formula(depth, step) for step in range(len(counts))]
    assert [(one.pairs, one.pairs_if_white) for one in found] == counts


def without(lists: Lists, layer: int, term: int) -> Lists:
    layers = list(lists.layers)
    layers[layer] = layers[layer][:term] + layers[layer][term + 1 :]
    return replace(lists, layers=tuple(layers))


def test_no_term_of_the_lists_is_idle() -> None:
    """To leave out any term changes the sum."""
    problem = random_problem((2, 3, 2), 2)
    model = Steps(problem).model
    law = wishart_of(model)
    assert law is not None
    path, found = setting_of(model, law).path(), all_lists(2, 2)
    assert found is not None
    for first, lists in enumerate(reversed(found)):
        whole = sums.Noise(path, first, lists).layers()
        for layer, terms in enumerate(lists.layers):
            for term in range(len(terms)):
                less = sums.Noise(path, first, without(lists, layer, term)).layers()
                assert [a == b for a, b in zip(less, whole)] == [l != layer for l in range(2)]


# in floating point


@pytest.mark.parametrize(
    ("widths", "step"),
    [((3, 2), 3), ((4, 3, 2), 0), ((5, 3, 2), 2), ((2, 4, 5), 2), ((3, 2, 3, 2), 2), ((2, 3, 1, 2, 2), 1)],
)
@pytest.mark.parametrize(
    "law", [{}, {"covariance": None}, {"noise_variance": 0}, {"covariance": None, "noise_variance": 0}]
)
def test_values_are_those_of_fractions(widths: tuple[int, ...], step: int, law: dict[str, Any]) -> None:
    """Doubles of 16 digits in some hundred products: eleven of them are kept, by pairs and by directions."""
    problem = random_problem(widths, step, **law)
    formula, given = of_problem(problem), floats(problem)
    exact = float(formula(problem))
    for found in (formula.value(**given), tangents(formula, **given), tangents(formula, 1, **given)):
        assert found == pytest.approx(exact, rel=1e-11) and found != pytest.approx(1.5 * exact, rel=0.1)


def test_either_way_is_taken_and_both_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps of a wide network by pairs; many by directions, whose lists would be too long."""
    wide, long = ((60, 20, 4), 2, True, False), ((3, 2, 2), 6, False, True)
    assert work.is_shorter_by_pairs(*wide, 10**9) and not work.is_shorter_by_pairs(*long, 10**9)
    assert not work.is_shorter_by_pairs(*wide, 10**5), "more memory than there is"
    problem = random_problem((60, 20, 4), 2, covariance=None, noise_variance=0)
    given = floats(problem) | {"covariance": None}
    assert of_problem(problem).value(**given) == pytest.approx(tangents(of_problem(problem), 100, **given), rel=1e-11)
    problem = random_problem((3, 2, 2), 6)
    enclosed = lv.large_batch(problem, 1, digits=20).variance.intervals[1]
    assert of_problem(problem).value(**floats(problem)) == pytest.approx(float(enclosed[0]), rel=1e-10)


def test_what_rests_has_no_noise() -> None:
    """A perfect fit without noise: E is zero, no direction is left, and nothing divides by it."""
    weights, teacher = [[[1, 2, 0], [0, 1, 1]], [[1, 1]]], [[1, 3, 1]]
    for step in (0, 1, 7):
        formula = lv.first_order_formula(2, step)
        assert formula.value(weights, teacher, 0.1) == 0
        assert formula.value(weights, teacher, 0.1, np.zeros((3, 3))) == 0
    assert lv.first_order_formula(2, 1)(lv.Problem(weights, lv.Gaussian(teacher), "1/10", 1)) == 0
    assert lv.first_order_formula(2, 7).value(weights, teacher, 0.1, None, 1.0) > 0


def test_the_work_is_that_of_the_evaluation() -> None:
    """Counted by hand: one layer, no step; E = W - W*, E E^T and the square of the gradient."""
    tally = work.of_pairs((5, 3), 0, True, False)
    assert tally is not None and tally.products == 3 * 5 + 3 * 5 * 3 + 3 * 5
    narrow, wide = (work.of_pairs((d, 6, 2), 1, True, False) for d in (20, 40))
    assert narrow is not None and wide is not None and wide.products < 2.1 * narrow.products, (
        "no square of the inputs' width"
    )


# where large_batch takes it


@pytest.mark.parametrize(("widths", "step", "way"), [((5, 4, 3), 1, "18 pairs"), ((4, 3, 2), 3, "8 directions")])
def test_large_batch_takes_its_variance_by_pairs(widths: tuple[int, ...], step: int, way: str) -> None:
    problem = random_problem(widths, step, covariance=None, noise_variance=0)
    plan = lv.plan(problem, lv.LargeBatch(1))["large_batch"]
    assert f"by {way}" in plan.size and plan.is_open
    found = lv.large_batch(problem, 1)
    whole, layers = about_the_path(problem)
    assert found.variance.coefficients == (0, whole) and found.variance.order == 1
    assert [one.coefficients for one in found.per_leaf.variance] == [(0, layer) for layer in layers]
    assert found.plan == plan
    constant = problem.replace(learning_rate="1/7")
    assert lv.large_batch(constant, 1).update_variance.coefficients[1] == of_problem(constant)(constant) / 49
    assert " by " not in lv.plan(problem, lv.LargeBatch(2)).roads[0].size
    assert " by " not in lv.plan(problem, lv.LargeBatch(1, digits=9)).roads[0].size
    assert " by " not in lv.plan(constant.replace(momentum="1/2"), lv.LargeBatch(1)).roads[0].size
    assert " by " not in lv.plan(random_problem((2, 2, 1), 1), lv.LargeBatch(1)).roads[0].size, "it takes no time"


def test_beyond_the_degree_bound_all_is_zero_by_pairs_too() -> None:
    problem = random_problem((12, 7, 5), 0)
    assert lv.large_batch(problem, 3).variance.coefficients == (0, of_problem(problem)(problem), 0, 0)


@pytest.mark.parametrize(("widths", "step"), [((12, 7, 5), 1), ((30, 20, 10), 1)])
def test_wide_networks_are_exact(widths: tuple[int, ...], step: int) -> None:
    """Where the moments about the path take minutes, and gigabytes: compared with double precision."""
    problem = random_problem(widths, step, covariance=None)
    found = lv.large_batch(problem, 1, memory_limit=10**8)
    exact = found.variance.coefficients[1]
    assert exact == of_problem(problem)(problem)
    assert of_problem(problem).value(**floats(problem)) == pytest.approx(float(exact), rel=1e-11)
    with pytest.raises(DerivationTooLargeError, match="does not fit: large_batch: up to u.1, .* digits=30"):
        found.loss  # noqa: B018


# refusals


def test_other_problems_are_refused_by_name() -> None:
    problem, formula = random_problem((2, 1), 1), lv.first_order_formula(1, 1)
    symbol = sympy.Symbol("a")
    for other, words in (
        (
            problem.replace(step=2, learning_rate=1),
            r"problem has step 2, and .* of step 1: use linvar.first_order_formula\(1, 2\)",
        ),
        (
            random_problem((2, 1, 1), 1),
            r"problem has depth 2, and .* of depth 1: use linvar.first_order_formula\(2, 1\)",
        ),
        (
            problem.replace(law=lv.Gaussian([[1, 0]], mean=[0, 1])),
            "law=Gaussian.* mean zero: give linvar.Gaussian without mean=",
        ),
        (problem.replace(law=lv.Dataset([[1, 2], [0, 1]], [1, 2])), "law=Dataset.* has no normal inputs of mean zero"),
        (
            problem.replace(law=lv.Dataset([[1, 2], [0, 1]], [1, 2]), sampling="without_replacement"),
            "law=Dataset.* has no normal inputs of mean zero",
        ),
        (problem.replace(momentum="1/2"), "momentum=1/2 is not covered .* use linvar.large_batch"),
        (problem.replace(weight_decay="1/3"), "weight_decay=1/3 is not covered .* use linvar.large_batch"),
        (problem.replace(learning_rate=[symbol]), "problem has the symbols a: give numbers for them"),
        (
            problem.replace(weights={"w": [1, 2]}, loss=quadratic),
            "problem=.* is of another loss: give one without loss=",
        ),
    ):
        with pytest.raises(InputError, match=words):
            formula(other)
    with pytest.raises(InputTypeError, match="problem=3 .*give a linvar.Problem"):
        formula(3)  # type: ignore[arg-type]
    endless = problem.replace(step=10**9, learning_rate="1/8")
    with pytest.raises(DerivationTooLargeError, match="does not fit: .* by 2 directions, about .*: use fewer steps"):
        of_problem(endless)(endless)
    with pytest.raises(DerivationTooLargeError, match="step=1000000000 is more than the limit of 2,000 steps"):
        of_problem(endless).value([[[1, 2]]], [[1, 0]], 0.1)
    with pytest.raises(
        DerivationTooLargeError, match=r"does not fit: \d+ digits each, by 2 directions, .*: use fewer steps or smaller"
    ):
        formula(problem, memory_limit=1)


def quadratic(params: Any, example: Any) -> Any:
    x, y = example
    return ((params["w"] @ x - y[0]) ** 2) / 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 1), "depth=0 is too small: give the number of layers, an integer >= 1"),
        ((2, -1), "step=-1 is too small: give the number of updates"),
        ((True, 1), "depth=True is a truth value"),
        ((2, 1.0), "step=1.0 is of type float"),
    ],
)
def test_depth_and_step_are_integers(arguments: tuple[Any, Any], words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        lv.first_order_formula(*arguments)


GIVEN: dict[str, Any] = {"weights": [[[1.0, 2.0]], [[3.0]]], "teacher": [[1.0, 0.0]], "learning_rate": 0.1}


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"weights": [[[1.0, 2.0]]]}, InputError, "weights has 1 matrices, and the formula is of depth 2"),
        ({"weights": [[[1.0, 2.0]], [[3.0, 1.0]]]}, InputError, r"weights\[1\] has shape \(1, 2\), but weights\[0\]"),
        (
            {"weights": [[[1.0, float("nan")]], [[3.0]]]},
            NotFiniteError,
            r"weights\[0\] has an entry that is not finite",
        ),
        ({"weights": [[[1.0, 1j]], [[3.0]]]}, InputTypeError, r"weights\[0\]="),
        ({"weights": [[["a", "b"]], [[3.0]]]}, InputTypeError, r"weights\[0\]="),
        ({"weights": [[[1.0], [2.0, 3.0]], [[3.0]]]}, InputTypeError, r"weights\[0\]="),
        ({"weights": [[1.0, 2.0], [[3.0]]]}, InputError, r"weights\[0\] has shape \(2,\)"),
        ({"weights": 3}, InputTypeError, "weights=3"),
        ({"teacher": [[1.0]]}, InputError, r"teacher has shape \(1, 1\), and the weights want \(1, 2\)"),
        ({"covariance": [[1.0]]}, InputError, r"covariance has shape \(1, 1\), and the weights want \(2, 2\)"),
        ({"covariance": [[1.0, 2.0], [0.0, 1.0]]}, InputError, "covariance is not symmetric"),
        ({"covariance": [[1.0, 2.0], [2.0, 1.0]]}, InputError, "covariance is not positive semi-definite"),
        ({"noise_variance": -1}, InputError, "noise_variance=-1 is negative"),
        ({"noise_variance": float("inf")}, NotFiniteError, "noise_variance=inf is not finite"),
        ({"noise_variance": "much"}, InputTypeError, "noise_variance='much'"),
        ({"learning_rate": [0.1, 0.2]}, InputError, "learning_rate has 2 entries, and the formula is of step 1"),
        ({"learning_rate": None}, InputTypeError, "learning_rate=None"),
        ({"learning_rate": [float("nan")]}, NotFiniteError, r"learning_rate\[0\]=nan is not finite"),
        ({"learning_rate": 1e300}, NotFiniteError, "learning_rate=1e.300 lets the weights grow too large"),
    ],
)
def test_numbers_that_are_none_are_refused(change: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        lv.first_order_formula(2, 1).value(**GIVEN | change)


def test_numbers_of_every_kind_are_taken() -> None:
    wanted = lv.first_order_formula(2, 1).value(**GIVEN)
    exact = {
        "weights": [[["1/1", 2]], [[Fraction(3)]]],
        "teacher": np.array([[1, 0]]),
        "learning_rate": [Fraction(1, 10)],
    }
    with pytest.raises(InputTypeError):
        lv.first_order_formula(2, 1).value(**exact)
    exact["weights"] = [[[lv.Rational(1), 2]], [[Fraction(3)]]]
    assert lv.first_order_formula(2, 1).value(**exact) == wanted
    singular = [[1.0, 1.0], [1.0, 1.0]]
    assert lv.first_order_formula(2, 1).value(**GIVEN, covariance=singular) > 0


# the statement


def test_a_formula_is_a_small_value() -> None:
    formula = lv.first_order_formula(2, 1)
    assert formula == lv.first_order_formula(depth=2, step=1) != lv.first_order_formula(2, 2)
    assert pickle.loads(pickle.dumps(formula)) == formula and len({formula, lv.first_order_formula(2, 1)}) == 1
    assert repr(formula) == "FirstOrderFormula(depth=2, step=1)"
    with pytest.raises(AttributeError):
        formula.step = 3  # type: ignore[misc]


def test_two_layers_after_a_step_in_latex() -> None:
    r"""The lists T_1 = {(V_2^T V_2 W_2^T Q, J^T), (V_2^T Q, J^T W_1^T V_1), (W_1 J, Q^T F)} and T_2, times -alpha, with Sigma."""
    text = lv.first_order_formula(2, 1).to_latex()
    first, second = (line.split("=", 1)[1] for line in text.splitlines() if line.startswith("T_{0,"))
    for term in (
        r"- \alpha_{0} W_{2}^{(1)\top} W_{2}^{(1)} W_{2}^{(0)\top} Q_{0},\; J^{\top} \Sigma",
        r"- \alpha_{0} W_{2}^{(1)\top} Q_{0},\; J^{\top} W_{1}^{(0)\top} W_{1}^{(1)} \Sigma",
        r"- \alpha_{0} W_{1}^{(0)} J,\; Q_{0}^{\top} E_{1} \Sigma",
    ):
        assert term in first
    for term in (
        r"- \alpha_{0} W_{2}^{(1)} W_{2}^{(0)\top} Q_{0},\; J^{\top} \Sigma W_{1}^{(1)\top}",
        r"- \alpha_{0} E_{1} \Sigma J,\; Q_{0}^{\top} W_{2}^{(0)}",
        r"- \alpha_{0} Q_{0},\; J^{\top} W_{1}^{(0)\top} W_{1}^{(1)} \Sigma W_{1}^{(1)\top}",
    ):
        assert term in second
    assert first.count(r"\bigl(") == second.count(r"\bigl(") == 3 and len(text.splitlines()) == 6


def test_other_formulas_in_latex() -> None:
    """Balanced; sums that rows end in have a name; the lists of later steps have their letters; too long ones are refused."""
    for depth, step in ((1, 0), (1, 4), (2, 2), (3, 1), (4, 1)):
        text = lv.first_order_formula(depth, step).to_latex()
        assert text.count("{") == text.count("}") and text.count(r"\bigl") == text.count(r"\bigr") > 0
        lists = [re.match(r"T_\{(\d+),(\d+)\}", line) for line in text.splitlines()]
        assert [one.groups() for one in lists if one] == [
            (str(s), str(l + 1)) for s in range(step) for l in range(depth)
        ]
    assert (
        "N_{0,1} &= " in lv.first_order_formula(1, 4).to_latex()
        and r"\alpha_{3}" in lv.first_order_formula(1, 4).to_latex()
    )
    with pytest.raises(
        DerivationTooLargeError, match="depth=2, step=4 has .* terms, more than 150: use fewer steps or fewer"
    ):
        lv.first_order_formula(2, 4).to_latex()


@pytest.mark.parametrize(("depth", "step"), [(2, 6), (1, MOST_STEPS + 1), (20, 2), (10**6, 1), (1, 10**9)])
def test_lists_that_are_too_long_are_refused_at_once(depth: int, step: int) -> None:
    formula = lv.first_order_formula(depth, step)
    for asked in (lambda: formula.pairs, lambda: formula.pairs_if_white, formula.to_latex):
        with pytest.raises(DerivationTooLargeError, match=f"depth={depth}, step={step} have more than the limit"):
            asked()


def test_floats_of_a_stack() -> None:
    """Transposes and inner products of stacks are those of their matrices."""
    draws = np.random.default_rng(1)
    a, b = Floats(draws.normal(size=(4, 3, 2))), Floats(draws.normal(size=(2, 5)))
    assert (a.rows, a.columns, (a @ b).columns) == (3, 2, 5) and a.T.array.shape == (4, 2, 3)
    assert a.inner(a) == pytest.approx(sum(float((one**2).sum()) for one in a.array), rel=1e-14)
