"""Exact numbers: what goes in as an int, a fraction, a string "p/q" or a SymPy expression stays exact."""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from linvar.arguments import check_integer
from linvar.arrays import as_lists, is_one_number
from linvar.arrays import ordered as ordered
from linvar.digits import integer_to_str as integer_to_str
from linvar.digits import leading_digits as leading_digits
from linvar.digits import nearest
from linvar.errors import InputError, InputTypeError, NotFiniteError, Words, shown
from linvar.keywords import door
from linvar.rational import FRACTION as FRACTION
from linvar.rational import MAX_DIGITS as MAX_DIGITS
from linvar.rational import Rational as Rational
from linvar.rational import is_duration, known_number, parse_rational, refuse_number

if TYPE_CHECKING:
    import sympy

#: Most digits after the decimal point that ``rationalize`` keeps: a float has at most 1,074.
_MAX_DECIMALS = 10_000
#: Most different numbers remembered while a matrix is read.
_MOST_KNOWN = 2**16


class TooLargeError(InputError, OverflowError):
    """A number that does not fit where it is to go."""


Exact: TypeAlias = "Rational | sympy.Expr"
Matrix: TypeAlias = "tuple[tuple[Exact, ...], ...]"
Vector: TypeAlias = "tuple[Exact, ...]"
#: what is rounded: any real number of Python (an int is a float to a type checker)
Real: TypeAlias = "float | Decimal | Fraction"
#: a number, or lists of numbers in the shape of an array; the first two depths by name, as a list is no other list
Rationals: TypeAlias = "Rational | list[Rational] | list[list[Rational]] | list[Rationals]"


def exact(value: Any, name: str) -> Exact:
    """``value`` as a Rational, or as a SymPy expression, expanded, polynomial in its symbols; never from a float.

    Raises:
        InputTypeError: a float, a truth value, or nothing that stands for a number.
        InputError: no rational number, and no polynomial with rational coefficients; or one too large to write down.
    """
    if (known := known_number(value, name)) is not None:
        return known
    if "sympy" in sys.modules:
        import sympy

        if isinstance(value, sympy.Basic):
            return _exact_expression(value, name)
    entry = as_lists(value, name) if getattr(value, "shape", None) == () else value
    if isinstance(entry, (int, numbers.Rational, str)) and entry is not value:
        return exact(entry, name)  # an array without axes
    refuse_number(value, name, entry)


def _exact_expression(value: sympy.Basic, name: str) -> Exact:
    """A SymPy number as Rational, or an expression as the expanded polynomial it is equal to."""
    from linvar.expressions import canonical

    result = canonical(value, name)
    return Rational(int(result.p), int(result.q)) if result.is_Rational else result


class _Known(dict[Any, Rational]):
    """Numbers made once: most entries of a table repeat.

    Keys are what a number was: an int k, which stands for k / unit, a pair (numerator, denominator), or text.
    """

    def __init__(self, unit: int = 1) -> None:
        self.unit = unit

    def __missing__(self, key: Any) -> Rational:
        if type(key) is tuple:
            number = Rational(int(key[0]), int(key[1]))
        else:
            number = Rational(key) if self.unit == 1 else Rational(key, self.unit)
        return self.keep(key, number)

    def keep(self, key: Any, number: Rational) -> Rational:
        """The number, kept while there are few."""
        if len(self) < _MOST_KNOWN:
            self[key] = number
        return number


def exact_vector(value: Any, name: str, cure: str = "give a list") -> Vector:
    """A one-dimensional sequence of exact entries."""
    return _exact_row(value, name, cure, _Known())


def _exact_row(value: Any, name: str, cure: str, known: _Known) -> Vector:
    entries = ordered(value, name, cure)
    kinds = set(map(type, entries))
    if kinds == {Rational}:
        return tuple(entries)
    if kinds == {int}:
        return tuple(map(known.__getitem__, entries))
    return tuple([_exact_entry(entry, name, i, known) for i, entry in enumerate(entries)])


def _exact_entry(entry: Any, name: str, place: int, known: _Known) -> Exact:
    """``exact``, with a name made for the entries that need one: a table has millions."""
    kind = type(entry)
    if kind is Rational:
        return entry  # type: ignore[no-any-return]
    if kind is int:
        return known[entry]
    if kind is Fraction:
        return known[entry.numerator, entry.denominator]
    if kind is str:
        return known[entry] if entry in known else known.keep(entry, parse_rational(entry, f"{name}[{place}]"))
    return exact(entry, f"{name}[{place}]")


def exact_matrix(value: Any, name: str) -> Matrix:
    """A rectangular, non-empty matrix of exact entries: a list of rows, an array, a table or a SymPy matrix."""
    cure = "give a list (a matrix is a list of rows)"
    known = _Known()
    rows = tuple([_exact_row(row, f"{name}[{i}]", cure, known) for i, row in enumerate(ordered(value, name, cure))])
    if not rows or not rows[0]:
        raise InputError(name, Words("is empty"), "give at least one row with at least one entry")
    for i, row in enumerate(rows):
        if len(row) != len(rows[0]):
            fault = Words(f"has {len(row)} entries and {name}[0] has {len(rows[0])}")
            raise InputError(f"{name}[{i}]", fault, "rows must have equal length")
    return rows


def exact_column(value: Any, name: str) -> Matrix:
    """A matrix, or numbers one below the other: a column."""
    rows = ordered(value, name)
    if rows and all(map(is_one_number, rows)):
        return tuple((entry,) for entry in exact_vector(rows, name))
    return exact_matrix(rows, name)


def shape(matrix: Matrix) -> tuple[int, int]:
    """(rows, columns) of a matrix."""
    return len(matrix), len(matrix[0])


@overload
def rationalize(array: Real, decimals: int = 4) -> Rational: ...
@overload
def rationalize(array: Sequence[Real], decimals: int = 4) -> list[Rational]: ...
@overload
def rationalize(array: Sequence[Sequence[Real]], decimals: int = 4) -> list[list[Rational]]: ...
@overload
def rationalize(array: object, decimals: int = 4) -> Rationals: ...
@door
def rationalize(array: object, decimals: int = 4) -> Rationals:
    """Round floats to exact decimal fractions: the one open door from floats to exact numbers.

    ``round(x * 10**decimals) / 10**decimals``, entry by entry, halves to even. The rounding error is at
    most ``10**-decimals / 2`` per entry.

    Args:
        array: a number, or nested sequences, an array or a table (a pandas DataFrame or Series) of numbers, of any
            shape: floats of any precision, Decimals, Fractions. Truth values in an array or a column count as 0 and 1.
        decimals: digits kept after the decimal point, from 0 to 10,000.

    Returns:
        A Rational, or nested lists of them in the same shape.

    Raises:
        ValueError: an entry is NaN, infinite, missing or masked, or ``decimals`` is out of range.
        TypeError: an entry is not a number, a column is text, dates or categories, or a set has no order.

    >>> rationalize([[0.1234567, -2.0]], decimals=4)
    [[247/2000, -2]]
    """
    return rounded(array, decimals, "array")


def rounded(value: object, decimals: int, name: str) -> Rationals:
    """``rationalize`` of an argument of this name."""
    decimals = check_integer(decimals, "decimals", "give an integer >= 0, for instance decimals=4")
    if not 0 <= decimals <= _MAX_DECIMALS:
        raise InputError("decimals", decimals, f"give an integer from 0 to {_MAX_DECIMALS:,}, for instance decimals=4")
    return _rounded(value, name, _Known(10**decimals))


def _rounded(value: Any, name: str, known: _Known) -> Rationals:
    """A number, or lists of them, as multiples of ``known.unit``-ths; names are made for the entries that need one."""
    if type(value) is float and math.isfinite(value):
        return known[nearest(value.as_integer_ratio(), known.unit)]
    value = as_lists(value, name)
    if not is_one_number(value):
        entries = ordered(value, name, "give a number, or lists or an array of numbers")
        if set(map(type, entries)) == {float} and all(map(math.isfinite, entries)):
            return [known[nearest(entry.as_integer_ratio(), known.unit)] for entry in entries]
        return [_rounded(entry, f"{name}[{i}]", known) for i, entry in enumerate(entries)]
    if isinstance(value, bool):
        raise InputTypeError(name, value, "write the number 0 or 1", fault="is a truth value")
    if isinstance(value, str):
        raise InputTypeError(name, value, "give a number", fault="is text, not a number")
    if isinstance(value, complex):
        raise InputTypeError(name, value, "give a real number", fault="is a complex number")
    if is_duration(value):
        raise InputTypeError(name, value, "give a number", fault="is a duration, not a number")
    if not isinstance(value, (numbers.Real, Decimal)):
        raise InputTypeError(
            name, value, "give a number", fault=f"is of type {type(value).__name__}, not a real number"
        )
    if not isinstance(value, numbers.Rational) and not math.isfinite(value):
        raise NotFiniteError(name, value, "drop or replace it before rounding", fault="is not finite")
    finite: Any = value
    p, q = (finite.numerator, finite.denominator) if isinstance(value, numbers.Rational) else finite.as_integer_ratio()
    return known[nearest((int(p), int(q)), known.unit)]  # integers of NumPy overflow


def free_symbols(entries: Iterable[Exact]) -> tuple[sympy.Expr, ...]:
    """The symbols that occur in exact entries, sorted by name; two symbols of one name are refused.

    A symbol is a SymPy Symbol, or an entry of a MatrixSymbol or IndexedBase, ``M[0, 1]``; its ``str`` is its name.
    """
    found: dict[str, sympy.Expr] = {}
    for entry in entries:
        if isinstance(entry, Rational):
            continue
        from linvar.expressions import symbols_of

        for symbol in symbols_of(entry):
            other = found.setdefault(str(symbol), symbol)
            if other != symbol:
                fault = Words(f"are both named {shown(str(symbol))} (different assumptions)")
                raise InputError("two different symbols", fault, "rename one of them")
    return tuple(found[name] for name in sorted(found))
