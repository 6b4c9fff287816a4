"""What a problem's formulas take: the recursion on words, then products of matrices and of traces."""

from __future__ import annotations

from linvar.exact import Exact, Rational
from linvar.symbolic.cost import Work
from linvar.symbolic.sgd.steps import Steps
from linvar.symbolic.traces.cost import recursion_terms
from linvar.symbolic.traces.statement import is_derived, statement_of

#: of two layers at t = 1, by whether Sigma = 1: traces, products of matrices that they share, and terms of the three formulas
_TRACES, _PRODUCTS, _TERMS = {True: 121, False: 1_177}, {True: 127, False: 1_053}, {True: 5_000, False: 15_000}
#: factors of a product, about
_LENGTH = 6


def predict(steps: Steps) -> Work:
    """The amounts of work for the variance."""
    problem, law = steps.problem, steps.law.wishart
    assert law is not None  # the road is closed otherwise
    white, inner = law.white, sorted(problem.widths[1:])
    statement = statement_of(problem, "second_moment", white)
    moving = problem.step == 1
    recursion = 0.0 if is_derived(statement_of(problem, "norms", white)) else recursion_terms(statement)
    traces, products, terms = (found[white] if moving else 2 * problem.depth for found in (_TRACES, _PRODUCTS, _TERMS))
    entries = products * inner[0] * inner[-1] ** 2 + problem.widths[0] * inner[-1] ** 2
    entries += 0 if white else problem.widths[0] ** 2 * sum(inner) * 4
    bits = _LENGTH * max(_bits(entry) for matrix in (*problem.leaves, law.teacher) for row in matrix for entry in row)
    kept = products * inner[0] * inner[-1] + problem.widths[0] ** 2 * (not white)
    return Work(
        traces,
        {"bytes_call": 1, "bytes_recursion": recursion, "bytes_entry": kept, "bytes_bit": kept * bits},
        {
            "seconds_call": 1,
            "seconds_recursion": recursion,
            "seconds_term": terms,
            "seconds_term_bit": terms * bits,
            "seconds_product": entries,
            "seconds_product_bit": entries * bits,
        },
    )


def _bits(entry: Exact) -> int:
    """Of numerator and denominator."""
    return entry.numerator.bit_length() + entry.denominator.bit_length() if isinstance(entry, Rational) else 0
