"""Weights whose entries are put, taken, solved for: their gradients as products of factors, whatever that costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.linalg import solve_triangular
from per_example import RNG, array, assert_same

from linvar.numeric.gradients.per_example import paying
from linvar.numeric.gradients.per_example.composite import Seen, norms_of
from linvar.numeric.gradients.per_example.factors import (
    EXAMPLES,
    Factor,
    NotFactoredError,
    Term,
    fresh_axes,
    inner,
    product,
)
from linvar.numeric.gradients.per_example.placing import picked, placed

SIDE = 6
AT = np.arange(SIDE)
LOWER = np.tril_indices(SIDE)
EYE = np.eye(SIDE)


def zeros():
    return jnp.zeros((SIDE, SIDE))


#: shapes of one parameter, and its function, a square matrix
PUT = {
    "circulant": ((SIDE,), lambda c: c[(AT[:, None] - AT) % SIDE]),
    "toeplitz": ((2 * SIDE - 1,), lambda c: c[AT[:, None] - AT + SIDE - 1]),
    "hankel": ((2 * SIDE,), lambda c: c[AT[:, None] + AT]),
    "symmetric toeplitz": ((SIDE,), lambda c: c[abs(AT[:, None] - AT)]),
    "clipped distances": ((5,), lambda c: jnp.exp(c)[np.clip(AT[:, None] - AT, -2, 2) + 2]),
    "shared": ((9,), lambda c: c[np.random.default_rng(0).integers(0, 9, (SIDE, SIDE))]),
    "blocks": ((3, 2, 2), lambda c: c[(np.arange(3)[:, None] - np.arange(3)) % 3].swapaxes(1, 2).reshape(SIDE, SIDE)),
    "diagonal": ((SIDE,), lambda d: jnp.diag(jnp.exp(d))),
    "diagonal of": ((SIDE, SIDE), lambda a: jnp.tril(a, -1) + jnp.diag(jnp.exp(jnp.diag(a)))),
    "triangle": ((LOWER[0].size,), lambda v: zeros().at[LOWER].set(v)),
    "band": ((SIDE - 1,), lambda v: zeros().at[AT[:-1], AT[1:]].add(jnp.tanh(v))),
    "rows": ((3, SIDE), lambda v: zeros().at[np.array([4, 1, 4])].add(jnp.sin(v))),
    "permuted": ((SIDE, SIDE), lambda a: jnp.tanh(a)[np.array([3, 1, 0, 5, 2, 4])][:, ::-1]),
}
#: shapes (SIDE, SIDE)
SOLVED = {
    "cayley": lambda a: jnp.linalg.solve(EYE + a - a.T, EYE - a + a.T),
    "inverse": lambda a: jnp.linalg.inv(EYE + a),
    "from the left": lambda a: solve_triangular(jnp.tril(a) + 3 * EYE, a, lower=True),
    "transposed": lambda a: solve_triangular(jnp.triu(a) + 3 * EYE, jnp.ones((SIDE, SIDE)), trans=1),
    "summed": lambda a: jnp.cumsum(jax.nn.softplus(a), axis=0),
    "joined": lambda a: jnp.concatenate([jnp.sin(a[:2]), jnp.cos(a[2:])])[::-1],
}


@pytest.fixture
def always(monkeypatch):
    """Products of factors wherever they can be made."""
    monkeypatch.setattr(paying, "_cost", lambda program: 0)


def of_all(functions):
    """A layer for each."""
    return lambda p, x: sum(jnp.sum(jnp.sin(k + x @ f(p[name]))) for k, (name, f) in enumerate(functions.items()))


def test_entries_put_at_known_places(always):
    params = {name: array(*shape) for name, (shape, _) in PUT.items()}
    functions = {name: f for name, (_, f) in PUT.items()}
    assert_same(of_all(functions), params, array(4, SIDE), ["factored"] * len(PUT))


def test_linear_systems(always):
    params = {name: array(SIDE, SIDE) / 4 for name in SOLVED}
    assert_same(of_all(SOLVED), params, array(4, SIDE), ["factored"] * len(SOLVED))


def test_rows_of_many_positions_and_two_uses_of_one_vector(always):
    def loss(c, x):
        circulant, toeplitz = c[:SIDE][(AT[:, None] - AT) % SIDE], c[AT[:, None] - AT + SIDE - 1]
        return jnp.sum(jnp.sin(jnp.tanh(x @ circulant) @ circulant)) + jnp.sum(jnp.cos(x @ toeplitz))

    assert_same(loss, array(2 * SIDE - 1), array(4, 3, SIDE), ["factored"])


def test_a_circulant_matrix_of_some_size():
    at = np.arange(32)
    loss = lambda c, x: jnp.sum(jnp.sin(jnp.tanh(x @ c[(at[:, None] - at) % 32]) @ c[(at[:, None] + at) % 32]))  # noqa: E731
    assert_same(loss, array(32), array(6, 32), ["factored"])


def test_what_is_put_where_the_example_or_a_parameter_says(always):
    def loss(p, example):
        x, at = example
        order = jnp.argsort(p["order"])
        return jnp.sum(jnp.sin(x @ zeros().at[at].add(p["a"]))) + jnp.sum(jnp.cos(x @ jnp.tanh(p["b"])[order]))

    params = {"a": array(2, SIDE), "b": array(SIDE, SIDE), "order": array(SIDE)}
    batch = (array(4, SIDE), RNG.integers(0, SIDE, (4, 2)))
    assert_same(loss, params, batch, ["direct", "materialised", "none"])


def seen_of(*lengths):
    """A term of two factors, and the array it is."""
    left, right = array(3, lengths[0]), array(3, *lengths[1:])
    axes = fresh_axes(len(lengths))
    factors = Factor(jnp.asarray(left), (EXAMPLES, axes[0])), Factor(jnp.asarray(right), (EXAMPLES, *axes[1:]))
    return Seen.of(Term(factors, axes, lengths)), left.reshape(3, -1, *[1] * (len(lengths) - 1)) * right[:, None]


@pytest.mark.parametrize("index", [
    (AT[:, None] - AT) % SIDE, AT[:, None] - AT + SIDE - 1, AT[:, None] + AT, abs(AT[:, None] - AT),
    (2 * AT[:, None] + AT) % SIDE,
    np.random.default_rng(1).integers(-1, 8, (SIDE, SIDE)), np.full((SIDE, SIDE), 2), AT[:, None] - 0 * AT,
])  # fmt: skip
def test_putting_is_adding_at(index):
    with jax.enable_x64(True):
        seen, whole = seen_of(SIDE, SIDE, 2)
        length = int(index.max()) + 2
        found, expected = placed(seen, [0, 1], index[..., None], [length]), np.zeros((3, length + 1, 2))
        np.add.at(expected, (slice(None), index), whole)  # a negative place is the last
        expected = expected[:, :-1]
        assert found.shape == (length, 2)
        values = product((*found.term.factors, Factor(jnp.ones(found.shape), found.term.axes)), (0, *found.term.axes))
        np.testing.assert_allclose(values, expected, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(norms_of((found,)).norms, np.sum(expected**2, (1, 2)), rtol=1e-11)
        back, (first, *_) = picked(seen, [1], [jnp.asarray(AT[::-2])]), fresh_axes(1)
        assert back.shape == (3, SIDE, 2) and first
        np.testing.assert_allclose(inner(back.term, back.term), np.sum(whole[:, :, ::-2] ** 2, (1, 2, 3)), rtol=1e-11)


def test_many_places_of_no_order_are_refused():
    seen, _ = seen_of(128, 128)
    with pytest.raises(NotFactoredError, match="no known order"):
        placed(seen, [0, 1], np.random.default_rng(0).integers(0, 99, (128, 128, 1)), [99])
