"""The search among the problems of a template: its variances against exact ones, its finds, its honesty, its command."""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import jax
import numpy as np
import pytest
from tiers import slow_but

import linvar as lv
from linvar.cli.app import main
from linvar.errors import InputError, InputTypeError
from linvar.laws.law import Law
from linvar.search import nonmonotone as search
from linvar.search import sought as search_sought
from linvar.search.nonmonotone import SearchResult, search_nonmonotone
from linvar.search.rounds import Clock
from linvar.search.rows import MOST, MOST_SIZES, EveryBatch, every_batch
from linvar.search.template import Template
from linvar.search.trials import Trials, largest_slope
from linvar.testing import OpenLaw, exponents


def with_loss(weights: Any, law: Law, rate: Any, loss: Any, **options: Any) -> lv.Problem:
    """A problem of any loss of leaves, x and y, after a step."""
    return lv.Problem(
        tuple(weights), law, rate, **{"step": 1, **options}, loss=lambda params, example: loss(*params, *example)
    )


def phase(w: Any, x: Any, y: Any) -> Any:
    """Phase retrieval: a linear measurement, squared."""
    residual = (w @ x) ** 2 - y
    return (residual * residual).sum() / 2


def line(w: Any, x: Any, y: Any) -> Any:
    """Linear regression, as a loss."""
    residual = w @ x - y
    return (residual * residual).sum() / 2


TWO = lv.Dataset([[1], ["3/2"]], [1, -1])
FIVE = lv.Dataset([[1], ["3/2"], [2], [-1], ["1/2"]], [1, -1, 0, 1, 0])
WEIGHTS = [[["1/2"]], [["3/2"]]]
SCALARS = lv.Problem(WEIGHTS, TWO, "1/2", step=1)
WITHOUT = lv.Problem(WEIGHTS, FIVE, "1/2", 1, "without_replacement")
UNEQUAL = lv.Problem(WEIGHTS, lv.Finite([[1], ["3/2"]], [1, -1], ["1/3", "2/3"]), "1/2", step=1)
PHASE = with_loss([[["1/2", 1]]], lv.Dataset([[1, 0], [1, 2], [0, 1]], [1, 2, 0]), "1/10", phase)
SIGNS = lv.Independent([lv.Rademacher(), lv.Uniform(-1, 1)], lambda z: (z[:1] + 1, z[1] * 2))
RECORD = lv.Problem([[[1]], [[2]]], lv.Dataset([[1], ["1/2"]], [0, 0]), 1, step=1)
NORMAL = lv.Problem(WEIGHTS, lv.Gaussian([["1/2"]]), "1/2", step=1)
WIDE = lv.Problem([[["1/2", 0]], [["3/2"]]], lv.Gaussian([["1/2", 0]]), "1/2", step=1)


# the floating-point variance


@pytest.mark.parametrize(
    "problem",
    [
        SCALARS,
        SCALARS.replace(step=2, learning_rate=["1/2", "1/5"]),
        SCALARS.replace(step=2, momentum="1/2", nesterov=True, weight_decay="1/7"),
        UNEQUAL,
        WITHOUT,
        WITHOUT.replace(step=2),
        PHASE,
        lv.Problem([[[1, "1/2"], [0, 2], ["1/3", 1]], [[1, -1, "1/2"]]], PHASE.law, "1/9", 1),
    ],
    ids=["two rows", "schedule", "momentum", "unequal", "without replacement", "two steps without", "phase", "2-3-1"],
)  # fmt: skip
def test_all_batches_have_the_exact_variance(problem: lv.Problem) -> None:
    """1e-10: sums of positive terms in float64; a polynomial with a coefficient times 1.5 is seen."""
    template, high = Template.of(problem), problem.largest_batch_size or 6
    exact = lv.gradient_variance(problem)
    numbers = np.array([float(template.numbers[place].value) for place in template.places])
    point = np.where(template.positive, np.log(np.where(template.positive, numbers, 1)), numbers)
    with jax.enable_x64(True):
        landscape = every_batch(problem.law, template, 1, high)
        assert landscape is not None
        found = np.exp(np.array(landscape.log_variance(point)))
    sizes = [int(b) for b in landscape.batch_sizes]
    assert sizes == [*range(1, high + 1)][: len(sizes)] and len(sizes) >= 4
    wanted = np.array([float(exact(b)) for b in sizes])
    assert found == pytest.approx(wanted, rel=1e-10)
    changed = [value * (Fraction(3, 2) if k == 1 else 1) for k, value in enumerate(exact.coefficients)]
    wrong = [float(Fraction(lv.BatchPolynomial(changed)(b))) for b in sizes]
    assert found != pytest.approx(np.array(wrong), rel=1e-10)


def test_what_is_not_varied_stays() -> None:
    template = Template.of(UNEQUAL, ["probabilities", "learning_rate"])
    assert [template.numbers[place].part for place in template.places] == ["learning_rate", *["probabilities"] * 2]
    problem = template.rounded(np.log([0.25, 3.0, 1.0]), 2)
    assert problem.weights == UNEQUAL.weights and problem.law.inputs == UNEQUAL.law.inputs
    assert (problem.learning_rate, *problem.law.probabilities) == (Fraction(1, 4), Fraction(3, 4), Fraction(1, 4))
    with jax.enable_x64(True):
        landscape = every_batch(UNEQUAL.law, template, 1, 5)
        assert landscape is not None
        slopes = np.array(landscape.slopes(np.log([0.25, 3.0, 1.0])))
        drawn = np.exp(np.array(template.draw(jax.random.key(0), 1_000)))
    exact = [math.log(lv.gradient_variance(problem)(b)) for b in range(1, 6)]
    assert slopes == pytest.approx(np.diff(exact) / np.diff(np.log(range(1, 6))), abs=1e-10)
    assert 1 / 40 <= drawn[:, 0].min() < 1 / 30 and 9 < drawn[:, 0].max() <= 10  # 1/2, by a factor of 20


@pytest.mark.parametrize(
    ("problem", "why"),
    [
        (WIDE, "two inputs, and no rows"),
        (lv.Problem(WEIGHTS, lv.Dataset([[k] for k in range(200)], [0] * 200), "1/2", 1), "too many batches"),
        (SCALARS.replace(step=8), "too many sequences of batches"),
    ],
)
def test_what_is_not_enumerated_is_tried_exactly(problem: lv.Problem, why: str) -> None:
    template = Template.of(problem)
    assert every_batch(problem.law, template, 1, 400) is None, why
    chosen = search_sought.Varied(template, (1, 400)).search(Clock(1.0, lambda done, total: None))
    assert isinstance(chosen, Trials) and chosen.batch_sizes[0] == 1 and chosen.batch_sizes[-1] == 400


def test_all_batches_are_few() -> None:
    with jax.enable_x64(True):
        few = every_batch(TWO, Template.of(SCALARS), 3, 10**9)
        many = every_batch(FIVE, Template.of(SCALARS.replace(law=FIVE, step=1)), 1, 400)
    assert isinstance(few, EveryBatch) and isinstance(many, EveryBatch)
    assert few.batch_sizes.tolist() == [*range(3, 3 + MOST_SIZES)] and few.cost <= MOST
    assert 4 <= len(many.batch_sizes) < MOST_SIZES and many.cost <= MOST


def test_integers_that_index_stay() -> None:
    """Of rows (user, item, rating) the ratings vary."""

    def rating(params: Any, row: Any) -> Any:
        user, item, stars = row
        return (params["U"][user] * params["V"][item] - stars) ** 2 / 2

    rows = lv.Dataset([(0, 0, 1), (0, 1, "1/2"), (1, 1, 2)])
    problem = lv.Problem({"U": [1, "1/2"], "V": [1, 2]}, rows, "1/10", 1, loss=rating)
    template = Template.of(problem, vary=["law"])
    assert [template.numbers[place].value for place in template.places] == [1, Fraction(1, 2), 2]
    again = template.with_values([number.value for number in template.numbers])
    assert again == problem and lv.gradient_variance(again) == lv.gradient_variance(problem)
    other = template.rounded(np.array([3.0, 0.25, -1.5]), 3)
    assert [row[2] for row in other.law.inputs] == [3, Fraction(1, 4), Fraction(-3, 2)]  # type: ignore[attr-defined]
    with jax.enable_x64(True):
        landscape = every_batch(rows, template, 1, 3)
        assert isinstance(landscape, EveryBatch)
        found = np.exp(np.asarray(landscape.log_variance(jax.numpy.array([1.0, 0.5, 2.0]))))
    assert np.allclose(found, [float(lv.gradient_variance(problem)(b)) for b in (1, 2, 3)], rtol=1e-9)


# what is varied


@dataclass(frozen=True)
class Sign(OpenLaw):
    """A law of somebody's own, x = 1 or -1 and y = 2 x, that says nothing of its numbers."""

    input_map = ((lv.Rational(1),),)
    target_map = ((lv.Rational(2),),)

    def moments(self, features: Any, order: int, ring: Any) -> Any:
        found = {}
        for powers in exponents(len(features), order):
            values = [
                math.prod(f.at_numbers((z,)) ** k for f, k in zip(features, powers))
                for z in (Fraction(1), Fraction(-1))
            ]
            found[powers] = ring.lift(lv.Rational(sum(values) / 2))
        return found


LAWS: list[Law] = [
    TWO,
    UNEQUAL.law,
    lv.Gaussian([[1, "1/2"]], covariance=[[1, 0], [0, 2]], mean=[0, 1]),
    lv.Gaussian([[1, 0]], noise_variance="1/3"),
    lv.ScaleMixture(lv.Gaussian([[1]], noise_variance=1), scales=[1, 3], probabilities=["9/10", "1/10"]),
    lv.ScaleMixture(lv.Gaussian([[1]]), degrees_of_freedom=13),
    SIGNS,
    lv.Independent([lv.Normal(), lv.Normal(1, 0), [0, 1, 0, 3]], lambda z: (z, z[0] ** 2)),
]
PARTS = [
    {"inputs": 2, "targets": 2}, {"inputs": 2, "targets": 2, "probabilities": 2}, {"teacher": 2},
    {"teacher": 2, "noise_variance": 1}, {"teacher": 1, "noise_variance": 1, "scales": 2, "probabilities": 2},
    {"teacher": 1}, {"coordinates": 2}, {"coordinates": 3},
]  # fmt: skip


@pytest.mark.parametrize(("law", "parts"), [*zip(LAWS, PARTS)], ids=lambda one: type(one).__name__)
def test_numbers_of_a_law(law: Law, parts: dict[str, int]) -> None:
    """Its own give it back; another one gives another law, of which it is the number."""
    numbers = law.numbers_to_vary()
    assert {part: sum(one.part == part for one in numbers) for part in parts} == parts
    assert len(numbers) == sum(parts.values())
    values = [one.value for one in numbers]
    assert law.with_numbers(values) == law
    for place, number in enumerate(numbers):
        other = [value + (place == k) for k, value in enumerate(values)]
        changed = law.with_numbers(other)
        assert changed != law and type(changed) is type(law)
        if number.part != "probabilities":
            assert [one.value for one in changed.numbers_to_vary()] == other
    assert all(one.value > 0 for one in numbers if one.positive)


def test_a_law_that_says_nothing_stays() -> None:
    law = Sign()
    assert law.numbers_to_vary() == () and law.with_numbers([]) is law
    result = search_nonmonotone(lv.Problem(WEIGHTS, law, "1/2", step=1), seconds=0.5, progress=False)
    assert result.starts > 0 and (result.problem is None or result.problem.law == law)
    with pytest.raises(InputError, match="has no numbers to vary: write its with_numbers"):
        Sign().with_numbers([lv.Rational(1)])
    symbols = lv.Gaussian(lv.symbolic_matrix("T", 1, 1))
    assert symbols.numbers_to_vary() == ()


def test_a_template_has_the_numbers_of_its_problem() -> None:
    schedule = SCALARS.replace(step=2, learning_rate=["1/2", "1/5"])
    for problem, count in ((SCALARS, 7), (schedule, 8), (UNEQUAL, 9), (PHASE, 12), (NORMAL, 4)):
        template = Template.of(problem)
        assert len(template.numbers) == len(template.places) == count
        assert template.with_values([one.value for one in template.numbers]) == problem
    assert Template.of(SCALARS.replace(learning_rate=0)).scales.tolist() == [0.5, 1.5, 1.0, 1.0, 1.5, 1.0, 1.0]


# finds


def check(result: SearchResult) -> lv.BatchPolynomial:
    """Everything returned is derived again."""
    assert result.found and result.problem is not None and result.rise is not None and result.values is not None
    variance = lv.gradient_variance(result.problem)
    assert variance == result.variance
    low, high = result.rise
    assert high == variance.decreasing_from() and result.values == (variance(low), variance(high))
    assert all(variance(b) < variance(b + 1) for b in range(low, high))
    assert low == 1 or variance(low - 1) >= variance(low)
    if result.relative_rise is None:
        assert variance(low) == 0
    else:
        assert result.relative_rise == Fraction(variance(high)) / Fraction(variance(low)) - 1 > 0
    assert "certified" in repr(result) and f"b = {high}" in repr(result)
    return variance


TEMPLATES = {"rows": SCALARS, "without": WITHOUT, "unequal": UNEQUAL, "phase": PHASE}


@pytest.mark.parametrize("name", slow_but(TEMPLATES, "without", "phase"))
def test_few_rows_are_made_to_rise(name: str) -> None:
    """None of these falls by a theorem, and none rises as it is; 20 seconds are a bound, some of compilation are needed."""
    template = TEMPLATES[name]
    assert lv.gradient_variance(template).decreasing_from() == 1
    result = search_nonmonotone(template, key=jax.random.key(0), seconds=20, progress=False)
    check(result)
    assert result.problem is not None
    assert (
        result.problem.replace(weights=template.weights, law=template.law, learning_rate=template.learning_rate)
        == template
    )
    assert result.problem.law != template.law


def test_probabilities_alone_are_made_to_rise() -> None:
    """Weights 1 and 2, x = 1 and 1/2, rate 4/5, not 1: the variance rises where few examples are the first, under a tenth."""
    start = lv.Problem([[[1]], [[2]]], lv.Finite([[1], ["1/2"]], [0, 0], ["1/2", "1/2"]), "4/5", step=1)
    assert lv.gradient_variance(start).decreasing_from() == 1
    result = search_nonmonotone(start, vary=["probabilities"], key=jax.random.key(0), seconds=20, progress=False)
    check(result)
    assert result.problem is not None and result.problem.law.probabilities[0] < Fraction(1, 10)
    assert result.problem.replace(law=start.law) == start


def test_a_law_without_rows_is_made_to_rise() -> None:
    template = lv.Problem(WEIGHTS, SIGNS, "1/2", step=1)
    assert lv.gradient_variance(template).decreasing_from() == 1
    result = search_nonmonotone(template, key=jax.random.key(0), seconds=20, progress=False)
    check(result)
    assert result.problem is not None and result.problem.law.inputs == SIGNS.inputs


def test_a_template_that_rises_is_its_own_find() -> None:
    result = search_nonmonotone(RECORD, progress=False)
    assert check(result)(2) == Fraction(61965, 131072)
    assert result.problem is RECORD and result.rise == (1, 2) and result.starts == 0 and result.relative_rise is None
    assert result.values == (0, Fraction(61965, 131072)) and result.largest_slope == math.inf
    assert "widths 1-1-1, t = 1: the variance rises from 0 to 0.4728 from b = 1 to b = 2" in repr(result)


def test_an_outlier_without_replacement_is_its_own_find() -> None:
    rows = lv.Dataset([[2], *[["1/2"]] * 7], [0] * 8)
    result = search_nonmonotone(lv.Problem([[[1]], [[2]]], rows, 1, 1, "without_replacement"), progress=False)
    check(result)
    assert result.rise == (5, 6) and result.relative_rise is None


# honesty


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (lv.Problem([[[1, 2]]], lv.Dataset([[1, 0], [1, 1]], [1, 2]), "1/10", 3), "with one layer .*linear-regression.md"),
        (SCALARS.replace(step=0), "at step 0 .*sampling-factor.md"),
        (with_loss([[[1, 2]]], lv.Dataset([[1, 0], [1, 1]], [1, 2]), "1/10", line, step=2), "affine .*linear-regression.md"),
    ],
)  # fmt: skip
def test_a_theorem_is_the_answer(problem: lv.Problem, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No search is made; and it is true of these."""
    monkeypatch.setattr(search, "certify", None)
    result = search_nonmonotone(problem)
    assert not result.found and result.starts == 0 and result.theorem is not None and result.largest_slope == -math.inf
    assert lv.gradient_variance(problem).decreasing_from() == 1
    assert result.seconds == 0
    assert re.search(words, repr(result))


def test_nothing_is_found_where_nothing_rises() -> None:
    """Two layers of width 1 on normal inputs without noise fall at t = 1 (a theorem); a search ends soon after its time."""
    begin = time.perf_counter()
    result = search_nonmonotone(NORMAL, seconds=1.5, progress=False)
    assert not result.found and result.starts > 3 and result.largest_slope < 0 and result.values is None
    assert "no rise certified; largest slope -" in repr(result)
    assert time.perf_counter() - begin < 30


def test_a_certificate_that_does_not_fit_is_said_before(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a derivation was started")

    monkeypatch.setattr("linvar.search.certificate.gradient_variance", never)
    monkeypatch.setattr("linvar.search.trials.gradient_variance", never)
    with pytest.raises(lv.DerivationTooLargeError, match="fewer steps"):
        search_nonmonotone(NORMAL.replace(step=7))
    with pytest.raises(
        InputError, match=r"seconds=0.5 is less than the certificate .* takes, about .*: give more than"
    ):
        search_nonmonotone(lv.Problem([[["1/2"]]] * 10, lv.Gaussian([[1]]), "1/2", 2), seconds=0.5)


def test_a_step_that_leads_nowhere_is_halved() -> None:
    """The slope at a point, and none where the time is over."""
    template = Template.of(NORMAL)
    trials = Trials(template, (1, 400), Clock(1_000.0, lambda done, total: None))
    at = np.array([0.5, 1.5, math.log(0.5), 0.5])
    exact = [Fraction(lv.gradient_variance(NORMAL)(b)) for b in trials.batch_sizes]
    assert trials.slope(at) == largest_slope(trials.batch_sizes, exact) < 0
    found = trials._refined(at, trials.slope(at), np.random.default_rng(0))
    assert trials.slope(at) < found.slopes[0] < 0 and trials.slope(found.at[0]) == found.slopes[0]
    over = Trials(template, (1, 400), Clock(-1_000.0, lambda done, total: None))
    assert over.slope(at) == -math.inf


def test_slopes_of_exact_values() -> None:
    half, zero = Fraction(1, 2), Fraction(0)
    assert largest_slope([1, 2], [half, 2 * half]) == 1 == -largest_slope([1, 2], [2 * half, half])
    assert largest_slope([1, 2], [zero, half]) == math.inf and largest_slope([1, 2, 3], [half, zero, zero]) == -math.inf
    assert largest_slope([1, 2], [Fraction(10) ** 5000, Fraction(10) ** 4999]) < 0


@pytest.mark.parametrize(
    ("problem", "options", "error", "message"),
    [
        (SCALARS, {"step": 2}, InputError, "step=2 goes with a depth, and a template has its own: leave it out"),
        (SCALARS, {"label_noise": False}, InputError, "label_noise=False goes with a depth"),
        (2, {"vary": ["weights"]}, InputError, r"vary=\['weights'\] is of a template"),
        (SCALARS, {"vary": "weights"}, InputTypeError, "vary='weights' is of type str: give a list of some of 'weights'"),
        (SCALARS, {"vary": {"weights"}}, InputTypeError, "vary=.* is of type set"),
        (SCALARS, {"vary": [3]}, InputTypeError, r"vary\[0\]=3 is of type int"),
        (SCALARS, {"vary": []}, InputError, r"vary=\[\] is empty: give a list of some of"),
        (SCALARS, {"vary": ["law", "teacher"]}, InputError, r"vary\[1\]='teacher' names no number .*'inputs', 'targets'"),
        (NORMAL, {"vary": ["noise_variance"]}, InputError, r"vary\[0\]='noise_variance' names no number"),
        (SCALARS.replace(step=0, learning_rate=[]), {"vary": ["learning_rate"]}, InputError, r"vary\[0\]='learning_rate'"),
        (lv.Problem(WEIGHTS, Sign(), 1, 1), {"vary": ["law"]}, InputError, "of type Sign, which has no numbers to vary"),
        (lv.Problem(lv.symbolic_weights([1, 1, 1]), TWO, 1, 1), {}, InputError, "problem contains the symbols w1, w2: put"),
        (WITHOUT, {"batch_sizes": (1, 6)}, InputError, r"batch_sizes=\(1, 6\) is out of range: .* <= 5"),
        (lv.Problem(WEIGHTS, lv.Dataset([[1]], [1]), 1, 1, "without_replacement"), {}, InputError, "problem has one batch"),
        (SCALARS, {"batch_sizes": (3, 3)}, InputError, r"batch_sizes=\(3, 3\) is out of range"),
        (SCALARS, {"seconds": 0}, InputError, "seconds=0 is out of range"),
        (SCALARS, {"key": 3}, InputTypeError, "key=3"),
        ([1], {}, InputTypeError, r"depth=\[1\] is of type list"),
    ],
)  # fmt: skip
def test_bad_arguments(problem: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        search_nonmonotone(problem, **options)


# the command


def test_command(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    path, found = tmp_path / "problem.json", tmp_path / "found.json"
    RECORD.save(path)
    assert main(["search", "--problem", str(path), "--json", "-o", str(found)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert {"found", "rise", "relative_rise", "largest_slope", "starts", "seconds", "theorem", "problem", "seed"} < {
        *data
    }
    assert data["rise"] == [1, 2] and data["values"] == ["0", "61965/131072"] and data["relative_rise"] is None
    assert data["largest_slope"] is None and lv.load_problem(found) == RECORD
    assert main(["search", "--problem", str(path)]) == 0
    out = capsys.readouterr().out
    assert "from 0 to 0.4728" in out and json.loads(out.splitlines()[2])["law"]["inputs"] == [[1], ["1/2"]]
    NORMAL.replace(step=7).save(path)
    assert main(["search", "--problem", str(path)]) == 2
    assert 'learning_rate="1/2", step=7' in (said := capsys.readouterr().err) and "use fewer steps (step=7)" in said
    assert main(["search", "--problem", "noisy-regression"]) == 3
    assert "with one layer" in capsys.readouterr().out
    assert main(["search", "--problem", "two-layer", "--seconds", "0.1", "--vary", "weights, teacher", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["found"] is False


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--problem", "two-layer", "--depth", "2"], "--depth 2 is given with --problem: leave one of the two out"),
        (["--problem", "two-layer", "--step", "2"], "--step 2 goes with a depth"),
        (["--problem", "two-layer", "--vary", "inputs"], "--vary 'inputs' names no number"),
        (["--depth", "2", "--vary", "inputs"], "--vary ['inputs'] is of a template"),
        (["--problem", "no/such.json"], "there is no such file"),
    ],
)
def test_command_refuses(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["search", *arguments]) == 2
    assert message in capsys.readouterr().err
