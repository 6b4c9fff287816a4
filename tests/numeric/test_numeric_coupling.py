"""Losses of a whole batch: what couples examples is refused by name, what does not is let through."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.per_example.coupling.check import CoupledExamplesError

RNG = np.random.default_rng(2)
PARAMS = {"w": jnp.asarray(RNG.normal(size=(4, 3)), "float32"), "b": jnp.asarray(RNG.normal(size=3), "float32")}
BATCH = (jnp.asarray(RNG.normal(size=(5, 4)), "float32"), jnp.asarray([0, 1, 2, 1, 0]))


def scores(params, batch):
    """(n, 3)."""
    return batch[0] @ params["w"] + params["b"]


def gathered(p, b):
    """Cross entropy by take_along_axis."""
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(scores(p, b)), b[1][:, None], 1))


def by_optax(p, b):
    """Cross entropy of a library, a penalty."""
    return optax.softmax_cross_entropy_with_integer_labels(scores(p, b), b[1]).mean() + 1e-2 * jnp.sum(p["w"] ** 2)


def one_hot(p, b):
    """A sum, under jit."""
    return jax.jit(lambda z: -jnp.sum(jax.nn.one_hot(b[1], 3) * jax.nn.log_softmax(z)))(scores(p, b))


def transposed(p, b):
    """Examples last, sorted and padded along other axes."""
    z = jnp.sort((p["w"].T @ b[0].T + p["b"][:, None])[::-1], axis=0)
    return jnp.mean(jnp.pad(jnp.concatenate([z, 2 * z]), ((1, 1), (0, 0))) ** 2)


def recurrent(p, b):
    """A scan over time, examples on the second axis."""

    def step(h, x):
        return jnp.tanh(h @ jnp.eye(3) + x[:, None] * p["b"]), None

    return jnp.mean(jax.lax.scan(step, jnp.zeros((len(b[0]), 3)), b[0].T)[0])


def mapped(p, b):
    """vmap over the examples, a choice by number."""
    return jnp.mean(jax.vmap(lambda x: jnp.where(x[0] > 0, x @ p["w"], p["b"]).sum())(b[0]))


def attention(p, b):
    """Within an example."""
    z = b[0][:, :, None] * p["b"]
    return jnp.mean(jnp.einsum("nij,njd->nid", jax.nn.softmax(jnp.einsum("nid,njd->nij", z, z)), z) ** 2)


def convolution(p, b):
    """Along time, pooled."""
    z = jax.lax.conv_general_dilated(
        b[0][:, :, None], p["w"][None, :1], (1,), "SAME", dimension_numbers=("NHC", "HIO", "NHC")
    )
    return jnp.mean(jax.lax.reduce_window(z, -jnp.inf, jax.lax.max, (1, 2, 1), (1, 2, 1), "VALID"))


@pytest.mark.parametrize(
    "loss",
    [gathered, by_optax, one_hot, transposed, recurrent, mapped, attention, convolution],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("size", [2, 5])
def test_losses_that_are_sums_over_examples(loss, size):
    batch = jax.tree.map(lambda x: x[:size], BATCH)
    single = lambda p, e: loss(p, jax.tree.map(lambda x: x[None], e))  # noqa: E731
    gradients = jax.jit(jax.vmap(jax.grad(single), in_axes=(None, 0)))(PARAMS, batch)
    found = gradient_moments(loss, PARAMS, batch, batched=True)
    for name in PARAMS:
        trace = np.var(np.asarray(gradients[name], "float64"), axis=0, ddof=1).sum()
        np.testing.assert_allclose(found.trace_per_leaf[name], trace, rtol=1e-4, atol=1e-7)


def batch_norm(p, b):
    """Of flax, in training mode."""
    norm = nnx.BatchNorm(3, use_running_average=False, rngs=nnx.Rngs(0))
    return jnp.mean(norm(scores(p, b)) ** 3)


def weights_by_position(p, b):
    return jnp.mean(jnp.arange(float(len(b[0])))[:, None] * scores(p, b))


def dropout_for_the_batch(p, b):
    z = scores(p, b)
    return jnp.mean(z * jax.random.bernoulli(jax.random.key(0), 0.5, z.shape))


def reordered(p, b):
    return jnp.mean(scores(p, b) * b[0][jnp.argsort(b[1])][:, :3])


def accumulated(p, b):
    return jnp.mean(jnp.cumsum(scores(p, b), axis=0))


def over_examples(p, b):
    return jax.lax.scan(lambda h, x: (jnp.tanh(h + x @ p["w"]), None), p["b"], b[0])[0].sum()


def chosen_by_all(p, b):
    return jnp.mean(jax.lax.cond(b[0][0, 0] > 0, jnp.sin, jnp.cos, scores(p, b)))


def count(b):
    """How many examples, as an array."""
    return jnp.ones(len(b[0])).sum()


def stacked_sums(p, b):
    """Sums over the batch come out of a loop."""
    return jnp.mean(b[0] * jax.lax.scan(lambda h, w: (h, jnp.sum(b[0] @ w)), 0.0, jnp.stack([p["w"]] * 4))[1])


def by_square(p, b):
    """At four examples the reshape is no operation at all."""
    return jnp.mean((b[0].reshape(4, -1) @ jnp.ones((b[0].size // 4, 1))) * p["b"])


@jax.custom_vjp
def clipped(z):
    """Its backward pass divides by the norm over the whole batch."""
    return z


clipped.defvjp(lambda z: (z, None), lambda _, g: (g / jnp.linalg.norm(g),))


@jax.custom_jvp
def centred(z):
    """Its derivative uses the mean over the whole batch."""
    return z


centred.defjvp(lambda p, t: (p[0], t[0] * jnp.mean(p[0])))


def scaled(factor):
    """A loss in which a factor meets every example before the sum."""
    return lambda p, b: jnp.mean(jnp.tanh(scores(p, b) * factor(p, b)))


n = lambda b: b[0].shape[0]  # noqa: E731
REFUSED = [
    (lambda p, b: jnp.mean(jnp.sin(clipped(scores(p, b)))), "custom_vjp"),
    (lambda p, b: jnp.mean(jnp.sin(b[0] @ clipped(p["w"]))), "custom_vjp"),
    (lambda p, b: jnp.mean(jnp.sin(centred(scores(p, b)))), "sum over the batch|custom_jvp"),
    (scaled(lambda p, b: np.full(3, float(n(b)))), "depends on the number"),
    (scaled(lambda p, b: jax.lax.fori_loop(0, 2, lambda i, c: c * n(b) / 3, 1.0)), "depends on the number"),
    (scaled(lambda p, b: jax.lax.cond(p["b"][0] > -9, lambda: n(b) * 1.0, lambda: 0.0)), "depends on the number"),
    (scaled(lambda p, b: jnp.ones((n(b), n(b))).sum(1)[:, None]), "depends on the number"),
    (scaled(lambda p, b: (jnp.ones((n(b), n(b))) @ jnp.ones(n(b)))[:, None]), "depends on the number"),
    (scaled(lambda p, b: p["w"][n(b) - 2, 0]), "depends on the number|another program|is out of bounds|batch of"),
    (
        lambda p, b: jnp.mean(jnp.tanh(jnp.broadcast_to(scores(p, b)[:, None], (n(b), n(b), 3)).sum(1))),
        "as long as there are",
    ),
    (lambda p, b: jnp.mean(jnp.roll(b[0] * jnp.tile(p["b"], 2)[:4], n(b), 1) * b[0]), "."),
    (lambda p, b: jnp.sum(jnp.mean(jnp.squeeze(scores(p, b)) ** 2, axis=0)), "for batches of one it is"),
    (scaled(lambda p, b: 1.0 if n(b) == 1 else 2.0), "for batches of one it is"),
    (lambda p, b: jnp.mean((scores(p, b)[:, 0] - BATCH[1]) ** 2), "does not take a batch of"),
    (
        lambda p, b: jnp.mean(
            jax.lax.reduce_window(scores(p, b), 0.0, jax.lax.add, (1, 2), (1, 1), "VALID", (2, 1)) ** 2
        ),
        "reduce_window",
    ),
    (lambda p, b: jnp.mean((scores(p, b) / count(b)) ** 2), "number that depends on the number of examples"),
    (
        lambda p, b: jnp.mean((scores(p, b) / jnp.sqrt(jnp.float32(len(b[0])))) ** 2),
        "number that depends on the number",
    ),
    (lambda p, b: jnp.mean(scores(p, b) ** len(b[0])), "number that depends on the number|another program"),
    (
        lambda p, b: jnp.mean(jax.lax.fori_loop(0, len(b[0]), lambda _, h: jnp.tanh(h), scores(p, b))),
        "as often as",
    ),
    (
        lambda p, b: jnp.mean(jax.lax.sort((scores(p, b), jnp.arange(3.0 * len(b[0])).reshape(-1, 3)), dimension=1)[1]),
        "sort",
    ),
    (lambda p, b: jnp.float32(jnp.int32(jnp.mean(10 * scores(p, b)))) * jnp.sum(p["b"]), "convert_element_type"),
    (stacked_sums, "together with single examples"),
    (
        lambda p, b: jnp.mean((scores(p, b) - jnp.mean(scores(p, b), axis=0)) ** 2),
        "sub .* together with single examples",
    ),
    (batch_norm, "square .* not linear in a sum over the batch"),
    (lambda p, b: -jnp.mean(jnp.diag(jax.nn.log_softmax(scores(p, b) @ scores(p, b).T))), "dot_general .* every other"),
    (lambda p, b: jnp.sqrt(jnp.mean(scores(p, b) ** 2)), "sqrt .* not linear"),
    (lambda p, b: jnp.mean(scores(p, b)) ** 2, "integer_pow|square|mul"),
    (lambda p, b: jnp.max(scores(p, b)), "reduce_max .* all examples together"),
    (lambda p, b: jnp.sum(b[0][:, 0] * scores(p, b)[:, 0]) / jnp.sum(b[0][:, 0]), "div .* not linear"),
    (lambda p, b: jnp.mean((scores(p, b) / len(b[0])) ** 2), "uses a number that depends on the number of examples"),
    (weights_by_position, "differ between their positions"),
    (dropout_for_the_batch, "a random draw"),
    (reordered, "sort"),
    (accumulated, "cumsum"),
    (over_examples, "tanh .* not just added to what a loop carries"),
    (chosen_by_all, "slice|chooses|gather|dynamic_slice"),
    (lambda p, b: jnp.mean(jnp.roll(scores(p, b), 1, 0) * scores(p, b)), "slice"),
    (lambda p, b: jnp.mean(scores(p, b), axis=1), "not a scalar"),
    (lambda p, b: jnp.sum(p["w"]), "depends on no example"),
]


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_a_program_that_changes_with_the_number_of_examples_is_refused_at_every_number(size):
    with pytest.raises(CoupledExamplesError):
        gradient_moments(by_square, PARAMS, jax.tree.map(lambda x: x[:size], BATCH), batched=True)


@pytest.mark.parametrize(("loss", "message"), REFUSED)
def test_losses_that_couple_examples_are_refused_with_the_operation(loss, message):
    with pytest.raises(CoupledExamplesError, match=message):
        gradient_moments(loss, PARAMS, BATCH, batched=True)
