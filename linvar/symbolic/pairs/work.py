"""How much work the coefficient is, by either way: the evaluation itself, run on shapes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from linvar.symbolic.pairs.kinds import Shape, Tally
from linvar.symbolic.pairs.path import At, Setting
from linvar.symbolic.pairs.sums import by_pairs
from linvar.symbolic.pairs.tangents import by_tangents

#: products in the time of a call
_CALL = 10_000


def _setting(widths: Sequence[int], step: int, white: bool, noisy: bool) -> tuple[Tally, Setting[Shape]]:
    """A network of these widths (d_0, ..., d_L)."""
    tally, inputs, outputs = Tally(), widths[0], widths[-1]

    def shape(rows: int, columns: int) -> Shape:
        return Shape(tally, rows, columns)

    return tally, Setting(
        tuple(shape(above, below) for below, above in zip(widths, widths[1:])),
        shape(outputs, inputs),
        (1,) * step,
        None if white else shape(inputs, inputs),
        shape(outputs, outputs) if noisy else None,
        lambda width: shape(width, width),
    )


@lru_cache(maxsize=64)
def of_pairs(widths: tuple[int, ...], step: int, white: bool, noisy: bool) -> Tally | None:
    """Products and operations; None where the lists are too long."""
    tally, setting = _setting(widths, step, white, noisy)
    return tally if by_pairs(setting) is not None else None


@lru_cache(maxsize=64)
def of_tangents(widths: tuple[int, ...], step: int, white: bool, noisy: bool, exact: bool = False) -> Tally:
    """The same by directions: what one of each step takes, times their number (in floating point many are taken at once)."""
    still, setting = _setting(widths, step, white, noisy)
    setting.path()
    tally, setting = _setting(widths, step, white, noisy)
    by_tangents(setting, _one_unit if exact else _one_direction)
    outputs, inputs = widths[-1], widths[0]
    count = outputs * (outputs + 1) // 2 + outputs * max(0, inputs - (0 if noisy else outputs))
    if exact:
        count = outputs * inputs
    each, operations = tally.products - still.products, tally.operations - still.operations
    calls = still.operations + operations * (count if exact else 1)
    return Tally(still.products + count * each, calls, tally.entries)


def _one_direction(at: At[Shape]) -> list[tuple[Shape, None]]:
    return [(at.mean, None)]


def _one_unit(at: At[Shape]) -> list[tuple[Shape, Shape]]:
    return [(at.mean, at.correlated(at.mean))]


def is_shorter_by_pairs(widths: tuple[int, ...], step: int, white: bool, noisy: bool, limit: int) -> bool:
    """Whether the sum over pairs, in floating point and within so many bytes, takes less than the directions."""
    pairs = of_pairs(widths, step, white, noisy)
    if pairs is None or 8 * pairs.entries > limit:
        return False
    return _effort(pairs) <= _effort(of_tangents(widths, step, white, noisy))


def _effort(tally: Tally) -> int:
    """Products, those that calling an operation takes as long as among them."""
    return tally.products + _CALL * tally.operations
