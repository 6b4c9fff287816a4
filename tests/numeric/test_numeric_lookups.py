"""Lookups of any form, by any type of index, against vmap(grad) in float64."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.per_example.kinds import Lookup
from linvar.numeric.gradients.per_example.strategies import lookups as lookup_sums

RNG = np.random.default_rng(18)
EXAMPLES = 7
MODES = ("clip", "fill", "promise_in_bounds")


def normal(*shape):
    """Standard normal."""
    return RNG.normal(size=shape)


def below(bound, *shape):
    """An index of every example."""
    return RNG.integers(0, bound, (EXAMPLES, *shape))


@pytest.fixture
def by_rows(monkeypatch):
    """Small tables as the large ones that they stand for: row by row, not filled in."""
    monkeypatch.setattr(Lookup, "strategy", lambda *_: "lookup")


def by_vmap(loss, params, batch):
    """Per-example gradients, leaf by leaf."""
    found = jax.jit(jax.vmap(jax.grad(loss, allow_int=True), in_axes=(None, 0)))(params, batch)
    return {name: np.asarray(g).reshape(len(g), -1) for name, g in found.items()}


def assert_moments(found, gradients):
    """Mean, trace leaf by leaf, and what else was asked for."""
    for name, g in gradients.items():
        mean = g.mean(axis=0)
        trace = np.sum((g - mean) ** 2) / (len(g) - 1)
        np.testing.assert_allclose(np.ravel(found.mean[name]), mean, rtol=1e-10, atol=1e-13, err_msg=name)
        np.testing.assert_allclose(found.trace_per_leaf[name], trace, rtol=1e-10, atol=1e-13, err_msg=name)
        if found.second_moment is not None:
            second = np.ravel(found.second_moment[name])
            np.testing.assert_allclose(second, np.mean(g**2, axis=0), rtol=1e-10, atol=1e-13, err_msg=name)
    if found.squared_norms is not None:
        norms = sum(np.sum(g**2, axis=1) for g in gradients.values())
        np.testing.assert_allclose(found.squared_norms, norms, rtol=1e-10)


def assert_lookups(loss, params, batch, **options):
    """All moments; every leaf is a lookup."""
    found = gradient_moments(loss, params, batch, explain=True, **options)
    assert_moments(found, by_vmap(loss, params, batch))
    assert {leaf.form for leaf in found.explanation.leaves} == {"lookup"}


def window(p, e):
    """Four rows from one on."""
    return lax.dynamic_slice(p, (e, jnp.zeros_like(e)), (4, p.shape[1]))


def stacked(p, e):
    """A table of its own in every iteration, and an axis of tables in each."""

    def body(carry, own):
        table, index = own
        return carry * 0.5 + jnp.sum(jnp.sin(jax.vmap(lambda t, i: t[:, i])(table, index))), None

    return lax.scan(body, 0.0, (p, e))[0]


def repeated(p, e):
    """One table, looked up again and again."""
    return lax.scan(lambda carry, i: (carry * jnp.sum(jnp.sin(p[i])) + 1, None), 1.0, e)[0]


FORMS = {
    "rows": (lambda p, e: p[e], (9, 3), below(9)),
    "scalars": (lambda p, e: p[e[0]] - p[e[1]], (9,), below(9, 2)),
    "vector": (lambda p, e: p[e], (9,), below(9, 5)),
    "state, action": (lambda p, e: p[e[0], e[1]], (5, 4), below(4, 2)),
    "state, then action": (lambda p, e: p[e[0]][e[1]], (5, 4), below(4, 2)),
    "pairs": (lambda p, e: p[e[0], e[1]], (5, 4), below(4, 2, 6)),
    "columns": (lambda p, e: p[:, e] * jnp.arange(1.0, 4)[:, None], (3, 9), below(9, 5)),
    "middle": (lambda p, e: jnp.take(p, e, axis=1), (2, 5, 3), below(5, 2, 2)),
    "outer two": (lambda p, e: p[e[0], :, e[1]], (4, 3, 5), below(4, 2, 3)),
    "fields": (lambda p, e: p[jnp.arange(4), e], (4, 5, 2), below(5, 4)),
    "fields by vmap": (lambda p, e: jax.vmap(lambda t, i: t[i])(p, e), (4, 5, 2), below(5, 4)),
    "fields, columns": (lambda p, e: jax.vmap(lambda t, i: t[:, i])(p, e), (4, 2, 5), below(5, 4, 3)),
    "window": (window, (9, 2), below(11)),
    "windows": (lambda p, e: jax.vmap(lambda i: window(p, i))(e), (9, 2), below(11, 3)),
    "many": (lambda p, e: jnp.cumsum(p[e], 0), (6, 2), below(6, 20)),
    "image": (lambda p, e: jax.scipy.ndimage.map_coordinates(p, e + 0.3, 1), (5, 6), below(5, 2, 3)),
    "stacked": (stacked, (3, 2, 2, 5), below(5, 3, 2)),
    "repeated": (repeated, (5, 2), below(5, 4)),
    "twice": (lambda p, e: p[e[0]] * lax.dynamic_slice(p, (e[1], e[1] * 0), (1, 3))[0], (6, 3), below(6, 2)),
}
PARAMS = {name: normal(*shape) for name, (_, shape, _) in FORMS.items()}
BATCH = {name: indices for name, (_, _, indices) in FORMS.items()}


def all_forms(p, e):
    """One term for each, not linear in it."""
    return sum(jnp.sum(jnp.sin(form(p[name], e[name])) ** 2) for name, (form, _, _) in FORMS.items())


def test_lookups_of_every_form(by_rows):
    with jax.enable_x64(True):
        assert_lookups(all_forms, PARAMS, BATCH, squared_norms=True, second_moment=True)


@pytest.mark.slow
def test_lookups_in_chunks_of_examples_of_which_some_are_dropped(monkeypatch, by_rows):
    monkeypatch.setattr(lookup_sums, "BLOCK", 8)  # and those of a chunk in blocks

    def loss(p, e):
        return all_forms(p, e["e"]) * e["w"]

    weights = np.arange(1.0, EXAMPLES + 1)
    weights[[2, 5]] = np.nan, np.inf
    kept = np.isfinite(weights)
    with jax.enable_x64(True):
        batch = {"e": BATCH, "w": weights}
        found = gradient_moments(loss, PARAMS, batch, nan="drop", chunk_size=3)
        assert found.examples == EXAMPLES - 2
        assert_moments(found, by_vmap(loss, PARAMS, jax.tree.map(lambda x: x[kept], batch)))


TYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def edges(dtype, length):
    """Indices inside, at the edges, beyond them, and those that another type would take for others."""
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    wanted = [0, 1, 5, length // 2, length - 2, length - 1, length, length + 1, 2 * length, -1, -2, -length, low, low + 1,
              high, high - 1, high - length, 2**7, 2**8, 2**15, 2**31 - 1, 2**31, 2**31 + 1, 2**32, 2**32 + 1]  # fmt: skip
    fitting = np.array([x for x in wanted if low <= x <= high], dtype)
    return np.stack([RNG.permutation(fitting) for _ in range(EXAMPLES)])


def test_indices_of_every_type_inside_and_outside():
    length = 384  # more than 8 bits count
    rows, windows = (lax.GatherDimensionNumbers(*axes, (0,)) for axes in (((1,), (0,)), ((1, 2), ())))

    def taken(mode, p, e):
        return lax.gather(p, e[:, None], rows, (1, 2), mode=mode)

    def sliced(p, e):
        return jnp.stack([lax.dynamic_slice(p, (i, jnp.zeros_like(i)), (2, 2)) for i in e[:2]])

    # of 8 bits, JAX's own derivative of a gather leaves out rows that its forward pass reads: the reference has wider indices
    def wide(e):
        return e.astype("int32") if e.dtype.itemsize < 4 else e

    def sliced_by_wide(p, e):
        turned = (
            jnp.where(e < 0, e + np.array(length).astype(e.dtype), e)
            if jnp.issubdtype(e.dtype, jnp.signedinteger)
            else e
        )
        return lax.gather(p, wide(turned[:2])[:, None], windows, (2, 2), mode="clip")

    names = {f"{mode} {dtype}": (mode, dtype) for mode, dtype in itertools.product((*MODES, "slice"), TYPES)}

    def loss(p, e):
        found = [sliced(p[x], e[t]) if mode == "slice" else taken(mode, p[x], e[t]) for x, (mode, t) in names.items()]
        return sum(jnp.sum(jnp.nan_to_num(jnp.sin(x) ** 2)) for x in found)

    def reference(p, e):
        of_slice = [sliced_by_wide(p[x], e[t]) for x, (mode, t) in names.items() if mode == "slice"]
        rest = [taken(mode, p[x], wide(e[t])) for x, (mode, t) in names.items() if mode != "slice"]
        return sum(jnp.sum(jnp.nan_to_num(jnp.sin(x) ** 2)) for x in (*of_slice, *rest))

    with jax.enable_x64(True):
        params, batch = {name: normal(length, 2) for name in names}, {dtype: edges(dtype, length) for dtype in TYPES}
        found = gradient_moments(loss, params, batch, explain=True)
        assert_moments(found, by_vmap(reference, params, batch))
        assert {leaf.form for leaf in found.explanation.leaves} == {"lookup"}


def random_gather(rng):
    """A table's shape, indices of every example, and what to take: any dimension numbers."""
    rank = int(rng.integers(1, 5))
    table = [int(x) for x in rng.integers(2, 5, rank)]
    batch = sorted(int(a) for a in rng.permutation(rank)[: rng.integers(0, min(rank, 3))])
    rest = [a for a in range(rank) if a not in batch]
    shape = [1 if a in batch else int(rng.integers(1, table[a] + 1)) for a in range(rank)]
    shape[rest[0]] = min(shape[rest[0]], table[rest[0]] - 1)  # something is left out
    gone = [a for a in rest if shape[a] == 1 and rng.integers(2)]
    started = [int(a) for a in rng.permutation(rest)[: rng.integers(1, len(rest) + 1)]]
    lengths = [(None, int(x)) for x in rng.integers(1, 4, rng.integers(0, 3))] + [(a, table[a]) for a in batch]
    order = [lengths[i] for i in rng.permutation(len(lengths))]
    index_batch = tuple([a for a, _ in order].index(b) for b in batch)
    kept = len(rest) - len(gone)
    offsets = sorted(int(a) for a in rng.permutation(len(order) + kept)[:kept])
    numbers = lax.GatherDimensionNumbers(tuple(offsets), tuple(gone), tuple(started), tuple(batch), index_batch)
    indices = rng.integers(-2, 6, (EXAMPLES, *(x for _, x in order), len(started)))
    mode = MODES[rng.integers(3)]
    return tuple(table), indices, lambda p, e: lax.gather(p, e, numbers, tuple(shape), mode=mode)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_random_gathers(seed, by_rows):
    rng = np.random.default_rng(seed)
    cases = {f"{i:02d}": random_gather(rng) for i in range(12)}

    def loss(p, e):
        taken = {name: take(p[name], e[name]) for name, (_, _, take) in cases.items()}
        terms = {name: jnp.nan_to_num(x) * jnp.cos(jnp.arange(x.size)).reshape(x.shape) for name, x in taken.items()}
        return sum(jnp.sum(jnp.sin(x)) for x in terms.values())

    with jax.enable_x64(True):
        params = {name: normal(*shape) for name, (shape, _, _) in cases.items()}
        batch = {name: indices for name, (_, indices, _) in cases.items()}
        assert_lookups(loss, params, batch, squared_norms=True, second_moment=True)


def test_every_way_to_say_who_owns_a_row_says_one_for_each(monkeypatch):
    keys = jnp.asarray(RNG.integers(0, 6, (5, 12)), jnp.int32)  # 6 and more would be outside
    values = jnp.asarray(RNG.integers(-9, 9, (60, 2, 1)), jnp.float32)
    rows = lookup_sums._Rows(keys.reshape(-1), values)
    expected = np.zeros((5, 6, 2))
    for i, key, value in zip(np.arange(60) // 12, np.ravel(keys), np.asarray(values)[..., 0]):
        expected[i, key] += value
    for pairs, few, backend in ((12, 12, "cpu"), (12, 11, "cpu"), (11, 0, "cpu"), (11, 0, "gpu")):
        monkeypatch.setattr(lookup_sums, "PAIRS", pairs)
        monkeypatch.setattr(lookup_sums, "FEW", few)
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        added = lookup_sums._added(rows, 6, 5)
        found, owned = np.zeros((5, 6, 2)), np.zeros((5, 6), int)
        for i, key, value in zip(np.arange(60) // 12, np.asarray(added.keys), np.asarray(added.values)[..., 0]):
            if key < 6:
                found[i, key] += value
                owned[i, key] += 1
        assert (found == expected).all() and owned.max() == 1


def test_a_table_that_no_integer_counts_is_not_looked_up():
    def loss(p, i):
        return jnp.sum(jnp.sin(lax.dynamic_slice(p, (i,), (1,))))

    def strategy(length):
        shapes = jax.ShapeDtypeStruct((length,), jnp.float32), jax.ShapeDtypeStruct((3,), jnp.int32)
        found = []
        jax.eval_shape(lambda p, e: found.append(gradient_moments(loss, p, e, explain=True).explanation), *shapes)
        return found[0].leaves[0].form

    assert strategy(2**31 - 1) == "lookup"
    assert strategy(2**31) == "fallback"
    with jax.enable_x64(True):
        assert strategy(2**31) == "lookup"


def test_what_all_examples_look_up_does_not_cancel(by_rows):
    def loss(p, e):  # row 3 by all of them, with nearly the same gradient; another by each
        own, x = e
        rows = jnp.take(p, jnp.stack([jnp.full_like(own, 3), own]), axis=0)
        return rows[0] @ (1 + 1e-4 * x) + 1e-4 * rows[1] @ x

    own, table = below(9), normal(9, 4)
    batch = (np.where(own == 3, 4, own), normal(EXAMPLES, 4).astype("float32"))
    with jax.enable_x64(True):
        exact = by_vmap(lambda p, e: loss(p["p"], e), {"p": table}, batch)["p"]
    trace = np.sum((exact - exact.mean(axis=0)) ** 2) / (EXAMPLES - 1)
    found = gradient_moments(loss, jnp.asarray(table, jnp.float32), batch, explain=True)
    assert [leaf.form for leaf in found.explanation.leaves] == ["lookup"]
    assert trace < 1e-6 and abs(float(found.trace) / trace - 1) < 1e-3
    narrow = exact.astype("float32")
    assert abs((np.sum(narrow**2) - EXAMPLES * np.sum(narrow.mean(axis=0) ** 2)) / (EXAMPLES - 1) / trace - 1) > 0.1


#: who looks up row 3: all, most, and with others in another place; and whoever looks up nothing, or is dropped
SHARED = {
    "one place": np.array([3, 3, 3, 3, 3, 3, 3]),
    "one place, most": np.array([0, 3, 3, 7, 3, 3, 3]),
    "one place, half outside": np.array([99, 3, 99, 99, 3, 3, 99]),
    "two places": np.array([[3, 0], [1, 3], [3, 8], [3, 8], [2, 3], [3, 3], [3, 5]]),
    "two places, all": np.array([[3, 8], [8, 3], [3, 8], [3, 8], [8, 3], [3, 8], [3, 8]]),
    "tables": np.array([[3, 0], [3, 1], [3, 1], [3, 1], [3, 1], [3, 1], [3, 1]]),
}


@pytest.mark.parametrize(("dropped", "branch"), [([], 0), ([1, 4], 0), ([1, 4], 99)])
def test_rows_that_most_examples_look_up_do_not_cancel(monkeypatch, dropped, branch):
    monkeypatch.setattr(lookup_sums, "BRANCH", branch)  # about medians or by a difference, and counted
    weight = np.arange(1.0, 4)

    def loss(p, e):
        ids, x, w = e
        taken = {
            name: jnp.take(p[name], i, axis=0, mode="fill", fill_value=0) for name, i in ids.items() if name != "tables"
        }
        tables = jax.vmap(lambda t, i: jnp.take(t, i, axis=0, mode="fill", fill_value=0))(p["tables"], ids["tables"])
        return w * sum(jnp.sum(t @ (weight.astype(x.dtype) + 1e-3 * x)) for t in (*taken.values(), tables))

    shapes = {name: (2, 9, 3) if name == "tables" else (9, 3) for name in SHARED}
    params, x, w = {name: normal(*shape) for name, shape in shapes.items()}, normal(EXAMPLES, 3), np.ones(EXAMPLES)
    w[dropped] = np.nan
    kept = np.isfinite(w)
    x = x.astype("float32").astype("float64")
    with jax.enable_x64(True):
        exact = by_vmap(loss, params, jax.tree.map(lambda a: a[kept], (SHARED, x, w)))
        wide = gradient_moments(loss, params, (SHARED, x, w), nan="drop", explain=True)
        assert {leaf.form for leaf in wide.explanation.leaves} == {"lookup"}
        assert_moments(wide, exact)
    narrow = jax.tree.map(lambda a: jnp.asarray(a, "float32"), (params, x, w))
    found = gradient_moments(loss, narrow[0], (SHARED, *narrow[1:]), nan="drop")
    for name, g in exact.items():
        trace = np.sum((g - g.mean(axis=0)) ** 2) / (len(g) - 1)
        np.testing.assert_allclose(found.trace_per_leaf[name], trace, rtol=2e-3, err_msg=name)


def test_a_table_of_fewer_rows_than_an_example_looks_up_is_filled_in():
    def loss(p, tokens):
        return jnp.sum(jnp.tanh(p["table"][tokens]) ** 2 * jnp.arange(1.0, 6.0)[:, None])

    with jax.enable_x64(True):
        params, tokens = {"table": normal(3, 2)}, RNG.integers(0, 3, (7, 5))
        found = gradient_moments(loss, params, tokens, explain=True, squared_norms=True, second_moment=True)
        assert_moments(found, by_vmap(loss, params, tokens))
        assert [(leaf.form, leaf.reason) for leaf in found.explanation.leaves] == [("materialised", "lookup, 5 rows")]
