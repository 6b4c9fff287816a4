"""The one algebra of matrices as lists of rows: over integers, fractions, polynomials and residues, by their definitions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import jax
import numpy as np
import pytest

from linvar import matrices
from linvar.exact import Rational
from linvar.symbolic.algebra.ring import Ring
from linvar.symbolic.roads.lattice.modular import Modulus

PRIME = 65_003_959
RING = Ring(2)
V, W = RING.gens

Entry = Callable[[Random], Any]


def residue(draw: Random) -> Any:
    """An array modulo p, a constant, or zero."""
    number = draw.randint(-5, 5)
    return MODULUS.residue(np.array([float(number), 2.0]), 5) if number > 2 else MODULUS.lift(number)


MODULUS = Modulus(float(PRIME))
ENTRIES: dict[str, Entry] = {
    "integers": lambda draw: draw.randint(-3, 3),
    "fractions": lambda draw: Rational(draw.randint(-3, 3), draw.randint(1, 4)),
    "polynomials": lambda draw: draw.randint(-2, 2) * V + draw.randint(-1, 1) * W,
    "residues": residue,
}


def matrix(entry: Entry, rows: int, columns: int, draw: Random) -> list[list[Any]]:
    """Random entries, some of them zero."""
    return [[entry(draw) for _ in range(columns)] for _ in range(rows)]


def symmetric(entry: Entry, size: int, draw: Random) -> list[list[Any]]:
    """The same, a_ij = a_ji."""
    found = matrix(entry, size, size, draw)
    return [[found[max(i, j)][min(i, j)] for j in range(size)] for i in range(size)]


def plain(value: Any) -> Any:
    """What may be compared: residues as integers modulo p, the same for a constant and an array of it."""
    if isinstance(value, Sequence):
        return [plain(entry) for entry in value]
    if hasattr(value, "values") and hasattr(value, "bound"):
        return tuple(int(x) % PRIME for x in np.broadcast_to(np.asarray(value.values()), 2))
    return value


def total(values: list[Any]) -> Any:
    """A sum with no zero to start from, and none skipped."""
    first, *others = values
    for value in others:
        first = first + value
    return first


@pytest.mark.parametrize("name", ENTRIES)
def test_every_function_is_its_definition(name: str) -> None:
    entry, draw = ENTRIES[name], Random(name)
    with jax.enable_x64(True):
        for p, q, r in [(1, 1, 1), (2, 3, 4), (3, 1, 2), (1, 4, 3)]:
            a, b, c = (matrix(entry, *shape, draw) for shape in ((p, q), (q, r), (p, q)))
            back, factor = matrix(entry, q, p, draw), entry(draw)
            s, t = symmetric(entry, q, draw), symmetric(entry, q, draw)
            rows, inner, columns = range(p), range(q), range(r)
            wanted = [[total([a[i][k] * b[k][j] for k in inner]) for j in columns] for i in rows]
            assert plain(matrices.product(a, b)) == plain(wanted)
            assert plain(matrices.transpose(a)) == plain([[a[i][k] for i in rows] for k in inner])
            assert plain(matrices.gram(a)) == plain([[total([x[i] * x[j] for x in a]) for j in inner] for i in inner])
            assert plain(matrices.subtract(a, c)) == plain([[a[i][k] - c[i][k] for k in inner] for i in rows])
            assert plain(matrices.scaled(a, factor)) == plain([[factor * a[i][k] for k in inner] for i in rows])
            wanted = [[a[i][k] + factor * c[i][k] for k in inner] for i in rows]
            assert plain(matrices.add_scaled(a, c, factor)) == plain(wanted)
            assert plain(matrices.squared_norm(a)) == plain(total([x * x for row in a for x in row]))
            assert plain(matrices.trace(s)) == plain(total([s[i][i] for i in inner]))
            wanted = total([a[i][k] * back[k][i] for i in rows for k in inner])
            assert plain(matrices.trace_product(a, back)) == plain(wanted)
            wanted = total([s[i][j] * t[j][i] for i in inner for j in inner])
            assert plain(matrices.trace_of_symmetric(s, t)) == plain(matrices.trace_product(s, t)) == plain(wanted)


def test_a_matrix_that_is_not_symmetric_is_told_apart() -> None:
    a, b = [[1, 2], [3, 4]], [[0, 1], [0, 0]]
    assert matrices.trace_product(a, b) == 3 and matrices.trace_of_symmetric(a, b) != 3


def test_zero_is_zero_over_every_ring() -> None:
    assert matrices.is_zero([[0, Rational(0), V - V, MODULUS.lift(0)]])
    assert not matrices.is_zero([[0, 0], [0, V]])
    assert not matrices.is_zero([[MODULUS.residue(np.zeros(2))]])  # an array is not known to be zero


def test_sums_of_nothing_are_zeros_of_the_ring() -> None:
    """Where every product is skipped the result is still an element, not the integer 0."""
    zero = RING.zero
    (entry,) = matrices.product([[zero]], [[V]])[0]
    assert type(entry) is type(V) and entry == zero
    assert type(matrices.squared_norm([[zero]])) is type(V)
    assert type(matrices.trace_of_symmetric([[zero]], [[V]])) is type(V)
    assert type(matrices.product([[Rational(1)]], [[Rational(2)]])[0][0]) is Rational
