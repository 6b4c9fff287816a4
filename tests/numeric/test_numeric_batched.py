"""Losses of a batch as people write them: those that are sums over the examples are taken, those that couple them refused."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax import lax

from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.per_example.coupling import CoupledExamplesError, check_uncoupled

RNG = np.random.default_rng(8)
B, T, D, V = 6, 5, 4, 7
FLAT, SERIES = RNG.normal(size=(B, D)), RNG.normal(size=(B, T, D))
WEIGHTS, TARGETS = RNG.normal(size=B), RNG.normal(size=(B, D))
LABELS, TOKENS = RNG.integers(0, V, B), RNG.integers(0, V, (B, T))
KEPT = RNG.random((B, T)) < 0.7
W, TO_CLASSES = RNG.normal(size=(D, D)), RNG.normal(size=(D, V))
entropy = optax.softmax_cross_entropy_with_integer_labels


def of(*arrays):
    """A batch."""
    return arrays if len(arrays) > 1 else arrays[0]


def size(b):
    return jax.tree.leaves(b)[0].shape[0]


def log_p(p, b):
    return jax.nn.log_softmax(b[0] @ p)


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
        lambda p, b: jnp.mean(p.T[b.reshape(-1)].reshape(*b.shape, D).sum(1) ** 2),
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
    "interpolated": (
        lambda p, b: jnp.mean(jnp.interp(b @ p, jnp.linspace(-2, 2, 5), jnp.arange(5.0) ** 2)),
        W,
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


def check(loss, params, batch):
    """As under jit: nothing is computed."""
    leaves, structure = jax.tree.flatten(params)
    arrays, own = jax.tree.flatten(batch)
    check_uncoupled(
        lambda p, b: loss(structure.unflatten(p), own.unflatten(b)),
        [jnp.asarray(x) for x in leaves],
        [jnp.asarray(x) for x in arrays],
    )


@pytest.mark.parametrize("name", TAKEN)
def test_a_sum_over_the_examples_is_taken(name):
    loss, params, batch = TAKEN[name]
    with jax.enable_x64(True):
        check(loss, params, batch)
        # and rightly: it is the mean or the sum of the losses of batches of one
        of_one = jax.vmap(lambda e: loss(params, jax.tree.map(lambda x: x[None], e)))
        whole, each = jax.jit(lambda b: (loss(params, b), of_one(b)))(jax.tree.map(jnp.asarray, batch))
    assert any(np.isclose(whole, expected, rtol=1e-6) for expected in (np.mean(each), np.sum(each)))


@pytest.mark.parametrize("name", COUPLED)
def test_what_couples_the_examples_is_refused_before_anything_runs(name):
    with pytest.raises(CoupledExamplesError):
        check(*COUPLED[name])


@pytest.mark.parametrize(
    "name",
    ["own token, flattened", "two views, split", "scan adds and stacks", "written into classes", "weights over n"],
)
def test_its_moments_are_those_of_one_example_after_another(name):
    loss, params, batch = TAKEN[name]
    with jax.enable_x64(True):
        params, batch = jnp.asarray(params), jax.tree.map(jnp.asarray, batch)
        single = lambda p, e: loss(p, jax.tree.map(lambda x: x[None], e))  # noqa: E731
        gradients = np.asarray(jax.vmap(jax.grad(single), (None, 0))(params, batch))
        found = gradient_moments(loss, params, batch, batched=True)
        np.testing.assert_allclose(found.trace, gradients.var(0, ddof=1).sum(), rtol=1e-10)
        np.testing.assert_allclose(found.mean, gradients.mean(0), rtol=1e-10, atol=1e-13)


def ratio(p, b):
    return jnp.sum((b @ p) ** 2) / jnp.sum(b)


def test_the_refusal_ends_with_the_loss_of_one_example():
    with pytest.raises(CoupledExamplesError) as caught:
        gradient_moments(ratio, W, FLAT, batched=True)
    first, *code = str(caught.value).splitlines()
    assert first.startswith("loss couples the examples of a batch") and first.endswith("loss of ONE example, or:")
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
