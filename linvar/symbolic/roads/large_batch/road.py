"""Road (c), the large-batch expansion: the first coefficients in u = 1/b, exactly or enclosed, at any number of steps.

At infinite batch size SGD is deterministic. About that path the state W_t + delta has moments that close order by order
(``fluctuations``), and a form f in the state has E f = f(W_t) + E of its Taylor polynomial in delta (``taylor``). Up to u^K only
total degrees up to 2K matter. For the variance the values at the path drop out: with gbar the mean gradient given the state
and p = gbar(W_t + delta) - gbar(W_t),

    var_t = sum ( E p^2 - (E p)^2 ) + u E (spread of one example's gradient),      the spread up to u^{K-1} only.

Exact rationals have about 2L-1 times as many digits after each step; enclosures keep the digits asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import Any

from flint import arb, fmpz

from linvar.problem import Problem
from linvar.symbolic.algebra.scalars import Balls, Integers, Symbolic
from linvar.symbolic.result.truncated import LargeBatchExpansion
from linvar.symbolic.roads.large_batch.path import Path, Polynomials, Series
from linvar.symbolic.roads.large_batch.size import check_arguments, clamped

#: the first guess of the bits that enclosures lose
_SPARE_BITS = 64
_BITS_A_STEP = 2
#: an enclosure that contains zero is taken to be one of zero after this many times the bits asked for
_PATIENCE = 16


class LargeBatch:
    """What is asked of a problem, up to u^order: exact, or with ``digits`` enclosed.

    Args:
        problem: iid sampling.
        order: K >= 0, the highest power of u = 1/b; what is beyond the degree bound of the problem is zero.
        digits: certified significant digits of every coefficient; None for exact coefficients.
        of: "gradient", or "update" (see ``last_step``).

    Raises:
        ValueError: sampling without replacement, an order or digits that are no such numbers, digits with symbols.

    A coefficient that is zero by a coincidence of numbers (not by its form) cannot be told from a tiny one: it is enclosed
    in a tiny interval around zero.
    """

    def __init__(
        self,
        problem: Problem,
        order: int,
        digits: int | None = None,
        of: str = "gradient",
    ) -> None:
        check_arguments(problem, order, digits)
        self.problem, self.order, self.digits = problem, clamped(problem, order), digits
        self._beyond = order - self.order
        self._polynomials = Polynomials(problem, of)
        self._path: Path | None = None

    def variance(self, per_layer: bool = False) -> Any:
        """sum_l E ||G_l||^2 - ||E G_l||^2."""
        return self._answer(lambda path: path.variances(per_layer), per_layer)

    def second_moment(self, per_layer: bool = False) -> Any:
        """sum_l E ||G_l||^2."""
        return self._answer(lambda path: path.second_moments(per_layer), per_layer)

    def squared_mean(self, per_layer: bool = False) -> Any:
        """sum_l ||E G_l||^2."""
        return self._answer(lambda path: path.squared_means(per_layer), per_layer)

    def loss(self) -> LargeBatchExpansion:
        """Half of E ||P x - y||^2 at W_t."""
        result: LargeBatchExpansion = self._answer(lambda path: path.losses(), False)
        return result

    def weights(self) -> list[LargeBatchExpansion]:
        """E of every entry of W_t."""
        return list(self._answer(lambda path: path.weights(), True))

    def covariances(self) -> dict[tuple[int, int], LargeBatchExpansion]:
        """Cov of the entries i <= j of W_t."""
        pairs = list(combinations_with_replacement(range(self._polynomials.entries), 2))
        return dict(zip(pairs, self._answer(lambda path: path.covariances(pairs), True)))

    def _answer(self, quantity: Callable[[Path], list[Series]], separate: bool) -> Any:
        """The series of a quantity as expansions: enclosures are computed again until they have their digits."""
        path = self._path or Path(self._polynomials, self.order, self._scalars())
        while True:
            with path.scalars.working():
                series = quantity(path)
            self._path = path
            if self.digits is None:
                break
            bits = _bits_that_do(series, self.digits, path.scalars.bits, self.problem.step)
            if bits == path.scalars.bits:
                break
            path = Path(self._polynomials, self.order, Balls(bits))
        ring = self._polynomials.symbols
        zeros = [path.scalars.divide(path.scalars.zero, fmpz(1))] * self._beyond
        series = [[*values, *zeros] for values in series]
        if self.digits is None and not self.problem.symbols:
            series = [[ring.lift(value) for value in values] for values in series]
        answers = tuple(LargeBatchExpansion(values, ring=ring, digits=self.digits) for values in series)
        return answers if separate else answers[0]

    def _scalars(self) -> Any:
        """The numbers to compute with."""
        if self.digits is not None:
            return Balls(_bits_of(self.digits) + _SPARE_BITS + _BITS_A_STEP * self.problem.step)
        return Symbolic(self._polynomials.symbols) if self.problem.symbols else Integers()


def _bits_of(digits: int) -> int:
    """Bits of so many decimal digits, and a guard."""
    return digits * 3322 // 1000 + 4


def _bits_that_do(series: list[Series], digits: int, bits: int, step: int) -> int:
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
