"""One field of a table: the number it writes, or what it is instead and what to do about it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from linvar.errors import cut

#: A number of more characters is none; float64's longest in full has about 1,100.
_LONGEST = 1_100

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_PLAIN = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_DATE = (
    r"[0-9]{4}[-/.][0-9]{1,2}(?:[-/.][0-9]{1,2})?(?:[ T].*)?|[0-9]{1,2}[-/.][0-9]{1,2}[-/.](?:[0-9]{4}|[0-9]{2})(?: .*)?|"
    r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?: ?[AaPp][Mm])?|[0-9]{4} ?[-:]?[QqWwMm][0-9]{1,2}|"
    r"(?:[0-9]{1,4}[-. ]{1,2})?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*[-.,/ ]{1,2}[0-9]{1,4}(?:[-., ].*)?"
)
_PATTERNS = {
    "missing": r"|[-.?*]+|(?i:#?na|n/a|<na>|nan|[+-]nan|nat|null|nil|none|missing|n\.a\.)",
    "spreadsheet": r"#(?:N/A|NV|DIV/0!|GETTING_DATA|[A-ZÄÖÜÉ]+[!?])",
    "infinite": r"[+-]?(?i:inf|infinity|∞)",
    # 1,234 may be either; 0,123 and 1,23 are decimal, 1,234,567 and 1,234.5 have thousands
    "either": r"[+-]?[1-9][0-9]{0,2},[0-9]{3}",
    "comma": r"[+-]?(?:[0-9]+|[0-9]{1,3}(?:[. '][0-9]{3})+)?,[0-9]+(?:[eE][+-]?[0-9]+)?",
    "thousands": r"[+-]?[0-9]{1,3}(?:(?:,[0-9]{3})+|(?:['’ \xa0\u202f\u2009][0-9]{3})+|(?:\.[0-9]{3}){2,})(?:\.[0-9]*)?",
    "percent": r"[+-]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)\s*[%‰]",
    "date": _DATE,
    "notation": r"0[xX][0-9a-fA-F]+|[+-]?[0-9][0-9_]*_[0-9_.]*|" + _PLAIN + r"[dD][+-]?[0-9]+|[+-] +[0-9].*",
    "unit": r"(?:[A-Z]{3}|[A-Z]{0,3}[$€£¥₹]|[+-]?[$€£¥₹]) ?-?[0-9][0-9.,' ]*[kKmMbB]?|"
    r"\((?:[$€£¥₹] ?)?[0-9][0-9.,]*\)|[<>~≈≤≥] ?[0-9][0-9.,]*|"
    + _PLAIN + r" ?(?:[$€£¥₹]|[^\W\d_]{1,3}[²³23]?(?:/[^\W\d_]{1,3}[²³23]?)?|[µμ°][^\W\d_]{0,2})",
}  # fmt: skip
_KINDS = {kind: re.compile(pattern) for kind, pattern in _PATTERNS.items()}

#: kind -> (what one is, what many are, what to do)
_WORDS = {
    "missing": ("missing value", "missing values", "fill them in, or delete their rows or columns"),
    "spreadsheet": ("error of a spreadsheet", "errors of a spreadsheet", "mend the formulas, or delete those rows"),
    "infinite": ("number out of float64's range", "numbers out of float64's range", "delete those rows, or scale the column"),
    "comma": ("number with a decimal comma", "numbers with a decimal comma", "write decimal points"),
    "thousands": ("number with a thousands separator", "numbers with a thousands separator", "write 1234567 for 1,234,567"),
    "either": (
        "number whose comma is of decimals or of thousands", "numbers whose comma is of decimals or of thousands",
        "write 1.234 or 1234 for 1,234",
    ),
    "percent": ("percentage", "percentages", "write the numbers without the sign"),
    "date": ("date or time", "dates or times", "write a number, as of days since the first, or leave the column out"),
    "notation": (
        "number in another notation", "numbers in another notation", "write decimal numbers in ASCII, like -1234.5 or 1e-3",
    ),
    "unit": ("number with a sign or unit beside it", "numbers with a sign or unit beside them", "write the number alone"),
    "text": ("field of text", "fields of text", "write a number, or delete those rows or columns"),
}  # fmt: skip


#: Columns named in one clause of a message.
_SHOWN = 3


class _Other(NamedTuple):
    """A field that is no number."""

    kind: str
    column: int
    line: int
    text: str


def number(text: str) -> Decimal | None:
    """The number a field writes, exactly; None if it is none, or none that float64 can come near.

    ASCII digits, at most one point and an exponent: not what else ``float()`` takes ("nan", "inf", "1_000", other digits).

    >>> number("-0.1"), number("1e-300"), number("1_000"), number("1e400"), number("nan")
    (Decimal('-0.1'), Decimal('1E-300'), None, None, None)
    """
    if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
        return None
    near = float(text)
    if math.isinf(near):
        return None
    if near == 0.0:  # 0e999999999 is 0; 1e-400 is not, and has no float64
        return Decimal(0) if not re.search("[1-9]", re.split("[eE]", text)[0]) else None
    return Decimal(text)


def kind_of(text: str) -> str:
    """What a field is: "number", or one of the kinds a table is refused for.

    >>> [kind_of(text) for text in ("1.5", "NA", "#DIV/0!", "1,5", "12 %", "2020-01-31", "5 kg", "0x10", "female")]
    ['number', 'missing', 'spreadsheet', 'comma', 'percent', 'date', 'unit', 'notation', 'text']
    """
    if number(text) is not None:
        return "number"
    if _NUMBER.fullmatch(text):
        return "infinite"
    if len(text) > 60:
        return "text"
    for kind, pattern in _KINDS.items():
        if pattern.fullmatch(text):
            return kind
    if not text.isascii() and kind_of(_in_ascii(text)) == "number":
        return "notation"
    return "text"


def _in_ascii(text: str) -> str:
    """Digits of other scripts and other signs of minus as ASCII."""
    return "".join(
        str(int(c)) if c.isdecimal() else {"−": "-", "–": "-", "．": ".", "＋": "+", "－": "-"}.get(c, " " if ord(c) > 127 else c)
        for c in text
    )  # fmt: skip


def is_number_like(text: str) -> bool:
    """Whether a field would be a column's of numbers, however written."""
    return kind_of(text) != "text"


def census(rows: Sequence[tuple[int, Sequence[str]]], names: Sequence[str]) -> tuple[int, str]:
    """How many fields are no numbers, and by kind how many, where, the first, and what to do.

    Args:
        rows: line numbers and fields.
        names: of the columns.

    >>> census([(2, ["1", "NA"]), (3, ["2", ""])], ["a", "b"])
    (2, "2 missing values in column 'b' (first 'NA', line 2): fill them in, or delete their rows or columns")
    """
    others = [
        _Other(kind, column, line, text)
        for line, row in rows
        for column, text in enumerate(row)
        if (kind := kind_of(text)) != "number"
    ]
    kinds = {other.kind for other in others}
    if "either" in kinds and kinds & {"comma", "thousands"}:  # the others decide
        decided = "comma" if "comma" in kinds else "thousands"
        others = [other._replace(kind=decided) if other.kind == "either" else other for other in others]
    count = Counter((other.column, other.kind) for other in others)
    whole = [
        column
        for column in range(len(names))
        if count[column, "text"] and count[column, "text"] + count[column, "missing"] == len(rows)
    ]
    clauses = []
    for kind in _WORDS:
        left_out = set(whole) if kind == "text" else ()
        found = [other for other in others if other.kind == kind and other.column not in left_out]
        if found:
            clauses.append(_clause(found, names))
    for column in whole[:_SHOWN]:
        values = [other.text for other in others if (other.column, other.kind) == (column, "text")]
        clauses.append(_categories(names[column], values))
    if len(whole) > _SHOWN:
        clauses.append(f"{len(whole) - _SHOWN:,} more columns of categories")
    return len(others), "; ".join(clauses)


def _clause(found: Sequence[_Other], names: Sequence[str]) -> str:
    """The fields of one kind, in words."""
    one, many, cure = _WORDS[found[0].kind]
    columns = sorted({other.column for other in found})
    places = ", ".join(shown_name(names[column]) for column in columns[:_SHOWN])
    more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    where = f"column{'s' if len(columns) > 1 else ''} {places}{more}"
    first = f"first {cut(repr(found[0].text), 40)}, line {found[0].line}"
    return f"{len(found):,} {one if len(found) == 1 else many} in {where} ({first}): {cure}"


def _categories(name: str, values: Sequence[str]) -> str:
    """A column of nothing but text, in words."""
    different = dict.fromkeys(values)
    few = len(different) <= len(values) // 2
    what = f"{len(different):,} {'category' if len(different) == 1 else 'categories'} in {len(values):,} rows"
    cure = "write them as 0/1 columns or leave the column out" if few else "leave the column out"
    examples = ", ".join(cut(repr(value), 30) for value in list(different)[:2])
    return f"column {shown_name(name)}: {what} ({examples}{', ...' if len(different) > 2 else ''}): {cure}"


def shown_name(name: str) -> str:
    """The name of a column in a message."""
    return cut(repr(name), 40)
