"""Search for problems whose gradient variance RISES with the batch size somewhere; every find is certified exactly.

Networks of L layers of width 1, x ~ N(0, 1), y = T x + noise: what matters of them is a point of L + 1 or L + 2 numbers, and
``linvar.search.objective`` has the variance at such a point in floating point. Many starts are screened, the best refined by
gradient ascent on the largest slope d log var / d log b over a grid of integers, the results rounded to a few digits, and the
polynomial of the rounded problem is derived and decided exactly. Only that counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import jax
import numpy as np

from linvar.arguments import check_integer
from linvar.errors import InputError, InputTypeError
from linvar.exact import Rational
from linvar.laws.gaussian import Gaussian
from linvar.numeric.arguments import check_key
from linvar.problem import Problem
from linvar.progress import Progress, reporting
from linvar.search.certificate import GRACE, Certificate, seconds_of
from linvar.search.objective import build_objective
from linvar.search.rounds import Clock, Search
from linvar.symbolic.limits import format_seconds
from linvar.symbolic.result.monotone import TurningPoint
from linvar.symbolic.result.polynomial import BatchPolynomial

MOST_DEPTH, MOST_STEPS, MOST_BATCH_SIZE, MOST_SECONDS = 64, 8, 10**9, 10**6
#: What is known of one layer.
ONE_LAYER = "with one layer the variance falls with b, or is 0, at every step (proofs/linear-regression.md)"


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

    @classmethod
    def of_search(cls, search: Search, certificate: Certificate | None) -> SearchResult:
        """What a search came to."""
        work = search.largest, search.starts, search.clock.spent
        if certificate is None:
            return cls(None, None, None, None, *work)
        return cls(certificate.problem, certificate.variance, certificate.rise, certificate.relative_rise, *work)

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
    progress: bool | Progress | None = None,
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
        _check_certificate(depth, step, label_noise, seconds, limit)
        with jax.enable_x64(True):
            search = Search(build_objective(depth, step, label_noise, low, high), Clock(limit, report))
            return SearchResult.of_search(search, search.run(key))


def _check_certificate(depth: int, step: int, label_noise: bool, seconds: Any, limit: float) -> None:
    """A certificate of such a problem fits, and ends within the time."""
    law = Gaussian([["1/2"]], noise_variance="1/2" if label_noise else 0)
    predicted = seconds_of(Problem([[["3/2"]]] * depth, law, "1/7", step))
    if predicted > limit + GRACE:
        about = f"is less than the certificate of one such problem takes, about {format_seconds(predicted)}"
        raise InputError("seconds", seconds, f"give more than {math.ceil(predicted)}", fault=about)


def _in_range(value: Any, name: str, most: int) -> int:
    """An integer from 1 to ``most``."""
    number = check_integer(value, name)
    if not 1 <= number <= most:
        raise InputError(name, number, f"give an integer from 1 to {most}", fault="is out of range")
    return number


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
    if seconds <= 0 or not seconds <= MOST_SECONDS:  # NaN is not
        raise InputError("seconds", seconds, "give a number > 0, at most 10^6", fault="is out of range")
    return float(seconds)
