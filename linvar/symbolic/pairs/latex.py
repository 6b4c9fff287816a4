"""The lists in LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

from linvar.symbolic.pairs.lists import ERROR, INPUT, Letter, Lists, Row, Sum, Term, flipped

_TURNED = r"\top"


class Page:
    """Writes the lists of the noise of step ``first``: their letters are ``first`` steps later than they say."""

    def __init__(self, first: int, lists: Lists) -> None:
        self.first, self.lists = first, lists

    def lines(self) -> list[str]:
        """The sums that rows end in, and the list of each layer."""
        sums = [rf"{self._end(place, '')} &= {self._sum(kept)}" for place, kept in enumerate(self.lists.sums)]
        return sums + [
            rf"T_{{{self.first},{l}}} &= \bigl\{{{', '.join(map(self._term, terms))}\bigr\}}"
            for l, terms in enumerate(self.lists.layers, 1)
        ]

    def _term(self, term: Term) -> str:
        right = " ".join((self._end(term.right.end, _TURNED), *map(self._letter, flipped(term.right.word))))
        return rf"\bigl({self._sum(term.left)},\; {right}\bigr)"

    def _sum(self, terms: Sum) -> str:
        text = ""
        for row, rates, factor in terms:
            number = "" if abs(factor) == 1 else str(abs(factor))
            scaled = " ".join([*([number] if number else []), *self._rates(rates), self._row(row)])
            text += f"{'-' if factor < 0 else '+' if text else ''} {scaled} "
        return text.strip()

    def _rates(self, rates: Sequence[int]) -> list[str]:
        return [rf"\alpha_{{{self.first + step}}}" for step in rates]

    def _row(self, row: Row) -> str:
        return " ".join((*map(self._letter, row.word), self._end(row.end, "")))

    def _end(self, end: int, sign: str) -> str:
        names = {ERROR: (f"Q_{{{self.first}}}"), INPUT: "J"}
        name = names.get(end, f"N_{{{self.first},{end + 1}}}")
        return rf"{name}^{{{sign}}}" if sign else name

    def _letter(self, letter: Letter) -> str:
        step = self.first + letter.step
        if letter.kind == "W":
            return rf"W_{{{letter.layer + 1}}}^{{({step}){_TURNED if letter.flipped else ''}}}"
        if letter.kind == "R":
            return rf"\Sigma E_{{{step}}}^{{{_TURNED}}}" if letter.flipped else rf"E_{{{step}}} \Sigma"
        return r"\Sigma"


def formula(depth: int, step: int, lists: Sequence[Lists]) -> str:
    """The formula: the noise of the last batch, the form q of a list, and the lists of every step before."""
    first = (
        rf"\beta_{{1}} &= \sum_{{l=1}}^{{{depth}}} \Bigl[ \operatorname{{tr}}\bigl(A_{{l}}^{{\top}} (E_{{{step}}} \Sigma "
        rf"E_{{{step}}}^{{\top}} + v I) A_{{l}}\bigr) \operatorname{{tr}}\bigl(B_{{l}} \Sigma B_{{l}}^{{\top}}\bigr) "
        rf"+ \bigl\lVert A_{{l}}^{{\top}} E_{{{step}}} \Sigma B_{{l}}^{{\top}} \bigr\rVert^{{2}} \Bigr]"
    )
    if step:
        first += rf" + \sum_{{s=0}}^{{{step - 1}}} \sum_{{l=1}}^{{{depth}}} q(T_{{s,l}})"
    second = (
        r"q(T) &= \sum_{(X, Y) \in T} \sum_{(X', Y') \in T} \Bigl[ \operatorname{tr}\bigl(X C X'^{\top}\bigr) "
        r"\operatorname{tr}\bigl(Y^{\top} C Y'\bigr) + \operatorname{tr}\bigl(X C Y' (X' C Y)^{\top}\bigr) \Bigr]"
    )
    found = [line for s, kept in enumerate(reversed(lists)) for line in Page(s, kept).lines()]
    lines = [first, *([second, *found] if step else [])]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"
