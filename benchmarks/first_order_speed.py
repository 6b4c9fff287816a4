"""Seconds of a step of the first-order gradient variance, as a ratio to the plain gradient of the same data.

    python benchmarks/first_order_speed.py [--quick] [--repeats 5]

(S) MLP 8-16-4, P = 212, n = 1024, method "full" and 32 probes; (M) MLP 784-64-10, P = 50,890, n = 2048, 32 probes;
(L) MLP 784-512-512-10, P = 669,706, n = 2048, 8 and 32 probes. tanh, float32, random data and weights. One step: loss,
gradient, tr Sigma, and tr(H C H). Each row is timed in turn with the gradient of the mean loss, both compiled, after a call
of each; medians. ``--quick`` leaves out (L).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linvar.numeric.delta_method.linearized import Program, Rates, example_bytes, full_step, probe_step

Data = tuple[jax.Array, jax.Array]


def loss(params: Any, example: Any) -> Any:
    """Squared error of a tanh network with biases."""
    x, y = example
    for weight, bias in params[:-1]:
        x = jnp.tanh(weight @ x + bias)
    weight, bias = params[-1]
    return 0.5 * jnp.sum((weight @ x + bias - y) ** 2)


def model(widths: tuple[int, ...], n: int) -> tuple[Any, Data]:
    """Random weights of a stable scale, and data."""
    rng = np.random.default_rng(0)
    params = [(rng.normal(size=(b, a)) / a**0.5, np.zeros(b)) for a, b in zip(widths, widths[1:])]
    data = rng.normal(size=(n, widths[0])), rng.normal(size=(n, widths[-1]))
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), (params, data))


def seconds(call: Callable[[], Any]) -> float:
    """Of one call."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def row(name: str, widths: tuple[int, ...], n: int, probes: int, repeats: int) -> None:
    """One row; no probes: the full covariance."""
    params, data = model(widths, n)
    leaves = jax.tree.leaves(params)
    count = sum(x.size for x in leaves)
    budget, together = 2**28, 16 if count < 2**28 // 512 else max(1, 2**28 // (32 * count))
    together = min(together, probes or 16)
    chunk = max(1, min(n, budget // (example_bytes(loss, params, data) * 2 * (1 + 2 * together))))
    program, rates = Program(False, False, chunk, together, budget), Rates(0.1, 0.0, 0.0)
    rng = np.random.default_rng(1)

    def step() -> Any:
        if not probes:
            start = jnp.eye(count, dtype=jnp.float32)
            return full_step(loss, program, params, None, start, data, None, rates)[3]
        vectors = [jnp.asarray(rng.normal(size=(probes, *x.shape)), jnp.float32) for x in leaves]
        jax.block_until_ready(vectors)
        before.append(time.perf_counter())
        return probe_step(loss, program, params, None, (vectors, None), data, None, rates, jax.random.key(0))[3]

    before: list[float] = []
    gradient = jax.jit(jax.grad(lambda p: jnp.mean(jax.vmap(loss, (None, 0))(p, data))))
    jax.block_until_ready((step(), gradient(params)))
    own, plain = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        before.clear()
        jax.block_until_ready(step())
        own.append(time.perf_counter() - (before[0] if before else start))  # without drawing the vectors
        plain.append(seconds(lambda: gradient(params)))
    ratio = statistics.median(a / b for a, b in zip(own, plain))
    print(
        f"({name}) P = {count:8,}  n = {n:,}  {f'{probes} probes' if probes else 'full':10s} chunk {chunk:5,}   "
        f"{statistics.median(own):8.3f} s   gradient {statistics.median(plain):8.4f} s   ratio {ratio:6.1f}"
        + (f"   a probe {ratio / probes:5.2f}" if probes else ""),
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    rows: list[tuple[str, tuple[int, ...], int, int]] = [
        ("S", (8, 16, 4), 1024, 0),
        ("S", (8, 16, 4), 1024, 32),
        ("M", (784, 64, 10), 2048, 32),
    ]
    if not arguments.quick:
        rows += [("L", (784, 512, 512, 10), 2048, 8), ("L", (784, 512, 512, 10), 2048, 32)]
    for one in rows:
        row(*one, arguments.repeats)


if __name__ == "__main__":
    main()
