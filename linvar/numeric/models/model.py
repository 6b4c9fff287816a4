"""What the numeric half asks of a model: the loss of one example, which JAX differentiates.

A twin is a frozen object without arrays: part of the program, static for ``jax.jit``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array

from linvar.numeric.arguments import check_choice, check_numeric_problem
from linvar.numeric.floats import to_floats
from linvar.problem import Problem


class NumericModel(ABC):
    """The numeric twin of a model."""

    @abstractmethod
    def loss(self, params: Sequence[Array], example: tuple[Array, Array]) -> Array:
        """The loss of ONE example (x, y), of shapes (d_0,) and (d_L,), a scalar; params are the leaves."""

    @property
    @abstractmethod
    def activations(self) -> int:
        """Numbers that the loss of one example keeps on the way to its gradient, about."""

    def batch_loss(self, params: Sequence[Array], inputs: Array, targets: Array) -> Array:
        """The loss of a batch: the MEAN over its examples."""
        return jnp.mean(jax.vmap(self.loss, in_axes=(None, 0))(params, (inputs, targets)))

    def leaves(self, problem: Problem, dtype: str = "float64") -> tuple[Array, ...]:
        """The initial weights of a problem, rounded to ``dtype``; float64 ones live inside ``jax.enable_x64(True)`` only.

        Raises:
            InputError: the problem has symbols, or a weight is too large for ``dtype``.
        """
        check_numeric_problem(problem)
        check_choice(dtype, "dtype", ("float64", "float32"))
        weights = [to_floats(matrix, f"weights[{index}]", dtype) for index, matrix in enumerate(problem.leaves)]
        with jax.enable_x64(dtype == "float64"):
            return tuple(jnp.asarray(weight) for weight in weights)
