"""Entries of a term taken and put elsewhere, at places that no example changes.

Taken: every factor is taken of along its own axes. Put: what is put at k = c(i, j) has the gradient

    g[k] = sum over (i, j) with c(i, j) = k of h_i delta_j,

a product with a matrix of zeros and ones of (i, j, k), which is small where c says of each axis by itself where it goes, as for a
diagonal. Where k = a(i) + b(j) modulo m, as in circulant and Toeplitz matrices, g is a circular convolution, and its Fourier
transform is the product of those of h, put at a(i), and of delta, put at b(j): of the size of g, without a matrix of (i, j).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from linvar.numeric.gradients.per_example.composite import WHOLE, Part, Seen, joined
from linvar.numeric.gradients.per_example.factors import EXAMPLES, Axis, Factor, NotFactoredError, fresh_axes, product

#: entries of a matrix of zeros and ones that is written down
MOST_PLACES = 2**18


def picked(seen: Seen, places: Sequence[int], index: Sequence[jax.Array]) -> Seen:
    """Entries of axes of the result, at these places of each: the axes of the index, then the others."""
    axes = []
    for place in places:
        seen, axis = seen.axis(place)
        axes.append(axis)
    at, shape = dict(zip(axes, index)), index[0].shape
    new = fresh_axes(len(shape))
    rest = [seen.part(place) for place in range(len(seen.runs)) if place not in places]
    parts = [*(Part((a,), (n,), WHOLE) for a, n in zip(new, shape)), *rest]
    return joined([_picked(f, at, new) for f in seen.term.factors], parts)


def _picked(factor: Factor, at: dict[Axis, jax.Array], new: tuple[Axis, ...]) -> Factor:
    mine = [a for a in at if a in factor.axes]
    if not mine:
        return factor
    rest = [a for a in factor.axes if a not in at]
    array = jnp.transpose(factor.array, [factor.axes.index(a) for a in (*mine, *rest)])
    return Factor(array[tuple(at[a] for a in mine)], (*new, *rest))


def placed(seen: Seen, places: Sequence[int], index: np.ndarray, lengths: Sequence[int]) -> Seen:
    """Entries of axes of the result put at other places, and added where they are the same.

    Args:
        seen: the term.
        places: of axes of the result, which are gone.
        index: (*their lengths, axes) of the places where they are put; an entry outside is left out.
        lengths: of these axes, which come first.
    """
    own: list[Axis] = []
    for place in places:
        seen, axis = seen.axis(place)
        own.append(axis)
    rest = [seen.part(place) for place in range(len(seen.runs)) if place not in places]
    gone = {axis: Part((axis,), (n,), WHOLE) for axis, n in zip(own, index.shape)}
    factors, parts = list(seen.term.factors), list[Part]()
    for number, length in enumerate(lengths):
        column = index[..., number]
        moved = [p for p in range(column.ndim) if np.any(column != np.take(column, [0], axis=p))]
        column = column[tuple(slice(None) if p in moved else 0 for p in range(column.ndim))]
        added = added_places(column) if len(lengths) == 1 and len(moved) == 2 else None
        if added is not None:
            one, two = (own[p] for p in moved)
            others = [part for axis, part in gone.items() if axis not in (one, two)]
            return _convolved(
                _summed(joined(factors, [gone[one], gone[two], *rest, *others]), len(others)), added, length
            )
        if len(moved) == 1 and own[moved[0]] in gone and np.array_equal(column, np.arange(length)):
            parts.append(gone.pop(own[moved[0]]))  # stays where it is
            continue
        if column.size * length > MOST_PLACES:
            raise NotFactoredError("many numbers are put at places of no known order")
        (new,) = fresh_axes(1)
        ones = column[..., None] == np.arange(length)
        factors.append(Factor(jnp.asarray(ones, factors[0].array.dtype), (*(own[p] for p in moved), new)))
        parts.append(Part((new,), (length,), WHOLE))
    return _summed(joined(factors, [*parts, *rest, *gone.values()]), len(gone))


def _summed(seen: Seen, count: int) -> Seen:
    """Over so many last axes of the result, one after another: each makes one factor of those that have it."""
    for _ in range(count):
        seen = seen.summed([len(seen.runs) - 1])
    return seen


class AddedPlaces(NamedTuple):
    """Places k = fold(a(i) + b(j) modulo m)."""

    one: np.ndarray
    two: np.ndarray
    modulus: int
    fold: np.ndarray | None


def added_places(column: np.ndarray) -> AddedPlaces | None:
    """Places (i, j) as such a sum, if they are: of themselves, or functions of i - j or of i + j."""
    rows, columns = column.shape
    one, two, length = column[:, 0], column[0] - column[0, 0], int(column.max()) + 1
    if column.min() < 0:
        return None
    if not np.any((column - one[:, None] - two) % length):
        return AddedPlaces(one, two, length, None)
    for sign in (-1, 1):
        one, two = np.arange(rows), sign * np.arange(columns) + (columns - 1 if sign < 0 else 0)
        whole = one[:, None] + two
        fold = np.zeros(rows + columns - 1, column.dtype)
        fold[whole] = column
        if np.array_equal(fold[whole], column):
            return AddedPlaces(one, two, len(fold), fold)
    return None


def _convolved(seen: Seen, added: AddedPlaces, length: int) -> Seen:
    """The first two axes of the result put at a(i) + b(j): their Fourier transforms multiplied, and transformed back."""
    (one,), (two,) = seen.part(0).axes, seen.part(1).axes
    rest = [seen.part(place) for place in range(2, len(seen.runs))]
    frequency, side, new = fresh_axes(3)
    there = {a for f in seen.term.factors for a in f.axes}
    kept = [a for part in rest for a in part.axes if a in there]
    dtype = jnp.result_type(*(f.array for f in seen.term.factors))
    waves = _waves(added.modulus)
    left = waves[:, added.one % added.modulus].T
    right = _scale(added.modulus) * waves[:, added.two % added.modulus].T

    def of(first: np.ndarray, second: np.ndarray) -> jax.Array:
        own = Factor(jnp.asarray(first, dtype), (one, frequency)), Factor(jnp.asarray(second, dtype), (two, frequency))
        return product((*seen.term.factors, *own), (EXAMPLES, *kept, frequency))

    real = of(left.real, right.real) - of(left.imag, right.imag)
    imaginary = of(left.real, right.imag) + of(left.imag, right.real)
    transform = Factor(jnp.stack([real, imaginary], axis=-1), (EXAMPLES, *kept, frequency, side))
    matrix = _back(added.modulus)
    if added.fold is not None or added.modulus != length:
        fold = np.arange(added.modulus) if added.fold is None else added.fold
        back = Factor(jnp.asarray(matrix @ (fold[:, None] == np.arange(length)), dtype), (frequency, side, new))
    else:
        back = Factor(jnp.asarray(matrix, dtype), (frequency, side, new), f"fourier {length}")
    return joined((transform, back), [Part((new,), (length,), WHOLE), *rest])


def _waves(modulus: int) -> np.ndarray:
    """exp(-2 pi i f k / m) of the frequencies f up to m / 2: (frequencies, m)."""
    angles = np.outer(np.arange(modulus // 2 + 1), np.arange(modulus)) % modulus
    waves: np.ndarray = np.exp(-2j * np.pi * angles / modulus)
    return waves


def _scale(modulus: int) -> np.ndarray:
    """Square roots of the shares of the frequencies in ||g||^2, of which those between 0 and m / 2 stand for two."""
    twice = np.arange(modulus // 2 + 1) * 2 % modulus > 0
    return np.sqrt((1 + twice) / modulus)


def _back(modulus: int) -> np.ndarray:
    """From real and imaginary parts, scaled so that its columns are orthonormal, to numbers: (frequencies, 2, m)."""
    waves = _waves(modulus)
    back: np.ndarray = _scale(modulus)[:, None, None] * np.stack([waves.real, waves.imag], axis=1)
    return back
