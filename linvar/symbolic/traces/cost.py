"""What the derivation of a formula takes, said before it starts.

Every W_l' has two terms, so that the words with n of S are L C(4L-2, n) of the second moment, C(2L, n) of the loss and
L C(2L-1, n) of the mean gradient, whose results are multiplied in pairs. Of a word of order n the recursion makes
e_j(2, 4, ..., 2(n-1)) terms of u^j, e_j the elementary symmetric polynomials, before equal states are merged. Seconds follow
these terms and the length of the words (fitted on two cores; benchmarks/trace_formulas.py compares).
"""

from __future__ import annotations

from math import comb

from linvar.errors import Argument, DerivationTooLargeError, Said
from linvar.symbolic.cost import costs
from linvar.symbolic.limits import MOST_SECONDS, format_seconds
from linvar.symbolic.traces.statement import Statement

#: fitted: how much longer the recursion is for any covariance; too many letters of words; pairs that take as long as a term
_GENERAL, _MOST_WORDS, _PAIRS = 2.5, 500_000, 4


def recursion_terms(statement: Statement) -> float:
    """Terms of the recursion before equal ones are merged, those of longer words counting more: in units of two layers'."""
    if not statement.step:
        return 1.0
    longer = _GENERAL if statement.covariance == "general" else 1.0
    opened = _terms(statement, statement.depth, 2 * statement.depth - 1)
    pairs = opened**2 / _PAIRS
    found = {
        "loss": lambda: _terms(statement, 1, 2 * statement.depth),
        "squared_mean": lambda: opened + pairs,
        "second_moment": lambda: _terms(statement, statement.depth, 4 * statement.depth - 2),
    }
    whole = found.get(statement.quantity, found["second_moment"])()
    return longer * (whole + (pairs if statement.quantity == "variance" else 0.0))


def _terms(statement: Statement, words: int, highest: int) -> float:
    """Of so many sets of words with up to this many S."""
    most = highest if statement.order is None else statement.order
    count = words * sum(comb(highest, n) * _unmerged(n, most) for n in range(highest + 1))
    return min(count, 10**18) * (highest / 6) ** 4


def _words(statement: Statement) -> int:
    """Letters of the words that the recursion starts from."""
    depth = statement.depth
    if statement.quantity == "loss":
        return int(4**depth * 2 * depth)
    highest = 2 * depth - 1 if statement.quantity == "squared_mean" else 4 * depth - 2
    return int(depth * 2**highest * highest)


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
    seconds = predicted_seconds(statement)
    too_many = statement.step and statement.order != 0 and _words(statement) > _MOST_WORDS
    if seconds <= MOST_SECONDS and not too_many:
        return
    order, smaller = statement.order, Said("a smaller order ({})", Argument("order", "1"))
    cures: list[tuple[str, str]] = [("order", smaller)] if order is None or order > 1 else []
    first = Argument("first_order", python="linvar.first_order_formula")
    cures += [("", Said("{} for the first coefficient of any depth and step", first))]
    cures += [("", "linvar.derive for one problem of small widths")]
    raise DerivationTooLargeError(f"the {statement} would take {format_seconds(seconds)} or more", cures)
