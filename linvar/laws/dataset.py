"""A finite data set: an example is one of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from linvar.exact import Matrix, Rational
from linvar.laws.law import Law, ReadTable, filled
from linvar.laws.rows import Rows, checked_rows
from linvar.plain_data import Plain, built, check_keys, plain, read_list, read_matrix, read_vector


@dataclass(frozen=True, eq=True, init=False)
class Dataset(Rows):
    """A finite data set: an example is one of n rows, each with probability 1/n.

    Coordinates of the exact half: z = (x, y).

    Args:
        inputs: n rows of d_0 exact numbers: lists, an array or a table (a pandas DataFrame) of them.
        targets: n rows of d_L exact numbers; or n numbers, read as one column: a list, an array, a Series.

    An array or a column of truth values counts as 0 and 1.

    Raises:
        TypeError: an entry is a float or not a number (round real data openly: ``linvar.rationalize``, or
            ``Problem.from_arrays``), a column is text, dates or categories, or rows have no order.
        ValueError: no rows, rows of unequal length, a different number of inputs and targets, masked or missing
            entries, or symbols.

    >>> Dataset(inputs=[[1, 2], [0, 1], [1, 1]], targets=[1, 0, "1/2"])
    Dataset(3 examples, 2 inputs, 1 target)
    """

    inputs: Matrix
    targets: Matrix

    kind = "dataset"
    keys = ("inputs", "targets")

    def __init__(self, inputs: Any, targets: Any) -> None:
        x, y = checked_rows(inputs, targets)
        object.__setattr__(self, "inputs", x)
        object.__setattr__(self, "targets", y)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Of all rows: worked out once."""
        return hash((self.inputs, self.targets))

    def __repr__(self) -> str:
        many = "" if self.target_width == 1 else "s"
        return f"Dataset({self.size} examples, {self.input_width} inputs, {self.target_width} target{many})"

    @property
    def size(self) -> int:
        """n, the number of examples."""
        return len(self.inputs)

    def with_numbers(self, values: Sequence[Rational]) -> Dataset:
        """Other rows."""
        rest = iter(values)
        return Dataset(filled(self.inputs, rest), filled(self.targets, rest))

    def to_dict(self) -> dict[str, Plain]:
        """Its rows.

        >>> Dataset(inputs=[[1, 2]], targets=["1/2"]).to_dict()
        {'kind': 'dataset', 'inputs': [[1, 2]], 'targets': [['1/2']]}
        """
        return {"kind": self.kind, "inputs": plain(self.inputs), "targets": plain(self.targets)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Plain], table: ReadTable) -> Law:
        """Rows, or those of a table, ``file``; targets may be one column, a list of numbers."""
        if "file" in data:
            return table(data)
        check_keys(data, "law.", ("kind", *cls.keys), cls.keys, 'or "file" and "target", for a table')
        inputs = read_matrix(data["inputs"], "law.inputs")
        raw = read_list(data["targets"], "law.targets")
        rows = any(isinstance(row, (list, tuple)) for row in raw)
        targets = read_matrix(raw, "law.targets") if rows else read_vector(raw, "law.targets")
        return built(lambda: cls(inputs, targets), "law.", cls.keys)


_: type[Law] = Dataset
