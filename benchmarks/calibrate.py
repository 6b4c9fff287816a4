"""Fit the coefficients of every prediction of ``linvar.plan`` on this machine, and write them to a file.

    python benchmarks/calibrate.py [--output cost.toml] [--quick] [--road expansion] [--seconds 60]

Derives a list of problems by each road, each in a process of its own: seconds are the median of several derivations (of the
processor for roads in one thread, of the wall clock for the lattice, whose first call compiles), bytes what the process gained
at its peak. Each coefficient of ``linvar/symbolic/cost.py`` is then fitted by least squares of the logarithm of predicted over
measured, held near its present value where the measurements do not tell. What is predicted before and after stands in a table;
``benchmarks/plan_accuracy.py`` has problems of its own to try the result on. To use the file, let LINVAR_COST name it. Let
nothing else run meanwhile: about six minutes on two cores, two to three with ``--quick``. A problem predicted to take more than
``--seconds`` is left out, and one that fails or takes far longer than predicted is said and left out.
"""

from __future__ import annotations

import argparse
import datetime
import math
import multiprocessing
import os
import pickle
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from calibration_problems import Case, cases
from plan_accuracy import measure, problem, road_of, variance
from scipy.optimize import least_squares

import linvar as lv
from linvar.progress import say_nothing
from linvar.symbolic import cost
from linvar.symbolic.cost import Amounts, Costs, costs, parse, total
from linvar.symbolic.models.linear import counting
from linvar.symbolic.registry import ROADS
from linvar.symbolic.roads.expansion import size as expansion_size
from linvar.symbolic.roads.expansion.integrator import Expanded, ExpandedAt
from linvar.symbolic.roads.lattice import size as lattice_size
from linvar.symbolic.roads.regression import closed
from linvar.symbolic.roads.traces import size as traces_size
from linvar.symbolic.sgd.questions import DoubledLoss
from linvar.symbolic.sgd.road import integrator_at_one_size
from linvar.symbolic.sgd.steps import Steps
from linvar.symbolic.traces.statement import forget

#: what is shorter, or smaller, is noise
LEAST_SECONDS, LEAST_BYTES = 5e-4, 2e6
#: how strongly a coefficient is held near its present value: the weight of so many measurements that are off by a factor e
HELD = 0.02
#: fewer measurements than that fit nothing
FEWEST = 3
PATIENCE = 10.0


@dataclass(frozen=True)
class Measured:
    """What it took."""

    case: Case
    parts: tuple[float, ...]  # seconds, each for an entry of ``amounts``
    bytes: float

    @property
    def seconds(self) -> float:
        """All of them."""
        return sum(self.parts)


def amounts(case: Case) -> tuple[Amounts, list[Amounts]]:
    """How much work it is, in bytes and in seconds; what seconds take from bytes is by the present coefficients.

    Seconds of the lattice are in two parts, each measured: those of a warm process, and what the first call takes beside.
    """
    steps = Steps(case.problem)
    if case.road == "lattice":
        lattice = lattice_size.predict(steps, 4 * case.problem.depth - 2)
        return lattice.byte_amounts, [lattice.second_amounts, lattice.compilation_amounts]
    if case.road == "large_batch":
        first, _ = lv.LargeBatch(**case.options).of_variance(steps)
        return first.byte_amounts, [first.second_amounts]
    work = {
        "regression": lambda: (
            closed.work_at_one_size(steps) if case.options else closed.work(steps.model.closure, steps)
        ),
        "expansion": lambda: expansion_size.expansion_work(steps),
        "traces": lambda: traces_size.predict(steps),
    }[case.road]()
    return work.bytes, [work.seconds]


def predicted(case: Case) -> tuple[float, float]:
    """Seconds and bytes by the present coefficients."""
    in_bytes, in_seconds = amounts(case)
    section = getattr(costs(), case.road)
    return sum(total(section, part) for part in in_seconds), total(section, in_bytes)


def derived(case: Case) -> tuple[tuple[float, ...], float]:
    """The median of seconds, part by part, and the bytes gained: called in a process of its own."""
    if "batch_size" in case.options:
        return (statistics.median(at_one_size(case) for _ in range(3)),), 0.0
    road = road_of(case.road, **case.options)
    seconds, memory = measure(road, case.problem)
    if case.road == "lattice":
        warm = min(seconds, measure(road, case.problem)[0])
        return (warm, seconds - warm), memory
    if seconds > 2:
        return (seconds,), memory
    data, found = pickle.dumps(case.problem), []
    while len(found) < 5 or (sum(found) < 0.1 and len(found) < 50):
        again = pickle.loads(data)  # nothing that an earlier derivation left
        forget()
        start = time.process_time()
        variance(road, again)
        found.append(time.process_time() - start)
    return (statistics.median(found),), memory


def at_one_size(case: Case) -> float:
    """Seconds of the expected loss at one batch size."""
    start = time.process_time()
    at = integrator_at_one_size(ROADS[case.road], Steps(case.problem), case.options["batch_size"])
    at.expectations(DoubledLoss(), say_nothing)
    return time.process_time() - start


def run(chosen: list[Case], most: float) -> list[Measured]:
    """Measure, each in a fresh process; what fails or takes far too long is said and left out."""
    done = []
    for case in chosen:
        seconds, _ = predicted(case)
        if seconds > most:
            print(f"left out: {case.road}, {case.name}: about {seconds:.0f} s predicted", flush=True)
            continue
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            waiting = pool.apply_async(derived, (case,))
            try:
                done.append(Measured(case, *waiting.get(60 + PATIENCE * max(seconds, 1))))
            except Exception as fault:  # noqa: BLE001  whatever it is, the others still count
                print(f"left out: {case.road}, {case.name}: {type(fault).__name__}: {fault}", flush=True)
                continue
        print(f"{case.road}, {case.name}: {done[-1].seconds:.3g} s, {done[-1].bytes / 1e6:.3g} MB", flush=True)
    return done


def fitted(section: Any, prefix: str, rows: list[tuple[Amounts, float]]) -> Any:
    """The section with its coefficients of this prefix fitted: least squares of the logarithms."""
    names = [field.name for field in fields(section) if field.name.startswith(prefix)]
    names = [name for name in names if any(amounts.get(name) for amounts, _ in rows)]
    if len(rows) < FEWEST or not names:
        return section
    matrix = np.array([[float(amounts.get(name, 0.0)) for name in names] for amounts, _ in rows])
    wanted = np.log([value for _, value in rows])
    start = np.log([getattr(section, name) for name in names])
    if prefix == "seconds":  # a slower machine is slower in everything
        start = start + np.median(wanted - np.log(matrix @ np.exp(start)))
    held = math.sqrt(HELD)

    def residuals(logarithms: Any) -> Any:
        return np.concatenate([np.log(matrix @ np.exp(logarithms)) - wanted, held * (logarithms - start)])

    # a few measurements that something disturbed are not to decide
    found = least_squares(residuals, start, loss="soft_l1", f_scale=0.3).x
    return replace(section, **{name: float(f"{math.exp(value):.3g}") for name, value in zip(names, found)})


def fit(done: list[Measured]) -> Costs:
    """All coefficients, bytes first: seconds of the expansion depend on them."""
    for prefix in ("bytes", "seconds"):
        for road in sorted({one.case.road for one in done}):
            least = LEAST_BYTES if prefix == "bytes" else LEAST_SECONDS
            rows = []
            for one in (one for one in done if one.case.road == road):
                in_bytes, in_seconds = amounts(one.case)
                found = [(in_bytes, one.bytes)] if prefix == "bytes" else list(zip(in_seconds, one.parts))
                rows += [(part, value) for part, value in found if value >= least]
            present = costs()
            use(replace(present, **{road: fitted(getattr(present, road), prefix, rows)}))
    return costs()


def wide_fraction() -> float:
    """The part of the counted monomials in symbols that is reached where a width is more than 1: the geometric mean."""
    logarithms = []
    for widths in ((2, 2, 1), (2, 2, 2), (1, 3, 1), (3, 1, 1), (2, 1, 2), (1, 2, 1, 1)):
        one = problem(1, *widths, weights=lv.symbolic_weights(widths))
        steps = Steps(one)
        road = ExpandedAt(Expanded(steps), 1)
        reached = len(sum([*road.last.norms(), *road.last.spreads()], road.expanded.ring.zero))
        starts = counting.gradient_products(one, 2)
        counted = counting.count_monomials(one, [steps[0].count()], [steps[0].central], starts)
        logarithms.append(math.log(reached / counted * costs().symbols.wide_fraction))
    return float(f"{math.exp(statistics.mean(logarithms)):.2g}")


def written(found: Costs) -> str:
    """The text of a cost file."""
    lines = [
        "# What the work of the exact half costs on a machine, in bytes and seconds (linvar/symbolic/cost.py says of what).",
        "# Fitted by benchmarks/calibrate.py; to predict for your own machine run it there: LINVAR_COST names the file to use.",
    ]
    for section, values in asdict(found).items():
        lines += ["", f"[{section}]"]
        for name, value in values.items():
            text = f'"{value}"' if isinstance(value, str) else str(value)
            lines.append(f"{name} = {text}")
    return "\n".join([*lines, ""])


def use(found: Costs) -> None:
    """Predict by these coefficients from now on, in this process and those it starts."""
    text = written(found)
    parse(text, "what was fitted")
    path = Path(_FOLDER.name) / f"{abs(hash(text))}.toml"
    path.write_text(text, "utf-8")
    os.environ[cost.VARIABLE] = str(path)


_FOLDER = tempfile.TemporaryDirectory()


def worst(done: list[Measured], of: Callable[[Measured], float]) -> str:
    """The largest factor between predicted and measured, and the median one."""
    factors = sorted(max(of(one), 1 / of(one)) for one in done)
    return f"{factors[-1]:.2g} (median {statistics.median(factors):.2g})" if factors else ""


def main() -> None:
    """Measure, fit, write, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="cost.toml", help="the file to write")
    parser.add_argument("--quick", action="store_true", help="a smaller list")
    parser.add_argument("--road", help="only this one; the others keep their coefficients")
    parser.add_argument("--seconds", type=float, default=60.0, help="leave out what is predicted to take longer")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    chosen = [case for case in cases() if (case.quick or not arguments.quick) and arguments.road in (None, case.road)]
    if arguments.road in (None, "expansion"):
        use(replace(costs(), symbols=cost.Symbols(wide_fraction())))
    done = run(chosen, arguments.seconds)
    before = {one.case.name + one.case.road: predicted(one.case) for one in done}
    found = fit(done)
    machine = cost.Machine(
        f"{platform.machine()}, {os.cpu_count()} cores", platform.python_version(), datetime.date.today()
    )
    Path(arguments.output).write_text(written(replace(found, machine=machine)), "utf-8")
    print("\n| road | problem | seconds before / after / measured | MB before / after / measured |")
    print("|---|---|---:|---:|")
    for one in done:
        old, new = before[one.case.name + one.case.road], predicted(one.case)
        print(
            f"| {one.case.road} | {one.case.name} | {old[0]:.2g} / {new[0]:.2g} / {one.seconds:.2g} "
            f"| {old[1] / 1e6:,.1f} / {new[1] / 1e6:,.1f} / {one.bytes / 1e6:,.1f} |"
        )
    print()
    for road in sorted({one.case.road for one in done}):
        mine = [one for one in done if one.case.road == road]
        large = [one for one in mine if one.bytes >= LEAST_BYTES]
        print(
            f"{road}: largest factor in seconds {worst(mine, lambda one: predicted(one.case)[0] / one.seconds)}, "
            f"in bytes {worst(large, lambda one: predicted(one.case)[1] / one.bytes)}"
        )
    print(f"\n{arguments.output} written after {time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
