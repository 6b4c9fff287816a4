"""What a problem's formulas answer: the expectations of the forms of each question, without the forms.

Squared norms, spreads and the loss are formulas (``linvar.symbolic.traces``). Means are open words, whose matrices are evaluated.
Of the weights after one step W' = W - alpha G, G_l = X_l S Y_l^T with X_l = A_l^T E and Y_l = B_l (of the first layer 1),

    (1)   E G_l = X_l Sigma Y_l^T,
    (2)   Cov(G_l[i, j], G_m[k, n]) = u ( [X_l Sigma X_m^T]_ik [Y_l Sigma Y_m^T]_jn + [X_l Sigma Y_m^T]_in [Y_l Sigma X_m^T]_jk )

(label noise: + v A_l^T A_m in the first factor, since it only meets itself).
Source: (2) is the covariance of a Wishart matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, singledispatch
from itertools import combinations_with_replacement

from linvar import matrices
from linvar.errors import InputError
from linvar.flint import fmpq
from linvar.matrices import Rows
from linvar.progress import Progress, say_nothing
from linvar.symbolic.algebra.ring import Element, Ring
from linvar.symbolic.sgd.batch_moments import answer_ring
from linvar.symbolic.sgd.questions import DoubledLoss, Entries, Means, Norms, Products, Question
from linvar.symbolic.sgd.road import squared_means
from linvar.symbolic.sgd.steps import Steps
from linvar.symbolic.traces.formula import TraceFormula
from linvar.symbolic.traces.means import mean_gradients
from linvar.symbolic.traces.statement import derived, statement_of


class TracesAt:
    """The integrator of step t, 0 or 1."""

    def __init__(self, steps: Steps) -> None:
        law, weights = steps.law.wishart, steps.model.layers
        assert law is not None and weights is not None  # the road is closed otherwise
        self.problem, self.law, self.weights = steps.problem, law, weights
        self.answers = answer_ring(self.problem.symbols)
        self.report: Progress = say_nothing

    def expectations(self, question: Question, report: Progress = say_nothing) -> list[Element]:
        """E of each form, in the ring of the answers."""
        self.report = report
        return answered(question, self)

    def formula(self, quantity: str, layer: int | None = None) -> Element:
        """The value of a formula, of one layer or of all."""
        statement = statement_of(self.problem, quantity, self.law.white, None if layer is None else (layer,))
        derived(statement, self.report)
        return self.lifted(TraceFormula(statement).coefficients(self.problem, self.answers.scalars))

    def lifted(self, coefficients: Sequence[Element]) -> Element:
        """A polynomial in u with these coefficients."""
        return self.answers.from_terms(
            {(k, *key): c for k, element in enumerate(coefficients) for key, c in element.terms()}
        )

    @property
    def rate(self) -> Element:
        """That of the step before the one that is measured, or of the update."""
        return self.answers.lift(self.problem.distinct_learning_rates[0])

    def gain(self, of: str) -> Element:
        """What the gradient is multiplied by."""
        return -self.rate if of == "update" else self.answers.one

    def squared_gain(self, of: str) -> Element:
        """The same of its square."""
        return self.gain(of) * self.gain(of)

    @cached_property
    def pushes(self) -> _Pushes:
        """X_l and Y_l at the first weights, over the ring."""
        return _Pushes(self)


class _Pushes:
    """See (1) and (2)."""

    def __init__(self, at: TracesAt) -> None:
        self.at, self.ring = at, at.answers
        lift, law, layers = self.ring.lift, at.law, at.weights
        self.weights = [[[lift(entry) for entry in row] for row in matrix] for matrix in layers]
        teacher, self.sigma = (
            [[lift(entry) for entry in row] for row in matrix] for matrix in (law.teacher, law.covariance)
        )
        self.noise = lift(law.noise_variance)
        size = len(layers)
        below = [_identity(len(self.sigma), self.ring)]
        for weight in self.weights[:-1]:
            below.append(matrices.product(weight, below[-1]))
        above = [_identity(len(teacher), self.ring)]
        for weight in reversed(self.weights[1:]):
            above.append(matrices.product(matrices.transpose(weight), above[-1]))
        self.below, self.above = below, above[::-1]  # B_l, A_l^T
        error = matrices.subtract(matrices.product(self.weights[-1], below[-1]), teacher)
        self.pushed = [matrices.product(self.above[l], error) for l in range(size)]

    def mean(self, l: int) -> Rows[Element]:
        """(1)."""
        return matrices.product(matrices.product(self.pushed[l], self.sigma), matrices.transpose(self.below[l]))

    def _through(self, a: Rows[Element], b: Rows[Element]) -> Rows[Element]:
        """a Sigma b^T."""
        return matrices.product(matrices.product(a, self.sigma), matrices.transpose(b))

    def covariance(self) -> list[list[Element]]:
        """(2) without u, of the entries of all layers."""
        places = [
            (l, i, j)
            for l, weight in enumerate(self.weights)
            for i in range(len(weight))
            for j in range(len(weight[0]))
        ]
        size = range(len(self.weights))
        outer = {
            (l, m): matrices.add_scaled(
                self._through(self.pushed[l], self.pushed[m]),
                matrices.product(self.above[l], matrices.transpose(self.above[m])),
                self.noise,
            )
            for l in size
            for m in size
        }
        inner = {(l, m): self._through(self.below[l], self.below[m]) for l in size for m in size}
        crossed = {(l, m): self._through(self.pushed[l], self.below[m]) for l in size for m in size}
        return [
            [outer[l, m][i][k] * inner[l, m][j][n] + crossed[l, m][i][n] * crossed[m, l][k][j] for (m, k, n) in places]
            for (l, i, j) in places
        ]


def _identity(size: int, ring: Ring) -> list[list[Element]]:
    return [[ring.one if i == j else ring.zero for j in range(size)] for i in range(size)]


@singledispatch
def answered(question: Question, at: TracesAt) -> list[Element]:
    """The expectations of a question's forms.

    Raises:
        InputError: there is no formula for it.
    """
    raise InputError("road", "traces", "use linvar.Expansion()", fault=f"does not answer {question.name}")


@answered.register
def _(question: Norms, at: TracesAt) -> list[Element]:
    layers = range(at.problem.depth) if question.per_leaf else [None]
    gain = at.squared_gain(question.of)
    return [gain * at.formula(part, layer) for part in ("norms", "spreads") for layer in layers]


@answered.register
def _(question: Means, at: TracesAt) -> list[Element]:
    gain = at.gain(question.of)
    means = mean_gradients(at.problem, at.weights, at.law, at.answers.scalars)
    return [gain * at.lifted(entry) for matrix in means for row in matrix for entry in row]


@answered.register
def _(question: DoubledLoss, at: TracesAt) -> list[Element]:
    return [at.formula("loss") * fmpq(2)]


@answered.register
def _(question: Entries, at: TracesAt) -> list[Element]:
    pushes, found = at.pushes, []
    for l, weight in enumerate(pushes.weights):
        moved = matrices.add_scaled(weight, pushes.mean(l), -at.rate) if at.problem.step else weight
        found += [entry for row in moved for entry in row]
    return found


@answered.register
def _(question: Products, at: TracesAt) -> list[Element]:
    means = answered(Entries(), at)
    products = [a * b for a, b in combinations_with_replacement(means, 2)]
    if not at.problem.step:
        return products
    covariance, factor = at.pushes.covariance(), at.rate * at.rate * at.answers.gens[0]
    pairs = combinations_with_replacement(range(len(means)), 2)
    return [value + factor * covariance[i][j] for value, (i, j) in zip(products, pairs)]


@squared_means.register
def _(integrator: TracesAt, of: str, sizes: Sequence[int], report: Progress) -> list[Element]:
    """A formula of each layer."""
    integrator.report = report
    return [integrator.squared_gain(of) * integrator.formula("squared_mean", l) for l in range(len(sizes))]
