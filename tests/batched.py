"""What the tests of batched losses share: batches of every kind, and the checks."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.per_example.coupling.check import check_uncoupled

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


def check(loss, params, batch):
    """As under jit: nothing is computed."""
    leaves, structure = jax.tree.flatten(params)
    arrays, own = jax.tree.flatten(batch)
    check_uncoupled(
        lambda p, b: loss(structure.unflatten(p), own.unflatten(b)),
        [jnp.asarray(x) for x in leaves],
        [jnp.asarray(x) for x in arrays],
    )


def check_taken(loss, params, batch):
    """It is taken, and rightly: it is the mean or the sum of the losses of batches of one."""
    with jax.enable_x64(True):
        check(loss, params, batch)
        params, batch = jnp.asarray(params), jax.tree.map(jnp.asarray, batch)
        of_one = jax.vmap(lambda e: loss(params, jax.tree.map(lambda x: x[None], e)))
        whole, each = jax.jit(lambda b: (loss(params, b), of_one(b)))(batch)
    assert any(np.isclose(whole, expected, rtol=1e-6) for expected in (np.mean(each), np.sum(each)))


def check_moments(loss, params, batch):
    """Its moments are those of one example after another."""
    with jax.enable_x64(True):
        params, batch = jnp.asarray(params), jax.tree.map(jnp.asarray, batch)
        single = lambda p, e: loss(p, jax.tree.map(lambda x: x[None], e))  # noqa: E731
        gradients = np.asarray(jax.jit(jax.vmap(jax.grad(single), (None, 0)))(params, batch))
        found = gradient_moments(loss, params, batch, batched=True)
        np.testing.assert_allclose(found.trace, gradients.var(0, ddof=1).sum(), rtol=1e-10)
        np.testing.assert_allclose(found.mean, gradients.mean(0), rtol=1e-10, atol=1e-13)
