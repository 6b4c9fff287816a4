"""How shallow can a network be whose gradient variance rises with the batch size? A table of searches.

    python benchmarks/nonmonotone.py [--seconds 60] [--seeds 3] [--largest 400] [--cases depth,step[,noise] ...]
        [--problems FILE ...]

Every rise is certified exactly; "slope" is the largest d log var / d log b that was seen, negative where every variance fell.
Seconds are those of the process, all its threads together, compilation included: others may use the machine as well.

Fixed before the search was tuned: the keys 0, 1 and 2, and the starts (``linvar.search.objective.draw_starts``), x_k log-uniform
from 0.1 to 6 and tau uniform from -0.2 to 0.3, which know of no find.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import jax

import linvar as lv


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--largest", type=int, default=400, help="batch sizes from 4 to this")
    parser.add_argument("--cases", nargs="*", default=["8,1", "7,1"])
    parser.add_argument("--problems", nargs="*", default=[], help="templates, whose numbers are varied")
    options = parser.parse_args()
    print(
        f"{'what':>20s} {'seed':>4s} {'rise':>12s} {'by':>9s} {'slope':>8s} {'starts':>11s} {'seconds':>8s} {'starts/s':>9s}"
    )
    for case in options.cases:
        depth, step, *noise = case.split(",")
        for seed in range(options.seeds):
            begin = time.process_time()
            result = lv.search_nonmonotone(
                int(depth),
                step=int(step),
                label_noise=bool(noise),
                batch_sizes=(4, options.largest),
                key=jax.random.key(seed),
                seconds=options.seconds,
            )
            show(case, seed, result, time.process_time() - begin)
    for file in options.problems:
        for seed in range(options.seeds):
            begin = time.process_time()
            result = lv.search_nonmonotone(lv.load_problem(file), key=jax.random.key(seed), seconds=options.seconds)
            show(Path(file).stem, seed, result, time.process_time() - begin)


def show(what: str, seed: int, result: lv.SearchResult, seconds: float) -> None:
    """A line of the table, and what was found."""
    rise = "none" if result.rise is None else f"{result.rise[0]}..{result.rise[1]}"
    by = "" if result.relative_rise is None else f"{float(result.relative_rise):.3%}"
    row = f"{what:>20s} {seed:4d} {rise:>12s} {by:>9s} {result.largest_slope:8.4f}"
    print(f"{row} {result.starts:11,d} {seconds:8.1f} {result.starts / seconds:9,.0f}", flush=True)
    if result.problem is not None:
        print(f"      {json.dumps(result.problem.to_dict())}", flush=True)


if __name__ == "__main__":
    main()
