"""A jitted JAX function from the coefficients of a polynomial: arrays of numbers and exponents, no generated code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linvar.exact import Rational
from linvar.symbolic.ring import to_rational


def to_jax(elements: Sequence[Sequence[tuple[Any, Any]]], names: Sequence[str]) -> Callable[..., Any]:
    """A function of b and, by keyword, of the symbols ``names``; ``elements[k]`` are the terms next to 1/b^k."""
    numbers = np.array([_to_float(to_rational(c), k) for k, terms in enumerate(elements) for _, c in terms], "float64")
    exponents = np.array([[int(e) for e in key] for terms in elements for key, _ in terms], dtype="int32")
    exponents = exponents.reshape(len(numbers), len(names))
    powers = np.array([k for k, terms in enumerate(elements) for _ in terms], dtype="int32")
    degree = len(elements) - 1
    highest = [int(exponents[:, i].max(initial=0)) for i in range(len(names))]
    largest = float(np.max(np.abs(numbers), initial=0.0))

    @jax.jit
    def evaluate(batch_size: Any, values: Any) -> Any:
        dtype = jnp.result_type(float)
        terms = jnp.asarray(numbers, dtype)
        for i, value in enumerate(values):
            table = jnp.cumprod(jnp.concatenate([jnp.ones(1, dtype), jnp.full(highest[i], value, dtype)]))
            terms = terms * table[exponents[:, i]]
        coefficients = jax.ops.segment_sum(terms, powers, num_segments=degree + 1)
        inverse = 1 / jnp.asarray(batch_size, dtype)
        return jnp.polyval(coefficients[::-1], inverse)

    def function(batch_size: Any, /, **symbols: Any) -> Any:
        """The value at batch_size (an array of any shape); every symbol is a keyword, a scalar."""
        if set(symbols) != set(names):
            wrong = ", ".join(sorted(set(symbols) ^ set(names)))
            raise TypeError(f"give the symbols {', '.join(names) or '(none)'} as keywords: {wrong} does not match")
        for name, value in symbols.items():
            if jnp.shape(value) != ():
                raise ValueError(f"{name} has shape {jnp.shape(value)}: give a scalar, and use jax.vmap for several")
        limits: Any = np.finfo(jnp.result_type(float))
        if largest > float(limits.max) or 0 < largest < float(limits.tiny):
            raise OverflowError(
                f"coefficients of up to about {largest:.1e} do not fit {limits.dtype}: call inside "
                f"`with jax.enable_x64(True):`, or call the polynomial itself for exact values"
            )
        return evaluate(batch_size, tuple(symbols[name] for name in names))

    return function


def _to_float(value: Rational, power: int) -> float:
    """The nearest float64 of p/q: one true division, so that long integers do not overflow one at a time."""
    try:
        return float(value)
    except OverflowError:
        digits = int((value.numerator.bit_length() - value.denominator.bit_length()) * 0.30103)
        raise OverflowError(
            f"the coefficient of 1/b^{power} is about 1e{digits}, beyond float64: call the polynomial itself for "
            f"exact values"
        ) from None
