"""How often intervals of ``noise_scale`` hold the truth: gradients of known laws, 16 blocks, 2,000 data sets each.

    python benchmarks/noise_scale_coverage.py [--repeats 2000] [--blocks 16] [--widths 1 8] [--examples 256 1024 4096]

The loss is w . x, so that the gradients are the data: x = mean + noise, with tr Cov(x) = width and ||mean||^2 such that
n ||mean||^2 / tr Cov is 100 (the mean is ten standard errors from zero, for width 1) or 4 (two: barely resolved). Moments of
each block are those of ``gradient_moments``, and are summarised as ``noise_scale`` does. Intervals that should hold the truth
in 95 of 100 data sets:

    old       estimate -+ 1.96 standard errors (an infinite estimate counts as right, here and in the next two)
    t         estimate -+ t standard errors, Student's t with blocks - 1 degrees of freedom
    log t     likewise for its logarithm
    Fieller   Fieller (1954) with t and the jackknife's covariance of trace and squared mean
    interval  NoiseScale.interval()
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import stdtrit

from linvar.numeric import gradient_moments
from linvar.numeric.gradients.blocks import mean_of, products
from linvar.numeric.gradients.jackknife import Jackknife, without_each

#: n ||E g||^2 / tr Cov(g_i): well resolved, and barely.
SIGNALS = (100, 4)
METHODS = ("old", "t", "log t", "Fieller", "interval")
Shape = tuple[int, int, int]


def scaled(scales: Callable[[np.random.Generator, Shape], np.ndarray], variance: float) -> Callable[..., np.ndarray]:
    """Normal directions times a scale of each example."""
    return lambda rng, shape: rng.normal(size=shape) * scales(rng, (*shape[:2], 1)) / math.sqrt(variance)


def sometimes(share: float, scale: float) -> Callable[..., np.ndarray]:
    """A share of the examples is larger."""
    return scaled(lambda rng, s: np.where(rng.random(s) < share, scale, 1), 1 - share + share * scale**2)


def student(degrees: int) -> Callable[..., np.ndarray]:
    """Student's t, in all directions alike."""
    return scaled(lambda rng, s: np.sqrt(degrees / rng.chisquare(degrees, s)), degrees / (degrees - 2))


#: Noise of mean 0 and variance 1 in every direction.
LAWS: dict[str, Callable[..., np.ndarray]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "Student t, 5 degrees": student(5),
    "Student t, 3 degrees": student(3),
    "lognormal entries": lambda rng, s: (np.exp(rng.normal(size=s)) - math.exp(0.5)) / math.sqrt(math.e * (math.e - 1)),
    "Pareto entries, index 3": lambda rng, s: (rng.random(s) ** (-1 / 3) - 1.5) / math.sqrt(0.75),
    "one in 10 is 3 times as large": sometimes(0.1, 3),
    "one in 100 is 10 times as large": sometimes(0.01, 10),
    "one in 1,000 is 30 times as large": sometimes(0.001, 30),
}


@partial(jax.jit, static_argnums=1)
def sums_of(x: jax.Array, blocks: int) -> tuple[jax.Array, ...]:
    """Of every data set: scatter within blocks, ||mean_k - mean||^2, mean . (mean_k - mean), each (blocks,), and ||mean||^2."""
    _, n, width = x.shape

    def of(data: jax.Array) -> tuple[jax.Array, ...]:
        rows = data.reshape(blocks, n // blocks, width)
        moments = jax.vmap(lambda own: gradient_moments(lambda w, e: jnp.sum(w * e), jnp.ones(width), own, ddof=0))(
            rows
        )
        means = [[own] for own in moments.mean]
        mean = mean_of(means, [n // blocks] * blocks)
        (apart, along) = (jnp.stack([own[0] for own in each]) for each in zip(*(products(mean, own) for own in means)))
        return moments.trace * (n // blocks), apart, along, jnp.sum(mean[0] ** 2)

    return jax.vmap(of)(x)


def jackknives(x: np.ndarray, blocks: int) -> Iterator[tuple[Jackknife, Jackknife]]:
    """What ``noise_scale`` makes of each data set (repeats, examples, width)."""
    counts = np.full(blocks, float(x.shape[1] // blocks))
    sums = [np.asarray(s, "float64") for s in sums_of(jnp.asarray(x, "float32"), blocks)]
    for scatter, apart, along, plain in zip(*sums):
        yield without_each(counts, scatter, apart, along, plain=float(plain), ddof=1)


def fieller(found: Jackknife, truth: float, t: float) -> bool:
    """Whether trace - truth squared_mean is within t of its own errors of 0."""
    value, error = found.estimate(lambda n, trace, norm: trace - truth * (norm - found.ddof * trace / n))
    return abs(value) <= t * error


def held(found: Jackknife, between: Jackknife, trace: float, square: float, t: float) -> dict[str, bool]:
    """Which intervals hold the truth."""
    scale = trace / square
    value, error = found.noise_scale
    unknown = not math.isfinite(value) or not math.isfinite(error)
    low, high = found.noise_scale_interval(0.95)
    inside = lambda ends, x: ends[0] <= x <= ends[1]  # noqa: E731
    near = lambda estimate, x: abs(estimate[0] - x) <= 1.96 * estimate[1]  # noqa: E731
    return {
        "old": unknown or near((value, error), scale),
        "t": unknown or abs(value - scale) <= t * error,
        "log t": unknown or abs(math.log(value / scale)) <= t * error / value,
        "Fieller": fieller(found, scale, t),
        "interval": low <= scale <= high,
        "trace old": near(found.trace, trace),
        "trace": inside(found.trace_interval(0.95), trace),
        "squared_mean old": near(found.squared_mean, square),
        "squared_mean": inside(found.squared_mean_interval(0.95), square),
        "two_batch": inside(between.noise_scale_interval(0.95), scale),
        "below": high < scale,
        "warned": found.carried_by_few,
    }


def coverage(
    law: str, n: int, width: int, signal: float, *, blocks: int, repeats: int, seed: int = 0
) -> dict[str, float]:
    """Shares of data sets whose intervals hold the truth."""
    rng = np.random.default_rng([seed, list(LAWS).index(law), n, width, int(signal)])
    mean = np.zeros(width)
    mean[0] = math.sqrt(signal * width / n)
    t = float(stdtrit(blocks - 1, 0.975))
    rows = []
    for start in range(0, repeats, 250):
        x = mean + LAWS[law](rng, (min(250, repeats - start), n, width))
        rows += [held(*found, float(width), signal * width / n, t) for found in jackknives(x, blocks)]
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def row(cell: tuple[int, str, int], blocks: int, repeats: int) -> str:
    """A line of the table."""
    width, law, n = cell
    found = {s: coverage(law, n, width, s, blocks=blocks, repeats=repeats) for s in SIGNALS}
    groups = [" ".join(f"{found[s][name]:.3f}" for name in METHODS) for s in SIGNALS]
    rest = [f"{found[100][name]:.3f}" for name in ("trace old", "trace")]
    rest += [f"{found[4][name]:.3f}" for name in ("squared_mean old", "squared_mean")]
    rest += [f"{found[s]['two_batch']:.3f}" for s in SIGNALS]
    rest += [f"{found[100]['below']:.3f}", f"{100 * found[100]['warned']:.0f} %"]
    return f"| {law} | {n:,} | {' | '.join(' | '.join(g.split()) for g in groups)} | {' | '.join(rest)} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--widths", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--examples", type=int, nargs="*", default=[256, 1024, 4096])
    parser.add_argument("--laws", nargs="*", default=list(LAWS))
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    start = time.perf_counter()
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        for width in options.widths:
            print(f"width {width}, {options.blocks} blocks, {options.repeats:,} data sets a line")
            methods = " | ".join(f"{name}, {signal}" for signal in SIGNALS for name in METHODS)
            print(
                f"| law | n | {methods} | trace old | trace | squared_mean old, 4 | squared_mean, 4 | two_batch, 100 | "
                "two_batch, 4 | too low, 100 | warned |"
            )
            print("|---|---:|" + "---:|" * 18, flush=True)
            cells = [(width, law, n) for law, n in itertools.product(options.laws, options.examples)]
            for line in pool.map(partial(row, blocks=options.blocks, repeats=options.repeats), cells):
                print(line, flush=True)
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
