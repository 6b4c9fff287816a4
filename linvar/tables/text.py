"""The text of a table in rows of fields: its encoding, its comments, and what separates its fields.

Every delimiter is tried with Python's ``csv``, quotes and all; the one is kept whose rows agree in their number of fields, and
of these the one whose fields look most like numbers.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from os import PathLike

from linvar.errors import InputError, Words, shown
from linvar.tables.fields import is_number_like, kind_of
from linvar.text_files import FileError, checked_path, read_regular_file

#: Largest table read, in bytes.
LARGEST = 2**28

#: What is tried, and how it is called.
DELIMITERS = {
    ",": "','-separated",
    ";": "';'-separated",
    "\t": "tab-separated",
    "|": "'|'-separated",
    " ": "separated by blanks",
}

#: Rows by which a delimiter is judged.
_JUDGED = 1_000
_ENCODINGS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_BINARY = {
    b"PK": "a spreadsheet or a ZIP archive",
    b"\x1f\x8b": "compressed",
    b"\xd0\xcf\x11\xe0": "a spreadsheet",
    b"PAR1": "a Parquet file",
}

Row = tuple[int, list[str]]


@dataclass(frozen=True)
class TableText:
    """A table as text.

    Attributes:
        subject: how messages call it: "table 'house.csv'".
        checksum: SHA-256 of the file's bytes.
        separated: by what, in words.
        rows: the number of each row's first line, and its fields without blanks around them.
        remarks: what else there is to say, a line each.
    """

    subject: str
    checksum: str
    separated: str
    rows: list[Row]
    remarks: list[str]


def read_table_text(path: str | PathLike[str], delimiter: str | None = None) -> TableText:
    """The rows of a file.

    Passed over, and said: a first line ``sep=;``, which names the delimiter; lines without a field; comments, which are lines
    that start with # above the first row, or further down with another number of fields than a row.

    Args:
        path: a regular file of at most 256 MiB; UTF-8, UTF-16 or UTF-32 with its mark, or Windows-1252.
        delimiter: what separates the fields; found if None.

    Raises:
        FileError: the file cannot be read.
        InputError: it is no text, or ``delimiter`` is none.
    """
    if delimiter is not None:
        _check_delimiter(delimiter)
    name = checked_path(path, "table")
    data = read_regular_file(name, "table", LARGEST, FileError)
    subject = f"table {shown(name)}"
    text, remarks = _decoded(data, subject)
    lines = list(io.StringIO(text, newline=""))  # ends at \n, \r\n and \r
    named = re.fullmatch(r"\s*[\"']?sep=(.)[\"']?\s*", lines[0], re.IGNORECASE) if lines else None
    start = 0
    if named:
        start = 1
        remarks.append(f"line 1 says what separates the fields: {lines[0].strip()}")
        delimiter = delimiter or named[1]
        _check_delimiter(delimiter)
    if delimiter is None:
        delimiter = max(DELIMITERS, key=lambda one: _merit(lines, start, one))
    rows, comments, empty = _sorted_rows(list(_parsed(lines, start, delimiter, subject)))
    if comments:
        remarks.append(f"passed over as comments: {_lines(comments)}")
    if empty:
        remarks.append(f"passed over, as there is nothing in them: {_lines(empty)}")
    separated = DELIMITERS.get(delimiter, f"{delimiter!r}-separated")
    return TableText(subject, hashlib.sha256(data).hexdigest(), separated, rows, remarks)


def _check_delimiter(delimiter: object) -> None:
    """One sign that is in no number, and is no quote."""
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter.isalnum() or delimiter in "\"'+-.\r\n\0":
        raise InputError("delimiter", delimiter, 'give the one sign between the fields, such as ";", or " " for blanks')


def _decoded(data: bytes, subject: str) -> tuple[str, list[str]]:
    """The text, and what there is to say of its encoding."""
    for start, what in _BINARY.items():
        if data.startswith(start):
            raise InputError(subject, Words(f"is {what}, no text"), "save it as CSV in UTF-8")
    encoding = next((name for mark, name in _ENCODINGS.items() if data.startswith(mark)), "utf-8")
    remarks = [f"read as {encoding.upper()}, by its mark"] if encoding.startswith(("utf-16", "utf-32")) else []
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            fault = Words(f"is not the {encoding.upper()} text its mark promises (byte {error.start})")
            raise InputError(subject, fault, "save it as CSV in UTF-8") from None
        # bytes that Windows-1252 does not have are not met in text; numbers are ASCII and the same in both
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            fault = Words(f"is not UTF-8 text (byte {error.start})")
            raise InputError(subject, fault, "save it as CSV in UTF-8") from None
        remarks = ["not UTF-8: read as Windows-1252 (Latin-1), which touches no number"]
    control = re.search(r"[\x00-\x08\x0b\x0e-\x1f\x7f]", text)
    if control:
        line = len(re.findall(r"\r\n?|\n", text[: control.start()])) + 1
        fault = Words(f"is no text: there is a control character, {ascii(control[0])}, in line {line}")
        raise InputError(subject, fault, "save it as CSV in UTF-8")
    return text, remarks


def _parsed(lines: Sequence[str], start: int, delimiter: str, subject: str) -> Iterator[Row]:
    """Rows of fields; comments above the first row stay whole."""
    above = start
    while above < len(lines) and (not lines[above].strip() or _is_comment(lines[above], delimiter)):
        yield above + 1, [lines[above].strip()]
        above += 1
    body: Iterator[str] = islice(lines, above, None)
    if delimiter == " ":  # runs of blanks and tabs
        body = (line.replace("\t", " ").strip(" \r\n") + "\n" for line in body)
    reader = csv.reader(body, delimiter=delimiter, skipinitialspace=True, strict=True)
    line = above
    try:
        for fields in reader:
            yield line + 1, [text.strip() for text in fields]
            line = above + reader.line_num
    except csv.Error as error:
        if "limit" in str(error):
            fault = f"has a field of more than {csv.field_size_limit():,} characters that begins in line {line + 1}"
            raise InputError(subject, Words(fault), "close a quote that is open there, or shorten it") from None
        fault = f"has quotes that do not fit together in a row that begins in line {line + 1}"
        raise InputError(subject, Words(fault), 'close each, and write a quote inside quotes as ""') from None


def _is_comment(line: str, delimiter: str) -> bool:
    """Whether a line above all rows is a comment: it starts with #, and not with a spreadsheet's #N/A."""
    return line.lstrip().startswith("#") and kind_of(line.split(delimiter)[0].strip()) != "spreadsheet"


def _sorted_rows(parsed: list[Row]) -> tuple[list[Row], list[int], list[int]]:
    """Rows, and the lines of comments and of nothing."""
    width = _width([fields for _, fields in parsed])
    rows, comments, empty = [], [], []
    for line, fields in parsed:
        if not any(fields):
            empty.append(line)
        elif fields[0].startswith("#") and len(fields) != width and kind_of(fields[0]) != "spreadsheet":
            comments.append(line)
        else:
            rows.append((line, fields))
    return rows, comments, empty


def _width(rows: Sequence[list[str]]) -> int:
    """The number of fields that most rows have."""
    counts = Counter(len(fields) for fields in rows if any(fields) and not fields[0].startswith("#"))
    return max(counts, key=lambda width: (counts[width], width), default=0)


def _merit(lines: Sequence[str], start: int, delimiter: str) -> tuple[float, float]:
    """How well a delimiter does: the share of rows that agree times the share of their fields that look like numbers."""
    parsed: list[Row] = []
    whole = 1.0
    try:
        for row in islice(_parsed(lines, start, delimiter, ""), _JUDGED):
            parsed.append(row)
    except InputError:  # quotes that do not fit together: judged by what is above them
        whole = 0.5
    rows = [fields for _, fields in _sorted_rows(parsed)[0]]
    width = _width(rows)
    if width < 2:
        return (0.0, 0.0)
    below = rows[1:] or rows  # the first row may hold names, and R leaves out the first of them
    agreeing = [fields for fields in below if len(fields) == width]
    fields = [text for row in agreeing for text in row]
    share = whole * len(agreeing) / len(below)
    return share * sum(map(is_number_like, fields)) / max(1, len(fields)), share


def _lines(numbers: Sequence[int]) -> str:
    """Line numbers in words."""
    shown_numbers = ", ".join(f"{number:,}" for number in numbers[:8])
    more = f" and {len(numbers) - 8:,} more" if len(numbers) > 8 else ""
    return f"line{'s' if len(numbers) > 1 else ''} {shown_numbers}{more}"
