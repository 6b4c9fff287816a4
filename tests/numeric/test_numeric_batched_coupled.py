"""Losses of a batch that couple its examples are refused before anything runs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from batched import FLAT, KEPT, LABELS, SERIES, TARGETS, TO_CLASSES, WEIGHTS, D, T, V, W, check, log_p, of, size
from jax import lax

from linvar.numeric.gradients.per_example.coupling.check import CoupledExamplesError


def rolled_tokens(p, b):
    """The next token, also from one example to the next."""
    z = jnp.tanh(b.reshape(-1, D) @ p)
    return jnp.mean(z * jnp.roll(z, 1, 0))


def carried(p, b):
    return lax.scan(lambda s, e: (0.9 * s + jnp.sum((e @ p) ** 2), None), 0.0, b)[0] / size(b)


def prefix(p, b):
    return jnp.mean(lax.scan(lambda s, e: (s + jnp.sum((e @ p) ** 2), s), 0.0, b)[1])


def counted(p, b):
    """Weights by turn, from a counter."""

    def step(carry, e):
        total, i = carry
        return (total + i * jnp.sum((e @ p) ** 2), i + 1.0), None

    return lax.scan(step, (0.0, 0.0), b)[0][0] / size(b)


COUPLED = {
    "another's row": (lambda p, b: -jnp.mean(log_p(p, b)[jnp.arange(size(b)) - 1, b[1]]), TO_CLASSES, of(FLAT, LABELS)),
    "the next row": (lambda p, b: jnp.mean((b @ p)[jnp.arange(size(b)) + 1, 0]), W, of(FLAT)),
    "rows backwards": (lambda p, b: jnp.mean((b @ p)[jnp.arange(size(b))[::-1], 0] * b[:, 0]), W, of(FLAT)),
    "row of the label": (lambda p, b: jnp.mean((b[0] @ p)[b[1] % 6, 0] * b[0][:, 0]), W, of(FLAT, LABELS)),
    "label, then own": (lambda p, b: jnp.mean((b[0] @ p)[b[1] % 4, jnp.arange(size(b)) % 4]), W, of(FLAT, LABELS)),
    "diagonal": (lambda p, b: jnp.mean((b @ p @ b.T)[jnp.arange(size(b)), jnp.arange(size(b))]), W, of(FLAT)),
    "column of the number": (lambda p, b: jnp.mean((b @ p)[jnp.arange(size(b)), jnp.arange(size(b)) % D]), W, of(FLAT)),
    "parameters by number": (lambda p, b: jnp.mean((b @ p) * p[jnp.arange(size(b)) % D]), W, of(FLAT)),
    "a permutation": (lambda p, b: jnp.mean((b @ p) * b[jnp.asarray(np.roll(np.arange(size(b)), 2))]), W, of(FLAT)),
    "mixup by a key": (
        lambda p, b: jnp.mean(((b + b[jax.random.permutation(jax.random.key(0), size(b))]) @ p) ** 2),
        W,
        of(FLAT),
    ),
    "stacked, then compared": (
        lambda p, b: jnp.mean(jnp.stack([b @ p, (b @ p)[::-1]]).prod(0)),
        W,
        of(FLAT),
    ),
    "views joined and rolled": (
        lambda p, b: (lambda z: jnp.mean(z * jnp.roll(z, 1, 0)))(jnp.concatenate([b[0], b[1]]) @ p),
        W,
        of(FLAT, TARGETS),
    ),
    "views, all with all": (
        lambda p, b: (lambda z: jnp.mean(jax.nn.logsumexp(z @ z.T, -1)))(jnp.concatenate([b[0], b[1]]) @ p),
        W,
        of(FLAT, TARGETS),
    ),
    "views, split elsewhere": (
        lambda p, b: (lambda z: jnp.mean(z[1 : size(b) + 1] * b[0]))(jnp.concatenate([b[0], b[1]]) @ p),
        W,
        of(FLAT, TARGETS),
    ),
    "tokens rolled over examples": (rolled_tokens, W, of(SERIES)),
    "tokens shifted over examples": (
        lambda p, b: (lambda z: jnp.mean(z[1:] * z[:-1]))(b.reshape(-1, D) @ p),
        W,
        of(SERIES),
    ),
    "flattened two ways": (
        lambda p, b: jnp.mean((b.reshape(-1, D) @ p) * b.swapaxes(0, 1).reshape(-1, D)),
        W,
        of(SERIES),
    ),
    "cut at another length": (
        lambda p, b: jnp.mean((b.reshape(-1, D) @ p)[: 6 * T // 2].reshape(-1, 3, D).prod(1)),
        W,
        of(SERIES),
    ),
    "segments across examples": (
        lambda p, b: jnp.mean((b.reshape(size(b), -1).reshape(2, -1).sum(0)) ** 2) * jnp.sum(p),
        W,
        of(SERIES),
    ),
    "tokens sorted over the batch": (lambda p, b: jnp.mean(jnp.sort(b.reshape(-1, D) @ p, 0) ** 2), W, of(SERIES)),
    "norm over all tokens": (
        lambda p, b: (lambda z: jnp.mean((z - z.mean(0)) ** 2))(b.reshape(-1, D) @ p),
        W,
        of(SERIES),
    ),
    "max over all tokens": (lambda p, b: jnp.sum((b.reshape(-1, D) @ p).max(0)), W, of(SERIES)),
    "token weights by place": (
        lambda p, b: jnp.mean(jnp.arange(1.0 * size(b) * T)[:, None] * (b.reshape(-1, D) @ p)),
        W,
        of(SERIES),
    ),
    "tiled the wrong way": (
        lambda p, b: jnp.mean((jnp.tile(b[0], (T, 1)) @ p) * b[1].reshape(-1, D)),
        W,
        of(FLAT, SERIES),
    ),
    "Gram matrix": (lambda p, b: jnp.sum(((b @ p).T @ (b @ p)) ** 2) / size(b), W, of(FLAT)),
    "dot of other rows": (lambda p, b: jnp.vdot((b @ p).ravel(), b[::-1].ravel()) / size(b), W, of(FLAT)),
    "dot with places": (lambda p, b: jnp.arange(1.0 * size(b)) @ jnp.sum((b @ p) ** 2, -1), W, of(FLAT)),
    "scan forgets": (carried, W, of(FLAT)),
    "scan gives out its sums": (prefix, W, of(FLAT)),
    "scan weighs by turn": (counted, W, of(FLAT)),
    "scan multiplies": (lambda p, b: lax.scan(lambda s, e: (s * jnp.sum(e @ p), None), 1.0, b)[0], W, of(FLAT)),
    "scan takes the largest": (
        lambda p, b: lax.scan(lambda s, e: (jnp.maximum(s, jnp.sum(e @ p)), None), 0.0, b)[0],
        W,
        of(FLAT),
    ),
    "scan remembers the last": (
        lambda p, b: lax.scan(lambda s, e: (e, jnp.sum((e - s) @ p) ** 2), jnp.zeros(D), b)[1].mean(),
        W,
        of(FLAT),
    ),
    "square of a scan's sum": (
        lambda p, b: lax.scan(lambda s, e: (s + jnp.sum(e @ p), None), 0.0, b)[0] ** 2,
        W,
        of(FLAT),
    ),
    "map with the whole batch": (
        lambda p, b: jnp.mean(lax.map(lambda e: jnp.max((b @ p) @ e), b)),
        W,
        of(FLAT),
    ),
    "map with the batch's mean": (
        lambda p, b: jnp.mean(lax.map(lambda e: jnp.sum((e - b.mean(0)) @ p) ** 2, b)),
        W,
        of(FLAT),
    ),
    "loop over neighbours": (
        lambda p, b: lax.fori_loop(0, size(b), lambda i, s: s + jnp.sum(b[i] @ p * b[i - 1]), 0.0) / size(b),
        W,
        of(FLAT),
    ),
    "loop, weighted by turn": (
        lambda p, b: lax.fori_loop(0, size(b), lambda i, s: s + i * jnp.sum(b[i] @ p), 0.0) / size(b),
        W,
        of(FLAT),
    ),
    "loop over twice the numbers": (
        lambda p, b: lax.fori_loop(0, size(b), lambda i, s: s + jnp.sum(b[2 * i] @ p), 0.0) / size(b),
        W,
        of(FLAT),
    ),
    "mean over classes, squared": (
        lambda p, b: jnp.sum(jax.ops.segment_sum(b[0] @ p, b[1], V) ** 2),
        W,
        of(FLAT, LABELS),
    ),
    "counts of classes": (
        lambda p, b: jnp.sum(jax.ops.segment_sum((b[0] @ p)[:, 0], b[1], V) / (1 + jnp.bincount(b[1], length=V))),
        W,
        of(FLAT, LABELS),
    ),
    "written into another's row": (
        lambda p, b: jnp.mean(jnp.zeros((size(b), D)).at[b[1] % 6].set(b[0] @ p) * b[0]),
        W,
        of(FLAT, LABELS),
    ),
    "written into one row": (lambda p, b: jnp.mean(jnp.zeros((9, D)).at[3].set((b @ p)[0]) ** 2), W, of(FLAT)),
    "written one row further": (
        lambda p, b: jnp.mean((b @ p).at[jnp.arange(size(b)) - 1, 0].set(b[:, 0]) ** 2),
        W,
        of(FLAT),
    ),
    "over n - 1": (lambda p, b: jnp.sum((b @ p) ** 2) / (size(b) - 1), W, of(FLAT)),
    "over n squared": (lambda p, b: jnp.sum((b @ p) ** 2) / size(b) ** 2, W, of(FLAT)),
    "over the root of n": (lambda p, b: jnp.sum((b @ p) ** 2) / jnp.sqrt(size(b)), W, of(FLAT)),
    "a sum and a penalty": (lambda p, b: jnp.sum((b @ p) ** 2) + jnp.sum(p**2), W, of(FLAT)),
    "a mean and n penalties": (lambda p, b: jnp.mean((b @ p) ** 2) + size(b) * jnp.sum(p**2), W, of(FLAT)),
    "tokens summed by another": (
        lambda p, b: jnp.mean(
            jax.ops.segment_sum((b @ p).reshape(-1, D), jnp.tile(jnp.arange(size(b)), T), size(b)) ** 2
        ),
        W,
        of(SERIES),
    ),
    "a key carried": (
        lambda p, b: lax.scan(
            lambda c, e: ((jax.random.split(c[0])[0], c[1] + jnp.sum(e @ p) * jax.random.normal(c[0])), None),
            (jax.random.key(0), 0.0),
            b,
        )[0][1],
        W,
        of(FLAT),
    ),
    "two carried values swapped": (
        lambda p, b: lax.scan(lambda c, e: ((c[1], c[0] + jnp.sum(e @ p)), None), (0.0, 0.0), b)[0][0],
        W,
        of(FLAT),
    ),
    "rows joined the other way": (
        lambda p, b: jnp.mean(jnp.concatenate([b @ p, b]).reshape(-1, 2, D).prod(1)),
        W,
        of(FLAT),
    ),
    "a row of the sum by n": (lambda p, b: jnp.mean(b @ p, 0)[size(b) - 5 :].sum(), W, of(FLAT)),
    "a sum and a mean": (lambda p, b: jnp.sum((b @ p) ** 2) + jnp.mean(b @ p), W, of(FLAT)),
    "tanh of what is divided by n": (lambda p, b: jnp.sum(jnp.tanh((b @ p) / size(b))), W, of(FLAT)),
    "mean where": (lambda p, b: jnp.mean((b[0] @ p) ** 2, where=b[1][..., None]), W, of(SERIES, KEPT)),
    "weights normalised": (
        lambda p, b: jnp.sum(jax.nn.softmax(b[1]) * jnp.sum((b[0] @ p) ** 2, -1)),
        W,
        of(FLAT, WEIGHTS),
    ),
    "vmap over pairs": (
        lambda p, b: jnp.mean(jax.vmap(lambda x: jax.vmap(lambda y: jnp.sum(x @ p * y))(b))(b) ** 2),
        W,
        of(FLAT),
    ),
    "vmap with the batch inside": (
        lambda p, b: jnp.mean(jax.vmap(lambda e: jnp.max(b @ p @ e))(b)),
        W,
        of(FLAT),
    ),
    "whitened": (lambda p, b: jnp.mean(jnp.linalg.solve(b.T @ b, (b @ p).T) ** 2), W, of(FLAT)),
    "spectrum over the batch": (lambda p, b: jnp.mean(jnp.abs(jnp.fft.rfft(b @ p, axis=0)) ** 2), W, of(FLAT)),
    "dropout for the batch": (
        lambda p, b: jnp.mean(jnp.where(jax.random.bernoulli(jax.random.key(0), 0.5, (size(b), 1)), b @ p, 0) ** 2),
        W,
        of(FLAT),
    ),
    "one-hot of the numbers": (
        lambda p, b: jnp.mean((b @ p)[:, :, None] * jax.nn.one_hot(jnp.arange(size(b)) % D, D)[:, None]),
        W,
        of(FLAT),
    ),
    "the first": (lambda p, b: jnp.mean((b @ p) ** 2) + (b @ p)[0, 0], W, of(FLAT)),
    "the last token of all": (lambda p, b: (b.reshape(-1, D) @ p)[-1].sum(), W, of(SERIES)),
    "every other": (lambda p, b: jnp.mean((b @ p)[::2] ** 2), W, of(FLAT)),
    "two batches, far apart": (lambda p, b: jnp.mean((b @ p)[:-1] ** 2), W, of(FLAT)),
}


@pytest.mark.parametrize("name", COUPLED)
def test_what_couples_the_examples_is_refused_before_anything_runs(name):
    with pytest.raises(CoupledExamplesError):
        check(*COUPLED[name])
