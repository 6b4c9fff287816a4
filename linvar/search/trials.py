"""A search by exact derivations, for any law, model and number of steps: random problems, and steps of one number at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

import jax
import numpy as np

from linvar.exact import Rational
from linvar.problem import Problem
from linvar.search.rounds import Clock, Points, Search
from linvar.search.template import Template
from linvar.symbolic.answers import gradient_variance

#: Starts of a round, and how many of them are refined.
_SCREENED, _REFINED = 48, 4
#: Significant digits of what is tried.
_DIGITS = 3
#: Steps of a number: of its size in the template, or of its logarithm; halved where one of each raises the slope by less than
#: _ENOUGH, down to the last.
_FIRST, _LAST, _ENOUGH = 0.5, 0.02, 0.01


class Trials(Search):
    """Random problems, of which the best are changed number by number; variances are exact, so that few are needed."""

    def __init__(self, template: Template, batch_sizes: tuple[int, int], clock: Clock) -> None:
        super().__init__(clock)
        self.template = template
        self.batch_sizes = np.unique(np.round(np.geomspace(*batch_sizes, 24)).astype(int)).tolist()

    def roundings(self, point: np.ndarray) -> Iterable[Problem]:
        """As the template says."""
        return self.template.roundings(point)

    def points(self, key: jax.Array) -> Iterator[Points]:
        """Each start, then where the best of them come to, each by itself."""
        starts = np.asarray(self.template.draw(key, _SCREENED))
        slopes = np.full(_SCREENED, -math.inf)
        for place, start in enumerate(starts):
            if place and self.clock.left <= 0:
                return
            slopes[place] = self.slope(start)
            self.starts += 1
            yield Points(starts[place : place + 1], slopes[place : place + 1])
        for place in np.argsort(-slopes)[:_REFINED]:
            if self.clock.left <= 0:
                return
            yield self._refined(starts[place], slopes[place], np.random.default_rng(self.starts + place))

    def slope(self, point: np.ndarray) -> float:
        """The largest d log var / d log b between neighbours of the grid; minus infinity if the problem takes too long."""
        problem = self.template.rounded(point, _DIGITS)
        if not self.clock.allows(problem):
            return -math.inf
        variance = gradient_variance(problem, progress=False)
        return largest_slope(self.batch_sizes, [Rational(variance(b)) for b in self.batch_sizes])

    def _refined(self, point: np.ndarray, slope: float, draws: np.random.Generator) -> Points:
        """Steps of one number at a time that lead up, until one rises, none leads up or the time is over."""
        scales = np.where(self.template.positive, 1.0, self.template.scales)
        size = _FIRST
        while slope <= 0 and size >= _LAST:
            before = slope
            for place in draws.permutation(len(point)):
                for sign in (1, -1):
                    if slope > 0 or self.clock.left <= 0:
                        return Points(point[None], np.array([slope]))
                    other = point.copy()
                    other[place] += sign * size * scales[place]
                    if (found := self.slope(other)) > slope:
                        point, slope = other, found
                        break
            if not slope > before + _ENOUGH:
                size /= 2
        return Points(point[None], np.array([slope]))


def largest_slope(batch_sizes: Sequence[int], values: Sequence[Fraction]) -> float:
    """The largest slope of log v against log b between neighbours: infinite from 0 up, minus infinity down to 0 or at 0.

    >>> largest_slope([1, 2, 4], [Fraction(1), Fraction(1, 2), Fraction(1, 2)])
    0.0
    """
    slopes = []
    for (b, value), (c, following) in zip(zip(batch_sizes, values), zip(batch_sizes[1:], values[1:])):
        if not following:
            slopes.append(-math.inf)
        elif not value:
            slopes.append(math.inf)
        else:
            slopes.append((_log(following) - _log(value)) / math.log(c / b))
    return max(slopes)


def _log(value: Fraction) -> float:
    """log of a positive fraction of any size."""
    return math.log(value.numerator) - math.log(value.denominator)
