"""Statistical models, likelihoods, decisions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from catalogue.registry import Draw, Made, dense, model


@model()
def radial_basis(small: bool) -> Made:
    """Radial basis functions with learned centres and widths."""
    inputs, centres, n = (3, 4, 6) if small else (16, 200, 128)
    draw = Draw()

    def loss(p, example):
        x, y = example
        apart = jnp.sum((x - p["centres"]) ** 2, axis=-1)
        return (jnp.exp(-apart * jnp.exp(p["log_width"])) @ p["heights"] - y) ** 2

    params = {
        "centres": draw.normal(centres, inputs), "log_width": draw.normal(centres) - 3, "heights": draw.normal(centres),
    }  # fmt: skip
    return loss, params, (draw.normal(n, inputs), draw.normal(n)), {}


@model()
def gaussian_mixture(small: bool) -> Made:
    """The likelihood of a mixture of Gaussians with diagonal covariances."""
    inputs, parts, n = (2, 3, 6) if small else (32, 32, 256)
    draw = Draw()

    def loss(p, x):
        z = (x - p["means"]) * jnp.exp(-p["log_scales"])
        scores = jax.nn.log_softmax(p["logits"]) - 0.5 * jnp.sum(z**2, axis=-1) - jnp.sum(p["log_scales"], axis=-1)
        return -jax.nn.logsumexp(scores)

    params = {
        "logits": draw.normal(parts), "means": draw.normal(parts, inputs), "log_scales": 0.1 * draw.normal(parts, inputs),
    }  # fmt: skip
    return loss, params, draw.normal(n, inputs), {}


@model(formed=True)
def gaussian_full(small: bool) -> Made:
    """The likelihood of a Gaussian, its precision given by a Cholesky factor with a positive diagonal."""
    inputs, n = (3, 6) if small else (64, 256)
    draw = Draw()

    def loss(p, x):
        factor = jnp.tril(p["factor"], -1) + jnp.diag(jnp.exp(jnp.diag(p["factor"])))
        return 0.5 * jnp.sum((factor.T @ (x - p["mean"])) ** 2) - jnp.sum(jnp.diag(p["factor"]))

    params = {"mean": draw.normal(inputs), "factor": 0.1 * draw.normal(inputs, inputs)}
    return loss, params, draw.normal(n, inputs), {}


@model()
def mixture_density(small: bool) -> Made:
    """A mixture density network."""
    inputs, width, parts, n = (3, 4, 2, 6) if small else (64, 256, 8, 256)
    draw = Draw()

    def loss(p, example):
        x, y = example
        h = jnp.tanh(dense(p["b"], jnp.tanh(dense(p["a"], x))))
        logits, means, scales = jnp.split(dense(p["out"], h), 3)
        z = (y - means) * jnp.exp(-scales)
        return -jax.nn.logsumexp(jax.nn.log_softmax(logits) - 0.5 * z**2 - scales)

    params = {"a": draw.dense(inputs, width), "b": draw.dense(width, width), "out": draw.dense(width, 3 * parts)}
    return loss, params, (draw.normal(n, inputs), draw.normal(n)), {}


@model()
def quantile_regression(small: bool) -> Made:
    """Several quantiles by the pinball loss."""
    inputs, width, n = (3, 4, 7) if small else (64, 256, 256)
    draw = Draw()
    levels = np.linspace(0.1, 0.9, 9).astype("float32")

    def loss(p, example):
        x, y = example
        error = y - dense(p["out"], jax.nn.relu(dense(p["b"], jax.nn.relu(dense(p["a"], x)))))
        return jnp.mean(jnp.maximum(levels * error, (levels - 1) * error))

    params = {"a": draw.dense(inputs, width), "b": draw.dense(width, width), "out": draw.dense(width, 9)}
    return loss, params, (draw.normal(n, inputs), draw.normal(n)), {}


@model()
def survival(small: bool) -> Made:
    """Cox's partial likelihood, the risk set of every event being part of its example."""
    inputs, width, risk, n = (3, 4, 3, 6) if small else (32, 128, 16, 64)
    draw = Draw()

    def loss(p, example):
        x, at_risk = example  # the first of the set has the event
        hazard = (jax.nn.relu(dense(p["b"], jax.nn.relu(dense(p["a"], x)))) @ p["out"])[:, 0]
        return jax.nn.logsumexp(jnp.where(at_risk, hazard, -1e9)) - hazard[0]

    params = {"a": draw.dense(inputs, width), "b": draw.dense(width, width), "out": draw.weight(width, 1)}
    at_risk = draw.uniform(n, risk) < 0.7
    at_risk[:, 0] = True
    return loss, params, (draw.normal(n, risk, inputs), at_risk), {}


@model()
def policy_gradient(small: bool) -> Made:
    """Actor and critic: a trajectory, discounted returns, a baseline, an entropy bonus."""
    steps, inputs, width, actions, n = (3, 3, 4, 2, 5) if small else (32, 16, 64, 6, 32)
    draw = Draw()

    def loss(p, example):
        states, taken, rewards = example
        h = jnp.tanh(dense(p["b"], jnp.tanh(dense(p["a"], states))))
        scores, values = jax.nn.log_softmax(dense(p["policy"], h)), dense(p["value"], h)[:, 0]
        _, returns = jax.lax.scan(
            lambda g, r: (r + 0.99 * g, r + 0.99 * g), jnp.zeros((), h.dtype), rewards, reverse=True
        )
        advantage = jax.lax.stop_gradient(returns - values)
        chosen = jnp.take_along_axis(scores, taken[:, None], axis=1)[:, 0]
        entropy = -jnp.sum(jnp.exp(scores) * scores, axis=-1)
        return jnp.mean(-chosen * advantage + 0.5 * (returns - values) ** 2 - 0.01 * entropy)

    params = {
        "a": draw.dense(inputs, width), "b": draw.dense(width, width), "policy": draw.dense(width, actions),
        "value": draw.dense(width, 1),
    }  # fmt: skip
    return loss, params, (draw.normal(n, steps, inputs), draw.integers(actions, n, steps), draw.normal(n, steps)), {}


@model()
def proximal_policy(small: bool) -> Made:
    """Proximal policy optimisation with Gaussian actions: clipped ratios, a learned log standard deviation."""
    inputs, width, actions, n = (3, 4, 2, 8) if small else (64, 128, 8, 512)
    draw = Draw()

    def loss(p, example):
        state, action, old, advantage, target = example
        mean = dense(p["policy"][1], jnp.tanh(dense(p["policy"][0], state)))
        z = (action - mean) * jnp.exp(-p["log_std"])
        ratio = jnp.exp(jnp.sum(-0.5 * z**2 - p["log_std"]) / actions - old)
        gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 0.8, 1.2) * advantage)
        value = dense(p["value"][1], jnp.tanh(dense(p["value"][0], state)))[0]
        return -gain + 0.5 * (value - target) ** 2

    params = {
        "policy": [draw.dense(inputs, width), draw.dense(width, actions)],
        "value": [draw.dense(inputs, width), draw.dense(width, 1)], "log_std": 0.1 * draw.normal(actions),
    }  # fmt: skip
    batch = (
        draw.normal(n, inputs),
        draw.normal(n, actions),
        draw.normal(n) * 0.1 - 0.5,
        draw.normal(n),
        draw.normal(n),
    )
    return loss, params, batch, {}


@model()
def poisson_regression(small: bool) -> Made:
    """Counts with an exposure, random intercepts of groups and splines of one covariate."""
    inputs, groups, knots, n = (3, 4, 3, 7) if small else (2_000, 3_000, 12, 512)
    draw = Draw()
    places = np.linspace(-2, 2, knots).astype("float32")

    def loss(p, example):
        x, group, exposure, count = example
        splines = jnp.maximum(x[0] - places, 0) ** 3
        log_rate = 0.05 * (x @ p["w"]) + p["groups"][group] + 0.01 * (splines @ p["splines"]) + exposure
        return jnp.exp(log_rate) - count * log_rate

    params = {"w": draw.normal(inputs), "groups": 0.1 * draw.normal(groups), "splines": draw.normal(knots)}
    batch = (
        draw.normal(n, inputs),
        draw.integers(groups, n),
        0.1 * draw.normal(n),
        draw.integers(5, n).astype("float32"),
    )
    return loss, params, batch, {}


@model()
def normalising_flow(small: bool) -> Made:
    """Affine coupling layers and the logarithm of their Jacobian."""
    half, width, layers, n = (2, 4, 2, 6) if small else (16, 64, 4, 512)
    draw = Draw()

    def loss(p, x):
        a, b, volume = x[:half], x[half:], 0.0
        for q in p:
            log_scale, shift = jnp.split(dense(q["b"], jnp.tanh(dense(q["a"], a))), 2)
            log_scale = jnp.tanh(log_scale)
            a, b, volume = b * jnp.exp(log_scale) + shift, a, volume + jnp.sum(log_scale)
        return 0.5 * jnp.sum(a**2) + 0.5 * jnp.sum(b**2) - volume

    params = [{"a": draw.dense(half, width), "b": draw.dense(width, 2 * half)} for _ in range(layers)]
    return loss, params, draw.normal(n, 2 * half), {}


@model(formed=True)
def topic_model(small: bool) -> Made:
    """Documents as mixtures of topics: an encoder of word counts, topics softmaxed over the words."""
    words, topics, width, n = (7, 2, 3, 5) if small else (1_000, 16, 64, 32)
    draw = Draw()

    def loss(p, counts):
        share = jax.nn.softmax(dense(p["out"], jax.nn.softplus(dense(p["in"], jnp.log1p(counts)))))
        return -counts @ jnp.log(share @ jax.nn.softmax(p["topics"], axis=1) + 1e-9)

    params = {"in": draw.dense(words, width), "out": draw.dense(width, topics), "topics": draw.normal(topics, words)}
    return loss, params, draw.integers(3, n, words).astype("float32"), {}
