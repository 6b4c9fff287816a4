"""What a picture of a quantity against the batch size needs of a result, whatever it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from linvar.exact import Exact

if TYPE_CHECKING:
    from linvar.verification.report import Row

#: Up to this b values are marked at whole b, and not joined: there is nothing between them.
WHOLE = 64


@dataclass(frozen=True)
class Quantity:
    """What is drawn.

    Attributes:
        name: of the attribute of a derivation, and of a report's rows.
        axis: the label of its axis.
        decades: draw values of one sign that span a larger factor than this on a logarithmic axis.
        limit: whether the value at b = infinity is marked.
        cure: what gives a result that has it.
    """

    name: str
    axis: str
    decades: float
    limit: bool
    cure: str


@dataclass(frozen=True)
class Asked:
    """What is asked of a result: a quantity, and the argument's name as typed, for a message."""

    quantity: Quantity
    argument: str


@dataclass(frozen=True)
class Turn:
    """A whole b at which the value is larger ("maximum"), or smaller, than on both sides."""

    batch_size: int
    kind: str


@dataclass(frozen=True)
class Curve:
    """A result, ready to be drawn.

    Attributes:
        at: the value at a whole b; raises InputError where it has none.
        sizes: the b that are drawn if none are given, ascending.
        words: the sampling.
        said: what the values are: "exact".
        remark: what a label of the user's must not hide: "up to 1/b^2"; "" if nothing.
        zero: whether it is zero at every b.
        step: t, where it is known.
        limit: the value at b = infinity, where there is one.
        turns: at which whole b it turns, ascending.
        decreasing_from: b_0, from which on it falls; None if not known, or none.
        last_term: the part of the value that the last known power of 1/b makes; None where all are known.
        rows: estimates.
    """

    at: Callable[[int], Exact | float]
    sizes: tuple[int, ...]
    words: str = ""
    said: str = "exact"
    remark: str = ""
    zero: bool = False
    step: int | None = None
    limit: float | None = None
    turns: tuple[Turn, ...] = ()
    decreasing_from: int | None = None
    last_term: Callable[[int], Exact | float] | None = None
    rows: tuple[Row, ...] = ()


def to_float(value: Exact | float) -> float:
    """An exact number as a float, infinite where it is beyond their range."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
