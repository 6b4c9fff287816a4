"""Search for problems whose gradient variance RISES with the batch size somewhere; every find is certified exactly.

Many starts are screened, the best refined by gradient ascent on the largest slope d log var / d log b over a grid of integers,
the results rounded to a few digits, and the polynomial of the rounded problem is derived and decided exactly. Only that counts.
What is varied:

- networks of L layers of width 1, x ~ N(0, 1), y = T x + noise, of which a point of L + 1 or L + 2 numbers is all that matters
  (``linvar.search.objective``);
- the numbers of a template, any ``Problem``: on few rows by all their batches (``linvar.search.rows``), of linear networks with
  one normal input and one output by Gauss nodes (``linvar.search.one_input``), both from the template itself and from starts
  about it; else by exact derivations in place of floating point and gradients (``linvar.search.trials``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from numbers import Real
from typing import Any, NamedTuple

import jax
import numpy as np

from linvar.arguments import check_flags, check_integer
from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.errors import InputError, InputTypeError, Words
from linvar.exact import Rational
from linvar.keywords import door
from linvar.laws.gaussian import Gaussian
from linvar.numeric.arguments import check_key
from linvar.problem import Problem
from linvar.progress import Progress, reporting
from linvar.search.certificate import Certificate, certify
from linvar.search.deform import points_near
from linvar.search.objective import build_objective
from linvar.search.rounds import Ascents, Clock, Search
from linvar.search.sought import ONE_LAYER, Sought, Varied
from linvar.search.template import Template
from linvar.symbolic.result.monotone import TurningPoint
from linvar.symbolic.result.polynomial import BatchPolynomial

MOST_DEPTH, MOST_STEPS, MOST_BATCH_SIZE, MOST_SECONDS = 64, 8, 10**9, 10**6
#: Where a search looks unless told: for networks of widths 1 and a depth, for a template.
_CHAINS, _TEMPLATES = (4, 400), (1, 400)


@dataclass(frozen=True)
class SearchResult(Tabular):
    """What a search found; ``problem`` is None if nothing was certified.

    Attributes:
        problem: what rises, in small rationals.
        variance: its exact polynomial.
        rise: integers (low, high): the exact variance rises at every step from b = low to b = high = b_0.
        relative_rise: variance(high) / variance(low) - 1, exact; None where it rises from 0.
        largest_slope: the largest d log var / d log b that was seen (in floating point); negative where all fell, minus infinity
            where none was looked at.
        starts: how many random starts were screened.
        seconds: wall-clock time.
        theorem: why there is nothing to find, where that is proved; else None.

    >>> import linvar as lv
    >>> result = lv.search_nonmonotone(1)
    >>> result.found, result.starts, result.theorem is None
    (False, 0, False)
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
    def of(cls, certificate: Certificate | None, largest: float, starts: int, seconds: float) -> SearchResult:
        """What a search came to."""
        work = largest, starts, seconds
        if certificate is None:
            return cls(None, None, None, None, *work)
        return cls(certificate.problem, certificate.variance, certificate.rise, certificate.relative_rise, *work)

    @property
    def found(self) -> bool:
        """Whether a rise was certified."""
        return self.problem is not None

    @property
    def values(self) -> tuple[Rational, Rational] | None:
        """The exact variance at both ends of the rise; None if nothing was found."""
        if self.rise is None or self.variance is None:
            return None
        low, high = (Rational(self.variance(b)) for b in self.rise)
        return low, high

    @property
    def turning_points(self) -> tuple[TurningPoint, ...]:
        """Where the exact variance turns; none if nothing was found."""
        return () if self.variance is None else self.variance.turning_points()

    def to_table(self) -> Table:
        """The ends of the rise and the exact values there; in words what was found, or why nothing was."""
        title = repr(self).removeprefix("SearchResult(").removesuffix(")")
        if self.rise is None or self.values is None:
            return Table([], [], title)
        turns = (f"{point.kind} at b = {float(point):.6g}" for point in self.turning_points)
        notes = [repr(self.problem), f"Its variance has a {', a '.join(turns)}"]
        return Table(["b", "variance"], zip(self.rise, self.values), title, notes)

    def __repr__(self) -> str:
        if self.theorem is not None:
            return f"SearchResult(no rise: {self.theorem})"
        work = f"{self.starts:,} starts, {self.seconds:.0f} s"
        if self.rise is None or self.values is None or self.problem is None:
            return f"SearchResult(no rise certified; largest slope {self.largest_slope:.4f}; {work})"
        low, high = self.rise
        by = f"from 0 to {float(self.values[1]):.4g}"
        if self.relative_rise is not None:
            by = f"by {float(self.relative_rise):.2%}"
        return (
            f"SearchResult({self.problem.model.describe(self.problem.leaves)}, t = {self.problem.step}: the variance rises {by} "
            f"from b = {low} to b = {high}, certified; {work})"
        )


@door
def search_nonmonotone(
    depth: int | Problem = 8,
    *,
    step: int | None = None,
    label_noise: bool | None = None,
    vary: Sequence[str] | None = None,
    near: Sequence[Problem] | None = None,
    batch_sizes: tuple[int, int] | None = None,
    key: Any = None,
    seconds: float = 60.0,
    progress: bool | Progress | None = None,
) -> SearchResult:
    """Look for a problem whose exact gradient variance rises with b somewhere: a linear network of widths 1, or any template.

    Rounds of random starts, ascent, rounding and exact certification, until a rise is certified or the time is over. A find is
    a theorem about the problem returned; no find proves nothing, except where a theorem says that there is nothing to find and
    no search is made: one layer, step 0, or gradients affine in the weights.

    Args:
        depth: L, from 1 to 64, of linear networks of widths 1 with x ~ N(0, 1); or, in its place, a template: a ``Problem`` of
            any model, law and sampling whose numbers are varied. It is looked at as it is first, and ascends first.
            Starts are about it: a number is at most twice its size (2 for a 0), of either sign; a positive one larger or
            smaller by a factor of at most 20.
        step: t, from 1 to 8; 1 if None. A template has its own.
        label_noise: whether to vary the noise of the labels too; none otherwise. A template has its own.
        vary: of a template, the names of what is varied: "weights", "learning_rate", "law" (all numbers of the law that
            may vary), or some of them by the argument that gives them: "inputs", "targets", "probabilities", "teacher",
            "noise_variance" (where it is not 0), "scales", "coordinates". All if None.
        near: with a depth, finds of other searches, of any depth: what they become with layers left out or put in ascends first.
        batch_sizes: (low, high), the range in which to look: (4, 400) if None, (1, 400) with a template, up to n without
            replacement. On few rows, all of whose batches are enumerated, it is cut to its first 16 sizes at most.
        key: a typed JAX key; ``jax.random.key(0)`` if None.
        seconds: when to stop, > 0 and at most 10^6; the search ends later by a compilation or a certificate at most.
        progress: None shows a search of more than ten seconds, True any; False is silent; or a function called as
            ``progress(seconds spent, seconds)``.

    Returns:
        A :class:`SearchResult`.

    Raises:
        InputError: an argument has the wrong type or is out of range, the template has symbols or nothing in it varies, or the
            certificate of one such problem takes longer than ``seconds``.
        DerivationTooLargeError: the certificate of such a problem would not fit; raised before the search starts.

    >>> search_nonmonotone(1)
    SearchResult(no rise: with one layer the variance falls with b, or is 0, at every step (proofs/linear-regression.md))
    >>> from linvar import Dataset
    >>> template = Problem([[[1]], [[2]]], Dataset([[1], ["1/2"]], [0, 0]), learning_rate=1, step=1)
    >>> found = search_nonmonotone(template)
    >>> found.rise, found.variance(1), found.variance(2)
    ((1, 2), 0, 61965/131072)
    """
    sought = _sought(depth, _Options(step, label_noise, vary, near, batch_sizes))
    limit = _check_seconds(seconds)
    key = jax.random.key(0) if key is None else check_key(key)
    cost = f"search: {sought.words}, up to {limit:g} seconds"
    with reporting(progress, "search", cost, limit) as report:
        if (theorem := sought.theorem) is not None:
            return SearchResult(None, None, None, None, -math.inf, 0, 0.0, theorem)
        sought.check_certificate(key, seconds, limit)
        clock = Clock(limit, report)
        if (found := certify(sought.first, clock.allows)) is not None:
            return SearchResult.of(found, _slope(found), 0, clock.spent)
        with jax.enable_x64(True):
            search = sought.search(clock)
            found = search.run(key)
        return SearchResult.of(found, search.largest, search.starts, clock.spent)


def _slope(found: Certificate) -> float:
    """The slope of log var against log b over a rise; infinite from 0."""
    low, high = found.rise
    return math.inf if found.relative_rise is None else math.log1p(found.relative_rise) / math.log(high / low)


class _Options(NamedTuple):
    """What says what is sought, as given."""

    step: Any
    label_noise: Any
    vary: Any
    near: Any
    batch_sizes: Any


@dataclass(frozen=True)
class _Chains(Sought):
    """Linear networks of widths 1, x ~ N(0, 1)."""

    depth: int
    step: int
    label_noise: bool
    batch_sizes: tuple[int, int]
    near: np.ndarray | None

    @property
    def words(self) -> str:
        """Layers and steps."""
        return f"{self.depth} layers, t = {self.step}"

    @property
    def theorem(self) -> str | None:
        """For one layer."""
        return ONE_LAYER if self.depth == 1 else None

    @property
    def first(self) -> tuple[Problem, ...]:
        """None."""
        return ()

    def usual(self, key: jax.Array) -> Problem:
        """Any has the same size."""
        law = Gaussian([["1/2"]], noise_variance="1/2" if self.label_noise else 0)
        return Problem([[["3/2"]]] * self.depth, law, "1/7", self.step)

    def search(self, clock: Clock) -> Search:
        """By gradients."""
        return Ascents(build_objective(self.depth, self.step, self.label_noise, *self.batch_sizes), clock, self.near)


@singledispatch
def _sought(depth: Any, options: _Options) -> Sought:
    """Networks of a depth."""
    layers = _in_range(depth, "depth", MOST_DEPTH)
    step = 1 if options.step is None else _in_range(options.step, "step", MOST_STEPS)
    sizes = _CHAINS if options.batch_sizes is None else _check_range(options.batch_sizes)
    noise = False if options.label_noise is None else options.label_noise
    check_flags(label_noise=noise)
    if options.vary is not None:
        raise InputError("vary", options.vary, "leave it out, or give a Problem for depth", fault="is of a template")
    near = () if options.near is None else options.near
    return _Chains(layers, step, noise, sizes, points_near(near, layers, noise, np.random.default_rng(0)))


@_sought.register
def _(problem: Problem, options: _Options) -> Sought:
    for name, value in (("step", options.step), ("label_noise", options.label_noise), ("near", options.near)):
        if value is not None:
            raise InputError(name, value, "leave it out", fault="goes with a depth, and a template has its own")
    template = Template.of(problem, options.vary)
    most = problem.largest_batch_size
    if most == 1:
        cure = "give two rows or more, or sampling='iid'"
        raise InputError("problem", Words("has one batch, of its one row"), cure)
    if options.batch_sizes is None:
        low, high = _TEMPLATES
        return Varied(template, (low, high if most is None else min(high, most)))
    return Varied(template, _check_range(options.batch_sizes, most))


def _in_range(value: Any, name: str, most: int) -> int:
    """An integer from 1 to ``most``."""
    number = check_integer(value, name)
    if not 1 <= number <= most:
        raise InputError(name, number, f"give an integer from 1 to {most}", fault="is out of range")
    return number


def _check_range(batch_sizes: Any, most: int | None = None) -> tuple[int, int]:
    """Two integers, low < high, at most ``most``."""
    largest = MOST_BATCH_SIZE if most is None else most
    example = _CHAINS if most is None else (1, most)
    cure = f"give a range (low, high) with 1 <= low < high <= {largest:,}, {example}"
    if not isinstance(batch_sizes, (tuple, list)):
        raise InputTypeError("batch_sizes", batch_sizes, cure)
    if len(batch_sizes) != 2:
        raise InputError("batch_sizes", batch_sizes, cure, fault="is no pair")
    low, high = (check_integer(value, f"batch_sizes[{i}]") for i, value in enumerate(batch_sizes))
    if not 1 <= low < high <= largest:
        raise InputError("batch_sizes", (low, high), cure, fault="is out of range")
    return low, high


def _check_seconds(seconds: Any) -> float:
    """A time that is over some day."""
    if isinstance(seconds, (bool, np.bool_)) or not isinstance(seconds, Real):
        raise InputTypeError("seconds", seconds, "give a number > 0")
    if seconds <= 0 or not seconds <= MOST_SECONDS:  # NaN is not
        raise InputError("seconds", seconds, "give a number > 0, at most 10^6", fault="is out of range")
    return float(seconds)
