"""What people give to the gradient functions: taken, and equal to what JAX's own gradient gives, or refused with the cure."""

from __future__ import annotations

import collections
import functools
import inspect
import re
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas
import pytest

import linvar.numeric
from linvar.errors import InputError, InputTypeError

# as users have them: without the checks of annotations that the tests switch on
gradient_moments, noise_scale, record_noise, recorded_noise = (
    inspect.unwrap(getattr(linvar.numeric, name))
    for name in ("gradient_moments", "noise_scale", "record_noise", "recorded_noise")
)
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(5, 3)), RANDOM.normal(size=(5, 2))
W = RANDOM.normal(size=(3, 2))


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def squared(w, example):
    x, y = example
    return jnp.sum((x @ w - y) ** 2)


def trace_of(loss, params, batch):
    """From every gradient by itself."""
    gradients = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0)))(params, batch)
    return sum(float(((g - g.mean(0)) ** 2).sum()) / (len(g) - 1) for g in jax.tree.leaves(gradients))


# parameters


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["weight", "activation", "name", "steps", "none"], meta_fields=[]
)
@dataclass(frozen=True)
class Layer:
    """As libraries of modules have them: the activation function and a word are leaves."""

    weight: object
    activation: object = jnp.tanh
    name: object = "layer"
    steps: object = field(default_factory=lambda: jnp.arange(3))
    none: object = None

    def __call__(self, x):
        return self.activation(x @ self.weight) * (1 if self.name == "layer" else 2)


def of_layer(layer, example):
    x, y = example
    return jnp.sum((layer(x) - y) ** 2)


def test_functions_and_words_among_the_parameters_are_held_fixed():
    found = gradient_moments(of_layer, Layer(W), (X, Y), explain=True)
    expected = trace_of(lambda w, example: of_layer(Layer(w), example), W, (X, Y))
    assert float(found.trace) == pytest.approx(expected, rel=1e-12) and expected > 1
    assert found.mean.activation is found.mean.name is found.mean.none is None
    assert found.mean.weight.shape == W.shape and not np.any(found.mean.steps)
    assert [leaf.path for leaf in found.explanation.leaves] == [".weight", ".steps"]
    # what is held fixed is that of the call, and tells programs apart
    other = gradient_moments(of_layer, Layer(W, name="other"), (X, Y))
    changed = trace_of(lambda w, example: of_layer(Layer(w, name="other"), example), W, (X, Y))
    assert float(other.trace) == pytest.approx(changed, rel=1e-12) and changed != pytest.approx(expected, rel=0.1)
    whole = noise_scale(of_layer, Layer(W), (X, Y), ddof=0, blocks=2)
    assert whole.trace == pytest.approx(expected * 4 / 5, rel=1e-12)
    assert whole.trace_per_leaf.activation is None and whole.trace_per_leaf.weight == pytest.approx(whole.trace)


def test_an_equinox_module_is_taken_whole_as_its_own_gradient_takes_it():
    eqx = pytest.importorskip("equinox")

    class Model(eqx.Module):
        linear: eqx.nn.Linear
        dropout: eqx.nn.Dropout  # its rate is a leaf, and no parameter
        activation: object
        steps: jax.Array

        def __call__(self, x):
            return self.activation(self.dropout(self.linear(x))) * 2

    linear = eqx.nn.Linear(3, 2, key=jax.random.key(0), dtype=float)
    model = Model(linear, eqx.nn.Dropout(0.5, inference=True), jax.nn.relu, jnp.arange(2))

    def loss(model, example):
        return jnp.sum((model(example[0]) - example[1]) ** 2)

    own, rest = eqx.partition(model, eqx.is_inexact_array)
    expected = trace_of(lambda own, example: loss(eqx.combine(own, rest), example), own, (X, Y))
    optimizer = optax.chain(record_noise(), optax.sgd(0.1))
    state = optimizer.init(own)
    moments = gradient_moments(loss, model, (X, Y))
    assert float(moments.trace) == pytest.approx(expected, rel=1e-12) and expected > 1
    gradient = eqx.filter_grad(lambda model: loss(model, (X[0], Y[0])))(model)
    assert jax.tree.structure(moments.mean) == jax.tree.structure(gradient)
    updates, state = optimizer.update(moments.mean, state, own, moments=moments)
    assert float(recorded_noise(state).variance) == pytest.approx(expected, rel=1e-5)
    assert not np.array_equal(eqx.apply_updates(model, updates).linear.weight, linear.weight)


def test_a_flax_module_is_taken_whole_and_only_its_parameters_are_differentiated():
    nnx = pytest.importorskip("flax.nnx")

    class Model(nnx.Module):
        def __init__(self):
            rngs = nnx.Rngs(0)
            self.linear = nnx.Linear(3, 2, rngs=rngs, param_dtype=float)
            self.norm = nnx.BatchNorm(2, rngs=rngs, param_dtype=float, use_running_average=True)
            self.dropout = nnx.Dropout(0.5, rngs=rngs, deterministic=True)

    model = Model()

    def loss(model, example):
        return jnp.sum((model.dropout(model.norm(model.linear(example[0]))) - example[1]) ** 2)

    graph, own, rest = nnx.split(model, nnx.Param, ...)
    expected = trace_of(lambda own, example: loss(nnx.merge(graph, own, rest), example), own, (X, Y))
    found = gradient_moments(loss, model, (X, Y))
    assert float(found.trace) == pytest.approx(expected, rel=1e-12) and expected > 1
    assert len(jax.tree.leaves(found.mean)) == len(jax.tree.leaves(own)) == 4


NUMBERS = {
    "Python's number": 1.5,
    "NumPy's number": np.float64(1.5),
    "without axes": np.asarray(1.5),
    "weak": jnp.asarray(1.5) * 1,
    "foreign bytes": np.asarray(1.5, ">f8"),
    "with what is empty": {"w": 1.5, "masked": optax.MaskedNode(), "none": None, "more": ()},
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_any_kind_are_parameters(kind):
    def loss(w, x):
        return jnp.sum(jax.tree.leaves(w)[0] * x**2)

    expected = ((X**2).sum(1)).var(ddof=1)
    assert float(gradient_moments(loss, NUMBERS[kind], X).trace) == pytest.approx(expected, rel=1e-12)


# examples


class Tensor:
    """As torch has them: an array of another library."""

    def __init__(self, values, grad=False):
        self.values, self.grad = values, grad

    shape = property(lambda self: self.values.shape)
    dtype = property(lambda self: f"torch.{self.values.dtype}")

    def __getitem__(self, rows):
        return Tensor(self.values[rows])

    def __array__(self, dtype=None, copy=None):
        if self.grad:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")
        return self.values


class File(Tensor):
    """As h5py has them: rows are read when they are asked for."""

    dtype = property(lambda self: self.values.dtype)

    def __getitem__(self, rows):
        return self.values[rows]


class Loader:
    """As a DataLoader: batches again and again, and no iterator."""

    def __init__(self, *batches):
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


class Examples:
    def __len__(self):
        return 5

    def __getitem__(self, i):
        return X[i], Y[i]


def test_batches_of_other_libraries_are_taken():
    expected = trace_of(squared, W, (X, Y))
    for batch in ((Tensor(X), Tensor(Y)), [X, Tensor(Y)], (File(X), Y.astype(">f8"))):
        assert float(gradient_moments(squared, W, batch).trace) == pytest.approx(expected, rel=1e-12)
    named = gradient_moments(lambda w, e: squared(w, (e["x"], e["y"])), W, collections.UserDict(x=X, y=Y))
    assert float(named.trace) == pytest.approx(expected, rel=1e-12)
    assert float(gradient_moments(squared, Tensor(W), (X, Y)).trace) == pytest.approx(expected, rel=1e-12)


def test_data_are_arrays_or_whatever_gives_batches():
    expected = noise_scale(squared, W, (X, Y), blocks=2).trace
    assert expected == pytest.approx(trace_of(squared, W, (X, Y)), rel=1e-12)
    first, last = [Tensor(X[:3]), Tensor(Y[:3])], [Tensor(X[3:]), Tensor(Y[3:])]
    arrays = (Tensor(X), Tensor(Y)), (File(X), Y)
    for data in (*arrays, Loader(first, last), iter([first, last]), (batch for batch in (first, last))):
        assert noise_scale(squared, W, data, blocks=2).trace == pytest.approx(expected, rel=1e-12)


def moments(loss=squared, params=W, batch=(X, Y), **changes):
    return gradient_moments(loss, params, batch, **changes)


def scale(data):
    return noise_scale(squared, W, data)


class Opaque:
    def __init__(self):
        self.weight = W

    def __repr__(self):
        return "Opaque()"


REFUSED = [
    (lambda: moments(params=np.arange(3)), InputTypeError, "params has leaves of type int64 only.*nothing to diff"),
    (lambda: moments(params={}), InputTypeError, "params has no leaves: there is nothing to differentiate"),
    (lambda: moments(params=[jnp.tanh, None]), InputTypeError, "params has leaves of type .* only"),
    (lambda: moments(params={"w": W, "more": Opaque()}), InputTypeError, r"params\['more'\]=Opaque\(\).*register"),
    (lambda: moments(params=jax.ShapeDtypeStruct((3, 2), float)), InputTypeError, "params=.*without numbers"),
    (lambda: moments(params=Tensor(W, grad=True)), InputTypeError, r"params=<Tensor of shape \(3, 2\)>.*detach"),
    (lambda: moments(params={"params": W, "batch_stats": {"mean": Y[0]}}), InputError, r"params is.*variables\['params'\]"),
    (lambda: moments(params=W * 1j), InputTypeError, "params is complex"),
    (lambda: moments(loss=W, params=squared), InputTypeError, "loss=<ndarray.*loss.params, example., before params"),
    (lambda: moments(batch=iter([(X, Y)])), InputTypeError, r"batch=.* gives batches: give ONE batch, next\(iter"),
    (lambda: moments(batch=Loader((X, Y))), InputTypeError, r"batch=.* gives batches: give ONE batch"),
    (lambda: moments(batch=list(zip(X, Y))), InputError, "batch has leaves.*a list of examples is stacked by"),
    (lambda: moments(batch=[{"x": x, "y": 1.0} for x in X]), InputError, "a list of examples is stacked by"),
    (lambda: moments(batch=[[1.0, 2.0], [3.0]]), InputError, "batch is a list: give an array, np.asarray"),
    (lambda: moments(batch={"x": X, "y": [1.0] * 5}), InputError, r"batch\['y'\] is a list: give an array, np.asarray of it"),
    (lambda: scale((X, [[1.0, 2.0]] * 5)), InputError, r"data\[1\] is a list: give an array"),
    (lambda: moments(batch=np.asarray([[1], [2, 3]], object)), InputTypeError, "batch=<ndarray"),
    (lambda: moments(batch=list(X)), InputError, r"\(ValueError: .*a list: a list of examples is stacked"),
    (lambda: moments(batch=pandas.DataFrame(X)), InputTypeError, r"batch=<DataFrame.*give its numbers, .to_numpy\(\)"),
    (lambda: moments(batch=(X, pandas.Series(Y[:, 0]))), InputTypeError, r"batch\[1\]=<Series.*to_numpy"),
    (lambda: moments(batch={"x": X, "text": ["a"] * 5}), InputTypeError, r"batch\['text'\]\[0\]='a'"),
    (lambda: moments(batch=np.ma.masked_less(X, 0)), InputTypeError, "batch=<MaskedArray.*filled"),
    (lambda: moments(batch=3.0), InputError, "batch has leaves with leading axes"),
    (lambda: scale([(X, Y), (X[:3], Y[:3])]), InputError, r"data has leaves.*iter\(data\) of a list of them"),
    (lambda: scale(Examples()), InputTypeError, "data=.* gives single examples: give a loader"),
    (lambda: scale(lambda: iter([(X, Y)])), InputTypeError, "data=.* is a function: call it"),
    (lambda: scale(pandas.DataFrame(X)), InputTypeError, "data=<DataFrame.*to_numpy"),
    (lambda: scale(range(3)), InputError, "data has leaves.*give batches"),
    (lambda: moments(loss=lambda w, e: squared(W, e)), InputError, "loss does not depend on any floating-point leaf"),
    (lambda: moments(loss=lambda w, e: squared(jax.lax.stop_gradient(w), e)), InputError, "loss does not depend on any"),
    (lambda: moments(loss=lambda e, w: squared(w, e)), InputError, r"loss fails.*the order is loss\(params, example\)"),
    (lambda: moments(loss=lambda w, x, y: squared(w, (x, y))), InputTypeError, "loss fails.*ONE pytree"),
    (lambda: moments(loss=lambda w, e, *, key: squared(w, e)), InputTypeError, r"give key=jax.random.key\(seed\)"),
    (lambda: moments(key=jax.random.key(0)), InputTypeError, r"with key= the loss is loss\(params, example, key\)"),
    (lambda: moments(loss=lambda w, e: jnp.mean(jnp.sum(e[0] @ w, axis=1))), InputError, "if it is the loss of a batch"),
    (lambda: moments(loss=lambda w, e: w[0] @ e[0][1:], batched=True), InputTypeError, "of ONE example leave batched"),
    (lambda: moments(loss=lambda w, e: (squared(w, e), {})), InputTypeError, r"has_aux.*loss\(params, example\)\[0\]"),
    (lambda: moments(loss=lambda w, e: (squared(w, e), e), batched=True), InputTypeError, "loss gives 3 arrays for a batch"),
    (lambda: moments(loss=lambda w, e: [squared(w, e)]), InputTypeError, "loss gives 1 arrays.*in a list"),
    (lambda: moments(loss=lambda w, e: None), InputTypeError, "loss returns None for one example: end it with return"),
    (lambda: moments(loss=lambda w, e: "no"), InputTypeError, "loss returns 'no'"),
    (lambda: moments(loss=lambda w, e: squared(w, e) if w[0, 0] > 0 else 0.0), InputTypeError, "traced, as by jax.jit"),
    (lambda: moments(loss=lambda w, e: float(squared(w, e))), InputTypeError, "traced, as by jax.jit"),
    (lambda: moments(loss=lambda w, e: jnp.sum((e[0] @ w)[e[1] > 0])), InputError, "traced, as by jax.jit: a mask"),
    (lambda: moments(loss=lambda w, e: jax.lax.pmean(squared(w, e), "batch")), InputError, "loss fails.*batch norm over"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_is_not_taken_is_refused_with_the_cure(call, error, message):
    with pytest.raises(error) as caught:
        call()
    text = str(caught.value)
    assert re.search(message, text) and "\n" not in text and len(text) < 500


def test_an_error_of_the_users_own_is_raised_as_it_is_with_a_note():
    class OwnError(Exception):
        pass

    def fails(w, example):
        raise OwnError("mine")

    with pytest.raises(OwnError) as caught:
        moments(loss=fails)
    assert any(
        re.search(r"example, of shapes \(3,\), \(2,\), and params .*\(3, 2\)", note) for note in caught.value.__notes__
    )


def test_a_module_that_the_loss_changes_is_refused():
    nnx = pytest.importorskip("flax.nnx")

    class Net(nnx.Module):
        def __init__(self, rngs):
            self.dropout, self.dense = nnx.Dropout(0.5, rngs=rngs), nnx.Linear(3, 1, rngs=rngs)

        def __call__(self, x):
            return self.dense(self.dropout(x))

    net = Net(nnx.Rngs(0))
    with pytest.raises(InputError, match=r"changes the state of the module.*model\.eval\(\)"):
        gradient_moments(lambda net, x: jnp.sum(net(x) ** 2), net, X)
    net.eval()
    assert gradient_moments(lambda net, x: jnp.sum(net(x) ** 2), net, X).trace > 0


def test_noise_scale_is_not_traced():
    with pytest.raises(InputError, match="params is traced.*under jit use gradient_moments"):
        jax.jit(lambda w: noise_scale(squared, w, (X, Y)).trace)(W)
    with pytest.raises(InputError, match="data is traced"):
        jax.jit(lambda x: noise_scale(squared, W, (x, Y)).trace)(X)
