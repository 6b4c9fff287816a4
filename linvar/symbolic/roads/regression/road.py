"""The road of linear regression, as it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from linvar.symbolic.roads.regression.recursion import Recursion, RegressionAt
from linvar.symbolic.roads.regression.size import predict
from linvar.symbolic.sgd.road import Road, RoadPlan
from linvar.symbolic.sgd.steps import Steps


@dataclass(frozen=True)
class Regression:
    """The second moment of the weights closes on itself: exact at any number of steps, for one layer.

    >>> import linvar as lv
    >>> lv.gradient_variance(lv.Problem([[[2]]], lv.Gaussian([[-1]])), lv.Regression()).coefficients
    (0, 18)
    """

    name: ClassVar[str] = "regression"

    def cost(self, steps: Steps, *, thorough: bool = False) -> RoadPlan:
        """The coefficients of all moments, and what they take."""
        if not steps.problem.is_linear_regression:
            return RoadPlan(self.name, obstacle="it is for one layer")
        size = predict(steps.problem)
        return RoadPlan(self.name, f"{size.count} coefficients", size.seconds + steps.law.preparation(2), size.bytes)

    def integrators(self, steps: Steps, at: Sequence[int]) -> tuple[RegressionAt, ...]:
        """One recursion, up to the last of the steps."""
        recursion = Recursion(steps, at)
        return tuple(RegressionAt(recursion, t) for t in at)


_: type[Road] = Regression
