"""Tables of numbers: the diabetes data, or a user's CSV file, read with care."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from linvar.datasets import MissingExtraError


@dataclass(frozen=True, eq=False)
class Table:
    """Inputs and one target, columns of mean 0 and variance 1.

    Attributes:
        name: where it comes from.
        checksum: SHA-256 of the file's bytes, or of the array's.
        columns: names of the inputs.
        target: name of the target.
        inputs: (n, d).
        targets: (n,).
        skipped: numbers of the lines that held nothing, or a comment.
    """

    name: str
    checksum: str
    columns: list[str]
    target: str
    inputs: np.ndarray
    targets: np.ndarray
    skipped: list[int]

    def split(self, seed: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Training and test rows, four to one, shuffled by the seed."""
        order = np.random.default_rng(seed).permutation(len(self.targets))
        cut = max(2, len(order) * 4 // 5)
        return tuple((self.inputs[rows], self.targets[rows]) for rows in (order[:cut], order[cut:]))  # type: ignore[return-value]


def diabetes_table() -> Table:
    """The diabetes data of scikit-learn: 442 patients, 10 inputs."""
    try:
        from sklearn.datasets import load_diabetes
    except ImportError as error:
        raise MissingExtraError(
            'the diabetes data come with scikit-learn, which is not installed: pip install "linvar[data]"'
        ) from error
    found = load_diabetes()
    digest = hashlib.sha256(found.data.tobytes() + found.target.tobytes()).hexdigest()
    return _table("the diabetes data", digest, list(found.feature_names), "progression", found.data, found.target, [])


def read_table(path: str | Path, target: str | None = None) -> Table:
    """A CSV file: a header or none, one example a row, numbers only, the target one of the columns.

    Empty lines, lines of empty fields and lines that start with # are passed over. A header is a first row that is not all
    numbers; a blank name becomes "column 3".

    Args:
        path: the file.
        target: the column to predict, by name or, from 1 on, by number; the last one if None.

    Raises:
        OSError: the file cannot be read.
        ValueError: a field is not a number, a row has another length, too few rows, a column that does not vary, an unknown
            target; the message has the line and the column.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise type(error)(
            f"cannot read the table {str(path)!r}: {error.strerror}: give the path of a CSV file"
        ) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{str(path)!r} is not UTF-8 text (byte {error.start}): save it as CSV in UTF-8") from error
    rows, skipped = [], []
    for line, row in _rows(text):
        if not any(field.strip() for field in row) or row[0].lstrip().startswith("#"):
            skipped.append(line)
        else:
            rows.append((line, [field.strip() for field in row]))
    if not rows:
        raise ValueError(f"{str(path)!r} holds no rows: give a CSV file with one example a row")
    header = [f"column {i}" for i in range(1, len(rows[0][1]) + 1)]
    if any(_number(field) is None for field in rows[0][1]):
        header = [name or f"column {i}" for i, name in enumerate(rows.pop(0)[1], 1)]
    values = np.asarray([_values(path, header, line, row) for line, row in rows], "float64").reshape(
        len(rows), len(header)
    )
    if len(header) < 2 or len(values) < 5:
        raise ValueError(
            f"{str(path)!r} has {len(values)} rows and {len(header)} columns: give at least 5 rows, an input and a target"
        )
    place = _place(path, header, target)
    for column, name in enumerate(header):
        if np.ptp(values[:, column]) == 0:
            raise ValueError(
                f"{str(path)!r}, column {column + 1} ({name}) has the same number in every row: leave it out"
            )
    inputs = [i for i in range(len(header)) if i != place]
    digest = hashlib.sha256(data).hexdigest()
    return _table(
        Path(path).name,
        digest,
        [header[i] for i in inputs],
        header[place],
        values[:, inputs],
        values[:, place],
        skipped,
    )


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Line numbers and fields; comma, semicolon or tab, whichever the first line has most of."""
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")), "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [(reader.line_num, row) for row in reader]


def _number(field: str) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None


def _values(path: Any, header: list[str], line: int, row: list[str]) -> list[float]:
    """One row's numbers."""
    if len(row) != len(header):
        raise ValueError(
            f"{str(path)!r}, line {line} has {len(row)} fields where the first row has {len(header)}: mend or delete it"
        )
    values = [_number(field) for field in row]
    for column, (value, field) in enumerate(zip(values, row), 1):
        if value is None or not np.isfinite(value):
            raise ValueError(
                f"{str(path)!r}, line {line}, column {column} ({header[column - 1]}): {field!r} is not a finite number"
            )
    return values  # type: ignore[return-value]


def _place(path: Any, header: list[str], target: str | None) -> int:
    """The target's column."""
    if target is None:
        return len(header) - 1
    matches = [i for i, name in enumerate(header) if name == target]
    if len(matches) == 1:
        return matches[0]
    if target.isdecimal() and 1 <= int(target) <= len(header) and not matches:
        return int(target) - 1
    raise ValueError(
        f"target={target!r} is {'no' if not matches else 'more than one'} column of {str(path)!r}: {', '.join(header)}"
    )


def _table(
    name: str, digest: str, columns: list[str], target: str, inputs: Any, targets: Any, skipped: list[int]
) -> Table:
    """Columns of mean 0 and variance 1 (divisor n)."""
    inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    targets = (targets - targets.mean()) / targets.std()
    return Table(name, digest, columns, target, inputs, targets, skipped)
