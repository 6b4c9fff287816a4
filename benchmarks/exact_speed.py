"""Seconds of an exact derivation in a warm process, median of several runs, beside the same expansion in SymPy.

    python benchmarks/exact_speed.py [--repeats 5] [--peers]

Each problem is derived once to warm up (imports, contexts), then ``repeats`` times; nothing is cached between
derivations. ``--peers`` also expands the second moment's largest form of widths 2-2-2, t = 1 in SymPy's ``ring`` and ``Poly``,
with the weights and the same variables, in the same process: a side-by-side ratio.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import linvar as lv

REFERENCE = Path(__file__).parent.parent / "tests" / "reference"


def reference_problem(name: str) -> lv.Problem:
    """A problem of the reference file."""
    cases = {case["id"]: case for case in json.loads((REFERENCE / "variance.json").read_text())["cases"]}
    case = cases[name]
    return lv.Problem(case["weights"], lv.Gaussian(case["teacher"]), case["alpha"], case["t"])


def symbolic_problem(widths: list[int], step: int) -> lv.Problem:
    """Weights, teacher and learning rate all symbols."""
    import sympy

    law = lv.Gaussian(lv.symbolic_matrix("t", widths[-1], widths[0]))
    return lv.Problem(lv.symbolic_weights(widths), law, sympy.Symbol("alpha"), step)


def diabetes_problem(sampling: str) -> lv.Problem:
    """The two-layer 10-2-1 network on diabetes, t = 1."""
    from linvar.datasets import diabetes

    weights = [
        [["1/5", "-1/10", "3/10", "1/10", "-1/5", "1/10", "-1/5", "1/10", "3/10", "1/10"],
         ["-1/10", "1/5", "1/10", "1/5", "1/10", "-1/5", "1/10", "1/5", "1/10", "-1/10"]],
        [["1/2", "-2/5"]],
    ]  # fmt: skip
    return lv.Problem(weights, diabetes(), "1/20", 1, sampling)


def few_rows(inputs: int, count: int, step: int) -> lv.Problem:
    """The widths inputs-2-1 on so many rows."""
    draws = random.Random(1)

    def matrix(rows: int, columns: int) -> list[list[Fraction]]:
        return [[Fraction(draws.randint(-3, 3), draws.randint(1, 3)) for _ in range(columns)] for _ in range(rows)]

    law = lv.Dataset(matrix(count, inputs), matrix(count, 1))
    return lv.Problem([matrix(2, inputs), matrix(1, 2)], law, "1/10", step)


def bias(step: int) -> lv.Problem:
    """One input x ~ N(0, 1) and a constant 1, one hidden unit."""
    law = lv.Gaussian([["1/2", "-1/3"]], covariance=[[1, 0], [0, 0]], mean=[0, 1])
    return lv.Problem([[["1/2", "1/3"]], [["2/3"]]], law, "1/10", step)


def rank_one(step: int) -> lv.Problem:
    """Widths 2-2-2, two inputs that are multiples of each other."""
    law = lv.Gaussian([["1/2", "-1/3"], [1, "1/7"]], covariance=[[1, 2], [2, 4]])
    return lv.Problem([[[1, "1/2"], ["-1/3", 1]], [[1, "1/4"], ["1/5", -1]]], law, "1/10", step)


def rows() -> dict[str, tuple[float, Callable[[], Any]]]:
    """Name -> (target in seconds on two cores, the derivation)."""
    letters = {
        "A": [[1, 0, 2], [0, -1, 1], [1, 0, 0]],
        "B": [[0, 1, 0], [0, 0, 1], [1, 0, 0]],
        "C": [[1, -1, 0], [2, 0, 1], [0, 1, 1]],
    }
    ten = """
        ABC AC BB | ABCA BCA | AAA BBB C | ACBABCA | AB BC CA A
        AABBCCA | BCBC ABC | A B C ABCB | CCA BACB | AB AC BCA
    """
    words = [[list(word) for word in line.split()] for line in ten.replace("\n", "|").split("|") if line.strip()]

    def derive(problem: lv.Problem) -> Callable[[], Any]:
        return lambda: lv.gradient_variance(problem)

    return {
        "widths 2-2-2, t=1": (0.05, derive(reference_problem("L2_222_t1"))),
        "widths 2-2-2, t=2": (0.5, derive(reference_problem("L2_222_t2"))),
        "widths 3-2-1, t=1": (0.3, derive(reference_problem("L2_321_t1"))),
        "widths 1-1-1, t=3": (0.5, derive(lv.Problem([[["3/2"]], [["-1/2"]]], lv.Gaussian([[2]]), "1/10", 3))),
        "widths 1-1-1, t=2, all symbols": (1.5, derive(symbolic_problem([1, 1, 1], 2))),
        "widths 2-2-1, t=1, all symbols": (6.0, derive(symbolic_problem([2, 2, 1], 1))),
        "diabetes 10-2-1, t=1, iid": (10.0, derive(diabetes_problem("iid"))),
        "diabetes 10-2-1, t=1, without replacement": (10.0, derive(diabetes_problem("without_replacement"))),
        "10-2-1 on 3 rows, t=2": (10.0, derive(few_rows(10, 3, 2))),
        "3-2-1 on 4 rows, t=2": (8.0, derive(few_rows(3, 4, 2))),
        "1-1-1 and a bias input, t=2": (1.0, derive(bias(2))),
        "1-1-1 and a bias input, t=3": (30.0, derive(bias(3))),
        "2-2-2, covariance of rank 1, t=3": (20.0, derive(rank_one(3))),
        "ten Wishart words of order 7, 3 x 3": (30.0, lambda: [lv.wishart_moment(word, letters) for word in words]),
    }


def sympy_peer(method: str) -> Callable[[], Any]:
    """Expand E ||G||^2 of widths 2-2-2, t = 1 given the batch, in SymPy: the squared norms alone, before any moment."""
    import sympy

    problem = reference_problem("L2_222_t1")
    first, second = (sympy.Matrix(matrix) for matrix in problem.weights)
    teacher = sympy.Matrix(problem.law.teacher)  # type: ignore[union-attr]
    a, b, c = names = sympy.symbols("a b c")

    def run() -> int:
        rate = sympy.Rational(1, 10)
        if method == "ring":
            domain, *gens = sympy.ring(names, sympy.QQ)
            lift: Callable[[Any], Any] = lambda value: domain(sympy.QQ(value.p, value.q))  # noqa: E731
        else:
            gens = [sympy.Poly(name, *names, domain="QQ") for name in names]
            lift = lambda value: sympy.Poly(value, *names, domain="QQ")  # noqa: E731

        def product(*factors: list[list[Any]]) -> list[list[Any]]:
            left = factors[0]
            for right in factors[1:]:
                left = [
                    [sum((x * right[k][j] for k, x in enumerate(row)), lift(sympy.Integer(0))) for j in range(2)]
                    for row in left
                ]
            return left

        def lifted(matrix: Any) -> list[list[Any]]:
            return [[lift(matrix[i, j]) for j in range(2)] for i in range(2)]

        def transposed(matrix: list[list[Any]]) -> list[list[Any]]:
            return [list(column) for column in zip(*matrix)]

        w1, w2, target = lifted(first), lifted(second), lifted(teacher)
        s = [[gens[0], gens[1]], [gens[1], gens[2]]]
        error = [[x - y for x, y in zip(r, q)] for r, q in zip(product(w2, w1), target)]
        gradient = product(error, s)
        g1, g2 = product(transposed(w2), gradient), product(gradient, transposed(w1))
        scale = lift(rate)
        w1 = [[x - scale * y for x, y in zip(r, q)] for r, q in zip(w1, g1)]
        w2 = [[x - scale * y for x, y in zip(r, q)] for r, q in zip(w2, g2)]
        error = [[x - y for x, y in zip(r, q)] for r, q in zip(product(w2, w1), target)]
        g1, g2 = product(transposed(w2), error), product(error, transposed(w1))
        total = sum((x * x for g in (g1, g2) for row in g for x in row), lift(sympy.Integer(0)))
        return len(total.terms())

    return run


def flint_peer() -> Callable[[], Any]:
    """The same expansion by linvar: W_1, and the squared norm of its population gradient."""
    from linvar.matrices import squared_norm
    from linvar.symbolic.roads.expansion.integrator import Expanded, ExpandedAt
    from linvar.symbolic.sgd.steps import Steps

    problem = reference_problem("L2_222_t1")

    def run() -> int:
        road = ExpandedAt(Expanded(Steps(problem)), problem.step)
        return len(sum((squared_norm(gradient) for gradient in road.last.means()), road.expanded.ring.zero))

    return run


def median_seconds(function: Callable[[], Any], repeats: int) -> float:
    """Median wall time after one warm-up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peers", action="store_true")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}, medians of {arguments.repeats}\n")
    print("| derivation | seconds | target |\n|---|---:|---:|")
    for name, (target, function) in rows().items():
        print(f"| {name} | {median_seconds(function, arguments.repeats):.3f} | {target:g} |", flush=True)
    if arguments.peers:
        ours = median_seconds(flint_peer(), arguments.repeats)
        print("\n| expanding the same form, widths 2-2-2, t=1 | seconds | ratio to linvar |\n|---|---:|---:|")
        print(f"| linvar (python-flint) | {ours:.4f} | 1 |")
        for method in ("ring", "Poly"):
            theirs = median_seconds(sympy_peer(method), arguments.repeats)
            print(f"| SymPy `{method}` | {theirs:.4f} | {theirs / ours:.0f} |", flush=True)


if __name__ == "__main__":
    main()
