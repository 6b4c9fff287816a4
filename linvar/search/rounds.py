"""Rounds of a search: many starts are screened, the best refined, certificates asked for; against a clock."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from linvar.errors import DerivationTooLargeError
from linvar.problem import Problem
from linvar.progress import Progress
from linvar.search.ascent import ASCENT_STEPS, Landscape, climb, screen, start_climb
from linvar.search.certificate import GRACE, Certificate, certify, seconds_of

#: Starts of a round, and how many of them are refined; fewer where one costs more than _USUAL_COST.
SCREENED, REFINED = 10_000, 192
_USUAL_COST = 8 * 64 * 36  # layers, nodes, batch sizes
#: Logarithms between which the standard deviation of a jump is drawn.
_JUMPS = (math.log(0.01), math.log(0.6))


class Clock:
    """The time of a search, which ends after ``limit`` seconds; ``report`` is told the whole seconds spent."""

    def __init__(self, limit: float, report: Progress) -> None:
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
        """Tell the time; whether the certificate of a problem ends soon enough, as predicted."""
        self.tick()
        try:
            return seconds_of(problem) <= self.left + GRACE
        except DerivationTooLargeError:
            return False


class Points(NamedTuple):
    """Points (k, p) and their largest slopes (k,)."""

    at: np.ndarray
    slopes: np.ndarray

    def best_first(self) -> Points:
        """In the order of their slopes."""
        order = np.argsort(-self.slopes)
        return Points(self.at[order], self.slopes[order])


class Search(ABC):
    """Rounds of points and certificates, until something is found or the time is over.

    Attributes:
        clock: its time.
        starts: how many random starts were screened.
        largest: the largest slope that was seen.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.starts, self.largest = 0, -math.inf

    @abstractmethod
    def points(self, key: jax.Array) -> Iterator[Points]:
        """A round: groups of points, the best of each first; at least one, whatever the time."""

    @abstractmethod
    def roundings(self, point: np.ndarray) -> Iterable[Problem]:
        """The problems of a point, its numbers rounded to ever more digits."""

    def run(self, key: jax.Array) -> Certificate | None:
        """The whole search."""
        rounds = 0
        while not rounds or self.clock.left > 0:
            rounds += 1
            for points in self.points(jax.random.fold_in(key, rounds)):
                self.largest = max(self.largest, float(points.slopes[0]))
                if (found := self._certified(points)) is not None:
                    return found
        return None

    def _certified(self, points: Points) -> Certificate | None:
        """The certificate of the best of these points that has one."""
        for at in points.at[points.slopes > 0]:
            if (found := certify(self.roundings(at), self.clock.allows)) is not None:
                return found
        return None


class Ascents(Search):
    """Random starts, of which the best ascend in JAX; then jumps from the best that earlier rounds came to.

    Args:
        near: points that ascend before any other, shape (k, p).
    """

    def __init__(self, landscape: Landscape, clock: Clock, near: np.ndarray | None = None) -> None:
        super().__init__(clock)
        self.landscape = landscape
        self._near = near
        self._best: Points | None = None

    def roundings(self, point: np.ndarray) -> Iterable[Problem]:
        """As the landscape says."""
        return self.landscape.roundings(point)

    def points(self, key: jax.Array) -> Iterator[Points]:
        """Where what is near comes to; the best after screening, and after each ascent; where jumps from the best come to."""
        size, _ = self.landscape.ascent
        if self._near is not None:
            for first in range(0, len(self._near), size):
                yield self._ascend(self._around(self._near[first : first + size], jax.random.fold_in(key, first)))
            self._near = None
        starts = self._screen(key).best_first()
        yield Points(starts.at[:size], starts.slopes[:size])
        for first in range(0, self._scaled(REFINED, 24), size):
            group = starts.at[first : first + size]
            if len(group) < size or self.clock.left <= 0:
                return
            yield self._ascend(group)
        if self._best is not None:
            yield self._ascend(self._around(self._best.at, key, everywhere=True))

    def _around(self, points: np.ndarray, key: jax.Array, everywhere: bool = False) -> np.ndarray:
        """As many as ascend together: these, and jumps from them; or jumps alone."""
        size, _ = self.landscape.ascent
        copies = np.resize(points, (size, points.shape[1]))
        draws = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        jumps = draws.normal(size=copies.shape) * np.exp(draws.uniform(*_JUMPS, size=(size, 1)))
        return np.where(everywhere | (np.arange(size) >= len(points))[:, None], copies + jumps, copies)

    def _ascend(self, group: np.ndarray) -> Points:
        """Where the points of a group were best on their way up; a clock that has run out ends it between two calls."""
        _, steps = self.landscape.ascent
        state = jax.block_until_ready(start_climb(self.landscape, jnp.asarray(group)))
        for _ in range(-(-ASCENT_STEPS // steps)):
            state = jax.block_until_ready(climb(self.landscape, state, steps))
            if not self.clock.tick():
                break
        found = Points(np.asarray(state.points), np.asarray(state.slopes))
        known = found if self._best is None else Points(*map(np.concatenate, zip(self._best, found)))
        self._best = Points(*(part[: len(group)] for part in known.best_first()))
        return found.best_first()

    def _screen(self, key: jax.Array) -> Points:
        """Random starts and their largest slopes; those that took more than a third of the time left are left out."""
        landscape, count = self.landscape, self._scaled(SCREENED, 1_000)
        starts = landscape.draw(key, count)
        call = min(count, landscape.points_a_call)
        slopes, done, enough = np.empty(count), 0, self.clock.left * 2 / 3
        while done < count and (not done or self.clock.left > enough):
            first = min(done, count - call)  # the last call takes some of the one before again, to be of the same shape
            slopes[first : first + call] = screen(landscape, starts[first : first + call])
            done = first + call
            self.clock.tick()
        self.starts += done
        return Points(np.asarray(starts)[:done], slopes[:done])

    def _scaled(self, count: int, least: int) -> int:
        """``count``, or fewer if a point costs more than usual."""
        return max(least, min(count, count * _USUAL_COST // self.landscape.cost))
