"""Seconds of the lattice road, beside the expansion where that is possible, and beside what was predicted.

    python benchmarks/lattice_speed.py [--repeats 3] [--big]

``gradient_variance(problem, Lattice())``, from the problem to the polynomial: the first call in the process, which
compiles, and the median of ``repeats`` further ones. The expansion takes turns with it. ``--big`` adds two problems that
no expansion reaches; they run once, compilation included. Memory is the peak of the process so far.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import time

import jax

import linvar as lv
from linvar.symbolic.roads.lattice.size import predict
from linvar.symbolic.sgd.road import Road
from linvar.symbolic.sgd.steps import Steps

TEACHER = lv.Gaussian([[1, 0], [0, 2]])
WIDE = lv.Gaussian([[1, 0, 0], [0, 2, 0], [0, 0, "1/2"]])

#: widths and step, problem, target in seconds on two cores
ROWS: list[tuple[str, lv.Problem, float]] = [
    ("2-2-2, t = 2", lv.Problem([[[1, 0], [1, 1]], [[1, 1], [0, 1]]], TEACHER, "1/10", 2), 0.5),
    ("1-1-1, t = 4", lv.Problem([[[2]], [[1]]], lv.Gaussian([[1]]), "1/10", 4), 30),
    ("1-1-1-1, t = 3", lv.Problem([[[2]], [[1]], [["3/2"]]], lv.Gaussian([[1]]), "1/10", 3), 30),
]
BIG: list[tuple[str, lv.Problem, float]] = [
    (
        "2-2-2-2, t = 2",
        lv.Problem([[[1, 0], [1, 1]], [[1, 1], [0, 1]], [[1, 0], [1, 1]]], TEACHER, "1/10", 2),
        120,
    ),
    (
        "3-3-3, t = 2",
        lv.Problem([[[1, 0, 0], [1, 1, 0], [0, 1, 1]], [[1, 1, 0], [0, 1, 1], [0, 0, 1]]], WIDE, "1/10", 2),
        1200,
    ),
]


def derive(problem: lv.Problem, road: Road, seen: list[int]) -> tuple[lv.BatchPolynomial, float]:
    """The variance and its seconds; what the road reports, if it counts, is noted."""

    def note(done: int, total: int | None) -> None:
        seen.append(done)

    start = time.perf_counter()
    variance = lv.gradient_variance(problem, road, progress=note)
    return variance, time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--big", action="store_true")
    arguments = parser.parse_args()
    device = jax.devices()[0]
    print(f"{platform.machine()}, {device.device_kind}, Python {platform.python_version()}, JAX {jax.__version__}\n")
    print(
        "| problem | nodes | degree | primes / predicted | first call | warm | target | expansion | predicted | peak |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name, problem, target in [*ROWS, *(BIG if arguments.big else [])]:
        seen: list[int] = []
        big = (name, problem, target) in BIG
        variance, first = derive(problem, lv.Lattice(), seen)
        warm, beside = [], []
        for _ in range(0 if big else arguments.repeats):
            warm.append(derive(problem, lv.Lattice(), [])[1])
            other, seconds = derive(problem, lv.Expansion(), [])
            beside.append(seconds)
            assert other == variance
        size = predict(Steps(problem), 4 * problem.depth - 2)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        seconds, expansion = (f"{statistics.median(times):.2f}" if times else "" for times in (warm, beside))
        print(
            f"| {name} | {size.nodes:,} | {variance.degree} | {max(seen) // size.nodes} / {size.primes} | {first:.1f} "
            f"| {seconds} | {target:g} | {expansion} | {size.seconds:.2g} | {peak:.1f} GB |",
            flush=True,
        )


if __name__ == "__main__":
    main()
