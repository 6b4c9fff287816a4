"""Arrays of entries: known exact numbers, or elements of a ring.

A known entry of a floating-point array is an ``fmpq``, of one of integers an ``int``, of truth values a ``bool``: what is made of
the example of a data set, of constants, of positions. Everything else is an element: only + - * and powers of it are known.
Floating-point types are all the same here: nothing is rounded, and a cast from one to another moves no number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import lru_cache
from math import isfinite, prod
from typing import Any, NoReturn

import numpy as np

from linvar.errors import InputTypeError, Words, cut
from linvar.flint import fmpq

#: an array of objects
Entries = np.ndarray

CURE = "make the loss of + - * @, integer powers, sums, slices, gathers and division by numbers"

#: bits of the significand of a float32, in which a constant may have been before it came here
_SINGLE = 24


class NotPolynomialError(InputTypeError):
    """A loss that is no polynomial in the weights, or not one that is known exactly."""

    def inside(self, name: str) -> NotPolynomialError:
        """The same, with the function that it is in."""
        return NotPolynomialError(self.argument, Words(f"{self.value}, in {name}" if name else self.value), self.cure)


def refuse(fault: str, cure: str = CURE) -> NoReturn:
    """What the loss does that no polynomial does."""
    raise NotPolynomialError("loss", Words(fault), cure)


class NoNumber:
    """nan or an infinity: it may stand where nothing takes it, as in ``where(mask, w, nan)``; who computes with it is refused."""

    def __init__(self, fault: str, cure: str = "leave nan and infinities out") -> None:
        self.fault, self.cure = fault, cure

    def refused(self, *others: Any) -> NoReturn:
        """Whatever is done with it."""
        refuse(self.fault, self.cure)

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __pow__ = __neg__ = refused


def is_known(entry: Any) -> bool:
    """Whether an entry is a number."""
    return isinstance(entry, (fmpq, int))


def known(array: Entries) -> bool:
    """Whether all entries are numbers."""
    return all(map(is_known, array.flat))


def filled(entries: Iterable[Any], shape: tuple[int, ...]) -> Entries:
    """An array of these entries, row by row. (``np.array`` would take a polynomial for a sequence.)"""
    return np.fromiter(entries, dtype=object, count=prod(shape)).reshape(shape)


def mapped(function: Callable[..., Any], *arrays: Entries) -> Entries:
    """A function entry by entry, of arrays that are broadcast together."""
    columns = np.broadcast_arrays(*arrays)
    return filled(map(function, *(column.flat for column in columns)), columns[0].shape)


def zero(dtype: Any) -> Any:
    """0 in a type."""
    return {"b": False, "i": 0, "u": 0}.get(kind(dtype), fmpq(0))


@lru_cache(maxsize=64)
def kind(dtype: Any) -> str:
    """b, i, u or f, of bfloat16 too; other letters for what is no number."""
    import jax.numpy as jnp

    return "f" if jnp.issubdtype(dtype, jnp.floating) else str(getattr(dtype, "kind", "V"))


def constant(value: Any, dtype: Any = None) -> Entries:
    """A constant of a jaxpr, exact, in the type in which the jaxpr has it.

    Raises:
        NotPolynomialError: a float that may have been rounded before it came here, an integer beyond 32 bits, no number.
    """
    own = kind(getattr(value, "dtype", None) or np.result_type(value))
    if own not in "fiub":
        refuse(f"holds a constant of type {value.dtype}")
    array = np.asarray(value)
    if own == "f":
        precision = _precision(array.dtype)
        entries = filled((_exact_float(float(entry), precision, array.dtype) for entry in array.flat), array.shape)
    elif own in "iu":
        entries = in_range(filled(map(int, array.flat), array.shape), array.dtype)
    else:
        entries = filled(map(bool, array.flat), array.shape)
    return entries if dtype is None or array.dtype == dtype else cast(entries, dtype)


@lru_cache(maxsize=64)
def _precision(dtype: Any) -> int:
    """Bits of a significand."""
    import jax.numpy as jnp

    finfo: Callable[[Any], Any] = jnp.finfo
    return int(finfo(dtype).nmant) + 1


def _exact_float(value: float, precision: int, dtype: Any) -> fmpq | NoNumber:
    """A float as the fraction it is, if it is surely the one that was typed.

    It is where no other decimal with as many digits after the point would have become the same float: 0.5 and 0.375 are what
    they are, 0.1 has 55 digits, and 16777216.0 in float32 may have been 16777217. A float64 that float32 holds may come from it.
    So no decimal of at most 7 digits (15 in float64) is taken for another.
    """
    if not isfinite(value):
        return NoNumber(f"computes with {value}")
    fraction = Fraction(value)
    bits = min(precision, _SINGLE) if _in_single(value) else precision
    digits = fraction.denominator.bit_length() - 1
    # the next float is 2^(e - bits) away, 2^(e - 1) <= |value| < 2^e; the next decimal 10^-digits
    exponent = fraction.numerator.bit_length() - digits
    if value and 10**digits * Fraction(2) ** (exponent - bits) > 1:
        cure = "write a fraction of integers: x / 10 in place of 0.1 * x"
        refuse(f"contains {value!r} of type {dtype}, which may have been rounded", cure)
    return fmpq(fraction.numerator, fraction.denominator)


def _in_single(value: float) -> bool:
    """Whether float32 holds it."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.float32(value)) == value


def cast(array: Entries, dtype: Any) -> Entries:
    """Numbers in another type; elements stay what they are in any floating-point type.

    Raises:
        NotPolynomialError: a number has no exact place in the type, or an element is to be an integer.
    """
    into = kind(dtype)
    if into == "f":
        precision = _precision(dtype)
        return mapped(lambda entry: _as_float(entry, precision, dtype), array)
    if into not in "iub":
        refuse(f"uses numbers of type {dtype}")
    if not known(array):
        refuse(f"turns what is no constant into the type {dtype}")
    if into == "b":
        return mapped(lambda entry: entry != 0, array)
    return in_range(mapped(_as_integer, array), dtype)


def _as_float(entry: Any, precision: int, dtype: Any) -> Any:
    """An integer or a truth value as an fmpq; anything else as it is."""
    if not isinstance(entry, int):
        return entry
    if abs(entry // (entry & -entry or 1)).bit_length() > precision:
        refuse(
            f"turns {cut(str(int(entry)), 60)} into the type {dtype}, which cannot hold it", "compute in a wider type"
        )
    return fmpq(int(entry))


def _as_integer(entry: Any) -> int:
    """A number without a fraction as an int."""
    fraction = fmpq(int(entry)) if isinstance(entry, int) else entry
    if fraction.q != 1:
        refuse(f"cuts the number {cut(str(fraction), 60)} to an integer", "cut openly: jax.numpy.floor(x).astype(int)")
    return int(fraction.p)


def in_range(array: Entries, dtype: Any) -> Entries:
    """Integers that fit the type, and 32 bits, in which JAX computes unless it is told otherwise."""
    low, high = _limits(dtype)
    for entry in array.flat:
        if not low <= entry <= high:
            what = f"beyond {high.bit_length() + 1} bits" if low else f"which is none of type {dtype}"
            refuse(f"computes the integer {cut(str(entry), 60)}, {what}", "compute with floats: 2.0 * x")
    return array


@lru_cache(maxsize=64)
def _limits(dtype: Any) -> tuple[int, int]:
    """The smallest and the largest integer of a type, and of 32 bits."""
    import jax.numpy as jnp

    iinfo: Callable[[Any], Any] = jnp.iinfo
    low, high = int(iinfo(dtype).min), int(iinfo(dtype).max)
    return max(low, -(2**31)), min(high, 2**31 - 1 if low else 2**32 - 1)


def settled(array: Entries, dtype: Any) -> Entries:
    """The result of a primitive in its type: integers fit it, known numbers are of its kind."""
    into = kind(dtype)
    if into in "iu":
        return in_range(array, dtype)
    return mapped(bool, array) if into == "b" else array


def integers(array: Entries) -> np.ndarray:
    """Known integers or truth values as NumPy has them; what is none is refused as an index."""
    if not known(array):
        refuse("takes an entry at a place that is no constant", "index with integers of the data or constants")
    return np.asarray([int(entry) for entry in array.flat], dtype=np.int64).reshape(array.shape)
