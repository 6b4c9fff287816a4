"""The recursion of an affine gradient: mean and covariance of the state of SGD close on themselves, at any number of steps.

The state s holds the n = P weights, or the weights and their momenta, n = 2P. Given it the gradient of a batch is
G = H w~ + noise, w~ = (w, 1), with the noise's covariance c N(w~ w~^T), N linear (``linvar.symbolic.models.polynomial.affine``).
An update is affine in state and gradient, s' = S s + r + g noise, where g gives the noise of weight a to its weight and to its
momentum. The batch is independent of the state, so

    E s' = S E s + r,     Cov(s') = S Cov(s) S^T + c g N( Cov(w~) + E w~ E w~^T ) g^T,

exact for every law with these moments and both samplings, c = 1/b or (n-b)/(b(n-1)): Cov(s) is a polynomial in c of degree t
after t steps, without a constant term. A form of degree at most 2 in the state is integrated with both.
Source: derived here; proofs/linear-regression.md, (6).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import product
from typing import Generic

from linvar.exact import Exact
from linvar.matrices import Rows, transpose
from linvar.progress import Progress, say_nothing
from linvar.rings import T
from linvar.symbolic.algebra.ring import Element, Ring
from linvar.symbolic.models.polynomial.affine import AffineGradient
from linvar.symbolic.roads.regression.arithmetic import Arithmetic, InSymbols, Moments, Move, Over, Packed, pairs_of
from linvar.symbolic.sgd.batch_moments import answer_ring, sampling_factor, sampling_factor_at
from linvar.symbolic.sgd.last_step import LastStep
from linvar.symbolic.sgd.questions import Question
from linvar.symbolic.sgd.road import Integrator
from linvar.symbolic.sgd.steps import Steps
from linvar.symbolic.sgd.update import State, Update


class AffineRecursion(Generic[T]):
    """Mean and covariance of the state after each of the steps that are kept.

    Args:
        affine: the gradient of one example.
        steps: of the problem.
        at: the s whose moments are kept.
        arithmetic: what they are computed in.
    """

    def __init__(self, affine: AffineGradient, steps: Steps, at: Sequence[int], arithmetic: Arithmetic[T]) -> None:
        self.affine, self.steps, self.problem, self.kept = affine, steps, steps.problem, frozenset(at)
        self.arithmetic = arithmetic
        self.size = affine.size * (1 if self.problem.momentum == 0 else 2)
        self.ring = Ring(self.size, self.problem.symbols)
        self._moves: dict[Exact, Move[T]] = {}
        self._forms: dict[Question, list[Element]] = {}

    @cached_property
    def _state(self) -> State[Element]:
        """Weights and momenta as variables."""
        count, shaped = self.affine.size, self.affine.model.in_shape
        return State(shaped(self.ring.gens[:count]), shaped(self.ring.gens[count:]) if self.size > count else [])

    @cached_property
    def _last(self) -> LastStep[Element]:
        """What is asked, as forms in these variables: the same at every step."""
        return LastStep(self._state, self.steps, self.ring)

    def forms(self, question: Question) -> list[Element]:
        """Of degree at most 2 in the state."""
        if question not in self._forms:
            self._forms[question] = question.forms(self._last)
        return self._forms[question]

    def _move(self, rate: Exact) -> Move[T]:
        """S and r, from an update of variables; g, from one that a gradient of ones makes of a state of zeros."""
        if rate not in self._moves:
            here = self.affine.model.at(self._state.weights, self.ring)
            update, zero = Update(self.problem, self.ring), self.ring.zero
            moved = update.advance(self._state, here.mean_gradients, rate)
            shape = self.affine.model.in_shape
            zeros, ones = (shape([value] * self.affine.size) for value in (zero, self.ring.one))
            pushed = update.advance(State(zeros, zeros if self._state.momenta else []), ones, rate)
            matrix, gains = (self.arithmetic.coefficients(_entries(state), self.size) for state in (moved, pushed))
            self._moves[rate] = Move(matrix, gains)
        return self._moves[rate]

    @cached_property
    def _means(self) -> list[Over[T]]:
        """(E s, 1) for s = 0..t, a column each; free of c."""
        start = [entry for matrix in self.problem.leaves for row in matrix for entry in row]
        means = [self.arithmetic.column([*start, *[0] * (self.size - len(start)), 1])]
        for rate in self.problem.learning_rates:
            move, now = self._move(rate).matrix, means[-1]
            moved = self.arithmetic.product(move.rows, now.rows)
            means.append(Over([*moved, [now.rows[-1][0] * move.below]], now.below * move.below))
        return means

    @cached_property
    def moments(self) -> dict[int, Moments[T]]:
        """Those that are kept."""
        arithmetic, moves = self.arithmetic, [self._move(rate) for rate in self.problem.learning_rates]
        noise = arithmetic.noise(self.affine) if moves else Over[T]([], 1)
        arithmetic.reserve(moves, noise, self._means)
        zero = self._means[0].rows[0][0] * 0
        covariance: Rows[T] = [[zero] * self.size for _ in range(self.size)]
        found, ratio = {0: self._kept(0, covariance, 1)}, 1
        for s, move in enumerate(moves):
            covariance = self._following(covariance, self._means[s], move, noise, ratio)
            ratio *= move.scales(noise)[0]
            if s + 1 in self.kept:
                found[s + 1] = self._kept(s + 1, covariance, ratio)
        return found

    def _kept(self, s: int, covariance: Rows[T], ratio: int) -> Moments[T]:
        mean = self._means[s]
        triangle = {(i, j): covariance[i][j] for i, j in pairs_of(self.size)}
        return Moments(mean, triangle, mean.below**2 * ratio)

    def _following(
        self, covariance: Rows[T], mean: Over[T], move: Move[T], noise: Over[T], ratio: int
    ) -> list[list[T]]:
        """Cov(s') from Cov(s), which is over mean.below^2 ratio; what comes is over the same times ``scales``."""
        arithmetic, count = self.arithmetic, self.affine.size
        kept, added = move.scales(noise)
        point = [row[0] for row in mean.rows]
        point = [*point[:count], point[-1]]
        second = [
            [point[c] * point[d] * ratio + covariance[c][d]] if d < count else [point[c] * point[d] * ratio]
            for c, d in pairs_of(count + 1)
        ]
        spread = {
            pair: arithmetic.times_factor(row[0]) * added
            for pair, row in zip(pairs_of(count), arithmetic.product(noise.rows, second))
        }
        half = transpose(arithmetic.product(move.linear, covariance))
        pulled, gains = arithmetic.product(move.linear, half), [row[-1] for row in move.gains.rows]
        moved = [[entry * kept for entry in row] for row in pulled]
        for i, j in product(range(self.size), repeat=2):
            a, b = i % count, j % count
            moved[i][j] = moved[i][j] + spread[min(a, b), max(a, b)] * (gains[i] * gains[j])
        return moved


class AffineAt(Generic[T]):
    """The integrator of one step t."""

    def __init__(self, recursion: AffineRecursion[T], t: int) -> None:
        self.recursion, self.t = recursion, t
        self.answers = recursion.arithmetic.answers

    @cached_property
    def _expected(self) -> Callable[[Element], Element]:
        return self.recursion.arithmetic.integrated(self.recursion.moments[self.t])

    def expectations(self, question: Question, report: Progress = say_nothing) -> list[Element]:
        """E of forms of degree <= 2 in the state."""
        return [self._expected(form) for form in self.recursion.forms(question)]


def integrators(
    affine: AffineGradient, steps: Steps, at: Sequence[int], batch_size: int | None = None
) -> tuple[Integrator, ...]:
    """One recursion, up to the last of the steps; at every b, in u = 1/b, or at one."""
    problem = steps.problem
    answers = answer_ring(problem.symbols)
    if batch_size is not None:
        value = sampling_factor_at(answers, problem.sampling, problem.dataset_size, batch_size)
        at_one = AffineRecursion(affine, steps, at, InSymbols(answers, value))
        return tuple(AffineAt(at_one, t) for t in at)
    factor = sampling_factor(answers, problem.sampling, problem.dataset_size)
    if problem.symbols:
        in_symbols = AffineRecursion(affine, steps, at, InSymbols(answers, factor))
        return tuple(AffineAt(in_symbols, t) for t in at)
    in_numbers = AffineRecursion(affine, steps, at, Packed(answers, factor))
    return tuple(AffineAt(in_numbers, t) for t in at)


def _entries(state: State[Element]) -> list[Element]:
    """Of the weights, then of the momenta."""
    matrices = (*state.weights, *state.momenta)
    return [entry for matrix in matrices for row in matrix for entry in row]
