"""Roads of the tests' own, made of the public protocol alone, and what is asked of a road without a derivation around it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import linvar as lv
from linvar.progress import Progress, say_nothing
from linvar.symbolic.algebra.ring import Element, Ring
from linvar.symbolic.sgd.questions import Question
from linvar.symbolic.sgd.road import Integrator, Road, RoadPlan
from linvar.symbolic.sgd.steps import Steps


@dataclass(frozen=True)
class WholeExpansion:
    """The expansion at any depth: of one layer too, which the road itself leaves to the regression."""

    name: ClassVar[str] = "whole"

    def cost(self, steps: Steps, *, thorough: bool = False) -> RoadPlan:
        """Not predicted."""
        return RoadPlan(self.name, "all monomials", 1.0, 1)

    def integrators(self, steps: Steps, at: Sequence[int]) -> tuple[Integrator, ...]:
        """Those of the expansion."""
        return lv.Expansion().integrators(steps, at)


def nothing_changed(question: Question, answers: list[Element]) -> list[Element]:
    """As they are."""
    return answers


@dataclass(frozen=True)
class Watched:
    """Another road, of which is written down what it is asked, and whose answers may be changed.

    Attributes:
        road: the other one.
        asked: (t, key of the question) for each that the integrators were asked.
        sweeps: the steps of each sweep.
        change: the answers to a question, as they are to be given.
    """

    road: Road = field(default_factory=WholeExpansion)
    asked: list[tuple[int, str]] = field(default_factory=list, compare=False)
    sweeps: list[tuple[int, ...]] = field(default_factory=list, compare=False)
    change: Callable[[Question, list[Element]], list[Element]] = nothing_changed
    name: ClassVar[str] = "watched"

    def cost(self, steps: Steps, *, thorough: bool = False) -> RoadPlan:
        """A guess."""
        return RoadPlan(self.name, "as much as the other", 1.0, 1)

    def integrators(self, steps: Steps, at: Sequence[int]) -> tuple[Integrator, ...]:
        """Those of the other, watched."""
        self.sweeps.append(tuple(at))
        return tuple(WatchedAt(self, inner, t) for t, inner in zip(at, self.road.integrators(steps, at), strict=True))


class WatchedAt:
    """An integrator of it."""

    def __init__(self, road: Watched, inner: Integrator, t: int) -> None:
        self.road, self.inner, self.t = road, inner, t

    @property
    def answers(self) -> Ring:
        """That of the other."""
        return self.inner.answers

    def expectations(self, question: Question, report: Progress) -> list[Element]:
        """What the other says, changed."""
        self.road.asked.append((self.t, question.key()))
        return self.road.change(question, self.inner.expectations(question, report))


_: tuple[type[Road], type[Road]] = (WholeExpansion, Watched)


def asked(problem: lv.Problem, question: Question, road: Road, report: Progress = say_nothing) -> list[Element]:
    """The answer of a road to one question."""
    (integrator,) = road.integrators(Steps(problem), [problem.step])
    return integrator.expectations(question, report)
