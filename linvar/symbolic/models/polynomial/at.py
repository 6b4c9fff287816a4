"""A polynomial loss at some weights: what is asked of the last step of SGD."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Generic

from linvar import matrices
from linvar.matrices import Rows
from linvar.rings import RingLike, T

if TYPE_CHECKING:
    from linvar.symbolic.models.polynomial.model import PolynomialModel


class At(Generic[T]):
    """A model at some weights."""

    def __init__(self, model: PolynomialModel, weights: Sequence[Rows[T]], ring: RingLike[T]) -> None:
        self.model, self.weights, self.ring = model, weights, ring
        self._values = model.values(weights, ring)

    @cached_property
    def mean_gradients(self) -> list[Rows[T]]:
        """grad lbar."""
        return self.model.in_shape(self._values.of(self.model.population_gradient))

    @cached_property
    def spreads(self) -> list[T]:
        """sum_jk Cov(psi_j, psi_k) <grad e_j, grad e_k>, leaf by leaf: with Cov(psi) = L diag(d) L^T sums of d_i squares."""
        model, ring = self.model, self.ring
        totals = [ring.lift(0)] * len(self.weights)
        rows = [self._values.of(row) for row in model.gradients[1]]
        if not model.law.symbols:
            for variance, column in model.uncorrelated:
                factors = [(rows[j], ring.lift(c)) for j, c in column]
                vector = [
                    sum((row[p] * c for row, c in factors if row[p] != 0), ring.lift(0)) for p in range(model.entries)
                ]
                scale = ring.lift(variance)
                totals = [
                    total + scale * matrices.squared_norm(leaf) for total, leaf in zip(totals, model.in_shape(vector))
                ]
            return totals
        leaves = [model.in_shape(row) for row in rows]
        for first, line in zip(leaves, model.covariance(ring)):
            for second, entry in zip(leaves, line):
                if entry != 0:
                    products = [matrices.trace_product(a, matrices.transpose(b)) for a, b in zip(first, second)]
                    totals = [total + entry * product for total, product in zip(totals, products)]
        return totals

    @cached_property
    def doubled_loss(self) -> T:
        """2 lbar."""
        (value,) = self._values.of([self.model.split.population * 2])
        return value
