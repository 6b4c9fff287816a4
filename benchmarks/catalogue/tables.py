"""Models made of tables that are looked up: recommenders, ratings, words, states and actions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from catalogue.registry import Draw, Made, dense, model


@model()
def matrix_factorisation(small: bool) -> Made:
    """Ratings of items by users, with biases: tables much larger than the batch."""
    users, items, width, n = (9, 6, 3, 8) if small else (20_000, 5_000, 32, 512)
    draw = Draw()

    def loss(p, example):
        user, item, rating = example
        score = jnp.dot(p["users"][user], p["items"][item]) + p["user_bias"][user] + p["item_bias"][item] + p["mean"]
        return (score - rating) ** 2

    params = {
        "users": draw.normal(users, width), "items": draw.normal(items, width), "user_bias": draw.normal(users),
        "item_bias": draw.normal(items), "mean": np.float32(0.1),
    }  # fmt: skip
    return loss, params, (draw.integers(users, n), draw.integers(items, n), draw.normal(n)), {}


@model()
def dlrm(small: bool) -> Made:
    """Click-through rate: one table a field, their products, an MLP below and one above."""
    fields, rows, width, n = (3, 7, 4, 6) if small else (8, 2_000, 16, 256)
    draw = Draw()
    pairs = np.tril_indices(fields + 1, -1)

    def loss(p, example):
        numbers, ids, click = example
        low = dense(p["low"][1], jax.nn.relu(dense(p["low"][0], numbers)))
        vectors = jnp.stack([low, *[table[ids[k]] for k, table in enumerate(p["tables"])]])
        crossed = (vectors @ vectors.T)[pairs]
        logit = dense(p["high"][1], jax.nn.relu(dense(p["high"][0], jnp.concatenate([low, crossed]))))[0]
        return jax.nn.softplus(logit) - click * logit

    params = {
        "tables": [draw.normal(rows, width) * 0.1 for _ in range(fields)],
        "low": [draw.dense(13, 4 * width), draw.dense(4 * width, width)],
        "high": [draw.dense(width + len(pairs[0]), 4 * width), draw.dense(4 * width, 1)],
    }
    return loss, params, (draw.normal(n, 13), draw.integers(rows, n, fields), draw.uniform(n)), {}


@model()
def field_wise_tables(small: bool) -> Made:
    """The tables of all fields in one array, looked up by (field, row)."""
    fields, rows, width, n = (3, 7, 4, 6) if small else (8, 2_000, 16, 256)
    draw = Draw()

    def loss(p, example):
        ids, click = example
        x = p["table"][jnp.arange(fields), ids]
        logit = dense(p["out"], jax.nn.relu(dense(p["hidden"], x.reshape(-1))))[0]
        return jax.nn.softplus(logit) - click * logit

    params = {
        "table": draw.normal(fields, rows, width), "hidden": draw.dense(fields * width, 8 * width),
        "out": draw.dense(8 * width, 1),
    }  # fmt: skip
    return loss, params, (draw.integers(rows, n, fields), draw.uniform(n)), {}


@model()
def q_learning(small: bool) -> Made:
    """A table of states and actions, temporal differences with the target held fixed."""
    states, actions, n = (6, 3, 9) if small else (20_000, 18, 512)
    draw = Draw()

    def loss(q, example):
        state, action, reward, following = example
        target = reward + 0.9 * jax.lax.stop_gradient(jnp.max(q[following]))
        return 0.5 * (q[state, action] - target) ** 2

    batch = (draw.integers(states, n), draw.integers(actions, n), draw.normal(n), draw.integers(states, n))
    return loss, draw.normal(states, actions), batch, {}


@model()
def q_network(small: bool) -> Made:
    """Deep Q-learning: the value of the action taken, targets from other weights."""
    inputs, width, actions, n = (4, 5, 3, 6) if small else (64, 256, 18, 256)
    draw = Draw()
    frozen = [draw.dense(inputs, width), draw.dense(width, width), draw.dense(width, actions)]

    def values(p, x):
        for layer in p[:-1]:
            x = jax.nn.relu(dense(layer, x))
        return dense(p[-1], x)

    def loss(p, example):
        state, action, reward, following = example
        target = reward + 0.99 * values(frozen, following)[jnp.argmax(values(p, following))]
        error = values(p, state)[action] - jax.lax.stop_gradient(target)
        return jnp.where(jnp.abs(error) < 1, 0.5 * error**2, jnp.abs(error) - 0.5)

    params = [draw.dense(inputs, width), draw.dense(width, width), draw.dense(width, actions)]
    batch = (draw.normal(n, inputs), draw.integers(actions, n), draw.normal(n), draw.normal(n, inputs))
    return loss, params, batch, {}


@model()
def bradley_terry(small: bool) -> Made:
    """Who beats whom: one strength a player."""
    players, n = (6, 9) if small else (50_000, 512)
    draw = Draw()

    def loss(strength, example):
        winner, loser = example
        return jax.nn.softplus(strength[loser] - strength[winner])

    return loss, draw.normal(players), (draw.integers(players, n), draw.integers(players, n)), {}


@model()
def item_response(small: bool) -> Made:
    """Two-parameter logistic item response theory: abilities, difficulties, discriminations."""
    persons, items, n = (7, 4, 9) if small else (50_000, 2_000, 512)
    draw = Draw()

    def loss(p, example):
        person, item, right = example
        logit = jnp.exp(p["log_slope"][item]) * (p["ability"][person] - p["difficulty"][item])
        return jax.nn.softplus(logit) - right * logit

    params = {
        "ability": draw.normal(persons), "difficulty": draw.normal(items), "log_slope": 0.1 * draw.normal(items),
    }  # fmt: skip
    return loss, params, (draw.integers(persons, n), draw.integers(items, n), draw.uniform(n).round()), {}


@model()
def factorisation_machine(small: bool) -> Made:
    """Second-order factorisation machine over the active features of an example."""
    features, active, width, n = (11, 4, 3, 7) if small else (10_000, 20, 16, 256)
    draw = Draw()

    def loss(p, example):
        ids, values, y = example
        v = p["v"][ids] * values[:, None]
        crossed = 0.5 * jnp.sum(jnp.sum(v, axis=0) ** 2 - jnp.sum(v**2, axis=0))
        return (p["bias"] + jnp.sum(p["w"][ids] * values) + crossed - y) ** 2

    params = {"bias": np.float32(0), "w": draw.normal(features), "v": 0.1 * draw.normal(features, width)}
    return loss, params, (draw.integers(features, n, active), draw.uniform(n, active), draw.normal(n)), {}


@model()
def word_vectors(small: bool) -> Made:
    """word2vec: skip-grams with negative samples."""
    words, width, negatives, n = (9, 3, 2, 7) if small else (10_000, 64, 8, 512)
    draw = Draw()

    def loss(p, example):
        centre, context, others = example
        v = p["in"][centre]
        return jax.nn.softplus(-p["out"][context] @ v) + jnp.sum(jax.nn.softplus(p["out"][others] @ v))

    params = {"in": 0.1 * draw.normal(words, width), "out": 0.1 * draw.normal(words, width)}
    return loss, params, (draw.integers(words, n), draw.integers(words, n), draw.integers(words, n, negatives)), {}


@model(formed=True)
def normalised_embeddings(small: bool) -> Made:
    """A table whose rows are scaled to length one before it is looked up."""
    words, length, width, classes, n = (9, 4, 3, 2, 6) if small else (2_000, 16, 32, 10, 64)
    draw = Draw()

    def loss(p, example):
        tokens, y = example
        table = p["table"] / jnp.linalg.norm(p["table"], axis=1, keepdims=True)
        scores = jax.nn.log_softmax(dense(p["out"], table[tokens].mean(axis=0)))
        return -scores[y]

    params = {"table": draw.normal(words, width), "out": draw.dense(width, classes)}
    return loss, params, (draw.integers(words, n, length), draw.integers(classes, n)), {}


@model()
def bag_of_words(small: bool) -> Made:
    """fastText: the mean of the embeddings of a padded bag of words, one-hot label."""
    words, length, width, classes, n = (9, 5, 3, 2, 6) if small else (20_000, 32, 32, 10, 128)
    draw = Draw()

    def loss(p, example):
        tokens, y = example
        mask = (tokens > 0).astype(p["table"].dtype)
        x = jnp.sum(p["table"][tokens] * mask[:, None], axis=0) / jnp.maximum(mask.sum(), 1)
        return -jnp.sum(y * jax.nn.log_softmax(dense(p["out"], x)))

    params = {"table": draw.normal(words, width), "out": draw.dense(width, classes)}
    labels = np.eye(classes, dtype="float32")[draw.integers(classes, n)]
    return loss, params, (draw.integers(words, n, length) * draw.integers(2, n, length), labels), {}
