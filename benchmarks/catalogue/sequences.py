"""Recurrent networks and models of sequences."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from catalogue.registry import Draw, Made, dense, model


def gated(draw, inputs, width, gates):
    """The weights of a recurrent cell: of the input, of the state, biases."""
    return {
        "x": draw.weight(inputs, gates * width), "h": draw.weight(width, gates * width),
        "b": np.zeros(gates * width, "float32"),
    }  # fmt: skip


def gru_cell(p, h, x):
    """A gated recurrent unit."""
    from_x, from_h = x @ p["x"] + p["b"], h @ p["h"]
    xr, xz, xn = jnp.split(from_x, 3)
    hr, hz, hn = jnp.split(from_h, 3)
    z = jax.nn.sigmoid(xz + hz)
    return (1 - z) * jnp.tanh(xn + jax.nn.sigmoid(xr + hr) * hn) + z * h


@model()
def lstm(small: bool) -> Made:
    """An LSTM that classifies a sequence."""
    length, inputs, width, n = (4, 3, 3, 5) if small else (32, 32, 64, 64)
    draw = Draw()

    def loss(p, example):
        xs, y = example

        def step(state, x):
            h, c = state
            i, f, g, o = jnp.split(x @ p["cell"]["x"] + h @ p["cell"]["h"] + p["cell"]["b"], 4)
            c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zeros = jnp.zeros(width, xs.dtype)
        (h, _), _ = jax.lax.scan(step, (zeros, zeros), xs)
        return -jax.nn.log_softmax(dense(p["out"], h))[y]

    params = {"cell": gated(draw, inputs, width, 4), "out": draw.dense(width, 10)}
    return loss, params, (draw.normal(n, length, inputs), draw.integers(10, n)), {}


@model()
def gru(small: bool) -> Made:
    """A GRU that predicts every next value."""
    length, inputs, width, n = (4, 3, 3, 5) if small else (32, 16, 64, 64)
    draw = Draw()

    def loss(p, xs):
        def step(h, x):
            h = gru_cell(p["cell"], h, x)
            return h, dense(p["out"], h)

        _, ys = jax.lax.scan(step, jnp.zeros(width, xs.dtype), xs[:-1])
        return jnp.mean((ys - xs[1:]) ** 2)

    params = {"cell": gated(draw, inputs, width, 3), "out": draw.dense(width, inputs)}
    return loss, params, draw.normal(n, length, inputs), {}


@model()
def bidirectional(small: bool) -> Made:
    """A tagger: embeddings, a recurrence each way, a label a token."""
    words, length, width, labels, n = (9, 4, 3, 3, 5) if small else (1_000, 24, 48, 12, 64)
    draw = Draw()

    def loss(p, example):
        tokens, y = example
        xs = p["table"][tokens]

        def states(q, reverse):
            def step(h, x):
                h = jnp.tanh(x @ q["x"] + h @ q["h"] + q["b"])
                return h, h

            return jax.lax.scan(step, jnp.zeros(width, xs.dtype), xs, reverse=reverse)[1]

        hidden = jnp.concatenate([states(p["forward"], False), states(p["backward"], True)], axis=-1)
        scores = jax.nn.log_softmax(dense(p["out"], hidden))
        return -jnp.mean(jnp.take_along_axis(scores, y[:, None], axis=1))

    params = {
        "table": draw.normal(words, width), "forward": gated(draw, width, width, 1),
        "backward": gated(draw, width, width, 1), "out": draw.dense(2 * width, labels),
    }  # fmt: skip
    return loss, params, (draw.integers(words, n, length), draw.integers(labels, n, length)), {}


@model()
def padded_sequences(small: bool) -> Made:
    """Sequences of different lengths, padded: a recurrence whose state stands still beyond the end."""
    length, inputs, width, n = (5, 3, 3, 6) if small else (32, 16, 64, 64)
    draw = Draw()

    def loss(p, example):
        xs, stop, y = example

        def step(h, item):
            x, at = item
            h = jnp.where(at < stop, gru_cell(p["cell"], h, x), h)
            return h, jnp.where(at < stop, dense(p["out"], h), 0)

        _, ys = jax.lax.scan(step, jnp.zeros(width, xs.dtype), (xs, jnp.arange(length)))
        mask = (jnp.arange(length) < stop)[:, None]
        return jnp.sum(mask * (ys - y) ** 2) / stop

    params = {"cell": gated(draw, inputs, width, 3), "out": draw.dense(width, inputs)}
    batch = (draw.normal(n, length, inputs), 1 + draw.integers(length, n), draw.normal(n, length, inputs))
    return loss, params, batch, {}


@model()
def state_space(small: bool) -> Made:
    """A diagonal linear recurrence by an associative scan, as in S5."""
    length, width, states, n = (5, 3, 4, 5) if small else (64, 32, 64, 16)
    draw = Draw()

    def both(a, b):
        return a[0] * b[0], b[0] * a[1] + b[1]

    def loss(p, example):
        x, y = example
        for q in p["layers"]:
            decay = jnp.exp(-jnp.exp(q["log_rate"]))
            drive = x @ q["in"]
            _, state = jax.lax.associative_scan(both, (jnp.broadcast_to(decay, drive.shape), drive))
            x = x + jax.nn.gelu(state @ q["out"] + x * q["skip"])
        return -jax.nn.log_softmax(dense(p["head"], x.mean(axis=0)))[y]

    params = {
        "layers": [
            {
                "log_rate": draw.normal(states) - 1, "in": draw.weight(width, states), "out": draw.weight(states, width),
                "skip": draw.normal(width),
            }
            for _ in range(2)
        ],
        "head": draw.dense(width, 10),
    }  # fmt: skip
    return loss, params, (draw.normal(n, length, width), draw.integers(10, n)), {}


@model()
def mamba(small: bool) -> Made:
    """A selective state space: steps, inputs and outputs of the recurrence depend on the token."""
    length, width, states, n = (5, 3, 2, 4) if small else (32, 32, 8, 16)
    draw = Draw()

    def loss(p, example):
        tokens, y = example
        x = p["table"][tokens]
        h, gate = jnp.split(x @ p["in"], 2, axis=-1)
        h = jax.nn.silu(h)
        rate = jax.nn.softplus(h @ p["rate"] + p["rate_bias"])  # (length, width)
        b, c = h @ p["b"], h @ p["c"]  # (length, states)
        decay = jnp.exp(-rate[..., None] * jnp.exp(p["log_a"]))
        drive = (rate * h)[..., None] * b[:, None, :]
        _, s = jax.lax.associative_scan(lambda u, v: (u[0] * v[0], v[0] * u[1] + v[1]), (decay, drive))
        out = jnp.einsum("twk,tk->tw", s, c) + p["skip"] * h
        x = x + (out * jax.nn.silu(gate)) @ p["out"]
        scores = jax.nn.log_softmax(x @ p["head"])
        return -jnp.mean(jnp.take_along_axis(scores, y[:, None], axis=1))

    words = 7 if small else 128
    params = {
        "table": draw.normal(words, width), "in": draw.weight(width, 2 * width), "rate": draw.weight(width, width),
        "rate_bias": draw.normal(width) - 1, "b": draw.weight(width, states), "c": draw.weight(width, states),
        "log_a": 0.1 * draw.normal(width, states), "skip": draw.normal(width), "out": draw.weight(width, width),
        "head": draw.weight(width, words),
    }  # fmt: skip
    return loss, params, (draw.integers(words, n, length), draw.integers(words, n, length)), {}


@model()
def cond_in_scan(small: bool) -> Made:
    """A recurrence that takes one of two layers, by the token."""
    length, width, n = (4, 3, 5) if small else (24, 48, 32)
    draw = Draw()

    def loss(p, example):
        xs, which, y = example

        def step(h, item):
            x, first = item
            return jax.lax.cond(
                first > 0, lambda: jnp.tanh(h @ p["a"] + x), lambda: jax.nn.relu(h @ p["b"] + x @ p["c"])
            ), None

        h, _ = jax.lax.scan(step, jnp.zeros(width, xs.dtype), (xs, which))
        return jnp.sum((h - y) ** 2)

    params = {name: draw.weight(width, width) for name in "abc"}
    return loss, params, (draw.normal(n, length, width), draw.integers(2, n, length), draw.normal(n, width)), {}


@model()
def conditional_random_field(small: bool) -> Made:
    """A linear-chain conditional random field: the forward algorithm in logarithms."""
    length, inputs, labels, n = (4, 3, 3, 5) if small else (32, 64, 16, 64)
    draw = Draw()

    def loss(p, example):
        xs, y = example
        local = dense(p["local"], xs)

        def step(alpha, score):
            return jax.nn.logsumexp(alpha[:, None] + p["moves"], axis=0) + score, None

        last, _ = jax.lax.scan(step, local[0], local[1:])
        path = jnp.sum(jnp.take_along_axis(local, y[:, None], axis=1)) + jnp.sum(p["moves"][y[:-1], y[1:]])
        return jax.nn.logsumexp(last) - path

    params = {"local": draw.dense(inputs, labels), "moves": draw.normal(labels, labels)}
    return loss, params, (draw.normal(n, length, inputs), draw.integers(labels, n, length)), {}


@model(formed=True)
def hidden_markov(small: bool) -> Made:
    """The likelihood of a hidden Markov model with discrete outputs."""
    length, states, symbols, n = (4, 3, 4, 5) if small else (32, 16, 50, 64)
    draw = Draw()

    def loss(p, symbols_seen):
        start, moves = jax.nn.log_softmax(p["start"]), jax.nn.log_softmax(p["moves"], axis=1)
        emits = jax.nn.log_softmax(p["emits"], axis=1)

        def step(alpha, symbol):
            return jax.nn.logsumexp(alpha[:, None] + moves, axis=0) + emits[:, symbol], None

        last, _ = jax.lax.scan(step, start + emits[:, symbols_seen[0]], symbols_seen[1:])
        return -jax.nn.logsumexp(last)

    params = {
        "start": draw.normal(states), "moves": draw.normal(states, states), "emits": draw.normal(states, symbols),
    }  # fmt: skip
    return loss, params, draw.integers(symbols, n, length), {}


@model()
def attention_decoder(small: bool) -> Made:
    """A recurrent translator: encoder states, a decoder that attends to them, fed the true words."""
    words, length, width, n = (7, 3, 3, 4) if small else (500, 12, 48, 32)
    draw = Draw()

    def loss(p, example):
        source, target = example
        zeros = jnp.zeros(width, p["source"].dtype)

        def read(h, x):
            h = gru_cell(p["encoder"], h, x)
            return h, h

        h, keys = jax.lax.scan(read, zeros, p["source"][source])

        def write(h, x):
            weights = jax.nn.softmax(keys @ (h @ p["score"]))
            h = gru_cell(p["decoder"], h, jnp.concatenate([x, weights @ keys]))
            return h, dense(p["out"], h)

        _, logits = jax.lax.scan(write, h, p["target"][target[:-1]])
        scores = jax.nn.log_softmax(logits)
        return -jnp.mean(jnp.take_along_axis(scores, target[1:, None], axis=1))

    params = {
        "source": draw.normal(words, width), "target": draw.normal(words, width),
        "encoder": gated(draw, width, width, 3), "decoder": gated(draw, 2 * width, width, 3),
        "score": draw.weight(width, width), "out": draw.dense(width, words),
    }  # fmt: skip
    return loss, params, (draw.integers(words, n, length), draw.integers(words, n, length + 1)), {}
