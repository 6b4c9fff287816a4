"""The command line: on narrow and wide terminals, and where nobody watches."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import typer.main
from command_line import good, no_lines_of_progress  # noqa: F401

import linvar as lv
from linvar.cli import layout
from linvar.cli.app import app
from linvar.cli.commands import simulations
from linvar.cli.shipped import load_example

COMMANDS = sorted(typer.main.get_command(app).commands)
OUTPUTS = [
    ["derive", "two-layer"],
    ["derive", "small-dataset", "--quantity", "loss"],
    ["derive", "two-layer", "--order", "1"],
    ["derive", "two-layer", "--order", "1", "--digits", "9"],
    ["derive", "noisy-regression", "--steps", "0,1"],
    ["example"],
    ["experiment", "--list"],
    ["formula", "--step", "0", "--covariance", "general"],
    ["formula", "--step", "0", "--isotropic"],
]


def words(text):
    """All words of a text, its rules left out."""
    return [word for word in text.split() if not re.fullmatch("-+", word)]


def too_long(text, width):
    """Lines beyond the width that could have been broken."""
    return [line for line in text.splitlines() if len(line) > width and len(line.split()) > 1]


@pytest.mark.parametrize(
    "command", [[], *([name] for name in COMMANDS)], ids=lambda command: " ".join(command) or "linvar"
)
def test_help_fits_the_terminal(capsys, monkeypatch, command):
    texts = {}
    for width in (50, 80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        texts[width] = good(capsys, *command, "--help")
        assert not too_long(texts[width], min(width, 80)) and "\u2026" not in texts[width]
    assert words(texts[50]) == words(texts[80]) == words(texts[200])


@pytest.mark.parametrize("command", OUTPUTS, ids=" ".join)
def test_output_fits_the_terminal_and_words_stay_whole(capsys, monkeypatch, command):
    monkeypatch.delenv("COLUMNS", raising=False)
    free = good(capsys, *command)
    for width in (50, 80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        out = good(capsys, *command)
        assert words(out) == words(free) and not too_long(out, width) and "\u2026" not in out
        assert not any(line.endswith(" ") for line in out.splitlines())
    monkeypatch.setenv("COLUMNS", "100000")
    assert good(capsys, *command) == free


def test_long_numbers_are_cut_to_fit_and_nothing_else_is(capsys, monkeypatch, tmp_path):
    problem = lv.Problem([[[10**300 + 1]]], lv.Gaussian(teacher=[["1/3"]]))
    problem.save(tmp_path / "long.json")
    for width in (50, 80):
        monkeypatch.setenv("COLUMNS", str(width))
        out = good(capsys, "derive", str(tmp_path / "long.json"))
        rows = [line for line in out.splitlines() if re.match(r" *[0-9]+  ", line)]
        assert len(rows) == 9 and max(map(len, rows)) <= width and "..." in rows[1] and "e600" in rows[1]


def test_the_report_fits_the_terminal(capsys, monkeypatch):
    real, reports = simulations._verify, []

    def once(*arguments):
        if not reports:
            reports.append(real(*arguments))
        return reports[0]

    monkeypatch.setattr(simulations, "_verify", once)
    for width in (80, 200, 50):
        monkeypatch.setenv("COLUMNS", str(width))
        out = good(capsys, "verify", "heavy-tails", "--runs", "1024", "--batch-sizes", "1,16", status=3)
        assert "UNRESOLVED" in out and "\u2026" not in out and not too_long(out, width)
    row = reports[0].rows[0]
    assert f"quantity: variance, b: 1, exact: {float(row.exact):.5g}," in " ".join(out.split())
    assert out.count("verdict: ") == len(reports[0].rows) == 8
    summary = " ".join(str(reports[0]).splitlines()[11:])
    assert summary.startswith("UNRESOLVED: ") and " ".join(out.split()).endswith(summary)
    monkeypatch.delenv("COLUMNS")
    assert good(capsys, "verify", "heavy-tails", status=3) == f"{reports[0]}\n"


def test_a_plan_fits_the_terminal(capsys, monkeypatch):
    """As a table; on a narrow terminal a paragraph for each road, of whole words."""
    monkeypatch.delenv("COLUMNS", raising=False)
    table = lv.plan(load_example("small-dataset")).to_table({"road": "--method"})
    assert good(capsys, "plan", "small-dataset") == f"{table}\n"
    for width in (50, 80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        out = good(capsys, "plan", "small-dataset")
        assert not too_long(out, width) and "\u2026" not in out
        wanted = {word.strip(",") for row in table.rows for cell in row for word in cell.text.split()}
        assert wanted <= set(re.split(r"[\s,]+", out))


def test_a_pipe_has_no_lines_broken():
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    command = [sys.executable, "-m", "linvar", "derive", "two-layer"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    first, second, *_ = done.stdout.splitlines()
    problem = load_example("two-layer")
    assert first == repr(problem) and second == f"variance = {lv.gradient_variance(problem)!r}"


@pytest.mark.parametrize("given", ["", "0", "-5", "x", "9" * 5_000])
def test_columns_that_are_no_number_are_passed_over(monkeypatch, given):
    monkeypatch.setenv("COLUMNS", given)
    assert layout.columns() is None


def test_names_and_lines_on_a_very_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    assert layout.listed({"a-long-name": "what it is", "b": "the other one of them"}).splitlines() == [
        "a-long-name", "    what it is", "b", "    the other one of", "    them"
    ]  # fmt: skip
    assert layout.table(["b", "value"], [["1", "1/3"]], 1).splitlines() == ["b  value", "--------", "1    1/3"]
    assert layout.table(["b", "v"], [["1", "7" * 99]], 1).splitlines()[2] == "1  777777777...77777"
