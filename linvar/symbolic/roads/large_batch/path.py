"""The path of SGD at infinite batch size, the moments of the fluctuations about it, and what is asked of them at step t."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic

from linvar.exact import Exact
from linvar.flint import fmpz
from linvar.symbolic.algebra.ring import Element, Ring
from linvar.symbolic.algebra.scalars import Coefficient, S, Scalars
from linvar.symbolic.algebra.taylor import Local, Monomial, Point, Taylor
from linvar.symbolic.models.step import Step
from linvar.symbolic.roads.large_batch import fluctuations
from linvar.symbolic.roads.large_batch.fluctuations import BatchMoments, at_rest, batch_moments
from linvar.symbolic.sgd.last_step import LastStep
from linvar.symbolic.sgd.steps import Steps
from linvar.symbolic.sgd.update import State, Update

#: the coefficients of u^0, ..., u^K of an answer
Series = list[Coefficient]


class Polynomials:
    """A step of SGD, and the forms of the last one, as polynomials in the state; expanded once."""

    def __init__(self, steps: Steps) -> None:
        self.problem = problem = steps.problem
        self.steps = steps
        self.shapes = [(len(matrix), len(matrix[0])) for matrix in problem.leaves]
        #: entries of the weights, and of the whole state
        self.entries = sum(rows * columns for rows, columns in self.shapes)
        self.size = self.entries * (2 if problem.momentum != 0 else 1)
        self.symbols = Ring(0, problem.symbols)
        self._updates: dict[tuple[Step, Exact], tuple[list[Element], Ring]] = {}
        self._moments: dict[tuple[Step, int], list[dict[Monomial, Element]]] = {}

    def state(self, ring: Ring) -> State[Element]:
        """The state whose entries are the first variables of the ring."""
        entries = iter(ring.gens)
        copies = [
            [[[next(entries) for _ in range(columns)] for _ in range(rows)] for rows, columns in self.shapes]
            for _ in range(self.size // self.entries)
        ]
        return State(*copies)

    def start(self) -> list[Element]:
        """The entries of the state at step 0, in the ring of the symbols."""
        return _entries(Update(self.problem, self.symbols).start())

    def update(self, step: int) -> tuple[list[Element], Ring]:
        """The entries of the state after a step: polynomials in those before, and in the fluctuations of the batch."""
        kind, rate = self.steps[step], self.problem.learning_rates[step]
        if (kind, rate) not in self._updates:
            ring = Ring(self.size + len(kind.features), self.problem.symbols)
            state = self.state(ring)
            gradients = kind.gradients(state.weights, self._variables(kind, ring), ring)
            following = Update(self.problem, ring).advance(state, gradients, rate)
            self._updates[kind, rate] = _entries(following), ring
        return self._updates[kind, rate]

    def _variables(self, kind: Step, ring: Ring) -> list[Element]:
        """The variables of a step from their fluctuations xi."""
        fluctuations = list(ring.gens[self.size :])
        if kind.central:
            return fluctuations
        means = self.steps.law.means(kind.features, ring)
        return [mean + xi for mean, xi in zip(means, fluctuations)]

    def batch_moments(self, kind: Step, order: int) -> list[dict[Monomial, Element]]:
        """Central moments of the variables of a step."""
        if (kind, order) not in self._moments:
            self._moments[kind, order] = batch_moments(self.steps.law, kind.features, order, self.problem.symbols)
        return self._moments[kind, order]

    @cached_property
    def ring(self) -> Ring:
        """The forms of the last step live here."""
        return Ring(self.size, self.problem.symbols)

    @cached_property
    def _last(self) -> LastStep[Element]:
        return LastStep(self.state(self.ring), self.steps, self.ring)

    def means(self, of: str) -> list[Element]:
        """The entries of the mean gradient (or update) given the state, layer by layer."""
        return [entry for matrix in self._last.means(of) for row in matrix for entry in row]

    def spreads(self, of: str) -> list[Element]:
        """The variance of one example's gradient (or update) given the state, layer by layer."""
        return self._last.spreads(of)

    @cached_property
    def doubled_loss(self) -> Element:
        """E ||P x - y||^2 given the state."""
        return self._last.doubled_loss()


@dataclass(frozen=True)
class MeanAboutPath(Generic[S]):
    """gbar about the path: gbar and its Taylor polynomial, E p and E p^2 of p = gbar(W_t + delta) - gbar(W_t), entry by entry."""

    local: Local[S]
    means: list[list[S]]
    squares: list[list[S]]


class Path(Generic[S]):
    """The state at step t in some kind of numbers, moments of its fluctuations, and the answers.

    Answers are lists of series; each sums a group of entries, ``separate`` layers or all of them.
    """

    def __init__(self, polynomials: Polynomials, order: int, scalars: Scalars[S, Any]) -> None:
        self.polynomials, self.order, self.scalars = polynomials, order, scalars
        self.problem = polynomials.problem
        self._steps = fluctuations.Steps(order, scalars)
        self._found: dict[str, MeanAboutPath[S]] = {}
        with scalars.working():
            self._run()

    def _run(self) -> None:
        """All steps."""
        entries, denominator = self.scalars.lift(self.polynomials.start())
        self.point = Point(entries, denominator)
        self.moments = at_rest(self.order, self.scalars)
        expanded: dict[tuple[Step, Exact, bool], Taylor[S]] = {}
        batches: dict[Step, BatchMoments[S]] = {}
        for s, rate in enumerate(self.problem.learning_rates):
            kind = self.polynomials.steps[s]
            key = kind, rate, s == 0
            if key not in expanded:
                update, ring = self.polynomials.update(s)
                expanded[key] = Taylor(update, ring, self.polynomials.size, 2 * self.order, self.scalars, s == 0)
            if kind not in batches:
                batches[kind] = self._batch(kind)
            local = expanded[key].at(self.point)
            self.moments = self._steps.advance(self.moments, batches[kind], local)
            self.point = Point(local.values, local.denominator)

    def _batch(self, kind: Step) -> BatchMoments[S]:
        """The moments of a batch in these numbers."""
        exact = self.polynomials.batch_moments(kind, self.order)
        lifted, denominator = self.scalars.lift([value for values in exact for value in values.values()])
        numbers = iter(lifted)
        return BatchMoments(
            len(kind.features),
            [{monomial: next(numbers) for monomial in values} for values in exact],
            denominator,
        )

    def _local(self, forms: Sequence[Element], order: int) -> Local[S]:
        """Forms about the state at step t, up to u^order."""
        still = self.problem.step == 0
        taylor = Taylor(forms, self.polynomials.ring, self.polynomials.size, 2 * order, self.scalars, still)
        return taylor.at(self.point)

    def _means(self, of: str) -> MeanAboutPath[S]:
        """The mean gradient (or update), found once."""
        if of not in self._found:
            local = self._local(self.polynomials.means(of), self.order)
            first, second = self._steps.means(self.moments, local, self.order), self._steps.squares(self.moments, local)
            self._found[of] = MeanAboutPath(local, first, second)
        return self._found[of]

    def _groups(self, separate: bool) -> list[list[int]]:
        """The entries that are summed, by their layers."""
        layers, start = [], 0
        for rows, columns in self.polynomials.shapes:
            layers.append(list(range(start, start + rows * columns)))
            start += rows * columns
        return layers if separate else [list(range(start))]

    def variances(self, of: str, separate: bool) -> list[Series]:
        """sum E p^2 - (E p)^2, and the spreads."""
        found = self._means(of)
        local, means, squares = found.local, found.means, found.squares
        scale, denominator = self.moments.denominator, (local.denominator * self.moments.denominator) ** 2
        parts = []
        for group in self._groups(separate):
            total = self._sum(squares, group, scale)
            taken = self._sum([self._times(means[i], means[i]) for i in group], range(len(group)), 1)
            parts.append([self.scalars.divide(a - b, denominator) for a, b in zip(total, taken)])
        return self._with_spreads(parts, of, separate)

    def second_moments(self, of: str, separate: bool) -> list[Series]:
        """sum gbar^2 + 2 gbar E p + E p^2, and the spreads."""
        found = self._means(of)
        local, means, squares = found.local, found.means, found.squares
        denominator = local.denominator**2 * self.moments.denominator
        parts = []
        for group in self._groups(separate):
            total = self._sum(squares, group, 1)
            crossed = [sum((local.values[i] * means[i][k] for i in group), self.scalars.zero) for k in self._powers]
            total = [a + b * 2 for a, b in zip(total, crossed)]
            at_path = sum((local.values[i] * local.values[i] for i in group), self.scalars.zero)
            total[0] = total[0] + at_path * self.moments.denominator
            parts.append([self.scalars.divide(value, denominator) for value in total])
        return self._with_spreads(parts, of, separate)

    def squared_means(self, of: str, separate: bool) -> list[Series]:
        """sum (gbar + E p)^2."""
        local, means = self._means(of).local, self._means(of).means
        denominator = (local.denominator * self.moments.denominator) ** 2
        parts = []
        for group in self._groups(separate):
            whole = [self._whole(local.values[i], means[i]) for i in group]
            total = self._sum([self._times(series, series) for series in whole], range(len(group)), 1)
            parts.append([self.scalars.divide(value, denominator) for value in total])
        return parts

    def losses(self) -> list[Series]:
        """Half of the doubled loss."""
        local = self._local([self.polynomials.doubled_loss], self.order)
        (mean,) = self._steps.means(self.moments, local, self.order)
        denominator = 2 * local.denominator * self.moments.denominator
        return [[self.scalars.divide(value, denominator) for value in self._whole(local.values[0], mean)]]

    def weights(self) -> list[Series]:
        """E of the entries of the weights."""
        denominator = self.point.denominator * self.moments.denominator
        return [
            [self.scalars.divide(value, denominator) for value in self._whole(entry, self._moment((i,)))]
            for i, entry in enumerate(self.point.entries[: self.polynomials.entries])
        ]

    def covariances(self, pairs: Sequence[tuple[int, int]]) -> list[Series]:
        """E delta_i delta_j - E delta_i E delta_j."""
        scale = self.moments.denominator
        denominator = (self.point.denominator * scale) ** 2
        result = []
        for i, j in pairs:
            taken = self._times(self._moment((i,)), self._moment((j,)))
            result.append(
                [self.scalars.divide(a * scale - b, denominator) for a, b in zip(self._moment((i, j)), taken)]
            )
        return result

    @property
    def _powers(self) -> range:
        return range(self.order + 1)

    def _moment(self, monomial: Monomial) -> list[S]:
        """E of a product of one or two entries of delta."""
        if not self.moments.variables:
            return [self.scalars.zero for _ in self._powers]
        place = self._steps.tables.places(self.moments.variables, 2)[monomial]
        return [self.scalars.zero, *(values[place] for values in self.moments.values[1:])]

    def _whole(self, value: S, mean: list[S]) -> list[S]:
        """A value at the path and the mean of its deviation, over the denominator of the mean."""
        return [mean[0] + value * self.moments.denominator, *mean[1:]]

    def _sum(self, series: Sequence[list[S]], chosen: Sequence[int], factor: fmpz | int) -> list[S]:
        """The sum of some series, times a number."""
        return [sum((series[i][k] for i in chosen), self.scalars.zero) * factor for k in self._powers]

    def _times(self, a: list[S], b: list[S]) -> list[S]:
        """The product of two series up to u^K."""
        return [sum((a[j] * b[k - j] for j in range(k + 1)), self.scalars.zero) for k in self._powers]

    def _with_spreads(self, parts: list[Series], of: str, separate: bool) -> list[Series]:
        """The parts, plus u times E of the spreads."""
        if not self.order:
            return parts
        local = self._local(self.polynomials.spreads(of), self.order - 1)
        means = self._steps.means(self.moments, local, self.order - 1)
        denominator = local.denominator * self.moments.denominator
        whole = [self._whole(value, mean) for value, mean in zip(local.values, means)]
        groups = [[l] for l in range(len(whole))] if separate else [list(range(len(whole)))]
        for part, group in zip(parts, groups):
            for k in range(self.order):
                spread = sum((whole[l][k] for l in group), self.scalars.zero)
                part[k + 1] = _plus(part[k + 1], self.scalars.divide(spread, denominator))
        return parts


def _plus(a: Coefficient, b: Coefficient) -> Coefficient:
    """a + b, which are of one kind."""
    return a + b  # type: ignore[operator]  # the kind of a path's numbers


def _entries(state: State[Element]) -> list[Element]:
    """The entries of the weights and momenta, layer by layer, row by row."""
    return [entry for matrix in (*state.weights, *state.momenta) for row in matrix for entry in row]
