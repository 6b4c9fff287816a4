"""Per-example gradients as sums of products of small arrays, carried through linear operations without being formed.

A *term* is a product of arrays, the factors, each of which has some of the axes of the whole: of a matrix product it is
h[n, r, c] delta[n, r, f], n the examples, r the rows. Axes that the result does not have are summed over. What the
transpose of a function of parameters does to a gradient (multiply it by an array that no example changes, sum over an axis,
repeat along one, multiply by a matrix) is done to the factors, and the product of two terms summed over their common axes is
one contraction. So ||J^T h_i delta_i^T||^2 costs what a few products of h and delta with arrays of the parameters cost.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.arithmetic import at_least_float32

#: An axis, by its number.
Axis: TypeAlias = int
#: The axis of the examples.
EXAMPLES: Axis = 0
#: terms of one value; their pairs are counted and traced
MOST_TERMS = 8
#: factors of which every order of multiplying them is looked at
FORESEEN = 4
#: multiplications that a number written and read again costs
WRITTEN = 15
#: Letters of a formula.
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

_fresh = itertools.count(1)


class NotFactoredError(Exception):
    """An operation that is not done to factors."""


def fresh_axes(count: int) -> tuple[Axis, ...]:
    """Axes that nothing has yet."""
    return tuple(next(_fresh) for _ in range(count))


@dataclass(frozen=True)
class Factor:
    """An array, and which axes its axes are; the name of the isometry that it is, if it keeps norms of what it is multiplied with
    while it gives it its last axis."""

    array: jax.Array
    axes: tuple[Axis, ...]
    isometry: str = ""


@dataclass(frozen=True)
class Term:
    """The product of some factors, summed over the axes that are neither the examples' nor among ``axes``."""

    factors: tuple[Factor, ...]
    axes: tuple[Axis, ...]
    shape: tuple[int, ...]

    def times(self, array: jax.Array, places: Sequence[int]) -> Term:
        """Multiplied by an array whose axes are the result's at these places."""
        kept = [i for i, place in enumerate(places) if array.shape[i] == self.shape[place] and array.shape[i] != 1]
        squeezed = array.reshape([array.shape[i] for i in kept])
        return replace(self, factors=(*self.factors, Factor(squeezed, tuple(self.axes[places[i]] for i in kept))))

    def masked(self, condition: jax.Array, places: Sequence[int]) -> Term:
        """Zero where a condition does not hold, also where a factor without the examples is infinite there."""
        mask = self.times(condition, places).factors[-1]
        shared = [f for f in self.factors if EXAMPLES not in f.axes]
        kept = tuple(f for f in self.factors if EXAMPLES in f.axes)
        axes = tuple(dict.fromkeys(a for f in (*shared, mask) for a in f.axes))
        ones = jnp.ones((), self.factors[0].array.dtype)
        whole = math.prod((_spread(f, axes) for f in shared), start=ones)
        return replace(self, factors=(*kept, Factor(jnp.where(_spread(mask, axes), whole, 0), axes)))

    def summed(self, places: Sequence[int]) -> Term:
        """Summed over the result's axes at these places: the factors that have them become one."""
        gone = {self.axes[place] for place in places}
        left = [i for i in range(len(self.axes)) if i not in places]
        have = [f for f in self.factors if gone & set(f.axes)]
        rest = [f for f in self.factors if not gone & set(f.axes)]
        alone = gone - {a for f in have for a in f.axes}
        repeated = math.prod(self.shape[place] for place in places if self.axes[place] in alone)
        if have:
            others = {a for f in rest for a in f.axes} | {self.axes[i] for i in left} | {EXAMPLES}
            axes = tuple(dict.fromkeys(a for f in have for a in f.axes if a not in gone and a in others))
            rest.append(Factor(product(have, axes), axes))
        if repeated > 1:
            rest.append(Factor(jnp.asarray(float(repeated)), ()))
        return Term(tuple(rest), tuple(self.axes[i] for i in left), tuple(self.shape[i] for i in left))

    def moved(self, order: Sequence[int]) -> Term:
        """The result's axes in another order."""
        return replace(self, axes=tuple(self.axes[i] for i in order), shape=tuple(self.shape[i] for i in order))

    def repeated(self, shape: tuple[int, ...], places: Sequence[int]) -> Term:
        """The same numbers along new axes; the old ones are at these places."""
        axes = list(fresh_axes(len(shape)))
        for own, place in enumerate(places):
            if self.shape[own] == shape[place]:
                axes[place] = self.axes[own]
        return Term(self.factors, tuple(axes), shape)

    def cut(self, index: Sequence[slice]) -> Term:
        """A slice of the result."""
        term = self
        for place, piece in enumerate(index):  # the last axes may be left out
            lengths = len(range(*piece.indices(self.shape[place])))
            if lengths == self.shape[place] and piece.step in (None, 1):
                continue
            old, (new,) = term.axes[place], fresh_axes(1)
            factors = tuple(_sliced(f, old, new, piece) for f in term.factors)
            axes, shape = list(term.axes), list(term.shape)
            axes[place], shape[place] = new, lengths
            term = Term(factors, tuple(axes), tuple(shape))
        return term

    def padded(self, config: Sequence[tuple[int, int, int]]) -> Term:
        """With so many zeros before and after along every axis; fewer than none cuts."""
        if any(inside for _, _, inside in config):
            raise NotFactoredError("it pads between numbers")
        spans = zip(self.shape, config)
        term = self.cut([slice(max(-low, 0), length - max(-high, 0)) for length, (low, high, _) in spans])
        for place, (low, high, _) in enumerate(config):
            if max(low, high) > 0:
                term = term._extended(place, max(low, 0), max(high, 0))
        return term

    def _extended(self, place: int, low: int, high: int) -> Term:
        """With zeros before and after along one axis."""
        axes, shape, factors = list(self.axes), list(self.shape), self.factors
        old, (new,) = axes[place], fresh_axes(1)
        if not any(old in f.axes for f in factors):
            factors = (*factors, Factor(jnp.ones(shape[place]), (old,)))
        axes[place], shape[place] = new, shape[place] + low + high
        return Term(tuple(_extended(f, old, new, low, high) for f in factors), tuple(axes), tuple(shape))


def _spread(factor: Factor, axes: Sequence[Axis]) -> jax.Array:
    """Its array with these axes, of length one where it has none."""
    order = [factor.axes.index(a) for a in axes if a in factor.axes]
    lengths = iter(factor.array.shape[i] for i in order)
    return jnp.transpose(factor.array, order).reshape([next(lengths) if a in factor.axes else 1 for a in axes])


def runs_of(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The shortest runs of neighbouring axes of both shapes (whose lengths are not 1) that hold the same numbers."""
    runs: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old):
        left, right, a, b = [i], [j], old[i], new[j]
        while a != b:
            if a < b:
                left.append(left[-1] + 1)
                a *= old[left[-1]]
            else:
                right.append(right[-1] + 1)
                b *= new[right[-1]]
        i, j = left[-1] + 1, right[-1] + 1
        runs.append((left, right))
    return runs


def regrouped(factor: Factor, before: dict[Axis, int], after: tuple[Axis, ...], lengths: tuple[int, ...]) -> Factor:
    """A factor in which some neighbouring axes, of these lengths, are others."""
    mine = [a for a in before if a in factor.axes]
    if not mine:
        return factor
    if len(mine) < len(before) and EXAMPLES in factor.axes:
        raise NotFactoredError("it merges or splits axes of several factors")
    rest = [i for i, a in enumerate(factor.axes) if a not in before]
    array = jnp.transpose(factor.array, [*rest, *(factor.axes.index(a) for a in mine)])
    kept = array.shape[: len(rest)]
    array = array.reshape(*kept, *(length if a in mine else 1 for a, length in before.items()))
    array = jnp.broadcast_to(array, (*kept, *before.values())).reshape(*kept, *lengths)
    return Factor(array, (*(factor.axes[i] for i in rest), *after))


def _sliced(factor: Factor, old: Axis, new: Axis, piece: slice) -> Factor:
    """A factor cut along one axis."""
    if old not in factor.axes:
        return factor
    place = factor.axes.index(old)
    index = (slice(None),) * place + (piece,)
    return Factor(factor.array[index], tuple(new if a == old else a for a in factor.axes))


def _extended(factor: Factor, old: Axis, new: Axis, low: int, high: int) -> Factor:
    """A factor with zeros before and after along one axis."""
    if old not in factor.axes:
        return factor
    place = factor.axes.index(old)
    widths = [(low, high) if i == place else (0, 0) for i in range(len(factor.axes))]
    return Factor(jnp.pad(factor.array, widths), tuple(new if a == old else a for a in factor.axes))


def product(factors: Sequence[Factor], axes: Sequence[Axis]) -> jax.Array:
    """The product of some factors, summed over all axes but these (which some factor has), two factors at a time.

    Factors with the same axes are multiplied entry by entry, and an axis that one alone has is summed: batches of products of
    vectors, which a CPU is slow at, become sums. Of what is left the pair goes first with which all takes the fewest
    multiplications, where a number written counts as several; of many factors, the pair that takes the fewest itself.
    """
    left = _simplified(factors, axes)
    while len(left) > 1:
        best = _first([dict(zip(f.axes, f.array.shape)) for f in left], frozenset(axes))
        made = Factor(_einsum([left[best.one], left[best.two]], best.axes), best.axes)
        left = _simplified([*(f for k, f in enumerate(left) if k not in (best.one, best.two)), made], axes)
    return _einsum(left, [a for a in axes if a in left[0].axes])


class _Pair(NamedTuple):
    """Two factors that might be multiplied next: what all takes then, in multiplications, and the product's axes."""

    one: int
    two: int
    cost: int
    axes: tuple[Axis, ...]


def _first(sizes: Sequence[dict[Axis, int]], axes: frozenset[Axis]) -> _Pair:
    """Of factors with these axes, so long; an axis that nothing else needs is summed."""
    plans = []
    for i, j in itertools.combinations(range(len(sizes)), 2):
        lengths, others = sizes[i] | sizes[j], [own for k, own in enumerate(sizes) if k not in (i, j)]
        kept = {a: n for a, n in lengths.items() if a in axes or any(a in own for own in others)}
        cost = math.prod(lengths.values()) + WRITTEN * math.prod(kept.values())
        if others and len(sizes) <= FORESEEN:
            cost += _first([*others, kept], axes).cost
        plans.append(_Pair(i, j, cost, tuple(kept)))
    return min(plans, key=lambda plan: plan.cost)


def _simplified(factors: Sequence[Factor], axes: Sequence[Axis]) -> list[Factor]:
    """Factors of the same axes multiplied; axes that one alone has summed."""
    found: dict[frozenset[Axis], Factor] = {}
    for factor in factors:
        key = frozenset(factor.axes)
        if key in found:
            other = found[key]
            order = [factor.axes.index(a) for a in other.axes]
            found[key] = Factor(_wide(other.array) * _wide(jnp.transpose(factor.array, order)), other.axes)
        else:
            found[key] = factor
    seen = [a for f in found.values() for a in f.axes]
    alone = {a for a in seen if seen.count(a) == 1 and a not in axes}
    if not alone:
        return list(found.values())
    summed = []
    for factor in found.values():
        gone = tuple(i for i, a in enumerate(factor.axes) if a in alone)
        summed.append(
            Factor(jnp.sum(_wide(factor.array), axis=gone), tuple(a for a in factor.axes if a not in alone))
            if gone
            else factor
        )
    return _simplified(summed, axes)


def _along(factor: Factor, axes: Sequence[Axis]) -> jax.Array:
    """The array of a factor with axes of length one where it has not all of these."""
    turned = jnp.transpose(factor.array, [factor.axes.index(a) for a in axes if a in factor.axes])
    lengths = dict(zip(factor.axes, factor.array.shape))
    return turned.reshape([lengths.get(a, 1) for a in axes])


def _wide(array: jax.Array) -> jax.Array:
    return at_least_float32(array) if jnp.issubdtype(array.dtype, jnp.inexact) else array


def _einsum(factors: Sequence[Factor], axes: Sequence[Axis]) -> jax.Array:
    """One or two factors, summed over all axes but these; matrices times vectors as sums, which XLA compiles in less time."""
    *some, large = sorted(factors, key=lambda factor: len(factor.axes))
    if some and set(some[0].axes) <= set(large.axes):
        scaled = _wide(large.array) * _wide(_along(some[0], large.axes))
        factors = [
            Factor(
                jnp.sum(scaled, axis=tuple(i for i, a in enumerate(large.axes) if a not in axes)),
                tuple(a for a in large.axes if a in axes),
            )
        ]
    letters = dict(zip(dict.fromkeys(a for f in factors for a in f.axes), _LETTERS))
    inputs = ",".join("".join(letters[a] for a in f.axes) for f in factors)
    wide = jnp.promote_types(jnp.result_type(*(f.array for f in factors)), jnp.float32)
    formula = f"{inputs}->{''.join(letters[a] for a in axes)}"
    return jnp.einsum(formula, *(f.array for f in factors), preferred_element_type=wide)


def _without_isometries(left: Sequence[Factor], right: Sequence[Factor]) -> list[Factor]:
    """Q x and Q y have the inner product of x and y: of factors of two terms, those are left out that are one isometry."""
    for one, two in itertools.product(left, right):
        if not one.isometry or one.isometry != two.isometry or one.axes[-1] != two.axes[-1]:
            continue
        rest = [f for f in left if f is not one], [f for f in right if f is not two]
        if not any(one.axes[-1] in f.axes for f in (*rest[0], *rest[1])):
            same = dict(zip(two.axes, one.axes))
            return _without_isometries(
                rest[0], [replace(f, axes=tuple(same.get(a, a) for a in f.axes)) for f in rest[1]]
            )
    return [*left, *right]


def inner(left: Term, right: Term) -> jax.Array:
    """Of every example, the sum over the result's axes of the products of two terms."""
    common = dict(zip(right.axes, left.axes))
    own = {a for f in right.factors for a in f.axes if a not in common and a != EXAMPLES}
    common.update(zip(own, fresh_axes(len(own))))
    moved = [replace(f, axes=tuple(common.get(a, a) for a in f.axes)) for f in right.factors]
    there = {a for f in (*left.factors, *moved) for a in f.axes}
    repeated = math.prod(length for a, length in zip(left.axes, left.shape) if a not in there)
    return repeated * product(_without_isometries(left.factors, moved), (EXAMPLES,))


class Norms(NamedTuple):
    """(examples,) squared norms of sums of terms, and what they are sums of in absolute value: what is lost where it cancels."""

    norms: jax.Array
    sizes: jax.Array
