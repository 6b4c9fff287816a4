"""Every kind of layer against vmap(grad) in float64: the means, traces, norms and squares agree, and nothing falls back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from jax import lax
from per_example import RNG, array, assert_same, reference
from strategies import examples

from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.per_example import paying, transposed


def mlp(p, e):
    """Dense layers with biases."""
    hidden = jnp.tanh(e[0] @ p["w1"] + p["b1"])
    return jnp.sum((p["w2"] @ hidden + p["b2"] - e[1]) ** 2)


MLP = {"b1": array(6), "b2": array(2), "w1": array(4, 6), "w2": array(2, 6)}


def test_dense():
    assert_same(mlp, MLP, (array(11, 4), array(11, 2)), ["direct", "direct", "outer", "outer"])


def test_a_penalty_has_no_variance_and_its_gradient():
    def loss(p, e):
        return mlp(p, e) / 2 + 3e-2 * jnp.sum(p["w1"] ** 2) + 0.1 * jnp.sum(jnp.abs(p["alone"]))

    assert_same(loss, {**MLP, "alone": array(3)}, (array(7, 4), array(7, 2)))


@pytest.mark.parametrize(
    ("shape", "kernel", "options"),
    [
        pytest.param((8, 8, 3), (3, 3, 3, 4), {}, marks=pytest.mark.slow),
        ((9, 7, 4), (3, 2, 2, 6), {"feature_group_count": 2, "window_strides": (2, 1)}),
        ((9, 9, 2), (2, 3, 2, 4), {"rhs_dilation": (2, 1), "padding": ((1, 2), (0, 1))}),
        pytest.param(
            (4, 5, 3), (3, 3, 3, 2), {"lhs_dilation": (2, 2), "padding": ((2, 1), (1, 2))}, marks=pytest.mark.slow
        ),
        ((6, 6, 4), (3, 3, 1, 4), {"feature_group_count": 4, "padding": "SAME"}),
    ],
)
def test_convolution(shape, kernel, options):
    def loss(p, x):
        out = lax.conv_general_dilated(
            x[None],
            p["k"],
            **{"window_strides": (1, 1), "padding": "VALID", "dimension_numbers": ("NHWC", "HWIO", "NHWC"), **options},
        )
        return jnp.sum(jnp.sin(out + p["b"]))

    assert_same(loss, {"b": array(kernel[-1]), "k": array(*kernel)}, array(5, *shape), ["direct", "materialised"])


def test_one_dimensional_convolution_with_other_axes():
    def loss(p, x):
        out = lax.conv_general_dilated(x[None], p, (2,), "SAME", dimension_numbers=("NCH", "OIH", "NCH"))
        return jnp.sum(jax.nn.gelu(out))

    assert_same(loss, array(5, 3, 4), array(6, 3, 10), ["materialised"])


def test_embedding_with_repeated_and_outside_indices():
    def loss(p, tokens):
        return jnp.sum(jnp.tanh(p["table"][tokens] @ p["w"]))

    tokens = RNG.integers(0, 9, (8, 5))
    tokens[:, 1] = tokens[:, 0]
    assert_same(loss, {"table": array(9, 4), "w": array(4, 3)}, tokens, ["lookup", "gram"])
    one = lambda p, token: jnp.sum(jnp.tanh(p["table"][token] @ p["w"]))  # noqa: E731
    assert_same(one, {"table": array(9, 4), "w": array(4, 3)}, tokens[:, 0], ["lookup", "outer"])


def test_tied_embedding():
    def loss(p, tokens):
        hidden = jnp.tanh(p["table"][tokens] @ p["w"])
        return jnp.sum(jax.nn.log_softmax(hidden @ p["table"].T)[:, 0])

    assert_same(loss, {"table": array(7, 4), "w": array(4, 4)}, RNG.integers(0, 7, (6, 3)))


def layer_norm(x, p):
    """Over the last axis."""
    x = x - x.mean(-1, keepdims=True)
    return x * lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6) * p["scale"] + p["bias"]


def attention(p, x):
    """Two heads."""
    q, k, v = (jnp.reshape(x @ p[name], (x.shape[0], 2, -1)) for name in ("q", "k", "v"))
    weights = jax.nn.softmax(jnp.einsum("qhd,khd->hqk", q, k))
    return jnp.reshape(jnp.einsum("hqk,khd->qhd", weights, v), x.shape) @ p["out"]


def test_a_transformer_block():
    params = {name: array(8, 8) for name in ("q", "k", "v", "out")}
    params |= {"norm": {"scale": array(8), "bias": array(8)}}

    def loss(p, x):
        return jnp.sum((x + attention(p, layer_norm(x, p["norm"]))) ** 3)

    assert_same(loss, params, array(6, 3, 8))


def test_gram_and_materialised_by_the_number_of_rows():
    def loss(p, x):
        return jnp.sum(jnp.tanh(x @ p))

    assert_same(loss, array(40, 30), array(5, 2, 40), ["gram"])
    assert_same(loss, array(3, 4), array(5, 20, 3), ["materialised"])


def rnn(p, x):
    """Weights used in every iteration."""

    def step(h, x):
        h = jnp.tanh(h @ p["hidden"] + x @ p["input"] + p["bias"])
        return h, h @ p["out"]

    _, outputs = lax.scan(step, jnp.zeros(4), x)
    return jnp.sum(outputs**2)


def test_recurrent_network():
    params = {"bias": array(4), "hidden": array(4, 4), "input": array(3, 4), "out": array(4, 2)}
    assert_same(rnn, params, array(6, 5, 3))
    assert_same(jax.checkpoint(rnn), params, array(6, 5, 3))


def test_scan_over_stacked_layers():
    def loss(p, x):
        def layer(h, own):
            return jnp.tanh(h @ (2 * own["w"]) + own["b"] + h @ p["shared"]), None

        return jnp.sum(lax.scan(layer, x, p["layers"])[0] ** 2)

    params = {"layers": {"b": array(3, 5), "w": array(3, 5, 5)}, "shared": array(5, 5)}
    assert_same(loss, params, array(7, 5))


def test_weight_sharing_in_every_way():
    def loss(p, x):
        once = jnp.tanh(x @ p["w"])
        again = jnp.tanh(once @ p["w"].T)
        return jnp.sum((again @ jnp.exp(p["w"]) * p["w"][0]) ** 2) + p["w"][1, 2] * jnp.sum(x)

    assert_same(loss, {"w": array(4, 4)}, array(9, 4))


def test_a_square_weight_used_both_ways_round():
    def loss(p, x):
        inner = lambda z: jnp.sum(jnp.tanh(z @ p["w"]) ** 2)  # noqa: E731
        return jnp.sum(jax.grad(inner)(x) ** 2)  # once w, once its transpose, without a transpose in the jaxpr

    assert_same(loss, {"w": array(5, 5)}, array(6, 5), ["factored"])
    both = lambda p, x: jnp.sum(jnp.sin(x @ p["w"])) + jnp.sum(jnp.cos(p["w"] @ x))  # noqa: E731
    assert_same(both, {"w": array(5, 5)}, array(6, 5), ["factored"])


def test_a_square_kernel_used_both_ways_round():
    def loss(p, x):
        for layout in ("HIO", "HOI"):
            out = lax.conv_general_dilated(x[None], p["k"], (1,), "SAME", dimension_numbers=("NHC", layout, "NHC"))
            x = jnp.tanh(out[0])
        return jnp.sum(x)

    assert_same(loss, {"k": array(3, 2, 2)}, array(5, 6, 2), ["materialised"])


def test_the_transpose_is_done_to_factors_once_whether_or_not_it_pays(monkeypatch):
    done = []
    monkeypatch.setattr(paying, "transposed", lambda *args: done.append(0) or transposed.transposed(*args))

    def loss(p, x):
        return jnp.sum(jnp.tanh(x @ (p["w"] * jax.nn.sigmoid(p["mask"]))) ** 2)

    def strategies(width, n):
        shapes = {name: jax.ShapeDtypeStruct((width, width), jnp.float32) for name in ("w", "mask")}
        batch, found = jax.ShapeDtypeStruct((n, width), jnp.float32), []
        jax.eval_shape(lambda p, x: found.append(gradient_moments(loss, p, x, explain=True).explanation), shapes, batch)
        return [leaf.form for leaf in found[0].leaves]

    assert strategies(256, 128) == ["factored", "factored"] and len(done) == 1
    assert strategies(2, 3) == ["materialised", "materialised"] and len(done) == 2


def test_custom_derivatives():
    @jax.custom_vjp
    def strange(w, x):
        return jnp.sum(w * x)

    strange.defvjp(lambda w, x: (jnp.sum(w * x), (w, x)), lambda kept, g: (g * jnp.sin(kept[1]), g * kept[0]))

    def loss(p, x):
        return strange(p["v"], jnp.tanh(x @ p["w"])) ** 2

    assert_same(loss, {"v": array(3), "w": array(4, 3)}, array(6, 4), ["direct", "outer"])


def test_what_is_not_recognised_falls_back_and_says_so():
    def loss(p, x):  # a triangular system: no kind of entry
        solved = lax.linalg.triangular_solve(p["table"], jnp.cos(x[0] * jnp.arange(110.0))[None], lower=True)[0]
        return jnp.sum(jnp.tanh(solved) * p["v"]) + jnp.sum(x @ p["w"])

    with jax.enable_x64(True):
        params = jax.tree.map(
            jnp.asarray, {"table": array(110, 110) / 50 + np.eye(110), "v": array(110), "w": array(2, 3)}
        )
        batch = jnp.asarray(np.abs(array(7, 2) * 30))
        for options in ({}, {"squared_norms": True, "second_moment": True}, {"chunk_size": 2}):
            found = gradient_moments(loss, params, batch, explain=True, **options)
            assert [route.form for route in found.explanation.leaves] == ["fallback", "direct", "outer"]
            assert "96,800 bytes" in str(found.explanation)
            mean, traces, *_ = reference(loss, params, batch)
            np.testing.assert_allclose(jax.tree.leaves(found.trace_per_leaf), traces, rtol=1e-9)
            np.testing.assert_allclose(found.mean["table"], mean[0], rtol=1e-9, atol=1e-12)


def test_a_penalty_is_counted_once_where_a_leaf_falls_back():
    def loss(p, i):  # a triangular system, and weight decay
        solved = lax.linalg.triangular_solve(p, jnp.cos(i * jnp.arange(110.0))[None], lower=True)
        return jnp.sum(jnp.sin(solved)) + jnp.sum(p**2)

    with jax.enable_x64(True):
        params, batch = jnp.asarray(array(110, 110) / 50 + np.eye(110)), jnp.arange(5, dtype=jnp.int32)
        found = gradient_moments(loss, params, batch, explain=True)
        assert found.explanation.leaves[0].form == "fallback"
        mean, traces, *_ = reference(loss, params, batch)
        np.testing.assert_allclose(found.mean, mean[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.trace, traces[0], rtol=1e-9)


def test_parameters_that_become_complex():
    assert_same(lambda p, x: jnp.sum(jnp.abs(jnp.fft.fft(x) @ p) ** 2), array(5, 3), array(6, 5))
    assert_same(lambda p, x: jnp.sum(jnp.abs(jnp.fft.fft(x) * p) ** 2), array(5), array(6, 5))
    assert_same(
        lambda p, i: jnp.sum(jnp.abs(p.astype(complex)[i] * (1 + 2j)) ** 4), array(7, 2), RNG.integers(0, 7, (6, 3))
    )


def test_flax_nnx():
    rngs = nnx.Rngs(0)
    model = nnx.Sequential(
        nnx.Linear(4, 8, rngs=rngs), nnx.LayerNorm(8, rngs=rngs), jnp.tanh, nnx.Linear(8, 1, rngs=rngs)
    )
    graph, params = nnx.split(model)

    def loss(p, e):
        return jnp.sum((nnx.merge(graph, p)(e[0]) - e[1]) ** 2)

    assert_same(loss, jax.tree.map(lambda x: np.asarray(x, "float64"), params), (array(9, 4), array(9, 1)))


def test_flax_linen():
    import flax.linen as nn

    class Small(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = nn.Conv(3, (3,))(x[None])[0]
            return nn.Dense(2)(nn.relu(x).reshape(-1))

    params = Small().init(jax.random.key(0), jnp.ones((6, 2)))
    loss = lambda p, x: jnp.sum(Small().apply(p, x) ** 2)  # noqa: E731
    assert_same(loss, jax.tree.map(lambda x: np.asarray(x, "float64"), params), array(5, 6, 2))


def test_integers_keys_and_stopped_gradients():
    params = {"w": array(4, 3), "steps": np.arange(3), "frozen": array(3), "v": array(3)}

    def loss(p, x):
        return jnp.sum(jnp.tanh(x @ p["w"] + lax.stop_gradient(p["frozen"])) * p["v"] * p["steps"])

    with jax.enable_x64(True):
        batch = jnp.asarray(array(6, 4))
        found = gradient_moments(loss, params, batch, explain=True)
        assert found.mean["steps"].dtype == params["steps"].dtype and not np.any(found.mean["steps"])
        assert not np.any(found.mean["frozen"]) and float(found.trace_per_leaf["frozen"]) == 0
        moving = lambda p, x: loss({**params, **p}, x)  # noqa: E731
        _, traces, *_ = reference(moving, {"w": jnp.asarray(params["w"]), "v": jnp.asarray(params["v"])}, batch)
        np.testing.assert_allclose([found.trace_per_leaf["v"], found.trace_per_leaf["w"]], traces, rtol=1e-9)
        routes = {route.path: route.form for route in found.explanation.leaves}
        assert routes["['steps']"] == "none" and routes["['frozen']"] in ("none", "constant")
        with_key = gradient_moments(lambda p, x: loss(p, x), {**params, "key": jax.random.key(0)}, batch)
        np.testing.assert_allclose(with_key.trace, found.trace, rtol=1e-12)


def test_half_precision_is_summed_in_float32():
    params = {"w": jnp.asarray(array(16, 8), jnp.bfloat16), "b": jnp.zeros(8, jnp.bfloat16)}
    x = jnp.asarray(array(300, 16), jnp.bfloat16)

    def loss(p, x):
        return jnp.sum((x @ p["w"] + p["b"]) ** 2) / 2

    found = gradient_moments(loss, params, x, explain=True)
    assert found.trace.dtype == jnp.float32 and found.mean["w"].dtype == jnp.float32
    h = np.asarray(x, "float64")
    delta = np.asarray(jax.vmap(lambda x: x @ params["w"] + params["b"])(x), "float64")
    exact = (h[:, :, None] * delta[:, None]).var(axis=0, ddof=1).sum()
    assert abs(float(found.trace_per_leaf["w"]) / exact - 1) < 0.01  # delta has 8 bits, 300 examples
    assert found.explanation.leaves[1].form == "outer"


KINDS = ["dense", "scale", "mix", "attention", "scan", "share", "norm"]


def network(kinds, width, rows, seed):
    """Layers of these kinds, with weights; ``share`` uses the first dense layer again."""
    rng = np.random.default_rng(seed)
    shapes = {"dense": {"w": (width, width), "b": (width,)}, "scale": {"v": (width,)}, "mix": {"m": (rows, rows)},
              "attention": {"q": (width, width), "k": (width, width)}, "scan": {"w": (3, width, width)},
              "norm": {"scale": (width,), "bias": (width,)}}  # fmt: skip
    kinds = ["dense" if kind == "share" and "dense" not in kinds[:i] else kind for i, kind in enumerate(kinds)]
    layers = [
        (kind, f"dense{kinds.index('dense')}" if kind == "share" else f"{kind}{i}") for i, kind in enumerate(kinds)
    ]
    params = {
        name: {own: rng.normal(size=shape) for own, shape in shapes[kind].items()}
        for kind, name in layers
        if kind != "share"
    }

    def loss(p, x):
        for kind, name in layers:
            own = p[name]
            if kind == "dense":
                x = jnp.tanh(x @ own["w"] + own["b"])
            elif kind == "share":
                x = jnp.sin(x @ own["w"].T)
            elif kind == "scale":
                x = x * own["v"]
            elif kind == "mix":
                x = x + own["m"] @ x
            elif kind == "attention":
                x = x + jax.nn.softmax((x @ own["q"]) @ (x @ own["k"]).T) @ x
            elif kind == "scan":
                x = lax.scan(lambda h, w: (jnp.tanh(h @ w), None), x, own["w"])[0]
            else:
                x = layer_norm(x, own)
        return jnp.sum(jnp.cos(x) * jnp.arange(1, width + 1))

    return loss, params, rng.normal(size=(int(rng.integers(2, 6)), rows, width))


NETWORKS = st.tuples(
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=5), st.integers(1, 4), st.integers(1, 4), st.integers(0, 99)
)


@given(NETWORKS)
@examples(4)
def test_random_networks(drawn):
    assert_same(*network(*drawn))


@pytest.mark.slow
@given(NETWORKS)
@examples(200)
def test_many_random_networks(drawn):
    assert_same(*network(*drawn))
