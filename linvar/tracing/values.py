"""Arrays of entries: known exact numbers, or elements of a ring.

A known entry of a floating-point array is an ``fmpq``, of an array of integers or truth values an ``int`` or ``bool``: what is
made of the example of a data set, of constants, of positions. Everything else is an element: only + - * and powers of it are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any, NoReturn

import numpy as np

from linvar.errors import InputTypeError, Words
from linvar.flint import fmpq

#: an array of objects
Entries = np.ndarray

CURE = "make the loss of + - * @, integer powers, sums, slices, gathers and division by numbers"

#: Denominators of constants that are taken for what was typed: no decimal like 0.1 has one.
_SHORT = 4_096
#: Bits of the significand that a constant with a fraction leaves free: one that was rounded leaves about none.
_FREE = 5


class NotPolynomialError(InputTypeError):
    """A loss that is no polynomial in the weights, or not one that is known exactly."""

    def inside(self, name: str) -> NotPolynomialError:
        """The same, with the function that it is in."""
        return NotPolynomialError(self.argument, Words(f"{self.value}, in {name}" if name else self.value), self.cure)


def refuse(fault: str, cure: str = CURE) -> NoReturn:
    """What the loss does that no polynomial does."""
    raise NotPolynomialError("loss", Words(fault), cure)


def is_known(entry: Any) -> bool:
    """Whether an entry is a number."""
    return isinstance(entry, (fmpq, int))


def known(array: Entries) -> bool:
    """Whether all entries are numbers."""
    return all(map(is_known, array.flat))


def filled(entries: Iterable[Any], shape: tuple[int, ...]) -> Entries:
    """An array of these entries, row by row. (``np.array`` would take a polynomial for a sequence.)"""
    found = np.empty(shape, dtype=object)
    for place, entry in zip(np.ndindex(*shape), entries, strict=True):
        found[place] = entry
    return found


def mapped(function: Callable[..., Any], *arrays: Entries) -> Entries:
    """A function entry by entry, of arrays that are broadcast together."""
    columns = np.broadcast_arrays(*arrays)
    return filled(map(function, *(column.flat for column in columns)), columns[0].shape)


def constant(value: Any) -> Entries:
    """A constant of a jaxpr, exact.

    Raises:
        NotPolynomialError: a float that may have been rounded before it came here.
    """
    array = np.asarray(value)
    if array.dtype.kind == "b":
        return filled(map(bool, array.flat), array.shape)
    if array.dtype.kind in "iu":
        return filled(map(int, array.flat), array.shape)
    if array.dtype.kind == "O" or array.dtype.kind not in "fV":
        refuse(f"holds a constant of type {array.dtype}")
    precision = _precision(array.dtype)
    return filled((_exact_float(float(entry), precision, array.dtype) for entry in array.flat), array.shape)


def _precision(dtype: Any) -> int:
    """Bits of a significand."""
    import jax.numpy as jnp

    return int(jnp.finfo(dtype).nmant) + 1


def _exact_float(value: float, precision: int, dtype: Any) -> fmpq:
    """A float as the fraction it is, if it is surely the one that was typed."""
    cure = "write a fraction of integers: x / 10 in place of 0.1 * x"
    if not np.isfinite(value):
        refuse(f"contains {value}", CURE)
    fraction = Fraction(value)
    bits = fraction.numerator.bit_length()
    whole = fraction.denominator == 1
    if fraction.denominator > _SHORT or bits > (precision if whole else precision - _FREE):
        refuse(f"contains {value!r} of type {dtype}, which may have been rounded", cure)
    if whole and abs(fraction.numerator) >= 2**precision - 1:
        refuse(f"contains {value!r} of type {dtype}, which may have been rounded", cure)
    return fmpq(fraction.numerator, fraction.denominator)


def cast(array: Entries, dtype: Any) -> Entries:
    """Numbers in another type; elements stay what they are in any floating-point type.

    Raises:
        NotPolynomialError: a number has no exact place in the type, or an element is to be an integer.
    """
    import jax.numpy as jnp

    if jnp.issubdtype(dtype, jnp.floating):
        precision = _precision(dtype)
        return mapped(lambda entry: _as_float(entry, precision, dtype), array)
    if not known(array):
        refuse(f"turns what is no constant into the type {dtype}")
    if dtype == np.bool_:
        return mapped(lambda entry: entry != 0, array)
    if jnp.issubdtype(dtype, jnp.integer):
        return in_range(mapped(_as_integer, array), dtype)
    refuse(f"uses numbers of type {dtype}")


def _as_float(entry: Any, precision: int, dtype: Any) -> Any:
    """A number as an fmpq."""
    if not is_known(entry):
        return entry
    number = entry if isinstance(entry, fmpq) else fmpq(int(entry))
    if number.q == 1 and abs(int(number.p)) > 2**precision:
        refuse(f"turns {number} into the type {dtype}, which cannot hold it", "compute in a wider type")
    return number


def _as_integer(entry: Any) -> int:
    """A number without a fraction as an int."""
    fraction = fmpq(int(entry)) if isinstance(entry, int) else entry
    if fraction.q != 1:
        refuse(f"cuts the number {fraction} to an integer")
    return int(fraction.p)


def in_range(array: Entries, dtype: Any) -> Entries:
    """Integers that fit the type, and 32 bits, in which JAX computes unless it is told otherwise."""
    import jax.numpy as jnp

    limits = jnp.iinfo(dtype)
    low, high = max(int(limits.min), -(2**31)), min(int(limits.max), 2**32 - 1 if limits.min == 0 else 2**31 - 1)
    for entry in array.flat:
        if not low <= int(entry) <= high:
            refuse(
                f"computes the integer {int(entry)}, beyond {min(limits.bits, 32)} bits", "compute with floats: 2.0 * x"
            )
    return array


def integers(array: Entries, dtype: Any) -> np.ndarray:
    """Known integers or truth values as NumPy has them."""
    return np.asarray([int(entry) for entry in array.flat], dtype=np.int64).reshape(array.shape).astype(dtype)


def places(arrays: Sequence[Entries]) -> tuple[list[Any], list[np.ndarray]]:
    """All entries in one list, and arrays of their places in it."""
    pool: list[Any] = []
    found = []
    for array in arrays:
        found.append(np.arange(len(pool), len(pool) + array.size, dtype=np.int64).reshape(array.shape))
        pool += list(array.flat)
    return pool, found
