"""Commands run in this process: one that works, one that is refused."""

from __future__ import annotations

import pytest

from linvar import progress
from linvar.cli.app import main


@pytest.fixture(autouse=True)
def no_lines_of_progress(monkeypatch):
    """However slow the machine is: ``test_progress.py`` looks at them."""
    monkeypatch.setattr(progress, "EVERY", 1e6)


def bad(capsys, *arguments):
    """The one line of a refused command, after checking that it is one."""
    assert main(list(arguments)) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and captured.err.startswith("linvar: ")
    assert captured.err[:-1].isprintable()
    assert len(captured.err) < 1_500
    return captured.err


def good(capsys, *arguments, status=0):
    """Standard output of a command that works."""
    assert main(list(arguments)) == status
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out
