"""What a run of the tests covered, room by room: the lines of ``coverage json`` added up. rooms.py FILE"""

import json
import sys
from collections import defaultdict
from pathlib import Path


def room(file: str) -> str:
    """A folder of a half, another folder of the package, or a file on its first floor."""
    parts = Path(file).with_suffix("").parts
    inside = parts[len(parts) - 1 - parts[::-1].index("linvar") + 1 :]
    return "/".join(inside[:2] if inside[0] in ("symbolic", "numeric") else inside[:1])


def table(files: dict[str, dict[str, dict[str, int]]]) -> str:
    """One line a room: lines, those that no test ran, and the part that some test did."""
    lines: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for file, found in files.items():
        for name in (room(file), "all of it"):
            lines[name][0] += found["summary"]["num_statements"]
            lines[name][1] += found["summary"]["missing_lines"]
    rows = [f"{'room':32}{'lines':>8}{'not run':>9}{'covered':>9}"]
    for name in sorted(lines, key=lambda name: (name == "all of it", name)):
        count, missing = lines[name]
        rows.append(f"{name:32}{count:8}{missing:9}{100 * (count - missing) / max(count, 1):8.1f}%")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["files"]))
