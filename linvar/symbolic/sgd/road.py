"""What a road is: a way to integrate forms in the state of SGD over the batches of all steps before the last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from linvar.symbolic.algebra.ring import Element, Ring
from linvar.symbolic.sgd.update import State

#: forms(state, ring): polynomials in the entries of a state that lives in that ring
Forms = Callable[[State, Any], list[Any]]


class Road(Protocol):
    """Built from a problem; asked for expectations."""

    #: the ring of the answers, polynomials in u = 1/b and the symbols
    answers: Ring

    def expectations(self, forms: Forms, degree: int) -> list[Element]:
        """E of each form at step t, exact, in the ring of the answers.

        Args:
            forms: called with the state, in whatever ring the road computes in.
            degree: a bound on the degree of the forms in the entries of the state.
        """
        ...
