"""What a newcomer waits for: seconds of CPU and programs compiled, each row in a process of its own that begins with nothing.

"verify" is of a 2-2-2 problem with one update at three batch sizes, then in the same process of another problem of the same
shapes, and of that at three other batch sizes. The seconds are those of all threads of the process, imports and compilation
included. Run: python benchmarks/first_minute.py [--repeats 3] [--experiments diabetes two-layers digits-mlp]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable

#: what JAX reports of every compilation
_COMPILED = "/jax/core/compile/backend_compile_duration"


def measure(steps: list[tuple[str, Callable[[], object]]]) -> None:
    """Run the steps one after the other; print a line of JSON each: its name, seconds of CPU, programs compiled.

    The first begins where the process did.
    """
    from jax import monitoring

    events: Counter[str] = Counter()
    monitoring.register_event_duration_secs_listener(lambda event, *_, **__: events.update([event]))
    last = 0.0
    for name, step in steps:
        events.clear()
        step()
        now = time.process_time()
        print(json.dumps([name, now - last, events[_COMPILED]]), flush=True)
        last = time.process_time()


def verify_steps() -> list[tuple[str, Callable[[], object]]]:
    """Three calls of ``verify``."""
    import linvar as lv

    def problem(entry: int, rate: str) -> lv.Problem:
        return lv.Problem([[[1, 0], [1, 1]], [[1, entry], [0, 1]]], lv.Gaussian([[1, 0], [0, 2]]), rate, 1)

    return [
        ("verify, b = 1, 4, 16", lambda: lv.verify(problem(1, "1/10"), batch_sizes=[1, 4, 16])),
        ("verify of another problem of these shapes", lambda: lv.verify(problem(2, "1/20"), batch_sizes=[1, 4, 16])),
        ("verify of it, b = 2, 3, 8", lambda: lv.verify(problem(2, "1/20"), batch_sizes=[2, 3, 8])),
    ]


def demo_steps() -> list[tuple[str, Callable[[], object]]]:
    """The demo to its first table."""
    from linvar.cli import demo

    class FirstTable(Exception):
        """Enough."""

    def show(section: object) -> None:
        raise FirstTable

    def first() -> None:
        with contextlib.suppress(FirstTable):
            demo.run_demo(0, show, lambda remark: None)

    return [("linvar demo, to its first table", first)]


def whole_demo_steps() -> list[tuple[str, Callable[[], object]]]:
    """The command."""
    from linvar.cli.app import main

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            main(["demo", "-o", folder])

    return [("linvar demo", run)]


def experiment_steps(name: str) -> list[tuple[str, Callable[[], object]]]:
    """One experiment at its default size."""
    from linvar.experiments import run_experiment

    def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            run_experiment(name, directory=folder, progress=False)

    return [(f"linvar experiment {name}", run)]


PARTS = {"verify": verify_steps, "first table": demo_steps, "demo": whole_demo_steps}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--experiments", nargs="*", default=["diabetes", "two-layers", "digits-mlp"])
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        make = PARTS.get(options.part)
        measure(make() if make else experiment_steps(options.part))
        return
    found: dict[str, list[tuple[float, int]]] = {}
    for _ in range(options.repeats):
        for part in [*PARTS, *options.experiments]:
            command = [sys.executable, __file__, "--part", part]
            lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
            for name, seconds, programs in map(json.loads, lines):
                found.setdefault(name, []).append((seconds, programs))
    print("| what | CPU seconds, median | programs compiled |\n|:--|--:|--:|")
    for name, rows in found.items():
        print(f"| {name} | {statistics.median(row[0] for row in rows):.1f} | {rows[0][1]} |")


if __name__ == "__main__":
    main()
