"""Arguments of the numerical half: typed keys, numeric problems, batch sizes; each refused with its cure."""

from __future__ import annotations

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linvar.problem import Problem


def check_key(key: Any) -> Any:
    """One typed key."""
    if not isinstance(key, jax.Array) or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise TypeError(f"key={key!r} is not a typed key: give jax.random.key(seed)")
    if key.shape != ():
        raise TypeError(f"key has shape {key.shape}: give one key, jax.random.key(seed)")
    return key


def check_numeric_problem(problem: Any) -> Problem:
    """A Problem in which no symbols occur."""
    if not isinstance(problem, Problem):
        raise TypeError(f"problem={problem!r} is of type {type(problem).__name__}: give a linvar.Problem")
    if problem.symbols:
        names = ", ".join(str(symbol) for symbol in problem.symbols)
        raise ValueError(
            f"problem contains the symbols {names}: a simulation needs numbers, substitute them in weights, law and "
            f"learning_rate first"
        )
    return problem


def check_integer(value: Any, name: str) -> int:
    """An int, or an integer of NumPy; no truth value, no float."""
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name}={value!r} is a truth value: give an integer")
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name}={value!r} is of type {type(value).__name__}: give an integer") from None


def check_batch_sizes(batch_sizes: Any, limit: int | None) -> tuple[int, ...]:
    """Integers >= 1, each once, at most ``limit`` (the data set size without replacement, else None)."""
    try:
        values = tuple(batch_sizes)
    except TypeError:
        kind = type(batch_sizes).__name__
        raise TypeError(f"batch_sizes={batch_sizes!r} is of type {kind}: give a list, [1, 4, 16]") from None
    if not values:
        raise ValueError("batch_sizes is empty: give at least one batch size, [1, 4, 16]")
    sizes = tuple(dict.fromkeys(check_integer(value, f"batch_sizes[{i}]") for i, value in enumerate(values)))
    for size in sizes:
        if size < 1:
            raise ValueError(f"batch_sizes contains {size}: a batch has at least 1 example")
        if limit is not None and size > limit:
            raise ValueError(
                f"batch_sizes contains {size}, but the data set has {limit} examples: without replacement give at most "
                f"{limit}, or use sampling='iid'"
            )
    return sizes
