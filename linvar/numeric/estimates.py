"""Estimate: a Monte-Carlo number that never travels without its standard error."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A value estimated from independent runs, with its standard error.

    Args:
        value: the estimate.
        standard_error: estimated standard deviation of ``value`` over repetitions of all ``runs``. It is
            honest only where the runs reveal their own spread: a heavy tail that no run has met is not in it.
        runs: number of independent runs behind the value.

    >>> Estimate(36.0213, 0.3142, 4096)
    36.02 +- 0.31 (4,096 runs)
    """

    value: float
    standard_error: float
    runs: int

    def z(self, exact: Any, *, rounding: float = 0.0) -> float:
        """Distance from an exact value in standard errors: (value - exact) / standard_error.

        Args:
            exact: the value to compare with; anything ``float`` accepts.
            rounding: relative floating-point error of ``value``, added in quadrature to the standard error
                (0 by default). It matters where the answer does not vary over runs at all.

        Returns:
            The signed z-score: 0 where both agree exactly, infinite where they differ and nothing varies,
            NaN where the estimate is NaN.

        >>> Estimate(11.0, 0.5, 100).z(10)
        2.0
        """
        difference = self.value - float(exact)
        spread = math.hypot(self.standard_error, rounding * max(abs(self.value), abs(float(exact))))
        if spread == 0:
            return 0.0 if difference == 0 else math.copysign(math.inf, difference)
        return difference / spread

    def _repr_latex_(self) -> str:
        number = repr(self).partition(" (")[0].replace("+-", r"\pm").replace(",", "{,}")
        number = re.sub(r"e([+-]?)0*(\d+)", r" \\cdot 10^{\1\2}", number).replace("^{+", "^{")
        number = re.sub(r"nan|inf", lambda word: rf"\mathrm{{{word[0]}}}", number)
        return f"${number}$ ({self.runs:,} runs)"

    def __repr__(self) -> str:
        runs = f"({self.runs:,} runs)"
        if not 0 < self.standard_error < math.inf or not math.isfinite(self.value):
            return f"{self.value:.6g} +- {self.standard_error:.2g} {runs}"
        decimals = max(0, 1 - math.floor(math.log10(self.standard_error)))
        if decimals > 9 or abs(self.value) >= 1e9:
            return f"{self.value:.6g} +- {self.standard_error:.2g} {runs}"
        return f"{self.value:,.{decimals}f} +- {self.standard_error:,.{decimals}f} {runs}"
