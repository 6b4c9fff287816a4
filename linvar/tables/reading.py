"""Tables of numbers from a file, read with care: what was read is said, and what is not understood is refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from os import PathLike, fspath
from pathlib import Path

from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.keywords import door
from linvar.tables.fields import census, is_number_like, kind_of, number, shown_name
from linvar.tables.text import Row, TableText, read_table_text

#: Names listed in a message or a description; of more, the first and the last.
_LISTED = 20
#: Names of columns that only number the rows, or name them, if their values are all different.
_INDEX = re.compile(
    r"index|idx|row[ _.]?(?:names?|id|nr|no|num|number|index)?s?|unnamed: ?0|level_0|s\.?no\.?|serial(?: ?no\.?| number)|"
    r"(?:.*[ _.-])?id|(?:obs|observation|case|no|nr|num|number|record)\.?"
)
#: Of these, those that may also be a measurement: numbers in order only.
_COUNTING = re.compile(r"(?:obs|observation|case|no|nr|num|number|record)\.?")


@dataclass(frozen=True, eq=False)
class Table:
    """Inputs and one target, exactly as written.

    Attributes:
        name: where it comes from.
        checksum: SHA-256 of the file's bytes, or of the arrays'.
        columns: names of the inputs.
        target: name of the target.
        inputs: n rows of d numbers.
        targets: n numbers.
        description: what was read, in one line.
        remarks: what else there is to say, a line each: lines passed over, columns left out, how the header was known.
    """

    name: str
    checksum: str
    columns: tuple[str, ...]
    target: str
    inputs: tuple[tuple[Decimal, ...], ...]
    targets: tuple[Decimal, ...]
    description: str
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Table({self.name}: {self.description})"


@door
def read_table(
    path: str | PathLike[str], target: str | None = None, *, delimiter: str | None = None, header: bool | None = None
) -> Table:
    """A table of numbers in a text file (CSV and its kin): one example a row, the target one of the columns.

    Fields are separated by , ; | tabs or blanks, whichever makes rows of equal length; a first line ``sep=;`` decides.
    Quotes as in CSV. A field is an ASCII decimal number (-1.5, 2e-3), kept as it is written; anything else is refused:
    the message counts it by kind (missing values, categories, dates, decimal commas, ...) with what to do.

    The first row is a header if a field of it is no number, and the numbers in it, if any, can be names. Where that is open
    (0, 1, 2 or 2010, 2011 above numbers; text beside numbers like those below) the table is refused until ``header`` says it.

    A column that only numbers or names the rows is no input: one without a name that counts 0, 1, ... or 1, 2, ..., a first
    one without a name whose whole numbers or texts are all different, or one called like an index ("id", "rownames") with
    such values. ``Table.description`` and ``Table.remarks`` say all of this.

    Args:
        path: the file; at most 256 MiB; UTF-8, UTF-16 or UTF-32 with a byte order mark, or Windows-1252.
        target: the column to predict, by name or, from 1 on, by number; if None the last one that may be an input
            (row numbers and names are not).
        delimiter: what separates the fields, " " for blanks; found if None.
        header: whether the first row names the columns; found if None.

    Returns:
        The numbers, exact, and what was read in words.

    Raises:
        FileError: the file cannot be read (also an ``OSError``).
        InputError: a field is no number, rows of unequal length, no rows, an unknown target; all are counted, the first is
            given by line and column.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = open(f"{folder}/house.csv", "w").write("rooms;area;price\\n3;71.5;210\\n4;88;300\\n2;40;150\\n")
    ...     table = read_table(f"{folder}/house.csv", "price")
    >>> table.description
    "3 rows, ';'-separated, header found, inputs: rooms, area; target: price"
    >>> table.inputs[0], table.targets[0]
    ((Decimal('3'), Decimal('71.5')), Decimal('210'))
    """
    if target is not None and not isinstance(target, str):
        raise InputTypeError("target", target, "give the name of a column, or its number as a string")
    if header is not None and not isinstance(header, bool):
        raise InputTypeError("header", header, "give True if the first row names the columns, False if not")
    text = read_table_text(path, delimiter)
    if not text.rows:
        raise InputError(text.subject, Words("holds no rows"), "give a file with one example a row")
    rows, short_header = _rectangle(text, header)
    found, why = (
        (True, "it has a name less than the rows below have fields") if short_header else _header(text, rows, header)
    )
    names = rows.pop(0)[1] if found else [""] * len(rows[0][1])
    remarks = [*text.remarks, f"{'header' if found else 'no header'}: {why}"]
    if not rows:
        raise InputError(text.subject, Words("holds no rows below its header"), "give a file with one example a row")
    kept, dropped = _used_columns(names, rows, target)
    titles = [name or f"column {i}" for i, name in enumerate(names, 1)]
    remarks += [f"{shown_name(titles[column])} is no input: {reason}" for column, reason in dropped.items()]
    place = _place(text, titles, kept, target)
    inputs = [column for column in kept if column != place]
    if not inputs:
        reasons = f" ({'; '.join(remarks[-len(dropped) :])})" if dropped else ""
        fault = f"has no column left for an input beside the target{reasons}"
        raise InputError(text.subject, Words(fault), "give two columns at least, or say what separates the fields")
    remarks += _repeated([titles[column] for column in (*inputs, place)])
    numbers = _numbers(text, rows, titles, [*inputs, place])
    columns = tuple(titles[column] for column in inputs)
    description = (
        f"{len(rows):,} row{'s' if len(rows) > 1 else ''}, {text.separated}, {'header found' if found else 'no header'}, "
        f"{'inputs' if len(columns) > 1 else 'input'}: {listed(columns)}; target: {cut(titles[place], 40)}"
    )  # fmt: skip
    return Table(
        Path(fspath(path)).name, text.checksum, columns, titles[place], tuple(row[:-1] for row in numbers),
        tuple(row[-1] for row in numbers), description, tuple(remarks),
    )  # fmt: skip


def listed(names: Sequence[str]) -> str:
    """Names of columns in words: all, or the first and the last of many.

    >>> listed(["a", "b, cm"]), listed([f"x{i}" for i in range(1, 61)])[-30:]
    ("a, 'b, cm'", 'x18, x19, ..., x60 (60 in all)')
    """
    short = [cut(repr(name) if "," in name or ";" in name else name, 40) for name in names]
    if len(short) <= _LISTED:
        return ", ".join(short)
    return f"{', '.join(short[: _LISTED - 1])}, ..., {short[-1]} ({len(short)} in all)"


def _rectangle(text: TableText, header: bool | None) -> tuple[list[Row], bool]:
    """Rows of equal length; whether the first has a name less, as R writes it where the rows have names.

    An empty field after the last delimiter of every row is taken off.
    """
    rows = text.rows
    width = max(len(fields) for _, fields in rows)
    ends = [fields for _, fields in rows if len(fields) == width]
    if width > 1 and len(ends) >= len(rows) - 1 and not any(fields[-1] for fields in ends):
        rows = [(line, fields[: width - 1]) for line, fields in rows]
        width -= 1
        text.remarks.append("every row ends with a delimiter")
    below = rows[1:]
    if len(rows[0][1]) == width - 1 and below and header is not False and all(len(row[1]) == width for row in below):
        return [(rows[0][0], ["", *rows[0][1]]), *below], True
    first = len(rows[0][1])
    wrong = [(line, len(fields)) for line, fields in rows if len(fields) != first]
    if wrong:
        many = f"{len(wrong):,} rows" if len(wrong) > 1 else "a row"
        others = "".join(f", line {line} has {count}" for line, count in wrong[1:4]) + (
            ", ..." if len(wrong) > 4 else ""
        )
        fault = (
            f"({text.separated}) has {many} with another number of fields than the first, which has {first}: "
            f"line {wrong[0][0]} has {wrong[0][1]}{others}"
        )
        raise InputError(text.subject, Words(fault), "mend or delete them, or say what separates the fields")
    return rows, False


def _header(text: TableText, rows: Sequence[Row], header: bool | None) -> tuple[bool, str]:
    """Whether the first row names the columns, and how that is known."""
    line, first = rows[0]
    if header is not None:
        return header, f"line {line} names the columns, as was said" if header else "as was said"
    columns = list(zip(*(fields for _, fields in rows[1:]))) or [()] * len(first)
    name = next((name for name, values in zip(first, columns) if _is_name(name, values)), None)
    counted = [i for i, field in enumerate(first) if number(field) is not None]
    # one field that is no number may be a slip in an example; beside numbers that look like names there have to be two
    enough = not counted or len(first) - len(counted) > 1
    if name is not None and enough and all(_is_unlike(first[i], columns[i]) for i in counted):
        return True, f"line {line} names the columns, as {shown_name(name)} is no number"
    if name is not None or _may_be_names(first, columns):
        fault = f"is needed: the first row of {text.subject}, {cut(', '.join(first), 60)}, may name the columns or be an example"
        raise InputError("header", Words(fault), "give True if it names them, False if it is an example")
    return False, f"line {line} is taken as an example, as no field of it is a name"


def _is_name(field: str, values: Sequence[str]) -> bool:
    """Whether a field of the first row can only be a name: neither a number, however written, nor met again below.

    5m, 10 % or 2020-01 is a name above numbers.
    """
    if not is_number_like(field):
        return field not in values
    below = {kind_of(value) for value in values} if kind_of(field) in ("date", "unit", "percent") else set()
    return bool(below) and below <= {"number", "missing"}


def _is_unlike(field: str, values: Sequence[str]) -> bool:
    """Whether a number of the first row looks like a name: whole, and beyond all below it or above fractions or text."""
    if not re.fullmatch("[0-9]{1,9}", field):
        return False
    below = [found for found in map(number, values) if found is not None]
    outside = bool(below) and not min(below) <= int(field) <= max(below)
    return outside or any(not re.fullmatch("[+-]?[0-9]+", value) for value in values)


def _may_be_names(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether a first row of numbers may be meant as names: different whole numbers that count, or unlike all below them.

    A blank before them is the missing name of an index.
    """
    named = [i for i, name in enumerate(first) if name or i]
    if len(named) < 2 or not all(re.fullmatch("[0-9]{1,9}", first[i]) for i in named):
        return False
    values = [int(first[i]) for i in named]
    if len(set(values)) < len(values):
        return False
    counts = len(values) > 2 and values == list(range(values[0], values[0] + len(values)))
    return not first[0] or counts or all(_is_unlike(first[i], columns[i]) for i in named)


def _used_columns(names: Sequence[str], rows: Sequence[Row], target: str | None) -> tuple[list[int], dict[int, str]]:
    """Columns that may be inputs, and the others with the reason."""
    kept, dropped = [], {}
    for i, name in enumerate(names):
        values = [fields[i] for _, fields in rows]
        asked = target is not None and target in (name, str(i + 1))
        reason = None if asked else _empty(name, values) or _index(i, name, values, any(names))
        if reason is None:
            kept.append(i)
        else:
            dropped[i] = reason
    return kept, dropped


def _empty(name: str, values: Sequence[str]) -> str | None:
    return "it has no name and nothing in it" if not name and not any(values) else None


def _index(place: int, name: str, values: Sequence[str], named: bool) -> str | None:
    """Why a column only numbers or names the rows; None if it does not. ``named``: do others have names?"""
    whole = all(re.fullmatch("[0-9]{1,18}", value) for value in values)
    texts = not any(map(is_number_like, values))
    counts = whole and [int(value) for value in values] in (
        list(range(len(values))),
        list(range(1, len(values) + 1)),
    )
    different = (whole or texts) and len(set(values)) == len(values)
    if len(values) < 2:
        return None
    if not name:
        if counts:
            return "it has no name and counts the rows (give it a name to make it one)"
        if place == 0 and different and (texts or named):
            return f"it has no name and {'names' if texts else 'numbers'} the rows"
        return None
    called = name.casefold()
    if _INDEX.fullmatch(called) and (counts if _COUNTING.fullmatch(called) else different):
        return f"it {'numbers' if whole else 'names'} the rows (give it another name to make it one)"
    return None


def _place(text: TableText, titles: Sequence[str], kept: Sequence[int], target: str | None) -> int:
    """The target's column."""
    if target is None:
        return kept[-1] if kept else 0
    matches = [i for i, name in enumerate(titles) if name == target]
    if len(matches) == 1:
        return matches[0]
    if re.fullmatch("[0-9]{1,9}", target) and 1 <= int(target) <= len(titles) and not matches:
        return int(target) - 1
    fault = f"is {'no' if not matches else 'more than one'} column of {text.subject}"
    raise InputError(
        "target", target, f"give one of {listed(titles)}; or its number, from 1 to {len(titles)}", fault=fault
    )


def _repeated(titles: Sequence[str]) -> list[str]:
    """Names that more than one column has."""
    many = [name for name, count in Counter(titles).items() if count > 1]
    return [f"more than one column is called {', '.join(map(shown_name, many[:5]))}"] if many else []


def _numbers(
    text: TableText, rows: Sequence[Row], titles: Sequence[str], columns: Sequence[int]
) -> list[tuple[Decimal, ...]]:
    """The numbers of these columns; what is none is counted and refused."""
    fields = [(line, [row[column] for column in columns]) for line, row in rows]
    values = [tuple([value for value in map(number, row) if value is not None]) for _, row in fields]
    if any(len(row) < len(columns) for row in values):
        count, kinds = census(fields, [titles[column] for column in columns])
        fault = f"({text.separated}) has {count:,} field{'s' if count > 1 else ''} that {'are' if count > 1 else 'is'} no number"
        raise InputError(text.subject, Words(fault), kinds)
    return values
