"""The command line: LaTeX, and all digits of long numbers."""

from __future__ import annotations

import pytest
from command_line import bad, good, no_lines_of_progress  # noqa: F401

import linvar as lv
from linvar.cli.shipped import load_example


@pytest.fixture
def long_problem(tmp_path):
    """A problem whose coefficients have more digits than CPython prints, and its path."""
    problem = lv.Problem([[[10**4_500 + 7]]], lv.Gaussian(teacher=[["1/3"]]), "1/10", 1)
    problem.save(tmp_path / "long.json")
    return problem, str(tmp_path / "long.json")


def test_latex_is_printed_and_nothing_else(capsys, tmp_path):
    problem = load_example("two-layer")
    variance = lv.gradient_variance(problem)
    path = tmp_path / "variance.json"
    assert good(capsys, "derive", "two-layer", "--latex", "-o", str(path)) == f"{variance.latex()}\n"
    assert lv.load_polynomial(path) == variance
    expected = lv.large_batch(problem, 1).variance.latex()
    assert good(capsys, "derive", "two-layer", "--latex", "--order", "1") == f"{expected}\n"
    enclosed = good(capsys, "derive", "two-layer", "--latex", "--order", "1", "--digits", "8")
    assert enclosed.startswith(r"\left(19.072024 \pm ") and enclosed.endswith(r"O\left(\frac{1}{b^{2}}\right)" + "\n")
    steps = [lv.gradient_variance(problem.replace(step=t)).latex() for t in (0, 1)]
    assert good(capsys, "derive", "two-layer", "--latex", "--steps", "0,1").splitlines() == steps


def test_latex_has_all_digits(capsys, long_problem):
    problem, path = long_problem
    out = good(capsys, "derive", path, "--latex")
    assert out == f"{lv.gradient_variance(problem).latex()}\n" and len(out) > 9_000 and "ldots" not in out


def test_full_prints_all_digits_each_on_a_line(capsys, long_problem):
    problem, path = long_problem
    variance = lv.gradient_variance(problem)
    lines = good(capsys, "derive", path, "--full").splitlines()
    for k, value in enumerate(variance.coefficients):
        assert f"coefficient of 1/b^{k} = {value}" in lines
    for b in (1, 2, 64):
        assert f"variance at b = {b} = {variance(b)}" in lines
    assert f"strictly decreasing in b from b = {variance.decreasing_from()} on" in lines[-1]


def test_full_without_replacement_ends_with_the_whole_data_set(capsys):
    variance = lv.gradient_variance(load_example("small-dataset"))
    lines = good(capsys, "derive", "small-dataset", "--full").splitlines()
    assert f"variance at b = 4 = {variance(4)}" in lines and f"variance at b = 6 = {variance(6)}" in lines
    assert not any("b = 8" in line for line in lines)


def test_full_of_first_coefficients_and_of_enclosures(capsys, long_problem):
    problem, path = long_problem
    first = lv.large_batch(problem, 1).variance.coefficients[1]
    assert f"coefficient of 1/b^1 = {first}" in good(capsys, "derive", path, "--order", "1", "--full").splitlines()
    enclosures = ("derive", "two-layer", "--order", "1", "--digits", "200")
    assert "characters)" in good(capsys, *enclosures)
    out = good(capsys, *enclosures, "--full")
    ball = next(line for line in out.splitlines() if line.startswith("coefficient of 1/b^1 = ["))
    assert len(ball) > 200 and "characters)" not in out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--latex", "--json"], "--latex is given with --json: leave one of the two out"),
        (["--full", "--json"], "--full is given with --json, which prints all digits: leave --full out"),
        (["--latex", "--full"], "--full is given with --latex, which prints all digits: leave --full out"),
    ],
)
def test_ways_of_printing_exclude_each_other(capsys, options, message):
    assert message in bad(capsys, "derive", "two-layer", *options)


@pytest.mark.parametrize("weight", [10**400, "1/" + "1" + "0" * 400])
def test_first_coefficients_of_numbers_that_no_float_holds(weight):
    problem = lv.Problem([[[weight, 1]]], lv.Gaussian(teacher=[["1/3", 0]]), "1/10", 1)
    assert lv.large_batch(problem, 1).variance.agrees_with(lv.gradient_variance(problem))
