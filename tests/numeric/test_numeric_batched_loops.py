"""Losses of a batch with loops, views, writing at indices, matrices: sums over the examples are taken."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
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
    D,
    T,
    V,
    W,
    check_moments,
    check_taken,
    entropy,
    of,
    size,
)
from flax import nnx
from jax import lax


def in_example_loop(p, b):
    """A counter and a slice."""
    return lax.fori_loop(0, size(b), lambda i, s: s + jnp.sum(jnp.tanh(b[i] @ p) ** 2), 0.0) / size(b)


def with_count(p, b):
    """The sum and how many were summed."""

    def step(carry, e):
        total, count = carry
        return (total + jnp.sum((e @ p) ** 2), count + 1), None

    total, count = lax.scan(step, (0.0, 0), b)[0]
    return total / count


def siamese(p, b):
    """Two views, one forward pass."""
    z = jnp.tanh(jnp.concatenate([b[0], b[1]], 0) @ p)
    one, two = jnp.split(z, 2)
    return jnp.mean(jnp.sum((one - two) ** 2, -1))


def halves_of_views(p, b):
    """The same by slices."""
    z = jnp.tanh(jnp.concatenate([b[0], b[1]]) @ p)
    return jnp.mean(z[: size(b)] * z[size(b) :])


def over_layers(p, b):
    """A sum of one loss a layer, carried by a scan over layers."""

    def layer(carry, w):
        h, total = carry
        h = jnp.tanh(h @ w)
        return (h, total + jnp.mean(h**2)), jnp.mean(h)

    (_, total), each = lax.scan(layer, (b, 0.0), jnp.stack([p, 2 * p]))
    return total + each.sum()


def recurrent(p, b):
    """A module of flax, over time."""
    cell = nnx.RNN(nnx.SimpleCell(D, D, rngs=nnx.Rngs(0)))
    return jnp.mean(cell(b @ p) ** 2)


def gaussian(p, b):
    """A full covariance an example."""
    c = jnp.einsum("bi,bj->bij", b[0] @ p, b[0] @ p) + jnp.eye(D)
    r = b[1] - b[0]
    solved = jnp.linalg.solve(c, r[..., None])[..., 0]
    return 0.5 * jnp.mean(jnp.sum(r * solved, -1) + jnp.linalg.slogdet(c)[1])


def cholesky(p, b):
    """The same by a triangular solve."""
    c = jnp.einsum("bi,bj->bij", b @ p, b @ p) + jnp.eye(D)
    low = jnp.linalg.cholesky(c)
    return jnp.mean(jax.scipy.linalg.solve_triangular(low, b[..., None], lower=True) ** 2)


TAKEN = {
    "mean over the batch, linear": (lambda p, b: jnp.sum(jnp.mean(b @ p, 0) * jnp.arange(1.0, D + 1)), W, of(FLAT)),
    "stack of losses": (
        lambda p, b: jnp.stack([jnp.mean((b @ p) ** 2), jnp.mean(jnp.abs(b @ p))]) @ jnp.asarray([1.0, 0.1]),
        W,
        of(FLAT),
    ),
    "array of losses and a penalty": (
        lambda p, b: jnp.array([jnp.mean((b @ p) ** 2), 0.1 * jnp.sum(p**2)]).sum(),
        W,
        of(FLAT),
    ),
    "stack of features": (
        lambda p, b: (lambda z: jnp.mean(jnp.stack([z[:, 0] * b[:, 1], z[:, 1]], -1) ** 2))(b @ p),
        W,
        of(FLAT),
    ),
    "stack of views": (lambda p, b: jnp.mean(jnp.stack([b[0] @ p, b[1]]) ** 2), W, of(FLAT, TARGETS)),
    "two views, split": (siamese, W, of(FLAT, TARGETS)),
    "two views, sliced": (halves_of_views, W, of(FLAT, TARGETS)),
    "moveaxis": (lambda p, b: jnp.mean((jnp.moveaxis(b, 0, 2).transpose(2, 0, 1) @ p) ** 2), W, of(SERIES)),
    "map over the batch": (lambda p, b: jnp.mean(lax.map(lambda e: jnp.sum((e @ p) ** 2), b)), W, of(FLAT)),
    "map over numbers": (
        lambda p, b: jnp.mean(lax.map(lambda i: jnp.sum((b[i] @ p) ** 2), jnp.arange(size(b)))),
        W,
        of(FLAT),
    ),
    "map of two arrays": (
        lambda p, b: lax.map(lambda e: entropy(e[0] @ p, e[1]), b).mean(),
        TO_CLASSES,
        of(FLAT, LABELS),
    ),
    "scan adds": (
        lambda p, b: lax.scan(lambda s, e: (s + jnp.sum((e @ p) ** 2), None), 0.0, b)[0] / size(b),
        W,
        of(FLAT),
    ),
    "scan adds and stacks": (
        lambda p, b: (lambda s, z: (s + z.sum()) / size(b))(
            *lax.scan(lambda s, e: (s + jnp.sum((e @ p) ** 2), jnp.sum(e @ p)), 0.0, b)
        ),
        W,
        of(FLAT),
    ),
    "scan adds vectors": (
        lambda p, b: lax.scan(lambda s, e: (s + jnp.tanh(e @ p), None), jnp.zeros(D), b)[0].sum() / size(b),
        W,
        of(FLAT),
    ),
    "scan counts, too": (with_count, W, of(FLAT)),
    "loop over the batch": (in_example_loop, W, of(FLAT)),
    "loop over time": (
        lambda p, b: jnp.mean(
            lax.fori_loop(0, T, lambda i, h: jnp.tanh(h @ p + b[:, i]), jnp.zeros((size(b), D))) ** 2
        ),
        W,
        of(SERIES),
    ),
    "loop over time, writing": (
        lambda p, b: jnp.mean(lax.fori_loop(0, T, lambda i, h: h.at[:, i].set(b[:, i] @ p), jnp.zeros(b.shape)) ** 2),
        W,
        of(SERIES),
    ),
    "scan over layers": (over_layers, W, of(FLAT)),
    "a module of flax over time": (recurrent, W, of(SERIES)),
    "written into classes": (
        lambda p, b: jnp.mean(jnp.zeros((size(b), V)).at[jnp.arange(size(b)), b[1]].set((b[0] @ p)[:, 0]) ** 2),
        W,
        of(FLAT, LABELS),
    ),
    "added to classes": (
        lambda p, b: jnp.mean((b[0] @ p).at[jnp.arange(size(b)), b[1] % D].add(-1.0) ** 2),
        W,
        of(FLAT, LABELS),
    ),
    "set by a number": (lambda p, b: jnp.mean((b @ p).at[:, 0].set(1.0) ** 2), W, of(FLAT)),
    "set, vmapped": (
        lambda p, b: jnp.mean(jax.vmap(lambda z, y: z.at[y % D].set(0.0))(b[0] @ p, b[1]) ** 2),
        W,
        of(FLAT, LABELS),
    ),
    "added, time steps": (lambda p, b: jnp.mean((b @ p).at[:, 1:].add(b[:, :-1]) ** 2), W, of(SERIES)),
    "sum over classes": (
        lambda p, b: jax.ops.segment_sum(jnp.sum((b[0] @ p) ** 2, -1), b[1], V).sum() / size(b),
        W,
        of(FLAT, LABELS),
    ),
    "ordered within an example": (
        lambda p, b: (lambda z: jnp.mean(jnp.take_along_axis(z, jnp.argsort(z, -1), -1)[:, :2] ** 2))(b @ p),
        W,
        of(FLAT),
    ),
    "pairs within an example": (
        lambda p, b: (lambda z: jnp.mean((z[:, None] - z[:, :, None]) ** 2))(b @ p),
        W,
        of(FLAT),
    ),
    "slice at a computed place": (
        lambda p, b: jnp.mean(lax.dynamic_slice(b @ p, (0, 1), (size(b), 2)) ** 2),
        W,
        of(FLAT),
    ),
    "select": (lambda p, b: jnp.mean(jnp.select([b > 1, b > 0], [b @ p, 2 * (b @ p)], 0.0)), W, of(FLAT)),
    "where of classes": (
        lambda p, b: sum(jnp.sum(jnp.where(b[1] == k, (b[0] @ p)[:, k], 0.0)) for k in range(D)) / size(b),
        W,
        of(FLAT, LABELS),
    ),
    "sums from behind": (lambda p, b: jnp.mean(lax.cumsum(b @ p, 1, reverse=True) ** 2), W, of(SERIES)),
    "norms": (lambda p, b: jnp.mean(jnp.linalg.norm(b @ p, axis=-1)), W, of(FLAT)),
    "one-hot of a range": (lambda p, b: jnp.mean((b @ p) * jax.nn.one_hot(jnp.arange(D), D).sum(0)), W, of(FLAT)),
    "checkpoint": (
        lambda p, b: jnp.mean(jax.checkpoint(lambda x: jnp.tanh(x.reshape(-1, D) @ p))(b) ** 2),
        W,
        of(SERIES),
    ),
    "mean where, per example": (lambda p, b: jnp.mean((b[0] @ p) ** 2 * b[1][..., None]), W, of(SERIES, KEPT)),
    "mean where, of each": (
        lambda p, b: jnp.mean(jnp.mean((b[0] @ p) ** 2, axis=(1, 2), where=b[1][..., None])),
        W,
        of(SERIES, KEPT),
    ),
    "hinge": (lambda p, b: optax.hinge_loss((b[0] @ p)[:, 0], jnp.sign(b[1])).mean(), W, of(FLAT, WEIGHTS)),
    "cosine": (lambda p, b: optax.cosine_distance(b[0] @ p, b[1]).mean(), W, of(FLAT, TARGETS)),
    "ctc-like": (lambda p, b: jnp.mean(jax.nn.logsumexp(jnp.cumsum(b @ p, 1), axis=(1, 2))), W, of(SERIES)),
    "poisson": (
        lambda p, b: -jax.scipy.stats.poisson.logpmf(b[1], jnp.exp(b[0] @ p)[:, 0]).mean(),
        W,
        of(FLAT, LABELS),
    ),
    "multivariate normal": (gaussian, W, of(FLAT, TARGETS)),
    "triangular": (cholesky, W, of(FLAT)),
    "in_axes and out_axes": (
        lambda p, b: jnp.mean(jax.vmap(lambda e: e @ p, in_axes=1, out_axes=2)(b.swapaxes(0, 1)) ** 2),
        W,
        of(SERIES),
    ),
    "two vmaps": (lambda p, b: jnp.mean(jax.vmap(jax.vmap(lambda e: jnp.tanh(e @ p)))(b) ** 2), W, of(SERIES)),
    "spectrum": (lambda p, b: jnp.mean(jnp.abs(jnp.fft.rfft(b @ p, axis=1)) ** 2), W, of(SERIES)),
    "causal mask": (
        lambda p, b: jnp.mean(
            jax.nn.softmax(jnp.where(jnp.tril(jnp.ones((T, T), bool)), jnp.einsum("btd,bsd->bts", b @ p, b), -1e9)) @ b
        ),
        W,
        of(SERIES),
    ),
    "attention of jax.nn": (
        lambda p, b: jnp.mean(
            jax.nn.dot_product_attention(*[(b @ p).reshape(size(b), T, 2, 2)] * 3, is_causal=True) ** 2
        ),
        W,
        of(SERIES),
    ),
    "shifted tokens": (
        lambda p, b: entropy((b[0] @ p)[:, :-1].reshape(-1, V), b[1][:, 1:].reshape(-1)).mean(),
        TO_CLASSES,
        of(SERIES, TOKENS),
    ),
    "token table": (
        lambda p, b: jnp.mean(jnp.asarray(p).T[b.reshape(-1)].reshape(*b.shape, D).sum(1) ** 2),
        TO_CLASSES,
        of(TOKENS),
    ),
    "sums of tokens, by number": (
        lambda p, b: jnp.mean(
            jax.ops.segment_sum((b @ p).reshape(-1, D), jnp.repeat(jnp.arange(size(b)), T), size(b)) ** 2
        ),
        W,
        of(SERIES),
    ),
    "loop over the batch, by name": (
        lambda p, b: lax.fori_loop(
            0,
            size(b),
            lambda i, s: s + jnp.sum((lax.dynamic_index_in_dim(b, i, keepdims=False) @ p) ** 2) / size(b),
            0.0,
        ),
        W,
        of(FLAT),
    ),
    "sums over time, added": (
        lambda p, b: lax.scan(lambda s, e: (s + jnp.sum((e @ p) ** 2), None), 0.0, b.swapaxes(0, 1))[0] / size(b),
        W,
        of(SERIES),
    ),
    "one triangular system": (
        lambda p, b: jnp.mean(jax.scipy.linalg.solve_triangular(p, b.T, lower=True) ** 2),
        W + 3 * np.eye(D),
        of(FLAT),
    ),
    "mean of means": (lambda p, b: jnp.mean(jnp.asarray([jnp.mean(b[:, t] @ p) for t in range(T)])), W, of(SERIES)),
    "heads and tokens flattened": (
        lambda p, b: jnp.mean(
            jnp.tanh((b @ p).reshape(size(b), T, 2, 2).transpose(0, 2, 1, 3).reshape(-1, T, 2)).reshape(-1, 2, T, 2)
            ** 2
        ),
        W,
        of(SERIES),
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_a_sum_over_the_examples_is_taken(name):
    check_taken(*TAKEN[name])


@pytest.mark.parametrize("name", ["two views, split", "scan adds and stacks", "written into classes"])
def test_the_moments_of_loops_and_views(name):
    check_moments(*TAKEN[name])
