"""A formula's coefficients in floating point: a table over the powers of 1/b and of the learning rate, and a JAX function."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from string import ascii_lowercase
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from linvar.errors import InputError, InputTypeError, Words
from linvar.symbolic.traces.arrays import Array, Program, factors_of

if TYPE_CHECKING:
    import jax
    from jax.typing import ArrayLike
    from numpy.typing import ArrayLike as NumbersLike
    from numpy.typing import NDArray

    from linvar.symbolic.traces.formula import TraceFormula


@dataclass(frozen=True, eq=False)
class FormulaTable:
    """sum_{k, j} values[k, j] (1/b)^k alpha^j, in float64.

    Attributes:
        values: entry [k, j] multiplies (1/b)^k alpha^j; with several parameters (``TraceFormula.parameters``) an axis for each.
        condition: of each entry the sum of the absolute values of its terms: rounding leaves an error of no more than about 1e-13
            times it, and relative to |values| it is the condition number of the sum. Not so where W_L ... W_1 is close to the
            teacher: their difference E has then lost digits itself (1e-6 apart, ten are left).
    """

    values: NDArray[np.float64]
    condition: NDArray[np.float64]

    def __call__(self, learning_rate: NumbersLike, batch_size: NumbersLike) -> NDArray[np.float64]:
        """Its value, at arrays of learning rates and batch sizes that broadcast; of several parameters the last axis.

        >>> import numpy as np, linvar as lv
        >>> lv.trace_formula(step=0).table([np.ones((3, 2)), np.ones((1, 3))], np.zeros((1, 2)))(0.1, [1, 4])
        array([378. ,  94.5])
        """
        found: NDArray[np.float64] = _value(self.values, learning_rate, batch_size, np)
        return found

    def __repr__(self) -> str:
        return f"FormulaTable({' x '.join(map(str, self.values.shape))}, powers of 1/b and of the learning rate)"


class JaxFormula:
    """A trace formula in JAX (``TraceFormula.to_jax``)."""

    def __init__(self, formula: TraceFormula) -> None:
        self._formula = formula

    def __call__(
        self,
        weights: Sequence[ArrayLike],
        teacher: ArrayLike,
        learning_rate: ArrayLike,
        batch_size: ArrayLike,
        covariance: ArrayLike | None = None,
        noise_variance: ArrayLike = 0.0,
    ) -> jax.Array:
        """The quantity at learning_rate and batch_size, arrays that broadcast; of several parameters the rates' last axis.

        Raises:
            InputTypeError, InputError: a shape that does not fit, or an argument that the formula is not for.
        """
        found: jax.Array = self._value(
            *self._arrays(weights, teacher, covariance, noise_variance), learning_rate, batch_size
        )
        return found

    def table(
        self,
        weights: Sequence[ArrayLike],
        teacher: ArrayLike,
        covariance: ArrayLike | None = None,
        noise_variance: ArrayLike = 0.0,
    ) -> jax.Array:
        """The coefficients of the powers of 1/b and of the learning rate, as ``FormulaTable.values``."""
        found: jax.Array = self._table(*self._arrays(weights, teacher, covariance, noise_variance))
        return found

    def _arrays(self, weights: Any, teacher: Any, covariance: Any, noise_variance: Any) -> tuple[Any, ...]:
        import jax.numpy as jnp

        def made(value: Any, name: str) -> jax.Array:
            try:
                found = jnp.asarray(value)
            except (TypeError, ValueError):
                raise InputTypeError(name, value, "give an array of numbers") from None
            return found.astype(jnp.result_type(found.dtype, jnp.result_type(float)))

        return checked(self._formula, weights, teacher, covariance, noise_variance, made)

    @cached_property
    def _table(self) -> Callable[..., Any]:
        import jax
        import jax.numpy as jnp

        def of(weights: Any, teacher: Any, sigma: Any, noise: Any) -> Any:
            return _coefficients(self._formula, weights, teacher, sigma, noise, jnp)[0]

        return jax.jit(of)

    @cached_property
    def _value(self) -> Callable[..., Any]:
        import jax
        import jax.numpy as jnp

        def of(weights: Any, teacher: Any, sigma: Any, noise: Any, rate: Any, size: Any) -> Any:
            values, _ = _coefficients(self._formula, weights, teacher, sigma, noise, jnp)
            return _value(values, rate, size, jnp)

        return jax.jit(of)


def formula_table(
    formula: TraceFormula, weights: Any, teacher: Any, covariance: Any, noise_variance: Any
) -> FormulaTable:
    """See ``TraceFormula.table``."""

    def made(value: Any, name: str) -> NDArray[np.float64]:
        try:
            found = np.asarray(value, np.float64)
        except (TypeError, ValueError):
            raise InputTypeError(name, value, "give an array of real numbers") from None
        if not np.isfinite(found).all():
            raise InputError(name, Words("has an entry that is not finite"), "give finite numbers")
        return found

    values, absolute = _coefficients(formula, *checked(formula, weights, teacher, covariance, noise_variance, made), np)
    return FormulaTable(values, absolute)


def checked(
    formula: TraceFormula, weights: Any, teacher: Any, covariance: Any, noise: Any, made: Callable[[Any, str], Array]
) -> tuple[list[Array], Array, Array | None, Array]:
    """The arguments as arrays of fitting shapes."""
    if not isinstance(weights, Sequence) or len(weights) != formula.depth:
        raise InputTypeError(
            "weights", weights, f"give a list of {formula.depth} arrays, W_1 first", fault="is no such list"
        )
    layers = [made(weight, f"weights[{l}]") for l, weight in enumerate(weights)]
    for l, layer in enumerate(layers):
        fits = layer.ndim == 2 and min(layer.shape) > 0 and (l == 0 or layer.shape[1] == layers[l - 1].shape[0])
        if not fits:
            columns = "columns" if l == 0 else f"{layers[l - 1].shape[0]} columns"
            raise InputError(f"weights[{l}]", Words(f"has shape {layer.shape}"), f"give a matrix with {columns}")
    inputs, outputs = layers[0].shape[1], layers[-1].shape[0]
    target = made(teacher, "teacher")
    if target.shape != (outputs, inputs):
        raise InputError("teacher", Words(f"has shape {target.shape}"), f"give one of shape ({outputs}, {inputs})")
    general = formula.covariance == "general"
    cure = 'use linvar.trace_formula(..., covariance="general")'
    if covariance is not None and not general:
        raise InputError("covariance", Words("is given to a formula for the identity"), cure)
    sigma = None if covariance is None else made(covariance, "covariance")
    if sigma is not None and sigma.shape != (inputs, inputs):
        raise InputError("covariance", Words(f"has shape {sigma.shape}"), f"give one of shape ({inputs}, {inputs})")
    variance = made(noise, "noise_variance")
    if variance.shape != ():
        raise InputError("noise_variance", Words(f"has shape {variance.shape}"), "give one number")
    known = _known(noise)
    if known is not None and known < 0:
        raise InputError("noise_variance", known, "give a variance, >= 0", fault="is negative")
    if not general and known != 0:
        raise InputError("noise_variance", Words("is given to a formula without label noise"), cure)
    return layers, target, sigma, variance


def _known(value: Any) -> float | None:
    """A number, unless it is traced."""
    try:
        return float(value)
    except TypeError:
        return None


def _coefficients(
    formula: TraceFormula, weights: Any, teacher: Any, sigma: Any, noise: Any, xp: ModuleType
) -> tuple[Array, Array]:
    """The table of coefficients, and the sums of their absolute terms."""
    program: Program = formula.program((weights[0].shape[1], *(len(weight) for weight in weights)))
    factors = factors_of(program.route, weights, teacher, sigma, noise, xp)
    values, absolute = program.table(program.traces(factors, sigma, xp), xp)
    scale = float(formula.scale)
    return scale * values, scale * absolute


def _value(table: Array, rate: Any, size: Any, xp: ModuleType) -> Array:
    """sum table[k, j, ...] u^k p_0^j ...; several parameters are the last axis of ``rate``."""
    rate, inverse = xp.asarray(rate, table.dtype), 1 / xp.asarray(size, table.dtype)
    parameters = [inverse, rate] if table.ndim == 2 else [inverse, *(rate[..., i] for i in range(table.ndim - 1))]
    powers = [
        xp.stack(list(accumulate([parameter] * (length - 1), operator.mul, initial=xp.ones_like(parameter))), -1)
        for parameter, length in zip(parameters, table.shape)
    ]
    axes = ascii_lowercase[: table.ndim]
    return xp.einsum(",".join(f"...{axis}" for axis in axes) + f",{axes}->...", *powers, table)
