"""proofs/variants.md, executed: what the grid of depths and steps says about noise, momentum, decay and wider networks."""

from __future__ import annotations

import json
import math
import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import sympy
from sympy import Matrix, Poly, Rational, eye, symbols, zeros

import linvar as lv
from linvar.problem_file import problem_from_dict

CERTIFICATES = Path(__file__).parents[2] / "proofs" / "certificates"
#: the variants of a problem, of a size each certificate of the grid survives
VARIANTS: dict[str, dict[str, Any]] = {
    "label noise": {"noise_variance": Fraction(1, 10**12)},
    "heavy ball": {"momentum": Fraction(1, 10**6)},
    "Nesterov": {"momentum": Fraction(1, 10**6), "nesterov": True},
    "weight decay": {"weight_decay": Fraction(1, 10**6)},
}
#: of each step one that is soon derived; the others of the grid
SMALL = ["three-layers-two-steps", "seven-layers-one-step"]
LARGE = ["two-layers-three-steps", "four-layers-two-steps", "eight-layers-one-step", "ten-layers-one-step"]


def certified(name: str) -> tuple[lv.Problem, int, int]:
    """A problem, and between which batch sizes it rises."""
    content = json.loads((CERTIFICATES / f"{name}.json").read_text(encoding="utf-8"))
    return problem_from_dict(content["problem"]), *content["rise"]


def check_persists(name: str, variant: str) -> None:
    """It rises between the same batch sizes, and is another polynomial, but for the memory that a first step has not."""
    start, low, high = certified(name)
    changes = dict(VARIANTS[variant])
    if (noise := changes.pop("noise_variance", None)) is not None:
        changes["law"] = lv.Gaussian(start.law.teacher, noise_variance=noise)
    variance = lv.gradient_variance(start.replace(**changes))
    assert variance(low) < variance(high)
    plain = lv.gradient_variance(start)
    assert (variance == plain) == (variant == "heavy ball" and start.step == 1)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", SMALL)
def test_a_rise_persists(name: str, variant: str) -> None:
    check_persists(name, variant)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", LARGE)
def test_a_rise_of_a_larger_certificate_persists(name: str, variant: str) -> None:
    check_persists(name, variant)


def test_a_hidden_unit_more_changes_nothing() -> None:
    start, *_ = certified("three-layers-two-steps")
    first, second, *rest = start.leaves
    wider = start.replace(weights=[[*first, [0]], [[second[0][0], 0]], *rest])
    assert wider.widths == (1, 2, 1, 1) and lv.gradient_variance(wider) == lv.gradient_variance(start)


def test_momentum_at_the_first_step() -> None:
    """Any network: two inputs, label noise."""
    law = lv.Gaussian([[1, "1/2"]], noise_variance="1/3")
    start = lv.Problem([[[1, 2], [0, 1]], [[1, -1]]], law, "1/7", 1)
    plain = lv.gradient_variance(start)
    assert lv.gradient_variance(start.replace(momentum="1/3")) == plain
    nesterov = lv.gradient_variance(start.replace(momentum="1/3", nesterov=True))
    assert nesterov == lv.gradient_variance(start.replace(learning_rate=Fraction(4, 21))) != plain


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_decay_is_another_start_and_rate(depth: int) -> None:
    """(2) for symbols, one input and output: a step of one weight."""
    *w, t, a, d, s = symbols(f"w:{depth} T a d S")
    k, product = 1 - a * d, math.prod(w)
    eps = (k**depth * product - t) / (product - t)
    v = [k * weight for weight in w]
    decayed = k * w[0] - a * (product - t) * s * product / w[0]
    plain = v[0] - a / (k ** (depth - 1) * eps) * (math.prod(v) - t) * s * math.prod(v) / v[0]
    assert sympy.cancel(decayed - plain) == 0
    assert sympy.cancel(decayed - plain.subs(s, 2 * s)) != 0


@pytest.mark.parametrize(
    ("weights", "teacher"),
    [
        ([[["1/2"]], [[2]], [["-1/3"]]], [["3/4"]]),
        ([[[1], ["1/2"]], [[1, 2], [0, "1/3"], [-1, 1]], [["1/2", 1, -1]]], [[2]]),
        ([[["1/2", 0], [0, "1/2"]], [[3, 0], [0, 3]]], [["1/5", 0], [0, "1/5"]]),
    ],
    ids=["1-1-1-1", "1-2-3-1", "multiples of I"],
)
def test_decay_gives_the_polynomial_of_another_start(weights: Any, teacher: Any) -> None:
    rate, decay = Fraction(1, 5), Fraction(2, 3)
    start = lv.Problem(weights, lv.Gaussian(teacher), rate, 1, weight_decay=decay)
    k, depth = 1 - rate * decay, len(weights)
    product = math.prod((Matrix(leaf) for leaf in reversed(start.leaves)), start=eye(len(teacher)))
    target = Matrix(start.law.teacher)
    (eps,) = {((k**depth * product - target)[i, i]) / (product - target)[i, i] for i in range(len(teacher))}
    assert k**depth * product - target == eps * (product - target)
    shrunk = [[[k * entry for entry in row] for row in leaf] for leaf in start.leaves]
    other = start.replace(weights=shrunk, learning_rate=rate / (k ** (depth - 1) * Fraction(str(eps))), weight_decay=0)
    decayed = lv.gradient_variance(start)
    assert decayed == lv.gradient_variance(other) != lv.gradient_variance(start.replace(weight_decay=0))


def test_seven_layers_rise_with_any_weight_decay() -> None:
    """Backwards, k = 1/2: half of each weight decays in the step, and the polynomial is the certified one."""
    start, low, high = certified("seven-layers-one-step")
    k, rate = Fraction(1, 2), Fraction(start.learning_rate)
    shrunk, target = math.prod(Fraction(leaf[0][0]) for leaf in start.leaves), Fraction(start.law.teacher[0][0])
    larger = rate * k**6 * (shrunk - target) / (shrunk / k**7 - target)
    weights = [[[entry / k for entry in row] for row in leaf] for leaf in start.leaves]
    decayed = start.replace(weights=weights, learning_rate=larger, weight_decay=(1 - k) / larger)
    assert larger > 0 and decayed.weight_decay > 0
    variance = lv.gradient_variance(decayed)
    assert variance == lv.gradient_variance(start) and variance(low) < variance(high)


def test_steps_that_lead_away_fall() -> None:
    """(3), (4): three layers, w_l = 1, 1/2, 2 and all rates: no negative coefficient in 1 - T/P and y; and the moments."""
    u, y, gap = symbols("u y gap")

    def moment(n: int) -> sympy.Expr:
        return math.prod((1 + 2 * i * u for i in range(n)), start=sympy.Integer(1))

    for i in range(9):
        for j in range(9):
            assert all(value >= 0 for value in Poly(moment(i + j) - moment(i) * moment(j), u).all_coeffs())
    # P = 1, T = 1 - gap, rate = -y / gap, so that a P (P - T) = -y
    for depth, weights in ((2, ["1/2", 2]), (3, [1, "1/2", 2])):
        start = lv.Problem([[[w]] for w in weights], lv.Gaussian([[1 - gap]]), -y, 1)
        parts = [Poly(value, y, gap) for value in lv.gradient_variance(start).coefficients]
        assert len(weights) == depth and all(value >= 0 for part in parts for value in part.coeffs())
        assert not all(value >= 0 for part in parts for value in part.subs(y, -y).as_poly(y, gap).coeffs())


def leading(batches: list[Matrix], j: Matrix) -> tuple[Matrix, Matrix]:
    """(6), with c = 1: X and Y after these batches."""
    x = y = -j * batches[0]
    for s in batches[1:]:
        x, y = -x * y * s * y.T, -x.T * x * y * s
    return x, y


def gradients(batches: list[Matrix], j: Matrix, a: sympy.Symbol) -> list[Matrix]:
    """Of both layers, at S' = I, after steps from W_l = I, T = I - J."""
    size = j.rows
    lower = upper = eye(size)
    for s in batches:
        error = upper * lower - eye(size) + j
        steps = upper.T * error * s, error * s * lower.T
        lower, upper = ((w - a * g).applyfunc(sympy.expand) for w, g in zip((lower, upper), steps))
    error = upper * lower - eye(size) + j
    return [upper.T * error, error * lower.T]


@pytest.mark.parametrize(("size", "step"), [(2, 1), (2, 2), (3, 1), (3, 2)])
def test_one_example_lacks_the_highest_power_at_every_step(size: int, step: int) -> None:
    """Degrees in the rate, and (6), for batches of one and of two examples; and of orthogonal ones in the plane of J."""
    draw, a = random.Random(size + step), symbols("a")
    j = zeros(size)
    j[0, 1], j[1, 0] = 1, -1
    d = (3**step - 1) // 2

    def example() -> Matrix:
        return Matrix([Rational(draw.randint(1, 5)) * draw.choice([1, -1]) for _ in range(size)])

    one = [(x := example()) * x.T for _ in range(step)]
    two = [((x := example()) * x.T + (y := example()) * y.T) / 2 for _ in range(step)]
    plane = [sympy.diag(1, 1, *[0] * (size - 2))] * step

    def degree(of: Matrix) -> int:
        return max(Poly(sympy.expand(entry), a).degree() for entry in of)

    assert max(map(degree, gradients(one, j, a))) < 3 * d
    for batches in (two, plane):
        x, y = leading(batches, j)
        whole = [
            g.applyfunc(lambda entry: Poly(sympy.expand(entry), a).coeff_monomial(a ** (3 * d)))
            for g in gradients(batches, j, a)
        ]
        assert whole == [x.T * x * y, x * y * y.T] and not whole[0].is_zero_matrix


def test_two_steps_of_width_two_rise_at_a_large_rate() -> None:
    identity = [[1, 0], [0, 1]]
    start = lv.Problem([identity] * 2, lv.Gaussian([[1, -1], [1, 1]]), 20, 2)
    variance = lv.gradient_variance(start)
    assert variance(1) < variance(2)
    symmetric = lv.gradient_variance(start.replace(law=lv.Gaussian([[1, 1], [1, 1]])))
    assert symmetric(1) > symmetric(2)
