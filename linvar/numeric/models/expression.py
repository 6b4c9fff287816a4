"""A loss in SymPy as JAX computes it: the expression as it was given, operation by operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add, mul
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
from jaxtyping import Array

from linvar.numeric.models.model import NumericModel

if TYPE_CHECKING:
    import sympy


@dataclass(frozen=True)
class NumericExpression(NumericModel):
    """The numeric twin of an expression.

    Attributes:
        expression: the loss as given, not expanded: (w*x - y)**2 near a perfect fit cancels nothing.
        weights, example: its symbols.
    """

    expression: sympy.Expr
    weights: tuple[sympy.Expr, ...]
    example: tuple[sympy.Expr, ...]

    def loss(self, params: Sequence[Array], example: tuple[Array, Array]) -> Array:
        """The loss of one example."""
        values = {symbol: leaf[0, 0] for symbol, leaf in zip(self.weights, params)}
        values |= dict(zip(self.example, jnp.concatenate(example)))
        return jnp.asarray(_value(self.expression, values), dtype=params[0].dtype)

    @property
    def activations(self) -> int:
        """Its operations."""
        return 1 + int(self.expression.count_ops())


def _value(node: sympy.Basic, values: Mapping[Any, Array]) -> Any:
    """The value of a part: sums, products and natural powers; whatever else is exact is one of these when it is expanded."""
    if node in values:
        return values[node]
    if node.is_Rational:
        return float(node)
    if node.is_Add or node.is_Mul:
        return reduce(add if node.is_Add else mul, [_value(part, values) for part in node.args])
    if node.is_Pow and node.args[1].is_Integer and node.args[1] > 0:
        return _value(node.args[0], values) ** int(node.args[1])
    from linvar.expressions import canonical

    return _value(canonical(node, "expression"), values)


_: type[NumericModel] = NumericExpression
