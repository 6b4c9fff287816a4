"""What is asked of the state at step t: forms whose expectations are wanted. The same for every road.

A question is static: it names forms and holds no weights, rows or function of a user, so that it may be a static argument of
``jax.jit``, and its ``key`` is the same in every process and version of linvar.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Protocol

from linvar.rings import T
from linvar.symbolic.sgd.last_step import LastStep


class Question(Protocol):
    """Frozen and hashable."""

    @property
    def name(self) -> str:
        """In a word or two."""
        ...

    def degree(self, loss: int) -> int:
        """A bound on the degree of the forms in the entries of the state, for a loss of this degree in the weights."""
        ...

    def forms(self, last: LastStep[T]) -> list[T]:
        """Polynomials in the entries of a state, in whatever ring it lives in."""
        ...

    def key(self) -> str:
        """What is asked, in a string that no other question has."""
        ...


@dataclass(frozen=True)
class Norms:
    """||gbar_l||^2, then the spread tr Cov(g_l) of one example's gradient, for each leaf or summed over all.

    Attributes:
        of: "gradient" or "update".
        per_leaf: 2 L forms, in place of two.
    """

    of: str = "gradient"
    per_leaf: bool = False
    name: str = "norms"

    def degree(self, loss: int) -> int:
        return 2 * _of_means(self.of, loss)

    def forms(self, last: LastStep[T]) -> list[T]:
        means, spreads = last.norms(self.of), last.spreads(self.of)
        return [*means, *spreads] if self.per_leaf else [sum(means[1:], means[0]), sum(spreads[1:], spreads[0])]

    def key(self) -> str:
        return f"{self.name} of the {self.of}{', per leaf' if self.per_leaf else ''}"


@dataclass(frozen=True)
class Means:
    """The entries of gbar_1, ..., gbar_L, row by row."""

    of: str = "gradient"
    name: str = "means"

    def degree(self, loss: int) -> int:
        return _of_means(self.of, loss)

    def forms(self, last: LastStep[T]) -> list[T]:
        return [entry for matrix in last.means(self.of) for row in matrix for entry in row]

    def key(self) -> str:
        return f"{self.name} of the {self.of}"


@dataclass(frozen=True)
class DoubledLoss:
    """E ||P x - y||^2 over a new example."""

    name: str = "doubled loss"

    def degree(self, loss: int) -> int:
        return loss

    def forms(self, last: LastStep[T]) -> list[T]:
        return [last.doubled_loss()]

    def key(self) -> str:
        return self.name


@dataclass(frozen=True)
class Entries:
    """The entries of W_1, ..., W_L, row by row."""

    name: str = "weights"

    def degree(self, loss: int) -> int:
        return 1

    def forms(self, last: LastStep[T]) -> list[T]:
        return last.entries

    def key(self) -> str:
        return self.name


@dataclass(frozen=True)
class Products:
    """The products of the entries i <= j of the weights."""

    name: str = "products of weights"

    def degree(self, loss: int) -> int:
        return 2

    def forms(self, last: LastStep[T]) -> list[T]:
        return [a * b for a, b in combinations_with_replacement(last.entries, 2)]

    def key(self) -> str:
        return self.name


def _of_means(of: str, loss: int) -> int:
    """The degree of the mean gradient; of an update, in which momenta and decayed weights stand, at least 1."""
    return max(1 if of == "update" else 0, loss - 1)
