"""The statement of a model: a network and its loss of ONE example, a polynomial in the weights. It computes nothing.

Its exact twin (``linvar.symbolic.models``) knows the features a batch enters through, its numeric twin
(``linvar.numeric.models``) is what JAX differentiates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from linvar.arrays import ordered
from linvar.errors import InputError, Words
from linvar.exact import Matrix, exact_matrix, shape
from linvar.laws.law import Law


class Model(ABC):
    """A network and its loss of one example.

    Attributes:
        kind: its name in problem files; empty where it is not written to any.
    """

    kind: ClassVar[str] = ""

    def checked(self, weights: Any) -> tuple[Matrix, ...]:
        """The weights as leaves, each a matrix of exact entries.

        Raises:
            InputTypeError, InputError: they are no list of matrices, or do not fit the model.
        """
        leaves = enumerate(ordered(weights, "weights", "give a list of matrices"))
        matrices = tuple(exact_matrix(matrix, f"weights[{l}]") for l, matrix in leaves)
        if not matrices:
            raise InputError("weights", Words("is empty"), "give at least one matrix")
        return matrices

    @abstractmethod
    def degree(self, weights: tuple[Matrix, ...]) -> int:
        """The degree of the loss in the weights."""

    def is_linear_regression(self, weights: tuple[Matrix, ...]) -> bool:
        """Whether it is one linear layer with the squared loss."""
        return False

    def describe(self, weights: tuple[Matrix, ...]) -> str:
        """In a few words, for a problem's ``repr``."""
        shapes = ", ".join("x".join(map(str, shape(matrix))) for matrix in weights)
        return f"{type(self).__name__} of {shapes}"

    @abstractmethod
    def check_law(self, weights: tuple[Matrix, ...], law: Law) -> None:
        """Refuse a law whose examples do not fit the weights.

        Raises:
            InputError: it names the shapes.
        """
