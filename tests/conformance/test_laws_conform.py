"""Every law that ships goes through the conformance suite; each of its formulas times 3/2 is rejected by it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import jax
import oracles
import pytest
import strategies
import sympy
from hypothesis import given
from hypothesis import strategies as st
from tiers import slow_but

import linvar as lv
from linvar.errors import InputError
from linvar.laws.polynomial import coordinates as polynomials
from linvar.laws.registry import LAWS
from linvar.symbolic.algebra.ring import Numbers
from linvar.symbolic.laws import points
from linvar.symbolic.laws.gaussian import ExactGaussian
from linvar.symbolic.laws.independent import ExactIndependent
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.laws.monomials import moments_by_monomials
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.laws.rows import ExactRows
from linvar.symbolic.laws.scale_mixture import ExactScaleMixture
from linvar.testing import OpenLaw, check_law

NORMAL = lv.Gaussian([[1, "1/2"]], [[2, 1], [1, 1]], [1, "1/2"], "1/3")
ROWS = [[1, "1/2"], [0, -1], [2, 1]], [1, 0, 2]
LAW = {
    "normal": NORMAL,
    "a constant input": lv.Gaussian([[1, 0]], [[1, 0], [0, 0]], [0, 1]),
    "rows": lv.Dataset(*ROWS),
    "atoms": lv.Finite(*ROWS, ["1/2", "1/3", "1/6"]),
    "a map": lv.Independent(
        [lv.Uniform(-1, 1), lv.Normal("1/2", "1/4"), lv.Rademacher()],
        lambda z: ([z[0] + z[2], z[2]], z[0] ** 2 - z[1] / 2),
    ),
    "Student": lv.ScaleMixture(lv.Gaussian([[1, 2]]), degrees_of_freedom=13),
    "contaminated": lv.ScaleMixture(NORMAL, scales=[1, "1/2"], probabilities=["3/4", "1/4"]),
}
#: known by some moments only, or with symbols: nothing draws them
UNDRAWN = {
    "a list of moments": lv.Independent([[0, 1, 0, 3, 0, 15, 0, 105, 0, 945, 0, 10395]], lambda z: (z, 2 * z)),
    "few degrees": lv.ScaleMixture(lv.Gaussian([[1, 2]]), degrees_of_freedom=5),
    "symbols": lv.Gaussian([[sympy.Symbol("a"), 1]], [[sympy.Symbol("s"), 0], [0, 1]]),
}


@pytest.mark.parametrize(
    "name", slow_but(LAW, "normal", "rows", "a map")
)  # tests/test_verify.py has atoms, Student is below
def test_laws_that_ship_conform(name: str, key: Any) -> None:
    check_law(LAW[name], key=key)


@pytest.mark.parametrize("law", UNDRAWN.values(), ids=UNDRAWN)
def test_laws_that_nothing_draws_conform(law: Any) -> None:
    check_law(law)


def test_every_kind_of_law_is_here() -> None:
    assert {law.kind for law in LAW.values()} == set(LAWS)


def half_as_much_again(value: Any) -> Any:
    """The second entry of a list, or every entry of a matrix or dictionary, times 3/2."""
    if isinstance(value, dict):
        return {key: entry * 3 / 2 if sum(key) == 2 else entry for key, entry in value.items()}
    if isinstance(value[0], list):
        return [[entry * 3 / 2 for entry in row] for row in value]
    return [entry * 3 / 2 if place == len(value) - 1 else entry for place, entry in enumerate(value)]


@pytest.mark.parametrize(
    ("kind", "name", "law"),
    [
        (ExactGaussian, "cumulants", "normal"), (ExactGaussian, "second_moment", "normal"),
        (ExactGaussian, "weighted_second_moment", "normal"), (ExactGaussian, "means", "normal"),
        (ExactGaussian, "moments", "normal"), (ExactRows, "moments", "atoms"), (ExactRows, "moments", "rows"),
        (ExactIndependent, "moments", "a map"), (ExactScaleMixture, "moments", "Student"),
        (ExactScaleMixture, "powers", "Student"), (ExactScaleMixture, "powers", "contaminated"),
        (ExactLaw, "power_sums", "rows"), (ExactLaw, "weighted_second_moment", "atoms"),
    ],
)  # fmt: skip
def test_a_formula_times_three_halves_is_rejected(
    kind: Any, name: str, law: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = getattr(kind, name)
    if kind is ExactLaw:  # what follows from the moments is compared with the law's own: give it one that is wrong
        kind = type(exact_law(LAW[law]))
        monkeypatch.setattr(
            kind, name, lambda self, *args, **kw: half_as_much_again(right(self, *args, **kw)), raising=False
        )
    else:
        monkeypatch.setattr(kind, name, lambda *args, **kw: half_as_much_again(right(*args, **kw)))
    with pytest.raises(AssertionError):
        check_law(LAW[law])


def test_points_of_a_wrong_weight_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the lattice road alone: half of the points of a law count half as much again."""
    right = points.at_points

    def wrong(values: Any, weights: Any) -> Any:
        return right(values, [w * Fraction(3, 2) if i % 2 else w for i, w in enumerate(weights)])

    monkeypatch.setattr(points, "at_points", wrong)
    with pytest.raises(AssertionError, match="Lattice"):
        check_law(LAW["atoms"])


def test_points_that_miss_a_direction_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExactRows, "support", lambda self, degree: iter([(*self.law.inputs[0], *self.law.targets[0])]))
    with pytest.raises(AssertionError, match="where z can be"):
        check_law(LAW["atoms"])


# laws that are the same


SIGNS = [[1, 1], [1, -1], [-1, 1], [-1, -1]]
SAME = {
    "Finite": lv.Finite(SIGNS, [x + 2 * y + x * y for x, y in SIGNS], ["1/4"] * 4),
    "Independent": lv.Independent([lv.Rademacher()] * 2, lambda z: (z, z[0] + 2 * z[1] + z[0] * z[1])),
    "Moments": lv.Independent([[0, 1] * 12] * 2, lambda z: (z, z[0] + 2 * z[1] + z[0] * z[1])),
}
TARGETS = lv.Dataset(SIGNS, [x + 2 * y + x * y for x, y in SIGNS])


@pytest.mark.parametrize("law", SAME.values(), ids=SAME)
def test_signs_are_the_data_set_of_signs(law: Any) -> None:
    """With ==, by each road: of one layer the recursion, of two the expansion and the lattice, and large batches."""
    one, two = [[["1/2", -1]]], [[[1, "1/2"], [0, 1]], [[1, -1]]]
    for weights, step, road in (
        (one, 3, lv.Regression()), (two, 0, lv.Expansion()), (two, 1, lv.Expansion()), (two, 1, lv.Lattice())
    ):  # fmt: skip
        ours, theirs = (lv.Problem(weights, of, "1/3", step) for of in (law, TARGETS))
        assert lv.gradient_variance(ours, road) == lv.gradient_variance(theirs) != 0
    ours, theirs = (lv.large_batch(lv.Problem(two, of, "1/3", 1), 2) for of in (law, TARGETS))
    assert ours.variance == theirs.variance


@pytest.mark.parametrize(
    ("road", "noise"),
    [(lv.Expansion(), 0), (lv.Expansion(), "1/3"), (lv.Lattice(), "1/3")],
    ids=["no noise", "noise", "lattice"],
)
def test_normal_coordinates_are_the_gaussian_law(road: Any, noise: Any) -> None:
    """x = (1 + z_0, z_0/2 + z_1), y = x_0 - x_1 + noise; and a mixture of one scale."""
    gaussian = lv.Gaussian([[1, -1]], [[1, "1/2"], ["1/2", "5/4"]], [1, 0], noise)

    def example(z: Any) -> Any:
        x = [1 + z[0], z[0] / 2 + z[1]]
        return x, x[0] - x[1] + z[2]

    maps = lv.Independent([lv.Normal(), lv.Normal(), lv.Normal(0, noise)], example)
    mixture = lv.ScaleMixture(gaussian, scales=[1], probabilities=[1])
    found = [
        lv.gradient_variance(lv.Problem([[["1/2", 1]], [["-1/2"]]], law, "1/5", 1), road)
        for law in (gaussian, maps, mixture)
    ]
    assert found[0] == found[1] == found[2] != 0


@st.composite
def atoms(draw: st.DrawFn) -> lv.Finite:
    """Two or three rows of unequal probabilities."""
    count = draw(st.integers(2, 3))
    inputs, targets = draw(strategies.matrices(count, draw(st.integers(1, 2)))), draw(strategies.matrices(count, 1))
    parts = draw(st.lists(st.integers(1, 5), min_size=count, max_size=count))
    return lv.Finite(inputs, targets, [Fraction(part, sum(parts)) for part in parts])


@strategies.examples(25)
@given(atoms(), st.integers(0, 1), st.booleans())
def test_atoms_equal_the_enumeration_of_every_batch(law: lv.Finite, step: int, momentum: bool) -> None:
    weights = [[[1] + ["1/2"] * (law.input_width - 1)], [["-2/3"]]]
    problem = lv.Problem(weights, law, "1/3", step, momentum="1/2" if momentum else 0)
    exact = lv.derive(problem)
    examples = list(zip(oracles.fractions(law.inputs), oracles.fractions(law.targets)))
    weighted = list(zip(examples, map(Fraction, law.probabilities)))
    for b in (1, 2, 3):
        batches = oracles.weighted_batches(weighted, b)
        truth = oracles.sum_over_batches(problem, lambda s, b=batches: b, oracles.weighted_batches(weighted, 1))
        assert (exact.variance(b), exact.loss(b)) == (truth.variance, truth.expected_loss)


@strategies.examples(25)
@given(st.data())
def test_maps_of_signs_equal_their_atoms(data: st.DataObject) -> None:
    """Polynomials of degree up to 3 in one to three signs, whose values are listed with their probabilities."""
    count = data.draw(st.integers(1, 3))
    draw = st.tuples(st.integers(-2, 2), st.lists(st.integers(0, count - 1), max_size=3))
    shapes = [data.draw(st.lists(draw, min_size=1, max_size=3)) for _ in range(3)]

    def value(terms: Any, z: Any) -> Any:
        total = 0 * z[0]
        for coefficient, places in terms:
            part = coefficient + 0 * z[0]
            for place in places:
                part = part * z[place]
            total = total + part
        return total

    law = lv.Independent([lv.Rademacher()] * count, lambda z: ([value(s, z) for s in shapes[:2]], value(shapes[2], z)))
    rows = [[1 - 2 * (i >> k & 1) for k in range(count)] for i in range(2**count)]
    listed = lv.Dataset([[value(s, row) for s in shapes[:2]] for row in rows], [value(shapes[2], row) for row in rows])
    for weights in ([[["1/2", -1]]], [[[1, "1/2"]], [["-2/3"]]]):
        found = [lv.derive(lv.Problem(weights, of, "1/3", 1)) for of in (law, listed)]
        assert found[0].variance == found[1].variance and found[0].loss == found[1].loss


# what moments there are


@pytest.mark.parametrize(("degrees", "step", "needed"), [(12, 1, 12), (36, 2, 36), (4, 0, 4)])
def test_moments_that_do_not_exist_are_refused(degrees: int, step: int, needed: int) -> None:
    """The second moment of the gradient takes those of degree 4 (2L - 1)^t; a t law has those below its degrees of freedom."""
    law = lv.ScaleMixture(lv.Gaussian([[1]]), degrees_of_freedom=degrees)
    problem = lv.Problem([[[1]], [["1/2"]]], law, "1/10", step)
    with pytest.raises(InputError, match=f"^law=ScaleMixture.* degree {needed}.*fewer steps"):
        lv.gradient_variance(problem)
    more = lv.ScaleMixture(lv.Gaussian([[1]]), degrees_of_freedom=degrees + 1)
    assert lv.gradient_variance(problem.replace(law=more)) != 0


def test_a_loss_needs_fewer_moments_than_a_variance() -> None:
    """Of degree 4 in W_1, which has degree 1 in the batch: 8 of x, where the variance takes 12."""
    law = lv.ScaleMixture(lv.Gaussian([[1]]), degrees_of_freedom=9)
    exact = lv.derive(lv.Problem([[[1]], [["1/2"]]], law, "1/10", 1))
    assert exact.loss != 0
    with pytest.raises(InputError, match="degree 8 only, and t = 1 takes those of degree 12"):
        assert exact.variance


def test_moments_that_are_not_given_are_refused() -> None:
    def problem(count: int, step: int) -> lv.Problem:
        given = [0 if k % 2 else 1 for k in range(1, count + 1)]
        return lv.Problem([[[1]], [["1/2"]]], lv.Independent([given], lambda z: (z, 2 * z)), "1/10", step)

    assert lv.gradient_variance(problem(4, 0)) == 0  # signs: x^2 = 1
    with pytest.raises(InputError, match="^law=Independent.* has moments up to degree 3 .*: give more moments"):
        lv.gradient_variance(problem(3, 0))


@pytest.mark.parametrize("degrees", [5, 7, 40])
def test_student_moments_by_hand(degrees: int) -> None:
    """One layer, one input, t = 0: g = (w - w*) x^2, var = (w - w*)^2 (E x^4 - (E x^2)^2) / b."""
    law = lv.ScaleMixture(lv.Gaussian([[1]]), degrees_of_freedom=degrees)
    second, fourth = Fraction(degrees, degrees - 2), Fraction(3 * degrees**2, (degrees - 2) * (degrees - 4))
    assert lv.gradient_variance(lv.Problem([[[3]]], law)).coefficients == (0, 4 * (fourth - second**2))


def test_laws_without_rows_have_no_subsets() -> None:
    for name in ("atoms", "a map", "Student"):
        with pytest.raises(InputError, match="needs a finite data set"):
            lv.Problem([[["1/2", 1]]], LAW[name], sampling="without_replacement")


def test_unequal_variances_of_coordinates_reach_every_road() -> None:
    """A coordinate that the map does not use changes nothing, one that it uses does."""

    def law(first: Any, second: Any) -> lv.Independent:
        return lv.Independent([lv.Normal(0, first), lv.Normal(0, second)], lambda z: (z[:1], 2 * z[0]))

    one = [lv.gradient_variance(lv.Problem([[[1]], [[3]]], law(1, spread), "1/7", 1)) for spread in (0, 1, 5)]
    assert one[0] == one[1] == one[2]
    assert one[0] != lv.gradient_variance(lv.Problem([[[1]], [[3]]], law(2, 1), "1/7", 1))
    assert polynomials(2)[1] not in law(1, 1).inputs


def test_a_student_teacher_and_student_after_a_step_against_simulation(key: Any) -> None:
    """Heavy tails: nu = 40, t = 1, b = 4; within five standard errors of 100,000 runs, which tell 3/2 of it apart."""
    law = lv.ScaleMixture(lv.Gaussian([[1, "1/2"]], noise_variance="1/4"), degrees_of_freedom=40)
    problem = lv.Problem([[["1/2", 1]], [["1/3"]]], law, "1/20", 1)
    exact = float(lv.gradient_variance(problem)(4))
    found = lv.simulate(key, problem, batch_sizes=[4], runs=100_000)[4].variance
    assert abs(found.value - exact) < 5 * found.standard_error
    assert abs(found.value - 1.5 * exact) > 10 * found.standard_error
    normal = float(lv.gradient_variance(problem.replace(law=law.law))(4))
    assert abs(found.value - normal) > 10 * found.standard_error, "the tails do not show"


@dataclass(frozen=True)
class Standard(OpenLaw):
    """x ~ N(0, 1), y = x, by the moments of its monomials, one of them times a factor."""

    order: int = 0
    factor: Fraction = Fraction(1)
    input_map = target_map = ((lv.Rational(1),),)

    def moments(self, features: Any, order: Any, ring: Any) -> Any:
        def moment(places: Any) -> Any:
            k = len(places)
            value = 0 if k % 2 else math.prod(range(1, k, 2))
            return ring.lift(lv.Rational(value * (self.factor if k == self.order else 1)))

        return moments_by_monomials(features, order, ring, moment)

    def sample(self, key: Any, rows: Any, dtype: Any) -> Any:
        x = jax.random.normal(key, (rows, 1), dtype)
        return x, x


@pytest.mark.parametrize("order", [2, 4, 6, 8])
def test_a_law_with_one_moment_times_three_halves_is_rejected_by_its_examples(order: int, key: Any) -> None:
    """Its moments fit each other: the examples tell."""
    check_law(Standard())
    with pytest.raises(AssertionError, match="the mean of the product|not what follows"):
        check_law(Standard(order, Fraction(3, 2)), key=key)


def test_a_law_that_says_it_fills_space_has_scattered_points() -> None:
    wrong = type("Wrong", (Standard,), {"fills_space": True})()
    with pytest.raises(AssertionError, match="has no scattered points"):
        check_law(wrong)


def test_points_with_another_relation_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many points, and of the same rank: the first coordinate is another function of the others."""
    right = ExactRows.support

    def wrong(self: Any, degree: int) -> Any:
        return ((lv.Rational(3 * row[0] + 1), *row[1:]) for row in right(self, degree))

    monkeypatch.setattr(ExactRows, "support", wrong)
    with pytest.raises(AssertionError, match="other relations"):
        check_law(LAW["atoms"])


# tables of points


@pytest.mark.parametrize(
    ("coordinates", "example", "count"),
    [
        ([lv.Normal()] * 2, lambda z: (z, z[0] + z[1]), 91),  # the simplex |e| <= 12
        ([lv.Normal()] * 2, lambda z: (z, z[0] ** 8 + z[1]), 97 * 13),  # a grid: 4,753 in the simplex
        ([lv.Rademacher()] * 3 + [lv.Normal()], lambda z: (z[:2], z.sum()), 8 * 13),
        ([lv.Rademacher()] * 9, lambda z: (z[:2], z.sum()), 2**9),
    ],
)
def test_a_table_has_as_many_points_as_it_says_and_the_moments(coordinates: Any, example: Any, count: int) -> None:
    """For features of degree 2 and order 6; whichever of the two tables is the smaller one."""
    twin = exact_law(lv.Independent(coordinates, example))
    assert isinstance(twin, ExactIndependent)
    assert twin.points(1, 6) == count >= len(twin._points(12).rows)
    z = polynomials(twin.width)
    (feature,) = [z[0] * z[-1] - 2 * z[-1]]
    moments = twin.moments([feature], 6, Numbers)
    for k in (1, 3, 6):
        direct = ExactIndependent(twin.law).means([feature**k], Numbers)
        assert moments.get((k,), 0) == direct[0]
    assert twin.preparation(6) > 0


def test_a_plan_says_what_a_table_takes() -> None:
    """Forty thousand points on the lattice; the expansion takes none of them, 0.06 seconds measured."""
    law = lv.Independent([lv.Normal()] * 3, lambda z: (z, z.sum() ** 5))
    problem = lv.Problem([[[1, 1, 1]], [[2]]], law, "1/10", 1)
    plan = lv.plan(problem)
    assert 0.02 < plan["expansion"].seconds < 1 and plan["lattice"].seconds > 20
    linear = lv.plan(problem.replace(law=lv.Independent([lv.Normal()] * 3, lambda z: (z, z.sum()))))
    assert linear["expansion"].seconds < plan["expansion"].seconds / 3
    assert linear["lattice"].seconds < plan["lattice"].seconds / 3
