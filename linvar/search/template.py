"""A problem whose numbers are varied: which of them, how a point stands for them, and the problem of a point.

A point has one coordinate for each number that is varied: the number itself, or its logarithm where it stays positive.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.exact import Rational
from linvar.laws.law import Number
from linvar.problem import Problem
from linvar.search.certificate import significant

#: Significant digits to which a point is rounded, in this order.
_DIGITS = (1, 2, 3, 4, 5, 6)
#: Starts: a number within so many times its size in the template (1 for 0), or larger or smaller by such a factor.
_SPREAD, _FACTOR = 2.0, 20.0
#: The numbers that are no part of the law; ``LAW`` names all that are.
_WEIGHTS, _RATE, LAW = "weights", "learning_rate", "law"

Leaves: TypeAlias = tuple[Array, ...]


@dataclass(frozen=True)
class Template:
    """A problem, and which of its numbers are varied.

    Attributes:
        problem: without symbols.
        numbers: those that may vary: the weights, leaf by leaf and row by row, the learning rates, and those of the law.
        places: of ``numbers`` that do, ascending.
    """

    problem: Problem
    numbers: tuple[Number, ...]
    places: tuple[int, ...]

    @classmethod
    def of(cls, problem: Problem, vary: Any = None) -> Template:
        """The template of a problem.

        Args:
            problem: the problem.
            vary: names of parts; all of them if None.

        Raises:
            InputTypeError: ``vary`` is no list of names.
            InputError: the problem has symbols, or nothing of it varies.
        """
        if problem.symbols:
            names = cut(", ".join(map(str, problem.symbols)), 60)
            raise InputError("problem", Words(f"contains the symbols {names}"), "put numbers in their place")
        own = problem.law.numbers_to_vary()
        weights = [Number(_WEIGHTS, Rational(entry)) for leaf in problem.leaves for row in leaf for entry in row]
        rates = [Number(_RATE, Rational(rate), positive=True) for rate in problem.distinct_learning_rates]
        parts = _checked(vary, problem, own)
        numbers = (*weights, *rates, *own)
        first = len(numbers) - len(own)
        chosen = (i for i, one in enumerate(numbers) if one.part in parts or (i >= first and LAW in parts))
        places = tuple(i for i in chosen if not numbers[i].fixed)
        return cls(problem, numbers, places)

    def with_values(self, values: Sequence[Rational]) -> Problem:
        """The problem with these in the place of ``numbers``."""
        problem, rest = self.problem, iter(values)
        entries = [next(rest) for leaf in problem.leaves for row in leaf for _ in row]
        rates = tuple(next(rest) for _ in problem.distinct_learning_rates)
        law = problem.law.with_numbers(tuple(rest))
        return problem.replace(
            weights=problem.model.tree(entries, problem.leaves),
            law=law,
            learning_rate=rates if isinstance(problem.learning_rate, tuple) else rates[0],
        )

    def rounded(self, point: np.ndarray, digits: int) -> Problem:
        """The problem of a point, its numbers rounded to so many significant digits."""
        values = [number.value for number in self.numbers]
        for place, value in zip(self.places, np.where(self.positive, np.exp(point), point)):
            values[place] = significant(float(value), digits)
        return self.with_values(values)

    def roundings(self, point: np.ndarray) -> Iterator[Problem]:
        """The problems of a point, its numbers rounded to ever more digits."""
        return (self.rounded(point, digits) for digits in _DIGITS)

    def draw(self, key: Key[Array, ""], count: int) -> Float[Array, "s p"]:
        """Random points about the template: uniform, the logarithms of positive numbers too."""
        shape = (count, len(self.places))
        uniform = jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
        wide = jnp.where(self.positive, math.log(_FACTOR), _SPREAD * self.scales)
        return jnp.where(self.positive, jnp.log(self.scales), 0.0) + uniform * wide

    def split(self, numbers: Float[Array, " n"], point: Float[Array, " p"]) -> tuple[Leaves, tuple[Array, ...], Array]:
        """Weights, a learning rate for each step, and the numbers of the law, at a point.

        Args:
            numbers: all of the template, of which the point gives those that are varied.
        """
        problem, places = self.problem, jnp.asarray(self.places)
        values = numbers.at[places].set(jnp.where(jnp.asarray(self.positive), jnp.exp(point), point))
        shapes = [(len(leaf), len(leaf[0])) for leaf in problem.leaves]
        given = len(problem.distinct_learning_rates)
        ends = np.cumsum([*(height * width for height, width in shapes), given])
        *pieces, rates, law = jnp.split(values, ends.tolist())
        leaves = tuple(piece.reshape(shape) for piece, shape in zip(pieces, shapes))
        return leaves, tuple(rates) if given == problem.step else (rates[0],) * problem.step, law

    @cached_property
    def point(self) -> np.ndarray:
        """The one of its problem; 1 in place of a positive number that is 0."""
        values = [float(self.numbers[place].value) for place in self.places]
        return np.where(self.positive, np.log(self.scales), values)

    @cached_property
    def positive(self) -> np.ndarray:
        """Which coordinates are logarithms."""
        return np.array([self.numbers[place].positive for place in self.places])

    @cached_property
    def scales(self) -> np.ndarray:
        """The sizes of the numbers that are varied; 1 for a zero."""
        return np.array([abs(float(self.numbers[place].value)) or 1.0 for place in self.places])


def _checked(vary: Any, problem: Problem, own: Sequence[Number]) -> set[str]:
    """The names in ``vary``, each of some number."""
    known = list(
        dict.fromkeys([_WEIGHTS, *([_RATE] if problem.distinct_learning_rates else []), *([LAW] if own else [])])
    )
    known += dict.fromkeys(number.part for number in own)
    if vary is None:
        return set(known)
    cure = f"give a list of some of {', '.join(map(repr, known))}"
    if isinstance(vary, str) or not isinstance(vary, Sequence):
        raise InputTypeError("vary", vary, cure)
    for place, name in enumerate(vary):
        if not isinstance(name, str):
            raise InputTypeError(f"vary[{place}]", name, cure)
        if name == LAW and not own:
            fault = f"is of type {type(problem.law).__name__}, which has no numbers to vary"
            raise InputError(LAW, problem.law, "write its numbers_to_vary and with_numbers, or vary the weights", fault)
        if name not in known:
            raise InputError(f"vary[{place}]", name, cure, fault="names no number of the problem that may vary")
    if not vary:
        raise InputError("vary", vary, cure, fault="is empty")
    return set(vary)
