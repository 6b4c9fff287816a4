"""What ``linvar.plan`` predicts beside what a derivation takes, for every road.

    python benchmarks/plan_accuracy.py [--road lattice] [--big]

Each row is one variance by the road named, compilation included, and the peak of the memory that the
process gained, each in a process of its own (python-flint and JAX are loaded before the clock starts). "Ratio" is
predicted over measured. ``--big`` adds what takes more than a minute.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import platform
import resource
import time
from itertools import combinations_with_replacement
from typing import Any

import sympy

import linvar as lv
from linvar.symbolic.registry import ROADS
from linvar.symbolic.sgd.road import Road

Row = tuple[Road | lv.LargeBatch, str, lv.Problem]


def ones(*widths: int) -> list[Any]:
    """Weights with small entries, none of them zero."""
    return [
        [[f"{(3 * i + 2 * j + l) % 5 + 1}/{(i + j) % 3 + 1}" for j in range(columns)] for i in range(rows)]
        for l, (columns, rows) in enumerate(zip(widths, widths[1:]))
    ]


def gaussian(*widths: int, **law: Any) -> lv.Gaussian:
    """A teacher for these widths."""
    return lv.Gaussian([[(i + 2 * j) % 3 - 1 for j in range(widths[0])] for i in range(widths[-1])], **law)


def dataset(size: int, *widths: int) -> lv.Dataset:
    """Some examples, with entries of one digit."""
    inputs = [[(7 * i + 3 * j * j + i * j) % 9 - 4 for j in range(widths[0])] for i in range(size)]
    return lv.Dataset(inputs, [[(5 * i + j) % 7 - 3 for j in range(widths[-1])] for i in range(size)])


def problem(step: int, *widths: int, law: Any = None, **more: Any) -> lv.Problem:
    """A problem of these widths, Gaussian unless a law is given."""
    more = {"weights": ones(*widths), "learning_rate": "1/10", **more}
    return lv.Problem(law=gaussian(*widths) if law is None else law, step=step, **more)


def curved(params: Any, example: Any) -> Any:
    """Regression on 1, the inputs and their products in pairs, with an L2 term."""
    (w,), (x, y) = params, example
    features = [a * b for a, b in combinations_with_replacement([1, *x], 2)]
    residual = sum(w[:, k] * feature for k, feature in enumerate(features)) - y
    return (residual * residual).sum() / 2 + (w * w).sum() / 20


def curve(step: int, inputs: int, outputs: int = 1, law: Any = None, rate: Any = "1/1000", **more: Any) -> lv.Problem:
    """A problem of that loss: (inputs + 1)(inputs + 2)/2 weights for each output."""
    found = gaussian(inputs, outputs) if law is None else law
    more = {"weights": tuple(ones((inputs + 1) * (inputs + 2) // 2, outputs)), **more}
    return lv.Problem(law=found, learning_rate=rate, step=step, loss=curved, **more)


def letters(*widths: int) -> dict[str, Any]:
    """Symbols for weights, teacher and learning rate."""
    teacher = lv.Gaussian(lv.symbolic_matrix("t", widths[-1], widths[0]))
    return {"weights": lv.symbolic_weights(widths), "law": teacher, "learning_rate": sympy.Symbol("alpha")}


THREE = {"weights": [[[1, 0], [1, 1]], [[1, 1], [0, 1]], [[1, 0], [1, 1]]]}
TWO = {"weights": [[[1, 0], [1, 1]], [[1, 1], [0, 1]]]}
SYMBOLS = {"weights": lv.symbolic_weights([2, 2, 1])}


def rows() -> list[Row]:
    """The road, a name and the problem."""
    found: list[Row] = []
    bias = gaussian(2, 1, covariance=[[1, 0], [0, 0]], mean=[0, 1])
    rank_one = gaussian(2, 2, covariance=[[1, 2], [2, 4]])

    def add(road: str, name: str, problem: lv.Problem, **options: Any) -> None:
        found.append((road_of(road, **options), name, problem))

    add("expansion", "2-2-2, t = 2", problem(2, 2, 2, 2, **TWO))
    add("expansion", "1-1-1, t = 3", problem(3, 1, 1, 1))
    add("expansion", "1-1-1, t = 2, noise", problem(2, 1, 1, 1, law=gaussian(1, 1, noise_variance="1/2")))
    add(
        "expansion",
        "1-1-1, t = 2, noise, mean",
        problem(2, 1, 1, 1, law=gaussian(1, 1, noise_variance=1, mean=["1/2"])),
    )
    add("expansion", "1-1-1, t = 3, noise", problem(3, 1, 1, 1, law=gaussian(1, 1, noise_variance="1/2")))
    add("expansion", "1-1-1-1, t = 2", problem(2, 1, 1, 1, 1))
    add("expansion", "5-3-2, t = 1", problem(1, 5, 3, 2))
    add("expansion", "4-3-3-2, t = 1", problem(1, 4, 3, 3, 2))
    add("expansion", "8-2-1, t = 1, 100 examples", problem(1, 8, 2, 1, law=dataset(100, 8, 1)))
    add("expansion", "2-2-1, t = 1, 30 examples without replacement",
        problem(1, 2, 2, 1, law=dataset(30, 2, 1), sampling="without_replacement"))  # fmt: skip
    add("expansion", "1-1-1, t = 2, 5 examples", problem(2, 1, 1, 1, law=dataset(5, 1, 1)))
    add("expansion", "10-2-1, t = 2, 3 rows", problem(2, 10, 2, 1, law=dataset(3, 10, 1)))
    add("expansion", "3-2-1, t = 2, 4 rows", problem(2, 3, 2, 1, law=dataset(4, 3, 1)))
    add("expansion", "2-1-1, t = 2, one a bias input", problem(2, 2, 1, 1, law=bias))
    add("expansion", "2-2-2, t = 3, covariance of rank 1", problem(3, 2, 2, 2, law=rank_one, **TWO))
    add("expansion", "2-2-1, t = 1, symbolic weights", problem(1, 2, 2, 1, **SYMBOLS))
    add("expansion", "1-2-1, t = 1, all symbolic", problem(1, 1, 2, 1, **letters(1, 2, 1)))
    add("expansion", "1-1-1, t = 2, all symbolic", problem(2, 1, 1, 1, **letters(1, 1, 1)))
    add("expansion", "3-1-1, t = 1, all symbolic", problem(1, 3, 1, 1, **letters(3, 1, 1)))
    add("expansion", "1-1-1, t = 2, momentum", problem(2, 1, 1, 1, momentum="1/2"))
    add("regression", "4-1, t = 50", problem(50, 4, 1))
    add("regression", "10-2, t = 20", problem(20, 10, 2))
    add("regression", "20-1, t = 1, 150 examples", problem(1, 20, 1, law=dataset(150, 20, 1)))
    add("regression", "6-1, t = 20, 200 examples", problem(20, 6, 1, law=dataset(200, 6, 1)))
    add("regression", "6-1, t = 20, 200 examples without replacement",
        problem(20, 6, 1, law=dataset(200, 6, 1), sampling="without_replacement"))  # fmt: skip
    add("regression", "6 weights of products, t = 40", curve(40, 2))
    add("regression", "10 weights of products, t = 60, 40 examples", curve(60, 3, law=dataset(40, 3, 1)))
    add("regression", "12 weights of products, t = 20, momentum, 40 examples",
        curve(20, 2, 2, dataset(40, 2, 2), momentum="1/2"))  # fmt: skip
    add("regression", "15 weights of products, t = 10, 200 examples", curve(10, 4, law=dataset(200, 4, 1)))
    add("lattice", "2-2-2, t = 2", problem(2, 2, 2, 2, **TWO))
    add("lattice", "1-1-1, t = 3, noise", problem(3, 1, 1, 1, law=gaussian(1, 1, noise_variance="1/2")))
    add("lattice", "1-1-1, t = 4", problem(4, 1, 1, 1))
    add("lattice", "1-1-1-1, t = 3", problem(3, 1, 1, 1, 1))
    add("lattice", "3-2-1, t = 2", problem(2, 3, 2, 1))
    add("lattice", "2-2-1, t = 2, 10 examples", problem(2, 2, 2, 1, law=dataset(10, 2, 1)))
    add("lattice", "1-1-1, t = 3, 4 examples without replacement",
        problem(3, 1, 1, 1, law=dataset(4, 1, 1), sampling="without_replacement"))  # fmt: skip
    add("lattice", "2-1-1, t = 2, one a bias input", problem(2, 2, 1, 1, law=bias))
    add("lattice", "2-2-1, t = 2, 4 rows", problem(2, 2, 2, 1, law=dataset(4, 2, 1)))
    add("lattice", "2-2-2, t = 2, momentum", problem(2, 2, 2, 2, momentum="1/2", **TWO))
    for step, order, digits in (
        (6, 1, None), (6, 2, None), (8, 2, None), (10, 1, None), (10, 2, 30), (100, 1, 30), (30, 2, 30), (3, 4, None)
    ):  # fmt: skip
        name = f"2-2-2, t = {step}, order {order}" + (f", {digits} digits" if digits else "")
        add("large_batch", name, problem(step, 2, 2, 2, **TWO), order=order, digits=digits)
    add("large_batch", "1-1-1, t = 3, order 8", problem(3, 1, 1, 1), order=8)
    add("large_batch", "1-1-1-1, t = 5, order 4, 30 digits", problem(5, 1, 1, 1, 1), order=4, digits=30)
    add("large_batch", "3-3-3, t = 5, order 1", problem(5, 3, 3, 3), order=1)
    add("large_batch", "4-4-4, t = 20, order 1, 30 digits", problem(20, 4, 4, 4), order=1, digits=30)
    add("large_batch", "3-3-3, t = 5, order 2, 30 digits", problem(5, 3, 3, 3), order=2, digits=30)
    add("large_batch", "2-2-2-2, t = 10, order 2, 30 digits", problem(10, 2, 2, 2, 2), order=2, digits=30)
    add("large_batch", "5-3-1, t = 10, 100 examples, order 1, 30 digits",
        problem(10, 5, 3, 1, law=dataset(100, 5, 1)), order=1, digits=30)  # fmt: skip
    add("large_batch", "2-2-1, t = 5, 100 examples, order 2, 30 digits",
        problem(5, 2, 2, 1, law=dataset(100, 2, 1)), order=2, digits=30)  # fmt: skip
    add("large_batch", "2-2-2, t = 10, momentum, order 1, 30 digits",
        problem(10, 2, 2, 2, momentum="1/2", **TWO), order=1, digits=30)  # fmt: skip
    add("large_batch", "10-2-1, t = 4, 3 rows, order 1", problem(4, 10, 2, 1, law=dataset(3, 10, 1)), order=1)
    add("large_batch", "2-2-2, t = 6, covariance of rank 1, order 2", problem(6, 2, 2, 2, law=rank_one, **TWO), order=2)
    add("large_batch", "2-2-1, t = 1, symbolic weights, order 1", problem(1, 2, 2, 1, **SYMBOLS), order=1)
    add("large_batch", "1-1-1, t = 2, all symbolic, order 2", problem(2, 1, 1, 1, **letters(1, 1, 1)), order=2)
    return found


def big_rows() -> list[Row]:
    """More than a minute each."""
    return [
        (lv.Expansion(), "1-1-1, t = 4", problem(4, 1, 1, 1)),
        (lv.Lattice(), "2-2-2-2, t = 2", problem(2, 2, 2, 2, 2, **THREE)),
        (lv.LargeBatch(2), "2-2-2, t = 10, order 2", problem(10, 2, 2, 2, **TWO)),
        (lv.LargeBatch(2, 30), "3-3-3, t = 20, order 2, 30 digits", problem(20, 3, 3, 3)),
    ]


def road_of(name: str, **options: Any) -> Road | lv.LargeBatch:
    """A road by its name."""
    return lv.LargeBatch(**options) if name == lv.LargeBatch.name else ROADS[name]


def variance(road: Road | lv.LargeBatch, problem: lv.Problem) -> lv.BatchPolynomial | lv.LargeBatchExpansion:
    """By a road, whatever it takes."""
    if isinstance(road, lv.LargeBatch):
        return lv.large_batch(problem, road.order, road.digits, progress=False, memory_limit=1e15).variance
    return lv.gradient_variance(problem, road, progress=False, memory_limit=1e15)


def measure(road: Road | lv.LargeBatch, problem: lv.Problem) -> tuple[float, float]:
    """Seconds, and bytes gained at the peak."""
    lv.gradient_variance(lv.Problem([[[1]], [[2]]], lv.Gaussian([[3]])))  # load the exact half
    if road.name == lv.Lattice.name:
        import jax

        jax.numpy.zeros(1).block_until_ready()
    gc.collect()
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forget the peak so far
    before = _resident()
    start = time.perf_counter()
    variance(road, problem)
    return time.perf_counter() - start, max(0.0, _peak() - before)


def _resident() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def _peak() -> float:
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--road", help="only this one")
    parser.add_argument("--big", action="store_true")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}\n")
    print("| road | problem | seconds predicted / measured | ratio | MB predicted / measured | ratio |")
    print("|---|---|---:|---:|---:|---:|")
    for road, name, one in [*rows(), *(big_rows() if arguments.big else [])]:
        if arguments.road not in (None, road.name):
            continue
        planned = lv.plan(one, road)[road.name]
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, memory = pool.apply(measure, (road, one))
        print(
            f"| {road.name} | {name} | {planned.seconds:.2g} / {seconds:.2g} | {planned.seconds / seconds:.2g} "
            f"| {planned.bytes / 1e6:,.0f} / {memory / 1e6:,.0f} | {planned.bytes / max(memory, 1e5):.2g} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
