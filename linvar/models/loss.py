"""Any loss of one example that is a polynomial in the weights."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from linvar.errors import InputError, Words, cut
from linvar.exact import Exact, Matrix, Rational
from linvar.laws.law import Law, show
from linvar.models.function import Function
from linvar.models.model import Model
from linvar.plain_data import Plain, ProblemFileError, plain
from linvar.trees import Shape, Structure, entries_of, to_plain

if TYPE_CHECKING:
    from jaxtyping import PyTree

    from linvar.flint import fmpq
    from linvar.tracing.program import Program


@dataclass(frozen=True)
class LossModel(Model):
    """The loss of ONE example, loss(params, example), written in JAX.

    Attributes:
        function: the loss.
        structure: of the weights.
    """

    function: Function
    structure: Structure | None = None

    def fitted(self, weights: Any) -> tuple[LossModel, tuple[Matrix, ...]]:
        """The loss of weights of this structure; each leaf as a matrix whose rows are its last axis."""
        structure, entries = Structure.of(weights, "weights")
        leaves = tuple(
            tuple(part[i : i + width] for i in range(0, len(part), width))
            for part, width in zip(entries, map(_row, structure.shapes))
        )
        return replace(self, structure=structure), leaves

    @property
    def shape(self) -> Structure:
        """The structure of the weights it was fitted to."""
        if self.structure is None:
            raise InputError("model", Words("has no weights yet"), "give it to a Problem")
        return self.structure

    def tree(self, entries: Sequence[Any], leaves: tuple[Matrix, ...]) -> PyTree:
        """Entries in the structure of the weights."""
        return self.shape.nested(entries)

    def tree_of_leaves(self, leaves: Sequence[Any]) -> PyTree:
        """One value for each leaf in the structure of the weights."""
        return self.shape.unflatten(leaves)

    def leaf_text(self, place: int, leaf: Matrix) -> str:
        """In its own shape: that of a number, a list, an array of several axes."""
        entries = iter([entry for row in leaf for entry in row])

        def nested(shape: Shape) -> str:
            """The next entries in lists of lists."""
            return f"[{', '.join(nested(shape[1:]) for _ in range(shape[0]))}]" if shape else show(next(entries))

        return nested(self.shape.shapes[place])

    def argument_text(self) -> str:
        """The loss."""
        return f"loss={self.function!r}"

    def to_dict(self) -> dict[str, Plain]:
        """Its name, and arguments that it takes.

        Raises:
            ProblemFileError: it has no name in a module, or an argument is no number, text or list of them.
        """
        arguments = {key: _written(value, f"loss_arguments.{key}") for key, value in self.function.arguments}
        return {"loss": self.function.name, **({"loss_arguments": arguments} if arguments else {})}

    def weights_to_plain(self, leaves: tuple[Matrix, ...]) -> Plain:
        """Dictionaries and lists."""
        return to_plain(self.shape, list(entries_of(leaves)), "weights")

    def describe(self, weights: tuple[Matrix, ...]) -> str:
        """The name of the loss, and its leaves."""
        return cut(f"loss {self.function!r} of {self.shape!r}", 120)

    def program(self, law: Law) -> Program:
        """The loss as JAX records it, on examples of a law."""
        return self.function.program(self.shape, law.structure)

    def check_law(self, weights: tuple[Matrix, ...], law: Law) -> None:
        """The loss is recorded and run on degrees: what is no polynomial is refused here, and what is not what it was."""
        self.program(law)
        reading(self, law)

    def degree(self, weights: tuple[Matrix, ...], law: Law) -> int:
        """In the weights; more than the true one only if leading terms cancel."""
        return reading(self, law).degree

    def by_second_moments(self, weights: tuple[Matrix, ...], law: Law) -> bool:
        """Of degree 2 at most, even, and 0 at 0: at random integers, which miss a loss that is not with probability 2^-30."""
        degree, draws = reading(self, law).in_example, random.Random(0)
        if degree is None or degree > 2:
            return False
        program, count, width = self.program(law), sum(self.shape.sizes), sum(law.structure.sizes)
        w, z = ([Rational(draws.randint(1, 2**40)) for _ in range(size)] for size in (count, width))
        there, back, zero = (program.run(numbers(w), numbers([Rational(k * e) for e in z])) for k in (1, -1, 0))
        return bool(there == back and zero == 0)

    def degree_in_example(self, weights: tuple[Matrix, ...], law: Law) -> int:
        """As it is read; 2 where examples are read one by one."""
        found = reading(self, law).in_example
        return 2 if found is None else found


@dataclass(frozen=True)
class Reading:
    """How a loss reads an example.

    Attributes:
        degree: of the loss in the weights.
        in_example: its degree in the coordinates of an example; None where examples must be given, one by one, as numbers.
        terms: of the polynomial in weights and coordinates, at most; where examples are given, in the weights.
    """

    degree: int
    in_example: int | None
    terms: int


@lru_cache(maxsize=16)
def reading(model: LossModel, law: Law) -> Reading:
    """What the loss is on examples of a law.

    Raises:
        InputTypeError: it fails, or is no polynomial in the weights; of a law that has no rows, nor in the example.
    """
    from linvar.tracing.values import NotPolynomialError

    program = model.program(law)
    try:
        found = program.degrees()
    except NotPolynomialError:
        rows = law.examples
        if rows is None:
            raise
        known = [program.degrees(numbers(row)) for row in dict.fromkeys(rows)]
        return Reading(max(one.weights for one in known), None, max(one.terms for one in known))
    return Reading(found.weights, found.example, found.terms)


def numbers(example: Sequence[Exact]) -> list[fmpq]:
    """An example as known entries."""
    from linvar.flint import fmpq

    return [fmpq(entry.numerator, entry.denominator) for entry in example if isinstance(entry, Rational)]


def _written(value: Any, name: str) -> Plain:
    """An argument: true, false, text as it is; integers and fractions exact; tuples of them as lists."""
    if isinstance(value, tuple):
        return [_written(part, f"{name}[{place}]") for place, part in enumerate(value)]
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, Rational)):
        return plain(Rational(value))
    cure = "bind integers, fractions, text and tuples of them, or keep the problem with pickle"
    raise ProblemFileError(name, value, cure, fault=f"is of type {type(value).__name__}")


def _row(shape: Shape) -> int:
    """The length of the last axis."""
    return shape[-1] if shape else 1
