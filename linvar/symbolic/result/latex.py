"""LaTeX of polynomials in 1/b and of large-batch expansions: whole, factored or in decimals for a paper, elided in a notebook.

Written from python-flint's terms, like ``display``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import reduce
from math import gcd, lcm
from typing import TYPE_CHECKING, Any

from linvar.arguments import check_integer
from linvar.digits import formatted, integer_to_str, leading_digits
from linvar.errors import InputError, warn
from linvar.exact import Rational
from linvar.flint import fmpq
from linvar.symbolic.algebra.ring import Element, to_rational
from linvar.symbolic.result.display import (
    LONGEST_NUMBER,
    LONGEST_SHOWN,
    NOTEBOOK_TERMS,
    coefficient,
    enclosure,
    join,
    monomial,
    present,
    shortened,
)
from linvar.symbolic.result.latex_names import batch_size_name, latex_names, raised

if TYPE_CHECKING:
    from linvar.flint import arb
    from linvar.symbolic.result.display import Write
    from linvar.symbolic.result.polynomial import BatchPolynomial

#: LaTeX of more characters is warned of before it is written
_LONG = 1_000_000
_BRACKETS = r"\left({}\right) {}"
#: symbolic coefficients of more terms are counted in a notebook, not written
_NOTEBOOK_SYMBOLIC_TERMS = 160


def whole(elements: Sequence[Element], symbols: Sequence[Any], factor: bool = False, digits: int | None = None) -> str:
    """Everything; factored, or with decimals rounded to so many significant digits, if that is wanted."""
    return join(_terms(elements, symbols, factor, digits) or ["0"])


def _terms(elements: Sequence[Element], symbols: Sequence[Any], factor: bool, digits: int | None) -> list[str]:
    """Its terms, none for zero; factored, one at most."""
    names = latex_names(symbols)
    b = batch_size_name(names)
    _warn_if_long(elements, names, digits)
    number: Write = _number if digits is None else lambda value, rest: decimal(value, rest, digits)
    if factor:
        return [_factored(elements, names, b, number)] if any(elements) else []
    return [_piece(element, power_of(b, k), names, number) for k, element in present(elements)]


def notebook(polynomial: BatchPolynomial) -> str:
    """The first powers, dots and the last, long numbers cut; symbolic giants are only described."""
    elements, names = polynomial._elements, latex_names(polynomial.symbols)
    b = batch_size_name(names)
    giant = rf"\text{{polynomial of degree {polynomial.degree} in }} 1/{b} \text{{ with {polynomial.terms:,} terms}}"
    if polynomial.terms > _NOTEBOOK_SYMBOLIC_TERMS and any(not element.is_constant() for element in elements):
        return giant

    def piece(element: Element, k: int) -> str:
        return _piece(element, power_of(b, k), names, cut_number)

    text = join(shortened(elements, piece, NOTEBOOK_TERMS, r"\cdots") or ["0"])
    return text if len(text) <= LONGEST_SHOWN else giant


def expansion(elements: Sequence[Element], symbols: Sequence[Any], factor: bool, digits: int | None) -> str:
    """A large-batch expansion in powers of 1/b, written as a polynomial is."""
    return join(
        [*_terms(elements, symbols, factor, digits), _remainder(batch_size_name(latex_names(symbols)), elements)]
    )


def enclosed_expansion(elements: Sequence[arb], digits: int) -> str:
    """The same of enclosures, with so many digits of each."""
    b = batch_size_name(())
    pieces = [_enclosed(element, power_of(b, k), digits) for k, element in present(elements)]
    return join([*pieces, _remainder(b, elements)])


def _remainder(b: str, elements: Sequence[Any]) -> str:
    """What is left out."""
    return rf"O\left({power_of(b, len(elements))}\right)"


def expansion_notebook(elements: Sequence[Any], symbols: Sequence[Any], digits: int | None) -> str:
    """The first powers, dots and the last, long numbers and sums cut."""
    names = latex_names(symbols)
    b = batch_size_name(names)
    fewer = digits if digits is None else min(digits, LONGEST_NUMBER)

    def piece(element: Any, k: int) -> str:
        if digits is None and len(element) > _NOTEBOOK_SYMBOLIC_TERMS:
            return rf"\left(\text{{{len(element):,} terms}}\right) {power_of(b, k)}".strip()
        if fewer is not None:
            return _enclosed(element, power_of(b, k), fewer)
        return _piece(element, power_of(b, k), names, cut_number)

    end = _remainder(b, elements)
    text = join([*shortened(elements, piece, NOTEBOOK_TERMS, r"\cdots"), end])
    return text if len(text) <= LONGEST_SHOWN else rf"\text{{{sum(map(len, elements)):,} terms}} + {end}"


def coefficient_latex(element: Element, names: Sequence[str]) -> str:
    """One coefficient, long numbers cut."""
    return _piece(element, "", names, cut_number) if element else "0"


def power_of(b: str, k: int) -> str:
    """1/b^k in LaTeX; empty for 1."""
    return "" if k == 0 else rf"\frac{{1}}{{{b if k == 1 else raised(b, k)}}}"


def checked_digits(digits: Any) -> int | None:
    """Significant digits, an integer >= 1; or None.

    Raises:
        InputError: it is none.
    """
    if digits is None:
        return None
    cure = "give the number of significant digits, an integer from 1 to 1,000, or leave it out"
    if not 1 <= (number := check_integer(digits, "digits", cure)) <= 1000:
        raise InputError("digits", digits, cure)
    return number


def _enclosed(ball: arb, power: str, digits: int) -> str:
    """An enclosure times a power of 1/b."""
    text = enclosure_latex(ball, digits)
    return power if text == "1" and power else f"{text} {power}".strip()


def _piece(element: Element, power: str, names: Sequence[str], number: Write) -> str:
    """An exact coefficient times a power of 1/b."""
    return coefficient(element, power, lambda key: monomial(key, names, raised, " "), number, _BRACKETS)


# numbers


def _fraction(value: Rational) -> str:
    """|value| exactly."""
    numerator, denominator = integer_to_str(abs(value.numerator)), integer_to_str(value.denominator)
    return numerator if denominator == "1" else rf"\frac{{{numerator}}}{{{denominator}}}"


def _times(value: Rational, size: str, rest: str) -> str:
    """A number, whose size is written so, times a monomial."""
    return ("-" if value < 0 else "") + (rest if size == "1" and rest else f"{size} {rest}".strip())


def _number(value: Rational, rest: str) -> str:
    """number monomial, exactly."""
    return _times(value, _fraction(value), rest)


def cut_number(value: Rational, rest: str) -> str:
    """number monomial; of long numbers the leading digits."""
    longest = max(abs(value.numerator).bit_length(), value.denominator.bit_length())
    if longest > 3.3 * LONGEST_NUMBER:
        mantissa, exponent = leading_digits(abs(value))
        return _times(value, rf"{mantissa}\ldots" + _power_of_ten(exponent), rest)
    return _number(value, rest)


def decimal(value: Rational, rest: str, digits: int) -> str:
    """number monomial, in decimals rounded to so many significant digits, halves to even."""
    mantissa, _, exponent = formatted(abs(value), f".{digits}g").partition("e")
    return _times(value, mantissa + _power_of_ten(int(exponent or 0)), rest)


def _power_of_ten(exponent: int) -> str:
    """Times 10^exponent; nothing for 1."""
    return rf" \cdot 10^{{{exponent}}}" if exponent else ""


def enclosure_latex(ball: arb, digits: int) -> str:
    r"""value \pm radius in brackets, powers of ten written out; the value alone where it is exact."""
    text = enclosure(ball, digits)[1:-1]
    middle, certified, radius = text.partition("+/-")
    parts = [
        re.sub(r"e([+-]?\d+)", lambda found: _power_of_ten(int(found[1])), part.strip()) for part in (middle, radius)
    ]
    if not certified:
        mantissa, times, power = parts[0].partition(" ")
        return (mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa) + times + power
    return rf"\left({parts[0] or '0'} \pm {parts[1]}\right)"


# factors


def _factored(elements: Sequence[Element], names: Sequence[str], b: str, number: Write) -> str:
    """What is common to all terms, times the sum of what remains, each coefficient factored by itself."""
    terms = present(elements)
    if not terms:
        return "0"
    common = reduce(lambda left, right: left.gcd(right), (element for _, element in terms))
    rest = [(k - terms[0][0], element / common) for k, element in terms]
    content = _content([c for _, element in rest for c in element.coeffs()])
    outside = _product(common * content, power_of(b, terms[0][0]), names, number)
    if len(rest) == 1:
        return outside
    inside = join([_product(element / content, power_of(b, k), names, number) for k, element in rest])
    bracket = rf"\left({inside}\right)"
    return inside if outside == "1" else f"-{bracket}" if outside == "-1" else f"{outside} {bracket}"


def _content(coefficients: Sequence[fmpq]) -> fmpq:
    """What divides all of them, with the sign of the first."""
    size = fmpq(gcd(*(int(c.p) for c in coefficients)), lcm(*(int(c.q) for c in coefficients)))
    return -size if coefficients[0] < 0 else size


def _product(element: Element, power: str, names: Sequence[str], number: Write) -> str:
    """A coefficient as a product of irreducible factors, monomials first, times a power of 1/b."""
    content, factors = element.factor()
    symbols, sums = [], []
    for factor, multiplicity in factors:
        if len(factor) == 1:
            symbols.append(monomial([int(e) * int(multiplicity) for e in factor.degrees()], names, raised, " "))
        else:
            text = rf"\left({_piece(factor, '', names, number)}\right)"
            sums.append(text if multiplicity == 1 else f"{text}^{{{int(multiplicity)}}}")
    return number(to_rational(content), " ".join(filter(None, [*sorted(symbols), *sums, power])))


def _warn_if_long(elements: Sequence[Element], names: Sequence[str], digits: int | None) -> None:
    """A RuntimeWarning of LaTeX of more than a million characters, before it is written."""
    longest = 0.0
    for _, element in present(elements):
        for key, c in element.terms():
            bits = int(c.p).bit_length() + int(c.q).bit_length()
            longest += 0.302 * bits + 12 if digits is None else digits + 12
            longest += sum(len(name) + 6 for name, e in zip(names, key) if e)
    if longest > _LONG:
        warn(
            f"this LaTeX will have about {longest / 1e6:,.0f} million characters: to have it shorter give digits=6, or take "
            "coefficient(k), or to_table()"
        )
