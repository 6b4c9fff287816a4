"""The linear network: the loss of one example.

This is all the numeric half knows about the network: how to apply it, and how bad an answer is. Gradients come
from differentiating that loss, so that no mistake of the exact half can be repeated here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float

from linvar.numeric.models.model import NumericModel

Input: TypeAlias = Float[Array, " input"]
Output: TypeAlias = Float[Array, " output"]


def applied(weights: Sequence[Array], inputs: Input) -> Output:
    """P x, layer by layer."""
    for weight in weights:
        inputs = weight @ inputs
    return inputs


@dataclass(frozen=True)
class NumericLinear(NumericModel):
    """The numeric twin of ``LinearNetwork``.

    Attributes:
        widths: (d_0, ..., d_L).
    """

    widths: tuple[int, ...]

    @property
    def activations(self) -> int:
        """Every layer's output, forward, and the same back twice."""
        return 3 * sum(self.widths)

    def loss(self, params: Sequence[Array], example: tuple[Array, Array]) -> Array:
        """1/2 ||P x - y||^2."""
        inputs, target = example
        return 0.5 * jnp.sum((applied(params, inputs) - target) ** 2)


_: type[NumericModel] = NumericLinear
