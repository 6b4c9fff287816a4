"""A loss of degree 2 at most in the weights: the gradient of one example is affine in them.

    g(w) = h w~,     w~ = (w, 1),     h of shape (P, P + 1): the Hessian of the loss of one example, then its gradient at w = 0

The entries of h are polynomials in the coordinates of the example, the same for (a, c) and (c, a). So, given w, the gradient G of
a batch has

    E G = H w~,     Cov(G_a, G_b) = c sum_{cd} K_{ac,bd} w~_c w~_d,     H = E h,     K_{ac,bd} = Cov(h_ac, h_bd),

c the factor by which a batch mean varies less than one example: mean and second moment of w~ are all that is asked of the
weights, after any number of steps. Entries of h that are multiples of one another are one feature.
Source: derived here; proofs/linear-regression.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import chain, combinations_with_replacement
from math import prod
from typing import TYPE_CHECKING, Generic

from linvar.exact import Rational
from linvar.laws.polynomial import Places, Polynomial
from linvar.matrices import Rows
from linvar.rings import RingLike, T
from linvar.symbolic.algebra.ring import Element, Exponents, Numbers, to_rational
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.models.closure import Closure

if TYPE_CHECKING:
    from linvar.symbolic.models.polynomial.model import PolynomialModel

#: (a, c) with a <= c <= P, P the place of the 1 in w~
Place = tuple[int, int]
#: a feature, a monomial in the symbols of the law, a number: what multiplies the feature in an entry of h
Multiple = tuple[int, Exponents, Rational]


@dataclass(frozen=True, eq=False)
class AffineGradient(Closure):
    """What SGD on such a loss needs of it (see the module docstring).

    Attributes:
        model: the exact twin of the loss.
    """

    model: PolynomialModel = field(kw_only=True)

    @property
    def size(self) -> int:
        """P, the number of weights."""
        return self.model.entries

    @cached_property
    def parts(self) -> dict[Place, dict[Exponents, Polynomial]]:
        """The entries of h, and at (P, P) what no weight multiplies, by monomials in the symbols of the law."""
        count, width = self.size, self.model.law.width
        found: dict[Place, dict[Exponents, dict[Places, Rational]]] = {}
        for key, coefficient in self.model.loss.terms():
            weights = _places(key[:count])
            first, second, *_ = (*weights, count, count)
            place = (first, second)
            twice = 2 if len(weights) == 2 and weights[0] == weights[1] else 1  # w_a^2 has the derivative 2 w_a
            inside = found.setdefault(place, {}).setdefault(tuple(map(int, key[count + width :])), {})
            inside[_places(key[count : count + width])] = to_rational(coefficient * twice)
        return {
            place: {symbols: Polynomial.of(terms) for symbols, terms in inside.items()}
            for place, inside in found.items()
        }

    @cached_property
    def _varying(self) -> tuple[list[Polynomial], dict[Place, list[Multiple]]]:
        """The features, and what varies of each entry of h as multiples of them."""
        places: dict[Polynomial, int] = {}
        multiples: dict[Place, list[Multiple]] = {}
        for place, inside in self.parts.items():
            for symbols, polynomial in inside.items() if place[0] < self.size else ():
                terms = [term for term in polynomial.terms if term[0]]
                if terms:
                    factor = terms[0][1]
                    feature = Polynomial(tuple((key, Rational(c / factor)) for key, c in terms))
                    multiples.setdefault(place, []).append((places.setdefault(feature, len(places)), symbols, factor))
        return list(places), multiples

    @property
    def features(self) -> Sequence[Polynomial]:
        """What of an example varies in h, each up to a factor and a constant."""
        return self._varying[0]

    @property
    def degree(self) -> int:
        """The highest of a feature."""
        return max((feature.degree for feature in self.features), default=0)

    @property
    def varying_entries(self) -> int:
        """The entries of h that vary, (a, c) and (c, a) each."""
        return sum(2 if a != c < self.size else 1 for a, c in self._varying[1])

    def mean(self, ring: RingLike[T]) -> dict[Place, T]:
        """H, those entries that are not zero, over a ring with the symbols of the law."""
        features, multiples = self._varying
        means = self._lifted_means(features, ring)
        found = {}
        for place, inside in self.parts.items():
            if place[0] < self.size:
                total = ring.lift(0)
                for symbols, polynomial in inside.items():
                    constants = [c for key, c in polynomial.terms if not key]
                    if constants:
                        total = total + self._monomial(symbols, ring) * ring.lift(constants[0])
                for feature, symbols, factor in multiples.get(place, ()):
                    total = total + self._monomial(symbols, ring) * means[feature] * ring.lift(factor)
                found[place] = total
        return {place: value for place, value in found.items() if value != 0}

    def constant(self, ring: RingLike[T]) -> T:
        """E of what no weight multiplies in the loss."""
        inside = self.parts.get((self.size, self.size), {})
        means = self._lifted_means(list(inside.values()), ring)
        return sum((self._monomial(key, ring) * mean for key, mean in zip(inside, means)), ring.lift(0))

    def _lifted_means(self, features: Sequence[Polynomial], ring: RingLike[T]) -> list[T]:
        """E of features."""
        law = self.model.law
        if not features or law.symbols:
            return law.means(features, ring) if features else []
        return [ring.lift(Rational(value)) for value in law.means(features, Numbers)]

    def _monomial(self, exponents: Exponents, ring: RingLike[T]) -> T:
        """A monomial in the symbols."""
        factors = (ring.lift(symbol) for symbol, k in zip(self.model.symbols, exponents) for _ in range(k))
        return prod(factors, start=ring.lift(1))

    def covariance(self, ring: RingLike[T]) -> dict[Place, dict[Place, T]]:
        """K, those entries that are not zero, for places (a, c) with a <= c."""
        multiples, known = self._varying[1], self._of_features(ring)
        lifted = {
            place: [(j, self._monomial(symbols, ring) * ring.lift(factor)) for j, symbols, factor in found]
            for place, found in multiples.items()
        }
        result: dict[Place, dict[Place, T]] = {place: {} for place in lifted}
        for first, second in combinations_with_replacement(lifted, 2):
            pairs = [(x, y, known.get((min(i, j), max(i, j)))) for i, x in lifted[first] for j, y in lifted[second]]
            products = [x * y * value for x, y, value in pairs if value is not None]
            total = sum(products[1:], products[0]) if products else None
            if total is not None and total != 0:
                result[first][second] = result[second][first] = total
        return result

    def _of_features(self, ring: RingLike[T]) -> dict[Place, T]:
        """Cov(f_i, f_j), i <= j, where it is not zero."""
        if self.model.law.symbols:
            return _covariances(self.model.law, self.features, ring)
        return {pair: ring.lift(Rational(value)) for pair, value in self._numbers.items()}

    @cached_property
    def _numbers(self) -> dict[Place, Fraction]:
        """The same, where they are numbers."""
        return _covariances(self.model.law, self.features, Numbers)

    # of the last step, over the ring of the weights and of the symbols of the law

    @cached_property
    def mean_gradient(self) -> list[Element]:
        """H w~."""
        ring, mean = self.model.ring, self.mean(self.model.ring)
        entries: list[list[Element]] = [[] for _ in range(self.size)]
        for (a, c), value in mean.items():
            entries[a].append(value * self._weights[c])
            if a != c < self.size:
                entries[c].append(value * self._weights[a])
        return [sum(parts, ring.zero) for parts in entries]

    @cached_property
    def spreads(self) -> list[Element]:
        """sum_{cd} K_{ac,ad} w~_c w~_d, summed over the weights a of each leaf."""
        ring, known, found, first = self.model.ring, self.covariance(self.model.ring), [], 0
        for matrix in self.model.problem.leaves:
            last = first + len(matrix) * len(matrix[0])
            forms: dict[Place, Element] = {}
            for a in range(first, last):
                for c, d in combinations_with_replacement(range(self.size + 1), 2):
                    value = known.get(_ordered(a, c), {}).get(_ordered(a, d))
                    if value is not None:
                        forms[c, d] = forms.get((c, d), ring.zero) + value * (1 if c == d else 2)
            products = [value * (self._weights[c] * self._weights[d]) for (c, d), value in forms.items()]
            found.append(sum(products, ring.zero))
            first = last
        return found

    @cached_property
    def doubled_loss(self) -> Element:
        """2 E l = w^T H w~ + (the gradient at w = 0) . w + 2 (what no weight multiplies)."""
        ring, mean = self.model.ring, self.mean(self.model.ring)
        linear = sum((value * self._weights[a] for (a, c), value in mean.items() if c == self.size), ring.zero)
        quadratic = sum((w * g for w, g in zip(ring.gens, self.mean_gradient)), ring.zero)
        return quadratic + linear + self.constant(ring) * 2

    @cached_property
    def _weights(self) -> list[Element]:
        """w~."""
        return [*self.model.ring.gens, self.model.ring.one]


@dataclass(frozen=True, eq=False)
class AffineHere(Generic[T]):
    """The model at some weights: what is asked of the last step of SGD."""

    affine: AffineGradient
    weights: Sequence[Rows[T]]
    ring: RingLike[T]

    def _values(self, polynomials: Sequence[Element]) -> list[T]:
        return self.affine.model.values(self.weights, self.ring).of(polynomials)

    @cached_property
    def mean_gradients(self) -> list[Rows[T]]:
        """H w~."""
        return self.affine.model.in_shape(self._values(self.affine.mean_gradient))

    @cached_property
    def spreads(self) -> list[T]:
        """sum_a sum_{cd} K_{ac,ad} w~_c w~_d, leaf by leaf."""
        return self._values(self.affine.spreads)

    @cached_property
    def doubled_loss(self) -> T:
        """2 E l."""
        (value,) = self._values([self.affine.doubled_loss])
        return value


def _covariances(law: ExactLaw, features: Sequence[Polynomial], ring: RingLike[T]) -> dict[Place, T]:
    """Cov(f_i, f_j), i <= j, where it is not zero."""
    if not features:
        return {}
    found, zero = {_indices(key): value for key, value in law.checked_moments(features, 2, ring).items()}, ring.lift(0)
    means = [found.get((j,), zero) for j in range(len(features))]
    pairs = combinations_with_replacement(range(len(features)), 2)
    each = (((i, j), found.get((i, j), zero) - means[i] * means[j]) for i, j in pairs)
    return {pair: value for pair, value in each if value != 0}


def _places(exponents: Sequence[int]) -> Places:
    """The variables of a monomial, each as often as it occurs."""
    return tuple(chain.from_iterable((place,) * int(k) for place, k in enumerate(exponents) if k))


def _ordered(a: int, c: int) -> Place:
    return (a, c) if a <= c else (c, a)


def _indices(exponents: Exponents) -> tuple[int, ...]:
    """The one or two places of exponents of sum 1 or 2."""
    if 2 in exponents:
        return (exponents.index(2),) * 2
    first = exponents.index(1)
    return (first, exponents.index(1, first + 1)) if 1 in exponents[first + 1 :] else (first,)
