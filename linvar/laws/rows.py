"""Laws of finitely many examples, kept as rows."""

from __future__ import annotations

from functools import cached_property
from itertools import chain
from math import lcm
from typing import Any

from linvar.errors import InputError, Words, cut
from linvar.exact import Matrix, exact_column, exact_matrix, free_symbols
from linvar.laws.law import Law, Number


class Rows(Law):
    """An example is one of some rows (x, y).

    Attributes:
        inputs: rows of d_0 numbers.
        targets: as many rows of d_L numbers.
    """

    inputs: Matrix
    targets: Matrix

    @property
    def input_width(self) -> int:
        """d_0."""
        return len(self.inputs[0])

    @property
    def target_width(self) -> int:
        """d_L."""
        return len(self.targets[0])

    def misfit(self, inputs: int, outputs: int) -> InputError:
        """The widths of both."""
        widths = f"{self.input_width} inputs and {self.target_width} targets"
        fault = Words(f"has {widths}, but the network maps {inputs} inputs to {outputs} outputs")
        return InputError("the data set", fault, "change inputs, targets or weights")

    def numbers_to_vary(self) -> tuple[Number, ...]:
        """The rows: inputs first, then targets."""
        parts = (("inputs", self.inputs), ("targets", self.targets))
        return tuple(Number(part, entry) for part, matrix in parts for row in matrix for entry in row)

    @cached_property
    def integers(self) -> tuple[int, list[list[int]]]:
        """A common denominator of all entries, and the rows z_i = (x_i, y_i) times it."""
        scale = lcm(*{entry.denominator for row in chain(self.inputs, self.targets) for entry in row})
        rows = map(chain, self.inputs, self.targets)
        return scale, [[entry.numerator * (scale // entry.denominator) for entry in row] for row in rows]


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
