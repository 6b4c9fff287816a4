"""What a road is: a way to integrate forms in the state of SGD over the batches of all steps before the last.

A road is a frozen object whose options are its fields: ``Lattice(checkpoint="residues.json")``. Asked about a problem it says
what it would cost, and gives an integrator, which answers questions. A further road is a class with these members.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Protocol, runtime_checkable

from linvar.errors import Argument, Said
from linvar.progress import Progress
from linvar.symbolic.algebra.ring import Element, Ring
from linvar.symbolic.limits import MOST_SECONDS, format_bytes, format_seconds
from linvar.symbolic.sgd.questions import Means, Question
from linvar.symbolic.sgd.steps import Steps

#: the obstacle of a road whose plan waits until no other is open
NOT_COMPARED = "not compared: to predict it takes longer than it could gain"


@dataclass(frozen=True)
class RoadPlan:
    """One road on one problem.

    Attributes:
        road: its name.
        size: what it works through, in words.
        seconds: predicted time on two cores, compilation included; NaN where it was not predicted.
        bytes: predicted memory at the peak.
        obstacle: why it cannot be taken; None if it can.
        asked: it was asked for, and is taken however long it takes.
        waits: it was not predicted, which takes long; ``cost(problem, thorough=True)`` does.
    """

    road: str
    size: str = ""
    seconds: float = math.nan
    bytes: int = 0
    obstacle: str | None = None
    asked: bool = False
    waits: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it may be taken."""
        return self.obstacle is None and (self.asked or self.seconds <= MOST_SECONDS)

    @property
    def cost(self) -> str:
        """What it takes, in words."""
        seconds = format_seconds(self.seconds)
        about = "" if seconds.startswith("over") else "about "
        return f"{self.road}: {self.size}, {about}{seconds}, {format_bytes(self.bytes)}"

    @property
    def statement(self) -> str:
        """What it takes and what is in its way, in words."""
        if not self.size:
            return f"{self.road}: {self.obstacle}"
        obstacle = self.obstacle or ("" if self.is_open else "too long")
        return f"{self.cost} ({obstacle})" if obstacle else self.cost

    @property
    def call(self) -> Argument:
        """How it is asked for."""
        return Argument("road", self.road, f"road=linvar.{self.road.title().replace('_', '')}()")

    @property
    def verdict(self) -> Said:
        """Whether it may be taken, or why not."""
        if self.obstacle or self.is_open:
            return Said("{}", Argument("", python=self.obstacle or "fits"))
        return Said("too long unless asked for: {}", self.call)

    @property
    def _compared(self) -> tuple[object, ...]:
        """Its fields, with seconds that are equal to themselves: a pickle has a NaN of its own."""
        seconds = None if math.isnan(self.seconds) else self.seconds
        return self.road, self.size, seconds, self.bytes, self.obstacle, self.asked, self.waits

    def __eq__(self, other: object) -> bool:
        return self._compared == other._compared if isinstance(other, RoadPlan) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._compared)

    def __str__(self) -> str:
        if not self.size:
            return f"{self.road}: {self.obstacle}"
        return self.cost if self.is_open else f"{self.cost} ({self.verdict})"

    def __repr__(self) -> str:
        return f"RoadPlan({self})"


class Integrator(Protocol):
    """A problem on a road."""

    @property
    def answers(self) -> Ring:
        """The ring of the answers: polynomials in u = 1/b, and the symbols."""
        ...

    def expectations(self, question: Question, report: Progress) -> list[Element]:
        """E of each form at step t, exact, in the ring of the answers; a road that counts calls ``report(done, total)``."""
        ...


@singledispatch
def squared_means(integrator: Integrator, of: str, sizes: Sequence[int], report: Progress) -> list[Element]:
    """||E G_l||^2 of leaves of so many entries (``of="update"``: of the update): by the expectation of every entry.

    A road that knows them a faster way registers it for the type of its integrators.
    """
    entries = iter(integrator.expectations(Means(of), report))
    return [sum((next(entries) ** 2 for _ in range(size)), integrator.answers.zero) for size in sizes]


@singledispatch
def cost_at_one_size(road: object, steps: Steps) -> RoadPlan:
    """What an expected loss at ONE batch size takes by numbers, in place of polynomials in 1/b; most roads have no such way.

    A road that has one registers it, and ``integrator_at_one_size``, for its type.
    """
    return RoadPlan("", obstacle="it goes by polynomials in 1/b only")


@singledispatch
def integrator_at_one_size(road: object, steps: Steps, batch_size: int) -> Integrator:
    """After the steps of the problem, which has no symbols: the answers are the values at this b, free of u."""
    raise NotImplementedError(f"{road!r} goes by polynomials in 1/b only")


@runtime_checkable
class Road(Protocol):
    """Frozen; its options are its fields."""

    @property
    def name(self) -> str:
        """In lower case, as ``--method`` takes it."""
        ...

    def cost(self, steps: Steps, *, thorough: bool = False) -> RoadPlan:
        """What the variance of ``steps.problem`` would take; nothing is started. A long prediction waits until it is thorough."""
        ...

    def integrators(self, steps: Steps, at: Sequence[int]) -> tuple[Integrator, ...]:
        """One for each t of ``at``, in one sweep; the problem is measured after the last of them.

        Raises:
            InputError: an option has no meaning for the problem.
        """
        ...
