"""Which recursion serves a kind of closure, and what it takes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

from linvar.errors import InputError
from linvar.symbolic.cost import Size, Work, costs, total
from linvar.symbolic.limits import MOST_STEPS
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


def work_at_one_size(steps: Steps) -> Work:
    """The same at one batch size: a number where the polynomial of t steps has t + 1 coefficients, all of them moved a step."""
    whole, t = work(steps.model.closure, steps), min(steps.problem.step, MOST_STEPS)
    memory, seconds = ({name: x / (t + 1) for name, x in of.items()} for of in (whole.bytes, whole.seconds))
    seconds["seconds_number_byte"] = total(costs().regression, memory) * t
    return Work(whole.monomials // (t + 1), memory, seconds)


def predict(steps: Steps) -> Size:
    """The size of a recursion, without starting it."""
    return _priced(steps, work(steps.model.closure, steps))


def predict_at_one_size(steps: Steps) -> Size:
    """The same at one batch size."""
    return _priced(steps, work_at_one_size(steps))


def _priced(steps: Steps, found: Work) -> Size:
    """By the coefficients of the machine; and what the law has to make before."""
    rates, before = costs().regression, steps.law.preparation(steps.model.closure.degree)
    return Size(found.monomials, int(total(rates, found.bytes)), total(rates, found.seconds) + before)
