"""The deep linear network with a bias in every layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from linvar.arrays import as_lists, is_one_number, ordered
from linvar.errors import InputError, InputTypeError, Words
from linvar.exact import Matrix, exact_matrix, exact_vector, shape
from linvar.laws.law import Law, show
from linvar.models.linear import LinearNetwork, check_chain
from linvar.models.model import Model
from linvar.plain_data import Plain, plain

T = TypeVar("T")

_LAYERS = (
    "with bias=True give a list of pairs (W_l, c_l), a matrix and a list of as many numbers as it has rows, W_1 first"
)


@dataclass(frozen=True)
class BiasedNetwork(Model):
    """x -> W_L (... (W_1 x + c_1) ...) + c_L, and the loss 1/2 ||. - y||^2; leaves W_1, c_1, ..., W_L, c_L, each c_l a column."""

    def checked(self, weights: Any) -> tuple[Matrix, ...]:
        """Pairs (W_l, c_l), exact, with widths that chain."""
        layers = ordered(weights, "weights", _LAYERS)
        if not layers:
            raise InputError("weights", Words("is empty"), _LAYERS)
        found: list[Matrix] = []
        for l, layer in enumerate(layers):
            found += _pair(layer, f"weights[{l}]")
        check_chain(found[::2], "weights[{}][0]")
        return tuple(found)

    def ends(self, weights: tuple[Matrix, ...]) -> tuple[int, int]:
        """Columns of W_1 and rows of W_L."""
        return LinearNetwork().ends(weights[::2])

    def widths(self, weights: tuple[Matrix, ...]) -> tuple[int, ...]:
        """(d_0, ..., d_L)."""
        return LinearNetwork().widths(weights[::2])

    def tree(self, entries: Sequence[T], leaves: tuple[Matrix, ...]) -> tuple[tuple[tuple[Any, ...], ...], ...]:
        """((W_1, c_1), ..., (W_L, c_L)): tuples of rows, and of numbers."""
        following, pairs = iter(entries), []
        for matrix, bias in zip(leaves[::2], leaves[1::2]):
            rows = tuple(tuple(next(following) for _ in row) for row in matrix)
            pairs.append((rows, tuple(next(following) for _ in bias)))
        return tuple(pairs)

    def tree_of_leaves(self, leaves: Sequence[T]) -> tuple[tuple[T, T], ...]:
        """A pair for each layer."""
        return tuple(zip(leaves[::2], leaves[1::2]))

    def as_typed(self, leaves: Sequence[T]) -> list[tuple[T, T]]:
        """A list of pairs."""
        return list(self.tree_of_leaves(leaves))

    def leaf_text(self, place: int, leaf: Matrix) -> str:
        """c_l as a list of numbers."""
        return show(tuple(entry for (entry,) in leaf) if place % 2 else leaf)

    def argument_text(self) -> str:
        """That it has biases."""
        return "bias=True"

    def degree(self, weights: tuple[Matrix, ...], law: Law) -> int:
        """2 L: that of the weight matrices alone."""
        return len(weights)

    def to_dict(self) -> dict[str, Plain]:
        """That it has biases."""
        return {"bias": True}

    def weights_to_plain(self, leaves: tuple[Matrix, ...]) -> Plain:
        """Pairs [W_l, c_l]."""
        return [[plain(matrix), [plain(c) for (c,) in bias]] for matrix, bias in zip(leaves[::2], leaves[1::2])]

    def smaller(self, weights: tuple[Matrix, ...]) -> list[str]:
        """Widths and layers."""
        return LinearNetwork().smaller(weights[::2])

    def describe(self, weights: tuple[Matrix, ...]) -> str:
        """Its widths."""
        return f"{LinearNetwork().describe(weights[::2])} with biases"

    def check_law(self, weights: tuple[Matrix, ...], law: Law) -> None:
        """The first and last width must be those of the law."""
        LinearNetwork().check_law(weights[::2], law)


def _pair(layer: Any, name: str) -> tuple[Matrix, Matrix]:
    """W_l, and c_l as a column."""
    parts = [as_lists(part, f"{name}[{place}]") for place, part in enumerate(ordered(layer, name, _LAYERS))]
    if len(parts) != 2 or any(map(is_one_number, parts)):
        raise InputTypeError(name, layer, _LAYERS, fault="is no pair")
    rows = ordered(parts[0], f"{name}[0]", _LAYERS)
    if any(map(is_one_number, rows)):
        raise InputTypeError(f"{name}[0]", parts[0], _LAYERS, fault="is no matrix")
    matrix, bias = exact_matrix(rows, f"{name}[0]"), exact_vector(parts[1], f"{name}[1]", _LAYERS)
    if len(bias) != len(matrix):
        fault = Words(f"has {len(bias)} entries, but {name}[0] has shape {shape(matrix)}")
        raise InputError(f"{name}[1]", fault, f"give one bias for each of the {len(matrix)} rows")
    return matrix, tuple((entry,) for entry in bias)


_: type[Model] = BiasedNetwork
