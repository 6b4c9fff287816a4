"""The rows of proofs/README.md and the tests they name; the root conftest.py checks that all of those ran."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent
PROOFS = TESTS.parent / "proofs"

Test = tuple[str, str]  # (file, function)


@dataclass(frozen=True)
class Claim:
    """One row."""

    name: str
    status: str
    file: str
    tests: tuple[Test, ...]
    #: those of the tests that are marked slow, and said to be
    slow: frozenset[Test] = frozenset()


def claims(text: str | None = None) -> list[Claim]:
    """All rows of the ledger (or of a text like it)."""
    text = (PROOFS / "README.md").read_text(encoding="utf-8") if text is None else text
    result = []
    for line in [line for line in text.splitlines() if line.startswith("|")][2:]:
        name, _, _, status, file, tests = (cell.strip() for cell in line.split("|")[1:-1])
        named: list[Test] = []
        slow, source = set(), ""
        for module, function, heavy in re.findall(r"`(\w+\.py)?::(\w+)`( \(slow\))?", tests):
            source = module or source
            named.append((source, function))
            if heavy:
                slow.add((source, function))
        result.append(Claim(name, status, "".join(re.findall(r"\((.+?)\)", file)), tuple(named), frozenset(slow)))
    return result


def record(outcomes: dict[str, str], node: str, outcome: str) -> None:
    """Keep what became of a test: "passed" holds only as long as nothing else is said of it."""
    if outcome != "passed" or node not in outcomes:
        outcomes[node] = outcome


def not_run(all_claims: list[Claim], outcomes: Mapping[str, str], *, slow: bool = False) -> list[str]:
    """Claims with a test that did not run whole, each with that test and why.

    A test ran if an instance of it passed and every other one did, too: none was skipped, failed, or left out.

    Args:
        outcomes: node id -> "passed", or what else became of it.
        slow: whether tests marked slow were to run; those of a claim are not asked for otherwise.
    """
    instances: dict[Test, set[str]] = defaultdict(set)
    for node, outcome in outcomes.items():
        file, _, function = node.partition("::")
        instances[Path(file).name, function.partition("[")[0]].add(outcome)
    silent = []
    for claim in all_claims:
        for test in claim.tests:
            found = instances.get(test, {"not collected"})
            if found != {"passed"} and (slow or test not in claim.slow):
                why = ", ".join(sorted(found - {"passed"}))
                silent.append(f"{claim.name} ({test[0]}::{test[1]}: {why})")
                break
    return silent
