"""What a run of the tests says at its end."""

from __future__ import annotations

from collections import Counter
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many random problems each road was taken on (``record_property("roads", counts)``; with xdist too)."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, ())]
    found = [value for report in reports for name, value in report.user_properties if name == "roads"]
    counts = sum(map(Counter, found), Counter[str]())
    if counts:
        problems = counts.pop("problems")
        roads = ", ".join(f"{road} {count}" for road, count in counts.most_common())
        terminalreporter.write_line(f"Roads that gave identical fractions on {problems} random problems: {roads}")
