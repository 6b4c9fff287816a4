"""Stating a problem: CPU and peak memory of a Dataset of 100,000 x 10, and of a Gaussian of 300 inputs; CPU of plans.

    python benchmarks/construction.py [--rows 100000] [--width 300]

Each row is a process of its own. Peaks beyond the entries given: of a Dataset by tracemalloc, in a second run; of a Gaussian
the growth of resident memory, which has FLINT's too. "rationalize" is its own time, not in "Dataset"; "hash" is the first one
(it is kept); "integers" are the rows over their common denominator, which every derivation works with. Plans: for each t the
largest of four, of ``LargeBatch(1)`` or the roads to the polynomial, with momentum or without, the first one of a problem each.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

import linvar as lv
from linvar.errors import InputError

INPUTS = 10
DATASETS = ("integers", "integers, all different", "array of integers", "DataFrame of integers", "Fractions", 'text "p/q"',
            "array of floats")  # fmt: skip
COVARIANCES = ("identity", "common denominator", "common denominator, half rank", "a denominator an entry",
               "a denominator an entry, indefinite")  # fmt: skip

PLANS = ("300-1", "300-1, dense covariance", "300-5-2", "300-5-2, dense covariance", "10-2-1, all rows",
         "10-2-1, all rows and a constant column", "300-2-1, 20000 rows", "300-2-1, 5 rows", "27-1, 21 rows")  # fmt: skip
TIMES = (0, 1, 2, 5, 16, 10**6, 10**100)


def entries(kind: str, rows: int) -> tuple[Any, Any]:
    """Inputs and targets."""
    rng = np.random.default_rng(0)
    if kind == "array of floats":
        return rng.normal(size=(rows, INPUTS)), rng.normal(size=rows)
    if kind == "integers, all different":
        return rng.permutation(rows * INPUTS).reshape(rows, INPUTS).tolist(), rng.permutation(rows).tolist()
    x, y = rng.integers(-500, 500, (rows, INPUTS)), rng.integers(-500, 500, rows)
    if kind == "array of integers":
        return x, y
    if kind == "DataFrame of integers":
        import pandas as pd

        return pd.DataFrame(x), pd.Series(y)
    makers: dict[str, Callable[[int], Any]] = {
        "integers": int,
        "Fractions": lambda k: Fraction(k, 1000),
        'text "p/q"': lambda k: f"{k}/1000",
    }
    return [list(map(makers[kind], row)) for row in x.tolist()], list(map(makers[kind], y.tolist()))


def covariance(kind: str, width: int) -> list[list[Fraction]] | None:
    """A matrix, dense but for the identity."""
    from flint import fmpz_mat

    draw = random.Random(0)
    if kind == "identity":
        return None
    if kind.startswith("common"):
        rank = width // 2 if "half" in kind else width
        factor = fmpz_mat([[draw.randint(-999, 999) for _ in range(rank)] for _ in range(width)])
        return [[Fraction(int(entry), 10**6) for entry in row] for row in (factor * factor.transpose()).tolist()]
    lower = [[Fraction(draw.randint(-999, 999), 1000 * draw.randint(1, 999)) for _ in range(i)] for i in range(width)]
    scale = 1 if "indefinite" in kind else width
    diagonal = [Fraction(draw.randint(1, 999), draw.randint(1, 999)) + scale for _ in range(width)]
    return [
        [diagonal[i] if i == j else lower[max(i, j)][min(i, j)] * (1 + 9 * (scale == 1)) for j in range(width)]
        for i in range(width)
    ]


def peak() -> int:
    """Of resident memory, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """A result and its seconds of CPU."""
    start = time.process_time()
    return call(), time.process_time() - start


def measure_dataset(kind: str, rows: int) -> list[str]:
    """A row of the first table."""
    lv.Dataset([[1, "1/2"]], [1])
    x, y = entries(kind, rows)
    rounding = ""
    if kind == "array of floats":
        (x, y), seconds = timed(lambda: (lv.rationalize(x, 4), lv.rationalize(y, 4)))
        rounding = f"{seconds:.2f} s"
    data, seconds = timed(lambda: lv.Dataset(x, y))
    _, hashing = timed(lambda: hash(data))
    _, integers = timed(lambda: data._integers)
    del data
    tracemalloc.start()
    data = lv.Dataset(x, y)
    alone = tracemalloc.get_traced_memory()[1] / 1e6
    assert data._integers
    both = tracemalloc.get_traced_memory()[1] / 1e6
    return [rounding, f"{seconds:.2f} s", f"{alone:.0f} MB", f"{hashing:.2f} s", f"{integers:.2f} s", f"{both:.0f} MB"]


def measure_gaussian(kind: str, width: int) -> list[str]:
    """A row of the second table."""
    lv.Gaussian([[1] * 10], covariance=[[1 + (i == j) for j in range(10)] for i in range(10)])  # loads FLINT
    sigma, teacher = covariance(kind, width), [[1] * width]
    before = peak()
    law, seconds = timed(lambda: stated(teacher, sigma))
    if law is None:
        return ["refused", f"{seconds:.2f} s", "", f"{(peak() - before) / 1e6:.0f} MB"]
    rank, directions = timed(lambda: len(law._directions))
    return [str(rank), f"{seconds:.2f} s", f"{directions:.2f} s", f"{(peak() - before) / 1e6:.0f} MB"]


def planned(kind: str, rows: int) -> tuple[list[Any], Any]:
    """Weights and a law by the words of a row of the third table."""
    draw = np.random.default_rng(0)

    def matrix(rows: int, columns: int) -> Any:
        return draw.integers(-9, 10, (rows, columns))

    widths = [int(width) for width in kind.split(",")[0].split("-")]
    weights = [matrix(rows, columns) for columns, rows in zip(widths, widths[1:])]
    if "row" not in kind:
        half = matrix(widths[0], widths[0])
        return weights, lv.Gaussian(
            matrix(widths[-1], widths[0]), covariance=half @ half.T if "dense" in kind else None
        )
    x = matrix(next((int(word) for word in kind.split() if word.isdigit()), rows), widths[0])
    if "constant" in kind:
        x[:, 0] = 1
    return weights, lv.Dataset(x, matrix(len(x), widths[-1]))


def measure_plan(kind: str, rows: int) -> list[str]:
    """A row of the third table."""
    lv.plan(lv.Problem([[[1]], [[2]]], lv.Gaussian([[1]]), "1/10", 1))  # loads what is loaded once
    weights, law = planned(kind, rows)
    cells = []
    for step in TIMES:
        times = []
        for momentum in (0, "1/2"):
            for road in (None, lv.LargeBatch(1)):
                problem = lv.Problem(weights, law, "1/10", step, momentum=momentum)
                times.append(timed(lambda: lv.plan(problem, road))[1])  # noqa: B023
        cells.append(f"{max(times):.2f} s")
    return cells


def stated(teacher: Any, sigma: Any) -> lv.Gaussian | None:
    """The law; None if the covariance is refused."""
    try:
        return lv.Gaussian(teacher, covariance=sigma)
    except InputError:
        return None


MEASURES: dict[str, Callable[[str, int], list[str]]] = {
    "dataset": measure_dataset,
    "gaussian": measure_gaussian,
    "plan": measure_plan,
}


def table(what: str, kinds: tuple[str, ...], count: int, columns: str) -> None:
    """Print one table."""
    print(f"| {columns} |\n|---{'|---:' * columns.count('|')}|")
    for kind in kinds:
        command = [sys.executable, __file__, "--only", what, kind, str(count)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"| {' | '.join([kind, *json.loads(output)])} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=300)
    parser.add_argument("--only", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only:
        what, kind, count = arguments.only
        print(json.dumps(MEASURES[what](kind, int(count))))
        return
    table(
        "dataset", DATASETS, arguments.rows, "entries | rationalize | Dataset | peak | hash | integers | peak with both"
    )
    print()
    table("gaussian", COVARIANCES, arguments.width, "covariance | rank | Gaussian | directions | peak")
    print()
    table("plan", PLANS, arguments.rows, "problem | t = 0 | 1 | 2 | 5 | 16 | 10^6 | 10^100")


if __name__ == "__main__":
    main()
