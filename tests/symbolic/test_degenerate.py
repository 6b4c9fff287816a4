"""Problems in which little is random: every road against enumeration and quadrature, and the answers that are zero.

Values at batch sizes, not coefficients, are compared without replacement: there a polynomial is known at b = 1..n.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from fractions import Fraction
from math import prod
from pathlib import Path
from typing import Any

import oracles
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st
from roads import WholeExpansion
from tiers import slow_but

import linvar as lv
from linvar.exact import Rational
from linvar.symbolic.models import features
from linvar.symbolic.models.independent import Features
from linvar.symbolic.models.registry import exact_model
from linvar.symbolic.sgd.road import Road
from linvar.symbolic.sgd.steps import Steps

CASES = {
    case["id"]: case
    for case in json.loads((Path(__file__).parent.parent / "reference" / "degenerate.json").read_text())["cases"]
}
#: sequences of batches that are listed
MOST_SEQUENCES = 700


# what the roads say


def answers(problem: lv.Problem, road: Road) -> dict[str, tuple[lv.BatchPolynomial, ...]]:
    """Of a road: layer by layer, and the loss."""
    exact = lv.derive(problem, road)
    layers = exact.per_leaf
    found = {"second_moments": layers.second_moment, "squared_means": layers.squared_mean}
    return {**found, "variances": layers.variance, "expected_loss": (exact.loss,)}


def at(found: dict[str, tuple[lv.BatchPolynomial, ...]], batch_size: int) -> dict[str, tuple[Any, ...]]:
    """The values at a batch size."""
    return {name: tuple(one(batch_size) for one in polynomials) for name, polynomials in found.items()}


def of_oracle(moments: oracles.Moments) -> dict[str, tuple[Any, ...]]:
    """The same of an oracle."""
    return {
        "second_moments": moments.second_moments,
        "squared_means": moments.squared_means,
        "variances": moments.variances,
        "expected_loss": (moments.expected_loss,),
    }


def oracles_of(problem: lv.Problem) -> Iterator[tuple[int, oracles.Moments]]:
    """The batch sizes at which all batches are few enough, at most two, and what they give."""
    if isinstance(problem.law, lv.Dataset):
        few = []
        for b in (2, 1, 3):
            if b <= problem.law.size or problem.sampling == "iid":
                batches = len(oracles.all_batches(range(problem.law.size), b, problem.sampling))
                if batches ** (problem.step + 1) <= MOST_SEQUENCES:
                    few.append(b)
        yield from ((b, oracles.enumerate_batches(problem, b)) for b in few[:2])
    else:
        odd, law = 2 * problem.depth - 1, problem.law
        variances = oracles.ldl(oracles.fractions(law.covariance))[1]
        degrees = [4 * odd**s for s in range(problem.step + 1)]
        noise = law.target_width if law.noise_variance else 0
        count = prod((d + 1) ** sum(map(bool, variances)) * (d // 2 + 1) ** noise for d in degrees)
        if count <= 4 * MOST_SEQUENCES:
            yield 1, oracles.exact_quadrature(problem, 1)


def first_coefficients(problem: lv.Problem) -> dict[str, tuple[Any, ...]]:
    """Coefficients of 1, u, u^2 by the large-batch road."""
    cut = lv.large_batch(problem, order=2)
    layers = cut.per_leaf
    found = {"second_moments": layers.second_moment, "squared_means": layers.squared_mean}
    found |= {"variances": layers.variance, "expected_loss": (cut.loss,)}
    return {name: tuple(one.coefficients for one in parts) for name, parts in found.items()}


def disagreements(problem: lv.Problem, found: dict[str, tuple[lv.BatchPolynomial, ...]]) -> list[str]:
    """What differs from enumeration or quadrature, and from the first coefficients; [] is agreement, to the fraction."""
    wrong = []
    for b, moments in oracles_of(problem):
        expected = of_oracle(moments)
        wrong += [f"{name} at b = {b}" for name, values in at(found, b).items() if values != expected[name]]
    if problem.sampling == "iid":
        expected = first_coefficients(problem)
        for name, polynomials in found.items():
            cut = tuple((*one.coefficients, 0, 0)[:3] for one in polynomials)
            wrong += [f"first coefficients: {name}"] if cut != expected[name] else []
    return wrong


# the answers that are zero


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("road", [None, WholeExpansion(), lv.Lattice(), lv.LargeBatch(2)], ids=str)
def test_references(name: str, road: Road | lv.LargeBatch | None, tmp_path: Path) -> None:
    case = CASES[name]
    assert case["quantity"] == "variance"
    (tmp_path / "problem.json").write_text(json.dumps(case["problem"]))
    problem = lv.load_problem(tmp_path / "problem.json")
    coefficients = tuple(map(Fraction, case["coefficients_in_u"]))
    if not isinstance(road, lv.LargeBatch):
        polynomial = lv.gradient_variance(problem, road)
        assert polynomial.coefficients == coefficients
        assert polynomial == 0
    elif problem.sampling == "iid":
        assert lv.large_batch(problem, road.order).variance.coefficients[: len(coefficients)] == coefficients
    assert all(step.count() == 0 for step in Steps(problem))


RULES: dict[str, dict[str, Any]] = {
    "plain": {},
    "momentum": {"momentum": "1/2"},
    "nesterov with decay": {"momentum": "1/3", "nesterov": True, "weight_decay": "1/2"},
    "decay": {"weight_decay": 1},
}
WEIGHTS = {
    1: [[[1, 2], ["1/2", 0]]],
    2: [[[1, 2], [0, 1]], [[1, 0], ["1/2", 1]]],
    3: [[[1, 2]], [[-1], ["1/2"]], [[1, 0], ["1/2", 1]]],
}


def product_of(weights: Any) -> list[list[Fraction]]:
    """W_L ... W_1."""
    rows = [[Fraction(e) for e in row] for row in weights[0]]
    for matrix in weights[1:]:
        rows = [[sum(Fraction(e) * c for e, c in zip(row, column)) for column in zip(*rows)] for row in matrix]
    return rows


def images(weights: Any, inputs: Any) -> list[list[Fraction]]:
    """P x."""
    return [[sum(p * Fraction(e) for p, e in zip(row, x)) for row in product_of(weights)] for x in inputs]


def still_law(kind: str, depth: int) -> Any:
    """Laws under which nothing varies."""
    inputs = [[1, 2], [0, 1], [3, -1]]
    return {
        "one row": lv.Dataset([[1, 2]], [[3, 1]]),
        "equal rows": lv.Dataset([[1, 2]] * 3, [[3, 1]] * 3),
        "opposite rows": lv.Dataset([[1, 2], [-1, -2]], [[3, 1], [-3, -1]]),
        "zero inputs": lv.Dataset([[0, 0], [0, 0]], [[1, 2], [3, 4]]),
        "fitted rows": lv.Dataset(inputs, images(WEIGHTS[depth], inputs)),
        "covariance of zero": lv.Gaussian([[1, 0], [0, 1]], [[0, 0], [0, 0]], [1, 2]),
        "fitted teacher": lv.Gaussian(product_of(WEIGHTS[depth]), [[1, 1], [1, 2]], [1, 0]),
    }[kind]


STILL = ("one row", "equal rows", "opposite rows", "zero inputs", "covariance of zero", "fitted rows", "fitted teacher")


@pytest.mark.parametrize("depth", slow_but(WEIGHTS, 1, 3))
@pytest.mark.parametrize(
    ("kind", "rule"),  # decay leaves a fit: test_features.py
    [(kind, rule) for kind in STILL for rule in RULES if not (kind.startswith("fitted") and "decay" in rule)],
)
def test_nothing_varies(kind: str, rule: str, depth: int) -> None:
    """t = 0, ..., 3, both samplings: no variance, and a mean gradient and loss that do not depend on b."""
    fitted = kind.startswith("fitted")
    law = still_law(kind, depth)
    for sampling in ("iid", "without_replacement") if isinstance(law, lv.Dataset) else ("iid",):
        for step in range(4):
            problem = lv.Problem(WEIGHTS[depth], law, "1/4", step, sampling=sampling, **RULES[rule])
            assert lv.gradient_variance(problem) == 0
            assert all(count == 0 for count in (one.count() for one in Steps(problem)))
            squared, loss = lv.squared_mean(problem), lv.expected_loss(problem)
            assert squared.degree == loss.degree == 0
            if not fitted:
                one = (
                    problem
                    if not isinstance(law, lv.Dataset)
                    else problem.replace(law=lv.Dataset([law.inputs[0]], [law.targets[0]]))
                )
                if kind == "zero inputs":
                    one = problem
                expected = (
                    oracles.enumerate_batches(one, 1)
                    if isinstance(law, lv.Dataset)
                    else oracles.exact_quadrature(one, 1)
                )
                assert (squared(1), loss(1)) == (expected.squared_mean, expected.expected_loss)
            else:
                assert squared == loss == 0


# the answers that are not


def varying_law(kind: str, depth: int) -> Any:
    """Laws of which one number varies, or two."""
    inputs = [[1, 2], [0, 1], [3, -1]]
    fitted = images(WEIGHTS[depth], inputs)
    return {
        "two rows, one fitted": lv.Dataset(inputs[:2], [fitted[0], [3, 1]]),
        "two rows of zero and one": lv.Dataset([[0, 0], [0, 0], [1, 1]], [[1, 2], [3, 4], [1, 0]]),
        "two of three rows equal": lv.Dataset([[1, 2], [1, 2], [1, 1]], [[0, 1], [0, 1], [1, 0]]),
        "linear targets and a constant": lv.Dataset([[1, 1], [2, 1], [-1, 1]], [[2, 1], [3, 3], [0, -3]]),
        "covariance of rank 1": lv.Gaussian([[1, 2], [0, 1]], [[1, 2], [2, 4]]),
        "rank 1, mean in its range": lv.Gaussian([[1, 2], [0, 1]], [[1, 2], [2, 4]], [1, 2]),
        "rank 1, mean outside": lv.Gaussian([[1, 2], [0, 1]], [[1, 2], [2, 4]], [1, 0]),
        "a bias": lv.Gaussian([[0, 1], [1, -1]], [[1, 0], [0, 0]], [0, 1]),
    }[kind]


VARYING = {
    "two rows, one fitted": 1,
    "two rows of zero and one": 1,
    "two of three rows equal": 1,
    "linear targets and a constant": 2,
    "covariance of rank 1": 1,
    "rank 1, mean in its range": 1,
    "rank 1, mean outside": 2,
    "a bias": 2,
}


LITTLE = [(kind, rule, depth) for kind in VARYING for rule in RULES for depth in (2, 3)]
#: every law once, every rule with two of them, one at either depth
OFTEN = [(kind, list(RULES)[k % 4], 2 + k // 4) for k, kind in enumerate(VARYING)]


@pytest.mark.parametrize("case", slow_but(LITTLE, *OFTEN), ids=lambda case: ", ".join(map(str, case)))
def test_little_varies(case: tuple[str, str, int]) -> None:
    """As many variables at each step as vary, and the values of all batches; t = 3 for two rows."""
    kind, rule, depth = case
    law, variables = varying_law(kind, depth), VARYING[kind]
    most = {
        2: 3 if kind == "two rows, one fitted" and rule == "plain" else 2 - (variables > 1 and rule != "plain"),
        3: 1,
    }[depth]
    for sampling in ("iid", "without_replacement") if isinstance(law, lv.Dataset) else ("iid",):
        for step in range(most + 1):
            problem = lv.Problem(WEIGHTS[depth], law, "1/4", step, sampling=sampling, **RULES[rule])
            assert all(one.count() <= variables for one in Steps(problem))
            assert exact_model(problem).moving.count() == variables
            found = answers(problem, WholeExpansion())
            assert disagreements(problem, found) == []
            assert any(found["variances"])
            if step < 2:
                assert lv.derive(problem).per_leaf.variance == found["variances"]


@pytest.mark.parametrize(
    ("kind", "sampling", "rule"),
    [
        pytest.param("two of three rows equal", "without_replacement", "plain", marks=pytest.mark.slow),
        ("linear targets and a constant", "iid", "nesterov with decay"),
        pytest.param("a bias", "iid", "plain", marks=pytest.mark.slow),
    ],
)
def test_the_lattice_too(kind: str, sampling: str, rule: str) -> None:
    """Few of them: it compiles."""
    problem = lv.Problem(WEIGHTS[2], varying_law(kind, 2), "1/4", 1, sampling=sampling, **RULES[rule])
    assert [step.central for step in Steps(problem)] == [True]
    found = answers(problem, lv.Lattice())
    assert disagreements(problem, found) == []
    assert found == answers(problem, WholeExpansion())


@pytest.mark.parametrize("kind", ["linear targets and a constant", "rank 1, mean outside"])
def test_a_wrong_basis_is_told_apart(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One coordinate times 3/2."""
    problem = lv.Problem(WEIGHTS[2], varying_law(kind, 2), "1/4", 2)
    right = features.Echelon.features

    def wrong(*arguments: Any) -> Features:
        found = right(*arguments)
        rows = [list(row) for row in found.coordinates]
        dependent = [f for f, row in enumerate(rows) if row and f not in found.chosen]
        for place in dependent[:1]:
            rows[place][0] = rows[place][0][0], Rational(rows[place][0][1] * Fraction(3, 2))
        return Features(found.chosen, tuple(map(tuple, rows)), found.mixed)

    monkeypatch.setattr(features.Echelon, "features", wrong)
    told = disagreements(problem, answers(problem, WholeExpansion()))
    assert [name for name in told if name.startswith("variances")]


# random problems


@st.composite
def dependent_problems(draw: st.DrawFn) -> lv.Problem:
    """Rows and columns that depend on each other, constants, fits, singular covariances; zero layers and rates."""
    widths, most = draw(
        st.sampled_from(
            [((1, 1), 3), ((2, 1), 2), ((2, 2), 1), ((1, 1, 1), 2), ((2, 1, 1), 2), ((3, 1, 1), 1), ((1, 2, 1), 2),
             ((2, 2, 2), 1), ((2, 1, 2), 1), ((1, 1, 1, 1), 1), ((2, 1, 1, 1), 1), ((1, 2, 1, 1), 1)]
        )
    )  # fmt: skip
    step, inputs, outputs = draw(st.integers(0, most)), widths[0], widths[-1]
    weights = [draw(strategies.matrices(rows, columns)) for columns, rows in zip(widths, widths[1:])]
    teacher = draw(st.sampled_from([product_of(weights), draw(strategies.matrices(outputs, inputs))]))
    if draw(st.booleans()):
        law: Any = draw(_dependent_rows(inputs, outputs, teacher))
        sampling = draw(st.sampled_from(["iid", "without_replacement"]))
    else:
        law, sampling = draw(_singular_law(inputs, teacher)), "iid"
    rate = st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(1, 3), Fraction(1)])
    rates: Any = draw(st.one_of(rate, st.lists(rate, min_size=step, max_size=step)))
    rule = draw(st.one_of(st.just({}), strategies.rules())) if step else {}
    return lv.Problem(weights, law, rates, step, sampling=sampling, **rule)


@st.composite
def _dependent_rows(draw: st.DrawFn, inputs: int, outputs: int, teacher: list[list[Fraction]]) -> lv.Dataset:
    """At most two rows that differ beside a third that repeats one, is zero, or is on the teacher."""
    size = draw(st.integers(1, 3))
    x = draw(strategies.matrices(size, inputs))
    if draw(st.booleans()):  # a constant, the first column again
        x = [[Fraction(1), *row[1:]] for row in x] if draw(st.booleans()) else [[*row[:-1], row[0]] for row in x]
    y = [[sum((a * b for a, b in zip(row, one)), Fraction(0)) for row in teacher] for one in x]
    free = draw(st.integers(0, size))  # rows off the teacher
    y = [*draw(strategies.matrices(max(1, free), outputs))[:free], *y[free:]]
    kind = draw(st.sampled_from(["equal", "zero", "opposite", "generic"]))
    if kind != "generic":
        sign = {"equal": 1, "zero": 0, "opposite": -1}[kind]
        x[-1], y[-1] = [sign * e for e in x[0]], [sign * e for e in y[0]]
    return lv.Dataset(x, y)


@st.composite
def _singular_law(draw: st.DrawFn, inputs: int, teacher: list[list[Fraction]]) -> lv.Gaussian:
    """A covariance of rank 0 or 1, a mean in its range or outside."""
    (factor,) = draw(strategies.matrices(1, inputs))
    covariance = [[a * b for b in factor] for a in factor]
    mean = draw(st.sampled_from([None, factor, [Fraction(1)] * inputs, draw(strategies.matrices(1, inputs))[0]]))
    noise = draw(st.sampled_from([0, 0, 0, Fraction(1, 2)])) if inputs == 1 else 0
    return lv.Gaussian(teacher, covariance, mean, noise)


@given(dependent_problems())
def test_random_dependent_problems(problem: lv.Problem) -> None:
    """Every road that applies, and all batches of one or two sizes; no more variables than distinct rows but one."""
    found = answers(problem, WholeExpansion())
    assert disagreements(problem, found) == []
    if problem.depth == 1:
        assert answers(problem, lv.Regression()) == found
    assert lv.derive(problem).per_leaf.variance == found["variances"]
    if isinstance(problem.law, lv.Dataset):
        distinct = len({*zip(problem.law.inputs, problem.law.targets)})
        assert all(step.count() < distinct for step in Steps(problem))


# problems that no road took


def fractions_of(seed: int, rows: int, columns: int) -> list[list[Fraction]]:
    """A matrix of small fractions, the same on every machine."""
    draws = random.Random(seed)
    return [[Fraction(draws.randrange(-5, 6), draws.choice([1, 2, 3])) for _ in range(columns)] for _ in range(rows)]


def check_modulo(problem: lv.Problem, value: Fraction, primes: tuple[int, ...]) -> None:
    """A value at b = 1 is that of all sequences of examples, modulo primes."""
    for prime in primes:
        assert oracles.variance_modulo(problem, prime) == value.numerator * pow(value.denominator, -1, prime) % prime


PRIMES = (2**31 - 1, 2**31 - 19, 2**31 - 61)
BIAS = lv.Problem([[["1/2", "1/3"]], [[2]]], lv.Gaussian([[2, -1]], [[1, 0], [0, 0]], [0, 1]), "1/10", 2)


def check(problem: lv.Problem, variables: int) -> lv.BatchPolynomial:
    """The first coefficients, and so many variables at every step."""
    assert [step.count() for step in Steps(problem)] == [variables] * problem.step
    polynomial = lv.gradient_variance(problem)
    assert polynomial.coefficients[:3] == lv.large_batch(problem, order=2).variance.coefficients
    assert polynomial.degree > 2
    return polynomial


def test_a_bias_at_step_2() -> None:
    polynomial = check(BIAS, 2)
    expected = oracles.exact_quadrature(BIAS, 1).variance
    assert polynomial(1) == expected
    check_modulo(BIAS, expected, PRIMES)
    for prime in PRIMES:  # a wrong value is told apart
        assert (
            oracles.variance_modulo(BIAS, prime)
            != (expected + 1).numerator * pow(expected.denominator, -1, prime) % prime
        )


@pytest.mark.slow
def test_a_bias_at_step_3() -> None:
    problem = BIAS.replace(step=3)
    check_modulo(problem, check(problem, 2)(1), PRIMES[:2])


@pytest.mark.slow
@pytest.mark.parametrize(("inputs", "rows"), [(10, 3), (3, 4)])
def test_few_rows_at_step_2(inputs: int, rows: int) -> None:
    law = lv.Dataset(fractions_of(1, rows, inputs), fractions_of(4, rows, 1))
    problem = lv.Problem([fractions_of(2, 2, inputs), fractions_of(3, 1, 2)], law, "1/10", 2)
    polynomial = check(problem, rows - 1)
    expected = oracles.enumerate_batches(problem, 1).variance
    assert polynomial(1) == expected
    check_modulo(problem, expected, PRIMES)


@pytest.mark.slow
@pytest.mark.parametrize(("mean", "step", "variables"), [(None, 3, 1), ([1, 2], 2, 1), ([1, 0], 2, 2)])
def test_a_covariance_of_rank_1(mean: Any, step: int, variables: int) -> None:
    """A mean in the range of the covariance leaves one number to vary."""
    law = lv.Gaussian([["3/2", "2/3"], [0, "-1/2"]], [[1, 2], [2, 4]], mean)
    weights = [[["1/2", 1], [-1, "1/3"]], [[1, "2/3"], ["1/2", -1]]]
    problem = lv.Problem(weights, law, "1/10", step)
    check_modulo(problem, check(problem, variables)(1), PRIMES[:2])
