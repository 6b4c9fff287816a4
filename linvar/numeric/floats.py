"""Exact numbers as floats, each rounded once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from linvar.errors import InputError, Words


def to_floats(entries: Any, name: str, dtype: str) -> np.ndarray:
    """Nested tuples of exact numbers as a float array, each entry rounded once (correctly, at any length)."""
    try:
        rounded = np.asarray(entries, dtype=object).astype("float64")  # Fraction divides its two integers, however long
    except OverflowError:
        rounded = np.asarray(math.inf)
    if rounded.size and not np.max(np.abs(rounded)) <= np.finfo(dtype).max:
        raise InputError(name, Words(f"has an entry too large for dtype={dtype!r}"), "rescale the problem")
    return rounded.astype(dtype)
