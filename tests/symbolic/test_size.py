"""The predicted size: exact where it says so, a refusal before anything starts."""

from __future__ import annotations

import time

import pytest

from linvar.errors import DerivationTooLargeError
from linvar.laws.dataset import Dataset
from linvar.laws.gaussian import Gaussian
from linvar.problem import Problem
from linvar.symbolic.answers import gradient_variance
from linvar.symbolic.models.registry import exact_model
from linvar.symbolic.plan import choose
from linvar.symbolic.roads.expansion import size
from linvar.symbolic.roads.expansion.integrator import Expanded, ExpandedAt
from linvar.symbolic.roads.expansion.road import Expansion
from linvar.symbolic.sgd.steps import Steps


def expanded(problem: Problem) -> int:
    """Monomials of the largest form really expanded."""
    road = ExpandedAt(Expanded(Steps(problem)), problem.step)
    here = exact_model(problem).at(road.expanded.state(problem.step).weights, road.expanded.ring)
    return len(sum(here.second_moments(), road.expanded.ring.zero))


GENERIC = {
    "1-1-1, t=3": Problem([[[2]], [[3]]], Gaussian([[5]]), "1/7", 3),
    "1-1-1-1, t=2": Problem([[[2]], [[3]], [[-5]]], Gaussian([[7]]), "1/7", 2),
    "2-2-2, t=1": Problem([[[2, 3], [-5, 7]], [[1, -4], [6, 5]]], Gaussian([[3, 1], [4, -2]]), "1/7", 1),
    "3-2-1, t=1": Problem([[[2, 3, 1], [-5, 7, 4]], [[1, -4]]], Gaussian([[3, 1, -2]]), "1/7", 1),
    "2-2-1, t=1, data": Problem(
        [[[2, 3], [-5, 7]], [[1, -4]]], Dataset([[1, 2], [3, -1], [2, 5]], [1, 4, 2]), "1/7", 1
    ),
    "1-1-1, t=3, noise": Problem([[[2]], [[3]]], Gaussian([[5]], noise_variance=2), "1/7", 3),
    "1-2-1, t=2, noise and mean": Problem(
        [[[2], [3]], [[1, -4]]], Gaussian([[5]], mean=[1], noise_variance=2), "1/7", 2
    ),
    "1-1-1-1, t=2, noise": Problem([[[2]], [[3]], [[-5]]], Gaussian([[7]], noise_variance=2), "1/7", 2),
    "1-1-1, t=2, data": Problem([[[2]], [[3]]], Dataset([[1], [2], [4], [7], [3]], [1, 4, 2, 3, 8]), "1/7", 2),
    "2-2-2, t=3, rank 1": Problem(
        [[[2, 3], [-5, 7]], [[1, -4], [6, 5]]], Gaussian([[3, 1], [4, -2]], covariance=[[1, 2], [2, 4]]), "1/7", 3
    ),
    "2-2-2-2, t=1, noise": Problem(
        [[[2, 3], [-5, 7]], [[1, -4], [6, 5]], [[3, 2], [-1, 4]]],
        Gaussian([[3, 1], [4, -2]], noise_variance=2),
        "1/7",
        1,
    ),
}


@pytest.mark.parametrize("name", GENERIC)
def test_monomials_are_exact_for_generic_weights(name: str) -> None:
    predicted = size.predict(Steps(GENERIC[name]))
    assert predicted.complete
    assert predicted.monomials == expanded(GENERIC[name])


def test_monomials_are_a_bound_for_special_weights() -> None:
    problem = Problem([[[1, 0], [1, 1]], [[1, 1], [0, 1]]], Gaussian([[1, 0], [0, 2]]), "1/10", 1)
    assert expanded(problem) < size.predict(Steps(problem)).monomials == 84
    rows = Dataset([[1, 2], [3, -1], [2, 5]], [1, 4, 2])  # constants are mixed with what varies
    few = Problem([[[2, 3], [-5, 7]], [[1, -4]]], rows, "1/7", 2)
    assert 5300 < expanded(few) <= size.predict(Steps(few)).monomials == 5320


def test_too_large_is_refused_at_once_with_the_size_and_the_cure() -> None:
    problem = Problem([[[1, 0], [1, 1]], [[1, 1], [0, 1]]], Gaussian([[1, 0], [0, 2]]), "1/10", 5)
    start = time.perf_counter()
    with pytest.raises(DerivationTooLargeError, match=r"monomials.*limit of.*fewer steps \(step=5\)"):
        gradient_variance(problem)
    assert time.perf_counter() - start < 5, "refused only after work had begun"


@pytest.mark.parametrize("step, depth", [(30, 2), (1000, 2), (10**9, 2), (30, 3), (10**9, 3), (10**6, 1), (10**9, 1)])
def test_absurd_steps_are_refused_not_counted(step: int, depth: int) -> None:
    problem = Problem([[[2]]] * depth, Gaussian([[1]]), "1/10", step)
    with pytest.raises(DerivationTooLargeError):
        choose(Steps(problem))


def test_memory_limit_is_respected() -> None:
    problem = GENERIC["2-2-2, t=1"]
    need = size.predict(Steps(problem)).bytes
    assert choose(Steps(problem), Expansion(), need)[1].bytes == need
    with pytest.raises(DerivationTooLargeError, match="memory_limit"):
        choose(Steps(problem), Expansion(), need - 1)


def test_weights_that_never_move_cost_nothing() -> None:
    """A perfect fit and all zero weights have no variables, whatever the step."""
    identity, zero = [[1, 0], [0, 1]], [[0, 0], [0, 0]]
    for weights in ([identity, identity], [zero, zero]):
        problem = Problem(weights, Gaussian(identity), "1/10", 6)
        assert size.predict(Steps(problem)).monomials == 1
        assert gradient_variance(problem) == 0
