"""Rational: the exact number of linvar, a Fraction that prints at any length and stays one of its kind.

Nothing here evaluates text as code: strings are matched by one pattern, and integers of any length are
read and written through python-flint, whose conversion has no digit limit and is not quadratic.
"""

from __future__ import annotations

import math
import numbers
import operator
import re
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, Self, TypeAlias, overload

from linvar.digits import formatted, integer_to_str
from linvar.errors import InputError, InputTypeError, Words

#: Longest integer (in decimal digits) accepted from text; longer ones are refused, not parsed.
MAX_DIGITS = 100_000
#: a fraction as text
FRACTION = re.compile(r"([+-]?)([0-9]+)(?:/([0-9]+))?")


#: what a Rational is made from
_Number: TypeAlias = int | str | numbers.Rational


class ZeroDivisorError(InputError, ZeroDivisionError):
    """A division by 0."""


class _Operator(Protocol):
    """An operator of Rational: exact with exact numbers, a float with a float."""

    @overload
    def __call__(self, other: int | Fraction, /) -> Rational: ...
    @overload
    def __call__(self, other: float, /) -> float: ...
    @overload
    def __call__(self, other: complex, /) -> complex: ...


def _keeping(name: str) -> Any:
    """An operator of Fraction whose result is a Rational where it is a Fraction; a division by 0 is said in our words."""
    operation, reflected = getattr(Fraction, name), name.startswith("__r")
    divides = name.rstrip("_").endswith(("div", "mod"))

    def operator(self: Rational, other: Any) -> Any:
        if divides and isinstance(other, numbers.Rational) and not (self if reflected else other):
            raise ZeroDivisorError("divisor", 0, "give a nonzero divisor")
        result = operation(self, other)
        return _kept(result) if type(result) is Fraction else result

    operator.__name__, operator.__qualname__, operator.__doc__ = name, f"Rational.{name}", operation.__doc__
    return operator


def _comparison(name: str) -> Any:
    """A comparison of Fraction; integers of NumPy, which overflow, are compared as they are."""
    operation = getattr(Fraction, name)

    def comparison(self: Rational, other: Any) -> Any:
        kind = type(other)
        if kind is not Rational and kind is not int and kind is not float and isinstance(other, numbers.Rational):
            other = Fraction(int(other.numerator), int(other.denominator))
        return operation(self, other)

    comparison.__name__, comparison.__qualname__, comparison.__doc__ = name, f"Rational.{name}", operation.__doc__
    return comparison


class Rational(Fraction):
    """A ``fractions.Fraction`` that stays one of its kind, and whose ``str`` and ``repr`` are ``p/q``, at any length.

    It equals and hashes as a Fraction. Sums, products, quotients, remainders and integer powers with integers and Fractions
    are Rationals again; ``//``, ``round(x)``, ``floor`` and ``ceil`` are ints. With a SymPy expression the result is SymPy's.
    With a float it is a float, as a Fraction's is: it shows as one, and whatever is exact in linvar refuses it. Two exact
    numbers never make a float: a power whose exponent is no integer is refused. Comparisons, with floats too, are exact.

    ``format`` writes decimals as it does of a float (``f"{x:.4f}"``, ``:.3e``, ``:g``, ``:.1%``), of any size, rounded
    once from the exact number, halves to even; without such a letter (``:>10``) p/q.

    CPython refuses to print integers of more than 4,300 digits; this class prints them through python-flint, without
    touching the interpreter's setting.

    Args:
        numerator: an int, a Fraction, text "p/q", or any exact number. No float and no decimal, ``Rational(0.1)``: which
            fraction is meant is said by ``linvar.rationalize(0.1)`` (1/10), or by ``Rational.from_float`` (the float's own).
        denominator: the same, not 0; 1 if left out.

    Raises:
        InputError: text that is no "p/q", or (also a ZeroDivisionError) a denominator of 0.
        InputTypeError: a float, a Decimal, a truth value, or no number.

    >>> Rational(3, 6), Rational("2/3") / 4, sum([Rational(1, 3)] * 2), f"{Rational(2, 3):.4f}"
    (1/2, 1/6, 2/3, '0.6667')
    """

    __slots__ = ()

    if TYPE_CHECKING:
        _numerator: int
        _denominator: int

    def __new__(cls, numerator: _Number = 0, denominator: _Number = 1) -> Self:
        p, q = numerator, denominator
        if type(p) is not int or type(q) is not int:
            if type(p) is cls and type(q) is int and q == 1:
                return p
            if type(q) is not int:
                below = _number(q, "denominator")
                p, q = _number(p, "numerator") * below._denominator, below._numerator
            above = p if isinstance(p, Fraction) else _number(p, "numerator")
            p, q = int(above.numerator), int(above.denominator) * q
        if q == 0:
            raise ZeroDivisorError("denominator", 0, "give a nonzero one")
        number = object.__new__(cls)
        if q != 1:
            common = math.gcd(p, q) if q > 0 else -math.gcd(p, q)
            p, q = p // common, q // common
        number._numerator, number._denominator = p, q
        return number

    __add__: _Operator = _keeping("__add__")
    __radd__: _Operator = _keeping("__radd__")
    __sub__: _Operator = _keeping("__sub__")
    __rsub__: _Operator = _keeping("__rsub__")
    __mul__: _Operator = _keeping("__mul__")
    __rmul__: _Operator = _keeping("__rmul__")
    __truediv__: _Operator = _keeping("__truediv__")
    __rtruediv__: _Operator = _keeping("__rtruediv__")
    __floordiv__ = _keeping("__floordiv__")
    __rfloordiv__ = _keeping("__rfloordiv__")
    __mod__: _Operator = _keeping("__mod__")
    __rmod__: _Operator = _keeping("__rmod__")

    def __divmod__(self, other: Any) -> tuple[int, Rational]:  # type: ignore[override]
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> tuple[int, Rational]:  # type: ignore[override]
        return other // self, other % self

    __lt__ = _comparison("__lt__")
    __le__ = _comparison("__le__")
    __gt__ = _comparison("__gt__")
    __ge__ = _comparison("__ge__")

    def __neg__(self) -> Rational:
        return _coprime(-self._numerator, self._denominator)

    def __pos__(self) -> Rational:
        return self

    def __abs__(self) -> Rational:
        return -self if self < 0 else self

    @overload
    def __round__(self, ndigits: None = None) -> int: ...
    @overload
    def __round__(self, ndigits: int) -> Rational: ...
    def __round__(self, ndigits: int | None = None) -> int | Rational:
        return super().__round__() if ndigits is None else _kept(super().__round__(operator.index(ndigits)))

    @overload  # type: ignore[override]
    def __pow__(self, exponent: int) -> Rational: ...
    @overload
    def __pow__(self, exponent: Fraction | float | complex) -> Any: ...
    def __pow__(self, exponent: Any) -> Any:
        """Exact for a whole exponent, a float for a float."""
        if isinstance(exponent, (int, Fraction)):
            if exponent.denominator != 1:
                cure = "give an integer, or make it a float first, float(x) ** y"
                raise InputError("exponent", exponent, cure, fault="is no integer, and a root is seldom rational")
            if not self and exponent < 0:
                raise ZeroDivisorError("divisor", 0, "give a nonzero divisor")
            return _kept(super().__pow__(int(exponent)))
        return super().__pow__(exponent) if isinstance(exponent, (float, complex)) else NotImplemented

    def __rpow__(self, base: Any) -> Any:
        """Exact for a whole exponent and an exact base, a float for a float."""
        return Rational(Fraction(base)) ** self if isinstance(base, (int, Fraction)) else super().__rpow__(base)

    def limit_denominator(self, max_denominator: int = 1_000_000) -> Rational:
        """The nearest number whose denominator is at most this."""
        return _kept(super().limit_denominator(max_denominator))

    def __str__(self) -> str:
        if self.denominator == 1:
            return integer_to_str(self.numerator)
        return f"{integer_to_str(self.numerator)}/{integer_to_str(self.denominator)}"

    __repr__ = __str__

    def __format__(self, format_spec: str, /) -> str:
        return formatted(self, format_spec) if format_spec else str(self)

    def __reduce__(self) -> tuple[type[Rational], tuple[int, int]]:
        return (Rational, (self.numerator, self.denominator))


def parse_rational(text: str, name: str, max_digits: int = MAX_DIGITS) -> Rational:
    """The rational number written as ``p`` or ``p/q`` in ``text``: sign, digits, at most one slash."""
    match = FRACTION.fullmatch(text.strip()) if len(text) <= 2 * max_digits + 8 else None
    if match is None:
        raise InputError(
            name, text, f'write an integer or a string "p/q" (sign, digits, one slash; no decimals, no exponents; at most '
            f"{max_digits} digits each)", fault="is not an exact number",
        )  # fmt: skip
    sign, numerator, denominator = match.groups()
    for digits in (numerator, denominator or ""):
        if len(digits) > max_digits:
            fault = Words(f"has an integer of {len(digits)} digits")
            raise InputError(name, fault, f"write one of at most {max_digits} digits")
    p, q = _parse_digits(numerator), _parse_digits(denominator) if denominator else 1
    if q == 0:
        raise ZeroDivisorError(name, text, "write a nonzero denominator", fault="has denominator 0")
    return Rational(-p if sign == "-" else p, q)


def _parse_digits(digits: str) -> int:
    if len(digits) <= 4_000:
        return int(digits)
    from linvar.flint import fmpz

    return int(fmpz(digits))


def known_number(value: Any, name: str) -> Rational | None:
    """A number that is exact by its type; None for anything else, a SymPy expression too.

    Raises:
        InputTypeError: a truth value or a duration. InputError: text that is no "p/q".
    """
    if isinstance(value, Rational):
        return value
    if isinstance(value, Fraction):
        return _coprime(int(value.numerator), int(value.denominator))
    if isinstance(value, bool):
        raise InputTypeError(name, value, "write the number 0 or 1", fault="is a truth value")
    if isinstance(value, int):
        return Rational(value)
    if is_duration(value):
        raise InputTypeError(name, value, "give a number", fault="is a duration, not a number")
    if isinstance(value, str):
        return parse_rational(value, name)
    module = (type(value).__module__ or "").partition(".")[0]  # None for an undefined function of SymPy
    if isinstance(value, numbers.Rational) or (module == "flint" and type(value).__name__ in ("fmpz", "fmpq")):
        return Rational(int(value.numerator), int(value.denominator))
    return None


def refuse_number(value: Any, name: str, entry: Any) -> NoReturn:
    """No exact number; ``entry`` is the value, or what a value without axes holds."""
    module = (type(value).__module__ or "").partition(".")[0]
    if isinstance(entry, (numbers.Number, Decimal)) or module in ("numpy", "jax", "jaxlib"):
        raise InputTypeError(
            name, value, 'write an int, a Fraction or "p/q", or round it openly with linvar.rationalize(value, decimals=4)',
            fault=f"is of type {type(value).__name__}, not an exact number",
        )  # fmt: skip
    raise InputTypeError(name, value, 'an exact number is an int, a Fraction, a string "p/q" or a SymPy expression')


def _number(value: Any, name: str) -> Rational:
    """A number that is exact by its type."""
    found = known_number(value, name)
    return refuse_number(value, name, value) if found is None else found


def _coprime(numerator: int, denominator: int) -> Rational:
    """numerator / denominator, in lowest terms already."""
    number = object.__new__(Rational)
    number._numerator, number._denominator = numerator, denominator
    return number


def _kept(value: Fraction) -> Rational:
    """A Fraction as a Rational."""
    return _coprime(value._numerator, value._denominator)  # type: ignore[attr-defined]


def is_duration(value: Any) -> bool:
    """Whether a value is a duration of NumPy, which counts as a ``numbers.Rational``."""
    return getattr(getattr(value, "dtype", None), "kind", "") == "m"
