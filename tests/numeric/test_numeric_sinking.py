"""Tables that are functions of their parameters row by row: the rows that are looked up are all that is touched."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from per_example import RNG, array, assert_same

KEYS, WIDTH = 9, 4

#: functions of a table (KEYS, WIDTH) that act on every row by itself
BY_ROWS = {
    "length one": lambda p: p / jnp.linalg.norm(p, axis=1, keepdims=True),
    "custom derivative": lambda p: jax.nn.softmax(p, axis=1) + jax.nn.softplus(p) + jax.nn.relu(p),
    "standardised": lambda p: (p - p.mean(1, keepdims=True)) / jnp.sqrt(p.var(1, keepdims=True) + 1e-3),
    "shapes": lambda p: jnp.tanh(p.reshape(KEYS, 2, 2)).sum(2).repeat(2, axis=1),
    "constants by row": lambda p: jnp.exp(p) * jnp.arange(float(KEYS))[:, None],
    "joined": lambda p: jnp.concatenate([jnp.sin(p[:, :2]), jnp.cos(p[:, 2:])], 1),
    "padded": lambda p: jnp.pad(jnp.sin(p), ((0, 0), (1, 2)))[:, ::-1],
    "matrix": lambda p: jnp.cumsum(jnp.exp(p) @ jnp.ones((WIDTH, 3)), axis=1),
    "turned": lambda p: jnp.transpose(jnp.tanh(p.T) ** 2),
}


def test_functions_of_single_rows_are_done_to_what_is_looked_up():
    def loss(p, ids):
        return sum(jnp.sum(jnp.sin(k + f(p[name])[ids])) for k, (name, f) in enumerate(BY_ROWS.items()))

    params = {name: array(KEYS, WIDTH) for name in BY_ROWS}
    assert_same(loss, params, RNG.integers(0, KEYS, (6, 3)), ["lookup"] * len(params))


#: lookups of a table (KEYS, WIDTH) at places (3,) from -3 to 12
WAYS = {
    "moved inside": lambda p, at: jnp.tanh(p).at[at].get(mode="clip"),
    "left out": lambda p, at: jnp.nan_to_num(jnp.tanh(p).at[at].get(mode="fill")),
    "entries": lambda p, at: jnp.exp(p)[at % KEYS, at % WIDTH],
    "entries of rows": lambda p, at: jax.nn.log_softmax(p, axis=1)[at % KEYS, at % WIDTH],
    "columns": lambda p, at: jnp.exp(p.T / p.sum(1))[:, at % KEYS],
    "windows": lambda p, at: lax.dynamic_slice_in_dim(jnp.tanh(p) * 2, at[0], 3),
    "twice": lambda p, at: jnp.exp(p)[at[0]] * jnp.tanh(p)[at[1]],
}


def test_every_way_of_looking_up():
    def loss(p, at):
        return sum(jnp.sum(jnp.sin(k + way(p[name], at))) for k, (name, way) in enumerate(WAYS.items()))

    params = {name: array(KEYS, WIDTH) for name in WAYS}
    assert_same(loss, params, RNG.integers(-3, KEYS + 4, (6, 3)), ["lookup"] * len(params))


def test_what_is_beside_the_rows():
    def loss(p, ids):
        table = p["gain"] * p["table"] / jnp.linalg.norm(p["table"], axis=1, keepdims=True) + p["shift"]
        return jnp.sum(jnp.sin(table[ids])) + jnp.sum(jnp.cos((jnp.tanh(p["other"]) @ p["w"])[ids]))

    params = {"gain": array(WIDTH), "other": array(KEYS, 3), "shift": array(WIDTH), "table": array(KEYS, WIDTH)}
    ways = ["direct", "lookup", "direct", "lookup", "gram"]
    assert_same(loss, {**params, "w": array(3, 40)}, RNG.integers(0, KEYS, (6, 3)), ways)


@pytest.mark.parametrize(
    "table",
    [lambda p: p / jnp.linalg.norm(p), lambda p: jax.nn.softmax(p, axis=0), lambda p: jnp.cumsum(p, axis=0) ** 2],
)
def test_tables_whose_rows_depend_on_other_rows(table):
    assert_same(lambda p, ids: jnp.sum(jnp.sin(table(p)[ids])), array(KEYS, WIDTH), RNG.integers(0, KEYS, (6, 3)),
                ["materialised"])  # fmt: skip


def test_tables_that_are_not_only_looked_up():
    def loss(p, ids):  # tied: the same table gives the scores
        table = p / jnp.linalg.norm(p, axis=1, keepdims=True)
        return jnp.sum(jnp.tanh(table @ table[ids].mean(0)))

    assert_same(loss, array(KEYS, WIDTH), RNG.integers(0, KEYS, (6, 3)), ["materialised"])


def test_a_narrow_type_of_indices_and_more_places_than_rows():
    at = RNG.integers(0, 256, (6, 2)).astype("uint8")
    assert_same(lambda p, at: jnp.sum(jnp.sin(jnp.exp(p)[at])), array(300, 2), at, ["lookup"])
    many = RNG.integers(0, KEYS, (6, 20))
    assert_same(lambda p, at: jnp.sum(jnp.sin(jnp.exp(p)[at])), array(KEYS, WIDTH), many, ["materialised"])


def test_places_beyond_the_table_have_no_derivative():
    """They are moved inside, and what is taken there is no function of the table: JAX's lookup as it comes."""
    at = jnp.array([[3, 5, 3, 41], [1, 44, -44, 2], [0, 39, -40, -41]])
    assert_same(lambda p, ids: jnp.sum(jnp.sin(jnp.tanh(p)[ids])), array(40, 5), at)
    assert_same(lambda p, at: jnp.sum(jnp.sin(jnp.tanh(p)[at[3]])), array(40, 5), at)


def test_a_leaf_without_entries_beside_one_that_is_looked_up():
    """Its columns are none."""

    def loss(params, at):
        return jnp.sum(jnp.sin(jnp.concatenate([params["a"], jnp.arange(36.0).reshape(6, 6) / 9])[:, at] * params["w"]))

    assert_same(loss, {"a": jnp.zeros((0, 6)), "w": array(6, 1)}, jnp.array([[1], [3], [2]]))
