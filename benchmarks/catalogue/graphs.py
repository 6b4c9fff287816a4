"""Graphs, sets and symmetries."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from catalogue.registry import Draw, Made, dense, model


@model()
def graph_convolution(small: bool) -> Made:
    """A graph convolutional network with dense adjacency."""
    nodes, width, n = (5, 3, 4) if small else (32, 48, 32)
    draw = Draw()

    def loss(p, example):
        adjacency, x, y = example
        degree = adjacency.sum(axis=1) + 1
        spread = (adjacency + jnp.eye(nodes, dtype=x.dtype)) / jnp.sqrt(degree[:, None] * degree)
        for w in p["layers"]:
            x = jax.nn.relu(spread @ x @ w)
        return -jax.nn.log_softmax(dense(p["out"], x.mean(axis=0)))[y]

    params = {"layers": [draw.weight(width, width) for _ in range(3)], "out": draw.dense(width, 5)}
    adjacency = (draw.uniform(n, nodes, nodes) < 0.2).astype("float32")
    return loss, params, (adjacency, draw.normal(n, nodes, width), draw.integers(5, n)), {}


@model()
def message_passing(small: bool) -> Made:
    """Messages along edges, summed by segment_sum, and updates of the nodes."""
    nodes, edges, width, n = (5, 8, 3, 4) if small else (32, 96, 32, 16)
    draw = Draw()

    def loss(p, example):
        x, edge, sender, receiver, y = example
        for q in p["steps"]:
            message = jax.nn.relu(dense(q["message"], jnp.concatenate([x[sender], x[receiver], edge], axis=-1)))
            total = jax.ops.segment_sum(message, receiver, nodes)
            x = x + jax.nn.relu(dense(q["update"], jnp.concatenate([x, total], axis=-1)))
        return (dense(p["out"], x.sum(axis=0))[0] - y) ** 2

    params = {
        "steps": [
            {"message": draw.dense(2 * width + 4, width), "update": draw.dense(2 * width, width)} for _ in range(2)
        ],
        "out": draw.dense(width, 1),
    }
    batch = (
        draw.normal(n, nodes, width), draw.normal(n, edges, 4), draw.integers(nodes, n, edges),
        draw.integers(nodes, n, edges), draw.normal(n),
    )  # fmt: skip
    return loss, params, batch, {}


@model()
def graph_attention(small: bool) -> Made:
    """Graph attention with edge types: a segment softmax, a matrix for every type."""
    nodes, edges, width, types, n = (6, 9, 4, 3, 5) if small else (64, 256, 32, 5, 16)
    draw = Draw()

    def loss(p, example):
        x, sender, receiver, kind, y = example
        h = x @ p["w"]
        score = jnp.sum(h[sender] * p["from"], axis=-1) + jnp.sum(h[receiver] * p["to"], axis=-1) + p["kind"][kind]
        score = jax.nn.leaky_relu(score)
        top = jax.ops.segment_max(jax.lax.stop_gradient(score), receiver, nodes)
        weight = jnp.exp(score - top[receiver])
        weight = weight / (jax.ops.segment_sum(weight, receiver, nodes)[receiver] + 1e-9)
        message = jnp.einsum("ed,edk->ek", h[sender], p["relation"][kind])
        z = jax.ops.segment_sum(weight[:, None] * message, receiver, nodes)
        return jnp.sum((z.mean(axis=0) - y) ** 2)

    params = {
        "w": draw.weight(width, width), "from": draw.normal(width), "to": draw.normal(width), "kind": draw.normal(types),
        "relation": draw.stacked(types, width, width),
    }  # fmt: skip
    batch = (
        draw.normal(n, nodes, width), draw.integers(nodes, n, edges), draw.integers(nodes, n, edges),
        draw.integers(types, n, edges), draw.normal(n, width),
    )  # fmt: skip
    return loss, params, batch, {}


@model()
def deep_sets(small: bool) -> Made:
    """Deep sets: an MLP of every member, their sum, an MLP."""
    members, width, n = (4, 3, 5) if small else (32, 64, 64)
    draw = Draw()

    def loss(p, example):
        x, y = example
        x = jax.nn.relu(dense(p["b"], jax.nn.relu(dense(p["a"], x))))
        return (dense(p["d"], jax.nn.relu(dense(p["c"], x.sum(axis=0))))[0] - y) ** 2

    params = {
        "a": draw.dense(3, width), "b": draw.dense(width, width), "c": draw.dense(width, width), "d": draw.dense(width, 1),
    }  # fmt: skip
    return loss, params, (draw.normal(n, members, 3), draw.normal(n)), {}


@model()
def attention_pooling(small: bool) -> Made:
    """Learned queries that attend to the members of a set."""
    members, width, queries, n = (4, 3, 2, 5) if small else (32, 64, 4, 32)
    draw = Draw()

    def loss(p, example):
        x, y = example
        x = jax.nn.relu(dense(p["in"], x))
        weights = jax.nn.softmax(p["queries"] @ (x @ p["keys"]).T / width**0.5)
        pooled = (weights @ (x @ p["values"])).reshape(-1)
        return -jax.nn.log_softmax(dense(p["out"], pooled))[y]

    params = {
        "in": draw.dense(8, width), "queries": draw.normal(queries, width), "keys": draw.weight(width, width),
        "values": draw.weight(width, width), "out": draw.dense(queries * width, 5),
    }  # fmt: skip
    return loss, params, (draw.normal(n, members, 8), draw.integers(5, n)), {}


@model()
def tensor_product(small: bool) -> Made:
    """An equivariant layer: a tensor product of features and directions, weighted by a network of the distance."""
    points, width, n = (4, 3, 4) if small else (12, 16, 32)
    draw = Draw()

    def loss(p, example):
        position, x, y = example
        apart = position[:, None] - position
        distance = jnp.sqrt(jnp.sum(apart**2, axis=-1) + 1e-3)
        radial = jax.nn.silu(dense(p["r1"], distance[..., None]))
        radial = dense(p["r2"], radial).reshape(points, points, 2, width)
        scalar = jnp.einsum("jc,ijc,cd->id", x, radial[:, :, 0], p["scalar"])
        vector = jnp.einsum("jc,ijc,ijk,cd->idk", x, radial[:, :, 1], apart / distance[..., None], p["vector"])
        z = jnp.concatenate([scalar, jnp.sum(vector**2, axis=-1)], axis=-1)
        return (jnp.sum(jax.nn.silu(dense(p["h"], z)) @ p["out"]) - y) ** 2

    params = {
        "r1": draw.dense(1, 16), "r2": draw.dense(16, 2 * width), "scalar": draw.weight(width, width),
        "vector": draw.weight(width, width), "h": draw.dense(2 * width, width), "out": draw.weight(width, 1),
    }  # fmt: skip
    return loss, params, (draw.normal(n, points, 3), draw.normal(n, points, width), draw.normal(n)), {}


@model()
def bilinear_scores(small: bool) -> Made:
    """Knowledge graphs: a matrix for every relation between two embedded things, one negative."""
    things, relations, width, n = (7, 3, 3, 6) if small else (5_000, 20, 48, 512)
    draw = Draw()

    def loss(p, example):
        head, relation, tail, other = example
        left = p["things"][head] @ p["relations"][relation]
        return jax.nn.softplus(left @ (p["things"][other] - p["things"][tail]))

    params = {"things": draw.normal(things, width) * 0.3, "relations": draw.stacked(relations, width, width)}
    batch = (draw.integers(things, n), draw.integers(relations, n), draw.integers(things, n), draw.integers(things, n))
    return loss, params, batch, {}
