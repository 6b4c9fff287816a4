"""The ledger: every row has a status, a file and tests that exist; conftest.py sees that they ran."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from ledger import PROOFS, TESTS, Claim, claims, not_run, record
from tiers import slow_but

CLAIMS = claims()
#: files that execute the algebra of a proof
ALGEBRA = {
    "test_affine_gradients.py", "test_algebra.py", "test_data_sets.py", "test_few_inputs.py", "test_matrices_rise.py",
    "test_multiples.py", "test_polynomial_degrees.py", "test_smaller_batches.py", "test_two_layers.py",
    "test_two_layers_noise.py", "test_variants.py",
}  # fmt: skip
WRONG = """| id | statement | assumptions | status | file | tests |
|---|---|---|---|---|---|
| a | | | proved | [x](degree.md) | `test_algebra.py::test_nothing`, `::test_step_0_closed_form_for_standard_normal_inputs` |
| b | | | checked: n = 3 | [x](nothing.md) | `test_nothing.py::test_a` |
| c | | | proved; machine-checked: `sampling.v::sampling_factor` | [x](degree.md) | \
`test_ledger.py::test_slow_is_said_where_it_is_so` |
| d | | | machine-checked: `sampling.v::sampling_factor`, `sampling.v::average`, `nothing.v::a` | [x](degree.md) | \
`test_rocq.py::test_a_changed_constant_is_refused` (coqc) |
"""


def faults(claim: Claim) -> list[str]:
    """What a row names that does not exist, or should name."""
    found = []
    if not re.fullmatch(r"proved.*|machine-checked: .+|certified instance|checked: .+|open", claim.status):
        found.append(f"status {claim.status!r}")
    if ("machine-checked" in claim.status) != bool(claim.theorems) or bool(claim.theorems) != bool(claim.coqc):
        found.append("machine-checked means a theorem, and a test that needs coqc")
    for file, theorem in claim.theorems:
        path = PROOFS / "rocq" / file
        if not path.is_file() or not re.search(rf"^Theorem {theorem}\b", path.read_text(encoding="utf-8"), re.M):
            found.append(f"{file}::{theorem}")
    if not (PROOFS / claim.file).is_file():
        found.append(claim.file)
    if not claim.tests and claim.status != "open":
        found.append("no tests")
    for file, function in claim.tests:
        sources = [path.read_text(encoding="utf-8") for path in TESTS.rglob(file)]
        if len(sources) != 1 or f"\ndef {function}(" not in sources[0]:
            found.append(f"{file}::{function}")
    return found


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_row_names_what_exists(claim: Claim) -> None:
    assert faults(claim) == []


@pytest.mark.parametrize("claim", [c for c in CLAIMS if c.status.startswith("proved")], ids=lambda claim: claim.name)
def test_proved_means_an_executed_algebraic_step(claim: Claim) -> None:
    assert ALGEBRA & {file for file, _ in claim.tests}


def test_every_file_and_every_algebraic_step_is_in_the_ledger() -> None:
    beside = {"notation.md", "related-work.md"}
    files = {path.name for path in PROOFS.glob("*.md")} - {"README.md"} - beside
    assert files == {claim.file for claim in CLAIMS}
    text = (PROOFS / "README.md").read_text(encoding="utf-8")
    assert all(f"]({name})" in text and (PROOFS / name).is_file() for name in beside)
    for name in (*ALGEBRA, "test_closed_forms.py", "test_certificates.py"):
        functions = set(re.findall(r"^def (test_\w+)", (TESTS / "claims" / name).read_text(encoding="utf-8"), re.M))
        assert functions == {function for claim in CLAIMS for file, function in claim.tests if file == name}
    assert len(CLAIMS) >= 15 and len({claim.name for claim in CLAIMS}) == len(CLAIMS)


def test_certificates_are_in_a_file() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in PROOFS.glob("*.md"))
    names = {path.name for path in (PROOFS / "certificates").iterdir()}
    assert names == set(re.findall(r"\(certificates/(.+?)\)", text))


def test_the_checks_above_can_fail() -> None:
    first, second, third, fourth = claims(WRONG)
    assert faults(first) == ["test_algebra.py::test_nothing"]
    assert faults(second) == ["nothing.md", "test_nothing.py::test_a"]
    assert faults(third) == ["machine-checked means a theorem, and a test that needs coqc"]
    assert faults(fourth) == ["sampling.v::average", "nothing.v::a"]


NODE = "tests/claims/test_algebra.py::test_step_0_closed_form_for_standard_normal_inputs"
NOTHING = "tests/claims/test_algebra.py::test_nothing"


def test_a_claim_ran_only_if_all_of_its_tests_did() -> None:
    first, second, *_ = claims(WRONG)
    whole = {f"{NODE}[widths0]": "passed", f"{NODE}[widths1]": "passed", NOTHING: "passed"}
    assert not_run([first], whole) == []
    assert not_run([first, second], whole) == ["b (test_nothing.py::test_a: not collected)"]
    assert [silent[:2] for silent in not_run([first, second], {})] == ["a ", "b "]
    one = {node: outcome for node, outcome in whole.items() if node != NOTHING}
    assert not_run([first], one) == ["a (test_algebra.py::test_nothing: not collected)"]
    for outcome in ("skipped", "failed", "left out"):
        assert not_run([first], {**whole, NOTHING: outcome}) == [f"a (test_algebra.py::test_nothing: {outcome})"]
        (found,) = not_run([first], {**whole, f"{NODE}[widths1]": outcome})
        assert found.endswith(f"standard_normal_inputs: {outcome})")
    assert not_run(CLAIMS, whole) != []


def test_the_worst_of_several_reports_is_kept() -> None:
    outcomes: dict[str, str] = {}
    for outcome in ("passed", "failed", "passed"):
        record(outcomes, "a", outcome)
    record(outcomes, "b", "passed")
    assert outcomes == {"a": "failed", "b": "passed"}


def test_slow_tests_of_a_claim_are_asked_for_where_slow_tests_run() -> None:
    (claim,) = claims(WRONG.replace("::test_nothing`", "::test_nothing` (slow)").partition("| b |")[0])
    assert claim.slow == {("test_algebra.py", "test_nothing")} < set(claim.tests)
    outcomes = {NODE: "passed", NOTHING: "left out"}
    assert not_run([claim], outcomes) == []
    assert not_run([claim], outcomes, slow=True) == ["a (test_algebra.py::test_nothing: left out)"]


def test_slow_is_said_where_it_is_so() -> None:
    for claim in CLAIMS:
        for file, function in claim.tests:
            (source,) = [path.read_text(encoding="utf-8") for path in TESTS.rglob(file)]
            decorators = source.partition(f"\ndef {function}(")[0].rpartition("\n\n")[2]
            assert ("pytest.mark.slow" in decorators) == ((file, function) in claim.slow), function
        assert claim.coqc == {test for test in claim.slow if test[0] == "test_rocq.py"}


PROJECT = """
[tool.pytest.ini_options]
testpaths = ["tests"]
addopts = ["-m", "not slow", "--import-mode=importlib"]
pythonpath = ["tests"]
markers = ["slow: heavy"]
"""
ROW = "| id | statement | assumptions | status | file | tests |\n|---|---|---|---|---|---|\n"
ROW += "| a | | | proved | [x](x.md) | `test_a.py::test_one`, `::test_two`, `::test_three` (slow), `::test_four` (coqc) |\n"
SUITE = """
import pytest

@pytest.mark.parametrize("x", [1, {second}])
def test_one(x):
    {body}

def test_two():
    pass

@pytest.mark.slow
def test_three():
    {heavy}

@pytest.mark.slow
@pytest.mark.parametrize("x", [1, 2])
def test_four(x):
    {prover}

def test_beside():
    pass
"""
RUNS: dict[str, tuple[dict[str, str], list[str], str]] = {
    "whole": ({}, [], ""),
    "whole, in two processes": ({}, ["-n", "2"], ""),
    "with the slow ones": ({}, ["-m", ""], ""),
    "an instance left out": ({"second": "pytest.param(2, marks=pytest.mark.slow)"}, [], "test_one: left out"),
    "an instance left out in two processes": (
        {"second": "pytest.param(2, marks=pytest.mark.slow)"},
        ["-n", "2"],
        "test_one: left out",
    ),
    "an instance skipped": ({"body": "x == 1 or pytest.skip()"}, [], "test_one: skipped"),
    "an instance expected to fail": ({"body": "x == 1 or pytest.xfail()"}, [], "test_one: skipped"),
    "a slow one skipped": ({"heavy": "pytest.skip()"}, ["-m", ""], "test_three: skipped"),
    "no prover": (
        {"prover": "x == 1 or pytest.skip('not machine-checked: no coqc')"},
        ["-m", ""],
        "not machine-checked in this run: a",
    ),
    "no prover, in two processes": (
        {"prover": "x == 1 or pytest.skip('not machine-checked: no coqc')"},
        ["-m", "", "-n", "2"],
        "not machine-checked in this run: a",
    ),
    "a prover skipped for another reason": (
        {"prover": "x == 1 or pytest.skip('why')"},
        ["-m", ""],
        "test_four: skipped",
    ),
    "another one skipped for want of a prover": (
        {"heavy": "pytest.skip('not machine-checked: no coqc')"},
        ["-m", ""],
        "test_three: not machine-checked",
    ),
    "some asked for": ({"body": "pytest.skip()"}, ["-k", "beside"], ""),
}


#: a run that is whole, one for each thing that can be amiss, one in two processes
OFTEN = (
    "whole", "with the slow ones", "an instance left out in two processes", "an instance skipped", "no prover",
    "a prover skipped for another reason", "some asked for",
)  # fmt: skip


@pytest.mark.parametrize("name", slow_but(RUNS, *OFTEN))
def test_a_run_of_the_whole_suite_fails_if_a_claim_did_not_run(name: str, tmp_path: Path) -> None:
    """The root conftest.py, on a suite of its own."""
    changes, options, message = RUNS[name]
    (tmp_path / "tests").mkdir()
    (tmp_path / "proofs").mkdir()
    for file in (TESTS.parent / "conftest.py", TESTS / "ledger.py"):
        (tmp_path / file.relative_to(TESTS.parent)).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "proofs" / "README.md").write_text(ROW)
    suite = SUITE.format(**{"second": "2", "body": "pass", "heavy": "pass", "prover": "pass", **changes})
    (tmp_path / "tests" / "test_a.py").write_text(suite)
    command = [sys.executable, "-m", "pytest", "-q", "--assert=plain", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    fails = message.startswith("test_")
    assert done.returncode == (1 if fails else 0), done.stdout + done.stderr
    assert (f"did not run: a (test_a.py::{message})" if fails else message) in done.stdout
    assert fails or "did not run" not in done.stdout
    assert ("in this run" in message) == ("in this run" in done.stdout)
