"""Arguments of the numerical half: typed keys, numeric problems, arrays, batch sizes; each refused with its cure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from linvar.arguments import check_integer
from linvar.errors import InputError, InputTypeError, Words, cut, shown
from linvar.problem import Problem

Choice = TypeVar("Choice", str, int)

#: The largest integer of 64 bits.
LARGEST_BATCH = 2**63 - 1
#: Updates that are made one by one.
MOST_STEPS = 2**31 - 1


def check_key(key: Any) -> Key[Array, ""]:
    """One typed key."""
    if not isinstance(key, jax.Array) or not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        raise InputTypeError("key", key, "give jax.random.key(seed)", fault="is not a typed key")
    if key.shape != ():
        raise InputTypeError("key", Words(f"has shape {key.shape}"), "give one key, jax.random.key(seed)")
    return key


def check_numeric_problem(problem: Any) -> Problem:
    """A Problem in which no symbols occur."""
    if not isinstance(problem, Problem):
        raise InputTypeError("problem", problem, "give a linvar.Problem")
    if problem.symbols:
        names = cut(", ".join(str(symbol) for symbol in problem.symbols))
        raise InputError(
            "problem",
            Words(f"contains the symbols {names}"),
            "a simulation needs numbers, substitute them in weights, law and learning_rate first",
        )
    return problem


def check_at_least(value: Any, name: str, least: int, cure: str) -> int:
    """An integer, not below ``least``."""
    number = check_integer(value, name)
    if number < least:
        raise InputError(name, value, cure)
    return number


def check_steps(value: Any, name: str, cure: str) -> int:
    """How many updates."""
    steps = check_integer(value, name)
    if steps < 0:
        raise InputError(name, value, cure, fault="is negative")
    if steps > MOST_STEPS:
        raise InputError(name, value, f"they are made one by one; give at most {MOST_STEPS}")
    return steps


def check_number(value: Any, name: str) -> float:
    """A finite float; text is none."""
    try:
        result = float("" if isinstance(value, (str, bytes)) else value)
    except (TypeError, ValueError):
        raise InputTypeError(name, value, "give a number") from None
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise InputError(name, value, "give a number", fault="is not finite")
    return result


def check_choice(value: Any, name: str, choices: Sequence[Choice], cure: str = "") -> Choice:
    """One of a few words or numbers."""
    if isinstance(value, (str, int, np.integer)) and not isinstance(value, bool):
        for choice in choices:
            if value == choice:
                return choice
    *others, last = map(repr, choices)
    raise InputError(name, value, cure or f"write {', '.join(others)} or {last}", fault="" if cure else "is unknown")


def check_floats(value: Any, name: str) -> np.ndarray:
    """An array of finite real numbers, in float64."""
    try:
        array = np.asarray(value)
        if np.iscomplexobj(array):
            raise InputTypeError(name, Words("has complex entries"), "give real numbers")
        if array.dtype.kind in "SU":
            raise TypeError
        floats: np.ndarray = array.astype("float64")
    except InputTypeError:
        raise
    except (TypeError, ValueError, OverflowError):
        raise InputTypeError(
            name, value, "give numbers in rows of equal length", fault="is no array of numbers"
        ) from None
    if not np.all(np.isfinite(floats)):
        raise InputError(name, Words("has entries that are not finite"), "give numbers")
    return floats


def check_untraced(tree: Any, name: str) -> None:
    """Arrays that are there, not those of a program being traced."""
    if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree)):
        cure = "it runs over data as a program of its own; under jit use gradient_moments, and record_noise in training"
        raise InputError(name, Words("is traced (inside jit, vmap or grad)"), cure)


def check_leaves(tree: Any, name: str) -> None:
    """Arrays of numbers, or of keys, in every leaf."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        try:
            known = not (callable(leaf) or isinstance(leaf, (str, bytes))) and jnp.result_type(leaf) is not None
        except (TypeError, ValueError):
            known = False
        if not known:
            where = f"{name}{jax.tree_util.keystr(path)}"
            raise InputTypeError(where, leaf, "give an array of numbers", fault="is no array of numbers")


def check_examples(tree: Any, name: str, cure: str = "give every leaf one row per example") -> int:
    """How many examples: the leading axis that all leaves have."""
    check_leaves(tree, name)
    leaves = jax.tree.leaves(tree)
    lengths: set[tuple[int, ...]] = set()
    for leaf in leaves:
        try:
            lengths.add(tuple(np.shape(leaf)[:1]))
        except ValueError:
            raise InputTypeError(name, leaf, cure, fault="has rows of different lengths") from None
    if len(lengths) != 1 or () in lengths:
        raise InputError(name, Words(f"has leaves with leading axes {cut(str(sorted(lengths)))}"), cure)
    ((examples,),) = lengths
    return int(examples)


def check_mask(mask: Any, examples: int) -> tuple[int, jax.Array]:
    """How many rows count, and which: booleans of shape (n,), or 0 and 1.

    Traced, all may count; numbers other than 0 and 1 cannot be found then.
    """
    cure = "give one boolean a row: True for an example, False for padding"
    try:
        array = mask if isinstance(mask, jax.Array) else np.asarray(mask)
    except ValueError:
        raise InputTypeError("mask", mask, cure, fault="has rows of different lengths") from None
    if array.dtype != bool and not (
        jnp.issubdtype(array.dtype, jnp.integer) or jnp.issubdtype(array.dtype, jnp.floating)
    ):
        raise InputTypeError("mask", Words(f"has dtype {array.dtype}"), cure)
    if array.shape != (examples,):
        raise InputError("mask", Words(f"has shape {array.shape}, the batch has {examples} rows"), cure)
    if isinstance(array, jax.core.Tracer):
        return examples, array
    if array.dtype != bool and not bool(((array == 0) | (array == 1)).all()):
        fault = "has numbers other than 0 and 1"
        raise InputError("mask", Words(fault), f"{cure}; a weight belongs into the loss of its example")
    return int((array != 0).sum()), jnp.asarray(array) != 0


def check_batch_sizes(batch_sizes: Any, limit: int | None) -> tuple[int, ...]:
    """Integers >= 1, each once, at most ``limit`` (the data set size without replacement, else None)."""
    try:
        values = tuple(batch_sizes)
    except TypeError:
        raise InputTypeError("batch_sizes", batch_sizes, "give a list, [1, 4, 16]") from None
    if not values:
        raise InputError("batch_sizes", Words("is empty"), "give at least one batch size, [1, 4, 16]")
    sizes = tuple(dict.fromkeys(check_integer(value, f"batch_sizes[{i}]") for i, value in enumerate(values)))
    for size in sizes:
        if size < 1:
            raise InputError("batch_sizes", Words(f"contains {shown(size)}"), "a batch has at least 1 example")
        if limit is not None and size > limit:
            raise InputError(
                "batch_sizes",
                Words(f"contains {shown(size)}, but the data set has {limit} examples"),
                f"without replacement give at most {limit}, or use sampling='iid'",
            )
        if size > LARGEST_BATCH:
            raise InputError("batch_sizes", Words(f"contains {shown(size)}"), "in floating point give at most 2^63 - 1")
    return sizes
