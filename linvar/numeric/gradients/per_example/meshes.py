"""What the types of values say of many devices: the axes of a mesh along which they vary, and over which they are spread.

Inside ``jax.shard_map`` (axes that are Manual) a value is the same on all devices along an axis, or varies. A derivative by one
that is the same is SUMMED over the devices; by one that varies it is each device's own, which is what is wanted here.

On an axis that is Explicit every value's type says how it is spread, and an operation whose result could be spread in several
ways is refused; on one that is Auto the compiler chooses. The loss runs under the types that its author saw. What is done with
its inputs and cotangents runs with the Explicit axes made Auto: it must not depend on how the parameters are spread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jax.extend import core
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec, get_abstract_mesh, use_abstract_mesh
from jax.typing import ArrayLike, DTypeLike

#: For every axis of a value, the axes of a mesh that it is spread over: one, several, or None.
Spec: TypeAlias = tuple[str | tuple[str, ...] | None, ...]


def varying(values: Iterable[jax.Array | jax.ShapeDtypeStruct]) -> frozenset[str]:
    """Axes of a mesh along which any of these values varies."""
    return frozenset().union(*(jax.typeof(x).manual_axis_type.varying for x in values))


def vary(x: jax.Array, axes: frozenset[str]) -> jax.Array:
    """The same value, as one that varies along these axes."""
    more = tuple(sorted(axes - varying([x])))
    cast: jax.Array = jax.lax.pcast(x, more, to="varying") if more else x
    return cast


def placed(x: jax.Array, mesh: AbstractMesh, spec: Spec = ()) -> jax.Array:
    """The same value, spread over a mesh in this way."""
    there: jax.Array = jax.reshard(x, NamedSharding(mesh, PartitionSpec(*spec)))
    return there


def spec_of(x: jax.Array) -> Spec:
    """How the type of a value says it is spread."""
    return tuple(jax.typeof(x).sharding.spec)


def explicit_axes(mesh: AbstractMesh) -> list[str]:
    """Axes of a mesh over which the types of values say how they are spread."""
    return [name for name, kind in zip(mesh.axis_names, mesh.axis_types) if kind == AxisType.Explicit]


@dataclass(frozen=True)
class Types:
    """How the inputs of a loss, leaves and the arrays of one example, are spread over the Explicit axes of a mesh.

    Attributes:
        mesh: None if no axis is Explicit: then there is nothing to do.
        specs: of every input.
    """

    mesh: AbstractMesh | None
    specs: tuple[Spec, ...]

    @staticmethod
    def of(leaves: Sequence[jax.Array], arrays: Sequence[jax.Array]) -> Types:
        """Of leaves, and of arrays with the examples first, along which they are not spread."""
        meshes = [get_abstract_mesh(), *(jax.typeof(x).sharding.mesh for x in (*leaves, *arrays))]
        return Types(_explicit(meshes), (*map(spec_of, leaves), *(spec_of(x)[1:] for x in arrays)))

    @staticmethod
    def declared(program: core.Jaxpr) -> Types:
        """Of a program's inputs."""
        shardings = [v.aval.sharding for v in program.invars]  # type: ignore[attr-defined]
        return Types(_explicit(s.mesh for s in shardings), tuple(tuple(s.spec) for s in shardings))

    @contextmanager
    def explicit(self) -> Iterator[None]:
        """Where the loss runs."""
        with _under(self.mesh):
            yield

    @contextmanager
    def automatic(self) -> Iterator[None]:
        """Where everything else runs."""
        with _under(None if self.mesh is None else _automatic(self.mesh)):
            yield

    def entering(self, arrays: Sequence[jax.Array], first: int = 0, lead: int = 0) -> list[jax.Array]:
        """Inputs from the ``first`` on as the loss takes them, with ``lead`` more axes before their own."""
        mesh = self.mesh
        if mesh is None:
            return list(arrays)
        return [placed(x, mesh, ((None,) * lead + spec)) for x, spec in zip(arrays, self.specs[first:])]

    def leaving(self, arrays: Sequence[jax.Array]) -> list[jax.Array]:
        """Values as everything else takes them."""
        mesh = self.mesh
        return list(arrays) if mesh is None else [placed(x, _automatic(mesh)) for x in arrays]

    def opened(
        self, loss: Callable[[Sequence[jax.Array], Sequence[jax.Array]], ArrayLike]
    ) -> Callable[[Sequence[jax.Array], Sequence[jax.Array]], ArrayLike]:
        """The loss of leaves and one example, to be called where axes are Auto."""
        if self.mesh is None:
            return loss

        def called(leaves: Sequence[jax.Array], example: Sequence[jax.Array]) -> ArrayLike:
            with self.explicit():
                value = jnp.asarray(loss(self.entering(leaves), self.entering(example, len(leaves))))
            return self.leaving([value])[0]

        return called

    def shapes(self, leaves: Sequence[jax.Array], arrays: Sequence[jax.Array]) -> list[list[jax.ShapeDtypeStruct]]:
        """Of the leaves and of one example, with their types."""
        mesh = get_abstract_mesh() if self.mesh is None else self.mesh
        specs = self.specs if self.mesh is not None else ((),) * len(self.specs)
        shapes = [x.shape for x in leaves] + [x.shape[1:] for x in arrays]
        found = [
            shape_like(jax.typeof(x), shape, NamedSharding(mesh, PartitionSpec(*spec)))
            for x, shape, spec in zip([*leaves, *arrays], shapes, specs)
        ]
        return [found[: len(leaves)], found[len(leaves) :]]


def shape_like(
    aval: jax.core.ShapedArray, shape: tuple[int, ...] | None = None, sharding: NamedSharding | None = None
) -> jax.ShapeDtypeStruct:
    """A shape, this one's if not given, that varies as this one does, and is spread as it is or in another way."""
    shape = tuple(aval.shape) if shape is None else shape
    sharding = aval.sharding if sharding is None else sharding
    if sharding.mesh.empty:
        return jax.ShapeDtypeStruct(shape, aval.dtype, weak_type=aval.weak_type)
    kind = aval.manual_axis_type
    return jax.ShapeDtypeStruct(shape, aval.dtype, weak_type=aval.weak_type, sharding=sharding, manual_axis_type=kind)


def zeros_of(aval: jax.core.ShapedArray, shape: Sequence[int], dtype: DTypeLike | None = None) -> jax.Array:
    """Zeros that vary and are spread as a variable is, after as many axes as ``shape`` has more."""
    zeros, mesh = jnp.zeros(shape, aval.dtype if dtype is None else dtype), aval.sharding.mesh
    if explicit_axes(mesh):
        zeros = placed(zeros, mesh, (None,) * (len(shape) - len(aval.shape)) + tuple(aval.sharding.spec))
    return vary(zeros, aval.manual_axis_type.varying)


def zeros_as(x: jax.Array | jax.ShapeDtypeStruct, shape: tuple[int, ...], dtype: DTypeLike) -> jax.Array:
    """Zeros that vary between devices as ``x`` does: a sum that starts with them in a ``scan`` keeps its type."""
    return vary(jnp.zeros(shape, dtype), varying([x]))


def _explicit(meshes: Iterable[AbstractMesh]) -> AbstractMesh | None:
    """The first mesh with Explicit axes."""
    return next((mesh for mesh in meshes if explicit_axes(mesh)), None)


def _automatic(mesh: AbstractMesh) -> AbstractMesh:
    """The mesh with its Explicit axes made Auto."""
    free: AbstractMesh = mesh.update_axis_types(dict.fromkeys(explicit_axes(mesh), AxisType.Auto))
    return free


@contextmanager
def _under(mesh: AbstractMesh | None) -> Iterator[None]:
    """With a mesh set, if there is one."""
    if mesh is None:
        yield
    else:
        with use_abstract_mesh(mesh):
            yield
