"""Every road to the same problem gives the same fractions: random problems, each solved by every road that applies.

Random, but always the same: a case has a seed of its own. The lattice road compiles a program for each pattern of zeros and
small integers, so most problems of a case are drawn without any and share one; the others have zeros, ones and equal
numbers in every place.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from math import prod
from typing import Any, NamedTuple

import oracles
import pytest
from roads import asked

import linvar as lv
from linvar.matrices import squared_norm
from linvar.symbolic.algebra.ring import coefficients_of, to_exact
from linvar.symbolic.quantities import SecondMoment, SquaredMean, Variance
from linvar.symbolic.sgd.batch_moments import answer_ring, sampling_factor
from linvar.symbolic.sgd.last_step import LastStep
from linvar.symbolic.sgd.road import Road


class Case(NamedTuple):
    """Problems of one shape, law and rule."""

    widths: tuple[int, ...]
    step: int
    kind: str
    rule: str = "plain"

    def __str__(self) -> str:
        return f"{'-'.join(map(str, self.widths))}, t = {self.step}, {self.kind}, {self.rule}"


CASES = {
    1: (
        Case((1, 1), 0, "gaussian"),
        Case((1, 1), 1, "gaussian", "decay"),
        Case((1, 1), 2, "gaussian", "nesterov with decay"),
        Case((2, 1), 1, "iid"),
        Case((1, 2), 2, "without_replacement", "momentum"),
        Case((2, 2), 1, "gaussian", "decay"),
        Case((1, 3), 1, "iid", "nesterov"),
        Case((3, 2), 1, "without_replacement"),
    ),
    2: (
        Case((1, 1, 1), 0, "gaussian"),
        Case((1, 1, 1), 1, "gaussian", "nesterov with decay"),
        Case((1, 1, 1), 2, "gaussian", "momentum"),
        Case((1, 1, 1), 2, "without_replacement", "decay"),
        Case((2, 1, 1), 1, "without_replacement", "nesterov"),
        Case((1, 2, 1), 2, "iid"),
        Case((2, 3, 1), 1, "gaussian"),
        Case((1, 2, 2), 1, "iid", "nesterov with decay"),
        Case((2, 1, 1), 1, "centred"),
        Case((1, 2, 1), 1, "centred"),
        Case((1, 1, 2), 0, "centred"),
    ),
    3: (
        Case((2, 1, 1, 1), 0, "without_replacement"),
        Case((2, 1, 2, 1), 0, "gaussian", "momentum"),
        Case((1, 1, 1, 1), 1, "gaussian"),
        Case((1, 1, 1, 1), 1, "without_replacement", "nesterov"),
        Case((2, 1, 1, 1), 1, "iid", "momentum"),
        Case((1, 2, 1, 2), 1, "iid", "decay"),
        Case((1, 1, 3, 1), 1, "without_replacement", "nesterov with decay"),
        Case((1, 1, 1, 1), 2, "iid"),
        Case((2, 1, 2, 1), 0, "centred"),
    ),
}
#: Problems of a case whose numbers are no integers; whose numbers are zeros, ones and the like.
GENERIC, SPECIAL = 6, 4
#: Generic problems of a case that the lattice, which compiles and runs some programs for each, is taken on: a second one runs the
#: programs of the first on other numbers. One where running them takes seconds: layers times steps beyond 3. None beyond 5, which
#: takes ten seconds: test_lattice_quadrature.py has three layers after two steps by the lattice, slow.
ON_THE_LATTICE = 2
#: Cases whose like is among the others: their programs of the lattice are compiled with the slow tests.
LIKE_OTHERS = {
    Case((1, 1), 2, "gaussian", "nesterov with decay"), Case((2, 2), 1, "gaussian", "decay"), Case((1, 3), 1, "iid", "nesterov"),
    Case((1, 1, 1), 2, "gaussian", "momentum"), Case((1, 2, 1), 2, "iid"), Case((2, 3, 1), 1, "gaussian"),
    Case((1, 2, 2), 1, "iid", "nesterov with decay"), Case((1, 2, 1), 1, "centred"), Case((2, 1, 1, 1), 1, "iid", "momentum"),
    Case((1, 2, 1, 2), 1, "iid", "decay"), Case((1, 1, 3, 1), 1, "without_replacement", "nesterov with decay"),
}  # fmt: skip
#: Sequences of batches that enumeration or quadrature lists.
MOST_SEQUENCES = 700


# problems


def generic(draws: random.Random) -> Iterator[Fraction]:
    """Numbers below 2 in size that are no integers; no two are equal, but for the sign."""
    numbers = [Fraction(n, d) for d in (7, 11, 13, 17) for n in range(1, 2 * d) if n != d]
    return (number * draws.choice([1, -1]) for number in draws.sample(numbers, len(numbers)))


def special(draws: random.Random) -> Iterator[Fraction]:
    """Zero and one come up often."""
    numbers = [Fraction(0), Fraction(1), Fraction(-1), Fraction(2), Fraction(1, 2), Fraction(-2, 3)]
    return (draws.choice(numbers) for _ in count())


def problem_of(case: Case, draws: random.Random, kind: Callable[[random.Random], Iterator[Fraction]]) -> lv.Problem:
    """A problem of the case, of generic numbers or special ones."""
    numbers = kind(draws)

    def matrix(rows: int, columns: int) -> list[list[Fraction]]:
        return [[next(numbers) for _ in range(columns)] for _ in range(rows)]

    inputs, outputs, law = case.widths[0], case.widths[-1], None
    if case.kind in ("gaussian", "centred"):
        factor = matrix(inputs, inputs)
        covariance = [[sum(a * b for a, b in zip(row, other)) for other in factor] for row in factor]
        mean = matrix(1, inputs)[0] if case.kind == "gaussian" else None
        law = lv.Gaussian(matrix(outputs, inputs), covariance, mean, abs(next(numbers)))
    rule: dict[str, Any] = {}
    if "momentum" in case.rule or "nesterov" in case.rule:
        rule = {"momentum": Fraction(draws.randrange(1, 19), 19), "nesterov": "nesterov" in case.rule}
    if "decay" in case.rule:
        rule["weight_decay"] = next(numbers)
    return lv.Problem(
        weights=[matrix(rows, columns) for columns, rows in zip(case.widths, case.widths[1:])],
        law=law or lv.Dataset(matrix(3, inputs), matrix(3, outputs)),
        learning_rate=[abs(next(numbers)) / 3 for _ in range(case.step)],
        step=case.step,
        sampling="iid" if law else case.kind,
        **rule,
    )


# roads: what each of them says, and how the whole polynomial is looked at to be compared with that

Found = dict[str, tuple[Any, ...]]


class Way(NamedTuple):
    """A road on a problem: its name, what of a polynomial it is to be compared with, and its answer, when asked for."""

    name: str
    view: Callable[[lv.BatchPolynomial], Any]
    answer: Callable[[], Found]


QUANTITIES = {
    "second_moments": SecondMoment,
    "squared_means": SquaredMean,
    "variances": Variance,
}


def entry_points(problem: lv.Problem) -> Found:
    """The polynomials as a user gets them."""
    exact = lv.derive(problem)
    return {
        **{name: exact.all(quantity(per_leaf=True)) for name, quantity in QUANTITIES.items()},
        "expected_loss": (exact.loss,),
    }


@dataclass(frozen=True)
class OneListOfForms:
    """Loss, norms and spreads of every layer, and the entries of the mean gradient."""

    name: str = "one list of forms"

    def degree(self, loss: int) -> int:
        return 2 * (loss - 1)

    def forms(self, last: LastStep) -> list[Any]:
        entries = [entry for matrix in last.means() for row in matrix for entry in row]
        return [last.doubled_loss(), *map(squared_norm, last.means()), *last.spreads(), *entries]

    def key(self) -> str:
        return self.name


def of_road(problem: lv.Problem, road: Road) -> Found:
    """Coefficients of every layer, put together from expectations of one list of forms."""
    sizes, ring = [len(matrix) * len(matrix[0]) for matrix in problem.weights], answer_ring(problem.symbols)
    depth = len(sizes)
    doubled, *values = asked(problem, OneListOfForms(), road)
    norms, spreads, entries = values[:depth], values[depth : 2 * depth], iter(values[2 * depth :])
    factor = sampling_factor(ring, problem.sampling, problem.dataset_size)
    second = [norm + factor * spread for norm, spread in zip(norms, spreads)]
    squared = [sum((next(entries) ** 2 for _ in range(size)), ring.zero) for size in sizes]

    def coefficients(elements: list[Any]) -> tuple[Any, ...]:
        of = {"sampling": problem.sampling, "dataset_size": problem.dataset_size}
        parts = [[to_exact(part, ()) for part in coefficients_of(one, ring)] for one in elements]
        return tuple(lv.BatchPolynomial(part, **of).coefficients for part in parts)

    return {
        "second_moments": coefficients(second),
        "squared_means": coefficients(squared),
        "variances": coefficients([a - b for a, b in zip(second, squared)]),
        "expected_loss": coefficients([doubled / 2]),
    }


def of_traces(problem: lv.Problem) -> Found:
    """What a derivation by formulas says of every layer: they are asked for quantities, not for forms."""
    exact = lv.derive(problem, lv.Traces())
    found = {name: tuple(exact.all(quantity(per_leaf=True))) for name, quantity in QUANTITIES.items()}
    values = {**found, "expected_loss": (exact.loss,)}
    return {name: tuple(one.coefficients for one in polynomials) for name, polynomials in values.items()}


def of_oracle(moments: oracles.Moments) -> Found:
    """The same of an oracle."""
    return {**{name: getattr(moments, name) for name in QUANTITIES}, "expected_loss": (moments.expected_loss,)}


def of_large_batch(problem: lv.Problem, order: int) -> Found:
    """The first coefficients."""
    found = lv.large_batch(problem, order)
    layers = found.per_leaf
    parts = (layers.second_moment, layers.squared_mean, layers.variance, (found.loss,))
    return {name: tuple(one.coefficients for one in part) for name, part in zip((*QUANTITIES, "expected_loss"), parts)}


def first(order: int) -> Callable[[lv.BatchPolynomial], Any]:
    """The coefficients of 1, ..., u^order."""
    return lambda polynomial: (polynomial.coefficients + (Fraction(0),) * order)[: order + 1]


def whole(polynomial: lv.BatchPolynomial) -> Any:
    """All coefficients."""
    return polynomial.coefficients


def at(batch_size: int) -> Callable[[lv.BatchPolynomial], Any]:
    """The value at a batch size."""
    return lambda polynomial: polynomial(batch_size)


def ways(problem: lv.Problem, with_lattice: bool) -> Iterator[Way]:
    """Every road that applies to a problem, and what can list its batches: none of them has started."""
    if problem.depth == 1:
        yield Way("regression", whole, lambda: of_road(problem, lv.Regression()))
    yield Way("expansion", whole, lambda: of_road(problem, lv.Expansion()))
    if lv.plan(problem, lv.Traces())["traces"].obstacle is None:
        yield Way("traces", whole, lambda: of_traces(problem))
    if with_lattice:
        yield Way("lattice", whole, lambda: of_road(problem, lv.Lattice()))
    if problem.sampling == "iid":
        yield Way("large_batch", first(2), lambda: of_large_batch(problem, 2))
    if isinstance(problem.law, lv.Dataset):
        batches = {b: len(oracles.all_batches(range(problem.law.size), b, problem.sampling)) for b in (3, 2)}
        if few := [b for b, count in batches.items() if count ** (problem.step + 1) <= MOST_SEQUENCES]:
            yield Way("enumeration", at(few[0]), lambda: of_oracle(oracles.enumerate_batches(problem, few[0])))
    else:
        degrees = [4 * (2 * problem.depth - 1) ** s for s in range(problem.step + 1)]
        width = [(degree + 1) ** problem.widths[0] * (degree // 2 + 1) ** problem.widths[-1] for degree in degrees]
        if prod(width) <= 2 * MOST_SEQUENCES:
            yield Way("quadrature", at(1), lambda: of_oracle(oracles.exact_quadrature(problem, 1)))


def disagreements(polynomials: Found, view: Callable[[lv.BatchPolynomial], Any], found: Found) -> list[str]:
    """The names of the quantities that differ; [] is agreement, to the fraction."""
    assert sorted(polynomials) == sorted(found)
    return [name for name in found if tuple(map(view, polynomials[name])) != tuple(found[name])]


def on_the_lattice(case: Case) -> int:
    """How many of the generic problems of a case the lattice is taken on."""
    layer_steps = (len(case.widths) - 1) * case.step
    return ON_THE_LATTICE if layer_steps <= 3 else int(layer_steps <= 5)


def problems(case: Case) -> Iterator[tuple[lv.Problem, bool]]:
    """The problems of a case, each with whether the lattice is taken in every run."""
    draws = random.Random(repr(case))
    compiles_fast = max(case.widths) == 1 and case.step < 2 and len(case.widths) <= 3
    generics = 0 if case in LIKE_OTHERS else on_the_lattice(case)
    for place, kind in enumerate([generic] * GENERIC + [special] * SPECIAL):
        yield problem_of(case, draws, kind), place < generics or (kind is special and compiles_fast)


def plans(problem: lv.Problem) -> list[lv.Plan]:
    """What the package says of its roads on a problem."""
    return [lv.plan(problem)] + ([lv.plan(problem, lv.LargeBatch(2))] if problem.sampling == "iid" else [])


@pytest.mark.parametrize("case", [case for cases in CASES.values() for case in cases], ids=str)
def test_every_road_gives_the_same_fractions(case: Case, record_property: Any) -> None:
    counts: Counter[str] = Counter()
    due: set[str] = set()
    for problem, with_lattice in problems(case):
        polynomials = entry_points(problem)
        counts["problems"] += 1
        due |= {road.road for plan in plans(problem) for road in plan.roads if road.obstacle is None}
        for way in ways(problem, with_lattice):
            assert disagreements(polynomials, way.view, way.answer()) == [], (way.name, problem)
            counts[way.name] += 1
    due -= {"lattice"} if case in LIKE_OTHERS or not on_the_lattice(case) else set()
    assert due <= set(counts), f"not taken: {due - set(counts)}"
    record_property("roads", dict(counts))  # printed at the end of the run: conftest.py


@pytest.mark.slow
@pytest.mark.parametrize("case", sorted(LIKE_OTHERS), ids=str)
def test_the_lattice_gives_the_same_fractions_where_others_are_alike(case: Case) -> None:
    some = [problem for problem, _ in problems(case)][: on_the_lattice(case)]
    assert some
    for problem in some:
        assert disagreements(entry_points(problem), whole, of_road(problem, lv.Lattice())) == []


def test_every_road_is_taken_often() -> None:
    """Every road that a plan knows, on 40 problems or more of some 200; each law has an oracle at each depth."""
    total, named, oracle = Counter[str](), set(), {"gaussian": "quadrature", "centred": "quadrature"}
    for depth, cases in CASES.items():
        some = [problem for case in cases for problem in problems(case)]
        taken = Counter(way.name for problem in some for way in ways(*problem))
        named |= {road.road for problem, _ in some for plan in plans(problem) for road in plan.roads}
        assert {oracle.get(case.kind, "enumeration") for case in cases} <= set(taken), depth
        total.update(taken, problems=len(some))
    assert total.pop("problems") >= 200
    assert set(total) == named | {"enumeration", "quadrature"}
    assert min(total.values()) >= 40, total


@pytest.mark.parametrize("case", [CASES[1][1], CASES[1][3], CASES[2][1], CASES[2][4], CASES[3][3]])
def test_a_wrong_coefficient_is_told_apart(case: Case) -> None:
    """One coefficient of one layer times 1.5: the comparison names the quantity, whatever the road."""
    problem = problem_of(case, random.Random(0), generic)
    right = entry_points(problem)
    answers = [(way.name, way.view, way.answer()) for way in ways(problem, with_lattice=False)]
    for name, polynomials in right.items():
        for layer, polynomial in enumerate(polynomials):
            wrong = list(polynomial.coefficients)
            wrong[1 % len(wrong)] *= Fraction(3, 2)
            changed = lv.BatchPolynomial(wrong, sampling=problem.sampling, dataset_size=problem.dataset_size)
            for road, view, found in answers:
                assert disagreements(right, view, found) == []
                spoilt = {**right, name: (*polynomials[:layer], changed, *polynomials[layer + 1 :])}
                assert disagreements(spoilt, view, found) == [name], road
