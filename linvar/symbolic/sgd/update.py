"""SGD over any ring: what it carries from step to step, and its update."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic

from linvar.exact import Exact
from linvar.matrices import Rows, add_scaled, scaled, subtract
from linvar.problem import Problem
from linvar.rings import RingLike, T


@dataclass(frozen=True)
class State(Generic[T]):
    """What SGD carries from step to step.

    Attributes:
        weights: W_1, ..., W_L.
        momenta: the same shapes; empty where the problem has no momentum.
    """

    weights: Sequence[Rows[T]]
    momenta: Sequence[Rows[T]] = ()


class Update(Generic[T]):
    """The steps of SGD of a problem, over a ring, in the conventions of optax.

    With the batch gradient G_l: the decayed gradient is D_l = G_l + weight_decay W_l, the momentum M_l' = D_l + momentum M_l
    (zero at the start), the direction M_l', with Nesterov D_l + momentum M_l', and W_l' = W_l - learning_rate * direction.
    """

    def __init__(self, problem: Problem, ring: RingLike[T]) -> None:
        self.problem = problem
        self.ring = ring
        self._momentum = ring.lift(problem.momentum)
        self._decay = ring.lift(problem.weight_decay)

    def start(self) -> State[T]:
        """The initial weights, at rest."""
        weights = [[[self.ring.lift(entry) for entry in row] for row in matrix] for matrix in self.problem.leaves]
        if self.problem.momentum == 0:
            return State(weights)
        zero = self.ring.lift(0)
        return State(weights, [[[zero] * len(row) for row in matrix] for matrix in weights])

    def advance(self, state: State[T], gradients: Sequence[Rows[T]], learning_rate: Exact) -> State[T]:
        """The state after an update with these batch gradients, all layers at once."""
        directions, momenta = self.directions(state, gradients)
        rate = self.ring.lift(learning_rate)
        moved = [subtract(matrix, scaled(direction, rate)) for matrix, direction in zip(state.weights, directions)]
        return State(moved, momenta)

    def directions(self, state: State[T], gradients: Sequence[Rows[T]]) -> tuple[list[Rows[T]], list[Rows[T]]]:
        """What the learning rate multiplies, and the new momenta, from the batch gradients of the loss."""
        if self.problem.weight_decay != 0:
            gradients = [add_scaled(g, matrix, self._decay) for g, matrix in zip(gradients, state.weights)]
        if not state.momenta:
            return list(gradients), []
        momenta: list[Rows[T]] = [add_scaled(g, m, self._momentum) for g, m in zip(gradients, state.momenta)]
        if not self.problem.nesterov:
            return momenta, momenta
        return [add_scaled(g, m, self._momentum) for g, m in zip(gradients, momenta)], momenta

    def gain(self) -> T:
        """The factor with which a gradient enters the direction: 1, with Nesterov 1 + momentum."""
        return self._momentum + 1 if self.problem.nesterov else self.ring.lift(1)
