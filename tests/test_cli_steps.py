"""The command line: the step and the learning rate in place of the file's, and several steps in one sweep."""

from __future__ import annotations

import json

import pytest
from command_line import bad, good, no_lines_of_progress  # noqa: F401

import linvar as lv
from linvar.cli.arguments import parse_steps
from linvar.cli.commands import simulations
from linvar.cli.shipped import load_example
from linvar.problem_file import problem_from_dict


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        (["--step", "0"], {"step": 0}),
        (["--learning-rate", "-2/6"], {"learning_rate": "-1/3"}),
        (["--step", "2", "--learning-rate", "3"], {"step": 2, "learning_rate": 3}),
    ],
)
def test_step_and_learning_rate_replace_those_of_the_file(capsys, options, changes):
    problem = load_example("three-scalar-layers").replace(**changes)
    data = json.loads(good(capsys, "derive", "three-scalar-layers", "--json", "--order", "2", *options))
    assert problem_from_dict(data["problem"]) == problem
    assert data["coefficients"] == [str(one) for one in lv.large_batch(problem, 2).variance.coefficients]
    plan = json.loads(good(capsys, "plan", "three-scalar-layers", "--json", *options))
    assert problem_from_dict(plan["problem"]) == problem


def test_verify_and_plot_take_them_too(capsys, monkeypatch, tmp_path):
    seen = []

    class Stop(lv.InputError):
        """Where the work would start."""

    def stop(problem, *_arguments):
        seen.append(problem)
        raise Stop("seed", 0, "stop here")

    monkeypatch.setattr(simulations, "_verify", stop)
    for command in (["verify"], ["plot", "-o", str(tmp_path / "p.png"), "--verify"]):
        assert "stop here" in bad(capsys, *command, "two-layer", "--step", "0", "--learning-rate", "1/7")
    assert seen == [load_example("two-layer").replace(step=0, learning_rate="1/7")] * 2


def test_a_schedule_is_cut_and_not_prolonged(capsys):
    shorter = json.loads(good(capsys, "derive", "noisy-regression", "--step", "1", "--json"))
    assert shorter["problem"]["learning_rate"] == ["1/5"] and shorter["problem"]["step"] == 1
    line = bad(capsys, "derive", "noisy-regression", "--step", "3")
    assert "--step 3 is beyond the 2 learning rates of the file: give --learning-rate too" in line
    longer = json.loads(good(capsys, "derive", "noisy-regression", "--step", "3", "--learning-rate", "1/5", "--json"))
    assert longer["problem"]["learning_rate"] == "1/5" and longer["problem"]["step"] == 3
    line = bad(capsys, "derive", "noisy-regression", "--steps", "0..5")
    assert "--steps '0..5' goes beyond the 2 learning rates of the file" in line


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("0.1", "--learning-rate 0.1 is not an exact number: write 1/10"),
        ("-.25", "--learning-rate -.25 is not an exact number: write -1/4"),
        ("1e-3", "--learning-rate 1e-3 is not an exact number: write 1/1000"),
        ("1e-999999999", "--learning-rate '1e-999999999' is not an exact number: write an integer"),
        ("1/0", "--learning-rate '1/0' has denominator 0"),
        ("a", "--learning-rate 'a' is not an exact number"),
        ("", "--learning-rate '' is not an exact number"),
    ],
)
def test_a_learning_rate_is_exact(capsys, typed, message):
    assert message in bad(capsys, "derive", "two-layer", f"--learning-rate={typed}")


def test_several_steps_are_one_polynomial_each(capsys):
    problem = load_example("two-layer")
    answers = json.loads(good(capsys, "derive", "two-layer", "--steps", "1,0", "--json", "--quantity", "loss"))
    for t, answer in zip((1, 0), answers, strict=True):
        expected = lv.expected_loss(problem.replace(step=t))
        assert answer["step"] == answer["problem"]["step"] == t and answer["quantity"] == "loss"
        assert answer["coefficients"] == [str(value) for value in expected.coefficients]
    out = good(capsys, "derive", "two-layer", "--steps", "0..1")
    for t in (0, 1):
        assert repr(lv.gradient_variance(problem.replace(step=t))) in out and f"step={t}" in out
    firsts = json.loads(good(capsys, "derive", "two-layer", "--steps", "0..2", "--order", "1", "--json"))
    assert [first["step"] for first in firsts] == [0, 1, 2] and firsts[1]["coefficients"][1] == "2384003/125000"


def test_one_of_several_steps_is_a_list_too(capsys):
    (answer,) = json.loads(good(capsys, "derive", "two-layer", "--steps", "1", "--json"))
    alone = json.loads(good(capsys, "derive", "two-layer", "--step", "1", "--json"))
    assert answer == {"step": 1, **alone}


def test_plot_of_several_steps_is_one_picture(capsys, tmp_path, monkeypatch):
    path = tmp_path / "steps.svg"
    monkeypatch.setitem(__import__("matplotlib").rcParams, "svg.fonttype", "none")
    assert good(capsys, "plot", "two-layer", "-o", str(path), "--steps", "0,1") == f"Picture: {path}\n"
    assert all(f"t = {t}" in path.read_text() for t in (0, 1))


def test_numbers_of_steps():
    assert parse_steps("3, 1,1..2") == (3, 1, 2) and parse_steps("0") == (0,) and parse_steps("4..4") == (4,)


@pytest.mark.parametrize("text", ["", "-1", "1,", "2..1", "0...3", "1.5", "x", "10001", "0..99999999999999999999", "²"])
def test_what_is_no_number_of_steps_is_refused(capsys, text):
    assert "from 0 to 10000, like 0,1,2 or 0..4" in bad(capsys, "derive", "two-layer", f"--steps={text}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["derive", "--steps", "0,1", "--step", "1"], "--steps '0,1' is given with --step: leave one of the two out"),
        (["derive", "--steps", "0", "-o", "p.json"], "-o 'p.json' with --steps, where a file holds one polynomial"),
        (["derive", "--steps", "0,1", "--checkpoint", "c"], "--checkpoint 'c' with several steps, where a file holds"),
        (
            ["plot", "--steps", "0,1", "-o", "p.png", "--verify"],
            "--steps '0,1' is given with --verify: give one --step",
        ),
        (["plot", "--steps", "0..8", "-o", "p.png"], "--steps is 9 steps, more than the 8 that a picture shows"),
        (["derive", "--step", "-1"], "--step -1 is out of range"),
        (
            ["verify", "--step", "10001"],
            "--step 10001 is out of range: give the number of updates, an integer from 0 to",
        ),
        (
            ["plan", "--step", "1.5"],
            "linvar: --step '1.5' is no integer: give the number of updates, an integer >= 0\n",
        ),
    ],
)
def test_steps_that_do_not_go_together_are_refused(capsys, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    assert message in bad(capsys, *options, "two-layer")
    assert not list(tmp_path.iterdir())


def test_a_step_too_many_is_said_as_typed(capsys):
    line = bad(capsys, "derive", "two-layer", "--steps", "1,9999")
    assert "fewer steps (--step 9999)" in line
