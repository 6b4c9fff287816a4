"""Does a loss of a whole batch couple its examples? Read off its jaxpr, by following where the examples are.

A batch loss has per-example gradients if it is a sum over the examples of one term each (``following.py``), if nothing but
linear operations with free values happen after the sum, if nothing tells positions apart before it, and if it is divided by
nothing but their number. What is not known to respect this is refused, by name: a wrong refusal costs a rewrite of the loss,
a wrong answer costs more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
from jax.extend import core
from jax.sharding import NamedSharding, PartitionSpec, get_abstract_mesh

from linvar.errors import Words, cut
from linvar.numeric.gradients.per_example.coupling.axes import CoupledExamplesError
from linvar.numeric.gradients.per_example.coupling.following import Follower
from linvar.numeric.gradients.per_example.coupling.places import FREE, Place, State
from linvar.numeric.gradients.per_example.flattening import LossOfLists
from linvar.numeric.gradients.per_example.meshes import shape_like, vary, varying

_ONE = "give the loss of ONE example, loss(params, example)"
_RETURN = "with batched=True return the mean or the sum over the batch"


def check_uncoupled(loss: LossOfLists, leaves: Sequence[jax.Array], batch: Sequence[jax.Array]) -> None:
    """Refuse a loss of a batch that is not a sum or a mean of losses of its examples.

    Args:
        loss: of lists of leaves and of arrays with the examples first.
        leaves: of the parameters.
        batch: arrays, examples first.

    Raises:
        CoupledExamplesError: with the operation that couples the examples.
    """
    size = max(2, batch[0].shape[0])  # an axis of one example looks like any other axis of one
    here, more = (_trace(loss, leaves, batch, count) for count in (size, size + 1))
    states = [FREE] * len(leaves) + [State(Place(0))] * len(batch)
    for mine, twin, counts in ((here, more, (size, size + 1)), (more, here, (size + 1, size))):
        (result,) = Follower(counts).enter(mine, states, twin)
        if not result.reduced:
            kind = "depends on no example" if result.free else "is not summed over the examples"
            raise CoupledExamplesError("loss", Words(kind), f"{_RETURN}, a scalar")
        _check_power(result)


def _check_power(result: State) -> None:
    """1/n of a mean beside a penalty as it is, or 1 of a sum beside n penalties; a power is read off two numbers of examples."""
    power, penalty = result.power, result.penalty
    if power is None:
        return
    if min(abs(power), abs(power + 1)) > 0.1:
        raise CoupledExamplesError(
            "loss", Words(f"grows like the number of examples n to the power {power:.2g}"), _RETURN
        )
    if penalty is not None and math.isfinite(penalty) and abs(penalty - power - 1) > 0.1:
        raise CoupledExamplesError(
            "loss",
            Words("adds a term without the examples that is not weighted as in a batch of one"),
            "return the mean over the batch plus the term",
        )


def _longer(x: jax.Array, count: int) -> jax.ShapeDtypeStruct:
    """The shape of so many examples, which vary between devices as these do and are spread over none."""
    shape = (count, *x.shape[1:])
    if not varying([x]):
        return jax.ShapeDtypeStruct(shape, x.dtype)
    return shape_like(jax.typeof(x), shape, NamedSharding(get_abstract_mesh(), PartitionSpec()))


def _trace(loss: LossOfLists, leaves: Sequence[jax.Array], batch: Sequence[jax.Array], count: int) -> core.ClosedJaxpr:
    """The jaxpr for a batch of ``count``."""
    own = varying([*leaves, *batch])
    leaves, batch = [vary(x, own) for x in leaves], [vary(x, own) for x in batch]
    shapes = [_longer(x, count) for x in batch]
    try:
        traced = jax.make_jaxpr(lambda a, b: loss(a, b))(list(leaves), shapes)
    except (TypeError, ValueError) as error:
        given = batch[0].shape[0]
        if count == given:
            raise
        reason = cut((str(error).splitlines() or [type(error).__name__])[0])
        raise CoupledExamplesError(
            "loss",
            Words(
                f"does not take a batch of {count} examples instead of {given}, so that its examples cannot be told apart "
                f"({reason})"
            ),
            _ONE,
        ) from error
    if len(traced.out_avals) != 1 or traced.out_avals[0].shape != ():
        raise CoupledExamplesError("loss", Words("is not a scalar"), _RETURN)
    return traced
