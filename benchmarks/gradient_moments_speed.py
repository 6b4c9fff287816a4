"""Gradient and variance of per-example gradients, as a ratio to the framework's own mean gradient.

    python benchmarks/gradient_moments_speed.py [--models ABCDT] [--repeats 20] [--peers] [--naive]

(A) linear 784-256-10, n = 4096; (B) linear 256-256-256-256-64, n = 4096; (C) MLP 784-512-512-10, n = 2048; (D) LeNet on
28 x 28 images, n = 1024; (T) transformer encoder, 2 layers, width 128, 64 tokens, n = 256. float32, random data and weights.
Each row is timed side by side with the plain gradient of the same framework (JAX or PyTorch), call by call in turn, after a
warm-up call; median of the ratios and of the seconds. Memory: what XLA reserves for temporaries, outputs and arguments, of
each JAX row. ``--naive`` adds jit(vmap(grad)), which takes gigabytes; ``--peers`` adds BackPACK, Opacus and torch.func, from
the extra "peers".
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from gradient_moments_models import Model, models

from linvar.numeric import gradient_moments


def ours(model: Model, **options: Any) -> Callable[[Any, Any], Any]:
    """Mean and trace by linvar."""

    def call(params: Any, batch: Any) -> Any:
        moments = gradient_moments(model.loss, params, batch, **options)
        return moments.mean, moments.trace

    return jax.jit(call)


def naive(model: Model, chunk: int | None) -> Callable[[Any, Any], Any]:
    """vmap(grad), in one piece or in a scan over chunks."""

    def of_chunk(params: Any, batch: Any) -> Any:
        gradients = jax.vmap(jax.grad(model.loss), in_axes=(None, 0))(params, batch)
        sums = jax.tree.map(lambda g: jnp.sum(g, axis=0), gradients)
        return sums, sum(jnp.sum(g * g) for g in jax.tree.leaves(gradients))

    def call(params: Any, batch: Any) -> Any:
        (count, *_) = jax.tree.leaves(batch)[0].shape
        if chunk is None:
            sums, squares = of_chunk(params, batch)
        else:
            folded = jax.tree.map(lambda x: x.reshape(-1, chunk, *x.shape[1:]), batch)
            zeros = (jax.tree.map(jnp.zeros_like, params), jnp.zeros(()))
            step = lambda total, part: (jax.tree.map(jnp.add, total, of_chunk(params, part)), None)  # noqa: E731
            (sums, squares), _ = jax.lax.scan(step, zeros, folded)
        mean = jax.tree.map(lambda s: s / count, sums)
        return mean, (squares - count * sum(jnp.sum(m * m) for m in jax.tree.leaves(mean))) / (count - 1)

    return jax.jit(call)


def megabytes(call: Any, *arguments: Any) -> float:
    """What XLA reserves for a jitted call."""
    found = call.lower(*arguments).compile().memory_analysis()
    return (found.temp_size_in_bytes + found.output_size_in_bytes + found.argument_size_in_bytes) / 1e6


def side_by_side(
    plain: Callable[[], Any], others: dict[str, Callable[[], Any]], repeats: int
) -> dict[str, tuple[float, float]]:
    """Median seconds and median ratio to ``plain`` of every call, taken in turn."""
    calls = {"plain gradient": plain, **others}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    base = seconds["plain gradient"]
    return {
        name: (statistics.median(own), statistics.median(a / b for a, b in zip(own, base)))
        for name, own in seconds.items()
    }


def jax_rows(model: Model, repeats: int, with_naive: bool) -> None:
    """linvar beside the plain gradient."""
    params, batch = jax.device_put((model.params, model.batch))
    plain = jax.jit(jax.grad(model.batch_loss))
    rows = {"linvar": ours(model), "linvar, centred": ours(model, centred=True)}
    run = lambda call: lambda: jax.block_until_ready(call(params, batch))  # noqa: E731
    times = side_by_side(run(plain), {name: run(call) for name, call in rows.items()}, repeats)
    if with_naive:
        slow = {"scan over chunks of 32 of vmap(grad)": naive(model, 32), "jit(vmap(grad))": naive(model, None)}
        rows |= slow
        found = side_by_side(run(plain), {name: run(call) for name, call in slow.items()}, min(repeats, 3))
        # they sweep the caches that the plain gradient finds warm, so its seconds are those from above
        times |= {name: (found[name][0], found[name][0] / times["plain gradient"][0]) for name in slow}
    base = megabytes(plain, params, batch)
    for name, (seconds, ratio) in times.items():
        memory = base if name == "plain gradient" else megabytes(rows[name], params, batch)
        size = f"{memory:7.0f} MB {memory / base:6.2f} x" + (f"   target {model.target}" if name == "linvar" else "")
        print(f"{model.name}  JAX    {name:38s} {1e3 * seconds:9.1f} ms {ratio:8.2f} x   {size}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="ABCDT")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--naive", action="store_true")
    arguments = parser.parse_args()
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}, {jax.default_backend()}")
    for model in models():
        if model.name not in arguments.models:
            continue
        jax_rows(model, arguments.repeats, arguments.naive)
        if arguments.peers:
            from gradient_moments_peers import peer_rows

            plain, rows = peer_rows(model)
            for name, (seconds, ratio) in side_by_side(plain, rows, arguments.repeats).items():
                print(f"{model.name}  torch  {name:38s} {1e3 * seconds:9.1f} ms {ratio:8.2f} x", flush=True)


if __name__ == "__main__":
    main()
