"""Primitives that compute: sums and products of anything, quotients and comparisons of known numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from linvar.flint import fmpq
from linvar.tracing.degrees import subject
from linvar.tracing.values import Entries, cast, filled, is_known, known, mapped, places, refuse

#: beyond it a power is refused, not multiplied out
_MOST_POWER = 1_000


#: the outputs of one equation
Rule = Callable[[Any, Sequence[Entries]], list[Entries]]


def _elementwise(function: Callable[..., Any]) -> Rule:
    return lambda equation, inputs: [mapped(function, *inputs)]


def _of_numbers(function: Callable[..., Any], words: str) -> Rule:
    """Entry by entry, of known numbers only."""

    def rule(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
        if not all(map(known, inputs)):
            refuse(f"{words} ({equation.primitive.name}) {subject(inputs)}")
        return [mapped(function, *inputs)]

    return rule


def _square(x: Any) -> Any:
    return x * x


def _power(x: Any, exponent: Any) -> Any:
    """x to a known power: an integer, of what is not known one that is not negative."""
    number = fmpq(int(exponent)) if isinstance(exponent, int) else exponent
    if number.q != 1 or abs(int(number.p)) > _MOST_POWER:
        refuse(f"takes the power {number}", f"use integers from 0 to {_MOST_POWER}")
    whole = int(number.p)
    if whole < 0:
        return _quotient(fmpq(1), _power(x, -whole))
    return x**whole


def _quotient(x: Any, y: Any) -> Any:
    """x / y for a known y."""
    if not is_known(y):
        refuse(f"divides by {subject([filled([y], ())])}")
    if isinstance(y, int):
        if y == 0:
            refuse("divides by 0")
        return abs(int(x)) // abs(y) * (1 if (x < 0) == (y < 0) else -1)  # of integers, toward zero
    if y == 0:
        refuse("divides by 0")
    return x * (1 / y)


def _integer_pow(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return [mapped(lambda x: _power(x, equation.params["y"]), inputs[0])]


def _pow(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    if not known(inputs[1]):
        refuse(f"takes a power whose exponent is made of {subject(inputs[1:])}")
    return [mapped(_power, *inputs)]


def _convert(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    return [cast(inputs[0], equation.params["new_dtype"])]


def _select(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    """The case that a known truth value or integer names, entry by entry."""
    which, *cases = inputs
    if not known(which):
        refuse(f"chooses (where, select_n) by {subject([which])}")
    return [mapped(lambda index, *entries: entries[int(index)], which, *cases)]


def _clamp(low: Any, x: Any, high: Any) -> Any:
    return min(max(x, low), high)


def _sign(x: Any) -> Any:
    return type(x)((x > 0) - (x < 0))


def _reduced(function: Callable[[Any, Any], Any], numbers: bool = False) -> Rule:
    """Along some axes."""

    def rule(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
        (array,), axes = inputs, tuple(equation.params["axes"])
        if numbers and not known(array):
            refuse(f"takes {equation.primitive.name} of {subject(inputs)}")
        kept = [axis for axis in range(array.ndim) if axis not in axes]
        shape = tuple(array.shape[axis] for axis in kept)
        if not array.size:
            refuse(f"takes {equation.primitive.name} of nothing")
        rows = array.transpose(*kept, *axes).reshape((int(np.prod(shape)), -1))
        return [filled((reduce(function, row) for row in rows), shape)]

    return rule


def _cumulative(function: Callable[[Any, Any], Any]) -> Rule:
    """Along one axis, from either end."""

    def rule(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
        found = np.moveaxis(inputs[0].copy(), equation.params["axis"], 0)
        order = found[::-1] if equation.params["reverse"] else found
        for before, place in zip(range(len(order)), range(1, len(order))):
            order[place] = mapped(
                function,
                filled(order[before : before + 1].flat, order.shape[1:]),
                filled(order[place : place + 1].flat, order.shape[1:]),
            )
        return [np.moveaxis(found, 0, equation.params["axis"])]

    return rule


def _dot(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    """dot_general: batch axes first, then those of the left, then those of the right."""
    (left_summed, right_summed), (left_batch, right_batch) = equation.params["dimension_numbers"]
    left, right = inputs
    left_free = [axis for axis in range(left.ndim) if axis not in (*left_summed, *left_batch)]
    right_free = [axis for axis in range(right.ndim) if axis not in (*right_summed, *right_batch)]
    a = left.transpose(*left_batch, *left_free, *left_summed)
    c = right.transpose(*right_batch, *right_summed, *right_free)
    batch, free, last = (
        [left.shape[k] for k in left_batch],
        [left.shape[k] for k in left_free],
        [right.shape[k] for k in right_free],
    )
    groups, rows, columns = (int(np.prod(part)) for part in (batch, free, last))
    summed = int(np.prod([left.shape[k] for k in left_summed]))
    a, c = a.reshape(groups, rows, summed), c.reshape(groups, summed, columns)
    found = filled(
        (_inner(a[g, i], c[g, :, j]) for g in range(groups) for i in range(rows) for j in range(columns)),
        (*batch, *free, *last),
    )
    return [found]


def _inner(left: Sequence[Any], right: Sequence[Any]) -> Any:
    """sum_k left_k right_k."""
    products = [x * y for x, y in zip(left, right) if not (is_known(x) and x == 0) and not (is_known(y) and y == 0)]
    return reduce(operator.add, products) if products else fmpq(0)


def _convolution(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
    """Bilinear: which entry of the left meets entry k of the kernel in each output is asked of JAX, at positions from 1."""
    import jax
    import jax.numpy as jnp

    left, kernel = inputs
    pool, (positions,) = places([left])
    params = equation.params | {"preferred_element_type": None}
    with jax.enable_x64(True):
        at = jnp.asarray(positions + 1, dtype=jnp.float64)
        units = jnp.eye(kernel.size, dtype=jnp.float64).reshape(kernel.size, *kernel.shape)
        met = (
            np.asarray(jax.vmap(lambda unit: equation.primitive.bind(at, unit, **params))(units))
            .round()
            .astype(np.int64)
        )
    outputs: list[list[Any]] = [[] for _ in range(int(np.prod(met.shape[1:])))]
    flat = list(kernel.flat)
    for k, place in zip(*np.nonzero(met.reshape(kernel.size, -1))):
        outputs[place].append((pool[met.reshape(kernel.size, -1)[k, place] - 1], flat[k]))
    return [filled((_inner(*zip(*pairs)) if pairs else fmpq(0) for pairs in outputs), met.shape[1:])]


def _argument(better: Callable[[Any, Any], bool]) -> Rule:
    """argmax and argmin of known numbers: the first of the best."""

    def rule(equation: Any, inputs: Sequence[Entries]) -> list[Entries]:
        (array,), (axis,) = inputs, equation.params["axes"]
        if not known(array):
            refuse(f"takes {equation.primitive.name} of {subject(inputs)}")
        rows = np.moveaxis(array, axis, -1)
        shape = rows.shape[:-1]
        chosen = (
            reduce(lambda k, j: j if better(row[j], row[k]) else k, range(len(row)))
            for row in rows.reshape(-1, rows.shape[-1])
        )
        return [filled(chosen, shape)]

    return rule


def _logical(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Of truth values or integers, bit by bit."""
    return _of_numbers(lambda x, y: type(x)(function(x, y)), "combines bits of")


def _not(x: Any) -> Any:
    return not x if isinstance(x, bool) else ~x


RULES: dict[str, Rule] = {
    "add": _elementwise(operator.add),
    "add_any": _elementwise(operator.add),
    "sub": _elementwise(operator.sub),
    "mul": _elementwise(operator.mul),
    "neg": _elementwise(operator.neg),
    "square": _elementwise(_square),
    "div": _elementwise(_quotient),
    "integer_pow": _integer_pow,
    "pow": _pow,
    "convert_element_type": _convert,
    "select_n": _select,
    "reduce_sum": _reduced(operator.add),
    "reduce_prod": _reduced(operator.mul),
    "reduce_max": _reduced(max, numbers=True),
    "reduce_min": _reduced(min, numbers=True),
    "reduce_and": _reduced(operator.and_, numbers=True),
    "reduce_or": _reduced(operator.or_, numbers=True),
    "argmax": _argument(operator.gt),
    "argmin": _argument(operator.lt),
    "cumsum": _cumulative(operator.add),
    "cumprod": _cumulative(operator.mul),
    "dot_general": _dot,
    "conv_general_dilated": _convolution,
    "max": _of_numbers(max, "takes the larger"),
    "min": _of_numbers(min, "takes the smaller"),
    "clamp": _of_numbers(_clamp, "clips"),
    "abs": _of_numbers(abs, "takes the absolute value of"),
    "sign": _of_numbers(_sign, "takes the sign of"),
    "eq": _of_numbers(operator.eq, "compares"),
    "ne": _of_numbers(operator.ne, "compares"),
    "lt": _of_numbers(operator.lt, "compares"),
    "le": _of_numbers(operator.le, "compares"),
    "gt": _of_numbers(operator.gt, "compares"),
    "ge": _of_numbers(operator.ge, "compares"),
    "and": _logical(operator.and_),
    "or": _logical(operator.or_),
    "xor": _logical(operator.xor),
    "not": _of_numbers(_not, "combines bits of"),
    "is_finite": _elementwise(lambda x: True),
}
