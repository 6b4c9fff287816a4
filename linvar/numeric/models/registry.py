"""The numeric twins of the models of ``linvar.models``."""

from __future__ import annotations

from functools import singledispatch

from linvar.errors import InputTypeError
from linvar.models.linear import LinearNetwork
from linvar.numeric.models.linear import NumericLinear
from linvar.numeric.models.model import NumericModel


@singledispatch
def numeric_model(model: object) -> NumericModel:
    """The numeric twin of a model.

    Raises:
        InputTypeError: it has none.

    >>> numeric_model(LinearNetwork())
    NumericLinear()
    """
    raise InputTypeError("model", model, "give a model that can be simulated, of linvar.testing.OpenModel")


@numeric_model.register
def _(model: LinearNetwork) -> NumericModel:
    return NumericLinear()
