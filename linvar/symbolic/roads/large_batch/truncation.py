"""Road (c), the large-batch expansion: the first coefficients in u = 1/b, exactly or enclosed, at any number of steps.

At infinite batch size SGD is deterministic. About that path the state W_t + delta has moments that close order by order
(``fluctuations``), and a form f in the state has E f = f(W_t) + E of its Taylor polynomial in delta (``taylor``). Up to u^K only
total degrees up to 2K matter. For the variance the values at the path drop out: with gbar the mean gradient given the state
and p = gbar(W_t + delta) - gbar(W_t),

    var_t = sum ( E p^2 - (E p)^2 ) + u E (spread of one example's gradient),      the spread up to u^{K-1} only.

Exact rationals have about 2L-1 times as many digits after each step; enclosures keep the digits asked for. Up to u^1 the variance
of a linear network is also that of ``pairs``, taken where that is quicker: it knows no entries of the state, only matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any, cast

from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.flint import arb, fmpq, fmpz
from linvar.problem import Problem
from linvar.progress import Progress, reporting
from linvar.symbolic.algebra.scalars import Balls, Integers, Symbolic, rational
from linvar.symbolic.pairs.statement import coefficients, wishart_of
from linvar.symbolic.quantities import check_measured, named, symmetric
from linvar.symbolic.result.truncated import LargeBatchExpansion
from linvar.symbolic.roads.large_batch.path import Path, Polynomials, Series
from linvar.symbolic.roads.large_batch.road import LargeBatch
from linvar.symbolic.roads.large_batch.size import LargeBatchSize, check_arguments, clamped
from linvar.symbolic.sgd.road import RoadPlan
from linvar.symbolic.sgd.steps import Steps
from linvar.symbolic.views import table_of_expansions

if TYPE_CHECKING:
    from jaxtyping import PyTree

Expansions = tuple[LargeBatchExpansion, ...]

#: the first guess of the bits that enclosures lose
_SPARE_BITS = 64
_BITS_A_STEP = 2
#: an enclosure that contains zero is taken to be one of zero after this many times the bits asked for
_PATIENCE = 16


class LargeBatchDerivation(Tabular):
    """What is asked of a problem, up to u^order: exact, or with ``digits`` enclosed (``linvar.large_batch``).

    Each attribute is a ``LargeBatchExpansion``, or a tuple of them; all of one path of SGD, found when the first is asked for.
    The formulas and conventions are those of ``linvar.Derivation``.

    A coefficient that is zero by a coincidence of numbers (not by its form) cannot be told from a tiny one: it is enclosed
    in a tiny interval around zero.

    Attributes:
        problem: iid sampling.
        road: the order and the digits.
        plan: what was predicted of the variance.
    """

    def __init__(
        self,
        steps: Steps,
        road: LargeBatch,
        plan: RoadPlan,
        progress: bool | Progress | None,
        about_path: Callable[[], RoadPlan],
    ) -> None:
        """``about_path``: the plan of all else, where the variance has one of its own; it raises where that does not fit."""
        check_arguments(steps.problem, road.order, road.digits)
        self.problem, self.road, self.plan = steps.problem, road, plan
        self._steps, self._progress, self._about_path = steps, progress, about_path
        self._order = clamped(steps.problem, road.order)
        self._polynomials = Polynomials(steps)
        self._path: Path[Any] | None = None
        self._known: dict[tuple[str, str, bool], Expansions] = {}

    def __repr__(self) -> str:
        return f"LargeBatchDerivation({self.problem!r}, {self.road!r})"

    def __reduce__(self) -> tuple[object, ...]:  # what was found goes along, the path does not
        return _restored, (self.problem, self.road, self.plan, self._about_path, self._known)

    def to_table(self) -> Table:
        """What was found so far, a row a quantity. Nothing is derived."""
        found = {named(*key): expansions for key, expansions in self._known.items()}
        return table_of_expansions(self.problem, self.plan, found)

    @property
    def variance(self) -> LargeBatchExpansion:
        """sum_l E ||G_l||^2 - ||E G_l||^2."""
        return self.measured("variance")

    @property
    def update_variance(self) -> LargeBatchExpansion:
        """The same of W_{t+1} - W_t."""
        return self.measured("variance", "update")

    @property
    def second_moment(self) -> LargeBatchExpansion:
        """sum_l E ||G_l||^2."""
        return self.measured("second_moment")

    @property
    def squared_mean(self) -> LargeBatchExpansion:
        """sum_l ||E G_l||^2."""
        return self.measured("squared_mean")

    @property
    def loss(self) -> LargeBatchExpansion:
        """Half of E ||P x - y||^2 at W_t."""
        (found,) = self._answer(("loss", "", False), Path.losses)
        return found

    @property
    def weights(self) -> PyTree:
        """E of every entry of W_t, in the structure of the weights."""
        return self.problem.model.tree(self._answer(("weights", "", False), Path.weights), self.problem.leaves)

    @property
    def weight_covariance(self) -> tuple[Expansions, ...]:
        """Cov of the entries of W_t, row by row: (P, P)."""
        pairs = list(combinations_with_replacement(range(self._polynomials.entries), 2))
        found = self._answer(("weight_covariance", "", False), lambda path: path.covariances(pairs))
        return symmetric(found, self._polynomials.entries)

    @property
    def per_leaf(self) -> LargeBatchPerLeaf:
        """Variance, second moment and squared mean of each layer."""
        return LargeBatchPerLeaf(self)

    def measured(self, name: str, of: str = "gradient") -> LargeBatchExpansion:
        """A quantity of the gradient, or of the update, summed over the layers."""
        (found,) = self.leaves(name, of, per_leaf=False)
        return found

    def leaves(self, name: str, of: str, *, per_leaf: bool = True) -> Expansions:
        """The same of each layer, or of all of them together."""
        check_measured(of, self.problem)
        if name == "variance" and self._by_pairs is not None:
            return self._known.setdefault((name, of, per_leaf), self._variances(self._by_pairs, of, per_leaf))
        return self._answer((name, of, per_leaf), lambda path: _MEASURED[name](path, of, per_leaf))

    @cached_property
    def _size(self) -> tuple[LargeBatchSize, bool]:
        """Of the variance, and whether it is that of ``pairs``."""
        return self.road.of_variance(self._steps)

    @cached_property
    def _by_pairs(self) -> list[fmpq] | None:
        """The coefficient of u in the variance of each layer; None where it is found about the path."""
        (size, by_pairs), law = self._size, wishart_of(self._steps.model)
        if not by_pairs or law is None:
            return None
        with reporting(self._progress, self.plan.road, self.plan.cost, self.plan.seconds):
            return coefficients(self._steps.model, law, size.listed)

    def _variances(self, layers: list[fmpq], of: str, per_leaf: bool) -> Expansions:
        """The variance of the gradient, or of the update -rate G, of each layer or of all."""
        factor = fmpq(1)
        if of == "update":
            factor = rational(self._polynomials.symbols.lift(self.problem.distinct_learning_rates[0])) ** 2
        values = layers if per_leaf else [sum(layers, fmpq(0))]
        return self._exactly([[fmpq(0), value * factor] for value in values])

    def _exactly(self, series: Sequence[Sequence[fmpq]]) -> Expansions:
        """Series of numbers up to the least of the order and the degree bound; what follows is zero."""
        ring, zeros = self._polynomials.symbols, [fmpq(0)] * (self.road.order - self._order)
        return tuple(
            LargeBatchExpansion([ring.lift(value) for value in (*values, *zeros)], ring=ring) for values in series
        )

    @cached_property
    def _path_plan(self) -> RoadPlan:
        """Of what is found about the path."""
        return self._about_path() if self._size[1] else self.plan

    def _answer(self, key: tuple[str, str, bool], quantity: Callable[[Path[Any]], list[Series]]) -> Expansions:
        """The expansions of a quantity, found once."""
        if key not in self._known:
            plan = self._path_plan
            with reporting(self._progress, plan.road, plan.cost, plan.seconds):
                self._known[key] = self._expansions(quantity)
        return self._known[key]

    def _expansions(self, quantity: Callable[[Path[Any]], list[Series]]) -> Expansions:
        """The series of a quantity: enclosures are computed again until they have their digits."""
        digits = self.road.digits
        path = self._path or Path(self._polynomials, self._order, self._scalars())
        while True:
            with path.scalars.working():
                series = quantity(path)
            self._path = path
            if digits is None:
                break
            enclosed = cast("list[list[arb]]", series)  # a path in balls
            bits = _bits_that_do(enclosed, digits, path.scalars.bits, self.problem.step)
            if bits == path.scalars.bits:
                break
            path = Path(self._polynomials, self._order, Balls(bits))
        if digits is None and not self.problem.symbols:
            return self._exactly(cast("list[list[fmpq]]", series))
        ring = self._polynomials.symbols
        zeros = [path.scalars.divide(path.scalars.zero, fmpz(1))] * (self.road.order - self._order)
        series = [[*values, *zeros] for values in series]
        return tuple(LargeBatchExpansion(values, ring=ring, digits=digits) for values in series)

    def _scalars(self) -> Balls | Symbolic | Integers:
        """The numbers to compute with."""
        if self.road.digits is not None:
            return Balls(_bits_of(self.road.digits) + _SPARE_BITS + _BITS_A_STEP * self.problem.step)
        return Symbolic(self._polynomials.symbols) if self.problem.symbols else Integers()


_MEASURED: dict[str, Callable[[Path[Any], str, bool], list[Series]]] = {
    "variance": Path.variances,
    "second_moment": Path.second_moments,
    "squared_mean": Path.squared_means,
}


def _restored(
    problem: Problem,
    road: LargeBatch,
    plan: RoadPlan,
    about_path: Callable[[], RoadPlan],
    known: dict[tuple[str, str, bool], Expansions],
) -> LargeBatchDerivation:
    """Undo ``__reduce__``: what was not found yet is derived when it is asked for."""
    derivation = LargeBatchDerivation(Steps(problem), road, plan, None, about_path)
    derivation._known = dict(known)
    return derivation


@dataclass(frozen=True)
class LargeBatchPerLeaf:
    """Each leaf of the weights by itself, in their structure: a tuple, W_1 first, of a linear network."""

    derivation: LargeBatchDerivation

    def _tree(self, name: str, of: str) -> PyTree:
        return self.derivation.problem.model.tree_of_leaves(self.derivation.leaves(name, of))

    @property
    def variance(self) -> PyTree:
        """E ||G_l||^2 - ||E G_l||^2 of each leaf l."""
        return self._tree("variance", "gradient")

    @property
    def update_variance(self) -> PyTree:
        """The same of W_{t+1} - W_t."""
        return self._tree("variance", "update")

    @property
    def second_moment(self) -> PyTree:
        """E ||G_l||^2 of each leaf l."""
        return self._tree("second_moment", "gradient")

    @property
    def squared_mean(self) -> PyTree:
        """||E G_l||^2 of each leaf l."""
        return self._tree("squared_mean", "gradient")


def _bits_of(digits: int) -> int:
    """Bits of so many decimal digits, and a guard."""
    return digits * 3322 // 1000 + 4


def _bits_that_do(series: Sequence[Sequence[arb]], digits: int, bits: int, step: int) -> int:
    """The bits to compute with: those used, if every coefficient has its digits."""
    wanted, missing = _bits_of(digits), 0
    tiny = arb(1) / (fmpz(1) << (4 * wanted))
    patience = _PATIENCE * (wanted + _BITS_A_STEP * step)
    for value in (value for values in series for value in values):
        if value.is_zero() or (value.is_finite() and value.rel_accuracy_bits() >= wanted):
            continue
        if value.contains(0) and ((bits > patience and value.abs_upper() < tiny) or bits > _PATIENCE * patience):
            continue
        accuracy = value.rel_accuracy_bits() if value.is_finite() else 0
        missing = max(missing, wanted - accuracy + 16 if accuracy > 0 else bits)
    return bits + missing
