"""The rows of proofs/README.md and the tests they name; the root conftest.py checks that those ran."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent
PROOFS = TESTS.parent / "proofs"


@dataclass(frozen=True)
class Claim:
    """One row."""

    name: str
    status: str
    file: str
    tests: tuple[tuple[str, str], ...]  # (file, function)


def claims(text: str | None = None) -> list[Claim]:
    """All rows of the ledger (or of a text like it)."""
    text = (PROOFS / "README.md").read_text(encoding="utf-8") if text is None else text
    result = []
    for line in [line for line in text.splitlines() if line.startswith("|")][2:]:
        name, _, _, status, file, tests = (cell.strip() for cell in line.split("|")[1:-1])
        named, source = [], ""
        for module, function in re.findall(r"`(\w+\.py)?::(\w+)`", tests):
            source = module or source
            named.append((source, function))
        result.append(Claim(name, status, "".join(re.findall(r"\((.+?)\)", file)), tuple(named)))
    return result


def not_run(all_claims: list[Claim], passed: set[str]) -> list[str]:
    """Claims none of whose tests is among the node ids that passed."""
    done = set()
    for node in passed:
        file, _, function = node.partition("::")
        done.add((Path(file).name, function.partition("[")[0]))
    return [claim.name for claim in all_claims if claim.tests and not done & set(claim.tests)]
