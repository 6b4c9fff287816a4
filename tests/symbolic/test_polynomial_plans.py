"""Plans of losses that are polynomial in the weights: huge ones are refused before any work, and a scan of rows is made once."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest

import linvar as lv
from linvar.errors import DerivationTooLargeError
from linvar.flint import fmpq
from linvar.symbolic.algebra.ring import Numbers, Ring
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.models import features
from linvar.symbolic.models.features import eliminated
from linvar.symbolic.models.linear.steps import FixedStep
from linvar.symbolic.models.polynomial.model import _together
from linvar.symbolic.models.polynomial.values import Values
from linvar.symbolic.sgd.steps import Steps
from linvar.testing import coordinates


@pytest.mark.parametrize("step", [1, 2])
def test_huge_losses_are_refused(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> Any:
        raise AssertionError("moments of second order of a derivation that is refused")

    w = [[Fraction(i + 2 * j + 1, 2 + (i + j) % 3) for j in range(5)] for i in range(5)]
    weights = {"W": w, "a": [1, 2, -1, 3, "1/2"]}
    problem = lv.Problem(weights, lv.Gaussian([[1, 0, 2, "1/2", -1]]), "1/10", step, loss=lv.families.quadratic)
    monkeypatch.setattr(ExactLaw, "checked_moments", lambda self, found, order, ring: (
        refuse() if order > 1 else self.moments(found, order, ring)))  # fmt: skip
    with pytest.raises(DerivationTooLargeError):
        lv.gradient_variance(problem)


@pytest.mark.parametrize("equal", [False, True], ids=["a constant", "two equal inputs"])
def test_the_first_step_needs_no_scan_of_its_own(equal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = random.Random(7)
    rows = [[draws.randint(-5, 5) for _ in range(3)] for _ in range(200)]
    inputs = [[*row, row[0] if equal else 1] for row in rows]
    weights = [[[1, "1/2", -1, 2], ["1/3", 1, 1, -1]], [[1, -2], ["1/2", 1], [3, 0]]]
    problem = lv.Problem(weights, lv.Dataset(inputs, [row[::-1] for row in rows]), "1/10", 1)
    steps = Steps(problem)
    first = steps[0]
    assert isinstance(first, FixedStep)
    alone = eliminated(steps.law, first._functionals)
    scans: list[int] = []
    real = features._missed
    monkeypatch.setattr(features, "_missed", lambda relations, block: scans.append(1) or real(relations, block))
    other = Steps(problem)
    assert other[0].count() == alone.rank
    assert other.model.moving.count() >= alone.rank > 0
    assert len(scans) <= 1
    found = other[0]._elimination  # type: ignore[attr-defined]
    assert (found.features, found.mixed) == (alone.features, alone.mixed)


def test_equal_directions_are_taken_together() -> None:
    """By elimination where the sums that are looked at first say that some may depend on others."""
    ring = Ring(2)
    u, v = ring.gens
    x, y, z = coordinates(3)
    together, directions = _together([x, y, z], [u * v, u**2, u * v * 2 - u**2 + 5], 2)
    assert (together, directions) == ([x + 2 * z, y - z], [u * v, u**2])
    kept = [u * v + u, u**2 - fmpq(1, 3) * u, u * v]
    assert _together([x, y, z], kept, 2) == ([x, y, z], kept)


def test_values_of_polynomials() -> None:
    ring = Ring(3)
    u, v, s = ring.gens
    given = [u**5 * v - u * v * s + 2, ring.zero, s**2 * fmpq(1, 3) - v**7]
    point = [[[lv.Rational(1, 2)], [lv.Rational(-3)]]]
    found = Values(point, [lv.Rational(2, 5)], Numbers).of(given)
    numbers = (Fraction(1, 2), Fraction(-3), Fraction(2, 5))
    a, b, c = numbers
    assert found == [a**5 * b - a * b * c + 2, 0, c**2 / 3 - b**7]


def test_monomials_are_counted_by_the_degree_in_each_batch() -> None:
    """Steps without variables keep the degree that the mean gradient gives; as in the module: N_s(D), here p - 1 = 5."""
    rows = lv.Dataset([[1, 2], [0, 1], [1, -1]], [1, 2, 0])
    model = Steps(lv.Problem({"W": [[1, "1/2"]], "a": [1]}, rows, "1/10", 2, loss=lv.families.quadratic)).model
    still = max(sum(key) for part in model.gradients[0] for key, _ in part.terms())  # type: ignore[attr-defined]
    assert model.monomials([1, 0], [True, True], 2) == 1 + 10 * still
    assert model.monomials([0, 0], [True, True], 2) == 1
    assert model.monomials([1, 1], [True, True], 1) == sum(1 + still * (5 - j) + 5 * j for j in range(6))
