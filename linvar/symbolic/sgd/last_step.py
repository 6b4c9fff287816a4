"""The last step in closed form: what is asked of the gradient at step t, as forms in the state (W_t and the momenta).

Given W_t the batch gradient of layer l is a mean of b independent g_l = A_l^T r B_l^T with r = (P x - y) x^T, so

    E ||G_l||^2 = ||gbar_l||^2 + c ( E ||g_l||^2 - ||gbar_l||^2 ),    gbar_l = E g_l,

with c = 1/b (iid) or (n-b)/(b(n-1)). With Q = P X - Y (the residual is Q z) both are expectations of quadratic
forms in z: ||g_l||^2 = z^T Theta_1 z * z^T Theta_2 z, Theta_1 = (A_l^T Q)^T (A_l^T Q), Theta_2 = (B_l X)^T (B_l X).
Where an example varies in fewer ways than it has coordinates, the spread, in brackets, is that of its features: with
z z^T = E z z^T + sum_i w_i C_i, w uncorrelated, it is sum_i Var(w_i) ||A_l^T Q C_i X^T B_l^T||^2. The update W_{t+1} - W_t
is affine in the gradient: another mean, and the same spread times a square. The state may live in any ring: every road
shares these lines.
"""

from __future__ import annotations

from functools import cached_property
from typing import Generic

from linvar import matrices
from linvar.matrices import Rows
from linvar.rings import RingLike, T
from linvar.symbolic.models import linear
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
        self.state = state
        self.problem = steps.problem
        self._steps = steps
        self.law = law = steps.law
        self.ring = ring
        self._inputs = [[ring.lift(entry) for entry in row] for row in law.input_map]

    @cached_property
    def _residual(self) -> Rows[T]:
        """Q = P X - Y."""
        targets = [[self.ring.lift(entry) for entry in row] for row in self.law.target_map]
        return linear.residual_map(self.state.weights, self._inputs, targets)

    @cached_property
    def _moment(self) -> Rows[T]:
        """S = E z z^T."""
        return self.law.second_moment(self.ring)

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
    def _mean_gradients(self) -> list[Rows[T]]:
        """gbar_l = A_l^T Q S X^T B_l^T for l = 1..L: the population gradient of each layer."""
        mean = matrices.product(matrices.product(self._residual, self._moment), matrices.transpose(self._inputs))
        return linear.layer_gradients(self.state.weights, mean)

    @cached_property
    def _mean_updates(self) -> list[Rows[T]]:
        """-learning_rate times the direction that the mean gradients give."""
        directions, _ = self._update.directions(self.state, self._mean_gradients)
        return [[[-self._rate * entry for entry in row] for row in matrix] for matrix in directions]

    def means(self, of: str = "gradient") -> list[Rows[T]]:
        """Given the state, the mean gradient of each layer, or the mean update."""
        return self._mean_updates if of == "update" else self._mean_gradients

    @cached_property
    def _gradient_norms(self) -> list[T]:
        """||gbar_l||^2 for l = 1..L."""
        return [matrices.squared_norm(mean) for mean in self._mean_gradients]

    def norms(self, of: str = "gradient") -> list[T]:
        """The squared norms of the means, layer by layer."""
        if of == "update":
            return [matrices.squared_norm(mean) for mean in self._mean_updates]
        return self._gradient_norms

    def spreads(self, of: str = "gradient") -> list[T]:
        """Given the state, tr Cov of one example's gradient in each layer (of a batch: times c), or of its update."""
        if of != "update":
            return self._example_spreads
        factor = self._rate * self._update.gain()
        return [factor * factor * spread for spread in self._example_spreads]

    @cached_property
    def _example_spreads(self) -> list[T]:
        """The same of the gradient itself: by the fourth moments of z, or by what varies where that is less."""
        spread = self._steps.spread
        if spread is None:
            return [second - norm for second, norm in zip(self.example_second_moments(), self._gradient_norms)]
        spreads = [self.ring.lift(0)] * len(self.state.weights)
        # a fluctuation w C of z z^T makes w A_l^T Q C X^T B_l^T of g_l, and E w^2 is the variance
        for variance, direction in spread:
            moment = [[self.ring.lift(entry) for entry in row] for row in direction]
            end_to_end = matrices.product(matrices.product(self._residual, moment), matrices.transpose(self._inputs))
            layers = linear.layer_gradients(self.state.weights, end_to_end)
            scale = self.ring.lift(variance)
            spreads = [total + scale * matrices.squared_norm(layer) for total, layer in zip(spreads, layers)]
        return spreads

    def example_second_moments(self) -> list[T]:
        """E ||g_l||^2 of one example for l = 1..L."""
        result: list[T] = []
        for above, below in zip(*linear.surroundings(self.state.weights)):
            residual = self._residual if above is None else matrices.product(matrices.transpose(above), self._residual)
            inputs = self._inputs if below is None else matrices.product(below, self._inputs)
            weighted = self.law.weighted_second_moment(matrices.gram(residual), self.ring)
            result.append(matrices.trace_of_symmetric(matrices.gram(inputs), weighted))
        return result

    def doubled_loss(self) -> T:
        """E ||P x - y||^2: twice the population loss."""
        doubled: T = matrices.trace_of_symmetric(matrices.gram(self._residual), self._moment)
        return doubled
