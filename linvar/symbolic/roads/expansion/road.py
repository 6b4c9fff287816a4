"""The road of the expansion, as it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from linvar.keywords import door_of_class
from linvar.symbolic.roads.expansion.integrator import Expanded, ExpandedAt
from linvar.symbolic.roads.expansion.size import predict
from linvar.symbolic.sgd.road import NOT_COMPARED, Road, RoadPlan
from linvar.symbolic.sgd.steps import Steps


@door_of_class
@dataclass(frozen=True)
class Expansion:
    """Expand SGD in a polynomial ring, then replace monomials of batch moments by their expectations.

    For two layers and more, numbers or symbols; what it takes grows with the monomials (``linvar.plan``).

    >>> import linvar as lv
    >>> lv.gradient_variance(lv.Problem([[[1]], [[2]]], lv.Gaussian([[3]])), lv.Expansion()).coefficients
    (0, 10)
    """

    name: ClassVar[str] = "expansion"

    def cost(self, steps: Steps, *, thorough: bool = False) -> RoadPlan:
        """The monomials, and what they take."""
        if steps.model.closure.elsewhere is not None:
            return RoadPlan(self.name, obstacle=steps.model.closure.elsewhere)
        if steps.model.long_to_predict and not thorough:
            return RoadPlan(self.name, obstacle=NOT_COMPARED, waits=True)
        size = predict(steps)
        return RoadPlan(self.name, f"{size.count} monomials", size.seconds + steps.moment_seconds, size.bytes)

    def integrators(self, steps: Steps, at: Sequence[int]) -> tuple[ExpandedAt, ...]:
        """The weights are expanded once, up to the last of the steps; moments of a batch are shared."""
        expanded = Expanded(steps)
        return tuple(ExpandedAt(expanded, t) for t in at)


_: type[Road] = Expansion
