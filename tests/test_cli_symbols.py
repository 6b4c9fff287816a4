"""The command line: problems with symbols."""

from __future__ import annotations

import json

import pytest
import sympy
from command_line import bad, good, no_lines_of_progress  # noqa: F401

import linvar as lv
from linvar.cli.shipped import load_example
from linvar.plain_data import expression_text
from linvar.problem_file import problem_from_dict


def test_derive_prints_a_polynomial_with_symbols(capsys):
    problem = load_example("symbols")
    variance = lv.gradient_variance(problem)
    data = json.loads(good(capsys, "derive", "symbols", "--json"))
    assert data["coefficients"] == [expression_text(value) for value in variance.coefficients]
    assert (data["symbols"], data["degree"], data["decreasing_from"]) == (["a", "c", "rate"], 2, None)
    assert problem_from_dict(data["problem"]) == problem
    out = good(capsys, "derive", "symbols")
    assert repr(variance) in out and "in the symbols a, c, rate" in out and "about" not in out
    assert f"coefficient of 1/b^1 = {data['coefficients'][1]}\n" in good(capsys, "derive", "symbols", "--full")
    assert good(capsys, "derive", "symbols", "--latex") == f"{variance.latex()}\n"


def test_first_coefficients_and_several_steps_with_symbols(capsys):
    data = json.loads(good(capsys, "derive", "symbols", "--order", "1", "--json"))
    first = lv.large_batch(load_example("symbols"), 1).variance.coefficients
    assert data["coefficients"] == [expression_text(value) for value in first] and data["symbols"] == ["a", "c", "rate"]
    assert "coefficient of 1/b^k" in good(capsys, "derive", "symbols", "--order", "1")
    steps = json.loads(good(capsys, "derive", "symbols", "--steps", "0,1", "--learning-rate", "1/3", "--json"))
    assert steps[0]["coefficients"] == ["0", "2*a**2 - 4*a*c + 2*c**2"] and steps[1]["symbols"] == ["a", "c"]


@pytest.mark.parametrize("command", [["verify"], ["plot", "-o", "p.png"], ["plot", "-o", "p.png", "--verify"]])
def test_what_needs_numbers_refuses_symbols(capsys, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    line = bad(capsys, *command, "symbols")
    assert "FILE has the symbols a, c, rate: write numbers in their place; derive takes symbols" in line
    assert "--problem contains the symbols a, c, rate: put numbers in their place" in bad(
        capsys, "search", "--problem", "symbols"
    )
    assert not list(tmp_path.iterdir())


def test_a_symbol_b_is_not_the_batch_size_of_the_headers(capsys, tmp_path):
    problem = lv.Problem([[[sympy.Symbol("b")]]], lv.Gaussian([[sympy.Symbol("u")]]), "1/10", 1)
    path = str(tmp_path / "b.json")
    problem.save(path)
    for options in ([], ["--full"], ["--order", "1"], ["--order", "1", "--full"], ["--steps", "0,1"]):
        out = good(capsys, "derive", path, *options)
        assert "1/b" not in out and "coefficient of 1/(batch size)^" in out and "u_ = 1/(batch size)" in out
    exact, first = lv.derive(problem), lv.large_batch(problem, 1)
    exact.variance, first.variance  # noqa: B018  what was found is shown
    for found in (exact.variance, first.variance, exact, first):
        text = str(found.to_table())
        assert "1/(batch size)" in text and "u = 1/b" not in text and "power of 1/b" not in text and "O(1/b" not in text
