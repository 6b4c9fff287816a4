"""The arguments of ``first_order``, checked and grouped: the updates, where they start, and the examples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from linvar.arguments import check_flags
from linvar.errors import InputError, InputTypeError, Words, shown
from linvar.numeric.arguments import check_examples, check_floats, check_leaves, check_number, check_steps
from linvar.numeric.delta_method.linearized import Loss, Tree
from linvar.numeric.delta_method.quadrature import check_rule
from linvar.numeric.laws.twins import find_numeric_law


@dataclass(frozen=True)
class Updates:
    """The updates, in the conventions of optax: one learning rate for each."""

    learning_rates: tuple[float, ...]
    momentum: float
    nesterov: bool
    weight_decay: float

    @classmethod
    def checked(cls, learning_rate: Any, steps: Any, momentum: Any, nesterov: Any, weight_decay: Any) -> Updates:
        """From what the user gave."""
        steps = check_steps(steps, "steps", "give the number of updates, >= 0")
        check_flags(nesterov=nesterov)
        rates = _learning_rates(learning_rate, steps)
        velocity, decay = check_number(momentum, "momentum"), check_number(weight_decay, "weight_decay")
        if nesterov and velocity == 0:
            fault = "needs momentum=, a number other than 0"
            raise InputError("nesterov", True, "give one, or leave nesterov out", fault=fault)
        return cls(tuple(rates), velocity, bool(nesterov), decay)


@dataclass(frozen=True, eq=False)
class Start:
    """Where the runs start.

    Attributes:
        params: a pytree of arrays, floating-point leaves at least float32.
        count: P, how many numbers are differentiated.
        dtype: the widest of theirs.
    """

    params: Any
    count: int
    dtype: np.dtype[Any]

    @classmethod
    def checked(cls, params: Any) -> Start:
        """From what the user gave."""
        count, dtypes = 0, []
        check_leaves(params, "params")
        for path, leaf in jax.tree_util.tree_leaves_with_path(params):
            name = f"params{jax.tree_util.keystr(path)}"
            if isinstance(leaf, jax.core.Tracer):
                cure = "first_order loops over the steps itself, call it outside jax.jit"
                raise InputTypeError(name, Words("is traced"), cure)
            dtype = jnp.result_type(leaf)
            if jnp.issubdtype(dtype, jnp.floating):
                dtypes.append(jnp.promote_types(dtype, jnp.float32))
                count += math.prod(np.shape(leaf))
        if count == 0:
            raise InputError("params", Words("has no floating-point numbers"), "there is nothing to differentiate")
        return cls(jax.tree.map(_wide, params), count, np.dtype(jnp.result_type(*dtypes)))


def _wide(leaf: Any) -> jax.Array:
    """An array, half precision as float32."""
    array = jnp.asarray(leaf)
    floating = jnp.issubdtype(array.dtype, jnp.floating)
    return array.astype(jnp.promote_types(array.dtype, jnp.float32)) if floating else array


@dataclass(frozen=True, eq=False)
class Examples:
    """The examples, or those that stand for a law.

    Attributes:
        data: a pytree of arrays, examples first.
        count: n.
        weights: their probabilities, (n,); None where all are equal.
    """

    data: Any
    count: int
    weights: np.ndarray | None

    @classmethod
    def checked(cls, data: Any, weights: Any, loss: Loss, start: Start, test: bool = False) -> Examples:
        """From what the user gave: arrays, or a law, whose finite rule must hold for the loss."""
        name, shares = ("test_data", "test_weights") if test else ("data", "weights")
        law = find_numeric_law(data)
        if law is None:
            arrays, count = _check_data(data, name)
            _check_result(loss, start.params, arrays, name)
            return cls(arrays, count, None if weights is None else _check_weights(weights, count, name, shares))
        if weights is not None:
            fault = Words(f"is given for {name}={shown(data)}")
            raise InputError(shares, fault, f"a law has its own; leave {shares} out")
        try:
            rule = law.finite_rule(start.dtype)
        except InputError as error:
            raise InputError(name, error.value, error.cure, error.fault) from None
        arrays, count = _check_data((rule.inputs, rule.targets), name)
        _check_result(loss, start.params, arrays, name)
        check_rule(loss, start.params, rule)
        return cls(arrays, count, rule.weights)

    @classmethod
    def of_test(cls, data: Any, weights: Any, loss: Loss, start: Start) -> Examples | None:
        """The test data, where there are any."""
        if data is not None:
            return cls.checked(data, weights, loss, start, test=True)
        if weights is not None:
            raise InputError("test_weights", Words("is given without test_data"), "give test_data too")
        return None


def _learning_rates(value: Any, steps: int) -> list[float]:
    """One number for each update."""
    if hasattr(value, "init") and hasattr(value, "update"):
        cure = "give its learning rate; momentum=, nesterov= and weight_decay= beside"
        raise InputTypeError("learning_rate", Words("is an optimizer"), cure)
    if callable(value):
        return [check_number(value(t), f"learning_rate({t})") for t in range(steps)]
    if not isinstance(value, (list, tuple)) and np.ndim(value) == 0:  # a list may be ragged
        return [check_number(value, "learning_rate")] * steps
    rates = [check_number(rate, f"learning_rate[{t}]") for t, rate in enumerate(value)]
    if len(rates) != steps:
        words = f"has shape {np.shape(rates)}, but steps={shown(steps)}"
        raise InputError("learning_rate", Words(words), "give one number, or one for each of the steps")
    return rates


def _check_data(data: Tree, name: str) -> tuple[Tree, int]:
    """Arrays with the examples first, and how many there are."""
    if callable(data):
        cure = "give a large sample, arrays with the examples first"
        raise InputTypeError(name, data, cure, fault="is a function")
    examples = check_examples(data, name)
    if examples == 0:
        raise InputError(name, Words("has leaves with leading axes [(0,)]"), "give every leaf one row per example")
    arrays: Tree = jax.tree.map(jnp.asarray, data)
    return arrays, examples


def _check_result(loss: Any, params: Any, data: Any, name: str) -> None:
    """A scalar of one example."""
    example = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), data)
    try:
        out = jax.eval_shape(loss, params, example)
    except InputError as error:
        if name == "data":
            raise
        raise InputError(
            name, Words(f"does not fit: the loss {error.value}"), "give examples like those of data"
        ) from error
    if getattr(out, "shape", None) != () or not jnp.issubdtype(out.dtype, jnp.floating):
        cure = "give a function that returns one floating-point number"
        raise InputError("loss", Words(f"returns {shown(out)} for one example of {name}"), cure)


def _check_weights(weights: Any, examples: int, name: str, shares_name: str) -> np.ndarray:
    """Probabilities."""
    shares = check_floats(weights, shares_name)
    if shares.shape != (examples,):
        words = f"has shape {shares.shape}, but {name} has {examples} examples"
        raise InputError(shares_name, Words(words), "give one number for each")
    if not ((shares >= 0).all() and abs(shares.sum() - 1) < 1e-5):
        cure = f"smallest {shares.min():.6g}, sum {shares.sum():.6g}; divide {shares_name} >= 0 by their sum"
        raise InputError(shares_name, Words("are no probabilities"), cure)
    return shares
