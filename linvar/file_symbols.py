"""Symbols of problem files: names that a file declares, and expressions in them as strings. Nothing is evaluated as code.

    sum      = product, then + product or - product, any number of times
    product  = signed, then * signed or / signed
    signed   = power, with + or - before it
    power    = atom, or atom ** integer
    atom     = integer, declared name, or (sum)

What is read is a SymPy expression that SymPy has not evaluated: ``linvar.expressions`` does, looking at sizes first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from linvar.errors import Words, cut
from linvar.exact import FRACTION, exact, parse_rational
from linvar.plain_data import Expression, Literal, Plain, ProblemFileError, built, quoted, refuse

if TYPE_CHECKING:
    import sympy

#: characters of an expression and of a name, brackets inside brackets, the highest power, names, lists inside lists
_LONGEST, _LONGEST_NAME, _DEEPEST, _HIGHEST, _MOST_NAMES, _MOST_NESTED = 100_000, 60, 20, 1_000, 10_000, 64
_TOKEN = re.compile(r"\s*([0-9]+|[^\W\d]\w*|\*\*|[-+*/()]|\S|$)")


def declared(names: Plain) -> dict[str, sympy.Symbol]:
    """The symbols that a file declares, by name.

    Raises:
        ProblemFileError: it is no list of different names.

    >>> declared(["a", "w_11"])
    {'a': a, 'w_11': w_11}
    """
    if not isinstance(names, (list, tuple)):
        refuse("symbols", names, 'write a list of names, ["a", "c"]')
    if len(names) > _MOST_NAMES:
        raise ProblemFileError("symbols", Words(f"has {len(names):,} names"), f"declare at most {_MOST_NAMES:,}")
    if not names:
        return {}
    import sympy

    symbols: dict[str, sympy.Symbol] = {}
    for place, name in enumerate(names):
        if not isinstance(name, str) or isinstance(name, Literal) or not _is_name(name):
            cure = f"write a name of letters, digits and _, at most {_LONGEST_NAME} of them, that begins with no digit"
            refuse(f"symbols[{place}]", name, cure)
        if name in symbols:
            raise ProblemFileError(f"symbols[{place}]", Words(f"{quoted(name)} is given twice"), "keep one of them")
        symbols[name] = sympy.Symbol(name)
    return symbols


def names_of(symbols: Sequence[sympy.Expr]) -> list[Plain]:
    """The names that a file declares for the symbols of a problem.

    Raises:
        ProblemFileError: one of them has a name that no file can have.
    """
    for symbol in symbols:
        if not _is_name(str(symbol)):
            cure = "rename it: letters, digits and _ (no entry of a MatrixSymbol), or keep the problem with pickle"
            raise ProblemFileError("problem", Words(f"has the symbol {cut(str(symbol), 60)}"), cure)
    return [str(symbol) for symbol in symbols]


def read(value: Plain, name: str, symbols: Mapping[str, sympy.Symbol], depth: int = 0) -> Plain:
    """The data with its expressions in the symbols read; numbers and what nests too deeply are left to who reads them.

    Raises:
        ProblemFileError: a string is no such expression; it names the place.

    >>> read([["a**2/3 + 1", 2]], "weights", declared(["a"]))
    [['a**2/3 + 1', 2]]
    """
    if not symbols or depth > _MOST_NESTED:
        return value
    if isinstance(value, (list, tuple)):
        return [read(part, f"{name}[{place}]", symbols, depth + 1) for place, part in enumerate(value)]
    if isinstance(value, Mapping):
        return {key: read(part, f"{name}.{cut(key)}", symbols, depth + 1) for key, part in value.items()}
    if not isinstance(value, str) or isinstance(value, Literal) or FRACTION.fullmatch(value.strip()):
        return value
    tree = _Parser(value, name, symbols).whole()
    return Expression.of(value, built(lambda: exact(tree, name)))


def _is_name(name: str) -> bool:
    return name.isidentifier() and len(name) <= _LONGEST_NAME


class _Parser:
    """The grammar above, from left to right."""

    def __init__(self, text: str, name: str, symbols: Mapping[str, sympy.Symbol]) -> None:
        self.text, self.name, self.symbols = text, name, symbols
        if len(text) > _LONGEST:
            fault = Words(f"is an expression of {len(text):,} characters")
            raise ProblemFileError(name, fault, f"write one of at most {_LONGEST:,}")
        self.tokens = [match[1] for match in _TOKEN.finditer(text)]
        self.place = self.brackets = 0

    def whole(self) -> sympy.Expr:
        """All of the text."""
        found = self._sum()
        if self._token:
            self._refuse("expected an operator or the end")
        return found

    @property
    def _token(self) -> str:
        """The next one; "" at the end."""
        return self.tokens[self.place]

    def _taken(self, *choices: str) -> str:
        """The next token if it is one of these, and ""."""
        token = self._token
        if token not in choices:
            return ""
        self.place += 1
        return token

    def _refuse(self, expected: str) -> NoReturn:
        token = quoted(self._token) if self._token else "the end"
        fault = f"is no expression ({expected}, found {token})"
        refuse(
            self.name, self.text, "write + - * / **, brackets, integers and the names of symbols; 1/2 for 0.5", fault
        )

    def _sum(self) -> sympy.Expr:
        import sympy

        terms = [self._product()]
        while sign := self._taken("+", "-"):
            term = self._product()
            terms.append(term if sign == "+" else _negative(term))
        return terms[0] if len(terms) == 1 else sympy.Add(*terms, evaluate=False)

    def _product(self) -> sympy.Expr:
        import sympy

        factors = [self._signed()]
        while sign := self._taken("*", "/"):
            factor = self._signed()
            factors.append(factor if sign == "*" else sympy.Pow(factor, sympy.Integer(-1), evaluate=False))
        return factors[0] if len(factors) == 1 else sympy.Mul(*factors, evaluate=False)

    def _signed(self) -> sympy.Expr:
        negative = False
        while sign := self._taken("+", "-"):
            negative ^= sign == "-"
        power = self._power()
        return _negative(power) if negative else power

    def _power(self) -> sympy.Expr:
        import sympy

        base = self._atom()
        if not self._taken("**"):
            return base
        exponent = self._token
        if not (exponent.isdecimal() and exponent.isascii()):
            self._refuse("expected an integer after **")
        if len(exponent) > len(str(_HIGHEST)) or int(exponent) > _HIGHEST:
            refuse(self.name, self.text, f"write powers of at most {_HIGHEST}", "has too high a power")
        self.place += 1
        if self._token == "**":
            self._refuse("expected brackets around a power of a power")
        return sympy.Pow(base, sympy.Integer(int(exponent)), evaluate=False)

    def _atom(self) -> sympy.Expr:
        import sympy

        token = self._token
        if self._taken("("):
            self.brackets += 1
            if self.brackets > _DEEPEST:
                refuse(self.name, self.text, f"use {_DEEPEST} brackets inside each other at most", "nests too deeply")
            found = self._sum()
            if not self._taken(")"):
                self._refuse("expected )")
            self.brackets -= 1
            return found
        if token.isdecimal() and token.isascii():
            self.place += 1
            return sympy.Integer(int(parse_rational(token, self.name)))
        if token in self.symbols:
            self.place += 1
            return self.symbols[token]
        if token.isidentifier():
            listed = ", ".join(f'"{name}"' for name in [*list(self.symbols)[:5], cut(token, _LONGEST_NAME)])
            fault = f"has the name {cut(token, 60)}, which is not declared"
            refuse(self.name, self.text, f'declare it, "symbols": [{listed}], or write a number', fault)
        self._refuse("expected a number, a name or (")


def _negative(term: sympy.Expr) -> sympy.Expr:
    """-1 times it."""
    import sympy

    return sympy.Mul(sympy.Integer(-1), term, evaluate=False)
