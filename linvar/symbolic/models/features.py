"""What of a batch varies, and on how few numbers that depends: features of minimal rank.

A batch enters a step through functionals <p q^T, S_z> of its second moment, the batch means of (p.z)(q.z). Some of them are
constant under the law, and some are combinations of others: a combination sum_f c_f (p_f.z)(q_f.z) + c_0 vanishes almost surely
if and only if it vanishes at the points of ``law.support(2)``, which determine polynomials of degree 2 there. So one elimination
of the matrix (1, the functionals at a point), a row for each point, finds functionals on whose fluctuations those of all others
depend linearly: at most n - 1 of them for n rows, none where nothing varies (one row, equal rows, a covariance of zero), and a
constant input costs nothing. Of a law that is known by its moments alone the matrix of their second moments is eliminated.
Source: linear algebra; sampling matrices that determine polynomials are e.g. in Olver, On multivariate interpolation (2006).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from math import lcm

from linvar.exact import Exact, Matrix, Rational, Vector
from linvar.flint import fmpz_mat, nmod_mat
from linvar.laws.polynomial import Polynomial
from linvar.rings import RingElement, T
from linvar.symbolic.algebra.ring import Ring
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.models.independent import PRIME, Echelon, Features, by_monomials, full_rank, rows_of_moments

#: points beyond the number of functionals in the first block, and points in a further one
_SPARE, _BLOCK = 8, 1_024

#: a linear form p of an example, sparse: (coordinate, coefficient)
Linear = tuple[tuple[int, Rational], ...]
#: c + sum_{a <= b} k_ab z_a z_b: (c, the k_ab that are not zero)
Relation = tuple[int, dict[tuple[int, int], int]]


@dataclass(frozen=True)
class Functionals:
    """<p q^T, S_z> for pairs of linear forms p of ``lefts`` and q of ``rights``: entries of lefts S_z rights^T.

    Attributes:
        size: m, the dimension of z.
        lefts, rights: numbers.
        pairs: (place in lefts, place in rights), one a functional.
    """

    size: int
    lefts: tuple[Linear, ...]
    rights: tuple[Linear, ...]
    pairs: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.pairs)

    def form(self, place: int) -> Matrix:
        """The symmetric matrix Theta of a functional: <Theta, S_z>."""
        i, j = self.pairs[place]
        entries = [[_ZERO] * self.size for _ in range(self.size)]
        for a, p in self.lefts[i]:
            for c, q in self.rights[j]:
                entries[a][c] = Rational(entries[a][c] + p * q / 2)
                entries[c][a] = Rational(entries[c][a] + p * q / 2)
        return tuple(map(tuple, entries))

    def feature(self, place: int) -> Polynomial:
        """The same as a polynomial in the coordinates of an example: the functional is its mean over the batch."""
        return Polynomial.quadratic(self.form(place))

    def restricted(self, coordinates: set[int]) -> Functionals:
        """Those of the functionals that depend on these coordinates alone."""
        left, right = ([{a for a, _ in row} <= coordinates for row in rows] for rows in (self.lefts, self.rights))
        return replace(self, pairs=tuple((i, j) for i, j in self.pairs if left[i] and right[j]))


def linear_forms(matrix: Sequence[Sequence[Exact]]) -> tuple[Linear, ...]:
    """The rows of a matrix of numbers."""
    return tuple(
        tuple((a, entry if isinstance(entry, Rational) else Rational(entry)) for a, entry in enumerate(row) if entry)
        for row in matrix
    )


def unit_forms(size: int) -> tuple[Linear, ...]:
    """The coordinates of z."""
    return tuple(((a, _ONE),) for a in range(size))


_ZERO, _ONE = Rational(0), Rational(1)


@dataclass(frozen=True)
class Elimination:
    """What is known of the rows (1, functionals).

    Attributes:
        reduced: their echelon form; None for independent columns.
        mixed: whether a constant enters some relation between the functionals.
    """

    functionals: Functionals
    reduced: Echelon | None = None
    mixed: bool = False

    @property
    def rank(self) -> int:
        """The number of features."""
        if self.reduced is None:
            return len(self.functionals)
        return len(self.reduced.pivots) - (0 in self.reduced.pivots)

    @cached_property
    def features(self) -> Features:
        """The basis, and every functional in terms of it."""
        if self.reduced is None:
            return Features.of_all(len(self.functionals))
        return self.reduced.features(_scales(self.functionals), self.mixed)


def features(law: ExactLaw, functionals: Functionals) -> Features:
    """A basis of the fluctuations of some functionals under a law, exact."""
    return eliminated(law, functionals).features


def eliminated(law: ExactLaw, functionals: Functionals) -> Elimination:
    """The elimination behind ``features``, which alone says how many there are."""
    count = len(functionals)
    if not count:
        return Elimination(functionals)
    if law.fills_space:
        return _of_polynomials(law, functionals)
    points = law.support(2)
    if (first := next(law.support(2), None)) is None:
        return eliminated_by_moments(law, functionals)
    rows = list(rows_of(law, functionals, points if law.symbols else islice(points, count + _SPARE)))
    if full_rank(rows, count + 1):
        return Elimination(functionals)
    reduced = Echelon.of(rows, count + 1)
    relations: list[Relation] | None = None  # made where there are further points only
    while block := list(islice(points, _BLOCK)):
        relations = _relations(functionals, reduced) if relations is None else relations
        if not relations:
            break
        if missed := _missed(relations, block):  # the basis so far, and points that it does not explain
            reduced = Echelon.of([*reduced.matrix.tolist(), *rows_of(law, functionals, missed)], count + 1)
            relations = None
    return Elimination(functionals, reduced, reduced.mixed or not _numeric(first))


def image(known: Elimination, functionals: Functionals) -> Elimination:
    """The elimination of linear combinations of functionals <e_a e_c^T, S_z>, a <= c, whose own elimination is known."""
    count, places = len(functionals), {pair: k for k, pair in enumerate(known.functionals.pairs, 1)}
    lefts, rights = (_used(functionals, side) for side in (0, 1))
    columns: list[dict[int, int]] = []
    for i, j in functionals.pairs:
        column: dict[int, int] = defaultdict(int)
        for a, p in lefts[i]:
            for c, q in rights[j]:
                column[places[min(a, c), max(a, c)]] += p * q
        columns.append(column)
    size = len(places) + 1
    mapped = fmpz_mat(size, count + 1)
    mapped[0, 0] = 1
    for f, column in enumerate(columns, 1):
        for place, value in column.items():
            mapped[place, f] = value
    found = (mapped if known.reduced is None else known.reduced.matrix * mapped).tolist()
    if full_rank(found, count + 1):
        return Elimination(functionals)
    reduced = Echelon.of(found, count + 1)
    return Elimination(functionals, reduced, reduced.mixed)


def eliminated_by_moments(law: ExactLaw, functionals: Functionals) -> Elimination:
    """The same by moments alone: a combination vanishes almost surely if and only if its second moment does."""
    count = len(functionals)
    rows = rows_of_moments(law, [functionals.feature(f) * scale for f, scale in enumerate(_scales(functionals))])
    if full_rank(rows, count + 1):
        return Elimination(functionals)
    reduced = Echelon.of(rows, count + 1)
    return Elimination(functionals, reduced, reduced.mixed or bool(law.symbols))


def _scales(functionals: Functionals) -> list[int]:
    """What makes each functional a polynomial of integers."""
    lefts, rights = (list(map(_scale, forms)) for forms in (functionals.lefts, functionals.rights))
    return [lefts[i] * rights[j] for i, j in functionals.pairs]


def _of_polynomials(law: ExactLaw, functionals: Functionals) -> Elimination:
    """Where z fills its space: relations at random points, which are confirmed as identities of quadratic forms."""
    count = len(functionals)
    points = count + _SPARE
    while True:
        rows = list(rows_of(law, functionals, law.scattered(points)))
        if full_rank(rows, count + 1):
            return Elimination(functionals)
        reduced = Echelon.of(rows, count + 1)
        if not _relations(functionals, reduced):
            return Elimination(functionals, reduced, reduced.mixed)
        points *= 2


def _relations(functionals: Functionals, reduced: Echelon) -> list[Relation]:
    """The combinations of 1 and the functionals that vanish so far, as polynomials in z, without the zero ones."""
    lefts, rights = (_used(functionals, side) for side in (0, 1))
    found = []
    for constant, *relation in reduced.kernel():
        entries: dict[tuple[int, int], int] = defaultdict(int)
        for (i, j), c in zip(functionals.pairs, map(int, relation)):
            for a, p in lefts[i] if c else ():
                for b, q in rights[j]:
                    entries[min(a, b), max(a, b)] += c * p * q
        found.append((int(constant), {key: value for key, value in entries.items() if value}))
    return [relation for relation in found if any(relation)]


def _missed(relations: list[Relation], points: Sequence[Vector]) -> list[Vector]:
    """The points where one of the relations does not hold. Column by column: most relations are between few coordinates."""
    columns = list(zip(*points))
    used = sorted({place for _, form in relations for key in form for place in key})
    scale = lcm(1, *{entry.denominator for a in used for entry in columns[a]})
    whole = {a: [entry.numerator * (scale // entry.denominator) for entry in columns[a]] for a in used}
    wrong: set[int] = set()
    for constant, form in relations:
        values = [constant * scale**2] * len(points)
        for (a, b), c in form.items():
            values = [value + c * x * y for value, x, y in zip(values, whole[a], whole[b])]
        wrong |= {place for place, value in enumerate(values) if value}
    return [points[place] for place in sorted(wrong)]


def rank_at_least(law: ExactLaw, functionals: Functionals, points: Iterable[Vector]) -> int:
    """A lower bound for the number of features, from some points of the law's support, modulo a prime."""
    rows = list(rows_of(law, functionals, points))
    return max(0, int(nmod_mat(fmpz_mat(rows), PRIME).rank()) - 1) if rows else 0


def rows_of(law: ExactLaw, functionals: Functionals, points: Iterable[Vector]) -> Iterator[list[int]]:
    """(1, the functionals times their ``_scale``) at points of the law's support, as integers: each row times a number.

    Where a point is polynomial in symbols, a row for each of their monomials: relations hold for all their values. Constants may
    have symbols too, where the first point has: there the functionals are taken less their values at that point.
    """
    lefts, rights = (_used(functionals, side) for side in (0, 1))
    ring, less = Ring(0, law.symbols), None
    for place, point in enumerate(points):
        if less is None and _numeric(point):
            scale = lcm(*(entry.denominator for entry in point))
            z = [entry.numerator * (scale // entry.denominator) for entry in point]
            left, right = _values(lefts, z, 0), _values(rights, z, 0)
            yield [scale * scale, *(left[i] * right[j] for i, j in functionals.pairs)]
        else:
            symbolic = [ring.lift(entry) for entry in point]
            left, right = _values(lefts, symbolic, ring.zero), _values(rights, symbolic, ring.zero)
            values = [left[i] * right[j] for i, j in functionals.pairs]
            if not place:
                less = values
            if less is not None:
                values = [value - start for value, start in zip(values, less)]
            constant = ring.zero if place and less is not None else ring.one
            yield from by_monomials([constant, *values])


def _numeric(point: Vector) -> bool:
    """Whether a point is free of symbols."""
    return all(isinstance(entry, Rational) for entry in point)


def _used(functionals: Functionals, side: int) -> dict[int, list[tuple[int, int]]]:
    """The linear forms that occur on a side, as integers: each times the denominator of its coefficients."""
    rows = (functionals.lefts, functionals.rights)[side]
    found = {}
    for place in sorted({pair[side] for pair in functionals.pairs}):
        scale = _scale(rows[place])
        found[place] = [(a, int(c * scale)) for a, c in rows[place]]
    return found


def _scale(form: Linear) -> int:
    """The common denominator of a linear form."""
    return lcm(1, *(c.denominator for _, c in form))


def _values(forms: dict[int, list[tuple[int, int]]], point: Sequence[RingElement[T]], zero: T) -> dict[int, T]:
    """The linear forms at a point."""
    return {place: sum((point[a] * c for a, c in form), zero) for place, form in forms.items()}
