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

from linvar.errors import NotFiniteError, Words
from linvar.symbolic.traces.arrays import Array, Program, factors_of
from linvar.symbolic.traces.given import finite, in_jax, network, rates_and_sizes

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
        values: entry [k, j] multiplies (1/b)^k alpha^j; with several parameters an axis for each.
        condition: of each entry the sum of the absolute values of its terms: rounding leaves an error of no more than about 1e-13
            times it, and relative to |values| it is the condition number of the sum. Not so where W_L ... W_1 is close to the
            teacher: their difference E has then lost digits itself (1e-6 apart, ten are left).
        parameters: what the axes of ``values`` after the first are powers of (``TraceFormula.parameters``).
    """

    values: NDArray[np.float64]
    condition: NDArray[np.float64]
    parameters: tuple[str, ...]

    def __call__(self, learning_rate: NumbersLike, batch_size: NumbersLike) -> NDArray[np.float64]:
        """Its value, at arrays of learning rates and batch sizes >= 1 that broadcast; several parameters are in the last axis.

        Raises:
            InputTypeError, InputError: they are no such numbers.

        >>> import numpy as np, linvar as lv
        >>> lv.trace_formula(step=0).table([np.ones((3, 2)), np.ones((1, 3))], np.zeros((1, 2)))(0.1, [1, 4])
        array([378. ,  94.5])
        """
        rates, sizes = rates_and_sizes(self.parameters, learning_rate, batch_size, finite)
        found: NDArray[np.float64] = _value(self.values, rates, sizes, np)
        return found

    def __repr__(self) -> str:
        shape, powers = " x ".join(map(str, self.values.shape)), ", ".join(("1/b", *self.parameters))
        return f"FormulaTable({shape}, powers of {powers})"


class JaxFormula:
    """A trace formula in JAX (``TraceFormula.to_jax``)."""

    def __init__(self, formula: TraceFormula) -> None:
        self._formula = formula

    def __reduce__(self) -> tuple[type[JaxFormula], tuple[TraceFormula]]:
        return JaxFormula, (self._formula,)

    def __repr__(self) -> str:
        return f"JaxFormula({self._formula!r})"

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
        arrays = network(self._formula, weights, teacher, covariance, noise_variance, in_jax)
        rates, sizes = rates_and_sizes(self._formula.parameters, learning_rate, batch_size, in_jax)
        found: jax.Array = self._value(*arrays, rates, sizes)
        return found

    def table(
        self,
        weights: Sequence[ArrayLike],
        teacher: ArrayLike,
        covariance: ArrayLike | None = None,
        noise_variance: ArrayLike = 0.0,
    ) -> jax.Array:
        """The coefficients of the powers of 1/b and of the learning rate, as ``FormulaTable.values``."""
        found: jax.Array = self._table(*network(self._formula, weights, teacher, covariance, noise_variance, in_jax))
        return found

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
    arrays = network(formula, weights, teacher, covariance, noise_variance, finite)
    with np.errstate(over="ignore", invalid="ignore"):
        values, absolute = _coefficients(formula, *arrays, np)
    if not np.isfinite(absolute).all():
        cure = "give smaller ones, or the problem in exact numbers to the formula itself"
        raise NotFiniteError("weights", Words("lead to numbers beyond float64"), cure)
    for array in (values, absolute):
        array.setflags(write=False)
    return FormulaTable(values, absolute, formula.parameters)


def _coefficients(
    formula: TraceFormula, weights: Any, teacher: Any, sigma: Any, noise: Any, xp: ModuleType
) -> tuple[Array, Array]:
    """The table of coefficients, and the sums of their absolute terms."""
    program: Program = formula.program((weights[0].shape[1], *(len(weight) for weight in weights)))
    factors = factors_of(program.route, weights, teacher, sigma, noise, xp)
    values, absolute = program.table(program.traces(factors, sigma, weights[0].dtype, xp), xp)
    scale = float(formula.scale)
    return scale * values, scale * absolute


def _value(table: Array, rate: Any, size: Any, xp: ModuleType) -> Array:
    """sum table[k, j, ...] u^k p_0^j ...; several parameters are the last axis of ``rate``."""
    rate, inverse = rate.astype(table.dtype), 1 / size.astype(table.dtype)
    parameters = [inverse, rate] if table.ndim == 2 else [inverse, *(rate[..., i] for i in range(table.ndim - 1))]
    powers = [
        xp.stack(list(accumulate([parameter] * (length - 1), operator.mul, initial=xp.ones_like(parameter))), -1)
        for parameter, length in zip(parameters, table.shape)
    ]
    axes = ascii_lowercase[: table.ndim]
    return xp.einsum(",".join(f"...{axis}" for axis in axes) + f",{axes}->...", *powers, table)
