"""A model in one object: a loss of one example."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from linvar.exact import Matrix
from linvar.laws.law import Law
from linvar.models.model import Model
from linvar.numeric.models.model import NumericModel
from linvar.numeric.models.registry import numeric_model
from linvar.symbolic.models.polynomial.model import PolynomialModel
from linvar.symbolic.models.polynomial.tracing import loss_of
from linvar.symbolic.models.registry import Made, exact_twin


class OpenModel(Model):
    """A network and its loss in one short class: a base for models of your own, for ``model=`` without any registration.

    What it must say:

    - ``loss(weights, x, y)`` of ONE example: weights a list of arrays, leaf by leaf, x of shape (d_0,), y of shape (d_L,); made
      of + - * @, powers, sums, slices and division by numbers, so that it is a polynomial in the weights; constants are integers
      or fractions. The exact half runs it on arrays of polynomials (which NumPy takes for numbers), the numeric half on arrays
      of JAX;
    - ``degree(weights)``: the degree of the loss in the weights, which are tuples of rows here.

    So it derives by every road (by ``Regression`` up to degree 2), is simulated and verified; ``check_model`` says whether all of
    it is right. It has a hash (a frozen dataclass).
    """

    @abstractmethod
    def loss(self, weights: Any, x: Any, y: Any) -> Any:
        """The loss of one example."""

    def check_law(self, weights: tuple[Matrix, ...], law: Law) -> None:
        """What does not fit is refused when the loss is run."""


@dataclass(frozen=True)
class _Differentiated(NumericModel):
    """The same loss on arrays of JAX."""

    model: OpenModel

    def loss(self, params: Sequence[Array], example: tuple[Array, Array]) -> Array:
        """One number, whatever its shape."""
        return jnp.reshape(self.model.loss(list(params), *example), ())


@exact_twin.register
def _exact(model: OpenModel) -> Made:
    return lambda problem, law: PolynomialModel(problem, law, loss=loss_of(model.loss, problem, law))


@numeric_model.register
def _numeric(model: OpenModel) -> NumericModel:
    return _Differentiated(model)
