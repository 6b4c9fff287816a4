"""A batch spread over many devices: every device sums its own examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

from linvar.errors import InputError, Words
from linvar.numeric.gradients.per_example.batches import merge_over
from linvar.numeric.gradients.per_example.sums import BatchSums, PerExample, Totals


@dataclass(frozen=True)
class Spread:
    """The axes of a mesh of devices over which the examples are spread."""

    mesh: Mesh | AbstractMesh
    axes: tuple[str, ...]


def spread_of(batch: PyTree) -> Spread | None:
    """Where the examples are spread over devices; None if they are on one."""
    found: set[Spread | None] = set()
    for leaf in jax.tree.leaves(batch):
        if isinstance(leaf, jax.core.Tracer):
            return None
        sharding = getattr(leaf, "sharding", None)
        if isinstance(sharding, NamedSharding) and len(sharding.device_set) > 1:
            first = tuple(sharding.spec)[:1]
            axes = first[0] if first else None
            found.add(Spread(sharding.mesh, (axes,) if isinstance(axes, str) else tuple(axes or ())))
        else:
            found.add(None)
    if len(found) > 1:
        raise InputError(
            "batch", Words(f"has leaves spread over devices in {len(found)} ways"), "give all the same NamedSharding"
        )
    (spread,) = found
    return spread if spread is not None and spread.axes else None


def spread_like(spread: Spread | None, mask: jax.Array) -> jax.Array:
    """One number an example, where the examples are."""
    if spread is None or isinstance(mask, jax.core.Tracer) or isinstance(spread.mesh, AbstractMesh):
        return mask
    placed: jax.Array = jax.device_put(mask, NamedSharding(spread.mesh, PartitionSpec(spread.axes)))
    return placed


def on_every_device(
    of_examples: Callable[[Sequence[jax.Array], Sequence[jax.Array]], BatchSums],
    spread: Spread,
    leaves: Sequence[jax.Array],
    arrays: Sequence[jax.Array],
) -> BatchSums:
    """Every device sums its own examples; what is kept of an example stays with its device."""
    rows, everywhere = PartitionSpec(spread.axes), PartitionSpec()

    def of_shard(leaves: Sequence[jax.Array], arrays: Sequence[jax.Array]) -> tuple[Totals, PerExample]:
        own = of_examples(leaves, arrays)
        return merge_over(spread.axes, own.totals), own.each

    mapped = jax.shard_map(
        of_shard, mesh=spread.mesh, in_specs=(everywhere, rows), out_specs=(everywhere, rows), check_vma=False
    )
    return BatchSums(*mapped(leaves, arrays))
