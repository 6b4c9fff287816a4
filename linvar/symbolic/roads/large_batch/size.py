"""What a large-batch expansion will need, known before it starts.

Exact rationals: where W_s has a common denominator q_s, that of W_{s+1} is k q_s^{2L-1}, with k from the learning rate and the
law, so the bits follow b_{s+1} = (2L-1) b_s + log2 k, and a coefficient, of degree 4L-2 in W_t, has about (4L-2) b_t of them.
The work is the same at every step: with n entries of the state, m variables of a batch and R(d) monomials of degree <= d
in an update, level l of the products of ``fluctuations`` multiplies C(n+l, l+1) sum_d C(n+m+d-1, d) R(2K-l-d) numbers.
Digits are close; seconds and bytes are rough (benchmarks/large_batch_speed.py compares them with measurements).
The variance alone, up to u^1, may be quicker by ``pairs``, whose work is counted by running them on shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import comb, log2, log10

from linvar.errors import Argument, InputError, Said, cut
from linvar.exact import Rational
from linvar.laws.law import identity
from linvar.problem import Problem
from linvar.symbolic.cost import Amounts, costs, total
from linvar.symbolic.laws.law import common_denominator
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.laws.wishart import Wishart
from linvar.symbolic.limits import MOST_STEPS, bounded
from linvar.symbolic.models.model import ENDLESS as _ENDLESS
from linvar.symbolic.models.step import MOST_VARIABLES
from linvar.symbolic.pairs.kinds import Tally
from linvar.symbolic.pairs.lists import all_lists, count
from linvar.symbolic.pairs.statement import wishart_of
from linvar.symbolic.pairs.work import of_pairs, of_tangents
from linvar.symbolic.sgd.steps import Steps

#: exact numbers beyond this many digits are refused whatever the memory: an hour of arithmetic, and nothing to read
MOST_DIGITS = 10_000_000
MOST_ORDER = 100
_LEFT_OUT = Argument("digits")
#: what ``order`` and ``digits`` are
ORDER = f"give the highest power of 1/b wanted, an integer from 0 to {MOST_ORDER}"
DIGITS = Said("give a number of significant digits, an integer >= 1, or leave {} out for exact fractions", _LEFT_OUT)
#: the work of more steps is not counted, but grows as their square
_MOST_CARRIED = 50
#: seconds: what takes less about the path is not compared with ``pairs``
_QUICK = 0.05
#: with more weights their moments take longer to predict than ``pairs`` to compute
_WIDE = 60
#: more steps than this are not counted in symbols: nothing could be read
_MOST_SYMBOLIC_STEPS = 40


@dataclass(frozen=True)
class LargeBatchSize:
    """What is predicted.

    Attributes:
        digits: of a coefficient's numerator; of an enclosure those it is computed with.
        terms: monomials in the symbols of a coefficient; 1 for numbers.
        seconds, bytes: time on one core, and memory at the peak.
        way: to the variance, in words, where it is not found about the path, as all else.
        listed: whether that is the sum over pairs.
    """

    digits: int
    terms: int
    seconds: float
    bytes: int
    #: amounts of work (``cost``)
    byte_amounts: Amounts = field(default_factory=dict, repr=False)
    second_amounts: Amounts = field(default_factory=dict, repr=False)
    way: str = ""
    listed: bool = False

    @property
    def obstacle(self) -> str | None:
        """What no memory helps against."""
        return None if self.digits <= MOST_DIGITS else f"more than the limit of {MOST_DIGITS:,} digits"

    def __str__(self) -> str:
        count, noun = (self.terms, "terms in the symbols") if self.terms > 1 else (self.digits, "digits")
        shown = f"{count:,}" if count < _ENDLESS else "10^18 and more"
        return f"{shown} {noun} each{self.way}"


def predict(kinds: Steps, order: int, digits: int | None = None) -> LargeBatchSize:
    """The size of an expansion up to u^order, without starting it."""
    problem = kinds.problem
    n = kinds.model.entries * (2 if problem.momentum != 0 else 1)
    steps = min(problem.step, MOST_STEPS)
    if digits is not None:
        bits = digits * log2(10) + 64 + 2 * steps
        found, before, after = int(bits / log2(10)), bits, bits
    else:
        after, before = _state_bits(problem, steps)
        found = int(min(_ENDLESS, (2 * problem.degree - 2) * after * log10(2) + 1))
    objects, products, batch = 0, 0, 0
    for place, entries, times in ((0, 0, min(steps, 1)), (steps - 1, n, steps - 1)):
        if times > 0:
            kind = kinds[place]
            known = kind.count()
            count = known if known < MOST_VARIABLES else kind.bound
            moved, multiplied = _work(problem, order, n, entries, count)
            objects, products = max(objects, moved), products + multiplied * times
            batch = max(batch, comb(count + 2 * order, 2 * order))
    average = before if digits is not None else order * before
    moves, work, terms, ballast = map(bounded, (objects, products, kinds.model.taylor_terms(order), batch))
    latest = work / max(steps, 1) if digits is None and problem.degree > 2 else work
    spread = bounded(kinds.model.spread_terms) if order else 0.0
    at_end = max(75 * n, 4 * spread)  # products of the longest numbers, those of the last step
    memory = {
        "bytes_call": 1,
        "bytes_object": moves + terms + 5 * ballast,
        "bytes_bit": moves * average + max(1_600, 11 * spread) * after,
        "bytes_spread": spread,
    }
    seconds = {
        "seconds_call": 1,
        "seconds_object": max(steps, 1) * moves,
        "seconds_path": max(steps, 1) * terms,
        "seconds_product": latest + at_end,
        "seconds_product_bit": latest * _lengthened(average)
        + at_end * _lengthened(after if digits is not None else 3 * after),
        "seconds_moment": ballast,
        "seconds_spread": spread,
    }
    if digits is None:
        seconds["seconds_exact_product"] = latest
    monomials = 1
    if problem.symbols:
        monomials, kept = kinds.model.kept_in_symbols(order)
        memory["bytes_symbol_monomial"] = seconds["seconds_symbol_monomial"] = bounded(kept)
    section = costs().large_batch
    size = int(min(total(section, memory), 1e300))
    return LargeBatchSize(found, monomials, total(section, seconds), size, memory, seconds)


def of_variance(kinds: Steps, order: int, digits: int | None) -> tuple[LargeBatchSize, bool]:
    """The size of the variance by the quicker way, and whether that is ``pairs``: up to u^1, where they hold."""
    law = wishart_of(kinds.model) if order == 1 and digits is None else None
    if law is not None and kinds.model.entries > _WIDE and kinds.problem.step <= _MOST_CARRIED:
        return size_of_first_order(kinds, law), True
    path = predict(kinds, order, digits)
    if law is None or path.seconds < _QUICK:
        return path, False
    found = size_of_first_order(kinds, law)
    return min((path, False), (found, True), key=lambda one: one[0].seconds)


def size_of_first_order(kinds: Steps, law: Wishart) -> LargeBatchSize:
    """The same, quicker or not: by the lists of pairs, or by directions of the noise."""
    problem, step = kinds.problem, min(kinds.problem.step, _MOST_CARRIED)
    case = problem.widths, step, law.covariance == identity(len(law.covariance)), law.noise_variance != 0
    carried, times = of_tangents(*case, exact=True), (min(problem.step, MOST_STEPS) // step) ** 2 if step else 1
    carried = Tally(carried.products * times, carried.operations * times, carried.entries)
    found = _of_tally(problem, carried, f", by {problem.widths[0] * problem.widths[-1]:,} directions", False)
    lists = all_lists(problem.depth, step, case[2]) if step == problem.step else None
    if lists is None or (pairs := count(lists)) * costs().large_batch.seconds_pair > found.seconds:
        return found
    tally = of_pairs(*case)
    assert tally is not None  # the lists are there
    listed = _of_tally(problem, tally, f", by {pairs:,} pairs", True)
    return min(found, listed, key=lambda one: one.seconds)


def _of_tally(problem: Problem, tally: Tally, way: str, listed: bool) -> LargeBatchSize:
    """Seconds and bytes of so many products of numbers as long as those after the steps."""
    bits, _ = _state_bits(problem, min(problem.step, MOST_STEPS))
    memory = {"bytes_call": 1, "bytes_pair_entry": tally.entries, "bytes_pair_bit": tally.entries * bits}
    unit = "pair" if listed else "direction"
    seconds = {
        f"seconds_{unit}": tally.operations,
        f"seconds_{unit}_product": tally.products,
        f"seconds_{unit}_bit": bounded(tally.products) * bits,
    }
    digits = int(min(_ENDLESS, (2 * problem.degree - 2) * bits * log10(2) + 1))
    section = costs().large_batch
    size = int(min(total(section, memory), 1e300))
    return LargeBatchSize(digits, 1, total(section, seconds), size, memory, seconds, way, listed)


def clamped(problem: Problem, order: int) -> int:
    """The order, or the degree bound of the problem where it is less: beyond it all coefficients are zero."""
    power, bound = max(0, problem.degree - 1), 0
    for j in range(min(problem.step, order) + 1):
        bound += max(0, 2 * power**j - 1)
        if bound >= order:
            return order
    return bound


def check_arguments(problem: Problem, order: int, digits: int | None) -> None:
    """Refuse what the expansion has no meaning for."""
    if not 0 <= order <= MOST_ORDER:
        raise InputError("order", order, ORDER, fault="is out of range")
    if not problem.scheme.unbounded:
        raise InputError(
            "order",
            order,
            "use sampling='iid', or linvar.derive for the whole polynomial",
            fault=f"with sampling={problem.sampling!r}, where a large-batch expansion is for iid sampling",
        )
    if digits is None:
        return
    if digits < 1:
        raise InputError("digits", digits, DIGITS, fault="is out of range")
    if digits > MOST_DIGITS:
        raise InputError("digits", digits, f"give at most {MOST_DIGITS:,}", fault="is out of range")
    if problem.symbols:
        names = cut(", ".join(map(str, problem.symbols)))
        cure = Said("give numbers for them, or leave {} out for exact fractions", _LEFT_OUT)
        raise InputError("digits", digits, cure, fault=f"with the symbols {names}")


def _work(problem: Problem, order: int, n: int, entries: int, batch: int) -> tuple[int, int]:
    """Numbers held by the largest level, and products of all levels, of a step from a state with these entries."""
    degree, variables = 2 * order, entries + batch
    inside = problem.growth
    width = [
        sum(_exactly(entries, i) for i in range(min(d, inside) + 1))
        + batch * sum(_exactly(entries, i) for i in range(min(d - 1, inside) + 1))
        for d in range(degree + 1)
    ]
    objects = products = 0
    for level in range(degree):
        one = sum(_exactly(variables, d) * width[degree - level - d] for d in range(degree - level))
        kept = comb(variables + degree - level, variables)
        objects = max(objects, comb(n + level - 1, level) * (one // max(1, n) + kept) if level else one + kept)
        products += comb(n + level, level + 1) * one
    return objects, products


def _exactly(variables: int, degree: int) -> int:
    """Monomials of this very degree."""
    return comb(variables + degree - 1, degree) if degree else 1


def _lengthened(bits: float) -> float:
    """The bits of the factors of a product, times what a bit of long ones costs beside one of factors of 57,000 bits and more."""
    return bits * min(1.0, 0.05 + bits / 60_000)


def _state_bits(problem: Problem, steps: int) -> tuple[float, float]:
    """b_t and b_{t-1} of the module docstring; 2^60 where they are beyond use."""
    if problem.symbols:
        return 0.0, 0.0
    weights = [entry for matrix in problem.leaves for row in matrix for entry in row]
    start = log2(common_denominator(weights))
    largest = max((abs(entry) for entry in weights if isinstance(entry, Rational)), default=0)
    if largest:  # of any length
        start = max(start, start + log2(largest.numerator) - log2(largest.denominator))
    law_bits = exact_law(problem.law).denominator_bits()
    rule = [problem.momentum, problem.weight_decay]
    growth = log2(common_denominator(problem.distinct_learning_rates)) + law_bits + log2(common_denominator(rule))
    odd = problem.growth

    def bits(steps: int) -> float:
        if steps * log2(odd + 1e-9) > 60:
            return 2.0**60
        grown: int = odd**steps
        return start * grown + growth * (steps if odd == 1 else (grown - 1) // (odd - 1))

    return bits(steps), bits(max(steps - 1, 0))
