"""Predicted size of an expansion against the real one: monomials of the largest polynomial, bytes at the peak.

    python benchmarks/size_prediction.py

Each problem runs in a process of its own; bytes are the growth of its peak resident memory over what the imports
and a tiny derivation had taken. Weights are generic (random integers, fixed seed). Where symbols meet a width of more than 1
the count is an estimate, and the row says so.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time
from typing import Any

import linvar as lv
from linvar.symbolic.algebra.ring import Element

PROBLEMS: dict[str, tuple[tuple[int, ...], int, str]] = {
    "widths 5-3-2, t=1, Gaussian": ((5, 3, 2), 1, "gaussian"),
    "widths 10-2-1, t=1, 200 examples": ((10, 2, 1), 1, "dataset"),
    "widths 4-3-3-2, t=1, Gaussian": ((4, 3, 3, 2), 1, "gaussian"),
    "widths 1-1-1-1, t=3, Gaussian": ((1, 1, 1, 1), 3, "gaussian"),
    "widths 1-1-1, t=4, Gaussian": ((1, 1, 1), 4, "gaussian"),
    "widths 2-2-2, t=2, Gaussian (a bound)": ((2, 2, 2), 2, "gaussian"),
    "widths 10-2-1, t=2, 3 rows": ((10, 2, 1), 2, "3 rows"),
    "widths 2-1-1, t=2, a bias input": ((2, 1, 1), 2, "bias"),
    "widths 2-2-2, t=3, covariance of rank 1": ((2, 2, 2), 3, "rank 1"),
    "widths 1-1-1, t=2, all symbols": ((1, 1, 1), 2, "symbols"),
    "widths 2-2-1, t=1, all symbols (an estimate)": ((2, 2, 1), 1, "symbols"),
    "widths 1-3-1, t=1, all symbols (an estimate)": ((1, 3, 1), 1, "symbols"),
}


def build(widths: tuple[int, ...], step: int, kind: str) -> lv.Problem:
    """The problem of one row."""
    draw = random.Random(20)
    pick = [value for value in range(-9, 10) if value]
    weights = [[[draw.choice(pick) for _ in range(a)] for _ in range(b)] for a, b in zip(widths, widths[1:])]
    teacher = [[draw.choice(pick) for _ in range(widths[0])] for _ in range(widths[-1])]
    rate = "1/7"
    if kind == "symbols":
        import sympy

        return lv.Problem(
            lv.symbolic_weights(widths),
            lv.Gaussian(lv.symbolic_matrix("t", widths[-1], widths[0])),
            sympy.Symbol("alpha"),
            step,
        )
    if kind in ("dataset", "3 rows"):
        many = 200 if kind == "dataset" else 3
        inputs = [[draw.randint(-20_000, 20_000) for _ in range(widths[0])] for _ in range(many)]
        targets = [[draw.randint(-20_000, 20_000) for _ in range(widths[-1])] for _ in range(many)]
        return lv.Problem(weights, lv.Dataset(inputs, targets), rate, step)
    special: dict[str, dict[str, list[Any]]] = {
        "bias": {"covariance": [[1, 0], [0, 0]], "mean": [0, 1]},
        "rank 1": {"covariance": [[1, 2], [2, 4]]},
    }
    return lv.Problem(weights, lv.Gaussian(teacher, **special.get(kind, {})), rate, step)


def measure(name: str) -> dict[str, float]:
    """Predict, then run, one problem in this process."""
    from linvar.symbolic.roads.expansion import size
    from linvar.symbolic.roads.expansion.integrator import Expanded
    from linvar.symbolic.sgd.steps import Steps

    problem = build(*PROBLEMS[name])
    lv.gradient_variance(lv.Problem([[[2]]], lv.Gaussian([[1]]), "1/2", 1))
    predicted = size.predict(Steps(problem))
    counts: list[int] = []
    original = Expanded.expectation

    def counting(self: Expanded, polynomial: Element, degree: int, t: int) -> Element:
        counts.append(len(polynomial))
        return original(self, polynomial, degree, t)

    Expanded.expectation = counting  # type: ignore[method-assign]  # to look in, and nothing else
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    lv.gradient_variance(problem, lv.Expansion())
    seconds = time.perf_counter() - start
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return {
        "predicted_monomials": predicted.monomials,
        "monomials": max(counts),
        "predicted_bytes": predicted.bytes,
        "bytes": peak,
        "seconds": seconds,
    }


def main() -> None:
    """Print the table."""
    if len(sys.argv) == 2:
        print(json.dumps(measure(sys.argv[1])))
        return
    print("| problem | monomials predicted | real | bytes predicted | real peak | ratio | seconds |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name in PROBLEMS:
        output = subprocess.run([sys.executable, __file__, name], check=True, capture_output=True, text=True).stdout
        row = json.loads(output)
        print(
            f"| {name} | {row['predicted_monomials']:,} | {row['monomials']:,} | {row['predicted_bytes'] / 1e6:.1f} MB "
            f"| {row['bytes'] / 1e6:.1f} MB | {row['predicted_bytes'] / max(1, row['bytes']):.2f} | {row['seconds']:.2f} |"
        )


if __name__ == "__main__":
    main()
