"""The numbers that the formula is evaluated at in double precision, checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from linvar.arrays import is_one_number, ordered
from linvar.errors import InputError, Words
from linvar.symbolic.pairs.floats import Floats
from linvar.symbolic.pairs.path import Setting
from linvar.symbolic.traces.given import check_covariance, finite

if TYPE_CHECKING:
    from jaxtyping import Float


def checked(
    depth: int, step: int, weights: Any, teacher: Any, learning_rate: Any, covariance: Any, noise_variance: Any
) -> Setting[Floats]:
    """The network, its teacher and its examples."""
    layers = [_matrix(w, f"weights[{l}]") for l, w in enumerate(ordered(weights, "weights", "give W_1, ..., W_L"))]
    if len(layers) != depth:
        fault = Words(f"has {len(layers)} matrices, and the formula is of depth {depth}")
        raise InputError("weights", fault, f"use linvar.first_order_formula({len(layers)}, {step})")
    for l, (below, above) in enumerate(zip(layers, layers[1:]), 1):
        if above.shape[1] != len(below):
            fault = Words(f"has shape {above.shape}, but weights[{l - 1}] has shape {below.shape}")
            raise InputError(f"weights[{l}]", fault, f"give one with {len(below)} columns")
    inputs, outputs = layers[0].shape[1], len(layers[-1])
    target, sigma = _matrix(teacher, "teacher"), None if covariance is None else _matrix(covariance, "covariance")
    _check_shape("teacher", target, (outputs, inputs))
    if sigma is not None:
        _check_shape("covariance", sigma, (inputs, inputs))
        check_covariance(sigma)
    noise = _number(noise_variance, "noise_variance")
    if noise < 0:
        raise InputError("noise_variance", noise_variance, "give a variance, >= 0", fault="is negative")
    return Setting(
        tuple(map(Floats, layers)),
        Floats(-target),
        _rates(learning_rate, step),
        None if sigma is None else Floats(sigma),
        Floats(noise * np.eye(outputs)) if noise else None,
        lambda width: Floats(np.eye(width)),
    )


def _matrix(value: Any, name: str) -> Float[np.ndarray, "rows columns"]:
    """A matrix of finite numbers."""
    matrix = finite(value, name)
    if matrix.ndim != 2 or not matrix.size:
        raise InputError(name, Words(f"has shape {matrix.shape}"), "give a matrix of finite numbers")
    return matrix


def _check_shape(name: str, matrix: Float[np.ndarray, "rows columns"], wanted: tuple[int, int]) -> None:
    if matrix.shape != wanted:
        fault = Words(f"has shape {matrix.shape}, and the weights want {wanted}")
        raise InputError(name, fault, f"give a matrix of shape {wanted}")


def _number(value: Any, name: str) -> float:
    """A finite number."""
    found = finite(value, name)
    if found.shape != ():
        raise InputError(name, Words(f"has shape {found.shape}"), "give one number")
    return float(found)


def _rates(value: Any, step: int) -> tuple[float, ...]:
    """A number for each step."""
    if is_one_number(value) or not isinstance(value, Iterable):
        return (_number(value, "learning_rate"),) * step
    given = ordered(value, "learning_rate", "give one number, or a list of them")
    found = tuple(_number(rate, f"learning_rate[{s}]") for s, rate in enumerate(given))
    if len(found) != step:
        fault = Words(f"has {len(found)} entries, and the formula is of step {step}")
        raise InputError("learning_rate", fault, f"give one number, or one for each of the {step} updates")
    return found
