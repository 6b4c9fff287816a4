"""The steps of a problem, as many as are asked for: those from weights that are numbers, and those that follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any

from linvar.errors import InputError
from linvar.exact import Matrix, Rational
from linvar.matrices import Rows, is_zero
from linvar.problem import Problem
from linvar.symbolic.algebra.ring import Numbers
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.models.registry import exact_model
from linvar.symbolic.models.step import Step
from linvar.symbolic.sgd.update import State, Update

#: Weights that are numbers are followed no further than this many steps, or bits.
_MOST_FIXED_STEPS, _MOST_FIXED_BITS = 256, 2_048
#: Moments of a higher order, or after more steps, are out of reach in any case.
_MOST_ORDER, _MOST_GROWN = 10_000, 64


class Steps:
    """The steps 0..t-1 of a problem, made as they are asked for: those of many steps are the same."""

    def __init__(self, problem: Problem) -> None:
        self.problem, self.model = problem, exact_model(problem)

    def __iter__(self) -> Iterator[Step]:
        return (self[s] for s in range(self.problem.step))

    def __getitem__(self, place: int) -> Step:
        if self._rests(place):
            return self.model.still
        fixed, _, following = self._beginning
        return fixed[place] if place < len(fixed) else following

    @property
    def law(self) -> ExactLaw:
        """The exact twin of the law of an example."""
        return self.model.law

    def numbers_at(self, place: int) -> tuple[Matrix, ...] | None:
        """The weights before a step, if they are numbers that nothing random has entered; otherwise None."""
        weights = self._beginning[1]
        return weights[place] if place < len(weights) and not self._rests(place) else None

    def until(self, t: int) -> Steps:
        """The steps before W_t, t at most the problem's own; what is known of these is shared."""
        if t == self.problem.step:
            return self
        found = Steps(self.problem.at_step(t))
        found.model = self.model
        return found

    def check_moments(self, degree: int) -> None:
        """Refuse forms of this degree in W_t that need moments of an example which the law does not have.

        Raises:
            InputError: it names the law and the degree.
        """
        highest, t = self.law.highest_moment, self.problem.step
        if highest is None:
            return
        needed = 2 * self._order(degree)
        if needed > highest:
            fault = f"has moments up to degree {highest} only, and t = {t} takes those of degree {needed}"
            raise InputError("law", self.problem.law, "ask for fewer steps, or give a law with more moments", fault)

    def _order(self, degree: int) -> int:
        """The degree of forms of this degree in W_t in the first batch in which anything varies; 0 where none does.

        Beyond use after so many steps, it is that after fewer.
        """
        t = self.problem.step
        first = next((s for s in range(min(t, _MOST_FIXED_STEPS)) if self[s].count(1)), t)
        return degree * self.problem.growth ** min(t - 1 - first, _MOST_GROWN) if first < t else 0

    @property
    def preparation(self) -> float:
        """Seconds that the law takes before the first moment, for the second moment of the gradient."""
        order = self._order(2 * max(0, self.problem.degree - 1))
        return self.law.preparation(min(order, _MOST_ORDER))

    @property
    def moment_seconds(self) -> float:
        """Seconds that moments of an example take beside what is counted, for the second moment of the gradient."""
        degree, t = 2 * max(0, self.problem.degree - 1), self.problem.step
        order = min(self._order(degree), _MOST_ORDER)
        if not order:
            return 0.0
        first = next(s for s in range(t) if self[s].count(1))
        parts = [(first, order), (t - 1, degree)] if first < t - 1 else [(first, order)]
        of_degree = self.model.feature_degree
        return sum(self.law.moment_seconds(self[s].count(), part, of_degree) for s, part in parts)

    def _rests(self, place: int) -> bool:
        """Whether the update is zero whatever the batch."""
        rate = self.problem.learning_rate
        return (rate[place] if isinstance(rate, tuple) else rate) == 0 and self.problem.momentum == 0

    @cached_property
    def _beginning(self) -> tuple[list[Step], list[tuple[Matrix, ...]], Step]:
        """The steps from weights that are numbers, these weights, and the one that all later steps are."""
        problem, model, fixed, known = self.problem, self.model, list[Step](), list[tuple[Matrix, ...]]()
        if not model.numeric:
            return fixed, known, model.still if model.only_decays() else model.moving
        if not model.moving.count(1):
            return fixed, known, model.moving
        numeric = _numbers(problem.momentum, problem.weight_decay, *self.law.symbols)
        update = Update(problem, Numbers) if numeric else None
        state = update.start() if update else State(problem.leaves)
        while len(fixed) < min(problem.step, _MOST_FIXED_STEPS) and _bits(state) < _MOST_FIXED_BITS:
            place = len(fixed)
            known.append(_exact(state.weights))
            fixed.append(step := model.fixed(known[-1]))
            rate = problem.learning_rate[place] if isinstance(problem.learning_rate, tuple) else problem.learning_rate
            if self._rests(place):
                continue
            if not step.moves and all(map(is_zero, state.momenta)):
                return fixed, known, step
            if update is None or not _numbers(rate) or step.count(1):
                break
            state = update.advance(state, step.gradients(state.weights, (), Numbers), rate)
        return fixed, known, model.moving


def _numbers(*entries: Any) -> bool:
    """Whether all of them are."""
    return all(isinstance(entry, Rational) for entry in entries)


def _exact(weights: Sequence[Rows[Fraction]]) -> tuple[Matrix, ...]:
    """Weights as they stand in a problem."""
    return tuple(tuple(tuple(map(Rational, row)) for row in matrix) for matrix in weights)


def _bits(state: State[Fraction]) -> int:
    """Of the longest denominator or numerator."""
    entries = (entry for matrix in (*state.weights, *state.momenta) for row in matrix for entry in row)
    return max(max(entry.denominator.bit_length(), entry.numerator.bit_length()) for entry in entries)
