"""Seconds of a step of ``linvar.first_order``, as a ratio to the plain gradient of the same data.

    python benchmarks/first_order_speed.py [--quick] [--repeats 5]

(S) MLP 8-16-4, P = 212, n = 1024, method "full" and 32 probes; (M) MLP 784-64-10, P = 50,890, n = 2048, 32 probes;
(L) MLP 784-512-512-10, P = 669,706, n = 2048, 8 and 32 probes. tanh, float32, random data and weights. One step: loss,
gradient, tr Sigma, tr(H C H), tr(H C), and the mean shift with its third derivatives. "without losses" is the same step of which
only the variance is asked: the compiler leaves the rest out. Each row is timed in turn with that and with the gradient of the
mean loss, all compiled, after a call of each; processor seconds, medians. ``--quick`` leaves out (L).
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

from linvar.numeric.delta_method.full import Moments, full_step
from linvar.numeric.delta_method.linearized import Program, Rates, Step, example_bytes
from linvar.numeric.delta_method.probes import Vectors, probe_step
from linvar.numeric.gradients.callables import take

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
    """Of the processor, in one call."""
    start = time.process_time()
    jax.block_until_ready(call())
    return time.process_time() - start


def variance_alone(step: Step) -> Any:
    """What the variance needs of a step: no losses, no mean shift."""
    seen = step.seen
    carried = step.carried.covariance if isinstance(step.carried, Moments) else step.carried.probes
    return step.params, carried, seen.train.value, seen.gradient_norm, seen.per_example, seen.propagated


def row(name: str, widths: tuple[int, ...], n: int, probes: int, repeats: int) -> None:
    """One row; no probes: the full covariance."""
    params, data = model(widths, n)
    leaves = jax.tree.leaves(params)
    count = sum(x.size for x in leaves)
    budget, together = 2**28, 16 if count < 2**28 // 512 else max(1, 2**28 // (32 * count))
    together = min(together, probes or 16)
    tangents = 2 if probes else 4
    chunk = max(1, min(n, budget // (example_bytes(loss, params, data) * 2 * (1 + tangents * together))))
    program, rates = Program(False, False, chunk, together, budget), Rates(0.1, 0.0, 0.0)
    rng = np.random.default_rng(1)

    def vectors(number: int) -> tuple[list[jax.Array], None]:
        return [jnp.asarray(rng.normal(size=(number, *x.shape)), jnp.float32) for x in leaves], None

    carried: Any = Vectors(vectors(probes), vectors(min(8, probes)))
    if not probes:
        carried = Moments(jnp.eye(count, dtype=jnp.float32), jnp.ones(count, jnp.float32))

    taken, _ = take(loss, params, batched=None)

    def step(params: Any, carried: Any, data: Any) -> Step:
        if not probes:
            return full_step(taken, program, params, None, carried, data, None, None, rates)
        return probe_step(taken, program, params, None, carried, data, None, None, rates, jax.random.key(0))

    whole = jax.jit(step)
    without = jax.jit(lambda *state: variance_alone(step(*state)))
    gradient = jax.jit(jax.grad(lambda p, data: jnp.mean(jax.vmap(loss, (None, 0))(p, data))))
    state = params, carried, data
    calls: list[Callable[[], Any]] = [lambda: whole(*state), lambda: without(*state), lambda: gradient(params, data)]
    for call in calls:
        jax.block_until_ready(call())
    times = np.asarray([[seconds(call) for call in calls] for _ in range(repeats)])
    own, other, plain = np.median(times, axis=0)
    ratio = statistics.median(times[:, 0] / times[:, 2])
    print(
        f"({name}) P = {count:8,}  n = {n:,}  {f'{probes} probes' if probes else 'full':10s} chunk {chunk:5,}   "
        f"{own:8.3f} s   without losses {other:8.3f} s   gradient {plain:8.4f} s   ratio {ratio:6.1f}"
        f"   to that without losses {statistics.median(times[:, 0] / times[:, 1]):5.2f}",
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
