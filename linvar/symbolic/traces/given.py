"""Numbers in floating point that users give, checked: networks, covariances, learning rates and batch sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from linvar.arrays import ordered
from linvar.errors import InputError, InputTypeError, NotFiniteError, Words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from linvar.symbolic.traces.formula import TraceFormula

#: of NumPy or JAX
Array: TypeAlias = Any
#: makes an array of an argument of this name
Made: TypeAlias = Callable[[Any, str], Array]

#: beside the largest entry: what is less is rounding of the one who made the covariance
_ROUNDING = 1e-8
_CURE = "give real numbers, as floats or an array of them"
_GENERAL = 'use linvar.trace_formula(..., covariance="general")'


def numbers(value: Any, name: str) -> NDArray[Any]:
    """An array of real numbers, of their own floating-point type or float64.

    Raises:
        InputTypeError: it is made of anything else: texts, truth values, complex numbers, None.
    """
    try:
        found = np.asarray(value)
        if found.dtype.kind == "O" and all(
            isinstance(entry, Real) and not isinstance(entry, bool) for entry in found.flat
        ):
            found = found.astype(np.float64)  # fractions, long integers
    except (TypeError, ValueError, OverflowError):
        raise InputTypeError(name, value, _CURE) from None
    if found.dtype.kind in "iu":
        return found.astype(np.float64)
    if found.dtype.kind != "f" and found.dtype.name != "bfloat16":
        raise InputTypeError(name, value, _CURE)
    return found


def finite(value: Any, name: str) -> NDArray[np.float64]:
    """The same in float64, all finite.

    Raises:
        InputTypeError; NotFiniteError (an InputError): an entry is infinite or no number.
    """
    found = numbers(value, name).astype(np.float64)
    if not np.isfinite(found).all():
        if found.shape == ():
            raise NotFiniteError(name, value, "give a finite number", fault="is not finite")
        raise NotFiniteError(name, Words("has an entry that is not finite"), "give finite numbers")
    return found


def in_jax(value: Any, name: str) -> Array:
    """A JAX array, traced or not, of float32 at least."""
    import jax
    import jax.numpy as jnp

    found = value if isinstance(value, jax.Array) else jnp.asarray(numbers(value, name))
    if not (jnp.issubdtype(found.dtype, jnp.floating) or jnp.issubdtype(found.dtype, jnp.integer)):
        raise InputTypeError(name, Words(f"is of dtype {found.dtype}"), _CURE)
    return found.astype(jnp.promote_types(jnp.result_type(found.dtype, float), jnp.float32))


def network(
    formula: TraceFormula, weights: Any, teacher: Any, covariance: Any, noise: Any, made: Made
) -> tuple[list[Array], Array, Array | None, Array]:
    """W_1, ..., W_L, W*, Sigma (None for the identity) and v, of fitting shapes."""
    given = ordered(weights, "weights", f"give a list of {formula.depth} arrays, W_1 first")
    if len(given) != formula.depth:
        fault = Words(f"has {len(given)} matrices, and the formula is of {formula.depth} layers")
        raise InputError("weights", fault, f"give {formula.depth} arrays, W_1 first")
    layers = [made(weight, f"weights[{l}]") for l, weight in enumerate(given)]
    for l, layer in enumerate(layers):
        fits = layer.ndim == 2 and min(layer.shape) > 0 and (l == 0 or layer.shape[1] == layers[l - 1].shape[0])
        if not fits:
            columns = "rows and columns" if l == 0 or layer.ndim != 2 else f"{layers[l - 1].shape[0]} columns"
            raise InputError(f"weights[{l}]", Words(f"has shape {layer.shape}"), f"give a matrix with {columns}")
    inputs, outputs = layers[0].shape[1], layers[-1].shape[0]
    target, variance = made(teacher, "teacher"), made(noise, "noise_variance")
    sigma = None if covariance is None else made(covariance, "covariance")
    for name, array, shape in (
        ("teacher", target, (outputs, inputs)),
        ("covariance", sigma, (inputs, inputs)),
        ("noise_variance", variance, ()),
    ):
        if array is not None and array.shape != shape:
            cure = f"give one of shape {shape}" if shape else "give one number"
            raise InputError(name, Words(f"has shape {array.shape}"), cure)
    general = formula.covariance == "general"
    if sigma is not None:
        if not general:
            raise InputError("covariance", Words("is given to a formula for the identity"), _GENERAL)
        if (known := _known(covariance)) is not None:
            check_covariance(known)
    v = _known(noise)
    if v is not None and v < 0:
        raise InputError("noise_variance", float(v), "give a variance, >= 0", fault="is negative")
    if not general and (v is None or v != 0):
        raise InputError("noise_variance", Words("is given to a formula without label noise"), _GENERAL)
    return layers, target, sigma, variance


def check_covariance(sigma: NDArray[np.float64]) -> None:
    """Symmetric and positive semi-definite, up to rounding.

    Raises:
        InputError: it is not.
    """
    slack, cure = _ROUNDING * np.abs(sigma).max(), "give the covariance matrix of the inputs"
    if np.abs(sigma - sigma.T).max() > slack:
        raise InputError("covariance", Words("is not symmetric"), cure)
    try:
        np.linalg.cholesky(sigma + (slack * len(sigma) + np.finfo(float).tiny) * np.eye(len(sigma)))
    except np.linalg.LinAlgError:
        raise InputError("covariance", Words("is not positive semi-definite"), cure) from None


def rates_and_sizes(parameters: Sequence[str], rate: Any, size: Any, made: Made) -> tuple[Array, Array]:
    """Learning rates, several parameters in their last axis, and batch sizes >= 1; they broadcast."""
    rates, sizes = made(rate, "learning_rate"), made(size, "batch_size")
    known = _known(size)
    if known is not None and not (known >= 1).all():
        raise InputError(
            "batch_size", float(known[~(known >= 1)].flat[0]), "give numbers >= 1", fault="is no batch size"
        )
    shape = rates.shape
    if len(parameters) > 1:
        if not shape or shape[-1] != len(parameters):
            cure = f"give {', '.join(parameters)} in its last axis"
            raise InputError("learning_rate", Words(f"has shape {shape}"), cure)
        shape = shape[:-1]
    try:
        np.broadcast_shapes(shape, sizes.shape)
    except ValueError:
        fault = Words(f"has shape {sizes.shape}, and learning_rate {rates.shape}")
        raise InputError("batch_size", fault, "give arrays that broadcast, as rates[:, None] and sizes") from None
    return rates, sizes


def _known(value: Any) -> NDArray[np.float64] | None:
    """The numbers, unless they are traced."""
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):  # JAX says so of what it traces
        return None
