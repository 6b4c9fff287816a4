"""The update of a problem as optax makes it: weight decay, momentum, Nesterov. The learning rate is the caller's."""

from __future__ import annotations

from functools import cache

import optax

from linvar.numeric.floats import to_floats
from linvar.problem import Problem


def update_from_problem(problem: Problem) -> optax.GradientTransformation:
    """From a batch gradient to the direction that the learning rate multiplies.

    The same object for the same numbers, so that a compiled run is used again.
    """
    momentum, decay = (
        float(to_floats(getattr(problem, name), name, "float64")) for name in ("momentum", "weight_decay")
    )
    return _update(momentum, problem.nesterov, decay)


@cache
def _update(momentum: float, nesterov: bool, decay: float) -> optax.GradientTransformation:
    parts = [optax.add_decayed_weights(decay)] if decay else []
    if momentum:
        parts.append(optax.trace(momentum, nesterov))
    return optax.chain(*parts) if parts else optax.identity()
