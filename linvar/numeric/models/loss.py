"""Any loss in JAX: the function itself, which JAX differentiates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import jax.numpy as jnp
from jaxtyping import Array

from linvar.models.function import Function
from linvar.numeric.models.model import NumericModel
from linvar.trees import Structure


@dataclass(frozen=True)
class NumericLoss(NumericModel):
    """The numeric twin of a loss.

    Attributes:
        function: loss(params, example).
        weights, example: their structures; params are leaves kept as matrices, an example (x, y) in which all its entries stand.
        apart: whether the loss does not depend on the example, which is said to be no mistake.
    """

    function: Function
    weights: Structure
    example: Structure
    apart: bool = False

    def loss(self, params: Sequence[Array], example: tuple[Array, Array]) -> Array:
        """The loss of one example."""
        tree = self.weights.unflatten([jnp.reshape(leaf, shape) for leaf, shape in zip(params, self.weights.shapes)])
        parts = jnp.split(jnp.concatenate(example), list(accumulate(self.example.sizes))[:-1])
        arrays = [
            jnp.reshape(jnp.round(part).astype(int) if whole else part, shape)
            for part, shape, whole in zip(parts, self.example.shapes, self.example.whole)
        ]
        value = jnp.reshape(self.function(tree, self.example.unflatten(arrays)), ())
        return value + 0 * jnp.sum(example[0]) if self.apart else value

    @property
    def activations(self) -> int:
        """The sizes of all that is computed on the way."""
        return self.function.program(self.weights, self.example).activations


_: type[NumericModel] = NumericLoss
