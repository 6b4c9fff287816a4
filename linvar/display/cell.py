"""Cell: one value of a table, and how it is written in each place."""

from __future__ import annotations

import html
import math
import numbers
import re
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction

from linvar.errors import cut, one_line
from linvar.exact import leading_digits

#: No cell of a terminal or a notebook shows more characters.
LONGEST = 80
_SIGNIFICANT = 6
_LONGEST_EXACT = 24
_ESCAPED = {letter: rf"\{letter}" for letter in "&%$#_{}"} | {
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}",
    "|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip
#: a number that LaTeX writes in math mode: with a sign, dots or a power of ten
_NUMBER = re.compile(r"(?P<mantissa>[-+]?\d[\d.,]*?)(?P<dots>\.\.\.)?(?:e(?P<power>[-+]?\d+))?")
#: what Markdown takes for markup: letters of its own, underscores at the ends of words, entities, links
_MARKUP = re.compile(r"[\\`*<|$~]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)|\](?=[(\[:])")


class Style(Enum):
    """What a cell says by its colour: always said by its text too. The colours read on white and on black."""

    PLAIN = ("", "")
    GOOD = ("green", "color:#1e9146")
    DOUBT = ("yellow", "color:#a07800")
    BAD = ("bold red", "color:#e04349;font-weight:bold")

    @property
    def rich(self) -> str:
        """As a style of Rich."""
        return self.value[0]

    @property
    def css(self) -> str:
        """As CSS."""
        return self.value[1]


@dataclass(frozen=True)
class Cell:
    """One value.

    Attributes:
        text: as a terminal shows it.
        value: what a DataFrame holds; the text if None.
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
        r"""In HTML: text, in a formula with raised powers.

        No TeX: JupyterLab and nbconvert typeset it in HTML, VS Code and Colab do not, and would show its code.

        >>> Cell("18 u + 1/2 u^2", latex=r"18 u + \frac{1}{2} u^{2}").html
        '18 u + 1/2 u<sup>2</sup>'
        """
        written = html.escape(self.text, quote=False)
        return re.sub(r"\^(\d+)", r"<sup>\1</sup>", written) if self.latex else written

    @property
    def in_latex(self) -> str:
        r"""In a tabular; a number in math mode where it has a sign or a power of ten.

        >>> Cell("[50 %]").in_latex, Cell("-1.5e-05", numeric=True).in_latex
        ('{[}50 \\%]', '$-1.5 \\cdot 10^{-5}$')
        """
        if self.latex:
            return f"${one_line(self.latex)}$"
        if self.numeric and (found := _NUMBER.fullmatch(self.text)):
            mantissa = found["mantissa"].replace(",", "{,}") + (r"\ldots" if found["dots"] else "")
            power = rf" \cdot 10^{{{int(found['power'])}}}" if found["power"] else ""
            return f"${mantissa}{power}$" if power or found["dots"] or mantissa[0] in "-+" else self.text
        text = "".join(_ESCAPED.get(letter, letter) for letter in one_line(self.text))
        # after \\ and after a rule a bracket or a star is an option
        return f"{{{text[0]}}}{text[1:]}" if text[:1] in ("[", "*") else text

    @property
    def markdown(self) -> str:
        r"""In a table of Markdown.

        >>> Cell("a|b, 2 * 3").markdown, Cell("|x|", latex="|x|").markdown
        ('a\\|b, 2 \\* 3', '$\\vert x\\vert $')
        """
        if self.latex:
            return f"${one_line(self.latex)}$".replace("|", r"\vert ")
        return _MARKUP.sub(r"\\\g<0>", one_line(self.text))

    @property
    def missing(self) -> bool:
        """Whether there is no value."""
        return self.value is None and self.text == _MISSING

    def shortened(self, longest: int = LONGEST) -> Cell:
        """With a text of one line and at most so many characters: a formula without its last terms, words without the middle.

        >>> Cell("18 u + 1/2 u^2 - 3 u^3", latex="...").shortened(20).text
        '18 u + 1/2 u^2 + ...'
        """
        text = one_line(self.text)
        if len(text) > longest and self.latex:
            starts = [found.start() for found in re.finditer(r" [-+] ", text[: longest - 3])]
            ends = [k for k in starts if text.count("(", 0, k) == text.count(")", 0, k)]
            text = f"{text[: ends[-1]].removesuffix(' + ...')} + ..." if ends else text
        return self if text == self.text and len(text) <= longest else replace(self, text=cut(text, longest))


_MISSING = "-"


def cell_of(entry: object) -> Cell:
    """A cell of a value: numbers to 6 significant digits, exact ones "p/q" while they are short; anything else by its str.

    >>> cell_of(0.1234567).text, cell_of(Fraction(1, 3)).text, cell_of("b").text, cell_of(None).text
    ('0.123457', '1/3', 'b', '-')
    """
    if isinstance(entry, Cell):
        return entry
    if entry is None:
        return Cell(_MISSING)
    if isinstance(entry, (bool, str)) or not isinstance(entry, numbers.Real):
        return Cell(str(entry), entry)
    if isinstance(entry, numbers.Rational):
        text = _exact(Fraction(int(entry.numerator), int(entry.denominator)))
    else:
        text = _float(float(entry))
    return Cell(text, entry, numeric=True)


def _float(value: float) -> str:
    return f"{value:.{_SIGNIFICANT}g}" if math.isfinite(value) else str(value)


def _exact(value: Fraction) -> str:
    """All digits while they are few."""
    if abs(value.numerator).bit_length() + value.denominator.bit_length() <= 3 * _LONGEST_EXACT:
        return str(value)
    mantissa, exponent = leading_digits(value, _SIGNIFICANT)
    return f"{mantissa}..." + (f"e{exponent}" if exponent else "")
