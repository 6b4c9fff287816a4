"""Meshes whose axes are Auto, Explicit or Manual, whatever is spread over them: the moments are those of plain autodiff."""

import json

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from processes import run_on_devices, two_processes

from linvar.numeric import gradient_moments

MODEL = """
import json, sys
import numpy as np
import jax, jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from linvar.numeric import gradient_moments, noise_scale
jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)
shapes = {"e": (6, 4), "s": (4,), "w": (4, 8), "u": (8, 8), "b": (8,), "k": (3, 8, 64), "q": (64, 64), "o": (64, 2)}
params = {name: 0.3 * rng.normal(size=shape) for name, shape in shapes.items()}
batch = (rng.normal(size=(16, 3, 4)), rng.integers(0, 6, (16, 3)), rng.normal(size=(16, 2)))

def everything(p, example, *, key=None):
    "A table, a scale, a recurrent cell, a convolution, a large matrix, a random mask and a penalty."
    x, tokens, y = example
    def cell(carry, row):
        h = jnp.tanh(row @ p["w"] + carry @ p["u"] + p["b"])
        return h, h
    rows = (x + p["e"][tokens]) * p["s"]
    _, h = jax.lax.scan(cell, jnp.zeros_like(rows, shape=(8,)), rows)
    if key is not None:
        h = h * jax.random.bernoulli(key, 0.5, h.shape)
    h = jax.lax.conv_general_dilated(h[None], p["k"], (1,), "SAME", dimension_numbers=("NHC", "HIO", "NHC"))[0]
    return jnp.sum((jnp.tanh(h @ p["q"]).mean(0) @ p["o"] - y) ** 2) + 0.1 * jnp.sum(p["u"] ** 2)

def dense(p, example):
    h = jnp.tanh(example[0] @ p["w"] + p["b"])
    return jnp.sum((h @ p["v"] - example[2]) ** 2) + jnp.sum(p["w"] ** 2)

small = {"w": params["w"], "b": params["b"], "v": rng.normal(size=(8, 2))}

@jax.jit
def random(p, keys):
    return jax.vmap(jax.value_and_grad(lambda p, example, key: everything(p, example, key=key)), (None, 0, 0))(p, batch, keys)

def gradients(loss, p):
    "Loss and gradient of every example, by plain autodiff on one device."
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(jax.value_and_grad(loss), (None, 0)))(p, batch))
"""

EIGHT_DEVICES = (
    MODEL
    + """
names = ("data", "model")
auto, explicit = (jax.make_mesh((4, 2), names, axis_types=(kind,) * 2) for kind in (AxisType.Auto, AxisType.Explicit))
key = jax.random.key(1)
keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(16))
whole, plain = gradients(everything, params), gradients(dense, small)
masked = jax.tree.map(np.asarray, random(params, keys))
count = 0

def same(moments, reference, rows=slice(None), scale=1.0):
    "Whether the moments are those of these rows; a wrong answer is not."
    losses, g = reference[0][rows], jax.tree.map(lambda x: x[rows], reference[1])
    apart = [((x - x.mean(0)) ** 2).sum() / (len(losses) - 1) for x in jax.tree.leaves(g)]
    pairs = [(moments.loss, losses.mean()), (moments.trace, sum(apart))]
    pairs += list(zip(jax.tree.leaves(moments.trace_per_leaf), apart, strict=True))
    pairs += [(m, x.mean(0)) for m, x in zip(jax.tree.leaves(moments.mean), jax.tree.leaves(g), strict=True)]
    if moments.second_moment is not None:
        seconds = zip(jax.tree.leaves(moments.second_moment), jax.tree.leaves(g), strict=True)
        pairs += [(m, (x**2).mean(0)) for m, x in seconds]
    if moments.squared_norms is not None:
        norms = sum((x.reshape(len(x), -1) ** 2).sum(1) for x in jax.tree.leaves(g))
        pairs.append((np.asarray(moments.squared_norms), norms))
    return all(np.allclose(a, scale * b, rtol=1e-9, atol=1e-9) for a, b in pairs)

def check(what, *arguments):
    global count
    assert same(*arguments), what
    assert not same(*arguments, scale=1.5), what
    count += 1

def put(tree, mesh, spec):
    return jax.device_put(tree, NamedSharding(mesh, spec))

extra = dict(squared_norms=True, second_moment=True, chunk_size=3)
both, sharded = P(("data", "model")), {name: P("data") if shapes[name][0] % 4 == 0 else P() for name in shapes}
fsdp = {name: put(params[name], explicit, sharded[name]) for name in params}
jitted = jax.jit(lambda p, b: gradient_moments(everything, p, b, **extra))
check("jit, Explicit, FSDP", jitted(fsdp, put(batch, explicit, P("data"))), whole)
mean = jitted(fsdp, put(batch, explicit, P("data"))).mean["u"]
assert mean.sharding.is_equivalent_to(fsdp["u"].sharding, 2), mean.sharding
bad = (np.where(np.arange(16)[:, None, None] % 5 == 3, np.inf, batch[0]), *batch[1:])
with jax.set_mesh(explicit):
    moments = gradient_moments(everything, params, put(bad, explicit, both), key=key, nan="drop")
check("Explicit is set, eager, keys, dropped", moments, masked, np.arange(16) % 5 != 3)
labels = (put(batch[0], auto, both), put(batch[1], auto, P()), batch[2])
check("Auto, eager, leaves beside", gradient_moments(everything, params, labels, chunk_size=1), whole)

split = {"w": P(None, "model"), "b": P("model"), "v": P("model", None)}
for mesh in (auto, explicit):
    named, parts = NamedSharding(mesh, P(None, None)), {name: put(small[name], mesh, split[name]) for name in small}
    def whole_mesh(p, example):
        h = jax.reshard(jnp.tanh(example[0] @ p["w"] + p["b"]), named)
        return jnp.sum((h @ jax.reshard(p["v"], named) - example[2]) ** 2) + jnp.sum(p["w"] ** 2)
    def annotated(p, example):
        h = jnp.tanh(jnp.dot(example[0], p["w"], out_sharding=P(None, "model")) + p["b"])
        return jnp.sum((jnp.dot(h, p["v"], out_sharding=P(None, None)) - example[2]) ** 2) + jnp.sum(p["w"] ** 2)
    losses = (dense,) if mesh is auto else (whole_mesh, annotated)
    for loss in losses:
        with jax.set_mesh(mesh):
            moments = gradient_moments(loss, parts, put(batch, mesh, P("data")), squared_norms=True)
        check(f"tensor-parallel, {loss.__name__}", moments, plain)
check("jit, Auto", jax.jit(lambda b: gradient_moments(dense, small, b, **extra))(put(batch, auto, both)), plain)
on_one = (put(batch[0], explicit, P("data")), *jax.device_put(batch[1:], jax.devices()[5]))
check("leaves on another device", gradient_moments(dense, small, on_one), plain)
of_batch = lambda p, b: jnp.mean(jax.vmap(dense, (None, 0))(p, b))
live = np.arange(16) % 5 != 3
moments = gradient_moments(of_batch, small, put(batch, explicit, P("data")), batched=True, mask=live)
check("Explicit, of a batch, some rows", moments, plain, live)
for blocks in (2, 6):  # of 8 rows, which go into 4 parts, and of 3, which do not
    noise = noise_scale(dense, small, put(batch, explicit, P("data")), blocks=blocks, progress=False)
    np.testing.assert_allclose(noise.trace, noise_scale(dense, small, batch, blocks=blocks, progress=False).trace, rtol=1e-9)
try:
    gradient_moments(lambda p, example: 1.0, small, put(batch, explicit, P("data")))
except ValueError as error:
    assert "loss" in str(error), error
else:
    raise SystemExit("a loss of nothing went unnoticed")

# inside shard_map: what each device's own examples give, as GIVEN parameters that do not vary, or cast to such that do
line = jax.make_mesh((4,), ("data",))
for checked, cast in ((True, False), (True, True), (False, False)):
    def own(p, b, cast=cast):
        p = jax.tree.map(lambda x: jax.lax.pcast(x, "data", to="varying"), p) if cast else p
        options = dict(squared_norms=True, second_moment=True) if cast else dict(nan="drop", key=key, chunk_size=3)
        moments = gradient_moments(everything if checked else dense, p, b, **options if checked else {})
        return jax.tree.map(lambda x: jnp.asarray(x)[None], moments)
    mapped = jax.jit(jax.shard_map(own, mesh=line, in_specs=(P(), P("data")), out_specs=P("data"), check_vma=checked))
    found = jax.tree.map(np.asarray, mapped(put(params if checked else small, line, P()), put(batch, line, P("data"))))
    if not checked:
        reference = plain
    elif cast:
        reference = whole
    else:  # every device counts its examples from 0
        four = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(16) % 4)
        reference = jax.tree.map(np.asarray, random(params, four))
    for i in range(4):
        mine = jax.tree.map(lambda x: x[i], found)
        rows = slice(4 * i, 4 * i + 4)
        check(f"shard_map {checked} {cast} {i}", mine, reference, rows)
def own(p, b):
    p = jax.tree.map(lambda x: x[0], p)
    return jax.tree.map(lambda x: jnp.asarray(x)[None], gradient_moments(of_batch, p, b, batched=True))
each = jax.tree.map(lambda x: jnp.stack([x] * 4), small)
found = jax.jit(jax.shard_map(own, mesh=line, in_specs=P("data"), out_specs=P("data")))(*put((each, batch), line, P("data")))
mine = jax.tree.map(lambda x: np.asarray(x)[2], found)
check("shard_map, of a batch", mine, plain, slice(8, 12))
print(json.dumps({"checks": count}))
"""
)


def test_every_kind_of_axis_gives_the_moments_of_plain_autodiff():
    out = run_on_devices(EIGHT_DEVICES, 8)
    assert json.loads(out.splitlines()[-1]) == {"checks": 22}


def test_one_device_with_an_explicit_mesh_whose_loss_says_how_products_are_spread():
    """With annotations checked, which the processes are without."""
    rng = np.random.default_rng(1)
    params, x = {"w": rng.normal(size=(3, 4)), "v": rng.normal(size=(4, 2))}, rng.normal(size=(6, 2, 3))

    def loss(p, x, **how):
        return jnp.sum(jnp.dot(jnp.tanh(x @ p["w"]), jnp.sin(p["v"]), **how) ** 2)

    def annotated(p, x):
        return loss(p, x, out_sharding=PartitionSpec(None, None))

    mesh = jax.make_mesh((1, 1), ("data", "model"), axis_types=(AxisType.Explicit,) * 2, devices=jax.devices()[:1])
    specs = {"w": PartitionSpec(None, "model"), "v": PartitionSpec("model", None)}
    with jax.enable_x64(True):
        g = jax.vmap(jax.grad(loss), (None, 0))(params, x)
        expected = [np.sum((a - a.mean(0)) ** 2) / 5 for a in map(np.asarray, jax.tree.leaves(g))]
        spread = {name: jax.device_put(a, NamedSharding(mesh, specs[name])) for name, a in params.items()}
        with jax.set_mesh(mesh):
            moments = gradient_moments(annotated, spread, x, squared_norms=True)
        assert moments.mean["w"].sharding.is_equivalent_to(spread["w"].sharding, 2)
        np.testing.assert_allclose(jax.tree.leaves(moments.trace_per_leaf), expected, rtol=1e-9)
        rows = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
        alone = jax.device_put(params, NamedSharding(mesh, PartitionSpec()))
        inside = jax.shard_map(
            lambda p, x: gradient_moments(loss, p, x, chunk_size=4).trace[None], mesh=mesh,
            in_specs=(PartitionSpec(), PartitionSpec("data")), out_specs=PartitionSpec("data"),
        )  # fmt: skip
        np.testing.assert_allclose(inside(alone, rows), sum(expected), rtol=1e-9)


TRAINING = (
    MODEL
    + """
import optax
from linvar.numeric import record_noise, recorded_noise

def train(place, mesh):
    "Three steps: a jitted step that donates parameters and the optimizer's state; what is recorded after each."
    optimizer = optax.chain(record_noise(decay=0.5), optax.adam(1e-2))
    def step(p, state, batch):
        moments = gradient_moments(dense, p, batch)
        updates, state = optimizer.update(moments.mean, state, p, moments=moments)
        return optax.apply_updates(p, updates), state
    step = jax.jit(step, donate_argnums=(0, 1))
    p = jax.tree.map(lambda x: place(x, P()), small)
    state = jax.tree.map(jnp.copy, optimizer.init(p))
    state = jax.tree.map(lambda x: place(np.asarray(x), P()) if x.is_fully_addressable else x, state)
    rows, found = jax.tree.map(lambda x: place(x, P("data")), batch), []
    for _ in range(3):
        p, state = step(p, state, rows)
        record = recorded_noise(state)
        found.append([float(record.variance), float(record.smoothed_variance), float(record.smoothed_noise_scale)])
    return found
"""
)

ON_EIGHT = (
    TRAINING
    + """
found = [train(lambda x, spec: jnp.array(x), None)]
for kind in (AxisType.Auto, AxisType.Explicit):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(kind,))
    found.append(train(lambda x, spec: jax.device_put(jnp.array(x), NamedSharding(mesh, spec)), mesh))
print(json.dumps(found))
"""
)

ON_TWO = (
    TRAINING
    + """
jax.distributed.initialize(sys.argv[1], num_processes=2, process_id=int(sys.argv[2]), initialization_timeout=60)
mesh = jax.make_mesh((2,), ("data",))
def place(x, spec):
    x, sharding = np.asarray(x), NamedSharding(mesh, spec)
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])
print(json.dumps([train(place, mesh)]))
"""
)


def test_a_jitted_training_loop_with_donated_state_records_the_noise_of_one_device():
    one, *many = json.loads(run_on_devices(ON_EIGHT, 8).splitlines()[-1])
    assert len(many) == 2 and len(one) == 3
    ended = two_processes(ON_TWO)
    for code, out, error in ended:
        assert code == 0, error[-3000:]
        many += json.loads(out.splitlines()[-1])
    for found in many:
        np.testing.assert_allclose(found, one, rtol=1e-9)
        assert not np.allclose(found, np.multiply(1.5, one), rtol=1e-2)
