"""Parameters that enter through a function of them: products of factors instead of matrices, parts of a leaf, constants."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from per_example import RNG, array, assert_same

from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.per_example.composite import Seen, added, norms_of
from linvar.numeric.gradients.per_example.factors import EXAMPLES, Factor, NotFactoredError, Term, fresh_axes, product

WIDE, TALL = 48, 36


def through(function):
    """Two layers, the first of which has a function of the parameters as its weight."""
    return lambda p, x: jnp.sum(jnp.sin(jnp.tanh(x @ function(p)) @ p["last"]))


def spectral(w):
    u = jnp.ones(WIDE)
    for _ in range(2):
        v = w.T @ u
        v = v / jnp.linalg.norm(v)
        u = w @ v
        u = u / jnp.linalg.norm(u)
    u, v = jax.lax.stop_gradient((u, v))
    return w / (u @ w @ v)


MASK = jnp.asarray(np.arange(WIDE * TALL).reshape(WIDE, TALL) % 3 > 0)
#: parameters besides the last layer's, their function, and how the first of them is computed
FUNCTIONS = {
    "merged_adapter": ({"a": (WIDE, 2), "b": (2, TALL)}, lambda p: jnp.ones((WIDE, TALL)) + p["a"] @ p["b"]),
    "weight_norm": ({"g": (TALL,), "v": (WIDE, TALL)}, lambda p: p["g"] * p["v"] / jnp.linalg.norm(p["v"], axis=0)),
    "spectral_norm": ({"v": (WIDE, TALL)}, lambda p: spectral(p["v"])),
    "standardised": ({"v": (WIDE, TALL)}, lambda p: (p["v"] - p["v"].mean(0)) / jnp.sqrt(p["v"].var(0) + 1e-3)),
    "pruned": ({"v": (WIDE, TALL)}, lambda p: jnp.where(MASK, p["v"], 0)),
    "learned_mask": ({"m": (WIDE, TALL), "v": (WIDE, TALL)}, lambda p: p["v"] * jax.nn.sigmoid(p["m"])),
    "positive": ({"v": (WIDE, TALL)}, lambda p: jnp.exp(p["v"])),
    "heads": ({"v": (3, 16, TALL), "s": (3,)}, lambda p: (p["s"][:, None, None] * p["v"]).reshape(WIDE, TALL)),
    "padded": ({"v": (WIDE, 33), "s": (WIDE,)}, lambda p: jnp.pad(p["s"][:, None] * p["v"], ((0, 0), (1, 2)))),
    "gated": ({"g": (), "v": (WIDE, TALL)}, lambda p: jnp.tanh(p["g"]) * p["v"].astype(jnp.float64)),
    "joined": ({"a": (WIDE, 16), "b": (WIDE, 20)}, lambda p: jnp.concatenate([p["a"], -2 * p["b"]], 1)),
    "repeated": ({"r": (TALL,), "v": (WIDE, TALL)}, lambda p: p["v"] - jnp.tile(p["r"], (WIDE, 1))),
}


def test_functions_of_parameters_in_factors():
    params = {name: {k: array(*shape) for k, shape in shapes.items()} for name, (shapes, _) in FUNCTIONS.items()}

    def loss(p, x):
        weights = [function(p[name]) for name, (_, function) in FUNCTIONS.items()]
        return sum(jnp.sum(jnp.sin(x @ w / k)) for k, w in enumerate(weights, 1))

    assert_same(loss, params, array(6, WIDE), ["factored"] * len(jax.tree.leaves(params)))


#: What V is of one leaf, and its strategy where one row meets it.
VIEWS = {
    "scaled": (lambda w: 0.1 * w, ["outer"]),
    "divided": (lambda w: w / jnp.sqrt(jnp.asarray(3.0)) * 2, ["outer"]),
    "turned": (lambda w: -w.T.reshape(TALL, 3, 16).transpose(1, 2, 0).reshape(WIDE, TALL)[::-1], ["outer"]),
    "fused": (lambda w: w[:, :3] @ jnp.ones((3, TALL)), ["factored"]),
}


def test_one_leaf_in_another_order_or_times_a_constant():
    for name, (view, strategies) in VIEWS.items():
        loss = lambda w, x, view=view: jnp.sum(jnp.sin(x @ view(w)))  # noqa: E731
        assert_same(loss, array(WIDE, TALL), array(5, WIDE), strategies), name


def test_parts_of_a_leaf_add_up():
    def fused(p, x):
        query, key = jnp.split(p["qk"], 2, axis=1)
        return jnp.sum(jnp.tanh(x @ query) * (2 * x @ key)) + jnp.sum(jnp.cos(p["stack"][0] @ x) * (p["stack"][1] @ x))

    params = {"qk": array(5, 8), "stack": array(2, 6, 5)}
    assert_same(fused, params, array(6, 5), ["outer", "outer"])

    def flat(p, tokens):  # a table, a bias and a matrix in one vector
        rows = p[:40].reshape(10, 4)[tokens]
        return jnp.sum(jnp.tanh(rows @ p[44:60].reshape(4, 4) + p[40:44]))

    assert_same(flat, array(60), RNG.integers(0, 10, (6, 3)), ["direct"])


def test_a_reshape_that_turns_axes_is_no_reshape():
    assert_same(first(lambda p: lax.reshape(p, (4, 3), (1, 0))), array(3, 4), array(5, 4))

    def of_batch(p, x):
        z = x @ p
        turned = lax.reshape(lax.reshape(z, (z.size,), (1, 0)), z.shape)
        return jnp.mean(turned * z)

    with pytest.raises(ValueError, match="reshape in another order"):
        gradient_moments(of_batch, array(4, 3), array(5, 4), batched=True)


def test_parts_of_a_leaf_that_overlap_do_not():
    def loss(p, x):
        return jnp.sum(jnp.sin(x @ p[:, :4]) * jnp.cos(x @ p[:, 2:6]))

    assert_same(loss, array(5, 6), array(6, 5), ["factored"])


def test_a_penalty_and_parts_that_fall_back():
    def loss(p, x):
        solved = jax.scipy.linalg.solve_triangular(jnp.eye(100) + p[:, :100], x)
        return jnp.sum(solved**2) + jnp.sum(jnp.sin(x @ p[:, 100:])) + 0.1 * jnp.sum(p**2)

    with jax.enable_x64(True):
        p, x = array(100, 103) / 100, array(5, 100)
        found = gradient_moments(loss, p, x, explain=True)
        each = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))(p, x)
        np.testing.assert_allclose(found.mean, each.mean(0), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.trace, np.sum(np.var(each, 0, ddof=1)), rtol=1e-9)
        assert [route.form for route in found.explanation.leaves] == ["fallback"]


def test_what_is_only_read_without_a_derivative_is_no_entry():
    def loss(q, example):  # a temporal difference: the target is held fixed
        state, action, following = example
        target = lax.stop_gradient(jnp.max(q["table"][following]) + jnp.sum(jnp.tanh(q["w"] @ q["w"])[0]))
        return (q["table"][state, action] - target) ** 2 + jnp.sum(q["w"][0, 0] * example[0])

    batch = (RNG.integers(0, 6, 8), RNG.integers(0, 3, 8), RNG.integers(0, 6, 8))
    assert_same(loss, {"table": array(6, 3), "w": array(2, 2)}, batch, ["lookup", "direct"])


def first(function):
    """One layer whose weight is a function of the parameter."""
    return lambda p, x: jnp.sum(jnp.tanh(x @ function(p)))


def test_terms_that_cancel_are_flagged():
    weight = jnp.asarray(array(64, 64) / 8, jnp.float32)
    centred = first(lambda p: p - p.mean(0))
    for offset, lost in ((0, False), (5000, True)):
        x = jnp.asarray(offset + array(16, 64), jnp.float32)
        found = jax.jit(lambda w, x: gradient_moments(centred, w, x, explain=True))(weight, x)
        assert [route.form for route in found.explanation.leaves] == ["factored"]
        assert bool(found.cancelled) == lost


def orthogonalised(p):
    for _ in range(4):
        p = 1.5 * p - 0.5 * p @ p.T @ p
    return p


@pytest.mark.parametrize("function", [orthogonalised, lambda p: p + jnp.sin(p + jnp.sin(p + jnp.sin(p + jnp.sin(p))))])
def test_sums_of_many_terms_are_not_done_to_factors(function):
    assert_same(first(function), array(4, 4) / 4, array(5, 4), ["materialised"])


def test_an_infinite_derivative_that_is_masked_afterwards():
    root = first(lambda p: p / (1 + jnp.sqrt(jax.nn.relu(p.sum(1, keepdims=True)))))
    weight = np.where(np.arange(40)[:, None] % 3, 1, -1) * np.abs(array(40, 40))  # half of the sums are negative
    assert_same(root, weight, array(5, 40), ["factored"])


def test_single_precision_stays_beside_double():
    with jax.enable_x64(True):
        weight, x = jnp.asarray(array(4, 3), jnp.float32), jnp.asarray(array(5, 2), jnp.float32)
        for function in (lambda p: p[:2], lambda p: -3 * p[2:], lambda p: p[:2] / jnp.linalg.norm(p[:2])):
            found = gradient_moments(first(function), weight, x, second_moment=True, squared_norms=True)
            assert {a.dtype for a in (found.mean, found.trace, found.second_moment, found.squared_norms)} == {x.dtype}


def test_views_in_half_precision_and_of_two_types():
    half, x = jnp.asarray(array(4, 3), jnp.float16), jnp.asarray(array(6, 2) / 300, jnp.float32)

    for scale, by in ((1e3, 1.0), (1e-4, 1.0), (1e3, 1e-4), (1.0, 300.0)):
        factor = np.float16(by)

        def loss(p, x, scale=scale, factor=factor):
            return scale * jnp.sum(jnp.tanh(x @ (p[:2] * factor.astype(p.dtype)).astype(x.dtype)))

        found = gradient_moments(loss, half, x, second_moment=True)
        with jax.enable_x64(True):
            each = jax.jit(jax.vmap(jax.grad(loss), (None, 0)))
            wide = each(np.asarray(half, "float64"), np.asarray(x, "float64"))
        np.testing.assert_allclose(found.trace, np.var(wide, 0, ddof=1).sum(), rtol=1e-2)
        np.testing.assert_allclose(found.second_moment, np.mean(np.square(wide), 0), rtol=2e-2)
    with jax.enable_x64(True):
        x = jnp.asarray(5 + 1e-4 * array(16, 64), jnp.float32)
        assert_same(lambda p, e: jnp.sum(jnp.tanh(jnp.einsum("c,cf->f", e, p))), array(64, 8) / 20, x, rtol=1e-6)


# the algebra of factors


def term_of(*lengths, examples=3):
    """A term of two factors with one row axis, and the array it is: (examples, *lengths)."""
    axes, rows = fresh_axes(len(lengths)), fresh_axes(1)
    half = len(lengths) // 2
    left, right = array(examples, 2, *lengths[:half]), array(examples, 2, *lengths[half:])
    factors = (
        Factor(jnp.asarray(left), (EXAMPLES, *rows, *axes[:half])),
        Factor(jnp.asarray(right), (EXAMPLES, *rows, *axes[half:])),
    )
    letters = "abcdef"[: len(lengths)]
    whole = np.einsum(f"nr{letters[:half]},nr{letters[half:]}->n{letters}", left, right)
    return Term(factors, axes, tuple(lengths)), whole


def value(seen):
    """(examples, *shape)."""
    term = seen.term
    ones = Factor(jnp.ones(term.shape), term.axes)
    whole = product((*term.factors, ones), (EXAMPLES, *term.axes))
    whole = whole.reshape(-1, *(n - run.low - run.high for n, run in zip(seen.shape, seen.runs)))
    return np.pad(whole, [(0, 0), *((run.low, run.high) for run in seen.runs)])


def test_operations_on_terms_are_those_on_arrays():
    with jax.enable_x64(True):
        term, whole = term_of(2, 3, 4)
        seen = Seen.of(term)
        scale, matrix = array(3, 1), array(3, 4)
        flat, vector = seen.reshaped((24,)), jnp.asarray(array(24))
        merged = seen.reshaped((2, 1, 12))
        padded = ((1, 0, 0), (0, 0, 0), (0, 2, 0))
        line, rows = whole.reshape(3, 24), whole.reshape(3, 2, 1, 12)
        cases = {
            "times": (seen.times(jnp.asarray(scale), (1, 2)), whole * scale),
            "times matrix": (seen.times(jnp.asarray(matrix), (1, 2)), whole * matrix),
            "summed": (seen.summed([0, 2]), whole.sum((1, 3))),
            "moved": (seen.moved([2, 0, 1]), whole.transpose(0, 3, 1, 2)),
            "repeated": (seen.repeated((5, 2, 3, 4), (1, 2, 3)), np.broadcast_to(whole[:, None], (3, 5, 2, 3, 4))),
            "summed again": (seen.repeated((5, 2, 3, 4), (1, 2, 3)).summed([0, 1]), 5 * whole.sum(1)),
            "merged": (merged, rows),
            "merged and moved": (merged.moved([2, 1, 0]), rows.transpose(0, 3, 2, 1)),
            "merged and repeated": (merged.repeated((2, 5, 12), (0, 1, 2)), np.broadcast_to(rows, (3, 2, 5, 12))),
            "merged and cut": (flat.padded(((0, 5, 0),)).cut((slice(0, 24),)), line),
            "merged again": (merged.reshaped((6, 2, 2)), whole.reshape(3, 6, 2, 2)),
            "flat": (flat.times(vector, (0,)), line * vector),
            "flat and summed": (flat.times(vector, (0,)).summed([0]), (line * vector).sum(1)),
            "between zeros": (flat.padded(((3, 2, 0),)), np.pad(line, ((0, 0), (3, 2)))),
            "zeros summed": (flat.padded(((3, 2, 0),)).times(jnp.arange(29.0), (0,)).summed([0]),
                             (line * np.arange(3.0, 27)).sum(1)),
            "zeros split": (seen.padded(((0, 0, 0), (0, 0, 0), (1, 1, 0))).reshaped((2, 3, 2, 3)),
                            np.pad(whole, ((0, 0), (0, 0), (0, 0), (1, 1))).reshape(3, 2, 3, 2, 3)),
            "split": (seen.reshaped((2, 3, 2, 2, 1)), whole.reshape(3, 2, 3, 2, 2, 1)),
            "cut": (seen.cut((slice(None), slice(0, 3, 2), slice(1, 3))), whole[:, :, 0:3:2, 1:3]),
            "padded": (seen.padded(padded), np.pad(whole, ((0, 0), (1, 0), (0, 0), (0, 2)))),
            "padded and cut": (seen.padded(padded).cut((slice(1, 3), slice(None), slice(1, 5))),
                               np.pad(whole, ((0, 0), (0, 0), (0, 0), (0, 1)))[..., 1:]),
            "cut and padded": (
                seen.padded(((0, -1, 0), (-1, 2, 0), (0, 0, 0))),
                np.pad(whole[:, :1, 1:], ((0, 0), (0, 0), (0, 2), (0, 0))),
            ),
        }  # fmt: skip
        for name, (found, expected) in cases.items():
            assert found.shape == expected.shape[1:], name
            np.testing.assert_allclose(value(found), expected, rtol=1e-12, atol=1e-12, err_msg=name)


def test_norms_of_terms_with_other_axes_and_zeros():
    with jax.enable_x64(True):
        (one, first), (two, second) = term_of(2, 3), term_of(6)
        flat, other = Seen.of(one).reshaped((6,)), Seen.of(two)
        for low, high, start in ((0, 0, 0), (7, 0, 0), (2, 2, 2)):
            ends = (low, high), (start, low + high - start)
            arrays = [np.pad(x.reshape(3, 6), ((0, 0), own)) for x, own in zip((first, second), ends)]
            found = norms_of([seen.padded(((*own, 0),)) for seen, own in zip((flat, other), ends)])
            np.testing.assert_allclose(found.norms, np.sum(sum(arrays) ** 2, axis=1), rtol=1e-12)
        with pytest.raises(NotFactoredError, match="several factors"):  # a part of what two factors make
            norms_of((flat.padded(((1, 0, 0),)), other.padded(((0, 1, 0),))))
        with pytest.raises(NotFactoredError, match="different ways"):
            norms_of((flat, Seen.of(term_of(3, 2)[0]).reshaped((6,))))


def test_what_one_factor_has_all_axes_of_is_added_number_by_number():
    with jax.enable_x64(True):
        (one, first), (two, second), (three, third) = term_of(6), term_of(6), term_of(2, 3)
        matrix, both = added([Seen.of(one), Seen.of(three), Seen.of(two)])
        np.testing.assert_allclose(value(both), first + second, rtol=1e-12)
        np.testing.assert_allclose(value(matrix), third, rtol=1e-12)


def test_axes_of_two_factors_are_not_formed():
    seen = Seen.of(term_of(2, 3)[0])
    with pytest.raises(NotFactoredError, match="several factors"):
        seen.reshaped((6,)).cut((slice(1, 4),))
    with pytest.raises(NotFactoredError, match="several factors"):
        seen.reshaped((6,)).padded(((3, 3, 0),)).reshaped((2, 6))
    with pytest.raises(NotFactoredError, match="between"):
        seen.padded(((0, 0, 1), (0, 0, 0)))


def hypernetwork(p, x):
    """Layers cut out of one vector that another network makes."""
    made = jnp.tanh(p["code"] @ p["in"]) @ p["out"] + p["b"]
    first, bias, last = jnp.split(made, [WIDE * TALL, WIDE * TALL + TALL])
    return jnp.sum(jnp.sin(jnp.tanh(x @ first.reshape(WIDE, TALL) + bias) @ last.reshape(TALL, 5)))


def test_layers_cut_out_of_a_vector_that_is_a_function():
    length = WIDE * TALL + TALL + 5 * TALL
    params = {"b": array(length) / 9, "code": array(3), "in": array(3, 4), "out": array(4, length) / 9}
    assert_same(hypernetwork, params, array(6, WIDE), ["factored"] * 4)
