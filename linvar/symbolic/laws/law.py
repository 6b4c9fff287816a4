"""What the exact half asks of a law: moments of features of ONE example, and whatever it knows a faster way to.

A law chooses coordinates z in which it is simple and says how input and target are read from them, x = X z and y = Y z. A batch
enters a step of SGD through batch means of features f_j(z), polynomials in these coordinates; all that a road needs of them are

    moments     E prod_j f_j(z)^{a_j}, |a| <= order

the one obligation. The rest follows from it below, and a law overrides what it has a formula for (``Gaussian``: cumulants of
quadratic forms by traces) or what tells more (where z can be; sizes for the cost models).

A ring is passed in (``ring.lift`` an exact number, ``ring.gens`` variables theta, ``ring.from_terms`` a dictionary of
monomials): the formulas never ask what kind it is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from itertools import chain, combinations_with_replacement
from math import comb, factorial, lcm, log2, prod
from typing import TYPE_CHECKING

from linvar.errors import InputError, InputTypeError
from linvar.exact import Exact, Matrix, Rational, Vector
from linvar.laws.polynomial import Polynomial, coordinates
from linvar.matrices import Rows
from linvar.rings import PolynomialRingLike, RingLike, T
from linvar.symbolic.algebra.ring import Exponents, Numbers
from linvar.symbolic.laws.along import Along, at_points
from linvar.symbolic.laws.nodes import integer_nodes
from linvar.symbolic.laws.wishart import Wishart

if TYPE_CHECKING:
    import sympy


class ExactLaw(ABC):
    """The exact twin of a law (see the module docstring)."""

    # what a law says

    @property
    @abstractmethod
    def input_map(self) -> Matrix:
        """X with x = X z, shape (d_0, m)."""

    @property
    @abstractmethod
    def target_map(self) -> Matrix:
        """Y with y = Y z, shape (d_L, m)."""

    @abstractmethod
    def moments(self, features: Sequence[Polynomial], order: int, ring: RingLike[T]) -> dict[Exponents, T]:
        """E prod_j features[j](z)^{a_j} for the exponents a with 1 <= |a| <= order; those left out are zero.

        Raises:
            InputError: the law has no such moments.
        """

    @property
    def size(self) -> int | None:
        """n, where an example is one of n, each with probability 1/n, and a batch may be a subset of them; otherwise None."""
        return None

    @property
    def symbols(self) -> tuple[sympy.Expr, ...]:
        """SymPy symbols that occur in the law."""
        return ()

    @property
    def highest_moment(self) -> int | None:
        """The highest degree in z of which all moments exist; None where they all do."""
        return None

    @property
    def wishart(self) -> Wishart | None:
        """Its covariance, where examples are normal of mean zero: a batch's second moment is then a Wishart matrix. Else None."""
        return None

    # what follows

    def checked_moments(self, features: Sequence[Polynomial], order: int, ring: RingLike[T]) -> dict[Exponents, T]:
        """The same, in the form that is asked for.

        Raises:
            InputTypeError: they are no dictionary from exponents to elements of the ring.
        """
        found, one, count = self.moments(features, order, ring), ring.lift(1), len(features)
        kind = type(one * one)  # of numbers Fraction, where the ring lifts to a kind of it
        well = isinstance(found, dict) and all(
            isinstance(key, tuple) and len(key) == count and isinstance(value, kind) for key, value in found.items()
        )
        if not well:
            cure = "give a dictionary from linvar.testing.exponents(len(features), order) to ring.lift(number)"
            raise InputTypeError("moments(features, order, ring)", found, cure, fault="is no such dictionary")
        return found

    @property
    def width(self) -> int:
        """m, the number of coordinates."""
        return len(self.input_map[0])

    def means(self, features: Sequence[Polynomial], ring: RingLike[T]) -> list[T]:
        """E f_j."""
        found, zero = self.checked_moments(features, 1, ring), ring.lift(0)
        return [found.get(_unit(j, len(features)), zero) for j in range(len(features))]

    def second_moment(self, ring: RingLike[T]) -> list[list[T]]:
        """E z z^T, shape (m, m)."""
        found, zero, size = self.checked_moments(coordinates(self.width), 2, ring), ring.lift(0), range(self.width)
        return [[found.get(_exponents((i, j), self.width), zero) for j in size] for i in size]

    def weighted_second_moment(self, form: Rows[T], ring: RingLike[T]) -> list[list[T]]:
        """E q(Theta) z z^T for symmetric Theta, q = z^T Theta z: its entries times the fourth moments of z."""
        moments, zero, size = self._fourth(ring), ring.lift(0), self.width
        entries = [(i, j, form[i][j] * (1 + (i != j))) for i, j in _pairs(size) if form[i][j] != 0]
        result = [[zero] * size for _ in range(size)]
        for k, l in _pairs(size):
            total = zero
            for i, j, entry in entries:
                moment = moments.get(tuple(sorted((i, j, k, l))))
                if moment is not None:
                    total = total + entry * moment
            result[k][l] = result[l][k] = total
        if self.symbols:
            return result
        divisor = ring.lift(Rational(1, self._integer_fourth_moments[0]))
        return [[entry * divisor for entry in row] for row in result]

    def _fourth(self, ring: RingLike[T]) -> dict[tuple[int, ...], T | int]:
        """E z_a z_b z_c z_d for a <= b <= c <= d; of a law of numbers these times their common denominator."""
        if not self.symbols:
            return {**self._integer_fourth_moments[1]}
        found = self.checked_moments(coordinates(self.width), 4, ring)
        return {_places(key): value for key, value in found.items() if sum(key) == 4}

    @cached_property
    def _integer_fourth_moments(self) -> tuple[int, dict[tuple[int, ...], int]]:
        """A common denominator of the fourth moments of z, and these times it, those that are not zero."""
        found = self.checked_moments(coordinates(self.width), 4, Numbers)
        fourth = {_places(key): value for key, value in found.items() if sum(key) == 4 and value}
        scale = common_denominator(fourth.values())
        return scale, {key: value.numerator * (scale // value.denominator) for key, value in fourth.items()}

    def cumulants(self, features: Sequence[Polynomial], order: int, ring: PolynomialRingLike[T]) -> list[T]:
        """kappa_k of sum_j theta_j f_j, k = 1..order, with theta_j = ring.gens[j]: the logarithm of the moments."""
        moments = self.powers(features, order, ring)
        return logarithm(moments, ring)

    def power_sums(
        self, features: Sequence[Polynomial], order: int, ring: PolynomialRingLike[T], central: bool = False
    ) -> list[T]:
        """sum_i (sum_j theta_j f_j(z_i))^k over the n examples, k = 1..order; of f_j less their means if ``central``.

        Raises:
            InputError: the law is no finite data set.
        """
        if self.size is None:
            raise InputError("law", self, "give linvar.Dataset(inputs, targets)", fault="has no examples to sum over")
        parts = self.powers(self.centred(features) if central else features, order, ring)
        return [part * ring.lift(self.size * factorial(k)) for k, part in enumerate(parts, 1)]

    def centred(self, features: Sequence[Polynomial]) -> list[Polynomial]:
        """The features less their means, which are numbers."""
        return [feature - mean for feature, mean in zip(features, self.means(features, Numbers))]

    def powers(self, features: Sequence[Polynomial], order: int, ring: PolynomialRingLike[T]) -> list[T]:
        """E (sum_j theta_j f_j)^k / k! = sum over |a| = k of E f^a theta^a / a!, k = 1..order."""
        if not self.symbols:
            terms: list[dict[Exponents, Rational]] = [{} for _ in range(order)]
            for key, number in self.checked_moments(features, order, Numbers).items():
                terms[sum(key) - 1][key] = Rational(number / prod(map(factorial, key)))
            return [ring.from_terms(part) for part in terms]
        parts = [ring.lift(0)] * order
        for key, moment in self.checked_moments(features, order, ring).items():
            monomial = ring.from_terms({key: Rational(1, prod(map(factorial, key)))})
            parts[sum(key) - 1] = parts[sum(key) - 1] + monomial * moment
        return parts

    # where z can be; a law that does not say is asked for second moments of features in its place

    @property
    def fills_space(self) -> bool:
        """Whether no polynomial in z vanishes almost surely, as far as that is known."""
        return False

    def support(self, degree: int) -> Iterator[Vector]:
        """Points such that a polynomial in z of this degree that vanishes at them vanishes almost surely; none: not known."""
        return iter(())

    def scattered(self, count: int) -> Iterator[Vector]:
        """A few points where z can be, at most so many."""
        return iter(())

    # digits: numbers whose digits the answers grow from

    def numbers(self) -> list[Exact]:
        """Numbers of the map to the target, or of the first examples."""
        return [entry for row in (*self.input_map, *self.target_map) for entry in row]

    def factors(self) -> tuple[list[Exact], int]:
        """Numbers that the entries of E z z^T are made of, and how many of them are multiplied in an entry: 1 or 2."""
        return [Rational(entry) for row in self._second_moment_of_numbers for entry in row], 1

    def denominator_bits(self) -> float:
        """log2 of a common denominator of E z z^T and of the map to the target, about; symbols are left out."""
        return log2(common_denominator([*self.numbers(), *self.factors()[0]]))

    @cached_property
    def _second_moment_of_numbers(self) -> list[list[Fraction]]:
        return [] if self.symbols else self.second_moment(Numbers)

    # work

    def summed(self, order: int) -> int:
        """Points whose values are summed in a moment of quadratic features up to this order; 0 where a formula has it."""
        return 0

    def preparation(self, order: int) -> float:
        """Seconds that moments of quadratic features up to this order take before the first of them, where it is much."""
        return 0.0

    def degree_of(self, features: Sequence[Polynomial]) -> int:
        """The highest degree of some features in the numbers that the law is made of."""
        return max((feature.degree for feature in features), default=0)

    def moment_seconds(self, features: int, order: int, degree: int) -> float:
        """Seconds that moments of so many features of this degree (``degree_of``) take, where no formula or sum has them."""
        return 0.0

    @property
    def by_fourth_moments(self) -> bool:
        """Whether ``weighted_second_moment`` goes through all fourth moments of z, or is a formula in matrices."""
        return True

    # symmetries

    @property
    def white(self) -> bool:
        """Whether E x x^T is the identity, as far as it takes no arithmetic to see."""
        return False

    @property
    def flippable_map(self) -> Matrix | None:
        """The map to the target, shape (d_L, d_0), if signs of coordinates may flip together with its entries; otherwise None."""
        return None

    # residues

    def along(self, features: Sequence[Polynomial], order: int, central: bool) -> Along:
        """What the moments of the features up to an order, less their means if ``central``, are computed from.

        Here integer points, whose signed weights have the moments of the features.
        """
        chosen = self.centred(features) if central else features
        points, weights = integer_nodes(self.checked_moments(chosen, order, Numbers), len(chosen), order)
        return at_points([list(map(Fraction, column)) for column in zip(*points)], weights)

    def points(self, features: int, order: int) -> int:
        """How many points ``along`` takes for so many features; 0 for none."""
        return comb(features + order, order)


def logarithm(moments: Sequence[T], ring: RingLike[T]) -> list[T]:
    """kappa_k, k = 1, 2, ..., from mu_k / k!: with L_k = kappa_k / k!, n mu_n/n! = sum_{k<=n} k L_k mu_{n-k}/(n-k)!."""
    logs: list[T] = []
    for n, value in enumerate(moments, 1):
        for k in range(1, n):
            value = value - logs[k - 1] * moments[n - k - 1] * ring.lift(Rational(k, n))
        logs.append(value)
    return [value * factorial(k) for k, value in enumerate(logs, 1)]


def exponential(cumulants: Sequence[T], ring: RingLike[T]) -> list[T]:
    """mu_k / k! from kappa_k, k = 1, 2, ...: the other way."""
    logs = [value * ring.lift(Rational(1, factorial(k))) for k, value in enumerate(cumulants, 1)]
    moments: list[T] = []
    for n, value in enumerate(logs, 1):
        for k in range(1, n):
            value = value + logs[k - 1] * moments[n - k - 1] * ring.lift(Rational(k, n))
        moments.append(value)
    return moments


def exponents(count: int, order: int) -> list[Exponents]:
    """The a with 1 <= |a| <= order of so many features.

    >>> exponents(2, 2)
    [(1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
    """
    return [powers for powers, _ in graded(count, order)]


def graded(count: int, order: int) -> Iterator[tuple[Exponents, Exponents]]:
    """Exponents of ``count`` features with 1 <= |a| <= order, each with the places of its factors in order."""
    for k in range(1, order + 1):
        for places in combinations_with_replacement(range(count), k):
            yield _exponents(places, count), places


def common_denominator(entries: Iterable[Exact | Fraction]) -> int:
    """The least common denominator of exact numbers; symbols are left out.

    >>> common_denominator([Rational(1, 6), Rational(3, 4)])
    12
    """
    return lcm(1, *{entry.denominator for entry in entries if isinstance(entry, Fraction)})


def _exponents(places: Sequence[int], count: int) -> Exponents:
    """How often each place occurs."""
    found = [0] * count
    for place in places:
        found[place] += 1
    return tuple(found)


def _places(exponents: Exponents) -> tuple[int, ...]:
    """The same, the other way."""
    return tuple(chain.from_iterable((place,) * power for place, power in enumerate(exponents)))


def _unit(place: int, count: int) -> Exponents:
    return tuple(int(j == place) for j in range(count))


def _pairs(size: int) -> list[tuple[int, int]]:
    """Index pairs i <= j."""
    return list(combinations_with_replacement(range(size), 2))
