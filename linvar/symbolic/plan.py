"""What each road would cost on a problem, before any starts, and which one is taken."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import comb
from typing import Any

from linvar.errors import DerivationTooLargeError, InputError, InputTypeError, shown
from linvar.problem import Problem
from linvar.symbolic.limits import default_memory_limit, format_bytes, format_seconds
from linvar.symbolic.roads.expansion import size as expansion_size
from linvar.symbolic.roads.large_batch import size as large_batch_size
from linvar.symbolic.roads.lattice import size as lattice_size
from linvar.symbolic.roads.regression import size as regression_size
from linvar.symbolic.sgd.steps import steps_of

METHODS = ("auto", "regression", "expansion", "lattice")
_NAMES = ", ".join(map(repr, METHODS))

#: A road that would take longer is taken only if it is asked for by name.
MOST_SECONDS = 1_800.0
_MOST_LATTICE_STEPS = 40
#: seconds: what takes less by another road is not compared with the lattice, which has to compile
_QUICK = 5.0
_NOT_NEEDED = "not compared: to predict it takes longer than it could gain"


class UnknownRoadError(InputError, KeyError):
    """A name that is not one of a plan's roads."""


@dataclass(frozen=True)
class RoadPlan:
    """One road on one problem.

    Attributes:
        road: its name, as in ``method=``.
        size: what it works through, in words.
        seconds: predicted time on two cores, compilation included.
        bytes: predicted memory at the peak.
        obstacle: why it cannot be taken; None if it can.
        asked: it was asked for by name, and is taken however long it takes.
    """

    road: str
    size: str = ""
    seconds: float = float("nan")
    bytes: int = 0
    obstacle: str | None = None
    asked: bool = False

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

    def __str__(self) -> str:
        if self.obstacle or self.is_open:
            return self.statement
        return f"{self.cost} (too long unless asked for: method={self.road!r})"


@dataclass(frozen=True)
class Plan:
    """The roads to an answer, and the one that ``method="auto"`` takes.

    Attributes:
        problem: what is planned.
        roads: a ``RoadPlan`` for each.
        choice: the fastest of those without an obstacle, if it takes half an hour at most; or None.
    """

    problem: Problem
    roads: tuple[RoadPlan, ...]

    @property
    def choice(self) -> RoadPlan | None:
        open_roads = [road for road in self.roads if road.is_open]
        return min(open_roads, key=lambda road: road.seconds) if open_roads else None

    def __repr__(self) -> str:
        chosen = self.choice
        lines = [f"{'->' if road is chosen else '  '} {road}" for road in self.roads]
        return "\n".join([f"Plan for {self.problem!r}:", *lines])

    def __getitem__(self, road: str) -> RoadPlan:
        """The plan of a road by its name.

        Raises:
            UnknownRoadError: (also a ``KeyError``) the plan has no such road.
        """
        for one in self.roads:
            if one.road == road:
                return one
        roads = ", ".join(repr(one.road) for one in self.roads)
        raise UnknownRoadError("road", road, f"the roads of this plan are {roads}", fault="is unknown")


def plan(
    problem: Problem, *, order: int | None = None, digits: int | None = None, memory_limit: float | None = None
) -> Plan:
    """What each road to ``gradient_variance`` would cost, without starting any.

    Predictions: the size of an expansion is counted; seconds and bytes are fitted to measurements on the machine that
    ``linvar/symbolic/cost.toml`` names: right within a factor of three on ordinary problems there
    (``benchmarks/plan_accuracy.py``). For another machine run ``benchmarks/calibrate.py`` on it and let the environment variable
    ``LINVAR_COST`` name the file it writes.

    Args:
        problem: the statement of the problem.
        order, digits: as in ``gradient_variance``: with ``order`` the one road is "large_batch".
        memory_limit: bytes a derivation may take, >= 1; half of the machine's memory if None.

    Returns:
        A ``Plan``; it prints as a list of the roads with an arrow at the one taken.

    Raises:
        InputTypeError: ``problem`` is no Problem, or another argument of the wrong type.
        InputError: ``order`` or ``digits`` has no meaning for the problem, the limit is no number of bytes, or the file that
            ``LINVAR_COST`` names is damaged.

    >>> from linvar import Gaussian, Problem
    >>> plan(Problem([[[1]], [[2]]], Gaussian([[3]]), "1/10", 1)).choice.road
    'expansion'
    """
    check_problem(problem)
    limit = checked_limit(memory_limit)
    if order is not None:
        return Plan(problem, (_limited(_large_batch(problem, order, digits), limit),))
    if digits is not None:
        raise InputError(
            "digits", digits, "give both, or none", fault="goes with order=K, the whole polynomial is exact"
        )
    roads = [_limited(make(problem), limit) for make in (_regression, _expansion)]
    steps = steps_of(problem)
    varies = any(steps[s].count(1) for s in range(min(problem.step, _MOST_LATTICE_STEPS)))
    is_open = any(_limited(road, limit).is_open for road in roads)
    needed = (varies and not is_open) or not _is_long_to_predict(problem)
    lattice = _lattice(problem) if needed else RoadPlan("lattice", obstacle=_NOT_NEEDED)
    return Plan(problem, (*roads, _limited(lattice, limit)))


def choose(
    problem: Problem,
    method: str = "auto",
    memory_limit: float | None = None,
    order: int | None = None,
    digits: int | None = None,
) -> RoadPlan:
    """The road to take, or the reason why none can be.

    Raises:
        InputError: an unknown method, or one that does not apply to the problem.
        DerivationTooLargeError: it would not fit; the message has the whole plan.
    """
    if not isinstance(method, str):
        raise InputTypeError("method", method, f"write one of {_NAMES}")
    if order is not None:
        if method not in ("auto", "large_batch"):
            cure = "leave method= out, the first coefficients have a road of their own"
            raise InputError("method", method, cure, fault=f"with order={shown(order)}")
    elif method not in METHODS:
        raise InputError("method", method, f"write one of {_NAMES}", fault="is unknown")
    limit = checked_limit(memory_limit)
    if method == "auto" and order is None and digits is None:  # what is fast needs no comparison
        for make in (_regression, _expansion):
            road = _limited(make(problem), limit)
            if road.obstacle is None and road.seconds < _QUICK:
                return road
    if method in _MAKERS and order is None and digits is None:  # asked for by name: no other is compared with it
        road = _limited(_MAKERS[method](problem), limit)
        if road.obstacle is None:
            return road
    found = plan(problem, order=order, digits=digits, memory_limit=limit)
    chosen = found.choice if method == "auto" or order is not None else found[method]
    if chosen is not None and not chosen.size:
        raise InputError("method", method, "write method='auto'", fault=f"does not apply: {chosen.obstacle}")
    if chosen is None or chosen.obstacle is not None:
        roads = "; ".join(road.statement for road in found.roads if road.size)
        raise DerivationTooLargeError(
            f"{shown(problem, 200)} does not fit: {roads}", _cures(found, order, digits, limit)
        )
    return chosen


def check_problem(problem: object) -> None:
    """A Problem, and nothing else."""
    if not isinstance(problem, Problem):
        raise InputTypeError("problem", problem, "give a linvar.Problem")


def checked_limit(memory_limit: Any) -> int:
    """Bytes: half of the machine's memory if None."""
    if memory_limit is None:
        return default_memory_limit()
    cure, fault = "give one that is at least 1", "is no number of bytes"
    a_number = isinstance(memory_limit, numbers.Real) and not isinstance(memory_limit, bool)
    if not a_number:
        raise InputTypeError("memory_limit", memory_limit, cure, fault=fault)
    if not memory_limit >= 1:
        raise InputError("memory_limit", memory_limit, cure, fault=fault)
    return int(min(memory_limit, 10**30))


def _cures(found: Plan, order: int | None, digits: int | None, limit: int) -> list[tuple[str, str]]:
    """What to do about a derivation that does not fit, each with the argument it is about: what applies, and nothing else."""
    problem, moves = found.problem, found.problem.step > 0
    deep, wide = problem.depth > 1, max(problem.widths) > 1
    needed = min((road.bytes for road in found.roads if road.obstacle == _too_much(limit)), default=math.inf)
    cures = [
        (order is None and problem.sampling == "iid" and deep and moves, "order", "order= for the first coefficients"),
        (
            order is not None and digits is None and not problem.symbols and moves,
            "digits",
            "digits=30 for certified enclosures",
        ),
        ((order or 0) > 1, "order", f"a smaller order (order={order})"),
        (problem.step > 1, "", f"fewer steps (step={shown(problem.step)})"),
        (bool(problem.symbols), "", "numbers in place of some of the symbols"),
        (wide, "", "smaller widths" if deep else "fewer inputs or outputs"),
        (problem.depth > 2, "", "fewer layers"),
        *((_is_too_long(road), "method", f"method={road.road!r}, if that may take so long") for road in found.roads),
        (needed <= 2 * default_memory_limit(), "memory_limit", "a larger memory_limit= (in bytes)"),
        (2 * default_memory_limit() < needed < 2**44, "", "a machine with more memory"),
    ]
    return [(argument, words) for applies, argument, words in cures if applies]


def _is_too_long(road: RoadPlan) -> bool:
    """Whether a road would be taken if it were asked for by name."""
    return bool(road.size) and road.obstacle is None and not road.is_open


def _too_much(limit: int) -> str:
    """The obstacle that a larger limit removes."""
    return f"more than the limit of {format_bytes(limit)}"


def _limited(road: RoadPlan, limit: int) -> RoadPlan:
    """The road with the obstacle of its size, if it has none yet."""
    if road.obstacle is not None or road.bytes <= limit:
        return road
    return replace(road, obstacle=_too_much(limit))


def _regression(problem: Problem) -> RoadPlan:
    if problem.depth != 1:
        return RoadPlan("regression", obstacle="it is for one layer")
    size = regression_size.predict(problem)
    return RoadPlan("regression", f"{size.count} coefficients", size.seconds, size.bytes)


def _expansion(problem: Problem) -> RoadPlan:
    if problem.depth == 1:
        return RoadPlan("expansion", obstacle="one layer has a road of its own")
    size = expansion_size.predict(problem)
    return RoadPlan("expansion", f"{size.count} monomials", size.seconds, size.bytes)


def _lattice(problem: Problem) -> RoadPlan:
    if problem.depth == 1:
        return RoadPlan("lattice", obstacle="one layer has a road of its own")
    if problem.symbols:
        return RoadPlan("lattice", obstacle="it takes numbers, no symbols")
    if problem.step > _MOST_LATTICE_STEPS:
        return RoadPlan("lattice", "far too many nodes", math.inf, 10**24)
    size = lattice_size.predict(problem, 4 * problem.depth - 2)
    seconds = size.seconds + size.compilation
    if not size.primes:
        return RoadPlan("lattice", "10^15 nodes and more", seconds, size.bytes)
    return RoadPlan("lattice", f"{size.nodes:,} nodes, about {size.primes:,} primes", seconds, size.bytes)


def _large_batch(problem: Problem, order: int, digits: int | None) -> RoadPlan:
    large_batch_size.check_arguments(problem, order, digits)
    order = large_batch_size.clamped(problem, order)
    size = large_batch_size.predict(problem, order, digits)
    road = RoadPlan("large_batch", f"up to u^{order}, {size}", size.seconds, size.bytes, asked=True)
    return replace(road, obstacle=size.obstacle)


def _is_long_to_predict(problem: Problem) -> bool:
    """Whether the lattice's prediction, which runs the steps on numbers that count, takes more than a moment."""
    size = len(problem.law.input_map[0])
    return (problem.dataset_size or 1) * comb(size + 3, 4) > 10**6


_MAKERS: dict[str, Callable[[Problem], RoadPlan]] = {
    "regression": _regression,
    "expansion": _expansion,
    "lattice": _lattice,
}
