"""Which recursion serves a kind of closure, and what it takes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from linvar.errors import InputError
from linvar.symbolic.cost import Size, Work, costs, total
from linvar.symbolic.models.closure import Closure, OneLayer
from linvar.symbolic.models.polynomial.affine import AffineGradient
from linvar.symbolic.roads.regression import affine, size
from linvar.symbolic.roads.regression.recursion import Recursion, RegressionAt
from linvar.symbolic.sgd.road import Integrator
from linvar.symbolic.sgd.steps import Steps


@singledispatch
def integrators(
    closure: Closure, steps: Steps, at: Sequence[int], batch_size: int | None = None
) -> tuple[Integrator, ...]:
    """One for each t of ``at``, by one recursion.

    Args:
        closure: of the model of the steps.
        steps, at: as of a road.
        batch_size: the answers are the values at this b, free of u, of a problem without symbols.

    Raises:
        InputError: the moments do not close.
    """
    raise InputError("road", "regression", "leave it out", fault=f"does not apply: {closure.obstacle}")


@integrators.register
def _(closure: OneLayer, steps: Steps, at: Sequence[int], batch_size: int | None = None) -> tuple[Integrator, ...]:
    recursion = Recursion(steps, at, batch_size)
    return tuple(RegressionAt(recursion, t) for t in at)


@integrators.register
def _(
    closure: AffineGradient, steps: Steps, at: Sequence[int], batch_size: int | None = None
) -> tuple[Integrator, ...]:
    return affine.integrators(closure, steps, at, batch_size)


@singledispatch
def work(closure: Closure, steps: Steps) -> Work:
    """What the recursion of a closure does.

    Raises:
        InputError: the moments do not close.
    """
    raise InputError("road", "regression", "leave it out", fault=f"does not apply: {closure.obstacle}")


@work.register
def _(closure: OneLayer, steps: Steps) -> Work:
    return size.regression_work(steps.problem)


@work.register
def _(closure: AffineGradient, steps: Steps) -> Work:
    return size.affine_work(closure, steps)


def predict(steps: Steps) -> Size:
    """The size of a recursion, without starting it."""
    closure, rates = steps.model.closure, costs().regression
    found, before = work(closure, steps), steps.law.preparation(closure.degree)
    return Size(found.monomials, int(total(rates, found.bytes)), total(rates, found.seconds) + before)
