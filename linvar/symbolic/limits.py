"""What a derivation may take, and how that is said: bytes and seconds."""

from __future__ import annotations

import numbers
import os
from typing import Any

from linvar.errors import InputError, InputTypeError

#: a road that would take longer is taken only if it is asked for
MOST_SECONDS = 1_800.0
#: more updates than this count as so many: their cost is a float, and beyond use
MOST_STEPS = 10**100


def bounded(count: float) -> float:
    """A count of any size as a float."""
    return float(min(count, 10**300))


def default_memory_limit() -> int:
    """Half of the physical memory of the machine, in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):  # a platform without sysconf: assume 8 GiB
        return 4 * 2**30


def format_bytes(count: int) -> str:
    """Bytes in the unit that reads best: 1.5 GB."""
    value = float(min(count, 10**300))
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} PB"


def format_seconds(seconds: float) -> str:
    """Seconds in the unit that reads best: 2 minutes."""
    if seconds < 1:
        return "1 second" if seconds > 0.5 else f"{seconds:.1g} seconds"
    units = (("seconds", 60.0), ("minutes", 60.0), ("hours", 24.0), ("days", 365.0))
    for unit, factor in units:
        if seconds < 1.5 * factor:
            return f"{seconds:.2g} {unit}"
        seconds /= factor
    return f"{seconds:,.0f} years" if seconds < 1e6 else "over a million years"


def checked_limit(memory_limit: Any) -> int:
    """Bytes: half of the machine's memory if None."""
    if memory_limit is None:
        return default_memory_limit()
    cure, fault = "give one that is at least 1", "is no number of bytes"
    a_number = isinstance(memory_limit, numbers.Real) and not isinstance(memory_limit, bool)
    if not a_number:
        raise InputTypeError("memory_limit", memory_limit, cure, fault=fault)
    if not memory_limit >= 1:
        raise InputError("memory_limit", memory_limit, cure, fault=fault)
    return int(min(memory_limit, 10**30))
