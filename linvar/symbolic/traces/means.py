"""The mean gradient entry by entry: sums of matrices of open words.

Read from the left every letter that ends at the inputs is followed by Sigma (``route``), and where E^T follows E label noise adds
v times what stands before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import mul

from linvar import matrices
from linvar.exact import Matrix
from linvar.matrices import Rows
from linvar.problem import Problem
from linvar.symbolic.algebra.ring import Element, Ring
from linvar.symbolic.laws.wishart import Wishart
from linvar.symbolic.traces.exact import SymbolicLetters, traces
from linvar.symbolic.traces.network import COVARIANCE, ERROR
from linvar.symbolic.traces.route import Route
from linvar.symbolic.traces.statement import derivation_of, statement_of


def mean_gradients(
    problem: Problem, weights: Sequence[Matrix], law: Wishart, ring: Ring
) -> list[list[list[list[Element]]]]:
    """E G_l of every layer, [l][row][column]: the coefficients of 1, 1/b, ... in a ring with the problem's symbols."""
    statement = statement_of(problem, "squared_mean", law.white)
    derivation = derivation_of(statement)
    opened = [derivation.opened(l) for l in range(problem.depth)]
    closed = sorted(
        {word for words in opened for terms in words.values() for _, product, _ in terms for word in product}
    )
    network, widths = statement.network, problem.widths
    values = traces(Route(network, widths, tuple(closed)), weights, law, ring)
    products = _Products(SymbolicLetters(Route(network, widths, ()), weights, law, ring))
    rate = ring.lift(problem.learning_rates[0]) if problem.step else ring.zero
    found = []
    for l, words in enumerate(opened):
        rows, columns = len(weights[l]), len(weights[l][0])
        size = 1 + max((power for terms in words.values() for power, _, _ in terms), default=0)
        entries = [[[ring.zero] * size for _ in range(columns)] for _ in range(rows)]
        for word, terms in words.items():
            matrix = products.of(word)
            for (power, product, powers), c in terms.items():
                factor = reduce(mul, (values[one] for one in product), ring.lift(c) * rate ** powers[0])
                for row, given in zip(entries, matrix):
                    for entry, x in zip(row, given):
                        entry[power] = entry[power] + factor * x
        found.append(entries)
    return found


class _Products:
    """Matrices of open words, by prefix."""

    def __init__(self, letters: SymbolicLetters) -> None:
        self.letters = letters
        self._known: dict[str, Rows[Element]] = {}

    def of(self, word: str) -> Rows[Element]:
        """The matrix of a word."""
        if word not in self._known:
            self._known[word] = self._product(word)
        return self._known[word]

    def _product(self, word: str) -> Rows[Element]:
        letters = self.letters
        last = letters.factor(word[-1])
        found = matrices.product(self.of(word[:-1]), last) if len(word) > 1 else last
        if word[-1] != COVARIANCE and self.ends_at_inputs(word[-1]) and not letters.route.network.white:
            found = matrices.product(found, letters.factor(COVARIANCE))
        if word.endswith(ERROR + ERROR.lower()):
            noise = letters.ring.lift(letters.law.noise_variance)
            before = self.of(word[:-2]) if len(word) > 2 else None
            size = len(found)
            eye = [[letters.ring.one if i == j else letters.ring.zero for j in range(size)] for i in range(size)]
            found = matrices.add_scaled(found, eye if before is None else before, noise)
        return found

    def ends_at_inputs(self, letter: str) -> bool:
        """Whether its columns are inputs."""
        return letter in (ERROR, self.letters.route.network.layers[0])
