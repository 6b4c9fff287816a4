"""A batch spread over many devices: every device sums its own examples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import jax
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from linvar.errors import InputError, Words
from linvar.numeric.gradients.per_example.batches import merge_over
from linvar.numeric.gradients.per_example.meshes import Spec, Types, explicit_axes, placed, spec_of, vary, varying
from linvar.numeric.gradients.per_example.totals import BatchSums, PerExample, Totals

#: (types of the inputs of the loss, leaves, arrays with the examples first) -> their sums.
SumsOf: TypeAlias = Callable[[Types, Sequence[jax.Array], Sequence[jax.Array]], BatchSums]


@dataclass(frozen=True)
class Spread:
    """The axes of a mesh of devices over which the examples are spread."""

    mesh: Mesh | AbstractMesh
    axes: tuple[str, ...]

    @property
    def parts(self) -> int:
        """Into how many parts."""
        return math.prod(self.mesh.shape[axis] for axis in self.axes)


def spread_of(batch: PyTree) -> Spread | None:
    """Where the examples are spread over devices, the widest way of all leaves; None if they are not.

    Under ``jit`` only the Explicit axes of a mesh are known; over others the compiler spreads the work.

    Raises:
        InputError: leaves are spread over other devices.
    """
    leaves = jax.tree.leaves(batch)
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in leaves)
    found = [spread for leaf in leaves if (spread := _spread(leaf, traced)) is not None]
    if not traced and len({frozenset(spread.mesh.devices.flat) for spread in found}) > 1:
        raise InputError(
            "batch", Words("has leaves spread over different devices"), "spread all over the devices of one mesh"
        )
    return max(found, key=lambda spread: spread.parts, default=None)


def _spread(leaf: object, traced: bool) -> Spread | None:
    """Of one leaf."""
    sharding = jax.typeof(leaf).sharding if traced else getattr(leaf, "sharding", None)
    if not isinstance(sharding, NamedSharding):
        return None
    axes = _tuple(next(iter(sharding.spec), None))
    spread = Spread(sharding.mesh, axes)
    return spread if spread.parts > 1 else None


def _tuple(axes: str | Sequence[str] | None) -> tuple[str, ...]:
    """Axes of a mesh over which one axis of an array is spread."""
    return (axes,) if isinstance(axes, str) else tuple(axes or ())


def beside(batch: PyTree, spread: Spread | None) -> PyTree:
    """The batch with every leaf spread as the widest one is; leaves of a program that runs are left to it."""
    if spread is None or not isinstance(spread.mesh, Mesh):
        return batch
    rows = NamedSharding(spread.mesh, PartitionSpec(spread.axes))
    return jax.tree.map(lambda x: x if _spread(x, traced=False) == spread else jax.device_put(x, rows), batch)


def some_rows(batch: PyTree, start: int, stop: int) -> PyTree:
    """Some examples; where they come from many devices, spread over these again if they can be."""
    spread = spread_of(batch)
    if spread is None or not isinstance(spread.mesh, Mesh):
        return jax.tree.map(lambda x: x[start:stop], batch)
    axes = spread.axes if (stop - start) % spread.parts == 0 else None
    there = NamedSharding(spread.mesh, PartitionSpec(axes))

    def taken(x: jax.Array | np.ndarray) -> jax.Array:
        alone = _spread(x, traced=False) is None
        found: jax.Array = jax.device_put(x[start:stop], there) if alone else _taken(x, start, stop - start, there)
        return found

    return jax.tree.map(taken, batch)


def spread_like(spread: Spread | None, mask: jax.Array) -> jax.Array:
    """One number an example, where the examples are."""
    if spread is None or isinstance(mask, jax.core.Tracer) or isinstance(spread.mesh, AbstractMesh):
        return mask
    placed: jax.Array = jax.device_put(mask, NamedSharding(spread.mesh, PartitionSpec(spread.axes)))
    return placed


def on_every_device(
    sums_of: SumsOf, spread: Spread | None, leaves: Sequence[jax.Array], arrays: Sequence[jax.Array]
) -> BatchSums:
    """Every device sums its own examples; what is kept of an example stays with its device.

    Args:
        sums_of: the sums of one device's examples.
        spread: over which axes of a mesh the examples are spread; the leaves are then the same along these.
        leaves: of the parameters.
        arrays: examples first.
    """
    if spread is None:
        return _of_device(sums_of, leaves, arrays)
    mesh, specs = spread.mesh.abstract_mesh, [spec_of(x) for x in leaves]
    if not explicit_axes(mesh):
        return _in_shards(sums_of, spread, leaves, arrays)
    arrays = [placed(x, mesh, (spread.axes, *_without(spec_of(x)[1:], spread.axes))) for x in arrays]
    same = [placed(x, mesh, _without(spec, spread.axes)) for x, spec in zip(leaves, specs)]
    try:
        totals, each = _in_shards(sums_of, spread, same, arrays)
    except ValueError as error:
        if isinstance(error, InputError) and error.__cause__ is None:
            raise
        # a loss that names the whole mesh does not run where axes of it are Manual: every device takes all
        return _of_device(sums_of, leaves, arrays)
    return BatchSums(totals.with_tables(lambda xs: [placed(x, mesh, spec) for x, spec in zip(xs, specs)]), each)


def _in_shards(sums_of: SumsOf, spread: Spread, leaves: Sequence[jax.Array], arrays: Sequence[jax.Array]) -> BatchSums:
    """Every shard by itself."""
    rows, everywhere = PartitionSpec(spread.axes), PartitionSpec()

    def of_shard(leaves: Sequence[jax.Array], arrays: Sequence[jax.Array]) -> tuple[Totals, PerExample]:
        found = _of_device(sums_of, leaves, arrays, spread.axes)
        return found.totals, found.each

    mapped = jax.shard_map(
        of_shard, mesh=spread.mesh, in_specs=(everywhere, rows), out_specs=(everywhere, rows),
        axis_names=set(spread.axes), check_vma=False,
    )  # fmt: skip
    return BatchSums(*mapped(list(leaves), list(arrays)))


def _of_device(
    sums_of: SumsOf, leaves: Sequence[jax.Array], arrays: Sequence[jax.Array], axes: tuple[str, ...] = ()
) -> BatchSums:
    """The sums of one device's examples, merged over axes of a mesh; the mean is spread as the leaves are."""
    own = varying(arrays)
    leaves, arrays = [vary(x, own) for x in leaves], [vary(x, own) for x in arrays]
    types = Types.of(leaves, arrays)
    with types.automatic():
        totals, each = sums_of(types, types.leaving(leaves), types.leaving(arrays))
        totals = merge_over(axes, totals) if axes else totals
    mesh = types.mesh
    if mesh is None:
        return BatchSums(totals, each)
    totals, each = jax.tree.map(lambda x: placed(x, mesh), (totals, each))
    return BatchSums(totals.with_tables(types.entering), each)


def _without(spec: Spec, axes: tuple[str, ...]) -> Spec:
    """Spread over no axis of these."""
    return tuple(tuple(a for a in _tuple(own) if a not in axes) or None for own in spec)


@partial(jax.jit, static_argnums=(2, 3))
def _taken(x: jax.Array, start: int | jax.Array, length: int, there: NamedSharding) -> jax.Array:
    """Rows of an array that is spread over devices, spread over them in another way."""
    types = Types.of([], [x])
    with types.automatic():
        (rows,) = types.leaving([x])
        rows = jax.lax.dynamic_slice_in_dim(rows, start, length)
    mesh = types.mesh
    found: jax.Array = (
        jax.lax.with_sharding_constraint(rows, there) if mesh is None else placed(rows, mesh, tuple(there.spec))
    )
    return found
