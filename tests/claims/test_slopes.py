"""proofs/two-layers-one-step.md, the flattest variances that searches found: exactly, and what is near them."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

import linvar as lv

#: weights, teacher, rate, step, 1/u and the slope in thousandths, rounded down
FLATTEST = {
    "two layers, two steps": (("1", "1"), "0.159822", "1.16881", 2, "66.67", 154),
    "three layers, one step": (("1.19383", "0.72009", "1.19383"), "-0.08028", "0.89823", 1, "103.88", 322),
}


def slope(weights: list[Fraction], teacher: Fraction, rate: Fraction, step: int, u: Fraction) -> Fraction:
    """d log var_t / d log u, exactly; negative where the variance rises with b."""
    variance = lv.gradient_variance(lv.Problem([[[w]] for w in weights], lv.Gaussian([[teacher]]), rate, step))
    powers = [(k, Fraction(c) * u**k) for k, c in enumerate(variance.coefficients)]
    return sum(k * value for k, value in powers) / sum(value for _, value in powers)


@pytest.mark.parametrize("name", FLATTEST)
def test_the_flattest_variance_found_is_flatter_than_its_neighbours(name: str) -> None:
    """No rise, and none near: half a per cent off in every number it falls faster."""
    weights, teacher, rate, step, size, thousandths = FLATTEST[name]
    start = [*map(Fraction, weights), Fraction(teacher), Fraction(rate), 1 / Fraction(size)]

    def at(point: list[Fraction]) -> Fraction:
        *w, t, a, u = point
        return slope(w, t, a, step, u)

    least = at(start)
    assert 0 < thousandths <= 1000 * least < thousandths + 1
    draw = random.Random(0)
    for _ in range(12):
        near = [value * (1 + Fraction(draw.choice([-1, 1]) * draw.randint(5, 10), 1000)) for value in start]
        assert least < at(near)
