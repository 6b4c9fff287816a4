"""What is measured beside the trace of a batch spread over devices: as on one device."""

import pytest
from processes import run_on_devices

DEVICES = """
import numpy as np
import jax, jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from linvar.numeric import gradient_moments, hessian_noise_scale
jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)
params = {"w": rng.normal(size=(4, 3)), "b": rng.normal(size=3), "t": rng.normal(size=(5, 4))}
batch = (rng.normal(size=(12, 4)), rng.integers(0, 5, 12))
live = np.arange(12) % 5 != 3

def loss(p, e):
    return jnp.sum(jnp.tanh((e[0] + p["t"][e[1]]) @ p["w"] + p["b"]) ** 3)

def measured(p, b, mask):
    moments = gradient_moments(
        loss, p, b, mask=mask, variance=True, along="mean", clip_norm=2.0, chunk_size=2
    )
    curved = hessian_noise_scale(loss, p, b, jax.random.key(0), probes=2, mask=mask, chunk_size=2)
    return moments.variance, moments.along, moments.clipped_mean, moments.cosines, curved.trace, curved.curvature

def same(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
    assert not np.allclose(found[0]["w"], 1.5 * expected[0]["w"])

expected = jax.jit(measured)(params, batch, live)
for kind in KINDS:
    mesh = jax.make_mesh((4,), ("data",), axis_types=(kind,))
    spread = jax.device_put((batch, live), NamedSharding(mesh, P("data")))
    with jax.set_mesh(mesh):
        same(jax.jit(measured)(params, *spread), expected)
same(measured(params, spread[0], live), expected)
if MANUAL:  # each device's own examples
    def own(p, b):
        return jax.tree.map(lambda x: jnp.asarray(x)[None], measured(p, b, None))
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
    found = jax.jit(jax.shard_map(own, mesh=mesh, in_specs=(P(), P("data")), out_specs=P("data")))(params, batch)
    for i in range(4):
        rows = slice(3 * i, 3 * i + 3)
        mine = jax.tree.map(lambda x: x[i], found)
        same(mine, jax.jit(measured)(params, jax.tree.map(lambda x: x[rows], batch), None))
print("all the same")
"""


@pytest.mark.parametrize(
    ("kinds", "manual"),
    [("[AxisType.Auto]", False), pytest.param("[AxisType.Explicit]", True, marks=pytest.mark.slow)],
)
def test_measures_of_a_batch_on_four_devices(kinds, manual):
    assert "all the same" in run_on_devices(DEVICES.replace("KINDS", kinds).replace("MANUAL", str(manual)), 4)
