"""The linear network as a Flax module, for whom one is a model like any other."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from linvar.numeric.models.linear import Input, NumericLinear, Output, applied
from linvar.problem import Problem


class LinearNetwork(nnx.Module):
    """A deep linear network without biases: x -> P x, with P = W_L ... W_1.

    Args:
        weights: W_1 first; W_l has shape (d_l, d_{l-1}).

    >>> LinearNetwork([jnp.asarray([[1.0, 2.0]]), jnp.asarray([[3.0]])])(jnp.asarray([1.0, 1.0]))
    Array([9.], dtype=float32)
    """

    def __init__(self, weights: Sequence[Float[Array, "_ _"]]) -> None:
        self.layers = nnx.List([nnx.Param(weight) for weight in weights])

    def __call__(self, inputs: Input) -> Output:
        """P x for one input x, layer by layer."""
        return applied(self.weights, inputs)

    @property
    def weights(self) -> tuple[Array, ...]:
        """(W_1, ..., W_L)."""
        return tuple(weight[...] for weight in self.layers)


def loss(model: LinearNetwork, example: tuple[Input, Output]) -> Float[Array, ""]:
    """The loss of ONE example: 1/2 ||P x - y||^2, a sum over coordinates, with the factor 1/2.

    Args:
        model: the network P.
        example: (x, y), of shapes (d_0,) and (d_L,).

    >>> network = LinearNetwork([jnp.asarray([[1.0, 2.0]])])
    >>> float(loss(network, (jnp.asarray([1.0, 1.0]), jnp.asarray([1.0]))))
    2.0
    """
    inputs, target = example
    return 0.5 * jnp.sum((model(inputs) - target) ** 2)


def batch_loss(
    model: LinearNetwork, inputs: Float[Array, "batch input"], targets: Float[Array, "batch output"]
) -> Float[Array, ""]:
    """The loss of a batch: the MEAN over its examples of :func:`loss`."""
    return jnp.mean(jax.vmap(loss, in_axes=(None, 0))(model, (inputs, targets)))


def network_from_problem(problem: Problem, dtype: str = "float64") -> LinearNetwork:
    """The network of a problem at its initial weights, rounded to ``dtype``.

    Args:
        problem: a problem without symbols.
        dtype: "float64" or "float32". A float64 network can only be used inside ``with jax.enable_x64(True):``.

    Raises:
        InputError: the problem has symbols, or a weight is too large for ``dtype``.

    >>> from linvar import Gaussian, Problem
    >>> problem = Problem(weights=[[["1/2", 1]]], law=Gaussian([[1, 0]]))
    >>> network_from_problem(problem, dtype="float32").weights
    (Array([[0.5, 1. ]], dtype=float32),)
    """
    return LinearNetwork(NumericLinear(problem.widths).leaves(problem, dtype))
