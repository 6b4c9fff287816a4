"""Weights that are functions of the parameters."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from catalogue.registry import Draw, Made, dense, model


def squared(x, y):
    """Half the squared distance."""
    return 0.5 * jnp.sum((x - y) ** 2)


@model(formed=True)
def spectral_norm(small: bool) -> Made:
    """Weights divided by their largest singular value, by three power iterations."""
    width, n = (6, 7) if small else (256, 256)
    draw = Draw()

    def normalised(w, u):
        u = jax.lax.stop_gradient(u)
        for _ in range(3):
            v = w.T @ u
            v = v / jnp.linalg.norm(v)
            u = w @ v
            u = u / jnp.linalg.norm(u)
        return w / (jax.lax.stop_gradient(u) @ w @ jax.lax.stop_gradient(v))

    def loss(p, example):
        x, y = example
        hidden = jnp.tanh(normalised(p["a"], p["u"]) @ x)
        return squared(normalised(p["b"], p["u"]) @ hidden, y)

    params = {"a": draw.normal(width, width), "b": draw.normal(width, width), "u": draw.normal(width)}
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model()
def lora_merged(small: bool) -> Made:
    """LoRA: a frozen weight plus the product A B, formed first."""
    width, rank, n = (6, 2, 7) if small else (128, 8, 64)
    draw = Draw()
    frozen = draw.weight(width, width)

    def loss(p, example):
        x, y = example
        for q in p:
            x = jnp.tanh(x @ (frozen + q["a"] @ q["b"]))
        return squared(x, y)

    params = [{"a": draw.normal(width, rank), "b": 0.1 * draw.normal(rank, width)} for _ in range(2)]
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model()
def lora_apart(small: bool) -> Made:
    """LoRA: the two factors applied one after the other."""
    width, rank, n = (6, 2, 7) if small else (512, 8, 128)
    draw = Draw()
    frozen = draw.weight(width, width)

    def loss(p, example):
        x, y = example
        for q in p:
            x = jnp.tanh(x @ frozen + 2.0 * ((x @ q["a"]) @ q["b"]))
        return squared(x, y)

    params = [{"a": draw.normal(width, rank), "b": 0.1 * draw.normal(rank, width)} for _ in range(2)]
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model()
def low_rank(small: bool) -> Made:
    """Weights that are products U V."""
    width, rank, n = (6, 2, 7) if small else (256, 16, 128)
    draw = Draw()

    def loss(p, example):
        x, y = example
        for q in p:
            x = jnp.tanh(x @ (q["u"] @ q["v"]) + q["b"])
        return squared(x, y)

    params = [{"u": draw.weight(width, rank), "v": draw.weight(rank, width), "b": draw.normal(width)} for _ in range(2)]
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model(formed=True)
def weight_norm(small: bool) -> Made:
    """Weight normalisation: g v / ||v||."""
    width, n = (5, 7) if small else (256, 128)
    draw = Draw()

    def loss(p, example):
        x, y = example
        for q in p:
            x = jax.nn.relu(x @ (q["g"] * q["v"] / jnp.linalg.norm(q["v"], axis=0)) + q["b"])
        return squared(x, y)

    params = [
        {"v": draw.weight(width, width), "g": 1 + 0.1 * draw.normal(width), "b": draw.normal(width)} for _ in range(3)
    ]
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model(formed=True)
def learned_mask(small: bool) -> Made:
    """Weights times a learned soft mask."""
    width, n = (5, 7) if small else (256, 128)
    draw = Draw()

    def loss(p, example):
        x, y = example
        for q in p:
            x = jnp.tanh(x @ (q["w"] * jax.nn.sigmoid(q["mask"])))
        return squared(x, y)

    params = [{"w": draw.weight(width, width), "mask": draw.normal(width, width)} for _ in range(2)]
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model()
def pruning_mask(small: bool) -> Made:
    """Weights of which nine in ten are masked for good."""
    width, n = (5, 7) if small else (256, 256)
    draw = Draw()
    masks = [(draw.uniform(width, width) < (0.5 if small else 0.1)).astype("float32") for _ in range(3)]

    def loss(p, example):
        x, y = example
        for w, mask in zip(p, masks):
            x = jax.nn.relu(x @ (w * mask))
        return squared(x, y)

    params = [3 * draw.weight(width, width) for _ in range(3)]
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model()
def equalised_rate(small: bool) -> Made:
    """Equalised learning rates: weights of variance one, scaled where they are used."""
    width, n = (5, 7) if small else (256, 256)
    draw = Draw()
    scale = np.sqrt(2 / width).astype("float32")

    def loss(p, example):
        x, y = example
        for q in p:
            x = jax.nn.leaky_relu(x @ (scale * q["w"]) + q["b"], 0.2)
        return squared(x, y)

    params = [{"w": draw.normal(width, width), "b": draw.normal(width)} for _ in range(3)]
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model()
def mu_parametrised(small: bool) -> Made:
    """Maximal update parametrisation: transposed weights with a factor of their width."""
    inputs, width, classes, n = (4, 6, 3, 7) if small else (128, 256, 10, 256)
    draw = Draw()

    def loss(p, example):
        x, y = example
        x = jax.nn.relu((p["in"] * width**0.5).T @ x)
        x = jax.nn.relu(p["hidden"].T @ x)
        return -jax.nn.log_softmax((p["out"] / width**0.5).T @ x)[y]

    params = {
        "in": draw.normal(inputs, width) / width, "hidden": draw.weight(width, width), "out": draw.normal(width, classes),
    }  # fmt: skip
    return loss, params, (draw.normal(n, inputs), draw.integers(classes, n)), {}


@model()
def circulant(small: bool) -> Made:
    """Circulant weights, gathered from one row."""
    width, n = (5, 7) if small else (128, 128)
    draw = Draw()
    index = (np.arange(width)[:, None] - np.arange(width)) % width

    def loss(p, example):
        x, y = example
        for row in p:
            x = jnp.tanh(x @ row[index])
        return squared(x, y)

    return loss, [draw.normal(width) / width**0.5 for _ in range(3)], (draw.normal(n, width), draw.normal(n, width)), {}


@model()
def toeplitz(small: bool) -> Made:
    """Toeplitz weights, and a relative position bias gathered in the same way."""
    width, n = (5, 7) if small else (96, 128)
    draw = Draw()
    index = np.arange(width)[:, None] - np.arange(width) + width - 1

    def loss(p, example):
        x, y = example
        mixed = jax.nn.softmax(x[:, None] * x / width**0.5 + p["bias"][index]) @ x
        return squared(mixed @ p["diagonals"][index], y)

    params = {"diagonals": draw.normal(2 * width - 1) / width**0.5, "bias": draw.normal(2 * width - 1)}
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model(formed=True)
def hypernetwork(small: bool) -> Made:
    """A network whose weights are the outputs of another, of a learned code of the layer."""
    width, code, layers, n = (3, 2, 2, 6) if small else (32, 8, 3, 256)
    draw = Draw()

    def loss(p, example):
        x, y = example
        for z in p["codes"]:
            hidden = jnp.tanh(dense(p["in"], z))
            x = jnp.tanh(x @ dense(p["out"], hidden).reshape(width, width))
        return squared(x, y)

    params = {
        "codes": draw.normal(layers, code), "in": draw.dense(code, 2 * code),
        "out": {"w": 0.1 * draw.normal(2 * code, width * width), "b": draw.normal(width * width) / width**0.5},
    }  # fmt: skip
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model()
def conditioned_hypernetwork(small: bool) -> Made:
    """A network whose weights are the outputs of another, of the example's context."""
    width, code, n = (3, 2, 6) if small else (32, 16, 128)
    draw = Draw()

    def loss(p, example):
        context, x, y = example
        hidden = jnp.tanh(dense(p["in"], context))
        weights = dense(p["out"], hidden).reshape(width, width)
        return squared(jnp.tanh(weights @ x), y)

    params = {"in": draw.dense(code, 2 * code), "out": draw.dense(2 * code, width * width)}
    return loss, params, (draw.normal(n, code), draw.normal(n, width), draw.normal(n, width)), {}


@model()
def kronecker(small: bool) -> Made:
    """Weights that are Kronecker products."""
    (a, b), n = ((2, 3), 7) if small else ((16, 16), 64)
    draw = Draw()

    def loss(p, example):
        x, y = example
        for q in p:
            x = jnp.tanh(jnp.kron(q["a"], q["b"]) @ x)
        return squared(x, y)

    params = [{"a": draw.weight(a, a), "b": draw.weight(b, b)} for _ in range(2)]
    return loss, params, (draw.normal(n, a * b), draw.normal(n, a * b)), {}


@model(formed=True)
def monotone(small: bool) -> Made:
    """A monotone network: weights are exponentials."""
    inputs, width, n = (3, 4, 7) if small else (64, 128, 256)
    draw = Draw()

    def loss(p, example):
        x, y = example
        for q in p:
            x = jnp.tanh(x @ jnp.exp(q["w"]) + q["b"])
        return squared(x, y)

    widths = (inputs, width, width, 1)
    params = [
        {"w": draw.normal(i, o) * 0.5 - np.float32(np.log(i)), "b": draw.normal(o)} for i, o in zip(widths, widths[1:])
    ]
    return loss, params, (draw.normal(n, inputs), draw.normal(n, 1)), {}


@model(formed=True)
def fake_quantised(small: bool) -> Made:
    """Weights rounded to eight bits, differentiated straight through."""
    width, n = (5, 7) if small else (256, 256)
    draw = Draw()

    def quantised(w):
        step = jax.lax.stop_gradient(jnp.max(jnp.abs(w))) / 127
        return w + jax.lax.stop_gradient(jnp.round(w / step) * step - w)

    def loss(p, example):
        x, y = example
        for q in p:
            x = jax.nn.relu(quantised(x) @ quantised(q["w"]) + q["b"])
        return squared(x, y)

    params = [{"w": draw.weight(width, width), "b": draw.normal(width)} for _ in range(3)]
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model(formed=True)
def maml(small: bool) -> Made:
    """Model-agnostic meta-learning: one inner step on the support of a task, the loss on its queries."""
    inputs, width, shots, n = (2, 4, 3, 5) if small else (16, 40, 10, 48)
    draw = Draw()

    def predicted(p, x):
        return dense(p[2], jnp.tanh(dense(p[1], jnp.tanh(dense(p[0], x)))))[..., 0]

    def error(p, task):
        x, y = task
        return jnp.mean((predicted(p, x) - y) ** 2)

    def loss(p, example):
        support, queries = example
        adapted = jax.tree.map(lambda w, g: w - 0.05 * g, p, jax.grad(error)(p, support))
        return error(adapted, queries)

    params = [draw.dense(inputs, width), draw.dense(width, width), draw.dense(width, 1)]
    tasks = tuple((draw.normal(n, shots, inputs), draw.normal(n, shots)) for _ in range(2))
    return loss, params, tasks, {}


@model()
def bcoo_sparse(small: bool) -> Made:
    """A sparse layer in coordinate form (jax.experimental.sparse)."""
    from jax.experimental import sparse

    width, entries, n = (5, 8, 7) if small else (256, 2_000, 32)
    draw = Draw()
    places = draw.integers(width, entries, 2)

    def loss(p, example):
        x, y = example
        for values in p["values"]:
            x = jnp.tanh(sparse.BCOO((values, places), shape=(width, width)) @ x)
        return squared(x, y)

    params = {"values": [draw.normal(entries) / (entries / width) ** 0.5 for _ in range(2)]}
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model(formed=True)
def orthogonal_cayley(small: bool) -> Made:
    """Orthogonal weights by the Cayley transform of a skew matrix."""
    width, n = (4, 6) if small else (48, 64)
    draw = Draw()

    def loss(p, example):
        x, y = example
        skew = p["a"] - p["a"].T
        eye = jnp.eye(width, dtype=skew.dtype)
        x = jnp.tanh(x @ jnp.linalg.solve(eye + skew, eye - skew))
        return squared(x @ p["out"], y)

    params = {"a": 0.1 * draw.normal(width, width), "out": draw.weight(width, width)}
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}


@model()
def symmetric_and_triangular(small: bool) -> Made:
    """A symmetric weight W + W^T and a triangular one."""
    width, n = (4, 6) if small else (128, 128)
    draw = Draw()

    def loss(p, example):
        x, y = example
        x = jnp.tanh((p["s"] + p["s"].T) @ x)
        return squared(jnp.tril(p["t"]) @ x, y)

    params = {"s": draw.weight(width, width), "t": draw.weight(width, width)}
    return loss, params, (draw.normal(n, width), draw.normal(n, width)), {}
