"""What the derivation of a formula takes, said before it starts.

The second moment has L C(4L-2, n) words with n of S (every W_l' has two terms), and of a word of order n the recursion makes
e_j(2, 4, ..., 2(n-1)) terms of u^j, e_j the elementary symmetric polynomials, before equal states are merged. Seconds follow
these terms and the length of the words (fitted on two cores; benchmarks/trace_formulas.py compares).
"""

from __future__ import annotations

from math import comb

from linvar.errors import Argument, DerivationTooLargeError, Said
from linvar.symbolic.cost import costs
from linvar.symbolic.limits import MOST_SECONDS, format_seconds
from linvar.symbolic.traces.statement import Statement

#: fitted: how much longer the recursion is for any covariance, and how many words are too many letters
_GENERAL, _MOST_WORDS = 2.5, 500_000


def recursion_terms(statement: Statement) -> float:
    """Terms of the recursion before equal ones are merged, those of longer words counting more: in units of two layers'."""
    if not statement.step:
        return 1.0
    highest = 4 * statement.depth - 2
    most = highest if statement.order is None else statement.order
    terms = statement.depth * sum(comb(highest, n) * _unmerged(n, most) for n in range(highest + 1))
    longer = _GENERAL if statement.covariance == "general" else 1.0
    return longer * min(terms, 10**18) * (highest / 6) ** 4


def _unmerged(order: int, most: int) -> int:
    """sum_{j <= most} e_j(2, 4, ..., 2(n-1))."""
    symmetric = [1] + [0] * min(most, max(0, order - 1))
    for factor in range(2, 2 * order, 2):
        for j in range(len(symmetric) - 1, 0, -1):
            symmetric[j] += factor * symmetric[j - 1]
    return sum(symmetric)


def predicted_seconds(statement: Statement) -> float:
    """On one core."""
    rates = costs().traces
    return rates.seconds_call + rates.seconds_recursion * recursion_terms(statement)


def check_size(statement: Statement) -> None:
    """Refuse what takes too long.

    Raises:
        DerivationTooLargeError: it says how long, and what to ask for instead.
    """
    seconds, highest = predicted_seconds(statement), 4 * statement.depth - 2
    too_many = statement.step and statement.order != 0 and statement.depth * 2**highest * highest > _MOST_WORDS
    if seconds <= MOST_SECONDS and not too_many:
        return
    order, smaller = statement.order, Said("a smaller order ({})", Argument("order", "1"))
    cures: list[tuple[str, str]] = [("order", smaller)] if order is None or order > 1 else []
    cures += [("", "linvar.first_order_formula for the first coefficient of any depth and step")]
    cures += [("", "linvar.derive for one problem of small widths")]
    raise DerivationTooLargeError(f"the {statement} would take {format_seconds(seconds)} or more", cures)
