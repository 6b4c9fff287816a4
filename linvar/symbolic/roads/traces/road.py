"""The road of formulas in traces, as it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from linvar.exact import free_symbols
from linvar.keywords import door_of_class
from linvar.symbolic.cost import costs, total
from linvar.symbolic.roads.traces.integrator import TracesAt
from linvar.symbolic.roads.traces.size import predict
from linvar.symbolic.sgd.road import Road, RoadPlan
from linvar.symbolic.sgd.steps import Steps

#: with all powers of 1/b
_DEEPEST = 2


@door_of_class
@dataclass(frozen=True)
class Traces:
    """A formula in traces that is valid for every width (``linvar.trace_formula``), evaluated: fast for wide networks.

    For plain SGD on zero-mean normal inputs (any covariance, label noise), iid batches: two layers at t <= 1, any depth at t = 0;
    numbers, and a symbol for the learning rate.

    >>> import linvar as lv
    >>> lv.gradient_variance(lv.Problem([[[1]], [[2]]], lv.Gaussian([[3]]), "1/10", 1), lv.Traces()).degree
    6
    """

    name: ClassVar[str] = "traces"

    def cost(self, steps: Steps, *, thorough: bool = False) -> RoadPlan:
        """The terms of the recursion on words and the products of matrices, and what they take."""
        obstacle = _obstacle(steps)
        if obstacle is not None:
            return RoadPlan(self.name, obstacle=obstacle)
        work, rates = predict(steps), costs().traces
        seconds, memory = total(rates, work.seconds), int(total(rates, work.bytes))
        return RoadPlan(self.name, f"{work.monomials:,} traces", seconds, memory)

    def integrators(self, steps: Steps, at: Sequence[int]) -> tuple[TracesAt, ...]:
        """A formula each."""
        return tuple(TracesAt(steps.until(t)) for t in at)


def _obstacle(steps: Steps) -> str | None:
    """Why the road cannot be taken; None if it can."""
    problem, model, law = steps.problem, steps.model, steps.law.wishart
    if model.closure.elsewhere is not None:
        return model.closure.elsewhere
    if model.layers is None or law is None or problem.scheme.within_dataset:
        return "it is for linear networks on normal inputs of mean zero"
    if problem.step > 1 or (problem.step == 1 and problem.depth > _DEEPEST):
        return "it is for two layers at t = 1, any depth at t = 0"
    if not problem.plain:
        return "it is for plain SGD"
    matrices = (*model.layers, law.teacher, law.covariance)
    if free_symbols([law.noise_variance, *(entry for matrix in matrices for row in matrix for entry in row)]):
        return "it takes numbers, and a symbol for the learning rate"
    return None


_: type[Road] = Traces
