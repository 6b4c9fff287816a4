"""The grid of depths and steps: docs/rising.md is what docs/figures/grid.py makes, and a rise passes to deeper networks."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

import linvar as lv
from linvar.problem_file import problem_from_dict

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def grid() -> Any:
    """docs/figures/grid.py, which is in no package."""
    spec = importlib.util.spec_from_file_location("grid", ROOT / "docs" / "figures" / "grid.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_the_table_that_the_script_makes(grid: Any) -> None:
    page = (ROOT / "docs" / "rising.md").read_text(encoding="utf-8")
    assert grid.table() in page and "(figures/grid.svg)" in page


def test_every_cell_is_settled_or_searched(grid: Any) -> None:
    """A cell that is searched is no larger than it says and fell at every start; one that rises has a certificate above it."""
    cells = grid.cells()
    assert set(cells) == {(depth, step) for depth in range(1, 11) for step in range(1, 5)}
    for (depth, step), (status, detail) in cells.items():
        if status == "searched":
            assert grid.degree(depth, step) <= grid.MOST_DEGREE and detail["slope"] < 0 < detail["starts"]
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
