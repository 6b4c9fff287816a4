"""Seconds of an exact derivation for a loss that is a polynomial in the weights, in a warm process, beside what was predicted.

    python benchmarks/polynomial_speed.py [--repeats 5] [--only NAME ...]

Each problem is derived once to warm up (imports, contexts, programs compiled), then ``repeats`` times; nothing exact is cached
between derivations: tracing the loss, the plan and the road are all in the time. "CPU" is the time of all threads of the process,
"predicted" what ``linvar.plan`` says of the road taken; of the lattice that includes compiling, which the warm process has done.
``--only`` takes rows whose name contains one of the words.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import linvar as lv

Loss = Callable[..., Any]


def problem_of(loss: Loss, weights: Sequence[Any], law: Any, rate: Any, step: int) -> lv.Problem:
    """The problem of ``loss(leaves, x, y)``, half a squared residual or the like of one example."""
    return lv.Problem(tuple(weights), law, rate, step, loss=lambda params, example: loss(params, *example))


def half_square(residual: Any) -> Any:
    """1/2 ||residual||^2, of one or several."""
    return (residual * residual).sum() / 2


def products(leaves: Any, x: Any, y: Any) -> Any:
    """1/2 (sum_i u_i v_i x_i - y)^2."""
    u, v = leaves
    return half_square((u * v) @ x - y)


def completion(leaves: Any, x: Any, y: Any) -> Any:
    """1/2 ((U V^T)_ij - y)^2, x the one-hot row and column."""
    u, v = leaves
    row, column = x[: len(u)], x[len(u) :]
    return half_square((row @ u) @ (column @ v) - y[0])


def quadratic(leaves: Any, x: Any, y: Any) -> Any:
    """1/2 (sum_h a_h (W x)_h^2 - y)^2."""
    w, a = leaves
    return half_square(a @ (w @ x) ** 2 - y)


def residual(leaves: Any, x: Any, y: Any) -> Any:
    """1/2 ||(I + W_2)(I + W_1) x - y||^2."""
    first, second = leaves
    hidden = x + first @ x
    return half_square(hidden + second @ hidden - y)


def phase(leaves: Any, x: Any, y: Any) -> Any:
    """1/2 ((w.x)^2 - y)^2."""
    (w,) = leaves
    return half_square((w @ x) ** 2 - y)


def convolution(leaves: Any, x: Any, y: Any) -> Any:
    """1/2 ||W (kernel * x + c) + d - y||^2, the valid part of the convolution, position by position."""
    kernel, bias, dense, outputs = leaves
    width = kernel.shape[1]
    places = range(len(x) - width + 1)
    hidden = [kernel @ x[i : i + width] + bias[0] for i in places]
    parts = [dense[:, 2 * i : 2 * i + 2] @ hidden[i] for i in places]
    return half_square(sum(parts[1:], parts[0]) + outputs[0] - y)


def numbers(rows: int, columns: int, start: int) -> list[list[str]]:
    """A matrix of small fractions, no two rows alike."""
    return [
        [f"{(5 * i + 3 * j + start) % 7 - 3}/{(i + j + start) % 3 + 1}" for j in range(columns)] for i in range(rows)
    ]


def integers(rows: int, columns: int, start: int) -> list[list[int]]:
    """A matrix of integers of one digit."""
    return [[(7 * i + 3 * j * j + i * j + start) % 9 - 4 for j in range(columns)] for i in range(rows)]


def entries_of_a_matrix(rows: int, columns: int) -> lv.Dataset:
    """Each entry an example: its row and its column, one-hot, and its value."""
    places = [(i, j) for i in range(rows) for j in range(columns)]
    inputs = [[int(k == i) for k in range(rows)] + [int(k == j) for k in range(columns)] for i, j in places]
    return lv.Dataset(inputs, [[(3 * i + 2 * j) % 5 - 1] for i, j in places])


def normal(width: int) -> lv.Independent:
    """x standard normal, y = x_0^2 - x_1^2 / 2 (+ x_2)."""
    return lv.Independent([lv.Normal()] * width, lambda z: (z, z[0] ** 2 - z[1] ** 2 / 2 + (z[2] if width > 2 else 0)))


@dataclass(frozen=True)
class Row:
    """A derivation, its target in seconds on two cores, and the road where one is asked for."""

    target: float
    problem: lv.Problem
    road: Any = None


def rows() -> dict[str, Row]:
    """By name."""
    diagonal = [[["1/2", 1, "-1/3", "2/3", 1]], [["1/3", "-1/2", 1, "1/2", "1/5"]]]
    quadratic_weights = [[["1/2", 1, "-1/3"], ["1/3", "-1/2", "1/4"]], [[1, "-1/2"]]]
    layers = [[["1/2", "1/3"], ["-1/4", 1]], [[1, "-1/2"], ["1/5", "1/3"]]]
    convolved = [numbers(2, 3, 1), numbers(1, 2, 2), numbers(2, 12, 3), numbers(1, 2, 0)]
    return {
        "u*v, d=5, 50 rows, t=1": Row(
            0.4, problem_of(products, diagonal, lv.Dataset(integers(50, 5, 0), integers(50, 1, 3)), "1/10", 1)
        ),
        "matrix completion 3x3, rank 2, t=1": Row(
            0.4, problem_of(completion, [numbers(3, 2, 1), numbers(3, 2, 2)], entries_of_a_matrix(3, 3), "1/10", 1)
        ),
        "quadratic 3-2-1, normal, t=1": Row(5.0, problem_of(quadratic, quadratic_weights, normal(3), "1/10", 1)),
        "u*v, d=2, Gaussian, t=2": Row(
            0.5, problem_of(products, [[["1/2", 1]], [["1/3", "-1/2"]]], lv.Gaussian([[1, "-1/2"]]), "1/10", 2)
        ),
        "residual 2-2-2, Gaussian, t=2": Row(
            5.0, problem_of(residual, layers, lv.Gaussian([[1, "1/2"], ["-1/3", 2]]), "1/10", 2), lv.Lattice()
        ),
        "phase retrieval, d=2, normal, t=2": Row(4.0, problem_of(phase, [[["1/2", 1]]], normal(2), "1/10", 2)),
        "convolution and dense, 34 weights, 10 rows, t=1": Row(
            10.0, problem_of(convolution, convolved, lv.Dataset(integers(10, 8, 0), integers(10, 2, 4)), "1/10", 1)
        ),
    }  # fmt: skip


def measured(function: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Median wall time and CPU time after one warm-up."""
    function()
    walls, cpus = [], []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        function()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return statistics.median(walls), statistics.median(cpus)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[""])
    arguments = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, medians of {arguments.repeats}\n")
    print("| derivation | target | seconds | CPU | road | predicted | plan |\n|---|---:|---:|---:|---|---:|---:|")
    for name, row in rows().items():
        if not any(word in name for word in arguments.only):
            continue
        taken = lv.derive(row.problem, row.road).plan
        wall, cpu = measured(lambda row=row: lv.gradient_variance(row.problem, row.road), arguments.repeats)  # type: ignore[misc]
        planned, _ = measured(lambda row=row: lv.plan(row.problem), arguments.repeats)  # type: ignore[misc]
        numbers = f"{row.target:g} | {wall:.3f} | {cpu:.3f} | {taken.road} | {taken.seconds:.2g} | {planned:.3f}"
        print(f"| {name} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
