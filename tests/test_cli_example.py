"""The command line: problem files to start from, and a problem on standard input."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from command_line import bad, good, no_lines_of_progress  # noqa: F401

import linvar as lv
from linvar.cli.shipped import LINES, example_names, example_text, load_example
from linvar.problem_file import problem_from_dict


@pytest.fixture
def typed(monkeypatch):
    """Text on standard input."""

    def give(text):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    return give


def test_examples_are_listed_a_line_each(capsys):
    lines = good(capsys, "example", "--list").splitlines()
    assert [line.split()[0] for line in lines] == example_names() == sorted(LINES)
    assert all(line.endswith(LINES[name]) and len(line) < 120 for name, line in zip(example_names(), lines))
    assert good(capsys, "example").splitlines() == lines
    assert json.loads(good(capsys, "example", "--json")) == LINES


@pytest.mark.parametrize("name", example_names())
def test_an_example_is_printed_as_it_is_and_read_from_standard_input(capsys, typed, name):
    text = good(capsys, "example", name)
    assert text == example_text(name)
    typed(text)
    plan = json.loads(good(capsys, "plan", "-", "--json"))
    assert problem_from_dict(plan["problem"]) == load_example(name)
    assert problem_from_dict(json.loads(good(capsys, "example", name, "--json"))) == load_example(name)


@pytest.mark.parametrize("name", ["two-layer", "three-scalar-layers"])
def test_example_to_derive(name):
    command = f"{sys.executable} -m linvar example {name} | {sys.executable} -m linvar derive - --json"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    variance = lv.gradient_variance(load_example(name))
    assert json.loads(done.stdout)["coefficients"] == [str(value) for value in variance.coefficients]


def test_commands_read_standard_input(capsys, typed, tmp_path):
    picture = tmp_path / "p.svg"
    text = example_text("noisy-regression")
    typed(text)
    assert f"Picture: {picture}" in good(capsys, "plot", "-", "-o", str(picture))
    typed("hello")
    assert "standard input: it is not TOML" in bad(capsys, "derive", "-")
    typed('{"weights": [[[0.5]]], "law": {"kind": "gaussian", "teacher": [[1]]}}')
    assert "standard input: weights[0][0][0]=0.5 is not an exact number" in bad(capsys, "derive", "-", "--step", "0")


def test_closed_standard_input_is_refused(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    assert "problem file standard input is closed" in bad(capsys, "derive", "-")


def test_an_unknown_example_is_refused(capsys):
    assert "NAME 'two' is no shipped example: give one of heavy-tails, " in bad(capsys, "example", "two").replace(
        "=", " "
    )
    assert "is given with --list: leave one of the two out" in bad(capsys, "example", "two-layer", "--list")
    assert "--list" in bad(capsys, "demo", "--list")
