"""Variances of linear regression under SGD in floating point: any step, every batch size, no d^2 x d^2 matrix.

Write D for the weights W (d_1 x d), C for the sum over outputs of the covariances of their rows (d x d), H = E x x^T,
g for the mean gradient and r = W x - y at the mean weights. A batch is a mean of b examples, so with

    c = 1/b (iid) or (n-b)/(b(n-1)) (without replacement),      V = E[ (x^T C x + ||r||^2) x x^T ] - H C H - g^T g

the gradient has the summed covariance H C H + c V, and a step with learning rate a is

    W' = W - a g,        C' = (I - aH) C (I - aH) + a^2 c V.

Everything is a sum over examples (or Isserlis' theorem for a Gaussian x), so memory is that of the data: exact up to
rounding, in float64. Both variances are c times a polynomial in c with coefficients that are not negative,
of degree t; for every batch size at once that polynomial is interpolated at Chebyshev nodes, and the error measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from linvar.arguments import check_flags
from linvar.display.table import Table
from linvar.display.tabular import Tabular
from linvar.errors import InputError, InputTypeError, Words, shown
from linvar.keywords import door
from linvar.numeric.arguments import (
    check_batch_sizes,
    check_choice,
    check_floats,
    check_number,
    check_numeric_problem,
    check_steps,
)
from linvar.numeric.floats import to_floats
from linvar.numeric.interpolation import Interpolation, interpolated
from linvar.numeric.laws.law import AtWeights, Expectations
from linvar.numeric.laws.rows import RowMeans
from linvar.numeric.laws.twins import numeric_law
from linvar.numeric.schemes.scheme import numeric_scheme
from linvar.problem import Problem
from linvar.schemes.scheme import scheme_of

#: Bytes of the intermediate arrays of one chunk of factors.
_CHUNK_BYTES = 2**25


@dataclass(frozen=True, eq=False)
class RegressionCurve(Tabular):
    """Variances and losses of linear regression after t steps at several batch sizes, given the INITIAL weights.

    Attributes:
        batch_sizes: shape (k,).
        gradient_variance: tr Cov(G_t), shape (k,): the trace of the covariance of all d_1 d_0 entries.
        squared_mean: ||E G_t||^2, shape (k,); it does not depend on b.
        weight_variance: tr Cov(W_t), shape (k,).
        expected_loss: E of the population loss 1/2 E||W_t x - y||^2, shape (k,).
        squared_distance: E ||W_t - W*||^2, shape (k,), W* the minimiser of the population loss (the one of least norm
            where it is not unique).
        mean_weights: E W_t, shape (d_1, d_0); it does not depend on b.
        relative_error: measured error of the interpolation, relative; 0 where every value was computed directly.
        weight_covariance, gradient_covariance: shape (k, d_0, d_0), if asked for: the covariance of a row of W_t and
            of G_t, summed over the d_1 rows. With d_1 = 1 the full covariance matrices.
    """

    batch_sizes: np.ndarray
    gradient_variance: np.ndarray
    squared_mean: np.ndarray
    weight_variance: np.ndarray
    expected_loss: np.ndarray
    squared_distance: np.ndarray
    mean_weights: np.ndarray
    relative_error: float = 0.0
    weight_covariance: np.ndarray | None = None
    gradient_covariance: np.ndarray | None = None

    def variance_of(self, matrix: Any, of: str = "gradient") -> np.ndarray:
        """sum over rows of tr(A Cov A^T), shape (k,): var(A g_t) or var(A w_t) for one output.

        Args:
            matrix: A, with d_0 columns.
            of: "gradient" or "weights".

        Raises:
            InputError: the covariances were not kept (``covariances=True``), or A does not fit them.
        """
        known = {"gradient": self.gradient_covariance, "weights": self.weight_covariance}
        covariance, a = known[check_choice(of, "of", tuple(known))], check_floats(matrix, "matrix")
        if covariance is None:
            raise InputError("covariances", Words("were not kept"), "call regression_curve with covariances=True")
        if a.ndim != 2 or a.shape[1] != covariance.shape[1]:
            raise InputError("matrix", Words(f"has shape {a.shape}"), f"give one with {covariance.shape[1]} columns")
        return np.asarray(np.einsum("ai,kij,aj->k", a, covariance, a))

    @property
    def second_moment(self) -> np.ndarray:
        """E ||G_t||^2, shape (k,)."""
        return np.asarray(self.gradient_variance + self.squared_mean)

    def to_table(self) -> Table:
        """A row a batch size."""
        columns = {
            "b": self.batch_sizes,
            "gradient variance": self.gradient_variance,
            "squared mean": self.squared_mean,
            "weight variance": self.weight_variance,
            "loss": self.expected_loss,
            "squared distance": self.squared_distance,
        }
        notes = [f"Interpolated in b, within {self.relative_error:.1g} relative"] if self.relative_error else []
        rows = zip(*(column.tolist() for column in columns.values()))
        return Table(columns, rows, "Linear regression", notes)

    def __repr__(self) -> str:
        first, last = self.batch_sizes[0], self.batch_sizes[-1]
        return f"RegressionCurve({len(self.batch_sizes)} batch sizes, b = {first}..{last})"


@door
def regression_curve(
    problem: Problem | None = None,
    batch_sizes: Sequence[int] | None = None,
    *,
    inputs: Any = None,
    targets: Any = None,
    weights: Any = None,
    learning_rate: Any = None,
    step: int | None = None,
    sampling: str = "iid",
    max_batch_size: int | None = None,
    relative_error: float = 1e-8,
    covariances: bool = False,
) -> RegressionCurve:
    """Gradient variance, weight variance and loss of linear regression after t steps of SGD, in float64.

    Given the INITIAL weights; G is the MEAN of b per-example gradients of 1/2 ||W x - y||^2. Deterministic: exact
    up to rounding, except where it interpolates (below). Memory is a few times that of the data.

    Args:
        problem: a Problem with one layer; or None and, in its place, floating-point arrays:
        inputs, targets, weights: shapes (n, d_0), (n, d_1) or (n,), (d_1, d_0) or (d_0,).
        learning_rate, step, sampling: as in ``Problem``; one rate, or one for each of the ``step`` updates.
        batch_sizes: where to compute, each directly. If None: every b from 1 to n (for a law that is no data
            set, and iid beyond n: to ``max_batch_size``), through Chebyshev nodes in c where that is cheaper.
        max_batch_size: the last b if ``batch_sizes`` is None.
        relative_error: of the interpolation: the range of c is cut in pieces until every interpolant meets values
            computed directly between its nodes within this.
        covariances: keep the covariance matrices as well (16 k d_0^2 bytes); ``batch_sizes`` must be given.

    Returns:
        A :class:`RegressionCurve`; its ``relative_error`` is the error measured between the nodes.

    Raises:
        InputTypeError, InputError: an argument has the wrong type or shape; more than one layer; symbols; a law without
            formulas in floating point.

    >>> from linvar import Gaussian
    >>> curve = regression_curve(Problem([[[2]]], Gaussian([[-1]]), "1/10", 1), [1, 4])
    >>> curve.gradient_variance.round(4)  # exactly 369/25 u + 9/25 u^2
    array([15.12  ,  3.7125])
    """
    with jax.enable_x64(True):
        check_flags(covariances=covariances)
        if check_number(relative_error, "relative_error") < 0:
            raise InputError("relative_error", relative_error, "give a number >= 0", fault="is negative")
        if problem is not None:
            _check_alone(inputs=inputs, targets=targets, weights=weights, learning_rate=learning_rate, step=step)
            runs = _from_problem(problem)
        else:
            runs = _from_arrays(inputs, targets, weights, learning_rate, step, sampling)
        if batch_sizes is not None:
            return runs.curve(np.array(check_batch_sizes(batch_sizes, runs.largest_batch_size)), covariances)
        if covariances:
            cure = "give the batch sizes, a matrix is kept for each"
            raise InputError("covariances", True, cure, fault="with batch_sizes=None")
        last = runs.law.examples if max_batch_size is None else max_batch_size
        if last is None:
            cure = "give one of them"
            raise InputError("batch_sizes", None, cure, fault="needs max_batch_size= where the law is no data set")
        (last,) = check_batch_sizes([last], runs.largest_batch_size)
        return runs.whole_curve(last, relative_error)


class _Covariances(NamedTuple):
    """C_t and Cov(G_t), summed over the rows of W: (k, d, d) each."""

    weights: jax.Array
    gradient: jax.Array


class _AtFactors(NamedTuple):
    """At each factor: the gradient's variance, the weights' and the loss beyond that of the mean weights, (k, 3)."""

    values: jax.Array
    covariances: _Covariances | None


class _MeanPath(NamedTuple):
    """The end of the mean path, which no batch size changes: the weights (d_1, d), ||E G_t||^2 and the loss there."""

    weights: jax.Array
    squared_gradient: jax.Array
    loss: jax.Array


@dataclass(frozen=True)
class _Regression:
    """Runs from ``start`` (d_1, d), one update for each of ``rates``, batches drawn by a scheme."""

    law: Expectations
    start: jax.Array
    rates: jax.Array
    sampling: str

    @property
    def largest_batch_size(self) -> int | None:
        """n where a batch is a subset of the data."""
        return scheme_of(self.sampling).largest_batch(self.law.examples)

    def curve(self, sizes: np.ndarray, covariances: bool) -> RegressionCurve:
        """At some batch sizes, each directly."""
        found = self._at(self._factors(sizes), covariances)
        curve = self._curve(sizes, Interpolation(np.asarray(found.values), 0.0))
        if found.covariances is None:
            return curve
        weights, gradient = map(np.asarray, found.covariances)
        return replace(curve, weight_covariance=weights, gradient_covariance=gradient)

    def whole_curve(self, last: int, tolerance: float) -> RegressionCurve:
        """At every batch size from 1 to the last: c times polynomials in c of degree t."""
        sizes = np.arange(1, last + 1)

        def directly(factors: np.ndarray) -> np.ndarray:
            return np.asarray(self._at(factors, keep=False).values)

        return self._curve(sizes, interpolated(directly, self._factors(sizes), len(self.rates), tolerance))

    def _factors(self, sizes: np.ndarray) -> np.ndarray:
        """c of each batch size."""
        return numeric_scheme(self.sampling).factor(sizes, self.law.examples)

    def _at(self, factors: np.ndarray, keep: bool) -> _AtFactors:
        """Directly, some factors at a time."""
        width = self.start.shape[1]
        chunk = max(1, _CHUNK_BYTES // (16 * (self.law.terms + width) * width))
        found: _AtFactors = _run(self.law, self.start, self.rates, jnp.asarray(factors), min(chunk, len(factors)), keep)
        return found

    def _curve(self, sizes: np.ndarray, spread: Interpolation) -> RegressionCurve:
        """The curve from the three quantities that vanish with c, and the mean path."""
        end: _MeanPath = _mean_path(self.law, self.start, self.rates)
        mean = np.asarray(end.weights)
        hessian, crossed = np.asarray(self.law.hessian()), np.asarray(self.law.at(jnp.zeros_like(self.start)).gradient)
        minimiser = -np.linalg.lstsq(hessian, crossed.T, rcond=None)[0].T  # W* H = E y x^T, minus the gradient at 0
        values = spread.values
        return RegressionCurve(
            batch_sizes=sizes,
            gradient_variance=values[:, 0],
            squared_mean=np.full(len(sizes), float(end.squared_gradient)),
            weight_variance=values[:, 1],
            expected_loss=float(end.loss) + values[:, 2],
            squared_distance=values[:, 1] + float(np.sum((mean - minimiser) ** 2)),
            mean_weights=mean,
            relative_error=spread.error,
        )


@jax.jit
def _mean_path(law: Expectations, start: Float[Array, "o d"], rates: Float[Array, " t"]) -> _MeanPath:
    """W' = W - a g from the start to the end."""
    weights, _ = jax.lax.scan(lambda w, rate: (w - rate * law.at(w).gradient, None), start, rates)
    end = law.at(weights)
    return _MeanPath(weights, jnp.sum(end.gradient**2), end.loss)


@partial(jax.jit, static_argnums=(4, 5))
def _run(
    law: Expectations,
    start: Float[Array, "o d"],
    rates: Float[Array, " t"],
    factors: Float[Array, " k"],
    chunk: int,
    keep: bool,
) -> _AtFactors:
    """The recursion of the module docstring at every factor; ``chunk`` of them at a time."""
    hessian, width = law.hessian(), start.shape[1]

    def noise(covariance: jax.Array, here: AtWeights) -> jax.Array:
        """V = E[(x^T C x + ||r||^2) x x^T] - H C H - g^T g."""
        spread = law.weighted(covariance, here.squares) - hessian @ covariance @ hessian
        return spread - here.gradient.T @ here.gradient

    def advance(state: tuple[jax.Array, jax.Array], rate: jax.Array) -> tuple[tuple[jax.Array, jax.Array], None]:
        weights, covariances = state
        here = law.at(weights)
        move = jnp.eye(width) - rate * hessian

        def one(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
            """C' = (I - aH) C (I - aH) + a^2 c V."""
            factor, covariance = pair
            return move @ covariance @ move + rate**2 * factor * noise(covariance, here)

        moved = jax.lax.map(one, (factors, covariances), batch_size=chunk)
        return (weights - rate * here.gradient, moved), None

    zero = jnp.zeros((len(factors), width, width))
    (weights, covariances), _ = jax.lax.scan(advance, (start, zero), rates)
    here = law.at(weights)

    def end(pair: tuple[jax.Array, jax.Array]) -> _AtFactors:
        """tr Cov(G) with Cov(G) = H C H + c V, tr C, and tr(H C) / 2."""
        factor, covariance = pair
        spread = hessian @ covariance @ hessian + factor * noise(covariance, here)
        values = jnp.stack([jnp.trace(spread), jnp.trace(covariance), jnp.sum(hessian * covariance) / 2])
        return _AtFactors(values, _Covariances(covariance, spread) if keep else None)

    found: _AtFactors = jax.lax.map(end, (factors, covariances), batch_size=chunk)
    return found


def _from_problem(problem: Problem) -> _Regression:
    """Law, weights and rates as arrays, and the sampling."""
    check_numeric_problem(problem)
    if not problem.is_linear_regression:
        cure = "linear regression is one linear layer; use linvar.numeric.simulate"
        raise InputError("problem", Words(f"is of {problem.model.describe(problem.leaves)}"), cure)
    if not problem.plain:
        raise InputError(
            f"momentum={shown(problem.momentum)}, weight_decay",
            problem.weight_decay,
            "the curve is for plain SGD; use linvar.RegressionMoments (exact) or linvar.numeric.simulate",
        )
    weights = jnp.asarray(to_floats(problem.leaves[0], "weights[0]", "float64"))
    rates = jnp.asarray(to_floats(problem.learning_rates, "learning_rate", "float64"))
    return _Regression(numeric_law(problem.law).expectations(), weights, rates, problem.sampling)


def _check_alone(**given: Any) -> None:
    """A problem says all this itself."""
    for name, value in given.items():
        if value is not None:
            raise InputError(
                name, value, "leave it out, or give arrays and no problem", fault="is given beside problem"
            )


def _from_arrays(inputs: Any, targets: Any, weights: Any, learning_rate: Any, step: Any, sampling: str) -> _Regression:
    """Law, weights and rates from arrays of floats; shapes and values checked."""
    given = {"inputs": inputs, "targets": targets, "weights": weights, "learning_rate": learning_rate, "step": step}
    for name, value in given.items():
        if value is None:
            raise InputTypeError(name, Words("is missing"), f"give a problem, or all of {', '.join(given)}")
    arrays = {name: check_floats(given[name], name) for name in ("inputs", "targets", "weights", "learning_rate")}
    x, y, w = arrays["inputs"], arrays["targets"], np.atleast_2d(arrays["weights"])
    y = y[:, None] if y.ndim == 1 else y
    if x.ndim != 2 or not x.size or y.ndim != 2 or len(y) != len(x) or w.shape != (y.shape[1], x.shape[1]):
        raise InputError(
            "inputs",
            Words(f"has shape {x.shape}, targets {arrays['targets'].shape}, weights {arrays['weights'].shape}"),
            "give (n, d_0), (n, d_1) and (d_1, d_0)",
        )
    count = check_steps(step, "step", "give the number of updates before the gradient is measured, >= 0")
    rates = arrays["learning_rate"]
    if rates.ndim and rates.shape != (count,):
        raise InputError(
            "learning_rate",
            Words(f"has shape {rates.shape}, but step={shown(count)}"),
            f"give one number, or {shown(count)}",
        )
    law = RowMeans(jnp.asarray(x), jnp.asarray(y))
    every = jnp.asarray(np.broadcast_to(rates, (count,)))
    return _Regression(law, jnp.asarray(w), every, scheme_of(sampling).name)
