"""The large-batch expansion, as it is asked for: how many coefficients, how exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from linvar.arguments import check_integer
from linvar.keywords import door_of_class
from linvar.symbolic.roads.large_batch.size import (
    DIGITS,
    ORDER,
    LargeBatchSize,
    check_arguments,
    clamped,
    of_variance,
    predict,
)
from linvar.symbolic.sgd.road import RoadPlan
from linvar.symbolic.sgd.steps import Steps


@door_of_class
@dataclass(frozen=True)
class LargeBatch:
    """The coefficients of 1, ..., (1/b)^order only, which any number of steps allows (iid sampling): for ``linvar.plan``.

    Args:
        order: K >= 0, the highest power of u = 1/b, 2 if not given; what is beyond the degree bound of a problem is zero.
        digits: certified significant digits of every coefficient; None for exact coefficients, whose digits grow (2L-1)-fold
            with every step.

    It is no road to a whole polynomial: ``linvar.large_batch`` asks it, and gives a ``LargeBatchExpansion``.

    >>> import linvar as lv
    >>> lv.plan(lv.Problem([[[1, 2]], [[3], [1]]], lv.Gaussian(0), "1/10", 3), LargeBatch(order=2)).choice.road
    'large_batch'
    """

    order: int = 2
    digits: int | None = None

    name: ClassVar[str] = "large_batch"

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", check_integer(self.order, "order", ORDER))
        if self.digits is not None:
            object.__setattr__(self, "digits", check_integer(self.digits, "digits", DIGITS))

    def cost(self, steps: Steps, *, thorough: bool = False) -> RoadPlan:
        """What the variance would take.

        Raises:
            InputError: sampling without replacement, an order or digits that are no such numbers, digits with symbols.
        """
        check_arguments(steps.problem, self.order, self.digits)
        size, _ = self.of_variance(steps)
        return self.planned(steps, size)

    def of_variance(self, steps: Steps) -> tuple[LargeBatchSize, bool]:
        """The size of the variance by the quicker way, and whether that is ``pairs``."""
        return of_variance(steps, clamped(steps.problem, self.order), self.digits)

    def about_path(self, steps: Steps) -> LargeBatchSize:
        """That of any quantity, by the moments about the path at infinite batch size."""
        return predict(steps, clamped(steps.problem, self.order), self.digits)

    def planned(self, steps: Steps, size: LargeBatchSize) -> RoadPlan:
        """A size as a plan."""
        order = clamped(steps.problem, self.order)
        road = RoadPlan(self.name, f"up to u^{order}, {size}", size.seconds, size.bytes, asked=True)
        return replace(road, obstacle=size.obstacle)


@dataclass(frozen=True)
class AboutPath:
    """The same, whatever is asked: the plan of all quantities but the variance."""

    road: LargeBatch

    @property
    def name(self) -> str:
        """That of the road."""
        return self.road.name

    def cost(self, steps: Steps, *, thorough: bool = False) -> RoadPlan:
        """What a quantity would take."""
        return self.road.planned(steps, self.road.about_path(steps))
