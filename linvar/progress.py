"""Progress of long work: what it will cost, said before it starts, and a bar on standard error while it runs.

One display serves a terminal: work inside work shown already is a further row of it, whoever started it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any, TypeAlias

Report: TypeAlias = Callable[[int, int | None], object]

#: Work predicted to take more seconds than this is announced and shown by default, where somebody sees it.
LONG = 10.0
#: What is not predicted is shown after this many seconds.
PATIENCE = 2.0
_DISPLAY: ContextVar[Any] = ContextVar("linvar_display", default=None)


@contextmanager
def reporting(progress: bool | Report | None, what: str, cost: str = "", seconds: float = 0.0) -> Iterator[Report]:
    """A function to call as ``report(done, total)``, total None where it is not known.

    Args:
        progress: True for a bar (a spinner until something is counted), a function to be called, False for silence; None
            for a bar if the work is long and standard error is a terminal, or a notebook that can draw one.
        what: one or two words before the bar.
        cost: what the work will take, in words; one line on standard error before a bar if the work is long.
        seconds: its predicted time; more than ``LONG`` is long.

    Raises:
        TypeError: ``progress`` is something else.
    """
    if progress is not None and not isinstance(progress, bool):
        if not callable(progress):
            raise TypeError(f"progress={progress!r}: give True, False, None or a function of (done, total)")
        yield progress
        return
    long = seconds > LONG
    if progress is None:
        progress = long and is_watched()
    if not progress:
        yield lambda done, total: None
        return
    if long and cost:
        print(f"linvar: {cost}", file=sys.stderr, flush=True)
    with _row(what, 0.0) as report:
        yield report


@contextmanager
def waiting(what: str) -> Iterator[Report]:
    """As ``reporting``, for work of unknown length: shown once it has taken two seconds, where somebody sees it."""
    if not is_watched():
        yield lambda done, total: None
        return
    with _row(what, PATIENCE) as report:
        yield report


def is_watched() -> bool:
    """Whether standard error is a terminal, or belongs to a notebook that can draw a bar."""
    if sys.stderr is not None and sys.stderr.isatty():
        return True
    return "ipykernel" in sys.modules and find_spec("ipywidgets") is not None


@contextmanager
def _row(what: str, patience: float) -> Iterator[Report]:
    """A row of the display, which is opened after so many seconds if there is none; spinners wait out of sight."""
    display = _DISPLAY.get()
    if display is None:
        with _opened(patience) as display, _row(what, patience) as report:
            yield report
        return
    hidden = [task.id for task in display.tasks if task.visible and not (task.total or task.completed)]
    for other in hidden:
        display.update(other, visible=False)
    row = display.add_task(what, total=None)
    if not patience:
        display.start()
    try:
        yield lambda done, total: display.update(row, completed=done, total=total)
    finally:
        display.remove_task(row)
        for other in hidden:
            display.update(other, visible=True)


@contextmanager
def _opened(patience: float) -> Iterator[Any]:
    """The display of this terminal, closed at the end; it appears after so many seconds, or when a row starts it."""
    from rich.console import Console
    from rich.progress import Progress

    # what is printed meanwhile goes above the display, except to a file that takes standard output
    both = sys.stdout is not None and sys.stdout.isatty()
    display = Progress(*_columns(), console=Console(stderr=True), transient=True, redirect_stdout=both)
    timer = threading.Timer(patience, display.start)
    timer.daemon = True
    timer.start()
    token = _DISPLAY.set(display)
    try:
        yield display
    finally:
        _DISPLAY.reset(token)
        timer.cancel()
        timer.join()
        display.live.stop()


def _columns() -> list[Any]:
    """A spinner, what is done, and, once something is counted, a bar."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    class Counted(ProgressColumn):
        """A column that is empty while nothing is counted."""

        def __init__(self, column: ProgressColumn) -> None:
            self.column = column
            super().__init__()

        def render(self, task: Any) -> Any:
            return self.column(task) if task.total is not None or task.completed else ""

    counted = [Counted(column) for column in (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())]
    return [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), *counted]
