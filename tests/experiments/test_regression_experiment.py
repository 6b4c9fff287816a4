"""Linear regression on a table of one's own: its command, its summary, and exact curves that would take too long."""

import json
from pathlib import Path

import numpy as np
import pytest

from linvar.cli.app import main
from linvar.datasets import read_table, rounded_table
from linvar.errors import InputError
from linvar.experiments import run_experiment
from linvar.experiments.regression import REGRESSION, _split, _too_long
from linvar.experiments.runner import Request
from linvar.laws.dataset import Dataset
from linvar.problem import Problem

TABLES = Path(__file__).parents[1] / "tables"


def refused(capsys, *arguments):
    """The one line of a refusal."""
    assert main(["experiment", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    return err


@pytest.fixture
def plain_table(tmp_path):
    """A table without anything that goes wrong."""
    path = tmp_path / "plain.csv"
    path.write_bytes((TABLES / "a$^$b.csv").read_bytes())
    return path


def test_a_column_of_any_size_gives_the_same_numbers(tmp_path, plain_table):
    """The tables are one table, a column of which is multiplied by 1e200 or 1e-300."""
    found = run_experiment(
        "regression", size="tiny", table=TABLES / "huge_column.csv", target="y", directory=tmp_path / "a"
    )
    plain = run_experiment("regression", size="tiny", table=plain_table, target="y", directory=tmp_path / "b")
    assert found.results == plain.results and found.results["exact"]["agree"]
    table = read_table(TABLES / "huge_column.csv", "y")
    assert found.summary[:2] == [f"Table: {table.description}.", f"Table: {table.remarks[0]}."]
    settings = json.loads(found.file.read_text())["settings"]
    assert settings["inputs"] == ["a", "b", "c"] and settings["target"] == "y" and settings["sha256"] == table.checksum
    assert settings["rows"] == 24 and settings["test_rows"] == 6


def test_the_command_reads_a_table_and_says_so(tmp_path, capsys):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(25, 2))
    rows = [f"{i};{a:.3f};{b:.3f};{2 * a - b + 0.1 * rng.normal():.3f}" for i, (a, b) in enumerate(x, 1)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join([";first;second, cm;score", *rows, ";;;", ""]))
    arguments = ["experiment", "regression", "--table", str(path), "--target", "score", "-o", str(tmp_path / "out")]
    assert main([*arguments, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["experiment"] == "regression" and Path(shown["picture"]).exists()
    assert shown["summary"][:4] == [
        "Table: 25 rows, ';'-separated, header found, inputs: first, 'second, cm'; target: score.",
        "Table: passed over, as there is nothing in them: line 27.",
        "Table: header: line 1 names the columns, as 'first' is no number.",
        "Table: 'column 1' is no input: it has no name and counts the rows (give it a name to make it one).",
    ]
    settings = json.loads(Path(shown["file"]).read_text())["settings"]
    assert settings["inputs"] == ["first", "second, cm"] and settings["target"] == "score"
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert out.startswith("regression:\nTable: 25 rows") and "Linear regression on mine.csv, 20 training rows" in out


def test_what_is_wrong_with_a_table_is_one_line(tmp_path, capsys):
    def of(name, *arguments):
        return refused(capsys, "regression", "--table", TABLES / name, "-o", tmp_path / "out", *arguments)

    assert "10 errors of a spreadsheet in column 'a' (first '#N/A', line 2)" in of(
        "spreadsheet_errors_in_first_column.csv"
    )
    expected = "column 'a' is constant up to rounding"
    assert expected in of("constant_up_to_rounding.csv")
    line = of("years_as_header.csv")
    assert "--header or --no-header is needed: the first row of table" in line and "2010, 2011, 2012, 2013" in line
    assert "give --header if it names them, --no-header if it is an example" in line
    assert "'z' is no column of table" in of("six_rows.csv", "--target", "z")
    assert "'ab': give the one sign between the fields" in of("six_rows.csv", "--delimiter", "ab")
    assert "does not exist" in of("missing.csv")
    few = tmp_path / "few.csv"
    few.write_text("a,y\n1,2\n2,5\n5,1\n0,4\n")
    assert "table 'few.csv' has 4 rows: too few to train and to test: give at least 5" in of(few)
    assert not (tmp_path / "out").exists()


PAIRS = {
    "--target 'price' is no option of diabetes: write linvar experiment regression --table": "diabetes --target price",
    "--table 'x.csv' is no option of diabetes: write linvar experiment regression --table": "diabetes --table x.csv",
    "--no-header is no option of diabetes: write linvar experiment regression": "diabetes --no-header",
    "--table is missing: write linvar experiment regression --table FILE --target COLUMN": "regression",
    "--target 'price' says something of a table, and none is given: add --table": "regression --target price",
    "--header says something of a table, and none is given: add --table": "regression --header",
    "--no-header says something of a table, and none is given: add": "regression --no-header",
    "--delimiter ';' says something of a table, and none is given: add": "regression --delimiter ;",
    "--target '1' says something of a table, and none is given: write linvar": "rising --target 1",
    "--table 'x.csv' is no option of text: write linvar experiment regression": "text --table x.csv",
    "--images 'mnist' is no option of regression: its options are --table, --target": "regression --table x --images mnist",
    "--images 'mnist' is no option of text: its options are --optimizer, --schedule": "text --images mnist",
    "--optimizer 'adam' is no option of diabetes: its options are --learning-rate": "diabetes --optimizer adam",
    "--schedule 'cosine' is no option of two-layers": "two-layers --schedule cosine",
    "--learning-rate '1' is no option of rising: its options are none of its own": "rising --learning-rate 1",
    "NAME='rising' is given with --list, which lists all: leave one": "rising --list",
    "--full is given without an experiment: write linvar experiment NAME": "--full",
    "-o 'x' is given without an experiment": "--list -o x",
    "--target 'price' is given without an experiment": "--target price",
    "--seed 3 is given without an experiment": "--seed 3",
    "--no-header is given without an experiment": "--list --no-header",
}


@pytest.mark.parametrize("expected", PAIRS)
def test_options_that_mean_nothing_together_are_refused(expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refused(capsys, *PAIRS[expected].split()).startswith(f"linvar: {expected}")
    assert not list(tmp_path.iterdir())


def test_the_table_of_a_regression_is_needed():
    with pytest.raises(InputError, match="table is missing: give the path of a table"):
        REGRESSION.build(Request(size="tiny"))


def wide(tmp_path, columns=60, rows=100):
    """A table of that many inputs."""
    rng = np.random.default_rng(0)
    path = tmp_path / "wide.csv"
    names = ",".join([*(f"x{i}" for i in range(columns)), "y"])
    values = [",".join(f"{v:.3f}" for v in row) for row in rng.normal(size=(rows, columns + 1))]
    path.write_text("\n".join([names, *values]))
    return path


def test_exact_curves_that_would_take_too_long_are_left_out_before_anything_starts(tmp_path):
    study = REGRESSION.build(Request(options={"table": wide(tmp_path)}))
    assert study.settings["not_derived"] == [4, 16] and study.settings["steps"] == [0, 1, 4, 16]
    assert REGRESSION.build(Request(options={"table": wide(tmp_path, 10)})).settings["not_derived"] == []
    assert REGRESSION.build(Request("full", options={"table": wide(tmp_path)})).settings["not_derived"] == [64]
    law = rounded_table(read_table(wide(tmp_path)), 4, standardise=True).dataset
    problem = Problem([[[0] * 60]], law, "1/20", 0, "without_replacement")
    reasons = _too_long(problem, (0, 1, 4, 16), 60)
    assert set(reasons) == {4, 16} and reasons[16].endswith(" minutes")


def test_what_is_left_out_is_said_and_the_rest_is_there(tmp_path, monkeypatch, plain_table):
    import linvar.experiments.regression as regression

    monkeypatch.setattr(regression, "_too_long", lambda problem, steps, patience: {1: "about 12 minutes"})
    found = run_experiment("regression", size="tiny", table=plain_table, directory=tmp_path / "out")
    line = (
        "Exact curves are left out where one would take more than 60 seconds or does not fit: t = 1 (about 12 minutes)."
    )
    assert found.summary[2].startswith("All columns, the target too, have mean 0") and found.summary[3] == line
    # the exact curves of t = 0 alone: the variance at two b, and the loss there if what has no error is compared
    assert found.results["exact"]["agree"] and found.results["exact"]["comparisons"] in (2, 4)


def test_the_split_is_of_all_rows_by_the_seed():
    law = Dataset([[i] for i in range(11)], [[10 * i] for i in range(11)])
    train, test = _split(law, 0)
    assert (train.size, test.size) == (8, 3) and sorted([*train.inputs, *test.inputs]) == sorted(law.inputs)
    assert all(y[0] == 10 * x[0] for part in (train, test) for x, y in zip(part.inputs, part.targets))
    assert _split(law, 0)[0] == train and _split(law, 1)[0] != train
