"""Progress of a long loop: a bar on standard error, or whatever the caller does with the counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

Report: TypeAlias = Callable[[int, int | None], object]


@contextmanager
def reporting(progress: bool | Report | None, what: str) -> Iterator[Report]:
    """A function to call as ``report(done, total)``, total None where it is not known.

    Args:
        progress: True for a bar, a function to be called, or None (or False) for silence.
        what: one or two words before the bar.
    """
    if progress is None or progress is False:
        yield lambda done, total: None
    elif progress is not True:
        yield progress
    else:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
