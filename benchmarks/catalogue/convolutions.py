"""Convolutional networks."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from catalogue.registry import Draw, Made, dense, model


def conv(x, p, stride=1, padding="SAME", groups=1, dilation=1):
    """A convolution of one image or signal, channels last, with a bias."""
    dims = ("NHWC", "HWIO", "NHWC") if x.ndim == 3 else ("NWC", "WIO", "NWC")
    rank = x.ndim - 1
    out = jax.lax.conv_general_dilated(
        x[None], p["w"], (stride,) * rank, padding, rhs_dilation=(dilation,) * rank, dimension_numbers=dims,
        feature_group_count=groups,
    )  # fmt: skip
    return out[0] + p["b"]


def pooled(x, size=2):
    """Maximum over windows."""
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (size, size, 1), (size, size, 1), "VALID")


@model()
def lenet(small: bool) -> Made:
    """LeNet-5."""
    side, n = (16, 4) if small else (28, 32)
    draw = Draw()
    flat = 16 * ((side - 4) // 2 - 4) ** 2 // 4

    def loss(p, example):
        x, y = example
        for name in ("c1", "c2"):
            x = pooled(jax.nn.relu(conv(x, p[name], padding="VALID")))
        x = x.reshape(-1)
        for name in ("d1", "d2"):
            x = jax.nn.relu(dense(p[name], x))
        return -jax.nn.log_softmax(dense(p["d3"], x))[y]

    params = {
        "c1": draw.kernel(5, 5, 1, 6), "c2": draw.kernel(5, 5, 6, 16), "d1": draw.dense(flat, 120),
        "d2": draw.dense(120, 84), "d3": draw.dense(84, 10),
    }  # fmt: skip
    return loss, params, (draw.normal(n, side, side, 1), draw.integers(10, n)), {}


@model()
def resnet(small: bool) -> Made:
    """A ResNet with group normalisation in flax.linen, of a whole batch."""
    import flax.linen as nn

    side, n, width = (6, 4, 2) if small else (32, 8, 16)
    draw = Draw()

    class Block(nn.Module):
        features: int
        stride: int

        @nn.compact
        def __call__(self, x):
            y = nn.Conv(self.features, (3, 3), strides=self.stride, use_bias=False)(x)
            y = nn.Conv(self.features, (3, 3), use_bias=False)(nn.relu(nn.GroupNorm(2)(y)))
            y = nn.GroupNorm(2)(y)
            if y.shape != x.shape:
                x = nn.Conv(self.features, (1, 1), strides=self.stride, use_bias=False)(x)
            return nn.relu(x + y)

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.relu(nn.Conv(width, (3, 3))(x))
            for features, stride in ((width, 1), (2 * width, 2), (4 * width, 2)):
                x = Block(features, stride)(x)
            return nn.Dense(10)(x.mean(axis=(1, 2)))

    net = Net()
    params = net.init(jax.random.key(0), jnp.zeros((1, side, side, 3)))

    def loss(p, batch):
        x, y = batch
        scores = jax.nn.log_softmax(net.apply(p, x))
        return -jnp.mean(jnp.take_along_axis(scores, y[:, None], axis=1))

    return loss, params, (draw.normal(n, side, side, 3), draw.integers(10, n)), {"batched": True}


@model(formed=True)
def weight_standardised(small: bool) -> Made:
    """Convolutions with standardised kernels and gains."""
    side, width, n = (5, 3, 5) if small else (20, 16, 16)
    draw = Draw()

    def loss(p, example):
        x, y = example
        for q in p:
            w = (q["w"] - q["w"].mean((0, 1, 2))) / jnp.sqrt(q["w"].var((0, 1, 2)) + 1e-5) * q["gain"]
            x = jax.nn.relu(conv(x, {"w": w, "b": 0}))
        return jnp.sum((x.mean((0, 1)) - y) ** 2)

    params = [
        {"w": draw.normal(3, 3, 2, width), "gain": 1 + draw.normal(width)},
        {"w": draw.normal(3, 3, width, width), "gain": 1 + draw.normal(width)},
    ]
    return loss, params, (draw.normal(n, side, side, 2), draw.normal(n, width)), {}


@model()
def wavenet(small: bool) -> Made:
    """Causal dilated convolutions of a signal, gated, with skips."""
    length, width, layers, n = (12, 3, 2, 4) if small else (256, 16, 4, 16)
    draw = Draw()

    def loss(p, example):
        x, y = example
        x, total = x[:, None] * p["in"], 0.0
        for k, q in enumerate(p["layers"]):
            step = 2**k
            h = conv(x, q["dilated"], padding=((step, 0),), dilation=step)
            h = jnp.tanh(h[:, :width]) * jax.nn.sigmoid(h[:, width:])
            total, x = total + h @ q["skip"], x + h @ q["out"]
        scores = jax.nn.log_softmax(jax.nn.relu(total) @ p["last"])
        return -jnp.mean(jnp.take_along_axis(scores, y[:, None], axis=1))

    params = {
        "in": draw.normal(1, width),
        "layers": [
            {
                "dilated": draw.kernel(2, width, 2 * width), "skip": draw.weight(width, width),
                "out": draw.weight(width, width),
            }
            for _ in range(layers)
        ],
        "last": draw.weight(width, 32),
    }  # fmt: skip
    return loss, params, (draw.normal(n, length), draw.integers(32, n, length)), {}


@model()
def depthwise_separable(small: bool) -> Made:
    """MobileNet: strides, depthwise and pointwise convolutions."""
    side, width, n = (8, 2, 4) if small else (32, 16, 8)
    draw = Draw()
    stages = [(1, 2), (2, 1), (1, 2)]

    def loss(p, example):
        x, y = example
        x = jax.nn.relu(conv(x, p["stem"], stride=2))
        for q, (stride, _) in zip(p["stages"], stages):
            x = jax.nn.relu6(conv(x, q["depthwise"], stride=stride, groups=x.shape[-1]))
            x = jax.nn.relu6(conv(x, q["pointwise"]))
        return -jax.nn.log_softmax(dense(p["out"], x.mean((0, 1))))[y]

    params, channels = {"stem": draw.kernel(3, 3, 3, width), "stages": []}, width
    for _, more in stages:
        params["stages"].append(
            {"depthwise": draw.kernel(3, 3, 1, channels), "pointwise": draw.kernel(1, 1, channels, more * channels)}
        )
        channels *= more
    params["out"] = draw.dense(channels, 10)
    return loss, params, (draw.normal(n, side, side, 3), draw.integers(10, n)), {}


@model()
def u_net(small: bool) -> Made:
    """A small U-Net: strides down, transposed convolutions up, skips."""
    side, width, n = (8, 2, 3) if small else (32, 8, 8)
    draw = Draw()

    def up(x, p):
        return jax.lax.conv_transpose(x[None], p["w"], (2, 2), "SAME")[0] + p["b"]

    def loss(p, example):
        x, y = example
        top = jax.nn.relu(conv(x, p["in"]))
        middle = jax.nn.relu(conv(top, p["down1"], stride=2))
        low = jax.nn.relu(conv(middle, p["down2"], stride=2))
        middle = jax.nn.relu(conv(jnp.concatenate([up(low, p["up2"]), middle], -1), p["merge2"]))
        top = jax.nn.relu(conv(jnp.concatenate([up(middle, p["up1"]), top], -1), p["merge1"]))
        return jnp.mean((conv(top, p["out"])[..., 0] - y) ** 2)

    w = width
    params = {
        "in": draw.kernel(3, 3, 1, w), "down1": draw.kernel(3, 3, w, 2 * w), "down2": draw.kernel(3, 3, 2 * w, 4 * w),
        "up2": draw.kernel(2, 2, 4 * w, 2 * w), "merge2": draw.kernel(3, 3, 4 * w, 2 * w),
        "up1": draw.kernel(2, 2, 2 * w, w), "merge1": draw.kernel(3, 3, 2 * w, w), "out": draw.kernel(1, 1, w, 1),
    }  # fmt: skip
    return loss, params, (draw.normal(n, side, side, 1), draw.normal(n, side, side)), {}


@model()
def conv_autoencoder(small: bool) -> Made:
    """A convolutional autoencoder in flax.linen."""
    import flax.linen as nn

    side, width, n = (8, 2, 4) if small else (28, 8, 16)
    draw = Draw()

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.relu(nn.Conv(width, (3, 3), strides=2)(x))
            x = nn.relu(nn.Conv(2 * width, (3, 3), strides=2)(x))
            x = nn.relu(nn.ConvTranspose(width, (3, 3), strides=(2, 2))(x))
            return nn.ConvTranspose(1, (3, 3), strides=(2, 2))(x)

    net = Net()
    params = net.init(jax.random.key(0), jnp.zeros((side, side, 1)))
    return lambda p, x: jnp.mean((net.apply(p, x) - x) ** 2), params, draw.normal(n, side, side, 1), {}


@model()
def fft_convolution(small: bool) -> Made:
    """A long convolution by FFT: a filter and a skip for each channel."""
    length, width, n = (6, 2, 4) if small else (256, 32, 16)
    draw = Draw()

    def loss(p, example):
        x, y = example
        for q in p:
            filtered = jnp.fft.irfft(jnp.fft.rfft(x, 2 * length, 0) * jnp.fft.rfft(q["filter"], 2 * length, 0), axis=0)
            x = jax.nn.gelu((filtered[:length] + x * q["skip"]) @ q["mix"])
        return jnp.mean((x - y) ** 2)

    params = [
        {
            "filter": draw.normal(length, width) / length**0.5, "skip": draw.normal(width),
            "mix": draw.weight(width, width),
        }
        for _ in range(2)
    ]  # fmt: skip
    return loss, params, (draw.normal(n, length, width), draw.normal(n, length, width)), {}


@model()
def conv_text(small: bool) -> Made:
    """Sentence classification: embeddings, convolutions of several widths, maximum over time."""
    words, length, width, n = (9, 7, 3, 4) if small else (2_000, 48, 32, 32)
    draw = Draw()

    def loss(p, example):
        tokens, y = example
        x = p["table"][tokens]
        features = [jnp.max(jax.nn.relu(conv(x, q, padding="VALID")), axis=0) for q in p["kernels"]]
        return -jax.nn.log_softmax(dense(p["out"], jnp.concatenate(features)))[y]

    params = {
        "table": draw.normal(words, width), "kernels": [draw.kernel(k, width, width) for k in (3, 4, 5)],
        "out": draw.dense(3 * width, 5),
    }  # fmt: skip
    return loss, params, (draw.integers(words, n, length), draw.integers(5, n)), {}


@model()
def squeeze_and_excite(small: bool) -> Made:
    """Convolutions whose channels are gated by an MLP of their means."""
    side, width, n = (5, 4, 4) if small else (16, 32, 16)
    draw = Draw()

    def loss(p, example):
        x, y = example
        x = conv(x, p["stem"])
        for q in p["blocks"]:
            h = jax.nn.relu(conv(x, q["conv"]))
            gate = jax.nn.sigmoid(dense(q["up"], jax.nn.relu(dense(q["down"], h.mean((0, 1))))))
            x = x + h * gate
        return -jax.nn.log_softmax(dense(p["out"], x.mean((0, 1))))[y]

    params = {
        "stem": draw.kernel(3, 3, 3, width),
        "blocks": [
            {
                "conv": draw.kernel(3, 3, width, width), "down": draw.dense(width, width // 4),
                "up": draw.dense(width // 4, width),
            }
            for _ in range(2)
        ],
        "out": draw.dense(width, 10),
    }  # fmt: skip
    return loss, params, (draw.normal(n, side, side, 3), draw.integers(10, n)), {}
