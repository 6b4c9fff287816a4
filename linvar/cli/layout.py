"""How wide the terminal is, and text, lists and tables that fit it: words and numbers stay whole."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence

#: columns that are as many as anything takes
_UNBOUNDED = 10_000
#: characters of a number in a table, of what is left of it beside the note, and of a line beside a name
_LONGEST, _LEAST_NOTED, _LEAST_BESIDE = 60, 36, 24


def columns() -> int | None:
    """Of the terminal, or as COLUMNS says; None where the output goes to a file or a pipe and is not wrapped."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and 0 < int(given[:9]) < _UNBOUNDED:
        return int(given)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def wrapped(text: str, hanging: int = 4) -> str:
    """Lines no longer than the terminal is wide, broken between words; what follows is indented.

    >>> os.environ["COLUMNS"] = "20"
    >>> print(wrapped("variance = 2384003/125000 u + 1/2 u^2"))
    variance =
        2384003/125000 u
        + 1/2 u^2
    >>> del os.environ["COLUMNS"]
    """
    width = columns()
    if width is None:
        return text
    lines = []
    for line in text.split("\n"):
        start = line[: len(line) - len(line.lstrip())]
        lines += textwrap.wrap(
            line.strip(),
            width,
            initial_indent=start,
            subsequent_indent=start + " " * hanging,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [""]
    return "\n".join(lines)


def listed(lines: Mapping[str, str]) -> str:
    """Names, and a line about each beside it; below it on a narrow terminal."""
    width, left = columns(), max(map(len, lines)) + 2
    if width is not None and width - left < _LEAST_BESIDE:
        return "\n".join(f"{name}\n{wrapped(f'    {line}', 0)}" for name, line in lines.items())
    return "\n".join(wrapped(f"{name:{left}}{line}", left) for name, line in lines.items())


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], long: int) -> str:
    """A table, its columns right; entries of the column ``long`` are cut in the middle to fit."""
    others = [max(len(row[k]) for row in [headers, *rows]) for k in range(len(headers)) if k != long]
    width = columns()
    room = _LONGEST if width is None else min(_LONGEST, max(width - sum(others) - 2 * len(others), len(headers[long])))
    texts = [
        list(headers),
        *([cut(entry, room) if k == long else entry for k, entry in enumerate(row)] for row in rows),
    ]
    widths = [max(len(row[k]) for row in texts) for k in range(len(headers))]
    lines = ["  ".join(entry.rjust(size) for entry, size in zip(row, widths)) for row in texts]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def cut(text: str, room: int) -> str:
    """A long number, cut in the middle; how long it is where there is room to say so.

    >>> cut("1234567890" * 20, 40), cut("1234567890" * 20, 20)
    ('123456789012...67890 (200 characters)', '12345678901...567890')
    """
    if len(text) <= room:
        return text
    note = f" ({len(text)} characters)" if room >= _LEAST_NOTED else ""
    kept = max(room - len(note) - 3, 2)
    back = kept // 3 + kept % 3 // 2
    return f"{text[: kept - back]}...{text[len(text) - back :]}{note}"


def print_shown(result: object) -> None:
    """A result that is a table, as Rich draws it on a terminal, and as text elsewhere."""
    width = columns()
    if width is None:
        print(result, flush=True)
        return
    from rich.console import Console

    console = Console(highlight=False, width=width)
    with console.capture() as drawn:  # where nobody reads Rich ends with 1, which says REJECT
        console.print(result)
    print(drawn.get(), end="", flush=True)
