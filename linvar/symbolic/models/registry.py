"""The exact twins of the models of ``linvar.models``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, singledispatch

from linvar.errors import InputTypeError
from linvar.models.biased import BiasedNetwork
from linvar.models.expression import ExpressionModel
from linvar.models.linear import LinearNetwork
from linvar.models.loss import LossModel
from linvar.problem import Problem
from linvar.symbolic.laws.law import ExactLaw
from linvar.symbolic.laws.registry import exact_law
from linvar.symbolic.models.linear.biased import exact_biased
from linvar.symbolic.models.linear.model import LinearModel
from linvar.symbolic.models.loss import exact_loss
from linvar.symbolic.models.model import ExactModel

#: makes the twin of a problem
Made = Callable[[Problem, ExactLaw], ExactModel]


@singledispatch
def exact_twin(model: object) -> Made:
    """What makes the exact twin of a model, of a problem and the twin of its law.

    Raises:
        InputTypeError: it has none.
    """
    raise InputTypeError("model", model, "give the loss in its place: loss=, a function of one example")


@exact_twin.register
def _(model: LinearNetwork) -> Made:
    return LinearModel


@exact_twin.register
def _(model: BiasedNetwork) -> Made:
    return exact_biased


@exact_twin.register
def _(model: LossModel) -> Made:
    return partial(exact_loss, model=model)


@exact_twin.register
def _(model: ExpressionModel) -> Made:
    from linvar.symbolic.models.expression import exact_expression

    return partial(exact_expression, model=model)


def exact_model(problem: Problem) -> ExactModel:
    """The exact twin of the model of a problem."""
    return exact_twin(problem.model)(problem, exact_law(problem.law))
