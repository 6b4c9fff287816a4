"""Sums in at least float32, in such an order that no running sum grows long."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

#: Terms of one running sum, where a sum is taken in stages.
STAGE = 256
#: Entries of a result up to which a product's long sums are taken in stages.
SMALL_RESULT = 2**12


def at_least_float32(x: jax.Array) -> jax.Array:
    """Half precision is widened before it is summed."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def contract(formula: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """A product whose sums are in at least float32; small results are summed over the examples, the first axis, in stages.

    XLA on a CPU multiplies small matrices, and vectors, in one running sum: over 4,096 equal examples the mean's square is then
    off by 600 roundings, in stages by 10 (measured), and takes as long.
    """
    wide = jnp.promote_types(jnp.promote_types(a.dtype, b.dtype), jnp.float32)
    inputs, output = formula.split("->")
    examples, left, right = inputs[0], *(names[1:] for names in inputs.split(","))
    own = [
        math.prod(x.shape[i + 1] for i, name in enumerate(some) if name in output)
        for some, x in ((left, a), (right, b))
    ]
    stages = len(a) // STAGE
    if examples in output or stages < 2 or (min(own) > 1 and math.prod(own) > SMALL_RESULT):
        return jnp.einsum(formula, a, b, preferred_element_type=wide)
    whole = stages * STAGE
    parts = [x[:whole].reshape(stages, STAGE, *x.shape[1:]) for x in (a, b)]
    staged = ",".join("z" + name for name in inputs.split(",")) + "->z" + output
    total = sum_first(jnp.einsum(staged, *parts, preferred_element_type=wide))
    if whole == len(a):
        return total
    return total + jnp.einsum(formula, a[whole:], b[whole:], preferred_element_type=wide)


def sum_first(x: jax.Array) -> jax.Array:
    """The sum over the first axis, so that no running sum grows long."""
    while len(x) > STAGE:
        whole = len(x) // STAGE * STAGE
        parts = jnp.sum(x[:whole].reshape(-1, STAGE, *x.shape[1:]), axis=1)
        x = jnp.concatenate([parts, x[whole:]]) if whole < len(x) else parts
    return jnp.sum(x, axis=0)


def squares(x: jax.Array, axis: int) -> jax.Array:
    """Sum of squares along one axis."""
    return jnp.sum(jnp.square(at_least_float32(x)), axis=axis)


def squares_each(x: jax.Array) -> jax.Array:
    """Squared norm of every item, some axes at a time, so that no running sum grows long."""
    return _sum_each(jnp.square(x))


def _sum_each(total: jax.Array) -> jax.Array:
    """The sum of every item."""
    while total.ndim > 1:
        first = total.ndim - 1
        while first > 1 and math.prod(total.shape[first - 1 :]) <= STAGE:
            first -= 1
        total = jnp.sum(total, axis=tuple(range(first, total.ndim)))
    return total


def sum_of_squares(x: jax.Array) -> jax.Array:
    """Squared norm, some axes at a time."""
    return jnp.sum(squares_each(at_least_float32(x)[None]))


def sum_all(x: jax.Array) -> jax.Array:
    """Sum of all numbers, the examples first, some axes at a time."""
    return jnp.sum(_sum_each(x))


def sums_in_stages(arrays: Sequence[jax.Array]) -> list[jax.Array]:
    """Sums of arrays of one length and type: one operation that has all of them as operands is compiled in less time."""
    (count,) = {x.size for x in arrays}
    most = math.isqrt(count) if count > STAGE else 1
    rows = next(
        (k for k in range(most, most // 2, -1) if count % k == 0), most
    )  # nothing is left over, if it can be so
    whole = count // rows * rows
    folded = [x[:whole].reshape(rows, -1) for x in arrays]
    totals = _reduced(_reduced(folded)) if rows > 1 else _reduced(arrays)
    return totals if whole == count else [total + jnp.sum(x[whole:]) for total, x in zip(totals, arrays)]


def with_sums(numbers: list[jax.Array], arrays: Sequence[jax.Array | None]) -> list[jax.Array]:
    """Every number plus the sum of its array, if it has one: those of one type at once."""
    for dtype in {x.dtype for x in arrays if x is not None}:
        mine = {i: x for i, x in enumerate(arrays) if x is not None and x.dtype == dtype}
        sums = dict(zip(mine, sums_in_stages(list(mine.values()))))
        numbers = [x + sums[i] if i in sums else x for i, x in enumerate(numbers)]
    return numbers


def _reduced(arrays: Sequence[jax.Array]) -> list[jax.Array]:
    """Sums along the last axis."""
    zeros = tuple(x.dtype.type(0) for x in arrays)
    axis = arrays[0].ndim - 1
    found = jax.lax.reduce(tuple(arrays), zeros, lambda a, b: tuple(x + y for x, y in zip(a, b)), (axis,))
    return list(found)


def sum_in_stages(x: jax.Array) -> jax.Array:
    """Sum of many numbers in two stages, so that no running sum grows long."""
    (total,) = sums_in_stages([x])
    return total
