"""A JAX function from the coefficients of a polynomial: arrays of numbers and exponents, no generated code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from linvar.errors import InputError, InputTypeError, Words, cut, shown, warn
from linvar.exact import Rational, TooLargeError
from linvar.symbolic.algebra.ring import to_rational

#: a bound on the relative error beyond which a value is warned of
_TOLERABLE = 0.01


class JaxFunction:
    """sum_k c_k / b^k in floating point; ``condition`` says how far cancellation spoils it.

    Args:
        elements: ``elements[k]`` are the terms (exponents of the symbols, coefficient) next to 1/b^k.
        names: the symbols, keywords of every call.
        largest: the largest batch size that has a meaning; None where there is none.
    """

    def __init__(
        self, elements: Sequence[Sequence[tuple[Any, Any]]], names: Sequence[str], largest: int | None = None
    ) -> None:
        self._names, self._largest, self._degree = tuple(names), largest, len(elements) - 1
        self._numbers = np.array(
            [_to_float(to_rational(c), k) for k, terms in enumerate(elements) for _, c in terms], "float64"
        )
        exponents = np.array([[int(e) for e in key] for terms in elements for key, _ in terms], dtype="int32")
        self._exponents = exponents.reshape(len(self._numbers), len(names))
        self._powers = np.array([k for k, terms in enumerate(elements) for _ in terms], dtype="int32")
        self._evaluate = jax.jit(self._sums)

    def __repr__(self) -> str:
        symbols = f"; {cut(', '.join(self._names))}" if self._names else ""
        return f"JaxFunction(degree {self._degree} in 1/b{symbols})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_evaluate"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._evaluate = jax.jit(self._sums)

    def __call__(self, batch_size: ArrayLike, /, **symbols: ArrayLike) -> jax.Array:
        """The value at batch_size (an array of any shape); every symbol is a keyword, a scalar."""
        sizes, values = self._checked(batch_size, symbols)
        value: jax.Array
        value, absolute = self._evaluate(sizes, values)
        if not any(isinstance(x, jax.core.Tracer) for x in (sizes, *values, value)):
            self._warn(sizes, np.asarray(value), np.asarray(absolute))
        return value

    def condition(self, batch_size: ArrayLike, /, **symbols: ArrayLike) -> jax.Array:
        """sum |terms| / |value| at batch_size, >= 1: by which factor rounding errors grow.

        The relative error of a value is about 2 (degree + 1) times the machine epsilon of the dtype times this number (which is
        itself computed in floating point: beyond 1/epsilon it says no more than that). Arguments as those of a call.
        """
        sizes, values = self._checked(batch_size, symbols)
        return _ratio(*self._evaluate(sizes, values))

    def _sums(self, batch_size: jax.Array, values: Sequence[jax.Array]) -> tuple[jax.Array, jax.Array]:
        """The value, and the sum of the absolute values of its terms."""
        dtype = jnp.result_type(float)
        terms = jnp.asarray(self._numbers, dtype)
        for i, value in enumerate(values):
            highest = int(self._exponents[:, i].max(initial=0))
            table = jnp.cumprod(jnp.concatenate([jnp.ones(1, dtype), jnp.full(highest, value, dtype)]))
            terms = terms * table[self._exponents[:, i]]
        inverse = 1 / jnp.asarray(batch_size, dtype)

        def horner(parts: jax.Array, x: jax.Array) -> jax.Array:
            coefficients = jax.ops.segment_sum(parts, self._powers, num_segments=self._degree + 1)
            return jnp.polyval(coefficients[::-1], x)

        return horner(terms, inverse), horner(jnp.abs(terms), jnp.abs(inverse))

    def _checked(
        self, batch_size: ArrayLike, symbols: Mapping[str, ArrayLike]
    ) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        """Arrays; what is known outside ``jax.jit`` is looked at."""
        if set(symbols) != set(self._names):
            wrong = ", ".join(sorted(set(symbols) ^ set(self._names)))
            fault = Words(f"are {cut(', '.join(self._names)) or '(none)'}, and {cut(wrong)} does not match")
            raise InputTypeError("the symbols", fault, "give the symbols as keywords, each a scalar")
        sizes = _real(batch_size, "batch_size")
        values = tuple(_real(symbols[name], name) for name in self._names)
        for name, value in zip(self._names, values):
            if value.shape != ():
                raise InputError(name, Words(f"has shape {value.shape}"), "give a scalar, and use jax.vmap for several")
        if not isinstance(sizes, jax.core.Tracer):
            known = np.asarray(sizes)
            self._refuse(known, ~(known > 0), "is no batch size", "give numbers > 0")
            if self._largest is not None:
                cure = f"without replacement give at most {self._largest}"
                above = f"is more than the {self._largest} examples of the data set"
                self._refuse(known, known > self._largest, above, cure)
        limits: Any = np.finfo(jnp.result_type(float))
        largest = float(np.max(np.abs(self._numbers), initial=0.0))
        if largest > float(limits.max) or 0 < largest < float(limits.tiny):
            fault = Words(f"of up to about {largest:.1e} do not fit {limits.dtype}")
            cure = "call inside `with jax.enable_x64(True):`, or call the polynomial itself for exact values"
            raise TooLargeError("coefficients", fault, cure)
        return sizes, values

    def _refuse(self, sizes: np.ndarray, wrong: np.ndarray, fault: str, cure: str) -> None:
        if wrong.any():
            raise InputError("batch_size", sizes[wrong].flat[0].item(), cure, fault=fault)

    def _warn(self, sizes: jax.Array, value: np.ndarray, absolute: np.ndarray) -> None:
        """One warning for the batch size where cancellation is worst."""
        dtype = value.dtype
        errors = (
            np.asarray(_ratio(jnp.asarray(value), jnp.asarray(absolute)))
            * 2
            * (self._degree + 1)
            * float(np.finfo(dtype).eps)
        )
        worst = int(np.argmax(errors)) if errors.size else 0  # the first NaN, if there is one
        if not errors.size or errors.flat[worst] <= _TOLERABLE or np.isnan(absolute.flat[worst]):
            return
        b = np.broadcast_to(np.asarray(sizes), errors.shape).flat[worst].item()
        more = "" if dtype == np.float64 else ", or inside `with jax.enable_x64(True):`"
        warn(
            f"to_jax() at b={b:g}: the terms cancel, and {dtype} leaves a relative error of up to {errors.flat[worst]:.1g}: "
            f"for the exact value call the polynomial itself, p({b:g}){more}"
        )


def _ratio(value: jax.Array, absolute: jax.Array) -> jax.Array:
    """absolute / |value|; 1 where there are no terms at all."""
    return jnp.where(absolute == 0, 1.0, absolute / jnp.abs(value))


def _real(value: ArrayLike, name: str) -> jax.Array:
    """A JAX array of real numbers."""
    try:
        array = jnp.asarray(value)
    except (TypeError, ValueError, OverflowError):
        raise InputTypeError(name, value, "give a number or an array of numbers") from None
    if not (jnp.issubdtype(array.dtype, jnp.floating) or jnp.issubdtype(array.dtype, jnp.integer)):
        raise InputTypeError(name, Words(f"={shown(value)} is of dtype {array.dtype}"), "give real numbers")
    return array


def _to_float(value: Rational, power: int) -> float:
    """The nearest float64 of p/q: one true division, so that long integers do not overflow one at a time."""
    try:
        return float(value)
    except OverflowError:
        digits = int((value.numerator.bit_length() - value.denominator.bit_length()) * 0.30103)
        fault = Words(f"of 1/b^{power} is about 1e{digits}, beyond float64")
        raise TooLargeError("the coefficient", fault, "call the polynomial itself for exact values") from None
