"""Seconds of ``linvar.first_order_formula``: one number at real widths in double precision, exact ones at smaller widths.

    python benchmarks/first_order_formula.py [--repeats 5] [--long]

Processor seconds (of all threads) and wall seconds, medians of several evaluations in a warm process; products are counted
beforehand, by running the evaluation on shapes. ``--long`` adds t = 3 and 4 at 784-256-10 and what takes a minute. Let nothing
else run meanwhile; OMP_NUM_THREADS=1 gives the processor seconds of one core.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np

import linvar as lv
from linvar.symbolic.limits import default_memory_limit
from linvar.symbolic.pairs.work import is_shorter_by_pairs, of_pairs, of_tangents
from linvar.symbolic.roads.large_batch.size import size_of_first_order
from linvar.symbolic.sgd.steps import Steps

FLOATS = [((784, 256, 10), 1), ((784, 256, 10), 2), ((784, 256, 128, 10), 1)]
LONG_FLOATS = [((784, 256, 10), 3), ((784, 256, 10), 4), ((784, 256, 128, 10), 2), ((60, 40, 10), 8)]
EXACT = [((12, 7, 5), 1), ((12, 7, 5), 2), ((12, 7, 5), 3), ((30, 20, 10), 1), ((30, 20, 10), 2)]
LONG_EXACT = [((12, 7, 5), 5), ((30, 20, 10), 3), ((784, 256, 10), 1), ((20, 15, 10, 5), 2)]


def medians(evaluate: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Processor and wall seconds, after one evaluation to warm up."""
    evaluate()
    processor, wall = [], []
    for _ in range(repeats):
        begin, start = time.process_time(), time.perf_counter()
        evaluate()
        processor.append(time.process_time() - begin)
        wall.append(time.perf_counter() - start)
    return statistics.median(processor), statistics.median(wall)


def in_floats(widths: tuple[int, ...], step: int) -> tuple[str, int, Callable[[], float]]:
    """Random weights of the usual scale: how it is evaluated, and the products that takes."""
    draws = np.random.default_rng(0)
    weights = [draws.normal(size=(above, below)) / below**0.5 for below, above in zip(widths, widths[1:])]
    teacher = draws.normal(size=(widths[-1], widths[0])) / widths[0] ** 0.5
    formula = lv.first_order_formula(len(weights), step)
    by_pairs = is_shorter_by_pairs(widths, step, True, False, default_memory_limit())
    tally = of_pairs(widths, step, True, False) if by_pairs else of_tangents(widths, step, True, False)
    assert tally is not None
    way = f"{formula.pairs_if_white:,} pairs" if by_pairs else "directions"
    return way, tally.products, lambda: formula.value(weights, teacher, 0.05)


def in_fractions(widths: tuple[int, ...], step: int) -> tuple[str, int, Callable[[], lv.Rational]]:
    """Random fractions of denominators up to 4."""
    draws = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> list[list[Fraction]]:
        return [[Fraction(int(draws.integers(-4, 5)), 4) for _ in range(columns)] for _ in range(rows)]

    weights = [matrix(above, below) for below, above in zip(widths, widths[1:])]
    problem = lv.Problem(weights, lv.Gaussian(matrix(widths[-1], widths[0])), "1/10", step)
    formula = lv.first_order_formula(len(weights), step)
    steps = Steps(problem)
    law = steps.law.wishart
    assert law is not None
    size = size_of_first_order(steps, law)
    tally = of_pairs(widths, step, True, False) if size.listed else of_tangents(widths, step, True, False, exact=True)
    assert tally is not None
    digits = f"{len(str(formula(problem).numerator)):,}" if step < 5 else "many"
    return f"{size.way.removeprefix(', by ')}, {digits} digits", tally.products, lambda: formula(problem)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--long", action="store_true", help="add what takes up to a minute each")
    arguments = parser.parse_args()
    print(
        f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, medians of {arguments.repeats}\n"
    )
    print(
        "| widths | t | numbers | by | products | processor seconds | wall seconds |\n|---|---:|---|---|---:|---:|---:|"
    )
    for kind, make, rows in (
        ("double precision", in_floats, FLOATS + (LONG_FLOATS if arguments.long else [])),
        ("exact", in_fractions, EXACT + (LONG_EXACT if arguments.long else [])),
    ):
        for widths, step in rows:
            way, products, evaluate = make(widths, step)
            processor, wall = medians(evaluate, arguments.repeats)
            name = "-".join(map(str, widths))
            print(f"| {name} | {step} | {kind} | {way} | {products:.1e} | {processor:.3f} | {wall:.3f} |", flush=True)


if __name__ == "__main__":
    main()
