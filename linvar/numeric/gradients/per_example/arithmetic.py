"""Sums in at least float32, in such an order that no running sum grows long."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.meshes import vary, varying


def at_least_float32(x: jax.Array) -> jax.Array:
    """Half precision is widened before it is summed."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def zeros_as(x: jax.Array | jax.ShapeDtypeStruct, shape: tuple[int, ...], dtype: jax.typing.DTypeLike) -> jax.Array:
    """Zeros that vary between devices as ``x`` does: a sum that starts with them in a ``scan`` keeps its type."""
    return vary(jnp.zeros(shape, dtype), varying([x]))


def contract(formula: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """A product whose sums are in at least float32."""
    wide = jnp.promote_types(jnp.promote_types(a.dtype, b.dtype), jnp.float32)
    return jnp.einsum(formula, a, b, preferred_element_type=wide)


def squares(x: jax.Array, axis: int) -> jax.Array:
    """Sum of squares along one axis."""
    return jnp.sum(jnp.square(at_least_float32(x)), axis=axis)


def squares_each(x: jax.Array) -> jax.Array:
    """Squared norm of every item, axis by axis, so that no running sum grows long."""
    total = jnp.square(x)
    while total.ndim > 1:
        total = jnp.sum(total, axis=-1)
    return total


def sum_of_squares(x: jax.Array) -> jax.Array:
    """Squared norm, axis by axis."""
    return jnp.sum(squares_each(at_least_float32(x)[None]))


def sum_in_stages(x: jax.Array) -> jax.Array:
    """Sum of many numbers in two stages, so that no running sum grows long."""
    (count,) = x.shape
    rows = math.isqrt(count)
    whole = count // rows * rows
    return jnp.sum(jnp.sum(x[:whole].reshape(rows, -1), axis=1)) + jnp.sum(x[whole:])
