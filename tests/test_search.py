"""The search: its objective against the exact polynomial, its certificates, its honesty, its command."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import jax
import numpy as np
import pytest

import linvar as lv
from linvar import search
from linvar.cli import main
from linvar.search import SearchResult, search_nonmonotone


def point(x: list[Fraction], tau: Fraction, sigma: Fraction | None) -> np.ndarray:
    """Where the objective is asked."""
    values = [*map(math.log, x), math.log(1 - tau)]
    return np.array(values if sigma is None else [*values, math.log(sigma)])


def problem(roots: list[Fraction], tau: Fraction, sigma: Fraction | None, step: int) -> lv.Problem:
    """Weights 1 / root(x_k), whose x are squares of ``roots``; the scale is free."""
    weights = [1 / root for root in roots]
    product = math.prod(weights)
    law = lv.Gaussian([[tau * product]], noise_variance=0 if sigma is None else (sigma * product) ** 2)
    return lv.Problem([[[w]] for w in weights], law, 1 / (product**2 * (1 - tau)), step)


@pytest.mark.parametrize(
    ("roots", "step", "noisy"),
    [
        (["1/2", "4/3"], 1, False),
        (["1/2", "2/3", "5/4"], 1, False),
        (["1/2", "2/3", "5/4", "1", "1/3"], 1, False),
        (["1/2", "4/3"], 2, False),
        (["1/2", "2/3"], 1, True),
        (["1/3", "1/2"], 2, True),
    ],
)
def test_the_objective_is_the_exact_variance_up_to_one_factor(roots: list[str], step: int, noisy: bool) -> None:
    """1e-10: sums of positive terms in float64; a polynomial with a coefficient times 1.5 is seen."""
    values, tau, sigma = list(map(Fraction, roots)), Fraction(1, 7), Fraction(1, 2) if noisy else None
    exact = lv.gradient_variance(problem(values, tau, sigma, step))
    with jax.enable_x64(True):
        objective = search._objective(len(values), step, noisy, 1, 300)
        at = point([value**2 for value in values], tau, sigma)
        ours, slopes = np.exp(np.array(objective.log_variance(at))), np.array(objective.slopes(at))
    sizes = [int(b) for b in objective.batch_sizes]
    theirs = np.array([float(exact(b)) for b in sizes])
    assert ours / ours[-1] == pytest.approx(theirs / theirs[-1], rel=1e-10)
    assert slopes == pytest.approx(np.diff(np.log(theirs)) / np.diff(np.log(sizes)), abs=1e-9)
    changed = [value * (Fraction(3, 2) if k == 2 else 1) for k, value in enumerate(exact.coefficients)]
    wrong = np.array([float(lv.BatchPolynomial(changed)(b)) for b in sizes])
    assert ours / ours[-1] != pytest.approx(wrong / wrong[-1], rel=1e-10)


@pytest.fixture(scope="module")
def found() -> SearchResult:
    """A short search that succeeds: depth 10, where rises are not rare."""
    return search_nonmonotone(10, key=jax.random.key(0), seconds=60)


def test_a_find_is_certified(found: SearchResult) -> None:
    assert found.found and found.problem is not None and found.rise is not None
    assert found.problem.depth == 10 and found.problem.step == 1
    variance = lv.gradient_variance(found.problem)
    assert variance == found.variance
    low, high = found.rise
    assert high == variance.decreasing_from()
    assert all(variance(b) < variance(b + 1) for b in range(low, high))
    assert variance(low - 1) >= variance(low) and variance(high) > variance(high + 1)
    assert found.relative_rise == Fraction(variance(high)) / Fraction(variance(low)) - 1 > 0
    assert [point.kind for point in found.turning_points][-1] == "maximum"
    assert "certified" in repr(found) and f"b = {high}" in repr(found)


def test_nothing_found_is_said() -> None:
    for depth in (1, 2):
        result = search_nonmonotone(depth, seconds=0.01)
        assert not result.found and result.problem is result.variance is result.rise is None
        assert result.largest_slope < 0 and result.starts == search.SCREENED
        assert "no rise certified" in repr(result) and result.turning_points == ()


def test_a_soft_maximum_that_looks_positive_certifies_nothing() -> None:
    """Only exact values count: the certificate of a falling variance is None."""
    assert search._certify(point([Fraction(1, 4), Fraction(4, 3)], Fraction(1, 7), None), 2, 1) is None


def test_rounding_keeps_the_digits_it_says() -> None:
    rounded = search._rounded(point([Fraction(1, 4), Fraction(4, 3)], Fraction(1, 7), Fraction(1, 2)), 2, 1, 3)
    for value in (rounded.weights[0][0][0], rounded.weights[1][0][0], rounded.learning_rate):
        assert len(str(float(value)).replace(".", "").strip("0")) <= 3
    assert rounded.law.noise_variance > 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"depth": 0}, ValueError, "depth=0"),
        ({"step": 0}, ValueError, "step=0"),
        ({"batch_sizes": (5, 5)}, ValueError, r"batch_sizes=\(5, 5\): give a range"),
        ({"batch_sizes": 5}, TypeError, r"batch_sizes=5: give a range"),
        ({"seconds": 0}, ValueError, "seconds=0"),
        ({"seconds": math.nan}, ValueError, "seconds=nan"),
        ({"seconds": "9"}, TypeError, "seconds='9' is of type str"),
        ({"depth": "8"}, TypeError, "depth='8'"),
        ({"depth": 4, "step": 5}, lv.DerivationTooLargeError, "fewer steps"),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        search_nonmonotone(**options)


def test_command(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    """--json is one object; nothing found is status 3 and writes no file."""
    path = tmp_path / "found.json"
    assert main(["search", "--depth", "2", "--seconds", "0.01", "--json", "-o", str(path)]) == 3
    data = json.loads(capsys.readouterr().out)
    assert data["found"] is False and data["problem"] is None and not path.exists()
    assert main(["search", "--depth", "2", "--seconds", "0.01", "-o", str(path)]) == 3
    assert "Nothing to save" in capsys.readouterr().out
    for arguments in (["--depth", "0"], ["--step", "9"], ["--seconds", "nan"], ["--seconds", "-1"], ["--depth", "x"]):
        assert main(["search", *arguments]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_command_that_finds(
    capsys: pytest.CaptureFixture[str], tmp_path: Any, found: SearchResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "found.json"
    monkeypatch.setattr(search, "search_nonmonotone", lambda *_, **__: found)
    assert main(["search", "--depth", "10", "-o", str(path)]) == 0
    out = capsys.readouterr().out
    assert "certified" in out and "turning points: " in out and f"Saved: {path}" in out
    assert lv.load_problem(path) == found.problem
    assert main(["search", "--depth", "10", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rise"] == list(found.rise or ())


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_depth_8_from_random_starts(seed: int) -> None:
    result = search_nonmonotone(8, key=jax.random.key(seed), seconds=180)
    assert result.found and result.variance is not None and result.variance.decreasing_from() != 1
