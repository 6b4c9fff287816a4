"""What is open for widths 1: the flattest variances known, of proofs/grid.json, exactly, and what is near them."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from pathlib import Path

import pytest

import linvar as lv

GRID = json.loads((Path(__file__).parents[2] / "proofs" / "grid.json").read_text(encoding="utf-8"))
#: the slope in thousandths, rounded down, by layers and steps
FLATTEST = {"2,2": 154, "5,1": 89, "6,1": 51}


def slope(weights: list[Fraction], teacher: Fraction, rate: Fraction, step: int, u: Fraction) -> Fraction:
    """d log var_t / d log u, exactly; negative where the variance rises with b."""
    variance = lv.gradient_variance(lv.Problem([[[w]] for w in weights], lv.Gaussian([[teacher]]), rate, step))
    powers = [(k, Fraction(c) * u**k) for k, c in enumerate(variance.coefficients)]
    return sum(k * value for k, value in powers) / sum(value for _, value in powers)


@pytest.mark.parametrize("cell", FLATTEST)
def test_the_flattest_variance_found_is_flatter_than_its_neighbours(cell: str) -> None:
    """No rise, and none near: half a per cent off in every number it falls faster."""
    numbers, step, thousandths = GRID[cell]["flattest"], int(cell.partition(",")[2]), FLATTEST[cell]
    weights = [Fraction(weight) for weight in numbers["weights"]]
    start = [
        *weights,
        Fraction(numbers["teacher"]),
        Fraction(numbers["learning_rate"]),
        Fraction(1, numbers["batch_size"]),
    ]

    def at(point: list[Fraction]) -> Fraction:
        *w, t, a, u = point
        return slope(w, t, a, step, u)

    least = at(start)
    assert 0 < thousandths <= 1000 * least < thousandths + 1
    draw = random.Random(0)
    for _ in range(12):
        near = [value * (1 + Fraction(draw.choice([-1, 1]) * draw.randint(5, 10), 1000)) for value in start]
        assert least < at(near)
