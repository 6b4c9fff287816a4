"""Searches that begin near finds of other depths, and jumps from the best."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

import linvar as lv
from linvar.errors import InputError, InputTypeError
from linvar.problem_file import problem_from_dict
from linvar.search import rounds
from linvar.search.deform import deformed, point_of, points_near
from linvar.search.nonmonotone import search_nonmonotone
from linvar.search.objective import Objective, build_objective, rounded
from linvar.search.rounds import Ascents, Clock, Points

FILE = Path(__file__).parents[1] / "proofs" / "certificates" / "seven-layers-one-step.json"
SEVEN = problem_from_dict(json.loads(FILE.read_text(encoding="utf-8"))["problem"])
SMALL = lv.Problem([[[1]], [[-2]]], lv.Gaussian([["1/2"]], noise_variance="1/9"), "1/10", step=2)


def test_the_point_of_a_problem_gives_it_back() -> None:
    """Its variance, up to a factor: the scale of the weights is free."""
    point = point_of(SEVEN, False)
    assert point is not None and len(point) == 8
    again = lv.gradient_variance(rounded(point, 7, 1, 12))
    once = lv.gradient_variance(SEVEN)
    ratios = [float(again(b)) / float(once(b)) for b in (1, 10, 121, 152, 1000)]
    assert ratios == pytest.approx([ratios[0]] * 5, rel=1e-7)
    with_noise = point_of(SMALL, True)
    assert with_noise is not None and np.exp(with_noise) == pytest.approx([0.5, 0.125, 1.25, 1 / 6])
    faint = point_of(SEVEN, True)
    assert faint is not None and len(faint) == 9 and faint[-1] < -5


@pytest.mark.parametrize(
    "change",
    [
        {"law": lv.Gaussian([["1/2"]], mean=[1], noise_variance="1/9")},
        {"law": lv.Gaussian([["1/2"]], covariance=[[2]], noise_variance="1/9")},
        {"law": lv.Gaussian([[-3]], noise_variance="1/9")},  # steps lead away from it
        {"law": lv.Dataset([[1], [2]], [[0], [1]])},
        {"momentum": "1/2"},
        {"weight_decay": "1/2"},
        {"learning_rate": ["1/10", "1/5"]},
        {"learning_rate": 0},
        {"weights": [[[1], [1]], [[-2, 1]]]},
        {"weights": [[[0]], [[-2]]]},
    ],
)
def test_problems_of_another_kind_have_no_point(change: dict[str, Any]) -> None:
    assert point_of(SMALL, True) is not None and point_of(SMALL, False) is None
    assert point_of(SMALL.replace(**change), True) is None


def test_layers_are_left_out_and_put_in() -> None:
    draws, point = np.random.default_rng(0), np.log([1.0, 2.0, 3.0, 4.0, 0.5])
    assert deformed(point, 4, 4, draws).tolist() == [point.tolist()]
    fewer = deformed(point, 4, 2, draws)
    assert {tuple(np.exp(row).round().astype(int)[:2]) for row in fewer} == {
        (1, 2),
        (1, 3),
        (1, 4),
        (2, 3),
        (2, 4),
        (3, 4),
    }
    more = deformed(point, 4, 6, draws)
    assert (
        more.shape[1] == 7
        and (more[:, :4] == point[:4]).all()
        and (np.append(fewer[:, -1], more[:, -1]) == point[-1]).all()
    )
    assert len(deformed(np.zeros(21), 20, 10, draws)) <= 64


def test_seven_layers_and_one_that_hardly_moves_rise() -> None:
    """Six of them do not."""
    with jax.enable_x64(True):
        for depth, rises in ((8, True), (6, False)):
            points = points_near([SEVEN], depth, False, np.random.default_rng(0))
            assert points is not None
            slopes = jax.jit(jax.vmap(build_objective(depth, 1, False, 50, 400).largest_slope))(points)
            assert (max(slopes) > 0) == rises
    assert points_near([], 7, False, np.random.default_rng(0)) is None


def test_what_is_near_ascends_first_and_the_best_are_jumped_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ascent in whose place the points stay: their slopes are their first coordinates."""
    with jax.enable_x64(True):
        near = np.arange(6.0).reshape(2, 3)
        search = Ascents(build_objective(2, 1, False, 4, 400), Clock(1000.0, lambda done, total: None), near)
    groups: list[np.ndarray] = []

    def stay(_landscape: Any, group: Any) -> Any:
        groups.append(np.asarray(group))
        return SimpleNamespace(points=groups[-1], slopes=groups[-1][:, 0])

    monkeypatch.setattr(rounds, "start_climb", stay)
    monkeypatch.setattr(rounds, "climb", lambda _landscape, state, _steps: state)
    monkeypatch.setattr(rounds, "REFINED", 24)
    monkeypatch.setattr(Objective, "ascent", (24, 80))
    with jax.enable_x64(True):
        found: list[Points] = list(search.points(jax.random.key(0)))
    assert [len(group) for group in groups] == [24, 24, 24] and len(found) == 4
    assert (groups[0][:2] == near).all() and not (groups[0][2:] == np.resize(near, (22, 3))).any()
    best = np.sort(np.concatenate(groups[:2])[:, 0])[::-1][:24]
    jumps = np.abs(groups[2][:, 0] - best)
    assert jumps.min() > 0 and np.median(jumps) < 0.6
    assert np.concatenate([found[0].at, found[2].at])[:, 0].max() == best[0]


@pytest.mark.parametrize(
    ("depth", "near", "error", "message"),
    [
        (7, SEVEN, InputTypeError, "near=.* is of type Problem: give a list of problems"),
        (7, [SEVEN, 3], InputTypeError, r"near\[1\]=3 is of type int: give problems of widths 1"),
        (7, [SMALL], InputError, r"near\[0\]=.* is of another kind: give problems of widths 1"),
        (SMALL, [SMALL], InputError, "near=.* goes with a depth, and a template has its own: leave it out"),
    ],
)
def test_bad_neighbours(depth: Any, near: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        search_nonmonotone(depth, near=near)
