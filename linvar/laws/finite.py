"""Finitely many examples, each with a probability of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from linvar.exact import Matrix, Rational
from linvar.laws.law import Law, Number, ReadTable, filled, show
from linvar.laws.probabilities import checked_probabilities
from linvar.laws.rows import Rows, checked_rows
from linvar.plain_data import Plain, built, check_keys, plain, read_list, read_matrix, read_vector


@dataclass(frozen=True, eq=True, init=False)
class Finite(Rows):
    """Finitely many examples (atoms), each with a probability of its own; batches are independent draws (iid).

    With equal probabilities the law is that of a ``Dataset``, whose batches may be subsets as well.
    Coordinates of the exact half: z = (x, y).

    Args:
        inputs: rows of d_0 exact numbers, one an example.
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
    probabilities: tuple[Rational, ...]

    kind = "finite"
    keys = ("inputs", "targets", "probabilities")

    def __init__(self, inputs: Any, targets: Any, probabilities: Any) -> None:
        x, y = checked_rows(inputs, targets)
        chances = checked_probabilities(probabilities, len(x), "inputs")
        for name, value in (("inputs", x), ("targets", y), ("probabilities", chances)):
            object.__setattr__(self, name, value)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Of all rows: worked out once."""
        return hash((self.inputs, self.targets, self.probabilities))

    def __repr__(self) -> str:
        many = "" if self.target_width == 1 else "s"
        shape = f"{len(self.inputs)} examples, {self.input_width} inputs, {self.target_width} target{many}"
        if len(self.inputs) > 6:
            return f"Finite({shape})"
        return f"Finite({shape}, probabilities={show(self.probabilities)})"

    def numbers_to_vary(self) -> tuple[Number, ...]:
        """The rows, then the probabilities."""
        return (
            *super().numbers_to_vary(),
            *(Number("probabilities", chance, positive=True) for chance in self.probabilities),
        )

    def with_numbers(self, values: Sequence[Rational]) -> Finite:
        """Other rows, and probabilities in the proportions of the last numbers."""
        rest = iter(values)
        x, y, shares = filled(self.inputs, rest), filled(self.targets, rest), list(rest)
        return Finite(x, y, [share / sum(shares) for share in shares])

    def to_dict(self) -> dict[str, Plain]:
        """Rows and probabilities.

        >>> Finite([[1], [2]], [0, 1], ["1/4", "3/4"]).to_dict()["probabilities"]
        ['1/4', '3/4']
        """
        return {"kind": self.kind, **{key: plain(getattr(self, key)) for key in self.keys}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Plain], table: ReadTable) -> Law:
        """Rows and probabilities; targets may be one column, a list of numbers."""
        check_keys(data, "law.", ("kind", *cls.keys), cls.keys)
        inputs = read_matrix(data["inputs"], "law.inputs")
        raw = read_list(data["targets"], "law.targets")
        rows = any(isinstance(row, (list, tuple)) for row in raw)
        targets = read_matrix(raw, "law.targets") if rows else read_vector(raw, "law.targets")
        chances = read_vector(data["probabilities"], "law.probabilities")
        return built(lambda: cls(inputs, targets, chances), "law.", cls.keys)


_: type[Law] = Finite
