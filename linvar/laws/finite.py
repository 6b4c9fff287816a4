"""Finitely many examples, each with a probability of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from linvar.errors import InputTypeError, cut
from linvar.exact import Matrix, Rational
from linvar.keywords import door
from linvar.laws.law import Law, Number, ReadTable, show
from linvar.laws.probabilities import checked_probabilities
from linvar.laws.rows import Rows, checked, read_rows
from linvar.plain_data import Plain, built, plain, read_vector
from linvar.trees import Structure


@dataclass(frozen=True, eq=True, init=False)
class Finite(Rows):
    """Finitely many examples (atoms), each with a probability of its own; batches are independent draws (iid).

    With equal probabilities the law is that of a ``Dataset``, whose batches may be subsets as well.
    Coordinates of the exact half: z = (x, y).

    Args:
        inputs: rows of d_0 exact numbers, one an example; without targets, rows of any structure, as of a ``Dataset``.
        targets: as many rows of d_L exact numbers; or numbers, read as one column.
        probabilities: one positive number for each example, of sum 1.

    Raises:
        InputTypeError: an entry is a float or not a number.
        InputError: rows of unequal length, a different number of inputs, targets and probabilities, probabilities that
            are not positive or do not add up to 1.

    >>> Finite(inputs=[[1, 2], [-1, 0]], targets=[1, 3], probabilities=["1/3", "2/3"])
    Finite(2 examples, 2 inputs, 1 target, probabilities=["1/3", "2/3"])
    """

    inputs: Matrix
    targets: Matrix
    row: Structure | None
    probabilities: tuple[Rational, ...]

    kind = "finite"
    keys = ("inputs", "targets", "probabilities")

    @door
    def __init__(self, inputs: Any, targets: Any = None, probabilities: Any = None) -> None:
        if probabilities is None:
            raise InputTypeError("probabilities", None, "give them by name, probabilities=[...], one for each example")
        x, y, row = checked(inputs, targets)
        chances = checked_probabilities(probabilities, len(x), "inputs")
        for name, value in (("inputs", x), ("targets", y), ("row", row), ("probabilities", chances)):
            object.__setattr__(self, name, value)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Of all rows: worked out once."""
        return hash((self.inputs, self.targets, self.row, self.probabilities))

    def __repr__(self) -> str:
        many = "" if self.target_width == 1 else "s"
        if self.row is not None:
            return f"Finite({len(self.inputs)} rows of {cut(repr(self.row), 80)})"
        shape = f"{len(self.inputs)} examples, {self.input_width} inputs, {self.target_width} target{many}"
        if len(self.inputs) > 6:
            return f"Finite({shape})"
        return f"Finite({shape}, probabilities={show(self.probabilities)})"

    @property
    def shares(self) -> tuple[Rational, ...]:
        """The probabilities."""
        return self.probabilities

    def relabelled(self, rows: Matrix) -> Finite:
        """Other atoms of the same probabilities."""
        return Finite(rows, ((0,),) * len(rows), self.probabilities)

    def numbers_to_vary(self) -> tuple[Number, ...]:
        """The rows, then the probabilities."""
        return (
            *super().numbers_to_vary(),
            *(Number("probabilities", chance, positive=True) for chance in self.probabilities),
        )

    def with_constant(self) -> Finite:
        """A column of 1."""
        return Finite(self.inputs_and_one, self.targets, self.probabilities)

    def with_numbers(self, values: Sequence[Rational]) -> Finite:
        """Other rows, and probabilities in the proportions of the last numbers."""
        rest = iter(values)
        rows, shares = self.refilled(rest), list(rest)
        return Finite(*rows, [share / sum(shares) for share in shares])

    def to_dict(self) -> dict[str, Plain]:
        """Rows and probabilities.

        >>> Finite([[1], [2]], [0, 1], ["1/4", "3/4"]).to_dict()["probabilities"]
        ['1/4', '3/4']
        """
        return {"kind": self.kind, **self.rows_to_dict(), "probabilities": plain(self.probabilities)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Plain], table: ReadTable) -> Law:
        """Rows and probabilities."""
        inputs, targets = read_rows(data, ("inputs", "targets"), further=("probabilities",))
        chances = read_vector(data["probabilities"], "law.probabilities")
        return built(lambda: cls(inputs, targets, chances), "law.", (*cls.keys, "rows"))


_: type[Law] = Finite
