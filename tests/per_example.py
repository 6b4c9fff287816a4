"""Moments of gradients against vmap(grad), which is their definition."""

import jax
import jax.numpy as jnp
import numpy as np

from linvar.numeric.gradients.moments import gradient_moments

RNG = np.random.default_rng(11)


def array(*shape):
    """Standard normal."""
    return RNG.normal(size=shape)


def reference(loss, params, batch, ddof=1):
    """Moments by vmap(grad) and NumPy."""
    gradients = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0)))(params, batch)
    leaves = [np.asarray(g, "float64") for g in jax.tree.leaves(gradients)]
    mean = [g.mean(axis=0) for g in leaves]
    traces = [np.sum((g - m) ** 2) / (len(g) - ddof) for g, m in zip(leaves, mean)]
    return (
        mean,
        traces,
        sum(np.sum(g**2, axis=tuple(range(1, g.ndim))) for g in leaves),
        [np.mean(g**2, 0) for g in leaves],
    )


def assert_same(loss, params, batch, strategies=None, rtol=1e-9, **options):
    """Every moment, with the default and with everything asked for; the strategies of the leaves."""
    with jax.enable_x64(True):
        params, batch = jax.tree.map(jnp.asarray, (params, batch))
        mean, traces, norms, squares = reference(loss, params, batch)
        for asked in (
            {},
            {"squared_norms": True, "second_moment": True, "centred": True},
            {"squared_norms": True, "chunk_size": 3},
        ):
            found = gradient_moments(loss, params, batch, explain=True, **asked, **options)
            scale = max(traces)
            for mine, theirs in zip(jax.tree.leaves(found.mean), mean):
                np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-10)
            np.testing.assert_allclose(jax.tree.leaves(found.trace_per_leaf), traces, rtol=rtol, atol=1e-12 * scale)
            np.testing.assert_allclose(found.trace, sum(traces), rtol=rtol)
            if found.squared_norms is not None:
                np.testing.assert_allclose(found.squared_norms, norms, rtol=1e-9)
            if found.second_moment is not None:
                for mine, theirs in zip(jax.tree.leaves(found.second_moment), squares):
                    np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-10)
            assert "fallback" not in {route.form for route in found.explanation.leaves}
            if strategies is not None and not asked:
                assert [route.form for route in found.explanation.leaves] == strategies
