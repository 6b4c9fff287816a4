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

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import chain
from math import comb, lcm
from typing import TYPE_CHECKING

from linvar.exact import Matrix, Rational, free_symbols
from linvar.flint import fmpq, fmpq_mat, nmod_mat
from linvar.laws.polynomial import Places, Polynomial
from linvar.matrices import Rows
from linvar.plain_data import Plain
from linvar.problem import Problem
from linvar.rings import RingLike, T
from linvar.symbolic.algebra.ring import Element, Exponents, Numbers, Ring, to_fmpq
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.models.closure import NOT_CLOSED, Closure
from linvar.symbolic.models.independent import independent
from linvar.symbolic.models.model import ENDLESS, ExactModel, Here
from linvar.symbolic.models.polynomial.affine import AffineGradient, AffineHere
from linvar.symbolic.models.polynomial.at import At
from linvar.symbolic.models.polynomial.steps import Fixed, Moving, combination
from linvar.symbolic.models.polynomial.values import Values
from linvar.symbolic.models.step import Step

if TYPE_CHECKING:
    import sympy

#: of a first look modulo it, in so many sums more than there are polynomials
_PRIME, _SPARE = 2**61 - 1, 8
#: terms of gradients beyond which a prediction does not run a step
_MOST_COUNTED = 10_000
#: of a form in the weights, beyond which its monomials are not counted step by step
_MOST_DEGREE = 2_000


@dataclass(frozen=True, eq=False)
class PolynomialModel(ExactModel):
    """A loss that is a polynomial; see ``ExactModel`` for the members.

    Attributes:
        loss: of one example, an element of ``Ring(entries + law.width, symbols)``: the weights, leaf by leaf, then the
            coordinates of the law.
    """

    loss: Element = field(kw_only=True)

    @cached_property
    def symbols(self) -> tuple[sympy.Expr, ...]:
        """Those of the law and those of the loss."""
        return symbols_of(self.problem, self.law)

    @cached_property
    def ring(self) -> Ring:
        """The weights as variables, and the symbols."""
        return Ring(self.entries, self.symbols)

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

    @cached_property
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

    def values(self, weights: Sequence[Rows[T]], ring: RingLike[T]) -> Values[T]:
        """What gives polynomials in the weights at weights of any ring."""
        return Values(weights, [ring.lift(symbol) for symbol in self.symbols if self.symbolic_coefficients], ring)

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
    def uncorrelated(self) -> list[tuple[Rational, list[tuple[int, Rational]]]]:
        """Cov(psi) = L diag(d) L^T by elimination: every d and its column of L, what is not zero in it. Numbers."""
        rest, found = self.covariance(Numbers), []
        for i in range(len(rest)):
            pivot = rest[i][i]
            if not pivot:
                continue
            column = [row[i] / pivot for row in rest]
            found.append((Rational(pivot), [(j, Rational(c)) for j, c in enumerate(column) if c]))
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

    def statement(self, problem: Problem) -> Mapping[str, Plain]:
        """The polynomial by its coefficients, whatever the loss is called, and the numbers."""
        terms: list[Plain] = [
            [*map(int, key), str(c)] for key, c in sorted(self.loss.terms(), key=lambda term: term[0])
        ]
        return {"polynomial": terms, **problem.numbers_to_dict()}

    # sizes

    @property
    def feature_degree(self) -> int:
        """Of the psi_j."""
        return self.law.degree_of(self.split.features)

    @cached_property
    def _terms_of_gradients(self) -> tuple[int, int]:
        """Of grad lbar, and of all grad e_j."""
        return sum(map(len, self.population_gradient)), sum(map(len, chain(*self.gradients[1])))

    @property
    def gradient_products(self) -> int:
        """For each term of grad a and of all grad e_j its monomial, at most, and its coefficient."""
        return 2 * sum(self._terms_of_gradients)

    @property
    def spread_terms(self) -> int:
        """Of the vectors grad e_j, and of their entries, which are squared."""
        return self._terms_of_gradients[1] + self.entries * len(self.split.directions)

    @property
    def too_wide_to_count(self) -> bool:
        """By the terms of its gradients."""
        return sum(self._terms_of_gradients) > _MOST_COUNTED

    def rough_work(self, variables: int) -> tuple[int, int]:
        """Every term once in a step and once in the last one, and what combines and squares the grad e_j."""
        mean, directions = self._terms_of_gradients
        count = len(self.split.directions)
        largest = max((len(part) for part in chain(self.population_gradient, *self.gradients[1])), default=0)
        return 3 * mean + 3 * directions + self.entries * count * (count + 5) // 2, max(1, largest)

    def monomials(self, variables: Sequence[int], central: Sequence[bool], factors: int) -> int:
        """Every factor of a form in W_{s+1} is w, a part of grad a, of degree q in W_s, or one of v_j grad e_j, of degree p-1:

        N_s(D) = sum_j C(j + m_s - 1, j) N_{s-1}( max(1, q) (D - j) + (p-1) j ).
        """
        degree, growth = factors * max(0, self.problem.degree - 1), self.problem.growth
        if self.problem.symbols or degree * growth ** len(variables) > _MOST_DEGREE:
            return super().monomials(variables, central, factors)
        still = max(
            1, max((sum(key[: self.entries]) for part in self.gradients[0] for key, _ in part.terms()), default=0)
        )

        @cache
        def count(degree: int, s: int) -> int:
            if s < 0:
                return 1
            if not s:
                return comb(degree + variables[0], variables[0])
            parts = (
                comb(j + max(1, variables[s]) - 1, j) * count(still * (degree - j) + growth * j, s - 1)
                for j in range(degree + 1 if variables[s] else 1)
            )
            return sum(parts)

        return min(ENDLESS, count(degree, len(variables) - 1))

    def taylor_terms(self, order: int) -> int:
        """Every term of the gradient, once for each order of its derivatives: products of weights are shared by the terms."""
        return sum(self._terms_of_gradients) * min(2 * order + 1, max(1, self.problem.degree))


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


def symbols_of(problem: Problem, law: ExactLaw) -> tuple[sympy.Expr, ...]:
    """Symbols of a law and of the loss itself, which stay in the answers."""
    return free_symbols([*law.symbols, *problem.model.symbols])


def _is_constant(polynomial: Element, weights: int) -> bool:
    """Whether no weight occurs."""
    return not any(any(key[:weights]) for key, _ in polynomial.terms())


def _together(
    features: list[Polynomial], directions: list[Element], weights: int
) -> tuple[list[Polynomial], list[Element]]:
    """Fewest pairs with the same sum_j e_j psi_j, up to what depends on no weight: a rank factorisation."""
    terms = [dict(e.terms()) for e in directions]
    keys = sorted({key for known in terms for key in known if any(key[:weights])})
    if not keys:
        return [], []
    if _independent(terms, keys):
        return features, directions
    rows = [[known.get(key, fmpq(0)) for key in keys] for known in terms]
    reduced, rank = fmpq_mat([list(column) for column in zip(*rows)]).rref()  # columns e_j
    if rank == len(directions):
        return features, directions
    pivots = [next(j for j in range(len(directions)) if reduced[i, j]) for i in range(rank)]
    together = [combination([(f, reduced[i, j]) for j, f in enumerate(features) if reduced[i, j]]) for i in range(rank)]
    return together, [directions[j] for j in pivots]


def _independent(terms: Sequence[Mapping[Exponents, fmpq]], keys: Sequence[Exponents]) -> bool:
    """Whether polynomials are surely independent: sums of their coefficients with random factors are, modulo a prime."""
    draws, count = random.Random(len(keys)), len(terms)
    factors = {key: (place % (count + _SPARE), draws.randrange(1, _PRIME)) for place, key in enumerate(keys)}
    sketch = []
    for known in terms:
        row = [0] * (count + _SPARE)
        scale = lcm(1, *{int(c.q) for c in known.values()})
        for key, c in known.items():
            if key in factors:
                place, factor = factors[key]
                row[place] += int((c * scale).p) * factor
        sketch.append([value % _PRIME for value in row])
    return int(nmod_mat(count, count + _SPARE, [value for row in sketch for value in row], _PRIME).rank()) == count


_: type[ExactModel] = PolynomialModel
