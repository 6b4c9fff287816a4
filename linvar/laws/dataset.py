"""A finite data set: an example is one of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from math import lcm
from typing import TYPE_CHECKING, Any

from linvar.errors import InputError, Words, cut
from linvar.exact import Matrix, exact_column, exact_matrix, free_symbols
from linvar.laws.law import Law, ReadTable
from linvar.plain_data import Plain, built, check_keys, plain, read_list, read_matrix, read_vector

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True, eq=True, init=False)
class Dataset(Law):
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
        x = exact_matrix(inputs, "inputs")
        y = exact_column(targets, "targets")
        if len(x) != len(y):
            fault = Words(f"has {len(x)} rows and targets has {len(y)}")
            raise InputError("inputs", fault, "give one target row per input row")
        for name, matrix in (("inputs", x), ("targets", y)):
            if symbols := free_symbols(chain.from_iterable(matrix)):
                fault = Words(f"contain symbols ({cut(', '.join(map(str, symbols)), 60)})")
                raise InputError(name, fault, "a data set is numbers; weights and learning rate may be symbolic")
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

    @property
    def input_width(self) -> int:
        """d_0."""
        return len(self.inputs[0])

    @property
    def target_width(self) -> int:
        """d_L."""
        return len(self.targets[0])

    @property
    def symbols(self) -> tuple[sympy.Expr, ...]:
        """Always empty: a data set is numbers."""
        return ()

    def misfit(self, inputs: int, outputs: int) -> InputError:
        """The widths of both."""
        widths = f"{self.input_width} inputs and {self.target_width} targets"
        fault = Words(f"has {widths}, but the network maps {inputs} inputs to {outputs} outputs")
        return InputError("the data set", fault, "change inputs, targets or weights")

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

    @cached_property
    def integers(self) -> tuple[int, list[list[int]]]:
        """A common denominator of all entries, and the rows z_i times it."""
        scale = lcm(*{entry.denominator for row in chain(self.inputs, self.targets) for entry in row})
        rows = map(chain, self.inputs, self.targets)
        return scale, [[entry.numerator * (scale // entry.denominator) for entry in row] for row in rows]
