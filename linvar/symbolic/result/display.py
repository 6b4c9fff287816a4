"""How a polynomial or an expansion shows itself in a terminal: one line, elided when huge.

Everything is written from python-flint's terms: no SymPy expression is made, and integers of any length print.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from linvar.digits import leading_digits
from linvar.errors import cut
from linvar.exact import Exact, Rational
from linvar.symbolic.algebra.ring import Element, to_rational

if TYPE_CHECKING:
    import sympy

    from linvar.flint import arb
    from linvar.symbolic.result.polynomial import BatchPolynomial

#: at most this many powers of 1/b of a long polynomial are shown
TERMINAL_TERMS = 6
NOTEBOOK_TERMS = 8
#: longer numbers show their leading digits
LONGEST_NUMBER = 40
#: nothing that was not asked for is shown in more characters
LONGEST_SHOWN = 9_000
#: symbolic answers beyond this many monomials are described, not printed
_SYMBOLIC_TERMS = 40

E = TypeVar("E", bound="Element | arb")
Write = Callable[[Rational, str], str]  # a number times a monomial


def text(polynomial: BatchPolynomial) -> str:
    """One line: the first powers, an ellipsis and the last; symbolic giants are only described."""
    elements, names = polynomial._elements, list(map(str, polynomial.symbols))
    largest = polynomial.largest_batch_size
    u, b = generator_name(names), batch_size_name(names)
    unit = f"{u} = 1/{b}" if largest is None else f"{u} = 1/{b}, {b} <= {largest}"
    if not _is_giant(elements, _SYMBOLIC_TERMS):
        line = join(shortened(elements, _writer(names, u), TERMINAL_TERMS, "...") or ["0"])
        if len(line) <= LONGEST_SHOWN:
            return f"{line}    ({unit}, degree {polynomial.degree})"
    return f"BatchPolynomial(degree {polynomial.degree}, {counted(elements, names)}; {unit})"


def expansion_text(elements: Sequence[Any], symbols: Sequence[Any], digits: int | None) -> str:
    """One line of a large-batch expansion; with ``digits`` its elements are enclosures, shown with that many."""
    names = list(map(str, symbols))
    u, b = generator_name(names), batch_size_name(names)
    exact = _writer(names, u)

    def piece(element: Any, k: int) -> str:
        if digits is not None:
            return f"{enclosure(element, min(digits, LONGEST_NUMBER))} {_power(u, k)}".strip()
        return (
            exact(element, k) if len(element) <= _SYMBOLIC_TERMS else f"({len(element):,} terms) {_power(u, k)}".strip()
        )

    end = f"O({_power(u, len(elements))})"
    line = join([*shortened(elements, piece, TERMINAL_TERMS, "..."), end])
    if len(line) > LONGEST_SHOWN:
        line = f"LargeBatchExpansion({counted(elements, names)}) + {end}"
    return f"{line}    ({u} = 1/{b})"


def counted(elements: Sequence[Any], names: Sequence[str]) -> str:
    """How many terms there are, and the first symbols."""
    terms = sum(len(element) for element in elements)
    first = ", ".join(cut(name, 40) for name in names[:4]) + (", ..." if len(names) > 4 else "")
    return f"{terms:,} terms in {len(names)} symbols {first}".rstrip()


def coefficient_text(element: Element, names: Sequence[str]) -> str:
    """One coefficient, long numbers cut."""
    return _writer(names, "")(element, 0) if element else "0"


def _writer(names: Sequence[str], u: str) -> Callable[[Element, int], str]:
    """Writes an exact coefficient times a power of 1/b."""
    return lambda element, k: coefficient(
        element, _power(u, k), lambda key: monomial(key, names, _caret, "*"), _plain, "({}) {}"
    )


def _power(u: str, k: int) -> str:
    """u^k, for a terminal; empty for 1."""
    return "" if k == 0 else u if k == 1 else _caret(u, k)


def _is_giant(elements: Sequence[Element], limit: int) -> bool:
    """Do symbols occur, in too many terms?"""
    return sum(map(len, elements)) > limit and any(not element.is_constant() for element in elements)


def enclosure(ball: arb, digits: int) -> str:
    """[middle +/- radius]: so many digits of a python-flint ``arb``, and a radius that certifies them."""
    text: str = ball.str(digits)
    return text if text.startswith("[") else f"[{text}]"


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


def batch_size_name(symbols: Sequence[Any]) -> str:
    """What the batch size is called: b, or in words where a symbol has taken it."""
    return "(batch size)" if "b" in map(str, symbols) else "b"


def to_sympy(value: Exact) -> sympy.Expr:
    """An exact number as a SymPy number, an expression as it is."""
    import sympy

    return sympy.Rational(value.numerator, value.denominator) if isinstance(value, Rational) else value


def present(elements: Sequence[E]) -> list[tuple[int, E]]:
    """(power of 1/b, coefficient) of those that are not 0, ascending."""
    return [(k, element) for k, element in enumerate(elements) if not element.is_zero()]


def shortened(elements: Sequence[E], write: Callable[[E, int], str], limit: int, dots: str) -> list[str]:
    """Nonzero terms as strings, ascending; beyond the limit the middle is left out."""
    found = present(elements)
    if len(found) <= limit:
        return [write(element, k) for k, element in found]
    return [*(write(element, k) for k, element in found[: limit - 2]), dots, write(found[-1][1], found[-1][0])]


def coefficient(element: Element, power: str, monomial: Callable[[Any], str], write: Write, brackets: str) -> str:
    """A coefficient times a power of 1/b; a sum goes into brackets."""
    terms = [(monomial(key), to_rational(c)) for key, c in element.terms()]
    if len(terms) == 1:
        return write(terms[0][1], f"{terms[0][0]} {power}".strip())
    total = join([write(value, key) for key, value in terms])
    return brackets.format(total, power).strip() if power else total


def monomial(exponents: Any, names: Sequence[str], power: Callable[[str, int], str], times: str) -> str:
    """A product of powers of symbols; empty for 1."""
    present = [(name, int(e)) for name, e in zip(names, exponents) if e]
    return times.join(name if e == 1 else power(name, e) for name, e in present)


def _caret(name: str, exponent: int) -> str:
    """A power, for a terminal."""
    return f"{name}^{exponent}"


def join(pieces: list[str]) -> str:
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
    if len(number) > LONGEST_NUMBER:
        mantissa, exponent = leading_digits(value)
        number = f"{mantissa}..." + (f"e{exponent}" if exponent else "")
    return f"{number} {monomial}".strip()
