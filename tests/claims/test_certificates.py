"""Certificates of proofs/certificates, recomputed; generic weights reach the degree bound."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from itertools import product
from math import floor
from pathlib import Path
from typing import Any

import pytest

import linvar as lv
from linvar.problem_file import problem_from_dict
from linvar.symbolic.roads.expansion.size import predict
from linvar.symbolic.sgd.steps import Steps

FOLDER = Path(__file__).parents[2] / "proofs" / "certificates"
FILES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
#: those of a variance that rises; test_two_layers.py has the other
CERTIFICATES = {name: certificate for name, certificate in FILES.items() if "rise" in certificate}
#: Derived in half a minute each.
HEAVY = {"two-layers-four-steps"}


def mistakes(certificate: dict[str, Any]) -> list[str]:
    """What is not true of a certificate, everything computed anew."""
    variance = lv.gradient_variance(problem_from_dict(certificate["problem"]))
    low, high = certificate["rise"]
    points = [
        {"between": [floor(point.low), floor(point.high) + 1], "kind": point.kind}
        for point in variance.turning_points()
    ]
    if "rises_from_zero_to" in certificate:
        of_the_rise = {
            "rises_from_zero_to": (variance(low), variance(high)) == (0, Fraction(certificate["rises_from_zero_to"]))
        }
    else:
        least = variance(low) * (1 + Fraction(certificate["relative_rise_at_least"]))
        of_the_rise = {"relative_rise_at_least": variance(high) >= least}
    truths = {
        "degree": variance.degree == certificate["degree"],
        "decreasing_from": variance.decreasing_from() == certificate["decreasing_from"] == high,
        "rise": all(variance(b) < variance(b + 1) for b in range(low, high)),
        "falls before": low == 1 or variance.is_decreasing(1, low),
        "turning_points": points == certificate["turning_points"],
        **of_the_rise,
    }
    return [name for name, true in truths.items() if not true]


@pytest.mark.parametrize("name", sorted(set(CERTIFICATES) - HEAVY))
def test_a_certificate_is_true(name: str) -> None:
    assert mistakes(CERTIFICATES[name]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(HEAVY))
def test_a_heavy_certificate_is_true(name: str) -> None:
    assert mistakes(CERTIFICATES[name]) == []


def test_a_changed_certificate_is_noticed() -> None:
    right = CERTIFICATES["eight-layers-one-step"]
    wrong = json.loads(json.dumps(right))
    wrong["problem"]["learning_rate"] = "1/2"
    assert "rise" in mistakes(wrong) and "turning_points" in mistakes(wrong)
    assert "rise" in mistakes({**right, "rise": [48, 66]})
    assert mistakes({**right, "degree": 31}) == ["degree"]
    assert mistakes({**right, "relative_rise_at_least": "1/100"}) == ["relative_rise_at_least"]
    from_zero = CERTIFICATES["one-outlier"]
    assert mistakes({**from_zero, "rises_from_zero_to": "1/30"}) == ["rises_from_zero_to"]
    assert "rises_from_zero_to" in mistakes({**from_zero, "rise": [15, 17]})


def test_two_examples_rise_from_zero_with_two_layers_after_one_step() -> None:
    """Weights 1 and 2, x = 1 and 1/2, targets 0, rate 1: every single example stops SGD at once, the two of them do not."""
    start = lv.Problem([[[1]], [[2]]], lv.Dataset([[1], ["1/2"]], [[0], [0]]), 1, 1)
    variance = lv.gradient_variance(start)
    assert variance(1) == 0 < variance(2) == Fraction(61965, 131072) and variance.decreasing_from() == 2
    batches = [(Fraction(1), Fraction(1, 4))[i] for i in (0, 1)]
    for h, weight in (
        (batches[0], 0),
        (batches[1], 0),
        (sum(batches) / 2, 2 * (1 - 4 * Fraction(5, 8)) * Fraction(3, 8)),
    ):
        w1, w2 = 1 - 2 * h * 2, 2 - 2 * h * 1  # W_l - (P h) (P / W_l) with P = 2
        assert w1 * w2 == weight == 2 * (1 - 4 * h) * (1 - h)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_two_examples_rise_from_zero_at_later_steps(step: int) -> None:
    start = lv.Problem([[[1]], [[2]]], lv.Dataset([[1], ["1/2"]], [0, 0]), 1, step)
    variance = lv.gradient_variance(start)
    assert variance(1) == 0 < variance(2) and variance.decreasing_from() > 1
    other = lv.gradient_variance(start.replace(learning_rate="1/2"))
    assert other(1) > other(2) > 0


@pytest.mark.parametrize(("m", "n"), [(1, 3), (5, 7), (5, 8), (8, 10), (16, 18)])
def test_an_outlier_makes_any_batch_size_rise(m: int, n: int) -> None:
    """x = sqrt(1 + 3m)/2 beside n - 1 examples x = 1/2, without replacement; not so at another length of the one."""
    root = next(k for k in range(1, 3 * m + 2) if k * k == 1 + 3 * m)
    rows = [[Fraction(root, 2)], *[["1/2"]] * (n - 1)]
    start = lv.Problem([[[1]], [[2]]], lv.Dataset(rows, [0] * n), 1, 1, "without_replacement")
    variance = lv.gradient_variance(start)
    assert variance(m) == 0 < variance(m + 1) and variance.decreasing_from() >= m + 1
    assert (m, n) != (5, 8) or variance.decreasing_from() == 6
    rows[0] = [Fraction(root + 1, 2)]
    assert lv.gradient_variance(start.replace(law=lv.Dataset(rows, [0] * n)))(m) > 0


def generic(widths: tuple[int, ...], step: int) -> lv.Problem:
    """Random small integers without zeros, fixed seed."""
    draw = random.Random(sum(7**i * width for i, width in enumerate(widths)))
    pick = [value for value in range(-9, 10) if value]
    weights = [[[draw.choice(pick) for _ in range(a)] for _ in range(b)] for a, b in zip(widths, widths[1:])]
    teacher = [[draw.choice(pick) for _ in range(widths[0])] for _ in range(widths[-1])]
    return lv.Problem(weights, lv.Gaussian(teacher), "1/7", step)


SHAPES = [
    (widths, step)
    for most, depths, steps in ((2, (1, 2), (0, 1, 2)), (3, (1, 2, 3), (0, 1)))
    for depth in depths
    for widths in product(range(1, most + 1), repeat=depth + 1)
    for step in steps
]


def check_degrees(low: int, high: int) -> int:
    """Derive every shape of so many monomials; how many there are."""
    derived = 0
    for widths, step in dict.fromkeys(SHAPES):
        problem = generic(widths, step)
        if low < predict(Steps(problem)).monomials <= high:
            variance = lv.gradient_variance(problem)
            assert variance.degree == variance.degree_bound == problem.degree_bound, (widths, step)
            derived += 1
    return derived


def test_generic_weights_reach_the_degree_bound() -> None:
    assert check_degrees(0, 3_000) == 229


@pytest.mark.slow
def test_generic_weights_of_the_largest_shapes_reach_the_degree_bound() -> None:
    assert check_degrees(3_000, 10**6) == 17
