"""A finite data set: an example is one of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from linvar.errors import cut
from linvar.exact import Matrix, Rational
from linvar.keywords import door
from linvar.laws.law import Law, ReadTable
from linvar.laws.rows import Rows, checked, read_rows
from linvar.plain_data import Plain, built
from linvar.trees import Structure


@dataclass(frozen=True, eq=True, init=False)
class Dataset(Rows):
    """A finite data set: an example is one of n rows, each with probability 1/n.

    Coordinates of the exact half: z = (x, y). ``Dataset(rows)``, without targets, is for losses (``Problem(loss=...)``): an
    example is a row, any pytree of exact numbers, all of one structure. A leaf that is an integer in every row is one, and may
    index: rows (user, item, rating) and ``params["U"][user]``; a list is an array.

    Args:
        inputs: n rows of d_0 exact numbers: lists, an array or a table (a pandas DataFrame) of them; or n rows of any structure.
        targets: n rows of d_L exact numbers; or n numbers, read as one column: a list, an array, a Series.

    An array or a column of truth values counts as 0 and 1.

    Raises:
        TypeError: an entry is a float or not a number (round real data openly: ``linvar.rationalize``, or
            ``Problem.from_arrays``), a column is text, dates or categories, or rows have no order.
        ValueError: no rows, rows of unequal length, a different number of inputs and targets, masked or missing
            entries, or symbols.

    >>> Dataset(inputs=[[1, 2], [0, 1], [1, 1]], targets=[1, 0, "1/2"])
    Dataset(3 examples, 2 inputs, 1 target)
    >>> Dataset([(0, 1, "1/2"), (2, 0, 3)])
    Dataset(2 rows of 0, 1, 2)
    """

    inputs: Matrix
    targets: Matrix
    row: Structure | None

    kind = "dataset"
    keys = ("inputs", "targets")

    @door
    def __init__(self, inputs: Any, targets: Any = None) -> None:
        x, y, row = checked(inputs, targets)
        for name, value in (("inputs", x), ("targets", y), ("row", row)):
            object.__setattr__(self, name, value)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Of all rows: worked out once."""
        return hash((self.inputs, self.targets, self.row))

    def __repr__(self) -> str:
        if self.row is not None:
            return f"Dataset({self.size} rows of {cut(repr(self.row), 80)})"
        many = "" if self.target_width == 1 else "s"
        return f"Dataset({self.size} examples, {self.input_width} inputs, {self.target_width} target{many})"

    @property
    def size(self) -> int:
        """n, the number of examples."""
        return len(self.inputs)

    @property
    def shares(self) -> tuple[Rational, ...]:
        """1/n each."""
        return (Rational(1, self.size),) * self.size

    def relabelled(self, rows: Matrix) -> Dataset:
        """Other rows."""
        return Dataset(rows, ((0,),) * len(rows))

    def with_constant(self) -> Dataset:
        """A column of 1."""
        return Dataset(self.inputs_and_one, self.targets)

    def with_numbers(self, values: Sequence[Rational]) -> Dataset:
        """Other rows."""
        return Dataset(*self.refilled(iter(values)))

    def to_dict(self) -> dict[str, Plain]:
        """Its rows.

        >>> Dataset(inputs=[[1, 2]], targets=["1/2"]).to_dict()
        {'kind': 'dataset', 'inputs': [[1, 2]], 'targets': [['1/2']]}
        """
        return {"kind": self.kind, **self.rows_to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Plain], table: ReadTable) -> Law:
        """Rows, or those of a table, ``file``."""
        if "file" in data:
            return table(data)
        inputs, targets = read_rows(data, cls.keys, 'or "file" and "target", for a table')
        return built(lambda: cls(inputs, targets), "law.", (*cls.keys, "rows"))


_: type[Law] = Dataset
