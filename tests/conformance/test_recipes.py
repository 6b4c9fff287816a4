"""CONTRIBUTING.md's recipes are executed: a law, a road, some twenty lines each; each is rejected with one number times 3/2."""

from __future__ import annotations

import importlib.util
import operator
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from roads import WholeExpansion
from tiers import slow_but

import linvar as lv
from linvar.errors import InputError
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.models.registry import exact_model
from linvar.testing import check_law, check_road

CONTRIBUTING = Path(__file__).parent.parent.parent / "CONTRIBUTING.md"


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What all Python blocks of CONTRIBUTING.md define, run in one module each; they call the suites themselves."""
    folder, found = tmp_path_factory.mktemp("recipes"), dict[str, Any]()
    for place, block in enumerate(re.findall(r"^```python\n(.*?)^```$", CONTRIBUTING.read_text("utf-8"), re.M | re.S)):
        path = folder / f"recipe_{place}.py"
        path.write_text(block, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module: ModuleType = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module
        spec.loader.exec_module(module)
        found |= vars(module)
        lines = [line for line in block.splitlines() if line.strip() and not line.startswith(("import", "from"))]
        assert len(lines) <= 40
    yield found
    for name in [name for name in sys.modules if name.startswith("recipe_")]:
        del sys.modules[name]


def test_they_import_the_public_protocol_only(recipes: dict[str, Any]) -> None:
    text = "\n".join(re.findall(r"^```python\n(.*?)^```$", CONTRIBUTING.read_text("utf-8"), re.M | re.S))
    assert {*re.findall(r"^(?:from|import) (linvar\S*)", text, re.M)} == {"linvar", "linvar.testing"}
    assert {"Spike", "diagonal", "Subsets"} <= {*recipes}
    assert recipes["Spike"].__mro__[1] is lv.testing.OpenLaw and recipes["Subsets"].__mro__[1] is object


def test_the_law_derives_is_simulated_and_planned(recipes: dict[str, Any], key: Any) -> None:
    """x in {0, 1} with probabilities 2/3, 1/3: as the data set of three rows."""
    rows = lv.Dataset([[0], [0], [1]], [0, 0, 2])
    ours, theirs = (lv.Problem([[[3]], [["1/2"]]], law, "1/5", 1) for law in (recipes["Spike"](), rows))
    assert lv.gradient_variance(ours) == lv.gradient_variance(theirs) != 0
    assert lv.gradient_variance(ours, lv.Lattice()) == lv.gradient_variance(theirs)
    assert lv.plan(ours).choice.road == "expansion"
    found = lv.simulate(key, ours, batch_sizes=[2], runs=4000)[2].variance
    assert abs(found.value - float(lv.gradient_variance(ours)(2))) < 5 * found.standard_error
    report = lv.verify(ours, key=key, runs=2000, batch_sizes=[2], progress=False)
    assert {row.verdict for row in report.rows} == {"UNRESOLVED"}, "nothing draws its rare batches"
    with pytest.raises(InputError, match="of no kind that problem files hold"):
        ours.to_dict()
    with pytest.raises(InputError, match="needs a finite data set"):
        ours.replace(sampling="without_replacement")


@pytest.mark.parametrize("powers", [(1, 0, 0), (0, 2, 0), (1, 1, 1), (0, 0, 3)])
def test_one_moment_times_three_halves_is_rejected(recipes: dict[str, Any], powers: tuple[int, ...]) -> None:
    class Wrong(recipes["Spike"]):  # type: ignore[misc]  # made above
        def moments(self, features: Any, order: Any, ring: Any) -> Any:
            found = super().moments(features, order, ring)
            return {key: value * 3 / 2 if key == powers else value for key, value in found.items()}

    with pytest.raises(AssertionError):
        check_law(Wrong())


def test_examples_times_three_halves_are_rejected(recipes: dict[str, Any], key: Any) -> None:
    class Wrong(recipes["Spike"]):  # type: ignore[misc]  # made above
        def sample(self, key: Any, rows: Any, dtype: Any) -> Any:
            x, y = super().sample(key, rows, dtype)
            return x, y * 1.5

    check_law(Wrong())
    with pytest.raises(AssertionError, match="the mean of the product"):
        check_law(Wrong(), key=key)


def test_the_model_derives_and_is_rejected_with_one_coefficient_times_three_halves(
    recipes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At t = 0 by hand: u*u - v*v = (5/36, 3/4) is the weight of a regression, whose gradient takes the factors 2u and -2v."""
    problem = recipes["problem"]
    start = problem.replace(step=0)
    weight, exact = [Fraction(1, 4) - Fraction(1, 9), 1 - Fraction(1, 4)], lv.derive(start)
    scales = [[2 * Fraction(1, 2), 2 * Fraction(1)], [-2 * Fraction(1, 3), 2 * Fraction(1, 2)]]
    for leaf, row in enumerate(scales):
        rows = list(zip(problem.law.inputs, problem.law.targets))
        found = [[s * x * (sum(map(operator.mul, weight, xs)) - ys[0]) for s, x in zip(row, xs)] for xs, ys in rows]
        means = [sum(column) / len(rows) for column in zip(*found)]
        spread = sum(sum(g * g for g in line) for line in found) / len(rows) - sum(m * m for m in means)
        assert exact.per_leaf.variance["uv"[leaf]].coefficients == (0, spread)
    twin = type(exact_model(problem))
    wrong = property(lambda self: [(lv.Rational(variance * Fraction(3, 2)), v) for variance, v in uncorrelated(self)])
    uncorrelated = twin.uncorrelated.func  # a cached property
    monkeypatch.setattr(twin, "uncorrelated", wrong)
    with pytest.raises(AssertionError, match="the spread of the gradient of leaf 0"):
        lv.testing.check_model(problem)


@pytest.mark.parametrize("place", [0, 1])
def test_one_coefficient_times_three_halves_is_rejected(recipes: dict[str, Any], place: int) -> None:
    class WrongAt:
        def __init__(self, inner: Any) -> None:
            self.inner, self.answers = inner, inner.answers

        def expectations(self, question: Any, report: Any) -> Any:
            found = self.inner.expectations(question, report)
            chosen = min(place, len(found) - 1)
            return [value * 3 / 2 if i == chosen else value for i, value in enumerate(found)]

    class Wrong(recipes["Subsets"]):  # type: ignore[misc]  # made above
        def integrators(self, steps: Any, at: Any) -> Any:
            return tuple(map(WrongAt, super().integrators(steps, at)))

    with pytest.raises(AssertionError, match="gives .* and the expansion"):
        check_road(Wrong())


@pytest.mark.parametrize("road", [lv.Regression(), lv.Expansion()], ids=["regression", "expansion"])
def test_roads_that_ship_conform(road: Any) -> None:
    assert check_road(road) > 20


def test_the_lattice_conforms() -> None:
    """On one of the problems here; on all of them in the slow tier."""
    from linvar.testing.roads import PROBLEMS

    assert check_road(lv.Lattice(), PROBLEMS[3:4]) > 10


@pytest.mark.slow
def test_the_lattice_conforms_everywhere() -> None:
    assert check_road(lv.Lattice()) > 80


def test_a_road_that_is_nowhere_open_is_rejected(recipes: dict[str, Any]) -> None:
    from linvar.testing.roads import PROBLEMS

    with pytest.raises(AssertionError, match="open to none"):
        check_road(recipes["Subsets"](), PROBLEMS[:2])


# laws whose members are of another form


ONE, TWO = lv.Rational(1), lv.Rational(2)


@pytest.mark.parametrize(
    ("member", "value", "message"),
    [
        ("input_map", ((1.5,),), "input_map=.* is no matrix of exact numbers: give a tuple of rows"),
        ("input_map", [[ONE]], "input_map=.* is no matrix"), ("input_map", ((),), "input_map=.* is no matrix"),
        ("input_map", (ONE,), "input_map=.* is no matrix"), ("input_map", (), "law has 0 inputs and 1 targets"),
        ("target_map", ((TWO, ONE),), "input_map and target_map have rows of 1, 2 columns"),
        ("moments", lambda self, features, order, ring: None, "moments.*=None is no such dictionary"),
        ("moments", lambda self, features, order, ring: {1: ring.lift(ONE)}, "moments.* is no such dictionary"),
        ("moments", lambda self, features, order, ring: {(0.5,): 0.5}, "moments.* is no such dictionary"),
    ],
    ids=range(9),
)  # fmt: skip
def test_a_law_of_another_form_is_refused(recipes: dict[str, Any], member: str, value: Any, message: str) -> None:
    wrong = type("Wrong", (recipes["Spike"],), {member: value})()
    with pytest.raises(InputError, match=message):
        lv.gradient_variance(lv.Problem([[[3]], [["1/2"]]], wrong, "1/5", 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda question, problem: question.key().endswith("of the update"),
        lambda question, problem: problem.law.target_width > 1,
        lambda question, problem: problem.depth == 3,
        lambda question, problem: isinstance(problem.learning_rate, tuple) and problem.depth == 1,
        lambda question, problem: problem.nesterov and problem.depth == 1,
        lambda question, problem: problem.sampling != "iid" and problem.momentum != 0,
        lambda question, problem: problem.depth == 2 and problem.step == 2 and problem.momentum != 0,
        lambda question, problem: problem.weight_decay != 0 and problem.momentum == 0,
    ],
    ids=range(8),
)
def test_a_road_that_is_wrong_in_one_place_is_rejected(change: Any) -> None:
    """The expansion at any depth, times 3/2 under one condition."""

    @dataclass(frozen=True)
    class Wrong(WholeExpansion):
        def integrators(self, steps: Any, at: Any) -> Any:
            return tuple(WrongAt(inner, steps.problem) for inner in super().integrators(steps, at))

    class WrongAt:
        def __init__(self, inner: Any, problem: Any) -> None:
            self.inner, self.answers, self.problem = inner, inner.answers, problem

        def expectations(self, question: Any, report: Any) -> Any:
            found = self.inner.expectations(question, report)
            return [value * 3 / 2 for value in found] if change(question, self.problem) else found

    check_road(WholeExpansion())
    with pytest.raises(AssertionError, match="gives .* and the expansion"):
        check_road(Wrong())


@pytest.mark.parametrize("wrong", slow_but(["variance", "sign", "correlation", "target"], "correlation", "target"))
def test_examples_that_are_wrong_in_a_late_number_are_rejected(wrong: str, key: Any) -> None:
    """Five normal inputs, y their sum: the fifth, or y, is off."""
    import jax

    from linvar.testing.samples import check_samples

    @dataclass(frozen=True)
    class Five(lv.testing.OpenLaw):
        of: str
        input_map = tuple(tuple(lv.Rational(int(i == j)) for j in range(5)) for i in range(5))
        target_map = ((ONE,) * 5,)

        def moments(self, features: Any, order: Any, ring: Any) -> Any:
            same = lv.Independent([lv.Normal()] * 5, lambda z: (z, z.sum()))
            z = lv.testing.coordinates(6)
            inner = exact_law(same)
            found = [
                sum((c * prod((z[p] for p in places), start=1) for places, c in f.terms), 0 * z[0]) for f in features
            ]
            return inner.moments(found, order, ring)

        def sample(self, key: Any, rows: Any, dtype: Any) -> Any:
            x = jax.random.normal(key, (rows, 5), dtype)
            y = x.sum(axis=1, keepdims=True)
            if self.of == "variance":
                x = x.at[:, 4].multiply(1.1)
            elif self.of == "sign":
                x = x.at[:, 4].set(jax.numpy.sign(x[:, 4]))
            elif self.of == "correlation":
                x = x.at[:, 4].add(0.3 * x[:, 3])
            elif self.of == "target":
                y = y - 0.06 * x[:, 4:]
            return x, y

    check_samples(Five("nothing"), key, 100_000, 7.0)
    with pytest.raises(AssertionError, match="the mean of the product"):
        check_samples(Five(wrong), key, 100_000, 7.0)
