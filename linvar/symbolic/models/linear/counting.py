"""How many monomials a form in the weights W_t has, counted before anything is expanded.

Numbers. A form of degree D in W_t is of degree j <= D in the batch of step t-1 and, for that j, of degree D + (2L-2) j in
W_{t-1}: each of the j factors that takes the gradient instead of the old weight brings 2L-1 weights in place of one. Counting
monomials of exactly these degrees gives

    N_s(D) = sum_{j=0..D} C(j + m_s - 1, j) N_{s-1}(D + (2L-2) j),        m_s variables at step s,

and N_{-1}(D) = 1. Variables that have a target in them (S_z of an input and a noise, or a target of data) come with L-1 weights
in place of one: with j' of them the degree is D + (2L-2) (j - j') + (L-2) j'. Where constants are mixed with what varies
(``steps``) the gradient has a part without variables, and every degree j <= D comes with all degrees up to (2L-1) D:
N_s(D) = C(D + m_s, m_s) N_{s-1}((2L-1) D). The count is reached by generic weights at t = 1 and for all widths 1, and is an upper
bound otherwise (2-2-2, t = 2: 74,634 counted, 73,753 reached).

Symbols. A form is counted by its degrees a_l in the weights of each layer, and by u, the number of its factors that are the map
to the target. With P of degree 1 in every layer and E = P X - Y, the gradient of layer l has the degree 2 in every other layer
and 1 in its own where E gives P, one less in every layer where E gives Y. So a step that puts the gradient in place of g_l of the
a_l factors of layer l, in v of them with Y, leads from

    (a_k), u    to    (a_k + 2 sum_{l != k} g_l - v),  u + v,        0 <= g_l <= a_l,   0 <= v <= sum_l g_l,

and brings sum_l g_l variables of the batch (so many at most where constants are mixed in) and learning rates. Degrees that are
reached have prod_l C(a_l + n_l - 1, a_l) monomials in n_l symbols of each layer. Sign flips of units and coordinates change no
answer: those of whole layers of units are in the degrees, each further one halves the number. For all widths 1 it is reached, and
otherwise, in batches and weights, about a third of it, since units and coordinates have degrees of their own: ``cost.toml`` has
the fraction, measured.
Where too many degrees would have to be gone through, all layers are counted as one: an estimate from above.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations_with_replacement, product
from math import comb, prod
from typing import Any

from linvar.exact import free_symbols
from linvar.problem import Problem
from linvar.symbolic.cost import costs
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.models.model import ENDLESS

#: sets of degrees that are gone through one by one; degrees and steps that are counted at all where symbols are
_MOST_STATES, _MOST_DEGREE, _MOST_STEPS = 20_000, 200, 40
#: degrees for which variables with a target and without are summed over one by one
_MOST_PAIRS = 60

#: degrees in the layers, and factors of the target
Degrees = tuple[tuple[int, ...], int]


@dataclass(frozen=True)
class Letters:
    """Where the symbols of a problem are.

    Attributes:
        layers: for each layer the number of symbols first met in it, and whether its entries are such, each its own, or zero.
        target: symbols of the map to the target that are in no weight.
        teacher: whether that map is not zero.
        law: further symbols of the law.
        rates: further symbols among the learning rates.
        rule: symbols of momentum and weight decay.
        flips: independent sign flips beyond those of whole layers.
    """

    layers: tuple[tuple[int, bool], ...]
    target: int
    teacher: bool
    law: int
    rates: int
    rule: int
    flips: int

    @property
    def inside(self) -> bool:
        """Whether weights or target have symbols."""
        return bool(self.target or any(count for count, _ in self.layers))

    @classmethod
    def of(cls, problem: Problem) -> Letters:
        """Those of a problem."""
        known: set[Any] = set()
        layers = []
        for matrix in problem.leaves:
            entries = [entry for row in matrix for entry in row if entry != 0]
            own = set(free_symbols(entries)) - known
            layers.append((len(own), set(entries) <= own and len(set(entries)) == len(entries)))
            known |= own
        target = [entry for row in exact_law(problem.law).target_map for entry in row]
        outside = set(free_symbols(target)) - known
        rule = set(free_symbols([problem.momentum, problem.weight_decay])) - known - outside
        rates = set(free_symbols(problem.distinct_learning_rates)) - known - outside - rule
        law = set(problem.law.symbols) - known - outside - rule - rates
        flips = _further_flips(problem) if any(count for count, _ in layers) else 0
        return cls(tuple(layers), len(outside), any(target), len(law), len(rates), len(rule), flips)


def gradient_products(problem: Problem, factors: int) -> list[Degrees]:
    """The degrees of products of so many entries of the mean gradient of a layer: 2 for the second moment."""
    layers = range(problem.depth)
    return [(tuple(factors * (1 if k == l else 2) - u for k in layers), u) for l in layers for u in range(factors + 1)]


def weight_products(problem: Problem, degree: int) -> list[tuple[Degrees, int]]:
    """The degrees of products of so many entries of the weights, and how many products have them."""
    counts = [len(matrix) * len(matrix[0]) for matrix in problem.leaves]
    found = []
    for chosen in combinations_with_replacement(range(problem.depth), degree):
        degrees = tuple(chosen.count(l) for l in range(problem.depth))
        found.append(((degrees, 0), prod(comb(n + a - 1, a) for n, a in zip(counts, degrees))))
    return found


def count_monomials(
    problem: Problem, variables: Sequence[int], central: Sequence[bool], starts: Sequence[Degrees]
) -> int:
    """Monomials in batch moments and symbols of the sum of some forms in W_t; ``ENDLESS`` and more may be counted as such.

    Args:
        problem: its depth, its learning rates and its symbols.
        variables, central: of every step; zeros where the batches are at their means.
        starts: the degrees of the forms, their sum the same for all up to factors of the target.
    """
    degree = max(sum(degrees) for degrees, _ in starts)
    letters = Letters.of(problem)
    if not problem.symbols:
        return _in_numbers(problem, variables, central, degree)
    if letters.inside:
        found = _resolved(problem, letters, variables, central, starts)
        if found is None:
            found = _together(problem, letters, variables, central, degree)
        if max(problem.widths) > 1 and any(variables) and all(count and own for count, own in letters.layers):
            found = int(found * costs().symbols.wide_fraction)
        found >>= letters.flips
    else:
        found = _in_numbers(problem, variables, central, degree)
        if not any(variables) or any(central):  # otherwise the degree in the batches is that in the rates
            found *= comb(_gradients(problem, degree) + letters.rates, letters.rates)
    # of the factors of each step about half may have the symbols of momentum (from step 1 on) or decay in any degree
    later = min(problem.step, _MOST_STEPS) - (problem.weight_decay == 0)
    of_rule: int = (1 + degree * max(0, later) // 2) ** letters.rule
    return max(1, found * comb(2 + letters.law, letters.law) * of_rule)


def answer_terms(problem: Problem, variables: Sequence[int]) -> int:
    """Terms of the second moment in 1/b and the symbols: 1/b comes from the last step and from those with variables."""
    steps, odd = len(variables), problem.degree - 1
    each = count_monomials(problem, [0] * steps, [False] * steps, gradient_products(problem, 2))
    powers: int = sum(2 * odd ** (steps - s) - 1 for s, width in enumerate(variables) if width)
    return min(ENDLESS, each * (2 + powers))


def _in_numbers(problem: Problem, variables: Sequence[int], central: Sequence[bool], degree: int) -> int:
    """The recursion of the module docstring for a form of this degree."""
    depth = problem.depth
    growth = 2 * depth - 2
    still = next((s for s, width in enumerate(variables) if width), len(variables))  # nothing random before
    with_target = [0 if mixed else _with_target(problem, width) for width, mixed in zip(variables, central)]

    @cache
    def count(degree: int, s: int) -> int:
        if s < still:
            return 1
        width, outer = variables[s], with_target[s]
        if s == still:
            return comb(degree + width, width)
        if central[s] or not width:
            return comb(degree + width, width) * count((growth + 1) * degree, s - 1)
        if outer and depth == 2:  # they add no degree: summed over
            return sum(
                _exactly(width - outer, j) * comb(degree - j + outer, outer) * count(degree + growth * j, s - 1)
                for j in range(degree + 1)
            )
        if outer and degree <= _MOST_PAIRS:
            return sum(
                _exactly(width - outer, j) * _exactly(outer, i) * count(degree + growth * j + (depth - 2) * i, s - 1)
                for j in range(degree + 1)
                for i in range(degree - j + 1)
            )
        return sum(_exactly(width, j) * count(degree + growth * j, s - 1) for j in range(degree + 1))

    return count(degree, len(variables) - 1)


def _with_target(problem: Problem, variables: int) -> int:
    """Of the variables of a step those that have a target in them, if they are the entries of S_z."""
    inputs, size = problem.widths[0], exact_law(problem.law).width
    outer = inputs * (size - inputs)
    return outer if variables == inputs * (inputs + 1) // 2 + outer else 0


def _gradients(problem: Problem, degree: int) -> int:
    """The most factors of gradients in a form of this degree in W_t."""
    odd, steps = problem.degree - 1, problem.step
    if odd == 1:
        return degree * steps
    return ENDLESS if steps > _MOST_STEPS else degree * (odd**steps - 1) // (odd - 1)


def _further_flips(problem: Problem) -> int:
    """Independent sign flips of single units and coordinates that leave every number in place, beside those of whole layers.

    Units joined by a weight that is no symbol of its own flip together: the parts of a graph.
    """
    widths = problem.widths
    starts = [sum(widths[:l]) for l in range(len(widths))]
    parts = list(range(sum(widths)))

    def join(i: int, j: int) -> None:
        first, second = parts[i], parts[j]
        parts[:] = [first if part == second else part for part in parts]

    matrices = [(matrix, starts[l + 1], starts[l]) for l, matrix in enumerate(problem.leaves)]
    mapped = exact_law(problem.law).flippable_map
    if mapped is not None:
        matrices.append((mapped, starts[-1], 0))
    else:  # the coordinates stay as they are
        for i in (*range(widths[0]), *range(starts[-1], sum(widths))):
            join(0, i)
    places: dict[Any, tuple[int, int]] = {}
    for matrix, to, source in matrices:
        for i, j in product(range(len(matrix)), range(len(matrix[0]))):
            entry, pair = matrix[i][j], (to + i, source + j)
            if entry != 0 and (free_symbols([entry]) != (entry,) or places.setdefault(entry, pair) != pair):
                join(*pair)
    layers = [list(range(start, start + width)) for start, width in zip(starts, widths)]
    alone = len(set(parts))
    for layer in layers:
        for i in layer:
            join(layer[0], i)
    return alone - len(set(parts))


def _resolved(
    problem: Problem, letters: Letters, variables: Sequence[int], central: Sequence[bool], starts: Sequence[Degrees]
) -> int | None:
    """The sum over all degrees that are reached; None if there are too many."""
    # degrees in the layers, factors of the target, degree in the batch of each step (the last one first), or in the rates
    batches = any(variables)
    first: tuple[int, ...] = () if batches else (0,)
    states = {(degrees, u, first) for degrees, u in starts if letters.teacher or not u}
    for s in reversed(range(len(variables))):
        if sum(prod(a + 1 for a in degrees) for degrees, _, _ in states) > _MOST_STATES:
            return None
        following: set[tuple[tuple[int, ...], int, tuple[int, ...]]] = set()
        for degrees, u, taken in states:
            for own in product(*(range(a + 1) for a in degrees)):
                g = sum(own)
                moved = [a + 2 * (g - mine) for a, mine in zip(degrees, own)]
                if batches:
                    orders = range(g + 1) if central[s] else range(g, g + 1)
                    degrees_so_far = [(*taken, order if variables[s] else 0) for order in orders]
                else:
                    degrees_so_far = [(taken[0] + (g if letters.rates else 0),)]
                for v, orders_taken in product(range(g + 1 if letters.teacher else 1), degrees_so_far):
                    following.add((tuple(a - v for a in moved), u + v, orders_taken))
        states = following
    grouped: dict[tuple[int, tuple[int, ...]], set[tuple[int, ...]]] = defaultdict(set)
    for degrees, u, taken in states:
        inside = tuple(a if count else 0 for a, (count, _) in zip(degrees, letters.layers))
        grouped[u if letters.target else 0, taken].add(inside)
    counts = list(reversed(variables)) if batches else [letters.rates]
    return sum(
        prod(map(_exactly, counts, taken)) * _exactly(letters.target, u) * _in_layers(letters, found)
        for (u, taken), found in grouped.items()
    )


def _in_layers(letters: Letters, found: set[tuple[int, ...]]) -> int:
    """Monomials in the weights' symbols; where numbers are among them, of all degrees up to the highest."""
    counts = [count for count, _ in letters.layers]
    if all(own for count, own in letters.layers if count):
        return sum(prod(map(_exactly, counts, degrees)) for degrees in found)
    return prod(comb(a + n, n) for n, a in zip(counts, map(max, zip(*found))))


def _exactly(count: int, degree: int) -> int:
    """Monomials of this very degree in so many symbols; 1 in none."""
    return comb(degree + count - 1, degree) if count else 1


def _together(
    problem: Problem, letters: Letters, variables: Sequence[int], central: Sequence[bool], degree: int
) -> int:
    """The same by the degree in all layers at once, the highest where the target takes some: an estimate from above."""
    depth, growth = problem.depth, problem.degree - 2
    if len(variables) > _MOST_STEPS or degree + growth * _gradients(problem, degree) > _MOST_DEGREE:
        return ENDLESS
    slots = sum(count for count, _ in letters.layers)
    own = all(own for _, own in letters.layers)  # then a form is homogeneous in weights and target

    def inside(degree: int, gradients: int) -> int:
        total = 0
        for u in range(min(gradients + 2, degree // depth) + 1 if letters.target else 1):
            rest = degree - depth * u
            total += (_exactly(slots, rest) if own else comb(rest + slots, slots)) * _exactly(letters.target, u)
        return total

    if not any(variables) and not letters.rates:
        most = _gradients(problem, degree)
        return sum(inside(degree + growth * g, g) for g in range(0 if own else most, most + 1))

    @cache
    def count(degree: int, gradients: int, s: int) -> int:
        if s < 0:
            return inside(degree, gradients)
        width = variables[s]
        ways = (comb(j + width, j) if central[s] else _exactly(width, j) for j in range(degree + 1))
        return sum(many * count(degree + growth * j, gradients + j, s - 1) for j, many in enumerate(ways))

    return min(ENDLESS, count(degree, 0, len(variables) - 1))


def kept_in_symbols(problem: Problem, order: int) -> tuple[int, int]:
    """Monomials in the symbols of a coefficient, and of all that is kept: moments of the weights up to order 2K, and answers."""
    if problem.step > _MOST_STEPS:
        return ENDLESS, ENDLESS

    def count(starts: list[Degrees]) -> int:
        return count_monomials(problem, [0] * problem.step, [False] * problem.step, starts)

    monomials = min(ENDLESS, count(gradient_products(problem, 2)))
    kept = 3 * monomials
    for degree in range(1, 2 * order + 1):
        kept += sum(many * count([start]) for start, many in weight_products(problem, degree)) if kept < ENDLESS else 0
    return monomials, kept
