"""Moments of several features as sums over products of two halves, each made once.

A product of k features in order is one of its first k // 2 times one of the others. Where such a product is a column of integers
(its values at points, its coefficients in an orthogonal basis) and E f g = sum_i w_i f_i g_i, the moments of degree k are entries
of matrix products: first halves that end with feature j by second halves that start with feature j or a later one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from linvar.flint import fmpz, fmpz_mat
from linvar.laws.polynomial import Places
from linvar.symbolic.laws.law import graded

Columns = Mapping[Places, Sequence[int | fmpz]]


def paired(first: Columns, second: Columns, count: int, order: int) -> Iterator[tuple[Places, int]]:
    """sum_i first[p]_i second[q]_i for the factors p, q of every product of 1..order of so many features, those not zero.

    Args:
        first: up to order // 2 factors each, () among them; weights are in these.
        second: up to (order + 1) // 2 factors.

    >>> list(paired({(): [1, 1]}, {(0,): [2, 3]}, 1, 1))
    [((0,), 5)]
    """
    ending, starting = defaultdict[tuple[int, int], list[Places]](list), defaultdict[int, list[Places]](list)
    for _, key in [((), ()), *graded(count, order // 2)]:
        ending[len(key), max(key, default=0)].append(key)
    for _, key in graded(count, (order + 1) // 2):
        starting[len(key)].append(key)
    for (few, last), lefts in ending.items():
        for many in {few, few + 1} & {*starting}:
            rights = [key for key in starting[many] if key[0] >= last]
            left = fmpz_mat([list(first[key]) for key in lefts])
            right = fmpz_mat([list(second[key]) for key in rights])
            values = (left * right.transpose()).entries()
            for place, value in enumerate(values):
                if value:
                    yield lefts[place // len(rights)] + rights[place % len(rights)], int(value)
