"""How moments, records and noise scales are shown: a leaf a row, in text, HTML and Rich, whatever stands in them."""

import io
import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from rich.console import Console

import linvar as lv
from linvar.display.tabular import Tabular
from linvar.numeric import first_order, gradient_moments, noise_scale, record_noise, recorded_noise
from linvar.numeric.gradients.leaves import leaf_names

RNG = np.random.default_rng(5)
X = RNG.normal(1, 2, size=(64, 5)).astype("float32")
PARAMS = {"b": jnp.ones(2), "w": jnp.asarray(RNG.normal(size=(3, 2)), "float32")}


def loss(p, x):
    """Two leaves."""
    return jnp.sum((x[:3] @ p["w"] + p["b"]) ** 2) / 2


MOMENTS = gradient_moments(loss, PARAMS, X)
RECORDER = optax.chain(record_noise(), optax.sgd(0.1))


def record(*moments):
    """After an update with each of these."""
    state = RECORDER.init(PARAMS)
    for own in moments:
        _, state = RECORDER.update(own.mean, state, PARAMS, moments=own)
    return recorded_noise(state)


def column(table, name):
    """What a table holds in a column."""
    return [row[table.columns.index(name)].value for row in table.rows]


def shown_everywhere(result):
    """In every place; one text of all."""
    assert isinstance(result, Tabular)
    console = Console(file=io.StringIO(), width=200)
    console.print(result)
    html = result._repr_html_()
    assert "<table>" in html and "<script" not in html
    return console.file.getvalue()


def test_moments_leaf_by_leaf():
    table = MOMENTS.to_table()
    assert column(table, "leaf") == ["b", "w", "total"] and column(table, "shape")[:2] == [(2,), (3, 2)]
    traces, squares = MOMENTS.trace_per_leaf, MOMENTS.squared_mean_per_leaf
    assert column(table, "trace") == [float(traces["b"]), float(traces["w"]), float(MOMENTS.trace)]
    assert column(table, "squared mean") == [float(squares["b"]), float(squares["w"]), float(MOMENTS.squared_mean)]
    assert column(table, "noise scale")[1] == float(traces["w"] / squares["w"]) != column(table, "noise scale")[2]
    assert "64 examples, ddof=1" in table.title and "8 entries" in str(table) and not table.notes
    explained = gradient_moments(loss, PARAMS, X, explain=True)
    assert column(explained.to_table(), "computed") == [*(r.form for r in explained.explanation.leaves), ""]
    assert "total" in shown_everywhere(MOMENTS)


def test_a_trace_lost_in_rounding_is_said():
    with pytest.warns(RuntimeWarning, match="mean gradient dominates"):
        found = gradient_moments(lambda w, x: w @ (1 + 1e-6 * x), jnp.ones((5,)), X)
    if not bool(found.cancelled):
        pytest.fail("the case does not cancel")
    assert ", cancelled, " in repr(found) and "params; gradient_moments(..., centred=True)" in found.to_table().notes[0]


def test_a_record_says_the_noise_scale_in_one_line():
    two = record(MOMENTS, gradient_moments(loss, PARAMS, X[:32]))
    assert repr(two) == (
        f"NoiseRecord(noise_scale={float(two.noise_scale):.4g}, smoothed {float(two.smoothed_noise_scale):.4g}, "
        f"trace={float(two.variance):.6g}, squared_mean={float(two.variance / two.noise_scale):.6g}, 2 steps)"
    )
    table = two.to_table()
    assert column(table, "leaf") == ["b", "w", "total"] and table.title == "Noise of the gradient, 2 steps"
    scales = jax.tree.leaves(two.noise_scale_per_leaf), jax.tree.leaves(two.smoothed_noise_scale_per_leaf)
    assert column(table, "noise scale") == [*map(float, scales[0]), float(two.noise_scale)]
    assert column(table, "smoothed noise scale") == [*map(float, scales[1]), float(two.smoothed_noise_scale)]
    nothing = record()
    assert "noise_scale=nan" in repr(nothing) and "0 steps" in repr(nothing)
    assert np.isnan(column(nothing.to_table(), "trace")).all()


def test_a_record_is_the_pytree_that_it_was():
    own = record(MOMENTS)
    leaves, structure = jax.tree.flatten(own)
    assert type(structure.unflatten(leaves)) is type(own) and not hasattr(own, "__dict__")
    assert own._fields[:4] == ("count", "weight", "trace", "squared_mean") and len(leaves) == 12
    assert [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(own)][:3] == [
        ".count", ".weight", ".trace['b']",
    ]  # fmt: skip
    assert repr(pickle.loads(pickle.dumps(own))) == repr(own) and type(own._replace(pool=())) is type(own)


def test_a_record_wrapped_by_flax_shows_its_numbers():
    net = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(net, RECORDER, wrt=nnx.Param)
    moments = gradient_moments(lambda net, x: jnp.sum(net(x[:3]) ** 2), net, X)
    optimizer.update(net, moments.mean, moments=moments)
    inside = optimizer.opt_state[0]
    assert f"noise_scale={float(moments.noise_scale):.4g}" in repr(inside) and "\n" not in repr(inside)
    assert leaf_names(moments.mean) == ("bias", "kernel")
    assert column(inside.to_table(), "leaf") == ["bias", "kernel", "total"] == column(moments.to_table(), "leaf")


def test_what_is_no_number_is_shown_by_its_type():
    seen = []

    def inside(x):
        moments = gradient_moments(loss, PARAMS, x)
        own = record(moments)
        seen.extend((repr(own), shown_everywhere(own), shown_everywhere(moments)))
        return own

    batched = jax.vmap(inside)(jnp.stack([X, 2 * X]))
    assert len(seen) == 3 and all("float32[]" in text for text in seen)
    assert "noise_scale=float32[2]" in repr(batched) and "\n" not in repr(batched)
    assert "float32[2]" in shown_everywhere(batched)
    shapes = jax.eval_shape(RECORDER.init, PARAMS)[0]
    for odd in (shapes, *(jax.tree.map(change, batched) for change in (lambda x: None, lambda x: "text"))):
        assert len(repr(odd)) < 200 and "total" in shown_everywhere(odd)
    deleted = jax.tree.map(jnp.copy, MOMENTS)
    for array in jax.tree.leaves(deleted):
        array.delete()
    assert "?" in shown_everywhere(deleted)


@pytest.mark.parametrize("ddof", [0, 1])
def test_each_leaf_of_a_noise_scale_has_the_errors_of_that_leaf_alone(ddof):
    x = RNG.normal(1, 3, size=(400, 3))
    weights = {"a": jnp.ones(2), "z": jnp.ones(())}
    both = noise_scale(lambda w, x: w["a"] @ x[:2] + w["z"] * x[2], weights, x, ddof=ddof)
    alone = {
        "a": noise_scale(lambda w, x: w @ x[:2], weights["a"], x, ddof=ddof),
        "z": noise_scale(lambda w, x: w * x[2], weights["z"], x, ddof=ddof),
    }
    for name, own in alone.items():
        for of in ("noise_scale", "trace", "squared_mean"):
            np.testing.assert_allclose(both.interval_per_leaf(0.9, of)[name], own.interval(0.9, of), rtol=1e-4)
        np.testing.assert_allclose(both.noise_scale_per_leaf[name], own.noise_scale, rtol=1e-4)
        np.testing.assert_allclose(both.standard_error_per_leaf[name], own.standard_error, rtol=1e-4)
    table = both.to_table()
    assert column(table, "leaf") == ["a", "z", "total"] and "400 examples" in table.title
    assert column(table, "noise scale") == [
        both.noise_scale_per_leaf["a"],
        both.noise_scale_per_leaf["z"],
        both.noise_scale,
    ]
    assert (column(table, "95 % from")[2], column(table, "to")[2]) == both.interval()
    assert "400 examples" in shown_everywhere(both)
    with pytest.raises(ValueError, match="level=1.5"):
        both.interval_per_leaf(1.5)
    with pytest.raises(ValueError, match="of='two_batch'"):
        both.interval_per_leaf(of="two_batch")


def test_a_noise_scale_of_one_block_is_shown_without_its_errors():
    with pytest.warns(RuntimeWarning, match="a single block"):
        one = noise_scale(loss, PARAMS, iter([X]))
    table = one.to_table()
    assert np.isnan(column(table, "standard error")).all() and table.notes == ("the errors may be too small: 1 block",)


def test_a_first_order_path_step_by_step(key):
    exact = first_order(lambda w, x: 0.5 * (w - x) ** 2, 3.0, np.asarray([-1.0, 1.0]), 0.5, 2).to_table()
    parts = ("step", "variance", "per example", "propagated", "squared mean", "squared distance")
    assert exact.columns == (*parts, "loss", "loss at infinity", "gradient norm")
    assert column(exact, "loss") == [0, 0.125, 0.15625] and column(exact, "loss at infinity") == [5, 1.625, 0.78125]
    assert column(exact, "step") == [0, 1, 2] and column(exact, "variance") == [1, 1.25, 1.3125]
    path = first_order(lambda w, x: 0.5 * (w - x) ** 2, 3.0, np.asarray([-1.0, 1.0]), 0.5, 0, method="probes", key=key)
    assert path.to_table().columns[2] == "variance, s.e." and "32 probes" in path.to_table().title
    assert "propagated" in shown_everywhere(path)


def test_a_simulation_is_a_dictionary_shown_as_a_table(key):
    law = lv.Gaussian([[1, 0]])
    problem = lv.Problem(weights=[[[1, 0], [1, 1], [0, 1]], [[1, 1, 0]]], law=law, learning_rate="1/10", step=1)
    found = lv.simulate(key, problem, batch_sizes=[2, 8], runs=50)
    assert list(found) == [2, 8] and dict(pickle.loads(pickle.dumps(found))).keys() == {2, 8} == set(dict(found))
    assert repr(found) == "Simulation(at step 1, over 50 runs, b = 2, 8)"
    table = found.to_table()
    assert column(table, "b") == [2, 8] and column(table, "loss s.e.") == [
        m.loss.standard_error for m in found.values()
    ]
    assert column(table, "squared mean") == [m.squared_mean.value for m in found.values()]
    assert len(set(table.columns)) == 9 and "8" in shown_everywhere(found)
    own = found[2]
    assert column(own.to_table(), "quantity")[:3] == ["variance", "variance, leaf 1", "variance, leaf 2"]
    values = [own.variance, *own.variance_per_layer, own.second_moment]
    assert column(own.to_table(), "estimate")[:4] == [one.value for one in values]
    assert column(own.to_table(), "quantity")[-1] == "variance given the weights" and "b = 2" in shown_everywhere(own)
    far = lv.simulate(key, problem.replace(learning_rate=10**60, step=4), batch_sizes=[4], runs=4)
    assert "b = 4: 4 runs are not finite" in far.to_table().notes[0]


@pytest.mark.parametrize(
    ("estimate", "latex"),
    [
        (lv.Estimate(36.0213, 0.3142, 4096), r"$36.02 \pm 0.31$ (4,096 runs)"),
        (lv.Estimate(1.2e-7, 3e-9, 10), r"$1.2 \cdot 10^{-7} \pm 3 \cdot 10^{-9}$ (10 runs)"),
        (lv.Estimate(12345.6, 20.0, 10), r"$12{,}346 \pm 20$ (10 runs)"),
        (lv.Estimate(3e20, 1e19, 10), r"$3 \cdot 10^{20} \pm 1 \cdot 10^{19}$ (10 runs)"),
        (lv.Estimate(math.nan, math.inf, 3), r"$\mathrm{nan} \pm \mathrm{inf}$ (3 runs)"),
    ],
)
def test_an_estimate_in_a_notebook_is_a_formula(estimate, latex):
    assert estimate._repr_latex_() == latex
