"""The same in floating point, for networks of real size: products of one depth and factor are one matrix product.

The functions take the array library, NumPy or jax.numpy: nothing else differs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from linvar.symbolic.traces.derivation import Formula
from linvar.symbolic.traces.network import ERROR, Network
from linvar.symbolic.traces.route import Route

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: of NumPy or JAX
Array: TypeAlias = Any


#: products of one depth that have rows of one layer and columns of another are one stack
Stack: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True)
class _Group:
    """Products of one depth with one factor: rows of a stack of the depth before, times the factor."""

    source: Stack | None
    rows: NDArray[np.int32]
    factor: str


@dataclass(frozen=True)
class Program:
    """A formula at some widths as arrays of indices, made once.

    Attributes:
        formula: its terms.
        route: the traces of its words.
    """

    formula: Formula
    route: Route

    @property
    def network(self) -> Network:
        """Of the formula."""
        return self.route.network

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Of the table: powers of u, then those of every rate."""
        highest = [max(column, default=0) for column in zip(*((power, *powers) for power, powers in self.formula))]
        return tuple(k + 1 for k in highest) if highest else (1,) * (1 + len(self.network.powers()))

    @cached_property
    def _terms(self) -> tuple[NDArray[np.float64], NDArray[np.int32], list[int]]:
        """Coefficients, the places of their traces (0 for none), and where each entry of the table begins."""
        place = {word: i + 1 for i, word in enumerate(self._order)}
        products = [words for terms in self.formula.values() for words in terms]
        longest = max(map(len, products), default=1)
        rows = [[place[word] for word in words] + [0] * (longest - len(words)) for words in products]
        numbers = [float(c) for terms in self.formula.values() for c in terms.values()]
        starts = np.cumsum([0, *map(len, self.formula.values())]).tolist()
        return np.array(numbers), np.array(rows, np.int32).reshape(len(products), longest), starts

    @cached_property
    def _order(self) -> list[str]:
        """Words, as ``traces`` gives them: powers of Sigma, factors, then those of each group."""
        route = self.route
        return [*route.powers, *route.alone, *(word for _, _, words in self._ends for word in words)]

    @cached_property
    def _stacks(self) -> tuple[dict[Stack, list[_Group]], dict[int, tuple[Stack, int]]]:
        """The groups whose products are each stack, one after the other; and the stack and row of each node."""
        members: dict[Stack, dict[tuple[Stack | None, str], list[int]]] = defaultdict(lambda: defaultdict(list))
        stack_of: dict[int, Stack] = {}
        nodes, spaces = self.route.nodes, self.route.spaces
        for i, node in enumerate(nodes):
            source = None if node.before is None else stack_of[node.before]
            start = spaces[node.factor[0]][0] if source is None else source[1]
            stack_of[i] = node.depth, start, spaces[node.factor[-1]][1]
            members[stack_of[i]][source, node.factor].append(i)
        places: dict[int, tuple[Stack, int]] = {}
        stacks: dict[Stack, list[_Group]] = {}
        for stack, groups in sorted(members.items()):
            order = [i for found in groups.values() for i in found]
            places |= {i: (stack, row) for row, i in enumerate(order)}
            stacks[stack] = []
            for (source, factor), found in groups.items():
                before = [nodes[i].before for i in found]
                rows = [0 if j is None else places[j][1] for j in before]
                stacks[stack].append(_Group(source, np.array(rows, np.int32), factor))
        return stacks, places

    @cached_property
    def _ends(self) -> list[tuple[Stack, str, dict[str, int]]]:
        """Stack, factor, and words with their rows."""
        found: dict[tuple[Stack, str], dict[str, int]] = defaultdict(dict)
        places = self._stacks[1]
        for word, (node, factor) in self.route.ends.items():
            stack, row = places[node]
            found[stack, factor][word] = row
        return [(stack, factor, words) for (stack, factor), words in found.items()]

    def traces(self, factors: dict[str, Array], sigma: Array | None, like: Any, xp: ModuleType) -> Array:
        """1, then the traces of the words, of dtype ``like``, shape (1 + words,)."""
        stacks: dict[Stack, Array] = {}

        def made(group: _Group) -> Array:
            factor = factors[group.factor]
            if group.source is None:
                return factor[None]
            taken = xp.take(stacks[group.source], group.rows, 0, mode="clip")
            return (taken.reshape(-1, taken.shape[-1]) @ factor).reshape(*taken.shape[:-1], factor.shape[-1])

        for stack, groups in self._stacks[0].items():
            stacks[stack] = xp.concatenate([made(group) for group in groups])
        found = [xp.ones(1, like)]
        powers = (_trace_of_power(sigma, k, self.route.widths[0], xp) for k in self.route.powers.values())
        found += [xp.reshape(power, 1).astype(like) for power in powers]
        found += [xp.reshape(xp.trace(factors[factor]), 1) for factor in self.route.alone.values()]
        for stack, factor, words in self._ends:
            rows = np.fromiter(words.values(), np.int32)
            found.append(xp.sum(xp.take(stacks[stack], rows, 0, mode="clip") * factors[factor].T, axis=(1, 2)))
        return xp.concatenate(found)

    def table(self, traces: Array, xp: ModuleType) -> tuple[Array, Array]:
        """The coefficients of the powers of u and of the rates, and the sums of the absolute values of their terms."""
        numbers, rows, starts = self._terms
        terms = xp.asarray(numbers, traces.dtype)
        for column in rows.T:
            terms = terms * xp.take(traces, column, mode="clip")
        parts = [terms[a:b] for a, b in zip(starts, starts[1:])]  # summed pairwise, each by itself
        places = np.array(
            [np.ravel_multi_index((power, *powers), self.shape) for power, powers in self.formula], np.int32
        )
        return self._filled([xp.sum(part) for part in parts], places, traces, xp), self._filled(
            [xp.sum(abs(part)) for part in parts], places, traces, xp
        )

    def _filled(self, values: list[Array], places: NDArray[np.int32], like: Array, xp: ModuleType) -> Array:
        """A table with these entries, the others zero."""
        zero = xp.zeros(1, like.dtype)
        row = xp.concatenate([zero, *(xp.reshape(value, 1) for value in values)])
        order = np.zeros(int(np.prod(self.shape)), np.int32)
        order[places] = np.arange(1, len(values) + 1)
        return row[order].reshape(self.shape)


def factors_of(
    route: Route, weights: Sequence[Array], teacher: Array, sigma: Array | None, noise: Array, xp: ModuleType
) -> dict[str, Array]:
    """The matrices of a route's factors; ``sigma`` is None where it is the identity."""
    whole = weights[0]
    for weight in weights[1:]:
        whole = weight @ whole
    plain = dict(zip(route.network.layers, weights)) | {ERROR: whole - teacher}
    plain |= {letter.lower(): matrix.T for letter, matrix in plain.items()}
    after: dict[str, Array] = {}

    def followed(letters: str) -> Array:
        """X Sigma^{k+1}, by X Z^k."""
        if letters not in after:
            before = followed(letters[:-1]) if len(letters) > 1 else plain[letters]
            after[letters] = before if sigma is None else before @ sigma
        return after[letters]

    found = {}
    for factor in route.factors:
        found[factor] = plain[factor] if len(factor) == 1 else followed(factor[:-1]) @ plain[factor[-1]]
        if factor == ERROR + ERROR.lower():
            found[factor] = found[factor] + noise * xp.eye(len(teacher), dtype=found[factor].dtype)
    return found


def _trace_of_power(sigma: Array | None, k: int, width: int, xp: ModuleType) -> Array:
    """tr Sigma^k."""
    if sigma is None or k == 0:
        return xp.asarray(width)
    half = xp.linalg.matrix_power(sigma, k // 2) if k > 1 else None
    return xp.trace(sigma) if half is None else xp.sum(half.T * (half if k % 2 == 0 else half @ sigma))
