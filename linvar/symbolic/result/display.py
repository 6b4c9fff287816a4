"""How a BatchPolynomial shows itself: one line in a terminal, LaTeX in a notebook, elided when huge.

Everything is written from python-flint's terms: no SymPy expression is made, and integers of any length print.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from linvar.exact import Exact, Rational, integer_to_str, leading_digits
from linvar.symbolic.algebra.ring import Element, to_rational
from linvar.symbolic.result.latex_names import batch_size_name, latex_names, raised

if TYPE_CHECKING:
    import sympy

    from linvar.flint import arb
    from linvar.symbolic.result.polynomial import BatchPolynomial

#: at most this many powers of 1/b of a long polynomial are shown
TERMINAL_TERMS = 6
NOTEBOOK_TERMS = 8
#: longer numbers show their leading digits
_DIGITS = 40
#: symbolic answers beyond this many monomials are described, not printed
_SYMBOLIC_TERMS = 40

Write = Callable[[Rational, str], str]  # a number times a monomial


def text(polynomial: BatchPolynomial) -> str:
    """One line: the first powers, an ellipsis and the last; symbolic giants are only described."""
    u = generator_name(polynomial.symbols)
    b = "b" if "b" not in map(str, polynomial.symbols) else "(batch size)"
    largest = polynomial.largest_batch_size
    unit = f"{u} = 1/{b}" if largest is None else f"{u} = 1/{b}, {b} <= {largest}"
    if _is_giant(polynomial, _SYMBOLIC_TERMS):
        names = ", ".join(map(str, polynomial.symbols[:4]))
        more = ", ..." if len(polynomial.symbols) > 4 else ""
        return (
            f"BatchPolynomial(degree {polynomial.degree}, {polynomial.terms:,} terms in {len(polynomial.symbols)} "
            f"symbols {names}{more}; {unit})"
        )
    names_ = list(map(str, polynomial.symbols))

    def piece(element: Element, k: int) -> str:
        power = "" if k == 0 else u if k == 1 else f"{u}^{k}"
        return _coefficient(element, power, lambda key: _monomial(key, names_, _caret, "*"), _plain, "({}) {}")

    return f"{_join(_pieces(polynomial, piece, TERMINAL_TERMS, '...'))}    ({unit}, degree {polynomial.degree})"


def latex(polynomial: BatchPolynomial, limit: int | None) -> str:
    """Sum of coefficient times 1/b^k; with a limit, long sums and coefficients are elided."""
    if limit is not None and _is_giant(polynomial, 4 * _SYMBOLIC_TERMS):
        return rf"\text{{polynomial of degree {polynomial.degree} in }} 1/b \text{{ with {polynomial.terms:,} terms}}"
    names = latex_names(polynomial.symbols)
    b = batch_size_name(names)

    def number(value: Rational, monomial: str) -> str:
        return _latex_number(value, monomial, limit is not None)

    def piece(element: Element, k: int) -> str:
        brackets = r"\left({}\right) {}"
        return _coefficient(
            element, _latex_power(b, k), lambda key: _monomial(key, names, raised, " "), number, brackets
        )

    return _join(_pieces(polynomial, piece, limit, r"\cdots"))


def expansion_text(elements: Sequence[Any], symbols: Sequence[Any], digits: int | None) -> str:
    """One line of a large-batch expansion; with ``digits`` its elements are enclosures, shown with that many."""
    u = generator_name(symbols)
    powers = ["" if k == 0 else u if k == 1 else f"{u}^{k}" for k in range(len(elements) + 1)]
    names = list(map(str, symbols))

    def piece(element: Any, k: int) -> str:
        if digits is not None:
            return f"{enclosure(element, digits)} {powers[k]}".strip()
        if len(element) > _SYMBOLIC_TERMS:
            return f"({len(element):,} terms) {powers[k]}".strip()
        return _coefficient(element, powers[k], lambda key: _monomial(key, names, _caret, "*"), _plain, "({}) {}")

    shown = [piece(element, k) for k, element in enumerate(elements) if not element.is_zero()]
    b = "b" if "b" not in names else "(batch size)"
    return f"{_join([*shown, f'O({powers[-1]})'])}    ({u} = 1/{b})"


def expansion_latex(elements: Sequence[Any], symbols: Sequence[Any], digits: int | None, elide: bool) -> str:
    """A large-batch expansion in powers of 1/b."""
    names = latex_names(symbols)
    b = batch_size_name(names)
    powers = [_latex_power(b, k) for k in range(len(elements) + 1)]

    def number(value: Rational, monomial: str) -> str:
        return _latex_number(value, monomial, elide)

    def piece(element: Any, k: int) -> str:
        if digits is not None:
            return f"{_latex_enclosure(element, digits)} {powers[k]}".strip()
        if elide and len(element) > 4 * _SYMBOLIC_TERMS:
            return rf"\left(\text{{{len(element):,} terms}}\right) {powers[k]}".strip()
        brackets = r"\left({}\right) {}"
        return _coefficient(element, powers[k], lambda key: _monomial(key, names, raised, " "), number, brackets)

    shown = [piece(element, k) for k, element in enumerate(elements) if not element.is_zero()]
    return _join([*shown, rf"O\left({powers[-1]}\right)"])


def enclosure(ball: arb, digits: int) -> str:
    """[middle +/- radius]: so many digits of a python-flint ``arb``, and a radius that certifies them."""
    text: str = ball.str(digits)
    return text if text.startswith("[") else f"[{text}]"


def _latex_enclosure(ball: arb, digits: int) -> str:
    """The same in LaTeX: powers of ten are written out."""
    text = enclosure(ball, digits).replace("+/-", r"\pm")
    return re.sub(r"e([+-]?\d+)", lambda found: rf" \cdot 10^{{{int(found[1])}}}", text)


def sampling(polynomial: BatchPolynomial) -> str:
    """The sampling in words."""
    size = "" if polynomial.dataset_size is None else f" from {polynomial.dataset_size} examples"
    return f"{polynomial.sampling} sampling{size}"


def generator_name(symbols: Sequence[Any]) -> str:
    """The name of 1/b: u, or u_, u__, ... where a symbol has taken it."""
    name = "u"
    while name in set(map(str, symbols)):
        name += "_"
    return name


def to_sympy(value: Exact) -> sympy.Expr:
    """An exact number as a SymPy number, an expression as it is."""
    import sympy

    return sympy.Rational(value.numerator, value.denominator) if isinstance(value, Rational) else value


def _is_giant(polynomial: BatchPolynomial, limit: int) -> bool:
    """Do symbols occur, in too many terms?"""
    return polynomial.terms > limit and any(not element.is_constant() for element in polynomial._elements)


def _pieces(
    polynomial: BatchPolynomial, write: Callable[[Element, int], str], limit: int | None, dots: str
) -> list[str]:
    """Nonzero terms as strings, ascending; beyond the limit the middle is left out."""
    present = [k for k, element in enumerate(polynomial._elements) if element]
    if not present:
        return ["0"]
    shown = present if limit is None or len(present) <= limit else [*present[: limit - 2], None, present[-1]]
    return [dots if k is None else write(polynomial._elements[k], k) for k in shown]


def _coefficient(element: Element, power: str, monomial: Callable[[Any], str], write: Write, brackets: str) -> str:
    """A coefficient times a power of 1/b; a sum goes into brackets."""
    terms = [(monomial(key), to_rational(c)) for key, c in element.terms()]
    if len(terms) == 1:
        return write(terms[0][1], f"{terms[0][0]} {power}".strip())
    total = _join([write(value, key) for key, value in terms])
    return brackets.format(total, power).strip() if power else total


def _monomial(exponents: Any, names: Sequence[str], power: Callable[[str, int], str], times: str) -> str:
    """A product of powers of symbols; empty for 1."""
    present = [(name, int(e)) for name, e in zip(names, exponents) if e]
    return times.join(name if e == 1 else power(name, e) for name, e in present)


def _caret(name: str, exponent: int) -> str:
    """A power, for a terminal."""
    return f"{name}^{exponent}"


def _latex_power(b: str, k: int) -> str:
    """1/b^k in LaTeX; empty for 1."""
    return "" if k == 0 else rf"\frac{{1}}{{{b if k == 1 else raised(b, k)}}}"


def _join(pieces: list[str]) -> str:
    """Terms joined by their signs."""
    result = pieces[0]
    for piece in pieces[1:]:
        result += f" - {piece[1:]}" if piece.startswith("-") else f" + {piece}"
    return result


def _plain(value: Rational, monomial: str) -> str:
    """number monomial, for a terminal."""
    if monomial and abs(value) == 1:
        return f"-{monomial}" if value < 0 else monomial
    number = str(value)
    if len(number) > _DIGITS:
        mantissa, exponent = leading_digits(value)
        number = f"{mantissa}..." + (f"e{exponent}" if exponent else "")
    return f"{number} {monomial}".strip()


def _latex_number(value: Rational, monomial: str, elide: bool) -> str:
    """number monomial, in LaTeX."""
    numerator, denominator = integer_to_str(abs(value.numerator)), integer_to_str(value.denominator)
    number = numerator if denominator == "1" else rf"\frac{{{numerator}}}{{{denominator}}}"
    if elide and max(len(numerator), len(denominator)) > _DIGITS:
        mantissa, exponent = leading_digits(abs(value))
        number = rf"{mantissa}\ldots" + (rf" \cdot 10^{{{exponent}}}" if exponent else "")
    return ("-" if value < 0 else "") + (monomial if number == "1" and monomial else f"{number} {monomial}".strip())
