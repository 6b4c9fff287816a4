"""The gradient variance of networks of widths 1 on normal inputs in floating point, without cancellation.

Networks of L layers of width 1, x ~ N(0, 1), y = T x + noise. Measure weights by their start, v_k = w_k(t) / w_k(0), and
the residual by P = w_1 ... w_L, rho = v_1 ... v_L - tau with tau = T / P. Then SGD and the gradient are, up to one factor,

    v_k <- v_k - x_k / (1 - tau) * (rho S - N) * prod_{j != k} v_j,       G_k ~ sqrt(x_k) (rho S - N) prod_{j != k} v_j

with x_k = alpha (1 - tau) P^2 / w_k^2, S the batch mean of x^2 and N that of (noise x) / P: the L numbers x_k, tau and
the noise are all that matters. For widths 1, S ~ chi^2_b / b and N | S ~ N(0, sigma^2 S / b), so that

    var = sum_k x_k ( Var h_k + u E[ 2 h_k^2 + sigma^2 o_k^2 ] ),   o_k = prod_{j != k} v_j,  h_k = rho o_k

is a sum of positive terms over Gauss nodes, enough of them to be exact: no cancellation, at any b.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from scipy.linalg import eigh_tridiagonal
from scipy.special import roots_hermitenorm

from linvar.exact import Rational
from linvar.laws.gaussian import Gaussian
from linvar.problem import Problem
from linvar.search.ascent import Landscape
from linvar.search.certificate import significant

#: Ranges of the starts: x_k and sigma log-uniform, tau uniform.
_X, _TAU, _SIGMA = (0.1, 6.0), (-0.2, 0.3), (0.01, 3.0)
#: Significant digits to which a point is rounded, in this order.
_DIGITS = (2, 3, 4, 5, 6)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["batch_sizes", "nodes", "probabilities"],
    meta_fields=["depth", "step", "label_noise"],
)
@dataclass(frozen=True)
class Objective(Landscape):
    """log var over a grid of batch sizes, from Gauss nodes of S (and N) of each of the t steps.

    Attributes:
        batch_sizes: shape (k,).
        nodes: for each batch size and step, S and N / sigma at the nodes, shape (k, t, 2, m): the tensor grid of all steps.
        probabilities: shape (k, m), positive, sum 1.
    """

    depth: int
    step: int
    label_noise: bool
    batch_sizes: jax.Array
    nodes: jax.Array
    probabilities: jax.Array

    def log_variance(self, point: Float[Array, " p"]) -> Float[Array, " k"]:
        """log var, up to a constant, at (log x_1, ..., log x_L, log(1 - tau)[, log sigma]); a batch size at a time."""

        # a gradient computes what is inside again, and keeps nothing of the nodes of other batch sizes
        @jax.checkpoint
        def at(grid: tuple[jax.Array, jax.Array, jax.Array]) -> Float[Array, ""]:
            return self._log_variance(point, *grid)

        values: jax.Array = jax.lax.map(at, (self.batch_sizes, self.nodes, self.probabilities))
        return values

    def _log_variance(
        self, point: Float[Array, " p"], b: Float[Array, ""], nodes: Float[Array, "t 2 m"], chances: Float[Array, " m"]
    ) -> Float[Array, ""]:
        """log var at one batch size."""
        x, tau = jnp.exp(point[: self.depth]), 1 - jnp.exp(point[self.depth])
        sigma = jnp.exp(point[self.depth + 1]) if self.label_noise else 0.0
        (batch, noise), *later = nodes  # S and N / sigma of each step
        v = 1 - x[:, None] * (batch - sigma / (1 - tau) * noise)  # every v_k starts at 1
        for batch, noise in later:
            others, full = _products(v)
            v = v - (x / (1 - tau))[:, None] * ((full - tau) * batch - sigma * noise) * others
        others, full = _products(v)
        h = (full - tau) * others  # h_k = rho o_k
        mean = jnp.sum(chances * h, axis=-1, keepdims=True)
        spread = jnp.sum(chances * (h - mean) ** 2, axis=-1)
        inner = jnp.sum(chances * (2 * h**2 + sigma**2 * others**2), axis=-1)
        return jnp.log(jnp.sum(x * (spread + inner / b)))

    @property
    def cost(self) -> int:
        """Numbers of an evaluation: layers, batch sizes, nodes."""
        return int(self.depth * self.probabilities.size)

    def draw(self, key: Key[Array, ""], count: int) -> Float[Array, "s p"]:
        """Random points."""
        starts: jax.Array = draw_starts(key, count, self.depth, self.label_noise)
        return starts

    def roundings(self, point: np.ndarray) -> Iterator[Problem]:
        """The problems of a point, its numbers rounded to ever more digits."""
        return (rounded(point, self.depth, self.step, digits) for digits in _DIGITS)


def _products(v: Float[Array, "l m"]) -> tuple[Float[Array, "l m"], Float[Array, " m"]]:
    """prod_{j != k} v_j for each k, and the product of all."""
    one = jnp.ones_like(v[:1])
    before = jnp.concatenate([one, jnp.cumprod(v[:-1], axis=0)])
    after = jnp.concatenate([jnp.cumprod(v[::-1][:-1], axis=0)[::-1], one])
    return before * after, before[-1] * v[-1]


def rounded(point: np.ndarray, depth: int, step: int, digits: int) -> Problem:
    """The problem of a point: weights of geometric mean 1, every number rounded to this many significant digits."""
    x, gap = np.exp(point[:depth]), float(np.exp(point[depth]))  # x_k and 1 - tau
    scale = float(np.exp(np.mean(np.log(x))))
    weights = [significant(math.sqrt(scale / value), digits) for value in x]  # w_k^2 in proportion to 1 / x_k
    product = float(math.prod(weights))
    teacher = significant((1 - gap) * product, digits)  # T = tau P
    rate = significant(scale / (product * (product - float(teacher))), digits)  # x_k w_k^2 = alpha P (P - T)
    noise = Rational(0)
    if len(point) > depth + 1:
        noise = significant((math.exp(float(point[depth + 1])) * product) ** 2, digits)
    return Problem([[[weight]] for weight in weights], Gaussian([[teacher]], noise_variance=noise), rate, step)


def build_objective(depth: int, step: int, label_noise: bool, low: int, high: int) -> Objective:
    """The grid of batch sizes and the Gauss nodes."""
    sizes = grid_of_sizes(low, high)
    nodes, chances = nodes_of_steps(node_counts(2 * depth - 1, step), sizes, label_noise)
    return Objective(depth, step, label_noise, *map(jnp.asarray, (sizes.astype(float), nodes, chances)))


def grid_of_sizes(low: int, high: int) -> np.ndarray:
    """Some 36 batch sizes, evenly by their logarithms."""
    return np.unique(np.round(np.geomspace(low, high, 36)).astype(int))


def node_counts(growth: int, step: int) -> list[int]:
    """For each step so many that a moment of degree 2 growth^(t-s) in step s is exact."""
    return [growth ** (step - s) + 1 for s in range(step)]


def nodes_of_steps(counts: list[int], sizes: np.ndarray, label_noise: bool) -> tuple[np.ndarray, np.ndarray]:
    """The tensor grid of all steps, shape (k, t, 2, m), and its probabilities, shape (k, m)."""
    grids, chances = [], []
    for b in sizes:
        axes = [_batch_nodes(count, float(b), label_noise) for count in counts]
        index = np.meshgrid(*[np.arange(len(weights)) for *_, weights in axes], indexing="ij")
        grids.append([[axis[part][i.ravel()] for part in (0, 1)] for axis, i in zip(axes, index)])
        chances.append(np.prod([axis[2][i.ravel()] for axis, i in zip(axes, index)], axis=0))
    return np.array(grids), np.array(chances)


def _batch_nodes(count: int, b: float, label_noise: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes of S ~ chi^2_b / b, of N / sigma given S, and their probabilities."""
    gamma, probability = gamma_rule(count, b / 2)
    batch = gamma * 2 / b
    if not label_noise:
        return batch, np.zeros(count), probability
    normal, masses = roots_hermitenorm(count)
    return (
        np.repeat(batch, count),
        (np.sqrt(batch / b)[:, None] * normal).ravel(),
        (probability[:, None] * masses / math.sqrt(2 * math.pi)).ravel(),
    )


def gamma_rule(count: int, shape: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and probabilities of the Gauss rule of a gamma law of this shape: Gauss-Laguerre with exponent shape - 1.

    The eigenvalues of the Jacobi matrix, and the squares of its eigenvectors' first entries (Golub & Welsch, 1969).
    ``scipy.special.roots_genlaguerre`` scales its masses by Gamma(shape), which overflows beyond a shape of 171. Of LAPACK's
    drivers the QR algorithm, ``stev``, keeps the digits of small probabilities, which high moments ask for.

    >>> nodes, probabilities = gamma_rule(3, 0.5)  # half the square of a standard normal: E x^5 = 945 / 32
    >>> round(float(probabilities @ nodes**5), 9)
    29.53125
    """
    k = np.arange(count)
    nodes, vectors = eigh_tridiagonal(2 * k + shape, np.sqrt(k[1:] * (k[1:] + shape - 1)), lapack_driver="stev")
    return nodes, vectors[0] ** 2


@partial(jax.jit, static_argnums=(1, 2, 3))
def draw_starts(key: Key[Array, ""], count: int, depth: int, label_noise: bool) -> Float[Array, "s p"]:
    """Random points."""
    keys = jax.random.split(key, 3)
    parts = [
        jax.random.uniform(keys[0], (count, depth), minval=math.log(_X[0]), maxval=math.log(_X[1])),
        jnp.log(1 - jax.random.uniform(keys[1], (count, 1), minval=_TAU[0], maxval=_TAU[1])),
    ]
    if label_noise:
        parts.append(jax.random.uniform(keys[2], (count, 1), minval=math.log(_SIGMA[0]), maxval=math.log(_SIGMA[1])))
    return jnp.concatenate(parts, axis=1)
