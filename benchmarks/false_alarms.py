"""How often ``verify`` rejects the truth, and how often it rejects a wrong polynomial: a table on reference problems.

Each problem is verified ``--repeats`` times with fresh keys, at b = 1, 2, 4, 16 and the four quantities. "alarms" counts
repeats whose overall verdict is REJECT although the polynomials are true; "rejected" counts REJECTs of the variance when its
coefficient of 1/b is multiplied by 1.5 (per batch size; the same runs). Run: python benchmarks/false_alarms.py
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import jax

import linvar as lv
from linvar.symbolic.answers import expected_loss
from linvar.verification.evidence import judge
from linvar.verification.report import to_float

REFERENCE = Path(__file__).parent.parent / "tests" / "reference" / "variance.json"
PROBLEMS = ["L1_p1_t0", "L1_p2d2_t1", "L2_222_t0", "L2_222_t1", "L2_222_t2", "L2_321_t1"]
PROBLEMS += ["L3_1111_t2", "L3_2121_t1", "L4_11111_t1"]
BATCH_SIZES = (1, 2, 4, 16)


def problems(names: list[str]) -> dict[str, tuple[lv.Problem, dict[str, lv.BatchPolynomial]]]:
    """Problems with their true polynomials: the reference values, and a data set under both samplings."""
    cases = {case["id"]: case for case in json.loads(REFERENCE.read_text())["cases"]}
    result = {}
    for name in names:
        if name in cases:
            case = cases[name]
            problem = lv.Problem(case["weights"], lv.Gaussian(case["teacher"]), case["alpha"], case["t"])
            keys = {"variance": "coefficients", "second_moment": "second_moment", "squared_mean": "squared_mean"}
            polynomials = {key: lv.BatchPolynomial(case[f"{value}_in_u"]) for key, value in keys.items()}
        else:
            inputs = [[(3 * i + j * j) % 7 - 3 for j in range(2)] for i in range(20)]
            data = lv.Dataset(inputs, [(5 * i) % 6 - 2 for i in range(20)])
            problem = lv.Problem([[[1, 0], [1, 1]], [[1, "1/2"]]], data, "1/20", 1, name.partition(" ")[2])
            polynomials = {"second_moment": lv.second_moment(problem), "squared_mean": lv.squared_mean(problem)}
            polynomials["variance"] = polynomials["second_moment"] - polynomials["squared_mean"]
        result[name] = problem, {**polynomials, "loss": expected_loss(problem)}
    return result


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--runs", type=int, default=65_536)
    parser.add_argument("--problems", nargs="*", default=[*PROBLEMS, "data iid", "data without_replacement"])
    options = parser.parse_args()
    print(f"{options.repeats} repeats, {options.runs} runs, false_alarm_rate 1e-3 over 16 comparisons", flush=True)
    head = (
        "problem                   alarms  rows rejected | unresolved % at b=1,2,4,16 | x1.5 rejected % at b=1,2,4,16"
    )
    print(head, flush=True)
    for name, (problem, polynomials) in problems(options.problems).items():
        start, alarms, rows = time.perf_counter(), 0, 0
        unresolved: Counter[int] = Counter()
        caught: Counter[int] = Counter()
        wrong = list(polynomials["variance"].coefficients)
        wrong[1] *= lv.rationalize(1.5)
        false = lv.BatchPolynomial(wrong, sampling=problem.sampling, dataset_size=problem.dataset_size)
        for repeat in range(options.repeats):
            key = jax.random.fold_in(jax.random.key(20_041), repeat)
            report = lv.verify(
                problem, key=key, runs=options.runs, batch_sizes=BATCH_SIZES, polynomials=polynomials, progress=False
            )
            alarms += report.verdict == "REJECT"
            rows += sum(row.verdict == "REJECT" for row in report.rows)
            for row in report.rows:
                unresolved[row.batch_size] += row.verdict == "UNRESOLVED"
                if row.quantity == "variance":
                    value = to_float(false(row.batch_size))
                    caught[row.batch_size] += judge("variance", row.estimate - value, value, row.evidence) == "REJECT"
        percent = [f"{100 * unresolved[b] / (4 * options.repeats):5.1f}" for b in BATCH_SIZES]
        power = [f"{100 * caught[b] / options.repeats:5.1f}" for b in BATCH_SIZES]
        seconds = time.perf_counter() - start
        print(
            f"{name:25s} {alarms:6d} {rows:14d} | {' '.join(percent)} | {' '.join(power)}  ({seconds:.0f} s)",
            flush=True,
        )


if __name__ == "__main__":
    main()
