"""The road of the lattice, as it is asked for; JAX is loaded where it is taken."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, ClassVar

from linvar.arguments import check_integer
from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.exact import ordered
from linvar.keywords import door_of_class
from linvar.symbolic.roads.lattice.size import predict
from linvar.symbolic.sgd.questions import Norms
from linvar.symbolic.sgd.road import NOT_COMPARED, Road, RoadPlan
from linvar.symbolic.sgd.steps import Steps
from linvar.text_files import checked_path

if TYPE_CHECKING:
    import jax

    from linvar.symbolic.roads.lattice.integrator import LatticeSum

_MOST_STEPS = 40
#: products beyond which the prediction, which runs the steps on numbers that count, takes more than a moment
_MOST_PREDICTED = 10**6
_NOTHING_VARIES = "nothing varies in the batches of any step, so there is nothing to sum"


@door_of_class
@dataclass(frozen=True)
class Lattice:
    """Run SGD on a lattice of integer batch moments modulo many primes, in JAX; for two layers and more, numbers only.

    The answer is fractions that three primes confirm, wrong with probability below 2^-65
    (``linvar.symbolic.roads.lattice.reconstruction``).

    Args:
        checkpoint: a file in which the residues of finished primes are kept; an interrupted derivation goes on from it.
        devices: the devices that share the nodes; all of JAX's if None, or the host's where those have no exact float64 (TPUs).
        block_bytes: about how much memory the arrays of one block of nodes may take.

    Raises:
        InputTypeError, InputError: the checkpoint is no path, the devices are none of JAX's or there is none, or the bytes no
            positive integer.

    >>> import linvar as lv
    >>> lv.gradient_variance(lv.Problem([[[1]], [[2]]], lv.Gaussian([[3]])), lv.Lattice()).coefficients
    (0, 10)
    """

    checkpoint: str | os.PathLike[str] | None = None
    devices: tuple[jax.Device, ...] | None = None
    block_bytes: int = 2**25

    name: ClassVar[str] = "lattice"

    def __post_init__(self) -> None:
        if self.checkpoint is not None:
            checked_path(self.checkpoint, "checkpoint")
        if self.devices is not None:
            object.__setattr__(self, "devices", _checked_devices(self.devices))
        object.__setattr__(self, "block_bytes", check_integer(self.block_bytes, "block_bytes"))
        if self.block_bytes < 1:
            raise InputError("block_bytes", self.block_bytes, "give a number of bytes, >= 1")

    def cost(self, steps: Steps, *, thorough: bool = False) -> RoadPlan:
        """The nodes and the primes, and what they take; a long prediction waits."""
        problem = steps.problem
        if steps.model.closure.elsewhere is not None:
            return RoadPlan(self.name, obstacle=steps.model.closure.elsewhere)
        if problem.symbols:
            return RoadPlan(self.name, obstacle="it takes numbers, no symbols")
        if _is_long_to_predict(steps):
            if not thorough:
                return RoadPlan(self.name, obstacle=NOT_COMPARED, waits=True)
            if not _varies(steps):
                return RoadPlan(self.name, obstacle=_NOTHING_VARIES)
        if problem.step > _MOST_STEPS:
            return RoadPlan(self.name, "far too many nodes", math.inf, 10**24)
        size = predict(steps, Norms().degree(problem.degree))
        seconds = size.seconds + size.compilation + steps.preparation + steps.moment_seconds
        if not size.primes:
            return RoadPlan(self.name, "10^15 nodes and more", seconds, size.bytes)
        return RoadPlan(self.name, f"{size.nodes:,} nodes, about {size.primes:,} primes", seconds, size.bytes)

    def integrators(self, steps: Steps, at: Sequence[int]) -> tuple[LatticeSum, ...]:
        """A grid each."""
        problem = steps.problem
        if problem.symbols:
            names = ", ".join(map(str, problem.symbols))
            words = Words(f"takes numbers only, and the problem has the symbols {cut(names)}")
            raise InputError("the lattice", words, "give them values")
        if self.checkpoint is not None and len(at) > 1:
            name = checked_path(self.checkpoint, "checkpoint")
            fault = "with several steps, where a file holds one problem"
            raise InputError("checkpoint", name, "ask for one step", fault=fault)
        from linvar.symbolic.roads.lattice.integrator import LatticeSum

        return tuple(
            LatticeSum(steps.until(t), checkpoint=self.checkpoint, devices=self.devices, block_bytes=self.block_bytes)
            for t in at
        )


def _checked_devices(devices: Iterable[jax.Device]) -> tuple[jax.Device, ...]:
    """As a tuple; JAX, whose own class tells, is not loaded for it."""
    cure = "give devices of JAX, like jax.devices()[:1]"
    found = tuple(ordered(devices, "devices", cure))
    for place, device in enumerate(found):
        if not hasattr(device, "platform"):
            raise InputTypeError(f"devices[{place}]", device, cure)
    if not found:
        raise InputError("devices", found, cure, fault="is empty")
    return found


def _is_long_to_predict(steps: Steps) -> bool:
    """Whether the prediction takes more than a moment."""
    size = steps.law.width
    return (steps.law.summed(2) or 1) * comb(size + 3, 4) > _MOST_PREDICTED


def _varies(steps: Steps) -> bool:
    """Whether any batch has something that varies."""
    return any(steps[s].count(1) for s in range(min(steps.problem.step, _MOST_STEPS)))


_: type[Road] = Lattice
