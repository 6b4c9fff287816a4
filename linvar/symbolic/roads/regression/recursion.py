"""Road (e), linear regression (L = 1): the second moment of the state closes on itself, at any number of steps.

Write q_k for row k of Q_t = W_t X - Y (the residual of an example z is Q z), v_k for row k of M_t X (the momenta), S for
E z z^T, Pi = X^T X and S_b for the batch moment. A step makes the decayed gradient z_k = q_k S_b Pi + decay (q_k + y_k) and

    v' = z + momentum v,      q' = q - a v',   with Nesterov   q' = q - a (z + momentum v').

The batch is independent of q and v, so their moments follow from those before: with A = E q_k^T q_l

    E S_b A S_b = N(A) = S A S + c ( E[(z^T A z) z z^T] - S A S )                  c = 1/b, or (n-b)/(b(n-1)),

exact for every law with fourth moments and both samplings. Moments are polynomials in c, of degree t after t steps.
A form of degree at most 2 in the state, all that is asked of it when L = 1, is integrated with these two moments.
Source: derived here; for iid batches and plain SGD compare Bordelon & Pehlevan (2022), arXiv:2106.02713.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import product
from typing import Any

from linvar import matrices
from linvar.progress import Progress, say_nothing
from linvar.symbolic.algebra.ring import Element, Ring
from linvar.symbolic.models.linear.network import LINEAR
from linvar.symbolic.roads.regression.forms import expectation
from linvar.symbolic.sgd.batch_moments import answer_ring, sampling_factor, sampling_factor_at
from linvar.symbolic.sgd.last_step import LastStep
from linvar.symbolic.sgd.questions import Question
from linvar.symbolic.sgd.steps import Steps
from linvar.symbolic.sgd.update import State

Form = matrices.Rows[Element]
Moments = dict[tuple[str, str], Form]


class Recursion:
    """The first two moments of the residual maps Q_s and momenta V_s, s = 0..t, over the ring of the answers.

    Args:
        steps: of a problem of one layer.
        at: the s whose second moments are kept.
        batch_size: the one b at which they are wanted, of a problem in numbers; every b, in u = 1/b, if None.
    """

    def __init__(self, steps: Steps, at: Sequence[int], batch_size: int | None = None) -> None:
        self.steps, self.problem = steps, steps.problem
        problem, self.kept = self.problem, frozenset(at)
        assert problem.depth == 1
        self.answers = answer_ring(problem.symbols)
        drawn = self.answers, problem.sampling, problem.dataset_size
        self.factor = sampling_factor(*drawn) if batch_size is None else sampling_factor_at(*drawn, batch_size)
        lift, law = self.answers.lift, steps.law
        self.input_map = [[lift(entry) for entry in row] for row in law.input_map]
        self.target_map = [[lift(entry) for entry in row] for row in law.target_map]
        self.second_moment = law.second_moment(self.answers)
        self._selection = matrices.product(matrices.transpose(self.input_map), self.input_map)  # Pi
        self._drift = matrices.product(self.second_moment, self._selection)  # S Pi
        self._start = LINEAR.residual_map(
            [[[lift(entry) for entry in row] for row in problem.leaves[0]]], self.input_map, self.target_map
        )
        self._decay, self._momentum = lift(problem.weight_decay), lift(problem.momentum)
        self.names = ("q", "v") if problem.momentum != 0 else ("q",)
        self._moments: dict[tuple[int, int], dict[int, Moments]] = {}

    # moments of the residual map Q_t and of the momenta V_t

    def _combinations(self, rate: Element) -> dict[str, dict[str, Element]]:
        """q' and v' as combinations of q, v and z."""
        if "v" not in self.names:
            return {"q": {"q": self.answers.one, "z": -rate}}
        momentum, gain = self._momentum, self.answers.one
        if self.problem.nesterov:  # z + momentum (z + momentum v)
            momentum, gain = momentum * momentum, gain + self._momentum
        return {
            "q": {"q": self.answers.one, "z": -rate * gain, "v": -rate * momentum},
            "v": {"z": self.answers.one, "v": self._momentum},
        }

    @cached_property
    def means(self) -> list[dict[str, Form]]:
        """E Q_s and E V_s, shape (d_1, m), for s = 0..t; free of b."""
        means = [{"q": self._start, "v": [[self.answers.zero] * len(row) for row in self._start]}]
        for rate in self.problem.learning_rates:
            now = means[-1]
            z = self._decayed(matrices.product(now["q"], self._drift), now["q"])
            parts = {**now, "z": z}
            combined = self._combinations(self.answers.lift(rate))
            means.append(
                {name: _combine([(c, parts[part]) for part, c in combined[name].items()]) for name in combined}
            )
        return means

    def _decayed(self, pulled: Form, form: Form) -> Form:
        """pulled + decay (form + Y)."""
        if self.problem.weight_decay == 0:
            return pulled
        return matrices.add_scaled(matrices.add_scaled(pulled, form, self._decay), self.target_map, self._decay)

    def moments(self, k: int, l: int) -> dict[int, Moments]:
        """E of the outer products of q_k, v_k with q_l, v_l, after each of the steps that are kept."""
        if (k, l) not in self._moments:
            if k > l:
                self._moments[k, l] = {
                    s: {(a, b): matrices.transpose(other[b, a]) for a, b in other}
                    for s, other in self.moments(l, k).items()
                }
            else:
                size = range(len(self._selection))
                nothing = [[self.answers.zero for _ in size] for _ in size]
                moment: Moments = {(a, b): nothing for a, b in product(self.names, repeat=2)}
                moment["q", "q"] = [[a * b for b in self._start[l]] for a in self._start[k]]
                found = {0: moment}
                for s, rate in enumerate(self.problem.learning_rates):
                    moment = self._step(moment, self.answers.lift(rate), (k, l), self.means[s])
                    found[s + 1] = moment
                    if s not in self.kept:
                        del found[s]
                self._moments[k, l] = found
        return self._moments[k, l]

    def _step(self, moment: Moments, rate: Element, rows: tuple[int, int], means: dict[str, Form]) -> Moments:
        """The moments after a step, of a pair of rows."""
        gram = dict(moment)
        for name in self.names:
            gram[name, "z"] = self._times_decayed(moment[name, "q"], means[name][rows[0]], rows[1])
            flipped = self._times_decayed(matrices.transpose(moment["q", name]), means[name][rows[1]], rows[0])
            gram["z", name] = matrices.transpose(flipped)
        gram["z", "z"] = self._decayed_moment(moment["q", "q"], means["q"], rows)
        combined = self._combinations(rate)
        return {
            (a, b): _combine([(c * d, gram[i, j]) for i, c in combined[a].items() for j, d in combined[b].items()])
            for a, b in product(self.names, repeat=2)
        }

    def _decayed_moment(self, moment: Form, means: Form, rows: tuple[int, int]) -> Form:
        """E z_k^T z_l, where z = q S_b Pi + d and d = decay (q + y) does not depend on the batch."""
        (k, l), turned = rows, matrices.transpose(self._drift)
        result: Form = matrices.product(matrices.product(self._selection, self.batch_moment(moment)), self._selection)
        if self.problem.weight_decay == 0:
            return result
        beside = self._beside(moment, means[k], l)  # E q_k^T (q_l + y_l)
        flipped = self._beside(matrices.transpose(moment), means[l], k)
        constant = [[a * (b + y) for b, y in zip(means[l], self.target_map[l])] for a in self.target_map[k]]
        crossed = matrices.add_scaled(
            matrices.product(turned, beside), matrices.transpose(matrices.product(turned, flipped)), self.answers.one
        )
        result = matrices.add_scaled(result, crossed, self._decay)
        return matrices.add_scaled(
            result, matrices.add_scaled(beside, constant, self.answers.one), self._decay * self._decay
        )

    def _beside(self, moment: Form, mean: Sequence[Element], row: int) -> Form:
        """E x^T (q + y) from E x^T q and E x, for row ``row`` of Q and Y."""
        return [[entry + a * b for entry, b in zip(line, self.target_map[row])] for line, a in zip(moment, mean)]

    def _times_decayed(self, moment: Form, mean: Sequence[Element], row: int) -> Form:
        """E x^T z from E x^T q and E x, for row ``row`` of Z."""
        pulled = matrices.product(moment, self._drift)
        if self.problem.weight_decay == 0:
            return pulled
        return matrices.add_scaled(pulled, self._beside(moment, mean, row), self._decay)

    def batch_moment(self, moment: Form) -> Form:
        """N(M) = E S_b M S_b for the batch moment S_b of one more batch."""
        mean = matrices.product(matrices.product(self.second_moment, moment), self.second_moment)
        symmetric = [[(a + b) / 2 for a, b in zip(row, column)] for row, column in zip(moment, zip(*moment))]
        example = self.steps.law.weighted_second_moment(symmetric, self.answers)
        return matrices.add_scaled(mean, matrices.subtract(example, mean), self.factor)


class RegressionAt:
    """The integrator of one step t, and the moments it integrates by."""

    def __init__(self, recursion: Recursion, t: int) -> None:
        self.recursion, self.t = recursion, t
        self.problem, self.answers = recursion.problem, recursion.answers
        # the entries of W_t, then of the momenta, as variables, integrated by their moments
        rows, columns = self.problem.widths[1], self.problem.widths[0]
        self.ring = Ring(rows * columns * len(recursion.names), self.problem.symbols)
        variables = [
            [list(self.ring.gens[(place * rows + k) * columns :][:columns]) for k in range(rows)]
            for place in range(len(recursion.names))
        ]
        self.last = LastStep(State(variables[:1], variables[1:]), recursion.steps, self.ring)
        self._covariances: dict[tuple[str, int, str, int], Form] = {}

    @property
    def mean_residual(self) -> Form:
        """E Q_t, shape (d_1, m); free of b."""
        return self.recursion.means[self.t]["q"]

    def residual_moment(self, k: int, l: int) -> Form:
        """E q_k^T q_l after t steps, shape (m, m)."""
        return self.recursion.moments(k, l)[self.t]["q", "q"]

    # moments of the weights W_t = (Q_t + Y) X^T

    @cached_property
    def mean_weights(self) -> Form:
        """E W_t, shape (d_1, d_0); free of b."""
        total = matrices.add_scaled(self.mean_residual, self.recursion.target_map, self.answers.one)
        return matrices.product(total, matrices.transpose(self.recursion.input_map))

    def weight_covariance(self, k: int, l: int) -> Form:
        """Cov of rows k and l of W_t, shape (d_0, d_0)."""
        return self._covariance_of("q", k, "q", l)

    def mean_gradient(self) -> Form:
        """E G_t = E Q_t S X^T, shape (d_1, d_0); free of b."""
        return matrices.product(
            matrices.product(self.mean_residual, self.recursion.second_moment),
            matrices.transpose(self.recursion.input_map),
        )

    def gradient_covariance(self, k: int, l: int) -> Form:
        """Cov of rows k and l of the batch gradient G_t, shape (d_0, d_0)."""
        mean = matrices.product(self.mean_residual, self.recursion.second_moment)
        outer = [[a * b for b in mean[l]] for a in mean[k]]
        return self._inputs_of(matrices.subtract(self.recursion.batch_moment(self.residual_moment(k, l)), outer))

    def _inputs_of(self, form: Form) -> Form:
        """X form X^T."""
        return matrices.product(
            matrices.product(self.recursion.input_map, form), matrices.transpose(self.recursion.input_map)
        )

    def expectations(self, question: Question, report: Progress = say_nothing) -> list[Element]:
        """E of forms of degree <= 2 in the state."""
        assert question.degree(2) <= 2
        return [self.expectation(form) for form in question.forms(self.last)]

    def expectation(self, form: Element) -> Element:
        """E of a polynomial of degree <= 2 in the entries of the state: a polynomial in u (and the symbols), exact."""
        means = [entry for name in self.recursion.names for row in self._mean_of(name) for entry in row]
        return expectation(form, len(means), self.answers, means, self._covariance)

    def _covariance(self, first: int, second: int) -> Element:
        """Cov of two entries of the state."""
        rows, columns = self.problem.widths[1], self.problem.widths[0]
        (a, k, i), (b, l, j) = ((*divmod(index // columns, rows), index % columns) for index in (first, second))
        pair = self.recursion.names[a], k, self.recursion.names[b], l
        if pair not in self._covariances:
            self._covariances[pair] = self._covariance_of(*pair)
        return self._covariances[pair][i][j]

    def _mean_of(self, name: str) -> Form:
        """E of the weights or of the momenta, shape (d_1, d_0)."""
        if name == "q":
            return self.mean_weights
        return matrices.product(self.recursion.means[self.t][name], matrices.transpose(self.recursion.input_map))

    def _covariance_of(self, first: str, k: int, second: str, l: int) -> Form:
        """Cov of row k of weights or momenta with row l, shape (d_0, d_0)."""
        one, other = self.recursion.means[self.t][first][k], self.recursion.means[self.t][second][l]
        outer = [[a * b for b in other] for a in one]
        return self._inputs_of(matrices.subtract(self.recursion.moments(k, l)[self.t][first, second], outer))


def _combine(parts: Sequence[tuple[Any, Form]]) -> Form:
    """sum of factor * form."""
    (factor, form), *rest = parts
    result: Form = form if factor == 1 else [[factor * entry if entry else entry for entry in row] for row in form]
    for factor, form in rest:
        result = matrices.add_scaled(result, form, factor)
    return result
