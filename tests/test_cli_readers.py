"""The command line: a reader of the output that leaves early."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "linvar"]
#: one run hides what it is: the answer is UNRESOLVED, 3
UNRESOLVED = ["verify", "heavy-tails", "--runs", "8", "--batch-sizes", "1"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["derive", "two-layer", "--steps", "0,1"], 0),
        (["derive", "symbols", "--json"], 0),
        (["--help"], 0),
        pytest.param(["derive", "--help"], 0, marks=pytest.mark.slow),
        (["example", "two-layer"], 0),
        (["formula", "--step", "0"], 0),
        pytest.param(UNRESOLVED, 3, marks=pytest.mark.slow),
        ([*UNRESOLVED, "--json"], 3),
    ],
)
def test_a_reader_that_has_left_changes_no_exit_status(arguments, status):
    reading, writing = os.pipe()
    os.close(reading)
    environment = {**os.environ, "COLUMNS": "120"}  # as on a terminal, where Rich draws
    with open(writing, "wb") as closed:
        command = [*COMMAND, *arguments]
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, text=True, timeout=60, env=environment)
    assert done.returncode == status and "Error" not in done.stderr


def test_what_is_saved_is_saved_without_a_reader(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    path = tmp_path / "variance.json"
    with open(writing, "wb") as closed:
        done = subprocess.run([*COMMAND, "derive", "symbols", "-o", str(path)], stdout=closed, timeout=60)
    assert done.returncode == 0 and path.exists()
