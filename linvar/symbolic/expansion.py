"""Road (a): expand SGD in a polynomial ring, then replace monomials of batch moments by their expectations.

The variables of a step are the linear functionals of its batch moment S_z that the step needs: the entries of
S_z X^T in general; at step 0, where the weights are fixed numbers, a basis of the span of the entries of R_0, when
it is smaller (d_L d_0 of them at most: that is what lets real data through). The weights W_t become polynomials in
these variables. The gradient at step t is never expanded in its own batch: given W_t its mean and its second moment
are forms in W_t (``last_step``), so the highest degree left is 2 (2L-1)^t.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from flint import fmpq, fmpq_mat

from linvar.exact import Matrix, Rational
from linvar.problem import Problem
from linvar.symbolic import network
from linvar.symbolic.batch_moments import Moments, answer_ring, batch_moments, unit_form
from linvar.symbolic.ring import Element, Exponents, Ring, sum_elements, to_fmpq, to_rational
from linvar.symbolic.road import Forms


@dataclass(frozen=True)
class Step:
    """The batch of one step: which functionals of S_z are its variables, and R's functionals in terms of them."""

    forms: tuple[Matrix, ...]
    #: step 0 only, when a basis of R_0 is used: R_0[i][j] as coefficients of the variables
    gradient: tuple[tuple[tuple[Rational, ...], ...], ...] | None = None


def step_kinds(problem: Problem) -> tuple[Step, Step]:
    """The variables of step 0, and of every later step.

    Where the gradient vanishes whatever the batch and stays so (a perfect fit without weight decay, or zero weights above
    and below every layer), no step has variables.
    """
    general = Step(tuple(unit_form(_size(problem), *pair) for pair in needed_pairs(problem)))
    first = _first_step(problem, general)
    still = Step((), ((((),) * problem.widths[0]),) * problem.widths[-1])
    fitted = not first.forms and problem.weight_decay == 0
    unmoved = not any(problem.distinct_learning_rates) and problem.momentum == 0
    if fitted or unmoved or _vanishes(problem):
        return still, still
    return first if first.forms else still, general


def steps_of(problem: Problem) -> list[Step]:
    """The variables of steps 0..t-1."""
    first, general = step_kinds(problem)
    return [first if s == 0 else general for s in range(problem.step)]


def _vanishes(problem: Problem) -> bool:
    """Is A_l^T R B_l^T = 0 for every R and l?"""

    def zero(matrix: network.Matrix | None) -> bool:
        return matrix is not None and not any(entry != 0 for row in matrix for entry in row)

    return all(zero(above) or zero(below) for above, below in zip(*network.surroundings(problem.weights)))


def _size(problem: Problem) -> int:
    """m, the dimension of z."""
    return len(problem.law.input_map[0])


def needed_pairs(problem: Problem) -> list[tuple[int, int]]:
    """Entries (row <= column) of S_z that occur in S_z X^T."""
    columns = {c for row in problem.law.input_map for c, entry in enumerate(row) if entry != 0}
    size = _size(problem)
    return [(a, c) for a in range(size) for c in range(a, size) if a in columns or c in columns]


def _first_step(problem: Problem, general: Step) -> Step:
    """A basis of the functionals in R_0 = Q_0 S_z X^T, if the weights and teacher are numbers and it is smaller."""
    entries = [e for matrix in (*problem.weights, problem.law.target_map) for row in matrix for e in row]
    if not all(isinstance(entry, Rational) for entry in entries):
        return general
    residual = network.residual_map(problem.weights, problem.law.input_map, problem.law.target_map)
    inputs = problem.law.input_map
    size = _size(problem)
    pairs = needed_pairs(problem)
    forms = [
        tuple(
            tuple((row[a] * column[c] + row[c] * column[a]) / 2 for c in range(size)) for a in range(size)
        )
        for row in residual for column in inputs
    ]  # fmt: skip
    matrix = fmpq_mat([[to_fmpq(Rational(form[a][c])) for form in forms] for a, c in pairs])
    reduced, rank = matrix.rref()
    if rank >= len(pairs):
        return general
    pivots = [next(j for j in range(len(forms)) if reduced[i, j] != 0) for i in range(rank)]
    basis = tuple(tuple(tuple(map(Rational, row)) for row in forms[j]) for j in pivots)
    width = len(inputs)
    gradient = tuple(
        tuple(tuple(to_rational(reduced[i, r * width + c]) for i in range(rank)) for c in range(width))
        for r in range(len(residual))
    )
    return Step(basis, gradient)


class Expansion:
    """The weights W_0, ..., W_t of a problem as polynomials in the batch moments of steps 0..t-1."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.steps = steps_of(problem)
        counts = [len(step.forms) for step in self.steps]
        self.offsets = [sum(counts[:s]) for s in range(len(counts) + 1)]
        self.ring = Ring(self.offsets[-1], problem.symbols)
        self.answers = answer_ring(problem.symbols)
        law = problem.law
        self.input_map = self._lift(law.input_map)
        self.target_map = self._lift(law.target_map)
        self._moments: dict[tuple[int, int], Moments] = {}

    def _lift(self, matrix: Matrix) -> list[list[Element]]:
        """A matrix of exact numbers in the ring."""
        return [[self.ring.lift(entry) for entry in row] for row in matrix]

    @cached_property
    def state(self) -> network.State:
        """W_t and the momenta, expanded."""
        update = network.Update(self.problem, self.ring)
        state = update.start()
        for s in range(self.problem.step):
            state = update.advance(state, self._gradient(s, state.weights), s)
        return state

    def expectations(self, forms: Forms, degree: int) -> list[Element]:
        """E of forms in the state: polynomials in u (and the symbols), exact."""
        return [self.expectation(form) for form in forms(self.state, self.ring)]

    def _gradient(self, s: int, weights: Sequence[network.Matrix]) -> network.Matrix:
        """The end-to-end gradient R_s = Q S_z X^T in the variables of step s."""
        step = self.steps[s]
        variables = self.ring.gens[self.offsets[s] : self.offsets[s + 1]]
        if step.gradient is not None:
            return [
                [sum((v * to_fmpq(c) for c, v in zip(entry, variables) if c), self.ring.zero) for entry in row]
                for row in step.gradient
            ]
        size = _size(self.problem)
        moment = [[self.ring.zero] * size for _ in range(size)]
        for (a, c), variable in zip(needed_pairs(self.problem), variables):
            moment[a][c] = moment[c][a] = variable
        residual = network.residual_map(weights, self.input_map, self.target_map)
        return network.product(network.product(residual, moment), network.transpose(self.input_map))

    def expectation(self, polynomial: Element) -> Element:
        """E of a polynomial in the batch moments: a polynomial in u (and the symbols), exact."""
        answers, symbols = self.answers, len(self.problem.symbols)
        if not self.steps:
            return answers.from_terms({(0, *key): c for key, c in polynomial.terms()})
        grouped: dict[Exponents, Any] = {}
        if symbols:
            inner: dict[Exponents, dict[Exponents, fmpq]] = defaultdict(dict)
            for key, c in polynomial.terms():
                inner[key[:-symbols]][(0, *key[-symbols:])] = c
            grouped = {key: answers.from_terms(terms) for key, terms in inner.items()}
        else:
            grouped = dict(polynomial.terms())
        for s in reversed(range(len(self.steps))):
            split = self.offsets[s]
            order = max((sum(key[split:]) for key in grouped), default=0)
            moments = self.moments(s, order)
            pairs: dict[Exponents, list[tuple[Element, Any]]] = defaultdict(list)
            for key, value in grouped.items():
                moment = moments.get(key[split:])
                if moment is not None:
                    pairs[key[:split]].append((moment, value))
            # one key at a time: the products of a single key are alive together
            grouped = {
                key: sum_elements(answers, [moment * value for moment, value in found]) for key, found in pairs.items()
            }
        return grouped.get((), answers.zero)

    def moments(self, s: int, order: int) -> Moments:
        """Moments of the variables of step s, up to at least this order; computed once a law and order."""
        steps = [i for i, step in enumerate(self.steps) if step == self.steps[s]]
        for (owner, known), moments in self._moments.items():
            if owner in steps and known >= order:
                return moments
        problem = self.problem
        moments = batch_moments(problem.law, list(self.steps[s].forms), order, problem.sampling, self.answers)
        self._moments[s, order] = moments
        return moments
