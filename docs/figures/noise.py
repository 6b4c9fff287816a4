"""The figure of docs/noise.md: the noise scale of a small network while it trains, and of each of its leaves at the end.

    python docs/figures/noise.py [--folder docs/figures] [--format svg]

Seeds are fixed; it takes a few seconds on two cores.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

import linvar as lv

CLASSES, WIDTHS, EXAMPLES = 4, (20, 32, 4), 4096
BATCH, STEPS = 128, 200


def data() -> tuple[np.ndarray, np.ndarray]:
    """Classes about four centres in 20 dimensions, some examples nearer to that of another class."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, EXAMPLES)
    centres = rng.normal(size=(CLASSES, WIDTHS[0]))
    return (0.7 * centres[labels] + rng.normal(size=(EXAMPLES, WIDTHS[0]))).astype("float32"), labels


def start() -> dict[str, jax.Array]:
    """Of a network of one hidden layer."""
    keys = jax.random.split(jax.random.key(0))
    matrices = [jax.random.normal(key, (a, b)) / a**0.5 for key, a, b in zip(keys, WIDTHS, WIDTHS[1:])]
    return {"W1": matrices[0], "b1": jnp.zeros(WIDTHS[1]), "W2": matrices[1], "b2": jnp.zeros(CLASSES)}


def loss(params: dict[str, jax.Array], example: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Of one example."""
    x, label = example
    hidden = jnp.tanh(x @ params["W1"] + params["b1"])
    return optax.softmax_cross_entropy_with_integer_labels(hidden @ params["W2"] + params["b2"], label)


def run() -> tuple[lv.NoiseHistory, lv.numeric.NoiseScale]:
    """Train, and measure."""
    examples, params, history = data(), start(), lv.NoiseHistory()
    optimizer = optax.chain(lv.record_noise(decay=0.9), optax.sgd(0.05))
    state = optimizer.init(params)

    @partial(jax.jit, donate_argnums=(0, 1))
    def train(params: Any, state: Any, batch: Any) -> tuple[Any, Any, jax.Array]:
        moments = lv.gradient_moments(loss, params, batch)
        updates, state = optimizer.update(moments.mean, state, params, moments=moments)
        return optax.apply_updates(params, updates), state, moments.loss

    rng = np.random.default_rng(1)
    for step in range(STEPS):
        rows = rng.integers(0, EXAMPLES, BATCH)
        params, state, value = train(params, state, (examples[0][rows], examples[1][rows]))
        history.append(step, lv.recorded_noise(state), loss=value, batch_size=BATCH)
    return history, lv.noise_scale(loss, params, examples, ddof=1)


def main() -> None:
    """Draw it."""
    import matplotlib
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent)
    parser.add_argument("--format", default="svg")
    arguments = parser.parse_args()
    history, noise = run()
    print(history, noise, sep="\n")
    style = {"svg.hashsalt": "linvar", "svg.fonttype": "none", "font.size": 9, "legend.frameon": False}
    with matplotlib.rc_context({**style, "axes.spines.top": False, "axes.spines.right": False}):
        left, right = (figure := Figure(figsize=(9, 3.4), layout="constrained")).subplots(1, 2)
        lv.plot_noise(history, left)
        lv.plot_noise(noise, right, batch_size=BATCH)
        metadata = {"Date": None} if arguments.format == "svg" else None
        figure.savefig(arguments.folder / f"noise.{arguments.format}", dpi=110, metadata=metadata)


if __name__ == "__main__":
    main()
