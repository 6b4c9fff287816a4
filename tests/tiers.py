"""Which instances of a test are in every run, and which among the slow ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def slow_but(values: Iterable[Any], *kept: Any) -> list[Any]:
    """Parameters: those kept are in every run, all others run with ``-m slow``.

    Raises:
        ValueError: one that is kept is not among them.
    """
    values = list(values)
    if missing := [one for one in kept if one not in values]:
        raise ValueError(f"{missing} are not among {values}")
    return [one if one in kept else pytest.param(one, marks=pytest.mark.slow) for one in values]
