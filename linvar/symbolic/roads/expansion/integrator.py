"""Road (a): expand SGD in a polynomial ring, then replace monomials of batch moments by their expectations.

The variables of a step are linear functionals of its batch moment (``steps``), in units in which the weights are integers over
one denominator. The weights W_t become polynomials in these variables. The gradient at step t is never expanded in its own
batch: given W_t its mean and its second moment are forms in W_t (``last_step``), so the highest degree left is 2 (2L-1)^t.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from math import lcm, prod
from typing import Any

from linvar import matrices
from linvar.flint import fmpq
from linvar.progress import Progress, say_nothing
from linvar.symbolic.algebra.ring import Element, Exponents, Ring, sum_elements, to_fmpq
from linvar.symbolic.sgd.batch_moments import Moments, answer_ring, batch_moments, central_moments
from linvar.symbolic.sgd.last_step import LastStep
from linvar.symbolic.sgd.questions import Question
from linvar.symbolic.sgd.steps import Steps
from linvar.symbolic.sgd.update import State, Update


class Expanded:
    """The weights W_0, ..., W_t of a problem as polynomials in the batch moments of steps 0..t-1, for t up to its ``step``."""

    def __init__(self, steps: Steps) -> None:
        self.problem = problem = steps.problem
        self.table, self.steps = steps, list(steps)
        counts = [len(step.features) for step in self.steps]
        self.offsets = [sum(counts[:s]) for s in range(len(counts) + 1)]
        self.ring = Ring(self.offsets[-1], problem.symbols)
        self.answers = answer_ring(problem.symbols)
        self._moments: dict[tuple[int, int], Moments] = {}
        self._scaled: dict[tuple[int, int], Moments] = {}
        #: variable v_j stands for units[j] times the functional of its step
        self.units = [fmpq(1)] * self.offsets[-1]
        self._update = Update(problem, self.ring)
        self._states = [self._update.start()]

    def state(self, t: int) -> State[Element]:
        """W_t and the momenta, expanded."""
        while len(self._states) <= t:
            self._states.append(self._following(len(self._states) - 1))
        return self._states[t]

    def _following(self, s: int) -> State[Element]:
        """The state after step s, in units in which the gradients have integer coefficients."""
        state, step, rate = self._states[s], self.steps[s], self.problem.learning_rates[s]
        first, end = self.offsets[s], self.offsets[s + 1]
        variables = self.ring.gens[first:end]
        if not self.problem.symbols:
            entries = _entries(step.gradients(state.weights, variables, self.ring))
            factor = to_fmpq(rate) * _denominator(_entries(state.weights))
            self.units[first:end] = [factor * c if rate and c else fmpq(1) for c in _contents(entries, first, end)]
            variables = tuple(v / unit for v, unit in zip(variables, self.units[first:end]))
        return self._update.advance(state, step.gradients(state.weights, variables, self.ring), rate)

    def expectation(self, polynomial: Element, degree: int, t: int) -> Element:
        """E of a polynomial in the batch moments before step t, a form of this degree in W_t: a polynomial in u, exact."""
        answers, symbols, end = self.answers, len(self.problem.symbols), self.offsets[t]
        grouped: dict[Exponents, Any] = {}
        if symbols:
            inner: dict[Exponents, dict[Exponents, fmpq]] = defaultdict(dict)
            for key, c in polynomial.terms():
                inner[key[:end]][(0, *key[-symbols:])] = c
            grouped = {key: answers.from_terms(terms) for key, terms in inner.items()}
        elif end < self.offsets[-1]:
            grouped = {key[:end]: c for key, c in polynomial.terms()}
        else:
            grouped = dict(polynomial.terms())
        orders = self._orders(polynomial, degree, t)
        for s in reversed(range(t)):
            split = self.offsets[s]
            moments = self.scaled_moments(s, orders[s])
            pairs: dict[Exponents, list[tuple[Element, Any]]] = defaultdict(list)
            for key, value in grouped.items():
                moment = moments.get(key[split:])
                if moment is not None:
                    pairs[key[:split]].append((moment, value))
            # one key at a time: the products of a single key are alive together
            grouped = {
                key: sum_elements(answers, [moment * value for moment, value in found]) for key, found in pairs.items()
            }
        whole: Element = answers.zero + grouped.get((), 0)
        return whole

    def _orders(self, polynomial: Element, degree: int, t: int) -> list[int]:
        """Bounds for the degree of a polynomial, a form of this degree in W_t, in the batch of each step before."""
        odd, last = self.problem.growth, t - 1
        seen = [max(0, exponent) for exponent in polynomial.degrees()]  # zero has the degree -1 in every variable
        return [
            min(degree * odd ** (last - s), sum(seen[self.offsets[s] : self.offsets[s + 1]])) for s in range(last + 1)
        ]

    def scaled_moments(self, s: int, order: int) -> Moments:
        """Moments of the variables v_j of step s, up to at least this order."""
        units = self.units[self.offsets[s] : self.offsets[s + 1]]
        if all(unit == 1 for unit in units):
            return self.moments(s, order)
        for (owner, known), moments in self._scaled.items():
            if owner == s and known >= order:
                return moments
        powers = [[unit**k for k in range(order + 1)] for unit in units]
        self._scaled[s, order] = {
            key: moment * prod((row[k] for row, k in zip(powers, key) if k), start=fmpq(1))
            for key, moment in self.moments(s, order).items()
            if sum(key) <= order
        }
        return self._scaled[s, order]

    def moments(self, s: int, order: int) -> Moments:
        """Moments of the variables of step s, up to at least this order; computed once a law and order."""
        steps = [i for i, step in enumerate(self.steps) if step is self.steps[s]]
        for (owner, known), moments in self._moments.items():
            if owner in steps and known >= order:
                return moments
        problem = self.problem
        step = self.steps[s]
        of = central_moments if step.central else batch_moments
        moments = of(self.table.law, step.features, order, problem.sampling, self.answers)
        self._moments[s, order] = moments
        return moments


class ExpandedAt:
    """The integrator of one step t."""

    def __init__(self, expanded: Expanded, t: int) -> None:
        self.expanded, self.t = expanded, t
        self.answers = expanded.answers

    @cached_property
    def last(self) -> LastStep[Element]:
        """The forms in W_t, expanded."""
        return LastStep(self.expanded.state(self.t), self.expanded.table, self.expanded.ring)

    def expectations(self, question: Question, report: Progress = say_nothing) -> list[Element]:
        """E of each form, in the ring of the answers."""
        degree = question.degree(self.expanded.problem.degree)
        return [self.expanded.expectation(form, degree, self.t) for form in question.forms(self.last)]


def _entries(matrices: Sequence[matrices.Rows[Element]]) -> list[Element]:
    """The entries of all layers."""
    return [entry for matrix in matrices for row in matrix for entry in row]


def _denominator(polynomials: Sequence[Element]) -> int:
    """The common denominator of all coefficients."""
    return lcm(1, *{int(c.q) for polynomial in polynomials for c in polynomial.coeffs()})


def _contents(polynomials: Sequence[Element], first: int, end: int) -> list[fmpq]:
    """For each of some variables the greatest number that divides the coefficients of all terms with it; 0 if there are none."""
    found = [fmpq(0)] * (end - first)
    for polynomial in polynomials:
        for key, c in polynomial.terms():
            found = [known.gcd(c) if k else known for known, k in zip(found, key[first:end])]
    return found
