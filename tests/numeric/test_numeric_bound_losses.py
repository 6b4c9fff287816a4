"""A loss of any kind of callable is compiled once, with what is bound to it; constants stay so; modules inside it get a cure."""

from __future__ import annotations

import functools
import inspect
import warnings
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import linvar.numeric
from linvar.errors import InputError
from linvar.numeric.gradients.fixed import Fixed, key_of
from linvar.numeric.gradients.per_example.flattening import Level, flatten, levels_of
from linvar.numeric.gradients.per_example.vanishing import vanishes

# as users have it: without the checks of annotations that the tests switch on
gradient_moments = inspect.unwrap(linvar.numeric.gradient_moments)
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=(5, 2))
W = RANDOM.normal(size=(3, 2))


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def product(w, x):
    return jnp.sum((x @ w) ** 2)


def trace_of(loss, params, batch):
    """From every gradient by itself."""
    gradients = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0)))(params, batch)
    return sum(float(((g - g.mean(0)) ** 2).sum()) / (len(g) - 1) for g in jax.tree.leaves(gradients))


# what a loss is


class Unhashable:
    def __init__(self, scale):
        self.scale, self.unused = scale, 0

    def __eq__(self, other):
        return self is other

    __hash__ = None

    def inner(self, w, x):
        return product(w * self.scale, x)

    def __call__(self, w, x):
        self.traced.append(1)
        return self.inner(w, x)

    @property
    def traced(self):
        return TRACED


@functools.partial(jax.tree_util.register_dataclass, data_fields=["scale"], meta_fields=[])
@dataclass
class Tree:
    scale: object

    def loss(self, w, x):
        return scaled(self.scale, w, x)

    __call__ = loss


@dataclass
class Data:
    scale: object

    def loss(self, w, x):
        return scaled(self.scale, w, x)

    __call__ = loss


TRACED: list[int] = []


def scaled(scale, w, x):
    TRACED.append(1)
    return product(w * scale, x)


def scaled_too(scale, w, x):
    return scaled(scale, w, x)


def by_name(w, x, *, scale):
    return scaled(scale, w, x)


UNHASHABLE, DATA = Unhashable(2.0), Data(2.0)


def with_scale(value, scale):
    value.scale = scale
    return value


#: From a scale to the loss; how many programs are compiled for the scales 2, 2 and 3.
LOSSES = {
    "partial": (lambda s: functools.partial(scaled, jnp.asarray(s)), 1),
    "partial of a partial by name": (lambda s: functools.partial(functools.partial(by_name), scale=np.asarray(s)), 1),
    "partial with a Python number": (lambda s: functools.partial(scaled, s), 2),
    "tree Partial": (lambda s: jax.tree_util.Partial(scaled_too, jnp.asarray(s)), 1),
    "pytree": (lambda s: Tree(jnp.asarray(s)), 1),
    "method of a pytree": (lambda s: Tree(jnp.asarray(s)).loss, 1),
    "unhashable": (lambda s: with_scale(UNHASHABLE, s), 2),
    "dataclass": (lambda s: with_scale(DATA, jnp.asarray(s) if s == 3 else s), 2),
    "method of a dataclass": (lambda s: with_scale(DATA, s).loss, 2),
}  # fmt: skip


@pytest.mark.parametrize("kind", LOSSES)
def test_what_is_bound_to_a_loss_is_that_of_the_call_and_nothing_is_compiled_twice(kind):
    make, programs = LOSSES[kind]
    base = trace_of(product, W, X)
    found, traced = [], []
    for scale in (2.0, 2.0, 3.0):
        TRACED.clear()
        found.append(float(gradient_moments(make(scale), W, X).trace) / base)
        traced.append(len(TRACED))
    # tr Cov of the gradient of ||scale W x||^2 in W goes with scale^4
    assert found == pytest.approx([16, 16, 81], rel=1e-12)
    assert traced[0] > 0 and traced == [traced[0], 0, traced[0] if programs == 2 else 0]


def test_attributes_that_the_code_does_not_name_do_not_compile_again():
    TRACED.clear()
    value = Unhashable(2.0)
    gradient_moments(value, W, X)
    once = len(TRACED)
    value.unused = value.weights = np.ones(3)
    gradient_moments(value, W, X)
    assert len(TRACED) == once > 0


def test_numpy_arrays_bound_to_a_loss_may_be_written_to_and_integers_may_index():
    scale, columns = np.asarray(2.0), np.asarray([0, 1])

    def loss(scale, columns, w, x):
        return product(w[:, list(columns)] * scale, x)

    bound = functools.partial(loss, scale, columns)
    first = float(gradient_moments(bound, W, X).trace)
    scale[...] = 3.0
    assert float(gradient_moments(bound, W, X).trace) / first == pytest.approx(81 / 16, rel=1e-12)
    columns[1] = 0
    only = trace_of(lambda w, x: product(w[:, [0, 0]] * 3, x), W, X)
    assert float(gradient_moments(bound, W, X).trace) == pytest.approx(only, rel=1e-12)


def test_equal_numbers_of_other_types_are_other_programs():
    values = [1, 1.0, True, np.float32(1), 0.0, -0.0, "1", jnp.sin, (), np.arange(2), np.arange(2.0)]
    assert len({Fixed((value,), (key_of(value),)) for value in values}) == len(values)
    assert key_of(np.arange(2)) == key_of(np.arange(2)) and key_of(float("nan")) == key_of(float("nan"))
    assert key_of([]) != key_of([])


def test_a_loss_bound_to_what_is_traced():
    def of(scale):
        return gradient_moments(functools.partial(scaled, scale), W, X).trace

    base = trace_of(product, W, X)
    assert float(jax.jit(of)(3.0)) == pytest.approx(81 * base, rel=1e-12)
    assert np.asarray(jax.vmap(of)(jnp.asarray([2.0, 3.0]))) / base == pytest.approx([16, 81], rel=1e-12)


# constants


@jax.custom_vjp
def weighted(x, table):
    return x * jnp.sum(table)


def _indexed(table, cotangent):
    """The backward pass reads a constant at a traced index, and its numbers in Python."""
    total = jax.lax.fori_loop(0, 3, lambda i, s: s + table[i], 0.0)
    return cotangent * total * (np.asarray(table).sum() / 3), jnp.zeros_like(table)


weighted.defvjp(lambda x, table: (weighted(x, table), table), _indexed)


def test_constants_stay_constants_of_a_backward_pass_of_the_users():
    table = jnp.asarray([0.5, 1.0, 1.5])

    def loss(w, x):
        return jnp.sum(weighted(x @ w, table) ** 2)

    assert float(gradient_moments(loss, W, X).trace) == pytest.approx(trace_of(loss, W, X), rel=1e-12)


def test_a_differential_equation_at_constant_times():
    from jax.experimental.ode import odeint

    def loss(w, example):
        path = odeint(lambda z, t, w: jnp.tanh(z @ w) @ w.T, example[0], jnp.asarray([0.0, 0.5]), w)
        return jnp.sum(path[-1] ** 2) * example[1][0]

    assert float(gradient_moments(loss, W, (X, Y)).trace) == pytest.approx(trace_of(loss, W, (X, Y)), rel=1e-9)


def test_modules_that_change_inside_the_loss_get_the_cure():
    nnx = pytest.importorskip("flax.nnx")
    linen = pytest.importorskip("flax.linen")
    layer, norm = nnx.Linear(3, 2, rngs=nnx.Rngs(0)), nnx.BatchNorm(2, rngs=nnx.Rngs(0))
    network = linen.BatchNorm(use_running_average=False)
    variables = network.init(jax.random.key(0), Y)
    with pytest.raises(InputError, match=r"loss fails .*TraceContextError.*model\.eval\(\).*nnx\.split"):
        gradient_moments(lambda w, e: jnp.sum(norm(e[0][None] @ w)) + jnp.sum(layer(e[0])), W, (X, Y))
    with pytest.raises(
        InputError, match=r"loss fails .*ModifyScope.*mutable=\['batch_stats'\] and return the loss alone"
    ):
        gradient_moments(lambda w, e: jnp.sum(network.apply(variables, e[0][None] @ w)), W, (X, Y))


# batch norm of one example


def normalised(x, axis, epsilon=1e-5):
    mean, second = jnp.mean(x, axis, keepdims=True), jnp.mean(x**2, axis, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(jnp.maximum(second - mean**2, 0) + epsilon)


#: Of a batch of one, (1, 2). A parameter that is standardised over one entry is beside each: it is not the example's.
VANISHING = {
    "mean and second moment": lambda x: normalised(x, 0),
    "half precision": lambda x: x.astype("bfloat16") - jnp.mean(x.astype("bfloat16"), 0),
    "variance": lambda x: jnp.var(x, axis=0),
    "inside jit": lambda x: jax.jit(normalised, static_argnums=1)(x, 0),
    "one feature": lambda x: normalised(x[..., :1], -1),
}
INNOCENT = {
    "layer norm": lambda x: normalised(x, -1),
    "instance norm": lambda x: normalised(x.reshape(1, 2, 1), (0, 1)),
    "straight through": lambda x: x + jax.lax.stop_gradient(jnp.round(x) - x) - x,
    "softmax": lambda x: jax.nn.log_softmax(x[..., :1]) + jax.nn.softmax(x),
    "loss of one": lambda x: jnp.mean(x - jnp.sum(x[:, :1], axis=0), axis=0),
    "means": lambda x: jnp.mean(x, 0) - jnp.mean(jnp.tanh(x), 0),
    "pooling": lambda x: x - jnp.mean(x, axis=(0, 1)),
}


def seen(function):
    inputs = [Level.PARAMETER, Level.EXAMPLE]
    jaxpr = flatten(
        jax.make_jaxpr(lambda w, x: jnp.sum(function(x[None] * w)) * jnp.sum(w - w.mean(0)))(W[:1], W[0]), inputs
    )
    return vanishes(jaxpr, levels_of(jaxpr, inputs))


def test_batch_norm_of_one_example_is_seen_and_other_norms_are_not():
    assert [name for name, function in VANISHING.items() if not seen(function)] == []
    assert [name for name, function in INNOCENT.items() if seen(function)] == []


def test_batch_norm_over_the_pixels_of_one_image_is_a_warning_and_norms_of_one_image_are_not():
    def images(axes, shape=(1, 2, 2, 2)):
        def loss(w, example):
            return jnp.sum(jnp.tanh(normalised(jnp.outer(example[0], w["w"][:2].ravel()).reshape(shape), axes)) ** 2)

        return loss

    with pytest.warns(RuntimeWarning, match=r"ONE example by the mean over its own pixels.*model\.eval"):
        gradient_moments(images((0, 1, 2)), {"w": W}, (X[:, :2], Y))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for axes in ((1, 2), (1, 2, 3), (0, 1, 2, 3), 3):  # of every channel by itself, of layers, of features
            gradient_moments(images(axes), {"w": W}, (X[:, :2], Y))


def test_batch_norm_of_one_example_is_a_warning():
    def loss(w, example):
        return jnp.sum((normalised((example[0] @ w["w"])[None], 0) + w["b"] - example[1]) ** 2)

    with pytest.warns(RuntimeWarning, match=r"batch norm over ONE example.*model\.eval") as warned:
        found = gradient_moments(loss, {"w": W, "b": np.zeros(2)}, (X, Y))
    assert warned[0].filename == __file__  # not a line of JAX, which traces the loss in between
    assert float(found.trace_per_leaf["w"]) == 0 < float(found.trace_per_leaf["b"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradient_moments(lambda w, e: jnp.sum((normalised(e[0] @ w, -1) - e[1]) ** 2), W, (X, Y))
