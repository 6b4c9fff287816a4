"""Steps of SGD of a polynomial loss: from any weights, and from weights that are numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from linvar.exact import Matrix, Rational
from linvar.flint import fmpq, fmpq_mat
from linvar.laws.polynomial import Places, Polynomial
from linvar.matrices import Rows, is_zero
from linvar.rings import RingLike, T
from linvar.symbolic.algebra.ring import Ring, to_fmpq, to_rational
from linvar.symbolic.models.step import MOST_VARIABLES, Coordinates

if TYPE_CHECKING:
    from linvar.symbolic.models.polynomial.model import PolynomialModel


@dataclass(frozen=True, eq=False)
class Moving:
    """A step from any weights."""

    model: PolynomialModel

    @property
    def features(self) -> tuple[Polynomial, ...]:
        return self.model.split.features

    @property
    def central(self) -> bool:
        return self.model.split.central

    @property
    def bound(self) -> int:
        return len(self.features)

    moves = True

    def count(self, most: int = MOST_VARIABLES) -> int:
        return len(self.features)

    def gradients(self, weights: Sequence[Rows[T]], variables: Sequence[T], ring: RingLike[T]) -> list[Rows[T]]:
        start, directions = self.model.gradients
        values = self.model.values(weights, ring)
        entries = values.of(start)
        for variable, direction in zip(variables, directions):
            moved = values.of(direction)
            entries = [entry + variable * value if value != 0 else entry for entry, value in zip(entries, moved)]
        return self.model.in_shape(entries)


@dataclass(frozen=True, eq=False)
class Fixed:
    """A step from weights that are numbers."""

    model: PolynomialModel
    weights: tuple[Matrix, ...]

    @property
    def central(self) -> bool:
        return self.model.split.central

    @property
    def bound(self) -> int:
        return min(len(self.model.split.features), self.model.entries)

    def count(self, most: int = MOST_VARIABLES) -> int:
        return len(self.features)

    @property
    def features(self) -> tuple[Polynomial, ...]:
        return self._basis[0]

    @cached_property
    def _basis(self) -> tuple[tuple[Polynomial, ...], list[Coordinates]]:
        """The features, and every entry of the gradient in their means."""
        model, psi = self.model, self.model.split.features
        numbers = [to_fmpq(Rational(e)) for matrix in self.weights for row in matrix for e in row]  # type: ignore[arg-type]
        point = [*numbers, *(fmpq(0) for _ in model.symbols)]  # which do not occur
        rows = [[part(*point) for part in direction] for direction in model.gradients[1]]
        if not any(any(row) for row in rows):
            return (), [()] * model.entries
        images = fmpq_mat(rows)
        reduced, rank = images.rref()
        if rank == len(psi):
            basis, reduced = psi, images
        else:
            pivots = [next(e for e in range(model.entries) if reduced[i, e]) for i in range(rank)]
            basis = tuple(combination([(f, images[j, e]) for j, f in enumerate(psi) if images[j, e]]) for e in pivots)
        return basis, [
            tuple((i, to_rational(reduced[i, e])) for i in range(rank) if reduced[i, e]) for e in range(model.entries)
        ]

    @cached_property
    def moves(self) -> bool:
        """Whether the gradient can be anything but zero."""
        if self.model.problem.weight_decay != 0 or self.count(1):
            return True
        ring = Ring(0, self.model.symbols)
        lifted = [[[ring.lift(entry) for entry in row] for row in matrix] for matrix in self.weights]
        return not all(map(is_zero, self.model.at(lifted, ring).mean_gradients))

    def gradients(self, weights: Sequence[Rows[T]], variables: Sequence[T], ring: RingLike[T]) -> list[Rows[T]]:
        starts = self.model.values(weights, ring).of(self.model.gradients[0])
        return self.model.in_shape(
            [
                sum((variables[j] * ring.lift(c) for j, c in coordinates), start)
                for start, coordinates in zip(starts, self._basis[1])
            ]
        )


def combination(parts: Iterable[tuple[Polynomial, fmpq]]) -> Polynomial:
    """The sum of polynomials times numbers."""
    found: dict[Places, fmpq] = {}
    for polynomial, factor in parts:
        for places, coefficient in polynomial.terms:
            found[places] = found.get(places, fmpq(0)) + factor * to_fmpq(coefficient)
    return Polynomial.of({places: to_rational(value) for places, value in found.items()})
