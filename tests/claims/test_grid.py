"""The grid of depths and steps: docs/rising.md is what docs/figures/grid.py makes, and a rise passes to deeper networks."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from identity_layers import variance

import linvar as lv
from linvar.problem_file import problem_from_dict

ROOT = Path(__file__).parents[2]


def loaded(name: str) -> Any:
    """A script of docs/figures, which is no package."""
    spec = importlib.util.spec_from_file_location(f"figures_{name}", ROOT / "docs" / "figures" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def grid() -> Any:
    return loaded("grid")


def test_the_page_has_the_table_that_the_script_makes(grid: Any) -> None:
    page = (ROOT / "docs" / "rising.md").read_text(encoding="utf-8")
    assert grid.table() in page and "(figures/grid.svg)" in page
    assert grid.variants_table() in page


def test_every_cell_is_settled_or_searched(grid: Any) -> None:
    """A cell that is searched is no larger than it says and fell at every start; one that rises has a certificate above it."""
    cells = grid.cells()
    assert set(cells) == {(depth, step) for depth in range(1, 11) for step in range(1, 5)}
    for (depth, step), (status, detail) in cells.items():
        if status == "searched":
            assert grid.degree(depth, step) <= grid.MOST_DEGREE and detail["slope"] < 0 < detail["starts"]
            assert detail["slope"] <= grid.flattest_slope((depth, step)) < 0
        elif status == "deeper":
            assert cells[detail, step].status == "certified" and detail < depth
        elif status == "proved":
            assert (ROOT / "proofs" / detail).is_file()
    assert {at for at, cell in cells.items() if cell.status == "searched"} == {(2, 2), (5, 1), (6, 1)}
    assert cells[7, 1].status == "certified" and grid.degree(7, 1) == 26


@pytest.mark.parametrize("of", ["seven-layers-one-step", "three-layers-two-steps"])
def test_a_rise_passes_to_one_more_layer(of: str) -> None:
    """A layer of 1,000 on top: the same integers rise; by a layer that moves as the others do they need not."""
    certificate = json.loads((ROOT / "proofs" / "certificates" / f"{of}.json").read_text(encoding="utf-8"))
    start, (low, high) = problem_from_dict(certificate["problem"]), certificate["rise"]
    for m, rises in ((1000, True), (1, False)):
        teacher = [[m * entry for entry in row] for row in start.law.teacher]
        rate = lv.Rational(start.learning_rate) / m**2
        tall = lv.Problem([*start.leaves, [[m]]], lv.Gaussian(teacher), rate, start.step)
        variance = lv.gradient_variance(tall, progress=False)
        assert (variance(low) < variance(high)) == rises


def test_every_cell_of_a_variant_is_settled_or_searched(grid: Any) -> None:
    """Those that are settled name pages that exist; the others fell at every start, and none was searched that is settled."""
    found = json.loads(grid.VARIED.read_text(encoding="utf-8"))
    unsettled = {
        name: {f"{depth},{step}" for depth, step in grid.OPEN if (depth, step) not in variant.settled}
        for name, variant in grid.VARIANTS.items()
    }
    assert {name: set(cells) for name, cells in found.items()} == {
        name: some for name, some in unsettled.items() if some
    }
    assert all(record["slope"] < 0 < record["starts"] for cells in found.values() for record in cells.values())
    falling_or_open = {at for at, cell in grid.cells().items() if cell.status in ("proved", "searched") and at[0] > 1}
    assert set(grid.OPEN) == falling_or_open
    for target in re.findall(r"\]\(\.\./(.+?)(?:#.+?)?\)", grid.variants_table()):
        assert (ROOT / target).is_file()


def test_templates_of_variants(grid: Any) -> None:
    """One number of the rule or of the noise more, or a hidden unit without weights: the same polynomial only there."""
    start = lv.Problem([[["1/2"]], [[2]], [["2/3"]]], lv.Gaussian([["1/5"]]), "1/7", 2)
    plain = lv.gradient_variance(start, progress=False)
    for name, variant in grid.VARIANTS.items():
        for template in variant.templates(start) if variant.templates else []:
            variance = lv.gradient_variance(template, progress=False)
            assert (variance == plain) == (template.widths != start.widths) == (name == "widths 1-h-...-h-1")


def test_multiples_of_the_identity_are_evaluated_as_their_formula_says() -> None:
    """1e-12: sums of positive terms in float64, against (5) of proofs/multiples-of-the-identity.md; another order differs."""
    multiples = loaded("multiples")
    point = [Fraction(1, 2), Fraction(3, 2), Fraction(2, 3), Fraction(6, 7)]  # x_1, x_2, x_3, 1 - tau
    with jax.enable_x64(True):
        landscape = multiples.build(3, 1, 60)
        ours = np.exp(np.array(landscape.log_variance(np.log(np.array(point, dtype=float)))))
    *x, gap = point
    sizes = [int(b) for b in landscape.batch_sizes]
    exact, other = (
        [float(variance(steps, 1 - gap, Fraction(2), Fraction(1, b), steps)) for b in sizes] for steps in (x, x[::-1])
    )
    assert sizes[0] == 2 and ours == pytest.approx(np.array(exact), rel=1e-12) != pytest.approx(
        np.array(other), rel=1e-3
    )
    (problem, *_) = landscape.roundings(np.log(np.array(point, dtype=float)))
    assert problem.widths == (2, 2, 2, 2) and problem.leaves[0][0][0] == problem.leaves[0][1][1] and problem.step == 1
