"""What the exact half asks of a model: the exact twin of its statement, of one problem (its weights, its law).

A batch enters through means of features of its examples; the twin says which, for steps from weights that are numbers and from
any weights, and what the gradient is in these means over whatever ring; what is asked of the last step; and how much work it is,
for the cost models. Weights are leaves, each kept as a matrix.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb
from typing import Any, Protocol, TypeVar

from linvar.exact import Matrix
from linvar.laws.polynomial import Polynomial, coordinates
from linvar.matrices import Rows
from linvar.plain_data import Plain
from linvar.problem import Problem
from linvar.rings import RingElement, RingLike, T
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.models.closure import NOT_CLOSED, Closure
from linvar.symbolic.models.step import MOST_VARIABLES, Step

H_co = TypeVar("H_co", bound=RingElement[Any], covariant=True)

#: Counts at least as large are as good as infinite.
ENDLESS = 10**18


class Here(Protocol[H_co]):
    """A model at some weights, over the ring they live in: what is asked of the last step of SGD."""

    @property
    def mean_gradients(self) -> Sequence[Rows[H_co]]:
        """E of one example's gradient, leaf by leaf."""
        ...

    @property
    def spreads(self) -> Sequence[H_co]:
        """tr Cov of one example's gradient in each leaf."""
        ...

    @property
    def doubled_loss(self) -> H_co:
        """Twice the population loss."""
        ...


@dataclass(frozen=True, eq=False)
class ExactModel(ABC):
    """The exact twin of a model (see the module docstring).

    Attributes:
        problem: the statement: weights, law, degree.
        law: the exact twin of its law.
    """

    problem: Problem
    law: ExactLaw

    @cached_property
    @abstractmethod
    def moving(self) -> Step:
        """A step from any weights."""

    @abstractmethod
    def fixed(self, weights: tuple[Matrix, ...]) -> Step:
        """A step from weights that are numbers."""

    @cached_property
    def still(self) -> Step:
        """A step whose batch changes nothing: the learning rate or the gradient is zero, and there is no momentum."""
        return StillStep(self)

    @property
    @abstractmethod
    def numeric(self) -> bool:
        """Whether steps from the first weights can be taken in numbers."""

    @abstractmethod
    def only_decays(self) -> bool:
        """Whether weights with symbols only decay, whatever the batches."""

    @abstractmethod
    def at(self, weights: Sequence[Rows[T]], ring: RingLike[T]) -> Here[T]:
        """The model at these weights."""

    def statement(self, problem: Problem) -> Mapping[str, Plain]:
        """What is derived of this problem, at any of its steps, in plain data: the same in every process and version."""
        return problem.to_dict()

    @property
    def layers(self) -> tuple[Matrix, ...] | None:
        """W_1, ..., W_L of a linear network; None for other models."""
        return None

    @cached_property
    def closure(self) -> Closure:
        """Whether mean and second moment of the weights close on themselves, and on what."""
        return NOT_CLOSED

    # sizes

    @property
    def entries(self) -> int:
        """P, the number of weights."""
        return sum(len(matrix) * len(matrix[0]) for matrix in self.problem.leaves)

    @property
    def feature_degree(self) -> int:
        """Of its features in the numbers that the law is made of (``ExactLaw.degree_of``), at most."""
        return 2 * self.law.degree_of(coordinates(self.law.width))

    @property
    def squares(self) -> int:
        """Polynomials in the weights that are squared in the second moment of the gradient: its entries, and their spreads."""
        return self.entries * (1 + self.moving.count())

    @property
    def fourth_moments(self) -> int:
        """Fourth moments of an example that the spread goes through; 0 where it goes through features."""
        return 0

    @property
    @abstractmethod
    def gradient_products(self) -> int:
        """Products in a batch gradient, about."""

    @property
    @abstractmethod
    def spread_terms(self) -> int:
        """Terms of the spread as a polynomial in the weights, about."""

    @abstractmethod
    def taylor_terms(self, order: int) -> int:
        """Coefficients of an update in deviations of the weights up to twice this order, about."""

    @property
    def too_wide_to_count(self) -> bool:
        """Whether to run a step on numbers that count takes more than a moment."""
        return False

    def rough_work(self, variables: int) -> tuple[int, int]:
        """Products in a step of so many variables and in the last step, and terms of an entry of the gradient, where it is so."""
        return self.gradient_products, self.gradient_products

    def monomials(self, variables: Sequence[int], central: Sequence[bool], factors: int) -> int:
        """Monomials of products of so many entries of the mean gradient in W_t, in the variables of the steps before.

        A form of degree D in W_t is of degree at most D in the last batch and (p-1) D in the weights before it, p the degree
        of the loss: N_s(D) = C(D + m_s, m_s) N_{s-1}((p-1) D). In symbols: of that degree in all of them.
        """
        degree, found = factors * max(0, self.problem.degree - 1), 1
        for count in reversed(variables):
            if max(degree, count) > 10**4:
                return ENDLESS
            found *= comb(degree + count, count)
            degree *= self.problem.growth
        symbols = len(self.problem.symbols)
        return min(ENDLESS, found * comb(degree + symbols, symbols) if degree < 10**4 else ENDLESS)

    def answer_terms(self, variables: Sequence[int]) -> int:
        """Terms of the second moment in 1/b and the symbols, at most."""
        each = self.monomials([0] * len(variables), [False] * len(variables), 2)
        return min(ENDLESS, each * (1 + self.problem.degree_bound))

    def kept_in_symbols(self, order: int) -> tuple[int, int]:
        """Monomials in the symbols of a coefficient, and of the moments of the weights up to order 2K, where symbols are."""
        each = self.monomials([0] * self.problem.step, [False] * self.problem.step, 2)
        return each, min(ENDLESS, each * comb(2 * order + self.entries, self.entries))


@dataclass(frozen=True, eq=False)
class StillStep:
    """A step whose batch changes nothing."""

    model: ExactModel
    features: tuple[Polynomial, ...] = ()
    central: bool = True
    bound: int = 0
    moves: bool = False

    def count(self, most: int = MOST_VARIABLES) -> int:
        return 0

    def gradients(self, weights: Sequence[Rows[T]], variables: Sequence[T], ring: RingLike[T]) -> list[Rows[T]]:
        return list(self.model.at(weights, ring).mean_gradients)
