"""One room knows JAX's operations: what it does not know gives the right moments all the same, and is said by name."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from tiers import slow_but

import linvar.numeric.gradients
from linvar.numeric.gradients.moments import gradient_moments
from linvar.numeric.gradients.per_example import jaxprs, operations
from linvar.numeric.gradients.per_example.coupling.check import CoupledExamplesError

RNG = np.random.default_rng(5)
#: the room of jaxprs: elsewhere ``params`` are a model's
ROOM = Path(linvar.numeric.gradients.__file__).parent


def reads_of_equations(source: str) -> list[int]:
    """Lines that look at the parameters or the primitive of an equation: attributes of these names, also by getattr."""
    names = ("params", "primitive")
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute) and node.attr in names]
    called = [
        node for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr"
        and isinstance(node.args[1], ast.Constant) and node.args[1].value in names
    ]  # fmt: skip
    return [node.lineno for node in (*found, *called)]


def test_one_module_alone_reads_the_parameters_of_equations():
    sources = {path.relative_to(ROOM).as_posix(): path.read_text() for path in ROOM.rglob("*.py")}
    assert reads_of_equations(sources.pop("per_example/jaxprs.py"))
    assert {name: lines for name, text in sources.items() if (lines := reads_of_equations(text))} == {}


@pytest.mark.parametrize("line", ["e.params['x']", "self.equation.params.get('x')", "getattr(e, 'params')"])
def test_that_check_can_fail(line):
    assert reads_of_equations(line) == [1]


def foreign(name, function, **parameters):
    """An operation that no version of linvar knows, with all rules of JAX, under any name and with any parameters."""
    primitive = Primitive(name)
    primitive.def_impl(lambda *args, **_: function(*args))

    def shapes(*inputs, **_):
        out = jax.eval_shape(function, *(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in inputs))
        return jax.core.ShapedArray(out.shape, out.dtype)

    def jvp(primals, tangents, **_):
        return jax.jvp(function, tuple(primals), tuple(ad.instantiate_zeros(t) for t in tangents))

    primitive.def_abstract_eval(shapes)
    ad.primitive_jvps[primitive] = jvp
    batching.primitive_batchers[primitive] = lambda args, axes, **_: (jax.vmap(function, tuple(axes))(*args), 0)
    mlir.register_lowering(primitive, mlir.lower_fun(lambda *args, **_: function(*args), multiple_results=False))
    return lambda *args: primitive.bind(*args, **parameters)


def assert_moments(loss, params, batch, said, strategies=None):
    """The moments are those of vmap(grad), and every leaf that fell back says why."""
    with jax.enable_x64(True):
        params, batch = jax.tree.map(lambda x: jnp.asarray(x), (params, batch))
        gradients = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0)))(params, batch)
        for asked in ({}, {"squared_norms": True, "second_moment": True, "centred": True}, {"chunk_size": 2}):
            found = gradient_moments(loss, params, batch, explain=True, **asked)
            for name, own in gradients.items():
                own = np.asarray(own)
                np.testing.assert_allclose(found.mean[name], own.mean(0), rtol=1e-11, atol=1e-12)
                np.testing.assert_allclose(found.trace_per_leaf[name], own.var(0, ddof=1).sum(), rtol=1e-11)
        routes = dict(zip(sorted(params), found.explanation.leaves))
        for name, words in said.items():
            assert words in routes[name].reason, routes[name]
            assert "falls back on autodiff" in routes[name].reason
            assert routes[name].form == (strategies or {}).get(name, "direct")
        for name in set(params) - set(said):
            assert "falls back" not in routes[name].reason


twisted = foreign("made_up", lambda w, x: jnp.tanh(x @ w) * x[0])


def made_up(p, x):
    """One leaf meets the example in an operation of somebody else's, another in a matrix product."""
    return jnp.sum(twisted(p["strange"], x) * (x @ p["plain"]))


@pytest.mark.parametrize(("width", "strategy"), [(3, "direct"), (2500, "fallback")])
def test_an_operation_of_somebody_elses_gives_the_same_moments_and_is_named(width, strategy):
    params = {"strange": RNG.normal(size=(4, width)), "plain": RNG.normal(size=(4, width))}
    said = {"strange": "made_up is not known to linvar"}
    assert_moments(made_up, params, RNG.normal(size=(6, 4)), said, {"strange": strategy})


def test_an_operation_of_somebody_elses_inside_a_loop_is_named():
    def loss(p, x):
        return jnp.sum(lax.scan(lambda h, _: (twisted(p["w"], h), None), x, None, length=3)[0] ** 2)

    assert_moments(loss, {"w": RNG.normal(size=(4, 4))}, RNG.normal(size=(6, 4)), {"w": "made_up is not known"})


def renamed_scan(w, x):
    """Four rounds."""
    return lax.scan(lambda h, _: (jnp.tanh(h @ w), None), x, None, length=4)[0]


RENAMED = {
    "dot_general": foreign("dot_general", lambda w, x: x @ w, contraction=((0,), (0,))),
    "scan": foreign("scan", renamed_scan, constants_and_carry=(1, 1), body="?"),
    "jit": foreign("jit", lambda w, x: jnp.sin(x @ w), program="?"),
    "gather": foreign("gather", lambda w, x: w[jnp.int32(x[..., 0])] * x, numbers="?"),
    "conv_general_dilated": foreign("conv_general_dilated", lambda w, x: x @ w, numbers="?"),
    "scan_with_other_groups": foreign(
        "scan", renamed_scan, ft_in=(1, 2), jaxpr=None, length=4, reverse=False, unroll=1
    ),
}


@pytest.mark.parametrize("name", slow_but(RENAMED, "dot_general", "scan", "conv_general_dilated"))
def test_an_operation_whose_parameters_have_other_names_gives_the_same_moments_and_is_named(name):
    operation = RENAMED[name]
    said = "scan" if name.startswith("scan") else name

    def loss(p, x):
        return jnp.sum((operation(p["w"], x) + p["b"]) ** 2)

    params = {"w": RNG.normal(size=(4, 4)), "b": RNG.normal(size=4)}
    assert_moments(loss, params, np.abs(RNG.normal(size=(6, 4))), {"w": f"{said} has"})


@pytest.mark.parametrize("name", [*RENAMED, "made_up"])
def test_a_batched_loss_with_an_operation_that_is_not_read_is_refused_by_name(name):
    operation = {**RENAMED, "made_up": twisted}[name]
    params = {"w": jnp.asarray(RNG.normal(size=(4, 4)), "float32")}
    batch = jnp.asarray(np.abs(RNG.normal(size=(6, 4))), "float32")
    with pytest.raises(CoupledExamplesError, match="scan" if name.startswith("scan") else name):
        gradient_moments(lambda p, b: jnp.mean(operation(p["w"], b)), params, batch, batched=True)


def recurrent(p, x):
    """A loop, a product, a sum over time."""
    return jnp.sum(lax.scan(lambda h, r: (jnp.tanh(h @ p["w"] + r), h @ p["v"]), x[0], x)[1] ** 2)


LOSSES = {
    ("scan", "jaxpr"): recurrent,
    ("scan", "length"): recurrent,
    ("scan", "unroll"): recurrent,
    ("dot_general", "dimension_numbers"): lambda p, x: jnp.sum(jnp.tanh(x @ p["w"]) @ p["v"]),
    ("jit", "jaxpr"): lambda p, x: jnp.sum(jax.jit(lambda w, v: jnp.tanh(x @ w) @ v)(p["w"], p["v"])),
    ("gather", "slice_sizes"): lambda p, x: jnp.sum(p["w"][jnp.int32(x[0]) % 4] @ p["v"][jnp.int32(x[1]) % 4]),
}


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        pytest.param(*pair, marks=pytest.mark.slow) if pair[0] == "scan" and pair[1] != "length" else pair
        for pair in LOSSES
    ],
)
def test_a_parameter_that_the_installed_jax_calls_otherwise(monkeypatch, name, parameter):
    monkeypatch.setitem(jaxprs.SPELLINGS, (name, parameter), ("a name of some other year",))
    params = {"w": RNG.normal(size=(4, 4)), "v": RNG.normal(size=(4, 4))}
    words = f"{name} has no parameter {parameter}"
    loss = lambda p, x: LOSSES[name, parameter](p, x)  # noqa: E731  a new one: programs are kept by the loss
    assert_moments(loss, params, RNG.normal(size=(5, 3, 4)), {"w": words, "v": words})


@pytest.mark.parametrize(("name", "parameter"), [*LOSSES, ("custom_jvp_call", "call_jaxpr"), ("reduce_sum", "axes"),
                                                 ("broadcast_in_dim", "broadcast_dimensions")])  # fmt: skip
def test_a_batched_loss_is_refused_where_a_parameter_is_called_otherwise(monkeypatch, name, parameter):
    monkeypatch.setitem(jaxprs.SPELLINGS, (name, parameter), ("a name of some other year",))

    def loss(p, b):
        h = lax.scan(lambda h, _: (jnp.tanh(h @ p["w"]), None), b[0], None, length=2)[0]
        h = jax.jit(jnp.sin)(h) + p["w"][b[1]] + p["w"][0]
        return jnp.mean(jax.nn.relu(h))

    params = {"w": jnp.asarray(RNG.normal(size=(4, 4)), "float32")}
    batch = (jnp.asarray(RNG.normal(size=(5, 4)), "float32"), jnp.asarray([0, 1, 3, 2, 1]))
    with pytest.raises(CoupledExamplesError, match=name):
        gradient_moments(loss, params, batch, batched=True)


def test_a_scan_is_read_in_both_spellings_and_as_the_installed_jax_has_it():
    def loop(w, x):
        return lax.scan(lambda h, r: (jnp.tanh(w @ h) + r, h), x[0], x, reverse=True, unroll=2)

    (equation,) = (e for e in jax.make_jaxpr(loop)(jnp.ones((3, 3)), jnp.ones((6, 3))).jaxpr.eqns
                   if e.primitive.name == "scan")  # fmt: skip
    found = jaxprs.scan_of(equation)
    assert (found.constants, found.carry, found.sequences) == (slice(0, 1), slice(1, 2), slice(2, None))
    assert (found.length, found.reverse, found.unroll, len(found.body.jaxpr.invars)) == (6, True, 2, 3)
    shared = {"jaxpr": found.body, "length": 6, "reverse": True, "unroll": 2}
    groups = SimpleNamespace(unpack=lambda: ((None,), (None,), (None,)))
    for spelled in ({"num_consts": 1, "num_carry": 1}, {"ft_in": groups, "ft_out": None}):
        twin = equation.replace(params={**shared, **spelled})
        assert jaxprs.scan_of(twin) == found
    for wrong in ({}, {"num_consts": 1}, {"num_consts": 3, "num_carry": 1}, {"ft_in": (1, 2)}):
        twin = equation.replace(params={**shared, **wrong})
        with pytest.raises(jaxprs.Unread, match="^scan has"):
            jaxprs.scan_of(twin)


def test_elementwise_operations_of_newer_versions_are_followed():
    names = ("polynomial", "one_minus_square", "log2", "mulhi", "zeta")
    assert set(names) <= operations.ELEMENTWISE
    params = {"w": jnp.asarray(RNG.normal(size=(4, 3)), "float32")}
    batch = jnp.asarray(RNG.normal(size=(5, 4)), "float32")
    loss = lambda p, b: jnp.mean(jnp.tanh(jnp.polyval(jnp.arange(1.0, 5.0), b @ p["w"])))  # noqa: E731
    found = gradient_moments(loss, params, batch, batched=True)
    own = jax.jit(jax.vmap(jax.grad(lambda p, x: loss(p, x[None])), (None, 0)))(params, batch)["w"]
    np.testing.assert_allclose(found.trace, np.var(np.asarray(own, "float64"), axis=0, ddof=1).sum(), rtol=1e-4)
