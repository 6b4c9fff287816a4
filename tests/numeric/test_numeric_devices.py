"""Many devices and many processes: the numbers of one device, and a clear error where a part is missing."""

import json

import jax
import numpy as np
import pytest
from processes import run_on_devices, two_processes

MODEL = """
import json, sys
import numpy as np
import jax, jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec as P
from linvar.numeric import gradient_moments, noise_scale

rng = np.random.default_rng(0)
shapes = {"w": (6, 5), "k": (3, 5, 4), "t": (9, 6)}
params = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
x, tokens = rng.normal(size=(48, 7, 6)).astype("float32"), rng.integers(0, 9, (48, 7))

def loss(p, e):
    h = jnp.tanh((e[0] + p["t"][e[1]]) @ p["w"])
    out = jax.lax.conv_general_dilated(h[None], p["k"], (1,), "SAME", dimension_numbers=("NHC", "HIO", "NHC"))
    return jnp.sum(out ** 2) + 0.1 * jnp.sum(p["w"] ** 2)

def summary(m):
    leaves = [float(v) for v in jax.tree.leaves(m.trace_per_leaf)]
    mean = float(sum(jnp.sum(v ** 3) for v in jax.tree.leaves(m.mean)))
    found = {"trace": float(m.trace), "leaves": leaves, "mean": mean, "examples": int(m.examples)}
    extra = {name: getattr(m, name) for name in ("standard_error", "blocks", "two_batch") if hasattr(m, name)}
    return {**found, "squared_mean": float(m.squared_mean), **extra}
"""

EIGHT_DEVICES = (
    MODEL
    + """
assert len(jax.devices()) == 8
mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
rows = NamedSharding(mesh, P(("a", "b")))
def random_loss(p, e, *, key):
    return loss(p, (e[0] * jax.random.bernoulli(key, 0.5, e[0].shape), e[1]))
bad = x.copy(); bad[17, 2, 3] = np.nan; bad[18:24] = np.inf
whole = lambda p, b: jnp.mean(jax.vmap(lambda e: loss(p, e))(b))
cases = [
    dict(), dict(chunk_size=2), dict(squared_norms=True, second_moment=True, centred=True),
    dict(loss=random_loss, key=jax.random.key(1)), dict(data=bad, nan="drop"), dict(loss=whole, batched=True),
]
specs = (P(("a", "b")), P("a"), P("b"))
for number, case in enumerate(cases):
    case = dict(case)
    f, data = case.pop("loss", loss), case.pop("data", x)
    plain = gradient_moments(f, params, (data, tokens), **case)
    for spec in specs if number == 0 or sys.argv[1] == "every" else (specs[number % 3],):
        batch = jax.device_put((data, tokens), NamedSharding(mesh, spec))
        many = gradient_moments(f, params, batch, explain=True, **case)
        one, more = summary(plain), summary(many)
        for name in one:
            np.testing.assert_allclose(more[name], one[name], rtol=2e-5, err_msg=f"{case} {name}")
        if plain.squared_norms is not None:
            assert len(many.squared_norms.sharding.device_set) == 8
            np.testing.assert_allclose(many.squared_norms, plain.squared_norms, rtol=2e-5)
            for a, b in zip(jax.tree.leaves(many.second_moment), jax.tree.leaves(plain.second_moment)):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
batch = jax.device_put((x, tokens), rows)
inside = jax.jit(lambda p, b: gradient_moments(loss, p, b).trace)
np.testing.assert_allclose(inside(params, batch), gradient_moments(loss, params, (x, tokens)).trace, rtol=2e-5)
try:
    gradient_moments(loss, params, jax.device_put((bad, tokens), rows))
except FloatingPointError as error:
    assert "7 of 48 examples" in str(error), error
else:
    raise SystemExit("a NaN went unnoticed")
apart = [jax.sharding.Mesh(np.asarray(jax.devices()[i : i + 4]), ("a",)) for i in (0, 4)]
halves = [jax.device_put(a, NamedSharding(mesh, P("a"))) for a, mesh in zip((x, tokens), apart)]
try:
    gradient_moments(loss, params, tuple(halves))
except ValueError as error:
    assert "leaves spread over different devices" in str(error), error
else:
    raise SystemExit("leaves on different devices went unnoticed")
print(json.dumps({"done": len(cases)}))
"""
)

PROCESS = (
    MODEL
    + """
address, process, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
jax.distributed.initialize(address, num_processes=2, process_id=process, heartbeat_timeout_seconds=10, initialization_timeout=60)
if how == "lost" and process == 1:
    import os
    os._exit(1)
if how in ("moments", "lost"):
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows, mine = NamedSharding(mesh, P("data")), slice(24 * process, 24 * (process + 1))
    batch = tuple(jax.make_array_from_process_local_data(rows, a[mine]) for a in (x, tokens))
    print(json.dumps(summary(gradient_moments(loss, params, batch))))
elif how == "noise":
    mine = slice(0, 30) if process == 0 else slice(30, 48)
    found = noise_scale(loss, params, (x[mine], tokens[mine]), blocks=3)
    print(json.dumps(summary(found)))
else:
    x = x.copy()
    if how == "nan" and process == 1:
        x[5] = np.nan
    data = iter([]) if how == "empty" and process == 1 else (x, tokens)
    noise_scale(loss, params, data)
"""
)


@pytest.mark.slow
@pytest.mark.parametrize("layouts", ["one", "every"])
def test_eight_devices_give_the_numbers_of_one(layouts):
    """The plain case with the examples spread in every way, the others in one way each, or in every way."""
    out = run_on_devices(EIGHT_DEVICES, 8, layouts)
    assert json.loads(out.splitlines()[-1])["done"] == 6


ALONE = (
    MODEL
    + """
edges = (0, 10, 20, 30, 36, 42, 48)
parts = iter([(x[i:j], tokens[i:j]) for i, j in zip(edges, edges[1:])])
found = {"moments": gradient_moments(loss, params, (x, tokens)), "noise": noise_scale(loss, params, parts)}
alone = {how: summary(value) for how, value in found.items()}
"""
)


@pytest.fixture(scope="module")
def alone():
    """The same numbers in one process: this one, on one device of its CPU."""
    names = {}
    with jax.default_device(jax.devices("cpu")[0]):
        exec(ALONE, names)
    return json.loads(json.dumps(names["alone"]))


def test_two_processes_give_the_numbers_of_one(alone):
    expected = alone["moments"]
    for code, out, error in two_processes(PROCESS, "moments"):
        assert code == 0, error[-3000:]
        found = json.loads(out.splitlines()[-1])
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=2e-5, err_msg=name)


def test_the_noise_scale_of_two_processes_with_unequal_parts(alone):
    expected = alone["noise"]
    ended = two_processes(PROCESS, "noise")
    for code, out, error in ended:
        assert code == 0, error[-3000:]
        found = json.loads(out.splitlines()[-1])
        assert found["blocks"] == 6
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-4, err_msg=name)
    assert ended[0][1].splitlines()[-1] == ended[1][1].splitlines()[-1]


@pytest.mark.parametrize(
    ("how", "messages"),
    [
        pytest.param("empty", ["process 1 of 2 has no examples"] * 2, marks=pytest.mark.slow),
        ("nan", ["process 1 of 2 failed", "have a loss or a gradient that is not finite"]),
    ],
)
def test_a_part_that_is_missing_or_bad_is_an_error_everywhere(how, messages):
    for (code, _, error), message in zip(two_processes(PROCESS, how), messages):
        assert code != 0 and message in error, error[-3000:]


@pytest.mark.slow
def test_a_lost_process_ends_the_other():
    (code, out, error), _ = two_processes(PROCESS, "lost")
    assert code != 0 and "trace" not in out, error[-3000:]
    assert "heartbeat" in error.lower() or "connection" in error.lower() or "unhealthy" in error.lower(), error[-3000:]
