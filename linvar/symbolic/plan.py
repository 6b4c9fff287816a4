"""What each road would cost on a problem, before any starts, and which one is taken."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol, TypeVar, runtime_checkable

from linvar.display.cell import Cell, Style, cell_of
from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.errors import Argument, DerivationTooLargeError, InputError, InputTypeError, Said, shown
from linvar.keywords import door
from linvar.problem import Problem
from linvar.symbolic.limits import checked_limit, default_memory_limit, format_bytes, format_seconds
from linvar.symbolic.registry import ROADS
from linvar.symbolic.roads.large_batch.road import LargeBatch
from linvar.symbolic.sgd.road import Road, RoadPlan
from linvar.symbolic.sgd.steps import Steps

#: seconds: what takes less is taken without a thorough look at the others; what takes less than an instant without any
_QUICK, _INSTANT = 5.0, 0.05
_CURE = f"give one of {', '.join(f'linvar.{type(road).__name__}()' for road in ROADS.values())}, or leave it out"


@runtime_checkable
class Priced(Protocol):
    """What can say its cost: a road, or ``LargeBatch``."""

    @property
    def name(self) -> str: ...

    def cost(self, steps: Steps, *, thorough: bool = False) -> RoadPlan: ...


AnyRoad = TypeVar("AnyRoad", bound=Priced)


class UnknownRoadError(InputError, KeyError):
    """A name that is not one of a plan's roads."""


@dataclass(frozen=True)
class Plan(Tabular):
    """The roads to an answer, and the one that is taken where none is asked for.

    Attributes:
        problem: what is planned.
        roads: a ``RoadPlan`` for each.
        choice: the fastest of those without an obstacle, if it takes half an hour at most; or None.

    >>> import linvar as lv
    >>> plan = lv.plan(lv.Problem([[[1, 2]], [[3], [1]]], lv.Gaussian(0)))
    >>> [road.road for road in plan.roads]
    ['regression', 'expansion', 'traces', 'lattice']
    """

    problem: Problem
    roads: tuple[RoadPlan, ...]

    @property
    def choice(self) -> RoadPlan | None:
        open_roads = [road for road in self.roads if road.is_open]
        return min(open_roads, key=lambda road: road.seconds) if open_roads else None

    def __repr__(self) -> str:
        return self.text()

    def text(self, options: Mapping[str, str] = MappingProxyType({})) -> str:
        """Its table as lines; arguments are named as the options of a command."""
        return self.to_table(options).to_text()

    def to_table(self, options: Mapping[str, str] = MappingProxyType({})) -> Table:
        """A row a road: what it works through, about how long and in how much memory, and whether it is taken, or why not."""
        chosen = self.choice
        rows = [
            [
                road.road,
                road.size or None,
                _predicted(road, format_seconds(road.seconds), road.seconds),
                _predicted(road, format_bytes(road.bytes), road.bytes),
                Cell("taken", style=Style.GOOD) if road is chosen else Cell(road.verdict.typed(options)),
            ]
            for road in self.roads
        ]
        return Table(["road", "works through", "time", "memory", "verdict"], rows, f"Plan for {self.problem!r}:")

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


@door
def plan(problem: Problem, road: Road | LargeBatch | None = None, *, memory_limit: float | None = None) -> Plan:
    """What each road to ``gradient_variance`` would cost, without starting any.

    Predictions: the size of an expansion is counted; seconds and bytes are fitted to measurements on the machine that
    ``linvar/symbolic/cost.toml`` names: right within a factor of three on ordinary problems there
    (``benchmarks/plan_accuracy.py``). For another machine run ``benchmarks/calibrate.py`` on it and let the environment variable
    ``LINVAR_COST`` name the file it writes.

    Args:
        problem: the statement of the problem.
        road: one road only; or ``LargeBatch(order, digits)``, for what ``linvar.large_batch`` would cost.
        memory_limit: bytes a derivation may take, >= 1; half of the machine's memory if None.

    Returns:
        A ``Plan``; it prints as a table of the roads.

    Raises:
        InputTypeError: ``problem`` is no Problem, ``road`` no road, or another argument of the wrong type.
        InputError: ``order`` or ``digits`` has no meaning for the problem, the limit is no number of bytes, or the file that
            ``LINVAR_COST`` names is damaged.

    >>> import linvar as lv
    >>> problem = lv.Problem([[[1, 0], [1, 1]], [[1, 1]]], lv.Gaussian([[1, 0]]), learning_rate="1/10", step=1)
    >>> plan = lv.plan(problem)
    >>> plan.choice.road, plan["lattice"].is_open, plan["regression"].obstacle
    ('expansion', True, 'it is for one layer')

    Next: ``linvar.derive`` takes the one chosen, or ``road=``: ``linvar.Expansion``, ``linvar.Lattice``, ``linvar.Regression``,
    ``linvar.Traces``.
    """
    check_problem(problem)
    limit = checked_limit(memory_limit)
    if road is not None and (isinstance(road, type) or not isinstance(road, Priced)):
        raise InputTypeError("road", road, f"{_CURE}; or linvar.LargeBatch(order)")
    roads: Sequence[Priced] = list(ROADS.values()) if road is None else [road]
    return _plan(Steps(problem), roads, limit)


def _plan(steps: Steps, roads: Sequence[Priced], limit: int) -> Plan:
    """The cost of each; a prediction that takes long is made where no other road is open."""
    plans = [_limited(road.cost(steps), limit) for road in roads]
    if not any(one.is_open for one in plans):
        plans = [
            _limited(road.cost(steps, thorough=True), limit) if one.waits else one for road, one in zip(roads, plans)
        ]
    return Plan(steps.problem, tuple(plans))


def choose(
    steps: Steps, road: Road | None = None, memory_limit: float | None = None, among: Sequence[Road] = ()
) -> tuple[Road, RoadPlan]:
    """The road to take, or the reason why none can be.

    Args:
        steps: of the problem.
        road: the one asked for; the cheapest of ``among`` (all that linvar has, if empty) if None.
        memory_limit: bytes it may take.

    Raises:
        InputTypeError: ``road`` is no road. InputError: it does not apply to the problem.
        DerivationTooLargeError: it would not fit; the message has the whole plan.
    """
    limit = checked_limit(memory_limit)
    if road is not None:
        if isinstance(road, type) or not isinstance(road, Road):
            raise InputTypeError("road", road, f"{_CURE}; the first coefficients only are linvar.large_batch's")
        if not _has_hash(road):
            cure = "make it a frozen dataclass, with options that have a hash (tuples in place of lists)"
            raise InputTypeError("road", road, cure, fault="has no hash")
        return asked_for(steps, road, limit)
    roads = list(among) or list(ROADS.values())
    best: tuple[Road, RoadPlan] | None = None
    for one in roads:  # what is fast needs no comparison with what takes longer to predict than it could gain
        found = _limited(one.cost(steps), limit)
        if found.is_open and (best is None or found.seconds < best[1].seconds):
            best = one, found
        if best is not None and best[1].seconds < _INSTANT:
            break
    if best is not None and best[1].seconds < _QUICK:
        return best
    whole = _plan(steps, roads, limit)
    choice = whole.choice
    if choice is None:
        raise _too_large(whole, limit, [])
    return next((one, two) for one, two in zip(roads, whole.roads) if two is choice)


def _has_hash(road: object) -> bool:
    """Whether it can be told from others in a table; a class may have a hash where one of its fields has none."""
    try:
        hash(road)
    except TypeError:
        return False
    return True


def asked_for(
    steps: Steps, road: AnyRoad, limit: int, further: Sequence[tuple[str, str]] = ()
) -> tuple[AnyRoad, RoadPlan]:
    """A road asked for, whatever it takes; no other is compared with it, unless it does not fit.

    Args:
        further: cures of its own.
    """
    found = _limited(road.cost(steps, thorough=True), limit)
    if found.obstacle is None:
        return road, found
    if not found.size:
        raise InputError("road", road, "leave it out", fault=f"does not apply: {found.obstacle}")
    others = [] if further else [one for name, one in ROADS.items() if name != road.name]
    whole = _plan(steps, [road, *others], limit)
    raise _too_large(whole, limit, further)


def check_problem(problem: object) -> None:
    """A Problem, and nothing else."""
    if not isinstance(problem, Problem):
        raise InputTypeError("problem", problem, "give a linvar.Problem")


def _too_large(found: Plan, limit: int, further: Sequence[tuple[str, str]]) -> DerivationTooLargeError:
    """No road fits."""
    roads = "; ".join(road.statement for road in found.roads if road.size)
    return DerivationTooLargeError(f"{shown(found.problem, 200)} does not fit: {roads}", _cures(found, limit, further))


def _cures(found: Plan, limit: int, further: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """What to do about a derivation that does not fit, each with the argument it is about: what applies, and nothing else."""
    problem, moves = found.problem, found.problem.step > 0
    needed = min((road.bytes for road in found.roads if road.obstacle == _too_much(limit)), default=math.inf)
    first = Said("{} for the first coefficients", Argument("order", "2", "linvar.large_batch(problem, order=2)"))
    cures: list[tuple[bool, str, str]] = [
        (not further and problem.largest_batch_size is None and problem.degree > 2 and moves, "order", first),
        *((True, argument, words) for argument, words in further),
        (problem.step > 1, "", Said("fewer steps ({})", Argument("step", shown(problem.step)))),
        (bool(problem.symbols), "", "numbers in place of some of the symbols"),
        *((True, "", words) for words in problem.model.smaller(problem.leaves)),
        *((_is_too_long(road), "road", Said("{}, if that may take so long", road.call)) for road in found.roads),
        (
            needed <= 2 * default_memory_limit(),
            "memory_limit",
            Said("a larger {} (in bytes)", Argument("memory_limit")),
        ),
        (2 * default_memory_limit() < needed < 2**44, "", "a machine with more memory"),
    ]
    return [(argument, words) for applies, argument, words in cures if applies]


def _is_too_long(road: RoadPlan) -> bool:
    """Whether a road would be taken if it were asked for by name."""
    return bool(road.size) and road.obstacle is None and not road.is_open


def _too_much(limit: int) -> str:
    """The obstacle that a larger limit removes."""
    return f"more than the limit of {format_bytes(limit)}"


def _predicted(road: RoadPlan, text: str, value: float) -> Cell:
    """A number in words; nothing where nothing is predicted."""
    return Cell(text, value, numeric=True) if road.size else cell_of(None)


def _limited(road: RoadPlan, limit: int) -> RoadPlan:
    """The road with the obstacle of its size, if it has none yet."""
    if road.obstacle is not None or road.bytes <= limit:
        return road
    return replace(road, obstacle=_too_much(limit))
