"""CONTRIBUTING.md's recipes are executed: a law, a road, some twenty lines each; each is rejected with one number times 3/2."""

from __future__ import annotations

import importlib.util
import operator
import re
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import linvar as lv
from linvar.errors import InputError
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
    assert {"Spike", "Diagonal", "Subsets"} <= {*recipes}
    assert recipes["Diagonal"].__mro__[1] is lv.testing.OpenModel
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
        assert exact.per_leaf.variance[leaf].coefficients == (0, spread)
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
