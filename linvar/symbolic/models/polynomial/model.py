"""The exact twin of any model whose loss is a polynomial in the weights and in the coordinates of an example.

    l(w; z) = sum_k c_k(w) f_k(z),        f_k monomials in z,

and of the features f_k only so many vary independently under the law: with f_k = kappa_k + sum_j r_kj psi_j

    l(w; z) = a(w) + sum_j e_j(w) psi_j(z),        e_j = sum_k r_kj c_k,    a = sum_k kappa_k c_k,

where e_j that are combinations of others (up to a constant, which no gradient sees) are taken together with them. So a batch
enters through the means v_j of the psi_j alone, and its gradient is grad a(w) + sum_j v_j grad e_j(w). Where constants are mixed
with what varies the psi_j are taken less their means, and a is the population loss. At weights that are numbers a basis of the
span of the vectors grad e_j(w) is enough. Of the last step: grad lbar, the spread sum_jk Cov(psi_j, psi_k) <grad e_j, grad e_k>.
Source: derived here; proofs/features-of-a-batch.md has the ranks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from math import comb

from linvar.exact import Matrix, Rational
from linvar.flint import fmpq, fmpq_mat
from linvar.laws.polynomial import Places, Polynomial
from linvar.matrices import Rows
from linvar.rings import RingLike, T
from linvar.symbolic.algebra.ring import Element, Exponents, Numbers, Ring, to_fmpq, to_rational
from linvar.symbolic.models.closure import NOT_CLOSED, Closure
from linvar.symbolic.models.features import independent
from linvar.symbolic.models.model import ExactModel, Here
from linvar.symbolic.models.polynomial.affine import AffineGradient, AffineHere
from linvar.symbolic.models.polynomial.at import At
from linvar.symbolic.models.polynomial.steps import Fixed, Moving
from linvar.symbolic.models.step import Step


@dataclass(frozen=True, eq=False)
class PolynomialModel(ExactModel):
    """A loss that is a polynomial; see ``ExactModel`` for the members.

    Attributes:
        loss: of one example, an element of ``Ring(entries + law.width, law.symbols)``: the weights, leaf by leaf, then the
            coordinates of the law.
    """

    loss: Element = field(kw_only=True)

    @cached_property
    def ring(self) -> Ring:
        """The weights as variables, and the symbols of the law."""
        return Ring(self.entries, self.law.symbols)

    @cached_property
    def _terms(self) -> dict[Places, Element]:
        """c_k by the coordinates of f_k."""
        count, width = self.entries, self.law.width
        parts: dict[Places, dict[Exponents, fmpq]] = {}
        for key, coefficient in self.loss.terms():
            places = tuple(chain.from_iterable((a,) * k for a, k in enumerate(key[count : count + width])))
            parts.setdefault(places, {})[(*key[:count], *key[count + width :])] = coefficient
        return {places: self.ring.from_terms(terms) for places, terms in parts.items()}

    @cached_property
    def split(self) -> Split:
        """a, e_j and psi_j."""
        constant = self._terms.get((), self.ring.zero)
        places = [key for key, c in self._terms.items() if key and not _is_constant(c, self.entries)]
        coefficients = [self._terms[key] for key in places]
        features = [Polynomial(((key, Rational(1)),)) for key in places]
        basis = independent(self.law, features)
        population = sum((c * mean for c, mean in zip(self._terms.values(), self._means())), self.ring.zero)
        directions = [self.ring.zero] * len(basis)
        for c, coordinates in zip(coefficients, basis.coordinates):
            for j, factor in coordinates:
                directions[j] = directions[j] + c * to_fmpq(factor)
        chosen = [features[k] for k in basis.chosen]
        chosen, directions = _together(chosen, directions, self.entries)
        start = population if basis.mixed else constant
        return Split(start, population, tuple(directions), tuple(chosen), basis.mixed)

    def _means(self) -> list[Element]:
        """E f_k for every term of the loss, those that no weight multiplies too, in the ring of the weights."""
        features = [Polynomial(((key, Rational(1)),)) for key in self._terms]
        means = self.law.means(features, self.ring.scalars)
        return [self.ring.from_terms({(0,) * self.entries + key: v for key, v in m.terms()}) for m in means]

    @property
    def symbolic_coefficients(self) -> bool:
        """Whether symbols are in the coefficients of what varies or of the mean."""
        parts = (*self.split.directions, self.split.population, self.split.start)
        return any(any(key[self.entries :]) for part in parts for key, _ in part.terms())

    @cached_property
    def moving(self) -> Moving:
        """Its variables are the means of the psi_j."""
        return Moving(self)

    def fixed(self, weights: tuple[Matrix, ...]) -> Step:
        """Its variables are a basis of the span of the gradients."""
        return Fixed(self, weights)

    @property
    def numeric(self) -> bool:
        """Weights and coefficients are numbers."""
        entries = [entry for matrix in self.problem.leaves for row in matrix for entry in row]
        return all(isinstance(entry, Rational) for entry in entries) and not self.symbolic_coefficients

    def only_decays(self) -> bool:
        """Where no gradient depends on the weights or the batch."""
        return not self.split.directions and _is_constant(self.split.population, self.entries)

    @cached_property
    def affine(self) -> AffineGradient | None:
        """The gradient of one example, where it is affine in the weights."""
        degree = max((sum(key[: self.entries]) for key, _ in self.loss.terms()), default=0)
        return AffineGradient(model=self) if degree <= 2 else None

    @cached_property
    def closure(self) -> Closure:
        """Moments close where the gradient is affine."""
        return self.affine or NOT_CLOSED

    def at(self, weights: Sequence[Rows[T]], ring: RingLike[T]) -> Here[T]:
        """The model at these weights."""
        return At(self, weights, ring) if self.affine is None else AffineHere(self.affine, weights, ring)

    def gradient(self, polynomial: Element) -> list[Element]:
        """The partial derivatives by the weights."""
        return [polynomial.derivative(i) for i in range(self.entries)]

    def values(self, polynomials: Iterable[Element], weights: Sequence[Rows[T]], ring: RingLike[T]) -> list[T]:
        """Polynomials in the weights at weights of any ring."""
        point = [entry for matrix in weights for row in matrix for entry in row]
        point += [ring.lift(symbol) for symbol in self.law.symbols]
        powers: dict[tuple[int, int], T] = {}

        def power(place: int, exponent: int) -> T:
            if exponent == 1:
                return point[place]
            if (place, exponent) not in powers:  # halves: an exponent may be in the thousands
                half = exponent // 2
                powers[place, exponent] = power(place, half) * power(place, exponent - half)
            return powers[place, exponent]

        found = []
        for polynomial in polynomials:
            total = ring.lift(0)
            for key, coefficient in polynomial.terms():
                term = ring.lift(to_rational(coefficient))
                for place, exponent in enumerate(key):
                    if exponent:
                        term = term * power(place, int(exponent))
                total = total + term
            found.append(total)
        return found

    def in_shape(self, entries: Sequence[T]) -> list[Rows[T]]:
        """Entries in the shapes of the leaves."""
        following = iter(entries)
        return [[[next(following) for _ in row] for row in matrix] for matrix in self.problem.leaves]

    @cached_property
    def gradients(self) -> tuple[list[Element], list[list[Element]]]:
        """grad a, and grad e_j for each j."""
        return self.gradient(self.split.start), [self.gradient(e) for e in self.split.directions]

    @cached_property
    def population_gradient(self) -> list[Element]:
        """grad lbar."""
        return self.gradient(self.split.population)

    @cached_property
    def uncorrelated(self) -> list[tuple[Rational, list[Element]]]:
        """Variances d_i and vectors: the spread is sum_i d_i ||vector||^2, Cov(psi) = L diag(d) L^T by elimination. Numbers."""
        covariance = self.covariance(Numbers)
        rest, rows, found = covariance, self.gradients[1], []
        for i in range(len(rest)):
            pivot = rest[i][i]
            if not pivot:
                continue
            column = [row[i] / pivot for row in rest]
            vector = [
                sum((row[p] * to_fmpq(Rational(c)) for row, c in zip(rows, column) if c), self.ring.zero)
                for p in range(self.entries)
            ]
            found.append((Rational(pivot), vector))
            rest = [[value - x * pivot * y for value, y in zip(row, column)] for row, x in zip(rest, column)]
        return found

    def covariance(self, ring: RingLike[T]) -> list[list[T]]:
        """Cov(psi_j, psi_k)."""
        features, zero = self.split.features, ring.lift(0)
        moments = self.law.checked_moments(features, 2, ring)
        units = [tuple(int(k == j) for k in range(len(features))) for j in range(len(features))]
        means = [moments.get(unit, zero) for unit in units]
        return [
            [moments.get(tuple(map(sum, zip(a, b))), zero) - m * n for b, n in zip(units, means)]
            for a, m in zip(units, means)
        ]

    # sizes

    @property
    def gradient_products(self) -> int:
        """Terms of grad a and of all grad e_j, times their degree."""
        start, directions = self.gradients
        return sum(len(part) for part in chain(start, *directions)) * max(1, self.problem.degree - 1)

    @property
    def spread_terms(self) -> int:
        """Of the squares of the vectors grad e_j."""
        return sum(len(part) ** 2 // 2 + 1 for row in self.gradients[1] for part in row)

    def taylor_terms(self, order: int) -> int:
        """Every term of the gradient has C(degree, i) derivatives of order i."""
        degree = self.problem.degree
        return self.gradient_products * sum(comb(degree, i) for i in range(min(2 * order, degree) + 1))


@dataclass(frozen=True)
class Split:
    """A loss split in what varies with the example and what does not (see the module docstring).

    Attributes:
        start: a.
        population: lbar, the mean loss.
        directions: e_j.
        features: psi_j.
        central: whether these are taken less their means.
    """

    start: Element
    population: Element
    directions: tuple[Element, ...]
    features: tuple[Polynomial, ...]
    central: bool


def _is_constant(polynomial: Element, weights: int) -> bool:
    """Whether no weight occurs."""
    return not any(any(key[:weights]) for key, _ in polynomial.terms())


def _together(
    features: list[Polynomial], directions: list[Element], weights: int
) -> tuple[list[Polynomial], list[Element]]:
    """Fewest pairs with the same sum_j e_j psi_j, up to what depends on no weight: a rank factorisation."""
    keys = sorted({key for e in directions for key, _ in e.terms() if any(key[:weights])})
    if not keys:
        return [], []
    rows = [[dict(e.terms()).get(key, fmpq(0)) for key in keys] for e in directions]
    reduced, rank = fmpq_mat([list(column) for column in zip(*rows)]).rref()  # columns e_j
    if rank == len(directions):
        return features, directions
    pivots = [next(j for j in range(len(directions)) if reduced[i, j]) for i in range(rank)]
    together = [
        sum((f * to_rational(reduced[i, j]) for j, f in enumerate(features) if reduced[i, j]), Polynomial())
        for i in range(rank)
    ]
    return together, [directions[j] for j in pivots]


_: type[ExactModel] = PolynomialModel
