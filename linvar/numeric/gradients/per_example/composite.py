"""Terms as the operations of a program see them: axes merged without being formed, zeros around them without being written.

The gradient of a matrix that was cut out of a vector and reshaped is a product h_a delta_b whose two axes are one axis of the
vector, between zeros. Here an axis of the result is a run of axes of a term (``factors.py``), the first the slowest, with so many
zeros before and after it; what is multiplied with it is cut and split instead. Only what cannot be done so forms it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp

from linvar.numeric.gradients.per_example.factors import (
    EXAMPLES,
    Axis,
    Factor,
    Norms,
    NotFactoredError,
    Term,
    fresh_axes,
    inner,
    product,
    regrouped,
    runs_of,
)


@dataclass(frozen=True)
class Run:
    """An axis of the result: so many axes of the term, and zeros before and after."""

    count: int = 1
    low: int = 0
    high: int = 0


#: Of an axis that is one of the term's.
WHOLE = Run()


class Part(NamedTuple):
    """An axis of the result: the axes of a term, their lengths, and the run that they are."""

    axes: tuple[Axis, ...]
    lengths: tuple[int, ...]
    run: Run


@dataclass(frozen=True)
class Seen:
    """A term, and which of its axes together are the axes of the result."""

    term: Term
    runs: tuple[Run, ...]

    @classmethod
    def of(cls, term: Term) -> Seen:
        """As it is."""
        return cls(term, (WHOLE,) * len(term.axes))

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the result."""
        return tuple(run.low + math.prod(self.lengths(place)) + run.high for place, run in enumerate(self.runs))

    def places(self, place: int) -> range:
        """The term's axes that an axis of the result is."""
        start = sum(run.count for run in self.runs[:place])
        return range(start, start + self.runs[place].count)

    def lengths(self, place: int) -> tuple[int, ...]:
        """Of these."""
        return tuple(self.term.shape[i] for i in self.places(place))

    def part(self, place: int) -> Part:
        """An axis of the result."""
        return Part(tuple(self.term.axes[i] for i in self.places(place)), self.lengths(place), self.runs[place])

    def split(self, array: jax.Array, places: Sequence[int]) -> tuple[jax.Array, list[int]]:
        """An array whose first axes are the result's at these places, cut and split into the term's; and their places."""
        shape: list[int] = []
        own: list[int] = []
        index: list[slice] = []
        for length, place in zip(array.shape, places):
            run, lengths = self.runs[place], self.lengths(place)
            whole = length == self.shape[place]
            index.append(slice(run.low, length - run.high) if whole else slice(None))
            shape += lengths if whole else [1] * len(lengths)
            own += self.places(place)
        return array[tuple(index)].reshape(*shape, *array.shape[len(places) :]), own

    def times(self, array: jax.Array, places: Sequence[int]) -> Seen:
        """Multiplied by an array whose axes are the result's at these places."""
        return replace(self, term=self.term.times(*self.split(array, places)))

    def masked(self, condition: jax.Array, places: Sequence[int]) -> Seen:
        """Zero where a condition does not hold."""
        return replace(self, term=self.term.masked(*self.split(condition, places)))

    def summed(self, places: Sequence[int]) -> Seen:
        """Summed over axes of the result."""
        left = tuple(run for place, run in enumerate(self.runs) if place not in places)
        return Seen(self.term.summed([i for place in places for i in self.places(place)]), left)

    def moved(self, order: Sequence[int]) -> Seen:
        """The result's axes in another order."""
        own = [i for place in order for i in self.places(place)]
        return Seen(self.term.moved(own), tuple(self.runs[place] for place in order))

    def repeated(self, shape: tuple[int, ...], places: Sequence[int]) -> Seen:
        """The same numbers along new axes; the old ones are at these places."""
        own = dict(zip(places, range(len(places))))
        kept = {place: i for place, i in own.items() if shape[place] == self.shape[i]}
        seen = self._alone([i for place, i in own.items() if place not in kept])
        lengths = [seen.lengths(kept[place]) if place in kept else (n,) for place, n in enumerate(shape)]
        starts = list(itertools.accumulate([0, *map(len, lengths)]))
        fine = [starts[place] + i for place in places for i in range(seen.runs[own[place]].count)]
        runs = tuple(seen.runs[kept[place]] if place in kept else WHOLE for place in range(len(shape)))
        return Seen(seen.term.repeated(tuple(itertools.chain(*lengths)), fine), runs)

    def reshaped(self, shape: tuple[int, ...]) -> Seen:
        """In another shape: axes are split, and merged into runs."""
        long, wanted = ([i for i, n in enumerate(some) if n != 1] for some in (self.shape, shape))
        seen, found = self, dict[int, Part]()
        for old, new in runs_of([self.shape[i] for i in long], [shape[i] for i in wanted]):
            before, after = [long[i] for i in old], [wanted[i] for i in new]
            if len(before) == len(after) == 1:
                found[after[0]] = seen.part(before[0])
                continue
            seen = seen._alone([place for place in before if seen.runs[place].low or seen.runs[place].high])
            own = {seen.term.axes[i]: seen.term.shape[i] for place in before for i in seen.places(place)}
            factors, pieces = _regrouped(seen.term, own, [shape[i] for i in after])
            seen = replace(seen, term=replace(seen.term, factors=factors))
            for place, mine in zip(after, pieces):
                found[place] = Part(tuple(mine), tuple(mine.values()), Run(len(mine)))
        parts = [found[i] if i in found else Part(fresh_axes(1), (1,), WHOLE) for i in range(len(shape))]
        return joined(seen.term.factors, parts)

    def cut(self, index: Sequence[slice]) -> Seen:
        """A slice of the result."""
        seen, whole = self, tuple(index) + (slice(None),) * (len(self.runs) - len(index))
        for place, piece in enumerate(whole):
            run, length = seen.runs[place], seen.shape[place]
            start, stop, step = piece.indices(length)
            if (start, stop, step) == (0, length, 1):
                continue
            low, high = run.low - start, run.high - (length - stop)
            if step == 1 and low >= 0 and high >= 0:
                seen = seen._with(place, replace(run, low=low, high=high))
            else:
                seen = seen._alone([place])
                inside: list[slice] = [slice(None)] * len(seen.term.axes)
                inside[seen.places(place)[0]] = piece
                seen = replace(seen, term=seen.term.cut(inside))
        return seen

    def padded(self, config: Sequence[tuple[int, int, int]]) -> Seen:
        """With so many zeros before and after along every axis; fewer than none cuts."""
        if any(inside for _, _, inside in config):
            raise NotFactoredError("it pads between numbers")
        spans = zip(self.shape, config)
        seen = self.cut([slice(max(-low, 0), length - max(-high, 0)) for length, (low, high, _) in spans])
        for place, (low, high, _) in enumerate(config):
            run = seen.runs[place]
            seen = seen._with(place, replace(run, low=run.low + max(low, 0), high=run.high + max(high, 0)))
        return seen

    def through(self, place: int, matrix: jax.Array) -> Seen:
        """An axis of the result times a matrix, its length times another."""
        array, own = self.split(matrix, [place])
        (new,) = fresh_axes(1)
        parts = [self.part(i) for i in range(len(self.runs))]
        after = [*parts[:place], Part((new,), matrix.shape[1:], WHOLE), *parts[place + 1 :], parts[place]]
        factor = Factor(array, (*(self.term.axes[i] for i in own), new))
        return joined((*self.term.factors, factor), after).summed([len(parts)])

    def reversed(self, places: Sequence[int]) -> Seen:
        """Axes of the result the other way round."""
        seen = self
        for place in places:
            run = seen.runs[place]
            turned = [
                slice(None, None, -1) if i in seen.places(place) else slice(None) for i in range(len(seen.term.axes))
            ]
            seen = replace(seen, term=seen.term.cut(turned))._with(place, replace(run, low=run.high, high=run.low))
        return seen

    def axis(self, place: int) -> tuple[Seen, Axis]:
        """The same with an axis of the result that is one of the term's, all of it; and that."""
        seen = self._alone([place])
        return seen, seen.term.axes[seen.places(place)[0]]

    def _with(self, place: int, run: Run) -> Seen:
        return replace(self, runs=(*self.runs[:place], run, *self.runs[place + 1 :]))

    def _alone(self, places: Sequence[int]) -> Seen:
        """Axes of the result as one axis of the term each, formed, and their zeros written.

        Raises:
            NotFactoredError: they are axes of several factors.
        """
        seen = self
        for place in places:
            run = seen.runs[place]
            if run == WHOLE:
                continue
            own, shape, axes = seen.places(place), list(seen.term.shape), list(seen.term.axes)
            before = {seen.term.axes[i]: seen.term.shape[i] for i in own}
            length = math.prod(seen.lengths(place))
            (made,) = fresh_axes(1)
            factors = tuple(regrouped(f, before, (made,), (length,)) for f in seen.term.factors)
            shape[own.start : own.stop], axes[own.start : own.stop] = [length], [made]
            config = [(0, 0, 0)] * len(shape)
            config[own.start] = (run.low, run.high, 0)
            term = Term(factors, tuple(axes), tuple(shape)).padded(config)
            seen = Seen(term, (*seen.runs[:place], WHOLE, *seen.runs[place + 1 :]))
        return seen

    def finer(self, place: int, lengths: Sequence[int]) -> Seen:
        """An axis of the result as axes of the term that are so long."""
        own = self.places(place)
        before = {self.term.axes[i]: self.term.shape[i] for i in own}
        factors, pieces = _regrouped(self.term, before, lengths)
        axes, shape = list(self.term.axes), list(self.term.shape)
        axes[own.start : own.stop] = [a for piece in pieces for a in piece]
        shape[own.start : own.stop] = [n for piece in pieces for n in piece.values()]
        count = sum(map(len, pieces))
        return replace(self, term=Term(factors, tuple(axes), tuple(shape)))._with(
            place, replace(self.runs[place], count=count)
        )


def joined(factors: Sequence[Factor], parts: Sequence[Part]) -> Seen:
    """The product of some factors, with these axes."""
    axes = tuple(a for part in parts for a in part.axes)
    lengths = tuple(n for part in parts for n in part.lengths)
    return Seen(Term(tuple(factors), axes, lengths), tuple(part.run for part in parts))


def _regrouped(
    term: Term, own: dict[Axis, int], lengths: Sequence[int]
) -> tuple[tuple[Factor, ...], list[dict[Axis, int]]]:
    """Neighbouring axes as runs that are so long each: an axis that reaches over an end is split there."""
    own = {a: n for a, n in own.items() if n > 1}
    before, after = _ends(list(own.values())), _ends(lengths)
    ends = sorted({*before, *after})
    factors = term.factors
    if any(b % a for a, b in itertools.pairwise(ends)):
        made = fresh_axes(len(lengths))
        factors = tuple(regrouped(f, own, made, tuple(lengths)) for f in factors)
        return factors, [{a: n} for a, n in zip(made, lengths)]
    fine: dict[int, tuple[Axis, int]] = {}  # by where it starts
    for axis, (start, end) in zip(own, itertools.pairwise(before)):
        inside = [x for x in ends if start <= x <= end]
        parts = tuple(b // a for a, b in itertools.pairwise(inside))
        made = (axis,) if len(parts) == 1 else fresh_axes(len(parts))
        if len(parts) > 1:
            factors = tuple(regrouped(f, {axis: own[axis]}, made, parts) for f in factors)
        fine.update(zip(inside, zip(made, parts)))
    return factors, [dict(pair for at, pair in fine.items() if a <= at < b) for a, b in itertools.pairwise(after)]


def _ends(lengths: Sequence[int]) -> list[int]:
    """How many places of the slower axes there are before each axis, and in all."""
    return list(itertools.accumulate([1, *lengths], lambda x, y: x * y))


def aligned(left: Seen, right: Seen) -> tuple[Term, Term] | None:
    """Two terms of one value with the same axes; None if one is zero wherever the other is not."""
    for place in range(len(left.runs)):
        one, two = left.runs[place], right.runs[place]
        if (one.low, one.high) != (two.low, two.high):
            start, stop = max(one.low, two.low), left.shape[place] - max(one.high, two.high)
            if start >= stop:
                return None
            piece = [slice(None)] * place + [slice(start, stop)]
            left, right = left.cut(piece), right.cut(piece)
        if left.lengths(place) != right.lengths(place):
            ends = sorted({*_ends(left.lengths(place)), *_ends(right.lengths(place))})
            lengths = [b // a for a, b in itertools.pairwise(ends)]
            if math.prod(lengths) != ends[-1]:
                raise NotFactoredError("axes of several factors are merged in different ways")
            left, right = left.finer(place, lengths), right.finer(place, lengths)
    return left.term, right.term


def added(terms: Sequence[Seen]) -> tuple[Seen, ...]:
    """A sum of terms: those one of whose factors is as large as all of it already are added number by number."""
    result: list[Seen] = []
    formed: dict[tuple[tuple[Run, ...], tuple[int, ...]], list[Term]] = {}
    for seen in terms:
        if any(_covers(f, seen.term) for f in seen.term.factors):
            formed.setdefault((seen.runs, seen.term.shape), []).append(seen.term)
        else:
            result.append(seen)
    for (runs, shape), own in formed.items():
        term = own[0]
        if len(own) > 1:
            axes = fresh_axes(len(shape))
            total = sum(_formed(each) for each in own)
            term = Term((Factor(jnp.asarray(total), (EXAMPLES, *axes)),), axes, shape)
        result.append(Seen(term, runs))
    return tuple(result)


def _covers(factor: Factor, term: Term) -> bool:
    """Has a factor of the examples all axes of the result?"""
    return EXAMPLES in factor.axes and all(a in factor.axes for a, n in zip(term.axes, term.shape) if n > 1)


def _formed(term: Term) -> jax.Array:
    """(examples, *shape)."""
    array = product(term.factors, (EXAMPLES, *(a for a, n in zip(term.axes, term.shape) if n > 1)))
    return array.reshape(-1, *term.shape)


def norms_of(terms: Sequence[Seen]) -> Norms:
    """(examples,) of the sum of some terms, at least one."""
    pairs = [(1, inner(seen.term, seen.term)) for seen in terms]
    for a, b in itertools.combinations(terms, 2):
        both = aligned(a, b)
        pairs += [] if both is None else [(2, inner(*both))]
    return Norms(
        jnp.asarray(sum(times * each for times, each in pairs)),
        jnp.asarray(sum(times * jnp.abs(each) for times, each in pairs)),
    )
