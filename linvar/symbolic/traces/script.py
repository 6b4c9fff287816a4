"""How a formula in traces is written: the same pieces in LaTeX and for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from linvar.symbolic.traces.names import TRANSPOSED, Name
from linvar.symbolic.traces.network import Network


@dataclass(frozen=True)
class Script:
    """A way of writing.

    Attributes:
        latex: LaTeX, or else plain characters.
        network: whose letters.
        width: of a line, in symbols of LaTeX or in characters.
    """

    latex: bool
    network: Network
    width: int

    def letter(self, name: str) -> str:
        """E, E', E^T, W3'^T: a letter by its name, with a prime after a step."""
        if not self.latex:
            return name
        base, turned = name.removesuffix(TRANSPOSED), name.endswith(TRANSPOSED)
        plain, prime = base.rstrip("'"), base[len(base.rstrip("'")) :]
        if plain[1:].isdigit():
            whitened = plain == "W1" and not self.network.white
            plain = (r"\widetilde{W}" if whitened else plain[0]) + f"_{{{plain[1:]}}}"
        return plain + prime + r"^{\top}" * turned

    def word(self, names: Iterable[str]) -> str:
        """A product of letters."""
        return " ".join(map(self.letter, names))

    def trace(self, names: Sequence[str]) -> str:
        """tr(E E^T); that of the empty word is d_0."""
        if not names:
            return "d_{0}" if self.latex else "d_0"
        return rf"\operatorname{{tr}}({self.word(names)})" if self.latex else f"tr({self.word(names)})"

    def traces(self, words: Sequence[Name]) -> str:
        """A product of traces."""
        counts = {word: words.count(word) for word in words}
        return " ".join(self.raised(self.trace(word), count) for word, count in counts.items())

    def raised(self, base: str, power: int) -> str:
        """A power of what needs no brackets."""
        if power == 1:
            return base
        return f"{base}^{{{power}}}" if self.latex else f"{base}^{power}"

    def parameter(self, name: str) -> str:
        """alpha, alpha_2; kept is r, kept_2 r_2."""
        if not self.latex:
            return name
        base, _, index = name.partition("_")
        return (r"\alpha" if base == "alpha" else "r") + (f"_{{{index}}}" if index else "")

    def monomial(self, powers: Mapping[str, int]) -> str:
        """A product of powers of parameters; empty for 1."""
        return " ".join(self.raised(self.parameter(name), power) for name, power in powers.items() if power)

    def inverse(self, k: int) -> str:
        """1/b^k; empty for 1."""
        if k == 0:
            return ""
        return rf"\frac{{1}}{{{self.raised('b', k)}}}" if self.latex else f"1/{self.raised('b', k)}"

    def number(self, value: Fraction) -> str:
        """A positive number before a product; empty for 1."""
        if value == 1:
            return ""
        fraction = rf"\frac{{{value.numerator}}}{{{value.denominator}}}" if self.latex else str(value)
        return str(value.numerator) if value.denominator == 1 else fraction

    def signed(self, value: Fraction, product: str) -> str:
        """+ 3 x, or - x."""
        return f"{'-' if value < 0 else '+'} {self.number(abs(value))} {product}".replace("  ", " ")

    def grouped(self, before: str, pieces: list[str]) -> list[str]:
        """What a sum of signed pieces is, multiplied by a product; brackets only around several."""
        if not before or not pieces:
            return pieces
        if len(pieces) == 1:
            sign, _, rest = pieces[0].partition(" ")
            coefficient = re.match(r"(\\frac\{\d+\}\{\d+\}|\d+(?:/\d+)?) ", rest)
            number, product = (coefficient[0], rest[coefficient.end() :]) if coefficient else ("", rest)
            return [f"{sign} {number}{before} {product}"]
        opening, closing = (r"\bigl(", r"\bigr)") if self.latex else ("(", ")")
        first = _first(pieces[0])
        inner = [f"+ {before} {opening}{first}", *pieces[1:]]
        inner[-1] += closing
        return inner

    def term(self, coefficient: int, parameters: Sequence[str], rest: str) -> str:
        """A signed term: an integer, parameters (each as often as it occurs), and what they multiply."""
        powers = {name: parameters.count(name) for name in parameters}
        return self.signed(Fraction(coefficient), f"{self.monomial(powers)} {rest}".strip())

    def mean(self, inner: str) -> str:
        """The expectation over a batch."""
        return rf"\langle {inner} \rangle" if self.latex else f"<{inner}>"

    def either(self, latex: str, plain: str) -> str:
        """What is written in one way and in the other."""
        return latex if self.latex else plain

    def meaning(self, text: str) -> str:
        """What a letter stands for (``Names.letters``)."""
        text = text[1:-1] if text.startswith("(") and text.endswith(")") else text
        if not self.latex:
            return text
        text = re.sub(r"W_(\d+)", r"W_{\1}", text.replace("W*", "W^{*}").replace("^T", r"^{\top}"))
        return text.replace("Sigma", r"\Sigma")

    def length(self, text: str) -> int:
        """How long it looks."""
        if not self.latex:
            return len(text)
        return len(re.findall(r"\\[A-Za-z]+|[A-Za-z0-9=+\-]", text.replace(r"\operatorname", "")))

    def broken(self, pieces: Sequence[str]) -> list[str]:
        """A sum of signed pieces in lines, no longer than the width where pieces allow; 0 if there are none."""
        first, *others = pieces or ["0"]
        lines = [_first(first)]
        for piece in others:
            if self.length(lines[-1]) + self.length(piece) < self.width:
                lines[-1] += f" {piece}"
            else:
                lines.append(piece)
        return lines


def _first(piece: str) -> str:
    """A signed piece where a sum begins."""
    return piece[2:] if piece.startswith("+ ") else piece.replace("- ", "-", 1) if piece.startswith("- ") else piece
