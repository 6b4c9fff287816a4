"""The variables of each step: what of its batch the step needs, centred and of minimal rank (``models.features``).

The end-to-end gradient R = Q S_z X^T, Q = P X - Y, depends on the entries of S_z X^T. In general these are the functionals:
S_z = E S_z + sum_j v_j B_j, with E v_j = 0. While the weights are numbers (at step 0, and as long as nothing random has entered
them) a step needs less: a basis of the span of the entries of its layers' gradients A_l^T R B_l^T, d_L d_0 of them at most; that
is what lets real data through.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, product
from math import inf
from typing import TYPE_CHECKING

from linvar import matrices
from linvar.exact import Exact, Matrix, Rational
from linvar.flint import fmpq, fmpq_mat
from linvar.laws.polynomial import Polynomial
from linvar.matrices import Rows, is_zero
from linvar.rings import RingLike, T
from linvar.symbolic.algebra.ring import Numbers, Ring, to_fmpq, to_rational
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.models.features import (
    Elimination,
    Functionals,
    Linear,
    eliminated,
    image,
    linear_forms,
    rank_at_least,
    unit_forms,
)
from linvar.symbolic.models.independent import Features
from linvar.symbolic.models.linear.here import LinearHere
from linvar.symbolic.models.step import MOST_VARIABLES, Coordinates

if TYPE_CHECKING:
    from linvar.symbolic.models.linear.model import LinearModel

#: Points of a first look at many functionals, and those beyond the number of features looked for.
_POINTS, _SPARE = 128, 16


@dataclass(frozen=True, eq=False)
class MovingStep:
    """A step from any weights."""

    model: LinearModel
    moves: bool = True

    def count(self, most: int = MOST_VARIABLES) -> int:
        if self.model.law.fills_space:
            return len(self._functionals)
        if len(self._functionals) > 2 * most and "_elimination" not in vars(self):
            if any(number >= most for number in self._at_least):
                return most
            some = self._functionals.restricted(_varying(self.model.law, most))
            if rank_at_least(self.model.law, some, islice(self.model.law.support(2), 2 * _POINTS)) >= most:
                self._at_least.append(most)
                return most
        return self._elimination.rank

    @cached_property
    def _at_least(self) -> list[int]:
        """Lower bounds for the number of variables that were found so far."""
        return []

    @property
    def bound(self) -> int:
        return min(len(self._functionals), (self.model.problem.dataset_size or inf) - 1)  # type: ignore[return-value]

    @cached_property
    def features(self) -> tuple[Polynomial, ...]:
        return tuple(map(Polynomial.quadratic, self._forms))

    @cached_property
    def _forms(self) -> tuple[Matrix, ...]:
        """Theta_j, symmetric: the features are z^T Theta_j z."""
        return tuple(map(self._functionals.form, self._features.chosen))

    def gradients(self, weights: Sequence[Rows[T]], variables: Sequence[T], ring: RingLike[T]) -> list[Rows[T]]:
        moment = _start(self.model.law.second_moment(ring), self.central, ring)
        for (a, c), coordinates in zip(self._functionals.pairs, self._features.coordinates):
            moment[a][c] = moment[c][a] = _moved(moment[a][c], coordinates, variables, ring)
        return LinearHere(self.model.network, weights, self.model.law, None, ring).gradients_at(moment)

    @property
    def central(self) -> bool:
        return self._elimination.mixed

    @cached_property
    def uncorrelated(self) -> list[tuple[Rational, Matrix]]:
        """Variances d_i and matrices C_i with z z^T = E z z^T + sum_i w_i C_i, as far as the step needs it, Cov w = diag(d).

        By elimination of the covariance matrix K of the features: K = L diag(d) L^T, v = L w. Numbers only.
        """
        law, pairs = self.model.law, self._functionals.pairs
        count, size = len(self._features), range(self._functionals.size)
        directions = [[[Rational(0) for _ in size] for _ in size] for _ in range(count)]
        for (a, c), coordinates in zip(pairs, self._features.coordinates):
            for j, value in coordinates:
                directions[j][a][c] = directions[j][c][a] = value
        weighted = [law.weighted_second_moment([list(row) for row in form], Numbers) for form in self._forms]
        means = [matrices.trace_of_symmetric(form, law.second_moment(Numbers)) for form in self._forms]
        rest = [
            [matrices.trace_of_symmetric(form, w) - a * b for form, b in zip(self._forms, means)]
            for w, a in zip(weighted, means)
        ]
        found = []
        for i in range(count):
            pivot = rest[i][i]
            column = [rest[j][i] / pivot for j in range(count)]
            found.append((Rational(pivot), _combination(list(map(Rational, column)), directions)))
            rest = [[value - x * pivot * y for value, y in zip(row, column)] for row, x in zip(rest, column)]
        return found

    @cached_property
    def _functionals(self) -> Functionals:
        """Entries (row <= column) of S_z that occur in S_z X^T."""
        inputs = self.model.law.input_map
        size = len(inputs[0])
        columns = {c for row in inputs for c, entry in enumerate(row) if entry != 0}
        pairs = tuple((a, c) for a in range(size) for c in range(a, size) if a in columns or c in columns)
        return Functionals(size, unit_forms(size), unit_forms(size), pairs)

    @cached_property
    def _elimination(self) -> Elimination:
        if self.model.law.fills_space:
            return Elimination(self._functionals)
        return eliminated(self.model.law, self._functionals)

    @property
    def elimination(self) -> Elimination | None:
        """That of all functionals, where points are eliminated and there are so few that their number is found by it."""
        law, few = self.model.law, len(self._functionals) <= 2 * MOST_VARIABLES
        points = not law.fills_space and not law.symbols and next(law.support(2), None) is not None
        return self._elimination if points and few else None

    @property
    def _features(self) -> Features:
        return self._elimination.features


@dataclass(frozen=True, eq=False)
class FixedStep:
    """A step from weights that are numbers."""

    model: LinearModel
    weights: tuple[Matrix, ...]

    def count(self, most: int = MOST_VARIABLES) -> int:
        if len(self._functionals) > 2 * most and "_reduced" not in vars(self):
            if any(number >= most for number in self._at_least):
                return most
            points = self.model.law.scattered(min(_POINTS, most + _SPARE))
            if rank_at_least(self.model.law, self._entries(2 * most), points) >= most:
                self._at_least.append(most)
                return most
        return 0 if self._reduced is None else self._reduced[2]

    @cached_property
    def _at_least(self) -> list[int]:
        """Lower bounds for the number of variables that were found so far."""
        return []

    @property
    def bound(self) -> int:
        return min(len(self._functionals), (self.model.problem.dataset_size or inf) - 1)  # type: ignore[return-value]

    @cached_property
    def features(self) -> tuple[Polynomial, ...]:
        return tuple(map(Polynomial.quadratic, self._layers[0]))

    def gradients(self, weights: Sequence[Rows[T]], variables: Sequence[T], ring: RingLike[T]) -> list[Rows[T]]:
        moment = _start(self.model.law.second_moment(ring), self.central, ring)
        starts = LinearHere(self.model.network, weights, self.model.law, None, ring).gradients_at(moment)
        return [
            [
                [_moved(entry, found, variables, ring) for entry, found in zip(row, coordinates)]
                for row, coordinates in zip(start, layer)
            ]
            for start, layer in zip(starts, self._layers[1])
        ]

    @property
    def central(self) -> bool:
        return self._elimination.mixed

    @cached_property
    def moves(self) -> bool:
        """Whether the gradient can be anything but zero; if not, no step changes more than by decay unless momentum does.

        Weights with A_l = 0 or B_l = 0 for every l only decay: each is a multiple of what it was.
        """
        if only_decay(self._surroundings):
            return False
        if self.model.problem.weight_decay != 0 or self.count(1):
            return True
        ring = Ring(0, self.model.law.symbols)
        lifted = [[[ring.lift(entry) for entry in row] for row in matrix] for matrix in self.weights]
        return not all(map(is_zero, self.gradients(lifted, (), ring)))

    @cached_property
    def _elimination(self) -> Elimination:
        """Of the entries of R; of nothing where none of them reaches a layer."""
        law, reaches = self.model.law, len(self._entries(1)) > 0
        if not reaches:
            return Elimination(replace(self._functionals, pairs=()))
        whole = self.model.moving.elimination
        return eliminated(law, self._functionals) if whole is None else image(whole, self._functionals)

    @cached_property
    def _surroundings(self) -> list[tuple[Rows[Exact] | None, Rows[Exact] | None]]:
        """(A_l, B_l) for l = 1..L."""
        return list(zip(*self.model.network.surroundings(self.weights)))

    @cached_property
    def _residual(self) -> Rows[Exact]:
        """Q."""
        return self.model.network.residual_map(self.weights, self.model.law.input_map, self.model.law.target_map)

    @cached_property
    def _functionals(self) -> Functionals:
        """The entries of R = Q S_z X^T."""
        inputs = self.model.law.input_map
        pairs = tuple(product(range(len(self._residual)), range(len(inputs))))
        return Functionals(len(inputs[0]), linear_forms(self._residual), linear_forms(inputs), pairs)

    @cached_property
    def _sides(self) -> list[tuple[list[Linear], list[Linear]]]:
        """The rows of A_l^T Q and of B_l X that are not zero, layer by layer."""
        sides = []
        inputs = self.model.law.input_map
        for above, below in self._surroundings:
            left = self._residual if above is None else matrices.product(matrices.transpose(above), self._residual)
            right = inputs if below is None else matrices.product(below, inputs)
            rows, columns = ([form for form in linear_forms(matrix) if form] for matrix in (left, right))
            sides.append((rows, columns))
        return sides

    def _entries(self, most: int) -> Functionals:
        """The first entries of A_l^T Q S_z (B_l X)^T that are not zero whatever S_z, so many at most."""
        lefts, rights, pairs = list[Linear](), list[Linear](), list[tuple[int, int]]()
        for rows, columns in self._sides:
            places = product(range(len(rows)), range(len(columns)))
            pairs += [(len(lefts) + i, len(rights) + j) for i, j in islice(places, most - len(pairs))]
            lefts, rights = lefts + rows, rights + columns
        return Functionals(len(self.model.law.input_map[0]), tuple(lefts), tuple(rights), tuple(pairs))

    @cached_property
    def _reduced(self) -> tuple[fmpq_mat, fmpq_mat, int] | None:
        """The entries of the layers' gradients in the variables of R, one row each; the same reduced; its rank."""
        found = self._elimination
        if not found.rank:
            return None
        images = fmpq_mat([self._image(found.features, j) for j in range(found.rank)])
        return images, *images.rref()

    @cached_property
    def _layers(self) -> tuple[tuple[Matrix, ...], list[list[list[Coordinates]]]]:
        """The forms, and the coordinates of the entries of every layer's gradient."""
        shapes = [(len(matrix), len(matrix[0])) for matrix in self.weights]
        if self._reduced is None:
            return (), [[[()] * columns for _ in range(rows)] for rows, columns in shapes]
        images, reduced, rank = self._reduced
        found = self._elimination.features
        if rank == len(found):  # the variables of R are needed as they are
            reduced, basis = images, tuple(map(self._functionals.form, found.chosen))
        else:
            pivots = [next(e for e in range(images.ncols()) if reduced[i, e]) for i in range(rank)]
            forms = list(map(self._functionals.form, found.chosen))
            basis = tuple(_combination([to_rational(images[j, e]) for j in range(len(found))], forms) for e in pivots)
        entries = (
            tuple((i, to_rational(reduced[i, e])) for i in range(rank) if reduced[i, e]) for e in range(images.ncols())
        )
        return basis, [[[next(entries) for _ in range(columns)] for _ in range(rows)] for rows, columns in shapes]

    def _image(self, found: Features, place: int) -> list[fmpq]:
        """The entries of A_l^T D B_l^T for all l, where R = E R + sum_j v_j D_j and D is one of the D_j."""
        entries = (dict(coordinates).get(place, Rational(0)) for coordinates in found.coordinates)
        inputs = len(self.model.law.input_map)
        part = [[next(entries) for _ in range(inputs)] for _ in range(self.model.problem.widths[-1])]
        layers = self.model.network.gradients(self.weights, part)
        return [to_fmpq(Rational(entry)) for matrix in layers for row in matrix for entry in row]


def _start(mean: Rows[T], central: bool, ring: RingLike[T]) -> list[list[T]]:
    """What the variables are added to: the mean, or nothing."""
    return [list(row) if central else [ring.lift(0)] * len(row) for row in mean]


def _moved(mean: T, coordinates: Coordinates, variables: Sequence[T], ring: RingLike[T]) -> T:
    """mean + sum_j c_j v_j."""
    return sum((variables[j] * ring.lift(c) for j, c in coordinates), mean)


def _combination(factors: Sequence[Rational], forms: Sequence[Rows[Exact]]) -> Matrix:
    """sum_j c_j Theta_j."""
    size = range(len(forms[0]))
    used = [(c, form) for c, form in zip(factors, forms) if c != 0]
    return tuple(tuple(Rational(sum(c * form[a][b] for c, form in used)) for b in size) for a in size)


def _varying(law: ExactLaw, most: int) -> set[int]:
    """Coordinates of z that vary, enough of them for twice as many products."""
    points = list(islice(law.support(2), _POINTS))
    found: set[int] = set()
    for place, values in enumerate(zip(*points)):
        if any(value != values[0] for value in values):
            found.add(place)
        if len(found) * (len(found) + 1) // 2 >= 2 * most:
            break
    return found


def only_decay(surroundings: Iterable[tuple[Rows[Exact] | None, Rows[Exact] | None]]) -> bool:
    """Whether A_l = 0 or B_l = 0 for every l."""
    return all(any(matrix is not None and is_zero(matrix) for matrix in pair) for pair in surroundings)
