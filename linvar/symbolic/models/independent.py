"""Features of minimal rank: on how few numbers any polynomials in the coordinates of an example depend.

A combination of them and 1 vanishes almost surely if and only if it vanishes where z can be: as a polynomial where z fills its
space, at points that determine polynomials of its degree, or in its second moment. One elimination finds all such relations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import lcm

from linvar.exact import Rational
from linvar.flint import fmpz, fmpz_mat, nmod_mat
from linvar.laws.polynomial import Polynomial
from linvar.symbolic.algebra.ring import Element, Exponents, Ring, to_rational
from linvar.symbolic.laws.law import ExactLaw

#: of a first look modulo it; it may only find too few
PRIME = 2**61 - 1

_ZERO, _ONE = Rational(0), Rational(1)


@dataclass(frozen=True)
class Features:
    """A basis of what varies.

    Attributes:
        chosen: the functionals whose fluctuations are the variables v_i.
        coordinates: for each functional f the pairs (i, c) with f = E f + sum_i c (v_i - E v_i).
        mixed: whether a constant enters some of these relations: if not, f = sum_i c v_i.
    """

    chosen: tuple[int, ...]
    coordinates: tuple[tuple[tuple[int, Rational], ...], ...]
    mixed: bool = False

    def __len__(self) -> int:
        return len(self.chosen)

    @classmethod
    def of_all(cls, count: int) -> Features:
        """All functionals are independent."""
        return cls(tuple(range(count)), tuple(((i, _ONE),) for i in range(count)))


@dataclass(frozen=True)
class Echelon:
    """A reduced row echelon form, of the columns (1, functionals).

    Attributes:
        matrix: its rows times the denominator.
        denominator: of all entries.
        pivots: the column of each row's pivot.
    """

    matrix: fmpz_mat
    denominator: fmpz
    pivots: tuple[int, ...]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int | fmpz]], columns: int) -> Echelon:
        """The form of some rows."""
        if not rows:
            return cls(fmpz_mat(0, columns), fmpz(1), ())
        matrix, denominator, rank = fmpz_mat(rows).rref()
        pivots, place = [], 0
        for i in range(rank):
            while not matrix[i, place]:
                place += 1
            pivots.append(place)
        kept = fmpz_mat([[matrix[i, j] for j in range(columns)] for i in range(rank)])
        return cls(kept, denominator, tuple(pivots))

    @property
    def mixed(self) -> bool:
        """Whether a constant enters a relation: the first row, where 1 has one of its own, has more than its pivot."""
        return 0 in self.pivots and any(self.matrix[0, j] for j in range(1, self.matrix.ncols()))

    def kernel(self) -> list[list[fmpz]]:
        """A basis of the relations between the columns."""
        columns = self.matrix.ncols()
        relations = []
        for free in sorted(set(range(columns)) - set(self.pivots)):
            relation = [fmpz(0)] * columns
            relation[free] = self.denominator
            for i, pivot in enumerate(self.pivots):
                relation[pivot] = -self.matrix[i, free]
            relations.append(relation)
        return relations

    def features(self, scales: Sequence[int], mixed: bool) -> Features:
        """The pivots beside the constant, and every functional in terms of them; columns are functionals times ``scales``."""
        matrix, denominator = self.matrix, int(self.denominator)
        chosen = [(i, pivot - 1) for i, pivot in enumerate(self.pivots) if pivot]
        coordinates = tuple(
            tuple(
                (place, Rational(int(matrix[i, f + 1]) * scales[pivot], denominator * scale))
                for place, (i, pivot) in enumerate(chosen)
                if matrix[i, f + 1]
            )
            for f, scale in enumerate(scales)
        )
        return Features(tuple(f for _, f in chosen), coordinates, mixed)


def independent(law: ExactLaw, polynomials: Sequence[Polynomial]) -> Features:
    """A basis of the fluctuations of any features under a law, exact.

    Relations hold as polynomials where z fills its space, else at points that determine polynomials of their degree, else by
    second moments.
    """
    count = len(polynomials)
    if law.fills_space:
        rows = _rows_of_coefficients(polynomials)
    elif not law.symbols and next(law.support(1), None) is not None:
        points = law.support(max((f.degree for f in polynomials), default=0))
        rows = [whole([_ONE, *(Rational(f.at_numbers(z)) for f in polynomials)]) for z in points]  # type: ignore[arg-type]
    else:
        rows = rows_of_moments(law, polynomials)
    if full_rank(rows, count + 1):
        return Features.of_all(count)
    reduced = Echelon.of(rows, count + 1)
    return reduced.features([1] * count, reduced.mixed or bool(law.symbols and not law.fills_space))


def _rows_of_coefficients(polynomials: Sequence[Polynomial]) -> list[list[int]]:
    """The coefficients of each monomial in (1, the polynomials)."""
    known = [dict(f.terms) for f in polynomials]
    keys = sorted({(), *(key for terms in known for key in terms)})
    return [whole([Rational(int(not key)), *(terms.get(key, _ZERO) for terms in known)]) for key in keys]


def rows_of_moments(law: ExactLaw, polynomials: Sequence[Polynomial]) -> list[list[int]]:
    """Rows whose kernel are the combinations of (1, the polynomials) that vanish almost surely; with symbols up to a constant."""
    count, ring = len(polynomials), Ring(0, law.symbols)
    moments, zero = law.checked_moments(polynomials, 2, ring), ring.zero
    units = [tuple(int(k == j) for k in range(count)) for j in range(count)]
    means = [moments.get(unit, zero) for unit in units]
    rows = [[1, *[0] * count]] if law.symbols else list(by_monomials([ring.one, *means]))
    for first, mean in zip(units, means):
        products = [moments.get(tuple(map(sum, zip(first, second))), zero) for second in units]
        rows += by_monomials([zero, *(value - mean * other for value, other in zip(products, means))])
    return rows


def by_monomials(values: Sequence[Element]) -> Iterator[list[int]]:
    """The coefficients of each monomial in polynomials."""
    parts: dict[Exponents, list[Rational]] = {}
    for place, value in enumerate(values):
        for key, c in value.terms():
            parts.setdefault(key, [_ZERO] * len(values))[place] = to_rational(c)
    return map(whole, parts.values())


def whole(row: Sequence[Rational]) -> list[int]:
    """Numbers times their common denominator."""
    scale = lcm(1, *(value.denominator for value in row))
    return [value.numerator * (scale // value.denominator) for value in row]


def full_rank(rows: Sequence[Sequence[int | fmpz]], columns: int) -> bool:
    """Whether the columns are independent modulo a prime, and so in truth."""
    return len(rows) >= columns and int(nmod_mat(fmpz_mat(rows), PRIME).rank()) == columns
