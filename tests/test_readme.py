"""Every block of README.md is executed: Python as doctests in order, commands by the command line, problems loaded."""

from __future__ import annotations

import doctest
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import linvar as lv
from linvar.cli.app import main
from linvar.cli.shipped import load_example
from linvar.errors import InputError

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
#: Set up an environment: run as they stand where the package index is (slow), otherwise in this environment.
SETUP = "python3 -m venv .venv && .venv/bin/pip install -q "


def blocks(kind: str) -> list[str]:
    """The blocks of one language."""
    return [body for found, body in FENCE.findall(README.read_text(encoding="utf-8")) if found == kind]


def commands() -> list[str]:
    """One a line."""
    return [line for body in blocks("bash") for line in body.splitlines()]


def run_doctests(text: str) -> doctest.TestResults:
    """Run the examples of a text in one namespace."""
    test = doctest.DocTestParser().get_doctest(text, {}, "README.md", str(README), 0)
    assert test.examples
    return doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test)


def test_no_block_is_left_out():
    kinds = [kind for kind, _ in FENCE.findall(README.read_text(encoding="utf-8"))]
    assert set(kinds) == {"python", "bash", "json"}
    assert 2 * len(kinds) == sum(line.startswith("```") for line in README.read_text(encoding="utf-8").splitlines())


def test_python_blocks(monkeypatch, tmp_path):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    results = run_doctests("\n".join(blocks("python")))
    assert results.failed == 0 and results.attempted > 20


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_pages_of_docs(page):
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    assert {kind for kind, _ in found} == {"python"}
    results = run_doctests("\n".join(body for _, body in found))
    assert results.failed == 0 and results.attempted > 5


def test_a_wrong_python_block_would_be_found(capsys):
    text = "\n".join(blocks("python")).replace("0.6083613284402489", "0.6083613284402490")
    cut = text[: text.index(">>> variance.decreasing_from()")]
    assert run_doctests(cut).failed == 1
    assert "0.6083613284402490" in capsys.readouterr().out


def test_the_problem_file(tmp_path):
    (body,) = blocks("json")
    path = tmp_path / "problem.json"
    path.write_text(body)
    assert lv.load_problem(path) == lv.load_problem(ROOT / "linvar" / "examples" / "two-layer.json")
    assert json.loads(body)["step"] == 1


#: Commands that run for many seconds are slow as they stand; what each calls, and with what. The default run has the same work on
#: less: test_experiments.py (the experiment, tiny), test_cli.py (a small problem verified), test_search.py (this very search).
HEAVY = {
    "linvar experiment diabetes": ("linvar.experiments.run_experiment", ("diabetes",), {"size": "default"}),
    "linvar verify noisy-regression --batch-sizes 4,16": (
        "linvar.verification.verify.verify", (load_example("noisy-regression"),), {"batch_sizes": (4, 16), "runs": None},
    ),
    "linvar search --depth 10": ("linvar.search.nonmonotone.search_nonmonotone", (10,), {"step": None, "vary": None}),
}  # fmt: skip


@pytest.mark.parametrize("line", HEAVY)
def test_what_heavy_commands_call(line, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    target, arguments, options = HEAVY[line]
    module, _, name = target.rpartition(".")
    calls = []

    def stop(*given, **named):
        calls.append((given, named))
        raise InputError("seed", 0, "stop here")

    monkeypatch.setattr(importlib.import_module(module), name, stop)
    program, *words = shlex.split(line)
    assert program == "linvar" and main(words) == 2 and "stop here" in capsys.readouterr().err
    ((given, named),) = calls
    assert given == arguments and named | options == named
    assert line in commands()


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, marks=pytest.mark.slow) if line in HEAVY else line
        for line in commands()
        if not line.startswith(SETUP)
    ],
)
def test_commands(line, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(line)
    assert program == "linvar"
    if arguments[0] == "search":  # it runs for long: in a process whose programs are optimised a little
        command = [sys.executable, "-m", "linvar", *arguments]
        flags = os.environ["XLA_FLAGS"].replace("level=0", "level=1")
        environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
        code, out, err = done.returncode, done.stdout, done.stderr
    else:
        code = main(arguments)
        out, err = capsys.readouterr()
    assert code == 0
    # long work says how far it is
    assert out and all(said.startswith("linvar: ") for said in err.splitlines())


def test_the_two_setup_commands_are_one_line_each():
    demo, test = [line for line in commands() if line.startswith(SETUP)]
    assert demo == f"{SETUP}'.[data]' && .venv/bin/linvar demo"
    assert test == f"{SETUP}'.[test]' && .venv/bin/pytest -n 2 --dist loadfile"
    assert f"<!-- test-command -->\n```bash\n{test}\n```" in README.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_demo_command_as_it_stands(tmp_path):
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    line = next(line for line in commands() if line.endswith("linvar demo"))
    line = line.replace("python3", shlex.quote(sys.executable), 1)
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("False-alarm rate") == 3 and "REJECT:" not in done.stdout
    assert (tmp_path / "linvar-demo.png").read_bytes().startswith(b"\x89PNG")
