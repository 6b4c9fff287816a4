"""Cell: one value of a table, and how it is written in each place."""

from __future__ import annotations

import html
import math
import numbers
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

from linvar.exact import leading_digits

_SIGNIFICANT = 6
_LONGEST_EXACT = 24
_ESCAPED = {letter: rf"\{letter}" for letter in "&%$#_{}"} | {
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
    "|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


class Style(Enum):
    """What a cell says by its colour: always said by its text too."""

    PLAIN = ("", "")
    GOOD = ("green", ";color:#1a7f37")
    DOUBT = ("yellow", ";color:#9a6700")
    BAD = ("bold red", ";color:#cf222e;font-weight:bold")

    @property
    def rich(self) -> str:
        """As a style of Rich."""
        return self.value[0]

    @property
    def css(self) -> str:
        """As further CSS."""
        return self.value[1]


@dataclass(frozen=True)
class Cell:
    """One value.

    Attributes:
        text: as a terminal shows it.
        value: what a DataFrame holds.
        latex: in math mode; "" where the text is no formula.
        numeric: whether it stands right.
        style: what its colour says.
    """

    text: str
    value: object = None
    latex: str = ""
    numeric: bool = False
    style: Style = Style.PLAIN

    @property
    def html(self) -> str:
        """In HTML, a formula for MathJax; numbers are plain text."""
        return rf"\({html.escape(self.latex)}\)" if self.latex and not self.numeric else html.escape(self.text)

    @property
    def in_latex(self) -> str:
        """In a tabular."""
        return f"${self.latex}$" if self.latex else "".join(_ESCAPED.get(letter, letter) for letter in self.text)

    @property
    def markdown(self) -> str:
        """In a table of Markdown."""
        return f"${self.latex}$".replace("|", r"\vert ") if self.latex else self.text.replace("|", r"\|")


def cell_of(entry: object) -> Cell:
    """A cell of a value: numbers to 6 significant digits, exact ones "p/q" while they are short; anything else by its str.

    >>> cell_of(0.1234567).text, cell_of(Fraction(1, 3)).text, cell_of("b").text
    ('0.123457', '1/3', 'b')
    """
    if isinstance(entry, Cell):
        return entry
    if entry is None:
        return Cell("-", None)
    if isinstance(entry, (bool, str)) or not isinstance(entry, numbers.Real):
        return Cell(str(entry), entry)
    text = _exact(entry) if isinstance(entry, (int, Fraction)) else _float(float(entry))
    return Cell(text, entry, numeric=True)


def _float(value: float) -> str:
    return f"{value:.{_SIGNIFICANT}g}" if math.isfinite(value) else str(value)


def _exact(value: int | Fraction) -> str:
    """All digits while they are few."""
    if abs(value.numerator).bit_length() + value.denominator.bit_length() <= 3 * _LONGEST_EXACT:
        return str(value)
    mantissa, exponent = leading_digits(Fraction(value), _SIGNIFICANT)
    return f"{mantissa}..." + (f"e{exponent}" if exponent else "")
