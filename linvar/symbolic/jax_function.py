"""A jitted JAX function from the coefficients of a polynomial: arrays of numbers and exponents, no generated code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linvar.symbolic.ring import to_rational


def to_jax(elements: Sequence[Sequence[tuple[Any, Any]]], names: Sequence[str]) -> Callable[..., Any]:
    """A function of b and of the symbols ``names`` (keywords); ``elements[k]`` are the terms of the coefficient of 1/b^k."""
    numbers = np.array([float(to_rational(c)) for terms in elements for _, c in terms], dtype="float64")
    exponents = np.array([[int(e) for e in key] for terms in elements for key, _ in terms], dtype="int32")
    exponents = exponents.reshape(len(numbers), len(names))
    powers = np.array([k for k, terms in enumerate(elements) for _ in terms], dtype="int32")
    degree = len(elements) - 1
    tables = [int(exponents[:, i].max(initial=0)) for i in range(len(names))]

    @jax.jit
    def evaluate(batch_size: Any, values: Any) -> Any:
        dtype = jnp.result_type(float)
        terms = jnp.asarray(numbers, dtype)
        for i, value in enumerate(values):
            table = jnp.cumprod(jnp.concatenate([jnp.ones(1, dtype), jnp.full(tables[i], value, dtype)]))
            terms = terms * table[exponents[:, i]]
        coefficients = jax.ops.segment_sum(terms, powers, num_segments=degree + 1)
        inverse = 1 / jnp.asarray(batch_size, dtype)
        return jnp.polyval(coefficients[::-1], inverse)

    def function(batch_size: Any, **symbols: Any) -> Any:
        """The value at batch_size (an array of any shape); every symbol is a keyword, a scalar."""
        if set(symbols) != set(names):
            wrong = sorted(set(symbols) ^ set(names))
            raise TypeError(f"give the symbols {', '.join(names) or '(none)'} as keywords: {', '.join(wrong)} does not match")
        largest = float(np.max(np.abs(numbers), initial=0.0))
        if largest > float(jnp.finfo(jnp.result_type(float)).max):
            raise OverflowError(
                f"a coefficient of about {largest:.1e} does not fit {jnp.result_type(float)}: call inside "
                f"`with jax.enable_x64(True):`"
            )
        return evaluate(batch_size, tuple(symbols[name] for name in names))

    return function
