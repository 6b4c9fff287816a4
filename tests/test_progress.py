"""What long work says before it starts and shows while it runs: bars on a terminal, elsewhere a line every few seconds."""

from __future__ import annotations

import builtins
import io
import json
import os
import subprocess
import sys
import threading
import time

import pytest

import linvar as lv
from linvar import progress
from linvar.errors import InputTypeError
from linvar.progress import reporting, waiting
from linvar.symbolic.roads.expansion.integrator import ExpandedAt

PROBLEM = lv.Problem([[[1]], [[2]]], lv.Gaussian([[3]]), "1/10", 1)


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def open_terminal(monkeypatch):
    """A function that lets a terminal take standard error (in the test itself: pytest sets it anew for each phase)."""

    def opened():
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return opened


@pytest.fixture
def everything_is_long(monkeypatch):
    """Every derivation counts as a long one."""
    monkeypatch.setattr(progress, "LONG", 0.0)


# what derivations do


def test_a_long_derivation_says_what_it_costs_before_it_starts(monkeypatch, open_terminal, everything_is_long):
    terminal = open_terminal()
    seen = []
    compute = ExpandedAt.expectations

    def watched(*arguments):
        seen.append(terminal.getvalue())
        return compute(*arguments)

    monkeypatch.setattr(ExpandedAt, "expectations", watched)
    assert lv.gradient_variance(PROBLEM).degree == 6
    plan = lv.plan(PROBLEM).choice
    line = f"linvar: expansion: {plan.size}, about 0.00"
    assert seen[0].startswith(line) and terminal.getvalue().count("linvar: ") == 1
    assert "expansion" in seen[0].partition("\n")[2]  # and shows a spinner
    assert sys.stderr is terminal


def test_a_short_one_is_silent(open_terminal):
    terminal = open_terminal()
    assert lv.plan(PROBLEM).choice.seconds < progress.LONG
    lv.gradient_variance(PROBLEM)
    assert terminal.getvalue() == ""


def test_silence_where_it_is_asked_for(monkeypatch, open_terminal, everything_is_long):
    terminal = open_terminal()
    lv.gradient_variance(PROBLEM, progress=False)
    monkeypatch.setattr(sys, "stderr", None)
    lv.gradient_variance(PROBLEM)
    assert terminal.getvalue() == ""


def test_true_shows_a_bar_of_a_short_derivation_too(open_terminal):
    terminal = open_terminal()
    lv.gradient_variance(PROBLEM, progress=True)
    assert "expansion" in terminal.getvalue() and "linvar:" not in terminal.getvalue()


def test_the_lattice_road_shows_a_bar_with_counts(open_terminal, everything_is_long):
    terminal = open_terminal()
    assert lv.expected_loss(PROBLEM, lv.Lattice()) == lv.expected_loss(PROBLEM, progress=False)
    line, _, shown = terminal.getvalue().partition("\n")
    assert line.startswith("linvar: lattice: ") and " nodes, about " in line
    assert "lattice" in shown and " 0/" in shown


def test_a_function_is_called_and_nothing_is_shown(open_terminal, everything_is_long, tmp_path):
    terminal = open_terminal()
    for quantity in (lv.expected_loss, lv.expected_weights, lv.weight_covariance):
        counts, path = [], tmp_path / f"{quantity.__name__}.json"
        report = lambda done, total: counts.append((done, total))  # noqa: B023, E731
        found = quantity(PROBLEM, lv.Lattice(checkpoint=path), progress=report)
        assert counts[0][0] == 0 and counts[-1][0] == counts[-1][1] > 0
        assert found == quantity(PROBLEM, progress=False) and path.exists()
    assert terminal.getvalue() == ""


@pytest.mark.parametrize(
    "ask, expected",
    [
        (lambda: lv.large_batch(PROBLEM, 1).variance, "linvar: large_batch: up to u^1, 12 digits each, "),
        (lambda: lv.large_batch(PROBLEM, 1, digits=5).second_moment, "linvar: large_batch: up to u^1, "),
        (lambda: lv.derive(PROBLEM).loss, "(predicted for the variance)\n"),
        (lambda: lv.squared_mean(PROBLEM), "(predicted for the variance)\n"),
        (lambda: lv.expected_weights(PROBLEM), "(predicted for the variance)\n"),
    ],
)
def test_what_the_line_says(open_terminal, everything_is_long, ask, expected):
    terminal = open_terminal()
    ask()
    (said,) = lines_of(terminal)
    assert expected in said and ", about " in said


def lines_of(terminal):
    """What was said before something started."""
    return [line for line in terminal.getvalue().splitlines(keepends=True) if line.startswith("linvar: ")]


def test_each_quantity_says_it_when_it_is_asked_for(open_terminal, everything_is_long):
    """One line each, the first time; nothing before, and nothing for what is known."""
    terminal = open_terminal()
    first, second = lv.derive_steps(PROBLEM, [0, 1])
    cut = lv.large_batch(PROBLEM, 1)
    assert terminal.getvalue() == ""
    for exact in (first, second, cut):
        for _ in range(2):
            assert exact.variance is exact.variance
    said = lines_of(terminal)
    assert [line.split(":")[1] for line in said] == [" expansion", " expansion", " large_batch"] and len({*said}) == 3
    assert first.plan.cost in said[0] and second.plan.cost in said[1] and cut.plan.cost in said[2]


@pytest.mark.parametrize("wrong", ["yes", 1, 0.5, [None]])
def test_a_progress_that_is_neither_is_refused(wrong):
    functions = [
        lambda: lv.gradient_variance(PROBLEM, progress=wrong),
        lambda: lv.verify(PROBLEM, runs=8, batch_sizes=[1], progress=wrong),
        lambda: lv.search_nonmonotone(2, seconds=0.01, progress=wrong),
        lambda: lv.search_nonmonotone(1, progress=wrong),
    ]
    for function in functions:
        with pytest.raises(InputTypeError, match="give True, False, None or a function of \\(done, total\\)") as caught:
            function()
        assert caught.value.argument == "progress" and caught.value.value is wrong


@pytest.fixture(params=["verify", "search", "search of one layer", "variance"])
def work(request):
    """A public function that takes progress=, on something small."""
    return {
        "verify": lambda **options: lv.verify(PROBLEM, runs=64, batch_sizes=[1, 2], **options),
        "search": lambda **options: lv.search_nonmonotone(2, seconds=0.01, **options),
        "search of one layer": lambda **options: lv.search_nonmonotone(1, **options),
        "variance": lambda **options: lv.gradient_variance(PROBLEM, **options),
    }[request.param], request.param


def test_progress_has_one_meaning_everywhere(work, open_terminal):
    function, name = work
    counts = []
    for progress_ in (False, lambda *now: counts.append(now)):
        terminal = open_terminal()
        function(progress=progress_)
        assert terminal.getvalue() == ""
    assert all(total is None or 0 <= done <= total for done, total in counts)
    assert counts or name in ("variance", "search of one layer")  # nothing is counted there
    terminal = open_terminal()
    function(progress=True)
    assert terminal.getvalue() != "" and progress._DISPLAY.get() is None


@pytest.mark.parametrize("name", ["verify", "search"])
def test_what_a_function_raises_is_raised(name):
    class Stop(Exception):
        pass

    def stop(done, total):
        raise Stop

    with pytest.raises(Stop):
        if name == "verify":
            lv.verify(PROBLEM, runs=64, batch_sizes=[1], progress=stop)
        else:
            lv.search_nonmonotone(2, seconds=0.01, progress=stop)
    assert progress._DISPLAY.get() is None


# the one display


def test_unpredicted_work_is_shown_once_it_is_slow(monkeypatch, open_terminal):
    terminal = open_terminal()

    def shown(patience, stream):
        monkeypatch.setattr(progress, "PATIENCE", patience)
        monkeypatch.setattr(sys, "stderr", stream)
        with waiting("working hard"):
            time.sleep(0.4)
        return "working hard" in stream.getvalue()

    assert shown(0.05, terminal)
    assert not shown(30, Terminal())
    assert not shown(0.05, io.StringIO())


def test_work_inside_work_is_a_row_of_the_same_display(open_terminal):
    open_terminal()

    def visible():
        return [task.description for task in progress._DISPLAY.get().bar.tasks if task.visible]

    with waiting("outer"):
        display = progress._DISPLAY.get()
        assert [row.what for row in display.rows] == ["outer"] and display.bar is None
        with reporting(True, "inner") as report:
            assert progress._DISPLAY.get() is display and display.bar.live.is_started
            assert visible() == ["inner"]
            report(1, 4)
            with reporting(True, "innermost"):
                assert visible() == ["inner", "innermost"]  # what counts stays
                task = display.bar.tasks[1]
                assert (task.completed, task.total) == (1, 4)
        assert visible() == ["outer"]
    assert progress._DISPLAY.get() is None and not display.bar.live.is_started


def test_an_error_closes_the_display(open_terminal):
    terminal = open_terminal()
    with pytest.raises(KeyboardInterrupt), reporting(True, "work"):
        raise KeyboardInterrupt
    assert progress._DISPLAY.get() is None and sys.stderr is terminal
    assert "\x1b[2K" in terminal.getvalue().rpartition("work")[2]  # the line is cleared


def test_what_is_printed_meanwhile_reaches_standard_output(open_terminal, capsys):
    terminal = open_terminal()
    with reporting(True, "work"):
        print("a result")
    assert capsys.readouterr().out == "a result\n" and "a result" not in terminal.getvalue()


def test_a_notebook_is_looked_at_if_it_can_draw(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert not progress.is_watched()
    monkeypatch.setitem(sys.modules, "ipykernel", builtins)
    monkeypatch.setattr(progress, "find_spec", {"ipywidgets": builtins}.get)
    assert progress.is_watched()
    monkeypatch.setattr(progress, "find_spec", {}.get)
    assert not progress.is_watched()


# where nobody watches


@pytest.fixture
def lines(monkeypatch):
    """A function that lets a file take standard error, in which lines come often."""
    monkeypatch.setattr(progress, "EVERY", 0.1)

    def opened():
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return opened


@pytest.mark.parametrize("asked, seconds", [(None, 0.0), (None, 3.0), (None, 100.0), (True, 0.0)])
def test_long_work_writes_a_line_every_few_seconds(lines, asked, seconds):
    stream = lines()
    with reporting(asked, "lattice", "lattice: 35 nodes, about 2 minutes", seconds) as report:
        report(0, 35)
        time.sleep(0.15)
        report(12, 35)
        time.sleep(0.4)
    said = stream.getvalue().splitlines()
    if seconds > progress.LONG:
        assert said.pop(0) == "linvar: lattice: 35 nodes, about 2 minutes"
    assert said[0] == "linvar: lattice: 0 of 35, 0 s" or said[0] == "linvar: lattice: 12 of 35, 0 s"
    assert said[-1] in ("linvar: lattice: 12 of 35, 0 s", "linvar: lattice: 12 of 35, 1 s") and 2 <= len(said) <= 6


def test_short_work_writes_nothing(monkeypatch, lines):
    monkeypatch.setattr(progress, "EVERY", 30.0)
    stream = lines()
    for asked in (None, True):
        with reporting(asked, "work", "work: 2 hours", 7200.0) as report:
            report(1, 2)
    with waiting("work"):
        pass
    assert stream.getvalue() == ""


def test_lines_of_work_inside_work(lines):
    """The innermost that counts speaks, and work that is silent, or has a function, keeps what is inside silent."""
    stream = lines()
    with waiting("deriving"):
        time.sleep(0.25)
        with reporting(None, "lattice", "lattice: 2 hours", 7200.0) as report:
            report(3, None)
            with reporting(None, "nodes"):
                time.sleep(0.25)
    said = stream.getvalue().splitlines()
    assert said[0] == "linvar: deriving: 0 s"
    assert said[said.index("linvar: lattice: 2 hours") :][1] == "linvar: lattice: 3, 0 s"
    for silent in (False, lambda done, total: None):
        stream = lines()
        with reporting(silent, "outer"), reporting(None, "inner", "inner: 2 hours", 7200.0):
            time.sleep(0.25)
        assert stream.getvalue() == ""


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
def test_the_thread_ends_with_the_work_and_writes_nothing_after_it(lines, error):
    stream = lines()
    before = threading.active_count()

    def body():
        with waiting("work"):
            time.sleep(0.25)
            if error is not None:
                raise error

    if error is None:
        body()
    else:
        with pytest.raises(error):
            body()
    said = stream.getvalue()
    assert "work" in said and threading.active_count() == before
    time.sleep(0.3)
    assert stream.getvalue() == said


def test_a_standard_error_that_fails_does_not_end_the_work(monkeypatch, lines):
    stream = lines()
    monkeypatch.setattr(stream, "write", lambda _text: (_ for _ in ()).throw(BrokenPipeError()))
    with waiting("work"):
        time.sleep(0.25)
    stream = lines()
    stream.close()
    with waiting("work"):
        time.sleep(0.25)


def test_a_dumb_terminal_gets_lines(monkeypatch, open_terminal):
    terminal = open_terminal()
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(progress, "EVERY", 0.1)
    with reporting(True, "work"):
        time.sleep(0.25)
    assert "\x1b" not in terminal.getvalue() and terminal.getvalue().startswith("linvar: work: 0 s\n")


def test_a_search_in_a_pipe_is_not_silent(lines):
    stream = lines()
    lv.search_nonmonotone(2, seconds=2)
    assert "linvar: search: " in stream.getvalue()


# the command line on a terminal


def on_a_terminal(code):
    """Standard output (a pipe) and standard error (a terminal) of a program."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True, env=environment) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # Linux: the other end is closed
                break
            if not part:
                break
            shown += part
        out = process.stdout.read()
        assert process.wait(timeout=60) == 0
    os.close(ours)
    return out, shown.decode()


def test_json_stays_one_object_while_the_terminal_shows_progress():
    code = "import linvar.progress as p; p.LONG = 0.0; from linvar.cli.app import main"
    out, shown = on_a_terminal(f"{code}; raise SystemExit(main(['derive', 'two-layer', '--json']))")
    assert json.loads(out)["degree"] == 6 and out.count("\n") == 1
    assert shown.startswith("linvar: expansion: 84 monomials, about ") and shown.count("linvar: ") == 1
    out, shown = on_a_terminal("from linvar.cli.app import main; main(['derive', 'two-layer', '--json'])")
    assert json.loads(out)["degree"] == 6 and shown == ""
