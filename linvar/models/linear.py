"""The deep linear network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

from linvar.arrays import as_lists, is_one_number, ordered
from linvar.errors import InputError, InputTypeError, Words
from linvar.exact import Matrix, exact_matrix, shape
from linvar.laws.law import Law
from linvar.models.model import Model
from linvar.plain_data import Plain

T = TypeVar("T")

_LAYERS = "give a list of matrices, W_1 first, or loss= for weights of another structure"


@dataclass(frozen=True)
class LinearNetwork(Model):
    """P = W_L ... W_1, and the loss 1/2 ||P x - y||^2 of one example."""

    def checked(self, weights: Any) -> tuple[Matrix, ...]:
        """The weight matrices, exact, with widths that chain."""
        layers = ordered(weights, "weights", _LAYERS)
        for l, layer in enumerate(layers):
            if _is_pair(layer):
                cure = "give bias=True with pairs (W_l, c_l), or a list of matrices without it"
                raise InputTypeError(f"weights[{l}]", layer, cure, fault="is a pair of a matrix and a bias")
        matrices = tuple(exact_matrix(matrix, f"weights[{l}]") for l, matrix in enumerate(layers))
        if not matrices:
            raise InputError("weights", Words("is empty"), "give at least one matrix, W_1 first")
        check_chain(matrices, "weights[{}]")
        return matrices

    def ends(self, weights: tuple[Matrix, ...]) -> tuple[int, int]:
        """Columns of W_1 and rows of W_L."""
        return shape(weights[0])[1], shape(weights[-1])[0]

    def as_typed(self, leaves: Sequence[T]) -> list[T]:
        """A list."""
        return list(leaves)

    def argument_text(self) -> str:
        """Nothing."""
        return ""

    def by_second_moments(self, weights: tuple[Matrix, ...], law: Law) -> bool:
        """It is one."""
        return True

    def to_dict(self) -> dict[str, Plain]:
        """Nothing: it is what a problem file without a loss states."""
        return {}

    def degree(self, weights: tuple[Matrix, ...], law: Law) -> int:
        """2 L."""
        return 2 * len(weights)

    def is_linear_regression(self, weights: tuple[Matrix, ...]) -> bool:
        """One layer."""
        return len(weights) == 1

    def smaller(self, weights: tuple[Matrix, ...]) -> list[str]:
        """Widths and layers."""
        wide = max(max(shape(matrix)) for matrix in weights) > 1
        narrower = "smaller widths" if len(weights) > 1 else "fewer inputs or outputs"
        return [narrower] * wide + ["fewer layers"] * (len(weights) > 2)

    def describe(self, weights: tuple[Matrix, ...]) -> str:
        """Its widths."""
        return f"widths {'-'.join(map(str, self.widths(weights)))}"

    def check_law(self, weights: tuple[Matrix, ...], law: Law) -> None:
        """The first and last width must be those of the law."""
        inputs, outputs = self.ends(weights)
        if (outputs, inputs) != (law.target_width, law.input_width):
            raise law.misfit(inputs, outputs)


def check_chain(matrices: Sequence[Matrix], name: str) -> None:
    """The columns of a layer are the rows of the one before it; ``name`` is how a layer is typed, "weights[{}]"."""
    for l, (before, after) in enumerate(pairwise(matrices), 1):
        if shape(after)[1] != shape(before)[0]:
            fault = Words(f"has shape {shape(after)}, but {name.format(l - 1)} has shape {shape(before)}")
            cure = f"the columns of a layer must equal the rows of the layer before it ({shape(before)[0]})"
            raise InputError(name.format(l), fault, cure)


def _is_pair(layer: Any) -> bool:
    """Whether it is a matrix and a list of numbers, as a layer with a bias is."""
    if not isinstance(layer, (list, tuple)) or len(layer) != 2:
        return False
    matrix, bias = (as_lists(part, "weights") for part in layer)
    if any(not isinstance(part, (list, tuple)) or not part for part in (matrix, bias)):
        return False
    return not is_one_number(matrix[0]) and all(map(is_one_number, bias))


_: type[Model] = LinearNetwork
