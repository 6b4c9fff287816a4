"""The door to what can be drawn, ``curve_of``, and linvar's own results through it.

Their kinds are named, not imported: what is there to be drawn has loaded its half already.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import singledispatch
from typing import TYPE_CHECKING, Any

from linvar.errors import InputError, InputTypeError, Words, cut
from linvar.exact import Rational
from linvar.plotting.curve import WHOLE, Asked, Curve, Turn, to_float

if TYPE_CHECKING:
    from linvar.numeric.regression import RegressionCurve
    from linvar.symbolic.derivation import Derivation
    from linvar.symbolic.result.polynomial import BatchPolynomial
    from linvar.symbolic.result.truncated import LargeBatchExpansion
    from linvar.symbolic.roads.large_batch.truncation import LargeBatchDerivation
    from linvar.verification.report import Report

#: A curve without an end goes to this batch size, or beyond its last turn and estimate.
_LARGEST_BATCH = 1024
_POINTS = 60
#: Turns beyond are not gone to.
_FARTHEST = 10**12


@singledispatch
def curve_of(result: object, asked: Asked) -> Curve:
    """The curve of a result. ``curve_of.register`` adds a kind; linvar's own are read by ``READERS``, once one is met.

    Raises:
        InputTypeError: nothing reads its kind.
        InputError: it contains symbols, or does not have the quantity.
    """
    for kind in type(result).__mro__:
        read = READERS.get(f"{kind.__module__}.{kind.__qualname__}")
        if read is not None:
            curve_of.register(kind, read)
            return curve_of(result, asked)
    raise InputTypeError(asked.argument, Words(f"is of type {type(result).__name__}"), asked.quantity.cure)


def of_polynomial(polynomial: BatchPolynomial, asked: Asked) -> Curve:
    """Values, turns and b_0 are exact."""
    _refuse_symbols(polynomial.symbols, asked)
    largest, start = polynomial.largest_batch_size, polynomial.decreasing_from()
    turns = _whole_turns(polynomial)
    ends = [b for b in (1, start or 1, *(turn.batch_size for turn in turns)) if b <= _FARTHEST]
    size = "" if polynomial.dataset_size is None else f", n = {polynomial.dataset_size}"
    return Curve(
        at=polynomial,
        sizes=_spread(1, largest or max(_LARGEST_BATCH, *(4 * b for b in ends)), ends),
        words=f"{polynomial.scheme.words}{size}",
        zero=not polynomial,
        limit=to_float(polynomial.coefficients[0]) if largest is None else None,
        turns=turns,
        decreasing_from=start,
    )


def of_derivation(derivation: Derivation | LargeBatchDerivation, asked: Asked) -> Curve:
    """Its quantity, and its step."""
    found = curve_of(getattr(derivation, asked.quantity.name), asked)
    return replace(found, step=derivation.problem.step)


def of_report(report: Report, asked: Asked) -> Curve:
    """The polynomial and the estimates; it is derived if it was not among what was checked."""
    curve = curve_of(_checked(report, asked.quantity.name), asked)
    rows = tuple(row for row in report.rows if row.quantity == asked.quantity.name)
    largest = max([1, *(row.batch_size for row in rows)])
    beyond = _spread(curve.sizes[-1], largest, ()) if largest > curve.sizes[-1] else ()
    sizes = {*curve.sizes, *beyond, *(row.batch_size for row in rows)}
    return replace(curve, sizes=tuple(sorted(sizes)), rows=rows, step=report.problem.step)


def of_expansion(expansion: LargeBatchExpansion, asked: Asked) -> Curve:
    """The sum of the known powers of 1/b, from where the last of them is at most half of the others on."""
    _refuse_symbols(expansion.symbols, asked)
    middles = [Rational(low + high) / 2 for low, high in expansion.intervals]
    order = expansion.order

    def last(b: int) -> Rational:
        return Rational(middles[-1] / b**order)

    def at(b: int) -> Rational:
        return Rational(sum((c / b**k for k, c in enumerate(middles)), Rational(0)))

    start = 1
    while 2 * abs(last(start)) > abs(at(start) - last(start)) and start < 2**40 and any(middles[:-1]):
        start *= 2
    power = "its constant" if order == 0 else "1/b" if order == 1 else f"1/b^{order}"
    return Curve(
        at=at,
        sizes=_spread(start, max(_LARGEST_BATCH, 64 * start), ()),
        words="iid batches",
        said=f"up to {power}, the rest not known",
        remark=f"up to {power}",
        zero=False,
        limit=to_float(middles[0]),
        last_term=last,
    )


def of_regression(regression: RegressionCurve, asked: Asked) -> Curve:
    """Its own batch sizes, in floating point."""
    known = {"variance": regression.gradient_variance, "loss": regression.expected_loss}[asked.quantity.name]
    values = {int(b): float(value) for b, value in zip(regression.batch_sizes, known)}

    def at(b: int) -> float:
        if b not in values:
            raise InputError(
                "batch_sizes", b, "give some that the curve has", fault=f"is not among those of {regression}"
            )
        return values[b]

    sizes = sorted(values)
    if len(sizes) > 4 * _POINTS:
        sizes = sorted({*_spread(sizes[0], sizes[-1], ())} & set(sizes) | {sizes[0], sizes[-1]})
    return Curve(at=at, sizes=tuple(sizes), said="float64", remark="float64", zero=not any(values.values()))


#: module and name of a kind -> what reads it
READERS: dict[str, Callable[[Any, Asked], Curve]] = {
    "linvar.symbolic.result.polynomial.BatchPolynomial": of_polynomial,
    "linvar.symbolic.result.truncated.LargeBatchExpansion": of_expansion,
    "linvar.symbolic.derivation.Derivation": of_derivation,
    "linvar.symbolic.roads.large_batch.truncation.LargeBatchDerivation": of_derivation,
    "linvar.verification.report.Report": of_report,
    "linvar.numeric.regression.RegressionCurve": of_regression,
}


def _checked(report: Report, name: str) -> BatchPolynomial:
    """The polynomial of a report."""
    if name == "variance":
        return report.variance
    if name not in report.polynomials:
        from linvar.symbolic.answers import expected_loss

        report.polynomials[name] = expected_loss(report.problem)
    return report.polynomials[name]


def _refuse_symbols(symbols: Sequence[object], asked: Asked) -> None:
    """No number, no height."""
    if symbols:
        names = cut(", ".join(map(str, symbols)))
        raise InputError(asked.argument, Words(f"has the symbols {names}"), "substitute numbers first, subs({...})")


def _whole_turns(polynomial: BatchPolynomial) -> tuple[Turn, ...]:
    """The turns that whole b show: at one of the integers around a turning point of the polynomial."""
    found, largest = [], polynomial.largest_batch_size or math.inf
    for point in polynomial.turning_points():
        around = range(max(1, math.floor(point.low)), math.ceil(point.high) + 1)
        sign = 1 if point.kind == "maximum" else -1
        b = max((b for b in around if b <= largest), key=lambda b: sign * polynomial(b))
        if 1 < b < largest:
            here, *sides = (sign * polynomial(near) for near in (b, b - 1, b + 1))
            if here >= max(sides) and here > min(sides):
                found.append(Turn(b, point.kind))
    return tuple(found)


def _spread(first: int, last: int, further: Iterable[int]) -> tuple[int, ...]:
    """Integers spread evenly on a logarithmic axis, all where they are few, with the ends and further ones."""
    if last <= WHOLE:
        return tuple(range(first, last + 1))
    ratio = last / first
    spread = {round(first * ratio ** (k / (_POINTS - 1))) for k in range(_POINTS)}
    return tuple(sorted(spread | {first, max(first, last - 1), last, *further}))
