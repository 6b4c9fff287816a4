"""The habits of the project check themselves: tools are pinned once, and an import that breaks a contract is caught."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = PROJECT["tool"]["importlinter"]["contracts"]
#: what is written into a module, and the contracts that it breaks
PLANTED = {
    ("problem.py", "import linvar.symbolic.plan"): {"layers", "statements", "circles"},
    ("exact.py", "def late():\n    import linvar.problem"): {"layers", "circles"},
    ("numeric/estimates.py", "from linvar.symbolic.algebra import ring"): {"layers", "halves"},
    ("laws/law.py", "import linvar.numeric.laws.sampling"): {"layers", "statements", "circles"},
    ("symbolic/roads/lattice/size.py", "from ..expansion import size as other"): {"roads"},
    ("symbolic/models/features.py", "import linvar.symbolic.plan"): {"symbolic", "circles"},
    ("errors.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import linvar.cli.app"): set(),
}  # fmt: skip


def pins(requirements: list[str]) -> dict[str, str]:
    """Name -> version of the requirements that are exact."""
    return dict(re.fullmatch(r"([\w-]+)==([\w.]+)", one).groups() for one in requirements if "==" in one)  # type: ignore[union-attr,misc]


def hooks() -> list[dict[str, str]]:
    """The hooks of .pre-commit-config.yaml, each written in one line."""
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    lines = re.findall(r"^      - \{(.*)\}$", text, re.M)
    assert len(lines) == text.count("id: ")
    return [dict(pair.split(": ", 1) for pair in line.split(", ")) for line in lines]


def test_every_tool_of_a_developer_is_pinned() -> None:
    loose = [one for one in PROJECT["project"]["optional-dependencies"]["dev"] if "==" not in one]
    assert loose == ["linvar[test]"]
    assert {"ruff", "mypy", "import-linter", "pre-commit", "coverage", "pytest-cov"} <= set(
        pins(PROJECT["project"]["optional-dependencies"]["dev"])
    )


def test_the_hooks_run_the_pinned_tools_and_no_others() -> None:
    """No hook brings a version of its own: each runs a program of the environment that the dev extra made."""
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert (
        re.findall(r"repo: (\S+)", text) == ["local"] and "rev:" not in text and "additional_dependencies" not in text
    )
    of = {"lint-imports": "import-linter", "ruff": "ruff", "mypy": "mypy"}
    pinned = pins(PROJECT["project"]["optional-dependencies"]["dev"])
    assert {of[hook["entry"].split()[0]] for hook in hooks()} == set(of.values()) <= set(pinned)
    assert all(hook["language"] == "system" and hook["pass_filenames"] == "false" for hook in hooks())


def test_contracts_have_names_of_their_own() -> None:
    identities = [contract["id"] for contract in CONTRACTS]
    assert len(identities) == len(set(identities)) and set().union(*PLANTED.values()) <= set(identities)


def broken(folder: Path) -> set[str]:
    """The contracts that the package in a folder breaks."""
    run = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()"]
    done = subprocess.run(
        [*run, "--no-cache", "--no-logo", str(ROOT / "pyproject.toml")],
        cwd=folder, capture_output=True, text=True, timeout=120, env={"PATH": "", "COLUMNS": "1000", "NO_COLOR": "1"},
    )  # fmt: skip
    assert "Contracts: " in done.stdout, done.stdout + done.stderr
    found = {one["id"] for one in CONTRACTS if f"{one['name']} BROKEN" in done.stdout}
    kept = {one["id"] for one in CONTRACTS if f"{one['name']} KEPT" in done.stdout}
    assert found | kept == {one["id"] for one in CONTRACTS} and bool(found) == bool(done.returncode)
    return found


@pytest.mark.skipif(importlib.util.find_spec("importlinter") is None, reason="import-linter comes with the dev extra")
def test_an_import_that_breaks_a_contract_is_caught(tmp_path: Path) -> None:
    """Written into a copy of the package, by itself: the contracts named are broken; none is by a type checker's import."""
    shutil.copytree(ROOT / "linvar", tmp_path / "linvar", ignore=shutil.ignore_patterns("__pycache__"))
    before = broken(tmp_path)
    for (file, line), contracts in PLANTED.items():
        module = tmp_path / "linvar" / file
        text = module.read_text(encoding="utf-8")
        module.write_text(f"{text}\n\n{line}\n", encoding="utf-8")
        after = broken(tmp_path)
        assert contracts <= after and (contracts or after == before), (file, line)
        module.write_text(text, encoding="utf-8")


PROFILES = """
from hypothesis import given, strategies as st
from strategies import examples
seen = []
@examples(7)
@given(st.integers())
def test_seven(x):
    seen.append(x)
@given(st.integers())
def test_hundred(x):
    pass
def test_said():
    from hypothesis import settings
    print("ran", len(seen), settings.default.max_examples, settings.default.derandomize)
"""


@pytest.mark.parametrize(
    ("options", "profile", "said", "ci"),
    [
        ([], "", "ran 3 50 True", "true"),
        (["--hypothesis-profile", "nightly"], "", "ran 70 1000 False", ""),
        ([], "nightly", "ran 70 1000 False", "true"),
        pytest.param([], "", "ran 3 50 True", "", marks=pytest.mark.slow),
        pytest.param(["--hypothesis-profile", "nightly"], "", "ran 70 1000 False", "true", marks=pytest.mark.slow),
        pytest.param([], "nightly", "ran 70 1000 False", "", marks=pytest.mark.slow),
    ],
)
def test_nights_have_more_examples_and_others(
    options: list[str], profile: str, said: str, ci: str, tmp_path: Path
) -> None:
    """The root conftest.py, on a test of its own; CI, which changes Hypothesis' default, changes nothing."""
    for file in (ROOT / "conftest.py", ROOT / "tests" / "strategies.py", ROOT / "tests" / "ledger.py"):
        shutil.copy(file, tmp_path)
    (tmp_path / "test_a.py").write_text(PROFILES)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = quick: here\n")
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    for name, value in (("HYPOTHESIS_PROFILE", profile), ("CI", ci)):
        environment.pop(name, None)
        if value:
            environment[name] = value
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-q", "--assert=plain", "-p", "no:cacheprovider", *options, "test_a.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, env=environment,
    )  # fmt: skip
    assert done.returncode == 0 and said in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("chosen", ["QUICK", "NOT_QUICK"])
def test_the_quick_tier_names_what_exists(chosen: str) -> None:
    """Each name is that of one file, or of one test."""
    tree = ast.parse((ROOT / "conftest.py").read_text(encoding="utf-8"))
    (value,) = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == chosen
    ]
    names = {name.partition("[")[0] for name in eval(compile(ast.Expression(value), chosen, "eval"))}
    files = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    for name in names:
        homes = [stem for stem, text in files.items() if f"\ndef {name}(" in text]
        assert len(homes) == 1 if name not in files else not homes, name
