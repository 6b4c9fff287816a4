"""Formulas in traces: their derivation, their evaluation at widths 784-256-10, exact and in float64, and what rounding costs.

    python benchmarks/trace_formulas.py [--repeats 5] [--only WORD ...]

Seconds of process time (all threads), medians; every derivation is a fresh one. "Predicted" is what ``linvar.trace_formula`` says
before it starts. Errors of float64, entry by entry, are against the exact table of the same floats: over its ``condition``, and
over the entry. Near the teacher W_2 W_1 - W* has lost digits itself. ``--only`` takes rows whose name contains one of the words.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

import linvar as lv
from linvar.symbolic.algebra.ring import Ring
from linvar.symbolic.models.registry import exact_model
from linvar.symbolic.traces.cost import predicted_seconds
from linvar.symbolic.traces.exact import traces
from linvar.symbolic.traces.statement import checked, derived, forget

WIDTHS = (784, 256, 10)
#: name -> (target in seconds, arguments of linvar.trace_formula)
DERIVATIONS: dict[str, tuple[float, dict[str, Any]]] = {
    "derive L = 2, identity": (0.15, {}),
    "derive L = 2, any covariance, label noise": (0.4, {"covariance": "general"}),
    "derive L = 3 to u": (2.0, {"depth": 3, "order": 1}),
    "derive L = 3 to u^2": (12.0, {"depth": 3, "order": 2}),
}


def statement_of(depth: int = 2, order: int | None = None, covariance: str = "identity") -> Any:
    """The statement of a formula for the variance at t = 1."""
    return checked(depth, 1, "variance", order, covariance, False, False)


def derived_afresh(statement: Any) -> Any:
    """A formula's terms."""
    forget()
    return derived(statement)


def arrays(widths: tuple[int, ...] = WIDTHS, teacher_over_network: float | None = None) -> tuple[list[Any], Any]:
    """W_l ~ N(0, 1/d_{l-1}), and a teacher like the first; or one that is a multiple of W_L ... W_1."""
    rng = np.random.default_rng(1)
    shapes = [*zip(widths[1:], widths), (widths[-1], widths[0])]
    *weights, teacher = [rng.normal(size=shape) / shape[1] ** 0.5 for shape in shapes]
    if teacher_over_network is not None:
        teacher = teacher_over_network * (weights[1] @ weights[0])
    return weights, teacher


def problem_of(widths: tuple[int, ...], digits: int | None, multiple: float | None = None) -> lv.Problem:
    """The same as an exact problem: rounded to some digits, or every float as the fraction that it is."""

    def exact(array: Any) -> Any:
        if digits is not None:
            return lv.rationalize(array, decimals=digits)
        return [[lv.Rational(Fraction(float(entry))) for entry in row] for row in array]

    weights, teacher = arrays(widths, multiple)
    return lv.Problem([exact(weight) for weight in weights], lv.Gaussian(exact(teacher)), "1/10", step=1)


def exact_table(formula: Any, problem: lv.Problem) -> Any:
    """The exact entries of ``formula.table``."""
    model = exact_model(problem)
    found = traces(formula.route(problem.widths), model.layers, model.law.wishart, Ring(0, ()))
    entries = np.full(formula.table(*arrays(problem.widths)).values.shape, Fraction(0))
    for (power, powers), terms in formula.terms.items():
        for words, integer in terms.items():
            product = Fraction(integer)
            for word in words:
                product *= Fraction(str(found[word]))
            entries[(power, *powers)] += product
    return entries


def rounding(widths: tuple[int, ...], multiple: float | None) -> tuple[float, float, float]:
    """The largest error of float64 over the condition, and over the entry; and the largest condition over the entry."""
    formula = lv.trace_formula()
    table = formula.table(*arrays(widths, multiple))
    exact = exact_table(formula, problem_of(widths, None, multiple))
    pairs = [
        (abs(Fraction(value) - true), condition, true)
        for value, condition, true in zip(table.values.flat, table.condition.flat, exact.flat)
    ]
    return (
        max(float(error / Fraction(condition)) for error, condition, _ in pairs if condition),
        max(float(error / abs(true)) for error, _, true in pairs if true),
        max(float(Fraction(condition) / abs(true)) for _, condition, true in pairs if true),
    )


def seconds(function: Callable[[], Any], repeats: int, *, warm: bool = False) -> float:
    """The median process time."""
    if warm:
        function()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        found.append(time.process_time() - start)
    return statistics.median(found)


def evaluations(repeats: int) -> dict[str, tuple[float, Callable[[], float]]]:
    """Name -> target, and how it is measured."""
    formula, general = lv.trace_formula(), lv.trace_formula(covariance="general")
    weights, teacher = arrays()
    size = "784-256-10"
    inputs = np.random.default_rng(2).normal(size=(WIDTHS[0], WIDTHS[0] + 200))
    covariance = inputs @ inputs.T / inputs.shape[1]

    def exactly(digits: int | None) -> float:
        problem = problem_of(WIDTHS, digits)
        return seconds(lambda: formula(problem), min(repeats, 3))

    def small(road: Any) -> float:
        problem = problem_of((4, 4, 3), 3)
        return seconds(lambda: formula(problem) if road is None else lv.gradient_variance(problem, road), repeats)

    return {
        f"{size} in float64": (0.1, lambda: seconds(lambda: formula.table(weights, teacher), repeats, warm=True)),
        f"{size} in float64, first call": (1.0, lambda: seconds(lambda: lv.trace_formula().table(weights, teacher), repeats)),
        f"{size} in float64, a covariance and label noise": (
            1.0, lambda: seconds(lambda: general.table(weights, teacher, covariance, 0.3), repeats, warm=True),
        ),
        f"{size} exact, entries of 3 digits": (3.0, lambda: exactly(3)),
        f"{size} exact, entries of float64": (3.0, lambda: exactly(None)),
        "4-4-3 exact, by the formula": (0.1, lambda: small(None)),
        "4-4-3 exact, by the expansion": (float("nan"), lambda: small(lv.Expansion())),
    }  # fmt: skip


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[""])
    arguments = parser.parse_args()

    def wanted(name: str) -> bool:
        return any(word in name for word in arguments.only)

    print(f"{platform.machine()}, Python {platform.python_version()}, medians of {arguments.repeats}\n")
    print("| | target | seconds | predicted | terms |\n|---|---:|---:|---:|---:|")
    for name, (target, options) in DERIVATIONS.items():
        if wanted(name):
            statement = statement_of(**options)
            taken = seconds(
                lambda s=statement: derived_afresh(s), arguments.repeats if target < 1 else min(arguments.repeats, 3)
            )  # type: ignore[misc]
            terms = sum(map(len, derived(statement).values()))
            print(f"| {name} | {target:g} | {taken:.3f} | {predicted_seconds(statement):.2g} | {terms:,} |", flush=True)
    for name, (target, measure) in evaluations(arguments.repeats).items():
        if wanted(name):
            print(f"| {name} | {'' if target != target else f'{target:g}'} | {measure():.3f} | | |", flush=True)
    print(
        "\n| float64 against exact | over the condition (target 1e-13) | relative | condition number |\n|---|---:|---:|---:|"
    )
    teachers = {"": None, ", the teacher 3 W_2 W_1": 3.0, ", the teacher 1.000001 W_2 W_1": 1.000001}
    for widths in ((4, 4, 3), (50, 20, 5), WIDTHS):
        for said, multiple in teachers.items():
            name = f"rounding at {'-'.join(map(str, widths))}{said}"
            if wanted(name):
                absolute, relative, number = rounding(widths, multiple)
                print(f"| {name} | {absolute:.1e} | {relative:.1e} | {number:.2g} |", flush=True)


if __name__ == "__main__":
    main()
