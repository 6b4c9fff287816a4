"""The large-batch expansion, as it is asked for: how many coefficients, how exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from linvar.symbolic.roads.large_batch.size import check_arguments, clamped, predict
from linvar.symbolic.sgd.road import RoadPlan
from linvar.symbolic.sgd.steps import Steps


@dataclass(frozen=True)
class LargeBatch:
    """The coefficients of 1, ..., (1/b)^order only, which any number of steps allows (iid sampling): for ``linvar.plan``.

    Args:
        order: K >= 0, the highest power of u = 1/b; what is beyond the degree bound of a problem is zero.
        digits: certified significant digits of every coefficient; None for exact coefficients, whose digits grow (2L-1)-fold
            with every step.

    It is no road to a whole polynomial: ``linvar.large_batch`` asks it, and gives a ``LargeBatchExpansion``.
    """

    order: int
    digits: int | None = None

    name: ClassVar[str] = "large_batch"

    def cost(self, steps: Steps, *, thorough: bool = False) -> RoadPlan:
        """What the variance would take.

        Raises:
            InputError: sampling without replacement, an order or digits that are no such numbers, digits with symbols.
        """
        check_arguments(steps.problem, self.order, self.digits)
        order = clamped(steps.problem, self.order)
        size = predict(steps, order, self.digits)
        road = RoadPlan(self.name, f"up to u^{order}, {size}", size.seconds, size.bytes, asked=True)
        return replace(road, obstacle=size.obstacle)
