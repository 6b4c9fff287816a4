"""Reads the LaTeX of formulas in traces back: one grammar, evaluated to terms or with matrices.

sum = [-] product (+|- product)*,    product = factor+,    factor = a number, a fraction, a parameter, d_{0}, a letter,
\\operatorname{tr}( sum ), \\langle sum \\rangle or a sum in brackets, the scalar ones perhaps to a power.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

TOKENS = re.compile(
    r"(?P<fraction>\\frac\{1\}\{b(?:\^\{\d+\})?\}|\\frac\{\d+\}\{\d+\})|(?P<trace>\\operatorname\{tr\}\()|(?P<mean>\\langle)|"
    r"(?P<close>\\rangle|\\bigr\)|\))|(?P<open>\\bigl\(|\()|(?P<parameter>(?:\\alpha|r|d)(?:_\{\d+\})?)|"
    r"(?P<letter>W\^\{\*\}|\\Sigma(?:\^\{1/2\})?|(?:\\widetilde\{W\}|[A-Z])(?:_\{\d+\})?'?(?:\^\{\\top\})?)|(?P<power>\^\{\d+\})|(?P<number>\d+)|(?P<sign>[+-])"
)


def flat(text: str) -> str:
    """Without the environment: one line."""
    body = re.sub(r"\\(begin|end)\{aligned\}", "", text)
    return " ".join(body.replace("&", " ").replace(r"\quad", " ").replace("\\\\\n", " ").split())


def equations(text: str) -> dict[str, str]:
    """Left side -> right side, of an aligned environment."""
    rows = re.sub(r"\\(begin|end)\{aligned\}", "", text).replace("\\\\\n& \\quad", " ").split("\\\\\n")
    return {
        left.strip(): " ".join(right.split()) for left, equal, right in (row.partition("&=") for row in rows) if equal
    }


class Reader:
    """Evaluates LaTeX: ``of`` has number, inverse, parameter, letter, plus, times, trace and mean."""

    def __init__(self, text: str, of: Any) -> None:
        self.tokens: list[tuple[str, str]] = []
        self.of, place = of, 0
        text = text.strip()
        while place < len(text):
            found = TOKENS.match(text, place)
            assert found is not None, text[place : place + 60]
            self.tokens.append((found.lastgroup, found[0]))  # type: ignore[arg-type]
            place = found.end()
            while text[place : place + 1] == " ":
                place += 1
        self.place = 0

    def value(self) -> Any:
        """Of the whole text."""
        found = self.sum()
        assert self.place == len(self.tokens), self.tokens[self.place :][:5]
        return found

    def peek(self) -> str:
        return self.tokens[self.place][0] if self.place < len(self.tokens) else "end"

    def next(self) -> tuple[str, str]:
        self.place += 1
        return self.tokens[self.place - 1]

    def sum(self) -> Any:
        total = None
        while total is None or self.peek() == "sign":
            sign = self.next()[1] if self.peek() == "sign" else "+"
            term = self.of.times(self.of.number(Fraction(f"{sign}1")), self.product())
            total = term if total is None else self.of.plus(total, term)
        return total

    def product(self) -> Any:
        total = self.factor()
        while self.peek() not in ("sign", "close", "end"):
            total = self.of.times(total, self.factor())
        return total

    def factor(self) -> Any:
        kind, text = self.next()
        made: dict[str, Callable[[], Any]] = {
            "number": lambda: self.of.number(Fraction(text)),
            "fraction": lambda: self.fraction(text),
            "parameter": lambda: self.of.parameter(text),
            "letter": lambda: self.of.letter(text),
            "trace": lambda: self.of.trace(self.inside(")")),
            "mean": lambda: self.of.mean(self.inside(r"\rangle")),
            "open": lambda: self.inside(text.replace("bigl", "bigr").replace("(", ")")),
        }
        found = base = made[kind]()
        if self.peek() == "power":
            for _ in range(int(self.next()[1][2:-1]) - 1):
                found = self.of.times(found, base)
        return found

    def inside(self, closing: str) -> Any:
        found = self.sum()
        assert self.next()[1] == closing
        return found

    def fraction(self, text: str) -> Any:
        above, below = re.findall(r"\{((?:[^{}]|\{\d+\})*)\}", text)
        if below.startswith("b"):
            return self.of.inverse(int(below[3:-1]) if below != "b" else 1)
        return self.of.number(Fraction(int(above), int(below)))


class Terms:
    """Polynomials in parameters and traces of words: (parameters, closed words, the open word) -> coefficient."""

    def number(self, value: Fraction) -> Counter[Any]:
        return Counter({((), (), ()): value})

    def parameter(self, text: str) -> Counter[Any]:
        return Counter({((), ((),), ()): 1}) if text == "d_{0}" else Counter({((text,), (), ()): 1})

    def letter(self, text: str) -> Counter[Any]:
        name = re.sub(
            r"\\widetilde\{W\}|_|[{}]", lambda found: "W" * found[0].startswith("\\"), text.replace(r"\top", "T")
        )
        return Counter({((), (), (name,)): 1})

    def plus(self, left: Counter[Any], right: Counter[Any]) -> Counter[Any]:
        found = Counter(left)
        for key, value in right.items():
            found[key] += value
        return found

    def times(self, left: Counter[Any], right: Counter[Any]) -> Counter[Any]:
        found: Counter[Any] = Counter()
        for (a, words, word), c in left.items():
            for (b, others, other), d in right.items():
                found[tuple(sorted(a + b)), tuple(sorted(words + others)), word + other] += c * d
        return found

    def trace(self, value: Counter[Any]) -> Counter[Any]:
        return Counter({(a, (*words, word), ()): c for (a, words, word), c in value.items()})
