"""What each measure beside the trace costs, as a ratio to the plain mean gradient.

    python benchmarks/gradient_measures.py [--models CDT] [--repeats 5]

Models as in ``gradient_moments_speed.py``: (C) MLP 784-512-512-10, n = 2048; (D) LeNet on 28 x 28, n = 1024; (T) transformer
encoder, n = 256; float32. Every row is a program of its own under ``jit`` that returns the mean gradient and what the row names;
the rows and the plain gradient take turns, medians of ratios of PROCESS time, so that other work on the machine counts little.
"Vectors" are the leaves of one axis: biases, and scale and shift of norms.
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

from linvar.numeric import gradient_moments, hessian_noise_scale

Call = Callable[[Any, Any], Any]


def vectors(params: Any) -> Any:
    """Which leaves have one axis."""
    return jax.tree.map(lambda x: x.ndim == 1, params)


def rows(model: Model) -> dict[str, Call]:
    """Name -> program."""

    def measured(of: Callable[[Any], Any], mean: bool = True, **options: Any) -> Call:
        def call(params: Any, batch: Any) -> Any:
            moments = gradient_moments(model.loss, params, batch, **options)
            return (moments.mean if mean else None), of(moments)

        return jax.jit(call)

    def probed(probes: int) -> Call:
        return jax.jit(
            lambda params, batch: hessian_noise_scale(model.loss, params, batch, jax.random.key(0), probes=probes)
        )

    return {
        "trace": measured(lambda m: m.trace),
        "norm test, diversity, CABS, trace of the empirical Fisher matrix": measured(
            lambda m: (m.norm_test_radius, m.gradient_diversity, m.cabs_batch_size(0.1), m.empirical_fisher_trace)
        ),
        "`second_moment`": measured(lambda m: m.empirical_fisher_diagonal, second_moment=True),
        "`variance`: entry by entry, SNR": measured(lambda m: (m.trace, m.gradient_snr), variance=True),
        "`variance`, preconditioned noise scale": measured(
            lambda m: m.preconditioned(jax.tree.map(lambda x: 1 / (jnp.abs(x) + 0.1), m.mean)).noise_scale, variance=True
        ),
        '`along="mean"`: projections, cosines': measured(lambda m: (m.trace, m.cosines), squared_norms=True, along="mean"),
        "`clip_norm`: clipped mean": measured(lambda m: (m.trace, m.clipped_mean), clip_norm=1.0),
        "`leaves`: trace of the vectors, mean of all": measured(lambda m: m.trace, leaves=vectors),
        "`leaves`: trace of the vectors, no mean": measured(lambda m: m.trace, mean=False, leaves=vectors),
        "2 probes": probed(2),
        "6 probes": probed(6),
    }  # fmt: skip


def ratios(model: Model, repeats: int) -> tuple[float, dict[str, float]]:
    """Seconds of the plain gradient, and the median ratio of every row to it."""
    params, batch = jax.device_put((model.params, model.batch))
    calls: dict[str, Call] = {"plain": jax.jit(jax.grad(model.batch_loss)), **rows(model)}
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        jax.block_until_ready(call(params, batch))
    for _ in range(repeats):
        for name, call in calls.items():
            start = time.process_time()
            jax.block_until_ready(call(params, batch))
            seconds[name].append(time.process_time() - start)
    base = seconds.pop("plain")
    found = {name: statistics.median(a / b for a, b in zip(own, base)) for name, own in seconds.items()}
    found["`hessian_noise_scale`, a probe"] = (found.pop("6 probes") - found.pop("2 probes")) / 4
    return statistics.median(base), found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="CDT")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}, {jax.default_backend()}")
    chosen = [model for model in models() if model.name in arguments.models]
    found = {model.name: ratios(model, arguments.repeats) for model in chosen}
    print(f"| process time / that of the plain gradient | {' | '.join(found)} |\n|---|{'---:|' * len(found)}")
    print(f"| plain gradient, process time | {' | '.join(f'{1e3 * base:.0f} ms' for base, _ in found.values())} |")
    for name in next(iter(found.values()))[1]:
        print(f"| {name} | {' | '.join(f'{of[name]:.2f}' for _, of in found.values())} |")


if __name__ == "__main__":
    main()
