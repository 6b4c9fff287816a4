"""The coefficients of a polynomial in 1/b, or of an expansion, as a ``Table``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from linvar.digits import formatted
from linvar.display.cell import Cell, cell_of
from linvar.display.table import Table
from linvar.exact import Exact, Rational
from linvar.symbolic.result import latex
from linvar.symbolic.result.display import LONGEST_NUMBER, batch_size_name, coefficient_text, enclosure
from linvar.symbolic.result.latex_names import latex_names

if TYPE_CHECKING:
    from linvar.flint import arb

#: a coefficient in symbols of more characters is described in its cell
_LONGEST_CELL = 200
#: significant digits of a decimal
_DIGITS = 6


def exact_table(
    coefficients: Sequence[Exact],
    elements: Sequence[Any],
    symbols: Sequence[Any],
    title: str,
    notes: Sequence[str] = (),
) -> Table:
    """Power, coefficient, and its decimal (without symbols) or the number of its terms."""
    names, power = latex_names(symbols), f"power of 1/{batch_size_name(symbols)}"
    if all(isinstance(value, Rational) for value in coefficients):
        rows = [
            [cell_of(k), *_number_cells(value)] for k, value in enumerate(coefficients) if isinstance(value, Rational)
        ]
        return Table([power, "coefficient", "decimal"], rows, title, notes)
    symbolic = [
        [k, _symbolic_cell(value, element, symbols, names), len(element)]
        for k, (value, element) in enumerate(zip(coefficients, elements))
    ]
    return Table([power, "coefficient", "terms"], symbolic, title, notes)


def enclosed_table(
    balls: Sequence[arb], digits: int, symbols: Sequence[Any], title: str, notes: Sequence[str]
) -> Table:
    """Power and certified enclosure; the value of a cell is the ball."""
    fewer = min(digits, LONGEST_NUMBER)
    rows = [[k, Cell(enclosure(ball, fewer), ball, latex.enclosure_latex(ball, fewer))] for k, ball in enumerate(balls)]
    return Table([f"power of 1/{batch_size_name(symbols)}", "coefficient"], rows, title, notes)


def _number_cells(value: Rational) -> list[Cell]:
    """The number exactly, long ones cut, and rounded; the value of the latter is a float where it fits one."""
    shown = Cell(cell_of(value).text, value, latex.cut_number(value, ""), numeric=True)
    try:
        near: object = float(value)
    except OverflowError:
        near = value
    return [shown, Cell(formatted(value, f".{_DIGITS}g"), near, latex.decimal(value, "", _DIGITS), numeric=True)]


def _symbolic_cell(value: Exact, element: Any, symbols: Sequence[Any], names: Sequence[str]) -> Cell:
    """A sum in the symbols; of a long one the number of terms."""
    many = f"({len(element):,} terms)"
    text, formula = many, rf"\text{{{many}}}"
    if len(element) <= _LONGEST_CELL:
        text = coefficient_text(element, list(map(str, symbols)))
        formula = latex.coefficient_latex(element, names)
    if max(len(text), len(formula)) > _LONGEST_CELL:
        text, formula = many, rf"\text{{{many}}}"
    return Cell(text, value, formula)
