"""The last step: what is asked of the gradient at step t, as forms in the state (W_t and the momenta).

Given W_t the batch gradient of a leaf is a mean of b gradients g_l of one example, so

    E ||G_l||^2 = ||gbar_l||^2 + c tr Cov(g_l),    gbar_l = E g_l,

with c = 1/b (iid) or (n-b)/(b(n-1)): the model (``linvar.symbolic.models``) has gbar_l and the spread tr Cov(g_l) in its weights.
The update W_{t+1} - W_t is affine in the gradient: another mean, and the same spread times a square. The state may live in any
ring: every road shares these lines.
"""

from __future__ import annotations

from functools import cached_property
from typing import Generic

from linvar import matrices
from linvar.matrices import Rows
from linvar.rings import RingLike, T
from linvar.symbolic.sgd.steps import Steps
from linvar.symbolic.sgd.update import State, Update

OF = ("gradient", "update")


class LastStep(Generic[T]):
    """Forms in the state, over the ring it lives in (see the module docstring); what several questions share is kept.

    The forms are of the gradient, or (``of="update"``) of W_{t+1} - W_t.

    Args:
        state: W_t and the momenta.
        steps: those of the problem: its law, its update, and what of an example varies.
        ring: where the entries live: it lifts exact numbers.
    """

    def __init__(self, state: State[T], steps: Steps, ring: RingLike[T]) -> None:
        self.state, self.ring = state, ring
        self.problem = steps.problem
        self._here = steps.model.at(state.weights, ring)

    @cached_property
    def _update(self) -> Update[T]:
        return Update(self.problem, self.ring)

    @property
    def _rate(self) -> T:
        """The learning rate of the update."""
        return self.ring.lift(self.problem.learning_rate)

    @property
    def entries(self) -> list[T]:
        """The entries of the weights, layer by layer, row by row."""
        return [entry for matrix in self.state.weights for row in matrix for entry in row]

    @cached_property
    def _mean_updates(self) -> list[Rows[T]]:
        """-learning_rate times the direction that the mean gradients give."""
        directions, _ = self._update.directions(self.state, self._here.mean_gradients)
        return [[[-self._rate * entry for entry in row] for row in matrix] for matrix in directions]

    def means(self, of: str = "gradient") -> list[Rows[T]]:
        """Given the state, the mean gradient of each layer, or the mean update."""
        return self._mean_updates if of == "update" else list(self._here.mean_gradients)

    @cached_property
    def _gradient_norms(self) -> list[T]:
        """||gbar_l||^2 for l = 1..L."""
        return [matrices.squared_norm(mean) for mean in self._here.mean_gradients]

    def norms(self, of: str = "gradient") -> list[T]:
        """The squared norms of the means, layer by layer."""
        if of == "update":
            return [matrices.squared_norm(mean) for mean in self._mean_updates]
        return self._gradient_norms

    def spreads(self, of: str = "gradient") -> list[T]:
        """Given the state, tr Cov of one example's gradient in each layer (of a batch: times c), or of its update."""
        if of != "update":
            return list(self._here.spreads)
        factor = self._rate * self._update.gain()
        return [factor * factor * spread for spread in self._here.spreads]

    def doubled_loss(self) -> T:
        """Twice the population loss."""
        return self._here.doubled_loss
