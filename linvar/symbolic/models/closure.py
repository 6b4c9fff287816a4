"""Whether the moments of the weights close on themselves: what a model offers to the road of that recursion."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Closure:
    """Whether mean and second moment of the weights after a step follow from those before it, and from what of the model.

    A kind of closure has a recursion (``linvar.symbolic.roads.regression``), which is registered for its type.

    Attributes:
        obstacle: why they do not; None where they do.
        elsewhere: why no other road is taken; None where they are compared.
    """

    obstacle: str | None = None
    elsewhere: str | None = None

    @property
    def degree(self) -> int:
        """That in the coordinates of an example of the features whose second moments are needed."""
        return 2


@dataclass(frozen=True)
class OneLayer(Closure):
    """One linear layer with the squared loss: by the fourth moments of an example."""

    elsewhere: str | None = "one layer has a road of its own"


#: of losses of a higher degree
NOT_CLOSED = Closure(obstacle="it is for losses of degree 2 at most in the weights")
