"""The traces of words in exact numbers: integer matrices over a denominator, or rows over a ring with symbols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from math import lcm
from operator import mul
from typing import Any, Protocol, TypeVar, cast

from linvar import matrices
from linvar.exact import Exact, Matrix, Rational, free_symbols
from linvar.flint import fmpq, fmpz, fmpz_mat
from linvar.symbolic.algebra.ring import Element, Ring, sum_elements
from linvar.symbolic.laws.wishart import Wishart
from linvar.symbolic.traces.derivation import Formula
from linvar.symbolic.traces.network import COVARIANCE, ERROR
from linvar.symbolic.traces.route import Route

M = TypeVar("M")
#: a value
N = TypeVar("N")
N_co = TypeVar("N_co", covariant=True)


class Letters(Protocol[M, N_co]):
    """The matrices of a route's factors, and what is done with them."""

    def factor(self, letters: str) -> M:
        """X Sigma^{k+1} Y^T, or one letter."""
        ...

    def times(self, a: M, b: M) -> M:
        """a b."""
        ...

    def trace_of_two(self, a: M, b: M) -> N_co:
        """tr a b."""
        ...

    def trace(self, a: M) -> N_co: ...

    def trace_of_power(self, k: int) -> N_co:
        """tr Sigma^k."""
        ...


def evaluated(route: Route, letters: Letters[M, N]) -> dict[str, N]:
    """The trace of every word."""
    factors = {factor: letters.factor(factor) for factor in route.factors}
    products: list[M] = []
    for node in route.nodes:
        factor = factors[node.factor]
        products.append(factor if node.before is None else letters.times(products[node.before], factor))
    found = {word: letters.trace_of_power(k) for word, k in route.powers.items()}
    found |= {word: letters.trace(factors[factor]) for word, factor in route.alone.items()}
    found |= {
        word: letters.trace_of_two(products[node], factors[factor]) for word, (node, factor) in route.ends.items()
    }
    return found


def traces(route: Route, weights: Sequence[Matrix], law: Wishart, ring: Ring) -> dict[str, Element]:
    """The trace of every word: in a ring where the problem has symbols, else a number, which calculates like one."""
    entries = [entry for matrix in (*weights, law.teacher, law.covariance) for row in matrix for entry in row]
    if free_symbols([*entries, law.noise_variance]):
        return evaluated(route, SymbolicLetters(route, weights, law, ring))
    return cast("dict[str, Element]", evaluated(route, RationalLetters(route, weights, law)))


def summed(
    formula: Formula, values: Mapping[str, Element], parameters: Sequence[Element], scale: Rational, ring: Ring
) -> list[Element]:
    """The coefficients of 1, u, ...: the terms of a formula with its traces and parameters put in, times a scale."""
    sums: dict[int, list[Element]] = {}
    for (power, powers), terms in formula.items():
        factor = reduce(mul, (p**k for p, k in zip(parameters, powers)), ring.lift(scale))
        products = (reduce(mul, (values[word] for word in words)) * c for words, c in terms.items())
        sums.setdefault(power, []).append(factor * sum_elements(ring, products))
    return [sum_elements(ring, sums.get(k, [])) for k in range(max(sums, default=0) + 1)]


@dataclass(frozen=True)
class Scaled:
    """An integer matrix over a denominator."""

    matrix: fmpz_mat
    denominator: int


@dataclass(frozen=True)
class RationalLetters:
    """Letters of rational entries; see ``Letters``."""

    route: Route
    weights: Sequence[Matrix]
    law: Wishart

    @cached_property
    def _plain(self) -> dict[str, Scaled]:
        """W_l, E and their transposes, Sigma."""
        layers = [_scaled(matrix) for matrix in self.weights]
        network = self.route.network
        found = dict(zip(network.layers, layers))
        whole = layers[0]
        for layer in layers[1:]:
            whole = self.times(layer, whole)
        teacher = _scaled(self.law.teacher)
        common = lcm(whole.denominator, teacher.denominator)
        error = whole.matrix * (common // whole.denominator) - teacher.matrix * (common // teacher.denominator)
        found[ERROR] = Scaled(error, common)
        found |= {letter.lower(): Scaled(one.matrix.transpose(), one.denominator) for letter, one in found.items()}
        if not network.white:
            found[COVARIANCE] = _scaled(self.law.covariance)
        return found

    @cached_property
    def _followed(self) -> dict[str, Scaled]:
        """X Sigma^{k+1}, by X Z^k."""
        return {}

    def _after(self, letters: str) -> Scaled:
        """X Sigma^{k+1}."""
        if self.route.network.white:
            return self._plain[letters]
        if letters not in self._followed:
            before = self._after(letters[:-1]) if len(letters) > 1 else self._plain[letters]
            self._followed[letters] = self.times(before, self._plain[COVARIANCE])
        return self._followed[letters]

    def factor(self, letters: str) -> Scaled:
        if len(letters) == 1:
            return self._plain[letters]
        found = self.times(self._after(letters[:-1]), self._plain[letters[-1]])
        noise = Rational(self.law.noise_variance)
        if letters == ERROR + ERROR.lower() and noise:
            common = lcm(found.denominator, noise.denominator)
            size, added = found.matrix.nrows(), int(noise * common)
            square = fmpz_mat(size, size, [added * (i == j) for i in range(size) for j in range(size)])
            found = Scaled(found.matrix * (common // found.denominator) + square, common)
        return found

    def times(self, a: Scaled, b: Scaled) -> Scaled:
        return Scaled(a.matrix * b.matrix, a.denominator * b.denominator)

    def trace_of_two(self, a: Scaled, b: Scaled) -> fmpq:
        row, size = a.matrix.entries(), a.matrix.nrows() * a.matrix.ncols()
        column = b.matrix.transpose().entries()
        found = fmpz_mat(1, size, row) * fmpz_mat(size, 1, column)
        return fmpq(found[0, 0], a.denominator * b.denominator)

    def trace(self, a: Scaled) -> fmpq:
        return fmpq(sum((a.matrix[i, i] for i in range(a.matrix.nrows())), fmpz(0)), a.denominator)

    def trace_of_power(self, k: int) -> fmpq:
        if k == 0:
            return fmpq(self.route.widths[0])
        sigma = self._plain[COVARIANCE]
        power = sigma
        for _ in range(k - 2):
            power = self.times(power, sigma)
        return self.trace(sigma) if k == 1 else self.trace_of_two(power, sigma)


@dataclass(frozen=True)
class SymbolicLetters:
    """Letters over a ring with symbols; see ``Letters``."""

    route: Route
    weights: Sequence[Matrix]
    law: Wishart
    ring: Ring

    def _lifted(self, matrix: Sequence[Sequence[Exact]]) -> matrices.Rows[Element]:
        return [[self.ring.lift(entry) for entry in row] for row in matrix]

    @cached_property
    def _plain(self) -> dict[str, matrices.Rows[Element]]:
        layers = [self._lifted(matrix) for matrix in self.weights]
        found = dict(zip(self.route.network.layers, layers))
        whole = layers[0]
        for layer in layers[1:]:
            whole = matrices.product(layer, whole)
        found[ERROR] = matrices.subtract(whole, self._lifted(self.law.teacher))
        found |= {letter.lower(): matrices.transpose(one) for letter, one in found.items()}
        found[COVARIANCE] = self._lifted(self.law.covariance)
        return found

    def factor(self, letters: str) -> matrices.Rows[Element]:
        if len(letters) == 1:
            return self._plain[letters]
        found = self._plain[letters[0]]
        for _ in range(0 if self.route.network.white else len(letters) - 1):
            found = matrices.product(found, self._plain[COVARIANCE])
        found = matrices.product(found, self._plain[letters[-1]])
        if letters == ERROR + ERROR.lower():
            noise = self.ring.lift(self.law.noise_variance)
            found = [[entry + noise if i == j else entry for j, entry in enumerate(row)] for i, row in enumerate(found)]
        return found

    def times(self, a: matrices.Rows[Element], b: matrices.Rows[Element]) -> matrices.Rows[Element]:
        return matrices.product(a, b)

    def trace_of_two(self, a: matrices.Rows[Element], b: matrices.Rows[Element]) -> Element:
        return matrices.trace_product(a, b)

    def trace(self, a: matrices.Rows[Element]) -> Element:
        return matrices.trace(a)

    def trace_of_power(self, k: int) -> Element:
        if k == 0:
            return self.ring.lift(self.route.widths[0])
        sigma = power = self._plain[COVARIANCE]
        for _ in range(k - 1):
            power = matrices.product(power, sigma)
        return matrices.trace(power)


def _scaled(matrix: Sequence[Sequence[Any]]) -> Scaled:
    """Rational entries over their common denominator."""
    common = lcm(*(entry.denominator for row in matrix for entry in row))
    return Scaled(
        fmpz_mat([[entry.numerator * (common // entry.denominator) for entry in row] for row in matrix]), common
    )
