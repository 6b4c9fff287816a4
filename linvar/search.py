"""Search for problems whose gradient variance RISES with the batch size somewhere; every find is certified exactly.

Networks of L layers of width 1, x ~ N(0, 1), y = T x + noise. Measure weights by their start, v_k = w_k(t) / w_k(0), and
the residual by P = w_1 ... w_L, rho = v_1 ... v_L - tau with tau = T / P. Then SGD and the gradient are, up to one factor,

    v_k <- v_k - x_k / (1 - tau) * (rho S - N) * prod_{j != k} v_j,       G_k ~ sqrt(x_k) (rho S - N) prod_{j != k} v_j

with x_k = alpha (1 - tau) P^2 / w_k^2, S the batch mean of x^2 and N that of (noise x) / P: the L numbers x_k, tau and
the noise are all that matters. For widths 1, S ~ chi^2_b / b and N | S ~ N(0, sigma^2 S / b), so that

    var = sum_k x_k ( Var h_k + u E[ 2 h_k^2 + sigma^2 o_k^2 ] ),   o_k = prod_{j != k} v_j,  h_k = rho o_k

is a sum of positive terms over Gauss nodes, enough of them to be exact: no cancellation, at any b. Many starts are
screened, the best refined by gradient ascent on the largest slope d log var / d log b over a grid of integers, the results
rounded to a few digits, and the polynomial of the rounded problem is derived and decided exactly. Only that counts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from linvar.exact import Rational
from linvar.laws import Gaussian
from linvar.numeric.arguments import check_integer, check_key
from linvar.problem import Problem
from linvar.symbolic.monotone import TurningPoint
from linvar.symbolic.plan import choose
from linvar.symbolic.polynomial import BatchPolynomial
from linvar.symbolic.variance import gradient_variance

#: Starts of a round, and how many of them are refined by how many steps; fewer where one costs more than _USUAL_COST.
SCREENED, REFINED, ASCENT_STEPS = 10_000, 192, 150
_USUAL_COST = 8 * 64 * 36  # layers, nodes, batch sizes
#: Ranges of the starts: x_k and sigma log-uniform, tau uniform.
_X, _TAU, _SIGMA = (0.1, 6.0), (-0.2, 0.3), (0.01, 3.0)
#: Sharpness of the soft maximum of slopes in the ascent.
_SHARPNESS = 60.0
_CHUNK_BYTES = 2**27
_DIGITS = (2, 3, 4, 5, 6)
#: Points of a round that are certified even when the time is over.
_CERTIFIED = 4


@dataclass(frozen=True)
class SearchResult:
    """What a search found; ``problem`` is None if nothing was certified.

    Attributes:
        problem: widths 1, with small rational entries.
        variance: its exact polynomial.
        rise: integers (low, high): the exact variance rises at every step from b = low to b = high = b_0.
        relative_rise: variance(high) / variance(low) - 1, exact.
        largest_slope: the largest d log var / d log b that was seen (in floating point); negative where all fell.
        starts: how many random starts were screened.
        seconds: wall-clock time.
    """

    problem: Problem | None
    variance: BatchPolynomial | None
    rise: tuple[int, int] | None
    relative_rise: Rational | None
    largest_slope: float
    starts: int
    seconds: float

    @property
    def found(self) -> bool:
        """Whether a rise was certified."""
        return self.problem is not None

    @property
    def turning_points(self) -> tuple[TurningPoint, ...]:
        """Where the exact variance turns; none if nothing was found."""
        return () if self.variance is None else self.variance.turning_points()

    def __repr__(self) -> str:
        work = f"{self.starts:,} starts, {self.seconds:.0f} s"
        if self.rise is None or self.relative_rise is None or self.problem is None:
            return f"SearchResult(no rise certified; largest slope {self.largest_slope:.4f}; {work})"
        low, high = self.rise
        return (
            f"SearchResult({self.problem.depth} layers, t = {self.problem.step}: the variance rises by "
            f"{float(self.relative_rise):.2%} from b = {low} to b = {high}, certified; {work})"
        )


def search_nonmonotone(
    depth: int = 8,
    *,
    step: int = 1,
    label_noise: bool = False,
    batch_sizes: tuple[int, int] = (4, 400),
    key: Any = None,
    seconds: float = 60.0,
    progress: Callable[[float, float], None] | None = None,
) -> SearchResult:
    """Look for a linear network of widths 1 whose exact gradient variance rises with b somewhere.

    Rounds of random starts, gradient ascent in JAX (float64), rounding and exact certification, until a rise is
    certified or the time is over. A find is a theorem about the problem returned; no find proves nothing.

    Args:
        depth: L >= 1. (For L = 1 there is nothing to find: ``proofs/``.)
        step: t >= 1.
        label_noise: whether to vary the noise of the labels too; none otherwise.
        batch_sizes: (low, high), the range in which to look.
        key: a typed JAX key; ``jax.random.key(0)`` if None.
        seconds: when to stop; checked between rounds (of some seconds each, and at least one).
        progress: called as ``progress(seconds spent, largest slope so far)``.

    Returns:
        A :class:`SearchResult`.

    Raises:
        TypeError, ValueError: an argument has the wrong type or is out of range.
        DerivationTooLargeError: the certificate of such a problem would not fit; raised before the search starts.
    """
    depth, step = check_integer(depth, "depth"), check_integer(step, "step")
    if depth < 1 or step < 1:
        raise ValueError(f"depth={depth}, step={step}: give a depth and a step >= 1")
    if not isinstance(batch_sizes, (tuple, list)) or len(batch_sizes) != 2:
        raise TypeError(f"batch_sizes={batch_sizes!r}: give a range, (4, 400)")
    low, high = (check_integer(value, f"batch_sizes[{i}]") for i, value in enumerate(batch_sizes))
    if not 1 <= low < high:
        raise ValueError(f"batch_sizes=({low}, {high}): give a range, 1 <= low < high")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"seconds={seconds!r} is of type {type(seconds).__name__}: give a number")
    if not seconds > 0:
        raise ValueError(f"seconds={seconds}: give a time > 0")
    key = jax.random.key(0) if key is None else check_key(key)
    law = Gaussian([["1/2"]], noise_variance="1/2" if label_noise else 0)
    choose(Problem([[["3/2"]]] * depth, law, "1/7", step))
    begin, rounds, largest = time.perf_counter(), 0, -math.inf
    with jax.enable_x64(True):
        objective = _objective(depth, step, label_noise, low, high)
        screened = objective.scaled(SCREENED, 1_000)
        while not rounds or time.perf_counter() - begin < seconds:
            rounds += 1
            points, slopes = _round(objective, jax.random.fold_in(key, rounds))
            largest = max(largest, float(slopes[0]))
            if progress is not None:
                progress(time.perf_counter() - begin, largest)
            for i, (point, slope) in enumerate(zip(points, slopes)):
                if slope <= 0 or (i >= _CERTIFIED and time.perf_counter() - begin > seconds):
                    break
                found = _certify(point, depth, step)
                if found is not None:
                    return SearchResult(*found, largest, rounds * screened, time.perf_counter() - begin)
    return SearchResult(None, None, None, None, largest, rounds * screened, time.perf_counter() - begin)


# the objective


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["batch_sizes", "nodes", "probabilities"],
    meta_fields=["depth", "step", "label_noise"],
)
@dataclass(frozen=True)
class Objective:
    """log var over a grid of batch sizes, from Gauss nodes of S (and N) of each of the t steps.

    Attributes:
        batch_sizes: shape (k,).
        nodes: for each step S and N / sigma at the nodes, shape (2, k, m): the tensor grid of all steps, m in all.
        probabilities: shape (k, m), positive, sum 1.
    """

    depth: int
    step: int
    label_noise: bool
    batch_sizes: Any
    nodes: Any
    probabilities: Any

    def log_variance(self, point: Float[Array, " p"]) -> Float[Array, " k"]:
        """log var, up to a constant, at (log x_1, ..., log x_L, log(1 - tau)[, log sigma])."""
        x, tau = jnp.exp(point[: self.depth]), 1 - jnp.exp(point[self.depth])
        sigma = jnp.exp(point[self.depth + 1]) if self.label_noise else 0.0
        (batch, noise), *later = self.nodes
        v = 1 - x[:, None, None] * (batch - sigma / (1 - tau) * noise)  # every v_k starts at 1
        for batch, noise in later:
            others, full = _products(v)
            v = v - (x / (1 - tau))[:, None, None] * ((full - tau) * batch - sigma * noise) * others
        others, full = _products(v)
        h, u = (full - tau) * others, 1 / self.batch_sizes
        mean = jnp.sum(self.probabilities * h, axis=-1, keepdims=True)
        spread = jnp.sum(self.probabilities * (h - mean) ** 2, axis=-1)
        inner = jnp.sum(self.probabilities * (2 * h**2 + sigma**2 * others**2), axis=-1)
        return jnp.log(jnp.sum(x[:, None] * (spread + u * inner), axis=0))

    def slopes(self, point: Float[Array, " p"]) -> Float[Array, " k_1"]:
        """d log var / d log b between neighbours of the grid: positive exactly where the variance rises."""
        return jnp.diff(self.log_variance(point)) / jnp.diff(jnp.log(self.batch_sizes))

    def largest_slope(self, point: Float[Array, " p"]) -> Float[Array, ""]:
        """The largest, minus infinity where it is no number."""
        return jnp.nan_to_num(jnp.max(self.slopes(point)), nan=-jnp.inf)

    def loss(self, point: Float[Array, " p"]) -> Float[Array, ""]:
        """Minus a soft maximum of the slopes."""
        return -jax.nn.logsumexp(_SHARPNESS * self.slopes(point)) / _SHARPNESS

    def scaled(self, count: int, least: int) -> int:
        """``count``, or fewer if a point costs more than usual."""
        return max(least, min(count, count * _USUAL_COST // (self.depth * self.probabilities.size)))

    @property
    def chunk(self) -> int:
        """How many points at a time."""
        return max(1, _CHUNK_BYTES // (8 * self.depth * self.probabilities.size))


def _products(v: Float[Array, "l k m"]) -> tuple[Any, Any]:
    """prod_{j != k} v_j for each k, and the product of all."""
    one = jnp.ones_like(v[:1])
    before = jnp.concatenate([one, jnp.cumprod(v[:-1], axis=0)])
    after = jnp.concatenate([jnp.cumprod(v[::-1][:-1], axis=0)[::-1], one])
    return before * after, before[-1] * v[-1]


def _objective(depth: int, step: int, label_noise: bool, low: int, high: int) -> Objective:
    """The grid of batch sizes and the Gauss nodes; a moment of degree 2 (2L-1)^(t-s) in step s is exact."""
    sizes = np.unique(np.round(np.geomspace(low, high, 36)).astype(int))
    counts = [(2 * depth - 1) ** (step - s) + 1 for s in range(step)]
    grids, chances = [], []
    for b in sizes:
        axes = [_batch_nodes(count, float(b), label_noise) for count in counts]
        index = np.meshgrid(*[np.arange(len(weights)) for *_, weights in axes], indexing="ij")
        grids.append([[axis[part][i.ravel()] for part in (0, 1)] for axis, i in zip(axes, index)])
        chances.append(np.prod([axis[2][i.ravel()] for axis, i in zip(axes, index)], axis=0))
    nodes = jnp.asarray(np.moveaxis(np.array(grids), 0, 2))  # step, (S, N), k, m
    return Objective(depth, step, label_noise, jnp.asarray(sizes, dtype=float), nodes, jnp.asarray(np.array(chances)))


def _batch_nodes(count: int, b: float, label_noise: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes of S ~ chi^2_b / b, of N / sigma given S, and their probabilities (Golub & Welsch 1969)."""
    k, shape = np.arange(count), b / 2 - 1
    batch, probability = _gauss(2 * k + 1 + shape, np.sqrt(k[1:] * (k[1:] + shape)))
    batch = batch * 2 / b
    if not label_noise:
        return batch, np.zeros(count), probability
    normal, chance = _gauss(np.zeros(count), np.sqrt(k[1:]))
    return (
        np.repeat(batch, count),
        (np.sqrt(batch / b)[:, None] * normal).ravel(),
        (probability[:, None] * chance).ravel(),
    )


def _gauss(diagonal: np.ndarray, beside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and probabilities of the Gauss rule with this Jacobi matrix."""
    values, vectors = np.linalg.eigh(np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1))
    return values, vectors[0] ** 2


# a round


def _round(objective: Objective, key: Any) -> tuple[np.ndarray, np.ndarray]:
    """Refined points with their largest slopes, best first."""
    starts = _starts(key, objective.scaled(SCREENED, 1_000), objective.depth, objective.label_noise)
    slopes = np.asarray(_screen(objective, starts, objective.chunk))
    best = starts[np.argsort(-slopes)[: objective.scaled(REFINED, 24)]]
    refined, values = _ascend(objective, best)
    order = np.argsort(-np.asarray(values))
    return np.asarray(refined)[order], np.asarray(values)[order]


@partial(jax.jit, static_argnums=(1, 2, 3))
def _starts(key: Any, count: int, depth: int, label_noise: bool) -> Float[Array, "s p"]:
    """Random points."""
    keys = jax.random.split(key, 3)
    parts = [
        jax.random.uniform(keys[0], (count, depth), minval=math.log(_X[0]), maxval=math.log(_X[1])),
        jnp.log(1 - jax.random.uniform(keys[1], (count, 1), minval=_TAU[0], maxval=_TAU[1])),
    ]
    if label_noise:
        parts.append(jax.random.uniform(keys[2], (count, 1), minval=math.log(_SIGMA[0]), maxval=math.log(_SIGMA[1])))
    return jnp.concatenate(parts, axis=1)


@partial(jax.jit, static_argnums=2)
def _screen(objective: Objective, points: Float[Array, "s p"], chunk: int) -> Float[Array, " s"]:
    """The largest slope of each point."""
    return jax.lax.map(objective.largest_slope, points, batch_size=chunk)


@jax.jit
def _ascend(objective: Objective, points: Float[Array, "r p"]) -> tuple[Any, Any]:
    """Adam with a cosine decay on all points at once; of each the best place on its way, with its largest slope."""
    optimizer = optax.adam(optax.cosine_decay_schedule(0.05, ASCENT_STEPS))
    slope, gradient = jax.vmap(objective.largest_slope), jax.vmap(jax.grad(objective.loss))

    def advance(state: Any, _: None) -> tuple[Any, None]:
        points, memory, best, values = state
        updates, memory = optimizer.update(jnp.nan_to_num(gradient(points)), memory, points)
        points = optax.apply_updates(points, updates)
        now = slope(points)
        best = jnp.where((now > values)[:, None], points, best)
        return (points, memory, best, jnp.maximum(now, values)), None

    start = (points, optimizer.init(points), points, slope(points))
    (_, _, best, values), _ = jax.lax.scan(advance, start, None, length=ASCENT_STEPS)
    return best, values


# the certificate


def _certify(
    point: np.ndarray, depth: int, step: int
) -> tuple[Problem, BatchPolynomial, tuple[int, int], Rational] | None:
    """Round to as few digits as keep a rise; derive and decide exactly. None if no rounding does."""
    for digits in _DIGITS:
        problem = _rounded(point, depth, step, digits)
        variance = gradient_variance(problem)
        high = variance.decreasing_from()
        if high is None or high == 1:
            continue
        low = high - 1
        if not variance(low) < variance(high):
            continue
        while low > 1 and variance(low - 1) < variance(low):
            low -= 1
        return problem, variance, (low, high), Rational(variance(high) / variance(low) - 1)
    return None


def _rounded(point: np.ndarray, depth: int, step: int, digits: int) -> Problem:
    """The problem of a point: weights of geometric mean 1, every number rounded to this many significant digits."""
    x, gap = np.exp(point[:depth]), float(np.exp(point[depth]))  # gap = 1 - tau
    scale = float(np.exp(np.mean(np.log(x))))
    weights = [_significant(math.sqrt(scale / value), digits) for value in x]
    product = float(math.prod(weights))
    teacher = _significant((1 - gap) * product, digits)
    rate = _significant(scale / (product * (product - float(teacher))), digits)
    noise = Rational(0)
    if len(point) > depth + 1:
        noise = _significant((math.exp(float(point[depth + 1])) * product) ** 2, digits)
    return Problem([[[weight]] for weight in weights], Gaussian([[teacher]], noise_variance=noise), rate, step)


def _significant(value: float, digits: int) -> Rational:
    """A float rounded to so many significant decimal digits, exact from then on."""
    return Rational(f"{value:.{digits - 1}e}") if value else Rational(0)
