"""The linear network with biases in JAX: the loss of one example, which JAX differentiates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array

from linvar.numeric.models.model import NumericModel


@dataclass(frozen=True)
class NumericBiased(NumericModel):
    """The numeric twin of ``BiasedNetwork``.

    Attributes:
        widths: (d_0, ..., d_L).
    """

    widths: tuple[int, ...]

    @property
    def activations(self) -> int:
        """Every layer's output, forward, and the same back twice."""
        return 3 * sum(self.widths)

    def loss(self, params: Sequence[Array], example: tuple[Array, Array]) -> Array:
        """1/2 ||W_L (... (W_1 x + c_1) ...) + c_L - y||^2; each c_l is a column."""
        value, target = example
        for weight, bias in zip(params[::2], params[1::2]):
            value = weight @ value + bias[:, 0]
        return 0.5 * jnp.sum((value - target) ** 2)


_: type[NumericModel] = NumericBiased
