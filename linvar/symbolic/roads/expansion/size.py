"""What an expansion will need: known before they start.

The monomials of an expansion are counted (``monomials``); bytes and seconds are amounts of work times the coefficients of
``cost``, fitted to measurements (``benchmarks/calibrate.py``, ``benchmarks/plan_accuracy.py``).
"""

from __future__ import annotations

import math
from math import comb, gcd, lcm, log2

from linvar.exact import Exact, Matrix, Rational
from linvar.problem import Problem
from linvar.symbolic.algebra.ring import Numbers
from linvar.symbolic.cost import Size, Work, costs, total
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.models.step import MOST_VARIABLES
from linvar.symbolic.roads.counting.digits import bits_of, entries_of
from linvar.symbolic.sgd.steps import Steps

#: FLINT multiplies polynomials whose coefficients are no longer than this in machine words
_SHORT_BITS = 62
#: products of fractions that a prediction may take; those of integers are some thirty times as quick
_MOST_PRODUCTS = 5_000
_COUNTED_STEPS = 40
#: where squares fit in a word, what a term of a square and a product of two terms take beside the coefficients of ``cost``
_WORD_SQUARE, _WORD_PRODUCT = 0.2, 0.4
_COUNTED_ORDER = 3_000


def predict(steps: Steps) -> Size:
    """The size of the expansion of a problem, without starting it (see the module docstring)."""
    problem, variables = steps.problem, _counted(steps)
    if max(variables, default=0) >= MOST_VARIABLES:
        return _far_over(problem, variables)
    work, section = expansion_work(steps), costs().expansion
    memory = int(total(section, work.bytes))
    if len(variables) < problem.step and any(variables):
        return Size(work.monomials, max(memory, 10**24), math.inf, complete=False)
    return Size(work.monomials, memory, total(section, work.seconds))


def _counted(steps: Steps) -> list[int]:
    """The variables of the steps that are counted: the first ones.

    Beyond some steps or some degree the exact count takes long and decides nothing.
    """
    problem, counted = steps.problem, 0
    while counted < min(problem.step, _COUNTED_STEPS) and _order(problem, counted) <= _COUNTED_ORDER:
        counted += 1
    return [steps[s].count() for s in range(counted)]


def expansion_work(steps: Steps) -> Work:
    """What an expansion does; of fewer steps where there are too many to count, and of those alone that move the weights."""
    problem, counted = steps.problem, _counted(steps)
    places = [s for s in range(len(counted)) if steps[s].moves]
    variables, central = [counted[s] for s in places], [steps[s].central for s in places]
    monomials, mean = (steps.model.monomials(variables, central, factors) for factors in (2, 1))
    bits = _coefficient_bits(steps, places, variables)
    entries = steps.model.entries
    # integrated: two forms of the second moment, and the entries of the mean gradient
    terms = 2 * monomials + entries * mean
    # squared: these entries, and where an example varies in few ways those of each of them (``last_step``)
    squared = steps.model.squares
    put_in = steps.model.gradient_products // 2  # terms of gradients, each a product of weights times a number
    moments = powers = values = products = series = sums = 0
    for later, width in enumerate(reversed(variables)):
        order = _order(problem, later)
        examples = steps.law.summed(order)
        moments += comb(order + width, width)
        powers += comb(order + width, width) * order
        values += comb((order + 1) // 2 + width, width) * examples
        if width:  # the exponential of a series in this many variables, and in 1/b; data: the logarithm of another one
            series += comb(order + 2 * width, 2 * width) * order
        if examples:
            sums += comb(order + width, width) * examples
            products += comb(order + 2 * width, 2 * width)
    last = steps.model.fourth_moments
    memory: dict[str, float] = {
        "bytes_moment": moments,
        "bytes_power": powers,
        "bytes_value": values,
        "bytes_fourth_moment": last,
    }
    seconds: dict[str, float] = {
        "seconds_call": 1,
        "seconds_power": powers,
        "seconds_series": series,
        "seconds_moment_product": products,
        "seconds_value": last * (steps.law.summed(2) or 1) + sums,
    }
    if problem.symbols:
        answer = steps.model.answer_terms(variables)
        memory |= {"bytes_symbol_monomial": monomials, "bytes_symbol_answer": answer}
        seconds |= {
            "seconds_symbol_term": terms,
            "seconds_symbol_square": squared * mean**2,
            "seconds_symbol_answer": answer,
        }
    else:
        in_words = bits < _SHORT_BITS // 2  # squares too
        kind = "seconds_short_product" if bits < 2 * _SHORT_BITS else "seconds_long_product"
        memory |= {"bytes_monomial": monomials, "bytes_bit": monomials * bits}
        seconds |= {
            "seconds_term": terms,
            "seconds_term_bit": terms * bits,
            "seconds_square": (squared * monomials + put_in * mean) * (_WORD_SQUARE if in_words else 1),
            kind: squared * mean**2 * (_WORD_PRODUCT if in_words else 1),
        }
    return Work(monomials, memory, seconds)


def _far_over(problem: Problem, variables: list[int]) -> Size:
    """A step with so many variables that nothing further counts."""
    later = next(later for later, width in enumerate(reversed(variables)) if width >= MOST_VARIABLES)
    return Size(comb(_order(problem, later) + MOST_VARIABLES, MOST_VARIABLES), 10**24, math.inf, complete=False)


def _order(problem: Problem, later: int) -> int:
    """Degree of the second moment in the batch of a step with this many later updates."""
    order: int = 2 * max(0, problem.degree - 1) * problem.growth**later
    return order


def _coefficient_bits(steps: Steps, places: list[int], variables: list[int]) -> int:
    """Bits of a typical coefficient: those of the weights after the first random step, times the degree in them."""
    problem = steps.problem
    first = next((s for s, count in enumerate(variables) if count), None)
    if first is None or problem.symbols:
        return 1
    degree: int = 2 * max(0, problem.degree - 1) * problem.growth ** (len(variables) - first - 1)
    weights, products = steps.numbers_at(places[first]), steps.model.gradient_products
    if weights is not None and max(products, products * steps.law.summed(2) // 30) <= _MOST_PRODUCTS:
        return int(degree * _bits_of_step(steps, places[first], weights, variables[first])) + _bits_of_moments(problem)
    entries, targets = entries_of(problem)
    bits = [bits_of(entry) for entry in (*entries, *targets, *problem.distinct_learning_rates)]
    return degree * sum(bits) // max(1, len(bits))


def _bits_of_moments(problem: Problem) -> int:
    """Bits of the square of a second moment of data."""
    if problem.dataset_size is None:
        return 0
    numbers = exact_law(problem.law).numbers()
    return 2 * (2 * sum(map(bits_of, numbers)) // len(numbers) + problem.dataset_size.bit_length())


def _bits_of_step(steps: Steps, place: int, weights: tuple[Matrix, ...], count: int) -> float:
    """Bits of a typical coefficient of the weights after a step from numbers, integers over one denominator (``expansion``).

    It is the logarithm of the mean of their sizes, which decides in products: of the weights, and of a variable's coefficients.
    """
    given, step = steps.problem.learning_rate, steps[place]
    rate = given[place] if isinstance(given, tuple) else given

    def moved(chosen: int) -> list[Exact]:
        """The change of every weight, one variable being 1."""
        variables = [Rational(int(j == chosen)) for j in range(count)]
        gradients = step.gradients(weights, variables, Numbers)
        return [rate * entry for matrix in gradients for row in matrix for entry in row]

    before = [entry for matrix in weights for row in matrix for entry in row]
    constant = moved(-1) if step.central else [Rational(0)] * len(before)
    rows = [[a - b for a, b in zip(before, constant)], [a - b for a, b in zip(moved(0), constant)]]
    logarithms = 0.0
    for row in rows:
        scale = lcm(*(value.denominator for value in row))
        whole = [abs(int(value * scale)) for value in row]
        logarithms += log2(len(row) + sum(whole) // (gcd(*whole) or 1)) - log2(len(row))
    return logarithms / len(rows)
