"""What a history of noise keeps of one measurement, whatever measured it; on its way from the device without waiting for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatch

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from linvar.errors import InputError, InputTypeError, Words
from linvar.numeric.gradients.leaves import leaf_names
from linvar.numeric.gradients.recorder import NoiseRecord, arrays_of
from linvar.numeric.gradients.result import GradientMoments
from linvar.numeric.gradients.scale import NoiseScale

#: what stands before the numbers of the leaves: NaN where it is not known
HEAD = ("loss", "batch_size", "count", "weight", "skipped", "cancelled")
#: of every leaf
BLOCKS = ("trace", "squared_mean", "average_trace", "average_squared_mean")


@dataclass(frozen=True)
class Reading:
    """One measurement: numbers of the host or of a device.

    Attributes:
        names: of the leaves.
        values: the numbers of ``HEAD``, then one a leaf of each of ``BLOCKS``; NaN where there is none.
        running: whether ``skipped`` and ``cancelled`` count since the first step; otherwise they are of this one alone.
    """

    names: tuple[str, ...]
    values: list[object]
    running: bool

    @classmethod
    def of(cls, head: dict[str, object], *blocks: PyTree, running: bool) -> Reading:
        """From the numbers of ``HEAD`` that are known, and trees of one number a leaf: the first of ``BLOCKS``."""
        names = leaf_names(blocks[0])
        found = [jax.tree.leaves(block) for block in blocks]
        found += [[np.nan] * len(names)] * (len(BLOCKS) - len(blocks))
        return cls(names, [head.get(name, np.nan) for name in HEAD] + sum(found, []), running)

    def having(self, **known: object) -> Reading:
        """The same, with what the caller knows better."""
        values = list(self.values)
        for name, value in known.items():
            values[HEAD.index(name)] = value
        return Reading(self.names, values, self.running)

    def ordered(self, names: tuple[str, ...]) -> Reading:
        """The same with its leaves in another order."""
        first = len(HEAD)
        order = [self.names.index(name) for name in names]
        blocks = [self.values[first + b * len(names) :][: len(names)] for b in range(len(BLOCKS))]
        return Reading(names, self.values[:first] + [block[k] for block in blocks for k in order], self.running)


@singledispatch
def reading_of(noise: object) -> Reading:
    """What a measurement says of the noise. What measures it registers here.

    Raises:
        InputTypeError: it does not.
    """
    cure = "give linvar.recorded_noise(opt_state), or what linvar.gradient_moments or linvar.noise_scale returns"
    raise InputTypeError("noise", Words(f"is of type {type(noise).__name__}"), cure)


@reading_of.register
def _(noise: NoiseRecord) -> Reading:
    noise = arrays_of(noise)
    head = {name: getattr(noise, name) for name in ("count", "weight", "skipped", "cancelled")}
    blocks = (noise.trace, noise.squared_mean, noise.trace_average, noise.squared_mean_average)
    return Reading.of(head, *blocks, running=True)


@reading_of.register
def _(noise: GradientMoments) -> Reading:
    head: dict[str, object] = {"loss": noise.loss, "batch_size": noise.examples, "cancelled": noise.cancelled}
    return Reading.of(head, noise.trace_per_leaf, noise.squared_mean_per_leaf, running=False)


@reading_of.register
def _(noise: NoiseScale) -> Reading:
    return Reading.of({"loss": noise.loss}, noise.trace_per_leaf, noise.squared_mean_per_leaf, running=False)


@dataclass(frozen=True)
class Packed:
    """A reading whose numbers may still be computed: those of a device in arrays of their own, which nothing donates.

    Attributes:
        step: when.
        host: all of ``Reading.values`` that are known, NaN in the places of others.
        places: of those, for each array of ``device``.
        device: numbers on their way to the host.
        running: of the reading.
    """

    step: int
    host: np.ndarray
    places: list[list[int]]
    device: list[jax.Array]
    running: bool = field(kw_only=True)

    @classmethod
    def of(cls, step: int, reading: Reading) -> Packed:
        """Start the transfer; wait for nothing, but where the numbers lie on devices that no program has together."""
        if not reading.names:
            raise InputError("noise", Words("has no leaf"), "give the noise of at least one parameter")
        host, values = np.full(len(reading.values), np.nan), reading.values
        where = [place for place, value in enumerate(values) if isinstance(value, jax.Array)]
        if any(_is_deleted(values[place]) for place in where):
            fault = Words("is no longer there: its arrays were donated or deleted")
            raise InputError(
                "noise", fault, "append the record of the state that the step returned, before the next step"
            )
        for place in set(range(len(values))).difference(where):
            _check_scalar(values[place])
            host[place] = values[place]  # type: ignore[call-overload]
        counts = [place for place in where if place < len(HEAD) and not _is_float(values[place])]
        places = [own for own in (counts, [place for place in where if place not in counts]) if own]
        parts = [[values[place] for place in own] for own in places]
        try:
            device = [_stacked(own) for own in parts]
        except InputError:
            raise
        except ValueError:  # of several devices
            for place in where:
                host[place] = np.asarray(values[place])
            return cls(step, host, [], [], running=reading.running)
        for array in device:
            if isinstance(array, jax.core.Tracer):
                raise InputTypeError(
                    "noise", Words("is traced"), "append outside jit, vmap and scan, where numbers are known"
                )
            array.copy_to_host_async()
        return cls(step, host, places, device, running=reading.running)

    def numbers(self) -> np.ndarray:
        """All of them, once they have arrived."""
        found = self.host.copy()
        for places, numbers in zip(self.places, self.device):
            found[places] = np.asarray(numbers)
        return found


@jax.jit
def _stacked(numbers: list[jax.Array]) -> jax.Array:
    """Copies in one array."""
    for number in numbers:
        _check_scalar(number)
    return jnp.stack(numbers)


def _is_deleted(value: object) -> bool:
    """Of a device; a traced one is refused by its own name."""
    return isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer) and value.is_deleted()


def _is_float(value: object) -> bool:
    """Of a device."""
    return bool(jnp.issubdtype(value.dtype, jnp.floating))  # type: ignore[attr-defined]


def _check_scalar(value: object) -> None:
    """One number, of one run."""
    shape = getattr(value, "shape", ())
    if shape != ():
        cure = "keep a history of each, jax.tree.map(lambda x: x[i], noise)"
        raise InputError("noise", Words(f"has numbers of shape {shape}, as of many runs"), cure)
    if isinstance(value, jax.ShapeDtypeStruct):
        raise InputTypeError("noise", Words("is abstract, it has shapes only"), "give what a step has computed")
