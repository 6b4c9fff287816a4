"""Searches among linear networks with one normal input and one output: variances against exact ones, and a find."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
import pytest

import linvar as lv
from linvar.problem_file import problem_from_dict
from linvar.search import sought
from linvar.search.one_input import MOST, every_node
from linvar.search.rounds import Ascents, Clock
from linvar.search.template import Template
from linvar.search.trials import Trials

CERTIFICATES = Path(__file__).parents[1] / "proofs" / "certificates"
WEIGHTS = [[["1/2"]], [["3/2"]]]
PLAIN = lv.Problem(WEIGHTS, lv.Gaussian([["1/4"]]), "1/2", 2)
NOISY = lv.Gaussian([["1/4"]], covariance=[["5/4"]], noise_variance="1/3")
HIDDEN = lv.Problem([[["1/2"], [1]], [["3/2", "-1/3"], [1, 2]], [[1, -1]]], NOISY, "1/5", 1, weight_decay="1/7")
PROBLEMS = {
    "momentum, decay": PLAIN.replace(law=NOISY, momentum="1/3", weight_decay="1/7"),
    "Nesterov, a schedule": PLAIN.replace(learning_rate=["1/2", "1/3"], momentum="1/3", nesterov=True),
    "hidden units, noise, decay": HIDDEN,
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_gauss_nodes_have_the_exact_variance(name: str) -> None:
    """1e-10: sums of positive terms in float64; a polynomial with a coefficient times 1.5 is seen."""
    problem = PROBLEMS[name]
    template, exact = Template.of(problem), lv.gradient_variance(problem)
    with jax.enable_x64(True):
        landscape = every_node(problem.law, template, 1, 300)
        assert landscape is not None and landscape.cost <= MOST
        found = np.exp(np.array(landscape.log_variance(template.point)))
    sizes = [int(b) for b in landscape.batch_sizes]
    assert (sizes[0], sizes[-1]) == (1, 300)
    assert found == pytest.approx(np.array([float(exact(b)) for b in sizes]), rel=1e-10)
    changed = [value * (Fraction(3, 2) if k == 1 else 1) for k, value in enumerate(exact.coefficients)]
    wrong = [float(Fraction(lv.BatchPolynomial(changed)(b))) for b in sizes]
    assert found != pytest.approx(np.array(wrong), rel=1e-10)


@pytest.mark.parametrize(
    "problem",
    [
        PLAIN.replace(law=lv.Gaussian([["1/4"]], mean=[1])),
        lv.Problem([[[1, 2]], [[1]]], lv.Gaussian([[1, 0]]), "1/2", 1),
        lv.Problem([[[1]], [[1], [2]]], lv.Gaussian([[1], [0]]), "1/2", 1),
        lv.Problem([([[1]], [0]), ([[1]], [1])], lv.Gaussian([[2]]), "1/2", 1, bias=True),
        PLAIN.replace(step=1, law=lv.Dataset([[k] for k in range(200)], [0] * 200)),
        PLAIN.replace(law=NOISY, step=3),
    ],
    ids=["a mean", "two inputs", "two outputs", "biases", "rows", "too many nodes"],
)
def test_others_are_tried_exactly(problem: lv.Problem) -> None:
    template = Template.of(problem)
    assert every_node(problem.law, template, 1, 400) is None
    assert isinstance(sought.Varied(template, (1, 400)).search(Clock(1.0, lambda done, total: None)), Trials)


def test_the_point_of_a_template_is_its_problem() -> None:
    """It ascends before any other; a rate of 0, which has no logarithm, is 1 there."""
    exact = HIDDEN.replace(weights=[[["1/2"], [1]], [["3/2", "-1/4"], [1, 2]], [[1, -1]]], law=lv.Gaussian([[3]]))
    for problem in (exact, PLAIN.replace(learning_rate=["1/2", "1/4"], momentum="1/3", nesterov=True)):
        template = Template.of(problem)
        assert template.rounded(template.point, 6) == problem
    assert Template.of(PLAIN.replace(learning_rate=0)).point.tolist() == [0.5, 1.5, 0.0, 0.25]
    with jax.enable_x64(True):
        search = sought.Varied(Template.of(HIDDEN), (1, 40)).search(Clock(1.0, lambda done, total: None))
    assert isinstance(search, Ascents) and (search._near == Template.of(HIDDEN).point).all()


@pytest.mark.slow
def test_a_rise_is_followed_into_weight_decay() -> None:
    """Seven layers that rise: no more with a little weight decay, but near there."""
    text = (CERTIFICATES / "seven-layers-one-step.json").read_text(encoding="utf-8")
    start = problem_from_dict(json.loads(text)["problem"]).replace(weight_decay="1/20")
    assert lv.gradient_variance(start).decreasing_from() == 1
    found = lv.search_nonmonotone(start, batch_sizes=(20, 400), seconds=60, progress=False)
    assert found.problem is not None and found.variance == lv.gradient_variance(found.problem)
    assert found.problem.weight_decay == start.weight_decay and found.starts == 0
