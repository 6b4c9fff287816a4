"""What the derivation of a formula takes, said before it starts.

The second moment has L C(4L-2, n) words with n of S (every W_l' has two terms), and of a word of order n the recursion makes
e_j(2, 4, ..., 2(n-1)) terms of u^j, e_j the elementary symmetric polynomials, before equal states are merged. Seconds follow these
terms and the length of the words (fitted on two cores; benchmarks/trace_formulas.py compares).
"""

from __future__ import annotations

from math import comb

from linvar.errors import Argument, DerivationTooLargeError, Said
from linvar.symbolic.limits import MOST_SECONDS, format_seconds
from linvar.symbolic.traces.statement import Statement

#: fitted: seconds of a call and of a term, at order 10; how much longer those of any covariance take; bytes of a term
_CALL, _TERM, _GENERAL = 0.01, 1.2e-5, 2.5


def terms(statement: Statement) -> int:
    """Terms of the recursion, unmerged."""
    if not statement.step:
        return 1
    highest = 4 * statement.depth - 2
    most = highest if statement.order is None else statement.order
    return statement.depth * sum(comb(highest, n) * _unmerged(n, most) for n in range(highest + 1))


def _unmerged(order: int, most: int) -> int:
    """sum_{j <= most} e_j(2, 4, ..., 2(n-1))."""
    symmetric = [1] + [0] * min(most, max(0, order - 1))
    for factor in range(2, 2 * order, 2):
        for j in range(len(symmetric) - 1, 0, -1):
            symmetric[j] += factor * symmetric[j - 1]
    return sum(symmetric)


def predicted_seconds(statement: Statement) -> float:
    """On one core."""
    longer = _GENERAL if statement.covariance == "general" else 1.0
    return _CALL + _TERM * longer * min(terms(statement), 10**18) * ((4 * statement.depth - 2) / 10) ** 4


def check_size(statement: Statement) -> None:
    """Refuse what takes too long.

    Raises:
        DerivationTooLargeError: it says how long, and what to ask for instead.
    """
    seconds = predicted_seconds(statement)
    if seconds <= MOST_SECONDS:
        return
    order, smaller = statement.order, Said("a smaller order ({})", Argument("order", "1"))
    cures = [("order", smaller)] if order is None or order > 1 else []
    cures += [("", "linvar.first_order_formula for the first coefficient of any depth and step")]
    cures += [("", "linvar.derive for one problem of small widths")]
    raise DerivationTooLargeError(f"the {statement} would take {format_seconds(seconds)}", cures)
