"""Exact numbers: what goes in as an int, a fraction, a string "p/q" or a SymPy expression stays exact.

Nothing here evaluates text as code: strings are matched by one pattern, and integers of any length are
read and written through python-flint, whose conversion has no digit limit and is not quadratic.
"""

from __future__ import annotations

import numbers
import re
import sys
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import sympy

#: Longest integer (in decimal digits) accepted from text; longer ones are refused, not parsed.
MAX_DIGITS = 100_000

_RATIONAL = re.compile(r"([+-]?)([0-9]+)(?:/([0-9]+))?")


class Rational(Fraction):
    """A ``fractions.Fraction`` whose ``str`` and ``repr`` are ``p/q``, at any length.

    It equals, hashes and computes as a Fraction. CPython refuses to print integers of more than 4,300
    digits; this class prints them through python-flint, without touching the interpreter's setting.

    >>> Rational(3, 6)
    1/2
    """

    __slots__ = ()

    def __str__(self) -> str:
        if self.denominator == 1:
            return integer_to_str(self.numerator)
        return f"{integer_to_str(self.numerator)}/{integer_to_str(self.denominator)}"

    __repr__ = __str__

    def __reduce__(self) -> tuple[Any, ...]:
        return (Rational, (self.numerator, self.denominator))


Exact: TypeAlias = "Rational | sympy.Expr"
Matrix: TypeAlias = "tuple[tuple[Exact, ...], ...]"
Vector: TypeAlias = "tuple[Exact, ...]"


def integer_to_str(value: int) -> str:
    """Decimal digits of an integer of any length."""
    if value.bit_length() < 10_000:
        return str(value)
    from flint import fmpz

    return fmpz(value).str()


def leading_digits(value: Fraction, count: int = 6) -> tuple[str, int]:
    """A nonzero number of any size as (m, e) with m 10^e = value, m cut after ``count`` digits; e = 0 where m is short.

    >>> leading_digits(Fraction(-2000, 3)), leading_digits(Fraction(10) ** 50)
    (('-666.666', 0), ('1.00000', 50))
    """
    p, q = abs(value.numerator), value.denominator
    exponent = (p.bit_length() - q.bit_length()) * 30103 // 100_000 - 1  # of the leading digit; at most 2 too low
    while p >= q * 10 ** (exponent + 1) if exponent >= -1 else p * 10 ** -(exponent + 1) >= q:
        exponent += 1
    shift = count - 1 - exponent
    digits = str(p * 10**shift // q if shift >= 0 else p // (q * 10**-shift))
    if -4 <= exponent < count:
        digits = digits.rjust(count - min(exponent, 0), "0")
        point, exponent = max(exponent, 0) + 1, 0
    else:
        point = 1
    mantissa = f"{digits[:point]}.{digits[point:]}".rstrip(".")
    return ("-" if value < 0 else "") + mantissa, exponent


def parse_rational(text: str, name: str, max_digits: int = MAX_DIGITS) -> Rational:
    """The rational number written as ``p`` or ``p/q`` in ``text``: sign, digits, at most one slash."""
    match = _RATIONAL.fullmatch(text.strip()) if len(text) <= 2 * max_digits + 8 else None
    if match is None:
        raise ValueError(
            f'{name}={_shorten(repr(text))} is not an exact number: write an integer or a string "p/q" '
            f"(sign, digits, one slash; no decimals, no exponents; at most {max_digits} digits each)"
        )
    sign, numerator, denominator = match.groups()
    for digits in (numerator, denominator or ""):
        if len(digits) > max_digits:
            raise ValueError(f"{name} has an integer of {len(digits)} digits: at most {max_digits} are accepted")
    p, q = _parse_digits(numerator), _parse_digits(denominator) if denominator else 1
    if q == 0:
        raise ValueError(f"{name}={_shorten(repr(text))} has denominator 0: write a nonzero denominator")
    return Rational(-p if sign == "-" else p, q)


def _parse_digits(digits: str) -> int:
    if len(digits) <= 4_000:
        return int(digits)
    from flint import fmpz

    return int(fmpz(digits))


def exact(value: Any, name: str) -> Exact:
    """``value`` as a Rational, or as a SymPy expression polynomial in its symbols; never from a float."""
    if isinstance(value, Rational):
        return value
    if isinstance(value, bool):
        raise TypeError(f"{name}={value} is a truth value: write the number 0 or 1")
    if isinstance(value, int):
        return Rational(value)
    if isinstance(value, numbers.Rational):
        return Rational(int(value.numerator), int(value.denominator))
    if isinstance(value, str):
        return parse_rational(value, name)
    module = type(value).__module__.partition(".")[0]
    if module == "flint" and type(value).__name__ in ("fmpz", "fmpq"):
        return Rational(int(value.numerator), int(value.denominator))
    if module == "numpy" and getattr(value, "shape", None) == () and value.dtype.kind in "iu":
        return Rational(int(value))
    if "sympy" in sys.modules:
        import sympy

        if isinstance(value, sympy.Basic):
            return _exact_expression(value, name)
    if isinstance(value, numbers.Number) or module in ("numpy", "jax", "jaxlib", "decimal"):
        raise TypeError(
            f"{name}={_shorten(repr(value))} is of type {type(value).__name__}, not an exact number: write an int, a "
            f'Fraction or "p/q", or round it openly with linvar.rationalize(value, decimals=4)'
        )
    raise TypeError(
        f"{name}={_shorten(repr(value))} is of type {type(value).__name__}: an exact number is an int, a Fraction, a "
        f'string "p/q" or a SymPy expression'
    )


def _exact_expression(value: Any, name: str) -> Exact:
    """A SymPy number as Rational, or an expression checked to be a polynomial over the rationals."""
    import sympy

    if isinstance(value, sympy.Rational):
        return Rational(int(value.p), int(value.q))
    if value.has(sympy.Float):
        raise TypeError(
            f"{name}={_shorten(str(value))} contains a float: use sympy.Rational, or linvar.rationalize(value, decimals=4)"
        )
    symbols = sorted(value.free_symbols, key=lambda symbol: symbol.name)
    polynomial = None
    if symbols:
        try:
            polynomial = sympy.Poly(value, *symbols, domain=sympy.QQ)
        except (sympy.PolynomialError, sympy.CoercionFailed, TypeError, ValueError):
            polynomial = None
    else:
        simplified = sympy.nsimplify(value) if value.is_rational and not value.is_infinite else None
        if isinstance(simplified, sympy.Rational):
            return Rational(int(simplified.p), int(simplified.q))
    if polynomial is None:
        raise ValueError(
            f"{name}={_shorten(str(value))} is not a polynomial with rational coefficients in its symbols: give the "
            f"irrational or non-polynomial part a symbol of its own and substitute afterwards"
        )
    if polynomial.is_ground:
        constant = polynomial.as_expr()
        return Rational(int(constant.p), int(constant.q))
    return value


def exact_vector(value: Any, name: str) -> Vector:
    """A one-dimensional sequence of exact entries."""
    return tuple(exact(entry, f"{name}[{i}]") for i, entry in enumerate(_items(value, name)))


def exact_matrix(value: Any, name: str) -> Matrix:
    """A rectangular, non-empty matrix of exact entries, given as a list of rows (or anything with ``tolist``)."""
    rows = []
    for i, row in enumerate(_items(value, name)):
        rows.append(exact_vector(row, f"{name}[{i}]"))
    if not rows or not rows[0]:
        raise ValueError(f"{name} is empty: give at least one row with at least one entry")
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise ValueError(
                f"{name}[{i}] has {len(row)} entries and {name}[0] has {len(rows[0])}: rows must have equal length"
            )
    return tuple(rows)


def _items(value: Any, name: str) -> Iterable[Any]:
    """The items of a list, tuple, array or SymPy matrix; a scalar is refused."""
    if hasattr(value, "tolist") and not isinstance(value, (list, tuple)):
        value = value.tolist()
    if isinstance(value, (str, bytes, dict)) or not isinstance(value, (Sequence, Iterable)):
        raise TypeError(
            f"{name}={_shorten(repr(value))} is of type {type(value).__name__}: give a list (a matrix is a list of rows)"
        )
    return value


def shape(matrix: Matrix) -> tuple[int, int]:
    """(rows, columns) of a matrix."""
    return len(matrix), len(matrix[0])


def rationalize(array: Any, decimals: int = 4) -> Any:
    """Round floats to exact decimal fractions: the one open door from floats to exact numbers.

    ``round(x * 10**decimals) / 10**decimals``, entry by entry, halves to even. The rounding error is at
    most ``10**-decimals / 2`` per entry.

    Args:
        array: a number, or nested sequences or an array of numbers, of any shape.
        decimals: digits kept after the decimal point, >= 0.

    Returns:
        A Rational, or nested lists of them in the same shape.

    Raises:
        ValueError: an entry is NaN or infinite, or ``decimals`` is negative.
        TypeError: an entry is not a number.

    >>> rationalize([[0.1234567, -2.0]], decimals=4)
    [[247/2000, -2]]
    """
    if isinstance(decimals, bool) or not isinstance(decimals, int) or decimals < 0:
        raise ValueError(f"decimals={decimals!r}: give an integer >= 0, for instance decimals=4")
    return _rationalize(array, 10**decimals, "array")


def _rationalize(value: Any, scale: int, name: str) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_rationalize(entry, scale, f"{name}[{i}]") for i, entry in enumerate(value)]
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name}={_shorten(repr(value))} is not a real number")
    if isinstance(value, numbers.Rational):
        return Rational(round(Fraction(value) * scale), scale)
    number = float(value)
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError(f"{name}={number} is not finite: drop or replace it before rounding")
    return Rational(round(Fraction(number) * scale), scale)


def free_symbols(entries: Iterable[Exact]) -> tuple[Any, ...]:
    """The SymPy symbols that occur, sorted by name; two symbols of one name are refused."""
    found: dict[str, Any] = {}
    for entry in entries:
        if isinstance(entry, Rational):
            continue
        for symbol in entry.free_symbols:
            other = found.setdefault(symbol.name, symbol)
            if other != symbol:
                raise ValueError(
                    f"two different symbols are both named {symbol.name!r} (different assumptions): rename one of them"
                )
    return tuple(found[name] for name in sorted(found))


def _shorten(text: str, limit: int = 60) -> str:
    """``text``, cut in the middle when long, so that an error message stays one line."""
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit // 2]}...{text[-limit // 4 :]}"
