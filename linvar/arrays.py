"""Arrays and tables of any library as lists: NumPy, JAX, pandas, SymPy or what behaves like them.

Nothing is imported for it: an array has ``tolist``, a table has ``columns`` and ``to_numpy``. Entries stay what they are, but
for arrays and columns of truth values, which become 0 and 1; an entry that is masked or missing is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, MappingView, Sequence
from collections.abc import Mapping as AnyMapping
from collections.abc import Set as AnySet
from numbers import Number
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from linvar.errors import InputError, InputTypeError, Words, cut, shown

if TYPE_CHECKING:
    import sympy

    from linvar.flint import fmpq, fmpz

T = TypeVar("T")
#: what stands for one number in a table: a number of any library, or the text of a fraction
Entry: TypeAlias = "Number | sympy.Expr | fmpq | fmpz | str"
#: an array of truth values as nested lists, None where one is missing; and what they count as
Truths: TypeAlias = "bool | None | list[Truths]"
Counts: TypeAlias = "int | None | list[Counts]"

_FRACTION = re.compile(r"\s*[+-]?[0-9]+(/[0-9]+)?\s*")
#: kinds of columns, in the words of a message; None for numbers
_KINDS = {"b": None, "i": None, "u": None, "f": None, "c": "complex numbers", "M": "dates", "m": "durations"}


def ordered(value: Iterable[T], name: str, cure: str = "give a list") -> Sequence[T]:
    """The items of a list, tuple, range, iterator, array, table or SymPy matrix, in their order.

    Args:
        value: what the user gave.
        name: what the user calls it.
        cure: what to give in its place.

    Raises:
        InputTypeError: it has no items, or they have no order (a set, a dictionary, a view of one), or it is text or bytes.

    >>> ordered(range(3), "steps")
    [0, 1, 2]
    >>> ordered({2, 1, 0}, "steps")
    Traceback (most recent call last):
    linvar.errors.InputTypeError: steps={0, 1, 2} is of type set, which has no order: give a list
    """
    if isinstance(value, (list, tuple)):
        return value
    if isinstance(value, (AnySet, AnyMapping, MappingView)) or getattr(value, "is_FiniteSet", False) is True:
        raise InputTypeError(name, value, cure, fault=f"is of type {type(value).__name__}, which has no order")
    items = as_lists(value, name)
    if isinstance(items, (str, bytes, bytearray, memoryview)) or not isinstance(items, Iterable):
        raise InputTypeError(name, value, cure)
    return items if isinstance(items, list) else list(items)


def is_one_number(value: Any) -> bool:
    """Whether a value is meant as one number, not as a list of them."""
    return isinstance(value, str) or not isinstance(value, Iterable) or getattr(value, "shape", None) == ()


def as_lists(value: Any, name: str) -> Any:
    """An array or a table as nested lists, one without axes as its entry; anything else as it is.

    Raises:
        InputError: entries are masked or missing.
        InputTypeError: columns that are no numbers, a sparse array, one whose entries are not known.
    """
    if isinstance(value, (list, tuple, str, Number, memoryview)):
        return value
    if hasattr(value, "columns") and hasattr(value, "to_numpy"):
        return _rows(value, name)
    if hasattr(value, "mask") and hasattr(value, "filled"):
        _refuse_masked(value, name)
    if hasattr(value, "as_explicit"):  # a matrix expression of SymPy
        return _listed(value, lambda: value.as_explicit().tolist(), name)
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind in ("M", "m"):
        fault = Words(f"holds {_KINDS[kind]} ({value.dtype})")
        raise InputTypeError(name, fault, "give numbers, for instance days since a first one")
    for method in ("tolist", "to_list"):
        if hasattr(value, method):
            entries = _listed(value, getattr(value, method), name)
            return _zeros_and_ones(entries) if kind == "b" and isinstance(entries, list) else entries
    if hasattr(value, "toarray"):
        raise InputTypeError(name, Words("is sparse"), f"give {name}.toarray()")
    if hasattr(value, "__array__"):
        return as_lists(_listed(value, value.__array__, name), name)
    return value


def _listed(value: object, method: Callable[[], T], name: str) -> T:
    """What a method of the value gives; what it raises is the value's fault (a traced array, a matrix of unknown shape)."""
    try:
        return method()
    except Exception as error:  # noqa: BLE001  any library's
        fault = Words(f"is of type {type(value).__name__}, whose entries are not known ({cut(str(error), 80)})")
        raise InputTypeError(name, fault, "give a list of numbers") from None


def _zeros_and_ones(entries: Truths) -> Counts:
    """Truth values in lists as 0 and 1."""
    if isinstance(entries, list):
        return [_zeros_and_ones(entry) for entry in entries]
    return int(entries) if isinstance(entries, bool) else entries


def _refuse_masked(array: Any, name: str) -> None:
    """No masked entry may pass as the number that happens to lie under the mask."""

    def masked(mask: Any, place: str) -> list[str]:
        if isinstance(mask, list):
            return [found for i, entry in enumerate(mask) for found in masked(entry, f"{place}[{i}]")]
        return [place] if mask else []

    places = masked(array.mask.tolist(), name)
    if places and array.shape == ():
        raise InputError(name, Words("is masked"), "give a number")
    if places:
        fault = Words(f"has {len(places)} masked entries, the first {places[0]}")
        raise InputError(name, fault, "fill them in or leave their rows out")


def _rows(table: Any, name: str) -> list[list[Entry]]:
    """The rows of a table whose columns are numbers (or text that is a fraction)."""
    # pandas gives (label, column) for columns of any name; others are asked by name
    columns = list(table.items()) if hasattr(table, "items") else [(label, table[label]) for label in table.columns]
    entries: list[list[Entry]] = []
    others, missing = [], []
    for label, column in columns:
        values = column.tolist() if hasattr(column, "tolist") else column.to_list()
        kind = _kind(column, values)
        plain = set(map(type, values)) <= {int, float}  # then NaN alone is missing
        if kind is not None:
            others.append(f"{shown(label, 40)} ({kind})")
        elif absent := [i for i, x in enumerate(values) if (x != x if plain else _is_missing(x))]:
            missing.append(f"{shown(label, 40)} ({len(absent)}, the first in row {absent[0]})")
        entries.append(values if plain else [int(value) if isinstance(value, bool) else value for value in values])
    if others:
        fault = Words(
            f"has {_counted(others, 'column')} that {'are' if len(others) > 1 else 'is'} not of numbers: {_few(others)}"
        )
        raise InputTypeError(name, fault, "leave them out, or write them as numbers (one column of 0 and 1 a category)")
    if missing:
        fault = Words(f"has missing values in {_counted(missing, 'column')}: {_few(missing)}")
        raise InputError(name, fault, f"leave the rows out ({name}.dropna()) or fill them in")
    return [list(row) for row in zip(*entries)]


def _kind(column: Any, values: list[Any]) -> str | None:
    """What a column holds, if not numbers."""
    dtype = column.dtype
    if str(dtype).lower().startswith(("category", "categorical", "enum")):
        return "categories"
    kind = getattr(dtype, "kind", "O")
    if kind in _KINDS and kind != "c":
        return _KINDS[kind]
    return next((said for value in values if (said := _kind_of_entry(value)) is not None), None)


def _kind_of_entry(value: Any) -> str | None:
    """What an entry of a column of objects is, if no number."""
    if _is_missing(value):
        return None
    if isinstance(value, str):
        return None if _FRACTION.fullmatch(value) else f"text, {shown(value, 30)}"
    if isinstance(value, complex):
        return "complex numbers"
    if isinstance(value, Number) or type(value).__module__.partition(".")[0] in ("sympy", "flint"):
        return None
    return "dates" if hasattr(value, "isoformat") or hasattr(value, "total_seconds") else type(value).__name__


def _is_missing(value: Any) -> bool:
    """None, NaN, NaT, NA."""
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def _counted(items: Sequence[str], noun: str) -> str:
    return f"a {noun}" if len(items) == 1 else f"{len(items)} {noun}s"


def _few(items: Sequence[str]) -> str:
    """A list in words, the first few."""
    return ", ".join(items[:4]) + (", ..." if len(items) > 4 else "")
