"""The road of moments that close on themselves, as it is asked for: linear regression, any loss of degree 2 in the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from linvar.keywords import door_of_class
from linvar.symbolic.roads.regression import closed
from linvar.symbolic.sgd.road import Integrator, Road, RoadPlan, cost_at_one_size, integrator_at_one_size
from linvar.symbolic.sgd.steps import Steps


@door_of_class
@dataclass(frozen=True)
class Regression:
    """The second moment of the weights closes on itself: exact at any number of steps.

    For one linear layer, and for any loss of degree 2 at most in the weights, whatever of the example it is made of: polynomial
    features, biases, several outputs, L2 terms.

    >>> import linvar as lv
    >>> lv.gradient_variance(lv.Problem([[[2]]], lv.Gaussian([[-1]])), lv.Regression()).coefficients
    (0, 18)
    """

    name: ClassVar[str] = "regression"

    def cost(self, steps: Steps, *, thorough: bool = False) -> RoadPlan:
        """The coefficients of all moments, and what they take."""
        closure = steps.model.closure
        if closure.obstacle is not None:
            return RoadPlan(self.name, obstacle=closure.obstacle)
        size = closed.predict(steps)
        return RoadPlan(self.name, f"{size.count} coefficients", size.seconds, size.bytes)

    def integrators(self, steps: Steps, at: Sequence[int]) -> tuple[Integrator, ...]:
        """One recursion, up to the last of the steps."""
        return closed.integrators(steps.model.closure, steps, at)


@cost_at_one_size.register
def _cost_by_numbers(road: Regression, steps: Steps) -> RoadPlan:
    """It keeps one number where the polynomial of t steps has t + 1 coefficients, each as long."""
    closure = steps.model.closure
    if closure.obstacle is not None:
        return RoadPlan(road.name, obstacle=closure.obstacle)
    size = closed.predict_at_one_size(steps)
    return RoadPlan(road.name, f"{size.count} numbers", size.seconds, size.bytes)


@integrator_at_one_size.register
def _by_numbers(road: Regression, steps: Steps, batch_size: int) -> Integrator:
    (found,) = closed.integrators(steps.model.closure, steps, [steps.problem.step], batch_size)
    return found


_: type[Road] = Regression
