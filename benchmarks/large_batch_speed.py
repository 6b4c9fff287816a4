"""Seconds of a large-batch expansion in a warm process, median of several runs, beside what was predicted.

    python benchmarks/large_batch_speed.py [--repeats 5] [--long]

Widths 2-2-2, learning rate 1/10, the weights of the reference values. Each expansion is derived once to warm up, then
``repeats`` times; nothing is cached between derivations. ``--long`` adds the cases of more than a few seconds.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time

import linvar as lv
from linvar.symbolic.sgd.steps import Steps

PROBLEM = lv.Problem([[[1, 0], [1, 1]], [[1, 1], [0, 1]]], lv.Gaussian([[1, 0], [0, 2]]), "1/10")

#: steps, order, certified digits (None: exact), target in seconds on two cores (None: none)
ROWS: list[tuple[int, int, int | None, float | None]] = [
    (6, 1, None, 0.1),
    (6, 2, None, 5),
    (10, 1, None, 2),
    (10, 1, 30, 5),
    (10, 2, 30, 5),
    (100, 1, 30, None),
    (100, 2, 30, None),
]
LONG: list[tuple[int, int, int | None, float | None]] = [(9, 2, None, None), (12, 1, None, None), (10, 3, 30, None)]


def derive(step: int, order: int, digits: int | None) -> lv.LargeBatchExpansion:
    """The variance's first coefficients."""
    return lv.large_batch(PROBLEM.replace(step=step), order, digits, progress=False, memory_limit=1e15).variance


def median_seconds(step: int, order: int, digits: int | None, repeats: int) -> float:
    """Median wall time after one warm-up."""
    derive(step, order, digits)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        derive(step, order, digits)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def length(step: int, order: int, digits: int | None) -> str:
    """Digits of the numerator of the first coefficient."""
    if digits is not None:
        return f"{digits} certified"
    return f"{len(str(derive(step, order, digits).coefficients[1]).split('/')[0]):,}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--long", action="store_true")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, medians of {arguments.repeats}\n")
    print(
        "| t | up to | digits | seconds | target | predicted digits | predicted seconds |\n|---:|---|---:|---:|---:|---:|---:|"
    )
    for step, order, digits, target in [*ROWS, *(LONG if arguments.long else [])]:
        seconds = median_seconds(step, order, digits, arguments.repeats)
        size, _ = lv.LargeBatch(order, digits).of_variance(Steps(PROBLEM.replace(step=step)))
        aim = "" if target is None else f"{target:g}"
        print(
            f"| {step} | u^{order} | {length(step, order, digits)} | {seconds:.3f} | {aim} | {size.digits:,} "
            f"| {size.seconds:.2g} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
