"""Laws of finitely many examples, kept as rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from math import lcm
from operator import add
from typing import Any

from linvar.errors import InputError, Words, cut
from linvar.exact import Exact, Matrix, Rational, Vector, exact_column, exact_matrix, free_symbols, ordered
from linvar.laws.law import Law, Number, filled
from linvar.plain_data import Plain, check_keys, plain, read_list, read_matrix, read_vector
from linvar.trees import Structure, check_same, from_plain, to_plain


class Rows(Law):
    """An example is one of some rows (x, y).

    Attributes:
        inputs: rows of d_0 numbers.
        targets: as many rows of d_L numbers; of none where a row is an example of another structure.
        row: that structure; None where an example is (x, y).
    """

    inputs: Matrix
    targets: Matrix
    row: Structure | None

    @property
    def input_width(self) -> int:
        """d_0."""
        return len(self.inputs[0])

    @property
    def target_width(self) -> int:
        """d_L."""
        return len(self.targets[0])

    def misfit(self, inputs: int, outputs: int) -> InputError:
        """The widths of both, or that rows are no pairs."""
        if self.row is not None:
            return InputError("the data set", Words("has no targets"), "give targets, or the loss= that takes its rows")
        widths = f"{self.input_width} inputs and {self.target_width} targets"
        fault = Words(f"has {widths}, but the network maps {inputs} inputs to {outputs} outputs")
        return InputError("the data set", fault, "change inputs, targets or weights")

    @property
    def examples(self) -> tuple[Vector, ...]:
        """The rows, inputs then targets."""
        return tuple(map(add, self.inputs, self.targets))

    @property
    def structure(self) -> Structure:
        """That of a row, or (x, y)."""
        return Structure.pair(self.input_width, self.target_width) if self.row is None else self.row

    @property
    def inputs_and_one(self) -> Matrix:
        """The inputs with a column of 1."""
        return tuple((*row, Rational(1)) for row in self.inputs)

    def rows_to_dict(self) -> dict[str, Plain]:
        """The rows in a problem file."""
        if self.row is not None:
            return {"rows": [to_plain(self.row, row, "law.rows") for row in self.inputs]}
        return {"inputs": plain(self.inputs), "targets": plain(self.targets)}

    def numbers_to_vary(self) -> tuple[Number, ...]:
        """The rows: inputs first, then targets; integers that may index are fixed."""
        inside = zip(self.structure.whole, self.structure.sizes)
        whole = [known for known, size in inside for _ in range(size)]
        inputs = [Number("inputs", e, fixed=known) for row in self.inputs for e, known in zip(row, whole)]
        return (*inputs, *(Number("targets", e) for row in self.targets for e in row))

    def refilled(self, rest: Iterator[Rational]) -> tuple[Any, Any]:
        """Inputs and targets, as they are given, with the next numbers in their places."""
        inputs, targets = filled(self.inputs, rest), filled(self.targets, rest)
        return (inputs, targets) if self.row is None else (list(map(self.row.nested, inputs)), None)

    @cached_property
    def integers(self) -> tuple[int, list[list[int]]]:
        """A common denominator of all entries, and the rows z_i = (x_i, y_i) times it."""
        scale = lcm(*{entry.denominator for row in chain(self.inputs, self.targets) for entry in row})
        rows = map(chain, self.inputs, self.targets)
        return scale, [[entry.numerator * (scale // entry.denominator) for entry in row] for row in rows]


def checked(inputs: Any, targets: Any) -> tuple[Matrix, Matrix, Structure | None]:
    """Inputs and targets, or rows of any structure, and that.

    Raises:
        InputTypeError, InputError: as ``checked_rows`` and ``checked_trees``.
    """
    if targets is not None:
        return (*checked_rows(inputs, targets), None)
    row, entries = checked_trees(inputs)
    return entries, ((),) * len(entries), row


def read_rows(
    data: Mapping[str, Plain], keys: Sequence[str], else_: str = "", further: Sequence[str] = ()
) -> tuple[Any, Any]:
    """Rows of a problem file: inputs and targets (which may be one column, a list of numbers), or rows of any structure.

    Raises:
        ProblemFileError: a key is unknown or missing, or its value is not accepted.
    """
    if "rows" in data:
        check_keys(data, "law.", ("kind", "rows", *further), ("rows", *further))
        rows = enumerate(read_list(data["rows"], "law.rows"))
        return [from_plain(row, f"law.rows[{place}]") for place, row in rows], None
    check_keys(data, "law.", ("kind", *keys, *further), (*keys, *further), else_)
    inputs = read_matrix(data["inputs"], "law.inputs")
    raw = read_list(data["targets"], "law.targets")
    several = any(isinstance(row, (list, tuple)) for row in raw)
    return inputs, read_matrix(raw, "law.targets") if several else read_vector(raw, "law.targets")


def checked_rows(inputs: Any, targets: Any) -> tuple[Matrix, Matrix]:
    """Rows of numbers, as many inputs as targets.

    Raises:
        InputTypeError: an entry is a float or no number.
        InputError: no rows, rows of unequal length, a different number of inputs and targets, or symbols.
    """
    x = exact_matrix(inputs, "inputs")
    y = exact_column(targets, "targets")
    if len(x) != len(y):
        fault = Words(f"has {len(x)} rows and targets has {len(y)}")
        raise InputError("inputs", fault, "give one target row per input row")
    for name, matrix in (("inputs", x), ("targets", y)):
        if symbols := free_symbols(chain.from_iterable(matrix)):
            fault = Words(f"contain symbols ({cut(', '.join(map(str, symbols)), 60)})")
            raise InputError(name, fault, "a data set is numbers; weights and learning rate may be symbolic")
    return x, y


def checked_trees(rows: Any) -> tuple[Structure, Matrix]:
    """Rows that are pytrees of one structure: that, and the entries of each row.

    Raises:
        InputTypeError: an entry is a float or no number, a row has another structure than the first.
        InputError: no rows, or symbols.
    """
    found = [
        Structure.of(row, f"rows[{place}]") for place, row in enumerate(ordered(rows, "rows", "give a list of rows"))
    ]
    if not found:
        raise InputError("rows", Words("is empty"), "give at least one row")
    first = found[0][0]
    for place, (structure, _) in enumerate(found):
        check_same(first, structure, f"rows[{place}]")
    entries = tuple(tuple(chain.from_iterable(leaves)) for _, leaves in found)
    if symbols := free_symbols(chain.from_iterable(entries)):
        fault = Words(f"contain symbols ({cut(', '.join(map(str, symbols)), 60)})")
        raise InputError("rows", fault, "a data set is numbers; weights and learning rate may be symbolic")
    columns = [list(chain.from_iterable(leaves[place] for _, leaves in found)) for place in range(len(first.shapes))]
    return replace(first, whole=tuple(map(_whole, columns))), entries


def _whole(entries: Sequence[Exact]) -> bool:
    """Whether all are integers that JAX holds in 32 bits."""
    return all(isinstance(entry, Rational) and entry.denominator == 1 and abs(entry) < 2**31 for entry in entries)
