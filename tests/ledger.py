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

#: How a test says why it was skipped where the proof checker is not there, or is another one
NOT_CHECKED = "not machine-checked"


@dataclass(frozen=True)
class Claim:
    """One row."""

    name: str
    status: str
    file: str
    tests: tuple[Test, ...]
    #: those of the tests that are marked slow, and said to be
    slow: frozenset[Test] = frozenset()
    #: those of them that need coqc: alone they may be skipped, where it is not there
    coqc: frozenset[Test] = frozenset()

    @property
    def theorems(self) -> list[Test]:
        """What the status says is machine-checked: (file, theorem) of proofs/rocq."""
        return re.findall(r"`(\w+\.v)::(\w+)`", self.status)


def claims(text: str | None = None) -> list[Claim]:
    """All rows of the ledger (or of a text like it)."""
    text = (PROOFS / "README.md").read_text(encoding="utf-8") if text is None else text
    result = []
    for line in [line for line in text.splitlines() if line.startswith("|")][2:]:
        name, _, _, status, file, tests = (cell.strip() for cell in line.split("|")[1:-1])
        named: list[Test] = []
        slow, coqc, source = set(), set(), ""
        for module, function, heavy in re.findall(r"`(\w+\.py)?::(\w+)`(?: \((slow|coqc)\))?", tests):
            source = module or source
            named.append((source, function))
            if heavy:
                slow.add((source, function))
            if heavy == "coqc":
                coqc.add((source, function))
        where = "".join(re.findall(r"\((.+?)\)", file))
        result.append(Claim(name, status, where, tuple(named), frozenset(slow), frozenset(coqc)))
    return result


def record(outcomes: dict[str, str], node: str, outcome: str) -> None:
    """Keep what became of a test: "passed" holds only as long as nothing else is said of it."""
    if outcome != "passed" or node not in outcomes:
        outcomes[node] = outcome


def by_test(outcomes: Mapping[str, str]) -> dict[Test, set[str]]:
    """What became of the instances of each test."""
    instances: dict[Test, set[str]] = defaultdict(set)
    for node, outcome in outcomes.items():
        file, _, function = node.partition("::")
        instances[Path(file).name, function.partition("[")[0]].add(outcome)
    return instances


def not_checked(all_claims: list[Claim], outcomes: Mapping[str, str]) -> list[str]:
    """Claims that this run was to check by machine and did not: there is no coqc, or another MathComp."""
    instances = by_test(outcomes)
    return [claim.name for claim in all_claims if any(NOT_CHECKED in instances.get(test, set()) for test in claim.coqc)]


def not_run(all_claims: list[Claim], outcomes: Mapping[str, str], *, slow: bool = False) -> list[str]:
    """Claims with a test that did not run whole, each with that test and why.

    A test ran if an instance of it passed and every other one did, too: none was skipped, failed, or left out. Those that need
    coqc may be skipped where it is not there; ``not_checked`` has their claims.

    Args:
        outcomes: node id -> "passed", or what else became of it.
        slow: whether tests marked slow were to run; those of a claim are not asked for otherwise.
    """
    instances = by_test(outcomes)
    silent = []
    for claim in all_claims:
        for test in claim.tests:
            found = instances.get(test, {"not collected"})
            if test in claim.coqc and NOT_CHECKED in found:
                found = found - {NOT_CHECKED} | {"passed"}
            if found != {"passed"} and (slow or test not in claim.slow):
                why = ", ".join(sorted(found - {"passed"}))
                silent.append(f"{claim.name} ({test[0]}::{test[1]}: {why})")
                break
    return silent
