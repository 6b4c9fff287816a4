"""The numeric twins of the models of ``linvar.models``."""

from __future__ import annotations

from functools import singledispatch

from linvar.errors import InputTypeError
from linvar.models.biased import BiasedNetwork
from linvar.models.expression import ExpressionModel
from linvar.models.linear import LinearNetwork
from linvar.models.loss import LossModel
from linvar.numeric.models.biased import NumericBiased
from linvar.numeric.models.expression import NumericExpression
from linvar.numeric.models.linear import NumericLinear
from linvar.numeric.models.loss import NumericLoss
from linvar.numeric.models.model import NumericModel
from linvar.problem import Problem


@singledispatch
def numeric_twin(model: object, problem: Problem) -> NumericModel:
    """The numeric twin of a model, in a problem.

    Raises:
        InputTypeError: it has none.

    """
    raise InputTypeError("model", model, "give the loss in its place: loss=, a function of one example")


@numeric_twin.register
def _(model: LinearNetwork, problem: Problem) -> NumericModel:
    return NumericLinear(problem.widths)


@numeric_twin.register
def _(model: BiasedNetwork, problem: Problem) -> NumericModel:
    return NumericBiased(problem.widths)


@numeric_twin.register
def _(model: LossModel, problem: Problem) -> NumericModel:
    from linvar.tracing.program import recorded  # loads python-flint

    recorded(model.function, model.shape, problem.law.structure)  # what it closes over may have changed: refused
    apart = problem.degree_in_example == 0
    return NumericLoss(model.function, model.shape, problem.law.structure, apart)


@numeric_twin.register
def _(model: ExpressionModel, problem: Problem) -> NumericModel:
    return NumericExpression(model.typed, model.weights, model.example)


def numeric_model(problem: Problem) -> NumericModel:
    """The numeric twin of the model of a problem."""
    return numeric_twin(problem.model, problem)
