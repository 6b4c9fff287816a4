"""proofs/smaller-batches.md: its algebra for general symbols, its regions on random instances, its certificates anew."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from math import floor, prod
from pathlib import Path
from typing import Any

import pytest
import sympy
from sympy import Matrix, Rational, expand, symbols

import linvar as lv
from linvar.problem_file import problem_from_dict

FOLDER = Path(__file__).parents[2] / "proofs" / "loss-certificates"
CERTIFICATES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
u, S, tau, rho = symbols("u S tau rho")


def mean(polynomial: sympy.Expr) -> sympy.Expr:
    """E of a polynomial in S, the batch mean of squares of N(0, 1): E S^k = prod_{i < k} (1 + 2iu)."""
    terms = sympy.Poly(polynomial, S).terms()
    return expand(sum(c * sympy.prod([1 + 2 * i * u for i in range(k)]) for (k,), c in terms))


# regression


def test_the_loss_of_a_spread_is_a_sum_of_squares() -> None:
    """(1) over both batches of two symbolic rows in d = 2, b = 1: the loss is above that of the mean step by squares."""
    rows = [Matrix(symbols(f"x{i}_1:3")) for i in range(2)]
    targets, w, a = symbols("y1:3"), Matrix(symbols("w1:3")), symbols("a")

    def loss(v: Matrix) -> sympy.Expr:
        return sum(((x.T * v)[0] - y) ** 2 for x, y in zip(rows, targets)) / 4

    gradients = [x * ((x.T * w)[0] - y) for x, y in zip(rows, targets)]
    whole = (gradients[0] + gradients[1]) / 2
    above = sum(loss(w - a * g) for g in gradients) / 2 - loss(w - a * whole)
    squares = sum((x.T * (g - whole))[0] ** 2 for x in rows for g in gradients) * a**2 / 8
    assert expand(above - squares) == 0 and expand(above - 2 * squares) != 0


CONVEX = lv.Dataset([[1, 2], [0, 1], [3, -1], [1, 1]], [1, 0, 2, -1])
REGRESSIONS = [
    lv.Problem([[[1, 2]]], lv.Gaussian([[3, 1]], noise_variance=1), "1/3", 6),
    lv.Problem([[[1, 2], [0, 1]]], lv.Gaussian([[3, 1], [1, 1]]), ["1/3", "1", "1/7"], 3, momentum="1/2"),
    lv.Problem([[[1, 2]]], CONVEX, "1/5", 5, weight_decay="1/9", momentum="1/3", nesterov=True),
    lv.Problem([[[1, 2]]], CONVEX, "1/5", 2, "without_replacement"),
]


@pytest.mark.parametrize("problem", REGRESSIONS)
def test_the_loss_of_regression_falls_with_the_batch_size(problem: lv.Problem) -> None:
    loss = lv.expected_loss(problem)
    assert all(value >= 0 for value in loss.factor_coefficients) and loss.is_decreasing()
    assert loss.lowest_at() == loss.largest_batch_size


def test_a_mean_loss_that_is_not_convex_may_fall_as_the_batch_shrinks() -> None:
    """l(w; z) = z w - w^2/2: what makes a step vary lowers the loss, by the spread of the weight."""
    z, loss = lv.Finite([[1], [-1]], probabilities=["1/3", "2/3"]), lambda w, x: x[0] * w - w**2 / 2
    problem = lv.Problem(0, z, "1/4", 3, loss=loss)
    found = lv.expected_loss(problem)
    (variance,) = lv.weight_covariance(problem)[0]
    assert found == found.coefficients[0] - variance / 2 and variance.degree == 1 and found.lowest_at() == 1


# small rates


@pytest.mark.parametrize(("depth", "step"), [(1, 2), (2, 1), (2, 2), (3, 1)])
def test_the_second_order_in_the_rate(depth: int, step: int) -> None:
    """(3): the part of a^2 that depends on b is (t/2) tr(H Sigma) / b, and of a^1 none does."""
    w, target, a = symbols(f"w1:{depth + 1}"), *symbols("T a")
    at = {} if depth * step < 4 else {w[0]: Rational(1, 2), w[1]: 3}  # numbers, where symbols take long
    weights = [[[at.get(one, one)]] for one in w]
    found = lv.expected_loss(lv.Problem(weights, lv.Gaussian([[target]]), a, step))
    product = prod(w)
    gap = product - target
    slopes = Matrix([sympy.diff(product, one) for one in w])
    hessian = sympy.hessian(gap**2 / 2, w)
    spread = 2 * gap**2 * slopes * slopes.T  # S varies by 2
    low = [[sympy.Poly(c, a).coeff_monomial(a**k) for k in range(3)] for c in found.coefficients]
    assert all(expand(c[0]) == 0 == expand(c[1]) for c in low[1:])
    assert expand(low[1][2] - Rational(step, 2) * (hessian * spread).trace().subs(at)) == 0
    assert all(expand(c[2]) == 0 for c in low[2:])
    # of the same N examples, t = N/b steps: the part of a^1 is -t |gradient|^2
    assert expand(low[0][1] + step * gap.subs(at) ** 2 * (slopes.T * slopes)[0].subs(at)) == 0


def test_a_smaller_batch_helps_at_every_depth_but_one() -> None:
    """(4): weights 1, teacher T: tr(H Sigma) = 2 (1-T)^2 L (L + (1-T) (L-1)), negative for T > (2L-1)/(L-1)."""
    target = symbols("T")
    for depth in range(1, 7):
        w = symbols(f"w1:{depth + 1}")
        product, ones = prod(w), dict.fromkeys(w, 1)
        slopes = Matrix([sympy.diff(product, one) for one in w])
        curved = (slopes.T * sympy.hessian((product - target) ** 2 / 2, w) * slopes)[0].subs(ones)
        assert expand(curved - depth * (depth + (1 - target) * (depth - 1))) == 0
    for depth, step in ((2, 1), (2, 2), (3, 1), (3, 2), (5, 1)):
        least = Fraction(2 * depth - 1, depth - 1)
        for teacher, best in ((least + 2, 1), (least - 1, None)):
            problem = lv.Problem([[[1]]] * depth, lv.Gaussian([[teacher]]), "1/2000", step)
            assert lv.expected_loss(problem).lowest_at() == best


# widths 1-h-1, t = 1

FACTOR = 1 - tau * S + rho * tau / 2 * S**2
#: the loss after a step is E^2/2 times this
LOSS = mean(FACTOR**2)
SLOPE = 2 * rho + tau * (2 - 6 * rho + 3 * rho**2 + 2 * rho * (11 * rho - 8) * u + 36 * rho**2 * u**2)
EXCESS = 2 * rho + tau * (2 - 6 * rho + 3 * rho**2 + rho * (11 * rho - 8) * u + 12 * rho**2 * u**2)


@pytest.mark.parametrize("hidden", [1, 2])
def test_the_loss_of_two_layers_is_a_polynomial_in_three_letters(hidden: int) -> None:
    """(5) and (6): E^2/2 times LOSS is the expected loss for symbolic weights, teacher and rate."""
    first, second, (target, a) = symbols(f"v1:{hidden + 1}"), symbols(f"w1:{hidden + 1}"), symbols("T a")
    problem = lv.Problem([[[v] for v in first], [list(second)]], lv.Gaussian([[target]]), a, 1)
    product = sum(v * w for v, w in zip(first, second))
    gap, size = product - target, sum(v**2 for v in (*first, *second))
    letters = expand(
        LOSS.subs(rho, symbols("m") / tau).subs(tau, a * size).subs(symbols("m"), 2 * a**2 * gap * product)
    )
    assert lv.expected_loss(problem) == expand(gap**2 / 2 * letters)
    assert lv.expected_loss(problem) != expand(gap**2 * letters)


def test_the_first_coefficient_of_two_layers() -> None:
    """(7): the first-order effect, by the moments, and by the words it was found in."""
    first = sympy.Poly(LOSS, u).coeff_monomial(u)
    assert expand(first - 2 * tau * (tau * (1 - rho) ** 2 + rho * (1 - tau + rho * tau / 2))) == 0
    assert expand(first - 2 * tau * (tau * (1 - rho) ** 2 + rho * (1 - tau - rho * tau / 2))) != 0


def test_slope_and_excess_of_two_layers() -> None:
    """(8) to (11): both as they are used, their squares, and their values at the ends."""
    assert expand(sympy.diff(LOSS, u) - tau * SLOPE) == 0
    assert expand(LOSS - LOSS.subs(u, 0) - tau * u * EXCESS) == 0
    square = (36 * rho * u + 11 * rho - 8) ** 2 + 8 - 40 * rho - 13 * rho**2
    assert expand(36 * (SLOPE - 2 * rho) - tau * square) == 0
    square = (24 * rho * u + 11 * rho - 8) ** 2 + 32 - 112 * rho + 23 * rho**2
    assert expand(48 * (EXCESS - 2 * rho) - tau * square) == 0
    assert SLOPE.subs(u, 0) == EXCESS.subs(u, 0) == 2 * rho + tau * (2 - 6 * rho + 3 * rho**2)
    assert expand(SLOPE.subs(u, 1) - 2 * rho - tau * (2 - 22 * rho + 61 * rho**2)) == 0
    assert sympy.discriminant(2 - 22 * rho + 61 * rho**2, rho) == -4
    assert expand(EXCESS.subs(u, 1) - 2 * rho - tau * (2 - 14 * rho + 26 * rho**2)) == 0
    assert sympy.discriminant(2 - 14 * rho + 26 * rho**2, rho) == -12
    # the bounds of the middle are none where the least value lies beyond b = 1
    assert (13 * rho**2 + 40 * rho - 8).subs(rho, Rational(8, 47)) < 0
    assert (112 * rho - 32 - 23 * rho**2).subs(rho, Rational(8, 35)) < 0
    # the roots at which the regions begin
    assert max(sympy.solve(13 * rho**2 + 40 * rho - 8, rho)) == sympy.Rational(-20, 13) + 6 * sympy.sqrt(14) / 13
    assert min(sympy.solve(23 * rho**2 - 112 * rho + 32, rho)) == sympy.Rational(56, 23) - 20 * sympy.sqrt(6) / 23


def falls_with_b(t: Fraction, r: Fraction) -> bool:
    """Region (12): the loss falls for every real b >= 1."""
    if r < 0:
        return t * (2 - 6 * r + 3 * r**2) >= -2 * r
    if r >= Fraction(8, 11):
        return t * (6 * r - 2 - 3 * r**2) <= 2 * r
    return t * (13 * r**2 + 40 * r - 8) <= 72 * r


def rises_with_b(t: Fraction, r: Fraction) -> bool:
    """Region (13): the loss rises for every real b >= 1, and b = 1 is best."""
    return r < 0 and t * (2 - 22 * r + 61 * r**2) <= -2 * r


def some_batch_helps(t: Fraction, r: Fraction) -> bool:
    """Region (14): some real b >= 1 has a lower loss than the limit."""
    if r < 0:
        return t * (2 - 6 * r + 3 * r**2) < -2 * r
    if r >= Fraction(8, 11):
        return t * (6 * r - 2 - 3 * r**2) > 2 * r
    return t * (112 * r - 32 - 23 * r**2) > 96 * r


def instances(seed: int, count: int) -> list[tuple[Fraction, Fraction, lv.BatchPolynomial]]:
    """tau, rho and the loss of random networks of widths 1-1-1 and 1-2-1, rho at the interesting places."""
    draw, found = random.Random(seed), []
    while len(found) < count:
        hidden = draw.choice((1, 2))
        first, second = ([Fraction(draw.randint(-9, 9), 4) for _ in range(hidden)] for _ in range(2))
        product, size = sum(v * w for v, w in zip(first, second)), sum(v**2 for v in (*first, *second))
        t, r = Fraction(draw.randint(1, 60), draw.choice((12, 600))), Fraction(draw.randint(-24, 48), 24)
        if not product or not r:
            continue
        rate = t / size
        target = product - r * size / (2 * rate * product)  # rho = 2 rate (product - target) product / size
        problem = lv.Problem([[[v] for v in first], [second]], lv.Gaussian([[target]]), rate, 1)
        found.append((t, r, lv.expected_loss(problem)))
    return found


def test_regions_of_two_layers() -> None:
    """(12), (13) and (14) against the exact trends of random instances, all kinds among them."""
    kinds = set()
    for t, r, loss in instances(0, 120):
        trends = {trend.sign for trend in loss.sign_table()}
        kind = falls_with_b(t, r), rises_with_b(t, r), some_batch_helps(t, r)
        assert kind[:2] == (trends == {-1}, trends == {1}), (t, r)
        limit = loss.coefficients[0]
        real = [point.low for point in loss.turning_points() if point.kind == "minimum"] + [Fraction(1)]
        below = any(sum(c / b**k for k, c in enumerate(loss.coefficients)) < limit for b in real)
        first = loss.coefficients[1] < 0
        assert kind[2] == (below or first), (t, r)
        if kind[2] and (r < 0 or r >= Fraction(8, 11)):
            assert first and loss.lowest_at() is not None  # the first order is the whole truth
        kinds.add((kind, first))
    falls, rises, helps = (True, False, False), (False, True, True), (False, False, True)
    assert kinds | {dip()} >= {(falls, False), (rises, True), (helps, True), (helps, False)}


def dip() -> tuple[tuple[bool, bool, bool], bool]:
    """A loss that a smaller batch lowers although to first order it does not: rho = 1/2, tau = 3."""
    loss = lv.expected_loss(lv.Problem([[[1]], [[1]]], lv.Gaussian([["2/3"]]), "3/2", 1))
    t, r = Fraction(3), Fraction(1, 2)
    assert loss.coefficients[1] > 0 and loss.lowest_at() is not None and some_batch_helps(t, r)
    return (falls_with_b(t, r), rises_with_b(t, r), some_batch_helps(t, r)), False


def test_the_example_of_two_layers() -> None:
    """Weights 1 and 1, teacher 17: a smaller batch helps at small rates."""
    loss = lv.expected_loss(lv.Problem([[[1]], [[1]]], lv.Gaussian([[17]]), "1/20", 1))
    assert loss.lowest_at() == 4 and loss(4) < loss.coefficients[0] < loss(1)
    assert f"{float(loss.coefficients[0]):.2f} {float(loss(4)):.2f}" == "94.67 93.57"
    smaller = lv.expected_loss(lv.Problem([[[1]], [[1]]], lv.Gaussian([[17]]), "1/200", 1))
    assert smaller.lowest_at() == 1


# certificates


def mistakes(certificate: dict[str, Any]) -> list[str]:
    """What is not true of a certificate, everything computed anew."""
    problem = problem_from_dict(certificate["problem"])
    loss = lv.expected_loss(problem)
    truths = {"lowest_at": loss.lowest_at() == certificate["lowest_at"]}
    if "examples" in certificate:
        sizes, total = certificate["batch_sizes"], certificate["examples"]
        ends = {b: lv.expected_loss(problem.at_step(total // b))(b) for b in sizes}
        truths["lowest_after_equal_steps"] = min(sizes, key=loss) == certificate["lowest_after_equal_steps"]
        truths["lowest_after_equal_examples"] = min(sizes, key=ends.get) == certificate["lowest_after_equal_examples"]
    else:
        best, last = certificate["lowest_at"], loss.largest_batch_size
        points = [
            {"between": [floor(point.low), floor(point.high) + 1], "kind": point.kind}
            for point in loss.turning_points()
        ]
        end = loss.coefficients[0] if last is None else loss(last)
        truths["degree"] = loss.degree == certificate["degree"]
        truths["turning_points"] = points == certificate["turning_points"]
        truths["lowest of its neighbours"] = all(
            loss(best) < loss(b) for b in (best - 1, best + 1) if b >= 1 and (last is None or b <= last)
        )
        truths["relative_gain_at_least"] = loss(best) <= end * (1 - Fraction(certificate["relative_gain_at_least"]))
    return [name for name, true in truths.items() if not true]


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_certificate_of_a_loss_is_true(name: str) -> None:
    assert mistakes(CERTIFICATES[name]) == []


def test_a_changed_certificate_of_a_loss_is_noticed() -> None:
    right = CERTIFICATES["matrices"]
    assert mistakes({**right, "lowest_at": 3}) and mistakes({**right, "degree": 4}) == ["degree"]
    assert mistakes({**right, "relative_gain_at_least": "1/100"}) == ["relative_gain_at_least"]
    assert mistakes({**right, "turning_points": []}) == ["turning_points"]
    other = CERTIFICATES["equal-examples-against"]
    assert mistakes({**other, "lowest_after_equal_examples": 2}) == ["lowest_after_equal_examples"]
    assert mistakes({**other, "lowest_after_equal_steps": 4}) == ["lowest_after_equal_steps"]


def test_certificates_of_losses_are_in_their_file() -> None:
    text = (FOLDER.parent / "smaller-batches.md").read_text(encoding="utf-8")
    assert all(f"(loss-certificates/{name}.json)" in text for name in CERTIFICATES) and len(CERTIFICATES) == 16
