"""Seconds of linear regression's moments: exact for the diabetes data, in JAX up to 10,000 x 500.

    python benchmarks/regression_speed.py [--quick]

Wall-clock seconds of one call after a warm-up call on a small problem of the same kind (compilation of the sizes
themselves is included); peak resident memory of the process so far. Random data, fixed seed. ``--quick`` leaves out
the two large rows.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import linvar as lv
from linvar.datasets import diabetes


def random_data(n: int, d: int) -> dict[str, Any]:
    """Gaussian inputs of decaying scale, a linear target with noise, weights zero, a stable learning rate."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, d)) / (1 + np.arange(d)) ** 0.5
    targets = x @ rng.normal(size=d) + rng.normal(size=n)
    rate = 0.5 / float(np.mean(np.sum(x**2, axis=1)))
    return {"inputs": x, "targets": targets, "weights": np.zeros(d), "learning_rate": rate, "step": 200}


def report(name: str, call: Callable[[], Any]) -> None:
    """One row."""
    start = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - start
    error = getattr(result, "relative_error", None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{name:62s} {seconds:8.2f} s   {peak:7.0f} MB   {'' if error is None else f'error {error:.1e}'}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    data = diabetes()
    for sampling in ("iid", "without_replacement"):
        problem = lv.Problem([[[0] * 10]], data, "1/20", 20, sampling)
        lv.gradient_variance(problem.replace(step=1))
        report(f"exact, diabetes, t = 20, {sampling}", lambda: lv.gradient_variance(problem))  # noqa: B023
        long = problem.replace(step=200)
        lv.regression_curve(long.replace(step=1))
        report(f"JAX, diabetes, t = 200, every b, {sampling}", lambda: lv.regression_curve(long))  # noqa: B023
    if not quick:
        report("JAX, 10,000 x 100, t = 200, every b", lambda: lv.regression_curve(**random_data(10_000, 100)))
        report(
            "JAX, 10,000 x 500, t = 200, b = 32", lambda: lv.regression_curve(None, [32], **random_data(10_000, 500))
        )


if __name__ == "__main__":
    main()
