"""What a problem asks of its model: which it is, and that it can be told from others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from linvar.arguments import check_flags, check_integer
from linvar.errors import InputError, InputTypeError, Words
from linvar.exact import Matrix
from linvar.laws.law import Law
from linvar.models.biased import BiasedNetwork
from linvar.models.function import Function
from linvar.models.linear import LinearNetwork
from linvar.models.loss import LossModel
from linvar.models.model import Model


def chosen(loss: Callable[..., Any] | None, model: Model | None, bias: bool) -> Model:
    """The linear network, or what is given in its place."""
    check_flags(bias=bias)
    if bias:
        for name, value in (("loss", loss), ("model", model)):
            if value is not None:
                cure = f"leave one of them out: biases are of the linear network, and {name}= has its own"
                raise InputError("bias", bias, cure, fault=f"stands beside {name}=")
        return BiasedNetwork()
    if loss is not None:
        if model is not None:
            raise InputError("loss", loss, "give one of loss= and model=", fault="stands beside model=")
        return LossModel(Function.of(loss))
    if model is None:
        return LinearNetwork()
    if not isinstance(model, Model):
        raise InputTypeError("model", model, "leave it out for a linear network, or give a model")
    return model


def check_degree(model: Model, weights: tuple[Matrix, ...], law: Law) -> None:
    """The degree of the loss is an integer >= 0."""
    cure = "let degree(weights, law) give the degree of the loss in the weights, an integer >= 0"
    try:
        found = model.degree(weights, law)
    except InputError:
        raise
    except Exception as error:
        fault = Words(f"has a degree(weights, law) that fails ({type(error).__name__}: {str(error)[:80]})")
        raise InputTypeError("model", fault, f"{cure}; weights are matrices, tuples of rows") from error
    if check_integer(found, "degree(weights, law)") < 0:
        raise InputError("degree(weights, law)", found, cure, fault="is negative")


def check_hash(name: str, value: object) -> None:
    """A problem can be told from others in a table, and so its parts."""
    try:
        hash(value)
    except TypeError:
        cure = "make it a frozen dataclass, with parts that have a hash (tuples in place of lists)"
        raise InputTypeError(name, value, cure, fault="has no hash") from None
