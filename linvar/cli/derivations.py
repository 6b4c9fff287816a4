"""What ``derive`` asks of the library: a road by its name, with its options."""

from __future__ import annotations

from collections.abc import Sequence

from linvar.cli.arguments import Method, Of, Quantity
from linvar.errors import Argument, InputError, Said, shown
from linvar.problem import Problem
from linvar.symbolic.derivation import derived
from linvar.symbolic.quantities import Loss, SecondMoment, SquaredMean, Variance, check_measured
from linvar.symbolic.registry import ROADS
from linvar.symbolic.result.polynomial import BatchPolynomial
from linvar.symbolic.result.truncated import LargeBatchExpansion
from linvar.symbolic.roads.lattice.road import Lattice
from linvar.symbolic.truncation import large_batch

_LEAVE = Said("leave it out, or use {}", Argument("road", "lattice"))
_MEASURED: dict[Quantity, type[Variance | SecondMoment | SquaredMean]] = {
    Quantity.variance: Variance,
    Quantity.second_moment: SecondMoment,
    Quantity.squared_mean: SquaredMean,
}


def whole_polynomials(
    problems: Sequence[Problem],
    quantity: Quantity,
    of: Of,
    road: Method,
    checkpoint: str | None,
    memory_limit: float | None,
) -> list[BatchPolynomial]:
    """The polynomial asked for at each step, on the road asked for; the lattice, if it is taken, keeps a checkpoint.

    Raises:
        InputError: a checkpoint, and another road than the lattice, or several steps.
    """
    for one in problems:
        check_measured(of.value, one)
    if checkpoint is not None and len(problems) > 1:
        fault = "with several steps, where a file holds one problem"
        raise InputError("checkpoint", checkpoint, "ask for one step", fault=fault)
    if checkpoint is not None and road not in (Method.auto, Method.lattice):
        fault = Said("with {}, where only the lattice keeps what is finished", Argument("road", road.value))
        raise InputError("checkpoint", checkpoint, _LEAVE, fault=fault)
    roads = ROADS if checkpoint is None else {**ROADS, Lattice.name: Lattice(checkpoint)}
    asked = None if road is Method.auto else roads[road.value]
    try:
        found = derived(problems, asked, None, memory_limit, list(roads.values()))
    except InputError as error:
        if error.argument != "road":
            raise
        raise InputError("road", road.value, error.cure, fault=error.fault) from error
    if checkpoint is not None and found[0].plan.road != Lattice.name:
        cost = f"has no use here ({found[0].plan.cost}): only the lattice keeps what is finished"
        raise InputError("checkpoint", checkpoint, _LEAVE, fault=cost)
    wanted = Loss() if quantity is Quantity.loss else _MEASURED[quantity](of.value)
    return [exact.one(wanted) for exact in found]


def first_coefficients(
    problem: Problem, quantity: Quantity, of: Of, order: int, digits: int | None, memory_limit: float | None
) -> LargeBatchExpansion:
    """The first coefficients of the quantity asked for."""
    check_measured(of.value, problem)
    found = large_batch(problem, order, digits, memory_limit=memory_limit)
    return found.loss if quantity is Quantity.loss else found.measured(quantity.value, of.value)


def check_no_road(order: int, road: Method, checkpoint: str | None) -> None:
    """Refuse what goes with a road to the whole polynomial."""
    if checkpoint is not None:
        fault = Said("with {}, where only the lattice keeps what is finished", Argument("order", shown(order)))
        raise InputError("checkpoint", checkpoint, _LEAVE, fault=fault)
    if road is not Method.auto:
        cure = Said("leave {} out, the first coefficients have a road of their own", Argument("road"))
        raise InputError("road", road.value, cure, fault=Said("with {}", Argument("order", shown(order))))


def check_no_order(digits: int | None) -> None:
    """Refuse digits of a whole polynomial."""
    if digits is not None:
        fault = Said("goes with {}, the whole polynomial is exact", Argument("order", "K"))
        raise InputError("digits", digits, "give both, or none", fault=fault)
