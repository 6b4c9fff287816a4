"""Attention, and mixers of tokens."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from catalogue.registry import Draw, Made, dense, model


def layer_norm(x, p):
    """Zero mean, unit variance, gain and bias."""
    x = x - x.mean(axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6) * p["scale"] + p["bias"]


def rms_norm(x, scale):
    """Unit mean square and gain."""
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-6) * scale


def attend(q, k, v, heads, causal=False):
    """Attention of (tokens, width) in several heads."""
    length, width = q.shape
    q, k, v = (x.reshape(length, heads, width // heads) for x in (q, k, v))
    scores = jnp.einsum("qhd,khd->hqk", q, k) / (width // heads) ** 0.5
    if causal:
        scores = jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -1e9)
    return jnp.einsum("hqk,khd->qhd", jax.nn.softmax(scores), v).reshape(length, width)


def norm_weights(width):
    """Of a layer norm."""
    return {"scale": np.ones(width, "float32"), "bias": np.zeros(width, "float32")}


def block_weights(draw, width):
    """Of a transformer block."""
    return {
        "norm1": norm_weights(width), "norm2": norm_weights(width),
        **{name: draw.dense(width, width) for name in ("q", "k", "v", "o")},
        "up": draw.dense(width, 4 * width), "down": draw.dense(4 * width, width),
    }  # fmt: skip


def block(x, p, heads, causal=False):
    """Attention and an MLP, each after a norm and beside a skip."""
    h = layer_norm(x, p["norm1"])
    x = x + dense(p["o"], attend(dense(p["q"], h), dense(p["k"], h), dense(p["v"], h), heads, causal))
    return x + dense(p["down"], jax.nn.gelu(dense(p["up"], layer_norm(x, p["norm2"]))))


def next_token(logits, tokens):
    """Mean of -log p(token)."""
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), tokens[:, None], axis=1))


@model()
def transformer_encoder(small: bool) -> Made:
    """A transformer that classifies a sequence of tokens."""
    words, length, width, heads, layers, n = (9, 4, 4, 2, 1, 4) if small else (256, 32, 64, 4, 2, 16)
    draw = Draw()

    def loss(p, example):
        tokens, y = example
        x = p["table"][tokens] + p["place"]
        for q in p["blocks"]:
            x = block(x, q, heads)
        return -jax.nn.log_softmax(dense(p["out"], x.mean(axis=0)))[y]

    params = {
        "table": draw.normal(words, width), "place": draw.normal(length, width),
        "blocks": [block_weights(draw, width) for _ in range(layers)], "out": draw.dense(width, 10),
    }  # fmt: skip
    return loss, params, (draw.integers(words, n, length), draw.integers(10, n)), {}


def language_model(small: bool, tied: bool) -> Made:
    """A causal language model."""
    words, length, width, heads, layers, n = (9, 4, 4, 2, 1, 4) if small else (512, 32, 64, 4, 2, 8)
    draw = Draw()

    def loss(p, tokens):
        x = p["table"][tokens[:-1]] + p["place"]
        for q in p["blocks"]:
            x = block(x, q, heads, causal=True)
        x = layer_norm(x, p["norm"])
        return next_token(x @ (p["table"].T if tied else p["out"]), tokens[1:])

    params = {
        "table": draw.normal(words, width) * 0.1, "place": draw.normal(length, width) * 0.1, "norm": norm_weights(width),
        "blocks": [block_weights(draw, width) for _ in range(layers)],
    }  # fmt: skip
    if not tied:
        params["out"] = draw.weight(width, words)
    return loss, params, draw.integers(words, n, length + 1), {}


@model()
def causal_language_model(small: bool) -> Made:
    """A causal language model, embedding and output apart."""
    return language_model(small, tied=False)


@model()
def causal_tied(small: bool) -> Made:
    """A causal language model, embedding and output one table."""
    return language_model(small, tied=True)


@model()
def vision_transformer(small: bool) -> Made:
    """A vision transformer: patches by a strided convolution, a class token, of a whole batch, in flax.linen."""
    import flax.linen as nn

    side, patch, width, heads, n = (4, 2, 6, 2, 3) if small else (32, 8, 64, 4, 12)
    draw = Draw()

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Conv(width, (patch, patch), strides=patch)(x).reshape(x.shape[0], -1, width)
            token = self.param("token", nn.initializers.normal(), (1, 1, width))
            x = jnp.concatenate([jnp.broadcast_to(token, (x.shape[0], 1, width)), x], axis=1)
            x = x + self.param("place", nn.initializers.normal(), (1, x.shape[1], width))
            for _ in range(2):
                x = x + nn.MultiHeadDotProductAttention(num_heads=heads)(nn.LayerNorm()(x))
                x = x + nn.Dense(width)(nn.gelu(nn.Dense(4 * width)(nn.LayerNorm()(x))))
            return nn.Dense(10)(nn.LayerNorm()(x)[:, 0])

    net = Net()
    params = net.init(jax.random.key(0), jnp.zeros((1, side, side, 3)))

    def loss(p, batch):
        x, y = batch
        return -jnp.mean(jnp.sum(jax.nn.one_hot(y, 10) * jax.nn.log_softmax(net.apply(p, x)), axis=-1))

    return loss, params, (draw.normal(n, side, side, 3), draw.integers(10, n)), {"batched": True}


@model()
def mlp_mixer(small: bool) -> Made:
    """MLP-Mixer: layers over tokens and over channels."""
    tokens, width, n = (3, 4, 4) if small else (32, 64, 32)
    draw = Draw()

    def loss(p, example):
        x, y = example
        for q in p["layers"]:
            h = layer_norm(x, q["norm1"]).T
            x = x + dense(q["t2"], jax.nn.gelu(dense(q["t1"], h))).T
            x = x + dense(q["c2"], jax.nn.gelu(dense(q["c1"], layer_norm(x, q["norm2"]))))
        return -jax.nn.log_softmax(dense(p["out"], x.mean(axis=0)))[y]

    params = {
        "layers": [
            {
                "norm1": norm_weights(width), "norm2": norm_weights(width), "t1": draw.dense(tokens, 2 * tokens),
                "t2": draw.dense(2 * tokens, tokens), "c1": draw.dense(width, 2 * width),
                "c2": draw.dense(2 * width, width),
            }
            for _ in range(2)
        ],
        "out": draw.dense(width, 10),
    }  # fmt: skip
    return loss, params, (draw.normal(n, tokens, width), draw.integers(10, n)), {}


@model()
def fused_qkv(small: bool) -> Made:
    """Queries, keys and values from slices of one weight."""
    length, width, heads, n = (3, 4, 2, 4) if small else (32, 64, 4, 16)
    draw = Draw()

    def loss(p, example):
        x, y = example
        for q in p:
            w = q["qkv"]
            parts = (x @ w[:, :width], x @ w[:, width : 2 * width], x @ w[:, 2 * width :])
            x = x + attend(*parts, heads) @ q["o"]
        return jnp.mean((x - y) ** 2)

    params = [{"qkv": draw.weight(width, 3 * width), "o": draw.weight(width, width)} for _ in range(2)]
    return loss, params, (draw.normal(n, length, width), draw.normal(n, length, width)), {}


@model()
def rotary_attention(small: bool) -> Made:
    """Rotary positions, RMS norms, SwiGLU, no biases, fused projections: a Llama block."""
    words, length, width, heads, n = (9, 4, 4, 1, 4) if small else (256, 32, 64, 4, 8)
    draw = Draw()
    half = width // heads // 2
    angle = np.arange(length)[:, None] / 10_000 ** (np.arange(half) / half)
    cos, sin = (f(angle).astype("float32")[:, None, :] for f in (np.cos, np.sin))

    def rotated(x):
        a, b = jnp.split(x.reshape(length, heads, -1), 2, axis=-1)
        return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1).reshape(length, width)

    def loss(p, tokens):
        x = p["table"][tokens[:-1]]
        for q in p["blocks"]:
            a, b, c = jnp.split(rms_norm(x, q["norm1"]) @ q["qkv"], 3, axis=-1)
            x = x + attend(rotated(a), rotated(b), c, heads, causal=True) @ q["o"]
            h = rms_norm(x, q["norm2"])
            x = x + (jax.nn.silu(h @ q["gate"]) * (h @ q["up"])) @ q["down"]
        return next_token(rms_norm(x, p["norm"]) @ p["out"], tokens[1:])

    ones = np.ones(width, "float32")
    params = {
        "table": draw.normal(words, width), "norm": ones, "out": draw.weight(width, words),
        "blocks": [
            {
                "norm1": ones, "norm2": ones, "qkv": draw.weight(width, 3 * width), "o": draw.weight(width, width),
                "gate": draw.weight(width, 2 * width), "up": draw.weight(width, 2 * width),
                "down": draw.weight(2 * width, width),
            }
            for _ in range(2)
        ],
    }  # fmt: skip
    return loss, params, draw.integers(words, n, length + 1), {}


def stacked_layers(small: bool, scanned: bool) -> Made:
    """A transformer whose layers are stacked in one array each."""
    length, width, heads, layers, n = (3, 4, 2, 2, 4) if small else (24, 64, 4, 4, 8)
    draw = Draw()
    one = [block_weights(draw, width) for _ in range(layers)]

    def loss(p, example):
        x, y = example
        if scanned:
            x, _ = jax.lax.scan(jax.checkpoint(lambda x, q: (block(x, q, heads), None)), x, p)
        else:
            for k in range(layers):
                x = block(x, jax.tree.map(lambda w: w[k], p), heads)  # noqa: B023
        return jnp.mean((x - y) ** 2)

    params = jax.tree.map(lambda *w: np.stack(w), *one)
    return loss, params, (draw.normal(n, length, width), draw.normal(n, length, width)), {}


@model()
def stacked_unrolled(small: bool) -> Made:
    """A transformer of stacked layers p[i], one after the other."""
    return stacked_layers(small, scanned=False)


@model()
def stacked_scanned(small: bool) -> Made:
    """A transformer of stacked layers, scanned with checkpoints."""
    return stacked_layers(small, scanned=True)


@model()
def mixture_of_experts(small: bool) -> Made:
    """A mixture of experts: the weights of the chosen expert are gathered for every token."""
    length, width, hidden, experts, n = (5, 4, 6, 3, 5) if small else (16, 32, 64, 8, 16)
    draw = Draw()

    def loss(p, example):
        x, y = example
        shares = jax.nn.softmax(x @ p["router"])
        chosen = jnp.argmax(shares, axis=-1)
        share = jnp.take_along_axis(shares, chosen[:, None], axis=1)
        h = jax.nn.relu(jnp.einsum("td,tdf->tf", x, p["up"][chosen]))
        return jnp.mean((jnp.einsum("tf,tfd->td", h, p["down"][chosen]) * share - y) ** 2)

    params = {
        "router": draw.normal(width, experts), "up": draw.stacked(experts, width, hidden),
        "down": draw.stacked(experts, hidden, width),
    }  # fmt: skip
    return loss, params, (draw.normal(n, length, width), draw.normal(n, length, width)), {}


@model()
def mixture_dense(small: bool) -> Made:
    """A mixture of experts: all experts for every token, weighted."""
    length, width, hidden, experts, n = (5, 4, 6, 3, 5) if small else (16, 32, 64, 8, 16)
    draw = Draw()

    def loss(p, example):
        x, y = example
        shares = jax.nn.softmax(x @ p["router"])
        h = jax.nn.relu(jnp.einsum("td,edf->etf", x, p["up"]))
        return jnp.mean((jnp.einsum("te,etf,efd->td", shares, h, p["down"]) - y) ** 2)

    params = {
        "router": draw.normal(width, experts), "up": draw.stacked(experts, width, hidden),
        "down": draw.stacked(experts, hidden, width),
    }  # fmt: skip
    return loss, params, (draw.normal(n, length, width), draw.normal(n, length, width)), {}


@model()
def contrastive_pairs(small: bool) -> Made:
    """Text and image encoders, one true pair and the example's own negatives, with a learned temperature."""
    inputs, width, code, negatives, n = (5, 16, 3, 2, 6) if small else (128, 128, 64, 8, 64)
    draw = Draw()

    def encoded(p, x):
        z = dense(p["out"], jax.nn.relu(dense(p["in"], x)))
        return z / jnp.linalg.norm(z, axis=-1, keepdims=True)

    def loss(p, example):
        image, texts = example
        logits = encoded(p["texts"], texts) @ encoded(p["images"], image) * jnp.exp(p["temperature"])
        return -jax.nn.log_softmax(logits)[0]

    def encoder():
        return {"in": draw.dense(inputs, width), "out": draw.dense(width, code)}

    params = {"images": encoder(), "texts": encoder(), "temperature": np.float32(1)}
    return loss, params, (draw.normal(n, inputs), draw.normal(n, 1 + negatives, inputs)), {}
