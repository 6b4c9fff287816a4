"""The command line: what it prints, its exit statuses, and one line for every mistake."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from fractions import Fraction
from typing import get_args, get_type_hints

import pytest
from command_line import bad, good, no_lines_of_progress  # noqa: F401
from typer.main import get_command

import linvar as lv
from linvar.cli import app as cli
from linvar.cli import demo
from linvar.cli.app import main
from linvar.cli.arguments import parse_batch_sizes
from linvar.cli.commands import simulations
from linvar.cli.errors import as_typed, option_names
from linvar.cli.shipped import load_example
from linvar.errors import Argument, InputError, InputTypeError, LinvarError, Said
from linvar.plotting.readers import curve_of, of_report
from linvar.problem_file import problem_from_dict

COMMAND = [sys.executable, "-m", "linvar"]


@dataclass
class FakeReport:
    """What a Report offers to the command line, with a verdict of our choice."""

    verdict: str
    variance: lv.BatchPolynomial = field(default_factory=lambda: lv.BatchPolynomial([0, 18]))
    problem: lv.Problem = field(default_factory=lambda: load_example("two-layer"))
    rows: tuple = ()

    def to_dict(self):
        return {"verdict": self.verdict, "rows": [{"z": float("-inf"), "estimate": float("nan")}]}

    def __str__(self):
        return f"verdict {self.verdict}"


curve_of.register(FakeReport, of_report)


# derive


def test_derive_json_is_one_object_with_the_exact_polynomial(capsys):
    data = json.loads(good(capsys, "derive", "two-layer", "--json"))
    variance = lv.gradient_variance(load_example("two-layer"))
    assert data["coefficients"] == [str(value) for value in variance.coefficients]
    assert data["coefficients"][1] == "2384003/125000"
    assert (data["degree"], data["degree_bound"], data["decreasing_from"]) == (6, 6, 1)
    assert (data["sampling"], data["dataset_size"]) == ("iid", None)
    assert problem_from_dict(data["problem"]) == load_example("two-layer")


def test_derive_of_a_perfect_fit(capsys, tmp_path):
    lv.Problem([[[1]]], lv.Gaussian(teacher=[[1]])).save(tmp_path / "fit.json")
    data = json.loads(good(capsys, "derive", str(tmp_path / "fit.json"), "--json"))
    assert data["coefficients"] == ["0"] and data["degree"] == 0 and data["decreasing_from"] is None


@pytest.mark.parametrize(
    "quantity, function",
    [("second_moment", "second_moment"), ("squared_mean", "squared_mean"), ("loss", "expected_loss")],
)
def test_derive_other_quantities(capsys, quantity, function):
    data = json.loads(good(capsys, "derive", "small-dataset", "--json", "--quantity", quantity))
    expected = getattr(lv, function)(load_example("small-dataset"))
    assert data["coefficients"] == [str(value) for value in expected.coefficients]
    assert (data["quantity"], data["dataset_size"]) == (quantity, 6)


def test_derive_saves_what_load_polynomial_reads(capsys, tmp_path):
    path = tmp_path / "variance.json"
    assert f"Saved: {path}" in good(capsys, "derive", "noisy-regression", "-o", str(path))
    assert lv.load_polynomial(path) == lv.gradient_variance(load_example("noisy-regression"))


def test_derive_prints_coefficients_and_values(capsys):
    out = good(capsys, "derive", "small-dataset")
    variance = lv.gradient_variance(load_example("small-dataset"))
    assert str(variance.coefficients[1]) in out and str(variance(4)) in out
    assert f"b = {variance.decreasing_from()} on" in out


def test_long_coefficients_are_cut_in_the_table_only(capsys, tmp_path):
    lv.Problem([[[10**9_000]]], lv.Gaussian(teacher=[["1/3"]])).save(tmp_path / "long.json")
    out = good(capsys, "derive", str(tmp_path / "long.json"))
    assert "characters)" in out and len(out) < 5_000
    data = json.loads(good(capsys, "derive", str(tmp_path / "long.json"), "--json"))
    assert len(data["coefficients"][1]) > 18_000


@pytest.mark.parametrize("of", ["gradient", "update"])
def test_derive_order_is_no_whole_polynomial(capsys, of):
    data = json.loads(good(capsys, "derive", "two-layer", "--order", "2", "--of", of, "--json"))
    expected = lv.gradient_variance(load_example("two-layer"), of=of).coefficients
    assert data["coefficients"] == [str(value) for value in expected[:3]]
    assert (data["order"], data["digits"], data["remainder"], data["of"]) == (2, None, "O(1/b^3)", of)
    assert not data.keys() & {"degree", "degree_bound", "decreasing_from"}
    assert problem_from_dict(data["problem"]) == load_example("two-layer")
    out = good(capsys, "derive", "two-layer", "--order", "2", "--of", of)
    assert "not the whole polynomial: its first 3 coefficients; what follows is O(1/b^3)" in out
    assert f"{expected[2]} u^2 + O(u^3)" in out and "degree 6" not in out and "variance at b" not in out
    assert ("variance of the update = " in out) == (of == "update")


def test_derive_digits_are_enclosures(capsys, tmp_path):
    path = tmp_path / "late.json"
    load_example("two-layer").replace(step=30).save(path)
    data = json.loads(good(capsys, "derive", str(path), "--order", "1", "--digits", "8", "--json"))
    zero, beta = ([Fraction(end[side]) for side in ("low", "high")] for end in data["coefficients"])
    assert zero == [0, 0] and data["digits"] == 8
    assert 0 < beta[0] < beta[1] and (beta[1] - beta[0]) / beta[0] < Fraction(1, 10**8)
    early = json.loads(good(capsys, "derive", "two-layer", "--order", "1", "--digits", "8", "--json"))["coefficients"]
    assert Fraction(early[1]["low"]) < Fraction(2384003, 125000) < Fraction(early[1]["high"])
    out = good(capsys, "derive", "two-layer", "--order", "1", "--digits", "8")
    assert "[19.072024 +/- " in out and "enclosure of the coefficient" in out


def test_derive_of_the_update_by_every_road(capsys):
    whole = lv.gradient_variance(load_example("two-layer"), of="update")
    for method in ("expansion", "auto"):
        data = json.loads(good(capsys, "derive", "two-layer", "--of", "update", "--method", method, "--json"))
        assert data["coefficients"] == [str(value) for value in whole.coefficients] and data["of"] == "update"
    assert "variance of the update at b" in good(capsys, "derive", "two-layer", "--of", "update")


def test_derive_by_the_lattice_keeps_a_checkpoint(capsys, tmp_path):
    path = tmp_path / "residues.json"
    arguments = (
        "derive",
        "two-layer",
        "--quantity",
        "loss",
        "--method",
        "lattice",
        "--checkpoint",
        str(path),
        "--json",
    )
    data = json.loads(good(capsys, *arguments))
    expected = [str(value) for value in lv.expected_loss(load_example("two-layer")).coefficients]
    assert data["coefficients"] == expected and "of" not in data
    kept = path.read_bytes()
    assert json.loads(good(capsys, *arguments)) == data and path.read_bytes() == kept
    path.write_bytes(kept[:-9])
    assert "--checkpoint '" in (line := bad(capsys, *arguments)) and "is damaged" in line


# plan


def test_plan_prints_the_roads_and_the_choice(capsys):
    plan = lv.plan(load_example("two-layer"))
    assert good(capsys, "plan", "two-layer") == f"{plan!r}\n"
    data = json.loads(good(capsys, "plan", "two-layer", "--json"))
    assert problem_from_dict(data["problem"]) == load_example("two-layer")
    assert data["choice"] == plan.choice.road == "expansion"
    found = {road.pop("road"): road for road in data["roads"]}
    assert list(found) == ["regression", "expansion", "traces", "lattice"]
    assert found["regression"] == {"size": None, "seconds": None, "bytes": None, "obstacle": "it is for one layer"}
    expected = plan["expansion"]
    assert found["expansion"] == {
        "size": expected.size, "seconds": expected.seconds, "bytes": expected.bytes, "obstacle": None
    }  # fmt: skip


def test_plan_of_what_does_not_fit_has_no_choice(capsys, tmp_path):
    load_example("two-layer").replace(step=9_999).save(tmp_path / "large.json")
    data = json.loads(good(capsys, "plan", str(tmp_path / "large.json"), "--json"))
    assert data["choice"] is None and data["roads"][2]["seconds"] is None
    assert "taken" in good(capsys, "plan", "two-layer") and "taken" not in good(
        capsys, "plan", str(tmp_path / "large.json")
    )


def test_plan_of_the_first_coefficients(capsys):
    plan = lv.plan(load_example("two-layer"), lv.LargeBatch(1, digits=9))
    assert good(capsys, "plan", "two-layer", "--order", "1", "--digits", "9") == f"{plan!r}\n"
    data = json.loads(good(capsys, "plan", "two-layer", "--order", "1", "--memory-limit", "1", "--json"))
    assert [road["road"] for road in data["roads"]] == ["large_batch"] and data["choice"] is None
    assert data["roads"][0]["obstacle"] == "more than the limit of 1 bytes"


# verify


@pytest.mark.parametrize("verdict, status", [("AGREE", 0), ("REJECT", 1), ("UNRESOLVED", 3)])
def test_the_verdict_is_the_exit_status(capsys, monkeypatch, tmp_path, verdict, status):
    monkeypatch.setattr(simulations, "_verify", lambda *_arguments: FakeReport(verdict))
    data = json.loads(good(capsys, "verify", "two-layer", "--json", "--seed", "7", status=status))
    assert data["verdict"] == verdict and data["seed"] == 7
    assert data["rows"] == [{"z": None, "estimate": None}]
    assert f"verdict {verdict}" in good(capsys, "verify", "two-layer", status=status)
    picture = tmp_path / "picture.png"
    assert verdict in good(capsys, "plot", "two-layer", "-o", str(picture), "--verify", status=status)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_verify_a_small_problem(capsys):
    arguments = ("verify", "small-dataset", "--json", "--seed", "1", "--batch-sizes", "1,6", "--runs", "8192")
    data = json.loads(good(capsys, *arguments))
    assert data["verdict"] == "AGREE"
    rows = [row for row in data["rows"] if row["quantity"] == "variance"]
    assert [row["batch_size"] for row in rows] == [1, 6]
    assert problem_from_dict(data["problem"]) == load_example("small-dataset")
    assert json.loads(good(capsys, *arguments)) == data  # the same seed, the same numbers


# plot, demo


@pytest.mark.parametrize("suffix, magic", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_plot_writes_a_picture(capsys, tmp_path, suffix, magic):
    path = tmp_path / f"picture.{suffix}"
    assert f"Picture: {path}" in good(capsys, "plot", "noisy-regression", "-o", str(path))
    assert path.read_bytes().startswith(magic) and len(list(tmp_path.iterdir())) == 1


def test_demo_without_scikit_learn_says_how_to_get_it_and_runs_the_rest(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setattr(demo, "_verify", lambda *_arguments: FakeReport("AGREE"))
    out = good(capsys, "demo", "-o", str(tmp_path))
    assert 'pip install "linvar[data]"' in out and "verdict AGREE" in out
    assert (tmp_path / demo.PICTURE).exists() and f"Picture: {tmp_path / demo.PICTURE}" in out
    data = json.loads(good(capsys, "demo", "-o", str(tmp_path), "--json"))
    assert len(data["sections"]) == 1 and "linvar[data]" in data["remarks"][0]


def test_demo_end_to_end(capsys, monkeypatch, tmp_path):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(demo, "BATCH_SIZES", (4,))
    data = json.loads(good(capsys, "demo", "-o", str(tmp_path), "--json", "--seed", "3"))
    assert [section["problem"]["sampling"] for section in data["sections"]] == ["iid", "iid", "without_replacement"]
    assert [row["verdict"] for section in data["sections"] for row in section["rows"]] == ["AGREE"] * 12
    assert "largest rounding error" in data["sections"][1]["remark"]
    assert (tmp_path / demo.PICTURE).read_bytes().startswith(b"\x89PNG")


# mistakes: one line, exit status 2, nothing written

USAGE = {
    "unknown command": (["deriv"], "deriv"),
    "unknown option": (["derive", "two-layer", "--bogus"], "--bogus"),
    "missing argument": (["derive"], "FILE"),
    "missing output": (["plot", "two-layer"], "--output"),
    "extra argument": (["derive", "two-layer", "b"], "b"),
    "unknown quantity": (["derive", "two-layer", "--quantity", "x"], "'x' is not one of"),
    "seed is a word": (["verify", "two-layer", "--seed", "x"], "--seed 'x' is no integer: give an integer >= 0"),
    "seed is negative": (["verify", "two-layer", "--seed", "-1"], "--seed -1"),
    "seed is huge": (["verify", "two-layer", "--seed", str(2**70)], "--seed 1180591620717411303424"),
    "no runs": (["verify", "two-layer", "--runs", "0"], "--runs 0 is out of range: give an integer from 8 to 10^9"),
    "batch size 0": (["verify", "two-layer", "--batch-sizes", "1,0"], "'0'"),
    "batch size x": (["verify", "two-layer", "--batch-sizes", "1,x"], "'x'"),
    "batch size 1.5": (["verify", "two-layer", "--batch-sizes", "1.5"], "'1.5'"),
    "no batch sizes": (["verify", "two-layer", "--batch-sizes", ""], "--batch-sizes"),
    "batch size beyond n": (["verify", "small-dataset", "--batch-sizes", "7"], "n = 6"),
    "no such example": (["derive", "two-layers"], "two-layer"),
    "no such file": (["derive", "no/such/file.json"], "there is no such file"),
    "a directory": (["derive", "."], "directory"),
    "null byte": (["derive", "a\0b"], "null byte"),
    "newline": (["derive", "a\nb\x1b[31m.json"], "there is no such file"),
    "picture of another kind": (["plot", "two-layer", "-o", "picture.exe"], "end its name in .png"),
    "picture without suffix": (["plot", "two-layer", "-o", "picture"], "end its name in .png"),
    "output in no folder": (["plot", "two-layer", "-o", "no/such/picture.png"], "there is no directory"),
    "saved in no folder": (["derive", "two-layer", "-o", "no/such/variance.json"], "there is no directory"),
    "order is a word": (["derive", "two-layer", "--order", "x"], "--order 'x' is no integer: give the highest"),
    "order is negative": (["plan", "two-layer", "--order", "-1"], "--order -1 is out of range"),
    "order is huge": (["derive", "two-layer", "--order", "1000000"], "--order 1000000 is out of range"),
    "digits alone": (["derive", "two-layer", "--digits", "3"], "--digits 3 goes with --order K"),
    "digits alone, plan": (["plan", "two-layer", "--digits", "3"], "--digits 3 goes with --order K"),
    "no digits": (["derive", "two-layer", "--order", "1", "--digits", "0"], "--digits 0 is out of range"),
    "no memory": (["plan", "two-layer", "--memory-limit", "0"], "--memory-limit 0 is no number of bytes"),
    "half a byte": (["plan", "two-layer", "--memory-limit", "0.5"], "--memory-limit 0.5 is no number of bytes"),
    "half a byte, derive": (
        ["derive", "two-layer", "--memory-limit", "0.5"],
        "--memory-limit 0.5 is no number of bytes",
    ),
    "memory is a word": (
        ["plan", "two-layer", "--memory-limit", "1GB"],
        "--memory-limit '1GB' is no number: give a number",
    ),
    "no depth": (["search", "--depth", "0"], "--depth 0 is out of range: give an integer from 1 to 64"),
    "no step": (["search", "--step", "9"], "--step 9 is out of range: give an integer from 1 to 8"),
    "no seconds": (["search", "--seconds", "nan"], "--seconds nan is out of range: give a number > 0, at most 10^6"),
    "endless": (["search", "--seconds", "inf"], "--seconds inf is out of range"),
    "seconds too few": (["search", "--depth", "10", "--step", "2", "--seconds", "9"], "--seconds 9 is less than"),
    "search too large": (["search", "--depth", "8", "--step", "8"], "fewer steps (--step 8) or fewer layers"),
    "order and method": (
        ["derive", "two-layer", "--order", "1", "--method", "lattice"],
        "--method 'lattice' with --order 1: leave --method out",
    ),
    "order without replacement": (
        ["derive", "small-dataset", "--order", "1"],
        "use sampling='iid', or linvar.derive for the whole polynomial",
    ),
    "order, saved": (["derive", "two-layer", "--order", "1", "-o", "p.json"], "-o 'p.json' with --order 1, "),
    "order, checkpoint": (
        ["derive", "two-layer", "--order", "1", "--checkpoint", "c"],
        "--checkpoint 'c' with --order 1, ",
    ),
    "unknown method": (["derive", "two-layer", "--method", "fast"], "'fast' is not one of 'auto', 'regression'"),
    "method of one layer": (
        ["derive", "two-layer", "--method", "regression"],
        "--method 'regression' does not apply: it is for one layer: leave it out",
    ),
    "no lattice": (["derive", "two-layer", "--method", "expansion", "--checkpoint", "c"], "with --method expansion, "),
    "checkpoint of no use": (["derive", "two-layer", "--checkpoint", "c"], "or use --method lattice"),
    "checkpoint in no folder": (["derive", "two-layer", "--method", "lattice", "--checkpoint", "no/c"], "no directory"),
    "loss of the update": (
        ["derive", "two-layer", "--quantity", "loss", "--of", "update"],
        "--of update with --quantity loss",
    ),
    "update of a schedule": (["derive", "noisy-regression", "--of", "update"], "--of 'update' with a schedule of 2"),
    "unknown of": (["derive", "two-layer", "--of", "x"], "'x' is not one of 'gradient', 'update'"),
    "demo in no folder": (["demo", "-o", "no/such"], "-o 'no/such' is not a directory"),
    "null byte in the output": (["derive", "two-layer", "-o", "a\0b"], "null byte in its name"),
    "half a character": (["derive", "two-layer", "-o", "a\ud800b"], "no file name can have"),
}


@pytest.mark.parametrize("case", USAGE)
def test_a_mistake_is_one_line(capsys, case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, expected = USAGE[case]
    line = bad(capsys, *arguments)
    assert expected in line and "\x1b" not in line
    assert not list(tmp_path.iterdir())


def numbers() -> list[tuple[str, str]]:
    """Each command with each of its options that is a number."""
    found = []
    for name, command in get_command(cli.app).commands.items():
        hints = get_type_hints(command.callback)
        found += [(name, typed) for key, typed in option_names(command).items() if {int, float} & parts(hints.get(key))]
    return found


def parts(hint) -> set:
    """A type, or those of a union."""
    return set(get_args(hint)) or {hint}


@pytest.mark.parametrize(("command", "option"), numbers())
def test_what_is_no_number_is_refused_in_our_words(capsys, command, option):
    """Every option: one that a library reads would be refused in the words of the library."""
    file = ["two-layer"] if command in ("derive", "plan", "verify", "plot", "compare") else []
    picture = ["-o", "p.png"] if command == "plot" else []
    line = bad(capsys, command, *file, *picture, option, "1.5x")
    assert line.startswith(f"linvar: {option} '1.5x' is no ") and ": give " in line


def test_every_number_of_an_option_is_tried():
    assert {"--step", "--seconds", "--memory-limit", "--coefficient"} <= {option for _, option in numbers()}


def test_a_bad_problem_file_is_one_line_that_names_the_key(capsys, tmp_path):
    path = tmp_path / "problem.json"
    path.write_text('{"weights": [[[1]]], "law": {"kind": "gaussian", "teacher": [[0.5]]}}')
    line = bad(capsys, "derive", str(path))
    assert "law.teacher[0][0]=0.5" in line and '"p/q"' in line


@pytest.mark.parametrize("command", ["derive", "verify", "plot"])
def test_a_derivation_too_large_is_one_line_that_offers_what_the_command_has(capsys, tmp_path, command):
    load_example("two-layer").replace(step=9_999).save(tmp_path / "large.json")
    output = ["-o", str(tmp_path / "picture.png")] if command == "plot" else []
    line = bad(capsys, command, str(tmp_path / "large.json"), *output)
    assert "step=9999" in line.replace(",", "") and "monomials" in line
    assert ("use --order 2 for the first coefficients, fewer steps" in line) == (command == "derive")
    assert ("use fewer steps" in line) == (command != "derive")
    for python in ("order=", "memory_limit=", "road=", "linvar.", "None"):
        assert python not in line
    assert "limit of 9 bytes" in bad(capsys, "derive", "two-layer", "--memory-limit", "9")


LONG = "x" * 10_000
HUGE = {
    "file": ["derive", LONG],
    "file of a kind": ["derive", f"{LONG}.json"],
    "file with controls": ["plan", "a\x07\x1b]0;title\x07" * 500],
    "batch sizes": ["verify", "two-layer", "--batch-sizes", "1," * 500_000 + "x"],
    "one batch size": ["verify", "two-layer", "--batch-sizes", "9" * 1_000_000],
    "output": ["derive", "two-layer", "-o", LONG],
    "output in a folder": ["derive", "two-layer", "-o", f"{LONG}/x"],
    "picture": ["plot", "two-layer", "-o", f"{LONG}.png"],
    "no picture": ["plot", "two-layer", "-o", LONG],
    "folder": ["demo", "-o", LONG],
    "seed": ["verify", "two-layer", "--seed", "9" * 4_000],
    "seed of too many digits": ["verify", "two-layer", "--seed", "9" * 5_000],
    "runs": ["verify", "two-layer", "--runs", "9" * 4_000],
    "runs of words": ["verify", "two-layer", "--runs", LONG],
    "quantity": ["derive", "two-layer", "--quantity", LONG],
    "memory": ["derive", "two-layer", "--memory-limit", LONG],
    "order": ["derive", "two-layer", "--order", "9" * 4_000],
    "command": [LONG],
    "option": ["derive", "two-layer", f"--{LONG}"],
    "found in a search": ["search", "-o", LONG],
    "depth": ["search", "--depth", "9" * 4_000],
}


@pytest.mark.parametrize("case", HUGE)
def test_no_message_repeats_more_than_200_characters(capsys, case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = bad(capsys, *HUGE[case])
    assert all(len(repeated) <= 200 for repeated in re.findall(r"x+|9+|(?:1,)+", line))
    assert len(line) < 600 and not list(tmp_path.iterdir())


COMMANDS = {
    "derive": (["derive", "two-layer"], "linvar.cli.derivations.whole_polynomials"),
    "plan": (["plan", "two-layer"], "linvar.symbolic.plan.plan"),
    "verify": (["verify", "two-layer"], "linvar.verification.verify.verify"),
    "plot": (["plot", "two-layer", "-o", "p.png"], "linvar.symbolic.derivation.derived"),
    "plot, checked": (["plot", "two-layer", "-o", "p.png", "--verify"], "linvar.verification.verify.verify"),
    "search": (["search"], "linvar.search.nonmonotone.search_nonmonotone"),
    "experiment": (["experiment", "three-layers"], "linvar.experiments.run_experiment"),
    "demo": (["demo"], "linvar.verification.verify.verify"),
    "formula": (["formula"], "linvar.symbolic.traces.formula.trace_formula"),
}


def failing(monkeypatch, target, error):
    """Let a function of the library raise an error."""

    def fail(*_arguments, **_options):
        raise error

    module, _, name = target.rpartition(".")
    monkeypatch.setattr(importlib.import_module(module), name, fail)


@pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, AssertionError, ZeroDivisionError, RuntimeError])
@pytest.mark.parametrize("command", COMMANDS)
def test_an_internal_error_is_a_bug_and_no_mistake_of_the_user(capsys, monkeypatch, tmp_path, command, error):
    monkeypatch.chdir(tmp_path)
    arguments, target = COMMANDS[command]
    failing(monkeypatch, target, error("what went wrong"))
    assert main(arguments) == 70
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == "" and lines[0].startswith("Traceback")
    assert lines[-1] == "linvar: internal error: please report it with the lines above"
    assert any(line.startswith(error.__name__) and "what went wrong" in line for line in lines)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_the_user_can_mend_is_one_line_as_typed(capsys, monkeypatch, tmp_path, command):
    """Of the library's errors the argument is said as the option; the operating system's and missing packages in one line."""
    monkeypatch.chdir(tmp_path)
    arguments, target = COMMANDS[command]
    options = {
        "derive": {"memory_limit": "--memory-limit", "order": "--order"},
        "plan": {"digits": "--digits"},
        "verify": {"runs": "--runs", "batch_sizes[2]": "--batch-sizes"},
        "search": {"seconds": "--seconds", "depth": "--depth", "label_noise": "--label-noise"},
        "experiment": {"learning_rate": "--learning-rate", "schedule": "--schedule"},
        "demo": {"runs": "--runs"},
        "formula": {"quantity": "--quantity", "layer_rates": "--layer-rates"},
    }.get(command, {"seed": "--seed"})
    for argument, option in options.items():
        failing(monkeypatch, target, InputError(argument, 0.5, "give another one", fault="is wrong"))
        assert bad(capsys, *arguments) == f"linvar: {option} 0.5 is wrong: give another one\n"
    failing(monkeypatch, target, InputTypeError("law.teacher", [1], "give a matrix"))
    assert bad(capsys, *arguments) == "linvar: law.teacher=[1] is of type list: give a matrix\n"
    failing(monkeypatch, target, LinvarError("a line\nof \x1b[31mits own"))
    assert bad(capsys, *arguments) == "linvar: a line of \\x1b[31mits own\n"
    failing(monkeypatch, target, OSError(28, "No space left on device", "y" * 5_000))
    assert "No space left on device" in (line := bad(capsys, *arguments)) and "y" * 200 not in line
    failing(monkeypatch, target, ModuleNotFoundError("No module named 'pandas'", name="pandas"))
    assert "pandas" in bad(capsys, *arguments)


def test_options_are_named_by_the_command_they_belong_to():
    import typer.main

    group = typer.main.get_command(cli.app)
    derive, verify = (option_names(group.get_command(None, name)) for name in ("derive", "verify"))
    assert derive["file"] == verify["file"] == "FILE" and derive["output"] == "--output"
    error = InputError(
        "order",
        1,
        Said("leave {} out, or give {}", Argument("road"), Argument("road", "lattice", "road=linvar.Lattice()")),
        fault=Said("with {} and {}", Argument("digits", "3"), Argument("momentum", "2")),
    )
    assert str(as_typed(error, derive)) == (
        "--order 1 with --digits 3 and momentum=2: leave --method out, or give --method lattice"
    )
    assert str(as_typed(error, verify)) == str(error)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_or_device_as_output_is_refused_at_once(capsys, tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    link = tmp_path / "link.png"
    link.symlink_to(pipe)
    for path in (pipe, link):
        for arguments in (["derive", "two-layer"], ["plot", "two-layer"], ["search", "--depth", "2"]):
            assert "it is a pipe, a socket or a device" in bad(capsys, *arguments, "-o", str(path))
    for path in ("/dev/zero", "/dev/tty"):
        if os.path.exists(path):
            assert "it is a pipe, a socket or a device" in bad(capsys, "derive", "two-layer", "-o", path)


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="needs /dev/stdout")
def test_standard_output_and_nowhere_are_written_to():
    command = [*COMMAND, "derive", "two-layer", "-o"]
    done = subprocess.run([*command, "/dev/stdout"], capture_output=True, text=True, timeout=60)
    saved, *_, last = done.stdout.splitlines()
    assert (done.returncode, done.stderr, last) == (0, "", "Saved: /dev/stdout")
    coefficients = [str(value) for value in lv.gradient_variance(load_example("two-layer")).coefficients]
    assert json.loads(saved)["coefficients"] == coefficients
    done = subprocess.run([*command, "/dev/null"], capture_output=True, timeout=60)
    assert done.returncode == 0 and b"Saved: /dev/null" in done.stdout and os.path.exists("/dev/null")


def test_an_output_that_cannot_be_replaced_stays(capsys, tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    path.write_text("old")

    def fail(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    assert "No space left on device" in bad(capsys, "plot", "noisy-regression", "-o", str(path))
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.fixture
def heeded():
    """SIGINT as in a terminal: what a shell starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_in_the_work_leaves_nothing(capsys, monkeypatch, tmp_path, heeded):
    import linvar.cli.derivations

    monkeypatch.setattr(
        linvar.cli.derivations, "whole_polynomials", lambda *_arguments: signal.raise_signal(signal.SIGINT)
    )
    assert main(["derive", "two-layer", "-o", str(tmp_path / "variance.json")]) == 130
    captured = capsys.readouterr()
    assert captured.err == "linvar: interrupted\n" and captured.out == "" and not list(tmp_path.iterdir())


def test_ctrl_c_from_outside(heeded):
    code = "import linvar.progress as p; p.EVERY = 0.5; from linvar.cli.app import main"
    command = [sys.executable, "-c", f"{code}; raise SystemExit(main())", "search", "--depth", "2", "--seconds", "600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            first = process.stderr.readline()  # it is at work
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert first == "linvar: search: 2 layers, t = 1, up to 600 seconds\n"
    assert (process.returncode, out, err.splitlines()[-1]) == (130, "", "linvar: interrupted")
    assert "Traceback" not in err


def test_ctrl_c_that_a_library_swallows_ends_the_program_all_the_same(heeded):
    """A KeyboardInterrupt raised in a destructor is lost; the program ends all the same, without its traceback."""
    code = """
import signal, time
import linvar.cli.derivations as entries
from linvar.cli.app import main
class Lost:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
def work(*arguments):
    Lost()
    time.sleep(600)
entries.whole_polynomials = work
raise SystemExit(main())
"""
    command = [sys.executable, "-c", code, "derive", "two-layer"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "linvar: interrupted\n")


def test_what_nothing_looks_at_is_refused(capsys, tmp_path):
    picture = str(tmp_path / "x.png")
    for option in (["--runs", "0"], ["--batch-sizes", "foo"], ["--seed", "3"]):
        assert "is of a simulation, and none is asked for" in bad(capsys, "plot", "two-layer", "-o", picture, *option)


def test_the_usual_batch_sizes_are_those_that_there_are():
    problem = load_example("small-dataset").replace(sampling="without_replacement")
    assert parse_batch_sizes(None, problem) == (1, 2, 4)
    assert parse_batch_sizes(None, load_example("two-layer")) == (1, 2, 4, 16)


# the program as a whole


def test_python_m_linvar_version():
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"linvar {lv.__version__}\n", "")


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m linvar derive two-layer | true"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""


def test_bash_completion():
    environment = {**os.environ, "_LINVAR_COMPLETE": "complete_bash", "COMP_WORDS": "linvar de", "COMP_CWORD": "1"}
    done = subprocess.run(COMMAND, capture_output=True, text=True, timeout=60, env=environment)
    assert set(done.stdout.split()) == {"demo", "derive"}
