"""Primitives that compute: sums and products of anything, quotients, comparisons and orders of known numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from linvar.errors import cut
from linvar.flint import fmpq, fmpz
from linvar.tracing.degrees import cure_for, subject
from linvar.tracing.values import Entries, NoNumber, filled, is_known, known, mapped, refuse, zero
from linvar.tracing.values import cast as to_type

#: beyond it a power is refused, not multiplied out
_MOST_POWER = 1_000

#: the outputs of one equation
Rule = Callable[[Any, Sequence[Entries]], list[Entries]]


def _elementwise(function: Callable[..., Any]) -> Rule:
    return lambda equation, inputs: [mapped(function, *inputs)]


def ask_numbers(equation: Any, inputs: Sequence[Entries], words: str) -> None:
    """Known numbers only."""
    for nothing in (entry for array in inputs for entry in array.flat if isinstance(entry, NoNumber)):
        nothing.refused()
    if not all(map(known, inputs)):
        refuse(f"{words} {subject(inputs)} ({equation.primitive.name})", cure_for(inputs))


def _of_numbers(function: Callable[..., Any], words: str) -> Rule:
    """Entry by entry, of known numbers only."""

    def rule(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
        ask_numbers(equation, inputs, words)
        return [mapped(function, *inputs)]

    return rule


def _square(x: Any) -> Any:
    return x * x


def _power(x: Any, exponent: Any) -> Any:
    """x to a known power: an integer, of what is not known one that is not negative."""
    number = fmpq(int(exponent)) if isinstance(exponent, int) else exponent
    if number.q != 1 or abs(int(number.p)) > _MOST_POWER:
        refuse(f"takes the power {cut(str(number), 60)}", f"use integers from 0 to {_MOST_POWER}")
    whole = int(number.p)
    if whole < 0:
        if isinstance(x, int):
            refuse(f"takes the power {whole} of an integer", "use floats: 1.0 * x")
        return _quotient(fmpq(1), _power(x, -whole))
    return x**whole


def _quotient(x: Any, y: Any) -> Any:
    """x / y for a known y; of integers cut toward zero, as a primitive does."""
    if not is_known(y):
        inputs = [filled([y], ())]
        refuse(f"divides by {subject(inputs)}", cure_for(inputs))
    if y == 0:
        refuse("divides by 0", "let every number divided by be another; jax.numpy.where computes both of its cases")
    return _cut(x, y) if isinstance(y, int) else x * (1 / y)


def _cut(x: int, y: int) -> int:
    """x / y, cut toward zero."""
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def _rest(x: int, y: int) -> int:
    """What is left of it, with the sign of x."""
    if y == 0:
        refuse("divides by 0", "let every number divided by be another; jax.numpy.where computes both of its cases")
    return x - y * _cut(x, y)


def _remainder(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    ask_numbers(equation, inputs, "takes a remainder of")
    if any(isinstance(entry, fmpq) for array in inputs for entry in array.flat):
        refuse("takes a remainder of numbers that are no integers (rem)", "use integers of the data")
    return [mapped(_rest, *inputs)]


def _integer_pow(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return [mapped(lambda x: _power(x, equation.params["y"]), inputs[0])]


def _pow(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    if not known(inputs[1]):
        refuse(f"takes a power whose exponent is made of {subject(inputs[1:])}", cure_for(inputs[1:]))
    return [mapped(_power, *inputs)]


def _convert(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return [to_type(inputs[0], equation.params["new_dtype"])]


def _select(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    """The case that a known truth value or integer names, entry by entry."""
    which, *cases = inputs
    ask_numbers(equation, [which], "chooses (where) by")
    if any(not 0 <= entry < len(cases) for entry in which.flat):
        refuse("chooses a case that is not there (select_n)")
    return [mapped(lambda index, *entries: entries[int(index)], which, *cases)]


def _clamp(low: Any, x: Any, high: Any) -> Any:
    return min(max(x, low), high)


def _sign(x: Any) -> Any:
    return type(x)((x > 0) - (x < 0))


def _polynomial(x: Any, *coefficients: Any) -> Any:
    """Horner, the leading coefficient last."""
    return reduce(lambda value, coefficient: value * x + coefficient, reversed(coefficients))


def _reduced(function: Callable[[Any, Any], Any], empty: int | None = None) -> Rule:
    """Along some axes; where there are no entries a sum is 0, a product 1. Without such a number of known numbers only."""

    def rule(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
        (array,), axes = inputs, tuple(equation.params["axes"])
        if empty is None:
            ask_numbers(equation, inputs, "takes the largest, the smallest or bits of")
        kept = [axis for axis in range(array.ndim) if axis not in axes]
        shape = tuple(array.shape[axis] for axis in kept)
        length = prod(array.shape[axis] for axis in axes)
        if not length and empty is None:
            refuse(f"takes {equation.primitive.name} of nothing")
        if not length:
            nothing = to_type(filled([empty], ()), equation.outvars[0].aval.dtype)[()]
            return [filled([nothing] * prod(shape), shape)]
        rows = array.transpose(*kept, *axes).reshape((prod(shape), length))
        return [filled((reduce(function, row) for row in rows), shape)]

    return rule


def _cumulative(function: Callable[[Any, Any], Any], words: str = "") -> Rule:
    """Along one axis, from either end."""

    def rule(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
        if words:
            ask_numbers(equation, inputs, words)
        found = np.moveaxis(inputs[0].copy(), equation.params["axis"], 0)
        order = found[::-1] if equation.params["reverse"] else found
        for place in range(1, len(order)):
            part = mapped(function, order[place - 1 : place], order[place : place + 1])
            order[place : place + 1] = part
        return [np.moveaxis(found, 0, equation.params["axis"])]

    return rule


def _dot(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    """dot_general: batch axes first, then those of the left, then those of the right."""
    (left_summed, right_summed), (left_batch, right_batch) = equation.params["dimension_numbers"]
    left, right = inputs
    left_free = [axis for axis in range(left.ndim) if axis not in (*left_summed, *left_batch)]
    right_free = [axis for axis in range(right.ndim) if axis not in (*right_summed, *right_batch)]
    batch, free, last = (
        [left.shape[k] for k in left_batch],
        [left.shape[k] for k in left_free],
        [right.shape[k] for k in right_free],
    )
    summed = prod(left.shape[k] for k in left_summed)
    a = left.transpose(*left_batch, *left_free, *left_summed).reshape(prod(batch), prod(free), summed)
    c = right.transpose(*right_batch, *right_free, *right_summed).reshape(prod(batch), prod(last), summed)
    nothing = zero(equation.outvars[0].aval.dtype)
    rows = (inner(row, column, nothing) for x, y in zip(a, c) for row in x for column in y)
    return [filled(rows, (*batch, *free, *last))]


def inner(left: Sequence[Any], right: Sequence[Any], nothing: Any) -> Any:
    """sum_k left_k right_k, without the products with a known 0."""
    products = [x * y for x, y in zip(left, right) if not _vanishes(x, y)]
    return reduce(operator.add, products) if products else nothing


def _vanishes(x: Any, y: Any) -> bool:
    """Whether one of two factors is a known 0, and the other no nan."""
    one_is_zero = (is_known(x) and x == 0) or (is_known(y) and y == 0)
    return one_is_zero and not isinstance(x, NoNumber) and not isinstance(y, NoNumber)


def _argument(better: Callable[[Any, Any], bool]) -> Rule:
    """argmax and argmin of known numbers: the first of the best."""

    def rule(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
        (array,), (axis,) = inputs, equation.params["axes"]
        ask_numbers(equation, inputs, "takes the place of the largest or smallest of")
        rows = np.moveaxis(array, axis, -1)
        shape = rows.shape[:-1]
        chosen = (
            reduce(lambda k, j: j if better(row[j], row[k]) else k, range(len(row)))
            for row in rows.reshape(-1, rows.shape[-1])
        )
        return [filled(chosen, shape)]

    return rule


def _sort(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    """By the first operands, which are known; the others follow."""
    params = equation.params
    keys = inputs[: params["num_keys"]]
    ask_numbers(equation, keys, "sorts")
    found = [np.moveaxis(array.copy(), params["dimension"], -1) for array in inputs]
    for row in np.ndindex(found[0].shape[:-1]):
        lines = [array[row] for array in found]
        order = sorted(range(len(lines[0])), key=lambda k: tuple(line[k] for line in lines[: len(keys)]))
        if (
            not params["is_stable"]
            and inputs[len(keys) :]
            and len({tuple(line[k] for line in lines[: len(keys)]) for k in order}) < len(order)
        ):
            refuse("sorts equal numbers in any order (sort)", "use a stable sort")
        for array, line in zip(found, lines):
            array[row] = line[order]
    return [np.moveaxis(array, -1, params["dimension"]) for array in found]


def _top(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    """The largest of known numbers along an axis and their places, of equal ones the first."""
    params = equation.params
    ask_numbers(equation, inputs, "takes the largest of")
    axis = params.get("axis", inputs[0].ndim - 1)
    rows = np.moveaxis(inputs[0], axis, -1)
    shape = (*rows.shape[:-1], params["k"])
    lines = [row.tolist() for row in rows.reshape(-1, rows.shape[-1])]
    chosen = [_places_of_largest(line)[: params["k"]] for line in lines]
    values = filled((line[k] for line, places in zip(lines, chosen) for k in places), shape)
    return [np.moveaxis(found, -1, axis) for found in (values, filled((k for places in chosen for k in places), shape))]


def _places_of_largest(line: list[Any]) -> list[int]:
    """Places, the largest number first, of equal ones the first."""
    return sorted(range(len(line)), key=lambda place: (-line[place], place))


def _shift(function: Callable[[int, int], int]) -> Rule:
    """Of known integers; by no more places than there are."""

    def rule(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
        ask_numbers(equation, inputs, "shifts bits of")
        if any(not 0 <= entry < 32 for entry in inputs[1].flat):
            refuse("shifts bits by more places than there are, or fewer than 0")
        return [mapped(function, *inputs)]

    return rule


def _logical(function: Callable[[Any, Any], Any]) -> Rule:
    """Of truth values or integers, bit by bit."""
    return _of_numbers(lambda x, y: type(x)(function(x, y)), "combines bits of")


def _not(x: Any) -> Any:
    return not x if isinstance(x, bool) else ~x


def _whole(function: Callable[[fmpq], fmpz], words: str) -> Rule:
    """Of known numbers, exactly."""
    return _of_numbers(lambda x: fmpq(function(x)), words)


def _round(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    """To the nearest integer, halves away from 0 or to even."""
    ask_numbers(equation, inputs, "rounds")
    to_even = int(equation.params["rounding_method"]) == 1

    def nearest(x: fmpq) -> fmpq:
        whole = (abs(x) + fmpq(1, 2)).floor()
        if to_even and whole - abs(x) == fmpq(1, 2) and int(whole) % 2:
            whole -= 1
        return fmpq(whole if x > 0 else -whole)

    return [mapped(nearest, *inputs)]


def _iota(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    """0, 1, 2, ... along one axis."""
    params = equation.params
    shape, axis = tuple(params["shape"]), params["dimension"]
    counted = filled((place[axis] for place in np.ndindex(*shape)), shape)
    return [to_type(counted, params["dtype"])]


RULES: dict[str, Rule] = {
    "add": _elementwise(operator.add),
    "add_any": _elementwise(operator.add),
    "sub": _elementwise(operator.sub),
    "mul": _elementwise(operator.mul),
    "neg": _elementwise(operator.neg),
    "square": _elementwise(_square),
    "one_minus_square": _elementwise(lambda x: 1 - _square(x)),
    "div": _elementwise(_quotient),
    "rem": _remainder,
    "integer_pow": _integer_pow,
    "pow": _pow,
    "polynomial": _elementwise(_polynomial),
    "convert_element_type": _convert,
    "select_n": _select,
    "iota": _iota,
    "reduce_sum": _reduced(operator.add, 0),
    "reduce_prod": _reduced(operator.mul, 1),
    "reduce_max": _reduced(max),
    "reduce_min": _reduced(min),
    "reduce_and": _reduced(operator.and_),
    "reduce_or": _reduced(operator.or_),
    "reduce_xor": _reduced(operator.xor),
    "argmax": _argument(operator.gt),
    "argmin": _argument(operator.lt),
    "sort": _sort,
    "top_k": _top,
    "floor": _whole(lambda x: x.floor(), "cuts to integers"),
    "ceil": _whole(lambda x: x.ceil(), "cuts to integers"),
    "round": _round,
    "cumsum": _cumulative(operator.add),
    "cumprod": _cumulative(operator.mul),
    "cummax": _cumulative(max, "takes the largest of"),
    "cummin": _cumulative(min, "takes the smallest of"),
    "dot_general": _dot,
    "max": _of_numbers(max, "takes the larger of"),
    "min": _of_numbers(min, "takes the smaller of"),
    "clamp": _of_numbers(_clamp, "clips"),
    "abs": _of_numbers(abs, "takes the absolute value of"),
    "sign": _of_numbers(_sign, "takes the sign of"),
    "eq": _of_numbers(operator.eq, "compares"),
    "ne": _of_numbers(operator.ne, "compares"),
    "lt": _of_numbers(operator.lt, "compares"),
    "le": _of_numbers(operator.le, "compares"),
    "gt": _of_numbers(operator.gt, "compares"),
    "ge": _of_numbers(operator.ge, "compares"),
    "eq_to": _of_numbers(operator.eq, "compares"),
    "lt_to": _of_numbers(operator.lt, "compares"),
    "le_to": _of_numbers(operator.le, "compares"),
    "and": _logical(operator.and_),
    "or": _logical(operator.or_),
    "xor": _logical(operator.xor),
    "not": _of_numbers(_not, "combines bits of"),
    "shift_left": _shift(operator.lshift),
    "shift_right_arithmetic": _shift(operator.rshift),
    "is_finite": _elementwise(lambda x: not isinstance(x, NoNumber)),
}
