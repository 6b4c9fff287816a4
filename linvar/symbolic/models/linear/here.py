"""The linear network at some weights: what is asked of the last step of SGD, in closed form.

Given W the gradient of layer l at one example is g_l = A_l^T r B_l^T with r = (P x - y) x^T. With Q = P X - Y (the residual is
Q z) E ||g_l||^2 is the expectation of a product of quadratic forms in z: ||g_l||^2 = z^T Theta_1 z * z^T Theta_2 z,
Theta_1 = (A_l^T Q)^T (A_l^T Q), Theta_2 = (B_l X)^T (B_l X). Where an example varies in fewer ways than it has coordinates, the
spread tr Cov(g_l) is that of its features: with z z^T = E z z^T + sum_i w_i C_i, w uncorrelated, it is
sum_i Var(w_i) ||A_l^T Q C_i X^T B_l^T||^2. The weights may live in any ring: every road shares these lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Generic

from linvar import matrices
from linvar.exact import Matrix, Rational
from linvar.matrices import Rows
from linvar.rings import RingLike, T
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.models.linear.network import Network


class LinearHere(Generic[T]):
    """Forms in the weights, over the ring they live in (see the module docstring); what several need is kept.

    Args:
        network: with biases or without.
        weights: its leaves, W_1, ..., W_L.
        law: the law of an example.
        uncorrelated: variances and matrices C_i, where these are the shorter way to the spread; otherwise None.
        ring: where the entries live: it lifts exact numbers.
    """

    def __init__(
        self,
        network: Network,
        weights: Sequence[Rows[T]],
        law: ExactLaw,
        uncorrelated: Sequence[tuple[Rational, Matrix]] | None,
        ring: RingLike[T],
    ) -> None:
        self.network, self.weights, self.law, self.ring = network, weights, law, ring
        self._uncorrelated = uncorrelated
        self._inputs = [[ring.lift(entry) for entry in row] for row in law.input_map]

    @cached_property
    def _residual(self) -> Rows[T]:
        """Q = P X - Y."""
        targets = [[self.ring.lift(entry) for entry in row] for row in self.law.target_map]
        return self.network.residual_map(self.weights, self._inputs, targets)

    @cached_property
    def _moment(self) -> Rows[T]:
        """S = E z z^T."""
        return self.law.second_moment(self.ring)

    def gradients_at(self, moment: Rows[T]) -> list[Rows[T]]:
        """G_1, ..., G_L at a second moment S_z: A_l^T Q S_z X^T B_l^T."""
        end_to_end = matrices.product(matrices.product(self._residual, moment), matrices.transpose(self._inputs))
        return self.network.gradients(self.weights, end_to_end)

    @cached_property
    def mean_gradients(self) -> list[Rows[T]]:
        """gbar_l = A_l^T Q S X^T B_l^T for l = 1..L: the population gradient of each layer."""
        return self.gradients_at(self._moment)

    @cached_property
    def spreads(self) -> list[T]:
        """tr Cov(g_l): by the fourth moments of z, or by what varies where that is less."""
        if self._uncorrelated is None:
            norms = map(matrices.squared_norm, self.mean_gradients)
            return [second - norm for second, norm in zip(self.second_moments(), norms)]
        spreads = [self.ring.lift(0)] * len(self.weights)
        # a fluctuation w C of z z^T makes w A_l^T Q C X^T B_l^T of g_l, and E w^2 is the variance
        for variance, direction in self._uncorrelated:
            layers = self.gradients_at([[self.ring.lift(entry) for entry in row] for row in direction])
            scale = self.ring.lift(variance)
            spreads = [total + scale * matrices.squared_norm(layer) for total, layer in zip(spreads, layers)]
        return spreads

    def second_moments(self) -> list[T]:
        """E ||g_l||^2 of one example for l = 1..L."""
        result: list[T] = []
        for above, below in zip(*self.network.surroundings(self.weights)):
            residual = self._residual if above is None else matrices.product(matrices.transpose(above), self._residual)
            inputs = self._inputs if below is None else matrices.product(below, self._inputs)
            weighted = self.law.weighted_second_moment(matrices.gram(residual), self.ring)
            result.append(matrices.trace_of_symmetric(matrices.gram(inputs), weighted))
        return result

    @cached_property
    def doubled_loss(self) -> T:
        """E ||P x - y||^2."""
        doubled: T = matrices.trace_of_symmetric(matrices.gram(self._residual), self._moment)
        return doubled
