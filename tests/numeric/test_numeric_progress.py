"""progress= means one thing in every function of the numeric half."""

from __future__ import annotations

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import linvar as lv
import linvar.numeric

MEANING = (
    "progress: None (a bar or, without a terminal, a line every few seconds, if the work is long), True, False, or a function "
    "(done, total)"
)
PROBLEM = lv.Problem([[[2]]], lv.Gaussian([[-1]]))


def public():
    """Functions of the numeric half, without the checks of annotations that the tests switch on."""
    found = {name: inspect.unwrap(getattr(linvar.numeric, name)) for name in linvar.numeric.__all__}
    return {name: value for name, value in found.items() if inspect.isfunction(value)}


def loss(w, x):
    return 0.5 * (w - x) ** 2


def simulated(**options):
    found = public()["simulate"](jax.random.key(0), PROBLEM, batch_sizes=[1, 2], runs=40, **options)
    return [found[b].variance.value for b in (1, 2)]


def scaled(**options):
    return [public()["noise_scale"](loss, 1.0, np.arange(40.0), **options).trace]


def followed(**options):
    return list(public()["first_order"](loss, 1.0, np.arange(4.0), 0.1, 3, **options).variance.coefficient)


WORK = {"simulate": (simulated, 80), "noise_scale": (scaled, 40), "first_order": (followed, 4)}


def test_every_function_with_progress_is_tested_here_and_says_the_same():
    takers = {name: value for name, value in public().items() if "progress" in inspect.signature(value).parameters}
    assert set(takers) == set(WORK)
    for name, function in takers.items():
        assert MEANING in " ".join(function.__doc__.split()), name
        assert inspect.signature(function).parameters["progress"].default is None


@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize("progress", [None, True, False])
def test_a_truth_value_or_none_changes_no_number(name, progress, capfd):
    work, _ = WORK[name]
    assert work(progress=progress) == work()
    out, err = capfd.readouterr()
    # where the machine is slow, None says how far it is
    assert out == "" and (progress is not False or err == "")


@pytest.mark.parametrize("name", WORK)
def test_a_function_is_told_how_far_the_work_is(name):
    work, total = WORK[name]
    seen = []
    assert work(progress=lambda done, of: seen.append((done, of))) == work()
    assert seen[-1] == (total, total) and {of for _, of in seen} == {total}
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})


@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize("wrong", ["yes", 3, [True]])
def test_anything_else_is_refused_by_name(name, wrong):
    with pytest.raises(TypeError, match="^progress=.*True, False"):
        WORK[name][0](progress=wrong)


def test_an_iterator_has_no_total():
    seen = []
    batches = iter([jnp.arange(10.0), jnp.arange(5.0)])
    public()["noise_scale"](loss, 1.0, batches, progress=lambda done, of: seen.append((done, of)))
    assert seen == [(10, None), (15, None)]
