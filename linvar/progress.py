"""Progress of long work: what it will cost, said before it starts, and how far it has come while it runs, on standard error.

A terminal (or a notebook) shows bars; anything else gets a plain line every few seconds. One display serves both: work inside
work shown already is a further row of it, whoever started it, and is silent inside work that is to be silent.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeAlias

from linvar.errors import InputTypeError, one_line

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress as Bars
    from rich.progress import ProgressColumn, Task, TaskID

#: what ``progress=`` takes a function of: (done, total), total None where it is not known
Progress: TypeAlias = Callable[[int, int | None], object]

#: Work predicted to take more seconds than this is announced, and shown from its start where somebody watches.
LONG = 10.0
#: Any other work is shown once it has taken so many seconds.
PATIENCE = 2.0
#: Seconds between two lines where nobody watches, and before the first.
EVERY = 5.0


@contextmanager
def reporting(progress: bool | Progress | None, what: str, cost: str = "", seconds: float = 0.0) -> Iterator[Progress]:
    """A function to call as ``tell(done, total)``, total None where it is not known.

    A bar is drawn on a terminal, or in a notebook that can draw one; otherwise a line is written every few seconds, as
    ``linvar: lattice: 12 of 35, 41 s``.

    Args:
        progress: None shows work that is long (so predicted, or found to be so after some seconds); True shows a bar from the
            start; False is silent; a function is called as ``function(done, total)``, and nothing is shown.
        what: one or two words before the bar.
        cost: what the work will take, in words; one line before anything else is shown, if the work is predicted to be long.
        seconds: its predicted time; more than ``LONG`` is long.

    Raises:
        InputTypeError: ``progress`` is something else. What a function given raises is raised.
    """
    if progress is not None and not isinstance(progress, bool):
        if not callable(progress):
            raise InputTypeError("progress", progress, "give True, False, None or a function of (done, total)")
        with _inside(_SILENT):
            yield progress
    elif progress is False or (progress is None and _DISPLAY.get() is _SILENT):
        with _inside(_SILENT):
            yield say_nothing
    else:
        long = seconds > LONG
        with _row(what, cost if long else "", 0.0 if progress or long else PATIENCE) as tell:
            yield tell


@contextmanager
def waiting(what: str) -> Iterator[Progress]:
    """As ``reporting`` with None, for work of unknown length."""
    with reporting(None, what) as tell:
        yield tell


def is_watched() -> bool:
    """Whether standard error is a terminal that can draw, or belongs to a notebook that can."""
    with contextlib.suppress(OSError, ValueError):  # a closed one
        if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown"):
            return True
    return "ipykernel" in sys.modules and find_spec("ipywidgets") is not None


def say_nothing(done: int, total: int | None) -> None:
    """Progress that nobody asked for."""


@dataclass
class _Work:
    """A row: what is done of it, since when."""

    what: str
    begin: float
    done: int = 0
    total: int | None = None
    cost: str = ""
    task: TaskID | None = None

    @property
    def is_counted(self) -> bool:
        return bool(self.total or self.done)

    @property
    def line(self) -> str:
        """``lattice: 12 of 35, 41 s``."""
        count = "" if not self.is_counted else f"{self.done:,}" + (f" of {self.total:,}, " if self.total else ", ")
        elapsed = time.monotonic() - self.begin
        return (
            f"{self.what}: {count}{elapsed:.0f} s" if elapsed < 600 else f"{self.what}: {count}{elapsed / 60:.0f} min"
        )


@dataclass(eq=False)
class Display:
    """The rows of one piece of work and of the work inside it; a thread of its own shows them when their time has come.

    Attributes:
        rows: outermost first.
        bar: the drawing on a terminal; None before it has begun, and where lines are written.
    """

    watched: bool
    rows: list[_Work] = field(default_factory=list)
    bar: Bars | None = None
    _due: float = float("inf")
    _ended: bool = False
    _thread: threading.Thread | None = None
    _change: threading.Condition = field(default_factory=threading.Condition)

    def add(self, row: _Work, patience: float) -> None:
        """A row, to be shown after so many seconds unless it ends before."""
        with self._change:
            self.rows.append(row)
            if self.bar is not None:
                self._announce()
                self._draw(self.bar)
            elif self.watched and not patience:
                self._open()
            else:
                self._due = min(self._due, row.begin + (patience if self.watched else EVERY))
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="linvar progress", daemon=True)
                    self._thread.start()
                self._change.notify()

    def update(self, row: _Work, done: int, total: int | None) -> None:
        """What is done of a row."""
        row.done, row.total = done, total
        if self.bar is not None and (task := row.task) is not None:
            self.bar.update(task, completed=done, total=total, visible=self._is_visible(row))

    def remove(self, row: _Work) -> None:
        """A row whose work has ended."""
        with self._change:
            self.rows.remove(row)
            self._ended = not self.rows
            task, row.task = row.task, None
            if self.bar is not None and task is not None:
                self.bar.remove_task(task)
                self._draw(self.bar)

    def close(self) -> None:
        """Nothing is written once this returns."""
        with self._change:
            self._ended = True
            self._change.notify()
        if self._thread is not None:
            self._thread.join()
        if self.bar is not None:
            self.bar.live.stop()

    def _run(self) -> None:
        """The thread: a bar that appears when it is due, or a line whenever one is."""
        with self._change:
            while not self._ended and self.bar is None:
                now = time.monotonic()
                if now < self._due:
                    self._change.wait(min(self._due - now, threading.TIMEOUT_MAX))
                elif self.watched:
                    self._open()
                else:
                    self._announce()
                    _write(self._current.line)
                    self._due = now + EVERY

    @property
    def _current(self) -> _Work:
        """The innermost row that counts something, or the innermost."""
        return next((row for row in reversed(self.rows) if row.is_counted), self.rows[-1])

    def _announce(self) -> None:
        """What the work will cost, once."""
        for row in self.rows:
            if row.cost:
                _write(row.cost)
                row.cost = ""

    def _open(self) -> None:
        """Begin to draw."""
        from rich.console import Console
        from rich.progress import Progress as Bars

        self._announce()
        # what is printed meanwhile goes above the display, except to a file that takes standard output
        both = sys.stdout is not None and sys.stdout.isatty()
        self.bar = Bars(*_columns(), console=Console(stderr=True), transient=True, redirect_stdout=both)
        self._draw(self.bar)
        self.bar.start()

    def _draw(self, bar: Bars) -> None:
        """Every row as a task of the drawing; one that counts nothing waits out of sight while others run inside it."""
        for row in self.rows:
            if row.task is None:
                row.task = bar.add_task(row.what, total=row.total, completed=row.done)
            bar.update(row.task, visible=self._is_visible(row))

    def _is_visible(self, row: _Work) -> bool:
        return row.is_counted or row is self.rows[-1]


#: Stands for the display inside work that is to be silent.
_SILENT = Display(watched=False)
_DISPLAY: ContextVar[Display | None] = ContextVar("linvar_display", default=None)


@contextmanager
def _inside(display: Display) -> Iterator[None]:
    """The display of all work started inside."""
    token = _DISPLAY.set(display)
    try:
        yield
    finally:
        _DISPLAY.reset(token)


@contextmanager
def _row(what: str, cost: str, patience: float) -> Iterator[Progress]:
    """A row of the display that is there, or of a new one."""
    display = _DISPLAY.get()
    if display is None or display is _SILENT:
        display = Display(is_watched())
        try:
            with _inside(display), _row(what, cost, patience) as tell:
                yield tell
        finally:
            display.close()
        return
    row = _Work(one_line(what), time.monotonic(), cost=cost)
    display.add(row, patience)
    try:
        yield lambda done, total: display.update(row, done, total)
    finally:
        display.remove(row)


def _write(line: str) -> None:
    """A line on standard error; where it cannot be written the work goes on."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            print(f"linvar: {line}", file=sys.stderr, flush=True)


def _columns() -> list[ProgressColumn]:
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

        def render(self, task: Task) -> RenderableType:
            return self.column(task) if task.total is not None or task.completed else ""

    counted = [Counted(column) for column in (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())]
    return [SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), *counted]
