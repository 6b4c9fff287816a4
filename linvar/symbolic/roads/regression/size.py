"""What linear regression, and the recursion of an affine gradient, will need: known before they start."""

from __future__ import annotations

from collections.abc import Iterable
from math import comb, log2

from linvar.exact import Exact, Rational, free_symbols
from linvar.problem import Problem
from linvar.symbolic.cost import Size, Work, costs, total
from linvar.symbolic.laws.law import common_denominator
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.limits import MOST_STEPS
from linvar.symbolic.models.polynomial.affine import AffineGradient
from linvar.symbolic.roads.counting.digits import bits_of, entries_of
from linvar.symbolic.sgd.steps import Steps


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


def affine_work(affine: AffineGradient, steps: Steps) -> Work:
    """What the recursion of an affine gradient does: matrices of polynomials of degree t in c, each in one integer.

    The covariance of the n entries of the state is moved by a matrix, and that of the P weights by a table of pairs of pairs.
    """
    problem, law, weights = steps.problem, steps.law, affine.size
    many = min(problem.step, MOST_STEPS)
    state = weights * (1 if problem.momentum == 0 else 2)
    features, degree = affine.features, affine.degree
    pairs = comb(len(features) + 1, 2)
    values = pairs * law.summed(degree) or sum(len(f.terms) for f in features) ** 2 // 2
    table = comb(weights + 1, 2) * comb(weights + 2, 2)
    filled = min(table, (affine.varying_entries**2 + 3) // 4)  # zeros of the table are skipped
    monomials, bits = comb(state + 1, 2) * (many + 1), _bits_of_step(affine, steps)
    words = many * (many * bits + 64) // 64  # of an entry, after the last step
    memory: dict[str, float] = {
        "bytes_pair": pairs,
        "bytes_table": table,
        "bytes_word": state**2 * words,
    }
    seconds: dict[str, float] = {
        "seconds_call": 1,
        "seconds_pair": pairs * (1 + len(features)),
        "seconds_pair_value": values,
        "seconds_table": table,
        "seconds_entry": state**2 * many,
        "seconds_word": (2 * state**3 + filled) * many * words // 2,
    }
    if problem.symbols:
        terms = _symbolic_terms(affine, steps, degree)
        memory["bytes_coefficient"] = monomials * terms
        seconds["seconds_symbol_product"] = (2 * state**3 + filled) * many**2 // 2 * terms
    return Work(monomials, memory, seconds)


def _bits_of_step(affine: AffineGradient, steps: Steps) -> int:
    """Bits that a step adds to a coefficient: of the square of the denominators of rate, momentum, decay and mean gradient."""
    problem, law = steps.problem, steps.law
    parts = [polynomial for inside in affine.parts.values() for polynomial in inside.values()]
    degree = max((polynomial.degree for polynomial in parts), default=0)
    rates = [_bits_below([rate]) for rate in problem.distinct_learning_rates]
    fixed = _bits_below([problem.momentum, problem.weight_decay])
    of_loss = _bits_below([c for polynomial in parts for _, c in polynomial.terms])
    examples = law.summed(2).bit_length() + degree * _bits_below(law.numbers())
    return int(2 * (sum(rates) / max(1, len(rates)) + fixed + of_loss + examples + 2))


def _bits_below(numbers: Iterable[Exact]) -> float:
    """Bits of the common denominator."""
    return log2(common_denominator(numbers))


def _symbolic_terms(affine: AffineGradient, steps: Steps, degree: int) -> int:
    """Terms of an entry's coefficient of a power of c, in symbols: of degree 2 in the weights, 2 in each rate, in momentum and
    decay too at each step, and twice that of an entry of h in the law of each batch."""
    problem, many = steps.problem, min(steps.problem.step, MOST_STEPS)
    open_rates = sum(not isinstance(rate, Rational) for rate in problem.distinct_learning_rates)
    if not isinstance(problem.learning_rate, tuple):
        open_rates *= many
    open_rates += many * sum(not isinstance(number, Rational) for number in (problem.momentum, problem.weight_decay))
    weights = {*free_symbols(entry for matrix in problem.leaves for row in matrix for entry in row)}
    of_law = {*problem.law.symbols, *problem.model.symbols} - weights
    own = {*problem.symbols} - weights - of_law
    terms = comb(2 + len(weights), len(weights)) * comb(2 * max(2, degree) * (many + 1) + len(of_law), len(of_law))
    return terms * comb(2 * open_rates + len(own), len(own))
