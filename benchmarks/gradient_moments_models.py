"""The models of gradient_moments_speed.py, in JAX: the loss of one example and of a batch, written as one would."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Model:
    """A loss with parameters and a batch."""

    name: str
    loss: Callable[[Any, Any], Any]
    batch_loss: Callable[[Any, Any], Any]
    params: Any
    batch: Any
    target: float  # ratio to the plain gradient


def dense(name: str, widths: list[int], n: int, relu: bool, target: float) -> Model:
    """A linear network or an MLP with squared loss."""
    rng = np.random.default_rng(0)
    params = [
        (rng.normal(size=(a, b)).astype("float32") / math.sqrt(a), np.zeros(b, "float32")) if relu
        else (rng.normal(size=(a, b)).astype("float32") / math.sqrt(a),)
        for a, b in zip(widths, widths[1:])
    ]  # fmt: skip
    batch = (rng.normal(size=(n, widths[0])).astype("float32"), rng.normal(size=(n, widths[-1])).astype("float32"))

    def outputs(params: Any, x: Any) -> Any:
        for i, (weight, *bias) in enumerate(params):
            x = x @ weight
            x = x + bias[0] if bias else x
            x = jax.nn.relu(x) if relu and i + 1 < len(params) else x
        return x

    def loss(params: Any, example: Any) -> Any:
        x, y = example
        return 0.5 * jnp.sum((outputs(params, x) - y) ** 2)

    def batch_loss(params: Any, batch: Any) -> Any:
        x, y = batch
        return 0.5 * jnp.mean(jnp.sum((outputs(params, x) - y) ** 2, axis=1))

    return Model(name, loss, batch_loss, params, batch, target)


def lenet(n: int, target: float) -> Model:
    """LeNet-5 on 28 x 28 images, cross entropy."""
    rng = np.random.default_rng(0)

    def init(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / math.sqrt(math.prod(shape[:-1]))).astype("float32")

    params = {
        "conv1": (init(5, 5, 1, 6), np.zeros(6, "float32")), "conv2": (init(5, 5, 6, 16), np.zeros(16, "float32")),
        "dense1": (init(256, 120), np.zeros(120, "float32")), "dense2": (init(120, 84), np.zeros(84, "float32")),
        "dense3": (init(84, 10), np.zeros(10, "float32")),
    }  # fmt: skip
    batch = (rng.normal(size=(n, 28, 28, 1)).astype("float32"), rng.integers(0, 10, n))

    def logits(params: Any, x: Any) -> Any:
        for name in ("conv1", "conv2"):
            weight, bias = params[name]
            x = jax.lax.conv_general_dilated(x, weight, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = jax.nn.relu(x + bias)
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        x = x.reshape(x.shape[0], -1)
        for name in ("dense1", "dense2"):
            x = jax.nn.relu(x @ params[name][0] + params[name][1])
        return x @ params["dense3"][0] + params["dense3"][1]

    def batch_loss(params: Any, batch: Any) -> Any:
        x, y = batch
        scores = jax.nn.log_softmax(logits(params, x))
        return -jnp.mean(jnp.take_along_axis(scores, y[:, None], axis=1))

    return Model("D", lambda p, e: batch_loss(p, jax.tree.map(lambda x: x[None], e)), batch_loss, params, batch, target)


def transformer(
    n: int, target: float, *, length: int = 64, width: int = 128, heads: int = 4, layers: int = 2, words: int = 256
) -> Model:
    """A transformer encoder that classifies a sequence of tokens."""
    rng = np.random.default_rng(0)

    def init(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / math.sqrt(shape[0])).astype("float32")

    def scale_bias() -> tuple[np.ndarray, np.ndarray]:
        return np.ones(width, "float32"), np.zeros(width, "float32")

    def block() -> dict[str, Any]:
        return {
            "norm1": scale_bias(), "norm2": scale_bias(),
            **{name: init(width, width) for name in ("query", "key", "value", "out")},
            "up": (init(width, 4 * width), np.zeros(4 * width, "float32")),
            "down": (init(4 * width, width), np.zeros(width, "float32")),
        }  # fmt: skip

    params = {
        "embed": init(words, width), "place": init(length, width), "blocks": [block() for _ in range(layers)],
        "head": (init(width, 10), np.zeros(10, "float32")),
    }  # fmt: skip
    batch = (rng.integers(0, words, (n, length)), rng.integers(0, 10, n))

    def norm(x: Any, scale_bias: Any) -> Any:
        x = x - jnp.mean(x, axis=-1, keepdims=True)
        return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6) * scale_bias[0] + scale_bias[1]

    def attention(x: Any, p: Any) -> Any:
        q, k, v = (
            jnp.reshape(x @ p[name], (*x.shape[:-1], heads, width // heads)) for name in ("query", "key", "value")
        )
        weights = jax.nn.softmax(jnp.einsum("...qhd,...khd->...hqk", q, k) / math.sqrt(width // heads))
        return jnp.reshape(jnp.einsum("...hqk,...khd->...qhd", weights, v), x.shape) @ p["out"]

    def batch_loss(params: Any, batch: Any) -> Any:
        tokens, y = batch
        x = params["embed"][tokens] + params["place"]
        for p in params["blocks"]:
            x = x + attention(norm(x, p["norm1"]), p)
            x = x + (jax.nn.gelu(norm(x, p["norm2"]) @ p["up"][0] + p["up"][1]) @ p["down"][0] + p["down"][1])
        scores = jax.nn.log_softmax(jnp.mean(x, axis=-2) @ params["head"][0] + params["head"][1])
        return -jnp.mean(jnp.take_along_axis(scores, y[..., None], axis=-1))

    return Model("T", batch_loss, batch_loss, params, batch, target)


def models() -> list[Model]:
    """(A) to (D), and the transformer (T)."""
    return [
        dense("A", [784, 256, 10], 4096, False, 1.06), dense("B", [256, 256, 256, 256, 64], 4096, False, 1.06),
        dense("C", [784, 512, 512, 10], 2048, True, 1.08), lenet(1024, 1.00), transformer(256, 1.5),
    ]  # fmt: skip
