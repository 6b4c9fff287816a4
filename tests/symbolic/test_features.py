"""Features of minimal rank against linear algebra in fractions: every functional at every point, and ranks of covariances.

The covariance of functionals is summed over the rows of a data set, or written out by Isserlis for a Gaussian law; a step's
gradient at one example is compared with propagation through the layers (``oracles``). Nothing of ``features`` is used for that.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from itertools import islice
from typing import Any

import oracles
import pytest
import strategies
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

import linvar as lv
from linvar.exact import Rational
from linvar.laws.law import Law
from linvar.symbolic.algebra.ring import Numbers
from linvar.symbolic.laws.gaussian import ExactGaussian
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.models.features import (
    Functionals,
    _relations,
    features,
    linear_forms,
    rank_at_least,
    unit_forms,
)
from linvar.symbolic.models.independent import Echelon, Features
from linvar.symbolic.models.linear.steps import FixedStep, MovingStep
from linvar.symbolic.models.model import StillStep
from linvar.symbolic.models.registry import exact_model
from linvar.symbolic.sgd.steps import Steps

Vector = Sequence[Fraction]


# the second road: fractions


def rank(rows: Sequence[Vector]) -> int:
    """By elimination."""
    rest, found = [list(map(Fraction, row)) for row in rows], 0
    for column in range(len(rest[0]) if rest else 0):
        place = next((i for i in range(found, len(rest)) if rest[i][column]), None)
        if place is None:
            continue
        rest[found], rest[place] = rest[place], rest[found]
        for i in range(found + 1, len(rest)):
            factor = rest[i][column] / rest[found][column]
            rest[i] = [a - factor * b for a, b in zip(rest[i], rest[found])]
        found += 1
    return found


@cache
def pairs_of(functionals: Functionals) -> list[tuple[Vector, Vector]]:
    """(p, q) of each functional."""

    def dense(form: Any) -> Vector:
        entries = dict(form)
        return [Fraction(entries.get(a, 0)) for a in range(functionals.size)]

    return [(dense(functionals.lefts[i]), dense(functionals.rights[j])) for i, j in functionals.pairs]


def dot(a: Vector, b: Vector) -> Fraction:
    """a.b."""
    return sum((x * y for x, y in zip(a, b)), Fraction(0))


def values(functionals: Functionals, z: Vector) -> list[Fraction]:
    """(p.z)(q.z)."""
    return [dot(p, z) * dot(q, z) for p, q in pairs_of(functionals)]


def moments_of_z(law: lv.Gaussian) -> tuple[Vector, list[Vector]]:
    """Mean and covariance of z = (x, noise), without the noise where there is none."""
    outputs = len(law.teacher) if law.noise_variance else 0
    inputs = len(law.mean)
    covariance = [[Fraction(0)] * (inputs + outputs) for _ in range(inputs + outputs)]
    for i in range(inputs):
        for j in range(inputs):
            covariance[i][j] = Fraction(law.covariance[i][j])
    for k in range(outputs):
        covariance[inputs + k][inputs + k] = Fraction(law.noise_variance)
    return [*map(Fraction, law.mean), *[Fraction(0)] * outputs], covariance


def covariances(law: Law, functionals: Functionals) -> list[list[Fraction]]:
    """Cov of the functionals under the law."""
    if isinstance(law, lv.Dataset):
        rows = [values(functionals, [*map(Fraction, x), *map(Fraction, y)]) for x, y in zip(law.inputs, law.targets)]
        means = [sum(column) / len(rows) for column in zip(*rows)]
        rows = [[value - mean for value, mean in zip(row, means)] for row in rows]
        return [
            [sum(row[i] * row[j] for row in rows) / len(rows) for j in range(len(means))] for i in range(len(means))
        ]
    mu, sigma = moments_of_z(law)

    def cov(p: Vector, q: Vector) -> Fraction:
        return dot(p, [dot(row, q) for row in sigma])

    def one(first: tuple[Vector, Vector], second: tuple[Vector, Vector]) -> Fraction:
        """Isserlis: z = mu + h; the pairings of h across, the other factors at their means."""
        (a, b), (c, d) = first, second
        total = cov(a, c) * cov(b, d) + cov(a, d) * cov(b, c)
        for across, rest in (((a, c), (b, d)), ((a, d), (b, c)), ((b, c), (a, d)), ((b, d), (a, c))):
            total += cov(*across) * dot(mu, rest[0]) * dot(mu, rest[1])
        return total

    pairs = pairs_of(functionals)
    return [[one(first, second) for second in pairs] for first in pairs]


def means(law: Law, functionals: Functionals) -> list[Fraction]:
    """E (p.z)(q.z)."""
    if isinstance(law, lv.Dataset):
        rows = [values(functionals, [*map(Fraction, x), *map(Fraction, y)]) for x, y in zip(law.inputs, law.targets)]
        return [sum(column) / len(rows) for column in zip(*rows)]
    mu, sigma = moments_of_z(law)
    return [dot(p, [dot(row, q) for row in sigma]) + dot(p, mu) * dot(q, mu) for p, q in pairs_of(functionals)]


def points(law: Law, draws: random.Random, count: int = 5) -> list[Vector]:
    """Every row; or random points mu + Sigma h of the range."""
    if isinstance(law, lv.Dataset):
        return [[*map(Fraction, x), *map(Fraction, y)] for x, y in zip(law.inputs, law.targets)]
    mu, sigma = moments_of_z(law)
    result = []
    for _ in range(count):
        h = [Fraction(draws.randrange(-9, 10), draws.randrange(1, 4)) for _ in mu]
        result.append([m + dot(row, h) for m, row in zip(mu, sigma)])
    return result


def failures(law: Law, functionals: Functionals, found: Features) -> list[str]:
    """What is wrong with a basis; [] if nothing is."""
    wrong = []
    if len(found) != rank(covariances(law, functionals)):
        wrong.append("rank")
    expected = means(law, functionals)
    for z in points(law, random.Random(0)):
        at = values(functionals, z)
        moved = [at[f] - expected[f] for f in range(len(at))]
        for f, coordinates in enumerate(found.coordinates):
            if moved[f] != sum(c * moved[found.chosen[i]] for i, c in coordinates):
                wrong.append(f"functional {f}, less its mean")
            if not found.mixed and at[f] != sum(c * at[found.chosen[i]] for i, c in coordinates):
                wrong.append(f"functional {f}")
    return wrong


# laws and functionals


@st.composite
def dependent_datasets(draw: st.DrawFn, most_rows: int = 6) -> lv.Dataset:
    """Rows that repeat or are zero, columns that repeat or are constant, targets that are linear in the inputs."""
    size, inputs, outputs = draw(st.integers(1, most_rows)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    x, y = draw(strategies.matrices(size, inputs)), draw(strategies.matrices(size, outputs))
    kinds = draw(st.sets(st.sampled_from(["equal", "zero", "constant", "twins", "linear", "opposite"]), max_size=3))
    if "linear" in kinds:
        teacher = draw(strategies.matrices(outputs, inputs))
        y = [[dot(row, one) for row in teacher] for one in x]
    if "constant" in kinds:
        x = [[Fraction(1), *row[1:]] for row in x]
    if "twins" in kinds:
        x = [[*row[:-1], row[0]] for row in x]
    for kind, places in (("equal", range(1, size, 2)), ("zero", range(1)), ("opposite", range(1, size))):
        for i in places if kind in kinds else ():
            sign = {"equal": 1, "zero": 0, "opposite": -1}[kind]
            x[i], y[i] = [sign * e for e in x[i - 1]], [sign * e for e in y[i - 1]]
    return lv.Dataset(x, y)


@st.composite
def singular_gaussians(draw: st.DrawFn) -> lv.Gaussian:
    """A covariance F F^T of any rank, a mean inside or outside its range, noise or none."""
    inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    columns = draw(st.integers(0, inputs))
    factor = draw(strategies.matrices(inputs, columns)) if columns else [[] for _ in range(inputs)]
    covariance = [[dot(row, other) for other in factor] for row in factor]
    h = draw(strategies.matrices(1, inputs))[0]
    mean = draw(st.sampled_from([None, h, [dot(row, h) for row in covariance]]))
    noise = draw(st.sampled_from([0, 0, Fraction(1, 2)]))
    return lv.Gaussian(draw(strategies.matrices(outputs, inputs)), covariance, mean, noise)


@st.composite
def functionals_of(draw: st.DrawFn, size: int) -> Functionals:
    """All products of coordinates; or products of random linear forms, some of them zero."""
    if draw(st.booleans()):
        return Functionals(
            size, unit_forms(size), unit_forms(size), tuple((a, c) for a in range(size) for c in range(a, size))
        )
    lefts, rights = (draw(strategies.matrices(draw(st.integers(1, 3)), size)) for _ in range(2))
    exact = [linear_forms([[Rational(entry) for entry in row] for row in rows]) for rows in (lefts, rights)]
    return Functionals(size, *exact, tuple((i, j) for i in range(len(lefts)) for j in range(len(rights))))


def width(law: Law) -> int:
    """m, the dimension of z."""
    return exact_law(law).width


@strategies.examples(80)
@given(st.data())
def test_data_sets_have_a_basis_of_the_rank_of_the_covariance(data: st.DataObject) -> None:
    law = data.draw(dependent_datasets())
    twin = exact_law(law)
    functionals = data.draw(functionals_of(width(law)))
    found = features(twin, functionals)
    assert failures(law, functionals, found) == []
    assert len(found) <= len({*zip(law.inputs, law.targets)}) - 1
    assert all(
        rank_at_least(twin, functionals, islice(twin.support(2), few)) <= len(found) for few in range(1, law.size + 2)
    )


@strategies.examples(80)
@given(st.data())
def test_gaussian_laws_have_a_basis_of_the_rank_of_the_covariance(data: st.DataObject) -> None:
    law = data.draw(singular_gaussians())
    twin = exact_law(law)
    functionals = data.draw(functionals_of(width(law)))
    found = features(exact_law(law), functionals)
    assert failures(law, functionals, found) == []
    assert all(rank_at_least(twin, functionals, islice(twin.support(2), few)) <= len(found) for few in (1, 2, 5, 100))


def test_the_comparison_tells_a_wrong_basis_apart() -> None:
    """One coordinate times 3/2; a variable less; a constant forgotten."""
    law = lv.Dataset([[1, 1, 2], [1, 2, 0], [1, 0, 5], [1, 3, 3]], [[1], [0], [1], [1]])
    functionals = Functionals(4, unit_forms(4), unit_forms(4), tuple((a, c) for a in range(4) for c in range(a, 4)))
    found = features(exact_law(law), functionals)
    assert failures(law, functionals, found) == []
    assert found.mixed
    place, ((i, c), *rest) = next((f, k) for f, k in enumerate(found.coordinates) if f not in found.chosen and k)
    wrong = [*found.coordinates]
    wrong[place] = ((i, Rational(c * Fraction(3, 2))), *rest)
    assert f"functional {place}, less its mean" in failures(
        law, functionals, Features(found.chosen, tuple(wrong), True)
    )
    less = tuple(tuple(pair for pair in k if pair[0] < len(found) - 1) for k in found.coordinates)
    assert "rank" in failures(law, functionals, Features(found.chosen[:-1], less, True))
    assert failures(law, functionals, Features(found.chosen, found.coordinates, False))


def test_a_relation_that_the_last_row_breaks() -> None:
    """2,000 rows with x_2 = x_1; that of the last is another, and so are its products."""
    rows = [[i % 7, i % 7, 1 + i % 3] for i in range(2_000)]
    every = tuple((a, c) for a in range(4) for c in range(a, 4))
    targets = [[i % 5] for i in range(2_000)]
    functionals = Functionals(4, unit_forms(4), unit_forms(4), every)
    before = features(exact_law(lv.Dataset(rows, targets)), functionals)
    assert len(before) == 6  # products of x_1, x_3 and y, for x_2 is x_1
    rows[-1] = [1, 2, 3]
    law = lv.Dataset(rows, targets)
    assert len(features(exact_law(law), functionals)) == 6 + 1  # one row, one more direction
    rows[700], rows[1_300] = [3, 1, 1], [5, 1, 2]
    law = lv.Dataset(rows, targets)
    after = features(exact_law(law), functionals)
    assert len(after) == 6 + 3
    assert failures(law, functionals, after) == []


# symbols


@pytest.mark.parametrize(
    ("covariance", "mean", "variables"),
    [
        ([["v", 0], [0, 0]], [0, 1], 2),  # x_1^2, x_1
        ([["v", 0], [0, 0]], ["m", 1], 2),
        ([["v", 0], [0, 0]], [0, "m"], 2),
        ([["v", 0], [0, 0]], ["-v", "m"], 2),  # the symbol of the mean cancels at a point
        ([["v", "v"], ["v", "v"]], [0, 0], 1),  # x_1 = x_2
        ([["v", "v"], ["v", "v"]], ["m", 0], 2),  # x_1 = x_2 + m, outside the range
        ([["v", "v"], ["v", "v"]], ["m", "m"], 1),
        ([[1, 1], [1, 1]], ["m", 0], 2),
        ([[0, 0], [0, 0]], ["m", "v"], 0),
        ([["v", 0], [0, "v"]], ["m", 0], 3),
        ([["v", 0], [0, 1]], [1, 2], 3),
        ([["v", "m"], ["m", 1]], [0, 0], 3),
    ],
)  # fmt: skip
@pytest.mark.parametrize("noise", [0, "s"])
def test_symbolic_laws(covariance: Any, mean: Any, variables: int, noise: Any) -> None:
    """Ranks counted by hand; the identities with numbers for the symbols, where the rank is no larger."""
    symbols = {sp.Symbol("v"): Fraction(3, 2), sp.Symbol("m"): Fraction(2, 5), sp.Symbol("s"): Fraction(7, 3)}

    def of(numbers: dict[Any, Fraction]) -> lv.Gaussian:
        def entry(value: Any) -> Any:
            found = sp.sympify(value).subs({k: sp.Rational(v.numerator, v.denominator) for k, v in numbers.items()})
            return found

        matrix = [[entry(e) for e in row] for row in covariance]
        return lv.Gaussian([[1, 2]], matrix, [entry(e) for e in mean], entry(noise))

    law, size = of({}), 2
    every = tuple((a, c) for a in range(size) for c in range(a, size))
    functionals = Functionals(width(law), unit_forms(width(law)), unit_forms(width(law)), every)
    twin = exact_law(law)
    found = features(twin, functionals)
    assert len(found) == variables
    assert rank_at_least(twin, functionals, islice(twin.support(2), 100)) <= variables
    wrong = failures(of(symbols), functionals, found)
    assert not [fault for fault in wrong if fault != "rank"]
    assert rank(covariances(of(symbols), functionals)) <= variables


@pytest.mark.parametrize(
    ("covariance", "mean"),
    [([["v", 0], [0, 0]], ["m", 1]), ([["v", "v"], ["v", "v"]], ["m", 0]), ([[0, 0], [0, 0]], ["m", "v"])],
)
def test_symbols_give_what_numbers_give(covariance: Any, mean: Any) -> None:
    def of(v: Any, m: Any) -> lv.Problem:
        names = {"v": v, "m": m}
        matrix = [[names.get(e, e) for e in row] for row in covariance]
        law = lv.Gaussian([[1, 2]], matrix, [names.get(e, e) for e in mean], "1/3")
        return lv.Problem([[[1, 0]], [[2]]], law, "1/10", 1)

    v, m = sp.symbols("v m")
    numbers = {v: Fraction(4, 9), m: Fraction(2, 5)}
    symbolic = lv.gradient_variance(of(v, m), lv.Expansion())
    assert symbolic.subs(numbers) == lv.gradient_variance(of(*numbers.values()), lv.Expansion())


# steps


def fixed_step(problem: lv.Problem) -> FixedStep:
    """The step from the initial weights."""
    return exact_model(problem).fixed(problem.weights)


def gradient_of_example(step: Any, weights: Any, z: Vector, mean: list[Vector]) -> Any:
    """A step's batch gradient where the batch is one example: its variables are z^T Theta z, or less their means."""
    taken = [
        sum(form[a][c] * z[a] * z[c] for a in range(len(z)) for c in range(len(z)))
        - (sum(form[a][c] * mean[a][c] for a in range(len(z)) for c in range(len(z))) if step.central else 0)
        for form in [feature.form(len(z)) for feature in step.features]
    ]
    lifted = [[[Rational(entry) for entry in row] for row in matrix] for matrix in weights]
    return tuple(tuple(map(tuple, matrix)) for matrix in step.gradients(lifted, list(map(Rational, taken)), Numbers))


def example(law: Law, z: Vector) -> oracles.Example:
    """(x, y) of z."""
    return tuple(
        tuple(dot(list(map(Fraction, row)), z) for row in rows)
        for rows in (exact_law(law).input_map, exact_law(law).target_map)
    )


def second_moment(law: Law) -> list[Vector]:
    """E z z^T."""
    if isinstance(law, lv.Dataset):
        rows = points(law, random.Random(0))
        return [[sum(z[a] * z[c] for z in rows) / len(rows) for c in range(width(law))] for a in range(width(law))]
    mu, sigma = moments_of_z(law)
    return [[s + a * b for s, b in zip(row, mu)] for row, a in zip(sigma, mu)]


@st.composite
def dependent_problems(draw: st.DrawFn) -> lv.Problem:
    """Two layers or three, with zero layers and perfect fits now and then."""
    law = draw(st.one_of(dependent_datasets(4), singular_gaussians()))
    hidden = [draw(st.integers(1, 2)) for _ in range(draw(st.integers(1, 2)))]
    widths = [law.input_width, *hidden, law.target_width]
    weights = [draw(strategies.matrices(rows, columns)) for columns, rows in zip(widths, widths[1:])]
    if draw(st.booleans()):  # the first row, or the teacher, is fitted
        product = weights[0]
        for matrix in weights[1:]:
            product = [[dot(row, column) for column in zip(*product)] for row in matrix]
        if isinstance(law, lv.Dataset):
            targets = [[dot(row, x) for row in product] for x in law.inputs]
            count = draw(st.integers(1, law.size))
            law = lv.Dataset(law.inputs, [*targets[:count], *law.targets[count:]])
        else:
            law = lv.Gaussian(product, law.covariance, law.mean, law.noise_variance)
    return lv.Problem(weights, law, "1/3", 1)


@strategies.examples(60)
@given(dependent_problems(), st.data())
def test_steps_give_the_gradient_of_every_example(problem: lv.Problem, data: st.DataObject) -> None:
    """And have as many variables as the gradient (fixed weights), or z x^T (any weights), has ranks."""
    law, mean = problem.law, second_moment(problem.law)
    fixed, moving = fixed_step(problem), exact_model(problem).moving
    other = [data.draw(strategies.matrices(len(matrix), len(matrix[0]))) for matrix in problem.weights]
    start = tuple(map(oracles.fractions, problem.weights))
    for z in points(law, random.Random(1)):
        expected = oracles.example_gradient(start, example(law, z))
        assert gradient_of_example(fixed, problem.weights, z, mean) == expected
        assert gradient_of_example(moving, other, z, mean) == oracles.example_gradient(
            tuple(map(oracles.fractions, other)), example(law, z)
        )
    at_points = points(law, random.Random(2), 40)  # more than quadratic polynomials in 5 coordinates have coefficients
    entries = [[e for m in oracles.example_gradient(start, example(law, z)) for r in m for e in r] for z in at_points]
    assert len(fixed.features) == fixed.count() == rank([[a - b for a, b in zip(row, entries[0])] for row in entries])
    products = [[a * b for a in z for b in example(law, z)[0]] for z in at_points]
    assert len(moving.features) == moving.count() == rank([[a - b for a, b in zip(r, products[0])] for r in products])
    for make, count in (
        (lambda: fixed_step(problem), fixed.count()),
        (lambda: exact_model(problem).moving, moving.count()),
    ):
        for most in range(1, count + 2):
            assert min(most, count) <= make().count(most) <= count


def test_many_functionals_are_counted_no_higher_than_they_are() -> None:
    """No layer gets what the residual of 16 x 16 varies in, or only one row of it."""
    draws = random.Random(3)
    rows = [[draws.randrange(-3, 4) for _ in range(16)] for _ in range(12)]
    law = lv.Dataset(rows, [row[::-1] for row in rows])
    one = [[1] + [0] * 15]
    zeros = [[0] for _ in range(16)]
    narrow = lv.Problem([one, zeros], law, "1/10", 1)
    assert fixed_step(narrow).count(10) == 10
    assert fixed_step(narrow).count(64) == len(fixed_step(narrow).features) == 11
    nothing = lv.Problem([[[0] * 16], zeros], law, "1/10", 4)
    assert fixed_step(nothing).count(1) == 0
    assert [step.count(1) for step in Steps(nothing)] == [0, 0, 0, 0]


def test_generic_points_tell_a_full_rank_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 inputs that may be anywhere: a few random points, and relations confirmed as polynomials, in place of 861 points.

    There is a relation between two residuals of one input without noise: (r_1.x)(r_2.x) is a combination of r_1.x x_j, and of
    r_2.x x_j.
    """
    rows = [list(range(40)), list(range(1, 41))]
    one = lv.Problem([rows, [[1, 3]]], lv.Gaussian([[1] * 40]), "1/10", 1)
    two = lv.Problem([rows, [[1, 3], [1, -1]]], lv.Gaussian([[1] * 40, [2] * 40]), "1/10", 1)
    assert fixed_step(two).count(100) == 79
    assert [fixed_step(problem).count(10) for problem in (one, two)] == [10, 10]

    def refuse(law: ExactGaussian, degree: int) -> Any:
        raise LookupError

    monkeypatch.setattr(ExactGaussian, "support", refuse)
    assert fixed_step(one).count() == 40
    assert fixed_step(two).count(100) == 79
    few = Functionals(2, unit_forms(2), unit_forms(2), ((0, 0), (0, 1), (1, 1)))
    twice = replace(few, pairs=((0, 1), (1, 0)))
    assert _relations(twice, Echelon.of([[1, 5, 5], [1, 7, 7]], 3)) == []  # z_1 z_2 = z_2 z_1 is none
    assert _relations(few, Echelon.of([[1, 5, 5, 1], [1, 7, 7, 2]], 4)) != []
    ((constant, form),) = _relations(few, Echelon.of([[1, 5, 3, 1], [1, 5, 4, 2], [1, 5, 1, 1]], 4))
    assert set(form) == {(0, 0)} and constant == -5 * form[0, 0]


def kinds(problem: lv.Problem) -> list[tuple[type, int]]:
    """The kind of each step, and its variables."""
    return [(type(step), step.count()) for step in Steps(problem)]


#: Gradients that are equal at w = 0, and no longer after a step: (w x - y) x x^T and so on, with equal x y.
EQUAL_AT_ZERO = lv.Dataset([[1], [2]], [[2], [1]])


def test_weights_that_a_first_step_without_variables_moves() -> None:
    """The step after it has weights that are numbers, too; its variables are those of the gradients there."""
    problem = lv.Problem([[[0]], [[1]]], EQUAL_AT_ZERO, "1/10", 3)
    assert kinds(problem) == [(FixedStep, 0), (FixedStep, 1), (MovingStep, 1)]
    (first, second, _) = Steps(problem)
    assert second.weights == (((Rational(1, 5),),), ((Rational(1),),))  # W_1 - (1/10) W_2 (-2)
    compare(problem)


def compare(problem: lv.Problem) -> None:
    """With enumeration at b = 1 and 2, both samplings."""
    for sampling in ("iid", "without_replacement"):
        one = problem.replace(sampling=sampling)
        polynomials = lv.derive(one, lv.Expansion()).per_leaf.variance
        for b in (1, 2):
            assert tuple(p(b) for p in polynomials) == oracles.enumerate_batches(one, b).variances


def test_learning_rates_of_zero() -> None:
    problem = lv.Problem([[[0]], [[1]]], EQUAL_AT_ZERO, [0, "1/10", 0, "1/5"], 4)
    assert kinds(problem) == [(StillStep, 0), (FixedStep, 0), (StillStep, 0), (FixedStep, 1)]
    compare(problem.replace(step=4))
    assert kinds(problem.replace(learning_rate=0)) == [(StillStep, 0)] * 4
    moving = lv.Problem([[[1]], [[1]]], EQUAL_AT_ZERO, ["1/10", 0, "1/5"], 3)
    assert kinds(moving) == [(FixedStep, 1), (StillStep, 0), (MovingStep, 1)]
    compare(moving)


def test_a_rate_of_zero_with_momentum_is_a_step() -> None:
    """Its gradient enters the momentum, and what is left of it the next weights."""
    problem = lv.Problem([[[1]], [[1]]], EQUAL_AT_ZERO, [0, "1/5"], 2, momentum="1/2")
    assert kinds(problem) == [(FixedStep, 1), (MovingStep, 1)]
    compare(problem)
    fixed = lv.Problem([[[0]], [[1]]], EQUAL_AT_ZERO, [0, "1/5", "1/7"], 3, momentum="1/2", nesterov=True)
    assert kinds(fixed) == [(FixedStep, 0), (FixedStep, 0), (FixedStep, 1)]
    compare(fixed)


def test_a_momentum_that_a_rate_of_zero_leaves_as_it_is() -> None:
    """From (1, 1) to (-1, -1), where D = -M, so that M' = D + 2 M = M: the same state, and yet a gradient that varies later.

    p = w_1 w_2 is 1 at both, and so is p x^2 - x y at both rows; then p = 25/16.
    """
    law = lv.Dataset([[1], [2]], [[0], ["3/2"]])
    problem = lv.Problem([[[1]], [[1]]], law, [2, 0, "1/4", "1/5"], 4, momentum=2)
    assert kinds(problem) == [(FixedStep, 0), (FixedStep, 0), (FixedStep, 0), (FixedStep, 1)]
    compare(problem)


@pytest.mark.parametrize(
    "rule", [{}, {"momentum": "1/2"}, {"weight_decay": "1/3"}, {"momentum": "1/2", "nesterov": True, "weight_decay": 1}]
)
def test_a_perfect_fit(rule: dict[str, Any]) -> None:
    """Nothing varies for good; with decay the weights leave it by numbers, and then it does."""
    law = lv.Dataset([[1, 2], [2, 1], [1, 1]], [[1], [2], [1]])
    problem = lv.Problem([[[1, 0]], [[1]]], law, "1/10", 3, **rule)
    if rule.get("weight_decay"):
        assert kinds(problem) == [(FixedStep, 0), (FixedStep, 2), (MovingStep, 2)]
        compare(problem.replace(step=2))
    else:
        assert kinds(problem) == [(FixedStep, 0)] * 3
        assert not lv.gradient_variance(problem, lv.Expansion())


@pytest.mark.parametrize(
    "rule", [{}, {"momentum": "1/2"}, {"weight_decay": "1/3"}, {"momentum": "1/2", "weight_decay": 1}]
)
def test_zero_layers_stay_for_good(rule: dict[str, Any]) -> None:
    """Two of three layers are zero: no gradient, though the third decays; hundreds of steps, and symbols."""
    law = lv.Dataset([[1, 2], [2, 1], [1, 1]], [[1], [0], [3]])
    weights = [[[0, 0]], [[0]], [[3]]]
    for problem in (
        lv.Problem(weights, law, "1/10", 400, **rule),
        lv.Problem(weights, law, sp.Symbol("a"), 5, **rule),
        lv.Problem(weights, law, sp.Symbol("a"), 5, **rule | {"weight_decay": sp.Symbol("d")}),
        lv.Problem(weights, law, "1/7", 5, **rule | {"momentum": sp.Symbol("m")}),
    ):
        assert {(type(step), step.count()) for step in Steps(problem)} == {(FixedStep, 0)}
        assert not lv.gradient_variance(problem.replace(step=5))


@pytest.mark.parametrize(
    "rule", [{}, {"momentum": sp.Symbol("mu")}, {"weight_decay": sp.Symbol("d"), "momentum": "1/3"}]
)
def test_weights_of_symbols_that_stay(rule: dict[str, Any]) -> None:
    """Layers of zeros below or above every layer, or a fit that holds identically: no step varies or moves, whatever t."""
    a, c, rate = sp.symbols("a c alpha")
    law = lv.Gaussian([[a]], noise_variance=sp.Symbol("s"))
    zeros = [[[[a]], [[0]], [[0]]], [[[0]], [[c]], [[0]]], [[[a, c]], [[0], [0]], [[0, 0]]]]
    problems = [lv.Problem(w, lv.Gaussian([[a] * len(w[0][0])], noise_variance="1/2"), rate, 2, **rule) for w in zeros]
    if "weight_decay" not in rule:
        problems.append(lv.Problem([[[a]], [[c]]], lv.Gaussian([[a * c]]), rate, 2, **rule))
        problems.append(lv.Problem([[[a, 1]], [[c]]], lv.Gaussian([[a * c, c]], noise_variance=0), rate, 2, **rule))
    for problem in problems:
        for one in (problem, problem.replace(step=10**6)):
            assert not any(Steps(one)[s].moves or Steps(one)[s].count() for s in (0, one.step - 1))
        assert lv.gradient_variance(problem) == 0 == lv.gradient_variance(problem, of="update")
        assert lv.plan(problem.replace(step=30))["expansion"].seconds < 60
    for weights in ([[[a]], [[0]]], [[[a]], [[c]], [[0]]], [[[a]], [[0]], [[c]]], [[[a], [0]], [[0, c]], [[1]]]):
        assert Steps(lv.Problem(weights, law, rate, 1, **rule))[0].moves
    near = lv.Problem([[[a]], [[c]]], lv.Gaussian([[a * c + a]]), rate, 1, **rule)
    assert Steps(near)[0].moves and lv.gradient_variance(near) != 0


def test_two_zero_layers_that_meet_are_no_rest() -> None:
    """W_1 = 0 alone moves: the second layer passes the residual down."""
    law = lv.Dataset([[1, 2], [2, 1], [1, 1]], [[1], [0], [3]])
    problem = lv.Problem([[[0, 0]], [[2]]], law, "1/10", 2)
    assert kinds(problem) == [(FixedStep, 2), (MovingStep, 2)]
    compare(problem)


def test_symbolic_rates_momentum_and_decay() -> None:
    """A fit stays at any rate and momentum; weights that move by a symbol are followed no further."""
    a, m, d = sp.symbols("a m d")
    law = lv.Dataset([[1, 2], [2, 1], [1, 1]], [[1], [2], [1]])
    fit = lv.Problem([[[1, 0]], [[1]]], law, "1/10", 3)
    for changed in (
        {"learning_rate": a},
        {"momentum": m},
        {"learning_rate": [a, 0, m]},
        {"learning_rate": a, "momentum": m},
    ):
        assert {count for _, count in kinds(fit.replace(**changed))} == {0}
        assert not lv.gradient_variance(fit.replace(**changed))
    assert kinds(fit.replace(weight_decay=d)) == [(FixedStep, 0), (MovingStep, 2), (MovingStep, 2)]
    moved = lv.Problem([[[0]], [[1]]], EQUAL_AT_ZERO, a, 2)
    assert kinds(moved) == [(FixedStep, 0), (MovingStep, 1)]
    symbolic = lv.gradient_variance(moved, lv.Expansion())
    number = moved.replace(learning_rate="1/10")
    assert symbolic.subs({a: Fraction(1, 10)}) == lv.gradient_variance(number, lv.Expansion())


def test_one_row_and_equal_rows_have_no_variables_at_any_step() -> None:
    for law in (lv.Dataset([[1, 2]], [[3, 1]]), lv.Dataset([[1, 2]] * 5, [[3, 1]] * 5)):
        problem = lv.Problem([[[1, 2], [3, 4]], [[1, 0], [0, 1]]], law, sp.Symbol("a"), 6)
        assert {count for _, count in kinds(problem)} == {0}


def test_opposite_rows_are_equal() -> None:
    """z and -z have one second moment."""
    law = lv.Dataset([[1, 2], [-1, -2]], [[3], [-3]])
    assert {count for _, count in kinds(lv.Problem([[[1, 2]], [[1]]], law, "1/10", 3))} == {0}


def test_a_bias_input_costs_nothing() -> None:
    """x_1, x_1^2 and, for data, x_1 y and y: not the constant."""
    gaussian = lv.Gaussian([[2, 3]], [[1, 0], [0, 0]], [0, 1])
    assert exact_model(lv.Problem([[[1, 1]], [[1]]], gaussian, 1, 1)).moving.count() == 2
    data = lv.Dataset([[i, 1] for i in (1, 2, 4, 7, 11, 15)], [[i] for i in (1, 1, 0, 2, 5, 3)])
    assert exact_model(lv.Problem([[[1, 1]], [[1]]], data, 1, 1)).moving.count() == 4
