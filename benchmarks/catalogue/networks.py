"""Networks of dense layers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from catalogue.registry import Draw, Made, dense, model


def chain(draw, *widths):
    """The layers of an MLP."""
    return [draw.dense(a, b) for a, b in zip(widths, widths[1:])]


def cross_entropy(logits, y):
    """-log p(y)."""
    return -jax.nn.log_softmax(logits)[y]


def mlp(p, x, act=jax.nn.relu):
    """An MLP, linear at the end."""
    for layer in p[:-1]:
        x = act(dense(layer, x))
    return dense(p[-1], x)


@model()
def mlp_relu(small: bool) -> Made:
    """An MLP of three layers with relu and cross entropy."""
    widths, n = ((5, 4, 4, 3), 7) if small else ((784, 256, 256, 10), 256)
    draw = Draw()
    params = chain(draw, *widths)
    batch = (draw.normal(n, widths[0]), draw.integers(widths[-1], n))
    return lambda p, example: cross_entropy(mlp(p, example[0]), example[1]), params, batch, {}


@model()
def mlp_nnx(small: bool) -> Made:
    """The same in flax.nnx, with layer norm, of a whole batch."""
    from flax import nnx

    widths, n = ((5, 4, 3), 7) if small else ((256, 256, 10), 256)
    draw = Draw()

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(widths[0], widths[1], rngs=rngs)
            self.norm = nnx.LayerNorm(widths[1], rngs=rngs)
            self.second = nnx.Linear(widths[1], widths[1], rngs=rngs)
            self.last = nnx.Linear(widths[1], widths[2], rngs=rngs)

        def __call__(self, x):
            x = nnx.gelu(self.norm(self.first(x)))
            return self.last(nnx.gelu(self.second(x)))

    graph, params = nnx.split(Net(nnx.Rngs(0)), nnx.Param)

    def loss(p, batch):
        x, y = batch
        scores = jax.nn.log_softmax(nnx.merge(graph, p)(x))
        return -jnp.mean(jnp.take_along_axis(scores, y[:, None], axis=1))

    return loss, params, (draw.normal(n, widths[0]), draw.integers(widths[-1], n)), {"batched": True}


@model()
def deep_linear(small: bool) -> Made:
    """A linear network of six layers, no biases."""
    width, layers, n = (4, 3, 7) if small else (128, 6, 512)
    draw = Draw()

    def loss(p, example):
        x, y = example
        for w in p:
            x = x @ w
        return 0.5 * jnp.sum((x - y) ** 2)

    return loss, [draw.weight(width, width) for _ in range(layers)], (draw.normal(n, width), draw.normal(n, width)), {}


@model()
def linear_regression(small: bool) -> Made:
    """Least squares."""
    inputs, n = (5, 8) if small else (8_000, 512)
    draw = Draw()
    params = {"w": draw.normal(inputs), "b": np.float32(0)}
    batch = (draw.normal(n, inputs), draw.normal(n))
    return lambda p, example: 0.5 * (example[0] @ p["w"] + p["b"] - example[1]) ** 2, params, batch, {}


@model()
def logistic_regression(small: bool) -> Made:
    """Logistic regression with many classes."""
    inputs, classes, n = (5, 3, 8) if small else (784, 100, 512)
    draw = Draw()
    batch = (draw.normal(n, inputs), draw.integers(classes, n))
    return lambda p, e: cross_entropy(dense(p, e[0]), e[1]), draw.dense(inputs, classes), batch, {}


@model()
def mlp_dropout(small: bool) -> Made:
    """An MLP with dropout."""
    widths, n = ((5, 4, 4, 3), 7) if small else ((256, 256, 256, 10), 256)
    draw = Draw()

    def loss(p, example, key):
        x, y = example
        for layer in p[:-1]:
            key, own = jax.random.split(key)
            x = jax.nn.relu(dense(layer, x))
            x = jnp.where(jax.random.bernoulli(own, 0.9, x.shape), x / 0.9, 0)
        return cross_entropy(dense(p[-1], x), y)

    batch = (draw.normal(n, widths[0]), draw.integers(widths[-1], n))
    return loss, chain(draw, *widths), batch, {"key": jax.random.key(0)}


@model()
def vae(small: bool) -> Made:
    """A variational autoencoder, one sample of the code."""
    inputs, width, code, n = (6, 5, 2, 7) if small else (784, 256, 20, 128)
    draw = Draw()

    def loss(p, x, key):
        mean, log_variance = jnp.split(mlp(p["encoder"], x), 2)
        z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape, mean.dtype)
        logits = mlp(p["decoder"], z)
        divergence = 0.5 * jnp.sum(jnp.exp(log_variance) + mean**2 - 1 - log_variance)
        return jnp.sum(jax.nn.softplus(logits) - x * logits) + divergence

    params = {"encoder": chain(draw, inputs, width, 2 * code), "decoder": chain(draw, code, width, inputs)}
    return loss, params, draw.uniform(n, inputs), {"key": jax.random.key(0)}


@model()
def flat_vector(small: bool) -> Made:
    """An MLP whose parameters are one flat vector."""
    widths, n = ((5, 4, 3), 7) if small else ((256, 256, 10), 128)
    draw = Draw()
    params, unravel = ravel_pytree(jax.tree.map(lambda w: jnp.asarray(w, float), chain(draw, *widths)))

    def loss(p, example):
        x, y = example
        return cross_entropy(mlp(unravel(p), x), y)

    return loss, params, (draw.normal(n, widths[0]), draw.integers(widths[-1], n)), {}


@model()
def multi_task(small: bool) -> Made:
    """One trunk, the head of the task of the example."""
    inputs, width, tasks, outputs, n = (5, 4, 3, 2, 7) if small else (128, 256, 12, 16, 256)
    draw = Draw()

    def loss(p, example):
        x, task, y = example
        x = jax.nn.relu(dense(p["b"], jax.nn.relu(dense(p["a"], x))))
        return jnp.mean((x @ p["heads"][task] + p["bias"][task] - y) ** 2)

    params = {
        "a": draw.dense(inputs, width), "b": draw.dense(width, width), "heads": draw.stacked(tasks, width, outputs),
        "bias": draw.normal(tasks, outputs),
    }  # fmt: skip
    return loss, params, (draw.normal(n, inputs), draw.integers(tasks, n), draw.normal(n, outputs)), {}


@model()
def batch_norm_frozen(small: bool) -> Made:
    """Batch normalisation with the statistics of training held fixed."""
    width, layers, n = (4, 2, 7) if small else (256, 4, 256)
    draw = Draw()
    mean, variance = draw.normal(layers, width), 1 + draw.uniform(layers, width)

    def loss(p, example):
        x, y = example
        for q, m, v in zip(p, mean, variance):
            x = jax.nn.relu((dense(q["dense"], x) - m) / jnp.sqrt(v + 1e-5) * q["scale"] + q["shift"])
        return jnp.sum((x - y) ** 2)

    params = [
        {"dense": draw.dense(width, width), "scale": 1 + draw.normal(width), "shift": draw.normal(width)}
        for _ in range(layers)
    ]
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model(tolerance=0.1)
def mixed_precision(small: bool) -> Made:
    """Parameters in single precision, layers computed in bfloat16."""
    widths, n = ((5, 4, 4, 3), 7) if small else ((256, 256, 256, 10), 128)
    draw = Draw()

    def loss(p, example):
        x, y = example
        half = jax.tree.map(lambda w: w.astype(jnp.bfloat16), p)
        return cross_entropy(mlp(half, x.astype(jnp.bfloat16)).astype(p[0]["w"].dtype), y)

    return loss, chain(draw, *widths), (draw.normal(n, widths[0]), draw.integers(widths[-1], n)), {}


@model()
def cond_on_example(small: bool) -> Made:
    """One of two layers, chosen by the example."""
    inputs, width, n = (4, 5, 9) if small else (64, 96, 128)
    draw = Draw()

    def loss(p, example):
        x, y = example
        x = jnp.tanh(dense(p["in"], x))
        x = jax.lax.cond(jnp.sum(x) > 0, lambda: jnp.tanh(dense(p["a"], x)), lambda: jax.nn.relu(dense(p["b"], x)))
        return jnp.sum((dense(p["out"], x) - y) ** 2)

    params = {
        "in": draw.dense(inputs, width), "a": draw.dense(width, width), "b": draw.dense(width, width),
        "out": draw.dense(width, inputs),
    }  # fmt: skip
    return loss, params, (draw.normal(n, inputs), draw.normal(n, inputs)), {}


@model()
def custom_vjp_dense(small: bool) -> Made:
    """A layer with a derivative of its own, clipped on the way back."""
    width, layers, n = (4, 2, 7) if small else (256, 3, 256)
    draw = Draw()

    @jax.custom_vjp
    def layer(x, w):
        return x @ w

    def forward(x, w):
        return layer(x, w), (x, w)

    def backward(kept, delta):
        x, w = kept
        delta = jnp.clip(delta, -1, 1)
        return delta @ w.T, jnp.outer(x, delta)

    layer.defvjp(forward, backward)

    def loss(p, example):
        x, y = example
        for w in p:
            x = jnp.tanh(layer(x, w))
        return jnp.sum((x - y) ** 2)

    return loss, [draw.weight(width, width) for _ in range(layers)], (draw.normal(n, width), draw.normal(n, width)), {}


@model()
def gated_linear_units(small: bool) -> Made:
    """Gated linear units (SwiGLU)."""
    width, layers, n = (4, 2, 7) if small else (128, 4, 256)
    draw = Draw()

    def loss(p, example):
        x, y = example
        for q in p:
            x = x + (jax.nn.silu(x @ q["gate"]) * (x @ q["up"])) @ q["down"]
        return jnp.sum((x - y) ** 2)

    params = [
        {
            "gate": draw.weight(width, 2 * width),
            "up": draw.weight(width, 2 * width),
            "down": draw.weight(2 * width, width),
        }
        for _ in range(layers)
    ]
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model()
def highway(small: bool) -> Made:
    """A highway network."""
    width, layers, n = (4, 2, 7) if small else (128, 6, 256)
    draw = Draw()

    def loss(p, example):
        x, y = example
        for q in p:
            gate = jax.nn.sigmoid(dense(q["gate"], x) - 1)
            x = gate * jax.nn.relu(dense(q["change"], x)) + (1 - gate) * x
        return jnp.sum((x - y) ** 2)

    params = [{"gate": draw.dense(width, width), "change": draw.dense(width, width)} for _ in range(layers)]
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model()
def residual_shared(small: bool) -> Made:
    """One residual layer applied several times."""
    width, times, n = (4, 3, 7) if small else (128, 6, 256)
    draw = Draw()

    def loss(p, example):
        x, y = example
        for _ in range(times):
            x = x + jnp.tanh(dense(p, x))
        return jnp.sum((x - y) ** 2)

    return loss, draw.dense(width, width), (draw.normal(n, width), draw.normal(n, width)), {}


@model()
def siamese_triplet(small: bool) -> Made:
    """A triplet loss: anchor, same, other through one encoder."""
    inputs, width, code, n = (5, 4, 3, 7) if small else (256, 256, 64, 128)
    draw = Draw()

    def encoded(p, x):
        z = mlp(p, x)
        return z / jnp.sqrt(jnp.sum(z * z) + 1e-6)

    def loss(p, example):
        anchor, same, other = (encoded(p, x) for x in example)
        return jax.nn.relu(jnp.sum((anchor - same) ** 2) - jnp.sum((anchor - other) ** 2) + 0.5)

    batch = tuple(draw.normal(n, inputs) for _ in range(3))
    return loss, chain(draw, inputs, width, width, code), batch, {}
