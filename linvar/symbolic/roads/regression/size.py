"""What linear regression will need: known before it starts."""

from __future__ import annotations

from math import comb

from linvar.exact import Rational, free_symbols
from linvar.problem import Problem
from linvar.symbolic.cost import Size, Work, costs, total
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.limits import MOST_STEPS
from linvar.symbolic.roads.counting.digits import bits_of, entries_of


def predict(problem: Problem) -> Size:
    """The size of the linear regression of a problem, without starting it."""
    work, rates = regression_work(problem), costs().regression
    return Size(work.monomials, int(total(rates, work.bytes)), total(rates, work.seconds))


def regression_work(problem: Problem) -> Work:
    """What linear regression does: one m x m matrix of polynomials of degree t in 1/b for each pair of outputs.

    In symbols: degree 2 in weights and teacher, 2 in the learning rate of each step, 4 in the law of each batch.
    """
    steps = min(problem.step, MOST_STEPS)
    weights, targets = entries_of(problem)
    of_law = {*problem.law.symbols} - {*free_symbols(targets)}
    rates = problem.distinct_learning_rates
    open_rates = sum(not isinstance(rate, Rational) for rate in rates)
    if not isinstance(problem.learning_rate, tuple):
        open_rates *= steps
    inside = len(free_symbols([*weights, *targets]))
    monomials = comb(2 + inside, inside) * comb(4 * steps + 4 + len(of_law), len(of_law))
    if open_rates:
        own = len(free_symbols(rates))
        monomials *= comb(2 * open_rates + own, own)
    outputs, law = problem.widths[-1], exact_law(problem.law)
    size, through = law.width, law.by_fourth_moments
    pairs = outputs * (outputs + 1) // 2
    monomials *= pairs * size**2 * (steps + 1)
    examples = law.summed(2) or 1
    bits = 4 * max(map(bits_of, law.numbers())) + 2 * max(map(bits_of, rates), default=0) + examples.bit_length()
    memory = {
        "bytes_coefficient": monomials,
        "bytes_bit": monomials * (steps + 1) * bits,
        "bytes_fourth_moment": comb(size + 3, 4),
        "bytes_value": comb(size + 1, 2) * examples,
    }
    # a step of a pair of outputs: a form times all fourth moments (data), or products of matrices (Gaussian)
    kind = "data" if through else "gaussian"
    products = size**4 if through else 2 * size**3
    products *= steps * pairs * (1 if problem.momentum == 0 else 2)
    seconds = {
        "seconds_call": 1,
        "seconds_step": steps,
        "seconds_last_product": comb(size + 1, 2) ** 2 if through else 0,
        f"seconds_{kind}_product": products,
        f"seconds_{kind}_power": products * steps,
    }
    if problem.symbols:
        seconds["seconds_symbol_byte"] = int(min(total(costs().regression, memory), 10**300))
    return Work(monomials, memory, seconds)
