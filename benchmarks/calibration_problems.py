"""What ``calibrate.py`` derives: by each road small and large problems, wide, deep and long, of every kind of law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy
from plan_accuracy import THREE, curve, dataset, gaussian, problem

import linvar as lv


@dataclass(frozen=True)
class Case:
    """A derivation."""

    road: str
    name: str
    problem: lv.Problem
    options: Mapping[str, Any]
    quick: bool


def cases() -> list[Case]:
    """The problems of each road."""
    found: list[Case] = []

    def add(road: str, name: str, problem: lv.Problem, quick: bool = False, **options: Any) -> None:
        found.append(Case(road, name, problem, options, quick))

    symbols, alpha = lv.symbolic_weights, sympy.Symbol("alpha")
    bias = lv.Gaussian([["1/2", "-1/3"]], covariance=[[1, 0], [0, 0]], mean=[0, 1])
    rank_one = lv.Gaussian([["1/2", "-1/3"], [1, "1/7"]], covariance=[[1, 2], [2, 4]])
    without = {"sampling": "without_replacement"}
    # expansions: wide, deep, long; noise; data, few rows, constants
    add("expansion", "3-2-1, t = 1", problem(1, 3, 2, 1), True)
    add("expansion", "6-2-2, t = 1", problem(1, 6, 2, 2), True)
    add("expansion", "5-5-3, t = 1", problem(1, 5, 5, 3))
    add("expansion", "3-3-3-3, t = 1", problem(1, 3, 3, 3, 3), True)
    add("expansion", "2-2-2-2-2, t = 1", problem(1, 2, 2, 2, 2, 2))
    add("expansion", "1-1-1, t = 2", problem(2, 1, 1, 1), True)
    add("expansion", "1-1-1, t = 3", problem(3, 1, 1, 1), True)
    add("expansion", "1-1-1, t = 4", problem(4, 1, 1, 1))
    add("expansion", "1-1-1-1, t = 2", problem(2, 1, 1, 1, 1))
    add("expansion", "1-1-1-1, t = 3", problem(3, 1, 1, 1, 1))
    add("expansion", "seven layers of width 1, t = 2", problem(2, 1, 1, 1, 1, 1, 1, 1, 1))
    add("expansion", "five layers of width 1, t = 2", problem(2, 1, 1, 1, 1, 1, 1), True)
    add("expansion", "2-3-2, t = 2", problem(2, 2, 3, 2), True)
    add(
        "expansion",
        "1-2-1, t = 2, noise and mean",
        problem(2, 1, 2, 1, law=gaussian(1, 1, noise_variance=2, mean=["1/3"])),
        True,
    )
    add("expansion", "1-2-1, t = 3", problem(3, 1, 2, 1), True)
    add("expansion", "2-1-1, t = 2", problem(2, 2, 1, 1), True)
    add("expansion", "1-1-1, t = 2, noise", problem(2, 1, 1, 1, law=gaussian(1, 1, noise_variance=2)))
    add("expansion", "1-1-1 and a bias input, t = 2", lv.Problem([[["1/2", "1/3"]], [["2/3"]]], bias, "1/10", 2), True)
    add("expansion", "2-2-2, rank 1, t = 3", problem(3, 2, 2, 2, law=rank_one), True)
    add("expansion", "10-2-1, t = 1, 50 examples", problem(1, 10, 2, 1, law=dataset(50, 10, 1)), True)
    add("expansion", "6-3-2, t = 1, 30 examples", problem(1, 6, 3, 2, law=dataset(30, 6, 2)))
    add("expansion", "3-2-1, t = 2, 3 examples", problem(2, 3, 2, 1, law=dataset(3, 3, 1)), True)
    add("expansion", "1-1-1, t = 2, 50 examples", problem(2, 1, 1, 1, law=dataset(50, 1, 1)))
    add(
        "expansion",
        "4-2-1, t = 1, 40 examples without replacement",
        problem(1, 4, 2, 1, law=dataset(40, 4, 1), **without),
    )
    add("expansion", "2-2-1, t = 1, weights", problem(1, 2, 2, 1, weights=symbols([2, 2, 1])), True)
    add("expansion", "1-3-1, t = 1, weights", problem(1, 1, 3, 1, weights=symbols([1, 3, 1])), True)
    add(
        "expansion",
        "2-1-2, t = 1, weights and rate",
        problem(1, 2, 1, 2, weights=symbols([2, 1, 2]), learning_rate=alpha),
    )
    add("expansion", "1-1-1, t = 2, weights", problem(2, 1, 1, 1, weights=symbols([1, 1, 1])), True)
    add("expansion", "1-1-1, t = 3, rate", problem(3, 1, 1, 1, learning_rate=alpha), True)
    add("expansion", "1-1-1-1, t = 1, weights", problem(1, 1, 1, 1, 1, weights=symbols([1, 1, 1, 1])))
    # at one batch size, by numbers
    add("regression", "1-1, t = 2000, b = 7", problem(2000, 1, 1), True, batch_size=7)
    add("regression", "2-1, t = 500, b = 7", problem(500, 2, 1), True, batch_size=7)
    add("regression", "2-1, t = 1000, b = 1", problem(1000, 2, 1), batch_size=1)
    add("regression", "3-1, t = 500, b = 2", problem(500, 3, 1), True, batch_size=2)
    add("regression", "6-1, t = 100, b = 2", problem(100, 6, 1), True, batch_size=2)
    add("regression", "3-1, t = 300, b = 2, 20 examples", problem(300, 3, 1, law=dataset(20, 3, 1)), True, batch_size=2)
    add("regression", "2-1, t = 300, b = 2, momentum", problem(300, 2, 1, momentum="1/2"), batch_size=2)
    add(
        "regression",
        "6 weights of products, t = 60, b = 4, 30 examples",
        curve(60, 2, law=dataset(30, 2, 1)),
        batch_size=4,
    )
    # linear regression
    add("regression", "3-1, t = 10", problem(10, 3, 1))
    add("regression", "8-1, t = 50", problem(50, 8, 1), True)
    add("regression", "12-2, t = 20", problem(20, 12, 2), True)
    add("regression", "3-1, t = 200", problem(200, 3, 1), True)
    add("regression", "5-1, t = 40, momentum", problem(40, 5, 1, momentum="1/2"))
    add("regression", "5-1, t = 10, 300 examples", problem(10, 5, 1, law=dataset(300, 5, 1)), True)
    add("regression", "10-1, t = 5, 100 examples", problem(5, 10, 1, law=dataset(100, 10, 1)), True)
    add("regression", "4-2, t = 40, 50 examples", problem(40, 4, 2, law=dataset(50, 4, 2)), True)
    add("regression", "3-1, t = 150, 20 examples", problem(150, 3, 1, law=dataset(20, 3, 1)))
    add("regression", "25-1, t = 0, 200 examples", problem(0, 25, 1, law=dataset(200, 25, 1)), True)
    add("regression", "16-1, t = 2, 100 examples", problem(2, 16, 1, law=dataset(100, 16, 1)), True)
    add(
        "regression",
        "2-1, t = 4, weights and rate",
        problem(4, 2, 1, weights=symbols([2, 1]), learning_rate=alpha),
        True,
    )
    add("regression", "3-1, t = 3, weights", problem(3, 3, 1, weights=symbols([3, 1])))
    # losses of degree 2 that are not one layer: laws, many steps, many weights, many features, momentum, symbols
    add("regression", "6 weights of products, t = 100", curve(100, 2), True)
    add("regression", "10 weights of products, t = 12", curve(12, 3))
    add("regression", "6 weights of products, t = 50, 30 examples", curve(50, 2, law=dataset(30, 2, 1)), True)
    add("regression", "10 weights of products, t = 100, 50 examples", curve(100, 3, law=dataset(50, 3, 1)), True)
    add("regression", "15 weights of products, t = 20, 50 examples", curve(20, 4, law=dataset(50, 4, 1)), True)
    add("regression", "15 weights of products, t = 5, 500 examples", curve(5, 4, law=dataset(500, 4, 1)), True)
    add("regression", "21 weights of products, t = 1, 50 examples", curve(1, 5, law=dataset(50, 5, 1)), True)
    add("regression", "3 weights of products, t = 300, 20 examples", curve(300, 1, law=dataset(20, 1, 1)), True)
    add("regression", "12 weights of products, t = 40, 30 examples", curve(40, 2, 2, dataset(30, 2, 2)), True)
    add("regression", "6 weights of products, t = 60, momentum, 30 examples without replacement",
        curve(60, 2, law=dataset(30, 2, 1), momentum="1/2", **without), True)  # fmt: skip
    decimals = lv.Dataset([[f"{i * i}/1000", f"{7 - i}/500"] for i in range(30)], list(range(30)))
    add(
        "regression",
        "6 weights of products, t = 60, rate and numbers of three decimals",
        curve(60, 2, law=decimals, rate="1/317"),
    )
    add(
        "regression",
        "3 weights of products, a symbol for the rate, t = 8",
        curve(8, 1, law=dataset(20, 1, 1), rate=alpha),
        True,
    )
    # formulas in traces: the recursion on words, wide matrices, long numbers
    long = lv.rationalize([[0.123456789 * i - 0.987654321 * j for i in range(40)] for j in range(30)], 9)
    for quick, name, one in (
        (True, "2-2-2, t = 1", problem(1, 2, 2, 2)),
        (True, "3-2-1, t = 1, noise", problem(1, 3, 2, 1, law=gaussian(3, 1, noise_variance=2))),
        (True, "12-7-5, t = 1", problem(1, 12, 7, 5)),
        (False, "30-20-10, t = 1", problem(1, 30, 20, 10)),
        (False, "40-30-5, t = 1, noise", problem(1, 40, 30, 5, law=gaussian(40, 5, noise_variance=2))),
        (True, "100-80-10, t = 1", problem(1, 100, 80, 10)),
        (False, "40-30-1, t = 1, nine decimals", problem(1, 40, 30, 1, weights=[long, [[row[0] for row in long]]])),
        (False, "100-80-10, t = 0", problem(0, 100, 80, 10)),
        (False, "6-5-4-3, t = 0", problem(0, 6, 5, 4, 3)),
    ):
        add("traces", name, one, quick)
    # the lattice: compilation; many nodes; many primes; data
    add("lattice", "2-2-1, t = 1", problem(1, 2, 2, 1), True)
    add("lattice", "2-3-2, t = 2", problem(2, 2, 3, 2), True)
    add("lattice", "4-2-1, t = 1, 30 examples", problem(1, 4, 2, 1, law=dataset(30, 4, 1)))
    add("lattice", "1-1-1, t = 4", problem(4, 1, 1, 1))
    add("lattice", "1-2-1, t = 3, noise", problem(3, 1, 2, 1, law=gaussian(1, 1, noise_variance=2)), True)
    add("lattice", "1-1-1-1, t = 3", problem(3, 1, 1, 1, 1), True)
    add("lattice", "3-2-1, t = 2", problem(2, 3, 2, 1))
    add("lattice", "2-1-1, t = 2, 200 examples", problem(2, 2, 1, 1, law=dataset(200, 2, 1)), True)
    add("lattice", "2-2-2-2, t = 2, zeros and ones", problem(2, 2, 2, 2, 2, law=lv.Gaussian([[1, 0], [0, 2]]), **THREE))
    add("lattice", "3-2-1, t = 1", problem(1, 3, 2, 1), True)
    add("lattice", "2-1-1, t = 2, a bias input", problem(2, 2, 1, 1, law=bias))
    # the first coefficients
    for quick, step, order, digits in (
        (True, 3, 1, None), (True, 5, 2, None), (True, 8, 1, None), (False, 9, 1, None), (True, 11, 1, None), (False, 7, 2, None),
        (True, 20, 1, 30), (True, 15, 2, 30), (False, 60, 1, 50), (True, 4, 3, 30), (False, 3, 4, None),
    ):  # fmt: skip
        name = f"2-2-2, t = {step}, order {order}" + (f", {digits} digits" if digits else "")
        add("large_batch", name, problem(step, 2, 2, 2), quick, order=order, digits=digits)
    add("large_batch", "1-1-1, t = 4, order 6", problem(4, 1, 1, 1), True, order=6)
    add("large_batch", "4-3-2, t = 4, order 1", problem(4, 4, 3, 2), True, order=1)
    add("large_batch", "6-4-3, t = 10, order 1, 30 digits", problem(10, 6, 4, 3), order=1, digits=30)
    add("large_batch", "2-2-2-2, t = 5, order 1", problem(5, 2, 2, 2, 2), order=1)
    add("large_batch", "3-2-2-2, t = 8, order 2, 30 digits", problem(8, 3, 2, 2, 2), order=2, digits=30)
    add("large_batch", "4-2-1, t = 8, 60 examples, order 1, 30 digits",
        problem(8, 4, 2, 1, law=dataset(60, 4, 1)), True, order=1, digits=30)  # fmt: skip
    add("large_batch", "2-2-1, t = 6, 60 examples, order 2, 30 digits",
        problem(6, 2, 2, 1, law=dataset(60, 2, 1)), order=2, digits=30)  # fmt: skip
    add("large_batch", "2-2-2, t = 8, momentum, order 1", problem(8, 2, 2, 2, momentum="1/2"), order=1)
    add("large_batch", "8-2-1, t = 3, 4 rows, order 1", problem(3, 8, 2, 1, law=dataset(4, 8, 1)), True, order=1)
    add("large_batch", "5-4-1, t = 5, 30 examples, order 1, 30 digits",
        problem(5, 5, 4, 1, law=dataset(30, 5, 1)), order=1, digits=30)  # fmt: skip
    add("large_batch", "1-1-1, t = 2, order 10", problem(2, 1, 1, 1), order=10)
    add("large_batch", "2-2-2, rank 1, t = 7, order 2", problem(7, 2, 2, 2, law=rank_one), True, order=2)
    add("large_batch", "2-2-1, t = 1, weights, order 1", problem(1, 2, 2, 1, weights=symbols([2, 2, 1])), True, order=1)
    add("large_batch", "1-2-1, t = 1, weights, order 2", problem(1, 1, 2, 1, weights=symbols([1, 2, 1])), True, order=2)
    add("large_batch", "1-1-1, t = 2, weights and rate, order 1",
        problem(2, 1, 1, 1, weights=symbols([1, 1, 1]), learning_rate=alpha), True, order=1)  # fmt: skip
    add("large_batch", "12-7-5, t = 1, order 1, by pairs", problem(1, 12, 7, 5), True, order=1)
    add("large_batch", "12-7-5, t = 3, order 1, by pairs", problem(3, 12, 7, 5), True, order=1)
    add("large_batch", "60-30-10, t = 2, order 1, by pairs", problem(2, 60, 30, 10), True, order=1)
    add("large_batch", "100-50-10, t = 1, order 1, by pairs", problem(1, 100, 50, 10), order=1)
    add("large_batch", "3-3-3-3-3, t = 2, order 1, by pairs", problem(2, 3, 3, 3, 3, 3), order=1)
    add("large_batch", "2-2-2, t = 1, weights, order 1", problem(1, 2, 2, 2, weights=symbols([2, 2, 2])), order=1)
    return found
