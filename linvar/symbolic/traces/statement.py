"""Which formula is meant, checked; and its derivation, kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from linvar.arguments import check_flags, check_integer
from linvar.errors import InputError, InputTypeError
from linvar.problem import Problem
from linvar.progress import Progress, say_nothing
from linvar.symbolic.traces.derivation import Derivation, Formula
from linvar.symbolic.traces.network import MOST_LAYERS, Network

T = TypeVar("T")

#: what may be asked for -> its formula, of the layers
QUANTITIES: dict[str, Callable[[Derivation, tuple[int, ...]], Formula]] = {
    "variance": Derivation.variance,
    "second_moment": Derivation.second_moment,
    "squared_mean": Derivation.squared_mean,
    "loss": Derivation.doubled_loss,
}
#: parts of the second moment, which the road asks for
_PARTS = {"norms": Derivation.norms, "spreads": Derivation.spreads}
COVARIANCES = ("identity", "general")
#: formulas that are kept
_KEPT = 16


@dataclass(frozen=True)
class Statement:
    """A formula's arguments (``linvar.trace_formula``), and the layers summed over."""

    depth: int
    step: int
    quantity: str
    order: int | None
    covariance: str
    layer_rates: bool
    weight_decay: bool
    layers: tuple[int, ...]

    @property
    def network(self) -> Network:
        """Its letters."""
        return Network(self.depth, self.covariance == "identity", self.layer_rates, self.weight_decay)

    @property
    def degree(self) -> int:
        """A bound on the degree in u of the whole polynomial."""
        return sum(2 * (2 * self.depth - 1) ** j - 1 for j in range(self.step + 1))

    def __str__(self) -> str:
        order = "" if self.order is None else f" to u^{self.order}"
        layers = f"{self.depth} layer{'s' * (self.depth > 1)}"
        if len(self.layers) < self.depth:
            layers = f"layer {', '.join(str(l + 1) for l in self.layers)} of {self.depth}"
        return f"{self.quantity.replace('_', ' ')} of {layers} at t = {self.step}{order}, {self.covariance} covariance"


def checked(
    depth: Any, step: Any, quantity: Any, order: Any, covariance: Any, layer_rates: Any, weight_decay: Any
) -> Statement:
    """The statement, of all layers.

    Raises:
        InputTypeError, InputError: see ``linvar.trace_formula``.
    """
    depth = _at_least(1, depth, "depth", f"give the number of layers, an integer from 1 to {MOST_LAYERS}")
    if depth > MOST_LAYERS:
        raise InputError("depth", depth, f"give at most {MOST_LAYERS} layers", fault="is out of range")
    step = _at_least(0, step, "step", "give 0 or 1, the updates before the gradient is measured")
    if step > 1:
        cure = "give 0 or 1; the first coefficient after more steps is linvar.first_order_formula's, others linvar.large_batch's"
        raise InputError(
            "step",
            step,
            cure,
            fault="has no formula in traces (after two steps: a million words a layer, with 18 and 6 batch moments)",
        )
    for value, name, choices in ((quantity, "quantity", tuple(QUANTITIES)), (covariance, "covariance", COVARIANCES)):
        cure = "give one of " + ", ".join(map(repr, choices))
        if not isinstance(value, str):
            raise InputTypeError(name, value, cure)
        if value not in choices:
            raise InputError(name, value, cure, fault="is unknown")
    if order is not None:
        cure = "give the highest power of 1/b wanted, an integer >= 0, or None for all"
        order = _at_least(0, order, "order", cure)
    check_flags(layer_rates=layer_rates, weight_decay=weight_decay)
    layers = tuple(range(depth))
    options = bool(layer_rates), bool(weight_decay)
    found = Statement(depth, step, quantity, order, covariance, *options, layers)
    if order is not None and order >= found.degree:
        found = Statement(depth, step, quantity, None, covariance, *options, layers)
    return found


def statement_of(problem: Problem, quantity: str, white: bool, layers: tuple[int, ...] | None = None) -> Statement:
    """Of a problem's own network and step, all powers of 1/b; of all layers if None."""
    covariance = COVARIANCES[not white]
    every = tuple(range(problem.depth))
    return Statement(
        problem.depth, problem.step, quantity, None, covariance, False, False, every if layers is None else layers
    )


def _at_least(least: int, value: Any, name: str, cure: str) -> int:
    found = check_integer(value, name, cure)
    if found < least:
        raise InputError(name, value, cure, fault="is out of range")
    return found


_lock = threading.RLock()
_formulas: dict[Statement, Formula] = {}
_derivations: dict[tuple[Network, int, int | None], Derivation] = {}


def derived(statement: Statement, report: Progress = say_nothing) -> Formula:
    """All terms of a formula; the last ones are kept, and what several of them share. One thread derives at a time."""
    with _lock:
        found = _formulas.pop(statement, None)
        if found is None:
            derivation = derivation_of(statement)
            derivation.report = report
            try:
                found = _read_only({**QUANTITIES, **_PARTS}[statement.quantity](derivation, statement.layers))
            finally:
                derivation.report = say_nothing
        _formulas[statement] = found
        _trim(_formulas)
        return found


def _read_only(formula: Formula) -> Formula:
    """Terms that nobody changes: they are kept for all."""
    return MappingProxyType({key: MappingProxyType(terms) for key, terms in formula.items()})


def is_derived(statement: Statement) -> bool:
    """Whether its terms are kept."""
    return statement in _formulas


def derivation_of(statement: Statement) -> Derivation:
    """What formulas of one network, step and order share."""
    key = statement.network, statement.step, statement.order
    with _lock:
        found = _derivations.pop(key) if key in _derivations else Derivation(*key)
        _derivations[key] = found
        _trim(_derivations)
        return found


def _trim(known: dict[T, Any]) -> None:
    """Keep the last ones."""
    while len(known) > _KEPT:
        del known[next(iter(known))]


def forget() -> None:
    """Keep nothing: for measurements."""
    _formulas.clear()
    _derivations.clear()
