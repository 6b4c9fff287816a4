"""Losses of a batch of rows or tokens as people write them: sums over the examples are taken, one by one."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from batched import (
    FLAT,
    KEPT,
    LABELS,
    SERIES,
    TARGETS,
    TO_CLASSES,
    TOKENS,
    WEIGHTS,
    B,
    D,
    T,
    V,
    W,
    check_moments,
    check_taken,
    entropy,
    log_p,
    of,
    size,
)

from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.per_example.coupling.check import CoupledExamplesError


def segments(p, b):
    """Flattened tokens, averaged over each example again."""
    z = jnp.tanh(b.reshape(-1, D) @ p)
    return jnp.mean(z.reshape(size(b), T, D).mean(1) ** 2)


def own_segments(p, b):
    """Sums over the tokens of each example, by its number."""
    z = jnp.tanh(b.reshape(-1, D) @ p)
    return jnp.mean(z.reshape(-1, T, D).sum(1) ** 2)


TAKEN = {
    "own row and label": (lambda p, b: -jnp.mean(log_p(p, b)[jnp.arange(size(b)), b[1]]), TO_CLASSES, of(FLAT, LABELS)),
    "own row, NumPy's range": (
        lambda p, b: -log_p(p, b)[np.arange(size(b)), b[1]].mean(),
        TO_CLASSES,
        of(FLAT, LABELS),
    ),
    "own row, vmapped": (
        lambda p, b: -jnp.mean(jax.vmap(lambda z, y: z[y])(log_p(p, b), b[1])),
        TO_CLASSES,
        of(FLAT, LABELS),
    ),
    "own row and token": (
        lambda p, b: -jnp.mean(log_p(p, b)[jnp.arange(size(b))[:, None], jnp.arange(T)[None], b[1]]),
        TO_CLASSES,
        of(SERIES, TOKENS),
    ),
    "own token, flattened": (
        lambda p, b: -log_p(p, b).reshape(-1, V)[jnp.arange(b[1].size), b[1].ravel()].mean(),
        TO_CLASSES,
        of(SERIES, TOKENS),
    ),
    "own row, a slice of features": (lambda p, b: jnp.mean((b @ p)[jnp.arange(size(b)), 1:3] ** 2), W, of(FLAT)),
    "own row, first feature": (lambda p, b: jnp.mean((b @ p)[jnp.arange(size(b)), 0] ** 2), W, of(FLAT)),
    "taken by its number": (lambda p, b: jnp.mean(jnp.take(b @ p, jnp.arange(size(b)), axis=0) ** 2), W, of(FLAT)),
    "vmap over numbers": (
        lambda p, b: jnp.mean(jax.vmap(lambda i: jnp.sum((b[i] @ p) ** 2))(jnp.arange(size(b)))),
        W,
        of(FLAT),
    ),
    "flattened tokens": (
        lambda p, b: entropy((b[0].reshape(-1, D) @ p), b[1].reshape(-1)).mean(),
        TO_CLASSES,
        of(SERIES, TOKENS),
    ),
    "flattened tokens, sum over n": (
        lambda p, b: entropy((b[0].reshape(-1, D) @ p), b[1].reshape(-1)).sum() / size(b),
        TO_CLASSES,
        of(SERIES, TOKENS),
    ),
    "flattened, time first": (
        lambda p, b: jnp.mean(jnp.tanh(b.swapaxes(0, 1).reshape(-1, D) @ p).reshape(T, -1, D)[-1] ** 2),
        W,
        of(SERIES),
    ),
    "flattened and back": (segments, W, of(SERIES)),
    "sums of tokens": (own_segments, W, of(SERIES)),
    "weights by token, tiled": (
        lambda p, b: jnp.mean(jnp.tile(jnp.arange(1.0, T + 1), size(b))[:, None] * (b.reshape(-1, D) @ p) ** 2),
        W,
        of(SERIES),
    ),
    "flattened token mask": (
        lambda p, b: jnp.sum(jnp.where(b[1].ravel()[:, None], (b[0].reshape(-1, D) @ p) ** 2, 0)) / (size(b) * T),
        W,
        of(SERIES, KEPT),
    ),
    "first token of each, strided": (lambda p, b: jnp.mean((b.reshape(-1, D) @ p)[::T] ** 2), W, of(SERIES)),
    "first token of each, taken": (
        lambda p, b: jnp.mean((b.reshape(-1, D) @ p)[jnp.arange(size(b)) * T] ** 2),
        W,
        of(SERIES),
    ),
    "repeat": (
        lambda p, b: jnp.mean((jnp.repeat(b[0], T, axis=0) @ p - b[1].reshape(-1, D)) ** 2),
        W,
        of(FLAT, SERIES),
    ),
    "tile of the features": (lambda p, b: jnp.mean((jnp.tile(b, (1, 2)) @ jnp.concatenate([p, p])) ** 2), W, of(FLAT)),
    "tile of the batch": (lambda p, b: jnp.mean((jnp.tile(b, (3, 1)) @ p) ** 2), W, of(FLAT)),
    "tile of a token": (
        lambda p, b: jnp.mean((jnp.concatenate([jnp.tile(p[:1][None], (size(b), 1, 1)), b], 1) @ p) ** 2),
        W,
        of(SERIES),
    ),
    "dot of ravels": (lambda p, b: jnp.vdot((b[0] @ p).ravel(), b[1].ravel()) / size(b), W, of(FLAT, TARGETS)),
    "dot with ones": (lambda p, b: jnp.ones(size(b)) @ jnp.sum((b @ p) ** 2, -1) / size(b), W, of(FLAT)),
    "dot with 1/n": (lambda p, b: jnp.full(size(b), 1 / size(b)) @ jnp.sum((b @ p) ** 2, -1), W, of(FLAT)),
    "dot with the weights": (lambda p, b: b[1] @ jnp.sum((b[0] @ p) ** 2, -1) / size(b), W, of(FLAT, WEIGHTS)),
    "divided before the sum": (lambda p, b: jnp.sum(jnp.sum((b @ p) ** 2, -1) / size(b)), W, of(FLAT)),
    "weights over n": (lambda p, b: jnp.sum(b[1] / size(b) * jnp.sum((b[0] @ p) ** 2, -1)), W, of(FLAT, WEIGHTS)),
    "einsum, batch last": (lambda p, b: jnp.einsum("db,de,eb->", b.T, p, b.T) / size(b), W, of(FLAT)),
    "einsum, batch in the middle": (
        lambda p, b: jnp.mean(jnp.einsum("tbd,de->ebt", b.swapaxes(0, 1), p) ** 2),
        W,
        of(SERIES),
    ),
    "trace of a product": (lambda p, b: jnp.trace((b[0] @ p).T @ b[1]) / size(b), W, of(FLAT, TARGETS)),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_sum_over_rows_or_tokens_is_taken(name):
    check_taken(*TAKEN[name])


@pytest.mark.parametrize("name", ["own token, flattened", "weights over n"])
def test_the_moments_of_rows_and_tokens(name):
    check_moments(*TAKEN[name])


def ratio(p, b):
    return jnp.sum((b @ p) ** 2) / jnp.sum(b)


def test_the_refusal_ends_with_the_loss_of_one_example():
    with pytest.raises(CoupledExamplesError) as caught:
        gradient_moments(ratio, W, FLAT, batched=True)
    first, *code = str(caught.value).splitlines()
    assert first.startswith("loss couples the examples of a batch") and first.endswith("the loss of one example here:")
    assert [line.strip() for line in code[:2]] == [
        "of_one = lambda params, example: ratio(params, example[None])  # the loss of a batch of one",
        "linvar.gradient_moments(of_one, params, batch)",
    ]
    scope = {"ratio": ratio}
    exec(code[0].strip(), scope)  # what it says can be run
    assert gradient_moments(scope["of_one"], W, FLAT).examples == B
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again).splitlines()[:3] == [first, *code[:2]]


def test_the_refusal_of_a_batch_of_arrays_maps_over_them():
    with pytest.raises(
        CoupledExamplesError, match=r"batch_loss\(params, jax.tree.map\(lambda x: x\[None\], example\)\)"
    ):
        gradient_moments(lambda p, b: jnp.max(b[0] @ p) * b[1].sum(), W, of(FLAT, WEIGHTS), batched=True)
