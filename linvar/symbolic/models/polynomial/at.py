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

    @cached_property
    def mean_gradients(self) -> list[Rows[T]]:
        """grad lbar."""
        return self.model.in_shape(self.model.values(self.model.population_gradient, self.weights, self.ring))

    @cached_property
    def spreads(self) -> list[T]:
        """sum_jk Cov(psi_j, psi_k) <grad e_j, grad e_k>, leaf by leaf."""
        model, ring = self.model, self.ring
        totals = [ring.lift(0)] * len(self.weights)
        if not model.law.symbols:
            for variance, vector in model.uncorrelated:
                leaves = model.in_shape(model.values(vector, self.weights, ring))
                scale = ring.lift(variance)
                totals = [total + scale * matrices.squared_norm(leaf) for total, leaf in zip(totals, leaves)]
            return totals
        rows = [model.in_shape(model.values(row, self.weights, ring)) for row in model.gradients[1]]
        for first, line in zip(rows, model.covariance(ring)):
            for second, entry in zip(rows, line):
                if entry != 0:
                    products = [matrices.trace_product(a, matrices.transpose(b)) for a, b in zip(first, second)]
                    totals = [total + entry * product for total, product in zip(totals, products)]
        return totals

    @cached_property
    def doubled_loss(self) -> T:
        """2 lbar."""
        (value,) = self.model.values([self.model.split.population * 2], self.weights, self.ring)
        return value
