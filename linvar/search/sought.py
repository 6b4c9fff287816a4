"""What is sought: the problems of a template."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from linvar.errors import InputError
from linvar.problem import Problem
from linvar.search.certificate import GRACE, seconds_of
from linvar.search.one_input import every_node
from linvar.search.rounds import Ascents, Clock, Search
from linvar.search.rows import every_batch
from linvar.search.template import Template
from linvar.search.trials import Trials
from linvar.symbolic.limits import format_seconds

#: What is known of one layer.
ONE_LAYER = "with one layer the variance falls with b, or is 0, at every step (proofs/linear-regression.md)"
#: Of a loss of degree 2 at most.
AFFINE = (
    "gradients that are affine in the weights have a variance that falls with b, or is 0 (proofs/linear-regression.md)"
)
#: Of no step.
AT_START = "at step 0 the variance is that of one example times a factor that falls with b (proofs/sampling-factor.md)"
#: Digits of the problem whose certificate is priced.
_PRICED = 3


class Sought(ABC):
    """Problems among which a search is made."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What they are, before the search starts."""

    @property
    @abstractmethod
    def theorem(self) -> str | None:
        """Why none of them rises, where that is proved; else None."""

    @property
    @abstractmethod
    def first(self) -> tuple[Problem, ...]:
        """Problems that are looked at before any search."""

    @abstractmethod
    def usual(self, key: jax.Array) -> Problem:
        """One whose certificate takes as long as others do."""

    @abstractmethod
    def search(self, clock: Clock) -> Search:
        """The search, to be run inside ``jax.enable_x64(True)``."""

    def check_certificate(self, key: jax.Array, seconds: Any, limit: float) -> None:
        """A certificate fits, and ends within the time.

        Raises:
            DerivationTooLargeError: it would not fit.
            InputError: it takes longer.
        """
        predicted = max(map(seconds_of, (*self.first, self.usual(key))))
        if predicted > limit + GRACE:
            about = f"is less than the certificate of one such problem takes, about {format_seconds(predicted)}"
            raise InputError("seconds", seconds, f"give more than {math.ceil(predicted)}", fault=about)


@dataclass(frozen=True)
class Varied(Sought):
    """The problems of a template.

    Attributes:
        template: what is varied.
        batch_sizes: (low, high).
    """

    template: Template
    batch_sizes: tuple[int, int]

    @property
    def words(self) -> str:
        """The network, and how many numbers are varied."""
        problem, many = self.template.problem, len(self.template.places)
        return f"{problem.model.describe(problem.leaves)}, t = {problem.step}, {many} numbers"

    @property
    def theorem(self) -> str | None:
        """For no step, and for gradients that are affine in the weights."""
        problem = self.template.problem
        if problem.step == 0:
            return AT_START
        if problem.is_linear_regression:
            return ONE_LAYER
        return AFFINE if problem.degree <= 2 else None

    @property
    def first(self) -> tuple[Problem, ...]:
        """The template itself."""
        return (self.template.problem,)

    def usual(self, key: jax.Array) -> Problem:
        """A random one."""
        with jax.enable_x64(True):
            return self.template.rounded(np.asarray(self.template.draw(key, 1))[0], _PRICED)

    def search(self, clock: Clock) -> Search:
        """By gradients where all batches, or Gauss nodes for them, are few; else by exact derivations."""
        law = self.template.problem.law
        landscape = every_batch(law, self.template, *self.batch_sizes) or every_node(
            law, self.template, *self.batch_sizes
        )
        if landscape is None:
            return Trials(self.template, self.batch_sizes, clock)
        return Ascents(landscape, clock, self.template.point[None])
