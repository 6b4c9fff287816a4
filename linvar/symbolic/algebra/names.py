"""Matrices of symbols, for problems whose weights, teacher or learning rate stay open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from linvar.arrays import ordered
from linvar.errors import InputError, InputTypeError
from linvar.keywords import door

if TYPE_CHECKING:
    import sympy


@door
def symbolic_matrix(name: str, rows: int, columns: int) -> sympy.ImmutableMatrix:
    """A SymPy matrix of distinct symbols name_11, name_12, ... (name alone if 1 x 1).

    Args:
        name: what the symbols are called.
        rows, columns: its shape, both >= 1.

    Returns:
        An immutable SymPy matrix; ``Problem`` and ``Gaussian`` take it wherever they take a list of rows.

    >>> symbolic_matrix("t", 1, 2)
    Matrix([[t_11, t_12]])
    """
    import sympy

    for argument, value in (("rows", rows), ("columns", columns)):
        _check_size(argument, value)
    if not isinstance(name, str) or not name:
        kind = InputError if isinstance(name, str) else InputTypeError
        raise kind("name", name, "give the name of the symbols, for instance 'w'")
    if rows == columns == 1:
        return sympy.ImmutableMatrix([[sympy.Symbol(name)]])
    separator = "" if max(rows, columns) < 10 else "_"
    return sympy.ImmutableMatrix(rows, columns, lambda i, j: sympy.Symbol(f"{name}_{i + 1}{separator}{j + 1}"))


@door
def symbolic_weights(widths: Sequence[int], name: str = "w") -> list[sympy.ImmutableMatrix]:
    """Symbolic weights of a network of these widths: W_1 first, entries w1_11, w1_12, ..., w2_11, ...

    Args:
        widths: (d_0, ..., d_L), at least two integers >= 1.
        name: the letter of the symbols.

    Returns:
        A list of L SymPy matrices, W_l of shape (d_l, d_{l-1}).

    >>> symbolic_weights([2, 1, 1])
    [Matrix([[w1_11, w1_12]]), Matrix([[w2]])]
    """
    widths = ordered(widths, "widths", "give a list of at least two, (d_0, ..., d_L)")
    if len(widths) < 2:
        raise InputError("widths", widths, "give at least two, (d_0, ..., d_L)")
    for i, width in enumerate(widths):
        _check_size(f"widths[{i}]", width)
    return [
        symbolic_matrix(f"{name}{layer}", rows, columns)
        for layer, (columns, rows) in enumerate(zip(widths, widths[1:]), 1)
    ]


def _check_size(argument: str, value: object) -> None:
    """An integer >= 1."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputTypeError(argument, value, "give an integer >= 1")
    if value < 1:
        raise InputError(argument, value, "give an integer >= 1")
