"""The ledger: every test and every section it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LEDGER = (TESTS.parent / "proofs" / "README.md").read_text(encoding="utf-8")


def rows() -> list[str]:
    """The claims, a line each."""
    return [line for line in LEDGER.splitlines() if line.startswith("|")][2:]


def missing(text: str) -> list[str]:
    """Named tests and anchors that do not exist."""
    absent, source = [], ""
    for file, test in re.findall(r"`(\w+\.py)?(?:::(\w+))?`", text):
        if file:
            found = list(TESTS.rglob(file))
            source = found[0].read_text(encoding="utf-8") if len(found) == 1 else ""
        if (file and not source) or (test and f"\ndef {test}(" not in source):
            absent.append(f"{file}::{test}")
    titles = re.findall(r"^## (.+)$", LEDGER, re.M)
    return absent + [anchor for anchor in re.findall(r"\]\(#(.+?)\)", text) if anchor not in titles]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.split("|")[1].strip())
def test_a_claim_names_tests_that_exist(row: str) -> None:
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert len(cells) == 5
    assert re.match(r"proved|certified instance|checked|open", cells[3])
    assert cells[4] or cells[3] == "open"
    assert missing(row) == []


def test_the_check_above_can_fail() -> None:
    assert missing("`test_nothing.py::test_a`") == ["test_nothing.py::test_a"]
    assert missing("`test_variance.py::test_nothing`") == ["test_variance.py::test_nothing"]
    assert missing("`test_variance.py::test_references`, `::test_nothing`") == ["::test_nothing"]
    assert missing("[a](#nothing)") == ["nothing"]


def test_sections_have_claims() -> None:
    assert len(rows()) >= 10
    assert set(re.findall(r"^## (.+)$", LEDGER, re.M)) == set(re.findall(r"\| \[\w+\]\(#(\w+)\)", LEDGER))
