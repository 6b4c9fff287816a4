"""The statement of a law: what ONE example is. It computes nothing.

Its exact twin (``linvar.symbolic.laws``) knows its moments, its numeric twin (``linvar.numeric.laws``) draws examples. A law of
the shipped kinds has three files; one of your own may be one object, ``linvar.testing.OpenLaw``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from linvar.errors import InputError, Words
from linvar.exact import Matrix, Rational, Vector
from linvar.plain_data import Plain, ProblemFileError
from linvar.trees import Structure

if TYPE_CHECKING:
    import sympy

#: reads the table that a file names in place of rows, by the keys of the file
ReadTable = Callable[[Mapping[str, Plain]], "Law"]


class Number(NamedTuple):
    """A number of a problem that may be another.

    Attributes:
        part: the argument by which it is given: "inputs", "teacher".
        value: what it is.
        positive: whether it stays positive.
        fixed: whether it stays what it is: an integer of an example that may index.
    """

    part: str
    value: Rational
    positive: bool = False
    fixed: bool = False


class Law(ABC):
    """A law of one example (x, y): its shape, its words in errors, its keys in files.

    Attributes:
        kind: its name in problem files; empty where it is not written to any.
        keys: the names of its parts, in files as in the constructor.
        symbolic: those of them whose numbers may be expressions in symbols.
    """

    kind: ClassVar[str] = ""
    keys: ClassVar[tuple[str, ...]] = ()
    symbolic: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def input_width(self) -> int:
        """d_0."""

    @property
    @abstractmethod
    def target_width(self) -> int:
        """d_L."""

    @property
    def structure(self) -> Structure:
        """The example as a loss takes it, a pytree: (x, y), of shapes (d_0,) and (d_L,); its entries are those of x, then y."""
        return Structure.pair(self.input_width, self.target_width)

    @property
    def examples(self) -> tuple[Vector, ...] | None:
        """All examples, entry by entry, where they are rows of numbers; otherwise None."""
        return None

    @property
    def shares(self) -> tuple[Rational, ...]:
        """The probability of each of ``examples``."""
        return ()

    def relabelled(self, rows: Matrix) -> Law:
        """The law of as many other examples with the same probabilities, where ``examples`` has them.

        Raises:
            InputError: it has not.
        """
        raise InputError("law", self, "give linvar.Dataset or linvar.Finite", fault="has no examples one by one")

    @property
    def size(self) -> int | None:
        """n, where an example is one of n, each with probability 1/n, and batches may be subsets of them; otherwise None."""
        return None

    @property
    def symbols(self) -> tuple[sympy.Expr, ...]:
        """SymPy symbols that occur in the law."""
        return ()

    def numbers_to_vary(self) -> tuple[Number, ...]:
        """Those of its numbers that a search may vary, to any others (positive ones where they say so); none, unless it says so.

        ``with_numbers`` of their values is the law itself.
        """
        return ()

    def with_numbers(self, values: Sequence[Rational]) -> Law:
        """The law with these in the place of its ``numbers_to_vary``, in their order.

        Raises:
            InputError: it has no numbers to vary.
        """
        if not values:
            return self
        raise InputError("law", self, "write its with_numbers, beside numbers_to_vary", fault="has no numbers to vary")

    def fitted(self, ends: tuple[int, int] | None) -> Law:
        """The law in a problem: itself, or of the shape that a network of these ends gives it where it has none.

        Args:
            ends: (d_0, d_L) of a linear network; None for a loss.
        """
        return self

    def with_constant(self) -> Law | None:
        """The law of ((x, 1), y), for networks with biases; None where it is not known, and their loss is multiplied out."""
        return None

    def misfit(self, inputs: int, outputs: int) -> InputError:
        """What is said where a network of these ends does not fit the law."""
        widths = f"{self.input_width} inputs and {self.target_width} targets"
        fault = Words(f"has {widths}, but the network maps {inputs} inputs to {outputs} outputs")
        return InputError("law", fault, "change the law or the weights")

    def to_dict(self) -> dict[str, Plain]:
        """The content of a problem file's ``law``, ``kind`` first; what has its default value is left out.

        Raises:
            ProblemFileError: no problem file holds laws of this kind.
        """
        cure = "write its to_dict and from_dict, or keep the problem with pickle (and the lattice without a checkpoint)"
        raise ProblemFileError("law", self, cure, fault="is of no kind that problem files hold")

    @classmethod
    def from_dict(cls, data: Mapping[str, Plain], table: ReadTable) -> Law:
        """The law that ``to_dict`` states, from data that are not trusted.

        Args:
            data: the ``law`` of a problem file.
            table: reads a table named there.

        Raises:
            ProblemFileError: a key is unknown, missing or given twice, or its value is not accepted; it names ``law.key``.
        """
        raise ProblemFileError(
            "law", cls.__name__, "give a law of a known kind", fault="is of no kind that problem files hold"
        )


#: entries of a matrix that are written out
_MOST_SHOWN = 100


@lru_cache(maxsize=32)
def identity(width: int) -> Matrix:
    """The identity matrix, exact."""
    return tuple(tuple(Rational(int(i == j)) for j in range(width)) for i in range(width))


def filled(matrix: Matrix, values: Iterator[Rational]) -> Matrix:
    """A matrix of the same shape, its entries the next of ``values``, row by row."""
    return tuple(tuple(next(values) for _ in row) for row in matrix)


def show(value: Any) -> str:
    """Exact entries in lists, as the user typed them; of many of them how many.

    >>> show(identity(2)), show(identity(20))
    ('[[1, 0], [0, 1]]', '<20 x 20 matrix>')
    """
    if isinstance(value, tuple):
        rows = value[0] if value and isinstance(value[0], tuple) else None
        if len(value) * (1 if rows is None else len(rows)) > _MOST_SHOWN:
            return f"<{len(value)} numbers>" if rows is None else f"<{len(value)} x {len(rows)} matrix>"
        return f"[{', '.join(show(entry) for entry in value)}]"
    text = str(value)
    return f'"{text}"' if isinstance(value, Rational) and value.denominator != 1 else text
