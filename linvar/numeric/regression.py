"""Second moments of linear regression under SGD in floating point: any step, every batch size, no d^2 x d^2 matrix.

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
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from linvar.arguments import check_flags
from linvar.errors import InputError, InputTypeError, Words, shown
from linvar.laws.dataset import Dataset
from linvar.numeric.arguments import (
    check_batch_sizes,
    check_choice,
    check_floats,
    check_number,
    check_numeric_problem,
    check_steps,
)
from linvar.numeric.models.linear import to_floats
from linvar.problem import SAMPLINGS, Problem

#: Bytes of the intermediate arrays of one chunk of factors.
_CHUNK_BYTES = 2**25
#: Chebyshev nodes of one interpolant.
_NODES = 16
#: Points between the nodes at which an interpolation is checked.
_CHECKS = 5


@dataclass(frozen=True, eq=False)
class RegressionCurve:
    """Moments of linear regression after t steps at several batch sizes, given the INITIAL weights.

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
        check_choice(of, "of", tuple(known))
        covariance, a = known[of], check_floats(matrix, "matrix")
        if covariance is None:
            raise InputError("covariances", Words("were not kept"), "call regression_curve with covariances=True")
        if a.ndim != 2 or a.shape[1] != covariance.shape[1]:
            raise InputError("matrix", Words(f"has shape {a.shape}"), f"give one with {covariance.shape[1]} columns")
        return np.einsum("ai,kij,aj->k", a, covariance, a)

    @property
    def second_moment(self) -> np.ndarray:
        """E ||G_t||^2, shape (k,)."""
        return self.gradient_variance + self.squared_mean

    def __repr__(self) -> str:
        first, last = self.batch_sizes[0], self.batch_sizes[-1]
        return f"RegressionCurve({len(self.batch_sizes)} batch sizes, b = {first}..{last})"


@partial(jax.tree_util.register_dataclass, data_fields=["inputs", "targets"], meta_fields=[])
@dataclass(frozen=True)
class DataLaw:
    """A data set: inputs (n, d), targets (n, d_1); expectations are means over rows."""

    inputs: Any
    targets: Any

    def second_moment(self) -> Float[Array, "d d"]:
        """E x x^T."""
        return self.inputs.T @ self.inputs / len(self.inputs)

    def at(self, weights: Float[Array, "o d"]) -> tuple[Any, Any, Any]:
        """Squared residuals of the rows, mean gradient (o, d) and loss at these weights."""
        residual = self.inputs @ weights.T - self.targets
        squares = jnp.sum(residual**2, axis=1)
        return squares, residual.T @ self.inputs / len(self.inputs), squares.mean() / 2

    def weighted(self, covariance: Float[Array, "d d"], squares: Any) -> Float[Array, "d d"]:
        """E[(x^T C x + ||r||^2) x x^T]."""
        scale = jnp.sum((self.inputs @ covariance) * self.inputs, axis=1) + squares
        return (self.inputs * scale[:, None]).T @ self.inputs / len(self.inputs)


@partial(jax.tree_util.register_dataclass, data_fields=["teacher", "covariance", "mean", "noise"], meta_fields=[])
@dataclass(frozen=True)
class GaussianLaw:
    """x ~ N(mean, covariance), y = teacher x + noise; ``noise`` is its variance in each output."""

    teacher: Any
    covariance: Any
    mean: Any
    noise: Any

    def second_moment(self) -> Float[Array, "d d"]:
        """E x x^T."""
        return self.covariance + jnp.outer(self.mean, self.mean)

    def at(self, weights: Float[Array, "o d"]) -> tuple[Any, Any, Any]:
        """E ||r||^2 as a form in x (its matrix), mean gradient and loss at these weights."""
        away = weights - self.teacher
        gradient = away @ self.second_moment()
        return away.T @ away, gradient, (jnp.sum(gradient * away) + len(self.teacher) * self.noise) / 2

    def weighted(self, covariance: Float[Array, "d d"], squares: Any) -> Float[Array, "d d"]:
        """E[(x^T C x + ||r||^2) x x^T] by Isserlis' theorem; the noise is independent of x."""
        form, moment = covariance + squares, self.second_moment()
        noise = len(self.teacher) * self.noise
        result = 2 * moment @ form @ moment + (jnp.sum(moment * form) + noise) * moment
        return result - 2 * (self.mean @ form @ self.mean) * jnp.outer(self.mean, self.mean)


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
        batch_sizes: where to compute, each directly. If None: every b from 1 to n (for a Gaussian law, and iid
            beyond n: to ``max_batch_size``), through Chebyshev nodes in c where that is cheaper.
        max_batch_size: the last b if ``batch_sizes`` is None.
        relative_error: of the interpolation: the range of c is cut in pieces until every interpolant meets values
            computed directly between its nodes within this.
        covariances: keep the covariance matrices as well (16 k d_0^2 bytes); ``batch_sizes`` must be given.

    Returns:
        A :class:`RegressionCurve`; its ``relative_error`` is the error measured between the nodes.

    Raises:
        InputTypeError, InputError: an argument has the wrong type or shape; more than one layer; symbols.

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
            law, start, rates, sampling = _from_problem(problem)
        else:
            law, start, rates = _from_arrays(inputs, targets, weights, learning_rate, step)
        size = len(law.inputs) if isinstance(law, DataLaw) else None
        check_choice(sampling, "sampling", SAMPLINGS)
        limit = size if sampling == "without_replacement" else None
        if batch_sizes is not None:
            sizes = np.array(check_batch_sizes(batch_sizes, limit))
            return _curve(sizes, law, start, rates, *_direct(law, start, rates, _factors(sizes, limit), covariances))
        if covariances:
            cure = "give the batch sizes, a matrix is kept for each"
            raise InputError("covariances", True, cure, fault="with batch_sizes=None")
        if max_batch_size is None and size is None:
            cure = "give one of them"
            raise InputError("batch_sizes", None, cure, fault="needs max_batch_size= where the law is no data set")
        (last,) = check_batch_sizes([size if max_batch_size is None else max_batch_size], limit)
        sizes = np.arange(1, last + 1)
        values, error = _interpolated(law, start, rates, _factors(sizes, limit), relative_error)
        return _curve(sizes, law, start, rates, values, relative_error=error)


def _factors(sizes: np.ndarray, limit: int | None) -> np.ndarray:
    """c of each batch size; ``limit`` is n without replacement."""
    if limit is None:
        return 1.0 / sizes
    return (limit - sizes) / (sizes * max(1.0, limit - 1.0))


def _curve(
    sizes: np.ndarray,
    law: Any,
    start: Any,
    rates: Any,
    values: np.ndarray,
    kept: Any = (None, None),
    *,
    relative_error: float = 0.0,
) -> RegressionCurve:
    """The curve from the three quantities that vanish with c, and the mean path."""
    mean, squared_mean, loss = (np.asarray(value) for value in _mean_end(law, start, rates))
    hessian, crossed = np.asarray(law.second_moment()), np.asarray(law.at(jnp.zeros_like(start))[1])
    minimiser = -np.linalg.lstsq(hessian, crossed.T, rcond=None)[0].T  # W* H = E y x^T, minus the gradient at 0
    return RegressionCurve(
        batch_sizes=sizes,
        gradient_variance=values[:, 0],
        squared_mean=np.full(len(sizes), float(squared_mean)),
        weight_variance=values[:, 1],
        expected_loss=float(loss) + values[:, 2],
        squared_distance=values[:, 1] + float(np.sum((mean - minimiser) ** 2)),
        mean_weights=mean,
        relative_error=relative_error,
        weight_covariance=kept[0],
        gradient_covariance=kept[1],
    )


def _interpolated(
    law: Any, start: Any, rates: Any, factors: np.ndarray, relative_error: float
) -> tuple[np.ndarray, float]:
    """``_direct`` at every factor, by interpolation where that needs fewer nodes; and the largest error measured.

    Where one interpolant does not do (rates near or beyond stability: values of many magnitudes) the range is cut in
    two at its geometric mean, again and again.
    """
    nodes = min(_NODES, len(rates) + 1)  # t + 1 determine the polynomial
    positive = factors[factors > 0]
    if len(factors) <= nodes + _CHECKS or len(positive) < 2:
        return _direct(law, start, rates, factors)[0], 0.0
    low, high = float(factors.min()), float(factors.max())
    at = _chebyshev(nodes, low, high)
    # the quotients grow with c, so a relative error is largest at the smallest c
    between = np.concatenate([[positive.min()], _chebyshev(_CHECKS - 1, low, high)])
    points = np.concatenate([at, between])
    quotients = _direct(law, start, rates, points)[0] / points[:, None]
    known, guess = quotients[nodes:], _barycentric(at, quotients[:nodes], between)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = float(np.max(np.where(known == guess, 0.0, np.abs(guess - known) / np.abs(known))))
    if error <= relative_error:
        return _barycentric(at, quotients[:nodes], factors) * factors[:, None], error
    lower = factors < (positive.min() * high) ** 0.5
    result, errors = np.empty((len(factors), 3)), []
    for part in (lower, ~lower):
        result[part], measured = _interpolated(law, start, rates, factors[part], relative_error)
        errors.append(measured)
    return result, max(errors)


def _chebyshev(count: int, low: float, high: float) -> np.ndarray:
    """Zeros of the Chebyshev polynomial of this degree on [low, high], descending."""
    angles = (2 * np.arange(count) + 1) * np.pi / (2 * count)
    return low + (high - low) * np.cos(angles / 2) ** 2


def _barycentric(nodes: np.ndarray, values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The polynomial through values (nodes, q) at Chebyshev zeros, at other points: (points, q)."""
    count = len(nodes)
    signs = (-1.0) ** np.arange(count) * np.sin((2 * np.arange(count) + 1) * np.pi / (2 * count))
    distance = points[:, None] - nodes[None]
    exact = distance == 0
    weights = signs / np.where(exact, 1.0, distance)
    weights = np.where(exact.any(axis=1, keepdims=True), exact, weights)
    return weights @ values / weights.sum(axis=1, keepdims=True)


def _direct(law: Any, start: Any, rates: Any, factors: np.ndarray, keep: bool = False) -> tuple[np.ndarray, Any]:
    """Gradient variance, weight variance and excess loss at each factor, shape (k, 3); the covariances, if kept."""
    rows = len(law.inputs) if isinstance(law, DataLaw) else 1
    chunk = max(1, _CHUNK_BYTES // (16 * (rows + start.shape[1]) * start.shape[1]))
    values, kept = _run(law, start, rates, jnp.asarray(factors), min(chunk, len(factors)), keep)
    return np.asarray(values), tuple(map(np.asarray, kept)) if keep else (None, None)


@jax.jit
def _mean_end(law: Any, start: Float[Array, "o d"], rates: Float[Array, " t"]) -> tuple[Any, Any, Any]:
    """The mean weights, ||E G_t||^2 and the loss at the mean weights."""
    weights, _ = jax.lax.scan(lambda w, rate: (w - rate * law.at(w)[1], None), start, rates)
    _, gradient, loss = law.at(weights)
    return weights, jnp.sum(gradient**2), loss


@partial(jax.jit, static_argnums=(4, 5))
def _run(
    law: Any, start: Float[Array, "o d"], rates: Float[Array, " t"], factors: Float[Array, " k"], chunk: int, keep: bool
) -> tuple[Float[Array, "k 3"], Any]:
    """The recursion of the module docstring at every factor; ``chunk`` of them at a time."""
    hessian, width = law.second_moment(), start.shape[1]

    def noise(covariance: Any, squares: Any, gradient: Any) -> Any:
        """V."""
        return law.weighted(covariance, squares) - hessian @ covariance @ hessian - gradient.T @ gradient

    def advance(state: Any, rate: Any) -> tuple[Any, None]:
        weights, covariances = state
        squares, gradient, _ = law.at(weights)
        move = jnp.eye(width) - rate * hessian

        def one(pair: Any) -> Any:
            factor, covariance = pair
            return move @ covariance @ move + rate**2 * factor * noise(covariance, squares, gradient)

        return (weights - rate * gradient, jax.lax.map(one, (factors, covariances), batch_size=chunk)), None

    zero = jnp.zeros((len(factors), width, width))
    (weights, covariances), _ = jax.lax.scan(advance, (start, zero), rates)
    squares, gradient, _ = law.at(weights)

    def end(pair: Any) -> Any:
        factor, covariance = pair
        spread = hessian @ covariance @ hessian + factor * noise(covariance, squares, gradient)
        values = jnp.stack([jnp.trace(spread), jnp.trace(covariance), jnp.sum(hessian * covariance) / 2])
        return values, (covariance, spread) if keep else ()

    return jax.lax.map(end, (factors, covariances), batch_size=chunk)


def _from_problem(problem: Problem) -> tuple[Any, Any, Any, str]:
    """Law, weights and rates as arrays, and the sampling."""
    check_numeric_problem(problem)
    if problem.depth != 1:
        cure = "linear regression has one; use linvar.numeric.simulate"
        raise InputError("problem", Words(f"has {problem.depth} layers"), cure)
    if not problem.plain:
        raise InputError(
            f"momentum={shown(problem.momentum)}, weight_decay",
            problem.weight_decay,
            "the curve is for plain SGD; use linvar.RegressionMoments (exact) or linvar.numeric.simulate",
        )
    given = problem.law
    law: Any
    if isinstance(given, Dataset):
        law = DataLaw(
            *(jnp.asarray(to_floats(getattr(given, name), name, "float64")) for name in ("inputs", "targets"))
        )
    else:
        names = ("teacher", "covariance", "mean", "noise_variance")
        law = GaussianLaw(*(jnp.asarray(to_floats(getattr(given, name), name, "float64")) for name in names))
    weights = jnp.asarray(to_floats(problem.weights[0], "weights[0]", "float64"))
    rates = jnp.asarray(to_floats(problem.learning_rates, "learning_rate", "float64"))
    return law, weights, rates, problem.sampling


def _check_alone(**given: Any) -> None:
    """A problem says all this itself."""
    for name, value in given.items():
        if value is not None:
            raise InputError(
                name, value, "leave it out, or give arrays and no problem", fault="is given beside problem"
            )


def _from_arrays(inputs: Any, targets: Any, weights: Any, learning_rate: Any, step: Any) -> tuple[Any, Any, Any]:
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
    return DataLaw(jnp.asarray(x), jnp.asarray(y)), jnp.asarray(w), jnp.asarray(np.broadcast_to(rates, (count,)))
