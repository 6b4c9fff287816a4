"""Small functions that the roads share, at their edges."""

from __future__ import annotations

import pytest

import linvar as lv
from linvar.symbolic.algebra.ring import Ring, coefficients_of, sum_elements
from linvar.symbolic.models.linear.steps import FixedStep
from linvar.symbolic.sgd.steps import Steps


def test_coefficients_of_an_element_are_as_many_as_its_degree_and_one() -> None:
    ring = Ring(1)
    (u,) = ring.gens
    assert [len(coefficients_of(one, ring)) for one in (ring.zero, ring.one, u, u**3 - u**3, u**3 + u)] == [
        1,
        1,
        2,
        1,
        4,
    ]
    assert coefficients_of(ring.zero, ring) == [ring.scalars.zero]
    assert coefficients_of(3 * u**2 - 1, ring) == [ring.scalars.zero + value for value in (-1, 0, 3)]


@pytest.mark.parametrize("count", range(8))
def test_a_sum_has_every_element_once(count: int) -> None:
    ring = Ring(1)
    (u,) = ring.gens
    assert sum_elements(ring, [u**k for k in range(count)]) == sum((u**k for k in range(count)), ring.zero)


def fixed(problem: lv.Problem) -> list[bool]:
    """Which steps start at weights that are numbers."""
    steps = Steps(problem)
    return [isinstance(steps[s], FixedStep) for s in range(problem.step)]


def test_steps_start_at_numbers_until_a_batch_made_a_difference() -> None:
    """A perfect fit has no noise in its first step; decay moves it, to numbers, whatever the batch; a rate of 0 does not."""
    weights: list[list[list[int]]] = [[[1, 2], [0, 1], [3, -1]], [[1, -1, 2]]]
    fitted = lv.Problem(weights, lv.Gaussian([[7, -1]]), "1/10", 4, weight_decay="1/3")
    assert fixed(fitted) == [True, True, False, False]
    first, second = (Steps(fitted)[s] for s in (0, 1))
    assert isinstance(first, FixedStep) and isinstance(second, FixedStep)
    shrunk = 1 - lv.Rational(1, 30)
    assert [e for m in second.weights for row in m for e in row] == [
        e * shrunk for m in weights for row in m for e in row
    ]
    missed = fitted.replace(law=lv.Gaussian([[7, -2]]))
    assert fixed(missed) == [True, False, False, False]
    assert fixed(missed.replace(learning_rate=[0, 0, "1/10", "1/10"]))[2:] == [True, False]
