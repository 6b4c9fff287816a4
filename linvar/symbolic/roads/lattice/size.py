"""What the lattice road will need, known before it starts (and without JAX).

The grid is known: step s has degree D_s = d (2L-1)^(t-1-s) in its m_s variables, hence C(D_s + m_s, m_s) nodes. The steps of
SGD are run once on numbers that only count products and carry two sizes, log2 of the value and of its denominator:
what comes out says how many operations a node takes and how many primes the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import comb, inf, log2, prod
from operator import mul
from typing import Any

from linvar import matrices
from linvar.exact import Rational
from linvar.laws.polynomial import Polynomial, coordinates
from linvar.problem import Problem
from linvar.symbolic.cost import Amounts, costs, total
from linvar.symbolic.models.step import MOST_VARIABLES
from linvar.symbolic.roads.lattice.reconstruction import CHECKS
from linvar.symbolic.schemes.registry import exact_scheme
from linvar.symbolic.sgd.last_step import LastStep
from linvar.symbolic.sgd.steps import Steps
from linvar.symbolic.sgd.update import Update

_PRIME_BITS = 25.9
#: More nodes than that would take years: nothing further is predicted.
MOST_NODES = 10**15
#: products and sums over examples beyond which a prediction does not run the steps
_MOST_COUNTED = 100_000
_MOST_BLOCKS = 4
_LEAST_ROWS = 6


@dataclass(frozen=True)
class LatticeSize:
    """The predicted cost of the expectations of a few forms on a lattice."""

    nodes: int
    #: products modulo a prime, of all nodes and one prime
    operations: int
    primes: int
    bytes: int
    #: in a warm process
    seconds: float
    #: seconds more of the first call
    compilation: float
    #: amounts of work (``cost``)
    byte_amounts: Amounts = field(default_factory=dict, repr=False)
    second_amounts: Amounts = field(default_factory=dict, repr=False)
    compilation_amounts: Amounts = field(default_factory=dict, repr=False)


def stair_counts(dimension: int, degree: int) -> tuple[int, tuple[int, ...]]:
    """Rows of a block, and how many of the lines along an axis of the lattice simplex reach into each block."""
    rows = degree + 1
    height = -(-rows // min(_MOST_BLOCKS, -(-rows // _LEAST_ROWS)))
    if not dimension:
        return height, ()
    return height, tuple(comb(degree - start + dimension - 1, dimension - 1) for start in range(0, rows, height))


def step_degrees(problem: Problem, degree: int) -> list[int]:
    """D_s: the degree of forms of this degree in the variables of each step s."""
    odd = problem.growth
    return [degree * odd ** (problem.step - 1 - s) for s in range(problem.step)]


def predict(steps: Steps, degree: int) -> LatticeSize:
    """The size of the lattice for forms of this degree in the state (4 L - 2: the second moment of the gradient)."""
    degrees = step_degrees(steps.problem, degree)
    variables = [step.count() for step in steps]
    few = max(variables, default=0) < MOST_VARIABLES
    counts = [comb(order + count, count) for count, order in zip(variables, degrees)] if few else [MOST_NODES + 1]
    nodes = prod(counts)
    if nodes > MOST_NODES:
        return LatticeSize(nodes, nodes, 0, 10**24, inf, 0.0)
    product_count, size, denominator = (_roughly if steps.model.too_wide_to_count else _counted)(steps, degree, degrees)
    primes = 2 + CHECKS + int((size + 2 * denominator) / _PRIME_BITS)
    operations = nodes * max(1, product_count)
    summands = 0
    inner = 1  # powers of u of the later steps
    for s in reversed(range(len(degrees))):
        powers = max(1, degrees[s])
        summands += 4 * prod(counts[: s + 1]) * powers * inner
        inner += powers - 1
    points = [steps.law.points(count, order) if count and order else 0 for count, order in zip(variables, degrees)]
    exact, entries, values = 0, 0, 0
    for count, order, many, examples in zip(variables, degrees, counts, points):
        directions = _directions(count, order)
        summands += _moment_products(count, order, many) + directions * order * examples
        entries += 4 * many * max(1, order) + 3 * directions * (order + 1) ** 2
        values += count * examples
    if any(points) and steps.model.too_wide_to_count:
        exact = sum(map(mul, points, variables)) * steps.law.width**2
    elif any(points):
        exact = sum(many * len(f.terms) for many, step in zip(points, steps) for f in step.features)
    memory = {
        "bytes_call": 1,
        "bytes_entry": entries,
        "bytes_value": values,
        "bytes_program": product_count**2,
    }
    warm = {
        "seconds_product": primes * operations,
        "seconds_summand": primes * summands,
        "seconds_prime": primes,
        "seconds_exact_product": exact,
    }
    first = {"seconds_call": 1, "seconds_step": len(degrees), "seconds_program": product_count**2}
    section = costs().lattice
    return LatticeSize(
        nodes,
        operations,
        primes,
        int(total(section, memory)),
        total(section, warm),
        total(section, first),
        memory,
        warm,
        first,
    )


def _counted(steps: Steps, degree: int, degrees: list[int]) -> tuple[int, float, float]:
    """Products of the last step of SGD and of the forms; log2 of the size and of the denominator of a form of this degree."""
    problem, counter = steps.problem, _Counter()
    state = Update(problem, counter).start()
    for s, (step, order) in enumerate(zip(steps, degrees)):
        counter.products = 0
        moments = [counter.variable(steps, feature, order) for feature in step.features]
        gradients = step.gradients(state.weights, moments, counter)
        state = Update(problem, counter).advance(state, gradients, problem.learning_rates[s])
    last = LastStep(state, steps, counter)
    for matrix in (*last.means(), *([[last.spreads()]] if degree > problem.degree - 1 else [])):
        matrices.squared_norm(matrix)
    sizes = [entry for matrix in last.means() for row in matrix for entry in row]
    per_degree = degree / problem.growth
    denominator = max((entry.denominator for entry in sizes), default=0.0)
    size = max((entry.size + entry.denominator for entry in sizes), default=0.0) - denominator
    return counter.products, size * per_degree, denominator * per_degree


def _roughly(steps: Steps, degree: int, degrees: list[int]) -> tuple[int, float, float]:
    """The same of a wide problem, from what its model says and the sizes of its numbers."""
    problem = steps.problem
    last = steps[problem.step - 1].count() if problem.step else 0
    products, terms = steps.model.rough_work(last)
    counter, odd = _Counter(), problem.growth
    unit = coordinates(1)[0] ** 2
    entries = [counter.lift(entry) for matrix in problem.leaves for row in matrix for entry in row if entry != 0]
    bits, below = (max((getattr(e, name) for e in entries), default=0.0) for name in ("size", "denominator"))
    summed = log2(terms)
    for rate, order in zip(problem.learning_rates, degrees):
        batch, factor = counter.variable(steps, unit, order), counter.lift(rate)
        bits = max(bits, factor.size + batch.size + odd * bits + summed)
        below = max(below, factor.denominator + batch.denominator + odd * below)
    batch = counter.variable(steps, unit, 1)
    each = degree / max(1, odd)
    return products, (odd * bits + batch.size + summed) * each, (odd * below + batch.denominator) * each


def _directions(variables: int, order: int) -> int:
    """Directions (1, y), |y| <= D."""
    return comb(order + variables - 1, variables - 1) if variables else 1


def _moment_products(variables: int, order: int, count: int) -> int:
    """Products modulo one prime of ``modular_moments`` for one step."""
    if not variables or not order:
        return 1
    height, lines = stair_counts(variables, order)
    sweeps = 4 * (2 * variables - 1) * order * height**2 * sum((i + 1) * many for i, many in enumerate(lines))
    return _directions(variables, order) * (order + 1) ** 3 + 4 * count * (order + 1) ** 2 + sweeps


class _Counter:
    """A ring that counts products and carries sizes."""

    def __init__(self) -> None:
        self.products = 0

    def lift(self, value: Any) -> _Number:
        """An exact number."""
        number = Rational(value)
        if not number:
            return _Number(self, 0.0, 0.0, number)
        return _Number(self, _log2(abs(number)), log2(number.denominator), number)

    def variable(self, steps: Steps, feature: Polynomial, order: int) -> _Number:
        """A batch mean: the D-th root of its moment of order D, which grows like 2 D / e times the law's size."""
        entries, problem = [coefficient for _, coefficient in feature.terms], steps.problem
        numbers, factors = steps.law.factors()
        extra = log2(problem.dataset_size or 1) * exact_scheme(problem.sampling).dataset_powers
        denominator = max(log2(number.denominator) for number in entries)
        denominator += factors * max(log2(Rational(number).denominator) for number in numbers) + extra
        largest = max((_log2(abs(Rational(number))) for number in numbers if number), default=0.0)
        size = max(_log2(abs(entry)) for entry in entries) + factors * largest + log2(max(1.0, 2 * order / 2.7))
        return _Number(self, size, denominator, None)


class _Number:
    """log2 of a number's size and of its denominator; exact where it is a constant."""

    __slots__ = ("ring", "size", "denominator", "exact")

    def __init__(self, ring: _Counter, size: float, denominator: float, exact: Rational | None) -> None:
        self.ring, self.size, self.denominator, self.exact = ring, size, denominator, exact

    def _other(self, other: Any) -> _Number:
        return other if isinstance(other, _Number) else self.ring.lift(other)

    def __add__(self, other: Any) -> _Number:
        second = self._other(other)
        if self.exact is not None and second.exact is not None:
            return self.ring.lift(self.exact + second.exact)
        if self.exact == 0:
            return second
        if second.exact == 0:
            return self
        small, large = sorted((self.size, second.size))
        total = large + log2(1 + 2 ** max(-60.0, (small - large)))
        return _Number(self.ring, total, max(self.denominator, second.denominator), None)

    __radd__ = __sub__ = __rsub__ = __add__

    def __neg__(self) -> _Number:
        return self

    def __mul__(self, other: Any) -> _Number:
        other = self._other(other)
        if self.exact is not None and other.exact is not None:
            return self.ring.lift(self.exact * other.exact)
        for one, second in ((self, other), (other, self)):
            if one.exact == 0:
                return one
            if one.exact == 1 or one.exact == -1:
                return second
        self.ring.products += 1
        return _Number(self.ring, self.size + other.size, self.denominator + other.denominator, None)

    __rmul__ = __mul__

    def __eq__(self, other: object) -> bool:
        return self.exact is not None and self.exact == other

    __hash__ = None  # type: ignore[assignment]


def _log2(value: Fraction) -> float:
    """log2 of a positive number of any size."""
    return log2(value.numerator) - log2(value.denominator)
