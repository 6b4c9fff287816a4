"""Matrices of symbols, for problems whose weights, teacher or learning rate stay open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from linvar.arguments import check_flags, check_integer
from linvar.arrays import ordered
from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.keywords import door

if TYPE_CHECKING:
    import sympy


@door
def symbolic_matrix(name: str, rows: int, columns: int, *, symmetric: bool = False) -> sympy.ImmutableMatrix:
    """A SymPy matrix of symbols name_11, name_12, ... (name alone if 1 x 1): all distinct, or of a symmetric matrix.

    Args:
        name: what the symbols are called.
        rows, columns: its shape, both >= 1.
        symmetric: entries [i, j] and [j, i] are one symbol, named by i <= j: a covariance matrix.

    Returns:
        An immutable SymPy matrix; ``Problem`` and ``Gaussian`` take it wherever they take a list of rows.

    Raises:
        InputError, InputTypeError: a size below 1, no name, or a symmetric matrix that is not square.

    >>> symbolic_matrix("t", 1, 2)
    Matrix([[t_11, t_12]])
    >>> import linvar as lv
    >>> sigma = symbolic_matrix("s", 2, 2, symmetric=True)
    >>> sigma
    Matrix([
    [s_11, s_12],
    [s_12, s_22]])
    >>> lv.expected_loss(lv.Problem([[[1, 2]]], lv.Gaussian(teacher=0, covariance=sigma)))
    1/2 s_11 + 2 s_12 + 2 s_22    (u = 1/b, degree 0)
    """
    import sympy

    rows, columns = _size("rows", rows), _size("columns", columns)
    check_flags(symmetric=symmetric)
    if not isinstance(name, str) or not name:
        kind = InputError if isinstance(name, str) else InputTypeError
        raise kind("name", name, "give the name of the symbols, for instance 'w'")
    if symmetric and rows != columns:
        fault = Words(f"= {cut(name, 40)!r} is to be symmetric, but has {rows} rows and {columns} columns")
        raise InputError("name", fault, "give as many rows as columns, or leave symmetric out")
    if rows == columns == 1:
        return sympy.ImmutableMatrix([[sympy.Symbol(name)]])
    separator = "" if max(rows, columns) < 10 else "_"

    def symbol(i: int, j: int) -> sympy.Symbol:
        first, second = sorted((int(i), int(j))) if symmetric else (int(i), int(j))
        return sympy.Symbol(f"{name}_{first + 1}{separator}{second + 1}")

    return sympy.ImmutableMatrix(rows, columns, symbol)


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
    widths = [_size(f"widths[{i}]", width) for i, width in enumerate(widths)]
    return [
        symbolic_matrix(f"{name}{layer}", rows, columns)
        for layer, (columns, rows) in enumerate(zip(widths, widths[1:]), 1)
    ]


def _size(argument: str, value: object) -> int:
    """An integer >= 1."""
    size = check_integer(value, argument, "give an integer >= 1")
    if size < 1:
        raise InputError(argument, value, "give an integer >= 1")
    return size
