"""Search for problems whose gradient variance RISES with the batch size somewhere; every find is certified exactly.

Networks of L layers of width 1, x ~ N(0, 1), y = T x + noise: what matters of them is a point of L + 1 or L + 2 numbers, and
``linvar.search.objective`` has the variance at such a point in floating point. Many starts are screened, the best refined by
gradient ascent on the largest slope d log var / d log b over a grid of integers, the results rounded to a few digits, and the
polynomial of the rounded problem is derived and decided exactly. Only that counts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from linvar.arguments import check_integer
from linvar.errors import DerivationTooLargeError, InputError, InputTypeError
from linvar.exact import Rational
from linvar.laws.gaussian import Gaussian
from linvar.numeric.arguments import check_key
from linvar.problem import Problem
from linvar.progress import Report, reporting
from linvar.search.objective import (
    ASCENT_STEPS,
    Objective,
    build_objective,
    climb,
    draw_starts,
    screen,
    start_climb,
)
from linvar.symbolic.answers import gradient_variance
from linvar.symbolic.limits import format_seconds
from linvar.symbolic.plan import choose
from linvar.symbolic.result.monotone import TurningPoint
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.symbolic.sgd.steps import Steps

MOST_DEPTH, MOST_STEPS, MOST_BATCH_SIZE, MOST_SECONDS = 64, 8, 10**9, 10**6
#: What is known of one layer.
ONE_LAYER = "with one layer the variance falls with b, or is 0, at every step (proofs/linear-regression.md)"
#: Starts of a round, and how many of them are refined; fewer where one costs more than _USUAL_COST.
SCREENED, REFINED = 10_000, 192
_USUAL_COST = 8 * 64 * 36  # layers, nodes, batch sizes
_DIGITS = (2, 3, 4, 5, 6)
#: Seconds that a certificate may take beyond the end of the time.
GRACE = 5.0


@dataclass(frozen=True)
class SearchResult:
    """What a search found; ``problem`` is None if nothing was certified.

    Attributes:
        problem: widths 1, with small rational entries.
        variance: its exact polynomial.
        rise: integers (low, high): the exact variance rises at every step from b = low to b = high = b_0.
        relative_rise: variance(high) / variance(low) - 1, exact.
        largest_slope: the largest d log var / d log b that was seen (in floating point); negative where all fell.
        starts: how many random starts were screened.
        seconds: wall-clock time.
        theorem: why there is nothing to find, where that is proved (for one layer); else None.
    """

    problem: Problem | None
    variance: BatchPolynomial | None
    rise: tuple[int, int] | None
    relative_rise: Rational | None
    largest_slope: float
    starts: int
    seconds: float
    theorem: str | None = None

    @property
    def found(self) -> bool:
        """Whether a rise was certified."""
        return self.problem is not None

    @property
    def turning_points(self) -> tuple[TurningPoint, ...]:
        """Where the exact variance turns; none if nothing was found."""
        return () if self.variance is None else self.variance.turning_points()

    def __repr__(self) -> str:
        if self.theorem is not None:
            return f"SearchResult(no rise: {self.theorem})"
        work = f"{self.starts:,} starts, {self.seconds:.0f} s"
        if self.rise is None or self.relative_rise is None or self.problem is None:
            return f"SearchResult(no rise certified; largest slope {self.largest_slope:.4f}; {work})"
        low, high = self.rise
        return (
            f"SearchResult({self.problem.depth} layers, t = {self.problem.step}: the variance rises by "
            f"{float(self.relative_rise):.2%} from b = {low} to b = {high}, certified; {work})"
        )


def search_nonmonotone(
    depth: int = 8,
    *,
    step: int = 1,
    label_noise: bool = False,
    batch_sizes: tuple[int, int] = (4, 400),
    key: Any = None,
    seconds: float = 60.0,
    progress: bool | Report | None = None,
) -> SearchResult:
    """Look for a linear network of widths 1 whose exact gradient variance rises with b somewhere.

    Rounds of random starts, gradient ascent in JAX (float64), rounding and exact certification, until a rise is
    certified or the time is over. A find is a theorem about the problem returned; no find proves nothing, except for one
    layer, where a theorem says that there is nothing to find and no search is made.

    Args:
        depth: L, from 1 to 64.
        step: t, from 1 to 8.
        label_noise: whether to vary the noise of the labels too; none otherwise.
        batch_sizes: (low, high), the range in which to look.
        key: a typed JAX key; ``jax.random.key(0)`` if None.
        seconds: when to stop, > 0 and at most 10^6; the search ends later by a compilation or a certificate at most.
        progress: None shows a search of more than ten seconds, True any; False is silent; or a function called as
            ``progress(seconds spent, seconds)``.

    Returns:
        A :class:`SearchResult`.

    Raises:
        InputError: an argument has the wrong type or is out of range, or the certificate of one such problem takes longer
            than ``seconds``.
        DerivationTooLargeError: the certificate of such a problem would not fit; raised before the search starts.

    >>> search_nonmonotone(1)
    SearchResult(no rise: with one layer the variance falls with b, or is 0, at every step (proofs/linear-regression.md))
    """
    depth, step = _in_range(depth, "depth", MOST_DEPTH), _in_range(step, "step", MOST_STEPS)
    low, high = _check_range(batch_sizes)
    if not isinstance(label_noise, bool):
        raise InputTypeError("label_noise", label_noise, "give True or False")
    limit = _check_seconds(seconds)
    key = jax.random.key(0) if key is None else check_key(key)
    cost = f"search: {depth} layers, t = {step}, up to {limit:g} seconds"
    with reporting(progress, "search", cost, limit) as report:
        if depth == 1:
            return SearchResult(None, None, None, None, -math.inf, 0, 0.0, ONE_LAYER)
        law = Gaussian([["1/2"]], noise_variance="1/2" if label_noise else 0)
        _, plan = choose(Steps(Problem([[["3/2"]]] * depth, law, "1/7", step)))
        if plan.seconds > limit + GRACE:
            about = f"is less than the certificate of one such problem takes, about {format_seconds(plan.seconds)}"
            raise InputError("seconds", seconds, f"give more than {math.ceil(plan.seconds)}", fault=about)
        with jax.enable_x64(True):
            return _Search(build_objective(depth, step, label_noise, low, high), _Clock(limit, report)).run(key)


def _in_range(value: Any, name: str, most: int) -> int:
    """An integer from 1 to ``most``."""
    value = check_integer(value, name)
    if not 1 <= value <= most:
        raise InputError(name, value, f"give an integer from 1 to {most}", fault="is out of range")
    return value


def _check_range(batch_sizes: Any) -> tuple[int, int]:
    """Two integers, low < high."""
    cure = f"give a range (low, high) with 1 <= low < high <= {MOST_BATCH_SIZE:,}, (4, 400)"
    if not isinstance(batch_sizes, (tuple, list)):
        raise InputTypeError("batch_sizes", batch_sizes, cure)
    if len(batch_sizes) != 2:
        raise InputError("batch_sizes", batch_sizes, cure, fault="is no pair")
    low, high = (check_integer(value, f"batch_sizes[{i}]") for i, value in enumerate(batch_sizes))
    if not 1 <= low < high <= MOST_BATCH_SIZE:
        raise InputError("batch_sizes", (low, high), cure, fault="is out of range")
    return low, high


def _check_seconds(seconds: Any) -> float:
    """A time that is over some day."""
    if isinstance(seconds, (bool, np.bool_)) or not isinstance(seconds, Real):
        raise InputTypeError("seconds", seconds, "give a number > 0")
    if not 0 < (value := cast(float, seconds)) <= MOST_SECONDS:
        raise InputError("seconds", seconds, "give a number > 0, at most 10^6", fault="is out of range")
    return float(value)


# rounds


class _Clock:
    """The time of a search, which ends after ``limit`` seconds; ``report`` is told the whole seconds spent."""

    def __init__(self, limit: float, report: Report) -> None:
        self.limit, self.report = limit, report
        self._begin = time.perf_counter()

    @property
    def spent(self) -> float:
        return time.perf_counter() - self._begin

    @property
    def left(self) -> float:
        return self.limit - self.spent

    def tick(self) -> bool:
        """Tell the time; whether there is some left."""
        self.report(min(int(self.spent), math.ceil(self.limit)), math.ceil(self.limit))
        return self.left > 0

    def allows(self, problem: Problem) -> bool:
        """Whether the certificate of a problem ends soon enough, as predicted."""
        try:
            return choose(Steps(problem))[1].seconds <= self.left + GRACE
        except DerivationTooLargeError:
            return False


class _Search:
    """Rounds of starts, ascents and certificates, until something is found or the time is over."""

    def __init__(self, objective: Objective, clock: _Clock) -> None:
        self.objective, self.clock = objective, clock
        self.starts, self.largest = 0, -math.inf

    def run(self, key: Any) -> SearchResult:
        """The whole search: at least one call of starts is screened, whatever the time."""
        rounds = 0
        while not rounds or self.clock.left > 0:
            rounds += 1
            for points, slopes in self._round(jax.random.fold_in(key, rounds)):
                self.largest = max(self.largest, float(slopes[0]))
                for point in points[slopes > 0]:
                    found = _certify(point, self.objective.depth, self.objective.step, self.clock)
                    if found is not None:
                        return SearchResult(*found, self.largest, self.starts, self.clock.spent)
        return SearchResult(None, None, None, None, self.largest, self.starts, self.clock.spent)

    def _round(self, key: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Groups of points with their largest slopes, best first: after screening, and after each ascent."""
        starts, slopes = self._screen(key)
        order = np.argsort(-slopes)
        size, steps = self.objective.ascent
        yield starts[order[:size]], slopes[order[:size]]
        for first in range(0, self._scaled(REFINED, 24), size):
            group = starts[order[first : first + size]]
            if len(group) < size or self.clock.left <= 0:
                return
            state = start_climb(jnp.asarray(group))
            for _ in range(-(-ASCENT_STEPS // steps)):
                state = jax.block_until_ready(climb(self.objective, state, steps))
                if not self.clock.tick():
                    break
            best, values = np.asarray(state.best), np.asarray(state.slopes)
            inside = np.argsort(-values)
            yield best[inside], values[inside]

    def _screen(self, key: Any) -> tuple[np.ndarray, np.ndarray]:
        """Random starts and their largest slopes; those that took more than a third of the time left are left out."""
        objective, count = self.objective, self._scaled(SCREENED, 1_000)
        starts = draw_starts(key, count, objective.depth, objective.label_noise)
        call = min(count, objective.points_a_call)
        slopes, done, enough = np.empty(count), 0, self.clock.left * 2 / 3
        while done < count and (not done or self.clock.left > enough):
            first = min(done, count - call)  # the last call takes some of the one before again, to be of the same shape
            slopes[first : first + call] = screen(objective, starts[first : first + call])
            done = first + call
            self.clock.tick()
        self.starts += done
        return np.asarray(starts)[:done], slopes[:done]

    def _scaled(self, count: int, least: int) -> int:
        """``count``, or fewer if a point costs more than usual."""
        return max(least, min(count, count * _USUAL_COST // self.objective.cost))


# the certificate


def _certify(
    point: np.ndarray, depth: int, step: int, clock: _Clock
) -> tuple[Problem, BatchPolynomial, tuple[int, int], Rational] | None:
    """Round to as few digits as keep a rise; derive and decide exactly. None if no rounding does."""
    for digits in _DIGITS:
        problem = _rounded(point, depth, step, digits)
        clock.tick()
        if not clock.allows(problem):
            return None
        variance = gradient_variance(problem)
        high = variance.decreasing_from()
        if high is None or high == 1:
            continue
        low = high - 1
        if not variance(low) < variance(high):
            continue
        while low > 1 and variance(low - 1) < variance(low):
            low -= 1
        return problem, variance, (low, high), Rational(variance(high) / variance(low) - 1)
    return None


def _rounded(point: np.ndarray, depth: int, step: int, digits: int) -> Problem:
    """The problem of a point: weights of geometric mean 1, every number rounded to this many significant digits."""
    x, gap = np.exp(point[:depth]), float(np.exp(point[depth]))  # gap = 1 - tau
    scale = float(np.exp(np.mean(np.log(x))))
    weights = [_significant(math.sqrt(scale / value), digits) for value in x]
    product = float(math.prod(weights))
    teacher = _significant((1 - gap) * product, digits)
    rate = _significant(scale / (product * (product - float(teacher))), digits)
    noise = Rational(0)
    if len(point) > depth + 1:
        noise = _significant((math.exp(float(point[depth + 1])) * product) ** 2, digits)
    return Problem([[[weight]] for weight in weights], Gaussian([[teacher]], noise_variance=noise), rate, step)


def _significant(value: float, digits: int) -> Rational:
    """A float rounded to so many significant decimal digits, exact from then on."""
    return Rational(f"{value:.{digits - 1}e}") if value else Rational(0)
