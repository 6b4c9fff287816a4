"""The search: its objective against the exact polynomial, its certificates, its honesty, its command."""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest

import linvar as lv
from linvar import progress
from linvar.cli.app import main
from linvar.errors import InputError, InputTypeError
from linvar.search import ascent as search_ascent
from linvar.search import certificate as search_certificate
from linvar.search import nonmonotone as search
from linvar.search import objective as search_objective
from linvar.search import rounds as search_rounds
from linvar.search.certificate import Certificate
from linvar.search.nonmonotone import SearchResult, search_nonmonotone
from linvar.search.objective import build_objective, gamma_rule


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
        (
            ["1/2", "2/3", "5/4"],
            2,
            False,
        ),  # 26 nodes a step, some of tiny probability: they carry the moments of high order
        (["1/2", "2/3", "5/4"], 2, True),
        (["1/2", "4/3"], 3, False),
    ],
)
def test_the_objective_is_the_exact_variance_up_to_one_factor(roots: list[str], step: int, noisy: bool) -> None:
    """1e-10: sums of positive terms in float64; a polynomial with a coefficient times 1.5 is seen."""
    values, tau, sigma = list(map(Fraction, roots)), Fraction(1, 7), Fraction(1, 2) if noisy else None
    exact = lv.gradient_variance(problem(values, tau, sigma, step))
    with jax.enable_x64(True):
        objective = build_objective(len(values), step, noisy, 1, 300)
        at = point([value**2 for value in values], tau, sigma)
        ours, slopes = np.exp(np.array(objective.log_variance(at))), np.array(objective.slopes(at))
    sizes = [int(b) for b in objective.batch_sizes]
    theirs = np.array([float(exact(b)) for b in sizes])
    assert ours / ours[-1] == pytest.approx(theirs / theirs[-1], rel=1e-10)
    assert slopes == pytest.approx(np.diff(np.log(theirs)) / np.diff(np.log(sizes)), abs=1e-9)
    changed = [value * (Fraction(3, 2) if k == 2 else 1) for k, value in enumerate(exact.coefficients)]
    wrong = np.array([float(lv.BatchPolynomial(changed)(b)) for b in sizes])
    assert ours / ours[-1] != pytest.approx(wrong / wrong[-1], rel=1e-10)


@pytest.mark.parametrize("count, b", [(1, 1), (2, 1), (6, 4), (64, 4), (50, 400), (50, 10**9), (226, 22)])
def test_the_nodes_have_the_moments_of_chi_squares(count: int, b: int) -> None:
    """E (chi^2_b / 2)^k = Gamma(b/2 + k) / Gamma(b/2), k < 2 count, at most 40: relative, so small probabilities count.

    1e-12: the nodes, to the power 40. A Jacobi matrix that is diagonalised densely gives moments off by a factor of 20 at
    (64, 4), and masses scaled by Gamma(b/2) are not finite at (50, 400).
    """
    nodes, probabilities = gamma_rule(count, b / 2)
    expected, scale = 1.0, b / 2  # in units of the mean, whose powers overflow
    for k in range(min(2 * count, 41)):
        moment = float(probabilities @ (nodes / scale) ** k)
        assert moment == pytest.approx(expected, rel=1e-12)
        assert moment != pytest.approx(1.5 * expected, rel=1e-12)
        expected *= (b / 2 + k) / scale


@pytest.fixture(scope="module")
def found() -> SearchResult:
    """A short search that succeeds: depth 10, where rises are not rare; in a process whose programs are optimised a little."""
    code = "import pickle, sys, jax, linvar as lv\n"
    code += "result = lv.search_nonmonotone(10, key=jax.random.key(0), seconds=60, progress=False)\n"
    code += "sys.stdout.buffer.write(pickle.dumps(result))"
    flags = os.environ["XLA_FLAGS"].replace("level=0", "level=1")
    environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(Path(lv.__file__).parent.parent)}
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True, env=environment)
    result: SearchResult = pickle.loads(done.stdout)
    return result


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
    result = search_nonmonotone(2, seconds=0.01)
    assert not result.found and result.problem is result.variance is result.rise is result.theorem is None
    assert result.largest_slope < 0 and result.starts == search_rounds.SCREENED
    assert "no rise certified" in repr(result) and result.turning_points == ()


@pytest.mark.parametrize("options", [{}, {"step": 8, "label_noise": True, "seconds": 10**6}])
def test_one_layer_is_answered_by_its_theorem(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "build_objective", None)  # no search is made
    result = search_nonmonotone(1, **options)
    assert not result.found and result.starts == 0 and result.theorem is not None
    assert "no rise: with one layer the variance falls with b" in repr(result) and "linear-regression.md" in repr(
        result
    )
    for noise in (0, 1):
        assert (
            lv.gradient_variance(problem([Fraction(1, 2)], Fraction(1, 7), Fraction(noise), 3)).decreasing_from() == 1
        )


def certify(at: np.ndarray, depth: int, step: int, seconds: float = 1_000.0) -> Certificate | None:
    """The certificate of a point, with so much time."""
    clock = search_rounds.Clock(seconds, lambda done, total: None)
    problems = (search_objective.rounded(at, depth, step, digits) for digits in range(2, 7))
    return search_certificate.certify(problems, clock.allows)


def test_a_soft_maximum_that_looks_positive_certifies_nothing(found: SearchResult) -> None:
    """Only exact values count: the certificate of a falling variance is None, that of what was found is not."""
    assert certify(point([Fraction(1, 4), Fraction(4, 3)], Fraction(1, 7), None), 2, 1) is None
    assert found.problem is not None
    weights = [matrix[0][0] for matrix in found.problem.weights]
    product = math.prod(weights)
    tau = Fraction(found.problem.law.teacher[0][0]) / Fraction(product)
    scale = Fraction(found.problem.learning_rate) * (1 - tau) * Fraction(product) ** 2
    at = point([scale / Fraction(weight) ** 2 for weight in weights], tau, None)
    certificate = certify(at, 10, 1)
    assert certificate is not None and certificate.variance.decreasing_from() == certificate.rise[1] > 1


def test_a_certificate_that_takes_longer_than_the_time_left_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_problem: lv.Problem) -> None:
        raise AssertionError("a derivation was started")

    monkeypatch.setattr(search_certificate, "gradient_variance", never)
    at = point([Fraction(3, 2)] * 10, Fraction(1, 7), None)
    assert certify(at, 10, 2, seconds=1.0) is None  # some minutes
    assert certify(point([Fraction(3, 2)] * 8, Fraction(1, 7), None), 8, 8) is None  # does not fit at all
    with pytest.raises(InputError, match="seconds=20 is less than the certificate .* takes, about .*: give more than"):
        search_nonmonotone(10, step=2, seconds=20)


@pytest.mark.parametrize(("depth", "step"), [(10, 1), (2, 3), (4, 2), (3, 3), (64, 1)])
def test_a_call_is_a_small_part_of_a_round(depth: int, step: int) -> None:
    """Numbers of a call: what it takes grows with them, and the clock is looked at in between."""
    with jax.enable_x64(True):
        objective = build_objective(depth, step, False, 4, 400)
    points, steps = objective.ascent
    assert objective.cost == depth * objective.probabilities.size
    assert objective.points_a_call * objective.cost <= search_ascent.CALL or objective.points_a_call == 1
    assert points * steps * search_ascent.STEP_COST * objective.cost <= max(
        search_ascent.CALL, search_ascent.STEP_COST * objective.cost
    )
    assert objective.points_a_call % objective.block == 0


@pytest.mark.parametrize("limit", [0.5, 4.0, 10.0, 40.0])
def test_a_search_ends_with_the_call_in_which_its_time_ends(monkeypatch: pytest.MonkeyPatch, limit: float) -> None:
    """On a clock that stands still but for a second each call takes."""
    now, said = [0.0], []

    def slow(function: Any) -> Any:
        def called(*arguments: Any) -> Any:
            now[0] += 1.0
            return function(*arguments)

        return called

    monkeypatch.setattr(search_rounds, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    monkeypatch.setattr(search_objective.Objective, "points_a_call", 500)
    monkeypatch.setattr(search_objective.Objective, "ascent", (8, 10))
    for name in ("screen", "climb"):
        monkeypatch.setattr(search_rounds, name, slow(getattr(search_rounds, name)))
    result = search_nonmonotone(2, seconds=limit, progress=lambda done, total: said.append((done, total)))
    assert not result.found and limit <= result.seconds < limit + 1 + 1e-9
    assert said[-1] == (math.ceil(limit), math.ceil(limit))
    assert [done for done, _ in said] == sorted(done for done, _ in said)
    # a third of the time goes to the starts of a round
    assert result.starts == 500 * max(1, math.ceil(limit / 3))


def test_a_search_in_a_pipe_writes_a_line_every_few_seconds(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.2)
    assert main(["search", "--depth", "2", "--seconds", "1", "--json"]) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["found"] is False
    lines = captured.err.splitlines()
    assert len(lines) >= 2 and all(line.startswith("linvar: search: ") for line in lines)


@pytest.mark.slow
def test_twenty_seconds_are_thirty_five_at_most() -> None:
    begin = time.perf_counter()
    search_nonmonotone(2, step=3, key=jax.random.key(5), seconds=20, progress=False)
    assert time.perf_counter() - begin <= 35


def test_rounding_keeps_the_digits_it_says() -> None:
    rounded = search_objective.rounded(point([Fraction(1, 4), Fraction(4, 3)], Fraction(1, 7), Fraction(1, 2)), 2, 1, 3)
    for value in (rounded.weights[0][0][0], rounded.weights[1][0][0], rounded.learning_rate):
        assert len(str(float(value)).replace(".", "").strip("0")) <= 3
    assert rounded.law.noise_variance > 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"depth": 0}, InputError, "depth=0 is out of range: give an integer from 1 to 64"),
        ({"depth": 65}, InputError, "depth=65 is out of range"),
        ({"step": 0}, InputError, "step=0 is out of range: give an integer from 1 to 8"),
        ({"step": -(10**5000)}, InputError, "step=<an integer of about 5001 digits> is out of range"),
        ({"depth": 1, "step": 9}, InputError, "step=9"),
        ({"batch_sizes": (5, 5)}, InputError, r"batch_sizes=\(5, 5\) is out of range: give a range"),
        ({"batch_sizes": (4, 10**400)}, InputError, "batch_sizes=.* is out of range: give a range"),
        ({"batch_sizes": (1, 2, 3)}, InputError, r"batch_sizes=\(1, 2, 3\) is no pair: give a range"),
        ({"batch_sizes": 5}, InputTypeError, r"batch_sizes=5 is of type int: give a range"),
        ({"batch_sizes": {4, 400}}, InputTypeError, r"batch_sizes=.* is of type set: give a range"),
        ({"seconds": 0}, InputError, "seconds=0 is out of range: give a number > 0"),
        ({"seconds": math.nan}, InputError, "seconds=nan is out of range"),
        ({"seconds": math.inf}, InputError, "seconds=inf is out of range: give a number > 0, at most 10"),
        ({"seconds": 10**5000}, InputError, "seconds=<an integer of about 5001 digits> is out of range"),
        ({"seconds": "9"}, InputTypeError, "seconds='9' is of type str"),
        ({"seconds": True}, InputTypeError, "seconds=True is of type bool"),
        ({"label_noise": "no"}, InputTypeError, "label_noise='no' is of type str: write True or False"),
        ({"depth": "8"}, TypeError, "depth='8'"),
        ({"key": 3}, TypeError, "key=3"),
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
    assert main(["search", "--depth", "1"]) == 3
    assert "no rise: with one layer the variance falls" in capsys.readouterr().out
    assert main(["search", "--depth", "1", "--json"]) == 3
    data = json.loads(capsys.readouterr().out)
    assert data["found"] is False and data["starts"] == 0 and "linear-regression.md" in data["theorem"]


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
