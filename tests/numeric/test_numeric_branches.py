"""Products inside branches, and behind a backward pass of the user's: the moments are those of vmap(grad)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from per_example import array, reference

from linvar.numeric.gradients.moments import gradient_moments

RNG = np.random.default_rng(17)
PARAMS = {"v": RNG.normal(size=(4, 4)), "w": RNG.normal(size=(4, 4))}
ROWS, SEQUENCES = RNG.normal(size=(7, 4)), RNG.normal(size=(7, 3, 4))
ASKED = {"squared_norms": True, "second_moment": True, "centred": True}


def agree(loss, params, batch, strategies):
    """Mean, traces and norms are those of vmap(grad) in float64, by these strategies; the reasons of all leaves."""
    with jax.enable_x64(True):
        params, batch = jax.tree.map(jnp.asarray, (params, batch))
        gradients = jax.tree.leaves(jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0)))(params, batch))
        for asked in ({}, ASKED):
            found = gradient_moments(loss, params, batch, explain=True, **asked)
            for own, mean, trace in zip(gradients, jax.tree.leaves(found.mean), jax.tree.leaves(found.trace_per_leaf)):
                np.testing.assert_allclose(mean, np.mean(own, 0), rtol=1e-10, atol=1e-12)
                np.testing.assert_allclose(trace, np.var(own, 0, ddof=1).sum(), rtol=1e-9, atol=1e-14)
            if asked:
                norms = sum(np.sum(np.square(own).reshape(len(own), -1), 1) for own in gradients)
                np.testing.assert_allclose(found.squared_norms, norms, rtol=1e-10, atol=1e-14)
            else:
                assert [route.form for route in found.explanation.leaves] == strategies
    return " ".join(route.reason for route in found.explanation.leaves)


def chosen_by_the_example(p, x):
    """Not finite in the branch that is not taken."""
    return lax.cond(
        x[0] > 0, lambda: jnp.sum(jnp.tanh(x @ p["w"])) * jnp.sqrt(x[0]), lambda: jnp.sum(p["v"] @ x) * jnp.log(-x[0])
    )


def chosen_by_a_parameter(p, x):
    """A branch is run, or not."""
    return jnp.sum(lax.cond(p["v"][0, 0] > 9, lambda: jnp.sin(x @ p["w"]), lambda: jnp.tanh(x @ p["w"]) ** 2))


def chosen_by_a_counter(p, x):
    """Inside a loop."""

    def step(i, h):
        return lax.cond(i % 2 == 0, lambda: jnp.tanh(h @ p["w"]), lambda: jnp.sin(h @ p["v"]))

    return jnp.sum(lax.fori_loop(0, 3, step, x))


def chosen_in_a_loop_by_the_example(p, x):
    """A loop in a branch in a loop."""

    def inner(h):
        return lax.scan(lambda z, _: (jnp.tanh(z @ p["w"]), None), h, None, length=2)[0]

    def step(h, _):
        return lax.switch(jnp.int32(3 * h[0]), [lambda: h, lambda: inner(h), lambda: p["v"] @ h]), None

    return jnp.sum(lax.scan(step, x, None, length=3)[0])


@pytest.mark.parametrize(
    ("loss", "strategies"),
    [
        (chosen_by_the_example, ["outer", "outer"]),
        (chosen_by_a_parameter, ["none", "gram"]),
        pytest.param(chosen_by_a_counter, ["gram", "gram"], marks=pytest.mark.slow),
        (chosen_in_a_loop_by_the_example, ["gram", "gram"]),
    ],
)
def test_products_inside_branches(loss, strategies):
    agree(loss, PARAMS, ROWS, strategies)


def test_a_branch_that_is_not_taken_is_not_run():
    def loss(p, x):
        return jnp.sum(lax.cond(p["v"][0, 0] > 9, lambda: jnp.exp(x @ p["w"]), lambda: x @ p["w"]))

    compiled = jax.jit(lambda p, x: gradient_moments(loss, p, x).trace).lower(PARAMS, ROWS).as_text()
    assert "stablehlo.case" in compiled


def outer(x, g):
    """Sum over rows of outer products."""
    return jnp.tensordot(x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1]), (0, 0))


def product(backward):
    """x w with this backward pass."""
    function = jax.custom_vjp(lambda x, w: x @ w)
    function.defvjp(lambda x, w: (x @ w, (x, w)), backward)
    return function


def shortened(residuals, g):
    """No longer than one."""
    x, w = residuals
    whole = outer(x, g)
    return g @ w.T, whole / jnp.maximum(1, jnp.linalg.norm(whole))


def of_two_terms(residuals, g):
    """The transposed product of something else is added."""
    x, w = residuals
    return g @ w.T, outer(x, g) - outer(jnp.sin(g), x).T


BACKWARD = {
    "outer": lambda r, g: (g @ r[1].T, jnp.sum(r[0][..., None] * g[..., None, :], 0)),
    "scaled": lambda r, g: (3 * g @ r[1].T, -0.5 * outer(r[0], g) / 7),
    "clipped": lambda r, g: (g @ r[1].T, outer(r[0], jnp.clip(g, -0.1, 0.1))),
    "shortened": shortened,
    "rearranged": lambda r, g: (g @ r[1].T, outer(g, r[0]).T.reshape(2, 8).reshape(4, 4)),
    "of_two_terms": of_two_terms,
}


@pytest.mark.parametrize("name", BACKWARD)
def test_products_in_a_backward_pass_of_the_users(name):
    function = product(BACKWARD[name])

    def loss(p, x):
        return jnp.sum(jnp.tanh(function(jnp.sin(x @ p["v"]), p["w"])))

    agree(loss, PARAMS, SEQUENCES, ["gram", "gram"])


def test_a_backward_pass_without_a_gradient_is_believed():
    function = product(lambda r, g: (g @ r[1].T, jnp.zeros_like(r[1])))
    agree(lambda p, x: jnp.sum(function(x @ p["v"], p["w"])), PARAMS, ROWS, ["outer", "none"])


def test_a_backward_pass_that_is_not_a_product_falls_back_and_says_so():
    function = product(lambda r, g: (g @ r[1].T, jnp.clip(outer(r[0], g), -0.1, 0.1)))
    said = agree(lambda p, x: jnp.sum(function(x @ p["v"], p["w"]) ** 2), PARAMS, ROWS, ["outer", "direct"])
    assert "falls back on autodiff: the backward pass of custom_vjp_call gives no product" in said


def test_loops_branches_integers_and_several_outputs_around_a_backward_pass_of_the_users():
    @jax.custom_vjp
    def taken(x, w, places):
        return (x @ w)[places], x @ w

    def backward(residuals, cotangents):
        x, w, places = residuals
        g = cotangents[1].at[places].add(2 * cotangents[0])
        return g @ w.T, jnp.outer(x, g), np.zeros(places.shape, jax.dtypes.float0)

    taken.defvjp(lambda x, w, places: (taken(x, w, places), (x, w, places)), backward)

    def loss(p, x):
        def step(h, _):
            some, whole = taken(h, p["w"], jnp.array([1, 1, 3]))
            return lax.cond(
                some[0] > 0, lambda: jnp.tanh(whole), lambda: jnp.sin(taken(h, p["v"].T, jnp.arange(4))[0])
            ), None

        return jnp.sum(lax.scan(step, x, None, length=3)[0])

    agree(loss, PARAMS, ROWS, ["gram", "gram"])


def test_a_backward_pass_that_closes_over_a_value_of_the_loss():
    def loss(p, x):
        scale = jnp.arange(4.0) + x[0]
        f = jax.custom_vjp(lambda x, w: x @ w)
        f.defvjp(lambda x, w: (x @ w, (x, w)), lambda r, g: (g @ r[1].T, jnp.outer(r[0] * scale, g)))
        return jnp.sum(jnp.tanh(f(x, p["w"]) + p["b"])) + jnp.sum(p["w"] ** 2)

    with jax.enable_x64(True):
        params, batch = {"b": array(3), "w": array(4, 3)}, array(6, 4)
        mean, traces, _, _ = reference(loss, params, batch)
        for moments in (gradient_moments, jax.jit(gradient_moments, static_argnums=0, static_argnames="explain")):
            found = moments(loss, params, batch, explain=True)
            for mine, theirs in zip(jax.tree.leaves(found.mean), mean):
                np.testing.assert_allclose(mine, theirs, rtol=1e-9)
            np.testing.assert_allclose(jax.tree.leaves(found.trace_per_leaf), traces, rtol=1e-9)
            assert {route.form for route in found.explanation.leaves} == {"fallback"}
