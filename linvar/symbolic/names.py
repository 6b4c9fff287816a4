"""Matrices of symbols, for problems whose weights, teacher or learning rate stay open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def symbolic_matrix(name: str, rows: int, columns: int) -> Any:
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
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{argument}={value!r}: give an integer >= 1")
    if rows == columns == 1:
        return sympy.ImmutableMatrix([[sympy.Symbol(name)]])
    separator = "" if max(rows, columns) < 10 else "_"
    return sympy.ImmutableMatrix(rows, columns, lambda i, j: sympy.Symbol(f"{name}_{i + 1}{separator}{j + 1}"))


def symbolic_weights(widths: Sequence[int], name: str = "w") -> list[Any]:
    """Symbolic weights of a network of these widths: W_1 first, entries w1_11, w1_12, ..., w2_11, ...

    Args:
        widths: (d_0, ..., d_L), at least two integers >= 1.
        name: the letter of the symbols.

    Returns:
        A list of L SymPy matrices, W_l of shape (d_l, d_{l-1}).

    >>> symbolic_weights([2, 1, 1])
    [Matrix([[w1_11, w1_12]]), Matrix([[w2]])]
    """
    widths = list(widths)
    if len(widths) < 2:
        raise ValueError(f"widths={widths!r}: give at least two, (d_0, ..., d_L)")
    return [
        symbolic_matrix(f"{name}{layer}", rows, columns)
        for layer, (columns, rows) in enumerate(zip(widths, widths[1:]), 1)
    ]
