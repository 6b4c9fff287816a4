"""Moments of several features as sums over products of two halves, each made once.

A product of k features in order is one of its first k // 2 times one of the others. Where such a product is a column of integers
(its values at points, its coefficients in an orthogonal basis) and E f g = sum_i w_i f_i g_i, a moment is a product of columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import mul

from linvar.laws.polynomial import Places
from linvar.symbolic.algebra.ring import Exponents
from linvar.symbolic.laws.law import graded

Columns = Mapping[Places, Sequence[int]]


def paired(first: Columns, second: Columns, count: int, order: int) -> Iterator[tuple[Exponents, int]]:
    """The exponents of every product of 1..order of so many features, and sum_i first[p]_i second[q]_i of its halves p and q.

    Those that are zero are left out.

    Args:
        first: up to order // 2 factors each, () among them; weights are in these.
        second: up to (order + 1) // 2 factors.

    >>> list(paired({(): [1, 1]}, {(0,): [2, 3]}, 1, 1))
    [((1,), 5)]
    """
    for exponents, key in graded(count, order):
        half = len(key) // 2
        if total := sum(map(mul, first[key[:half]], second[key[half:]])):
            yield exponents, total
