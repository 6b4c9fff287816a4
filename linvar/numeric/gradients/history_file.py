"""A history of noise as plain data, JSON or CSV: every number comes back as it was, NaN and infinities too.

What is read is matched column by column: steps that increase, counts, and numbers by a pattern. Nothing is evaluated.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from linvar.atomic import write_atomically
from linvar.errors import InputError, InputTypeError, Words, cut, shown
from linvar.numeric.gradients.history_rows import BLOCKS, HEAD, Rows, Saved, ratio
from linvar.plain_data import Object, parse_json, quoted, to_json
from linvar.text_files import FileError, checked_path, read_text

_FORMAT = "linvar noise history 1"
#: the longest file that is read, in bytes
_LARGEST = 2**30
#: whole numbers >= 0, or NaN where not known
_WHOLE = ("step", "batch_size", "count", "skipped", "cancelled")
#: what is known of every entry
_KNOWN = ("step", "skipped", "cancelled")
#: columns of a CSV file that follow from others, for its other readers
_FOLLOWING = ("noise_scale", "trace", "squared_mean")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf|nan", re.ASCII)
_CURE = "give what NoiseHistory wrote"


def to_plain(rows: Rows) -> Saved:
    """A list a column; blocks of which nothing is known are left out."""
    data: Saved = {"format": _FORMAT}
    data |= {name: [_plain(x) for x in rows.column(name)] for name in HEAD}
    for name in _blocks(rows):
        data[name] = {leaf: [_plain(x) for x in own] for leaf, own in zip(rows.names, rows.block(name).T)}
    return data


def from_plain(data: object) -> Rows:
    """The inverse, checked."""
    if not isinstance(data, Mapping):
        raise InputTypeError("data", data, "give what NoiseHistory.to_dict returns")
    if data.get("format") != _FORMAT:
        raise InputError("format", data.get("format"), f'give data with "format": "{_FORMAT}"')
    for part in (data, *(data[name] for name in BLOCKS if name in data)):
        if not isinstance(part, Mapping):
            raise InputTypeError("data", Words("has a block that is no object"), _CURE)
        if isinstance(part, Object) and part.duplicate is not None:
            raise InputError(cut(part.duplicate), Words("is given twice"), "keep one of them")
    unknown = [str(key) for key in data if key not in ("format", *HEAD, *BLOCKS)]
    missing = [name for name in (*HEAD, *BLOCKS[:2]) if name not in data]
    if unknown or missing:
        fault = f"has the unknown key {shown(unknown[0])}" if unknown else f"has no key {missing[0]}"
        raise InputError("data", Words(fault), _CURE)
    names = tuple(data[BLOCKS[0]])
    for name in names:
        if not isinstance(name, str):
            raise InputTypeError(
                BLOCKS[0], Words(f"has the leaf {shown(name)}"), "give names of leaves, which are strings"
            )
    for name in BLOCKS:
        if name in data and tuple(data[name]) != names:
            raise InputError(name, Words("has other leaves than trace"), _CURE)
    return _rows(names, lambda name: data[name], lambda name, leaf: data[name][leaf] if name in data else None)


def _rows(names: tuple[str, ...], head: Callable[[str], object], of_leaf: Callable[[str, str], object | None]) -> Rows:
    """The table of columns that are read one by one; None where there is none."""
    for leaf in names:
        if not leaf.isprintable():
            raise InputError("data", Words(f"has the leaf {quoted(leaf)}, which cannot be printed"), _CURE)
    columns = [_column(head(name), name) for name in HEAD]
    for name in BLOCKS:
        for leaf in names:
            given = of_leaf(name, leaf)
            columns.append(
                np.full(len(columns[0]), np.nan) if given is None else _column(given, f"{name}[{shown(leaf)}]")
            )
    for column in columns:
        if len(column) != len(columns[0]):
            raise InputError("data", Words("has columns of different lengths"), _CURE)
    if len(columns[0]) and not names:
        raise InputError("data", Words("has entries without a leaf"), _CURE)
    _check_head(dict(zip(HEAD, columns)))
    return Rows(names, np.stack(columns, axis=1))


def _check_head(columns: dict[str, np.ndarray]) -> None:
    """Whole numbers, known where they have to be, and steps that increase."""
    for name in _WHOLE:
        column = columns[name]
        known = column[~np.isnan(column)] if name not in _KNOWN else column
        wrong = ~((known >= (name == "batch_size")) & (known == np.floor(known)) & (known < 2**53))
        if wrong.any():
            raise InputError(name, float(known[wrong][0]), _CURE, fault="is no whole number that it may be")
    if (np.diff(columns["step"]) <= 0).any():
        place = int(np.argmax(np.diff(columns["step"]) <= 0)) + 1
        raise InputError(f"step[{place}]", int(columns["step"][place]), _CURE, fault="is not after the one before")


def _column(given: object, name: str) -> np.ndarray:
    """Numbers, each by the pattern."""
    if not isinstance(given, Sequence) or isinstance(given, (str, bytes, bytearray)):
        raise InputTypeError(name, Words(f"is {quoted(given)}"), "give a list of numbers")
    return np.asarray([_number(x, f"{name}[{k}]") for k, x in enumerate(given)], "float64")


def _number(given: object, name: str) -> float:
    """A number, or text that the pattern matches."""
    text = given if isinstance(given, str) else repr(given) if type(given) in (int, float) else ""
    if not _NUMBER.fullmatch(text):
        raise InputError(name, Words(f"is {quoted(given)}, no number"), 'give a number, or "nan", "inf", "-inf"')
    number = float(text)
    if math.isinf(number) and not text.endswith("inf"):
        raise InputError(name, Words(f"is {quoted(given)}, beyond what a float holds"), _CURE)
    return number


def _plain(x: float) -> int | float | str:
    """A number that JSON has, or text."""
    x = float(x)
    if not math.isfinite(x):
        return str(x)
    return int(x) if x.is_integer() and abs(x) < 2**53 and not (x == 0 and math.copysign(1, x) < 0) else x


def _blocks(rows: Rows) -> list[str]:
    """What is known of the leaves; trace and squared mean always."""
    return [name for name in BLOCKS if name in BLOCKS[:2] or not np.isnan(rows.block(name)).all()]


def _to_csv(rows: Rows) -> str:
    """A header, then an entry a line; columns of leaves are called "trace:leaf"."""
    totals = [rows.block(name).sum(axis=1) for name in ("trace", "squared_mean")]
    columns = {
        "step": rows.column("step"),
        "noise_scale": ratio(*totals),
        "trace": totals[0],
        "squared_mean": totals[1],
    }
    columns |= {name: rows.column(name) for name in HEAD[1:]}
    for name in _blocks(rows):
        columns |= {f"{name}:{leaf}": own for leaf, own in zip(rows.names, rows.block(name).T)}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_plain(x) for x in row] for row in zip(*columns.values()))
    return text.getvalue()


def _from_csv(text: str) -> Rows:
    """The inverse, checked."""
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise InputError("it", Words(f"is no CSV ({error})"), _CURE) from None
    header, body = (lines[0], lines[1:]) if lines else ([], [])
    for k, line in enumerate(body):
        if len(line) != len(header):
            raise InputError(f"entry {k}", Words(f"has {len(line)} fields, and the header {len(header)}"), _CURE)
    if len(set(header)) != len(header):
        raise InputError("it", Words("has two columns of one name"), "keep one of them")
    names = tuple(name.removeprefix("trace:") for name in header if name.startswith("trace:"))
    known = {*HEAD, *_FOLLOWING, *(f"{name}:{leaf}" for name in BLOCKS for leaf in names)}
    unknown = [name for name in header if name not in known]
    missing = [name for name in (*HEAD, *_FOLLOWING, *(f"squared_mean:{leaf}" for leaf in names)) if name not in header]
    if unknown or missing:
        fault = f"has the unknown column {shown(unknown[0])}" if unknown else f"has no column {shown(missing[0])}"
        raise InputError("it", Words(fault), _CURE)
    columns = dict(zip(header, zip(*body))) if body else {name: () for name in header}
    rows = _rows(names, columns.__getitem__, lambda name, leaf: columns.get(f"{name}:{leaf}"))
    _check_following(rows, {name: _column(columns[name], name) for name in _FOLLOWING})
    return rows


def _check_following(rows: Rows, given: dict[str, np.ndarray]) -> None:
    """What follows from the leaves does."""
    expected = {name: rows.block(name).sum(axis=1) for name in BLOCKS[:2]}
    sizes = {name: np.abs(rows.block(name)).sum(axis=1) for name in BLOCKS[:2]}
    expected["noise_scale"] = ratio(given["trace"], given["squared_mean"])
    sizes["noise_scale"] = np.abs(expected["noise_scale"])
    for name, numbers in given.items():
        with np.errstate(all="ignore"):
            near = np.abs(numbers - expected[name]) <= 1e-12 * sizes[name]
        same = near | (numbers == expected[name]) | (np.isnan(numbers) & np.isnan(expected[name]))
        if not same.all():
            place = int(np.argmin(same))
            fault = "does not follow from the leaves"
            raise InputError(f"{name}[{place}]", float(numbers[place]), _CURE, fault=fault)


def save(rows: Rows, path: str | os.PathLike[str]) -> None:
    """By the ending of its name."""
    text = _to_csv(rows) if _ending(path) == ".csv" else to_json(to_plain(rows)) + "\n"
    write_atomically(path, text)


def load(path: str | os.PathLike[str]) -> Rows:
    """The inverse; an error names the file."""
    ending = _ending(path)
    text = read_text(path, "noise history", _LARGEST)
    try:
        return _from_csv(text) if ending == ".csv" else from_plain(parse_json(text))
    except InputError as error:
        fault, cure = error.statement, error.cure
    except RecursionError:
        fault, cure = "its brackets are nested too deeply", _CURE
    raise FileError(f"noise history {shown(os.fsdecode(path))}", Words(f"holds something else: {fault}"), cure)


def _ending(path: str | os.PathLike[str]) -> str:
    """``.csv`` or ``.json``."""
    name = checked_path(path, "path", InputError)
    ending = os.path.splitext(name)[1].lower()
    if ending not in (".csv", ".json"):
        raise InputError("path", name, "give a name that ends in .csv or .json")
    return ending
