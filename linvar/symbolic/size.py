"""What an expansion will need, known before it starts.

A form of degree D in W_t is of degree j <= D in the batch of step t-1 and, for that j, of degree D + (2L-2) j in
W_{t-1}: each of the j factors that takes the gradient instead of the old weight brings 2L-1 weights in place of one.
Counting monomials of exactly these degrees gives

    N_s(D) = sum_{j=0..D} C(j + m_s - 1, j) N_{s-1}(D + (2L-2) j),        m_s variables at step s,

and N_{-1}(D) = 1 for numbers. Where constants are mixed with what varies (``steps``) the gradient has a part without
variables, and every degree j <= D comes with all degrees up to (2L-1) D: N_s(D) = C(D + m_s, m_s) N_{s-1}((2L-1) D). The count
is reached by generic numeric weights at t = 1 and for all widths 1, and is an upper bound otherwise (2-2-2, t = 2: 74,634
counted, 72,872 reached by generic weights). For symbols N_{-1}(D) counts monomials in them, by homogeneity and by the sign flips
of hidden units and coordinates, which leave every answer unchanged; it is an estimate from above.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import cache
from math import comb

from linvar.exact import Rational, free_symbols
from linvar.laws import Dataset
from linvar.problem import Problem
from linvar.symbolic.steps import MOST_VARIABLES, steps_of

#: Bytes at the peak, fitted to measurements (benchmarks/size_prediction.py): for each monomial of the expansion a
#: constant and a number of copies of its coefficient; for each moment of a batch a constant and a part for each
#: power of 1/b; for each example and monomial of half the order, one Python integer.
_PER_MONOMIAL = 1_200
_COPIES_OF_A_COEFFICIENT = 24
_PER_MOMENT = 1_500
_PER_MOMENT_AND_POWER = 500
_PER_VALUE = 60
_BYTES_A_FOURTH_MOMENT = 100
_SECONDS_A_VALUE = 5e-8
#: seconds for each byte and squared depth, for each product of terms and bit of a coefficient, for each product of moments
_SECONDS_PER_BYTE = 1.5e-9
_SECONDS_PER_BIT = 1.5e-11
_SECONDS_PER_PRODUCT = 2.5e-6
#: numbers of a data set that its digits are taken from, about
_LOOKED_AT = 10_000
_COUNTED_STEPS = 40
_COUNTED_ORDER = 3_000
#: more updates than this count as so many: their cost is a float, and beyond use
MOST_STEPS = 10**100


@dataclass(frozen=True)
class Size:
    """What a derivation will need.

    Attributes:
        monomials: of the largest polynomial.
        bytes: at the peak.
        seconds: on one core, fitted to measurements (``benchmarks/plan_accuracy.py``).
        complete: False where counting stopped early, for more steps than could ever fit: then all are lower bounds, and
            ``bytes`` is more than any machine has.
    """

    monomials: int
    bytes: int
    seconds: float
    complete: bool = True

    @property
    def count(self) -> str:
        """The monomials in words."""
        many = f"{self.monomials:,}" if self.monomials < 10**15 else "10^15 and more"
        return f"{'' if self.complete else 'far over '}{many}"


def predict(problem: Problem) -> Size:
    """The size of the expansion of a problem, without starting it (see the module docstring)."""
    if problem.depth == 1:
        return _predict_regression(problem)
    steps = steps_of(problem)
    # beyond some steps or some degree the exact count takes long and decides nothing: count fewer steps instead
    counted = 0
    while counted < min(problem.step, _COUNTED_STEPS) and _order(problem, counted) <= _COUNTED_ORDER:
        counted += 1
    variables = [steps[s].count() for s in range(counted)]
    if max(variables, default=0) >= MOST_VARIABLES:
        return _far_over(problem, variables)
    central = [steps[s].central for s in range(counted)]
    monomials = _count_monomials(problem, variables, central, 4 * problem.depth - 2)
    bits = _coefficient_bits(problem, counted)
    total = monomials * (_PER_MONOMIAL + _COPIES_OF_A_COEFFICIENT * bits // 8)
    # the squares of the mean gradient's entries
    squares = sum(len(matrix) * len(matrix[0]) for matrix in problem.weights)
    squares *= _count_monomials(problem, variables, central, 2 * problem.depth - 1) ** 2
    examples, products = problem.dataset_size or 0, 0
    for later, width in enumerate(reversed(variables)):
        order = _order(problem, later)
        total += comb(order + width, width) * (_PER_MOMENT + _PER_MOMENT_AND_POWER * order)
        total += comb((order + 1) // 2 + width, width) * examples * _PER_VALUE
        if examples:  # the logarithm and the exponential of a series in this many variables
            products += comb(order + 2 * width, 2 * width)
    complete = counted == problem.step or not any(variables)
    last = _last_step_products(problem)
    total += last * _BYTES_A_FOURTH_MOMENT
    seconds = 0.002 + last * (examples or 1) * _SECONDS_A_VALUE + bounded(total * problem.depth**2) * _SECONDS_PER_BYTE
    seconds += bounded(products) * _SECONDS_PER_PRODUCT + bounded(squares * bits) * _SECONDS_PER_BIT
    return Size(monomials, total if complete else max(total, 10**24), seconds if complete else math.inf, complete)


def _far_over(problem: Problem, variables: list[int]) -> Size:
    """A step with so many variables that nothing further counts."""
    later = next(later for later, width in enumerate(reversed(variables)) if width >= MOST_VARIABLES)
    return Size(comb(_order(problem, later) + MOST_VARIABLES, MOST_VARIABLES), 10**24, math.inf, complete=False)


def _last_step_products(problem: Problem) -> int:
    """Fourth moments of a data set's examples; none where what varies is less (``last_step``)."""
    size = len(problem.law.input_map[0])
    if not problem.dataset_size or steps_of(problem).varies_little:
        return 0
    return comb(size + 3, 4)


def _predict_regression(problem: Problem) -> Size:
    """Linear regression: one m x m matrix of polynomials of degree t in 1/b for each pair of outputs.

    In symbols: degree 2 in weights and teacher, 2 in the learning rate of each step, 4 in the law of each batch.
    """
    steps = min(problem.step, MOST_STEPS)
    weights, targets = _entries(problem)
    own_to_law = {*problem.law.symbols} - {*free_symbols(targets)}
    rates = problem.distinct_learning_rates
    open_rates = sum(not isinstance(rate, Rational) for rate in rates)
    if not isinstance(problem.learning_rate, tuple):
        open_rates *= steps
    inside = len(free_symbols([*weights, *targets]))
    monomials = comb(2 + inside, inside) * comb(4 * steps + 4 + len(own_to_law), len(own_to_law))
    if open_rates:
        own = len(free_symbols(rates))
        monomials *= comb(2 * open_rates + own, own)
    outputs, size = problem.widths[-1], len(problem.law.input_map[0])
    monomials *= outputs * (outputs + 1) // 2 * size**2 * (steps + 1)
    examples = problem.dataset_size or 1
    law = problem.law
    data = some_numbers(law) if isinstance(law, Dataset) else [entry for row in law.teacher for entry in row]
    bits = 4 * max(map(_bits, data)) + 2 * max(map(_bits, rates), default=0) + examples.bit_length()
    total = monomials * (_PER_MONOMIAL + (steps + 1) * bits // 8)
    total += comb(size + 3, 4) * 100 + comb(size + 1, 2) * examples * _PER_VALUE
    # a step of a pair of outputs: a form times all fourth moments (data), or products of matrices (Gaussian)
    products = size**4 if problem.dataset_size else 2 * size**3
    products *= steps * (outputs * (outputs + 1) // 2) * (1 if problem.momentum == 0 else 2)
    each = 1e-6 + 1.5e-7 * steps if problem.dataset_size else 4e-7 + 5e-8 * steps
    seconds = 0.002 + bounded(products) * each + 5e-4 * steps + 7e-9 * bounded(total) * bool(problem.symbols)
    return Size(monomials, total, seconds)


def _order(problem: Problem, later: int) -> int:
    """Degree of the second moment in the batch of a step with this many later updates."""
    return (4 * problem.depth - 2) * (2 * problem.depth - 1) ** later


def some_numbers(law: Dataset) -> list[Rational]:
    """Numbers of the first rows of a data set, inputs and targets."""
    rows = max(1, _LOOKED_AT // (law.input_width + law.target_width))
    return [number for row in (*law.inputs[:rows], *law.targets[:rows]) for number in row]  # type: ignore[misc]


def bounded(count: float) -> float:
    """A count of any size as a float."""
    return float(min(count, 10**300))


def default_memory_limit() -> int:
    """Half of the physical memory of the machine, in bytes."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, ValueError, OSError):  # a platform without sysconf: assume 8 GiB
        return 4 * 2**30


def format_bytes(count: int) -> str:
    """Bytes in the unit that reads best: 1.5 GB."""
    value = float(min(count, 10**300))
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < 999.5:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} PB"


def format_seconds(seconds: float) -> str:
    """Seconds in the unit that reads best: 2 minutes."""
    if seconds < 1:
        return "1 second" if seconds > 0.5 else f"{seconds:.1g} seconds"
    units = (("seconds", 60.0), ("minutes", 60.0), ("hours", 24.0), ("days", 365.0))
    for unit, factor in units:
        if seconds < 1.5 * factor:
            return f"{seconds:.2g} {unit}"
        seconds /= factor
    return f"{seconds:,.0f} years" if seconds < 1e6 else "over a million years"


def _count_monomials(problem: Problem, variables: list[int], central: list[bool], degree: int) -> int:
    """The recursion of the module docstring, for a form of this degree and so many variables at each step."""
    depth = problem.depth
    growth = 2 * depth - 2

    @cache
    def count(degree: int, gradients: int, s: int) -> int:
        if s < 0:
            return _count_symbol_monomials(problem, degree, gradients)
        width = variables[s]
        if not any(variables[: s + 1]) and not problem.symbols:
            return 1
        if s == 0 and not problem.symbols:
            return comb(degree + width, width)
        if central[s] or not width:
            return comb(degree + width, width) * count((growth + 1) * degree, gradients + degree, s - 1)
        return sum(comb(j + width - 1, j) * count(degree + growth * j, gradients + j, s - 1) for j in range(degree + 1))

    total = count(degree, 0, len(variables) - 1)
    return max(1, total >> _sign_flips(problem))


def _entries(problem: Problem) -> tuple[list[object], list[object]]:
    """Entries of the weights, and of the map to the target."""
    return (
        [entry for matrix in problem.weights for row in matrix for entry in row],
        [entry for row in problem.law.target_map for entry in row],
    )


def _count_symbol_monomials(problem: Problem, degree: int, gradients: int) -> int:
    """Monomials in the symbols of a form of this degree in W_0 after this many gradient factors."""
    if not problem.symbols:
        return 1
    weights, targets = _entries(problem)
    inside = set(free_symbols(weights))
    outside = set(free_symbols(targets)) - inside
    homogeneous = bool(inside) and not any(isinstance(entry, Rational) and entry != 0 for entry in weights)
    total = 0
    for used in range(min(gradients + 2, degree // problem.depth) + 1 if outside else 1):
        rest = degree - problem.depth * used if homogeneous else degree
        slots = len(inside)
        ways = (comb(rest + slots - 1, rest) if homogeneous else comb(rest + slots, slots)) if slots else 1
        total += ways * comb(used + len(outside) - 1, used) if outside else ways
    return total


def count_in_symbols(problem: Problem, degree: int) -> int:
    """Monomials in the symbols of a form of this degree in W_t at one batch moment, estimated from above."""
    odd, steps = 2 * problem.depth - 1, problem.step
    if steps * (odd > 1) > _COUNTED_STEPS or odd**steps > _COUNTED_ORDER:
        return 10**18
    gradients = degree * (steps if odd == 1 else (odd**steps - 1) // (odd - 1))
    total = sum(_count_symbol_monomials(problem, degree + (odd - 1) * g, g) for g in range(gradients + 1))
    return max(1, total >> _sign_flips(problem))


def _sign_flips(problem: Problem) -> int:
    """Independent sign flips of units and coordinates under which a fully symbolic answer does not change."""
    weights, targets = _entries(problem)
    if not problem.symbols or any(isinstance(entry, Rational) and entry != 0 for entry in (*weights, *targets)):
        return 0
    return sum(problem.widths) - 1


def _coefficient_bits(problem: Problem, steps: int) -> int:
    """Bits of a typical coefficient: the bits of the inputs times the degree at which they enter."""
    weights, targets = _entries(problem)
    bits = [_bits(entry) for entry in (*weights, *targets, *problem.distinct_learning_rates)]
    degree = 2 * problem.depth * (2 * problem.depth - 1) ** steps
    return degree * sum(bits) // max(1, len(bits))


def _bits(entry: object) -> int:
    """Bits of numerator and denominator; 2 for an expression."""
    if isinstance(entry, Rational):
        return entry.numerator.bit_length() + entry.denominator.bit_length()
    return 2
