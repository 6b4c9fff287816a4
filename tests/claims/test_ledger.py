"""The ledger: every row has a status, a file and tests that exist; conftest.py sees that they ran."""

from __future__ import annotations

import re

import pytest
from ledger import PROOFS, TESTS, Claim, claims, not_run

CLAIMS = claims()
WRONG = """| id | statement | assumptions | status | file | tests |
|---|---|---|---|---|---|
| a | | | proved | [x](degree.md) | `test_algebra.py::test_nothing`, `::test_step_0_closed_form_for_standard_normal_inputs` |
| b | | | checked: n = 3 | [x](nothing.md) | `test_nothing.py::test_a` |
"""


def faults(claim: Claim) -> list[str]:
    """What a row names that does not exist, or should name."""
    found = []
    if not re.fullmatch(r"proved.*|certified instance|checked: .+|open", claim.status):
        found.append(f"status {claim.status!r}")
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
    assert "test_algebra.py" in {file for file, _ in claim.tests}


def test_every_file_and_every_algebraic_step_is_in_the_ledger() -> None:
    files = {path.name for path in PROOFS.glob("*.md")} - {"README.md", "notation.md"}
    assert files == {claim.file for claim in CLAIMS}
    for name in ("test_algebra.py", "test_closed_forms.py", "test_certificates.py"):
        functions = set(re.findall(r"^def (test_\w+)", (TESTS / "claims" / name).read_text(encoding="utf-8"), re.M))
        assert functions == {function for claim in CLAIMS for file, function in claim.tests if file == name}
    assert len(CLAIMS) >= 15 and len({claim.name for claim in CLAIMS}) == len(CLAIMS)


def test_certificates_are_in_their_file() -> None:
    text = (PROOFS / "not-always-decreasing.md").read_text(encoding="utf-8")
    names = {path.name for path in (PROOFS / "certificates").iterdir()}
    assert names == set(re.findall(r"\(certificates/(.+?)\)", text))


def test_the_checks_above_can_fail() -> None:
    first, second = claims(WRONG)
    assert faults(first) == ["test_algebra.py::test_nothing"]
    assert faults(second) == ["nothing.md", "test_nothing.py::test_a"]


def test_what_did_not_run_is_noticed() -> None:
    first, second = claims(WRONG)
    passed = {"tests/claims/test_algebra.py::test_step_0_closed_form_for_standard_normal_inputs[widths0]"}
    assert not_run([first, second], passed) == ["b"]
    assert not_run([first, second], set()) == ["a", "b"]
    assert not_run(CLAIMS, passed) != []
