"""What a derivation answers: named quantities, each made of the answers to a few questions.

With the mean gradient gbar given W_t and the spread s = tr Cov of one example's gradient given W_t,

    E ||G||^2 = E ||gbar||^2 + c E s,      ||E G||^2 = sum of (E gbar_i)^2,      var = E ||G||^2 - ||E G||^2,

c the factor by which a batch mean varies less than one example (``sampling_factor``). Frozen and hashable.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import ClassVar, Protocol, TypeVar

from linvar.errors import InputError, InputTypeError
from linvar.flint import fmpq
from linvar.problem import Problem
from linvar.symbolic.algebra.ring import Element, Ring, coefficients_of
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.symbolic.sgd.batch_moments import sampling_factor
from linvar.symbolic.sgd.last_step import OF
from linvar.symbolic.sgd.questions import DoubledLoss, Entries, Means, Norms, Products, Question

T = TypeVar("T")
Polynomials = tuple[BatchPolynomial, ...]


@dataclass(frozen=True)
class Asked:
    """A problem on a road, which answers questions in a ring."""

    problem: Problem
    ring: Ring
    ask: Callable[[Question], list[Element]]
    squared_means: Callable[[str], list[Element]]

    def bound(self, degree: int) -> int:
        """Degree in 1/b of the expectation of a form of this degree in the state."""
        return sum(max(0, degree * self.problem.growth**j - 1) for j in range(self.problem.step))

    def polynomials(self, values: Sequence[Element], degree_bound: int) -> Polynomials:
        """Elements of the ring as BatchPolynomials."""
        return tuple(
            BatchPolynomial(
                coefficients_of(value, self.ring),
                ring=self.ring.scalars,
                sampling=self.problem.sampling,
                dataset_size=self.problem.dataset_size,
                degree_bound=degree_bound,
            )
            for value in values
        )


class Quantity(Protocol):
    """Named, frozen and hashable."""

    @property
    def name(self) -> str:
        """As an attribute of a derivation."""
        ...

    def of_problem(self, asked: Asked) -> Polynomials:
        """One polynomial, or one for each leaf or entry."""
        ...


@dataclass(frozen=True)
class SecondMoment:
    """E ||G_l||^2 = E ||gbar_l||^2 + c E (spread of one example's g_l), summed over l or for each."""

    of: str = "gradient"
    per_leaf: bool = False

    @property
    def name(self) -> str:
        return named("second_moment", self.of, self.per_leaf)

    def of_problem(self, asked: Asked) -> Polynomials:
        check_measured(self.of, asked.problem)
        values = asked.ask(Norms(self.of, self.per_leaf))
        factor = sampling_factor(asked.ring, asked.problem.sampling, asked.problem.dataset_size)
        half = len(values) // 2
        results = [mean + factor * spread for mean, spread in zip(values[:half], values[half:])]
        return asked.polynomials(results, asked.problem.degree_bound)


@dataclass(frozen=True)
class SquaredMean:
    """||E G_l||^2, entry by entry, summed over l or for each."""

    of: str = "gradient"
    per_leaf: bool = False

    @property
    def name(self) -> str:
        return named("squared_mean", self.of, self.per_leaf)

    def of_problem(self, asked: Asked) -> Polynomials:
        check_measured(self.of, asked.problem)
        squares = asked.squared_means(self.of)
        bound = 2 * asked.bound(Means(self.of).degree(asked.problem.degree))
        return asked.polynomials(squares if self.per_leaf else [sum(squares, asked.ring.zero)], bound)


@dataclass(frozen=True)
class Variance:
    """The difference of the two."""

    of: str = "gradient"
    per_leaf: bool = False

    @property
    def name(self) -> str:
        return named("variance", self.of, self.per_leaf)

    def of_problem(self, asked: Asked) -> Polynomials:
        second = SecondMoment(self.of, self.per_leaf).of_problem(asked)
        squared = SquaredMean(self.of, self.per_leaf).of_problem(asked)
        found = tuple(a - b for a, b in zip(second, squared))
        if not asked.problem.scheme.within_dataset and not all(one.vanishes_at_infinity for one in found):
            raise ArithmeticError(
                f"the variance of {asked.problem!r} does not vanish as the batch size grows: a fault of the machine, or a bug "
                f"(please report it)"
            )
        return found


@dataclass(frozen=True)
class Loss:
    """Half of E ||P x - y||^2 at W_t."""

    name: ClassVar[str] = "loss"

    def of_problem(self, asked: Asked) -> Polynomials:
        question = DoubledLoss()
        (doubled,) = asked.ask(question)
        return asked.polynomials([doubled * fmpq(1, 2)], asked.bound(question.degree(asked.problem.degree)))


@dataclass(frozen=True)
class Weights:
    """E of every entry of W_t."""

    name: ClassVar[str] = "weights"

    def of_problem(self, asked: Asked) -> Polynomials:
        return asked.polynomials(asked.ask(Entries()), asked.bound(1))


@dataclass(frozen=True)
class WeightCovariance:
    """Cov of the entries i <= j of W_t."""

    name: ClassVar[str] = "weight_covariance"

    def of_problem(self, asked: Asked) -> Polynomials:
        means, products = asked.ask(Entries()), asked.ask(Products())
        pairs = combinations_with_replacement(means, 2)
        return asked.polynomials([value - a * b for value, (a, b) in zip(products, pairs)], asked.bound(2))


def named(word: str, of: str, per_leaf: bool) -> str:
    """The name of what is measured.

    >>> Variance("update", per_leaf=True).name, SecondMoment().name
    ('per_leaf.update_variance', 'second_moment')
    """
    return f"{'per_leaf.' * per_leaf}{'update_' * (of == 'update')}{word}"


def check_measured(of: str, problem: Problem) -> None:
    """Of the gradient, or of an update that has a learning rate.

    Raises:
        InputTypeError, InputError: ``of`` is neither; or an update after a schedule, which has no rate for it.
    """
    cure = "write 'gradient' or 'update'"
    if not isinstance(of, str):
        raise InputTypeError("of", of, cure)
    if of not in OF:
        raise InputError("of", of, cure, fault="is unknown")
    if of == "update" and isinstance(problem.learning_rate, tuple):
        fault = f"with a schedule of {problem.step} learning rates, none of which is for the update measured"
        raise InputError("of", of, "give one learning_rate", fault=fault)


def symmetric(pairs: Sequence[T], size: int) -> tuple[tuple[T, ...], ...]:
    """The symmetric matrix whose entries i <= j are given row by row."""
    found = dict(zip(combinations_with_replacement(range(size), 2), pairs))
    return tuple(tuple(found[min(i, j), max(i, j)] for j in range(size)) for i in range(size))
