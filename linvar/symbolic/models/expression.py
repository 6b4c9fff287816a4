"""The exact twin of a loss in SymPy: the same polynomial in weights, coordinates of the law, and symbols that stay."""

from __future__ import annotations

from linvar.exact import Rational
from linvar.expressions import to_element
from linvar.models.expression import ExpressionModel
from linvar.problem import Problem
from linvar.symbolic.algebra.ring import Ring, sum_elements
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.models.polynomial.model import PolynomialModel, symbols_of


def exact_expression(problem: Problem, law: ExactLaw, model: ExpressionModel) -> PolynomialModel:
    """The twin of an expression in a problem: an entry of an example is the linear form that the law makes of its coordinates."""
    count = len(model.weights)
    ring = Ring(count + law.width, symbols_of(problem, law))
    if isinstance(model.loss, Rational):
        return PolynomialModel(problem, law, loss=ring.lift(model.loss))
    z, rows = ring.gens[count:], (*law.input_map, *law.target_map)
    example = [sum_elements(ring, (z[a] * ring.lift(e) for a, e in enumerate(row) if e != 0)) for row in rows]
    known = {symbol: ring.lift(symbol) for symbol in model.symbols}
    known |= dict(zip(model.weights, ring.gens)) | dict(zip(model.example, example))
    return PolynomialModel(problem, law, loss=to_element(model.loss, "expression", ring.context, known))
