"""What the recursion of an affine gradient keeps, and what a plan says of it before it starts."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from degree_two import (
    ALPHA,
    ROWS,
    Q,
    layers,
    of_case,
    problem_of,
    quadratic,
    squares,
)

import linvar as lv
from linvar.errors import DerivationTooLargeError, InputError
from linvar.flint import fmpz
from linvar.progress import say_nothing
from linvar.symbolic.models.registry import exact_model
from linvar.symbolic.plan import choose
from linvar.symbolic.roads.regression import closed
from linvar.symbolic.roads.regression.arithmetic import Packed
from linvar.symbolic.sgd.batch_moments import answer_ring
from linvar.symbolic.sgd.questions import Products
from linvar.symbolic.sgd.steps import Steps

# long integers


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_digits_of_a_packed_polynomial(count: int) -> None:
    arithmetic = Packed(answer_ring(()), answer_ring(()).gens[0])
    arithmetic.bits = 64
    most = 2**63 - 1
    for values in product((-most, -1, 0, 1, most), repeat=min(count, 3)):
        wanted = [*values, *[most] * (count - 3)]
        packed = sum(value * 2 ** (64 * k) for k, value in enumerate(wanted))
        found = arithmetic.digits(fmpz(packed))
        assert found[: len(wanted)] == wanted[: len(found)] and not any(wanted[len(found) :] + found[len(wanted) :])


@pytest.mark.parametrize("name", ["quadratic features", "momentum, decay", "indefinite", "two outputs, a bias each"])
def test_digits_are_long_enough_and_not_much_longer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand bits more give the same answer; half of them another."""
    problem, reserve = of_case(name, 0).replace(step=30), Packed.reserve

    def with_bits(change: Callable[[int], int]) -> Any:
        def changed(self: Packed, *arguments: Any) -> None:
            reserve(self, *arguments)
            self.bits = change(self.bits)

        monkeypatch.setattr(Packed, "reserve", changed)
        (integrator,) = lv.Regression().integrators(Steps(problem), [30])
        return integrator.expectations(Products(), say_nothing)

    right = with_bits(lambda bits: bits)
    assert with_bits(lambda bits: bits + 1024) == right
    assert with_bits(lambda bits: bits // 128 * 64) != right


# plans


def test_what_closes_is_planned_and_taken() -> None:
    problem = of_case("quadratic features", 0).replace(step=50)
    plan = lv.plan(problem)
    assert plan.choice is not None and plan.choice.road == "regression"
    assert plan["regression"].size == "510 coefficients", "ten pairs of four weights, 51 coefficients each"
    assert choose(Steps(problem))[0] == lv.Regression() == lv.derive(problem).road
    for road in ("expansion", "lattice"):
        assert lv.plan(problem.replace(step=1))[road].obstacle != "one layer has a road of its own"
    deep = problem_of(lambda w, x, y: squares(w[0, 0] ** 2 * x[0] - y), [[[1]]], ROWS)
    assert "it is for losses of degree 2 at most in the weights" in str(lv.plan(cubic()))
    assert exact_model(cubic()).closure.obstacle is not None and deep.degree == 4
    with pytest.raises(InputError, match="does not apply: it is for losses of degree 2 at most"):
        lv.derive(cubic(), lv.Regression())
    with pytest.raises(InputError, match="does not apply: it is for losses of degree 2 at most"):
        lv.Regression().integrators(Steps(cubic()), [1])
    with pytest.raises(InputError, match="does not apply: it is for one layer"):
        lv.derive(lv.Problem([[[1]], [[1]]], lv.Gaussian([[1]])), lv.Regression())


def cubic() -> lv.Problem:
    return problem_of(lambda w, x, y: w[0, 0] ** 3 * x[0], [[[1]]], ROWS, "1/5", 1)


def test_the_degree_is_that_of_the_loss_and_not_what_is_said_of_it() -> None:
    problem = problem_of(
        lambda w, x, y: squares(w @ x - y) + w[0, 0] ** 3 - w[0, 0] ** 3, [[[1, "1/2"]]], ROWS, "1/5", 3
    )
    assert problem.degree == 3 and lv.derive(problem).road == lv.Regression()
    assert lv.gradient_variance(problem) == lv.gradient_variance(lv.Problem([[[1, "1/2"]]], ROWS, "1/5", 3))


@pytest.mark.parametrize("step", [10**5, 10**18, 10**5000], ids=["many", "more", "endless"])
def test_too_many_steps_are_refused_at_once(step: int) -> None:
    start = time.perf_counter()
    with pytest.raises(DerivationTooLargeError, match="regression: "):
        lv.gradient_variance(of_case("quadratic features", 0).replace(step=step))
    assert time.perf_counter() - start < 20


def test_many_weights_are_refused_at_once() -> None:
    """A table of 26 million entries."""
    law = lv.Dataset([[i % 7 for i in range(100)], [i % 5 for i in range(100)]], [1, 2])
    start = time.perf_counter()
    found = lv.plan(problem_of(layers, [[[1] * 100]], law, "1/9", 3), lv.Regression())["regression"]
    assert not found.is_open or found.seconds > 100
    assert found.bytes > 10**9 and time.perf_counter() - start < 30


@pytest.mark.parametrize("name", ["quadratic features", "momentum, decay", "two outputs, a bias each", "a bias", "L2"])
def test_sizes_are_not_below_what_comes(name: str) -> None:
    """The coefficients, and their bits within a factor of three."""
    problem = of_case(name, 0).replace(step=40)
    steps = Steps(problem)
    (integrator,) = lv.Regression().integrators(steps, [40])
    moments = integrator.recursion.moments[40]
    work = closed.work(steps.model.closure, steps)
    digits = [integrator.recursion.arithmetic.digits(value) for value in moments.covariance.values()]
    assert sum(len(one) - 1 for one in digits) <= work.monomials + len(digits)
    bits = max(value.bit_length() for one in digits for value in one)
    predicted = work.bytes["bytes_word"] / integrator.recursion.size**2 / 40 * 64
    assert bits <= integrator.recursion.arithmetic.bits <= bits * 1.6 + 64
    assert bits / 3 <= predicted <= 3 * bits


def test_moments_that_do_not_exist_are_refused() -> None:
    """Student's t with five degrees of freedom has moments up to degree 4: enough for x, not for x^2 as a feature."""
    law = lv.ScaleMixture(lv.Gaussian([[1, 0]]), degrees_of_freedom=5)
    linear = problem_of(layers, [[[2, 1]]], law, "1/9", 3)
    assert lv.gradient_variance(linear) == lv.gradient_variance(linear.replace(model=None))
    with pytest.raises(InputError, match="law"):
        lv.gradient_variance(problem_of(quadratic, Q, law, "1/9", 3))


def test_work_of_an_affine_gradient_by_hand() -> None:
    """Two weights, h = (f f^T, -y f) of f = (1, x): five entries, that of (0, 0) a constant, so four features."""
    law = lv.Dataset([[1], [2], [4]], [1, 0, 5])
    problem = problem_of(lambda w, x, y: squares(w[:, 0] + w[:, 1] * x[0] - y), [[[1, 2]]], law, "1/8", 10)
    steps = Steps(problem)
    found = closed.work(steps.model.closure, steps)
    assert found.monomials == 3 * 11
    assert found.bytes["bytes_pair"] == 10 and found.seconds["seconds_pair_value"] == 10 * 3, "pairs, at three rows"
    assert found.bytes["bytes_table"] == 3 * 6, "pairs of weights, pairs of (w, 1)"
    # (0, 1) and (1, 0), (1, 1), and the two of the gradient at w = 0: five entries vary
    words = found.bytes["bytes_word"] / 4
    assert found.seconds["seconds_word"] == (2 * 8 + (25 + 3) // 4) * 10 * words // 2
    momentum = Steps(problem.replace(momentum="1/2"))
    assert closed.work(momentum.model.closure, momentum).monomials == 10 * 11
    alpha = Steps(problem.replace(learning_rate=ALPHA))
    work = closed.work(alpha.model.closure, alpha)
    assert work.bytes["bytes_coefficient"] == 3 * 11 * 21, "of degree 20 in the rate"
    assert work.seconds["seconds_symbol_product"] == (2 * 8 + 7) * 50 * 21
