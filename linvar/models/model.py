"""The statement of a model: a network and its loss of ONE example, a polynomial in the weights. It computes nothing.

Its exact twin (``linvar.symbolic.models``) knows the features a batch enters through, its numeric twin
(``linvar.numeric.models``) is what JAX differentiates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from linvar.arrays import ordered
from linvar.errors import InputError, Words
from linvar.exact import Matrix, exact_matrix, shape
from linvar.laws.law import Law, show
from linvar.plain_data import Plain, ProblemFileError, plain

if TYPE_CHECKING:
    import sympy
    from jaxtyping import PyTree

T = TypeVar("T")


class Model(ABC):
    """A network and its loss of one example."""

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

    def fitted(self, weights: Any) -> tuple[Model, tuple[Matrix, ...]]:
        """The model of these weights, and they as leaves.

        Raises:
            InputTypeError, InputError: as ``checked``.
        """
        return self, self.checked(weights)

    def ends(self, weights: tuple[Matrix, ...]) -> tuple[int, int] | None:
        """(d_0, d_L), the shape of the linear map that is learned; None where the weights do not tell it."""
        return None

    def widths(self, weights: tuple[Matrix, ...]) -> tuple[int, ...]:
        """(d_0, ..., d_L) of a network of layers; of other models the rows of each leaf, after the columns of the first."""
        return (len(weights[0][0]), *(len(matrix) for matrix in weights))

    def tree(self, entries: Sequence[T], leaves: tuple[Matrix, ...]) -> PyTree:
        """One value for each entry of the leaves in the structure of the weights: a tuple of matrices, tuples of rows."""
        following = iter(entries)
        return tuple(tuple(tuple(next(following) for _ in row) for row in matrix) for matrix in leaves)

    def tree_of_leaves(self, leaves: Sequence[T]) -> PyTree:
        """One value for each leaf, in the structure of the weights: a tuple."""
        return tuple(leaves)

    def as_typed(self, leaves: Sequence[T]) -> PyTree:
        """One value for each leaf, in the structure in which weights are typed."""
        return self.tree_of_leaves(leaves)

    def leaf_text(self, place: int, leaf: Matrix) -> str:
        """A leaf as it is typed, for a problem's ``repr``."""
        return show(leaf)

    def argument_text(self) -> str:
        """The argument of a problem that chooses the model, for its ``repr``; empty for the linear network."""
        return f"model={self!r}"

    @property
    def symbols(self) -> tuple[sympy.Expr, ...]:
        """SymPy symbols that occur in the model itself."""
        return ()

    def check_symbols(self, weights: tuple[Matrix, ...], symbols: tuple[sympy.Expr, ...]) -> None:
        """Refuse symbols of a problem that mean something else in the model.

        Raises:
            InputError: it names the symbol.
        """
        return

    @abstractmethod
    def degree(self, weights: tuple[Matrix, ...], law: Law) -> int:
        """The degree of the loss in the weights, under examples of a law."""

    def degree_in_example(self, weights: tuple[Matrix, ...], law: Law) -> int:
        """The degree of the loss in the coordinates of an example, about: how heavy the tails of its gradients are."""
        return 2

    def by_second_moments(self, weights: tuple[Matrix, ...], law: Law) -> bool:
        """Whether the loss is a quadratic form in the example (x, y), so that a batch enters through its second moment alone."""
        return False

    def to_dict(self) -> dict[str, Plain]:
        """Further keys of a problem file.

        Raises:
            ProblemFileError: no problem file holds models of this kind.
        """
        cure = "keep it with pickle (and the lattice without a checkpoint): a problem file holds linear networks and losses"
        raise ProblemFileError("model", self, cure, fault="is of no kind that problem files hold")

    def weights_to_plain(self, leaves: tuple[Matrix, ...]) -> Plain:
        """The weights in a problem file."""
        return plain(leaves)

    def is_linear_regression(self, weights: tuple[Matrix, ...]) -> bool:
        """Whether it is one linear layer with the squared loss."""
        return False

    def smaller(self, weights: tuple[Matrix, ...]) -> list[str]:
        """What would make a derivation smaller, in words."""
        return ["fewer weights, or a loss of a lower degree"]

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
