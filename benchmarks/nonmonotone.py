"""How shallow can a network be whose gradient variance rises with the batch size? A table of searches.

    python benchmarks/nonmonotone.py [--seconds 60] [--seeds 3] [--largest 400] [--cases depth,step[,noise] ...]

Every rise is certified exactly; "largest slope" is the largest d log var / d log b that was seen, negative where every
variance fell.
"""

from __future__ import annotations

import argparse

import jax

import linvar as lv


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--largest", type=int, default=400, help="batch sizes from 4 to this")
    parser.add_argument("--cases", nargs="*", default=["8,1", "7,1"])
    options = parser.parse_args()
    print(
        f"{'depth':>5s} {'step':>4s} {'noise':>5s} {'seed':>4s} {'rise':>12s} {'by':>9s} {'slope':>8s} {'starts':>11s}  seconds"
    )
    for case in options.cases:
        depth, step, *noise = case.split(",")
        for seed in range(options.seeds):
            result = lv.search_nonmonotone(
                int(depth),
                step=int(step),
                label_noise=bool(noise),
                batch_sizes=(4, options.largest),
                key=jax.random.key(seed),
                seconds=options.seconds,
            )
            rise = "none" if result.rise is None else f"{result.rise[0]}..{result.rise[1]}"
            by = "" if result.relative_rise is None else f"{float(result.relative_rise):.3%}"
            row = f"{depth:>5s} {step:>4s} {'yes' if noise else 'no':>5s} {seed:4d} {rise:>12s} {by:>9s}"
            print(f"{row} {result.largest_slope:8.4f} {result.starts:11,d}  {result.seconds:.0f}", flush=True)
            if result.problem is not None:
                weights = ", ".join(str(matrix[0][0]) for matrix in result.problem.weights)
                law, rate = result.problem.law, result.problem.learning_rate
                print(f"      weights {weights}; {law}; learning rate {rate}", flush=True)


if __name__ == "__main__":
    main()
