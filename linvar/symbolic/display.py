"""How a BatchPolynomial shows itself: one line in a terminal, LaTeX in a notebook, elided when huge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linvar.exact import Exact, Rational, integer_to_str

if TYPE_CHECKING:
    from linvar.symbolic.polynomial import BatchPolynomial

#: at most this many terms of a long polynomial are shown
TERMINAL_TERMS = 6
NOTEBOOK_TERMS = 8
#: longer coefficients are cut in the middle
_DIGITS = 40
#: symbolic answers beyond this many monomials are described, not printed
_SYMBOLIC_TERMS = 40


def text(polynomial: BatchPolynomial) -> str:
    """One line: the first powers, an ellipsis and the last; symbolic giants are only described."""
    unit = "u = 1/b" if polynomial.sampling == "iid" else f"u = 1/b, b <= {polynomial.dataset_size}"
    if polynomial.terms > _SYMBOLIC_TERMS and any(not element.is_constant() for element in polynomial._elements):
        names = ", ".join(symbol.name for symbol in polynomial.symbols[:4])
        more = ", ..." if len(polynomial.symbols) > 4 else ""
        return (
            f"BatchPolynomial(degree {polynomial.degree}, {polynomial.terms:,} terms in {len(polynomial.symbols)} "
            f"symbols {names}{more}; {unit})"
        )
    pieces = _pieces(polynomial, _plain, TERMINAL_TERMS)
    return f"{_join(pieces)}    ({unit}, degree {polynomial.degree})"


def latex(polynomial: BatchPolynomial, limit: int | None) -> str:
    """Sum of coefficient times 1/b^k; with a limit, long sums and coefficients are elided."""
    if limit is not None and polynomial.terms > 4 * _SYMBOLIC_TERMS and polynomial.symbols:
        return rf"\text{{polynomial of degree {polynomial.degree} in }} 1/b \text{{ with {polynomial.terms:,} terms}}"
    return _join(_pieces(polynomial, lambda value, k: _latex_term(value, k, limit is not None), limit, r"\cdots"))


def sampling(polynomial: BatchPolynomial) -> str:
    """The sampling in words."""
    size = "" if polynomial.dataset_size is None else f" from {polynomial.dataset_size} examples"
    return f"{polynomial.sampling} sampling{size}"


def to_sympy(value: Exact) -> Any:
    """An exact number as a SymPy number, an expression as it is."""
    import sympy

    return sympy.Rational(value.numerator, value.denominator) if isinstance(value, Rational) else value


def _pieces(polynomial: BatchPolynomial, write: Any, limit: int | None, dots: str = "...") -> list[str]:
    """Nonzero terms as strings, ascending; beyond the limit the middle is left out."""
    present = [k for k, value in enumerate(polynomial.coefficients) if value != 0]
    if not present:
        return ["0"]
    shown = present if limit is None or len(present) <= limit else [*present[: limit - 2], None, present[-1]]
    return [dots if k is None else write(polynomial.coefficients[k], k) for k in shown]


def _join(pieces: list[str]) -> str:
    """Terms joined by their signs."""
    result = pieces[0]
    for piece in pieces[1:]:
        result += f" - {piece[1:]}" if piece.startswith("-") else f" + {piece}"
    return result


def _plain(value: Exact, power: int) -> str:
    """coefficient u^k."""
    number = _cut(str(value)) if isinstance(value, Rational) else f"({value})"
    if power == 0:
        return number
    variable = "u" if power == 1 else f"u^{power}"
    if isinstance(value, Rational) and abs(value) == 1:
        return f"-{variable}" if value < 0 else variable
    return f"{number} {variable}"


def _cut(number: str) -> str:
    """A long number with its middle left out."""
    return number if len(number) <= _DIGITS else f"{number[:16]}...{number[-8:]}[{len(number)} characters]"


def _latex_term(value: Exact, power: int, elide: bool) -> str:
    """coefficient / b^k."""
    unit = "" if power == 0 else r"\frac{1}{b}" if power == 1 else rf"\frac{{1}}{{b^{{{power}}}}}"
    if not isinstance(value, Rational):
        import sympy

        return rf"\left({sympy.latex(value)}\right) {unit}".strip()
    sign = "-" if value < 0 else ""
    numerator, denominator = integer_to_str(abs(value.numerator)), integer_to_str(value.denominator)
    if elide:
        numerator, denominator = (
            part if len(part) <= _DIGITS else rf"{part[:8]}\ldots{part[-4:]}" for part in (numerator, denominator)
        )
    number = numerator if denominator == "1" else rf"\frac{{{numerator}}}{{{denominator}}}"
    return sign + (unit if number == "1" and unit else f"{number} {unit}".strip())
