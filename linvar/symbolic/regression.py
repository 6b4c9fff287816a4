"""Road (e), linear regression (L = 1): the second moment of the weights closes on itself, at any number of steps.

Write q_k for row k of Q_t = W_t X - Y (the residual of an example z is Q z), S for E z z^T, Pi = X^T X and S_b for the
batch moment. A step is Q' = Q (I - a S_b Pi). The batch is independent of Q, so with M_kl = E q_k^T q_l

    E S_b M S_b = N(M) = S M S + c ( E[(z^T M z) z z^T] - S M S )                  c = 1/b, or (n-b)/(b(n-1))
    M' = M - a (Pi S M + M S Pi) + a^2 Pi N(M) Pi,        E Q' = E Q (I - a S Pi),

exact for every law with fourth moments and both samplings. M_kl is a polynomial in c, of degree t after t steps.
A form of degree at most 2 in W_t, all that is asked of W_t when L = 1, is integrated with these two moments.
Source: derived here; for iid batches compare Bordelon & Pehlevan (2022), arXiv:2106.02713.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from linvar.problem import Problem
from linvar.symbolic import network
from linvar.symbolic.batch_moments import answer_ring, sampling_factor
from linvar.symbolic.ring import Element, Ring

Form = network.Matrix


class Regression:
    """The first two moments of the weights of linear regression, over the ring of the answers."""

    def __init__(self, problem: Problem) -> None:
        assert problem.depth == 1
        self.problem = problem
        self.answers = answer_ring(problem.symbols)
        self.factor = sampling_factor(self.answers, problem.sampling, problem.dataset_size)
        lift, law = self.answers.lift, problem.law
        self.input_map = [[lift(entry) for entry in row] for row in law.input_map]
        self.target_map = [[lift(entry) for entry in row] for row in law.target_map]
        self.second_moment = law.second_moment(self.answers)
        self._selection = network.product(network.transpose(self.input_map), self.input_map)  # Pi
        self._drift = network.product(self.second_moment, self._selection)  # S Pi
        self._start = network.residual_map(
            [[[lift(entry) for entry in row] for row in problem.weights[0]]], self.input_map, self.target_map
        )
        self._residual_moments: dict[tuple[int, int], Form] = {}
        # the road: weights as variables, integrated by their moments
        rows, columns = problem.widths[1], problem.widths[0]
        self.ring = Ring(rows * columns, problem.symbols)
        self.weights = [[list(self.ring.gens[k * columns : (k + 1) * columns]) for k in range(rows)]]

    # moments of the residual map Q_t

    @cached_property
    def mean_residual(self) -> Form:
        """E Q_t, shape (d_1, m); free of b."""
        mean = self._start
        for rate in self.problem.learning_rates:
            mean = _axpy(mean, network.product(mean, self._drift), -self.answers.lift(rate))
        return mean

    def residual_moment(self, k: int, l: int) -> Form:
        """M_kl = E q_k^T q_l after t steps, shape (m, m)."""
        if (k, l) not in self._residual_moments:
            moment: Form
            if k > l:
                moment = network.transpose(self.residual_moment(l, k))
            else:
                moment = [[a * b for b in self._start[l]] for a in self._start[k]]
                for rate in self.problem.learning_rates:
                    moment = self._step(moment, self.answers.lift(rate))
            self._residual_moments[k, l] = moment
        return self._residual_moments[k, l]

    def _step(self, moment: Form, rate: Element) -> Form:
        """M' from M."""
        pulled = network.product(moment, self._drift)  # M S Pi
        pushed = network.product(network.transpose(self._drift), moment)  # Pi S M
        noise = network.product(network.product(self._selection, self.batch_moment(moment)), self._selection)
        return _axpy(_axpy(_axpy(moment, pulled, -rate), pushed, -rate), noise, rate * rate)

    def batch_moment(self, moment: Form) -> Form:
        """N(M) = E S_b M S_b for the batch moment S_b of one more batch."""
        mean = network.product(network.product(self.second_moment, moment), self.second_moment)
        symmetric = [[(a + b) / 2 for a, b in zip(row, column)] for row, column in zip(moment, zip(*moment))]
        example = self.problem.law.weighted_second_moment(symmetric, self.answers)
        return _axpy(mean, network.subtract(example, mean), self.factor)

    # moments of the weights W_t = (Q_t + Y) X^T

    @cached_property
    def mean_weights(self) -> Form:
        """E W_t, shape (d_1, d_0); free of b."""
        total = _axpy(self.mean_residual, self.target_map, self.answers.one)
        return network.product(total, network.transpose(self.input_map))

    def weight_covariance(self, k: int, l: int) -> Form:
        """Cov of rows k and l of W_t, shape (d_0, d_0)."""
        outer = [[a * b for b in self.mean_residual[l]] for a in self.mean_residual[k]]
        return self._inputs_of(network.subtract(self.residual_moment(k, l), outer))

    def mean_gradient(self) -> Form:
        """E G_t = E Q_t S X^T, shape (d_1, d_0); free of b."""
        return network.product(
            network.product(self.mean_residual, self.second_moment), network.transpose(self.input_map)
        )

    def gradient_covariance(self, k: int, l: int) -> Form:
        """Cov of rows k and l of the batch gradient G_t, shape (d_0, d_0)."""
        mean = network.product(self.mean_residual, self.second_moment)
        outer = [[a * b for b in mean[l]] for a in mean[k]]
        return self._inputs_of(network.subtract(self.batch_moment(self.residual_moment(k, l)), outer))

    def _inputs_of(self, form: Form) -> Form:
        """X form X^T."""
        return network.product(network.product(self.input_map, form), network.transpose(self.input_map))

    # what a road offers

    def expectation(self, form: Element) -> Element:
        """E of a polynomial of degree <= 2 in the entries of W_t: a polynomial in u (and the symbols), exact."""
        rows, columns = self.problem.widths[1], self.problem.widths[0]
        count = rows * columns
        grouped: dict[tuple[int, ...], dict[tuple[int, ...], Any]] = {}
        for key, coefficient in form.terms():
            used = tuple(i for i in range(count) for _ in range(key[i]))
            grouped.setdefault(used, {})[(0, *key[count:])] = coefficient
        means = [entry for row in self.mean_weights for entry in row]
        covariances: dict[tuple[int, int], Form] = {}
        total = self.answers.zero
        for used, terms in grouped.items():
            value = self.answers.from_terms(terms)
            if len(used) == 1:
                value = value * means[used[0]]
            elif len(used) == 2:
                (k, i), (l, j) = (divmod(index, columns) for index in used)
                if (k, l) not in covariances:
                    covariances[k, l] = self.weight_covariance(k, l)
                value = value * (covariances[k, l][i][j] + means[used[0]] * means[used[1]])
            assert len(used) <= 2
            total = total + value
        return total


def _axpy(a: Form, b: Form, factor: Element) -> Form:
    """a + factor b."""
    return [[x + factor * y if y else x for x, y in zip(row, other)] for row, other in zip(a, b)]
